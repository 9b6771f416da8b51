/* SPDX-License-Identifier: Apache-2.0 */

/* Custom domains. Runs on the ingest worker that owns the image; called by image.c, image_fork.c and image_snapshot.c.
 */

#include "daemon/live/domain_map.h"

#include "proto/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void domain_map_deinit(struct domain_map *m) {
        if (!m->defs)
                return;
        for (unsigned i = 0; i <= DOMAIN_INDEX_MAX; i++)
                free(m->defs[i]);
        free(m->defs);
        m->defs = NULL;
}

int domain_map_add(struct domain_map *m, unsigned index, uint32_t number, const void *name, size_t name_length) {
        if (!m->defs)
                m->defs = calloc(DOMAIN_INDEX_MAX + 1, sizeof(struct domain_def *));
        if (!m->defs)
                return -ENOMEM;
        struct domain_def *def = m->defs[index] ? m->defs[index] : calloc(1, sizeof *def);
        if (!def)
                return -ENOMEM;
        if (name_length > DOMAIN_NAME_MAX)
                name_length = DOMAIN_NAME_MAX;
        def->number = number;
        def->name_length = (uint8_t)name_length;
        if (name_length)
                memcpy(def->name, name, name_length);
        m->defs[index] = def;
        return 0;
}

uint32_t domain_map_number(const struct domain_map *m, unsigned index) {
        switch (index) {
        case DOMAIN_INDEX_MALLOC:
                return DOMAIN_MALLOC;
        case DOMAIN_INDEX_PYTHON:
                return DOMAIN_PYTHON;
        case DOMAIN_INDEX_MMAP:
                return DOMAIN_MMAP;
        }
        const struct domain_def *def = domain_map_find(m, index);
        return def ? def->number : index;
}

const struct domain_def *domain_map_find(const struct domain_map *m, unsigned index) {
        return m->defs ? m->defs[index] : NULL;
}

int domain_map_copy(struct domain_map *m, const struct domain_map *from) {
        for (unsigned i = 0; from->defs && i <= DOMAIN_INDEX_MAX; i++) {
                const struct domain_def *def = from->defs[i];
                int r = def ? domain_map_add(m, i, def->number, def->name, def->name_length) : 0;
                if (r)
                        return r;
        }
        return 0;
}
