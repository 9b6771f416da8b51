/* SPDX-License-Identifier: Apache-2.0 */

/* Which words on the command line are snapshots. What they stand for is the daemon's business. */

#include "client/reference.h"

#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/session.h"
#include "client/upload.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

static const char *skip_digits(const char *s) {
        while (isdigit((unsigned char)*s))
                s++;
        return s;
}

/* The end of one reference that begins at @s, or NULL. */
static const char *skip_one(const char *s) {
        if (*s == 's' || *s == '@' || isdigit((unsigned char)*s)) {
                const char *digits = s + !isdigit((unsigned char)*s);
                const char *end = skip_digits(digits);
                return end > digits ? end : NULL;
        }
        if (strncmp(s, "last", 4) != 0)
                return NULL;
        s += 4;
        while (*s == '~' || *s == ':') {
                const char *end = s + 1;
                while (*s == ':' ? islower((unsigned char)*end) : isdigit((unsigned char)*end))
                        end++;
                if (end == s + 1)
                        return NULL;
                s = end;
        }
        return s;
}

bool reference_is_snapshot(const char *text) {
        const char *end = skip_one(text);
        while (end && *end == ',')
                end = skip_one(end + 1);
        return end && *end == '\0';
}

int reference_check(const char *text, bool stored) {
        if (reference_is_snapshot(text))
                return EXIT_CODE_DONE;
        if (strcmp(text, "-") != 0 && access(text, F_OK) < 0) {
                message_error("no such snapshot or file: '%s'; 'tmctl list' shows the snapshots", text);
                return EXIT_CODE_NOT_FOUND;
        }
        if (!stored)
                return EXIT_CODE_DONE;
        message_error("'%s' is a file, not a stored snapshot; 'tmctl import' makes one of it", text);
        return EXIT_CODE_FAILED;
}

int reference_resolve(struct connection *connection, const char *text, char **referencep) {
        if (!reference_is_snapshot(text))
                return upload_file(connection, text, referencep);
        *referencep = memory_copy(text, strlen(text));
        return EXIT_CODE_DONE;
}

int reference_open(const struct options *o, const char *text, struct connection **connectionp, char **referencep) {
        int code = reference_check(text, false);
        if (code == EXIT_CODE_DONE)
                code = session_open(o, connectionp);
        if (code == EXIT_CODE_DONE)
                code = reference_resolve(*connectionp, text, referencep);
        return code;
}
