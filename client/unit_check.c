/* SPDX-License-Identifier: Apache-2.0 */

/* systemd.exec(5), read for what an agent needs: its file, the daemon's socket, a few system calls. Called by
 * command_unit.c before anything is written. */

#include "client/unit_check.h"

#include "client/memory.h"
#include "client/program.h"
#include "client/systemctl.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERROR_NUMBER_KILL "2147483646" /* how systemctl shows that a forbidden call ends the process */

/* What agent/sys.h calls. Where a forbidden call fails instead of killing, the first ones are what it takes to reach
 * the daemon; without memfd_create the agent takes the way over the socket. */
static const char *const calls[] = {"socket", "connect",  "sendmsg",      "recvmsg",   "poll",       "mmap",
                                    "munmap", "close",    "openat",       "read",      "fstat",      "fcntl",
                                    "futex",  "readlink", "memfd_create", "ftruncate", "prlimit64",  "madvise",
                                    "getpid", "gettid",   "geteuid",      "nanosleep", "sigaltstack"};
#define N_CALLS     (sizeof calls / sizeof calls[0])
#define N_ESSENTIAL 5

struct unit {
        const char *shown, *agent_path, *runtime_dir;
        struct unit_findings *findings;
};

static void add(char ***linesp, size_t *np, const char *format, va_list ap) {
        char *line;
        if (vasprintf(&line, format, ap) < 0)
                return;
        *linesp = memory_grow(*linesp, *np + 1, sizeof **linesp);
        (*linesp)[(*np)++] = line;
}

static void __attribute__((format(printf, 2, 3))) problem(const struct unit *u, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        add(&u->findings->problems, &u->findings->n_problems, format, ap);
        va_end(ap);
}

static void __attribute__((format(printf, 2, 3))) doubt(const struct unit *u, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        add(&u->findings->doubts, &u->findings->n_doubts, format, ap);
        va_end(ap);
}

static char *property(const struct unit *u, const char *name) {
        return systemctl_property(u->shown, name);
}

/* ---- paths ---- */

/* How much of @path lies below @folder: its length, 0 for nothing. */
static size_t covers(const char *folder, const char *path) {
        char real[PATH_MAX];
        folder += strspn(folder, "-+");
        if (realpath(folder, real))
                folder = real;
        size_t length = strlen(folder);
        while (length > 1 && folder[length - 1] == '/')
                length--;
        if (length == 1 && folder[0] == '/')
                return 1;
        return strncmp(folder, path, length) == 0 && (path[length] == '/' || !path[length]) ? length : 0;
}

/* The deepest entry of a list of paths that covers @path. @field: of SOURCE:DESTINATION:OPTIONS. */
static size_t covered_by_list(const struct unit *u, const char *name, int field, const char *path) {
        AUTO_FREE char *list = property(u, name);
        size_t deepest = 0;
        char *rest = list;
        for (char *entry; (entry = strsep(&rest, " "));) {
                char *at = entry;
                for (int i = 0; i < field && at; i++) {
                        at = strchr(at, ':');
                        at = at ? at + 1 : NULL;
                }
                at = at ? at : entry;
                at[strcspn(at, ":")] = '\0';
                size_t depth = at[0] ? covers(at, path) : 0;
                deepest = depth > deepest ? depth : deepest;
        }
        return deepest;
}

static size_t max(size_t a, size_t b) {
        return a > b ? a : b;
}

/* @depth: of the entry that hides it; what is bound to a deeper place is there again */
static void hidden(const struct unit *u, const char *name, size_t depth, const char *path, const char *what) {
        size_t bound = max(covered_by_list(u, "BindPaths", 1, path), covered_by_list(u, "BindReadOnlyPaths", 1, path));
        if (depth > 0 && bound < depth)
                problem(u, "%s hides %s, %s; add BindReadOnlyPaths=%s", name, path, what, path);
}

static void check_path(const struct unit *u, const char *given, const char *what) {
        char real[PATH_MAX];
        const char *path = realpath(given, real) ? real : given;
        AUTO_FREE char *root = property(u, "RootDirectory"), *image = property(u, "RootImage");
        AUTO_FREE char *home = property(u, "ProtectHome"), *tmp = property(u, "PrivateTmp");
        if (root[0] || image[0])
                hidden(u, root[0] ? "RootDirectory=" : "RootImage=", 1, path, what);
        hidden(u, "InaccessiblePaths=", covered_by_list(u, "InaccessiblePaths", 0, path), path, what);
        hidden(u, "TemporaryFileSystem=", covered_by_list(u, "TemporaryFileSystem", 0, path), path, what);
        if (strcmp(home, "yes") == 0 || strcmp(home, "tmpfs") == 0)
                hidden(u, "ProtectHome=",
                       max(covers("/home", path), max(covers("/root", path), covers("/run/user", path))), path, what);
        if (strcmp(tmp, "yes") == 0)
                hidden(u, "PrivateTmp=", max(covers("/tmp", path), covers("/var/tmp", path)), path, what);
}

/* A checkout below /root, say. @mode: what everybody needs of the file itself */
static void check_access(const struct unit *u, const char *given, mode_t mode) {
        AUTO_FREE char *user = property(u, "User"), *dynamic = property(u, "DynamicUser");
        char path[PATH_MAX];
        struct stat st;
        bool is_root = !user[0] || strcmp(user, "root") == 0 || strcmp(user, "0") == 0;
        if ((is_root && strcmp(dynamic, "yes") != 0) || !realpath(given, path))
                return;
        AUTO_FREE char *whole = memory_copy(path, strlen(path));
        for (mode_t needed = mode; path[0]; needed = S_IXOTH) {
                if (stat(path, &st) == 0 && (st.st_mode & needed) != needed) {
                        problem(u, "%s is not open to the service's user, %s; 'chmod o+%s %s' opens it", whole,
                                is_root ? "a dynamic one" : user, needed == S_IROTH ? "r" : "x", path);
                        return;
                }
                *strrchr(path, '/') = '\0';
        }
}

static void check_execution(const struct unit *u) {
        char real[PATH_MAX];
        const char *path = realpath(u->agent_path, real) ? real : u->agent_path;
        size_t forbidden = covered_by_list(u, "NoExecPaths", 0, path);
        if (forbidden > covered_by_list(u, "ExecPaths", 0, path))
                problem(u, "NoExecPaths= keeps %s, the agent, from being mapped; add ExecPaths=%s", path, path);
}

/* ---- system calls and sockets ---- */

/* "~a b" forbids, "a b" allows; "" allows nothing, "~" forbids nothing. */
static bool list_has(const char *list, const char *word, const char **afterp) {
        size_t length = strlen(word);
        for (const char *at = list; (at = strstr(at, word)); at += length) {
                if ((at == list || strchr(" ~", at[-1])) && (!at[length] || strchr(" :", at[length]))) {
                        *afterp = at + length;
                        return true;
                }
        }
        return false;
}

/* Return: whether the filter stands in the call's way; *killsp: the process ends then */
static bool is_forbidden(const char *filter, const char *call, bool kill_by_default, bool *killsp) {
        const char *after = "";
        bool listed = list_has(filter, call, &after);
        bool with_error = listed && *after == ':';
        *killsp = with_error ? strncmp(after, ":kill", 5) == 0 : kill_by_default;
        return filter[0] == '~' ? listed : !listed || with_error;
}

static void check_calls(const struct unit *u) {
        AUTO_FREE char *filter = property(u, "SystemCallFilter"), *error = property(u, "SystemCallErrorNumber");
        AUTO_FREE char *names = memory_copy("", 0);
        bool any_kills = false;
        for (size_t i = 0; i < N_CALLS; i++) {
                bool kills;
                if (!is_forbidden(filter, calls[i], strcmp(error, ERROR_NUMBER_KILL) == 0, &kills))
                        continue;
                if (!kills && i >= N_ESSENTIAL)
                        continue;
                any_kills |= kills;
                char *longer = memory_format("%s%s%s", names, names[0] ? " " : "", calls[i]);
                free(names);
                names = longer;
        }
        if (names[0])
                problem(u, "SystemCallFilter= forbids what the agent calls, and %s; add SystemCallFilter=%s",
                        any_kills ? "would end the service for it" : "keeps it from the daemon", names);
}

static void check_sockets(const struct unit *u) {
        AUTO_FREE char *families = property(u, "RestrictAddressFamilies");
        const char *after;
        if (list_has(families, "AF_UNIX", &after) == (families[0] == '~'))
                problem(u, "RestrictAddressFamilies= leaves out AF_UNIX, the daemon's sockets; add "
                           "RestrictAddressFamilies=AF_UNIX");
}

/* ---- environment and program ---- */

/* By which the agent is loaded, and finds the daemon. */
static const char *const ours[] = {"LD_PRELOAD", "TRACEMALLOCD_RUNTIME_DIR"};
#define N_OURS (sizeof ours / sizeof ours[0])

/* What is in a file wins over Environment=. An empty LD_PRELOAD does so too. */
static void check_environment_file(const struct unit *u, const char *path) {
        char line[PATH_MAX];
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file)) {
                const char *name = line + strspn(line, " \t");
                for (size_t i = 0; i < N_OURS; i++) {
                        size_t length = strlen(ours[i]);
                        if (strncmp(name, ours[i], length) == 0 && name[length] == '=')
                                problem(u, "EnvironmentFile=%s sets %s, which wins over the drop-in; put there: %s",
                                        path, ours[i], i == 0 ? u->agent_path : u->runtime_dir);
                }
        }
        if (file)
                fclose(file);
}

/* @entry: "/etc/default/redis (ignore_errors=yes)", the path a pattern as systemd.exec(5) allows, up to the line's end
 */
static void check_environment_files(const struct unit *u, const char *entry) {
        size_t length = strcspn(entry, "\n");
        AUTO_FREE char *pattern = memory_copy(entry, length);
        char *options = strstr(pattern, " (ignore_errors=");
        glob_t files;
        if (options)
                *options = '\0';
        if (glob(pattern, 0, NULL, &files) != 0)
                return;
        for (size_t i = 0; i < files.gl_pathc; i++)
                check_environment_file(u, files.gl_pathv[i]);
        globfree(&files);
}

static void check_environment(const struct unit *u) {
        AUTO_FREE char *unset = property(u, "UnsetEnvironment");
        for (size_t i = 0; i < N_OURS; i++) {
                const char *after;
                if (list_has(unset, ours[i], &after))
                        problem(u, "UnsetEnvironment= takes %s away, by which the agent is loaded; take it out there",
                                ours[i]);
        }
        /* a line for each file: "EnvironmentFiles=/etc/default/redis (ignore_errors=yes)" */
        for (const char *at = u->shown; at; at = strchr(at, '\n'), at += at != NULL) {
                static const char key[] = "EnvironmentFiles=";
                if (strncmp(at, key, strlen(key)) == 0)
                        check_environment_files(u, at + strlen(key));
        }
}

/* "{ path=/usr/bin/redis-server ; argv[]=... }" */
static void check_program(const struct unit *u) {
        AUTO_FREE char *start = property(u, "ExecStart"), *root = property(u, "RootDirectory"),
                       *image = property(u, "RootImage");
        const char *begin = strstr(start, "path=");
        if (!begin || root[0] || image[0])
                return;
        begin += strlen("path=");
        const char *end = strstr(begin, " ;");
        AUTO_FREE char *path = memory_copy(begin, end ? (size_t)(end - begin) : strlen(begin));
        if (access(path, F_OK) < 0) {
                problem(u, "its ExecStart=, %s: %s", path, strerror(errno));
                return;
        }
        AUTO_FREE char *culprit = NULL;
        enum elf_verdict verdict = program_check(path, NULL, &culprit);
        if (verdict != ELF_OK)
                problem(u, "%s %s: it cannot be traced", culprit ? culprit : path, elf_verdict_text(verdict));
}

static void check_profiles(const struct unit *u) {
        AUTO_FREE char *apparmor = property(u, "AppArmorProfile"), *selinux = property(u, "SELinuxContext");
        if (apparmor[0])
                doubt(u, "AppArmorProfile=%s has to allow reading and mapping %s and writing to %s/agent.sock",
                      apparmor, u->agent_path, u->runtime_dir);
        if (selinux[0])
                doubt(u, "SELinuxContext=%s has to allow mapping %s and connecting to %s/agent.sock", selinux,
                      u->agent_path, u->runtime_dir);
}

void unit_check(const char *shown, const char *agent_path, const char *runtime_dir, struct unit_findings *findings) {
        *findings = (struct unit_findings){0};
        const struct unit u = {
                .shown = shown, .agent_path = agent_path, .runtime_dir = runtime_dir, .findings = findings};
        check_program(&u);
        check_path(&u, agent_path, "the agent");
        check_path(&u, runtime_dir, "the daemon's sockets");
        check_access(&u, agent_path, S_IROTH);
        check_access(&u, runtime_dir, S_IXOTH);
        check_execution(&u);
        check_calls(&u);
        check_sockets(&u);
        check_environment(&u);
        check_profiles(&u);
}

static void free_lines(char **lines, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(lines[i]);
        free(lines);
}

void unit_findings_deinit(struct unit_findings *f) {
        free_lines(f->problems, f->n_problems);
        free_lines(f->doubts, f->n_doubts);
        *f = (struct unit_findings){0};
}
