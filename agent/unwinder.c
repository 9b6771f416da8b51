/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What libgcc's unwinder, which is linked into the agent, takes from libc: found
 * at run time or given here, because a libc without it must not keep the agent
 * from loading. Only in the shared library: hidden there, and seen by nobody else.
 */

#include "agent/object.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

#define UNWINDER __attribute__((visibility("hidden")))

int _dl_find_object(void *address, struct dl_find_object *result) UNWINDER;
int __pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) UNWINDER;
int pthread_once(pthread_once_t *once, void (*function)(void)) UNWINDER;

/*
 * Code in no object (made at run time): libgcc would read the bytes at the pc, to
 * see whether they are a signal trampoline, and the pc may be garbage. This says
 * of every such pc: the stack ends here (the return address is undefined). A CIE
 * and an FDE for everything from 1 on, absolute pointers, no search table.
 */
static const struct __attribute__((packed)) {
        struct __attribute__((packed)) {
                uint32_t length, id;
                uint8_t version;
                char augmentation[3];
                uint8_t code_align, data_align, return_register, augmentation_length, encoding;
                uint8_t cfa[3];
                uint8_t undefined[2];
                uint8_t padding[2];
        } cie;
        struct __attribute__((packed)) {
                uint32_t length, cie_distance;
                uint64_t start, range;
                uint8_t augmentation_length;
                uint8_t padding[7];
        } fde;
        uint32_t end;
} end_of_stack __attribute__((aligned(8))) = {
        .cie = {.length = 20,
                .version = 1,
                .augmentation = "zR",
                .code_align = 1,
                .data_align = 0x78 /* -8 */,
                .return_register = 16,
                .augmentation_length = 1,
                .encoding = 0 /* DW_EH_PE_absptr */,
                .cfa = {0x0c, 7, 8} /* DW_CFA_def_cfa rsp+8 */,
                .undefined = {0x07, 16} /* DW_CFA_undefined rip */},
        .fde = {.length = 28, .cie_distance = 28, .start = 1, .range = INT64_MAX},
};

static struct __attribute__((packed)) {
        uint8_t version, frame_encoding, count_encoding, table_encoding;
        const void *frames;
} end_of_stack_header = {1, 0 /* DW_EH_PE_absptr */, 0xff, 0xff, &end_of_stack};

int _dl_find_object(void *address, struct dl_find_object *result) {
        const void *tables = object_eh_frame_hdr((uintptr_t)address);
        *result = (struct dl_find_object){
                .dlfo_eh_frame = tables ? (void *)tables : (void *)&end_of_stack_header,
        };
        return 0;
}

/* libgcc takes its address for a sign that there may be threads, and never calls it. */
int __pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
        return -1;
}

/* libgcc's only use fills a table with constants: two threads at once write the same. */
int pthread_once(pthread_once_t *once, void (*function)(void)) {
        if (__atomic_load_n(once, __ATOMIC_ACQUIRE) != 1) {
                function();
                __atomic_store_n(once, 1, __ATOMIC_RELEASE);
        }
        return 0;
}
