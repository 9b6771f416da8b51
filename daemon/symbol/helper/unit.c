/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One compilation unit, read through libdw. Called by module.c. Every count and
 * every link in DWARF is hostile: the walk is by level, not by recursion, and
 * bounded in depth.
 */

#include "daemon/symbol/helper/unit.h"

#include "daemon/symbol/helper/memory.h"
#include "daemon/symbol/helper/name.h"
#include "daemon/symbol/helper/symbol_table.h"

#include <dwarf.h>

#include <stdlib.h>
#include <string.h>

#define DIE_DEPTH_MAX 1024 /* nesting of DIEs that is followed; compilers stay below 100 */
#define NO_SCOPE      UINT32_MAX

struct scope {
        Dwarf_Die die;
        uint64_t low;    /* lowest address */
        uint32_t parent; /* the scope that this one is inlined into; NO_SCOPE for a function */
        uint32_t depth;  /* 0 for a function */
        char *function;  /* heap; NULL: unknown or not asked yet */
        bool is_named;   /* asked */
};

/* One level of the walk: the next DIE to look at, and the scope that encloses it. */
struct level {
        Dwarf_Die die;
        uint32_t scope;
};

void unit_deinit(struct unit *unit) {
        for (size_t i = 0; i < unit->n_scopes; i++)
                free(unit->scopes[i].function);
        free(unit->scopes);
        range_index_deinit(&unit->index);
        unit->scopes = NULL;
        unit->n_scopes = unit->scopes_size = 0;
        unit->is_read = false;
}

/* Add the ranges of a DIE as far as they begin in code. Return: their lowest address; UINT64_MAX where it has none. */
static uint64_t add_ranges(Dwarf_Die *die, const struct range_index *code, struct range range,
                           struct range_index *index) {
        Dwarf_Addr base, low, high;
        uint64_t lowest = UINT64_MAX;
        for (ptrdiff_t at = 0; (at = dwarf_ranges(die, at, &base, &low, &high)) > 0;) {
                const struct range_segment *segment = range_index_find(code, low);
                if (!segment)
                        continue;
                range.low = low;
                range.high = high < segment->high ? high : segment->high;
                range_index_add(index, &range);
                if (low < lowest && low < high)
                        lowest = low;
        }
        return lowest;
}

/* DIEs below which there may be code. */
static bool may_hold_code(int tag) {
        switch (tag) {
        case DW_TAG_subprogram:
        case DW_TAG_inlined_subroutine:
        case DW_TAG_lexical_block:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
        case DW_TAG_with_stmt:
        case DW_TAG_namespace:
        case DW_TAG_module:
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
        case DW_TAG_union_type:
        case DW_TAG_interface_type:
                return true;
        default:
                return false;
        }
}

/* Make a scope of a function or an inlined call that has code. Return: its number, or that of the scope around. */
static uint32_t add_scope(struct unit *unit, const struct range_index *code, Dwarf_Die *die, int tag, uint32_t around) {
        bool is_inlined = tag == DW_TAG_inlined_subroutine;
        if ((!is_inlined && tag != DW_TAG_subprogram) || unit->n_scopes >= NO_SCOPE - 1)
                return around;

        uint32_t parent = is_inlined ? around : NO_SCOPE;
        uint32_t depth = parent == NO_SCOPE ? 0 : unit->scopes[parent].depth + 1;
        uint32_t number = (uint32_t)unit->n_scopes;
        uint64_t low = add_ranges(die, code, (struct range){.rank = depth, .value = number}, &unit->index);
        if (low == UINT64_MAX)
                return is_inlined ? around : NO_SCOPE;

        unit->scopes = memory_grow(unit->scopes, unit->n_scopes, &unit->scopes_size, sizeof *unit->scopes);
        unit->scopes[unit->n_scopes++] = (struct scope){.die = *die, .low = low, .parent = parent, .depth = depth};
        return number;
}

static void read_scopes(struct unit *unit, const struct range_index *code) {
        struct level *levels = memory_new(DIE_DEPTH_MAX, sizeof *levels);
        size_t depth = 0;
        levels[0].scope = NO_SCOPE;
        if (dwarf_child(&unit->scope_die, &levels[0].die) == 0)
                depth = 1;
        while (depth > 0) {
                struct level *level = &levels[depth - 1];
                Dwarf_Die die = level->die;
                uint32_t around = level->scope;
                if (dwarf_siblingof(&die, &level->die) != 0)
                        depth--;
                int tag = dwarf_tag(&die);
                if (!may_hold_code(tag))
                        continue;
                uint32_t scope = add_scope(unit, code, &die, tag, around);
                if (depth < DIE_DEPTH_MAX && dwarf_child(&die, &levels[depth].die) == 0)
                        levels[depth++].scope = scope;
        }
        free(levels);
}

static const char *find_folder(struct unit *unit) {
        Dwarf_Attribute attribute;
        return dwarf_formstring(dwarf_attr(&unit->die, DW_AT_comp_dir, &attribute));
}

/* addr2line and llvm-symbolizer join the unit's folder to every relative name of a line table. libdw does it before
 * DWARF 5 for the files of folder 0 and else for none. */
static char *file_name(const struct unit *unit, const char *name) {
        size_t length = unit->folder ? strlen(unit->folder) : 0;
        bool is_joined =
                unit->version < 5 && length > 0 && strncmp(name, unit->folder, length) == 0 && name[length] == '/';
        return name_normal_path(is_joined ? NULL : unit->folder, name);
}

static void unit_read(struct unit *unit, const struct range_index *code) {
        if (unit->is_read)
                return;
        unit->is_read = true;
        unit->folder = find_folder(unit);
        read_scopes(unit, code);
        range_index_build(&unit->index);
}

void unit_ranges(struct unit *unit, const struct range_index *code, uint32_t number, struct range_index *units) {
        if (add_ranges(&unit->die, code, (struct range){.value = number}, units) != UINT64_MAX)
                return;
        if (dwarf_hasattr(&unit->die, DW_AT_low_pc) || dwarf_hasattr(&unit->die, DW_AT_ranges))
                return;
        unit_read(unit, code);
        for (size_t i = 0; i < unit->index.n_segments; i++)
                range_index_add(units, &(struct range){.low = unit->index.segments[i].low,
                                                       .high = unit->index.segments[i].high,
                                                       .value = number});
}

bool unit_has_lines(struct unit *unit) {
        return dwarf_hasattr(&unit->die, DW_AT_stmt_list);
}

static const char *linkage_name(Dwarf_Die *die) {
        Dwarf_Attribute attribute;
        if (!dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) &&
            !dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute))
                return NULL;
        return dwarf_formstring(&attribute);
}

/* The demangled linkage name, which tells overloads and instances apart, before the bare name. */
static char *scope_find_name(struct scope *scope, const struct symbol_table *symbols, uint64_t symbol_bias) {
        const char *linkage = linkage_name(&scope->die);
        if (linkage)
                return name_of_symbol(linkage);

        const char *symbol = NULL;
        if (scope->parent == NO_SCOPE)
                symbol = symbol_table_name_at(symbols, scope->low + symbol_bias);
        char *name = symbol ? name_demangle(symbol) : NULL;
        if (name)
                return name;

        const char *bare = dwarf_diename(&scope->die);
        return bare && bare[0] ? name_of_symbol(bare) : NULL;
}

static const char *scope_name(struct scope *scope, const struct symbol_table *symbols, uint64_t symbol_bias) {
        if (!scope->is_named) {
                scope->is_named = true;
                scope->function = scope_find_name(scope, symbols, symbol_bias);
        }
        return scope->function;
}

/* Where an inlined scope was called: file and line inside its parent. */
static char *call_site(struct unit *unit, struct scope *scope, uint32_t *linenop) {
        Dwarf_Attribute attribute;
        Dwarf_Word line = 0, file = 0;
        Dwarf_Files *files;
        size_t n_files;
        Dwarf_Die unit_die;
        *linenop = 0;
        if (dwarf_formudata(dwarf_attr(&scope->die, DW_AT_call_line, &attribute), &line) == 0 && line <= UINT32_MAX)
                *linenop = (uint32_t)line;
        if (dwarf_formudata(dwarf_attr(&scope->die, DW_AT_call_file, &attribute), &file) != 0 ||
            !dwarf_diecu(&scope->die, &unit_die, NULL, NULL) || dwarf_getsrcfiles(&unit_die, &files, &n_files) != 0 ||
            file >= n_files)
                return NULL;
        const char *name = dwarf_filesrc(files, file, NULL, NULL);
        return name ? file_name(unit, name) : NULL;
}

/* Return: false where the line table has nothing for the address. */
static bool line_of(struct unit *unit, uint64_t address, char **filenamep, uint32_t *linenop) {
        Dwarf_Line *line = dwarf_getsrc_die(&unit->die, address);
        int lineno = 0;
        const char *name = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
        *filenamep = name ? file_name(unit, name) : NULL;
        *linenop = line && dwarf_lineno(line, &lineno) == 0 && lineno > 0 ? (uint32_t)lineno : 0;
        return name != NULL;
}

void unit_resolve(struct unit *unit, const struct range_index *code, const struct symbol_table *symbols,
                  uint64_t symbol_bias, uint64_t address, struct frame_list *frames) {
        unit_read(unit, code);

        char *filename;
        uint32_t lineno;
        bool has_line = line_of(unit, address, &filename, &lineno);
        const struct range_segment *segment = range_index_find(&unit->index, address);

        if (!segment) {
                if (has_line)
                        frame_list_add(frames, NULL, filename, lineno);
                return;
        }
        for (uint32_t i = segment->value; i != NO_SCOPE; i = unit->scopes[i].parent) {
                struct scope *scope = &unit->scopes[i];
                frame_list_add(frames, scope_name(scope, symbols, symbol_bias), filename, lineno);
                filename = scope->parent == NO_SCOPE ? NULL : call_site(unit, scope, &lineno);
        }
}
