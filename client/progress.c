/* SPDX-License-Identifier: Apache-2.0 */

/* Progress of a request. Called by connection_call(). */

#include "client/progress.h"

#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WHAT_MAX_COLUMNS 50 /* with the numbers still on one line of 80 */

void progress_init(struct progress *progress) {
        *progress = (struct progress){.on_terminal = isatty(STDERR_FILENO)};
}

void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total) {
        if (!progress->on_terminal)
                return;
        AUTO_FREE char *safe = text_display(what, strlen(what));
        AUTO_FREE char *brief = text_shorten(safe, WHAT_MAX_COLUMNS);
        if (total > 0)
                fprintf(stderr, "\r\033[K%s: %d %%", brief, (int)(100.0 * (double)done / (double)total));
        else
                fprintf(stderr, "\r\033[K%s: %" PRIu64, brief, done);
        fflush(stderr);
        progress->shown = true;
}

void progress_clear(struct progress *progress) {
        if (!progress->shown)
                return;
        fputs("\r\033[K", stderr);
        fflush(stderr);
        progress->shown = false;
}
