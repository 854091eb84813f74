"""The only extension that links src/: the row table as Python data, one ufunc per row, the choice of the ISA.

Nothing here knows a formula or an argument's name; both come from src/activations.h.  A new row appears by itself.
"""
cimport numpy as cnp
from cpython.mem cimport PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF
from libc.string cimport strcat, strcpy, strlen

import os
import sys
from typing import NamedTuple

import numpy as np

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
    PyArray_DTypeMeta *PyArray_PromoteDTypeSequence(cnp.npy_intp length, PyArray_DTypeMeta **dtypes) except NULL

cnp.import_array()
cnp.import_ufunc()


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


cdef void run(int row, int dtype, char **args, ptrdiff_t n, const ptrdiff_t *steps) noexcept nogil:
    leaky_run(args, &n, steps, <void *>&leaky_entries[1][row][dtype])


cdef void run_number(int row, int dtype, char **args, ptrdiff_t n, ptrdiff_t *steps, double number) noexcept nogil:
    leaky_run_number(args, n, steps, <leaky_row>row, <leaky_dtype>dtype, number)


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


ROWS = {}
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
    globals()[_name] = _make_ufunc(_row, False, _promoter)
    if leaky_rows[_row].parameters:
        globals()[_name + "_number"] = _make_ufunc(_row, True, _promoter)


def see_ml_dtypes():
    """Give every ufunc its bfloat16 loops once ml_dtypes has been imported, by whomever.

    To be called before a ufunc could see a bfloat16 array: NumPy keeps the loop that it has once found for a dtype.
    """
    global bfloat16
    cdef int types[LEAKY_MAX_INPUTS + 1]
    cdef int row, numbers, k, typenum
    if bfloat16 != -1:
        return
    scalar = getattr(sys.modules.get("ml_dtypes"), "bfloat16", None)
    if scalar is None:
        return
    typenum = np.dtype(scalar).num
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


def supports(dtype):
    """Whether kernels exist for a numpy.dtype, in whichever byte order."""
    see_ml_dtypes()
    return dtype_of(dtype.num) >= 0


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
        With ``mode="dicts"``: version, ISA in use and available, dtypes, and the versions of Python, NumPy, ml_dtypes
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
        "Python": sys.version.split()[0],
        "NumPy": np.__version__,
        "ml_dtypes": _version("ml_dtypes"),
        "CuPy": _version("cupy-cuda13x", "cupy-cuda12x", "cupy"),
    }
    if mode == "dicts":
        return config
    for key, value in config.items():
        text = ", ".join(value) if isinstance(value, list) else value or "not installed"
        print(f"{key:<16}{text}")
