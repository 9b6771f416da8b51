/* SPDX-License-Identifier: Apache-2.0 */

/* As long as somebody wants it: for what happens to the daemon meanwhile. */

#include "tests/support/life/life.h"

#include <poll.h>
#include <stdlib.h>

/* until_told: works until its standard input ends; prints a line when it has begun. */
static int until_told(void) {
        start_threads(work_on, 2);
        await_steps(1000);
        say("working");
        while (getchar() != EOF)
                ;
        join_threads(2);
        say("told");
        return 0;
}

/* trickle: a few blocks now and then, until standard input ends. */
static int trickle(void) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        struct slots slots = {.seed = 1};
        say("working");
        while (poll(&input, 1, 5) == 0)
                work(&slots, 20);
        say("told");
        return 0;
}

/* burst SECONDS: as fast as it can, for that long. */
static int burst(void) {
        start_threads(work_on, 4);
        sleep((unsigned)atoi(arguments[2]));
        join_threads(4);
        say("burst over");
        return 0;
}

const struct life_case life_load[] = {
        {"until_told", until_told},
        {"trickle", trickle},
        {"burst", burst},
        {0},
};
