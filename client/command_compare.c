/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl compare */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/reference.h"
#include "client/request.h"
#include "client/session.h"
#include "client/statistics_output.h"
#include "daemon/base/cleanup.h"

static int compare_run(const struct options *o) {
        AUTO_FREE char *old = NULL, *new = NULL;
        int code = reference_check(o->arguments[0], false);
        if (code == EXIT_CODE_DONE)
                code = reference_check(o->arguments[1], false);
        AUTO_CONNECTION struct connection *connection = NULL;
        if (code == EXIT_CODE_DONE)
                code = session_open(o, &connection);
        if (code == EXIT_CODE_DONE)
                code = reference_resolve(connection, o->arguments[0], &old);
        if (code == EXIT_CODE_DONE)
                code = reference_resolve(connection, o->arguments[1], &new);
        if (code != EXIT_CODE_DONE)
                return code;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__CompareRequest body = TRACEMALLOCD__CONTROL__COMPARE_REQUEST__INIT;
        Tracemallocd__Control__View view;
        request_init(&request);
        request_view_init(&view, o);
        request_view_rows(&view, o);
        body.old = old;
        body.new_ = new;
        body.view = &view;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_COMPARE;
        request.compare = &body;
        code = statistics_output_call(connection, &request, o, o->arguments[0], o->arguments[1]);
        request_view_deinit(&view);
        return code;
}

const struct command command_compare = {
        .name = "compare",
        .arguments = "OLD NEW",
        .summary = "Show what changed between two snapshots",
        .description = SNAPSHOT_DESCRIPTION,
        .example = "  tmctl compare 17 18\n  tmctl compare 17 @1234 --group-by function\n",
        .sets = OPTION_SET_GROUP | OPTION_SET_FILTER | OPTION_SET_ROWS | OPTION_SET_JSON,
        .min_arguments = 2,
        .max_arguments = 2,
        .usage_code = EXIT_CODE_USAGE,
        .run = compare_run,
};
