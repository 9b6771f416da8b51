/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes to text, for JSON and for terminals. */

#include "client/text.h"

#include "client/memory.h"

#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SHORTEN_MARK      "..."
#define SHORTEN_WIDTH_MIN 8 /* below, the mark would leave nothing to recognise */

static bool is_continuation(unsigned char byte) {
        return (byte & 0xc0) == 0x80;
}

/* Length of the well-formed sequence at @s (Unicode table 3-7: no overlong form, no surrogate), 0 if there is none. */
static size_t utf8_length(const unsigned char *s, size_t left) {
        unsigned char low = 0x80, high = 0xbf;
        size_t n;
        if (s[0] < 0x80)
                return 1;
        if (s[0] >= 0xc2 && s[0] <= 0xdf) {
                n = 2;
        } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
                n = 3;
                low = s[0] == 0xe0 ? 0xa0 : low;
                high = s[0] == 0xed ? 0x9f : high;
        } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
                n = 4;
                low = s[0] == 0xf0 ? 0x90 : low;
                high = s[0] == 0xf4 ? 0x8f : high;
        } else {
                return 0;
        }
        if (left < n || s[1] < low || s[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++) {
                if (!is_continuation(s[i]))
                        return 0;
        }
        return n;
}

/* Where escaped text goes: a printbuf of json-c's, or a stream. */
typedef void text_sink(void *to, const void *bytes, size_t length);

static void put_printbuf(void *to, const void *bytes, size_t length) {
        printbuf_memappend(to, bytes, (int)length);
}

static void put_stream(void *to, const void *bytes, size_t length) {
        fwrite_unlocked(bytes, 1, length, to);
}

static void json_put_control(text_sink *put, void *to, unsigned char c) {
        static const char shorts[][3] = {
                ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
        char code[8];
        if (c < sizeof shorts / sizeof shorts[0] && shorts[c][0]) {
                put(to, shorts[c], 2);
                return;
        }
        snprintf(code, sizeof code, "\\u%04x", c);
        put(to, code, 6);
}

/* What is no UTF-8, as Python has it in a str: the three bytes that a pickle has for a surrogate are that surrogate,
 * any other byte is escaped to one. Return: bytes taken. */
static size_t json_put_surrogate(text_sink *put, void *to, const unsigned char *s, size_t left) {
        char code[8];
        bool whole = left >= 3 && s[0] == 0xed && (s[1] & 0xe0) == 0xa0 && is_continuation(s[2]);
        unsigned surrogate = whole ? 0xd000u | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu) : 0xdc00u + s[0];
        snprintf(code, sizeof code, "\\u%04x", surrogate);
        put(to, code, 6);
        return whole ? 3 : 1;
}

/* Length of what begins @s and stands in JSON as it is */
static size_t json_plain_length(const unsigned char *s, size_t left) {
        size_t at = 0;
        while (at < left && s[at] >= 0x20 && s[at] != '"' && s[at] != '\\') {
                size_t n = s[at] < 0x80 ? 1 : utf8_length(s + at, left - at);
                if (n == 0)
                        break;
                at += n;
        }
        return at;
}

/* json-c's own serialiser passes bytes through, which is not JSON when they are not UTF-8. */
static void json_put_text(text_sink *put, void *to, const unsigned char *s, size_t left) {
        put(to, "\"", 1);
        while (left > 0) {
                size_t n = json_plain_length(s, left);
                if (n > 0) {
                        put(to, s, n);
                } else if (s[0] == '"' || s[0] == '\\') {
                        char pair[2] = {'\\', (char)s[0]};
                        put(to, pair, 2);
                        n = 1;
                } else if (s[0] < 0x20) {
                        json_put_control(put, to, s[0]);
                        n = 1;
                } else {
                        n = json_put_surrogate(put, to, s, left);
                }
                s += n;
                left -= n;
        }
        put(to, "\"", 1);
}

static int json_serialize_text(struct json_object *object, struct printbuf *pb, int level, int flags) {
        (void)level, (void)flags;
        json_put_text(put_printbuf, pb, (const unsigned char *)json_object_get_string(object),
                      (size_t)json_object_get_string_len(object));
        return 0;
}

void text_json_write(FILE *out, const void *bytes, size_t length) {
        json_put_text(put_stream, out, bytes, length);
}

struct json_object *text_json(const void *bytes, size_t length) {
        /* a NULL of protobuf-c is an empty field */
        struct json_object *object = json_object_new_string_len(bytes ? bytes : "", (int)length);
        json_object_set_serializer(object, json_serialize_text, NULL, NULL);
        return object;
}

char *text_display(const void *bytes, size_t length) {
        const unsigned char *s = bytes;
        char *text = memory_grow(NULL, length * 4 + 1, 1);
        char *out = text;
        for (size_t i = 0; i < length;) {
                size_t n = utf8_length(s + i, length - i);
                bool c1 = n == 2 && s[i] == 0xc2 && s[i + 1] < 0xa0;
                if (n == 0 || s[i] < 0x20 || s[i] == 0x7f || c1) {
                        size_t bad = n ? n : 1;
                        for (size_t k = 0; k < bad; k++)
                                out += sprintf(out, "\\x%02x", s[i + k]);
                        i += bad;
                        continue;
                }
                memcpy(out, s + i, n);
                out += n;
                i += n;
        }
        *out = '\0';
        return text;
}

size_t text_width(const char *text) {
        size_t width = 0;
        for (; *text; text++)
                width += !is_continuation((unsigned char)*text);
        return width;
}

/* @text behind @n code points */
static const char *skip_points(const char *text, size_t n) {
        while (*text && n > 0) {
                text++;
                while (is_continuation((unsigned char)*text))
                        text++;
                n--;
        }
        return text;
}

/* @least: columns of the end that stay if there is room for them */
static char *shorten(const char *text, size_t width, size_t least) {
        size_t have = text_width(text);
        if (width < SHORTEN_WIDTH_MIN)
                width = SHORTEN_WIDTH_MIN;
        if (have <= width)
                return memory_copy(text, strlen(text));
        size_t keep = width - strlen(SHORTEN_MARK);
        size_t tail = keep * 2 / 3;
        if (tail < least && least <= keep)
                tail = least;
        size_t head = keep - tail;
        const char *head_end = skip_points(text, head);
        return memory_format("%.*s" SHORTEN_MARK "%s", (int)(head_end - text), text, skip_points(text, have - tail));
}

char *text_shorten(const char *text, size_t width) {
        return shorten(text, width, 0);
}

char *text_shorten_path(const char *path, size_t width) {
        const char *slash = strrchr(path, '/');
        return shorten(path, width, slash ? text_width(slash) : 0);
}

void text_cut(char *text, size_t width) {
        if (text_width(text) <= width)
                return;
        size_t mark = width < strlen(SHORTEN_MARK) ? width : strlen(SHORTEN_MARK);
        char *end = text + (skip_points(text, width - mark) - text);
        memcpy(end, SHORTEN_MARK, mark); /* what is cut off takes as many bytes at least */
        end[mark] = '\0';
}
