/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stacks. A way of walking fills keys[] with what it finds, innermost first, and
 * says the true depth; interning does not care which way it was. So far there is
 * one, libgcc's unwinder; faster ones go in front of it in walk().
 */

#include "agent/capture.h"

#include <unwind.h>

#include "agent/sys.h"
#include "agent/thread.h"

/* A stack that goes round in circles (wrong unwind tables) ends here. */
#define DEPTH_MAX     (1u << 20)
/* Frames kept where there is no memory for a thread's buffers. */
#define KEYS_ON_STACK 32

struct walk {
        uintptr_t cfa;
        uint64_t *keys;
        uint32_t limit;
        uint32_t depth; /* true depth; keys[] holds the first limit of it */
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *data) {
        struct walk *walk = data;
        int is_exact = 0;
        uint64_t pc;

        /* the CFA of the frame inside this one: equal for the hook's caller, smaller for the frames below */
        if (walk->depth == 0 && _Unwind_GetCFA(context) < walk->cfa)
                return _URC_NO_REASON;
        pc = (uint64_t)_Unwind_GetIPInfo(context, &is_exact);
        if (pc == 0 || walk->depth >= DEPTH_MAX)
                return _URC_NORMAL_STOP;
        if (walk->depth < walk->limit)
                walk->keys[walk->depth] = pc + (is_exact ? 1 : 0);
        walk->depth++;
        return _URC_NO_REASON;
}

static void walk_stack(struct walk *walk) {
        _Unwind_Backtrace(note_frame, walk);
}

static uint32_t intern(struct epoch *epoch, uint32_t parent, uint64_t key) {
        uint32_t node = trie_find(&epoch->trie, parent, key), unit = NODE_UNIT_DEPTH;
        uint64_t value = key & ~TRIE_KEY_DEPTH;

        if (likely(node))
                return node;
        if (!(key & TRIE_KEY_DEPTH))
                unit = modules_find(&epoch->modules, RING_MAY_WAIT, key, &value);
        node = definitions_add_node(&epoch->definitions, parent, unit, value);
        if (node)
                trie_insert(&epoch->trie, parent, key, node);
        return node;
}

/* Interns from the oldest frame on; nodes of the outer frames that the last stack had too are taken from there. */
static uint32_t intern_stack(struct epoch *epoch, struct thread *thread, uint32_t n) {
        const uint64_t *keys = thread->walked, *last = thread->last;
        uint32_t version = trie_version(&epoch->trie), same = 0, n_last = thread->n_last, node;

        if (thread->trie != &epoch->trie || thread->trie_version != version)
                n_last = 0;
        while (same < n && same < n_last && keys[n - 1 - same] == last[n_last - 1 - same])
                same++;
        node = same ? thread->nodes[same - 1] : 0;
        thread->n_last = 0;
        for (uint32_t i = same; i < n; i++) {
                node = intern(epoch, node, keys[n - 1 - i]);
                if (!node)
                        return 0;
                thread->nodes[i] = node;
        }
        thread->walked = thread->last;
        thread->last = (uint64_t *)keys;
        thread->n_last = n;
        thread->trie = &epoch->trie;
        thread->trie_version = version;
        return node;
}

static uint32_t intern_plain(struct epoch *epoch, const uint64_t *keys, uint32_t n) {
        uint32_t node = 0;

        for (uint32_t i = n; i-- > 0;) {
                node = intern(epoch, node, keys[i]);
                if (!node)
                        return 0;
        }
        return node;
}

static __attribute__((noinline)) uint32_t capture_without_memory(struct epoch *epoch, struct walk *walk) {
        uint64_t keys[KEYS_ON_STACK];

        walk->keys = keys;
        if (walk->limit > KEYS_ON_STACK)
                walk->limit = KEYS_ON_STACK;
        walk_stack(walk);
        return intern_plain(epoch, keys, walk->depth < walk->limit ? walk->depth : walk->limit);
}

uint32_t capture_traceback(struct epoch *epoch, uintptr_t cfa) {
        uint32_t limit = atomic_load_explicit(&epoch_control(epoch)->traceback_limit, memory_order_relaxed), node;
        struct walk walk = {.cfa = cfa, .limit = limit == 0 ? 1 : limit > 65535 ? 65535 : limit};
        struct thread *thread = thread_get(walk.limit);

        if (likely(thread)) {
                walk.keys = thread->walked;
                walk_stack(&walk);
                node = intern_stack(epoch, thread, walk.depth < walk.limit ? walk.depth : walk.limit);
        } else {
                node = capture_without_memory(epoch, &walk);
        }
        if (node && walk.depth > walk.limit)
                node = intern(epoch, node, TRIE_KEY_DEPTH | walk.depth);
        return node;
}
