/* SPDX-License-Identifier: Apache-2.0 */

/* From pids, names and units to processes. Main loop. */

#include "daemon/control/selector.h"

#include "daemon/base/proc.h"
#include "daemon/daemon.h"
#include "daemon/process.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_SHOWN_BYTES 79 /* twice in a message; longer ones are no names of units that anybody typed */

static bool text_matches(const ProtobufCBinaryData *wanted, const char *text, bool unit) {
        char *pattern = strndup(wanted->len ? (const char *)wanted->data : "", wanted->len);
        if (!pattern)
                return false;
        bool yes = unit ? proc_unit_is(text, pattern) : fnmatch(pattern, text, 0) == 0;
        free(pattern);
        return yes;
}

static bool named(const Tracemallocd__Control__ProcessSelector *selector, const struct process *p) {
        for (size_t i = 0; i < selector->n_names; i++) {
                if (text_matches(&selector->names[i], p->name, false))
                        return true;
        }
        for (size_t i = 0; i < selector->n_units; i++) {
                if (text_matches(&selector->units[i], p->proc.unit, true))
                        return true;
        }
        return false;
}

static bool has_pid(const Tracemallocd__Control__ProcessSelector *selector, const struct process *p) {
        for (size_t i = 0; i < selector->n_pids; i++) {
                if ((pid_t)selector->pids[i] == p->proc.pid)
                        return true;
        }
        return false;
}

bool selector_matches(const Tracemallocd__Control__ProcessSelector *selector, const struct process *p) {
        return has_pid(selector, p) || named(selector, p);
}

char **selector_texts(const ProtobufCBinaryData *texts, size_t n) {
        char **copies = calloc(n + 1, sizeof *copies);
        for (size_t i = 0; copies && i < n; i++) {
                copies[i] = strndup(texts[i].len ? (const char *)texts[i].data : "", texts[i].len);
                if (!copies[i]) {
                        selector_texts_free(copies);
                        return NULL;
                }
        }
        return copies;
}

void selector_texts_free(char **texts) {
        for (size_t i = 0; texts && texts[i]; i++)
                free(texts[i]);
        free(texts);
}

static int fail(struct selection *s, int code, const char *format, unsigned pid) {
        snprintf(s->message, sizeof s->message, format, pid);
        selection_deinit(s);
        return code;
}

bool selector_fits(const Tracemallocd__Control__ProcessSelector *selector) {
        return !selector || tracemallocd__control__process_selector__get_packed_size(selector) <= SELECTOR_BYTES_MAX;
}

static int check_pids(struct daemon *d, const struct credentials *who,
                      const Tracemallocd__Control__ProcessSelector *selector, struct selection *s) {
        for (size_t i = 0; i < selector->n_pids; i++) {
                const struct process *p = process_find(d, (pid_t)selector->pids[i]);
                s->missing_pid = selector->pids[i];
                if (!p) {
                        untraced_pid_message(s->missing_pid, s->message);
                        selection_deinit(s);
                        return SELECTOR_E_NOT_FOUND;
                }
                if (!credentials_may(who, p->uid))
                        return fail(s, SELECTOR_E_DENIED, "process %u belongs to another user", s->missing_pid);
        }
        s->missing_pid = 0;
        return 0;
}

/* With how what was asked for comes to be traced. */
static int fail_nothing_fits(const Tracemallocd__Control__ProcessSelector *selector, struct selection *s) {
        const ProtobufCBinaryData *unit = selector->n_units == 1 && selector->n_names == 0 ? selector->units : NULL;
        if (unit && unit->len <= UNIT_SHOWN_BYTES)
                snprintf(s->message, sizeof s->message,
                         "no process of unit %.*s is traced; 'tmctl unit trace %.*s --restart' does that, 'tmctl ps' "
                         "shows what is",
                         (int)unit->len, (const char *)unit->data, (int)unit->len, (const char *)unit->data);
        else
                snprintf(s->message, sizeof s->message,
                         "no traced process fits; 'tmctl ps' shows those that there are, 'tmctl run' and 'tmctl unit "
                         "trace' start more");
        selection_deinit(s);
        return SELECTOR_E_NOT_FOUND;
}

int selection_make(struct daemon *d, const struct credentials *who,
                   const Tracemallocd__Control__ProcessSelector *selector, bool everything, struct selection *s) {
        static const Tracemallocd__Control__ProcessSelector none = TRACEMALLOCD__CONTROL__PROCESS_SELECTOR__INIT;
        *s = (struct selection){0};
        if (!selector)
                selector = &none;
        if (!selector_fits(selector))
                return fail(s, SELECTOR_E_USAGE, SELECTOR_MESSAGE_TOO_LONG, 0);
        for (struct process *p = d->processes; p; p = p->next)
                process_notice_end(p);
        int r = check_pids(d, who, selector, s);
        if (r != 0)
                return r;
        bool all = everything && !selector->n_pids && !selector->n_names && !selector->n_units;
        s->processes = calloc(process_count(d) + 1, sizeof *s->processes);
        if (!s->processes)
                return -ENOMEM;
        struct process *last = d->processes;
        while (last && last->next)
                last = last->next;
        for (struct process *p = last; p; p = p->previous) {
                if (p->state == PROCESS_ALIVE && credentials_may(who, p->uid) && (all || selector_matches(selector, p)))
                        s->processes[s->n_processes++] = p;
        }
        if (s->n_processes == 0 && !all)
                return fail_nothing_fits(selector, s);
        return 0;
}

void selection_deinit(struct selection *s) {
        free(s->processes);
        s->processes = NULL;
        s->n_processes = 0;
}
