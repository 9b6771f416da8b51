#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tracemallocd is killed in the middle of writing, again and again: the database stays whole, and what was acknowledged stays in it.

usage: test_store_killed.py [--times 100] [--seed N]
"""
import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tm import TMCTL, TRACEMALLOCD, Claims, Daemon  # noqa: E402

SITES = 4000


def write_pickle(path, rng):
    traces = [(0, rng.randrange(5000), ((f"file{rng.randrange(300)}.py", i), ("main.py", rng.randrange(40))), 2) for i in range(SITES)]
    tracemalloc.Snapshot(traces, 5).dump(path)


class Round:
    """One life of the daemon: writes go on until it is killed."""

    def __init__(self, daemon, pickles, acknowledged, deleted):
        self.daemon, self.pickles, self.acknowledged, self.deleted = daemon, pickles, acknowledged, deleted
        self.socket = os.path.join(daemon.scratch, "run", "control.sock")

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.daemon.process = subprocess.Popen([TRACEMALLOCD], env=self.daemon.environment, stderr=self.daemon.log)
        deadline = time.monotonic() + 30
        while not os.path.exists(self.socket) and time.monotonic() < deadline and self.daemon.process.poll() is None:
            time.sleep(0.002)

    def write_until_dead(self, rng, seconds):
        """Imports, now and then a delete, and a kill some time after the first of them began. Return: how many were answered."""
        children = []
        for _ in range(3):
            command = [TMCTL, "import", rng.choice(self.pickles)]
            if self.acknowledged and rng.random() < 0.3:
                victim = rng.choice(sorted(self.acknowledged))
                self.acknowledged.discard(victim)  # from here on it may be there or not
                self.deleted.add(victim)
                command = [TMCTL, "delete", str(victim)]
            children.append(subprocess.Popen(command, env=self.daemon.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        time.sleep(seconds)
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()
        for child in children:
            output = child.communicate(timeout=60)[0]
            if child.args[1] == "import" and child.returncode == 0 and output.strip():
                self.acknowledged.add(int(output))
        return sum(child.returncode == 0 for child in children)


def problem_of(path, acknowledged):
    """None, or what is wrong with the database."""
    db = sqlite3.connect(path)
    try:
        found = [row[0] for row in db.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            return found[:3]
        if db.execute("PRAGMA foreign_key_check").fetchall():
            return "foreign_key_check"
        stored = {row[0] for row in db.execute("SELECT id FROM snapshot")}
        if acknowledged - stored:
            return f"acknowledged, but lost: {sorted(acknowledged - stored)}"
        for snapshot, traces in db.execute("SELECT id, count FROM snapshot"):
            count = db.execute("SELECT sum(count) FROM snapshot_group WHERE snapshot = ?", (snapshot,)).fetchone()[0]
            if count != traces:
                return f"snapshot {snapshot} has {count} of {traces} blocks"
        return None
    finally:
        db.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    acknowledged, deleted, problems, interrupted = set(), set(), [], 0
    with Claims() as claims, Daemon() as daemon:
        path = os.path.join(daemon.scratch, "state", "snapshots.db")
        pickles = [os.path.join(daemon.scratch, f"{i}.pickle") for i in range(3)]
        for pickle in pickles:
            write_pickle(pickle, rng)
        started = time.monotonic()
        daemon.tmctl("import", pickles[0])
        window = 3 * (time.monotonic() - started)
        daemon.stop()
        daemon.log = open(os.path.join(daemon.scratch, "daemon.log"), "ab")
        for number in range(options.times):
            life = Round(daemon, pickles, acknowledged, deleted)
            life.start()
            n_answered = life.write_until_dead(rng, rng.uniform(0, window))
            interrupted += n_answered < 3
            # so that some are answered and some are not, however fast the machine is at the moment
            window *= 1.2 if n_answered == 0 else 0.8 if n_answered == 3 else 1
            # every time would take long: a damage stays, and shows the next time
            if number % 10 == 9 or number == options.times - 1:
                problem = problem_of(path, acknowledged)
                if problem:
                    problems.append((number, problem))
                    break
        claims.check(f"{options.times} times killed while it was writing: the database is whole and holds every acknowledged snapshot",
                     not problems, f"seed {options.seed}", *problems)
        claims.check("most kills came before all was written", interrupted > options.times // 3, interrupted)
        claims.check("some writes were acknowledged before", len(acknowledged) > 0, len(acknowledged))
        daemon.start()
        known = {s["id"] for s in daemon.json("list")}
        claims.check("the daemon lists them all", acknowledged <= known, acknowledged - known)
        sums = [daemon.json("stats", i)["total_count"] for i in sorted(acknowledged)[-5:]]
        claims.check("and reads them", sums == [SITES] * len(sums), sums)


main()
