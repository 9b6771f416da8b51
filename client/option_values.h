/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/options.h"

/*
 * What the values of options may be. Each reads one value; on OPTIONS_E_USAGE a line on
 * stderr has said what is wrong,.
 */

/** number_parse() - decimal digits and nothing else, within [min; max]
 * Return: 0; OPTIONS_E_USAGE, silently. */
int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *valuep);

int option_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *valuep);
int option_integer(const char *option, const char *text, int64_t *valuep);
int option_not_empty(const char *option, const char *text);
int option_color(const char *text, enum color_when *colorp);
int option_group_by(const char *text, enum group_by *group_byp);
int option_sort(const char *text, bool *by_countp);
int option_domains(const char *text);
int option_format(const char *text, enum export_format *formatp);
int option_python(const char *text, bool *python_3_8p);
int option_kind(const char *text);

/** option_since() - "90s", "10m", "2h", "3d" ago; or a local date or date and time, with "Z" UTC */
int option_since(const char *text, int64_t *unix_nsp);
