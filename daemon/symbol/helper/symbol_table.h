/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The functions among the ELF symbols of a module (.symtab of the file or of its
 * separate debug file, .dynsym, .gnu_debugdata), by address. A sized symbol
 * answers for its bytes only; one without a size (assembly) for what follows up
 * to the next symbol or the end of the section. Libraries without any debug
 * information are named by this alone.
 */

#include "daemon/symbol/helper/range_index.h"

#include <elfutils/libdwfl.h>

#include <stddef.h>
#include <stdint.h>

struct function_symbol;

struct symbol_table {
        struct function_symbol *symbols; /* by address */
        size_t n_symbols, symbols_size;
        struct range_index index;
};

/** symbol_table_read() - take all functions in; O(n log n), once a module
 * @code: ranges of machine code; symbols outside are no functions */
void symbol_table_read(struct symbol_table *table, Dwfl_Module *module, const struct range_index *code);

/** symbol_table_deinit() - free all */
void symbol_table_deinit(struct symbol_table *table);

/** symbol_table_find() - name of the function that covers an address, demangled
 * Return: borrowed; NULL where none does. */
const char *symbol_table_find(struct symbol_table *table, uint64_t address);

/** symbol_table_name_at() - linkage name of a function that starts at exactly this address
 * Return: borrowed; NULL. */
const char *symbol_table_name_at(const struct symbol_table *table, uint64_t address);
