/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One compilation unit of a module's DWARF: its functions and inlined calls by
 * address, and its line table. Read when the first address falls into the unit,
 * once: after that an address costs two binary searches and its inline depth.
 */

#include "daemon/symbol/helper/frame_list.h"
#include "daemon/symbol/helper/range_index.h"

#include <elfutils/libdw.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scope;
struct symbol_table;

struct unit {
        Dwarf_Die die;       /* where the line table hangs: the skeleton of a split unit */
        Dwarf_Die scope_die; /* where the functions hang */
        int version;         /* of its DWARF */
        bool is_read;
        const char *folder;   /* what its relative file names are relative to; NULL: not said */
        struct scope *scopes; /* functions and inlined calls, callers before callees */
        size_t n_scopes, scopes_size;
        struct range_index index; /* address -> innermost scope */
};

/** unit_deinit() - free what was read; the DWARF itself is the module's */
void unit_deinit(struct unit *unit);

/** unit_ranges() - add the addresses that the unit covers to an index of units
 * @code: ranges of machine code; what does not begin in them is left over from the linker and passed over
 * @number: the value of the ranges
 * A unit that does not say is read for it. */
void unit_ranges(struct unit *unit, const struct range_index *code, uint32_t number, struct range_index *units);

/** unit_resolve() - the frames of an address as the DWARF has it
 * @symbols: names a function whose DWARF has no linkage name (a constructor), if it starts where the function does
 * @symbol_bias: added to a DWARF address gives the symbol's
 * @frames: added to; nothing is added where the unit has neither function nor line for the address. Where only the
 *      function is unknown its name is NULL. */
void unit_resolve(struct unit *unit, const struct range_index *code, const struct symbol_table *symbols,
                  uint64_t symbol_bias, uint64_t address, struct frame_list *frames);

/** unit_has_lines() - it has a line table */
bool unit_has_lines(struct unit *unit);
