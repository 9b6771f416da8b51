# SPDX-License-Identifier: Apache-2.0
# A child's child stops: it has what both forked from, less what was freed since, and its own.
import os
import threading
from stop_point import stop

kept = []


def down(n, size):
    if n:
        return down(n - 1, size)
    kept.extend(bytes(size + i) for i in range(30))


def in_child():
    child = os.fork()
    if child:
        down(3, 2000)
        os.waitpid(child, 0)
        os._exit(0)


def made(size):
    exec(compile("kept.append(bytes(%d))\n\n\ndef f(): kept.append([bytes(%d)] * 40)\nf()\n" % (size, size + 1), __file__, "exec"))


down(5, 1000)
made(70001)
in_child()
del kept[:10]
down(5, 1500)
kept[5:8] = [[i] * 50 for i in range(3)]
thread = threading.Thread(target=made, args=(80001,))
thread.start()
thread.join()
in_child()
made(70001)
del kept[-5:]
kept.extend(bytearray(700 + i) for i in range(20))
down(5, 1000)
print(len(kept))
stop()
