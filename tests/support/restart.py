#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon dies under full load, by all the ways it can, and nothing is lost: under a real systemd, programs that count
their own blocks are held against `tmctl ps` before and after. Run by tests/system/test_restart_under_load.sh, inside a
private systemd."""

import ctypes
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time

from database_wait import waits_for_the_database

AGENT = "/usr/lib/tracemallocd/libtracemalloc-agent.so"
KILLS = 10
STOP_WAIT_S = 15  # ARCHITECTURE.md, "When things go wrong"
DATABASE = "/var/lib/tracemallocd/snapshots.db"
PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000  # <sys/ptrace.h>, <sys/wait.h>
OTHER_LAYOUT = "another version of tracemallocd made its table"
n_claims = n_failed = 0


def claim(text, holds, *details):
    global n_claims, n_failed
    n_claims += 1
    n_failed += not holds
    print(f"{'ok' if holds else 'not ok'} {n_claims} - {text}", flush=True)
    if not holds:
        for detail in details:
            print(f"    {detail}", flush=True)
    return holds


def exit_status():
    return 1 if n_failed else 0


def wait_until(seconds, condition):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return None


def service(name):
    return subprocess.run(["systemctl", "show", "--value", "-p", name, "tracemallocd.service"], capture_output=True, text=True,
                          check=True).stdout.strip()


def ask_ps():
    return subprocess.run(["tmctl", "ps", "--json"], capture_output=True, text=True, timeout=60)


def processes():
    done = ask_ps()
    return {p["pid"]: p for p in json.loads(done.stdout)} if done.returncode == 0 else {}


class Load:
    """A traced program that says what it holds."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(os.environ, LD_PRELOAD=AGENT))
        self.pid = self.process.pid
        self.process.stdout.readline()
        self.overhead = None

    def say(self, command):
        self.process.stdin.write(command)
        self.process.stdin.flush()

    def pause(self):
        self.say(b"p")
        return tuple(int(n) for n in self.process.stdout.readline().split())

    def is_read(self):
        """A snapshot is answered when all that was in the ring before it has been read."""
        return subprocess.run(["tmctl", "snapshot", "--pid", str(self.pid)], capture_output=True, timeout=60).returncode == 0

    def seen(self):
        """What the daemon holds of it."""
        wait_until(60, self.is_read)  # a daemon may die over the question
        p = processes().get(self.pid, {})
        return p.get("live_count", -1), p.get("live_size", -1)

    def difference(self):
        count, size = self.pause()
        seen = self.seen()
        return seen[0] - count, seen[1] - size

    def first(self):
        """What a process has besides its own blocks, when it has run for a moment."""
        self.say(b"g")
        time.sleep(0.3)
        self.overhead = self.difference()
        self.say(b"g")


def check_all(what, loads, images=1):
    for i, load in enumerate(loads):
        difference = load.difference()
        claim(f"{what}: table {i} is that of its program", difference == load.overhead, f"{difference}, before {load.overhead}")
        p = processes().get(load.pid, {})
        claim(f"{what}: nothing of table {i} is lost, and it is exact", p.get("lost") == 0 and p.get("exact"), p)
        claim(f"{what}: it is still the same image of program {i}", p.get("image") == images, p)
        load.say(b"g")


def wait_for_next_daemon(old):
    def is_there():
        pid = service("MainPID")
        return pid if pid not in ("0", old) and service("ActiveState") == "active" and ask_ps().returncode == 0 else None

    return wait_until(60, is_there)


def kill(number):
    old = service("MainPID")
    os.kill(int(old), number)
    return wait_for_next_daemon(old)


def hurry_watchdog():
    """Of the next daemon alone: nobody would wait as long as it takes usually, and a busy machine must not be taken for a daemon that hangs."""
    drop_in = "/run/systemd/system/tracemallocd.service.d/watchdog.conf"
    os.makedirs(os.path.dirname(drop_in), exist_ok=True)
    with open(drop_in, "w", encoding="utf-8") as f:
        f.write("[Service]\nWatchdogSec=3s\n")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    claim("a daemon comes that is watched more closely", kill(signal.SIGKILL) and service("WatchdogUSec") == "3s", service("WatchdogUSec"))
    os.unlink(drop_in)
    subprocess.run(["systemctl", "daemon-reload"], check=True)


def stop_main_thread(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, pid, None, None):
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, WALL)


def last_snapshots(load):
    """Return: a query for how many there are of each kind; its answer where each was stored once."""
    query = f"select kind, count(*) from snapshot where pid = {load.pid} and kind in (1, 2) group by kind order by kind"
    return query, [(1, 1), (2, 1)]


def end_with_a_locked_database(load, daemon):
    """Return: the connection that holds the lock."""
    db = sqlite3.connect(DATABASE, timeout=60, isolation_level=None)
    db.execute("begin immediate")
    load.say(b"q")
    load.process.wait()
    claim("the store waits for its turn", wait_until(60, lambda: waits_for_the_database(daemon)))
    return db


def end_unheard_of(load):
    """The daemon dies when the last snapshots of a program are stored, but its main loop has not heard of it."""
    query, once = last_snapshots(load)
    old, stored = service("MainPID"), int(service("NFileDescriptorStore"))
    db = end_with_a_locked_database(load, old)
    processes()  # the main loop is done with what it began
    stop_main_thread(int(old))
    db.execute("rollback")
    claim("the last snapshots are stored", wait_until(60, lambda: db.execute(query).fetchall() == once), db.execute(query).fetchall())
    os.kill(int(old), signal.SIGKILL)
    os.waitpid(int(old), WALL)  # systemd hears of it after its tracer
    claim("another daemon comes", wait_for_next_daemon(old))
    claim("the next daemon is done with that program",
          wait_until(60, lambda: int(service("NFileDescriptorStore")) < stored), service("NFileDescriptorStore"), stored)
    claim("and has not stored them once more", db.execute(query).fetchall() == once, db.execute(query).fetchall())
    db.close()


def restart_with_work_undone(load):
    """A restart waits a second for the store, a stop STOP_WAIT_S: programs wait for the next daemon, which takes last snapshots again."""
    query, once = last_snapshots(load)
    old = service("MainPID")
    db = end_with_a_locked_database(load, old)
    restart = subprocess.Popen(["systemctl", "restart", "tracemallocd"])
    claim("a restart does not wait for a database that is locked", wait_until(STOP_WAIT_S - 3, lambda: not os.path.exists(f"/proc/{old}")))
    db.execute("rollback")
    claim("the service restarts", restart.wait() == 0)
    claim("another daemon serves", wait_for_next_daemon(old))
    claim("and stores what the one before left", wait_until(60, lambda: db.execute(query).fetchall() == once),
          db.execute(query).fetchall())
    db.close()


class Departed:
    """tests/support/departs.c: whether it has left nobody can know before it is let go."""

    def __init__(self, program):
        held, self.holds = os.pipe()
        self.process = subprocess.Popen([program, str(held), "busybox", "cat"], stdin=subprocess.PIPE, pass_fds=[held],
                                        env=dict(os.environ, LD_PRELOAD=AGENT))
        os.close(held)
        self.pid = self.process.pid

    def is_pending(self):
        with open(f"/proc/{self.pid}/comm", encoding="utf-8") as f:
            return f.read() == "busybox\n" and self.pid in processes()

    def let_go(self):
        os.close(self.holds)

    def has_left(self):
        return self.process.poll() is None and self.pid not in processes()

    def ended_by(self):
        listed = json.loads(subprocess.run(["tmctl", "list", "--json"], capture_output=True, text=True, check=True).stdout)
        return {s["ended_by"] for s in listed if s["pid"] == self.pid and s["kind"] == "exit"}

    def end(self):
        self.process.communicate()


class SilentFork:
    """tests/support/forks_silently.c in a pid namespace of its own: the pid that it has for its child is nobody's here."""

    name = "forks_silently"

    def __init__(self, program):
        held, self.holds = os.pipe()
        self.process = subprocess.Popen(["unshare", "--pid", "--fork", program, str(held)], pass_fds=[held], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=dict(os.environ, LD_PRELOAD=AGENT))
        os.close(held)
        self.process.stdout.readline()

    def tables(self):
        return [p for p in processes().values() if p["name"] == self.name]

    def is_read(self):
        """With its fork: a snapshot is answered when all that was in the ring before it has been read."""
        done = subprocess.run(["tmctl", "snapshot", "--name", self.name], capture_output=True, check=False, timeout=60)
        found = self.tables()
        return done.returncode == 0 and len(found) == 1 and found[0]["events"] >= 1000

    def child_has_blocks(self):
        """It is listed before the worker has come to give it its parent's table: until then as empty and not exact."""
        found = {p["pid"]: p for p in self.tables()}
        return any(p["ppid"] in found and p["exact"] and p["live_count"] >= 1000 for p in found.values())

    def let_go(self):
        os.close(self.holds)

    def end(self):
        self.process.communicate()


def write_layout(pid, layout):
    """Into all tables that a daemon keeps, as if another version had made them. Return: how many there are."""
    folder, n = f"/proc/{pid}/fd", 0
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        try:
            if not os.readlink(path).startswith("/memfd:tracemallocd-table"):
                continue
            with open(path, "r+b", buffering=0) as table:
                os.pwrite(table.fileno(), struct.pack("=I", layout), 8)  # struct keep_header: behind the magic
        except FileNotFoundError:
            continue  # a forked child's that has just ended
        n += 1
    return n


def log_says(text):
    return text in subprocess.run(["journalctl", "-q", "-u", "tracemallocd", "--no-pager", "-o", "cat"], capture_output=True,
                                  text=True, check=True).stdout


def upgrade(loads):
    """The next daemon has another layout of tables: a new epoch, which says so, and programs that run on."""
    for load in loads:
        load.pause()
    claim("another version's tables lie in the store", write_layout(service("MainPID"), 12345) >= len(loads))
    claim("a daemon comes that cannot read them", kill(signal.SIGKILL))
    claim("the log says that they are another version's, and what follows",
          wait_until(60, lambda: log_says("greets anew, its earlier blocks are unknown: ") and log_says(OTHER_LAYOUT)))
    for load in loads:
        load.say(b"g")
    for i, load in enumerate(loads):
        found = wait_until(60, lambda: load.is_read() and processes()[load.pid])
        claim(f"program {i} is traced again, and its table says that it is not all", found and not found["exact"], found)
    before = progress(loads)
    claim("its events go on being read", wait_until(60, lambda: all(n > before[pid] for pid, n in progress(loads).items())))


def progress(loads):
    return {load.pid: processes().get(load.pid, {}).get("events", 0) for load in loads}


def main():
    program = sys.argv[1]
    loads = [Load(program, "2", "1"), Load(program, "1", "2"), Load(program, "1", "3", "fork"), Load(program, "1", "4"), Load(program, "1", "5")]
    if not claim("all programs are traced", wait_until(60, lambda: all(load.pid in processes() for load in loads))):
        sys.exit(1)
    end_unheard_of(loads.pop())
    leaver = loads.pop()
    for load in loads:
        load.first()
    departed = Departed(sys.argv[2])
    claim("a program that an exec led out of tracing is not told from one that the exec has not happened to",
          wait_until(60, departed.is_pending))

    restart_with_work_undone(leaver)
    check_all("after systemctl restart", loads)
    claim("the next daemon waits for that program as the one before did", departed.is_pending())
    departed.let_go()
    claim("and sees that it has left", wait_until(60, departed.has_left))
    claim("by its exec", wait_until(60, lambda: departed.ended_by() == {"exec"}), departed.ended_by())
    departed.end()

    silent = SilentFork(sys.argv[3])
    claim("a process in another pid namespace has a child that did not greet", wait_until(60, silent.is_read), silent.tables())
    claim(f"the service comes back after each of {KILLS} SIGKILLs", all([kill(signal.SIGKILL) for _ in range(KILLS)]))
    check_all("after SIGKILL", loads)
    silent.let_go()
    claim("that child has its parent's blocks", wait_until(60, silent.child_has_blocks), silent.tables())
    silent.end()

    hurry_watchdog()
    claim("the watchdog ends a daemon that is stopped, and another one comes", kill(signal.SIGSTOP))
    check_all("after the watchdog", loads)

    # a program that ends while no daemon runs
    last, loads = loads[1], loads[:1] + loads[2:]
    count, size = last.pause()
    old = service("MainPID")
    os.kill(int(old), signal.SIGSTOP)
    last.say(b"q")
    last.process.wait()
    os.kill(int(old), signal.SIGKILL)
    wait_for_next_daemon(old)
    found = wait_until(60, lambda: [s for s in json.loads(subprocess.run(["tmctl", "list", "--json"], capture_output=True,
                                                                           text=True).stdout or "[]")
                                    if s["pid"] == last.pid and s["kind"] == "exit"])
    claim("a program that ended while the daemon was dead has its exit snapshot", found)
    if found:
        claim("with the blocks that it held", abs(found[0]["count"] - count - last.overhead[0]) <= 4,
              found[0], count, last.overhead)

    upgrade(loads)
    for load in loads:
        load.pause()
    claim("a stop ends tracing, a start takes it up as a new epoch",
          subprocess.run(["systemctl", "stop", "tracemallocd.service"]).returncode == 0)
    subprocess.run(["systemctl", "start", "tracemallocd.service"], check=True)
    for load in loads:
        load.say(b"g")
    again = wait_until(60, lambda: loads[0].is_read() and processes()[loads[0].pid])
    claim("the new epoch says that earlier blocks are unknown", again and not again["exact"], again)
    stored = int(service("NFileDescriptorStore"))
    for load in loads:
        load.pause()
        load.say(b"q")
        status = load.process.wait()
        claim("the program ends as it would untraced", status == 0, status)
    claim("what a process had in the store goes with it",
          wait_until(60, lambda: int(service("NFileDescriptorStore")) < stored), service("NFileDescriptorStore"), stored)
    sys.exit(exit_status())


if __name__ == "__main__":
    main()
