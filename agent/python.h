/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Python layer: a CPython in this process, found, its allocators wrapped, its
 * layout held against itself, and then believed.
 *
 *   ABSENT   no CPython yet
 *   PENDING  its allocators are wrapped and recorded; no frame has been seen yet that the layout could be checked with
 *   ON       blocks of its allocators are domain python, with Python frames
 *   OFF      another version, or a build that is not laid out as expected: it is traced as a native program
 *
 * It is found before main, or, where a library is loaded later, when a stack passes through that
 * library for the first time. Then its allocators may be in use already, and it may be about to
 * replace them (PYTHONMALLOC, -X dev): so until the check is made, python_look() looks whether ours are still there.
 */

#include "agent/epoch.h"
#include "agent/object.h"
#include "agent/python_layout.h"
#include "agent/thread.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct python_stack;

/* CPython's PyMemAllocatorDomain */
enum python_allocator_kind {
        PYTHON_RAW,
        PYTHON_MEM,
        PYTHON_OBJ,
        PYTHON_ALLOCATORS,
};

/* CPython's PyMemAllocatorEx */
struct python_allocator {
        void *context;
        void *(*malloc)(void *context, size_t size);
        void *(*calloc)(void *context, size_t count, size_t size);
        void *(*realloc)(void *context, void *block, size_t size);
        void (*free)(void *context, void *block);
};

/* CPython's functions and types. None of them allocates or takes the GIL. */
struct python_api {
        void (*get_allocator)(int kind, struct python_allocator *allocator);
        void (*set_allocator)(int kind, const struct python_allocator *allocator);
        void *(*thread_current)(void); /* who has the GIL; from 3.12 on the calling thread's, if attached */
        void *(*thread_of_caller)(void);
        int (*is_initialized)(void);
        int (*is_finalizing)(void); /* NULL: nobody knows */
        /* for the check */
        void *(*raw_malloc)(size_t size);
        void (*raw_free)(void *block);
        void *(*top_frame)(void); /* up to 3.10 */
        int (*frame_line)(void *frame);
        void *(*globals)(void);
        int (*code_line)(void *code, int offset);
        int (*frame_offset)(void *frame); /* from 3.12 on */
        uintptr_t code_type, text_type, bytes_type;
        int (*track)(unsigned int domain, uintptr_t address, size_t size); /* PyTraceMalloc_Track() */
        int (*untrack)(unsigned int domain, uintptr_t address);
        /* from 3.13 on */
        int (*set_tracer)(int (*tracer)(void *object, int event, void *data), void *data);
        void *(*get_tracer)(void **data);
        unsigned long (*type_flags)(uintptr_t type);
};

enum python_state {
        PYTHON_ABSENT,
        PYTHON_PENDING,
        PYTHON_ON,
        PYTHON_OFF,
};

struct python {
        _Atomic uint32_t state;    /* enum python_state */
        bool wanted;               /* domain python is among those configured */
        bool late;                 /* found when it was already running */
        _Atomic uint32_t changing; /* one thread finds, installs or checks */
        _Atomic uint32_t obj_used; /* a wrapped allocator was called after install */
        _Atomic uint32_t untold;   /* the daemon has not been told of the state yet */
        _Atomic uintptr_t type_of_code;
        _Atomic uint32_t begun; /* the interpreter was seen initialised */
        _Atomic uint32_t ended; /* the interpreter was finalised; it may begin once more */
        uint32_t version;
        char note[160]; /* why it is off; "" */
        struct python_layout layout;
        struct python_api api;
        struct python_allocator next[PYTHON_ALLOCATORS];
};

extern struct python python;

/* python_look() has something to look for. agent_watch_python() sets it. */
extern _Atomic uint32_t python_watch AGENT_HIDDEN;

/** python_setup() - look for a CPython among what the program begins with
 * @domains: DOMAIN_BIT_* of the configuration; once an image */
void python_setup(uint32_t domains);

/** python_look() - see python_watch; in a hook of malloc, before anything is recorded
 * @cfa: of the hook; its return address may be the first that is seen of a CPython */
void python_look(struct epoch *epoch, uintptr_t cfa);

/** python_used() - a wrapped mem or obj allocator was called, while the state is PENDING */
void python_used(void);

/** python_check_now() - in a wrapped mem or obj allocator, the guard set, while the state is PENDING: check, if there
 * is a frame yet */
void python_check_now(void);

/** python_own_thread() - the calling thread's state, whoever has the GIL; 0: it has none
 * @current: the state of who has the GIL */
uintptr_t python_own_thread(uintptr_t current);

/** python_node() - traceback of the calling thread's Python stack; 0: it has none
 * @kind: whose allocator is called; the guard is set. The thread has settled after it, where it can (python_settled.h)
 */
uint32_t python_node(struct epoch *epoch, enum python_allocator_kind kind);

/** python_raw_free() - a wrapped raw allocator is about to free something; notices that the interpreter has ended */
void python_raw_free(void);

/** python_object_block() - where the block of an object begins, from 3.13 on */
uintptr_t python_object_block(uintptr_t object);

/** python_freeing() - a wrapped obj allocator is about to free a block that looks like a code object */
void python_freeing(uintptr_t block);

/** python_after_fork() - in a child of fork that begins its own epoch */
void python_after_fork(struct epoch *epoch, const struct epoch *parent);

/** hooks_python_object() - a PyRefTracer: the calling thread, which has the GIL, made an object or is about to drop it
 * Return: 0. */
int hooks_python_object(void *object, int event, void *data);

/** hooks_python_wrap() - what wraps an allocator; @context: of the wrapped one */
struct python_allocator hooks_python_wrap(enum python_allocator_kind kind, void *context);
