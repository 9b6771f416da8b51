/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tracemallocd.conf(5): an INI file. Every key has a default, so that an empty
 * or absent file is a complete configuration. Read once, at the start, before
 * any thread.
 */

#include "daemon/base/log.h"
#include "daemon/store/retention.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_PATH_DEFAULT "/etc/tracemallocd/tracemallocd.conf"

struct config {
        /* [daemon] */
        enum log_level log_level;
        uint32_t workers;     /* ingest threads */
        uint32_t keep_tables; /* 1: tables outlive the daemon in systemd's file descriptor store */
        uint32_t idle_exit_s; /* end after so many seconds without peer and traced process; 0: never */
        /* [limits], each for one user id; root has none of them */
        uint32_t processes_per_user;   /* traced images at one time */
        uint32_t connections_per_user; /* on each of the two sockets */
        uint64_t table_bytes_per_process, table_bytes_per_user;
        /* [agent] */
        uint32_t stall_limit_ms; /* longest wait of one allocation for room in the ring */
        /* [snapshots] */
        uint32_t exit_min_age_s; /* processes that lived shorter leave no exit snapshot */
        struct retention retention;
        /* [symbols] */
        char *debuginfod_urls; /* "" for none; owned */
};

#define CONFIG_E_INVALID 1

/** config_init() - the defaults; 0 or -ENOMEM */
int config_init(struct config *config);
void config_deinit(struct config *config);

/** config_read() - read a file over what is there
 * @required: whether its absence is an error
 * @errorp: on CONFIG_E_INVALID and -errno one line that says where and what; malloc'd
 * Return: 0; CONFIG_E_INVALID: a line is wrong (nothing later in the file was read); -errno of opening or reading it.
 */
int config_read(struct config *config, const char *path, bool required, char **errorp);
