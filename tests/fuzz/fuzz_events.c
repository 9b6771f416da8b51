/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Definitions and records of a hostile agent, from the bytes of their messages to
 * a table, a snapshot of it and its peak.
 *
 * Input: number of nodes (1 byte), length of the items (2 bytes, little-endian), the nodes, the items, the records.
 */

#include "daemon/ingest/batch_decoder.h"
#include "daemon/live/image_apply.h"
#include "daemon/live/image_snapshot.h"
#include "proto/record.h"

#include <assert.h>
#include <stdint.h>

#define IMAGE_BYTES (UINT64_C(32) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What feed_reader.c does with a MODULE_LOAD, a DOMAIN or a PHASE. Return: whether to go on. */
static bool apply_item(struct image *image, struct definitions *definitions, const struct event *event) {
        Tracemallocd__Agent__Item *item;
        if (event->type != RECORD_MODULE_LOAD && event->type != RECORD_DOMAIN && event->type != RECORD_PHASE)
                return true;
        if (definitions_item(definitions, event->word[0], &item) != 0)
                return false;
        bool known = true;
        if (event->type == RECORD_MODULE_LOAD && item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_MODULE &&
            event->argument >= 1 && event->argument < NODE_UNIT_CODE)
                image_module_load(image, event->argument, item->module->path.data, item->module->path.len,
                                  item->module->build_id.data, item->module->build_id.len);
        else if (event->type == RECORD_DOMAIN && item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_DOMAIN &&
                 item->domain->index >= DOMAIN_INDEX_FIRST_FREE && item->domain->index <= DOMAIN_INDEX_MAX)
                image_domain(image, item->domain->index, item->domain->number, item->domain->name.data,
                             item->domain->name.len);
        else if (event->type == RECORD_PHASE && item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_PHASE)
                image_begin_phase(image, item->phase->label.data, item->phase->label.len);
        else
                known = false;
        tracemallocd__agent__item__free_unpacked(item, NULL);
        return known;
}

static bool apply(struct image *image, struct definitions *definitions, struct event *events, size_t n) {
        for (size_t done = 0; done < n;) {
                size_t k;
                int r = image_apply(image, events + done, n - done, &k);
                assert(k > 0 && k <= n - done);
                done += k;
                if (r == IMAGE_SPECIAL && !apply_item(image, definitions, &events[done - 1]))
                        return false;
        }
        return true;
}

static void read_records(struct image *image, struct definitions *definitions, const uint8_t *records, size_t length) {
        struct event events[EVENT_BATCH_MAX];
        size_t offset = 0, n, before;
        int r;
        do {
                before = offset;
                r = batch_decoder_read(records, length, before, definitions, &offset, events, EVENT_BATCH_MAX, &n);
                assert(offset <= length && offset >= before && n <= EVENT_BATCH_MAX);
                if (!apply(image, definitions, events, n))
                        return;
        } while (r == 0 && offset < length);
}

static void take_snapshot(struct image *image, struct definitions *definitions, enum snapshot_kind kind) {
        struct image_snapshot *taking;
        struct snapshot *snapshot;
        int r;
        if (image_snapshot_begin(image, kind, &definitions->source, &taking) != 0)
                return;
        while ((r = image_snapshot_step(taking, 16)) == IMAGE_SNAPSHOT_MORE)
                ;
        assert(r == 0);
        struct snapshot_builder *builder = image_snapshot_finish(taking);
        r = snapshot_builder_finish(builder, &snapshot);
        assert(r == 0);
        uint64_t total = 0, count = 0;
        for (uint32_t i = 0; i < snapshot->n_groups; i++) {
                assert(snapshot->groups[i].node < snapshot->n_nodes);
                total += snapshot->groups[i].size;
                count += snapshot->groups[i].count;
        }
        assert(total == snapshot->info.size && count == snapshot->info.count);
        snapshot_unref(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 3)
                return 0;
        size_t nodes = data[0] * sizeof(struct node_def), items = (size_t)(data[1] | data[2] << 8) & ~(size_t)7;
        data += 3;
        size -= 3;
        if (nodes + items > size)
                return 0;
        struct definitions definitions;
        struct image image;
        definitions_open_socket(&definitions);
        int r = definitions_append(&definitions, data, nodes, data + nodes, items);
        assert(r == 0);
        r = image_init(&image, NULL, IMAGE_BYTES);
        assert(r == 0);
        read_records(&image, &definitions, data + nodes + items, size - nodes - items);
        image_check(&image);
        take_snapshot(&image, &definitions, SNAPSHOT_REQUEST);
        take_snapshot(&image, &definitions, SNAPSHOT_PEAK);
        image_deinit(&image);
        definitions_close(&definitions);
        return 0;
}
