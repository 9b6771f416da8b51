/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One image, records that are applied to it, and snapshots of it. Tests run it as a checked fixture. */

#include "daemon/live/image_apply.h"
#include "daemon/live/image_snapshot.h"
#include "proto/record.h"
#include "tests/unit/live/fake_nodes.h"

#include <check.h>

static struct image image;
static uint64_t position; /* of the next record */

static inline void open_image(void) {
        ck_assert_int_eq(image_init(&image, NULL, 0), 0);
        position = 0;
}

static inline void close_image(void) {
        image_deinit(&image);
}

/* Return: position of the event. */
static inline uint64_t apply(unsigned type, unsigned domain, uint32_t argument, uint64_t a, uint64_t b, uint64_t c) {
        struct event event = {.position = position,
                              .word = {a, b, c},
                              .argument = argument,
                              .type = (uint8_t)type,
                              .domain = (uint8_t)domain};
        size_t done;
        image_apply(&image, &event, 1, &done);
        ck_assert_uint_eq(done, 1);
        uint64_t at = position;
        position += 8 * record_words(type);
        return at;
}

static inline struct snapshot *take_snapshot(enum snapshot_kind kind, const struct fake_nodes *nodes) {
        struct image_snapshot *reading;
        struct snapshot *snapshot;
        ck_assert_int_eq(image_snapshot_begin(&image, kind, &nodes->source, &reading), 0);
        int r;
        while ((r = image_snapshot_step(reading, 1)) == IMAGE_SNAPSHOT_MORE)
                ;
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(snapshot_builder_finish(image_snapshot_finish(reading), &snapshot), 0);
        return snapshot;
}
