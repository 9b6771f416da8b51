/* SPDX-License-Identifier: Apache-2.0 */

/* Layouts, code objects and stacks of CPython, on synthetic memory laid out as each version lays it out. */

#include "agent/python_stack.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/python_objects.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CODES      12
#define OFFSETS    9
#define DEPTH      60
#define NODES      (UINT32_C(1) << 20)
#define ITEM_BYTES (UINT64_C(8) << 20)

static uint64_t seed;

static unsigned dice(unsigned n) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (unsigned)(seed >> 33) % n;
}

/* A stack of ours, its frames at the same addresses again and again, and the structures under test. */
struct world {
        struct python_layout layout;
        struct trie trie;
        struct definitions definitions;
        struct python_codes *codes;
        struct python_stack *stack;
        char *thread; /* whose state says whether there is a trace function */
        char *code[CODES];
        char *frames[DEPTH][2];                      /* two places for each depth */
        unsigned base, n, place[DEPTH], runs[DEPTH]; /* frames base to n - 1 are the stack */
        bool counts[DEPTH];
        uint64_t value[DEPTH]; /* what a node should say */
        uint32_t limit;
        unsigned n_untraced;                /* so often has a trace function gone; its lines do not come again */
        unsigned n_codes, n_offsets, depth; /* of those that there are: with few the same stacks come again and again */
};

static void world_rename(struct world *world, uint32_t limit) {
        struct python_names names = {&world->trie, &world->definitions, world->codes, limit};
        world->limit = limit;
        python_stack_rename(world->stack, &names);
}

static struct world *world_new(unsigned minor) {
        struct world *world = new_memory(sizeof *world);
        find_layout(minor, &world->layout);
        ck_assert_int_eq(trie_init(&world->trie), 0);
        definitions_init(&world->definitions, new_memory(definitions_bytes(NODES, ITEM_BYTES)), NODES, ITEM_BYTES);
        world->codes = python_codes_new(&world->definitions, &world->layout);
        world->stack = python_stack_new();
        world->thread = new_object();
        for (unsigned i = 0; i < CODES; i++)
                fill_code(&world->layout, world->code[i] = new_object());
        for (unsigned i = 0; i < DEPTH; i++)
                for (unsigned j = 0; j < 2; j++)
                        world->frames[i][j] = new_object();
        world_rename(world, 1);
        return world;
}

static char *frame_at(const struct world *world, unsigned i) {
        return world->frames[i][world->place[i]];
}

/* Frame @i of ours stands somewhere else in what it runs; sometimes before its first instruction. */
static void move(struct world *world, unsigned i) {
        const struct python_layout *layout = &world->layout;
        char *frame = frame_at(world, i), *code = world->code[world->runs[i]];
        int offset = 2 * (int)(OFFSETS - world->n_offsets + dice(world->n_offsets)) - 2;
        uint32_t line = (uint32_t)python_int((uintptr_t)code, layout->code_first_line);
        world->counts[i] = true;
        if (layout->frame_kind == PYTHON_FRAME_OBJECT) {
                bool traced = dice(5) == 0;
                /* whoever sets a trace function from outside sets the line, so no line means both */
                int32_t sees = traced ? 1000 + 3 * (int32_t)world->n_untraced + (int32_t)dice(3) : 7;

                put_int(frame, layout->frame_word, offset < 0 ? -1 : offset / (int)layout->instruction_unit);
                put_int(frame, layout->frame_word + 4, traced || !layout->trace_by_line ? sees : 0);
                put_word(frame, layout->frame_trace, traced);
                world->value[i] = traced       ? NODE_VALUE_LINE | (uint32_t)sees
                                  : offset < 0 ? NODE_VALUE_LINE | line
                                               : (uint64_t)offset + 1;
                return;
        }
        /* who owns a frame goes with what it runs */
        frame[layout->frame_owner] = world->runs[i] % 5 == 0                         ? PYTHON_OWNER_GENERATOR
                                     : world->runs[i] % 5 == 1 && layout->minor > 11 ? (layout->minor < 14 ? 3 : 4)
                                                                                     : 0;
        put_word(frame, layout->frame_word, (uintptr_t)code + layout->code_instructions + (uintptr_t)(intptr_t)offset);
        world->counts[i] = frame[layout->frame_owner] == PYTHON_OWNER_GENERATOR ||
                           (frame[layout->frame_owner] == 0 && offset >= 4);
        world->value[i] = offset < 0 ? NODE_VALUE_LINE | line : (uint64_t)offset + 1;
}

/* Frame @i of ours stays where it is, and its trace function goes: up to 3.9 the line that this has seen no longer
 * counts. */
static void untrace(struct world *world, unsigned i) {
        const struct python_layout *layout = &world->layout;
        uintptr_t frame = (uintptr_t)frame_at(world, i), code = (uintptr_t)world->code[world->runs[i]];
        int offset = python_int(frame, layout->frame_word) * (int)layout->instruction_unit;
        if (layout->frame_kind != PYTHON_FRAME_OBJECT || layout->trace_by_line)
                return;
        world->n_untraced++;
        put_word(frame_at(world, i), layout->frame_trace, 0);
        world->value[i] = offset < 0 ? NODE_VALUE_LINE | (uint32_t)python_int(code, layout->code_first_line)
                                     : (uint64_t)offset + 1;
}

static void hang(const struct world *world, unsigned i) {
        put_word(frame_at(world, i), world->layout.frame_previous,
                 i == 0 || i == world->base ? 0 : (uintptr_t)frame_at(world, i - 1));
}

/* Frame @i of ours has the code that it runs, from 3.14 on with a mark or without. */
static void put_code(const struct world *world, unsigned i) {
        put_word(frame_at(world, i), world->layout.frame_code,
                 (uintptr_t)world->code[world->runs[i]] | (world->layout.minor >= 14 ? dice(2) : 0));
}

static void push(struct world *world) {
        unsigned i = world->n++;
        world->place[i] = dice(4) == 0;
        world->runs[i] = dice(world->n_codes);
        put_code(world, i);
        hang(world, i);
        move(world, i);
}

/* The outer frames go, or come back: a generator's frame, say, that another calls now. */
static void rebase(struct world *world) {
        unsigned old = world->base;
        world->base = dice(2) ? 0 : dice(world->n);
        hang(world, old);
        hang(world, world->base);
}

/* A code object that no frame runs is freed, and its address becomes another. */
static void replace_code(struct world *world) {
        unsigned i = dice(world->n_codes);
        for (unsigned j = 0; j < world->n; j++)
                if (world->runs[j] == i)
                        return;
        python_codes_forget(world->codes, (uintptr_t)world->code[i]);
        python_stack_code_freed();
        fill_code(&world->layout, world->code[i]);
}

static void check_node(const struct world *world, uint32_t node, unsigned step) {
        const struct node_def *nodes = world->definitions.nodes;
        unsigned depth = 0, kept = 0;
        for (unsigned i = world->base; i < world->n; i++)
                depth += world->counts[i];
        if (depth == 0) {
                ck_assert_msg(node == 0, "3.%u, step %u: a node for no frame", world->layout.minor, step);
                return;
        }
        ck_assert_msg(node != 0, "3.%u, step %u: no node", world->layout.minor, step);
        if (depth > world->limit) {
                ck_assert_msg(nodes[node].unit == NODE_UNIT_DEPTH && nodes[node].value == depth, "3.%u, step %u: depth",
                              world->layout.minor, step);
                node = nodes[node].parent;
        }
        for (unsigned i = world->n; i-- > world->base && kept < world->limit;) {
                if (!world->counts[i])
                        continue;
                uint32_t number = python_codes_number(world->codes, (uintptr_t)world->code[world->runs[i]]);
                ck_assert_msg(node && nodes[node].unit == (NODE_UNIT_CODE | number) &&
                                      nodes[node].value == world->value[i],
                              "3.%u, step %u: frame %u of %u", world->layout.minor, step, i, world->n);
                node = nodes[node].parent;
                kept++;
        }
        ck_assert_msg(node == 0, "3.%u, step %u: too many frames", world->layout.minor, step);
}

/* Between two walks: mostly what programs do most, now and then anything. */
static void change(struct world *world) {
        for (unsigned n = dice(10) ? 1 : dice(12); n > 0; n--) {
                switch (dice(6)) {
                case 0:
                case 1:
                        if (world->n < world->depth)
                                push(world);
                        break;
                case 2:
                        if (world->n > world->base + 1)
                                world->n -= dice(8) ? 1 : 1 + dice(world->n - world->base - 1);
                        break;
                case 3:
                        if (dice(20) == 0)
                                replace_code(world);
                        if (dice(20) == 0)
                                rebase(world);
                        if (dice(4) == 0)
                                untrace(world, world->base + dice(world->n - world->base));
                        break;
                default:
                        move(world, world->n - 1);
                }
        }
        /* a frame moves on before it calls again */
        if (dice(2) == 0)
                move(world, world->n - 1);
}

static uint32_t world_node(struct world *world) {
        return python_stack_node(world->stack, &world->layout, (uintptr_t)world->thread,
                                 (uintptr_t)frame_at(world, world->n - 1));
}

static void play(unsigned minor, unsigned n_steps, bool few) {
        static const uint32_t limits[] = {1, 5, 25, 65535};
        struct world *world = world_new(minor);
        world->n_codes = few ? 2 : CODES;
        world->n_offsets = few ? 2 : OFFSETS;
        world->depth = few ? 4 : DEPTH;
        push(world);
        for (unsigned step = 0; step < n_steps; step++) {
                if (dice(500) == 0)
                        world_rename(world, limits[dice(4)]);
                if (dice(500) == 0)
                        world->stack->changing = 1; /* a longjmp out of a signal handler, at the worst moment */
                change(world);
                check_node(world, world_node(world), step);
        }
}

START_TEST(a_stack_is_named_as_it_is)
{
        const char *text = getenv("TEST_SEED");
        seed = text ? strtoull(text, NULL, 0) : 20261124;
        printf("seed %llu\n", (unsigned long long)seed);
        for (unsigned minor = 8; minor <= 14; minor++) {
                play(minor, 20000, false);
                play(minor, 20000, true);
        }
}
END_TEST

/* The frame outside of the innermost one has been called by sys.settrace(), and has a trace function now. */
static void see_by_trace(struct world *world) {
        unsigned i = world->n - 2;
        uintptr_t frame = (uintptr_t)frame_at(world, i);
        put_word(frame_at(world, i), world->layout.frame_trace, 1);
        world->value[i] = NODE_VALUE_LINE | (uint32_t)python_int(frame, world->layout.frame_word + 4);
}

/* A generator that is closed while a trace function is on: it stands still while that is called, before it has one and
 * after. */
START_TEST(frame_that_gets_a_trace_function_where_it_stands_is_named_anew)
{
        seed = 11;
        for (unsigned minor = 8; minor <= 9; minor++) {
                struct world *world = world_new(minor);
                world_rename(world, 5);
                world->n_codes = CODES;
                world->n_offsets = OFFSETS;
                for (unsigned i = 0; i < 3; i++) {
                        do {
                                world->n = i;
                                push(world);
                        } while (python_word((uintptr_t)frame_at(world, i), world->layout.frame_trace));
                }
                check_node(world, world_node(world), 0);
                put_word(world->thread, PYTHON_THREAD_TRACE, 1);
                check_node(world, world_node(world), 1);
                see_by_trace(world);
                check_node(world, world_node(world), 2);
                untrace(world, 1);
                check_node(world, world_node(world), 3);
                put_word(world->thread, PYTHON_THREAD_TRACE, 0);
                check_node(world, world_node(world), 4);
        }
}
END_TEST

static void push_code(struct world *world, unsigned code) {
        unsigned i = world->n;
        push(world);
        world->runs[i] = code;
        put_code(world, i);
        move(world, i);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose own instructions would be most of them */
static sigjmp_buf way_out;
static volatile long steps_left;

static void on_step(int number) {
        if (--steps_left < 0)
                siglongjmp(way_out, 1);
}

/* Walks; after so many instructions a signal handler leaves. Return: whether it came to that. */
static __attribute__((noinline)) bool walk_is_left(struct world *world, long steps) {
        struct sigaction action = {.sa_handler = on_step};
        sigaction(SIGTRAP, &action, NULL);
        if (sigsetjmp(way_out, 1))
                return true;
        steps_left = steps;
        /* each instruction from here on is a step */
        __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
        world_node(world);
        __asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
        return false;
}

static void leave_walks(unsigned minor, unsigned n_walks) {
        struct world *world = world_new(minor);
        unsigned n_left = 0;
        world->n_codes = CODES;
        world->n_offsets = OFFSETS;
        world->depth = DEPTH;
        push(world);
        for (unsigned step = 0; step < n_walks; step++) {
                if (dice(3) == 0)
                        world_rename(world, 1 + dice(20));
                for (unsigned n = dice(10); n > 0; n--)
                        change(world);
                n_left += walk_is_left(world, dice(dice(3) ? 200 : 2000));
                for (unsigned n = 0; n < 3; n++) {
                        check_node(world, world_node(world), step);
                        change(world);
                }
        }
        ck_assert_uint_gt(n_left, n_walks / 4);
}

START_TEST(walk_that_a_signal_handler_leaves_anywhere_is_not_believed)
{
        seed = 20261130;
        for (unsigned minor = 8; minor <= 12; minor++)
                leave_walks(minor, 40);
}
END_TEST

/* The arrays grow, and the old ones go. */
START_TEST(walk_that_a_signal_handler_leaves_as_it_makes_room_leaves_none_that_is_gone)
{
        struct world *world = world_new(11);
        unsigned n_left = 0;
        seed = 1;
        world->n_codes = world->n_offsets = 1;
        for (long steps = 0; steps < 160; steps++) {
                world->n = 0;
                push_code(world, 2);
                push_code(world, 2);
                check_node(world, world_node(world), 0);
                world->stack->capacity = 2; /* as if there were room for no more */
                push_code(world, 2);
                n_left += walk_is_left(world, steps);
                check_node(world, world_node(world), (unsigned)steps);
        }
        ck_assert_uint_gt(n_left, 100);
}
END_TEST
#endif

/* A frame was outermost, and named; now another calls it, for which there is no room. Twice: the second walk remembers.
 */
START_TEST(without_room_for_a_caller_there_is_no_name)
{
        seed = 0; /* no frame of these has a trace function */
        for (unsigned minor = 8; minor <= 12; minor++) {
                struct world *world = world_new(minor);
                definitions_init(&world->definitions, new_memory(definitions_bytes(2, ITEM_BYTES)), 2, ITEM_BYTES);
                world_rename(world, 25);
                world->n_offsets = world->n_codes = 1;
                push_code(world, 0);
                ck_assert_uint_ne(world_node(world), 0);
                world->n = 0;
                push_code(world, 5);
                push_code(world, 0);
                ck_assert_uint_eq(world_node(world), 0);
                ck_assert_uint_eq(world_node(world), 0);
                world->n = 0;
                push_code(world, 0);
                ck_assert_uint_ne(world_node(world), 0);
        }
}
END_TEST

START_TEST(a_version_that_nobody_knows_has_no_layout)
{
        struct python_layout layout;
        ck_assert_int_eq(python_layout_find(0x02070000, NULL, &layout), PYTHON_LAYOUT_E_VERSION);
        ck_assert_int_eq(python_layout_find(0x03070000, NULL, &layout), PYTHON_LAYOUT_E_VERSION);
        ck_assert_int_eq(python_layout_find(0x030f0000, NULL, &layout), PYTHON_LAYOUT_E_VERSION);
        ck_assert_int_eq(python_layout_find(0x04080000, NULL, &layout), PYTHON_LAYOUT_E_VERSION);
        ck_assert_int_eq(python_layout_find(0x03080000, NULL, &layout), 0);
        ck_assert_uint_eq(layout.minor, 8);
}
END_TEST

START_TEST(offsets_that_an_interpreter_tells_are_read_and_doubted)
{
        static const struct { unsigned minor, owner, instructions; } versions[] = {{13, 70, 200}, {14, 74, 208}};
        const uint32_t version = 3 << 24 | versions[_i].minor << 16 | 0xa00;
        struct python_layout layout;
        uint64_t words[64], *code = debug_offsets(words, versions[_i].minor);
        ck_assert_int_eq(python_layout_find(version, words, &layout), 0);
        ck_assert_uint_eq(layout.minor, versions[_i].minor);
        ck_assert_uint_eq(layout.thread_frame, 72);
        ck_assert_uint_eq(layout.frame_previous, 8);
        ck_assert_uint_eq(layout.frame_word, 56);
        ck_assert_uint_eq(layout.frame_owner, versions[_i].owner);
        ck_assert_uint_eq(layout.frame_globals, 24);
        ck_assert_uint_eq(layout.code_filename, 112);
        ck_assert_uint_eq(layout.code_name, 128);
        ck_assert_uint_eq(layout.code_table, 136);
        ck_assert_uint_eq(layout.code_first_line, 68);
        ck_assert_uint_eq(layout.code_instructions, versions[_i].instructions);
        ck_assert_uint_eq(layout.code_first_traceable, versions[_i].instructions - 16);
        ck_assert_int_eq(python_layout_find(version, NULL, &layout), PYTHON_LAYOUT_E_OFFSETS);
        words[2] = 1;
        ck_assert_int_eq(python_layout_find(version, words, &layout), PYTHON_LAYOUT_E_FREE_THREADED);
        words[2] = 0;
        words[1] ^= 3 << 16; /* the other's */
        ck_assert_int_eq(python_layout_find(version, words, &layout), PYTHON_LAYOUT_E_OFFSETS);
        words[1] ^= 3 << 16;
        code[4] = UINT64_C(1) << 40;
        ck_assert_int_eq(python_layout_find(version, words, &layout), PYTHON_LAYOUT_E_OFFSETS);
        code[4] = 136;
        words[0] ^= 1;
        ck_assert_int_eq(python_layout_find(version, words, &layout), PYTHON_LAYOUT_E_OFFSETS);
}
END_TEST

/* The only frame stands at instruction @at; Return: its name. */
static uint32_t walk_at(const struct world *world, int32_t at) {
        put_int(frame_at(world, 0), world->layout.frame_word, at);
        return python_stack_node(world->stack, &world->layout, (uintptr_t)world->thread, (uintptr_t)frame_at(world, 0));
}

static uint32_t look_up_at(const struct world *world, int32_t at) {
        put_int(frame_at(world, 0), world->layout.frame_word, at);
        return python_stack_look_up(world->stack, &world->layout, (uintptr_t)world->thread,
                                    (uintptr_t)frame_at(world, 0));
}

static const struct python_stack_name *pair_at(const struct world *world, int32_t at) {
        put_int(frame_at(world, 0), world->layout.frame_word, at);
        return python_stack_name_pair(world->stack,
                                      python_word((uintptr_t)frame_at(world, 0), world->layout.frame_word), 0);
}

START_TEST(names_with_the_same_place_are_both_looked_up)
{
        struct world *world = world_new(8);
        int32_t other = 2;
        world->n_codes = world->n_offsets = 1;
        push(world);
        while (pair_at(world, other) != pair_at(world, 0))
                other += 2;
        uint32_t first = walk_at(world, 0);
        uint32_t second = walk_at(world, other);
        ck_assert_uint_ne(first, 0);
        ck_assert_uint_ne(second, first);
        for (int i = 0; i < 3; i++) {
                ck_assert_uint_eq(look_up_at(world, 0), first);
                ck_assert_uint_eq(look_up_at(world, other), second);
        }
}
END_TEST

/* What says the same has one number; what comes to its address has another. */
START_TEST(code_is_known_by_what_it_says)
{
        struct world *world = world_new(11);
        char *code = world->code[0], *twin = new_object();
        uint32_t number = python_codes_number(world->codes, (uintptr_t)code);
        memcpy(twin, code, 512);
        ck_assert_uint_ne(number, PYTHON_CODE_UNKNOWN);
        ck_assert_uint_eq(python_codes_number(world->codes, (uintptr_t)twin), number);
        ck_assert_uint_ne(python_codes_number(world->codes, (uintptr_t)world->code[1]), number);
        python_codes_forget(world->codes, (uintptr_t)code);
        fill_code(&world->layout, code);
        ck_assert_uint_ne(python_codes_number(world->codes, (uintptr_t)code), number);
        ck_assert_uint_eq(python_codes_number(world->codes, (uintptr_t)twin), number);
}
END_TEST

/* More than are mapped at once. */
static void number_many(struct world *world, uint32_t n) {
        char *code = new_object();
        for (uint32_t i = 1; i <= n; i++) {
                fill_code(&world->layout, code);
                if (python_codes_number(world->codes, (uintptr_t)code) != i)
                        ck_abort_msg("number %u", i);
                python_codes_forget(world->codes, (uintptr_t)code);
        }
}

START_TEST(child_of_a_fork_has_its_parents_codes_however_many)
{
        struct world *parent = world_new(11), *child = world_new(11);
        char *last = new_object();
        const uint32_t n = 2 * PYTHON_CODES_PAGE + 10;
        number_many(parent, n - 1);
        fill_code(&parent->layout, last);
        ck_assert_uint_eq(python_codes_number(parent->codes, (uintptr_t)last), n);
        python_codes_inherit(child->codes, parent->codes);
        ck_assert_uint_eq(python_codes_number(child->codes, (uintptr_t)last), n);
        fill_code(&parent->layout, last);
        python_codes_forget(child->codes, (uintptr_t)last);
        ck_assert_uint_eq(python_codes_number(child->codes, (uintptr_t)last), n + 1);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* proc(5), statm */
static uint64_t mapped_bytes(void) {
        unsigned long pages = 0;
        FILE *statm = fopen("/proc/self/statm", "r");
        ck_assert_ptr_nonnull(statm);
        ck_assert_int_eq(fscanf(statm, "%lu", &pages), 1);
        fclose(statm);
        return (uint64_t)pages * 4096;
}

static void limit_address_space(rlim_t bytes) {
        struct rlimit limit = {bytes, RLIM_INFINITY};
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

START_TEST(codes_take_address_space_as_they_come_and_where_there_is_none_are_unknown)
{
        struct world *world = world_new(11);
        char *code = new_object();
        uint64_t before = mapped_bytes();
        ck_assert_ptr_nonnull(python_codes_new(&world->definitions, &world->layout));
        ck_assert_uint_lt(mapped_bytes() - before, 1 << 20);
        number_many(world, PYTHON_CODES_PAGE - 1);
        fill_code(&world->layout, code);
        limit_address_space(mapped_bytes());
        ck_assert_uint_eq(python_codes_number(world->codes, (uintptr_t)code), PYTHON_CODE_UNKNOWN);
        limit_address_space(RLIM_INFINITY);
        ck_assert_uint_eq(python_codes_number(world->codes, (uintptr_t)code), PYTHON_CODES_PAGE + 1);
}
END_TEST
#endif

int main(void) {
        Suite *suite = suite_create("python_stack");
        TCase *tcase = check_case("python_stack");
        tcase_add_test(tcase, a_stack_is_named_as_it_is);
        tcase_add_test(tcase, frame_that_gets_a_trace_function_where_it_stands_is_named_anew);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        tcase_add_test(tcase, walk_that_a_signal_handler_leaves_anywhere_is_not_believed);
        tcase_add_test(tcase, walk_that_a_signal_handler_leaves_as_it_makes_room_leaves_none_that_is_gone);
#endif
        tcase_add_test(tcase, without_room_for_a_caller_there_is_no_name);
        tcase_add_test(tcase, a_version_that_nobody_knows_has_no_layout);
        tcase_add_loop_test(tcase, offsets_that_an_interpreter_tells_are_read_and_doubted, 0, 2);
        tcase_add_test(tcase, names_with_the_same_place_are_both_looked_up);
        tcase_add_test(tcase, code_is_known_by_what_it_says);
        tcase_add_test(tcase, child_of_a_fork_has_its_parents_codes_however_many);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        tcase_add_test(tcase, codes_take_address_space_as_they_come_and_where_there_is_none_are_unknown);
#endif
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
