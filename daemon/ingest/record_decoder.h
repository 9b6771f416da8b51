/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One record out of hostile words into a struct event: what the ring and the
 * socket way share. Inline: this is the inner loop of ingest.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/ingest/definitions.h"
#include "daemon/live/event.h"
#include "proto/record.h"

#define RECORD_NAMES_NODE (1U << RECORD_ALLOC | 1U << RECORD_MOVE_IN | 1U << RECORD_MAP | 1U << RECORD_RELABEL)

/** record_decode() - check and store one record
 * @definitions: whose nodes the record may name
 * @position: of the record
 * @header: with its top bit set; its type has @n_words
 * @word: the three words behind the header, copied once; what is not the record's is ignored
 * @event: set, also on failure
 * Return: whether the record keeps the protocol. */
static inline bool record_decode(struct definitions *definitions, uint64_t position, uint64_t header, unsigned n_words,
                                 const uint64_t word[3], struct event *event) {
        unsigned type = record_type(header);
        uint32_t argument = record_argument(header);
        *event = (struct event){.position = position,
                                .word = {word[0], word[1], word[2]},
                                .argument = argument,
                                .type = (uint8_t)type,
                                .domain = (uint8_t)record_domain(header)};
        uint64_t used = (n_words > 1 ? word[0] : 0) | (n_words > 2 ? word[1] : 0) | (n_words > 3 ? word[2] : 0);
        if (__builtin_expect(used >= RECORD_PAYLOAD_LIMIT, 0))
                return false;
        if ((RECORD_NAMES_NODE >> type & 1) && __builtin_expect(argument >= definitions->n_nodes_seen, 0))
                return argument < definitions_n_nodes(definitions);
        return true;
}
