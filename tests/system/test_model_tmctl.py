#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole way: random snapshots as files that every CPython dumps, asked of tmctl, and the whole ordered answers against those of
every CPython.

test_model_differential.py asks the model alone, and many more cases. Here a case is a pair of random snapshots, dumped by one
CPython of 3.6 or later. By chance each side is a file, an imported snapshot, or the sum of two imported ones. Each is asked some of
all questions (every key, cumulative or not, of one snapshot or two, the traces, an export), each question with filters of
its own. A mismatch prints the seed, and what is left of case and filters when everything that does not matter has been taken out.

    test_model_tmctl.py [--seed N] [--first N] [--cases N] [--seconds S] [--jobs N] [PYTHON...]

By hand, thousands: test_model_tmctl.py --seed 2 --cases 5000 --seconds 0. One case again: --seed 2 --first 1234 --cases 1.
"""
import argparse
import collections
import concurrent.futures
import copy
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from python_snapshots import filter_arguments, frames_of, run, statistics_of  # noqa: E402
from pythons import since, version_of  # noqa: E402
from test_model_differential import random_filter, random_traceback, random_traces, NAMES  # noqa: E402
from test_pickle_python import OLDEST  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

QUESTIONS = [(what, key, cumulative)
             for key, cumulative in (("lineno", False), ("filename", False), ("traceback", False), ("lineno", True), ("filename", True))
             for what in ("stats", "compare")] + [("traces", None, False), ("export", None, False)]
ASKED = 6          # questions of a case
CASES_AT_LEAST = 60  # however slow the machine is; all questions and filters come up in far fewer

WORKER = r"""
import json, re, sys, tracemalloc

def tuples(value):
    return tuple(map(tuples, value)) if isinstance(value, list) else value

def filters(plain):
    return [tracemalloc.DomainFilter(f[1], f[2]) if f[0] == "domain" else
            tracemalloc.Filter(f[1], f[2], lineno=f[3], all_frames=f[4], domain=f[5]) for f in plain]

def frames(traceback):
    return [[frame.filename, frame.lineno] for frame in traceback]

def answer(case, question):
    what, key, cumulative, plain = question
    old, new = [tracemalloc.Snapshot(list(tuples(case[side])), 64).filter_traces(filters(plain)) for side in ("old", "new")]
    if what == "stats":
        return [[s.size, s.count, frames(s.traceback)] for s in new.statistics(key, cumulative)]
    if what == "compare":
        return [[s.size, s.size_diff, s.count, s.count_diff, frames(s.traceback)] for s in new.compare_to(old, key, cumulative)]
    return sorted([t.domain, t.size, t.traceback.total_nframe, frames(t.traceback)] for t in new.traces)

def answer_or_refuse(case, question):
    try:
        return answer(case, question)
    except re.error as error:
        return "refused: %r" % error

for line in sys.stdin:
    request = json.loads(line)
    for path, raw in request["dump"].items():
        traces = [trace if sys.version_info >= (3, 9) else trace[:3] for trace in map(tuples, raw)]
        tracemalloc.Snapshot(traces, 64).dump(path)
    print(json.dumps([answer_or_refuse(request["case"], question) for question in request["questions"]]), flush=True)
"""


class Worker:
    """A CPython that dumps and answers."""

    def __init__(self, version, python):
        self.version = tuple(int(part) for part in version.split("."))
        self.process = subprocess.Popen([python, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, case=None, questions=(), dump=None):
        self.process.stdin.write(json.dumps({"case": case, "questions": questions, "dump": dump or {}}) + "\n")
        self.process.stdin.flush()

    def receive(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- cases ----

def random_case(rng):
    names = rng.sample(NAMES, rng.randint(1, 6))
    tracebacks = [random_traceback(rng, names) for _ in range(rng.randint(1, 12))]
    old, new = random_traces(rng, tracebacks), random_traces(rng, tracebacks)
    if rng.random() < 0.5:
        new += old[rng.randint(0, len(old)):]
    return {"old": old, "new": new, "names": names}


def random_form(rng, traces):
    """How tmctl gets a side: (what, where the first of two snapshots ends)."""
    what = rng.choice(("file", "stored", "stored", "sum"))
    return what, rng.randint(0, len(traces)) if what == "sum" else len(traces)


def random_questions(rng, names):
    return [[*question, [random_filter(rng, names) for _ in range(rng.choice((0, 1, 1, 2, 3, 4)))]]
            for question in rng.sample(QUESTIONS, ASKED)]


def filter_kind(f):
    """Whether it is inclusive, has a line, is for all frames, has a domain."""
    return tuple(f[:2]) if f[0] in ("domain", "none") else (f[1], f[3] is not None, f[4], f[5] is not None)


ALL_KINDS = {(a, b, c, d) for a in (False, True) for b in (False, True) for c in (False, True) for d in (False, True)} | {
    ("domain", False), ("domain", True), ("none", None)}


# ---- tmctl ----

def lists(value):
    return [lists(v) for v in value] if isinstance(value, (tuple, list)) else value


def sort_traces(rows):
    return sorted(rows, key=lambda row: (row[0], row[1], row[2] or 0, row[3]))


class Asker:
    """Puts one case after the other before tmctl."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.folder = tempfile.mkdtemp(dir=daemon.scratch)

    def references(self, case, forms, dumper):
        """What tmctl calls each side."""
        paths, found = {}, {}
        for side, (what, border) in forms.items():
            parts = [case[side][:border], case[side][border:]] if what == "sum" else [case[side]]
            found[side] = [os.path.join(self.folder, f"{side}{i}.pickle") for i in range(len(parts))]
            paths.update(zip(found[side], parts))
        dumper.send(dump=paths)
        dumper.receive()
        for side, (what, _border) in forms.items():
            if what != "file":
                found[side] = [run(self.daemon, "import", path).decode().strip() for path in found[side]]
        return {side: ",".join(parts) for side, parts in found.items()}

    def forget(self, forms, references):
        ids = [i for side, (what, _) in forms.items() if what != "file" for i in references[side].split(",")]
        if ids:
            run(self.daemon, "delete", *ids)

    def answer(self, question, references):
        what, key, cumulative, filters = question
        arguments = filter_arguments(filters)
        if what in ("stats", "compare"):
            sides = [references["old"]] * (what == "compare") + [references["new"]]
            grouping = ["--group-by", key] + ["--cumulative"] * cumulative
            return lists(statistics_of(run(self.daemon, what, *sides, "--json", *grouping, *arguments), what == "compare"))
        if what == "traces":
            rows = []
            for line in run(self.daemon, "traces", references["new"], "--json", *arguments).splitlines():
                t = json.loads(line)
                rows += [[t["domain"], t["size"], t["total_nframe"], lists(frames_of(t["traceback"]))]] * t["count"]
            return sort_traces(rows)
        out = os.path.join(self.folder, "out.pickle")
        run(self.daemon, "export", references["new"], "-o", out, *arguments)
        return sort_traces([[t.domain, t.size, t.traceback.total_nframe, [[f.filename, f.lineno] for f in t.traceback]]
                            for t in tracemalloc.Snapshot.load(out).traces])


# ---- comparison ----

def without_depth(rows):
    """Files of 3.8 and older do not have it."""
    return sort_traces([row[:2] + [None] + row[3:] for row in rows])


def comparable(question, judge, theirs):
    """Before 3.10 some ranges in patterns were errors, and others meant something else."""
    ranges = any(f[0] == "file" and "[" in f[2] and "-" in f[2] for f in question[3])
    return judge.version >= (3, 10) or not ranges and not isinstance(theirs, str)


def same(question, dumper, theirs, ours):
    if question[0] in ("traces", "export"):
        theirs = without_depth(theirs) if dumper.version < (3, 9) else sort_traces(theirs)
    return theirs == ours


def differs(asker, case, question, forms, dumper, judge):
    """None, or both answers."""
    judge.send(case, [question])
    (theirs,) = judge.receive()
    if not comparable(question, judge, theirs):
        return None
    references = asker.references(case, forms, dumper)
    ours = asker.answer(question, references)
    asker.forget(forms, references)
    return None if same(question, dumper, theirs, ours) else (theirs, ours)


def without(things, i):
    return things[:i] + things[i + 1:]


def smaller(case, question):
    """All that have one filter, trace or frame less, or a plainer size or depth."""
    for i in reversed(range(len(question[3]))):
        yield case, question[:3] + [without(question[3], i)]
    for side in ("old", "new"):
        for i, (domain, size, frames, total) in reversed(list(enumerate(case[side]))):
            yield dict(case, **{side: without(case[side], i)}), question
            others = [[domain, size, without(frames, k), total] for k in range(len(frames)) if len(frames) > 1]
            others += [[domain, 1, frames, total]] * (size > 1) + [[domain, size, frames, len(frames)]] * (total != len(frames))
            for other in others:
                yield dict(case, **{side: case[side][:i] + [other] + case[side][i + 1:]}), question


def minimal(case, question, still_differs):
    """Takes out what can be taken out while the answers differ."""
    again = True
    while again:
        again = False
        for less in smaller(case, question):
            if still_differs(*less):
                (case, question), again = less, True
                break
    return case, question


def plain_forms(case, forms):
    """Borders within what is left."""
    return {side: (what, min(border, len(case[side]))) for side, (what, border) in forms.items()}


def tell(asker, label, case, question, forms, dumper, judge):
    def check(c, q):
        return differs(asker, c, q, plain_forms(c, forms), dumper, judge)
    if not check(case, question):
        print(f"{label}: {question!a} was answered otherwise once, and not when it was asked again", flush=True)
        return
    case, question = minimal(case, question, check)
    print(f"{label}: dumped by {dumper.version}, {plain_forms(case, forms)}, question {question!a}")
    print(f"  old {case['old']!a}\n  new {case['new']!a}")
    theirs, ours = check(case, question)
    print(f"  Python {judge.version} {theirs!a}\n  ours {ours!a}", flush=True)


def check_case(asker, label, workers, tally):
    """Return: whether all agree."""
    rng = random.Random(label)
    case = json.loads(json.dumps(random_case(rng)))
    questions = json.loads(json.dumps(random_questions(rng, case.pop("names"))))
    forms = {side: random_form(rng, case[side]) for side in ("old", "new")}
    dumper = rng.choice(workers)
    judges = [w for w in workers if w.version >= (3, 9)]
    references = asker.references(case, forms, dumper)
    for judge in judges:
        judge.send(case, questions)  # they think while tmctl does
    ours = [asker.answer(question, references) for question in questions]
    if rng.random() < 0.2:  # the other processes ask meanwhile
        asker.forget(forms, references)
    answers = [judge.receive() for judge in judges]
    for judge, theirs in zip(judges, answers):
        for question, their_answer, our_answer in zip(questions, theirs, ours):
            if not comparable(question, judge, their_answer):
                continue
            tally[str(judge.version)] += 1
            tally[str(question[:3])] += 1
            tally.update(str(filter_kind(f)) for f in question[3] or [("none", None)])
            if not same(question, dumper, their_answer, our_answer):
                tell(asker, label, case, question, forms, dumper, judge)
                return False
    return True


def check_some(daemon, options, pythons, part):
    """A process of its own: every so-and-so-many-th case. Return: (agree, cases, tally)"""
    workers = [Worker(version, python) for version, python in pythons]
    asker, tally, n, agree = Asker(daemon), collections.Counter(), 0, True
    end = time.monotonic() + options.seconds if options.seconds else None
    for i in range(options.first + part, options.first + options.cases, options.jobs):
        if end and time.monotonic() > end and n * options.jobs >= CASES_AT_LEAST:
            break
        agree = check_case(asker, f"seed {options.seed} case {i}", workers, tally)
        n += 1
        if not agree:
            break
    for worker in workers:
        worker.close()
    return agree, n, tally


def parse_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=50, help="no more cases after so long; 0: no bound")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("pythons", nargs="*")
    return parser.parse_args()


def main():
    options = parse_options()
    pythons = [(version_of(python, OLDEST), python) for python in options.pythons] or since(OLDEST)
    judges = [version for version, _ in pythons if tuple(map(int, version.split("."))) >= (3, 9)]
    with Claims() as claims, Daemon() as daemon:
        client = copy.copy(daemon)
        client.process = client.log = None  # the daemon is ours to end
        with concurrent.futures.ProcessPoolExecutor(options.jobs, multiprocessing.get_context("fork")) as pool:
            jobs = [pool.submit(check_some, client, options, pythons, part) for part in range(options.jobs)]
            results = [job.result() for job in jobs]
        n, tally = sum(r[1] for r in results), sum((r[2] for r in results), collections.Counter())
        claims.check(f"tmctl answers as CPython {', '.join(judges)} do, on files that {', '.join(v for v, _ in pythons)} dumped: {n} cases, "
                     f"{sum(tally[str(tuple(map(int, v.split('.'))))] for v in judges)} answers, seed {options.seed}",
                     all(r[0] for r in results) and n > 0)
        if n >= CASES_AT_LEAST:
            asked = {"CPython": [str(tuple(map(int, v.split(".")))) for v in judges], "question": [str(list(q)) for q in QUESTIONS],
                     "kind of filter": [str(kind) for kind in ALL_KINDS]}
            for what, keys in asked.items():
                claims.check(f"every {what} came up, {min(tally[k] for k in keys)} times or more", all(tally[k] for k in keys), tally)


main()
