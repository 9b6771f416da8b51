# SPDX-License-Identifier: Apache-2.0
import sys
from stop_point import stop
sys.setrecursionlimit(3000)
kept = []


def descend(depth):
    if depth == 0:
        kept.append(bytearray(1000))
        return 0
    kept.append(bytes(depth))
    return 1 + descend(depth - 1)


def ackermann(m, n):
    if m == 0:
        return n + 1
    if n == 0:
        return ackermann(m - 1, 1)
    return ackermann(m - 1, ackermann(m, n - 1))


def even(n):
    kept.append("e" * (n + 50))
    return True if n == 0 else odd(n - 1)


def odd(n):
    kept.append("o" * (n + 50))
    return False if n == 0 else even(n - 1)


print(descend(500), descend(40), ackermann(2, 8), even(61))
stop()
