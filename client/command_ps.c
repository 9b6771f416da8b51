/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl ps */

#include "client/beside_malloc.h"
#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/memory.h"
#include "client/names.h"
#include "client/paragraph.h"
#include "client/render.h"
#include "client/request.h"
#include "client/session.h"
#include "client/size_format.h"
#include "client/table.h"
#include "client/text.h"
#include "client/time_format.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct ps {
        const struct options *options;
        struct table *table;
        struct terminal terminal;
        uint64_t n;
        bool inexact;
        struct beside_malloc beside;
};

static const struct table_column columns[] = {
        {.heading = "PID", .right = 1},
        {.heading = "PPID", .right = 1, .rank = 10},
        {.heading = "USER", .rank = 7},
        {.heading = "NAME", .stretches = 1, .rank = 1},
        {.heading = "STATE", .rank = 2}, /* empty while it is traced */
        {.heading = "PHASE", .stretches = 1, .rank = 4},
        {.heading = "SIZE", .right = 1},
        {.heading = "COUNT", .right = 1, .rank = 6},
        {.heading = "PEAK", .right = 1, .rank = 3},
        {.heading = "RSS", .right = 1, .rank = 5},
        {.heading = "LOST", .right = 1},
        {.heading = "STARTED", .rank = 9},
        {.heading = "RUNS FOR", .right = 1, .rank = 8},
        {.heading = "IMAGE", .right = 1, .rank = 11},
        {.heading = "UNIT", .stretches = 1, .rank = 5},
        {.heading = "CGROUP", .stretches = 1, .rank = 12},
};

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

static void text_cell(struct ps *ps, const char *text) {
        table_cell(ps->table, text_display(text, strlen(text)));
}

static void bytes_cell(struct ps *ps, const ProtobufCBinaryData *bytes) {
        table_cell(ps->table, text_display(bytes->data, bytes->len));
}

static void add_row(struct ps *ps, const Tracemallocd__Control__Process *p) {
        char time[TIME_FORMAT_MAX];
        table_cell(ps->table, memory_format("%u", p->pid));
        table_cell(ps->table, memory_format("%u", p->ppid));
        table_cell(ps->table, user_name(p->uid));
        bytes_cell(ps, &p->name);
        text_cell(ps, strcmp(p->state, "tracing") == 0 ? "" : p->state);
        bytes_cell(ps, &p->phase);
        table_cell(ps->table, size_cell(p->live_size));
        table_cell(ps->table, memory_format("%" PRIu64, p->live_count));
        table_cell(ps->table, size_cell(p->peak_size));
        table_cell(ps->table, p->resident_size > 0 ? size_cell(p->resident_size) : memory_copy("", 0));
        table_cell(ps->table, lost_cell(p));
        text_cell(ps, time_format_table(time, p->started_at_unix_ns, ps->terminal.width > 0));
        text_cell(ps, time_format_span(time, clock_ns(CLOCK_REALTIME) - p->started_at_unix_ns));
        table_cell(ps->table, memory_format("%u", p->image));
        table_cell(ps->table, unit_name(p->unit.data, p->unit.len));
        bytes_cell(ps, &p->cgroup);
        ps->inexact |= !p->exact;
        beside_malloc_add_process(&ps->beside, p);
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

static void remark(const struct ps *ps, enum style style, const char *text) {
        AUTO_FREE char *lines = paragraph_format(text, ps->terminal.width, 0);
        printf("%s%s%s\n", terminal_begin(&ps->terminal, style), lines, terminal_end(&ps->terminal, style));
}

static void finish(const struct ps *ps) {
        if (ps->options->json) {
                puts(ps->n > 0 ? "]" : "[]");
                return;
        }
        if (ps->n == 0) {
                remark(ps, STYLE_PLAIN,
                       "No traced processes. 'tmctl run COMMAND' starts one, 'tmctl unit trace UNIT' traces a "
                       "service.");
                return;
        }
        table_print(ps->table, stdout, &ps->terminal);
        if (ps->inexact)
                remark(ps, STYLE_WARNING,
                       "LOST: events that are missing; sizes and counts of these processes are inexact.");
        AUTO_FREE char *clause = beside_malloc_clause(&ps->beside);
        AUTO_FREE char *sentence = clause ? memory_format("SIZE, COUNT, PEAK: %s.", clause) : NULL;
        if (sentence)
                remark(ps, STYLE_PLAIN, sentence);
}

static int ps_run(const struct options *o) {
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__PsRequest body = TRACEMALLOCD__CONTROL__PS_REQUEST__INIT;
        Tracemallocd__Control__ProcessSelector selector;
        request_init(&request);
        request_selector_init(&selector, o);
        body.selector = &selector;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_PS;
        request.ps = &body;
        struct ps ps = {.options = o, .table = table_new(columns, sizeof columns / sizeof columns[0])};
        terminal_init(&ps.terminal, STDOUT_FILENO, o->color);
        int code = session_call(o, &request, take, &ps);
        if (code == EXIT_CODE_DONE)
                finish(&ps);
        table_free(ps.table);
        beside_malloc_deinit(&ps.beside);
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
