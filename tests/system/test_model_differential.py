#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ask every CPython and our Snapshot model the same questions; their whole ordered answers must be equal.

Random snapshots (recursion, ties, several domains, odd file names, functions, which Python does not know) and random filters go to
tracemalloc in this interpreter and, as text (tests/unit/query/world.h), to model_cli. A mismatch prints its seed and what is left of the
case when everything that does not matter has been taken out.

    test_model_differential.py [--model-cli build/tests/unit/query/model_cli] [--seed N] [--cases N] [PYTHON...]

Without PYTHON: every python3 of 3.9 and later on PATH and under pyenv's root.
"""
import argparse
import codecs
import collections
import fnmatch
import os
import random
import re
import subprocess
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import pythons  # noqa: E402

OLDEST = (3, 9)  # whose tracemalloc has total_nframe
KEYS = ("lineno", "filename", "traceback")
NAMES = ["a.py", "b.py", "a.pyc", "lib/a.py", "/usr/lib/x.so", "", "<unknown>", "<frozen x>", "a b,c%.py", "[a].py", "a-b",
         "A.py", "\u00e9.py", "\uffff.py", "\U0001f600.py", "\udc80.py", "\udcff", "\ud800.py", "x\udce9.py", "\ue000", "~", "a\nb.py", ".hid\\den"]
DOMAINS = [0, 0, 0, 4294967294, 4294967293, 389047, 7]
ALPHABET = "ab]![^-*?\\.&~|" + "\u00e9\udc80"


def keep_surrogates(error):
    """What daemon/query/text.h says of bytes: a surrogate's three bytes are it, any other bad byte is escaped."""
    three = error.object[error.start:error.start + 3]
    if re.fullmatch(rb"\xed[\xa0-\xbf][\x80-\xbf]", three):
        return three.decode("utf-8", "surrogatepass"), error.start + 3
    return chr(0xdc00 + error.object[error.start]), error.start + 1


codecs.register_error("keep_surrogates", keep_surrogates)


def decode(data):
    return data.decode("utf-8", "keep_surrogates")


def encode(name, rng):
    """As an agent may have written it: escaped bytes as they were, or the surrogates of a str."""
    if rng.random() < 0.5:
        try:
            data = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            data = b""
        if decode(data) == name:
            return data
    return name.encode("utf-8", "surrogatepass")


def word(name, rng):
    return urllib.parse.quote_from_bytes(encode(name, rng), safe="")


# ---- cases ----

def random_traceback(rng, names):
    frames = [(rng.choice(names), rng.choice((0, 1, 1, 2, 3))) for _ in range(rng.choice((1, 1, 2, 3, 5)))]
    if rng.random() < 0.3:
        frames += [rng.choice(frames) for _ in range(rng.randint(1, 3))]
    return tuple(frames)


def random_size(rng, ties):
    return rng.choice((0, 0, 0, 1)) if ties else rng.choice((0, 1, 1, 2, 8, 8, 10, 10, 100, rng.randint(0, 2 ** 40)))


def random_traces(rng, tracebacks):
    traces = []
    ties = rng.random() < 0.3  # then sizes agree and counts decide
    for _ in range(rng.choice((0, 1, 3, 10, 30))):
        frames = rng.choice(tracebacks)
        trace = (rng.choice(DOMAINS), random_size(rng, ties), frames, len(frames) + rng.choice((0, 0, 4)))
        traces += [trace] * rng.choice((1, 1, 2, 5))
    return traces


def random_text(rng, alphabet, n):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, n)))


def random_match_pattern(rng):
    """Of few characters, so that it often matches; half of them with a set of ranges, good and bad."""
    if rng.random() < 0.5:
        return random_text(rng, ALPHABET, 8)
    return random_text(rng, "?*", 1) + "[" + random_text(rng, "!]", 1) + random_text(rng, "abc--!^&\u00e9", 8) + "]"


def random_pattern(rng, names):
    if rng.random() < 0.3:
        return random_match_pattern(rng)
    name = rng.choice(names)
    for _ in range(rng.choice((0, 1, 2))):
        at = rng.randint(0, len(name))
        name = name[:at] + rng.choice(("*", "?", "[!x]", "[a-z]", "[]a]", "*")) + name[at + rng.choice((0, 1, 2)):]
    return name


def random_filter(rng, names):
    if rng.random() < 0.2:
        return ("domain", rng.random() < 0.5, rng.choice(DOMAINS))
    return ("file", rng.random() < 0.6, random_pattern(rng, names), rng.choice((None, None, 0, 1, 2)), rng.random() < 0.4,
            rng.choice((None, None, None) + tuple(DOMAINS)))


def random_case(rng):
    names = rng.sample(NAMES, rng.randint(1, 6))
    tracebacks = [random_traceback(rng, names) for _ in range(rng.randint(1, 12))]
    old = random_traces(rng, tracebacks)
    new = random_traces(rng, tracebacks)
    if rng.random() < 0.5:
        new += old[rng.randint(0, len(old)):]
    filters = [random_filter(rng, names) for _ in range(rng.choice((0, 0, 1, 2, 4)))]
    return {"old": old, "new": new, "filters": filters}


# ---- our side ----

def trace_line(trace, rng, count):
    domain, size, frames, total_nframe = trace
    words = ["s,%s,%d%s" % (word(filename, rng), lineno, rng.choice(("", ",f", ",g")))
             for filename, lineno in reversed(frames)]
    return "trace %d %d %d %d %s" % (domain, total_nframe, size, count, " ".join(words))


def filter_line(f, rng):
    mode = "include" if f[1] else "exclude"
    if f[0] == "domain":
        return "domain-filter %s %d" % (mode, f[2])
    return "filter %s %s %s %s %s" % (mode, "-" if f[3] is None else f[3], "all" if f[4] else "recent",
                                      "-" if f[5] is None else f[5], word(f[2], rng))


def questions():
    for cumulative in (0, 1):
        for key in KEYS[:2] if cumulative else KEYS:
            for question in ("stats 2", "compare 1 2"):
                yield key, cumulative, question
    yield "lineno", 0, "traces 2"


def case_lines(case, seed):
    rng = random.Random(seed)
    lines = ["case"]
    for number, side in ((1, "old"), (2, "new")):
        lines.append("snapshot %d" % number)
        lines += [trace_line(trace, rng, count) for trace, count in collections.Counter(case[side]).items()]
    for key, cumulative, question in questions():
        lines.append("view %s %d 0 0" % (key, cumulative))
        lines += [filter_line(f, rng) for f in case["filters"]]
        lines.append(question)
    return lines


def parse_frames(words):
    frames = []
    for text in words:
        filename, lineno = text.split(",")[:2]
        frames.append((decode(urllib.parse.unquote_to_bytes(filename)), int(lineno)))
    return tuple(frames)


def parse_answer(lines):
    rows = []
    for line in lines:
        words = line.split(" ")
        numbers = [text for text in words[1:] if "," not in text]
        if words[0] == "row":
            rows.append((tuple(int(n) for n in numbers), parse_frames(words[1 + len(numbers):])))
        elif words[0] == "trace":
            rows.append((words[1], words[3], words[4], int(words[5]), parse_frames(words[7:])))
        elif words[0] == "header":
            rows.append(("header", int(words[1]), int(words[2])) + tuple(int(n) for n in words[5:]))
        elif words[0] != "beside-malloc":  # of domains, which tracemalloc knows nothing of
            rows.append(line)
    return rows


def ask_model(model_cli, lines):
    output = subprocess.run([model_cli], input="\n".join(lines).encode() + b"\n", stdout=subprocess.PIPE, check=True).stdout
    answers, answer = [], []
    for line in output.decode().splitlines():
        if line == "end":
            answers.append(answer)
            answer = []
        else:
            answer.append(line)
    return answers


# ---- Python's side ----

def python_filters(filters):
    import tracemalloc
    return [tracemalloc.DomainFilter(f[1], f[2]) if f[0] == "domain" else
            tracemalloc.Filter(f[1], f[2], lineno=f[3], all_frames=f[4], domain=f[5]) for f in filters]


def totals(snapshot):
    return sum(trace.size for trace in snapshot.traces), len(snapshot.traces)


def frames_of(traceback):
    return tuple((frame.filename, frame.lineno) for frame in traceback)


def python_answers(case):
    import tracemalloc
    filters = python_filters(case["filters"])
    old = tracemalloc.Snapshot(list(case["old"]), 64).filter_traces(filters)
    new = tracemalloc.Snapshot(list(case["new"]), 64).filter_traces(filters)
    (old_size, old_count), (size, count) = totals(old), totals(new)
    for key, cumulative, question in questions():
        if question.startswith("stats"):
            yield [("header", size, count)] + [((s.size, s.count), frames_of(s.traceback))
                                               for s in new.statistics(key, bool(cumulative))]
        elif question.startswith("compare"):
            yield [("header", size, count, size - old_size, count - old_count)] + [
                ((s.size, s.size_diff, s.count, s.count_diff), frames_of(s.traceback))
                for s in new.compare_to(old, key, bool(cumulative))]
        else:
            yield collections.Counter((str(t.domain), str(t.traceback.total_nframe), str(t.size), frames_of(t.traceback))
                                      for t in new.traces)


def same(theirs, ours):
    if isinstance(theirs, collections.Counter):
        counts = collections.Counter()
        for domain, total_nframe, size, count, frames in ours:
            counts[domain, total_nframe, size, frames] += count
        return counts == theirs
    return theirs == ours


# ---- comparison ----

def differs(model_cli, case, seed):
    """The first question that is answered differently, or None."""
    try:
        expected = list(python_answers(case))
    except re.error:
        return None  # before 3.10 some empty ranges were errors
    got = [parse_answer(answer) for answer in ask_model(model_cli, case_lines(case, seed))]
    for question, theirs, ours in zip(questions(), expected, got):
        if not same(theirs, ours):
            return question, theirs, ours
    return None if len(got) == len(expected) else ("number of answers", len(expected), len(got))


def minimal(model_cli, case, seed):
    """Take out what can be taken out while the answers differ."""
    again = True
    while again:
        again = False
        for part in ("filters", "old", "new"):
            for i in reversed(range(len(case[part]))):
                less = dict(case, **{part: case[part][:i] + case[part][i + 1:]})
                if differs(model_cli, less, seed):
                    case, again = less, True
    return case


def compare_matches(model_cli, rng, n):
    """fnmatch alone."""
    pairs = [(random_match_pattern(rng), random_text(rng, ALPHABET + "c!-", 3)) for _ in range(n)]
    answers = ask_model(model_cli, ["match %s %s" % (word(p, rng), word(name, rng)) for p, name in pairs])
    for (pattern, name), answer in zip(pairs, answers):
        try:
            theirs = fnmatch.fnmatchcase(name, pattern)
        except re.error:
            continue
        if sys.version_info < (3, 10) and re.search(r"\[.*-", pattern):
            continue  # ranges were made consistent in 3.10
        if answer != ["match yes" if theirs else "match no"]:
            print("fnmatch(%a, %a) is %s, ours: %s" % (name, pattern, theirs, answer))
            return False
    return len(answers) == len(pairs)


def compare_here(model_cli, seed, n_cases):
    cases = [random_case(random.Random("%d/%d" % (seed, i))) for i in range(n_cases)]
    lines = []
    for i, case in enumerate(cases):
        lines += case_lines(case, i)
    answers = iter(ask_model(model_cli, lines))
    for i, case in enumerate(cases):
        got = [parse_answer(next(answers)) for _ in questions()]
        try:
            expected = list(python_answers(case))
        except re.error:
            continue
        if all(same(theirs, ours) for theirs, ours in zip(expected, got)):
            continue
        less = minimal(model_cli, case, i)
        print("seed %d case %d, Python %s: %a" % (seed, i, sys.version.split()[0], less))
        question, theirs, ours = differs(model_cli, less, i) or ("only in a row of cases", expected, got)
        print("  question %s\n  Python %a\n  ours   %a" % (question, theirs, ours))
        return False
    return compare_matches(model_cli, random.Random(seed), 20 * n_cases)


def main():
    parser = argparse.ArgumentParser()
    build = os.environ.get("TRACEMALLOCD_BUILD", os.path.join(os.path.dirname(__file__), "..", "..", "build"))
    parser.add_argument("--model-cli", default=os.path.join(build, "tests/unit/query/model_cli"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--here", action="store_true", help="only this interpreter")
    parser.add_argument("pythons", nargs="*")
    args = parser.parse_args()
    if args.here:
        return 0 if compare_here(args.model_cli, args.seed, args.cases) else 1
    interpreters = [(pythons.version_of(path, OLDEST), path) for path in args.pythons] or pythons.since(OLDEST)
    failed = 0
    for number, (version, python) in enumerate(interpreters, 1):
        command = [python, __file__, "--here", "--model-cli", args.model_cli, "--seed", str(args.seed), "--cases", str(args.cases)]
        ok = subprocess.run(command).returncode == 0
        failed += not ok
        print("%s %d - the model answers as Python %s does (seed %d, %d cases)" %
              ("ok" if ok else "not ok", number, version, args.seed, args.cases), flush=True)
    print("1..%d" % len(interpreters))
    return 1 if failed or not interpreters else 0


if __name__ == "__main__":
    sys.exit(main())
