/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One connection of a client to control.sock: one request at a time, any number
 * of replies to it. Main loop. A request that takes a while holds a reference;
 * if the client leaves meanwhile, what is sent to it is dropped in silence.
 */

#include "daemon/base/credentials.h"
#include "daemon/base/drops.h"
#include "proto/control.pb-c.h"

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct control_peer;

/* Something of a request that later ones of the same connection need. Embed it as the first member. */
struct control_attachment {
        struct control_attachment *next;                      /* the peer's */
        void (*release)(struct control_attachment *attached); /* says, too, what it is */
};

/* What a client must hear in HelloReply. */
struct control_identity {
        const char *daemon;     /* name and version */
        const char *agent_path; /* absolute */
        bool system;
};

struct control_handler {
        void *user;
        const struct control_identity *identity;
        /* a request came; ends, now or later, in control_peer_done() or control_peer_error()
         * @request: valid until it returns */
        void (*request)(void *user, struct control_peer *peer, const Tracemallocd__Control__Request *request);
        /* the peer has left memory: releases what admitted it (quota) */
        void (*freed)(void *user, const struct credentials *who);
        struct control_peer *peers; /* all that are open; the peers keep it */
        struct drops *drops;        /* borrowed */
};

/** control_peer_open() - take a connection
 * @fd: taken, also on errors. Return: 0; -errno (handler->freed is called then, too). */
int control_peer_open(uv_loop_t *loop, int fd, const struct credentials *who, struct control_handler *handler,
                      struct control_peer **peerp);

/** control_peer_close() - hang up; frees when the last reference goes */
void control_peer_close(struct control_peer *p);

/** control_peer_close_all() - hang up on everybody */
void control_peer_close_all(struct control_handler *handler);

/** control_peers_unread() - bytes of answers that the clients of a user have not read yet. O(peers). */
size_t control_peers_unread(const struct control_handler *handler, uid_t uid);

/** control_peer_is_gone() - whether it hung up, or was hung up on: nobody reads what it is answered */
bool control_peer_is_gone(const struct control_peer *p);

/** control_peer_ref(), control_peer_unref() - it stays in memory for a request that is under way, also when it hung up.
 * Main loop. */
struct control_peer *control_peer_ref(struct control_peer *p);
void control_peer_unref(struct control_peer *p);

/** control_peer_credentials() - from the kernel, of when it connected; valid as long as the peer */
const struct credentials *control_peer_credentials(const struct control_peer *p);

/** control_peer_attach() - keep it with the connection
 * @attached: taken; released when the peer leaves memory, before handler->freed */
void control_peer_attach(struct control_peer *p, struct control_attachment *attached,
                         void (*release)(struct control_attachment *attached));

/** control_peer_attachment() - Return: what was attached with @release, borrowed; NULL: nothing. */
struct control_attachment *control_peer_attachment(const struct control_peer *p,
                                                   void (*release)(struct control_attachment *attached));

/** control_peer_detach() - @attached is no longer kept, and the caller's; it is not released */
void control_peer_detach(struct control_peer *p, struct control_attachment *attached);

/** control_peer_reply() - send one answer; a client that can't be sent to is closed */
void control_peer_reply(struct control_peer *p, const Tracemallocd__Control__Reply *reply);

/** control_peer_reply_bytes() - send answers that are framed already
 * @bytes: malloc'd, taken; a pool thread made them (daemon/control/reply_buffer.h) */
void control_peer_reply_bytes(struct control_peer *p, uint8_t *bytes, size_t length);

/** control_peer_done() - the request is answered; the next one is read */
void control_peer_done(struct control_peer *p);

/** control_peer_error() - the request failed
 * @code: TRACEMALLOCD__CONTROL__ERROR__CODE__*; the message is one line that says what and what to do */
void control_peer_error(struct control_peer *p, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#define CONTROL_FAILED    TRACEMALLOCD__CONTROL__ERROR__CODE__FAILED
#define CONTROL_USAGE     TRACEMALLOCD__CONTROL__ERROR__CODE__USAGE
#define CONTROL_NOT_FOUND TRACEMALLOCD__CONTROL__ERROR__CODE__NOT_FOUND
#define CONTROL_DENIED    TRACEMALLOCD__CONTROL__ERROR__CODE__DENIED
