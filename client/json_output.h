/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/options.h"
#include "client/text_buffer.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stdio.h>

struct json_object;

/* JSON on stdout: the fields and their order are those of tmctl(1), JSON. */

/** json_print() - write without a newline, and drop the reference */
void json_print(FILE *out, struct json_object *object);

/** json_print_open() - the same without the closing brace, for more members to come */
void json_print_open(FILE *out, struct json_object *object);

/** json_text_or_null() - null where the bytes are none */
struct json_object *json_text_or_null(const ProtobufCBinaryData *bytes);

/** json_process() - an element of ps */
struct json_object *json_process(const Tracemallocd__Control__Process *process);

/** json_snapshot() - an element of list, and what show prints */
struct json_object *json_snapshot(const Tracemallocd__Control__SnapshotInfo *info);

/** json_statistic() - add a row of stats, or of compare with @diff */
void json_statistic(struct text_buffer *out, const Tracemallocd__Control__StatisticRow *row, bool diff);

/** json_statistics_header() - all of stats or compare but "statistics"
 * @old, @snapshot: references as the user wrote them, shown where the daemon has no id for what they stand for; @old
 * NULL: stats */
struct json_object *json_statistics_header(const Tracemallocd__Control__StatisticsHeader *header,
                                           const struct options *options, const char *old, const char *snapshot);

/** json_trace() - add a line of traces */
void json_trace(struct text_buffer *out, const Tracemallocd__Control__TraceRow *row);

/** json_trace_open() - the same without the closing brace and the newline, for more members to come */
void json_trace_open(struct text_buffer *out, const Tracemallocd__Control__TraceRow *row);
