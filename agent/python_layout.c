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

/* _Py_DebugOffsets of 3.13, as far as it is read: each word is an offset or a size. */
struct debug_offsets_3_13 {
        char cookie[8];
        uint64_t version, free_threaded;
        uint64_t runtime_state[3]; /* size, finalizing, interpreters_head */
        uint64_t interpreter_state[13];
        struct {
                uint64_t size, prev, next, interp, current_frame, thread_id, native_thread_id, datastack_chunk, status;
        } thread;
        struct {
                uint64_t size, previous, executable, instr_ptr, localsplus, owner;
        } frame;
        struct {
                uint64_t size, filename, name, qualname, linetable, firstlineno, argcount, localsplusnames,
                        localspluskinds, co_code_adaptive;
        } code;
};

/* The largest of the structs, a frame object of 3.8, has less than 512 bytes; an offset beyond that is none. */
#define OFFSET_MAX 1024

static int take_offsets(const struct debug_offsets_3_13 *offsets, uint32_t version, struct python_layout *layoutp) {
        const uint64_t used[] = {offsets->thread.current_frame, offsets->frame.previous, offsets->frame.executable,
                                 offsets->frame.instr_ptr,      offsets->frame.owner,    offsets->code.filename,
                                 offsets->code.qualname,        offsets->code.linetable, offsets->code.firstlineno,
                                 offsets->code.co_code_adaptive};
        if (memcmp(offsets->cookie, "xdebugpy", 8) != 0 || offsets->version >> 16 != version >> 16)
                return PYTHON_LAYOUT_E_OFFSETS;
        if (offsets->free_threaded)
                return PYTHON_LAYOUT_E_FREE_THREADED;
        for (unsigned i = 0; i < sizeof used / sizeof *used; i++)
                if (used[i] > OFFSET_MAX)
                        return PYTHON_LAYOUT_E_OFFSETS;
        *layoutp = (struct python_layout){
                .minor = 13,
                .frame_kind = PYTHON_FRAME_INTERPRETER,
                .table_format = 311,
                .thread_frame = (uint32_t)offsets->thread.current_frame,
                .frame_code = (uint32_t)offsets->frame.executable,
                .frame_previous = (uint32_t)offsets->frame.previous,
                .frame_word = (uint32_t)offsets->frame.instr_ptr,
                .frame_owner = (uint32_t)offsets->frame.owner,
                .frame_globals = (uint32_t)offsets->frame.executable + 24,
                .owner_foreign = 3,
                .code_filename = (uint32_t)offsets->code.filename,
                .code_name = (uint32_t)offsets->code.qualname,
                .code_first_line = (uint32_t)offsets->code.firstlineno,
                .code_table = (uint32_t)offsets->code.linetable,
                .code_instructions = (uint32_t)offsets->code.co_code_adaptive,
                .code_first_traceable = (uint32_t)offsets->code.co_code_adaptive - 16,
                .text_ascii_bytes = 40,
                .text_compact_bytes = 56,
        };
        return 0;
}

int python_layout_find(uint32_t version, const void *runtime, struct python_layout *layoutp) {
        unsigned minor = version >> 16 & 255;
        if (version >> 24 != 3)
                return PYTHON_LAYOUT_E_VERSION;
        if (minor == 13)
                return runtime ? take_offsets(runtime, version, layoutp) : PYTHON_LAYOUT_E_OFFSETS;
        for (unsigned i = 0; i < sizeof layouts / sizeof *layouts; i++) {
                if (layouts[i].minor == minor) {
                        *layoutp = layouts[i];
                        return 0;
                }
        }
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
