#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPython programs with hooks of their own where the agent has its: an extension module (tests/support/own_hooks.c) wraps the
allocators and unwraps them, calls them at their edges and in threads that Python did not make, and sets a PyRefTracer;
tracemalloc is started and stopped. What the program sees is what it sees untraced, and its blocks stand at its lines. For each
CPython with its headers."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import pythons  # noqa: E402
from tm import AGENT, BUILD, SOURCE, Claims, Daemon, skip  # noqa: E402

FAKE_DAEMON = os.path.join(BUILD, "tests", "unit", "agent", "fake-daemon")

HOOKS = """
    import own_hooks, tracemalloc
    keep = []
    print(own_hooks.edges())
    own_hooks.wrap()
    keep += [bytes(100001) for _ in range(5)]  # wrapped
    before = [bytes(100002) for _ in range(5)]
    print(own_hooks.unwrap())
    before.clear()
    keep.append(bytes(100003))  # unwrapped
    def called():
        keep.append(bytes(100004))  # called
    own_hooks.threads(called)
    tracemalloc.start(3)
    keep += [bytes(100005) for _ in range(5)]  # under tracemalloc
    before = [bytes(100002) for _ in range(5)]
    keep.pop(0)
    print(len(tracemalloc.get_object_traceback(keep[-1])) > 0)
    tracemalloc.clear_traces()
    tracemalloc.stop()
    before.clear()
    keep.append(bytes(100006))  # after tracemalloc
    print(len(keep))
"""

TRACER = """
    import own_hooks
    def make():
        numbers = [i + 0.5 for i in range(200)]
        numbers.clear()
        return [(i, [i]) for i in range(200)]
    make()
    own_hooks.set_tracer()
    kept = make()
    print(own_hooks.traced())
    own_hooks.drop_tracer()
    kept += make()
    print(own_hooks.traced(), len(kept))
    kept.append(bytes(100007))  # after
"""

FREE_LIST = """
    numbers = [i + 0.5 for i in range(80)]
    numbers.clear()
    again = [i + 0.25 for i in range(80)]  # again
"""


def build_extension(interpreter, folder):
    """Return: folder of the module; None: no headers."""
    say = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.run([interpreter, "-c", say], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if not os.path.exists(os.path.join(include, "Python.h")):
        return None
    place = tempfile.mkdtemp(dir=folder)
    subprocess.run(["cc", "-shared", "-fPIC", "-I" + include, os.path.join(SOURCE, "tests", "support", "own_hooks.c"), "-o",
                    os.path.join(place, "own_hooks.so")], check=True)
    return place


def run_both(program, daemon, interpreter, module):
    """Return: (output and status untraced, the same traced, traces)"""
    environment = {"PYTHONPATH": module, "PYTHONHASHSEED": "0"}
    alone = subprocess.run([interpreter, program.path], env=dict(os.environ, **environment), stdout=subprocess.PIPE, timeout=300)
    result, traces = program.run(daemon, interpreter, environment={"PYTHONPATH": module})
    return (alone.stdout, alone.returncode), (result.stdout, result.returncode), traces


def check_hooks(claims, daemon, name, interpreter, module, folder):
    program = pythons.Program(folder, "hooks.py", HOOKS)
    alone, traced, traces = run_both(program, daemon, interpreter, module)
    claims.check(f"{name}: allocators at their edges, wrapped by the program, in threads of C: as untraced",
                 traced == alone == (b"True\nTrue\nTrue\n211\n", 0), alone, traced)
    found = {size: [(t["domain"], t["count"], pythons.frames(t, program.path)) for t in pythons.blocks(traces, size)]
             for size in range(100001, 100007)}
    lines = {mark: program.line(mark) for mark in ("wrapped", "unwrapped", "called", "under tracemalloc", "after tracemalloc")}
    claims.check(f"{name}: what came through the program's own allocators is there once, and gone when it is freed",
                 [(d, n, f[-1]) for d, n, f in found[100001]] == [(0, 4, lines["wrapped"])] and not found[100002] and
                 found[100003] == [(0, 1, [lines["unwrapped"]])], found)
    claims.check(f"{name}: the same while tracemalloc runs inside, and after it",
                 [(d, n, f[-1]) for d, n, f in found[100005]] == [(0, 5, lines["under tracemalloc"])] and
                 found[100006] == [(0, 1, [lines["after tracemalloc"]])], found)
    claims.check(f"{name}: a thread of C has the frames of what it calls", found[100004] == [(0, 200, [lines["called"]])], found)


def check_function_of_c(claims, daemon, name, interpreter, module, folder):
    """What the manual says of extension modules: with malloc beneath Python's allocators their blocks have the frames of C."""
    program = pythons.Program(folder, "leak.py", "import own_hooks\nown_hooks.leak()\n")
    _, exits, _ = daemon.run(["env", f"PYTHONPATH={module}", "PYTHONMALLOC=malloc", interpreter, program.path], "--domains", "malloc")
    rows = [r for s in exits for r in daemon.json("stats", s["id"], "--limit", "0", "--skip-function", "PyMem_*", "--skip-function",
                                                  "_PyMem_*")["statistics"]]
    functions = [r["traceback"][0]["function"] for r in rows if r["size"] == 100008]
    claims.check(f"{name}: with PYTHONMALLOC=malloc the function of C that keeps a block is named", functions == ["leak"], functions)


def check_tracer(claims, daemon, name, interpreter, module, folder):
    program = pythons.Program(folder, "tracer.py", TRACER)
    alone, traced, traces = run_both(program, daemon, interpreter, module)
    claims.check(f"{name}: a program's own PyRefTracer is told of the same objects, and stays away once it is dropped",
                 traced == alone and traced[0].startswith(b"(True, ") and traced[1] == 0, alone, traced)
    claims.check(f"{name}: blocks are traced without ours",
                 [pythons.frames(t, program.path) for t in pythons.blocks(traces, 100007)] == [[program.line("after")]])


def check_socket_way(claims, daemon, name, interpreter, folder):
    program = pythons.Program(folder, "free_list.py", FREE_LIST)
    _, traces = program.run(daemon, interpreter, "--domains", "python", environment={"TRACEMALLOCD_TRANSPORT": "socket"})
    n = sum(t["count"] for t in traces if t["size"] == 24 and pythons.frames(t, program.path)[-1:] == [program.line("again")])
    claims.check(f"{name}: over the socket, floats made of dead ones stand at their own line", n >= 80, n)


def check_older_daemon(claims, name, interpreter, folder):
    """RELABEL is of the protocol's minor version 1."""
    program = pythons.Program(folder, "free_list.py", FREE_LIST)
    for way in ("ring", "socket"):
        for minor in (0, 1):
            result = subprocess.run([FAKE_DAEMON, "--minor", str(minor), AGENT, interpreter, program.path],
                                    env=dict(os.environ, TRACEMALLOCD_TRANSPORT=way), capture_output=True, text=True, timeout=300)
            claims.check(f"{name}: a daemon of protocol 1.{minor}, by {way}, is told of {'such' if minor else 'no such'} objects",
                         result.returncode == 0 and (" relabel=" in result.stderr) == bool(minor) and " bad=0 " in result.stderr and
                         (" socket " in result.stderr) == (way == "socket"), result.stderr)


def main():
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        for version, interpreter in sorted(pythons.supported().items()):
            name = f"{interpreter} ({version[0]}.{version[1]})"
            module = build_extension(interpreter, folder)
            if module:
                check_hooks(claims, daemon, name, interpreter, module, folder)
                check_function_of_c(claims, daemon, name, interpreter, module, folder)
            if version >= (3, 13):
                if module:
                    check_tracer(claims, daemon, name, interpreter, module, folder)
                check_socket_way(claims, daemon, name, interpreter, folder)
                check_older_daemon(claims, name, interpreter, folder)
        if not claims.n:
            skip("no CPython with its headers")


main()
