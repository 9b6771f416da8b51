/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A case of subject.c or subject_cxx.cc under the agent, and what it did beyond
 * the case that does nothing. Failures to run it are assertions.
 *
 * @program: the variable that holds the program: "SUBJECT" or "SUBJECT_CXX"; @environment: "NAME=value" or NULL
 */

#include "tests/unit/agent/traced.h"

#include <stdint.h>

/* What one image of a case did beyond what a program does anyway. */
struct subject_difference {
        int64_t live, live_bytes, allocs, frees, move_ins, move_backs, empty, complete;
};

/** subject_case_run() - run it; of no image a record is broken or lost
 * @traced: for traced_close() */
void subject_case_run(struct traced *traced, const char *program, const char *name, const char *environment);

/** subject_case_difference() - of @image, of a case of @program that ran in @environment */
struct subject_difference subject_case_difference(const struct fake_image *image, const char *program,
                                                  const char *environment);

/** subject_case_check() - run it to its end; it has whole tracebacks only and frees nothing unknown
 * @status: what it ends with. Return: difference of its first image. */
struct subject_difference subject_case_check(const char *program, const char *name, const char *environment,
                                             int status);
