/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/batch_decoder.h"
#include "daemon/ingest/ring_reader.h"
#include "tests/support/check_main.h"
#include "tests/unit/ingest/ring_writer.h"

#include <pthread.h>
#include <sys/stat.h>

#define LOG2 RING_LOG2_SIZE_MIN
#define SIZE (UINT64_C(1) << LOG2)
#define PAGE UINT64_C(4096)

static struct ring_writer writer;
static struct ring_reader reader;
static struct definitions definitions;
static const char *reason;

static int open_reader(void) {
        return ring_reader_open(&reader, writer.ring_fd, TRACE_EXACT, 64, 3, 1000, &reason);
}

static void open_pair(void) {
        writer_open(&writer, LOG2);
        ck_assert_int_eq(open_reader(), 0);
        ck_assert_int_eq(definitions_open_ring(&definitions, writer.definitions_fd, &reason), 0);
}

static void close_pair(void) {
        ring_reader_close(&reader);
        definitions_close(&definitions);
        close(writer.ring_fd);
        close(writer.definitions_fd);
        writer_close(&writer);
}

static struct event events[EVENT_BATCH_MAX];
static size_t n_events;

static int read_up_to(uint64_t limit) {
        return ring_reader_read(&reader, &definitions, limit, events, EVENT_BATCH_MAX, &n_events);
}

static int read_there(void) {
        return read_up_to(ring_reader_head(&reader));
}

START_TEST(control_page_says_what_was_asked_and_cannot_be_written_by_others)
{
        ck_assert_uint_eq(atomic_load(&reader.control->mode), TRACE_EXACT);
        ck_assert_uint_eq(atomic_load(&reader.control->traceback_limit), 64);
        ck_assert_uint_eq(atomic_load(&reader.control->domains), 3);
        ck_assert_uint_eq(atomic_load(&reader.control->stall_limit_us), 1000);
        ck_assert_ptr_eq(mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, reader.control_fd, 0),
                         MAP_FAILED);
        ck_assert_int_eq(write(reader.control_fd, "x", 1), -1);
        ck_assert_int_ne(ftruncate(reader.control_fd, 0), 0);
}
END_TEST

START_TEST(records_arrive_in_order_with_their_words)
{
        uint32_t node = writer_node(&writer, 0, 0, 5);
        writer_put(&writer, RECORD_ALLOC, 1, node, 0x1000, 10, 0);
        uint64_t out = writer_put(&writer, RECORD_MOVE_OUT, 0, 0, 0x1000, 0, 0);
        writer_put(&writer, RECORD_MOVE_IN, 0, node, 0x2000, 20, out);
        writer_put(&writer, RECORD_EXEC, 0, 0, 0, 0, 0);
        ck_assert_int_eq(read_there(), 0);
        ck_assert_uint_eq(n_events, 4);
        ck_assert_uint_eq(events[0].type, RECORD_ALLOC);
        ck_assert_uint_eq(events[0].domain, 1);
        ck_assert_uint_eq(events[0].argument, node);
        ck_assert_uint_eq(events[0].word[0], 0x1000);
        ck_assert_uint_eq(events[0].word[1], 10);
        ck_assert_uint_eq(events[1].position, out);
        ck_assert_uint_eq(events[2].word[2], out);
        ck_assert_uint_eq(reader.position, atomic_load(&writer.header->head));
}
END_TEST

START_TEST(reading_stops_at_the_limit_and_goes_on_behind_it)
{
        writer_put(&writer, RECORD_FREE, 0, 0, 1, 0, 0);
        uint64_t cut = writer_put(&writer, RECORD_FREE, 0, 0, 2, 0, 0);
        ck_assert_int_eq(read_up_to(cut), 0);
        ck_assert_uint_eq(n_events, 1);
        ck_assert_int_eq(read_there(), 0);
        ck_assert_uint_eq(n_events, 1);
        ck_assert_uint_eq(events[0].word[0], 2);
}
END_TEST

START_TEST(records_cross_the_end_and_laps_are_told_apart)
{
        uint64_t sent = 0, seen = 0;
        while (sent < 300 * SIZE / 24) { /* more laps than the lap has bits for */
                for (unsigned i = 0; i < 1000; i++)
                        writer_put(&writer, RECORD_ALLOC, 0, 0, sent++, 3, 0);
                while (reader.position < atomic_load(&writer.header->head)) {
                        ck_assert_int_eq(read_there(), 0);
                        for (size_t i = 0; i < n_events; i++)
                                ck_assert_uint_eq(events[i].word[0], seen++);
                }
        }
        ck_assert_uint_eq(sent, seen);
}
END_TEST

START_TEST(header_of_an_earlier_lap_is_a_hole)
{
        for (unsigned i = 0; i < SIZE / 16; i++)
                writer_put(&writer, RECORD_FREE, 0, 0, i, 0, 0);
        while (reader.position < SIZE)
                ck_assert_int_eq(read_there(), 0);
        writer_reserve(&writer, RECORD_FREE); /* where the first record of lap 0 lay */
        ck_assert_int_eq(read_there(), RING_READER_HOLE);
        ck_assert_uint_eq(n_events, 0);
}
END_TEST

START_TEST(hole_is_waited_for_and_read_when_it_is_filled)
{
        uint64_t hole = writer_reserve(&writer, RECORD_ALLOC);
        writer_put(&writer, RECORD_FREE, 0, 0, 9, 0, 0);
        ck_assert_int_eq(read_there(), RING_READER_HOLE);
        ck_assert_uint_eq(reader.position, hole);
        writer_fill(&writer, hole, RECORD_ALLOC, 0, 0, 8, 1, 0);
        ck_assert_int_eq(read_there(), 0);
        ck_assert_uint_eq(n_events, 2);
}
END_TEST

START_TEST(skipping_a_hole_finds_the_next_header_and_counts_what_may_be_missing)
{
        writer_reserve(&writer, RECORD_ALLOC);
        uint64_t second = writer_reserve(&writer, RECORD_ALLOC);
        writer_store(&writer, second + 8, 0x123, memory_order_relaxed); /* died after its first payload word */
        uint64_t third = writer_put(&writer, RECORD_FREE, 0, 0, 9, 0, 0);
        uint64_t lost = 0;
        ck_assert_int_eq(read_there(), RING_READER_HOLE);
        ck_assert(ring_reader_skip(&reader, ring_reader_head(&reader), false, &lost));
        ck_assert_uint_eq(reader.position, third);
        ck_assert_uint_eq(lost, 2);
        ck_assert_int_eq(read_there(), 0);
        ck_assert_uint_eq(n_events, 1);
}
END_TEST

START_TEST(behind_a_hole_is_looked_the_more_rarely_the_more_there_is)
{
        const uint64_t now_ns = 1000000000, long_ns = 2000000;
        ck_assert(ring_reader_may_skip(&reader, 64, now_ns));
        ck_assert(!ring_reader_may_skip(&reader, 64, now_ns + 1));
        ck_assert(ring_reader_may_skip(&reader, SIZE, now_ns + long_ns));
        ck_assert(!ring_reader_may_skip(&reader, SIZE, now_ns + long_ns + 1000000));
        ck_assert(ring_reader_may_skip(&reader, SIZE, now_ns + 2 * long_ns));
}
END_TEST

START_TEST(hole_at_the_end_is_skipped_only_when_nobody_can_fill_it)
{
        writer_reserve(&writer, RECORD_ALLOC);
        uint64_t lost;
        ck_assert(!ring_reader_skip(&reader, ring_reader_head(&reader), false, &lost));
        ck_assert(ring_reader_skip(&reader, ring_reader_head(&reader), true, &lost));
        ck_assert_uint_eq(reader.position, 24);
        ck_assert_uint_eq(lost, 1);
}
END_TEST

/* ---- a file with holes: what is looked for there must not become memory ---- */

static uint64_t pages_of(int fd) {
        struct stat st;
        ck_assert_int_eq(fstat(fd, &st), 0);
        return (uint64_t)st.st_blocks * 512 / PAGE;
}

START_TEST(record_in_a_page_that_is_not_there_is_a_hole)
{
        uint64_t n, lost, before = pages_of(writer.ring_fd);
        atomic_store(&writer.header->head, 2 * PAGE + 8);
        ck_assert_int_eq(read_there(), RING_READER_HOLE);
        ck_assert_uint_eq(n_events, 0);
        ck_assert(!ring_reader_skip(&reader, ring_reader_head(&reader), false, &lost));
        ck_assert_uint_eq(pages_of(writer.ring_fd), before);
        n = writer_put(&writer, RECORD_FREE, 0, 0, 7, 0, 0);
        ck_assert(ring_reader_skip(&reader, ring_reader_head(&reader), false, &lost));
        ck_assert_uint_eq(reader.position, n);
        ck_assert_int_eq(read_there(), 0);
        ck_assert_uint_eq(n_events, 1);
        ck_assert_uint_eq(pages_of(writer.ring_fd), before + 1);
}
END_TEST

START_TEST(ring_of_holes_is_passed_and_stays_one)
{
        uint64_t lost, before = pages_of(writer.ring_fd);
        for (unsigned lap = 1; lap <= 3; lap++) {
                atomic_store(&writer.header->head, lap * SIZE);
                ck_assert(ring_reader_skip(&reader, lap * SIZE, true, &lost));
                ck_assert_uint_eq(reader.position, lap * SIZE);
        }
        atomic_store(&writer.header->head, 3 * SIZE + 128);
        ck_assert(ring_reader_skip(&reader, 3 * SIZE + 128, true, &lost));
        ck_assert_uint_eq(reader.position, 3 * SIZE + 128);
        ck_assert_uint_eq(pages_of(writer.ring_fd), before);
}
END_TEST

/* Every second page; each that is there ends in a record that would reach into the next one. */
START_TEST(holes_between_pages_cost_no_more_than_the_pages)
{
        uint64_t lost, written = 0;
        for (uint64_t at = PAGE - 8; at < SIZE; at += 2 * PAGE, written++)
                writer_fill(&writer, at - 8, RECORD_FREE, 0, 0, 7, 0, 0);
        atomic_store(&writer.header->head, SIZE);
        uint64_t before = pages_of(writer.ring_fd), read = 0;
        while (reader.position < SIZE) {
                int r = read_there();
                read += n_events;
                if (r == RING_READER_HOLE)
                        ck_assert(ring_reader_skip(&reader, SIZE, true, &lost));
        }
        ck_assert_uint_eq(read, written);
        ck_assert_uint_le(pages_of(writer.ring_fd), before + written);
}
END_TEST

START_TEST(item_that_reaches_into_a_hole_is_unknown)
{
        Tracemallocd__Agent__Item *item;
        char *items = (char *)(writer_nodes(&writer) + WRITER_NODES);
        *(uint32_t *)items = 3 * PAGE;
        atomic_store(&writer.definitions->items_used, WRITER_ITEMS);
        uint64_t before = pages_of(writer.definitions_fd);
        ck_assert_int_eq(definitions_item(&definitions, 0, &item), DEFINITIONS_E_UNKNOWN);
        for (uint64_t offset = PAGE; offset < WRITER_ITEMS; offset += PAGE)
                ck_assert_int_eq(definitions_item(&definitions, offset, &item), DEFINITIONS_E_UNKNOWN);
        ck_assert_uint_eq(pages_of(writer.definitions_fd), before);
}
END_TEST

static void expect_malformed(void) {
        ck_assert_int_eq(read_there(), RING_READER_E_MALFORMED);
        ck_assert_uint_eq(n_events, 0);
}

START_TEST(unknown_type_is_malformed)
{
        writer_reserve(&writer, RECORD_FREE);
        writer_store(&writer, 0, record_header(31, 0, 0, 0), memory_order_release);
        expect_malformed();
}
END_TEST

START_TEST(payload_with_the_header_bit_is_malformed)
{
        writer_put(&writer, RECORD_FREE, 0, 0, RECORD_HEADER_BIT | 5, 0, 0);
        expect_malformed();
}
END_TEST

START_TEST(record_that_ends_behind_the_head_is_malformed)
{
        writer_reserve(&writer, RECORD_EXEC);
        writer_fill(&writer, 0, RECORD_ALLOC, 0, 0, 1, 1, 0);
        expect_malformed();
}
END_TEST

START_TEST(node_that_was_not_handed_out_is_malformed)
{
        uint32_t node = writer_node(&writer, 0, 0, 1);
        writer_put(&writer, RECORD_ALLOC, 0, node, 1, 1, 0);
        writer_put(&writer, RECORD_ALLOC, 0, node + 1, 1, 1, 0);
        ck_assert_int_eq(read_there(), RING_READER_E_MALFORMED);
        ck_assert_uint_eq(n_events, 1);
}
END_TEST

START_TEST(heads_that_cannot_be_are_seen)
{
        writer_put(&writer, RECORD_FREE, 0, 0, 1, 0, 0);
        ck_assert_int_eq(read_there(), 0);
        ck_assert(ring_reader_limit(&reader, 16));
        ck_assert(!ring_reader_limit(&reader, 8));
        ck_assert(!ring_reader_limit(&reader, 20));
        ck_assert(ring_reader_limit(&reader, 16 + SIZE));
        ck_assert(!ring_reader_limit(&reader, 24 + SIZE));
        ck_assert(!ring_reader_limit(&reader, UINT64_MAX - 7));
}
END_TEST

static void refuse_ring(const char *why) {
        ring_reader_close(&reader);
        ck_assert_int_eq(open_reader(), RING_READER_E_REFUSED);
        ck_assert_str_eq(reason, why);
}

START_TEST(hostile_ring_headers_are_refused)
{
        writer.header->magic++;
        refuse_ring("ring has another magic or version");
        writer.header->magic--;
        writer.header->version = 9;
        refuse_ring("ring has another magic or version");
        writer.header->version = RING_VERSION;
        for (uint32_t log2_size = 0; log2_size < 70; log2_size++) {
                if (log2_size == LOG2)
                        continue;
                writer.header->log2_size = log2_size;
                refuse_ring("ring has a size that does not fit");
        }
        writer.header->log2_size = UINT32_MAX;
        refuse_ring("ring has a size that does not fit");
}
END_TEST

static void refuse_descriptor(int fd, const char *why) {
        struct ring_reader other;
        ck_assert_int_eq(ring_reader_open(&other, fd, 1, 1, 1, 1, &reason), RING_READER_E_REFUSED);
        ck_assert_str_eq(reason, why);
        close(fd);
}

START_TEST(descriptors_that_are_no_sealed_tmpfs_files_are_refused)
{
        void *memory;
        const size_t bytes = RING_HEADER_BYTES + SIZE;
        refuse_descriptor(writer_memfd(bytes, F_SEAL_SHRINK | F_SEAL_SEAL, &memory), "descriptor is not sealed");
        refuse_descriptor(writer_memfd(bytes, F_SEAL_GROW | F_SEAL_SEAL, &memory), "descriptor is not sealed");
        refuse_descriptor(writer_memfd(bytes, F_SEAL_GROW | F_SEAL_SHRINK, &memory), "descriptor is not sealed");
        refuse_descriptor(writer_memfd(bytes, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, &memory),
                          "descriptor is not sealed");
        refuse_descriptor(writer_memfd(4096, WRITER_SEALS, &memory), "descriptor has a size outside the bounds");
        refuse_descriptor(open("/dev/zero", O_RDWR | O_CLOEXEC), "descriptor is no regular file");
        refuse_descriptor(open("/proc/self/maps", O_RDONLY | O_CLOEXEC), "descriptor is not on tmpfs");
        refuse_descriptor(-1, "descriptor is no regular file");
        ck_assert_int_eq(definitions_open_ring(&definitions, writer.ring_fd, &reason), DEFINITIONS_E_REFUSED);
        definitions = (struct definitions){};
}
END_TEST

START_TEST(hostile_definitions_headers_are_refused)
{
        definitions_close(&definitions);
        writer.definitions->node_capacity = UINT32_MAX;
        ck_assert_int_eq(definitions_open_ring(&definitions, writer.definitions_fd, &reason), DEFINITIONS_E_REFUSED);
        writer.definitions->node_capacity = WRITER_NODES + 1;
        ck_assert_int_eq(definitions_open_ring(&definitions, writer.definitions_fd, &reason), DEFINITIONS_E_REFUSED);
        writer.definitions->node_capacity = WRITER_NODES;
        writer.definitions->items_capacity = UINT64_MAX - 4096;
        ck_assert_int_eq(definitions_open_ring(&definitions, writer.definitions_fd, &reason), DEFINITIONS_E_REFUSED);
        writer.definitions->items_capacity = WRITER_ITEMS;
        ck_assert_int_eq(definitions_open_ring(&definitions, writer.definitions_fd, &reason), 0);
}
END_TEST

START_TEST(nodes_and_items_that_cannot_be_are_unknown)
{
        struct node_def def;
        Tracemallocd__Agent__Item *got;
        uint32_t node = writer_node(&writer, 0, 1, 2), self = writer_node(&writer, 2, 1, 2);
        ck_assert_uint_eq(definitions_n_nodes(&definitions), 3);
        ck_assert_int_eq(definitions_node(&definitions, node, &def), 0);
        ck_assert_int_eq(definitions_node(&definitions, self, &def), DEFINITIONS_E_UNKNOWN);
        ck_assert_int_eq(definitions_node(&definitions, 3, &def), DEFINITIONS_E_UNKNOWN);
        atomic_store(&writer.definitions->n_nodes, UINT32_MAX);
        ck_assert_uint_eq(definitions_n_nodes(&definitions),
                          PAGE / sizeof(struct node_def)); /* the others' are not there */
        writer_nodes(&writer)[WRITER_NODES - 1].unit = 1;
        ck_assert_uint_eq(definitions_n_nodes(&definitions), PAGE / sizeof(struct node_def));
        for (uint32_t i = 0; i < WRITER_NODES; i += PAGE / sizeof(struct node_def))
                writer_nodes(&writer)[i].unit = 1;
        ck_assert_uint_eq(definitions_n_nodes(&definitions), WRITER_NODES);
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        Tracemallocd__Agent__ModuleDef module = TRACEMALLOCD__AGENT__MODULE_DEF__INIT;
        module.path = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)"/x"};
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_MODULE;
        item.module = &module;
        uint64_t offset = writer_item(&writer, &item);
        ck_assert_int_eq(definitions_item(&definitions, offset, &got), 0);
        ck_assert_uint_eq(got->module->path.len, 2);
        tracemallocd__agent__item__free_unpacked(got, NULL);
        ck_assert_int_eq(definitions_item(&definitions, offset + 1, &got), DEFINITIONS_E_UNKNOWN);
        ck_assert_int_eq(definitions_item(&definitions, WRITER_ITEMS, &got), DEFINITIONS_E_UNKNOWN);
        ck_assert_int_eq(definitions_item(&definitions, UINT64_MAX - 7, &got), DEFINITIONS_E_UNKNOWN);
        char *length = (char *)(writer_nodes(&writer) + WRITER_NODES) + offset;
        *(uint32_t *)length = UINT32_MAX;
        ck_assert_int_eq(definitions_item(&definitions, offset, &got), DEFINITIONS_E_UNKNOWN);
        *(uint32_t *)length = 1;
        ck_assert_int_eq(definitions_item(&definitions, offset, &got), DEFINITIONS_E_UNKNOWN);
}
END_TEST

START_TEST(code_objects_are_found_among_the_items)
{
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        Tracemallocd__Agent__CodeDef code = TRACEMALLOCD__AGENT__CODE_DEF__INIT;
        code.filename = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)"a.py"};
        code.qualname = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"f"};
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_CODE;
        item.code = &code;
        struct code_text text;
        for (code.code = 1; code.code <= 100; code.code++)
                writer_item(&writer, &item);
        ck_assert_int_eq(definitions.source.code(&definitions.source, 50, &text), 0);
        ck_assert_uint_eq(text.filename_length, 4);
        ck_assert_int_eq(definitions.source.code(&definitions.source, 101, &text), DEFINITIONS_E_UNKNOWN);
        code.code = 101;
        writer_item(&writer, &item);
        ck_assert_int_eq(definitions.source.code(&definitions.source, 101, &text), 0);
        ck_assert_int_eq(memcmp(text.function, "f", 1), 0);
}
END_TEST

/* Several writers, a small ring, waiting for room; each address of a thread in its order, none lost. */
#define N_THREADS 3
#define N_RECORDS 30000

static void *write_many(void *data) {
        uint64_t thread = *(uint64_t *)data;
        for (uint64_t i = 0; i < N_RECORDS; i++)
                writer_put(&writer, i % 3 ? RECORD_ALLOC : RECORD_FREE, 0, 0, thread << 32 | i, i, 0);
        return NULL;
}

START_TEST(writers_that_wait_for_room_lose_nothing)
{
        int doorbell = memfd_create("bell", MFD_CLOEXEC);
        ck_assert_int_eq(ftruncate(doorbell, DOORBELL_BYTES), 0);
        writer_connect(&writer, reader.control_fd, doorbell);
        close(doorbell);
        pthread_t threads[N_THREADS];
        uint64_t numbers[N_THREADS], next[N_THREADS] = {};
        for (uint64_t i = 0; i < N_THREADS; i++) {
                numbers[i] = i;
                ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
        }
        for (size_t seen = 0; seen < N_THREADS * N_RECORDS; seen += n_events) {
                int r = read_there();
                ck_assert(r == 0 || r == RING_READER_HOLE);
                for (size_t i = 0; i < n_events; i++)
                        ck_assert_uint_eq(events[i].word[0] & UINT32_MAX, next[events[i].word[0] >> 32]++);
                ring_reader_release(&reader);
        }
        for (unsigned i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
        ck_assert_uint_eq(reader.position, atomic_load(&writer.header->head));
}
END_TEST

START_TEST(arming_a_ring_that_is_half_full_says_do_not_sleep)
{
        ck_assert(ring_reader_arm(&reader));
        ck_assert_uint_eq(atomic_load(&reader.control->fill_mark), SIZE / 2);
        while (atomic_load(&writer.header->head) < SIZE / 2)
                writer_put(&writer, RECORD_FREE, 0, 0, 1, 0, 0);
        ck_assert(!ring_reader_arm(&reader));
}
END_TEST

/* ---- EventBatch ---- */

static int read_batch(const uint64_t *words, size_t n_words, size_t *offsetp) {
        static unsigned char bytes[1 + 8 * 1024];
        memcpy(bytes + 1, words, 8 * n_words); /* not aligned */
        *offsetp = 0;
        return batch_decoder_read(bytes + 1, 8 * n_words, 1000, &definitions, offsetp, events, EVENT_BATCH_MAX,
                                  &n_events);
}

START_TEST(batch_gives_its_records_with_their_positions)
{
        const uint64_t words[] = {record_header(RECORD_ALLOC, 0, 3, 0), 0x1000, 5, record_header(RECORD_FREE, 0, 3, 0),
                                  0x1000};
        size_t offset;
        ck_assert_int_eq(read_batch(words, 5, &offset), 0);
        ck_assert_uint_eq(n_events, 2);
        ck_assert_uint_eq(offset, 40);
        ck_assert_uint_eq(events[0].word[1], 5);
        ck_assert_uint_eq(events[1].position, 1024);
        ck_assert_uint_eq(events[1].domain, 3);
}
END_TEST

START_TEST(batch_with_a_cut_or_headless_record_is_malformed_there)
{
        const uint64_t cut[] = {record_header(RECORD_FREE, 0, 0, 0), 1, record_header(RECORD_ALLOC, 0, 0, 0), 1};
        const uint64_t headless[] = {5, 5};
        const uint64_t unknown[] = {record_header(31, 0, 0, 0), 5};
        size_t offset;
        ck_assert_int_eq(read_batch(cut, 4, &offset), BATCH_DECODER_E_MALFORMED);
        ck_assert_uint_eq(n_events, 1);
        ck_assert_uint_eq(offset, 16);
        ck_assert_int_eq(read_batch(headless, 2, &offset), BATCH_DECODER_E_MALFORMED);
        ck_assert_int_eq(read_batch(unknown, 2, &offset), BATCH_DECODER_E_MALFORMED);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ingest/ring_reader");
        TCase *tcase = check_case("ring_reader");
        tcase_add_checked_fixture(tcase, open_pair, close_pair);
        tcase_add_test(tcase, control_page_says_what_was_asked_and_cannot_be_written_by_others);
        tcase_add_test(tcase, records_arrive_in_order_with_their_words);
        tcase_add_test(tcase, reading_stops_at_the_limit_and_goes_on_behind_it);
        tcase_add_test(tcase, records_cross_the_end_and_laps_are_told_apart);
        tcase_add_test(tcase, header_of_an_earlier_lap_is_a_hole);
        tcase_add_test(tcase, hole_is_waited_for_and_read_when_it_is_filled);
        tcase_add_test(tcase, skipping_a_hole_finds_the_next_header_and_counts_what_may_be_missing);
        tcase_add_test(tcase, behind_a_hole_is_looked_the_more_rarely_the_more_there_is);
        tcase_add_test(tcase, hole_at_the_end_is_skipped_only_when_nobody_can_fill_it);
        tcase_add_test(tcase, record_in_a_page_that_is_not_there_is_a_hole);
        tcase_add_test(tcase, ring_of_holes_is_passed_and_stays_one);
        tcase_add_test(tcase, holes_between_pages_cost_no_more_than_the_pages);
        tcase_add_test(tcase, item_that_reaches_into_a_hole_is_unknown);
        tcase_add_test(tcase, unknown_type_is_malformed);
        tcase_add_test(tcase, payload_with_the_header_bit_is_malformed);
        tcase_add_test(tcase, record_that_ends_behind_the_head_is_malformed);
        tcase_add_test(tcase, node_that_was_not_handed_out_is_malformed);
        tcase_add_test(tcase, heads_that_cannot_be_are_seen);
        tcase_add_test(tcase, hostile_ring_headers_are_refused);
        tcase_add_test(tcase, descriptors_that_are_no_sealed_tmpfs_files_are_refused);
        tcase_add_test(tcase, hostile_definitions_headers_are_refused);
        tcase_add_test(tcase, nodes_and_items_that_cannot_be_are_unknown);
        tcase_add_test(tcase, code_objects_are_found_among_the_items);
        tcase_add_test(tcase, writers_that_wait_for_room_lose_nothing);
        tcase_add_test(tcase, arming_a_ring_that_is_half_full_says_do_not_sleep);
        tcase_add_test(tcase, batch_gives_its_records_with_their_positions);
        tcase_add_test(tcase, batch_with_a_cut_or_headless_record_is_malformed_there);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
