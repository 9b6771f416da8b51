#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""'My Python service grows': a WSGI application in a pre-fork server of the standard library, with eight workers and a
cache that nothing leaves. Three commands, and the planted line is the first row; the workers are compared as one.
"""
import http.client
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "support"))
from tm import TMCTL, Claims, Daemon  # noqa: E402

WORKERS = 8
REQUESTS = 400
SERVER = '''
import json
import os
import signal
import socket
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

CACHE = {}


def keep(key, page):
    CACHE[key] = bytearray(page) + bytes(4000)  # planted


def application(environ, start_response):
    rows = [{"n": n, "text": "x" * n} for n in range(200)]  # much is allocated here, and freed
    page = json.dumps(rows).encode()
    keep(environ["PATH_INFO"], page[:100])
    start_response("200 OK", [("Content-Length", str(len(page)))])
    return [page]


class Handler(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def worker(listener):
    server = WSGIServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = "localhost", listener.getsockname()[1]
    server.setup_environ()
    server.set_app(application)
    server.serve_forever()


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
pids = []
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        worker(listener)
    pids.append(pid)


def end(*_):
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        os.waitpid(pid, 0)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
print(listener.getsockname()[1], flush=True)
while True:
    signal.pause()
'''


def wait_until(condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain: {what}")
        time.sleep(0.05)


def ask(port, first):
    for n in range(first, first + REQUESTS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/page/{n}")
        connection.getresponse().read()
        connection.close()


def story(claims, daemon, python):
    path = os.path.join(daemon.scratch, "server.py")
    with open(path, "w", encoding="utf-8") as f:
        f.write(SERVER)
    planted = next(n for n, line in enumerate(SERVER.splitlines(), 1) if "# planted" in line)
    run = subprocess.Popen([TMCTL, "run", "--", python, path, str(WORKERS)], env=daemon.environment,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    port = int(run.stdout.readline())
    name = os.path.basename(python) + "*"

    def processes():
        result = daemon.tmctl("ps", "--name", name)
        return len(result.stdout.splitlines()) - 1 if result.returncode == 0 else 0

    wait_until(lambda: processes() == WORKERS + 1, "all workers are traced")
    ask(port, 0)
    first = daemon.tmctl("snapshot", "--name", name).stdout.strip()
    ask(port, REQUESTS)
    second = daemon.tmctl("snapshot", "--name", name).stdout.strip()
    claims.check("a snapshot of all processes is a set", first[:1] + second[:1] == "ss", first, second)
    members = [s for s in daemon.json("list") if f"s{s['set']}" == second]
    claims.check("of the server and all its workers", len({s["pid"] for s in members}) == WORKERS + 1, members)
    moments = [float(s["taken_at"][17:-1]) for s in members]
    claims.check("of one moment", (max(moments) - min(moments)) % 60 <= 0.001, moments)

    answer = daemon.json("compare", first, second)
    row = answer["statistics"][0]
    frame = row["traceback"][0]
    claims.check("the planted line is the first row", (frame["filename"], frame["lineno"]) == (path, planted), row)
    claims.check("it grew by what all workers together cached",
                 REQUESTS <= row["count_diff"] <= 3 * REQUESTS and row["size_diff"] >= 4000 * REQUESTS, row)
    text = daemon.tmctl("compare", first, second).stdout
    lines = text.splitlines()
    claims.check("people read it as that", lines[3].startswith(f"{path}:{planted}: size=")
                 and lines[4].strip().startswith("CACHE[key] = bytearray"), text)
    claims.check("the heading says what was compared", lines[0].startswith(f"Old: {first}, the sum of {WORKERS + 1} snapshots")
                 and lines[1].startswith(f"New: {second}, "), text)
    listed = ",".join(str(s["id"]) for s in members)
    claims.check("a list is the same as the set", daemon.json("compare", first, listed)["total_size_diff"]
                 == answer["total_size_diff"], listed)
    by_function = daemon.json("compare", first, second, "--group-by", "function", "--limit", "1")["statistics"][0]
    claims.check("by function it is keep", by_function["traceback"][0]["function"] == "keep", by_function)
    alive = daemon.json("ps")
    server = next(p["pid"] for p in alive if p["ppid"] == run.pid)
    workers = [p for p in alive if p["ppid"] == server]
    claims.check("ps knows whose children the workers are", len(workers) == WORKERS, alive)
    os.kill(server, signal.SIGTERM)
    run.communicate()


def python_of_debian():
    return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


with Claims() as claims, Daemon() as daemon:
    story(claims, daemon, python_of_debian())
