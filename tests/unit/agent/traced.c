/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/agent/traced.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const traced_ways[] = {"TRACEMALLOCD_TRANSPORT=ring", "TRACEMALLOCD_TRANSPORT=socket"};

void traced_open(struct traced *traced, const struct fake_daemon_options *options) {
        *traced = (struct traced){.dir = "/tmp/test-agent-XXXXXX", .input = -1, .output_fd = -1};
        assert(mkdtemp(traced->dir));
        if (options)
                assert(fake_daemon_start(traced->dir, options, &traced->daemon) == 0);
}

void traced_start(struct traced *traced, const char *const *argv, const char *const *environment, bool with_agent) {
        int input[2], output[2];
        assert(pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0);
        traced->pid = fork();
        assert(traced->pid >= 0);
        if (traced->pid == 0) {
                dup2(input[0], 0);
                dup2(output[1], 1);
                dup2(output[1], 2);
                setenv("TRACEMALLOCD_RUNTIME_DIR", traced->dir, 1);
                for (; environment && *environment; environment++)
                        putenv((char *)*environment);
                if (with_agent)
                        setenv("LD_PRELOAD", getenv("AGENT"), 1);
                execvp(argv[0], (char **)argv);
                _exit(127);
        }
        close(input[0]);
        close(output[1]);
        traced->input = input[1];
        traced->output_fd = output[0];
        traced->output_length = 0;
        free(traced->output);
        traced->output = malloc(TRACED_OUTPUT_MAX + 1);
}

void traced_finish(struct traced *traced) {
        ssize_t n;
        int status;
        close(traced->input);
        while ((n = read(traced->output_fd, traced->output + traced->output_length,
                         TRACED_OUTPUT_MAX - traced->output_length)) > 0)
                traced->output_length += (size_t)n;
        traced->output[traced->output_length] = '\0';
        close(traced->output_fd);
        assert(waitpid(traced->pid, &status, 0) == traced->pid);
        traced->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (!traced->daemon)
                return;
        fake_daemon_settle(traced->daemon);
        traced->n_images = fake_daemon_images(traced->daemon, &traced->images);
}

void traced_run(struct traced *traced, const char *const *argv, const char *const *environment) {
        traced_open(traced, &(struct fake_daemon_options){0});
        traced_start(traced, argv, environment, true);
        traced_finish(traced);
}

void traced_close(struct traced *traced) {
        if (traced->daemon)
                fake_daemon_stop(traced->daemon, false);
        free(traced->output);
        rmdir(traced->dir);
}
