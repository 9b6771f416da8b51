#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""At least 99.9 % of the tracebacks of clang++ and redis-server end in the process's or a thread's entry."""
import os
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import workloads  # noqa: E402
from store_file import StoreFile  # noqa: E402
from tm import TMCTL, Claims, Daemon  # noqa: E402

WANTED = 0.999
ENTRY_BYTES = 96  # glibc's _start, the loader's _start with _dl_start_user behind it, and clone3 are shorter


def entry_point(path):
    with open(path, "rb") as f:
        return struct.unpack("<Q", f.read(32)[24:])[0]


def thread_entries():
    """Where threads begin in this libc: clone and clone3, as nm -D gives them; clone3 is a local symbol in glibc, so
    the address after its system call is looked for by gdb-less means: the symbols of libc6-dbg."""
    libc = "/lib/x86_64-linux-gnu/libc.so.6"
    build_id = subprocess.run(["readelf", "-n", libc], capture_output=True, text=True, check=True).stdout
    build_id = build_id.split("Build ID: ")[1].split()[0]
    debug = f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
    ranges = []
    for file in (libc, debug):
        if not os.path.exists(file):
            continue
        text = subprocess.run(["nm", "-S"] + (["-D"] if file == libc else []) + [file], capture_output=True,
                              text=True).stdout
        for line in text.splitlines():
            parts = line.split()
            if len(parts) == 4 and parts[3].split("@")[0] in ("clone", "__clone", "clone3", "__clone3"):
                ranges.append((int(parts[0], 16), int(parts[0], 16) + int(parts[1], 16)))
    return ranges


def complete(oldest, exe, threads):
    if oldest is None or oldest[0] is None:
        return False
    path, offset = oldest
    # constructors of libraries run below the loader's own entry
    if os.path.realpath(path) == os.path.realpath(exe) or "ld-linux" in path:
        entry = entry_point(path)
        return entry <= offset - 1 < entry + ENTRY_BYTES
    return "libc.so" in path and any(low <= offset - 1 < high for low, high in threads)


def check(claims, daemon, name, snapshot, threads):
    exe = daemon.json("show", snapshot["id"]).get("exe") or None
    exe = exe or StoreFile(daemon).db.execute("select exe from snapshot where id = ?", (snapshot["id"],)).fetchone()[0]
    tracebacks = StoreFile(daemon).oldest_frames(snapshot["id"])
    bad = [oldest for oldest in tracebacks.values() if not complete(oldest, exe, threads)]
    share = 1 - len(bad) / len(tracebacks)
    claims.check(f"{name}: {share:.3%} of {len(tracebacks)} tracebacks are complete", share >= WANTED,
                 *(f"{path}+{offset:#x}" if path else "nothing" for path, offset in map(lambda b: b or (None, 0), bad[:10])))


def redis(daemon, folder):
    socket = os.path.join(folder, "redis.sock")
    command = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    server = subprocess.Popen([TMCTL, "run", "--frames", "1000", "--", *command], env=daemon.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while subprocess.run(["redis-cli", "-s", socket, "ping"], capture_output=True).stdout != b"PONG\n":
        if time.monotonic() > deadline:
            raise RuntimeError("redis-server does not answer")
        time.sleep(0.05)
    subprocess.run(["redis-benchmark", "-s", socket, "-n", "20000", "-q", "-r", "5000"], stdout=subprocess.DEVNULL,
                   check=True)
    subprocess.run(["redis-cli", "-s", socket, "shutdown", "nosave"], capture_output=True)
    server.wait(120)
    return [s for s in daemon.json("list") if s["kind"] == "exit"][-1]


def main():
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        threads = thread_entries()
        compiler = workloads.clang(folder)
        _, exits, _ = daemon.run(compiler.command, "--no-children", "--frames", "1000", **compiler.popen_options())
        check(claims, daemon, "clang++", exits[0], threads)
        check(claims, daemon, "redis-server", redis(daemon, folder), threads)


main()
