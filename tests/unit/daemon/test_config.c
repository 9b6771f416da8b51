/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"
#include "tests/support/check_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_text(struct config *config, const char *text, char **errorp) {
        char path[] = "/tmp/test_config.XXXXXX";
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        close(fd);
        ck_assert_int_eq(config_init(config), 0);
        int r = config_read(config, path, true, errorp);
        unlink(path);
        return r;
}

static void expect_error(const char *text, const char *part) {
        struct config config;
        char *error;
        ck_assert_int_eq(read_text(&config, text, &error), CONFIG_E_INVALID);
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, part), "'%s' does not say '%s'", error, part);
        ck_assert_ptr_null(strchr(error, '\n'));
        free(error);
        config_deinit(&config);
}

START_TEST(every_key_is_read)
{
        struct config config;
        char *error;
        ck_assert_int_eq(
                read_text(&config,
                          "[daemon]\nlog_level = debug\nworkers = 3\nkeep_tables = 0\nidle_exit = 7\n"
                          "[limits]\nprocesses_per_user = 5\nconnections_per_user = 6\n"
                          "table_memory_per_process = 2G\ntable_memory_per_user = 3G\n"
                          "[agent]\nstall_limit_ms = 150\n[snapshots]\nexit_min_age = 0\n"
                          "keep_count = 8\nkeep_age = 36h\nkeep_exit_count = 9\nkeep_exit_age = 7d\nkeep_bytes = 3M\n"
                          "[symbols]\ndebuginfod_urls = https://debuginfod.debian.net\n",
                          &error),
                0);
        ck_assert_int_eq(config.log_level, LOG_LEVEL_DEBUG);
        ck_assert_uint_eq(config.workers, 3);
        ck_assert_uint_eq(config.keep_tables, 0);
        ck_assert_uint_eq(config.idle_exit_s, 7);
        ck_assert_uint_eq(config.processes_per_user, 5);
        ck_assert_uint_eq(config.connections_per_user, 6);
        ck_assert_uint_eq(config.table_bytes_per_process, UINT64_C(2) << 30);
        ck_assert_uint_eq(config.table_bytes_per_user, UINT64_C(3) << 30);
        ck_assert_uint_eq(config.stall_limit_ms, 150);
        ck_assert_uint_eq(config.exit_min_age_s, 0);
        ck_assert_uint_eq(config.retention.count, 8);
        ck_assert_uint_eq(config.retention.age_s, 36 * 3600);
        ck_assert_uint_eq(config.retention.exit_count, 9);
        ck_assert_uint_eq(config.retention.exit_age_s, 7 * 86400);
        ck_assert_uint_eq(config.retention.bytes, 3 << 20);
        ck_assert_str_eq(config.debuginfod_urls, "https://debuginfod.debian.net");
        config_deinit(&config);
}
END_TEST

START_TEST(an_error_names_file_line_and_key)
{
        expect_error("[daemon]\nworkers = 3\nlog_levle = debug\n", ":3: unknown key 'log_levle'");
        expect_error("[daemon]\nworkers = many\n", ":2: invalid value for 'workers'");
        expect_error("[daemon]\nworkers = 0\n", "between 1 and 64");
        expect_error("[daemon]\nworkers = 3K\n", "invalid value");
        expect_error("[daemon]\nworkers = -3\n", "invalid value");
        expect_error("[daemon]\nlog_level = loud\n", "invalid value for 'log_level'");
        expect_error("[limits]\ntable_memory_per_process = 99999999999999999999\n", "invalid value");
        expect_error("[limits]\ntable_memory_per_process = 99999999999T\n", "invalid value");
        expect_error("nonsense\n", ":1: neither '[section]' nor 'key = value'");
        expect_error("[nowhere]\nworkers = 3\n", "unknown key");
}
END_TEST

START_TEST(an_error_names_the_first_wrong_line_and_what_is_wrong_there)
{
        expect_error("[daemon\nworkers = 3\n", ":1: neither");
        expect_error("[daemon]\nworkers = 3\nnonsense\nworkers = many\n", ":3: neither");
        expect_error("[daemon]\nworkers = many\nnonsense\n", ":2: invalid value for 'workers'");
}
END_TEST

static void expect_urls(const char *text, const char *urls) {
        struct config config;
        char *error;
        ck_assert_int_eq(read_text(&config, text, &error), 0);
        ck_assert_str_eq(config.debuginfod_urls, urls);
        config_deinit(&config);
}

START_TEST(a_line_is_read_whole_or_refused)
{
        char text[512], urls[200];
        memset(urls, 'u', sizeof urls);
        urls[198 - strlen("debuginfod_urls = ")] = '\0';
        snprintf(text, sizeof text, "[symbols]\ndebuginfod_urls = %s\n", urls);
        expect_urls(text, urls);
        text[strlen(text) - 1] = '\0'; /* no newline at the end */
        expect_urls(text, urls);
        snprintf(text, sizeof text, "[symbols]\ndebuginfod_urls = %s=\n[daemon]\n", urls);
        expect_error(text, ":2: a line of more than 198 bytes");
}
END_TEST

START_TEST(a_line_that_begins_with_a_blank_is_a_line)
{
        expect_urls("[symbols]\n  debuginfod_urls = one\n[daemon]\nworkers = 1\n\tkeep_tables = 0\n", "one");
        expect_error("[symbols]\ndebuginfod_urls = one\n  two\n", ":3: neither");
}
END_TEST

START_TEST(a_directory_is_no_configuration)
{
        struct config config;
        char *error;
        ck_assert_int_eq(config_init(&config), 0);
        ck_assert_int_eq(config_read(&config, "/", true, &error), -EISDIR);
        ck_assert_str_eq(error, "cannot read /: Is a directory");
        free(error);
        config_deinit(&config);
}
END_TEST

START_TEST(an_error_says_what_would_be_right)
{
        expect_error("[daemon]\nlog_level = loud\n", ": error, warning, info or debug");
        expect_error("[daemon]\nworkers = many\n", "'workers': a number between 1 and 64");
        expect_error("[limits]\ntable_memory_per_process = 5K\n", ": bytes between 1M and 1024G");
        expect_error("[snapshots]\nkeep_bytes = 1MB\n", ": bytes between 0 and 1048576G");
        expect_error("[snapshots]\nkeep_age = 2w\n", ": a time such as 36h or 30d, at most 36500d");
}
END_TEST

START_TEST(a_missing_file_matters_only_where_it_was_named)
{
        struct config config;
        char *error;
        ck_assert_int_eq(config_init(&config), 0);
        ck_assert_int_eq(config_read(&config, "/nonexistent/tracemallocd.conf", false, &error), 0);
        ck_assert_int_eq(config_read(&config, "/nonexistent/tracemallocd.conf", true, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error, "/nonexistent/tracemallocd.conf"));
        free(error);
        config_deinit(&config);
}
END_TEST

CHECK_MAIN("daemon/config", every_key_is_read, an_error_names_file_line_and_key,
           an_error_names_the_first_wrong_line_and_what_is_wrong_there, a_line_is_read_whole_or_refused,
           a_line_that_begins_with_a_blank_is_a_line, a_directory_is_no_configuration,
           an_error_says_what_would_be_right, a_missing_file_matters_only_where_it_was_named)
