# SPDX-License-Identifier: Apache-2.0
from stop_point import stop
rows = []
for i in range(3000):
    rows.append("%d" % i * 3)
    if i % 3 == 0:
        rows.insert(0, bytes(i % 100 + 300))
table = {}
for i in range(5000):
    table["key %d" % i] = i * 1000
for i in range(0, 5000, 2):
    del table["key %d" % i]
buffer = bytearray()
for i in range(2000):
    buffer += b"0123456789" * (i % 5)
del buffer[100:5000]
text = ""
for i in range(500):
    text += "piece %d" % i
members = set()
for i in range(4000):
    members.add(i * 7)
matrix = [[0] * 50 for _ in range(100)]
for i, row in enumerate(matrix):
    row.extend(range(1000, 1000 + i))
print(len(rows), len(table), len(buffer), len(text), len(members))
stop()
