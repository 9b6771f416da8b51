/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The whole of tmctl ($TMCTL) in shell lines, beside a control server with canned answers. */

#include "tests/support/check_main.h"

/* Something that can be preloaded and does nothing there. */
#define HARMLESS_AGENT "/lib/x86_64-linux-gnu/libm.so.6"

#define SHELL_OUTPUT_MAX 65536

extern char shell_dir[];                                              /* of this test alone */
extern char shell_out[SHELL_OUTPUT_MAX], shell_err[SHELL_OUTPUT_MAX]; /* of the last line */

/** shell_make_dir(), shell_remove_dir() - the folder alone */
void shell_make_dir(void);
void shell_remove_dir(void);

/** shell_setup(), shell_teardown() - fixture of a test: its folder, the server, the environment */
void shell_setup(void);
void shell_teardown(void);

/** shell_read() - a file of the folder. @text: [SHELL_OUTPUT_MAX] */
void shell_read(const char *name, char *text);

/** sh() - run a shell line in which $T is tmctl; shell_out and shell_err hold what it wrote. Return: its exit status.
 */
int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** sh_on_terminal() - the same on a terminal of 56 columns; shell_out holds what it showed */
int sh_on_terminal(const char *line);

/** has() - the test fails unless @part stands in @text */
void has(const char *text, const char *part);

/** asked() - the test fails unless the server was asked this: a line as canned_server.h has them */
void asked(const char *line);
