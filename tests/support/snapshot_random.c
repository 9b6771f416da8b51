/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/support/snapshot_random.h"

#include "proto/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(call)                                                                                                     \
        do {                                                                                                           \
                if ((call) != 0)                                                                                       \
                        abort();                                                                                       \
        } while (0)

uint64_t snapshot_random_next(uint64_t *state) {
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

struct source {
        uint64_t state;
        struct snapshot_builder *builder;
};

static uint32_t below(struct source *source, uint32_t n) {
        return n ? (uint32_t)(snapshot_random_next(&source->state) % n) : 0;
}

static const struct {
        const char *bytes;
        size_t length;
} odd_names[] = {{"", 0},
                 {"<unknown>", 9},
                 {"<frozen importlib._bootstrap>", 29},
                 {"\xff\xfe not UTF-8", 12},
                 {"with\0nul", 8},
                 {"a\nb", 3},
                 {"\xf0\x9f\x90\x8d.py", 7},
                 {"/usr/lib/python3/a b;c.pyc", 26}};

static uint32_t random_string(struct source *source, const char *what) {
        uint32_t index, i = below(source, 40);
        char name[64];
        if (i < sizeof odd_names / sizeof odd_names[0]) {
                must(snapshot_builder_string(source->builder, odd_names[i].bytes, odd_names[i].length, &index));
        } else {
                int n = snprintf(name, sizeof name, "/src/%s_%u", what, i);
                must(snapshot_builder_string(source->builder, name, (size_t)n, &index));
        }
        return index;
}

static uint32_t random_module(struct source *source) {
        uint32_t index, i = below(source, 6);
        char path[64];
        uint8_t build_id[32];
        memset(build_id, (int)(i + 1), sizeof build_id);
        int n = snprintf(path, sizeof path, "/usr/lib/lib%u.so", i / 2);
        static const size_t lengths[] = {0, 20, 32, 8, 16, 1};
        must(snapshot_builder_module(source->builder, path, (size_t)n, build_id, lengths[i], &index));
        return index;
}

static uint32_t random_location(struct source *source) {
        struct snapshot_location location = {
                .module = SNAPSHOT_NONE, .filename = SNAPSHOT_NONE, .function = SNAPSHOT_NONE};
        uint32_t index;
        if (below(source, 2)) {
                location.kind = LOCATION_SOURCE;
                location.filename = random_string(source, "file");
                location.function = below(source, 4) ? random_string(source, "function") : SNAPSHOT_NONE;
                location.lineno = below(source, 50) ? below(source, 30) : UINT32_MAX;
        } else {
                location.kind = LOCATION_NATIVE;
                location.offset = below(source, 300);
                if (below(source, 20))
                        location.module = random_module(source);
                else
                        location.offset |= UINT64_C(0xffffffffff600000); /* vsyscall: no module, the top bit is set */
        }
        must(snapshot_builder_location(source->builder, &location, &index));
        return index;
}

static uint32_t random_node(struct source *source, uint32_t depth_max) {
        uint32_t node = 0, location = 0, depth = below(source, depth_max + 1);
        for (uint32_t i = 0; i < depth; i++) {
                /* else the same again: recursion */
                if (i == 0 || below(source, 4))
                        location = random_location(source);
                must(snapshot_builder_node(source->builder, node, location, &node));
        }
        return node;
}

static uint64_t random_size(struct source *source) {
        switch (below(source, 8)) {
        case 0:
                return 0;
        case 1:
                return UINT64_C(1) << 40;
        case 2:
                return snapshot_random_next(&source->state) >> 30;
        default:
                return 8 * (1 + below(source, 64));
        }
}

static void random_group(struct source *source, const struct snapshot_random_options *options) {
        static const uint32_t domains[] = {DOMAIN_PYTHON, DOMAIN_MALLOC, DOMAIN_MALLOC, DOMAIN_MMAP, 389047};
        uint32_t domain = domains[below(source, 5)];
        uint32_t node = random_node(source, options->depth_max ? options->depth_max : 12);
        uint32_t nframe = options->kind == SNAPSHOT_IMPORT ? SNAPSHOT_TOTAL_NFRAME_UNKNOWN : below(source, 3) + 1;
        uint32_t n = 1 + below(source, options->sizes_max ? options->sizes_max : 8);
        struct snapshot_builder *b = source->builder;
        if (options->kind == SNAPSHOT_PEAK) {
                must(snapshot_builder_sum(b, domain, node, nframe, random_size(source), n));
                return;
        }
        bool dead = below(source, 10) == 0;
        for (uint32_t i = 0; i < n && !dead; i++)
                must(snapshot_builder_block(b, domain, node, nframe, random_size(source), 1 + below(source, 1000)));
        if (dead || below(source, 2))
                must(snapshot_builder_allocated(b, domain, node, nframe, 1 + random_size(source),
                                                1 + below(source, 9)));
}

static char *copy(const char *text) {
        char *result = strdup(text);
        if (!result)
                abort();
        return result;
}

static void fill_info(struct source *source, const struct snapshot_random_options *options) {
        struct snapshot_info *info = snapshot_builder_info(source->builder);
        info->pid = options->pid;
        info->uid = options->uid;
        info->ppid = below(source, 30000);
        info->image = 1 + below(source, 3);
        info->kind = options->kind;
        info->traceback_limit = 1 + below(source, 65535);
        info->taken_at_ns = (int64_t)(snapshot_random_next(&source->state) >> 2);
        info->started_at_ns = (int64_t)(snapshot_random_next(&source->state) >> 2);
        info->lost = below(source, 2) ? 0 : snapshot_random_next(&source->state);
        info->exact = below(source, 2);
        info->sizes_known = options->kind != SNAPSHOT_PEAK;
        info->allocated_known = options->kind != SNAPSHOT_PEAK;
        info->name = copy(below(source, 2) ? "redis-server" : "odd \xff name");
        info->exe = copy("/usr/bin/redis-server");
        info->unit = copy(below(source, 2) ? "redis.service" : "");
        info->cgroup = copy("/system.slice/redis.service");
        info->label = copy(below(source, 2) ? "before the deploy" : "");
        info->ended_by = copy(options->kind == SNAPSHOT_EXIT ? "signal 9" : "");
}

struct snapshot *snapshot_random(const struct snapshot_random_options *options) {
        struct source source = {.state = options->seed};
        struct snapshot *snapshot;
        must(snapshot_builder_new(&source.builder));
        fill_info(&source, options);
        for (uint32_t i = 0; i < options->n_tracebacks; i++)
                random_group(&source, options);
        if (options->n_tracebacks) {
                must(snapshot_builder_domain(source.builder, 389047, "numpy", 5));
                must(snapshot_builder_domain(source.builder, 7, "\xff odd", 5));
        }
        must(snapshot_builder_finish(source.builder, &snapshot));
        return snapshot;
}
