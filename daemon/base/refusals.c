/* SPDX-License-Identifier: Apache-2.0 */

/* Refused connections. Main loop; called where sockets are accepted. */

#include "daemon/base/refusals.h"

#include "daemon/base/log.h"

#define TOLD_MS 1000

uint64_t refusals_add(struct refusals *refusals, uint64_t now_ms, const char *whose, const struct credentials *who) {
        uint64_t n = ++refusals->n;

        if (refusals->told && now_ms - refusals->told_at_ms < TOLD_MS)
                return 0;
        log_warning("%llu connections of %s refused, the last one of pid %d, uid %u: too many of this user "
                    "(connections_per_user)",
                    (unsigned long long)n, whose, (int)who->pid, (unsigned)who->uid);
        *refusals = (struct refusals){.told = true, .told_at_ms = now_ms};
        return n;
}
