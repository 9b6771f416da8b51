/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl delete */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/reference.h"
#include "client/request.h"
#include "client/session.h"

static int delete_run(const struct options *o) {
        int code = EXIT_CODE_DONE;
        for (int i = 0; i < o->n_arguments && code == EXIT_CODE_DONE; i++)
                code = reference_check(o->arguments[i], true);
        if (code != EXIT_CODE_DONE)
                return code;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__DeleteRequest body = TRACEMALLOCD__CONTROL__DELETE_REQUEST__INIT;
        request_init(&request);
        body.n_snapshots = (size_t)o->n_arguments;
        body.snapshots = o->arguments;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_DELETE_;
        request.delete_ = &body;
        return session_call(o, &request, NULL, NULL);
}

const struct command command_delete = {
        .name = "delete",
        .arguments = "SNAPSHOT...",
        .summary = "Delete stored snapshots",
        .description = STORED_SNAPSHOT_DESCRIPTION,
        .example = "  tmctl delete 17 18 s3\n",
        .min_arguments = 1,
        .max_arguments = -1,
        .usage_code = EXIT_CODE_USAGE,
        .run = delete_run,
};
