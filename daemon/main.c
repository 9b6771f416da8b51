/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tracemallocd: options, start, end. The main thread runs the main loop, which
 * owns sockets, timers, signals and what is said to systemd. ARCHITECTURE.md
 * has the other threads.
 */

#include "daemon/agents.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/listener.h"
#include "daemon/control/control_server.h"
#include "daemon/crash.h"
#include "daemon/daemon.h"
#include "daemon/exec_watch.h"
#include "daemon/fd_store.h"
#include "daemon/ingest/worker.h"
#include "daemon/kept_processes.h"
#include "daemon/late_symbols.h"
#include "daemon/lifetime.h"
#include "daemon/process.h"
#include "daemon/store/store.h"
#include "daemon/symbol/module_files.h"
#include "daemon/symbol/symbolizer.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULE_FILES_MAX      16384
#define MODULE_FILES_PER_USER 4096
#define HELPER_UID            65534 /* nobody: daemon/symbol/helper/sandbox.c */
#define EXIT_USAGE            2
#define OWN_MAPPING_BYTES     (256 * 1024)
#define KEPT_FREE_BYTES       (1024 * 1024)
#define START_PAUSE_S         5

static const char help[] = "usage: tracemallocd [OPTION]...\n"
                           "Keep live trace tables of processes and serve tmctl(1), in the foreground.\n"
                           "\n"
                           "  --runtime-dir DIR   where agent.sock and control.sock are (/run/tracemallocd,\n"
                           "                      or $XDG_RUNTIME_DIR/tracemallocd for a user's own)\n"
                           "  --state-dir DIR     where snapshots.db is (/var/lib/tracemallocd,\n"
                           "                      or $XDG_STATE_HOME/tracemallocd)\n"
                           "  --config FILE       instead of /etc/tracemallocd/tracemallocd.conf\n"
                           "  --log-level LEVEL   error, warning, info or debug\n"
                           "  --idle-exit SECONDS end when nobody was connected or traced; 0: never\n"
                           "  --help              show this\n"
                           "  --version           show the version\n"
                           "\n"
                           "example: tracemallocd --runtime-dir /tmp/tm/run --state-dir /tmp/tm/state\n";

struct options {
        const char *runtime_dir, *state_dir, *config, *log_level, *idle_exit;
};

/* Return: -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o) {
        static const struct option longs[] = {
                {"runtime-dir", required_argument, NULL, 'r'}, {"state-dir", required_argument, NULL, 's'},
                {"config", required_argument, NULL, 'c'},      {"log-level", required_argument, NULL, 'l'},
                {"idle-exit", required_argument, NULL, 'i'},   {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'V'},           {0}};
        for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
                switch (c) {
                case 'r':
                        o->runtime_dir = optarg;
                        break;
                case 's':
                        o->state_dir = optarg;
                        break;
                case 'c':
                        o->config = optarg;
                        break;
                case 'l':
                        o->log_level = optarg;
                        break;
                case 'i':
                        o->idle_exit = optarg;
                        break;
                case 'h':
                        fputs(help, stdout);
                        return EXIT_SUCCESS;
                case 'V':
                        puts("tracemallocd " VERSION);
                        return EXIT_SUCCESS;
                default:
                        return EXIT_USAGE;
                }
        }
        if (optind == argc)
                return -1;
        fprintf(stderr, "tracemallocd: unexpected argument '%s'; see tracemallocd --help\n", argv[optind]);
        return EXIT_USAGE;
}

static int usage_error(const char *what, const char *value, const char *choices) {
        fprintf(stderr, "tracemallocd: invalid %s '%s': %s\n", what, value, choices);
        return EXIT_USAGE;
}

/* The file, then what the command line says over it. Return: -1 to go on, else the exit status. */
static int read_config(struct config *config, const struct options *o) {
        AUTO_FREE char *error = NULL;
        if (config_init(config) < 0)
                return EXIT_FAILURE;
        const char *path = o->config ? o->config : CONFIG_PATH_DEFAULT;
        if (config_read(config, path, o->config != NULL, &error) != 0) {
                fprintf(stderr, "tracemallocd: %s\n", error ? error : "out of memory");
                return EXIT_FAILURE;
        }
        if (o->log_level && log_level_parse(o->log_level, &config->log_level) < 0)
                return usage_error("log level", o->log_level, "error, warning, info or debug");
        if (o->idle_exit) {
                char *end;
                unsigned long seconds = strtoul(o->idle_exit, &end, 10);
                if (*end || end == o->idle_exit || seconds > 86400)
                        return usage_error("number of seconds", o->idle_exit, "0 to 86400");
                config->idle_exit_s = (uint32_t)seconds;
        }
        return -1;
}

/* A daemon that traces itself would feed on its own events. */
static void leave_tracing(char **argv) {
        const char *preload = getenv("LD_PRELOAD");
        if (!preload || !strstr(preload, "libtracemalloc-agent"))
                return;
        unsetenv("LD_PRELOAD");
        execv("/proc/self/exe", argv);
}

static void raise_descriptor_limit(void) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/* An array of a snapshot is a mapping: it grows without a copy, and goes back when it is freed. By itself malloc takes
 * what was freed once for what is wanted again, and keeps up to 32 MiB of it for each thread. */
static void give_memory_back(void) {
        mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES);
}

static int fail(const char *what, int error) {
        log_error("%s: %s", what, strerror(-error));
        return -1;
}

/* Sockets that systemd holds for us are taken over, others are made. */
static int listening_socket(const struct daemon *d, const char *name, const char *file) {
        AUTO_FREE char *path = NULL;
        int fd = fd_store_take(d->fd_store, name);
        if (fd >= 0)
                return fd;
        if (asprintf(&path, "%s/%s", d->places.runtime_dir, file) < 0)
                return -ENOMEM;
        /* who may do what is decided by SO_PEERCRED; a private daemon's directory is its user's alone */
        fd = listener_bind(path, d->places.system ? 0666 : 0600);
        if (fd == -ENAMETOOLONG)
                log_error("%s is too long for a socket: 107 bytes at most; choose a shorter --runtime-dir", path);
        else if (fd < 0)
                log_error("cannot listen on %s: %s", path, strerror(-fd));
        return fd;
}

static int open_sockets(struct daemon *d) {
        pool_queue_init(&d->requests, d->loop);
        int agent = listening_socket(d, "agent", "agent.sock");
        int control = agent < 0 ? -1 : listening_socket(d, "control", "control.sock");
        if (agent < 0 || control < 0)
                return -1;
        int r = agents_open(d, agent, &d->agents);
        if (r == 0)
                r = control_server_open(d, control, &d->control);
        return r < 0 ? fail("cannot serve the sockets", r) : 0;
}

/* What systemd hands over. A private daemon has no unit that would hand anything on. */
static int open_fd_store(struct daemon *d) {
        int r = fd_store_new(d->places.system && d->config.keep_tables, &d->fd_store);
        return r < 0 ? fail("cannot take over systemd's descriptors", r) : 0;
}

static int open_store(struct daemon *d) {
        char message[STORE_MESSAGE_MAX] = "";
        int r = store_open(d->loop, d->places.state_dir, &d->store, message);
        if (r == 0) {
                store_retain(d->store, &d->config.retention);
                return 0;
        }
        log_error("cannot open the snapshots in %s: %s", d->places.state_dir, *message ? message : strerror(-r));
        return -1;
}

/* What debuginfod downloads is kept where the helper, which is nobody under a daemon of root, may write.
 * Return: malloc'd; NULL: the library's default. */
static char *debuginfod_cache(const struct daemon *d) {
        char *path;
        if (!*d->config.debuginfod_urls || asprintf(&path, "%s/debuginfod", d->places.state_dir) < 0)
                return NULL;
        if ((mkdir(path, 0700) < 0 && errno != EEXIST) || (geteuid() == 0 && chown(path, HELPER_UID, HELPER_UID) < 0))
                log_warning("cannot use %s: %s", path, strerror(errno));
        return path;
}

static int open_symbols(struct daemon *d) {
        struct module_files_limits limits = {.n_files = MODULE_FILES_MAX, .n_files_per_uid = MODULE_FILES_PER_USER};
        AUTO_FREE char *cache = debuginfod_cache(d);
        struct symbolizer_config config = {.helper_path = d->places.symbolizer_path,
                                           .debuginfod_urls = d->config.debuginfod_urls,
                                           .debuginfod_cache = cache};
        int r = module_files_new(&limits, &d->files);
        if (r == 0)
                r = symbolizer_new(&config, d->files, &d->symbolizer);
        if (r == 0)
                r = late_symbols_new(d, &d->late_symbols);
        return r < 0 ? fail("cannot prepare symbols", r) : 0;
}

/* As many as configured, and one for each doorbell that agents already have. */
static int open_workers(struct daemon *d) {
        for (;;) {
                unsigned i = (unsigned)d->n_workers;
                int doorbell = i < WORKERS_MAX ? kept_doorbell(d, i) : -1;
                if (doorbell < 0 && i >= d->config.workers)
                        return 0;
                int r = worker_new(d->loop, doorbell, &d->workers[i]);
                if (r < 0)
                        return fail("cannot start an ingest thread", r);
                d->n_workers++;
                if (doorbell < 0)
                        kept_doorbell_put(d, i, worker_doorbell_fd(d->workers[i]));
        }
}

static int run(struct daemon *d) {
        AUTO_CLOSE int lock = places_lock_runtime(&d->places);
        if (lock == -EWOULDBLOCK) {
                log_error("another tracemallocd serves %s", d->places.runtime_dir);
                return EXIT_FAILURE;
        }
        if (lock < 0) {
                log_error("cannot use %s: %s", d->places.runtime_dir, strerror(-lock));
                return EXIT_FAILURE;
        }
        if (open_fd_store(d) < 0 || open_store(d) < 0 || open_symbols(d) < 0 || open_workers(d) < 0)
                return EXIT_FAILURE; /* the process ends: nothing that was begun outlives it */
        int r = exec_watch_new(d, &d->exec_watch);
        if (r < 0) {
                fail("cannot watch for execs", r);
                return EXIT_FAILURE;
        }
        kept_processes_adopt(d);
        if (open_sockets(d) < 0)
                return EXIT_FAILURE;
        log_info("ready: %s, snapshots in %s", d->places.runtime_dir, store_path(d->store));
        r = lifetime_run(d);
        d->fd_store = fd_store_free(d->fd_store);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int serve(int argc, char **argv) {
        struct options options = {0};
        struct daemon daemon = {.loop = uv_default_loop()};
        leave_tracing(argv);
        int status = parse_options(argc, argv, &options);
        if (status < 0)
                status = read_config(&daemon.config, &options);
        if (status >= 0)
                return status;
        log_open(daemon.config.log_level);
        signal(SIGPIPE, SIG_IGN);
        crash_watch();
        raise_descriptor_limit();
        give_memory_back();
        pool_queue_set_threads();
        int r = places_init(&daemon.places, options.runtime_dir, options.state_dir);
        if (r < 0) {
                log_error("no place for snapshots: set HOME, XDG_STATE_HOME or --state-dir");
                return EXIT_FAILURE;
        }
        status = run(&daemon);
        places_deinit(&daemon.places);
        config_deinit(&daemon.config);
        return status;
}

int main(int argc, char **argv) {
        int status = serve(argc, argv);
        log_close();
        /* systemd starts the service again 0.2 s after it ended, for the sake of crashes. What was in the way of a
         * start would be there then too: it would fill the journal, and try a migration on a full disk over and over.
         */
        if (status == EXIT_FAILURE && getenv("NOTIFY_SOCKET"))
                sleep(START_PAUSE_S);
        return status;
}
