/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walking and naming. Runs in the hooks of Python's allocators, with the thread's guard held: nothing
 * else of the thread uses its struct python_stack meanwhile, but a signal handler may leave by longjmp.
 */

#include "agent/python_stack.h"

#include "agent/sys.h"

#include <string.h>

#define CAPACITY_FIRST 128
/* A stack that goes round in circles ends here. */
#define DEPTH_MAX      (UINT32_C(1) << 20)
#define NOT_FOUND      UINT32_MAX
/* Outside of the outermost frame; no frame is there. */
#define NO_FRAME       UINTPTR_MAX

_Atomic uint32_t python_stack_code_version;

struct python_stack *python_stack_new(void) {
        return sys_map_memory(sizeof(struct python_stack));
}

static size_t bytes_for(uint32_t capacity) {
        return (capacity + 1) * sizeof(struct python_stack_frame) + capacity * sizeof(uintptr_t);
}

static __attribute__((noinline)) bool reserve_more(struct python_stack *stack, uint32_t n) {
        uint32_t capacity = stack->capacity ? stack->capacity : CAPACITY_FIRST;
        struct python_stack_frame *old = stack->frames, *frames;
        uint32_t old_capacity = stack->capacity;
        while (capacity < n)
                capacity *= 2;
        void *memory = n <= DEPTH_MAX ? sys_map_memory(bytes_for(capacity)) : NULL;
        if (!memory)
                return false;
        frames = (struct python_stack_frame *)memory + 1;
        frames[-1].frame = NO_FRAME;
        uintptr_t *fresh = (uintptr_t *)(void *)(frames + capacity);
        if (old) {
                memcpy(frames, old, stack->n_known * sizeof *frames);
                memcpy(fresh, stack->fresh, old_capacity * sizeof *fresh);
        }
        stack->frames = frames;
        stack->fresh = fresh;
        atomic_signal_fence(memory_order_seq_cst);
        stack->capacity = capacity;
        atomic_signal_fence(memory_order_seq_cst);
        /* a longjmp out of a signal handler may leave the old ones mapped, but not in use */
        if (old)
                sys_unmap(old - 1, bytes_for(old_capacity));
        return true;
}

/* Room for @n frames, what is there stays. */
static inline bool reserve(struct python_stack *stack, uint32_t n) {
        return likely(n <= stack->capacity) || reserve_more(stack, n);
}

static uint64_t key_of(const struct python_names *names, const struct python_layout *layout,
                       const struct python_stack_frame *f) {
        uintptr_t code = python_layout_code(f->code);
        return PYTHON_KEY | (uint64_t)python_codes_number(names->codes, code) << PYTHON_KEY_SHIFT |
               python_layout_position(layout, f->frame, code);
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
        if (likely(depth <= names->limit))
                return depth > 1 && outer == 0 ? 0 : intern(names, outer, key);
        uint32_t name = trie_find(names->trie, outer, TRIE_KEY_BEYOND | key);
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

/* What a longjmp out of a signal handler leaves half written has no generation. */
static void set_name(struct python_stack_name *name, struct python_stack_name value) {
        uint32_t generation = value.generation;
        name->generation = value.generation = 0;
        atomic_signal_fence(memory_order_seq_cst);
        *name = value;
        atomic_signal_fence(memory_order_seq_cst);
        name->generation = generation;
}

/* @f, whose name is in neither place, gets one. */
static void remember(struct python_stack *stack, const struct python_stack_frame *f) {
        struct python_stack_name *pair = python_stack_name_pair(stack, f->word, f->outer);
        set_name(&pair[1], pair[0]);
        set_name(&pair[0], (struct python_stack_name){.code = f->code,
                                                      .word = f->word,
                                                      .kind = f->kind,
                                                      .outer = f->outer,
                                                      .generation = stack->generation,
                                                      .chain = f->chain,
                                                      .depth = f->depth});
}

/* frames[i], of which all but the name is known, gets one. */
static __attribute__((noinline)) void name_frame(struct python_stack *stack, const struct python_layout *layout,
                                                 uint32_t i) {
        struct python_stack_frame *f = &stack->frames[i];
        uint32_t outer_depth = i ? f[-1].depth : 0;
        const struct python_names *names = &stack->names;
        f->depth = outer_depth + python_layout_is_frame(layout, f->frame);
        f->chain = f->depth == outer_depth ? f->outer : name_chain(names, f->outer, f->depth, key_of(names, layout, f));
        f->node = 0;
        /* without an outer name, or without one of its own for want of room, a name says nothing of the depth */
        if (f->chain && (f->outer || outer_depth == 0))
                remember(stack, f);
}

/* Frame number @i is now @frame. What was known of that number is kept where it is still right. */
static inline void set_frame(struct python_stack *stack, const struct python_layout *layout, uint32_t i,
                             uintptr_t frame) {
        struct python_stack_frame *f = &stack->frames[i];
        uint32_t outer = i ? f[-1].chain : 0, kind = python_stack_kind(layout, frame);
        uintptr_t code = python_word(frame, layout->frame_code);
        uint64_t word = python_word(frame, layout->frame_word);
        if (unlikely(kind != 0) && layout->frame_kind == PYTHON_FRAME_OBJECT && !layout->trace_by_line)
                stack->sees_trace = true;
        if (i < stack->n_known && f->frame == frame && f->word == word && f->code == code && f->kind == kind &&
            f->outer == outer && outer != 0)
                return;
        f->frame = frame;
        f->code = code;
        f->word = word;
        f->kind = kind;
        f->outer = outer;
        const struct python_stack_name *name = python_stack_find_name(stack, word, code, kind, outer);
        if (likely(name != NULL) && likely(outer || i == 0 || f[-1].depth == 0)) {
                f->chain = name->chain;
                f->depth = name->depth;
                f->node = name->node;
        } else {
                name_frame(stack, layout, i);
        }
        if (i >= stack->n_known)
                stack->n_known = i + 1;
}

static inline uint32_t find(struct python_stack *stack, uintptr_t frame) {
        uint32_t i = *python_stack_find_slot(stack, frame);
        return i < stack->n_frames && stack->frames[i].frame == frame ? i : NOT_FOUND;
}

static inline __attribute__((always_inline)) bool compare_outward(const struct python_stack *stack,
                                                                  const struct python_layout *layout, uint32_t i,
                                                                  bool by_code, uint32_t *changedp) {
        const uint32_t code = layout->frame_code, word = layout->frame_word, previous = layout->frame_previous;
        const struct python_stack_frame *f = &stack->frames[i], *outermost = stack->frames, *changed = f + 1;
        uintptr_t frame = f->frame;
        bool same;
        for (;; f--) {
                uintptr_t outer = python_word(frame, previous);
                if (unlikely(python_word(frame, word) != f->word) ||
                    (by_code && unlikely(python_word(frame, code) != f->code)))
                        changed = f;
                if (f == outermost) {
                        same = outer == 0;
                        break;
                }
                frame = f[-1].frame;
                if (unlikely(outer != frame)) {
                        same = false;
                        break;
                }
        }
        *changedp = (uint32_t)(changed - outermost);
        return same;
}

/* Whether frames[i] and all outside of it are the frames that are there now. @changedp: the outermost that stands
 * elsewhere than before; i + 1: none. */
static inline bool compare(const struct python_stack *stack, const struct python_layout *layout, uint32_t i,
                           uint32_t *changedp) {
        /* a pointer to the instruction says which code it is in */
        if (layout->frame_kind == PYTHON_FRAME_OBJECT)
                return compare_outward(stack, layout, i, true, changedp);
        return compare_outward(stack, layout, i, false, changedp);
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

/* Around all that changes. A longjmp out of a signal handler leaves it set, and nothing is believed then. */
static inline void set_changing(struct python_stack *stack, uint32_t changing) {
        atomic_signal_fence(memory_order_seq_cst);
        stack->changing = changing;
        atomic_signal_fence(memory_order_seq_cst);
}

static __attribute__((noinline)) void forget_all(struct python_stack *stack) {
        stack->n_frames = stack->n_known = 0;
        if (++stack->generation == 0) {
                memset(stack->memo, 0, sizeof stack->memo);
                stack->generation = 1;
        }
        stack->trie_version = trie_version(stack->names.trie);
        stack->code_version = atomic_load_explicit(&python_stack_code_version, memory_order_acquire);
}

void python_stack_rename(struct python_stack *stack, const struct python_names *names) {
        set_changing(stack, 1);
        stack->names = *names;
        forget_all(stack);
        set_changing(stack, 0);
}

/* The remembered stack is now frames[0] to frames[@n - 1], of which those from @changed on stand elsewhere than before,
 * and on top of it @n_fresh more, for which there is room. */
static inline void change(struct python_stack *stack, const struct python_layout *layout, uint32_t n, uint32_t changed,
                          uint32_t n_fresh) {
        for (uint32_t i = changed; i < n; i++)
                set_frame(stack, layout, i, stack->frames[i].frame);
        for (; n_fresh > 0; n++) {
                uintptr_t frame = stack->fresh[--n_fresh];
                set_frame(stack, layout, n, frame);
                *python_stack_find_slot(stack, frame) = n;
        }
        stack->n_frames = n;
}

/* Makes the stack that begins at @top the remembered one, wherever it leaves that. Return: false: it is too deep. */
static bool follow(struct python_stack *stack, const struct python_layout *layout, uintptr_t top) {
        uint32_t n_fresh, changed = 0, n = 0;
        uint32_t base = gather(stack, layout, top, false, &n_fresh);
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
        change(stack, layout, n, changed, n_fresh);
        return true;
}

static uint32_t name_top(struct python_stack *stack, const struct python_layout *layout) {
        struct python_stack_frame *top = &stack->frames[stack->n_frames - 1];
        struct python_stack_name *name = python_stack_find_name(stack, top->word, top->code, top->kind, top->outer);
        top->node =
                top->depth <= stack->names.limit ? top->chain : name_cut(stack, &stack->names, layout, stack->n_frames);
        if (name && name->chain == top->chain)
                name->node = top->node;
        return top->node;
}

/* Up to 3.9 a frame with a trace function stands at the line that this has seen. It gets one, or loses it, without
 * moving, and no word that is compared says so. So nothing is remembered where a frame has one, or may get one: a
 * generator that is resumed or closed in a thread with a trace function stands where it stood, until that has been
 * called. */
static uint32_t walk(struct python_stack *stack, const struct python_layout *layout, uintptr_t thread, uintptr_t top) {
        uint32_t node;
        stack->sees_trace = layout->frame_kind == PYTHON_FRAME_OBJECT && !layout->trace_by_line &&
                            unlikely(python_layout_is_traced(thread));
        if (unlikely(stack->sees_trace))
                stack->n_frames = 0;
        if (!follow(stack, layout, top))
                return 0;
        node = stack->frames[stack->n_frames - 1].node;
        if (!node)
                node = name_top(stack, layout);
        if (unlikely(stack->sees_trace))
                stack->n_frames = 0;
        return node;
}

uint32_t python_stack_walk(struct python_stack *stack, const struct python_layout *layout, uintptr_t thread,
                           uintptr_t top) {
        bool valid = python_stack_is_valid(stack);
        set_changing(stack, 1);
        if (unlikely(!valid))
                forget_all(stack);
        uint32_t node = walk(stack, layout, thread, top);
        set_changing(stack, 0);
        return node;
}
