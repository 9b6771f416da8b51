/* SPDX-License-Identifier: Apache-2.0 */

/* References to snapshots, as a client sends them. */

#include "daemon/query/reference.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text = malloc(size + 1);
        assert(text);
        memcpy(text, data, size);
        text[size] = '\0';
        struct reference *reference = NULL;
        char *message = NULL;
        int r = reference_parse(text, &reference, &message);
        if (r == 0) {
                assert(reference->n_items >= 1 && reference->n_items <= REFERENCE_ITEMS_MAX);
                for (size_t i = 0; i < reference->n_items; i++)
                        assert(reference->items[i].number >= (reference->items[i].kind == REFERENCE_LAST ? 0 : 1));
        } else {
                assert(r == QUERY_E_USAGE && message); /* one line of it makes who prints it */
        }
        free(reference);
        free(message);
        free(text);
        return 0;
}
