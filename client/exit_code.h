/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What tmctl's exit status means; fixed, scripts go by it (tmctl(1), EXIT STATUS). */

enum exit_code {
        EXIT_CODE_DONE = 0,
        EXIT_CODE_FAILED = 1,
        EXIT_CODE_USAGE = 2,
        EXIT_CODE_NOT_FOUND = 3, /* no such process, snapshot or file */
        EXIT_CODE_NO_DAEMON = 4,
        EXIT_CODE_DENIED = 5,

        /* of tmctl run, as of env(1) and timeout(1): all else is the command's own */
        EXIT_CODE_RUN_FAILED = 125,
        EXIT_CODE_RUN_NOT_EXECUTABLE = 126,
        EXIT_CODE_RUN_NOT_FOUND = 127,
};
