#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of tracemalloc the whole way, through tmctl: what is refused is refused in one line that names the byte and the reason, and leaves
nothing; what goes out can be loaded by CPython, and goes out again, once imported, as the same file; what is left out is said."""
import collections
import json
import os
import pickle
import pickletools
import random
import re
import subprocess
import sys
import tracemalloc

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from python_snapshots import run, statistics_of  # noqa: E402
from pythons import since  # noqa: E402
from test_model_sources import C_PROGRAM, Subject  # noqa: E402
from test_pickle_python import OLDEST, dumped, nested, random_traces  # noqa: E402
from tm import BUILD, Claims, Daemon  # noqa: E402

KEYS = (("lineno", False), ("filename", False), ("traceback", False), ("lineno", True), ("filename", True))
FRAMES = (("a.py", 1),)

# Statistics of a file, as JSON, by a CPython of any version from 3.6 on; frames oldest first.
STATISTICS = r"""
import json, sys, tracemalloc
snapshot = tracemalloc.Snapshot.load(sys.argv[1])
rows = []
for key, cumulative in (("lineno", False), ("filename", False), ("traceback", False), ("lineno", True), ("filename", True)):
    rows.append([[s.size, s.count, [[f.filename, f.lineno] for f in s.traceback]] for s in snapshot.statistics(key, cumulative)])
    if sys.version_info < (3, 7):  # it has the most recent frame first
        rows[-1] = [[size, count, frames[::-1]] for size, count, frames in rows[-1]]
print(json.dumps([rows, len(snapshot.traces), snapshot.traceback_limit]))
"""


class Evil:
    """What must never be called."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def write(daemon, name, data):
    path = os.path.join(daemon.scratch, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def snapshot_of(*traces, limit=1, **attributes):
    snapshot = tracemalloc.Snapshot(list(traces), limit)
    for name, value in attributes.items():
        setattr(snapshot, name, value)
    return dumped(snapshot)


def opcodes(data):
    """[(name, argument, position)]"""
    return [(op.name, argument, at) for op, argument, at in pickletools.genops(data)]


def nth(data, name, n=0):
    """Byte of the n-th opcode of a name; negative n from the end."""
    return [at for op, _, at in opcodes(data) if op == name][n]


# ---- what is refused ----

def reader_says(daemon, path, *command):
    """(byte, reason) of the one line that a refusal is, or what came instead."""
    done = daemon.tmctl(*command, path)
    match = re.fullmatch(r"tmctl: .*tracemalloc snapshot that can be read: byte (\d+): ([ -~]+)\n", done.stderr)
    if done.returncode != 1 or done.stdout or not match:
        return done.returncode, done.stdout, done.stderr
    return int(match[1]), match[2]


def check_refused(claims, daemon, what, cases):
    """@cases: (data, byte or None, a part of the reason)"""
    before, wrong = daemon.json("list"), []
    for i, (data, at, reason) in enumerate(cases):
        path = write(daemon, "refused.pickle", data)
        for command in (("import",), ("stats",)) if i % 10 == 0 else (("import",),):
            said = reader_says(daemon, path, *command)
            if len(said) != 2 or at is not None and said[0] != at or reason not in said[1]:
                wrong.append((command, len(data), data[:200], "wanted", at, reason, "got", said))
    claims.check(f"{what}: refused in one line with the byte and why, {len(cases)} files", not wrong and cases, *wrong[:5])
    claims.check(f"{what}: nothing is stored", daemon.json("list") == before)


def truncated(rng):
    small = snapshot_of((0, 1, FRAMES, 1), (0, 2, (("b.py", 7), ("a.py", 1)), 2), note="x")
    large = dumped(tracemalloc.Snapshot([(0, rng.randint(0, 2 ** 40), ((f"file{i % 977}.py", i % 50), ("main.py", 1)), 2)
                                         for i in range(100000)], 2))
    assert len(large) > 2 << 20  # more than two of the pieces that tmctl sends
    cuts = [(small, length) for length in range(0, len(small), 3)] + [
        (large, length) for length in (len(large) - 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1500001)]
    return [(data[:length], length, "the file ends before the pickle does") for data, length in cuts]


def wrong_classes(daemon, evil_path):
    good = (0, 1, FRAMES, 1)
    evil = snapshot_of(good, attribute=Evil(evil_path))
    inside = dumped(tracemalloc.Snapshot([(0, 1, FRAMES, 1), (0, 1, Evil(evil_path), 1)], 1))
    ordered = pickle.dumps(collections.OrderedDict(a=1), 4)
    alone = pickle.dumps(Evil(evil_path), 4)
    frame = pickle.dumps(tracemalloc.Frame(("a.py", 1)), 4)
    return [(evil, nth(evil, "STACK_GLOBAL", -1), "'posix.system'"),
            (inside, nth(inside, "STACK_GLOBAL", -1), "'posix.system'"),
            (alone, nth(alone, "STACK_GLOBAL"), "'posix.system'"),
            (ordered, nth(ordered, "STACK_GLOBAL"), "'collections.OrderedDict'"),
            (frame, nth(frame, "STACK_GLOBAL"), "'tracemalloc.Frame'"),
            (b"\x80\x04cposix\nsystem\n(S'true'\ntR.", 2, "opcode 0x63"),
            (b"\x80\x02]q\x00.", 0, "protocol 2"),
            (pickle.dumps([1], 0), 0, "does not begin with a protocol"),
            (b"\x7fELF" + bytes(100), 0, "does not begin with a protocol"),
            (b"", 0, "the file ends before")]


def wrong_shapes():
    """Well-formed pickles that are no snapshots: the byte is where the value that is wrong ends, or is told of."""
    cases = []
    for traces, name, n, reason in (
            ([(0, -1, FRAMES, 1)], "BININT", 0, "below 0"),
            ([(-1, 1, FRAMES, 1)], "BININT", 0, "below 0"),
            ([(0, 1, (("a.py", -7),), 1)], "BININT", 0, "below 0"),
            ([(0, 2 ** 64, FRAMES, 1)], "LONG1", 0, "64 bits"),
            ([(0, 2 ** 63, FRAMES, 1)], "TUPLE", -1, "a size above"),
            ([(2 ** 32, 1, FRAMES, 1)], "TUPLE", -1, "a domain above"),
            ([(0, 1, (("a.py", 2 ** 32),), 1)], "TUPLE2", -1, "a line number above"),
            ([(0, 1, FRAMES, 2 ** 32)], "TUPLE", -1, "a total_nframe above"),
            ([(0, 1, (), 1)], "TUPLE", -1, "without frames"),
            ([(0, 1.5, FRAMES, 1)], "BINFLOAT", 0, "type"),
            ([(0, True, FRAMES, 1)], "NEWTRUE", 0, "type"),
            ([(0, 1, ((b"a.py", 1),), 1)], "SHORT_BINBYTES", 0, "type"),
            ([(0, 1, FRAMES, 1, 1)], "TUPLE", -1, "no frame, traceback or trace"),
            ([(0, 1)], "TUPLE2", -1, "no frame, traceback or trace"),
            ([(0, 1, (("a.py", 1, 1),), 1)], "TUPLE3", -1, "no frame, traceback or trace"),
            ([(0, 1, ("a.py", 1), 1)], None, 0, "no frame, traceback or trace"),
            ([7], "APPEND", 0, "no trace"),
            (["text"], "SHORT_BINUNICODE", -2, "no trace"),
            ([None], "NONE", 0, "no trace"),
            ([(0, 2 ** 62, FRAMES, 1), (0, 2 ** 62, FRAMES, 1)], None, 0, "add up to more")):
        data = snapshot_of(*traces)
        cases.append((data, name and nth(data, name, n), reason))
    for data, reason in ((snapshot_of(limit=-1), "traceback_limit"), (snapshot_of(limit="3"), "traceback_limit"),
                         (snapshot_of(limit=2 ** 32), "traceback_limit"), (snapshot_of(traces=[]), "no tracemalloc._Traces"),
                         (dumped(tracemalloc.Snapshot([], 1).traces), "no tracemalloc.Snapshot"),
                         (pickle.dumps([(0, 1, FRAMES, 1)], 4), "no tracemalloc.Snapshot"),
                         (pickle.dumps(17, 4), "no tracemalloc.Snapshot"), (snapshot_of(deep=nested(400)), "deep")):
        cases.append((data, None, reason))
    good = snapshot_of((0, 1, FRAMES, 1))
    cases.append((good + b".", len(good), "behind the end"))
    cases.append((good + good, len(good), "behind the end"))
    return cases


def hostile():
    """Bytes that no pickler writes: lengths that lie, stacks and memos that are not there, things made of themselves."""
    head = b"\x80\x04"
    good = snapshot_of((0, 1, FRAMES, 1))
    traces = good.index(b"]")  # the list of traces
    return [
        (head + b"\x8d" + (2 ** 63).to_bytes(8, "little"), 2, "text of 9223372036854775808 bytes"),
        (head + b"X" + (2 ** 32 - 1).to_bytes(4, "little"), 2, "text of 4294967295 bytes"),
        (head + b"\x8e" + (2 ** 64 - 1).to_bytes(8, "little"), None, "the file ends before"),
        (head + b"\x8b" + (2 ** 32 - 1).to_bytes(4, "little") + bytes(1000), None, "the file ends before"),
        (head + b"\x8c\x02\xff\xfe.", 2, "not UTF-8"),
        (head + b"\x8c\x04\xf7\xbf\xbf\xbf.", 2, "not UTF-8"),
        (head + b"\x94.", 2, "takes 1 value where there are fewer"),
        (head + b"K\x01\x86.", 4, "takes 2 values where there are fewer"),
        (head + b"K\x01(\x85.", 5, "takes 1 value where there are fewer"),
        (head + b"t.", 2, "no mark"),
        (head + b"h\x00.", 2, "entry 0 of a memo that has 0"),
        (head + b"j\xff\xff\xff\xff.", 2, "entry 4294967295 of a memo that has 0"),
        (head + b"K\x01\x94.", 4, "a number in the memo"),
        (head + b"(" * 100000, 2 + 256, "nested more than 256 deep"),
        (head + b"\x80\x04N.", 2, "a second beginning"),
        (head + b"]\x94h\x00a.", None, "no tracemalloc.Snapshot"),  # a list in itself
        (head + b"}K\x01N" + b"s." , None, "no tracemalloc.Snapshot"),
        (head + b"K\x01K\x02a.", 6, "no list"),
        (head + b"NNNs.", 5, "no"),
        (head + b"N}b.", 4, "attributes"),
        (head + b"N)\x81.", 4, "not made as tracemalloc's"),
        (head + b"K\x01K\x02.", 6, "in the middle of something"),
        (head + b"(N.", 4, "in the middle of something"),
        (good[:-1] + b"}b.", None, "attributes"),  # a second state
        (good[:traces] + b"K\x07" + good[traces + 1:], traces + 2, "a number in the memo"),
        (good[:traces] + b"N" + good[traces + 1:].replace(b"\x94", b"", 1), None, "no list"),
        (good[:traces] + b"]" + b"N2" * 5000 + good[traces + 1:], None, ""),
        (good.replace(b"tracemalloc\x94\x8c\x08Snapshot", b"tracemalloc\x94\x8c\x08Snapshop"), None, "'tracemalloc.Snapshop'"),
        (good.replace(b"\x8c\x06traces", b"\x8c\x06traceS"), None, "without traces"),
        (head + b"\x8c\x0btracemalloc\x8c\x08Snapshot\x93)\x81.", None, "without attributes"),
        (head + b"\x8c\x0btracemalloc\x8c\x08Snapshot\x93N\x81.", None, "not made as tracemalloc's"),
        (head + b"\x8c\x0btracemalloc\x8c\x08Snapshot\x93.", None, "no tracemalloc.Snapshot"),
        (head + b"\x8c\x05a\nb\x00c\x8c\x03\x1b[2\x93.", 14, "'a?b?c.?[2'"),  # no control characters on a terminal
    ]


def check_refusals(claims, daemon):
    rng = random.Random(1)
    evil_path = os.path.join(daemon.scratch, "was-executed")
    keep = run(daemon, "import", write(daemon, "keep.pickle", snapshot_of((0, 5, FRAMES, 1)))).decode().strip()
    check_refused(claims, daemon, "files that are cut off", truncated(rng))
    check_refused(claims, daemon, "other classes and formats", wrong_classes(daemon, evil_path))
    check_refused(claims, daemon, "wrong shapes", wrong_shapes())
    check_refused(claims, daemon, "hostile bytes", hostile())
    claims.check("nothing was executed", not os.path.exists(evil_path))
    claims.check("the daemon is the same one, and what was stored is there",
                 daemon.process.poll() is None and daemon.json("stats", keep)["total_size"] == 5)
    flips, odd = snapshot_of(*[(0, i, (("a.py", i), ("b.py", 2)), 2) for i in range(5)]), []
    for _ in range(150):
        data = bytearray(flips)
        for _ in range(rng.choice((1, 1, 2, 5))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path = write(daemon, "flipped.pickle", bytes(data))
        said = reader_says(daemon, path, "stats")
        if len(said) != 2 and (said[0] != 0 or "Total: size=" not in said[1]):
            odd.append((bytes(data), said))
    claims.check("with bytes changed at random it is read or refused in one line", not odd, *odd[:3])


# ---- what goes out ----

def python_answers(python, path):
    done = subprocess.run([python, "-c", STATISTICS, path], stdout=subprocess.PIPE, check=True, timeout=120)
    return json.loads(done.stdout)


def tmctl_answers(daemon, reference):
    rows = [statistics_of(run(daemon, "stats", reference, "--json", "--group-by", key, *["--cumulative"] * cumulative), False)
            for key, cumulative in KEYS]
    return json.loads(json.dumps(rows))


def check_older_shape(claims, daemon):
    rng = random.Random(2)
    traces = random_traces(rng, True)
    while len(traces) < 50 or not any(t[3] and t[3] > len(t[2]) for t in traces):
        traces = random_traces(rng, True)
    stored = run(daemon, "import", write(daemon, "in.pickle", dumped(tracemalloc.Snapshot(traces, 70)))).decode().strip()
    pythons = {tuple(map(int, version.split("."))): python for version, python in since(OLDEST)}
    oldest, newest = min(pythons), max(pythons)
    for option, shape, python in (("3.8", 3, oldest if oldest < (3, 9) else None), ("3.9", 4, newest)):
        out = os.path.join(daemon.scratch, f"out-{option}.pickle")
        done = daemon.tmctl("export", stored, "--python", option, "-o", out)
        raw = tracemalloc.Snapshot.load(out).traces._traces
        claims.check(f"--python {option}: tuples of {shape}, every block of the snapshot", {len(t) for t in raw} == {shape}
                     and collections.Counter(raw) == collections.Counter(t[:shape] for t in traces), len(raw), len(traces))
        claims.check(f"--python {option}: says whether total_nframe is left out",
                     done.returncode == 0 and ("total_nframe" in done.stderr) == (shape == 3), done.stderr)
        ours = tmctl_answers(daemon, stored)
        claims.check(f"--python {option}: tmctl reads it as the snapshot that it is of", tmctl_answers(daemon, out) == ours)
        if python:
            theirs = python_answers(pythons[python], out)
            claims.check(f"--python {option}: CPython {'.'.join(map(str, python))} gives the same statistics", theirs == [ours, len(traces), 70])


def check_there_and_back(claims, daemon, what, stored, option):
    """export, import, export, import, export."""
    files, ids = [], [stored]
    for i in range(3):
        out = os.path.join(daemon.scratch, f"again{i}.pickle")
        done = daemon.tmctl("export", ids[-1], "--python", option, "-o", out)
        with open(out, "rb") as f:
            files.append(f.read())
        ids.append(daemon.tmctl("import", out).stdout.strip())
    claims.check(f"{what}, shape {option}: what goes out, comes in and goes out is the same file",
                 files[0] == files[1] == files[2] and "left out" not in done.stderr and len(files[0]) > 500,
                 [len(f) for f in files], done.stderr)
    from_file = daemon.tmctl("export", out, "--python", option, "-o", out + ".2")
    with open(out + ".2", "rb") as f:
        claims.check(f"{what}, shape {option}: also straight from the file", from_file.returncode == 0 and f.read() == files[0], from_file.stderr)


def check_round_trips(claims, daemon):
    rng = random.Random(3)
    for i in range(3):
        traces = []
        while len(traces) < 100:
            traces += random_traces(rng, True)
        path = write(daemon, "random.pickle", dumped(tracemalloc.Snapshot(traces, 64)))
        stored = daemon.tmctl("import", path).stdout.strip()
        check_there_and_back(claims, daemon, f"random snapshot {i}", stored, "3.9")
        check_there_and_back(claims, daemon, f"random snapshot {i}", stored, "3.8")
    source, binary = os.path.join(daemon.scratch, "program.c"), os.path.join(daemon.scratch, "program")
    with open(source, "w", encoding="utf-8") as f:
        f.write(C_PROGRAM)
    for what, options in (("a C program", ["-g"]), ("a stripped C program", ["-s"])):
        subprocess.run(["gcc", "-O1", *options, "-o", binary, source], check=True)
        with Subject(daemon, [binary]) as subject:
            stored = daemon.tmctl("snapshot", "--pid", subject.pid).stdout.strip()
        check_there_and_back(claims, daemon, what, stored, "3.9")


# ---- what is left out ----

def check_statements(claims, daemon):
    snapshot = tracemalloc.Snapshot([(0, 5, FRAMES, 1)] * 2, 1)
    snapshot.mine = "kept by Python"
    done = daemon.tmctl("import", write(daemon, "attribute.pickle", dumped(snapshot)))
    claims.check("import says that attributes and order are left out, and prints the id alone", done.returncode == 0
                 and "left out" in done.stderr and "mine" in done.stderr and "order" in done.stderr and done.stdout.strip().isdigit(), done)
    out = os.path.join(daemon.scratch, "statement.pickle")
    plain = daemon.tmctl("export", done.stdout.strip(), "-o", out)
    claims.check("an export that holds everything says nothing", plain.returncode == 0 and not plain.stderr and not plain.stdout, plain)
    command = [os.path.join(BUILD, "tests", "support", "api_subject"), "blocks"]
    _, (stored,), (peak,) = daemon.run(command, "--domains", "malloc", stdin=subprocess.DEVNULL)
    done = daemon.tmctl("export", stored["id"], "-o", out)
    claims.check("functions, modules and names of domains are said to be left out", done.returncode == 0 and all(
        word in done.stderr for word in ("left out", "functions", "modules", "names of domains")), done)
    domains = {t[0] for t in tracemalloc.Snapshot.load(out).traces._traces}
    claims.check("their numbers are there", 481735 in domains, domains)
    done = daemon.tmctl("export", stored["id"], "--domain", "malloc", "-o", out)
    claims.check("a name is not missed where no block has it", done.returncode == 0 and "names of domains" not in done.stderr, done)
    done = daemon.tmctl("export", peak["id"], "-o", os.path.join(daemon.scratch, "peak.pickle"))
    claims.check("a peak snapshot, which knows sums only, is refused with another way, and leaves no file", done.returncode == 1
                 and "--format json" in done.stderr and not os.path.exists(os.path.join(daemon.scratch, "peak.pickle")), done)
    done = daemon.tmctl("export", stored["id"], "--allocated", "-o", out)
    claims.check("--allocated has no place in such a file", done.returncode == 2, done)


def main():
    with Claims() as claims, Daemon() as daemon:
        check_refusals(claims, daemon)
        check_older_shape(claims, daemon)
        check_round_trips(claims, daemon)
        check_statements(claims, daemon)


if __name__ == "__main__":
    main()
