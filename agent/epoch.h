/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * All that belongs to one table of the daemon: ring, definitions, trie, modules. A new
 * image begins one, and so do the child of a fork and a process that found the
 * next daemon. Hooks load the pointer once per call, so that node numbers and
 * positions never mix; an epoch that ended stays in memory, because a thread may
 * be in it.
 */

#include "agent/definitions_writer.h"
#include "agent/modules.h"
#include "agent/ring_writer.h"
#include "agent/trie.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct python_codes;
struct socket_way;

struct epoch {
        struct ring_writer ring;
        struct definitions definitions;
        struct trie trie;
        struct socket_way *socket;        /* NULL: ring way */
        struct ring_control *own_control; /* the private page */
        void *ring_memory, *definitions_memory;
        size_t ring_bytes, definitions_bytes;
        int ring_fd, definitions_fd; /* until the daemon has them; -1 */
        _Atomic uint64_t files_sent_at_ns;
        struct epoch *previous;
        struct python_codes *_Atomic python_codes; /* NULL until there are some */
        _Atomic uint32_t takes_relabel;            /* its daemon knows that record */
        struct modules modules;
};

/** epoch_new() - a ring and definitions of its own, nothing recorded yet
 * @log2_ring: wanted; both become smaller where limits or memory demand it
 * @shared: memfds to hand over (-ENOSYS and the like where that is refused), else private memory
 * Return: 0; -errno. */
int epoch_new(unsigned log2_ring, bool shared, struct epoch **epochp);

/** epoch_free() - drop one that nobody has seen yet, with its memory and descriptors. One that was in force stays. */
void epoch_free(struct epoch *epoch);

/** epoch_inherit() - in a child of fork: nodes, trie and modules of @parent, so that its node numbers go on
 * Return: 0; -errno, then @epoch has none of it. */
int epoch_inherit(struct epoch *epoch, const struct epoch *parent);

/** epoch_control() - the control page in force */
static inline struct ring_control *epoch_control(struct epoch *epoch) {
        return atomic_load_explicit(&epoch->ring.control, memory_order_acquire);
}

/** epoch_close_fds() - the daemon has its own now, or never will */
void epoch_close_fds(struct epoch *epoch);

/** epoch_discard_pages() - give the memory of an ended epoch back; its addresses stay valid */
void epoch_discard_pages(struct epoch *epoch);

/** epoch_unmap_foreign() - in a child of fork, when no thread can be in it: drop the view of the parent's epoch */
void epoch_unmap_foreign(struct epoch *epoch);
