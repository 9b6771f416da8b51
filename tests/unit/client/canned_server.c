/* SPDX-License-Identifier: Apache-2.0 */

/* The canned control server of test_tmctl*.c: one process, one connection at a time. */

#include "tests/unit/client/canned_server.h"

#include "proto/control.pb-c.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *requests;
static long logged; /* behind the last whole line */

static void die(const char *what) {
        perror(what);
        _exit(1);
}

static bool read_all(int fd, void *bytes, size_t length) {
        for (size_t done = 0; done < length;) {
                ssize_t n = read(fd, (char *)bytes + done, length - done);
                if (n <= 0)
                        return false;
                done += (size_t)n;
        }
        return true;
}

static void send_message(int fd, const ProtobufCMessage *message) {
        size_t length = protobuf_c_message_get_packed_size(message);
        uint8_t *frame = malloc(length + 4);
        uint32_t header = (uint32_t)length;
        memcpy(frame, &header, 4);
        protobuf_c_message_pack(message, frame + 4);
        if (send(fd, frame, length + 4, MSG_NOSIGNAL) < 0)
                perror("send");
        free(frame);
}

static ProtobufCMessage *receive_message(int fd, const ProtobufCMessageDescriptor *type) {
        uint32_t length;
        if (!read_all(fd, &length, 4))
                return NULL;
        uint8_t *bytes = malloc(length + 1);
        if (!read_all(fd, bytes, length))
                die("read");
        ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, length, bytes);
        free(bytes);
        return message;
}

#define BYTES(text) ((ProtobufCBinaryData){sizeof(text) - 1, (uint8_t *)(text)})

/* The line that tells of a request is there before the answer is, so that a test need not wait for it. */
static void end_log_line(void) {
        if (ftell(requests) > logged) {
                fputc('\n', requests);
                fflush(requests);
                logged = ftell(requests);
        }
}

static void reply(int fd, int body_case, void *body) {
        end_log_line();
        Tracemallocd__Control__Reply message = TRACEMALLOCD__CONTROL__REPLY__INIT;
        message.body_case = body_case;
        message.error = body;
        send_message(fd, &message.base);
}

static void reply_done(int fd) {
        Tracemallocd__Control__Done done = TRACEMALLOCD__CONTROL__DONE__INIT;
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_DONE, &done);
}

static void reply_error(int fd, Tracemallocd__Control__Error__Code code, const char *text) {
        Tracemallocd__Control__Error error = TRACEMALLOCD__CONTROL__ERROR__INIT;
        error.code = code;
        error.message = (char *)text;
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_ERROR, &error);
}

static void reply_progress(int fd) {
        Tracemallocd__Control__Progress progress = TRACEMALLOCD__CONTROL__PROGRESS__INIT;
        progress.what = (char *)"Resolving symbols";
        progress.done = 1;
        progress.total = 2;
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_PROGRESS, &progress);
}

static void log_selector(const Tracemallocd__Control__ProcessSelector *s) {
        for (size_t i = 0; i < s->n_pids; i++)
                fprintf(requests, " pid=%u", s->pids[i]);
        for (size_t i = 0; i < s->n_names; i++)
                fprintf(requests, " name=%.*s", (int)s->names[i].len, s->names[i].data);
        for (size_t i = 0; i < s->n_units; i++)
                fprintf(requests, " unit=%.*s", (int)s->units[i].len, s->units[i].data);
}

static void log_view(const Tracemallocd__Control__View *v) {
        fprintf(requests, " group_by=%d cumulative=%d allocated=%d limit=%" PRIu64, v->group_by, v->cumulative,
                v->allocated, v->limit);
        for (size_t i = 0; i < v->n_filters; i++) {
                const Tracemallocd__Control__Filter *f = v->filters[i];
                fprintf(requests, " filter(%s%s", f->inclusive ? "+" : "-", f->domain_only ? "domain" : "");
                if (!f->domain_only)
                        fprintf(requests, "%.*s", (int)f->pattern.len, f->pattern.data);
                if (f->has_lineno)
                        fprintf(requests, ":%" PRIu64, f->lineno);
                fprintf(requests, "%s%s%s)", f->all_frames ? " all" : "", f->domain[0] ? " " : "", f->domain);
        }
        for (size_t i = 0; i < v->n_skip; i++)
                fprintf(requests, " skip=%.*s", (int)v->skip[i].len, v->skip[i].data);
        for (size_t i = 0; i < v->n_skip_functions; i++)
                fprintf(requests, " skip_function=%.*s", (int)v->skip_functions[i].len, v->skip_functions[i].data);
        if (v->by_count)
                fprintf(requests, " by_count");
        if (v->skip_wrappers)
                fprintf(requests, " skip_wrappers");
}

static void log_bytes(const char *what, const ProtobufCBinaryData *bytes) {
        fprintf(requests, " %s=%.*s", what, (int)bytes->len, bytes->data);
}

/* Return: whether the selection is one that we know; else the error was sent. */
static bool check_selector(int fd, const Tracemallocd__Control__ProcessSelector *s) {
        for (size_t i = 0; i < s->n_pids; i++) {
                if (s->pids[i] == 5) {
                        reply_error(fd, TRACEMALLOCD__CONTROL__ERROR__CODE__DENIED,
                                    "process 5 belongs to another user");
                        return false;
                }
                if (s->pids[i] != 1234 && s->pids[i] != 77) {
                        reply_error(fd, TRACEMALLOCD__CONTROL__ERROR__CODE__NOT_FOUND,
                                    "no process 99; its exit snapshot is 17");
                        return false;
                }
        }
        return true;
}

static void fill_process(Tracemallocd__Control__Process *p, uint32_t pid, Tracemallocd__Control__Domain **domains) {
        static char *layers[] = {(char *)"malloc"};
        tracemallocd__control__process__init(p);
        p->pid = p->ns_pid = pid;
        p->ppid = 1;
        p->name = pid == 77 ? BYTES("caf\xe9\x1b[31m") : BYTES("redis-server");
        p->exe = BYTES("/usr/bin/redis-server");
        p->unit = pid == 77 ? BYTES("") : BYTES("redis-server.service");
        p->image = 1;
        p->started_at_unix_ns = INT64_C(1795343400123456789);
        p->mode = (char *)"exact";
        p->state = (char *)"tracing";
        p->n_layers = 1;
        p->layers = layers;
        p->traceback_limit = 64;
        p->n_domains = 1;
        p->domains = domains;
        p->live_size = 10240;
        p->live_count = 2;
        p->peak_size = 102400;
        p->resident_size = 20480000;
        p->events = 1000;
        p->lost = pid == 77 ? 512 : 0;
        p->exact = pid != 77;
}

/* malloc's, and NumPy's beside it */
static Tracemallocd__Control__Domain **two_domains(void) {
        static Tracemallocd__Control__Domain domain, arrays, *both[] = {&domain, &arrays};
        tracemallocd__control__domain__init(&domain);
        domain.number = 4294967294u;
        domain.name = BYTES("malloc");
        domain.live_size = 10240;
        domain.live_count = 2;
        domain.peak_size = 102400;
        arrays = domain;
        arrays.number = 389047;
        arrays.name = BYTES("");
        return both;
}

static void answer_ps(int fd, const Tracemallocd__Control__PsRequest *request) {
        fprintf(requests, "ps");
        log_selector(request->selector);
        if (!check_selector(fd, request->selector))
                return;
        const uint32_t pids[] = {1234, 77};
        for (size_t i = 0; i < 2; i++) {
                Tracemallocd__Control__Process process;
                fill_process(&process, pids[i], two_domains());
                process.n_domains = pids[i] == 77 ? 2 : 1;
                reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_PROCESS, &process);
        }
        reply_done(fd);
}

static void answer_snapshot(int fd, const Tracemallocd__Control__SnapshotRequest *request) {
        fprintf(requests, "snapshot");
        log_selector(request->selector);
        log_bytes("label", &request->label);
        fprintf(requests, " peak=%d", request->peak);
        if (!check_selector(fd, request->selector))
                return;
        int64_t ids[] = {17, 18};
        Tracemallocd__Control__SnapshotIds answer = TRACEMALLOCD__CONTROL__SNAPSHOT_IDS__INIT;
        bool many = request->selector->n_pids != 1;
        answer.n_ids = many ? 2 : 1;
        answer.ids = ids;
        answer.set = many ? 3 : 0;
        reply_progress(fd);
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_IDS, &answer);
        reply_done(fd);
}

static void fill_info(Tracemallocd__Control__SnapshotInfo *s, int64_t id) {
        tracemallocd__control__snapshot_info__init(s);
        s->id = id;
        s->pid = 1234;
        s->name = BYTES("redis-server");
        s->exe = BYTES("/usr/bin/redis-server");
        s->kind = (char *)(id == 18 ? "exit" : "request");
        s->set = id == 18 ? 3 : 0;
        if (id == 18)
                s->ended_by = BYTES("signal 9");
        else
                s->label = BYTES("before");
        s->taken_at_unix_ns = INT64_C(1795343400123456789);
        s->image = 1;
        s->traceback_limit = 64;
        s->size = 10240;
        s->count = 2;
        s->traces = 1;
        s->exact = true;
}

static void reply_info(int fd, int64_t id) {
        Tracemallocd__Control__SnapshotInfo info;
        fill_info(&info, id);
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_SNAPSHOT, &info);
}

static void answer_list(int fd, const Tracemallocd__Control__ListRequest *request) {
        fprintf(requests, "list");
        log_selector(request->selector);
        log_bytes("label", &request->label);
        fprintf(requests, " kind=%s since=%d", request->kind, request->since_unix_ns != 0);
        size_t n = strcmp(request->kind, "import") == 0 ? 0 : access("many", F_OK) == 0 ? 40 : 2;
        for (size_t i = 0; i < n; i++)
                reply_info(fd, i == 1 ? 18 : 17);
        reply_done(fd);
}

static bool check_snapshot(int fd, const char *reference) {
        if (strcmp(reference, "999") == 0)
                reply_error(fd, TRACEMALLOCD__CONTROL__ERROR__CODE__NOT_FOUND, "no snapshot 999");
        else if (strcmp(reference, "998") == 0)
                reply_error(fd, TRACEMALLOCD__CONTROL__ERROR__CODE__FAILED, "the disk is full");
        else if (strcmp(reference, "666") == 0)
                shutdown(fd, SHUT_RDWR);
        else if (strcmp(reference, "555") == 0)
                return false; /* takes its time */
        else
                return true;
        return false;
}

static void fill_frame(Tracemallocd__Control__Frame *f, const char *file, uint64_t lineno, const char *function) {
        tracemallocd__control__frame__init(f);
        f->filename = (ProtobufCBinaryData){strlen(file), (uint8_t *)file};
        f->lineno = lineno;
        f->has_function = function != NULL;
        if (function)
                f->function = (ProtobufCBinaryData){strlen(function), (uint8_t *)function};
}

/* Two rows, the second without a line, each in a message of its own. */
static void reply_rows(int fd) {
        Tracemallocd__Control__Frame frames[3], *pointers[3] = {&frames[0], &frames[1], &frames[2]};
        fill_frame(&frames[0], "main.c", 9, "main");
        fill_frame(&frames[1], "a\xe9.py", 3, "f");
        fill_frame(&frames[2], "/usr/lib/libfoo.so.1", 0, "foo");
        frames[2].has_module = 1;
        frames[2].module = BYTES("/usr/lib/libfoo.so.1");
        for (int i = 0; i < 2; i++) {
                Tracemallocd__Control__StatisticRow row = TRACEMALLOCD__CONTROL__STATISTIC_ROW__INIT, *rows[] = {&row};
                Tracemallocd__Control__StatisticRows message = TRACEMALLOCD__CONTROL__STATISTIC_ROWS__INIT;
                row.n_traceback = 2;
                row.traceback = pointers + i;
                row.size = i == 0 ? 10240 : 0;
                row.size_diff = i == 0 ? 512 : -512;
                row.count = i == 0 ? 2 : 0;
                row.count_diff = i == 0 ? 1 : -1;
                message.n_rows = 1;
                message.rows = rows;
                reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_ROWS, &message);
        }
}

static void reply_statistics(int fd, bool diff, bool sum) {
        Tracemallocd__Control__StatisticsHeader header = TRACEMALLOCD__CONTROL__STATISTICS_HEADER__INIT;
        Tracemallocd__Control__SnapshotInfo old, new;
        ProtobufCBinaryData without[] = {BYTES("/usr/lib/libfoo.so.1"), BYTES("/srv/app/server")};
        fill_info(&old, 17);
        fill_info(&new, diff ? 18 : 17);
        if (sum)
                new.id = 0;
        header.snapshot = &new;
        header.old = diff ? &old : NULL;
        header.total_size = 10240;
        header.total_size_diff = diff ? -10240 : 0;
        header.total_count = 2;
        header.exact = !diff;
        new.lost = diff ? 512 : 0;
        header.n_rows = 345;
        ProtobufCBinaryData supposed[] = {BYTES("load_malloc"), BYTES("shop::pool_strdup(std::string const&)"),
                                          BYTES("checked_malloc(unsigned long)")};
        header.wrappers_skipped = diff || sum;
        header.n_supposed_wrappers = sum ? (diff ? 3 : 2) : 0;
        header.n_more_wrappers = sum && diff ? 4 : 0;
        header.supposed_wrappers = supposed;
        Tracemallocd__Control__Domain pool = TRACEMALLOCD__CONTROL__DOMAIN__INIT, arrays = pool;
        pool.number = 481735;
        pool.name = BYTES("pool");
        arrays.number = 389047;
        Tracemallocd__Control__Domain *beside[] = {&arrays, &pool};
        header.beside_malloc = beside;
        header.n_beside_malloc = sum ? (diff ? 2 : 1) : 0;
        header.n_without_lines = diff ? 2 : 1;
        header.symbols_failed = diff && sum;
        header.without_lines = without + (sum && !diff ? 1 : 0);
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_STATISTICS, &header);
        reply_rows(fd);
        reply_done(fd);
}

static void answer_traces(int fd, const Tracemallocd__Control__TracesRequest *request) {
        fprintf(requests, "traces %s", request->snapshot);
        log_view(request->view);
        if (!check_snapshot(fd, request->snapshot))
                return;
        Tracemallocd__Control__Frame frame, *frames[] = {&frame};
        fill_frame(&frame, "a.py", 3, NULL);
        Tracemallocd__Control__TraceRow known = TRACEMALLOCD__CONTROL__TRACE_ROW__INIT, peak = known;
        known.domain_name = BYTES("python");
        known.has_size = 1;
        known.size = 10;
        known.count = peak.count = 2;
        known.total_size = peak.total_size = 20;
        known.has_total_nframe = 1;
        known.total_nframe = 4;
        known.n_traceback = peak.n_traceback = 1;
        known.traceback = peak.traceback = frames;
        peak.domain = 7;
        Tracemallocd__Control__TraceRow *rows[] = {&known, &peak};
        Tracemallocd__Control__TraceRows message = TRACEMALLOCD__CONTROL__TRACE_ROWS__INIT;
        message.n_rows = 2;
        message.rows = rows;
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_TRACES, &message);
        reply_done(fd);
}

static void answer_run_wait(int fd, const Tracemallocd__Control__RunWait *request) {
        fprintf(requests, "run_wait token=");
        for (size_t i = 0; i < request->token.len; i++)
                fprintf(requests, "%02x", request->token.data[i]);
        const uint32_t pids[] = {request->pid, 77};
        for (size_t i = 0; i < 2; i++) {
                Tracemallocd__Control__Process process;
                Tracemallocd__Control__RunProcess answer = TRACEMALLOCD__CONTROL__RUN_PROCESS__INIT;
                fill_process(&process, pids[i], two_domains());
                process.n_domains = pids[i] == 77 ? 2 : 0;
                answer.process = &process;
                answer.exit_snapshot = i == 0 ? 17 : 19;
                answer.peak_snapshot = i == 0 ? 18 : 20;
                answer.allocated_count = 1234567;
                answer.allocated_size = 536870912;
                answer.ended_by = BYTES("exit 0");
                answer.others = 2;
                answer.running = 3;
                reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_RUN_PROCESS, &answer);
        }
        reply_done(fd);
}

static void answer_run_begin(int fd, const Tracemallocd__Control__RunBegin *request) {
        fprintf(requests, "run_begin");
        log_bytes("label", &request->label);
        fprintf(requests, " exit_snapshot=%d children=%d", request->exit_snapshot, request->children);
        Tracemallocd__Control__RunToken token = TRACEMALLOCD__CONTROL__RUN_TOKEN__INIT;
        token.token = BYTES("\xab\x01");
        reply(fd, TRACEMALLOCD__CONTROL__REPLY__BODY_RUN, &token);
        reply_done(fd);
}

static void answer_simple(int fd, const Tracemallocd__Control__Request *request) {
        switch (request->body_case) {
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_SHOW:
                fprintf(requests, "show %s", request->show->snapshot);
                if (!check_snapshot(fd, request->show->snapshot))
                        return;
                reply_info(fd, 17);
                if (request->show->snapshot[0] == 's')
                        reply_info(fd, 18);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_LABEL:
                fprintf(requests, "label %s", request->label->snapshot);
                log_bytes("label", &request->label->label);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_DELETE_:
                fprintf(requests, "delete");
                for (size_t i = 0; i < request->delete_->n_snapshots; i++)
                        fprintf(requests, " %s", request->delete_->snapshots[i]);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_CONTROL:
                fprintf(requests, "control action=%d frames=%u", request->control->action,
                        request->control->traceback_limit);
                log_selector(request->control->selector);
                if (!check_selector(fd, request->control->selector))
                        return;
                break;
        default:
                break;
        }
        reply_done(fd);
}

static void answer(int fd, const Tracemallocd__Control__Request *request) {
        switch (request->body_case) {
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_PS:
                answer_ps(fd, request->ps);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_SNAPSHOT:
                answer_snapshot(fd, request->snapshot);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_LIST:
                answer_list(fd, request->list);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_STATS:
                fprintf(requests, "stats %s", request->stats->snapshot);
                log_view(request->stats->view);
                if (check_snapshot(fd, request->stats->snapshot))
                        reply_statistics(fd, false, request->stats->snapshot[0] == 's');
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_COMPARE:
                fprintf(requests, "compare %s %s", request->compare->old, request->compare->new_);
                log_view(request->compare->view);
                reply_statistics(fd, true, request->compare->new_[0] == 's');
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_TRACES:
                answer_traces(fd, request->traces);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_RUN_BEGIN:
                answer_run_begin(fd, request->run_begin);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_RUN_WAIT:
                answer_run_wait(fd, request->run_wait);
                break;
        default:
                answer_simple(fd, request);
        }
        end_log_line();
}

static void serve(int fd, const char *agent_path) {
        Tracemallocd__Control__HelloReply hello = TRACEMALLOCD__CONTROL__HELLO_REPLY__INIT;
        ProtobufCMessage *message = receive_message(fd, &tracemallocd__control__hello__descriptor);
        if (!message)
                return;
        protobuf_c_message_free_unpacked(message, NULL);
        hello.major = TRACEMALLOCD__CONTROL__VERSION__VERSION_MAJOR;
        hello.daemon = (char *)"fake";
        hello.agent_path = (char *)agent_path;
        send_message(fd, &hello.base);
        while ((message = receive_message(fd, &tracemallocd__control__request__descriptor))) {
                answer(fd, (Tracemallocd__Control__Request *)message);
                protobuf_c_message_free_unpacked(message, NULL);
        }
}

pid_t canned_server_start(const char *dir, const char *agent_path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char log[128];
        snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", dir);
        snprintf(log, sizeof log, "%s/requests", dir);
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 8) < 0)
                die("listen");
        pid_t pid = fork();
        if (pid == 0) {
                requests = fopen(log, "w");
                if (chdir(dir) < 0)
                        die(dir);
                for (;;) {
                        int fd = accept(listener, NULL, NULL);
                        if (fd < 0)
                                die("accept");
                        serve(fd, agent_path);
                        close(fd);
                }
        }
        close(listener);
        return pid;
}

void canned_server_stop(pid_t pid) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}
