/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walking and naming. Runs in the hooks of Python's allocators, with the thread's guard held: nothing
 * else of the thread uses its struct python_stack meanwhile, but a signal handler may leave by longjmp.
 */

#include "agent/python_stack.h"

#include <string.h>

#include "agent/sys.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define CAPACITY_FIRST 128
/* A stack that goes round in circles ends here. */
#define DEPTH_MAX      (UINT32_C(1) << 20)
#define NOT_FOUND      UINT32_MAX

_Atomic uint32_t python_stack_code_version;

struct python_stack *python_stack_new(void) {
        return sys_map_memory(sizeof(struct python_stack));
}

/* Room for @n frames, what is there stays. */
static bool reserve(struct python_stack *stack, uint32_t n) {
        uint32_t capacity = stack->capacity ? stack->capacity : CAPACITY_FIRST;
        size_t frame_bytes = sizeof(*stack->frames), fresh_bytes = sizeof(*stack->fresh);
        char *memory;

        if (likely(n <= stack->capacity))
                return true;
        while (capacity < n)
                capacity *= 2;
        memory = n <= DEPTH_MAX ? sys_map_memory(capacity * (frame_bytes + fresh_bytes)) : NULL;
        if (!memory)
                return false;
        if (stack->frames) {
                memcpy(memory, stack->frames, stack->n_known * frame_bytes);
                memcpy(memory + capacity * frame_bytes, stack->fresh, stack->capacity * fresh_bytes);
                sys_unmap(stack->frames, stack->capacity * (frame_bytes + fresh_bytes));
        }
        stack->frames = (struct python_stack_frame *)(void *)memory;
        stack->fresh = (uintptr_t *)(void *)(memory + capacity * frame_bytes);
        stack->capacity = capacity;
        return true;
}

static uint64_t key_of(const struct python_names *names, const struct python_layout *layout,
                       const struct python_stack_frame *f) {
        return PYTHON_KEY | (uint64_t)python_codes_number(names->codes, f->code) << PYTHON_KEY_SHIFT |
               python_layout_position(layout, f->frame, f->code);
}

static uint32_t intern(const struct python_names *names, uint32_t parent, uint64_t key) {
        uint32_t node = trie_find(names->trie, parent, key), unit = NODE_UNIT_DEPTH;
        uint64_t value = key & ~TRIE_KEY_DEPTH;

        if (likely(node))
                return node;
        if (!(key & TRIE_KEY_DEPTH)) {
                unit = NODE_UNIT_CODE | (uint32_t)((key & ~PYTHON_KEY) >> PYTHON_KEY_SHIFT);
                value = key & ((UINT64_C(1) << PYTHON_KEY_SHIFT) - 1);
        }
        node = definitions_add_node(names->definitions, parent, unit, value);
        if (node)
                trie_insert(names->trie, parent, key, node);
        return node;
}

/* Chains are nodes as far as the traceback limit goes, private names of the trie beyond: as for native stacks
 * (capture.c). */
static uint32_t name_chain(const struct python_names *names, uint32_t outer, uint32_t depth, uint64_t key) {
        uint32_t name;

        if (likely(depth <= names->limit))
                return depth > 1 && outer == 0 ? 0 : intern(names, outer, key);
        name = trie_find(names->trie, outer, TRIE_KEY_BEYOND | key);
        if (name)
                return name;
        name = trie_new_name(names->trie);
        if (name)
                trie_insert(names->trie, outer, TRIE_KEY_BEYOND | key, name);
        return name;
}

/* The traceback that ends at frames[n - 1], where more frames count than the limit allows. */
static uint32_t name_cut(const struct python_stack *stack, const struct python_names *names,
                         const struct python_layout *layout, uint32_t n) {
        const struct python_stack_frame *frames = stack->frames, *top = &frames[n - 1];
        uint32_t node = top->chain ? trie_find(names->trie, top->chain, TRIE_KEY_CUT | names->limit) : 0, first = n;

        if (node)
                return node;
        while (first > 0 && top->depth - frames[first - 1].depth < names->limit)
                first--;
        for (uint32_t i = first; i < n; i++) {
                if (frames[i].depth == (i ? frames[i - 1].depth : 0))
                        continue;
                node = intern(names, node, key_of(names, layout, &frames[i]));
                if (!node)
                        return 0;
        }
        node = intern(names, node, TRIE_KEY_DEPTH | top->depth);
        if (node && top->chain)
                trie_insert(names->trie, top->chain, TRIE_KEY_CUT | names->limit, node);
        return node;
}

/* Frame number @i is now @frame. What was known of that number is kept where it is still right. */
static void set_frame(struct python_stack *stack, const struct python_names *names, const struct python_layout *layout,
                      uint32_t i, uintptr_t frame) {
        struct python_stack_frame *f = &stack->frames[i];
        uint32_t outer = i ? f[-1].chain : 0, depth = i ? f[-1].depth : 0;
        uintptr_t code = python_word(frame, layout->frame_code);
        uint64_t word = python_word(frame, layout->frame_word);

        depth += python_layout_is_frame(layout, frame);
        if (i < stack->n_known && f->frame == frame && f->code == code && f->word == word && f->outer == outer &&
            f->depth == depth)
                return;
        f->frame = frame;
        f->code = code;
        f->word = word;
        f->outer = outer;
        f->node = 0;
        f->depth = depth;
        f->chain = depth == (i ? f[-1].depth : 0) ? outer : name_chain(names, outer, depth, key_of(names, layout, f));
        if (i >= stack->n_known)
                stack->n_known = i + 1;
}

static inline uint32_t find(const struct python_stack *stack, uintptr_t frame) {
        uint32_t i = stack->find[frame >> 4 & (PYTHON_STACK_FIND - 1)];

        return i < stack->n_frames && stack->frames[i].frame == frame ? i : NOT_FOUND;
}

/* Whether frames[i] and all outside of it are the frames that are there now. @changedp: the outermost that stands
 * elsewhere than before; i + 1: none. */
static inline bool compare(const struct python_stack *stack, const struct python_layout *layout, uint32_t i,
                           uint32_t *changedp) {
        const bool by_code = layout->frame_kind == PYTHON_FRAME_OBJECT;
        const uint32_t code = layout->frame_code, word = layout->frame_word, previous = layout->frame_previous;
        const struct python_stack_frame *f = &stack->frames[i];

        *changedp = i + 1;
        for (;; f--) {
                /* a pointer to the instruction says which code it is in */
                if (unlikely(python_word(f->frame, word) != f->word) ||
                    (by_code && unlikely(python_word(f->frame, code) != f->code)))
                        *changedp = (uint32_t)(f - stack->frames);
                if (f == stack->frames)
                        return python_word(f->frame, previous) == 0;
                if (unlikely(python_word(f->frame, previous) != f[-1].frame))
                        return false;
        }
}

/* The frames from @frame outward that are not remembered, into fresh. Return: the index of the first that is;
 * NOT_FOUND where there is none. *n_freshp: UINT32_MAX where the stack is too deep. */
static uint32_t gather(struct python_stack *stack, const struct python_layout *layout, uintptr_t frame, bool all,
                       uint32_t *n_freshp) {
        uint32_t n = 0;

        for (; frame; frame = python_word(frame, layout->frame_previous)) {
                uint32_t i = all ? NOT_FOUND : find(stack, frame);

                if (i != NOT_FOUND) {
                        *n_freshp = n;
                        return i;
                }
                if (unlikely(!reserve(stack, n + 1))) {
                        *n_freshp = UINT32_MAX;
                        return NOT_FOUND;
                }
                stack->fresh[n++] = frame;
        }
        *n_freshp = n;
        return NOT_FOUND;
}

static __attribute__((noinline)) void reset(struct python_stack *stack, const struct python_names *names) {
        stack->n_frames = stack->n_known = 0;
        stack->changing = 0;
        stack->trie = names->trie;
        stack->limit = names->limit;
        stack->trie_version = trie_version(names->trie);
        stack->code_version = atomic_load_explicit(&python_stack_code_version, memory_order_acquire);
}

/* Makes the stack that begins at @top the remembered one. Return: false: it is too deep. */
static __attribute__((noinline)) bool follow(struct python_stack *stack, const struct python_names *names,
                                             const struct python_layout *layout, uintptr_t top) {
        uint32_t n_fresh, changed = 0, base = gather(stack, layout, top, false, &n_fresh), n = 0;

        if (base != NOT_FOUND && compare(stack, layout, base, &changed)) {
                n = base + 1;
        } else if (base != NOT_FOUND) {
                changed = 0;
                gather(stack, layout, top, true, &n_fresh);
        }
        if (n_fresh == UINT32_MAX || !reserve(stack, n + n_fresh)) {
                stack->n_frames = stack->n_known = 0;
                return false;
        }
        stack->changing = 1;
        atomic_signal_fence(memory_order_seq_cst);
        for (uint32_t i = changed; i < n; i++)
                set_frame(stack, names, layout, i, stack->frames[i].frame);
        for (; n_fresh > 0; n++) {
                uintptr_t frame = stack->fresh[--n_fresh];

                set_frame(stack, names, layout, n, frame);
                stack->find[frame >> 4 & (PYTHON_STACK_FIND - 1)] = n;
        }
        stack->n_frames = n;
        atomic_signal_fence(memory_order_seq_cst);
        stack->changing = 0;
        return true;
}

static uint32_t name_top(struct python_stack *stack, const struct python_names *names,
                         const struct python_layout *layout) {
        struct python_stack_frame *top = &stack->frames[stack->n_frames - 1];

        top->node = top->depth <= names->limit ? top->chain : name_cut(stack, names, layout, stack->n_frames);
        return top->node;
}

uint32_t python_stack_node(struct python_stack *stack, const struct python_names *names,
                           const struct python_layout *layout, uintptr_t top) {
        uint32_t n = stack->n_frames, changed;

        if (unlikely(stack->trie != names->trie || stack->trie_version != trie_version(names->trie) ||
                     stack->limit != names->limit || stack->changing ||
                     stack->code_version != atomic_load_explicit(&python_stack_code_version, memory_order_acquire))) {
                reset(stack, names);
                n = 0;
        }
        if (likely(n > 0) && likely(stack->frames[n - 1].frame == top) && compare(stack, layout, n - 1, &changed) &&
            changed == n) {
                uint32_t node = stack->frames[n - 1].node;

                return likely(node != 0) ? node : name_top(stack, names, layout);
        }
        return follow(stack, names, layout, top) ? name_top(stack, names, layout) : 0;
}
