/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/pickle_reader.h"
#include "tests/support/check_main.h"
#include "tests/unit/query/pickle_bytes.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pickle_reader *reader;

static void forget(void) {
        reader = pickle_reader_free(reader);
}

static int read_pieces(const void *bytes, size_t length, size_t piece, uint64_t memory_max,
                       struct snapshot **snapshotp) {
        int r;
        forget();
        ck_assert_int_eq(pickle_reader_new(memory_max, &reader), 0);
        for (size_t at = 0; at < length; at += piece) {
                r = pickle_reader_feed(reader, (const char *)bytes + at, piece < length - at ? piece : length - at);
                if (r != 0)
                        return r;
        }
        return pickle_reader_finish(reader, snapshotp);
}

static struct snapshot *accept(const void *bytes, size_t length) {
        struct snapshot *snapshot = NULL;
        int r = read_pieces(bytes, length, length, PICKLE_MEMORY_MAX, &snapshot);
        ck_assert_msg(r == 0, "%s", pickle_reader_message(reader));
        return snapshot;
}

static void refuse(const void *bytes, size_t length, const char *message) {
        struct snapshot *snapshot;
        ck_assert_int_eq(read_pieces(bytes, length, length, PICKLE_MEMORY_MAX, &snapshot), PICKLE_E_REFUSED);
        ck_assert_str_eq(pickle_reader_message(reader), message);
}

#define ACCEPT(literal)          accept(literal, sizeof(literal) - 1)
#define REFUSE(literal, message) refuse(literal, sizeof(literal) - 1, message)

static const struct snapshot_location *location_of(const struct snapshot *s, uint32_t node) {
        return &s->locations[s->nodes[node].location];
}

static void check_filename(const struct snapshot *s, uint32_t node, const char *name, size_t length) {
        const struct snapshot_string *string = &s->strings[location_of(s, node)->filename];
        ck_assert_uint_eq(string->length, length);
        ck_assert_mem_eq(string->bytes, name, length);
}

/* ---- what is kept ---- */

START_TEST(one_block_is_read)
{
        struct snapshot *s = ACCEPT(PICKLE_ONE(PICKLE_TRACE));
        ck_assert_uint_eq(s->info.kind, SNAPSHOT_IMPORT);
        ck_assert_uint_eq(s->info.traceback_limit, 5);
        ck_assert_uint_eq(s->info.size, 10);
        ck_assert_uint_eq(s->info.count, 1);
        ck_assert(s->info.exact && s->info.sizes_known && !s->info.allocated_known);
        ck_assert_uint_eq(s->n_groups, 1);
        ck_assert_uint_eq(s->groups[0].domain, 0);
        ck_assert_uint_eq(s->groups[0].total_nframe, 1);
        ck_assert_uint_eq(s->n_sizes, 1);
        ck_assert_uint_eq(s->sizes[0].size, 10);
        check_filename(s, s->groups[0].node, "a.py", 4);
        ck_assert_uint_eq(location_of(s, s->groups[0].node)->kind, LOCATION_SOURCE);
        ck_assert_uint_eq(location_of(s, s->groups[0].node)->lineno, 1);
        ck_assert_uint_eq(location_of(s, s->groups[0].node)->function, SNAPSHOT_NONE);
        ck_assert_str_eq(pickle_reader_foreign(reader), "");
        snapshot_unref(s);
}
END_TEST

START_TEST(nothing_but_what_traces_need_is_kept)
{
        struct snapshot *s = ACCEPT(PICKLE_ONE(PICKLE_TRACE));
        ck_assert_uint_eq(s->n_strings, 1);
        ck_assert_uint_eq(s->n_locations, 1);
        ck_assert_uint_eq(s->n_nodes, 2);
        snapshot_unref(s);
        s = ACCEPT(PICKLE_PROTO_4 PICKLE_HEAD "sb\x8c\x0ftraceback_limit\x94K\x05\x8c\x01x" PICKLE_TRACE "ub.");
        ck_assert_uint_eq(s->n_strings, 0);
        ck_assert_uint_eq(s->n_nodes, 1);
        ck_assert_str_eq(pickle_reader_foreign(reader), "x");
        snapshot_unref(s);
}
END_TEST

START_TEST(the_oldest_frame_is_the_root)
{
        struct snapshot *s = ACCEPT(PICKLE_ONE("(K\x00K\x0a\x8c\x03new\x94K\x01\x86\x94\x8c\x03old\x94K\x02\x86\x94"
                                               "\x86\x94K\x07t\x94"));
        uint32_t node = s->groups[0].node;
        check_filename(s, node, "new", 3);
        check_filename(s, s->nodes[node].parent, "old", 3);
        ck_assert_uint_eq(s->nodes[s->nodes[node].parent].parent, 0);
        ck_assert_uint_eq(s->groups[0].total_nframe, 7);
        snapshot_unref(s);
}
END_TEST

START_TEST(tuples_of_three_do_not_know_total_nframe)
{
        struct snapshot *s = ACCEPT(PICKLE_ONE("K\x00K\x0a" PICKLE_FRAMES "\x87\x94"));
        ck_assert_uint_eq(s->groups[0].total_nframe, SNAPSHOT_TOTAL_NFRAME_UNKNOWN);
        snapshot_unref(s);
        s = ACCEPT(PICKLE_ONE("(K\x00K\x0a" PICKLE_FRAMES "Nt\x94"));
        ck_assert_uint_eq(s->groups[0].total_nframe, SNAPSHOT_TOTAL_NFRAME_UNKNOWN);
        snapshot_unref(s);
}
END_TEST

START_TEST(equal_blocks_are_counted)
{
        /* the same tuple again by memo and by DUP, an equal one, and one of another size */
        struct snapshot *s = ACCEPT(PICKLE_PROTO_4 PICKLE_HEAD "(" PICKLE_TRACE "h\x0f"
                                                               "2(K\x00K\x0ah\x0eK\x01t\x94"
                                                               "(K\x00K\x0bh\x0eK\x01t\x94"
                                                               "e" PICKLE_TAIL);

        ck_assert_uint_eq(s->n_groups, 1);
        ck_assert_uint_eq(s->n_sizes, 2);
        ck_assert_uint_eq(s->sizes[0].count, 4);
        ck_assert_uint_eq(s->sizes[1].size, 11);
        ck_assert_uint_eq(s->info.size, 51);
        snapshot_unref(s);
}
END_TEST

START_TEST(numbers_have_all_their_forms)
{
        struct snapshot *s =
                ACCEPT(PICKLE_ONE("(J\x04\x03\x02\x01\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
                                  "\x8c\x00\x94\x8a\x05\xff\xff\xff\xff\x00\x86\x94\x85\x94M\x02\x01t\x94"));
        ck_assert_uint_eq(s->groups[0].domain, 0x01020304);
        ck_assert_uint_eq(s->info.size, INT64_MAX);
        ck_assert_uint_eq(location_of(s, s->groups[0].node)->lineno, UINT32_MAX);
        ck_assert_uint_eq(s->groups[0].total_nframe, 0x0102);
        check_filename(s, s->groups[0].node, "", 0);
        snapshot_unref(s);
        s = ACCEPT(PICKLE_ONE("(\x8a\x00\x8a\x0c\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" PICKLE_FRAMES
                              "K\x01t\x94"));
        ck_assert_uint_eq(s->info.size, 5); /* with more zeros than Python writes */
        snapshot_unref(s);
}
END_TEST

START_TEST(names_become_bytes)
{
        struct snapshot *s = ACCEPT(PICKLE_ONE("(K\x00K\x0a\x8c\x04"
                                               "\xed\xb3\xa9"
                                               "x\x94K\x01\x86\x94\x85\x94K\x01t\x94"));
        check_filename(s, s->groups[0].node, "\xe9x", 2);
        snapshot_unref(s);
}
END_TEST

START_TEST(an_empty_snapshot_is_one)
{
        struct snapshot *s = ACCEPT(PICKLE_PROTO_4 PICKLE_HEAD PICKLE_TAIL);
        ck_assert_uint_eq(s->n_groups, 0);
        ck_assert_uint_eq(s->info.count, 0);
        snapshot_unref(s);
}
END_TEST

START_TEST(info_of_the_caller_is_kept)
{
        static const char bytes[] = PICKLE_ONE(PICKLE_TRACE);
        struct snapshot *s;
        forget();
        ck_assert_int_eq(pickle_reader_new(PICKLE_MEMORY_MAX, &reader), 0);
        pickle_reader_info(reader)->uid = 1000;
        pickle_reader_info(reader)->label = strdup("label");
        ck_assert_int_eq(pickle_reader_feed(reader, bytes, sizeof bytes - 1), 0);
        ck_assert_int_eq(pickle_reader_finish(reader, &s), 0);
        ck_assert_uint_eq(s->info.uid, 1000);
        ck_assert_str_eq(s->info.label, "label");
        snapshot_unref(s);
}
END_TEST

START_TEST(foreign_attributes_are_named)
{
        snapshot_unref(ACCEPT(PICKLE_PROTO_4 PICKLE_HEAD "sb\x8c\x01"
                                                         "a\x88\x8c\x03"
                                                         "b\nc\x89\x8c\x0ftraceback_limit\x94K\x05ub."));
        ck_assert_str_eq(pickle_reader_foreign(reader), "a and b?c");
        snapshot_unref(ACCEPT(PICKLE_PROTO_4 PICKLE_HEAD "sb\x8c\x01"
                                                         "aC\x02xx\x8c\x01"
                                                         "b\x8f(K\x01\x90\x8c\x01"
                                                         "c(K\x01"
                                                         "\x91\x8c\x01"
                                                         "dG12345678\x8c\x0ftraceback_limit\x94K\x05ub."));
        ck_assert_str_eq(pickle_reader_foreign(reader), "a, b, c and 1 more");
}
END_TEST

START_TEST(pieces_do_not_matter)
{
        static const char good[] = PICKLE_ONE(PICKLE_TRACE);
        static const char skipped[] =
                PICKLE_PROTO_4 PICKLE_HEAD "sb\x8c\x01"
                                           "aC\x20"
                                           "0123456789012345678901234567890.\x8c\x0ftraceback_limit"
                                           "\x94K\x05ub.";
        for (size_t piece = 1; piece < sizeof good; piece++) {
                struct snapshot *s;
                ck_assert_int_eq(read_pieces(good, sizeof good - 1, piece, PICKLE_MEMORY_MAX, &s), 0);
                ck_assert_uint_eq(s->info.size, 10);
                snapshot_unref(s);
                ck_assert_int_eq(read_pieces(skipped, sizeof skipped - 1, piece, PICKLE_MEMORY_MAX, &s), 0);
                snapshot_unref(s);
        }
}
END_TEST

/* ---- what is refused ---- */

START_TEST(a_cut_file_ends_too_early)
{
        static const char good[] = PICKLE_ONE(PICKLE_TRACE);
        for (size_t length = 0; length < sizeof good - 1; length++) {
                char message[80];
                snprintf(message, sizeof message, "byte %zu: the file ends before the pickle does", length);
                refuse(good, length, message);
        }
}
END_TEST

START_TEST(only_protocols_4_and_5)
{
        snapshot_unref(ACCEPT("\x80\x05" PICKLE_HEAD PICKLE_TAIL));
        REFUSE("\x80\x03", "byte 0: pickle protocol 3; Snapshot.dump() writes 4 or 5");
        REFUSE("\x80\x06", "byte 0: pickle protocol 6; Snapshot.dump() writes 4 or 5");
        REFUSE("ccollections", "byte 0: no pickle of tracemalloc: it does not begin with a protocol");
        REFUSE("\x80\x04\x80\x04", "byte 2: a second beginning of a pickle");
}
END_TEST

START_TEST(nothing_is_looked_up_or_called)
{
        REFUSE("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
               "byte 14: the class 'os.system', which is none of a tracemalloc snapshot");
        REFUSE("\x80\x04\x8c\x0btracemalloc\x8c\x05start\x93",
               "byte 22: the class 'tracemalloc.start', which is none of a tracemalloc snapshot");
        REFUSE("\x80\x04K\x01K\x02\x93", "byte 6: a class without a name");
        REFUSE("\x80\x04R", "byte 2: opcode 0x52, which tracemalloc does not write");
        REFUSE("\x80\x04"
               "cos\nsystem\n",
               "byte 2: opcode 0x63, which tracemalloc does not write");
        REFUSE("\x80\x04\x8c\x0btracemalloc\x8c\x08Snapshot\x93K\x01\x85\x81",
               "byte 29: an object that is not made as tracemalloc's are");
        REFUSE("\x80\x04)}b", "byte 4: attributes that are not set as those of tracemalloc's objects are");
}
END_TEST

START_TEST(the_stack_has_a_floor)
{
        REFUSE("\x80\x04\x94", "byte 2: an opcode that takes 1 value where there are fewer");
        REFUSE("\x80\x04)\x86", "byte 3: an opcode that takes 2 values where there are fewer");
        REFUSE("\x80\x04)(\x85", "byte 4: an opcode that takes 1 value where there are fewer");
        REFUSE("\x80\x04t", "byte 2: an opcode that takes values from a mark on, where there is no mark");
        REFUSE("\x80\x04(e", "byte 3: an opcode that takes 1 value where there are fewer");
        REFUSE("\x80\x04)(e", "byte 4: items for a list, where there is no list");
        REFUSE("\x80\x04}K\x01s", "byte 5: an opcode that takes 3 values where there are fewer");
        REFUSE("\x80\x04}(K\x01u", "byte 6: an item of a dictionary without its value");
        REFUSE("\x80\x04](K\x01\x90", "byte 6: items for a set, where there is none");
        REFUSE("\x80\x04K\x01\x94", "byte 4: a number in the memo, where Python puts none");
        REFUSE("\x80\x04)\x94h\x01", "byte 4: entry 1 of a memo that has 1");
        REFUSE("\x80\x04j\xff\xff\xff\xff", "byte 2: entry 4294967295 of a memo that has 0");
        REFUSE("\x80\x04.", "byte 2: the pickle ends in the middle of something");
        REFUSE("\x80\x04)).", "byte 4: the pickle ends in the middle of something");
        REFUSE("\x80\x04)(.", "byte 4: the pickle ends in the middle of something");
}
END_TEST

START_TEST(other_values_are_no_snapshot)
{
        REFUSE("\x80\x04).", "byte 2: no tracemalloc.Snapshot");
        REFUSE("\x80\x04K\x01.", "byte 5: no tracemalloc.Snapshot");
        REFUSE("\x80\x04(t.", "byte 3: no tracemalloc.Snapshot");
        REFUSE("\x80\x04\x8c\x0btracemalloc\x8c\x07_Traces\x93)\x81.", "byte 26: no tracemalloc.Snapshot");
        REFUSE("\x80\x04\x8c\x0btracemalloc\x8c\x08Snapshot\x93)\x81.", "byte 27: an object without attributes");
        REFUSE("\x80\x04\x8c\x0btracemalloc\x8c\x08Snapshot\x93)\x81}b.",
               "byte 27: a Snapshot without traces or without traceback_limit");
        REFUSE(PICKLE_PROTO_4 PICKLE_HEAD "sb\x8c\x0ftraceback_limitNub.",
               "byte 94: a traceback_limit that is no number from 0 to 4294967295");
        REFUSE(PICKLE_ONE(PICKLE_TRACE) ".", "byte 123: bytes behind the end of the pickle");
}
END_TEST

START_TEST(traces_that_are_none_are_refused)
{
        REFUSE(PICKLE_ONE("K\x01"), "byte 77: no trace: one is a tuple of domain, size, frames and total_nframe");
        REFUSE(PICKLE_ONE(")"), "byte 75: no trace: one is a tuple of domain, size, frames and total_nframe");
        REFUSE(PICKLE_ONE("K\x01\x85"), "byte 77: a tuple that is no frame, traceback or trace");
        REFUSE(PICKLE_ONE("G12345678"), "byte 75: a value of a type that traces do not have");
        REFUSE(PICKLE_ONE("(K\x00J\xff\xff\xff\xff" PICKLE_FRAMES "K\x01t"), "byte 78: a number below 0");
        REFUSE(PICKLE_ONE("(K\x00\x8a\x01\x80" PICKLE_FRAMES "K\x01t"), "byte 78: a number below 0");
        REFUSE(PICKLE_ONE("(K\x00K\x01\x8c\x01xJ\xff\xff\xff\xff\x86\x85K\x01t"), "byte 83: a number below 0");
        REFUSE(PICKLE_ONE("(K\x00\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01" PICKLE_FRAMES "K\x01t"),
               "byte 78: a number of more than 64 bits");
        REFUSE(PICKLE_ONE("(K\x00\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00" PICKLE_FRAMES "K\x01t"),
               "byte 104: a size above 9223372036854775807");
        REFUSE(PICKLE_ONE("(\x8a\x05\x00\x00\x00\x00\x01K\x00" PICKLE_FRAMES "K\x01t"),
               "byte 100: a domain above 4294967295");
        REFUSE(PICKLE_ONE("(K\x00K\x01\x8c\x01x\x8a\x05\x00\x00\x00\x00\x01\x86\x85K\x01t"),
               "byte 90: a line number above 4294967295");
        REFUSE(PICKLE_ONE("(K\x00K\x01" PICKLE_FRAMES "\x8a\x05\xff\xff\xff\xff\x00t"),
               "byte 100: a total_nframe above 4294967294");
        REFUSE(PICKLE_ONE("(K\x00K\x01)K\x01t"), "byte 83: a traceback without frames");
}
END_TEST

START_TEST(sizes_together_fit_63_bits)
{
        REFUSE(PICKLE_PROTO_4 PICKLE_HEAD "((K\x00\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40" PICKLE_FRAMES
                                          "K\x01t2e" PICKLE_TAIL,
               "byte 132: sizes that add up to more than 9223372036854775807");
}
END_TEST

START_TEST(text_is_utf8)
{
        REFUSE("\x80\x04\x8c\x01\xff", "byte 2: text that is not UTF-8");
        REFUSE("\x80\x04\x8c\x02\xc0\x80", "byte 2: text that is not UTF-8");
        REFUSE("\x80\x04\x8c\x04\xf4\x90\x80\x80", "byte 2: text that is not UTF-8");
        REFUSE("\x80\x04\x8c\x02\xe2\x82", "byte 2: text that is not UTF-8");
}
END_TEST

START_TEST(lengths_claim_no_memory)
{
        REFUSE("\x80\x04X\xff\xff\xff\xff", "byte 2: a text of 4294967295 bytes; 1048576 is the bound");
        REFUSE("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
               "byte 2: a text of 18446744073709551615 bytes; 1048576 is the bound");
        REFUSE("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "byte 12: the file ends before the pickle does");
}
END_TEST

START_TEST(depth_is_bounded)
{
        char bytes[2 + 257] = "\x80\x04";
        memset(bytes + 2, '(', 257);
        refuse(bytes, sizeof bytes, "byte 258: values nested more than 256 deep");
}
END_TEST

/* Which has a reason of its own: these 16 MiB are far from the bound of memory. */
START_TEST(values_that_wait_are_bounded)
{
        size_t n = (1 << 20) + 1, length = 3 + 2 * n;
        char *bytes = malloc(length);
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, "\x80\x04(", 3);
        for (size_t i = 0; i < n; i++)
                memcpy(bytes + 3 + 2 * i, "K\x01", 2);
        refuse(bytes, length, "byte 2097155: more than 1048576 values that no opcode has taken yet");
        free(bytes);
}
END_TEST

/* Each of these costs memory by the byte, the snapshot at the end too. */
START_TEST(memory_is_bounded)
{
        static const char *const repeated[] = {")", "]", "}", "\x94", "\x8c\x01x", "2"};
        char bytes[4096] = "\x80\x04]\x94";
        struct snapshot *s;
        for (size_t i = 0; i < sizeof repeated / sizeof repeated[0]; i++) {
                size_t length = strlen(repeated[i]);
                for (size_t at = 4; at + length <= sizeof bytes; at += length)
                        memcpy(bytes + at, repeated[i], length);
                ck_assert_int_eq(read_pieces(bytes, sizeof bytes - 8, sizeof bytes, 4096, &s), PICKLE_E_REFUSED);
                ck_assert_ptr_nonnull(strstr(pickle_reader_message(reader), "more than the 0 MiB of memory"));
                ck_assert_int_eq(read_pieces(bytes, sizeof bytes - 8, sizeof bytes, 1 << 20, &s), PICKLE_E_REFUSED);
                ck_assert_ptr_null(strstr(pickle_reader_message(reader), "memory"));
        }
}
END_TEST

START_TEST(the_snapshot_counts_too)
{
        static const char bytes[] = PICKLE_ONE(PICKLE_TRACE);
        uint64_t enough = 1;
        struct snapshot *s = NULL;
        bool refused_at_the_end = false;
        for (; read_pieces(bytes, sizeof bytes - 1, sizeof bytes, enough, &s) != 0; enough += 8)
                refused_at_the_end |= pickle_reader_feed(reader, "", 0) == PICKLE_E_REFUSED;
        ck_assert(refused_at_the_end);
        ck_assert_uint_gt(enough, sizeof bytes);
        snapshot_unref(s);
}
END_TEST

START_TEST(after_a_refusal_nothing_is_read)
{
        struct snapshot *s;
        REFUSE("\x80\x04R", "byte 2: opcode 0x52, which tracemalloc does not write");
        ck_assert_int_eq(pickle_reader_feed(reader, ".", 1), PICKLE_E_REFUSED);
        ck_assert_int_eq(pickle_reader_finish(reader, &s), PICKLE_E_REFUSED);
        ck_assert_str_eq(pickle_reader_message(reader), "byte 2: opcode 0x52, which tracemalloc does not write");
        ck_assert_ptr_null(pickle_reader_free(NULL));
}
END_TEST

CHECK_MAIN("pickle_reader", one_block_is_read, nothing_but_what_traces_need_is_kept, the_oldest_frame_is_the_root,
           tuples_of_three_do_not_know_total_nframe, equal_blocks_are_counted, numbers_have_all_their_forms,
           names_become_bytes, an_empty_snapshot_is_one, info_of_the_caller_is_kept, foreign_attributes_are_named,
           pieces_do_not_matter, a_cut_file_ends_too_early, only_protocols_4_and_5, nothing_is_looked_up_or_called,
           the_stack_has_a_floor, other_values_are_no_snapshot, traces_that_are_none_are_refused,
           sizes_together_fit_63_bits, text_is_utf8, lengths_claim_no_memory, depth_is_bounded,
           values_that_wait_are_bounded, memory_is_bounded, the_snapshot_counts_too, after_a_refusal_nothing_is_read)
