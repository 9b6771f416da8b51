/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What clients ask for, one function a request. Main loop; each ends, now or later, in control_peer_done() or
 * control_peer_error(). */

#include "daemon/control/control_peer.h"

#define REQUEST_LABEL_MAX 4096 /* as of what agents say of themselves; every list of snapshots repeats it */

struct daemon;
struct process;
struct selection;

/* Everything that a request's handler gets. */
struct request {
        struct daemon *daemon;
        struct control_peer *peer;
        const struct credentials *who;
        const Tracemallocd__Control__Request *body;
};

/** request_NAME() - answer the request of that name in proto/control.proto, whose prose says what and with which errors
 * Main loop. The answer may come later, from a job of the pool or of a worker; the handler copies what it needs then.
 */
void request_ps(const struct request *r);
void request_snapshot(const struct request *r);
void request_list(const struct request *r);
void request_show(const struct request *r);
void request_label(const struct request *r);
void request_delete(const struct request *r);
void request_stats(const struct request *r);
void request_compare(const struct request *r);
void request_traces(const struct request *r);
void request_control(const struct request *r);
void request_export(const struct request *r);
void request_import(const struct request *r);
void request_block(const struct request *r);
void request_run_begin(const struct request *r);
void request_run_wait(const struct request *r);

/** request_select() - selection_make(), and the answer where it fails
 * Where it is the dead that fit, their exit snapshots are looked up, so that the message can name the last one.
 * Return: 0; else the request is answered (or will be). */
int request_select(const struct request *r, const Tracemallocd__Control__ProcessSelector *selector, bool everything,
                   struct selection *s);

/** request_unknown_pid() - answer that there is no such process, naming its exit snapshot where there is one
 * @message: what to say else, copied */
void request_unknown_pid(const struct request *r, uint32_t pid, const char *message);

/** request_label_fits() - whether a label, or a pattern for some, has REQUEST_LABEL_MAX bytes at most
 * Return: false: the request is answered. */
bool request_label_fits(const struct request *r, const ProtobufCBinaryData *label);

/** request_copy() - a request that outlives its handler; for tracemallocd__control__request__free_unpacked()
 * Return: NULL: no memory. */
Tracemallocd__Control__Request *request_copy(const Tracemallocd__Control__Request *request);

/** request_bytes() - a text as a field of bytes; borrowed */
static inline ProtobufCBinaryData request_bytes(const char *text) {
        return (ProtobufCBinaryData){.len = __builtin_strlen(text), .data = (uint8_t *)text};
}
