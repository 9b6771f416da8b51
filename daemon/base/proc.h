/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What /proc says about a process (proc(5)), as far as any user may read it. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_COMM_BYTES 64 /* proc_pid_comm(5): 16, kernel threads' are longer */

struct proc_info {
        pid_t pid, ppid, ns_pid; /* ns_pid: in the process's own pid namespace */
        uint64_t start_ticks;    /* clock ticks after boot: with pid, the identity of a process */
        int64_t started_at_ns;   /* CLOCK_REALTIME */
        char *cgroup;            /* path in the unified hierarchy, "" where unknown */
        char *unit;              /* systemd unit by the cgroup's name, "" where none */
};

/** proc_info_read() - Return: 0; -ESRCH: no such process; other -errno. Strings are owned by @info on 0. */
int proc_info_read(pid_t pid, struct proc_info *info);
void proc_info_deinit(struct proc_info *info);

/** proc_lives() - whether a process is still there, be it a zombie, by its identity */
bool proc_lives(pid_t pid, uint64_t start_ticks);

/** proc_user() - as whom a process acts now, by its effective uid; @start_ticks: with @pid, its identity
 * Return: (uid_t)-1 where it is gone. */
uid_t proc_user(pid_t pid, uint64_t start_ticks);

/** proc_read_comm() - what the kernel calls it: the name of its program, unless it changed that; "" where it is gone */
void proc_read_comm(pid_t pid, char comm[PROC_COMM_BYTES]);

/** proc_resident_size() - bytes of memory that it occupies, as ps(1) counts them; 0 where it is gone */
uint64_t proc_resident_size(pid_t pid);

/** proc_age_ns() - how long it lives, or would if it did; no change of the clock counts */
int64_t proc_age_ns(const struct proc_info *info);

/** proc_unit_of_cgroup() - the innermost systemd unit that a cgroup path names
 * Return: malloc'd, "" where there is none; NULL: no memory. */
char *proc_unit_of_cgroup(const char *cgroup);

/** proc_unit_is() - whether @unit is what somebody calls @wanted: "redis" and "redis.service" mean the same unit */
bool proc_unit_is(const char *unit, const char *wanted);
