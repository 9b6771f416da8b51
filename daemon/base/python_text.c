/* SPDX-License-Identifier: Apache-2.0 */

/* Texts of Python, and the bytes of the names they stand for. Any thread; called by the readers of pickles and of code
 * objects, and by the query. */

#include "daemon/base/python_text.h"

#include <stdint.h>
#include <string.h>

static bool continues(const char *bytes, size_t n) {
        for (size_t i = 1; i <= n; i++)
                if (((uint8_t)bytes[i] & 0xc0) != 0x80)
                        return false;
        return true;
}

/* Surrogates written as three bytes are taken as they are: pickles hold them so. */
size_t python_text_decode(const char *bytes, size_t length, uint32_t *code_pointp) {
        uint8_t lead = (uint8_t)bytes[0];
        uint32_t code_point;
        if (lead < 0x80) {
                *code_pointp = lead;
                return 1;
        }
        if (lead >= 0xc2 && lead <= 0xdf && length >= 2 && continues(bytes, 1)) {
                *code_pointp = (uint32_t)(lead & 0x1f) << 6 | (bytes[1] & 0x3f);
                return 2;
        }
        if (lead >= 0xe0 && lead <= 0xef && length >= 3 && continues(bytes, 2)) {
                code_point = (uint32_t)(lead & 0x0f) << 12 | (uint32_t)(bytes[1] & 0x3f) << 6 | (bytes[2] & 0x3f);
                if (code_point >= 0x800) {
                        *code_pointp = code_point;
                        return 3;
                }
        }
        if (lead >= 0xf0 && lead <= 0xf4 && length >= 4 && continues(bytes, 3)) {
                code_point = (uint32_t)(lead & 0x07) << 18 | (uint32_t)(bytes[1] & 0x3f) << 12 |
                             (uint32_t)(bytes[2] & 0x3f) << 6 | (bytes[3] & 0x3f);
                if (code_point >= 0x10000 && code_point <= 0x10ffff) {
                        *code_pointp = code_point;
                        return 4;
                }
        }
        *code_pointp = PYTHON_TEXT_ESCAPE_BASE + lead;
        return 1;
}

static bool is_escape(uint32_t code_point) {
        return code_point >= 0xdc80 && code_point <= 0xdcff; /* PEP 383 */
}

bool python_text_valid(const char *bytes, size_t length) {
        uint32_t code_point;
        size_t taken;
        for (size_t i = 0; i < length; i += taken) {
                taken = python_text_decode(bytes + i, length - i, &code_point);
                if (taken == 1 && code_point >= 0x80)
                        return false;
        }
        return true;
}

static size_t unescape(const char *text, size_t length, char *name) {
        uint32_t code_point;
        size_t n = 0, taken;
        for (size_t i = 0; i < length; i += taken) {
                taken = python_text_decode(text + i, length - i, &code_point);
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
                i += python_text_decode(text + i, length - i, &x);
                j += python_text_decode(name + j, name_length - j, &y);
                if (x != y)
                        return false;
        }
        return i == length && j == name_length;
}

size_t python_text_name(const char *text, size_t length, char *name) {
        size_t n = unescape(text, length, name);
        if (n == length || same_code_points(text, length, name, n))
                return n;
        memcpy(name, text, length);
        return length;
}
