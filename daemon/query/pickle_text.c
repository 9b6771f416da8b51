/* SPDX-License-Identifier: Apache-2.0 */

/* Texts of pickles, and the bytes of the names they stand for. Any thread; called by the reader. */

#include "daemon/query/pickle_text.h"
#include "daemon/query/text.h"

#include <stdint.h>
#include <string.h>

static bool is_escape(uint32_t code_point) {
        return code_point >= 0xdc80 && code_point <= 0xdcff; /* PEP 383 */
}

bool pickle_text_valid(const char *bytes, size_t length) {
        uint32_t code_point;
        size_t taken;

        for (size_t i = 0; i < length; i += taken) {
                taken = text_decode(bytes + i, length - i, &code_point);
                if (taken == 1 && code_point >= 0x80)
                        return false;
        }
        return true;
}

static size_t unescape(const char *text, size_t length, char *name) {
        uint32_t code_point;
        size_t n = 0, taken;

        for (size_t i = 0; i < length; i += taken) {
                taken = text_decode(text + i, length - i, &code_point);
                if (is_escape(code_point)) {
                        name[n++] = (char)(code_point & 0xff);
                } else {
                        memcpy(name + n, text + i, taken);
                        n += taken;
                }
        }
        return n;
}

static bool same_code_points(const char *text, size_t length, const char *name, size_t name_length) {
        uint32_t x, y;
        size_t i = 0, j = 0;

        while (i < length && j < name_length) {
                i += text_decode(text + i, length - i, &x);
                j += text_decode(name + j, name_length - j, &y);
                if (x != y)
                        return false;
        }
        return i == length && j == name_length;
}

size_t pickle_text_name(const char *text, size_t length, char *name) {
        size_t n = unescape(text, length, name);

        if (n == length || same_code_points(text, length, name, n))
                return n;
        memcpy(name, text, length);
        return length;
}
