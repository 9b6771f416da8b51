#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 forks of a threaded program that allocates all the time: none hangs, in the parent or in the child."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from life import Run, accounted, compile_subject, snapshots_of  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

with Claims() as claims, Daemon() as daemon:
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
