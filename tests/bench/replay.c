/* SPDX-License-Identifier: Apache-2.0 */

/*
 * replay [--kept] FILE | --live N EVENTS: what one record costs the daemon; --kept: with tables that outlive it. A
 * child process writes the records of a stream (tests/support/event_stream.h), or those of a made-up program with N
 * live blocks, into a ring; this process reads them as tracemallocd does, with a worker and a feed, and says what it
 * needed. Beside it --plain, the least that any reader has to do: of each record the words that it needs out of the
 * ring, one table that is large enough from the start, sums for each traceback; no check, no peak, no growth, no cuts.
 */

#include "daemon/ingest/feed.h"
#include "daemon/ingest/feed_kept.h"
#include "daemon/ingest/memfd.h"
#include "proto/record.h"
#include "proto/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PLAIN_LOG2_CELLS 22
#define RING_LOG2        RING_LOG2_SIZE_DEFAULT
#define RING_BYTES       (UINT64_C(1) << RING_LOG2)
#define RING_WORDS       (RING_BYTES / 8)
#define MADE_NODES       5000

/* ---- the stream ---- */

struct stream {
        const uint64_t *words;
        size_t n_words, n_records;
        uint32_t n_nodes;
};

static void die(const char *what) {
        fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void measure_stream(struct stream *s) {
        s->n_nodes = 1;
        for (size_t i = 0; i < s->n_words; s->n_records++) {
                unsigned type = record_type(s->words[i]);
                uint32_t node = record_argument(s->words[i]);
                if ((type == RECORD_ALLOC || type == RECORD_MOVE_IN || type == RECORD_MAP) && node >= s->n_nodes)
                        s->n_nodes = node + 1;
                if (!record_words(type)) {
                        fprintf(stderr, "replay: that is no stream of records\n");
                        exit(1);
                }
                i += record_words(type);
        }
}

static struct stream open_stream(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                die(path);
        void *memory = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (memory == MAP_FAILED)
                die(path);
        close(fd);
        struct stream s = {.words = memory, .n_words = (size_t)st.st_size / 8};
        measure_stream(&s);
        return s;
}

static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* N blocks, then one at random goes and another comes, as often as asked. */
static struct stream make_stream(size_t n_live, size_t n_events) {
        size_t capacity = 3 * n_live + 5 * n_events;
        uint64_t *words = mmap(NULL, capacity * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (words == MAP_FAILED)
                die("stream");
        uint64_t random = 88172645463325252, *word = words;
        for (size_t i = 0; i < n_live + n_events; i++) {
                uint64_t slot = i < n_live ? i : next_random(&random) % n_live;
                uint64_t address = UINT64_C(0x7f0000000000) + slot * 48;
                if (i >= n_live) {
                        *word++ = record_header(RECORD_FREE, 0, 0, 0);
                        *word++ = address;
                }
                *word++ = record_header(RECORD_ALLOC, 0, 0, 1 + next_random(&random) % MADE_NODES);
                *word++ = address;
                *word++ = 24;
        }
        struct stream s = {.words = words, .n_words = (size_t)(word - words)};
        measure_stream(&s);
        return s;
}

/* ---- the writer, a process of its own ---- */

struct shared {
        struct ring_header *header;
        _Atomic uint64_t *data;
        int ring_fd, definitions_fd;
};

static int make_memfd(size_t bytes, void **memoryp) {
        int fd = memfd_create("replay", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
                die("memfd_create");
        *memoryp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (*memoryp == MAP_FAILED ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
                die("memfd");
        return fd;
}

static void make_shared(struct shared *shared, uint32_t n_nodes) {
        void *memory;
        shared->ring_fd = make_memfd(RING_HEADER_BYTES + RING_BYTES, &memory);
        shared->header = memory;
        *shared->header = (struct ring_header){.magic = RING_MAGIC, .version = RING_VERSION, .log2_size = RING_LOG2};
        shared->data = (_Atomic uint64_t *)((char *)memory + RING_HEADER_BYTES);
        shared->definitions_fd =
                make_memfd(DEFINITIONS_HEADER_BYTES + (size_t)n_nodes * sizeof(struct node_def) + 4096, &memory);
        struct definitions_header *definitions = memory;
        definitions->magic = DEFINITIONS_MAGIC;
        definitions->version = RING_VERSION;
        definitions->node_capacity = n_nodes;
        definitions->items_capacity = 4096;
        struct node_def *nodes = (struct node_def *)((char *)memory + DEFINITIONS_HEADER_BYTES);
        for (uint32_t i = 1; i < n_nodes; i++)
                nodes[i] = (struct node_def){.value = i}; /* in a page that is not there would be none */
        atomic_store(&definitions->n_nodes, n_nodes);
}

static void wait_for_room(struct shared *shared, struct ring_control *control, uint64_t end) {
        while (end - atomic_load(&control->tail) > RING_BYTES) {
                atomic_fetch_add(&shared->header->waiters, 1);
                uint32_t wake = atomic_load(&control->tail_wake);
                struct timespec slice = {.tv_nsec = 50000000};
                if (end - atomic_load(&control->tail) > RING_BYTES)
                        syscall(SYS_futex, &control->tail_wake, FUTEX_WAIT, wake, &slice, NULL, 0);
                atomic_fetch_sub(&shared->header->waiters, 1);
        }
}

static void ring_bell(struct doorbell *doorbell) {
        atomic_fetch_add(&doorbell->word, 1);
        syscall(SYS_futex, &doorbell->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* @control_fd, @doorbell_fd: -1 with --plain, where @control is shared memory */
static void write_all(struct shared *shared, const struct stream *s, struct ring_control *control,
                      struct doorbell *doorbell) {
        uint64_t position = 0;
        while (position < s->n_words * 8) {
                const uint64_t *words = s->words + position / 8;
                unsigned n = record_words(record_type(words[0]));
                uint64_t end = position + 8 * n;
                wait_for_room(shared, control, end);
                for (unsigned i = 1; i < n; i++)
                        atomic_store_explicit(&shared->data[(position / 8 + i) % RING_WORDS], words[i],
                                              memory_order_relaxed);
                atomic_store_explicit(&shared->header->head, end, memory_order_relaxed);
                atomic_store_explicit(&shared->data[position / 8 % RING_WORDS],
                                      words[0] | (position >> RING_LOG2 & 255) << 50, memory_order_release);
                uint64_t mark = atomic_load_explicit(&control->fill_mark, memory_order_relaxed);
                if (doorbell && position < mark && mark <= end)
                        ring_bell(doorbell);
                position = end;
        }
}

static pid_t start_writer(struct shared *shared, const struct stream *s, int control_fd, int doorbell_fd,
                          struct ring_control *control) {
        pid_t pid = fork();
        if (pid < 0)
                die("fork");
        if (pid > 0)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct doorbell *doorbell = NULL;
        if (control_fd >= 0) {
                control = mmap(NULL, CONTROL_BYTES, PROT_READ, MAP_SHARED, control_fd, 0);
                doorbell = mmap(NULL, DOORBELL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, doorbell_fd, 0);
                if (control == MAP_FAILED || doorbell == MAP_FAILED)
                        die("mmap");
        }
        write_all(shared, s, control, doorbell);
        _exit(0);
}

/* ---- measuring ---- */

struct cpu {
        double user, system; /* nanoseconds */
};

static struct cpu cpu_used(struct cpu before) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        return (struct cpu){
                .user = (double)usage.ru_utime.tv_sec * 1e9 + (double)usage.ru_utime.tv_usec * 1e3 - before.user,
                .system = (double)usage.ru_stime.tv_sec * 1e9 + (double)usage.ru_stime.tv_usec * 1e3 - before.system};
}

static void print_cpu(const char *who, struct cpu used, size_t n_records) {
        double n = (double)n_records;
        printf("%s records %zu ns %.1f user %.1f system %.1f", who, n_records, (used.user + used.system) / n,
               used.user / n, used.system / n);
}

/* Memory of ours alone: resident without files and without the rings, and the keep's memfd, whoever has it mapped. */
static uint64_t own_bytes(int table_fd) {
        char line[256];
        uint64_t kib = 0;
        struct stat st = {};
        FILE *file = fopen("/proc/self/status", "re");
        while (file && fgets(line, sizeof line, file)) {
                if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
                        break;
        }
        if (file)
                fclose(file);
        if (table_fd >= 0)
                fstat(table_fd, &st);
        return kib * 1024 + (uint64_t)st.st_blocks * 512;
}

/* ---- ours ---- */

struct ours {
        uv_loop_t loop;
        struct worker *worker;
        struct feed *feed;
        uint64_t end, bytes_before, most_live, bytes_at_most;
        bool done;
};

static void on_tick(uv_timer_t *timer) {
        struct ours *o = timer->data;
        const struct feed_gauges *gauges = feed_gauges(o->feed);
        uint64_t live = atomic_load(&gauges->live_count);
        if (live > o->most_live) {
                o->most_live = live;
                o->bytes_at_most = own_bytes(feed_fds(o->feed).table);
        }
        if (atomic_load(&gauges->position) >= o->end)
                uv_stop(&o->loop);
}

static void run_ours(const struct stream *s, bool kept) {
        struct ours o = {.end = s->n_words * 8};
        struct shared shared;
        uv_timer_t timer;
        make_shared(&shared, s->n_nodes);
        uv_loop_init(&o.loop);
        if (worker_new(&o.loop, -1, &o.worker) < 0)
                die("worker");
        static char name[] = "replay", label[] = "";
        struct snapshot_info info = {.pid = 1, .name = name, .label = label};
        struct feed_options options = {
                .mode = TRACE_EXACT, .traceback_limit = 64, .domains = 1, .kept = kept, .info = &info};
        const char *reason = "";
        o.bytes_before = own_bytes(-1);
        if (feed_new_ring(o.worker, shared.ring_fd, shared.definitions_fd, &options, &o.feed, &reason) != 0) {
                fprintf(stderr, "replay: %s\n", reason);
                exit(1);
        }
        start_writer(&shared, s, feed_control_fd(o.feed), worker_doorbell_fd(o.worker), NULL);
        struct cpu before = cpu_used((struct cpu){});
        uv_timer_init(&o.loop, &timer);
        timer.data = &o;
        uv_timer_start(&timer, on_tick, 20, 20);
        uv_run(&o.loop, UV_RUN_DEFAULT);
        struct cpu used = cpu_used(before);
        const struct feed_gauges *gauges = feed_gauges(o.feed);
        uint64_t live = atomic_load(&gauges->live_count);
        if (o.most_live < live)
                o.most_live = live;
        print_cpu(kept ? "kept" : "ours", used, s->n_records);
        printf(" live %" PRIu64 " peak %" PRIu64 " nodes %u", live, (uint64_t)atomic_load(&gauges->peak_size),
               s->n_nodes);
        if (o.most_live >= 10000)
                printf(" bytes_a_block %.1f", (double)(o.bytes_at_most - o.bytes_before) / (double)o.most_live);
        printf(" lost %" PRIu64 "\n", (uint64_t)atomic_load(&gauges->lost));
}

/* ---- the least ---- */

struct plain_cell {
        uint64_t address, size;
        uint32_t node;
};

struct plain_sums {
        uint64_t live_size, live_count, allocated_size, allocated_count;
};

struct plain {
        struct plain_cell *cells;
        struct plain_sums *sums;
        uint64_t live;
};

static uint64_t plain_home(uint64_t address) {
        return address * UINT64_C(0x9e3779b97f4a7c15) >> (64 - PLAIN_LOG2_CELLS);
}

static struct plain_cell *plain_find(struct plain *p, uint64_t address) {
        const uint64_t mask = (UINT64_C(1) << PLAIN_LOG2_CELLS) - 1;
        uint64_t i = plain_home(address);
        while (p->cells[i].address && p->cells[i].address != address)
                i = (i + 1) & mask;
        return &p->cells[i];
}

static void plain_erase(struct plain *p, struct plain_cell *cell) {
        const uint64_t mask = (UINT64_C(1) << PLAIN_LOG2_CELLS) - 1;
        uint64_t hole = (uint64_t)(cell - p->cells);
        for (uint64_t i = (hole + 1) & mask; p->cells[i].address; i = (i + 1) & mask) {
                if (((i - plain_home(p->cells[i].address)) & mask) < ((i - hole) & mask))
                        continue;
                p->cells[hole] = p->cells[i];
                hole = i;
        }
        p->cells[hole].address = 0;
}

static void plain_gone(struct plain *p, struct plain_cell *cell) {
        p->sums[cell->node].live_size -= cell->size;
        p->sums[cell->node].live_count--;
        p->live--;
}

static void plain_add(struct plain *p, uint64_t address, uint64_t size, uint32_t node) {
        struct plain_cell *cell = plain_find(p, address);
        if (cell->address)
                plain_gone(p, cell);
        *cell = (struct plain_cell){address, size, node};
        struct plain_sums *sums = &p->sums[node];
        sums->live_size += size;
        sums->live_count++;
        sums->allocated_size += size;
        sums->allocated_count++;
        p->live++;
}

struct plain_event {
        uint64_t address, size;
        uint32_t node;
        bool adds;
};

static void plain_apply(struct plain *p, const struct plain_event *event) {
        if (event->adds)
                return plain_add(p, event->address, event->size, event->node);
        struct plain_cell *cell = plain_find(p, event->address);
        if (cell->address) {
                plain_gone(p, cell);
                plain_erase(p, cell);
        }
}

static void plain_prefetch(struct plain *p, const struct plain_event *event) {
        __builtin_prefetch(&p->cells[plain_home(event->address)], 1);
        if (event->adds)
                __builtin_prefetch(&p->sums[event->node], 1);
}

static void *plain_memory(size_t bytes, int flags) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
        if (memory == MAP_FAILED)
                die("mmap");
        return memory;
}

static uint64_t plain_word(struct shared *shared, uint64_t position) {
        return atomic_load_explicit(&shared->data[position / 8 % RING_WORDS], memory_order_relaxed);
}

/* Some hundred records at once, so that prefetching has time to work. Return: the new position. */
static uint64_t plain_batch(struct plain *p, struct shared *shared, uint64_t position, uint64_t head) {
        static struct plain_event batch[512];
        size_t n = 0;
        while (n < 512 && position < head) {
                uint64_t header = atomic_load_explicit(&shared->data[position / 8 % RING_WORDS], memory_order_acquire);
                unsigned type = record_type(header);
                if (!(header & RECORD_HEADER_BIT) || record_lap(header) != (position >> RING_LOG2 & 255))
                        break;
                struct plain_event *event = &batch[n];
                event->address = plain_word(shared, position + 8);
                event->adds = type == RECORD_ALLOC || type == RECORD_MOVE_IN;
                if (event->adds)
                        event->size = plain_word(shared, position + 16);
                event->node = record_argument(header);
                if (type <= RECORD_MOVE_IN) { /* the rest is rare, and none of its business */
                        plain_prefetch(p, event);
                        n++;
                }
                position += 8 * record_words(type);
        }
        for (size_t i = 0; i < n; i++)
                plain_apply(p, &batch[i]);
        return position;
}

static void run_plain(const struct stream *s) {
        struct plain p = {.cells = plain_memory(sizeof *p.cells << PLAIN_LOG2_CELLS, MAP_PRIVATE),
                          .sums = plain_memory(s->n_nodes * sizeof *p.sums, MAP_PRIVATE)};
        struct ring_control *control = plain_memory(CONTROL_BYTES, MAP_SHARED);
        struct shared shared;
        madvise(p.cells, sizeof *p.cells << PLAIN_LOG2_CELLS, MADV_HUGEPAGE);
        make_shared(&shared, s->n_nodes);
        atomic_store(&control->fill_mark, UINT64_MAX);
        start_writer(&shared, s, -1, -1, control);
        struct cpu before = cpu_used((struct cpu){});
        for (uint64_t position = 0; position < s->n_words * 8;) {
                struct timespec pause = {.tv_nsec = 1000000};
                nanosleep(&pause, NULL);
                for (uint64_t head = atomic_load(&shared.header->head), last = UINT64_MAX; position != last;) {
                        last = position;
                        position = plain_batch(&p, &shared, position, head);
                        atomic_store(&control->tail, position);
                }
                if (atomic_load(&shared.header->waiters)) {
                        atomic_fetch_add(&control->tail_wake, 1);
                        syscall(SYS_futex, &control->tail_wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
                }
        }
        print_cpu("plain", cpu_used(before), s->n_records);
        printf(" live %" PRIu64 "\n", p.live);
}

int main(int argc, char **argv) {
        bool plain = argc > 1 && strcmp(argv[1], "--plain") == 0;
        bool kept = argc > 1 && strcmp(argv[1], "--kept") == 0;
        argc -= plain || kept;
        argv += plain || kept;
        struct stream s;
        if (argc == 2)
                s = open_stream(argv[1]);
        else if (argc == 4 && strcmp(argv[1], "--live") == 0 && atol(argv[2]) > 0)
                s = make_stream((size_t)atol(argv[2]), (size_t)atol(argv[3]));
        else {
                fprintf(stderr, "usage: replay [--plain | --kept] FILE | --live BLOCKS EVENTS\n");
                return 2;
        }
        plain ? run_plain(&s) : run_ours(&s, kept);
        fflush(stdout);
        _exit(0); /* the worker's thread is of no more interest */
}
