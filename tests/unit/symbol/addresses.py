# SPDX-License-Identifier: Apache-2.0
"""Frames of addresses as three programs give them: resolve_file (ours), addr2line and llvm-symbolizer."""

import os
import posixpath
import random
import re
import shutil
import subprocess


class Tools:
    """What meson built: resolve_file HELPER. errors: where the helper's stderr goes."""

    def __init__(self, resolve_file, helper, errors=None):
        self.resolve_file, self.helper, self.errors = resolve_file, helper, errors


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def call_sites(path, count, seed):
    """Sampled return addresses less one: what a profiler looks up."""
    text = run(["objdump", "-d", "--no-show-raw-insn", path], stderr=subprocess.DEVNULL).decode(errors="replace")
    sites, was_call = [], False
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(?:notrack |bnd |addr32 )*(\S*)", line)
        if not match:
            was_call = was_call and not line.endswith(">:")
            continue
        if was_call:
            sites.append(int(match.group(1), 16) - 1)
        was_call = match.group(2).startswith("call")
    if len(sites) > count:
        sites = random.Random(seed).sample(sites, count)
    return sites


def normal_path(path):
    return path if path.startswith("?") else posixpath.normpath(path).replace("//", "/", 1)


def parse(text):
    """{address: [(function, file, line)]}, innermost first."""
    frames, current, function = {}, None, None
    for line in text.split("\n"):
        if re.fullmatch(r"0x[0-9a-f]+", line) and function is None:
            current = frames.setdefault(int(line, 16), [])
        elif current is None or line == "" and function is None:
            continue
        elif function is None:
            function = line
        else:
            filename, _, lineno = re.sub(r" \(.*\)$", "", line).rpartition(":")
            lineno = int(lineno) if lineno.isdigit() else 0
            current.append((function, normal_path(filename) if filename else "??", lineno))
            function = None
    return frames


def stdin_of(addresses):
    return "".join("%#x\n" % a for a in addresses).encode()


def ours(tools, path, addresses, debug_root="", build_id="", timeout_ms=0, environment=None):
    """Frames, whether the module has lines, what is wrong with it."""
    command = [tools.resolve_file, tools.helper, os.path.abspath(path), debug_root, build_id, str(timeout_ms)]
    out = run(command, input=stdin_of(addresses), env=environment, stderr=tools.errors)
    head, _, rest = out.decode(errors="surrogateescape").partition("\n")
    match = re.match(r"has_lines=(\d) problem=(.*)", head)
    return parse(rest), match.group(1) == "1", match.group(2)


def addr2line(path, addresses):
    out = run(["addr2line", "-a", "-i", "-f", "-C", "-e", path], input=stdin_of(addresses), stderr=subprocess.DEVNULL)
    return parse(out.decode(errors="surrogateescape"))


def llvm_symbolizer():
    return shutil.which("llvm-symbolizer") or next(
        (p for p in ("/usr/bin/llvm-symbolizer-%d" % v for v in range(30, 10, -1)) if os.path.exists(p)), None)


def llvm(path, addresses):
    command = [llvm_symbolizer(), "--output-style=GNU", "-a", "-i", "-f", "-C", "-e", path]
    out = run(command, input=stdin_of(addresses), stderr=subprocess.DEVNULL)
    return parse(out.decode(errors="surrogateescape"))


def lines(frames):
    """What of the frames has a place in the source."""
    return [(filename, lineno) for _, filename, lineno in frames if lineno and not filename.startswith("?")]
