/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Call frame instructions of one function (DWARF 5, 6.4): where its caller's registers are, address by address. */

#include "agent/byte_reader.h"

#include <stdint.h>

#define CFA_RETURN_ADDRESS 16 /* its number as a register; psABI, figure 3.36 */

struct cfa_program {
        uint64_t code_align;
        int64_t data_align;
        struct byte_reader common; /* instructions of the CIE, */
        struct byte_reader own;    /* and of the FDE */
};

/** cfa_program_rule() - how to unwind at a call
 * @begin: first address of the function; @call: an address in it
 * O(instructions). Return: rule of unwind_rule.h: UNWIND_RSP, UNWIND_RBP, UNWIND_END (no caller), UNWIND_CANT, also
 * where an instruction is broken or unknown. */
uint32_t cfa_program_rule(const struct cfa_program *program, uint64_t begin, uint64_t call);
