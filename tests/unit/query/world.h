/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Snapshot model by lines of text, so that tests can say a case and what
 * comes of it as it is. Lines are words between single blanks; words as in
 * snapshot_text.h. Lines with '#' in front are passed over.
 *
 *   case                                             forget everything
 *   snapshot ID                                      the lines below are about it
 *   inexact, import                                  it is, or came from a file
 *   trace DOMAIN TOTAL_NFRAME SIZE COUNT FRAME...    oldest frame first; TOTAL_NFRAME '-' is unknown
 *   sum, allocated                                   likewise
 *   domain NUMBER NAME
 *   symbol MODULE OFFSET FRAME...                    innermost first
 *   lines MODULE yes|no                              whether it has line information
 *
 *   view GROUP_BY CUMULATIVE LIMIT ALLOCATED         and no filter; then, repeatable:
 *   filter include|exclude LINENO|- all|recent DOMAIN|- PATTERN
 *   domain-filter include|exclude DOMAIN
 *   skip PATTERN
 *   skip-function PATTERN
 *   skip-wrappers, by-count
 *
 *   stats ID...       compare OLD NEW      traces ID...
 *   match PATTERN NAME
 *
 * Answers, ended by a line "end":
 *   header TOTAL_SIZE TOTAL_COUNT N_ROWS exact|inexact     and of compare TOTAL_SIZE_DIFF TOTAL_COUNT_DIFF
 *   wrappers-skipped, then supposed FUNCTION, more N
 *   beside-malloc NUMBER NAME
 *   without-lines MODULE
 *   row SIZE COUNT FRAME...                                compare: row SIZE SIZE_DIFF COUNT COUNT_DIFF FRAME...
 *   trace DOMAIN NAME|- TOTAL_NFRAME|- SIZE|- COUNT TOTAL_SIZE FRAME...
 *   match yes|no
 *   error OUTCOME MESSAGE
 * A FRAME there is FILE,LINE,FUNCTION|-,MODULE|- and, where known, ,+OFFSET.
 */

#include <stdio.h>

struct world;

struct world *world_new(void);
void world_free(struct world *w);

/** world_line() - do one line; bad ones abort
 * @line: overwritten */
void world_line(struct world *w, char *line, FILE *out);

/** world_ask() - do some lines in a world of their own
 * @text: [] lines, each ended by a newline; not changed
 * Return: what was answered, for free(). */
char *world_ask(const char *text);
