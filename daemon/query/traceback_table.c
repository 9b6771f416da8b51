/* SPDX-License-Identifier: Apache-2.0 */

/* Interned frames and the trie of tracebacks. Used by the model, in the thread of its query. */

#include "daemon/query/traceback_table.h"

#include "daemon/query/frame_name.h"
#include "daemon/query/number.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_MIN 64
#define IDS_MAX   (UINT32_MAX - 1) /* UINT32_MAX says "none" everywhere */

/* Room for one more element. Return: 0; -ENOMEM; -EOVERFLOW. */
static int grow(void **arrayp, uint32_t *sizep, uint32_t n, size_t element_bytes) {
        uint32_t size = *sizep ? *sizep : ARRAY_MIN;
        if (n >= IDS_MAX)
                return -EOVERFLOW;
        if (n < *sizep)
                return 0;
        if (*sizep)
                size = *sizep > IDS_MAX / 2 ? IDS_MAX : *sizep * 2;
        void *array = reallocarray(*arrayp, size, element_bytes);
        if (!array)
                return -ENOMEM;
        *arrayp = array;
        *sizep = size;
        return 0;
}

/* ---- modules ---- */

static bool module_equal(const void *owner, uint32_t id, const void *key) {
        const struct traceback_module *a = &((const struct traceback_table *)owner)->modules[id], *b = key;
        return a->path == b->path && a->build_id_length == b->build_id_length &&
               (a->build_id_length == 0 || memcmp(a->build_id, b->build_id, a->build_id_length) == 0);
}

int traceback_table_module(struct traceback_table *t, uint32_t path, const uint8_t *build_id, uint32_t build_id_length,
                           uint32_t *idp) {
        struct traceback_module module = {path, build_id, build_id_length};
        uint32_t hash = intern_hash_words((uint64_t[]){path, intern_hash_bytes(build_id, build_id_length)}, 2);
        *idp = intern_find(&t->module_index, hash, module_equal, t, &module);
        if (*idp != INTERN_NONE)
                return 0;
        int r = grow((void **)&t->modules, &t->modules_size, t->n_modules, sizeof *t->modules);
        if (r == 0)
                r = intern_reserve(&t->module_index, 1);
        if (r < 0)
                return r;
        *idp = t->n_modules;
        t->modules[t->n_modules] = module;
        intern_add(&t->module_index, hash, t->n_modules++);
        return 0;
}

/* ---- frames ---- */

static bool frame_same(const struct traceback_frame *a, const struct traceback_frame *b) {
        return a->filename == b->filename && a->lineno == b->lineno && a->function == b->function &&
               a->module == b->module && a->offset == b->offset && a->native == b->native;
}

static bool frame_equal(const void *owner, uint32_t id, const void *key) {
        return frame_same(&((const struct traceback_table *)owner)->frames[id], key);
}

/* What frames that are the same have in common; see the table in the header. */
static struct traceback_frame frame_identity(const struct traceback_frame *frame) {
        struct traceback_frame identity = {
                .filename = frame->filename, .lineno = frame->lineno, .function = TEXT_NONE, .module = MODULE_NONE};
        if (frame->native && frame->lineno == 0) {
                identity.native = true;
                identity.function = frame->function;
                if (frame->function == TEXT_NONE) {
                        identity.module = frame->module;
                        identity.offset = frame->offset;
                }
        }
        return identity;
}

int traceback_table_frame(struct traceback_table *t, const struct traceback_frame *frame, uint32_t *idp) {
        struct traceback_frame identity = frame_identity(frame);
        uint32_t hash = intern_hash_words((uint64_t[]){(uint64_t)frame->filename << 32 | frame->lineno,
                                                       (uint64_t)frame->function << 32 | frame->module, frame->offset,
                                                       frame->native},
                                          4);
        uint32_t identity_id = INTERN_NONE;
        int r;
        *idp = intern_find(&t->frame_index, hash, frame_equal, t, frame);
        if (*idp != INTERN_NONE)
                return 0;
        if (!frame_same(&identity, frame)) {
                r = traceback_table_frame(t, &identity, &identity_id); /* once: an identity is its own */
                if (r < 0)
                        return r;
        }
        uint32_t size = t->frames_size;
        r = grow((void **)&t->frame_identities, &size, t->n_frames, sizeof *t->frame_identities);
        if (r == 0)
                r = grow((void **)&t->frames, &t->frames_size, t->n_frames, sizeof *t->frames);
        if (r == 0)
                r = intern_reserve(&t->frame_index, 1);
        if (r < 0)
                return r;
        *idp = t->n_frames;
        t->frames[t->n_frames] = *frame;
        t->frame_identities[t->n_frames] = identity_id != INTERN_NONE ? identity_id : t->n_frames;
        intern_add(&t->frame_index, hash, t->n_frames++);
        return 0;
}

void traceback_frame_merge(struct traceback_frame *frame, const struct traceback_frame *other) {
        if (frame->function != other->function)
                frame->function = TEXT_NONE;
        if (frame->module != other->module)
                frame->module = MODULE_NONE;
        if (frame->offset != other->offset)
                frame->offset = 0;
}

static int compare_modules(const struct traceback_table *t, uint32_t a, uint32_t b) {
        if (a == b)
                return 0;
        if (a == MODULE_NONE || b == MODULE_NONE)
                return a == MODULE_NONE ? -1 : 1;
        const struct traceback_module *x = &t->modules[a];
        const struct traceback_module *y = &t->modules[b];
        uint32_t shorter = x->build_id_length < y->build_id_length ? x->build_id_length : y->build_id_length;
        int r = shorter ? memcmp(x->build_id, y->build_id, shorter) : 0;
        if (r == 0)
                r = number_compare(x->build_id_length, y->build_id_length);
        return r != 0 ? r : text_table_compare(&t->texts, x->path, y->path);
}

static int compare_names(const struct traceback_table *t, const struct traceback_frame *a,
                         const struct traceback_frame *b) {
        struct frame_name x, y;
        if (!a->native && !b->native)
                return text_table_compare(&t->texts, a->filename, b->filename);
        frame_name_init(&x, &t->texts, a);
        frame_name_init(&y, &t->texts, b);
        return frame_name_compare(&x, &y);
}

int traceback_table_compare_frames(const struct traceback_table *t, const struct traceback_frame *a,
                                   const struct traceback_frame *b) {
        struct traceback_frame x = frame_identity(a), y = frame_identity(b);
        int r = compare_names(t, &x, &y);
        if (r == 0)
                r = number_compare(x.lineno, y.lineno);
        if (r == 0) /* names may be equal by chance */
                r = text_table_compare(&t->texts, x.filename, y.filename);
        if (r == 0)
                r = text_table_compare(&t->texts, x.function, y.function);
        if (r == 0)
                r = number_compare(x.native, y.native);
        if (r == 0)
                r = number_compare(x.offset, y.offset);
        return r != 0 ? r : compare_modules(t, x.module, y.module);
}

/* ---- tracebacks ---- */

static uint32_t hash_node(uint32_t parent, uint32_t frame) {
        return index_hash_words(parent, frame);
}

static uint32_t hash_of_node(const void *owner, uint32_t id) {
        const struct traceback_node *node = &((const struct traceback_table *)owner)->nodes[id];
        return hash_node(node->parent, node->frame);
}

/* The root is nobody's child, though its fields say otherwise. */
static bool find_node(const struct traceback_table *t, uint32_t hash, uint32_t parent, uint32_t frame, uint32_t *idp) {
        uint32_t cursor = hash;
        do {
                *idp = index_table_next(&t->node_index, hash, &cursor);
        } while (*idp != INDEX_TABLE_NONE &&
                 (*idp == TRACEBACK_ROOT || t->nodes[*idp].parent != parent || t->nodes[*idp].frame != frame));
        return *idp != INDEX_TABLE_NONE;
}

int traceback_table_node(struct traceback_table *t, uint32_t parent, uint32_t frame, uint32_t *idp) {
        struct traceback_node node = {.parent = parent, .frame = frame, .depth = t->nodes[parent].depth + 1};
        uint32_t hash = hash_node(parent, frame);
        uint32_t parent_identity = t->nodes[parent].identity, frame_identity_id = t->frame_identities[frame];
        int r;
        if (find_node(t, hash, parent, frame, idp))
                return 0;
        if (parent_identity != parent || frame_identity_id != frame) {
                r = traceback_table_node(t, parent_identity, frame_identity_id, &node.identity); /* once */
                if (r < 0)
                        return r;
        } else {
                node.identity = t->n_nodes;
        }
        r = grow((void **)&t->nodes, &t->nodes_size, t->n_nodes, sizeof *t->nodes);
        if (r == 0)
                r = index_table_reserve(&t->node_index, t->n_nodes, hash_of_node, t);
        if (r < 0)
                return r;
        *idp = t->n_nodes;
        t->nodes[t->n_nodes] = node;
        index_table_put(&t->node_index, hash, t->n_nodes++);
        return 0;
}

static int merge_frames(struct traceback_table *t, uint32_t a, uint32_t b, uint32_t *idp) {
        struct traceback_frame merged = t->frames[a];
        assert(t->frame_identities[a] == t->frame_identities[b]);
        traceback_frame_merge(&merged, &t->frames[b]);
        return traceback_table_frame(t, &merged, idp);
}

/* From the leaves up to where both are one path, then down again. */
int traceback_table_merge(struct traceback_table *t, uint32_t a, uint32_t b, uint32_t *idp) {
        uint32_t *frames, n = 0, node = a;
        int r = 0;
        assert(t->nodes[a].identity == t->nodes[b].identity);
        if (a == b) {
                *idp = a;
                return 0;
        }
        frames = calloc(t->nodes[a].depth, sizeof *frames);
        if (!frames)
                return -ENOMEM;
        for (; r == 0 && node != b; node = t->nodes[node].parent, b = t->nodes[b].parent)
                r = merge_frames(t, t->nodes[node].frame, t->nodes[b].frame, &frames[n++]);
        while (r == 0 && n > 0)
                r = traceback_table_node(t, node, frames[--n], &node);
        free(frames);
        *idp = node;
        return r;
}

int traceback_table_compare(const struct traceback_table *t, uint32_t a, uint32_t b) {
        a = t->nodes[a].identity;
        b = t->nodes[b].identity;
        if (a == b)
                return 0;
        uint32_t depth_a = t->nodes[a].depth;
        uint32_t depth_b = t->nodes[b].depth;
        for (uint32_t i = depth_a; i > depth_b; i--)
                a = t->nodes[a].parent;
        for (uint32_t i = depth_b; i > depth_a; i--)
                b = t->nodes[b].parent;
        if (a == b)
                return depth_a < depth_b ? -1 : 1;
        while (t->nodes[a].parent != t->nodes[b].parent) {
                a = t->nodes[a].parent;
                b = t->nodes[b].parent;
        }
        return traceback_table_compare_frames(t, &t->frames[t->nodes[a].frame], &t->frames[t->nodes[b].frame]);
}

int traceback_table_reserve(struct traceback_table *t, uint32_t n_frames, uint32_t n_nodes) {
        int r = intern_reserve(&t->frame_index, n_frames);
        if (r == 0 && n_nodes > t->n_nodes)
                r = index_table_reserve(&t->node_index, n_nodes - 1, hash_of_node, t);
        return r;
}

int traceback_table_init(struct traceback_table *t) {
        *t = (struct traceback_table){0};
        text_table_init(&t->texts);
        t->nodes = calloc(ARRAY_MIN, sizeof *t->nodes);
        if (!t->nodes)
                return -ENOMEM;
        t->nodes_size = ARRAY_MIN;
        t->nodes[TRACEBACK_ROOT] = (struct traceback_node){0};
        t->n_nodes = 1;
        return 0;
}

void traceback_table_deinit(struct traceback_table *t) {
        text_table_deinit(&t->texts);
        intern_deinit(&t->module_index);
        intern_deinit(&t->frame_index);
        index_table_deinit(&t->node_index);
        free(t->modules);
        free(t->frames);
        free(t->frame_identities);
        free(t->nodes);
        *t = (struct traceback_table){0};
}
