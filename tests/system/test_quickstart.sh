#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# ./quickstart, in a copy of the tree without a build: the first thing that anybody runs.
. "$(dirname "$0")/../support/test.sh"
. "$source_dir/tests/support/packages.sh"

unset TRACEMALLOCD_RUNTIME_DIR TRACEMALLOCD_STATE_DIR
absent=$(missing_packages "${build_packages[@]}" "${demo_packages[@]}")
[ -z "$absent" ] || skip "not installed: $absent"

mkdir "$scratch/tree"
tar -C "$source_dir" --exclude=.git --exclude='./build*' -cf - . | tar -C "$scratch/tree" -xf -
cd / || exit 1
output=$("$scratch/tree/quickstart" 2>&1)
claim_equal "quickstart ends well" 0 $?
claim_match "redis-server's growth is shown by function" 'redis-(server|check-rdb) \(.*size=.*\(\+' "$output"
claim_match "the planted growth is shown by file and line" 'session_cache\.c:[0-9]+: size=.*\(\+' "$output"
claim_match "with the call that leads there" 'remember_search|answer_request' "$output"
claim_match "it says what to type next" 'tmctl snapshot --pid PID' "$output"
claim_equal "it leaves no process behind" '' "$(pgrep -f "$scratch/tree" || true)"
[ $n_failed = 0 ] || printf '%s\n' "---- its output:" "$output"
