/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl list */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/memory.h"
#include "client/names.h"
#include "client/option_values.h"
#include "client/paragraph.h"
#include "client/request.h"
#include "client/session.h"
#include "client/size_format.h"
#include "client/table.h"
#include "client/text.h"
#include "client/time_format.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define MANY 40 /* rows: every child of a 'tmctl run' leaves two, and a script or a build has hundreds of them */

struct list {
        const struct options *options;
        struct table *table;
        struct terminal terminal;
        uint64_t n;
};

static const struct table_column columns[] = {
        {.heading = "ID", .right = 1},
        {.heading = "SET", .right = 1, .rank = 4},
        {.heading = "KIND", .rank = 2},
        {.heading = "TAKEN", .rank = 3},
        {.heading = "PID", .right = 1, .rank = 5},
        {.heading = "USER", .rank = 10},
        {.heading = "NAME", .stretches = 1, .rank = 1},
        {.heading = "SIZE", .right = 1},
        {.heading = "COUNT", .right = 1, .rank = 9},
        {.heading = "INEXACT"},
        {.heading = "LABEL", .stretches = 1, .rank = 6},
        {.heading = "ENDED BY", .stretches = 1, .rank = 7},
        {.heading = "UNIT", .stretches = 1, .rank = 8},
        {.heading = "IMAGE", .right = 1, .rank = 11},
        {.heading = "PPID", .right = 1, .rank = 12},
        {.heading = "STARTED", .rank = 13},
        {.heading = "CGROUP", .stretches = 1, .rank = 14},
};

static void text_cell(struct list *list, const char *text) {
        table_cell(list->table, text_display(text, strlen(text)));
}

static void bytes_cell(struct list *list, const ProtobufCBinaryData *bytes) {
        table_cell(list->table, text_display(bytes->data, bytes->len));
}

/* 0: unknown */
static void number_cell(struct list *list, uint64_t n) {
        table_cell(list->table, n != 0 ? memory_format("%" PRIu64, n) : memory_copy("", 0));
}

static void add_row(struct list *list, const Tracemallocd__Control__SnapshotInfo *s) {
        char text[TIME_FORMAT_MAX], size[SIZE_FORMAT_MAX];
        table_cell(list->table, memory_format("%" PRId64, s->id));
        table_cell(list->table, s->set != 0 ? memory_format("s%" PRId64, s->set) : memory_copy("", 0));
        text_cell(list, s->kind);
        text_cell(list, time_format_table(text, s->taken_at_unix_ns, list->terminal.width > 0));
        number_cell(list, s->pid);
        table_cell(list->table, user_name(s->uid));
        bytes_cell(list, &s->name);
        text_cell(list, size_format(size, (double)s->size, false));
        table_cell(list->table, memory_format("%" PRIu64, s->count));
        table_cell(list->table, memory_copy("yes", s->exact ? 0 : 3));
        bytes_cell(list, &s->label);
        bytes_cell(list, &s->ended_by);
        table_cell(list->table, unit_name(s->unit.data, s->unit.len));
        number_cell(list, s->image);
        number_cell(list, s->ppid);
        time_format_table(text, s->started_at_unix_ns, list->terminal.width > 0);
        /* an imported file knows only when it was written */
        text_cell(list, s->started_at_unix_ns != 0 && strcmp(s->kind, "import") != 0 ? text : "");
        bytes_cell(list, &s->cgroup);
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct list *list = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_SNAPSHOT)
                return EXIT_CODE_DONE;
        if (list->options->json) {
                fputs(list->n > 0 ? ",\n" : "[", stdout);
                json_print(stdout, json_snapshot(reply->snapshot));
        } else {
                add_row(list, reply->snapshot);
        }
        list->n++;
        return EXIT_CODE_DONE;
}

static bool is_narrowed(const struct options *o) {
        return options_selects(o) || o->label || o->kind || o->since_unix_ns;
}

static void remark(const struct list *list, const char *text) {
        AUTO_FREE char *lines = paragraph_format(text, list->terminal.width, 0);
        puts(lines);
}

static void finish(const struct list *list) {
        if (list->options->json) {
                puts(list->n > 0 ? "]" : "[]");
                return;
        }
        if (list->n == 0) {
                remark(list, is_narrowed(list->options) ? "No snapshot fits; 'tmctl list' shows all."
                                                        : "No snapshots. 'tmctl snapshot --pid PID' takes one.");
                return;
        }
        table_print(list->table, stdout, &list->terminal);
        if (list->terminal.width > 0 && list->n >= MANY && !is_narrowed(list->options))
                remark(list, "Fewer: --kind request is what was asked for, --name, --label, --since 10m.");
}

static int list_run(const struct options *o) {
        if (o->label && option_not_empty("--label", o->label) != 0) /* of a script, which would delete them all */
                return EXIT_CODE_USAGE;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__ListRequest body = TRACEMALLOCD__CONTROL__LIST_REQUEST__INIT;
        Tracemallocd__Control__ProcessSelector selector;
        request_init(&request);
        request_selector_init(&selector, o);
        body.selector = &selector;
        body.label = request_bytes(o->label);
        if (o->kind)
                body.kind = (char *)o->kind;
        body.since_unix_ns = o->since_unix_ns;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_LIST;
        request.list = &body;
        struct list list = {.options = o, .table = table_new(columns, sizeof columns / sizeof columns[0])};
        terminal_init(&list.terminal, STDOUT_FILENO, o->color);
        int code = session_call(o, &request, take, &list);
        if (code == EXIT_CODE_DONE)
                finish(&list);
        table_free(list.table);
        request_selector_deinit(&selector);
        return code;
}

const struct command command_list = {
        .name = "list",
        .arguments = "",
        .summary = "Show the stored snapshots",
        .description = "",
        .example = "  tmctl list --name 'redis*' --kind exit --since 2h\n",
        .sets = OPTION_SET_SELECT | OPTION_SET_LIST | OPTION_SET_JSON,
        .usage_code = EXIT_CODE_USAGE,
        .run = list_run,
};
