#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The account of real programs agrees with heaptrack's.

Both trace the same command, in environments of the same variables, without address space randomisation; compared are the
number of allocations, the number and bytes of blocks never freed, and the peak. What may differ, and why:

- At most EDGE allocations, and blocks never freed, at the edges of the process: heaptrack starts when the first library
  constructor allocates, tracemallocd with the first call at all, and each brings a few of its own (the environment that
  programs copy holds the variables of either).
- EDGE_BYTES of them: libstdc++'s emergency pool (72,704 bytes) is allocated by a constructor that may run before
  heaptrack's, and stays.
- heaptrack stops before the destructors of most libraries (libLLVM's free 2,000 blocks): a preloaded library ends our
  program at the same moment (tests/support/stop_early.c).
- clang++ allocates according to addresses (its hash tables are keyed by pointers), and the two preloaded libraries move
  them: two runs of either tool differ by hundreds of 2.5 million. Of such a program RUNS runs of each are made, with
  addresses as the loader chooses them, and the two ranges have to meet, up to EDGE.
- Hooks that heaptrack lacks: memalign, pvalloc, C++ aligned new, reallocarray. None of these programs calls them.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import workloads  # noqa: E402
from tm import SOURCE, Claims, Daemon, skip  # noqa: E402

EDGE = 20
RUNS = 4  # two samples of one distribution, four each, lie apart once in 35; EDGE and the ranges' width make that rare
EDGE_BYTES = 72704 + 8192
FIXED_ADDRESSES = ["setarch", "--addr-no-randomize"]  # some programs sort by address


class Account:
    def __init__(self, allocations, live_count, live_size, peak):
        self.allocations, self.live_count, self.live_size, self.peak = allocations, live_count, live_size, peak

    def __str__(self):
        return (f"allocations {self.allocations}, never freed {self.live_count} blocks of {self.live_size} bytes, "
                f"peak {self.peak}")


def heaptrack_account(workload, folder, environment, prefix=FIXED_ADDRESSES):
    """From heaptrack's own data: 'a' describes a kind of block (size, stack), '+' and '-' are events, all hexadecimal."""
    out = os.path.join(folder, "heaptrack")
    subprocess.run([*prefix, "heaptrack", "-o", out, *workload.command], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env=environment, check=True, **workload.popen_options())
    [path] = glob.glob(out + ".*")
    unpack = ["zstd", "-dcq", path] if path.endswith(".zst") else ["gzip", "-dc", path]
    sizes, allocations, live_count, live_size, peak = [], 0, 0, 0, 0
    with subprocess.Popen(unpack, stdout=subprocess.PIPE, text=True, errors="replace") as lines:
        for line in lines.stdout:
            kind = line[0]
            if kind == "a":
                sizes.append(int(line.split()[1], 16))
            elif kind == "+":
                allocations += 1
                live_count += 1
                live_size += sizes[int(line[2:], 16)]
                peak = max(peak, live_size)
            elif kind == "-":
                live_count -= 1
                live_size -= sizes[int(line[2:], 16)]
    os.remove(path)
    return Account(allocations, live_count, live_size, peak)


def our_account(workload, daemon, prefix=FIXED_ADDRESSES):
    # what goes through malloc, as heaptrack has it: python3 as a native program
    _, exits, peaks = daemon.run([*prefix, *workload.command], "--domains", "malloc", **workload.popen_options())
    exits, peaks = ([s for s in found if s["ended_by"] != "exec"] for found in (exits, peaks))  # setarch was one
    [at_exit], [at_peak] = exits, peaks
    allocated = daemon.json("stats", at_exit["id"], "--allocated")
    return Account(allocated["total_count"], at_exit["count"], at_exit["size"], at_peak["size"]), at_exit["exact"]


def distance(some, others):
    """Between the ranges of two lists of numbers, less the width of the wider one: 0 or less where they meet."""
    width = max(max(some) - min(some), max(others) - min(others))
    return max(min(others) - max(some), min(some) - max(others)) - width


def allocations_apart(workload, ours, theirs, daemon, folder, environment):
    """How far apart the two numbers of allocations are, and what was compared."""
    if workload.deterministic:
        return abs(ours.allocations - theirs.allocations), ()
    some = [our_account(workload, daemon, [])[0].allocations for _ in range(RUNS)]
    others = [heaptrack_account(workload, folder, environment, []).allocations for _ in range(RUNS)]
    return distance(some, others), (f"heaptrack's runs: {others}", f"tracemallocd's: {some}")


def main():
    for program in ("heaptrack", "zstd"):
        if not shutil.which(program):
            skip(f"no {program}")
    with Claims() as claims, Daemon(environment={"PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0"}) as daemon, \
            tempfile.TemporaryDirectory() as folder:
        stop_early = os.path.join(folder, "stop_early.so")
        subprocess.run(["gcc", "-shared", "-fPIC", os.path.join(SOURCE, "tests", "support", "stop_early.c"), "-o",
                        stop_early], check=True)
        # what tmctl run adds, so that programs that copy their environment copy as much
        theirs_environment = dict(daemon.environment, TRACEMALLOCD_FRAMES="64", TRACEMALLOCD_RUN="0" * 32,
                                  TRACEMALLOCD_DOMAINS="malloc")
        daemon.environment["LD_PRELOAD"] = stop_early
        for make in workloads.ALL:
            own = os.path.join(folder, make.__name__)
            os.makedirs(own)
            workload = make(own)
            theirs = heaptrack_account(workload, own, theirs_environment)
            ours, exact = our_account(workload, daemon)
            details = (f"heaptrack:    {theirs}", f"tracemallocd: {ours}")
            name = workload.name
            claims.check(f"{name}: the table is exact", exact, *details)
            apart, runs = allocations_apart(workload, ours, theirs, daemon, own, theirs_environment)
            claims.check(f"{name}: as many allocations, up to {EDGE} ({ours.allocations})", apart <= EDGE, *details, *runs)
            claims.check(f"{name}: as many blocks never freed ({ours.live_count})",
                         abs(ours.live_count - theirs.live_count) <= EDGE, *details)
            claims.check(f"{name}: as many bytes never freed ({ours.live_size})",
                         abs(ours.live_size - theirs.live_size) <= EDGE_BYTES, *details)
            claims.check(f"{name}: the same peak ({ours.peak})", abs(ours.peak - theirs.peak) <= EDGE_BYTES, *details)


main()
