/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Arrays in memory of malloc's that Python's tracemalloc is told of, as NumPy does, for
 * tests/system/test_python_tracked.py. Compiled there, without Python's headers, and loaded by ctypes. BY_POINTER: the
 * functions are called through pointers that the loader fills in when it loads the library.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define DOMAIN 389047

extern int PyTraceMalloc_Track(unsigned int, uintptr_t, size_t);
extern int PyTraceMalloc_Untrack(unsigned int, uintptr_t);

#ifdef BY_POINTER
static int (*volatile track)(unsigned int, uintptr_t, size_t) = PyTraceMalloc_Track;
static int (*volatile untrack)(unsigned int, uintptr_t) = PyTraceMalloc_Untrack;
#else
#define track   PyTraceMalloc_Track
#define untrack PyTraceMalloc_Untrack
#endif

void *take(size_t size);
void *resize(void *array, size_t size);
void give(void *array);
int tell(uintptr_t address, size_t size);

void *take(size_t size) {
        void *array = malloc(size);
        track(DOMAIN, (uintptr_t)array, size);
        return array;
}

void *resize(void *array, size_t size) {
        untrack(DOMAIN, (uintptr_t)array);
        void *moved = realloc(array, size);
        track(DOMAIN, (uintptr_t)moved, size);
        return moved;
}

void give(void *array) {
        untrack(DOMAIN, (uintptr_t)array);
        free(array);
}

/* Of what is nobody's block. Return: Python's answer. */
int tell(uintptr_t address, size_t size) {
        return track(DOMAIN, address, size) * 10 + untrack(DOMAIN, address);
}
