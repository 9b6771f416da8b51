/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a return address to the unwind entry (FDE) of its function and to what is common to many (CIE), whose
 * instructions cfa_program.c runs. All else that the tables say (languages' personality routines) is read over. Any
 * thread of the traced process, within a hook.
 */

#include "agent/eh_frame.h"

#include "agent/cfa_program.h"
#include "agent/object.h"
#include "agent/unwind_rule.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

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

static uint64_t read_value(struct byte_reader *reader, uint8_t encoding) {
        switch (encoding & 0x0f) {
        case PE_ABSPTR:
        case PE_UDATA8:
        case PE_SDATA8:
                return byte_reader_unsigned(reader, 8);
        case PE_UDATA4:
                return byte_reader_unsigned(reader, 4);
        case PE_SDATA4:
                return (uint64_t)byte_reader_signed(reader, 4);
        case PE_UDATA2:
                return byte_reader_unsigned(reader, 2);
        case PE_SDATA2:
                return (uint64_t)byte_reader_signed(reader, 2);
        default:
                reader->bad = true;
                return 0;
        }
}

/* Absolute or relative to itself; nothing else is known where it is used. */
static uint64_t read_pointer(struct byte_reader *reader, uint8_t encoding) {
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

struct cie {
        struct cfa_program program; /* without an FDE's own part */
        uint8_t fde_encoding;
        bool augmented; /* 'z': FDEs have augmentation data */
};

/* The letters of an augmentation that begins with 'z'. Return: false: one that changes how to unwind. */
static bool read_augmentation(struct byte_reader *reader, const uint8_t *letters, struct cie *cie) {
        uint64_t length = byte_reader_uleb(reader);
        if (!byte_reader_has(reader, length))
                return false;
        struct byte_reader data = (struct byte_reader){reader->at, reader->at + length, false};
        reader->at += length;
        for (letters++; *letters && !data.bad; letters++) {
                uint8_t encoding;
                switch (*letters) {
                case 'R':
                        cie->fde_encoding = (uint8_t)byte_reader_unsigned(&data, 1);
                        break;
                case 'L':
                        byte_reader_unsigned(&data, 1);
                        break;
                case 'P':
                        encoding = (uint8_t)byte_reader_unsigned(&data, 1);
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
static bool open_entry(const struct eh_frame *eh_frame, const uint8_t *at, struct byte_reader *entry) {
        if (at < eh_frame->start || at >= eh_frame->end)
                return false;
        *entry = (struct byte_reader){at, eh_frame->end, false};
        uint64_t length = byte_reader_unsigned(entry, 4);
        if (entry->bad || length == 0 || length == UINT32_MAX || !byte_reader_has(entry, length))
                return false;
        entry->end = entry->at + length;
        return true;
}

static bool read_cie(const struct eh_frame *eh_frame, const uint8_t *at, struct cie *cie) {
        struct byte_reader reader;
        if (!open_entry(eh_frame, at, &reader) || byte_reader_unsigned(&reader, 4) != 0)
                return false;
        uint64_t version = byte_reader_unsigned(&reader, 1);
        if (version != 1 && version != 3)
                return false;
        const uint8_t *letters = reader.at;
        while (byte_reader_unsigned(&reader, 1) != 0)
                ;
        cie->program.code_align = byte_reader_uleb(&reader);
        cie->program.data_align = byte_reader_sleb(&reader);
        if ((version == 1 ? byte_reader_unsigned(&reader, 1) : byte_reader_uleb(&reader)) != CFA_RETURN_ADDRESS ||
            reader.bad)
                return false;
        cie->fde_encoding = PE_ABSPTR;
        cie->augmented = letters[0] == 'z';
        if (letters[0] != '\0' && (!cie->augmented || !read_augmentation(&reader, letters, cie)))
                return false;
        cie->program.common = reader;
        return !reader.bad;
}

static uint32_t rule_of_fde(const struct eh_frame *eh_frame, const uint8_t *at, uint64_t pc) {
        struct byte_reader reader;
        struct cie cie;
        if (!open_entry(eh_frame, at, &reader))
                return UNWIND_CANT;
        const uint8_t *here = reader.at;
        uint64_t distance = byte_reader_unsigned(&reader, 4);
        if (reader.bad || distance == 0 || distance > (uint64_t)(here - eh_frame->start) ||
            !read_cie(eh_frame, here - distance, &cie))
                return UNWIND_CANT;
        uint64_t begin = read_pointer(&reader, cie.fde_encoding);
        uint64_t range = read_value(&reader, cie.fde_encoding & 0x0f);
        if (reader.bad)
                return UNWIND_CANT;
        if (pc - 1 - begin >= range)
                return UNWIND_NONE;
        if (cie.augmented)
                byte_reader_skip(&reader, byte_reader_uleb(&reader));
        if (reader.bad)
                return UNWIND_CANT;
        cie.program.own = reader;
        return cfa_program_rule(&cie.program, begin, pc - 1);
}

/* The table's last entry that begins at or below @pc. Return: NULL: none. */
static const uint8_t *search_table(const struct eh_frame *eh_frame, const uint8_t *table, uint64_t n, uint64_t pc) {
        uint64_t low = 0, high = n; /* the entry is in [low - 1, high - 1) */
        int64_t wanted = (int64_t)(pc - (uintptr_t)eh_frame->hdr);
        int32_t entry[2];
        while (low < high) {
                uint64_t middle = (low + high) / 2;
                memcpy(entry, table + middle * sizeof entry, sizeof entry);
                if (entry[0] <= wanted)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == 0)
                return NULL;
        memcpy(entry, table + (low - 1) * sizeof entry, sizeof entry);
        return eh_frame->hdr + entry[1];
}

uint32_t eh_frame_rule(const struct eh_frame *eh_frame, uint64_t pc) {
        struct byte_reader reader = {eh_frame->hdr, eh_frame->end, false};
        uint8_t version = (uint8_t)byte_reader_unsigned(&reader, 1),
                frame_encoding = (uint8_t)byte_reader_unsigned(&reader, 1);
        uint8_t count_encoding = (uint8_t)byte_reader_unsigned(&reader, 1),
                encoding = (uint8_t)byte_reader_unsigned(&reader, 1);
        /* what every linker writes; a table of another form is the other unwinder's */
        if (reader.bad || version != 1 || count_encoding != PE_UDATA4 || encoding != (PE_DATAREL | PE_SDATA4))
                return UNWIND_CANT;
        if (frame_encoding != PE_OMIT)
                read_value(&reader, frame_encoding);
        uint64_t n = byte_reader_unsigned(&reader, 4);
        if (!byte_reader_has(&reader, n * 8))
                return UNWIND_CANT;
        const uint8_t *fde = search_table(eh_frame, reader.at, n, pc - 1);
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
