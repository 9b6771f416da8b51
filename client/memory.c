/* SPDX-License-Identifier: Apache-2.0 */

/* Allocation that cannot fail, for all of tmctl. */

#include "client/memory.h"

#include "client/exit_code.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory_check(void *pointer) {
        if (!pointer) {
                fputs("tmctl: out of memory\n", stderr); /* message_error() needs some */
                exit(EXIT_CODE_FAILED);
        }
        return pointer;
}

void *memory_zalloc(size_t size) {
        return memory_check(calloc(1, size ? size : 1));
}

void *memory_grow(void *pointer, size_t n, size_t size) {
        return memory_check(reallocarray(pointer, n ? n : 1, size));
}

char *memory_copy(const void *bytes, size_t length) {
        char *copy = memory_check(malloc(length + 1));
        if (length > 0)
                memcpy(copy, bytes, length);
        copy[length] = '\0';
        return copy;
}

char *memory_format(const char *format, ...) {
        char *text = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&text, format, ap);
        va_end(ap);
        return memory_check(n < 0 ? NULL : text);
}
