/* SPDX-License-Identifier: Apache-2.0 */

/* What tmctl run says at the end. */

#include "client/render_run.h"

#include "client/beside_malloc.h"
#include "client/memory.h"
#include "client/next_commands.h"
#include "client/paragraph.h"
#include "client/size_format.h"
#include "client/table.h"
#include "client/terminal.h"
#include "client/text.h"
#include "client/time_format.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_SHOWN 5

static const struct table_column columns[] = {
        {.heading = "PID", .right = 1, .rank = 1},
        {.heading = "NAME", .stretches = 1},
        {.heading = "NEVER FREED", .right = 1, .rank = 3},
        {.heading = "SNAPSHOT", .right = 1, .rank = 2},
        {.heading = "PEAK", .right = 1},
        {.heading = "SNAPSHOT", .right = 1},
        {.heading = "ENDED BY", .stretches = 1, .rank = 4},
};

#define AMOUNT_WIDTH 34 /* "1023 TiB in 18446744073709551615 blocks" is rare */
#define TEXT_INDENT  15 /* strlen("  never freed  ") */

/* "  note         it fits the terminal" */
static void sentence_line(FILE *out, const struct terminal *t, enum style style, const char *what, const char *text) {
        AUTO_FREE char *line = memory_format("  %-12s %s", what, text);
        AUTO_FREE char *lines = paragraph_format(line, t->width, TEXT_INDENT);
        fprintf(out, "%s%s%s\n", terminal_begin(t, style), lines, terminal_end(t, style));
}

static char *size_text(uint64_t size) {
        char text[SIZE_FORMAT_MAX];
        size_format(text, (double)size, false);
        return memory_copy(text, strlen(text));
}

static char *end_text(const struct child *child) {
        if (WIFSIGNALED(child->wait_status))
                return memory_format("ended by signal %d (%s)", WTERMSIG(child->wait_status),
                                     strsignal(WTERMSIG(child->wait_status)));
        return memory_format("exit status %d", WEXITSTATUS(child->wait_status));
}

static bool is_command(const Tracemallocd__Control__RunProcess *p, const struct child *child) {
        uint32_t pid = (uint32_t)child->pid;
        return p->process && (p->process->pid == pid || p->process->ns_pid == pid);
}

static void first_line(FILE *out, const struct terminal *t, const struct child *child,
                       const Tracemallocd__Control__RunProcess *p) {
        char span[TIME_FORMAT_MAX];
        AUTO_FREE char *name = text_display(p->process->name.data, p->process->name.len);
        AUTO_FREE char *end = end_text(child);
        AUTO_FREE char *line = memory_format("tmctl: %s (pid %u) ran for %s, %s", name, p->process->pid,
                                             time_format_span(span, child->ran_ns), end);
        AUTO_FREE char *lines = paragraph_format(line, t->width, 2);
        fprintf(out, "%s%s%s\n", terminal_begin(t, STYLE_STRONG), lines, terminal_end(t, STYLE_STRONG));
}

/* "  never freed  10.2 MiB in 12345 blocks      exit snapshot 17" */
static void amount_line(FILE *out, const struct terminal *t, const char *what, const char *amount, const char *kind,
                        int64_t snapshot) {
        AUTO_FREE char *stored = snapshot != 0 ? memory_format("%s snapshot %" PRId64, kind, snapshot) : NULL;
        size_t needed = TEXT_INDENT + (stored ? AMOUNT_WIDTH + 1 + text_width(stored) : text_width(amount));
        if (t->width == 0 || needed <= t->width) {
                fprintf(out, "  %-12s %-*s%s\n", what, stored ? AMOUNT_WIDTH + 1 : 0, amount, stored ? stored : "");
                return;
        }
        AUTO_FREE char *both = memory_format("%s%s%s", amount, stored ? ", " : "", stored ? stored : "");
        sentence_line(out, t, STYLE_PLAIN, what, both);
}

static char *size_and_count(uint64_t size, uint64_t count) {
        AUTO_FREE char *text = size_text(size);
        if (count == 0)
                return memory_copy("nothing", strlen("nothing"));
        return memory_format("%s in %" PRIu64 " %s", text, count, count == 1 ? "block" : "blocks");
}

static void next_line(FILE *out, const struct terminal *t, const struct options *o,
                      Tracemallocd__Control__RunProcess *const *processes, size_t n) {
        struct next_commands next;
        next_commands_init(&next, o, processes, n);
        bool narrow = false;
        for (size_t i = 0; i < next.n; i++)
                narrow |= t->width > 0 && TEXT_INDENT + text_width(next.commands[i]) + strlen(",") > t->width;
        AUTO_FREE char *text = paragraph_fields(next.commands, next.n, narrow ? 0 : t->width, TEXT_INDENT, TEXT_INDENT);
        if (narrow)
                sentence_line(out, t, STYLE_PLAIN, "next", text);
        else if (next.n > 0)
                fprintf(out, "  %-12s %s\n", "next", text);
        next_commands_deinit(&next);
}

static void command_lines(FILE *out, const struct terminal *t, const struct options *o, const struct child *child,
                          Tracemallocd__Control__RunProcess *const *processes, size_t n) {
        const Tracemallocd__Control__RunProcess *p = processes[0];
        AUTO_FREE char *allocated = size_and_count(p->allocated_size, p->allocated_count);
        AUTO_FREE char *live = size_and_count(p->process->live_size, p->process->live_count);
        AUTO_FREE char *peak = size_text(p->process->peak_size);
        first_line(out, t, child, p);
        /* counted with the exit snapshot only */
        if (p->exit_snapshot != 0 || p->allocated_count > 0)
                amount_line(out, t, "allocated", allocated, "", 0);
        amount_line(out, t, "never freed", live, "exit", p->exit_snapshot);
        amount_line(out, t, "peak", peak, "peak", p->peak_snapshot);
        next_line(out, t, o, processes, n);
}

static void inexact_line(FILE *out, const struct terminal *t, const Tracemallocd__Control__RunProcess *p) {
        if (p->process->exact)
                return;
        AUTO_FREE char *what = p->process->lost > 0 ? memory_format("%" PRIu64 " events were lost", p->process->lost)
                                                    : memory_format("tracing did not see every event");
        AUTO_FREE char *text = memory_format("%s, so these numbers may be off", what);
        sentence_line(out, t, STYLE_WARNING, "inexact", text);
}

/* What nobody could know before: of a program that was started by another, or of an interpreter. */
static void note_line(FILE *out, const struct terminal *t, const Tracemallocd__Control__RunProcess *p, bool child) {
        AUTO_FREE char *note = text_display(p->layer_note, strlen(p->layer_note));
        AUTO_FREE char *name = text_display(p->process->name.data, p->process->name.len);
        AUTO_FREE char *whole = child ? memory_format("%s (pid %u): %s", name, p->process->pid, note) : NULL;
        if (note[0])
                sentence_line(out, t, STYLE_WARNING, "note", whole ? whole : note);
}

static int by_peak(const void *a, const void *b) {
        const Tracemallocd__Control__RunProcess *left = *(Tracemallocd__Control__RunProcess *const *)a;
        const Tracemallocd__Control__RunProcess *right = *(Tracemallocd__Control__RunProcess *const *)b;
        return (left->process->peak_size < right->process->peak_size) -
               (left->process->peak_size > right->process->peak_size);
}

static char *id_cell(int64_t id) {
        return id != 0 ? memory_format("%" PRId64, id) : memory_copy("", 0);
}

static char *ended_cell(const Tracemallocd__Control__RunProcess *p) {
        if (p->ended_by.len == 0)
                return memory_copy("runs on", strlen("runs on"));
        AUTO_FREE char *ended = text_display(p->ended_by.data, p->ended_by.len);
        return memory_format("%s%s", ended, p->process->exact ? "" : ", inexact");
}

static void child_row(struct table *table, const Tracemallocd__Control__RunProcess *p) {
        table_cell(table, memory_format("%u", p->process->pid));
        table_cell(table, text_display(p->process->name.data, p->process->name.len));
        table_cell(table, size_text(p->process->live_size));
        table_cell(table, id_cell(p->exit_snapshot));
        table_cell(table, size_text(p->process->peak_size));
        table_cell(table, id_cell(p->peak_snapshot));
        table_cell(table, ended_cell(p));
}

static void children_table(FILE *out, const struct terminal *t, Tracemallocd__Control__RunProcess **children, size_t n,
                           size_t n_all) {
        if (n == 0)
                return;
        qsort(children, n, sizeof *children, by_peak);
        size_t shown = n < CHILDREN_SHOWN ? n : CHILDREN_SHOWN;
        struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
        for (size_t i = 0; i < shown; i++)
                child_row(table, children[i]);
        table_print(table, out, t);
        table_free(table);
        for (size_t i = 0; i < shown; i++)
                note_line(out, t, children[i], true);
        if (shown == n_all)
                return;
        AUTO_FREE char *more = memory_format(
                "  ... the %zu largest of %zu; an exec begins another row; 'tmctl list' shows all", shown, n_all);
        AUTO_FREE char *lines = paragraph_format(more, t->width, strlen("  ... "));
        fprintf(out, "%s\n", lines);
}

static void beside_line(FILE *out, const struct terminal *t, Tracemallocd__Control__RunProcess *const *processes,
                        size_t n) {
        struct beside_malloc beside = {0};
        for (size_t i = 0; i < n; i++)
                beside_malloc_add_process(&beside, processes[i]->process);
        AUTO_FREE char *clause = beside_malloc_clause(&beside);
        if (clause)
                sentence_line(out, t, STYLE_PLAIN, "note", clause);
        beside_malloc_deinit(&beside);
}

/* A server that went to the background, say. */
static void running_line(FILE *out, const struct terminal *t, const struct options *o, uint32_t n) {
        if (n == 0)
                return;
        AUTO_FREE char *daemon = next_commands_daemon(o);
        AUTO_FREE char *text = memory_format("%u traced %s on; 'tmctl ps%s' names %s", n,
                                             n == 1 ? "child goes" : "children go", daemon, n == 1 ? "it" : "them");
        sentence_line(out, t, STYLE_PLAIN, "running", text);
}

/* The terminal has written ^C, and the command that it ended no newline. */
static void leave_line_of_key(FILE *out, const struct terminal *t, const struct child *child) {
        int signal = WIFSIGNALED(child->wait_status) ? WTERMSIG(child->wait_status) : 0;
        if (t->width > 0 && (signal == SIGINT || signal == SIGQUIT))
                fputc('\n', out);
}

static void not_traced_line(FILE *out, const struct terminal *t, const struct connection *c, const struct child *child,
                            const char *command) {
        AUTO_FREE char *name = text_display(command, strlen(command));
        AUTO_FREE char *end = end_text(child);
        AUTO_FREE char *line = memory_format(
                "tmctl: %s (pid %d, %s) was not traced: its agent did not reach %s/agent.sock; %s may say why", name,
                (int)child->pid, end, c->runtime_dir, c->system ? "'journalctl -u tracemallocd'" : "the daemon's log");
        AUTO_FREE char *lines = paragraph_format(line, t->width, 2);
        fprintf(out, "%s\n", lines);
}

void render_run(FILE *out, const struct options *o, const struct connection *connection, const struct child *child,
                const char *command, Tracemallocd__Control__RunProcess **processes, size_t n) {
        struct terminal terminal;
        terminal_init(&terminal, STDERR_FILENO, o->color);
        leave_line_of_key(out, &terminal, child);
        size_t n_all = n > 0 && processes[0]->others > n ? processes[0]->others : n;
        uint32_t n_running = n > 0 ? processes[0]->running : 0;
        bool traced = n > 0 && is_command(processes[0], child);
        if (traced) {
                command_lines(out, &terminal, o, child, processes, n);
                inexact_line(out, &terminal, processes[0]);
                note_line(out, &terminal, processes[0], false);
        } else {
                not_traced_line(out, &terminal, connection, child, command);
        }
        beside_line(out, &terminal, processes, n);
        running_line(out, &terminal, o, n_running);
        children_table(out, &terminal, processes + traced, n - traced, n_all - traced);
        fflush(out);
}
