/* SPDX-License-Identifier: Apache-2.0 */

/* Reads a ring. Opened on the main loop's thread by feed.c; read on the ingest worker by feed_reader.c. */

#include "daemon/ingest/ring_reader.h"

#include "daemon/base/cleanup.h"
#include "daemon/ingest/memfd.h"
#include "daemon/ingest/record_decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* linux/fcntl.h, since 5.1 */
#endif

#define SKIP_NS_PER_BYTE  16   /* between two looks: every 4 s through 256 MiB, every 70 ms through 4 MiB */
#define FETCH_AHEAD       1024 /* bytes: 512 and 2048 are as good; the lines come from the writer's processor */
#define HOLE_RECORD_BYTES 24   /* an allocation: what a hole most likely was */
#define WAKE_PARTS        32   /* of the ring; one waiting writer is woken for each */

static void init_control(struct ring_reader *r, void *memory, uint32_t mode, uint32_t traceback_limit, uint32_t domains,
                         uint32_t stall_limit_us) {
        struct ring_control *control = memory;
        control->magic = CONTROL_MAGIC;
        control->version = RING_VERSION;
        atomic_store(&control->mode, mode);
        atomic_store(&control->traceback_limit, traceback_limit);
        atomic_store(&control->domains, domains);
        atomic_store(&control->stall_limit_us, stall_limit_us);
        atomic_store(&control->fill_mark, ring_reader_size(r) / 2);
        r->control = control;
}

/* The ring itself: checked, mapped. */
static int open_ring(struct ring_reader *r, int ring_fd, const char **reasonp) {
        const void *memory;
        uint64_t bytes;
        *r = (struct ring_reader){.control_fd = -1, .ring_fd = -1};
        int error = memfd_map_peer(ring_fd, RING_HEADER_BYTES + (UINT64_C(1) << RING_LOG2_SIZE_MIN),
                                   RING_HEADER_BYTES + (UINT64_C(1) << RING_LOG2_SIZE_MAX), &memory, &bytes, reasonp);
        if (error)
                return error < 0 ? error : RING_READER_E_REFUSED;
        const volatile struct ring_header *header = memory;
        uint32_t magic = header->magic, version = header->version, log2_size = header->log2_size;
        *reasonp = NULL;
        if (magic != RING_MAGIC || version != RING_VERSION)
                *reasonp = "ring has another magic or version";
        else if (log2_size < RING_LOG2_SIZE_MIN || log2_size > RING_LOG2_SIZE_MAX ||
                 RING_HEADER_BYTES + (UINT64_C(1) << log2_size) != bytes)
                *reasonp = "ring has a size that does not fit";
        if (*reasonp) {
                munmap((void *)memory, bytes);
                return RING_READER_E_REFUSED;
        }
        AUTO_CLOSE int own = fcntl(ring_fd, F_DUPFD_CLOEXEC, 3);
        if (own < 0) {
                error = -errno;
                munmap((void *)memory, bytes);
                return error;
        }
        struct stat st;
        r->inode = fstat(ring_fd, &st) == 0 ? st.st_ino : 0;
        r->header = memory;
        r->data = (const _Atomic uint64_t *)((const char *)memory + RING_HEADER_BYTES);
        r->log2_size = log2_size;
        r->mapped_bytes = bytes;
        r->ring_fd = fd_steal(&own);
        memfd_pages_open(&r->pages, r->ring_fd, RING_HEADER_BYTES, bytes);
        return 0;
}

int ring_reader_open(struct ring_reader *r, int ring_fd, uint32_t mode, uint32_t traceback_limit, uint32_t domains,
                     uint32_t stall_limit_us, const char **reasonp) {
        void *memory;
        int error = open_ring(r, ring_fd, reasonp);
        if (error)
                return error;
        error = memfd_make("tracemallocd-control", CONTROL_BYTES, F_SEAL_FUTURE_WRITE, &r->control_fd, &memory);
        if (error)
                ring_reader_close(r);
        else
                init_control(r, memory, mode, traceback_limit, domains, stall_limit_us);
        return error;
}

int ring_reader_open_kept(struct ring_reader *r, int ring_fd, uint32_t mode, uint32_t traceback_limit, uint32_t domains,
                          uint32_t stall_limit_us, int *own_fdp, const char **reasonp) {
        void *memory;
        AUTO_CLOSE int own = -1;
        int error = open_ring(r, ring_fd, reasonp);
        if (error)
                return error;
        error = memfd_make("tracemallocd-control", CONTROL_BYTES, 0, &own, &memory);
        if (error == 0) {
                init_control(r, memory, mode, traceback_limit, domains, stall_limit_us);
                error = memfd_reader(own, &r->control_fd);
        }
        if (error)
                ring_reader_close(r);
        else
                *own_fdp = fd_steal(&own);
        return error;
}

static struct ring_control *map_control(int control_fd) {
        struct ring_control *control = memfd_map_own(control_fd, CONTROL_BYTES);
        if (control && (control->magic != CONTROL_MAGIC || control->version != RING_VERSION)) {
                munmap(control, CONTROL_BYTES);
                return NULL;
        }
        return control;
}

int ring_reader_adopt(struct ring_reader *r, int ring_fd, int control_fd, uint64_t position, const char **reasonp) {
        int error = open_ring(r, ring_fd, reasonp);
        if (error)
                return error;
        r->control = map_control(control_fd);
        if (!r->control || position % 8) {
                *reasonp = "its control page is none";
                ring_reader_close(r);
                return RING_READER_E_REFUSED;
        }
        error = memfd_reader(control_fd, &r->control_fd);
        if (error) {
                ring_reader_close(r);
                return error;
        }
        r->position = r->woken_at = r->there_until = position;
        /* what was committed and not released yet */
        atomic_store(&r->control->tail, position);
        return 0;
}

void ring_reader_dismiss(int control_fd) {
        struct ring_reader r = {.control = map_control(control_fd)};
        if (!r.control)
                return;
        ring_reader_set_mode(&r, TRACE_ENDED);
        munmap(r.control, CONTROL_BYTES);
}

void ring_reader_close(struct ring_reader *r) {
        if (!r->header)
                return;
        munmap((void *)r->header, r->mapped_bytes);
        if (r->control)
                munmap(r->control, CONTROL_BYTES);
        if (r->control_fd >= 0)
                close(r->control_fd);
        close(r->ring_fd);
        *r = (struct ring_reader){.control_fd = -1, .ring_fd = -1};
}

static inline uint64_t load_word(const struct ring_reader *r, uint64_t position, memory_order order) {
        uint64_t index = (position & (ring_reader_size(r) - 1)) / 8;
        return atomic_load_explicit((_Atomic uint64_t *)&r->data[index], order);
}

/* What says that a word is the header of a record, written in this lap. */
#define LAP_BITS (RECORD_HEADER_BIT | UINT64_C(255) << 50)

static inline uint64_t lap_bits(const struct ring_reader *r, uint64_t position) {
        return record_header(0, position >> r->log2_size, 0, 0);
}

static inline bool is_header(const struct ring_reader *r, uint64_t position, uint64_t word) {
        return (word & LAP_BITS) == lap_bits(r, position);
}

/* Looks how far the pages reach from a position on, at most to the end of this lap. */
static void see_pages(struct ring_reader *r, uint64_t position) {
        uint64_t offset = position & (ring_reader_size(r) - 1);
        uint64_t end = memfd_pages_end(&r->pages, RING_HEADER_BYTES + offset) - RING_HEADER_BYTES;
        r->there_until = r->pages.known == r->mapped_bytes ? UINT64_MAX : position - offset + end;
}

/* A position behind a hole of the file, or at the end of the lap; then the pages behind it are seen. */
static uint64_t pass_missing_pages(struct ring_reader *r, uint64_t position) {
        uint64_t offset = position & (ring_reader_size(r) - 1);
        position += memfd_pages_next(&r->pages, RING_HEADER_BYTES + offset) - RING_HEADER_BYTES - offset;
        see_pages(r, position);
        return position;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
        return a < b ? a : b;
}

/* A record: its header, and the three words behind it, needed or not: fewer branches, and they are read next anyway.
 * @limit: what is written. @n_wordsp: set on 0. Return: as ring_reader_read(). */
#define HOT __attribute__((always_inline)) static inline
HOT int decode(struct definitions *definitions, uint64_t position, uint64_t limit, uint64_t lap,
               const uint64_t word[RECORD_WORDS_MAX], struct event *event, unsigned *n_wordsp) {
        unsigned n_words = record_words(record_type(word[0]));
        *n_wordsp = n_words;
        if (__builtin_expect((word[0] & LAP_BITS) != lap, 0))
                return RING_READER_HOLE;
        if (__builtin_expect(n_words == 0 || 8 * n_words > limit - position ||
                                     !record_decode(definitions, position, word[0], n_words, word + 1, event),
                             0))
                return RING_READER_E_MALFORMED;
        return 0;
}

/* How far a batch has come. */
struct reading {
        struct definitions *definitions;
        uint64_t position, limit;
        struct event *events;
        size_t i, n;
};

/* Records that begin in the next @bytes, and so far before the end of the ring that it has four words of each. Only a
 * pointer goes on from record to record: the way from one header to the next is what reading waits for. */
HOT int read_stretch(const struct ring_reader *r, struct reading *reading, uint64_t bytes) {
        const uint64_t mask = ring_reader_size(r) - 1, lap = lap_bits(r, reading->position);
        _Atomic uint64_t *at = (_Atomic uint64_t *)&r->data[(reading->position & mask) / 8];
        _Atomic uint64_t *const end = at + (bytes + 7) / 8;
        const uint64_t before = reading->position - (uint64_t)(uintptr_t)at, limit = reading->limit;
        struct event *event = reading->events + reading->i, *const events_end = reading->events + reading->n;
        int result = 0;
        while (at < end && event < events_end) {
                uint64_t word[RECORD_WORDS_MAX];
                unsigned n_words;
                word[0] = atomic_load_explicit(at, memory_order_acquire);
                __builtin_prefetch((const char *)at + FETCH_AHEAD); /* behind the end of the ring: no harm */
                /* written out: in a loop they would go through memory */
                word[1] = atomic_load_explicit(at + 1, memory_order_relaxed);
                word[2] = atomic_load_explicit(at + 2, memory_order_relaxed);
                word[3] = atomic_load_explicit(at + 3, memory_order_relaxed);
                result = decode(reading->definitions, before + (uint64_t)(uintptr_t)at, limit, lap, word, event,
                                &n_words);
                if (__builtin_expect(result, 0))
                        break;
                at += n_words;
                event++;
        }
        reading->position = before + (uint64_t)(uintptr_t)at;
        reading->i = (size_t)(event - reading->events);
        return result;
}

/* One record so near the end of the ring that its words may go on at the beginning. */
static __attribute__((noinline)) int read_across(const struct ring_reader *r, struct reading *reading) {
        uint64_t position = reading->position, word[RECORD_WORDS_MAX];
        unsigned n_words;
        word[0] = load_word(r, position, memory_order_acquire);
        for (unsigned w = 1; w < RECORD_WORDS_MAX; w++)
                word[w] = load_word(r, position + 8 * w, memory_order_relaxed);
        int result = decode(reading->definitions, position, reading->limit, lap_bits(r, position), word,
                            &reading->events[reading->i], &n_words);
        if (result)
                return result;
        reading->position += 8 * n_words;
        reading->i++;
        return 0;
}

/* ring_reader_read() as far as the pages are there. */
static int read_there(struct ring_reader *r, struct definitions *definitions, uint64_t limit, struct event *events,
                      size_t n, size_t *np) {
        const uint64_t until = smaller(limit, r->there_until), size = ring_reader_size(r);
        struct reading reading = {
                .definitions = definitions, .position = r->position, .limit = limit, .events = events, .n = n};
        int result = 0;
        while (result == 0 && reading.i < n && reading.position < until) {
                uint64_t bytes = until - reading.position, left = size - (reading.position & (size - 1));
                if (left >= 8 * RECORD_WORDS_MAX)
                        result = read_stretch(r, &reading, smaller(bytes, left - 8 * (RECORD_WORDS_MAX - 1)));
                else
                        result = read_across(r, &reading);
        }
        if (reading.i > 0)
                r->hole_since_ns = 0;
        r->position = reading.position;
        *np = reading.i;
        return result;
}

int ring_reader_read(struct ring_reader *r, struct definitions *definitions, uint64_t limit, struct event *events,
                     size_t n, size_t *np) {
        int result = 0;
        *np = 0;
        while (result == 0 && *np < n && r->position < limit) {
                size_t k;
                if (limit > r->there_until)
                        see_pages(r, r->position);
                if (r->there_until <= r->position)
                        return RING_READER_HOLE;
                result = read_there(r, definitions, limit, events + *np, n - *np, &k);
                *np += k;
        }
        return result;
}

bool ring_reader_may_skip(struct ring_reader *r, uint64_t limit, uint64_t now_ns) {
        if (now_ns < r->skip_at_ns)
                return false;
        r->skip_at_ns = now_ns + (limit - r->position) * SKIP_NS_PER_BYTE;
        return true;
}

bool ring_reader_skip(struct ring_reader *r, uint64_t limit, bool to_limit, uint64_t *lostp) {
        uint64_t position = r->position;
        for (; position < limit; position += 8) {
                while (position < limit && position >= r->there_until)
                        position = pass_missing_pages(r, position);
                if (position >= limit)
                        break;
                uint64_t word = load_word(r, position, memory_order_acquire);
                unsigned n_words = record_words(record_type(word));
                if (is_header(r, position, word) && n_words && 8 * n_words <= limit - position)
                        break;
        }
        if (position >= limit) {
                r->there_until = r->position; /* the pages that were seen last may lie behind the limit */
                if (!to_limit)
                        return false;
                position = limit;
        }
        if (!to_limit)
                r->late_writers = true;
        *lostp = (position - r->position + HOLE_RECORD_BYTES - 1) / HOLE_RECORD_BYTES;
        r->position = position;
        r->hole_since_ns = 0;
        return true;
}

bool ring_reader_resync(struct ring_reader *r, uint64_t limit, uint64_t *lostp) {
        if (!r->late_writers || r->position >= limit)
                return false;
        uint64_t behind;
        r->position += 8;
        *lostp = 1;
        if (ring_reader_skip(r, limit, false, &behind))
                *lostp += behind;
        return true;
}

/* @n: so many of those that wait, who waited longest first */
static void wake_writers(struct ring_reader *r, int n) {
        atomic_fetch_add(&r->control->tail_wake, 1);
        syscall(SYS_futex, &r->control->tail_wake, FUTEX_WAKE, n, NULL, NULL, 0);
}

/* Our store of tail and our load of waiters are seq_cst, as the writer's increment of waiters and its last look at tail
 * are: one of the two sees the other. */
static void wake_if_waiting(struct ring_reader *r, int n) {
        r->woken_at = r->position;
        if (atomic_load(&((struct ring_header *)r->header)->waiters) != 0)
                wake_writers(r, n);
}

void ring_reader_release(struct ring_reader *r) {
        if (atomic_load_explicit(&r->control->tail, memory_order_relaxed) == r->position)
                return;
        atomic_store(&r->control->tail, r->position);
        if (r->position - r->woken_at >= ring_reader_size(r) / WAKE_PARTS)
                wake_if_waiting(r, 1);
}

void ring_reader_wake(struct ring_reader *r) {
        if (r->position != r->woken_at)
                wake_if_waiting(r, INT_MAX);
}

bool ring_reader_arm(struct ring_reader *r) {
        uint64_t mark = r->position + ring_reader_size(r) / 2;
        atomic_store(&r->control->fill_mark, mark);
        return atomic_load(&((struct ring_header *)r->header)->head) < mark;
}

void ring_reader_set_mode(struct ring_reader *r, uint32_t mode) {
        atomic_store(&r->control->mode, mode);
        wake_writers(r, INT_MAX);
}
