/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the parts of the daemon that live on the main loop share. Nobody but
 * the main loop's thread touches it, except where a member says so.
 */

#include "daemon/base/drops.h"
#include "daemon/config.h"
#include "daemon/control/pool_queue.h"
#include "daemon/places.h"

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKERS_MAX 64

struct daemon {
        uv_loop_t *loop;
        struct config config;
        struct places places;
        struct store *store;           /* its path: any thread */
        struct store_reader *reader;   /* that no job uses at the moment, for the next one; or NULL */
        struct module_files *files;    /* any thread */
        struct symbolizer *symbolizer; /* pool threads */
        struct worker *workers[WORKERS_MAX];
        size_t n_workers;
        struct process *processes;      /* daemon/process.h, newest first */
        uint64_t n_over;                /* processes that are gone and requests that were answered */
        struct run *runs;               /* daemon/run.h */
        struct fd_store *fd_store;      /* what outlives this process */
        struct agents *agents;          /* agent.sock */
        struct control_server *control; /* control.sock; NULL when all is closed and no request is under way */
        struct pool_queue requests;     /* that a thread of the pool answers */
        struct late_symbols *late_symbols;
        struct exec_watch *exec_watch;
        struct drops drops; /* of both sockets, and rings that are not read any more */
        bool stopping;
        bool for_good; /* the service is stopped, not restarted: nobody will want what is kept */
};
