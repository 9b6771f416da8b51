/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which loaded object holds an address. Asks glibc's _dl_find_object, which
 * takes no lock and is safe in signal handlers and in a child of fork; before
 * glibc 2.35 dl_iterate_phdr, which has neither virtue but is all there is.
 */

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBJECT_BUILD_ID_MAX 64

struct object {
        uintptr_t start, end;     /* of its mapping: first page of the first segment to the end of the last */
        uintptr_t bias;           /* load bias */
        const char *name;         /* as the loader has it, "" for the executable; valid while it is loaded */
        const ElfW(Phdr) * phdrs; /* in the object's memory */
        unsigned n_phdrs;         /* 0: they were not found */
        const void *eh_frame_hdr; /* NULL: none */
        const void *map;          /* the loader's own record of it, not to be looked into; NULL before glibc 2.35 */
        const uint8_t *build_id;  /* in the object's memory; NULL: none */
        uint32_t build_id_length;
};

/** object_setup() - find the functions it needs; before any other call, takes the loader's lock */
void object_setup(void);

/** object_find() - the object that holds @address
 * @objectp: filled on true; Return: whether there is one. */
bool object_find(uintptr_t address, struct object *objectp);

/** object_peek() - the same without a look into its memory, which another thread may be about to unmap
 * @objectp: map and eh_frame_hdr are filled on true; everything where map is NULL. */
bool object_peek(uintptr_t address, struct object *objectp);

/** object_eh_frame_hdr() - the unwind tables for @address, as the unwinder wants them at each frame
 * Return: NULL where there are none. */
const void *object_eh_frame_hdr(uintptr_t address);

/** object_for_each() - every object loaded now; takes the loader's lock, so hold none of ours */
void object_for_each(void (*visit)(const struct object *object, void *context), void *context);
