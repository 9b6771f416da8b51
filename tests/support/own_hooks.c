/* SPDX-License-Identifier: Apache-2.0 */

/* A CPython extension that does what the agent does, beside it: allocators that wrap those that are there, from 3.13 on
 * a PyRefTracer; and calls of all three allocators at their edges, in threads of its own. Built for each CPython by
 * tests/system/test_python_own_hooks.py. */

#include <Python.h>

#include <pthread.h>

#define N_CALLBACKS 50
#define TOO_MUCH    ((size_t)PY_SSIZE_T_MAX)

/* Return: whether each answer was as documented. */
static PyObject *edges(PyObject *self, PyObject *none) {
        void *raw = PyMem_RawMalloc(1001), *mem = PyMem_Malloc(1002), *obj = PyObject_Malloc(1003);
        void *empty = PyMem_RawCalloc(3, 0), *empty_mem = PyMem_Malloc(0), *zeroed = PyObject_Calloc(7, 11);
        int right = raw && mem && obj && empty && empty_mem && zeroed && ((char *)zeroed)[76] == 0;
        memset(obj, 1, 1003);
        right &= !PyMem_RawMalloc(TOO_MUCH) && !PyObject_Malloc(TOO_MUCH + 1) && !PyMem_Calloc(TOO_MUCH / 2, 3);
        right &= !PyObject_Realloc(obj, TOO_MUCH) && ((char *)obj)[1002] == 1;
        raw = PyMem_RawRealloc(raw, 0);
        mem = PyMem_Realloc(mem, 300000);
        obj = PyObject_Realloc(obj, 10);
        right &= raw && mem && obj && ((char *)obj)[9] == 1;
        PyMem_RawFree(raw);
        PyMem_Free(mem);
        PyObject_Free(obj);
        PyMem_RawFree(empty);
        PyMem_Free(empty_mem);
        PyObject_Free(zeroed);
        PyMem_RawFree(NULL);
        PyMem_Free(NULL);
        PyObject_Free(PyObject_Realloc(NULL, 20));
        return PyBool_FromLong(right);
}

static void *call_back(void *callback) {
        for (int i = 0; i < N_CALLBACKS; i++) {
                void *block = PyMem_RawMalloc(400); /* without the GIL, without a thread state */
                PyGILState_STATE state = PyGILState_Ensure();
                PyObject *result = PyObject_CallFunction(callback, NULL);
                Py_XDECREF(result);
                Py_BEGIN_ALLOW_THREADS;
                PyMem_RawFree(block);
                Py_END_ALLOW_THREADS;
                PyGILState_Release(state);
        }
        return NULL;
}

/* From threads that Python did not make. */
static PyObject *threads(PyObject *self, PyObject *callback) {
        pthread_t made[4];
        Py_BEGIN_ALLOW_THREADS;
        for (int i = 0; i < 4; i++)
                pthread_create(&made[i], NULL, call_back, callback);
        for (int i = 0; i < 4; i++)
                pthread_join(made[i], NULL);
        Py_END_ALLOW_THREADS;
        Py_RETURN_NONE;
}

static PyMemAllocatorEx next[3];
static long calls[3];

static void *wrapped_malloc(void *kind, size_t size) {
        PyMemAllocatorEx *wrapped = &next[(size_t)kind];
        calls[(size_t)kind]++;
        return wrapped->malloc(wrapped->ctx, size);
}

static void *wrapped_calloc(void *kind, size_t count, size_t size) {
        PyMemAllocatorEx *wrapped = &next[(size_t)kind];
        calls[(size_t)kind]++;
        return wrapped->calloc(wrapped->ctx, count, size);
}

static void *wrapped_realloc(void *kind, void *block, size_t size) {
        PyMemAllocatorEx *wrapped = &next[(size_t)kind];
        return wrapped->realloc(wrapped->ctx, block, size);
}

static void wrapped_free(void *kind, void *block) {
        PyMemAllocatorEx *wrapped = &next[(size_t)kind];
        wrapped->free(wrapped->ctx, block);
}

static PyObject *wrap(PyObject *self, PyObject *none) {
        for (size_t kind = 0; kind < 3; kind++) {
                PyMemAllocatorEx own = {(void *)kind, wrapped_malloc, wrapped_calloc, wrapped_realloc, wrapped_free};
                PyMem_GetAllocator(kind, &next[kind]);
                PyMem_SetAllocator(kind, &own);
        }
        Py_RETURN_NONE;
}

/* Return: whether there were calls. */
static PyObject *unwrap(PyObject *self, PyObject *none) {
        for (int kind = 0; kind < 3; kind++)
                PyMem_SetAllocator(kind, &next[kind]);
        return PyBool_FromLong(calls[2] > 0);
}

#if PY_VERSION_HEX >= 0x030d0000
static long made, gone;

static int count(PyObject *object, PyRefTracerEvent event, void *data) {
        ++*(event == PyRefTracer_CREATE ? (long *)data : &gone);
        return 0;
}

static PyObject *set_tracer(PyObject *self, PyObject *none) {
        return PyBool_FromLong(PyRefTracer_SetTracer(count, &made) == 0);
}

static PyObject *drop_tracer(PyObject *self, PyObject *none) {
        return PyBool_FromLong(PyRefTracer_SetTracer(NULL, NULL) == 0);
}

/* Return: (whether it is the one that was set, objects made, objects gone) */
static PyObject *traced(PyObject *self, PyObject *none) {
        void *data = NULL;
        PyRefTracer tracer = PyRefTracer_GetTracer(&data);
        return Py_BuildValue("(Nll)", PyBool_FromLong(tracer == count && data == &made), made, gone);
}
#endif

static void *kept;

static PyObject *leak(PyObject *self, PyObject *none) {
        kept = PyMem_Malloc(100008);
        Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
        {"edges", edges, METH_NOARGS},
        {"leak", leak, METH_NOARGS},
        {"threads", threads, METH_O},
        {"wrap", wrap, METH_NOARGS},
        {"unwrap", unwrap, METH_NOARGS},
#if PY_VERSION_HEX >= 0x030d0000
        {"set_tracer", set_tracer, METH_NOARGS},
        {"drop_tracer", drop_tracer, METH_NOARGS},
        {"traced", traced, METH_NOARGS},
#endif
        {NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "own_hooks", NULL, -1, methods};

PyMODINIT_FUNC PyInit_own_hooks(void) {
        return PyModule_Create(&definition);
}
