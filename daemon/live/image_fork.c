/* SPDX-License-Identifier: Apache-2.0 */

/* Tables that forks leave to their children. Runs on the ingest worker; called by image_apply.c, feed_reader.c and
 * image_kept.c. */

#include "daemon/live/image_fork.h"

#include "daemon/live/image_apply.h"
#include "proto/record.h"

#include <stdlib.h>

/* Unlike image_cut(): a child's heap has no thread in realloc any more, so such a block is where it was, unless its
 * address is somebody else's already. */
static int cut_for_child(struct image *image, struct cut *cut) {
        int r = cut_open_kept(cut, image->table, image->moves.n_moves);
        for (size_t i = 0; r == 0 && i < image->moves.n_moves; i++) {
                const struct trace_block *block = &image->moves.moves[i].block;
                unsigned domain = trace_block_domain(block);
                uint64_t address = block->address, hash = trace_table_hash(image->table, domain, address);
                if (!trace_table_find(image->table, hash, domain, address))
                        cut_add(cut, block);
        }
        return r;
}

static void unlink_fork(struct image *image, struct image_fork *fork) {
        struct image_fork **link = &image->forks;
        while (*link != fork)
                link = &(*link)->next;
        *link = fork->next;
        image->n_forks--;
}

static void drop_oldest_fork(struct image *image) {
        struct image_fork *fork = image->forks;
        while (fork->next)
                fork = fork->next;
        unlink_fork(image, fork);
        image->forks_dropped++;
        image->fork_dropped_token = fork->token;
        image_fork_free(fork);
}

void image_fork_add(struct image *image, uint32_t token) {
        if (image->n_forks == IMAGE_FORKS_MAX)
                drop_oldest_fork(image);
        struct image_fork *fork = calloc(1, sizeof *fork);
        if (!fork)
                return;
        if (domain_map_copy(&fork->domains, &image->domains) || cut_for_child(image, &fork->cut)) {
                domain_map_deinit(&fork->domains);
                free(fork);
                return;
        }
        fork->modules = module_map_ref(image->modules);
        fork->n_modules = image->modules->n_entries;
        fork->phase = image->phase;
        fork->token = token;
        fork->exact = image_is_exact(image);
        fork->next = image->forks;
        image->forks = fork;
        image->n_forks++;
}

void image_fork_done(struct image *image, uint32_t token, uint32_t pid) {
        struct image_fork *fork = image_fork_find(image, token);
        if (!fork)
                return;
        fork->pid = pid;
        if (pid == 0) {
                unlink_fork(image, fork);
                image_fork_free(fork);
        }
}

struct image_fork *image_fork_take(struct image *image, uint32_t token) {
        struct image_fork *fork = image_fork_find(image, token);
        if (fork)
                unlink_fork(image, fork);
        return fork;
}

struct image_fork *image_fork_find(struct image *image, uint32_t token) {
        struct image_fork *fork = image->forks;
        while (fork && fork->token != token)
                fork = fork->next;
        return fork;
}

struct image_fork *image_fork_free(struct image_fork *fork) {
        if (!fork)
                return NULL;
        cut_close(&fork->cut);
        module_map_unref(fork->modules);
        domain_map_deinit(&fork->domains);
        free(fork);
        return NULL;
}

int image_fork_begin(struct image *child, struct image_fork *fork) {
        if (!fork->exact)
                child->begun_inexact = true;
        child->phase = fork->phase;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < fork->n_modules && i < fork->modules->n_entries; i++) {
                const struct module_entry *module = &fork->modules->entries[i];
                r = image_module_load(child, module->generation, module->file->path, module->file->path_length,
                                      module->file->build_id, module->file->build_id_length);
        }
        for (unsigned i = DOMAIN_INDEX_FIRST_FREE; r == 0 && i <= DOMAIN_INDEX_MAX; i++) {
                const struct domain_def *def = domain_map_find(&fork->domains, i);
                if (def)
                        r = image_domain(child, i, def->number, def->name, def->name_length);
        }
        return r;
}

int image_fork_step(struct image *child, struct image_fork *fork, size_t n) {
        struct trace_block blocks[2 * CUT_READ_MIN];
        for (size_t done = 0; done < n; done += sizeof blocks / sizeof blocks[0]) {
                size_t got;
                int r = cut_read(&fork->cut, blocks, sizeof blocks / sizeof blocks[0], &got);
                if (r == CUT_E_BROKEN)
                        child->begun_inexact = true;
                if (r) {
                        child->inherited_size = child->sums->total.live_size;
                        return 0;
                }
                for (size_t i = 0; i < got; i++)
                        image_apply_inherited(child, &blocks[i]);
        }
        return IMAGE_FORK_MORE;
}
