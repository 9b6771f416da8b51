/* SPDX-License-Identifier: Apache-2.0 */

/* Symbols of one object, whole and damaged: a library of ours, laid out as the loader would, before a page of nothing.
 */

#include "agent/object.h"
#include "agent/object_symbol.h"
#include "tests/support/check_main.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE        4096
#define IMAGE_MAX   (64 * PAGE)
#define N_DAMAGED   20000
#define PLUGIN_NAME "plugin_allocate"

/* Segments of a file, contiguous, up to a page that nobody may touch. */
struct image {
        uint8_t *memory;
        size_t bytes;
        struct object object;
};

static void copy_segments(struct image *image, int file) {
        ElfW(Ehdr) header;
        ElfW(Phdr) phdrs[32];

        ck_assert_int_eq(pread(file, &header, sizeof header, 0), sizeof header);
        ck_assert_uint_le(header.e_phnum, 32);
        ck_assert_int_gt(pread(file, phdrs, header.e_phnum * sizeof *phdrs, (off_t)header.e_phoff), 0);
        for (unsigned i = 0; i < header.e_phnum; i++) {
                if (phdrs[i].p_type != PT_LOAD)
                        continue;
                ck_assert_uint_le(phdrs[i].p_vaddr + phdrs[i].p_memsz, IMAGE_MAX);
                ck_assert_int_eq(
                        pread(file, image->memory + phdrs[i].p_vaddr, phdrs[i].p_filesz, (off_t)phdrs[i].p_offset),
                        (ssize_t)phdrs[i].p_filesz);
                image->bytes = (phdrs[i].p_vaddr + phdrs[i].p_memsz + PAGE - 1) & ~(size_t)(PAGE - 1);
        }
}

static const ElfW(Ehdr) * header_of(const struct image *image) {
        return (const void *)image->memory;
}

static void load(struct image *image) {
        int file = open(getenv("PLUGIN2"), O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(file, 0);
        *image = (struct image){
                .memory = mmap(NULL, IMAGE_MAX + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
        ck_assert_ptr_ne(image->memory, MAP_FAILED);
        copy_segments(image, file);
        close(file);
        ck_assert_int_eq(mprotect(image->memory + image->bytes, IMAGE_MAX + PAGE - image->bytes, PROT_NONE), 0);
        image->object = (struct object){.start = (uintptr_t)image->memory,
                                        .end = (uintptr_t)image->memory + image->bytes,
                                        .bias = (uintptr_t)image->memory,
                                        .name = "plugin",
                                        .phdrs = (const void *)(image->memory + header_of(image)->e_phoff),
                                        .n_phdrs = header_of(image)->e_phnum};
}

static void unload(struct image *image) {
        munmap(image->memory, IMAGE_MAX + PAGE);
}

static ElfW(Dyn) * dynamic_entry(struct image *image, ElfW(Sxword) tag) {
        const ElfW(Phdr) *phdrs = image->object.phdrs;
        ElfW(Dyn) *entry = NULL;

        for (unsigned i = 0; i < image->object.n_phdrs; i++)
                if (phdrs[i].p_type == PT_DYNAMIC)
                        entry = (void *)(image->memory + phdrs[i].p_vaddr);
        while (entry && entry->d_tag != tag && entry->d_tag != DT_NULL)
                entry++;
        ck_assert_ptr_nonnull(entry);
        ck_assert_int_eq(entry->d_tag, tag);
        return entry;
}

START_TEST(what_an_object_defines_is_found_as_dlsym_does)
{
        static const char *const names[] = {"malloc", "free", "fork", "no_such_name", "mallo", "malloc_", ""};
        void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        struct object object;
        ck_assert_ptr_nonnull(libc);
        ck_assert(object_find((uintptr_t)dlsym(libc, "fork"), &object));
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
                ck_assert_uint_eq(object_symbol(&object, names[i]), (uintptr_t)dlsym(libc, names[i]));
        dlclose(libc);
}
END_TEST

START_TEST(what_it_only_refers_to_is_not)
{
        struct image image;
        load(&image);
        ck_assert_uint_gt(object_symbol(&image.object, PLUGIN_NAME), image.object.start);
        ck_assert_uint_eq(object_symbol(&image.object, "malloc"), 0);
        unload(&image);
}
END_TEST

/* A linker's --hash-style=sysv, without the one of GNU's. */
START_TEST(the_old_hash_table_will_do)
{
        struct image image;
        uint32_t *table;
        load(&image);
        uintptr_t expected = object_symbol(&image.object, PLUGIN_NAME);
        table = (uint32_t *)(void *)(image.memory + image.bytes - 2 * sizeof *table);
        table[1] = 100; /* of which most are beyond the symbol table */
        dynamic_entry(&image, DT_GNU_HASH)->d_un.d_ptr = image.bytes - 2 * sizeof *table;
        dynamic_entry(&image, DT_GNU_HASH)->d_tag = DT_HASH;
        ((ElfW(Phdr) *)(void *)(image.memory + sizeof(ElfW(Ehdr))))[3].p_memsz = image.bytes; /* the last of them */
        ck_assert_uint_eq(object_symbol(&image.object, PLUGIN_NAME), expected);
        ck_assert_uint_eq(object_symbol(&image.object, "no_such_name"), 0);
        unload(&image);
}
END_TEST

START_TEST(tables_that_lead_out_of_the_object_hold_nothing)
{
        static const ElfW(Sxword) tags[] = {DT_GNU_HASH, DT_SYMTAB, DT_STRTAB};
        for (unsigned i = 0; i < sizeof tags / sizeof *tags; i++) {
                struct image image;
                load(&image);
                dynamic_entry(&image, tags[i])->d_un.d_ptr = image.bytes - 4;
                ck_assert_uint_eq(object_symbol(&image.object, PLUGIN_NAME), 0);
                dynamic_entry(&image, tags[i])->d_un.d_ptr = image.bytes + PAGE;
                ck_assert_uint_eq(object_symbol(&image.object, PLUGIN_NAME), 0);
                unload(&image);
        }
}
END_TEST

/* Whether the kernel would write there. */
static bool is_writable(const void *address) {
        char byte = *(const char *)address;
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq(write(ends[1], &byte, 1), 1);
        bool wrote = read(ends[0], (void *)(uintptr_t)address, 1) == 1;
        close(ends[0]);
        close(ends[1]);
        return wrote;
}

static void *other_allocate(size_t size) {
        return size ? NULL : (void *)1;
}

START_TEST(a_redirected_symbol_is_found_where_it_leads)
{
        void *plugin = dlopen(getenv("PLUGIN2"), RTLD_NOW | RTLD_LOCAL);
        void *earlier = plugin ? dlsym(plugin, PLUGIN_NAME) : NULL;
        struct object object;
        ck_assert_ptr_nonnull(earlier);
        ck_assert(object_find((uintptr_t)earlier, &object));
        ck_assert_uint_eq(object_symbol(&object, PLUGIN_NAME), (uintptr_t)earlier);
        ck_assert(object_symbol_redirect(&object, PLUGIN_NAME, (uintptr_t)other_allocate));
        ck_assert_ptr_eq(dlsym(plugin, PLUGIN_NAME), (void *)(uintptr_t)other_allocate);
        ck_assert(!is_writable((const void *)object.start));
        /* it is not the object's any more */
        ck_assert_uint_eq(object_symbol(&object, PLUGIN_NAME), 0);
        dlclose(plugin);
}
END_TEST

static bool redirects(struct image *image, const char *name) {
        return object_symbol_redirect(&image->object, name, (uintptr_t)other_allocate);
}

static ElfW(Phdr) * segment_of_tables(struct image *image) {
        return (ElfW(Phdr) *)(void *)(image->memory + header_of(image)->e_phoff);
}

static ElfW(Sym) * symbol_of_plugin(struct image *image) {
        uintptr_t value = object_symbol(&image->object, PLUGIN_NAME) - image->object.bias;
        ElfW(Sym) *symbol = (void *)(image->memory + dynamic_entry(image, DT_SYMTAB)->d_un.d_ptr);

        while (symbol->st_value != value)
                symbol++;
        return symbol;
}

START_TEST(what_cannot_be_redirected_safely_stays)
{
        struct image image;
        ElfW(Sym) * symbol;
        ElfW(Phdr) * segment;
        uint8_t *before;

        load(&image);
        symbol = symbol_of_plugin(&image);
        segment = segment_of_tables(&image);
        before = malloc(image.bytes);
        memcpy(before, image.memory, image.bytes);
        ck_assert(!redirects(&image, "malloc"));
        ck_assert(!redirects(&image, "no_such_name"));
        ck_assert_int_eq(memcmp(before, image.memory, image.bytes), 0);

        /* the table in the same segment as the code; in one that is written to, of which the loader may have sealed a
         * part */
        segment->p_flags = PF_R | PF_X;
        ck_assert(!redirects(&image, PLUGIN_NAME));
        segment->p_flags = PF_R | PF_W;
        ck_assert(!redirects(&image, PLUGIN_NAME));
        segment->p_flags = PF_R;

        /* another segment's first byte in the table's page */
        segment[1].p_vaddr -= PAGE - 1;
        ck_assert(!redirects(&image, PLUGIN_NAME));
        segment[1].p_vaddr += PAGE - 1;

        /* data; a function that says which function it is; a number */
        symbol->st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
        ck_assert(!redirects(&image, PLUGIN_NAME));
        symbol->st_info = ELF64_ST_INFO(STB_GLOBAL, STT_GNU_IFUNC);
        ck_assert(!redirects(&image, PLUGIN_NAME));
        symbol->st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
        symbol->st_shndx = SHN_ABS;
        ck_assert(!redirects(&image, PLUGIN_NAME));
        memcpy(image.memory, before, image.bytes); /* nothing was sealed either */

        ck_assert(redirects(&image, PLUGIN_NAME));
        ck_assert_uint_eq(symbol->st_value + image.object.bias, (uintptr_t)other_allocate);
        free(before);
        unload(&image);
}
END_TEST

static ElfW(Phdr) * segment_of_type(struct image *image, ElfW(Word) type) {
        ElfW(Phdr) *segment = segment_of_tables(image);

        while (segment->p_type != type)
                segment++;
        return segment;
}

/* Moves the symbol table behind the image, into a segment of its own, so that the value of the plugin's symbol is the
 * first word of a page. Return: the symbol. */
static const ElfW(Sym) * move_table(struct image *image) {
        const ElfW(Sym) *old = symbol_of_plugin(image);
        ElfW(Addr) *table = &dynamic_entry(image, DT_SYMTAB)->d_un.d_ptr;
        size_t before = (size_t)((const uint8_t *)old - (image->memory + *table));
        uint8_t *fresh = image->memory + image->bytes, *moved = fresh + PAGE - offsetof(ElfW(Sym), st_value);
        ElfW(Phdr) *segment = segment_of_type(image, PT_GNU_STACK);

        ck_assert_int_eq(mprotect(fresh, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
        memcpy(moved - before, image->memory + *table, before + 8 * sizeof *old); /* and some that have the same hash */
        ck_assert_int_eq(mprotect(fresh, 2 * PAGE, PROT_READ), 0);
        *table = (ElfW(Addr))(moved - before - image->memory);
        *segment = (ElfW(Phdr)){.p_type = PT_LOAD, .p_flags = PF_R, .p_vaddr = image->bytes, .p_memsz = 2 * PAGE};
        image->object.end += 2 * PAGE;
        return (const void *)moved;
}

START_TEST(a_symbol_that_lies_in_two_pages_is_redirected)
{
        struct image image;
        const ElfW(Sym) * symbol;
        load(&image);
        symbol = move_table(&image);
        ck_assert(redirects(&image, PLUGIN_NAME));
        ck_assert_uint_eq(symbol->st_value + image.object.bias, (uintptr_t)other_allocate);
        ck_assert(!is_writable(symbol));
        ck_assert(!is_writable(&symbol->st_value));
        unload(&image);
}
END_TEST

static void damage(struct image *image, unsigned *seedp) {
        static const uint32_t values[] = {0, 1, 0x7fffffff, 0xffffffff, 0x1000, 0x10000000};
        /* where the headers and the tables are, and where the dynamic section is */
        size_t page = rand_r(seedp) % 2 ? 0 : image->bytes - PAGE;

        for (unsigned n = 1 + (unsigned)rand_r(seedp) % 4; n > 0; n--) {
                uint32_t value = values[(unsigned)rand_r(seedp) % 6];
                if (rand_r(seedp) % 2)
                        value = (uint32_t)rand_r(seedp) % (uint32_t)(2 * image->bytes);
                memcpy(image->memory + page + (size_t)rand_r(seedp) % (PAGE - 4), &value, sizeof value);
        }
}

START_TEST(a_damaged_object_does_no_harm)
{
        unsigned seed = getenv("TEST_SEED") ? (unsigned)atoi(getenv("TEST_SEED")) : 20261130, found = 0;
        unsigned redirected = 0;
        struct image image;
        uint8_t *whole;
        printf("seed %u\n", seed);
        load(&image);
        whole = malloc(image.bytes);
        memcpy(whole, image.memory, image.bytes);
        for (unsigned i = 0; i < N_DAMAGED; i++) {
                damage(&image, &seed);
                uintptr_t value = object_symbol(&image.object, PLUGIN_NAME);
                ck_assert(!value || (value >= image.object.start && value < image.object.end));
                found += value != 0;
                redirected += redirects(&image, PLUGIN_NAME);
                ck_assert_int_eq(mprotect(image.memory, image.bytes, PROT_READ | PROT_WRITE), 0);
                memcpy(image.memory, whole, image.bytes);
        }
        ck_assert_uint_gt(found, N_DAMAGED / 10);
        ck_assert_uint_lt(found, N_DAMAGED);
        ck_assert_uint_gt(redirected, N_DAMAGED / 10);
        free(whole);
        unload(&image);
}
END_TEST

int main(void) {
        const TTest *const cases[] = {
                what_an_object_defines_is_found_as_dlsym_does,
                what_it_only_refers_to_is_not,
                the_old_hash_table_will_do,
                tables_that_lead_out_of_the_object_hold_nothing,
                a_redirected_symbol_is_found_where_it_leads,
                what_cannot_be_redirected_safely_stays,
                a_symbol_that_lies_in_two_pages_is_redirected,
                a_damaged_object_does_no_harm,
        };

        object_setup();
        return check_main("object_symbol", cases, sizeof cases / sizeof *cases);
}
