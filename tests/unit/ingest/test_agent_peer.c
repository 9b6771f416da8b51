/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/frame.h"
#include "daemon/ingest/agent_peer.h"
#include "tests/support/check_main.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef Tracemallocd__Agent__AgentMessage Message;

struct world {
        uv_loop_t loop;
        struct agent_handler handler;
        struct drops drops;
        int agent, n_descriptors;
        struct agent_peer *peer;
        unsigned n_hellos, n_files, n_batches, n_closed, n_freed;
        bool take; /* keep descriptors, as a daemon would */
        int kept[300];
        unsigned n_kept;
};

static int count_descriptors(void) {
        int n = 0;
        DIR *dir = opendir("/proc/self/fd");
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void keep(struct world *w, int *fd) {
        if (!w->take)
                return;
        w->kept[w->n_kept++] = *fd;
        *fd = -1;
}

static void on_hello(void *user, const struct credentials *who, const Tracemallocd__Agent__Hello *hello, int fds[2],
                     struct agent_peer *peer, struct agent_welcome *welcome, void **associatep) {
        struct world *w = user;
        w->n_hellos++;
        if (fds[0] >= 0) {
                keep(w, &fds[0]);
                keep(w, &fds[1]);
        }
        *associatep = w;
}

static int on_files(void *associate, const Tracemallocd__Agent__ModuleFiles *files, int *fds) {
        struct world *w = associate;
        for (size_t i = 0; i < files->n_modules; i++)
                keep(w, &fds[i]);
        w->n_files += (unsigned)files->n_modules;
        return 0;
}

static int on_definitions(void *associate, const Tracemallocd__Agent__Definitions *definitions) {
        return -EPROTO;
}

static int on_events(void *associate, const Tracemallocd__Agent__EventBatch *batch) {
        ((struct world *)associate)->n_batches++;
        return 0;
}

static void on_closed(void *associate) {
        ((struct world *)associate)->n_closed++;
}

static void on_freed(void *user, const struct credentials *who) {
        ((struct world *)user)->n_freed++;
}

static void world_init(struct world *w) {
        int sockets[2];
        uv_loop_t first; /* libuv keeps a pipe of its own from the first loop on */
        uv_loop_init(&first);
        uv_loop_close(&first);
        *w = (struct world){.n_descriptors = count_descriptors()};
        w->handler = (struct agent_handler){.user = w,
                                            .drops = &w->drops,
                                            .hello = on_hello,
                                            .module_files = on_files,
                                            .definitions = on_definitions,
                                            .events = on_events,
                                            .closed = on_closed,
                                            .freed = on_freed};
        uv_loop_init(&w->loop);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
        struct credentials who = {.pid = getpid(), .uid = 1000};
        ck_assert_int_eq(agent_peer_open(&w->loop, sockets[0], &who, &w->handler, &w->peer), 0);
        w->agent = sockets[1];
}

static void world_deinit(struct world *w) {
        close(w->agent);
        agent_peer_drop_all(&w->handler);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&w->loop), 0);
        ck_assert_uint_eq(w->n_freed, 1);
        for (unsigned i = 0; i < w->n_kept; i++)
                close(w->kept[i]);
        ck_assert_int_eq(count_descriptors(), w->n_descriptors);
}

static void send_with_fds(struct world *w, const void *bytes, size_t length, int n_fds) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = {0};
        struct iovec iov = {.iov_base = (void *)bytes, .iov_len = length};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (n_fds > 0) {
                msg.msg_control = control;
                msg.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
                struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
                for (int i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(c) + (size_t)i * sizeof fd, &fd, sizeof fd);
        }
        ck_assert_int_eq(sendmsg(w->agent, &msg, MSG_NOSIGNAL), (ssize_t)length);
        close(fd);
}

static void send_message(struct world *w, const Message *message, int n_fds) {
        uint8_t bytes[8192];
        size_t length = tracemallocd__agent__agent_message__get_packed_size(message);
        ck_assert_uint_le(length + FRAME_HEADER_BYTES, sizeof bytes);
        frame_header(bytes, (uint32_t)length);
        tracemallocd__agent__agent_message__pack(message, bytes + FRAME_HEADER_BYTES);
        send_with_fds(w, bytes, FRAME_HEADER_BYTES + length, n_fds);
}

static void send_hello(struct world *w, uint32_t major, bool socket_way, int n_fds) {
        Message message = TRACEMALLOCD__AGENT__AGENT_MESSAGE__INIT;
        Tracemallocd__Agent__Hello hello = TRACEMALLOCD__AGENT__HELLO__INIT;
        hello.major = major;
        hello.transport = socket_way ? TRACEMALLOCD__AGENT__HELLO__TRANSPORT__SOCKET
                                     : TRACEMALLOCD__AGENT__HELLO__TRANSPORT__RING;
        message.body_case = TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_HELLO;
        message.hello = &hello;
        send_message(w, &message, n_fds);
}

static void send_events(struct world *w) {
        Message message = TRACEMALLOCD__AGENT__AGENT_MESSAGE__INIT;
        Tracemallocd__Agent__EventBatch batch = TRACEMALLOCD__AGENT__EVENT_BATCH__INIT;
        message.body_case = TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_EVENTS;
        message.events = &batch;
        send_message(w, &message, 0);
}

static void turn(struct world *w) {
        for (int i = 0; i < 4; i++)
                uv_run(&w->loop, UV_RUN_NOWAIT);
}

static bool hung_up(struct world *w) {
        char bytes[4096];
        ssize_t n;
        while ((n = recv(w->agent, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
                ;
        return n == 0;
}

START_TEST(a_ring_way_hello_brings_its_two_descriptors)
{
        struct world w;
        world_init(&w);
        w.take = true;
        send_hello(&w, 1, false, 2);
        turn(&w);
        ck_assert_uint_eq(w.n_hellos, 1);
        ck_assert_uint_eq(w.n_kept, 2);
        ck_assert(!hung_up(&w));
        world_deinit(&w);
        ck_assert_uint_eq(w.n_closed, 1);
}
END_TEST

START_TEST(a_ring_way_hello_without_descriptors_is_refused)
{
        struct world w;
        world_init(&w);
        send_hello(&w, 1, false, 1);
        turn(&w);
        ck_assert_uint_eq(w.n_hellos, 0);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(another_major_version_is_refused)
{
        struct world w;
        world_init(&w);
        send_hello(&w, 7, false, 2);
        turn(&w);
        ck_assert_uint_eq(w.n_hellos, 0);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(descriptors_that_no_message_counts_are_closed)
{
        struct world w;
        world_init(&w);
        send_hello(&w, 1, false, 40);
        turn(&w);
        world_deinit(&w); /* counts descriptors */
}
END_TEST

START_TEST(hoarding_descriptors_drops_the_peer)
{
        struct world w;
        uint8_t header[FRAME_HEADER_BYTES];
        world_init(&w);
        frame_header(header, 1000);
        send_with_fds(&w, header, sizeof header, 250); /* a message that never gets whole */
        turn(&w);
        send_with_fds(&w, "x", 1, 250);
        turn(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(module_files_take_as_many_descriptors_as_modules)
{
        struct world w;
        Message message = TRACEMALLOCD__AGENT__AGENT_MESSAGE__INIT;
        Tracemallocd__Agent__ModuleFiles files = TRACEMALLOCD__AGENT__MODULE_FILES__INIT;
        Tracemallocd__Agent__ModuleDef def = TRACEMALLOCD__AGENT__MODULE_DEF__INIT, *defs[250];
        for (int i = 0; i < 250; i++)
                defs[i] = &def;
        files.modules = defs;
        files.n_modules = 250;
        message.body_case = TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_MODULE_FILES;
        message.module_files = &files;
        world_init(&w);
        w.take = true;
        send_hello(&w, 1, false, 2);
        turn(&w);
        send_message(&w, &message, 250);
        turn(&w);
        ck_assert_uint_eq(w.n_files, 250);
        ck_assert(!hung_up(&w));
        send_message(&w, &message, 3);
        turn(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(events_belong_to_the_socket_way)
{
        struct world w;
        world_init(&w);
        send_hello(&w, 1, true, 0);
        send_events(&w);
        turn(&w);
        ck_assert_uint_eq(w.n_batches, 1);
        world_deinit(&w);
        world_init(&w);
        send_hello(&w, 1, false, 2);
        send_events(&w);
        turn(&w);
        ck_assert_uint_eq(w.n_batches, 0);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(anything_before_hello_and_a_second_hello_drop_the_peer)
{
        struct world w;
        world_init(&w);
        send_events(&w);
        turn(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
        world_init(&w);
        send_hello(&w, 1, true, 0);
        send_hello(&w, 1, true, 0);
        turn(&w);
        ck_assert_uint_eq(w.n_hellos, 1);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(garbage_drops_the_peer)
{
        static const uint8_t long_frame[] = {0xff, 0xff, 0xff, 0xff}, no_protobuf[] = {3, 0, 0, 0, 0xff, 0xff, 0xff};
        struct world w;
        world_init(&w);
        send_with_fds(&w, long_frame, sizeof long_frame, 0);
        turn(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
        world_init(&w);
        send_with_fds(&w, no_protobuf, sizeof no_protobuf, 3);
        turn(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

CHECK_MAIN("ingest/agent_peer", a_ring_way_hello_brings_its_two_descriptors,
           a_ring_way_hello_without_descriptors_is_refused, another_major_version_is_refused,
           descriptors_that_no_message_counts_are_closed, hoarding_descriptors_drops_the_peer,
           module_files_take_as_many_descriptors_as_modules, events_belong_to_the_socket_way,
           anything_before_hello_and_a_second_hello_drop_the_peer, garbage_drops_the_peer)
