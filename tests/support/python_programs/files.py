# SPDX-License-Identifier: Apache-2.0
import io
import os
from stop_point import stop
lines, contents, kept = [], [], []
for i in range(20):
    path = os.path.join(os.curdir, "file%d" % i)  # the working folder is the test's
    with open(path, "w") as f:
        f.write("line of file %d\n" % i * (i + 10))
    with open(path) as f:
        lines.append(f.readlines())
    with open(path, "rb") as f:
        contents.append(f.read())
    if i % 4 == 0:
        kept.append(open(path, buffering=1000 + i))
        kept[-1].readline()
    os.unlink(path)
text = io.StringIO()
for part in lines:
    text.writelines(part)
raw = io.BytesIO(b"".join(contents))
print(len(contents), len(kept), len(text.getvalue()), len(raw.read()))
stop()
