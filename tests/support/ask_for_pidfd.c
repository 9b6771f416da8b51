/* SPDX-License-Identifier: Apache-2.0 */

/* Preloaded into a program under valgrind, which knows no pidfd_open() before 3.21: asks the socket that $PIDFD_SERVER
 * names for the descriptor instead, tests/system/test_memcheck.py. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ask(int server, pid_t pid) {
        char byte;
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {&byte, 1};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        int fd = -1;
        if (send(server, &pid, sizeof pid, 0) != sizeof pid || recvmsg(server, &message, MSG_CMSG_CLOEXEC) != 1 ||
            message.msg_controllen == 0) {
                errno = ESRCH;
                return -1;
        }
        memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
        return fd;
}

int pidfd_open(pid_t pid, unsigned flags) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const char *path = getenv("PIDFD_SERVER");
        int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        strncpy(address.sun_path, path ? path : "", sizeof address.sun_path - 1);
        int fd = connect(server, (struct sockaddr *)&address, sizeof address) < 0 ? -1 : ask(server, pid);
        close(server);
        return fd;
}
