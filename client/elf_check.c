/* SPDX-License-Identifier: Apache-2.0 */

/* The ELF file of a program, read with libelf. Called by program.c. */

#include "client/elf_check.h"

#include "daemon/base/cleanup.h"

#include <gelf.h>
#include <libelf.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define LOADER "ld-linux-x86-64.so.2" /* glibc's, on the one machine that the agent is built for */

static bool has_capabilities(int fd) {
        return fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static bool is_own_loader(const char *interpreter) {
        const char *slash = strrchr(interpreter, '/');
        return strcmp(slash ? slash + 1 : interpreter, LOADER) == 0;
}

/* Return: ELF_OK; ELF_STATIC; ELF_OTHER_LIBC; ELF_BROKEN. */
static enum elf_verdict check_interpreter(Elf *elf) {
        size_t n, file_size, limit;
        const char *file = elf_rawfile(elf, &file_size);
        if (!file || elf_getphdrnum(elf, &n) != 0)
                return ELF_BROKEN;
        for (size_t i = 0; i < n; i++) {
                GElf_Phdr header;
                if (!gelf_getphdr(elf, (int)i, &header))
                        return ELF_BROKEN;
                if (header.p_type != PT_INTERP)
                        continue;
                if (header.p_offset >= file_size)
                        return ELF_BROKEN;
                limit = file_size - header.p_offset;
                if (header.p_filesz < limit)
                        limit = header.p_filesz;
                const char *path = file + header.p_offset;
                if (!memchr(path, '\0', limit))
                        return ELF_BROKEN;
                return is_own_loader(path) ? ELF_OK : ELF_OTHER_LIBC;
        }
        return ELF_STATIC;
}

static bool defines_malloc(Elf *elf, Elf_Scn *section, const GElf_Shdr *header) {
        Elf_Data *data = elf_getdata(section, NULL);
        if (!data || header->sh_entsize == 0)
                return false;
        for (size_t i = 0; i < header->sh_size / header->sh_entsize; i++) {
                GElf_Sym symbol;
                if (!gelf_getsym(data, (int)i, &symbol))
                        return false;
                /* an undefined one with a value is only the address of its PLT entry */
                if (symbol.st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol.st_info) != STT_FUNC)
                        continue;
                const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
                if (name && strcmp(name, "malloc") == 0)
                        return true;
        }
        return false;
}

/* In .dynsym it goes before any preload; in .symtab alone it is hidden, and the program's calls are bound to it. */
static bool has_own_malloc(Elf *elf) {
        Elf_Scn *section = NULL;
        while ((section = elf_nextscn(elf, section))) {
                GElf_Shdr header;
                if (!gelf_getshdr(section, &header))
                        continue;
                bool symbols = header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB;
                if (symbols && defines_malloc(elf, section, &header))
                        return true;
        }
        return false;
}

static enum elf_verdict check_elf(Elf *elf) {
        GElf_Ehdr header;
        if (!gelf_getehdr(elf, &header))
                return ELF_BROKEN;
        if (header.e_ident[EI_CLASS] != ELFCLASS64)
                return ELF_OTHER_CLASS;
        if (header.e_machine != EM_X86_64)
                return ELF_OTHER_MACHINE;
        enum elf_verdict verdict = check_interpreter(elf);
        if (verdict != ELF_OK)
                return verdict;
        return has_own_malloc(elf) ? ELF_OWN_MALLOC : ELF_OK;
}

enum elf_verdict elf_check(const char *path) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return ELF_UNREADABLE;
        elf_version(EV_CURRENT);
        Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
        if (!elf)
                return ELF_NOT_ELF;
        enum elf_verdict verdict = elf_kind(elf) == ELF_K_ELF ? check_elf(elf) : ELF_NOT_ELF;
        elf_end(elf);
        /* the kernel ignores these bits on scripts */
        bool privileged = (st.st_mode & (S_ISUID | S_ISGID)) || has_capabilities(fd);
        return verdict != ELF_NOT_ELF && privileged ? ELF_PRIVILEGED : verdict;
}

static bool has_section(Elf *elf, const char *wanted) {
        Elf_Scn *section = NULL;
        size_t names;
        if (elf_getshdrstrndx(elf, &names) != 0)
                return false;
        while ((section = elf_nextscn(elf, section))) {
                GElf_Shdr header;
                const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
                if (name && strcmp(name, wanted) == 0)
                        return true;
        }
        return false;
}

bool elf_is_go(const char *path) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return false;
        elf_version(EV_CURRENT);
        Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
        bool is_go = elf && elf_kind(elf) == ELF_K_ELF && has_section(elf, ".note.go.buildid");
        if (elf)
                elf_end(elf);
        return is_go;
}

const char *elf_verdict_text(enum elf_verdict verdict) {
        static const char *const texts[] = {
                [ELF_OK] = "can be traced",
                [ELF_UNREADABLE] = "cannot be read, so nobody knows what it is",
                [ELF_NOT_ELF] = "is no ELF program",
                [ELF_STATIC] = "is statically linked, so no agent can be loaded into it",
                [ELF_OTHER_CLASS] = "is a 32-bit program, and the agent is 64-bit",
                [ELF_OTHER_MACHINE] = "is a program for another machine",
                [ELF_OTHER_LIBC] = "uses another C library than glibc, which the agent needs",
                [ELF_PRIVILEGED] = "is set-uid, set-gid or has file capabilities, and the loader then drops the agent",
                [ELF_OWN_MALLOC] = "has a malloc of its own linked in, which the agent does not see",
                [ELF_BROKEN] = "has a damaged ELF header",
        };
        return texts[verdict];
}
