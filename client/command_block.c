/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl block */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/message.h"
#include "client/option_values.h"
#include "client/render.h"
#include "client/request.h"
#include "client/session.h"
#include "client/size_format.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct block {
        const struct options *options;
        uint64_t address; /* that was asked for */
};

/* "0x7f12a0", as debuggers print it, or decimal, as Python's id() does */
static int address_parse(const char *text, uint64_t *addressp) {
        bool hex = strncmp(text, "0x", 2) == 0 || strncmp(text, "0X", 2) == 0;
        const char *digits = text + (hex ? 2 : 0);
        errno = 0;
        if (digits[0] && strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789") == strlen(digits))
                *addressp = strtoull(digits, NULL, hex ? 16 : 10);
        else
                errno = EINVAL;
        if (errno == 0)
                return 0;
        message_error("'%s' is no address: 0x7f12a0, or a decimal number", text);
        return OPTIONS_E_USAGE;
}

static void print_json(const struct block *b, const Tracemallocd__Control__Block *m) {
        struct text_buffer trace = {0};
        json_trace_open(&trace, m->trace);
        text_buffer_write(&trace, stdout);
        text_buffer_deinit(&trace);
        printf(",\"address\":%" PRIu64 ",\"offset\":%" PRIu64 "}\n", m->address, b->address - m->address);
}

static void print_block(const struct block *b, const Tracemallocd__Control__Block *m) {
        char size[SIZE_FORMAT_MAX], offset[SIZE_FORMAT_MAX];
        const Tracemallocd__Control__TraceRow *row = m->trace;
        AUTO_FREE char *domain = text_display(row->domain_name.data, row->domain_name.len);
        struct render r;
        render_init(&r, b->options);
        printf("%s0x%" PRIx64 ": size=%s, domain=", terminal_begin(&r.terminal, STYLE_STRONG), m->address,
               size_format(size, (double)row->size, false));
        if (domain[0])
                fputs(domain, stdout);
        else
                printf("%u", row->domain);
        fputs(terminal_end(&r.terminal, STYLE_STRONG), stdout);
        if (b->address > m->address)
                printf("; 0x%" PRIx64 " is %s into it", b->address,
                       size_format(offset, (double)(b->address - m->address), false));
        fputc('\n', stdout);
        render_traceback(&r, row->traceback, row->n_traceback, row->has_total_nframe ? row->total_nframe : 0);
        render_deinit(&r);
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        const struct block *b = context;
        if (reply->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_BLOCK || !reply->block->trace)
                return EXIT_CODE_DONE;
        if (b->options->json)
                print_json(b, reply->block);
        else
                print_block(b, reply->block);
        return EXIT_CODE_DONE;
}

static int block_run(const struct options *o) {
        struct block block = {.options = o};
        if (o->n_pids != 1) {
                message_error("block: of which process? Give one --pid; 'tmctl ps' shows the traced ones");
                return EXIT_CODE_USAGE;
        }
        if (address_parse(o->arguments[0], &block.address) != 0)
                return EXIT_CODE_USAGE;
        Tracemallocd__Control__Request request;
        Tracemallocd__Control__BlockRequest body = TRACEMALLOCD__CONTROL__BLOCK_REQUEST__INIT;
        request_init(&request);
        body.pid = o->pids[0];
        body.address = block.address;
        request.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_BLOCK;
        request.block = &body;
        return session_call(o, &request, take, &block);
}

const struct command command_block = {
        .name = "block",
        .arguments = "--pid PID ADDRESS",
        .summary = "Show the live block that contains an address",
        .description = "ADDRESS is of the block's first byte or of one inside; in CPython, id(obj).\n",
        .example = "  tmctl block --pid 1234 0x7f2b5c0012a0\n",
        .sets = OPTION_SET_PID | OPTION_SET_TRACEBACK | OPTION_SET_JSON,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = block_run,
};
