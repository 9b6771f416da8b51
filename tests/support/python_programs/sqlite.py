# SPDX-License-Identifier: Apache-2.0
import sqlite3
from stop_point import stop
db = sqlite3.connect(":memory:")
db.execute("create table t(a integer primary key, b text, c blob)")
db.executemany("insert into t(b, c) values(?, ?)", [("text %d" % i, bytes(i)) for i in range(500)])
rows = db.execute("select a, b, c from t where a % 2 order by b").fetchall()
by_name = {row[1]: row for row in rows}
db.create_function("twice", 1, lambda text: text + text)
doubled = [row[0] for row in db.execute("select twice(b) from t")]
print(len(rows), len(by_name), len(doubled), doubled[3])
stop()
