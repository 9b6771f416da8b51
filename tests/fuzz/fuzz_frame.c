/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Framing on both sockets. The first byte says in which pieces the rest arrives;
 * whatever the pieces are, the messages are the same.
 */

#include "daemon/base/frame.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_messages(struct frame_buffer *b, uint64_t *bytes, uint64_t *hash) {
        for (;;) {
                const uint8_t *payload;
                size_t length;
                int r = frame_buffer_next(b, &payload, &length);
                if (r != 0 || !payload)
                        return r;
                assert(length <= FRAME_MAX_AGENT);
                *bytes += FRAME_HEADER_BYTES + length;
                *hash = *hash * 31 + length;
                for (size_t i = 0; i < length; i++)
                        *hash = *hash * 31 + payload[i];
        }
}

static int run(const uint8_t *data, size_t size, size_t piece, uint64_t *bytes, uint64_t *hash) {
        struct frame_buffer b;
        frame_buffer_init(&b, FRAME_MAX_AGENT);
        int r = 0;
        while (size > 0 && r == 0) {
                uint8_t *space;
                size_t n;
                if (frame_buffer_space(&b, &space, &n) != 0)
                        break;
                n = n < piece ? n : piece;
                n = n < size ? n : size;
                memcpy(space, data, n);
                frame_buffer_commit(&b, n);
                data += n;
                size -= n;
                r = take_messages(&b, bytes, hash);
        }
        frame_buffer_deinit(&b);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;
        uint64_t bytes[2] = {0}, hash[2] = {0};
        int whole = run(data + 1, size - 1, SIZE_MAX, &bytes[0], &hash[0]);
        int pieces = run(data + 1, size - 1, 1 + data[0] % 64, &bytes[1], &hash[1]);
        assert(whole == pieces);
        assert(bytes[0] == bytes[1] && bytes[0] <= size - 1);
        assert(hash[0] == hash[1]);
        return 0;
}
