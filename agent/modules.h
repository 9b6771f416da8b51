/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The modules that native nodes name: which generation an address belongs to.
 * A module is told of (its Item, then a MODULE_LOAD record) before any thread can
 * find its generation. Two threads that meet a new module at once tell of it twice,
 * under two generations; the reader goes by build id and offset.
 */

#include "agent/definitions_writer.h"
#include "agent/object.h"
#include "agent/ring_writer.h"
#include "agent/trie.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MODULES_MAX 2048

struct module {
        /* 0: free; else the slot's other fields are valid as long as this does not change */
        _Atomic uint32_t generation;
        _Atomic uint32_t file_sent;
        _Atomic uint32_t dead; /* unloaded; kept, because a child of fork must be told of it too */
        uint64_t item;         /* offset in the definitions */
        uint64_t start, end, bias;
        uint64_t identity; /* hash of build id and name */
        const void *map, *eh_frame_hdr;
        char path[256]; /* to be opened for the daemon; cut off: not opened */
};

struct modules {
        struct definitions *definitions;
        struct ring_writer *ring;
        struct trie *trie;
        _Atomic uint32_t n_slots; /* slots ever used */
        _Atomic uint32_t n_generations;
        _Atomic uint32_t n_unsent; /* files that the daemon does not have yet */
        struct module slots[MODULES_MAX];
};

/** modules_init() - empty; all pointers borrowed for the life of @modules, whose memory is zeroed */
void modules_init(struct modules *modules, struct definitions *definitions, struct ring_writer *ring,
                  struct trie *trie);

/** modules_copy() - in a child of fork: the parent's modules, told of again with the same generations */
void modules_copy(struct modules *modules, const struct modules *parent);

/** modules_find() - unit and value of a native node
 * @room: for the records that a new module needs
 * Notices that another module lies there now (unload and load). Return: unit, 0 where @pc is in no
 * module or its module could not be told of; *valuep is the node's value. */
uint32_t modules_find(struct modules *modules, unsigned room, uint64_t pc, uint64_t *valuep);

/* Called with a module through which a stack passes for the first time, in the middle of its capture; NULL: by nobody.
 */
extern void (*modules_noticed)(const struct object *object);

/** modules_add_loaded() - tell of all that is loaded; takes the loader's lock */
void modules_add_loaded(struct modules *modules);

/** modules_unload_begin() - the process is about to unload something, perhaps
 * From here to modules_unload_end() another module may come to lie where one was that is
 * still believed in; whoever captures a stack looks, then. */
void modules_unload_begin(void);
void modules_unload_end(void);

/** modules_after_fork() - the threads that were unloading are not in this process */
void modules_after_fork(void);

extern _Atomic uint32_t modules_n_unloading;

static inline bool modules_unloading(void) {
        return atomic_load_explicit(&modules_n_unloading, memory_order_acquire) != 0;
}

/** modules_check_unloaded() - look which are gone, after a dlclose */
void modules_check_unloaded(struct modules *modules, unsigned room);

/** modules_open_files() - open files that the daemon does not have yet
 * @items: [n_max] what they are, in the definitions; @fds: [n_max]; opened descriptors are the caller's; a file that
 * can't be opened is passed over for good. Return: number opened. */
unsigned modules_open_files(struct modules *modules, uint64_t *items, int *fds, unsigned n_max);
