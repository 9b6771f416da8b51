/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Frames of the store into locations of a snapshot in the making, each read once. Thread of the reader. */

#include "daemon/store/id_map.h"
#include "daemon/store/row_cursor.h"
#include "daemon/store/store_reader_private.h"

struct frame_loader {
        struct store_reader *reader;      /* borrowed */
        struct snapshot_builder *builder; /* borrowed */
        struct row_cursor frames;
        struct id_map locations, modules, strings; /* rows to indexes */
};

/** frame_loader_init() - nothing is read yet; @reader, @builder: borrowed until frame_loader_deinit() */
void frame_loader_init(struct frame_loader *l, struct store_reader *reader, struct snapshot_builder *builder);

/** frame_loader_deinit() - of a zeroed one, too; the builder stays */
void frame_loader_deinit(struct frame_loader *l);

/** frame_loader_location() - the location of a row of frames, with its module or strings
 * @id: above 0; neighbours are cheap, row_cursor.h. @indexp: in the builder, set on 0
 * Return: 0; STORE_E_CORRUPT; as statement_run(); -ENOMEM. */
int frame_loader_location(struct frame_loader *l, int64_t id, uint32_t *indexp);
