/* SPDX-License-Identifier: Apache-2.0 */

/* JSON documents of single things: printing, and what several of them share. */

#include "client/json_output.h"

#include "client/text.h"

#include <json-c/json.h>

void json_print(FILE *out, struct json_object *object) {
        size_t length;
        const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        fwrite(text, 1, length, out);
        json_object_put(object);
}

void json_print_open(FILE *out, struct json_object *object) {
        size_t length;
        const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        fwrite(text, 1, length - 1, out);
        json_object_put(object);
}

struct json_object *json_text_or_null(const ProtobufCBinaryData *bytes) {
        return bytes->len > 0 ? text_json(bytes->data, bytes->len) : NULL;
}
