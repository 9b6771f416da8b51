#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Snapshots go when they are beyond a limit of the configuration, or deleted, and their space with them."""
import glob
import os
import re
import sqlite3
import sys
import time
import tracemalloc

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tm import Claims, Daemon  # noqa: E402


def configured(text):
    daemon = Daemon()
    path = os.path.join(daemon.scratch, "tracemallocd.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("[snapshots]\n" + text)
    daemon.options = ("--config", path)
    return daemon


def import_one(daemon, n_sites=3, salt=""):
    path = os.path.join(daemon.scratch, "file.pickle")
    tracemalloc.Snapshot([(0, 10 + i * i % 999, ((f"dir{salt}/file{i}.py", i), ("main.py", 1)), 2) for i in range(n_sites)], 5).dump(path)
    return int(daemon.tmctl("import", path).stdout)


def stored(daemon, *kinds):
    return [s["id"] for s in daemon.json("list") if not kinds or s["kind"] in kinds]


def wait_for(condition):
    """Deleting follows the answer. A minute is for a machine that does other things."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def disk_bytes(daemon):
    return sum(os.path.getsize(path) for path in glob.glob(os.path.join(daemon.scratch, "state", "snapshots.db*")))


def check_counts(claims):
    with configured("keep_count = 3\nkeep_exit_count = 4\nexit_min_age = 0\n") as daemon:
        ids = [import_one(daemon) for _ in range(5)]
        claims.check("keep_count keeps the newest", wait_for(lambda: stored(daemon) == ids[2:]), stored(daemon))
        for _ in range(4):
            daemon.run(["true"])
        claims.check("exit and peak snapshots have a limit of their own", wait_for(lambda: len(stored(daemon, "exit", "peak")) == 4),
                     daemon.json("list"))
        claims.check("and do not push out what was asked for", stored(daemon, "import", "request") == ids[2:], daemon.json("list"))
        newest = sorted(stored(daemon, "exit", "peak"))
        claims.check("the newest of them stay", min(newest) > max(ids) and newest == list(range(newest[-1] - 3, newest[-1] + 1)), newest)


def check_run(claims):
    """One large child first, then as many small ones as push out all that went before."""
    script = f'"{sys.executable}" -c "b = bytearray(1 << 20)"; for i in $(seq 100); do /bin/true; done'
    with configured("keep_exit_count = 192\n") as daemon:
        summary = daemon.run(["bash", "-c", script])[0].stderr.decode()
        named = [int(n) for n in re.findall(r"^ *\d+ +python\S* .*?B +(\d+) .*?B +(\d+) ", summary, re.MULTILINE)[0]]
        daemon.run(["true"])
        claims.check("only as many as keep_exit_count says stay", wait_for(lambda: len(stored(daemon)) == 192), len(stored(daemon)))
        claims.check("but those that a run's summary names do, however many came after", set(named) <= set(stored(daemon)), summary)
        # nobody waits longer than 0.2 s for what an exec begins: on a busy machine some shells count, all would be 202
        n_children = int(re.search(r"the 5 largest of (\d+);", summary)[1])
        claims.check("what a shell is between fork and exec is no child", 102 <= n_children < 152, summary)


def check_ages(claims):
    with configured("keep_age = 2d\nkeep_exit_age = 1h\n") as daemon:
        ids = [import_one(daemon) for _ in range(3)]
        daemon.run(["true"])
        exits = stored(daemon, "exit", "peak")
        daemon.stop()
        db = sqlite3.connect(os.path.join(daemon.scratch, "state", "snapshots.db"))
        for snapshot, age in ((ids[0], 49 * 3600), (ids[1], 47 * 3600), (exits[0], 3700)):
            db.execute("UPDATE snapshot SET taken_at_ns = taken_at_ns - ? WHERE id = ?", (age * 10 ** 9, snapshot))
        db.commit()
        db.close()
        daemon.start()
        claims.check("what is older than keep_age or keep_exit_age goes when the daemon starts",
                     wait_for(lambda: sorted(stored(daemon)) == sorted(ids[1:] + exits[1:])), stored(daemon), ids, exits)
        claims.check("the log says how many", "deleted 2 snapshots" in daemon.log_text(), daemon.log_text())


def check_bytes(claims):
    with configured("keep_bytes = 1M\n") as daemon:
        daemon.run(["true"])
        keep = import_one(daemon, 1000, "keep")
        claims.check("below keep_bytes all stay", {"exit", "peak", "import"} == {s["kind"] for s in daemon.json("list")})
        ids = [import_one(daemon, 1500, i) for i in range(8)]
        claims.check("beyond keep_bytes the oldest go, exit and peak snapshots first",
                     wait_for(lambda: keep not in stored(daemon) and disk_bytes(daemon) < 3 << 20) and not stored(daemon, "exit", "peak"),
                     stored(daemon), disk_bytes(daemon))
        left = stored(daemon)
        claims.check("and no more than must", 1 < len(left) < 8 and left == ids[-len(left):], left, ids)
        last = import_one(daemon, 20000, "large")
        claims.check("the newest stays, were it larger than the limit", wait_for(lambda: stored(daemon) == [last]), stored(daemon))


def check_delete(claims):
    with Daemon() as daemon:
        small = import_one(daemon)
        before = disk_bytes(daemon)
        large = import_one(daemon, 20000, "large")
        grown = disk_bytes(daemon)
        claims.check("delete says nothing and succeeds, though one is named twice",
                     daemon.tmctl("delete", large, large).returncode == 0)
        claims.check("delete gives the space back", grown > 4 * before and wait_for(lambda: disk_bytes(daemon) < before + (200 << 10)),
                     before, grown, disk_bytes(daemon))
        claims.check("what others need stays", daemon.json("stats", small)["total_count"] == 3)


with Claims() as all_claims:
    check_counts(all_claims)
    check_run(all_claims)
    check_ages(all_claims)
    check_bytes(all_claims)
    check_delete(all_claims)
