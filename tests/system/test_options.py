#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every option of tmctl means: each has a test here that fails if the option does nothing.

Views are tried on a file of tracemalloc whose numbers are known, processes on a
program that allocates what it is told to. An option that appears in a --help
and has no test here fails the last claim.
"""
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import tracemalloc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "support"))
from tm import SOURCE, TMCTL, TRACEMALLOCD, Claims, Daemon  # noqa: E402

MALLOC = 4294967294
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
__attribute__((noinline)) static void *xmalloc(size_t n) { void *p = malloc(n); __asm__ volatile("" ::: "memory"); return p; }
__attribute__((noinline)) static void *pool_alloc(size_t n) { void *p = malloc(n); __asm__ volatile("" ::: "memory"); return p; }
__attribute__((noinline)) static void *wrap(size_t n) { return malloc(n); }
__attribute__((noinline)) static void *keep(size_t n) { void *p = wrap(n); __asm__ volatile("" ::: "memory"); return p; }
__attribute__((noinline)) static void *deep(int n) { void *p = n ? deep(n - 1) : keep(77777); __asm__ volatile("" ::: "memory"); return p; }
int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IONBF, 0);
        char line[64];
        void *last = NULL, *big = NULL;
        while (fgets(line, sizeof line, stdin)) {
                switch (line[0]) {
                case 'k': last = keep((size_t)atol(line + 1)); break;
                case 'f': free(last); last = NULL; break;
                case 'b': big = wrap((size_t)atol(line + 1)); free(big); break;
                case 'd': last = deep(200); break;
                case 'p': last = pool_alloc((size_t)atol(line + 1)); break;
                case 'x': last = xmalloc((size_t)atol(line + 1)); break;
                case 'C': if (fork() == 0) { free(wrap((size_t)atol(line + 1))); _exit(0); } wait(NULL); break;
                case 'c': if (fork() == 0) { free(wrap(54321)); _exit(wrap(1) == NULL); } wait(NULL); break;
                }
                printf("%lx\n", (unsigned long)last);
        }
}
"""


def write_file(path):
    """Known numbers: (file, line) with sizes. Frames are most recent first, as tracemalloc keeps them."""
    a, b, w, m = ("/app/a.py", 3), ("/app/b.py", 9), ("/lib/wrap.py", 1), ("/app/main.py", 1)
    traces = [
        (0, 100, (w, a, m), 3),
        (0, 200, (w, b, m), 3),
        (0, 50, (a, m), 2),
        (7, 1000, (b, m), 2),
    ]
    snapshot = tracemalloc.Snapshot(traces if sys.version_info >= (3, 9) else [t[:3] for t in traces], 25)
    with open(path, "wb") as f:
        pickle.dump(snapshot, f, 4)


def resident_size(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def end_private_daemon(pid):
    """It may have ended already: nobody asks it anything."""
    try:
        pidfd = os.pidfd_open(pid)
        if os.path.samefile(f"/proc/{pid}/exe", TRACEMALLOCD):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        os.close(pidfd)
    except (ProcessLookupError, FileNotFoundError):
        pass


class Program:
    """The program under tmctl run: tell(line) waits until it has done that."""

    def __init__(self, daemon, path, *options):
        self.daemon = daemon
        before = {p["pid"] for p in daemon.json("ps")}
        self.tmctl = subprocess.Popen(
            [TMCTL, "run", *options, "--", path],
            env=daemon.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.tell("n")
        self.pid = next(p["pid"] for p in daemon.json("ps") if p["pid"] not in before)

    def tell(self, line):
        self.tmctl.stdin.write(line + "\n")
        self.tmctl.stdin.flush()
        return int(self.tmctl.stdout.readline(), 16)

    def end(self):
        self.tmctl.stdin.close()
        self.tmctl.stdout.read()
        message = self.tmctl.stderr.read()
        self.tmctl.wait()
        return message


class Test:
    def __init__(self, claims, daemon):
        self.claims, self.daemon = claims, daemon
        self.tested = set()
        self.file = os.path.join(daemon.scratch, "known.pickle")
        write_file(self.file)
        self.source = os.path.join(daemon.scratch, "program.c")
        self.program = os.path.join(daemon.scratch, "program")
        with open(self.source, "w", encoding="utf-8") as f:
            f.write(PROGRAM)
        subprocess.run(["gcc", "-g", "-O1", "-o", self.program, self.source], check=True)

    def check(self, option, text, got, wanted):
        self.tested.add(option)
        self.claims.check(f"{option}: {text}", got == wanted, f"wanted {wanted!r}", f"got    {got!r}")

    def rows(self, *options):
        rows = self.daemon.json("stats", self.file, *options)["statistics"]
        return [(os.path.basename(r["traceback"][-1]["filename"]), r["traceback"][-1]["lineno"], r["size"], r["count"])
                for r in rows]

    def text(self, *arguments):
        result = self.daemon.tmctl(*arguments)
        return result.stdout + result.stderr

    # ---- views, on the file ----

    def views(self):
        lines = [("b.py", 9, 1000, 1), ("wrap.py", 1, 300, 2), ("a.py", 3, 50, 1)]
        self.check("--group-by", "lineno is the default", self.rows(), lines)
        self.check("--group-by", "lineno", self.rows("--group-by", "lineno"), lines)
        self.check("--group-by", "filename has no line", self.rows("--group-by", "filename"),
                   [(f, 0, s, c) for f, _, s, c in lines])
        self.check("--group-by", "traceback keeps them apart", len(self.rows("--group-by", "traceback")), 4)
        self.check("--group-by", "function is by file and function", len(self.rows("--group-by", "function")), 3)
        self.check("--cumulative", "every frame counts", self.rows("--cumulative"),
                   [("main.py", 1, 1350, 4), ("b.py", 9, 1200, 2), ("wrap.py", 1, 300, 2), ("a.py", 3, 150, 2)])
        self.check("--skip", "the wrapper's callers", self.rows("--skip", "*/wrap.py"),
                   [("b.py", 9, 1200, 2), ("a.py", 3, 150, 2)])
        self.check("--include", "matching ones stay", self.rows("--include", "*/a.py"), [lines[2]])
        for command in ("stats", "traces"):
            self.check("--include", f"{command}: a file's name alone matches no path, and that is said",
                       self.daemon.tmctl(command, self.file, "--include", "wrap.py").stdout.splitlines()[-1],
                       "There is nothing that matches. A pattern is of the whole path: '*/wrap.py'.")
        self.check("--include", "what only other frames match is named --all-frames",
                   "--all-frames" in self.daemon.tmctl("stats", self.file, "--include", "*/main.py").stdout, True)
        self.check("--include", "a line", self.rows("--include", "*/a.py:4"), [])
        self.check("--exclude", "matching ones go", self.rows("--exclude", "*/wrap.py:1"), [lines[0], lines[2]])
        self.check("--all-frames", "any frame matches", self.rows("--include", "*/a.py", "--all-frames"),
                   [("wrap.py", 1, 100, 1), ("a.py", 3, 50, 1)])
        self.check("--domain", "of that domain", self.rows("--domain", "7"), [lines[0]])
        self.check("--domain", "by name", self.rows("--domain", "python"), lines[1:])
        self.check("--exclude-domain", "not of that one", self.rows("--exclude-domain", "7"), lines[1:])
        self.check("--limit", "so many rows", self.rows("--limit", "2"), lines[:2])
        self.check("--limit", "0 is all", len(self.rows("--limit", "0")), 3)
        self.check("--sort", "count: most blocks first", self.rows("--sort", "count"), [lines[1], lines[0], lines[2]])
        self.check("--sort", "size is the default", self.rows("--sort", "size"), lines)
        self.check("--json", "is JSON", self.daemon.json("stats", self.file)["total_size"], 1350)
        frames = re.compile(r"^  File \".*/(\w+)\.py\", line", re.M)
        view = ("stats", self.file, "--group-by", "traceback", "--include", "*/wrap.py", "--limit", "1")
        self.check("--traceback-limit", "without it all frames", frames.findall(self.text(*view)), ["main", "b", "wrap"])
        self.check("--traceback-limit", "the most recent", frames.findall(self.text(*view, "--traceback-limit", "2")),
                   ["b", "wrap"])
        self.check("--traceback-limit", "negative: without them",
                   frames.findall(self.text(*view, "--traceback-limit", "-1")), ["main", "b"])
        self.check("--most-recent-first", "the other way round",
                   frames.findall(self.text(*view, "--most-recent-first")), ["wrap", "b", "main"])

    def files(self):
        out = os.path.join(self.daemon.scratch, "out")
        loaded = lambda: tracemalloc.Snapshot.load(out)  # noqa: E731
        self.daemon.tmctl("export", self.file, "--output", out, "--python", "3.9")
        with open(out, "rb") as f:
            self.check("--python", "3.9 has traces of four", b"\x94K\x03t" in f.read(), True)
        self.check("--output", "the file is there", os.path.exists(out), True)
        if sys.version_info >= (3, 9):
            self.check("--format", "tracemalloc is the default", len(loaded().traces), 4)
        self.daemon.tmctl("export", self.file, "-o", out, "--format", "json", "--domain", "7")
        with open(out, encoding="utf-8") as f:
            self.check("--format", "json is lines of traces", [json.loads(line)["size"] for line in f], [1000])
        stacks = self.daemon.tmctl("export", self.file, "--format", "collapsed", "--include", "*/wrap.py").stdout
        self.check("--format", "collapsed is stacks for a flame graph, the oldest frame first", stacks,
                   "/app/main.py:1;/app/b.py:9;/lib/wrap.py:1 200\n/app/main.py:1;/app/a.py:3;/lib/wrap.py:1 100\n")
        written = self.daemon.tmctl("export", self.file, "-o", "-", "--format", "json", "--domain", "7").stdout
        self.check("--output", "- is standard output", [json.loads(line)["size"] for line in written.splitlines()], [1000])
        number = self.daemon.tmctl("import", self.file, "--label", "mine").stdout.strip()
        self.check("--label", "of import", self.daemon.json("show", number)["label"], "mine")
        self.claims.check("stats: says that it was imported, when, and its label",
                          re.match(rf'Imported snapshot {number}, [0-9: -]+, .* ago, "mine"$', self.text("stats", number).splitlines()[0]) is not None)
        self.claims.check("show: a size that was not rounded stands there once",
                          re.search("^Size +1350 B$", self.text("show", number), re.M) is not None)
        self.check("--kind", "import", [s["id"] for s in self.daemon.json("list", "--kind", "import")], [int(number)])
        self.check("--kind", "none of that kind", self.daemon.json("list", "--kind", "exit"), [])

    # ---- processes ----

    def processes(self):
        d = self.daemon
        one, two = Program(d, self.program, "--label", "first"), Program(d, self.program)
        pids = sorted([one.pid, two.pid])
        one.tell("k 1000")
        address = one.tell("k 5000")
        self.check("--pid", "ps of that one", [p["pid"] for p in d.json("ps", "--pid", one.pid)], [one.pid])
        self.check("--name", "ps by glob", sorted(p["pid"] for p in d.json("ps", "--name", "prog*m")), pids)
        self.check("--name", "that fits nothing", d.tmctl("ps", "--name", "prog").returncode, 3)
        self.claims.check("resident_size of ps is what the kernel counts", *self.resident_sizes(one))
        block = d.json("block", "--pid", one.pid, hex(address + 4999))
        self.check("--pid", "block", (block["address"], block["size"], block["offset"]), (address, 5000, 4999))
        functions = re.compile(r", in (\w+)$", re.M)
        self.check("--most-recent-first", "block",
                   functions.findall(self.text("block", "--pid", one.pid, address, "--most-recent-first"))[:2],
                   ["wrap", "keep"])
        self.check("--traceback-limit", "block",
                   functions.findall(self.text("block", "--pid", one.pid, address, "--traceback-limit", "1")), ["wrap"])
        self.sets(one, two)
        self.shapes(one)
        self.labels(one)
        self.peaks(one)
        self.controls(one)
        one.end()
        two.end()

    def resident_sizes(self, one):
        """Return: whether they agree, and both. The kernel may take pages of an idle program at any time."""
        before = after = None
        while before is None or before != after:
            before = resident_size(one.pid)
            shown = self.daemon.json("ps", "--pid", one.pid)[0]["resident_size"]
            after = resident_size(one.pid)
        return shown == after, shown, after

    def sets(self, one, two):
        d = self.daemon
        name = d.tmctl("snapshot", "--pid", one.pid, "--pid", two.pid).stdout.strip()
        self.check("--pid", "twice is a set", name[:1], "s")
        members = [s for s in d.json("list") if s["set"] == int(name[1:])]
        self.check("--pid", "of both", sorted(s["pid"] for s in members), sorted([one.pid, two.pid]))
        times = [s["taken_at"] for s in members]
        seconds = [float(t[17:-1]) for t in times]
        self.check("--pid", "within 1 ms", (max(seconds) - min(seconds)) % 60 <= 0.001, True)
        total = sum(s["size"] for s in members)
        listed = ",".join(str(s["id"]) for s in members)
        for reference in (name, listed):
            self.check("--pid", f"stats of {reference[0]}... is the sum", d.json("stats", reference)["total_size"], total)
            self.check("--pid", f"compare of {reference[0]}...", d.json("compare", name, reference)["total_size_diff"], 0)
            self.check("--pid", f"traces of {reference[0]}...",
                       sum(t["total_size"] for t in d.json_lines("traces", reference)), total)
            out = d.tmctl("export", reference, "--format", "json").stdout
            self.check("--pid", f"export of {reference[0]}...", sum(json.loads(t)["total_size"] for t in out.splitlines()),
                       total)

    # ---- JSON, exit codes and messages: what scripts rely on ----

    def keys(self, what, got, wanted):
        self.claims.check(f"JSON of {what} has the fields that are promised", sorted(got) == sorted(wanted.split()),
                          f"wanted {sorted(wanted.split())}", f"got    {sorted(got)}")

    def shapes(self, one):
        d = self.daemon
        live = f"@{one.pid}"
        frame = "filename lineno function module"
        taken = d.json("snapshot", "--pid", one.pid)
        self.keys("snapshot", taken, "set ids")
        stats = d.json("stats", live)
        self.keys("stats", stats, "snapshot group_by cumulative total_size total_count exact statistics")
        self.keys("a row of stats", stats["statistics"][0], "traceback size count")
        self.keys("a frame", stats["statistics"][0]["traceback"][0], frame)
        compare = d.json("compare", taken["ids"][0], live)
        self.keys("compare", compare, "old new group_by cumulative exact total_size total_size_diff total_count "
                                      "total_count_diff statistics")
        self.keys("a row of compare", compare["statistics"][0], "traceback size size_diff count count_diff")
        self.claims.check("totals are the sum of the rows",
                          (sum(r["size"] for r in stats["statistics"]), sum(r["count"] for r in stats["statistics"]))
                          == (stats["total_size"], stats["total_count"]))
        trace = d.json_lines("traces", live)[0]
        fields = "domain domain_name size count total_size total_nframe traceback"
        self.keys("traces", trace, fields)
        peak = d.tmctl("snapshot", "--pid", one.pid, "--peak").stdout.strip()
        self.claims.check("size of a peak's traces is null", all(t["size"] is None for t in d.json_lines("traces", peak)))
        process = d.json("ps", "--pid", one.pid)[0]
        self.keys("ps", set(process) - {"phase"},
                  "pid ns_pid ppid uid name exe unit cgroup image started_at mode state layers traceback_limit domains "
                  "live_size live_count peak_size resident_size tracer_size events lost exact")
        self.keys("a domain of ps", process["domains"][0], "name live_size live_count peak_size")
        snapshot = ("id set pid uid name unit label kind taken_at ended_by image traceback_limit size count traces exact")
        self.keys("show", d.json("show", taken["ids"][0]), snapshot)
        self.keys("list", d.json("list")[0], snapshot)
        address = one.tell("k 600")
        self.keys("block", d.json("block", "--pid", one.pid, hex(address)), fields + " address offset")

    def refusals(self):
        ended = Program(self.daemon, self.program)
        ended.end()
        exit_snapshot = self.daemon.json("show", "last:exit")["id"]
        for code, message, *arguments in (
            (2, "unknown command 'frobnicate'; 'tmctl --help'", "frobnicate"),
            (2, "unknown command 'stat'; did you mean 'tmctl stats'", "stat"),
            (2, "unknown command 'snaphsot'; did you mean 'tmctl snapshot'", "help", "snaphsot"),
            (2, "unknown command 'diff'; did you mean 'tmctl compare'", "diff", "1", "2"),
            (2, "unknown command 'version'; did you mean 'tmctl --version'", "version"),
            (2, "--python is of --format tracemalloc", "export", self.file, "--format", "json", "--python", "3.8"),
            (2, "traced from its start, not attached to: 'tmctl run'", "attach", "1"),
            (2, "stats: takes SNAPSHOT.*tmctl stats --help", "stats"),
            (2, "unknown key_type: 'foo'", "stats", self.file, "--group-by", "foo"),
            (2, "--sort is size or count, not 'foo'", "stats", self.file, "--sort", "foo"),
            (2, "cumulative mode cannot by used with key type 'traceback'", "stats", self.file, "--cumulative", "--group-by",
             "traceback"),
            (2, "of which process.*tmctl ps", "snapshot"),
            (2, "--pid takes a number from 1 to 4294967295, not '4294967296'", "snapshot", "--pid", "4294967296"),
            (2, "--limit takes a number from 0 to 18446744073709551615, not '18446744073709551616'", "stats", self.file, "--limit",
             "18446744073709551616"),
            (2, "--limit takes a number from 0, not 'many'", "stats", self.file, "--limit", "many"),
            (2, "--unit is empty", "ps", "--unit", ""),
            (2, "--name is empty", "snapshot", "--name", ""),
            (2, "--label is empty", "list", "--label", ""),
            (2, "'tmctl show 17' shows a snapshot", "list", "17"),
            (2, "process is chosen by '--pid 1234'", "snapshot", "1234"),
            (2, "process is chosen by '--name redis'", "ps", "redis"),
            (2, "takes one SNAPSHOT; 'tmctl compare 1 2' shows", "stats", "1", "2"),
            (2, "takes one SNAPSHOT", "stats", self.file, self.file, "--domain", "python"),
            (2, "a pattern stands in quotes", "stats", self.file, "--include", "a.c", self.file),
            (2, "a pattern stands in quotes", "snapshot", "--name", "known.txt", self.file),
            (3, "no traced process fits.*tmctl ps.*tmctl run", "snapshot", "--name", "absent"),
            (2, "--kind is request, exit, peak or import", "list", "--kind", "foo"),
            (3, "no such snapshot: 99999.*tmctl list", "stats", "99999"),
            (3, "no such snapshot: s99999.*tmctl list", "compare", self.file, "s99999"),
            (3, "no such snapshot or file: 'absent'.*tmctl list", "stats", "absent"),
            (3, "process 1 is not traced; tracing begins when a program starts.*tmctl run.*tmctl ps", "snapshot", "--pid", "1"),
            (3, "process 1 is not traced; tracing begins when a program starts.*tmctl run.*tmctl ps", "stats", "@1"),
            (3, "no process 4194305; 'tmctl ps'", "stats", "@4194305"),
            (2, "@1 is a live table, not a stored snapshot; 'tmctl snapshot --pid 1' stores one", "show", "@1"),
            (3, f"exit snapshot {exit_snapshot}", "snapshot", "--pid", ended.pid),
            (3, f"exit snapshot {exit_snapshot}", "stats", f"@{ended.pid}"),
            (3, f"exit snapshot {exit_snapshot}", "block", "--pid", ended.pid, "0x10"),
            (125, "run: takes .*tmctl run --help", "run"),
            (127, "command not found: no-such-program$", "run", "no-such-program"),
            (127, "command not found: A=1; 'tmctl run -- env NAME=VALUE COMMAND' sets", "run", "A=1", "true"),
            (127, "command not found: ls -l; .*'tmctl run -- sh -c LINE'", "run", "ls -l"),
            (126, "cannot execute", "run", self.file),
            (126, "'tmctl run -- python3 SCRIPT' runs a script of Python", "run", os.path.join(SOURCE, "tests", "support", "tm.py")),
        ):
            result = self.daemon.tmctl(*arguments)
            lines = result.stderr.splitlines()
            self.claims.check(f"{' '.join(map(os.path.basename, map(str, arguments)))}: exit {code} and one line that helps",
                              result.returncode == code and len(lines) == 1 and re.search(message, lines[0])
                              and result.stdout == "", f"got {result.returncode}: {result.stderr}{result.stdout}")

    def next_steps(self):
        """The summary of tmctl run points at the snapshot that answers."""
        exit_id = r"tmctl stats (\d+) \(never freed\)"
        peak_id = r"tmctl stats (\d+) \(the peak\)"
        for what, line, wanted in (
            ("the peak first, where nearly all was freed", "b 3000000", rf"next +{peak_id}, {exit_id}$"),
            ("what was never freed alone, where that is the peak", "k 3000000",
             r"next +tmctl stats (\d+) \(by line, what was never freed\)$"),
            ("a child, where that one needed the memory", "C 5000000",
             r"next +tmctl stats (\d+) \(by line, the peak of program\)$"),
        ):
            program = Program(self.daemon, self.program)
            program.tell(line)
            summary = program.end()
            found = re.search(wanted, summary, re.M)
            kinds = [self.daemon.json("show", number)["kind"] for number in found.groups()] if found else []
            self.claims.check(f"tmctl run suggests {what}", kinds in (["peak", "exit"], ["exit"], ["peak"]), summary)
        summary = self.daemon.tmctl("run", "--", "true").stderr
        self.claims.check("tmctl run suggests nothing after a program that allocated nothing",
                          "allocated    nothing" in summary and "next" not in summary, summary)

    def labels(self, one):
        d = self.daemon
        before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        number = int(d.tmctl("snapshot", "--pid", one.pid, "--label", "a note").stdout)
        self.check("--label", "of snapshot", d.json("show", number)["label"], "a note")
        other = int(d.tmctl("snapshot", "--pid", one.pid).stdout)
        self.check("--label", "of run, where there is no other", d.json("show", other)["label"], "first")
        self.check("--label", "of list, a glob", [s["id"] for s in d.json("list", "--label", "a n*")], [number])
        self.check("--since", "an hour ago", number in [s["id"] for s in d.json("list", "--since", "1h")], True)
        self.check("--since", "in an hour", d.json("list", "--since", before), [])
        self.check("--name", "of list", number in [s["id"] for s in d.json("list", "--name", "program")], True)
        d.tmctl("label", f"{number},{other}", "of both")
        self.claims.check("label: of a list, each member", [d.json("show", n)["label"] for n in (number, other)] == ["of both"] * 2)
        self.claims.check("list: says so where none fits", "No snapshot fits; 'tmctl list' shows all."
                          in self.text("list", "--label", "absent"))
        self.check("--pid", "of list", {s["pid"] for s in d.json("list", "--pid", one.pid)}, {one.pid})

    def peaks(self, one):
        d = self.daemon
        one.tell("b 3000000")
        number = d.tmctl("snapshot", "--pid", one.pid, "--peak").stdout.strip()
        self.check("--peak", "is of kind peak", d.json("show", number)["kind"], "peak")
        self.check("--peak", "has what is freed now", d.json("show", number)["size"] > 3000000, True)
        live = d.json("stats", f"@{one.pid}")["total_size"]
        allocated = d.json("stats", f"@{one.pid}", "--allocated")["total_size"]
        self.check("--allocated", "counts what is freed", (live < 1000000, allocated > 3000000), (True, True))
        top = d.json("stats", f"@{one.pid}", "--group-by", "function", "--skip-function", "wrap", "--limit", "1")
        self.check("--skip-function", "the wrapper's caller", top["statistics"][0]["traceback"][0]["function"], "keep")
        one.tell("x 8888888")
        one.tell("p 6666666")
        first = re.compile(r"^.*program\.c:(\d+): size=8681 KiB", re.M)
        with open(self.source, encoding="utf-8") as f:
            lines = {text: str(number) for number, line in enumerate(f, 1) for text in ("*xmalloc(", "case 'x'") if text in line}
        top = self.text("stats", f"@{one.pid}")
        self.check("--no-skip", "without it, the caller of a well-known wrapper", first.findall(top), [lines["case 'x'"]])
        self.check("--no-skip", "which is said", "--no-skip shows them" in top, True)
        hint = "pool_alloc allocates for others. Its callers: --skip-function '*alloc*'"
        self.check("--skip-function", "is proposed where another function's name says that it allocates", hint in top, True)
        self.check("--skip-function", "but not again", "for others" in self.text(
            "stats", f"@{one.pid}", "--skip-function", "*alloc*"), False)
        few = Program(d, self.program)
        for line in ("x 8888888", "p 1") * 3:
            few.tell(line)
        self.check("--sort", "count: a row of many blocks is worth a proposal, however small they are",
                   hint in self.text("stats", f"@{few.pid}", "--sort", "count"), True)
        few.end()
        self.check("--no-skip", "shows the wrapper", first.findall(self.text("stats", f"@{one.pid}", "--no-skip")),
                   [lines["*xmalloc("]])
        self.check("--no-skip", "JSON has all frames",
                   d.json("stats", f"@{one.pid}", "--limit", "1")["statistics"][0]["traceback"][0]["function"], "xmalloc")

    def controls(self, one):
        d = self.daemon
        d.tmctl("stop", "--pid", one.pid)
        self.check("--pid", "of stop", d.json("ps", "--pid", one.pid)[0]["state"], "stopped")
        d.tmctl("start", "--name", "program", "--frames", "5")
        self.check("--frames", "of start", d.json("ps", "--pid", one.pid)[0]["traceback_limit"], 5)
        one.tell("k 9")
        d.tmctl("clear", "--pid", one.pid)
        self.check("--pid", "of clear", d.json("stats", f"@{one.pid}")["total_count"], 0)
        one.tell("b 70000")
        d.tmctl("reset-peak", "--pid", one.pid)
        peak = d.json("show", d.tmctl("snapshot", "--pid", one.pid, "--peak").stdout.strip())["size"]
        self.check("--pid", "of reset-peak", peak < 70000, True)

    # ---- run and env ----

    def runs(self):
        d = self.daemon
        program = Program(d, self.program, "--frames", "3", "--domains", "malloc")
        program.tell("d")
        info = d.json("ps", "--pid", program.pid)[0]
        self.check("--frames", "of run", info["traceback_limit"], 3)
        traces = d.json_lines("traces", f"@{program.pid}")
        deepest = max(traces, key=lambda t: t["total_nframe"])
        self.check("--frames", "so many are kept", (len(deepest["traceback"]), deepest["total_nframe"] > 200), (3, True))
        program.end()
        program = Program(d, self.program, "--domains", "python")
        program.tell("k 4000")
        self.check("--domains", "what is not asked for is not traced",
                   [t for t in d.json_lines("traces", f"@{program.pid}") if t["domain"] == MALLOC], [])
        program.end()
        n = len(d.json("list"))
        program = Program(d, self.program, "--no-exit-snapshot")
        program.end()
        self.check("--no-exit-snapshot", "stores nothing", len(d.json("list")), n)
        self.newest = max(s["id"] for s in d.json("list"))
        for options, wanted in (((), 2), (("--no-children",), 1)):
            program = Program(d, self.program, *options)
            program.tell("c")
            program.end()
            exits = d.json("list", "--kind", "exit")
            family = {s["pid"] for s in exits if s["id"] > self.newest}
            self.check("--no-children", f"{options or 'without it'}", len(family), wanted)
            self.newest = max(s["id"] for s in d.json("list"))
        static = d.tmctl("run", "--", "/bin/busybox", "true")
        self.check("--best-effort", "without it a static program is refused", static.returncode, 125)
        self.check("--best-effort", "with it it runs", d.tmctl("run", "--best-effort", "--", "/bin/busybox", "true").returncode, 0)

    def environments(self):
        env = self.daemon.json("env", "--frames", "9", "--domains", "malloc,mmap", "--label", "x y", "--no-children")
        self.check("--frames", "of env", env["TRACEMALLOCD_FRAMES"], "9")
        self.check("--domains", "of env", env["TRACEMALLOCD_DOMAINS"], "malloc,mmap")
        self.check("--label", "of env", env["TRACEMALLOCD_LABEL"], "x y")
        self.check("--no-children", "of env", env["TRACEMALLOCD_CHILDREN"], "0")
        words = self.daemon.tmctl("env", "--container").stdout.splitlines()
        self.check("--container", "mounts the agent and the sockets, sets the variables",
                   [w.split("=")[0] for w in words][:2] + ["--env" in {w.split("=")[0] for w in words}],
                   ["--volume", "--volume", True])
        self.check("--container", "every word is an option", [w for w in words if not w.startswith("--")], [])

    # ---- everywhere ----

    def common(self):
        d = self.daemon
        self.check("--color", "always", "\033[" in self.text("stats", self.file, "--color", "always"), True)
        self.check("--color", "auto is none on a pipe", "\033[" in self.text("stats", self.file), False)
        growth = self.text("compare", self.file, self.file, "--color=never")
        self.check("--color", "never", "\033[" in growth, False)
        run = d.environment["TRACEMALLOCD_RUNTIME_DIR"]
        bare = {k: v for k, v in d.environment.items() if not k.startswith("TRACEMALLOCD_")}
        bare["TMCTL_NO_START"] = "1"
        bare["XDG_RUNTIME_DIR"] = d.scratch
        call = lambda *a: subprocess.run([TMCTL, *a], env=bare, capture_output=True, text=True)  # noqa: E731
        self.check("--runtime-dir", "finds the daemon", call("ps", "--runtime-dir", run).returncode, 0)
        self.check("--user", "asks the user's own", call("ps", "--user").returncode, 4)
        self.check("--system", "names the system's", "/run/tracemallocd" in call("ps", "--system").stderr
                   or call("ps", "--system").returncode == 0, True)
        state = os.path.join(d.scratch, "other-state")
        del bare["TMCTL_NO_START"]
        bare["TRACEMALLOCD_IDLE_EXIT"] = "1"
        os.chmod(d.scratch, 0o700)
        private = call("list", "--user", "--state-dir", state)
        self.check("--state-dir", "is where a private daemon keeps its snapshots",
                   (private.returncode, os.path.exists(os.path.join(state, "snapshots.db"))), (0, True))
        end_private_daemon(int(re.search(r"pid (\d+)", private.stderr).group(1)))
        self.check("--help", "has an example", "Example:" in self.text("stats", "--help"), True)
        self.check("--version", "is printed", bool(re.match(r"tmctl \d", self.text("--version"))), True)

    def all_are_tested(self):
        elsewhere = {"--unit", "--persist", "--restart"}  # test_story_service.sh
        with open(os.path.join(SOURCE, "client", "command.c"), encoding="utf-8") as f:
            commands = [c.replace("_", "-") for c in re.findall(r"&command_(\w+)", f.read())]
        options = set()
        for command in commands:
            options |= set(re.findall(r"^  (--[a-z-]+)", self.text(command, "--help"), re.M))
        untested = options - self.tested - elsewhere
        self.claims.check("every option of every --help has a test", not untested and len(options) > 30, sorted(untested))


with Claims() as claims, Daemon() as daemon:
    test = Test(claims, daemon)
    test.views()
    test.files()
    test.processes()
    test.runs()
    test.environments()
    test.refusals()
    test.next_steps()
    test.common()
    test.all_are_tested()
