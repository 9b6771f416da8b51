#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPython under tmctl run where its life is unusual: other allocators, development mode, tracemalloc of its own,
code that is made and dropped all the time, an interpreter loaded late that begins twice, sub-interpreters."""
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import pythons  # noqa: E402
from tm import AGENT, TMCTL, Claims, Daemon  # noqa: E402

LAYERS = ["malloc", "python"]
SETTINGS = [
    ({"PYTHONMALLOC": "malloc"}, ()),
    ({"PYTHONMALLOC": "debug"}, ()),
    ({"PYTHONMALLOC": "pymalloc_debug"}, ()),
    ({"PYTHONDEVMODE": "1"}, ()),
    ({}, ("-X", "dev")),
    ({"PYTHONTRACEMALLOC": "3"}, ()),
    ({"PYTHONMALLOC": "debug", "PYTHONTRACEMALLOC": "3"}, ()),
]

EMBEDDER = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!library)
                return 2;
        void (*initialize)(void) = (void (*)(void))dlsym(library, "Py_Initialize");
        int (*finalize)(void) = (int (*)(void))dlsym(library, "Py_FinalizeEx");
        int (*run)(const char *) = (int (*)(const char *))dlsym(library, "PyRun_SimpleString");
        void *(*new_interpreter)(void) = (void *(*)(void))dlsym(library, "Py_NewInterpreter");
        void (*end_interpreter)(void *) = (void (*)(void *))dlsym(library, "Py_EndInterpreter");
        void *(*swap)(void *) = (void *(*)(void *))dlsym(library, "PyThreadState_Swap");
        void *(*current)(void) = (void *(*)(void))dlsym(library, "PyThreadState_Get");
        for (int i = 0; i < 2; i++) {
                initialize();
                run("import sys\nsys.keep = bytes(100001)\n");
                void *first = current(), *second = new_interpreter();
                run("import sys\n\ndef f():\n    sys.keep = bytes(100002)\nf()\n");
                run("x = [i + 0.5 for i in range(80)]\nx.clear()\n\n\n\nagain = [i + 0.25 for i in range(80)]\n");
                if (i == 1)
                        _exit(0);
                end_interpreter(second);
                swap(first);
                finalize();
        }
}
"""


def check_settings(claims, daemon, name, interpreter, folder):
    program = pythons.Program(folder, "settings.py", """
        keep = [bytes(100001) for _ in range(20)]  # here
        print(len(keep))
        """)
    for environment, arguments in SETTINGS:
        what = " ".join([f"{k}={v}" for k, v in environment.items()] + list(arguments))
        result, traces = program.run(daemon, interpreter, arguments=arguments, environment=environment)
        found = [(t["domain"], t["count"], pythons.frames(t, program.path)[-1:]) for t in pythons.blocks(traces, 100001)]
        claims.check(f"{name}: {what}: undisturbed", (result.returncode, result.stdout) == (0, b"20\n"), result)
        claims.check(f"{name}: {what}: traced", found == [(0, 20, [program.line("here")])], found)


def check_identity(claims, daemon, name, interpreter, folder):
    """Code object number i, of file number i, asks for a block of a size that says i; its address returns as another's."""
    program = pythons.Program(folder, "identity.py", """
        import threading
        keep = []
        def work(first):
            for i in range(first, 8000, 4):
                space = {}
                exec(compile("x = bytes(%d)" % (10000 + i), "made/%d.py" % i, "exec"), space)
                if i % 97 < 4:
                    keep.append(space["x"])
        threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(len(keep))
        """)
    result, traces = program.run(daemon, interpreter, "--domains", "python", "--frames", "2")
    made = [t for t in traces if t["traceback"][-1]["filename"].startswith("made/") and t["size"] >= 10000]
    wrong = [t for t in made for f in t["traceback"][-1:]
             if f["filename"] != f"made/{t['size'] - pythons.OVERHEAD - 10000}.py"]
    count = sum(t["count"] for t in made)
    claims.check(f"{name}: no code object lends its name to the next", not wrong and count == int(result.stdout or 0) > 300,
                 wrong[:5], count, result)


def check_embedded(claims, daemon, name, version, library, folder):
    source, binary = os.path.join(folder, "embedder.c"), os.path.join(folder, "embedder")
    with open(source, "w", encoding="ascii") as f:
        f.write(EMBEDDER)
    subprocess.run(["cc", "-o", binary, source, "-ldl"], check=True)
    saved = daemon.environment
    home = {"PYTHONHOME": os.path.dirname(os.path.dirname(library))}
    settings = [("python", {}), ("python,malloc", {})]
    if version >= (3, 12):  # those before it hang when they begin twice with tracemalloc, traced or not
        settings.append(("python,malloc", {"PYTHONTRACEMALLOC": "3"}))
    for domains, own in settings:
        daemon.environment = dict(saved, **home, **own)
        result, exits, _ = daemon.run([binary, library], "--domains", domains)
        traces = [t for e in exits for t in daemon.json_lines("traces", e["id"])]
        found = sorted((t["size"] - pythons.OVERHEAD, t["domain"], t["total_nframe"], t["traceback"][-1]["lineno"])
                       for size in (100001, 100002) for t in pythons.blocks(traces, size))
        claims.check(f"{name}: loaded late, begun twice, with a sub-interpreter, --domains {domains} {own}",
                     result.returncode == 0 and found == [(100001, 0, 1, 2), (100002, 0, 2, 4)], found, result)
        if version >= (3, 13) and not own:
            again = sum(t["count"] for t in traces if t["size"] == 24 and t["domain"] == 0 and t["traceback"][-1]["lineno"] == 6)
            claims.check(f"{name}: begun again, floats made of dead ones stand at their own line, --domains {domains}", again >= 80, again)
    daemon.environment = saved


INTERPRETERS = """
    import sys, threading
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        create, run = interpreters.create, interpreters.Interpreter.exec
    else:
        low = __import__("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
        create, run = low.create, low.run_string
    made = ["def work():", "    return [bytes(100001) for _ in range(20)]", "kept = [work() for _ in range(5)]"]
    source = "exec(compile(%r, 'made/up.py', 'exec'))" % chr(10).join(made)
    alive = [create() for _ in range(4)]
    threads = [threading.Thread(target=run, args=(one, source)) for one in alive]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    keep = [bytes(100002) for _ in range(20)]  # here
    print(len(keep))
    """


def check_interpreters(claims, daemon, name, interpreter, folder):
    """From 3.12 on each may have a GIL of its own, and allocate while others do. (tracemalloc is no judge here: it frees in one
    interpreter what another made, and crashes.)"""
    program = pythons.Program(folder, "interpreters.py", INTERPRETERS)
    result, traces = program.run(daemon, interpreter, "--domains", "python", "--frames", "5")
    made = [(t["count"], t["total_nframe"], pythons.frames(t, "made/up.py")) for t in pythons.blocks(traces, 100001)]
    claims.check(f"{name}: four interpreters at once: each block at its line", made == [(400, 3, [3, 2])], made, result)
    own = [(t["count"], pythons.frames(t, program.path)) for t in pythons.blocks(traces, 100002)]
    claims.check(f"{name}: and the first one's", own == [(20, [program.line("here")])], own)
    claims.check(f"{name}: undisturbed", (result.returncode, result.stdout) == (0, b"20\n"), result)


def layers_of(daemon, wanted):
    """Of the one Python that runs. What an agent hooks after its greeting it tells a little later."""
    deadline = time.monotonic() + 60
    layers = None
    while layers != wanted and time.monotonic() < deadline:
        (layers,) = [p["layers"] for p in daemon.json("ps") if p["state"] == "tracing" and "python" in p["name"]]
    return layers


def check_layers(claims, daemon, name, interpreter):
    command = [interpreter, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
    run = [TMCTL, "run", "--no-exit-snapshot", "--", *command]
    with subprocess.Popen(run, env=daemon.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        layers = layers_of(daemon, LAYERS)
        process.communicate(b"")
    claims.check(f"{name}: tmctl ps shows the layers", layers == LAYERS, layers)


LATER = """
import select, sys
print(1, flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    keep = [bytes(3001) for _ in range(2000)]  # here
"""

OWN_TRACER = LATER + """
import tracemalloc
x = [i + 0.5 for i in range(80)]  # first
x.clear()
x = [i + 0.25 for i in range(80)]  # again
print(*[t.traceback[-1].lineno for t in tracemalloc.take_snapshot().traces if t.size == 24])
"""


def stands_at(rows, program, mark):
    return any((r["traceback"][-1]["filename"], r["traceback"][-1]["lineno"]) == (program.path, program.line(mark)) for r in rows)


def run_before_daemon(daemon, interpreter, program, own=None):
    """Python runs without one at first; the agent looks for it now and then. Return: process, its rows, and what it printed at its end: of
    the time when its layers were told and a line of its own held something, if that came."""
    environment = dict(daemon.environment, LD_PRELOAD=AGENT, **(own or {}))
    daemon.stop()
    with subprocess.Popen([interpreter, program.path], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        daemon.start()
        deadline = time.monotonic() + 60
        seen, rows = [], []
        while not (seen and seen[0]["layers"] == LAYERS and stands_at(rows, program, "here")) and time.monotonic() < deadline:
            time.sleep(0.1)
            seen = [p for p in daemon.json("ps") if p["pid"] == process.pid]
            rows = daemon.json("stats", f"@{process.pid}")["statistics"] if seen else []
        said, _ = process.communicate(b"x")
    return seen, rows, said


def check_daemon_later(claims, daemon, name, interpreter, folder):
    program = pythons.Program(folder, "later.py", LATER)
    seen, rows, _ = run_before_daemon(daemon, interpreter, program)
    claims.check(f"{name}: a daemon that comes later finds Python's frames", seen and seen[0]["layers"] == LAYERS and
                 stands_at(rows, program, "here"), seen, rows)


def check_own_tracer(claims, daemon, name, interpreter, folder):
    """From 3.13 on there is one tracer of objects; a tracemalloc that began before us keeps it."""
    program = pythons.Program(folder, "own_tracer.py", OWN_TRACER)
    seen, _, said = run_before_daemon(daemon, interpreter, program, {"PYTHONTRACEMALLOC": "1"})
    lines = [int(line) for line in said.split()]
    again, first = lines.count(program.line("again")), lines.count(program.line("first"))
    claims.check(f"{name}: to its own tracemalloc floats made of dead ones stand at their own line", seen and again >= 80 and first < 20,
                 seen, again, first)


PYPY = """
#include <stdio.h>
#include <stdlib.h>
int pypy_execute_source(char *source);
int pypy_execute_source(char *source) { return source != NULL; }
int main(void) { void *volatile block = malloc(100); puts("1"); fflush(stdout); getchar(); free(block); return 0; }
"""


def build_pypy(folder):
    """What the agent knows a PyPy by: Debian's has 60 MB."""
    path = os.path.join(folder, "pypython3")
    subprocess.run(["gcc", "-rdynamic", "-x", "c", "-o", path, "-"], input=PYPY, text=True, check=True)
    return path


def check_refused(claims, daemon, interpreter, why):
    """It is laid out as nobody has promised: traced as a native program, and said so."""
    run = [TMCTL, "run", "--no-exit-snapshot", "--", interpreter, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
    with subprocess.Popen(run, env=daemon.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline()
        (layers,) = [p["layers"] for p in daemon.json("ps") if p["state"] == "tracing" and "python" in p["name"]]
        _, note = process.communicate("")
    claims.check(f"{interpreter}: runs undisturbed, as a native program", (process.returncode, said, layers) == (0, "1\n", ["malloc"]),
                 process.returncode, said, layers)
    claims.check(f"{interpreter}: tmctl run and the log say so", why in note and why in daemon.log_text(), note)


def main():
    found = sorted(pythons.supported().items())
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        for version, interpreter in found:
            name = f"{interpreter} ({version[0]}.{version[1]})"
            check_layers(claims, daemon, name, interpreter)
            check_identity(claims, daemon, name, interpreter, folder)
            check_settings(claims, daemon, name, interpreter, folder)
            if version in (found[0][0], (3, 11)):
                check_daemon_later(claims, daemon, name, interpreter, folder)
            if version >= (3, 12):
                check_interpreters(claims, daemon, name, interpreter, folder)
            if version >= (3, 13):
                check_own_tracer(claims, daemon, name, interpreter, folder)
            library = os.path.join(os.path.dirname(os.path.dirname(interpreter)), "lib",
                                   f"libpython{version[0]}.{version[1]}.so.1.0")
            if os.path.exists(library):
                check_embedded(claims, daemon, name, version, library, folder)
        for interpreter in pythons.debug_builds():
            check_refused(claims, daemon, interpreter, "is a debug build")
        check_refused(claims, daemon, build_pypy(folder), "PyPy")


if __name__ == "__main__":
    main()
