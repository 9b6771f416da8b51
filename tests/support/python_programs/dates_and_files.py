# SPDX-License-Identifier: Apache-2.0
import datetime
import os
from stop_point import stop
start = datetime.datetime(2020, 1, 1)
days = [start + datetime.timedelta(days=i, hours=i % 7) for i in range(500)]
texts = [day.isoformat() for day in days]
parsed = [datetime.datetime.fromisoformat(text) for text in texts]
names = [day.strftime("%A %d %B") for day in days[:100]]
contents = []
for i in range(20):
    path = os.path.join(os.curdir, "file%d" % i)  # the working folder is the test's
    with open(path, "w") as f:
        f.write("line of file %d\n" % i * (i + 10))
    with open(path) as f:
        contents.append(f.readlines())
    with open(path, "rb") as f:
        contents.append(f.read())
    os.unlink(path)
print(len(parsed), len(names), len(contents))
stop()
