/* SPDX-License-Identifier: Apache-2.0 */

/* What module_open() says of files that it cannot open. What it reads of others is compared with addr2line
 * (test_addr2line.py). */

#include "daemon/symbol/helper/module.h"
#include "tests/support/check_main.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void ck_problem(const char *path, int fd, const char *expected) {
        struct module_source source = {.path = path, .fd = fd};
        struct module *module = NULL;
        char problem[MODULE_PROBLEM_BYTES] = "nothing was said";
        ck_assert_int_eq(module_open(&source, "/nowhere", &module, problem), MODULE_E_UNREADABLE);
        ck_assert_str_eq(problem, expected);
}

START_TEST(a_path_that_leads_nowhere_is_a_problem)
{
        ck_problem("/nowhere/lib.so", -1, "cannot open /nowhere/lib.so: No such file or directory");
        ck_problem("lib.so", -1, "lib.so is not a path");
        ck_problem("/dev", -1, "/dev is not a regular file");
}
END_TEST

START_TEST(a_file_of_another_kind_is_a_problem)
{
        int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_problem("lib.so", fd, "lib.so is no ELF program or library that can be read");
        close(fd);
}
END_TEST

START_TEST(a_descriptor_too_many_is_a_problem)
{
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct rlimit limit;
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = (rlim_t)fd + 1;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_problem("lib.so", fd, "cannot open lib.so: Too many open files");
        close(fd);
}
END_TEST

CHECK_MAIN("module", a_path_that_leads_nowhere_is_a_problem, a_file_of_another_kind_is_a_problem,
           a_descriptor_too_many_is_a_problem)
