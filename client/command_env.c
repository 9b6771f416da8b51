/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl env */

#include "client/command.h"
#include "client/environment.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/session.h"
#include "client/text.h"
#include "client/trace_environment.h"
#include "daemon/base/cleanup.h"

#include <json-c/json.h>

#include <string.h>

/* In the order in which they are printed. */
static const char *const variables[] = {"LD_PRELOAD",           "TRACEMALLOCD_RUNTIME_DIR", "TRACEMALLOCD_FRAMES",
                                        "TRACEMALLOCD_DOMAINS", "TRACEMALLOCD_LABEL",       "TRACEMALLOCD_CHILDREN",
                                        "ASAN_OPTIONS"};
#define N_VARIABLES (sizeof variables / sizeof variables[0])

/* One shell word, whatever is in it. */
static void print_quoted(const char *text) {
        static const char *const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
        if (text[0] && strspn(text, plain) == strlen(text)) {
                fputs(text, stdout);
                return;
        }
        putchar('\'');
        for (; *text; text++) {
                if (*text == '\'')
                        fputs("'\\''", stdout);
                else
                        putchar(*text);
        }
        putchar('\'');
}

static void print_json(const struct environment *e) {
        struct json_object *object = json_object_new_object();
        for (size_t i = 0; i < N_VARIABLES; i++) {
                const char *value = environment_get(e, variables[i]);
                if (value)
                        json_object_object_add(object, variables[i], text_json(value, strlen(value)));
        }
        json_print(stdout, object);
        fputc('\n', stdout);
}

/* NAME=VALUE, a line that is one shell word; or, where there is an @array, an element of it. */
static void put_assignment(struct json_object *array, const char *prefix, const char *name, const char *value) {
        if (array) {
                AUTO_FREE char *text = memory_format("%s%s=%s", prefix, name, value);
                json_object_array_add(array, text_json(text, strlen(text)));
                return;
        }
        printf("%s%s=", prefix, name);
        print_quoted(value);
        fputc('\n', stdout);
}

static void put_variables(const struct environment *e, struct json_object *array, const char *prefix) {
        for (size_t i = 0; i < N_VARIABLES; i++) {
                const char *value = environment_get(e, variables[i]);
                if (value)
                        put_assignment(array, prefix, variables[i], value);
        }
}

/* The container sees agent and sockets where the daemon's machine has them. */
static void print_container(const struct environment *e, const struct connection *c, bool json) {
        struct json_object *array = json ? json_object_new_array() : NULL;
        AUTO_FREE char *sockets = memory_format("%s:%s", c->runtime_dir, c->runtime_dir);
        AUTO_FREE char *agent = memory_format("%s:%s:ro", c->agent_path, c->agent_path);
        put_assignment(array, "--", "volume", sockets);
        put_assignment(array, "--", "volume", agent);
        put_variables(e, array, "--env=");
        if (array) {
                json_print(stdout, array);
                fputc('\n', stdout);
        }
}

static int env_run(const struct options *o) {
        AUTO_CONNECTION struct connection *connection = NULL;
        int code = session_open(o, &connection);
        if (code == EXIT_CODE_DONE)
                code = trace_environment_check(connection);
        if (code != EXIT_CODE_DONE)
                return code;
        struct environment environment;
        environment_init(&environment);
        if (o->container) { /* what this shell preloads is not in the container */
                environment_unset(&environment, "LD_PRELOAD");
                environment_unset(&environment, "ASAN_OPTIONS");
        }
        trace_environment_set(&environment, connection, o, NULL);
        if (o->container)
                print_container(&environment, connection, o->json);
        else if (o->json)
                print_json(&environment);
        else
                put_variables(&environment, NULL, "");
        environment_deinit(&environment);
        return EXIT_CODE_DONE;
}

const struct command command_env = {
        .name = "env",
        .arguments = "",
        .summary = "Print the environment that traces a program",
        .description = "--no-exit-snapshot and --best-effort are taken, and change nothing here.\n",
        .example = "  env $(tmctl env) redis-server\n  docker run $(tmctl env --container) redis\n",
        .sets = OPTION_SET_TRACE | OPTION_SET_RUN | OPTION_SET_ENV | OPTION_SET_JSON,
        .usage_code = EXIT_CODE_USAGE,
        .run = env_run,
};
