/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The judge in the checking build of the agent: every traceback against libgcc's
 * unwinder, and one in $CAPTURE_CHECK_LIBUNWIND (default 16) against libunwind, a third
 * implementation. Differences go to stderr; at the process's end one line of counts is added to the file
 * $CAPTURE_CHECK_OUT. Runs in the hook, like what it checks.
 */

#include "agent/capture_check.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#define UNW_LOCAL_ONLY
#include "agent/capture.h"
#include "agent/rule_cache.h"
#include "agent/sys.h"

#include <libunwind.h>

#define DEPTH_MAX  (1u << 20)
#define SHOWN_MAX  3
#define FRAMES_MAX 65536
#define CANTS_MAX  64

static struct {
        _Atomic uint64_t ways[3];
        _Atomic uint64_t none, checked, wrong, checked_libunwind, wrong_libunwind;
        _Atomic uint64_t shown;
        struct {
                _Atomic uint64_t pc, count;
        } cants[CANTS_MAX]; /* which frames were beyond our rules */
} counts;

static __typeof__(unw_getcontext(NULL)) (*get_context)(unw_tdep_context_t *);
static __typeof__(&unw_init_local) init_local;
static __typeof__(&unw_step) take_step;
static __typeof__(&unw_is_signal_frame) is_signal_frame;
static __typeof__(&unw_get_reg) get_register;
static uint64_t libunwind_every = 16;

struct walk {
        uintptr_t cfa;
        uint32_t depth;
        uint64_t pcs[FRAMES_MAX]; /* the innermost of them */
};

static __thread struct walk *buffer __attribute__((tls_model("initial-exec")));

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *data) {
        struct walk *walk = data;
        int is_exact = 0;
        if (walk->depth == 0 && _Unwind_GetCFA(context) < walk->cfa)
                return _URC_NO_REASON;
        uint64_t pc = (uint64_t)_Unwind_GetIPInfo(context, &is_exact);
        if (pc == 0 || walk->depth >= DEPTH_MAX)
                return _URC_NORMAL_STOP;
        if (walk->depth < FRAMES_MAX)
                walk->pcs[walk->depth] = pc + (is_exact ? 1 : 0);
        walk->depth++;
        return _URC_NO_REASON;
}

static void walk_libgcc(struct walk *walk, uintptr_t cfa) {
        walk->cfa = cfa;
        walk->depth = 0;
        _Unwind_Backtrace(note_frame, walk);
}

static void walk_libunwind(struct walk *walk, uintptr_t cfa) {
        unw_context_t context;
        unw_cursor_t cursor;
        unw_word_t sp, pc;
        walk->depth = 0;
        get_context(&context);
        init_local(&cursor, &context);
        do {
                get_register(&cursor, UNW_REG_SP, &sp);
                get_register(&cursor, UNW_REG_IP, &pc);
                if (pc == 0 || walk->depth >= FRAMES_MAX)
                        break;
                if (walk->depth > 0 || sp >= cfa)
                        walk->pcs[walk->depth++] = pc + (is_signal_frame(&cursor) > 0); /* interrupted: no call */
        } while (take_step(&cursor) > 0);
}

static bool same(struct epoch *epoch, uint32_t limit, uint32_t node, const struct walk *walk) {
        const struct node_def *nodes = epoch->definitions.nodes;
        uint32_t n = walk->depth < limit ? walk->depth : limit;
        bool whole = true;
        if (walk->depth > limit) {
                whole = nodes[node].unit == NODE_UNIT_DEPTH;
                if (!whole && (nodes[node].unit != NODE_UNIT_CUT || nodes[node].value >> 32 != limit))
                        return false;
                if ((whole ? nodes[node].value : (uint32_t)nodes[node].value) != walk->depth)
                        return false;
                node = nodes[node].parent;
        }
        for (uint32_t i = 0; i < n; i++) {
                uint64_t value;
                uint32_t unit = modules_find(&epoch->modules, 0, walk->pcs[i], &value);
                if (capture_is_own(walk->pcs[i]))
                        continue;
                if (node == 0 || nodes[node].unit != unit || nodes[node].value != value)
                        return false;
                node = nodes[node].parent;
        }
        return !whole || node == 0;
}

static void show(struct epoch *epoch, const char *judge, uint32_t node, const struct walk *walk) {
        char line[512];
        if (atomic_fetch_add(&counts.shown, 1) >= SHOWN_MAX)
                return;
        snprintf(line, sizeof line, "capture-check: not what %s sees (%u frames), innermost first:\n", judge,
                 walk->depth);
        sys_call(SYS_write, 2, (long)line, (long)strlen(line), 0, 0, 0);
        for (uint32_t i = 0; i < 200 && (node || i < walk->depth); i++) {
                const struct node_def *def = &epoch->definitions.nodes[node];
                Dl_info info = {0};
                dladdr((void *)walk->pcs[i], &info);
                snprintf(line, sizeof line, "  %3u ours %u:%llx theirs %llx %s %s\n", i, node ? def->unit : 0,
                         node ? (unsigned long long)def->value : 0,
                         i < walk->depth ? (unsigned long long)walk->pcs[i] : 0, info.dli_fname ? info.dli_fname : "?",
                         info.dli_sname ? info.dli_sname : "?");
                sys_call(SYS_write, 2, (long)line, (long)strlen(line), 0, 0, 0);
                node = node ? def->parent : 0;
        }
}

/* libunwind guesses on where there are no tables; there our stacks end. */
static bool ends_without_tables(struct walk *walk, uint32_t depth) {
        if (walk->depth <= depth || depth == 0)
                return false;
        enum unwind_kind kind = unwind_rule_kind(rule_cache_find(walk->pcs[depth - 1]));
        return kind == UNWIND_END || kind == UNWIND_OUTSIDE;
}

static void note_cant(const struct walk *walk) {
        for (uint32_t i = 0; i < walk->depth && i < FRAMES_MAX; i++) {
                if (unwind_rule_kind(rule_cache_find(walk->pcs[i])) != UNWIND_CANT)
                        continue;
                for (unsigned j = 0; j < CANTS_MAX; j++) {
                        uint64_t nobody = 0;
                        if (atomic_compare_exchange_strong(&counts.cants[j].pc, &nobody, walk->pcs[i]) ||
                            nobody == walk->pcs[i]) {
                                atomic_fetch_add(&counts.cants[j].count, 1);
                                return;
                        }
                }
                return;
        }
}

void capture_check(struct epoch *epoch, uintptr_t cfa, uint32_t limit, uint32_t node, enum capture_way way) {
        int saved_errno = errno;
        struct walk *walk = buffer;
        uint32_t depth;
        atomic_fetch_add(&counts.ways[way], 1);
        if (!walk)
                walk = buffer = sys_map_memory(sizeof *walk);
        if (!walk || node == 0) {
                atomic_fetch_add(&counts.none, 1);
                return;
        }
        walk_libgcc(walk, cfa);
        depth = walk->depth;
        if (way == CAPTURE_SLOW)
                note_cant(walk);
        if (!same(epoch, limit, node, walk)) {
                atomic_fetch_add(&counts.wrong, 1);
                show(epoch, "libgcc", node, walk);
        }
        if (get_register && atomic_fetch_add(&counts.checked, 1) % libunwind_every == 0) {
                walk_libunwind(walk, cfa);
                if (ends_without_tables(walk, depth))
                        walk->depth = depth;
                atomic_fetch_add(&counts.checked_libunwind, 1);
                if (!same(epoch, limit, node, walk)) {
                        atomic_fetch_add(&counts.wrong_libunwind, 1);
                        show(epoch, "libunwind", node, walk);
                }
        }
        errno = saved_errno;
}

/* By dlopen, so that the program's exceptions are not thrown by libunwind. */
static __attribute__((constructor)) void find_libunwind(void) {
        void *library = dlopen("libunwind.so.8", RTLD_LAZY | RTLD_LOCAL);
        if (getenv("CAPTURE_CHECK_LIBUNWIND"))
                libunwind_every = strtoull(getenv("CAPTURE_CHECK_LIBUNWIND"), NULL, 10);
        if (!library || libunwind_every == 0)
                return;
        *(void **)&get_context = dlsym(library, "_Ux86_64_getcontext");
        *(void **)&init_local = dlsym(library, "_ULx86_64_init_local");
        *(void **)&take_step = dlsym(library, "_ULx86_64_step");
        *(void **)&is_signal_frame = dlsym(library, "_ULx86_64_is_signal_frame");
        *(void **)&get_register = dlsym(library, "_ULx86_64_get_reg");
}

static __attribute__((destructor)) void write_counts(void) {
        const char *name = getenv("CAPTURE_CHECK_OUT");
        char text[8192];
        if (!name)
                return;
        int n = snprintf(text, sizeof text,
                         "captures=%llu remembered=%llu walked=%llu slow=%llu none=%llu wrong=%llu libunwind=%llu "
                         "wrong_libunwind=%llu",
                         (unsigned long long)(counts.ways[0] + counts.ways[1] + counts.ways[2]),
                         (unsigned long long)counts.ways[CAPTURE_REMEMBERED],
                         (unsigned long long)counts.ways[CAPTURE_WALKED], (unsigned long long)counts.ways[CAPTURE_SLOW],
                         (unsigned long long)counts.none, (unsigned long long)counts.wrong,
                         (unsigned long long)counts.checked_libunwind, (unsigned long long)counts.wrong_libunwind);
        for (unsigned i = 0; i < CANTS_MAX && counts.cants[i].pc && n < (int)sizeof text - 300; i++) {
                Dl_info info = {0};
                dladdr((void *)counts.cants[i].pc, &info);
                n += snprintf(text + n, sizeof text - (size_t)n, " slow_at=%.200s+%#llx:%llu",
                              info.dli_fname ? info.dli_fname : "?",
                              (unsigned long long)(counts.cants[i].pc - (uint64_t)info.dli_fbase),
                              (unsigned long long)counts.cants[i].count);
        }
        text[n++] = '\n';
        int fd = (int)sys_call(SYS_openat, AT_FDCWD, (long)name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600, 0, 0);
        if (fd >= 0) {
                sys_call(SYS_write, fd, (long)text, n, 0, 0, 0);
                sys_close(fd);
        }
}
