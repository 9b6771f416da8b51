#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""At least 99.9 % of the tracebacks of clang++ and redis-server end in the process's or a thread's entry."""

import os
import pathlib
import sqlite3
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from programs import programs  # noqa: E402
from testing import BUILD, SCRATCH, SOURCE, ask, claim, main, run_traced, start_daemon, wait_until  # noqa: E402

ENTRY_BYTES = 64  # _start calls within its first bytes
THREAD_ENTRIES = {"clone3", "__clone3", "clone", "__clone", "thread_start"}
# the dynamic loader's entry: constructors run below it, before _start
LOADER_ENTRIES = {"_dl_start_user", "_start", "_dl_start"}


def entry_of(path):
    with open(path, "rb") as f:
        header = f.read(32)
    return struct.unpack_from("<Q", header, 24)[0] if header[:4] == b"\x7fELF" else 0


def symbol_ranges(path, names):
    """Addresses of functions, from the symbol tables of the file or of its separate debug file."""
    ranges = []
    debug = subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout
    files = [path]
    for line in debug.splitlines():
        if "Build ID:" in line:
            id = line.split()[-1]
            files.append(f"/usr/lib/debug/.build-id/{id[:2]}/{id[2:]}.debug")
    for file in filter(os.path.exists, files):
        for line in subprocess.run(["readelf", "-sW", file], capture_output=True, text=True).stdout.splitlines():
            words = line.split()
            if len(words) >= 8 and words[7].split("@")[0] in names and words[3] in ("FUNC", "NOTYPE") and int(words[1], 16):
                size = int(words[2], 0) or ENTRY_BYTES
                ranges.append((int(words[1], 16), int(words[1], 16) + size))
    return ranges


def ranges_of(path, cache={}):
    if path not in cache:
        cache[path] = []
        if os.path.exists(path):
            entry = entry_of(path)
            cache[path] = [(entry, entry + ENTRY_BYTES)] if entry else []
            cache[path] += symbol_ranges(path, THREAD_ENTRIES | (LOADER_ENTRIES if "ld-linux" in path else set()))
    return cache[path]


def outermost_frames(id):
    """(path, offset, allocations) of the oldest frame of each traceback that allocated."""
    database = sqlite3.connect(f"file:{SCRATCH}/state/snapshots.db?mode=ro", uri=True)
    return database.execute(
        "with recursive up(leaf, id, parent, frame) as ("
        "  select traceback.id, traceback.id, parent, frame from traceback where id in"
        "    (select traceback from snapshot_group where snapshot = ?1)"
        "  union all select leaf, t.id, t.parent, t.frame from up join traceback t on t.id = up.parent where up.parent <> 0)"
        " select path.bytes, frame.offset, g.allocated_count from up"
        " join snapshot_group g on g.traceback = up.leaf and g.snapshot = ?1"
        " left join frame on frame.id = up.frame left join module on module.id = frame.module"
        " left join string path on path.id = module.path where up.parent = 0 or up.parent is null", (id,)).fetchall()


def check(name, id):
    complete = total = 0
    broken = {}
    for path, offset, _ in outermost_frames(id):
        total += 1
        path = os.fsdecode(path) if path else None
        if path and any(begin < offset <= end for begin, end in ranges_of(path)):
            complete += 1
        else:
            broken[path, offset] = broken.get((path, offset), 0) + 1
    worst = sorted(broken.items(), key=lambda item: -item[1])[:10]
    claim(f"{name}: {complete} of {total} tracebacks end in an entry", total > 100 and complete >= 0.999 * total, worst)


def trace_clang():
    snapshot = run_traced(*programs(SCRATCH, SOURCE)["clang++"], options=("--frames", "2000", "--no-children"))
    check("clang++", snapshot["id"])


def trace_redis():
    path = SCRATCH / "redis.sock"
    process = subprocess.Popen([BUILD / "client/tmctl", "run", "--frames", "2000", "--", "redis-server", "--port", "0", "--unixsocket", path,
                                "--save", "", "--dir", SCRATCH], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not wait_until(path.exists, 30):
            raise RuntimeError("redis-server did not start")
        subprocess.run(["redis-benchmark", "-s", path, "-q", "-n", "20000", "-r", "10000", "-t", "set,get,lpush,sadd,zadd,hset"],
                       stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["redis-cli", "-s", path, "shutdown", "nosave"], stdout=subprocess.DEVNULL)
    finally:
        if process.wait(60) != 0:
            raise RuntimeError("redis-server did not end well")
    check("redis-server", ask("show", "last:exit")["id"])


def test():
    start_daemon()
    trace_clang()
    trace_redis()


main(test)
