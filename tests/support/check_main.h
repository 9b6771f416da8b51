/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The end of every unit test program: its cases in one suite, run by Check, TAP by CK_TAP_LOG_FILE_NAME. */

#include <check.h>

#include <stdlib.h>

/* Check's own 4 s are too few for sanitizers and a busy machine. */
#define CHECK_TIMEOUT_S 120

/** check_case() - a group of cases that may take CHECK_TIMEOUT_S each */
static inline TCase *check_case(const char *name) {
        TCase *tcase = tcase_create(name);
        tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
        return tcase;
}

/* Of programs that run one thing in each of many orders. */
#define CHECK_LONG_TIMEOUT_S 600

/** check_long_case() - a group of cases that may take CHECK_LONG_TIMEOUT_S each, in @suite */
static inline TCase *check_long_case(Suite *suite, const char *name) {
        TCase *tcase = tcase_create(name);
        tcase_set_timeout(tcase, CHECK_LONG_TIMEOUT_S);
        suite_add_tcase(suite, tcase);
        return tcase;
}

/** check_run() - run a suite and free it. Return: exit status. */
static inline int check_run(Suite *suite) {
        SRunner *runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        int failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/** check_main() - run all cases of a program
 * @cases: [n] what START_TEST() made. Return: exit status. */
static inline int check_main(const char *name, const TTest *const *cases, size_t n) {
        Suite *suite = suite_create(name);
        TCase *tcase = check_case(name);
        for (size_t i = 0; i < n; i++)
                tcase_add_test(tcase, cases[i]);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}

#define CHECK_MAIN(name, ...)                                                                                          \
        int main(void) {                                                                                               \
                const TTest *const cases[] = {__VA_ARGS__};                                                            \
                return check_main(name, cases, sizeof cases / sizeof cases[0]);                                        \
        }
