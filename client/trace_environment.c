/* SPDX-License-Identifier: Apache-2.0 */

/* LD_PRELOAD, TRACEMALLOCD_* and ASAN_OPTIONS. Called by command_run.c and command_env.c. */

#include "client/trace_environment.h"

#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "daemon/base/cleanup.h"

#include <string.h>
#include <unistd.h>

int trace_environment_check(const struct connection *c) {
        if (strpbrk(c->agent_path, " :\t\n")) { /* ld.so(8): these separate the files of LD_PRELOAD */
                message_error("the agent cannot be preloaded: its path has a space or a colon in it: %s",
                              c->agent_path);
                return EXIT_CODE_FAILED;
        }
        if (access(c->agent_path, R_OK) == 0)
                return EXIT_CODE_DONE;
        message_error("the daemon's agent cannot be read: %s", c->agent_path[0] ? c->agent_path : "it names none");
        return EXIT_CODE_FAILED;
}

/* Ours first, so that it is asked before another preloaded allocator; once is enough. */
static void set_preload(struct environment *e, const char *agent) {
        const char *old = environment_get(e, "LD_PRELOAD");
        if (!old || !old[0]) {
                environment_set(e, "LD_PRELOAD", agent);
                return;
        }
        if (strncmp(old, agent, strlen(agent)) == 0 && (!old[strlen(agent)] || strchr(": ", old[strlen(agent)])))
                return;
        AUTO_FREE char *both = memory_format("%s:%s", agent, old);
        environment_set(e, "LD_PRELOAD", both);
}

/* The runtime of AddressSanitizer refuses to start behind another library that is preloaded, unless it is told not to
 * look. What comes last counts. */
static void set_asan_options(struct environment *e) {
        static const char *const option = "verify_asan_link_order=0";
        const char *old = environment_get(e, "ASAN_OPTIONS");
        if (old && strstr(old, option))
                return;
        AUTO_FREE char *both = memory_format("%s%s%s", old ? old : "", old && old[0] ? ":" : "", option);
        environment_set(e, "ASAN_OPTIONS", both);
}

static void set_token(struct environment *e, const ProtobufCBinaryData *token) {
        AUTO_FREE char *hex = memory_zalloc(token->len * 2 + 1);
        for (size_t i = 0; i < token->len; i++)
                snprintf(hex + 2 * i, 3, "%02x", token->data[i]);
        environment_set(e, "TRACEMALLOCD_RUN", hex);
}

void trace_environment_set(struct environment *e, const struct connection *c, const struct options *o,
                           const ProtobufCBinaryData *token) {
        static const char *const ours[] = {"TRACEMALLOCD_RUN", "TRACEMALLOCD_LABEL", "TRACEMALLOCD_CHILDREN",
                                           "TRACEMALLOCD_PID", "TRACEMALLOCD_OFF"};
        for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
                environment_unset(e, ours[i]);
        AUTO_FREE char *frames = memory_format("%u", o->frames ? o->frames : FRAMES_DEFAULT);
        set_preload(e, c->agent_path);
        set_asan_options(e);
        environment_set(e, "TRACEMALLOCD_RUNTIME_DIR", c->runtime_dir);
        environment_set(e, "TRACEMALLOCD_FRAMES", frames);
        environment_set(e, "TRACEMALLOCD_DOMAINS", o->domains ? o->domains : DOMAINS_DEFAULT);
        if (o->label)
                environment_set(e, "TRACEMALLOCD_LABEL", o->label);
        if (o->no_children)
                environment_set(e, "TRACEMALLOCD_CHILDREN", "0");
        if (token && token->len > 0)
                set_token(e, token);
}

void trace_environment_set_pid(struct environment *e, pid_t pid) {
        AUTO_FREE char *text = memory_format("%d", (int)pid);
        environment_set(e, "TRACEMALLOCD_PID", text);
}
