/* SPDX-License-Identifier: Apache-2.0 */

/* fake-daemon [--record PATH] [--minor N] AGENT COMMAND...: run a command under the agent, print on stderr what each
 * image told. --record: and keep what image N wrote about blocks in PATH.N, for tests/bench/replay. --minor: of the
 * protocol that it speaks, 0 unless told otherwise. */

#include "tests/support/fake_daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void print_image(const struct fake_image *image) {
        static const char *const types[] = {
                "?",    "alloc",     "free", "move_out", "move_in",   "move_back", "lost",  "load",  "unload", "domain",
                "fork", "fork_done", "exit", "exec",     "exec_back", "map",       "unmap", "phase", "relabel"};

        fprintf(stderr, "%-12s pid %d kind %u%s live %llu/%llu peak %llu", image->name, image->pid, image->kind,
                image->transport ? " socket" : "", (unsigned long long)image->live_count,
                (unsigned long long)image->live_bytes, (unsigned long long)image->peak_bytes);
        for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
                if (image->count[i])
                        fprintf(stderr, " %s=%llu", types[i], (unsigned long long)image->count[i]);
        fprintf(stderr,
                "\n    unknown_frees=%llu replaced=%llu unknown_moves=%llu moving=%llu bad=%llu lost=%llu/%llu "
                "complete=%llu cut=%llu empty=%llu modules=%u files=%u exit=%d mmap=%llu\n",
                (unsigned long long)image->unknown_frees, (unsigned long long)image->replaced,
                (unsigned long long)image->unknown_moves, (unsigned long long)image->moving,
                (unsigned long long)image->bad_records, (unsigned long long)image->lost,
                (unsigned long long)image->lost_events, (unsigned long long)image->complete_tracebacks,
                (unsigned long long)image->cut_tracebacks, (unsigned long long)image->empty_tracebacks,
                image->n_modules, image->n_module_files, image->exit_status, (unsigned long long)image->mmap_bytes);
}

int main(int argc, char **argv) {
        char dir[] = "/tmp/fake-daemon-XXXXXX";
        struct fake_daemon_options options = {0};
        struct fake_daemon *daemon;
        struct fake_image **images;
        int status = 0;
        for (; argc > 3 && strncmp(argv[1], "--", 2) == 0; argv += 2, argc -= 2) {
                if (strcmp(argv[1], "--record") == 0)
                        options.record = argv[2];
                else
                        options.minor = (uint32_t)strtoul(argv[2], NULL, 10);
        }
        if (argc < 3 || !mkdtemp(dir) || fake_daemon_start(dir, &options, &daemon) < 0)
                return 125;
        pid_t pid = fork();
        if (pid == 0) {
                setenv("TRACEMALLOCD_RUNTIME_DIR", dir, 1);
                setenv("LD_PRELOAD", argv[1], 1);
                execvp(argv[2], argv + 2);
                _exit(127);
        }
        waitpid(pid, &status, 0);
        fake_daemon_settle(daemon);
        int n = (int)fake_daemon_images(daemon, &images);
        for (int i = 0; i < n; i++)
                print_image(images[i]);
        fake_daemon_stop(daemon, false);
        rmdir(dir);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
