# SPDX-License-Identifier: Apache-2.0
"""agent.sock as a peer sees it that has nothing but proto/agent.proto: messages are protoc's (pb), frames are packed here.

Whoever is an agent, or pretends to be one, makes a class of its own of AgentSocket; control.sock has the same frames, and messages of
control_pb.
"""
import array
import os
import socket
import struct
import subprocess
import sys
import tempfile

from tm import SOURCE

with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["protoc", f"--proto_path={SOURCE}/proto", f"--python_out={folder}", "agent.proto", "control.proto"],
                   check=True)
    sys.path.insert(0, folder)
    import agent_pb2 as pb  # noqa: E402
    import control_pb2 as control_pb  # noqa: E402
    sys.path.remove(folder)


def path_of(daemon):
    return os.path.join(daemon.scratch, "run", "agent.sock")


class AgentSocket:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)

    def raw(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], control)
        if sent < len(data):
            self.socket.sendall(data[sent:])

    def send(self, message, fds=()):
        data = message.SerializeToString()
        self.raw(struct.pack("<I", len(data)) + data, fds)

    def read(self, n):
        data = b""
        while len(data) < n:
            piece = self.socket.recv(n - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def receive(self):
        (length,) = struct.unpack("<I", self.read(4))
        return pb.DaemonMessage.FromString(self.read(length))

    def dropped(self):
        """Whether the daemon closes the connection, whatever it says before."""
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except socket.timeout:
            return False
