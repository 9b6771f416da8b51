/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl label */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/reference.h"
#include "client/request.h"
#include "client/session.h"

static int label_run(const struct options *o) {
        int code = reference_check(o->arguments[0], true);
        if (code != EXIT_CODE_DONE)
                return code;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__LabelRequest body = TRACEMALLOCD__CONTROL__LABEL_REQUEST__INIT;
        request_init(&request);
        body.snapshot = o->arguments[0];
        body.label = request_bytes(o->arguments[1]);
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_LABEL;
        request.label = &body;
        return session_call(o, &request, NULL, NULL);
}

const struct command command_label = {
        .name = "label",
        .arguments = "SNAPSHOT TEXT",
        .summary = "Put a note on a snapshot; an empty one takes it off",
        .description = STORED_SNAPSHOT_DESCRIPTION,
        .example = "  tmctl label 17 'before the cache was warm'\n",
        .min_arguments = 2,
        .max_arguments = 2,
        .usage_code = EXIT_CODE_USAGE,
        .run = label_run,
};
