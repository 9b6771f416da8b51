#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# "My C++ program leaks": behind two wrappers of malloc and behind the standard
# containers, among many more allocations that are freed again. Three commands
# name the planted line, without an option. The same of its exit snapshot, after it was killed.
. "$(dirname "$0")/../support/test.sh"

write_program() {
        cat >"$scratch/server.cc" <<'END'
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>
#define KEEP __attribute__((noinline))

KEEP void *checked_malloc(size_t size) {
        void *p = malloc(size);
        if (!p)
                abort();
        return p;
}

KEEP char *pool_strdup(const std::string &text) {
        char *copy = static_cast<char *>(checked_malloc(text.size() + 1));
        return strcpy(copy, text.c_str());
}

struct Audit {
        std::vector<char *> entries;
        KEEP void record(const std::string &user) {
                entries.push_back(pool_strdup(user)); // planted
        }
};

KEEP std::string render(int request) {
        std::map<int, std::string> headers; // much is allocated here, and freed
        for (int i = 0; i < 20; i++)
                headers[i] = std::string(100 + i, 'h') + std::to_string(request);
        return headers[request % 20];
}

int main() {
        Audit audit;
        std::vector<char> steady(8 << 20, 's'); // larger than the leak, and it does not grow
        for (int request = 0;; request++) {
                std::string page = render(request);
                audit.record(std::string(60, 'u') + page.substr(0, 4));
                if (request % 1000 == 999) {
                        printf("%d %c\n", request + 1, steady[request % steady.size()]);
                        fflush(stdout);
                        if (!getchar()) // one line of input for a thousand requests
                                return 0;
                }
        }
}
END
        planted=$(grep -n '// planted' "$scratch/server.cc" | cut -d: -f1)
        g++ -g -O1 -o "$scratch/server" "$scratch/server.cc" || give_up "the program compiles"
}

requests_done() { # NUMBER
        [ "$(tail -n 1 "$scratch/out" | cut -d' ' -f1)" = "$1" ]
}

work() { # NUMBER: lets it go on until that many requests are done
        printf x >&9
        wait_until 60 requests_done "$1" || give_up "the program works" "$(cat "$scratch/run.log" "$scratch/out")"
}

first_row() { # FILE
        sed -n '/^$/{n;p;q}' <<<"$1"
}

story() {
        local first second rows
        readonly skip=(--skip-function 'checked_malloc*' --skip-function 'pool_*')
        mkfifo "$scratch/in"
        tmctl run -- "$scratch/server" <"$scratch/in" >"$scratch/out" 2>"$scratch/run.log" &
        run=$!
        background+=("$run")
        exec 9>"$scratch/in"
        wait_until 60 requests_done 1000 || give_up "the program runs" "$(cat "$scratch/run.log")"
        first=$(tmctl snapshot --name server)
        work 2000
        second=$(tmctl snapshot --name server)
        rows=$(tmctl compare "$first" "$second")
        claim_match "the planted line is the first row" "^$scratch/server.cc:$planted: size=.* count=200[01] \(\+1000\)" "$(first_row "$rows")"
        claim_match "it is said which wrappers are left out" 'left out, among them (checked_malloc and pool_strdup|pool_strdup and checked_malloc); --no-skip shows them' "$rows"
        claim_match "with --no-skip the wrapper is the first row" "^$scratch/server.cc:[0-9]+: size=.* count=200[01] \(\+1000\)" \
                "$(first_row "$(tmctl compare "$first" "$second" --no-skip)")"
        claim_match "with the wrappers skipped by name the planted line is the first row" "^$scratch/server.cc:$planted: size=.* \(\+" \
                "$(first_row "$(tmctl compare "$first" "$second" --no-skip "${skip[@]}")")"
        claim_match "with its source below" 'entries.push_back\(pool_strdup\(user\)\); // planted' "$rows"
        rows=$(tmctl compare "$first" "$second" --group-by function)
        claim_match "by function it is Audit::record" "server.cc \(Audit::record.*\): size=.* count=200[01] \(\+1000\)" "$(first_row "$rows")"
        rows=$(tmctl compare "$first" "@$(pid_of_server)" "${skip[@]}" --json --limit 1)
        claim_match "against the live table too" "\"lineno\":$planted" "$rows"
}

pid_of_server() {
        tmctl ps --name server | sed -n '2s/^ *\([0-9]*\).*/\1/p'
}

the_dead() {
        local pid output
        pid=$(pid_of_server)
        kill -KILL "$pid"
        wait "$run"
        claim_equal "tmctl run passes the signal on" 137 $?
        claim_match "of the dead process, its exit snapshot holds the planted line" \
                "^$scratch/server.cc:$planted: size=" "$(tmctl stats last:exit | grep "server.cc:")"
        claim_match "how it ended is kept" 'signal 9' "$(tmctl show last:exit)"
        output=$(tmctl snapshot --pid "$pid" 2>&1)
        claim_equal "asking for the dead is exit 3" 3 $?
        claim_match "and names the snapshot" "exit snapshot $(tmctl list --kind exit --json | sed -n 's/^[[]{"id":\([0-9]*\),.*/\1/p')" "$output"
}

write_program
daemon_start
story
the_dead
