/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The agent's life: armed at the first hooked call (or by its constructor, where nothing
 * allocated before that), connected, ended by the daemon, armed again. All of it runs inside of some thread's hook, one
 * thread at a time (process_page.arming), while the others record or pass through.
 */

#include "agent/config.h"
#include "agent/handshake.h"
#include "agent/hooks.h"
#include "agent/object.h"
#include "agent/python.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/socket_way.h"
#include "agent/state.h"
#include "agent/sys.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define GREETINGS      3
#define RETRY_FIRST_NS UINT64_C(1000000000)
#define RETRY_MAX_NS   UINT64_C(30000000000)
#define REFUSED_MAX_NS UINT64_C(3600000000000) /* each refusal costs an epoch's address space, which stays */
#define FILES_EVERY_NS UINT64_C(1000000000)
#define ASK_EVERY_NS   UINT64_C(1000000000)
#define ASK_STOPPED_NS UINT64_C(10000000000) /* the same where no answer came: each try costs HANDSHAKE_FILES_NS */
#define ASK_OFF_NS     UINT64_C(30000000000) /* in mode off; where nobody listens, RETRY_FIRST_NS */

struct process_page process_page __attribute__((aligned(4096)));
struct epoch *_Atomic current_epoch;
_Atomic uint64_t agent_last_version;

static struct {
        struct config config;
        bool set_up; /* config and functions are known */
        bool inert;
        const volatile char *single_threaded;
        enum malloc_order malloc_order;
        bool traced; /* a daemon has greeted us and is not known to be gone; unlike the gate, a fork leaves it */
        int pid;
        uint8_t secret[HANDSHAKE_SECRET_BYTES];
        uint32_t secret_length;
        bool unanswered;   /* the last greeting got no answer in time */
        uint64_t retry_ns; /* the current pause between tries */
        _Atomic uint64_t retry_at_ns;
        _Atomic uint32_t bringing_files;
        _Atomic uint32_t asking; /* whether the daemon lives */
        _Atomic uint64_t ask_after_ns, ask_off_ns;
} agent;

int agent_pid(void) {
        return agent.pid;
}

static uint32_t gate_word(enum gate gate, bool look) {
        if (look)
                return gate | GATE_LOOK;
        return gate == GATE_NEW || gate == GATE_RECORDING ? gate : gate | GATE_PASS;
}

/* After each change of the gate's state and of python_watch: whoever comes last finds what both are. */
static void settle_gate(void) {
        uint32_t word;
        bool look;
        do {
                look = atomic_load(&python_watch);
                word = atomic_load(&process_page.gate);
        } while (!atomic_compare_exchange_strong(&process_page.gate, &word, gate_word(word & GATE_STATES, look)) ||
                 look != atomic_load(&python_watch));
}

void agent_watch_python(bool watch) {
        atomic_store(&python_watch, watch);
        settle_gate();
}

static void set_gate(enum gate gate) {
        atomic_store(&process_page.gate, gate);
        settle_gate();
        agent_changed();
}

static void go_idle(uint64_t pause_ns) {
        agent.traced = false;
        agent.retry_ns = pause_ns;
        atomic_store(&agent.retry_at_ns, sys_clock_ns(true) + pause_ns);
        set_gate(GATE_IDLE);
}

/* The daemon is gone: nothing is recorded in @epoch any more. */
static void end_epoch(struct epoch *epoch) {
        uint32_t word = atomic_load(&process_page.gate);
        if (atomic_load(&current_epoch) != epoch)
                return;
        agent.traced = false;
        agent.retry_ns = 0;
        atomic_store(&agent.retry_at_ns, sys_clock_ns(true) + RETRY_FIRST_NS);
        while (((word & GATE_STATES) == GATE_RECORDING || (word & GATE_STATES) == GATE_PAUSED) &&
               !atomic_compare_exchange_weak(&process_page.gate, &word, GATE_IDLE))
                ;
        settle_gate();
        agent_changed();
}

static void describe_layers(struct handshake *handshake) {
        if (agent.malloc_order == MALLOC_LINKED_IN)
                handshake->layer_note = "malloc is not traced: the program has one of its own linked in";
        else
                handshake->layers[handshake->n_layers++] = "malloc";
        if (agent.malloc_order == MALLOC_PRELOADED)
                handshake->layer_note = "malloc may not be traced: LD_PRELOAD names another one before the agent";
        if (agent.config.domains & DOMAIN_BIT_MMAP)
                handshake->layers[handshake->n_layers++] = "mmap";
        if (atomic_load(&python.state) == PYTHON_ON)
                handshake->layers[handshake->n_layers++] = "python";
        if (atomic_load(&python.state) == PYTHON_OFF && !handshake->layer_note)
                handshake->layer_note = python.note;
}

/* Asks whoever listens whether it knows us: the daemon may have died and another come. Return: as
 * handshake_greet(), so -EACCES: it does not; -ECONNREFUSED where nobody listens in a place that we can reach. */
static int ask_daemon(uint64_t deadline_ns) {
        struct handshake handshake = {.config = &agent.config,
                                      .kind = TRACEMALLOCD__AGENT__HELLO__KIND__MODULES,
                                      .pid = (uint32_t)agent.pid,
                                      .secret_length = agent.secret_length};
        struct epoch *epoch = atomic_load(&current_epoch);
        int fd = handshake_connect(&agent.config, deadline_ns), r = -ENOMEM;
        if (fd < 0)
                return fd == -ENOENT || fd == -EACCES ? -ECONNREFUSED : fd;
        void *scratch = sys_map_memory(HANDSHAKE_SCRATCH_BYTES);
        memcpy(handshake.secret, agent.secret, sizeof handshake.secret);
        describe_layers(&handshake);
        if (scratch) {
                r = handshake_greet(&handshake, fd, epoch, scratch, deadline_ns);
                sys_unmap(scratch, HANDSHAKE_SCRATCH_BYTES);
        }
        sys_close(fd);
        return r;
}

/* Whether a daemon reads what goes into @epoch: in the ring way its control page is in force then; the socket way
 * begins with its answer. */
static bool is_read(struct epoch *epoch) {
        return epoch->socket || epoch_control(epoch) != epoch->own_control;
}

/* The daemon died without a word. Should it live all the same, out of our sight (chroot), it learns that this is not
 * all. */
static void end_unread(struct epoch *epoch) {
        atomic_fetch_add(&epoch->ring.header->lost_events, 1);
        end_epoch(epoch);
}

/* A writer waited in vain. Return: whether the daemon is still there, only slow. */
static bool ring_stalled(void *context) {
        struct epoch *epoch = context;
        uint64_t now = sys_clock_ns(true);
        if (epoch->socket)
                return !atomic_load(&epoch->socket->broken);
        if (!is_read(epoch) || epoch != atomic_load(&current_epoch) || now < atomic_load(&agent.ask_after_ns) ||
            atomic_exchange(&agent.asking, 1))
                return true;
        int r = ask_daemon(sys_clock_ns(false) + HANDSHAKE_FILES_NS);
        atomic_store(&agent.ask_after_ns, now + (r == -ETIMEDOUT ? ASK_STOPPED_NS : ASK_EVERY_NS));
        atomic_store(&agent.asking, 0);
        /* an answer that does not come is no answer: it may be stopped */
        if (r != -ECONNREFUSED && r != -EACCES)
                return true;
        end_unread(epoch);
        return false;
}

/* glibc says who it is; another libc may differ in ways that nobody has tested. Weak, not by dlsym: a dlsym
 * that fails allocates. */
extern const char *gnu_get_libc_version(void) __attribute__((weak));

/* Before main and before any vfork: whose process this is. */
static void claim_process(void) {
        if (atomic_load(&process_page.pid))
                return;
        sys_madvise(&process_page, sizeof process_page, MADV_WIPEONFORK);
        atomic_store(&process_page.pid, sys_getpid());
}

/* Return: false: too early, libc has not set up the environment yet. */
static bool set_up(void) {
        extern char **environ;

        if (agent.set_up)
                return true;
        if (!config_read(&agent.config, environ, sys_geteuid()))
                return false;
        real_setup();
        agent.inert = agent.config.off || !gnu_get_libc_version ||
                      (!agent.config.children && agent.config.pid && agent.config.pid != sys_getpid());
        if (!agent.inert) {
                object_setup();
                agent.malloc_order = real_malloc_order();
                agent.single_threaded = real_single_threaded();
                hooks_process_setup();
                hooks_syscall_setup();
                python_setup(agent.config.domains);
        }
        agent.set_up = true;
        return true;
}

void agent_share_memory(void) {
        static const char never;
        struct epoch *epoch = atomic_load(&current_epoch);
        agent.single_threaded = &never;
        if (epoch)
                epoch->ring.single_threaded = &never;
}

/* A socket keeps a descriptor, which may be the last one: that a program has none left is no reason to take it. */
static bool socket_instead(int r) {
        return agent.config.transport == CONFIG_TRANSPORT_AUTO && r != -EMFILE && r != -ENFILE;
}

static int new_epoch(struct epoch **epochp) {
        bool shared = agent.config.transport != CONFIG_TRANSPORT_SOCKET;
        struct epoch *epoch = NULL;
        int r = epoch_new(agent.config.log2_ring, shared, &epoch);
        if (r < 0 && socket_instead(r)) {
                shared = false;
                r = epoch_new(agent.config.log2_ring, shared, &epoch);
        }
        if (r < 0)
                return r;
        r = shared ? 0 : socket_way_new(epoch);
        if (r < 0) {
                epoch_free(epoch);
                return r;
        }
        struct ring_control *control = epoch->own_control;
        atomic_store(&control->traceback_limit, agent.config.frames);
        atomic_store(&control->domains, agent.config.domains);
        atomic_store(&control->mode, TRACE_EXACT);
        epoch->ring.single_threaded = agent.single_threaded;
        epoch->ring.stalled = ring_stalled;
        epoch->ring.context = epoch;
        *epochp = epoch;
        return 0;
}

static void take_reply(struct epoch *epoch, const struct handshake *handshake, int fd) {
        memcpy(agent.secret, handshake->secret, sizeof agent.secret);
        agent.secret_length = handshake->secret_length;
        agent.traced = true;
        atomic_store(&epoch->takes_relabel, handshake->minor >= 1);
        if (epoch->socket) {
                atomic_store(&epoch->own_control->traceback_limit, handshake->traceback_limit);
                atomic_store(&epoch->own_control->domains, handshake->domains);
                atomic_store(&epoch->own_control->mode, handshake->mode);
                socket_way_open(epoch->socket, fd, handshake->window);
        } else {
                sys_close(fd);
        }
}

/* A daemon that dies before it answers has a successor that may know the ring already: it is told once more. Only so
 * often, since a daemon that drops us looks the same. */
static int shake_hands(struct handshake *handshake, int *fdp, struct epoch *epoch, void *scratch) {
        for (unsigned left = GREETINGS;; left--) {
                uint64_t deadline = sys_clock_ns(false) + HANDSHAKE_NS;
                int r = handshake_greet(handshake, *fdp, epoch, scratch, deadline);
                if (r == 0)
                        return 0;
                sys_close(*fdp);
                if ((r != -ECONNRESET && r != -EPIPE) || left == 1)
                        return r;
                *fdp = handshake_connect(&agent.config, deadline);
                if (*fdp < 0)
                        return r;
        }
}

/* Of the fork that made this process. A child of clone() never returned from it. */
static uint32_t birth_token(void) {
        uint32_t token = atomic_load(&process_page.fork_token);
        return token ? token : thread_state.fork_token;
}

/* Greets on @fd, which it takes. Return: 0; -errno, then nobody reads the epoch. */
static int greet(struct epoch *epoch, int fd, Tracemallocd__Agent__Hello__Kind kind, void *scratch) {
        struct handshake handshake = {
                .config = &agent.config,
                .kind = kind,
                .pid = (uint32_t)agent.pid,
        };
        if (kind == TRACEMALLOCD__AGENT__HELLO__KIND__FORK) {
                memcpy(handshake.secret, agent.secret, sizeof agent.secret);
                handshake.secret_length = agent.secret_length;
                handshake.fork_token = birth_token();
        }
        atomic_store(&python.untold, 0);
        describe_layers(&handshake);
        int r = shake_hands(&handshake, &fd, epoch, scratch);
        epoch_close_fds(epoch);
        if (r < 0)
                return r;
        handshake_send_files(fd, epoch, scratch, sys_clock_ns(false) + HANDSHAKE_NS);
        atomic_store(&epoch->files_sent_at_ns, sys_clock_ns(true));
        take_reply(epoch, &handshake, fd);
        return 0;
}

static void retire(struct epoch *epoch, bool forked, bool nested) {
        if (!epoch)
                return;
        if (forked && epoch->socket)
                socket_way_close(epoch->socket);
        /* A forked child in a signal handler that interrupted a recording hook: that hook will go on writing. */
        if (forked && !nested)
                epoch_unmap_foreign(epoch);
        else if (!forked)
                epoch_discard_pages(epoch);
}

/* Where that fails, earlier nodes mean nothing; the daemon sees that. */
static void inherit(struct epoch *epoch, const struct epoch *parent) {
        if (epoch_inherit(epoch, parent) == 0)
                python_after_fork(epoch, parent);
}

/* Connects, makes an epoch, begins to record, greets. */
static int begin_epoch(Tracemallocd__Agent__Hello__Kind kind, bool nested) {
        struct epoch *old = atomic_load(&current_epoch), *epoch = NULL;
        bool forked = kind == TRACEMALLOCD__AGENT__HELLO__KIND__FORK;
        int fd = handshake_connect(&agent.config, sys_clock_ns(false) + HANDSHAKE_NS / 2);
        if (fd < 0)
                return fd;
        void *scratch = sys_map_memory(HANDSHAKE_SCRATCH_BYTES);
        int r = scratch ? new_epoch(&epoch) : -ENOMEM;
        if (r < 0) {
                if (scratch)
                        sys_unmap(scratch, HANDSHAKE_SCRATCH_BYTES);
                sys_close(fd);
                return r;
        }
        if (forked)
                inherit(epoch, old);
        else if (kind == TRACEMALLOCD__AGENT__HELLO__KIND__START)
                modules_add_loaded(&epoch->modules);
        epoch->previous = old;
        atomic_store_explicit(&current_epoch, epoch, memory_order_release);
        set_gate(GATE_RECORDING);
        r = greet(epoch, fd, kind, scratch);
        sys_unmap(scratch, HANDSHAKE_SCRATCH_BYTES);
        if (r == 0 && kind == TRACEMALLOCD__AGENT__HELLO__KIND__RECONNECT)
                hooks_track_reconnected(epoch, (uintptr_t)__builtin_dwarf_cfa());
        retire(old, forked, nested);
        if (r < 0) {
                /* a daemon that took the ring, but whose answer got lost, is not to believe that nothing happened */
                atomic_fetch_add(&epoch->ring.header->lost_events, 1);
                epoch_discard_pages(epoch);
        }
        return r;
}

/* The child of a fork, at its first event. Return: whether it is to be traced. */
static bool after_fork(void) {
        agent.pid = sys_getpid();
        atomic_store(&agent.bringing_files, 0);
        atomic_store(&agent.asking, 0);
        thread_after_fork();
        modules_after_fork();
        if (!agent.config.children) {
                agent.inert = true;
                return false;
        }
        return true;
}

static uint64_t next_pause(bool refused) {
        uint64_t pause = agent.retry_ns ? agent.retry_ns * 2 : RETRY_FIRST_NS;
        uint64_t least = refused ? RETRY_MAX_NS : 0, most = refused ? REFUSED_MAX_NS : RETRY_MAX_NS;
        return pause < least ? least : pause < most ? pause : most;
}

/* Each greeting without an answer holds the program up for HANDSHAKE_NS and leaves an epoch's mappings. So a daemon
 * that gave none is first asked for a moment whether it answers again. */
static bool is_silent(void) {
        return agent.unanswered && ask_daemon(sys_clock_ns(false) + HANDSHAKE_FILES_NS) == -ETIMEDOUT;
}

static int begin(Tracemallocd__Agent__Hello__Kind kind, bool nested) {
        int r = is_silent() ? -ETIMEDOUT : begin_epoch(kind, nested);
        agent.unanswered = r == -ETIMEDOUT && atomic_load(&current_epoch);
        return r;
}

static void arm(bool nested) {
        bool forked = agent.pid != 0 && agent_gate() == GATE_NEW;
        Tracemallocd__Agent__Hello__Kind kind = TRACEMALLOCD__AGENT__HELLO__KIND__START;
        claim_process();
        if (sys_getpid() != atomic_load(&process_page.pid) || !set_up())
                return; /* a vfork child does not greet in its own name for what is its parent's heap */
        if (forked && !agent.inert)
                after_fork();
        if (agent.inert) {
                set_gate(GATE_INERT);
                return;
        }
        if (forked)
                kind = TRACEMALLOCD__AGENT__HELLO__KIND__FORK;
        else if (agent.pid != 0)
                kind = TRACEMALLOCD__AGENT__HELLO__KIND__RECONNECT;
        agent.pid = sys_getpid();
        if (forked && !agent.traced) {
                go_idle(agent.retry_ns ? agent.retry_ns : RETRY_FIRST_NS); /* as the parent was */
                return;
        }
        int r = begin(kind, nested);
        thread_state.fork_token = 0;
        if (r == 0)
                agent.retry_ns = 0;
        else
                go_idle(next_pause(r == -EACCES));
}

static void agent_arm(uintptr_t cfa) {
        int saved_errno = errno;
        uintptr_t previous;
        if (thread_state.resolving || atomic_exchange(&process_page.arming, 1))
                return;
        bool first = thread_guard_enter(cfa, &previous);
        arm(!first);
        thread_guard_leave(previous);
        atomic_store(&process_page.arming, 0);
        errno = saved_errno;
}

static void look_for_daemon(uintptr_t cfa) {
        if (sys_clock_ns(true) >= atomic_load(&agent.retry_at_ns) && !thread_is_recording())
                agent_arm(cfa);
}

static void look_for_mode(uintptr_t cfa) {
        struct epoch *epoch = atomic_load(&current_epoch);
        socket_way_poll(epoch->socket);
        if (atomic_load(&epoch->socket->broken))
                end_epoch(epoch);
        else if (atomic_load(&epoch->own_control->mode) == TRACE_EXACT)
                set_gate(GATE_RECORDING);
}

static void look_around(uintptr_t cfa) {
        if (agent_gate() == GATE_IDLE)
                look_for_daemon(cfa);
        else if (agent_gate() == GATE_PAUSED)
                look_for_mode(cfa);
}

struct epoch *agent_closed(uint32_t domain_bit) {
        uintptr_t cfa = (uintptr_t)__builtin_dwarf_cfa();
        switch (agent_gate()) {
        case GATE_NEW:
                agent_arm(cfa);
                break;
        case GATE_IDLE:
        case GATE_PAUSED:
        case GATE_INERT:
                if (likely(--thread_state.ticks > 0))
                        return NULL;
                thread_state.ticks = AGENT_TICKS;
                look_around(cfa);
                break;
        default:
                break;
        }
        return agent_gate() == GATE_RECORDING ? agent_epoch(domain_bit) : NULL;
}

/* Other libraries' constructors may have allocated and armed us long before. A program that never allocates is
 * a traced one too, of no blocks. */
static __attribute__((constructor)) void start(void) {
        claim_process();
        if (agent_gate() == GATE_NEW)
                agent_closed(DOMAIN_BIT_MALLOC);
}

/* No vfork child; in a program that forbids itself getpid() nobody can tell. */
static bool is_own_process(void) {
        int pid = sys_getpid();
        return pid == agent.pid || pid == -EPERM;
}

/* Ring way, mode off: a daemon that dies without a word leaves no other sign, since nothing waits to be read. Only
 * another one that answers is proof, and the only one that matters: ours may live where we can reach it no more. */
static void look_for_successor(struct epoch *epoch) {
        uint64_t now = sys_clock_ns(true);
        if (!is_read(epoch) || now < atomic_load(&agent.ask_off_ns) || thread_is_recording() || !is_own_process() ||
            atomic_exchange(&agent.asking, 1))
                return;
        int r = ask_daemon(sys_clock_ns(false) + HANDSHAKE_FILES_NS);
        atomic_store(&agent.ask_off_ns, now + (r == -ECONNREFUSED ? RETRY_FIRST_NS : ASK_OFF_NS));
        atomic_store(&agent.asking, 0);
        if (r == -EACCES)
                end_unread(epoch);
}

void agent_not_exact(struct epoch *epoch, uint32_t mode) {
        if (mode == TRACE_ENDED) {
                end_epoch(epoch);
        } else if (epoch->socket) {
                set_gate(GATE_PAUSED);
        } else if (--thread_state.ticks <= 0) {
                thread_state.ticks = AGENT_TICKS;
                look_for_successor(epoch);
        }
}

struct epoch *agent_epoch_any(void) {
        enum gate gate = agent_gate();
        struct epoch *epoch = atomic_load_explicit(&current_epoch, memory_order_acquire);
        if ((gate != GATE_RECORDING && gate != GATE_PAUSED) || !epoch || !is_own_process() ||
            atomic_load(&epoch_control(epoch)->mode) == TRACE_ENDED)
                return NULL;
        return epoch;
}

struct epoch *agent_epoch_to_fork(void) {
        if (agent_gate() == GATE_NEW && agent.pid != 0)
                agent_closed(DOMAIN_BIT_MALLOC);
        return agent_epoch_any();
}

void agent_drain(struct epoch *epoch, bool flush) {
        socket_way_drain(epoch->socket, sys_clock_ns(false) + (flush ? UINT64_C(1000000000) : UINT64_C(100000000)));
        if (atomic_load(&epoch->socket->broken))
                end_epoch(epoch);
}

/* Files of new modules, and what has changed about Python. */
static void bring_news(struct epoch *epoch) {
        struct handshake handshake = {
                .config = &agent.config, .pid = (uint32_t)agent.pid, .secret_length = agent.secret_length};
        void *scratch = sys_map_memory(HANDSHAKE_SCRATCH_BYTES);
        if (!scratch)
                return;
        memcpy(handshake.secret, agent.secret, sizeof handshake.secret);
        atomic_store(&python.untold, 0);
        describe_layers(&handshake);
        handshake_bring_files(&handshake, epoch, scratch, sys_clock_ns(false) + HANDSHAKE_FILES_NS);
        sys_unmap(scratch, HANDSHAKE_SCRATCH_BYTES);
}

void agent_bring_files(struct epoch *epoch, bool last) {
        if ((likely(atomic_load_explicit(&epoch->modules.n_unsent, memory_order_relaxed) == 0) &&
             !atomic_load_explicit(&python.untold, memory_order_relaxed)) ||
            !agent.traced)
                return;
        uint64_t now = sys_clock_ns(true);
        if ((!last && now - atomic_load(&epoch->files_sent_at_ns) < FILES_EVERY_NS) || !is_read(epoch) ||
            atomic_exchange(&agent.bringing_files, 1))
                return;
        atomic_store(&epoch->files_sent_at_ns, now);
        bring_news(epoch);
        atomic_store(&agent.bringing_files, 0);
}
