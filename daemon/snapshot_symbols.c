/* SPDX-License-Identifier: Apache-2.0 */

/* Symbols for one snapshot. A thread of the pool. */

#include "daemon/snapshot_symbols.h"

#include <errno.h>

/* The modules and locations that were added to @set from location @first on; not those of files that could not be read,
 * which may be there tomorrow (a debug package, a server that answers again). */
static int copy_from(const struct symbol_set *set, uint32_t first, struct symbol_set *copy) {
        int r = 0;
        for (uint32_t i = first; r == 0 && i < symbol_set_n_locations(set); i++) {
                const struct symbol_location *l = symbol_set_location_at(set, i);
                const struct symbol_module *m = symbol_set_module_at(set, l->module);
                if (m->problem.bytes)
                        continue;
                uint32_t before = symbol_set_n_modules(copy), module;
                r = symbol_set_module(copy, m->path.bytes, m->path.length, m->build_id, m->build_id_length, &module);
                if (r == 0 && module == before && m->examined)
                        r = symbol_set_examined(copy, module, m->has_lines, m->problem.bytes, m->problem.length);
                if (r == 0)
                        r = symbol_set_add(copy, module, l->offset, l->frames, l->n_frames);
        }
        return r;
}

static int take_fresh(const struct symbol_set *known, uint32_t first, struct symbol_set **freshp) {
        if (symbol_set_n_locations(known) == first)
                return 0;
        struct symbol_set *fresh;
        int r = symbol_set_new(&fresh);
        if (r < 0)
                return r;
        r = copy_from(known, first, fresh);
        if (r < 0)
                fresh = symbol_set_free(fresh);
        *freshp = fresh;
        return r;
}

int snapshot_symbols(struct store_reader *reader, struct symbolizer *symbolizer, const struct snapshot *snapshot,
                     struct symbol_set *known, struct symbol_set **freshp) {
        *freshp = NULL;
        int r = store_reader_symbols(reader, snapshot->info.uid, snapshot, known);
        if (r != 0)
                return r;
        uint32_t first = symbol_set_n_locations(known);
        r = symbolizer_resolve_snapshot(symbolizer, snapshot, known, SYMBOLIZER_NO_DEADLINE);
        int copied = take_fresh(known, first, freshp);
        return r != 0 ? r : copied;
}
