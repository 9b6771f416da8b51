/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files of tracemalloc. Whatever the pieces are in which one arrives, it is read
 * or refused alike; what was read can be written, and what was written is read
 * as the same and written as the same.
 */

#include "daemon/query/pickle_reader.h"
#include "daemon/query/pickle_writer.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX (UINT64_C(16) << 20)
#define BYTES_MAX  (UINT32_C(1) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct file {
        uint8_t *bytes;
        size_t length;
};

static int append(void *userdata, const void *bytes, size_t length) {
        struct file *file = userdata;
        file->bytes = realloc(file->bytes, file->length + length);
        assert(file->bytes);
        memcpy(file->bytes + file->length, bytes, length);
        file->length += length;
        return file->length > BYTES_MAX ? -1 : 0;
}

/* Return: NULL if it is refused. */
static struct snapshot *read_pieces(const uint8_t *data, size_t size, size_t piece, char *message) {
        struct pickle_reader *reader;
        struct snapshot *snapshot = NULL;
        int r = pickle_reader_new(MEMORY_MAX, &reader);
        for (size_t at = 0; r == 0 && at < size; at += piece)
                r = pickle_reader_feed(reader, data + at, piece < size - at ? piece : size - at);
        if (r == 0)
                r = pickle_reader_finish(reader, &snapshot);
        assert(r == 0 || r == PICKLE_E_REFUSED);
        assert((r == 0) == (*pickle_reader_message(reader) == '\0'));
        strcpy(message, r == 0 ? pickle_reader_foreign(reader) : pickle_reader_message(reader));
        for (const char *c = message; *c; c++)
                assert(*c >= ' ' && *c <= '~');
        pickle_reader_free(reader);
        return snapshot;
}

static struct file write_file(const struct snapshot *snapshot, enum pickle_shape shape, int *resultp) {
        struct model_source source = {.snapshot = snapshot};
        struct file file = {0};
        struct pickle_sink sink = {.write = append, .userdata = &file};
        struct pickle_summary summary;
        struct model model;
        int r = model_init(&model);
        if (r == 0)
                r = model_add(&model, MODEL_NEW, &source);
        assert(r == 0);
        *resultp = pickle_write(&model, shape, snapshot->info.traceback_limit, &sink, &summary);
        assert(*resultp == -1 || summary.blocks == snapshot->info.count);
        model_deinit(&model);
        return file;
}

static void write_and_read(const struct snapshot *snapshot, enum pickle_shape shape) {
        char message[1024];
        int r;
        struct file file = write_file(snapshot, shape, &r);
        if (r == 0) {
                struct snapshot *again = read_pieces(file.bytes, file.length, SIZE_MAX / 2, message);
                assert(again && !*message);
                assert(again->info.size == snapshot->info.size && again->info.count == snapshot->info.count);
                assert(again->info.traceback_limit == snapshot->info.traceback_limit);
                struct file same = write_file(again, shape, &r);
                assert(r == 0);
                if (shape == PICKLE_SHAPE_3_9) /* the other merges traces that differ in total_nframe */
                        assert(same.length == file.length && memcmp(same.bytes, file.bytes, same.length) == 0);
                free(same.bytes);
                snapshot_unref(again);
        }
        free(file.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char whole_message[1024], message[1024];
        struct snapshot *whole = read_pieces(data, size, SIZE_MAX / 2, whole_message);
        struct snapshot *pieces = read_pieces(data, size, 1 + size % 7, message);
        assert(!whole == !pieces && strcmp(whole_message, message) == 0);
        if (whole) {
                assert(whole->info.size == pieces->info.size && whole->info.count == pieces->info.count);
                write_and_read(whole, PICKLE_SHAPE_3_9);
                write_and_read(whole, PICKLE_SHAPE_3_8);
        }
        snapshot_unref(whole);
        snapshot_unref(pieces);
        return 0;
}
