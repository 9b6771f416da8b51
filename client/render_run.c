/* SPDX-License-Identifier: Apache-2.0 */

/* What tmctl run says at the end. */

#include "client/render_run.h"

#include "client/memory.h"
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
        {.heading = "PID", .right = 1},
        {.heading = "NAME", .stretches = 1},
        {.heading = "NEVER FREED", .right = 1},
        {.heading = "SNAPSHOT", .right = 1},
        {.heading = "PEAK", .right = 1},
        {.heading = "SNAPSHOT", .right = 1},
        {.heading = "ENDED BY"},
};

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
        fprintf(out, "%stmctl: %s (pid %u) ran for %s, %s%s\n", terminal_begin(t, STYLE_STRONG), name, p->process->pid,
                time_format_span(span, child->ran_ns), end, terminal_end(t, STYLE_STRONG));
}

/* "  never freed  10.2 MiB in 12345 blocks      exit snapshot 17" */
static void amount_line(FILE *out, const char *what, const char *amount, const char *kind, int64_t snapshot) {
        if (snapshot != 0)
                fprintf(out, "  %-12s %-34s %s snapshot %" PRId64 "\n", what, amount, kind, snapshot);
        else
                fprintf(out, "  %-12s %s\n", what, amount);
}

static char *size_and_count(uint64_t size, uint64_t count) {
        AUTO_FREE char *text = size_text(size);
        if (count == 0)
                return memory_copy("nothing", strlen("nothing"));
        return memory_format("%s in %" PRIu64 " %s", text, count, count == 1 ? "block" : "blocks");
}

/* The command to type: the daemon is to be the same. */
static void stats_command(FILE *out, const struct options *o, int64_t snapshot, const char *what) {
        fprintf(out, "tmctl stats %" PRId64, snapshot);
        if (o->runtime_dir)
                fprintf(out, " --runtime-dir %s", o->runtime_dir);
        else if (o->system || o->user)
                fputs(o->system ? " --system" : " --user", out);
        fprintf(out, " (%s)", what);
}

/* The snapshot that answers more comes first: a server that leaks ends near its peak, a job has freed nearly everything
 * when it ends. Where both would say much the same, one is enough. */
static void next_commands(FILE *out, const struct options *o, const Tracemallocd__Control__RunProcess *p) {
        uint64_t live = p->process->live_size, peak = p->process->peak_size;
        bool has_exit = p->exit_snapshot != 0 && (live > 0 || p->peak_snapshot == 0);
        bool has_peak = p->peak_snapshot != 0 && (!has_exit || live < peak - peak / 10);
        if (!has_peak) {
                stats_command(out, o, p->exit_snapshot, "by line, what was never freed");
        } else if (!has_exit) {
                stats_command(out, o, p->peak_snapshot, "by line, what made the peak");
        } else {
                bool peak_first = live < peak / 2;
                stats_command(out, o, peak_first ? p->peak_snapshot : p->exit_snapshot,
                              peak_first ? "the peak" : "never freed");
                fputs(", ", out);
                stats_command(out, o, peak_first ? p->exit_snapshot : p->peak_snapshot,
                              peak_first ? "never freed" : "the peak");
        }
}

/* What it held at its end says something of a process that ended, not of one that became another by exec. */
static void next_command_of_child(FILE *out, const struct options *o, const Tracemallocd__Control__RunProcess *p) {
        AUTO_FREE char *name = text_display(p->process->name.data, p->process->name.len);
        AUTO_FREE char *never_freed = memory_format("by line, what %s never freed", name);
        AUTO_FREE char *peak = memory_format("by line, the peak of %s", name);
        bool execed = p->ended_by.len == strlen("exec") && memcmp(p->ended_by.data, "exec", p->ended_by.len) == 0;
        bool by_exit = p->exit_snapshot != 0 &&
                       (p->peak_snapshot == 0 || (!execed && p->process->live_size >= p->process->peak_size / 2));
        stats_command(out, o, by_exit ? p->exit_snapshot : p->peak_snapshot, by_exit ? never_freed : peak);
}

/* Where the command only started others, like a compiler's driver or a script, the memory is theirs. */
static const Tracemallocd__Control__RunProcess *most_interesting(Tracemallocd__Control__RunProcess *const *processes,
                                                                 size_t n) {
        const Tracemallocd__Control__RunProcess *best = processes[0];
        for (size_t i = 1; i < n; i++) {
                const Tracemallocd__Control__RunProcess *p = processes[i];
                bool stored = p->exit_snapshot != 0 || p->peak_snapshot != 0;
                if (stored && p->process->peak_size / 2 > processes[0]->process->peak_size &&
                    p->process->peak_size > best->process->peak_size)
                        best = p;
        }
        return best;
}

static void next_line(FILE *out, const struct options *o, Tracemallocd__Control__RunProcess *const *processes,
                      size_t n) {
        const Tracemallocd__Control__RunProcess *p = most_interesting(processes, n);
        if (p->process->peak_size == 0 && p->peak_snapshot != 0)
                return; /* nobody allocated anything */
        fprintf(out, "  %-12s ", "next");
        if (p != processes[0])
                next_command_of_child(out, o, p);
        else if (p->exit_snapshot != 0 || p->peak_snapshot != 0)
                next_commands(out, o, p);
        else
                fputs(o->no_exit_snapshot ? "nothing is stored with --no-exit-snapshot"
                                          : "nothing was stored; the daemon's log says why",
                      out);
        fputc('\n', out);
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
                amount_line(out, "allocated", allocated, "", 0);
        amount_line(out, "never freed", live, "exit", p->exit_snapshot);
        amount_line(out, "peak", peak, "peak", p->peak_snapshot);
        next_line(out, o, processes, n);
}

static void inexact_line(FILE *out, const struct terminal *t, const Tracemallocd__Control__RunProcess *p) {
        if (p->process->exact)
                return;
        fputs(terminal_begin(t, STYLE_WARNING), out);
        if (p->process->lost > 0)
                fprintf(out, "  inexact      %" PRIu64 " events were lost, so these numbers may be off",
                        p->process->lost);
        else
                fputs("  inexact      tracing did not see every event, so these numbers may be off", out);
        fprintf(out, "%s\n", terminal_end(t, STYLE_WARNING));
}

/* What nobody could know before: of a program that was started by another, or of an interpreter. */
static void untraced_line(FILE *out, const struct terminal *t, const Tracemallocd__Control__RunProcess *p) {
        AUTO_FREE char *note = text_display(p->layer_note, strlen(p->layer_note));
        if (note[0])
                fprintf(out, "%s  note         %s%s\n", terminal_begin(t, STYLE_WARNING), note,
                        terminal_end(t, STYLE_WARNING));
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
        AUTO_FREE char *note = text_display(p->layer_note, strlen(p->layer_note));
        return memory_format("%s%s%s%s", ended, p->process->exact ? "" : ", inexact", note[0] ? "; " : "", note);
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
        if (shown < n_all)
                fprintf(out, "  ... the %zu largest of %zu; an exec begins another row; 'tmctl list' shows all\n",
                        shown, n_all);
}

/* The terminal has written ^C, and the command that it ended no newline. */
static void leave_line_of_key(FILE *out, const struct terminal *t, const struct child *child) {
        int signal = WIFSIGNALED(child->wait_status) ? WTERMSIG(child->wait_status) : 0;
        if (t->width > 0 && (signal == SIGINT || signal == SIGQUIT))
                fputc('\n', out);
}

void render_run(FILE *out, const struct options *o, const struct child *child, const char *command,
                Tracemallocd__Control__RunProcess **processes, size_t n) {
        struct terminal terminal;
        terminal_init(&terminal, STDERR_FILENO, o->color);
        leave_line_of_key(out, &terminal, child);
        size_t n_all = n > 0 && processes[0]->others > n ? processes[0]->others : n;
        bool traced = n > 0 && is_command(processes[0], child);
        if (traced) {
                command_lines(out, &terminal, o, child, processes, n);
                inexact_line(out, &terminal, processes[0]);
                untraced_line(out, &terminal, processes[0]);
        } else {
                AUTO_FREE char *name = text_display(command, strlen(command));
                AUTO_FREE char *end = end_text(child);
                fprintf(out, "tmctl: %s (pid %d, %s) was not traced: its agent did not reach the daemon\n", name,
                        (int)child->pid, end);
        }
        children_table(out, &terminal, processes + traced, n - traced, n_all - traced);
        fflush(out);
}
