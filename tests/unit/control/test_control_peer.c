/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/frame.h"
#include "daemon/control/control_peer.h"
#include "tests/support/check_main.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
        uv_loop_t loop;
        struct control_identity identity;
        struct control_handler handler;
        struct drops drops;
        int client;
        struct control_peer *peer;
        struct control_peer *held; /* a request that is not answered at once */
        bool hold;
        size_t answer_bytes; /* before each is done */
        unsigned n_requests, n_freed, depth, max_depth;
        int n_descriptors;
};

static int count_descriptors(void) {
        int n = 0;
        DIR *dir = opendir("/proc/self/fd");
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void on_request(void *user, struct control_peer *peer, const Tracemallocd__Control__Request *request) {
        struct world *w = user;
        w->n_requests++;
        if (++w->depth > w->max_depth)
                w->max_depth = w->depth;
        if (w->hold)
                w->held = control_peer_ref(peer);
        else if (w->answer_bytes)
                control_peer_reply_bytes(peer, calloc(1, w->answer_bytes), w->answer_bytes);
        if (!w->hold)
                control_peer_done(peer);
        w->depth--;
}

static void on_freed(void *user, const struct credentials *who) {
        ((struct world *)user)->n_freed++;
}

/* What a socket takes unread goes by net.core.wmem_default otherwise, which may be more than an answer. */
static void set_buffer(int fd) {
        const int bytes = 65536;
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
}

static void world_init(struct world *w) {
        int sockets[2];
        uv_loop_t first; /* libuv keeps a pipe of its own from the first loop on */
        uv_loop_init(&first);
        uv_loop_close(&first);
        *w = (struct world){.n_descriptors = count_descriptors()};
        w->identity = (struct control_identity){.daemon = "test", .agent_path = "/agent.so"};
        w->handler = (struct control_handler){
                .user = w, .drops = &w->drops, .identity = &w->identity, .request = on_request, .freed = on_freed};
        uv_loop_init(&w->loop);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
        set_buffer(sockets[0]);
        set_buffer(sockets[1]);
        struct credentials who = {.pid = getpid(), .uid = 1000};
        ck_assert_int_eq(control_peer_open(&w->loop, sockets[0], &who, &w->handler, &w->peer), 0);
        w->client = sockets[1];
}

static void world_deinit(struct world *w) {
        if (w->client >= 0)
                close(w->client);
        control_peer_close_all(&w->handler);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&w->loop), 0);
        ck_assert_uint_eq(w->n_freed, 1);
        ck_assert_int_eq(count_descriptors(), w->n_descriptors);
}

static void send_frame(struct world *w, const void *payload, size_t length) {
        uint8_t header[FRAME_HEADER_BYTES];
        frame_header(header, (uint32_t)length);
        ck_assert_int_eq(send(w->client, header, sizeof header, MSG_NOSIGNAL), sizeof header);
        ck_assert_int_eq(send(w->client, payload, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void send_hello(struct world *w, uint32_t major) {
        uint8_t bytes[64];
        Tracemallocd__Control__Hello hello = TRACEMALLOCD__CONTROL__HELLO__INIT;
        hello.major = major;
        send_frame(w, bytes, tracemallocd__control__hello__pack(&hello, bytes));
}

static size_t pack_ps(uint8_t *bytes) {
        Tracemallocd__Control__PsRequest ps = TRACEMALLOCD__CONTROL__PS_REQUEST__INIT;
        Tracemallocd__Control__Request request = TRACEMALLOCD__CONTROL__REQUEST__INIT;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_PS;
        request.ps = &ps;
        return tracemallocd__control__request__pack(&request, bytes);
}

/* All that the daemon wrote. Return: bytes; 0 when it hung up. */
static size_t drain(struct world *w) {
        char bytes[65536];
        size_t total = 0;
        for (ssize_t n; (n = recv(w->client, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
                total += (size_t)n;
        return total;
}

static bool hung_up(struct world *w) {
        char c;
        drain(w);
        return recv(w->client, &c, 1, MSG_DONTWAIT) == 0;
}

static void turn(struct world *w) {
        for (int i = 0; i < 4; i++)
                uv_run(&w->loop, UV_RUN_NOWAIT);
}

START_TEST(hello_then_requests_each_answered_once)
{
        struct world w;
        uint8_t bytes[64];
        world_init(&w);
        send_hello(&w, 1);
        turn(&w);
        ck_assert_uint_gt(drain(&w), 0);
        size_t n = pack_ps(bytes);
        send_frame(&w, bytes, n);
        turn(&w);
        ck_assert_uint_eq(w.n_requests, 1);
        ck_assert_uint_gt(drain(&w), 0);
        world_deinit(&w);
}
END_TEST

START_TEST(thousands_of_requests_in_one_go_do_not_nest)
{
        struct world w;
        uint8_t request[64], frame[64];
        world_init(&w);
        send_hello(&w, 1);
        size_t n = pack_ps(request);
        frame_header(frame, (uint32_t)n);
        memcpy(frame + FRAME_HEADER_BYTES, request, n);
        unsigned sent = 0;
        while (send(w.client, frame, FRAME_HEADER_BYTES + n, MSG_NOSIGNAL | MSG_DONTWAIT) ==
               (ssize_t)(FRAME_HEADER_BYTES + n))
                sent++;
        ck_assert_uint_gt(sent, 100);
        while (w.n_requests < sent) {
                uv_run(&w.loop, UV_RUN_NOWAIT);
                drain(&w);
        }
        ck_assert_uint_eq(w.max_depth, 1);
        world_deinit(&w);
}
END_TEST

START_TEST(who_does_not_read_answers_is_answered_no_more)
{
        struct world w;
        uint8_t request[64];
        const unsigned n_requests = 20; /* as many as the socket takes in single messages */
        world_init(&w);
        send_hello(&w, 1);
        w.answer_bytes = 1 << 20;
        size_t n = pack_ps(request);
        for (unsigned i = 0; i < n_requests; i++)
                send_frame(&w, request, n);
        for (int i = 0; i < 10; i++)
                turn(&w);
        ck_assert_uint_eq(w.n_requests, 1);
        ck_assert_uint_gt(control_peers_unread(&w.handler, 1000), w.answer_bytes / 2);
        ck_assert_uint_eq(control_peers_unread(&w.handler, 1001), 0);
        size_t total = 0;
        for (unsigned i = 0; i < 1000 * n_requests && w.n_requests < n_requests; i++) {
                total += drain(&w);
                turn(&w);
                ck_assert_uint_le(w.n_requests, total / w.answer_bytes + 2);
        }
        ck_assert_uint_eq(w.n_requests, n_requests);
        world_deinit(&w);
}
END_TEST

START_TEST(a_request_waits_for_the_one_before_it)
{
        struct world w;
        uint8_t bytes[64];
        world_init(&w);
        w.hold = true;
        send_hello(&w, 1);
        size_t n = pack_ps(bytes);
        send_frame(&w, bytes, n);
        send_frame(&w, bytes, n);
        turn(&w);
        ck_assert_uint_eq(w.n_requests, 1);
        struct control_peer *held = w.held;
        control_peer_done(held);
        control_peer_unref(held);
        turn(&w);
        ck_assert_uint_eq(w.n_requests, 2);
        control_peer_error(w.held, CONTROL_FAILED, "%s", "no");
        control_peer_unref(w.held);
        world_deinit(&w);
}
END_TEST

/* What it sends is buffered, so there has to be an end to it. */
START_TEST(who_talks_on_while_a_request_waits_is_hung_up_on)
{
        struct world w;
        uint8_t bytes[64];
        static const uint8_t more[65536];
        const size_t bound = FRAME_MAX_CONTROL + (1 << 20); /* with what the socket takes */
        world_init(&w);
        w.hold = true;
        send_hello(&w, 1);
        send_frame(&w, bytes, pack_ps(bytes));
        turn(&w);
        ck_assert_uint_eq(w.n_requests, 1);
        size_t sent = 0;
        while (sent < bound && !control_peer_is_gone(w.held)) {
                ssize_t n = send(w.client, more, sizeof more, MSG_NOSIGNAL);
                sent += n > 0 ? (size_t)n : 0;
                uv_run(&w.loop, UV_RUN_NOWAIT);
        }
        ck_assert_uint_ge(sent, FRAME_MAX_CONTROL); /* a message of any length may wait */
        ck_assert(control_peer_is_gone(w.held));
        control_peer_done(w.held);
        control_peer_unref(w.held);
        world_deinit(&w);
}
END_TEST

START_TEST(a_client_that_left_is_answered_into_the_void)
{
        struct world w;
        uint8_t bytes[64];
        world_init(&w);
        w.hold = true;
        send_hello(&w, 1);
        size_t n = pack_ps(bytes);
        send_frame(&w, bytes, n);
        turn(&w);
        close(w.client);
        w.client = -1;
        turn(&w);
        ck_assert_uint_eq(w.n_freed, 0);
        control_peer_done(w.held);
        control_peer_unref(w.held);
        world_deinit(&w);
}
END_TEST

START_TEST(garbage_hangs_up)
{
        static const uint8_t no_protobuf[] = {0xff, 0xff, 0xff, 0xff, 0x01};
        struct world w;
        world_init(&w);
        send_hello(&w, 1);
        send_frame(&w, no_protobuf, sizeof no_protobuf);
        turn(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
        world_init(&w);
        ck_assert_int_eq(send(w.client, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
        turn(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(another_major_version_is_told_why_and_hung_up)
{
        struct world w;
        world_init(&w);
        send_hello(&w, 2);
        turn(&w);
        ck_assert(hung_up(&w));
        ck_assert_uint_eq(w.n_requests, 0);
        world_deinit(&w);
}
END_TEST

static void find_timer(uv_handle_t *handle, void *data) {
        if (uv_handle_get_type(handle) == UV_TIMER && uv_is_active(handle))
                *(uv_timer_t **)data = (uv_timer_t *)handle;
}

static uv_timer_t *running_timer(struct world *w) {
        uv_timer_t *timer = NULL;
        uv_walk(&w->loop, find_timer, &timer);
        return timer;
}

/* As if half of what a timer gives were over. */
static void let_time_pass(struct world *w) {
        uv_timer_t *timer = running_timer(w);
        ck_assert_ptr_nonnull(timer);
        uv_timer_start(timer, timer->timer_cb, 0, uv_timer_get_repeat(timer));
        turn(w);
}

START_TEST(silence_is_hung_up_on)
{
        struct world w;
        world_init(&w);
        turn(&w);
        let_time_pass(&w);
        ck_assert(!hung_up(&w));
        let_time_pass(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(half_a_message_is_hung_up_on)
{
        struct world w;
        uint8_t bytes[64];
        world_init(&w);
        send_hello(&w, 1);
        turn(&w);
        ck_assert_ptr_null(running_timer(&w)); /* a client may be silent as long as it likes */
        send_frame(&w, bytes, pack_ps(bytes));
        ck_assert_int_eq(send(w.client, "\x20", 1, MSG_NOSIGNAL), 1);
        turn(&w);
        ck_assert_uint_eq(w.n_requests, 1);
        let_time_pass(&w);
        ck_assert(!hung_up(&w));
        let_time_pass(&w);
        ck_assert(hung_up(&w));
        world_deinit(&w);
}
END_TEST

START_TEST(a_message_in_pieces_is_taken)
{
        struct world w;
        uint8_t bytes[64], header[FRAME_HEADER_BYTES];
        size_t length = pack_ps(bytes);
        world_init(&w);
        send_hello(&w, 1);
        frame_header(header, (uint32_t)length);
        ck_assert_int_eq(send(w.client, header, sizeof header, MSG_NOSIGNAL), sizeof header);
        turn(&w);
        let_time_pass(&w);
        ck_assert_int_eq(send(w.client, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
        turn(&w);
        ck_assert_uint_eq(w.n_requests, 1);
        ck_assert_ptr_null(running_timer(&w));
        world_deinit(&w);
}
END_TEST

struct attached {
        struct control_attachment attachment;
        unsigned n_released;
};

static void release_one(struct control_attachment *attached) {
        ((struct attached *)attached)->n_released++;
}

static void release_other(struct control_attachment *attached) {
        release_one(attached);
}

START_TEST(what_is_attached_is_found_by_its_kind_and_released_with_the_peer)
{
        struct world w;
        struct attached one = {.n_released = 0}, other = {.n_released = 0}, detached = {.n_released = 0};
        world_init(&w);
        control_peer_attach(w.peer, &one.attachment, release_one);
        control_peer_attach(w.peer, &detached.attachment, release_other);
        ck_assert_ptr_eq(control_peer_attachment(w.peer, release_one), &one.attachment);
        ck_assert_ptr_eq(control_peer_attachment(w.peer, release_other), &detached.attachment);
        control_peer_detach(w.peer, &detached.attachment);
        ck_assert_ptr_null(control_peer_attachment(w.peer, release_other));
        control_peer_attach(w.peer, &other.attachment, release_other);
        world_deinit(&w);
        ck_assert_uint_eq(one.n_released, 1);
        ck_assert_uint_eq(other.n_released, 1);
        ck_assert_uint_eq(detached.n_released, 0);
}
END_TEST

CHECK_MAIN("control/control_peer", hello_then_requests_each_answered_once, thousands_of_requests_in_one_go_do_not_nest,
           who_does_not_read_answers_is_answered_no_more, a_request_waits_for_the_one_before_it,
           who_talks_on_while_a_request_waits_is_hung_up_on, a_client_that_left_is_answered_into_the_void,
           garbage_hangs_up, another_major_version_is_told_why_and_hung_up, silence_is_hung_up_on,
           half_a_message_is_hung_up_on, a_message_in_pieces_is_taken,
           what_is_attached_is_found_by_its_kind_and_released_with_the_peer)
