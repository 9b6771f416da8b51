/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Memory that outlives the daemon: one memfd for each image, which systemd holds (daemon/fd_store.h). All that an
 * image needs to go on lies in it, and it is right at every instruction: a daemon may die anywhere.
 *
 *   header   who made it, in which layout; which record is in force
 *   records  two halves. A commit writes the idle half, then one store of the sequence number puts it in force
 *   identity two halves, in the same way: who the process is (the main loop's)
 *   journal  append-only; the record in force says how much of it counts
 *   undo     what cells and slots held before the changes since the last commit
 *   windows  arrays of the table and the sums, each at a place in the file of its own, never used again
 *
 * The rules: what is in a window is changed only after region_save() put the old bytes into the undo log; scalars
 * live in ordinary memory and go into the record; what is given back is given back after the next commit. The
 * next daemon undoes from the last entry to the first, then has exactly the state of the record in force. A process
 * that is killed stops between two instructions with all its stores done in order, so that compiler barriers are all
 * that is needed. Windows are file ranges: the file is sparse, pages that were never touched do not exist.
 *
 * Nobody but daemons has the descriptor. All the same the header is checked before the rest is believed. One thread,
 * except where said.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct keep_header;
struct keep_later;

#define KEEP_SAVED_LINES 64 /* a batch changes the sums of some ten tracebacks, again and again */

struct keep {
        int fd;
        struct keep_header *header;
        uint64_t sequence; /* of the record in force */
        uint64_t next_window;
        uint64_t file_bytes;
        /* undo log */
        uint64_t *log;
        size_t log_words, log_capacity;
        volatile uint64_t *log_words_told;      /* in the header */
        uint64_t saved_lines[KEEP_SAVED_LINES]; /* some of those saved since the last commit; 0: none */
        bool unlogged; /* what is written now counts only after the next commit, and is thrown away without it */
        bool failed;   /* there was no memory: the next daemon can't use this */
        bool dirty;    /* something has changed since the last commit */
        uint64_t journal_bytes;
        struct keep_later *later; /* to give back after the commit */
        size_t n_later, later_capacity;
};

enum {
        KEEP_E_LAYOUT = 1, /* adopt: made by a daemon with another layout */
        KEEP_E_BROKEN = 2, /* adopt: not what a daemon leaves behind */
        KEEP_E_ASIDE = 3,  /* adopt: daemons died of it */
};

/** keep_new() - an empty one. @keepp: set on 0. Return: 0; -errno. */
int keep_new(struct keep **keepp);

/** keep_adopt() - take over what another daemon left: undo what it had begun, count its death
 * Leaves it busy: a daemon may die of what it finds, too.
 * @fd: taken, also on failure. Return: 0; KEEP_E_LAYOUT; KEEP_E_BROKEN; KEEP_E_ASIDE; -errno. */
int keep_adopt(int fd, struct keep **keepp);

/** keep_free() - close; the memory goes with the last descriptor. NULL is fine. Return: NULL. */
struct keep *keep_free(struct keep *k);

/** keep_fd() - borrowed, for the store of descriptors */
int keep_fd(const struct keep *k);

/** keep_record() - the record in force. @lengthp: its bytes. Return: borrowed until the next commit; NULL: none yet. */
const void *keep_record(const struct keep *k, size_t *lengthp);

/** keep_begin() - where to write the next record. @bytes: it will have. Return: the place; NULL: no memory (failed). */
void *keep_begin(struct keep *k, size_t bytes);

/** keep_commit() - the record at keep_begin() is in force; the undo log is empty; give back what was to go */
void keep_commit(struct keep *k);

/* Between two stores whose order counts. With KEEP_STEP a test is called there, which may end the daemon. */
#ifdef KEEP_STEP
void keep_step(void);
#define KEEP_BARRIER() keep_step()
#else
#define KEEP_BARRIER() atomic_signal_fence(memory_order_seq_cst)
#endif

/** keep_fail() - from now on the next daemon can't use this */
void keep_fail(struct keep *k);

/** keep_save() - before the @bytes at @offset of the file change: remember @old. Called through region_save().
 * An entry: the old bytes, where they belong, how many they are. */
static inline void keep_save(struct keep *k, uint64_t offset, const void *old, size_t bytes) {
        size_t words = (bytes + 7) / 8;
        k->dirty = true;
        if (__builtin_expect(k->unlogged || k->failed, 0))
                return;
        if (__builtin_expect(k->log_words + words + 2 > k->log_capacity, 0)) {
                keep_fail(k);
                return;
        }
        uint64_t *entry = &k->log[k->log_words];
        memcpy(entry, old, bytes);
        entry[words] = offset;
        entry[words + 1] = bytes;
        k->log_words += words + 2;
        KEEP_BARRIER();
        *k->log_words_told = k->log_words;
        KEEP_BARRIER();
}

/** keep_save_line() - keep_save() of the 64 bytes at @offset, a multiple of 64, unless that was done since the last
 * commit One entry is enough: undone is from the last to the first, so the oldest is what remains. That a line lost its
 * place in saved_lines to another costs a second entry, no more. */
static inline void keep_save_line(struct keep *k, uint64_t offset, const void *old) {
        uint64_t *saved = &k->saved_lines[offset / 64 % KEEP_SAVED_LINES];
        if (*saved == offset)
                return;
        keep_save(k, offset, old, 64);
        *saved = offset;
}

/** keep_append() - to the journal. Return: 0; -ENOMEM (nothing appended). */
int keep_append(struct keep *k, const void *bytes, size_t length);

/** keep_journal() - the first @bytes of the journal. Return: borrowed until the next keep_append(); NULL: not there. */
const void *keep_journal(struct keep *k, uint64_t bytes);

/** keep_window() - @bytes of the file that nobody used before. Return: their offset. */
uint64_t keep_window(struct keep *k, uint64_t bytes);

/** keep_has_window() - whether keep_window() can have given that out */
bool keep_has_window(const struct keep *k, uint64_t offset, uint64_t bytes);

/** keep_map() - map a piece of the file over @address. Return: 0; -errno. */
int keep_map(struct keep *k, void *address, uint64_t offset, size_t bytes);

/** keep_give_later() - after the next commit the pages of [offset, offset + bytes) go
 * @unmap: and this mapping of @unmap_bytes; NULL: it stays */
void keep_give_later(struct keep *k, uint64_t offset, uint64_t bytes, void *unmap, size_t unmap_bytes);

/** keep_sweep() - all pages go that are in none of these file ranges
 * @ranges: [n] of from and to, in ascending order, all in windows */
void keep_sweep(struct keep *k, const uint64_t (*ranges)[2], size_t n);

/** keep_busy() - around all that is done with an image: a daemon that dies in between is suspected to die of it
 * One keep a thread. Two crashes (keep_crashed()) without a commit in between, or four ends of another kind, which may
 * have come from outside, and it is set aside. */
void keep_busy(struct keep *k, bool busy);

/** keep_crashed() - say in all that are busy that this is no SIGKILL from outside
 * From the handler of a fatal signal. */
void keep_crashed(void);

/** keep_identity() - who the process is, as keep_set_identity() left it; main loop's. Return: borrowed; NULL: none. */
const void *keep_identity(const struct keep *k, size_t *lengthp);

/** keep_set_identity() - at most KEEP_IDENTITY_MAX bytes; main loop's. Return: 0; -ENOMEM. */
int keep_set_identity(struct keep *k, const void *bytes, size_t length);
#define KEEP_IDENTITY_MAX (UINT32_C(1) << 17)
