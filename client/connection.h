/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/arena.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

/* One conversation over control.sock (proto/control.proto), blocking. */

struct connection {
        int fd;
        char *runtime_dir;
        char *agent_path; /* of the agent that belongs to this daemon */
        uint32_t daemon_pid;
        bool system;
        const char *subject; /* what requests are about for now, errors begin with it; borrowed; NULL: nothing */
        uint8_t *buffer;     /* of connection_receive() */
        size_t buffer_size;
        struct arena arena; /* the message that was received last */
};

#define CONNECTION_E_ABSENT   1
#define CONNECTION_E_DENIED   2
#define CONNECTION_E_UNUSABLE 3
#define CONNECTION_REASON_MAX 512

/** connection_open() - connect to DIR/control.sock and greet
 * @reason: [CONNECTION_REASON_MAX] set above 0: one line about what is wrong
 * Return: 0; CONNECTION_E_ABSENT (no daemon there); CONNECTION_E_DENIED; CONNECTION_E_UNUSABLE (refused, does not
 * answer, does not speak the protocol). */
int connection_open(const char *runtime_dir, struct connection **connectionp, char reason[CONNECTION_REASON_MAX]);

/** connection_close() - NULL is fine. Return: NULL. */
struct connection *connection_close(struct connection *connection);

static inline void cleanup_connection(struct connection **connectionp) {
        connection_close(*connectionp);
}
#define AUTO_CONNECTION __attribute__((cleanup(cleanup_connection)))

/** connection_send() - write one request. Return: 0; -errno. */
int connection_send(struct connection *connection, const Tracemallocd__Control__Request *request);

/** connection_receive() - read one reply; waits as long as it takes
 * @replyp: set on 0; the connection's, until it receives the next one or is closed
 * Return: 0; -errno, -EPIPE when the daemon closed, -EPROTO for bytes that are no reply. */
int connection_receive(struct connection *connection, Tracemallocd__Control__Reply **replyp);

/** connection_handler - what connection_call() does with a reply that is neither Progress, Error nor Done
 * Return: an exit code; above 0 gives the request up. */
typedef int connection_handler(void *context, const Tracemallocd__Control__Reply *reply);

/** connection_call() - send a request and take its replies
 * Progress is shown, Error is printed to stderr and its code returned.
 * Return: enum exit_code. */
int connection_call(struct connection *connection, const Tracemallocd__Control__Request *request,
                    connection_handler *handler, void *context);
