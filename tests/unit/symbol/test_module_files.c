/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/symbol/module_files.h"
#include "tests/support/check_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 12 /* different ones in the model test */

static const uint8_t id_a[20] = "aaaaaaaaaaaaaaaaaaa", id_b[20] = "bbbbbbbbbbbbbbbbbbb";

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

static struct module_files *new_files(uint32_t n_files, uint32_t n_files_per_uid) {
        struct module_files *files;
        ck_assert_int_eq(module_files_new(&(struct module_files_limits){n_files, n_files_per_uid}, &files), 0);
        return files;
}

static int new_file(void) {
        int fd = memfd_create("file", MFD_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        return fd;
}

static ino_t inode_of(int fd) {
        struct stat status;
        ck_assert_int_eq(fstat(fd, &status), 0);
        return status.st_ino;
}

static bool is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}

static int add(struct module_files *files, uint32_t uid, const char *path, const uint8_t *id, int fd) {
        int r = module_files_add(files, uid, path, strlen(path), id, id ? 20 : 0, fd);
        module_files_check(files);
        return r;
}

/* Return: the inode; 0 where there is none. */
static ino_t get(struct module_files *files, uint32_t uid, const char *path, const uint8_t *id) {
        int fd, r = module_files_get(files, uid, path, strlen(path), id, id ? 20 : 0, &fd);
        module_files_check(files);
        if (r == MODULE_FILES_E_UNKNOWN)
                return 0;
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        ino_t inode = inode_of(fd);
        close(fd);
        return inode;
}

START_TEST(a_file_is_found_by_its_build_id_whatever_its_path)
{
        struct module_files *files = new_files(8, 8);
        int fd = new_file();
        ino_t inode = inode_of(fd);
        ck_assert_int_eq(add(files, 1000, "/lib/a.so", id_a, fd), 0);
        ck_assert_uint_eq(get(files, 1000, "/lib/a.so", id_a), inode);
        ck_assert_uint_eq(get(files, 1000, "/other/a.so", id_a), inode);
        ck_assert_uint_eq(get(files, 1000, "/lib/a.so", id_b), 0);
        ck_assert_uint_eq(get(files, 1000, "/lib/a.so", NULL), 0);
        ck_assert_ptr_null(module_files_free(files));
        ck_assert(!is_open(fd));
}
END_TEST

START_TEST(a_file_without_build_id_is_found_by_its_path)
{
        struct module_files *files = new_files(8, 8);
        int fd = new_file();
        ino_t inode = inode_of(fd);
        ck_assert_int_eq(add(files, 1000, "/lib/a.so", NULL, fd), 0);
        ck_assert_uint_eq(get(files, 1000, "/lib/a.so", NULL), inode);
        ck_assert_uint_eq(get(files, 1000, "/lib/b.so", NULL), 0);
        module_files_free(files);
}
END_TEST

START_TEST(a_path_that_looks_like_a_build_id_is_not_one)
{
        struct module_files *files = new_files(8, 8);
        ck_assert_int_eq(module_files_add(files, 1, id_a, 20, NULL, 0, new_file()), 0);
        ck_assert_uint_eq(get(files, 1, "/lib/a.so", id_a), 0);
        module_files_free(files);
}
END_TEST

START_TEST(another_user_does_not_find_it)
{
        struct module_files *files = new_files(8, 8);
        ck_assert_int_eq(add(files, 1000, "/lib/a.so", id_a, new_file()), 0);
        ck_assert_uint_eq(get(files, 1001, "/lib/a.so", id_a), 0);
        ck_assert_uint_eq(get(files, 0, "/lib/a.so", id_a), 0);
        ck_assert_uint_eq(module_files_count(files, 1001), 0);
        module_files_free(files);
}
END_TEST

START_TEST(the_same_file_again_takes_no_second_descriptor)
{
        struct module_files *files = new_files(8, 8);
        int fd = new_file(), again = dup(fd);
        ck_assert_int_eq(add(files, 1000, "/lib/a.so", id_a, fd), 0);
        ck_assert_int_eq(add(files, 1000, "/lib/a.so", id_a, again), 0);
        ck_assert(is_open(fd) && !is_open(again));
        ck_assert_uint_eq(module_files_count(files, 1000), 1);
        module_files_free(files);
}
END_TEST

START_TEST(another_file_takes_the_place_of_the_older)
{
        struct module_files *files = new_files(8, 8);
        int older = new_file(), newer = new_file();
        ino_t inode = inode_of(newer);
        ck_assert_int_eq(add(files, 1000, "/lib/a.so", NULL, older), 0);
        ck_assert_int_eq(add(files, 1000, "/lib/a.so", NULL, newer), 0);
        ck_assert(!is_open(older));
        ck_assert_uint_eq(get(files, 1000, "/lib/a.so", NULL), inode);
        ck_assert_uint_eq(module_files_count(files, 1000), 1);
        module_files_free(files);
}
END_TEST

START_TEST(what_is_no_regular_readable_file_is_refused_and_closed)
{
        struct module_files *files = new_files(8, 8);
        char name[] = "/tmp/module_files_XXXXXX";
        int pair[2], scratch = mkstemp(name);
        ck_assert_int_ge(scratch, 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        int fds[] = {pair[0],
                     pair[1],
                     open("/", O_RDONLY),
                     open("/dev/null", O_RDONLY),
                     open(name, O_PATH),
                     open(name, O_WRONLY)};
        for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
                ck_assert_int_ge(fds[i], 0);
                ck_assert_int_eq(add(files, 1, "/x", NULL, fds[i]), MODULE_FILES_E_REFUSED);
                ck_assert(!is_open(fds[i]));
        }
        ck_assert_int_eq(add(files, 1, "/x", NULL, -1), MODULE_FILES_E_REFUSED);
        ck_assert_int_eq(add(files, 1, "", NULL, dup(scratch)), MODULE_FILES_E_REFUSED);
        ck_assert_int_eq(add(files, 1, "/x", NULL, scratch), 0);
        unlink(name);
        module_files_free(files);
}
END_TEST

START_TEST(a_build_id_that_is_too_long_counts_as_none)
{
        struct module_files *files = new_files(8, 8);
        uint8_t id[MODULE_FILES_BUILD_ID_MAX + 1] = {1};
        ck_assert_int_eq(module_files_add(files, 1, "/x", 2, id, sizeof id, new_file()), 0);
        ck_assert_uint_ne(get(files, 1, "/x", NULL), 0);
        module_files_free(files);
}
END_TEST

START_TEST(a_user_over_the_limit_loses_what_was_used_least_recently)
{
        struct module_files *files = new_files(8, 2);
        ck_assert_int_eq(add(files, 1, "/a", NULL, new_file()), 0);
        ck_assert_int_eq(add(files, 1, "/b", NULL, new_file()), 0);
        ck_assert_uint_ne(get(files, 1, "/a", NULL), 0);
        ck_assert_int_eq(add(files, 1, "/c", NULL, new_file()), 0);
        ck_assert_uint_ne(get(files, 1, "/a", NULL), 0);
        ck_assert_uint_eq(get(files, 1, "/b", NULL), 0);
        ck_assert_uint_ne(get(files, 1, "/c", NULL), 0);
        module_files_free(files);
}
END_TEST

static void check_most_loses(uint32_t most, uint32_t other) {
        struct module_files *files = new_files(4, 3);
        ck_assert_int_eq(add(files, 1, "/a", NULL, new_file()), 0);
        ck_assert_int_eq(add(files, 2, "/a", NULL, new_file()), 0);
        ck_assert_int_eq(add(files, most, "/b", NULL, new_file()), 0);
        ck_assert_int_eq(add(files, most, "/c", NULL, new_file()), 0);
        ck_assert_int_eq(add(files, 3, "/a", NULL, new_file()), 0);
        ck_assert_uint_ne(get(files, other, "/a", NULL), 0);
        ck_assert_uint_eq(get(files, most, "/a", NULL), 0);
        ck_assert_uint_ne(get(files, most, "/b", NULL), 0);
        ck_assert_uint_ne(get(files, 3, "/a", NULL), 0);
        module_files_free(files);
}

START_TEST(over_the_limit_of_all_the_user_with_the_most_loses_one)
{
        check_most_loses(1, 2);
        check_most_loses(2, 1);
}
END_TEST

START_TEST(without_descriptors_left_the_reason_is_returned)
{
        struct module_files *files = new_files(4, 4);
        int fds[1024], n = 0, fd;
        ck_assert_int_eq(add(files, 1, "/a", NULL, new_file()), 0);
        while (n < 1024 && (fds[n] = dup(0)) >= 0)
                n++;
        if (n < 1024)
                ck_assert_int_eq(module_files_get(files, 1, "/a", 2, NULL, 0, &fd), -EMFILE);
        while (n > 0)
                close(fds[--n]);
        module_files_free(files);
}
END_TEST

START_TEST(without_memory_nothing_changes_and_the_descriptor_is_closed)
{
        struct module_files *none;
        int older, fd;
        callocs_until_failure = 0;
        ck_assert_int_eq(module_files_new(&(struct module_files_limits){4, 4}, &none), -ENOMEM);
        callocs_until_failure = -1;
        struct module_files *files = new_files(4, 4);
        ck_assert_int_eq(add(files, 1, "/a", NULL, older = new_file()), 0);
        for (int n = 0; n < 2; n++) { /* the file's, the owner's */
                fd = new_file();
                callocs_until_failure = n;
                ck_assert_int_eq(add(files, 2, "/b", NULL, fd), -ENOMEM);
                callocs_until_failure = -1;
                ck_assert(!is_open(fd) && is_open(older));
                ck_assert_uint_eq(module_files_count(files, 2), 0);
        }
        ck_assert_int_eq(add(files, 2, "/b", NULL, new_file()), 0);
        module_files_free(files);
}
END_TEST

static int count_fds(void) {
        int n = 0;
        for (int fd = 0; fd < 1024; fd++)
                n += is_open(fd);
        return n;
}

static void random_steps(unsigned seed) {
        struct module_files *files = new_files(10, 5);
        char path[16];
        for (int step = 0; step < 300; step++) {
                uint32_t uid = (uint32_t)rand() % 4;
                snprintf(path, sizeof path, "/%d", rand() % FILES);
                if (rand() % 3) {
                        int fd = new_file();
                        ino_t inode = inode_of(fd);
                        ck_assert_msg(add(files, uid, path, NULL, fd) == 0, "seed %u", seed);
                        ck_assert_msg(get(files, uid, path, NULL) == inode, "seed %u", seed);
                } else {
                        get(files, uid, path, NULL);
                }
        }
        module_files_free(files);
}

START_TEST(random_use_keeps_the_invariants_and_leaks_no_descriptor)
{
        int before = count_fds();
        for (unsigned seed = 1; seed <= 20; seed++) {
                srand(seed);
                random_steps(seed);
        }
        ck_assert_int_eq(count_fds(), before);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("module_files");
        TCase *tcase = check_case("module_files");
        tcase_add_test(tcase, a_file_is_found_by_its_build_id_whatever_its_path);
        tcase_add_test(tcase, a_file_without_build_id_is_found_by_its_path);
        tcase_add_test(tcase, a_path_that_looks_like_a_build_id_is_not_one);
        tcase_add_test(tcase, another_user_does_not_find_it);
        tcase_add_test(tcase, the_same_file_again_takes_no_second_descriptor);
        tcase_add_test(tcase, another_file_takes_the_place_of_the_older);
        tcase_add_test(tcase, what_is_no_regular_readable_file_is_refused_and_closed);
        tcase_add_test(tcase, a_build_id_that_is_too_long_counts_as_none);
        tcase_add_test(tcase, a_user_over_the_limit_loses_what_was_used_least_recently);
        tcase_add_test(tcase, over_the_limit_of_all_the_user_with_the_most_loses_one);
        tcase_add_test(tcase, without_descriptors_left_the_reason_is_returned);
        tcase_add_test(tcase, without_memory_nothing_changes_and_the_descriptor_is_closed);
        tcase_add_test(tcase, random_use_keeps_the_invariants_and_leaks_no_descriptor);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
