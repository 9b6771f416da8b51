/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl unit */

#include "client/command.h"
#include "client/drop_in.h"
#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/names.h"
#include "client/request.h"
#include "client/session.h"
#include "client/systemctl.h"
#include "client/text.h"
#include "client/trace_environment.h"
#include "client/unit_check.h"
#include "client/unit_watch.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct unit {
        char *name;  /* as systemd calls it, with its suffix */
        char *shown; /* its properties */
        bool active;
        bool oneshot; /* started is, when it has ended */
};

static void unit_deinit(struct unit *u) {
        free(u->name);
        free(u->shown);
}

/* ---- asking systemd ---- */

static int show(const char *name, char **shownp) {
        static const char properties[] = "Id,LoadState,ActiveState,Type,ConsistsOf," UNIT_CHECK_PROPERTIES;
        const char *arguments[] = {"show", "-p", properties, "--", name, NULL};
        int r = systemctl_run(arguments, shownp);
        if (r == 0)
                return EXIT_CODE_DONE;
        if (r < 0)
                message_error("cannot run systemctl: %s", strerror(-r));
        else
                message_error("systemctl knows no unit '%s'; 'systemctl list-units --type service' shows them", name);
        return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_NOT_FOUND;
}

static bool ends_with(const char *text, const char *end) {
        size_t length = strlen(text), tail = strlen(end);
        return length > tail && strcmp(text + length - tail, end) == 0;
}

static int find_unit(struct unit *u, const char *name) {
        if (!systemctl_is_here()) {
                message_error("this machine does not run under systemd; 'tmctl run' or 'tmctl env' trace a program");
                return EXIT_CODE_FAILED;
        }
        if (ends_with(name, "@") || ends_with(name, "@.service")) {
                int length = (int)(strchr(name, '@') - name);
                message_error("'%s' is a template; name an instance of it: %.*s@NAME", name, length, name);
                return EXIT_CODE_USAGE;
        }
        if (!name[0] || strchr(name, '/')) {
                message_error("'%s' is no name of a unit", name);
                return EXIT_CODE_NOT_FOUND;
        }
        int code = show(name, &u->shown);
        if (code != EXIT_CODE_DONE)
                return code;
        u->name = systemctl_property(u->shown, "Id");
        AUTO_FREE char *load = systemctl_property(u->shown, "LoadState");
        AUTO_FREE char *state = systemctl_property(u->shown, "ActiveState");
        AUTO_FREE char *type = systemctl_property(u->shown, "Type");
        u->oneshot = strcmp(type, "oneshot") == 0;
        u->active = strcmp(state, "active") == 0 || strcmp(state, "reloading") == 0;
        if (strcmp(load, "loaded") == 0 && ends_with(u->name, ".service"))
                return EXIT_CODE_DONE;
        if (strcmp(load, "loaded") == 0) {
                message_error("%s is no service", u->name);
                return EXIT_CODE_USAGE;
        }
        message_error("%s is %s; 'systemctl list-unit-files --type service' shows the services (those of a user's own "
                      "systemd: see tmctl(1), unit trace)",
                      u->name, strcmp(load, "not-found") == 0 ? "not known to systemd" : load);
        return EXIT_CODE_NOT_FOUND;
}

/* @wait: until it is done */
static int order(const char *verb, const char *unit, bool wait) {
        const char *waiting[] = {verb, unit ? "--" : NULL, unit, NULL},
                   *queueing[] = {verb, "--no-block", "--", unit, NULL};
        int r = systemctl_run(wait ? waiting : queueing, NULL);
        if (r == 0)
                return EXIT_CODE_DONE;
        message_error("'systemctl %s%s%s' failed; 'journalctl -u %s' may say why", verb, unit ? " " : "",
                      unit ? unit : "", unit ? unit : "init.scope");
        return EXIT_CODE_FAILED;
}

static int cannot(const char *what, int error) {
        message_error("cannot %s: %s%s", what, strerror(-error),
                      error == -EACCES || error == -EPERM ? "; root may" : "");
        return error == -EACCES || error == -EPERM ? EXIT_CODE_DENIED : EXIT_CODE_FAILED;
}

static int need_root(void) {
        if (geteuid() == 0)
                return EXIT_CODE_DONE;
        message_error("only root may change how a service is started; try 'sudo tmctl unit ...' (of one's own systemd: "
                      "see tmctl(1), unit trace)");
        return EXIT_CODE_DENIED;
}

/* ---- trace ---- */

/* A private daemon ends when it is idle, and a service of another user cannot reach it. */
static int open_system(const struct options *o, struct connection **connectionp) {
        struct options system = *o;
        const char *chosen = getenv("TRACEMALLOCD_RUNTIME_DIR");
        if (o->user) {
                message_error("unit: a user's own daemon ends when it is idle; a service needs the system's");
                return EXIT_CODE_USAGE;
        }
        system.system = !o->runtime_dir && !(chosen && chosen[0]);
        int code = session_open(&system, connectionp);
        return code == EXIT_CODE_DONE ? trace_environment_check(*connectionp) : code;
}

static int check(const struct unit *u, const struct connection *c) {
        struct unit_findings findings;
        unit_check(u->shown, c->agent_path, c->runtime_dir, &findings);
        for (size_t i = 0; i < findings.n_problems; i++)
                message_error("%s: %s", u->name, findings.problems[i]);
        for (size_t i = 0; i < findings.n_doubts; i++)
                message_note("%s: %s", u->name, findings.doubts[i]);
        bool fine = findings.n_problems == 0;
        if (!fine)
                message_error("nothing was changed; 'systemctl edit %s' is the place for such additions, below "
                              "[Service]",
                              u->name);
        unit_findings_deinit(&findings);
        return fine ? EXIT_CODE_DONE : EXIT_CODE_FAILED;
}

/* The service is somebody's: where something went wrong, the way back is named. */
static int restart_traced(struct connection *connection, const struct unit *u) {
        int code = order("restart", u->name, !u->oneshot); /* such a one may take hours */
        if (code == EXIT_CODE_DONE)
                code = unit_watch(connection, u->name, u->oneshot);
        if (code != EXIT_CODE_DONE)
                message_note("'tmctl unit untrace %s --restart' takes the drop-in away again", u->name);
        return code;
}

/* A variable as the unit has it already: ours is added to it. */
static void take_variable(struct environment *e, const char *name, const char *all) {
        AUTO_FREE char *wanted = memory_format("%s=", name);
        const char *begin = strstr(all, wanted);
        while (begin && begin > all && !strchr(" \"", begin[-1])) /* the end of another's name */
                begin = strstr(begin + 1, wanted);
        if (!begin)
                return;
        bool quoted = begin > all && begin[-1] == '"';
        begin += strlen(wanted);
        AUTO_FREE char *value = memory_copy(begin, strcspn(begin, quoted ? "\"" : " "));
        environment_set(e, name, value);
}

static int write_drop_in(const struct unit *u, const struct options *o, const struct connection *c) {
        struct environment environment;
        AUTO_FREE char *path = NULL, *shown = systemctl_property(u->shown, "Environment");
        environment_init_empty(&environment);
        take_variable(&environment, "LD_PRELOAD", shown);
        take_variable(&environment, "ASAN_OPTIONS", shown);
        trace_environment_set(&environment, c, o, NULL);
        int r = drop_in_write(u->name, &environment, o->persist, &path);
        environment_deinit(&environment);
        if (r < 0)
                return cannot("write the drop-in", r);
        printf("Wrote %s%s\n", path, o->persist ? "" : " (until the next boot)");
        return EXIT_CODE_DONE;
}

/* By its own name: snapshots do not know of an alias. */
static void say_next(const struct unit *u, const struct options *o) {
        AUTO_FREE char *name = unit_name(u->name, strlen(u->name));
        const char *indent = "Next:";
        if (!o->restart) {
                printf("%s systemctl %s %s\n", indent, u->active ? "restart" : "start", u->name);
                indent = "     ";
        }
        printf("%s tmctl snapshot --unit %s%s\n", indent, name, u->oneshot ? "   # while it runs" : "");
        if (u->oneshot)
                printf("      tmctl list --unit %s       # when it has ended\n", name);
}

static int check_is_other(const struct unit *u) {
        if (strcmp(u->name, "tracemallocd.service") != 0)
                return EXIT_CODE_DONE;
        message_error("%s is what traces others; it does not trace itself", u->name);
        return EXIT_CODE_FAILED;
}

/* postgresql.service of Debian is there for its clusters alone. */
static int check_parts(const struct unit *u) {
        AUTO_FREE char *start = systemctl_property(u->shown, "ExecStart"),
                       *parts = systemctl_property(u->shown, "ConsistsOf");
        if (!parts[0] || !strstr(start, "path=/bin/true "))
                return EXIT_CODE_DONE;
        parts[strcspn(parts, " ")] = '\0';
        message_error("%s starts nothing itself; one of its parts does: 'tmctl unit trace %s'", u->name, parts);
        return EXIT_CODE_FAILED;
}

static int trace(const struct options *o, const char *name) {
        struct unit unit = {0};
        AUTO_CONNECTION struct connection *connection = NULL;
        int code = need_root(); /* before systemd is asked, whom another user may not even reach */
        if (code == EXIT_CODE_DONE)
                code = find_unit(&unit, name);
        if (code == EXIT_CODE_DONE)
                code = check_is_other(&unit);
        if (code == EXIT_CODE_DONE)
                code = check_parts(&unit);
        if (code == EXIT_CODE_DONE)
                code = open_system(o, &connection);
        if (code == EXIT_CODE_DONE)
                code = check(&unit, connection);
        if (code == EXIT_CODE_DONE)
                code = write_drop_in(&unit, o, connection);
        if (code == EXIT_CODE_DONE)
                code = order("daemon-reload", NULL, true);
        if (code == EXIT_CODE_DONE && o->restart)
                code = restart_traced(connection, &unit);
        if (code == EXIT_CODE_DONE)
                say_next(&unit, o);
        unit_deinit(&unit);
        return code;
}

/* ---- untrace ---- */

static void say_untraced(const struct unit *u, const struct options *o) {
        printf("Removed the drop-in.\n");
        if (o->restart)
                printf("%s was restarted, and is not traced any more.\n", u->name);
        else if (u->active)
                printf("The running %s is still traced.\nNext: systemctl restart %s\n", u->name, u->name);
}

/* Who has said untrace alone before comes back with --restart: the processes of then are traced on. */
static void say_no_drop_in(const struct unit *u) {
        if (u->active)
                message_error("%s has no drop-in of 'tmctl unit trace'; one that it was started with ends with "
                              "'systemctl restart %s'",
                              u->name, u->name);
        else
                message_error("%s has no drop-in of 'tmctl unit trace'", u->name);
}

/* A unit that is gone may have left its drop-in: then the name is all there is. */
static int untrace(const struct options *o, const char *name) {
        struct unit unit = {0};
        int code = need_root(); /* before systemd is asked, whom another user may not even reach */
        if (code == EXIT_CODE_DONE)
                code = find_unit(&unit, name);
        if (code == EXIT_CODE_DONE) {
                int r = drop_in_remove(unit.name);
                if (r == DROP_IN_E_ABSENT) {
                        say_no_drop_in(&unit);
                        code = EXIT_CODE_NOT_FOUND;
                } else if (r < 0) {
                        code = cannot("remove the drop-in", r);
                }
        }
        if (code == EXIT_CODE_DONE)
                code = order("daemon-reload", NULL, true);
        if (code == EXIT_CODE_DONE && o->restart)
                code = order("restart", unit.name, !unit.oneshot);
        if (code == EXIT_CODE_DONE)
                say_untraced(&unit, o);
        unit_deinit(&unit);
        return code;
}

static int unit_run(const struct options *o) {
        const char *verb = o->arguments[0];
        if (strcmp(verb, "trace") == 0)
                return trace(o, o->arguments[1]);
        if (strcmp(verb, "untrace") == 0)
                return untrace(o, o->arguments[1]);
        message_error("unit: trace or untrace, not '%s'; see 'tmctl unit --help'", verb);
        return EXIT_CODE_USAGE;
}

const struct command command_unit = {
        .name = "unit",
        .arguments = "trace|untrace UNIT",
        .summary = "Trace a systemd service from its next start on",
        .description = "trace: looks whether the unit's hardening would stop the agent, then writes a\n"
                       "drop-in; untrace removes it. The service is traced from its next start on.\n",
        .example = "  tmctl unit trace redis-server --restart\n  tmctl snapshot --unit redis-server\n"
                   "  tmctl unit untrace redis-server --restart\n",
        .sets = OPTION_SET_UNIT,
        .min_arguments = 2,
        .max_arguments = 2,
        .usage_code = EXIT_CODE_USAGE,
        .run = unit_run,
};
