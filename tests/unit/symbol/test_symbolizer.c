/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon's side against fake_helper.c, which does what the module's path says. */

#include "daemon/base/clock.h"
#include "daemon/symbol/helper_process.h"
#include "daemon/symbol/symbol_channel.h"
#include "daemon/symbol/symbolizer.h"
#include "tests/support/check_main.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define UID        1000
#define TIMEOUT_MS 10000
#define MANY       5000 /* more than one request takes */

/* calloc() of the code under test, by the linker's --wrap. */
static int callocs_until_failure = -1; /* -1: none fails */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) {
        if (callocs_until_failure == 0)
                return NULL;
        if (callocs_until_failure > 0)
                callocs_until_failure--;
        return __real_calloc(n, size);
}

static struct symbolizer *symbolizer;
static struct module_files *files;
static struct symbol_set *set;
static int fds_before;

static int count_fds(void) {
        int n = 0;
        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* A symbolizer in the place of the one there was. */
static void start(const char *helper, uint32_t timeout_ms) {
        struct symbolizer_config config = {.helper_path = helper, .request_timeout_ms = timeout_ms};
        symbolizer_free(symbolizer);
        ck_assert_int_eq(symbolizer_new(&config, files, &symbolizer), 0);
}

static void set_up(void) {
        fds_before = count_fds();
        ck_assert_int_eq(module_files_new(&(struct module_files_limits){16, 16}, &files), 0);
        start(getenv("FAKE_SYMBOL_HELPER"), TIMEOUT_MS);
        ck_assert_int_eq(symbol_set_new(&set), 0);
}

/* Every helper is reaped, every descriptor closed. */
static void tear_down(void) {
        symbolizer = symbolizer_free(symbolizer);
        files = module_files_free(files);
        set = symbol_set_free(set);
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
        ck_assert_int_eq(errno, ECHILD);
        ck_assert_int_eq(count_fds(), fds_before);
}

static uint32_t module_with_id(const char *path, const char *build_id) {
        uint32_t module;
        ck_assert_int_eq(
                symbol_set_module(set, path, strlen(path), (const uint8_t *)build_id, strlen(build_id), &module), 0);
        return module;
}

static uint32_t module_of(const char *path) {
        return module_with_id(path, "id");
}

static int resolve_as(uint32_t uid, uint32_t module, uint64_t offset) {
        return symbolizer_resolve(symbolizer, uid, module, &offset, 1, set, SYMBOLIZER_NO_DEADLINE);
}

static const struct symbol_frame *frames_of(uint32_t module, uint64_t offset, uint32_t expected) {
        uint32_t n = UINT32_MAX;
        const struct symbol_frame *frames = symbol_set_find(set, module, offset, &n);
        ck_assert_ptr_nonnull(frames);
        ck_assert_uint_eq(n, expected);
        return frames;
}

static pid_t helper_of(uint32_t module, uint64_t offset) {
        return atoi(frames_of(module, offset, 2)[1].function.bytes);
}

static const char *problem_of(uint32_t module) {
        return symbol_set_module_at(set, module)->problem.bytes;
}

START_TEST(a_return_address_is_looked_up_one_before)
{
        uint32_t module = module_of("/a");
        ck_assert_int_eq(resolve_as(UID, module, 1001), 0);
        const struct symbol_frame *frames = frames_of(module, 1001, 2);
        ck_assert_str_eq(frames[0].function.bytes, "f");
        ck_assert_str_eq(frames[0].filename.bytes, "/a");
        ck_assert_uint_eq(frames[0].lineno, 1000);
        ck_assert(symbol_set_module_at(set, module)->examined);
        ck_assert(symbol_set_module_at(set, module)->has_lines);
        ck_assert_ptr_null(problem_of(module));
}
END_TEST

START_TEST(many_locations_take_several_requests_and_one_opening)
{
        uint32_t module = module_of("/a");
        uint64_t offsets[MANY];
        for (uint64_t i = 0; i < MANY; i++)
                offsets[i] = 3 * i + 1;
        ck_assert_int_eq(symbolizer_resolve(symbolizer, UID, module, offsets, MANY, set, SYMBOLIZER_NO_DEADLINE), 0);
        for (uint64_t i = 0; i < MANY; i++) {
                const struct symbol_frame *frames = frames_of(module, 3 * i + 1, 2);
                ck_assert_uint_eq(frames[0].lineno, 3 * i);
                ck_assert_uint_eq(frames[1].lineno, 1);
        }
}
END_TEST

START_TEST(an_answer_may_be_partial)
{
        uint32_t module = module_of("/one-by-one");
        uint64_t offsets[] = {1, 2, 3, 4, 5};
        ck_assert_int_eq(symbolizer_resolve(symbolizer, UID, module, offsets, 5, set, SYMBOLIZER_NO_DEADLINE), 0);
        for (uint64_t i = 1; i <= 5; i++)
                ck_assert_uint_eq(frames_of(module, i, 2)[0].lineno, i - 1);
}
END_TEST

START_TEST(a_module_that_the_helper_let_go_is_opened_again)
{
        uint32_t module = module_of("/closes");
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_int_eq(resolve_as(UID, module, 2), 0);
        ck_assert_uint_eq(frames_of(module, 1, 2)[1].lineno, 1);
        ck_assert_uint_eq(frames_of(module, 2, 2)[1].lineno, 2);
        ck_assert_int_eq(helper_of(module, 1), helper_of(module, 2));
}
END_TEST

START_TEST(a_module_without_build_id_is_opened_anew_each_time)
{
        uint32_t module = module_with_id("/a", "");
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_int_eq(resolve_as(UID, module, 2), 0);
        ck_assert_uint_eq(frames_of(module, 2, 2)[1].lineno, 2);
}
END_TEST

START_TEST(the_descriptor_goes_along_to_its_owner_only)
{
        uint32_t module = module_of("/a"), other = module_of("/b");
        int fd = memfd_create("file", 0);
        ck_assert_int_eq(write(fd, "content", 7), 7);
        ck_assert_int_eq(module_files_add(files, UID, "/a", 2, (const uint8_t *)"id", 2, fd), 0);
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_str_eq(frames_of(module, 1, 2)[1].filename.bytes, "fd:content");
        ck_assert_int_eq(resolve_as(UID + 1, other, 1), 0); /* same build id */
        ck_assert_str_eq(frames_of(other, 1, 2)[1].filename.bytes, "fd:");
}
END_TEST

START_TEST(each_user_has_a_helper_of_their_own)
{
        uint32_t module = module_of("/a");
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_int_eq(resolve_as(UID, module, 2), 0);
        ck_assert_int_eq(resolve_as(UID + 1, module, 3), 0);
        ck_assert_int_eq(helper_of(module, 1), helper_of(module, 2));
        ck_assert_int_ne(helper_of(module, 1), helper_of(module, 3));
        ck_assert_uint_eq(frames_of(module, 3, 2)[1].lineno, 1);
}
END_TEST

START_TEST(a_problem_of_the_file_is_told_and_its_locations_are_nothing)
{
        uint32_t module = module_of("/problem");
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_str_eq(problem_of(module), "it is no good");
        ck_assert(symbol_set_module_at(set, module)->examined);
        frames_of(module, 1, 0);
}
END_TEST

/* Each of these ends two helpers; the module is then given up, and others are not. */
static const char *const bad_paths[] = {"/die", "/garbage", "/long", "/bomb", "/closed", "/none", "/more"};

START_TEST(a_module_that_ends_helpers_is_given_up)
{
        uint32_t bad = module_of(bad_paths[_i]), good = module_of("/good");
        ck_assert_int_eq(resolve_as(UID, good, 1), 0);
        ck_assert_int_eq(resolve_as(UID, bad, 1), 0);
        frames_of(bad, 1, 0);
        ck_assert_str_eq(problem_of(bad), "its debug information cannot be read: it is damaged");
        ck_assert_int_eq(resolve_as(UID, good, 2), 0);
        ck_assert_int_ne(helper_of(good, 1), helper_of(good, 2));
        ck_assert_int_eq(resolve_as(UID, bad, 2), 0);
        ck_assert_int_eq(resolve_as(UID, good, 3), 0);
        ck_assert_int_eq(helper_of(good, 2), helper_of(good, 3)); /* it is not even tried again */
}
END_TEST

START_TEST(the_bad_module_of_one_user_is_not_the_others)
{
        uint32_t module = module_of("/die");
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_int_eq(resolve_as(UID + 1, module_of("/good"), 1), 0);
        pid_t before = helper_of(module_of("/good"), 1);
        ck_assert_int_eq(resolve_as(UID + 1, module, 2), 0);
        ck_assert_int_eq(resolve_as(UID + 1, module_of("/good"), 2), 0);
        ck_assert_int_ne(helper_of(module_of("/good"), 2), before); /* it was tried for that user */
}
END_TEST

START_TEST(one_death_is_an_accident)
{
        uint32_t module = module_of("/dies-second");
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_int_eq(resolve_as(UID, module, 2), 0);
        ck_assert_int_ne(helper_of(module, 1), helper_of(module, 2));
        ck_assert_ptr_null(problem_of(module));
}
END_TEST

START_TEST(a_helper_that_is_killed_meanwhile_is_replaced)
{
        uint32_t module = module_of("/a");
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        kill(helper_of(module, 1), SIGKILL);
        ck_assert_int_eq(resolve_as(UID, module, 2), 0);
        ck_assert_int_ne(helper_of(module, 1), helper_of(module, 2));
}
END_TEST

START_TEST(a_helper_that_hangs_is_ended)
{
        uint32_t module = module_of("/hang");
        start(getenv("FAKE_SYMBOL_HELPER"), 50);
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        ck_assert_str_eq(problem_of(module), "reading its debug information takes too long");
        frames_of(module, 1, 0);
}
END_TEST

START_TEST(a_deadline_in_the_past_resolves_nothing)
{
        uint32_t module = module_of("/a"), n;
        uint64_t offset = 1;
        int r = symbolizer_resolve(symbolizer, UID, module, &offset, 1, set, clock_ns(CLOCK_MONOTONIC));
        ck_assert_int_eq(r, SYMBOLIZER_E_TIMEOUT);
        ck_assert_ptr_null(symbol_set_find(set, module, 1, &n));
        ck_assert(!symbol_set_module_at(set, module)->examined);
}
END_TEST

START_TEST(a_helper_that_is_not_there_is_an_error_of_the_call)
{
        uint32_t module = module_of("/a"), n;
        start("/nonexistent/helper", TIMEOUT_MS);
        ck_assert_int_eq(resolve_as(UID, module, 1), -ENOENT);
        ck_assert_ptr_null(symbol_set_find(set, module, 1, &n));
}
END_TEST

START_TEST(a_program_that_is_no_helper_is_an_error_of_the_call)
{
        uint32_t module = module_of("/a");
        start("/bin/true", TIMEOUT_MS);
        ck_assert_int_eq(resolve_as(UID, module, 1), -EIO);
}
END_TEST

START_TEST(the_helper_has_no_preload_and_only_its_socket)
{
        uint32_t module = module_of("/a");
        char path[64], environment[256];
        ck_assert_int_eq(setenv("LD_PRELOAD", "", 1), 0);
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        snprintf(path, sizeof path, "/proc/%d/environ", helper_of(module, 1));
        int fd = open(path, O_RDONLY);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(read(fd, environment, sizeof environment), 0);
        close(fd);
        for (int i = 3; i < 64; i++) {
                snprintf(path, sizeof path, "/proc/%d/fd/%d", helper_of(module, 1), i);
                ck_assert_int_ne(access(path, F_OK), 0);
        }
}
END_TEST

START_TEST(the_vdso_is_answered_without_a_helper)
{
        uint32_t module = module_of("[vdso]");
        start("/nonexistent/helper", TIMEOUT_MS);
        ck_assert_int_eq(resolve_as(UID, module, 1), 0);
        frames_of(module, 1, 0);
        ck_assert(!symbol_set_module_at(set, module)->has_lines);
        ck_assert_ptr_null(problem_of(module));
}
END_TEST

static const struct snapshot_string strings[] = {{"/a", 2}, {"/b", 2}, {"[vdso]", 6}};
static const struct snapshot_module modules[] = {{.path = 0, .build_id = "id", .build_id_length = 2},
                                                 {.path = 1},
                                                 {.path = 2},
                                                 {.path = 1, .build_id = "ib", .build_id_length = 2}};
static const struct snapshot_location locations[] = {
        {.kind = LOCATION_NATIVE, .module = 0, .offset = 11},
        {.kind = LOCATION_NATIVE, .module = 1, .offset = 21},
        {.kind = LOCATION_SOURCE, .filename = 0, .lineno = 3},
        {.kind = LOCATION_NATIVE, .module = SNAPSHOT_NONE, .offset = 4711},
        {.kind = LOCATION_NATIVE, .module = 2, .offset = 31},
        {.kind = LOCATION_NATIVE, .module = 0, .offset = 12},
        {.kind = LOCATION_NATIVE, .module = 3, .offset = 41},
};
static const struct snapshot snapshot = {.info = {.uid = UID},
                                         .strings = strings,
                                         .n_strings = 3,
                                         .modules = modules,
                                         .n_modules = 4,
                                         .locations = locations,
                                         .n_locations = 7};

START_TEST(a_snapshot_is_resolved_as_far_as_it_is_unknown)
{
        uint32_t a = module_of("/a");
        struct symbol_frame known = {.function = {"known", 5}};
        ck_assert_int_eq(symbol_set_add(set, a, 12, &known, 1), 0);
        ck_assert_int_eq(symbolizer_resolve_snapshot(symbolizer, &snapshot, set, SYMBOLIZER_NO_DEADLINE), 0);
        ck_assert_uint_eq(frames_of(a, 11, 2)[0].lineno, 10);
        ck_assert_str_eq(frames_of(a, 12, 1)[0].function.bytes, "known");
        ck_assert_str_eq(frames_of(module_with_id("/b", ""), 21, 2)[0].filename.bytes, "/b");
        ck_assert_uint_eq(frames_of(module_with_id("/b", "ib"), 41, 2)[0].lineno, 40);
        frames_of(module_with_id("[vdso]", ""), 31, 0);
        ck_assert_uint_eq(symbol_set_n_locations(set), 5);
}
END_TEST

START_TEST(a_snapshot_that_is_known_needs_no_helper)
{
        ck_assert_int_eq(symbolizer_resolve_snapshot(symbolizer, &snapshot, set, SYMBOLIZER_NO_DEADLINE), 0);
        start("/nonexistent/helper", TIMEOUT_MS);
        ck_assert_int_eq(symbolizer_resolve_snapshot(symbolizer, &snapshot, set, 0), 0);
}
END_TEST

START_TEST(an_answer_that_unpacks_to_too_much_is_not_unpacked)
{
        struct helper_process_config config = {.path = getenv("FAKE_SYMBOL_HELPER")};
        Tracemallocd__Symbol__Resolve request = TRACEMALLOCD__SYMBOL__RESOLVE__INIT;
        Tracemallocd__Symbol__Resolved *answer;
        struct helper_process *helper;
        request.module = 1;
        request.open = true;
        request.path = (ProtobufCBinaryData){5, (uint8_t *)"/bomb"};
        ck_assert_int_eq(helper_process_start(&config, &helper), 0);
        ck_assert_int_eq(helper_process_ask(helper, &request, -1, TIMEOUT_MS, &answer), HELPER_E_DIED);
        helper_process_end(helper);
}
END_TEST

START_TEST(without_memory_the_call_fails_and_the_next_one_works)
{
        struct symbolizer_config config = {.helper_path = getenv("FAKE_SYMBOL_HELPER")};
        struct symbolizer *none;
        int failures = 0;
        callocs_until_failure = 0;
        ck_assert_int_eq(symbolizer_new(&config, files, &none), -ENOMEM);
        for (int r = -ENOMEM; r != 0; failures++) {
                callocs_until_failure = failures;
                r = symbolizer_resolve_snapshot(symbolizer, &snapshot, set, SYMBOLIZER_NO_DEADLINE);
                ck_assert(r == 0 || r == -ENOMEM);
        }
        callocs_until_failure = -1;
        ck_assert_int_gt(failures, 4); /* three arrays, the helper, at least */
        ck_assert_uint_eq(frames_of(module_of("/a"), 11, 2)[0].lineno, 10);
}
END_TEST

struct job {
        pthread_t thread;
        struct symbol_set *set;
        uint32_t uid;
        int result;
};

static void *resolve_many(void *argument) {
        struct job *job = argument;
        uint32_t module;
        uint64_t offsets[MANY];
        for (uint64_t i = 0; i < MANY; i++)
                offsets[i] = i + 1;
        job->result = symbol_set_module(job->set, "/a", 2, NULL, 0, &module);
        if (job->result == 0)
                job->result = symbolizer_resolve(symbolizer, job->uid, module, offsets, MANY, job->set,
                                                 SYMBOLIZER_NO_DEADLINE);
        return NULL;
}

START_TEST(threads_and_users_share_it)
{
        struct job jobs[4];
        for (uint32_t i = 0; i < 4; i++) {
                jobs[i].uid = UID + i % 2;
                ck_assert_int_eq(symbol_set_new(&jobs[i].set), 0);
                ck_assert_int_eq(pthread_create(&jobs[i].thread, NULL, resolve_many, &jobs[i]), 0);
        }
        for (uint32_t i = 0; i < 4; i++) {
                ck_assert_int_eq(pthread_join(jobs[i].thread, NULL), 0);
                ck_assert_int_eq(jobs[i].result, 0);
                ck_assert_uint_eq(symbol_set_n_locations(jobs[i].set), MANY);
                symbol_set_free(jobs[i].set);
        }
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, a_return_address_is_looked_up_one_before);
        tcase_add_test(tcase, many_locations_take_several_requests_and_one_opening);
        tcase_add_test(tcase, an_answer_may_be_partial);
        tcase_add_test(tcase, a_module_that_the_helper_let_go_is_opened_again);
        tcase_add_test(tcase, a_module_without_build_id_is_opened_anew_each_time);
        tcase_add_test(tcase, the_descriptor_goes_along_to_its_owner_only);
        tcase_add_test(tcase, each_user_has_a_helper_of_their_own);
        tcase_add_test(tcase, a_problem_of_the_file_is_told_and_its_locations_are_nothing);
        tcase_add_loop_test(tcase, a_module_that_ends_helpers_is_given_up, 0,
                            (int)(sizeof bad_paths / sizeof *bad_paths));
        tcase_add_test(tcase, the_bad_module_of_one_user_is_not_the_others);
        tcase_add_test(tcase, one_death_is_an_accident);
        tcase_add_test(tcase, a_helper_that_is_killed_meanwhile_is_replaced);
        tcase_add_test(tcase, a_helper_that_hangs_is_ended);
        tcase_add_test(tcase, a_deadline_in_the_past_resolves_nothing);
        tcase_add_test(tcase, a_helper_that_is_not_there_is_an_error_of_the_call);
        tcase_add_test(tcase, a_program_that_is_no_helper_is_an_error_of_the_call);
        tcase_add_test(tcase, the_helper_has_no_preload_and_only_its_socket);
        tcase_add_test(tcase, the_vdso_is_answered_without_a_helper);
        tcase_add_test(tcase, a_snapshot_is_resolved_as_far_as_it_is_unknown);
        tcase_add_test(tcase, a_snapshot_that_is_known_needs_no_helper);
        tcase_add_test(tcase, an_answer_that_unpacks_to_too_much_is_not_unpacked);
        tcase_add_test(tcase, without_memory_the_call_fails_and_the_next_one_works);
        tcase_add_test(tcase, threads_and_users_share_it);
}

int main(void) {
        Suite *suite = suite_create("symbolizer");
        TCase *tcase = check_case("symbolizer");
        tcase_add_checked_fixture(tcase, set_up, tear_down);
        add_tests(tcase);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
