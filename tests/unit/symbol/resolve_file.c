/* SPDX-License-Identifier: Apache-2.0 */

/*
 * resolve_file HELPER FILE [DEBUG-ROOT]: hexadecimal addresses as the file has
 * them on stdin; frames on stdout in the form of addr2line -a -i -f -C, for
 * test_addr2line.py. Goes the whole way: symbolizer, socket, helper. The first line says
 * what was found out about the file.
 */

#include "daemon/symbol/symbolizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t *read_offsets(size_t *np) {
        uint64_t *offsets = NULL, address;
        size_t n = 0, size = 0;

        while (scanf("%" SCNx64, &address) == 1) {
                if (n == size) {
                        size = size ? size * 2 : 1024;
                        offsets = realloc(offsets, size * sizeof(*offsets));
                        if (!offsets)
                                abort();
                }
                offsets[n++] = address + 1; /* of the return address */
        }
        *np = n;
        return offsets;
}

static void print_text(const struct snapshot_string *text) {
        if (text->bytes)
                fwrite(text->bytes, 1, text->length, stdout);
        else
                fputs("??", stdout);
}

static void print_location(const struct symbol_set *set, uint32_t module, uint64_t offset) {
        uint32_t n;
        const struct symbol_frame *frames = symbol_set_find(set, module, offset, &n);

        printf("0x%016" PRIx64 "\n", offset - 1);
        for (uint32_t i = 0; frames && i < n; i++) {
                print_text(&frames[i].function);
                putchar('\n');
                print_text(&frames[i].filename);
                printf(":%u\n", frames[i].lineno);
        }
}

int main(int argc, char **argv) {
        struct symbolizer_config config = {.debug_root = argc > 3 ? argv[3] : NULL};
        struct symbolizer *symbolizer;
        struct symbol_set *set;
        uint32_t module;
        size_t n;

        if (argc < 3)
                return 2;
        config.helper_path = argv[1];
        config.debuginfod_urls = getenv("DEBUGINFOD_URLS");
        uint64_t *offsets = read_offsets(&n);
        if (symbolizer_new(&config, NULL, &symbolizer) != 0 || symbol_set_new(&set) != 0 ||
            symbol_set_module(set, argv[2], strlen(argv[2]), NULL, 0, &module) != 0)
                return 1;
        int r = symbolizer_resolve(symbolizer, 0, module, offsets, n, set, SYMBOLIZER_NO_DEADLINE);
        if (r != 0) {
                fprintf(stderr, "resolve_file: %s\n", r < 0 ? strerror(-r) : "too late");
                return 1;
        }
        const struct symbol_module *described = symbol_set_module_at(set, module);
        printf("has_lines=%d problem=", described->has_lines);
        print_text(&described->problem);
        putchar('\n');
        for (size_t i = 0; i < n; i++)
                print_location(set, module, offsets[i]);
        symbol_set_free(set);
        symbolizer_free(symbolizer);
        free(offsets);
        return 0;
}
