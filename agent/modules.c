/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A table of slots without a lock: a slot's generation is set last and checked
 * again after the other fields were read. Called when the trie has no node for a
 * program counter yet, so the search through the slots is no hot path.
 */

#include "agent/modules.h"

#include "agent/rule_cache.h"
#include "agent/sys.h"
#include "agent/thread.h"
#include "proto/agent.pb-c.h"

#include <string.h>

#define EXECUTABLE "/proc/self/exe"
#define MAPPINGS   "/proc/self/map_files/"

void (*modules_noticed)(const struct object *object);

void modules_init(struct modules *modules, struct definitions *definitions, struct ring_writer *ring,
                  struct trie *trie) {
        modules->definitions = definitions;
        modules->ring = ring;
        modules->trie = trie;
}

/* Words at a time: this is asked for every new node. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length) {
        const char *at = bytes;
        uint64_t word;
        for (; length > 0; length -= length < sizeof word ? length : sizeof word, at += sizeof word) {
                word = 0;
                if (length >= sizeof word)
                        memcpy(&word, at, sizeof word);
                else
                        memcpy(&word, at, length);
                hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
                hash ^= hash >> 32;
        }
        return hash;
}

static uint64_t identity_of(const struct object *object) {
        uint64_t hash = hash_bytes(object->build_id_length, object->build_id, object->build_id_length);
        return hash_bytes(hash, object->name, strlen(object->name));
}

static bool is_same(const struct module *module, const struct object *object) {
        return module->start == object->start && module->end == object->end && module->bias == object->bias &&
               module->identity == identity_of(object);
}

/* Return: whether @pc is in the module; its generation and load bias are consistent then. */
static bool slot_holds(const struct module *module, uint64_t pc, uint32_t *generationp, uint64_t *biasp) {
        uint32_t generation = atomic_load_explicit(&module->generation, memory_order_acquire);
        if (generation == 0)
                return false;
        bool inside = pc >= module->start && pc < module->end;
        *biasp = module->bias;
        atomic_thread_fence(memory_order_acquire);
        *generationp = generation;
        return inside && atomic_load_explicit(&module->generation, memory_order_relaxed) == generation;
}

static char *put_hex(char *at, uint64_t value) {
        unsigned shift = 60;
        while (shift > 0 && value >> shift == 0)
                shift -= 4;
        for (;; shift -= 4) {
                *at++ = "0123456789abcdef"[value >> shift & 15];
                if (shift == 0)
                        return at;
        }
}

/* After a dlopen("./plugin.so") the loader's name is true in the folder of that moment only: not behind a chdir(), and
 * not for the daemon. The kernel knows whose file the first segment is. Return: length, 0 where it does not tell. */
static size_t mapped_path(const struct object *object, char *path, size_t size) {
        static const char deleted[] = " (deleted)";
        const size_t tail = sizeof deleted - 1;
        char link[sizeof MAPPINGS + 2 * 16 + 1], *at = link + sizeof MAPPINGS - 1;
        unsigned i = 0;
        while (i < object->n_phdrs && object->phdrs[i].p_type != PT_LOAD)
                i++;
        if (i == object->n_phdrs)
                return 0;
        uint64_t end = object->bias + object->phdrs[i].p_vaddr + object->phdrs[i].p_filesz;
        memcpy(link, MAPPINGS, sizeof MAPPINGS);
        at = put_hex(at, object->start);
        *at++ = '-';
        *put_hex(at, (end + 4095) & ~UINT64_C(4095)) = '\0';
        long linked = sys_readlink(link, path, size);
        if (linked <= 0 || (size_t)linked == size)
                return 0;
        bool gone = (size_t)linked > tail && memcmp(path + linked - tail, deleted, tail) == 0;
        return gone ? 0 : (size_t)linked;
}

static size_t loaded_path(const struct object *object, char *path, size_t size) {
        size_t length = strlen(object->name);
        size_t mapped = object->name[0] == '/' ? 0 : mapped_path(object, path, size);
        if (mapped > 0)
                return mapped;
        if (length > size)
                length = size;
        memcpy(path, object->name, length);
        return length;
}

/* The path as the daemon shall see it, and the one to open. Return: length of the first. */
static size_t object_path(const struct object *object, char *path, size_t size, char *file, size_t file_size) {
        size_t length;
        long linked;
        file[0] = '\0';
        if (object->name[0] == '\0') {
                memcpy(file, EXECUTABLE, sizeof EXECUTABLE);
                linked = sys_readlink(EXECUTABLE, path, size);
                return linked > 0 ? (size_t)linked : 0;
        }
        if (strncmp(object->name, "linux-vdso", 10) == 0) {
                memcpy(path, "[vdso]", 6);
                return 6;
        }
        length = loaded_path(object, path, size);
        if (length < file_size) {
                memcpy(file, path, length);
                file[length] = '\0';
        }
        return length;
}

static uint64_t write_item(struct modules *modules, const struct object *object, uint32_t generation, char *file,
                           size_t file_size) {
        Tracemallocd__Agent__ModuleDef module = TRACEMALLOCD__AGENT__MODULE_DEF__INIT;
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        uint8_t packed[1024 + 256];
        char path[1024];
        module.generation = generation;
        module.path.data = (uint8_t *)path;
        module.path.len = object_path(object, path, sizeof path, file, file_size);
        module.build_id.data = (uint8_t *)object->build_id;
        module.build_id.len = object->build_id_length;
        module.bias = object->bias;
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_MODULE;
        item.module = &module;
        return definitions_add_item(modules->definitions, packed,
                                    (uint32_t)tracemallocd__agent__item__pack(&item, packed));
}

static bool put_load(struct modules *modules, unsigned room, uint32_t generation, uint64_t item) {
        return ring_put(modules->ring, room, 2, record_header(RECORD_MODULE_LOAD, 0, 0, generation), item, 0, 0) !=
               RING_NO_POSITION;
}

static struct module *claim_slot(struct modules *modules) {
        uint32_t n = atomic_load(&modules->n_slots);
        while (n < MODULES_MAX)
                if (atomic_compare_exchange_weak(&modules->n_slots, &n, n + 1))
                        return &modules->slots[n];
        /* a program that loads and unloads all day: what died is taken again */
        for (n = 0; n < MODULES_MAX; n++) {
                uint32_t dead = 1;
                if (atomic_compare_exchange_strong(&modules->slots[n].dead, &dead, 0))
                        return &modules->slots[n];
        }
        return NULL;
}

/* Return: the generation, 0 where it could not be told. */
static uint32_t add(struct modules *modules, unsigned room, const struct object *object) {
        struct module *module = claim_slot(modules);
        if (!module)
                return 0;
        uint32_t generation = atomic_fetch_add(&modules->n_generations, 1) + 1;
        module->item = write_item(modules, object, generation, module->path, sizeof module->path);
        if (module->item == DEFINITIONS_FULL || !put_load(modules, room, generation, module->item)) {
                atomic_store(&module->dead, 1);
                return 0;
        }
        module->start = object->start;
        module->end = object->end;
        module->bias = object->bias;
        module->identity = identity_of(object);
        module->map = object->map;
        module->eh_frame_hdr = object->eh_frame_hdr;
        atomic_store(&module->file_sent, 0);
        atomic_fetch_add(&modules->n_unsent, 1);
        atomic_store_explicit(&module->generation, generation, memory_order_release);
        return generation;
}

/* Forgets before the slot is given up: who sees it given up may rely on that. */
static void unload(struct modules *modules, unsigned room, struct module *module, uint32_t generation) {
        uint64_t start = module->start, end = module->end;
        rule_cache_forget(start, end);
        trie_forget(modules->trie, start, end);
        if (!atomic_compare_exchange_strong(&module->generation, &generation, 0))
                return; /* another thread saw it too */
        ring_put(modules->ring, room, 1, record_header(RECORD_MODULE_UNLOAD, 0, 0, generation), 0, 0, 0);
        atomic_store(&module->dead, 1);
}

uint32_t modules_find(struct modules *modules, unsigned room, uint64_t pc, uint64_t *valuep) {
        uint32_t n = atomic_load_explicit(&modules->n_slots, memory_order_acquire), generation;
        struct object object;
        uint64_t bias;
        *valuep = pc;
        if (!object_find(pc, &object))
                return 0;
        for (uint32_t i = 0; i < n; i++) {
                struct module *module = &modules->slots[i];
                if (!slot_holds(module, pc, &generation, &bias))
                        continue;
                if (is_same(module, &object)) {
                        *valuep = pc - bias;
                        return generation;
                }
                unload(modules, room, module, generation);
        }
        generation = add(modules, room, &object);
        if (unlikely(modules_noticed != NULL))
                modules_noticed(&object);
        if (generation)
                *valuep = pc - object.bias;
        return generation;
}

static void add_loaded(const struct object *object, void *context) {
        struct modules *modules = context;
        uint32_t n = atomic_load(&modules->n_slots);
        for (uint32_t i = 0; i < n; i++)
                if (atomic_load(&modules->slots[i].generation) && is_same(&modules->slots[i], object))
                        return;
        add(modules, 0, object);
}

void modules_add_loaded(struct modules *modules) {
        object_for_each(add_loaded, modules);
}

_Atomic uint32_t modules_n_unloading;

void modules_unload_begin(void) {
        atomic_fetch_add(&modules_n_unloading, 1);
}

void modules_unload_end(void) {
        uint32_t n = atomic_load(&modules_n_unloading);
        /* 0: a destructor forked, and this is the child */
        while (n > 0 && !atomic_compare_exchange_weak(&modules_n_unloading, &n, n - 1))
                ;
}

void modules_after_fork(void) {
        atomic_store(&modules_n_unloading, 0);
}

/* Build id and name lie in memory that another thread's dlclose() may be unmapping. Without them, another object is
 * told by the loader's record and by where it has its unwind tables. */
static bool is_still_there(const struct module *module) {
        struct object object;
        if (!object_peek(module->start, &object))
                return false;
        return object.map ? object.map == module->map && object.eh_frame_hdr == module->eh_frame_hdr
                          : is_same(module, &object);
}

void modules_check_unloaded(struct modules *modules, unsigned room) {
        uint32_t n = atomic_load(&modules->n_slots);
        for (uint32_t i = 0; i < n; i++) {
                struct module *module = &modules->slots[i];
                uint32_t generation = atomic_load_explicit(&module->generation, memory_order_acquire);
                if (generation && !is_still_there(module))
                        unload(modules, room, module, generation);
        }
}

void modules_copy(struct modules *modules, const struct modules *parent) {
        uint32_t n = atomic_load(&parent->n_slots);
        atomic_store(&modules->n_generations, atomic_load(&parent->n_generations));
        for (uint32_t i = 0; i < n; i++) {
                const struct module *from = &parent->slots[i];
                struct module *to = &modules->slots[i];
                const void *item;
                uint32_t generation = atomic_load(&from->generation);
                atomic_store(&to->dead, generation == 0);
                if (generation == 0)
                        continue;
                uint32_t length = definitions_item(parent->definitions, from->item, &item);
                to->item = definitions_add_item(modules->definitions, item, length);
                if (to->item == DEFINITIONS_FULL || !put_load(modules, 0, generation, to->item)) {
                        atomic_store(&to->dead, 1);
                        continue;
                }
                to->start = from->start;
                to->end = from->end;
                to->bias = from->bias;
                to->identity = from->identity;
                to->map = from->map;
                to->eh_frame_hdr = from->eh_frame_hdr;
                memcpy(to->path, from->path, sizeof to->path);
                /* what the parent has sent, the daemon has by the parent's secret */
                atomic_store(&to->file_sent, atomic_load(&from->file_sent));
                if (!atomic_load(&to->file_sent))
                        atomic_fetch_add(&modules->n_unsent, 1);
                atomic_store(&to->generation, generation);
        }
        atomic_store(&modules->n_slots, n);
}

unsigned modules_open_files(struct modules *modules, uint64_t *items, int *fds, unsigned n_max) {
        uint32_t n = atomic_load(&modules->n_slots);
        unsigned n_opened = 0;
        for (uint32_t i = 0; i < n && n_opened < n_max; i++) {
                struct module *module = &modules->slots[i];
                uint32_t generation = atomic_load_explicit(&module->generation, memory_order_acquire);
                if (!generation || atomic_exchange(&module->file_sent, 1))
                        continue;
                atomic_fetch_sub(&modules->n_unsent, 1);
                int fd = module->path[0] ? sys_open(module->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
                if (fd < 0)
                        continue;
                items[n_opened] = module->item;
                fds[n_opened++] = fd;
        }
        return n_opened;
}
