/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lib/tracemalloc.py, _format_size(): the unit is chosen before the number is
 * rounded, hence "100.0 KiB" and "100 KiB"; printf(3) rounds as Python does,
 * half to even on the exact binary value.
 */

#include "client/size_format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *size_format(char text[SIZE_FORMAT_MAX], double size, bool with_sign) {
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
        const size_t last = sizeof units / sizeof units[0] - 1;
        for (size_t i = 0;; i++) {
                if (i > 0 && fabs(size) < 100) {
                        snprintf(text, SIZE_FORMAT_MAX, with_sign ? "%+.1f %s" : "%.1f %s", size, units[i]);
                        return text;
                }
                if (i == last || fabs(size) < 10 * 1024) {
                        snprintf(text, SIZE_FORMAT_MAX, with_sign ? "%+.0f %s" : "%.0f %s", size, units[i]);
                        return text;
                }
                size /= 1024;
        }
}
