/* SPDX-License-Identifier: Apache-2.0 */

/* A snapshot in words: in headings, and line by line for show. */

#include "client/memory.h"
#include "client/names.h"
#include "client/reference.h"
#include "client/render.h"
#include "client/size_format.h"
#include "client/text.h"
#include "client/time_format.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

#include <inttypes.h>
#include <string.h>

static char *snapshot_name(const Tracemallocd__Control__SnapshotInfo *s, const char *reference) {
        if (!reference_is_snapshot(reference))
                return strcmp(reference, "-") == 0 ? memory_format("the file on stdin")
                                                   : memory_format("the file %s", reference);
        if (!s)
                return memory_copy(reference, strlen(reference));
        if (s->members > 0)
                return memory_format("%s, the sum of %u %s", reference, s->members,
                                     strcmp(s->kind, "live") == 0 ? "live tables" : "snapshots");
        if (s->id == 0)
                return memory_format("the live table");
        if (strcmp(s->kind, "exit") == 0 || strcmp(s->kind, "peak") == 0)
                return memory_format("%s snapshot %" PRId64, s->kind, s->id);
        return memory_format("%ssnapshot %" PRId64, strcmp(s->kind, "import") == 0 ? "imported " : "", s->id);
}

/* ", 2026-11-22 10:30:00, 3 min 2 s ago", and what else a reader recognises it by */
static char *snapshot_particulars(const Tracemallocd__Control__SnapshotInfo *s) {
        char when[TIME_FORMAT_MAX], age[TIME_FORMAT_MAX];
        AUTO_FREE char *ended = text_display(s->ended_by.data, s->ended_by.len);
        AUTO_FREE char *label = text_display(s->label.data, s->label.len);
        return memory_format(", %s, %s ago%s%s%s%s%s", time_format_local(when, s->taken_at_unix_ns),
                             time_format_span(age, clock_ns(CLOCK_REALTIME) - s->taken_at_unix_ns),
                             ended[0] ? ", ended by " : "", ended, label[0] ? ", \"" : "", label, label[0] ? "\"" : "");
}

/* " of redis-server (pid 1234)"; members of a sum may have a name in common */
static char *whose(const Tracemallocd__Control__SnapshotInfo *s) {
        AUTO_FREE char *process = text_display(s->name.data, s->name.len);
        if (!process[0])
                return memory_copy("", 0);
        if (s->pid == 0)
                return memory_format(" of %s", process);
        return memory_format(" of %s (pid %u)", process, s->pid);
}

char *render_snapshot_phrase(const Tracemallocd__Control__SnapshotInfo *s, const char *reference) {
        AUTO_FREE char *name = snapshot_name(s, reference);
        if (!s || (s->pid == 0 && s->members == 0 && s->id == 0)) /* a file */
                return memory_format("%s", name);
        AUTO_FREE char *process = whose(s);
        bool stored = s->id != 0 || (s->members > 0 && strcmp(s->kind, "live") != 0);
        AUTO_FREE char *rest = stored ? snapshot_particulars(s) : memory_copy("", 0);
        return memory_format("%s%s%s", name, process, rest);
}

static void line(const struct render *r, const char *what, const char *value) {
        fprintf(r->out, "%-17s%s\n", what, value);
}

static void line_bytes(const struct render *r, const char *what, const ProtobufCBinaryData *bytes) {
        if (bytes->len == 0)
                return;
        AUTO_FREE char *text = text_display(bytes->data, bytes->len);
        line(r, what, text);
}

static void line_number(const struct render *r, const char *what, uint64_t n) {
        fprintf(r->out, "%-17s%" PRIu64 "\n", what, n);
}

static void line_size(const struct render *r, uint64_t size) {
        char text[SIZE_FORMAT_MAX];
        size_format(text, (double)size, false);
        if (strchr(text, 'i')) /* 75.8 KiB is rounded, 512 B is not */
                fprintf(r->out, "%-17s%s (%" PRIu64 " bytes)\n", "Size", text, size);
        else
                line(r, "Size", text);
}

void render_snapshot(const struct render *r, const Tracemallocd__Control__SnapshotInfo *s) {
        char text[TIME_FORMAT_MAX];
        if (s->id != 0)
                line_number(r, "Snapshot", (uint64_t)s->id);
        else
                line(r, "Snapshot", "live, not stored");
        if (s->set != 0)
                fprintf(r->out, "%-17ss%" PRId64 "\n", "Set", s->set);
        line(r, "Kind", s->kind);
        line_bytes(r, "Label", &s->label);
        line(r, "Taken", time_format_local(text, s->taken_at_unix_ns));
        line_bytes(r, "Process", &s->name);
        if (s->pid != 0) /* 0: a file's is not known, nor its image */
                line_number(r, "PID", s->pid);
        if (s->ppid != 0)
                line_number(r, "Parent", s->ppid);
        AUTO_FREE char *user = user_name(s->uid);
        line(r, "User", user);
        if (s->started_at_unix_ns != 0 && strcmp(s->kind, "import") != 0)
                line(r, "Started", time_format_local(text, s->started_at_unix_ns));
        if (s->image != 0)
                line_number(r, "Image", s->image);
        line_bytes(r, "Program", &s->exe);
        line_bytes(r, "Unit", &s->unit);
        line_bytes(r, "Cgroup", &s->cgroup);
        line_bytes(r, "Ended by", &s->ended_by);
        line_number(r, "Traceback limit", s->traceback_limit);
        line_size(r, s->size);
        line_number(r, "Count", s->count);
        line_number(r, "Traces", s->traces);
        if (s->exact)
                line(r, "Exact", "yes");
        else
                fprintf(r->out, "%-17sno, %" PRIu64 " events lost\n", "Exact", s->lost);
}
