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

/* A script that names its interpreter in its first line: that, maybe an option, then the script, whose name comm is.
 * Return: NULL where this is none. */
static char *script(char *cmdline, size_t length, const char *comm) {
        char *word = cmdline;
        if (is_program(without_folders(cmdline), comm))
                return NULL;
        for (int i = 0; i < 2; i++) {
                word += strlen(word) + 1;
                if (word >= cmdline + length)
                        return NULL;
                if (is_program(without_folders(word), comm))
                        return without_folders(word);
        }
        return NULL;
}

static char *without_title(char *title, const char *comm) {
        char *colon = strstr(title, ": "), *space;
        if (colon && colon > title)
                *colon = '\0';
        /* a space may be part of a path: it ends the name only where the word before it is the program */
        space = strchr(title, ' ');
        if (space) {
                *space = '\0';
                if (!is_program(without_folders(title), comm))
                        *space = ' ';
        }
        return without_folders(title);
}

size_t process_name_of(char *cmdline, size_t length, const char *comm) {
        char *name = script(cmdline, length, comm);
        if (!name)
                name = without_title(cmdline, comm);
        memmove(cmdline, name, strlen(name) + 1);
        return strlen(cmdline);
}
