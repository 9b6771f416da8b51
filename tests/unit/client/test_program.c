/* SPDX-License-Identifier: Apache-2.0 */

/* client/program.c and client/elf_check.c, on real programs. */

#include "client/program.h"
#include "tests/support/check_main.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static char dir[] = "/tmp/test_program.XXXXXX";

static void setup(void) {
        strcpy(dir, "/tmp/test_program.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", dir);
        ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name) {
        static char path[256];
        snprintf(path, sizeof path, "%s/%s", dir, name);
        return path;
}

static void write_file(const char *name, const char *text, mode_t mode) {
        FILE *f = fopen(path_of(name), "w");
        ck_assert_ptr_nonnull(f);
        fputs(text, f);
        fclose(f);
        chmod(path_of(name), mode);
}

static void shell(const char *command) {
        char line[1024];
        snprintf(line, sizeof line, "cd %s && %s", dir, command);
        ck_assert_msg(system(line) == 0, "%s", line);
}

static void expect(const char *path, enum elf_verdict verdict) {
        char *culprit = NULL;
        enum elf_verdict found = program_check(path, getenv("PATH"), &culprit);
        ck_assert_msg(found == verdict, "%s: %s", path, elf_verdict_text(found));
        ck_assert_int_eq(culprit != NULL, verdict != ELF_OK);
        free(culprit);
}

START_TEST(dynamic_programs_can_be_traced)
{
        expect("/bin/ls", ELF_OK);
        expect("/usr/bin/redis-server", ELF_OK);
        expect("/usr/bin/python3", ELF_OK);
        expect("/usr/bin/perl", ELF_OK);
        expect("/bin/bash", ELF_OK);
}
END_TEST

START_TEST(static_programs_cannot)
{
        expect("/bin/busybox", ELF_STATIC);
        write_file("a.c", "int main(void) { return 0; }\n", 0644);
        shell("cc -static-pie -o pie a.c");
        expect(path_of("pie"), ELF_STATIC);
}
END_TEST

START_TEST(programs_for_musl_cannot)
{
        write_file("a.c", "int main(void) { return 0; }\n", 0644);
        shell("musl-gcc -o musl a.c");
        expect(path_of("musl"), ELF_OTHER_LIBC);
}
END_TEST

static void patch(const char *name, off_t offset, const void *bytes, size_t n) {
        int fd = open(path_of(name), O_WRONLY);
        ck_assert_int_eq(pwrite(fd, bytes, n, offset), (ssize_t)n);
        close(fd);
}

START_TEST(other_classes_and_machines_cannot)
{
        const unsigned char class32 = ELFCLASS32;
        const Elf64_Half aarch64 = EM_AARCH64;
        shell("cp /bin/ls a && cp /bin/ls b");
        patch("a", EI_CLASS, &class32, 1);
        expect(path_of("a"), ELF_OTHER_CLASS);
        patch("b", offsetof(Elf64_Ehdr, e_machine), &aarch64, sizeof aarch64);
        expect(path_of("b"), ELF_OTHER_MACHINE);
}
END_TEST

START_TEST(set_uid_and_set_gid_programs_cannot)
{
        expect("/usr/bin/passwd", ELF_PRIVILEGED);
        shell("cp /bin/ls a && chmod 2755 a");
        expect(path_of("a"), ELF_PRIVILEGED);
}
END_TEST

START_TEST(programs_with_capabilities_cannot)
{
        /* struct vfs_cap_data of revision 2: CAP_NET_RAW permitted */
        const unsigned char caps[20] = {[3] = 2, [5] = 0x20};
        shell("cp /bin/ls a");
        if (setxattr(path_of("a"), "security.capability", caps, sizeof caps, 0) < 0) {
                ck_assert_msg(geteuid() != 0 || errno == EPERM || errno == EOPNOTSUPP, "%s", strerror(errno));
                return; /* only root can make one */
        }
        expect(path_of("a"), ELF_PRIVILEGED);
}
END_TEST

START_TEST(a_malloc_of_its_own_is_seen_exported_and_hidden)
{
        write_file("a.c",
                   "#include <stddef.h>\nstatic char pool[100000]; static size_t used;\n"
                   "HOW void *malloc(size_t n) { used += n + 16; return pool + used; }\n"
                   "HOW void free(void *p) { }\nint main(void) { free(malloc(1)); return 0; }\n",
                   0644);
        shell("cc -w -fno-builtin '-DHOW=' -rdynamic -o exported a.c && strip exported");
        expect(path_of("exported"), ELF_OWN_MALLOC);
        shell("cc -w -fno-builtin '-DHOW=__attribute__((visibility(\"hidden\")))' -o hidden a.c");
        expect(path_of("hidden"), ELF_OWN_MALLOC);
}
END_TEST

START_TEST(the_address_of_malloc_is_not_a_malloc)
{
        write_file(
                "a.c",
                "#include <stdlib.h>\nvoid *(*f)(size_t) = malloc;\nint main(void) { return f == malloc ? 0 : 1; }\n",
                0644);
        shell("cc -no-pie -fno-pie -o a a.c");
        expect(path_of("a"), ELF_OK);
}
END_TEST

START_TEST(scripts_are_judged_by_their_interpreter)
{
        char text[512];
        write_file("sh", "#!/bin/sh\nexit 0\n", 0755);
        expect(path_of("sh"), ELF_OK);
        write_file("busy", "#! /bin/busybox sh\nexit 0\n", 0755);
        expect(path_of("busy"), ELF_STATIC);
        write_file("plain", "exit 0\n", 0755);
        expect(path_of("plain"), ELF_OK);
        write_file("env", "#!/usr/bin/env -S busybox sh\n", 0755);
        expect(path_of("env"), ELF_STATIC);
        write_file("env2", "#!/usr/bin/env python3\n", 0755);
        expect(path_of("sh"), ELF_OK);
        snprintf(text, sizeof text, "#!%s/busy\n", dir);
        write_file("twice", text, 0755);
        expect(path_of("twice"), ELF_STATIC);
        snprintf(text, sizeof text, "#!%s/loop\n", dir);
        write_file("loop", text, 0755);
        expect(path_of("loop"), ELF_NOT_ELF);
}
END_TEST

START_TEST(damaged_files_are_harmless)
{
        char command[128];
        for (int length = 1; length < 4096; length = length * 3 / 2 + 1) {
                snprintf(command, sizeof command, "head -c %d /bin/ls > cut", length);
                shell(command);
                char *culprit = NULL;
                enum elf_verdict verdict = elf_check(path_of("cut"));
                ck_assert(verdict != ELF_OK || length > 64);
                free(culprit);
        }
        shell("head -c 64 /bin/ls > cut");
        ck_assert_int_ne(elf_check(path_of("cut")), ELF_OK);
        ck_assert_int_eq(elf_check("/nonexistent"), ELF_UNREADABLE);
}
END_TEST

START_TEST(programs_are_found_as_execvp_does)
{
        char *path = NULL;
        char two[512];
        ck_assert_int_eq(program_find("ls", "/nonexistent:/bin", &path), 0);
        ck_assert_str_eq(path, "/bin/ls");
        free(path);
        ck_assert_int_eq(program_find("no-such-program", "/bin", &path), -ENOENT);
        ck_assert_int_eq(program_find("", "/bin", &path), -ENOENT);
        ck_assert_int_eq(program_find("/bin", "/bin", &path), -EISDIR);
        ck_assert_int_eq(program_find("/dev/null", "/bin", &path), -EACCES);
        ck_assert_int_eq(program_find("bin", "/usr:/nonexistent", &path), -EISDIR);
        ck_assert_int_eq(program_find("/nonexistent/x", "/bin", &path), -ENOENT);
        ck_assert_int_eq(program_find("/etc/passwd/x", "/bin", &path), -ENOTDIR);
        write_file("ls", "not executable", 0644);
        ck_assert_int_eq(program_find("ls", dir, &path), -EACCES);
        snprintf(two, sizeof two, "%s:/bin", dir);
        ck_assert_int_eq(program_find("ls", two, &path), 0);
        ck_assert_str_eq(path, "/bin/ls");
        free(path);
}
END_TEST

START_TEST(programs_of_go_are_known_by_their_note)
{
        shell("echo 'int main(void) { return 0; }' >c.c && gcc -o c c.c && gcc -o go -x c - <<'END'\n"
              "char note[] __attribute__((section(\".note.go.buildid\"))) = \"id\";\n"
              "int main(void) { return !note[0]; }\n"
              "END");
        ck_assert(elf_is_go(path_of("go")));
        expect(path_of("go"), ELF_OK);
        ck_assert(!elf_is_go(path_of("c")));
        ck_assert(!elf_is_go(path_of("c.c")));
        ck_assert(!elf_is_go(path_of("absent")));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("program");
        TCase *tc = check_case("program");
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, dynamic_programs_can_be_traced);
        tcase_add_test(tc, static_programs_cannot);
        tcase_add_test(tc, programs_for_musl_cannot);
        tcase_add_test(tc, other_classes_and_machines_cannot);
        tcase_add_test(tc, set_uid_and_set_gid_programs_cannot);
        tcase_add_test(tc, programs_with_capabilities_cannot);
        tcase_add_test(tc, a_malloc_of_its_own_is_seen_exported_and_hidden);
        tcase_add_test(tc, the_address_of_malloc_is_not_a_malloc);
        tcase_add_test(tc, scripts_are_judged_by_their_interpreter);
        tcase_add_test(tc, damaged_files_are_harmless);
        tcase_add_test(tc, programs_are_found_as_execvp_does);
        tcase_add_test(tc, programs_of_go_are_known_by_their_note);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
