-- SPDX-License-Identifier: Apache-2.0
--
-- The database of schema-1.sql in schema version 2: what 'sqlite3 snapshots.db .dump' gave when that version was current, and in
-- front of it the pragmas that .dump leaves out.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1953326196;
PRAGMA user_version = 2;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE string (
  id INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL UNIQUE
) STRICT;
INSERT INTO string VALUES(1,X'2f7372762f6578616d706c652f6c65616b');
INSERT INTO string VALUES(2,X'2f6c69622f7838365f36342d6c696e75782d676e752f6c6962632e736f2e36');
INSERT INTO string VALUES(3,X'5f7374617274');
INSERT INTO string VALUES(4,X'676574');
INSERT INTO string VALUES(5,X'2f7372762f6578616d706c652f6c65616b2e63');
INSERT INTO string VALUES(6,X'77616c6b');
INSERT INTO string VALUES(7,X'6d61696e');
INSERT INTO string VALUES(8,X'5f5f6c6962635f73746172745f63616c6c5f6d61696e');
INSERT INTO string VALUES(9,X'737973646570732f6e70746c2f6c6962635f73746172745f63616c6c5f6d61696e2e68');
INSERT INTO string VALUES(10,X'5f5f6c6962635f73746172745f6d61696e5f696d706c');
INSERT INTO string VALUES(11,X'6373752f6c6962632d73746172742e63');
INSERT INTO string VALUES(12,X'5f5f47495f5f5f737472647570');
INSERT INTO string VALUES(13,X'737472696e672f737472696e672f7374726475702e63');
INSERT INTO string VALUES(14,X'622e7079');
INSERT INTO string VALUES(15,X'612e7079');
INSERT INTO string VALUES(16,X'802e7079');
INSERT INTO string VALUES(17,X'');
INSERT INTO string VALUES(18,X'3c756e6b6e6f776e3e');
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
INSERT INTO module VALUES(1,0,1,X'ab0de655d7dbd250df2cf4cf60118e98c943b664',1,1,NULL);
INSERT INTO module VALUES(2,0,2,X'93ac61ec5a8eb1396f9fbd350e3169a558528a40',1,1,NULL);
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
INSERT INTO frame VALUES(1,0,1,4257,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(2,0,2,160517,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(3,0,2,160330,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(4,0,1,4618,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(5,0,1,4654,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(6,0,1,4513,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(7,0,1,4545,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(8,0,1,4481,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(9,0,1,4676,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(10,0,2,649642,1,NULL,NULL,NULL);
INSERT INTO frame VALUES(11,0,NULL,NULL,0,14,NULL,2);
INSERT INTO frame VALUES(12,0,NULL,NULL,0,15,NULL,1);
INSERT INTO frame VALUES(13,0,NULL,NULL,0,16,NULL,3);
INSERT INTO frame VALUES(14,0,NULL,NULL,0,17,NULL,0);
INSERT INTO frame VALUES(15,0,NULL,NULL,0,18,NULL,0);
CREATE TABLE symbol (
  frame INTEGER NOT NULL REFERENCES frame,
  depth INTEGER NOT NULL,                    -- 0: innermost inlined call; the last is the function that was compiled
  function INTEGER REFERENCES string,        -- demangled; NULL: unknown
  filename INTEGER REFERENCES string,        -- NULL: unknown
  lineno INTEGER NOT NULL,                   -- 0: unknown
  PRIMARY KEY (frame, depth)
) STRICT, WITHOUT ROWID;
INSERT INTO symbol VALUES(1,0,3,NULL,0);
INSERT INTO symbol VALUES(2,0,10,11,360);
INSERT INTO symbol VALUES(3,0,8,9,58);
INSERT INTO symbol VALUES(4,0,7,5,14);
INSERT INTO symbol VALUES(5,0,7,5,15);
INSERT INTO symbol VALUES(6,0,6,5,6);
INSERT INTO symbol VALUES(7,0,6,5,7);
INSERT INTO symbol VALUES(8,0,4,5,3);
INSERT INTO symbol VALUES(9,0,7,5,16);
INSERT INTO symbol VALUES(10,0,12,13,42);
CREATE TABLE traceback (
  id INTEGER PRIMARY KEY,
  parent INTEGER REFERENCES traceback,
  frame INTEGER REFERENCES frame,
  UNIQUE (parent, frame)
) STRICT;
INSERT INTO traceback VALUES(0,NULL,NULL);
INSERT INTO traceback VALUES(1,0,1);
INSERT INTO traceback VALUES(2,1,2);
INSERT INTO traceback VALUES(3,2,3);
INSERT INTO traceback VALUES(4,3,4);
INSERT INTO traceback VALUES(5,3,5);
INSERT INTO traceback VALUES(6,5,6);
INSERT INTO traceback VALUES(7,6,6);
INSERT INTO traceback VALUES(8,7,6);
INSERT INTO traceback VALUES(9,8,6);
INSERT INTO traceback VALUES(10,9,6);
INSERT INTO traceback VALUES(11,10,6);
INSERT INTO traceback VALUES(12,11,7);
INSERT INTO traceback VALUES(13,12,8);
INSERT INTO traceback VALUES(14,10,7);
INSERT INTO traceback VALUES(15,14,8);
INSERT INTO traceback VALUES(16,9,7);
INSERT INTO traceback VALUES(17,16,8);
INSERT INTO traceback VALUES(18,8,7);
INSERT INTO traceback VALUES(19,18,8);
INSERT INTO traceback VALUES(20,7,7);
INSERT INTO traceback VALUES(21,20,8);
INSERT INTO traceback VALUES(22,6,7);
INSERT INTO traceback VALUES(23,22,8);
INSERT INTO traceback VALUES(24,5,7);
INSERT INTO traceback VALUES(25,24,8);
INSERT INTO traceback VALUES(26,3,9);
INSERT INTO traceback VALUES(27,26,10);
INSERT INTO traceback VALUES(28,0,11);
INSERT INTO traceback VALUES(29,28,12);
INSERT INTO traceback VALUES(30,29,12);
INSERT INTO traceback VALUES(31,0,13);
INSERT INTO traceback VALUES(32,28,14);
INSERT INTO traceback VALUES(33,0,15);
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
  started_at_ns INTEGER NOT NULL,            -- of the process
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
INSERT INTO snapshot VALUES(1,NULL,0,22319,22315,1,2,64,1795529942728814318,1795529942671848075,2723,48,9,0,1,0,0,'leak','/srv/example/leak','','/','first','exit 0');
INSERT INTO snapshot VALUES(2,NULL,0,22319,22315,1,1,64,1795529942728814318,1795529942671848075,2713,47,47,0,1,1,1,'leak','/srv/example/leak','','/','first','exit 0');
INSERT INTO snapshot VALUES(3,NULL,0,0,0,0,3,5,1795529946268990614,0,2199023296865,61,55,0,1,1,0,'','','','','a file','');
INSERT INTO snapshot VALUES(4,NULL,0,0,0,0,3,5,1795529946365763126,0,2199023296889,63,56,0,1,1,0,'','','','','','');
CREATE TABLE snapshot_domain (
  snapshot INTEGER NOT NULL REFERENCES snapshot,
  number INTEGER NOT NULL,
  name INTEGER NOT NULL REFERENCES string,
  PRIMARY KEY (snapshot, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot_group (
  snapshot INTEGER NOT NULL REFERENCES snapshot,
  traceback INTEGER NOT NULL REFERENCES traceback,
  domain INTEGER NOT NULL,
  total_nframe INTEGER NOT NULL,             -- true depth of the stack; -1: unknown (import)
  size INTEGER NOT NULL,                     -- bytes alive
  count INTEGER NOT NULL,                    -- blocks alive
  allocated_size INTEGER NOT NULL,           -- bytes allocated here since tracing began
  allocated_count INTEGER NOT NULL,
  -- The single sizes, ascending; NULL: not known, or nothing is alive. For each a pair of integers: its difference from the
  -- one before (the first: from 0), the number of blocks of it. An integer is 7 bits a byte, the lowest first, bit 7 set
  -- in all but its last byte.
  sizes BLOB,
  PRIMARY KEY (snapshot, traceback, domain, total_nframe)
) STRICT, WITHOUT ROWID;
INSERT INTO snapshot_group VALUES(1,4,4294967294,4,2380,40,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,13,4294967294,12,24,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,15,4294967294,11,32,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,17,4294967294,10,40,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,19,4294967294,9,48,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,21,4294967294,8,56,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,23,4294967294,7,64,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,25,4294967294,6,72,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(1,27,4294967294,5,7,1,0,0,NULL);
INSERT INTO snapshot_group VALUES(2,4,4294967294,4,2370,39,2380,40,X'01d11d111111111111111111111111111111111100');
INSERT INTO snapshot_group VALUES(2,13,4294967294,12,24,1,24,1,X'0450');
INSERT INTO snapshot_group VALUES(2,15,4294967294,11,32,1,32,1,X'0540');
INSERT INTO snapshot_group VALUES(2,17,4294967294,10,40,1,40,1,X'0548');
INSERT INTO snapshot_group VALUES(2,19,4294967294,9,48,1,48,1,X'0550');
INSERT INTO snapshot_group VALUES(2,21,4294967294,8,56,1,56,1,X'0558');
INSERT INTO snapshot_group VALUES(2,23,4294967294,7,64,1,64,1,X'064000');
INSERT INTO snapshot_group VALUES(2,25,4294967294,6,72,1,72,1,X'064400');
INSERT INTO snapshot_group VALUES(2,27,4294967294,5,7,1,7,1,X'0258');
INSERT INTO snapshot_group VALUES(3,28,0,1,40425,50,0,0,X'058208a49a8aacbb0cb4db8ebcf90109111921293139414951596169717981899199a1a9b1b9c1c9d1d9e1e9f1f880');
INSERT INTO snapshot_group VALUES(3,29,0,2,600,2,0,0,X'884588');
INSERT INTO snapshot_group VALUES(3,30,0,3,30,3,0,0,X'834980');
INSERT INTO snapshot_group VALUES(3,31,7,9,2199023255552,2,0,0,X'a8400000000008');
INSERT INTO snapshot_group VALUES(3,32,4294967294,2,0,2,0,0,X'80a0');
INSERT INTO snapshot_group VALUES(3,33,0,1,258,2,0,0,X'874050');
INSERT INTO snapshot_group VALUES(4,28,0,1,40425,50,0,0,X'058208a49a8aacbb0cb4db8ebcf90109111921293139414951596169717981899199a1a9b1b9c1c9d1d9e1e9f1f880');
INSERT INTO snapshot_group VALUES(4,29,0,2,644,6,0,0,X'878b234080');
INSERT INTO snapshot_group VALUES(4,30,0,3,10,1,0,0,X'0348');
INSERT INTO snapshot_group VALUES(4,31,7,9,2199023255552,2,0,0,X'a8400000000008');
INSERT INTO snapshot_group VALUES(4,32,4294967294,2,0,2,0,0,X'80a0');
INSERT INTO snapshot_group VALUES(4,33,0,1,258,2,0,0,X'874050');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('snapshot',4);
CREATE UNIQUE INDEX frame_native ON frame (module, offset, owner) WHERE module IS NOT NULL;
CREATE UNIQUE INDEX frame_nowhere ON frame (offset, owner) WHERE module IS NULL AND filename IS NULL;
CREATE UNIQUE INDEX frame_source ON frame (filename, lineno, ifnull(function, 0), owner) WHERE filename IS NOT NULL;
CREATE INDEX frame_function ON frame (function) WHERE function IS NOT NULL;
CREATE INDEX symbol_function ON symbol (function) WHERE function IS NOT NULL;
CREATE INDEX symbol_filename ON symbol (filename) WHERE filename IS NOT NULL;
CREATE INDEX traceback_frame ON traceback (frame) WHERE frame IS NOT NULL;
CREATE INDEX snapshot_uid ON snapshot (uid);
CREATE INDEX snapshot_of_set ON snapshot (snapshot_set) WHERE snapshot_set IS NOT NULL;
CREATE INDEX snapshot_domain_name ON snapshot_domain (name);
CREATE INDEX snapshot_group_traceback ON snapshot_group (traceback);
CREATE VIEW most_recent_frame AS
SELECT
  traceback.id AS traceback,
  CAST(coalesce(source.bytes, nullif(line.bytes, x''), path.bytes, '<unknown>') AS TEXT) AS filename,
  coalesce(frame.lineno, iif(length(line.bytes) > 0, symbol.lineno, 0), 0) AS lineno,
  CAST(coalesce(source_function.bytes, nullif(symbol_function.bytes, x'')) AS TEXT) AS function,
  CASE
    WHEN frame.module IS NULL OR (length(line.bytes) > 0 AND symbol.lineno > 0) THEN NULL
    ELSE coalesce(CAST(nullif(symbol_function.bytes, x'') AS TEXT), printf('0x%x', frame.offset))
  END AS place,
  CASE
    WHEN frame.module IS NULL OR (length(line.bytes) > 0 AND symbol.lineno > 0) OR length(symbol_function.bytes) > 0
      THEN NULL
    ELSE module.build_id
  END AS build
FROM traceback
LEFT JOIN frame ON frame.id = traceback.frame
LEFT JOIN string AS source ON source.id = frame.filename
LEFT JOIN string AS source_function ON source_function.id = frame.function
LEFT JOIN symbol ON symbol.frame = frame.id AND symbol.depth = 0
LEFT JOIN string AS line ON line.id = symbol.filename
LEFT JOIN string AS symbol_function ON symbol_function.id = symbol.function
LEFT JOIN module ON module.id = frame.module
LEFT JOIN string AS path ON path.id = module.path;
CREATE VIEW statistics_by_line AS
SELECT snapshot, filename, lineno, place, sum(size) AS size, sum(count) AS count
FROM snapshot_group
JOIN most_recent_frame USING (traceback)
WHERE snapshot_group.count > 0
GROUP BY snapshot, filename, lineno, place, build;
CREATE VIEW statistics_by_file AS
SELECT snapshot, filename, sum(size) AS size, sum(count) AS count
FROM snapshot_group
JOIN most_recent_frame USING (traceback)
WHERE snapshot_group.count > 0
GROUP BY snapshot, filename;
CREATE VIEW statistics_by_function AS
SELECT snapshot, filename, function, sum(size) AS size, sum(count) AS count
FROM snapshot_group
JOIN most_recent_frame USING (traceback)
WHERE snapshot_group.count > 0
GROUP BY snapshot, filename, function;
CREATE VIEW statistics_diff AS
SELECT
  before.id AS old,
  after.id AS new,
  filename,
  lineno,
  place,
  sum(snapshot_group.size * (snapshot = after.id)) AS size,
  sum(snapshot_group.size * ((snapshot = after.id) - (snapshot = before.id))) AS size_diff,
  sum(snapshot_group.count * (snapshot = after.id)) AS count,
  sum(snapshot_group.count * ((snapshot = after.id) - (snapshot = before.id))) AS count_diff
FROM snapshot AS before
JOIN snapshot AS after
JOIN snapshot_group ON snapshot_group.snapshot IN (before.id, after.id)
JOIN most_recent_frame USING (traceback)
WHERE snapshot_group.count > 0
GROUP BY before.id, after.id, filename, lineno, place, build;
COMMIT;
