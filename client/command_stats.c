/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl stats */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/reference.h"
#include "client/request.h"
#include "client/session.h"
#include "client/statistics_output.h"
#include "daemon/base/cleanup.h"

static int stats_run(const struct options *o) {
        AUTO_FREE char *snapshot = NULL;
        AUTO_CONNECTION struct connection *connection = NULL;
        int code = reference_open(o, o->arguments[0], &connection, &snapshot);
        if (code != EXIT_CODE_DONE)
                return code;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__StatsRequest body = TRACEMALLOCD__CONTROL__STATS_REQUEST__INIT;
        Tracemallocd__Control__View view;
        request_init(&request);
        request_view_init(&view, o);
        request_view_rows(&view, o);
        body.snapshot = snapshot;
        body.view = &view;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_STATS;
        request.stats = &body;
        code = statistics_output_call(connection, &request, o, NULL, o->arguments[0]);
        request_view_deinit(&view);
        return code;
}

const struct command command_stats = {
        .name = "stats",
        .arguments = "SNAPSHOT",
        .summary = "Show where the memory of a snapshot comes from",
        .description = SNAPSHOT_DESCRIPTION,
        .example = "  tmctl stats last --group-by traceback --exclude '*/libc.so*'\n",
        .sets = OPTION_SET_GROUP | OPTION_SET_FILTER | OPTION_SET_ROWS | OPTION_SET_JSON,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = stats_run,
};
