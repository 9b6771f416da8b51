/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl show */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/reference.h"
#include "client/render.h"
#include "client/request.h"
#include "client/session.h"

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        const struct options *o = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_SNAPSHOT)
                return EXIT_CODE_DONE;
        if (o->json) {
                json_print(stdout, json_snapshot(reply->snapshot));
                fputc('\n', stdout);
                return EXIT_CODE_DONE;
        }
        struct render render;
        render_init(&render, o);
        render_snapshot(&render, reply->snapshot);
        render_deinit(&render);
        return EXIT_CODE_DONE;
}

static int show_run(const struct options *o) {
        int code = reference_check(o->arguments[0], true);
        if (code != EXIT_CODE_DONE)
                return code;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__ShowRequest body = TRACEMALLOCD__CONTROL__SHOW_REQUEST__INIT;
        request_init(&request);
        body.snapshot = o->arguments[0];
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_SHOW;
        request.show = &body;
        return session_call(o, &request, take, (void *)o);
}

const struct command command_show = {
        .name = "show",
        .arguments = "SNAPSHOT",
        .summary = "Show what is known of one snapshot",
        .description = SNAPSHOT_DESCRIPTION,
        .example = "  tmctl show last\n",
        .sets = OPTION_SET_JSON,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = show_run,
};
