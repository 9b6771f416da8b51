-- SPDX-License-Identifier: Apache-2.0
--
-- The views of snapshots.db, made anew by each migration. What they show is what tmctl stats and compare show without
-- filters, and is tested against these.

-- What is shown of a traceback's most recent frame: its source line where one is known, else the module's path, lineno 0,
-- and in "place" what tells two such frames apart, the function or the offset. A native frame stands for its innermost
-- inlined call. "build" tells offsets in two files of one path apart.
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

-- Snapshot.statistics('lineno'): SELECT * FROM statistics_by_line WHERE snapshot = 17 ORDER BY size DESC.
CREATE VIEW statistics_by_line AS
SELECT snapshot, filename, lineno, place, sum(size) AS size, sum(count) AS count
FROM snapshot_group
JOIN most_recent_frame USING (traceback)
WHERE snapshot_group.count > 0 AND snapshot NOT IN (SELECT snapshot FROM deletion)
GROUP BY snapshot, filename, lineno, place, build;

-- Snapshot.statistics('filename')
CREATE VIEW statistics_by_file AS
SELECT snapshot, filename, sum(size) AS size, sum(count) AS count
FROM snapshot_group
JOIN most_recent_frame USING (traceback)
WHERE snapshot_group.count > 0 AND snapshot NOT IN (SELECT snapshot FROM deletion)
GROUP BY snapshot, filename;

CREATE VIEW statistics_by_function AS
SELECT snapshot, filename, function, sum(size) AS size, sum(count) AS count
FROM snapshot_group
JOIN most_recent_frame USING (traceback)
WHERE snapshot_group.count > 0 AND snapshot NOT IN (SELECT snapshot FROM deletion)
GROUP BY snapshot, filename, function;

-- new.compare_to(old, 'lineno'): SELECT * FROM statistics_diff WHERE old = 17 AND new = 18 ORDER BY abs(size_diff) DESC.
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
WHERE snapshot_group.count > 0 AND snapshot_group.snapshot NOT IN (SELECT snapshot FROM deletion)
GROUP BY before.id, after.id, filename, lineno, place, build;
