# SPDX-License-Identifier: Apache-2.0
# Many stacks in one thread, exchanged below the interpreter: from Python frames, and from within C calls.
import greenlet
from stop_point import stop

kept = []
hub = greenlet.getcurrent()


def deep(n, function):
    return deep(n - 1, function) if n else function()


def worker(k):
    def work():
        for i in range(30):
            kept.append(bytes(1000 + k))
            hub.switch(i)
            kept.append(bytearray(500 + k))
    return work


def key(x):
    hub.switch(x)
    kept.append(bytes(4000 + x))
    return x


def in_sort(n):
    kept.append(sorted(range(n), key=key))


def ended():
    try:
        hub.switch()
    finally:
        kept.append(bytes(9999))


def run(greenlets):
    while greenlets:
        for g in greenlets:
            g.switch()
            kept.append(bytes(3000))
        greenlets = [g for g in greenlets if not g.dead]


workers = [greenlet.greenlet(deep) for _ in range(20)]
for k, g in enumerate(workers):
    g.switch(k, worker(k))
run(workers)
sorters = [greenlet.greenlet(in_sort) for _ in range(10)]
for g in sorters:
    g.switch(20)
run(sorters)
for _ in range(20):
    g = greenlet.greenlet(ended)
    g.switch()
    g.throw()
print(len(kept))
stop()
