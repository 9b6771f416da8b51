/* SPDX-License-Identifier: Apache-2.0 */

/* Dropped peers. Main loop; called by what reads from peers. Its lines are limited here, by user, not by log.c. */

#include "daemon/base/drops.h"

#include "daemon/base/log.h"

#include <stddef.h>
#include <string.h>

static uint64_t tell(struct drops_kind *k, uint64_t now_ms) {
        uint64_t n = k->n_untold;
        if (n > 0)
                log_line(LOG_LEVEL_WARNING, "%llu more of uid %u (%s) dropped: %s", (unsigned long long)n,
                         (unsigned)k->uid, k->what, k->reason);
        k->n_untold = 0;
        k->told_at_ms = now_ms;
        return n;
}

static struct drops_kind *find(struct drops *drops, uid_t uid, const char *what, const char *reason) {
        for (size_t i = 0; i < DROPS_KIND_MAX && drops->kinds[i].reason; i++) {
                struct drops_kind *k = &drops->kinds[i];
                if (k->uid == uid && strcmp(k->what, what) == 0 && strcmp(k->reason, reason) == 0)
                        return k;
        }
        return NULL;
}

static struct drops_kind *take_one(struct drops *drops, uint64_t now_ms) {
        struct drops_kind *oldest = &drops->kinds[0];
        for (size_t i = 0; i < DROPS_KIND_MAX; i++) {
                struct drops_kind *k = &drops->kinds[i];
                if (!k->reason)
                        return k;
                if (k->told_at_ms < oldest->told_at_ms)
                        oldest = k;
        }
        tell(oldest, now_ms);
        return oldest;
}

bool drops_count(struct drops *drops, uint64_t now_ms, const char *what, uid_t uid, const char *reason) {
        struct drops_kind *k = find(drops, uid, what, reason);
        drops->n++;
        if (k && now_ms - k->told_at_ms < DROPS_TOLD_MS) {
                k->n_untold++;
                return false;
        }
        if (k)
                tell(k, now_ms);
        else
                k = take_one(drops, now_ms);
        *k = (struct drops_kind){.reason = reason, .uid = uid, .what = what, .told_at_ms = now_ms};
        return true;
}

bool drops_add(struct drops *drops, uint64_t now_ms, const char *what, const struct credentials *who,
               const char *reason) {
        if (!drops_count(drops, now_ms, what, who->uid, reason))
                return false;
        log_line(LOG_LEVEL_WARNING, "%s of pid %d, uid %u dropped: %s", what, (int)who->pid, (unsigned)who->uid,
                 reason);
        return true;
}

uint64_t drops_tell(struct drops *drops, uint64_t now_ms) {
        uint64_t n = 0;
        for (size_t i = 0; i < DROPS_KIND_MAX; i++) {
                struct drops_kind *k = &drops->kinds[i];
                if (k->n_untold > 0 && now_ms - k->told_at_ms >= DROPS_TOLD_MS)
                        n += tell(k, now_ms);
        }
        return n;
}
