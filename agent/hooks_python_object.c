/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What CPython calls for each object that it makes or drops, from 3.13 on. It keeps dead floats, tuples, lists
 * and the like, and makes new ones of them without asking an allocator: such a block
 * gets the traceback of its new object, as in tracemalloc. Most objects lie in a block that the thread has just
 * got, and that says all.
 */

#include "agent/hooks.h"
#include "agent/python_settled.h"
#include "agent/recording.h"

#define EVENT_CREATE     0 /* PyRefTracer_CREATE */
/* What may lie before an object in its block: for the collector, and for its dict and weak references. */
#define HEADER_BYTES_MAX 32

static __attribute__((noinline)) void record_relabel(struct epoch *epoch, uintptr_t block, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        if (recording.room && recording_takes((const void *)block, 0))
                ring_put(&epoch->ring, recording.room | RING_KEEP_RESERVE, 2,
                         record_header(RECORD_RELABEL, 0, DOMAIN_INDEX_PYTHON, python_node_quick(epoch, PYTHON_OBJ)),
                         block, 0, 0);
        recording_end(epoch, recording);
}

int hooks_python_object(void *object, int event, void *data) {
        (void)data;
        if (event != EVENT_CREATE)
                return 0;
        if (likely((uintptr_t)object - thread_state.python_new <= HEADER_BYTES_MAX)) {
                thread_state.python_new = 0; /* what is made of it next is another */
                return 0;
        }
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_PYTHON);
        if (epoch && !thread_in_python(HOOK_CFA) && atomic_load_explicit(&epoch->takes_relabel, memory_order_relaxed))
                record_relabel(epoch, python_object_block((uintptr_t)object), HOOK_CFA);
        return 0;
}
