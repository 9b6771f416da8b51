/* SPDX-License-Identifier: Apache-2.0 */

/* Asks by lseek(), which knows swapped pages from holes and does not touch either. Main loop's thread at first, then
 * the worker's; called by ring_reader.c and definitions.c. */

#include "daemon/ingest/memfd_pages.h"

#include <unistd.h>

void memfd_pages_open(struct memfd_pages *pages, int fd, uint64_t start, uint64_t bytes) {
        *pages = (struct memfd_pages){.fd = fd, .bytes = bytes, .known = start};
}

/* The offset of a descriptor that a peer has too: it means nothing to us. */
static uint64_t seek_hole(const struct memfd_pages *pages, uint64_t from) {
        off_t hole = lseek(pages->fd, (off_t)from, SEEK_HOLE);
        return hole < 0 ? from : (uint64_t)hole;
}

uint64_t memfd_pages_end(struct memfd_pages *pages, uint64_t from) {
        if (pages->known < pages->bytes)
                pages->known = seek_hole(pages, pages->known);
        return from < pages->known || from >= pages->bytes ? pages->known : seek_hole(pages, from);
}

uint64_t memfd_pages_next(const struct memfd_pages *pages, uint64_t from) {
        off_t data = lseek(pages->fd, (off_t)from, SEEK_DATA);
        return data < 0 ? pages->bytes : (uint64_t)data;
}
