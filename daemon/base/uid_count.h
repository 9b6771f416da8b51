/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How many things of one kind each user holds, so that nobody crowds out another. Main loop. */

#include <stdint.h>
#include <sys/types.h>

struct uid_count {
        struct uid_entry *entries;
        size_t n_entries, size;
};

#define UID_COUNT_E_QUOTA 1

/** uid_count_init(), uid_count_deinit() - nobody has anything; free what it holds */
void uid_count_init(struct uid_count *c);
void uid_count_deinit(struct uid_count *c);

/** uid_count_charge() - one more for @uid
 * @limit: root has none
 * Return: 0; UID_COUNT_E_QUOTA; -ENOMEM (nothing charged). */
int uid_count_charge(struct uid_count *c, uid_t uid, uint32_t limit);

/** uid_count_release() - one less; must have been charged */
void uid_count_release(struct uid_count *c, uid_t uid);
