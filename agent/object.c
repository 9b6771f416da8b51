/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded objects, as glibc's _dl_find_object or, without it, dl_iterate_phdr tells of them. */

#include "agent/object.h"

#include "agent/real.h"
#include "agent/thread.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

static int (*find_object)(void *address, struct dl_find_object *result); /* dlsym's: an older libc lacks it */
static const ElfW(Phdr) * executable_phdrs;
static unsigned n_executable_phdrs;

static void find_build_id(struct object *object, const ElfW(Phdr) * phdr) {
        const char *note = (const char *)object->bias + phdr->p_vaddr, *end = note + phdr->p_memsz;
        if ((uintptr_t)note < object->start || (uintptr_t)end > object->end)
                return;
        while ((size_t)(end - note) >= sizeof(ElfW(Nhdr))) {
                const ElfW(Nhdr) *header = (const void *)note;
                uint64_t name = ((uint64_t)header->n_namesz + 3) & ~UINT64_C(3);
                uint64_t length = ((uint64_t)header->n_descsz + 3) & ~UINT64_C(3);
                if (name + length > (uint64_t)(end - note) - sizeof *header)
                        break;
                if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4 &&
                    header->n_descsz <= OBJECT_BUILD_ID_MAX && memcmp(header + 1, "GNU", 4) == 0) {
                        object->build_id = (const uint8_t *)(header + 1) + name;
                        object->build_id_length = header->n_descsz;
                }
                note += sizeof *header + name + length;
        }
}

static void read_phdrs(struct object *object) {
        for (unsigned i = 0; i < object->n_phdrs; i++) {
                const ElfW(Phdr) *phdr = &object->phdrs[i];
                if (phdr->p_type == PT_GNU_EH_FRAME)
                        object->eh_frame_hdr = (const char *)object->bias + phdr->p_vaddr;
                else if (phdr->p_type == PT_NOTE)
                        find_build_id(object, phdr);
        }
}

static void read_bounds(struct object *object) {
        object->start = UINTPTR_MAX;
        object->end = 0;
        for (unsigned i = 0; i < object->n_phdrs; i++) {
                uintptr_t start = object->bias + object->phdrs[i].p_vaddr;
                if (object->phdrs[i].p_type != PT_LOAD)
                        continue;
                if ((start & ~UINT64_C(4095)) < object->start)
                        object->start = start & ~UINT64_C(4095);
                if (start + object->phdrs[i].p_memsz > object->end)
                        object->end = start + object->phdrs[i].p_memsz;
        }
}

/* What the loader itself maps is whole, headers first. Headers past the first page: a file unlike any that a linker
 * makes; it goes without. */
static void find_phdrs(struct object *object) {
        const ElfW(Ehdr) *header = (const void *)object->start;
        if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phentsize != sizeof(ElfW(Phdr)) ||
            header->e_phoff > 4096 || header->e_phoff + (uint64_t)header->e_phnum * sizeof(ElfW(Phdr)) > 4096)
                return;
        object->phdrs = (const void *)((const char *)header + header->e_phoff);
        object->n_phdrs = header->e_phnum;
}

/* The kernel leaves gaps between the executable's segments where the file has them, and then glibc tells of the one
 * segment alone that was asked for. */
static void from_map(struct object *object, const struct dl_find_object *found) {
        const struct link_map *map = found->dlfo_link_map;
        *object = (struct object){
                .start = (uintptr_t)found->dlfo_map_start,
                .end = (uintptr_t)found->dlfo_map_end,
                .bias = map->l_addr,
                .name = map->l_name ? map->l_name : "",
                .map = map,
        };
        if (object->name[0] == '\0' && executable_phdrs) {
                object->phdrs = executable_phdrs;
                object->n_phdrs = n_executable_phdrs;
                read_bounds(object);
        } else {
                find_phdrs(object);
        }
        read_phdrs(object);
        object->eh_frame_hdr = found->dlfo_eh_frame;
}

static void from_phdrs(struct object *object, const struct dl_phdr_info *info) {
        *object = (struct object){
                .bias = info->dlpi_addr,
                .name = info->dlpi_name ? info->dlpi_name : "",
                .phdrs = info->dlpi_phdr,
                .n_phdrs = info->dlpi_phnum,
        };
        read_bounds(object);
        read_phdrs(object);
}

struct search {
        uintptr_t address;
        struct object *objectp;
        void (*visit)(const struct object *object, void *context);
        void *context;
};

static int search_one(struct dl_phdr_info *info, size_t size, void *data) {
        struct search *search = data;
        from_phdrs(search->objectp, info);
        return search->address >= search->objectp->start && search->address < search->objectp->end;
}

bool object_find(uintptr_t address, struct object *objectp) {
        struct search search = {.address = address, .objectp = objectp};
        struct dl_find_object found;
        if (!find_object)
                return dl_iterate_phdr(search_one, &search) == 1;
        if (find_object((void *)address, &found) != 0)
                return false;
        from_map(objectp, &found);
        return true;
}

bool object_peek(uintptr_t address, struct object *objectp) {
        struct dl_find_object found;
        if (!find_object)
                return object_find(address, objectp);
        if (find_object((void *)address, &found) != 0)
                return false;
        *objectp = (struct object){.map = found.dlfo_link_map, .eh_frame_hdr = found.dlfo_eh_frame};
        return true;
}

const void *object_eh_frame_hdr(uintptr_t address) {
        struct dl_find_object found;
        struct object object;
        if (likely(find_object != NULL))
                return find_object((void *)address, &found) == 0 ? found.dlfo_eh_frame : NULL;
        return object_find(address, &object) ? object.eh_frame_hdr : NULL;
}

static int visit_one(struct dl_phdr_info *info, size_t size, void *data) {
        const struct search *search = data;
        struct object object;
        struct dl_find_object found;
        from_phdrs(&object, info);
        /* the same bounds as object_find() will give for an address in it */
        if (find_object && object.end && find_object((void *)object.start, &found) == 0)
                from_map(&object, &found);
        if (object.end)
                search->visit(&object, search->context);
        return 0;
}

void object_for_each(void (*visit)(const struct object *object, void *context), void *context) {
        struct search search = {.visit = visit, .context = context};
        dl_iterate_phdr(visit_one, &search);
}

/* Called for the first object alone, which is the executable. */
static int keep_executable(struct dl_phdr_info *info, size_t size, void *data) {
        executable_phdrs = info->dlpi_phdr;
        n_executable_phdrs = info->dlpi_phnum;
        return 1;
}

void object_setup(void) {
        find_object = (int (*)(void *, struct dl_find_object *))real_symbol("_dl_find_object");
        dl_iterate_phdr(keep_executable, NULL);
}
