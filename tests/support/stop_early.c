/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Preloaded into a traced program: ends it at the moment at which heaptrack stops to look. heaptrack stops in a
 * function that its library registered with atexit(), which the loader calls when it finalises that library: after main
 * and its own atexit functions, before the destructors of the libraries that were loaded behind it. What those free
 * counts as never freed for heaptrack; with this library it does for everybody.
 */

#include <stdlib.h>
#include <unistd.h>

static void stop(void) {
        _exit(0);
}

__attribute__((constructor)) static void begin(void) {
        atexit(stop);
}
