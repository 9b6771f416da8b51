# SPDX-License-Identifier: Apache-2.0
"""A crafted file kills at most the symbol helper, and takes it no longer than the time it is given.

Usage: test_garbage.py RESOLVE_FILE HELPER [unittest arguments]

In a sanitized build, what the sanitizers find in our own code fails the test; what they catch in elfutils is one of
the deaths that the daemon expects.
"""

import os
import random
import re
import struct
import sys
import tempfile
import unittest

import addresses as A

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples", "inlines.cc")
SEED = 4711
TIMEOUT_MS = 2000
TOOLS = None
FOLDER = None


def sections(data):
    """[(name, offset, size)] of an ELF64 file."""
    table, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3a)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    base = headers[names][4]
    return [(data[base + h[0]:data.index(b"\0", base + h[0])].decode(), h[4], h[5]) for h in headers]


class Garbage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = os.path.join(FOLDER, "sample")
        A.run(["g++", "-g", "-O1", SAMPLE, "-o", cls.path])
        with open(cls.path, "rb") as f:
            cls.data = f.read()
        cls.sites = A.call_sites(cls.path, 100, SEED)

    def resolve(self, data):
        with open(self.path, "wb") as f:
            f.write(data)
        with tempfile.TemporaryFile() as errors:
            tools = A.Tools(TOOLS.resolve_file, TOOLS.helper, errors)
            answer = A.ours(tools, self.path, self.sites, timeout_ms=TIMEOUT_MS)
            errors.seek(0)
            text = errors.read().decode(errors="replace")
        self.assertIsNone(re.search(r"runtime error|AddressSanitizer: (heap|stack|global|attempting|double)", text), text)
        return answer

    def damage(self, seed, ranges, count):
        """Random bytes at random places of [(offset, size)]."""
        rng = random.Random(seed)
        data = bytearray(self.data)
        for _ in range(count):
            offset, size = rng.choice(ranges)
            data[offset + rng.randrange(size)] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
        return bytes(data)

    def ranges(self, pattern):
        return [(offset, size) for name, offset, size in sections(self.data) if size and re.match(pattern, name)]

    def test_an_undamaged_file_is_resolved(self):
        frames, has_lines, problem = self.resolve(self.data)
        self.assertTrue(has_lines and all(frames.values()))

    def test_truncated_files(self):
        for i in range(40):
            with self.subTest(i=i):
                self.resolve(self.data[:len(self.data) * i // 40])

    def test_random_bytes_in_each_debug_section(self):
        for name in (r"\.debug_info", r"\.debug_abbrev", r"\.debug_line$", r"\.debug_rnglists", r"\.debug_str$",
                     r"\.debug_line_str", r"\.symtab", r"\.strtab", r"\.note"):
            for seed in range(8):
                with self.subTest(name=name, seed=seed):
                    self.resolve(self.damage(seed, self.ranges(name), 1 if seed < 3 else 30))

    def test_random_bytes_in_the_headers(self):
        table, = struct.unpack_from("<Q", self.data, 0x28)
        for seed in range(40):
            with self.subTest(seed=seed):
                headers = [(16, 48), (64, 0x2d8), (table, len(self.data) - table)]
                self.resolve(self.damage(seed, headers, 1 + seed % 6))

    def test_noise(self):
        rng = random.Random(SEED)
        for head in (b"", b"\x7fELF", self.data[:64], self.data[:4096]):
            self.resolve(head + rng.randbytes(65536))

    def test_names_that_explode_when_they_are_demangled(self):
        name = "_Z1f" + "St4pairI" * 200 + "i" + "S0_E" * 200
        with open(os.path.join(FOLDER, "names.s"), "w") as f:
            f.write(".section .note.GNU-stack\n.text\n.globl %s\n.type %s,@function\n%s: ret\n.size %s,1\n.globl main\nmain: call %s\nret\n"
                    % ((name,) * 5))
        A.run(["gcc", os.path.join(FOLDER, "names.s"), "-o", self.path])
        with open(self.path, "rb") as f:
            self.resolve(f.read())


def main():
    global TOOLS, FOLDER
    TOOLS = A.Tools(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    with tempfile.TemporaryDirectory() as FOLDER:
        os.chmod(FOLDER, 0o755)
        program = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False)
    sys.exit(not program.result.wasSuccessful())


if __name__ == "__main__":
    main()
