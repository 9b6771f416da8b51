# SPDX-License-Identifier: Apache-2.0
"""The programs of the benchmark: real ones on generated input, and two that do nothing but allocate in threads."""
import os
import shutil

import workloads

# Eight threads in a ring: each allocates, hands every second block to the next thread, which frees it.
THREADS = """
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define N_THREADS 8
#define N_BOX     256
static _Atomic(void *) boxes[N_THREADS][N_BOX];
static void *allocate(uint32_t depth, size_t size) {
        void *block;
        if (depth == 0)
                return malloc(size);
        block = allocate(depth - 1, size);
        __asm__ volatile("" ::: "memory");
        return block;
}
static void *work(void *argument) {
        size_t id = (size_t)argument, n = %d;
        for (uint32_t i = 0, random = (uint32_t)id + 1; i < n; i++) {
                char *block;
                random = random * 1664525 + 1013904223;
                block = allocate(random >> 28, 16 + (random >> 20) %% 500);
                memset(block, 1, 16);
                if (i %% 2)
                        free(block);
                else
                        free(atomic_exchange(&boxes[(id + 1) %% N_THREADS][random >> 24], block));
        }
        return NULL;
}
int main(void) {
        pthread_t threads[N_THREADS];
        for (size_t i = 0; i < N_THREADS; i++)
                pthread_create(&threads[i], NULL, work, (void *)i);
        for (size_t i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
        return 0;
}
"""

PYTHON = """
import json
rows = [dict(id=i, name='n%%d' %% i, tags=[str(i %% 7)] * 3) for i in range(%d)]
text = json.dumps(rows)
print(len(json.loads(text)), len(text))
"""


class Program:
    def __init__(self, name, command, stdin=None, cwd=None, peer_name="heaptrack", peer_command=None):
        self.name, self.command, self.stdin, self.cwd = name, command, stdin, cwd
        self.peer_name, self.peer_command = peer_name, peer_command


def _real(bench, make, **size):
    folder = os.path.join(bench.folder, make.__name__)
    os.makedirs(folder)
    workload = make(folder, **size)
    return Program(workload.name, workload.command, workload.stdin, workload.cwd)


def make_all(bench):
    quick = bench.quick
    programs = [
        _real(bench, workloads.sqlite3, rows=30000 if quick else 120000),
        _real(bench, workloads.clang),
        _real(bench, workloads.cppcheck, functions=150 if quick else 600),
        _real(bench, workloads.perl, n=200000 if quick else 1000000),
        _real(bench, workloads.git, commits=1000 if quick else 4000),
        Program("8 threads", [bench.compile("threads", THREADS % (50000 if quick else 300000))]),
    ]
    if shutil.which("stress-ng"):
        programs.append(Program("stress-ng", ["stress-ng", "--malloc", "8", "--malloc-pthreads", "1", "--malloc-bytes", "16m",
                                              "--malloc-ops", "20000" if quick else "200000", "--oom-avoid"]))
    script = os.path.join(bench.folder, "program.py")
    with open(script, "w", encoding="utf-8") as f:
        f.write(PYTHON % (20000 if quick else 60000))
    python = ["/usr/bin/python3", "-S"]
    programs.append(Program("python3", [*python, script], peer_name="tracemalloc, 25 frames",
                            peer_command=[*python, "-X", "tracemalloc=25", script]))
    return programs
