# SPDX-License-Identifier: Apache-2.0
"""What system tests written in Python share: a daemon of the test's own, tmctl, TAP lines.

    from tm import Claims, Daemon
    with Claims() as claims, Daemon() as daemon:
        claims.check("the daemon lists nothing", daemon.json("list") == [])
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("TRACEMALLOCD_BUILD", os.path.join(SOURCE, "build"))
TMCTL = os.path.join(BUILD, "client", "tmctl")
TRACEMALLOCD = os.path.join(BUILD, "daemon", "tracemallocd")
AGENT = os.path.join(BUILD, "agent", "libtracemalloc-agent.so")


class Claims:
    """Counts claims, prints TAP lines; leaving the block ends the program with the right status. Of any thread."""

    def __init__(self):
        self.n = self.failed = 0
        self.turn = threading.Lock()

    def check(self, text, holds, *details):
        with self.turn:
            self.n += 1
            self.failed += not holds
            print(f"{'ok' if holds else 'not ok'} {self.n} - {text}", flush=True)
            if not holds:
                for line in details:
                    print(f"    {line}", flush=True)
        return holds

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            sys.exit(1 if self.failed else 0)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


class Daemon:
    """A private tracemallocd in a folder of its own, ended with the block."""

    def __init__(self, *options, environment=None):
        self.scratch = tempfile.mkdtemp(prefix="tmd.", dir=os.environ.get("TMPDIR"))
        self.environment = dict(
            os.environ,
            TRACEMALLOCD_RUNTIME_DIR=os.path.join(self.scratch, "run"),
            TRACEMALLOCD_STATE_DIR=os.path.join(self.scratch, "state"),
            **(environment or {}),
        )
        self.options = options
        self.under = []  # what runs the daemon, with its options
        self.process = None

    def start(self):
        self.log = open(os.path.join(self.scratch, "daemon.log"), "ab")
        self.process = subprocess.Popen([*self.under, TRACEMALLOCD, *self.options], env=self.environment, stderr=self.log)
        socket = os.path.join(self.scratch, "run", "control.sock")
        deadline = time.monotonic() + 60
        while subprocess.run([TMCTL, "ps"], env=self.environment, capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the daemon does not start: {self.log_text()}")
            time.sleep(0.05)
        return socket

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.log.close()

    def log_text(self):
        with open(os.path.join(self.scratch, "daemon.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if kind not in (None, SystemExit):
            print("---- the daemon's log:", self.log_text()[-4000:], sep="\n")
        shutil.rmtree(self.scratch, ignore_errors=True)

    def tmctl(self, *arguments, **options):
        """subprocess.run() of tmctl, output captured as text unless options say otherwise."""
        options = {"capture_output": True, "text": True, "errors": "surrogateescape", **options}
        return subprocess.run([TMCTL, *map(str, arguments)], env=self.environment, **options)

    def tmctl_bytes(self, *arguments):
        """The same with arguments as bytes."""
        return subprocess.run([os.fsencode(TMCTL), *arguments], env=self.environment, capture_output=True)

    def json(self, *arguments):
        result = self.tmctl(*arguments, "--json")
        if result.returncode != 0:
            raise RuntimeError(f"tmctl {' '.join(map(str, arguments))}: {result.returncode}: {result.stderr}")
        return json.loads(result.stdout)

    def json_lines(self, *arguments):
        result = self.tmctl(*arguments, "--json")
        if result.returncode != 0:
            raise RuntimeError(f"tmctl {' '.join(map(str, arguments))}: {result.returncode}: {result.stderr}")
        return [json.loads(line) for line in result.stdout.splitlines()]

    def run(self, command, *options, **subprocess_options):
        """tmctl run; returns its CompletedProcess and the ids of (exit, peak) snapshots of the command."""
        before = {s["id"] for s in self.json("list")}
        subprocess_options.setdefault("stdout", subprocess.DEVNULL)
        subprocess_options.setdefault("stderr", subprocess.PIPE)
        result = subprocess.run(
            [TMCTL, "run", *options, "--", *command], env=self.environment, **subprocess_options
        )
        new = [s for s in self.json("list") if s["id"] not in before]
        exits = [s for s in new if s["kind"] == "exit"]
        peaks = [s for s in new if s["kind"] == "peak"]
        return result, exits, peaks
