/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Daemons that die while they read the rings of a parent and of its forked child, at each place where the order of
 * stores counts (KEEP_BARRIER() in daemon/live/keep.h): while they adopt what the one before left, in the middle of a
 * batch, while the child takes over its parent's table, between the commits of the two. Each daemon is a process
 * of its own that ends without warning; all that is left are the memfds. The last one reads to the end, and must have
 * what feeds have that nobody ever killed. unit/live/test_image_kept.c has the same for single instructions.
 */

#include "daemon/ingest/feed_kept.h"
#include "daemon/ingest/feed_private.h"
#include "daemon/ingest/feed_reader.h"
#include "tests/support/check_main.h"
#include "tests/unit/ingest/ring_writer.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TOKEN    7
#define N_BLOCKS 24
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EVERY 2 /* a fork costs much there */
#else
#define EVERY 1
#endif

enum { PARENT, CHILD, N_FEEDS };
enum { RING, DEFINITIONS, CONTROL, TABLE, N_PARTS };

/* What daemons leave to each other, as systemd would hold it. */
struct left {
        int fd[N_FEEDS][N_PARTS];
};

static uv_loop_t loop;
static struct worker worker;
static struct ring_writer writers[N_FEEDS];
static struct left pristine;
static uint64_t random_state;

static uint64_t random_below(uint64_t n) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % n;
}

/* ---- what the programs recorded ---- */

static uint64_t address(unsigned i) {
        return 0x10000 + 64 * i;
}

static void write_module(struct ring_writer *w, uint32_t generation) {
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        Tracemallocd__Agent__ModuleDef module = TRACEMALLOCD__AGENT__MODULE_DEF__INIT;
        module.path = (ProtobufCBinaryData){.len = 5, .data = (uint8_t *)"/a.so"};
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_MODULE;
        item.module = &module;
        writer_put(w, RECORD_MODULE_LOAD, 0, generation, writer_item(w, &item), 0, 0);
}

/* Some have no room in a cell. */
static uint64_t size(unsigned i) {
        return i % 5 ? 10 + i : TRACE_SIZE_WIDE + i;
}

static void write_parent(struct ring_writer *w) {
        uint32_t nodes[3];
        write_module(w, 1);
        for (unsigned i = 0; i < 3; i++)
                nodes[i] = writer_node(w, 0, 1, 100 + i);
        for (unsigned i = 0; i < N_BLOCKS; i++)
                writer_put(w, RECORD_ALLOC, 0, nodes[i % 3], address(i), size(i), 0);
        writer_put(w, RECORD_MAP, DOMAIN_INDEX_MMAP, nodes[0], UINT64_C(0x7f0000000000), 8192, 0);
        uint64_t out = writer_put(w, RECORD_MOVE_OUT, 0, 0, address(1), 0, 0);
        writer_put(w, RECORD_FORK, 0, TOKEN, 0, 0, 0);
        for (unsigned i = 2; i < N_BLOCKS; i += 2)
                writer_put(w, RECORD_FREE, 0, 0, address(i), 0, 0);
        writer_put(w, RECORD_MOVE_IN, 0, nodes[2], address(100), 1000, out);
        writer_put(w, RECORD_FORK_DONE, 0, TOKEN, 4242, 0, 0);
        for (unsigned i = 200; i < 200 + N_BLOCKS; i++)
                writer_put(w, RECORD_ALLOC, 0, nodes[i % 3], address(i), size(i), 0);
}

static void write_child(struct ring_writer *w) {
        write_module(w, 2);
        for (unsigned i = 0; i < 3; i++)
                writer_node(w, 0, 1, 100 + i);
        uint32_t node = writer_node(w, 0, 2, 200);
        for (unsigned i = 3; i < N_BLOCKS; i += 3)
                writer_put(w, RECORD_FREE, 0, 0, address(i), 0, 0);
        for (unsigned i = 300; i < 310; i++)
                writer_put(w, RECORD_ALLOC, 0, node, address(i), size(i), 0);
}

/* ---- a daemon, without its threads ---- */

static void open_worker(void) {
        void *doorbell;
        worker = (struct worker){.loop = &loop, .inbox_end = &worker.inbox, .outbox_end = &worker.outbox};
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        ck_assert_int_eq(uv_mutex_init(&worker.mutex), 0);
        ck_assert_int_eq(uv_async_init(&loop, &worker.async, NULL), 0);
        worker.doorbell_fd = writer_memfd(DOORBELL_BYTES, 0, &doorbell);
        worker.doorbell = doorbell;
}

static void run_jobs(void) {
        while (worker.inbox) {
                struct worker_job *job = worker.inbox;
                worker.inbox = job->next;
                if (!worker.inbox)
                        worker.inbox_end = &worker.inbox;
                job->run(job);
        }
}

static bool is_read(const struct feed *feed) {
        return feed->phase == FEED_RUNS && feed->ring.position == ring_reader_head(&feed->ring);
}

static void read_all(struct feed *feeds[N_FEEDS]) {
        uint64_t now_ns = 1;
        run_jobs();
        while (!is_read(feeds[PARENT]) || !is_read(feeds[CHILD])) {
                now_ns += 1000000000;
                feed_round_all(worker.feeds, now_ns, false);
        }
}

static void open_feeds(bool kept, struct feed *feeds[N_FEEDS]) {
        static char name[] = "prog", label[] = "label";
        static struct snapshot_info info = {.pid = 12, .uid = 34, .image = 1, .name = name, .label = label};
        struct feed_options options = {
                .mode = TRACE_EXACT, .traceback_limit = 64, .domains = 7, .info = &info, .kept = kept};
        const char *reason = NULL;
        for (unsigned i = 0; i < N_FEEDS; i++) {
                options.id = 1 + i;
                options.parent = i == CHILD ? feeds[PARENT] : NULL;
                options.fork_token = i == CHILD ? TOKEN : 0;
                int r = feed_new_ring(&worker, dup(writers[i].ring_fd), dup(writers[i].definitions_fd), &options,
                                      &feeds[i], &reason);
                ck_assert_msg(r == 0, "%s", reason);
        }
}

static void adopt_feeds(const struct left *left, struct feed *feeds[N_FEEDS]) {
        for (unsigned i = 0; i < N_FEEDS; i++) {
                struct feed_fds fds = {dup(left->fd[i][RING]), dup(left->fd[i][DEFINITIONS]), dup(left->fd[i][CONTROL]),
                                       dup(left->fd[i][TABLE])};
                struct feed_options options = {.id = 1 + i};
                const char *reason = NULL;
                int r = feed_adopt(&worker, &fds, &options, &feeds[i], &reason);
                ck_assert_msg(r == 0, "%s", reason);
        }
        for (unsigned i = 0; i < N_FEEDS; i++)
                feed_adopt_link(feeds[i], feed_adopt_parent(feeds[i]) == 1 ? feeds[PARENT] : NULL);
        for (unsigned i = 0; i < N_FEEDS; i++)
                feed_adopt_start(feeds[i]);
}

/* ---- what is left ---- */

static int copy_memfd(int from) {
        char page[4096];
        struct stat st;
        int to = memfd_create("left", MFD_CLOEXEC);
        ck_assert_int_ge(to, 0);
        ck_assert_int_eq(fstat(from, &st), 0);
        ck_assert_int_eq(ftruncate(to, st.st_size), 0);
        for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0; at += (off_t)sizeof page) {
                ck_assert_int_eq(pread(from, page, sizeof page, at), sizeof page);
                ck_assert_int_eq(pwrite(to, page, sizeof page, at), sizeof page);
        }
        return to;
}

/* The rings are the programs', only read. */
static struct left copy_left(void) {
        struct left copy = pristine;
        for (unsigned i = 0; i < N_FEEDS; i++) {
                copy.fd[i][CONTROL] = copy_memfd(pristine.fd[i][CONTROL]);
                copy.fd[i][TABLE] = copy_memfd(pristine.fd[i][TABLE]);
        }
        return copy;
}

static void close_left(struct left *left) {
        for (unsigned i = 0; i < N_FEEDS; i++) {
                close(left->fd[i][CONTROL]);
                close(left->fd[i][TABLE]);
        }
}

/* ---- comparing ---- */

static int compare_block(void *data, const struct trace_block *block) {
        const struct trace_table *with = data;
        unsigned domain = trace_block_domain(block);
        uint64_t at = block->address;
        const struct trace_cell *cell = trace_table_find(with, trace_table_hash(with, domain, at), domain, at);
        ck_assert_ptr_nonnull(cell);
        struct trace_block other = trace_table_block(with, cell);
        ck_assert_uint_eq(other.size, block->size);
        ck_assert_uint_eq(other.node_domain, block->node_domain);
        return 0;
}

static void compare_slots(const struct traceback_sums *a, const struct traceback_sums *b) {
        ck_assert_uint_eq(a->n_slots, b->n_slots);
        for (uint32_t i = 1; i < a->n_slots; i++) {
                const struct node_sums *one = &a->slots[i];
                uint32_t k = 1;
                while (k < b->n_slots && b->slots[k].node_domain != one->node_domain)
                        k++;
                ck_assert_uint_lt(k, b->n_slots);
                ck_assert_uint_eq(one->live_size, b->slots[k].live_size);
                ck_assert_uint_eq(one->live_count, b->slots[k].live_count);
                ck_assert_uint_eq(one->allocated_size, b->slots[k].allocated_size);
                ck_assert_uint_eq(one->allocated_count, b->slots[k].allocated_count);
        }
        ck_assert_int_eq(memcmp(&a->total, &b->total, sizeof a->total), 0);
        ck_assert_int_eq(memcmp(a->domains, b->domains, sizeof a->domains), 0);
}

static void compare_images(struct image *a, struct image *b) {
        image_check(a);
        ck_assert_uint_eq(a->table->count, b->table->count);
        trace_table_each(a->table, compare_block, b->table);
        compare_slots(a->sums, b->sums);
        ck_assert_uint_eq(a->moves.n_moves, b->moves.n_moves);
        ck_assert_uint_eq(a->modules->n_entries, b->modules->n_entries);
        ck_assert_uint_eq(a->events, b->events);
        ck_assert_uint_eq(a->unknown_frees, b->unknown_frees);
        ck_assert_uint_eq(a->n_forks, b->n_forks);
        ck_assert(image_is_exact(a) && image_is_exact(b));
}

/* ---- lives and deaths ---- */

static long steps_left = LONG_MAX, n_steps;

void keep_step(void) {
        n_steps++;
        if (--steps_left < 0)
                _exit(0);
}

static int wait_for(pid_t pid) {
        int status;
        ck_assert_int_ge(pid, 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

#define ALL_READ 10

/* @adopting: the steps begin before it takes over what was left, not after that. Return: whether it died. */
static bool dies(const struct left *left, bool adopting, long steps) {
        pid_t pid = fork();
        if (pid == 0) {
                struct feed *feeds[N_FEEDS];
                open_worker();
                if (adopting)
                        steps_left = steps;
                adopt_feeds(left, feeds);
                if (!adopting)
                        steps_left = steps;
                read_all(feeds);
                _exit(ALL_READ);
        }
        int status = wait_for(pid);
        ck_assert_msg(status == 0 || status == ALL_READ, "a daemon failed at step %ld", steps);
        return status == 0;
}

static void last_one_is_right(const struct left *left, long steps) {
        pid_t pid = fork();
        if (pid == 0) {
                struct feed *feeds[N_FEEDS], *unharmed[N_FEEDS];
                open_worker();
                adopt_feeds(left, feeds);
                read_all(feeds);
                open_worker();
                open_feeds(false, unharmed);
                read_all(unharmed);
                for (unsigned i = 0; i < N_FEEDS; i++)
                        compare_images(&feeds[i]->image, &unharmed[i]->image);
                _exit(0);
        }
        ck_assert_msg(wait_for(pid) == 0, "wrong after a death at step %ld", steps);
}

static void open_all(void) {
        struct feed *feeds[N_FEEDS];
        const char *text = getenv("TEST_SEED");
        random_state = text ? strtoull(text, NULL, 0) : (uint64_t)getpid() * 0x9e3779b97f4a7c15;
        random_state |= 1;
        printf("TEST_SEED=%#llx\n", (unsigned long long)random_state);
        fflush(stdout);
        for (unsigned i = 0; i < N_FEEDS; i++)
                writer_open(&writers[i], RING_LOG2_SIZE_MIN);
        write_parent(&writers[PARENT]);
        write_child(&writers[CHILD]);
        open_worker();
        open_feeds(true, feeds); /* the daemon that dies before it has read anything */
        for (unsigned i = 0; i < N_FEEDS; i++) {
                struct feed_fds fds = feed_fds(feeds[i]);
                pristine.fd[i][RING] = fds.ring;
                pristine.fd[i][DEFINITIONS] = fds.definitions;
                pristine.fd[i][CONTROL] = fds.control;
                pristine.fd[i][TABLE] = fds.table;
        }
}

/* How many steps a life has. */
static long life_of(bool adopting) {
        long *found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct left left = copy_left();
        pid_t pid = fork();
        if (pid == 0) {
                struct feed *feeds[N_FEEDS];
                open_worker();
                n_steps = 0;
                adopt_feeds(&left, feeds);
                if (!adopting)
                        n_steps = 0;
                read_all(feeds);
                *found = n_steps;
                _exit(ALL_READ);
        }
        ck_assert_int_eq(wait_for(pid), ALL_READ);
        long life = *found;
        munmap(found, sizeof *found);
        close_left(&left);
        return life;
}

START_TEST(a_daemon_may_die_anywhere)
{
        /* the last few of them depend on where the hashes fall: a daemon that had fewer reads to the end */
        long life = life_of(true), n_dead = 0;
        for (long step = (long)random_below(EVERY); step < life; step += EVERY) {
                struct left left = copy_left();
                n_dead += dies(&left, true, step);
                last_one_is_right(&left, step);
                close_left(&left);
        }
        ck_assert_int_gt(n_dead * EVERY, 150); /* what is recorded gives some 200 */
}
END_TEST

/* The second one finds what a dead one left, in the middle of it: undoes, dies while it undoes, or somewhere behind. */
START_TEST(daemons_may_die_one_after_the_other)
{
        long life = life_of(true);
        for (long step = 1 + (long)random_below(4 * EVERY); step < life; step += 4 * EVERY) {
                struct left left = copy_left();
                dies(&left, true, step);
                dies(&left, true, (long)random_below((uint64_t)step));
                dies(&left, true, (long)random_below((uint64_t)life));
                last_one_is_right(&left, step);
                close_left(&left);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ingest/feed_kept");
        TCase *tcase = check_case("feed_kept");
        tcase_add_checked_fixture(tcase, open_all, NULL);
        tcase_set_timeout(tcase, 230);
        tcase_add_test(tcase, a_daemon_may_die_anywhere);
        tcase_add_test(tcase, daemons_may_die_one_after_the_other);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
