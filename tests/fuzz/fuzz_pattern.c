/* SPDX-License-Identifier: Apache-2.0 */

/* Patterns of filters: the input is a pattern, a NUL, and a name to match. */

#include "daemon/query/pattern.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *end = size ? memchr(data, 0, size) : NULL;
        if (!end)
                return 0;
        const char *pattern = (const char *)data, *name = (const char *)end + 1;
        size_t length = (size_t)(end - data), name_length = size - length - 1;
        if (length > 256 || name_length > 4096)
                return 0; /* the cost is their product */
        for (int kind = PATTERN_TEXT; kind <= PATTERN_FILENAME; kind++) {
                struct pattern *p;
                int r = pattern_new((enum pattern_kind)kind, pattern, length, &p);
                assert(r == 0);
                bool matches = pattern_match(p, name, name_length);
                assert(matches || length != 1 || pattern[0] != '*');
                pattern_free(p);
        }
        return 0;
}
