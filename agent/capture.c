/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stacks. By rules from the unwind tables, and by what is remembered of earlier
 * stacks (stack_memo.h), wherever these will do; else by libgcc's unwinder, which
 * knows every instruction of the tables, and costs about a hundred times as much.
 */

#include "agent/capture.h"

#include "agent/agent.h"
#include "agent/sys.h"
#include "agent/thread.h"

#include <unwind.h>
#ifdef CAPTURE_CHECK
#include "agent/capture_check.h"
#endif

/* A stack that goes round in circles (wrong unwind tables) ends here. */
#define DEPTH_MAX     (1u << 20)
/* Frames kept where there is no memory for a thread's buffers. */
#define KEYS_ON_STACK 32
/* Entries of the trie that are under way from memory at once. */
#define FETCH_AHEAD   12

struct walk {
        uintptr_t cfa;
        uint64_t *keys;
        uint32_t limit;
        uint32_t depth; /* true depth; keys[] holds the first limit of it */
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *data) {
        struct walk *walk = data;
        int is_exact = 0;
        /* the CFA of the frame inside this one: equal for the hook's caller, smaller for the frames below */
        if (walk->depth == 0 && _Unwind_GetCFA(context) < walk->cfa)
                return _URC_NO_REASON;
        uint64_t pc = (uint64_t)_Unwind_GetIPInfo(context, &is_exact);
        if (pc == 0 || walk->depth >= DEPTH_MAX)
                return _URC_NORMAL_STOP;
        if (walk->depth < walk->limit)
                walk->keys[walk->depth] = pc + (is_exact ? 1 : 0);
        walk->depth++;
        return _URC_NO_REASON;
}

/* @path: of the node that is looked for, trie_path() of its frames' keys */
static uint32_t intern(struct epoch *epoch, uint64_t path, uint32_t parent, uint64_t key) {
        uint32_t node = trie_find_at(&epoch->trie, path, parent, key), unit = NODE_UNIT_DEPTH;
        uint64_t value = key & ~TRIE_KEY_DEPTH;
        if (likely(node))
                return node;
        if (!(key & TRIE_KEY_DEPTH))
                unit = modules_find(&epoch->modules, RING_MAY_WAIT, key, &value);
        node = parent && capture_is_own(key) ? parent : definitions_add_node(&epoch->definitions, parent, unit, value);
        if (node)
                trie_insert_at(&epoch->trie, path, parent, key, node);
        return node;
}

static inline const uint64_t *behind(const uint64_t *key, ptrdiff_t stride) {
        return (const uint64_t *)(const void *)((const char *)key + stride);
}

/* A whole traceback, outermost frame first. Keys are @stride bytes apart; *pathp: of its node */
static uint32_t intern_all(struct epoch *epoch, const uint64_t *key, ptrdiff_t stride, uint32_t n, uint64_t *pathp) {
        const uint64_t *ahead = key;
        uint64_t path = 0, path_ahead = 0;
        uint32_t node = 0;
        for (uint32_t i = 0, fetched = 0; i < n; i++, key = behind(key, stride)) {
                for (; fetched < n && fetched < i + FETCH_AHEAD; fetched++, ahead = behind(ahead, stride)) {
                        path_ahead = trie_path(path_ahead, *ahead);
                        trie_fetch(&epoch->trie, path_ahead);
                }
                path = trie_path(path, *key);
                node = intern(epoch, path, node, *key);
                if (!node)
                        break;
        }
        *pathp = path;
        return node;
}

/* The leaf of a traceback that was cut. */
static uint32_t intern_depth(struct epoch *epoch, uint64_t path, uint32_t node, uint32_t depth) {
        uint64_t key = TRIE_KEY_DEPTH | depth;
        return node ? intern(epoch, trie_path(path, key), node, key) : 0;
}

static uint32_t walk_slowly(struct epoch *epoch, struct walk *walk) {
        uint64_t path;
        _Unwind_Backtrace(note_frame, walk);
        uint32_t n = walk->depth < walk->limit ? walk->depth : walk->limit;
        if (n == 0)
                return 0;
        uint32_t node = intern_all(epoch, &walk->keys[n - 1], -(ptrdiff_t)sizeof *walk->keys, n, &path);
        return walk->depth > walk->limit ? intern_depth(epoch, path, node, walk->depth) : node;
}

static __attribute__((noinline)) uint32_t capture_without_memory(struct epoch *epoch, struct walk *walk) {
        uint64_t keys[KEYS_ON_STACK];
        walk->keys = keys;
        if (walk->limit > KEYS_ON_STACK)
                walk->limit = KEYS_ON_STACK;
        return walk_slowly(epoch, walk);
}

static __attribute__((noinline)) uint32_t capture_slowly(struct epoch *epoch, struct thread *thread, uintptr_t cfa,
                                                         uint32_t limit) {
        struct walk walk = {.cfa = cfa, .limit = limit};
        walk.keys = thread ? thread_keys(thread, limit) : NULL;
        return walk.keys ? walk_slowly(epoch, &walk) : capture_without_memory(epoch, &walk);
}

struct namer {
        struct stack_namer stack;
        struct epoch *epoch;
        uint32_t limit;
#ifdef CAPTURE_CHECK
        enum capture_way way;
#endif
};

#ifdef CAPTURE_CHECK
#define NOTE_WAY(namer, way_) ((namer)->way = (way_))
#else
#define NOTE_WAY(namer, way_) ((void)0)
#endif

/*
 * Chains are nodes of whole stacks, and that of the innermost frame is the traceback. One deeper than the traceback
 * limit gets a leaf that says how much of it counts. (Made of its most recent frames alone, it would begin with another
 * frame whenever the depth changes: clang++ then had 1.4 million nodes, of which 1 million were copies.)
 * A program that recurses without end must not use up the nodes with frames that nobody will see: when they are
 * half used, frames beyond the limit get private names in the trie, and the traceback is made of its most recent
 * frames.
 */
static bool may_go_beyond(const struct epoch *epoch, uint32_t outer) {
        const struct definitions *definitions = &epoch->definitions;
        return outer < NODE_CAPACITY_MAX && atomic_load_explicit(&definitions->header->n_nodes, memory_order_relaxed) <
                                                    definitions->node_capacity / 2;
}

static uint32_t name_chain(struct stack_namer *stack, uint32_t outer, uint32_t depth, uint64_t pc, uint64_t path) {
        struct namer *namer = (struct namer *)stack;
        struct trie *trie = &namer->epoch->trie;
        if (likely(depth <= namer->limit) || likely(may_go_beyond(namer->epoch, outer)))
                return intern(namer->epoch, path, outer, pc);
        uint32_t name = trie_find_at(trie, path, outer, TRIE_KEY_BEYOND | pc);
        if (name)
                return name;
        name = trie_new_name(trie);
        if (name)
                trie_insert_at(trie, path, outer, TRIE_KEY_BEYOND | pc, name);
        return name;
}

static uint64_t name_path(struct stack_namer *stack, uint64_t outer, uint64_t pc) {
        uint64_t path = trie_path(outer, pc);
        trie_fetch(&((struct namer *)stack)->epoch->trie, path);
        return path;
}

static uint32_t name_node(struct stack_namer *stack, const struct stack_frame *frames, uint32_t n_frames) {
        struct namer *namer = (struct namer *)stack;
        const struct stack_frame *innermost = &frames[n_frames - 1];
        uint64_t key = TRIE_KEY_CUT | namer->limit, path;
        NOTE_WAY(namer, CAPTURE_WALKED);
        if (likely(n_frames <= namer->limit))
                return innermost->chain;
        uint64_t place = trie_path(innermost->path, key);
        uint32_t node = trie_find_at(&namer->epoch->trie, place, innermost->chain, key);
        if (node)
                return node;
        if (innermost->chain < NODE_CAPACITY_MAX) {
                node = definitions_add_node(&namer->epoch->definitions, innermost->chain, NODE_UNIT_CUT,
                                            (uint64_t)namer->limit << 32 | n_frames);
        } else {
                node = intern_all(namer->epoch, &frames[n_frames - namer->limit].pc, sizeof *frames, namer->limit,
                                  &path);
                node = intern_depth(namer->epoch, path, node, n_frames);
        }
        if (node)
                trie_insert_at(&namer->epoch->trie, place, innermost->chain, key, node);
        return node;
}

static const struct stack_namer_functions namer_functions = {name_path, name_chain, name_node};

static __attribute__((noinline)) void use_trie(struct thread *thread, const struct trie *trie, uint32_t version,
                                               uint32_t limit) {
        stack_memo_reset(&thread->memo);
        thread->trie = trie;
        thread->trie_version = version;
        thread->limit = limit;
}

static inline uint32_t capture(struct epoch *epoch, struct namer *namer, uintptr_t cfa) {
        struct thread *thread = thread_get();
        uint32_t node;
        if (unlikely(modules_unloading()))
                modules_check_unloaded(&epoch->modules, RING_MAY_WAIT);
        uint32_t version = trie_version(&epoch->trie);
        if (unlikely(!thread))
                return capture_slowly(epoch, NULL, cfa, namer->limit);
        if (unlikely(thread->trie != &epoch->trie || thread->trie_version != version || thread->limit != namer->limit))
                use_trie(thread, &epoch->trie, version, namer->limit);
        if (likely(stack_memo_capture(&thread->memo, &namer->stack, cfa, &node) == 0))
                return node;
        NOTE_WAY(namer, CAPTURE_SLOW);
        return capture_slowly(epoch, thread, cfa, namer->limit);
}

/* As the daemon's page has it; whatever that says, within bounds. */
static inline uint32_t limit_in_force(struct epoch *epoch) {
        uint32_t limit = atomic_load_explicit(&epoch_control(epoch)->traceback_limit, memory_order_relaxed);
        if (unlikely(limit == 0))
                return 1;
        return likely(limit <= AGENT_FRAMES_MAX) ? limit : AGENT_FRAMES_MAX;
}

uint32_t capture_traceback(struct epoch *epoch, uintptr_t cfa) {
        struct namer namer = {.stack = {&namer_functions}, .epoch = epoch, .limit = limit_in_force(epoch)};
        uint32_t node = capture(epoch, &namer, cfa);
#ifdef CAPTURE_CHECK
        capture_check(epoch, cfa, namer.limit, node, namer.way);
#endif
        return node;
}
