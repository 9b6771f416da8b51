#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole way: random snapshots as files that every CPython dumps, asked of tmctl, and the whole ordered answers against those of
every CPython.

test_model_differential.py asks the model alone, and many more cases. Here a case is a pair of files, dumped by one CPython of 3.6
or later; each side is a file or an imported snapshot, by chance. A mismatch prints the seed and what is left of the case when
everything that does not matter has been taken out.

    test_model_tmctl.py [--seed N] [--cases N] [--seconds S] [PYTHON...]
"""
import argparse
import collections
import json
import os
import random
import subprocess
import sys
import time
import tracemalloc

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "support"))

WORKER = r"""
import json, sys, tracemalloc

def tuples(value):
    return tuple(map(tuples, value)) if isinstance(value, list) else value

def filters(plain):
    return [tracemalloc.DomainFilter(f[1], f[2]) if f[0] == "domain" else
            tracemalloc.Filter(f[1], f[2], lineno=f[3], all_frames=f[4], domain=f[5]) for f in plain]

def frames(traceback):
    return [[frame.filename, frame.lineno] for frame in traceback]

def answer(case, question):
    what, key, cumulative = question
    old, new = [tracemalloc.Snapshot(tuples(case[side]), 64).filter_traces(filters(case["filters"])) for side in ("old", "new")]
    if what == "stats":
        return [[s.size, s.count, frames(s.traceback)] for s in new.statistics(key, cumulative)]
    if what == "compare":
        return [[s.size, s.size_diff, s.count, s.count_diff, frames(s.traceback)] for s in new.compare_to(old, key, cumulative)]
    return sorted([t.domain, t.size, t.traceback.total_nframe, frames(t.traceback)] for t in new.traces)

for line in sys.stdin:
    request = json.loads(line)
    case = request["case"]
    if "dump" in request:
        for side, path in request["dump"].items():
            traces = [trace if sys.version_info >= (3, 9) else trace[:3] for trace in map(tuples, case[side])]
            tracemalloc.Snapshot(traces, 64).dump(path)
        print(json.dumps("dumped"), flush=True)
        continue
    try:
        print(json.dumps(answer(case, request["question"])), flush=True)
    except Exception as error:
        print(json.dumps("refused: %r" % error), flush=True)
"""


class Worker:
    """A CPython that answers."""

    def __init__(self, version, python):
        self.version = tuple(int(part) for part in version.split("."))
        self.process = subprocess.Popen([python, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def lists(value):
    return [lists(v) for v in value] if isinstance(value, (tuple, list)) else value


def all_questions():
    for key, cumulative in (("lineno", False), ("filename", False), ("traceback", False), ("lineno", True), ("filename", True)):
        yield "stats", key, cumulative
        yield "compare", key, cumulative
    yield "traces", None, False
    yield "export", None, False


class Asker:
    """Puts a case before tmctl."""

    def __init__(self, daemon):
        from python_snapshots import filter_arguments, frames_of, run, statistics_of
        self.daemon, self.run = daemon, run
        self.filter_arguments, self.frames_of, self.statistics_of = filter_arguments, frames_of, statistics_of
        self.paths = {side: os.path.join(daemon.scratch, side + ".pickle") for side in ("old", "new", "out")}

    def references(self, case, dumper, stored):
        """@stored: sides that are imported"""
        dumper.ask(case=case, dump={side: self.paths[side] for side in ("old", "new")})
        return {side: self.run(self.daemon, "import", self.paths[side]).decode().strip() if side in stored else self.paths[side]
                for side in ("old", "new")}

    def answer(self, case, question, references):
        what, key, cumulative = question
        arguments = self.filter_arguments(case["filters"])
        if what in ("stats", "compare"):
            sides = [references["old"]] * (what == "compare") + [references["new"]]
            grouping = ["--group-by", key] + ["--cumulative"] * cumulative
            return lists(self.statistics_of(self.run(self.daemon, what, *sides, "--json", *grouping, *arguments), what == "compare"))
        if what == "traces":
            rows = []
            for line in self.run(self.daemon, "traces", references["new"], "--json", *arguments).splitlines():
                t = json.loads(line)
                rows += [[t["domain"], t["size"], t["total_nframe"], lists(self.frames_of(t["traceback"]))]] * t["count"]
            return sort_traces(rows)
        self.run(self.daemon, "export", references["new"], "-o", self.paths["out"], *arguments)
        return sort_traces([[t.domain, t.size, t.traceback.total_nframe, [[f.filename, f.lineno] for f in t.traceback]]
                            for t in tracemalloc.Snapshot.load(self.paths["out"]).traces])


def sort_traces(rows):
    return sorted(rows, key=lambda row: (row[0], row[1], row[2] or 0, row[3]))


def without_depth(rows):
    """Files of 3.8 and older do not have it."""
    return sort_traces([row[:2] + [None] + row[3:] for row in rows])


def differs(asker, case, question, dumper, stored, worker):
    """None, or both answers."""
    theirs = worker.ask(case=case, question=question)
    if isinstance(theirs, str):
        return None  # before 3.10 some empty ranges of patterns were errors
    ours = asker.answer(case, question, asker.references(case, dumper, stored))
    return None if same(question, dumper, theirs, ours) else (theirs, ours)


def same(question, dumper, theirs, ours):
    if question[0] in ("traces", "export"):
        theirs = without_depth(theirs) if dumper.version < (3, 9) else sort_traces(theirs)
    return theirs == ours


def minimal(asker, case, *rest):
    """Take out what can be taken out while the answers differ."""
    again = True
    while again:
        again = False
        for part in ("filters", "old", "new"):
            for i in reversed(range(len(case[part]))):
                less = dict(case, **{part: case[part][:i] + case[part][i + 1:]})
                if differs(asker, less, *rest):
                    case, again = less, True
    return case


def range_quirk(case, version):
    """Ranges of patterns were made consistent in 3.10."""
    return version < (3, 10) and any(f[0] == "file" and "[" in f[2] and "-" in f[2] for f in case["filters"])


def check_case(asker, rng, case, label, workers, judges, tally):
    """Return: whether all agree."""
    dumper = rng.choice(workers)
    stored = [side for side in ("old", "new") if rng.random() < 0.5]
    references = asker.references(case, dumper, stored)
    for question in rng.sample(list(all_questions()), 5):
        ours = asker.answer(case, question, references)
        for judge in judges:
            theirs = judge.ask(case=case, question=question)
            if isinstance(theirs, str) or range_quirk(case, judge.version):
                continue
            tally[judge.version] += 1
            if not same(question, dumper, theirs, ours):
                rest = (question, dumper, stored, judge)
                less = minimal(asker, case, *rest)
                print(f"{label}: dumped by {dumper.version}, stored {stored}, question {question}: {less!a}")
                print(f"  Python {judge.version}, ours: {differs(asker, less, *rest)!a}")
                return False
    for side in stored:
        asker.daemon.tmctl("delete", references[side])
    return True


def main():
    from test_model_differential import random_case
    from test_pickle_python import find_pythons, version_of
    from tm import Claims, Daemon
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=45, help="no more cases after so long; 0: no bound")
    parser.add_argument("pythons", nargs="*")
    options = parser.parse_args()
    pythons = [(version_of(python), python) for python in options.pythons] or find_pythons()
    workers = [Worker(version, python) for version, python in pythons]
    judges = [w for w in workers if w.version >= (3, 9)]
    tally, n, agree = collections.Counter(), 0, True
    end = time.monotonic() + options.seconds if options.seconds else None
    with Claims() as claims, Daemon() as daemon:
        asker = Asker(daemon)
        while agree and n < options.cases and (end is None or time.monotonic() < end):
            label = f"{options.seed}/{n}"
            rng = random.Random(label)
            case = json.loads(json.dumps(random_case(rng)))
            agree = check_case(asker, rng, case, f"seed {options.seed} case {n}", workers, judges, tally)
            n += 1
        versions = ", ".join(".".join(map(str, w.version)) for w in workers)
        claims.check(f"tmctl answers as CPython does, on files that {versions} dumped ({n} cases, seed {options.seed})", agree and n > 0)
        claims.check("each CPython of 3.9 or later was asked", len(tally) == len(judges) > 0 and (not agree or min(tally.values()) >= n),
                     tally)
        for worker in workers:
            worker.close()


main()
