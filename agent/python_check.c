/* SPDX-License-Identifier: Apache-2.0 */

/* The self-check. Runs once, in a hook of the thread that has the GIL. */

#include "agent/python_check.h"

#include "agent/sys.h"
#include "proto/ring.h"

#include <errno.h>

#define FRAMES_MAX 64

static bool is_readable(uintptr_t address) {
        return address % sizeof(uint64_t) == 0 && sys_is_readable(address);
}

/* Of @bytes from an object on; its ends and its middles, since an object is smaller than a page. */
static bool is_object(uintptr_t object, uint32_t bytes) {
        return object && is_readable(object) && is_readable((object + bytes) & ~(uintptr_t)7);
}

static bool has_type(uintptr_t object, uintptr_t type) {
        return is_object(object, 64) && python_word(object, PYTHON_OBJECT_TYPE) == type;
}

static const char *check_code(const struct python_api *api, const struct python_layout *layout, uintptr_t code) {
        if (!is_object(code, 256) || python_word(code, PYTHON_OBJECT_TYPE) != api->code_type)
                return "code objects";
        if (!has_type(python_word(code, layout->code_filename), api->text_type) ||
            !has_type(python_word(code, layout->code_name), api->text_type))
                return "names of code objects";
        if (!has_type(python_word(code, layout->code_table), api->bytes_type))
                return "line tables";
        if (api->code_line((void *)code, -1) != python_int(code, layout->code_first_line))
                return "first lines of code objects";
        return NULL;
}

/* Where in its code a frame stands. */
static const char *check_place(const struct python_api *api, const struct python_layout *layout, uintptr_t frame,
                               uintptr_t code) {
        uint64_t position = python_layout_position(layout, frame, code);
        if (position & NODE_VALUE_LINE)
                return NULL;
        int line = api->code_line((void *)code, (int)position - 1);
        if (position > INT32_MAX)
                return "instructions";
        if (layout->frame_kind == PYTHON_FRAME_OBJECT)
                return api->frame_line((void *)frame) == line ? NULL : "lines of frames";
        if (api->frame_offset)
                return api->frame_offset((void *)frame) == (int)position - 1 ? NULL : "instructions";
        return position - 1 <= 2 * python_word(code, 16) ? NULL : "instructions";
}

static const char *check_top(const struct python_api *api, const struct python_layout *layout, uintptr_t top) {
        if (layout->frame_kind == PYTHON_FRAME_OBJECT)
                return (uintptr_t)api->top_frame() == top ? NULL : "innermost frame";
        return (uintptr_t)api->globals() == python_word(top, layout->frame_globals) ? NULL : "innermost frame";
}

static bool is_foreign(const struct python_layout *layout, uintptr_t frame) {
        return layout->frame_kind == PYTHON_FRAME_INTERPRETER &&
               python_byte(frame, layout->frame_owner) >= layout->owner_foreign;
}

/* Return: NULL: all is as expected. */
static const char *check_frame(const struct python_api *api, const struct python_layout *layout, uintptr_t frame) {
        if (!is_object(frame, 112))
                return "frames";
        if (is_foreign(layout, frame))
                return NULL;
        uintptr_t code = python_layout_code(python_word(frame, layout->frame_code));
        const char *what = check_code(api, layout, code);
        if (!what && python_layout_is_frame(layout, frame))
                what = check_place(api, layout, frame, code);
        return what;
}

/* Asked thousands of times before there is a frame: the same addresses are not asked of the kernel again. */
static bool is_thread(const struct python_layout *layout, uintptr_t thread) {
        static uintptr_t known_thread, known_cframe;
        uintptr_t cframe = 0;
        if (thread != known_thread && !is_object(thread, 128))
                return false;
        known_thread = thread;
        if (layout->frame_indirect) {
                cframe = python_word(thread, layout->thread_cframe);
                if (cframe != known_cframe && !is_object(cframe, 16))
                        return false;
        }
        known_cframe = cframe;
        return true;
}

enum python_check_result python_check(const struct python_api *api, const struct python_layout *layout,
                                      uintptr_t thread, const char **whatp) {
        uintptr_t top, frame;
        unsigned n = 0;
        *whatp = "thread states";
        if (!is_thread(layout, thread))
                return PYTHON_CHECK_BAD;
        top = python_layout_top(layout, thread);
        if (!top)
                return PYTHON_CHECK_LATER;
        for (frame = top; frame && n < FRAMES_MAX; frame = python_word(frame, layout->frame_previous), n++) {
                *whatp = check_frame(api, layout, frame);
                if (*whatp)
                        return PYTHON_CHECK_BAD;
        }
        if (is_foreign(layout, top) || !python_layout_is_frame(layout, top))
                return PYTHON_CHECK_LATER;
        *whatp = check_top(api, layout, top);
        return *whatp ? PYTHON_CHECK_BAD : PYTHON_CHECK_GOOD;
}
