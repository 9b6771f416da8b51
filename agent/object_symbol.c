/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The lookup that the loader does, for one object: DT_GNU_HASH, or DT_HASH where a linker made only that. The loader
 * has not looked at most of what is read here, so none of it is believed: within().
 */

#include "agent/object_symbol.h"

#include "agent/sys.h"

#include <elf.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>

#define PAGE UINT64_C(4096)

struct tables {
        const struct object *object;
        uintptr_t symbols, names, gnu_hash, sysv_hash; /* 0: none */
};

/* What lies at @address in the object's memory; NULL where that is not @bytes long, or is not to be read. */
static const void *within(const struct tables *tables, uintptr_t address, size_t bytes, size_t alignment) {
        const struct object *object = tables->object;
        const ElfW(Phdr) *segments = object->phdrs;
        if (address % alignment != 0 || address < object->start || address >= object->end ||
            bytes > object->end - address)
                return NULL;
        for (unsigned i = 0; i < object->n_phdrs; i++) {
                const ElfW(Phdr) *segment = &segments[i];
                uintptr_t offset = address - object->bias - segment->p_vaddr;
                if (segment->p_type == PT_LOAD && segment->p_flags & PF_R && offset < segment->p_memsz &&
                    bytes <= segment->p_memsz - offset)
                        return (const void *)address;
        }
        return NULL;
}

#define READ(tables, type, address) ((const type *)within(tables, address, sizeof(type), _Alignof(type)))

static uintptr_t find_dynamic(const struct object *object) {
        const ElfW(Phdr) *phdrs = object->phdrs;
        for (unsigned i = 0; i < object->n_phdrs; i++)
                if (phdrs[i].p_type == PT_DYNAMIC)
                        return object->bias + phdrs[i].p_vaddr;
        return 0;
}

/* glibc has added the bias to what it relocates in place. */
static uintptr_t pointer(const struct object *object, const ElfW(Dyn) * entry) {
        uintptr_t address = entry->d_un.d_ptr;
        return address >= object->start && address < object->end ? address : address + object->bias;
}

static bool find_tables(const struct object *object, struct tables *tables) {
        const ElfW(Dyn) * entry;
        uintptr_t address;
        *tables = (struct tables){.object = object};
        for (address = find_dynamic(object); (entry = READ(tables, ElfW(Dyn), address)) && entry->d_tag != DT_NULL;
             address += sizeof *entry) {
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

/* Whether the object defines it, under that name. */
static bool is_definition(const struct tables *tables, const ElfW(Sym) * symbol, const char *name) {
        size_t bytes = strlen(name) + 1;
        if (symbol->st_shndx == SHN_UNDEF || !symbol->st_value)
                return false;
        const char *its_name = within(tables, tables->names + symbol->st_name, bytes, 1);
        return its_name && memcmp(its_name, name, bytes) == 0;
}

static const ElfW(Sym) * symbol_at(const struct tables *tables, uint32_t i) {
        return READ(tables, ElfW(Sym), tables->symbols + (uintptr_t)i * sizeof(ElfW(Sym)));
}

static const ElfW(Sym) * search_gnu(const struct tables *tables, const char *name) {
        /* number of buckets, first symbol in the chains, words of the Bloom filter, its shift */
        const uint32_t *header = within(tables, tables->gnu_hash, 4 * sizeof *header, _Alignof(uint32_t)), *link;
        uintptr_t buckets, chain;
        uint32_t hash = 5381, i;

        if (!header || !header[0])
                return NULL;
        buckets = tables->gnu_hash + 4 * sizeof *header + header[2] * sizeof(ElfW(Addr));
        chain = buckets + header[0] * sizeof *header;
        for (const char *c = name; *c; c++)
                hash = hash * 33 + (uint8_t)*c;
        link = READ(tables, uint32_t, buckets + hash % header[0] * sizeof *link);
        for (i = link ? *link : 0; i >= header[1] && i; i++) {
                const ElfW(Sym) *symbol = symbol_at(tables, i);
                link = READ(tables, uint32_t, chain + (i - header[1]) * sizeof *link);
                if (!link || !symbol)
                        return NULL;
                if ((*link | 1) == (hash | 1) && is_definition(tables, symbol, name))
                        return symbol;
                if (*link & 1)
                        return NULL;
        }
        return NULL;
}

static const ElfW(Sym) * search_all(const struct tables *tables, const char *name) {
        const uint32_t *n_symbols = READ(tables, uint32_t, tables->sysv_hash + sizeof *n_symbols);
        for (uint32_t i = 1; n_symbols && i < *n_symbols; i++) {
                const ElfW(Sym) *symbol = symbol_at(tables, i);
                if (!symbol || is_definition(tables, symbol, name))
                        return symbol;
        }
        return NULL;
}

static const ElfW(Sym) * find_symbol(const struct object *object, struct tables *tables, const char *name) {
        if (!find_tables(object, tables))
                return NULL;
        if (tables->gnu_hash)
                return search_gnu(tables, name);
        return tables->sysv_hash ? search_all(tables, name) : NULL;
}

uintptr_t object_symbol(const struct object *object, const char *name) {
        struct tables tables;
        const ElfW(Sym) *symbol = find_symbol(object, &tables, name);
        uintptr_t value = symbol ? object->bias + symbol->st_value : 0;
        return value && within(&tables, value, 1, 1) ? value : 0;
}

/* Whether nothing lies in a page but what is only read. */
static bool is_read_only(const struct object *object, uintptr_t page) {
        for (unsigned i = 0; i < object->n_phdrs; i++) {
                const ElfW(Phdr) *segment = &object->phdrs[i];
                uintptr_t start = object->bias + segment->p_vaddr;
                if (segment->p_type == PT_LOAD && page + PAGE > start && page < start + segment->p_memsz &&
                    segment->p_flags != PF_R)
                        return false;
        }
        return true;
}

bool object_symbol_redirect(const struct object *object, const char *name, uintptr_t to) {
        struct tables tables;
        const ElfW(Sym) *symbol = find_symbol(object, &tables, name);
        /* a symbol may lie in two pages; this word of it does not */
        uintptr_t word = symbol ? (uintptr_t)&symbol->st_value : 0, page = word & ~(PAGE - 1);

        if (!symbol || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx >= SHN_LORESERVE ||
            !is_read_only(object, page) || sys_mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE) < 0)
                return false;
        atomic_store((_Atomic ElfW(Addr) *)word, to - object->bias);
        sys_mprotect((void *)page, PAGE, PROT_READ);
        return true;
}
