/* SPDX-License-Identifier: Apache-2.0 */

/* Each side is written out as text in a canonical order, one line for each group with its whole traceback; then the
 * texts are compared. Slow and simple: it shares no code with what it judges. */

#include "tests/support/snapshot_equal.h"

#include "tests/support/snapshot_depth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_string(FILE *out, const struct snapshot *s, uint32_t string) {
        if (string == SNAPSHOT_NONE) {
                fputs("-", out);
                return;
        }
        fputc('"', out);
        for (size_t i = 0; i < s->strings[string].length; i++)
                fprintf(out, "%02x", (unsigned char)s->strings[string].bytes[i]);
        fputc('"', out);
}

static void print_location(FILE *out, const struct snapshot *s, const struct snapshot_location *location) {
        if (location->kind == LOCATION_SOURCE) {
                fputs(" source ", out);
                print_string(out, s, location->filename);
                fputc(' ', out);
                print_string(out, s, location->function);
                fprintf(out, " %" PRIu32, location->lineno);
                return;
        }
        fputs(" native ", out);
        if (location->module == SNAPSHOT_NONE) {
                fputs("-", out);
        } else {
                const struct snapshot_module *module = &s->modules[location->module];
                print_string(out, s, module->path);
                fputc('/', out);
                for (unsigned i = 0; i < module->build_id_length; i++)
                        fprintf(out, "%02x", module->build_id[i]);
        }
        fprintf(out, "+%" PRIx64, location->offset);
}

static char *group_line(const struct snapshot *s, const struct snapshot_group *group) {
        char *line;
        size_t length;
        FILE *out = open_memstream(&line, &length);
        if (!out)
                abort();
        fprintf(out, "group domain %" PRIu32 " nframe %" PRIu32 " traceback", group->domain, group->total_nframe);
        for (uint32_t node = group->node; node != 0; node = s->nodes[node].parent)
                print_location(out, s, &s->locations[s->nodes[node].location]);
        fprintf(out, " depth %" PRIu32 ": size %" PRIu64 " count %" PRIu64 " allocated %" PRIu64 " %" PRIu64 " sizes",
                snapshot_depth(s, group->node), group->size, group->count, group->allocated_size,
                group->allocated_count);
        for (uint32_t i = 0; i < group->n_sizes; i++)
                fprintf(out, " %" PRIu64 "*%" PRIu64, s->sizes[group->first_size + i].size,
                        s->sizes[group->first_size + i].count);
        fclose(out);
        return line;
}

static char *domain_line(const struct snapshot *s, const struct snapshot_domain *domain) {
        char *line;
        size_t length;
        FILE *out = open_memstream(&line, &length);
        if (!out)
                abort();
        fprintf(out, "domain %" PRIu32 " ", domain->number);
        print_string(out, s, domain->name);
        fclose(out);
        return line;
}

static char *info_line(const struct snapshot *s, bool with_id) {
        const struct snapshot_info *i = &s->info;
        char *line;
        if (asprintf(&line,
                     "info id %" PRId64 " set %" PRId64
                     " pid %u uid %u ppid %u image %u kind %u limit %u taken %" PRId64 " started %" PRId64
                     " size %" PRIu64 " count %" PRIu64 " traces %" PRIu64 " lost %" PRIu64
                     " exact %d sizes %d allocated %d [%s] [%s] [%s] [%s] [%s] [%s]",
                     with_id ? i->id : 0, with_id ? i->set : 0, i->pid, i->uid, i->ppid, i->image, i->kind,
                     i->traceback_limit, i->taken_at_ns, i->started_at_ns, i->size, i->count, i->traces, i->lost,
                     i->exact, i->sizes_known, i->allocated_known, i->name, i->exe, i->unit, i->cgroup, i->label,
                     i->ended_by) < 0)
                abort();
        return line;
}

static int compare_lines(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Return: sorted lines, as many as *np */
static char **canonical(const struct snapshot *s, bool with_id, size_t *np) {
        size_t n = 0;
        char **lines = calloc((size_t)s->n_groups + s->n_domains + 1, sizeof *lines);
        if (!lines)
                abort();
        lines[n++] = info_line(s, with_id);
        for (uint32_t i = 0; i < s->n_domains; i++)
                lines[n++] = domain_line(s, &s->domains[i]);
        for (uint32_t i = 0; i < s->n_groups; i++)
                lines[n++] = group_line(s, &s->groups[i]);
        qsort(lines, n, sizeof *lines, compare_lines);
        *np = n;
        return lines;
}

static void free_lines(char **lines, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(lines[i]);
        free(lines);
}

bool snapshot_equal(const struct snapshot *a, const struct snapshot *b, bool with_id, char *why, size_t size) {
        size_t n_a, n_b, i = 0;
        char **lines_a = canonical(a, with_id, &n_a), **lines_b = canonical(b, with_id, &n_b);
        while (i < n_a && i < n_b && strcmp(lines_a[i], lines_b[i]) == 0)
                i++;
        bool equal = i == n_a && i == n_b;
        if (!equal)
                snprintf(why, size, "line %zu:\n  %s\n  %s", i, i < n_a ? lines_a[i] : "(end)",
                         i < n_b ? lines_b[i] : "(end)");
        free_lines(lines_a, n_a);
        free_lines(lines_b, n_b);
        return equal;
}
