#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What 'tmctl env --container' prints, tried as docker and podman would take it: a
# file system of its own, a pid namespace, and into it nothing but the volumes and
# the variables of those options. The program inside is traced from outside.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@" # whose mounts are thrown away

readonly root=/srv/container
volumes=() variables=()

take_options() { # OPTION...
        local option
        for option in "$@"; do
                case $option in
                --volume=*) volumes+=("${option#--volume=}") ;;
                --env=*) variables+=("${option#--env=}") ;;
                *) fail "every line is an option of docker run" "$option" ;;
                esac
        done
}

# The system's programs and libraries, without its /run, /var and /home: a container of the same Debian.
make_root() {
        local folder
        mkdir -p "$root"
        mount -t tmpfs container "$root"
        mkdir -p "$root"/{usr,proc,dev,tmp,run,etc}
        mount --bind /usr "$root/usr"
        for folder in bin sbin lib lib64; do
                [ ! -L /$folder ] || ln -s "$(readlink /$folder)" "$root/$folder"
        done
        mount --bind /dev "$root/dev"
}

mount_volumes() {
        local volume from to flags
        for volume in "${volumes[@]}"; do
                IFS=: read -r from to flags <<<"$volume"
                if [ -d "$from" ]; then
                        mkdir -p "$root$to"
                else
                        mkdir -p "$root${to%/*}"
                        [ -e "$root$to" ] || touch "$root$to"
                fi
                mount --bind "$from" "$root$to"
                [ "$flags" != ro ] || mount -o remount,bind,ro "$root$to"
        done
}

contained() { # COMMAND...
        unshare --pid --fork --ipc --uts --net -- chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin "${variables[@]}" \
                /bin/sh -c 'mount -t proc proc /proc && exec "$@"' sh "$@"
}

traced_bash() { # prints its pid, once it has greeted
        tmctl ps --name bash --json | python3 -c '
import json, sys
for p in json.load(sys.stdin):
    if p["ns_pid"] == 1: # the first of its pid namespace
        print(p["pid"])'
}

is_traced() {
        [ -n "$(traced_bash 2>/dev/null)" ]
}

story() {
        local output pid
        mkfifo "$scratch/in"
        exec 9<>"$scratch/in"
        # shellcheck disable=SC2016 # for the bash inside
        contained /bin/bash -c 'declare -A m; for i in {1..2000}; do m[$i]=x$i; done; echo begun; read -r line; exit 7' <"$scratch/in" >"$scratch/log" 2>&1 &
        background+=($!)
        local container=$!
        wait_until 60 is_traced || give_up "the program in the container is traced" "$(cat "$scratch/log")"
        pass "the program in the container is traced"
        wait_until 60 grep -q begun "$scratch/log" || give_up "the program in the container has blocks" "$(cat "$scratch/log")"
        pid=$(traced_bash)
        claim_equal "ps has the pid of the daemon's namespace" bash "$(cat "/proc/$pid/comm")"
        output=$(tmctl snapshot --pid "$pid")
        claim_match "a snapshot of it is taken" '^[0-9]+$' "$output"
        claim_equal "with the label" boxed "$(tmctl show "$output" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["label"])')"
        claim_match "its file is found, from outside" '/bash' "$(tmctl stats "$output" --group-by filename)"
        echo >&9
        wait "$container"
        claim_equal "the program's exit status is its own" 7 $?
        exec 9>&-
}

daemon_start
mapfile -t options < <(tmctl env --container --label boxed --domains malloc)
claim_match "the label is among the options" '--env=TRACEMALLOCD_LABEL=boxed' "${options[*]}"
take_options "${options[@]}"
make_root
mount_volumes
claim_status "the agent is there, and read-only" 1 touch "$root${variables[0]#LD_PRELOAD=}"
story
