/* SPDX-License-Identifier: Apache-2.0 */

/* Memory that grows in place. Runs on the ingest worker that owns the image; called by trace_table.c and
 * traceback_sums.c. */

#include "daemon/live/region.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE_BYTES      4096
#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)
#define HUGE_PAGES_FROM (UINT64_C(2) << 20)
#define AHEAD_FROM      (UINT64_C(1) << 20) /* smaller ones are of small processes, whose memory is what counts */
#define AHEAD_BYTES     (UINT64_C(256) << 10)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* linux/mman.h, since 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* since 6.1 */
#endif

static size_t whole_pages(size_t bytes) {
        return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

/* Address space for the most; what could become huge pages begins at the border of one. */
static char *reserve_space(size_t bytes) {
        size_t slack = bytes >= HUGE_PAGES_FROM ? HUGE_PAGE_BYTES : 0;
        char *memory = mmap(NULL, bytes + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
                return NULL;
        size_t before = slack ? -(uintptr_t)memory & (HUGE_PAGE_BYTES - 1) : 0;
        if (before)
                munmap(memory, before);
        if (slack > before)
                munmap(memory + before + bytes, slack - before);
        return memory + before;
}

int region_adopt(struct region *r, struct keep *keep, uint64_t offset, size_t reserve, size_t bytes) {
        *r = (struct region){};
        if (keep && !keep_has_window(keep, offset, whole_pages(reserve)))
                return REGION_E_BROKEN;
        *r = (struct region){.reserved = whole_pages(reserve), .keep = keep, .offset = offset};
        r->memory = reserve_space(r->reserved);
        if (!r->memory)
                return -ENOMEM;
        int result = region_grow(r, bytes);
        if (result) {
                munmap(r->memory, r->reserved);
                *r = (struct region){};
        }
        return result;
}

int region_open(struct region *r, struct keep *keep, size_t reserve, size_t bytes) {
        return region_adopt(r, keep, keep ? keep_window(keep, whole_pages(reserve)) : 0, reserve, bytes);
}

/* Shared memory has no huge pages of its own accord unless shmem_enabled says so, but a mapping may be collapsed into
 * one, page by page (madvise(2), since Linux 6.1); a page that is not there counts as zeroes. One has to be. */
static bool make_huge_page(char *at) {
        return madvise(at, PAGE_BYTES, MADV_POPULATE_WRITE) == 0 && madvise(at, HUGE_PAGE_BYTES, MADV_COLLAPSE) == 0;
}

/* Where that fails, or the kernel knows none of it, pages come by faults: there is nothing to report. */
void region_make_ready(struct region *r, size_t to) {
        bool huge = r->bytes >= HUGE_PAGES_FROM;
        size_t step = huge ? HUGE_PAGE_BYTES : AHEAD_BYTES, from = r->ready / step * step;
        if (to > r->bytes)
                to = r->bytes;
        /* a leap: nobody says that what is in between comes into use */
        if (r->bytes < AHEAD_FROM || to > from + 2 * HUGE_PAGE_BYTES)
                from = to;
        for (; from < to; from += step) {
                char *at = r->memory + from;
                if (from + step > r->bytes)
                        step = r->bytes - from;
                if (step == HUGE_PAGE_BYTES && (!r->keep || make_huge_page(at)))
                        continue; /* in private memory the first fault brings all of it */
                (void)madvise(at, step, MADV_POPULATE_WRITE);
        }
        r->ready = from;
}

int region_grow(struct region *r, size_t bytes) {
        bytes = whole_pages(bytes);
        if (bytes > r->reserved)
                return -ENOMEM;
        char *more = r->memory + r->bytes;
        if (bytes == r->bytes)
                return 0;
        if (r->keep ? keep_map(r->keep, more, r->offset + r->bytes, bytes - r->bytes)
                    : mprotect(more, bytes - r->bytes, PROT_READ | PROT_WRITE))
                return -ENOMEM;
        if (bytes >= HUGE_PAGES_FROM)
                (void)madvise(r->memory, bytes, MADV_HUGEPAGE);
        r->bytes = bytes;
        return 0;
}

void region_discard(struct region *r, size_t from, size_t to) {
        from = whole_pages(from);
        to &= ~(size_t)(PAGE_BYTES - 1);
        if (from >= to)
                return;
        if (r->keep)
                keep_give_later(r->keep, r->offset + from, to - from, NULL, 0);
        else
                (void)madvise(r->memory + from, to - from, MADV_DONTNEED);
}

void region_close(struct region *r) {
        if (r->keep)
                keep_give_later(r->keep, r->offset, r->reserved, r->memory, r->reserved);
        else if (r->memory)
                munmap(r->memory, r->reserved);
        *r = (struct region){};
}
