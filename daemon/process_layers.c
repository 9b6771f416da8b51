/* SPDX-License-Identifier: Apache-2.0 */

/* What agents say that they hook. Main loop. */

#include "daemon/process_layers.h"

#include "daemon/base/log.h"
#include "daemon/kept_processes.h"
#include "daemon/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_MAX     16
#define LAYER_NAME_MAX 64
#define NOTE_MAX       256
#define NOTES_TOLD_MAX 4 /* of an image: who has more to say would fill the log */

static void free_layers(char **layers, size_t n) {
        for (size_t i = 0; layers && i < n; i++)
                free(layers[i]);
        free(layers);
}

/* Said once, though the agent says it with every greeting. */
static int note_layer(struct process *p, const char *note) {
        if (!note[0] || (p->layer_note && strncmp(p->layer_note, note, NOTE_MAX) == 0))
                return 0;
        char *copy = strndup(note, NOTE_MAX);
        if (!copy)
                return -ENOMEM;
        free(p->layer_note);
        p->layer_note = copy;
        if (p->n_notes++ < NOTES_TOLD_MAX)
                log_info("process %d (%s): %s", (int)p->proc.pid, p->name, copy);
        return 0;
}

int process_set_layers(struct process *p, const Tracemallocd__Agent__Hello *hello) {
        size_t n = hello->n_layers < LAYERS_MAX ? hello->n_layers : LAYERS_MAX, n_copied = 0;
        char **layers = calloc(n + 1, sizeof *layers);
        while (layers && n_copied < n && (layers[n_copied] = strndup(hello->layers[n_copied], LAYER_NAME_MAX)))
                n_copied++;
        if (!layers || n_copied < n) {
                free_layers(layers, n_copied);
                return -ENOMEM;
        }
        free_layers(p->layers, p->n_layers);
        p->layers = layers;
        p->n_layers = n;
        int r = note_layer(p, hello->layer_note);
        kept_process_update(p);
        return r;
}

void process_free_layers(struct process *p) {
        free_layers(p->layers, p->n_layers);
        free(p->layer_note);
}
