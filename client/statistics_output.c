/* SPDX-License-Identifier: Apache-2.0 */

/* The answer to stats and compare, printed as it comes in: it may have more rows than memory. */

#include "client/statistics_output.h"

#include "client/exit_code.h"
#include "client/json_output.h"
#include "client/message.h"
#include "client/moved_lines.h"
#include "client/output_file.h"
#include "client/render.h"
#include "client/wrapper_hint.h"

#include <stdlib.h>

struct statistics_output {
        const struct options *options;
        const char *old, *snapshot;
        struct render render;
        /* a copy of the header for the end: a Reply holding nothing else; NULL before it came */
        Tracemallocd__Control__StatisticsHeader *header;
        uint64_t n_rows;
        struct wrapper_hint hint;
        struct moved_lines moved;
        struct text_buffer line; /* JSON */
};

static Tracemallocd__Control__StatisticsHeader *copy_header(const Tracemallocd__Control__StatisticsHeader *header) {
        size_t length = tracemallocd__control__statistics_header__get_packed_size(header);
        uint8_t *bytes = malloc(length + 1);
        if (!bytes)
                return NULL;
        tracemallocd__control__statistics_header__pack(header, bytes);
        Tracemallocd__Control__StatisticsHeader *copy =
                tracemallocd__control__statistics_header__unpack(NULL, length, bytes);
        free(bytes);
        return copy;
}

static void print_header(struct statistics_output *s) {
        if (!s->options->json) {
                render_statistics_heading(&s->render, s->header, s->old, s->snapshot);
                return;
        }
        json_print_open(stdout, json_statistics_header(s->header, s->options, s->old, s->snapshot));
        fputs(", \"statistics\": [", stdout);
}

static void print_row(struct statistics_output *s, const Tracemallocd__Control__StatisticRow *row) {
        if (s->options->json) {
                text_buffer_text(&s->line, s->n_rows > 0 ? ",\n" : "\n");
                json_statistic(&s->line, row, s->old != NULL);
                text_buffer_write(&s->line, stdout);
        } else {
                render_statistic(&s->render, row, s->old != NULL);
                wrapper_hint_add(&s->hint, row, s->options, s->old != NULL);
                if (s->old && s->options->group_by == GROUP_BY_LINENO)
                        moved_lines_add(&s->moved, row);
        }
        s->n_rows++;
}

static int take(void *context, const Tracemallocd__Control__Reply *reply) {
        struct statistics_output *s = context;
        switch (reply->body_case) {
        case TRACEMALLOCD__CONTROL__REPLY__BODY_STATISTICS:
                if (s->header)
                        return EXIT_CODE_DONE;
                s->header = copy_header(reply->statistics);
                if (!s->header) {
                        message_error("out of memory");
                        return EXIT_CODE_FAILED;
                }
                source_lines_until(s->render.lines, s->header->sources_until_unix_ns);
                print_header(s);
                break;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_ROWS:
                for (size_t i = 0; s->header && i < reply->rows->n_rows; i++)
                        print_row(s, reply->rows->rows[i]);
                break;
        default:
                break;
        }
        /* nobody reads any more: a closed pipe shall not make us work through a million rows */
        return output_error(stdout) != 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

static void finish(const struct statistics_output *s) {
        if (s->options->json) {
                puts("]}");
                return;
        }
        render_statistics_end(&s->render, s->header, s->old != NULL, s->n_rows);
        wrapper_hint_print(&s->hint, &s->render);
        moved_lines_print(&s->moved, &s->render, s->header);
}

int statistics_output_call(struct connection *connection, const Tracemallocd__Control__Request *request,
                           const struct options *o, const char *old, const char *snapshot) {
        struct statistics_output s = {.options = o, .old = old, .snapshot = snapshot};
        render_init(&s.render, o);
        int code = connection_call(connection, request, take, &s);
        if (code == EXIT_CODE_DONE && s.header)
                finish(&s);
        if (s.header)
                tracemallocd__control__statistics_header__free_unpacked(s.header, NULL);
        wrapper_hint_deinit(&s.hint);
        moved_lines_deinit(&s.moved);
        text_buffer_deinit(&s.line);
        render_deinit(&s.render);
        return code;
}
