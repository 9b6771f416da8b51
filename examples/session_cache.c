/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A small server without a network, to try tracemallocd on: it answers made-up
 * requests out of a table of sessions until it is killed. The table has a fixed
 * number of slots, so what it holds stays the same. But each search is also
 * remembered, and never forgotten: that is the growth to find.
 *
 *     gcc -g -O1 -o session_cache examples/session_cache.c
 *     tmctl run -- ./session_cache
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_SESSIONS 512

struct session {
        uint32_t user;
        char *name;
        char *page; /* what the user saw last */
};

struct search {
        struct search *next;
        uint32_t user;
        char words[];
};

static struct session *sessions[N_SESSIONS];
static struct search *history;

static void *must(void *memory) {
        if (!memory) {
                fputs("out of memory\n", stderr);
                exit(1);
        }
        return memory;
}

static uint32_t random_u32(void) {
        static uint64_t state = 0x9e3779b97f4a7c15;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (uint32_t)(state >> 32);
}

static void session_free(struct session *session) {
        if (!session)
                return;
        free(session->name);
        free(session->page);
        free(session);
}

static struct session *session_new(uint32_t user) {
        struct session *session = must(calloc(1, sizeof *session));
        char name[32];
        snprintf(name, sizeof name, "user-%u", user);
        session->user = user;
        session->name = must(strdup(name));
        return session;
}

/* A user's session; whoever had the slot before is logged out. */
static struct session *session_of(uint32_t user) {
        struct session **slot = &sessions[user % N_SESSIONS];
        if (!*slot || (*slot)->user != user) {
                session_free(*slot);
                *slot = session_new(user);
        }
        return *slot;
}

/* The planted growth: nobody reads this list, nothing shortens it. */
static void remember_search(uint32_t user, const char *words) {
        struct search *search = must(malloc(sizeof *search + strlen(words) + 1));
        search->user = user;
        strcpy(search->words, words);
        search->next = history;
        history = search;
}

static char *render_page(const struct session *session) {
        size_t size = 512 + random_u32() % 4096;
        char *page = must(malloc(size));
        snprintf(page, size, "Welcome back, %s", session->name);
        return page;
}

static void answer_request(void) {
        uint32_t user = random_u32() % 2048;
        struct session *session = session_of(user);
        free(session->page);
        session->page = render_page(session);
        if (random_u32() % 4 == 0) {
                char words[64];
                snprintf(words, sizeof words, "cheap flights to city %u", random_u32() % 1000);
                remember_search(user, words);
        }
}

int main(void) {
        const struct timespec pause = {.tv_nsec = 5000000};
        for (;;) {
                for (int i = 0; i < 100; i++)
                        answer_request();
                nanosleep(&pause, NULL);
        }
}
