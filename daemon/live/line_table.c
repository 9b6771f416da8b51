/* SPDX-License-Identifier: Apache-2.0 */

/* Decodes line tables. Runs on the ingest worker that owns the image; called by code_map.c. */

#include "daemon/live/line_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* delta of 3.10: no line, the running one stays */
#define NO_LINE_310 (-128)

#define CODE_UNIT_BYTES 2 /* of an instruction, since 3.6 */

/* Codes of an entry of the locations table (Objects/locations.md of 3.11). */
enum {
        LOCATION_ONE_LINE_0 = 10,
        LOCATION_ONE_LINE_2 = 12,
        LOCATION_NO_COLUMNS = 13,
        LOCATION_LONG = 14,
        LOCATION_NONE = 15
};

/* What is left of a table. Lines are counted with wrap-around: a hostile table may add up to anything. */
struct cursor {
        const uint8_t *bytes, *end;
        struct line_runs *runs;
        uint32_t first_run;
        uint32_t offset, line;
        int error;
};

/* Extend the last run, or begin a new one. Lines below 1 are none, as for tracemalloc. */
static void add_run(struct cursor *c, uint32_t end, bool has_line) {
        uint32_t lineno = has_line && (int32_t)c->line > 0 ? c->line : 0;
        struct line_runs *runs = c->runs;
        if (end == c->offset)
                return;
        c->offset = end;
        if (runs->n > c->first_run && runs->runs[runs->n - 1].lineno == lineno) {
                runs->runs[runs->n - 1].end = end;
                return;
        }
        if (runs->n == LINE_RUNS_MAX) {
                c->error = LINE_TABLE_E_FULL;
                return;
        }
        if (runs->n == runs->capacity) {
                uint32_t capacity = runs->capacity ? 2 * runs->capacity : 256;
                struct line_run *grown = realloc(runs->runs, capacity * sizeof *grown);
                if (!grown) {
                        c->error = -ENOMEM;
                        return;
                }
                runs->runs = grown;
                runs->capacity = capacity;
        }
        runs->runs[runs->n++] = (struct line_run){.end = end, .lineno = lineno};
}

/* Pairs (bytes to go on, signed lines to go on); the last line goes on for ever. */
static void decode_309(struct cursor *c) {
        for (; c->end - c->bytes >= 2 && !c->error; c->bytes += 2) {
                add_run(c, c->offset + c->bytes[0], true);
                c->line += (uint32_t)(int8_t)c->bytes[1];
        }
        if (!c->error)
                add_run(c, UINT32_MAX, true);
}

/* Pairs (bytes that this line holds, signed lines to go on before them). A program may have cut its code's table:
 * behind half a pair CPython reads the 0 that ends every bytes object. */
static void decode_310(struct cursor *c) {
        while (c->bytes < c->end && !c->error) {
                uint8_t n_bytes = *c->bytes++;
                int8_t delta = c->bytes < c->end ? (int8_t)*c->bytes++ : 0;
                if (delta != NO_LINE_310)
                        c->line += (uint32_t)delta;
                add_run(c, c->offset + n_bytes, delta != NO_LINE_310);
        }
}

/* 6 bits a byte, low ones first, bit 6: more follow; the lowest bit of the number is its sign. */
static uint32_t read_signed_varint(const uint8_t *bytes, const uint8_t *end) {
        uint32_t number = 0;
        for (unsigned shift = 0; bytes < end; shift += 6, bytes++) {
                if (shift < 32)
                        number |= (uint32_t)(*bytes & 63) << shift;
                if (!(*bytes & 64))
                        break;
        }
        return number & 1 ? 0 - (number >> 1) : number >> 1;
}

/* Entries of a byte 1cccclll (code, instructions - 1) and others without bit 7. */
static void decode_311(struct cursor *c) {
        while (c->bytes < c->end && !c->error) {
                uint8_t head = *c->bytes++;
                const uint8_t *rest = c->bytes;
                while (c->bytes < c->end && !(*c->bytes & 0x80))
                        c->bytes++;
                unsigned code = head >> 3 & 15;
                if (code == LOCATION_NO_COLUMNS || code == LOCATION_LONG)
                        c->line += read_signed_varint(rest, c->bytes);
                else if (code >= LOCATION_ONE_LINE_0 && code <= LOCATION_ONE_LINE_2)
                        c->line += code - LOCATION_ONE_LINE_0;
                add_run(c, c->offset + ((head & 7U) + 1) * CODE_UNIT_BYTES, code != LOCATION_NONE);
        }
}

int line_table_decode(uint32_t format, int32_t first_line, const void *table, size_t length, struct line_runs *runs) {
        static const uint8_t nothing[1];
        const uint8_t *bytes = length ? table : nothing;
        struct cursor cursor = {.bytes = bytes,
                                .end = bytes + length,
                                .runs = runs,
                                .first_run = runs->n,
                                .line = (uint32_t)first_line};
        switch (format) {
        case LINE_TABLE_309:
                decode_309(&cursor);
                break;
        case LINE_TABLE_310:
                decode_310(&cursor);
                break;
        case LINE_TABLE_311:
                decode_311(&cursor);
                break;
        default:
                return LINE_TABLE_E_FORMAT;
        }
        if (cursor.error)
                runs->n = cursor.first_run;
        return cursor.error;
}

uint32_t line_runs_find(const struct line_run *runs, uint32_t n, uint64_t offset) {
        uint32_t low = 0, high = n;
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;
                if (runs[middle].end <= offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < n ? runs[low].lineno : 0;
}

void line_runs_deinit(struct line_runs *runs) {
        free(runs->runs);
        *runs = (struct line_runs){};
}
