/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a fork leaves: the parent's table as it was at the FORK record, which waits in the parent's image until the
 * child comes for it. Worker's thread.
 */

#include "daemon/live/cut.h"
#include "daemon/live/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_FORKS_MAX 64

enum { IMAGE_FORK_MORE = 1 };

struct image_fork {
        struct image_fork *next;
        struct cut cut;
        struct module_map *modules; /* referenced */
        struct domain_map domains;  /* copied */
        struct image_phase phase;
        uint32_t n_modules;
        uint32_t token, pid; /* pid: of the FORK_DONE record, 0 before */
        bool exact;
};

/** image_fork_add() - a FORK record: from here on @token has a table that waits
 * The oldest goes where there are IMAGE_FORKS_MAX. Where memory is missing there is none, and the child begins inexact.
 */
void image_fork_add(struct image *image, uint32_t token);

/** image_fork_done() - a FORK_DONE record: who the child is. @pid: 0: the fork failed, its table goes */
void image_fork_done(struct image *image, uint32_t token, uint32_t pid);

/** image_fork_take() - claim a fork's table. Return: owned by the caller; NULL: no such token. */
struct image_fork *image_fork_take(struct image *image, uint32_t token);

/** image_fork_find() - look. Return: borrowed, it stays in the image and in its records; NULL: no such token. */
struct image_fork *image_fork_find(struct image *image, uint32_t token);

/** image_fork_free() - drop it; NULL is fine. Return: NULL. */
struct image_fork *image_fork_free(struct image_fork *fork);

/** image_fork_begin() - the child's side: modules and domains. @child: freshly initialised. Return: 0; IMAGE_E_FULL;
 * -ENOMEM. */
int image_fork_begin(struct image *child, struct image_fork *fork);

/** image_fork_step() - take over the next blocks, before any event of the child is applied
 * @n: about so many. Return: 0: done, drop the fork; IMAGE_FORK_MORE. A broken cut or a full child makes it inexact. */
int image_fork_step(struct image *child, struct image_fork *fork, size_t n);
