#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job as README.md shows it, on a machine with systemd: install, start
# the service, trace redis-server, take two snapshots, compare them. And what the
# service promises besides: hardening, socket activation, who sees what.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@"

as_user() { # USER COMMAND...
        setpriv --reuid "$1" --regid "$1" --init-groups --reset-env -- "${@:2}"
}

json() { # EXPRESSION of d: reads JSON from stdin
        python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

service() { # PROPERTY
        systemctl show --value -p "$1" tracemallocd.service
}

redis() {
        redis-cli -p 7777 "$@"
}

fill_redis() { # PREFIX
        redis-benchmark -p 7777 -q -c 10 -n 20000 -r 100000 -P 16 SET "$1:__rand_int__" "$(printf 'x%.0s' {1..100})"
}

service_starts() {
        systemctl start tracemallocd || give_up "the service starts"
        pass "the service starts"
        claim_equal "it says that it is ready" active "$(service ActiveState)"
        claim_equal "it runs as its own user" tracemallocd "$(ps -o user:20= -p "$(service MainPID)" | tr -d ' ')"
        local name
        for name in agent control; do
                claim_equal "anybody may connect to $name.sock" 666 "$(stat -c %a /run/tracemallocd/$name.sock)"
        done
}

hardening_is_good() {
        local exposure
        exposure=$(systemd-analyze security --no-pager tracemallocd.service | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
        claim "systemd-analyze security says 1.5 or better: $exposure" \
                awk -v e="${exposure:-10}" 'BEGIN { exit !(e <= 1.5) }'
}

main_job() {
        tmctl run --label main-job -- redis-server --port 7777 --save '' --dir "$scratch" \
                >"$scratch/redis.log" 2>"$scratch/run.log" &
        local run=$! pid first second
        background+=("$run")
        wait_until 60 redis ping || give_up "redis-server runs under tmctl run" "$(cat "$scratch/run.log" "$scratch/redis.log")"
        pid=$(redis info server | tr -d '\r' | sed -n 's/^process_id://p')
        fill_redis first >/dev/null
        first=$(tmctl snapshot --pid "$pid")
        claim_match "a snapshot prints its id alone" '^[0-9]+$' "$first"
        fill_redis second >/dev/null
        second=$(tmctl snapshot --pid "$pid")
        claim "compare runs" tmctl compare "$first" "$second"
        claim_equal "compare finds growth" True \
                "$(tmctl compare "$first" "$second" --json | json 'd["total_size_diff"] > 500000 and d["exact"]')"
        claim_equal "the first row of compare is what grew most, and it is redis's" True \
                "$(tmctl compare "$first" "$second" --json --limit 1 |
                        json 'd["statistics"][0]["size_diff"] > 100000 and "redis" in d["statistics"][0]["traceback"][0]["filename"]')"
        claim_equal "ps knows it" True "$(tmctl ps --json | json "any(p['pid'] == $pid and p['lost'] == 0 for p in d)")"
        redis shutdown nosave
        wait "$run"
        claim_equal "tmctl run passes the status on" 0 $?
        claim "its exit snapshot is stored" tmctl show last:exit
        claim "its peak snapshot is stored" tmctl show last:peak
}

# The file lies where the service cannot look: the agent handed over its descriptor.
lines_are_found() {
        mkdir -m 700 /root/hidden
        gcc -g -O1 -o /root/hidden/session_cache "$source_dir/examples/session_cache.c" ||
                give_up "the example compiles"
        tmctl run -- /root/hidden/session_cache 2>"$scratch/run.log" &
        local run=$! id
        background+=("$run")
        wait_until 60 has_blocks session_cache || give_up "the example runs" "$(cat "$scratch/run.log")" "$(tmctl ps)"
        pkill -x session_cache
        wait "$run"
        id=$(tmctl list --json | json '[s["id"] for s in d if s["name"] == "session_cache" and s["kind"] == "exit"][0]')
        claim_match "file and line of a program that the service cannot open by its path" 'session_cache.c:[0-9]+' \
                "$(tmctl stats "$id" --limit 3)"
}

has_blocks() { # NAME
        [ "$(tmctl ps --name "$1" --json | json 'd[0]["live_count"] > 100')" = True ]
}

pid_of_perl() { # USER: the first traced perl that this user sees
        as_user "$1" "${programs[0]}" ps --json | json "[p['pid'] for p in d if p['name'] == 'perl'][0]"
}

users_see_their_own() {
        local user pid
        for user in alice bob carol; do
                useradd -m $user || give_up "users can be made"
        done
        gpasswd -a carol tracemallocd >/dev/null || give_up "users can join the group"
        as_user alice "${programs[0]}" run -- perl -e 'sleep 300' 2>"$scratch/alice.log" &
        background+=($!)
        wait_until 60 pid_of_perl alice || give_up "alice sees her process" "$(cat "$scratch/alice.log")"
        pid=$(pid_of_perl alice)
        claim_equal "another user sees nothing" '[]' "$(as_user bob "${programs[0]}" ps --json | json d)"
        claim_equal "root sees it" "$pid" "$(pid_of_perl root)"
        claim_equal "a member of the group sees it" "$pid" "$(pid_of_perl carol)"
        claim_status "another user may not take a snapshot" 5 as_user bob "${programs[0]}" snapshot --pid "$pid"
        claim_status "another user may not stop the tracing" 5 as_user bob "${programs[0]}" stop --pid "$pid"
        local id
        id=$(as_user alice "${programs[0]}" snapshot --pid "$pid")
        claim_status "another user may not see the snapshot" 5 as_user bob "${programs[0]}" stats "$id"
        claim_status "another user may not delete the snapshot" 5 as_user bob "${programs[0]}" delete "$id"
        claim "its owner may look at it" as_user alice "${programs[0]}" stats "$id"
        claim "a member of the group may look at it" as_user carol "${programs[0]}" stats "$id"
        claim_equal "another user's list is empty" '[]' "$(as_user bob "${programs[0]}" list --json | json d)"
        kill "$pid"
}

service_stops_and_is_activated() {
        claim "the service stops" systemctl stop tracemallocd.service
        claim_equal "it ended well" success "$(service Result)"
        claim "a client starts it through its socket" tmctl ps
        claim_equal "and it is active again" active "$(service ActiveState)"
        claim "snapshots are still there" tmctl show last:exit
        systemctl stop tracemallocd.service tracemallocd-agent.socket tracemallocd-control.socket
        claim_equal "nothing failed" '' "$(systemctl --failed --plain --no-legend)"
        claim_equal "no error in the journal" '' "$(journalctl -q -u tracemallocd -p err --no-pager -o cat)"
}

# systemd listens for it, so tmctl gets a connection all the same.
service_that_cannot_start() {
        mkdir -p /run/systemd/system/tracemallocd.service.d
        printf '[Service]\nUser=nobody-has-made\nRestart=no\n' >/run/systemd/system/tracemallocd.service.d/user.conf
        systemctl daemon-reload
        systemctl start tracemallocd-agent.socket tracemallocd-control.socket
        claim_match "of a service that cannot start, who tells why is named" 'journalctl -u tracemallocd' "$(tmctl ps 2>&1)"
}

install_system
service_starts
hardening_is_good
main_job
lines_are_found
users_see_their_own
service_stops_and_is_activated
service_that_cannot_start
