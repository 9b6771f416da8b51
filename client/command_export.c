/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl export */

#include "client/collapsed_stack.h"
#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/output_file.h"
#include "client/reference.h"
#include "client/request.h"
#include "client/session.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct export {
        struct output_file file;
        struct text_buffer line; /* JSON, collapsed stacks */
        bool functions_left_out, modules_left_out, domain_names_left_out, total_nframe_left_out, inexact;
};

static void take_summary(struct export *e, const Tracemallocd__Control__ExportSummary *summary) {
        e->functions_left_out = summary->functions_left_out;
        e->modules_left_out = summary->modules_left_out;
        e->domain_names_left_out = summary->domain_names_left_out;
        e->total_nframe_left_out = summary->total_nframe_left_out;
        e->inexact = summary->inexact;
}

static void take_traces(struct export *e, const Tracemallocd__Control__TraceRows *traces) {
        e->inexact = traces->inexact;
        for (size_t i = 0; i < traces->n_rows; i++) {
                json_trace(&e->line, traces->rows[i]);
                text_buffer_write(&e->line, e->file.stream);
        }
}

static void take_statistics(struct export *e, const Tracemallocd__Control__StatisticRows *statistics) {
        for (size_t i = 0; i < statistics->n_rows; i++) {
                collapsed_stack(&e->line, statistics->rows[i]);
                text_buffer_write(&e->line, e->file.stream);
        }
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct export *e = context;
        switch (reply->body_case) {
        case TRACEMALLOCD__CONTROL__REPLY__BODY_EXPORT_CHUNK:
                fwrite(reply->export_chunk->data.data, 1, reply->export_chunk->data.len, e->file.stream);
                break;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_EXPORT_SUMMARY:
                take_summary(e, reply->export_summary);
                break;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_TRACES:
                take_traces(e, reply->traces);
                break;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_STATISTICS:
                e->inexact = !reply->statistics->exact;
                break;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_ROWS:
                take_statistics(e, reply->rows);
                break;
        default:
                break;
        }
        return output_error(e->file.stream) != 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

/* What the daemon is asked for, by format: it writes tracemalloc's itself. */
struct question {
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__ExportRequest export;
        Tracemallocd__Control__TracesRequest traces;
        Tracemallocd__Control__StatsRequest stats;
        Tracemallocd__Control__View view;
};

static void ask_for_file(struct question *q, const struct options *o, char *snapshot) {
        tracemallocd__control__export_request__init(&q->export);
        q->export.snapshot = snapshot;
        q->export.view = &q->view;
        q->export.shape = o->python_3_8 ? TRACEMALLOCD__CONTROL__EXPORT_REQUEST__SHAPE__PYTHON_3_8
                                        : TRACEMALLOCD__CONTROL__EXPORT_REQUEST__SHAPE__PYTHON_3_9;
        q->request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_EXPORT;
        q->request.export = &q->export;
}

static void ask_for_traces(struct question *q, char *snapshot) {
        tracemallocd__control__traces_request__init(&q->traces);
        q->traces.snapshot = snapshot;
        q->traces.view = &q->view;
        q->request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_TRACES;
        q->request.traces = &q->traces;
}

/* Of a flame graph's frames there is one width: blocks of all sizes and domains together */
static void ask_for_sums(struct question *q, char *snapshot) {
        tracemallocd__control__stats_request__init(&q->stats);
        q->view.group_by = TRACEMALLOCD__CONTROL__GROUP_BY__TRACEBACK;
        q->stats.snapshot = snapshot;
        q->stats.view = &q->view;
        q->request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_STATS;
        q->request.stats = &q->stats;
}

static int call(struct connection *connection, const struct options *o, char *snapshot, struct export *e) {
        struct question q;
        request_init(&q.request);
        request_view_init(&q.view, o);
        q.view.limit = 0;
        if (o->format == EXPORT_JSON)
                ask_for_traces(&q, snapshot);
        else if (o->format == EXPORT_COLLAPSED)
                ask_for_sums(&q, snapshot);
        else
                ask_for_file(&q, o, snapshot);
        int code = connection_call(connection, &q.request, take, e);
        request_view_deinit(&q.view);
        return code;
}

static int cannot_write(const char *path, int error) {
        message_error("cannot write to %s: %s", path, strerror(error));
        return error == EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILED;
}

static void say_what_is_left_out(const struct export *e) {
        if (e->inexact)
                message_note("inexact: tracing did not see every event, so sizes and counts may be off");
        if (e->functions_left_out || e->modules_left_out || e->domain_names_left_out) {
                const char *functions = e->functions_left_out ? ", functions" : "";
                const char *modules = e->modules_left_out ? ", modules" : "";
                const char *domains = e->domain_names_left_out ? ", names of domains" : "";
                AUTO_FREE char *list = memory_format("%s%s%s", functions, modules, domains);
                message_note("left out, because Python's snapshots have no place for them: %s", list + strlen(", "));
        }
        if (e->total_nframe_left_out)
                message_note(
                        "left out, because Python 3.8 does not know it: total_nframe, the depth of tracebacks that "
                        "were cut off");
}

/* Nothing is written before the daemon has answered, so that a failure leaves no file. */
static int export_to_file(struct connection *connection, const struct options *o, char *snapshot) {
        struct export e = {0};
        int r = output_file_open(&e.file, o->output);
        if (r < 0)
                return cannot_write(o->output, -r);
        int code = call(connection, o, snapshot, &e);
        text_buffer_deinit(&e.line);
        if (code != EXIT_CODE_DONE && !ferror(e.file.stream)) {
                output_file_discard(&e.file);
                return code;
        }
        bool to_stdout = e.file.stream == stdout;
        r = output_file_commit(&e.file);
        if (r < 0)
                return to_stdout ? EXIT_CODE_FAILED : cannot_write(o->output, -r); /* main.c says it of stdout */
        say_what_is_left_out(&e);
        return code;
}

static int export_run(const struct options *o) {
        if (o->has_python && o->format != EXPORT_TRACEMALLOC) {
                message_error("--python is of --format tracemalloc: other formats are the same for each Python");
                return EXIT_CODE_USAGE;
        }
        if (!o->output && o->format == EXPORT_TRACEMALLOC && isatty(STDOUT_FILENO)) {
                message_error("a tracemalloc file is nothing for a terminal; write it to a file with -o FILE");
                return EXIT_CODE_USAGE;
        }
        AUTO_FREE char *snapshot = NULL;
        AUTO_CONNECTION struct connection *connection = NULL;
        int code = reference_open(o, o->arguments[0], &connection, &snapshot);
        return code == EXIT_CODE_DONE ? export_to_file(connection, o, snapshot) : code;
}

const struct command command_export = {
        .name = "export",
        .arguments = "SNAPSHOT",
        .summary = "Write a snapshot to a file, for Python or a flame graph",
        .description = SNAPSHOT_DESCRIPTION,
        .example = "  tmctl export last -o last.pickle\n"
                   "  python3 -c 'import tracemalloc; s = tracemalloc.Snapshot.load(\"last.pickle\")'\n"
                   "  tmctl export last --format collapsed | flamegraph.pl > last.svg\n",
        .sets = OPTION_SET_EXPORT | OPTION_SET_FILTER,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = export_run,
};
