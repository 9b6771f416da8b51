/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A store in a directory of its own, and the callbacks turned into return values. Every failure to set up aborts the
 * test. */

#include "daemon/store/store.h"
#include "daemon/store/store_reader.h"

#include <sqlite3.h>
#include <uv.h>

#include <stdbool.h>
#include <stdint.h>

struct fixture {
        uv_loop_t loop;
        char root[32]; /* removed at the end */
        char state_dir[64];
        struct store *store;
        struct store_reader *reader;
        char message[STORE_MESSAGE_MAX]; /* of the last failure */
        int64_t set;                     /* of the last put */
        bool unresolved;                 /* the same */
};

/** fixture_init() - a fresh directory, nothing open */
void fixture_init(struct fixture *f);

/** fixture_open() - store and reader. Return: what store_open() returned. */
int fixture_open(struct fixture *f);

/** fixture_close() - both, asserting that the loop has nothing left */
void fixture_close(struct fixture *f);

/** fixture_deinit() - and the directory */
void fixture_deinit(struct fixture *f);

/* For requests that wait at the same time: where fixture_note() notes the answer. */
struct fixture_answer {
        int code;   /* -1: none yet; set before the request */
        int64_t id; /* the first; 0: none */
};

/** fixture_note() - a store_callback. @data: struct fixture_answer */
void fixture_note(void *data, const struct store_result *result);

/** fixture_code_of() - wait for it. Return: its code. */
int fixture_code_of(struct fixture *f, const struct fixture_answer *answer);

/* Each waits for the answer and returns its code. */
int fixture_put(struct fixture *f, struct snapshot *snapshot, int64_t set, int64_t *idp);
int fixture_put_once(struct fixture *f, struct snapshot *snapshot, int64_t *idp);
int fixture_put_set(struct fixture *f, struct snapshot *const *snapshots, size_t n, int64_t *ids);
int fixture_label(struct fixture *f, int64_t id, const char *label);
int fixture_label_all(struct fixture *f, const int64_t *ids, size_t n, const char *label);
int fixture_delete(struct fixture *f, const int64_t *ids, size_t n);
int fixture_put_symbols(struct fixture *f, uint32_t owner, struct symbol_set *symbols);

/** fixture_query() - first column of the first row of plain SQL, on a connection of its own; as text, to free() */
char *fixture_query(struct fixture *f, const char *sql);
int64_t fixture_count(struct fixture *f, const char *sql);

/** fixture_execute() - change the database behind the store's back */
void fixture_execute(struct fixture *f, const char *sql);

/** fixture_check() - integrity_check, foreign_key_check, and that nothing is stored that no snapshot needs */
void fixture_check(struct fixture *f);

/** fixture_load_equal() - assert that id comes back equal to @expected */
void fixture_load_equal(struct fixture *f, int64_t id, const struct snapshot *expected);
