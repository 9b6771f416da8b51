# SPDX-License-Identifier: Apache-2.0
"""The CPythons of this machine, and Python programs that are traced."""
import glob
import os
import re
import subprocess
import textwrap

SUPPORTED = [(3, minor) for minor in range(8, 15)]
OVERHEAD = 33  # of a bytes object: bytes(n) asks for n + 33


def interpreters():
    """{(major, minor): path}, Debian's own before others of its version, and those under pyenv's root before others on PATH."""
    found, seen = {}, set()
    for path in ["/usr/bin/python3", *sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python"))), *python_paths()]:
        if os.path.realpath(path) in seen:
            continue
        seen.add(os.path.realpath(path))
        try:
            out = subprocess.run([path, "-c", "import sys; print(sys.version_info[:2])"],
                                 capture_output=True, text=True, timeout=120)
        except (OSError, subprocess.TimeoutExpired):
            continue
        match = re.match(r"\((\d+), (\d+)\)", out.stdout)
        if match:
            found.setdefault((int(match[1]), int(match[2])), path)
    return found


def supported():
    return {version: path for version, path in interpreters().items() if version in SUPPORTED}


def debug_builds():
    """Paths; Debian's are in python3.11-dbg. TEST_DEBUG_PYTHON names another."""
    named = os.environ.get("TEST_DEBUG_PYTHON")
    return ([named] if named else []) + sorted(glob.glob("/usr/bin/python3.[0-9]*d"))


def python_paths():
    """Each interpreter on PATH and under pyenv's root once: no other names of one, no scripts that look for one (pyenv's shims)."""
    places = os.environ.get("PATH", "").split(os.pathsep)
    places += sorted(glob.glob(os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions", "*", "bin")))
    found = {}
    for place in places:
        for path in sorted(glob.glob(os.path.join(place, "python3*"))):
            if re.fullmatch(r"python3(\.\d+)?", os.path.basename(path)) and os.access(path, os.X_OK) and is_program(path):
                found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def version_of(path, oldest):
    """"3.11.2"; None where it is no CPython of that version or later that runs. (tracemalloc: PyPy has none.)"""
    probe = f"import sys, tracemalloc; assert sys.version_info >= {oldest!r}; print('%d.%d.%d' % sys.version_info[:3])"
    result = subprocess.run([path, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return result.stdout.decode().strip() if result.returncode == 0 else None


def since(oldest):
    """[(version, path)] of python_paths(), one of each version, oldest first."""
    found = {}
    for path in python_paths():
        found.setdefault(version_of(path, oldest), path)
    found.pop(None, None)
    return sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")])


def is_program(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


class Program:
    """A Python program in a file of its own. It ends by os._exit(), so that what it holds is never freed."""

    def __init__(self, folder, name, text):
        self.path = os.path.join(folder, name)
        self.lines = textwrap.dedent(text).strip("\n").splitlines()
        with open(self.path, "w", encoding="utf-8") as f:
            f.write("\n".join([*self.lines, "import os, sys; sys.stdout.flush(); os._exit(0)"]) + "\n")

    def line(self, mark):
        """Number of the line that ends with "# mark"."""
        (number,) = [i for i, line in enumerate(self.lines, 1) if line.endswith("# " + mark)]
        return number

    def run(self, daemon, interpreter, *options, arguments=(), environment=None):
        """Returns the result of tmctl run, and the traces of all exit snapshots that it left."""
        saved = daemon.environment
        daemon.environment = dict(saved, PYTHONHASHSEED="0", **(environment or {}))
        try:
            result, exits, _ = daemon.run([interpreter, *arguments, self.path], *options, stdout=subprocess.PIPE)
        finally:
            daemon.environment = saved
        return result, [trace for snapshot in exits for trace in daemon.json_lines("traces", snapshot["id"])]


def blocks(traces, size):
    """Traces of bytes objects of a length that nothing else has."""
    return [t for t in traces if t["size"] == size + OVERHEAD]


def frames(trace, path):
    """Line numbers of a trace's frames in one file, oldest first."""
    return [f["lineno"] for f in trace["traceback"] if f["filename"] == path]
