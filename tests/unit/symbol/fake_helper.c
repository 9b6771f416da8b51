/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A symbol helper for test_symbolizer.c that does what the path it is given
 * says, and answers with what it was asked:
 *   frame 0   function "f", file the path, line the address
 *   frame 1   function: its process id; file: "fd:" and what the descriptor that came along holds; line: how many
 *             modules it was told to open
 */

#include "daemon/base/cleanup.h"
#include "daemon/symbol/symbol_channel.h"
#include "proto/symbol.pb-c.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCATIONS_MAX 4096

static struct symbol_channel channel;
static char path[4096], pid[32], content[64] = "fd:";
static uint32_t n_opened, n_requests;

static bool is(const char *name) {
        return strcmp(path, name) == 0;
}

static ProtobufCBinaryData bytes(const char *string) {
        return (ProtobufCBinaryData){strlen(string), (uint8_t *)string};
}

static int send_answer(const Tracemallocd__Symbol__Resolved *answer) {
        size_t length = tracemallocd__symbol__resolved__get_packed_size(answer);
        AUTO_FREE uint8_t *message = malloc(FRAME_HEADER_BYTES + length);
        tracemallocd__symbol__resolved__pack(answer, message + FRAME_HEADER_BYTES);
        return symbol_channel_send(&channel, message, length, -1, SYMBOL_CHANNEL_NO_DEADLINE);
}

static int send_locations(const uint64_t *offsets, size_t n) {
        static Tracemallocd__Symbol__SourceFrame frames[LOCATIONS_MAX], second;
        static Tracemallocd__Symbol__SourceFrame *pointers[LOCATIONS_MAX][2];
        static Tracemallocd__Symbol__Location locations[LOCATIONS_MAX], *location_pointers[LOCATIONS_MAX];
        Tracemallocd__Symbol__Resolved answer = TRACEMALLOCD__SYMBOL__RESOLVED__INIT;
        tracemallocd__symbol__source_frame__init(&second);
        second.function = bytes(pid);
        second.filename = bytes(content);
        second.lineno = n_opened;
        for (size_t i = 0; i < n; i++) {
                tracemallocd__symbol__source_frame__init(&frames[i]);
                frames[i].function = bytes("f");
                frames[i].filename = bytes(path);
                frames[i].lineno = (uint32_t)offsets[i];
                pointers[i][0] = &frames[i];
                pointers[i][1] = &second;
                tracemallocd__symbol__location__init(&locations[i]);
                locations[i].n_frames = 2;
                locations[i].frames = pointers[i];
                location_pointers[i] = &locations[i];
        }
        answer.has_lines = true;
        answer.n_locations = n;
        answer.locations = location_pointers;
        return send_answer(&answer);
}

static int send_garbage(void) {
        uint8_t message[FRAME_HEADER_BYTES + 3] = {[FRAME_HEADER_BYTES] = 0xff, 0xff, 0xff};
        return symbol_channel_send(&channel, message, 3, -1, SYMBOL_CHANNEL_NO_DEADLINE);
}

static int send_long_frame(void) {
        return write(STDIN_FILENO, "\xff\xff\xff\xff", 4) != 4;
}

/* Empty locations: two bytes each on the wire, and many on the heap. */
static int send_bomb(void) {
        const size_t n = 7 << 20;
        AUTO_FREE uint8_t *message = calloc(1, FRAME_HEADER_BYTES + 2 * n);
        for (size_t i = 0; i < n; i++)
                message[FRAME_HEADER_BYTES + 2 * i] = 0x0a; /* field 1, of length 0 */
        return symbol_channel_send(&channel, message, 2 * n, -1, SYMBOL_CHANNEL_NO_DEADLINE);
}

static int answer(const Tracemallocd__Symbol__Resolve *request) {
        Tracemallocd__Symbol__Resolved nothing = TRACEMALLOCD__SYMBOL__RESOLVED__INIT;
        bool is_first = n_requests++ == 1; /* request 0 is the greeting */
        nothing.closed = true;
        if (request->module == 0 || is("/closed") || (is("/closes") && !request->open))
                return send_answer(&nothing);
        if (is("/hang"))
                return poll(NULL, 0, -1);
        if (is("/die") || (is("/dies-second") && !is_first))
                return 1;
        if (is("/garbage"))
                return send_garbage();
        if (is("/long"))
                return send_long_frame();
        if (is("/bomb"))
                return send_bomb();
        nothing.closed = false;
        if (is("/none"))
                return send_answer(&nothing);
        nothing.problem = (char *)"it is no good";
        if (is("/problem"))
                return send_answer(&nothing);
        return send_locations(request->offsets, is("/one-by-one") ? 1 : request->n_offsets + (is("/more") ? 1 : 0));
}

static int serve_one(void) {
        AUTO_CLOSE int fd = -1;
        const uint8_t *payload;
        size_t length;
        if (symbol_channel_receive(&channel, &payload, &length, &fd, SYMBOL_CHANNEL_NO_DEADLINE) != 0)
                return 1;
        Tracemallocd__Symbol__Resolve *request = tracemallocd__symbol__resolve__unpack(NULL, length, payload);
        if (request->open) {
                n_opened++;
                memcpy(path, request->path.data, request->path.len);
                path[request->path.len] = '\0';
                ssize_t n = fd < 0 ? 0 : pread(fd, content + 3, sizeof content - 4, 0);
                content[3 + (n > 0 ? n : 0)] = '\0';
        }
        int r = answer(request);
        tracemallocd__symbol__resolve__free_unpacked(request, NULL);
        return r;
}

int main(int argc, char **argv) {
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        symbol_channel_init(&channel, STDIN_FILENO, true);
        while (serve_one() == 0)
                continue;
        symbol_channel_deinit(&channel);
        return 0;
}
