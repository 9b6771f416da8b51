/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One ELF file, through libdwfl, which does the search for separate debug files.
 * libdwfl's own lookups are not used: it finds units by .debug_aranges, which clang
 * and rustc do not write, and symbols by a linear search.
 */

#include "daemon/symbol/helper/module.h"

#include "daemon/symbol/helper/memory.h"
#include "daemon/symbol/helper/symbol_table.h"
#include "daemon/symbol/helper/unit.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEBUGINFOD_VARIABLE "DEBUGINFOD_URLS"
#define DEBUGINFOD_SLOW_S   5 /* a fruitless search that took longer met a server that does not answer */

struct module {
        Dwfl_Callbacks callbacks;
        char *debug_path; /* what callbacks point to */
        Dwfl *dwfl;
        Dwfl_Module *dwfl_module;
        Dwarf_Addr dwarf_bias; /* added to an address of the DWARF gives the file's */
        struct range_index code;
        struct symbol_table symbols;
        struct unit *units;
        size_t n_units, units_size;
        struct range_index unit_index; /* DWARF address -> unit */
        bool has_lines;
};

static void say(char problem[MODULE_PROBLEM_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char problem[MODULE_PROBLEM_BYTES], const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(problem, MODULE_PROBLEM_BYTES, format, arguments);
        va_end(arguments);
}

/* libdwfl's search, but a debuginfod server that lets us wait in vain is asked once and not for every module. */
static int find_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, const char *file,
                          const char *debuglink, GElf_Word crc, char **debug_file) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        int fd = dwfl_standard_find_debuginfo(module, userdata, name, base, file, debuglink, crc, debug_file);
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (fd < 0 && after.tv_sec - before.tv_sec > DEBUGINFOD_SLOW_S)
                unsetenv(DEBUGINFOD_VARIABLE);
        return fd;
}

/* Sections with code, or segments where the file has lost its sections. */
static void read_code(struct module *module, Elf *elf) {
        GElf_Shdr section_memory, *section;
        GElf_Phdr segment_memory, *segment;
        size_t n_segments = 0;
        for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));)
                if ((section = gelf_getshdr(scn, &section_memory)) && (section->sh_flags & SHF_EXECINSTR) &&
                    (section->sh_flags & SHF_ALLOC))
                        range_index_add(&module->code, &(struct range){.low = section->sh_addr,
                                                                       .high = section->sh_addr + section->sh_size,
                                                                       .value = (uint32_t)elf_ndxscn(scn)});
        if (module->code.n_ranges == 0 && elf_getphdrnum(elf, &n_segments) == 0)
                for (size_t i = 0; i < n_segments && i < PN_XNUM; i++)
                        if ((segment = gelf_getphdr(elf, (int)i, &segment_memory)) && segment->p_type == PT_LOAD &&
                            (segment->p_flags & PF_X))
                                range_index_add(&module->code,
                                                &(struct range){.low = segment->p_vaddr,
                                                                .high = segment->p_vaddr + segment->p_memsz,
                                                                .value = (uint32_t)i});
        range_index_build(&module->code);
}

static void add_unit(struct module *module, const Dwarf_Die *die, const Dwarf_Die *split_die, int version) {
        if (module->n_units >= RANGE_NONE)
                return;
        module->units = memory_grow(module->units, module->n_units, &module->units_size, sizeof *module->units);
        module->units[module->n_units++] =
                (struct unit){.die = *die, .scope_die = split_die->addr ? *split_die : *die, .version = version};
}

/* Which unit covers what, from the units themselves. */
static void read_units(struct module *module) {
        Dwarf *dwarf = dwfl_module_getdwarf(module->dwfl_module, &module->dwarf_bias);
        Dwarf_CU *unit = NULL;
        while (dwarf) {
                Dwarf_Die die, split_die = {0}; /* dwarf_get_units() leaves its outputs alone in some errors */
                Dwarf_Half version = 0;
                uint8_t type;
                if (dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, &split_die) != 0)
                        break;
                int tag = dwarf_tag(&die);
                if (tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit)
                        add_unit(module, &die, &split_die, version);
        }
        for (size_t i = 0; i < module->n_units; i++) {
                unit_ranges(&module->units[i], &module->code, (uint32_t)i, &module->unit_index);
                module->has_lines = module->has_lines || unit_has_lines(&module->units[i]);
        }
        range_index_build(&module->unit_index);
}

static bool has_build_id(Dwfl_Module *dwfl_module, const struct module_source *source) {
        const unsigned char *bits;
        GElf_Addr address;
        if (source->build_id_length == 0)
                return true;
        int length = dwfl_module_build_id(dwfl_module, &bits, &address);
        return length > 0 && (size_t)length == source->build_id_length &&
               memcmp(bits, source->build_id, source->build_id_length) == 0;
}

static struct module *module_new(const char *debug_root) {
        struct module *module = memory_new(1, sizeof *module);
        /* elfutils: beside the file, in .debug beside it, then below the root */
        if (asprintf(&module->debug_path, ":.debug:%s", debug_root) < 0)
                abort();
        module->callbacks = (Dwfl_Callbacks){.find_elf = dwfl_build_id_find_elf,
                                             .find_debuginfo = find_debuginfo,
                                             .section_address = dwfl_offline_section_address,
                                             .debuginfo_path = &module->debug_path};
        return module;
}

struct module *module_close(struct module *module) {
        if (!module)
                return NULL;
        for (size_t i = 0; i < module->n_units; i++)
                unit_deinit(&module->units[i]);
        free(module->units);
        range_index_deinit(&module->unit_index);
        symbol_table_deinit(&module->symbols);
        range_index_deinit(&module->code);
        dwfl_end(module->dwfl);
        free(module->debug_path);
        free(module);
        return NULL;
}

/* Report the file so that Dwfl's addresses are the file's. Takes fd. Return: the Elf; NULL where it is none of ours. */
static Elf *report(struct module *module, const char *path, int fd) {
        Elf *elf = NULL;
        GElf_Addr bias = 0;
        GElf_Ehdr header;
        module->dwfl = dwfl_begin(&module->callbacks);
        if (module->dwfl)
                module->dwfl_module = dwfl_report_elf(module->dwfl, path, path, fd, 0, true);
        if (!module->dwfl_module) {
                close(fd);
                return NULL;
        }
        dwfl_report_end(module->dwfl, NULL, NULL);
        elf = dwfl_module_getelf(module->dwfl_module, &bias);
        if (!elf || bias != 0 || !gelf_getehdr(elf, &header) || (header.e_type != ET_EXEC && header.e_type != ET_DYN))
                return NULL;
        return elf;
}

/* Takes fd. */
static int open_fd(const struct module_source *source, const char *path, int fd, const char *debug_root,
                   struct module **modulep, char problem[MODULE_PROBLEM_BYTES]) {
        struct module *module = module_new(debug_root);
        Elf *elf = report(module, path, fd);
        if (!elf) {
                say(problem, "%s is no ELF program or library that can be read", path);
                goto unreadable;
        }
        if (!has_build_id(module->dwfl_module, source)) {
                say(problem, "%s has another build id: it was replaced since it was loaded", path);
                goto unreadable;
        }
        read_code(module, elf);
        symbol_table_read(&module->symbols, module->dwfl_module, &module->code);
        read_units(module);
        *modulep = module;
        return 0;
unreadable:
        module_close(module);
        return MODULE_E_UNREADABLE;
}

static int open_path(const struct module_source *source, const char *path, const char *debug_root,
                     struct module **modulep, char problem[MODULE_PROBLEM_BYTES]) {
        struct stat status;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hold us */
        if (fd < 0 || fstat(fd, &status) < 0) {
                say(problem, "cannot open %s: %s", path, strerror(errno));
        } else if (!S_ISREG(status.st_mode)) {
                say(problem, "%s is not a regular file", path);
        } else {
                return open_fd(source, path, fd, debug_root, modulep, problem);
        }
        if (fd >= 0)
                close(fd);
        return MODULE_E_UNREADABLE;
}

static int open_debug_file(const struct module_source *source, const char *debug_root, struct module **modulep) {
        char path[4096], ignored[MODULE_PROBLEM_BYTES];
        if (source->build_id_length < 2)
                return MODULE_E_UNREADABLE;
        size_t length = (size_t)snprintf(path, sizeof path, "%s/.build-id/%02x/", debug_root, source->build_id[0]);
        if (length + 2 * source->build_id_length + sizeof ".debug" > sizeof path)
                return MODULE_E_UNREADABLE;
        for (size_t i = 1; i < source->build_id_length; i++)
                length += (size_t)snprintf(path + length, sizeof path - length, "%02x", source->build_id[i]);
        snprintf(path + length, sizeof path - length, ".debug");
        return open_path(source, path, debug_root, modulep, ignored);
}

int module_open(const struct module_source *source, const char *debug_root, struct module **modulep,
                char problem[MODULE_PROBLEM_BYTES]) {
        int fd = source->fd < 0 ? -1 : fcntl(source->fd, F_DUPFD_CLOEXEC, 3);
        if (source->fd >= 0 && fd < 0)
                say(problem, "cannot open %s: %s", source->path, strerror(errno));
        if (fd >= 0 && open_fd(source, source->path, fd, debug_root, modulep, problem) == 0)
                return 0;
        if (source->path[0] == '/' && open_path(source, source->path, debug_root, modulep, problem) == 0)
                return 0;
        if (source->path[0] != '/' && source->fd < 0)
                say(problem, "%s is not a path", source->path);
        return open_debug_file(source, debug_root, modulep);
}

bool module_has_lines(const struct module *module) {
        return module->has_lines;
}

void module_resolve(struct module *module, uint64_t address, struct frame_list *frames) {
        uint64_t dwarf_address = address - module->dwarf_bias;
        const struct range_segment *segment = range_index_find(&module->unit_index, dwarf_address);
        frame_list_clear(frames);
        if (segment)
                unit_resolve(&module->units[segment->value], &module->code, &module->symbols, module->dwarf_bias,
                             dwarf_address, frames);

        const char *function = symbol_table_find(&module->symbols, address);
        if (frames->n == 0 && function)
                frame_list_add(frames, function, NULL, 0);
        else if (frames->n > 0 && !frames->frames[frames->n - 1].function)
                frames->frames[frames->n - 1].function = function;
}
