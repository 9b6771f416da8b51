/* SPDX-License-Identifier: Apache-2.0 */

/* Functions of the ELF symbol table. Our own index: libdwfl's lookup is linear in the symbols. */

#include "daemon/symbol/helper/symbol_table.h"

#include "daemon/symbol/helper/memory.h"
#include "daemon/symbol/helper/name.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RANK_UNSIZED 0
#define RANK_SIZED   1

struct function_symbol {
        uint64_t address, size;
        const char *name; /* the module's */
        char *readable;   /* heap; NULL: not asked yet */
        uint8_t type, binding;
};

static bool is_function(const GElf_Sym *symbol, GElf_Word section, const char *name) {
        unsigned type = GELF_ST_TYPE(symbol->st_info);
        return section != SHN_UNDEF && section != SHN_ABS && name[0] != '\0' && name[0] != '$' &&
               (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

/* Of several names of one address the same one is chosen whatever order the file has them in:
 * functions before labels, then global, weak, local, then the plainest name. */
static int compare(const void *a, const void *b) {
        const struct function_symbol *x = a, *y = b;
        if (x->address != y->address)
                return x->address < y->address ? -1 : 1;
        if ((x->type == STT_NOTYPE) != (y->type == STT_NOTYPE))
                return x->type == STT_NOTYPE ? 1 : -1;
        bool x_local = x->binding == STB_LOCAL, y_local = y->binding == STB_LOCAL;
        if (x_local != y_local)
                return x_local ? 1 : -1;
        size_t x_underscores = strspn(x->name, "_"), y_underscores = strspn(y->name, "_");
        if (x_underscores != y_underscores)
                return x_underscores < y_underscores ? -1 : 1;
        bool x_weak = x->binding == STB_WEAK, y_weak = y->binding == STB_WEAK;
        if (x_weak != y_weak)
                return x_weak ? 1 : -1;
        return strcmp(x->name, y->name);
}

static void collect(struct symbol_table *table, Dwfl_Module *module, const struct range_index *code) {
        int n = dwfl_module_getsymtab(module);
        for (int i = 1; i < n; i++) {
                GElf_Sym symbol;
                GElf_Addr address;
                GElf_Word section;
                const char *name = dwfl_module_getsym_info(module, i, &symbol, &address, &section, NULL, NULL);
                if (!name || !is_function(&symbol, section, name) || !range_index_find(code, address))
                        continue;
                table->symbols =
                        memory_grow(table->symbols, table->n_symbols, &table->symbols_size, sizeof *table->symbols);
                table->symbols[table->n_symbols++] = (struct function_symbol){.address = address,
                                                                              .size = symbol.st_size,
                                                                              .name = name,
                                                                              .type = GELF_ST_TYPE(symbol.st_info),
                                                                              .binding = GELF_ST_BIND(symbol.st_info)};
        }
}

/* Where the symbol's bytes end. */
static uint64_t end_of(const struct symbol_table *table, size_t i, const struct range_index *code) {
        const struct function_symbol *symbol = &table->symbols[i];
        uint64_t end = range_index_find(code, symbol->address)->high;
        if (symbol->size > 0)
                return symbol->size < end - symbol->address ? symbol->address + symbol->size : end;
        for (size_t next = i + 1; next < table->n_symbols; next++)
                if (table->symbols[next].address > symbol->address)
                        return table->symbols[next].address < end ? table->symbols[next].address : end;
        return end;
}

void symbol_table_read(struct symbol_table *table, Dwfl_Module *module, const struct range_index *code) {
        /* of the last address with an unsized symbol: aliases share it, so the walk is linear */
        uint64_t unsized_end = 0;

        collect(table, module, code);
        if (table->n_symbols > 0)
                qsort(table->symbols, table->n_symbols, sizeof *table->symbols, compare);
        for (size_t i = 0; i < table->n_symbols && i < RANGE_NONE; i++) {
                const struct function_symbol *symbol = &table->symbols[i];
                bool is_alias = i > 0 && table->symbols[i - 1].address == symbol->address;
                if (symbol->size == 0 && is_alias && unsized_end > symbol->address)
                        continue;
                uint64_t end = end_of(table, i, code);
                if (symbol->size == 0)
                        unsized_end = end;
                range_index_add(&table->index, &(struct range){.low = symbol->address,
                                                               .high = end,
                                                               .rank = symbol->size ? RANK_SIZED : RANK_UNSIZED,
                                                               .value = (uint32_t)i});
        }
        range_index_build(&table->index);
}

void symbol_table_deinit(struct symbol_table *table) {
        for (size_t i = 0; i < table->n_symbols; i++)
                free(table->symbols[i].readable);
        free(table->symbols);
        range_index_deinit(&table->index);
        *table = (struct symbol_table){0};
}

const char *symbol_table_find(struct symbol_table *table, uint64_t address) {
        const struct range_segment *segment = range_index_find(&table->index, address);
        if (!segment)
                return NULL;
        struct function_symbol *symbol = &table->symbols[segment->value];

        if (!symbol->readable)
                symbol->readable = name_of_symbol(symbol->name);
        return symbol->readable;
}

const char *symbol_table_name_at(const struct symbol_table *table, uint64_t address) {
        const struct range_segment *segment = range_index_find(&table->index, address);
        if (!segment || table->symbols[segment->value].address != address)
                return NULL;
        return table->symbols[segment->value].name;
}
