#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What cannot be traced is said before it starts, not ignored in silence; with
# --best-effort it runs untraced, with a warning.
. "$(dirname "$0")/../support/test.sh"

# untraceable WHAT REGEX COMMAND...
untraceable() {
        local what=$1 regex=$2 status=0
        shift 2
        tmctl run -- "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
        claim_equal "$what: refused" 125 "$status"
        claim_equal "$what: not started" '' "$(cat "$scratch/out")"
        claim_match "$what: says why" "$regex" "$(cat "$scratch/err")"
        status=0
        tmctl run --best-effort -- "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
        claim_equal "$what: --best-effort runs it" "0 hello" "$status $(cat "$scratch/out")"
        claim_match "$what: --best-effort warns" "$regex" "$(cat "$scratch/err")"
}

compile() { # COMPILER NAME OPTION...: a program that allocates and says hello
        "$1" -x c -o "$scratch/$2" "${@:3}" - <<<'
                #include <stdio.h>
                #include <stdlib.h>
                int main(void) { void *volatile block = malloc(100); free(block); puts("hello"); return 0; }'
}

own_malloc() { # FILE OPTIONS...: a program, or a library that is one, too
        gcc -x c -o "$scratch/$1" "${@:2}" - <<<'
                #include <stddef.h>
                #include <unistd.h>
                static char heap[1 << 20];
                static size_t used;
                void *malloc(size_t n) { void *block = heap + used; used += (n + 15) & ~(size_t)15; return block; }
                void free(void *block) { (void)block; }
                void *calloc(size_t n, size_t size) { return malloc(n * size); }
                void *realloc(void *block, size_t n) { (void)block; return malloc(n); }
                int main(void) { return malloc(10) && write(1, "hello\n", 6) == 6 ? 0 : 1; }'
}

untraced() { # PID
        daemon_answers && ! tmctl ps --json | grep -q "\"pid\": *$1\b"
}

left_by_exec() { # PID: the newest exit snapshot is that of an image of it that went by exec
        tmctl show last:exit --json | tr -d '\n' | grep -q "\"pid\": *$1\b.*\"ended_by\": *\"exec\""
}

# exec_into WAY WHAT COMMAND...: a traced shell that becomes COMMAND, which says hello and then waits for its input
exec_into() {
        local way=$1 what="a traced shell that becomes $2 by exec ($1 way)" run traced
        shift 2
        ln -sf "$(command -v bash)" "$scratch/shell"
        rm -f "$scratch/input" "$scratch/out"
        mkfifo "$scratch/input"
        # shellcheck disable=SC2016 # for that shell
        TRACEMALLOCD_TRANSPORT=$way "${programs[0]}" run -- "$scratch/shell" -c 'echo $$; exec "$@"' sh "$@" \
                <>"$scratch/input" >"$scratch/out" 2>"$scratch/err" &
        run=$!
        background+=("$run")
        claim "$what is started" wait_until 60 grep -q hello "$scratch/out"
        traced=$(head -n 1 "$scratch/out")
        claim "$what is not traced any more" wait_until 60 untraced "$traced"
        claim "$what leaves an exit snapshot that says so" wait_until 60 left_by_exec "$traced"
        claim_match "$what is told of in the log" "process $traced \\(.* after an exec it is" \
                "$(cat "$scratch/daemon.log")"
        echo <>"$scratch/input" >&0
        wait "$run"
        claim_equal "$what ends as it would" "0 done" "$? $(tail -n 1 "$scratch/out")"
}

daemon_start
compile gcc plain
exec_into ring "a static program" busybox sh -c 'echo hello; read line; echo done'
exec_into socket "a static program" busybox sh -c 'echo hello; read line; echo done'
exec_into ring "a program without the agent" env -i /bin/sh -c 'echo hello; read line; echo done'
# shellcheck disable=SC2016 # for that shell
exec_into ring "a static program that becomes a traced one" busybox sh -c \
        'echo hello; read line; exec "$0" -c "echo done"' "$scratch/shell"
claim_match "which is the same process's second image" '"name": *"shell".*"image": *2,' "$(tmctl show last:exit --json | tr -d '\n')"
untraceable "a static program" static busybox echo hello
compile gcc static-pie -static-pie && untraceable "a static-pie program" static "$scratch/static-pie"
if command -v musl-gcc >/dev/null; then
        compile musl-gcc musl && untraceable "a program for musl" 'musl|libc' "$scratch/musl"
fi
own_malloc own-malloc && untraceable "a program with a malloc of its own" malloc "$scratch/own-malloc"
claim_match "a malloc of its own in a program that another one started is said at the end" \
        'own-malloc .*malloc is not traced: the program has one of its own' \
        "$(tmctl run -- sh -c "$scratch/own-malloc; :" 2>&1)"
claim_match "the same where the command became it by exec" '^  note +malloc is not traced' \
        "$(tmctl run -- sh -c "exec $scratch/own-malloc" 2>&1)"
# which of the two is called by a program depends on the order in LD_PRELOAD
own_malloc before.so -shared -fPIC
claim_match "a malloc that was preloaded before the agent is said" '^  note +malloc may not be traced: LD_PRELOAD' \
        "$(tmctl run -- sh -c "LD_PRELOAD=$scratch/before.so:\$LD_PRELOAD exec echo" 2>&1)"
claim_match "that a command went on as a program without the agent is said" '^  note +went on untraced' \
        "$(tmctl run -- env -u LD_PRELOAD echo 2>&1)"
claim_match "and does not hide what was said of it before" '^  note +malloc may not be traced: LD_PRELOAD.*; went on untraced' \
        "$(tmctl run -- sh -c "LD_PRELOAD=$scratch/before.so:\$LD_PRELOAD exec env -u LD_PRELOAD echo" 2>&1)"
# shellcheck disable=SC2016 # for that shell
summary=$(tmctl run -- sh -c 'exec busybox sh -c "kill -9 \$\$"' 2>&1)
claim_equal "one that was killed right after its exec is not called untraced" "1 0" \
        "$(grep -c 'ended by signal 9' <<<"$summary") $(grep -c untraced <<<"$summary")"
summary=$(tmctl run -- sh -c 'env -u LD_PRELOAD echo; /bin/true; :' 2>&1)
claim_match "of a child too" '^  note +env \(pid [0-9]+\): went on untraced' "$summary"
claim_equal "and not of the others" 1 "$(grep -c '^  note' <<<"$summary")"
# a program that is stopped before its agent greets stands for one below a debugger, or on a machine that is busy
gcc -x c -shared -fPIC -o "$scratch/late.so" - <<<'
        #include <signal.h>
        __attribute__((constructor)) static void stop(void) { raise(SIGSTOP); }'
tmctl run -- sh -c "LD_PRELOAD=\$LD_PRELOAD:$scratch/late.so exec $scratch/plain" >/dev/null 2>"$scratch/err" &
run=$!
wait_until 20 grep -q 'after an exec it is plain' "$scratch/daemon.log"
kill -CONT "$(sed -n 's/.*process \([0-9]*\) .*after an exec it is plain.*/\1/p' "$scratch/daemon.log")"
wait "$run"
claim_equal "one whose next program only took long to greet is not called untraced" "1 0" \
        "$(grep -c '^tmctl: plain' "$scratch/err") $(grep -c untraced "$scratch/err")"
if [ "$(id -u)" = 0 ]; then
        # set-uid for somebody else: for root itself the loader doesn't mind
        compile gcc setuid && chown nobody "$scratch/setuid" && chmod 4755 "$scratch/setuid" && chmod 755 "$scratch"
        untraceable "a set-uid program" 'set-?u(ser-)?id' "$scratch/setuid"
fi
claim_equal "an ordinary program is traced" hello "$(tmctl run -- "$scratch/plain" 2>/dev/null)"
claim "and leaves an exit snapshot" tmctl show last:exit
printf '#!/bin/sh\necho hello\n' >"$scratch/valgrind"
chmod +x "$scratch/valgrind"
claim_match "of Valgrind it is said that it brings a malloc of its own" 'valgrind brings a malloc of its own' \
        "$(tmctl run -- "$scratch/valgrind" 2>&1)"
gcc -D_GNU_SOURCE -x c -o "$scratch/array" - <<<'
        #include <stdlib.h>
        int main(void) { free(reallocarray(NULL, 1000, 2)); return 3; }' # not one of the functions that Valgrind replaces
claim_equal "a program in Valgrind hears nothing of the agent" "3 0" \
        "$(tmctl run -- valgrind -q --error-exitcode=9 "$scratch/array" 2>"$scratch/err"; echo $?) $(grep -c '^[=-]' "$scratch/err")"
compile gcc asan -fsanitize=address -g
claim_equal "a program with AddressSanitizer is traced" hello "$(tmctl run -- "$scratch/asan" 2>/dev/null)"
claim_match "and its blocks are seen" '"total_count": *[1-9]' "$(tmctl stats last:exit --allocated --json)"
claim_equal "and runs as a child of another, with options of its own" "hello 0" "$(ASAN_OPTIONS=detect_leaks=1 \
        tmctl run -- sh -c "echo \$($scratch/asan)" 2>/dev/null) $?"

# Another malloc in a shared library lies behind the agent, as libc's does.
for library in libjemalloc.so.2 libtcmalloc_minimal.so.4; do
        [ -n "$(find /usr/lib -name "$library")" ] || continue
        LD_PRELOAD=$library tmctl run --label "$library" -- "$scratch/plain" >/dev/null 2>&1
        claim_match "what $library gives out is traced" "\"label\": *\"$library\".*\"size\": *100, *\"count\": *1\b" \
                "$( (tmctl show last:exit --json && tmctl stats last:exit --allocated --json --include '*/plain') | tr -d '\n')"
done

mv "$TRACEMALLOCD_RUNTIME_DIR/agent.sock" "$scratch/aside.sock"
claim_match "where the agent cannot reach the daemon, it is said where that was looked for, and where to look" \
        "not traced: its agent did not reach $TRACEMALLOCD_RUNTIME_DIR/agent.sock; the daemon's log" \
        "$(tmctl run -- "$scratch/plain" 2>&1)"
