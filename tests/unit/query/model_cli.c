/* SPDX-License-Identifier: Apache-2.0 */

/* The Snapshot model on standard input and output (world.h); tests/system/model_differential.py drives it. */

#include "tests/unit/query/world.h"

#include <stdlib.h>
#include <string.h>

int main(void) {
        struct world *w = world_new();
        char *line = NULL;
        size_t size = 0;
        while (getline(&line, &size, stdin) > 0) {
                line[strcspn(line, "\n")] = '\0';
                world_line(w, line, stdout);
        }
        free(line);
        world_free(w);
        return fflush(stdout) == 0 ? 0 : 1;
}
