#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Python programs traced from outside hold what their own tracemalloc says, line by line and traceback by traceback.

usage: test_python_differential.py [--full] [PROGRAM...]

Each program of tests/support/python_programs runs twice to the same point: once under `-X tracemalloc=N`, once under
`tmctl run --frames N --domains python`. Of every trace whose most recent frame is in the program's own file, size,
count and traceback must agree. Short form: each program on Debian's Python with one N, a seeded one on each of the others;
--full: all of them, N = 1, 5 and 25.

WHAT MAY DIFFER, and why:
- Free lists, up to 3.12. CPython keeps dead floats, lists, tuples, dicts, frames and the like, and makes new ones of
  them without asking an allocator. tracemalloc is told of that and gives the block the traceback of the new object;
  nobody else can be told. So blocks of the sizes that such objects have may stand at another line, but not many.
- Free lists, from 3.13 on. PyRefTracer tells the agent, too. What lay in a free list before tracemalloc began it does not know,
  and never will: a few blocks of those sizes (KEPT_MAX) more are seen from outside, and not one fewer.
- Integers that are addresses (a type keeps its subclasses by address) are as large as the address. Both runs are made
  without address space randomisation, where that is permitted; else 28 and 32 bytes count as one size.
- tracemalloc's own objects, and those of the function that stops the program, are not in the program's file.
- File names. tracemalloc keeps each that it has met, so one that the program let go of is alive there (3.8, 3.9). No program does.
- What goes by addresses of objects, which no two runs have in common (tracemalloc's tables and the agent's maps lie in the same
  space). One such thing was found by holding tracemalloc against itself with other addresses, on all programs and versions:
  names in the interpreter's cache of type attributes (6 to 85 of strftime()'s, 35 to 37 of open()'s, 2 or 3 of pickle.dumps()'s).
  stop_point.py empties that cache. Should there be others: where the runs differ, tracemalloc is asked ASK_AGAIN times more, with
  other addresses, and a difference counts unless it gives different answers itself, for the same entry.
Nothing else may differ.
"""
import collections
import os
import pickle
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import pythons  # noqa: E402
from tm import SOURCE, TMCTL, Claims, Daemon, skip  # noqa: E402

SUPPORT = os.path.join(SOURCE, "tests", "support")
FOLDER = os.path.join(SUPPORT, "python_programs")
LIMITS = (1, 5, 25)
SEED = int(os.environ.get("TEST_SEED", "20261124"))
ASK_AGAIN = 4
KEPT_MAX = 10
OTHERS = 1  # programs on each of the other Pythons, short form
DEBIAN = "/usr/bin/python3"
PACKAGED = {"greenlets"}  # programs that import a package of Debian's: its Python alone has it
RELABELLED_MAX, RELABELLED_SHARE = 300, 0.33  # blocks that free lists may account for: so many, and so many of all

GC_HEADER = 16
# Sizes of what CPython has free lists of, on 64 bits: float; what an asynchronous generator yields and the
# awaitable that asks for it; list; method; context; dict and its smallest keys; tuples of 1 to 20.
FREE_LIST_SIZES = {24, 40} | {GC_HEADER + size for size in (40, 48, 56, 64, 72, 80)} | \
                  {GC_HEADER + 24 + 8 * n for n in range(1, 21)} | {160, 104, 232}
# From 3.14 on integers have one, too, and a tuple keeps its hash.
KEPT_SIZES = FREE_LIST_SIZES | {32} | {GC_HEADER + 32 + 8 * n for n in range(1, 21)}
# Up to 3.10 frames are objects, and each code object keeps its last one for the next call.
FRAME_SIZES = range(376, 1024, 8)
# Up to 3.11 a bytes object of one byte is made once and kept: it belongs to whoever needed it first, which may have been
# before tracemalloc began.
ONE_BYTE = 34


def environment_of(daemon, **more):
    return dict(daemon.environment, PYTHONHASHSEED="0", PYTHONPATH=SUPPORT, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8",
                **more)


class Account:
    """Traces of one run: {(size, total_nframe or None, frames, newest first): count}"""

    def __init__(self, output, traces):
        self.output, self.traces = output, traces

    def by_key(self, path, key):
        """{key of the frames: [size, count]}, and the same for each size apart, of what the file's lines hold."""
        sums, sizes = collections.Counter(), collections.Counter()
        for (size, depth, frames), count in self.traces.items():
            if frames[0][0] == path:
                sums[key(depth, frames)] += count
                sizes[key(depth, frames), of_address(size)] += count
        return sums, sizes


def same_addresses():
    command = ["setarch", "-R"]
    try:
        return command if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode == 0 else []
    except OSError:
        return []


SAME_ADDRESSES = same_addresses()


def of_address(size):
    """28 for 32, where integers of both sizes are addresses."""
    return 28 if size == 32 and not SAME_ADDRESSES else size


def is_relabelled(version, size):
    if version >= (3, 13):
        return False
    return size in FREE_LIST_SIZES or version < (3, 11) and size in FRAME_SIZES or version < (3, 12) and size == ONE_BYTE


def by_line(depth, frames):
    return frames[0]


def by_traceback(depth, frames):
    return depth, frames


def run_inside(daemon, python, path, limit, folder, setarch=SAME_ADDRESSES):
    """Under its own tracemalloc."""
    dump = os.path.join(folder, "traces")
    result = subprocess.run([*setarch, python, "-X", f"tracemalloc={limit}", path], cwd=folder,
                            env=environment_of(daemon, STOP_DUMP=dump), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                            timeout=300, check=True)
    with open(dump, "rb") as f:
        raw = pickle.load(f)
    traces = collections.Counter()
    for domain, size, frames, *depth in raw:
        if domain == 0:
            traces[size, depth[0] if depth else None, tuple(frames)] += 1
    return Account(result.stdout, traces)


def run_outside(daemon, python, path, limit, folder):
    """Under tmctl run. tracemalloc is off, but named, so that the interpreter has the same options to keep."""
    run = subprocess.Popen([TMCTL, "run", "--frames", str(limit), "--domains", "python", "--no-exit-snapshot", "--",
                            *SAME_ADDRESSES, python, "-X", "tracemalloc=0", path],
                           cwd=folder, env=environment_of(daemon), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = []
    for line in run.stderr:
        said.append(line)
        if line.startswith(b"stopped "):
            break
    else:
        raise RuntimeError(f"{path} did not stop: {said}")
    snapshot = daemon.tmctl("snapshot", "--pid", int(said[-1].split()[1])).stdout.strip()
    traces = collections.Counter()
    for trace in daemon.json_lines("traces", snapshot, "--domain", "python"):
        frames = tuple((f["filename"], f["lineno"]) for f in reversed(trace["traceback"]))
        traces[trace["size"], trace["total_nframe"], frames] += trace["count"]
    output, _ = run.communicate(b"x", timeout=300)
    return Account(output, traces)


def differing(version, path, inside, outside, key):
    """{(key, size): (count inside, count outside)}. Keys are compared size by size, which is stricter than their sums."""
    theirs, ours = inside.by_key(path, key)[1], outside.by_key(path, key)[1]
    return {entry: (theirs[entry], ours[entry]) for entry in set(theirs) | set(ours)
            if theirs[entry] != ours[entry] and not is_relabelled(version, entry[1])}


def without_kept(found):
    """Less what free lists held before tracemalloc began, if that is all that it can be."""
    kept = {entry: ours - theirs for entry, (theirs, ours) in found.items() if entry[1] in KEPT_SIZES and ours > theirs}
    if sum(kept.values()) > KEPT_MAX:
        return found
    return {entry: counts for entry, counts in found.items() if entry not in kept}


class Pair:
    """A run under tracemalloc, one under tmctl, and, once they differ, what tracemalloc says with other addresses."""

    def __init__(self, daemon, version, python, path, limit, folder):
        self.version, self.path = version, path
        self.again = lambda: run_inside(daemon, python, path, limit, folder, [])
        self.inside = run_inside(daemon, python, path, limit, folder)
        self.outside = run_outside(daemon, python, path, limit, folder)
        if version < (3, 9):  # total_nframe came with 3.9
            self.outside = without_depth(self.outside)
        self.others = None

    def itself(self, key):
        """Entries in which tracemalloc's own runs differ. (Integers do anyway, where they are addresses.)"""
        if self.others is None:
            self.others = [self.again() for _ in range(ASK_AGAIN)]
        found = set().union(*(differing(self.version, self.path, self.inside, other, key) for other in self.others))
        return {entry for entry in found if entry[1] not in (28, 32)}

    def wrong(self, key):
        """Lines of text."""
        found = differing(self.version, self.path, self.inside, self.outside, key)
        if self.version >= (3, 13):
            found = without_kept(found)
        excused = self.itself(key) if found else set()
        return [f"{entry[0]}: blocks of {entry[1]} bytes: tracemalloc {theirs}, here {ours}"
                for entry, (theirs, ours) in sorted(found.items(), key=repr) if entry not in excused]


def relabelled(version, path, inside, outside):
    """(blocks of free lists' sizes that stand at another line, blocks of the program's lines)"""
    theirs, ours = inside.by_key(path, by_line)[1], outside.by_key(path, by_line)[1]
    return sum(abs(theirs[entry] - ours[entry]) for entry in set(theirs) | set(ours)
               if is_relabelled(version, entry[1])), sum(theirs.values())


def without_depth(account):
    traces = collections.Counter()
    for (size, _, frames), count in account.traces.items():
        traces[size, None, frames] += count
    return Account(account.output, traces)


def compare(claims, daemon, version, python, program, limit, folder):
    path = os.path.join(FOLDER, program + ".py")
    pair = Pair(daemon, version, python, path, limit, folder)
    inside, outside = pair.inside, pair.outside
    name = f"{'.'.join(map(str, version))} {program}, {limit} frame{'s' if limit > 1 else ''}"
    claims.check(f"{name}: its output is the same", inside.output == outside.output, inside.output, outside.output)
    held = sum(count for (_, _, frames), count in inside.traces.items() if frames[0][0] == path)
    wrong = pair.wrong(by_line)
    claims.check(f"{name}: {held} blocks by line", held > 50 and not wrong, *wrong[:10])
    wrong = pair.wrong(by_traceback)
    claims.check(f"{name}: by traceback", not wrong, *wrong[:10])
    moved, held = relabelled(version, path, inside, outside)
    claims.check(f"{name}: free lists account for few ({moved} of {held})", moved <= RELABELLED_MAX + held * RELABELLED_SHARE)


def plan(found, programs, full):
    """[(version, python, program, limit)]"""
    if full:
        return [(version, python, program, limit) for version, python in sorted(found.items()) for program in programs
                for limit in LIMITS if python == DEBIAN or program not in PACKAGED]
    dice = random.Random(SEED)
    first = next(iter(found))
    cases = [(first, found[first], program, LIMITS[i % 3]) for i, program in enumerate(programs)
             if found[first] == DEBIAN or program not in PACKAGED]
    programs = [program for program in programs if program not in PACKAGED]
    for version in sorted(set(found) - {first}):
        cases += [(version, found[version], program, dice.choice(LIMITS))
                  for program in dice.sample(programs, min(OTHERS, len(programs)))]
    return cases


def main():
    found = pythons.supported()
    if not found:
        skip("no CPython 3.8 to 3.14")
    named = [a for a in sys.argv[1:] if not a.startswith("-")]
    programs = named or sorted(f[:-3] for f in os.listdir(FOLDER) if f.endswith(".py"))
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        for case in plan(found, programs, "--full" in sys.argv or bool(named)):
            compare(claims, daemon, *case, folder)


main()
