/* SPDX-License-Identifier: Apache-2.0 */

/* uids and units as names. Called by the tables of ps and list. */

#include "client/names.h"

#include "client/memory.h"
#include "client/text.h"

#include <pwd.h>
#include <string.h>

char *user_name(uint32_t uid) {
        const struct passwd *entry = getpwuid(uid);
        return entry ? memory_copy(entry->pw_name, strlen(entry->pw_name)) : memory_format("%u", uid);
}

char *unit_name(const void *bytes, size_t length) {
        static const char suffix[] = ".service";
        const size_t tail = sizeof suffix - 1;
        if (length > tail && memcmp((const char *)bytes + length - tail, suffix, tail) == 0)
                length -= tail;
        return text_display(bytes, length);
}
