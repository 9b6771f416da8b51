/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Line tables for tests/system/test_line_tables.py. Reads lines "FORMAT FIRST_LINE BYTES TABLE" (TABLE in hexadecimal,
 * - where it is empty) and prints, for each, the lines of the instructions at 0, 2, 4 ... below BYTES.
 */

#include "daemon/live/line_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In place. Return: the length, or -1. */
static long from_hex(char *text) {
        size_t length = strlen(text) / 2;
        for (size_t i = 0; i < length; i++) {
                unsigned byte;
                if (sscanf(text + 2 * i, "%2x", &byte) != 1)
                        return -1;
                text[i] = (char)byte;
        }
        return (long)length;
}

int main(void) {
        struct line_runs runs = {};
        char *line = NULL;
        size_t capacity = 0;
        while (getline(&line, &capacity, stdin) > 0) {
                char *rest, *table;
                unsigned long format = strtoul(line, &rest, 10);
                long first_line = strtol(rest, &rest, 10);
                unsigned long bytes = strtoul(rest, &table, 10);
                table += strspn(table, " ");
                table[strcspn(table, "\n")] = '\0';
                long length = strcmp(table, "-") ? from_hex(table) : 0;
                runs.n = 0;
                if (length < 0 ||
                    line_table_decode((uint32_t)format, (int32_t)first_line, table, (size_t)length, &runs)) {
                        fprintf(stderr, "line_table_cli: bad input\n");
                        return 1;
                }
                for (unsigned long offset = 0; offset < bytes; offset += 2)
                        printf("%u ", line_runs_find(runs.runs, runs.n, offset));
                putchar('\n');
        }
        line_runs_deinit(&runs);
        free(line);
        return 0;
}
