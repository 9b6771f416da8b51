#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 forks of a threaded program that allocates all the time: none hangs, in the parent or in the child. And what a crowd of
programs leaves in the daemon."""
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from life import Run, accounted, compile_subject, snapshots_of  # noqa: E402
from tm import AGENT, Claims, Daemon  # noqa: E402


def private_kib(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


def until(holds, seconds=120):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def crowd(claims):
    """300 programs at once, which end at once."""
    with Daemon() as daemon:
        before = private_kib(daemon)
        end, ours = os.pipe()
        programs = [subprocess.Popen(["cat"], stdin=end, env=dict(daemon.environment, LD_PRELOAD=AGENT)) for _ in range(300)]
        os.close(end)
        there = until(lambda: len(daemon.json("ps")) == 300)
        most = private_kib(daemon)
        os.close(ours)
        for program in programs:
            program.wait()
        gone = until(lambda: not daemon.json("ps"))
        claims.check("a crowd takes memory of the daemon", there and gone and most > before + 4096, before, most)
        claims.check("which the system has back some seconds after it has gone",
                     until(lambda: private_kib(daemon) < before + 2048), before, most, private_kib(daemon))


with Claims() as claims, ThreadPoolExecutor() as pool, Daemon() as daemon:
    beside = pool.submit(crowd, claims)
    subject = compile_subject(daemon.scratch)
    run = Run([subject, "many_forks", "10000"], os.path.join(daemon.scratch, "ledgers"), daemon.environment)
    # with exit snapshots each child that recorded something would leave two
    result = run.traced(daemon, "--no-exit-snapshot")
    claims.check("it ends, as it does untraced", result == (0, b"forked\n"), result, run.said)
    run = Run([subject, "many_forks", "100"], os.path.join(daemon.scratch, "ledgers2"), daemon.environment)
    result = run.traced(daemon)
    claims.check("with snapshots, too", result == (0, b"forked\n"), result, run.said)
    ledger = run.ledgers()[0]
    snapshot = snapshots_of(daemon, [ledger])[(ledger.pid, ledger.image)]
    size, count, exact = accounted(daemon, snapshot["id"])
    claims.check("the parent's account is exact", exact and ledger.agrees(size, count), size, count, exact, ledger)
    beside.result()
