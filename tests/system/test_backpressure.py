#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon that is stopped, slow or gone: programs wait for a bounded time and go on, what is lost is counted, and every
view of an inexact table says so; the next daemon is found, and the table that begins there says that it is not all.
"""
import os
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from life import Run, accounted, compile_subject, snapshots_of  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

RING_MIN = str(64 * 1024)


def wait_until(seconds, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def configured(text, **options):
    daemon = Daemon(**options)
    path = os.path.join(daemon.scratch, "conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    daemon.options = ["--config", path]
    return daemon


def new_run(daemon, name, *arguments, ring=RING_MIN):
    subject = os.path.join(daemon.scratch, "life_subject")
    if not os.path.exists(subject):
        compile_subject(daemon.scratch)
    n = sum(entry.startswith("ledgers") for entry in os.listdir(daemon.scratch))
    return Run([subject, name, *arguments], os.path.join(daemon.scratch, f"ledgers{n}"),
               dict(daemon.environment, TRACEMALLOCD_RING_SIZE=ring))


def last_account(daemon, run):
    ledger = run.ledgers()[-1]
    snapshot = snapshots_of(daemon, [ledger]).get((ledger.pid, ledger.image))
    return ledger, snapshot, accounted(daemon, snapshot["id"]) if snapshot else (0, 0, None)


def check_exact(claims, daemon, run, title):
    ledger, _, (size, count, exact) = last_account(daemon, run)
    claims.check(title, exact and ledger.agrees(size, count), f"the program: {ledger}",
                 f"the daemon: {count} of {size}, exact: {exact}", run.said)


def check_views(claims, daemon, snapshot):
    """Every view of a snapshot that lacks events."""
    for arguments in (["stats", snapshot], ["compare", snapshot, snapshot], ["show", snapshot], ["traces", snapshot],
                      ["export", "--format", "json", "-o", os.path.join(daemon.scratch, "export"), snapshot]):
        result = daemon.tmctl(*arguments)
        claims.check(f"tmctl {arguments[0]} says that it is inexact",
                     result.returncode == 0 and re.search("inexact|events lost", result.stdout + result.stderr, re.I),
                     result.stdout[-500:], result.stderr)
    listed = [s for s in daemon.json("list") if s["id"] == snapshot]
    claims.check("tmctl list --json says that it is inexact", listed and not listed[0]["exact"], listed)
    header = daemon.tmctl("list").stdout.splitlines()[0]
    claims.check("tmctl list has a column for it", "EXACT" in header, header)
    claims.check("tmctl stats --json says that it is inexact", not daemon.json("stats", snapshot)["exact"])


def stopped_for_long(claims):
    with configured("[agent]\nstall_limit_ms = 200\n") as daemon:
        run = new_run(daemon, "until_told")
        run.start(daemon)
        daemon.process.send_signal(signal.SIGSTOP)
        pid = run.ledgers()[0].pid
        before = run.ledgers()[0].count[1]
        # the ring is full by then: the program goes on without the daemon, or this does not come true
        began = sum_of_allocs(run)
        moved_on = wait_until(60, lambda: sum_of_allocs(run) > began + 200000)
        daemon.process.send_signal(signal.SIGCONT)
        claims.check("a program whose daemon is stopped goes on after a bounded wait", moved_on, before)
        wait_until(30, lambda: any(p["pid"] == pid and p["lost"] > 0 for p in daemon.json("ps")))
        rows = [p for p in daemon.json("ps") if p["pid"] == pid]
        claims.check("tmctl ps --json counts what was lost", rows and rows[0]["lost"] > 0 and not rows[0]["exact"], rows)
        claims.check("tmctl ps says so", "inexact" in daemon.tmctl("ps").stdout, daemon.tmctl("ps").stdout)
        claims.check("a live view says so", not daemon.json("stats", f"@{pid}")["exact"])
        status = run.end()
        claims.check("the program ends as untraced", status == (0, b"told\n"), status, run.said)
        claims.check("tmctl run says so", "inexact" in run.said, run.said)
        _, snapshot, account = last_account(daemon, run)
        claims.check("the exit snapshot is inexact", account[2] is False, account, snapshot)
        check_views(claims, daemon, snapshot["id"])


def sum_of_allocs(run):
    """Allocations of the image so far, without stopping it."""
    import array
    total = 0
    for name in os.listdir(run.folder):
        with open(os.path.join(run.folder, name), "rb") as f:
            total += sum(array.array("Q", f.read())[0::8])
    return total


def stopped_for_a_while(claims):
    """Within the limit of a stall, a program waits and nothing is lost."""
    with configured("[agent]\nstall_limit_ms = 20000\n") as daemon:
        run = new_run(daemon, "until_told")
        run.start(daemon)
        daemon.process.send_signal(signal.SIGSTOP)
        waits = wait_until(15, lambda: stands_still(run))
        daemon.process.send_signal(signal.SIGCONT)
        claims.check("a program with a full ring waits for a daemon that is stopped", waits)
        begun = sum_of_allocs(run)
        claims.check("and goes on with it", wait_until(60, lambda: sum_of_allocs(run) > begun + 100000))
        claims.check("it ends as untraced", run.end() == (0, b"told\n"), run.said)
        check_exact(claims, daemon, run, "nothing is lost")


def stands_still(run):
    before = sum_of_allocs(run)
    time.sleep(1)
    return sum_of_allocs(run) == before


def fast_writers(claims):
    # a machine that stands still for two seconds, the default, is none of this test's
    with configured("[agent]\nstall_limit_ms = 20000\n") as daemon:
        for ring in (RING_MIN, str(1 << 20), str(64 << 20)):
            run = new_run(daemon, "burst", "2", ring=ring)
            result = run.traced(daemon)
            claims.check(f"4 threads that allocate without pause, ring of {ring} bytes: as untraced",
                         result == (0, b"burst over\n"), result, run.said)
            check_exact(claims, daemon, run, f"4 threads that allocate without pause, ring of {ring} bytes: exact")


def death_of_a_daemon(claims, name, ring, number):
    with Daemon() as daemon:
        run = new_run(daemon, name, ring=ring)
        run.start(daemon)
        pid = run.ledgers()[0].pid
        title = f"{name}, {number.name} to the daemon"
        daemon.process.send_signal(number)
        daemon.process.wait(60)
        begun = sum_of_allocs(run)
        claims.check(f"{title}: the program runs on",
                     wait_until(60, lambda: sum_of_allocs(run) > begun + 1000))
        daemon.start()
        found = wait_until(120, lambda: any(p["pid"] == pid for p in daemon.json("ps")))
        rows = [p for p in daemon.json("ps") if p["pid"] == pid]
        claims.check(f"{title}: it finds the next one", found)
        claims.check(f"{title}: which knows that it has not seen all", rows and not rows[0]["exact"], rows)
        status, output = run.end()
        # tmctl run lost its daemon, and may say so in its status; the program said all it had to
        claims.check(f"{title}: it ends as untraced", output == b"told\n", status, output, run.said)


def death_of_the_daemon(claims):
    """Each with a daemon of its own, at the same time: they wait for seconds until their programs look again."""
    # a ring that does not get full: the death of the daemon is noticed all the same
    deaths = [(name, ring, number) for name, ring in (("until_told", RING_MIN), ("trickle", str(64 << 20)))
              for number in (signal.SIGTERM, signal.SIGKILL)]
    with ThreadPoolExecutor(len(deaths)) as pool:
        list(pool.map(lambda death: death_of_a_daemon(claims, *death), deaths))


with Claims() as claims:
    for case in (stopped_for_long, stopped_for_a_while, fast_writers, death_of_the_daemon):
        if len(sys.argv) == 1 or case.__name__ in sys.argv[1:]:
            case(claims)
