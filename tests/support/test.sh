# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What system tests written in bash share. tests/system/README.md says how a
# test is written; tests/system/test_*.sh source this file first:
#
#     . "$(dirname "$0")/../support/test.sh"
#
# After that:
#   $source_dir $build_dir  the tree, and the build under test
#   $scratch                a folder of the test's own, removed at its end
#   TRACEMALLOCD_RUNTIME_DIR, TRACEMALLOCD_STATE_DIR  below $scratch: no test meets another's daemon
#   tmctl, tracemallocd     the programs under test
set -u

source_dir=$(realpath -- "$(dirname "${BASH_SOURCE[0]}")/../..")
build_dir=${TRACEMALLOCD_BUILD:-$source_dir/build}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tmd.XXXXXX") # short: sun_path holds 107 bytes
export TRACEMALLOCD_RUNTIME_DIR=$scratch/run TRACEMALLOCD_STATE_DIR=$scratch/state
n_claims=0 n_failed=0 daemon_pid='' background=()
programs=("$build_dir/client/tmctl" "$build_dir/daemon/tracemallocd")

tmctl() {
        "${programs[0]}" "$@"
}

tracemallocd() {
        "${programs[1]}" "$@"
}

# ---- what a test says; the lines are counted by tests/run ----

pass() { # CLAIM
        n_claims=$((n_claims + 1))
        echo "ok $n_claims - $1"
}

fail() { # CLAIM [DETAIL...]
        n_claims=$((n_claims + 1)) n_failed=$((n_failed + 1))
        echo "not ok $n_claims - $1"
        shift
        [ $# -eq 0 ] || printf '    %s\n' "$@"
}

claim() { # CLAIM COMMAND...: the claim holds if the command succeeds
        local text=$1 output
        shift
        if output=$("$@" 2>&1); then
                pass "$text"
        else
                fail "$text" "$* ended with $?:" "$output"
        fi
}

claim_equal() { # CLAIM WANTED GOT
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "wanted: $2" "got:    $3"; fi
}

claim_match() { # CLAIM REGEX TEXT
        if grep -qE -- "$2" <<<"$3"; then pass "$1"; else fail "$1" "wanted a match of: $2" "in: $3"; fi
}

claim_status() { # CLAIM STATUS COMMAND...
        local text=$1 wanted=$2 output status=0
        shift 2
        output=$("$@" 2>&1) || status=$?
        if [ "$status" = "$wanted" ]; then pass "$text"; else fail "$text" "wanted status $wanted, got $status:" "$output"; fi
}

skip() { # REASON: this machine cannot do it
        echo "skipped: $1"
        exit 77
}

give_up() { # REASON: nothing that follows makes sense
        fail "$1" "${@:2}"
        exit 1
}

# ---- a private systemd ----

# enter_systemd "$0" "$@": from here on the test runs inside with-systemd, as root, and may do what it likes
enter_systemd() {
        [ -z "${TRACEMALLOCD_TEST_INSIDE:-}" ] || return 0
        local path binds=()
        for path in "$source_dir" "$build_dir"; do
                [ "$(findmnt -n -o TARGET --target "$path")" = / ] || binds+=(--rw "$path")
        done
        rm -rf "$scratch"
        trap - EXIT
        exec "$source_dir/tests/support/with-systemd" "${binds[@]}" -- \
                env TMPDIR=/tmp TRACEMALLOCD_TEST_INSIDE=1 TRACEMALLOCD_BUILD="$build_dir" "$@"
}

# install_system: inside, put the programs where a user has them; from then on they are what is tested
install_system() {
        unset TRACEMALLOCD_RUNTIME_DIR TRACEMALLOCD_STATE_DIR
        meson install -C "$build_dir" --no-rebuild >"$scratch/install.log" 2>&1 ||
                give_up "meson install succeeds" "$(cat "$scratch/install.log")"
        programs=(/usr/bin/tmctl /usr/sbin/tracemallocd)
        # what the machine's own service has stored is no part of the test
        [ ! -d /var/lib/tracemallocd ] || mount -t tmpfs tmpfs /var/lib/tracemallocd ||
                give_up "the state directory can be covered"
}

# ---- waiting and processes ----

wait_until() { # SECONDS COMMAND...: tries until it succeeds
        local deadline=$((SECONDS + $1))
        shift
        until "$@" >/dev/null 2>&1; do
                [ $SECONDS -lt $deadline ] || return 1
                sleep 0.05
        done
}

# in_background COMMAND...: started, ended with the test; its pid is in $!
in_background() {
        "$@" &
        background+=($!)
}

daemon_answers() {
        tmctl ps >/dev/null 2>&1
}

daemon_start() { # OPTION...: a daemon of the test's own; its log is $scratch/daemon.log
        mkdir -p "$TRACEMALLOCD_RUNTIME_DIR" "$TRACEMALLOCD_STATE_DIR"
        # not the function: then its pid would be that of a shell around it
        "${programs[1]}" "$@" >"$scratch/daemon.log" 2>&1 &
        daemon_pid=$!
        # not for the socket's file: between that and listen(2) a client is refused, and a program goes untraced
        wait_until 60 daemon_answers ||
                give_up "the daemon starts" "$(cat "$scratch/daemon.log")"
}

daemon_stop() {
        [ -n "$daemon_pid" ] || return 0
        kill -TERM "$daemon_pid" 2>/dev/null
        wait "$daemon_pid"
        local status=$?
        daemon_pid=''
        return $status
}

show_log() {
        echo "---- the daemon's log:"
        [ ! -s "$scratch/daemon.log" ] || tail -n 50 "$scratch/daemon.log"
        [ -z "${TRACEMALLOCD_TEST_INSIDE:-}" ] || journalctl -q -u tracemallocd --no-pager -n 50 -o cat
}

test_end() {
        local status=$? pid
        for pid in "${background[@]}" $daemon_pid; do
                kill -TERM "$pid" 2>/dev/null
        done
        wait
        [ $n_failed = 0 ] || show_log
        rm -rf "$scratch"
        [ $status = 0 ] && [ $n_failed -gt 0 ] && status=1
        exit $status
}
trap test_end EXIT
