#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent in another language, written from proto/agent.proto alone, streams events over agent.sock.

It shares no code with ours: messages come from protoc, records are packed here as the .proto's prose says.
"""

import dis
import os
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from agent_socket import AgentSocket, path_of, pb  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

ALLOC, FREE, MOVE_OUT, MOVE_IN, MOVE_BACK, LOST, MODULE_LOAD, _, DOMAIN = range(1, 10)
OTHER_DOMAIN = 3  # the first index that DOMAIN records may name
LENGTH_MAX = 1 << 20


class Agent(AgentSocket):
    """One connection. Records are collected and sent in batches; Acks are read."""

    def __init__(self, daemon):
        super().__init__(path_of(daemon))
        self.records = b""
        self.sent = self.acknowledged = 0
        self.n_nodes = 1
        self.items_used = 0

    def hello(self, **changes):
        fields = dict(major=1, minor=0, agent="third-party 1", kind=pb.Hello.START, pid=os.getpid(), exe=b"/opt/language",
                      name=b"third-party", transport=pb.Hello.SOCKET, traceback_limit=64, domains=15, mode=1,
                      layers=["third-party"])
        fields.update(changes)
        self.send(pb.AgentMessage(hello=pb.Hello(**fields)))
        reply = self.receive().hello_reply
        self.window = reply.window
        return reply

    def define(self, nodes=(), items=()):
        """nodes: (parent, unit, value); items: Item. Returns the offsets of the items."""
        packed = b""
        offsets = []
        for item in items:
            data = item.SerializeToString()
            offsets.append(self.items_used + len(packed))
            packed += struct.pack("<I", len(data)) + data
            packed += bytes(-len(packed) % 8)
        self.send(pb.AgentMessage(definitions=pb.Definitions(
            first_node=self.n_nodes, nodes=b"".join(struct.pack("<IIQ", *node) for node in nodes),
            first_item=self.items_used, items=packed)))
        self.n_nodes += len(nodes)
        self.items_used += len(packed)
        return offsets

    def record(self, type, argument=0, *words, domain=0):
        """Returns the record's position."""
        position = self.sent + len(self.records)
        self.records += struct.pack("<Q", 1 << 63 | type << 58 | domain << 42 | argument)
        self.records += struct.pack(f"<{len(words)}Q", *words)
        if len(self.records) >= 65536:
            self.flush()
        return position

    def flush(self):
        while self.sent + len(self.records) - self.acknowledged > self.window:
            self.wait_for_ack()
        self.send(pb.AgentMessage(events=pb.EventBatch(sequence=self.sent, records=self.records)))
        self.sent += len(self.records)
        self.records = b""

    def wait_for_ack(self):
        self.acknowledged = max(self.acknowledged, self.receive().ack.sequence)

    def settle(self):
        if self.records:
            self.flush()
        while self.acknowledged < self.sent:
            self.wait_for_ack()


def streams_events(claims, daemon):
    agent = Agent(daemon)
    reply = agent.hello()
    claims.check("the daemon welcomes it", reply.status == pb.HelloReply.OK, reply.reason)
    claims.check("it gives a window", reply.window > 0)
    module, domain = agent.define(
        nodes=[(0, 1, 0x1000), (1, 1, 0x2000), (1, 1, 0x3000)],
        items=[pb.Item(module=pb.ModuleDef(generation=1, path=b"/opt/language/lib.so", build_id=b"\1" * 20)),
               pb.Item(domain=pb.DomainDef(index=OTHER_DOMAIN, number=777, name=b"arena"))])
    agent.record(MODULE_LOAD, 1, module)
    agent.record(DOMAIN, 0, domain)
    for i in range(1000):
        agent.record(ALLOC, 2, 0x10000 + 64 * i, 48)
    for i in range(400):
        agent.record(FREE, 0, 0x10000 + 64 * i)
    agent.record(ALLOC, 3, 0x900000, 5000)
    position = agent.record(MOVE_OUT, 0, 0x900000)
    agent.record(MOVE_IN, 2, 0xa00000, 7000, position)
    position = agent.record(MOVE_OUT, 0, 0xa00000)
    agent.record(MOVE_BACK, 0, position)
    # the same address in a domain of its own is another block
    agent.record(ALLOC, 3, 0xa00000, 100, domain=OTHER_DOMAIN)
    agent.settle()
    claims.check("everything is acknowledged", agent.acknowledged == agent.sent)
    return agent


def is_accounted(claims, daemon, agent):
    (process,) = [p for p in daemon.json("ps") if p["pid"] == os.getpid()]
    claims.check("ps shows what is alive", (process["live_size"], process["live_count"]) == (600 * 48 + 7000 + 100, 602), process)
    claims.check("and the exact peak", process["peak_size"] == max(1000 * 48, 600 * 48 + 7000 + 100), process)
    claims.check("nothing is lost", process["lost"] == 0 and process["exact"])
    claims.check("its name and layers are its own", (process["name"], process["layers"]) == ("third-party", ["third-party"]))
    id = daemon.tmctl("snapshot", "--pid", os.getpid()).stdout.strip()
    traces = sorted((t["domain"], t["domain_name"], t["size"], t["count"]) for t in daemon.json_lines("traces", id))
    claims.check("a snapshot holds the traces", traces == [
        (777, "arena", 100, 1), (4294967294, "malloc", 48, 600), (4294967294, "malloc", 7000, 1)], traces)
    rows = daemon.json("stats", id, "--group-by", "traceback")["statistics"]
    claims.check("tracebacks have their frames, oldest first",
          [f["filename"] for f in rows[0]["traceback"]] == ["/opt/language/lib.so"] * 2, rows)
    for i in range(400, 1000):
        agent.record(FREE, 0, 0x10000 + 64 * i)
    agent.settle()
    new = daemon.tmctl("snapshot", "--pid", os.getpid()).stdout.strip()
    compared = daemon.json("compare", id, new)
    claims.check("two snapshots compare", (compared["total_size_diff"], compared["total_count_diff"]) == (-600 * 48, -600), compared)


def many_events(claims, daemon, agent):
    """More than a window: the agent waits for Acks and nothing is lost."""
    for i in range(200000):
        agent.record(ALLOC, 2, 0x20000000 + 32 * i, 16)
    for i in range(200000):
        agent.record(FREE, 0, 0x20000000 + 32 * i)
    agent.settle()
    (process,) = [p for p in daemon.json("ps") if p["pid"] == os.getpid()]
    claims.check("400,000 events later the account is the same", (process["live_size"], process["lost"]) == (7100, 0), process)
    agent.record(LOST, 0, 5)
    agent.settle()
    (process,) = [p for p in daemon.json("ps") if p["pid"] == os.getpid()]
    claims.check("losses that it reports are shown, and that it is inexact", (process["lost"], process["exact"]) == (5, False))


def sample(things):
    total = 0
    for thing in things:
        total += [len(part)
                  for part in thing.split(",")][0]
    return total


def table_format():
    return 309 if sys.version_info < (3, 10) else 310 if sys.version_info < (3, 11) else 311


def lines_of(code):
    """{offset of an instruction: its line}"""
    lines, line = {}, 0
    starts = dict(dis.findlinestarts(code))
    for instruction in dis.get_instructions(code):
        line = starts.get(instruction.offset, line)
        lines[instruction.offset] = line
    return lines


def describes_code(claims, daemon, agent):
    """Frames of code objects: here of a function of this file, in the line table of the Python that runs this."""
    code = sample.__code__
    lines = lines_of(code)
    first = agent.n_nodes
    name = "caf\udce9.py".encode("utf-8", "surrogatepass")
    agent.define(
        nodes=[(0, 1 << 31 | 7, offset + 1) for offset in lines] + [(0, 1 << 31 | 7, 0), (0, 1 << 31 | 8, 1)],
        items=[pb.Item(code=pb.CodeDef(code=7, filename=name, qualname=b"Class.sample", first_line=code.co_firstlineno,
                                       table_format=table_format(),
                                       table=code.co_linetable if table_format() > 309 else code.co_lnotab))])
    wanted = {}
    for i, line in enumerate(list(lines.values()) + [code.co_firstlineno]):
        agent.record(ALLOC, first + i, 0x50000000 + 1024 * i, i + 1, domain=1)
        size, count = wanted.get(line, (0, 0))
        wanted[line] = size + i + 1, count + 1
    agent.record(ALLOC, agent.n_nodes - 1, 0x60000000, 99999, domain=1)
    agent.settle()
    stats = daemon.json("stats", f"@{os.getpid()}", "--domain", "python")["statistics"]
    got = {s["traceback"][0]["lineno"]: (s["size"], s["count"]) for s in stats
           if s["traceback"][0]["filename"] == "caf\udce9.py"}
    claims.check("frames of a code object have the lines of its table", got == wanted, got, wanted)
    claims.check("a code object that was not described is <unknown>:0", any(
        s["traceback"][0] == {"filename": "<unknown>", "lineno": 0, "function": None, "module": None}
        and s["size"] == 99999 for s in stats), stats)
    (row,) = daemon.json("stats", f"@{os.getpid()}", "--group-by", "function", "--include", "caf*")["statistics"]
    claims.check("its name is the function", row["traceback"][0] == {
        "filename": "caf\udce9.py", "lineno": 0, "function": "Class.sample", "module": None}, row)


def ends(claims, daemon):
    """A child streams and dies of SIGKILL; what it sent is kept."""
    child = os.fork()
    if child == 0:
        agent = Agent(daemon)
        agent.hello(pid=os.getpid(), name=b"short-lived")
        agent.define(nodes=[(0, 0, 0x1234)])
        agent.record(ALLOC, 1, 0x5000, 12345)
        agent.settle()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    def still_there():
        return any(p["pid"] == child and p["state"] != "ended" for p in daemon.json("ps"))

    deadline = time.monotonic() + 60
    while still_there() and time.monotonic() < deadline:
        time.sleep(0.05)
    claims.check("a dead process leaves ps", not still_there())


def refusals(claims, daemon):
    agent = Agent(daemon)
    reply = agent.hello(major=99)
    claims.check("another major version is refused with a reason", reply.status == pb.HelloReply.VERSION and reply.reason, reply)
    claims.check("and the daemon hangs up", agent.dropped())
    agent = Agent(daemon)
    agent.send(pb.AgentMessage(events=pb.EventBatch(sequence=0, records=b"")))
    claims.check("events before a Hello: dropped", agent.dropped())
    agent = Agent(daemon)
    agent.raw(struct.pack("<I", LENGTH_MAX + 1))
    claims.check("a message that is too long: dropped", agent.dropped())
    agent = Agent(daemon)
    agent.raw(struct.pack("<I", 5) + b"\xff" * 5)
    claims.check("bytes that are no message: dropped", agent.dropped())
    for what, arguments in (("a node that was never defined", (ALLOC, 99, 0x1000, 1)), ("an unknown type", (31, 0))):
        child = os.fork()
        if child == 0:
            agent = Agent(daemon)
            agent.hello()
            agent.record(*arguments)
            agent.flush()
            os._exit(0 if agent.dropped() else 1)
        claims.check(f"a record with {what}: dropped", os.waitpid(child, 0)[1] == 0)
    claims.check("others are unaffected", any(p["pid"] == os.getpid() for p in daemon.json("ps")))


def main():
    with Claims() as claims, Daemon() as daemon:
        agent = streams_events(claims, daemon)
        is_accounted(claims, daemon, agent)
        many_events(claims, daemon, agent)
        describes_code(claims, daemon, agent)
        ends(claims, daemon)
        refusals(claims, daemon)


main()
