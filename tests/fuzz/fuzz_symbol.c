/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a symbol helper says, from its socket to the set that queries and store read: a helper that a
 * crafted file took over may say anything.
 *
 * Input: byte 0 how many locations were asked for in each request, then what the
 * daemon finds on the socket.
 */

#include "daemon/symbol/symbol_answer.h"
#include "daemon/symbol/symbol_channel.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BYTES_MAX 100000 /* what a socket takes without a reader */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every frame can be read to its ends. */
static void check_set(const struct symbol_set *set, uint32_t module) {
        size_t n_bytes = 0;
        assert(symbol_set_n_modules(set) == module + 1);
        for (uint32_t i = 0; i < symbol_set_n_locations(set); i++) {
                const struct symbol_location *location = symbol_set_location_at(set, i);
                assert(location->module == module && location->n_frames <= SYMBOL_SET_FRAMES_MAX);
                for (uint32_t j = 0; j < location->n_frames; j++) {
                        const struct symbol_frame *frame = &location->frames[j];
                        assert(!frame->function.bytes || frame->function.bytes[frame->function.length] == 0);
                        assert(!frame->filename.bytes || frame->filename.bytes[frame->filename.length] == 0);
                        n_bytes += frame->function.length + frame->filename.length;
                }
        }
        assert(n_bytes <= (size_t)64 << 20);
}

static void take(struct symbol_set *set, uint32_t module, const uint8_t *message, size_t length, size_t n_asked) {
        uint64_t offsets[UINT8_MAX];
        size_t n_done;
        Tracemallocd__Symbol__Resolved *answer = symbol_answer_unpack(message, length);
        if (!answer)
                return;
        for (size_t i = 0; i < n_asked; i++)
                offsets[i] = 0x1000 + 16 * i;
        int r = symbol_answer_take(answer, set, module, offsets, n_asked, &n_done);
        assert(r == 0 ? n_done > 0 && n_done <= n_asked : n_done == 0);
        if (r == SYMBOL_ANSWER_E_PROBLEM)
                assert(symbol_set_module_at(set, module)->problem.length > 0);
        symbol_answer_free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct symbol_set *set;
        struct symbol_channel channel;
        const uint8_t *message;
        uint32_t module;
        size_t length;
        int sockets[2];
        if (size < 1 || size > BYTES_MAX)
                return 0;
        assert(symbol_set_new(&set) == 0 && symbol_set_module(set, "/lib/a.so", 9, NULL, 0, &module) == 0);
        assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
        symbol_channel_init(&channel, sockets[0], false);
        assert(send(sockets[1], data + 1, size - 1, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size - 1);
        close(sockets[1]);
        while (symbol_channel_receive(&channel, &message, &length, NULL, SYMBOL_CHANNEL_NO_DEADLINE) == 0)
                take(set, module, message, length, data[0]);
        check_set(set, module);
        symbol_channel_deinit(&channel);
        close(sockets[0]);
        symbol_set_free(set);
        return 0;
}
