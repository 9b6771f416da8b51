#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One moment of a process, asked as a live table, as a stored snapshot, as an exported file and as that file imported again: the same
rows in the same order, for every key, with filters, and of comparisons; and CPython, which loads the file, gives them too."""
import itertools
import os
import re
import subprocess
import sys
import tracemalloc

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from python_snapshots import filter_arguments, frames_of, run, statistics_of  # noqa: E402
from tm import TMCTL, Claims, Daemon  # noqa: E402

# What holds memory is told apart by line; sizes and counts tie on purpose. It says when it stands still, and does so until told to go on.
PYTHON_PROGRAM = """
import sys
kept = []
def leaf(n):
    kept.append(bytes(n))
def recurse(depth, n):
    if depth:
        return recurse(depth - 1, n)
    leaf(n)
    kept.append([None] * 10)
def phase(k):
    for i in range(20):
        leaf(1000 + i % 3)
        recurse(i % 4, 2000)
        kept.append(bytes(500)); kept.append(bytes(500))
        kept.append({i: k})
    for name in ("b", "a", "c"):
        exec(compile("kept.append(bytes(777))\\n" * 2, name + ".py", "exec"))
    del kept[::7]
for k in range(2):
    phase(k)
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    sys.stdin.readline()
"""
C_PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void *volatile kept[4000];
static int n;
static void take(size_t size) { kept[n++] = malloc(size); }
static void deep(int depth, size_t size) {
        if (depth > 0)
                deep(depth - 1, size);
        else
                take(size);
        __asm__ volatile("");
}
static void phase(void) {
        for (int i = 0; i < 50; i++) {
                deep(i % 5, 100 + i % 2);
                take(64);
                take(64);
                kept[n++] = strdup("a copy");
                kept[n++] = calloc(2, 50);
        }
        for (int i = 0; i < n; i += 6) {
                free(kept[i]);
                kept[i] = NULL;
        }
}
int main(void) {
        char line[8];
        setvbuf(stdout, NULL, _IONBF, 0);
        for (int i = 0; i < 2; i++) {
                phase();
                puts("ready");
                if (!fgets(line, sizeof(line), stdin))
                        return 1;
        }
        return 0;
}
"""
OFFSET = r"\+0x[0-9a-f]+$"
NATIVE_NAME = OFFSET + r"| \(.*\)$"
KEYS = (("lineno", False), ("filename", False), ("traceback", False), ("lineno", True), ("filename", True))
PYTHON_FILTERS = (
    [],
    [("file", True, "*/program.py", None, False, None)],
    [("file", True, "*/program.py", 7, True, None), ("file", False, "*", 4, False, 0)],
    [("file", False, "?.py", None, False, 0), ("domain", True, 0), ("file", False, "<*>", None, True, None)],
)
C_FILTERS = (
    [],
    [("file", True, "*/program.c", None, False, None)],
    [("file", True, "*/program.c", 11, True, None), ("file", False, "*", 7, False, 4294967294)],
)


class Subject:
    """A traced program that stands still between its phases."""

    def __init__(self, daemon, command, *options):
        self.run = subprocess.Popen([TMCTL, "run", *options, "--", *command], env=daemon.environment, text=True,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.await_ready()
        (self.pid,) = [p["pid"] for p in daemon.json("ps") if p["state"] == "tracing"]

    def await_ready(self):
        line = self.run.stdout.readline()
        if line != "ready\n":
            raise RuntimeError(f"the program says {line!r}")

    def go_on(self):
        self.run.stdin.write("\n")
        self.run.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.run.stdin.close()
        self.run.wait(120)
        self.run.stdout.close()


class Moment:
    """One moment of a subject in each form."""

    def __init__(self, daemon, subject, name):
        self.stored = daemon.tmctl("snapshot", "--pid", subject.pid).stdout.strip()
        self.file = os.path.join(daemon.scratch, name + ".pickle")
        run(daemon, "export", self.stored, "-o", self.file)
        self.imported = run(daemon, "import", self.file).decode().strip()
        self.live = f"@{subject.pid}"  # until the subject goes on


def exported_name(frame):
    """What a native frame without a line is called in a file: its module with its function, or an offset, which rows do not show."""
    if frame["lineno"] == 0 and frame["module"] is not None and frame["function"] is not None:
        return f"{frame['filename']} ({frame['function']})"
    return frame["filename"]


def numbers(row):
    return tuple(row[name] for name in ("size", "size_diff", "count", "count_diff") if name in row)


def whole_rows(daemon, *arguments):
    """With functions and modules."""
    return daemon.json(*[a.decode() if isinstance(a, bytes) else a for a in arguments])["statistics"]


def python_rows(files, key, cumulative, filters):
    """CPython's answer on one file or two."""
    python = [tracemalloc.DomainFilter(f[1], f[2]) if f[0] == "domain" else
              tracemalloc.Filter(f[1], f[2], lineno=f[3], all_frames=f[4], domain=f[5]) for f in filters]
    snapshots = [tracemalloc.Snapshot.load(file).filter_traces(python) for file in files]
    if len(snapshots) == 1:
        return [(s.size, s.count, tuple((f.filename, f.lineno) for f in s.traceback)) for s in snapshots[0].statistics(key, cumulative)]
    return [(s.size, s.size_diff, s.count, s.count_diff, tuple((f.filename, f.lineno) for f in s.traceback))
            for s in snapshots[1].compare_to(snapshots[0], key, cumulative)]


def ask_all_forms(daemon, pairs, key, cumulative, filters):
    """@pairs: {form: [references]}. Return: what is wrong, or None; and how many rows there were."""
    command = "stats" if len(pairs["live"]) == 1 else "compare"
    options = ["--group-by", key] + ["--cumulative"] * cumulative + filter_arguments(filters)
    live = whole_rows(daemon, command, *pairs["live"], *options)
    if live != whole_rows(daemon, command, *pairs["stored"], *options):
        return "live table and stored snapshot", len(live)
    file = statistics_of(run(daemon, command, *pairs["file"], "--json", *options), command == "compare")
    if file != statistics_of(run(daemon, command, *pairs["imported"], "--json", *options), command == "compare"):
        return "file and imported snapshot", len(live)
    if file != python_rows(pairs["file"], key, cumulative, filters):
        return "CPython and the file", len(live)
    return None if same_names(live, file, key) else "live table and file", len(live)


def same_names(live, file, key):
    """Native frames without a line have their function or offset in the name in a file, where a live table holds it apart; order goes by
    that name in each form."""
    native = any(re.search(NATIVE_NAME, f[0]) for row in file for f in row[-1])
    if native and key == "filename":
        return True  # one row of a module became several
    named = [numbers(row) + (tuple((exported_name(f), f["lineno"]) for f in row["traceback"]),) for row in live]
    return named == [row[:-1] + (tuple((re.sub(OFFSET, "", name), lineno) for name, lineno in row[-1]),) for row in file]


def traces_of(daemon, reference, filters):
    return [(t["domain"], t["size"], t["count"], t["total_nframe"], frames_of(t["traceback"]))
            for t in daemon.json_lines("traces", reference, *[a.decode() if isinstance(a, bytes) else a for a in filter_arguments(filters)])]


def check_traces(claims, daemon, what, moment, all_filters, with_file):
    wrong, n = [], 0
    for filters in all_filters:
        answers = {form: traces_of(daemon, getattr(moment, form), filters) for form in ("live", "stored", "file", "imported")}
        n += len(answers["live"])
        pairs = [("live", "stored"), ("file", "imported")] + [("live", "file")] * with_file
        wrong += [(filters, a, b) for a, b in pairs if answers[a] != answers[b]]
    claims.check(f"{what}: the same traces in each form", not wrong and n > 0, n, *wrong[:3])


def check_moment(claims, daemon, what, pairs, all_filters):
    wrong, n = [], 0
    for (key, cumulative), filters in itertools.product(KEYS, all_filters):
        problem, n_rows = ask_all_forms(daemon, pairs, key, cumulative, filters)
        n += n_rows
        if problem:
            wrong.append((problem, key, cumulative, filters))
    function = [whole_rows(daemon, "stats" if len(pairs["live"]) == 1 else "compare", *pairs[form], "--group-by", "function", *cumulative)
                for form in ("live", "stored") for cumulative in ([], ["--cumulative"])]
    if function[:2] != function[2:] or not function[0]:
        wrong.append("--group-by function")
    claims.check(f"{what}: the same rows in the same order, live, stored, as a file, imported again, and by CPython", not wrong and n > 30,
                 n, *wrong[:5])


def check_program(claims, daemon, what, command, all_filters, *options):
    with Subject(daemon, command, *options) as subject:
        first = Moment(daemon, subject, "first")
        subject.go_on()
        subject.await_ready()
        second = Moment(daemon, subject, "second")
        one = {form: [getattr(second, form)] for form in ("live", "stored", "file", "imported")}
        two = {form: [getattr(first, "stored" if form == "live" else form), getattr(second, form)] for form in one}
        check_moment(claims, daemon, f"{what}, stats", one, all_filters)
        check_moment(claims, daemon, f"{what}, compare", two, all_filters)
        check_traces(claims, daemon, what, second, all_filters, "--domains" in options)
        sums = {tuple(daemon.json("stats", reference)[k] for k in ("total_size", "total_count"))
                for reference in (second.live, second.stored, second.file, second.imported)}
        claims.check(f"{what}: the same totals", len(sums) == 1, sums)


def main():
    with Claims() as claims, Daemon() as daemon:
        path = os.path.join(daemon.scratch, "program.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write(PYTHON_PROGRAM)
        source, binary = os.path.join(daemon.scratch, "program.c"), os.path.join(daemon.scratch, "program")
        with open(source, "w", encoding="utf-8") as f:
            f.write(C_PROGRAM)
        subprocess.run(["gcc", "-g", "-O1", "-o", binary, source], check=True)
        check_program(claims, daemon, "a Python program, domain python", ["/usr/bin/python3", path], PYTHON_FILTERS, "--domains", "python")
        check_program(claims, daemon, "a Python program, all domains", ["/usr/bin/python3", path], PYTHON_FILTERS[:2])
        check_program(claims, daemon, "a C program", [binary], C_FILTERS)


if __name__ == "__main__":
    main()
