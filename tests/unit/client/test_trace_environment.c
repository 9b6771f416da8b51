/* SPDX-License-Identifier: Apache-2.0 */

/* client/trace_environment.c: what a program is started with, whatever was there before. */

#include "client/trace_environment.h"
#include "tests/support/check_main.h"

#include <stddef.h>

#define AGENT "/usr/lib/agent.so"

static char runtime_dir[] = "/run/t", agent_path[] = AGENT;
static const struct connection connection = {.runtime_dir = runtime_dir, .agent_path = agent_path};

static void expect(const char *name, const char *before, const char *after) {
        struct environment e;
        const struct options options = {0};
        environment_init_empty(&e);
        if (before)
                environment_set(&e, name, before);
        trace_environment_set(&e, &connection, &options, NULL);
        const char *value = environment_get(&e, name);
        if (after)
                ck_assert_str_eq(value, after);
        else
                ck_assert_ptr_null(value);
        environment_deinit(&e);
}

START_TEST(the_agent_is_preloaded_first_and_once)
{
        expect("LD_PRELOAD", NULL, AGENT);
        expect("LD_PRELOAD", "", AGENT);
        expect("LD_PRELOAD", "/x.so", AGENT ":/x.so");
        expect("LD_PRELOAD", AGENT, AGENT);
        expect("LD_PRELOAD", AGENT ":/x.so", AGENT ":/x.so");
        expect("LD_PRELOAD", AGENT " /x.so", AGENT " /x.so");
        expect("LD_PRELOAD", AGENT ".old", AGENT ":" AGENT ".old");
        expect("LD_PRELOAD", "/x.so:" AGENT, AGENT ":/x.so:" AGENT);
}
END_TEST

START_TEST(asan_is_told_once_not_to_look)
{
        expect("ASAN_OPTIONS", NULL, "verify_asan_link_order=0");
        expect("ASAN_OPTIONS", "", "verify_asan_link_order=0");
        expect("ASAN_OPTIONS", "a=1", "a=1:verify_asan_link_order=0");
        expect("ASAN_OPTIONS", "verify_asan_link_order=0:a=1", "verify_asan_link_order=0:a=1");
}
END_TEST

START_TEST(what_an_outer_run_left_goes)
{
        expect("TRACEMALLOCD_RUN", "0123", NULL);
        expect("TRACEMALLOCD_LABEL", "outer", NULL);
        expect("TRACEMALLOCD_CHILDREN", "0", NULL);
        expect("TRACEMALLOCD_PID", "1", NULL);
        expect("TRACEMALLOCD_OFF", "1", NULL);
        expect("TRACEMALLOCD_RUNTIME_DIR", "/elsewhere", "/run/t");
        expect("TRACEMALLOCD_RING_SIZE", "65536", "65536");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("trace_environment");
        TCase *tc = check_case("trace_environment");
        tcase_add_test(tc, the_agent_is_preloaded_first_and_once);
        tcase_add_test(tc, asan_is_told_once_not_to_look);
        tcase_add_test(tc, what_an_outer_run_left_goes);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
