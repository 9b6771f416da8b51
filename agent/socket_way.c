/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sender of the socket way. Whoever has @busy owns all fields but the
 * atomic ones. Records leave the ring in order, whole, and never before the nodes and items
 * that they name; a hole (a thread between reserving and filling) ends a batch.
 */

#include "agent/socket_way.h"

#include <errno.h>
#include <string.h>

/* High enough for a program's own descriptors, low enough for the kernel's table of them to stay small. */
#define DESCRIPTOR_TOP          4096
#define ITEMS_PER_MESSAGE_BYTES (64 * 1024)
#define LAP_BITS                (UINT64_C(255) << 50)

static bool make_room(struct epoch *epoch) {
        return socket_way_drain(epoch->socket, sys_clock_ns(false) + UINT64_C(100000000));
}

/* For a writer without room: send, or let the thread that sends go on. */
static void make_room_or_sleep(void *context) {
        struct epoch *epoch = context;
        const struct timespec pause = {.tv_nsec = 1000000};
        uint32_t wake = atomic_load(&epoch->own_control->tail_wake);
        if (!make_room(epoch))
                sys_futex(&epoch->own_control->tail_wake, FUTEX_WAIT, wake, &pause);
}

int socket_way_new(struct epoch *epoch) {
        struct socket_way *way = sys_map_memory(sizeof *way);
        if (!way)
                return -ENOMEM;
        way->epoch = epoch;
        way->fd = -1;
        way->nodes_sent = 1;
        atomic_store(&way->busy, 1); /* until socket_way_open() */
        epoch->socket = way;
        epoch->ring.make_room = make_room_or_sleep;
        return 0;
}

void socket_way_open(struct socket_way *way, int fd, uint64_t window) {
        struct rlimit limit = {.rlim_cur = DESCRIPTOR_TOP};
        struct stat st = {0};
        sys_getrlimit(RLIMIT_NOFILE, &limit);
        int top = sys_fcntl(fd, F_DUPFD_CLOEXEC,
                            limit.rlim_cur > DESCRIPTOR_TOP ? DESCRIPTOR_TOP - 32
                            : limit.rlim_cur > 64           ? (long)limit.rlim_cur - 32
                                                            : 3);
        if (top >= 0) {
                sys_close(fd);
                fd = top;
        }
        sys_fstat(fd, &st);
        way->fd = fd;
        way->device = st.st_dev;
        way->inode = st.st_ino;
        way->window = window;
        atomic_store(&way->epoch->own_control->stall_limit_us, SOCKET_WAY_STALL_US);
        atomic_store(&way->busy, 0);
}

static bool is_ours(const struct socket_way *way) {
        struct stat st;
        return way->fd >= 0 && sys_fstat(way->fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == way->device &&
               st.st_ino == way->inode;
}

static void apply_message(struct socket_way *way, const uint8_t *bytes, size_t length) {
        _Alignas(16) uint8_t memory[1024];
        const Tracemallocd__Agent__DaemonMessage *message;
        struct ring_control *control = way->epoch->own_control;
        struct wire_arena arena;

        wire_arena_init(&arena, memory, sizeof memory);
        message = tracemallocd__agent__daemon_message__unpack(&arena.allocator, length, bytes);
        if (!message) {
                atomic_store(&way->broken, 1);
        } else if (message->body_case == TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_ACK) {
                way->acknowledged = message->ack->sequence;
        } else if (message->body_case == TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_SET_MODE) {
                atomic_store(&control->traceback_limit, message->set_mode->traceback_limit);
                atomic_store(&control->domains, message->set_mode->domains);
                atomic_store(&control->mode, message->set_mode->mode);
        }
}

static void apply_incoming(struct socket_way *way) {
        uint32_t length, used = 0;
        while (way->received - used >= sizeof length) {
                memcpy(&length, way->incoming + used, sizeof length);
                if (length > sizeof way->incoming - sizeof length) {
                        atomic_store(&way->broken, 1);
                        return;
                }
                if (way->received - used - sizeof length < length)
                        break;
                apply_message(way, way->incoming + used + sizeof length, length);
                used += (uint32_t)sizeof length + length;
        }
        memmove(way->incoming, way->incoming + used, way->received - used);
        way->received -= used;
}

static void receive_pending(struct socket_way *way) {
        for (;;) {
                struct iovec part = {.iov_base = way->incoming + way->received,
                                     .iov_len = sizeof way->incoming - way->received};
                struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
                long n = sys_recvmsg(way->fd, &message, MSG_DONTWAIT);
                if (n <= 0) {
                        if (n != -EAGAIN && n != -EINTR)
                                atomic_store(&way->broken, 1);
                        return;
                }
                way->received += (uint32_t)n;
                apply_incoming(way);
                if (atomic_load(&way->broken))
                        return;
        }
}

/* Return: whether the nodes and items that a record names are written. */
static bool is_defined(uint64_t header, uint64_t payload, uint32_t nodes, uint64_t items) {
        switch (record_type(header)) {
        case RECORD_ALLOC:
        case RECORD_MOVE_IN:
        case RECORD_MAP:
        case RECORD_RELABEL:
                return record_argument(header) < nodes;
        case RECORD_MODULE_LOAD:
        case RECORD_DOMAIN:
        case RECORD_PHASE:
                return payload < items;
        default:
                return true;
        }
}

/* Copies complete records to batch[]. Return: their bytes. */
static size_t collect(struct socket_way *way, uint32_t nodes, uint64_t items) {
        const struct ring_writer *ring = &way->epoch->ring;
        uint64_t position = atomic_load(&way->sent), head = atomic_load(&ring->header->head);
        size_t n = 0;
        while (position < head) {
                uint64_t words[RECORD_WORDS_MAX];
                words[0] = atomic_load_explicit(&ring->data[position / 8 & ring->word_mask], memory_order_acquire);
                if (!(words[0] & RECORD_HEADER_BIT) || record_lap(words[0]) != (position >> ring->log2_size & 255))
                        break;
                unsigned n_words = record_words(record_type(words[0]));
                if (n_words == 0 || n + n_words * 8 > sizeof way->batch)
                        break;
                for (unsigned i = 1; i < n_words; i++)
                        words[i] = atomic_load_explicit(&ring->data[(position / 8 + i) & ring->word_mask],
                                                        memory_order_relaxed);
                if (!is_defined(words[0], words[1], nodes, items))
                        break;
                words[0] &= ~LAP_BITS;
                memcpy(way->batch + n, words, n_words * 8);
                n += n_words * 8;
                position += n_words * 8;
        }
        return n;
}

static bool send_message(struct socket_way *way, const Tracemallocd__Agent__AgentMessage *message,
                         uint64_t deadline_ns) {
        /* a message that has begun is given time, or the connection is of no use: so never less than this */
        uint64_t least = sys_clock_ns(false) + (uint64_t)SOCKET_WAY_STALL_US * 1000;

        if (wire_send(way->fd, message, way->message, sizeof way->message, NULL, 0,
                      deadline_ns > least ? deadline_ns : least) == 0)
                return true;
        atomic_store(&way->broken, 1);
        return false;
}

static bool send_definitions(struct socket_way *way, uint32_t nodes, uint64_t items, uint64_t deadline_ns) {
        const struct definitions *definitions = &way->epoch->definitions;
        while (way->nodes_sent < nodes || way->items_sent < items) {
                Tracemallocd__Agent__AgentMessage message = TRACEMALLOCD__AGENT__AGENT_MESSAGE__INIT;
                Tracemallocd__Agent__Definitions part = TRACEMALLOCD__AGENT__DEFINITIONS__INIT;
                uint32_t n = nodes - way->nodes_sent;
                uint64_t end = way->items_sent;
                if (n > SOCKET_WAY_NODES_PER_MESSAGE)
                        n = SOCKET_WAY_NODES_PER_MESSAGE;
                while (end < items && end - way->items_sent < ITEMS_PER_MESSAGE_BYTES / 2) {
                        const void *bytes;
                        end += definitions_item_bytes(definitions_item(definitions, end, &bytes));
                }
                part.first_node = way->nodes_sent;
                part.nodes.data = (uint8_t *)&definitions->nodes[way->nodes_sent];
                part.nodes.len = n * sizeof(struct node_def);
                part.first_item = way->items_sent;
                part.items.data = definitions->items + way->items_sent;
                part.items.len = end - way->items_sent;
                message.body_case = TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_DEFINITIONS;
                message.definitions = &part;
                if (!send_message(way, &message, deadline_ns))
                        return false;
                way->nodes_sent += n;
                way->items_sent = end;
        }
        return true;
}

/* Return: whether the daemon's window has room for more. */
static bool wait_for_window(struct socket_way *way, size_t bytes, uint64_t deadline_ns) {
        uint64_t sent = atomic_load(&way->sent);
        while (way->window && sent > way->acknowledged && sent + bytes - way->acknowledged > way->window) {
                struct pollfd poll = {.fd = way->fd, .events = POLLIN};
                uint64_t now = sys_clock_ns(false);
                if (now >= deadline_ns)
                        return false;
                sys_poll(&poll, 1, (int)((deadline_ns - now) / 1000000 + 1));
                receive_pending(way);
                if (atomic_load(&way->broken))
                        return false;
        }
        return true;
}

static bool send_batch(struct socket_way *way, size_t bytes, uint64_t deadline_ns) {
        Tracemallocd__Agent__AgentMessage message = TRACEMALLOCD__AGENT__AGENT_MESSAGE__INIT;
        Tracemallocd__Agent__EventBatch batch = TRACEMALLOCD__AGENT__EVENT_BATCH__INIT;
        struct ring_control *control = way->epoch->own_control;
        batch.sequence = atomic_load(&way->sent);
        batch.records.data = way->batch;
        batch.records.len = bytes;
        message.body_case = TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_EVENTS;
        message.events = &batch;
        if (!send_message(way, &message, deadline_ns))
                return false;
        atomic_fetch_add(&way->sent, bytes);
        atomic_store_explicit(&control->tail, atomic_load(&way->sent), memory_order_release);
        atomic_fetch_add(&control->tail_wake, 1);
        if (atomic_load(&way->epoch->ring.header->waiters))
                sys_futex(&control->tail_wake, FUTEX_WAKE, INT32_MAX, NULL);
        return true;
}

bool socket_way_due(const struct socket_way *way) {
        uint64_t head = atomic_load_explicit(&way->epoch->ring.header->head, memory_order_relaxed);
        return atomic_load_explicit(&way->ending, memory_order_relaxed) ||
               head - atomic_load_explicit(&way->sent, memory_order_relaxed) >= SOCKET_WAY_SEND_BYTES ||
               sys_clock_ns(true) - atomic_load_explicit(&way->sent_at_ns, memory_order_relaxed) >= SOCKET_WAY_SEND_NS;
}

bool socket_way_drain(struct socket_way *way, uint64_t deadline_ns) {
        bool any = false;
        if (atomic_load(&way->broken) || atomic_exchange(&way->busy, 1))
                return false;
        if (!is_ours(way))
                atomic_store(&way->broken, 1);
        else
                receive_pending(way);
        while (!atomic_load(&way->broken)) {
                uint32_t nodes = definitions_nodes_written(&way->epoch->definitions, way->nodes_sent);
                uint64_t items = definitions_items_written(&way->epoch->definitions, way->items_sent);
                size_t bytes = collect(way, nodes, items);
                if (bytes == 0 || !send_definitions(way, nodes, items, deadline_ns) ||
                    !wait_for_window(way, bytes, deadline_ns) || !send_batch(way, bytes, deadline_ns))
                        break;
                any = true;
                if (bytes < SOCKET_WAY_SEND_BYTES)
                        break; /* not after every record that another thread adds meanwhile */
        }
        atomic_store(&way->sent_at_ns, sys_clock_ns(true));
        atomic_store(&way->busy, 0);
        return any;
}

void socket_way_poll(struct socket_way *way) {
        if (atomic_load(&way->broken) || atomic_exchange(&way->busy, 1))
                return;
        if (!is_ours(way))
                atomic_store(&way->broken, 1);
        else
                receive_pending(way);
        atomic_store(&way->busy, 0);
}

void socket_way_close(struct socket_way *way) {
        if (is_ours(way))
                sys_close(way->fd);
        way->fd = -1;
}
