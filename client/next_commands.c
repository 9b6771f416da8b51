/* SPDX-License-Identifier: Apache-2.0 */

/* Which snapshots of a run answer most. Called by render_run.c. */

#include "client/next_commands.h"

#include "client/memory.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void add(struct next_commands *next, char *text) {
        next->commands[next->n++] = text;
}

char *next_commands_daemon(const struct options *o) {
        const char *option = o->runtime_dir ? " --runtime-dir " : o->system ? " --system" : o->user ? " --user" : "";
        return memory_format("%s%s", option, o->runtime_dir ? o->runtime_dir : "");
}

static void add_stats(struct next_commands *next, const struct options *o, int64_t snapshot, const char *what) {
        AUTO_FREE char *daemon = next_commands_daemon(o);
        add(next, memory_format("tmctl stats %" PRId64 "%s (%s)", snapshot, daemon, what));
}

/* The snapshot that answers more comes first: a server that leaks ends near its peak, a job has freed nearly everything
 * when it ends. Where both would say much the same, one is enough. */
static void add_both(struct next_commands *next, const struct options *o, const Tracemallocd__Control__RunProcess *p) {
        uint64_t live = p->process->live_size, peak = p->process->peak_size;
        bool has_exit = p->exit_snapshot != 0 && (live > 0 || p->peak_snapshot == 0);
        bool has_peak = p->peak_snapshot != 0 && (!has_exit || live < peak - peak / 10);
        bool peak_first = live < peak / 2;
        if (has_peak && has_exit && peak_first)
                add_stats(next, o, p->peak_snapshot, "the peak");
        if (has_exit)
                add_stats(next, o, p->exit_snapshot, has_peak ? "never freed" : "by line, what was never freed");
        if (has_peak && !(has_exit && peak_first))
                add_stats(next, o, p->peak_snapshot, has_exit ? "the peak" : "by line, what made the peak");
}

/* What it held at its end says something of a process that ended, not of one that became another by exec. */
static void add_of_child(struct next_commands *next, const struct options *o,
                         const Tracemallocd__Control__RunProcess *p) {
        AUTO_FREE char *name = text_display(p->process->name.data, p->process->name.len);
        AUTO_FREE char *never_freed = memory_format("by line, what %s never freed", name);
        AUTO_FREE char *peak = memory_format("by line, the peak of %s", name);
        bool execed = p->ended_by.len == strlen("exec") && memcmp(p->ended_by.data, "exec", p->ended_by.len) == 0;
        bool by_exit = p->exit_snapshot != 0 &&
                       (p->peak_snapshot == 0 || (!execed && p->process->live_size >= p->process->peak_size / 2));
        add_stats(next, o, by_exit ? p->exit_snapshot : p->peak_snapshot, by_exit ? never_freed : peak);
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

void next_commands_init(struct next_commands *next, const struct options *o,
                        Tracemallocd__Control__RunProcess *const *processes, size_t n) {
        const Tracemallocd__Control__RunProcess *p = most_interesting(processes, n);
        *next = (struct next_commands){0};
        if (p->process->peak_size == 0 && p->peak_snapshot != 0)
                return; /* nobody allocated anything */
        if (p != processes[0])
                add_of_child(next, o, p);
        else if (p->exit_snapshot != 0 || p->peak_snapshot != 0)
                add_both(next, o, p);
        else if (o->no_exit_snapshot)
                add(next, memory_format("nothing is stored with --no-exit-snapshot"));
        else
                add(next, memory_format("nothing was stored; the daemon's log says why"));
}

void next_commands_deinit(struct next_commands *next) {
        for (size_t i = 0; i < next->n; i++)
                free(next->commands[i]);
}
