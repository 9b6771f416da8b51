/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One ELF file, opened with whatever debug information can be found for it: its
 * own, a separate file by build id or .gnu_debuglink, a dwz supplement, debuginfod.
 */

#include "daemon/symbol/helper/frame_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULE_PROBLEM_BYTES 512

struct module;

struct module_source {
        const char *path;
        int fd;                  /* -1: open the path */
        const uint8_t *build_id; /* what the file must have */
        size_t build_id_length;  /* 0: anything goes */
};

#define MODULE_E_UNREADABLE 1

/** module_open() - find and open
 * Tries the descriptor, then the path, then the debug file of that build id (a program that was replaced or removed
 * meanwhile still has its lines there).
 * @source: borrowed; its fd stays the caller's
 * @debug_root: where separate debug files lie, "/usr/lib/debug"; must outlive the module
 * @problem: on MODULE_E_UNREADABLE one line
 * Return: 0; MODULE_E_UNREADABLE. */
int module_open(const struct module_source *source, const char *debug_root, struct module **modulep,
                char problem[MODULE_PROBLEM_BYTES]);

/** module_close() - and free; NULL is fine. Return: NULL. */
struct module *module_close(struct module *module);

/** module_has_lines() - some of its units have line tables */
bool module_has_lines(const struct module *module);

/** module_resolve() - the frames of one address, as the ELF file has it
 * @frames: cleared before; stays empty where nothing is known */
void module_resolve(struct module *module, uint64_t address, struct frame_list *frames);
