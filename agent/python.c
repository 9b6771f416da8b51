/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Finding a CPython, wrapping its allocators, deciding whether it is laid out as
 * we think. Runs in the thread that arms the agent, and later in hooks, one thread at a time (python.changing).
 */

#include "agent/python.h"

#include "agent/hooks.h"
#include "agent/object_symbol.h"
#include "agent/python_check.h"
#include "agent/python_settled.h"
#include "agent/state.h"
#include "agent/thread.h"

#include <string.h>

struct python python;
_Atomic uint32_t python_watch;

/* Bound by the loader before anything runs; where they are data, to the copy that an executable may have of them. */
extern void PyMem_SetAllocator(int kind, const void *allocator) __attribute__((weak));
extern char _PyRuntime __attribute__((weak));
extern char PyCode_Type __attribute__((weak));
extern char PyUnicode_Type __attribute__((weak));
extern char PyBytes_Type __attribute__((weak));
extern char pypy_execute_source __attribute__((weak)); /* PyPy's, for programs that embed it */

static enum python_state state_of(void) {
        return atomic_load_explicit(&python.state, memory_order_acquire);
}

/* Texts are put together by hand: snprintf is not ours to call in a hook. */
static void note_add(const char *text) {
        size_t used = strlen(python.note);
        for (; *text && used + 1 < sizeof python.note; text++)
                python.note[used++] = *text;
        python.note[used] = '\0';
}

static void note_number(unsigned number) {
        char digits[12];
        unsigned i = sizeof digits - 1;
        digits[i] = '\0';
        do
                digits[--i] = (char)('0' + number % 10);
        while ((number /= 10) != 0);
        note_add(digits + i);
}

static void note_version(void) {
        note_add("Python is traced as a native program: CPython ");
        note_number(python.version >> 24);
        note_add(".");
        note_number(python.version >> 16 & 255);
        note_add(".");
        note_number(python.version >> 8 & 255);
}

static void turn_off(void) {
        atomic_store(&python.untold, 1);
        atomic_store_explicit(&python.state, PYTHON_OFF, memory_order_release);
        agent_changed();
        agent_watch_python(false);
}

static uint32_t parse_version(const char *text) {
        uint32_t parts[3] = {0};
        for (unsigned i = 0; i < 3; i++) {
                while (*text >= '0' && *text <= '9')
                        parts[i] = parts[i] * 10 + (uint32_t)(*text++ - '0');
                if (*text++ != '.')
                        break;
        }
        return (parts[0] & 255) << 24 | (parts[1] & 255) << 16 | (parts[2] & 255) << 8;
}

static uint32_t find_version(const struct object *object) {
        const uint32_t *number = (const uint32_t *)object_symbol(object, "Py_Version");
        const char *(*text)(void) = (const char *(*)(void))object_symbol(object, "Py_GetVersion");

        return number ? *number : text ? parse_version(text()) : 0;
}

#define FIND(field, name)   (*(uintptr_t *)&api->field = object_symbol(object, name))
#define EITHER(a, fallback) ((uintptr_t)(a) ? (uintptr_t)(a) : (fallback))

static bool find_tracking(const struct object *object, struct python_api *api) {
        return FIND(track, "PyTraceMalloc_Track") && FIND(untrack, "PyTraceMalloc_Untrack");
}

/* Return: the name of one that is missing; NULL: all are there. */
static const char *find_api(const struct object *object, unsigned minor, struct python_api *api) {
        if (!FIND(get_allocator, "PyMem_GetAllocator") || !FIND(set_allocator, "PyMem_SetAllocator"))
                return "PyMem_SetAllocator";
        if (!FIND(thread_current, minor >= 13 ? "PyThreadState_GetUnchecked" : "_PyThreadState_UncheckedGet"))
                return "PyThreadState_GetUnchecked";
        if (!FIND(thread_of_caller, "PyGILState_GetThisThreadState"))
                return "PyGILState_GetThisThreadState";
        if (!FIND(is_initialized, "Py_IsInitialized"))
                return "Py_IsInitialized";
        if (!FIND(is_finalizing, "Py_IsFinalizing"))
                FIND(is_finalizing, "_Py_IsFinalizing");
        if (!FIND(code_line, "PyCode_Addr2Line"))
                return "PyCode_Addr2Line";
        if (!FIND(top_frame, "PyEval_GetFrame") || !FIND(frame_line, "PyFrame_GetLineNumber"))
                return "PyEval_GetFrame";
        if (!FIND(globals, "PyEval_GetGlobals"))
                return "PyEval_GetGlobals";
        if (!FIND(raw_malloc, "PyMem_RawMalloc") || !FIND(raw_free, "PyMem_RawFree"))
                return "PyMem_RawMalloc";
        FIND(frame_offset, "PyUnstable_InterpreterFrame_GetLasti");
        find_tracking(object, api);
        if (FIND(set_tracer, "PyRefTracer_SetTracer"))
                FIND(get_tracer, "PyRefTracer_GetTracer");
        FIND(type_flags, "PyType_GetFlags");
        api->code_type = EITHER(&PyCode_Type, object_symbol(object, "PyCode_Type"));
        api->text_type = EITHER(&PyUnicode_Type, object_symbol(object, "PyUnicode_Type"));
        api->bytes_type = EITHER(&PyBytes_Type, object_symbol(object, "PyBytes_Type"));
        return api->code_type && api->text_type && api->bytes_type ? NULL : "PyCode_Type";
}

/* A wrapper has the context of what it wraps: a thread that meets a struct of which half is written calls
 * the one or the other with what both understand. */
static void wrap(enum python_allocator_kind kind) {
        struct python_allocator old;
        python.api.get_allocator(kind, &old);
        struct python_allocator new = hooks_python_wrap(kind, old.context);
        if (old.malloc == new.malloc)
                return;
        python.next[kind] = old;
        atomic_thread_fence(memory_order_release);
        python.api.set_allocator(kind, &new);
}

static void install(void) {
        for (int kind = 0; kind < PYTHON_ALLOCATORS; kind++)
                wrap((enum python_allocator_kind)kind);
}

static bool begin_change(void) {
        return atomic_exchange(&python.changing, 1) == 0;
}

static void end_change(void) {
        atomic_store(&python.changing, 0);
}

static void found(const struct object *object, bool late) {
        const void *runtime = (const void *)EITHER(&_PyRuntime, object_symbol(object, "_PyRuntime"));
        python.version = find_version(object);
        int r = python_layout_find(python.version, runtime, &python.layout);
        note_version();
        /* A debug build may agree with its version's layout today (3.11 does); nobody has said that it will. */
        if (object_symbol(object, "_Py_NegativeRefcount")) {
                note_add(" is a debug build");
                turn_off();
                return;
        }
        if (r) {
                note_add(r == PYTHON_LAYOUT_E_VERSION         ? " is not one of 3.8 to 3.14"
                         : r == PYTHON_LAYOUT_E_FREE_THREADED ? " is built without a GIL"
                                                              : " does not say how it is laid out");
                turn_off();
                return;
        }
        const char *missing = find_api(object, python.layout.minor, &python.api);
        if (missing) {
                note_add(" lacks ");
                note_add(missing);
                turn_off();
                return;
        }
        python.late = late;
        atomic_store(&python.type_of_code, python.api.code_type);
        atomic_store_explicit(&python.state, PYTHON_PENDING, memory_order_release);
        install();
        agent_watch_python(true);
}

static bool is_library(const char *name) {
        const char *slash = strrchr(name, '/');
        return strncmp(slash ? slash + 1 : name, "libpython3", 10) == 0;
}

/* A stack passes through @object: is it a CPython? */
static void python_noticed(const struct object *object) {
        if (!python.wanted || state_of() != PYTHON_ABSENT || !is_library(object->name) || !begin_change())
                return;
        if (state_of() == PYTHON_ABSENT && object_symbol(object, "PyMem_SetAllocator"))
                found(object, true);
        end_change();
}

/* Extension modules, which are loaded later, find what the executable defines before what the agent does. A library's
 * comes after ours anyway. */
static void lead_tracking_to_us(const struct object *object) {
        if (object->name[0] != '\0' || !find_tracking(object, &python.api))
                return;
        object_symbol_redirect(object, "PyTraceMalloc_Untrack", (uintptr_t)hooks_untrack_python);
        object_symbol_redirect(object, "PyTraceMalloc_Track", (uintptr_t)hooks_track_python);
}

static void refuse_pypy(void) {
        note_add("Python is traced as a native program: PyPy's objects lie in a heap of its own");
        turn_off();
}

void python_setup(uint32_t domains) {
        struct object object;
        bool is_here = PyMem_SetAllocator && object_find((uintptr_t)PyMem_SetAllocator, &object);
        python.wanted = domains & DOMAIN_BIT_PYTHON;
        if (is_here && python.wanted)
                found(&object, false);
        if (is_here)
                lead_tracking_to_us(&object);
        else if (&pypy_execute_source && python.wanted)
                refuse_pypy();
        if (!python.wanted || is_here || state_of() == PYTHON_OFF)
                return;
        if (domains & DOMAIN_BIT_MALLOC)
                modules_noticed = python_noticed;
        else
                agent_watch_python(true);
}

/* Whether what the interpreter calls for raw memory comes to our wrapper, be it through another's. The guard of
 * thread_state.python is set. */
static bool raw_comes_to_us(void) {
        thread_state.python_probe = 1;
        void *block = python.api.raw_malloc(1);
        python.api.raw_free(block);
        if (thread_state.python_probe == 1)
                thread_state.python_probe = 0;
        return thread_state.python_probe != 0;
}

/* From 3.12 on, an interpreter that begins once more in the same process begins with allocators as they were
 * compiled in. */
void python_raw_free(void) {
        if (python.layout.minor < 12)
                return;
        if (likely(python.api.is_initialized())) {
                if (unlikely(!atomic_load_explicit(&python.begun, memory_order_relaxed)))
                        atomic_store(&python.begun, 1);
                return;
        }
        /* one that is still at its beginning has not ended */
        if (!atomic_load(&python.begun) || state_of() != PYTHON_ON || atomic_exchange(&python.ended, 1))
                return;
        agent_watch_python(true);
}

/* Objects that are made of memory which the interpreter had kept come through no allocator. There is one tracer: one
 * that is there already stays, and one that comes later may replace ours. */
static void trace_objects(void) {
        void *data;
        if (python.api.set_tracer && python.api.get_tracer && python.api.type_flags && !python.api.get_tracer(&data))
                python.api.set_tracer(hooks_python_object, NULL);
}

/* A thread that is attached to it: then this waits for nobody. Nothing is asked of the allocators, for this is within
 * any malloc(), also one of tracemalloc's with its lock held: that they are not ours is seen by wrap(). */
static void look_again(uintptr_t cfa) {
        if (!python.api.is_initialized() || !python.api.thread_current() || thread_state.python || !begin_change())
                return;
        thread_state.python = cfa;
        install();
        trace_objects();
        thread_state.python = 0;
        agent_watch_python(false);
        atomic_store(&python.ended, 0);
        end_change();
}

/* Allocators that were replaced before the interpreter had one object are wrapped again, whatever they are now. */
void python_look(struct epoch *epoch, uintptr_t cfa) {
        struct object object;
        if (atomic_load(&python.ended) && state_of() == PYTHON_ON)
                look_again(cfa);
        /* no stack is walked for domain malloc that could pass through a new library */
        if (state_of() == PYTHON_ABSENT && !epoch && object_find(*(const uintptr_t *)(cfa - 8), &object))
                python_noticed(&object);
        if (state_of() != PYTHON_PENDING || thread_state.python || thread_state.resolving ||
            atomic_load(&python.obj_used) || !python.api.is_initialized() || !begin_change())
                return;
        if (!atomic_load(&python.obj_used))
                install();
        end_change();
}

void python_used(void) {
        atomic_store_explicit(&python.obj_used, 1, memory_order_relaxed);
        if (atomic_load_explicit(&python_watch, memory_order_relaxed))
                agent_watch_python(false);
}

void python_check_now(void) {
        uintptr_t thread = (uintptr_t)python.api.thread_current();
        const char *what;
        if (!thread || (python.late && !python.api.is_initialized()) || !begin_change())
                return;
        /* found late, it may just have been starting, with its raw allocator put aside for that time */
        if (python.late && !raw_comes_to_us())
                wrap(PYTHON_RAW);
        enum python_check_result result = state_of() == PYTHON_PENDING
                                                  ? python_check(&python.api, &python.layout, thread, &what)
                                                  : PYTHON_CHECK_LATER;
        if (result == PYTHON_CHECK_GOOD) {
                atomic_store(&python.untold, 1);
                atomic_store_explicit(&python.state, PYTHON_ON, memory_order_release);
                trace_objects();
        } else if (result == PYTHON_CHECK_BAD) {
                note_add(" is built unlike others of its version: ");
                note_add(what);
                turn_off();
        }
        end_change();
}

/* Without the GIL (before 3.12: with it or not) only the thread's own entry will do; while the interpreter ends, that
 * one may be gone. */
uintptr_t python_own_thread(uintptr_t current) {
        if (current && python.layout.minor >= 12)
                return current;
        uintptr_t own = (uintptr_t)python.api.thread_of_caller();
        if (own && own != current && python.api.is_finalizing && python.api.is_finalizing())
                return 0;
        return own;
}

static struct python_codes *codes_of(struct epoch *epoch) {
        struct python_codes *codes = atomic_load_explicit(&epoch->python_codes, memory_order_acquire), *none = NULL;
        if (likely(codes != NULL))
                return codes;
        codes = python_codes_new(&epoch->definitions, &python.layout);
        /* of two threads that come here at once one makes what nobody uses */
        return codes && !atomic_compare_exchange_strong(&epoch->python_codes, &none, codes) ? none : codes;
}

/* The thread's stack, with names in @epoch's trie. */
static __attribute__((noinline)) struct python_stack *renamed_stack(struct thread *thread, struct epoch *epoch,
                                                                    uint32_t limit) {
        struct python_names names = {&epoch->trie, &epoch->definitions, codes_of(epoch), limit};
        if (!thread->python)
                thread->python = python_stack_new();
        if (!thread->python || !names.codes)
                return NULL;
        if (unlikely(limit - 1 >= 65535))
                names.limit = limit ? 65535 : 1;
        if (thread->python->changing || thread->python->names.trie != names.trie ||
            thread->python->names.limit != names.limit)
                python_stack_rename(thread->python, &names);
        return thread->python;
}

/* Sees to it that what python_settled.h says of a thread that has settled is true. The socket way has its turn after
 * each event. @version: read before anything was asked */
static void settle(struct epoch *epoch, struct python_stack *stack, uint64_t version) {
        if (version == 0 || agent_gate() != GATE_RECORDING || atomic_load(&current_epoch) != epoch || epoch->socket ||
            state_of() != PYTHON_ON || atomic_load(&python.untold) || !python_stack_is_valid(stack))
                return;
        thread_state.settled_epoch = epoch;
        thread_state.settled_stack = stack;
        atomic_signal_fence(memory_order_seq_cst);
        thread_state.settled = version;
}

static uint32_t find_node(struct epoch *epoch, enum python_allocator_kind kind) {
        uint64_t version = atomic_load(&process_page.version);
        uintptr_t state = likely(state_of() == PYTHON_ON) ? python_thread(kind) : 0;
        uintptr_t top = state ? python_layout_top(&python.layout, state) : 0;
        struct thread *thread = top ? thread_get() : NULL;
        if (!thread)
                return 0;
        struct python_stack *stack = thread->python;
        uint32_t limit = atomic_load_explicit(&epoch_control(epoch)->traceback_limit, memory_order_relaxed);
        /* an epoch's codes stay the same once there are any */
        if (unlikely(!stack) || unlikely(stack->changing) || unlikely(stack->names.trie != &epoch->trie) ||
            unlikely(stack->names.limit != limit))
                stack = renamed_stack(thread, epoch, limit);
        if (!stack)
                return 0;
        uint32_t node = python_stack_node(stack, &python.layout, state, top);
        settle(epoch, stack, version);
        return node;
}

uint32_t python_node(struct epoch *epoch, enum python_allocator_kind kind) {
        uint32_t node = find_node(epoch, kind);
        /* once, and nobody else may have a reason to; until then no thread settles */
        if (unlikely(atomic_load_explicit(&python.untold, memory_order_relaxed) != 0))
                agent_bring_files(epoch, true);
        return node;
}

/* CPython's flags of a type */
#define TYPE_HAS_PREHEADER (1UL << 3 | 1UL << 4) /* weak references, dict */
#define TYPE_HAS_GC        (1UL << 14)

uintptr_t python_object_block(uintptr_t object) {
        unsigned long flags = python.api.type_flags(python_word(object, PYTHON_OBJECT_TYPE));
        return object - (flags & TYPE_HAS_GC ? 16 : 0) - (flags & TYPE_HAS_PREHEADER ? 16 : 0);
}

void python_freeing(uintptr_t block) {
        struct epoch *epoch = atomic_load_explicit(&current_epoch, memory_order_acquire);
        struct python_codes *codes = epoch ? atomic_load_explicit(&epoch->python_codes, memory_order_acquire) : NULL;
        if (codes)
                python_codes_forget(codes, block);
        python_stack_code_freed();
        agent_changed();
}

void python_after_fork(struct epoch *epoch, const struct epoch *parent) {
        const struct python_codes *from = atomic_load(&parent->python_codes);
        struct python_codes *codes = from ? python_codes_new(&epoch->definitions, from->layout) : NULL;
        if (codes)
                python_codes_inherit(codes, from);
        atomic_store(&epoch->python_codes, codes);
}
