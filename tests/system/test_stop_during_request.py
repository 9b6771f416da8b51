#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon that is told to end ends at once and in order: while requests wait for the symbol helper, which does not answer; and while
the last snapshots of a process are being stored that has left a child of which nothing was heard yet."""
import os
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from database_wait import waits_for_the_database  # noqa: E402
from tm import TMCTL, Claims, Daemon  # noqa: E402

N_REQUESTS = 8  # more than the pool has threads
LEAVES_A_CHILD = b"""
#include <stdlib.h>
#include <unistd.h>
int main(void) {
        free(malloc(100));
        if (fork() == 0)
                pause(); /* without an allocation it does not greet */
        return 0;
}
"""


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def program_of(pid):
    """Empty where it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except FileNotFoundError:
        return ""


def helper_of(pid):
    """The symbol helper of a daemon; None. A child that has not become it yet would hold up who started it."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="utf-8") as f:
            for child in f.read().split():
                if program_of(child).endswith("symbolizer"):
                    return int(child)
    return None


def has_asked(client):
    """It is connected and asleep: its request is out."""
    folder = f"/proc/{client.pid}"
    try:
        links = [os.readlink(f"{folder}/fd/{fd}") for fd in os.listdir(f"{folder}/fd")]
    except FileNotFoundError:  # closed meanwhile
        return False
    with open(f"{folder}/stat", encoding="utf-8") as f:
        state = f.read().rpartition(")")[2].split()[0]
    return state == "S" and any(link.startswith("socket:") for link in links)


def with_a_child_left(claims, daemon):
    program = os.path.join(daemon.scratch, "leaves_a_child")
    subprocess.run(["gcc", "-x", "c", "-o", program, "-"], input=LEAVES_A_CHILD, check=True)
    db = sqlite3.connect(os.path.join(daemon.scratch, "state", "snapshots.db"), isolation_level=None)
    db.execute("begin immediate")
    run = subprocess.Popen([TMCTL, "run", "--", program], env=daemon.environment, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, start_new_session=True)
    claims.check("last snapshots wait for the database", wait_for(lambda: waits_for_the_database(daemon.process.pid)))
    daemon.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "ending by signal" in daemon.log_text())
    db.execute("rollback")
    claims.check("a parent of a child unheard of: it ends within seconds", wait_for(lambda: daemon.process.poll() is not None),
                 daemon.log_text())
    claims.check("in order, with the snapshots stored", daemon.process.poll() == 0 and
                 db.execute("select count(*) from snapshot").fetchone() == (2,), daemon.process.poll(), daemon.log_text())
    db.close()
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


with Claims() as claims, Daemon() as daemon, Daemon() as other:
    with_a_child_left(claims, other)
    _, exits, _ = daemon.run(["/bin/ls", "/"])
    daemon.json("stats", exits[0]["id"])  # the helper is there and has answered
    claims.check("a symbol helper runs", wait_for(lambda: helper_of(daemon.process.pid)))
    helper = helper_of(daemon.process.pid)
    os.kill(helper, signal.SIGSTOP)
    _, exits, _ = daemon.run(["/usr/bin/sort", "/dev/null"])
    clients = [subprocess.Popen([TMCTL, "stats", str(exits[0]["id"])], env=daemon.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True) for _ in range(N_REQUESTS)]
    claims.check("requests wait for it", wait_for(lambda: all(map(has_asked, clients))))
    daemon.json("ps")  # it has read what came before this
    daemon.process.send_signal(signal.SIGTERM)
    claims.check("it ends within seconds", wait_for(lambda: daemon.process.poll() is not None), daemon.log_text())
    claims.check("in order", daemon.process.poll() == 0, daemon.process.poll(), daemon.log_text())
    claims.check("blames no file", "symbol helper" not in daemon.log_text(), daemon.log_text())
    for client in clients:
        _, error = client.communicate(timeout=60)
        claims.check("a client says that the daemon has left", client.returncode in (1, 4) and error.count("\n") == 1,
                     client.returncode, error)
    if not claims.check("the helper is gone", wait_for(lambda: not os.path.exists(f"/proc/{helper}"))):
        os.kill(helper, signal.SIGKILL)
