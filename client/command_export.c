/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl export */

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
        struct text_buffer line; /* JSON */
        bool functions_left_out, modules_left_out, domain_names_left_out, total_nframe_left_out, inexact;
};

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct export *e = context;
        switch (reply->body_case) {
        case TRACEMALLOCD__CONTROL__REPLY__BODY_EXPORT_CHUNK:
                fwrite(reply->export_chunk->data.data, 1, reply->export_chunk->data.len, e->file.stream);
                break;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_EXPORT_SUMMARY:
                e->functions_left_out = reply->export_summary->functions_left_out;
                e->modules_left_out = reply->export_summary->modules_left_out;
                e->domain_names_left_out = reply->export_summary->domain_names_left_out;
                e->total_nframe_left_out = reply->export_summary->total_nframe_left_out;
                e->inexact = reply->export_summary->inexact;
                break;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_TRACES:
                e->inexact = reply->traces->inexact;
                for (size_t i = 0; i < reply->traces->n_rows; i++) {
                        json_trace(&e->line, reply->traces->rows[i]);
                        text_buffer_add(&e->line, "\n", 1);
                        text_buffer_write(&e->line, e->file.stream);
                }
                break;
        default:
                break;
        }
        return output_error(e->file.stream) != 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

static int call(struct connection *connection, const struct options *o, char *snapshot, struct export *e) {
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__ExportRequest body = TRACEMALLOCD__CONTROL__EXPORT_REQUEST__INIT;
        Tracemallocd__Control__TracesRequest traces = TRACEMALLOCD__CONTROL__TRACES_REQUEST__INIT;
        Tracemallocd__Control__View view;
        request_init(&request);
        request_view_init(&view, o);
        view.limit = 0;
        if (o->format == EXPORT_JSON) {
                traces.snapshot = snapshot;
                traces.view = &view;
                request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_TRACES;
                request.traces = &traces;
        } else {
                body.snapshot = snapshot;
                body.view = &view;
                body.shape = o->python_3_8 ? TRACEMALLOCD__CONTROL__EXPORT_REQUEST__SHAPE__PYTHON_3_8
                                           : TRACEMALLOCD__CONTROL__EXPORT_REQUEST__SHAPE__PYTHON_3_9;
                request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_EXPORT;
                request.export = &body;
        }
        int code = connection_call(connection, &request, take, e);
        request_view_deinit(&view);
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
        if (!o->output && o->format == EXPORT_TRACEMALLOC && isatty(STDOUT_FILENO)) {
                message_error("a tracemalloc file is nothing for a terminal; write it to a file with -o FILE");
                return EXIT_CODE_USAGE;
        }
        AUTO_FREE char *snapshot = NULL;
        int code = reference_check(o->arguments[0], false);
        AUTO_CONNECTION struct connection *connection = NULL;
        if (code == EXIT_CODE_DONE)
                code = session_open(o, &connection);
        if (code == EXIT_CODE_DONE)
                code = reference_resolve(connection, o->arguments[0], &snapshot);
        return code == EXIT_CODE_DONE ? export_to_file(connection, o, snapshot) : code;
}

const struct command command_export = {
        .name = "export",
        .arguments = "SNAPSHOT",
        .summary = "Write a snapshot to a file that Python can load",
        .description = SNAPSHOT_DESCRIPTION,
        .example = "  tmctl export last -o last.pickle\n"
                   "  python3 -c 'import tracemalloc; s = tracemalloc.Snapshot.load(\"last.pickle\")'\n",
        .sets = OPTION_SET_EXPORT | OPTION_SET_FILTER,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = export_run,
};
