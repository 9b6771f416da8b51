/* SPDX-License-Identifier: Apache-2.0 */

/* uid to name. Called by the tables of ps and list. */

#include "client/user_name.h"

#include "client/memory.h"

#include <pwd.h>
#include <string.h>

char *user_name(uint32_t uid) {
        const struct passwd *entry = getpwuid(uid);
        return entry ? memory_copy(entry->pw_name, strlen(entry->pw_name)) : memory_format("%u", uid);
}
