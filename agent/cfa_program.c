/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs the instructions of a function up to a call, and says what rbp, rsp and the return address are then. All else
 * that they say (other registers) is read over. Any thread of the traced process, within a hook.
 */

#include "agent/cfa_program.h"

#include "agent/unwind_rule.h"

#include <stddef.h>

/* psABI, figure 3.36: DWARF register numbers */
#define REGISTER_RBP 6
#define REGISTER_RSP 7

/* DWARF 5, 7.24 table 7.29, and GNU's own */
enum {
        CFA_ADVANCE_LOC = 0x40, /* high two bits; the operand in the low six */
        CFA_OFFSET = 0x80,
        CFA_RESTORE = 0xc0,
        CFA_NOP = 0x00,
        CFA_ADVANCE_LOC1 = 0x02,
        CFA_ADVANCE_LOC2 = 0x03,
        CFA_ADVANCE_LOC4 = 0x04,
        CFA_OFFSET_EXTENDED = 0x05,
        CFA_RESTORE_EXTENDED = 0x06,
        CFA_UNDEFINED = 0x07,
        CFA_SAME_VALUE = 0x08,
        CFA_REGISTER = 0x09,
        CFA_REMEMBER_STATE = 0x0a,
        CFA_RESTORE_STATE = 0x0b,
        CFA_DEF_CFA = 0x0c,
        CFA_DEF_CFA_REGISTER = 0x0d,
        CFA_DEF_CFA_OFFSET = 0x0e,
        CFA_DEF_CFA_EXPRESSION = 0x0f,
        CFA_EXPRESSION = 0x10,
        CFA_OFFSET_EXTENDED_SF = 0x11,
        CFA_DEF_CFA_SF = 0x12,
        CFA_DEF_CFA_OFFSET_SF = 0x13,
        CFA_VAL_OFFSET = 0x14,
        CFA_VAL_OFFSET_SF = 0x15,
        CFA_VAL_EXPRESSION = 0x16,
        CFA_GNU_ARGS_SIZE = 0x2e,
        CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

#define REMEMBERED_MAX 8

enum register_rule {
        RULE_SAME,      /* nothing is said, or that it keeps its value */
        RULE_OFFSET,    /* in the word at CFA + offset */
        RULE_UNDEFINED, /* for the return address: there is none */
        RULE_OTHER,
};

struct row {
        uint64_t cfa_register; /* DWARF number */
        int64_t cfa_offset;
        bool cfa_unknown; /* an expression */
        bool rsp_ruled;   /* rsp is something else than the CFA */
        enum register_rule rbp, return_address;
        int64_t rbp_offset, return_address_offset;
};

struct machine {
        const struct cfa_program *program;
        struct row row, initial;
        struct row remembered[REMEMBERED_MAX];
        unsigned n_remembered;
        uint64_t location, target; /* address of the call */
};

static void set_rule(struct row *row, uint64_t number, enum register_rule rule, int64_t offset) {
        if (number == REGISTER_RBP) {
                row->rbp = rule;
                row->rbp_offset = offset;
        } else if (number == CFA_RETURN_ADDRESS) {
                row->return_address = rule;
                row->return_address_offset = offset;
        } else if (number == REGISTER_RSP) {
                row->rsp_ruled = true;
        }
}

static void restore_rule(struct machine *machine, uint64_t number) {
        struct row *row = &machine->row;
        const struct row *initial = &machine->initial;
        if (number == REGISTER_RBP)
                set_rule(row, number, initial->rbp, initial->rbp_offset);
        else if (number == CFA_RETURN_ADDRESS)
                set_rule(row, number, initial->return_address, initial->return_address_offset);
        else if (number == REGISTER_RSP)
                row->rsp_ruled = initial->rsp_ruled;
}

/* What data_align makes of a factored offset; nonsense becomes an offset that no rule takes. */
static int64_t factored(const struct machine *machine, int64_t n) {
        int64_t offset;
        return __builtin_mul_overflow(n, machine->program->data_align, &offset) ? INT64_MIN : offset;
}

static void define_cfa(struct row *row, uint64_t number, int64_t offset) {
        row->cfa_register = number;
        row->cfa_offset = offset;
        row->cfa_unknown = false;
}

/* Return: false: a location behind the call's; the row before it is the one. */
static bool advance(struct machine *machine, uint64_t delta) {
        machine->location += delta * machine->program->code_align;
        return machine->location <= machine->target;
}

static void remember(struct machine *machine, struct byte_reader *reader) {
        if (machine->n_remembered < REMEMBERED_MAX)
                machine->remembered[machine->n_remembered++] = machine->row;
        else
                reader->bad = true;
}

static void return_to_remembered(struct machine *machine, struct byte_reader *reader) {
        if (machine->n_remembered > 0)
                machine->row = machine->remembered[--machine->n_remembered];
        else
                reader->bad = true;
}

/* Where the CFA is. Return: false: another instruction, of which nothing was read. */
static bool run_cfa(struct machine *machine, struct byte_reader *reader, uint8_t opcode) {
        struct row *row = &machine->row;
        uint64_t number;
        switch (opcode) {
        case CFA_DEF_CFA:
                number = byte_reader_uleb(reader);
                define_cfa(row, number, (int64_t)byte_reader_uleb(reader));
                return true;
        case CFA_DEF_CFA_SF:
                number = byte_reader_uleb(reader);
                define_cfa(row, number, factored(machine, byte_reader_sleb(reader)));
                return true;
        case CFA_DEF_CFA_REGISTER:
                row->cfa_register = byte_reader_uleb(reader);
                return true;
        case CFA_DEF_CFA_OFFSET:
                row->cfa_offset = (int64_t)byte_reader_uleb(reader);
                return true;
        case CFA_DEF_CFA_OFFSET_SF:
                row->cfa_offset = factored(machine, byte_reader_sleb(reader));
                return true;
        case CFA_DEF_CFA_EXPRESSION:
                byte_reader_skip(reader, byte_reader_uleb(reader));
                row->cfa_unknown = true;
                return true;
        default:
                return false;
        }
}

/* Where the caller's value of the register is that the first operand names. Return: false: another instruction. */
static bool run_register(struct machine *machine, struct byte_reader *reader, uint8_t opcode) {
        struct row *row = &machine->row;
        uint64_t number = byte_reader_uleb(reader);
        switch (opcode) {
        case CFA_OFFSET_EXTENDED:
                set_rule(row, number, RULE_OFFSET, factored(machine, (int64_t)byte_reader_uleb(reader)));
                return true;
        case CFA_OFFSET_EXTENDED_SF:
                set_rule(row, number, RULE_OFFSET, factored(machine, byte_reader_sleb(reader)));
                return true;
        case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
                set_rule(row, number, RULE_OFFSET, factored(machine, -(int64_t)byte_reader_uleb(reader)));
                return true;
        case CFA_RESTORE_EXTENDED:
                restore_rule(machine, number);
                return true;
        case CFA_UNDEFINED:
                set_rule(row, number, RULE_UNDEFINED, 0);
                return true;
        case CFA_SAME_VALUE:
                set_rule(row, number, RULE_SAME, 0);
                return true;
        case CFA_REGISTER:
        case CFA_VAL_OFFSET:
        case CFA_VAL_OFFSET_SF:
                set_rule(row, number, RULE_OTHER, 0);
                byte_reader_uleb(reader);
                return true;
        case CFA_EXPRESSION:
        case CFA_VAL_EXPRESSION:
                set_rule(row, number, RULE_OTHER, 0);
                byte_reader_skip(reader, byte_reader_uleb(reader));
                return true;
        default:
                return false;
        }
}

/* Instructions without operands in their opcode. Return: false: done, or @reader is bad. */
static bool run_extended(struct machine *machine, struct byte_reader *reader, uint8_t opcode) {
        switch (opcode) {
        case CFA_NOP:
                return true;
        case CFA_ADVANCE_LOC1:
                return advance(machine, byte_reader_unsigned(reader, 1));
        case CFA_ADVANCE_LOC2:
                return advance(machine, byte_reader_unsigned(reader, 2));
        case CFA_ADVANCE_LOC4:
                return advance(machine, byte_reader_unsigned(reader, 4));
        case CFA_REMEMBER_STATE:
                remember(machine, reader);
                return true;
        case CFA_RESTORE_STATE:
                return_to_remembered(machine, reader);
                return true;
        case CFA_GNU_ARGS_SIZE: /* for landing pads only */
                byte_reader_uleb(reader);
                return true;
        default:
                if (run_cfa(machine, reader, opcode) || run_register(machine, reader, opcode))
                        return true;
                reader->bad = true; /* DW_CFA_set_loc too: no compiler writes it */
                return false;
        }
}

/* Return: false where an instruction is broken or unknown. */
static bool run(struct machine *machine, struct byte_reader reader) {
        while (reader.at < reader.end && !reader.bad) {
                uint8_t opcode = (uint8_t)byte_reader_unsigned(&reader, 1), operand = opcode & 63;
                bool more = true;
                switch (opcode & 0xc0) {
                case CFA_ADVANCE_LOC:
                        more = advance(machine, operand);
                        break;
                case CFA_OFFSET:
                        set_rule(&machine->row, operand, RULE_OFFSET,
                                 factored(machine, (int64_t)byte_reader_uleb(&reader)));
                        break;
                case CFA_RESTORE:
                        restore_rule(machine, operand);
                        break;
                default:
                        more = run_extended(machine, &reader, opcode);
                }
                if (!more)
                        break;
        }
        return !reader.bad;
}

static bool is_slot(int64_t offset, uint64_t max) {
        return offset % 8 == 0 && offset >= 0 && (uint64_t)offset <= max;
}

static uint32_t rule_of_row(const struct row *row) {
        enum unwind_kind kind = row->cfa_register == REGISTER_RSP ? UNWIND_RSP : UNWIND_RBP;
        uint64_t saved = 0;
        if (row->return_address == RULE_UNDEFINED)
                return UNWIND_END;
        if (row->cfa_unknown || row->rsp_ruled || row->return_address != RULE_OFFSET ||
            row->return_address_offset != -8)
                return UNWIND_CANT;
        if ((row->cfa_register != REGISTER_RSP && row->cfa_register != REGISTER_RBP) || row->cfa_offset < 8 ||
            !is_slot(row->cfa_offset, UNWIND_OFFSET_MAX))
                return UNWIND_CANT;
        if (row->rbp == RULE_OFFSET) {
                if (row->rbp_offset > -16 || row->rbp_offset == INT64_MIN ||
                    !is_slot(-row->rbp_offset, UNWIND_SAVED_MAX))
                        return UNWIND_CANT;
                saved = (uint64_t)-row->rbp_offset;
                /* what a frame saves it saves above the stack pointer */
                if (kind == UNWIND_RSP && saved > (uint64_t)row->cfa_offset)
                        return UNWIND_CANT;
        } else if (row->rbp != RULE_SAME) {
                return UNWIND_CANT;
        }
        return unwind_rule_make(kind, (uint64_t)row->cfa_offset, saved);
}

uint32_t cfa_program_rule(const struct cfa_program *program, uint64_t begin, uint64_t call) {
        struct machine machine = {.program = program, .target = UINT64_MAX}; /* a CIE's hold for all of the function */
        if (!run(&machine, program->common))
                return UNWIND_CANT;
        machine.initial = machine.row;
        machine.location = begin;
        machine.target = call;
        return run(&machine, program->own) ? rule_of_row(&machine.row) : UNWIND_CANT;
}
