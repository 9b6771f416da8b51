/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A layout held against the interpreter: our reading of the current stack, and the
 * interpreter's own answers about it. Each address is asked of the kernel before
 * it is read, because a build that is laid out otherwise gives no addresses at all.
 */

#include "agent/python.h"

enum python_check_result {
        PYTHON_CHECK_GOOD,
        PYTHON_CHECK_LATER, /* there is no frame yet that says anything */
        PYTHON_CHECK_BAD,
};

/** python_check() - @thread: state of the calling thread, which has the GIL; *whatp: on BAD, what disagrees */
enum python_check_result python_check(const struct python_api *api, const struct python_layout *layout,
                                      uintptr_t thread, const char **whatp);
