/* SPDX-License-Identifier: Apache-2.0 */

/* Sends a file in pieces; each is a request of its own (proto/control.proto, ImportRequest). */

#include "client/upload.h"

#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/request.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)

struct upload {
        struct connection *connection;
        const char *path, *label;
        bool keep;
        int64_t modified_at_ns; /* 0: no regular file */
        char *reference;        /* of the answer */
};

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct upload *u = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_IMPORT_RESULT)
                return EXIT_CODE_DONE;
        const char *foreign = reply->import_result->foreign_attributes;
        free(u->reference);
        u->reference = memory_copy(reply->import_result->snapshot, strlen(reply->import_result->snapshot));
        if (foreign[0])
                message_note("%s: left out, because they are no attributes of a snapshot: %s", u->path, foreign);
        if (u->keep)
                message_note("%s: the order of its traces is not kept", u->path);
        return EXIT_CODE_DONE;
}

static int send_piece(struct upload *u, const void *bytes, size_t length, bool first) {
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__ImportRequest body = TRACEMALLOCD__CONTROL__IMPORT_REQUEST__INIT;
        request_init(&request);
        body.first = first;
        body.data = (ProtobufCBinaryData){.data = (uint8_t *)bytes, .len = length};
        body.last = length == 0;
        body.keep = u->keep;
        body.modified_at_unix_ns = u->modified_at_ns;
        body.label = request_bytes(u->label);
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_IMPORT_;
        request.import_ = &body;
        return connection_call(u->connection, &request, take, u);
}

/* As much as there is, up to a piece: a pipe gives less at a time. Return: bytes, 0 at the end; -errno. */
static ssize_t read_piece(int fd, char *bytes) {
        size_t length = 0;
        while (length < PIECE_BYTES) {
                ssize_t n = read(fd, bytes + length, PIECE_BYTES - length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                length += (size_t)n;
        }
        return (ssize_t)length;
}

static int cannot_read(const char *path, int error) {
        message_error("cannot read %s: %s", path, strerror(error));
        return error == ENOENT ? EXIT_CODE_NOT_FOUND : error == EACCES ? EXIT_CODE_DENIED : EXIT_CODE_FAILED;
}

int upload_check(const char *path) {
        if (strcmp(path, "-") == 0 || access(path, R_OK) == 0)
                return EXIT_CODE_DONE;
        return cannot_read(path, errno);
}

/* The piece of no bytes is the last. */
static int send_all(struct upload *u, int fd) {
        AUTO_FREE char *bytes = memory_grow(NULL, PIECE_BYTES, 1);
        bool first = true;
        ssize_t n;
        do {
                n = read_piece(fd, bytes);
                if (n < 0)
                        return cannot_read(u->path, (int)-n);
                int code = send_piece(u, bytes, (size_t)n, first);
                if (code != EXIT_CODE_DONE)
                        return code;
                first = false;
        } while (n > 0);
        return EXIT_CODE_DONE;
}

static int upload(struct upload *u, char **referencep) {
        AUTO_CLOSE int fd = strcmp(u->path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                                      : open(u->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return cannot_read(u->path, errno);
        struct stat st;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
                u->modified_at_ns = timespec_ns(&st.st_mtim);
        u->connection->subject = strcmp(u->path, "-") == 0 ? "standard input" : u->path;
        int code = send_all(u, fd);
        u->connection->subject = NULL;
        if (code == EXIT_CODE_DONE && !u->reference) {
                message_error("the daemon did not say what became of %s", u->path);
                code = EXIT_CODE_FAILED;
        }
        if (code == EXIT_CODE_DONE)
                *referencep = u->reference;
        else
                free(u->reference);
        return code;
}

int upload_file(struct connection *connection, const char *path, char **referencep) {
        struct upload u = {.connection = connection, .path = path};
        return upload(&u, referencep);
}

int upload_and_store(struct connection *connection, const char *path, const char *label, char **referencep) {
        struct upload u = {.connection = connection, .path = path, .label = label, .keep = true};
        return upload(&u, referencep);
}
