/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Cuts a file that comes in pieces into opcodes. What is left of a piece waits
 * for the next one. A thread of the pool at a time; called for import and for
 * references to files.
 */

#include "daemon/query/pickle_reader.h"

#include "daemon/query/pickle_machine.h"
#include "daemon/query/pickle_snapshot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REST_MIN 64

struct pickle_reader {
        struct pickle_machine machine;
        struct snapshot_builder *builder;
        uint8_t *rest; /* [rest_size] the beginning of an opcode; PICKLE_TEXT_MAX bounds it */
        size_t n_rest, rest_size;
        int failed; /* what feed() has returned */
        char foreign[PICKLE_MESSAGE_BYTES];
};

/* Does all opcodes that are whole. @donep: bytes that these took, also if one fails */
static int do_whole(struct pickle_machine *m, const uint8_t *bytes, size_t n, size_t *donep) {
        size_t done = 0, length;
        int r = 0;
        while (done < n && !m->stopped && m->skip == 0) {
                r = pickle_machine_length(m, bytes + done, n - done, &length);
                if (r != 0 || length > n - done)
                        break;
                r = pickle_machine_do(m, bytes[done], bytes + done + 1);
                if (r != 0)
                        break;
                done += length;
                m->offset += length;
        }
        *donep = done;
        return r;
}

static int keep_rest(struct pickle_reader *r, const uint8_t *bytes, size_t n) {
        size_t size = r->rest_size ? r->rest_size : REST_MIN;
        uint8_t *rest;
        while (size < r->n_rest + n)
                size *= 2;
        if (size > r->rest_size) {
                rest = realloc(r->rest, size);
                if (!rest)
                        return -ENOMEM;
                r->rest = rest;
                r->rest_size = size;
        }
        memcpy(r->rest + r->n_rest, bytes, n);
        r->n_rest += n;
        return 0;
}

/* Adds what the waiting opcode still lacks, and does it if that is all there. @takenp: bytes that this took */
static int complete_rest(struct pickle_reader *r, const uint8_t *bytes, size_t n, size_t *takenp) {
        size_t length, done;
        int result = pickle_machine_length(&r->machine, r->rest, r->n_rest, &length);
        if (result != 0)
                return result;
        size_t missing = length - r->n_rest < n ? length - r->n_rest : n;
        result = keep_rest(r, bytes, missing);
        if (result != 0)
                return result;
        *takenp = missing;
        result = do_whole(&r->machine, r->rest, r->n_rest, &done); /* nothing, if only its length is known now */
        if (done > 0)
                r->n_rest = 0;
        return result;
}

static size_t pass_over(struct pickle_machine *m, size_t n) {
        size_t taken = m->skip < n ? (size_t)m->skip : n;
        m->skip -= taken;
        m->offset += taken;
        return taken;
}

static int feed(struct pickle_reader *r, const uint8_t *bytes, size_t n) {
        struct pickle_machine *m = &r->machine;
        int result = 0;
        while (n > 0 && result == 0) {
                size_t taken = 0;
                if (m->skip > 0) {
                        taken = pass_over(m, n);
                } else if (m->stopped) {
                        result = pickle_machine_refuse(m, m->offset, "bytes behind the end of the pickle");
                } else if (r->n_rest > 0) {
                        result = complete_rest(r, bytes, n, &taken);
                } else {
                        result = do_whole(m, bytes, n, &taken);
                        if (result == 0 && taken < n && !m->stopped && m->skip == 0) {
                                result = keep_rest(r, bytes + taken, n - taken);
                                taken = n;
                        }
                }
                bytes += taken;
                n -= taken;
        }
        return result;
}

/* The tables refuse without a word, and for memory alone: their numbers end behind it (PICKLE_IDS_MAX). */
static int note(struct pickle_reader *r, int result) {
        struct pickle_machine *m = &r->machine;
        if (result == PICKLE_E_REFUSED && !*m->message)
                pickle_machine_refuse(m, m->offset, "it takes more than the %" PRIu64 " MiB of memory that it may have",
                                      m->tables.memory.max >> 20);
        r->failed = result;
        return result;
}

int pickle_reader_feed(struct pickle_reader *r, const void *bytes, size_t length) {
        return r->failed ? r->failed : note(r, feed(r, bytes, length));
}

int pickle_reader_finish(struct pickle_reader *r, struct snapshot **snapshotp) {
        struct pickle_machine *m = &r->machine;
        int result;
        if (r->failed)
                return r->failed;
        if (m->stopped && m->skip == 0) {
                result = pickle_snapshot_make(m, r->builder, r->foreign, snapshotp);
                if (result == 0)
                        r->builder = NULL;
        } else {
                result = pickle_machine_refuse(m, m->offset + r->n_rest, "the file ends before the pickle does");
        }
        return note(r, result);
}

/* ---- life ---- */

int pickle_reader_new(uint64_t memory_max, struct pickle_reader **readerp) {
        struct pickle_reader *r = calloc(1, sizeof *r);
        assert(memory_max <= PICKLE_MEMORY_MAX);
        if (!r)
                return -ENOMEM;
        if (snapshot_builder_new(&r->builder) < 0) {
                free(r);
                return -ENOMEM;
        }
        pickle_machine_init(&r->machine, memory_max);
        *readerp = r;
        return 0;
}

struct pickle_reader *pickle_reader_free(struct pickle_reader *r) {
        if (!r)
                return NULL;
        pickle_machine_deinit(&r->machine);
        snapshot_builder_free(r->builder);
        free(r->rest);
        free(r);
        return NULL;
}

struct snapshot_info *pickle_reader_info(struct pickle_reader *r) {
        return snapshot_builder_info(r->builder);
}

const char *pickle_reader_message(const struct pickle_reader *r) {
        return r->machine.message;
}

const char *pickle_reader_foreign(const struct pickle_reader *r) {
        return r->foreign;
}
