/* SPDX-License-Identifier: Apache-2.0 */

/* Hello, HelloReply, ModuleFiles. Messages are built on the stack and in scratch memory; nothing is allocated. */

#include "agent/handshake.h"

#include "agent/process_name.h"
#include "agent/socket_way.h"
#include "agent/sys.h"
#include "agent/wire.h"
#include "proto/record.h"

#include <errno.h>
#include <string.h>

#ifndef AGENT_VERSION
#define AGENT_VERSION "unknown"
#endif

/* of which each takes up to 1.3 KiB of half the scratch, packed or unpacked */
#define FILES_PER_MESSAGE 16

int handshake_connect(const struct config *config, uint64_t deadline_ns) {
        int fd = -ENOENT;
        for (unsigned i = 0; i < config->n_sockets && fd < 0; i++)
                fd = wire_connect(config->sockets[i], deadline_ns);
        return fd;
}

/* @text: "" where the file cannot be read
 * Return: its length. */
static size_t read_text(const char *path, char *text, size_t size) {
        int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
        long length = fd >= 0 ? sys_read(fd, text, size - 1) : 0;
        if (fd >= 0)
                sys_close(fd);
        length = length > 0 ? length : 0;
        text[length] = '\0';
        return (size_t)length;
}

/* Return: its length. */
static size_t own_name(char *name, size_t size) {
        char comm[32];
        size_t length = read_text("/proc/self/cmdline", name, size);
        read_text("/proc/self/comm", comm, sizeof comm);
        comm[strcspn(comm, "\n")] = '\0';
        return process_name_of(name, length, comm);
}

static ProtobufCBinaryData bytes_of(const void *data, size_t length) {
        return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)data};
}

static int send_hello(const struct handshake *handshake, int fd, const struct epoch *epoch, uint8_t *scratch,
                      uint64_t deadline_ns) {
        const struct config *config = handshake->config;
        Tracemallocd__Agent__AgentMessage message = TRACEMALLOCD__AGENT__AGENT_MESSAGE__INIT;
        Tracemallocd__Agent__Hello hello = TRACEMALLOCD__AGENT__HELLO__INIT;
        char exe[1024], name[512], version[] = "tracemallocd-agent " AGENT_VERSION;
        long exe_length = sys_readlink("/proc/self/exe", exe, sizeof exe);
        bool with_epoch = handshake->kind != TRACEMALLOCD__AGENT__HELLO__KIND__MODULES;
        int fds[] = {epoch->ring_fd, epoch->definitions_fd};
        hello.major = TRACEMALLOCD__AGENT__VERSION__VERSION_MAJOR;
        hello.minor = PROTOCOL_MINOR;
        hello.agent = version;
        hello.kind = handshake->kind;
        hello.pid = handshake->pid;
        hello.exe = bytes_of(exe, exe_length > 0 ? (size_t)exe_length : 0);
        hello.name = bytes_of(name, own_name(name, sizeof name));
        hello.transport = epoch->socket ? TRACEMALLOCD__AGENT__HELLO__TRANSPORT__SOCKET
                                        : TRACEMALLOCD__AGENT__HELLO__TRANSPORT__RING;
        hello.traceback_limit = config->frames;
        hello.domains = config->domains;
        hello.mode = TRACE_EXACT;
        hello.run = bytes_of(config->run, config->run_length);
        hello.label = bytes_of(config->label, config->label_length);
        hello.secret = bytes_of(handshake->secret, handshake->secret_length);
        hello.fork_token = handshake->fork_token;
        hello.layers = (char **)handshake->layers;
        hello.n_layers = handshake->n_layers;
        hello.layer_note = (char *)(handshake->layer_note ? handshake->layer_note : "");
        message.body_case = TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_HELLO;
        message.hello = &hello;
        return wire_send(fd, &message, scratch, HANDSHAKE_SCRATCH_BYTES, fds, with_epoch && !epoch->socket ? 2 : 0,
                         deadline_ns);
}

/* Maps a page that the daemon shares. Return: NULL where it is none: a file that is too short would be a SIGBUS. */
static void *map_page(int fd, size_t bytes, int protection) {
        struct stat st;
        if (fd < 0 || sys_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < bytes)
                return NULL;
        return sys_map(NULL, bytes, protection, MAP_SHARED, fd);
}

static int take_control(struct epoch *epoch, const int fds[2]) {
        struct ring_control *control = map_page(fds[0], CONTROL_BYTES, PROT_READ);
        struct doorbell *doorbell = map_page(fds[1], DOORBELL_BYTES, PROT_READ | PROT_WRITE);
        if (!control || !doorbell || control->magic != CONTROL_MAGIC || control->version != RING_VERSION) {
                if (control)
                        sys_unmap(control, CONTROL_BYTES);
                if (doorbell)
                        sys_unmap(doorbell, DOORBELL_BYTES);
                return -EPROTO;
        }
        atomic_store_explicit(&epoch->ring.doorbell, doorbell, memory_order_release);
        atomic_store_explicit(&epoch->ring.control, control, memory_order_release);
        return 0;
}

static int read_reply(struct handshake *handshake, int fd, uint8_t *scratch, int fds[2], uint64_t deadline_ns) {
        struct wire_arena arena;
        size_t length = 0;
        int r = wire_receive(fd, scratch, HANDSHAKE_SCRATCH_BYTES / 2, &length, fds, deadline_ns);
        if (r < 0)
                return r;
        wire_arena_init(&arena, scratch + HANDSHAKE_SCRATCH_BYTES / 2, HANDSHAKE_SCRATCH_BYTES / 2);
        Tracemallocd__Agent__DaemonMessage *message =
                tracemallocd__agent__daemon_message__unpack(&arena.allocator, length, scratch);
        if (!message || message->body_case != TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_HELLO_REPLY)
                return -EPROTO;
        const Tracemallocd__Agent__HelloReply *reply = message->hello_reply;
        if (reply->status != TRACEMALLOCD__AGENT__HELLO_REPLY__STATUS__OK)
                return -EACCES;
        if (handshake->kind == TRACEMALLOCD__AGENT__HELLO__KIND__MODULES)
                return 0;
        if (reply->secret.len > HANDSHAKE_SECRET_BYTES)
                return -EPROTO;
        if (reply->secret.len > 0) /* else its data is NULL */
                memcpy(handshake->secret, reply->secret.data, reply->secret.len);
        handshake->secret_length = (uint32_t)reply->secret.len;
        handshake->minor = reply->minor;
        handshake->mode = reply->mode;
        handshake->traceback_limit = reply->traceback_limit;
        handshake->domains = reply->domains;
        handshake->window = reply->window;
        return 0;
}

int handshake_greet(struct handshake *handshake, int fd, struct epoch *epoch, void *scratch, uint64_t deadline_ns) {
        int fds[2] = {-1, -1};
        int r = send_hello(handshake, fd, epoch, scratch, deadline_ns);
        if (r == 0)
                r = read_reply(handshake, fd, scratch, fds, deadline_ns);
        if (r == 0 && !epoch->socket && handshake->kind != TRACEMALLOCD__AGENT__HELLO__KIND__MODULES)
                r = take_control(epoch, fds);
        for (int i = 0; i < 2; i++)
                if (fds[i] >= 0)
                        sys_close(fds[i]);
        return r;
}

/* A module is told of in the words of its Item. */
static size_t unpack_modules(const struct epoch *epoch, const uint64_t *items, size_t n, ProtobufCAllocator *allocator,
                             Tracemallocd__Agent__ModuleDef **modules) {
        for (size_t i = 0; i < n; i++) {
                const void *packed;
                uint32_t length = definitions_item(&epoch->definitions, items[i], &packed);
                Tracemallocd__Agent__Item *item = tracemallocd__agent__item__unpack(allocator, length, packed);
                if (!item || item->body_case != TRACEMALLOCD__AGENT__ITEM__BODY_MODULE)
                        return i;
                modules[i] = item->module;
        }
        return n;
}

int handshake_send_files(int fd, struct epoch *epoch, void *scratch, uint64_t deadline_ns) {
        Tracemallocd__Agent__ModuleDef *modules[FILES_PER_MESSAGE];
        uint64_t items[FILES_PER_MESSAGE];
        int fds[FILES_PER_MESSAGE], r = 0;
        unsigned n;
        do {
                Tracemallocd__Agent__AgentMessage message = TRACEMALLOCD__AGENT__AGENT_MESSAGE__INIT;
                Tracemallocd__Agent__ModuleFiles files = TRACEMALLOCD__AGENT__MODULE_FILES__INIT;
                struct wire_arena arena;
                n = modules_open_files(&epoch->modules, items, fds, FILES_PER_MESSAGE);
                wire_arena_init(&arena, (uint8_t *)scratch + HANDSHAKE_SCRATCH_BYTES / 2, HANDSHAKE_SCRATCH_BYTES / 2);
                files.modules = modules;
                files.n_modules = unpack_modules(epoch, items, n, &arena.allocator, modules);
                message.body_case = TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_MODULE_FILES;
                message.module_files = &files;
                if (files.n_modules > 0)
                        r = wire_send(fd, &message, scratch, HANDSHAKE_SCRATCH_BYTES / 2, fds,
                                      (unsigned)files.n_modules, deadline_ns);
                for (unsigned i = 0; i < n; i++)
                        sys_close(fds[i]);
        } while (r == 0 && n == FILES_PER_MESSAGE);
        return r;
}

int handshake_bring_files(struct handshake *handshake, struct epoch *epoch, void *scratch, uint64_t deadline_ns) {
        int fd = handshake_connect(handshake->config, deadline_ns);
        if (fd < 0)
                return fd;
        handshake->kind = TRACEMALLOCD__AGENT__HELLO__KIND__MODULES;
        int r = handshake_greet(handshake, fd, epoch, scratch, deadline_ns);
        if (r == 0)
                r = handshake_send_files(fd, epoch, scratch, deadline_ns);
        sys_close(fd);
        return r;
}
