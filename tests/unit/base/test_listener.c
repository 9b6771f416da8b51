/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/listener.h"
#include "tests/support/check_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOME_PAUSES_MS 350 /* listener.c pauses for 100 */

static unsigned n_accepted;

static void on_accept(void *user, int fd) {
        n_accepted++;
        close(fd);
        uv_stop(user);
}

static void on_time(uv_timer_t *timer) {
        uv_stop(timer->loop);
}

/* Accepting fails from here on, whatever is closed, until it is called with more. */
static void allow_descriptors(rlim_t n) {
        struct rlimit limit;
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = n;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Each call goes on with the lines behind those of the call before. */
static unsigned count_lines(int fd) {
        char text[4096];
        unsigned n = 0;
        for (ssize_t length; (length = read(fd, text, sizeof text)) > 0;) {
                for (ssize_t i = 0; i < length; i++)
                        n += text[i] == '\n';
        }
        return n;
}

START_TEST(without_descriptors_it_says_so_once_and_goes_on_later)
{
        uv_loop_t loop;
        uv_timer_t timer;
        struct listener *listener;
        char path[64];
        snprintf(path, sizeof path, "/tmp/test_listener.%d", (int)getpid());
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        int fd = listener_bind(path, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(listener_open(&loop, fd, on_accept, &loop, &listener), 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strcpy(address.sun_path, path);
        int peer = socket(AF_UNIX, SOCK_STREAM, 0), log = memfd_create("log", 0), reader;
        ck_assert_int_eq(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", log);
        reader = open(path, O_RDONLY);
        ck_assert_int_ge(reader, 0);
        ck_assert_int_eq(dup2(log, STDERR_FILENO), STDERR_FILENO);

        allow_descriptors(3);
        uv_timer_init(&loop, &timer);
        uv_timer_start(&timer, on_time, SOME_PAUSES_MS, 0);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(n_accepted, 0);
        ck_assert_uint_eq(count_lines(reader), 1);

        allow_descriptors(256);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(n_accepted, 1);
        ck_assert_uint_eq(count_lines(reader), 0);

        uv_close((uv_handle_t *)&timer, NULL);
        listener_close(listener);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        unlink(address.sun_path);
        close(peer);
        close(log);
        close(reader);
}
END_TEST

CHECK_MAIN("base/listener", without_descriptors_it_says_so_once_and_goes_on_later)
