#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A sample of 1,000 recorded addresses has the file and line, inlined calls included, that addr2line -i gives it
(or llvm-symbolizer, where addr2line is wrong)."""

import collections
import os.path
import pathlib
import random
import sqlite3
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from testing import SCRATCH, SOURCE, ask, claim, main, run_traced, start_daemon  # noqa: E402

SAMPLE = 1000
SEED = 20261122

PROGRAM = """
#include <algorithm>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>
struct base { virtual ~base() = default; virtual std::string name(int n) const = 0; };
template <int N> struct derived : base {
        std::map<std::string, std::vector<std::unique_ptr<int>>> things;
        std::string name(int n) const override { std::ostringstream s; s << "thing " << N << " " << n; return s.str(); }
        derived() { for (int i = 0; i < N; i++) things[name(i)].push_back(std::make_unique<int>(i)); }
};
static std::vector<std::unique_ptr<base>> all;
static std::unordered_map<std::string, std::list<std::set<int>>> index_;
template <int N> static void fill() {
        auto d = std::make_unique<derived<N>>();
        for (auto &[key, value] : d->things) {
                auto &list = index_[key];
                list.emplace_back();
                for (int i = 0; i < 3; i++) list.back().insert(i * N);
        }
        all.push_back(std::move(d));
        if constexpr (N > 0) fill<N - 1>();
}
int main() {
        fill<40>();
        std::regex pattern("([a-z]+) ([0-9]+)(.*)");
        std::vector<std::string> found;
        for (auto &[key, value] : index_) {
                std::smatch m;
                if (std::regex_match(key, m, pattern)) found.push_back(m[2]);
        }
        std::stable_sort(found.begin(), found.end());
        std::function<size_t(size_t)> sum = [&](size_t i) { return i ? sum(i - 1) + found[i - 1].size() : 0; };
        std::cout << sum(found.size()) << std::endl;
}
"""


def compile_program():
    (SCRATCH / "program.cc").write_text(PROGRAM)
    for name, options in (("plain", ["-O0"]), ("inlined", ["-O2"]), ("dwarf4", ["-O2", "-gdwarf-4"])):
        subprocess.run(["g++", "-std=c++17", "-g", *options, "-o", SCRATCH / name, SCRATCH / "program.cc"], check=True)
        yield SCRATCH / name


def recorded_addresses():
    """(path, address of the call) -> [(file, line)], innermost inlined call first, from the store."""
    database = sqlite3.connect(f"file:{SCRATCH}/state/snapshots.db?mode=ro", uri=True)
    rows = database.execute(
        "select path.bytes, frame.offset - 1, depth, file.bytes, lineno from frame"
        " join module on module.id = frame.module join string path on path.id = module.path"
        " left join symbol on symbol.frame = frame.id left join string file on file.id = symbol.filename"
        " where frame.resolved and module.has_lines order by frame.id, depth").fetchall()
    places = collections.defaultdict(list)
    for path, address, depth, file, line in rows:
        places[os.fsdecode(path), address].append((os.fsdecode(file) if file else "", line or 0))
    return places


def normal(file, line):
    known = file and not file.startswith("??")
    return (os.path.normpath(file) if known else "", int(line) if known and line.isdigit() else 0)


def addr2line(path, addresses):
    done = subprocess.run(["addr2line", "-i", "-a", "-e", path], input="".join(f"{a:#x}\n" for a in addresses), text=True,
                          capture_output=True, check=True)
    places = {}
    for line in done.stdout.splitlines():
        if line.startswith("0x"):
            current = places.setdefault(int(line, 16), [])
        else:
            file, _, number = line.split(" (discriminator")[0].rpartition(":")
            current.append(normal(file, number))
    return places


def llvm_symbolizer(path, addresses):
    done = subprocess.run(["llvm-symbolizer", "--functions=none", "--inlines", "--addresses", f"--obj={path}"],
                          input="".join(f"{a:#x}\n" for a in addresses), text=True, capture_output=True, check=True)
    places = {}
    for line in done.stdout.splitlines():
        if line.startswith("0x"):
            current = places.setdefault(int(line, 16), [])
        elif line:
            file, number = line.rsplit(":", 2)[:2]
            current.append(normal(file, number))
    return places


def sample(places):
    chosen = random.Random(SEED).sample(sorted(places), min(SAMPLE, len(places)))
    by_path = collections.defaultdict(list)
    for path, address in chosen:
        by_path[path].append(address)
    return by_path


def compare(places):
    wrong, agreed = [], 0
    for path, addresses in sample(places).items():
        judges = [addr2line(path, addresses), llvm_symbolizer(path, addresses)]
        for address in addresses:
            ours = [normal(file, str(line)) for file, line in places[path, address]]
            if ours in (judge.get(address) for judge in judges):
                agreed += 1
            else:
                wrong.append((path, hex(address), "ours", ours, "addr2line", judges[0].get(address), "llvm", judges[1].get(address)))
    claim(f"{agreed} of {agreed + len(wrong)} addresses agree", not wrong, "\n    ".join(map(str, wrong[:10])))
    claim(f"the sample has {SAMPLE} addresses", agreed + len(wrong) == SAMPLE, agreed + len(wrong))


def test():
    start_daemon()
    for program in compile_program():
        snapshot = run_traced(program)
        # asking for lines makes the daemon resolve all of the snapshot
        ask("stats", snapshot["id"], "--allocated", "--group-by", "traceback")
    compare(recorded_addresses())


main(test)
