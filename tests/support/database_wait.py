# SPDX-License-Identifier: Apache-2.0
"""Whether a daemon's store waits for its database, which somebody else has locked."""
import os

SYS_CLOCK_NANOSLEEP = 230  # what SQLite does between its attempts to get a lock
STORE = "store"            # name of the thread that writes; ingest workers sleep so, too


def read(path):
    """Empty where the thread has gone."""
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def waits_for_the_database(pid):
    folder = f"/proc/{pid}/task"
    return any(read(f"{folder}/{task}/comm").strip() == STORE and read(f"{folder}/{task}/syscall").startswith(f"{SYS_CLOCK_NANOSLEEP} ")
               for task in os.listdir(folder))
