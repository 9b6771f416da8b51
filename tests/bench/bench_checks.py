# SPDX-License-Identifier: Apache-2.0
"""What is measured beside whole programs. Each check returns one line."""
import os
import signal
import statistics
import subprocess
import time

from bench_measure import cpu_seconds
from tm import AGENT, TMCTL

DEPTH = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static int at(int depth) {
        int r = 0;
        if (depth > 0)
                r = at(depth - 1);
        else
                for (int i = 0; i < 1000000; i++) {
                        void *volatile block = malloc(24);
                        free(block);
                }
        __asm__ volatile("" ::: "memory");
        return r + 1;
}
int main(int argc, char **argv) {
        return at(atoi(argv[1])) == 0;
}
"""

HOLDER = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
        long n = atol(argv[1]), pairs = atol(argv[2]);
        void **blocks = malloc((size_t)n * sizeof(*blocks));
        unsigned random = 1;
        for (long i = 0; i < n; i++)
                blocks[i] = malloc(24);
        puts("full");
        fflush(stdout);
        getchar();
        for (long i = 0; i < pairs; i++) {
                random = random * 1664525 + 1013904223;
                long at = (long)((unsigned long)random * (unsigned long)n >> 32);
                free(blocks[at]);
                blocks[at] = malloc(24);
        }
        puts("done");
        fflush(stdout);
        pause();
}
"""


def added_cpu(bench, commands, rounds):
    """Median CPU seconds that tracing adds to each command, daemon's included."""
    added = [[] for _ in commands]
    for _ in range(max(rounds, 3)):
        for i, command in enumerate(commands):
            plain = bench.run(command)
            traced = bench.run([TMCTL, "run", "--no-exit-snapshot", "--", *command], bench.daemon.environment)
            added[i].append(traced.cpu + traced.daemon_cpu - plain.cpu)
    return [statistics.median(a) for a in added]


def depth(bench, rounds):
    program = bench.compile("depth", DEPTH, "-O1", "-fno-optimize-sibling-calls")
    shallow, deep = added_cpu(bench, [[program, "10"], [program, "200"]], rounds)
    return (f"CPU time added to an allocation and its free at depth 200 against depth 10: {deep / shallow:.2f} "
            f"({shallow * 1e3:.0f} and {deep * 1e3:.0f} ns)")


def untraced(bench, rounds):
    program = bench.compile("depth", DEPTH, "-O1", "-fno-optimize-sibling-calls")
    environment = dict(os.environ, LD_PRELOAD=AGENT, TRACEMALLOCD_RUNTIME_DIR=os.path.join(bench.folder, "nobody"))
    found = []
    for _ in range(max(rounds, 5)):
        plain = bench.run([program, "10"])
        found.append(bench.run([program, "10"], environment).cpu / plain.cpu)
    return f"agent loaded, no daemon, CPU time of a program that does nothing but malloc and free, to plain: " \
           f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def start_holder(bench, holder, blocks, pairs):
    process = subprocess.Popen([TMCTL, "run", "--no-exit-snapshot", "--", holder, str(blocks), str(pairs)],
                               env=bench.daemon.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    process.stdout.readline()
    return process


def held(bench, at_least):
    """Waits until the daemon has seen as many blocks. Return: the process as tmctl ps has it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for p in bench.daemon.json("ps"):
            if p["name"] == "holder" and p["live_count"] >= at_least:
                return p
    raise RuntimeError("the daemon did not see the blocks")


def end_holder(process, pid):
    os.kill(pid, signal.SIGTERM)
    process.wait()


def record_cost(bench, blocks, pairs):
    process = start_holder(bench, bench.compile("holder", HOLDER), blocks, pairs)
    found = held(bench, blocks)
    time.sleep(0.3)  # the table stops growing
    before = cpu_seconds(bench.daemon.process.pid)
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()
    time.sleep(0.3)  # what is in the ring is read
    spent = cpu_seconds(bench.daemon.process.pid) - before
    end_holder(process, found["pid"])
    return spent / (2 * pairs)


def records(bench, rounds):
    pairs = 500000
    small, large = [], []
    for _ in range(min(rounds, 3)):
        small.append(record_cost(bench, 10000, pairs))
        large.append(record_cost(bench, 1000000, pairs))
    small, large = statistics.median(small), statistics.median(large)
    return (f"daemon's CPU time for a record with 1,000,000 live blocks against 10,000: {large / small:.2f} "
            f"({small * 1e9:.0f} and {large * 1e9:.0f} ns)")


def own_bytes(daemon):
    """Resident memory without files and without what is shared with traced processes."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("RssAnon:"))


def block_memory(bench, _rounds):
    blocks = 1000000
    before = own_bytes(bench.daemon)
    process = start_holder(bench, bench.compile("holder", HOLDER), blocks, 0)
    found = held(bench, blocks)
    growth = own_bytes(bench.daemon) - before
    end_holder(process, found["pid"])
    return f"private memory of the daemon for a live block, of {blocks}: {growth / blocks:.0f} bytes"


ALL = {"depth": depth, "untraced": untraced, "records": records, "block-memory": block_memory}
