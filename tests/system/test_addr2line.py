#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every file:line of a sample of recorded addresses is what addr2line -i says.

The addresses come from a C++ program that is generated here, compiled with -O2 -g, full of templates, lambdas and
inlined calls. Where addr2line differs, llvm-symbolizer is asked: binutils 2.40 gives the line of the enclosing function
for some calls whose inlined body lies in several ranges.
"""
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from store_file import StoreFile  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

SAMPLE = 1000
FUNCTIONS = 240


def program_source():
    """Each function allocates in several ways, at a depth and with inlining of its own."""
    lines = ["#include <algorithm>", "#include <functional>", "#include <map>", "#include <memory>", "#include <string>",
             "#include <vector>", "static std::vector<std::shared_ptr<void>> kept;",
             "template <int N> struct Box { std::string text; std::vector<int> values;",
             "  explicit Box(int n) : text(static_cast<size_t>(40 + N % 13), 'x') { values.resize(static_cast<size_t>(n + N)); } };",
             "template <int N> static inline std::shared_ptr<Box<N>> make(int n) { return std::make_shared<Box<N>>(n); }"]
    for i in range(FUNCTIONS):
        lines += [f"__attribute__((noinline)) static void f{i}(int n) {{",
                  f"  auto box = make<{i}>(n);",
                  "  kept.push_back(box);",
                  f"  std::map<int, std::string> m; for (int k = 0; k < n % 5 + 2; k++) m[k] = std::string({20 + i % 7}, 'a');",
                  "  auto copy = std::make_shared<std::map<int, std::string>>(m); kept.push_back(copy);",
                  "  std::function<void(int)> g = [box, n](int k) { kept.push_back(std::make_shared<std::vector<long>>(",
                  "      static_cast<size_t>(n + k + 1))); };",
                  "  g(n);",
                  f"  if (n > 0) f{i - 1 if i else 0}({'n - 1' if i else '0'});" if i else "  if (n > 100) kept.clear();",
                  "}"]
    lines += ["int main() {"] + [f"  f{i}({i % 3});" for i in range(FUNCTIONS)] + ["  return kept.empty(); }"]
    return "\n".join(lines) + "\n"


def addr2line(module, addresses):
    """[[file:line, ...] innermost first] as addr2line -i prints them."""
    text = subprocess.run(["addr2line", "-a", "-i", "-e", module], input="\n".join(addresses), capture_output=True,
                          text=True, check=True).stdout
    results = []
    for line in text.splitlines():
        if line.startswith("0x"):
            results.append([])
        else:
            results[-1].append(line.split(" (discriminator")[0])
    return results


def llvm_symbolizer(module, addresses):
    """The same, of llvm-symbolizer: one process for all, it reads the debug information anew each time."""
    if not addresses:
        return []
    text = subprocess.run(["llvm-symbolizer", "--inlines", "--functions=none", "--obj=" + module, *addresses],
                          capture_output=True, text=True, check=True).stdout
    return [[":".join(line.split(":")[:2]) for line in part.splitlines()] for part in text.strip().split("\n\n")]


def normal(place):
    path, _, line = place.rpartition(":")
    return f"{os.path.normpath(path)}:{line}"


def main():
    with Claims() as claims, Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "sample.cc"), os.path.join(folder, "sample")
        with open(source, "w", encoding="utf-8") as f:
            f.write(program_source())
        subprocess.run(["g++", "-std=c++17", "-O2", "-g", source, "-o", program], check=True)
        _, [at_exit], _ = daemon.run([program])
        daemon.json("stats", at_exit["id"], "--group-by", "traceback")  # waits for all symbols
        store = StoreFile(daemon)
        deadline = time.monotonic() + 30
        while store.unresolved() and time.monotonic() < deadline:
            time.sleep(0.1)
        frames = [f for f in store.native_frames() if f[1] == os.path.realpath(program)]
        random.Random(17).shuffle(frames)
        frames = frames[:SAMPLE]
        claims.check(f"the program leaves a sample of {SAMPLE} addresses", len(frames) == SAMPLE, len(frames))
        addresses = [hex(offset - 1) for _, _, offset in frames]
        disputed = []
        for (frame, _, _), address, theirs in zip(frames, addresses, addr2line(program, addresses)):
            ours = [normal(f"{file}:{line}") for _, file, line in store.symbols(frame) if file]
            # _start and what crt files bring have no lines
            theirs = [normal(t) for t in theirs if not t.startswith("??") and not t.endswith(("?", ":0"))]
            if ours != theirs:
                disputed.append((address, ours, theirs))
        judged = llvm_symbolizer(program, [address for address, _, _ in disputed])
        claims.check("llvm-symbolizer answers for each of the others", len(judged) == len(disputed))
        wrong = [f"{address}: ours {ours}, addr2line {theirs}" for (address, ours, theirs), places in zip(disputed, judged)
                 if ours != [normal(p) for p in places]]
        claims.check(f"every file:line agrees ({len(disputed)} judged by llvm-symbolizer)", not wrong, *wrong[:10])
        inlined = sum(len(store.symbols(f[0])) > 1 for f in frames)
        claims.check(f"inlined calls are among them ({inlined})", inlined > SAMPLE // 10)


main()
