/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Traces with nothing but what Python's traces have: file names and line numbers.
 *
 * Functions and modules go. Native frames without a line get " (function)" or,
 * without a function, "+0x<offset>" behind the file name, because that is what
 * tells them apart (cli.md, "Frames"). What Python takes for the same traceback
 * is one node afterwards, so that order and merging are those of the file when
 * it is read again.
 */

#include "daemon/query/model.h"

#include <stdbool.h>
#include <stddef.h>

struct python_traces {
        char **names; /* [n_names] that the model's texts borrow */
        size_t n_names;
        /* of the traces that hold blocks */
        bool functions_left_out; /* of frames with a line, or of Python */
        bool modules_left_out;
        bool total_nframe_left_out; /* it was asked to go, and was more than the frames that there are */
};

/** python_traces_reduce() - do that to a model
 * @m: its traces change; nodes and frames are added to its table
 * @total_nframe: false: it goes, too
 * @p: set always; for python_traces_deinit(), after which @m can only be deinitialised
 * O(nodes + traces). Return: 0; -ENOMEM; -EOVERFLOW. */
int python_traces_reduce(struct model *m, bool total_nframe, struct python_traces *p);

/** python_traces_deinit() - free the names */
void python_traces_deinit(struct python_traces *p);
