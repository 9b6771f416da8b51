/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one encoding of event records. The same words lie in the ring
 * (proto/ring.h) and in an EventBatch (proto/agent.proto), which describes
 * them for agents in other languages. Nothing here needs more than C11: the
 * agent, the daemon and the tests include it.
 *
 * A record is 1 to 4 words of 64 bits, in the machine's byte order in the ring
 * and little-endian on the wire (x86-64: the same). Word 0 is the header:
 *
 *   bit  63      1 in a header, 0 in every payload word, so that a reader can
 *                find the next header behind a hole
 *   bits 62..58  type, enum record_type
 *   bits 57..50  lap of the ring that wrote it: (position / ring size) & 255;
 *                0 in an EventBatch. A header of an earlier lap is stale.
 *   bits 49..42  domain index (enum domain_index or one that a DomainDef made)
 *   bits 41..32  zero; a reader ignores them
 *   bits 31..0   argument: traceback node, or what the type says
 *
 *   type         words  argument    payload
 *   ALLOC        3      node        address, size
 *   FREE         2      0           address
 *   MOVE_OUT     2      0           address: realloc begins; the block stays
 *                                   counted, its address is free from here on
 *   MOVE_IN      4      node        address, size, position of the MOVE_OUT
 *   MOVE_BACK    2      0           position of the MOVE_OUT: realloc failed
 *   LOST         2      0           events lost since the last LOST record
 *   MODULE_LOAD  2      generation  offset of its ModuleDef in the items area
 *   MODULE_UNLOAD 1     generation
 *   DOMAIN       2      0           offset of its DomainDef in the items area
 *   FORK         1      token       the process is about to fork
 *   FORK_DONE    2      token       pid of the child as the parent sees it, or
 *                                   0 where the fork failed
 *   EXIT         2      0 or 1      exit status: the process ends by itself
 *   EXEC         1      0 or 1      the process is about to exec
 *   EXEC_BACK    1      0           the exec failed; the image lives on
 *   MAP          3      node        address, length        (domain mmap)
 *   UNMAP        3      0           address, length        (domain mmap)
 *   PHASE        2      0           offset of its PhaseDef in the items area
 *   RELABEL      2      node        address: the block that is alive there in this domain, if there is one, is
 *                                   allocated anew where it lies (minor 1)
 *
 * An argument of 1 (RECORD_OTHERS_GO_ON) in EXIT and EXEC: in the socket way, what other threads do until the
 * process is gone may not be sent.
 *
 * Types from 19 to 31 are for later (samples with a weight); a reader that
 * does not know a type can't know its length and gives the peer up.
 *
 * Order. FREE and MOVE_OUT are reserved before the real call, ALLOC and MOVE_IN
 * after it and before the return to the caller, so for every address the order
 * of the records is the order of what happened. An ALLOC at an address that is
 * alive replaces the block, as tracemalloc does.
 */

#include <stdint.h>

enum record_type {
        RECORD_ALLOC = 1,
        RECORD_FREE = 2,
        RECORD_MOVE_OUT = 3,
        RECORD_MOVE_IN = 4,
        RECORD_MOVE_BACK = 5,
        RECORD_LOST = 6,
        RECORD_MODULE_LOAD = 7,
        RECORD_MODULE_UNLOAD = 8,
        RECORD_DOMAIN = 9,
        RECORD_FORK = 10,
        RECORD_FORK_DONE = 11,
        RECORD_EXIT = 12,
        RECORD_EXEC = 13,
        RECORD_EXEC_BACK = 14,
        RECORD_MAP = 15,
        RECORD_UNMAP = 16,
        RECORD_PHASE = 17,
        RECORD_RELABEL = 18,
        RECORD_TYPE_MAX = 18,
};

/* Domains that need no DomainDef. python and malloc share one key space: a free
 * is matched by address whoever allocated. Every other domain has its own. */
enum domain_index {
        DOMAIN_INDEX_MALLOC = 0,
        DOMAIN_INDEX_PYTHON = 1,
        DOMAIN_INDEX_MMAP = 2,
        DOMAIN_INDEX_FIRST_FREE = 3,
        DOMAIN_INDEX_MAX = 255,
};

/* The numbers that users see (tracemalloc's domain numbers). */
#define DOMAIN_PYTHON UINT32_C(0)
#define DOMAIN_MALLOC UINT32_C(4294967294)
#define DOMAIN_MMAP   UINT32_C(4294967293)

/* Hello.minor, HelloReply.minor: what this tree speaks. 1: RELABEL */
#define PROTOCOL_MINOR 1

#define RECORD_OTHERS_GO_ON  UINT32_C(1)
#define RECORD_WORDS_MAX     4
#define RECORD_HEADER_BIT    (UINT64_C(1) << 63)
/* payload words are below this; an agent drops what is not (no such address
 * or size exists in user space) */
#define RECORD_PAYLOAD_LIMIT RECORD_HEADER_BIT

/** record_header() - make word 0
 * @type: enum record_type; @lap: low 8 bits count; @domain: 0..DOMAIN_INDEX_MAX
 * @argument: node, generation or token */
static inline uint64_t record_header(unsigned type, uint64_t lap, unsigned domain, uint32_t argument) {
        return RECORD_HEADER_BIT | (uint64_t)(type & 31) << 58 | (lap & 255) << 50 | (uint64_t)(domain & 255) << 42 |
               argument;
}

static inline unsigned record_type(uint64_t header) {
        return header >> 58 & 31;
}

static inline unsigned record_lap(uint64_t header) {
        return header >> 50 & 255;
}

static inline unsigned record_domain(uint64_t header) {
        return header >> 42 & 255;
}

static inline uint32_t record_argument(uint64_t header) {
        return (uint32_t)header;
}

/** record_words() - length of a record in words
 * Return: 1..RECORD_WORDS_MAX, or 0 for a type that does not exist. */
static inline unsigned record_words(unsigned type) {
        static const uint8_t words[32] = {0, 3, 2, 2, 4, 2, 2, 2, 1, 2, 1, 2, 2, 1, 1, 3, 3, 2, 2};
        return type < 32 ? words[type] : 0;
}
