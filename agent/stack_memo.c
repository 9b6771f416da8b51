/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs in a hook of the thread that owns the memo, guarded against its own signal handlers.
 * stack_memo.h has the proof; what is written here keeps three things true of the spine, and of a
 * branch with the part of the spine that it meets:
 *   - each frame follows from the one inside by rule and slots, as they were in one walk;
 *   - the stack pointers grow outward, and all slots lie in a range that can be read;
 *   - needs_bp and restores_bp are right for the outer frames that are there.
 */

#include "agent/stack_memo.h"

#include "agent/rule_cache.h"
#include "agent/sys.h"

#include <stdatomic.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define CAPACITY_FIRST 256
#define CAPACITY_MAX   (1u << 20) /* a stack that goes round in circles ends here */
#define BRANCH_LOOKS   6
#define EVICTIONS_MAX  4    /* of each branch */
#define CROSSINGS_MAX  1024 /* from stack to stack: wrong unwind tables may lead round in circles */

struct state {
        uint64_t pc, sp, bp;
};

enum walk_end {
        WALK_MEETS_SPINE,
        WALK_ENDS,         /* at the outermost frame */
        WALK_ENDS_OUTSIDE, /* in code that is in no object now */
        WALK_LEAVES_STACK, /* at the last frame that is in the stack */
        WALK_CROSSES,      /* at its end, which is in another stack */
        WALK_TOO_DEEP,     /* for the memory that we have so far */
        WALK_CANT,
};

static inline uint64_t load(uint64_t address) {
        return *(const uint64_t *)(uintptr_t)address;
}

/* What a hook's caller will be when the hook has returned. */
static inline struct state state_behind(uintptr_t cfa) {
        return (struct state){.pc = load(cfa - 8), .sp = cfa, .bp = load(cfa - 16)};
}

/* Whether the step from @inner to its caller @outer, which was right once, is right now. */
static inline bool step_holds(const struct stack_frame *inner, const struct stack_frame *outer) {
        return likely(load(outer->sp - 8) == outer->pc) &&
               (likely(!inner->restores_bp) || load(outer->sp - inner->saved) == outer->bp);
}

static inline bool frame_is(const struct stack_frame *frame, const struct state *state) {
        return frame->sp == state->sp && frame->pc == state->pc && (!frame->needs_bp || frame->bp == state->bp);
}

/* From a frame that is right now outward. Return: the last one that is; memo->spine: all of them, to the end. */
static inline const struct stack_frame *spine_holds(const struct stack_memo *memo, const struct stack_frame *frame) {
        while (frame != memo->spine && step_holds(frame, frame - 1))
                frame--;
        return frame;
}

/* The outermost frame ends the stack by its rule, which does not change; but what is code made at run time
 * may be a module by now. */
static bool end_holds(const struct stack_memo *memo) {
        return likely(!memo->ends_outside) || unwind_rule_kind(rule_cache_find(memo->spine[0].pc)) == UNWIND_OUTSIDE;
}

/*
 * Branches are found by what tells them apart: the first by its innermost state; where its inner
 * frames turn out to be others from the i-th on, the next one by i and by the return address found there; and so on.
 * So an allocator's wrappers, which begin every stack, cost one more look. What is looked
 * at is compared in full, whatever led to it.
 */
static inline uint32_t branch_index(const struct stack_memo *memo, uint64_t key, uint64_t pc) {
        return (uint32_t)((key ^ pc) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - memo->branches_log2));
}

enum branch_state {
        BRANCH_HOLDS,
        BRANCH_DIFFERS, /* in an inner frame */
        BRANCH_STALE,   /* it was right once, but outer frames are others by now */
};

static inline bool branch_begins_with(const struct stack_memo *memo, const struct stack_branch *branch,
                                      const struct state *state) {
        return branch->sp == state->sp && branch->frames[0].pc == state->pc && branch->generation == memo->generation &&
               (likely(!branch->needs_bp) || branch->bp[0] == state->bp);
}

/* @branch: branch_begins_with() the state. *atp, *pcp: where the first difference is, and the return address there;
 * only for BRANCH_DIFFERS. */
static inline enum branch_state branch_holds(const struct stack_memo *memo, const struct stack_branch *branch,
                                             uint32_t *atp, uint64_t *pcp) {
        const struct stack_branch_frame *frame = branch->frames, *last = frame + branch->n_inner;
        const struct stack_frame *spine = &memo->spine[branch->join];
        uint64_t sp = branch->sp;
        if (branch->join >= memo->n_spine || spine->chain != branch->join_chain || spine->sp != sp + last->sp_offset ||
            (unlikely(spine->needs_bp) && spine->bp != branch->bp[branch->n_inner]))
                return BRANCH_STALE;
        for (; frame != last; frame++) {
                uint64_t cfa = sp + frame[1].sp_offset, pc = load(cfa - 8);
                if (pc != frame[1].pc) {
                        *atp = (uint32_t)(frame - branch->frames) + 1;
                        *pcp = pc;
                        return BRANCH_DIFFERS;
                }
                if (unlikely(frame->restores_bp) && load(cfa - frame->saved) != branch->bp[frame - branch->frames + 1])
                        return BRANCH_STALE;
        }
        return spine_holds(memo, spine) == memo->spine && end_holds(memo) ? BRANCH_HOLDS : BRANCH_STALE;
}

/* Of two branches that are in the way, the one that was not needed for longer. */
static uint32_t older_branch(const struct stack_memo *memo, uint32_t a, uint32_t b) {
        uint32_t age_a =
                memo->branches[a].generation == memo->generation ? memo->clock - memo->branches[a].used_at : -1u;
        uint32_t age_b =
                memo->branches[b].generation == memo->generation ? memo->clock - memo->branches[b].used_at : -1u;
        return age_a >= age_b ? a : b;
}

/* Return: the branch that holds; NULL, and in *victimp which one to replace by what is going to be walked. */
static inline struct stack_branch *find_branch(struct stack_memo *memo, const struct state *state, uint32_t *victimp) {
        uint64_t key = state->sp << 20, pc = state->pc;
        uint32_t differs = 0, at = 0;
        for (unsigned look = 0; look < BRANCH_LOOKS; look++) {
                uint32_t first = branch_index(memo, key, pc), index = first;
                if (!branch_begins_with(memo, &memo->branches[index], state) &&
                    !branch_begins_with(memo, &memo->branches[index ^= 1], state)) {
                        *victimp = older_branch(memo, first, index);
                        break;
                }
                enum branch_state found = branch_holds(memo, &memo->branches[index], &at, &pc);
                if (likely(found == BRANCH_HOLDS))
                        return &memo->branches[index];
                *victimp = index;
                if (found != BRANCH_DIFFERS || at <= differs)
                        break;
                differs = at;
                key = state->sp << 20 ^ state->pc << 4 ^ at;
        }
        return NULL;
}

/* The state after a step by rule. Return: false where it leads out of the stack; @state is unchanged then. */
static inline bool step(struct stack_memo *memo, uint32_t rule, struct state *state) {
        uint64_t base = unwind_rule_kind(rule) == UNWIND_RSP ? state->sp : state->bp;
        uint64_t cfa = base + unwind_rule_offset(rule), saved = unwind_rule_saved(rule);
        /* both ends of what is read: the words from rsp up to the CFA */
        if (unlikely(cfa <= state->sp || saved > cfa - state->sp || !stack_ranges_hold(&memo->ranges, cfa)))
                return false;
        uint64_t pc = load(cfa - 8);
        if (unlikely(pc == 0))
                return false;
        *state = (struct state){.pc = pc, .sp = cfa, .bp = saved ? load(cfa - saved) : state->bp};
        return true;
}

/*
 * The same where step() will not: a function may have gone on with another stack, as __morestack of -fsplit-stack and
 * Rust's stacker do, and then finds its caller's by rbp. That is believed if the kernel can read both words, and the
 * one is an address in code. What was walked across stacks is not remembered: those that were left may go at any time.
 */
static __attribute__((noinline)) bool cross(struct stack_memo *memo, uint32_t rule, struct state *state) {
        uint64_t cfa = state->bp + unwind_rule_offset(rule), saved = unwind_rule_saved(rule);
        if (unwind_rule_kind(rule) != UNWIND_RBP || cfa % 8 != 0 ||
            !stack_ranges_cross(&memo->ranges, cfa - (saved > 8 ? saved : 8), cfa))
                return false;
        uint64_t pc = load(cfa - 8);
        if (pc == 0 || unwind_rule_kind(rule_cache_find(pc)) == UNWIND_OUTSIDE)
                return false;
        *state = (struct state){.pc = pc, .sp = cfa, .bp = saved ? load(cfa - saved) : state->bp};
        return true;
}

/* settle() adds what depends on outer frames. */
static void note_walked(struct stack_frame *frame, const struct state *state, uint32_t rule) {
        frame->pc = state->pc;
        frame->sp = state->sp;
        frame->bp = state->bp;
        frame->saved = (uint16_t)unwind_rule_saved(rule);
        frame->goes_by_bp = unwind_rule_kind(rule) == UNWIND_RBP;
}

/* A part of the spine that holds, but not to its end: [last, first], taken over into the walk but for the
 * last, which becomes the state. rbp is read where it was restored: the spine's may be of an earlier walk. */
static uint32_t take_from_spine(struct stack_memo *memo, uint32_t n, uint32_t first, uint32_t last,
                                struct state *state) {
        for (uint32_t i = first; i > last; i--) {
                const struct stack_frame *frame = &memo->spine[i], *outer = frame - 1;
                memo->walked[n] = *frame;
                memo->walked[n].bp = state->bp;
                n++;
                if (frame->saved)
                        state->bp = load(outer->sp - frame->saved);
                state->pc = outer->pc;
                state->sp = outer->sp;
        }
        return n;
}

/* From @state outward into memo->walked, innermost first, until the stack ends or goes on as the spine does.
 * *np: frames walked; *joinp: frames of the spine that follow. */
static enum walk_end walk(struct stack_memo *memo, struct state state, uint32_t *np, uint32_t *joinp) {
        uint32_t n = 0, at = memo->n_spine, n_crossed = 0, holds;
        *joinp = 0;
        for (;; n++) {
                while (at > 0 && memo->spine[at - 1].sp < state.sp)
                        at--;
                if (at > 0 && frame_is(&memo->spine[at - 1], &state)) {
                        holds = (uint32_t)(spine_holds(memo, &memo->spine[at - 1]) - memo->spine);
                        if (holds == 0 && end_holds(memo)) {
                                *np = n;
                                *joinp = at;
                                return WALK_MEETS_SPINE;
                        }
                        if (n + (at - 1 - holds) >= memo->capacity)
                                return WALK_TOO_DEEP;
                        n = take_from_spine(memo, n, at - 1, holds, &state);
                        at = holds;
                }
                if (n >= memo->capacity)
                        return WALK_TOO_DEEP;
                uint32_t rule = rule_cache_find(state.pc);
                enum unwind_kind kind = unwind_rule_kind(rule);
                if (unlikely(kind == UNWIND_CANT))
                        return WALK_CANT;
                note_walked(&memo->walked[n], &state, rule);
                *np = n + 1;
                if (kind == UNWIND_END || kind == UNWIND_OUTSIDE)
                        return n_crossed ? WALK_CROSSES : kind == UNWIND_END ? WALK_ENDS : WALK_ENDS_OUTSIDE;
                if (likely(step(memo, rule, &state)))
                        continue;
                if (n_crossed++ == CROSSINGS_MAX || !cross(memo, rule, &state))
                        return WALK_LEAVES_STACK;
                at = memo->n_spine = 0;
        }
}

/* Puts what was walked on what is left of the spine; where nothing was, the spine stays as it is, deeper than the
 * stack. Return: false: a frame got no name. */
static bool settle(struct stack_memo *memo, struct stack_namer *namer, uint32_t kept, uint32_t n_walked) {
        struct stack_frame *frame = memo->spine + kept;
        uint32_t chain = kept ? frame[-1].chain : 0;
        uint64_t path = kept ? frame[-1].path : 0;
        bool needed = kept && frame[-1].needs_bp;
        for (uint32_t i = n_walked; i-- > 0;)
                path = memo->walked[i].path = namer->functions->path(namer, path, memo->walked[i].pc);
        for (uint32_t i = n_walked; i-- > 0; frame++) {
                const struct stack_frame *walked = &memo->walked[i];
                chain = namer->functions->chain(namer, chain, (uint32_t)(frame - memo->spine) + 1, walked->pc,
                                                walked->path);
                if (!chain)
                        return false;
                *frame = *walked;
                frame->chain = chain;
                frame->restores_bp = needed && walked->saved;
                needed = walked->goes_by_bp || (needed && !walked->saved);
                frame->needs_bp = needed;
        }
        if (n_walked)
                memo->n_spine = kept + n_walked;
        return true;
}

/* @n_frames: of the stack, which are on the spine; @n_walked of them, the innermost, are new there. */
static void keep_branch(const struct stack_memo *memo, struct stack_branch *branch, uint32_t n_frames,
                        uint32_t n_walked, uint32_t node) {
        const struct stack_frame *frame = &memo->spine[n_frames - 1];
        uint32_t n_inner = n_walked < STACK_BRANCH_FRAMES ? n_walked : STACK_BRANCH_FRAMES;
        uint64_t sp = frame->sp;
        if (n_inner > n_frames - 1)
                n_inner = n_frames - 1;
        branch->generation = 0; /* until it is whole */
        if (frame[-(ptrdiff_t)n_inner].sp - sp > UINT32_MAX)
                return;
        branch->node = node;
        branch->n_inner = n_inner;
        branch->join = n_frames - 1 - n_inner;
        branch->join_chain = memo->spine[branch->join].chain;
        branch->needs_bp = frame->needs_bp;
        branch->sp = sp;
        branch->used_at = memo->clock;
        for (uint32_t i = 0; i <= n_inner; i++, frame--) {
                branch->frames[i].pc = frame->pc;
                branch->frames[i].sp_offset = (uint32_t)(frame->sp - sp);
                branch->frames[i].saved = frame->saved;
                branch->frames[i].restores_bp = frame->restores_bp;
                branch->bp[i] = frame->bp;
        }
        branch->generation = memo->generation;
}

static size_t branches_bytes(uint32_t log2) {
        return sizeof(struct stack_branch) << log2;
}

static void map_branches(struct stack_memo *memo, uint32_t log2) {
        struct stack_branch *branches = sys_map_memory_now(branches_bytes(log2));
        memo->n_evicted = 0;
        if (!branches)
                return;
        if (memo->branches)
                sys_unmap(memo->branches, branches_bytes(memo->branches_log2));
        memo->branches = branches;
        memo->branches_log2 = log2;
}

/* Most threads allocate in few places. A program of many gets more memory when branches have been evicted
 * several times over; it begins empty. */
static struct stack_branch *branch_to_replace(struct stack_memo *memo, uint32_t index) {
        struct stack_branch *branch = &memo->branches[index];
        if (branch->generation != memo->generation || memo->branches_log2 == STACK_BRANCHES_LOG2_MAX ||
            ++memo->n_evicted >> memo->branches_log2 < EVICTIONS_MAX)
                return branch;
        map_branches(memo, memo->branches_log2 + 2);
        return &memo->branches[index];
}

static void unmap_frames(struct stack_memo *memo) {
        if (memo->spine)
                sys_unmap(memo->spine, memo->capacity * 2 * sizeof *memo->spine);
        memo->spine = memo->walked = NULL;
        memo->capacity = memo->n_spine = 0;
}

static bool grow(struct stack_memo *memo) {
        uint32_t capacity = memo->capacity ? memo->capacity * 4 : CAPACITY_FIRST;
        if (capacity > CAPACITY_MAX)
                return false;
        unmap_frames(memo);
        memo->spine = capacity == CAPACITY_FIRST ? sys_map_memory_now(capacity * 2 * sizeof *memo->spine)
                                                 : sys_map_memory(capacity * 2 * sizeof *memo->spine);
        if (!memo->spine)
                return false;
        memo->walked = memo->spine + capacity;
        memo->capacity = capacity;
        return true;
}

static __attribute__((noinline)) bool take_memory(struct stack_memo *memo) {
        if (memo->unusable)
                return false;
        if (!memo->branches)
                map_branches(memo, STACK_BRANCHES_LOG2_FIRST);
        memo->unusable = !memo->branches || (!memo->spine && !grow(memo)) || !stack_ranges_works();
        return !memo->unusable;
}

/* Walks, in more memory if it must. */
static enum walk_end walk_growing(struct stack_memo *memo, const struct state *state, uint32_t *n_walkedp,
                                  uint32_t *keptp) {
        enum walk_end end;
        do {
                stack_ranges_enter(&memo->ranges, state->sp - 16); /* a walk that was too deep may have left it */
                end = walk(memo, *state, n_walkedp, keptp);
                if (end == WALK_MEETS_SPINE && *keptp + *n_walkedp > memo->capacity)
                        end = WALK_TOO_DEEP;
        } while (unlikely(end == WALK_TOO_DEEP) && grow(memo));
        return end == WALK_TOO_DEEP ? WALK_CANT : end;
}

/* Names the stack and remembers it. Return: its node. */
static uint32_t take(struct stack_memo *memo, struct stack_namer *namer, enum walk_end end, uint32_t n_walked,
                     uint32_t kept, uint32_t branch) {
        uint32_t node = 0;
        if (end != WALK_MEETS_SPINE)
                memo->ends_outside = end == WALK_ENDS_OUTSIDE;
        if (settle(memo, namer, kept, n_walked))
                node = namer->functions->node(namer, memo->spine, kept + n_walked);
        if (node && end != WALK_LEAVES_STACK && end != WALK_CROSSES)
                keep_branch(memo, branch_to_replace(memo, branch), kept + n_walked, n_walked, node);
        else
                memo->n_spine = 0;
        return node;
}

/* The walk where no branch fits. */
static __attribute__((noinline)) int walk_anew(struct stack_memo *memo, struct stack_namer *namer, uintptr_t cfa,
                                               uint32_t branch, uint32_t *nodep) {
        const struct state state = state_behind(cfa);
        uint32_t n_walked, kept;
        memo->changing = 1;
        atomic_signal_fence(memory_order_seq_cst);
        enum walk_end end = walk_growing(memo, &state, &n_walked, &kept);
        if (likely(end != WALK_CANT))
                *nodep = take(memo, namer, end, n_walked, kept, branch);
        atomic_signal_fence(memory_order_seq_cst);
        memo->changing = 0;
        return end == WALK_CANT ? STACK_MEMO_E_CANT : 0;
}

int stack_memo_capture(struct stack_memo *memo, struct stack_namer *namer, uintptr_t cfa, uint32_t *nodep) {
        const struct state state = state_behind(cfa);
        uint32_t victim = 0;
        if (unlikely(!memo->spine || memo->unusable) && !take_memory(memo))
                return STACK_MEMO_E_CANT;
        if (unlikely(memo->changing))
                stack_memo_reset(memo);
        stack_ranges_enter(&memo->ranges, cfa - 16);
        /* the spine's slots are all that is read of an earlier stack */
        if (unlikely(memo->n_spine && memo->spine[0].sp > memo->ranges.ranges[0].end))
                memo->n_spine = 0;
        memo->clock++;
        struct stack_branch *branch = find_branch(memo, &state, &victim);
        if (unlikely(!branch))
                return walk_anew(memo, namer, cfa, victim, nodep);
        branch->used_at = memo->clock;
        *nodep = branch->node;
        return 0;
}

void stack_memo_reset(struct stack_memo *memo) {
        memo->changing = 0;
        memo->n_spine = 0;
        memo->generation++;
}

void stack_memo_reset_thread(struct stack_memo *memo) {
        stack_memo_reset(memo);
        memo->unusable = false;
        memo->ranges = (struct stack_ranges){0};
}
