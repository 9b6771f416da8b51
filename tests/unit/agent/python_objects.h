/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Objects of an interpreter that is not there, in memory laid out as its version lays it out. Never freed. */

#include "agent/python_layout.h"
#include "agent/sys.h"

#include <check.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline void put_word(void *object, uint32_t offset, uint64_t word) {
        memcpy((char *)object + offset, &word, sizeof word);
}

static inline void put_int(void *object, uint32_t offset, int32_t number) {
        memcpy((char *)object + offset, &number, sizeof number);
}

static inline void *new_memory(size_t bytes) {
        void *memory = sys_map_memory(bytes);
        ck_assert_ptr_nonnull(memory);
        return memory;
}

static inline void *new_object(void) {
        static char *pool;
        static unsigned n_left;
        if (n_left == 0) {
                n_left = 4096;
                pool = new_memory(512 * n_left);
        }
        n_left--;
        pool += 512;
        return pool - 512;
}

/* _Py_DebugOffsets of 3.13 or 3.14, as far as its code objects: words; Return: where these begin. */
static inline uint64_t *debug_offsets(uint64_t words[64], unsigned minor) {
        uint64_t *thread = words + (minor == 13 ? 19 : 22), *frame = thread + 9, *code = frame + (minor == 13 ? 6 : 8);
        memset(words, 0, 64 * sizeof *words);
        memcpy(words, "xdebugpy", 8);
        words[1] = 3 << 24 | minor << 16 | 0xf0;
        thread[4] = 72;
        frame[1] = 8, frame[2] = 0, frame[3] = 56, frame[5] = minor == 13 ? 70 : 74;
        code[1] = 112, code[3] = 128, code[4] = 136, code[5] = 68, code[9] = minor == 13 ? 200 : 208;
        return code;
}

static inline void find_layout(unsigned minor, struct python_layout *layoutp) {
        uint64_t words[64];
        debug_offsets(words, minor);
        ck_assert_int_eq(python_layout_find(3 << 24 | minor << 16, words, layoutp), 0);
}

/* A compact ASCII str. */
static inline void *new_text(const struct python_layout *layout, const char *text) {
        char *object = new_object();
        put_word(object, PYTHON_TEXT_LENGTH, strlen(text));
        put_int(object, PYTHON_TEXT_STATE, 1 << 2 | 1 << 5 | 1 << 6);
        strcpy(object + layout->text_ascii_bytes, text);
        return object;
}

/* What was a code object becomes another, named by a number that no other has. */
static inline void fill_code(const struct python_layout *layout, void *code) {
        static unsigned n;
        char name[32], *table = new_object();
        snprintf(name, sizeof name, "f%u", ++n);
        put_word(table, PYTHON_BYTES_LENGTH, 4);
        put_word(code, layout->code_filename, (uintptr_t)new_text(layout, "a.py"));
        put_word(code, layout->code_name, (uintptr_t)new_text(layout, name));
        put_word(code, layout->code_table, (uintptr_t)table);
        put_int(code, layout->code_first_line, (int32_t)n);
        if (layout->frame_kind == PYTHON_FRAME_INTERPRETER)
                put_int(code, layout->code_first_traceable, 2);
}
