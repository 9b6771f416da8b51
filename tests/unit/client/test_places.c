/* SPDX-License-Identifier: Apache-2.0 */

#include "client/places.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test_places.XXXXXX";
static char run_root[64], tmp_root[64];
static struct places_input input;
static struct places places;

/* an environment of "NAME=value" */
static const char *variables[8];

static const char *test_getenv(const char *name) {
        for (size_t i = 0; variables[i]; i++) {
                if (strncmp(variables[i], name, strlen(name)) == 0 && variables[i][strlen(name)] == '=')
                        return variables[i] + strlen(name) + 1;
        }
        return NULL;
}

static void setup(void) {
        strcpy(root, "/tmp/test_places.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(root));
        snprintf(run_root, sizeof run_root, "%s/user", root);
        snprintf(tmp_root, sizeof tmp_root, "%s/tmp", root);
        mkdir(run_root, 0755);
        mkdir(tmp_root, 01777);
        memset(variables, 0, sizeof variables);
        input = (struct places_input){
                .uid = geteuid(), .run_root = run_root, .tmp_root = tmp_root, .getenv = test_getenv};
}

static void teardown(void) {
        places_deinit(&places);
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", root);
        ck_assert_int_eq(system(command), 0);
}

START_TEST(a_named_directory_is_the_only_one)
{
        variables[0] = "TRACEMALLOCD_RUNTIME_DIR=/env";
        input.runtime_dir = "/flag";
        places_init(&places, &input);
        ck_assert_uint_eq(places.n_runtime_dirs, 1);
        ck_assert_str_eq(places.runtime_dirs[0], "/flag");
        ck_assert_ptr_null(places.user_runtime_dir);
}
END_TEST

START_TEST(the_environment_names_one_too)
{
        variables[0] = "TRACEMALLOCD_RUNTIME_DIR=/env";
        places_init(&places, &input);
        ck_assert_uint_eq(places.n_runtime_dirs, 1);
        ck_assert_str_eq(places.runtime_dirs[0], "/env");
        ck_assert_ptr_null(places.user_runtime_dir);
}
END_TEST

START_TEST(system_and_user_go_before_the_environment)
{
        variables[0] = "TRACEMALLOCD_RUNTIME_DIR=/env";
        input.system = true;
        places_init(&places, &input);
        ck_assert_uint_eq(places.n_runtime_dirs, 1);
        ck_assert_str_eq(places.runtime_dirs[0], PLACES_SYSTEM_RUNTIME);
        ck_assert_ptr_null(places.user_runtime_dir);
        places_deinit(&places);
        input.system = false;
        input.user = true;
        places_init(&places, &input);
        ck_assert_uint_eq(places.n_runtime_dirs, 1);
        ck_assert_str_eq(places.runtime_dirs[0], places.user_runtime_dir);
}
END_TEST

START_TEST(a_relative_directory_is_of_the_current_folder)
{
        char expected[4200], cwd[4096];
        input.runtime_dir = "run/here";
        places_init(&places, &input);
        snprintf(expected, sizeof expected, "%s/run/here", getcwd(cwd, sizeof cwd));
        ck_assert_str_eq(places.runtime_dirs[0], expected);
}
END_TEST

START_TEST(the_systems_daemon_comes_before_ones_own)
{
        char xdg[128], expected[128];
        snprintf(xdg, sizeof xdg, "XDG_RUNTIME_DIR=%s/x", root);
        mkdir(xdg + strlen("XDG_RUNTIME_DIR="), 0700);
        variables[0] = xdg;
        places_init(&places, &input);
        snprintf(expected, sizeof expected, "%s/x/tracemallocd", root);
        ck_assert_uint_eq(places.n_runtime_dirs, 2);
        ck_assert_str_eq(places.runtime_dirs[0], PLACES_SYSTEM_RUNTIME);
        ck_assert_str_eq(places.runtime_dirs[1], expected);
        ck_assert_str_eq(places.user_runtime_dir, expected);
}
END_TEST

START_TEST(a_foreign_xdg_directory_does_not_count)
{
        char expected[128], xdg[128];
        snprintf(xdg, sizeof xdg, "XDG_RUNTIME_DIR=%s/x", root);
        mkdir(xdg + strlen("XDG_RUNTIME_DIR="), 0700);
        variables[0] = xdg;
        input.uid = geteuid() + 1; /* as after su: the directory is the other user's */
        places_init(&places, &input);
        snprintf(expected, sizeof expected, "%s/tracemallocd-%u", tmp_root, (unsigned)input.uid);
        ck_assert_str_eq(places.user_runtime_dir, expected);
}
END_TEST

START_TEST(run_user_is_taken_where_it_exists)
{
        char own[128], expected[160];
        snprintf(own, sizeof own, "%s/%u", run_root, (unsigned)input.uid);
        mkdir(own, 0700);
        places_init(&places, &input);
        snprintf(expected, sizeof expected, "%s/tracemallocd", own);
        ck_assert_str_eq(places.user_runtime_dir, expected);
}
END_TEST

START_TEST(a_run_user_that_others_may_write_to_is_not_taken)
{
        char own[128], expected[160];
        snprintf(own, sizeof own, "%s/%u", run_root, (unsigned)input.uid);
        mkdir(own, 0700);
        chmod(own, 0777);
        places_init(&places, &input);
        snprintf(expected, sizeof expected, "%s/tracemallocd-%u", tmp_root, (unsigned)input.uid);
        ck_assert_str_eq(places.user_runtime_dir, expected);
}
END_TEST

START_TEST(state_directory_by_flag_environment_xdg_home)
{
        variables[0] = "HOME=/home/x";
        places_init(&places, &input);
        ck_assert_str_eq(places.user_state_dir, "/home/x/.local/state/tracemallocd");
        places_deinit(&places);
        variables[1] = "XDG_STATE_HOME=/xdg";
        places_init(&places, &input);
        ck_assert_str_eq(places.user_state_dir, "/xdg/tracemallocd");
        places_deinit(&places);
        variables[2] = "TRACEMALLOCD_STATE_DIR=/env";
        places_init(&places, &input);
        ck_assert_str_eq(places.user_state_dir, "/env");
        places_deinit(&places);
        input.state_dir = "/flag";
        places_init(&places, &input);
        ck_assert_str_eq(places.user_state_dir, "/flag");
}
END_TEST

START_TEST(own_directories_are_private)
{
        char path[128];
        struct stat st;
        snprintf(path, sizeof path, "%s/a/b/c", root);
        ck_assert_int_eq(places_make_own_dir(path, geteuid()), 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0700);
        ck_assert_int_eq(places_make_own_dir(path, geteuid()), 0);
}
END_TEST

START_TEST(a_trap_in_tmp_is_unsafe)
{
        char path[128], target[128];
        snprintf(path, sizeof path, "%s/open", tmp_root);
        mkdir(path, 0700);
        chmod(path, 0777);
        ck_assert_int_eq(places_make_own_dir(path, geteuid()), PLACES_E_UNSAFE);
        snprintf(target, sizeof target, "%s/target", root);
        snprintf(path, sizeof path, "%s/link", tmp_root);
        mkdir(target, 0700);
        ck_assert_int_eq(symlink(target, path), 0);
        ck_assert_int_eq(places_make_own_dir(path, geteuid()), PLACES_E_UNSAFE);
        ck_assert_int_eq(places_make_own_dir(target, geteuid() + 1), PLACES_E_UNSAFE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("places");
        TCase *tc = check_case("places");
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, a_named_directory_is_the_only_one);
        tcase_add_test(tc, the_environment_names_one_too);
        tcase_add_test(tc, system_and_user_go_before_the_environment);
        tcase_add_test(tc, a_relative_directory_is_of_the_current_folder);
        tcase_add_test(tc, the_systems_daemon_comes_before_ones_own);
        tcase_add_test(tc, a_foreign_xdg_directory_does_not_count);
        tcase_add_test(tc, run_user_is_taken_where_it_exists);
        tcase_add_test(tc, a_run_user_that_others_may_write_to_is_not_taken);
        tcase_add_test(tc, state_directory_by_flag_environment_xdg_home);
        tcase_add_test(tc, own_directories_are_private);
        tcase_add_test(tc, a_trap_in_tmp_is_unsafe);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
