# SPDX-License-Identifier: Apache-2.0
import multiprocessing
import os
from stop_point import stop


def work(number):
    return bytes(1000 + number)


def forked():
    sizes = []
    for i in range(5):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"x" * (100 + i))
            os._exit(0)
        os.waitpid(child, 0)
        sizes.append(os.read(reader, 1000))
        os.close(reader)
        os.close(writer)
    return sizes


def piped():
    ours, theirs = multiprocessing.Pipe()
    got = []
    for i in range(30):
        theirs.send([i] * 100)
        got.append(ours.recv())
    return got


sizes = forked()
got = piped()
mine = [work(i) for i in range(40)]
print(len(sizes), len(got), len(mine))
stop()
