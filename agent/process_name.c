/* SPDX-License-Identifier: Apache-2.0 */

/* Servers write what they do over their argv[0] (setproctitle); whoever looks for them goes by the program. Called by
 * the handshake, in a forked child too, whose title is then still the parent's or already its own. */

#include "agent/process_name.h"

#include <stdbool.h>
#include <string.h>

#define COMM_MAX 15 /* prctl(2), PR_SET_NAME */

static char *without_folders(char *path) {
        char *slash = strrchr(path, '/');

        return slash && slash[1] ? slash + 1 : path;
}

static bool is_program(const char *word, const char *comm) {
        return comm[0] && strncmp(word, comm, COMM_MAX) == 0;
}

size_t process_name_of(char *title, const char *comm) {
        char *colon = strstr(title, ": "), *space;
        char *name;

        if (colon && colon > title)
                *colon = '\0';
        /* a space may be part of a path: it ends the name only where the word before it is the program */
        space = strchr(title, ' ');
        if (space) {
                *space = '\0';
                if (!is_program(without_folders(title), comm))
                        *space = ' ';
        }
        name = without_folders(title);
        memmove(title, name, strlen(name) + 1);
        return strlen(title);
}
