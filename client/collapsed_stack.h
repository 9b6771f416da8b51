/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/text_buffer.h"
#include "proto/control.pb-c.h"

/** collapsed_stack() - add a line as flamegraph.pl, inferno and speedscope read it: the frames of a traceback, the
 * oldest first, with ; between them, then a space and the size in bytes
 * A frame is "function (file:line)", without what is not known of it. In a name, ; becomes : */
void collapsed_stack(struct text_buffer *out, const Tracemallocd__Control__StatisticRow *row);
