/* SPDX-License-Identifier: Apache-2.0 */

/* Code objects among the items, as a snapshot asks for them. */

#include "daemon/ingest/definitions.h"
#include "tests/support/check_main.h"

#include <check.h>

#include <string.h>

static struct definitions definitions;

static void append(const void *bytes, size_t length) {
        unsigned char item[512] = {0};
        uint32_t word = (uint32_t)length;
        ck_assert_uint_le(length + 12, sizeof item);
        memcpy(item, &word, sizeof word);
        memcpy(item + sizeof word, bytes, length);
        ck_assert_int_eq(definitions_append(&definitions, NULL, 0, item, (sizeof word + length + 7) & ~(size_t)7), 0);
}

static ProtobufCBinaryData data(const char *text) {
        return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(size_t)text};
}

static void append_code(uint32_t code, const char *filename, const char *function) {
        Tracemallocd__Agent__CodeDef def = TRACEMALLOCD__AGENT__CODE_DEF__INIT;
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        uint8_t bytes[256];
        def.code = code;
        def.filename = data(filename);
        def.qualname = data(function);
        def.first_line = 77;
        def.table_format = 310;
        def.table = data("\x04\x01");
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_CODE;
        item.code = &def;
        ck_assert_uint_le(tracemallocd__agent__item__get_packed_size(&item), sizeof bytes);
        append(bytes, tracemallocd__agent__item__pack(&item, bytes));
}

static void append_module(void) {
        Tracemallocd__Agent__ModuleDef def = TRACEMALLOCD__AGENT__MODULE_DEF__INIT;
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        uint8_t bytes[256];
        def.generation = 5;
        def.path = data("/lib/x");
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_MODULE;
        item.module = &def;
        append(bytes, tracemallocd__agent__item__pack(&item, bytes));
}

static int ask(uint32_t code, struct code_text *textp) {
        return definitions.source.code(&definitions.source, code, textp);
}

static void check_names(uint32_t code, const char *filename, const char *function) {
        struct code_text text;
        ck_assert_int_eq(ask(code, &text), 0);
        ck_assert_uint_eq(text.filename_length, strlen(filename));
        ck_assert_mem_eq(text.filename, filename, strlen(filename));
        ck_assert_uint_eq(text.function_length, strlen(function));
        if (*function)
                ck_assert_mem_eq(text.function, function, strlen(function));
        else
                ck_assert_ptr_null(text.function);
}

static void setup(void) {
        definitions_open_socket(&definitions);
}

static void teardown(void) {
        definitions_close(&definitions);
}

START_TEST(a_code_object_is_found_among_the_items)
{
        setup();
        append_module();
        append_code(9, "a.py", "f");
        append_module();
        append_code(0, "zero.py", "C.method.<locals>.<lambda>");
        check_names(9, "a.py", "f");
        check_names(0, "zero.py", "C.method.<locals>.<lambda>");
        append_code(0x7fffffff, "last.py", "");
        check_names(0x7fffffff, "last.py", ""); /* came after the first walk */
        struct code_text text;
        ck_assert_int_eq(ask(9, &text), 0);
        ck_assert_int_eq(text.first_line, 77);
        ck_assert_uint_eq(text.table_format, 310);
        ck_assert_uint_eq(text.table_length, 2);
        ck_assert_mem_eq(text.table, "\x04\x01", 2);
        ck_assert_int_eq(ask(5, &text), DEFINITIONS_E_UNKNOWN); /* a module's number */
        teardown();
}
END_TEST

START_TEST(what_was_said_first_of_a_code_object_stays)
{
        setup();
        for (unsigned i = 0; i < 100000; i++) /* quadratic, if each were kept */
                append_code(3, i ? "later.py" : "first.py", "f");
        check_names(3, "first.py", "f");
        ck_assert_uint_eq(definitions.n_codes, 1);
        teardown();
}
END_TEST

START_TEST(names_are_the_bytes_of_the_operating_system)
{
        setup();
        append_code(1, "caf\xed\xb3\xa9.py", "f\xed\xb2\x80"); /* escaped with surrogates */
        append_code(2, "caf\xe9.py", "f");                     /* plain bytes */
        append_code(3, "\xed\xa0\x80.py", "\xed\xa0\x80");     /* a surrogate of no byte */
        append_code(4, "\xed\x95\x9c.py", "f");                /* a letter that begins with the same byte */
        append_code(5, "\xed\xb3\xa9\xff.py", "f");            /* both: not Python's, left alone */
        check_names(1, "caf\xe9.py", "f\x80");
        check_names(2, "caf\xe9.py", "f");
        check_names(3, "\xed\xa0\x80.py", "\xed\xa0\x80");
        check_names(4, "\xed\x95\x9c.py", "f");
        check_names(5, "\xed\xb3\xa9\xff.py", "f");
        teardown();
}
END_TEST

START_TEST(the_order_of_fields_does_not_matter)
{
        setup();
        append("\x1a\x08\x12\x04x.py\x08\x06", 10); /* the file name first, then the number */
        check_names(6, "x.py", "");
        teardown();
}
END_TEST

START_TEST(a_malformed_item_is_passed_over)
{
        setup();
        append("\x1a", 1);
        append("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
        append("\x1a\x7f\x08\x04", 4); /* longer than its item: its number is known, it is not */
        append("\x1a\x02\x08", 3);
        append_code(8, "a.py", "f");
        struct code_text text;
        check_names(8, "a.py", "f");
        ck_assert_int_eq(ask(4, &text), DEFINITIONS_E_UNKNOWN);
        teardown();
}
END_TEST

CHECK_MAIN("definitions", a_code_object_is_found_among_the_items, what_was_said_first_of_a_code_object_stays,
           names_are_the_bytes_of_the_operating_system, the_order_of_fields_does_not_matter,
           a_malformed_item_is_passed_over)
