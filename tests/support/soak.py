#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs start, allocate, fork, exec and die for a while, the daemon is killed now and then, snapshots, queries and deletes go on:
in the end every table is what its program counted, and the daemon has what it had at the start. Run by tests/system/soak.sh,
inside a private systemd.

usage: soak.py SECONDS KILLS [SEED]
"""
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from life import accounted, compile_subject, read_ledgers  # noqa: E402
from restart import AGENT, claim, exit_status, service, wait_for_next_daemon, wait_until  # noqa: E402

# exact: whatever happens to the daemon; the others may say that something is missing
EXACT = ["fork", "fork_nested", "vfork", "exec_self", "quick_exit", "atexit", "daemonize", "posix_spawn", "tls_destructors"]
ACCOUNTED = ["sigkill", "abort", "segfault", "underscore_exit", "exit_threaded", "exec_in_thread"]
KILLED = ["until_told", "trickle"]  # by a signal, after a while
AT_ONCE = 6
DATABASE = "/var/lib/tracemallocd/snapshots.db"


class System:
    """tmctl of the installed system, asked again where a daemon died over the question."""

    @staticmethod
    def tmctl(*arguments):
        return subprocess.run(["tmctl", *map(str, arguments)], capture_output=True, text=True, timeout=120)

    def json(self, *arguments):
        for _ in range(20):
            done = self.tmctl(*arguments, "--json")
            if done.returncode == 0:
                return json.loads(done.stdout)
            time.sleep(0.5)
        raise RuntimeError(f"tmctl {arguments}: {done.stderr}")


class Program:
    def __init__(self, subject, folder, case, dice):
        self.case, self.folder = case, folder
        os.mkdir(folder)
        self.signal = dice.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT]) if case in KILLED else None
        self.ends_at = time.monotonic() + dice.uniform(0.2, 12)
        environment = dict(os.environ, LD_PRELOAD=AGENT, LIFE_LEDGERS=folder)
        self.process = subprocess.Popen([subject, case], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)

    def is_over(self):
        # not before it has begun to keep its ledger, which may take a while on a busy machine
        if self.signal and time.monotonic() > self.ends_at and os.listdir(self.folder) and self.process.poll() is None:
            self.process.send_signal(self.signal)
            self.process.wait()
        return self.process.poll() is not None

    def behaviour(self):
        """Status and output; of one that a signal ended its output alone may differ, by how far it came."""
        output = self.process.stdout.read()
        return self.process.returncode, None if self.signal else output


def untraced(subject, case):
    done = subprocess.run([subject, case], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


class Soak:
    def __init__(self, folder, seed):
        self.system, self.folder, self.dice = System(), folder, random.Random(seed)
        self.subject = compile_subject(folder)
        self.expected = {case: untraced(self.subject, case) for case in EXACT + ACCOUNTED}
        self.running, self.over, self.snapshots, self.different = [], [], [], []
        self.answered = {"snapshot": 0, "stats": 0, "delete": 0, "ps": 0}

    def start_one(self):
        case = self.dice.choice(EXACT + ACCOUNTED + 2 * KILLED)
        folder = os.path.join(self.folder, f"ledgers{len(self.running) + len(self.over)}.{time.monotonic_ns()}")
        self.running.append(Program(self.subject, folder, case, self.dice))

    def reap(self):
        for program in [p for p in self.running if p.is_over()]:
            behaved = program.behaviour()
            wanted = (-program.signal, None) if program.signal else self.expected[program.case]
            if behaved != wanted:
                self.different.append((program.case, wanted, behaved))
            self.running.remove(program)
            self.over.append(program)

    def ask(self):
        """A snapshot, a query or a delete; a daemon that dies over it is no failure, the next question is asked of the next."""
        what = self.dice.choice(list(self.answered))
        arguments = []
        if what == "snapshot" and self.running:
            arguments = ["--pid", self.dice.choice(self.running).process.pid]
        elif what == "stats" and self.snapshots:
            arguments = [self.dice.choice(self.snapshots)]
        elif what == "delete" and len(self.snapshots) > 5:
            arguments = [self.snapshots.pop(self.dice.randrange(len(self.snapshots)))]
        elif what != "ps":
            return
        done = self.system.tmctl(what, *arguments)
        self.answered[what] += done.returncode == 0
        if what == "snapshot" and done.returncode == 0:
            self.snapshots.append(done.stdout.split()[0])

    def run(self, seconds, kills):
        """Return: how often a daemon was killed and another one came."""
        start = time.monotonic()
        kill_at = sorted(self.dice.uniform(0, seconds) for _ in range(kills))
        n_killed = 0
        while time.monotonic() < start + seconds or self.running:
            late = time.monotonic() > start + seconds
            while not late and len(self.running) < AT_ONCE:
                self.start_one()
            self.reap()
            self.ask()
            if kill_at and time.monotonic() - start >= kill_at[0]:
                kill_at.pop(0)
                old = service("MainPID")
                os.kill(int(old), signal.SIGKILL)
                n_killed += bool(wait_for_next_daemon(old))
        return n_killed

    def last_snapshots(self, ledgers):
        """The exit snapshots of all programs, asked for at once: there are thousands."""
        def found():
            rows = self.system.json("list", "--kind", "exit")
            index.update({(row["pid"], row["image"]): row for row in rows})
            return all((ledger.pid, ledger.image) in index for ledger in ledgers)

        index = {}
        wait_until(180, found)
        return index

    def hold(self, program, ledgers, snapshots):
        """Return: what is wrong with the tables of a program; how many of its tables say that they are not all."""
        wrong, n_inexact = [] if ledgers else [f"{program.case}: no ledger"], 0
        for ledger in ledgers:
            snapshot = snapshots.get((ledger.pid, ledger.image))
            if not snapshot:
                wrong.append(f"{program.case} {ledger.pid}.{ledger.image}: no exit snapshot")
                continue
            size, count, exact = accounted(self.system, snapshot["id"])
            n_inexact += not exact
            if exact and not ledger.agrees(size, count):
                wrong.append(f"{program.case} {ledger.pid}.{ledger.image}: has {ledger}; the daemon: {count} of {size} bytes")
            if not exact and program.case in EXACT:
                wrong.append(f"{program.case} {ledger.pid}.{ledger.image}: not exact")
        return wrong, n_inexact


def daemon_has():
    """Descriptors and private memory of the daemon."""
    pid = service("MainPID")
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        memory = next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))
    return len(os.listdir(f"/proc/{pid}/fd")), memory


def descriptors():
    folder = f"/proc/{service('MainPID')}/fd"
    return sorted(os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder))


def main():
    seconds, kills = int(sys.argv[1]), int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    print(f"# seed {seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="soak.")
    os.chmod(folder, 0o755)
    soak = Soak(folder, seed)
    soak.run(5, 0)  # what is opened once and kept: files of modules, the symbol helper
    stored, before = int(service("NFileDescriptorStore")), daemon_has()
    n_killed = soak.run(seconds, kills)
    claim(f"another daemon came after each of {kills} SIGKILLs", n_killed == kills, n_killed)
    claim(f"{len(soak.over)} programs behaved as untraced", not soak.different, *soak.different[:5])
    claim("snapshots, queries and deletes were answered", all(soak.answered.values()), soak.answered)
    print(f"# {soak.answered}", flush=True)
    wrong, n_inexact = [], 0
    ledgers = {program: read_ledgers(program.folder) for program in soak.over}
    snapshots = soak.last_snapshots(sum(ledgers.values(), []))
    for program in soak.over:
        problems, n = soak.hold(program, ledgers[program], snapshots)
        wrong += problems
        n_inexact += n
    print(f"# {n_inexact} tables say that they are not all", flush=True)
    claim("every table is that of its program", not wrong, *wrong[:20], f"{len(wrong)} in all")
    claim("nothing of them stays in the store of descriptors",
          wait_until(60, lambda: int(service("NFileDescriptorStore")) <= stored), service("NFileDescriptorStore"), stored)
    claim("the daemon has the descriptors that it had", wait_until(60, lambda: daemon_has()[0] <= before[0] + 4), before, daemon_has(),
          *descriptors())
    claim("and memory of that size", wait_until(60, lambda: daemon_has()[1] < before[1] + 64 * 1024), before, daemon_has())
    subprocess.run(["systemctl", "stop", *(f"tracemallocd{unit}" for unit in ("-agent.socket", "-control.socket", ".service"))],
                   check=False)
    with sqlite3.connect(DATABASE) as db:
        claim("the database is sound", db.execute("pragma integrity_check").fetchall() == [("ok",)])
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(exit_status())


main()
