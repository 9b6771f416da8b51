/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl start, stop, clear, reset-peak: the functions of Python's tracemalloc, on other processes */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/message.h"
#include "client/request.h"
#include "client/session.h"

static int control(const struct options *o, const char *name, Tracemallocd__Control__ControlRequest__Action action) {
        if (!options_selects(o)) {
                message_error("%s: which process? Give --pid, --name or --unit; 'tmctl ps' shows the traced ones",
                              name);
                return EXIT_CODE_USAGE;
        }
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__ControlRequest body = TRACEMALLOCD__CONTROL__CONTROL_REQUEST__INIT;
        Tracemallocd__Control__ProcessSelector selector;
        request_init(&request);
        request_selector_init(&selector, o);
        body.action = action;
        body.selector = &selector;
        body.traceback_limit = o->frames;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_CONTROL;
        request.control = &body;
        int code = session_call(o, &request, NULL, NULL);
        request_selector_deinit(&selector);
        return code;
}

static int start_run(const struct options *o) {
        return control(o, "start", TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__START);
}

static int stop_run(const struct options *o) {
        return control(o, "stop", TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__STOP);
}

static int clear_run(const struct options *o) {
        return control(o, "clear", TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__CLEAR);
}

static int reset_peak_run(const struct options *o) {
        return control(o, "reset-peak", TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__RESET_PEAK);
}

const struct command command_start = {
        .name = "start",
        .arguments = "",
        .summary = "Begin to trace a process whose agent is loaded",
        .description = "Does nothing where tracing is on; what was allocated before stays unknown.\n",
        .example = "  tmctl start --pid 1234 --frames 25\n",
        .sets = OPTION_SET_SELECT | OPTION_SET_FRAMES,
        .usage_code = EXIT_CODE_USAGE,
        .run = start_run,
};

const struct command command_stop = {
        .name = "stop",
        .arguments = "",
        .summary = "Stop tracing a process and forget its traces",
        .description = "",
        .example = "  tmctl stop --name 'gunicorn*'\n",
        .sets = OPTION_SET_SELECT,
        .usage_code = EXIT_CODE_USAGE,
        .run = stop_run,
};

const struct command command_clear = {
        .name = "clear",
        .arguments = "",
        .summary = "Forget a process's traces and go on tracing",
        .description = "",
        .example = "  tmctl clear --pid 1234\n",
        .sets = OPTION_SET_SELECT,
        .usage_code = EXIT_CODE_USAGE,
        .run = clear_run,
};

const struct command command_reset_peak = {
        .name = "reset-peak",
        .arguments = "",
        .summary = "Make the present size the peak",
        .description = "",
        .example = "  tmctl reset-peak --unit redis-server\n",
        .sets = OPTION_SET_SELECT,
        .usage_code = EXIT_CODE_USAGE,
        .run = reset_peak_run,
};
