/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* One line on stderr that says how far a long request is; nothing where stderr is no terminal. */

struct progress {
        bool on_terminal;
        bool shown;
};

/** progress_init() - nothing is shown yet; looks whether stderr is a terminal */
void progress_init(struct progress *progress);

/** progress_show() - replace the line; @total 0: not known */
void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total);

/** progress_clear() - wipe it, before anything else is printed; cheap when there is none */
void progress_clear(struct progress *progress);
