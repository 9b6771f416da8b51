# SPDX-License-Identifier: Apache-2.0
"""Whether a daemon waits for its database, which somebody else has locked."""
import os

SYS_CLOCK_NANOSLEEP = 230  # what SQLite does between its attempts to get a lock; nothing else in the daemon does


def waits_for_the_database(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/syscall", encoding="utf-8") as f:
            if f.read().split()[0] == str(SYS_CLOCK_NANOSLEEP):
                return True
    return False
