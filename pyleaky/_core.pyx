"""The only extension that links src/: the row table as Python data, one ufunc per row, the path for any layout, and the
settings for ISA, threads and recycled memory.

Nothing here knows a formula or an argument's name; both come from src/activations.h.  A new row appears by itself.
"""
cimport numpy as cnp
from cpython.mem cimport PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF, PyObject
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset, strcat, strcpy, strlen

import contextvars
import math
import os
import sys
import threading
import warnings
from typing import NamedTuple

import numpy as np

cdef extern from *:
    """
    #if defined(__GNUC__) && !defined(__clang__)
    #pragma GCC optimize("Os") /* of this file alone, which has no loop over elements, not of those in src/ */
    #endif
    """

cdef extern from "leaky.h":
    enum:
        LEAKY_ROWS
        LEAKY_DTYPES
        LEAKY_ISAS
        LEAKY_MAX_INPUTS
        LEAKY_F16
        LEAKY_BF16
        LEAKY_F32
        LEAKY_F64
    enum leaky_isa:
        pass
    enum leaky_row:
        pass
    enum leaky_dtype:
        pass
    double LEAKY_SELU_SCALE
    double LEAKY_SELU_A
    struct leaky_row_info:
        const char *name
        int inputs, parameters
        const char *names
        const char *formula
    struct leaky_entry:
        pass
    const leaky_row_info leaky_rows[]
    const leaky_entry leaky_entries[2][LEAKY_ROWS][LEAKY_DTYPES]
    const char *leaky_isa_names[]
    bint leaky_isa_supported(leaky_isa) nogil
    leaky_isa leaky_isa_in_use() nogil
    int leaky_use_isa(const char *) nogil
    int leaky_choose_isa() nogil
    enum:
        LEAKY_MAX_THREADS
    int leaky_get_threads() nogil
    int leaky_limit_threads(int) nogil
    void leaky_set_threads(int) nogil
    struct leaky_environment:
        pass
    void leaky_enter(leaky_environment *) nogil
    void leaky_leave(const leaky_environment *) nogil
    double leaky_scale(double, int) nogil
    void leaky_round_number(double, leaky_dtype, void *) nogil
    enum:
        LEAKY_MAX_DIMS
    struct leaky_axis:
        ptrdiff_t size
        ptrdiff_t steps[LEAKY_MAX_INPUTS + 1]
    void leaky_run_layout(char **, int, const leaky_axis *, const leaky_entry *) nogil
    struct leaky_memory_info:
        size_t limit, cached, blocks, hits, misses
    void *leaky_memory_take(size_t) nogil
    void *leaky_memory_take_zeros(size_t, size_t) nogil
    void *leaky_memory_resize(void *, size_t) nogil
    void leaky_memory_give(void *) nogil
    void leaky_memory_clear() nogil
    void leaky_memory_set_limit(size_t) nogil
    leaky_memory_info get_memory_info "leaky_memory_info"() nogil
    long long leaky_cost(const leaky_entry *, ptrdiff_t) nogil
    struct leaky_random:
        const char *in_ "in"[2]
        char *out
        uint64_t seed, start, stream
        double p, lower, upper
    int leaky_run_prelu_backward(leaky_dtype, const char *, const char *, const char *, char *, double *,
                                 const ptrdiff_t *, int) nogil
    void leaky_run_prelu_backward_each(leaky_dtype, const char *, const char *, const char *, char *, char *,
                                       ptrdiff_t) nogil
    int leaky_run_prelu_backward_number(leaky_dtype, const char *, const char *, double, char *, double *,
                                        ptrdiff_t) nogil
    enum leaky_activation:
        pass
    struct leaky_bias_act:
        const char *x
        const char *bias
        char *y
        unsigned char *mask
        ptrdiff_t channels, inner
        double slope, gain, clamp
    struct leaky_gradients:
        const char *grad
        const char *x
        const char *parameter
        char *dx
        ptrdiff_t outer, channels, inner
        const char *output
        const char *gg
        const unsigned char *mask
        double slope, gain, clamp
    int leaky_run_bias_act(leaky_activation, leaky_dtype, const leaky_bias_act *, ptrdiff_t) nogil
    int leaky_run_bias_act_backward(leaky_activation, leaky_dtype, const leaky_gradients *, double *) nogil
    double leaky_largest_below(double, leaky_dtype) nogil
    void leaky_run_masked(int, leaky_dtype, const char *, char *, unsigned char *, ptrdiff_t, double) nogil
    void leaky_run_random(int, leaky_dtype, const leaky_random *, int, const ptrdiff_t *, const uint64_t *) nogil
    enum:
        LEAKY_DROPOUT
        LEAKY_MOST_THRESHOLDS
    enum leaky_norm:
        pass
    int leaky_run_norm(leaky_norm, leaky_dtype, const char *, ptrdiff_t, double *, int *) nogil
    int leaky_add_units(leaky_dtype, const char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const double *, int, int64_t *,
                        double *) nogil
    void leaky_add_mask(const unsigned char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int64_t *) nogil
    void leaky_run(char **, const ptrdiff_t *, const ptrdiff_t *, void *) noexcept nogil
    void leaky_run_number(char **, ptrdiff_t, ptrdiff_t *, leaky_row, leaky_dtype, double) noexcept nogil

cdef extern from "numpy/ufuncobject.h":
    ctypedef void (*PyUFuncGenericFunction)(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    enum:
        PyUFunc_None
    object PyUFunc_FromFuncAndData(PyUFuncGenericFunction *func, void *const *data, const char *types, int ntypes,
                                   int nin, int nout, int identity, const char *name, const char *doc, int unused)
    int PyUFunc_RegisterLoopForType(cnp.ufunc ufunc, int usertype, PyUFuncGenericFunction function,
                                    const int *arg_types, void *data) except -1
    int PyUFunc_AddPromoter(object ufunc, object dtypes, object promoter) except -1

cdef extern from "numpy/arrayobject.h":
    enum:
        NPY_HALF
    ctypedef struct PyArray_DTypeMeta:
        int type_num
    PyArray_DTypeMeta PyArray_HalfDType
    PyArray_DTypeMeta PyArray_FloatDType
    PyArray_DTypeMeta PyArray_DoubleDType
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *ctx, size_t size) noexcept nogil
        void *(*calloc)(void *ctx, size_t count, size_t size) noexcept nogil
        void *(*realloc)(void *ctx, void *data, size_t size) noexcept nogil
        void (*free)(void *ctx, void *data, size_t size) noexcept nogil
    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator
    PyObject *PyDataMem_DefaultHandler
    object PyDataMem_GetHandler()
    object PyDataMem_SetHandler(object handler)
    cnp.NpyIter *new_iterator "NpyIter_MultiNew"(cnp.npy_intp, void *, cnp.npy_uint32, cnp.NPY_ORDER, cnp.NPY_CASTING,
                                                 cnp.npy_uint32 *, void *) except NULL
    void *operand_arrays "NpyIter_GetOperandArray"(cnp.NpyIter *) noexcept
    PyArray_DTypeMeta *PyArray_PromoteDTypeSequence(cnp.npy_intp length, PyArray_DTypeMeta **dtypes) except NULL

cnp.import_array()
cnp.import_ufunc()


cdef void enter_environment(environment *caller) noexcept nogil:
    leaky_enter(<leaky_environment *>caller)


cdef void leave_environment(const environment *caller) noexcept nogil:
    leaky_leave(<const leaky_environment *>caller)


cdef class default_environment:
    """
    Context manager for what is computed outside of src/: the default floating-point environment, without warnings.

    Rounding is to nearest, subnormals are kept, and NumPy ignores every floating-point error.  At the end the caller
    finds its own environment again, flags included.  Each use takes a new object; uses may be nested.  No ``yield`` and
    no ``await`` inside: the code that runs meanwhile would share the environment.
    """

    def __enter__(self):
        if self.errstate is not None:
            raise RuntimeError("a default_environment cannot be entered twice; make one for each use")
        errstate = np.errstate(all="ignore")
        errstate.__enter__()
        self.errstate = errstate
        enter_environment(&self.caller)
        return self

    def __exit__(self, *exception):
        leave_environment(&self.caller)
        errstate, self.errstate = self.errstate, None
        errstate.__exit__(*exception)


# NumPy's number for bfloat16, once ml_dtypes has been seen.
cdef int bfloat16 = -1


cdef int dtype_of(int typenum) noexcept nogil:
    if typenum == cnp.NPY_FLOAT:
        return LEAKY_F32
    if typenum == cnp.NPY_DOUBLE:
        return LEAKY_F64
    if typenum == NPY_HALF:
        return LEAKY_F16
    return LEAKY_BF16 if typenum == bfloat16 and typenum != -1 else -1


# Releasing the GIL costs some 50 ns where no other thread wants it, and some microseconds where one does: eight
# threads that call leaky_relu on 16K elements at once, 1.3 us each, got half of one's work done.
cdef enum:
    RELEASE_GIL_FROM = 10000  # nanoseconds


# Nor is a call shared that is cheaper than this, whichever row's cost it is estimated by.
cdef enum:
    KEEP_LIMIT_FROM = 500


cdef bint is_long(int row, int dtype, ptrdiff_t n) noexcept:
    cdef long long cost = leaky_cost(&leaky_entries[1][row][dtype], n)
    if cost >= KEEP_LIMIT_FROM:
        keep_limit()
    return cost >= RELEASE_GIL_FROM


# The limits that are entered, the innermost last: num_threads objects.  Each thread and each asyncio task has its own
# context, so that no other one sees them.
_limits = contextvars.ContextVar("pyleaky.num_threads", default=())
cdef bint has_limits = False  # whether there has ever been one


cdef void keep_limit() noexcept:
    # The C core knows threads, not contexts, of which a thread may have one after the other.
    if has_limits:
        limits = _limits.get()
        leaky_limit_threads(limits[-1]._count if limits else 0)


cdef void run(int row, int dtype, char **args, ptrdiff_t n, const ptrdiff_t *steps) noexcept nogil:
    leaky_run(args, &n, steps, <void *>&leaky_entries[1][row][dtype])


cdef void run_channels(int row, int dtype, char **args, ptrdiff_t outer, ptrdiff_t channels,
                       ptrdiff_t inner) noexcept nogil:
    cdef leaky_axis axes[3]
    cdef int inputs = leaky_rows[row].inputs, k, d, dims = 0
    if outer == 0 or channels == 0 or inner == 0:  # the product of the other two may be too large
        return
    cdef ptrdiff_t step = 8 if dtype == LEAKY_F64 else 4 if dtype == LEAKY_F32 else 2, size = step
    cdef ptrdiff_t[3] sizes = [inner, channels, outer]
    # An axis of one element would come between others that can be gone through as one.
    for d in range(3):
        if sizes[d] != 1 or (d == 2 and dims == 0):
            axes[dims].size = sizes[d]
            for k in range(inputs + 1):
                axes[dims].steps[k] = step
            axes[dims].steps[inputs - 1] = size if d == 1 else 0
            dims += 1
            step *= sizes[d]
    leaky_run_layout(args, dims, axes, &leaky_entries[0][row][dtype])


cdef void run_number(int row, int dtype, char **args, ptrdiff_t n, ptrdiff_t *steps, double number) noexcept nogil:
    leaky_run_number(args, n, steps, <leaky_row>row, <leaky_dtype>dtype, number)


cdef void run_masked(int kernel, int dtype, const char *values, char *out, unsigned char *mask, ptrdiff_t n,
                     double slope) noexcept nogil:
    leaky_run_masked(kernel, <leaky_dtype>dtype, values, out, mask, n, slope)


cdef int run_prelu_backward(int dtype, const char *grad, const char *x, const char *weight, double number, char *dx,
                            double *weight_grad, const ptrdiff_t *groups, int count) noexcept nogil:
    if count == 1:
        return leaky_run_prelu_backward_number(<leaky_dtype>dtype, grad, x, number, dx, weight_grad, groups[0])
    return leaky_run_prelu_backward(<leaky_dtype>dtype, grad, x, weight, dx, weight_grad, groups, count)


cdef void run_prelu_backward_each(int dtype, const char *grad, const char *x, const char *weight, char *dx,
                                  char *weight_grad, ptrdiff_t n) noexcept nogil:
    leaky_run_prelu_backward_each(<leaky_dtype>dtype, grad, x, weight, dx, weight_grad, n)


cdef void run_random(int kernel, int dtype, const char *first, const char *second, char *out, int dims,
                     const ptrdiff_t *shape, const uint64_t *strides, uint64_t seed, uint64_t start, double a,
                     double b) noexcept nogil:
    # a and b are dropout's p and nothing, or rrelu's lower and upper.
    cdef leaky_random call
    call.in_[0] = first
    call.in_[1] = second
    call.out = out
    call.seed = seed
    call.start = start
    call.stream = 0 if kernel == LEAKY_DROPOUT else 1
    call.p = call.lower = a
    call.upper = b
    leaky_run_random(kernel, <leaky_dtype>dtype, &call, dims, shape, strides)


cdef int run_bias_act(int activation, int dtype, const char *x, const char *bias, char *y, unsigned char *mask,
                      ptrdiff_t n, ptrdiff_t channels, ptrdiff_t inner, double slope, double gain,
                      double clamp) noexcept nogil:
    cdef leaky_bias_act call
    memset(&call, 0, sizeof(call))
    call.x = x
    call.bias = bias
    call.y = y
    call.mask = mask
    call.channels = channels
    call.inner = inner
    call.slope = slope
    call.gain = gain
    call.clamp = clamp
    return leaky_run_bias_act(<leaky_activation>activation, <leaky_dtype>dtype, &call, n)


cdef int run_bias_act_backward(int activation, int dtype, const char *gg, const char *grad, const char *x,
                               const char *output, const unsigned char *mask, const char *bias, char *dx,
                               double *bias_grad, ptrdiff_t outer, ptrdiff_t channels, ptrdiff_t inner, double slope,
                               double gain, double clamp) noexcept nogil:
    cdef leaky_gradients call
    memset(&call, 0, sizeof(call))
    call.gg = gg
    call.grad = grad
    call.x = x
    call.output = output
    call.mask = mask
    call.parameter = bias
    call.dx = dx
    call.outer = outer
    call.channels = channels
    call.inner = inner
    call.slope = slope
    call.gain = gain
    call.clamp = clamp
    return leaky_run_bias_act_backward(<leaky_activation>activation, <leaky_dtype>dtype, &call, bias_grad)


def largest_below(number, dtype):
    """The largest number that an array of this dtype, when it is stored there, still holds below `number`."""
    return leaky_largest_below(number, <leaky_dtype>dtype_of(np.dtype(dtype).num))


# ---------------------------------------------------------------------------------------------- large results

cdef void *_take(void *context, size_t size) noexcept nogil:
    return leaky_memory_take(size)


cdef void *_take_zeros(void *context, size_t count, size_t size) noexcept nogil:
    return leaky_memory_take_zeros(count, size)


cdef void *_resize(void *context, void *data, size_t size) noexcept nogil:
    return leaky_memory_resize(data, size)


cdef void _give(void *context, void *data, size_t size) noexcept nogil:
    leaky_memory_give(data)


cdef PyDataMem_Handler _handler
strcpy(_handler.name, "pyleaky")
_handler.version = 1
_handler.allocator = PyDataMemAllocator(NULL, _take, _take_zeros, _resize, _give)
cdef object _recycling = PyCapsule_New(&_handler, "mem_handler", NULL)


cdef object _swap_handler(ptrdiff_t size):
    # NumPy's allocator for large results becomes ours, unless the user has chosen another; what was there is returned.
    if size < RECYCLE_FROM:
        return None
    current = PyDataMem_GetHandler()
    return PyDataMem_SetHandler(_recycling) if <PyObject *>current == PyDataMem_DefaultHandler else None


cdef cnp.ndarray empty(int ndim, cnp.npy_intp *shape, int typenum, bint fortran, ptrdiff_t size):
    before = _swap_handler(size)
    if before is None:
        return cnp.PyArray_EMPTY(ndim, shape, typenum, fortran)
    try:
        return cnp.PyArray_EMPTY(ndim, shape, typenum, fortran)
    finally:
        PyDataMem_SetHandler(before)


# ---------------------------------------------------------------------------------------------- rows

class Row(NamedTuple):
    """One row of the table in src/activations.h."""

    name: str
    inputs: tuple[str, ...]
    parameters: int
    formula: str


cdef int _promote_integers(object ufunc, PyArray_DTypeMeta **given, PyArray_DTypeMeta **signature,
                           PyArray_DTypeMeta **chosen) except -1:
    # Small integers fit a half type or float32, so NumPy would compute in it; here every integer gives float64, unless
    # a floating array stands beside it (NumPy's own promotion) or the caller has asked for a dtype.
    cdef int k, other, typenum, inputs = ufunc.nin, arrays = inputs - ufunc.__name__.endswith("_number")
    cdef PyArray_DTypeMeta *dtype = &PyArray_DoubleDType
    if signature[inputs] != NULL:
        dtype = signature[inputs]
    else:
        for k in range(arrays):
            if dtype_of(given[k].type_num) >= 0:
                try:
                    dtype = PyArray_PromoteDTypeSequence(arrays, given)
                except TypeError:  # bfloat16 has no common dtype with float16 and with integers of 16 bits and more
                    dtype = &PyArray_FloatDType
                    for other in range(arrays):
                        typenum = given[other].type_num
                        if cnp.NPY_INT <= typenum <= cnp.NPY_DOUBLE and typenum != cnp.NPY_FLOAT:
                            dtype = &PyArray_DoubleDType
                break
    for k in range(inputs + 1):
        chosen[k] = dtype
        if arrays <= k < inputs and dtype.type_num != cnp.NPY_DOUBLE:
            chosen[k] = &PyArray_FloatDType
        Py_INCREF(<object>chosen[k])
    return 0


cdef object _make_ufunc(int row, bint numbers, object promoter):
    # The ufunc keeps these pointers, and it lives as long as the process.  bfloat16 comes with see_ml_dtypes.
    cdef const leaky_row_info *info = &leaky_rows[row]
    cdef int operands = info.inputs + 1, arrays = info.inputs - info.parameters, k, loop = 0
    cdef PyUFuncGenericFunction *loops
    loops = <PyUFuncGenericFunction *>PyMem_Malloc(LEAKY_DTYPES * sizeof(PyUFuncGenericFunction))
    cdef void **data = <void **>PyMem_Malloc(LEAKY_DTYPES * sizeof(void *))
    cdef char *types = <char *>PyMem_Malloc(LEAKY_DTYPES * operands)
    cdef char *name = <char *>PyMem_Malloc(strlen(info.name) + sizeof("_number"))
    if loops == NULL or data == NULL or types == NULL or name == NULL:
        raise MemoryError
    strcpy(name, info.name)
    if numbers:
        strcat(name, "_number")
    for dtype, typenum in ((LEAKY_F16, NPY_HALF), (LEAKY_F32, cnp.NPY_FLOAT), (LEAKY_F64, cnp.NPY_DOUBLE)):
        loops[loop] = <PyUFuncGenericFunction>leaky_run
        data[loop] = <void *>&leaky_entries[numbers][row][<int>dtype]
        for k in range(operands):
            is_number = numbers and arrays <= k < info.inputs
            types[loop * operands + k] = <char>(cnp.NPY_FLOAT if is_number and dtype == LEAKY_F16 else typenum)
        loop += 1
    ufunc = PyUFunc_FromFuncAndData(loops, data, types, loop, info.inputs, 1, PyUFunc_None, name, info.formula, 0)
    for integer in (np.bool, np.int8, np.uint8, np.int16, np.uint16):
        PyUFunc_AddPromoter(ufunc, (type(np.dtype(integer)), *(np.dtype,) * (info.inputs - 1), None), promoter)
    return ufunc


# The names that formulas use beside their inputs.
CONSTANTS = {"LEAKY_SELU_SCALE": LEAKY_SELU_SCALE, "LEAKY_SELU_A": LEAKY_SELU_A}

ROWS = {}
_INDEX = {}
DTYPES = ("float16", "bfloat16", "float32", "float64")

# Each ufunc is an attribute under its own name: that is how a ufunc pickles.  A row with a parameter has a second one,
# NAME_number, for a number that keeps its float32 beside half types.
_promoter = PyCapsule_New(<void *>_promote_integers, "numpy._ufunc_promoter", NULL)
for _row in range(LEAKY_ROWS):
    _name = leaky_rows[_row].name.decode()
    ROWS[_name] = Row(
        _name,
        tuple(leaky_rows[_row].names.decode().strip("()").split(", ")),
        leaky_rows[_row].parameters,
        leaky_rows[_row].formula.decode(),
    )
    _INDEX[_name] = _row
    globals()[_name] = _make_ufunc(_row, False, _promoter)
    if leaky_rows[_row].parameters:
        globals()[_name + "_number"] = _make_ufunc(_row, True, _promoter)


def _make_lock():
    global _registering
    _registering = threading.Lock()


_make_lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_make_lock)  # the thread that had it may not be in the child


def see_ml_dtypes():
    """Give every ufunc its bfloat16 loops once ml_dtypes has been imported, by whomever.

    To be called before a ufunc could see a bfloat16 array: NumPy keeps the loop that it has once found for a dtype.
    """
    if bfloat16 != -1 or "ml_dtypes" not in sys.modules:  # without a lock, unlike get, where there is no GIL
        return
    scalar = getattr(sys.modules.get("ml_dtypes"), "bfloat16", None)
    if scalar is None:
        return
    with _registering:
        if bfloat16 == -1:
            _register_bfloat16(np.dtype(scalar).num)


cdef _register_bfloat16(int typenum):
    global bfloat16
    cdef int types[LEAKY_MAX_INPUTS + 1]
    cdef int row, numbers, k
    for row, name in enumerate(ROWS):
        for numbers in range(1 + (leaky_rows[row].parameters > 0)):
            for k in range(leaky_rows[row].inputs + 1):
                types[k] = typenum
            if numbers:
                types[leaky_rows[row].inputs - 1] = cnp.NPY_FLOAT
            PyUFunc_RegisterLoopForType(
                globals()[name + "_number" * numbers], typenum, <PyUFuncGenericFunction>leaky_run, types,
                <void *>&leaky_entries[numbers][row][<int>LEAKY_BF16],
            )
    bfloat16 = typenum


def result_dtype(name, given, bint number, dtype=None, out=None):
    """
    What NumPy's rules make of a row: the dtype that it computes in and, without `out`, has as a result.

    given has, for each array, its dtype, or int or float for a Python number; `number` tells whether a parameter
    follows that has no say.  dtype and out are the dtypes of those arguments.
    """
    see_ml_dtypes()
    given = [*given]
    signature = [None] * len(given) + [dtype]
    if number:
        given.append(given[0])
        signature.insert(0, None)
        if dtype == np.float16:  # one dtype for every operand would leave the number none of its own
            signature[:] = *[dtype] * (len(given) - 1), np.dtype(np.float32), dtype
    return globals()[name + "_number" * number].resolve_dtypes((*given, out), signature=tuple(signature))[-1]


def supports(dtype):
    """Whether kernels exist for a numpy.dtype, in whichever byte order."""
    see_ml_dtypes()
    return dtype_of(dtype.num) >= 0


# ---------------------------------------------------------------------------------------------- any layout

cdef inline bint _is_tame(object value, int typenum) noexcept:
    return (
        cnp.PyArray_CheckExact(value)
        and cnp.PyArray_TYPE(<cnp.ndarray>value) == typenum
        and cnp.PyArray_NDIM(<cnp.ndarray>value) > 0
        and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>value)
    )


def iterate(str name, list values, out):
    """
    Run a row on ndarrays of one native dtype in any layout, broadcast against each other, shared among threads.

    A parameter is an array like the others or a float.  None where something is not for this path, or wrong: then the
    ufunc has the word.
    """
    cdef int row = _INDEX[name], inputs = leaky_rows[row].inputs, arrays = inputs, typenum, dtype, dims, d, k
    cdef bint numbers = isinstance(values[inputs - 1], float)
    cdef cnp.NpyIter *iterator
    cdef PyObject *operands[LEAKY_MAX_INPUTS + 1]
    cdef PyObject *descriptors[LEAKY_MAX_INPUTS + 1]
    cdef cnp.npy_uint32 flags[LEAKY_MAX_INPUTS + 1]
    cdef cnp.npy_intp shape[LEAKY_MAX_DIMS]
    cdef cnp.npy_intp *steps
    cdef leaky_axis axes[LEAKY_MAX_DIMS]
    cdef char *args[LEAKY_MAX_INPUTS + 1]
    cdef ptrdiff_t largest = 0
    cdef double number

    keep_limit()  # also for the ufunc
    if not isinstance(values[0], np.ndarray):
        return None
    typenum = cnp.PyArray_TYPE(<cnp.ndarray>values[0])
    dtype = dtype_of(typenum)
    arrays -= numbers
    if dtype < 0 or (out is not None and not (_is_tame(out, typenum) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out))):
        return None
    for k in range(arrays):
        if not _is_tame(values[k], typenum):
            return None
        operands[k] = <PyObject *>values[k]
        descriptors[k] = NULL
        flags[k] = cnp.NPY_ITER_READONLY | cnp.NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE
        largest = max(largest, cnp.PyArray_NBYTES(<cnp.ndarray>values[k]))
    operands[arrays] = NULL if out is None else <PyObject *>out
    descriptors[arrays] = <PyObject *>cnp.PyArray_DESCR(<cnp.ndarray>values[0])
    flags[arrays] = (
        cnp.NPY_ITER_WRITEONLY | cnp.NPY_ITER_ALLOCATE | cnp.NPY_ITER_NO_SUBTYPE | cnp.NPY_ITER_NO_BROADCAST
        | cnp.NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE
    )

    # NumPy's iterator broadcasts, allocates, copies what overlaps, orders the axes by their steps and joins them.
    before = None if out is not None else _swap_handler(largest)
    try:
        iterator = new_iterator(
            arrays + 1, <void *>operands, cnp.NPY_ITER_ZEROSIZE_OK | cnp.NPY_ITER_COPY_IF_OVERLAP, cnp.NPY_KEEPORDER,
            cnp.NPY_NO_CASTING, flags, <void *>descriptors,
        )
    except (TypeError, ValueError):
        return None
    finally:
        if before is not None:
            PyDataMem_SetHandler(before)
    result = <object>(<PyObject **>operand_arrays(iterator))[arrays] if out is None else out
    try:
        if cnp.NpyIter_GetIterSize(iterator):
            dims = cnp.NpyIter_GetNDim(iterator)
            cnp.NpyIter_GetShape(iterator, shape)
            for d in range(dims):
                steps = cnp.NpyIter_GetAxisStrideArray(iterator, d)
                axes[d].size = shape[d]
                for k in range(arrays):
                    axes[d].steps[k] = steps[k]
                axes[d].steps[inputs] = steps[arrays]
                if numbers:
                    axes[d].steps[arrays] = 0
            for k in range(arrays):
                args[k] = cnp.NpyIter_GetInitialDataPtrArray(iterator)[k]
            args[inputs] = cnp.NpyIter_GetInitialDataPtrArray(iterator)[arrays]
            if numbers:
                leaky_round_number(<double>values[arrays], <leaky_dtype>dtype, &number)
                args[arrays] = <char *>&number
            with nogil:
                leaky_run_layout(args, dims, axes, &leaky_entries[numbers][row][dtype])
    finally:
        cnp.NpyIter_Deallocate(iterator)
    return result


# ---------------------------------------------------------------------------------------------- reductions

cdef int run_norm(int kind, int dtype, const char *x, ptrdiff_t n, double *value, int *exponent) noexcept nogil:
    return leaky_run_norm(<leaky_norm>kind, <leaky_dtype>dtype, x, n, value, exponent)


cdef double scale(double number, int exponent) noexcept nogil:
    return leaky_scale(number, exponent)


cdef cnp.ndarray _block(object value, bint fortran):
    # An array as it is where its elements follow upon each other in memory (in Fortran's order too, if that will do).
    cdef cnp.ndarray array = value
    if dtype_of(cnp.PyArray_TYPE(array)) < 0 and not supports(array.dtype):
        raise TypeError(f"array must be of one of {', '.join(DTYPES)}, got {array.dtype}")
    if cnp.PyArray_ISBEHAVED_RO(array) and (
        cnp.PyArray_IS_C_CONTIGUOUS(array) or (fortran and cnp.PyArray_IS_F_CONTIGUOUS(array))
    ):
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C")


cdef (Py_ssize_t, Py_ssize_t) _extent(cnp.ndarray array) noexcept:
    cdef Py_ssize_t low = <Py_ssize_t>cnp.PyArray_DATA(array), high = low + cnp.PyArray_ITEMSIZE(array), reach
    cdef int d
    for d in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_DIM(array, d) == 0:
            return low, low
        reach = (cnp.PyArray_DIM(array, d) - 1) * cnp.PyArray_STRIDE(array, d)
        if reach < 0:
            low += reach
        else:
            high += reach
    return low, high


def extent(cnp.ndarray array not None):
    """The addresses of an array's first byte and of the one after its last; the same twice where it has no element."""
    return _extent(array)


cdef bint are_apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef (Py_ssize_t, Py_ssize_t) first = _extent(a), second = _extent(b)
    return first[1] <= second[0] or second[1] <= first[0] or first[0] == first[1] or second[0] == second[1]


def norm(value, int kind):
    """
    The norm of an array as (number, exponent), which stands for number * 2^exponent: float64 need not hold it.

    kind 0 is the largest magnitude, 1 the sum of the magnitudes, 2 the root of the sum of the squares.  One read of the
    array, which is copied where its elements lie apart; the same bits for every ISA and number of threads.
    """
    cdef cnp.ndarray array = _block(value, True)
    cdef int dtype = dtype_of(cnp.PyArray_TYPE(array)), exponent = 0, status
    cdef ptrdiff_t n = cnp.PyArray_SIZE(array)
    cdef const char *x = <const char *>cnp.PyArray_DATA(array)
    cdef double number = 0
    if is_long(0, dtype, n):
        with nogil:
            status = run_norm(kind, dtype, x, n, &number, &exponent)
    else:
        status = run_norm(kind, dtype, x, n, &number, &exponent)
    if status:
        raise MemoryError
    return number, exponent


cdef void *_data(cnp.ndarray array, int dtype, int dims, str name) except NULL:
    """Of an array that is as the core takes it.  (Typed memoryviews would double what Cython writes for this file.)"""
    if cnp.PyArray_TYPE(array) != dtype or cnp.PyArray_NDIM(array) != dims or not cnp.PyArray_IS_C_CONTIGUOUS(array):
        raise ValueError(
            f"{name} must be a C-contiguous array of {cnp.PyArray_DescrFromType(dtype)} with {dims} axes, "
            f"it is of {array.dtype} with shape {(<object>array).shape} and strides {(<object>array).strides}"
        )
    return cnp.PyArray_DATA(array)


def add_unit_statistics(
    value, int axis, cnp.ndarray thresholds not None, cnp.ndarray counts not None, cnp.ndarray moments not None
):
    """
    Add to counts[t, unit] how many elements are above thresholds[t], and to moments their sum and sum of squares.

    The units lie along `axis`, which is not negative; NaN is above nothing.
    """
    cdef cnp.ndarray array = _block(value, False)
    cdef int dtype = dtype_of(cnp.PyArray_TYPE(array)), count = <int>cnp.PyArray_SIZE(thresholds), status, d
    cdef ptrdiff_t outer = 1, inner = 1, channels = cnp.PyArray_DIM(array, axis)
    cdef const char *x = <const char *>cnp.PyArray_DATA(array)
    cdef double *above = <double *>_data(thresholds, cnp.NPY_DOUBLE, 1, "thresholds")
    cdef int64_t *counted = <int64_t *>_data(counts, cnp.NPY_INT64, 2, "counts")
    cdef double *summed = <double *>_data(moments, cnp.NPY_DOUBLE, 2, "moments")
    if not 1 <= count <= LEAKY_MOST_THRESHOLDS or counts.shape[0] != count or moments.shape[0] != 2:
        raise ValueError(
            f"thresholds has {count} elements, of 1 to {LEAKY_MOST_THRESHOLDS}; counts has {counts.shape[0]} rows and "
            f"must have as many; moments has {moments.shape[0]} and must have 2"
        )
    if counts.shape[1] != channels or moments.shape[1] != channels:
        raise ValueError(f"there are {channels} units; counts is for {counts.shape[1]}, moments for {moments.shape[1]}")
    for d in range(cnp.PyArray_NDIM(array)):
        if d < axis:
            outer *= cnp.PyArray_DIM(array, d)
        elif d > axis:
            inner *= cnp.PyArray_DIM(array, d)
    if channels == 0:
        return
    if is_long(0, dtype, outer * channels * inner):
        with nogil:
            status = leaky_add_units(<leaky_dtype>dtype, x, outer, channels, inner, above, count, counted, summed)
    else:
        status = leaky_add_units(<leaky_dtype>dtype, x, outer, channels, inner, above, count, counted, summed)
    if status:
        raise MemoryError


def add_mask_counts(cnp.ndarray mask not None, shape, int axis, cnp.ndarray counts not None):
    """Add to counts[unit] how many bits of a packed mask of this shape are set; the units lie along `axis`."""
    cdef unsigned char *bits = <unsigned char *>_data(mask, cnp.NPY_UINT8, 1, "mask")
    cdef int64_t *counted = <int64_t *>_data(counts, cnp.NPY_INT64, 1, "counts")
    elements = math.prod(shape)
    if counts.shape[0] != shape[axis]:
        raise ValueError(f"there are {shape[axis]} units; counts is for {counts.shape[0]}")
    if mask.shape[0] != (elements + 7) // 8:
        raise ValueError(f"mask has {mask.shape[0]} bytes, {elements} elements need {(elements + 7) // 8}")
    if mask.shape[0]:
        leaky_add_mask(bits, math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:]), counted)


# ---------------------------------------------------------------------------------------------- settings

def isas():
    """Names of the ISAs that this build and this CPU support, narrowest first."""
    return tuple(leaky_isa_names[isa].decode() for isa in range(LEAKY_ISAS) if leaky_isa_supported(<leaky_isa>isa))


def isa():
    """Name of the ISA in use."""
    return leaky_isa_names[<int>leaky_isa_in_use()].decode()


def use_isa(str name):
    """Switch every kernel to another ISA.  For tests; not while calls run in other threads."""
    if leaky_use_isa(name.encode()):
        raise ValueError(f"ISA {name!r} is not supported here; supported: {', '.join(isas())}")


if leaky_choose_isa():
    raise ImportError(
        f"PYLEAKY_ISA is {os.environ.get('PYLEAKY_ISA')!r}, which this build on this CPU does not support; "
        f"supported: {', '.join(isas())}"
    )


def _count(argument, value):
    # A positive integer that fits a C int.
    from pyleaky import _arguments  # here, since it imports this module

    return min(_arguments.index(argument, value, 1, None), LEAKY_MAX_THREADS)


def set_num_threads(num_threads):
    """
    Set how many threads large calls are shared among, for all threads of the process.

    Parameters
    ----------
    num_threads : int
        At least 1; more than 256 count as 256.  The default is the number of CPUs that affinity and cgroup quota
        allow, or ``PYLEAKY_NUM_THREADS``.  Results do not depend on it.

    Raises
    ------
    TypeError
        If `num_threads` is no integer.
    ValueError
        If it is below 1.

    See Also
    --------
    get_num_threads, num_threads

    Examples
    --------
    >>> import pyleaky
    >>> before = pyleaky.get_num_threads()
    >>> pyleaky.set_num_threads(1)
    >>> pyleaky.get_num_threads()
    1
    >>> pyleaky.set_num_threads(before)
    """
    cdef int count = _count("num_threads", num_threads)
    with nogil:
        leaky_set_threads(count)


def get_num_threads():
    """
    Tell how many threads a large call is shared among that is made here.

    Returns
    -------
    int
        The count of the innermost ``with num_threads(count)`` around, else of `set_num_threads`, else the default.

    See Also
    --------
    set_num_threads, num_threads

    Examples
    --------
    >>> import pyleaky
    >>> pyleaky.get_num_threads() >= 1
    True
    """
    keep_limit()
    return leaky_get_threads()


class num_threads:
    """
    Context manager that sets the number of threads for the calls inside of it.

    Parameters
    ----------
    num_threads : int
        As for `set_num_threads`.

    Raises
    ------
    TypeError
        If `num_threads` is no integer.
    ValueError
        If it is below 1.
    RuntimeError
        If the ``with`` statement ends in another thread or asyncio task than it began in.

    See Also
    --------
    set_num_threads, get_num_threads

    Notes
    -----
    The limit is a context variable (``contextvars``).  Each thread and each asyncio task has its own limits, also
    across ``await``; a task starts with those of the code that created it, and so does ``asyncio.to_thread``.  One
    object may be used by many threads and tasks at once, and again inside of itself.  A generator that yields inside of
    the ``with`` statement shares its limit with the code that runs meanwhile.  The functions of ``pyleaky.kernels``
    obey the innermost limit that was entered in the calling thread, whatever the task.

    Examples
    --------
    >>> import pyleaky
    >>> with pyleaky.num_threads(1):
    ...     pyleaky.get_num_threads()
    1
    """

    def __init__(self, num_threads):
        self._count = _count("num_threads", num_threads)

    def __enter__(self):
        global has_limits
        has_limits = True
        _limits.set((*_limits.get(), self))
        keep_limit()
        return self

    def __exit__(self, *exception):
        # Not always the innermost: generators may end in any order.
        limits = _limits.get()
        for k in reversed(range(len(limits))):
            if limits[k] is self:
                _limits.set(limits[:k] + limits[k + 1:])
                keep_limit()
                return
        raise RuntimeError(f"num_threads({self._count}) ends in another thread or asyncio task than it was entered in")


class CacheInfo(NamedTuple):
    """What `cache_info` returns; sizes in bytes."""

    limit: int
    cached: int
    blocks: int
    hits: int
    misses: int


def cache_info():
    """
    Tell what the cache of recycled memory holds.

    Results of 1 MiB and more are made of memory that an earlier result has given back, where there is such memory: it
    spares the page faults.  Only on Linux; elsewhere everything is 0.

    Returns
    -------
    CacheInfo
        Named tuple: `limit` and `cached` in bytes, the number of `blocks` that are kept, and how many large results
        were made of such a block (`hits`) or of new memory (`misses`).

    See Also
    --------
    set_cache_limit, clear_cache

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.clear_cache()
    >>> pyleaky.cache_info().cached
    0
    """
    cdef leaky_memory_info info = get_memory_info()
    return CacheInfo(info.limit, info.cached, info.blocks, info.hits, info.misses)


def set_cache_limit(limit):
    """
    Set how much memory the cache of recycled memory keeps at most.

    Parameters
    ----------
    limit : int
        In bytes; 0 switches the cache off.  The default is 1/16 of the memory of the machine, or of its cgroup's limit,
        or ``PYLEAKY_CACHE_LIMIT``.

    Raises
    ------
    TypeError
        If `limit` is no integer.
    ValueError
        If it is negative.

    See Also
    --------
    cache_info, clear_cache

    Examples
    --------
    >>> import pyleaky
    >>> before = pyleaky.cache_info().limit
    >>> pyleaky.set_cache_limit(64 * 2**20)
    >>> pyleaky.cache_info().limit
    67108864
    >>> pyleaky.set_cache_limit(before)
    """
    from pyleaky import _arguments  # here, since it imports this module

    leaky_memory_set_limit(min(_arguments.index("limit", limit, 0, None), sys.maxsize))


def clear_cache():
    """
    Give all memory that the cache of recycled memory keeps back to the system.

    See Also
    --------
    cache_info, set_cache_limit

    Examples
    --------
    >>> import pyleaky
    >>> pyleaky.clear_cache()
    """
    with nogil:
        leaky_memory_clear()


def _from_environment(variable, use):
    value = os.environ.get(variable)
    if not value:
        return
    try:
        use(int(value))
    except ValueError:
        warnings.warn(f"{variable} is {value!r}, which is not a number it can be; using the default", stacklevel=2)


_from_environment("PYLEAKY_NUM_THREADS", set_num_threads)
_from_environment("PYLEAKY_CACHE_LIMIT", set_cache_limit)


def _version(*distributions):
    import importlib.metadata  # here, since it would make up half of the time that importing pyleaky adds

    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pass
    return None


def show_config(mode="stdout"):
    """
    Tell what runs on this machine.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        Print a table, or return the same as a dictionary.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: version, ISA in use and available, dtypes, number of threads, limit of the cache of
        recycled memory in bytes, and the versions of Python, NumPy, ml_dtypes
        (which brings bfloat16) and CuPy (None where they are not installed; they are not imported to find out).

    Raises
    ------
    ValueError
        If `mode` is neither of the two.

    Examples
    --------
    >>> import pyleaky
    >>> pyleaky.show_config(mode="dicts")["dtypes"]
    ['float16', 'bfloat16', 'float32', 'float64']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode is {mode!r}, expected 'stdout' or 'dicts'")
    config = {
        "pyleaky": sys.modules["pyleaky"].__version__,
        "ISA in use": isa(),
        "ISAs available": list(isas()),
        "dtypes": list(DTYPES),
        "threads": get_num_threads(),
        "cache limit": cache_info().limit,
        "Python": sys.version.split()[0],
        "NumPy": np.__version__,
    }
    with default_environment():  # in which files' times become floats
        config["ml_dtypes"] = _version("ml_dtypes")
        config["CuPy"] = _version("cupy-cuda13x", "cupy-cuda12x", "cupy")
    if mode == "dicts":
        return config
    for key, value in config.items():
        text = ", ".join(value) if isinstance(value, list) else "not installed" if value is None else value
        print(f"{key:<16}{text}")
