# SPDX-License-Identifier: Apache-2.0
import sys
from stop_point import stop

kept = []


def down(n):
    kept.append(bytes(200 + n % 50))
    down(n + 1)


class Endless:
    def __repr__(self):
        return repr(self) + "x"

    def __eq__(self, other):
        return other == self

    def __getattr__(self, name):
        return getattr(self, name + "x")


def deep(n):
    if n:
        return deep(n - 1)
    return [bytes(1000 + i) for i in range(20)]


for limit in (200, 500, 900):
    sys.setrecursionlimit(limit)
    try:
        down(0)
    except RecursionError as error:
        kept.append(str(error))
for ask in (lambda: repr(Endless()), lambda: Endless() == Endless(), lambda: Endless().a):
    try:
        ask()
    except RecursionError as error:
        kept.append(type(error).__name__ * 20)
sys.setrecursionlimit(20000)
for n in (1500, 3000, 10, 2900):
    kept.append(deep(n))
print(len(kept) > 1000)
stop()
