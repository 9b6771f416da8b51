/* SPDX-License-Identifier: Apache-2.0 */

/* What is closed, forbidden or used up. */

#include "tests/support/life/life.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int chroots(void) {
        some_work();
        EXPECT(chroot(arguments[2]) == 0 && chdir("/") == 0);
        some_work();
        if (fork() == 0) {
                free(malloc(10));
                _exit(0);
        }
        EXPECT(wait(NULL) > 0);
        return 0;
}

static int close_all(void) {
        some_work();
        for (int fd = 3; fd < 8192; fd++)
                close(fd);
        EXPECT(syscall(SYS_close_range, 3, ~0u, 0) == 0 || errno == ENOSYS || errno == EPERM);
        some_work();
        return 0;
}

/* Puts files of its own where a descriptor of ours might be, and finds them unharmed. */
static int dup2_over(void) {
        int null = open("/dev/zero", O_RDWR);
        char byte;
        some_work();
        for (int fd = null + 1; fd < 5000; fd++)
                if (dup2(null, fd) < 0)
                        break;
        for (int i = 0; i < 20; i++)
                some_work();
        for (int fd = null; fd < 5000 && fcntl(fd, F_GETFD) >= 0; fd++)
                EXPECT(read(fd, &byte, 1) == 1 && byte == 0);
        return 0;
}

/* As many are left as untraced, though few. */
static int few_descriptors(void) {
        int n = 0;
        some_work();
        while (dup(1) >= 0)
                n++;
        EXPECT(errno == EMFILE);
        dprintf(1, "%d are left\n", n);
        return 0;
}

/* Then a child that would like to greet. */
static int no_descriptors(void) {
        struct rlimit limit = {64, 64};
        some_work();
        EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        while (dup(1) >= 0)
                ;
        EXPECT(errno == EMFILE);
        some_work();
        pid_t pid = fork();
        if (pid == 0) {
                free(malloc(10));
                EXPECT(dup(1) < 0 && errno == EMFILE);
                _exit(0);
        }
        EXPECT(wait_for(pid) == 0);
        say("no descriptors");
        return 0;
}

static int tight_address_space(void) {
        struct rlimit limit = {(rlim_t)atoi(arguments[2]) << 20, (rlim_t)atoi(arguments[2]) << 20};
        some_work();
        EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
        execl("/proc/self/exe", "life_subject", "fill", (char *)NULL);
        return 98;
}

/* At least this much is there under 64 MiB, traced or not. */
static int fill(void) {
        for (int i = 0; i < 20; i++)
                memset(ledger_malloc(1 << 20), 1, 1 << 20);
        EXPECT(malloc((size_t)1 << 30) == NULL && errno == ENOMEM);
        say("filled");
        return 0;
}

/* seccomp SYSCALL-NUMBER ERRNO: in the image that follows, that system call fails. */
static int seccomp_fails(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(arguments[2]), 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(arguments[3])),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {sizeof code / sizeof *code, code};
        EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
        execl("/proc/self/exe", "life_subject", "filtered", (char *)NULL);
        return 98;
}

static int filtered(void) {
        for (int i = 0; i < 20; i++)
                some_work();
        pid_t pid = fork();
        if (pid == 0) {
                ledger_fork();
                some_work();
                _exit(3);
        }
        EXPECT(wait_for(pid) == 3);
        say("filtered");
        return 0;
}

/* All but what a program does that computes. */
static struct sock_filter only_computing[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_brk, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

/* Then it records more than a ring holds. */
static int confines_itself(void) {
        struct sock_fprog filter = {sizeof only_computing / sizeof *only_computing, only_computing};
        const char *how = arguments[2];
        some_work();
        EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        if (strcmp(how, "prctl") == 0)
                EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
        else if (strcmp(how, "seccomp") == 0)
                EXPECT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
        else
                EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
        for (int i = 0; i < 400; i++)
                some_work();
        EXPECT(write(1, "confined\n", 9) == 9);
        if (strcmp(how, "strict") == 0)
                syscall(SYS_exit, 23);
        _exit(23);
}

const struct life_case life_limits[] = {
        {"chroot", chroots},
        {"close_all", close_all},
        {"dup2_over", dup2_over},
        {"few_descriptors", few_descriptors},
        {"no_descriptors", no_descriptors},
        {"tight_address_space", tight_address_space},
        {"fill", fill},
        {"seccomp", seccomp_fails},
        {"filtered", filtered},
        {"confines_itself", confines_itself},
        {0},
};
