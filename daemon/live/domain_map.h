/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Domain index of the records -> the number and name that users see. One thread. */

#include <stddef.h>
#include <stdint.h>

#define DOMAIN_NAME_MAX 48

struct domain_def {
        uint32_t number;
        uint8_t name_length; /* 0: unnamed */
        char name[DOMAIN_NAME_MAX];
};

struct domain_map {
        struct domain_def **defs; /* [256], NULL for undefined; NULL as a whole until there is one */
};

/** domain_map_deinit() - free the definitions */
void domain_map_deinit(struct domain_map *m);

/** domain_map_add() - define a custom one (3..255), or define it anew; names are cut at DOMAIN_NAME_MAX. Return: 0;
 * -ENOMEM. */
int domain_map_add(struct domain_map *m, unsigned index, uint32_t number, const void *name, size_t name_length);

/** domain_map_number() - what users see; an undefined index is its own number */
uint32_t domain_map_number(const struct domain_map *m, unsigned index);

/** domain_map_find() - Return: the definition of a custom domain, or NULL */
const struct domain_def *domain_map_find(const struct domain_map *m, unsigned index);

/** domain_map_copy() - Return: 0; -ENOMEM. */
int domain_map_copy(struct domain_map *m, const struct domain_map *from);
