/* SPDX-License-Identifier: Apache-2.0 */

/* What to answer who asks for a process that is not traced. Main loop; called where a request names one. */

#include "daemon/control/untraced_pid.h"

#include "daemon/base/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A number above pid_t's would be a process group's. */
static bool exists(uint32_t pid) {
        return pid > 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

/* 'tmctl unit' is of the system's services; those of a user's own systemd lie in user.slice. */
static bool is_service(const struct proc_info *info) {
        static const char slice[] = "/system.slice/", service[] = ".service";
        size_t length = strlen(info->unit);
        return strncmp(info->cgroup, slice, strlen(slice)) == 0 && length > strlen(service) &&
               strcmp(info->unit + length - strlen(service), service) == 0;
}

void untraced_pid_message(uint32_t pid, char message[UNTRACED_PID_MESSAGE_BYTES]) {
        struct proc_info info;
        if (!exists(pid)) {
                snprintf(message, UNTRACED_PID_MESSAGE_BYTES, "no process %u; 'tmctl ps' shows the traced ones", pid);
                return;
        }
        int r = proc_info_read((pid_t)pid, &info);
        if (r == 0 && is_service(&info))
                snprintf(message, UNTRACED_PID_MESSAGE_BYTES,
                         "process %u is not traced; 'tmctl unit trace %s --restart' traces its service from the next "
                         "start on",
                         pid, info.unit);
        else
                snprintf(message, UNTRACED_PID_MESSAGE_BYTES,
                         "process %u is not traced; tracing begins when a program starts: 'tmctl run' starts one, "
                         "'tmctl ps' shows those that are",
                         pid);
        if (r == 0)
                proc_info_deinit(&info);
}
