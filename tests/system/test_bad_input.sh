#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Bad input gets one clear line on stderr and the exit status of tmctl(1), and
# nothing that was stored before is lost.
. "$(dirname "$0")/../support/test.sh"

# refused CLAIM STATUS REGEX COMMAND...: that status, nothing on stdout, one line on stderr that matches
refused() {
        local text=$1 wanted=$2 regex=$3 status=0 lines
        shift 3
        "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
        lines=$(wc -l <"$scratch/err")
        if [ "$status" = "$wanted" ] && [ ! -s "$scratch/out" ] && [ "$lines" = 1 ] && grep -qE -- "$regex" "$scratch/err"; then
                pass "$text"
        else
                fail "$text" "$*" "wanted status $wanted and one line like: $regex" "got status $status and $lines lines:" \
                        "$(head -n 5 "$scratch/out" "$scratch/err")"
        fi
}

without_a_daemon() {
        local command
        for command in ps list "snapshot --pid 1" "stats last"; do
                # shellcheck disable=SC2086 # words
                refused "no daemon: $command" 4 'daemon' tmctl $command
        done
        refused "no daemon: run" 125 'daemon' tmctl run -- true
        local long
        long=/tmp/$(printf 'x%.0s' {1..120})
        TRACEMALLOCD_RUNTIME_DIR=$long refused "a socket path that is too long, for tmctl" 4 'more than the 107' tmctl ps
        TRACEMALLOCD_RUNTIME_DIR=$long refused "a socket path that is too long, for tracemallocd" 1 'too long' tracemallocd
        rm -rf "$long"
}

wrong_usage() {
        refused "unknown command" 2 'frobnicate' tmctl frobnicate
        refused "unknown option" 2 'frobnicate' tmctl ps --frobnicate
        refused "cumulative with traceback: Python's words" 2 'cumulative' tmctl stats last --cumulative --group-by traceback
        refused "unknown grouping" 2 "'colour'" tmctl stats last --group-by colour
        refused "limit that is no number" 2 'limit' tmctl stats last --limit many
        refused "a pid that is no number" 2 'pid' tmctl snapshot --pid abc
        refused "frames out of range" 125 'range' tmctl run --frames 0 -- true
        refused "run without a command" 125 'COMMAND' tmctl run
        refused "wrong option of the daemon" 2 'frobnicate' tracemallocd --frobnicate
}

unknown_things() {
        sleep 0.01 &
        local dead=$!
        wait "$dead"
        refused "unknown snapshot" 3 '12345' tmctl stats 12345
        refused "unknown snapshot of two" 3 '12345' tmctl compare last 12345
        refused "unknown set" 3 's77' tmctl show s77
        refused "unknown snapshot to delete" 3 '12345' tmctl delete 12345
        refused "unknown snapshot to label" 3 '12345' tmctl label 12345 text
        refused "dead pid" 3 "$dead" tmctl snapshot --pid "$dead"
        refused "a pid that is not traced" 3 "$$" tmctl snapshot --pid $$
        refused "the live table of a pid that is not traced" 3 "$$" tmctl stats "@$$"
        refused "a file that does not exist" 3 'no/such/file' tmctl stats /no/such/file
        refused "a name that would drive the terminal, in 7 bits or 8" 3 "'.x1b.31m.xc2.x9b31m.xff'" tmctl stats $'\e[31m\xc2\x9b31m\xff'
        printf 'text\n' >"$scratch/no.pickle"
        refused "which file is none" 1 'no.pickle: this is no tracemalloc snapshot' tmctl compare last "$scratch/no.pickle"
}

commands_that_cannot_run() {
        refused "run: not found" 127 'no-such-program' tmctl run -- no-such-program
        printf 'text\n' >"$scratch/not-executable"
        refused "run: not executable" 126 'not-executable' tmctl run -- "$scratch/not-executable"
        refused "run: a directory" 126 'Is a directory' tmctl run -- "$scratch"
        refused "run: an empty name" 127 "not found: ''" tmctl run -- ''
        printf '#!/no/such/interpreter\n' >"$scratch/script" && chmod +x "$scratch/script"
        refused "run: a script whose interpreter is missing" 126 '/no/such/interpreter does not exist' tmctl run -- "$scratch/script"
        claim_status "run passes a status on" 42 tmctl run -- sh -c 'exit 42'
        # shellcheck disable=SC2016 # for that sh
        claim_status "run passes a signal on" 143 tmctl run -- sh -c 'kill -TERM $$'
}

onto_full() {
        "$@" >/dev/full
}

# More than a buffer of stdio, so that it is not the last write that fails.
full_outputs() {
        refused "export to a full disk" 1 'cannot write to /dev/full: No space left' \
                tmctl export last:exit --format json -o /dev/full
        local command
        for command in 'export last:exit --format json -o -' 'traces last:exit --json' 'stats last:exit --json' list; do
                # shellcheck disable=SC2086 # words
                refused "a full disk as standard output: $command" 1 'cannot write to standard output: No space left' \
                        onto_full tmctl $command
        done
}

wrong_configuration() {
        printf '[daemon]\nworkers = lots\n' >"$scratch/wrong.conf"
        refused "wrong configuration: file, line and key" 1 'wrong.conf:2.*workers' \
                tracemallocd --config "$scratch/wrong.conf" --runtime-dir "$scratch/run2" --state-dir "$scratch/state2"
        refused "no such configuration" 1 'absent.conf' \
                tracemallocd --config "$scratch/absent.conf" --runtime-dir "$scratch/run2" --state-dir "$scratch/state2"
        refused "second daemon in the same place" 1 'another|already' tracemallocd
        NOTIFY_SOCKET=$scratch/notify "${programs[1]}" --config "$scratch/wrong.conf" 2>"$scratch/wrong.log" &
        local daemon=$! status=0
        wait_until 10 grep -q 'wrong.conf:2' "$scratch/wrong.log"
        claim "below systemd, which would start it again at once, it waits before it ends" \
                test "$(timeout 0.5 tail --pid=$daemon -f /dev/null || echo lives)" = lives
        kill "$daemon"
        wait "$daemon" || status=$?
        claim_equal "but ends when it is told to" 143 $status
}

# A daemon beside whose program lies something else than its helper.
helper_that_does_not_start() {
        local tree=$scratch/tree daemon
        mkdir -p "$tree/daemon/symbol" "$tree/agent"
        cp "$TRACEMALLOCD_BUILD/daemon/tracemallocd" "$tree/daemon/"
        cp "$TRACEMALLOCD_BUILD/agent/libtracemalloc-agent.so" "$tree/agent/"
        : >"$tree/daemon/symbol/tracemallocd-symbolizer"
        "$tree/daemon/tracemallocd" --runtime-dir "$scratch/run4" --state-dir "$scratch/state4" 2>"$scratch/helper.log" &
        daemon=$!
        wait_until 10 test -S "$scratch/run4/control.sock"
        tmctl run --runtime-dir "$scratch/run4" -- perl -e 1 2>/dev/null
        claim_match "a symbol helper that does not start: no package is blamed" 'No line information: .* The daemon could not look for it' \
                "$(tmctl stats last:exit --runtime-dir "$scratch/run4" | tr '\n' ' ')"
        claim_match "the log says why" 'cannot start the symbol helper .*: Permission denied' "$(cat "$scratch/helper.log")"
        kill "$daemon" && wait "$daemon"
}

foreign_database() {
        mkdir -p "$scratch/state3"
        sqlite3 "$scratch/state3/snapshots.db" "create table mine(a); insert into mine values ('precious')"
        local before
        before=$(md5sum <"$scratch/state3/snapshots.db")
        refused "a database that is not ours" 1 'snapshots.db' \
                tracemallocd --runtime-dir "$scratch/run3" --state-dir "$scratch/state3"
        claim_equal "it was not touched" "$before" "$(md5sum <"$scratch/state3/snapshots.db")"
}

without_a_daemon
daemon_start
claim "something is stored" tmctl run -- perl -e '1'
kept=$(tmctl show last:exit --json)
full_outputs
wrong_usage
unknown_things
commands_that_cannot_run
wrong_configuration
foreign_database
helper_that_does_not_start
claim_equal "what was stored is still there" "$kept" "$(tmctl show "$(grep -oP '"id": *\K[0-9]+' <<<"$kept")" --json)"
