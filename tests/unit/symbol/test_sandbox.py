# SPDX-License-Identifier: Apache-2.0
"""The symbol helper gives up what it does not need, and ends with the daemon whatever it is doing.

Usage: test_sandbox.py RESOLVE_FILE HELPER [unittest arguments]
"""

import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import addresses as A

TOOLS = None


def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def open_request(module, path):
    """A Resolve of proto/symbol.proto: module, open, path, offsets [1]."""
    path = path.encode()
    body = b"\x08" + varint(module) + b"\x10\x01" + b"\x1a" + varint(len(path)) + path + b"\x32\x01\x01"
    return struct.pack("<I", len(body)) + body


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(30)
        self.process = subprocess.Popen([TOOLS.helper], stdin=theirs, env={}, stderr=subprocess.PIPE)
        theirs.close()

    def tearDown(self):
        self.ours.close()
        self.assertEqual(self.process.wait(30), 0)
        self.process.stderr.close()

    def greet(self):
        """It answers only when it is through its start."""
        self.ours.sendall(struct.pack("<I", 0))
        self.assertEqual(self.ours.recv(100), struct.pack("<I", 2) + b"\x20\x01")

    def status(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return dict(re.findall(r"^(\w+):[ \t]*(.*)$", f.read(), re.M))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_becomes_nobody(self):
        self.greet()
        status = self.status()
        self.assertEqual(status["Uid"].split(), ["65534"] * 4)
        self.assertEqual(status["Gid"].split(), ["65534"] * 4)
        self.assertEqual(status["Groups"].split(), [])
        self.assertEqual([int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")], [0, 0, 0])

    def test_nothing_can_be_gained_and_no_core_is_left(self):
        self.greet()
        self.assertEqual(self.status()["NoNewPrivs"], "1")
        with open("/proc/%d/limits" % self.process.pid) as f:
            self.assertRegex(f.read(), r"Max core file size +0 +0 ")
        self.assertEqual(os.stat("/proc/%d/fd" % self.process.pid).st_uid, 0)  # proc(5): root's where not dumpable

    def test_it_ends_with_the_connection(self):
        self.greet()
        self.ours.close()
        self.assertEqual(self.process.wait(30), 0)

    def test_it_ends_with_the_connection_while_a_file_holds_it(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            path = os.path.join(folder, "sample")
            debug = path + ".debug"
            with open(path + ".c", "w") as f:
                f.write("int main(void) { return 0; }\n")
            A.run(["gcc", "-g", "-Wl,--build-id=none", path + ".c", "-o", path])
            A.run(["objcopy", "--only-keep-debug", path, debug])
            A.run(["objcopy", "-g", "--add-gnu-debuglink=" + debug, path])
            os.unlink(debug)
            os.mkfifo(debug)  # elfutils waits for somebody to open it for writing
            os.chmod(debug, 0o644)
            self.greet()
            self.ours.sendall(open_request(1, path))
            self.wait_until_it_waits()
            self.ours.close()
            self.assertEqual(self.process.wait(30), 0)
            frames, has_lines, problem = A.ours(TOOLS, path, [1], timeout_ms=200)
            self.assertEqual(problem, "reading its debug information takes too long")

    def wait_until_it_waits(self):
        """Until open(2) of the FIFO holds it; where /proc does not show that to us, for as long as it would take."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with open("/proc/%d/wchan" % self.process.pid) as f:
                if "partner" in f.read():  # Linux: wait_for_partner() of fs/pipe.c
                    return
            os.sched_yield()


class Usage(unittest.TestCase):
    def test_it_says_that_it_is_not_for_people(self):
        done = subprocess.run([TOOLS.helper, "file"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"is started by tracemallocd", done.stderr)


def main():
    global TOOLS
    TOOLS = A.Tools(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    sys.exit(not unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False).result.wasSuccessful())


if __name__ == "__main__":
    main()
