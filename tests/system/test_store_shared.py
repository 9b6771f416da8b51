#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What snapshots take on disk: names, frames and tracebacks are stored once, however many snapshots have them, and a large snapshot takes
at most a tenth of its pickle. Nothing here depends on time."""
import glob
import os
import random
import sqlite3
import sys
import tempfile
import tracemalloc

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from test_model_sources import PYTHON_PROGRAM, Subject  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

COMMON = ("string", "frame", "traceback")
N_SITES, N_FRAMES = 500, 10

# A program that comes by the same places again and again, and goes on holding memory; its last phase has a place that is new.
REPEATING = PYTHON_PROGRAM.replace("for k in range(2):", "for k in range(4):").replace(
    "    phase(k)\n", "    phase(k)\n    if k == 3: exec(compile('kept.append(bytes(4321))', 'new_place.py', 'exec'))\n")


def table_rows(daemon, tables=COMMON):
    """How many there are of what snapshots share."""
    path = os.path.join(daemon.scratch, "state", "snapshots.db")
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    db.close()
    return rows


def disk_bytes(daemon):
    return sum(os.path.getsize(path) for path in glob.glob(os.path.join(daemon.scratch, "state", "snapshots.db*")))


def places(daemon, snapshot):
    return {(tuple((f["filename"], f["lineno"]) for f in t["traceback"])) for t in daemon.json_lines("traces", snapshot)}


def check_process(claims, daemon, what, tables, *options):
    path = os.path.join(daemon.scratch, "program.py")
    with open(path, "w", encoding="utf-8") as f:
        f.write(REPEATING)
    taken = []
    with Subject(daemon, ["/usr/bin/python3", path], *options) as subject:

        def look(go_on):
            if go_on:
                subject.go_on()
                subject.await_ready()
            taken.append(daemon.tmctl("snapshot", "--pid", subject.pid).stdout.strip())
            return table_rows(daemon, tables)

        before, same = look(True), look(False)
        claims.check(f"{what}: a second snapshot of the same moment adds nothing to what snapshots share",
                     same == before and min(before.values()) > 5, before, same)
        later, last = look(True), look(True)
    known = [places(daemon, i) for i in taken]
    new = known[2] - known[1]
    claims.check(f"{what}: a later one, of more memory from the same places, only what is new to it",
                 later["traceback"] - before["traceback"] <= sum(map(len, new)) and len(new) < len(known[1]), before, later, new)
    claims.check(f"{what}: a new place is added", any("new_place.py" in str(place) for place in known[3] - known[2])
                 and last["traceback"] > later["traceback"] and last["frame"] > later["frame"], later, last)
    totals = [daemon.json("stats", i)["total_count"] for i in taken]
    claims.check(f"{what}: and each is its own snapshot", totals[0] == totals[1] < totals[2] < totals[3], totals)


def random_snapshot(rng, n_blocks, sites):
    """Sizes as programs ask for them, many small ones and a few of some kilobytes, in the order of a hash table."""
    traces = [(0, int(rng.expovariate(1 / 120)) + 33, site, N_FRAMES) for site in sites for _ in range(n_blocks // N_SITES)]
    rng.shuffle(traces)
    return tracemalloc.Snapshot(traces, N_FRAMES)


def stored_bytes(daemon, snapshot, pickle):
    """(bytes of the pickle, by how much the database of a daemon that has ended has grown)"""
    snapshot.dump(pickle)
    before = disk_bytes(daemon)
    daemon.start()
    if daemon.tmctl("import", pickle).returncode != 0:
        raise RuntimeError("the snapshot is not imported")
    daemon.stop()
    return os.path.getsize(pickle), disk_bytes(daemon) - before


def check_size(claims):
    rng = random.Random(1)
    sites = [tuple((f"/usr/lib/python3/package/module_{rng.randint(0, 50)}.py", rng.randint(1, 900)) for _ in range(N_FRAMES))
             for _ in range(N_SITES)]
    with Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        daemon.stop()
        pickle = os.path.join(folder, "large.pickle")
        for name, n_blocks in (("first", 1000000), ("second", 300000)):
            n_pickle, n_disk = stored_bytes(daemon, random_snapshot(rng, n_blocks, sites), pickle)
            common = table_rows(daemon)
            claims.check(f"a {name} snapshot of {n_blocks} blocks takes at most a tenth of its pickle on disk ({n_disk / n_pickle:.3f})",
                         0 < n_disk <= n_pickle / 10, n_pickle, n_disk)
            if name == "first":
                first = common
        claims.check("the second adds no string, frame or traceback", common == first and first["traceback"] >= N_SITES, first, common)
        daemon.start()


def main():
    with Claims() as claims:
        with Daemon() as daemon:
            check_process(claims, daemon, "domain python", COMMON, "--domains", "python")
        with Daemon() as daemon:  # names of native functions come later than the snapshot
            check_process(claims, daemon, "all domains", ("frame", "traceback"))
        check_size(claims)


main()
