/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon that tmctl starts where none runs. Called by session.c. */

#include "client/private_daemon.h"

#include "client/environment.h"
#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/version.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IDLE_EXIT_SECONDS   "60"
#define START_TRIES         500 /* times START_TRY_NS: 10 s */
#define START_TRIES_OF_DEAD 50  /* another daemon may just be starting in the same place */
#define START_TRY_NS        20000000

static char *program_if_executable(char *path) {
        if (access(path, X_OK) == 0)
                return path;
        free(path);
        return NULL;
}

static char *find_in_path(void) {
        const char *path = getenv("PATH");
        AUTO_FREE char *copy = memory_copy(path ? path : "", path ? strlen(path) : 0);
        char *rest = copy;
        for (char *dir; (dir = strsep(&rest, ":"));) {
                char *program = dir[0] == '/' ? program_if_executable(memory_format("%s/tracemallocd", dir)) : NULL;
                if (program)
                        return program;
        }
        return NULL;
}

/* The build tree that this tmctl runs in, else where it was installed, else PATH.
 * Return: its path, the caller frees; NULL. */
static char *find_program(void) {
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        if (n > 0) {
                self[n] = '\0';
                const char *dir = dirname(self);
                char *program = program_if_executable(memory_format("%s/../daemon/tracemallocd", dir));
                if (!program)
                        program = program_if_executable(memory_format("%s/../sbin/tracemallocd", dir));
                if (!program)
                        program = program_if_executable(memory_format("%s/tracemallocd", dir));
                if (program)
                        return program;
        }
        char *program = program_if_executable(memory_copy(TMCTL_DAEMON_PATH, strlen(TMCTL_DAEMON_PATH)));
        return program ? program : find_in_path();
}

static void reset_signals(void) {
        sigset_t none;
        for (int s = 1; s < NSIG; s++)
                signal(s, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: nothing of the caller's terminal, descriptors, folder or tracing goes with it. */
static void exec_daemon(const char *program, char *const argv[], char *const envp[], const char *log) {
        setsid();
        reset_signals();
        umask(077);
        if (chdir("/") < 0)
                _exit(127);
        int null = open("/dev/null", O_RDWR);
        int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
        if (null < 0 || dup2(null, 0) < 0 || dup2(out < 0 ? null : out, 1) < 0 || dup2(1, 2) < 0)
                _exit(127);
        close_range(3, ~0U, 0);
        execve(program, argv, envp);
        _exit(127);
}

static pid_t spawn_daemon(const char *program, const char *runtime_dir, const char *state_dir, const char *log) {
        struct environment environment;
        environment_init(&environment);
        environment_unset(&environment, "LD_PRELOAD");
        environment_unset_prefix(&environment, "TRACEMALLOCD_");
        environment_unset(&environment, "NOTIFY_SOCKET"); /* of the service that we may be called from */
        environment_unset(&environment, "LISTEN_FDS");
        environment_unset(&environment, "LISTEN_PID");
        environment_unset(&environment, "WATCHDOG_USEC");
        environment_unset(&environment, "RUNTIME_DIRECTORY");
        environment_unset(&environment, "STATE_DIRECTORY");
        char *const argv[] = {
                (char *)program,   (char *)"--runtime-dir", (char *)runtime_dir,       (char *)"--state-dir",
                (char *)state_dir, (char *)"--idle-exit",   (char *)IDLE_EXIT_SECONDS, NULL};
        pid_t pid = fork();
        if (pid == 0)
                exec_daemon(program, argv, environment.entries, log);
        environment_deinit(&environment);
        return pid;
}

/* Return: as connection_open(); gives up early when the child @pid is dead. */
static int await_daemon(const char *runtime_dir, pid_t pid, struct connection **connectionp, char *reason) {
        int r = CONNECTION_E_ABSENT;
        bool alive = true;
        for (int i = START_TRIES; i > 0 && r == CONNECTION_E_ABSENT; i--) {
                const struct timespec pause = {.tv_nsec = START_TRY_NS};
                nanosleep(&pause, NULL);
                if (alive && waitpid(pid, NULL, WNOHANG) == pid) {
                        alive = false;
                        i = START_TRIES_OF_DEAD;
                }
                r = connection_open(runtime_dir, connectionp, reason);
        }
        return r;
}

static int start_locked(const char *runtime_dir, const char *state_dir, struct connection **connectionp) {
        char reason[CONNECTION_REASON_MAX];
        int r = connection_open(runtime_dir, connectionp, reason);
        if (r == 0)
                return EXIT_CODE_DONE; /* another client was faster */
        AUTO_FREE char *program = find_program();
        if (!program) {
                message_error("no daemon is running, and tracemallocd is not installed");
                return EXIT_CODE_NO_DAEMON;
        }
        AUTO_FREE char *log = memory_format("%s/tracemallocd.log", state_dir);
        pid_t pid = spawn_daemon(program, runtime_dir, state_dir, log);
        if (pid < 0) {
                message_error("cannot start a private daemon: %s", strerror(errno));
                return EXIT_CODE_NO_DAEMON;
        }
        r = await_daemon(runtime_dir, pid, connectionp, reason);
        if (r != 0) {
                message_error("no daemon is running, and a private one did not start; see %s", log);
                return EXIT_CODE_NO_DAEMON;
        }
        message_note("no daemon was running: started a private one in %s (pid %u); it ends when idle", runtime_dir,
                     (unsigned)(*connectionp)->daemon_pid);
        return EXIT_CODE_DONE;
}

int private_daemon_start(const char *runtime_dir, const char *state_dir, struct connection **connectionp) {
        AUTO_FREE char *path = memory_format("%s/start.lock", runtime_dir);
        AUTO_CLOSE int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock < 0 || flock(lock, LOCK_EX) < 0) {
                message_error("cannot start a private daemon: %s: %s", path, strerror(errno));
                return EXIT_CODE_NO_DAEMON;
        }
        return start_locked(runtime_dir, state_dir, connectionp);
}
