/* SPDX-License-Identifier: Apache-2.0 */

/* Asks the kernel, page by page. Runs in the thread whose stack it is. */

#include "agent/stack_range.h"

#include "agent/sys.h"

#include <errno.h>

#define PAGE     ((uintptr_t)4096)
/* A frame larger than this is none. */
#define GROW_MAX ((uintptr_t)64 << 20)

bool stack_ranges_works(void) {
        uint64_t word = 0;
        /* the first page of the address space is nobody's (vm.mmap_min_addr) */
        return sys_is_readable((uintptr_t)&word) && !sys_is_readable(8);
}

/* psABI: the first word of the thread control block is its own address. */
static uintptr_t control_block(void) {
        uintptr_t address;
        __asm__("mov %%fs:0, %0" : "=r"(address));
        return address;
}

void stack_ranges_select(struct stack_ranges *ranges, uintptr_t sp) {
        struct stack_range found = {sp & ~(PAGE - 1), (sp & ~(PAGE - 1)) + PAGE};
        unsigned at;
        for (at = 0; at < STACK_RANGES - 1; at++) {
                struct stack_range *range = &ranges->ranges[at];
                if (sp >= range->start && sp < range->end) {
                        found = *range;
                        break;
                }
                if (range->end == 0)
                        break;
        }
        for (; at > 0; at--)
                ranges->ranges[at] = ranges->ranges[at - 1];
        ranges->ranges[0] = found;
}

/* The first range has grown up to another: they are one. */
static void join(struct stack_ranges *ranges) {
        struct stack_range *first = &ranges->ranges[0];
        for (unsigned i = 1; i < STACK_RANGES; i++) {
                if (ranges->ranges[i].start > first->end || ranges->ranges[i].end <= first->end)
                        continue;
                first->end = ranges->ranges[i].end;
                for (unsigned j = i; j < STACK_RANGES - 1; j++)
                        ranges->ranges[j] = ranges->ranges[j + 1];
                ranges->ranges[STACK_RANGES - 1] = (struct stack_range){0};
                return;
        }
}

bool stack_ranges_grow(struct stack_ranges *ranges, uintptr_t end) {
        struct stack_range *first = &ranges->ranges[0];
        uintptr_t block = control_block();
        if (end < first->end || end - first->end > GROW_MAX || (first->start <= block && end > block))
                return false;
        while (end > first->end) {
                if (!sys_is_readable(first->end))
                        return false;
                first->end += PAGE;
                join(ranges);
        }
        return true;
}

bool stack_ranges_cross(struct stack_ranges *ranges, uintptr_t start, uintptr_t end) {
        if (end <= start || end - start > GROW_MAX)
                return false;
        for (uintptr_t page = start & ~(PAGE - 1); page < end; page += PAGE)
                if (!sys_is_readable(page))
                        return false;
        stack_ranges_select(ranges, start);
        return stack_ranges_hold(ranges, end);
}
