/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ring and its definitions in the hands of a writer that changes what it likes
 * while they are read: before, between the reads, and from another thread in the middle of them.
 *
 * Input: a byte whose lowest bit asks for the thread; then steps of eleven bytes: what (1), where (2, little-endian),
 * a word (8). What, modulo 8: 0 a word of the ring's data, 1 of the definitions, 2 the head, 3 a record's header at
 * the position of the reader, with the word's low bits as type and node, 4 read, 5 skip a hole, 6 resync, 7 release.
 */

#include "daemon/ingest/definitions.h"
#include "daemon/ingest/ring_reader.h"
#include "daemon/live/image_apply.h"
#include "proto/record.h"
#include "proto/ring.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NODES            64
#define ITEMS            4096
#define RING_BYTES       (RING_HEADER_BYTES + (1 << RING_LOG2_SIZE_MIN))
#define DEFINITION_BYTES (DEFINITIONS_HEADER_BYTES + NODES * sizeof(struct node_def) + ITEMS)
#define IMAGE_BYTES      (UINT64_C(8) << 20)
#define STEP_BYTES       11

/* That writer races on purpose, which is all that TSan would say. */
#ifdef __SANITIZE_THREAD__
#define WITH_THREAD false
#else
#define WITH_THREAD true
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memories {
        uint64_t *ring, *definitions; /* the writer's view */
        int ring_fd, definitions_fd;
        _Atomic bool stop;
};

static void *map_sealed(size_t bytes, int *fdp) {
        *fdp = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert(*fdp >= 0 && ftruncate(*fdp, (off_t)bytes) == 0);
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fdp, 0);
        assert(memory != MAP_FAILED);
        assert(fcntl(*fdp, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0);
        return memory;
}

static void memories_init(struct memories *m) {
        m->ring = map_sealed(RING_BYTES, &m->ring_fd);
        m->definitions = map_sealed(DEFINITION_BYTES, &m->definitions_fd);
        struct ring_header *ring = (struct ring_header *)m->ring;
        ring->magic = RING_MAGIC;
        ring->version = RING_VERSION;
        ring->log2_size = RING_LOG2_SIZE_MIN;
        struct definitions_header *definitions = (struct definitions_header *)m->definitions;
        definitions->magic = DEFINITIONS_MAGIC;
        definitions->version = RING_VERSION;
        definitions->node_capacity = NODES;
        definitions->items_capacity = ITEMS;
        atomic_store(&definitions->n_nodes, NODES);
        atomic_store(&definitions->items_used, ITEMS);
        for (uint32_t i = 1; i < NODES; i++)
                ((struct node_def *)((char *)m->definitions + DEFINITIONS_HEADER_BYTES))[i] =
                        (struct node_def){.parent = i - 1, .unit = 1, .value = i};
}

static void memories_deinit(struct memories *m) {
        munmap(m->ring, RING_BYTES);
        munmap(m->definitions, DEFINITION_BYTES);
        close(m->ring_fd);
        close(m->definitions_fd);
}

static void poke(uint64_t *memory, size_t bytes, uint64_t index, uint64_t word) {
        __atomic_store_n(&memory[index % (bytes / 8)], word, __ATOMIC_RELAXED);
}

/* Turns bits over until it is told to stop. */
static void *change_bytes(void *arg) {
        struct memories *m = arg;
        uint64_t state = 88172645463325252;
        while (!atomic_load(&m->stop)) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                uint64_t *memory = state & 1 ? m->ring : m->definitions;
                size_t bytes = state & 1 ? RING_BYTES : DEFINITION_BYTES;
                poke(memory, bytes, state >> 32,
                     state & 2 ? state : __atomic_load_n(&memory[(state >> 20) % (bytes / 8)], __ATOMIC_RELAXED));
        }
        return NULL;
}

/* As feed_reader.c does with a MODULE_LOAD or a DOMAIN. */
static bool apply_item(struct image *image, struct definitions *definitions, const struct event *event) {
        Tracemallocd__Agent__Item *item;
        if (event->type != RECORD_MODULE_LOAD && event->type != RECORD_DOMAIN)
                return true;
        if (definitions_item(definitions, event->word[0], &item) != 0)
                return false;
        if (event->type == RECORD_MODULE_LOAD && item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_MODULE &&
            event->argument >= 1 && event->argument < NODE_UNIT_CODE)
                image_module_load(image, event->argument, item->module->path.data, item->module->path.len,
                                  item->module->build_id.data, item->module->build_id.len);
        tracemallocd__agent__item__free_unpacked(item, NULL);
        return true;
}

static void read_ring(struct ring_reader *reader, struct definitions *definitions, struct image *image) {
        struct event events[EVENT_BATCH_MAX];
        uint64_t head = ring_reader_head(reader), before = reader->position;
        size_t n;
        if (!ring_reader_limit(reader, head))
                return;
        ring_reader_read(reader, definitions, head, events, EVENT_BATCH_MAX, &n);
        assert(n <= EVENT_BATCH_MAX && reader->position >= before && reader->position <= head);
        for (size_t done = 0, k; done < n; done += k) {
                if (image_apply(image, events + done, n - done, &k) == IMAGE_SPECIAL)
                        apply_item(image, definitions, &events[done + k - 1]);
                assert(k > 0);
        }
}

static uint64_t word_of(const uint8_t *bytes) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        return word;
}

static void step(struct memories *m, struct ring_reader *reader, struct definitions *definitions, struct image *image,
                 const uint8_t *bytes) {
        uint64_t where = bytes[1] | (uint64_t)bytes[2] << 8, word = word_of(bytes + 3), lost;
        uint64_t *words = m->ring + RING_HEADER_BYTES / 8, head = ring_reader_head(reader);
        uint64_t mask = (UINT64_C(1) << RING_LOG2_SIZE_MIN) / 8 - 1;
        switch (bytes[0] % 8) {
        case 0:
                poke(words, mask * 8 + 8, where, word);
                break;
        case 1:
                poke(m->definitions, DEFINITION_BYTES, where, word);
                break;
        case 2:
                atomic_store(&((struct ring_header *)m->ring)->head,
                             bytes[0] & 8 ? word : reader->position + where * 8);
                break;
        case 3:
                words[(reader->position / 8 + where) & mask] =
                        record_header(word & 31, reader->position >> RING_LOG2_SIZE_MIN, word >> 8 & 255,
                                      (uint32_t)(word >> 16 & 127));
                break;
        case 4:
                read_ring(reader, definitions, image);
                break;
        case 5:
                if (ring_reader_limit(reader, head))
                        ring_reader_skip(reader, head, word & 1, &lost);
                break;
        case 6:
                if (ring_reader_limit(reader, head))
                        ring_reader_resync(reader, head, &lost);
                break;
        default:
                ring_reader_release(reader);
                ring_reader_arm(reader);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct memories m = {.stop = false};
        struct ring_reader reader;
        struct definitions definitions;
        struct image image;
        const char *reason;
        pthread_t thread;
        if (size == 0)
                return 0;
        memories_init(&m);
        assert(ring_reader_open(&reader, m.ring_fd, TRACE_EXACT, 64, 1, 0, &reason) == 0);
        assert(definitions_open_ring(&definitions, m.definitions_fd, &reason) == 0);
        assert(image_init(&image, NULL, IMAGE_BYTES) == 0);
        bool threaded = WITH_THREAD && (data[0] & 1) && pthread_create(&thread, NULL, change_bytes, &m) == 0;
        for (size_t at = 1; at + STEP_BYTES <= size; at += STEP_BYTES)
                step(&m, &reader, &definitions, &image, data + at);
        atomic_store(&m.stop, true);
        if (threaded)
                pthread_join(thread, NULL);
        image_check(&image);
        image_deinit(&image);
        definitions_close(&definitions);
        ring_reader_close(&reader);
        memories_deinit(&m);
        return 0;
}
