/* SPDX-License-Identifier: Apache-2.0 */

/* See tmctl_shell.h. Used by test_tmctl*.c. */

#include "tests/unit/client/tmctl_shell.h"

#include "tests/unit/client/canned_server.h"

#include <pty.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char shell_dir[] = "/tmp/test_tmctl.XXXXXX";
static pid_t canned_server;
char shell_out[SHELL_OUTPUT_MAX], shell_err[SHELL_OUTPUT_MAX];

void shell_make_dir(void) {
        strcpy(shell_dir, "/tmp/test_tmctl.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(shell_dir));
}

void shell_remove_dir(void) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", shell_dir);
        ck_assert_int_eq(system(command), 0);
}

void shell_setup(void) {
        shell_make_dir();
        canned_server = canned_server_start(shell_dir, HARMLESS_AGENT);
        setenv("TRACEMALLOCD_RUNTIME_DIR", shell_dir, 1);
        setenv("TZ", "UTC0", 1);
        unsetenv("NO_COLOR");
        unsetenv("COLUMNS");
}

void shell_teardown(void) {
        canned_server_stop(canned_server);
        shell_remove_dir();
}

void shell_read(const char *name, char *text) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", shell_dir, name);
        FILE *f = fopen(path, "r");
        ck_assert_ptr_nonnull(f);
        text[fread(text, 1, SHELL_OUTPUT_MAX - 1, f)] = '\0';
        fclose(f);
}

int sh(const char *format, ...) {
        char line[2048], command[4096];
        va_list ap;
        va_start(ap, format);
        vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        snprintf(command, sizeof command, "T=$TMCTL; { %s\n} >%s/out 2>%s/err", line, shell_dir, shell_dir);
        int status = system(command);
        shell_read("out", shell_out);
        shell_read("err", shell_err);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

int sh_on_terminal(const char *line) {
        struct winsize size = {.ws_row = 24, .ws_col = 56};
        int terminal, status;
        pid_t pid = forkpty(&terminal, NULL, NULL, &size);
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                setenv("T", getenv("TMCTL"), 1);
                setenv("TERM", "xterm", 1);
                execl("/bin/sh", "sh", "-c", line, NULL);
                _exit(127);
        }
        size_t length = 0;
        for (ssize_t n; (n = read(terminal, shell_out + length, sizeof shell_out - 1 - length)) > 0;)
                length += (size_t)n;
        shell_out[length] = '\0';
        close(terminal);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WEXITSTATUS(status);
}

void has(const char *text, const char *part) {
        ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

void asked(const char *line) {
        static char requests[65536];
        shell_read("requests", requests);
        has(requests, line);
}
