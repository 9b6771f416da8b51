/* SPDX-License-Identifier: Apache-2.0 */

/* Ranges to segments: a sweep over the starts with a heap of the ranges that are open. */

#include "daemon/symbol/helper/range_index.h"

#include "daemon/symbol/helper/memory.h"

#include <stdbool.h>
#include <stdlib.h>

struct heap {
        const struct range **open;
        size_t n;
};

void range_index_deinit(struct range_index *index) {
        free(index->ranges);
        free(index->segments);
        *index = (struct range_index){0};
}

void range_index_add(struct range_index *index, const struct range *range) {
        if (range->low >= range->high)
                return;
        index->ranges = memory_grow(index->ranges, index->n_ranges, &index->ranges_size, sizeof *index->ranges);
        index->ranges[index->n_ranges++] = *range;
}

static int by_low(const void *a, const void *b) {
        const struct range *x = a, *y = b;
        return x->low < y->low ? -1 : x->low > y->low;
}

static bool outranks(const struct range *a, const struct range *b) {
        if (a->rank != b->rank)
                return a->rank > b->rank;
        if (a->low != b->low)
                return a->low > b->low;
        if (a->tie != b->tie)
                return a->tie > b->tie;
        return a->value < b->value;
}

static void heap_push(struct heap *heap, const struct range *range) {
        size_t i = heap->n++;
        for (; i > 0 && outranks(range, heap->open[(i - 1) / 2]); i = (i - 1) / 2)
                heap->open[i] = heap->open[(i - 1) / 2];
        heap->open[i] = range;
}

static void heap_pop(struct heap *heap) {
        const struct range *last = heap->open[--heap->n];
        size_t i = 0;
        for (size_t child; (child = 2 * i + 1) < heap->n; i = child) {
                if (child + 1 < heap->n && outranks(heap->open[child + 1], heap->open[child]))
                        child++;
                if (!outranks(heap->open[child], last))
                        break;
                heap->open[i] = heap->open[child];
        }
        heap->open[i] = last;
}

static void emit(struct range_index *index, uint64_t low, uint64_t high, uint32_t value) {
        struct range_segment *last = index->n_segments ? &index->segments[index->n_segments - 1] : NULL;
        if (last && last->high == low && last->value == value) {
                last->high = high;
                return;
        }
        index->segments =
                memory_grow(index->segments, index->n_segments, &index->segments_size, sizeof *index->segments);
        index->segments[index->n_segments++] = (struct range_segment){low, high, value};
}

/* Each round either takes in a start or passes an end: at most 2 n segments. */
static void sweep(struct range_index *index, struct heap *heap) {
        uint64_t at = 0;
        for (size_t i = 0; i < index->n_ranges || heap->n > 0;) {
                if (heap->n == 0)
                        at = index->ranges[i].low;
                for (; i < index->n_ranges && index->ranges[i].low <= at; i++)
                        heap_push(heap, &index->ranges[i]);
                while (heap->n > 0 && heap->open[0]->high <= at)
                        heap_pop(heap);
                if (heap->n == 0)
                        continue;

                uint64_t end = heap->open[0]->high;
                if (i < index->n_ranges && index->ranges[i].low < end)
                        end = index->ranges[i].low;
                emit(index, at, end, heap->open[0]->value);
                at = end;
        }
}

void range_index_build(struct range_index *index) {
        struct heap heap = {.open = memory_new(index->n_ranges, sizeof *heap.open)};
        if (index->n_ranges > 0) {
                qsort(index->ranges, index->n_ranges, sizeof *index->ranges, by_low);
                sweep(index, &heap);
        }
        free(heap.open);
        free(index->ranges);
        index->ranges = NULL;
        index->n_ranges = index->ranges_size = 0;
}

const struct range_segment *range_index_find(const struct range_index *index, uint64_t address) {
        size_t first = 0, n = index->n_segments;
        while (n > 0) { /* the last segment with low <= address lies before first + n */
                size_t half = n / 2;
                if (index->segments[first + half].low <= address) {
                        first += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        if (first == 0 || address >= index->segments[first - 1].high)
                return NULL;
        return &index->segments[first - 1];
}
