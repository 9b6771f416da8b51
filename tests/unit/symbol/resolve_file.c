/* SPDX-License-Identifier: Apache-2.0 */

/*
 * resolve_file HELPER FILE [DEBUG-ROOT [BUILD-ID [TIMEOUT-MS]]]: hexadecimal
 * addresses as the file has them on stdin; frames on stdout in the form of
 * addr2line -a -i -f -C, for the Python tests here. Goes the whole way: registry
 * of files, symbolizer, socket, helper. The first line says what was found out about
 * the file.
 */

#include "daemon/symbol/symbolizer.h"

#include <fcntl.h>
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
                        offsets = realloc(offsets, size * sizeof *offsets);
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

static size_t parse_build_id(const char *hex, uint8_t *build_id) {
        size_t n = 0;
        for (; n < SYMBOL_SET_BUILD_ID_MAX && sscanf(hex + 2 * n, "%2hhx", &build_id[n]) == 1; n++)
                continue;
        return n;
}

/* As an agent hands it over: the helper may not be able to open the path. */
static int hand_over(struct module_files *files, const char *path, const uint8_t *build_id, size_t build_id_length) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? 0 : module_files_add(files, 0, path, strlen(path), build_id, build_id_length, fd);
}

int main(int argc, char **argv) {
        struct symbolizer_config config = {.debug_root = argc > 3 && argv[3][0] ? argv[3] : NULL,
                                           .request_timeout_ms = argc > 5 ? (uint32_t)atoi(argv[5]) : 0};
        struct module_files *files;
        struct symbolizer *symbolizer;
        struct symbol_set *set;
        uint8_t build_id[SYMBOL_SET_BUILD_ID_MAX];
        uint32_t module;
        size_t n;
        if (argc < 3)
                return 2;
        config.helper_path = argv[1];
        config.debuginfod_urls = getenv("DEBUGINFOD_URLS");
        config.debuginfod_cache = getenv("DEBUGINFOD_CACHE_PATH");
        size_t build_id_length = argc > 4 ? parse_build_id(argv[4], build_id) : 0;
        uint64_t *offsets = read_offsets(&n);
        if (module_files_new(&(struct module_files_limits){1, 1}, &files) != 0 ||
            symbolizer_new(&config, files, &symbolizer) != 0 || symbol_set_new(&set) != 0 ||
            symbol_set_module(set, argv[2], strlen(argv[2]), build_id, build_id_length, &module) != 0 ||
            hand_over(files, argv[2], build_id, build_id_length) != 0)
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
        module_files_free(files);
        free(offsets);
        return 0;
}
