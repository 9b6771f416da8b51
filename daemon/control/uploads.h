/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files that a client has sent over its connection: the one that is on its way,
 * and those that it may refer to as %1, %2 ... until it leaves. Belongs to the
 * peer. Main loop; while a piece is read, which is one request at a time, the
 * pool thread that reads it.
 */

#include "daemon/control/control_peer.h"
#include "daemon/live/snapshot.h"
#include "daemon/query/pickle_reader.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UPLOADS_MAX          16                    /* of a connection; compare takes two */
#define UPLOADS_BYTES_MAX    (UINT64_C(1) << 30)   /* of all of them; proto/control.proto, ImportRequest */
#define UPLOADS_MEMORY_MAX   (UINT64_C(512) << 20) /* of a reader; its tables are smaller than the file */
#define UPLOADS_PER_USER_MAX 4                     /* connections that have any */

struct control_server;

struct uploads {
        struct control_attachment attachment; /* to its connection */
        struct control_server *server;        /* borrowed; charged with these */
        uid_t uid;
        struct pickle_reader *reader; /* NULL: no file is on its way */
        uint64_t bytes;               /* of it so far, and of those that are kept */
        uint64_t bytes_before;        /* of those that are kept */
        size_t n_snapshots;
        struct snapshot *snapshots[UPLOADS_MAX];
};

#define UPLOADS_E_NO_FILE  1 /* a piece of a file that was not begun */
#define UPLOADS_E_TOO_LONG 2
#define UPLOADS_E_TOO_MANY 3
#define UPLOADS_E_QUOTA    4

/** uploads_new() - of a connection of @uid
 * Return: 0; UPLOADS_E_QUOTA (of that user); -ENOMEM. */
int uploads_new(struct control_server *server, uid_t uid, struct uploads **up);

/** uploads_free() - forget everything; the form that control_peer_attach() wants
 * @attached: struct uploads */
void uploads_free(struct control_attachment *attached);

/** uploads_begin() - expect a file, forget an unfinished one. Return: 0; UPLOADS_E_TOO_MANY; -ENOMEM. */
int uploads_begin(struct uploads *u);

/** uploads_charge() - so many bytes of the file have come
 * Return: 0; UPLOADS_E_NO_FILE, UPLOADS_E_TOO_LONG (the file is forgotten). */
int uploads_charge(struct uploads *u, size_t n);

/** uploads_end() - the file is stored, or given up */
void uploads_end(struct uploads *u);

/** uploads_add() - the file is done, and its snapshot is kept for the time of the connection
 * @snapshot: taken; there is room, as uploads_begin() saw to
 * Return: its number, from 1. */
size_t uploads_add(struct uploads *u, struct snapshot *snapshot);

/** uploads_find() - by number. Return: borrowed; NULL: there is none. */
struct snapshot *uploads_find(const struct uploads *u, int64_t number);
