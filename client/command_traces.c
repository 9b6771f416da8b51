/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl traces */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/output_file.h"
#include "client/paragraph.h"
#include "client/reference.h"
#include "client/render.h"
#include "client/request.h"
#include "client/session.h"
#include "client/size_format.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>

struct traces {
        const struct options *options;
        struct render render;
        uint64_t n, total_size, total_count;
        bool inexact;
        struct text_buffer line; /* JSON */
};

static char *domain_text(const Tracemallocd__Control__TraceRow *row) {
        if (row->domain_name.len > 0)
                return text_display(row->domain_name.data, row->domain_name.len);
        return memory_format("%u", row->domain);
}

static void print_sizes(struct traces *t, const Tracemallocd__Control__TraceRow *row) {
        char total[SIZE_FORMAT_MAX], size[SIZE_FORMAT_MAX];
        AUTO_FREE char *domain = domain_text(row);
        AUTO_FREE char *size_field = memory_format("size=%s", size_format(total, (double)row->total_size, false));
        AUTO_FREE char *count_field = memory_format("count=%" PRIu64, row->count);
        AUTO_FREE char *each_field = memory_format("each=%s", size_format(size, (double)row->size, false));
        AUTO_FREE char *domain_field = memory_format("domain=%s", domain);
        char *fields[4] = {size_field, count_field};
        size_t n = 2;
        if (row->has_size && row->count > 1)
                fields[n++] = each_field;
        fields[n++] = domain_field;
        AUTO_FREE char *text = paragraph_fields(fields, n, t->render.terminal.width, 0, 2);
        fprintf(stdout, "%s%s%s\n", terminal_begin(&t->render.terminal, STYLE_STRONG), text,
                terminal_end(&t->render.terminal, STYLE_STRONG));
}

static void print_trace(struct traces *t, const Tracemallocd__Control__TraceRow *row) {
        print_sizes(t, row);
        render_traceback(&t->render, row->traceback, row->n_traceback, row->has_total_nframe ? row->total_nframe : 0);
        fputc('\n', stdout);
}

static void add_row(struct traces *t, const Tracemallocd__Control__TraceRow *row) {
        if (t->options->json) {
                json_trace(&t->line, row);
                text_buffer_write(&t->line, stdout);
        } else {
                print_trace(t, row);
        }
        t->n++;
        t->total_size += row->total_size;
        t->total_count += row->count;
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct traces *t = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_TRACES)
                return EXIT_CODE_DONE;
        source_lines_until(t->render.lines, reply->traces->sources_until_unix_ns);
        t->inexact = reply->traces->inexact;
        for (size_t i = 0; i < reply->traces->n_rows; i++)
                add_row(t, reply->traces->rows[i]);
        return output_error(stdout) != 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

static void finish(const struct traces *t) {
        if (t->inexact)
                message_note("inexact: tracing did not see every event, so sizes and counts may be off");
        if (t->options->json)
                return;
        char size[SIZE_FORMAT_MAX];
        size_format(size, (double)t->total_size, false);
        /* the daemon does not say how many there are in all */
        bool cut = t->options->limit > 0 && t->n >= t->options->limit;
        AUTO_FREE char *total = memory_format("Total of what is shown: size=%s, count=%" PRIu64 "%s", size,
                                              t->total_count, cut ? "; --limit 0 shows all" : "");
        render_sentence(&t->render, STYLE_PLAIN, total, 2);
        if (t->n == 0)
                render_nothing(&t->render);
}

static int traces_run(const struct options *o) {
        AUTO_FREE char *snapshot = NULL;
        AUTO_CONNECTION struct connection *connection = NULL;
        int code = reference_open(o, o->arguments[0], &connection, &snapshot);
        if (code != EXIT_CODE_DONE)
                return code;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__TracesRequest body = TRACEMALLOCD__CONTROL__TRACES_REQUEST__INIT;
        Tracemallocd__Control__View view;
        request_init(&request);
        request_view_init(&view, o);
        body.snapshot = snapshot;
        body.view = &view;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_TRACES;
        request.traces = &body;
        struct traces traces = {.options = o};
        render_init(&traces.render, o);
        code = connection_call(connection, &request, take, &traces);
        if (code == EXIT_CODE_DONE)
                finish(&traces);
        render_deinit(&traces.render);
        text_buffer_deinit(&traces.line);
        request_view_deinit(&view);
        return code;
}

const struct command command_traces = {
        .name = "traces",
        .arguments = "SNAPSHOT",
        .summary = "Show the traces of a snapshot with their tracebacks",
        .description = SNAPSHOT_DESCRIPTION,
        .example = "  tmctl traces 17 --include '*/zmalloc.c,all-frames' --json\n",
        .sets = OPTION_SET_FILTER | OPTION_SET_ROWS | OPTION_SET_JSON,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = traces_run,
};
