/* SPDX-License-Identifier: Apache-2.0 */

/* Records of a ring into a file. Called by the fake daemon's thread. */

#include "tests/support/event_stream.h"

#include "proto/record.h"

#include <stdlib.h>

#define MOVES_MAX 1024 /* threads in realloc at one moment */

struct event_stream {
        FILE *file;
        uint64_t position;
        size_t n_moves;
        struct {
                uint64_t ring, here;
        } moves[MOVES_MAX];
};

struct event_stream *event_stream_create(const char *path) {
        struct event_stream *stream = calloc(1, sizeof *stream);
        if (stream)
                stream->file = fopen(path, "we");
        if (stream && !stream->file) {
                free(stream);
                return NULL;
        }
        return stream;
}

static void move_begins(struct event_stream *stream, uint64_t position) {
        if (stream->n_moves == MOVES_MAX)
                stream->n_moves = 0;
        stream->moves[stream->n_moves].ring = position;
        stream->moves[stream->n_moves++].here = stream->position;
}

/* Return: where the MOVE_OUT lies in the file. */
static uint64_t move_ends(struct event_stream *stream, uint64_t position) {
        for (size_t i = stream->n_moves; i-- > 0;) {
                if (stream->moves[i].ring != position)
                        continue;
                uint64_t here = stream->moves[i].here;
                stream->moves[i] = stream->moves[--stream->n_moves];
                return here;
        }
        return 0;
}

bool event_stream_put(struct event_stream *stream, const uint64_t *words, uint64_t position) {
        unsigned type = record_type(words[0]), n = record_words(type);
        uint64_t copy[RECORD_WORDS_MAX];
        if (type > RECORD_MOVE_BACK && type != RECORD_MAP && type != RECORD_UNMAP)
                return true;
        for (unsigned i = 0; i < n; i++)
                copy[i] = words[i];
        copy[0] = record_header(type, 0, record_domain(words[0]), record_argument(words[0]));
        if (type == RECORD_MOVE_OUT)
                move_begins(stream, position);
        else if (type == RECORD_MOVE_IN)
                copy[3] = move_ends(stream, words[3]);
        else if (type == RECORD_MOVE_BACK)
                copy[1] = move_ends(stream, words[1]);
        stream->position += 8 * n;
        return fwrite(copy, 8, n, stream->file) == n;
}

uint64_t event_stream_close(struct event_stream *stream) {
        uint64_t bytes = 0;
        if (!stream)
                return 0;
        if (fclose(stream->file) == 0)
                bytes = stream->position;
        free(stream);
        return bytes;
}
