#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Daemon and client under valgrind's memcheck, from the first record to the end of the daemon: nothing read that was not written,
nothing out of bounds, nothing lost. Sanitizers do not see what is read uninitialised."""
import os
import socket
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tm import BUILD, SOURCE, TMCTL, Claims, Daemon  # noqa: E402

MEMCHECK = os.path.join(SOURCE, "tests", "support", "memcheck")
PRELOADED = os.path.join(BUILD, "tests", "support", "ask_for_pidfd.so")
PROGRAM = b"""
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *volatile kept[1000];
static void keep(size_t size) {
        for (int i = 0; i < 1000; i++)
                kept[i] = i % 2 ? malloc(size) : realloc(kept[i], size);
}
int main(void) {
        keep(100);
        if (fork() == 0) {
                keep(200);
                execlp("true", "true", NULL);
        }
        wait(NULL);
        return 0;
}
"""


def serve_pidfds(path):
    """What tests/support/ask_for_pidfd.c asks."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()

    def serve():
        while True:
            with listener.accept()[0] as peer:
                try:
                    fd = os.pidfd_open(int.from_bytes(peer.recv(4), sys.byteorder))
                except ProcessLookupError:
                    continue
                socket.send_fds(peer, [b"x"], [fd])
                os.close(fd)

    threading.Thread(target=serve, daemon=True).start()


def prepare(daemon):
    """Return: the log of what memcheck finds in the daemon."""
    log = os.path.join(daemon.scratch, "memcheck.log")
    server = os.path.join(daemon.scratch, "pidfds")
    serve_pidfds(server)
    daemon.under = ["env", "LD_PRELOAD=" + PRELOADED, "PIDFD_SERVER=" + server, MEMCHECK, "--log-file=" + log]
    return log


def build(daemon):
    program = os.path.join(daemon.scratch, "program")
    subprocess.run(["gcc", "-g", "-x", "c", "-o", program, "-"], input=PROGRAM, check=True)
    return program


def check_clients(claims, daemon, *commands):
    for command in commands:
        result = subprocess.run([MEMCHECK, TMCTL, *map(str, command)], env=daemon.environment, capture_output=True, text=True)
        claims.check(f"memcheck finds nothing in tmctl {command[0]}", result.returncode == 0, result.returncode, result.stdout,
                     result.stderr)


def trace(claims, daemon):
    program = build(daemon)
    result = daemon.tmctl("run", program)
    claims.check("a program is traced, with a child and an exec", result.returncode == 0, result.stderr)
    result = daemon.tmctl("run", sys.executable, "-c", "kept = [str(i) for i in range(1000)]")
    claims.check("a Python program is traced", result.returncode == 0, result.stderr)
    snapshots = [s for s in daemon.json("list") if s["name"] == "program" and s["kind"] == "exit"]
    claims.check("the tables are theirs", sorted((s["size"], s["count"]) for s in snapshots) == [(100000, 1000), (250000, 1500)],
                 snapshots)
    first, second = [s["id"] for s in snapshots][:2]
    exported = os.path.join(daemon.scratch, "exported")
    check_clients(claims, daemon, ("list",), ("stats", first), ("compare", first, second), ("traces", first),
                  ("export", "-o", exported, first), ("import", exported))
    claims.check("what is deleted is gone", daemon.tmctl("delete", second).returncode == 0 and
                 second not in [s["id"] for s in daemon.json("list")])


def main():
    with Claims() as claims:
        daemon = Daemon()
        log = prepare(daemon)
        with daemon:
            trace(claims, daemon)
            daemon.stop()
            claims.check("the daemon ends in order", daemon.process.returncode == 0, daemon.process.returncode, daemon.log_text())
            with open(log, encoding="utf-8") as f:
                found = f.read()
            claims.check("memcheck finds nothing in the daemon", found == "", found)


main()
