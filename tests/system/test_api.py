#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libtracemallocd: programs that tell of blocks of their own, traced and untraced, in C and in Python."""
import contextlib
import glob
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tm import AGENT, BUILD, SOURCE, TMCTL, Claims, Daemon  # noqa: E402

SUBJECT = os.path.join(BUILD, "tests", "support", "api_subject")
LIBRARY = os.path.join(BUILD, "api", "libtracemallocd.so.1")
SUPPORT = os.path.join(SOURCE, "tests", "support")
POOL = 481735
NOT_TRACED, INVALID, FULL = -2, -3, -1


@contextlib.contextmanager
def traced(daemon, *command, options=()):
    """A program under tmctl run that waits for its standard input. Yields (process, pid of the command)."""
    run = subprocess.Popen([TMCTL, "run", *options, "--", *command], env=daemon.environment, text=True,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield run
    finally:
        run.communicate(timeout=120)


def lines_until(process, last):
    """{what: number} of the lines up to one that begins with last."""
    results = {}
    for line in process.stdout:
        what, _, number = line.rstrip("\n").rpartition(" ")
        results[what] = int(number)
        if what == last:
            return results
    raise RuntimeError(f"it ended before it said {last!r}: {results}")


def pid_of(daemon, name):
    (process,) = [p for p in daemon.json("ps") if p["name"] == name]
    return process["pid"]


def sums(daemon, pid):
    """{domain name: (size, count)} of the live table"""
    found = {}
    for trace in daemon.json_lines("traces", f"@{pid}"):
        name = trace["domain_name"] or str(trace["domain"])
        size, count = found.get(name, (0, 0))
        found[name] = size + trace["total_size"], count + trace["count"]
    return found


def blocks(claims, daemon):
    with traced(daemon, SUBJECT, "blocks") as run:
        said = lines_until(run, "traced")
        pid = pid_of(daemon, "api_subject")
        claims.check("what can be said is taken", all(said[k] == 0 for k in (
            "name", "track", "other domain", "replace", "zero bytes", "gone", "unknown", "wrong domain", "python")), said)
        claims.check("what cannot be is refused", all(said[k] == INVALID for k in (
            "malloc's", "mmap's", "address", "size")), said)
        claims.check("the program knows that it is traced", said["traced"] == 1)
        found = sums(daemon, pid)
        claims.check("each domain has its own blocks: replaced, of no size, at one address, gone",
                     (found["pool"], found[str(POOL + 1)], found["python"]) == ((20, 2), (300, 1), (7, 1)), found)
        (row,) = daemon.json("stats", f"@{pid}", "--domain", "pool", "--group-by", "function")["statistics"]
        claims.check("the place is the caller, not the library", row["traceback"][0]["function"] == "blocks", row)
        by_number = daemon.json("stats", f"@{pid}", "--domain", POOL)
        claims.check("a domain has a name and a number", (by_number["total_size"], by_number["total_count"]) == (20, 2))
        ps = {d["name"]: d["live_size"] for d in daemon.json("ps")[0]["domains"]}
        claims.check("ps shows the domains", (ps["pool"], ps["python"]) == (20, 7), ps)


def names(claims, daemon):
    with traced(daemon, SUBJECT, "names") as run:
        said = lines_until(run, "track")
        claims.check("names that would mislead are refused", all(said[k] == INVALID for k in (
            "none", "empty", "digits", "comma", "taken", "python", "long")), said)
        claims.check("a name can be given again", (said["longest"], said["again"]) == (0, 0), said)
        claims.check("the last one counts", sums(daemon, pid_of(daemon, "api_subject")).get("better") == (1, 1))


def many(claims, daemon):
    with traced(daemon, SUBJECT, "many") as run:
        said = lines_until(run, "one of them")
        claims.check("253 domains fit", said["domains"] == 253, said)
        claims.check("one more is refused", said["one more"] == FULL, said)
        claims.check("those that are there go on", said["one of them"] == 0, said)
        found = sums(daemon, pid_of(daemon, "api_subject"))
        claims.check("all are in the table", sum(found.get(str(1000 + 7 * i), (0, 0))[1] for i in range(300)) == 253)


def threads(claims, daemon):
    result, (exit_snapshot,), _ = daemon.run([SUBJECT, "threads"], stdin=subprocess.DEVNULL)
    rows = {t["domain"]: 0 for t in daemon.json_lines("traces", exit_snapshot["id"])}
    for trace in daemon.json_lines("traces", exit_snapshot["id"]):
        rows[trace["domain"]] += trace["count"]
    wanted = 4 * 5000
    claims.check("four threads at once: every block is right",
                 rows.get(POOL) == wanted and not any(POOL + i in rows for i in (1, 2, 3)), rows)
    size = daemon.json("stats", exit_snapshot["id"], "--domain", POOL)["total_size"]
    claims.check("and every size", size == 4 * sum(i % 100 for i in range(0, 50000, 10)), size)
    claims.check("nothing is lost", exit_snapshot["exact"])


def signals(claims, daemon):
    # what a handler records while it interrupts a recording does not wait for room: there is enough
    daemon.environment["TRACEMALLOCD_RING_SIZE"] = str(128 << 20)
    result, exits, _ = daemon.run([SUBJECT, "signals"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    del daemon.environment["TRACEMALLOCD_RING_SIZE"]
    claims.check("2000 signals in the middle of it: it ends as ever, errno untouched",
                 (result.returncode, result.stdout.strip()) == (0, b"errno 0"), result)
    rows = {t["domain"] for t in daemon.json_lines("traces", exits[0]["id"])}
    claims.check("no block of the handler is left over", POOL not in rows and POOL + 9 not in rows, rows)
    claims.check("and no event is lost", exits[0]["exact"], exits)


def phases(claims, daemon):
    with traced(daemon, SUBJECT, "phases") as run:
        lines_until(run, "first")
        pid = pid_of(daemon, "api_subject")
        labels = []

        def look():
            id = daemon.tmctl("snapshot", "--pid", pid).stdout.strip()
            (ps,) = daemon.json("ps", "--pid", pid)
            labels.append((daemon.json("show", id)["label"], ps.get("phase")))
            return id

        wait_for_block(daemon, pid)
        look()
        claims.check("ps shows it", "PHASE" in daemon.tmctl("ps").stdout and "first" in daemon.tmctl("ps").stdout)
        for last in ("second", "long", "none"):
            run.stdin.write("x")
            run.stdin.flush()
            lines_until(run, last)
            look()
        own = daemon.tmctl("snapshot", "--pid", pid, "--label", "mine").stdout.strip()
        claims.check("a phase labels snapshots and ps", labels == [
            ("first", "first"), ("second", "second"), ("x" * 128, "x" * 128), (None, None)], labels)
        claims.check("a label that was given wins", daemon.json("show", own)["label"] == "mine")
        run.stdin.write("x")
        run.stdin.flush()
        said = lines_until(run, "labels")
        claims.check("labels without end are refused some time", said["labels"] == 1)
        (peak,) = [daemon.tmctl("snapshot", "--pid", pid, "--peak").stdout.strip()]
        claims.check("the peak has the label of its phase", daemon.json("show", peak)["label"] == "second",
                     daemon.json("show", peak))


def wait_for_block(daemon, pid):
    """The block that follows the first label; a snapshot is a cut of what was recorded before it."""
    for _ in range(1000):
        if str(POOL) in sums(daemon, pid):
            return
    raise RuntimeError("no block")


def forks(claims, daemon):
    with traced(daemon, SUBJECT, "forks"):
        child = parent = None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            both = [p for p in daemon.json("ps") if p["name"] == "api_subject"]
            pids = {p["pid"] for p in both}
            children = [p for p in both if p["ppid"] in pids]
            if children and sums(daemon, children[0]["pid"]).get("pool", (0, 0))[0] == 320:
                # the list was taken before the child was seen to go on
                both = daemon.json("ps")
                (child,) = [p for p in both if p["pid"] == children[0]["pid"]]
                (parent,) = [p for p in both if p["pid"] == child["ppid"]]
                break
        claims.check("a child of fork goes on with its parent's blocks and names", child is not None, both)
        if child:
            claims.check("the parent's stay", sums(daemon, parent["pid"]).get("pool") == (30, 2))
            claims.check("and its phase", child.get("phase") == "before the fork", child)


def from_python(claims, daemon):
    program = os.path.join(SUPPORT, "tracks_blocks.py")
    for domains, how in ((None, "with malloc"), ("other", "alone")):
        options = ["--domains", domains] if domains else []
        with traced(daemon, sys.executable, program, LIBRARY, options=options) as run:
            said = run.stdout.readline().split()
            claims.check(f"from Python, {how}: all is taken", said == ["1"] + ["0"] * 13, said)
            (process,) = daemon.json("ps")
            found = sums(daemon, process["pid"])
            claims.check(f"from Python, {how}: the blocks are there", found.get("arrays") == (900, 9), found)
            (row,) = daemon.json("stats", f"@{process['pid']}", "--domain", "arrays")["statistics"]
            claims.check(f"from Python, {how}: the place is " + ("native" if domains else "a line of Python"),
                         (row["traceback"][0]["filename"] == program) != bool(domains), row)
            (process,) = daemon.json("ps")  # once more: what was before that cut is counted now
            claims.check(f"from Python, {how}: and no others" if domains else "its phase is shown",
                         set(found) == {"arrays"} if domains else process.get("phase") == "loading")
    with traced(daemon, sys.executable, program, LIBRARY, options=["--domains", "python"]) as run:
        said = run.stdout.readline().split()
        claims.check("--domains python leaves them out, and the program is told", said[0] == "0" and set(said[3:]) == {"-2"},
                     said)


def without_agent(claims):
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("TRACEMALLOCD_")}
    result = subprocess.run([SUBJECT, "blocks"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    numbers = [int(line.rpartition(" ")[2]) for line in result.stdout.splitlines()]
    claims.check("without the agent every call says so", result.returncode == 0 and numbers == [NOT_TRACED] * 13 + [0], numbers)
    program = os.path.join(SUPPORT, "tracks_blocks.py")
    said = subprocess.run([sys.executable, program, LIBRARY], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True).stdout.split()
    claims.check("from Python as well", said == ["0"] + ["-2"] * 13, said)
    with tempfile.TemporaryDirectory() as nowhere:
        environment.update(LD_PRELOAD=AGENT, TRACEMALLOCD_RUNTIME_DIR=nowhere)
        result = subprocess.run([SUBJECT, "blocks"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                text=True)
        said = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines())
        claims.check("nor with the agent, but no daemon", (said["track"], said["traced"]) == ("-2", "0"), said)


def installed(claims):
    """As a user has it: pkg-config, the header, the library, and the example of the manual."""
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (folder,) = {os.path.dirname(p) for p in glob.glob(f"{root}/usr/lib/**/pkgconfig/tracemallocd.pc", recursive=True)}
        environment = dict(os.environ, PKG_CONFIG_PATH=folder, PKG_CONFIG_SYSROOT_DIR=root)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "tracemallocd"], env=environment, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.split()
        flags = [f if root in f or not f.startswith("-I/") else "-I" + root + f[2:] for f in flags]
        include = ["-I" + os.path.join(root, "usr/include")]
        library = os.path.dirname(folder)
        for compiler, standard in (("gcc", "c99"), ("g++", "c++11")):
            header = subprocess.run([compiler, "-std=" + standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", *include,
                                     "-fsyntax-only", "-x", "c" if compiler == "gcc" else "c++", "-"],
                                    input="#include <tracemallocd.h>\nint main(void) { return tm_phase(0) == TM_E_FULL; }\n",
                                    text=True, stderr=subprocess.PIPE)
            claims.check(f"the header compiles as {standard}", header.returncode == 0, header.stderr)
        program = os.path.join(root, "pool")
        built = subprocess.run(["gcc", "-g", "-o", program, os.path.join(SOURCE, "examples", "pool.c"), *include,
                                "-L" + library, *flags], stderr=subprocess.PIPE, text=True)
        claims.check("the example builds by pkg-config", built.returncode == 0, built.stderr, flags)
        result = subprocess.run([program], env=dict(os.environ, LD_LIBRARY_PATH=library), stdout=subprocess.PIPE, text=True)
        claims.check("and runs without tracemallocd", result.stdout == "a name that is kept\n", result)
        return built.returncode == 0


def example(claims, daemon):
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "pool")
        subprocess.run(["gcc", "-g", "-I" + os.path.join(SOURCE, "api"), "-o", program,
                        os.path.join(SOURCE, "examples", "pool.c"), "-L" + os.path.dirname(LIBRARY), "-ltracemallocd",
                        "-Wl,-rpath," + os.path.dirname(LIBRARY)], check=True)
        _, (at_exit,), (peak,) = daemon.run([program])
        stats = daemon.json("stats", at_exit["id"], "--domain", "pool")
        claims.check("the example: 100 names are left in the pool", (stats["total_size"], stats["total_count"]) == (2000, 100))
        claims.check("the example: its peak was in the phase that sorts", (at_exit["label"], peak["label"]) == ("done", "sorting"))


def find_libpython():
    for path in sorted(glob.glob("/usr/lib/*/libpython3.*.so.1.0") + glob.glob(
            os.path.expanduser("~/.pyenv/versions/*/lib/libpython3.*.so.1.0"))):
        return path
    return None


def python_tracemalloc(claims, daemon):
    """PyTraceMalloc_Track() of a libpython.so: ours sees it, Python's own works as before."""
    library = find_libpython()
    if not library:
        print("no libpython.so here: PyTraceMalloc_Track() is not tested")
        return
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "embeds")
        subprocess.run(["gcc", "-o", program, os.path.join(SUPPORT, "embeds_python.c"), library,
                        "-Wl,-rpath," + os.path.dirname(library)], check=True)
        for code, wanted, what in (("", "-2 -2 -2 -2 -2", "not started"),
                                   ("import tracemalloc; tracemalloc.start()", "0 0 0 0 0", "started")):
            alone = subprocess.run([program, code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout
            with traced(daemon, program, code) as run:
                said = run.stdout.readline()
                if wanted.startswith("0"):
                    said += run.stdout.readline()
                (process,) = daemon.json("ps")
                found = sums(daemon, process["pid"])
            claims.check(f"PyTraceMalloc_Track, tracemalloc {what}: the answers are Python's",
                         said == alone and said.startswith(wanted), said, alone)
            claims.check(f"PyTraceMalloc_Track, tracemalloc {what}: the block is traced", found.get("389047") == (1234, 1), found)


def main():
    with Claims() as claims:
        without_agent(claims)
        installed(claims)
        with Daemon() as daemon:
            for test in (blocks, names, many, threads, signals, phases, forks, from_python, example, python_tracemalloc):
                test(claims, daemon)


main()
