/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl import */

#include "client/command.h"
#include "client/exit_code.h"
#include "client/session.h"
#include "client/upload.h"
#include "daemon/base/cleanup.h"

#include <stdio.h>

static int import_run(const struct options *o) {
        AUTO_CONNECTION struct connection *connection = NULL;
        AUTO_FREE char *id = NULL;
        int code = upload_check(o->arguments[0]);
        if (code == EXIT_CODE_DONE)
                code = session_open(o, &connection);
        if (code == EXIT_CODE_DONE)
                code = upload_and_store(connection, o->arguments[0], o->label, &id);
        if (code == EXIT_CODE_DONE)
                printf(o->json ? "{\"id\":%s}\n" : "%s\n", id);
        return code;
}

const struct command command_import = {
        .name = "import",
        .arguments = "FILE",
        .summary = "Store a pickle of tracemalloc as a snapshot",
        .description = "FILE is what Snapshot.dump() of Python 3.6 to 3.14 wrote; '-' is stdin.\n",
        .example = "  tmctl import before.pickle --label 'before the change'\n",
        .sets = OPTION_SET_IMPORT | OPTION_SET_JSON,
        .min_arguments = 1,
        .max_arguments = 1,
        .usage_code = EXIT_CODE_USAGE,
        .run = import_run,
};
