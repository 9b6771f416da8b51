/* SPDX-License-Identifier: Apache-2.0 */

/* Becomes a program without an agent, while a fork that allocates nothing, so that it never greets, holds its ring
 * until descriptor FD ends. usage: departs FD PROGRAM [ARGUMENT...] */

#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
        char byte;
        int fd = argc > 2 ? atoi(argv[1]) : -1;
        free(malloc(100));
        if (argc > 2 && fork() == 0) {
                while (read(fd, &byte, 1) > 0)
                        ;
                _exit(0);
        }
        if (argc > 2)
                execvp(argv[2], argv + 2);
        return 127;
}
