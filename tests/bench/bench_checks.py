# SPDX-License-Identifier: Apache-2.0
"""What is measured beside whole programs. Each check returns one line."""
import json
import os
import signal
import statistics
import subprocess
import threading
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

PERL = "my (%%h, @a); for my $i (1..%d) { $h{'key' . $i %% 5000} = [$i, 'v' x ($i %% 50)]; push @a, {i => $i} }"

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
    """No daemon: nothing but malloc and free, and a real program."""
    environment = dict(os.environ, LD_PRELOAD=AGENT, TRACEMALLOCD_RUNTIME_DIR=os.path.join(bench.folder, "nobody"))
    program = bench.compile("depth", DEPTH, "-O1", "-fno-optimize-sibling-calls")
    perl = ["perl", "-e", PERL % (200000 if bench.quick else 1000000)]
    texts = []
    for command in ([program, "10"], perl):
        found = []
        for _ in range(max(rounds, 5)):
            plain = bench.run(command)
            found.append(bench.run(command, environment).cpu / plain.cpu)
        texts.append(f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
    return f"agent loaded, no daemon, CPU time to plain: {texts[0]} of a program that does nothing but malloc and free; " \
           f"{texts[1]} of perl filling hashes"


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
    pairs, many = 500000, max(bench.blocks, 1000000)
    small, large = [], []
    for _ in range(min(rounds, 3)):
        small.append(record_cost(bench, 10000, pairs))
        large.append(record_cost(bench, many, pairs))
    small, large = statistics.median(small), statistics.median(large)
    return (f"daemon's CPU time for a record with {many:,} live blocks against 10,000: {large / small:.2f} "
            f"({small * 1e9:.0f} and {large * 1e9:.0f} ns)")


def own_bytes(daemon):
    """Resident memory without files and without what is shared with traced processes."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("RssAnon:"))


FULLEST = 2**20 * 17 // 32 - 1200  # some of what the program itself holds comes on top; live/trace_table.h
DOUBLED = 600000


def memory_of_a_block(bench, holder, blocks):
    before = own_bytes(bench.daemon)
    process = start_holder(bench, holder, blocks, 0)
    found = held(bench, blocks)
    growth = own_bytes(bench.daemon) - before
    end_holder(process, found["pid"])
    return growth / blocks


def block_memory(bench, _rounds):
    holder = bench.compile("holder", HOLDER)
    fullest, doubled = (memory_of_a_block(bench, holder, blocks) for blocks in (FULLEST, DOUBLED))
    return (f"private memory of the daemon for a live block, of {FULLEST}, when its table is fullest: {fullest:.1f} bytes; "
            f"of {DOUBLED}, after the table has doubled: {doubled:.1f}")


IDLE = """
#include <unistd.h>
int main(void) {
        pause();
}
"""


def idle(bench, _rounds):
    """Rings that nobody writes to, tables of what a libc allocates before main."""
    n = 100 if bench.quick else 1000
    program = bench.compile("idle", IDLE)
    environment = dict(bench.daemon.environment, LD_PRELOAD=AGENT)
    before = own_bytes(bench.daemon)
    processes = [subprocess.Popen([program], env=environment) for _ in range(n)]
    deadline = time.monotonic() + 120
    connected = 0
    while connected < n and time.monotonic() < deadline:
        connected = sum(p["name"] == "idle" for p in bench.daemon.json("ps"))
    growth = own_bytes(bench.daemon) - before
    for process in processes:
        process.kill()
        process.wait()
    return f"private memory of the daemon for {connected} connected idle processes: {growth / 2**20:.1f} MiB"


# Holds n blocks and allocates on; the longest time between two rounds of it, in nanoseconds, from when it is asked for on.
PAUSES = """
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static uint64_t now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
int main(int argc, char **argv) {
        long n = atol(argv[1]);
        void **blocks = malloc((size_t)n * sizeof(*blocks));
        uint64_t last, longest = 0;
        char byte;
        for (long i = 0; i < n; i++)
                blocks[i] = malloc(24);
        fcntl(0, F_SETFL, O_NONBLOCK);
        last = now();
        for (long i = 0;; i = (i + 7919) % n) {
                uint64_t at;
                ssize_t r = 0;
                free(blocks[i]);
                blocks[i] = malloc(24);
                at = now();
                if (at - last > longest)
                        longest = at - last;
                if (i % 64 == 0 && (r = read(0, &byte, 1)) == 1) {
                        printf("%llu\\n", (unsigned long long)longest);
                        fflush(stdout);
                        longest = 0;
                }
                if (i % 64 == 0 && r == 0)
                        return 0;
                last = now();
        }
}
"""

# The same many traces in tracemalloc; seconds of take_snapshot() and of dump().
TAKE_SNAPSHOT = """
import json, sys, time, tracemalloc
blocks = [bytearray(24) for _ in range(int(sys.argv[1]) // 2)]
start = time.monotonic()
snapshot = tracemalloc.take_snapshot()
taken = time.monotonic()
snapshot.dump(sys.argv[2])
print(json.dumps([taken - start, time.monotonic() - taken, len(snapshot.traces)]))
"""


class MostBytes:
    """The most private memory that the daemon has had while this was open."""

    def __init__(self, daemon):
        self.daemon, self.most, self.closed = daemon, own_bytes(daemon), threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.closed.wait(0.002):
            self.most = max(self.most, own_bytes(self.daemon))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closed.set()
        self.thread.join()


def longest_pause(process):
    process.stdin.write(b"?")
    process.stdin.flush()
    return int(process.stdout.readline()) / 1e9


def snapshots(bench, rounds):
    """Hold-up and time to the committed id, beside tracemalloc with as many traces; memory, beside the table's."""
    n = bench.blocks
    empty = own_bytes(bench.daemon)
    python = ["/usr/bin/python3", "-S", "-X", "tracemalloc=1", "-c", TAKE_SNAPSHOT, str(n),
              os.path.join(bench.folder, "pickle")]
    process = subprocess.Popen([TMCTL, "run", "--no-exit-snapshot", "--", bench.compile("pauses", PAUSES), str(n)],
                               env=bench.daemon.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    longest_pause(process)
    pid = next(p["pid"] for p in bench.daemon.json("ps") if p["name"] == "pauses")
    without, held_up, commit, taken, dumped, memory = [], [], [], [], [], []
    table = None
    for _ in range(max(rounds, 3)):
        time.sleep(1)
        without.append(longest_pause(process))
        before = own_bytes(bench.daemon)
        table = table or before - empty
        start = time.monotonic()
        with MostBytes(bench.daemon) as seen:
            bench.daemon.json("snapshot", "--pid", str(pid))
        commit.append(time.monotonic() - start)
        memory.append((seen.most - before) / table)
        held_up.append(longest_pause(process))
        times = json.loads(subprocess.run(python, capture_output=True, check=True).stdout)
        taken.append(times[0])
        dumped.append(times[0] + times[1])
    process.stdin.close()
    process.wait()
    taken, dumped = statistics.median(taken), statistics.median(dumped)
    return (f"snapshot of {n} live blocks: longest pause of the program {statistics.median(held_up) / taken:.4f} of "
            f"take_snapshot() ({statistics.median(held_up) * 1e3:.1f} ms; {statistics.median(without) * 1e3:.1f} ms in a second "
            f"without a snapshot); committed id after {statistics.median(commit) / dumped:.3f} of take_snapshot() and dump(); "
            f"private memory of the daemon for it: {max(memory):.2f} of the {table / 2**20:.0f} MiB of the table")


# n blocks from 512 call stacks, each with that many sizes.
VARIED = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *at(unsigned path, int depth, size_t size);
__attribute__((noipa)) static void *left(unsigned path, int depth, size_t size) {
        void *p = at(path, depth, size);
        __asm__ volatile("" ::: "memory");
        return p;
}
__attribute__((noipa)) static void *right(unsigned path, int depth, size_t size) {
        void *p = at(path, depth, size);
        __asm__ volatile("" ::: "memory");
        return p;
}
__attribute__((noipa)) static void *at(unsigned path, int depth, size_t size) {
        void *p;
        if (depth == 0)
                return malloc(size);
        p = path & 1 ? left(path >> 1, depth - 1, size) : right(path >> 1, depth - 1, size);
        __asm__ volatile("" ::: "memory");
        return p;
}
int main(int argc, char **argv) {
        long n = atol(argv[1]), sizes = atol(argv[2]);
        void **blocks = malloc((size_t)n * sizeof(*blocks));
        for (long i = 0; i < n; i++)
                blocks[i] = at((unsigned)i % 512, 9, 16 + (size_t)(i / 512 % sizes));
        puts("full");
        fflush(stdout);
        pause();
}
"""


def snapshot_memory_of(bench, holder, sizes):
    """Of the table's, sums of the call stacks included."""
    empty = own_bytes(bench.daemon)
    process = start_holder(bench, holder, FULLEST, sizes)
    pid = held(bench, FULLEST)["pid"]
    before = own_bytes(bench.daemon)
    with MostBytes(bench.daemon) as seen:
        bench.daemon.json("snapshot", "--pid", str(pid))
    end_holder(process, pid)
    return (seen.most - before) / (before - empty)


def snapshot_memory(bench, _rounds):
    holder = bench.compile("holder", VARIED, "-fno-optimize-sibling-calls")
    found = [f"{snapshot_memory_of(bench, holder, sizes):.2f} with {sizes}" for sizes in (1, 30, 300, 3000)]
    return (f"private memory of the daemon for a snapshot of {FULLEST} blocks from 512 call stacks, of the table's when it is fullest, by "
            f"number of sizes from each: {', '.join(found)} (the last: hardly two blocks are alike)")


def traced_memory(bench, _rounds):
    """Growth of the resident memory of a program of many blocks, most of it what it shares with the daemon."""
    holder = bench.compile("holder", HOLDER)
    found = []
    for command in ([holder], [TMCTL, "run", "--no-exit-snapshot", "--", holder]):
        process = subprocess.Popen([*command, "1000000", "0"], env=bench.daemon.environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        pid = held(bench, 1000000)["pid"] if len(command) > 1 else process.pid
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            found.append({k: int(v.split()[0]) * 1024 for k, v in (line.split(":") for line in f if line.startswith("Rss"))})
        end_holder(process, pid)
    private = found[1]["RssAnon"] - found[0]["RssAnon"]
    shared = found[1]["RssShmem"] - found[0]["RssShmem"]
    return f"memory that a traced program of 1000000 blocks grows by: {private / 2**20:.1f} MiB, and {shared / 2**20:.1f} MiB " \
           "of ring and definitions, which the daemon has, too"


CROWD = """
#include <pthread.h>
#include <stdlib.h>
static long pairs;
static void *run(void *unused) {
        void *blocks[256] = {0};
        for (long i = 0; i < pairs; i++) {
                free(blocks[i % 256]);
                blocks[i % 256] = malloc((size_t)(16 + i % 1000));
        }
        return unused;
}
int main(int argc, char **argv) {
        int n = atoi(argv[1]);
        pthread_t threads[64];
        pairs = atol(argv[2]);
        for (int i = 0; i < n; i++)
                pthread_create(&threads[i], NULL, run, NULL);
        for (int i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
}
"""


def run_together(commands, environment):
    """Return: seconds until each ended, in the order of the commands; what they said."""
    start = time.monotonic()
    processes = [subprocess.Popen(c, env=environment, stderr=subprocess.PIPE) for c in commands]
    ends, said = [0.0] * len(processes), [b""] * len(processes)

    def wait(i):
        said[i] = processes[i].communicate()[1]
        ends[i] = time.monotonic() - start

    threads = [threading.Thread(target=wait, args=(i,)) for i in range(len(processes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends, b"".join(said).decode()


def crowd(bench, rounds):
    """More that allocate at full speed than there are processors: they wait for the daemon, and for each other."""
    program = bench.compile("crowd", CROWD)
    pairs, texts = 100000 if bench.quick else 1000000, []
    for what, copies, threads in (("8 processes", 8, 1), ("64 threads of one", 1, 64)):
        command = [program, str(threads), str(pairs // threads * 8)] if threads > 1 else [program, "1", str(pairs)]
        ratios, unfair, lost = [], [], 0
        for _ in range(rounds):
            plain, _ = run_together([command] * copies, os.environ)
            traced, said = run_together([[TMCTL, "run", "--no-exit-snapshot", "--", *command]] * copies,
                                        bench.daemon.environment)
            ratios.append(max(traced) / max(plain))
            unfair.append(max(traced) / min(traced))
            lost += said.count(" lost")
        texts.append(f"{what}: run time {statistics.median(ratios):.1f} of plain, the last one ends at "
                     f"{statistics.median(unfair):.2f} of the first one's time, {lost} lost events")
    return "nothing but malloc and free, all at once: " + "; ".join(texts)


ALL = {"depth": depth, "untraced": untraced, "records": records, "block-memory": block_memory, "idle": idle,
       "snapshots": snapshots, "snapshot-memory": snapshot_memory, "traced-memory": traced_memory, "crowd": crowd}
