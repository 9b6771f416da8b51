/* SPDX-License-Identifier: Apache-2.0 */

/* Lines that come too often. Called by log.c, under its mutex. */

#include "daemon/base/log_limit.h"

#include <stddef.h>
#include <stdio.h>

static struct log_place *find(struct log_limit *limit, const char *format) {
        struct log_place *place = limit->places;
        while (place < &limit->places[LOG_LIMIT_PLACES - 1] && place->format && place->format != format)
                place++;
        return place;
}

static bool is_over(const struct log_place *place, uint64_t now_ms) {
        return now_ms - place->since_ms >= LOG_LIMIT_MS;
}

bool log_limit_passes(struct log_limit *limit, uint64_t now_ms, const char *format, enum log_level level,
                      const char *message) {
        struct log_place *place = find(limit, format);
        if (!place->format || is_over(place, now_ms)) {
                place->format = format;
                place->since_ms = now_ms;
                place->n = 0;
        }
        if (place->n < LOG_LIMIT_LINES) {
                place->n++;
                return true;
        }
        place->n_left_out++;
        place->level = level;
        snprintf(place->message, sizeof place->message, "%s", message);
        return false;
}

const struct log_place *log_limit_take(struct log_limit *limit, uint64_t now_ms, uint64_t *n_left_outp) {
        for (struct log_place *place = limit->places; place < &limit->places[LOG_LIMIT_PLACES]; place++) {
                if (place->n_left_out == 0 || !is_over(place, now_ms))
                        continue;
                *n_left_outp = place->n_left_out;
                place->n_left_out = 0;
                return place;
        }
        return NULL;
}
