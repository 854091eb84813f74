"""The only extension that links src/: the row table as Python data, one ufunc per row, the choice of the ISA.

Nothing here knows a formula or an argument's name; both come from src/activations.h.  A new row appears by itself.
"""
cimport numpy as cnp
from cpython.mem cimport PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF

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
    enum leaky_isa:
        pass
    struct leaky_row_info:
        const char *name
        int inputs, parameters
        const char *names
        const char *formula
    struct leaky_entry:
        pass
    const leaky_row_info leaky_rows[]
    const leaky_entry leaky_entries[][2]
    const char *leaky_isa_names[]
    bint leaky_isa_supported(leaky_isa) nogil
    leaky_isa leaky_isa_in_use() nogil
    int leaky_use_isa(const char *) nogil
    int leaky_choose_isa() nogil
    void leaky_run(char **, const ptrdiff_t *, const ptrdiff_t *, void *) noexcept nogil
    void leaky_run_number(char **, ptrdiff_t, ptrdiff_t *, const leaky_entry *, double) noexcept nogil

cdef extern from "numpy/ufuncobject.h":
    ctypedef void (*PyUFuncGenericFunction)(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    enum:
        PyUFunc_None
    object PyUFunc_FromFuncAndData(PyUFuncGenericFunction *func, void *const *data, const char *types, int ntypes,
                                   int nin, int nout, int identity, const char *name, const char *doc, int unused)
    int PyUFunc_AddPromoter(object ufunc, object dtypes, object promoter) except -1

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyArray_DTypeMeta:
        pass
    PyArray_DTypeMeta PyArray_FloatDType
    PyArray_DTypeMeta PyArray_DoubleDType

cnp.import_array()
cnp.import_ufunc()


cdef void run(int row, int dtype, char **args, ptrdiff_t n, const ptrdiff_t *steps) noexcept nogil:
    leaky_run(args, &n, steps, <void *>&leaky_entries[row][dtype])


cdef void run_number(int row, int dtype, char **args, ptrdiff_t n, ptrdiff_t *steps, double number) noexcept nogil:
    leaky_run_number(args, n, steps, &leaky_entries[row][dtype], number)


class Row(NamedTuple):
    """One row of the table in src/activations.h."""

    name: str
    inputs: tuple[str, ...]
    parameters: int
    formula: str


cdef int _promote_integers(object ufunc, PyArray_DTypeMeta **given, PyArray_DTypeMeta **signature,
                           PyArray_DTypeMeta **chosen) except -1:
    # Small integers fit a float32, so NumPy would compute in it; here every integer gives float64, unless a
    # float32 array stands beside it (NumPy's own promotion) or the caller has asked for a dtype.
    cdef int k, count = ufunc.nin
    cdef PyArray_DTypeMeta *dtype = &PyArray_DoubleDType
    for k in range(count):
        if given[k] == &PyArray_FloatDType:
            dtype = &PyArray_FloatDType
    if signature[count] != NULL:
        dtype = signature[count]
    for k in range(count + 1):
        Py_INCREF(<object>dtype)
        chosen[k] = dtype
    return 0


cdef object _make_ufunc(int row, object promoter):
    # The ufunc keeps these pointers, and it lives as long as the process.
    cdef const leaky_row_info *info = &leaky_rows[row]
    cdef int operands = info.inputs + 1, dtype
    cdef PyUFuncGenericFunction *loops
    loops = <PyUFuncGenericFunction *>PyMem_Malloc(LEAKY_DTYPES * sizeof(PyUFuncGenericFunction))
    cdef void **data = <void **>PyMem_Malloc(LEAKY_DTYPES * sizeof(void *))
    cdef char *types = <char *>PyMem_Malloc(LEAKY_DTYPES * operands)
    if loops == NULL or data == NULL or types == NULL:
        raise MemoryError
    for dtype in range(LEAKY_DTYPES):
        loops[dtype] = <PyUFuncGenericFunction>leaky_run
        data[dtype] = <void *>&leaky_entries[row][dtype]
        for k in range(operands):
            types[dtype * operands + k] = <char>(cnp.NPY_FLOAT, cnp.NPY_DOUBLE)[dtype]
    ufunc = PyUFunc_FromFuncAndData(loops, data, types, LEAKY_DTYPES, info.inputs, 1, PyUFunc_None, info.name,
                                    info.formula, 0)
    for integer in (np.bool, np.int8, np.uint8, np.int16, np.uint16):
        PyUFunc_AddPromoter(ufunc, (type(np.dtype(integer)), *(np.dtype,) * (info.inputs - 1), None), promoter)
    return ufunc


ROWS = {}
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

# Each ufunc is an attribute under its own name: that is how a ufunc pickles.
_promoter = PyCapsule_New(<void *>_promote_integers, "numpy._ufunc_promoter", NULL)
for _row in range(LEAKY_ROWS):
    _name = leaky_rows[_row].name.decode()
    ROWS[_name] = Row(
        _name,
        tuple(leaky_rows[_row].names.decode().strip("()").split(", ")),
        leaky_rows[_row].parameters,
        leaky_rows[_row].formula.decode(),
    )
    globals()[_name] = _make_ufunc(_row, _promoter)


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


def _cupy_version():
    import importlib.metadata  # here, since it would make up half of the time that importing pyleaky adds

    for distribution in ("cupy-cuda13x", "cupy-cuda12x", "cupy"):
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
        With ``mode="dicts"``: version, ISA in use and available, dtypes, and the versions of Python, NumPy and CuPy
        (None where CuPy is not installed; it is not imported to find out).

    Raises
    ------
    ValueError
        If `mode` is neither of the two.

    Examples
    --------
    >>> import pyleaky
    >>> pyleaky.show_config(mode="dicts")["dtypes"]
    ['float32', 'float64']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode is {mode!r}, expected 'stdout' or 'dicts'")
    config = {
        "pyleaky": sys.modules["pyleaky"].__version__,
        "ISA in use": isa(),
        "ISAs available": list(isas()),
        "dtypes": [dtype.name for dtype in DTYPES],
        "Python": sys.version.split()[0],
        "NumPy": np.__version__,
        "CuPy": _cupy_version(),
    }
    if mode == "dicts":
        return config
    for key, value in config.items():
        text = ", ".join(value) if isinstance(value, list) else value or "not installed"
        print(f"{key:<16}{text}")
