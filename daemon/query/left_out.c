/* SPDX-License-Identifier: Apache-2.0 */

/* See left_out.h. Runs in the thread of its query. */

#include "daemon/query/left_out.h"

#include "daemon/query/filter.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Where the traces ended before something was dropped. */
static uint32_t *copy_nodes(const struct model *m) {
        uint32_t *nodes = calloc(m->n_traces + 1, sizeof *nodes);
        for (size_t i = 0; nodes && i < m->n_traces; i++)
                nodes[i] = m->traces[i].node;
        return nodes;
}

/* A double, for sums of hostile sizes may be larger than any integer. */
static double weight_of(const struct model_trace *trace, const struct statistics_options *options) {
        uint64_t size = options->allocated ? trace->allocated_size : trace->size;
        uint64_t count = options->allocated ? trace->allocated_count : trace->count;
        double weight = (double)(options->by_count ? count : size);
        return trace->side == MODEL_OLD ? -weight : weight;
}

/* @weights: [n_texts] of functions */
static void weigh(const struct model *m, const uint8_t *marks, const struct statistics_options *options,
                  const uint32_t *nodes, double *weights) {
        for (size_t i = 0; i < m->n_traces; i++) {
                double weight = weight_of(&m->traces[i], options);
                for (uint32_t node = nodes[i]; node != m->traces[i].node; node = m->table.nodes[node].parent) {
                        uint32_t frame = m->table.nodes[node].frame;
                        if (marks[frame] == FILTER_SUPPOSED)
                                weights[m->table.frames[frame].function] += weight;
                }
        }
}

/* Into its place among the heaviest. */
static void name(struct left_out *left_out, const double *weights, uint32_t text) {
        size_t i = left_out->n_supposed;
        if (i < LEFT_OUT_NAMED_MAX)
                left_out->n_supposed++;
        else
                left_out->n_more++;
        for (; i > 0 && fabs(weights[left_out->supposed[i - 1]]) < fabs(weights[text]); i--)
                if (i < LEFT_OUT_NAMED_MAX)
                        left_out->supposed[i] = left_out->supposed[i - 1];
        if (i < LEFT_OUT_NAMED_MAX)
                left_out->supposed[i] = text;
}

int left_out_compute(struct model *m, const uint8_t *marks, const struct statistics_options *options,
                     struct left_out *left_outp) {
        uint32_t *nodes = copy_nodes(m);
        double *weights = calloc((size_t)m->table.texts.n_texts + 1, sizeof *weights);
        int r = nodes && weights ? filter_drop_recent(m, marks, &left_outp->any) : -ENOMEM;
        if (r == 0 && left_outp->any) {
                weigh(m, marks, options, nodes, weights);
                for (uint32_t text = 0; text < m->table.texts.n_texts; text++)
                        if (weights[text] != 0)
                                name(left_outp, weights, text);
        }
        free(nodes);
        free(weights);
        return r;
}
