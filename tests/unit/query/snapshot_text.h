/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Snapshots for tests, from words of text. A frame is one word:
 *
 *   s,FILE,LINE[,FUNCTION]  a source frame        n,MODULE,OFFSET  a native one
 *   n                       a pc in no module
 *
 * Words are percent-encoded. Arrays of a snapshot are interned by linear
 * search: this is for small cases. Bad text and lack of memory abort.
 */

#include "daemon/live/snapshot.h"
#include "daemon/symbol/symbol_set.h"

#include <stddef.h>
#include <stdint.h>

/** snapshot_text_unescape() - undo percent-encoding in place. Return: the length in bytes. */
size_t snapshot_text_unescape(char *word);

/** snapshot_text_new() - an empty snapshot; sizes and allocated sums are known. snapshot_text_free() ends it. */
struct snapshot *snapshot_text_new(int64_t id);
void snapshot_text_free(struct snapshot *s);

/** snapshot_text_blocks() - @count blocks of @size; @frames: [n_frames] words, oldest first, overwritten */
void snapshot_text_blocks(struct snapshot *s, uint32_t domain, uint32_t total_nframe, uint64_t size, uint64_t count,
                          char **frames, size_t n_frames);

/** snapshot_text_sum() - the same without sizes, as in a peak snapshot */
void snapshot_text_sum(struct snapshot *s, uint32_t domain, uint32_t total_nframe, uint64_t size, uint64_t count,
                       char **frames, size_t n_frames);

/** snapshot_text_allocated() - the same for what was allocated since the start */
void snapshot_text_allocated(struct snapshot *s, uint32_t domain, uint32_t total_nframe, uint64_t size, uint64_t count,
                             char **frames, size_t n_frames);

/** snapshot_text_domain() - name a domain; @name is overwritten */
void snapshot_text_domain(struct snapshot *s, uint32_t number, char *name);

/** snapshot_text_symbol() - say what a location is: @frames [n_frames] source frames, innermost first, in which an
 * empty FILE or FUNCTION and LINE 0 are unknown */
void snapshot_text_symbol(struct symbol_set *symbols, char *module, uint64_t offset, char **frames, size_t n_frames);
