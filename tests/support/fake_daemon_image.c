/* SPDX-License-Identifier: Apache-2.0 */

/* What an agent wrote, read and judged. The fake daemon's thread. */

#include "tests/support/fake_daemon_image.h"

#include "proto/agent.pb-c.h"
#include "proto/ring.h"
#include "tests/support/event_stream.h"
#include "tests/support/oracle.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *module_path(const struct image *image, uint32_t generation) {
        for (uint32_t i = image->n_modules; i-- > 0;)
                if (image->modules[i].generation == generation)
                        return image->modules[i].path;
        return NULL;
}

static void see_module(struct image *image, uint32_t generation, uint64_t offset) {
        uint32_t length = 0;
        Tracemallocd__Agent__Item *item = NULL;
        if (offset + 4 <= image->items_capacity)
                memcpy(&length, image->items + offset, 4);
        if (length && offset + 4 + length <= image->items_capacity)
                item = tracemallocd__agent__item__unpack(NULL, length, image->items + offset + 4);
        if (!item || item->body_case != TRACEMALLOCD__AGENT__ITEM__BODY_MODULE ||
            item->module->generation != generation || image->n_modules == FAKE_MODULES_MAX) {
                image->told.bad_records++;
        } else {
                struct module_seen *seen = &image->modules[image->n_modules++];
                seen->generation = generation;
                snprintf(seen->path, sizeof seen->path, "%.*s", (int)item->module->path.len,
                         (const char *)item->module->path.data);
                image->told.n_modules = image->n_modules;
        }
        if (item)
                tracemallocd__agent__item__free_unpacked(item, NULL);
}

enum verdict {
        UNSEEN = 0,
        BAD,
        WHOLE,
        OPEN,
};

/* Whether a traceback's nodes make sense, and whether its oldest frame is where programs and threads begin. */
static enum verdict judge(const struct image *image, uint32_t node) {
        uint32_t oldest = 0;
        const char *path;
        for (; node; node = image->nodes[node].parent) {
                const struct node_def *def = &image->nodes[node];
                if (def->parent >= node || def->value == 0 ||
                    (def->unit && def->unit < NODE_UNIT_CODE && !module_path(image, def->unit)))
                        return BAD;
                oldest = def->unit;
        }
        path = module_path(image, oldest);
        return path && (strcmp(path, image->modules[0].path) == 0 || strstr(path, "libc.so") ||
                        strstr(path, "ld-linux"))
                       ? WHOLE
                       : OPEN;
}

static void check_traceback(struct image *image, uint32_t node) {
        uint32_t frame = node;
        if (node == 0)
                image->told.empty_tracebacks++;
        if (node >= image->definitions->node_capacity) {
                image->told.bad_records++;
                return;
        }
        if (node && (image->nodes[node].unit == NODE_UNIT_DEPTH || image->nodes[node].unit == NODE_UNIT_CUT)) {
                image->told.cut_tracebacks++;
                frame = image->nodes[node].parent;
        }
        if (image->verdicts[node] == UNSEEN)
                image->verdicts[node] = judge(image, frame);
        image->told.bad_records += image->verdicts[node] == BAD;
        image->told.complete_tracebacks += image->verdicts[node] == WHOLE;
}

static void note_fork(struct image *image, uint32_t token) {
        struct fork_copy *copy = malloc(sizeof *copy);
        copy->token = token;
        copy->oracle = oracle_copy(image->oracle);
        copy->next = image->forks;
        image->forks = copy;
}

void image_apply(struct image *image, const uint64_t *words) {
        struct fake_image *told = &image->told;
        struct oracle *oracle = image->oracle;
        uint64_t header = words[0];
        unsigned type = record_type(header);
        told->count[type <= RECORD_TYPE_MAX ? type : 0]++;
        switch (type) {
        case RECORD_ALLOC:
                check_traceback(image, record_argument(header));
                told->replaced += oracle_add(oracle, words[1], words[2]);
                break;
        case RECORD_FREE:
                told->unknown_frees += !oracle_remove(oracle, words[1]);
                break;
        case RECORD_MOVE_OUT:
                told->unknown_frees += !oracle_move_out(oracle, words[1], image->position);
                break;
        case RECORD_MOVE_IN:
                check_traceback(image, record_argument(header));
                told->unknown_moves += !oracle_move_in(oracle, words[1], words[2], words[3], &told->replaced);
                break;
        case RECORD_MOVE_BACK:
                told->unknown_moves += !oracle_move_back(oracle, words[1]);
                break;
        case RECORD_LOST:
                told->lost += words[1];
                break;
        case RECORD_MODULE_LOAD:
                see_module(image, record_argument(header), words[1]);
                break;
        case RECORD_FORK:
                note_fork(image, record_argument(header));
                break;
        case RECORD_EXIT:
                told->exit_status = (int)words[1];
                break;
        case RECORD_MAP:
                check_traceback(image, record_argument(header));
                told->mmap_bytes += words[2];
                break;
        case RECORD_UNMAP:
                told->mmap_bytes -= words[2];
                break;
        default:
                break;
        }
        told->live_count = oracle->n_live;
        told->live_bytes = oracle->live_bytes;
        told->moving = oracle->n_moving;
        if (oracle->live_bytes > told->peak_bytes)
                told->peak_bytes = oracle->live_bytes;
}

static uint64_t ring_word(const struct image *image, uint64_t position) {
        return atomic_load_explicit(&image->data[position % image->size / 8], memory_order_acquire);
}

/* Reads what is complete; @dead: past holes, which nobody will fill any more. */
void image_read_ring(struct image *image, bool dead) {
        uint64_t head = atomic_load(&image->ring->head);
        unsigned log2_size = image->ring->log2_size;
        while (image->position < head) {
                uint64_t words[RECORD_WORDS_MAX], header = ring_word(image, image->position);
                unsigned n = record_words(record_type(header));
                if (!(header & RECORD_HEADER_BIT) || record_lap(header) != (image->position >> log2_size & 255)) {
                        if (!dead)
                                break;
                        image->position += 8;
                        continue;
                }
                if (n == 0) {
                        image->told.bad_records++;
                        image->position += 8;
                        continue;
                }
                words[0] = header;
                for (unsigned i = 1; i < n; i++)
                        words[i] = ring_word(image, image->position + i * 8);
                image_apply(image, words);
                if (image->stream)
                        event_stream_put(image->stream, words, image->position);
                image->position += n * 8;
        }
        image->told.lost_events = atomic_load(&image->ring->lost_events);
}

void image_give_space_back(struct image *image) {
        atomic_store(&image->control->tail, image->position);
        atomic_fetch_add(&image->control->tail_wake, 1);
        syscall(SYS_futex, &image->control->tail_wake, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void image_inherit(struct image *image, const struct image *parent) {
        memcpy(image->modules, parent->modules, sizeof *parent->modules * parent->n_modules);
        image->n_modules = parent->n_modules;
        for (const struct fork_copy *copy = parent->forks; copy; copy = copy->next)
                if (copy->token == image->told.fork_token) {
                        oracle_free(image->oracle);
                        image->oracle = oracle_copy(copy->oracle);
                }
}

void image_take_ring(struct image *image, int *fds) {
        struct stat st;
        assert(fstat(fds[0], &st) == 0);
        assert((fcntl(fds[0], F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW)) == (F_SEAL_SHRINK | F_SEAL_GROW));
        image->ring_bytes = (size_t)st.st_size;
        image->ring = mmap(NULL, image->ring_bytes, PROT_READ, MAP_SHARED, fds[0], 0);
        assert(fstat(fds[1], &st) == 0);
        image->definitions_bytes = (size_t)st.st_size;
        image->definitions = mmap(NULL, image->definitions_bytes, PROT_READ, MAP_SHARED, fds[1], 0);
        assert(image->ring != MAP_FAILED && image->definitions != MAP_FAILED);
        assert(image->ring->magic == RING_MAGIC && image->definitions->magic == DEFINITIONS_MAGIC);
        image->size = UINT64_C(1) << image->ring->log2_size;
        assert(image->ring_bytes == RING_HEADER_BYTES + image->size);
        image->data = (const _Atomic uint64_t *)((const char *)image->ring + RING_HEADER_BYTES);
        image->nodes = (const struct node_def *)((const char *)image->definitions + DEFINITIONS_HEADER_BYTES);
        image->items = (const uint8_t *)(image->nodes + image->definitions->node_capacity);
        image->items_capacity = image->definitions->items_capacity;
}

/* Socket way: the same areas, filled from Definitions. */
void image_make_areas(struct image *image) {
        const uint32_t nodes = 1 << 20;
        image->items_capacity = 16 << 20;
        image->definitions_bytes = DEFINITIONS_HEADER_BYTES + nodes * sizeof(struct node_def) + image->items_capacity;
        image->definitions = mmap(NULL, image->definitions_bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert(image->definitions != MAP_FAILED);
        image->definitions->node_capacity = nodes;
        image->nodes = (const struct node_def *)((const char *)image->definitions + DEFINITIONS_HEADER_BYTES);
        image->items = (const uint8_t *)(image->nodes + nodes);
}

void image_add_definitions(struct image *image, const Tracemallocd__Agent__Definitions *part) {
        memcpy((char *)image->nodes + part->first_node * sizeof(struct node_def), part->nodes.data, part->nodes.len);
        memcpy((char *)image->items + part->first_item, part->items.data, part->items.len);
}

void image_free(struct image *image) {
        while (image->forks) {
                struct fork_copy *copy = image->forks;
                image->forks = copy->next;
                oracle_free(copy->oracle);
                free(copy);
        }
        if (image->ring)
                munmap(image->ring, image->ring_bytes);
        munmap(image->definitions, image->definitions_bytes);
        munmap(image->control, CONTROL_BYTES);
        close(image->pidfd);
        event_stream_close(image->stream);
        oracle_free(image->oracle);
        free(image->modules);
        free(image->verdicts);
        free(image);
}
