/* SPDX-License-Identifier: Apache-2.0 */

/* Fatal signals. Main loop; called by main.c; the handler runs in any thread. */

#include "daemon/crash.h"

#include "daemon/live/keep.h"

#include <signal.h>
#include <stddef.h>

/* The default action is back already. A fault comes again by itself, with the right place for the core; what was sent
 * (by abort(), or by systemd's watchdog) does not. */
static void on_fatal(int number, siginfo_t *info, void *context) {
        keep_crashed();
        if (info->si_code <= 0)
                raise(number);
}

void crash_watch(void) {
        static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
                struct sigaction before, action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_RESETHAND};
                /* a sanitizer's own handlers stay */
                if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
                        sigaction(numbers[i], &action, NULL);
        }
}
