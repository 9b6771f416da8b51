/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An image with a keep (daemon/live/keep.h): what a commit writes into the record, and how the next daemon makes the
 * image of it again. In the record: the scalars of table, sums and image, the blocks in realloc, the fork tables that
 * wait for their children. In the journal: modules and domains. Not kept, made again: the mappings (they are the blocks
 * of domain mmap), what is charged. Not kept, dropped: cuts of snapshots under way. Worker's thread; image_adopt() on
 * the main loop, before the worker has the image.
 */

#include "daemon/live/image.h"

/* What the reader of the ring keeps in the same record: one commit puts both in force. */
struct kept_reader {
        uint64_t position;        /* of the ring: everything before it is in the tables */
        uint64_t parent;          /* its identity; with waits_for_parent */
        uint64_t parent_position; /* with waits_for_parent */
        uint32_t fork_token;
        uint8_t waits_for_parent; /* there is no table yet that counts */
        uint8_t late_writers, broken, ended;
};

/** image_commit() - all that was done is in force from here on
 * O(moves in flight + forks); nothing when the image has no table any more. */
void image_commit(struct image *image, const struct kept_reader *reader);

/** image_adopt() - an image as the record in force tells of it
 * @image: not initialised; @keep: of keep_adopt(), outlives the image
 * @readerp: set on 0. With waits_for_parent the image is empty.
 * O(blocks) where there are mappings, else O(1). Return: 0; IMAGE_E_BROKEN: the record can't be true; -ENOMEM. */
int image_adopt(struct image *image, struct keep *keep, uint64_t memory_limit, struct kept_reader *readerp);
#define IMAGE_E_BROKEN 4

/** image_journal_module(), image_journal_domain() - image.c's: remember a definition */
void image_journal_module(struct image *image, uint32_t generation, const void *path, size_t path_length,
                          const uint8_t *build_id, size_t build_id_length);
void image_journal_domain(struct image *image, unsigned index, uint32_t number, const void *name, size_t name_length);
