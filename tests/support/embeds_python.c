/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program with a libpython.so that calls PyTraceMalloc_Track() as an extension module does, for
 * tests/system/test_api.py. Compiled there, without Python's headers. Its argument is Python code to run first.
 */

#include <stdint.h>
#include <stdio.h>

extern void Py_InitializeEx(int);
extern int PyRun_SimpleString(const char *);
extern int PyTraceMalloc_Track(unsigned int, uintptr_t, size_t);
extern int PyTraceMalloc_Untrack(unsigned int, uintptr_t);

int main(int argc, char **argv) {
        Py_InitializeEx(0);
        PyRun_SimpleString(argc > 1 ? argv[1] : "");
        printf("%d", PyTraceMalloc_Track(389047, 4096, 1000));
        printf(" %d", PyTraceMalloc_Track(389047, 4096, 1234));
        printf(" %d", PyTraceMalloc_Track(389047, 8192, 1000));
        printf(" %d", PyTraceMalloc_Untrack(389047, 8192));
        printf(" %d\n", PyTraceMalloc_Untrack(389047, 99));
        fflush(stdout);
        PyRun_SimpleString("import tracemalloc\n"
                           "if tracemalloc.is_tracing():\n"
                           "    print(sum(t.size for t in tracemalloc.take_snapshot().traces if t.domain == 389047), "
                           "flush=True)\n");
        getchar();
        return 0;
}
