# SPDX-License-Identifier: Apache-2.0
"""The CPythons of this machine, 3.8 to 3.13: Debian's first, then others on PATH and pyenv's."""
import glob
import os
import shutil
import subprocess

SUPPORTED = [(3, minor) for minor in range(8, 14)]


def _candidates():
    yield "/usr/bin/python3"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield os.path.join(folder, "python3")
        for version in SUPPORTED:
            yield os.path.join(folder, "python%d.%d" % version)
    yield from sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3")))


def _look(path):
    """(version, real path of the executable), or None; a pyenv shim leads to what it starts."""
    program = "import os, sys; print(*sys.version_info[:3], os.path.realpath(sys.executable))"
    result = subprocess.run([path, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        return None
    *version, executable = result.stdout.split(None, 3)
    return tuple(map(int, version)), executable.strip()


def find():
    """[(version as (3, 11, 2), path)], each executable once."""
    found = {}
    for path in _candidates():
        if not shutil.which(path):
            continue
        seen = _look(path)
        if seen and seen[0][:2] in SUPPORTED:
            found.setdefault(seen[1], seen[0])
    return [(version, path) for path, version in found.items()]
