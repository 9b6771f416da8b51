/* SPDX-License-Identifier: Apache-2.0 */

/* The end of somebody else's child. Main loop. */

#include "daemon/exit_status.h"

#include "daemon/base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* linux/pidfd.h of Linux 6.15; Debian 12's headers are older */
struct pidfd_info {
        uint64_t mask;
        uint64_t cgroupid;
        uint32_t ids[11];
        int32_t exit_code;
        uint32_t coredump_mask;
        uint32_t spare;
};
#define PIDFD_GET_INFO_REQUEST _IOWR(0xFF, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT_BIT    (UINT64_C(1) << 3)

static bool status_of_pidfd(int pidfd, int *statusp) {
        struct pidfd_info info = {.mask = PIDFD_INFO_EXIT_BIT};
        if (ioctl(pidfd, PIDFD_GET_INFO_REQUEST, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT_BIT))
                return false;
        *statusp = info.exit_code;
        return true;
}

/* proc(5): field 52, exit_code, in the form of waitpid(2); 0 unless we might ptrace it, so 0 says nothing. */
static bool status_of_zombie(pid_t pid, int *statusp) {
        char path[64], buffer[2048];
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof buffer - 1);
        if (n <= 0)
                return false;
        buffer[n] = '\0';
        const char *state = strrchr(buffer, ')');
        const char *last = strrchr(buffer, ' ');
        return state && last && state[2] == 'Z' && sscanf(last, "%d", statusp) == 1 && *statusp != 0;
}

static bool status_of_kernel(int pidfd, pid_t pid, int *statusp) {
        return status_of_pidfd(pidfd, statusp) || status_of_zombie(pid, statusp);
}

bool exit_status_is_kill(int pidfd, pid_t pid) {
        int status;
        return status_of_kernel(pidfd, pid, &status) && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

char *exit_status_describe(int pidfd, pid_t pid, bool agent_saw, int agent_status) {
        char *text;
        int status, n;
        if (!status_of_kernel(pidfd, pid, &status)) {
                if (!agent_saw)
                        return strdup("killed");
                status = W_EXITCODE(agent_status & 255, 0);
        }
        if (WIFSIGNALED(status))
                n = asprintf(&text, "signal %d", WTERMSIG(status));
        else
                n = asprintf(&text, "exit %d", WEXITSTATUS(status));
        return n < 0 ? NULL : text;
}
