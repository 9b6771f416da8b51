# SPDX-License-Identifier: Apache-2.0
"""What system tests written in Python share; the sister of test.sh. tests/system/README.md says how a test is written."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TRACEMALLOCD_BUILD", SOURCE / "build")).resolve()
SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="tmd."))  # of this test alone, removed at its end
AGENT = BUILD / "agent/libtracemalloc-agent.so"
os.environ["TRACEMALLOCD_RUNTIME_DIR"] = str(SCRATCH / "run")
os.environ["TRACEMALLOCD_STATE_DIR"] = str(SCRATCH / "state")
n_claims = n_failed = 0
daemon = None


def claim(text, holds, detail=""):
    """A TAP line, counted by tests/run."""
    global n_claims, n_failed
    n_claims += 1
    n_failed += not holds
    print(f"{'ok' if holds else 'not ok'} {n_claims} - {text}", flush=True)
    if not holds and detail != "":
        print(f"    {detail}", flush=True)
    return holds


def skip(reason):
    print(f"skipped: {reason}")
    shutil.rmtree(SCRATCH)
    sys.exit(77)


def wait_until(condition, seconds=60):
    """What condition() returns once that is true; None after that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    return None


def start_daemon(configuration=""):
    """A daemon of the test's own, in SCRATCH."""
    global daemon
    (SCRATCH / "run").mkdir(mode=0o700)
    (SCRATCH / "daemon.conf").write_text(configuration)
    with open(SCRATCH / "daemon.log", "w") as log:
        daemon = subprocess.Popen([BUILD / "daemon/tracemallocd", "--config", SCRATCH / "daemon.conf"], stderr=log)
    if not wait_until(lambda: (SCRATCH / "run/control.sock").exists() or daemon.poll() is not None, 20) or daemon.poll() is not None:
        raise RuntimeError("the daemon did not start")
    return daemon


def tmctl(*arguments, timeout=300):
    """Exit status, stdout, stderr."""
    done = subprocess.run([BUILD / "client/tmctl", *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def ask(*arguments):
    """The JSON that a command prints."""
    status, output, errors = tmctl(*arguments, "--json")
    if status != 0:
        raise RuntimeError(f"tmctl {arguments} ended with {status}: {errors}")
    return json.loads(output)


def ask_lines(*arguments):
    status, output, errors = tmctl(*arguments, "--json")
    if status != 0:
        raise RuntimeError(f"tmctl {arguments} ended with {status}: {errors}")
    return [json.loads(line) for line in output.splitlines()]


def run_traced(*command, options=()):
    """tmctl run; the newest exit snapshot of the command's process."""
    status, output, errors = tmctl("run", *options, "--", *command)
    if status != 0:
        raise RuntimeError(f"tmctl run {command} ended with {status}: {output[-500:]} {errors[-500:]}")
    return ask("show", "last:exit")


def main(test):
    """Runs the test and ends the process: 0 where all claims hold."""
    problem = None
    try:
        test()
    except (RuntimeError, subprocess.SubprocessError, OSError) as error:
        problem = error
        claim("the test comes to its end", False, error)
    finally:
        if daemon and daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
            try:
                claim("the daemon ends cleanly", daemon.wait(60) == 0, f"status {daemon.returncode}")
            except subprocess.TimeoutExpired:
                daemon.kill()
                claim("the daemon ends", False)
        log = SCRATCH / "daemon.log"
        if (n_failed or problem) and log.exists():
            print("---- the daemon's log:\n" + log.read_text()[-4000:])
        shutil.rmtree(SCRATCH)
    sys.exit(n_failed != 0)
