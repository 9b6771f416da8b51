#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""For single-threaded deterministic programs the number of allocations, what was never freed, and the peak agree with
heaptrack's on the same command in the same environment.

Heaptrack's raw file is read, not its summary, which is rounded. Known differences, DIFFERENCE_MAX allocations at most:
- libstdc++'s emergency pool for exceptions (72,704 bytes), which heaptrack brings into C programs;
- what the dynamic loader and constructors allocate before heaptrack's first hook is ready, and frees behind its atexit handler;
- what depends on the text of the environment: heaptrack takes its variables out of it.
"""

import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from programs import ENVIRONMENT, programs  # noqa: E402
from testing import AGENT, SCRATCH, SOURCE, ask, claim, main, skip, start_daemon, wait_until  # noqa: E402

HEAPTRACK = pathlib.Path("/usr/lib/heaptrack/libheaptrack_preload.so")
DIFFERENCE_MAX = 20
EMERGENCY_POOL = 72704


def environment(library):
    """The same for both: programs allocate by the number and length of their variables."""
    link = SCRATCH / f"{'a' if library.name.startswith('libtracemalloc') else 'h'}.so"
    if not link.exists():
        link.symlink_to(library)
    return {
        **ENVIRONMENT, "HOME": str(SCRATCH), "LD_PRELOAD": str(link),
        "DUMP_HEAPTRACK_OUTPUT": str(SCRATCH / "heaptrack.raw"), "TRACEMALLOCD_RUNTIME_DIR": str(SCRATCH / "run"),
        "TRACEMALLOCD_FRAMES": "8", "TRACEMALLOCD_CHILDREN": "0",
    }


def run(command, library):
    """Returns pid, output. Without address randomisation: hash tables of pointers make clang++ allocate by chance."""
    (SCRATCH / "heaptrack.raw").unlink(missing_ok=True)
    variables = environment(library)
    preload = variables.pop("LD_PRELOAD")  # for the program alone
    process = subprocess.Popen(["setarch", "-R", "env", f"LD_PRELOAD={preload}", *command], env=variables,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output, _ = process.communicate(timeout=300)
    return process.pid, (process.returncode, output)


def heaptrack_counts(path):
    """Allocations, blocks and bytes never freed, peak of the bytes."""
    alive, allocations, size, peak, pool = {}, 0, 0, 0, False
    with open(path, "rb") as f:
        for line in f:
            if line.startswith(b"+ "):
                _, n, _, address = line.split()
                if not allocations and not pool and int(n, 16) == EMERGENCY_POOL:
                    pool = True  # heaptrack's own: see above
                    continue
                allocations += 1
                size += int(n, 16) - alive.get(address, 0)
                alive[address] = int(n, 16)
                peak = max(peak, size)
            elif line.startswith(b"- "):
                size -= alive.pop(line.split()[1], 0)
    return dict(allocations=allocations, blocks=len(alive), bytes=size, peak=peak)


def our_counts(pid):
    def last_snapshots():
        kinds = {s["kind"]: s for s in ask("list", "--pid", pid)}
        return kinds if {"exit", "peak"} <= set(kinds) else None

    kinds = wait_until(last_snapshots)
    if not kinds:
        raise RuntimeError(f"no exit and peak snapshots of {pid}")
    id = kinds["exit"]["id"]
    allocated = ask("stats", id, "--allocated", "--group-by", "filename")
    claim("    nothing is lost", kinds["exit"]["exact"], kinds["exit"])
    return dict(allocations=allocated["total_count"], blocks=kinds["exit"]["count"], bytes=kinds["exit"]["size"],
                peak=kinds["peak"]["size"])


def differs(ours, theirs, bytes_of_difference):
    limits = dict(allocations=DIFFERENCE_MAX, blocks=DIFFERENCE_MAX, bytes=bytes_of_difference, peak=bytes_of_difference)
    return {key: (ours[key], theirs[key]) for key in limits if abs(ours[key] - theirs[key]) > limits[key]}


def compare(name, command):
    pid, output = run(command, AGENT)
    ours = our_counts(pid)
    _, their_output = run(command, HEAPTRACK)
    theirs = heaptrack_counts(SCRATCH / "heaptrack.raw")
    claim(f"{name}: output and status are the same", output == their_output, f"{output[0]} {their_output[0]}")
    # the few blocks that one of the two does not see are small ones of loader and start-up code
    wrong = differs(ours, theirs, DIFFERENCE_MAX * 4096)
    claim(f"{name}: {theirs['allocations']} allocations, {theirs['blocks']} blocks of {theirs['bytes']} bytes never freed, "
          f"peak {theirs['peak']}; ours {ours['allocations']}, {ours['blocks']}, {ours['bytes']}, {ours['peak']}", not wrong, wrong)


def test():
    if not HEAPTRACK.exists():
        skip(f"no {HEAPTRACK} (apt-get install heaptrack)")
    start_daemon("[snapshots]\nexit_min_age = 0\n")
    for name, command in programs(SCRATCH, SOURCE).items():
        compare(name, command)


main(test)
