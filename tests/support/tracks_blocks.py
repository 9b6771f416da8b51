# SPDX-License-Identifier: Apache-2.0
"""A Python program that uses libtracemallocd by ctypes, for tests/system/test_api.py: tracks_blocks.py LIBRARY"""
import ctypes
import sys

tm = ctypes.CDLL(sys.argv[1])
tm.tm_track.argtypes = [ctypes.c_uint, ctypes.c_size_t, ctypes.c_size_t]
tm.tm_untrack.argtypes = [ctypes.c_uint, ctypes.c_size_t]


def take(n):
    return [tm.tm_track(389047, 4096 * i, 100) for i in range(1, n + 1)]  # the line of this is wanted


results = [tm.tm_domain_name(389047, b"arrays"), tm.tm_phase(b"loading"), *take(10), tm.tm_untrack(389047, 4096)]
print(tm.tm_traced(), *results, flush=True)
sys.stdin.read()
