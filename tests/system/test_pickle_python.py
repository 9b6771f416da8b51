#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of tracemalloc, between every installed CPython of 3.6 and later and us.

Seeded random snapshots are dumped by Python, read and written again by us, and loaded by Python: the traces must be equal
to the letter, the statistics in order. Then real snapshots, foreign attributes, and files that must be refused.

usage: test_pickle_python.py [--seed N] [--cases N] [PYTHON...]
"""

import argparse
import collections
import io
import os
import pickle
import random
import re
import subprocess
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import pythons  # noqa: E402

OLDEST = (3, 6)
KEYS = (("lineno", False), ("filename", False), ("traceback", False), ("lineno", True), ("filename", True))
NAMES = ["", "a.py", "b.py", "/usr/lib/python3/x.pyc", "<unknown>", "<frozen importlib._bootstrap>", "traces", "_traces",
         "tracemalloc", "caf\u00e9.py", "\U0001f40d.py", "\u4e2d\u6587", "nul\0in.py", "line\nfeed", "a b,c%.py",
         "\udc80", "caf\udce9.py",           # bytes that are no UTF-8, escaped by Python
         "\udcc3\udca9", "x\udced\udcb2\udc80",  # escapes of bytes that would be a character, a surrogate
         "\ud800", "\udfff.py", "\ud83d\udc0d", "\udc7f\udc80", "\uffff", "\U0010ffff",
         "l" * 255, "l" * 256]
SIZES = (0, 1, 255, 256, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 39 - 1, 2 ** 39, 2 ** 40)
DOMAINS = (0, 0, 0, 1, 389047, 4294967293, 4294967294, 4294967295)
NEW = sys.version_info >= (3, 9)
SHAPE = "3.9" if NEW else "3.8"


def random_traceback(rng, names):
    depth = rng.choice((1, 1, 2, 3, 4, 5, 30, 300 if rng.random() < 0.1 else 6))
    frames = [(rng.choice(names), rng.choice((0, 1, 2, 255, 256, 70000, 2 ** 32 - 1))) for _ in range(depth)]
    if rng.random() < 0.3:
        frames += [rng.choice(frames)] * rng.randint(1, 3)
    return tuple(frames)


def random_traces(rng, four):
    """Tuples shared and equal tuples of their own, as Python 3.6 to 3.8 and filter_traces() leave them."""
    names = rng.sample(NAMES, rng.randint(1, 8))
    tracebacks = [random_traceback(rng, names) for _ in range(rng.randint(1, 12))]
    traces = []
    for _ in range(rng.choice((0, 1, 2, 10, 50, 300))):
        frames = rng.choice(tracebacks)
        if rng.random() < 0.2:
            frames = tuple((filename, lineno) for filename, lineno in frames)
        trace = (rng.choice(DOMAINS), rng.choice(SIZES) if rng.random() < 0.7 else rng.randint(0, 2 ** 40), frames)
        if four:
            trace += (rng.choice((len(frames), len(frames) + 3, 65535, None)),)
        traces += [trace] * rng.choice((1, 1, 1, 2, 7, 1000 if rng.random() < 0.1 else 3))
    if rng.random() < 0.5:
        rng.shuffle(traces)
    return traces


def dumped(snapshot, protocol=pickle.HIGHEST_PROTOCOL):
    file = io.BytesIO()
    pickle.dump(snapshot, file, protocol)  # what Snapshot.dump() does
    return file.getvalue()


def ask(pickle_cli, data, command, piece=65536):
    """Status, stdout, stderr."""
    process = subprocess.Popen([pickle_cli, command, str(piece)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    output, errors = process.communicate(data)
    return process.returncode, output, errors.decode()


def rows(snapshot):
    return [[(s.size, s.count, s.traceback) for s in snapshot.statistics(key, cumulative)] for key, cumulative in KEYS]


def raw(snapshot):
    return collections.Counter(snapshot.traces._traces)


def shown_counter(output):
    """What we say that we read, as raw traces."""
    counter = collections.Counter()
    for line in output.decode().splitlines():
        if not line.startswith("trace "):
            continue
        domain, total, size, count = line.split(" ")[1:5]
        frames = [text.split(",") for text in line.split(" ")[5:]]
        key = tuple((name_of(urllib.parse.unquote_to_bytes(name)), int(lineno)) for name, lineno in reversed(frames))
        counter[int(domain), int(size), key, None if total == "-" else int(total)] += int(count)
    return counter


def name_of(data):
    """Bytes of a name to Python's str: surrogates as they are, other bytes that are no UTF-8 escaped."""
    name = ""
    while data:
        for n in (4, 3, 2, 1):
            try:
                name += data[:n].decode("utf-8", "surrogatepass")
                break
            except UnicodeDecodeError:
                continue
        else:
            n = 1
            name += chr(0xdc00 + data[0])
        data = data[n:]
    return name


# ---- one claim each; they return None or what is wrong ----

def check_case(pickle_cli, seed):
    import tracemalloc
    rng = random.Random(seed)
    four = NEW and rng.random() < 0.8
    snapshot = tracemalloc.Snapshot(random_traces(rng, four), rng.choice((1, 5, 64, 65535)))
    if rng.random() < 0.2:
        snapshot = snapshot.filter_traces([tracemalloc.Filter(True, "*")])
    data = dumped(snapshot)
    piece = rng.choice((1, 2, 3, 100, 4096, 1 << 20)) if len(data) < 100000 else 1 << 16
    status, output, errors = ask(pickle_cli, data, SHAPE, piece)
    if status != 0:
        return errors
    loaded = pickle.loads(output)
    expected = raw(snapshot)
    if NEW and not four:
        expected = collections.Counter({trace + (None,): n for trace, n in expected.items()})
        snapshot = tracemalloc.Snapshot([trace + (None,) for trace in snapshot.traces._traces], snapshot.traceback_limit)
    if raw(loaded) != expected or loaded.traceback_limit != snapshot.traceback_limit:
        return "other traces: %a" % ((raw(loaded) - expected) or (expected - raw(loaded)))
    if rows(loaded) != rows(snapshot):
        return "other statistics"
    if ask(pickle_cli, output, SHAPE, piece)[1] != output:
        return "what was written is read and written otherwise"
    if not NEW:
        expected = collections.Counter({trace + (None,): n for trace, n in expected.items()})
    if shown_counter(ask(pickle_cli, data, "show", piece)[1]) != expected:
        return "it is read otherwise than it is written"
    return check_other_shape(pickle_cli, data, expected)


def check_other_shape(pickle_cli, data, expected):
    """The one that this Python does not use can be loaded, if not looked at."""
    loaded = pickle.loads(ask(pickle_cli, data, "3.8" if NEW else "3.9")[1])
    if NEW:
        expected_here = collections.Counter()
        for trace, n in expected.items():
            expected_here[trace[:3]] += n
        expected = expected_here
    return None if raw(loaded) == expected else "the other shape has other traces"


def allocate(depth, keep):
    if depth:
        return allocate(depth - 1, keep)
    keep += [bytearray(100 + i % 5) for i in range(2500)] + [object() for _ in range(100)]
    return keep


def check_real(pickle_cli):
    import tracemalloc
    tracemalloc.start(7)
    keep = [allocate(depth, []) for depth in (0, 2, 9)]
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    del keep
    for s in (snapshot, snapshot.filter_traces([tracemalloc.Filter(False, tracemalloc.__file__, all_frames=True)])):
        status, output, errors = ask(pickle_cli, dumped(s), SHAPE, 1000)
        if status != 0:
            return errors
        loaded = pickle.loads(output)
        if raw(loaded) != raw(s) or rows(loaded) != rows(s):
            return "a real snapshot is not the same afterwards"
    return None


def check_attributes(pickle_cli):
    import tracemalloc
    first = tracemalloc.Snapshot([(0, 5, (("a.py", 1),)) + ((1,) if NEW else ())], 3)
    snapshot = tracemalloc.Snapshot(list(first.traces._traces) * 3, 3)
    snapshot.test_attr = "new"
    snapshot.nested = {"floats": [1.5, -2.5], 7: {b"bytes", None, True}, "t": (frozenset([1, 2]), (), -5, 2 ** 80, "x", ["y"])}
    snapshot.itself = snapshot
    snapshot.other = first
    snapshot.trace = first.traces._traces[0]
    snapshot.big = b"x" * 3000000, 1 << 3000
    if sys.version_info >= (3, 8):
        snapshot.buffer = bytearray(70000)  # earlier ones call a class to make it again
    snapshot.traces.more = "of the traces"
    for piece in (1 << 16, 7777):
        status, output, errors = ask(pickle_cli, dumped(snapshot), SHAPE, piece)
        if status != 0:
            return errors
        if raw(pickle.loads(output)) != raw(snapshot):
            return "foreign attributes change the traces"
    told = [line for line in ask(pickle_cli, dumped(snapshot), "show")[1].decode().splitlines() if line.startswith("foreign ")]
    return None if told == ["foreign test_attr, nested, itself and %d more" % (len(vars(snapshot)) - 4)] else told


class Evil(object):
    def __reduce__(self):
        return os.system, ("echo it was executed",)


def check_refusals(pickle_cli):
    import tracemalloc
    frames, end = (("a.py", 1),), ((1,) if NEW else ())

    def of(*traces, **attributes):
        snapshot = tracemalloc.Snapshot(list(traces), attributes.pop("limit", 1))
        for name, value in attributes.items():
            setattr(snapshot, name, value)
        return dumped(snapshot)

    good = of((0, 1, frames) + end)
    cases = [
        ("another class", pickle.dumps(collections.OrderedDict(a=1), 4), "collections.OrderedDict"),
        ("code", of((0, 1, frames) + end, evil=Evil()), "posix.system"),
        ("code instead of a snapshot", pickle.dumps(Evil(), 4), "posix.system"),
        ("a traces object alone", dumped(tracemalloc.Snapshot([], 1).traces), "no tracemalloc.Snapshot"),
        ("a list", pickle.dumps([1, 2], 4), "no tracemalloc.Snapshot"),
        ("a number", pickle.dumps(1, 4), "no tracemalloc.Snapshot"),
        ("protocol 3", dumped(tracemalloc.Snapshot([], 1), 3), "protocol 3"),
        ("protocol 0", dumped(tracemalloc.Snapshot([], 1), 0), "begin"),
        ("text", b"hello\n", "begin"),
        ("nothing", b"", "ends before"),
        ("two files", good + good, "behind the end"),
        ("a negative size", of((0, -1, frames) + end), "below 0"),
        ("a negative line", of((0, 1, (("a.py", -1),)) + end), "below 0"),
        ("a negative domain", of((-1, 1, frames) + end), "below 0"),
        ("a size of 2**63", of((0, 2 ** 63, frames) + end), "size above"),
        ("a size of 2**64", of((0, 2 ** 64, frames) + end), "64 bits"),
        ("a size of 2**3000", of((0, 2 ** 3000, frames) + end), "64 bits"),
        ("sizes of 2**63 together", of((0, 2 ** 62, frames) + end, (0, 2 ** 62, frames) + end), "add up"),
        ("a domain of 2**32", of((2 ** 32, 1, frames) + end), "domain above"),
        ("a line of 2**32", of((0, 1, (("a.py", 2 ** 32),)) + end), "line number above"),
        ("a total_nframe of 2**32", of((0, 1, frames, 2 ** 32)), "total_nframe above"),
        ("a float", of((0, 1.5, frames) + end), "type"),
        ("bytes for a name", of((0, 1, ((b"a.py", 1),)) + end), "type"),
        ("no frames", of((0, 1, ()) + end), "without frames"),
        ("no tuple", of(1), "no trace"),
        ("a tuple of five", of((0, 1, frames, 1, 1)), "no frame, traceback or trace"),
        ("a list of frames", of((0, 1, list(frames)) + end), "no frame, traceback or trace"),
        ("a limit below 0", of(limit=-1), "traceback_limit"),
        ("a limit that is no number", of(limit="3"), "traceback_limit"),
        ("no list of traces", of(traces=[]), "no tracemalloc._Traces"),
        ("a long name", of((0, 1, (("l" * 2000000, 1),)) + end), "2000000 bytes"),
        ("a deep attribute", of(deep=nested(400)), "deep"),
    ]
    for what, data, reason in cases:
        status, output, errors = ask(pickle_cli, data, SHAPE)
        if status != 1 or output or not re.match("byte [0-9]+: .*%s.*\n$" % re.escape(reason), errors):
            return "%s: status %d, %r" % (what, status, errors)
    for length in range(0, len(good), 9):
        status, output, errors = ask(pickle_cli, good[:length], SHAPE)
        if status != 1 or errors != "byte %d: the file ends before the pickle does\n" % length:
            return "cut at %d: %r" % (length, errors)
    for last in (good, of((0, 2 ** 63 - 1, frames) + end), of((2 ** 32 - 1, 0, (("", 2 ** 32 - 1),)) + end, limit=2 ** 32 - 1),
                 of((0, 1, (("\u00e9" * 500000, 1),)) + end)):
        if pickle.loads(ask(pickle_cli, last, SHAPE)[1]).traces._traces != pickle.loads(last).traces._traces:
            return "what is just within the bounds is refused"
    return None


def nested(depth):
    value = (1, 2, 3, 4)
    for _ in range(depth):
        value = (1, 2, 3, value)
    return value


def check_here(pickle_cli, seed, n_cases):
    for name, problem in (("real", check_real(pickle_cli)), ("attributes", check_attributes(pickle_cli)),
                          ("refusals", check_refusals(pickle_cli))):
        if problem:
            print("%s, Python %s: %s" % (name, sys.version.split()[0], problem))
            return False
    for i in range(n_cases):
        problem = check_case(pickle_cli, "%d/%d" % (seed, i))
        if problem:
            print("seed %d case %d, Python %s: %s" % (seed, i, sys.version.split()[0], problem))
            return False
    return True


# ---- all interpreters ----

def main():
    parser = argparse.ArgumentParser()
    build = os.environ.get("TRACEMALLOCD_BUILD", os.path.join(os.path.dirname(__file__), "..", "..", "build"))
    parser.add_argument("--pickle-cli", default=os.path.join(build, "tests/unit/query/pickle_cli"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--here", action="store_true", help="only this interpreter")
    parser.add_argument("pythons", nargs="*")
    args = parser.parse_args()
    if args.here:
        return 0 if check_here(args.pickle_cli, args.seed, args.cases) else 1
    interpreters = [(pythons.version_of(path, OLDEST), path) for path in args.pythons] or pythons.since(OLDEST)
    failed = 0
    for number, (version, python) in enumerate(interpreters, 1):
        command = [python, __file__, "--here", "--pickle-cli", args.pickle_cli, "--seed", str(args.seed), "--cases",
                   str(args.cases)]
        ok = subprocess.run(command).returncode == 0
        failed += not ok
        print("%s %d - files go out to Python %s and come back equal (seed %d, %d cases)" %
              ("ok" if ok else "not ok", number, version, args.seed, args.cases), flush=True)
    print("1..%d" % len(interpreters))
    return 1 if failed or not interpreters else 0


if __name__ == "__main__":
    sys.exit(main())
