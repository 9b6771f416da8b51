# SPDX-License-Identifier: Apache-2.0
from stop_point import stop


def count(n):
    for i in range(n):
        yield b"x" * (100 + i)


def flatten(tree):
    for item in tree:
        if isinstance(item, list):
            yield from flatten(item)
        else:
            yield item


def average():
    total, n = 0, 0
    while True:
        value = yield total / n if n else 0
        total += value
        n += 1


kept = list(count(500))
half_way = [count(50) for _ in range(30)]
taken = [next(generator) for generator in half_way]
tree = [list(range(300, 310)), [[bytes(i) for i in range(200, 260)], ["a" * 99]]]
leaves = [leaf for leaf in flatten(tree)]
running = average()
next(running)
means = [running.send(i * 1000) for i in range(300)]
print(len(kept), len(taken), len(leaves), means[-1])
stop()
