# SPDX-License-Identifier: Apache-2.0
import ctypes
from stop_point import stop

libc = ctypes.CDLL(None)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
libc.pthread_create.argtypes = [ctypes.POINTER(ctypes.c_ulong), ctypes.c_void_p, START, ctypes.c_void_p]
libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
kept = []


class Pair(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int), ("text", ctypes.c_char * 100)]


def compare(a, b):
    kept.append(bytes(400 + a[0] % 7))
    return (a[0] > b[0]) - (a[0] < b[0])


def nested(n):
    if n:
        return nested(n - 1)
    kept.append(bytearray(5000))


@START
def in_foreign_thread(argument):
    kept.append([bytes(600 + i) for i in range(5)])
    nested(3)
    return 0


numbers = (ctypes.c_int * 40)(*[i * 7919 % 101 for i in range(40)])
libc.qsort(numbers, 40, 4, COMPARE(compare))
for i in range(10):
    thread = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, in_foreign_thread, None)
    libc.pthread_join(thread, None)
pairs = [Pair(i, b"x" * 20) for i in range(50)]
buffers = [ctypes.create_string_buffer(200 + i) for i in range(30)]
print(len(kept), numbers[0], numbers[39])
stop()
