/* SPDX-License-Identifier: Apache-2.0 */

/* What each opcode does to the stack. The thread of the reader, which calls it for one opcode after the other. */

#include "daemon/query/pickle_machine.h"

#include "daemon/base/python_text.h"
#include "daemon/query/pickle_opcode.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROTOCOL_MIN 4 /* HIGHEST_PROTOCOL of 3.6 and 3.7 */
#define PROTOCOL_MAX 5 /* of 3.8 to 3.14 */

void pickle_machine_init(struct pickle_machine *m, uint64_t memory_max) {
        *m = (struct pickle_machine){0};
        pickle_tables_init(&m->tables, memory_max);
        pickle_stack_init(&m->stack, &m->tables.memory);
}

void pickle_machine_deinit(struct pickle_machine *m) {
        pickle_stack_deinit(&m->stack);
        pickle_tables_deinit(&m->tables);
}

int pickle_machine_refuse(struct pickle_machine *m, uint64_t at, const char *format, ...) {
        int n = snprintf(m->message, sizeof m->message, "byte %" PRIu64 ": ", at);
        va_list ap;
        va_start(ap, format);
        vsnprintf(m->message + n, sizeof m->message - (size_t)n, format, ap);
        va_end(ap);
        return PICKLE_E_REFUSED;
}

const char *pickle_machine_shown(const struct pickle_machine *m, uint32_t text_id, char buffer[PICKLE_SHOWN_BYTES]) {
        const struct pickle_text *text = &m->tables.texts[text_id];
        size_t n = text->length < PICKLE_SHOWN_MAX ? text->length : PICKLE_SHOWN_MAX;
        for (size_t i = 0; i < n; i++)
                buffer[i] = text->bytes[i] >= ' ' && text->bytes[i] <= '~' ? text->bytes[i] : '?';
        strcpy(buffer + n, n < text->length ? "..." : "");
        return buffer;
}

/* ---- numbers ---- */

static uint64_t little_endian(const uint8_t *bytes, size_t n) {
        uint64_t number = 0;
        for (size_t i = n; i-- > 0;)
                number = number << 8 | bytes[i];
        return number;
}

static int push_value(struct pickle_machine *m, struct pickle_value value) {
        int result = pickle_stack_push(&m->stack, value);
        if (result == PICKLE_E_REFUSED && m->stack.n_values >= PICKLE_VALUES_MAX)
                return pickle_machine_refuse(m, m->offset, "more than %u values that no opcode has taken yet",
                                             PICKLE_VALUES_MAX);
        return result;
}

static int push(struct pickle_machine *m, enum pickle_kind kind, uint32_t id) {
        return push_value(m, (struct pickle_value){.kind = kind, .id = id, .number = m->offset});
}

static int push_number(struct pickle_machine *m, uint64_t number) {
        return push_value(m, (struct pickle_value){.kind = PICKLE_KIND_NUMBER, .number = number});
}

/* @bytes: [n] two's complement */
static int push_signed(struct pickle_machine *m, const uint8_t *bytes, size_t n) {
        if (n > 0 && bytes[n - 1] & 0x80)
                return push(m, PICKLE_KIND_OTHER, PICKLE_FLAW_NEGATIVE);
        while (n > 0 && bytes[n - 1] == 0)
                n--;
        if (n > sizeof(uint64_t))
                return push(m, PICKLE_KIND_OTHER, PICKLE_FLAW_LONG);
        return push_number(m, little_endian(bytes, n));
}

/* ---- texts, classes, memo ---- */

static int push_text(struct pickle_machine *m, const uint8_t *bytes, size_t length) {
        uint32_t text;
        if (!python_text_valid((const char *)bytes, length))
                return pickle_machine_refuse(m, m->offset, "text that is not UTF-8");
        int result = pickle_tables_text(&m->tables, bytes, length, &text);
        return result != 0 ? result : push(m, PICKLE_KIND_TEXT, text);
}

/* A value that no trace has: its bytes are not looked at. */
static int push_passed_over(struct pickle_machine *m, uint64_t length, enum pickle_flaw flaw) {
        m->skip = length;
        return push(m, PICKLE_KIND_OTHER, flaw);
}

static int need(struct pickle_machine *m, uint32_t n) {
        if (pickle_stack_available(&m->stack) >= n)
                return 0;
        return pickle_machine_refuse(m, m->offset, "an opcode that takes %" PRIu32 " value%s where there are fewer", n,
                                     n == 1 ? "" : "s");
}

static int find_class(struct pickle_machine *m) {
        const struct pickle_value *module = pickle_stack_top(&m->stack, 1), *name = pickle_stack_top(&m->stack, 0);
        char shown_module[PICKLE_SHOWN_BYTES], shown_name[PICKLE_SHOWN_BYTES];
        if (module->kind != PICKLE_KIND_TEXT || name->kind != PICKLE_KIND_TEXT)
                return pickle_machine_refuse(m, m->offset, "a class without a name");
        m->stack.n_values -= 2;
        if (pickle_tables_text_is(&m->tables, module->id, "tracemalloc")) {
                if (pickle_tables_text_is(&m->tables, name->id, "Snapshot"))
                        return push(m, PICKLE_KIND_CLASS, PICKLE_CLASS_SNAPSHOT);
                if (pickle_tables_text_is(&m->tables, name->id, "_Traces"))
                        return push(m, PICKLE_KIND_CLASS, PICKLE_CLASS_TRACES);
        }
        return pickle_machine_refuse(m, m->offset, "the class '%s.%s', which is none of a tracemalloc snapshot",
                                     pickle_machine_shown(m, module->id, shown_module),
                                     pickle_machine_shown(m, name->id, shown_name));
}

static int memoize(struct pickle_machine *m) {
        const struct pickle_value *top = pickle_stack_top(&m->stack, 0);
        if (top->kind == PICKLE_KIND_NUMBER || top->kind == PICKLE_KIND_NONE)
                return pickle_machine_refuse(m, m->offset, "a number in the memo, where Python puts none");
        return pickle_stack_memoize(&m->stack);
}

static int recall(struct pickle_machine *m, uint32_t number) {
        struct pickle_value value;
        if (!pickle_stack_recall(&m->stack, number, m->offset, &value))
                return pickle_machine_refuse(m, m->offset, "entry %" PRIu32 " of a memo that has %" PRIu32, number,
                                             m->stack.n_memo);
        return push_value(m, value);
}

/* ---- tuples and containers ---- */

static int close_tuple(struct pickle_machine *m, uint32_t n) {
        struct pickle_value tuple;
        if (n == 0) /* also where there is no stack yet */
                return push(m, PICKLE_KIND_EMPTY_TUPLE, 0);
        int result = pickle_tables_tuple(&m->tables, m->stack.values + m->stack.n_values - n, n, m->offset, &tuple);
        if (result != 0)
                return result;
        m->stack.n_values -= n;
        return push_value(m, tuple);
}

static int push_list(struct pickle_machine *m) {
        uint32_t list;
        int result = pickle_tables_list(&m->tables, &list);
        return result != 0 ? result : push(m, PICKLE_KIND_LIST, list);
}

static int push_dict(struct pickle_machine *m) {
        uint32_t dict;
        int result = pickle_tables_dict(&m->tables, &dict);
        return result != 0 ? result : push(m, PICKLE_KIND_DICT, dict);
}

/* Takes the last mark away. Return: how many values were above it; -1: refused. */
static int64_t pop_mark(struct pickle_machine *m) {
        uint32_t n = pickle_stack_available(&m->stack);
        if (m->stack.n_marks == 0) {
                pickle_machine_refuse(m, m->offset,
                                      "an opcode that takes values from a mark on, where there is no mark");
                return -1;
        }
        m->stack.n_marks--;
        return n;
}

/* The container is below the @n values. */
static int append(struct pickle_machine *m, uint32_t n) {
        int result = need(m, n + 1);
        if (result != 0)
                return result;
        const struct pickle_value *container = pickle_stack_top(&m->stack, n);
        if (container->kind != PICKLE_KIND_LIST)
                return pickle_machine_refuse(m, m->offset, "items for a list, where there is no list");
        result = pickle_tables_append(&m->tables, container->id, container + 1, n, m->offset);
        m->stack.n_values -= n;
        return result;
}

static int set_items(struct pickle_machine *m, uint32_t n) {
        int result = need(m, n + 1);
        if (result != 0)
                return result;
        const struct pickle_value *container = pickle_stack_top(&m->stack, n);
        if (container->kind != PICKLE_KIND_DICT)
                return pickle_machine_refuse(m, m->offset, "items for a dictionary, where there is none");
        if (n % 2 != 0)
                return pickle_machine_refuse(m, m->offset, "an item of a dictionary without its value");
        for (uint32_t i = 1; i < n; i += 2)
                pickle_tables_set(&m->tables, container->id, &container[i], &container[i + 1]);
        m->stack.n_values -= n;
        return 0;
}

/* Sets are of no interest. */
static int add_items(struct pickle_machine *m, uint32_t n) {
        int result = need(m, n + 1);
        if (result != 0)
                return result;
        if (pickle_stack_top(&m->stack, n)->kind != PICKLE_KIND_OTHER)
                return pickle_machine_refuse(m, m->offset, "items for a set, where there is none");
        m->stack.n_values -= n;
        return 0;
}

static int freeze_set(struct pickle_machine *m, uint32_t n) {
        m->stack.n_values -= n;
        return push(m, PICKLE_KIND_OTHER, PICKLE_FLAW_TYPE);
}

/* ---- objects ---- */

static int new_object(struct pickle_machine *m) {
        const struct pickle_value *class = pickle_stack_top(&m->stack, 1), *arguments = pickle_stack_top(&m->stack, 0);
        uint32_t object;
        if (class->kind != PICKLE_KIND_CLASS || arguments->kind != PICKLE_KIND_EMPTY_TUPLE)
                return pickle_machine_refuse(m, m->offset, "an object that is not made as tracemalloc's are");
        int result = pickle_tables_object(&m->tables, (enum pickle_class) class->id, &object);
        if (result != 0)
                return result;
        m->stack.n_values -= 2;
        return push(m, PICKLE_KIND_OBJECT, object);
}

static int build(struct pickle_machine *m) {
        const struct pickle_value *value = pickle_stack_top(&m->stack, 1), *state = pickle_stack_top(&m->stack, 0);
        if (value->kind != PICKLE_KIND_OBJECT || state->kind != PICKLE_KIND_DICT || m->tables.objects[value->id].built)
                return pickle_machine_refuse(m, m->offset,
                                             "attributes that are not set as those of tracemalloc's objects are");
        struct pickle_object *object = &m->tables.objects[value->id];
        object->dict = state->id;
        object->built = true;
        m->stack.n_values--;
        return 0;
}

/* ---- opcodes ---- */

/* How many bytes follow an opcode, and whether they are the length of as many more. */
struct operand {
        uint8_t bytes;
        bool counted, known;
};

#define PLAIN(n)                                                                                                       \
        { .bytes = (n), .known = true }
#define COUNTED(n)                                                                                                     \
        { .bytes = (n), .counted = true, .known = true }

static const struct operand operands[256] = {
        [PICKLE_PROTO] = PLAIN(1),        [PICKLE_FRAME] = PLAIN(8),
        [PICKLE_MARK] = PLAIN(0),         [PICKLE_STOP] = PLAIN(0),
        [PICKLE_DUP] = PLAIN(0),          [PICKLE_NONE] = PLAIN(0),
        [PICKLE_NEWTRUE] = PLAIN(0),      [PICKLE_NEWFALSE] = PLAIN(0),
        [PICKLE_BININT] = PLAIN(4),       [PICKLE_BININT1] = PLAIN(1),
        [PICKLE_BININT2] = PLAIN(2),      [PICKLE_LONG1] = COUNTED(1),
        [PICKLE_LONG4] = PLAIN(4), /* what follows these is passed over */
        [PICKLE_BINFLOAT] = PLAIN(8),     [PICKLE_SHORT_BINBYTES] = PLAIN(1),
        [PICKLE_BINBYTES] = PLAIN(4),     [PICKLE_BINBYTES8] = PLAIN(8),
        [PICKLE_BYTEARRAY8] = PLAIN(8),   [PICKLE_SHORT_BINUNICODE] = COUNTED(1),
        [PICKLE_BINUNICODE] = COUNTED(4), [PICKLE_BINUNICODE8] = COUNTED(8),
        [PICKLE_MEMOIZE] = PLAIN(0),      [PICKLE_BINGET] = PLAIN(1),
        [PICKLE_LONG_BINGET] = PLAIN(4),  [PICKLE_STACK_GLOBAL] = PLAIN(0),
        [PICKLE_NEWOBJ] = PLAIN(0),       [PICKLE_BUILD] = PLAIN(0),
        [PICKLE_EMPTY_TUPLE] = PLAIN(0),  [PICKLE_TUPLE1] = PLAIN(0),
        [PICKLE_TUPLE2] = PLAIN(0),       [PICKLE_TUPLE3] = PLAIN(0),
        [PICKLE_TUPLE] = PLAIN(0),        [PICKLE_EMPTY_LIST] = PLAIN(0),
        [PICKLE_APPEND] = PLAIN(0),       [PICKLE_APPENDS] = PLAIN(0),
        [PICKLE_EMPTY_DICT] = PLAIN(0),   [PICKLE_SETITEM] = PLAIN(0),
        [PICKLE_SETITEMS] = PLAIN(0),     [PICKLE_EMPTY_SET] = PLAIN(0),
        [PICKLE_ADDITEMS] = PLAIN(0),     [PICKLE_FROZENSET] = PLAIN(0),
};

/* Values that an opcode takes from the top, where that is a fixed number. */
static uint32_t values_taken(uint8_t opcode) {
        switch (opcode) {
        case PICKLE_MEMOIZE:
        case PICKLE_DUP:
        case PICKLE_TUPLE1:
                return 1;
        case PICKLE_TUPLE2:
        case PICKLE_STACK_GLOBAL:
        case PICKLE_NEWOBJ:
        case PICKLE_BUILD:
                return 2;
        case PICKLE_TUPLE3:
                return 3;
        default:
                return 0;
        }
}

static int do_constant(struct pickle_machine *m, uint8_t opcode, const uint8_t *operand) {
        switch (opcode) {
        case PICKLE_BININT1:
                return push_number(m, operand[0]);
        case PICKLE_BININT2:
                return push_number(m, little_endian(operand, 2));
        case PICKLE_BININT:
                return push_signed(m, operand, 4);
        case PICKLE_LONG1:
                return push_signed(m, operand + 1, operand[0]);
        case PICKLE_SHORT_BINUNICODE:
                return push_text(m, operand + 1, operand[0]);
        case PICKLE_BINUNICODE:
                return push_text(m, operand + 4, little_endian(operand, 4));
        case PICKLE_BINUNICODE8:
                return push_text(m, operand + 8, little_endian(operand, 8));
        case PICKLE_NONE:
                return push(m, PICKLE_KIND_NONE, 0);
        case PICKLE_LONG4:
                return push_passed_over(m, little_endian(operand, 4), PICKLE_FLAW_LONG);
        case PICKLE_SHORT_BINBYTES:
        case PICKLE_BINBYTES:
        case PICKLE_BINBYTES8:
        case PICKLE_BYTEARRAY8:
                return push_passed_over(m, little_endian(operand, operands[opcode].bytes), PICKLE_FLAW_TYPE);
        default: /* true, false, float, set */
                return push(m, PICKLE_KIND_OTHER, PICKLE_FLAW_TYPE);
        }
}

static int do_from_mark(struct pickle_machine *m, uint8_t opcode) {
        int64_t n = pop_mark(m);
        if (n < 0)
                return PICKLE_E_REFUSED;
        switch (opcode) {
        case PICKLE_TUPLE:
                return close_tuple(m, (uint32_t)n);
        case PICKLE_APPENDS:
                return append(m, (uint32_t)n);
        case PICKLE_SETITEMS:
                return set_items(m, (uint32_t)n);
        case PICKLE_ADDITEMS:
                return add_items(m, (uint32_t)n);
        default:
                return freeze_set(m, (uint32_t)n);
        }
}

static int push_mark(struct pickle_machine *m) {
        if (m->stack.n_marks == PICKLE_MARKS_MAX)
                return pickle_machine_refuse(m, m->offset, "values nested more than %d deep", PICKLE_MARKS_MAX);
        m->stack.marks[m->stack.n_marks++] = m->stack.n_values;
        return 0;
}

static int begin(struct pickle_machine *m, unsigned protocol) {
        if (m->offset != 0)
                return pickle_machine_refuse(m, m->offset, "a second beginning of a pickle");
        if (protocol < PROTOCOL_MIN || protocol > PROTOCOL_MAX)
                return pickle_machine_refuse(m, m->offset, "pickle protocol %u; Snapshot.dump() writes %d or %d",
                                             protocol, PROTOCOL_MIN, PROTOCOL_MAX);
        return 0;
}

static int stop(struct pickle_machine *m) {
        if (m->stack.n_values != 1 || m->stack.n_marks != 0)
                return pickle_machine_refuse(m, m->offset, "the pickle ends in the middle of something");
        m->stopped = true;
        return 0;
}

int pickle_machine_do(struct pickle_machine *m, uint8_t opcode, const uint8_t *operand) {
        int result = need(m, values_taken(opcode));
        if (result != 0)
                return result;
        switch (opcode) {
        case PICKLE_PROTO:
                return begin(m, operand[0]);
        case PICKLE_FRAME: /* of bytes, for buffering */
                return 0;
        case PICKLE_MARK:
                return push_mark(m);
        case PICKLE_STOP:
                return stop(m);
        case PICKLE_DUP:
                return push_value(m, *pickle_stack_top(&m->stack, 0));
        case PICKLE_MEMOIZE:
                return memoize(m);
        case PICKLE_BINGET:
                return recall(m, operand[0]);
        case PICKLE_LONG_BINGET:
                return recall(m, (uint32_t)little_endian(operand, 4));
        case PICKLE_STACK_GLOBAL:
                return find_class(m);
        case PICKLE_NEWOBJ:
                return new_object(m);
        case PICKLE_BUILD:
                return build(m);
        case PICKLE_EMPTY_TUPLE:
                return push(m, PICKLE_KIND_EMPTY_TUPLE, 0);
        case PICKLE_TUPLE1:
        case PICKLE_TUPLE2:
        case PICKLE_TUPLE3:
                return close_tuple(m, opcode - PICKLE_TUPLE1 + 1u);
        case PICKLE_EMPTY_LIST:
                return push_list(m);
        case PICKLE_EMPTY_DICT:
                return push_dict(m);
        case PICKLE_APPEND:
                return append(m, 1);
        case PICKLE_SETITEM:
                return set_items(m, 2);
        case PICKLE_TUPLE:
        case PICKLE_APPENDS:
        case PICKLE_SETITEMS:
        case PICKLE_ADDITEMS:
        case PICKLE_FROZENSET:
                return do_from_mark(m, opcode);
        default:
                return do_constant(m, opcode, operand);
        }
}

int pickle_machine_length(struct pickle_machine *m, const uint8_t *bytes, size_t n, size_t *lengthp) {
        const struct operand *operand = &operands[bytes[0]];
        if (m->offset == 0 && bytes[0] != PICKLE_PROTO)
                return pickle_machine_refuse(m, 0, "no pickle of tracemalloc: it does not begin with a protocol");
        if (!operand->known)
                return pickle_machine_refuse(m, m->offset, "opcode 0x%02x, which tracemalloc does not write", bytes[0]);
        *lengthp = 1u + operand->bytes;
        if (!operand->counted || n < *lengthp)
                return 0;
        uint64_t text = little_endian(bytes + 1, operand->bytes);
        if (text > PICKLE_TEXT_MAX)
                return pickle_machine_refuse(m, m->offset, "a text of %" PRIu64 " bytes; %u is the bound", text,
                                             PICKLE_TEXT_MAX);
        *lengthp += text;
        return 0;
}
