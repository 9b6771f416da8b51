# SPDX-License-Identifier: Apache-2.0
import csv
import io
import textwrap
from stop_point import stop
out = io.StringIO()
writer = csv.writer(out)
for i in range(400):
    writer.writerow([i, "name %d" % i, 'quoted "%d"' % i, i / 3])
text = out.getvalue()
rows = list(csv.reader(io.StringIO(text)))
entries = list(csv.DictReader(io.StringIO(text), fieldnames=["id", "name", "quoted", "share"]))
wrapped = textwrap.wrap(" ".join(row[1] for row in rows), 60)
binary = io.BytesIO()
for row in rows:
    binary.write(repr(row).encode())
lines = text.splitlines(True)
print(len(rows), len(entries), len(wrapped), len(binary.getvalue()), len(lines))
stop()
