/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl run */

#include "client/child.h"
#include "client/command.h"
#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/program.h"
#include "client/render_run.h"
#include "client/request.h"
#include "client/session.h"
#include "client/trace_environment.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Children that are just about to end shall be in the summary; a server that goes to the background shall not hold it
 * up. */
#define CHILDREN_WAIT_MS 300

struct run {
        const struct options *options;
        struct connection *connection; /* NULL: untraced, with --best-effort */
        ProtobufCBinaryData token;     /* heap */
        char *path;
        struct child child;
        Tracemallocd__Control__Reply **replies; /* [n_processes] kept for the RunProcess in each */
        Tracemallocd__Control__RunProcess **processes;
        size_t n_processes;
};

/* What a shell would have understood. Return: static, "" where it would not. */
static const char *shell_hint(const char *command) {
        if (strchr(command, '=') && !strchr(command, '/'))
                return "; 'tmctl run -- env NAME=VALUE COMMAND' sets a variable";
        if (strchr(command, ' '))
                return "; a line for the shell is run by 'tmctl run -- sh -c LINE'";
        return "";
}

/* Other tools for Python take a script in the place of a command. Return: static, "" where it is none. */
static const char *script_hint(const char *command) {
        size_t length = strlen(command);
        if (length < 3 || strcmp(command + length - 3, ".py") != 0 || access(command, R_OK) != 0)
                return "";
        return "; 'tmctl run -- python3 SCRIPT' runs a script of Python";
}

static int exec_error(const char *command, int error) {
        if (error == -ENOENT || error == -ENOTDIR) {
                message_error("command not found: %s%s%s", command[0] ? command : "''", shell_hint(command),
                              script_hint(command));
                return EXIT_CODE_RUN_NOT_FOUND;
        }
        message_error("cannot execute %s: %s%s", command, strerror(-error), script_hint(command));
        return EXIT_CODE_RUN_NOT_EXECUTABLE;
}

/* Return: EXIT_CODE_DONE; EXIT_CODE_RUN_FAILED, unless --best-effort makes do: then a warning. */
static int give_up_tracing(struct run *run, const char *why) {
        bool go_on = run->options->best_effort;
        if (why)
                message_error("%s%s", why, go_on ? "; running it untraced" : "; --best-effort runs it untraced");
        else if (go_on)
                message_note("running %s untraced", run->options->arguments[0]);
        run->connection = connection_close(run->connection);
        return go_on ? EXIT_CODE_DONE : EXIT_CODE_RUN_FAILED;
}

/* Of programs that are traced, and of which little is seen all the same. */
static void remark(const struct run *run) {
        const char *slash = strrchr(run->path, '/'), *command = run->options->arguments[0];
        if (elf_is_go(run->path))
                message_note("%s is a Go program: the heap of Go itself is not traced, only what its C "
                             "libraries allocate",
                             command);
        else if (strcmp(slash ? slash + 1 : run->path, "valgrind") == 0)
                message_note("%s brings a malloc of its own: what a program allocates in it is not traced", command);
}

static int check_program(struct run *run, bool *traceablep) {
        AUTO_FREE char *culprit = NULL;
        enum elf_verdict verdict = program_check(run->path, getenv("PATH"), &culprit);
        *traceablep = verdict == ELF_OK;
        if (*traceablep) {
                remark(run);
                return EXIT_CODE_DONE;
        }
        if (access(culprit, F_OK) < 0 && errno == ENOENT) {
                message_error("cannot execute %s: its interpreter %s does not exist", run->options->arguments[0],
                              culprit);
                return EXIT_CODE_RUN_NOT_EXECUTABLE;
        }
        AUTO_FREE char *why =
                memory_format("cannot trace %s: %s %s", run->options->arguments[0], culprit, elf_verdict_text(verdict));
        return give_up_tracing(run, why);
}

static int take_token(void *context, const Tracemallocd__Control__Reply *reply) {
        struct run *run = context;
        if (reply->body_case == TRACEMALLOCD__CONTROL__REPLY__BODY_RUN) {
                free(run->token.data);
                run->token.len = reply->run->token.len;
                run->token.data = (uint8_t *)memory_copy(reply->run->token.data, reply->run->token.len);
        }
        return EXIT_CODE_DONE;
}

static int begin(struct run *run) {
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__RunBegin body = TRACEMALLOCD__CONTROL__RUN_BEGIN__INIT;
        request_init(&request);
        body.label = request_bytes(run->options->label);
        body.exit_snapshot = !run->options->no_exit_snapshot;
        body.children = !run->options->no_children;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_RUN_BEGIN;
        request.run_begin = &body;
        return connection_call(run->connection, &request, take_token, run);
}

static int connect_daemon(struct run *run) {
        if (session_open(run->options, &run->connection) == EXIT_CODE_DONE &&
            trace_environment_check(run->connection) == EXIT_CODE_DONE && begin(run) == EXIT_CODE_DONE)
                return EXIT_CODE_DONE;
        return give_up_tracing(run, NULL);
}

static int start_command(struct run *run) {
        struct environment environment;
        environment_init(&environment);
        if (run->connection)
                trace_environment_set(&environment, run->connection, run->options, &run->token);
        bool set_pid = run->connection && run->options->no_children;
        int r = child_start(&run->child, run->path, run->options->arguments, &environment, set_pid);
        environment_deinit(&environment);
        return r < 0 ? exec_error(run->options->arguments[0], r) : EXIT_CODE_DONE;
}

/* Keep a process for the summary: a copy, as the reply goes with its handler. */
static int take_process(void *context, const Tracemallocd__Control__Reply *reply) {
        struct run *run = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_RUN_PROCESS || !reply->run_process->process)
                return EXIT_CODE_DONE;
        size_t length = tracemallocd__control__reply__get_packed_size(reply);
        AUTO_FREE uint8_t *bytes = memory_grow(NULL, length, 1);
        tracemallocd__control__reply__pack(reply, bytes);
        Tracemallocd__Control__Reply *copy = tracemallocd__control__reply__unpack(NULL, length, bytes);
        if (!copy)
                return EXIT_CODE_DONE;
        run->replies = memory_grow(run->replies, run->n_processes + 1, sizeof *run->replies);
        run->processes = memory_grow(run->processes, run->n_processes + 1, sizeof *run->processes);
        run->replies[run->n_processes] = copy;
        run->processes[run->n_processes++] = copy->run_process;
        return EXIT_CODE_DONE;
}

static void summarize(struct run *run) {
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__RunWait body = TRACEMALLOCD__CONTROL__RUN_WAIT__INIT;
        request_init(&request);
        body.token = run->token;
        body.pid = (uint32_t)run->child.pid;
        body.timeout_ms = run->options->no_children ? 0 : CHILDREN_WAIT_MS;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_RUN_WAIT;
        request.run_wait = &body;
        if (connection_call(run->connection, &request, take_process, run) != EXIT_CODE_DONE)
                return;
        render_run(stderr, run->options, run->connection, &run->child, run->options->arguments[0], run->processes,
                   run->n_processes);
}

static int run_steps(struct run *run) {
        const char *command = run->options->arguments[0];
        int r = program_find(command, getenv("PATH"), &run->path);
        if (r < 0)
                return exec_error(command, r);
        bool traceable;
        int code = check_program(run, &traceable);
        if (code == EXIT_CODE_DONE && traceable)
                code = connect_daemon(run);
        if (code == EXIT_CODE_DONE)
                code = start_command(run);
        if (code != EXIT_CODE_DONE)
                return code;
        child_wait(&run->child);
        if (run->connection)
                summarize(run);
        return child_exit_code(&run->child);
}

static int run_run(const struct options *o) {
        struct run run = {.options = o};
        int code = run_steps(&run);
        for (size_t i = 0; i < run.n_processes; i++)
                tracemallocd__control__reply__free_unpacked(run.replies[i], NULL);
        free(run.replies);
        free(run.processes);
        free(run.token.data);
        free(run.path);
        connection_close(run.connection);
        return code;
}

const struct command command_run = {
        .name = "run",
        .arguments = "[--] COMMAND...",
        .summary = "Run a command traced, and say what it never freed",
        .description = "Its children are traced too. The exit status is the command's, or 125.\n",
        .example = "  tmctl run -- redis-server --port 7777\n",
        .sets = OPTION_SET_TRACE | OPTION_SET_RUN,
        .min_arguments = 1,
        .max_arguments = -1,
        .stops = true,
        .usage_code = EXIT_CODE_RUN_FAILED,
        .run = run_run,
};
