/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/options.h"
#include "client/source_lines.h"
#include "client/terminal.h"
#include "client/text_buffer.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What people read. */

struct render {
        FILE *out;
        struct terminal terminal;
        const struct options *options;
        struct source_lines *lines;
        struct text_buffer *text; /* on its way to out; empty between calls */
};

/** render_init() - for stdout; @options are borrowed until render_deinit() */
void render_init(struct render *render, const struct options *options);

/** render_deinit() - free what it remembers of source files */
void render_deinit(struct render *render);

/** render_sentence() - a line that is broken between words where the terminal ends
 * @indent: of the lines below the first */
void render_sentence(const struct render *render, enum style style, const char *text, size_t indent);

/** render_nothing() - instead of rows: that there are none, and why filters may have left none */
void render_nothing(const struct render *render);

/* ---- render_place.c: where in the code ---- */

/** render_place_least() - columns that a place takes when only its folders are cut away */
size_t render_place_least(const Tracemallocd__Control__Frame *frame);

/** render_place() - "a.py:3", "libfoo.so.1 (function)", "a.py:0"
 * @width: columns to fit, the path and then the function is cut in the middle; 0: as long as it is
 * Return: the caller frees. */
char *render_place(const Tracemallocd__Control__Frame *frame, size_t width);

/** render_source() - the frame's source line behind @indent spaces, or nothing */
void render_source(const struct render *render, const Tracemallocd__Control__Frame *frame, int indent);

/** render_traceback() - Traceback.format(), with --traceback-limit and --most-recent-first
 * @total_nframe: true depth, 0 unknown: says whether older frames were not kept */
void render_traceback(const struct render *render, Tracemallocd__Control__Frame *const *frames, size_t n,
                      uint64_t total_nframe);

/** render_traceback_range() - which of @n frames, oldest first, Traceback.format(limit) shows: [*firstp; *endp) */
void render_traceback_range(size_t n, int64_t limit, size_t *firstp, size_t *endp);

/* ---- render_statistics.c: stats and compare ---- */

/** render_statistics_heading() - what is shown. @old: the reference the user wrote, NULL for stats */
void render_statistics_heading(const struct render *render, const Tracemallocd__Control__StatisticsHeader *header,
                               const char *old, const char *snapshot);

/** render_statistic() - one row, with its source line or traceback */
void render_statistic(const struct render *render, const Tracemallocd__Control__StatisticRow *row, bool diff);

/** render_statistics_end() - total, rows left out, inexactness, modules without lines */
void render_statistics_end(const struct render *render, const Tracemallocd__Control__StatisticsHeader *header,
                           bool diff, uint64_t n_shown);

/* ---- render_snapshot.c ---- */

/** render_snapshot_phrase() - "snapshot 17 of redis-server (pid 1234), 2026-11-22 10:30:00, 3 min 2 s ago"
 * Return: the caller frees. */
char *render_snapshot_phrase(const Tracemallocd__Control__SnapshotInfo *info, const char *reference);

/** render_snapshot() - all that is known of one, a line each */
void render_snapshot(const struct render *render, const Tracemallocd__Control__SnapshotInfo *info);
