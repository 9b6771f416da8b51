/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reader and writer of tracemalloc's files as a program, for comparison with Python.
 *
 * usage: pickle_cli show|3.8|3.9 PIECE   with a file on stdin, fed to the reader in pieces of so many bytes
 *
 * show answers "limit N", "foreign NAMES", then "trace DOMAIN TOTAL_NFRAME|- SIZE COUNT FRAME..." with frames oldest
 * first, FILE,LINE, percent-encoded; 3.8 and 3.9 write the file again in that shape. What is refused: its message on
 * stderr and status 1.
 */

#include "daemon/query/pickle_reader.h"
#include "daemon/query/pickle_writer.h"
#include "daemon/query/trace_list.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pickle_reader *read_file(size_t piece, struct snapshot **snapshotp) {
        struct pickle_reader *reader;
        char *bytes = malloc(piece);
        size_t n;
        int r;
        assert(bytes);
        r = pickle_reader_new(PICKLE_MEMORY_MAX, &reader);
        assert(r == 0);
        while (r == 0 && (n = fread(bytes, 1, piece, stdin)) > 0)
                r = pickle_reader_feed(reader, bytes, n);
        if (r == 0)
                r = pickle_reader_finish(reader, snapshotp);
        free(bytes);
        if (r != 0) {
                fprintf(stderr, "%s\n", r > 0 ? pickle_reader_message(reader) : strerror(-r));
                exit(1);
        }
        return reader;
}

static void print_text(const struct text *text) {
        for (size_t i = 0; i < text->length; i++)
                printf("%%%02X", (unsigned char)text->bytes[i]);
}

static void print_frames(const struct model *m, uint32_t node) {
        const struct traceback_frame *frame = &m->table.frames[m->table.nodes[node].frame];
        if (m->table.nodes[node].parent != TRACEBACK_ROOT)
                print_frames(m, m->table.nodes[node].parent);
        putchar(' ');
        print_text(&m->table.texts.texts[frame->filename]);
        printf(",%" PRIu32, frame->lineno);
}

static void show(const struct model *m) {
        struct trace_list *list;
        int r = trace_list_compute(m, false, &list);
        assert(r == 0);
        for (size_t i = 0; i < list->n_rows; i++) {
                const struct trace_row *row = &list->rows[i];
                printf("trace %" PRIu32 " ", row->domain);
                if (row->total_nframe == SNAPSHOT_TOTAL_NFRAME_UNKNOWN)
                        putchar('-');
                else
                        printf("%" PRIu32, row->total_nframe);
                printf(" %" PRIu64 " %" PRIu64, row->size, row->count);
                print_frames(m, row->node);
                putchar('\n');
        }
        trace_list_free(list);
}

static int write_out(void *userdata, const void *bytes, size_t length) {
        (void)userdata;
        return fwrite(bytes, 1, length, stdout) == length ? 0 : -1;
}

int main(int argc, char **argv) {
        struct pickle_sink sink = {.write = write_out};
        struct pickle_summary summary;
        struct snapshot *snapshot;
        struct model model;
        if (argc != 3 || atoi(argv[2]) < 1)
                return 2;
        struct pickle_reader *reader = read_file((size_t)atoi(argv[2]), &snapshot);
        int r = model_init(&model);
        if (r == 0)
                r = model_add(&model, MODEL_NEW, &(struct model_source){.snapshot = snapshot});
        assert(r == 0);
        if (strcmp(argv[1], "show") == 0) {
                printf("limit %" PRIu32 "\nforeign %s\n", snapshot->info.traceback_limit,
                       pickle_reader_foreign(reader));
                show(&model);
        } else {
                r = pickle_write(&model, strcmp(argv[1], "3.8") == 0 ? PICKLE_SHAPE_3_8 : PICKLE_SHAPE_3_9,
                                 snapshot->info.traceback_limit, &sink, &summary);
        }
        model_deinit(&model);
        snapshot_unref(snapshot);
        pickle_reader_free(reader);
        return r == 0 && fflush(stdout) == 0 ? 0 : 1;
}
