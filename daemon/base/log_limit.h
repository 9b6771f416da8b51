/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How often one place in the program may write to the log. What thousands of processes have in common - the disk is
 * full, say - is a line for each of them, and would push everything else out of the log; so of one place a few lines
 * are written in a while, and then the newest one with the number of those that were left out. No thread of its own:
 * log.c calls it under its mutex. All zero is empty.
 */

#include "daemon/base/log.h"

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_LINES       20    /* of one place */
#define LOG_LIMIT_MS          10000 /* in so long */
#define LOG_LIMIT_PLACES      64    /* more than there are; those beyond share the last one */
#define LOG_LIMIT_MESSAGE_MAX 1024  /* what is kept of a line that is left out */

struct log_place {
        const char *format; /* which place this is; NULL: unused */
        uint64_t since_ms;
        unsigned n; /* written since then */
        uint64_t n_left_out;
        enum log_level level; /* of the newest that was left out, with its text */
        char message[LOG_LIMIT_MESSAGE_MAX];
};

struct log_limit {
        struct log_place places[LOG_LIMIT_PLACES];
};

/** log_limit_passes() - whether to write a line; one that is not to be written is counted and copied
 * @now_ms: of a clock that does not go back
 * @format: a string that lives on; its address is the place
 * Call log_limit_take() before, until it finds none. */
bool log_limit_passes(struct log_limit *limit, uint64_t now_ms, const char *format, enum log_level level,
                      const char *message);

/** log_limit_take() - a place some of whose lines were left out, and whose time is over
 * @now_ms: UINT64_MAX: whether it is over or not
 * @n_left_outp: how many, the newest among them
 * Return: the place, for its level and message, valid until the next call, and counted anew; NULL: none. */
const struct log_place *log_limit_take(struct log_limit *limit, uint64_t now_ms, uint64_t *n_left_outp);
