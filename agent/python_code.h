/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Python's code objects as numbers. A number stands for what a code object says
 * (file, name, first line, line table), is told to the daemon once, as a CodeDef,
 * and is never given another meaning; code objects that say the same have the same. That a code
 * object at some address says this or that is believed only until the interpreter frees that address:
 * python_codes_forget(). Threads need no lock: a code object lives as long as a frame of it is on the stack that
 * is being walked, so nobody frees it meanwhile.
 */

#include "agent/definitions_writer.h"
#include "agent/python_layout.h"
#include "agent/trie.h"

#include <stdatomic.h>
#include <stdint.h>

#define PYTHON_CODES_LOG2        20
#define PYTHON_CODES_MAX         (UINT32_C(1) << PYTHON_CODES_LOG2)
#define PYTHON_CODES_CACHED_LOG2 14
#define PYTHON_CODES_PAGE_LOG2   12 /* numbers whose items are mapped at once: 32 KiB */
#define PYTHON_CODES_PAGE        (UINT32_C(1) << PYTHON_CODES_PAGE_LOG2)
#define PYTHON_CODES_PAGES       (PYTHON_CODES_MAX >> PYTHON_CODES_PAGE_LOG2)

/* of code that could not be told of: nothing describes it, so the reader calls it unknown */
#define PYTHON_CODE_UNKNOWN 0

struct python_codes {
        const struct python_layout *layout;
        struct definitions *definitions;
        _Atomic uint32_t n_codes; /* handed out */
        struct trie by_content;   /* hash of what a code says -> number */
        /* address / 16 and number in one word, 0: free. A cache: what is pushed out is found by content again */
        _Atomic uint64_t by_address[1 << PYTHON_CODES_CACHED_LOG2];
        /* Offset of the Item of a number, plus 1; 0: not told. Mapped as numbers are handed out: all at once they would
         * be address space that a program below RLIMIT_AS has a use for. */
        _Atomic uint64_t *_Atomic items[PYTHON_CODES_PAGES];
};

/** python_codes_new() - none yet
 * @definitions, @layout: borrowed for good. Return: NULL where there is no memory. */
struct python_codes *python_codes_new(struct definitions *definitions, const struct python_layout *layout);

/** python_codes_inherit() - in a child of fork: tell of the parent's again, with the same numbers
 * @codes: new. Addresses are not taken over. Where the definitions are too small, the rest is unknown. */
void python_codes_inherit(struct python_codes *codes, const struct python_codes *parent);

/** python_codes_number() - number of a code object that a frame of the calling thread runs
 * O(1) where the address is known, else O(what it says), and a system call for each 4096th.
 * Return: 1..PYTHON_CODES_MAX-1; PYTHON_CODE_UNKNOWN. */
uint32_t python_codes_number(struct python_codes *codes, uintptr_t code);

/** python_codes_forget() - the code object at an address is about to be freed */
void python_codes_forget(struct python_codes *codes, uintptr_t code);
