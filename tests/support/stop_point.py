# SPDX-License-Identifier: Apache-2.0
"""Where the programs of tests/system/test_python_differential.py stop, the same in both runs.

Under `-X tracemalloc` (STOP_DUMP names a file) the traces go there and the program ends. Else it says which process is
there and waits, while tmctl takes a snapshot from outside: waiting itself is one system call.

Before either, the interpreter's cache of type attributes is emptied. It keeps names alive that C code made for one
look-up ("incrementaldecoder" for each open(), "strftime"), in slots that go by the addresses of those names: so how many
there are depends on where the heap lies, and differs between two runs under tracemalloc, too. Both ask for the process's
number: from 3.14 on a dead integer of the program's becomes that one.
"""
import os
import pickle
import sys
import tracemalloc

DUMP = os.environ.get("STOP_DUMP", "")


def stop():
    sys._clear_type_cache()
    pid = os.getpid()
    if DUMP:
        traces = tracemalloc._get_traces()
        tracemalloc.stop()
        with open(DUMP, "wb") as f:
            pickle.dump(traces, f, 4)
    else:
        os.write(2, b"stopped %d\n" % pid)
        os.read(0, 1)
    sys.stdout.flush()
    os._exit(0)
