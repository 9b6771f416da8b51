/* SPDX-License-Identifier: Apache-2.0 */

/* The live state of one image. Runs on the ingest worker that owns it; called by daemon/ingest/feed_reader.c. */

#include "daemon/live/image.h"

#include "daemon/live/image_fork.h"
#include "daemon/live/image_kept.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int image_open_state(struct image *image) {
        struct trace_table *table;
        struct traceback_sums *sums;
        int r = trace_table_new(image->charge, image->keep, &table);
        if (r)
                return r < 0 ? r : IMAGE_E_FULL;
        r = traceback_sums_new(image->charge, image->keep, &sums);
        if (r) {
                trace_table_unref(table);
                return r;
        }
        image->table = table;
        image->sums = sums;
        return 0;
}

int image_init(struct image *image, struct keep *keep, uint64_t memory_limit) {
        *image = (struct image){.keep = keep, .tracing = true};
        image->charge = charge_new(memory_limit ? memory_limit : UINT64_MAX);
        if (!image->charge)
                return -ENOMEM;
        int r = module_map_new(image->charge, &image->modules);
        if (r == 0)
                r = image_open_state(image);
        if (r) {
                module_map_unref(image->modules);
                image->charge = charge_unref(image->charge);
                return r;
        }
        interval_map_init(&image->mappings, image->charge);
        return 0;
}

void image_release(struct image *image) {
        interval_map_deinit(&image->mappings);
        move_map_deinit(&image->moves);
        domain_map_deinit(&image->domains);
        image->modules = module_map_unref(image->modules);
        image->table = trace_table_unref(image->table);
        image->sums = traceback_sums_unref(image->sums);
}

void image_deinit(struct image *image) {
        if (!image->charge)
                return;
        while (image->forks) {
                struct image_fork *fork = image->forks;
                image->forks = fork->next;
                image_fork_free(fork);
        }
        image_release(image);
        charge_unref(image->charge);
        *image = (struct image){};
}

int image_cut(struct image *image, struct cut *cut) {
        int r = cut_open(cut, image->table);
        for (size_t i = 0; r == 0 && i < image->moves.n_moves; i++)
                cut_add(cut, &image->moves.moves[i].block);
        return r;
}

int image_module_load(struct image *image, uint32_t generation, const void *path, size_t path_length,
                      const uint8_t *build_id, size_t build_id_length) {
        if (image->keep)
                image_journal_module(image, generation, path, path_length, build_id, build_id_length);
        int r = module_map_add(image->modules, generation, path, path_length, build_id, build_id_length);
        return r > 0 ? IMAGE_E_FULL : r;
}

int image_domain(struct image *image, unsigned index, uint32_t number, const void *name, size_t name_length) {
        if (image->keep)
                image_journal_domain(image, index, number, name, name_length);
        return domain_map_add(&image->domains, index, number, name, name_length);
}

const struct image_phase *image_peak_phase(const struct image *image) {
        return image->sums->total.peak_size != image->phase_peak_size ? &image->phase : &image->old_peak;
}

/* The peak so far is the old phase's if it rose in it: that is all there is to do, and nothing at each event. */
void image_begin_phase(struct image *image, const void *label, size_t length) {
        image->old_peak = *image_peak_phase(image);
        image->phase_peak_size = image->sums->total.peak_size;
        image->phase.length = (uint8_t)(length < IMAGE_PHASE_BYTES_MAX ? length : IMAGE_PHASE_BYTES_MAX);
        if (length)
                memcpy(image->phase.label, label, image->phase.length);
}

void image_cut_off(struct image *image) {
        if (!image->farewell)
                image->cut_off = true;
}

void image_lost_told(struct image *image, uint64_t lost_events) {
        image->lost_told = lost_events;
}

void image_lose(struct image *image, uint64_t n) {
        image->lost += n;
}

/* The agent's counter runs ahead of its LOST records; after its death the counter is the better witness. */
static uint64_t lost_ever(const struct image *image) {
        return image->lost + (image->lost_told > image->lost_records ? image->lost_told : image->lost_records);
}

uint64_t image_lost(const struct image *image) {
        return lost_ever(image) - image->lost_forgotten;
}

bool image_is_exact(const struct image *image) {
        return !image->begun_inexact && !image->cut_off && image_lost(image) == 0;
}

int image_clear(struct image *image) {
        struct trace_table *table = image->table;
        struct traceback_sums *sums = image->sums;
        int r = image_open_state(image);
        if (r)
                return r < 0 ? r : -ENOMEM;
        trace_table_unref(table);
        traceback_sums_unref(sums);
        move_map_deinit(&image->moves);
        interval_map_deinit(&image->mappings);
        interval_map_init(&image->mappings, image->charge);
        image->lost_forgotten = lost_ever(image);
        image->begun_inexact = false;
        image->old_peak = image->phase;
        image->phase_peak_size = 0;
        return 0;
}

int image_stop(struct image *image) {
        int r = image_clear(image);
        if (r == 0)
                image->tracing = false;
        return r;
}

void image_start(struct image *image) {
        image->tracing = true;
        image->lost_forgotten = lost_ever(image);
}

void image_reset_peak(struct image *image) {
        traceback_sums_reset_peak(image->sums);
        image->old_peak = image->phase;
        image->phase_peak_size = image->sums->total.peak_size;
}

void image_check(const struct image *image) {
        trace_table_check(image->table);
        traceback_sums_check(image->sums);
        interval_map_check(&image->mappings);
        assert(image->table->count + image->moves.n_moves == image->sums->total.live_count);
        unsigned n_forks = 0;
        for (const struct image_fork *fork = image->forks; fork; fork = fork->next)
                n_forks++;
        assert(n_forks == image->n_forks);
}
