# SPDX-License-Identifier: Apache-2.0
import re
from stop_point import stop
text = " ".join("user%d@host%d.example.org, %d.%d;" % (i, i % 13, i, i * 7) for i in range(800))
addresses = re.findall(r"([a-z]+\d+)@([a-z0-9.]+)", text)
numbers = [float(m.group(1)) for m in re.finditer(r"(\d+\.\d+);", text)]
replaced = re.sub(r"host(\d+)", lambda m: "HOST<%s>" % m.group(1), text)
pieces = re.split(r"[,;] ?", text)
patterns = [re.compile("(?P<name%d>x{%d,%d}|[a-%s]+)+?" % (i, i, i + 5, "bcdefghij"[i % 9])) for i in range(60)]
print(len(addresses), sum(numbers), len(replaced), len(pieces), len(patterns))
stop()
