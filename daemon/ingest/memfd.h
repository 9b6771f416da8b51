/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory shared by descriptor: checking a peer's, making ours. Main loop's thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MEMFD_E_REFUSED = 1 };

/** memfd_map_peer() - check a descriptor from a peer and map all of it read-only
 * It must be a regular file on tmpfs with pages of ordinary size, sealed against
 * resizing and against other seals, so that what is checked stays true and no access gets a SIGBUS; and against writing
 * but through mappings that are there, so that nobody takes pages away again (fallocate(2), FALLOC_FL_PUNCH_HOLE).
 * @fd: borrowed
 * @bytes_min, @bytes_max: its size must lie between them
 * @memoryp, @bytesp: set on 0; munmap() it; @reasonp: static text, set on MEMFD_E_REFUSED
 * Return: 0; MEMFD_E_REFUSED; -errno of mmap. */
int memfd_map_peer(int fd, uint64_t bytes_min, uint64_t bytes_max, const void **memoryp, uint64_t *bytesp,
                   const char **reasonp);

/** memfd_tie_peer() - make it known later whether the peer has let go of a memfd: its open file description is locked,
 * and lives as long as anybody holds the descriptor or maps the file through it; what is ours goes through another one
 * @fd: as memfd_map_peer() takes it, borrowed; to be closed, and not to be mapped
 * @ownp: set on 0: the same file, read-only, for memfd_is_tied()
 * Return: 0; MEMFD_E_REFUSED; -errno. */
int memfd_tie_peer(int fd, int *ownp);

/** memfd_is_tied() - whether somebody holds or maps it whose descriptor memfd_tie_peer() saw, a fork of the peer for
 * one
 * @own: of memfd_tie_peer(), also in a later daemon. Return: true also where it is not known. */
bool memfd_is_tied(int own);

/** memfd_make() - one of ours, mapped read-write, sealed against resizing
 * @seals: more seals, put on after the mapping (F_SEAL_FUTURE_WRITE: nobody else will write to it)
 * @fdp, @memoryp: set on 0. Return: 0; -errno. */
int memfd_make(const char *name, size_t bytes, int seals, int *fdp, void **memoryp);

/** memfd_reader() - a descriptor of one of ours through which nobody can write, nor open it again to do so: the file's
 * mode becomes 0400. @fd: borrowed; @readerp: set on 0. Return: 0; -errno. */
int memfd_reader(int fd, int *readerp);

/** memfd_map_own() - map one that an earlier daemon made, read-write
 * @fd: borrowed. Return: the mapping; NULL: not a file of that size, or no memory. */
void *memfd_map_own(int fd, size_t bytes);
