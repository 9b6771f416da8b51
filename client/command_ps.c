/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl ps */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/memory.h"
#include "client/render.h"
#include "client/request.h"
#include "client/session.h"
#include "client/size_format.h"
#include "client/table.h"
#include "client/text.h"
#include "client/time_format.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

struct ps {
        const struct options *options;
        struct table *table;
        uint64_t n;
        bool inexact;
};

static const struct table_column columns[] = {
        {.heading = "PID", .right = 1},      {.heading = "USER"},
        {.heading = "NAME", .stretches = 1}, {.heading = "STATE"},
        {.heading = "SIZE", .right = 1},     {.heading = "COUNT", .right = 1},
        {.heading = "PEAK", .right = 1},     {.heading = "RUNS FOR", .right = 1},
        {.heading = "LOST", .right = 1},     {.heading = "UNIT", .stretches = 1},
};

static char *user_name(uint32_t uid) {
        const struct passwd *entry = getpwuid(uid);
        return entry ? memory_copy(entry->pw_name, strlen(entry->pw_name)) : memory_format("%u", uid);
}

static char *size_cell(uint64_t size) {
        char text[SIZE_FORMAT_MAX];
        size_format(text, (double)size, false);
        return memory_copy(text, strlen(text));
}

static char *lost_cell(const Tracemallocd__Control__Process *p) {
        if (p->exact)
                return memory_copy("", 0);
        return p->lost > 0 ? memory_format("%" PRIu64, p->lost) : memory_copy("some", 4);
}

static char *state_cell(const Tracemallocd__Control__Process *p) {
        AUTO_FREE char *state = text_display(p->state, strlen(p->state));
        if (p->phase.len == 0)
                return memory_copy(state, strlen(state));
        AUTO_FREE char *phase = text_display(p->phase.data, p->phase.len);
        return memory_format("%s (%s)", state, phase);
}

static void add_row(struct ps *ps, const Tracemallocd__Control__Process *p) {
        char span[TIME_FORMAT_MAX];
        table_cell(ps->table, memory_format("%u", p->pid));
        table_cell(ps->table, user_name(p->uid));
        table_cell(ps->table, text_display(p->name.data, p->name.len));
        table_cell(ps->table, state_cell(p));
        table_cell(ps->table, size_cell(p->live_size));
        table_cell(ps->table, memory_format("%" PRIu64, p->live_count));
        table_cell(ps->table, size_cell(p->peak_size));
        time_format_span(span, time_format_now() - p->started_at_unix_ns);
        table_cell(ps->table, memory_copy(span, strlen(span)));
        table_cell(ps->table, lost_cell(p));
        table_cell(ps->table, text_display(p->unit.data, p->unit.len));
        ps->inexact |= !p->exact;
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct ps *ps = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_PROCESS)
                return EXIT_CODE_DONE;
        if (ps->options->json) {
                fputs(ps->n > 0 ? ",\n" : "[", stdout);
                json_print(stdout, json_process(reply->process));
        } else {
                add_row(ps, reply->process);
        }
        ps->n++;
        return EXIT_CODE_DONE;
}

static void finish(const struct ps *ps) {
        if (ps->options->json) {
                puts(ps->n > 0 ? "]" : "[]");
                return;
        }
        if (ps->n == 0) {
                puts("No traced processes. 'tmctl run COMMAND' runs one.");
                return;
        }
        struct terminal terminal;
        terminal_init(&terminal, STDOUT_FILENO, ps->options->color);
        table_print(ps->table, stdout, &terminal);
        if (ps->inexact)
                printf("%sLOST: events that are missing; sizes and counts of these processes are inexact.%s\n",
                       terminal_begin(&terminal, STYLE_WARNING), terminal_end(&terminal, STYLE_WARNING));
}

static int ps_run(const struct options *o) {
        AUTO_CONNECTION struct connection *connection = NULL;
        int code = session_open(o, &connection);
        if (code != EXIT_CODE_DONE)
                return code;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__PsRequest body = TRACEMALLOCD__CONTROL__PS_REQUEST__INIT;
        Tracemallocd__Control__ProcessSelector selector;
        request_init(&request);
        request_selector_init(&selector, o);
        body.selector = &selector;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_PS;
        request.ps = &body;
        struct ps ps = {.options = o, .table = table_new(columns, sizeof columns / sizeof columns[0])};
        code = connection_call(connection, &request, take, &ps);
        if (code == EXIT_CODE_DONE)
                finish(&ps);
        table_free(ps.table);
        request_selector_deinit(&selector);
        return code;
}

const struct command command_ps = {
        .name = "ps",
        .arguments = "",
        .summary = "Show the traced processes",
        .description = "",
        .example = "  tmctl ps --unit redis-server\n",
        .sets = OPTION_SET_SELECT | OPTION_SET_JSON,
        .usage_code = EXIT_CODE_USAGE,
        .run = ps_run,
};
