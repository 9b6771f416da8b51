/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A code object of a hostile agent: a CodeDef among the items, its names and its line table.
 *
 * Input: the bytes of one Item message, as they lie behind their length.
 */

#include "daemon/ingest/definitions.h"
#include "daemon/live/code_map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define INSTRUCTIONS 300 /* offsets that are asked for, beyond small tables */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append_item(struct definitions *definitions, const uint8_t *data, size_t size) {
        size_t length = (sizeof(uint32_t) + size + 7) & ~(size_t)7;
        uint8_t *item = calloc(1, length);
        uint32_t word = (uint32_t)size;
        assert(item);
        memcpy(item, &word, sizeof word);
        if (size)
                memcpy(item + sizeof word, data, size);
        int r = definitions_append(definitions, NULL, 0, item, length);
        assert(r == 0);
        free(item);
}

static void check_runs(const struct line_runs *runs) {
        for (uint32_t i = 0; i < runs->n; i++) {
                assert(runs->runs[i].end > (i ? runs->runs[i - 1].end : 0));
                assert(runs->runs[i].lineno <= INT32_MAX);
        }
}

/* Each instruction's location, of this code object and of one that is not there. */
static void locate(struct definitions *definitions, uint32_t code) {
        struct snapshot_builder *builder;
        struct code_map map = {};
        uint32_t location;
        int r = snapshot_builder_new(&builder);
        assert(r == 0);
        for (uint64_t instruction = 0; instruction < INSTRUCTIONS; instruction++) {
                r = code_map_location(&map, builder, &definitions->source, code, instruction, &location);
                assert(r == 0);
        }
        r = code_map_location(&map, builder, &definitions->source, code + 1, UINT64_MAX, &location);
        assert(r == 0);
        check_runs(&map.lines);
        code_map_deinit(&map);
        snapshot_builder_free(builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct definitions definitions;
        struct code_text text;
        if (size > ITEM_BYTES_MAX)
                return 0;
        definitions_open_socket(&definitions);
        append_item(&definitions, data, size);
        (void)definitions.source.code(&definitions.source, 0, &text); /* walks the items */
        assert(definitions.n_codes <= 1);
        locate(&definitions, definitions.n_codes ? definitions.codes[0].code : 7);
        definitions_close(&definitions);
        return 0;
}
