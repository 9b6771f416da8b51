/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Main loop. The end goes step by step, each begun by the end of the one before:
 * no new peers -> every process's feed freed, last snapshots handed to the store, no request under way
 * -> late symbols -> store -> workers -> loop.
 */

#include "daemon/lifetime.h"

#include "daemon/agents.h"
#include "daemon/base/log.h"
#include "daemon/control/control_server.h"
#include "daemon/daemon.h"
#include "daemon/exec_watch.h"
#include "daemon/fd_store.h"
#include "daemon/ingest/worker.h"
#include "daemon/late_symbols.h"
#include "daemon/process.h"
#include "daemon/run.h"
#include "daemon/store/store_reader.h"
#include "daemon/symbol/module_files.h"
#include "daemon/symbol/symbolizer.h"

#include <systemd/sd-daemon.h>
#include <uv.h>

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define SWEEP_MS             5000
#define OVER_WHEN_CALM       32        /* processes and requests, between two sweeps */
#define FREE_BYTES_KEPT      (2 << 20) /* by malloc, for what comes next */
#define IDLE_CHECK_MS        1000
#define DRAIN_MS             10
/* How long requests that are under way may take when the daemon ends: traced programs wait for the next one. */
#define REQUESTS_MS_MAX      3000
/* How long the store may go on with what waits for it. Where another daemon comes, which can take last snapshots again,
 * traced programs wait for it, at most stall_limit_ms. Where none comes, the unit's TimeoutStopSec= is the
 * limit: somewhat below it the daemon ends whatever is left, and the log says so. */
#define STORE_MS_MAX_RESTART 1000
#define STORE_MS_MAX         15000
#define REST_MS_MAX          10000
#define STOP_MARGIN_MS       5000 /* for the log lines and a machine that is busy */
_Static_assert(STORE_MS_MAX + REST_MS_MAX + STOP_MARGIN_MS <= STOP_TIMEOUT_S * 1000,
               "systemd would kill the daemon before it has said what it leaves undone");

struct lifetime {
        struct daemon *daemon;
        uv_signal_t signals[3];
        uv_timer_t sweep, idle, watchdog, drain, patience;
        uint64_t n_over_before, n_over_trimmed; /* daemon.n_over at the last sweep, and when memory was given back */
        uint64_t idle_since_ms;
        uint64_t drained_at_ms; /* when requests alone were left; 0: not yet */
        /* watchdog: the threads that have not answered since the last ping */
        struct worker_job pings[WORKERS_MAX];
        size_t n_unanswered;
};

static void stop(struct lifetime *l);

static void on_signal(uv_signal_t *handle, int number) {
        log_info("ending by signal %d", number);
        stop(handle->data);
}

/* The unit's ExecStop=: no daemon comes after this one. */
static void on_stop_for_good(uv_signal_t *handle, int number) {
        ((struct lifetime *)handle->data)->daemon->for_good = true;
}

/* What `systemctl status` shows. */
static void say_status(struct daemon *d) {
        sd_notifyf(0, "STATUS=%zu processes traced, %llu peers dropped since the start", process_count(d),
                   (unsigned long long)d->drops.n);
}

/* What a crowd of processes or a large query leaves lies in pieces between what is still in use, where free() keeps it:
 * tens of MiB. Not while they come and go, for they would take it again. */
static void trim_memory(struct lifetime *l) {
        uint64_t n = l->daemon->n_over;
        bool calm = n - l->n_over_before < OVER_WHEN_CALM;
        l->n_over_before = n;
        if (!calm || n == l->n_over_trimmed)
                return;
        l->n_over_trimmed = n;
        if (mallinfo2().fordblks >= FREE_BYTES_KEPT)
                malloc_trim(0);
}

static void on_sweep(uv_timer_t *timer) {
        struct lifetime *l = timer->data;
        struct daemon *d = l->daemon;
        process_sweep(d);
        exec_watch_sweep(d->exec_watch);
        drops_tell(&d->drops, uv_now(d->loop));
        log_tell_left_out();
        trim_memory(l);
        say_status(d);
}

static void on_idle_check(uv_timer_t *timer) {
        struct lifetime *l = timer->data;
        struct daemon *d = l->daemon;
        bool busy = d->processes || agents_peer_count(d->agents) > 0 || control_server_peer_count(d->control) > 0;
        uint64_t now = uv_now(d->loop);
        if (busy)
                l->idle_since_ms = now;
        if (now - l->idle_since_ms < d->config.idle_exit_s * UINT64_C(1000))
                return;
        log_info("ending: idle for %u s", d->config.idle_exit_s);
        stop(l);
}

/* ---- watchdog: alive means that every thread is ---- */

static enum worker_job_state on_ping(struct worker_job *job) {
        return WORKER_JOB_DONE;
}

static struct lifetime *pinged; /* there is one main loop */

static void on_pong(struct worker_job *job) {
        if (--pinged->n_unanswered == 0)
                sd_notify(0, "WATCHDOG=1");
}

static void on_watchdog(uv_timer_t *timer) {
        struct lifetime *l = timer->data;
        struct daemon *d = l->daemon;
        if (l->n_unanswered > 0 || d->stopping)
                return; /* a thread hangs: systemd will see it */
        l->n_unanswered = d->n_workers;
        for (size_t i = 0; i < d->n_workers; i++) {
                l->pings[i] = (struct worker_job){.run = on_ping, .done = on_pong};
                worker_call(d->workers[i], &l->pings[i]);
        }
}

static void start_watchdog(struct lifetime *l) {
        uint64_t interval_us;
        if (sd_watchdog_enabled(0, &interval_us) <= 0)
                return;
        pinged = l;
        uv_timer_start(&l->watchdog, on_watchdog, 0, interval_us / 3000);
}

/* ---- the end ---- */

static void on_worker_closed(void *data) {
}

static void on_store_closed(void *data) {
        struct lifetime *l = data;
        struct daemon *d = l->daemon;
        uv_close((uv_handle_t *)&l->patience, NULL);
        for (size_t i = 0; i < d->n_workers; i++)
                worker_free(d->workers[i], on_worker_closed, l);
        d->symbolizer = symbolizer_free(d->symbolizer);
        d->files = module_files_free(d->files);
}

static void on_late_symbols_done(void *data) {
        struct lifetime *l = data;
        l->daemon->reader = store_reader_close(l->daemon->reader); /* the last connection to go is to be the writer's */
        store_close(l->daemon->store, on_store_closed, l);
}

/* What is acknowledged is stored; of what the next daemon does not take again the log says that it is lost. */
static void on_out_of_time(uv_timer_t *timer) {
        struct lifetime *l = timer->data;
        for (const struct process *p = l->daemon->processes; p; p = p->next) {
                if (!process_outlives_daemon(p))
                        log_error("last snapshots of process %d (%s) not stored: the daemon is ending",
                                  (int)p->proc.pid, p->name);
        }
        log_warning("ending with work undone: it would take too long");
        log_close();
        _exit(EXIT_SUCCESS);
}

static void on_out_of_patience(uv_timer_t *timer) {
        struct lifetime *l = timer->data;
        store_give_up(l->daemon->store);
        uv_timer_start(timer, on_out_of_time, REST_MS_MAX, 0);
}

/* A thread that computes can't be called back, and what it uses can't be freed. Nothing is lost by an end without
 * clean-up: the snapshots are stored, and nobody is there whom the request would be answered to. */
static void leave_requests(void) {
        log_warning("ending without the answer to a request that takes long");
        log_close();
        _exit(EXIT_SUCCESS);
}

/* Processes that ended just now are still being read out and stored; the others went at once. */
static void on_drain(uv_timer_t *timer) {
        struct lifetime *l = timer->data;
        struct daemon *d = l->daemon;
        uint64_t now = uv_now(d->loop);
        if (d->processes)
                return;
        if (l->drained_at_ms == 0)
                l->drained_at_ms = now;
        if (d->control && now - l->drained_at_ms >= REQUESTS_MS_MAX)
                leave_requests();
        if (d->control)
                return;
        uv_close((uv_handle_t *)&l->drain, NULL);
        late_symbols_free(d->late_symbols, on_late_symbols_done, l);
}

static void stop(struct lifetime *l) {
        struct daemon *d = l->daemon;
        if (d->stopping)
                return;
        d->stopping = true;
        sd_notify(0, "STOPPING=1");
        if (d->drops.n > 0)
                log_info("%llu peers were dropped since the start", (unsigned long long)d->drops.n);
        agents_close(d->agents);
        symbolizer_cancel(d->symbolizer);
        control_server_close(d->control);
        run_tell_all(d);
        for (struct process *p = d->processes, *next; p; p = next) {
                next = p->next;
                process_discard(p);
        }
        for (size_t i = 0; i < sizeof l->signals / sizeof l->signals[0]; i++)
                uv_close((uv_handle_t *)&l->signals[i], NULL);
        d->exec_watch = exec_watch_free(d->exec_watch);
        uv_close((uv_handle_t *)&l->sweep, NULL);
        uv_close((uv_handle_t *)&l->idle, NULL);
        uv_close((uv_handle_t *)&l->watchdog, NULL);
        uv_timer_start(&l->drain, on_drain, 0, DRAIN_MS);
        bool restart = fd_store_keeps(d->fd_store) && !d->for_good;
        uv_timer_start(&l->patience, on_out_of_patience, restart ? STORE_MS_MAX_RESTART : STORE_MS_MAX, 0);
}

static void start(struct lifetime *l) {
        struct daemon *d = l->daemon;
        static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
                uv_signal_init(d->loop, &l->signals[i]);
                l->signals[i].data = l;
                uv_signal_start(&l->signals[i], numbers[i] == SIGUSR1 ? on_stop_for_good : on_signal, numbers[i]);
        }
        uv_timer_t *timers[] = {&l->sweep, &l->idle, &l->watchdog, &l->drain, &l->patience};
        for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
                uv_timer_init(d->loop, timers[i]);
                timers[i]->data = l;
        }
        uv_timer_start(&l->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
        l->idle_since_ms = uv_now(d->loop);
        if (d->config.idle_exit_s)
                uv_timer_start(&l->idle, on_idle_check, IDLE_CHECK_MS, IDLE_CHECK_MS);
        start_watchdog(l);
}

int lifetime_run(struct daemon *d) {
        static struct lifetime l;
        l = (struct lifetime){.daemon = d};
        start(&l);
        sd_notify(0, "READY=1");
        uv_run(d->loop, UV_RUN_DEFAULT);
        return uv_loop_close(d->loop);
}
