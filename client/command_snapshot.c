/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl snapshot */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/message.h"
#include "client/request.h"
#include "client/session.h"

#include <json-c/json.h>

#include <inttypes.h>

static void print_json(const Tracemallocd__Control__SnapshotIds *ids) {
        struct json_object *object = json_object_new_object();
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; i < ids->n_ids; i++)
                json_object_array_add(array, json_object_new_int64(ids->ids[i]));
        json_object_object_add(object, "set", ids->set != 0 ? json_object_new_int64(ids->set) : NULL);
        json_object_object_add(object, "ids", array);
        json_print(stdout, object);
        fputc('\n', stdout);
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        const struct options *o = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_IDS)
                return EXIT_CODE_DONE;
        const Tracemallocd__Control__SnapshotIds *ids = reply->ids;
        if (o->json)
                print_json(ids);
        else if (ids->set != 0)
                printf("s%" PRId64 "\n", ids->set);
        else if (ids->n_ids > 0)
                printf("%" PRId64 "\n", ids->ids[0]);
        return EXIT_CODE_DONE;
}

static int snapshot_run(const struct options *o) {
        if (!options_selects(o)) {
                message_error(
                        "snapshot: of which process? Give --pid, --name or --unit; 'tmctl ps' shows the traced ones");
                return EXIT_CODE_USAGE;
        }
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__SnapshotRequest body = TRACEMALLOCD__CONTROL__SNAPSHOT_REQUEST__INIT;
        Tracemallocd__Control__ProcessSelector selector;
        request_init(&request);
        request_selector_init(&selector, o);
        body.selector = &selector;
        body.label = request_bytes(o->label);
        body.peak = o->peak;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_SNAPSHOT;
        request.snapshot = &body;
        int code = session_call(o, &request, take, (void *)o);
        request_selector_deinit(&selector);
        return code;
}

const struct command command_snapshot = {
        .name = "snapshot",
        .arguments = "",
        .summary = "Take a snapshot and print its id",
        .description = "With more than one process, one of each at one moment, and the id of the set.\n",
        .example = "  tmctl snapshot --pid 1234 --label before\n",
        .sets = OPTION_SET_SELECT | OPTION_SET_TAKE | OPTION_SET_JSON,
        .usage_code = EXIT_CODE_USAGE,
        .run = snapshot_run,
};
