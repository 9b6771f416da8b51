# SPDX-License-Identifier: Apache-2.0
"""The raw content of snapshots.db: what was recorded, before any grouping (daemon/store/schema.sql)."""
import os
import sqlite3


class StoreFile:
    def __init__(self, daemon):
        path = os.path.join(daemon.environment["TRACEMALLOCD_STATE_DIR"], "snapshots.db")
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.db.text_factory = lambda b: b.decode("utf-8", "surrogateescape")

    def native_frames(self):
        """(frame id, module path, return address as the ELF file has it) of all resolved native frames."""
        return self.db.execute(
            "select frame.id, cast(string.bytes as text), frame.offset from frame join module on module.id = frame.module"
            " join string on string.id = module.path where frame.resolved order by frame.id").fetchall()

    def symbols(self, frame):
        """[(function, filename, lineno)], innermost inlined call first; None where unknown."""
        return self.db.execute(
            "select cast(f.bytes as text), cast(n.bytes as text), symbol.lineno from symbol"
            " left join string f on f.id = symbol.function left join string n on n.id = symbol.filename"
            " where symbol.frame = ? order by depth", (frame,)).fetchall()

    def unresolved(self):
        return self.db.execute("select count(*) from frame where module is not null and not resolved").fetchone()[0]

    def oldest_frames(self, snapshot):
        """{leaf traceback: (module path, offset) of its oldest frame} of a snapshot's groups."""
        nodes = {i: (parent, frame) for i, parent, frame in self.db.execute("select id, parent, frame from traceback")}
        frames = {i: (path, offset) for i, path, offset in self.db.execute(
            "select frame.id, cast(string.bytes as text), frame.offset from frame left join module on"
            " module.id = frame.module left join string on string.id = module.path")}
        oldest = {}
        for (leaf,) in self.db.execute("select distinct traceback from snapshot_group where snapshot = ?", (snapshot,)):
            node = leaf
            while node and nodes[node][0]:
                node = nodes[node][0]
            oldest[leaf] = frames.get(nodes[node][1]) if node else None
        return oldest
