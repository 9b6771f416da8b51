/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Lines in the log about connections that were refused because their user has too many: counted, and told
 * once a second at most, for who is refused ten thousand times may not fill the log either. Main loop.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/credentials.h"

struct refusals {
        uint64_t n; /* since the last line */
        bool told;
        uint64_t told_at_ms;
};

/** refusals_add() - count one, say so if it is time
 * @now_ms: uv_now(); @whose: "agents", "clients"
 * Return: how many the line spoke of; 0: none was written. */
uint64_t refusals_add(struct refusals *refusals, uint64_t now_ms, const char *whose, const struct credentials *who);
