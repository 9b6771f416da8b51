#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What people see of code: tracebacks as Traceback.format() prints them, source lines only of files that are what ran, and what
compares two versions of a program."""
import itertools
import os
import subprocess
import sys
import time
import tracemalloc

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tm import Claims, Daemon  # noqa: E402

PROGRAM = """#include <stdlib.h>
int main(void) {
        void *volatile kept = malloc(4321); /* the planted line */
        (void)kept;
        return 0;
}
"""
PLANTED = "void *volatile kept = malloc(4321); /* the planted line */"


def write(path, text, age_s=0):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    changed = time.time() - age_s
    os.utime(path, (changed, changed))


def tracebacks_shown(text):
    """The tracebacks of --group-by traceback, each a list of lines."""
    return [block.splitlines()[1:] for block in text.split("\n\n")
            if block.startswith("size=") and "Total:" not in block.splitlines()[0]]


def check_format(claims, daemon):
    source = os.path.join(daemon.scratch, "module.py")
    write(source, "".join(f"line_{i} = {i}\n" if i % 3 else "\n" for i in range(1, 30)), 3600)
    frames = [(source, i) for i in range(1, 8)] + [("<frozen x>", 3), ("/nowhere/x.py", 7), (source, 0), (source, 400)]
    traces = [(0, 1000 - n, tuple(frames[(n + k * 2) % len(frames)] for k in range(n)), n) for n in range(1, 6)]
    snapshot = tracemalloc.Snapshot(traces, 10)
    path = os.path.join(daemon.scratch, "format.pickle")
    snapshot.dump(path)
    stored = daemon.tmctl("import", path).stdout.strip()
    wrong = []
    for limit, first, reference in itertools.product((None, 1, 2, 3, 5, 9, 0, -1, -2, -4, -9), (False, True), (path, stored)):
        arguments = ["stats", reference, "--group-by", "traceback"]
        arguments += [] if limit is None else [f"--traceback-limit={limit}"]
        arguments += ["--most-recent-first"] if first else []
        expected = [s.traceback.format(limit, first) for s in snapshot.statistics("traceback")]
        shown = tracebacks_shown(daemon.tmctl(*arguments).stdout)
        if shown != expected:
            wrong.append((limit, first, shown, expected))
    claims.check("--group-by traceback shows Traceback.format(limit, most_recent_first), for limits above, at and below 0", not wrong,
                 *wrong[:2])
    rows = daemon.tmctl("stats", path, "--limit", "0").stdout.splitlines()
    expected = [str(s) for s in snapshot.statistics("lineno")]
    claims.check("rows are worded as Python's", [line for line in rows if ": size=" in line and not line.startswith("Total")] == expected,
                 rows, expected)
    below = {line: rows[rows.index(line) + 1].strip() for line in expected}
    lines = {str(s): tracemalloc.linecache.getline(s.traceback[0].filename, s.traceback[0].lineno).strip()
             for s in snapshot.statistics("lineno")}
    claims.check("a row has its source line below, where there is one",
                 all(below[row] == text for row, text in lines.items() if text), below, lines)


def check_changed_file(claims, daemon):
    source = os.path.join(daemon.scratch, "changed.py")
    write(source, "first = 1\nplanted = 2\n", 3600)
    path = os.path.join(daemon.scratch, "changed.pickle")
    tracemalloc.Snapshot([(0, 10, ((source, 2),), 1)], 1).dump(path)
    dumped = time.time() - 1800
    os.utime(path, (dumped, dumped))
    stored = daemon.tmctl("import", path).stdout.strip()

    def shows(reference):
        return ["planted = 2" in daemon.tmctl(*command).stdout for command in (
            ("stats", reference), ("stats", reference, "--group-by", "traceback"), ("traces", reference),
            ("compare", reference, reference))]

    claims.check("a file that is older than the snapshot is shown", shows(path) == [True] * 4 and shows(stored) == [True] * 4,
                 shows(path), shows(stored))
    write(source, "first = 1\nplanted = 2\n# changed\n", 900)
    claims.check("a file that was changed after the snapshot was dumped is not, even if that was before the import",
                 shows(path) == [False] * 4 and shows(stored) == [False] * 4, shows(path), shows(stored))


def check_changed_source(claims, daemon):
    source, binary = os.path.join(daemon.scratch, "planted.c"), os.path.join(daemon.scratch, "planted")
    write(source, PROGRAM, 3600)
    subprocess.run(["gcc", "-g", "-O0", "-o", binary, source], check=True)
    _, exits, _ = daemon.run([binary])
    snapshot = exits[0]["id"]
    claims.check("the source of a program is shown", PLANTED in daemon.tmctl("stats", snapshot).stdout, daemon.tmctl("stats", snapshot).stdout)
    write(source, "/* one more line */\n" + PROGRAM, -60)
    shown = daemon.tmctl("stats", snapshot).stdout
    claims.check("after it was changed the row stays and the line goes", "planted.c:3: size=" in shown and "malloc(4321)" not in shown
                 and "int main" not in shown, shown)
    os.unlink(source)
    shown = daemon.tmctl("stats", snapshot).stdout
    claims.check("and so where it is gone", "planted.c:3: size=" in shown and "malloc(4321)" not in shown, shown)


def check_moved_lines(claims, daemon):
    source, binary = os.path.join(daemon.scratch, "version.c"), os.path.join(daemon.scratch, "version")
    two = PROGRAM.replace("return 0;", "free(kept);\n        kept = malloc(4320);\n        return 0;")

    def run(text):
        write(source, text)
        subprocess.run(["gcc", "-g", "-O0", "-o", binary, source], check=True)
        _, exits, peaks = daemon.run([binary])
        return exits[0]["id"], peaks[0]["id"]

    old, new, (late, early) = run(PROGRAM)[0], run("/* one more line */\n" + PROGRAM)[0], run(two)
    hint = "version.c moved between the two: --group-by function compares them."
    shown = {pair: daemon.tmctl("compare", *pair).stdout for pair in ((old, new), (old, old), (early, late))}
    claims.check("of another version with lines at other numbers compare names the key that does not know them", hint in shown[old, new],
                 shown[old, new])
    by_function = daemon.tmctl("compare", old, new, "--group-by", "function").stdout
    claims.check("by which it is one row", "version.c (main): size=4321 B (+0 B)" in by_function and hint not in by_function, by_function)
    claims.check("of one run, where one line freed and another allocated, it does not", "version.c:6: size=4320 B (+4320 B)" in
                 shown[early, late] and not any(hint in shown[pair] for pair in ((old, old), (early, late))), shown)


def check_left_out(claims, daemon):
    source, binary = os.path.join(daemon.scratch, "out.c"), os.path.join(daemon.scratch, "out")
    write(source, PROGRAM)
    subprocess.run(["gcc", "-g", "-O0", "-o", binary, source], check=True)
    _, exits, _ = daemon.run([binary])
    out = os.path.join(daemon.scratch, "out.pickle")
    done = daemon.tmctl("export", exits[0]["id"], "-o", out)
    claims.check("export says what Python's model cannot hold", done.returncode == 0 and "functions, modules" in done.stderr, done.stderr)
    done = daemon.tmctl("export", exits[0]["id"], "--format", "json", "-o", out)
    claims.check("json holds all of it", done.returncode == 0 and not done.stderr, done.stderr)


with Claims() as all_claims, Daemon() as here:
    check_format(all_claims, here)
    check_changed_file(all_claims, here)
    check_changed_source(all_claims, here)
    check_moved_lines(all_claims, here)
    check_left_out(all_claims, here)
