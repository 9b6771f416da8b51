/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs the instructions of one function's unwind entry (FDE) and of what is common
 * to many (CIE) up to a return address, and says what rbp, rsp and the return
 * address are then. All else that the tables say (other registers, languages'
 * personality routines) is read over. The tables are the program's own, but a broken
 * file must not make the agent read outside of them: every byte goes through
 * struct reader.
 */

#include "agent/eh_frame.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

#include "agent/object.h"
#include "agent/unwind_rule.h"

/* psABI, figure 3.36: DWARF register numbers */
#define REGISTER_RBP            6
#define REGISTER_RSP            7
#define REGISTER_RETURN_ADDRESS 16

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

/* LSB 10.5: pointer encodings */
enum {
        PE_ABSPTR = 0x00,
        PE_UDATA2 = 0x02,
        PE_UDATA4 = 0x03,
        PE_UDATA8 = 0x04,
        PE_SDATA2 = 0x0a,
        PE_SDATA4 = 0x0b,
        PE_SDATA8 = 0x0c,
        PE_PCREL = 0x10,
        PE_DATAREL = 0x30,
        PE_ALIGNED = 0x50,
        PE_INDIRECT = 0x80,
        PE_OMIT = 0xff,
};

#define REMEMBERED_MAX 8

/* Bytes that are read once, front to back. After a read past the end everything is 0 and @bad. */
struct reader {
        const uint8_t *at, *end;
        bool bad;
};

static bool has(struct reader *reader, uint64_t n) {
        if ((uint64_t)(reader->end - reader->at) < n)
                reader->bad = true;
        return !reader->bad;
}

static uint64_t read_unsigned(struct reader *reader, unsigned size) {
        uint64_t value = 0;

        if (!has(reader, size))
                return 0;
        memcpy(&value, reader->at, size);
        reader->at += size;
        return value;
}

static int64_t read_signed(struct reader *reader, unsigned size) {
        unsigned unused = 64 - size * 8;

        return (int64_t)(read_unsigned(reader, size) << unused) >> unused;
}

static uint64_t read_leb(struct reader *reader, bool is_signed) {
        uint64_t value = 0, byte;
        unsigned shift = 0;

        do {
                byte = read_unsigned(reader, 1);
                if (shift > 56) { /* no number that we can use is as long */
                        reader->bad = true;
                        return 0;
                }
                value |= (byte & 127) << shift;
                shift += 7;
        } while (byte & 128);
        if (is_signed && (byte & 64))
                value |= ~UINT64_C(0) << shift;
        return value;
}

static uint64_t read_uleb(struct reader *reader) {
        return read_leb(reader, false);
}

static int64_t read_sleb(struct reader *reader) {
        return (int64_t)read_leb(reader, true);
}

static void skip(struct reader *reader, uint64_t n) {
        if (has(reader, n))
                reader->at += n;
}

static uint64_t read_value(struct reader *reader, uint8_t encoding) {
        switch (encoding & 0x0f) {
        case PE_ABSPTR:
        case PE_UDATA8:
        case PE_SDATA8:
                return read_unsigned(reader, 8);
        case PE_UDATA4:
                return read_unsigned(reader, 4);
        case PE_SDATA4:
                return (uint64_t)read_signed(reader, 4);
        case PE_UDATA2:
                return read_unsigned(reader, 2);
        case PE_SDATA2:
                return (uint64_t)read_signed(reader, 2);
        default:
                reader->bad = true;
                return 0;
        }
}

/* Absolute or relative to itself; nothing else is known where it is used. */
static uint64_t read_pointer(struct reader *reader, uint8_t encoding) {
        uint64_t here = (uintptr_t)reader->at, value = read_value(reader, encoding);

        switch (encoding & 0xf0) {
        case 0:
                return value;
        case PE_PCREL:
                return here + value;
        default:
                reader->bad = true;
                return 0;
        }
}

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

struct cie {
        uint64_t code_align;
        int64_t data_align;
        struct reader instructions;
        uint8_t fde_encoding;
        bool augmented; /* 'z': FDEs have augmentation data */
};

struct machine {
        const struct cie *cie;
        struct row row, initial;
        struct row remembered[REMEMBERED_MAX];
        unsigned n_remembered;
        uint64_t location, target; /* address of the call */
};

static void set_rule(struct row *row, uint64_t number, enum register_rule rule, int64_t offset) {
        if (number == REGISTER_RBP) {
                row->rbp = rule;
                row->rbp_offset = offset;
        } else if (number == REGISTER_RETURN_ADDRESS) {
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
        else if (number == REGISTER_RETURN_ADDRESS)
                set_rule(row, number, initial->return_address, initial->return_address_offset);
        else if (number == REGISTER_RSP)
                row->rsp_ruled = initial->rsp_ruled;
}

/* What data_align makes of a factored offset; nonsense becomes an offset that no rule takes. */
static int64_t factored(const struct machine *machine, int64_t n) {
        int64_t offset;

        return __builtin_mul_overflow(n, machine->cie->data_align, &offset) ? INT64_MIN : offset;
}

static void define_cfa(struct row *row, uint64_t number, int64_t offset) {
        row->cfa_register = number;
        row->cfa_offset = offset;
        row->cfa_unknown = false;
}

/* Return: false: a location behind the call's; the row before it is the one. */
static bool advance(struct machine *machine, uint64_t delta) {
        machine->location += delta * machine->cie->code_align;
        return machine->location <= machine->target;
}

/* Instructions without operands in their opcode. Return: false: done, or @reader is bad. */
static bool run_extended(struct machine *machine, struct reader *reader, uint8_t opcode) {
        struct row *row = &machine->row;
        uint64_t number;

        switch (opcode) {
        case CFA_NOP:
                return true;
        case CFA_ADVANCE_LOC1:
                return advance(machine, read_unsigned(reader, 1));
        case CFA_ADVANCE_LOC2:
                return advance(machine, read_unsigned(reader, 2));
        case CFA_ADVANCE_LOC4:
                return advance(machine, read_unsigned(reader, 4));
        case CFA_OFFSET_EXTENDED:
                number = read_uleb(reader);
                set_rule(row, number, RULE_OFFSET, factored(machine, (int64_t)read_uleb(reader)));
                return true;
        case CFA_OFFSET_EXTENDED_SF:
                number = read_uleb(reader);
                set_rule(row, number, RULE_OFFSET, factored(machine, read_sleb(reader)));
                return true;
        case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
                number = read_uleb(reader);
                set_rule(row, number, RULE_OFFSET, factored(machine, -(int64_t)read_uleb(reader)));
                return true;
        case CFA_RESTORE_EXTENDED:
                restore_rule(machine, read_uleb(reader));
                return true;
        case CFA_UNDEFINED:
                set_rule(row, read_uleb(reader), RULE_UNDEFINED, 0);
                return true;
        case CFA_SAME_VALUE:
                set_rule(row, read_uleb(reader), RULE_SAME, 0);
                return true;
        case CFA_REGISTER:
        case CFA_VAL_OFFSET:
        case CFA_VAL_OFFSET_SF:
                set_rule(row, read_uleb(reader), RULE_OTHER, 0);
                read_uleb(reader);
                return true;
        case CFA_EXPRESSION:
        case CFA_VAL_EXPRESSION:
                set_rule(row, read_uleb(reader), RULE_OTHER, 0);
                skip(reader, read_uleb(reader));
                return true;
        case CFA_REMEMBER_STATE:
                if (machine->n_remembered < REMEMBERED_MAX)
                        machine->remembered[machine->n_remembered++] = *row;
                else
                        reader->bad = true;
                return true;
        case CFA_RESTORE_STATE:
                if (machine->n_remembered > 0)
                        *row = machine->remembered[--machine->n_remembered];
                else
                        reader->bad = true;
                return true;
        case CFA_DEF_CFA:
                number = read_uleb(reader);
                define_cfa(row, number, (int64_t)read_uleb(reader));
                return true;
        case CFA_DEF_CFA_SF:
                number = read_uleb(reader);
                define_cfa(row, number, factored(machine, read_sleb(reader)));
                return true;
        case CFA_DEF_CFA_REGISTER:
                row->cfa_register = read_uleb(reader);
                return true;
        case CFA_DEF_CFA_OFFSET:
                row->cfa_offset = (int64_t)read_uleb(reader);
                return true;
        case CFA_DEF_CFA_OFFSET_SF:
                row->cfa_offset = factored(machine, read_sleb(reader));
                return true;
        case CFA_DEF_CFA_EXPRESSION:
                skip(reader, read_uleb(reader));
                row->cfa_unknown = true;
                return true;
        case CFA_GNU_ARGS_SIZE: /* for landing pads only */
                read_uleb(reader);
                return true;
        default: /* DW_CFA_set_loc too: no compiler writes it */
                reader->bad = true;
                return false;
        }
}

/* Return: false where an instruction is broken or unknown. */
static bool run(struct machine *machine, struct reader reader) {
        while (reader.at < reader.end && !reader.bad) {
                uint8_t opcode = (uint8_t)read_unsigned(&reader, 1), operand = opcode & 63;
                bool more = true;

                switch (opcode & 0xc0) {
                case CFA_ADVANCE_LOC:
                        more = advance(machine, operand);
                        break;
                case CFA_OFFSET:
                        set_rule(&machine->row, operand, RULE_OFFSET, factored(machine, (int64_t)read_uleb(&reader)));
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

/* The letters of an augmentation that begins with 'z'. Return: false: one that changes how to unwind. */
static bool read_augmentation(struct reader *reader, const uint8_t *letters, struct cie *cie) {
        struct reader data;
        uint64_t length = read_uleb(reader);

        if (!has(reader, length))
                return false;
        data = (struct reader){reader->at, reader->at + length, false};
        reader->at += length;
        for (letters++; *letters && !data.bad; letters++) {
                uint8_t encoding;

                switch (*letters) {
                case 'R':
                        cie->fde_encoding = (uint8_t)read_unsigned(&data, 1);
                        break;
                case 'L':
                        read_unsigned(&data, 1);
                        break;
                case 'P':
                        encoding = (uint8_t)read_unsigned(&data, 1);
                        if (encoding != PE_OMIT && (encoding & 0x70) == PE_ALIGNED)
                                return false;
                        if (encoding != PE_OMIT)
                                read_value(&data, encoding);
                        break;
                default: /* 'S', a signal frame, is among these */
                        return false;
                }
        }
        return !data.bad;
}

/* An entry's bytes after its length. Return: false: none, or one that is too long. */
static bool open_entry(const struct eh_frame *eh_frame, const uint8_t *at, struct reader *entry) {
        uint64_t length;

        if (at < eh_frame->start || at >= eh_frame->end)
                return false;
        *entry = (struct reader){at, eh_frame->end, false};
        length = read_unsigned(entry, 4);
        if (entry->bad || length == 0 || length == UINT32_MAX || !has(entry, length))
                return false;
        entry->end = entry->at + length;
        return true;
}

static bool read_cie(const struct eh_frame *eh_frame, const uint8_t *at, struct cie *cie) {
        struct reader reader;
        const uint8_t *letters;
        uint64_t version;

        if (!open_entry(eh_frame, at, &reader) || read_unsigned(&reader, 4) != 0)
                return false;
        version = read_unsigned(&reader, 1);
        if (version != 1 && version != 3)
                return false;
        letters = reader.at;
        while (read_unsigned(&reader, 1) != 0)
                ;
        cie->code_align = read_uleb(&reader);
        cie->data_align = read_sleb(&reader);
        if ((version == 1 ? read_unsigned(&reader, 1) : read_uleb(&reader)) != REGISTER_RETURN_ADDRESS || reader.bad)
                return false;
        cie->fde_encoding = PE_ABSPTR;
        cie->augmented = letters[0] == 'z';
        if (letters[0] != '\0' && (!cie->augmented || !read_augmentation(&reader, letters, cie)))
                return false;
        cie->instructions = reader;
        return !reader.bad;
}

static uint32_t rule_of_fde(const struct eh_frame *eh_frame, const uint8_t *at, uint64_t pc) {
        struct reader reader;
        struct cie cie;
        struct machine machine = {.cie = &cie, .target = pc - 1};
        uint64_t distance, begin, range;
        const uint8_t *here;

        if (!open_entry(eh_frame, at, &reader))
                return UNWIND_CANT;
        here = reader.at;
        distance = read_unsigned(&reader, 4);
        if (reader.bad || distance == 0 || distance > (uint64_t)(here - eh_frame->start) ||
            !read_cie(eh_frame, here - distance, &cie))
                return UNWIND_CANT;
        begin = read_pointer(&reader, cie.fde_encoding);
        range = read_value(&reader, cie.fde_encoding & 0x0f);
        if (reader.bad)
                return UNWIND_CANT;
        if (pc - 1 - begin >= range)
                return UNWIND_NONE;
        if (cie.augmented)
                skip(&reader, read_uleb(&reader));
        machine.location = 0;
        machine.target = UINT64_MAX; /* a CIE's instructions hold for all of the function */
        if (!run(&machine, cie.instructions))
                return UNWIND_CANT;
        machine.initial = machine.row;
        machine.location = begin;
        machine.target = pc - 1;
        if (reader.bad || !run(&machine, reader))
                return UNWIND_CANT;
        return rule_of_row(&machine.row);
}

/* The table's last entry that begins at or below @pc. Return: NULL: none. */
static const uint8_t *search_table(const struct eh_frame *eh_frame, const uint8_t *table, uint64_t n, uint64_t pc) {
        uint64_t low = 0, high = n; /* the entry is in [low - 1, high - 1) */
        int64_t wanted = (int64_t)(pc - (uintptr_t)eh_frame->hdr);
        int32_t entry[2];

        while (low < high) {
                uint64_t middle = (low + high) / 2;

                memcpy(entry, table + middle * sizeof(entry), sizeof(entry));
                if (entry[0] <= wanted)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == 0)
                return NULL;
        memcpy(entry, table + (low - 1) * sizeof(entry), sizeof(entry));
        return eh_frame->hdr + entry[1];
}

uint32_t eh_frame_rule(const struct eh_frame *eh_frame, uint64_t pc) {
        struct reader reader = {eh_frame->hdr, eh_frame->end, false};
        uint8_t version = (uint8_t)read_unsigned(&reader, 1), frame_encoding = (uint8_t)read_unsigned(&reader, 1);
        uint8_t count_encoding = (uint8_t)read_unsigned(&reader, 1), encoding = (uint8_t)read_unsigned(&reader, 1);
        const uint8_t *fde;
        uint64_t n;

        /* what every linker writes; a table of another form is the other unwinder's */
        if (reader.bad || version != 1 || count_encoding != PE_UDATA4 || encoding != (PE_DATAREL | PE_SDATA4))
                return UNWIND_CANT;
        if (frame_encoding != PE_OMIT)
                read_value(&reader, frame_encoding);
        n = read_unsigned(&reader, 4);
        if (!has(&reader, n * 8))
                return UNWIND_CANT;
        fde = search_table(eh_frame, reader.at, n, pc - 1);
        return fde ? rule_of_fde(eh_frame, fde, pc) : UNWIND_NONE;
}

bool eh_frame_segment(const struct object *object, uint64_t address, const uint8_t **startp, const uint8_t **endp) {
        const ElfW(Phdr) *phdrs = object->phdrs;

        for (unsigned i = 0; i < object->n_phdrs; i++) {
                uint64_t start = object->bias + phdrs[i].p_vaddr;

                if (phdrs[i].p_type != PT_LOAD || !(phdrs[i].p_flags & PF_R) || address < start ||
                    address >= start + phdrs[i].p_filesz)
                        continue;
                *startp = (const uint8_t *)start;
                *endp = *startp + phdrs[i].p_filesz;
                return true;
        }
        return false;
}

bool eh_frame_of(const struct object *object, struct eh_frame *eh_frame) {
        eh_frame->hdr = object->eh_frame_hdr;
        return eh_frame->hdr && eh_frame_segment(object, (uintptr_t)eh_frame->hdr, &eh_frame->start, &eh_frame->end);
}
