#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python programs under tmctl run: blocks of CPython's allocators, and the lines that asked for them.

What a line holds follows from the program's text. For every CPython that is installed; those that are not supported
run undisturbed as native programs.
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import pythons  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

PLACES = """
    import os, sys, threading
    keep = []
    def plain(n):
        keep.append(bytes(n))  # plain
    plain(100001)  # plain caller
    def recursive(depth):
        if depth:
            return recursive(depth - 1)  # recursive step
        keep.append(bytes(100002))  # recursive
    recursive(20)  # recursive caller
    def generator():
        yield 1
        yield bytes(100003)  # generator
    it = generator()
    next(it)
    keep.append(next(it))  # generator caller
    class Body:
        held = bytes(100004)  # class body
    keep.extend([bytes(n) for n in range(100005, 100006)])  # comprehension
    exec(compile("keep.append(bytes(100006))", "made/up.py", "exec"))  # exec
    exec(compile("keep.append(bytes(100007))", os.fsdecode(b"caf\\xe9.py"), "exec"))
    exec(compile("keep.append(bytes(100008))", "\\u20ac\\U0001f40d.py", "exec"))
    def in_thread():
        keep.append(bytes(100009))  # thread
    for thread in [threading.Thread(target=in_thread) for _ in range(3)]:
        thread.start()
        thread.join()
    async def coroutine():
        keep.append(bytes(100010))  # coroutine
    try:
        coroutine().send(None)  # coroutine caller
    except StopIteration:
        pass
    def traced(n):
        keep.append(
            bytes(n))  # traced
    def tracer(frame, event, argument):
        return tracer
    sys.settrace(tracer)
    traced(100011)
    sys.settrace(None)
    for n in (100012, 100013):
        (lambda: keep.append(bytes(n)))()  # lambda
    grown = bytearray(1000)  # born
    grown.extend(bytes(300000))  # grown
    empty = [None] * 0
    keep.append(memoryview(bytes(100014)))  # within
    print(len(keep))
"""


def check_places(claims, daemon, name, interpreter, folder):
    program = pythons.Program(folder, "places.py", PLACES)
    result, traces = program.run(daemon, interpreter, "--domains", "python", "--frames", "64")

    def at(what, size, *marks, path=program.path, lines=None):
        found = pythons.blocks(traces, size)
        expected = lines or [program.line(mark) for mark in marks]
        got = [pythons.frames(t, path)[-len(expected):] for t in found]
        return claims.check(f"{name}: {what}", bool(got) and all(g == expected for g in got), f"expected {expected}", found)

    claims.check(f"{name}: its output and status are its own", (result.returncode, result.stdout) == (0, b"15\n"), result)
    claims.check(f"{name}: only domain python was asked for", {t["domain"] for t in traces} == {0})
    at("a function and its caller", 100001, "plain caller", "plain")
    at("recursion", 100002, *["recursive step"] * 20, "recursive")
    deep = pythons.blocks(traces, 100002)
    claims.check(f"{name}: all frames are counted", [t["total_nframe"] for t in deep] == [22], deep)
    at("a generator is inside of who resumes it", 100003, "generator caller", "generator")
    at("a class body", 100004, "class body")
    at("a comprehension", 100005, "comprehension")
    at("code that was executed", 100006, path="made/up.py", lines=[1])
    at("a file name that is not UTF-8", 100007, path="caf\udce9.py", lines=[1])
    at("a file name beyond the first plane", 100008, path="\u20ac\U0001f40d.py", lines=[1])
    at("threads", 100009, "thread")
    claims.check(f"{name}: three threads", sum(t["count"] for t in pythons.blocks(traces, 100009)) == 3)
    at("a coroutine", 100010, "coroutine caller", "coroutine")
    at("a function that is traced by sys.settrace", 100011, "traced")
    at("a lambda, first call", 100012, "lambda")
    at("a lambda, second call", 100013, "lambda")
    at("an argument", 100014, "within")
    grown = [t for t in traces if t["size"] > 300000 and t["size"] < 400000]
    claims.check(f"{name}: a block that grew belongs to who made it grow",
                 [pythons.frames(t, program.path) for t in grown] == [[program.line("grown")]], grown)


FREE_LIST = """
    numbers = [i + 0.5 for i in range(80)]  # first
    numbers.clear()
    again = [i + 0.25 for i in range(80)]  # again
"""


def check_free_lists(claims, daemon, name, interpreter, folder):
    """From 3.13 on."""
    program = pythons.Program(folder, "free_list.py", FREE_LIST)
    result, traces = program.run(daemon, interpreter, "--domains", "python")

    def floats(mark):
        return sum(t["count"] for t in traces if t["size"] == 24 and program.line(mark) in pythons.frames(t, program.path)[-1:])
    claims.check(f"{name}: floats made of dead ones stand at their own line",
                 result.returncode == 0 and floats("again") >= 80 and floats("first") < 20, floats("again"), floats("first"))


def check_limit(claims, daemon, name, interpreter, folder):
    program = pythons.Program(folder, "limit.py", """
        keep = []
        def recursive(depth):
            if depth:
                return recursive(depth - 1)  # step
            keep.append(bytes(100001))  # last
        for depth in (1, 2, 3, 10, 10, 3, 2, 1, 5):
            recursive(depth)  # first
        """)
    _, traces = program.run(daemon, interpreter, "--domains", "python", "--frames", "3")
    found = {t["total_nframe"]: (t["count"], pythons.frames(t, program.path)) for t in pythons.blocks(traces, 100001)}
    first, step, last = map(program.line, ("first", "step", "last"))
    cut = [step, step, last]
    expected = {3: (2, [first, step, last]), 4: (2, cut), 5: (2, cut), 12: (2, cut), 7: (1, cut)}
    claims.check(f"{name}: tracebacks are cut at the limit and know their depth", found == expected, found)


def check_fork(claims, daemon, name, interpreter, folder):
    program = pythons.Program(folder, "fork.py", """
        import os, sys
        keep = [bytes(100001)]  # before
        def child():
            keep.append(bytes(100002))  # in the child
            space = {"keep": keep}
            exec("def made(): keep.append(bytes(100003))", space)
            space["made"]()
        if os.fork() == 0:
            child()
            os._exit(0)
        os.wait()
        keep.append(bytes(100004))  # after
        """)
    result, traces = program.run(daemon, interpreter, "--domains", "python")
    counts = [sum(t["count"] for t in pythons.blocks(traces, size)) for size in (100001, 100002, 100003, 100004)]
    claims.check(f"{name}: a forked child has its parent's blocks and its own", counts == [2, 1, 1, 1], counts, result.stderr)
    lines = [pythons.frames(t, program.path)[-1] for t in pythons.blocks(traces, 100001) + pythons.blocks(traces, 100002)]
    claims.check(f"{name}: and their lines", set(lines) == {program.line("before"), program.line("in the child")}, lines)


def check_domains(claims, daemon, name, interpreter, folder):
    """A large block goes from Python's allocator on to malloc, and is counted once."""
    program = pythons.Program(folder, "domains.py", """
        import ctypes
        keep = [bytes(1000001)]
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.malloc(2000002)
        for _ in range(100):
            bytes(1000003)
        """)
    result, traces = program.run(daemon, interpreter)
    large = [(t["domain"], t["count"]) for t in pythons.blocks(traces, 1000001)]
    claims.check(f"{name}: a large object is one block of domain python", large == [(0, 1)], large, result.stderr)
    own = [(t["domain_name"], t["count"]) for t in traces if t["size"] == 2000002]
    claims.check(f"{name}: what C code takes by itself is domain malloc", own == [("malloc", 1)], own)
    arenas = [t["size"] for t in traces if t["size"] in (256 * 1024, 1024 * 1024)]
    claims.check(f"{name}: arenas are nobody's", not arenas, arenas)
    stray = [t for t in traces if t["domain_name"] == "malloc" and t["size"] == 1000003 + pythons.OVERHEAD]
    claims.check(f"{name}: nothing is left of large objects that went", not stray, stray)
    _, traces = program.run(daemon, interpreter, "--domains", "malloc")
    claims.check(f"{name}: with domain malloc alone it is a native program",
                 {t["domain_name"] for t in traces} == {"malloc"} and len(pythons.blocks(traces, 1000001)) == 1)


def check_unsupported(claims, daemon, name, interpreter, folder):
    program = pythons.Program(folder, "old.py", """
        keep = [b"x" * (1000001 + i) for i in range(3)]
        print(len(keep))
        """)
    result, traces = program.run(daemon, interpreter)
    claims.check(f"{name}: runs undisturbed", (result.returncode, result.stdout) == (0, b"3\n"), result)
    claims.check(f"{name}: is traced as a native program", traces and {t["domain_name"] for t in traces} == {"malloc"})


def main():
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        for version, interpreter in sorted(pythons.interpreters().items()):
            name = f"{interpreter} ({version[0]}.{version[1]})"
            if version in pythons.SUPPORTED:
                for check in (check_places, check_limit, check_fork, check_domains):
                    check(claims, daemon, name, interpreter, folder)
                if version >= (3, 13):
                    check_free_lists(claims, daemon, name, interpreter, folder)
            else:
                check_unsupported(claims, daemon, name, interpreter, folder)
                claims.check(f"{name}: the log says so", version[0] == 2 or f"CPython {version[0]}.{version[1]}" in daemon.log_text(),
                             daemon.log_text())


if __name__ == "__main__":
    main()
