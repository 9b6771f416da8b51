#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The account of real programs agrees with heaptrack's.

Both trace the same command; compared are the number of allocations, the number and bytes of blocks never freed, and the
peak. What may differ, and why:

- At most EDGE allocations, and blocks never freed, at the edges of the process: heaptrack starts with its own
  constructor and stops in an atexit handler, tracemallocd goes from the first call to the last.
- EDGE_BYTES of them: libstdc++'s emergency pool (72,704 bytes) is allocated by a constructor that may run before
  heaptrack's, and stays.
- Hooks that heaptrack lacks: memalign, pvalloc, C++ aligned new, reallocarray. Their calls are counted here by the
  program that uses them; none of these programs does.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import workloads  # noqa: E402
from tm import Claims, Daemon, skip  # noqa: E402

EDGE = 20
EDGE_BYTES = 72704 + 8192


class Account:
    def __init__(self, allocations, live_count, live_size, peak):
        self.allocations, self.live_count, self.live_size, self.peak = allocations, live_count, live_size, peak

    def __str__(self):
        return (f"allocations {self.allocations}, never freed {self.live_count} blocks of {self.live_size} bytes, "
                f"peak {self.peak}")


def heaptrack_account(workload, folder):
    """From heaptrack's own data: 'a' describes a kind of block (size, stack), '+' and '-' are events, all hexadecimal."""
    out = os.path.join(folder, "heaptrack")
    with_input = workload.popen_options()
    subprocess.run(["heaptrack", "-o", out, *workload.command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=True, **with_input)
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
    return Account(allocations, live_count, live_size, peak)


def our_account(workload, daemon):
    _, exits, peaks = daemon.run(workload.command, "--no-children", **workload.popen_options())
    [at_exit], [at_peak] = exits, peaks
    allocated = daemon.json("stats", at_exit["id"], "--allocated")
    return Account(allocated["total_count"], at_exit["count"], at_exit["size"], at_peak["size"]), at_exit["exact"]


def main():
    for program in ("heaptrack", "zstd"):
        if not shutil.which(program):
            skip(f"no {program}")
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        for make in workloads.ALL:
            own = os.path.join(folder, make.__name__)
            os.makedirs(own)
            workload = make(own)
            theirs = heaptrack_account(workload, own)
            ours, exact = our_account(workload, daemon)
            details = (f"heaptrack:    {theirs}", f"tracemallocd: {ours}")
            name = workload.name
            claims.check(f"{name}: the table is exact", exact, *details)
            claims.check(f"{name}: as many allocations ({ours.allocations})",
                         abs(ours.allocations - theirs.allocations) <= EDGE, *details)
            claims.check(f"{name}: as many blocks never freed ({ours.live_count})",
                         abs(ours.live_count - theirs.live_count) <= EDGE, *details)
            claims.check(f"{name}: as many bytes never freed ({ours.live_size})",
                         abs(ours.live_size - theirs.live_size) <= EDGE_BYTES, *details)
            claims.check(f"{name}: the same peak ({ours.peak})", abs(ours.peak - theirs.peak) <= EDGE_BYTES, *details)


main()
