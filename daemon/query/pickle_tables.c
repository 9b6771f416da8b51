/* SPDX-License-Identifier: Apache-2.0 */

/* Texts, frames, tracebacks, traces and their containers while a pickle is read. The thread of the reader. */

#include "daemon/query/pickle_tables.h"

#include "daemon/live/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_MIN     64
#define LIST_MIN      8
#define CHUNK_BYTES   (UINT32_C(16) << 10) /* of text; longer ones have a chunk of their own */
#define INDEXED_BYTES 32                   /* intern.c: slots of 8 bytes, a quarter of them in use at the least */

struct pickle_text_chunk {
        struct pickle_text_chunk *next;
        size_t used, size;
        char bytes[];
};

int pickle_memory_take(struct pickle_memory *m, uint64_t bytes) {
        if (bytes > m->max - m->used)
                return PICKLE_E_REFUSED;
        m->used += bytes;
        return 0;
}

int pickle_memory_grow(struct pickle_memory *m, void **arrayp, uint32_t *sizep, uint32_t n, size_t element_bytes) {
        uint32_t size = *sizep ? *sizep * 2 : element_bytes > sizeof(uint32_t) ? ARRAY_MIN : LIST_MIN;
        if (n < *sizep)
                return 0;
        if (n >= PICKLE_IDS_MAX)
                return PICKLE_E_REFUSED;
        int r = pickle_memory_take(m, (uint64_t)(size - *sizep) * element_bytes);
        if (r != 0)
                return r;
        void *array = reallocarray(*arrayp, size, element_bytes);
        if (!array) {
                m->used -= (uint64_t)(size - *sizep) * element_bytes;
                return -ENOMEM;
        }
        *arrayp = array;
        *sizep = size;
        return 0;
}

#define GROW(t, array)                                                                                                 \
        pickle_memory_grow(&(t)->memory, (void **)&(t)->array, &(t)->array##_size, (t)->n_##array, sizeof(*(t)->array))

void pickle_tables_init(struct pickle_tables *t, uint64_t memory_max) {
        *t = (struct pickle_tables){.memory.max = memory_max};
        intern_init(&t->frame_index);
        intern_init(&t->trace_index);
}

void pickle_tables_deinit(struct pickle_tables *t) {
        while (t->chunks) {
                struct pickle_text_chunk *chunk = t->chunks;
                t->chunks = chunk->next;
                free(chunk);
        }
        for (uint32_t i = 0; i < t->n_lists; i++)
                free(t->lists[i].traces);
        free(t->texts);
        free(t->frames);
        free(t->frame_ids);
        free(t->tracebacks);
        free(t->traces);
        free(t->lists);
        free(t->dicts);
        free(t->objects);
        intern_deinit(&t->frame_index);
        intern_deinit(&t->trace_index);
        *t = (struct pickle_tables){0};
}

/* ---- texts ---- */

static int new_chunk(struct pickle_tables *t, size_t length) {
        size_t size = length > CHUNK_BYTES ? length : CHUNK_BYTES;
        struct pickle_text_chunk *chunk;
        int r = pickle_memory_take(&t->memory, sizeof *chunk + size);
        if (r != 0)
                return r;
        chunk = malloc(sizeof *chunk + size);
        if (!chunk) {
                t->memory.used -= sizeof *chunk + size;
                return -ENOMEM;
        }
        *chunk = (struct pickle_text_chunk){.next = t->chunks, .size = size};
        t->chunks = chunk;
        return 0;
}

int pickle_tables_text(struct pickle_tables *t, const void *bytes, size_t length, uint32_t *idp) {
        int r = GROW(t, texts);
        if (r == 0 && (!t->chunks || t->chunks->size - t->chunks->used < length))
                r = new_chunk(t, length);
        if (r != 0)
                return r;
        struct pickle_text *text = &t->texts[t->n_texts];
        text->bytes = t->chunks->bytes + t->chunks->used;
        text->length = (uint32_t)length;
        text->string = SNAPSHOT_NONE;
        if (length)
                memcpy(text->bytes, bytes, length);
        t->chunks->used += length;
        *idp = t->n_texts++;
        return 0;
}

bool pickle_tables_text_is(const struct pickle_tables *t, uint32_t text, const char *word) {
        size_t length = strlen(word);
        return t->texts[text].length == length && memcmp(t->texts[text].bytes, word, length) == 0;
}

/* ---- tuples ---- */

static struct pickle_value flawed(enum pickle_flaw flaw, uint64_t at) {
        return (struct pickle_value){.kind = PICKLE_KIND_OTHER, .id = flaw, .number = at};
}

/* What is wrong with a part is what is wrong with the whole. */
static struct pickle_value flawed_tuple(const struct pickle_value *values, uint32_t n, uint64_t at) {
        for (uint32_t i = 0; i < n; i++)
                if (values[i].kind == PICKLE_KIND_OTHER)
                        return values[i];
        return flawed(PICKLE_FLAW_TUPLE, at);
}

static bool frame_equal(const void *owner, uint32_t id, const void *key) {
        const struct pickle_frame *a = &((const struct pickle_tables *)owner)->frames[id], *b = key;
        return a->text == b->text && a->lineno == b->lineno;
}

static int add_frame(struct pickle_tables *t, const struct pickle_value *values, uint64_t at,
                     struct pickle_value *tuplep) {
        struct pickle_frame frame = {
                .text = values[0].id, .lineno = (uint32_t)values[1].number, .location = SNAPSHOT_NONE};
        uint32_t hash = intern_hash_words((uint64_t[]){(uint64_t)frame.text << 32 | frame.lineno}, 1);
        if (values[1].number > UINT32_MAX) {
                *tuplep = flawed(PICKLE_FLAW_LINENO, at);
                return 0;
        }
        *tuplep = (struct pickle_value){.kind = PICKLE_KIND_FRAME, .number = at};
        tuplep->id = intern_find(&t->frame_index, hash, frame_equal, t, &frame);
        if (tuplep->id != INTERN_NONE)
                return 0;
        int r = GROW(t, frames);
        if (r == 0)
                r = pickle_memory_take(&t->memory, INDEXED_BYTES);
        if (r == 0)
                r = intern_reserve(&t->frame_index, 1);
        if (r != 0)
                return r;
        tuplep->id = t->n_frames;
        t->frames[t->n_frames] = frame;
        intern_add(&t->frame_index, hash, t->n_frames++);
        return 0;
}

static int add_traceback(struct pickle_tables *t, const struct pickle_value *values, uint32_t n, uint64_t at,
                         struct pickle_value *tuplep) {
        uint32_t first = t->n_frame_ids;
        int r = GROW(t, tracebacks);
        for (uint32_t i = 0; r == 0 && i < n; i++) {
                r = GROW(t, frame_ids);
                if (r == 0)
                        t->frame_ids[t->n_frame_ids++] = values[i].id;
        }
        if (r != 0) {
                t->n_frame_ids = first;
                return r;
        }
        t->tracebacks[t->n_tracebacks] =
                (struct pickle_traceback){.first_frame = first, .n_frames = n, .node = SNAPSHOT_NONE};
        *tuplep = (struct pickle_value){.kind = PICKLE_KIND_TRACEBACK, .id = t->n_tracebacks++, .number = at};
        return 0;
}

static bool trace_equal(const void *owner, uint32_t id, const void *key) {
        const struct pickle_trace *a = &((const struct pickle_tables *)owner)->traces[id], *b = key;
        return a->size == b->size && a->domain == b->domain && a->traceback == b->traceback &&
               a->total_nframe == b->total_nframe;
}

static int intern_trace(struct pickle_tables *t, const struct pickle_trace *trace, uint32_t *idp) {
        uint32_t hash = intern_hash_words((uint64_t[]){trace->size ^ (uint64_t)trace->domain << 32,
                                                       (uint64_t)trace->traceback << 32 | trace->total_nframe},
                                          2);
        *idp = intern_find(&t->trace_index, hash, trace_equal, t, trace);
        if (*idp != INTERN_NONE)
                return 0;
        int r = GROW(t, traces);
        if (r == 0)
                r = pickle_memory_take(&t->memory, INDEXED_BYTES);
        if (r == 0)
                r = intern_reserve(&t->trace_index, 1);
        if (r != 0)
                return r;
        *idp = t->n_traces;
        t->traces[t->n_traces] = *trace;
        intern_add(&t->trace_index, hash, t->n_traces++);
        return 0;
}

/* @total_nframe: NULL in a tuple of three */
static int add_trace(struct pickle_tables *t, const struct pickle_value *values,
                     const struct pickle_value *total_nframe, uint64_t at, struct pickle_value *tuplep) {
        struct pickle_trace trace = {.domain = (uint32_t)values[0].number,
                                     .size = values[1].number,
                                     .traceback = values[2].id,
                                     .total_nframe = SNAPSHOT_TOTAL_NFRAME_UNKNOWN};
        *tuplep = (struct pickle_value){.kind = PICKLE_KIND_TRACE, .number = at};
        if (values[0].number > UINT32_MAX)
                *tuplep = flawed(PICKLE_FLAW_DOMAIN, at);
        else if (trace.size > INT64_MAX)
                *tuplep = flawed(PICKLE_FLAW_SIZE, at);
        else if (total_nframe && total_nframe->kind == PICKLE_KIND_NUMBER &&
                 total_nframe->number >= SNAPSHOT_TOTAL_NFRAME_UNKNOWN)
                *tuplep = flawed(PICKLE_FLAW_TOTAL_NFRAME, at);
        if (tuplep->kind == PICKLE_KIND_OTHER)
                return 0;
        if (total_nframe && total_nframe->kind == PICKLE_KIND_NUMBER)
                trace.total_nframe = (uint32_t)total_nframe->number;
        return intern_trace(t, &trace, &tuplep->id);
}

static bool are_numbers(const struct pickle_value *values, uint32_t n) {
        for (uint32_t i = 0; i < n; i++)
                if (values[i].kind != PICKLE_KIND_NUMBER)
                        return false;
        return true;
}

static bool are_frames(const struct pickle_value *values, uint32_t n) {
        for (uint32_t i = 0; i < n; i++)
                if (values[i].kind != PICKLE_KIND_FRAME)
                        return false;
        return true;
}

int pickle_tables_tuple(struct pickle_tables *t, const struct pickle_value *values, uint32_t n, uint64_t at,
                        struct pickle_value *tuplep) {
        bool four = n == 4 && (values[3].kind == PICKLE_KIND_NUMBER || values[3].kind == PICKLE_KIND_NONE);
        if ((n == 3 || four) && are_numbers(values, 2)) {
                if (values[2].kind == PICKLE_KIND_TRACEBACK)
                        return add_trace(t, values, four ? &values[3] : NULL, at, tuplep);
                if (values[2].kind == PICKLE_KIND_EMPTY_TUPLE) {
                        *tuplep = flawed(PICKLE_FLAW_NO_FRAMES, at);
                        return 0;
                }
        }
        if (n == 2 && values[0].kind == PICKLE_KIND_TEXT && values[1].kind == PICKLE_KIND_NUMBER)
                return add_frame(t, values, at, tuplep);
        if (are_frames(values, n))
                return add_traceback(t, values, n, at, tuplep);
        *tuplep = flawed_tuple(values, n, at);
        return 0;
}

/* ---- containers ---- */

int pickle_tables_list(struct pickle_tables *t, uint32_t *idp) {
        int r = GROW(t, lists);
        if (r != 0)
                return r;
        t->lists[t->n_lists] = (struct pickle_list){0};
        *idp = t->n_lists++;
        return 0;
}

static void note_flaw(struct pickle_list *list, const struct pickle_value *value, uint64_t at) {
        if (list->flawed)
                return;
        list->flawed = true;
        list->flaw = value->kind == PICKLE_KIND_OTHER ? *value : flawed(PICKLE_FLAW_TRACE, at);
}

int pickle_tables_append(struct pickle_tables *t, uint32_t list_id, const struct pickle_value *values, uint32_t n,
                         uint64_t at) {
        struct pickle_list *list = &t->lists[list_id];
        for (uint32_t i = 0; i < n; i++) {
                if (values[i].kind != PICKLE_KIND_TRACE) {
                        note_flaw(list, &values[i], values[i].kind == PICKLE_KIND_NUMBER ? at : values[i].number);
                        continue;
                }
                int r = pickle_memory_grow(&t->memory, (void **)&list->traces, &list->size, list->n_traces,
                                           sizeof *list->traces);
                if (r != 0)
                        return r;
                list->traces[list->n_traces++] = values[i].id;
        }
        return 0;
}

int pickle_tables_dict(struct pickle_tables *t, uint32_t *idp) {
        int r = GROW(t, dicts);
        if (r != 0)
                return r;
        t->dicts[t->n_dicts] = (struct pickle_dict){0};
        *idp = t->n_dicts++;
        return 0;
}

void pickle_tables_set(struct pickle_tables *t, uint32_t dict_id, const struct pickle_value *key,
                       const struct pickle_value *value) {
        static const char *const keys[PICKLE_KEYS] = {"traces", "traceback_limit", "_traces"};
        struct pickle_dict *dict = &t->dicts[dict_id];
        for (int i = 0; key->kind == PICKLE_KIND_TEXT && i < PICKLE_KEYS; i++)
                if (pickle_tables_text_is(t, key->id, keys[i])) {
                        dict->values[i] = *value;
                        dict->has[i] = true;
                        return;
                }
        if (key->kind == PICKLE_KIND_TEXT && dict->n_foreign_names < PICKLE_FOREIGN_NAMES)
                dict->foreign_names[dict->n_foreign_names++] = key->id;
        dict->n_foreign++;
}

int pickle_tables_object(struct pickle_tables *t, enum pickle_class class, uint32_t *idp) {
        int r = GROW(t, objects);
        if (r != 0)
                return r;
        t->objects[t->n_objects] = (struct pickle_object){.class = class};
        *idp = t->n_objects++;
        return 0;
}
