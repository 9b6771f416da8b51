/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control/selector.h"
#include "daemon/daemon.h"
#include "daemon/process.h"
#include "tests/support/check_main.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- what selector.c meets here instead of processes that live ---- */

static struct process mine = {.uid = 1000,
                              .name = (char *)"redis-server",
                              .proc = {.pid = 71, .unit = (char *)"a.service"}},
                      others = {.uid = 1001, .name = (char *)"redis-server", .proc = {.pid = 72, .unit = (char *)""}};

void process_notice_end(struct process *p) {
}

struct process *process_find(struct daemon *d, pid_t pid) {
        return pid == mine.proc.pid ? &mine : pid == others.proc.pid ? &others : NULL;
}

size_t process_count(const struct daemon *d) {
        return 2;
}

/* strndup(), by the linker, so that it can fail */
static long fail_at = -1; /* calls until then; -1: it does not */

char *__wrap_strndup(const char *bytes, size_t length);
char *__real_strndup(const char *bytes, size_t length);

char *__wrap_strndup(const char *bytes, size_t length) {
        return fail_at >= 0 && fail_at-- == 0 ? NULL : __real_strndup(bytes, length);
}

/* Of the user 1000. Return: as selection_make(). */
static int select_for_user(const Tracemallocd__Control__ProcessSelector *selector, struct selection *s) {
        const struct credentials who = {.uid = 1000};
        struct daemon d = {.processes = &mine};
        mine.next = &others;
        others.previous = &mine;
        return selection_make(&d, &who, selector, false, s);
}

static int select_pid(uint32_t pid, struct selection *s) {
        Tracemallocd__Control__ProcessSelector selector = TRACEMALLOCD__CONTROL__PROCESS_SELECTOR__INIT;
        selector.pids = &pid;
        selector.n_pids = 1;
        return select_for_user(&selector, s);
}

static int select_names(ProtobufCBinaryData *names, size_t n, struct selection *s) {
        Tracemallocd__Control__ProcessSelector selector = TRACEMALLOCD__CONTROL__PROCESS_SELECTOR__INIT;
        selector.names = names;
        selector.n_names = n;
        return select_for_user(&selector, s);
}

static ProtobufCBinaryData text(const char *text) {
        return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

START_TEST(a_name_selects_ones_own_processes)
{
        struct selection s;
        ck_assert_int_eq(select_names(&(ProtobufCBinaryData){.len = 6, .data = (uint8_t *)"redis*"}, 1, &s), 0);
        ck_assert_uint_eq(s.n_processes, 1);
        ck_assert_ptr_eq(s.processes[0], &mine);
        selection_deinit(&s);
}
END_TEST

START_TEST(a_pid_must_be_traced_and_permitted)
{
        struct selection s;
        ck_assert_int_eq(select_pid(71, &s), 0);
        selection_deinit(&s);
        ck_assert_int_eq(select_pid(72, &s), SELECTOR_E_DENIED);
        ck_assert_int_eq(select_pid((uint32_t)getpid(), &s), SELECTOR_E_NOT_FOUND);
        ck_assert_ptr_nonnull(strstr(s.message, "is not traced"));
}
END_TEST

START_TEST(a_pid_that_none_can_be_is_no_process_group)
{
        struct selection s;
        ck_assert_int_eq(select_pid(UINT32_MAX, &s), SELECTOR_E_NOT_FOUND);
        ck_assert_ptr_nonnull(strstr(s.message, "no process 4294967295"));
        ck_assert_int_eq(select_pid(-(uint32_t)getpgrp(), &s), SELECTOR_E_NOT_FOUND);
        ck_assert_ptr_nonnull(strstr(s.message, "no process"));
}
END_TEST

START_TEST(more_than_a_command_line_holds_is_refused)
{
        static ProtobufCBinaryData names[SELECTOR_BYTES_MAX / 3];
        const size_t n = sizeof names / sizeof names[0];
        struct selection s;
        for (size_t i = 0; i < n; i++)
                names[i] = text("x");
        ck_assert_int_eq(select_names(names, n, &s), SELECTOR_E_NOT_FOUND);
        names[0] = text("redis-server");
        ck_assert_int_eq(select_names(names, n, &s), SELECTOR_E_USAGE);
        ck_assert_ptr_nonnull(strstr(s.message, "64 KiB"));
}
END_TEST

static const char *message_for_units(ProtobufCBinaryData *units, size_t n, struct selection *s) {
        Tracemallocd__Control__ProcessSelector selector = TRACEMALLOCD__CONTROL__PROCESS_SELECTOR__INIT;
        selector.units = units;
        selector.n_units = n;
        ck_assert_int_eq(select_for_user(&selector, s), SELECTOR_E_NOT_FOUND);
        return s->message;
}

START_TEST(of_a_unit_that_is_not_traced_the_command_is_named_that_does_it)
{
        static char name[300];
        struct selection s;
        ProtobufCBinaryData units[] = {text("nginx"), text("b")};
        ck_assert_ptr_nonnull(strstr(message_for_units(units, 1, &s), "'tmctl unit trace nginx --restart'"));
        ck_assert_ptr_nonnull(strstr(message_for_units(units, 2, &s), "no traced process fits"));
        memset(name, 'x', sizeof name - 1);
        units[0] = text(name);
        ck_assert_ptr_nonnull(strstr(message_for_units(units, 1, &s), "no traced process fits"));
}
END_TEST

START_TEST(texts_are_copied_all_or_none)
{
        const ProtobufCBinaryData texts[] = {text("a"), {.len = 0}, text("bc")};
        char **copies = selector_texts(texts, 3);
        ck_assert_str_eq(copies[0], "a");
        ck_assert_str_eq(copies[1], "");
        ck_assert_str_eq(copies[2], "bc");
        ck_assert_ptr_null(copies[3]);
        selector_texts_free(copies);
        for (long i = 0; i < 3; i++) {
                fail_at = i;
                ck_assert_ptr_null(selector_texts(texts, 3));
        }
        fail_at = -1;
}
END_TEST

CHECK_MAIN("control/selector", a_name_selects_ones_own_processes, a_pid_must_be_traced_and_permitted,
           a_pid_that_none_can_be_is_no_process_group, more_than_a_command_line_holds_is_refused,
           of_a_unit_that_is_not_traced_the_command_is_named_that_does_it, texts_are_copied_all_or_none)
