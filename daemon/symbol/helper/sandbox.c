/* SPDX-License-Identifier: Apache-2.0 */

/* What the helper gives up. Main thread, once, at the start. */

#include "daemon/symbol/helper/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY        65534               /* Debian Policy 9.2.2 */
#define ADDRESS_BYTES (UINT64_C(4) << 30) /* DWARF of the largest programs is mapped and indexed in less */
#define STACK_BYTES   (PTHREAD_STACK_MIN + 16384)

static int drop_root(void) {
        if (geteuid() != 0)
                return 0;
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                return -errno;
        return 0;
}

static int limit(int resource, rlim_t value) {
        struct rlimit now;
        if (getrlimit(resource, &now) < 0)
                return -errno;
        if (now.rlim_max < value)
                value = now.rlim_max;
        return setrlimit(resource, &(struct rlimit){value, value}) < 0 ? -errno : 0;
}

static int limit_all(void) {
        int r = limit(RLIMIT_CORE, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their shadow memory is larger */
        if (r == 0)
                r = limit(RLIMIT_AS, ADDRESS_BYTES);
#endif
        return r;
}

/* PR_SET_PDEATHSIG would fire when the daemon's thread ends that started us, not its process. */
static void *watch(void *argument) {
        struct pollfd poll_fd = {.fd = (int)(intptr_t)argument, .events = POLLRDHUP};
        while (poll(&poll_fd, 1, -1) <= 0 || !(poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)))
                continue;
        _exit(0);
}

static int start_watch(int socket_fd) {
        pthread_attr_t attributes;
        pthread_t thread;
        sigset_t all, before;
        int r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;
        sigfillset(&all);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
#endif
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&thread, &attributes, watch, (void *)(intptr_t)socket_fd);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return -r;
}

/* The filter of system calls is that of the service (SystemCallFilter=); a user's own helper has none, and that user's
 * rights. */
int sandbox_enter(int socket_fd) {
        int r = drop_root();
        if (r == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
                r = -errno;
        if (r == 0)
                r = limit_all();
        if (r == 0)
                r = start_watch(socket_fd);
        return r;
}
