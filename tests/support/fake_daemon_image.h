/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An image as the fake daemon knows it: what its agent shares or sends, and the account that follows from it. */

#include "proto/agent.pb-c.h"
#include "proto/ring.h"
#include "tests/support/fake_daemon.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fork_copy {
        uint32_t token;
        struct oracle *oracle;
        struct fork_copy *next;
};

struct module_seen {
        uint32_t generation;
        char path[256];
};

struct image {
        struct fake_image told; /* first: what tests see */
        struct oracle *oracle;
        struct event_stream *stream; /* NULL: not recorded */
        struct fork_copy *forks;
        struct module_seen *modules;
        uint32_t n_modules;
        int pidfd;
        bool ended;
        /* ring way */
        struct ring_header *ring;
        const _Atomic uint64_t *data;
        uint64_t size;
        size_t ring_bytes;
        struct ring_control *control;
        struct definitions_header *definitions;
        size_t definitions_bytes;
        /* socket way: definitions in memory of ours */
        int connection;
        uint64_t position;
        const struct node_def *nodes;
        uint8_t *verdicts; /* of each node */
        const uint8_t *items;
        uint64_t items_capacity;
};

/** image_apply() - take note of one record. @words: [record_words()] */
void image_apply(struct image *image, const uint64_t *words);

/** image_read_ring() - apply what is complete. @dead: past holes, which nobody will fill any more */
void image_read_ring(struct image *image, bool dead);

/** image_give_space_back() - what was read may be written again; who waits for it is woken */
void image_give_space_back(struct image *image);

/** image_take_ring() - ring way: map what the agent shares. @fds: ring and definitions, borrowed */
void image_take_ring(struct image *image, int *fds);

/** image_make_areas() - socket way: the same areas, filled by image_add_definitions() */
void image_make_areas(struct image *image);

/** image_add_definitions() - socket way: what a message brings */
void image_add_definitions(struct image *image, const Tracemallocd__Agent__Definitions *part);

/** image_inherit() - begin with what the parent had at the fork of told.fork_token */
void image_inherit(struct image *image, const struct image *parent);

/** image_free() - with all that it maps and holds open */
void image_free(struct image *image);
