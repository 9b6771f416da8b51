/* SPDX-License-Identifier: Apache-2.0 */

/* Forks a child that allocates nothing, so that it does not greet, until descriptor FD ends; then it allocates once.
 * Both end with standard input. usage: forks_silently FD */

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_BLOCKS 1000

static void wait_for_end(int fd) {
        char byte;
        while (read(fd, &byte, 1) > 0)
                ;
}

int main(int argc, char **argv) {
        static void *blocks[N_BLOCKS + 1];
        int fd = argc > 1 ? atoi(argv[1]) : -1;
        for (int i = 0; i < N_BLOCKS; i++)
                blocks[i] = malloc(100);
        if (fork() == 0) {
                wait_for_end(fd);
                blocks[N_BLOCKS] = malloc(100);
                wait_for_end(STDIN_FILENO);
                _exit(0);
        }
        close(fd);
        if (write(STDOUT_FILENO, "f\n", 2) != 2)
                return 1;
        wait(NULL);
        return 0;
}
