#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon's lines of code objects are CPython's, for each CPython of this machine.

Files of its standard library and generated functions; every instruction of every code object.
usage: test_line_tables.py [--full]: all files of the library
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import pythons  # noqa: E402
from tm import BUILD, SOURCE, Claims, skip  # noqa: E402

TOOL = os.path.join(BUILD, "tests", "unit", "live", "line_table_cli")
SEED = os.environ.get("TEST_SEED", "20261124")
FILES = "1000000" if "--full" in sys.argv else "15"
CODES_MIN = 500  # fewer would mean that nothing was tested


def compare(version, python):
    """(code objects, [differences])"""
    said = subprocess.run([python, os.path.join(SOURCE, "tests", "support", "line_tables.py"), SEED, FILES],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    tables, expected = said[::2], said[1::2]
    ours = subprocess.run([TOOL], input="\n".join(tables) + "\n", stdout=subprocess.PIPE, text=True,
                          check=True).stdout.splitlines()
    wrong = [f"{table}: wanted {e}, got {o}" for table, e, o in zip(tables, expected, ours) if e.split() != o.split()]
    return len(tables), wrong if len(ours) == len(tables) else ["not all were answered"]


def main():
    found = pythons.supported()
    if not found:
        skip("no CPython 3.8 to 3.14")
    with Claims() as claims:
        for version, python in sorted(found.items()):
            n, wrong = compare(version, python)
            name = ".".join(map(str, version))
            claims.check(f"CPython {name}: the lines of {n} code objects are its own", n >= CODES_MIN and not wrong,
                         f"{len(wrong)} differ, seed {SEED}", *[text[:2000] for text in wrong[:3]])


main()
