/* SPDX-License-Identifier: Apache-2.0 */

/* Is a service that was started traced, and by what name? Called by command_unit.c, as root. */

#include "client/unit_watch.h"

#include "client/elf_check.h"
#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/process_environment.h"
#include "client/request.h"
#include "client/systemctl.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GREETING_SECONDS 10 /* a service that was started allocates at once, and its agent greets then */
#define SCRIPT_LOOKS     5  /* half a second: who starts another program in its place does so at once */

static const struct timespec look_pause = {.tv_nsec = 100 * 1000 * 1000};

struct watch {
        const char *unit;
        bool oneshot;
        uint32_t pid; /* 0: not seen yet */
        bool listed;  /* it was, when the daemon was asked last */
        char *name;
};

static int take_process(void *context, const Tracemallocd__Control__Reply *reply) {
        struct watch *w = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_PROCESS)
                return EXIT_CODE_DONE;
        const Tracemallocd__Control__Process *p = reply->process;
        w->listed |= p->pid == w->pid;
        if (!w->pid && p->unit.len == strlen(w->unit) && memcmp(p->unit.data, w->unit, p->unit.len) == 0) {
                w->pid = p->pid;
                w->name = text_display(p->name.data, p->name.len);
        }
        return EXIT_CODE_DONE;
}

static int look(struct connection *connection, struct watch *w) {
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__PsRequest body = TRACEMALLOCD__CONTROL__PS_REQUEST__INIT;
        request_init(&request);
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_PS;
        request.ps = &body;
        return connection_call(connection, &request, take_process, w);
}

/* Return: heap; empty: systemd does not say. */
static char *property(const char *unit, const char *name) {
        const char *arguments[] = {"show", "-p", name, "--", unit, NULL};
        AUTO_FREE char *shown = NULL;
        return systemctl_run(arguments, &shown) == 0 ? systemctl_property(shown, name) : memory_copy("", 0);
}

/* A oneshot's start is under way while its commands run. */
static bool has_ended(const struct watch *w) {
        if (!w->oneshot)
                return false;
        AUTO_FREE char *job = property(w->unit, "Job");
        return !job[0] || strcmp(job, "0") == 0;
}

static int say_ended(const char *unit) {
        const char *arguments[] = {"is-failed", "--quiet", "--", unit, NULL};
        if (systemctl_run(arguments, NULL) == 0) {
                message_error("%s failed; 'journalctl -u %s' may say why", unit, unit);
                return EXIT_CODE_FAILED;
        }
        printf("%s has run to its end. Of processes that lived for exit_min_age, see tracemallocd.conf(5),\n"
               "there are exit and peak snapshots.\n",
               unit);
        return EXIT_CODE_DONE;
}

/* Return: the unit's main process, if the agent's environment did not reach it; else 0. */
static unsigned long process_without_agent(const char *unit) {
        AUTO_FREE char *pid = property(unit, "MainPID");
        unsigned long number = strtoul(pid, NULL, 10);
        return process_environment_lacks(number, "LD_PRELOAD") ? number : 0;
}

static int say_not_reached(const char *unit) {
        unsigned long pid = process_without_agent(unit);
        if (pid)
                message_error("%s runs (pid %lu) without the environment that its unit gives it: what starts it clears "
                              "that; put what 'tmctl env' prints where it takes its environment from",
                              unit, pid);
        else
                message_error("%s was restarted, but none of its processes has reached the daemon; 'journalctl -u %s' "
                              "may say why",
                              unit, unit);
        return EXIT_CODE_FAILED;
}

/* What a process runs. Return: heap; empty: it has ended. */
static char *program_of(const char *exe) {
        char path[PATH_MAX];
        ssize_t n = readlink(exe, path, sizeof path);
        return memory_copy(path, n < 0 ? 0 : (size_t)n);
}

static const char *base_name(const char *path) {
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

/* Shells, env and the like are there to start another program in their place, and so are often scripts, which have
 * names of their own. */
static bool may_have_successor(const char *name, const char *program) {
        static const char *const starters[] = {"sh", "dash", "bash", "env", "nice", "ionice", "setpriv", "taskset"};
        for (size_t i = 0; i < sizeof starters / sizeof starters[0]; i++)
                if (strcmp(name, starters[i]) == 0)
                        return true;
        return strcmp(name, base_name(program)) != 0;
}

/* Whether the daemon still has it. It gives up a program that became one without an agent after 200 ms. */
static int look_again(struct connection *connection, struct watch *w) {
        w->listed = false;
        return look(connection, w);
}

/* Nobody else sees the exec of a program that no agent is loaded into. */
static int check_program(const struct watch *w, const char *exe, const char *program) {
        enum elf_verdict verdict = elf_check(exe);
        if (verdict == ELF_STATIC || verdict == ELF_OTHER_CLASS || verdict == ELF_OTHER_LIBC) {
                message_error("%s (pid %u) was traced, and started in its place %s, which %s", w->name, w->pid, program,
                              elf_verdict_text(verdict));
                return EXIT_CODE_FAILED;
        }
        if (!w->listed && process_environment_lacks(w->pid, "LD_PRELOAD")) {
                message_error("%s (pid %u) was traced, and started %s in its place without the environment that its "
                              "unit gives it; put what 'tmctl env' prints where that is to get its own from",
                              w->name, w->pid, program);
                return EXIT_CODE_FAILED;
        }
        return EXIT_CODE_DONE;
}

/* Until nothing more has come for half a second. Return: heap; the program that is there now. */
static char *await_successor(const struct watch *w, const char *exe) {
        char *program = program_of(exe);
        int looks = may_have_successor(w->name, program) ? SCRIPT_LOOKS : 0;
        for (int i = 0; i < SCRIPT_LOOKS * 4 && looks > 0; i++, looks--) {
                nanosleep(&look_pause, NULL);
                char *now = program_of(exe);
                if (now[0] && strcmp(now, program) != 0)
                        looks = SCRIPT_LOOKS + 1;
                free(now[0] ? program : now);
                program = now[0] ? now : program;
        }
        return program;
}

static int conclude(struct connection *connection, struct watch *w, bool ended) {
        if (!w->pid)
                return ended ? say_ended(w->unit) : say_not_reached(w->unit);
        AUTO_FREE char *exe = memory_format("/proc/%u/exe", w->pid);
        AUTO_FREE char *first = program_of(exe), *last = await_successor(w, exe);
        int code = look_again(connection, w);
        if (code == EXIT_CODE_DONE)
                code = check_program(w, exe, last);
        if (code == EXIT_CODE_DONE)
                printf("%s (pid %u) is traced now.\n", strcmp(first, last) == 0 ? w->name : base_name(last), w->pid);
        return code;
}

int unit_watch(struct connection *connection, const char *unit, bool oneshot) {
        struct watch w = {.unit = unit, .oneshot = oneshot};
        int code = EXIT_CODE_DONE;
        bool ended = false, hopeless = false;
        for (int i = 0; i < GREETING_SECONDS * 10 && !w.pid && !ended && !hopeless && code == EXIT_CODE_DONE; i++) {
                if (i > 0)
                        nanosleep(&look_pause, NULL);
                ended = has_ended(&w); /* before the look, which then is one after the end */
                code = look(connection, &w);
                hopeless = i % 10 == 9 && process_without_agent(unit); /* once a second: that runs systemctl */
        }
        if (code == EXIT_CODE_DONE)
                code = conclude(connection, &w, ended);
        free(w.name);
        return code;
}
