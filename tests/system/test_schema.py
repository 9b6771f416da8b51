#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""snapshots.db as others read it: the views say what tmctl says, and databases of earlier schema versions are brought up to date."""
import collections
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from tm import SOURCE, TRACEMALLOCD, Claims, Daemon  # noqa: E402

CURRENT = 3
PROGRAM = """
#include <stdlib.h>
#include <string.h>
static void *get(size_t n) { return malloc(n); }
__attribute__((always_inline)) static inline void *inlined(size_t n) { return calloc(1, n); }
int main(void) {
        void *volatile keep[60];
        for (size_t i = 0; i < 60; i++)
                keep[i] = i % 3 ? get(i * 7) : inlined(i + 1);
        char *volatile s = strdup("schema");
        (void)s;
        free(keep[5]);
        return 0;
}
"""


def connect(daemon):
    db = sqlite3.connect(f"file:{os.path.join(daemon.scratch, 'state', 'snapshots.db')}?mode=ro", uri=True)
    db.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    return db


# ---- views ----

def sorted_rows(rows):
    return sorted(rows, key=repr)


def path_of(filename, beside_file):
    """Beside a file, compare names frames without lines as files do; the view knows nothing of files."""
    return re.sub(r"( \(.*\)|\+0x[0-9a-f]+)$", "", filename) if beside_file else filename


def check_views(claims, daemon, ids):
    db = connect(daemon)
    for view, key, columns in (("statistics_by_line", "lineno", "filename, lineno, size, count"),
                               ("statistics_by_file", "filename", "filename, size, count"),
                               ("statistics_by_function", "function", "filename, function, size, count")):
        tell = [sorted_rows(tuple(r["traceback"][-1][c] if c in ("filename", "lineno", "function") else r[c] for c in columns.split(", "))
                            for r in daemon.json("stats", i, "--group-by", key)["statistics"]) for i in ids]
        seen = [sorted_rows(db.execute(f"SELECT {columns} FROM {view} WHERE snapshot = ?", (i,)).fetchall()) for i in ids]
        claims.check(f"{view} says what stats --group-by {key} says, of {len(ids)} snapshots", tell == seen, tell, seen)
    kinds = {s["id"]: s["kind"] for s in daemon.json("list")}
    tell, seen = [], []
    for old in ids:
        for new in ids:
            beside_file = kinds[old] != kinds[new] and "import" in (kinds[old], kinds[new])
            tell.append(sorted_rows((path_of(r["traceback"][-1]["filename"], beside_file), r["traceback"][-1]["lineno"], r["size"], r["size_diff"],
                                     r["count"], r["count_diff"]) for r in daemon.json("compare", old, new)["statistics"]))
            seen.append(sorted_rows(db.execute("SELECT filename, lineno, size, size_diff, count, count_diff FROM statistics_diff "
                                               "WHERE old = ? AND new = ?", (old, new)).fetchall()))
    claims.check(f"statistics_diff says what compare says, of {len(tell)} pairs", tell == seen,
                 *[(t, s) for t, s in zip(tell, seen) if t != s])
    db.close()


def import_files(daemon):
    frames = [("a.py", 1), ("b.py", 2), ("<unknown>", 0), ("\u00e9\U0001f40d.py", 3), ("", 0), ("a.py", 0)]
    traces = [(0, 10 * i % 70, tuple(frames[(i * 7 + k) % 6] for k in range(1 + i % 3)), 3) for i in range(40)]
    ids = []
    for part in (traces, traces[10:] + traces[:3] * 2):
        path = os.path.join(daemon.scratch, "file.pickle")
        tracemalloc.Snapshot(part, 5).dump(path)
        ids.append(int(daemon.tmctl("import", path).stdout))
    return ids


def trace_program(daemon, strip):
    source = os.path.join(daemon.scratch, "program.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write(PROGRAM)
    binary = os.path.join(daemon.scratch, "stripped" if strip else "program")
    subprocess.run(["gcc", "-O1", *(["-s"] if strip else ["-g"]), "-o", binary, source], check=True)
    _, exits, peaks = daemon.run([binary])
    return [s["id"] for s in exits + peaks]


def check_page(claims, daemon):
    """Every statement of the man page's examples runs."""
    with open(os.path.join(SOURCE, "daemon", "tracemallocd-schema.5"), encoding="utf-8") as f:
        examples = f.read().split(".Sh EXAMPLES")[1]
    statements = re.findall(r"^\.Bd .*?\n(.*?)^\.Ed", examples, re.M | re.S)
    db = connect(daemon)
    claims.check("the examples of tracemallocd-schema(5) run", len(statements) >= 4 and
                 all(db.execute(s.replace("42", "(SELECT max(id) FROM traceback)")) is not None for s in statements))
    named = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'")}
    with open(os.path.join(SOURCE, "daemon", "tracemallocd-schema.5"), encoding="utf-8") as f:
        page = f.read()
    claims.check("the page has an entry for every table and view", all(f".It Sy {name}\n" in page for name in named), named)
    db.close()


# ---- migration ----

def sizes_of_version_1(data):
    """[(size, count)], as the documentation of that version says."""
    numbers, value, shift = [], 0, 0
    for byte in data or b"":
        value |= (byte & 0x7f) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(value)
            value = shift = 0
    sizes, last = [], 0
    for difference, count in zip(numbers[::2], numbers[1::2]):
        last += difference
        sizes.append((last, count))
    return sizes


def sizes_of_version_2(data):
    """The same, of the form that tracemallocd-schema(5) describes."""
    if not data:
        return []
    bits, at = "".join(f"{byte:08b}" for byte in data[1:]), 0

    def take(n):
        nonlocal at
        at += n
        return int(bits[at - n:at] or "0", 2)

    def gamma():
        nonlocal at
        zeros = bits.index("1", at) - at
        at += zeros
        return take(zeros + 1)

    sizes, last = [], -1
    while "1" in bits[at:]:
        k = data[0] & 0x3f
        last += (gamma() - 1 << k) + take(k) + 1
        sizes.append((last, gamma() if data[0] & 0x80 else 1))
    return sizes


SIZES_OF = {1: sizes_of_version_1, 2: sizes_of_version_2}


def traces_of_tables(path, version, snapshot):
    """(domain, size, count, total_nframe, frames) of each trace, by the tables alone."""
    db = sqlite3.connect(path)
    traces = collections.Counter()
    for traceback, domain, total, size, count, sizes in db.execute(
            "SELECT traceback, domain, total_nframe, size, count, sizes FROM snapshot_group WHERE snapshot = ?", (snapshot,)):
        n = 0
        while traceback:
            traceback, frame = db.execute("SELECT parent, frame FROM traceback WHERE id = ?", (traceback,)).fetchone()
            n += max(1, db.execute("SELECT count(*) FROM symbol WHERE frame = ?", (frame,)).fetchone()[0])
        for each, blocks in SIZES_OF[version](sizes) if sizes is not None else [(None, count)] if count else []:
            traces[domain, each, total, n, size if each is None else each * blocks] += blocks
    db.close()
    return traces


def traces_of_tmctl(daemon, snapshot):
    traces = collections.Counter()
    for t in daemon.json_lines("traces", snapshot):
        traces[t["domain"], t["size"], t["total_nframe"], len(t["traceback"]), t["total_size"]] += t["count"]
    return traces


def schema(path):
    db = sqlite3.connect(path)
    rows = {row[:2]: " ".join(re.sub(r"--.*", "", row[2] or "").split()) for row in db.execute("SELECT type, name, sql FROM sqlite_schema")}
    version = db.execute("PRAGMA user_version").fetchone()[0]
    whole = db.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and not db.execute("PRAGMA foreign_key_check").fetchall()
    db.close()
    return rows, version, whole


def make_database(path, script):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    db = sqlite3.connect(path)
    with open(script, encoding="utf-8") as f:
        db.executescript(f.read())
    for table, column in (("snapshot", "uid"), ("frame", "owner"), ("module", "owner")):
        db.execute(f"UPDATE {table} SET {column} = ?", (os.getuid(),))
    db.commit()
    db.close()


def check_migration(claims, fresh, version, script):
    daemon = Daemon()
    path = os.path.join(daemon.scratch, "state", "snapshots.db")
    make_database(path, script)
    db = sqlite3.connect(path)
    ids = [row[0] for row in db.execute("SELECT id FROM snapshot")]
    sums = {row[0]: row[1:] for row in db.execute("SELECT id, size, count, traces FROM snapshot")}
    db.close()
    before = {i: traces_of_tables(path, version, i) for i in ids}
    with daemon:
        listed = {s["id"]: (s["size"], s["count"], s["traces"]) for s in daemon.json("list")}
        claims.check(f"version {version}: every snapshot is listed as it was", listed == sums, listed, sums)
        after = {i: traces_of_tmctl(daemon, i) for i in ids}
        claims.check(f"version {version}: every trace is what it was", before == after and all(before.values()), before, after)
        check_views(claims, daemon, ids)
        imported = import_files(daemon)
        claims.check(f"version {version}: new snapshots have new ids", min(imported) > max(ids), imported)
        claims.check("the log says that it was brought up to date",
                     f"from schema version {version} to {CURRENT}" in daemon.log_text(), daemon.log_text())
        daemon.stop()
        migrated = schema(path)
        claims.check(f"version {version}: becomes the schema of a new database, and whole", migrated == fresh, migrated[1:],
                     *(migrated[0].items() ^ fresh[0].items()))
        daemon.start()


def check_newer(claims):
    folder = tempfile.mkdtemp(prefix="schema.", dir=os.environ.get("TMPDIR"))
    path = os.path.join(folder, "state", "snapshots.db")
    make_database(path, os.path.join(HERE, "data", "schema-1.sql"))
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {CURRENT + 1}")
    db.close()
    with open(path, "rb") as f:
        before = f.read()
    done = subprocess.run([TRACEMALLOCD, "--runtime-dir", os.path.join(folder, "run"), "--state-dir", os.path.dirname(path)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    with open(path, "rb") as f:
        after = f.read()
    claims.check("a database of a later version is refused, with its version and a remedy, and not touched",
                 done.returncode != 0 and f"schema version {CURRENT + 1}" in done.stdout and "upgrade" in done.stdout and before == after,
                 done.stdout)
    shutil.rmtree(folder)


with Claims() as all_claims:
    with Daemon() as here:
        stored = import_files(here) + trace_program(here, False) + trace_program(here, True)
        check_views(all_claims, here, stored)
        check_page(all_claims, here)
        database = os.path.join(here.scratch, "state", "snapshots.db")
        here.stop()
        made_new = schema(database)
        all_claims.check(f"a new database has version {CURRENT}", made_new[1] == CURRENT and made_new[2], made_new[1:])
        here.start()
    for old_version in range(1, CURRENT):
        check_migration(all_claims, made_new, old_version, os.path.join(HERE, "data", f"schema-{old_version}.sql"))
    check_newer(all_claims)
