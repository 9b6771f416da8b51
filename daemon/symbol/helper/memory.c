/* SPDX-License-Identifier: Apache-2.0 */

/* Allocation for the helper, whose one answer to "no memory" is to end. */

#include "daemon/symbol/helper/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_NO_MEMORY 71 /* EX_OSERR of sysexits(3) */

static void *or_end(void *pointer) {
        if (!pointer)
                _exit(EXIT_NO_MEMORY);
        return pointer;
}

void *memory_new(size_t n, size_t element_bytes) {
        return or_end(calloc(n ? n : 1, element_bytes));
}

void *memory_grow(void *array, size_t n, size_t *sizep, size_t element_bytes) {
        if (n < *sizep)
                return array;
        *sizep = *sizep ? *sizep * 2 : 16;
        return or_end(reallocarray(array, *sizep, element_bytes));
}

char *memory_string(const char *bytes, size_t length) {
        char *copy = or_end(malloc(length + 1));
        memcpy(copy, bytes, length);
        copy[length] = '\0';
        return copy;
}
