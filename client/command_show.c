/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl show */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/reference.h"
#include "client/render.h"
#include "client/request.h"
#include "client/session.h"

#include <stdbool.h>
#include <string.h>

struct show {
        const struct options *options;
        bool several; /* a set or a list */
        unsigned n;
};

static void print_json(struct show *show, const Tracemallocd__Control__SnapshotInfo *info) {
        if (show->several)
                fputs(show->n > 0 ? ",\n" : "[", stdout);
        json_print(stdout, json_snapshot(info));
        if (!show->several)
                fputc('\n', stdout);
}

static void print_text(const struct show *show, const Tracemallocd__Control__SnapshotInfo *info) {
        struct render render;
        if (show->n > 0)
                fputc('\n', stdout);
        render_init(&render, show->options);
        render_snapshot(&render, info);
        render_deinit(&render);
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct show *show = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_SNAPSHOT)
                return EXIT_CODE_DONE;
        if (show->options->json)
                print_json(show, reply->snapshot);
        else
                print_text(show, reply->snapshot);
        show->n++;
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
        const char *text = o->arguments[0];
        struct show show = {.options = o, .several = text[0] == 's' || strchr(text, ',')};
        code = session_call(o, &request, take, &show);
        if (code == EXIT_CODE_DONE && o->json && show.several)
                puts("]");
        return code;
}

const struct command command_show = {
        .name = "show",
        .arguments = "SNAPSHOT",
        .summary = "Show what is known of one snapshot",
        .description = STORED_SNAPSHOT_DESCRIPTION,
        .example = "  tmctl show last\n",
        .sets = OPTION_SET_JSON,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = show_run,
};
