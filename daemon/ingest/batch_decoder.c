/* SPDX-License-Identifier: Apache-2.0 */

/* Records that came in a message. Runs on the ingest worker; called by feed_reader.c. */

#include "daemon/ingest/batch_decoder.h"

#include "daemon/ingest/record_decoder.h"

#include <endian.h>
#include <string.h>

static uint64_t load_word(const unsigned char *bytes) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        return le64toh(word);
}

int batch_decoder_read(const unsigned char *records, size_t length, uint64_t position, struct definitions *definitions,
                       size_t *offsetp, struct event *events, size_t n, size_t *np) {
        size_t i = 0, offset = *offsetp;
        int result = 0;
        while (i < n && offset < length) {
                uint64_t word[3] = {}, header = length - offset >= 8 ? load_word(records + offset) : 0;
                unsigned n_words = record_words(record_type(header));
                if (!(header & RECORD_HEADER_BIT) || n_words == 0 || 8 * n_words > length - offset) {
                        result = BATCH_DECODER_E_MALFORMED;
                        break;
                }
                for (unsigned w = 1; w < n_words; w++)
                        word[w - 1] = load_word(records + offset + 8 * w);
                if (!record_decode(definitions, position + offset, header, n_words, word, &events[i])) {
                        result = BATCH_DECODER_E_MALFORMED;
                        break;
                }
                offset += 8 * n_words;
                i++;
        }
        *offsetp = offset;
        *np = i;
        return result;
}
