#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A web server in Python under load while snapshots are taken: no request is lost, and every snapshot is whole.

usage: test_python_web_server.py [SECONDS]: of load, at least; 4 where nothing is said
"""
import http.client
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import pythons  # noqa: E402
from tm import SOURCE, TMCTL, Claims, Daemon, skip  # noqa: E402

SERVER = os.path.join(SOURCE, "tests", "support", "web_server.py")
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 4
CLIENTS = 4
EVERY_S = 1.0  # between snapshots
REQUESTS_MIN = 100  # however slow the machine is


class Client(threading.Thread):
    """Sends requests one after the other, each tenth over a new connection, until told to stop."""

    def __init__(self, port, number, stop):
        super().__init__()
        self.port, self.next, self.stop = port, number, stop
        self.answered, self.wrong = 0, []

    def ask(self, connection):
        number = self.next
        self.next += CLIENTS
        connection.request("GET", f"/number/{number}")
        answer = connection.getresponse()
        entry = json.loads(answer.read())
        if answer.status != 200 or entry["number"] != number or len(entry["text"]) != number % 2000:
            raise ValueError(f"{answer.status} {entry['number']} for {number}")
        self.answered += 1

    def run(self):
        while not self.stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            try:
                for _ in range(10):
                    self.ask(connection)
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
            finally:
                connection.close()


def is_whole(daemon, id):
    """What is wrong with a snapshot; "" where its parts add up."""
    info = daemon.json("show", id)
    traces = daemon.json_lines("traces", id)
    size, count = sum(t["total_size"] for t in traces), sum(t["count"] for t in traces)
    if (size, count) != (info["size"], info["count"]):
        return f"{id}: traces hold {size} in {count}, the table had {info['size']} in {info['count']}"
    if any(t["size"] * t["count"] != t["total_size"] for t in traces):
        return f"{id}: a trace's sizes do not add up"
    for group_by in ("lineno", "filename"):
        stats = daemon.json("stats", id, "--group-by", group_by)
        if (stats["total_size"], stats["total_count"]) != (size, count):
            return f"{id}: {group_by} adds up to {stats['total_size']} in {stats['total_count']}"
    if not info["exact"]:
        return f"{id}: events are missing"
    return ""


def main():
    found = pythons.supported()
    if not found:
        skip("no CPython 3.8 to 3.14")
    python = next(iter(found.values()))
    with Claims() as claims, Daemon() as daemon:
        run = subprocess.Popen([TMCTL, "run", "--", python, SERVER], env=daemon.environment, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        port = int(run.stdout.readline())
        (process,) = [p for p in daemon.json("ps") if p["ppid"] == run.pid]
        stop = threading.Event()
        clients = [Client(port, number, stop) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        ids, begun = [], time.monotonic()
        while time.monotonic() < begun + SECONDS or len(ids) < 3 or sum(c.answered for c in clients) < REQUESTS_MIN:
            ids.append(daemon.tmctl("snapshot", "--pid", process["pid"]).stdout.strip())
            stop.wait(EVERY_S)
        stop.set()
        for client in clients:
            client.join()
        (process,) = [p for p in daemon.json("ps") if p["ppid"] == run.pid]
        answered, wrong = sum(c.answered for c in clients), [w for c in clients for w in c.wrong]
        claims.check(f"{answered} requests, none lost", answered >= REQUESTS_MIN and not wrong, *wrong[:5])
        faults = [fault for fault in (is_whole(daemon, id) for id in ids) if fault]
        claims.check(f"{len(ids)} snapshots under load are whole", all(ids) and not faults, *faults)
        claims.check("nothing was lost on the way", process["lost"] == 0 and process["exact"], process)
        lines = {f["filename"] for t in daemon.json_lines("traces", ids[-1], "--domain", "python") for f in t["traceback"]}
        claims.check("the server's lines are there", SERVER in lines)
        run.communicate(timeout=120)
        claims.check("it ends as ever", run.returncode == 0, run.returncode)


main()
