-- SPDX-License-Identifier: Apache-2.0
--
-- snapshots.db, schema version 3 (PRAGMA user_version; application_id is 0x746d6474, "tmdt"). tracemallocd-schema(5)
-- explains it to readers. The views are in views.sql, what changed since earlier versions in migrate.c.
--
-- A snapshot is rows of snapshot_group: how many blocks, of which sizes, one traceback of one domain holds. What
-- snapshots have in common (bytes, frames, tracebacks, symbols) is stored once and goes with the last snapshot that
-- needs it. Frames, and so tracebacks, and what is known about them belong to an owner, a uid: no user's files give names
-- to what another user's snapshots show.
--
-- All of it may be read with the sqlite3 shell while the daemon runs; begin with the views. Only the daemon writes. Numbers of 64 bits without a sign are stored with one: add 2^64 to what is negative.

-- Bytes: paths, functions, names. Usually UTF-8, not necessarily: CAST(bytes AS TEXT) shows them.
CREATE TABLE string (
  id INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL UNIQUE
) STRICT;

-- A file that was mapped into a process: executable or shared library.
CREATE TABLE module (
  id INTEGER PRIMARY KEY,
  owner INTEGER NOT NULL,                    -- uid
  path INTEGER NOT NULL REFERENCES string,   -- as the loader had it; "[vdso]"
  build_id BLOB NOT NULL,                    -- x'' where the file has none
  examined INTEGER NOT NULL DEFAULT 0,       -- 1: the two columns below say something
  has_lines INTEGER NOT NULL DEFAULT 0,      -- 1: it has line information
  problem BLOB,                              -- one line where the file could not be read, else NULL
  UNIQUE (path, build_id, owner)
) STRICT;

-- A place in code. Either native: module and offset; or of a language that knows its source: filename, lineno, function.
CREATE TABLE frame (
  id INTEGER PRIMARY KEY,
  owner INTEGER NOT NULL,                    -- uid
  module INTEGER REFERENCES module,          -- native; NULL: an address in no module
  offset INTEGER,                            -- native: return address less load bias; the call is at offset - 1
  resolved INTEGER NOT NULL DEFAULT 0,       -- native: 1: looked up, table symbol has all that is known, maybe nothing
  filename INTEGER REFERENCES string,        -- source; NULL: native
  function INTEGER REFERENCES string,        -- source; NULL: unknown
  lineno INTEGER                             -- source; 0: unknown
) STRICT;
CREATE UNIQUE INDEX frame_native ON frame (module, offset, owner) WHERE module IS NOT NULL;
CREATE UNIQUE INDEX frame_nowhere ON frame (offset, owner) WHERE module IS NULL AND filename IS NULL;
CREATE UNIQUE INDEX frame_source ON frame (filename, lineno, ifnull(function, 0), owner) WHERE filename IS NOT NULL;
CREATE INDEX frame_function ON frame (function) WHERE function IS NOT NULL;

-- The source of a native frame, as its debug information or symbol table gives it.
CREATE TABLE symbol (
  frame INTEGER NOT NULL REFERENCES frame,
  depth INTEGER NOT NULL,                    -- 0: innermost inlined call; the last is the function that was compiled
  function INTEGER REFERENCES string,        -- demangled; NULL: unknown
  filename INTEGER REFERENCES string,        -- NULL: unknown
  lineno INTEGER NOT NULL,                   -- 0: unknown
  PRIMARY KEY (frame, depth)
) STRICT, WITHOUT ROWID;
CREATE INDEX symbol_function ON symbol (function) WHERE function IS NOT NULL;
CREATE INDEX symbol_filename ON symbol (filename) WHERE filename IS NOT NULL;

-- Call stacks as a trie: from a row up through its parents are the frames from the most recent to the oldest. Row 0 is the
-- empty traceback; parent is less than id.
CREATE TABLE traceback (
  id INTEGER PRIMARY KEY,
  parent INTEGER REFERENCES traceback,
  frame INTEGER REFERENCES frame,
  UNIQUE (parent, frame)
) STRICT;
CREATE INDEX traceback_frame ON traceback (frame) WHERE frame IS NOT NULL;
INSERT INTO traceback (id, parent, frame) VALUES (0, NULL, NULL);

-- Snapshots of several processes that were taken at one moment.
CREATE TABLE snapshot_set (
  id INTEGER PRIMARY KEY AUTOINCREMENT       -- never reused; "s3" is 3
) STRICT;

CREATE TABLE snapshot (
  id INTEGER PRIMARY KEY AUTOINCREMENT,      -- never reused
  snapshot_set INTEGER REFERENCES snapshot_set, -- NULL: none
  uid INTEGER NOT NULL,                      -- whose process it was: the owner
  pid INTEGER NOT NULL,
  ppid INTEGER NOT NULL,
  image INTEGER NOT NULL,                    -- number of the exec, from 1
  kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3), -- 0 request, 1 exit, 2 peak, 3 import
  traceback_limit INTEGER NOT NULL,
  taken_at_ns INTEGER NOT NULL,              -- since 1970-01-01 UTC: datetime(taken_at_ns / 1000000000, 'unixepoch')
  started_at_ns INTEGER NOT NULL,            -- of the process; import: when the file was written; 0: unknown
  size INTEGER NOT NULL,                     -- bytes of all blocks
  count INTEGER NOT NULL,                    -- number of blocks
  traces INTEGER NOT NULL,                   -- distinct (domain, traceback, size, total_nframe)
  lost INTEGER NOT NULL,                     -- events that are missing
  exact INTEGER NOT NULL,                    -- 0: events are missing, or blocks from before tracing
  sizes_known INTEGER NOT NULL,              -- 0: sums only (peak)
  allocated_known INTEGER NOT NULL,          -- 0: allocated_size and allocated_count of the groups mean nothing
  name TEXT NOT NULL,                        -- of the process; like the following bytes, '' where unknown
  exe TEXT NOT NULL,
  unit TEXT NOT NULL,                        -- systemd unit
  cgroup TEXT NOT NULL,
  label TEXT NOT NULL,
  ended_by TEXT NOT NULL                     -- 'exit 0', 'signal 9', 'exec'
) STRICT;
CREATE INDEX snapshot_uid ON snapshot (uid);
CREATE INDEX snapshot_of_set ON snapshot (snapshot_set) WHERE snapshot_set IS NOT NULL;

-- Snapshots that are being deleted, in several transactions: nobody is to see what is left of them.
CREATE TABLE deletion (
  snapshot INTEGER PRIMARY KEY REFERENCES snapshot
) STRICT;

-- Names of the domains that a program made itself. 0 is python, 4294967294 malloc, 4294967293 mmap.
CREATE TABLE snapshot_domain (
  snapshot INTEGER NOT NULL REFERENCES snapshot,
  number INTEGER NOT NULL,
  name INTEGER NOT NULL REFERENCES string,
  PRIMARY KEY (snapshot, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_domain_name ON snapshot_domain (name);

-- The blocks of one domain, traceback and total_nframe.
CREATE TABLE snapshot_group (
  snapshot INTEGER NOT NULL REFERENCES snapshot,
  traceback INTEGER NOT NULL REFERENCES traceback,
  domain INTEGER NOT NULL,
  total_nframe INTEGER NOT NULL,             -- true depth of the stack; -1: unknown (import)
  size INTEGER NOT NULL,                     -- bytes alive
  count INTEGER NOT NULL,                    -- blocks alive
  allocated_size INTEGER NOT NULL,           -- bytes allocated here since tracing began
  allocated_count INTEGER NOT NULL,
  -- The single sizes, ascending, each once; NULL: not known, or nothing is alive. A stream of bits, the highest of each
  -- byte first. Byte 0: bit 7 says that some size has more than one block; bits 5 to 0 are a number k. Then for each size:
  -- v, which is the first size, or a size less the one before less 1, as G((v >> k) + 1) and the k lowest bits of v; and
  -- where bit 7 says so, G(number of blocks). G(n), Elias' gamma code: as many 0 bits as n has binary digits behind the
  -- first, then n. 0 bits fill up the last byte.
  sizes BLOB,
  PRIMARY KEY (snapshot, traceback, domain, total_nframe)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_group_traceback ON snapshot_group (traceback);
