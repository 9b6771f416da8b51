#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every stack that the agent captures, by whatever short cut, is what libgcc's unwinder
# sees at the same moment, and some of them also what libunwind sees: under the checking build of
# the agent (tests/support/capture_check.c), in programs whose stacks are deep or hard to walk.
. "$(dirname "$0")/../support/test.sh"

checker=$build_dir/agent/libtracemalloc-agent-check.so

# count NAME: sum of that count over all processes of the last run
count() {
        awk -v name="$1" '{ for (i = 1; i <= NF; i++) if (split($i, pair, "=") == 2 && pair[1] == name) sum += pair[2] }
                          END { print sum + 0 }' "$scratch/counts"
}

# checked WHAT MINIMUM COMMAND...: its stacks, at least MINIMUM of them, are right
checked() {
        local what=$1 minimum=$2 status=0 captures
        shift 2
        rm -f "$scratch/counts"
        env LD_PRELOAD="$checker" CAPTURE_CHECK_OUT="$scratch/counts" timeout 300 "$@" \
                >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
        claim_equal "$what: ends as it does untraced" 0 "$status"
        [ -s "$scratch/counts" ] || fail "$what: says what it checked" "$(tail -n 5 "$scratch/err")"
        captures=$(count captures)
        claim "$what: at least $minimum stacks are checked ($captures)" test "$captures" -ge "$minimum"
        [ "${CAPTURE_CHECK_LIBUNWIND:-}" = 0 ] ||
                claim "$what: some of them against libunwind" test "$(count libunwind)" -gt 0
        claim "$what: some of them were remembered" test "$(count remembered)" -gt 0
        claim "$what: no stack is wrong" no_wrong
}

no_wrong() {
        [ "$(count wrong)" = 0 ] && [ "$(count wrong_libunwind)" = 0 ] && return
        cat "$scratch/counts"
        grep -a -A 70 '^capture-check:' "$scratch/err" | head -n 150
        return 1
}

compile_subject() {
        local support=$source_dir/tests/support plugin
        gcc -O2 -pthread -o "$scratch/subject" "$support/stacks_subject.c" -ldl || return
        for plugin in 1 2; do # other frames at the same addresses
                gcc -O2 -shared -fPIC -x c -o "$scratch/plugin$plugin.so" - <<<"
                        #include <stddef.h>
                        void plugin_run(void (*allocate)(size_t), size_t n);
                        void plugin_run(void (*allocate)(size_t), size_t n) {
                                volatile char frame[$plugin * 40 * 8];
                                frame[n] = 1;
                                allocate(n);
                                frame[n] = 2;
                        }" || return
        done
}

redis() {
        local socket=$scratch/redis.sock pid status=0
        printf 'save ""\nport 0\nunixsocket %s\ndir %s\n' "$socket" "$scratch" >"$scratch/redis.conf"
        rm -f "$scratch/counts"
        env LD_PRELOAD="$checker" CAPTURE_CHECK_OUT="$scratch/counts" redis-server "$scratch/redis.conf" \
                >"$scratch/out" 2>"$scratch/err" &
        pid=$!
        background+=("$pid")
        if ! wait_until 60 redis-cli -s "$socket" ping; then
                fail "redis-server: answers" "$(tail -n 5 "$scratch/err")"
                return
        fi
        seq 1 3000 | sed 's/.*/SET key:& value-&\nLPUSH list:& a b c\nHSET hash f& &\nDEL key:&/' |
                redis-cli -s "$socket" >/dev/null
        redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1
        wait "$pid" || status=$?
        claim_equal "redis-server: ends as it does untraced" 0 "$status"
        claim "redis-server: at least 10000 stacks are checked ($(count captures))" test "$(count captures)" -ge 10000
        claim "redis-server: no stack is wrong" no_wrong
}

[ -e "$checker" ] || skip 'the checking build of the agent needs libunwind-dev'
daemon_start
claim 'the program with hard stacks compiles' compile_subject
checked 'hard stacks' 50000 "$scratch/subject"
# libunwind remembers frames of code that was unloaded: here libgcc judges alone
CAPTURE_CHECK_LIBUNWIND=0 checked 'code at the address of other code' 50000 \
        "$scratch/subject" "$scratch/plugin1.so" "$scratch/plugin2.so"
printf '#include <map>\n#include <string>\nint f(std::map<std::string, int> &m) { return m["a"]++; }\n' >"$scratch/input.cc"
checked 'clang++' 50000 clang++ -O1 -c "$scratch/input.cc" -o "$scratch/input.o"
# its own stacks, not those of the Python program that it runs
TRACEMALLOCD_DOMAINS=malloc checked 'python3' 1000 /usr/bin/python3 -S -c 'import json
rows = [dict(id=i, name="n%d" % i, tags=[str(i % 7)] * 30) for i in range(3000)]
print(len(json.loads(json.dumps(rows))))'
redis
