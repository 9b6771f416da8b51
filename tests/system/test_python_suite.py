#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tests that CPython has for its own snapshots (TestSnapshot, TestTraceback, TestFilters of test.test_tracemalloc, from Debian's
libpython3.11-testsuite), with the answers of tmctl: statistics(), compare_to(), filter_traces(), the matching of
filters, and the wording of rows. Once with files, once with stored snapshots."""
import os
import re
import sys
import tempfile
import tracemalloc
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from python_snapshots import filter_arguments, plain_filter, run, statistics_of  # noqa: E402
from tm import Claims, Daemon, skip  # noqa: E402

PYTHON = "/usr/bin/python3.11"  # the one that the package's tests are of
CLASSES = ("TestSnapshot", "TestTraceback", "TestFilters")
EXPECTED_TESTS = 19


class Adapter:
    """Puts tmctl in the place of tracemalloc's own answers."""

    def __init__(self, daemon, stored):
        self.daemon, self.stored = daemon, stored
        self.calls = 0
        self.texts = {}  # id of a statistic: its row as tmctl words it; the statistics are kept alive by kept
        self.kept = []
        self.original = {}

    def reference(self, snapshot):
        path = tempfile.mktemp(suffix=".pickle", dir=self.daemon.scratch)
        snapshot.dump(path)
        return run(self.daemon, "import", path).decode().strip() if self.stored else path

    def ask(self, *arguments):
        self.calls += 1
        return run(self.daemon, *arguments)

    def note_texts(self, statistics, arguments):
        """Statistic.__str__() is what a row says."""
        lines = [line for line in self.ask(*arguments, "--limit", "0").decode().splitlines() if re.match(r"(?!Total: )\S.*: size=", line)]
        assert len(lines) == len(statistics), lines
        for statistic, line in zip(statistics, lines):
            self.texts[id(statistic)] = line
        self.kept += statistics

    @staticmethod
    def group_arguments(key_type, cumulative):
        return ["--group-by", key_type] + (["--cumulative"] if cumulative else [])

    def statistics(self, snapshot, key_type, cumulative=False):
        arguments = ["stats", self.reference(snapshot)] + self.group_arguments(key_type, cumulative)
        if key_type == "traceback" and cumulative:
            done = self.daemon.tmctl(*arguments)
            assert done.returncode == 2, done
            raise ValueError(done.stderr)
        result = [tracemalloc.Statistic(tracemalloc.Traceback(frames[::-1]), size, count)
                  for size, count, frames in statistics_of(self.ask(*arguments, "--json"), False)]
        if key_type == "lineno":
            self.note_texts(result, arguments)
        return result

    def compare_to(self, snapshot, old, key_type, cumulative=False):
        arguments = ["compare", self.reference(old), self.reference(snapshot)] + self.group_arguments(key_type, cumulative)
        result = [tracemalloc.StatisticDiff(tracemalloc.Traceback(frames[::-1]), size, size_diff, count, count_diff)
                  for size, size_diff, count, count_diff, frames in statistics_of(self.ask(*arguments, "--json"), True)]
        if key_type == "lineno":
            self.note_texts(result, arguments)
        return result

    def filter_traces(self, snapshot, filters):
        if isinstance(filters, tracemalloc.BaseFilter):
            return self.original["Snapshot", "filter_traces"](snapshot, filters)  # a TypeError of Python's alone
        path = tempfile.mktemp(suffix=".pickle", dir=self.daemon.scratch)
        self.ask("export", self.reference(snapshot), "-o", path, *filter_arguments(map(plain_filter, filters)))
        return tracemalloc.Snapshot.load(path)

    def match_traceback(self, f, frames):
        """@frames: the most recent first, as in a trace"""
        snapshot = tracemalloc.Snapshot([(0, 1, tuple(frames), len(frames))], len(frames))
        return bool(statistics_of(self.ask("stats", self.reference(snapshot), "--json", *filter_arguments([plain_filter(f)])), False))

    def methods(self):
        return {
            ("Snapshot", "statistics"): lambda s, *a, **k: self.statistics(s, *a, **k),
            ("Snapshot", "compare_to"): lambda s, *a, **k: self.compare_to(s, *a, **k),
            ("Snapshot", "filter_traces"): lambda s, *a, **k: self.filter_traces(s, *a, **k),
            ("Filter", "_match_traceback"): lambda f, frames: self.match_traceback(f, frames),
            ("Filter", "_match_frame"): lambda f, filename, lineno: self.match_traceback(f, ((filename, lineno),)),
            ("Statistic", "__str__"): lambda s: self.texts[id(s)],
            ("StatisticDiff", "__str__"): lambda s: self.texts[id(s)],
        }

    def __enter__(self):
        for (owner, name), method in self.methods().items():
            self.original[owner, name] = getattr(getattr(tracemalloc, owner), name)
            setattr(getattr(tracemalloc, owner), name, method)
        return self

    def __exit__(self, *error):
        for (owner, name), method in self.original.items():
            setattr(getattr(tracemalloc, owner), name, method)


def main():
    try:
        from test import test_tracemalloc
    except ImportError:
        if os.path.realpath(sys.executable) != os.path.realpath(PYTHON) and os.access(PYTHON, os.X_OK):
            os.execv(PYTHON, [PYTHON, *sys.argv])
        skip("libpython3.11-testsuite is not installed")
    loader = unittest.defaultTestLoader
    with Claims() as claims, Daemon() as daemon:
        for stored in (False, True):
            suite = unittest.TestSuite(loader.loadTestsFromTestCase(getattr(test_tracemalloc, name))
                                       for name in CLASSES if hasattr(test_tracemalloc, name))
            result = unittest.TestResult()
            with Adapter(daemon, stored) as adapter:
                suite.run(result)
            what = "stored snapshots" if stored else "files"
            claims.check(f"Python's {EXPECTED_TESTS} tests of its snapshots pass with tmctl's answers on {what}",
                         result.wasSuccessful() and result.testsRun == EXPECTED_TESTS and not result.skipped,
                         result.testsRun, result.skipped, *[f"{test}: {text}" for test, text in result.failures + result.errors])
            claims.check(f"tmctl gave them, for {what}", adapter.calls > 100, adapter.calls)


main()
