/* SPDX-License-Identifier: Apache-2.0 */

/* Files that commands write. */

#include "client/output_file.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int output_error(FILE *stream) {
        static int error;
        if (!ferror(stream))
                return 0;
        if (error == 0)
                error = errno;
        return error;
}

/* ---- a signal that ends tmctl takes the unfinished file along ---- */

static char *volatile unfinished;

static void end_by_signal(int number) {
        if (unfinished)
                unlink(unfinished);
        raise(number); /* SA_RESETHAND: what it does by default, as soon as this returns */
}

static void take_along(char *temporary) {
        static const int ending[] = {SIGHUP, SIGINT, SIGTERM};
        unfinished = temporary;
        for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
                struct sigaction now, ours = {.sa_handler = end_by_signal, .sa_flags = (int)SA_RESETHAND};
                if (sigaction(ending[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) /* nohup(1) ignores one */
                        sigaction(ending[i], &ours, NULL);
        }
}

static void forget_temporary(struct output_file *f) {
        unfinished = NULL;
        free(f->temporary);
        f->temporary = NULL;
}

/* ---- files ---- */

/* A device or a pipe is no place to move a file to. */
static int open_in_place(const char *path) {
        return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
}

/* mkostemp(3) permits nobody else to read; a new file is to have the usual mode, another's place its mode. */
static int open_temporary(struct output_file *f, const struct stat *old) {
        f->temporary = memory_format("%s.XXXXXX", f->path);
        take_along(f->temporary);
        int fd = mkostemp(f->temporary, O_CLOEXEC);
        if (fd < 0)
                return fd;
        mode_t mask = umask(0);
        umask(mask);
        (void)!fchmod(fd, old ? old->st_mode & 0777 : 0666 & ~mask);
        return fd;
}

int output_file_open(struct output_file *f, const char *path) {
        *f = (struct output_file){.path = path, .stream = stdout};
        if (!path || strcmp(path, "-") == 0)
                return 0;
        struct stat status;
        bool exists = stat(path, &status) == 0;
        AUTO_CLOSE int fd =
                exists && !S_ISREG(status.st_mode) ? open_in_place(path) : open_temporary(f, exists ? &status : NULL);
        f->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
        if (f->stream) {
                fd = -1;
                return 0;
        }
        int r = -errno;
        if (fd >= 0 && f->temporary)
                unlink(f->temporary);
        forget_temporary(f);
        return r;
}

static int close_stream(struct output_file *f) {
        int r = f->stream == stdout ? fflush(stdout) : fclose(f->stream);
        f->stream = NULL;
        return r == 0 ? 0 : -errno;
}

int output_file_commit(struct output_file *f) {
        int r = -output_error(f->stream);
        int closed = close_stream(f);
        if (r == 0)
                r = closed;
        if (r == 0 && f->temporary && rename(f->temporary, f->path) < 0)
                r = -errno;
        if (r < 0 && f->temporary)
                unlink(f->temporary);
        forget_temporary(f);
        return r;
}

void output_file_discard(struct output_file *f) {
        close_stream(f);
        if (f->temporary)
                unlink(f->temporary);
        forget_temporary(f);
}
