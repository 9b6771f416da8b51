/* SPDX-License-Identifier: Apache-2.0 */

/* Readings from /proc/PID. Main loop; a few reads of virtual files, never blocking on a disk. */

#include "daemon/base/proc.h"

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROC_FILE_MAX 8192 /* stat, status and cgroup are far smaller; a longer cgroup path is cut */

/* Return: length; -errno. The buffer is NUL-terminated. */
static ssize_t read_file(pid_t pid, const char *name, char buffer[PROC_FILE_MAX]) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        ssize_t n = read(fd, buffer, PROC_FILE_MAX - 1);
        if (n < 0)
                return -errno;
        buffer[n] = '\0';
        return n;
}

static int64_t ticks_to_ns(uint64_t ticks) {
        return (int64_t)(ticks * ((uint64_t)NS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK)));
}

int64_t proc_age_ns(const struct proc_info *info) {
        return clock_ns(CLOCK_BOOTTIME) - ticks_to_ns(info->start_ticks);
}

static int read_stat(struct proc_info *info) {
        char buffer[PROC_FILE_MAX];
        ssize_t n = read_file(info->pid, "stat", buffer);
        if (n < 0)
                return (int)n;
        /* the name may hold anything, ')' too: the fields begin after the last one */
        const char *fields = strrchr(buffer, ')');
        int ppid;
        if (!fields ||
            sscanf(fields, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
                   &ppid, &info->start_ticks) != 2)
                return -EPROTO;
        info->ppid = ppid;
        info->started_at_ns = clock_ns(CLOCK_REALTIME) - proc_age_ns(info);
        return 0;
}

/* "NSpid: 4711 12": the last number is the innermost namespace's */
static void read_ns_pid(struct proc_info *info) {
        char buffer[PROC_FILE_MAX];
        info->ns_pid = info->pid;
        if (read_file(info->pid, "status", buffer) < 0)
                return;
        const char *line = strstr(buffer, "\nNSpid:");
        if (!line)
                return;
        line += strlen("\nNSpid:");
        size_t length = strcspn(line, "\n");
        const char *last = line + length;
        while (last > line && last[-1] != '\t' && last[-1] != ' ')
                last--;
        info->ns_pid = atoi(last);
}

static int read_cgroup(struct proc_info *info) {
        char buffer[PROC_FILE_MAX];
        const char *path = "";
        if (read_file(info->pid, "cgroup", buffer) > 0) {
                /* cgroups(7): the unified hierarchy's line is 0::PATH */
                char *line = strncmp(buffer, "0::", 3) == 0 ? buffer : strstr(buffer, "\n0::");
                if (line) {
                        line += line == buffer ? 3 : 4;
                        line[strcspn(line, "\n")] = '\0';
                        path = line;
                }
        }
        info->cgroup = strdup(path);
        info->unit = proc_unit_of_cgroup(path);
        return info->cgroup && info->unit ? 0 : -ENOMEM;
}

char *proc_unit_of_cgroup(const char *cgroup) {
        static const char *const suffixes[] = {".service", ".scope", ".socket", ".mount"};
        const char *end = cgroup + strlen(cgroup);
        while (end > cgroup) {
                const char *begin = end;
                while (begin > cgroup && begin[-1] != '/')
                        begin--;
                size_t length = (size_t)(end - begin);
                for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
                        size_t n = strlen(suffixes[i]);
                        if (length > n && memcmp(end - n, suffixes[i], n) == 0)
                                return strndup(begin, length);
                }
                end = begin > cgroup ? begin - 1 : begin;
        }
        return strdup("");
}

int proc_info_read(pid_t pid, struct proc_info *info) {
        *info = (struct proc_info){.pid = pid};
        int r = read_stat(info);
        if (r < 0)
                return r;
        read_ns_pid(info);
        r = read_cgroup(info);
        if (r < 0)
                proc_info_deinit(info);
        return r;
}

bool proc_lives(pid_t pid, uint64_t start_ticks) {
        struct proc_info info = {.pid = pid};
        return read_stat(&info) == 0 && info.start_ticks == start_ticks;
}

uid_t proc_user(pid_t pid, uint64_t start_ticks) {
        char buffer[PROC_FILE_MAX];
        unsigned uid;
        if (read_file(pid, "status", buffer) < 0 || !proc_lives(pid, start_ticks))
                return (uid_t)-1;
        const char *line = strstr(buffer, "\nUid:");
        return line && sscanf(line, "\nUid: %*u %u", &uid) == 1 ? uid : (uid_t)-1;
}

uint64_t proc_resident_size(pid_t pid) {
        char buffer[PROC_FILE_MAX];
        uint64_t pages;
        if (read_file(pid, "statm", buffer) < 0 || sscanf(buffer, "%*u %" SCNu64, &pages) != 1)
                return 0;
        return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void proc_read_comm(pid_t pid, char comm[PROC_COMM_BYTES]) {
        char buffer[PROC_FILE_MAX];
        if (read_file(pid, "comm", buffer) < 0)
                buffer[0] = '\0';
        buffer[strcspn(buffer, "\n")] = '\0';
        snprintf(comm, PROC_COMM_BYTES, "%.*s", PROC_COMM_BYTES - 1, buffer);
}

void proc_info_deinit(struct proc_info *info) {
        free(info->cgroup);
        free(info->unit);
        info->cgroup = info->unit = NULL;
}

bool proc_unit_is(const char *unit, const char *wanted) {
        size_t length = strlen(wanted);
        return strncmp(unit, wanted, length) == 0 && (unit[length] == '\0' || strcmp(unit + length, ".service") == 0);
}
