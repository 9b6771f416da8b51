/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A daemon may die between any two instructions. Here a child process is the daemon: it applies a batch to a kept image
 * one instruction at a time (the trap flag of the processor) and ends at a random one, without warning. The parent is
 * the next daemon: it adopts what it finds, which must be the state before the batch or the state after it, and
 * goes on. The oracle is an image without a keep that is fed the same.
 */

#include "daemon/live/image_apply.h"
#include "daemon/live/image_fork.h"
#include "daemon/live/image_kept.h"
#include "proto/record.h"
#include "tests/support/check_main.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH_MAX 32
#define ADDRESSES 4096
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DEATHS 15 /* instructions are many, and slow */
#else
#define DEATHS 120
#endif
#define STEPS_A_EVENT 300 /* instructions, about: the child dies anywhere in its batch or a little behind it */

static uint64_t random_state;
static struct keep *keep;
static struct image image, oracle;
static uint64_t position; /* of both */
static uint32_t next_token;
static struct {
        uint64_t position;
        bool open;
} moves[4];

static uint64_t random_below(uint64_t n) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % n;
}

static void seed(void) {
        const char *text = getenv("TEST_SEED");
        random_state = text ? strtoull(text, NULL, 0) : (uint64_t)getpid() * 0x9e3779b97f4a7c15;
        random_state |= 1;
        printf("TEST_SEED=%#llx\n", (unsigned long long)random_state);
        fflush(stdout);
}

static struct kept_reader reader_at(uint64_t at) {
        return (struct kept_reader){.position = at};
}

static void open_images(void) {
        seed();
        ck_assert_int_eq(keep_new(&keep), 0);
        ck_assert_int_eq(image_init(&image, keep, 0), 0);
        ck_assert_int_eq(image_init(&oracle, NULL, 0), 0);
        position = 0;
        next_token = 1;
        memset(moves, 0, sizeof moves);
        struct kept_reader reader = reader_at(0);
        image_commit(&image, &reader);
}

static void close_images(void) {
        image_deinit(&image);
        image_deinit(&oracle);
        keep = keep_free(keep);
}

static struct event event_of(unsigned type, unsigned domain, uint32_t argument, uint64_t a, uint64_t b, uint64_t c) {
        return (struct event){
                .type = (uint8_t)type, .domain = (uint8_t)domain, .argument = argument, .word = {a, b, c}};
}

static uint64_t random_address(void) {
        return 0x10000 + 16 * random_below(ADDRESSES);
}

/* A few are wide. */
static uint64_t random_size(void) {
        return random_below(16) ? random_below(9000) : TRACE_SIZE_WIDE - 2 + random_below(9000);
}

static struct event random_move(void) {
        size_t i = random_below(4);
        uint64_t out = moves[i].position;
        moves[i].open = !moves[i].open;
        if (!moves[i].open && random_below(4) == 0)
                return event_of(RECORD_MOVE_BACK, 0, 0, out, 0, 0);
        if (!moves[i].open)
                return event_of(RECORD_MOVE_IN, 0, 1 + random_below(3000), random_address(), random_size(), out);
        moves[i].position = UINT64_MAX; /* its own: set when the event has one */
        return event_of(RECORD_MOVE_OUT, 0, 0, random_address(), 0, 0);
}

/* @growing: more comes than goes */
static struct event random_event(bool growing) {
        uint64_t dice = random_below(100);
        if (dice < (growing ? 60 : 35))
                return event_of(RECORD_ALLOC, random_below(5) == 0, 1 + random_below(3000), random_address(),
                                random_size(), 0);
        if (dice >= 80 && dice < 84)
                return event_of(RECORD_RELABEL, random_below(2), 1 + random_below(3000), random_address(), 0, 0);
        if (dice < 84)
                return event_of(RECORD_FREE, 0, 0, random_address(), 0, 0);
        if (dice < 92)
                return random_move();
        if (dice < 96)
                return event_of(random_below(3) ? RECORD_MAP : RECORD_UNMAP, DOMAIN_INDEX_MMAP, 1 + random_below(50),
                                UINT64_C(0x7f0000000000) + 4096 * random_below(64), 4096 * (1 + random_below(8)), 0);
        if (dice < 98)
                return event_of(RECORD_ALLOC, 3 + random_below(3), 1 + random_below(50),
                                random_address() | random_below(2) << TRACE_ADDRESS_BITS, 8, 0);
        if (dice < 99)
                return event_of(RECORD_FORK, 0, next_token++, 0, 0, 0);
        return event_of(RECORD_LOST, 0, 0, 1, 0, 0);
}

static size_t random_batch(struct event *events, bool growing) {
        size_t n = 1 + random_below(BATCH_MAX);
        for (size_t i = 0; i < n; i++) {
                events[i] = random_event(growing);
                events[i].position = position + 16 * i;
                for (size_t k = 0; k < 4; k++) {
                        if (moves[k].position == UINT64_MAX)
                                moves[k].position = events[i].position;
                }
        }
        return n;
}

/* As the reader of a ring: some modules and domains come with what stops a batch. */
static void apply(struct image *to, const struct event *events, size_t n) {
        struct event copy[BATCH_MAX];
        memcpy(copy, events, n * sizeof *events);
        for (size_t done = 0, k; done < n; done += k) {
                if (image_apply(to, copy + done, n - done, &k) != IMAGE_SPECIAL)
                        continue;
                const struct event *event = &copy[done + k - 1];
                image_module_load(to, event->argument, "/lib/some.so", 12, (const uint8_t *)"0123", 4);
                image_domain(to, 3 + event->argument % 3, event->argument, "name", 4);
                if (event->argument % 3 == 0)
                        image_fork_free(image_fork_take(to, event->argument - 2));
        }
}

/* ---- comparing ---- */

static int compare_block(void *data, const struct trace_block *block) {
        const struct trace_table *with = data;
        unsigned domain = trace_block_domain(block);
        uint64_t address = block->address;
        const struct trace_cell *cell =
                trace_table_find(with, trace_table_hash(with, domain, address), domain, address);
        ck_assert_ptr_nonnull(cell);
        struct trace_block other = trace_table_block(with, cell);
        ck_assert_uint_eq(other.address, address);
        ck_assert_uint_eq(other.size, block->size);
        ck_assert_uint_eq(other.node_domain, block->node_domain);
        ck_assert_uint_eq(other.birth, block->birth);
        return 0;
}

static void compare_blocks(const struct trace_table *table, struct trace_table *with) {
        ck_assert_uint_eq(table->count, with->count);
        trace_table_each(table, compare_block, with);
}

static void compare_sums(const struct traceback_sums *a, const struct traceback_sums *b) {
        ck_assert_uint_eq(a->n_slots, b->n_slots);
        ck_assert_uint_eq(a->peak_epoch, b->peak_epoch);
        ck_assert_int_eq(memcmp(&a->total, &b->total, sizeof a->total), 0);
        ck_assert_int_eq(memcmp(a->domains, b->domains, sizeof a->domains), 0);
        ck_assert_int_eq(memcmp(a->slots + 1, b->slots + 1, (a->n_slots - 1) * sizeof *a->slots), 0);
        ck_assert_uint_eq(a->index_capacity, b->index_capacity);
        ck_assert_int_eq(memcmp(a->index, b->index, a->index_capacity * sizeof *a->index), 0);
}

static size_t read_cut(struct image_fork *fork, struct image *into) {
        size_t n = 0, got;
        struct trace_block blocks[2 * CUT_READ_MIN];
        ck_assert_int_eq(image_init(into, NULL, 0), 0);
        while (cut_read(&fork->cut, blocks, 2 * CUT_READ_MIN, &got) == 0) {
                for (size_t i = 0; i < got; i++) {
                        struct event event =
                                event_of(RECORD_ALLOC, trace_block_domain(&blocks[i]), trace_block_node(&blocks[i]),
                                         blocks[i].address, blocks[i].size, 0);
                        size_t done;
                        image_apply(into, &event, 1, &done);
                        n++;
                }
        }
        return n;
}

/* Reads the newest fork of each out; the oldest ones go on for the rest of the test. */
static void compare_forks(void) {
        ck_assert_uint_eq(image.n_forks, oracle.n_forks);
        ck_assert(!image.forks == !oracle.forks);
        if (!image.forks || random_below(8))
                return;
        uint32_t token = image.forks->token;
        ck_assert_uint_eq(oracle.forks->token, token);
        struct image_fork *a = image_fork_take(&image, token), *b = image_fork_take(&oracle, token);
        struct image one, other;
        ck_assert_uint_eq(read_cut(a, &one), read_cut(b, &other));
        compare_blocks(one.table, other.table);
        ck_assert_uint_eq(a->n_modules, b->n_modules);
        ck_assert_uint_eq(a->exact, b->exact);
        image_deinit(&one);
        image_deinit(&other);
        image_fork_free(a);
        image_fork_free(b);
        struct kept_reader reader = reader_at(position);
        image_commit(&image, &reader);
}

static void compare(void) {
        image_check(&image);
        image_check(&oracle);
        compare_blocks(image.table, oracle.table);
        compare_sums(image.sums, oracle.sums);
        ck_assert_uint_eq(image.moves.n_moves, oracle.moves.n_moves);
        if (image.moves.n_moves)
                ck_assert_int_eq(
                        memcmp(image.moves.moves, oracle.moves.moves, image.moves.n_moves * sizeof(struct move)), 0);
        ck_assert_uint_eq(image.events, oracle.events);
        ck_assert_uint_eq(image.unknown_frees, oracle.unknown_frees);
        ck_assert_uint_eq(image_lost(&image), image_lost(&oracle));
        ck_assert_uint_eq(image.tracing, oracle.tracing);
        ck_assert_uint_eq(image.modules->n_entries, oracle.modules->n_entries);
        ck_assert_uint_eq(domain_map_number(&image.domains, 3), domain_map_number(&oracle.domains, 3));
        compare_forks();
}

/* ---- dying ---- */

static volatile long steps_left;

static void on_step(int number) {
        if (--steps_left < 0)
                _exit(0);
}

/* From here on each instruction is a step. */
__attribute__((noinline)) static void begin_to_die(void) {
        struct sigaction action = {.sa_handler = on_step};
        sigaction(SIGTRAP, &action, NULL);
        __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
}

/* The forks of a table that is cleared do not outlive a daemon: their children begin inexact. Not compared here. */
static void clear(struct image *to) {
        while (to->forks)
                image_fork_free(image_fork_take(to, to->forks->token));
        image_clear(to);
}

/* What a daemon does between two commits. */
static void live(const struct event *events, size_t n, unsigned what) {
        struct kept_reader reader = reader_at(position + 16 * n);
        keep_busy(keep, true);
        if (what == 0)
                clear(&image);
        else if (what == 1)
                image_reset_peak(&image);
        apply(&image, events, n);
        image_commit(&image, &reader);
        keep_busy(keep, false);
}

static void live_without_dying(struct image *to, const struct event *events, size_t n, unsigned what) {
        if (what == 0)
                clear(to);
        else if (what == 1)
                image_reset_peak(to);
        apply(to, events, n);
}

static void next_daemon(uint64_t *positionp) {
        struct kept_reader reader;
        int fd = dup(keep_fd(keep));
        image_deinit(&image); /* of the one that died: touches no shared byte */
        keep_free(keep);
        int r = keep_adopt(fd, &keep);
        ck_assert_int_eq(r, 0);
        r = image_adopt(&image, keep, 0, &reader);
        ck_assert_int_eq(r, 0);
        *positionp = reader.position;
}

static void die_once(bool growing) {
        struct event events[BATCH_MAX];
        size_t n = random_batch(events, growing);
        unsigned what = (unsigned)random_below(60);
        long steps = (long)random_below(STEPS_A_EVENT * n + 1000);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                steps_left = steps;
                begin_to_die();
                live(events, n, what);
                _exit(0);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        uint64_t found;
        next_daemon(&found);
        ck_assert(found == position || found == position + 16 * n);
        if (found == position) {
                compare();
                live(events, n, what);
        }
        live_without_dying(&oracle, events, n, what);
        position += 16 * n;
        compare();
}

START_TEST(a_daemon_may_die_at_every_instruction)
{
        for (unsigned i = 0; i < DEATHS; i++)
                die_once(i / 100 % 2 == 0);
}
END_TEST

START_TEST(a_large_batch_is_undone_whole)
{
        struct event events[BATCH_MAX];
        for (unsigned i = 0; i < 100; i++) {
                size_t n = random_batch(events, true);
                live(events, n, 9);
                live_without_dying(&oracle, events, n, 9);
                position += 16 * n;
        }
        uint64_t before = position, found;
        pid_t pid = fork();
        if (pid == 0) {
                for (unsigned i = 0; i < 200; i++) /* grows the table twice */
                        apply(&image, events, random_batch(events, true));
                _exit(0);
        }
        waitpid(pid, NULL, 0);
        next_daemon(&found);
        ck_assert_uint_eq(found, before);
        memset(moves, 0, sizeof moves);
        compare();
}
END_TEST

START_TEST(a_ring_that_two_daemons_crash_of_at_one_place_is_set_aside)
{
        struct keep *next;
        keep_busy(keep, true);
        keep_crashed();
        int fd = dup(keep_fd(keep));
        ck_assert_int_eq(keep_adopt(dup(fd), &next), 0); /* and it is busy with it */
        keep_crashed();
        keep_free(next);
        ck_assert_int_eq(keep_adopt(fd, &next), KEEP_E_ASIDE);
}
END_TEST

START_TEST(ends_from_outside_are_suspicious_only_when_they_are_many)
{
        struct keep *next;
        keep_busy(keep, true);
        for (unsigned i = 0; i < 3; i++) {
                ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), 0);
                keep_free(next);
        }
        ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), KEEP_E_ASIDE);
}
END_TEST

START_TEST(a_daemon_that_was_not_busy_with_a_ring_did_not_die_of_it)
{
        struct keep *next;
        for (unsigned i = 0; i < 5; i++) {
                ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), 0);
                keep_busy(next, false);
                keep_crashed();
                keep_free(next);
        }
}
END_TEST

START_TEST(a_ring_that_went_on_in_between_is_not_suspected)
{
        struct keep *next;
        for (unsigned i = 0; i < 5; i++) {
                struct kept_reader reader = reader_at(i);
                keep_busy(keep, true);
                ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), 0);
                keep_free(next);
                image_commit(&image, &reader);
        }
}
END_TEST

START_TEST(another_layout_is_refused)
{
        struct keep *next;
        uint32_t layout = 999;
        ck_assert_int_eq(pwrite(keep_fd(keep), &layout, sizeof layout, 8), sizeof layout);
        ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), KEEP_E_LAYOUT);
}
END_TEST

START_TEST(what_no_daemon_left_is_refused)
{
        struct keep *next;
        int fd = memfd_create("empty", 0);
        ck_assert_int_eq(keep_adopt(dup(fd), &next), KEEP_E_BROKEN);
        ck_assert_int_eq(ftruncate(fd, INT64_C(1) << 31), 0);
        ck_assert_int_eq(keep_adopt(fd, &next), KEEP_E_BROKEN);
        /* lengths that lead out of the file: of the undo log, and of the record */
        uint64_t far = UINT64_MAX / 16;
        ck_assert_int_eq(pwrite(keep_fd(keep), &far, sizeof far, 48), sizeof far);
        ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), KEEP_E_BROKEN);
}
END_TEST

/* @at: of the first byte of a block of the sums, or of a cell */
static int adopt_with_a_byte_changed(uint64_t at) {
        struct keep *next;
        struct image other;
        struct kept_reader reader;
        uint64_t word = 0x0123456789abcdef;
        ck_assert_int_eq(pwrite(keep_fd(keep), &word, sizeof word, (off_t)at), sizeof word);
        ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), 0);
        int r = image_adopt(&other, next, 0, &reader);
        keep_free(next);
        return r;
}

static void live_a_while(void) {
        struct event events[BATCH_MAX];
        for (unsigned i = 0; i < 20; i++) {
                size_t n = random_batch(events, true);
                live(events, n, 9);
                position += 16 * n;
        }
}

static void one_event(unsigned type, uint64_t address) {
        struct event event = event_of(type, 0, type == RECORD_ALLOC, address, TRACE_SIZE_WIDE, 0);
        size_t done;
        image_apply(&image, &event, 1, &done);
}

static uint64_t hash_of(uint64_t address) {
        return trace_table_hash(image.table, 0, address);
}

/* A table of wide blocks that is growing, up to a commit. */
static void begin_to_grow(void) {
        for (uint64_t address = 16; !image.table->old.cells; address += 16)
                one_event(RECORD_ALLOC, address);
        trace_table_migrate(image.table, image.table->old.n_homes / 2);
        struct kept_reader reader = reader_at(0);
        image_commit(&image, &reader);
}

/* Died between two commits: its block took the slot of one that went, and was copied by the migration. The copy must go
 * although its slot is the other one's again, by whose address it would belong where it lies. */
START_TEST(copy_of_a_wide_block_goes_though_its_slot_is_another_s)
{
        begin_to_grow();
        uint64_t moved = 16, young = UINT64_C(1) << 32;
        while (hash_of(moved) >= image.table->migrated)
                moved += 16;
        while (hash_of(young) < image.table->migrated + UINT64_MAX / 4 || hash_of(young) > UINT64_MAX / 8 * 7)
                young += 16;
        one_event(RECORD_FREE, moved);
        one_event(RECORD_ALLOC, young);
        ck_assert_uint_ge(hash_of(young), image.table->migrated);
        while (image.table->old.cells && hash_of(young) >= image.table->migrated)
                trace_table_migrate(image.table, 32);
        struct keep *next;
        struct image other;
        struct kept_reader reader;
        ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), 0);
        ck_assert_int_eq(image_adopt(&other, next, 0, &reader), 0);
        image_check(&other);
        image_deinit(&other);
        keep_free(next);
}
END_TEST

START_TEST(a_slot_that_can_not_be_a_cell_s_is_refused)
{
        begin_to_grow();
        ck_assert_int_eq(adopt_with_a_byte_changed(image.table->wide.region.offset + sizeof(struct wide_block)),
                         IMAGE_E_BROKEN);
}
END_TEST

START_TEST(a_cell_that_can_not_be_there_is_refused)
{
        live_a_while();
        const struct trace_array *a = &image.table->current;
        ck_assert_int_eq(adopt_with_a_byte_changed(a->region.offset + (a->n_cells - 1) * sizeof *a->cells),
                         IMAGE_E_BROKEN);
}
END_TEST

START_TEST(sums_that_do_not_add_up_are_refused)
{
        live_a_while();
        ck_assert_int_eq(adopt_with_a_byte_changed(image.sums->slots_region.offset + sizeof(struct node_sums)),
                         IMAGE_E_BROKEN);
}
END_TEST

START_TEST(a_node_without_sums_is_refused)
{
        live_a_while();
        uint32_t node = image.sums->slots[1].node_domain & ((UINT32_C(1) << TRACE_NODE_BITS) - 1);
        ck_assert_int_eq(adopt_with_a_byte_changed(image.sums->index_region.offset + node * sizeof(uint32_t)),
                         IMAGE_E_BROKEN);
}
END_TEST

START_TEST(a_new_keep_without_a_commit_is_refused)
{
        struct keep *empty, *next;
        ck_assert_int_eq(keep_new(&empty), 0);
        ck_assert_int_eq(keep_adopt(dup(keep_fd(empty)), &next), KEEP_E_BROKEN);
        keep_free(empty);
}
END_TEST

START_TEST(memory_that_was_given_up_goes_back_at_the_commit)
{
        struct stat before, after;
        struct event events[BATCH_MAX];
        for (unsigned i = 0; i < 300; i++) {
                size_t n = random_batch(events, true);
                live(events, n, 9);
                position += 16 * n;
        }
        fstat(keep_fd(keep), &before);
        for (unsigned i = 0; i < 50; i++)
                live(events, 0, 0);
        fstat(keep_fd(keep), &after);
        ck_assert_int_le(after.st_blocks, before.st_blocks);
}
END_TEST

START_TEST(identity_is_the_last_one_that_was_set)
{
        size_t length;
        struct keep *next;
        ck_assert_ptr_null(keep_identity(keep, &length));
        ck_assert_int_eq(keep_set_identity(keep, "first", 5), 0);
        ck_assert_int_eq(keep_set_identity(keep, "second", 6), 0);
        ck_assert_int_eq(keep_adopt(dup(keep_fd(keep)), &next), 0);
        const char *identity = keep_identity(next, &length);
        ck_assert_uint_eq(length, 6);
        ck_assert_int_eq(memcmp(identity, "second", 6), 0);
        keep_free(next);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("live/image_kept");
        TCase *tcase = check_case("image_kept");
        tcase_add_checked_fixture(tcase, open_images, close_images);
        tcase_set_timeout(tcase, 200);
        tcase_add_test(tcase, a_daemon_may_die_at_every_instruction);
        tcase_add_test(tcase, a_large_batch_is_undone_whole);
        tcase_add_test(tcase, a_ring_that_two_daemons_crash_of_at_one_place_is_set_aside);
        tcase_add_test(tcase, ends_from_outside_are_suspicious_only_when_they_are_many);
        tcase_add_test(tcase, a_daemon_that_was_not_busy_with_a_ring_did_not_die_of_it);
        tcase_add_test(tcase, copy_of_a_wide_block_goes_though_its_slot_is_another_s);
        tcase_add_test(tcase, a_slot_that_can_not_be_a_cell_s_is_refused);
        tcase_add_test(tcase, a_cell_that_can_not_be_there_is_refused);
        tcase_add_test(tcase, sums_that_do_not_add_up_are_refused);
        tcase_add_test(tcase, a_node_without_sums_is_refused);
        tcase_add_test(tcase, a_ring_that_went_on_in_between_is_not_suspected);
        tcase_add_test(tcase, another_layout_is_refused);
        tcase_add_test(tcase, what_no_daemon_left_is_refused);
        tcase_add_test(tcase, a_new_keep_without_a_commit_is_refused);
        tcase_add_test(tcase, memory_that_was_given_up_goes_back_at_the_commit);
        tcase_add_test(tcase, identity_is_the_last_one_that_was_set);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
