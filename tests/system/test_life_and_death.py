#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""However a traced process lives and dies: it behaves as untraced, and the daemon's account of it equals the
one that it keeps about itself, or the daemon says that something is missing.
"""
import os
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from life import Run, accounted, compile_subject, snapshots_of  # noqa: E402
from tm import Claims, Daemon  # noqa: E402

PLUGIN = b"""
#include <stddef.h>
void *plugin_allocate(void *(*allocate)(size_t), size_t size);
void *plugin_allocate(void *(*allocate)(size_t), size_t size) {
        void *volatile block = allocate(size);
        return block;
}
"""
# what the agent asks of the kernel; x86-64's numbers
SYSTEM_CALLS = {"memfd_create": 319, "socket": 41, "connect": 42, "sendmsg": 46, "recvmsg": 47, "futex": 202,
                "ftruncate": 77, "fcntl": 72, "madvise": 28, "prlimit64": 302, "poll": 7, "gettid": 186}
EPERM, ENOSYS = 1, 38


class Life:
    def __init__(self, claims, daemon):
        self.claims = claims
        self.daemon = daemon
        self.folder = tempfile.mkdtemp(prefix="life.", dir=daemon.scratch)
        os.chmod(daemon.scratch, 0o755)
        os.chmod(self.folder, 0o777)
        self.subject = compile_subject(self.folder)
        self.n_runs = 0

    def new_run(self, command, environment):
        self.n_runs += 1
        return Run(command, os.path.join(self.folder, f"ledgers{self.n_runs}"), environment)

    def case(self, name, *arguments, way="auto", inexact=False, missing=0, compare=True, wrap=()):
        """Runs a case both ways. inexact: the account may be, if it says so; missing: images that may be untraced."""
        command = [*wrap, self.subject, name, *map(str, arguments)]
        environment = dict(self.daemon.environment, TRACEMALLOCD_TRANSPORT=way)
        untraced = self.new_run(command, environment).untraced()
        run = self.new_run(command, environment)
        traced = run.traced(self.daemon)
        title = " ".join([name, *map(str, arguments)]) + ("" if way == "auto" else f" ({way} way)")
        title = title.replace(self.folder, "...")
        self.claims.check(f"{title}: behaves as untraced", traced == untraced, f"untraced: {untraced}",
                          f"traced: {traced}", run.said)
        if compare:
            self.compare(title, run, inexact, missing)

    def compare(self, title, run, inexact, missing):
        ledgers = run.ledgers()
        snapshots = snapshots_of(self.daemon, ledgers, seconds=2 if missing else 30)
        problems = []
        n_missing = 0
        for ledger in ledgers:
            snapshot = snapshots.get((ledger.pid, ledger.image))
            if not snapshot:
                n_missing += 1
                continue
            size, count, exact = accounted(self.daemon, snapshot["id"])
            if not exact and not inexact:
                problems.append(f"{ledger.pid}.{ledger.image}: not exact")
            if exact and not ledger.agrees(size, count):
                problems.append(f"{ledger.pid}.{ledger.image}: has {ledger}; the daemon: {count} of {size} bytes")
        if n_missing > missing:
            problems.append(f"{n_missing} of {len(ledgers)} images have no exit snapshot")
        what = "the account is exact or says that it is not" if inexact else "the account is exact"
        self.claims.check(f"{title}: {what}", ledgers and not problems, *problems, run.said)


def memory_limited(life):
    """A shell command that puts itself into a cgroup of 48 MiB, and the cgroup; without cgroups a ulimit."""
    name = f"tracemallocd-life-{os.getpid()}"
    with open("/proc/self/cgroup", encoding="utf-8") as f:
        own = dict(line.rstrip("\n").split(":", 2)[1:] for line in f)
    for base, limit, file in (("/sys/fs/cgroup/memory" + own.get("memory", ""), "memory.limit_in_bytes", "tasks"),
                              ("/sys/fs/cgroup" + own.get("", ""), "memory.max", "cgroup.procs"),
                              ("/sys/fs/cgroup", "memory.max", "cgroup.procs")):
        group = os.path.join(base, name)
        try:
            os.mkdir(group)
        except OSError:
            continue
        try:
            with open(os.path.join(group, limit), "w", encoding="ascii") as f:
                f.write(str(48 << 20))
            return ["/bin/sh", "-c", f'echo $$ >{group}/{file} && exec "$@"', "sh"], group
        except OSError:
            os.rmdir(group)
    return ["/bin/sh", "-c", 'ulimit -v 262144 && exec "$@"', "sh"], None


def ends(life):
    # a thread that is killed between its place in the ring and its record leaves a hole, which is counted
    life.case("sigkill", inexact=True)
    life.case("abort", inexact=True)
    life.case("segfault", inexact=True)
    life.case("underscore_exit", inexact=True)
    life.case("exit_threaded", inexact=True)
    life.case("quick_exit")
    life.case("atexit")
    limited, group = memory_limited(life)
    life.case("out_of_memory", wrap=limited)
    if group:
        os.rmdir(group)


def execs(life):
    life.case("exec_self")
    life.case("exec_in_thread", inexact=True)
    if shutil.which("musl-gcc"):
        musl = os.path.join(life.folder, "musl")
        subprocess.run(["musl-gcc", "-x", "c", "-o", musl, "-"], check=True, input=(
            b"#include <stdio.h>\n#include <stdlib.h>\n"
            b"int main(void) { void *volatile p = malloc(10); free(p); puts(\"musl\"); return 21; }"))
        life.case("exec_other", musl)
    life.case("exec_other", "/bin/echo", "hello")


def setuid(life):
    """The loader drops the agent; `tmctl run` says so before it starts one (test_untraceable.sh)."""
    if os.getuid() != 0:
        return
    other = os.path.join(life.folder, "setuid")
    shutil.copy(shutil.which("id"), other)
    shutil.chown(other, "nobody")
    os.chmod(other, 0o755 | stat.S_ISUID)
    life.case("exec_other", other, "-un")


def other_users(life):
    """The agent's socket of a system's daemon is everybody's, a private one's is not."""
    if os.getuid() != 0:
        return
    os.chmod(os.path.join(life.daemon.scratch, "run", "agent.sock"), 0o666)
    os.chmod(os.path.join(life.daemon.scratch, "run"), 0o755)
    life.case("forks_as_another_user")
    life.case("forks_as_another_user", way="socket")


def children(life):
    life.case("fork")
    life.case("fork_handlers")
    life.case("fork_nested")
    life.case("vfork")
    life.case("posix_spawn")
    life.case("syscall_forks")
    life.case("bare_forks", inexact=True)  # nothing tells where in the parent's account its child began
    life.case("clone_vm")
    life.case("clone_forks")
    life.case("daemonize")
    life.case("daemonize_by_libc")
    life.case("pre_fork_daemon")
    life.case("fork_then_thread")
    life.case("forkpty_fails")


def called_back(life):
    """Whoever allocates below a hooked function that calls the program stands below the function's caller."""
    run = life.new_run([life.subject, "fork_handlers"], life.daemon.environment)
    run.traced(life.daemon)
    snapshots = snapshots_of(life.daemon, run.ledgers()).values()
    stacks = [t["traceback"] for snapshot in snapshots for t in life.daemon.json_lines("traces", snapshot["id"])]
    handlers = [stack for stack in stacks if any(frame["function"] == "before_fork" for frame in stack)]
    modules = {os.path.basename(frame["module"] or "") for stack in handlers for frame in stack}
    life.claims.check("fork_handlers: a handler's stack has no frame of the agent",
                      "life_subject" in modules and "libtracemalloc-agent.so" not in modules, modules)


def clones_beside(life):
    """Two processes on one memory, of which libc knows one, record at the same time.

    They are one thread to the agent, so that one looks as if it had interrupted the other, and would not wait for room:
    the ring holds all of it.
    """
    for name in ("clone_beside", "clone_beside_by_syscall", "clone3_beside"):
        run = life.new_run([life.subject, name], dict(life.daemon.environment, TRACEMALLOCD_RING_SIZE=str(64 << 20)))
        status = run.traced(life.daemon, "--domains", "malloc,mmap")
        (snapshot,) = snapshots_of(life.daemon, run.ledgers()).values()
        stats = life.daemon.json("stats", snapshot["id"], "--domain", "mmap", "--limit", "0", "--allocated")
        mapped = sum(row["count"] for row in stats["statistics"])
        life.claims.check(f"{name}: the program ends well", status == (0, b"both have mapped\n"), status, run.said)
        life.claims.check(f"{name}: every mapping of both is known, and the ledger's",
                          stats["exact"] and mapped == 2 * 100000 + 1, mapped, stats["exact"])


def insides(life):
    plugin = os.path.join(life.folder, "plugin.so")
    subprocess.run(["gcc", "-x", "c", "-shared", "-fPIC", "-O1", "-o", plugin, "-"], check=True, input=PLUGIN)
    life.case("dlclose", plugin)
    life.case("tls_destructors")
    life.case("signal_handlers")


def signal_handlers_with_mappings(life):
    """What a timer's handler maps while its thread is recording, in the domain that records it.

    A handler that interrupted a recording does not wait for room in the ring: on a busy machine some are lost, and counted.
    """
    run = life.new_run([life.subject, "signal_handlers"], life.daemon.environment)
    status = run.traced(life.daemon, "--domains", "malloc,mmap")
    snapshots = snapshots_of(life.daemon, run.ledgers())
    mapped = 0
    for snapshot in snapshots.values():
        rows = life.daemon.json("stats", snapshot["id"], "--group-by", "function", "--domain", "mmap",
                                "--limit", "0", "--allocated")["statistics"]
        mapped = sum(row["size"] for row in rows)
        live = life.daemon.json("stats", snapshot["id"], "--domain", "mmap", "--limit", "0")
    life.claims.check("signal_handlers with domain mmap: the program ends well", status == (0, b""), status, run.said)
    life.claims.check("signal_handlers with domain mmap: what handlers mapped and unmapped is known",
                      not live["exact"] or mapped >= 500 * 8192 and 64 * 8192 <= live["total_size"] < mapped, mapped,
                      live["total_size"])
    life.compare("signal_handlers with domain mmap", run, True, 0)


def confinements(life):
    root = os.path.join(life.folder, "root")
    os.mkdir(root)
    if os.getuid() == 0:
        life.case("chroot", root)
    life.case("close_all")
    life.case("dup2_over")
    life.case("few_descriptors", wrap=["/bin/sh", "-c", 'ulimit -n 5 && exec "$@"', "sh"], compare=False)
    life.case("no_descriptors")
    life.case("tight_address_space", 64)
    life.case("tight_address_space", 200)


def filters(life):
    """With these the agent may be unable to trace; the program does not notice."""
    for number in SYSTEM_CALLS.values():
        life.case("seccomp", number, EPERM, missing=2, inexact=True)
    life.case("seccomp", SYSTEM_CALLS["memfd_create"], ENOSYS)  # then the records go through the socket
    life.case("seccomp", SYSTEM_CALLS["futex"], ENOSYS)


def own_filters(life):
    """A program that forbids itself, at the price of its life, what the agent would ask of the kernel."""
    for how in ("prctl", "seccomp", "strict"):
        life.case("confines_itself", how, wrap=["/usr/bin/env", "TRACEMALLOCD_RING_SIZE=65536"])


def socket_way(life):
    """Records that were not sent die with the process; then the account says that it is not exact."""
    for name in ("sigkill", "abort", "underscore_exit", "exit_threaded"):
        life.case(name, way="socket", inexact=True)
    for name in ("quick_exit", "atexit", "exec_self", "fork", "fork_handlers", "vfork", "clone_vm", "daemonize",
                 "tls_destructors"):
        life.case(name, way="socket")
    life.case("close_all", way="socket", inexact=True)
    life.case("dup2_over", way="socket", inexact=True)
    life.case("no_descriptors", way="socket")


GROUPS = [ends, execs, setuid, other_users, children, called_back, clones_beside, insides,
          signal_handlers_with_mappings, confinements, filters, own_filters,
          socket_way]

with Claims() as claims, Daemon() as daemon:
    life = Life(claims, daemon)
    for group in GROUPS:
        if len(sys.argv) == 1 or group.__name__ in sys.argv[1:]:
            group(life)
