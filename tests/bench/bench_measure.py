# SPDX-License-Identifier: Apache-2.0
"""Runs a program plain, traced and under a peer, and says what each run took."""
import collections
import glob
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from tm import TMCTL

HEAPTRACK = "/usr/lib/heaptrack/libheaptrack_preload.so"
# After how long a peer's run is taken for hung, seconds and times the plain run's; and how often it is begun again.
# heaptrack 1.4 does hang now and then where threads fork: stress-ng.
PEER_SECONDS, PEER_TIMES, PEER_TRIES = 30, 100, 3

# Wall-clock seconds; CPU seconds of the program, its children and its tracer's client; CPU seconds of the daemon;
# whether tmctl's summary says that events were lost.
Run = collections.namedtuple("Run", "wall cpu daemon_cpu lost")
# plain, traced: lists of Run, one a round; peer: the same, or empty; recording: of the peer's recording part alone
Result = collections.namedtuple("Result", "name peer_name plain traced peer recording")


def cpu_seconds(pid):
    """Of a process that lives, to the nanosecond."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path, encoding="utf-8") as f:
                total += int(f.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # that thread has ended
    return total / 1e9


def kill_session(leader):
    """stress-ng's processes are a group of their own."""
    for path in glob.glob("/proc/[0-9]*"):
        pid = int(os.path.basename(path))
        try:
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended


class Bench:
    def __init__(self, daemon, folder, quick, deadline):
        self.daemon, self.folder, self.quick, self.deadline = daemon, folder, quick, deadline

    def is_late(self):
        return self.deadline is not None and time.monotonic() > self.deadline

    def compile(self, name, source, *options):
        path = os.path.join(self.folder, name)
        subprocess.run(["gcc", "-O2", "-pthread", "-x", "c", "-o", path, "-", *options], input=source.encode(), check=True)
        return path

    def run(self, command, environment=None, stdin=None, cwd=None, limit=None):
        """One run to its end, with the CPU time of all that it waited for. Return: None: not done after limit seconds"""
        before = cpu_seconds(self.daemon.process.pid)
        started = time.monotonic()
        with (open(stdin, "rb") if stdin else open(os.devnull, "rb")) as source, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, env=environment or os.environ, stdin=source, stdout=subprocess.DEVNULL,
                                       stderr=errors, cwd=cwd, start_new_session=limit is not None)
            hung = threading.Timer(limit or 0, kill_session, [process.pid])
            if limit is not None:
                hung.start()
            _, status, usage = os.wait4(process.pid, 0)
            hung.cancel()
            wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            errors.seek(0)
            text = errors.read().decode(errors="replace")
        if limit is not None and wall >= limit:
            print(f"{command[0]}: not done after {limit:.0f} s", file=sys.stderr)
            return None
        if process.returncode != 0:
            sys.exit(f"tests/bench/run: {command} ended with {process.returncode}: {text[-500:]}")
        return Run(wall, usage.ru_utime + usage.ru_stime, cpu_seconds(self.daemon.process.pid) - before,
                   text.count(" lost") if "tmctl" in command[0] else 0)

    def peer(self, program, plain, command, environment=None):
        """A run under a peer, which is begun again where it hangs."""
        for _ in range(PEER_TRIES):
            run = self.run(command, environment, program.stdin, program.cwd, PEER_SECONDS + PEER_TIMES * plain.wall)
            if run:
                return run
        sys.exit(f"tests/bench/run: {command} hung {PEER_TRIES} times")

    def plain(self, program):
        return self.run(program.command, stdin=program.stdin, cwd=program.cwd)

    def traced(self, program):
        """Through tmctl run, start and end of it counted; without an exit snapshot, which is no part of tracing."""
        return self.run([TMCTL, "run", "--no-exit-snapshot", "--", *program.command], self.daemon.environment,
                        program.stdin, program.cwd)

    def heaptrack(self, program, plain):
        """As a user calls it: the program, and heaptrack's interpreter and compressor beside it."""
        output = os.path.join(self.folder, "heaptrack")
        run = self.peer(program, plain, ["heaptrack", "-o", output, *program.command])
        self.remove(output)
        return run

    def heaptrack_recording(self, program, plain):
        """heaptrack's recording part alone, into a file that is still to be interpreted."""
        raw = os.path.join(self.folder, "heaptrack.raw")
        run = self.peer(program, plain, program.command, dict(os.environ, LD_PRELOAD=HEAPTRACK, DUMP_HEAPTRACK_OUTPUT=raw))
        self.remove(raw)
        return run

    @staticmethod
    def remove(prefix):
        for path in glob.glob(prefix + "*"):
            os.unlink(path)

    def measure_round(self, program, result):
        plain = self.plain(program)
        result.plain.append(plain)
        result.traced.append(self.traced(program))
        if program.peer_command:
            result.peer.append(self.peer(program, plain, program.peer_command))
        elif os.path.exists(HEAPTRACK):
            result.peer.append(self.heaptrack(program, plain))
            result.recording.append(self.heaptrack_recording(program, plain))

    def measure_all(self, programs, rounds):
        results = [Result(p.name, p.peer_name, [], [], [], []) for p in programs]
        for _ in range(rounds):
            for program, result in zip(programs, results):
                if not self.is_late():
                    self.measure_round(program, result)
        return [r for r in results if r.traced]
