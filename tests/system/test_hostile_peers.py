#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that break every rule of agent.sock and control.sock: each is dropped with a line in the log, and neither a program that is
traced meanwhile nor a user who asks notices.
"""
import fcntl
import mmap
import os
import random
import re
import resource
import select
import socket
import statistics
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from agent_socket import AgentSocket, control_pb, path_of, pb  # noqa: E402
from life import Run, accounted, compile_subject, snapshots_of  # noqa: E402
from tm import SOURCE, Claims, Daemon  # noqa: E402

PAGE = 4096
RING_MAGIC_FILE = os.path.join(SOURCE, "proto", "ring.h")
F_ADD_SEALS, SEALS = 1033, 1 | 2 | 4 | 16  # seal, shrink, grow, future write
GARBAGE = "a message that is no protobuf of ours"
TOO_MANY = "too many connections of this user (connections_per_user)"
NOBODY = 65534


def constant(name):
    with open(RING_MAGIC_FILE, encoding="utf-8") as f:
        for line in f:
            words = line.split()
            if words[:2] == ["#define", name]:
                value = line.split(None, 2)[2].split("/*")[0].strip()
                return int(value.removeprefix("UINT32_C(").removesuffix(")").removeprefix("UINT64_C("), 0)
    raise KeyError(name)


class Peer(AgentSocket):
    def hello(self, fds=(), **changes):
        fields = dict(major=1, agent="hostile", pid=os.getpid(), exe=b"/hostile", name=b"hostile",
                      transport=pb.Hello.SOCKET, traceback_limit=64, domains=1, mode=1)
        fields.update(changes)
        self.send(pb.AgentMessage(hello=pb.Hello(**fields)), fds)

    def reply(self):
        return self.receive().hello_reply


mapped = {}  # by descriptor: what is sealed can only be written to through a mapping of before


def memfd(size, seals=SEALS, content=b""):
    fd = os.memfd_create("hostile", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if size:
        mapped[fd] = mmap.mmap(fd, size)
        mapped[fd][:len(content)] = content
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def ring_memfd(seals=SEALS, log2_size=16, extra=0):
    header = struct.pack("<III", constant("RING_MAGIC"), constant("RING_VERSION"), log2_size)
    return memfd(constant("RING_HEADER_BYTES") + (1 << log2_size) + extra, seals, header)


def definitions_memfd(seals=SEALS):
    nodes, items = 64, 4096
    header = struct.pack("<IIIIQ", constant("DEFINITIONS_MAGIC"), constant("RING_VERSION"), nodes, 0, items)
    return memfd(PAGE + nodes * 16 + items, seals, header)


def refused_with(claims, path, title, word, ring, definitions):
    peer = Peer(path)
    peer.hello([ring, definitions], transport=pb.Hello.RING)
    reply = peer.reply()
    claims.check(f"{title}: refused, with a reason", reply.status == pb.HelloReply.REFUSED and word in reply.reason,
                 reply.status, reply.reason)
    claims.check(f"{title}: dropped", peer.dropped())
    os.close(ring)
    os.close(definitions)


def wrong_descriptors(claims, path):
    pipe = os.pipe()
    os.close(pipe[1])
    refused_with(claims, path, "pipe", "no regular file", pipe[0], definitions_memfd())
    refused_with(claims, path, "device", "no regular file", os.open("/dev/zero", os.O_RDWR), definitions_memfd())
    refused_with(claims, path, "file", "tmpfs", os.open(__file__, os.O_RDONLY), definitions_memfd())
    refused_with(claims, path, "directory", "no regular file", os.open("/", os.O_RDONLY), definitions_memfd())
    refused_with(claims, path, "unsealed memfd", "not sealed", ring_memfd(seals=0), definitions_memfd())
    refused_with(claims, path, "memfd that may shrink", "not sealed", ring_memfd(seals=1 | 4), definitions_memfd())
    refused_with(claims, path, "memfd whose pages may be taken away", "not sealed", ring_memfd(seals=1 | 2 | 4), definitions_memfd())
    refused_with(claims, path, "unsealed definitions", "not sealed", ring_memfd(), definitions_memfd(seals=0))
    refused_with(claims, path, "memfd of another size", "size", ring_memfd(extra=8), definitions_memfd())
    refused_with(claims, path, "empty ring", "size", memfd(0), definitions_memfd())
    refused_with(claims, path, "no magic", "magic", memfd(constant("RING_HEADER_BYTES") + (1 << 16)), definitions_memfd())


def too_many_descriptors(claims, path):
    peer = Peer(path)
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(250)]
    try:
        for _ in range(4):
            peer.raw(b"\0\0\0", fds)
    except OSError:
        pass
    claims.check("descriptors that no message counts: dropped", peer.dropped())
    for fd in fds:
        os.close(fd)


def wrong_bytes(claims, path):
    peer = Peer(path)
    peer.raw(struct.pack("<I", (1 << 20) + 1))
    claims.check("a frame of more than 1 MiB: dropped", peer.dropped())
    peer = Peer(path)
    peer.raw(struct.pack("<I", 1000) + random.Random(1).randbytes(1000))
    claims.check("garbage: dropped", peer.dropped())
    peer = Peer(path)
    peer.hello(major=2)
    claims.check("another major version: refused", peer.reply().status == pb.HelloReply.VERSION and peer.dropped())
    peer = Peer(path)
    peer.hello()
    peer.reply()
    peer.send(pb.AgentMessage(events=pb.EventBatch(sequence=0, records=bytes(8))))
    claims.check("records that are none: dropped", peer.dropped())
    peer = Peer(path)
    peer.hello()
    peer.reply()
    peer.hello()
    claims.check("a second hello: dropped", peer.dropped())


def wrong_clients(claims, control):
    """control.sock: bytes that no tmctl sends."""
    for title, data in (("a client's frame of more than 16 MiB", struct.pack("<I", (16 << 20) + 1)),
                        ("a client's garbage", struct.pack("<I", 100) + b"\xff" * 100),
                        ("a client that speaks HTTP", b"GET / HTTP/1.0\r\n\r\n")):
        client = Peer(control)
        client.raw(data)
        claims.check(f"{title}: dropped", client.dropped())


class Client(AgentSocket):
    """Of control.sock, greeted."""

    def __init__(self, path):
        super().__init__(path)
        self.send(control_pb.Hello(major=1))
        self.message(control_pb.HelloReply)

    def message(self, kind):
        (length,) = struct.unpack("<I", self.read(4))
        return kind.FromString(self.read(length))

    def ask(self, **body):
        """The last reply to a request."""
        self.send(control_pb.Request(**body))
        while (reply := self.message(control_pb.Reply)).WhichOneof("body") not in ("done", "error"):
            pass
        return reply


def more_than_a_command_line(claims, control):
    """Requests that no command line can hold, which would be memory or time of the daemon's."""
    client = Client(control)
    usage = control_pb.Error.USAGE
    label = b"x" * 4097
    everything = control_pb.ProcessSelector(names=[b"*"])
    for title, body in (("run_begin", {"run_begin": control_pb.RunBegin(label=label)}),
                        ("snapshot", {"snapshot": control_pb.SnapshotRequest(selector=everything, label=label)}),
                        ("label", {"label": control_pb.LabelRequest(snapshot="last", label=label)}),
                        ("list", {"list": control_pb.ListRequest(label=label)}),
                        ("import", {"import_": control_pb.ImportRequest(first=True, last=True, label=label)})):
        claims.check(f"a label of 4097 bytes in {title}: refused", client.ask(**body).error.code == usage)
    many = control_pb.ProcessSelector(names=[b"*"] + [b"x" * 10] * 10000)
    for title, body in (("ps", {"ps": control_pb.PsRequest(selector=many)}),
                        ("list", {"list": control_pb.ListRequest(selector=many)})):
        claims.check(f"a selector of 120 kB in {title}: refused", client.ask(**body).error.code == usage)
    claims.check("the same connection goes on", client.ask(ps=control_pb.PsRequest(selector=everything)).WhichOneof("body") == "done")
    client.socket.close()


def told_drops(log, what, reason, uid=r"\d+"):
    """How many dropped peers the log speaks of, and in how many lines: the first of a kind at once, those that follow within
    seconds as "N more"."""
    single = re.findall(rf"{what} of pid \d+, uid {uid} dropped: {re.escape(reason)}", log)
    more = re.findall(rf"(\d+) more of uid {uid} \({what}\) dropped: {re.escape(reason)}", log)
    return len(single) + sum(map(int, more)), len(single) + len(more)


def dropped_for(daemon, what, reason, n, uid=r"\d+"):
    deadline = time.monotonic() + 60
    while told_drops(daemon.log_text(), what, reason, uid)[0] < n and time.monotonic() < deadline:
        time.sleep(0.2)
    return told_drops(daemon.log_text(), what, reason, uid)[0] >= n


def flood(claims, path, daemon):
    """One user, dropped a thousand times for the same reason: counted whole, in a few lines."""
    before = told_drops(daemon.log_text(), "agent", GARBAGE)[0]
    start = time.monotonic()
    for _ in range(1000):
        peer = Peer(path)
        peer.raw(struct.pack("<I", 4) + b"\xff" * 4)
        peer.dropped()
    claims.check("a thousand that send garbage: each is counted", dropped_for(daemon, "agent", GARBAGE, before + 1000))
    n, lines = told_drops(daemon.log_text(), "agent", GARBAGE)
    claims.check("and no more than that", n == before + 1000, n)
    claims.check("in a line every few seconds", lines <= 8 + (time.monotonic() - start) / 2, lines)


class NeverGreet:
    """Peers that say no hello within its time. It passes while others do their worst."""

    def __init__(self, path, control):
        self.half_client, self.silent_client = Peer(control), Peer(control)
        self.half_client.raw(b"\x08\0")
        self.half, self.slow, self.silent = Peer(path), Peer(path), Peer(path)
        self.half.raw(struct.pack("<I", 100) + b"x" * 50)
        self.feeder = os.fork()
        if self.feeder == 0:
            self.feed()
            os._exit(0)

    def feed(self):
        """A byte at a time, until nobody takes it, or for a minute."""
        data = struct.pack("<I", 4096) + b"x" * 1200
        for i in range(len(data)):
            try:
                self.slow.raw(data[i:i + 1])
            except OSError:
                return
            time.sleep(0.05)

    def check(self, claims, daemon):
        claims.check("a hello of one byte at a time: dropped", self.slow.dropped())
        os.waitpid(self.feeder, 0)
        claims.check("half a frame: dropped", self.half.dropped())
        claims.check("silence: dropped", self.silent.dropped())
        claims.check("a client's half a hello: dropped", self.half_client.dropped())
        claims.check("a client's silence: dropped", self.silent_client.dropped())
        claims.check("the log says why, and of each", dropped_for(daemon, "agent", "no hello in time", 3, os.getuid())
                     and dropped_for(daemon, "client", "no hello in time", 2, os.getuid()), daemon.log_text()[-3000:])


def million_definitions(claims, path, daemon):
    peer = Peer(path)
    peer.hello()
    peer.reply()
    n = 4096
    try:
        for first in range(1, 1000001, n):
            nodes = b"".join(struct.pack("<IIQ", node - 1, 0, node) for node in range(first, first + n))
            peer.send(pb.AgentMessage(definitions=pb.Definitions(first_node=first, nodes=nodes)))
    except OSError:
        pass
    claims.check("a million definitions, more than a table may take: dropped", peer.dropped())
    claims.check("and the log says so", "bad definitions" in daemon.log_text())


def other_pid(claims, path, daemon):
    peer = Peer(path)
    peer.hello(pid=1, name=b"liar")
    peer.reply()
    rows = [p for p in daemon.json("ps") if p["name"] == "liar"]
    claims.check("a hello of another pid: the kernel's word counts", rows and rows[0]["pid"] == os.getpid(), rows)
    peer.socket.close()


def ring_that_lies(claims, path, daemon):
    """A ring whose head jumps and whose words are random, while it is read."""
    ring, definitions = ring_memfd(), definitions_memfd()
    peer = Peer(path)
    peer.hello([ring, definitions], transport=pb.Hello.RING, name=b"ring-liar")
    claims.check("a ring that lies: it is taken at first", peer.reply().status == pb.HelloReply.OK)
    generator = random.Random(2)
    for _ in range(200):
        at = constant("RING_HEADER_BYTES") + 512 * generator.randrange(128)
        mapped[ring][at:at + 512] = generator.randbytes(512)
    # everything behind the magic and the size: head, waiters, counters
    mapped[ring][64:PAGE] = b"\xff" * (PAGE - 64)
    deadline = time.monotonic() + 60
    while "reading ended" not in daemon.log_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    claims.check("then it is no longer read, and the log says why", "reading ended" in daemon.log_text())
    os.close(ring)
    os.close(definitions)


def pages(fd):
    return os.fstat(fd).st_blocks * 512 // PAGE


def become_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def asks_with(path, secret):
    peer = Peer(path)
    peer.hello(kind=pb.Hello.MODULES, secret=secret)
    return peer.reply().status


def secrets(claims, path):
    """Who knows an image's secret is believed if the kernel says that it is the same user, or the very process."""
    if os.getuid() != 0:
        return
    owner = Peer(path)
    owner.hello(name=b"owner")
    secret = owner.reply().secret
    pid = os.fork()
    if pid == 0:
        become_nobody()
        os._exit(10 + asks_with(path, secret))
    claims.check("another user's secret is of no use", os.waitpid(pid, 0)[1] >> 8 == 10 + pb.HelloReply.REFUSED)
    pid = os.fork()
    if pid == 0:
        own = Peer(path)
        own.hello(name=b"changes")
        secret = own.reply().secret
        become_nobody()
        os._exit(10 + asks_with(path, secret))
    claims.check("a process that became another user is still known", os.waitpid(pid, 0)[1] >> 8 == 10 + pb.HelloReply.OK)
    owner.socket.close()


def sparse(claims, path, daemon):
    """A ring of 256 MiB, of which the first page was written: each page that the daemon read would become its memory, not the peer's."""
    ring, definitions = ring_memfd(log2_size=28), definitions_memfd()
    before = pages(ring)
    pid = os.fork()
    if pid == 0:
        peer = Peer(path)
        peer.hello([ring, definitions], transport=pb.Hello.RING, name=b"sparse")
        peer.reply()
        mapped[ring][64:72] = struct.pack("<Q", 1 << 28)  # all of the ring is said to be written
        os._exit(0)  # nobody will: it is read to its end at once
    os.waitpid(pid, 0)
    text = f"process {pid} (sparse), image 1 ended"
    deadline = time.monotonic() + 60
    while text not in daemon.log_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    claims.check("a ring of holes is read to its end", text in daemon.log_text(), daemon.log_text()[-2000:])
    claims.check("and none of them has become memory", pages(ring) == before, before, pages(ring))
    os.close(ring)
    os.close(definitions)


def flood_with_connections(path, told):
    """As nobody: 10,000 connections, and on until the pipe is closed. Return: exit status."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if os.getuid() == 0:
        become_nobody()
    open_ones = []
    n = 0
    while n < 10000 or not select.select([told], [], [], 0)[0]:
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        n += 1
        open_ones.append(s)
        if len(open_ones) > 400:
            open_ones.pop(0).close()
    # of those that are still open, some are too many, when the daemon comes to them
    return 0 if select.select(open_ones, [], [], 120)[0] else 2


def many_connections(claims, path, daemon, whose):
    """From a user of its own: 10,000 connections, of which that user may have 256."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(tell)
            status = flood_with_connections(path, told)
        finally:
            os._exit(status)
    os.close(told)
    latencies = [ask(daemon) for _ in range(3)]  # it cannot have ended
    os.close(tell)
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        latencies.append(ask(daemon))
    claims.check(f"10,000 connections of {whose} can be tried", ended[1] == 0, ended)
    claims.check(f"10,000 connections of another user's {whose}: tmctl is answered meanwhile", None not in latencies)
    if None not in latencies:
        print(f"# {len(latencies)} times, median {statistics.median(latencies) * 1000:.0f} ms,"
              f" longest {max(latencies) * 1000:.0f} ms")
    logged = dropped_for(daemon, whose[:-1], TOO_MANY, 1)
    n, lines = told_drops(daemon.log_text(), whose[:-1], TOO_MANY)
    claims.check(f"and the log says that too many {whose} were refused, in few lines", logged and lines < 100, n, lines)


def ask(daemon):
    start = time.monotonic()
    return time.monotonic() - start if daemon.tmctl("ps").returncode == 0 else None


with Claims() as claims:
    daemon = Daemon()
    config = os.path.join(daemon.scratch, "conf")
    with open(config, "w", encoding="ascii") as f:
        f.write("[limits]\nconnections_per_user = 256\ntable_memory_per_process = 8M\n")
    daemon.options = ["--config", config]
    with daemon:
        path = path_of(daemon)
        os.chmod(os.path.dirname(daemon.scratch), 0o755)
        os.chmod(daemon.scratch, 0o755)
        os.chmod(os.path.dirname(path), 0o755)
        os.chmod(path, 0o666)
        control = os.path.join(daemon.scratch, "run", "control.sock")
        os.chmod(control, 0o666)
        victim = Run([compile_subject(daemon.scratch), "trickle"], os.path.join(daemon.scratch, "ledgers"),
                     daemon.environment)
        victim.start(daemon)
        quiet = [ask(daemon) for _ in range(5)]
        print(f"# tmctl ps without attackers: median {statistics.median(quiet) * 1000:.0f} ms")
        never_greet = NeverGreet(path, control)
        wrong_descriptors(claims, path)
        too_many_descriptors(claims, path)
        wrong_bytes(claims, path)
        million_definitions(claims, path, daemon)
        other_pid(claims, path, daemon)
        secrets(claims, path)
        ring_that_lies(claims, path, daemon)
        sparse(claims, path, daemon)
        wrong_clients(claims, control)
        more_than_a_command_line(claims, control)
        flood(claims, path, daemon)
        many_connections(claims, path, daemon, "agents")
        many_connections(claims, control, daemon, "clients")
        never_greet.check(claims, daemon)
        status = victim.end()
        claims.check("the program that was traced meanwhile ends as untraced", status == (0, b"told\n"), status)
        ledger = victim.ledgers()[0]
        snapshot = snapshots_of(daemon, [ledger])[(ledger.pid, ledger.image)]
        size, count, exact = accounted(daemon, snapshot["id"])
        claims.check("and its account is exact", exact and ledger.agrees(size, count), ledger, size, count, exact)
        claims.check("the daemon is alive", daemon.process.poll() is None)
