/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lines of tmctl's own on stderr: "tmctl: ...". */

/** message_error() - one line, printf-like, no newline at the end; what text_display() escapes is escaped */
void message_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** message_note() - the same for what is no failure */
void message_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
