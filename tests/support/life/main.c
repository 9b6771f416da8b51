/* SPDX-License-Identifier: Apache-2.0 */

/* Finds the case; see life.h. */

#include "tests/support/life/life.h"

char **arguments;

int main(int argc, char **argv) {
        static const struct life_case *const families[] = {life_ends, life_children, life_threads, life_limits,
                                                           life_load};
        arguments = argv;
        for (size_t i = 0; argc > 1 && i < sizeof families / sizeof *families; i++)
                for (const struct life_case *c = families[i]; c->name; c++)
                        if (strcmp(argv[1], c->name) == 0)
                                return c->run();
        fprintf(stderr, "usage: life_subject CASE [ARGUMENT...]\n");
        return 2;
}
