/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Locations to source frames: chunks of one module, one chunk a request. Pool
 * threads; a turn is one request, so that a long job lets a short one in
 * between, and one user's jobs those of another.
 */

#include "daemon/symbol/symbolizer.h"

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/symbol/helper_process.h"
#include "daemon/symbol/symbol_answer.h"
#include "daemon/symbol/symbol_channel.h"
#include "daemon/symbol/symbol_turn.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_OFFSETS        1024
#define OPEN_MAX             64  /* as many as the helper keeps open */
#define SUSPECTS_MAX         256 /* the oldest is forgiven for a new one */
#define KILLS_MAX            2   /* once may be an accident */
#define TIMEOUT_MS           60000
#define TIMEOUT_DEBUGINFO_MS 120000

/* What a module is known by, apart from its uid. Bytes are owned. */
struct module_name {
        char *path;
        size_t path_length;
        uint8_t build_id[SYMBOL_SET_BUILD_ID_MAX];
        size_t build_id_length;
};

/* A module that the running helper has open, unless it let go. */
struct open_module {
        struct module_name name;
        uint32_t number; /* 0: nothing here */
};

/* A module that ended a helper. */
struct suspect {
        struct module_name name;
        uint32_t uid;
        uint32_t n_kills; /* 0: nothing here */
        bool was_timeout; /* the last time */
};

struct symbolizer {
        struct symbol_turn turn;      /* whose request it is: who has it, has the rest */
        pthread_mutex_t helper_mutex; /* held when helper is set, and for symbolizer_cancel(), which may not wait */
        bool cancelled;               /* under it */
        struct helper_process_config config;
        char *path, *debug_root, *debuginfod_urls, *debuginfod_cache; /* what config points to */
        uint32_t timeout_ms;
        struct module_files *files;
        struct helper_process *helper; /* NULL: none is running */
        uint32_t helper_uid;           /* whose files it reads */
        uint32_t last_number;
        uint32_t next_open, next_suspect; /* slots that are taken next */
        struct open_module open[OPEN_MAX];
        struct suspect suspects[SUSPECTS_MAX];
};

/* One call of symbolizer_resolve(). */
struct job {
        struct symbolizer *symbolizer;
        uint32_t uid;
        const struct symbol_module *module;
        uint32_t module_index;
        struct symbol_set *set;
        bool is_fresh; /* no request was made yet */
        bool has_problem;
};

static bool has_name(const struct module_name *name, const struct symbol_module *module) {
        return name->path_length == module->path.length && name->build_id_length == module->build_id_length &&
               memcmp(name->path, module->path.bytes, name->path_length) == 0 &&
               memcmp(name->build_id, module->build_id, name->build_id_length) == 0;
}

static int name_set(struct module_name *name, const struct symbol_module *module) {
        char *path = malloc(module->path.length + 1);
        if (!path)
                return -ENOMEM;
        memcpy(path, module->path.bytes, module->path.length);
        free(name->path);
        name->path = path;
        name->path_length = module->path.length;
        name->build_id_length = module->build_id_length;
        memcpy(name->build_id, module->build_id, module->build_id_length);
        return 0;
}

/* ---- lifecycle ---- */

static char *copy(const char *string, bool *failedp) {
        char *c = string ? strdup(string) : NULL;
        *failedp = *failedp || (string && !c);
        return c;
}

int symbolizer_new(const struct symbolizer_config *config, struct module_files *files,
                   struct symbolizer **symbolizerp) {
        bool failed = false, asks = config->debuginfod_urls && config->debuginfod_urls[0];
        struct symbolizer *s = calloc(1, sizeof *s);
        if (!s || symbol_turn_init(&s->turn) != 0) {
                free(s);
                return -ENOMEM;
        }
        pthread_mutex_init(&s->helper_mutex, NULL); /* the default kind never fails here */
        s->path = copy(config->helper_path, &failed);
        s->debug_root = copy(config->debug_root, &failed);
        s->debuginfod_urls = copy(config->debuginfod_urls, &failed);
        s->debuginfod_cache = copy(config->debuginfod_cache, &failed);
        s->config = (struct helper_process_config){s->path, s->debug_root, s->debuginfod_urls, s->debuginfod_cache};
        s->timeout_ms = config->request_timeout_ms;
        if (s->timeout_ms == 0)
                s->timeout_ms = asks ? TIMEOUT_DEBUGINFO_MS : TIMEOUT_MS;
        s->files = files;
        if (failed) {
                symbolizer_free(s);
                return -ENOMEM;
        }
        *symbolizerp = s;
        return 0;
}

static void end_helper(struct symbolizer *s) {
        pthread_mutex_lock(&s->helper_mutex);
        struct helper_process *helper = s->helper;
        s->helper = NULL;
        pthread_mutex_unlock(&s->helper_mutex);
        helper_process_end(helper);
        for (size_t i = 0; i < OPEN_MAX; i++)
                s->open[i].number = 0;
}

struct symbolizer *symbolizer_free(struct symbolizer *s) {
        if (!s)
                return NULL;
        end_helper(s);
        for (size_t i = 0; i < OPEN_MAX; i++)
                free(s->open[i].name.path);
        for (size_t i = 0; i < SUSPECTS_MAX; i++)
                free(s->suspects[i].name.path);
        free(s->path);
        free(s->debug_root);
        free(s->debuginfod_urls);
        free(s->debuginfod_cache);
        pthread_mutex_destroy(&s->helper_mutex);
        symbol_turn_deinit(&s->turn);
        free(s);
        return NULL;
}

void symbolizer_cancel(struct symbolizer *s) {
        pthread_mutex_lock(&s->helper_mutex);
        s->cancelled = true;
        if (s->helper)
                helper_process_interrupt(s->helper);
        pthread_mutex_unlock(&s->helper_mutex);
}

static bool is_cancelled(struct symbolizer *s) {
        pthread_mutex_lock(&s->helper_mutex);
        bool cancelled = s->cancelled;
        pthread_mutex_unlock(&s->helper_mutex);
        return cancelled;
}

/* @helper: taken. It may have been cancelled while it started. */
static void set_helper(struct symbolizer *s, struct helper_process *helper) {
        pthread_mutex_lock(&s->helper_mutex);
        s->helper = helper;
        if (s->cancelled)
                helper_process_interrupt(helper);
        pthread_mutex_unlock(&s->helper_mutex);
}

static int ensure_helper(struct symbolizer *s, uint32_t uid) {
        struct helper_process *helper;
        if (is_cancelled(s))
                return -ECANCELED;
        if (s->helper && s->helper_uid != uid)
                end_helper(s);
        if (s->helper)
                return 0;
        s->helper_uid = uid;
        int r = helper_process_start(&s->config, &helper);
        if (r < 0)
                log_error("cannot start the symbol helper %s: %s", s->path, strerror(-r));
        else
                set_helper(s, helper);
        return r;
}

/* ---- modules that are open, modules that kill ---- */

static struct open_module *find_open(struct symbolizer *s, const struct symbol_module *module) {
        for (size_t i = 0; i < OPEN_MAX; i++)
                if (s->open[i].number != 0 && has_name(&s->open[i].name, module))
                        return &s->open[i];
        return NULL;
}

static void forget_open(struct symbolizer *s, const struct symbol_module *module) {
        struct open_module *open = find_open(s, module);
        if (open)
                open->number = 0;
}

static void remember_open(struct symbolizer *s, const struct symbol_module *module, uint32_t number) {
        struct open_module *open = &s->open[s->next_open++ % OPEN_MAX];
        open->number = name_set(&open->name, module) == 0 ? number : 0; /* without memory it is opened again */
}

static struct suspect *find_suspect(struct symbolizer *s, uint32_t uid, const struct symbol_module *module) {
        for (size_t i = 0; i < SUSPECTS_MAX; i++)
                if (s->suspects[i].n_kills != 0 && s->suspects[i].uid == uid && has_name(&s->suspects[i].name, module))
                        return &s->suspects[i];
        return NULL;
}

static int blame(struct job *job, bool is_timeout) {
        struct symbolizer *s = job->symbolizer;
        struct suspect *suspect = find_suspect(s, job->uid, job->module);
        if (!suspect) {
                suspect = &s->suspects[s->next_suspect++ % SUSPECTS_MAX];
                suspect->n_kills = 0;
                int r = name_set(&suspect->name, job->module);
                if (r < 0)
                        return r;
                suspect->uid = job->uid;
        }
        suspect->n_kills++;
        suspect->was_timeout = is_timeout;
        log_warning("the symbol helper %s over %.*s of uid %u", is_timeout ? "did not answer" : "died",
                    (int)job->module->path.length, job->module->path.bytes, job->uid);
        return 0;
}

/* ---- one request ---- */

static int say_problem(struct job *job, const char *problem) {
        job->has_problem = true;
        return symbol_set_examined(job->set, job->module_index, false, problem, strlen(problem));
}

/* Return: a descriptor to close; -1 where none is known. */
static int file_of(struct job *job) {
        const struct symbol_module *module = job->module;
        int fd;
        if (!job->symbolizer->files ||
            module_files_get(job->symbolizer->files, job->uid, module->path.bytes, module->path.length,
                             module->build_id, module->build_id_length, &fd) != 0)
                return -1;
        return fd;
}

/* In its turn. A module without a build id is opened for each job: the path may lead to another file by now. */
static int ask(struct job *job, uint64_t *offsets, size_t n, Tracemallocd__Symbol__Resolved **answerp) {
        Tracemallocd__Symbol__Resolve request = TRACEMALLOCD__SYMBOL__RESOLVE__INIT;
        struct symbolizer *s = job->symbolizer;
        const struct symbol_module *module = job->module;
        AUTO_CLOSE int fd = -1;
        if (job->is_fresh && module->build_id_length == 0)
                forget_open(s, module);
        job->is_fresh = false;
        struct open_module *open = find_open(s, module);
        request.module = open ? open->number : ++s->last_number;
        request.n_offsets = n;
        request.offsets = offsets;
        if (!open) {
                fd = file_of(job);
                request.open = true;
                request.path = (ProtobufCBinaryData){module->path.length, (uint8_t *)module->path.bytes};
                request.build_id = (ProtobufCBinaryData){module->build_id_length, (uint8_t *)module->build_id};
                request.has_descriptor = fd >= 0;
        }
        int r = helper_process_ask(s->helper, &request, fd, s->timeout_ms, answerp);
        if (r == 0 && !open && (*answerp)->closed)
                return HELPER_E_DIED; /* of what was just opened no helper says so */
        if (r == 0 && !open && !(*answerp)->problem[0])
                remember_open(s, module, request.module);
        return r;
}

/* Return: 0 and n_donep; HELPER_E_DIED: no answer that a helper gives; -ENOMEM. */
static int take_answer(struct job *job, const uint64_t *offsets, size_t n, const Tracemallocd__Symbol__Resolved *answer,
                       size_t *n_donep) {
        int r = symbol_answer_take(answer, job->set, job->module_index, offsets, n, n_donep);
        if (r == SYMBOL_ANSWER_E_CLOSED)
                forget_open(job->symbolizer, job->module);
        job->has_problem = r == SYMBOL_ANSWER_E_PROBLEM;
        if (r == SYMBOL_ANSWER_E_GARBAGE)
                return HELPER_E_DIED;
        return r < 0 ? r : 0;
}

static int request(struct job *job, const uint64_t *offsets, size_t n, size_t *n_donep) {
        uint64_t addresses[CHUNK_OFFSETS];
        Tracemallocd__Symbol__Resolved *answer = NULL;
        for (size_t i = 0; i < n; i++)
                addresses[i] = offsets[i] ? offsets[i] - 1 : 0; /* the call, not what follows it */
        int r = ask(job, addresses, n, &answer);
        if (r == 0)
                r = take_answer(job, offsets, n, answer, n_donep);
        symbol_answer_free(answer);
        if (r != 0)
                end_helper(job->symbolizer);
        if (r > 0)
                r = is_cancelled(job->symbolizer) ? -ECANCELED : blame(job, r == HELPER_E_TIMEOUT);
        return r;
}

/* Resolve the first of these, as many as one request does; 0 of them where it has to be asked again. */
static int step(struct job *job, const uint64_t *offsets, size_t n, size_t *n_donep) {
        struct symbolizer *s = job->symbolizer;
        const struct suspect *suspect = find_suspect(s, job->uid, job->module);
        *n_donep = 0;
        if (suspect && suspect->n_kills >= KILLS_MAX)
                return say_problem(job, suspect->was_timeout ? "reading its debug information takes too long"
                                                             : "its debug information cannot be read: it is damaged");
        int r = ensure_helper(s, job->uid);
        if (r < 0)
                return r;
        return request(job, offsets, n < CHUNK_OFFSETS ? n : CHUNK_OFFSETS, n_donep);
}

/* ---- a module, a snapshot ---- */

static int add_nothing(struct job *job, const uint64_t *offsets, size_t n) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = symbol_set_add(job->set, job->module_index, offsets[i], NULL, 0);
        return r;
}

/* "[vdso]" and the like: mapped, but no file. */
static bool is_no_file(const struct symbol_module *module) {
        return module->path.length == 0 || module->path.bytes[0] == '[';
}

int symbolizer_resolve(struct symbolizer *s, uint32_t uid, uint32_t module, const uint64_t *offsets, size_t n,
                       struct symbol_set *set, int64_t deadline_ns) {
        struct symbol_module described = *symbol_set_module_at(set, module); /* the set moves it as it grows */
        struct job job = {.symbolizer = s,
                          .uid = uid,
                          .module = &described,
                          .module_index = module,
                          .set = set,
                          .is_fresh = true};
        if (is_no_file(&described)) {
                int r = symbol_set_examined(set, module, false, NULL, 0);
                return r < 0 ? r : add_nothing(&job, offsets, n);
        }
        for (size_t at = 0, n_done; at < n; at += n_done) {
                if (clock_ns(CLOCK_MONOTONIC) >= deadline_ns)
                        return SYMBOLIZER_E_TIMEOUT;
                struct user_turn waiter;
                symbol_turn_take(&s->turn, uid, &waiter);
                int r = step(&job, offsets + at, n - at, &n_done);
                symbol_turn_give(&s->turn, &waiter);
                if (r < 0)
                        return r;
                if (job.has_problem)
                        return add_nothing(&job, offsets + at, n - at);
        }
        return 0;
}

struct wanted {
        uint32_t module; /* in the snapshot */
        uint64_t offset;
};

static int by_module(const void *a, const void *b) {
        const struct wanted *x = a, *y = b;
        if (x->module != y->module)
                return x->module < y->module ? -1 : 1;
        return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* @numbers: [n_modules] of the snapshot's modules in the set */
static int add_modules(const struct snapshot *snapshot, struct symbol_set *known, uint32_t *numbers) {
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < snapshot->n_modules; i++) {
                const struct snapshot_module *module = &snapshot->modules[i];
                const struct snapshot_string *path = &snapshot->strings[module->path];
                r = symbol_set_module(known, path->bytes, path->length, module->build_id, module->build_id_length,
                                      &numbers[i]);
        }
        return r;
}

static size_t collect(const struct snapshot *snapshot, const struct symbol_set *known, const uint32_t *numbers,
                      struct wanted *wanted) {
        size_t n = 0;
        uint32_t n_frames;
        for (uint32_t i = 0; i < snapshot->n_locations; i++) {
                const struct snapshot_location *location = &snapshot->locations[i];
                if (location->kind == LOCATION_NATIVE && location->module != SNAPSHOT_NONE &&
                    !symbol_set_find(known, numbers[location->module], location->offset, &n_frames))
                        wanted[n++] = (struct wanted){location->module, location->offset};
        }
        if (n > 0)
                qsort(wanted, n, sizeof *wanted, by_module);
        return n;
}

int symbolizer_resolve_snapshot(struct symbolizer *s, const struct snapshot *snapshot, struct symbol_set *known,
                                int64_t deadline_ns) {
        AUTO_FREE uint32_t *numbers = calloc(snapshot->n_modules + (size_t)1, sizeof *numbers);
        AUTO_FREE struct wanted *wanted = calloc(snapshot->n_locations + (size_t)1, sizeof *wanted);
        AUTO_FREE uint64_t *offsets = calloc(snapshot->n_locations + (size_t)1, sizeof *offsets);
        if (!numbers || !wanted || !offsets)
                return -ENOMEM;
        int r = add_modules(snapshot, known, numbers);
        size_t n_wanted = r == 0 ? collect(snapshot, known, numbers, wanted) : 0;
        for (size_t i = 0; i < n_wanted; i++)
                offsets[i] = wanted[i].offset;
        for (size_t first = 0, end; r == 0 && first < n_wanted; first = end) {
                for (end = first + 1; end < n_wanted && wanted[end].module == wanted[first].module;)
                        end++;
                r = symbolizer_resolve(s, snapshot->info.uid, numbers[wanted[first].module], offsets + first,
                                       end - first, known, deadline_ns);
        }
        return r;
}
