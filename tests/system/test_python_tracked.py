#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blocks of which an extension module tells Python by PyTraceMalloc_Track(), as NumPy does of its arrays: with the oldest and
the newest CPython in a library, with Debian's, which is linked into its program, and the newest linked so here. They stand
where tracemalloc has them, however the module is linked, loaded and unloaded."""
import collections
import glob
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import pythons  # noqa: E402
from tm import AGENT, SOURCE, Claims, Daemon  # noqa: E402

DEBIAN = "/usr/bin/python3"
DOMAIN, MALLOC = 389047, 4294967294
MODULE = os.path.join(SOURCE, "tests", "support", "tracked_arrays.c")
# how a module is linked: {name: flags}
LINKED = {
    "lazy": ["-Wl,-z,lazy"],
    "now": ["-Wl,-z,now", "-Wl,-z,relro"],
    "no_plt": ["-fno-plt", "-Wl,-z,relro"],
    "by_pointer": ["-DBY_POINTER"],
}
N_THREADS = 6
PROGRAM = f"""
    import _ctypes, ctypes, json, os, sys, threading, tracemalloc
    def load(name):
        library = ctypes.PyDLL(os.path.join(os.environ["ARRAYS"], name + ".so"))
        library.take.restype = library.resize.restype = ctypes.c_void_p
        library.resize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        library.give.argtypes = [ctypes.c_void_p]
        return library
    lazy, now, no_plt, by_pointer = map(load, {list(LINKED)})
    print([library.tell(4096, 1) for library in (lazy, now, no_plt, by_pointer)])
    keep = [lazy.take(1001) for _ in range(3)]
    keep += [now.take(1002) for _ in range(4)]
    keep += [no_plt.take(1003) for _ in range(5)]
    keep += [by_pointer.take(1004) for _ in range(6)]
    for array in [lazy.take(10) for _ in range(10)]:
        lazy.give(array)
    keep.append(now.resize(now.take(10), 1005))
    again = load("again")
    again.give(again.take(10))
    _ctypes.dlclose(again._handle)
    again = load("again")
    keep += [again.take(1006) for _ in range(7)]
    ctypes.pythonapi.PyTraceMalloc_Track(ctypes.c_uint({DOMAIN}), ctypes.c_size_t(4096), ctypes.c_size_t(1007))
    start = threading.Barrier({N_THREADS})
    def work(name):
        start.wait()
        library = load(name)
        mine = [library.take(1008) for _ in range(200)]
        for array in mine[:100]:
            library.give(array)
    threads = [threading.Thread(target=work, args=(f"thread{{i}}",)) for i in range({N_THREADS})]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if tracemalloc.is_tracing():
        found = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, {DOMAIN})]).statistics("lineno")
        print(json.dumps(sorted([s.traceback[0].lineno, s.size, s.count] for s in found)))
"""


def build_modules(folder):
    for name, flags in LINKED.items():
        subprocess.run(["cc", "-shared", "-fPIC", *flags, MODULE, "-o", os.path.join(folder, name + ".so")], check=True)
    for name in ["again"] + [f"thread{i}" for i in range(N_THREADS)]:
        with open(os.path.join(folder, "lazy.so"), "rb") as f, open(os.path.join(folder, name + ".so"), "wb") as copy:
            copy.write(f.read())


def link_static(version, interpreter, folder):
    """A CPython that is linked into its program, of the archive of one in a library. Return: its path; None: no archive."""
    say = "import sysconfig as s; print(s.get_config_var('LIBPL') + '/' + s.get_config_var('LIBRARY'), s.get_config_var('LIBS'), " \
          "s.get_config_var('SYSLIBS'))"
    archive, *libraries = subprocess.run([interpreter, "-c", say], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    if not os.path.exists(archive):
        return None
    program = os.path.join(folder, f"python{version[0]}.{version[1]}")
    subprocess.run(["cc", "-rdynamic", "-Wl,-S", "-x", "c", "-", "-x", "none", "-Wl,--whole-archive", archive,
                    "-Wl,--no-whole-archive", *libraries, "-lm", "-o", program], check=True, text=True,
                   input="int Py_BytesMain(int, char **);\nint main(int c, char **v) { return Py_BytesMain(c, v); }\n")
    return program


def ours(traces, path):
    """[[line, size, count]] as the program prints tracemalloc's; line 0: elsewhere"""
    sums = collections.defaultdict(lambda: [0, 0])
    for trace in traces:
        if trace["domain"] == DOMAIN:
            entry = sums[(pythons.frames(trace, path) or [0])[-1]]
            entry[0] += trace["total_size"]
            entry[1] += trace["count"]
    return sorted([line, *entry] for line, entry in sums.items())


def untraced(interpreter, program, environment, **more):
    return subprocess.run([interpreter, program.path], env=dict(os.environ, **environment, **more), stdout=subprocess.PIPE,
                          timeout=300).stdout


def check_beside_tracemalloc(claims, daemon, name, interpreter, program, environment):
    """Return: tracemalloc's statistics."""
    environment = dict(environment, PYTHONTRACEMALLOC="1")
    expected = untraced(interpreter, program, environment)
    statistics = json.loads(expected.splitlines()[-1])
    result, traces = program.run(daemon, interpreter, "--domains", "python", environment=environment)
    claims.check(f"{name}: tracemalloc inside says the same, traced or not", (result.returncode, result.stdout) == (0, expected),
                 result, expected)
    claims.check(f"{name}: --domains python has them where tracemalloc has them", ours(traces, program.path) == statistics,
                 ours(traces, program.path), statistics)
    return statistics


def check_with_malloc(claims, daemon, name, interpreter, program, environment, statistics):
    alone = untraced(interpreter, program, environment)
    result, traces = program.run(daemon, interpreter, environment=environment)
    claims.check(f"{name}: with malloc: the module hears that tracemalloc does not trace",
                 (result.returncode, result.stdout) == (0, alone) and b"-22" in alone, result, alone)
    claims.check(f"{name}: with malloc: they stand at the same lines", ours(traces, program.path) == statistics,
                 ours(traces, program.path), statistics)
    claims.check(f"{name}: and the summary says that they are counted in both",
                 b"note         what domain 389047 took from malloc is counted in both domains" in result.stderr, result.stderr)
    native = collections.Counter()
    for trace in traces:
        if trace["domain"] == MALLOC and trace["traceback"][-1]["function"] == "take":
            native[trace["size"]] += trace["count"]
    claims.check(f"{name}: and in domain malloc once more, as C code's", [native[1000 + i] for i in (1, 2, 3, 4, 6)] == [3, 4, 5, 6, 7],
                 native)


def check_alone(claims, daemon, interpreter, program, environment):
    _, traces = program.run(daemon, interpreter, "--domains", "other", environment=environment)
    claims.check("--domains other has nothing else", {t["domain"] for t in traces} == {DOMAIN} and
                 sum(t["count"] for t in traces) == 27 + 100 * N_THREADS, ours(traces, program.path))
    with tempfile.TemporaryDirectory() as nowhere:
        idle = untraced(interpreter, program, environment, LD_PRELOAD=AGENT, TRACEMALLOCD_RUNTIME_DIR=nowhere)
    claims.check("without a daemon the module hears what it hears without an agent",
                 idle == untraced(interpreter, program, environment) and idle, idle)


def main():
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        build_modules(folder)
        program = pythons.Program(folder, "tracked.py", PROGRAM)
        environment = {"ARRAYS": folder}
        interpreters = [(version, path) for version, path in sorted(pythons.supported().items()) if path != DEBIAN]
        for version, interpreter in {*interpreters[:1], *interpreters[-1:]}:
            check_beside_tracemalloc(claims, daemon, f"CPython {version[0]}.{version[1]}", interpreter, program, environment)
        statics = [("Debian's", DEBIAN, environment)]
        if interpreters:
            version, interpreter = interpreters[-1]
            home = os.path.dirname(os.path.dirname(interpreter))
            linked = link_static(version, interpreter, folder)
            statics += [(f"CPython {version[0]}.{version[1]} in its program", linked, dict(environment, PYTHONHOME=home))] if linked else []
        for name, interpreter, its_environment in statics:
            statistics = check_beside_tracemalloc(claims, daemon, name, interpreter, program, its_environment)
            check_with_malloc(claims, daemon, name, interpreter, program, its_environment, statistics)
        check_alone(claims, daemon, DEBIAN, program, environment)


main()
