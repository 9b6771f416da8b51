/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One record out of hostile words into a struct event: what the ring and the
 * socket way share. Inline: this is the inner loop of ingest.
 */

#include "daemon/ingest/definitions.h"
#include "daemon/live/event.h"
#include "proto/record.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORD_NAMES_NODE (1U << RECORD_ALLOC | 1U << RECORD_MOVE_IN | 1U << RECORD_MAP | 1U << RECORD_RELABEL)

_Static_assert(RECORD_PAYLOAD_LIMIT == UINT64_C(1) << 63, "one bit says that a word is no payload");

/** record_payload_is_sound() - that none of the @n_words - 1 words has the bit of a header; without a branch */
static inline bool record_payload_is_sound(unsigned n_words, const uint64_t word[3]) {
        static const uint64_t bits[RECORD_WORDS_MAX + 1][3] = {
                [2] = {RECORD_HEADER_BIT},
                [3] = {RECORD_HEADER_BIT, RECORD_HEADER_BIT},
                [4] = {RECORD_HEADER_BIT, RECORD_HEADER_BIT, RECORD_HEADER_BIT},
        };
        const uint64_t *mask = bits[n_words];
        return ((word[0] & mask[0]) | (word[1] & mask[1]) | (word[2] & mask[2])) == 0;
}

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
        /* field by field: what image_apply() keeps in it is not cleared first */
        event->position = position;
        event->word[0] = word[0];
        event->word[1] = word[1];
        event->word[2] = word[2];
        event->argument = argument;
        event->type = (uint8_t)type;
        event->domain = (uint8_t)record_domain(header);
        if (__builtin_expect(!record_payload_is_sound(n_words, word), 0))
                return false;
        if (__builtin_expect(argument >= definitions->n_nodes_seen, 0) && (RECORD_NAMES_NODE >> type & 1))
                return argument < definitions_n_nodes(definitions);
        return true;
}
