/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* Can the agent be preloaded into this program? Said before it starts, instead of finding nothing afterwards. */

enum elf_verdict {
        ELF_OK = 0,
        ELF_UNREADABLE,  /* may be executed, not read */
        ELF_NOT_ELF,     /* a script, or nothing that we know */
        ELF_STATIC,      /* no dynamic loader, so no preload */
        ELF_OTHER_CLASS, /* 32 bit */
        ELF_OTHER_MACHINE,
        ELF_OTHER_LIBC, /* its loader is not glibc's */
        ELF_PRIVILEGED, /* set-uid, set-gid or file capabilities: the loader drops preloads. Said to root too, for whom
                           it may not be so: a script shall behave alike for all. */
        ELF_OWN_MALLOC, /* a malloc linked in, which its calls reach before ours */
        ELF_BROKEN,     /* the header leads nowhere */
};

/** elf_check() - look at the file @path
 * Return: what stands in the way, first thing first. */
enum elf_verdict elf_check(const char *path);

/** elf_is_go() - whether the Go toolchain made @path: its own heap does not come from malloc */
bool elf_is_go(const char *path);

/** elf_verdict_text() - "is statically linked": the predicate of a sentence about the program */
const char *elf_verdict_text(enum elf_verdict verdict);
