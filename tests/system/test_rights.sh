#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Who may do what, with real users and the real service: for every command that
# names a process or a snapshot, its owner, another user, a member of the group and root. And that no
# user crowds another out.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@"

as_user() { # USER COMMAND...
        setpriv --reuid "$1" --regid "$1" --init-groups --reset-env -- "${@:2}"
}

tmctl_of() { # USER ARGUMENT...
        as_user "$1" "${programs[0]}" "${@:2}"
}

pids_of() { # USER NAME: the pids of traced programs of that name that a user sees, one a line
        tmctl_of "$1" ps --json | python3 -c 'import json, sys
for p in json.load(sys.stdin):
    if p["name"] == sys.argv[1]: print(p["pid"])' "$2"
}

sees_one() { # USER NAME
        [ "$(pids_of "$1" "$2" | wc -l)" = 1 ]
}

make_users() {
        local user
        for user in alice bob carol; do
                useradd -m $user || give_up "users can be made"
        done
        gpasswd -a carol tracemallocd >/dev/null || give_up "users can join the group"
}

# The commands, one a line, with PID and ID to be filled in. What changes something comes last.
commands='
stats @PID
stats ID
traces ID
traces @PID
compare ID ID
compare ID @PID
export --format json -o /dev/null ID
show ID
snapshot --pid PID
block --pid PID 1
reset-peak --pid PID
clear --pid PID
stop --pid PID
start --pid PID
label ID changed
delete ID'

every_command() {
        local line pid id status user arguments
        as_user alice "${programs[0]}" run -- perl -e 'sleep 300' 2>"$scratch/alice.log" &
        background+=($!)
        wait_until 60 sees_one alice perl || give_up "alice sees her process" "$(cat "$scratch/alice.log")"
        pid=$(pids_of alice perl)
        id=$(tmctl_of alice snapshot --pid "$pid")
        while read -r line; do
                [ -n "$line" ] || continue
                line=${line//PID/$pid}
                read -ra arguments <<<"${line//ID/$id}"
                claim_status "another user may not: ${line%% *}" 5 tmctl_of bob "${arguments[@]}"
                for user in alice carol root; do
                        [ "${arguments[0]}" = delete ] && [ $user != alice ] && continue
                        status=0
                        tmctl_of $user "${arguments[@]}" >"$scratch/out" 2>&1 || status=$?
                        # block of an address that is no block: 3, but not 5
                        claim_match "$user may: ${line%% *}" '^(0|3)$' "$status"
                done
        done <<<"$commands"
        claim_equal "another user's ps is empty" '[]' "$(tmctl_of bob ps --json)"
        claim_equal "another user's list is empty" '[]' "$(tmctl_of bob list --json)"
        claim_equal "another user's last snapshot is not alice's" 3 "$(
                tmctl_of bob stats last >/dev/null 2>&1
                echo $?
        )"
        kill "$pid"
}

# A user who takes all that a user may have leaves the others theirs.
nobody_is_crowded_out() {
        printf '[limits]\nprocesses_per_user = 10\nconnections_per_user = 16\n' >/etc/tracemallocd/tracemallocd.conf
        systemctl restart tracemallocd || give_up "the service takes limits"
        as_user bob env "LD_PRELOAD=$(find /usr/lib -name libtracemalloc-agent.so | head -n 1)" \
                /bin/sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 300 & done; wait' &
        background+=($!)
        wait_until 60 refusal_is_logged
        claim_match "what is too much for one user is refused, and the log says it" processes_per_user \
                "$(journalctl -q -u tracemallocd --no-pager -o cat)"
        claim "and counted in the service's status" wait_until 60 status_counts_dropped_peers
        as_user alice "${programs[0]}" run -- perl -e 'sleep 300' 2>"$scratch/alice.log" &
        background+=($!)
        claim "another user's process is traced all the same" wait_until 60 sees_one alice perl
        claim "and answers" tmctl_of alice snapshot --pid "$(pids_of alice perl)"
        claim_equal "nobody has more than the limit" True "$(tmctl ps --json |
                python3 -c 'import json, pwd, sys
bob = pwd.getpwnam("bob").pw_uid
print(sum(p["uid"] == bob for p in json.load(sys.stdin)) <= 10)')"
        kill "$(pids_of alice perl)"
        pkill -u bob
}

# One user's tables take that user's share of memory and no more.
# shellcheck disable=SC2016 # perl's variables
nobody_takes_anothers_memory() {
        printf '[limits]\ntable_memory_per_user = 2M\n[snapshots]\nexit_min_age = 0\n' >/etc/tracemallocd/tracemallocd.conf
        systemctl restart tracemallocd || give_up "the service takes limits"
        local agent
        agent=$(find /usr/lib -name libtracemalloc-agent.so | head -n 1)
        as_user alice env LD_PRELOAD="$agent" perl -e 'my @a = map { "x" x 20 . $_ } 1 .. 2000; sleep 300' &
        background+=($!)
        # each of these would take some 4 MB
        for _ in 1 2 3; do
                as_user bob env LD_PRELOAD="$agent" perl -e 'my @a = map { "x" x 20 . $_ } 1 .. 60000; sleep 300' &
                background+=($!)
        done
        claim "who allocates more than fits into a user's share has inexact tables" wait_until 60 have_losses bob
        claim "which together hold no more blocks than fit into it" holds_at_most bob $(((2 << 20) / 16))
        claim "another user's table is exact" wait_until 60 is_exact alice
        claim "and answers" tmctl_of alice snapshot --pid "$(pids_of alice perl)"
        claim_match "no more of that user's programs are traced then, or theirs are inexact, too" '^[0-9]+$' "$(
                as_user bob env LD_PRELOAD="$agent" perl -e 'my @a = map { "x" x 20 . $_ } 1 .. 60000; print scalar @a' | tr -d '\n'
        )"
        claim "a new program of another user is traced" tmctl_of alice run -- perl -e 'my @a = (1 .. 1000)'
        pkill -u bob
        claim "what is given back is there again" wait_until 60 has_nothing bob
        as_user bob env LD_PRELOAD="$agent" perl -e 'my @a = map { "x" x 20 . $_ } 1 .. 2000; sleep 300' &
        background+=($!)
        claim "and traces the next program exactly" wait_until 60 is_exact bob
        pkill -u bob
        pkill -u alice
}

# ask_of USER EXPRESSION: of the rows of perl that the user sees
ask_of() {
        tmctl_of "$1" ps --json | python3 -c "import json, sys
rows = [p for p in json.load(sys.stdin) if p['name'] == 'perl']
sys.exit(not ($2))"
}

have_losses() {
        ask_of "$1" "any(p['lost'] > 0 and not p['exact'] for p in rows)"
}

# a block takes 16 bytes or more of a table: one of its cells
holds_at_most() {
        ask_of "$1" "0 < sum(p['live_count'] for p in rows) <= $2"
}

is_exact() {
        ask_of "$1" "len(rows) == 1 and rows[0]['exact'] and rows[0]['live_count'] > 2000"
}

has_nothing() {
        ask_of "$1" "not rows"
}

status_counts_dropped_peers() {
        systemctl show -P StatusText tracemallocd.service | grep -q ', [1-9][0-9]* peers dropped'
}

refusal_is_logged() {
        journalctl -q -u tracemallocd --no-pager -o cat | grep -q processes_per_user
}

exposure_is_argued() {
        local name
        systemd-analyze security --no-pager tracemallocd.service >"$scratch/security"
        # shellcheck disable=SC2016 # awk's
        claim "systemd-analyze security says 1.5 or better" awk \
                '/exposure level/ { for (i = 1; i <= NF; i++) if ($i ~ /^[0-9.]+$/) e = $i } END { exit !(e != "" && e <= 1.5) }' \
                "$scratch/security"
        # what costs points is named, and argued, in SECURITY.md
        while read -r name; do
                claim "SECURITY.md argues $name" grep -qF -- "$name" "$source_dir/SECURITY.md"
        done < <(sed -n 's/^✗ \([^ ]*\) .*/\1/p' "$scratch/security")
}

install_system
systemctl start tracemallocd || give_up "the service starts"
make_users
every_command
nobody_is_crowded_out
nobody_takes_anothers_memory
exposure_is_argued
