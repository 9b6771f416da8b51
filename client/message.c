/* SPDX-License-Identifier: Apache-2.0 */

/* Lines on stderr. Called from everywhere in tmctl; one write(2) a line, so that lines of parallel runs do not mix. */

#include "client/message.h"

#include "client/paragraph.h"
#include "client/terminal.h"
#include "daemon/base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_MAX_BYTES 4096 /* longer ones are cut */

static void write_line(const char *line) {
        struct terminal terminal;
        terminal_init(&terminal, STDERR_FILENO, COLOR_NEVER);
        AUTO_FREE char *lines = paragraph_format(line, terminal.width, 2);
        size_t length = strlen(lines);
        lines[length++] = '\n'; /* in the place of its NUL */
        ssize_t ignored = write(STDERR_FILENO, lines, length);
        (void)ignored;
}

static void message_line(const char *format, va_list ap) {
        char line[MESSAGE_MAX_BYTES] = "tmctl: ";
        size_t prefix = sizeof "tmctl: " - 1;
        int n = vsnprintf(line + prefix, sizeof line - prefix - 1, format, ap);
        size_t length = prefix + (n < 0 ? 0 : (size_t)n);
        if (length > sizeof line - 2)
                length = sizeof line - 2;
        /* names of processes and files may hold escape sequences: they shall not reach the terminal */
        for (size_t i = prefix; i < length; i++) {
                if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
                        line[i] = '?';
        }
        line[length] = '\0';
        write_line(line);
}

void message_error(const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        message_line(format, ap);
        va_end(ap);
}

void message_note(const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        message_line(format, ap);
        va_end(ap);
}
