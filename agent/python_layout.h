/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where CPython keeps what a stack is read from: offsets of the fields of its
 * thread states, frames, code objects and strings, for release builds with a GIL on
 * x86-64. They are fixed within a minor version: 3.8 to 3.12 are in a table, 3.13 and
 * 3.14 tell most of them themselves (_Py_DebugOffsets). python_check.h holds a layout against the
 * interpreter before it is believed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum python_frame_kind {
        PYTHON_FRAME_OBJECT,      /* up to 3.10: PyFrameObject; the instruction is an index */
        PYTHON_FRAME_INTERPRETER, /* from 3.11: _PyInterpreterFrame; a pointer into the code object */
};

struct python_layout {
        unsigned minor; /* of 3.minor */
        enum python_frame_kind frame_kind;
        unsigned table_format;     /* CodeDef.table_format */
        unsigned instruction_unit; /* bytes: of a frame object's instruction index */

        /* thread state: to the innermost frame; over another struct, where frame_indirect */
        uint32_t thread_frame, thread_cframe;
        bool frame_indirect;

        /* frame. code: for python_layout_code(). word: the instruction; of a frame object, in its upper half the line
         * that a trace function sees */
        uint32_t frame_code, frame_previous, frame_word, frame_owner, frame_trace, frame_globals;
        bool trace_by_line;    /* a line other than 0 says that a trace function runs, not frame_trace */
        uint8_t owner_foreign; /* frames of this owner and above are no frames of code; 255: there are none such */

        uint32_t code_filename, code_name, code_first_line, code_table;
        uint32_t code_instructions, code_first_traceable; /* of code with interpreter frames */
        uint32_t text_ascii_bytes, text_compact_bytes;    /* headers of the kinds of str */
};

#define PYTHON_OWNER_GENERATOR 1

/* the same in all versions that have frame objects: the C function that calls a thread's trace function */
#define PYTHON_THREAD_TRACE 64

/* the same in all versions */
#define PYTHON_OBJECT_TYPE  8
#define PYTHON_TEXT_LENGTH  16
#define PYTHON_TEXT_STATE   32
#define PYTHON_BYTES_LENGTH 16
#define PYTHON_BYTES_DATA   32

#define PYTHON_LAYOUT_E_VERSION       1 /* no such version in the table */
#define PYTHON_LAYOUT_E_FREE_THREADED 2
#define PYTHON_LAYOUT_E_OFFSETS       3 /* _Py_DebugOffsets is missing, or says what can't be */

/** python_layout_find() - the layout of a version
 * @version: as PY_VERSION_HEX; @runtime: &_PyRuntime, borrowed, read from 3.13 on; NULL where it is not exported
 * Return: 0; PYTHON_LAYOUT_E_... */
int python_layout_find(uint32_t version, const void *runtime, struct python_layout *layoutp);

static inline uint64_t python_word(uintptr_t object, uint32_t offset) {
        return *(const uint64_t *)(object + offset);
}

static inline int32_t python_int(uintptr_t object, uint32_t offset) {
        return *(const int32_t *)(object + offset);
}

static inline uint8_t python_byte(uintptr_t object, uint32_t offset) {
        return *(const uint8_t *)(object + offset);
}

/** python_layout_code() - the code object that a word of a frame, at frame_code, names
 * From 3.14 on its lowest bits say who counts the reference. No address has any of them. */
static inline uintptr_t python_layout_code(uint64_t word) {
        return word & ~(uintptr_t)3;
}

/** python_layout_top() - innermost frame of a thread state; 0: none */
static inline uintptr_t python_layout_top(const struct python_layout *layout, uintptr_t thread) {
        if (layout->frame_indirect) {
                uintptr_t inner = python_word(thread, layout->thread_cframe);
                return inner ? python_word(inner, layout->thread_frame) : 0;
        }
        return python_word(thread, layout->thread_frame);
}

/** python_layout_is_traced() - whether a thread has a trace function; up to 3.10 */
static inline bool python_layout_is_traced(uintptr_t thread) {
        return python_word(thread, PYTHON_THREAD_TRACE) != 0;
}

/** python_layout_is_frame() - whether a frame counts: from 3.11 on some are not ready yet, or of the interpreter
 * itself */
static inline bool python_layout_is_frame(const struct python_layout *layout, uintptr_t frame) {
        if (layout->frame_kind == PYTHON_FRAME_OBJECT)
                return true;
        if (python_byte(frame, layout->frame_owner) >= layout->owner_foreign)
                return false;
        if (python_byte(frame, layout->frame_owner) == PYTHON_OWNER_GENERATOR)
                return true;
        uintptr_t code = python_layout_code(python_word(frame, layout->frame_code));
        return (intptr_t)python_word(frame, layout->frame_word) >=
               (intptr_t)(code + layout->code_instructions) +
                       2 * (intptr_t)python_int(code, layout->code_first_traceable);
}

/** python_layout_position() - value of the node of a frame (proto/ring.h); never 0 */
uint64_t python_layout_position(const struct python_layout *layout, uintptr_t frame, uintptr_t code);
