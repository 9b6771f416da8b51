/* SPDX-License-Identifier: Apache-2.0 */

/* Memory that outlives the daemon. Runs on the ingest worker that owns the image, keep_new(), keep_adopt() and the
 * identity on the main loop; called by region.c, image_kept.c and daemon/ingest. */

#include "daemon/live/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_MAGIC  UINT64_C(0x7065656b6d74) /* "tmkeep" */
/* Raise it with every change of what lies in a keep: struct kept_image, trace_cell, wide_block, node_sums, the journal,
 * hashing. */
#define KEEP_LAYOUT 3

#define MIB(n)        ((uint64_t)(n) << 20)
#define HEADER_BYTES  4096
#define RECORD_AT     MIB(2)
#define RECORD_BYTES  MIB(8)
#define IDENTITY_AT   MIB(32)
#define JOURNAL_AT    MIB(64)
#define JOURNAL_BYTES MIB(192)
#define LOG_AT        MIB(256)
#define LOG_BYTES     MIB(768)
#define WINDOWS_AT    MIB(1024)
#define WINDOWS_END   (UINT64_C(1) << 60) /* of what a record may say; a file ends before that */

/* A crash counts for two ends of which nobody knows the reason: an operator, or a test, may send many a SIGKILL. */
#define CRASH_WEIGHT 2
#define WEIGHT_MAX   4

#define BARRIER() KEEP_BARRIER()

struct keep_header {
        uint64_t magic;
        uint32_t layout, zero;
        volatile uint64_t committed; /* sequence of the record in force; 0: none */
        volatile uint64_t record_bytes[2];
        volatile uint64_t log_sequence; /* the log is that of this record to come */
        volatile uint64_t log_words;
        volatile uint64_t identity; /* sequence; 0: none */
        volatile uint64_t identity_bytes[2];
        volatile uint32_t failed, busy, crashed;
        uint32_t deaths; /* their weight: of those while it was busy, since death_sequence was committed */
        uint64_t death_sequence;
};

/* What is busy, for keep_crashed(): one for each thread, with room for the main loop and all workers. */
#define BUSY_THREADS 128
static _Atomic(struct keep_header *) busy_headers[BUSY_THREADS];
static atomic_uint n_busy_threads;
static _Thread_local unsigned busy_thread; /* 1 + index; 0: none yet */

struct keep_later {
        uint64_t offset, bytes;
        void *unmap;
        size_t unmap_bytes;
};

/* One mapping from the beginning: header, records, identity, journal, log. */
#define FIXED_BYTES WINDOWS_AT

static char *at(const struct keep *k, uint64_t offset) {
        return (char *)k->header + offset;
}

static void note_busy(struct keep_header *header) {
        if (busy_thread == 0)
                busy_thread = 1 + atomic_fetch_add(&n_busy_threads, 1);
        if (busy_thread <= BUSY_THREADS)
                atomic_store_explicit(&busy_headers[busy_thread - 1], header, memory_order_relaxed);
}

void keep_crashed(void) {
        for (unsigned i = 0; i < BUSY_THREADS; i++) {
                struct keep_header *header = atomic_load_explicit(&busy_headers[i], memory_order_relaxed);
                if (header)
                        header->crashed = 1;
        }
}

void keep_busy(struct keep *k, bool busy) {
        k->header->busy = busy;
        note_busy(busy ? k->header : NULL);
}

static int stretch(struct keep *k, uint64_t bytes) {
        if (bytes <= k->file_bytes)
                return 0;
        if (ftruncate(k->fd, (off_t)bytes) < 0)
                return -errno;
        k->file_bytes = bytes;
        return 0;
}

/* A core with all tables in it takes longer to write than a daemon may be away, and the kernel would fill every hole of
 * the file for it. */
static void leave_out_of_cores(void *memory, size_t bytes) {
        (void)madvise(memory, bytes, MADV_DONTDUMP);
}

static int open_fixed(struct keep *k) {
        void *memory = mmap(NULL, FIXED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, k->fd, 0);
        if (memory == MAP_FAILED)
                return -errno;
        leave_out_of_cores(memory, FIXED_BYTES);
        k->header = memory;
        k->log = (uint64_t *)(void *)at(k, LOG_AT);
        k->log_capacity = LOG_BYTES / sizeof *k->log;
        k->log_words_told = &k->header->log_words;
        return 0;
}

static void give_back(const struct keep *k, uint64_t from, uint64_t to) {
        BARRIER();
        if (from < to)
                (void)fallocate(k->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
}

struct keep *keep_free(struct keep *k) {
        if (!k)
                return NULL;
        for (size_t i = 0; i < k->n_later; i++) {
                if (k->later[i].unmap)
                        munmap(k->later[i].unmap, k->later[i].unmap_bytes);
        }
        free(k->later);
        if (k->header) {
                for (unsigned i = 0; i < BUSY_THREADS; i++) {
                        struct keep_header *mine = k->header;
                        atomic_compare_exchange_strong(&busy_headers[i], &mine, NULL);
                }
                munmap(k->header, FIXED_BYTES);
        }
        close(k->fd);
        free(k);
        return NULL;
}

int keep_new(struct keep **keepp) {
        struct keep *k = calloc(1, sizeof *k);
        if (!k)
                return -ENOMEM;
        k->next_window = WINDOWS_AT;
        k->fd = memfd_create("tracemallocd-table", MFD_CLOEXEC);
        int r = k->fd < 0 ? -errno : stretch(k, WINDOWS_AT);
        if (r == 0)
                r = open_fixed(k);
        if (r) {
                if (k->fd >= 0)
                        close(k->fd);
                free(k);
                return r;
        }
        k->header->layout = KEEP_LAYOUT;
        k->header->log_sequence = 1;
        k->header->magic = KEEP_MAGIC;
        *keepp = k;
        return 0;
}

/* Backwards, so that the oldest value of what was changed twice is what remains. */
static int undo(struct keep *k) {
        struct keep_header *h = k->header;
        uint64_t n = h->log_sequence == h->committed + 1 ? h->log_words : 0;
        if (n > k->log_capacity)
                return KEEP_E_BROKEN;
        while (n > 0) {
                /* an entry ends with where it belongs and how long it is */
                uint64_t bytes = k->log[n - 1], offset = n >= 2 ? k->log[n - 2] : 0, words = (bytes + 7) / 8;
                if (n < 2 || bytes > 4096 || words > n - 2 || offset < WINDOWS_AT || offset > k->file_bytes ||
                    bytes > k->file_bytes - offset)
                        return KEEP_E_BROKEN;
                if (pwrite(k->fd, &k->log[n - 2 - words], bytes, (off_t)offset) != (ssize_t)bytes)
                        return -ENOMEM;
                BARRIER();
                n -= 2 + words;
        }
        h->log_words = 0;
        BARRIER();
        h->log_sequence = h->committed + 1;
        return 0;
}

static int count_death(struct keep_header *h) {
        if (!h->busy)
                return 0;
        if (h->death_sequence != h->committed)
                h->deaths = 0;
        h->deaths += h->crashed ? CRASH_WEIGHT : 1;
        BARRIER();
        h->death_sequence = h->committed;
        h->busy = h->crashed = 0;
        return h->deaths >= WEIGHT_MAX ? KEEP_E_ASIDE : 0;
}

static int take_over(struct keep *k) {
        struct keep_header *h = k->header;
        if (h->magic != KEEP_MAGIC)
                return KEEP_E_BROKEN;
        if (h->layout != KEEP_LAYOUT) /* in which all that follows may mean something else */
                return KEEP_E_LAYOUT;
        if (h->record_bytes[h->committed & 1] > RECORD_BYTES ||
            h->identity_bytes[h->identity & 1] > KEEP_IDENTITY_MAX || h->failed || h->committed == 0)
                return KEEP_E_BROKEN;
        k->sequence = h->committed;
        int r = count_death(h);
        if (r)
                return r;
        keep_busy(k, true);
        return undo(k);
}

int keep_adopt(int fd, struct keep **keepp) {
        struct stat st;
        struct keep *k = calloc(1, sizeof *k);
        if (!k || fstat(fd, &st) < 0) {
                int r = k ? -errno : -ENOMEM;
                close(fd);
                free(k);
                return r;
        }
        k->fd = fd;
        k->file_bytes = (uint64_t)st.st_size;
        k->next_window = WINDOWS_AT;
        int r = S_ISREG(st.st_mode) && k->file_bytes >= WINDOWS_AT ? open_fixed(k) : KEEP_E_BROKEN;
        if (r == 0)
                r = take_over(k);
        if (r) {
                keep_free(k);
                return r;
        }
        *keepp = k;
        return 0;
}

int keep_fd(const struct keep *k) {
        return k->fd;
}

const void *keep_record(const struct keep *k, size_t *lengthp) {
        if (k->sequence == 0)
                return NULL;
        *lengthp = k->header->record_bytes[k->sequence & 1];
        return at(k, RECORD_AT + (k->sequence & 1) * RECORD_BYTES);
}

void keep_fail(struct keep *k) {
        k->failed = true;
        k->header->failed = 1;
}

void *keep_begin(struct keep *k, size_t bytes) {
        unsigned half = (k->sequence + 1) & 1;
        if (bytes > RECORD_BYTES) {
                keep_fail(k);
                return NULL;
        }
        k->header->record_bytes[half] = bytes;
        return at(k, RECORD_AT + half * RECORD_BYTES);
}

static void give_all_back(struct keep *k) {
        for (size_t i = 0; i < k->n_later; i++) {
                const struct keep_later *l = &k->later[i];
                if (l->unmap)
                        munmap(l->unmap, l->unmap_bytes);
                give_back(k, l->offset, l->offset + l->bytes);
        }
        k->n_later = 0;
}

void keep_commit(struct keep *k) {
        struct keep_header *h = k->header;
        BARRIER();
        h->committed = ++k->sequence;
        BARRIER();
        h->log_words = 0;
        BARRIER();
        h->log_sequence = k->sequence + 1;
        BARRIER();
        k->log_words = 0;
        memset(k->saved_lines, 0, sizeof k->saved_lines);
        k->unlogged = k->dirty = false;
        if (__builtin_expect(k->n_later > 0, 0))
                give_all_back(k);
}

int keep_append(struct keep *k, const void *bytes, size_t length) {
        if (length > JOURNAL_BYTES - k->journal_bytes)
                return -ENOMEM;
        memcpy(at(k, JOURNAL_AT + k->journal_bytes), bytes, length);
        k->journal_bytes += length;
        k->dirty = true;
        return 0;
}

const void *keep_journal(struct keep *k, uint64_t bytes) {
        if (bytes > JOURNAL_BYTES)
                return NULL;
        k->journal_bytes = bytes;
        return at(k, JOURNAL_AT);
}

uint64_t keep_window(struct keep *k, uint64_t bytes) {
        uint64_t offset = k->next_window;
        k->next_window += (bytes + MIB(2) - 1) & ~(MIB(2) - 1); /* where huge pages may begin */
        return offset;
}

bool keep_has_window(const struct keep *k, uint64_t offset, uint64_t bytes) {
        return offset >= WINDOWS_AT && offset % 4096 == 0 && k->next_window <= WINDOWS_END &&
               offset <= k->next_window && bytes <= k->next_window - offset;
}

int keep_map(struct keep *k, void *address, uint64_t offset, size_t bytes) {
        int r = stretch(k, offset + bytes);
        if (r)
                return r;
        void *memory = mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, k->fd,
                            (off_t)offset);
        if (memory == MAP_FAILED)
                return -errno;
        leave_out_of_cores(memory, bytes);
        return 0;
}

void keep_give_later(struct keep *k, uint64_t offset, uint64_t bytes, void *unmap, size_t unmap_bytes) {
        if (k->n_later == k->later_capacity) {
                size_t capacity = k->later_capacity ? 2 * k->later_capacity : 8;
                struct keep_later *later = reallocarray(k->later, capacity, sizeof *later);
                if (!later)
                        return; /* stays until the process ends */
                k->later = later;
                k->later_capacity = capacity;
        }
        k->later[k->n_later++] = (struct keep_later){offset, bytes, unmap, unmap_bytes};
        k->dirty = true;
}

void keep_sweep(struct keep *k, const uint64_t (*ranges)[2], size_t n) {
        uint64_t from = WINDOWS_AT;
        for (size_t i = 0; i < n; i++) {
                give_back(k, from, ranges[i][0]);
                from = ranges[i][1];
        }
        give_back(k, from, k->file_bytes);
}

const void *keep_identity(const struct keep *k, size_t *lengthp) {
        unsigned half = k->header->identity & 1;
        if (k->header->identity == 0)
                return NULL;
        *lengthp = k->header->identity_bytes[half];
        return at(k, IDENTITY_AT + half * KEEP_IDENTITY_MAX);
}

int keep_set_identity(struct keep *k, const void *bytes, size_t length) {
        uint64_t next = k->header->identity + 1;
        if (length > KEEP_IDENTITY_MAX)
                return -ENOMEM;
        memcpy(at(k, IDENTITY_AT + (next & 1) * KEEP_IDENTITY_MAX), bytes, length);
        k->header->identity_bytes[next & 1] = length;
        BARRIER();
        k->header->identity = next;
        return 0;
}
