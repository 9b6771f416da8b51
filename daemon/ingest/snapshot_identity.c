/* SPDX-License-Identifier: Apache-2.0 */

/* Whose snapshot it is. Runs on the main loop's thread; called by feed.c. */

#include "daemon/ingest/snapshot_identity.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int copy_text(char **top, const char *from) {
        *top = strdup(from ? from : "");
        return *top ? 0 : -ENOMEM;
}

static bool is_empty(const char *text) {
        return !text || !*text;
}

static int set_label(struct snapshot_info *info, const char *label) {
        if (is_empty(label) && !is_empty(info->label))
                return 0;
        free(info->label);
        return copy_text(&info->label, label);
}

void snapshot_identity_deinit(struct snapshot_info *info) {
        for (size_t i = 0; i < SNAPSHOT_INFO_TEXTS; i++)
                free(info->texts[i]);
        *info = (struct snapshot_info){};
}

int snapshot_identity_copy(struct snapshot_info *to, const struct snapshot_info *from) {
        static const struct snapshot_info empty;
        *to = (struct snapshot_info){};
        int r = snapshot_identity_apply(to, from ? from : &empty, NULL, NULL);
        if (r)
                snapshot_identity_deinit(to);
        return r;
}

int snapshot_identity_apply(struct snapshot_info *info, const struct snapshot_info *identity, const char *label,
                            const char *ended_by) {
        info->set = identity->set;
        info->pid = identity->pid;
        info->uid = identity->uid;
        info->ppid = identity->ppid;
        info->image = identity->image;
        info->traceback_limit = identity->traceback_limit;
        info->started_at_ns = identity->started_at_ns;
        if (copy_text(&info->name, identity->name) || copy_text(&info->exe, identity->exe) ||
            copy_text(&info->unit, identity->unit) || copy_text(&info->cgroup, identity->cgroup) ||
            set_label(info, is_empty(label) ? identity->label : label) ||
            copy_text(&info->ended_by, ended_by ? ended_by : identity->ended_by))
                return -ENOMEM;
        return 0;
}
