/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One thread with poll(2): connections, rings, ends of processes. Simple before
 * fast: every millisecond each ring is read to its end.
 */

#include "tests/support/fake_daemon.h"

#include "proto/agent.pb-c.h"
#include "proto/record.h"
#include "proto/ring.h"
#include "tests/support/event_stream.h"
#include "tests/support/fake_daemon_image.h"
#include "tests/support/oracle.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define FDS_MAX         64

struct connection {
        int fd;
        uint8_t *bytes;
        size_t used;
        int fds[FDS_MAX];
        unsigned n_fds;
        struct image *image;
        bool files_only, hung_up;
};

struct fake_daemon {
        struct fake_daemon_options options;
        int listener;
        char path[108];
        pthread_t thread;
        pthread_mutex_t mutex;
        bool stop;
        uint64_t rounds; /* of the loop: settle waits for two */
        struct image *images[FAKE_IMAGES_MAX];
        size_t n_images;
        uint32_t n_unanswered;
        ino_t ring_greeted; /* by the last Hello that brought one */
        uint32_t n_greetings, n_rings;
        struct connection connections[CONNECTIONS_MAX];
        struct doorbell *doorbell;
        int doorbell_fd;
};

static int memfd_page(const char *name, size_t bytes, void **memoryp) {
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
        *memoryp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert(*memoryp != MAP_FAILED);
        return fd;
}

static void service_image(struct fake_daemon *daemon, struct image *image) {
        struct pollfd poll_pid = {.fd = image->pidfd, .events = POLLIN};
        if (image->ended)
                return;
        bool dead = poll(&poll_pid, 1, 0) > 0;
        if (image->ring && (!daemon->options.keep_full || dead)) {
                image_read_ring(image, dead);
                image_give_space_back(image);
        }
        if (dead && image->connection < 0)
                image->ended = true;
}

/* ---- connections ---- */

static void send_reply(const struct fake_daemon *daemon, struct connection *connection, struct image *image,
                       uint32_t status, const int fds[2]) {
        Tracemallocd__Agent__DaemonMessage message = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__INIT;
        Tracemallocd__Agent__HelloReply reply = TRACEMALLOCD__AGENT__HELLO_REPLY__INIT;
        uint8_t bytes[1024];
        uint32_t length;
        struct iovec part = {.iov_base = bytes};
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(2 * sizeof(int))];
        } control = {0};
        struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};

        reply.status = (Tracemallocd__Agent__HelloReply__Status)status;
        reply.major = 1;
        reply.minor = daemon->options.minor;
        if (image) {
                reply.secret.data = image->told.secret;
                reply.secret.len = sizeof image->told.secret;
                reply.traceback_limit = atomic_load(&image->control->traceback_limit);
                reply.domains = atomic_load(&image->control->domains);
                reply.mode = atomic_load(&image->control->mode);
                reply.window = 256 * 1024;
        }
        message.body_case = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_HELLO_REPLY;
        message.hello_reply = &reply;
        length = (uint32_t)tracemallocd__agent__daemon_message__pack(&message, bytes + 4);
        memcpy(bytes, &length, 4);
        part.iov_len = length + 4;
        if (fds) {
                packet.msg_control = &control;
                packet.msg_controllen = sizeof control;
                control.header = (struct cmsghdr){
                        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(2 * sizeof(int))};
                memcpy(CMSG_DATA(&control.header), fds, 2 * sizeof(int));
        }
        sendmsg(connection->fd, &packet, MSG_NOSIGNAL);
}

static void send_ack(struct connection *connection) {
        Tracemallocd__Agent__DaemonMessage message = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__INIT;
        Tracemallocd__Agent__Ack ack = TRACEMALLOCD__AGENT__ACK__INIT;
        uint8_t bytes[64];
        ack.sequence = connection->image->position;
        message.body_case = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_ACK;
        message.ack = &ack;
        uint32_t length = (uint32_t)tracemallocd__agent__daemon_message__pack(&message, bytes + 4);
        memcpy(bytes, &length, 4);
        send(connection->fd, bytes, length + 4, MSG_NOSIGNAL);
}

static struct image *find_secret(struct fake_daemon *daemon, ProtobufCBinaryData secret) {
        for (size_t i = 0; i < daemon->n_images; i++)
                if (secret.len == 16 && memcmp(daemon->images[i]->told.secret, secret.data, 16) == 0)
                        return daemon->images[i];
        return NULL;
}

static void service_connection(struct fake_daemon *daemon, struct connection *connection);

/* What the parent sent before the fork lies in its connection, which may come later in the round. */
static void read_socket(struct fake_daemon *daemon, const struct image *image) {
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
                struct connection *connection = &daemon->connections[i];
                int unread = 0;
                while (image->connection >= 0 && connection->fd == image->connection &&
                       ioctl(connection->fd, FIONREAD, &unread) == 0 && unread > 0)
                        service_connection(daemon, connection);
        }
}

static void inherit(struct fake_daemon *daemon, struct image *image, const Tracemallocd__Agent__Hello *hello) {
        struct image *parent = find_secret(daemon, hello->secret);
        image->told.fork_token = hello->fork_token;
        if (!parent)
                return;
        memcpy(image->told.parent_secret, parent->told.secret, 16);
        if (parent->ring)
                image_read_ring(parent, false);
        else
                read_socket(daemon, parent);
        image_inherit(image, parent);
}

/* An exec: the old image of a process writes no more. */
static void end_predecessors(struct fake_daemon *daemon, int pid) {
        for (size_t i = 0; i < daemon->n_images; i++) {
                struct image *old = daemon->images[i];
                if (old->told.pid != pid || old->ended)
                        continue;
                if (old->ring)
                        image_read_ring(old, true);
                old->ended = true;
        }
}

/* Return: its descriptor. */
static int make_control(const struct fake_daemon_options *options, struct image *image,
                        const Tracemallocd__Agent__Hello *hello) {
        int fd = memfd_page("fake-control", CONTROL_BYTES, (void **)&image->control);
        struct ring_control *control = image->control;
        control->magic = CONTROL_MAGIC;
        control->version = RING_VERSION;
        atomic_store(&control->traceback_limit,
                     options->traceback_limit ? options->traceback_limit : hello->traceback_limit);
        atomic_store(&control->domains, hello->domains);
        atomic_store(&control->stall_limit_us, options->stall_limit_us ? options->stall_limit_us : 60000000);
        atomic_store(&control->fill_mark, UINT64_MAX);
        atomic_store(&control->mode, options->mode ? options->mode : TRACE_EXACT);
        return fd;
}

static struct image *identify(const struct fake_daemon *daemon, int connection_fd,
                              const Tracemallocd__Agent__Hello *hello) {
        struct image *image = calloc(1, sizeof *image);
        struct ucred peer;
        socklen_t length = sizeof peer;
        assert(getsockopt(connection_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0);
        image->told.kind = hello->kind;
        image->told.transport = hello->transport;
        image->told.pid = peer.pid;
        image->told.exit_status = -1;
        snprintf(image->told.name, sizeof image->told.name, "%.*s", (int)hello->name.len,
                 (const char *)hello->name.data);
        assert(getrandom(image->told.secret, sizeof image->told.secret, 0) == 16);
        image->oracle = oracle_new();
        if (daemon->options.record) {
                char path[512];
                snprintf(path, sizeof path, "%s.%zu", daemon->options.record, daemon->n_images);
                image->stream = event_stream_create(path);
        }
        image->modules = calloc(FAKE_MODULES_MAX, sizeof *image->modules);
        image->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
        image->connection = -1;
        return image;
}

static struct image *new_image(struct fake_daemon *daemon, struct connection *connection,
                               const Tracemallocd__Agent__Hello *hello) {
        bool by_ring = hello->transport == TRACEMALLOCD__AGENT__HELLO__TRANSPORT__RING;
        struct image *image = identify(daemon, connection->fd, hello);
        int fds[2];
        end_predecessors(daemon, image->told.pid);
        if (hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__FORK)
                inherit(daemon, image, hello);
        fds[0] = make_control(&daemon->options, image, hello);
        fds[1] = daemon->doorbell_fd;
        if (by_ring) {
                assert(connection->n_fds >= 2);
                image_take_ring(image, connection->fds);
                image->told.n_greetings = daemon->n_greetings;
                image->told.n_rings = daemon->n_rings;
        } else {
                image_make_areas(image);
                image->connection = connection->fd;
        }
        image->verdicts = calloc(image->definitions->node_capacity, 1);
        daemon->images[daemon->n_images++] = image;
        send_reply(daemon, connection, image, 0, by_ring ? fds : NULL);
        close(fds[0]);
        return image;
}

static void note_ring(struct fake_daemon *daemon, const struct connection *connection) {
        struct stat st = {0};
        if (connection->n_fds < 2)
                return;
        assert(fstat(connection->fds[0], &st) == 0);
        if (st.st_ino != daemon->ring_greeted) {
                daemon->n_greetings = 0;
                daemon->n_rings++;
        }
        daemon->ring_greeted = st.st_ino;
        daemon->n_greetings++;
}

/* Return: whether this Hello is one of those. */
static bool leave_unanswered(struct fake_daemon *daemon, struct connection *connection) {
        const struct fake_daemon_options *options = &daemon->options;
        if (daemon->n_unanswered >= options->silences + options->hang_ups)
                return false;
        connection->hung_up = daemon->n_unanswered++ >= options->silences;
        return true;
}

static void handle_hello(struct fake_daemon *daemon, struct connection *connection,
                         const Tracemallocd__Agent__Hello *hello) {
        note_ring(daemon, connection);
        if (leave_unanswered(daemon, connection))
                return;
        if (daemon->options.refuse) {
                send_reply(daemon, connection, NULL, 2, NULL);
                return;
        }
        if (hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__MODULES) {
                connection->image = find_secret(daemon, hello->secret);
                connection->files_only = true;
                send_reply(daemon, connection, NULL, connection->image ? 0 : 2, NULL);
                return;
        }
        connection->image = new_image(daemon, connection, hello);
}

static void handle_events(struct connection *connection, const Tracemallocd__Agent__EventBatch *batch) {
        struct image *image = connection->image;
        if (batch->sequence != image->position)
                image->told.bad_records++;
        for (size_t i = 0; i < batch->records.len;) {
                uint64_t words[RECORD_WORDS_MAX] = {0};
                memcpy(words, batch->records.data + i, 8);
                unsigned n = record_words(record_type(words[0]));
                if (n == 0 || i + n * 8 > batch->records.len || record_lap(words[0]) != 0) {
                        image->told.bad_records++;
                        break;
                }
                memcpy(words, batch->records.data + i, n * 8);
                image_apply(image, words);
                image->position += n * 8;
                i += n * 8;
        }
        send_ack(connection);
}

static void handle_message(struct fake_daemon *daemon, struct connection *connection, const uint8_t *bytes,
                           size_t length) {
        Tracemallocd__Agent__AgentMessage *message = tracemallocd__agent__agent_message__unpack(NULL, length, bytes);
        assert(message);
        switch (message->body_case) {
        case TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_HELLO:
                handle_hello(daemon, connection, message->hello);
                break;
        case TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_MODULE_FILES:
                if (connection->image && connection->n_fds >= message->module_files->n_modules)
                        connection->image->told.n_module_files += (uint32_t)message->module_files->n_modules;
                break;
        case TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_DEFINITIONS:
                image_add_definitions(connection->image, message->definitions);
                break;
        case TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_EVENTS:
                handle_events(connection, message->events);
                break;
        default:
                assert(!"a message without a body");
        }
        tracemallocd__agent__agent_message__free_unpacked(message, NULL);
        for (unsigned i = 0; i < connection->n_fds; i++)
                close(connection->fds[i]);
        connection->n_fds = 0;
}

static void drop(struct connection *connection) {
        for (unsigned i = 0; i < connection->n_fds; i++)
                close(connection->fds[i]);
        if (connection->image && !connection->files_only)
                connection->image->connection = -1;
        close(connection->fd);
        free(connection->bytes);
        *connection = (struct connection){.fd = -1};
}

/* Return: false at the end of the stream. */
static bool receive(struct connection *connection) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control;
        struct iovec part = {.iov_base = connection->bytes + connection->used, .iov_len = (2 << 20) - connection->used};
        struct msghdr packet = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(connection->fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return errno == EAGAIN;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&packet); c; c = CMSG_NXTHDR(&packet, c)) {
                unsigned n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                memcpy(connection->fds + connection->n_fds, CMSG_DATA(c), n_fds * sizeof(int));
                connection->n_fds += n_fds;
        }
        connection->used += (size_t)n;
        return n > 0;
}

static void service_connection(struct fake_daemon *daemon, struct connection *connection) {
        bool open = receive(connection);
        size_t done = 0;
        while (connection->used - done >= 4) {
                uint32_t length;
                memcpy(&length, connection->bytes + done, 4);
                assert(length <= 1 << 20);
                if (connection->used - done - 4 < length)
                        break;
                handle_message(daemon, connection, connection->bytes + done + 4, length);
                done += 4 + length;
        }
        memmove(connection->bytes, connection->bytes + done, connection->used - done);
        connection->used -= done;
        if (!open || connection->hung_up)
                drop(connection);
}

static bool accept_all(struct fake_daemon *daemon) {
        bool any = false;
        int fd;
        while ((fd = accept4(daemon->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
                struct connection *free_one = NULL;
                for (unsigned i = 0; i < CONNECTIONS_MAX && !free_one; i++)
                        if (daemon->connections[i].fd < 0)
                                free_one = &daemon->connections[i];
                assert(free_one);
                *free_one = (struct connection){.fd = fd, .bytes = malloc(2 << 20)};
                any = true;
        }
        return any;
}

static void *serve(void *data) {
        struct fake_daemon *daemon = data;
        for (;;) {
                struct pollfd fds[CONNECTIONS_MAX + 1] = {{.fd = daemon->listener, .events = POLLIN}};
                for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
                        fds[i + 1] = (struct pollfd){.fd = daemon->connections[i].fd, .events = POLLIN};
                poll(fds, CONNECTIONS_MAX + 1, 1);
                pthread_mutex_lock(&daemon->mutex);
                if (daemon->stop) {
                        pthread_mutex_unlock(&daemon->mutex);
                        return NULL;
                }
                /* the ends of processes first: what they sent before is still to be read below */
                for (size_t i = 0; i < daemon->n_images; i++)
                        service_image(daemon, daemon->images[i]);
                accept_all(daemon);
                for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
                        if (daemon->connections[i].fd >= 0)
                                service_connection(daemon, &daemon->connections[i]);
                daemon->rounds++;
                pthread_mutex_unlock(&daemon->mutex);
        }
}

int fake_daemon_start(const char *dir, const struct fake_daemon_options *options, struct fake_daemon **daemonp) {
        struct fake_daemon *daemon = calloc(1, sizeof *daemon);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int r;
        daemon->options = *options;
        snprintf(daemon->path, sizeof daemon->path, "%s/agent.sock", dir);
        snprintf(address.sun_path, sizeof address.sun_path, "%s", daemon->path);
        unlink(daemon->path);
        daemon->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (bind(daemon->listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(daemon->listener, 128)) {
                r = -errno;
                close(daemon->listener);
                free(daemon);
                return r;
        }
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
                daemon->connections[i].fd = -1;
        daemon->doorbell_fd = memfd_page("fake-doorbell", DOORBELL_BYTES, (void **)&daemon->doorbell);
        pthread_mutex_init(&daemon->mutex, NULL);
        r = pthread_create(&daemon->thread, NULL, serve, daemon);
        assert(r == 0);
        *daemonp = daemon;
        return 0;
}

void fake_daemon_settle(struct fake_daemon *daemon) {
        uint64_t first = UINT64_MAX;
        for (;;) {
                bool all = true;
                pthread_mutex_lock(&daemon->mutex);
                for (size_t i = 0; i < daemon->n_images; i++)
                        all = all && daemon->images[i]->ended;
                /* quiet for some rounds: nobody is between connect and Hello */
                if (!all || first == UINT64_MAX)
                        first = daemon->rounds;
                if (all && daemon->rounds >= first + 20) {
                        pthread_mutex_unlock(&daemon->mutex);
                        return;
                }
                pthread_mutex_unlock(&daemon->mutex);
                poll(NULL, 0, 1);
        }
}

void fake_daemon_wait(struct fake_daemon *daemon, size_t n_images) {
        for (;;) {
                pthread_mutex_lock(&daemon->mutex);
                size_t n = daemon->n_images;
                pthread_mutex_unlock(&daemon->mutex);
                if (n >= n_images)
                        return;
                poll(NULL, 0, 1);
        }
}

void fake_daemon_set_mode(struct fake_daemon *daemon, uint32_t mode) {
        pthread_mutex_lock(&daemon->mutex);
        for (size_t i = 0; i < daemon->n_images; i++)
                atomic_store(&daemon->images[i]->control->mode, mode);
        pthread_mutex_unlock(&daemon->mutex);
}

size_t fake_daemon_images(struct fake_daemon *daemon, struct fake_image ***imagesp) {
        *imagesp = (struct fake_image **)daemon->images; /* told is the first member */
        return daemon->n_images;
}

void fake_daemon_stop(struct fake_daemon *daemon, bool announce) {
        if (announce)
                fake_daemon_set_mode(daemon, TRACE_ENDED);
        pthread_mutex_lock(&daemon->mutex);
        daemon->stop = true;
        pthread_mutex_unlock(&daemon->mutex);
        pthread_join(daemon->thread, NULL);
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
                if (daemon->connections[i].fd >= 0)
                        drop(&daemon->connections[i]);
        for (size_t i = 0; i < daemon->n_images; i++)
                image_free(daemon->images[i]);
        close(daemon->listener);
        unlink(daemon->path);
        close(daemon->doorbell_fd);
        munmap(daemon->doorbell, DOORBELL_BYTES);
        pthread_mutex_destroy(&daemon->mutex);
        free(daemon);
}
