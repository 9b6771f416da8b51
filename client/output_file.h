/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

/** output_error() - why a write to @stream failed; a stream itself remembers no more than that one did
 * Called right behind a write, or errno is another's. A command writes one stream.
 * Return: 0; errno of the first failure. */
int output_error(FILE *stream);

/* A file that is there when it is whole, or not at all: written beside its place and moved there. A signal that ends
 * tmctl meanwhile leaves nothing beside it; one at a time. */

struct output_file {
        const char *path; /* borrowed; NULL or "-": stdout */
        char *temporary;  /* NULL: written in place, for what is no regular file */
        FILE *stream;
};

/** output_file_open() - begin to write
 * @path: NULL or "-" is stdout
 * Return: 0; -errno. */
int output_file_open(struct output_file *f, const char *path);

/** output_file_commit() - all is written: put it in its place. Return: 0; -errno (as after output_file_discard()). */
int output_file_commit(struct output_file *f);

/** output_file_discard() - give up; what was in its place stays */
void output_file_discard(struct output_file *f);
