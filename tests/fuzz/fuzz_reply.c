/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a daemon answers, in the eyes of the agent, which lives in another's process and may
 * neither crash nor allocate whatever comes.
 *
 * Input: what the agent finds on its socket after its Hello.
 */

#include "agent/handshake.h"
#include "agent/wire.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t scratch[HANDSHAKE_SCRATCH_BYTES] __attribute__((aligned(16)));
        static const struct config config = {.frames = 64, .domains = 1};
        static struct epoch epoch = {.ring_fd = -1, .definitions_fd = -1};
        struct handshake handshake = {.config = &config, .kind = TRACEMALLOCD__AGENT__HELLO__KIND__START};
        int sockets[2], fds[2] = {-1, -1};
        size_t length;
        epoch.socket = (struct socket_way *)scratch; /* only that there is one */
        assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
        ssize_t sent = size ? send(sockets[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        shutdown(sockets[1], SHUT_WR);
        if (sent == (ssize_t)size) {
                int r = handshake_greet(&handshake, sockets[0], &epoch, scratch, UINT64_MAX);
                assert(r <= 0 && handshake.secret_length <= HANDSHAKE_SECRET_BYTES);
                r = wire_receive(sockets[0], scratch, sizeof scratch, &length, fds, UINT64_MAX);
                assert(r < 0 || length <= sizeof scratch);
        }
        close(sockets[0]);
        close(sockets[1]);
        return 0;
}
