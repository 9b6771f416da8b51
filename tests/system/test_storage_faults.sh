#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What happens to snapshots when the disk is full, read-only or damaged: the
# snapshot fails with a line that says so, tracing goes on, earlier snapshots stay. In a sandbox, for its mounts.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@"

lists() { # how many snapshots there are
        tmctl list --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'
}

start() { # a socket that an earlier daemon left is no sign of this one
        daemon_start
        wait_until 30 daemon_answers || give_up "the daemon answers" "$(cat "$scratch/daemon.log")"
}

begin() { # a daemon whose state lies on a small disk of its own, and a traced program
        mkdir -p "$TRACEMALLOCD_STATE_DIR"
        mount -t tmpfs -o size=4m tmpfs "$TRACEMALLOCD_STATE_DIR" || give_up "a small disk can be mounted"
        start
        # not by tmctl run, which would look for its daemon, or start one, while there is none
        # shellcheck disable=SC2016 # perl's
        LD_PRELOAD=$build_dir/agent/libtracemalloc-agent.so perl -e 'push @a, "x" x $_ for 1 .. 2000; $| = 1; print "on\n"; sleep 300' \
                >"$scratch/out" 2>"$scratch/err" &
        background+=($!)
        wait_until 30 test -s "$scratch/out" || give_up "the program runs" "$(cat "$scratch/err")"
        pid=$(tmctl ps --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["pid"])')
        first=$(tmctl snapshot --pid "$pid") || give_up "a snapshot can be taken"
}

fails_with() { # CLAIM REGEX: a snapshot is refused with one line
        local status=0
        tmctl snapshot --pid "$pid" >"$scratch/snapshot" 2>&1 || status=$?
        claim_equal "$1: the snapshot fails" 1 $status
        claim_match "$1: and says why" "$2" "$(cat "$scratch/snapshot")"
        claim "$1: the earlier snapshot is there" tmctl stats "$first"
        claim "$1: the live table is there" tmctl stats "@$pid"
}

disk_full() {
        dd if=/dev/zero of="$TRACEMALLOCD_STATE_DIR/ballast" bs=4k 2>/dev/null
        fails_with "disk full" 'full'
        # shellcheck disable=SC2016 # the inner shell's
        tmctl run -- sh -c 'for i in $(seq 50); do /bin/true; done' >/dev/null 2>&1
        local n
        n=$(grep -c 'not stored' "$scratch/daemon.log")
        claim "disk full: 100 snapshots of 50 processes that end leave some lines in the log, not 100" test "$n" -ge 10 -a "$n" -le 45
        rm "$TRACEMALLOCD_STATE_DIR/ballast"
        claim "with room again, snapshots are taken again" tmctl snapshot --pid "$pid"
}

read_only() {
        daemon_stop
        mount --bind "$TRACEMALLOCD_STATE_DIR" "$TRACEMALLOCD_STATE_DIR"
        mount -o remount,bind,ro "$TRACEMALLOCD_STATE_DIR" || give_up "the disk can be made read-only"
        local status=0
        timeout 20 "${programs[1]}" >"$scratch/read-only.log" 2>&1 || status=$?
        claim "read-only: the daemon does not end in a crash" test $status -lt 128
        claim_match "read-only: its log says it" '[Rr]ead-?only' "$(cat "$scratch/read-only.log")"
        umount "$TRACEMALLOCD_STATE_DIR"
        start
        claim "writable again: the earlier snapshot is there" tmctl stats "$first"
}

damaged() {
        daemon_stop
        local file=$TRACEMALLOCD_STATE_DIR/snapshots.db
        rm -f "$file"-wal "$file"-shm
        # all but its mark: a file without that is somebody else's, and is left alone
        tr '\0' x </dev/zero | dd of="$file" bs=100 seek=1 count=200 conv=notrunc iflag=fullblock 2>/dev/null
        start
        claim_match "damaged: the log says that it was moved aside" 'was moved to' "$(cat "$scratch/daemon.log")"
        claim "damaged: the old file is kept" compgen -G "$file?*"
        claim_equal "damaged: a new one is begun" 0 "$(lists)"
        claim "damaged: and takes snapshots" tmctl run -- true
        claim "damaged: which are there" test "$(lists)" -gt 0
}

begin
disk_full
read_only
damaged
daemon_stop
umount -l "$TRACEMALLOCD_STATE_DIR"
