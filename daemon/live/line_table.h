/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Line tables of Python code objects, as CPython's PyCode_Addr2Line() reads them: (instruction offset) -> line. Pure
 * functions over foreign bytes: any content is read to its end and no further, in time and memory that go with its
 * length.
 */

#include <stddef.h>
#include <stdint.h>

/* CodeDef.table_format of proto/agent.proto */
enum line_table_format {
        LINE_TABLE_309 = 309, /* co_lnotab of 3.8 and 3.9 */
        LINE_TABLE_310 = 310, /* co_linetable of 3.10 */
        LINE_TABLE_311 = 311, /* co_linetable of 3.11 and later: the locations table */
};

/* Instructions from the end of the run before up to end have this line. */
struct line_run {
        uint32_t end;    /* offset in bytes, exclusive */
        uint32_t lineno; /* 0: none */
};

/* Runs of any number of code objects, one behind the other; all zero is empty. */
struct line_runs {
        struct line_run *runs;
        uint32_t n, capacity;
};

enum {
        LINE_TABLE_E_FORMAT = 1, /* no such format */
        LINE_TABLE_E_FULL = 2,   /* LINE_RUNS_MAX is reached */
};

#define LINE_RUNS_MAX (UINT32_C(1) << 23) /* 64 MiB; the lines of a program of some millions */

/** line_table_decode() - append the runs of one code object, ends ascending; what is behind the last has no line
 * @first_line: co_firstlineno
 * @table: [length], borrowed, may be NULL where length is 0
 * O(length), at most one run for each byte. Return: 0; LINE_TABLE_E_...; -ENOMEM (runs as before). */
int line_table_decode(uint32_t format, int32_t first_line, const void *table, size_t length, struct line_runs *runs);

/** line_runs_find() - the line of an instruction
 * @runs: [n] of one code object
 * @offset: in bytes. O(log n). Return: the line; 0: none. */
uint32_t line_runs_find(const struct line_run *runs, uint32_t n, uint64_t offset);

/** line_runs_deinit() - free */
void line_runs_deinit(struct line_runs *runs);
