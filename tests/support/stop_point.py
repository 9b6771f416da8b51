# SPDX-License-Identifier: Apache-2.0
"""Where the programs of tests/system/test_python_differential.py stop, the same in both runs.

Under `-X tracemalloc` (STOP_DUMP names a file) the traces go there and the program ends. Else it says that it is
there and waits, while tmctl takes a snapshot from outside: waiting itself is one system call.
"""
import os
import pickle
import sys
import tracemalloc

DUMP = os.environ.get("STOP_DUMP", "")
READY = b"stopped\n"


def stop():
    if DUMP:
        traces = tracemalloc._get_traces()
        tracemalloc.stop()
        with open(DUMP, "wb") as f:
            pickle.dump(traces, f, 4)
    else:
        os.write(2, READY)
        os.read(0, 1)
    sys.stdout.flush()
    os._exit(0)
