/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/options.h"

/*
 * What the values of options may be. Each option_...() reads one value, and returns 0, or OPTIONS_E_USAGE: then a line
 * on stderr has said what is wrong, and what is set on 0 is untouched.
 */

/** number_parse() - decimal digits and nothing else, within [min; max]
 * Return: 0; OPTIONS_E_USAGE, silently. */
int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *valuep);

/** option_number() - as number_parse(); @option: as in the message, "--limit" */
int option_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *valuep);
/** option_integer() - a decimal number that may begin with '-' */
int option_integer(const char *option, const char *text, int64_t *valuep);
/** option_not_empty() - any text but none */
int option_not_empty(const char *option, const char *text);
/** option_color() - "auto", "always", "never" */
int option_color(const char *text, enum color_when *colorp);
/** option_group_by() - "lineno", "filename", "traceback", "function" */
int option_group_by(const char *text, enum group_by *group_byp);
/** option_sort() - "size", "count" */
int option_sort(const char *text, bool *by_countp);
/** option_domains() - a list, by comma, of "python", "malloc", "mmap" and "other" */
int option_domains(const char *text);
/** option_format() - "tracemalloc", "json", "collapsed" */
int option_format(const char *text, enum export_format *formatp);
/** option_python() - "3.9", "3.8": the shape of tracemalloc's files from that version on */
int option_python(const char *text, bool *python_3_8p);
/** option_kind() - "request", "exit", "peak", "import" */
int option_kind(const char *text);

/** option_since() - "90s", "10m", "2h", "3d" ago; or a local date or date and time, with "Z" UTC
 * @unix_nsp: CLOCK_REALTIME, at least 1 */
int option_since(const char *text, int64_t *unix_nsp);
