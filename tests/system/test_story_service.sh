#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# "My redis grows": a service of Debian's under a real systemd, as its unit file
# hardens it, with load on it and a growing set of keys. Three commands name the
# function. Then what tmctl unit says of units that would stop the agent, and
# that untrace leaves nothing behind.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@"

json() { # EXPRESSION of d: reads JSON from stdin
        python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

fill_redis() { # PREFIX
        redis-benchmark -q -c 10 -n 40000 -r 1000000 -P 16 SET "$1:__rand_int__" "$(printf 'x%.0s' {1..100})" >/dev/null
}

files_of_systemd() {
        find /etc/systemd/system /run/systemd/system ! -name '*.new' | sort
}

redis_answers() {
        [ "$(redis-cli ping)" = PONG ]
}

# In a chroot the kernel permits no user namespaces, and redis's unit wants one (PrivateUsers=).
start_redis() {
        systemctl start redis-server 2>/dev/null && return
        mkdir -p /etc/systemd/system/redis-server.service.d
        printf '[Service]\nPrivateUsers=no\n' >/etc/systemd/system/redis-server.service.d/chroot.conf
        systemctl daemon-reload && systemctl start redis-server
}

story() {
        local before first second rows
        start_redis || give_up "Debian's redis-server starts as a service"
        before=$(files_of_systemd)
        claim_match "who asks for the pid of a service that is not traced is told of tmctl unit" \
                "is not traced; 'tmctl unit trace redis-server.service --restart' traces its service" \
                "$(tmctl snapshot --pid "$(systemctl show -p MainPID --value redis-server)" 2>&1)"
        claim_match "and who asks for its unit" "unit redis-server is traced; 'tmctl unit trace redis-server --restart' does that" \
                "$(tmctl snapshot --unit redis-server 2>&1)"
        claim_match "the daemon's own service is not traced" 'does not trace itself' "$(tmctl unit trace tracemallocd 2>&1)"
        claim "one command traces it" tmctl unit trace redis-server --restart
        wait_until 60 redis_answers || give_up "the traced service works" "$(journalctl -q -u redis-server -n 20 --no-pager)"
        fill_redis first
        first=$(tmctl snapshot --unit redis-server)
        claim_match "tmctl snapshot --unit prints an id" '^[0-9]+$' "$first"
        fill_redis second
        second=$(tmctl snapshot --unit redis-server.service)
        rows=$(tmctl compare "$first" "$second")
        echo "$rows"
        claim_match "in front of redis's wrappers, what makes the keys and values is the first row" \
                ' \((dict|createEmbedded|createStringObject|dbAdd|tryObjectEncoding|setKey)' "$(sed -n 4p <<<"$rows")"
        claim_match "the first row of compare is a function of redis that grew" \
                '^/usr/bin/redis-.* \(.*\): size=.* \(\+[0-9.]+ [KM]iB\)' "$(sed -n 4p <<<"$rows")"
        rows=$(tmctl compare "$first" "$second" --skip-function 'z*alloc*' --skip-function '*sds*' --json)
        claim_equal "so it is with the wrappers skipped by name, what makes the keys and values is the first row" True \
                "$(json 'any(f in d["statistics"][0]["traceback"][0]["function"] for f in ("dict", "createEmbedded", "createStringObject", "dbAdd", "tryObjectEncoding", "setKey"))' <<<"$rows")"
        claim_equal "it is exact" True "$(json 'd["exact"]' <<<"$rows")"
        claim_equal "ps knows the unit and the user" "redis-server.service $(id -u redis)" \
                "$(tmctl ps --unit redis-server --json | json 'd[0]["unit"] + " " + str(d[0]["uid"])')"
        claim_status "last is of one's own processes, root's too" 3 tmctl stats last
        claim_match "and the newest of all is named" "the newest of all is $second:" "$(tmctl stats last 2>&1)"
        claim_equal "list finds the unit's snapshots" 2 "$(tmctl list --unit redis-server --json | json 'len(d)')"
        claim_match "untrace says what it did" 'Removed.*restarted' "$(tmctl unit untrace redis-server --restart | tr '\n' ' ')"
        claim_equal "untrace leaves nothing behind" "$before" "$(files_of_systemd)"
        claim "and the service runs" wait_until 60 redis_answers
        claim "untraced" wait_until 60 is_untraced redis-server
}

a_dead_service_is_named() {
        claim_match "asking for the dead service names its exit snapshot" 'exit snapshot [0-9]+' \
                "$(tmctl snapshot --unit redis-server 2>&1)"
}

is_untraced() { # UNIT
        tmctl ps --unit "$1"
        [ $? = 3 ]
}

persistent() {
        claim "trace --persist" tmctl unit trace redis-server --persist --frames 7 --domains malloc
        claim "it writes below /etc" test -f /etc/systemd/system/redis-server.service.d/zz-tracemallocd.conf
        local settings
        settings=$(systemctl show -p Environment redis-server)
        claim_match "frames" 'TRACEMALLOCD_FRAMES=7( |$)' "$settings"
        claim_match "domains" 'TRACEMALLOCD_DOMAINS=malloc( |$)' "$settings"
        claim_match "the agent is preloaded" 'LD_PRELOAD=/[^ ]*/libtracemalloc-agent.so' "$settings"
        claim "without --persist it is moved below /run" tmctl unit trace redis-server
        claim_equal "so that one drop-in is there" \
                "/run/systemd/system/redis-server.service.d/zz-tracemallocd.conf" \
                "$(find /etc/systemd/system /run/systemd/system -name '*tracemallocd.conf')"
        mkdir -p /run/systemd/system/redis-server.service.d
        touch /run/systemd/system/redis-server.service.d/mine.conf
        claim "untrace beside another's drop-in" tmctl unit untrace redis-server
        claim "which stays" test -f /run/systemd/system/redis-server.service.d/mine.conf
        rm -r /run/systemd/system/redis-server.service.d
        claim_status "untrace of what is not traced" 3 tmctl unit untrace redis-server
        claim_match "names what ends the tracing of what runs" 'systemctl restart redis-server' \
                "$(tmctl unit untrace redis-server --restart 2>&1)"
}

unit_with() { # UNIT LINE...: a service that has these
        printf '%s\n' '[Service]' 'ExecStart=/usr/bin/sleep 1000' "${@:2}" >"/run/systemd/system/$1.service"
}

# SETTING REGEX, two by two: a unit with that setting is refused, with a message that matches
refusals() {
        local -a settings=() patterns=()
        while [ $# -gt 0 ]; do
                unit_with "t${#settings[@]}" "$1"
                settings+=("$1") patterns+=("$2")
                shift 2
        done
        systemctl daemon-reload # once for all: it takes a while
        local i
        for ((i = 0; i < ${#settings[@]}; i++)); do
                refused "t$i" "${settings[i]}" "${patterns[i]}"
        done
}

refused() { # UNIT SETTING REGEX
        local output status=0
        output=$(tmctl unit trace "$1" 2>&1) || status=$?
        claim_equal "$2 is refused" 1 "$status"
        claim_match "$2 is named, with the remedy" "$3" "$output"
        [ ! -e "/run/systemd/system/$1.service.d" ] || fail "$2: nothing is written"
}

accepted() { # SETTING...
        unit_with t "$@"
        systemctl daemon-reload
        claim "$* does not stop the agent" tmctl unit trace t --restart
        tmctl unit untrace t >/dev/null
        systemctl stop t
}

hardening() {
        refusals \
                'RestrictAddressFamilies=AF_INET' 'AF_UNIX.*add RestrictAddressFamilies=AF_UNIX' \
                'RestrictAddressFamilies=~AF_UNIX' 'AF_UNIX' \
                'RestrictAddressFamilies=none' 'AF_UNIX' \
                'SystemCallFilter=~@network-io' 'would end the service.*add SystemCallFilter=socket connect' \
                'SystemCallFilter=~connect:EPERM' 'SystemCallFilter=.*keeps it from the daemon; add SystemCallFilter=connect' \
                'SystemCallFilter=@basic-io @file-system @io-event @process' 'SystemCallFilter=.*socket' \
                "InaccessiblePaths=${agent%/*}" "InaccessiblePaths= hides .*BindReadOnlyPaths=" \
                'InaccessiblePaths=/run/tracemallocd' "InaccessiblePaths= hides /run/tracemallocd" \
                'TemporaryFileSystem=/run' "TemporaryFileSystem= hides /run/tracemallocd" \
                'RootDirectory=/srv' 'RootDirectory= hides' \
                'NoExecPaths=/' "NoExecPaths= .*ExecPaths=$agent" \
                'UnsetEnvironment=LD_PRELOAD' 'UnsetEnvironment=' \
                'RootImage=/srv/image.raw' 'RootImage= hides'
        sockets_elsewhere /home/elsewhere 'ProtectHome=tmpfs' 'ProtectHome= hides /home/elsewhere,.*BindReadOnlyPaths=/home/elsewhere'
        sockets_elsewhere /tmp/elsewhere 'PrivateTmp=yes' 'PrivateTmp= hides /tmp/elsewhere,.*BindReadOnlyPaths=/tmp/elsewhere'
}

# A daemon's sockets below /home or /tmp, which these settings hide.
sockets_elsewhere() { # FOLDER SETTING REGEX
        local output status=0
        mkdir -p "$1"
        in_background tracemallocd --runtime-dir "$1" --state-dir "$1/state" 2>"$scratch/elsewhere.log"
        wait_until 30 tmctl ps --runtime-dir "$1" || give_up "another daemon runs" "$(cat "$scratch/elsewhere.log")"
        unit_with elsewhere "$2"
        systemctl daemon-reload
        output=$(tmctl unit trace elsewhere --runtime-dir "$1" 2>&1) || status=$?
        claim_equal "$2 is refused" 1 "$status"
        claim_match "$2 is named, with the remedy" "$3" "$output"
}

settings_files() {
        printf 'A=1\n' >/etc/default/first
        printf '# LD_PRELOAD=not-this\n LD_PRELOAD=/usr/lib/other.so\n' >/etc/default/second
        unit_with files 'EnvironmentFile=/etc/default/first' 'EnvironmentFile=-/etc/default/absent' 'EnvironmentFile=/etc/default/second'
        systemctl daemon-reload
        refused files 'the second EnvironmentFile=' 'EnvironmentFile=/etc/default/second sets LD_PRELOAD, which wins .*put there: /'
        printf 'TRACEMALLOCD_RUNTIME_DIR=/elsewhere\n' >/etc/default/second
        refused files 'EnvironmentFile= with the runtime directory' 'sets TRACEMALLOCD_RUNTIME_DIR'
        unit_with files 'EnvironmentFile=-/etc/default/sec*'
        systemctl daemon-reload
        refused files 'EnvironmentFile= with a pattern' 'EnvironmentFile=/etc/default/second sets TRACEMALLOCD_RUNTIME_DIR'
        chmod o-r "$agent"
        unit_with others 'User=nobody'
        unit_with roots
        systemctl daemon-reload
        refused others 'an agent that the user cannot read' "is not open to the service's user, nobody; 'chmod o\+r "
        chmod o+r "$agent"
        claim "which is no matter to root's services" tmctl unit trace roots
        tmctl unit untrace roots >/dev/null
}

traces() { # CLAIM UNIT
        claim "$1" tmctl unit trace "$2" --restart
        claim "and is found by its unit" tmctl snapshot --unit "$2"
        tmctl unit untrace "$2" >/dev/null
        systemctl stop "$2"
}

kinds_of_services() {
        local unit=/run/systemd/system
        printf '%s\n' '[Service]' 'Type=forking' 'ExecStart=/bin/bash -c "sleep 1000 & disown"' >$unit/forks.service
        printf '%s\n' '[Service]' 'ExecStart=/usr/bin/sleep %i' >$unit/many@.service
        printf '%s\n' '[Socket]' 'ListenStream=/run/by-socket' >$unit/by-socket.socket
        printf '%s\n' '[Service]' 'ExecStart=/bin/bash -c "read line; sleep 1000"' 'StandardInput=null' >$unit/by-socket.service
        unit_with hardened 'NoNewPrivileges=yes' 'PrivateNetwork=yes' 'PrivateTmp=yes' 'PrivateDevices=yes' 'ProtectProc=invisible' \
                'RestrictNamespaces=yes' 'LockPersonality=yes' 'CapabilityBoundingSet=' 'User=nobody' 'LimitFSIZE=1M' 'UMask=0777'
        unit_with preloads 'Environment="MY_LD_PRELOAD=no" "LD_PRELOAD=libm.so.6"'
        unit_with job 'Type=oneshot'
        printf '%s\n' '[Service]' 'Type=oneshot' 'ExecStart=/bin/true' >$unit/done.service
        # before its program runs: one that runs may be seen as a traced process first, which is no failure
        printf '%s\n' '[Service]' 'Type=oneshot' 'WorkingDirectory=/nowhere' 'ExecStart=/bin/true' >$unit/failed.service
        ln -s /dev/null /etc/systemd/system/gone.service
        systemctl daemon-reload
        traces "a forking service is traced" forks
        traces "an instance of a template is traced" many@1000
        systemctl start by-socket.socket
        traces "a service of a socket is traced" by-socket
        traces "one with much hardening is traced" hardened
        traces "a job that runs for long (Type=oneshot) is traced, and not waited for" job
        claim_match "one that is done at once is no failure" '^done.service has run to its end|^true .* is traced now' \
                "$(tmctl unit trace "done" --restart 2>&1)"
        claim_status "one that fails is" 1 tmctl unit trace failed --restart
        claim_status "a template without an instance" 2 tmctl unit trace many@
        claim_equal "is named in one line" "tmctl: 'many@' is a template; name an instance of it: many@NAME" \
                "$(tmctl unit trace many@ 2>&1)"
        claim "one that preloads is traced" tmctl unit trace preloads
        claim "twice is as once" tmctl unit trace preloads
        claim_match "and goes on to preload" "LD_PRELOAD=$agent:libm.so.6( |\$)" "$(systemctl show -p Environment preloads)"
        tmctl unit untrace preloads >/dev/null
        claim_status "a masked unit" 3 tmctl unit trace gone
        claim_match "is said to be masked" 'gone.service is masked' "$(tmctl unit trace gone 2>&1)"
        claim_equal "each in one line" 1 "$(tmctl unit trace gone 2>&1 | wc -l)"
        claim_equal "of an absent one too" 1 "$(tmctl unit trace no-such-unit 2>&1 | wc -l)"
        claim_equal "of one without a name" "tmctl: 'a/b' is no name of a unit" "$(tmctl unit trace a/b 2>&1)"
        claim_equal "and where there is no systemctl" "tmctl: cannot run systemctl: No such file or directory" \
                "$(PATH=/nowhere "$(command -v tmctl)" unit trace gone 2>&1)"
}

# A service that does not start: the way back is named.
broken() {
        unit_with broken 'ExecStartPre=/bin/false'
        systemctl daemon-reload
        local output
        output=$(tmctl unit trace broken --restart 2>&1)
        claim_equal "a service that does not start is a failure" 1 $?
        claim_match "with the way back" "tmctl unit untrace broken.service --restart" "$output"
        tmctl unit untrace broken >/dev/null
}

statics() {
        unit_with t
        sed -i 's,/usr/bin/sleep,/bin/busybox sleep,' /run/systemd/system/t.service
        systemctl daemon-reload
        claim_match "a static program is refused" 'busybox is statically linked' "$(tmctl unit trace t 2>&1)"
        printf '%s\n' '[Service]' 'ExecStart=/bin/bash -c "true; exec /bin/busybox sleep 1000"' >/run/systemd/system/shell.service
        printf '%s\n' '[Service]' 'ExecStart=/usr/sbin/not-installed' >/run/systemd/system/absent.service
        systemctl daemon-reload
        claim_match "one that a shell starts in its place is named" 'bash .pid [0-9]+. was traced, and started in its place /.*/busybox, which is static' \
                "$(tmctl unit trace shell --restart 2>&1)"
        systemctl stop shell
        printf '%s\n' '[Service]' 'ExecStart=/usr/bin/env -i /bin/sleep 1000' >/run/systemd/system/emptied.service
        systemctl daemon-reload
        claim_match "one that it starts without the agent's environment, too" 'env .pid [0-9]+. was traced, and started /.*/sleep in its place without the environment' \
                "$(tmctl unit trace emptied --restart 2>&1)"
        systemctl stop emptied
        printf '%s\n' '[Service]' 'Type=forking' 'ExecStart=/usr/bin/env -i /bin/bash -c "sleep 1000 & disown"' >/run/systemd/system/cleared.service
        printf '%s\n' '[Service]' 'Type=oneshot' 'ExecStart=/bin/true' >/run/systemd/system/whole.service
        printf '%s\n' '[Unit]' 'PartOf=whole.service' '[Service]' 'ExecStart=/bin/sleep 1000' >/run/systemd/system/part.service
        systemctl daemon-reload
        systemctl start part
        claim_match "where the environment is cleared on the way, that is said" 'cleared.service runs .pid [0-9]+. without the environment' \
                "$(tmctl unit trace cleared --restart 2>&1)"
        systemctl stop cleared
        claim_match "of a service that stands for others, one of these is named" "'tmctl unit trace part.service'" "$(tmctl unit trace whole 2>&1)"
        claim_match "a program that is not there is named" 'ExecStart=, /usr/sbin/not-installed: No such file' "$(tmctl unit trace absent 2>&1)"
        claim_match "of a service that is not traced, the command that traces it is named" "'tmctl unit trace t --restart' does that" \
                "$(tmctl snapshot --unit t 2>&1)"
        local private_users=PrivateUsers=yes
        unshare --user true 2>/dev/null || private_users=PrivateUsers=no # a chroot, see start_redis
        accepted 'DynamicUser=yes' "$private_users" 'ProtectHome=yes' 'MemoryDenyWriteExecute=yes' 'ProtectSystem=strict'
        accepted 'SystemCallFilter=@system-service' 'RestrictAddressFamilies=AF_UNIX' 'NoExecPaths=/' 'ExecPaths=/usr'
        accepted 'TemporaryFileSystem=/run' 'BindReadOnlyPaths=/run/tracemallocd'
        accepted 'InaccessiblePaths=-/home' 'Environment="LD_PRELOAD=libm.so.6"'
        claim_status "an unknown unit" 3 tmctl unit trace no-such-unit
        claim_status "not a service" 2 tmctl unit trace tracemallocd-agent.socket
        claim_status "not a verb" 2 tmctl unit start redis-server
        claim_status "not root" 5 setpriv --reuid nobody --clear-groups "${programs[0]}" unit trace redis-server
}

no_daemon() {
        systemctl stop tracemallocd.service tracemallocd-agent.socket tracemallocd-control.socket
        claim_status "no daemon" 4 tmctl unit trace t
        claim_match "and the message says what starts it" 'systemctl start tracemallocd' "$(tmctl unit trace t 2>&1)"
}

install_system
printf '[snapshots]\nexit_min_age = 1\n' >/etc/tracemallocd/tracemallocd.conf
systemctl start tracemallocd || give_up "the service starts"
agent=$(realpath "$(tmctl env | sed -n 's/^LD_PRELOAD=//p')")
story
a_dead_service_is_named
persistent
hardening
settings_files
kinds_of_services
broken
statics
no_daemon
