# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of life/ traced and untraced, and holds the daemon's account of it against its own.

A ledger is what one image of the subject wrote about its blocks; see life/life.h.
"""
import array
import glob
import os
import subprocess
import time

from tm import SOURCE, TMCTL

N_COUNTERS = 8  # of a lane, in the order of struct lane
ACCOUNTED = "ledger_malloc"


def compile_subject(folder, compiler="gcc", name="life_subject", options=("-pthread",)):
    path = os.path.join(folder, name)
    sources = sorted(glob.glob(os.path.join(SOURCE, "tests", "support", "life", "*.c")))
    subprocess.run([compiler, "-D_GNU_SOURCE", "-g", "-O1", "-I", SOURCE, *options, "-o", path, *sources], check=True)
    return path


class Ledger:
    """The account of one image: counts and bytes of live blocks, each between two bounds."""

    def __init__(self, path):
        self.pid, self.image = map(int, os.path.basename(path).split("."))
        with open(path, "rb") as f:
            words = array.array("Q", f.read())
        sums = [sum(words[i::N_COUNTERS]) for i in range(N_COUNTERS)]
        # begun is counted before, done after the call: allocs, alloc bytes (begun, done), then frees
        self.count = (sums[2] - sums[4], sums[0] - sums[6])
        self.size = (sums[3] - sums[5], sums[1] - sums[7])

    def __str__(self):
        return f"{self.count[0]}..{self.count[1]} blocks of {self.size[0]}..{self.size[1]} bytes"

    def agrees(self, size, count):
        return self.count[0] <= count <= self.count[1] and self.size[0] <= size <= self.size[1]


def read_ledgers(folder):
    ledgers = [Ledger(os.path.join(folder, name)) for name in os.listdir(folder)]
    return sorted(ledgers, key=lambda ledger: (ledger.pid, ledger.image))


def accounted(daemon, snapshot):
    """(size, count) of what ledger_malloc() allocated and is alive in a snapshot, and whether it is exact."""
    answer = daemon.json("stats", snapshot, "--group-by", "function", "--limit", "0")
    rows = [row for row in answer["statistics"] if row["traceback"][0]["function"] == ACCOUNTED]
    return sum(row["size"] for row in rows), sum(row["count"] for row in rows), answer["exact"]


class Run:
    """One run of a command: its status as a shell has it, what it said, and what is known of its images."""

    def __init__(self, command, ledgers, environment=None, stdin=subprocess.DEVNULL):
        os.mkdir(ledgers)
        os.chmod(ledgers, 0o777)
        # the shell puts stderr where the subject's stdout is, so that a word of the loader counts, too
        self.command = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *command]
        self.environment = dict(environment or os.environ, LIFE_LEDGERS=ledgers)
        self.folder = ledgers
        self.stdin = stdin

    def untraced(self):
        result = subprocess.run(self.command, env=self.environment, stdin=self.stdin, stdout=subprocess.PIPE,
                                timeout=300, check=False)
        status = result.returncode if result.returncode >= 0 else 128 - result.returncode
        return status, result.stdout

    def traced(self, daemon, *options):
        result = subprocess.run([TMCTL, "run", *options, "--", *self.command], stdin=self.stdin, check=False,
                                env=dict(daemon.environment, **self.environment), capture_output=True, timeout=500)
        self.said = result.stderr.decode(errors="replace")
        return result.returncode, result.stdout

    def start(self, daemon, *options):
        """As traced(), but it goes on; its standard input is a pipe, and it has printed "working" already."""
        self.process = subprocess.Popen([TMCTL, "run", *options, "--", *self.command], stdin=subprocess.PIPE,
                                        env=dict(daemon.environment, **self.environment), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        return self.process.stdout.readline() == b"working\n"

    def end(self):
        """Ends its standard input. Returns its status and what it printed since start()."""
        output, said = self.process.communicate(timeout=300)
        self.said = said.decode(errors="replace")
        return self.process.returncode, output

    def ledgers(self):
        return read_ledgers(self.folder)


def snapshots_of(daemon, ledgers, kind="exit", seconds=30):
    """{(pid, n): snapshot} for the ledgers' images: the n-th image of that pid that is the subject."""
    wanted = {(ledger.pid, ledger.image) for ledger in ledgers}
    deadline = time.monotonic() + seconds
    while True:
        found = {}
        listed = [s for s in daemon.json("list") if s["kind"] == kind and s["name"] == "life_subject"]
        for snapshot in sorted(listed, key=lambda s: (s["pid"], s["image"])):
            n = sum(1 for pid, _ in found if pid == snapshot["pid"]) + 1
            found[(snapshot["pid"], n)] = snapshot
        if wanted <= found.keys() or time.monotonic() > deadline:
            return {key: found[key] for key in wanted if key in found}
        time.sleep(0.2)
