/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rules from the unwind tables of a loaded object: .eh_frame and the sorted table
 * in .eh_frame_hdr, as the Linux Standard Base and the x86-64 psABI describe them.
 * Reads nothing but the load segment that holds them; no lock, no memory, no libc.
 */

#include <stdbool.h>
#include <stdint.h>

struct object;

struct eh_frame {
        const uint8_t *hdr;         /* .eh_frame_hdr */
        const uint8_t *start, *end; /* what may be read: the load segment around it */
};

/** eh_frame_of() - unwind tables of a loaded object
 * @object: borrowed
 * Return: false where it has none, or they lie where we do not look. */
bool eh_frame_of(const struct object *object, struct eh_frame *eh_frame);

/** eh_frame_segment() - the readable load segment of an object around an address
 * @startp, @endp: set on true. Return: false where there is none. */
bool eh_frame_segment(const struct object *object, uint64_t address, const uint8_t **startp, const uint8_t **endp);

/** eh_frame_rule() - the rule for a return address
 * @pc: return address; its call is at @pc - 1
 * O(log n) in the object's functions, and in the length of one function's instructions.
 * Return: rule of unwind_rule.h: UNWIND_RSP, UNWIND_RBP, UNWIND_END (no caller), UNWIND_CANT; UNWIND_NONE
 * where no entry covers @pc - 1. */
uint32_t eh_frame_rule(const struct eh_frame *eh_frame, uint64_t pc);
