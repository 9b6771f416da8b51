/* SPDX-License-Identifier: Apache-2.0 */

/* Lines on stderr. Called from everywhere in tmctl; one write(2) a line, so that lines of parallel runs do not mix. */

#include "client/message.h"

#include "client/memory.h"
#include "client/paragraph.h"
#include "client/terminal.h"
#include "client/text.h"
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

/* Names of processes and files may hold escape sequences: they shall not reach the terminal. */
static void message_line(const char *format, va_list ap) {
        char line[MESSAGE_MAX_BYTES];
        if (vsnprintf(line, sizeof line, format, ap) < 0)
                line[0] = '\0';
        AUTO_FREE char *shown = text_display(line, strlen(line));
        AUTO_FREE char *whole = memory_format("tmctl: %s", shown);
        write_line(whole);
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
