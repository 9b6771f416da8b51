/* SPDX-License-Identifier: Apache-2.0 */

/* The lookup that the loader does, for one object: DT_GNU_HASH, or DT_HASH where a linker made only that. */

#include "agent/object_symbol.h"

#include <elf.h>
#include <link.h>
#include <string.h>

struct tables {
        const ElfW(Sym) * symbols;
        const char *names;
        const uint32_t *gnu_hash, *sysv_hash;
};

static const ElfW(Dyn) * find_dynamic(const struct object *object) {
        const ElfW(Phdr) *phdrs = object->phdrs;

        for (unsigned i = 0; i < object->n_phdrs; i++)
                if (phdrs[i].p_type == PT_DYNAMIC)
                        return (const void *)(object->bias + phdrs[i].p_vaddr);
        return NULL;
}

/* glibc has added the bias to what it relocates in place. */
static const void *pointer(const struct object *object, const ElfW(Dyn) * entry) {
        uintptr_t address = entry->d_un.d_ptr;

        return (const void *)(address >= object->start && address < object->end ? address : address + object->bias);
}

static bool find_tables(const struct object *object, struct tables *tables) {
        const ElfW(Dyn) *entry = find_dynamic(object);

        *tables = (struct tables){0};
        for (; entry && entry->d_tag != DT_NULL; entry++) {
                switch (entry->d_tag) {
                case DT_SYMTAB:
                        tables->symbols = pointer(object, entry);
                        break;
                case DT_STRTAB:
                        tables->names = pointer(object, entry);
                        break;
                case DT_GNU_HASH:
                        tables->gnu_hash = pointer(object, entry);
                        break;
                case DT_HASH:
                        tables->sysv_hash = pointer(object, entry);
                        break;
                }
        }
        return tables->symbols && tables->names;
}

static uintptr_t value_of(const struct object *object, const struct tables *tables, uint32_t i, const char *name) {
        const ElfW(Sym) *symbol = &tables->symbols[i];

        return symbol->st_shndx != SHN_UNDEF && symbol->st_value && strcmp(tables->names + symbol->st_name, name) == 0
                       ? object->bias + symbol->st_value
                       : 0;
}

static uintptr_t search_gnu(const struct object *object, const struct tables *tables, const char *name) {
        const uint32_t *table = tables->gnu_hash;
        uint32_t n_buckets = table[0], first = table[1], n_words = table[2], hash = 5381, i;
        const uint32_t *buckets = table + 4 + n_words * (sizeof(ElfW(Addr)) / sizeof(*table));
        const uint32_t *chain = buckets + n_buckets;

        for (const char *c = name; *c; c++)
                hash = hash * 33 + (uint8_t)*c;
        i = n_buckets ? buckets[hash % n_buckets] : 0;
        for (; i >= first && i; i++) {
                uintptr_t value = (chain[i - first] | 1) == (hash | 1) ? value_of(object, tables, i, name) : 0;

                if (value)
                        return value;
                if (chain[i - first] & 1)
                        break;
        }
        return 0;
}

static uintptr_t search_all(const struct object *object, const struct tables *tables, const char *name) {
        for (uint32_t i = 1; i < tables->sysv_hash[1]; i++) {
                uintptr_t value = value_of(object, tables, i, name);

                if (value)
                        return value;
        }
        return 0;
}

uintptr_t object_symbol(const struct object *object, const char *name) {
        struct tables tables;

        if (!find_tables(object, &tables))
                return 0;
        if (tables.gnu_hash)
                return search_gnu(object, &tables, name);
        return tables.sysv_hash ? search_all(object, &tables, name) : 0;
}
