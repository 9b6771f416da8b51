/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The layouts. Offsets of 3.8 to 3.12 as offsetof() gives them with the headers of each version.
 */

#include "agent/python_layout.h"

#include "proto/ring.h"

#include <string.h>

#define NO_OWNER 255

#define FRAME_OBJECT_3_8                                                                                               \
        .frame_kind = PYTHON_FRAME_OBJECT, .table_format = 309, .instruction_unit = 1, .thread_frame = 24,             \
        .frame_code = 32, .frame_previous = 24, .frame_word = 104, .frame_trace = 80, .frame_globals = 48,             \
        .owner_foreign = NO_OWNER, .code_filename = 104, .code_name = 112, .code_first_line = 40, .code_table = 120,   \
        .text_ascii_bytes = 48, .text_compact_bytes = 72

static const struct python_layout layouts[] = {
        {.minor = 8, FRAME_OBJECT_3_8},
        {.minor = 9, FRAME_OBJECT_3_8},
        {
                .minor = 10,
                .frame_kind = PYTHON_FRAME_OBJECT,
                .table_format = 310,
                .instruction_unit = 2,
                .thread_frame = 24,
                .frame_code = 32,
                .frame_previous = 24,
                .frame_word = 96,
                .frame_trace = 72,
                .frame_globals = 48,
                .trace_by_line = true,
                .owner_foreign = NO_OWNER,
                .code_filename = 104,
                .code_name = 112,
                .code_first_line = 40,
                .code_table = 120,
                .text_ascii_bytes = 48,
                .text_compact_bytes = 72,
        },
        {
                .minor = 11,
                .frame_kind = PYTHON_FRAME_INTERPRETER,
                .table_format = 311,
                .thread_cframe = 56,
                .thread_frame = 8,
                .frame_indirect = true,
                .frame_code = 32,
                .frame_previous = 48,
                .frame_word = 56,
                .frame_owner = 69,
                .frame_globals = 8,
                .owner_foreign = NO_OWNER,
                .code_filename = 112,
                .code_name = 128,
                .code_first_line = 72,
                .code_table = 136,
                .code_instructions = 184,
                .code_first_traceable = 168,
                .text_ascii_bytes = 48,
                .text_compact_bytes = 72,
        },
        {
                .minor = 12,
                .frame_kind = PYTHON_FRAME_INTERPRETER,
                .table_format = 311,
                .thread_cframe = 56,
                .thread_frame = 0,
                .frame_indirect = true,
                .frame_code = 0,
                .frame_previous = 8,
                .frame_word = 56,
                .frame_owner = 70,
                .frame_globals = 24,
                .owner_foreign = 3,
                .code_filename = 112,
                .code_name = 128,
                .code_first_line = 68,
                .code_table = 136,
                .code_instructions = 192,
                .code_first_traceable = 176,
                .text_ascii_bytes = 40,
                .text_compact_bytes = 56,
        },
};

/* _Py_DebugOffsets, as far as it is read: each word is an offset or a size. */
struct debug_offsets {
        char cookie[8];
        uint64_t version, free_threaded;
};

struct thread_offsets {
        uint64_t size, prev, next, interp, current_frame;
};

struct frame_offsets {
        uint64_t size, previous, executable, instr_ptr, localsplus, owner;
};

struct code_offsets {
        uint64_t size, filename, name, qualname, linetable, firstlineno, argcount, localsplusnames, localspluskinds,
                co_code_adaptive;
};

/* Where in it a version has them, in words: what else it tells becomes more. */
static const struct offsets_place {
        unsigned minor, thread, frame, code;
} offsets_places[] = {
        {.minor = 13, .thread = 19, .frame = 28, .code = 34},
        {.minor = 14, .thread = 22, .frame = 31, .code = 39},
};

/* The largest of the structs, a frame object of 3.8, has less than 512 bytes; an offset beyond that is none. */
#define OFFSET_MAX 1024

static int take_offsets(const struct offsets_place *place, const void *runtime, uint32_t version,
                        struct python_layout *layoutp) {
        const struct debug_offsets *offsets = runtime;
        const uint64_t *words = runtime;
        if (!offsets || memcmp(offsets->cookie, "xdebugpy", 8) != 0 || offsets->version >> 16 != version >> 16)
                return PYTHON_LAYOUT_E_OFFSETS;
        if (offsets->free_threaded)
                return PYTHON_LAYOUT_E_FREE_THREADED;
        const struct thread_offsets *thread = (const void *)(words + place->thread);
        const struct frame_offsets *frame = (const void *)(words + place->frame);
        const struct code_offsets *code = (const void *)(words + place->code);
        const uint64_t used[] = {thread->current_frame, frame->previous,       frame->executable, frame->instr_ptr,
                                 frame->owner,          code->filename,        code->qualname,    code->linetable,
                                 code->firstlineno,     code->co_code_adaptive};
        for (unsigned i = 0; i < sizeof used / sizeof *used; i++)
                if (used[i] > OFFSET_MAX)
                        return PYTHON_LAYOUT_E_OFFSETS;
        *layoutp = (struct python_layout){
                .minor = place->minor,
                .frame_kind = PYTHON_FRAME_INTERPRETER,
                .table_format = 311,
                .thread_frame = (uint32_t)thread->current_frame,
                .frame_code = (uint32_t)frame->executable,
                .frame_previous = (uint32_t)frame->previous,
                .frame_word = (uint32_t)frame->instr_ptr,
                .frame_owner = (uint32_t)frame->owner,
                .frame_globals = (uint32_t)frame->executable + 24,
                .owner_foreign = 3,
                .code_filename = (uint32_t)code->filename,
                .code_name = (uint32_t)code->qualname,
                .code_first_line = (uint32_t)code->firstlineno,
                .code_table = (uint32_t)code->linetable,
                .code_instructions = (uint32_t)code->co_code_adaptive,
                .code_first_traceable = (uint32_t)code->co_code_adaptive - 16,
                .text_ascii_bytes = 40,
                .text_compact_bytes = 56,
        };
        return 0;
}

int python_layout_find(uint32_t version, const void *runtime, struct python_layout *layoutp) {
        unsigned minor = version >> 16 & 255;
        if (version >> 24 != 3)
                return PYTHON_LAYOUT_E_VERSION;
        for (unsigned i = 0; i < sizeof layouts / sizeof *layouts; i++) {
                if (layouts[i].minor == minor) {
                        *layoutp = layouts[i];
                        return 0;
                }
        }
        for (unsigned i = 0; i < sizeof offsets_places / sizeof *offsets_places; i++)
                if (offsets_places[i].minor == minor)
                        return take_offsets(&offsets_places[i], runtime, version, layoutp);
        return PYTHON_LAYOUT_E_VERSION;
}

/* The line that the interpreter itself keeps for a frame with a trace function, else 0. */
static uint32_t traced_line(const struct python_layout *layout, uintptr_t frame) {
        uint32_t line = (uint32_t)(python_word(frame, layout->frame_word) >> 32);
        return layout->trace_by_line || python_word(frame, layout->frame_trace) != 0 ? line : 0;
}

uint64_t python_layout_position(const struct python_layout *layout, uintptr_t frame, uintptr_t code) {
        int64_t offset;
        if (layout->frame_kind == PYTHON_FRAME_OBJECT) {
                uint32_t line = traced_line(layout, frame);
                if (line)
                        return NODE_VALUE_LINE | line;
                offset = (int64_t)(int32_t)python_word(frame, layout->frame_word) * layout->instruction_unit;
        } else {
                offset = (int64_t)(python_word(frame, layout->frame_word) - (code + layout->code_instructions));
        }
        /* before its first instruction a frame is where its code begins */
        if (offset < 0)
                return NODE_VALUE_LINE | (uint32_t)python_int(code, layout->code_first_line);
        return (uint64_t)offset + 1;
}
