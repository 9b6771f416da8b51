/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tracemallocd-symbolizer: answers proto/symbol.proto on its standard input.
 * Started by daemon/symbol/helper_process.c with an empty environment, once for
 * each uid whose files are read; ends with the connection. One thread does all
 * (another only watches for the end). It trusts the daemon and nothing else: a
 * file may make it crash, hang or run out of memory, and that is the daemon's
 * business.
 */

#include "daemon/base/cleanup.h"
#include "daemon/symbol/helper/memory.h"
#include "daemon/symbol/helper/module.h"
#include "daemon/symbol/helper/sandbox.h"
#include "daemon/symbol/symbol_channel.h"
#include "proto/symbol.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULES_MAX         64                  /* open at one time; each costs its symbols, and mapped files */
#define ANSWER_BYTES_ENOUGH (UINT32_C(4) << 20) /* an answer that is longer ends early */

#define DEBUG_ROOT_OPTION "--debug-root="

struct slot {
        uint32_t number;
        uint64_t used_at; /* count of requests; 0: empty */
        struct module *module;
};

struct helper {
        struct symbol_channel channel;
        const char *debug_root;
        uint64_t n_requests;
        struct slot slots[MODULES_MAX];
        struct frame_list frames;
};

static struct slot *find_slot(struct helper *helper, uint32_t number) {
        for (size_t i = 0; i < MODULES_MAX; i++)
                if (helper->slots[i].used_at != 0 && helper->slots[i].number == number)
                        return &helper->slots[i];
        return NULL;
}

/* The slot of that number, or the one used least recently, without its module. */
static struct slot *clear_slot(struct helper *helper, uint32_t number) {
        struct slot *slot = find_slot(helper, number);
        for (size_t i = 0; !slot && i < MODULES_MAX; i++)
                if (helper->slots[i].used_at == 0)
                        slot = &helper->slots[i];
        if (!slot) {
                slot = &helper->slots[0];
                for (size_t i = 1; i < MODULES_MAX; i++)
                        if (helper->slots[i].used_at < slot->used_at)
                                slot = &helper->slots[i];
        }
        module_close(slot->module);
        *slot = (struct slot){0};
        return slot;
}

/* Return: as module_open(). */
static int open_module(struct helper *helper, const Tracemallocd__Symbol__Resolve *request, int fd,
                       char problem[MODULE_PROBLEM_BYTES]) {
        AUTO_FREE char *path = memory_string((const char *)request->path.data, request->path.len);
        struct module_source source = {
                .path = path, .fd = fd, .build_id = request->build_id.data, .build_id_length = request->build_id.len};
        struct slot *slot = clear_slot(helper, request->module);
        int r = module_open(&source, helper->debug_root, &slot->module, problem);
        if (r == 0) {
                slot->number = request->module;
                slot->used_at = helper->n_requests;
        }
        return r;
}

static ProtobufCBinaryData bytes_of(const char *string) {
        return (ProtobufCBinaryData){.len = string ? strlen(string) : 0, .data = (uint8_t *)string};
}

/* Frames into a message that owns the file names. Return: about its bytes. */
static size_t fill_location(Tracemallocd__Symbol__Location *location, struct frame_list *list) {
        size_t bytes = 8;
        tracemallocd__symbol__location__init(location);
        location->frames = memory_new(list->n, sizeof *location->frames);
        for (; location->n_frames < list->n; location->n_frames++) {
                struct source_frame *from = &list->frames[location->n_frames];
                Tracemallocd__Symbol__SourceFrame *to = memory_new(1, sizeof *to);
                tracemallocd__symbol__source_frame__init(to);
                to->function = bytes_of(from->function);
                to->filename = bytes_of(from->filename);
                to->lineno = from->lineno;
                from->filename = NULL;
                bytes += to->function.len + to->filename.len + 24;
                location->frames[location->n_frames] = to;
        }
        frame_list_clear(list);
        return bytes;
}

static void free_locations(Tracemallocd__Symbol__Resolved *answer) {
        for (size_t i = 0; i < answer->n_locations; i++) {
                Tracemallocd__Symbol__Location *location = answer->locations[i];
                for (size_t j = 0; j < location->n_frames; j++) {
                        free(location->frames[j]->filename.data);
                        free(location->frames[j]);
                }
                free(location->frames);
                free(location);
        }
        free(answer->locations);
}

static void resolve(struct helper *helper, struct module *module, const Tracemallocd__Symbol__Resolve *request,
                    Tracemallocd__Symbol__Resolved *answer) {
        answer->has_lines = module_has_lines(module);
        answer->locations = memory_new(request->n_offsets, sizeof *answer->locations);
        for (size_t bytes = 0; answer->n_locations < request->n_offsets && bytes < ANSWER_BYTES_ENOUGH;) {
                Tracemallocd__Symbol__Location *location = memory_new(1, sizeof *location);
                module_resolve(module, request->offsets[answer->n_locations], &helper->frames);
                bytes += fill_location(location, &helper->frames);
                answer->locations[answer->n_locations++] = location;
        }
}

static int send_answer(struct helper *helper, const Tracemallocd__Symbol__Resolved *answer) {
        size_t length = tracemallocd__symbol__resolved__get_packed_size(answer);
        AUTO_FREE uint8_t *message = memory_new(FRAME_HEADER_BYTES + length, 1);
        tracemallocd__symbol__resolved__pack(answer, message + FRAME_HEADER_BYTES);
        return symbol_channel_send(&helper->channel, message, length, -1, SYMBOL_CHANNEL_NO_DEADLINE);
}

static int answer_request(struct helper *helper, const Tracemallocd__Symbol__Resolve *request, int fd) {
        Tracemallocd__Symbol__Resolved answer = TRACEMALLOCD__SYMBOL__RESOLVED__INIT;
        char problem[MODULE_PROBLEM_BYTES];
        helper->n_requests++;
        if (request->open && open_module(helper, request, fd, problem) != 0) {
                answer.problem = problem;
                return send_answer(helper, &answer);
        }
        struct slot *slot = find_slot(helper, request->module);
        if (slot) {
                slot->used_at = helper->n_requests;
                resolve(helper, slot->module, request, &answer);
        } else {
                answer.closed = true;
        }
        int r = send_answer(helper, &answer);
        free_locations(&answer);
        return r;
}

/* Return: 0; 1: no more requests, or none that can be read. */
static int serve_one(struct helper *helper) {
        AUTO_CLOSE int fd = -1;
        const uint8_t *payload;
        size_t length;
        if (symbol_channel_receive(&helper->channel, &payload, &length, &fd, SYMBOL_CHANNEL_NO_DEADLINE) != 0)
                return 1;
        Tracemallocd__Symbol__Resolve *request = tracemallocd__symbol__resolve__unpack(NULL, length, payload);
        if (!request)
                return 1;
        int r = answer_request(helper, request, fd);
        tracemallocd__symbol__resolve__free_unpacked(request, NULL);
        return r != 0;
}

int main(int argc, char **argv) {
        static struct helper helper = {.debug_root = "/usr/lib/debug"};
        for (int i = 1; i < argc; i++) {
                if (strncmp(argv[i], DEBUG_ROOT_OPTION, strlen(DEBUG_ROOT_OPTION)) != 0) {
                        fprintf(stderr, "tracemallocd-symbolizer: is started by tracemallocd and not by hand\n");
                        return 2;
                }
                helper.debug_root = argv[i] + strlen(DEBUG_ROOT_OPTION);
        }
        int r = sandbox_enter(STDIN_FILENO);
        if (r < 0) {
                fprintf(stderr, "tracemallocd-symbolizer: cannot give up privileges: %s\n", strerror(-r));
                return 1;
        }
        symbol_channel_init(&helper.channel, STDIN_FILENO, true);
        while (serve_one(&helper) == 0)
                continue;
        for (size_t i = 0; i < MODULES_MAX; i++)
                module_close(helper.slots[i].module);
        symbol_channel_deinit(&helper.channel);
        return 0;
}
