"""The public activations: signature, docstring, short path, choice of back end.

Each function tries the short path first: an exact ndarray of a supported dtype, native, aligned and contiguous, goes
straight to the driver.  Everything else goes through `_call`, to the row's ufunc or, when an array is among the
arguments that NumPy's protocols do not serve, to the back end of its kind (_gpu, _dask, _generic, or _containers for
what only wraps arrays).  No formula stands here.  To add a function, copy one of its shape and name its row.
"""
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact
from libc.math cimport isinf
from libc.stddef cimport ptrdiff_t

from pyleaky._core cimport (
    RECYCLE_FROM,
    are_apart,
    dtype_of,
    empty,
    enter_environment,
    is_long,
    keep_limit,
    leave_environment,
    run,
    run_channels,
    run_masked,
    run_number,
    run_prelu_backward,
    run_prelu_backward_each,
)
from pyleaky._calls cimport wrap_all

import contextlib
import importlib
import math
import sys

import numpy as np

from pyleaky import _core
from pyleaky._arguments import (
    axis_indices,
    check_dtype,
    conversion_hint,
    describe_argument,
    describe_type,
    explain_shapes,
    explanation,
    flag,
    framework_of,
    index,
    kind_of,
    library_of,
    not_a_number,
    number_or_array,
    operand,
    refuse_columns,
    refuse_other_labels,
    refuse_tensor,
    result_dtype,
    shape_of,
)

cdef extern from "leaky.h":
    enum:
        LEAKY_relu
        LEAKY_relu_backward
        LEAKY_leaky_relu
        LEAKY_leaky_relu_backward
        LEAKY_elu
        LEAKY_elu_backward
        LEAKY_elu_backward_from_output
        LEAKY_celu
        LEAKY_celu_backward
        LEAKY_celu_backward_from_output
        LEAKY_selu
        LEAKY_selu_backward
        LEAKY_selu_backward_from_output
        LEAKY_RELU_MASKED
        LEAKY_LEAKY_RELU_MASKED
        LEAKY_RELU_BACKWARD_MASKED
        LEAKY_LEAKY_RELU_BACKWARD_MASKED
        LEAKY_MAX_DIMS

cnp.import_array()

# With weights along axes that others come between, a call for so many elements or more goes over them once.
cdef enum:
    FEWEST_BETWEEN = 512

# Klambauer et al. 2017: the pair that keeps mean 0 and variance 1 from layer to layer.
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


# ---------------------------------------------------------------------------------------------------- short path

# The one subclass whose results are plain arrays.
cdef object MEMMAP = np.memmap


cdef inline bint _is_plain(object value) noexcept:
    # ndarray or memmap, supported dtype, native, aligned, one block, not 0-d (which a ufunc turns into a scalar).
    cdef cnp.ndarray array
    cdef int typenum
    if not cnp.PyArray_CheckExact(value) and type(value) is not MEMMAP:
        return False
    array = <cnp.ndarray>value
    typenum = cnp.PyArray_TYPE(array)
    return (
        (typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE or dtype_of(typenum) >= 0)
        and cnp.PyArray_NDIM(array) > 0
        and cnp.PyArray_ISBEHAVED_RO(array)
        and (cnp.PyArray_FLAGS(array) & (cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_F_CONTIGUOUS)) != 0
    )


cdef inline bint _is_twin(object value, cnp.ndarray array) noexcept:
    # A plain array of the same dtype, shape and memory order.
    cdef cnp.ndarray other
    cdef int k
    if not _is_plain(value):
        return False
    other = <cnp.ndarray>value
    if cnp.PyArray_TYPE(other) != cnp.PyArray_TYPE(array) or cnp.PyArray_NDIM(other) != cnp.PyArray_NDIM(array):
        return False
    if not (cnp.PyArray_FLAGS(other) & cnp.PyArray_FLAGS(array)
            & (cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_F_CONTIGUOUS)):
        return False
    for k in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_DIM(other, k) != cnp.PyArray_DIM(array, k):
            return False
    return True


cdef inline bint _is_same_or_apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    # Of twins: the same elements in the same places, or none in common.  What is no twin must be apart.
    return cnp.PyArray_DATA(a) == cnp.PyArray_DATA(b) or are_apart(a, b)


# Not None, which a caller may pass for a number by mistake.
cdef object NO_NUMBER = object()
cdef list ROW_NAMES = [*_core.ROWS]


cdef object _short(int row, object first, object second, object out, object number):
    # The result, or None when the arguments are not for the short path.  second is None for rows of one array, number
    # is NO_NUMBER for rows without a parameter.
    cdef cnp.ndarray a, b, y
    cdef char *args[4]
    cdef ptrdiff_t steps[4]
    cdef ptrdiff_t n, size
    cdef int k, inputs = 1, dtype
    cdef double parameter = 0

    if not (number is NO_NUMBER or PyFloat_CheckExact(number)):
        return None
    if not _is_plain(first):
        gpu = sys.modules.get("pyleaky._gpu")
        if gpu is None:
            return None
        given = (first,) if second is None else (first, second)
        return gpu.quick(ROW_NAMES[row], given if number is NO_NUMBER else (*given, number), out)
    a = <cnp.ndarray>first
    args[0] = <char *>cnp.PyArray_DATA(a)
    if second is not None:
        if not _is_twin(second, a):
            return None
        b = <cnp.ndarray>second
        args[1] = <char *>cnp.PyArray_DATA(b)
        inputs = 2
    if out is None:
        size = cnp.PyArray_NBYTES(a)
        if size < RECYCLE_FROM:
            y = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_TYPE(a),
                                  not cnp.PyArray_IS_C_CONTIGUOUS(a))
        else:
            y = empty(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_TYPE(a),
                      not cnp.PyArray_IS_C_CONTIGUOUS(a), size)
    else:
        if not _is_twin(out, a):
            return None
        y = <cnp.ndarray>out
        if (
            not cnp.PyArray_ISWRITEABLE(y)
            or not _is_same_or_apart(a, y)
            or (second is not None and not _is_same_or_apart(b, y))
        ):
            return None

    n = cnp.PyArray_SIZE(a)
    size = cnp.PyArray_ITEMSIZE(a)
    dtype = dtype_of(cnp.PyArray_TYPE(a))
    for k in range(4):
        steps[k] = size
    if number is NO_NUMBER:
        args[inputs] = <char *>cnp.PyArray_DATA(y)
        if not is_long(row, dtype, n):
            run(row, dtype, args, n, steps)
        else:
            with nogil:
                run(row, dtype, args, n, steps)
    else:
        parameter = PyFloat_AS_DOUBLE(number)
        args[inputs + 1] = <char *>cnp.PyArray_DATA(y)
        if not is_long(row, dtype, n):
            run_number(row, dtype, args, n, steps, parameter)
        else:
            with nogil:
                run_number(row, dtype, args, n, steps, parameter)
    return y


cdef object _short_channels(int row, object first, object second, object weight, object axis, object out):
    # _short for weights along one axis of arrays in C order.
    cdef cnp.ndarray a, w, y
    cdef char *args[4]
    cdef ptrdiff_t outer = 1, inner = 1
    cdef int k, along, dtype, inputs = 1

    if not _is_plain(first) or not _is_plain(weight) or not PyLong_CheckExact(axis):
        return None
    a = <cnp.ndarray>first
    w = <cnp.ndarray>weight
    if not -cnp.PyArray_NDIM(a) <= axis < cnp.PyArray_NDIM(a):
        return None
    along = axis % cnp.PyArray_NDIM(a)
    if (
        not cnp.PyArray_IS_C_CONTIGUOUS(a)
        or cnp.PyArray_TYPE(w) != cnp.PyArray_TYPE(a)
        or cnp.PyArray_NDIM(w) != 1
        or cnp.PyArray_SIZE(w) != cnp.PyArray_DIM(a, along)
    ):
        return None
    args[0] = <char *>cnp.PyArray_DATA(a)
    if second is not None:
        if not _is_twin(second, a):
            return None
        args[1] = <char *>cnp.PyArray_DATA(<cnp.ndarray>second)
        inputs = 2
    if out is None:
        y = empty(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_TYPE(a), False, cnp.PyArray_NBYTES(a))
    elif _is_twin(out, a) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out):
        y = <cnp.ndarray>out
        if (
            not _is_same_or_apart(a, y)
            or (second is not None and not _is_same_or_apart(<cnp.ndarray>second, y))
            or not are_apart(w, y)
        ):
            return None
    else:
        return None
    for k in range(along):
        outer *= cnp.PyArray_DIM(a, k)
    for k in range(along + 1, cnp.PyArray_NDIM(a)):
        inner *= cnp.PyArray_DIM(a, k)
    args[inputs] = <char *>cnp.PyArray_DATA(w)
    args[inputs + 1] = <char *>cnp.PyArray_DATA(y)
    dtype = dtype_of(cnp.PyArray_TYPE(a))
    if not is_long(row, dtype, cnp.PyArray_SIZE(a)):
        run_channels(row, dtype, args, outer, cnp.PyArray_SIZE(w), inner)
    else:
        with nogil:
            run_channels(row, dtype, args, outer, cnp.PyArray_SIZE(w), inner)
    return y


cdef inline bint _is_alpha(object number, bint zero) noexcept:
    # A float that needs no message from _alpha; NaN takes the long way.
    cdef double alpha
    if not PyFloat_CheckExact(number):
        return False
    alpha = PyFloat_AS_DOUBLE(number)
    return alpha - alpha == 0 and (zero or alpha != 0)


cdef object _short_backward(int from_x, int from_output, object grad, object x, object output, object out,
                            object number):
    # _short for a function with a row for each of x and output; None when _backward shall look at the arguments.
    if output is None:
        return None if x is None else _short(from_x, grad, x, out, number)
    if x is not None or not (number is NO_NUMBER or PyFloat_AS_DOUBLE(number) >= 0):
        return None
    return _short(from_output, grad, output, out, number)


# ---------------------------------------------------------------------------------------------------- everything else

def _reshaped(value, shape):
    if hasattr(value, "reshape"):
        return value.reshape(shape)
    return value.__array_namespace__().reshape(value, tuple(shape))


def _permuted(value, order):
    if hasattr(value, "permute"):  # PyTorch, whose `transpose` swaps two axes
        return value.permute(*order)
    if hasattr(value, "transpose"):
        return value.transpose(order)
    return value.__array_namespace__().permute_dims(value, tuple(order))


def _is_known(shape):
    # Dask writes nan for a length that it has not computed.
    return all(length == length for length in shape)


def _alpha(value, divisor_of=None):
    """alpha as a float or an array.  A number must be finite and, for the function that divides by it, not 0."""
    alpha = number_or_array("alpha", value)
    if isinstance(alpha, float):
        if isinf(alpha):
            raise ValueError(f"alpha must be finite, got {alpha}")
        if divisor_of is not None and alpha == 0:
            raise ValueError(f"alpha must not be 0 ({divisor_of} divides by it), got {alpha}")
    return alpha


def _back_end(operands):
    """
    The module of the back end for (argument's name, value) pairs; None for NumPy and whatever its protocols serve.

    What wraps other arrays comes before what it may wrap.  CuPy's arrays and those of another namespace mix with
    numbers and with nothing else.
    """
    _refuse_tensors(operands)
    kinds = [kind_of(value) for _, value in operands]
    chosen = next((kind for kind in ("containers", "dask", "gpu", "generic") if kind in kinds), None)
    if chosen is None:
        return None
    if chosen == "dask":
        first, array = operands[kinds.index(chosen)]
        for argument, value in operands:
            if framework_of(value) == "torch":  # whose dtypes Dask does not know
                raise TypeError(f"{first} is a {describe_type(array)}, but {argument} is a {describe_type(value)}; "
                                f"move it with numpy.asarray{conversion_hint(argument, value)}")
    if chosen in ("gpu", "generic"):
        first, array = next(operand for operand, kind in zip(operands, kinds) if kind == chosen)
        for (argument, value), kind in zip(operands, kinds):
            if kind == chosen and (kind == "gpu" or library_of(value) == library_of(array)):
                continue
            number = value is None or isinstance(value, (float, int, np.generic)) or np.shape(value) == ()
            if not number or kind is not None or (argument == "out" and isinstance(value, np.ndarray)):
                move = "cupy.asarray or cupy.asnumpy" if chosen == "gpu" else f"{library_of(array)}'s asarray"
                hint = conversion_hint(first, array) or conversion_hint(argument, value)
                raise TypeError(f"{first} is a {describe_type(array)}, but {argument} is a {describe_type(value)}; "
                                f"move one of them with {move}{hint}")
    name = f"pyleaky._{chosen}"
    module = sys.modules.get(name) or importlib.import_module(name)
    if chosen == "gpu":
        module.device_of(operands)  # refuses two
    elif chosen == "generic":
        module.check(first, array)
    return module


def _on(back_end, operands):
    """A context in which the GPU of CuPy's arrays is the current one; for other arrays it does nothing."""
    return back_end.on(operands) if _is_gpu(back_end) else contextlib.nullcontext()


def _cast(array, dtype):
    """array.astype(dtype, copy=False) without CuPy's own kernels, which flush subnormal numbers."""
    if kind_of(array) == "gpu":
        return sys.modules["pyleaky._gpu"].cast(array, dtype)
    return array.astype(dtype, copy=False)


def _is_gpu(back_end):
    return back_end is not None and back_end.__name__ == "pyleaky._gpu"


def _is_generic(back_end):
    return back_end is not None and back_end.__name__ == "pyleaky._generic"


cdef bint _is_wrapped(value):
    if type(value) is np.ndarray or isinstance(value, (float, int, list, tuple, np.generic, MEMMAP, type(None))):
        return False
    return isinstance(value, np.ndarray) or kind_of(value) in (None, "containers")


def _unwrap(operands):
    """
    The arrays in containers, and what puts a result of the same shape into such a container again.

    For functions that are no ufuncs underneath: a DataArray, a Series or a frame, a masked array, a subclass.
    """
    if not any(_is_wrapped(value) for _, value in operands):
        return operands, None
    _refuse_tensors(operands)
    from pyleaky import _containers

    return _containers.unwrap(operands)


cdef inline bint _is_no_tensor(value) noexcept:
    return (
        cnp.PyArray_CheckExact(value) or PyFloat_CheckExact(value) or value is None or cnp.PyArray_IsAnyScalar(value)
    )


cdef int _refuse_tensors(operands) except -1:
    for argument, value in operands:
        if not _is_no_tensor(value):
            refuse_tensor(argument, value)
    return 0


def _check_broadcast(argument, parameter, x_shape):
    shape = shape_of(parameter)
    if kind_of(parameter) == "containers":  # laid by the names of its dimensions
        return None
    if _is_known(x_shape) and _is_known(shape):
        try:
            return np.broadcast_shapes(shape, x_shape)
        except ValueError:
            raise ValueError(
                f"{argument} has shape {shape}, which does not broadcast with x of shape {x_shape}"
            ) from None


def _check_keeps_shape(argument, parameter, x_shape):
    common = None if isinstance(parameter, float) else _check_broadcast(argument, parameter, x_shape)
    if common is not None and common != x_shape:
        raise ValueError(f"{argument} has shape {shape_of(parameter)}, which does not broadcast to x's shape {x_shape}")


def _check_equal_shapes(argument, value, other, other_value):
    shape, other_shape = shape_of(value), shape_of(other_value)
    if shape != other_shape and _is_known(shape + other_shape) and kind_of(value) != "containers":
        raise ValueError(f"{argument} has shape {shape}, {other} has shape {other_shape}; they must be equal")
    refuse_other_labels(argument, value, other_value, other=other)


def _numpy_dtype(value):
    # A list has one only as an array; other dtypes than NumPy's are pandas' own.
    dtype = getattr(value, "dtype", None)
    if dtype is None and hasattr(value, "dtypes"):  # a frame, which may be lazy
        dtypes = [*value.dtypes]
        if dtypes and all(isinstance(one, np.dtype) and one.kind in "biuf" for one in dtypes):
            return np.result_type(*dtypes)
    return dtype if isinstance(dtype, np.dtype) else np.asarray(value).dtype


def _rounded_number(name, number, arrays):
    # As the ufunc for numbers takes it: in float32 where the arrays are computed in float32 or a half type.
    dtypes = [*map(_numpy_dtype, arrays)]
    try:
        compute = getattr(_core, name).resolve_dtypes((*dtypes, dtypes[0], None))[-1]
    except TypeError:  # pandas' own dtypes, or what the call itself refuses
        return number
    if compute.itemsize == 8:
        return number
    rounded = np.float32(number)
    return float(rounded) if library_of(arrays[0]) == "polars" else rounded  # which accepts Python's numbers only


def _apart_from(out, value):
    return value if not isinstance(value, np.ndarray) or are_apart(value, out) else value.copy()


def _call(name, operands, out=None, where=True, dtype=None):
    """Run a row on any operands: (argument's name, value) in the row's order, a parameter last."""
    row = _core.ROWS[name]
    if isinstance(out, tuple):
        if len(out) != 1:
            raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
        (out,) = out
    back_end = _back_end([*operands, ("out", out), ("where", where)])
    values = [value for _, value in operands]
    if row.parameters:
        argument, parameter = operands[-1]
        values[-1] = number_or_array(argument, parameter)
    for k in range(len(row.inputs) - row.parameters):
        values[k] = operand(*operands[k])
    if row.parameters and not isinstance(values[-1], float):
        _check_broadcast(argument=operands[-1][0], parameter=values[-1], x_shape=shape_of(values[-2]))
    if dtype is not None and not _is_generic(back_end):
        result_dtype(dtype)
    if back_end is not None:
        if back_end.__name__ == "pyleaky._containers":  # which comes back here with what is inside
            values = [(argument, value) for (argument, _), value in zip(operands, values)]
        return back_end.call(name, values, out, where, dtype)
    if where is True and dtype is None:
        y = _core.iterate(name, values, out)
        if y is not None:
            return y

    if where is not True and isinstance(out, np.ndarray):
        # Where `out` has another dtype, NumPy's own copies of overlapping operands round what `where` leaves out, too.
        *values, where = (_apart_from(out, value) for value in (*values, where))
    keep_limit()
    # Only what was given is passed on: containers understand out, where and dtype to different degrees.
    options = {}
    if out is not None:
        options["out"] = out
    if where is not True:
        options["where"] = where
    if dtype is not None:
        options["dtype"] = dtype
    # The kernels raise no floating-point warning; the casts that NumPy makes around them shall not either.
    with np.errstate(all="ignore"):
        try:
            _core.see_ml_dtypes()
            if row.parameters and isinstance(values[-1], float):
                name += "_number"
                if dtype is None:
                    values[-1] = _rounded_number(name, values[-1], values[:-1])
                elif np.dtype(dtype) == np.float16:
                    # One dtype for every operand would leave the number none of its own.
                    options["signature"] = (*(options.pop("dtype"),) * (len(values) - 1), np.float32, np.float16)
            return getattr(_core, name)(*values, **options)
        except TypeError:
            if out is not None and framework_of(out) is not None:
                raise TypeError(f"out must be a NumPy or CuPy array, got {describe_argument('out', out)}") from None
            # What becomes an array, and a frame, have a dtype that was not seen yet.
            for argument, value in operands:
                if hasattr(value, "__array_ufunc__"):
                    refuse_columns(argument, value)
                else:
                    check_dtype(argument, np.asarray(value))
            raise
        except ValueError as error:
            if (out is None and where is True) or "broadcast" not in str(error):
                raise
            raise ValueError(explain_shapes(str(error), values, out, where)) from None


def _operands(operands):
    """Arrays, as `operand` has them; lists beside arrays that do not mix with NumPy's are refused as lists."""
    if any(isinstance(value, (list, tuple)) for _, value in operands):
        _back_end(operands)
    return [operand(argument, value) for argument, value in operands]


def _backward(name, grad, x, output, parameter=None, out=None):
    """
    Check what every backward function asks for and run its row; parameter is (argument's name, value) or None.

    With output, that is the row NAME_from_output where there is one, and otherwise the same as from x.
    """
    if (x is None) == (output is None):
        if _has_mask(name):
            raise TypeError(f"{name} takes exactly one of x, output and mask, got {'none' if x is None else 'several'}")
        raise TypeError(f"{name} takes exactly one of x and output, got {'neither' if x is None else 'both'}")
    argument, given = ("x", x) if output is None else ("output", output)
    grad, given = _operands([("grad", grad), (argument, given)])
    if parameter is not None:
        label, number = parameter[0], number_or_array(*parameter)
        if output is not None and not isinstance(number, float):
            raise not_a_number(f"with output, {label} must be a number", label, number)
        if output is not None and not number >= 0:
            raise ValueError(f"with output, {label} must be at least 0 (the sign of x is lost below), got {number}")
    shape = shape_of(given)
    _check_equal_shapes("grad", grad, argument, given)
    operands = [("grad", grad), (argument, given)]
    if parameter is not None:
        _check_keeps_shape(label, number, shape)
        operands.append((label, number))
    row = name if output is None or f"{name}_from_output" not in _core.ROWS else f"{name}_from_output"
    return _call(row, operands, out)


def _has_mask(name):
    return name in ("relu_backward", "leaky_relu_backward")


def _contiguous(argument, value, dtype=None):
    """The values of an array in C order, in native and aligned memory, and in the dtype to compute in."""
    if _is_plain(value) and cnp.PyArray_IS_C_CONTIGUOUS(value) and (dtype is None or value.dtype is dtype):
        return value
    if type(value) not in (np.ndarray, np.memmap):
        raise TypeError(f"{argument} must be a NumPy or CuPy array, got {describe_argument(argument, value)}")
    check_dtype(argument, value)
    if dtype is None:
        dtype = value.dtype.newbyteorder("=") if _core.supports(value.dtype) else np.dtype(np.float64)
    return np.require(value.astype(dtype, casting="same_kind", copy=False), dtype, ["C", "A"])


def _out_or_empty(out, given, others=()):
    """
    Where a kernel may write what it computes of arrays in C order: `out` itself where it is of that kind.

    `given` are read element by element, each just before its place is written; `others` (a mask, a bias) are not.
    """
    cdef cnp.ndarray first = given[0], y
    if out is None or not _is_twin(out, first) or not cnp.PyArray_IS_C_CONTIGUOUS(out) or not out.flags.writeable:
        return empty_like(first)
    y = out
    for value in given:
        if not _is_same_or_apart(value, y):
            return empty_like(first)
    for value in others:
        if value is not None and not are_apart(value, y):
            return empty_like(first)
    return y


cdef cnp.ndarray empty_like(cnp.ndarray array):
    return empty(cnp.PyArray_NDIM(array), cnp.PyArray_DIMS(array), cnp.PyArray_TYPE(array), False,
                 cnp.PyArray_NBYTES(array))


def _check_out(out, shape, dtype):
    """As a ufunc does, before anything is computed."""
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    if out is None:
        return None
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, got {describe_argument('out', out)}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the result has shape {shape}; they must be equal")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"out has dtype {out.dtype}, to which the result's dtype {dtype} cannot be cast")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out


def _in_memory_order(arrays):
    """The order of the axes that turns arrays into C order, where all lie in the same other one; else None."""
    first = arrays[0]
    if type(first) is not np.ndarray or first.ndim < 2 or first.flags.c_contiguous:
        return None
    turn = sorted(range(first.ndim), key=lambda k: -abs(first.strides[k]))
    for array in arrays:
        if type(array) is not np.ndarray or array.shape != first.shape or not array.transpose(turn).flags.c_contiguous:
            return None
    return turn


def _deliver(result, out, like):
    """The result, in C order, as the caller wants it: in `out`, as a scalar, or in the memory order of `like`."""
    if out is not None:
        if result is not out:
            with np.errstate(all="ignore"):
                np.copyto(out, result, casting="same_kind")
        return out
    if result.ndim == 0:
        return result[()]
    if like.flags.c_contiguous:
        return result
    ordered = np.empty_like(like, dtype=result.dtype, subok=False)
    if ordered.flags.c_contiguous:
        return result
    np.copyto(ordered, result)
    return ordered


def _one_slope(message, slope):
    slope = number_or_array("negative_slope", slope)
    if not isinstance(slope, float):
        raise not_a_number(message, "negative_slope", slope)
    return slope


def _with_mask(int kernel, name, x, slope, out, where, dtype):
    """The result of relu or leaky_relu and its packed mask."""
    cdef cnp.ndarray given, y, mask
    cdef ptrdiff_t n
    cdef double number = 0
    cdef int code
    if where is not True:
        raise ValueError("where cannot be combined with return_mask=True")
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    back_end = _back_end([("x", x), ("out", out)])
    if slope is not NO_NUMBER:
        number = slope = _one_slope("negative_slope must be a number with return_mask=True", slope)
    dtype = None if dtype is None else result_dtype(dtype)
    if _is_gpu(back_end):
        check_dtype("x", x)
        return back_end.with_mask(name, x, None if slope is NO_NUMBER else slope, out, dtype)
    given = _contiguous("x", x, dtype)
    out = _check_out(out, x.shape, given.dtype)
    n = given.size
    code = dtype_of(cnp.PyArray_TYPE(given))
    y = _out_or_empty(out, (given,))
    mask = np.empty((n + 7) // 8, np.uint8)
    if n:
        keep_limit()
        with nogil:
            run_masked(kernel, code, <char *>cnp.PyArray_DATA(given), <char *>cnp.PyArray_DATA(y),
                       <unsigned char *>cnp.PyArray_DATA(mask), n, number)
    return _deliver(y, out, x), mask


def _from_mask(int kernel, name, grad, x, output, given_mask, slope, out):
    """NAME_backward of a packed mask."""
    cdef cnp.ndarray given, dx, mask
    cdef ptrdiff_t n
    cdef double number = 0
    cdef int code
    if x is not None or output is not None:
        raise TypeError(f"{name} takes exactly one of x, output and mask, got several")
    back_end = _back_end([("grad", grad), ("mask", given_mask), ("out", out)])
    if slope is not NO_NUMBER:
        number = slope = _one_slope("with mask, negative_slope must be a number", slope)
    if _is_gpu(back_end):
        check_dtype("grad", grad)
        _check_mask(given_mask, grad, back_end)
        return back_end.from_mask(name, grad, given_mask, None if slope is NO_NUMBER else slope, out)
    mask = _check_mask(given_mask, grad, back_end)
    given = _contiguous("grad", grad)
    out = _check_out(out, grad.shape, given.dtype)
    n = given.size
    code = dtype_of(cnp.PyArray_TYPE(given))
    dx = _out_or_empty(out, (given,), (mask,))
    if n:
        keep_limit()
        with nogil:
            run_masked(kernel, code, <char *>cnp.PyArray_DATA(given), <char *>cnp.PyArray_DATA(dx),
                       <unsigned char *>cnp.PyArray_DATA(mask), n, number)
    return _deliver(dx, out, grad)


def _check_mask(mask, grad, back_end):
    """The mask of an array of grad's shape, as a plain array."""
    return _check_mask_length(mask, back_end, math.prod(shape_of(grad)), f"grad of shape {shape_of(grad)}")


def _check_mask_length(mask, back_end, n, whose):
    kind = back_end.cupy.ndarray if _is_gpu(back_end) else np.ndarray
    # A subclass may say anything of its shape and dtype; a view has those of the memory.
    plain = np.ndarray.view(mask, np.ndarray) if isinstance(mask, np.ndarray) else mask
    if not isinstance(plain, kind) or plain.dtype != np.uint8:
        found = describe_argument("mask", mask, f" of {mask.dtype}" if hasattr(mask, "dtype") else "")
        raise TypeError(f"mask must be an array of uint8, as return_mask=True gives it, got {found}")
    mask = plain
    if mask.ndim != 1 or not mask.flags.c_contiguous:
        raise ValueError(f"mask must be contiguous and have one dimension, got {mask.ndim} dimensions"
                         + ("" if mask.ndim != 1 else f" and a step of {mask.strides[0]} bytes"))
    if mask.shape[0] != (n + 7) // 8:
        raise ValueError(f"mask has {mask.shape[0]} bytes, but {whose} needs {(n + 7) // 8}, a bit per element")
    return mask


def _double_backward(name, gg, grad, x, *parameters):
    """Both gradients of NAME_backward: its own row with gg for grad, and the row NAME_double_backward."""
    gg, grad, x = _operands([("gg", gg), ("grad", grad), ("x", x)])
    shape = shape_of(x)
    _check_equal_shapes("gg", gg, "x", x)
    _check_equal_shapes("grad", grad, "x", x)
    for argument, parameter in parameters:
        _check_keeps_shape(argument, parameter, shape)
    # First the row that sees, and so checks, every argument.
    dx = _call(f"{name}_double_backward", [("gg", gg), ("grad", grad), ("x", x), *parameters])
    return _call(f"{name}_backward", [("gg", gg), ("x", x), *parameters]), dx


def _by_position(argument, weight, x, axis):
    """weight (or bias), x and axis, with positions for the names of dimensions that xarray has."""
    if hasattr(x, "iloc") and hasattr(weight, "iloc"):
        refuse_other_labels(argument, weight, x, axis)
        weight = weight.to_numpy()
    if not any(kind_of(value) == "containers" for value in (weight, x)):
        return weight, x, axis
    from pyleaky import _containers

    return _containers.by_position(weight, x, axis)


def _lay(weight, x, axis):
    """`weight` so that it broadcasts against `x`, and the order of its axes there (None without `axis`)."""
    weight = number_or_array("weight", weight)
    shape = shape_of(x)
    axes = None if axis is None else axis_indices("axis", axis, len(shape))
    if isinstance(weight, float) or shape_of(weight) == ():
        return weight, None
    if axes is None:
        if weight.ndim == 1 and weight.shape[0] > 1 and len(shape) > 2:
            raise ValueError(
                f"weight has shape {weight.shape} and x has {len(shape)} dimensions: "
                "say which one it belongs to (axis=1 for channels first, axis=-1 for channels last)"
            )
        return weight, None
    if weight.ndim != len(axes):
        raise ValueError(f"weight has shape {weight.shape}, but axis names {len(axes)} of x's dimensions")
    laid = [1] * len(shape)
    for length, k in zip(weight.shape, axes):
        if length not in (1, shape[k]):
            raise ValueError(f"weight has shape {weight.shape}, but x has {shape[k]} elements along axis {k}")
        laid[k] = length
    order = sorted(range(len(axes)), key=axes.__getitem__)
    if kind_of(weight) is None and not isinstance(weight, np.ndarray):
        weight = np.asarray(weight)
    return _reshaped(_permuted(weight, order), laid), order


# ---------------------------------------------------------------------------------------------------- the functions

def relu(x, *, out=None, where=True, dtype=None, return_mask=False):
    """
    Rectified linear unit, element by element.

    .. math:: y = 0 \\text{ if } x < 0, \\text{ else } x

    Parameters
    ----------
    x : array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    out : ndarray, optional
        Where the result is stored, as in `numpy.exp`; `x` itself for an in-place call.
    where : array_like of bool, optional
        Where to compute, as in `numpy.exp`.
    dtype : dtype, optional
        The dtype to compute in, as in `numpy.exp`.
    return_mask : bool, optional
        Return the packed mask too: all that the backward function needs.  NumPy and CuPy arrays only, and without
        `where`; `out` may be `x`.

    Returns
    -------
    y : ndarray or scalar
        Same shape, memory order and container as `x`; float64 for integers and bool, otherwise the dtype of `x`.
    mask : ndarray of uint8
        Only with ``return_mask=True``: one bit per element, set where x > 0, in C order whatever the memory order, the
        first in the lowest bit: ``np.packbits(x > 0, bitorder="little")``.

    Raises
    ------
    TypeError
        If the dtype of `x` is complex, object, a string or a date, or if NumPy and CuPy arrays are mixed.

    ValueError
        If `return_mask` is combined with `where`, or if `out` has another shape.

    See Also
    --------
    relu_backward, leaky_relu, unpack_mask

    Notes
    -----
    NaN and -0.0 pass through, -inf gives 0.

    References
    ----------
    V. Nair and G. E. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    if return_mask is not False and flag("return_mask", return_mask):
        return _with_mask(LEAKY_RELU_MASKED, "relu", x, NO_NUMBER, out, where, dtype)
    if where is True and dtype is None:
        y = _short(LEAKY_relu, x, None, out, NO_NUMBER)
        if y is not None:
            return y
    return _call("relu", [("x", x)], out, where, dtype)


def relu_backward(grad, x=None, *, output=None, mask=None, out=None):
    """
    Gradient of `relu` with respect to its input.

    Repeat the parameters of the forward call; `relu` has none.

    .. math:: dx = grad \\text{ if } x > 0, \\text{ else } 0

    Parameters
    ----------
    grad : array_like
        Gradient of the loss with respect to the output.
    x : array_like
        What `relu` was given; same shape as `grad`.
    output : array_like
        What `relu` returned, instead of `x`; exactly one of `x`, `output` and `mask` is needed.
    mask : ndarray of uint8
        The packed mask that `relu` returned, instead of `x`.  A mask has no shape: any other mask of as many bytes is
        accepted, and the result is wrong.
    out : ndarray, optional
        Where the result is stored; may be `grad` or `x`.

    Returns
    -------
    ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If not exactly one of `x`, `output` and `mask` is given, if `mask` is not of uint8, or for an unsupported dtype.
    ValueError
        If the shapes differ, or if `mask` is not contiguous or not as long as `grad` needs.

    See Also
    --------
    relu

    Notes
    -----
    The derivative at 0 and at NaN is 0, and where it is 0 the result is 0 even for an infinite or NaN `grad`.

    References
    ----------
    V. Nair and G. E. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.relu_backward(np.array([5.0, 5.0, 5.0]), np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 5.])
    """
    if mask is not None:
        return _from_mask(LEAKY_RELU_BACKWARD_MASKED, "relu_backward", grad, x, output, mask, NO_NUMBER, out)
    if (x is None) != (output is None):
        y = _short(LEAKY_relu_backward, grad, x if output is None else output, out, NO_NUMBER)
        if y is not None:
            return y
    return _backward("relu_backward", grad, x, output, out=out)


def leaky_relu(x, negative_slope=0.01, *, out=None, where=True, dtype=None, return_mask=False):
    """
    Leaky rectified linear unit, element by element.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } negative\\_slope \\cdot x

    Parameters
    ----------
    x : array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    negative_slope : float or array_like, optional
        Slope for x <= 0.  A number never changes the result's dtype and is rounded to it once; an array broadcasts
        against `x`.  Any value is allowed, negative, above 1 and NaN included.
    out : ndarray, optional
        Where the result is stored, as in `numpy.exp`; `x` itself for an in-place call.
    where : array_like of bool, optional
        Where to compute, as in `numpy.exp`.
    dtype : dtype, optional
        The dtype to compute in, as in `numpy.exp`.
    return_mask : bool, optional
        Return the packed mask too: all that the backward function needs.  NumPy and CuPy arrays only, and without
        `where`; `out` may be `x`, whatever the slope.

    Returns
    -------
    y : ndarray or scalar
        Same shape, memory order and container as `x` (an array of slopes may enlarge the shape, as NumPy
        broadcasts); float64 for integers and bool, otherwise the dtype of `x`.
    mask : ndarray of uint8
        Only with ``return_mask=True``: one bit per element, set where x > 0, in C order whatever the memory order, the
        first in the lowest bit: ``np.packbits(x > 0, bitorder="little")``.

    Raises
    ------
    TypeError
        If the dtype of `x` is complex, object, a string or a date, if `negative_slope` is neither a number nor an
        array, or if NumPy and CuPy arrays are mixed.
    ValueError
        If an array of slopes does not broadcast with `x`; if `return_mask` is combined with `where` or an array of
        slopes, or if `out` then has another shape.

    See Also
    --------
    leaky_relu_backward, prelu, unpack_mask

    Notes
    -----
    The result is the one multiplication, correctly rounded: equal bits on every CPU and layout.  0, -0.0 and
    NaN take the negative branch, so -inf with slope 0 is NaN.

    References
    ----------
    A. L. Maas, A. Y. Hannun and A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models",
    ICML 2013.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.leaky_relu(np.array([-2.0, 0.0, 3.0]), 0.1)
    array([-0.2,  0. ,  3. ])

    One bit per element is enough for the gradient:

    >>> y, mask = pyleaky.leaky_relu(np.array([-2.0, 0.0, 3.0]), 0.1, return_mask=True)
    >>> mask
    array([4], dtype=uint8)
    >>> pyleaky.leaky_relu_backward(np.ones(3), mask=mask, negative_slope=0.1)
    array([0.1, 0.1, 1. ])
    """
    if return_mask is not False and flag("return_mask", return_mask):
        return _with_mask(LEAKY_LEAKY_RELU_MASKED, "leaky_relu", x, negative_slope, out, where, dtype)
    if where is True and dtype is None:
        y = _short(LEAKY_leaky_relu, x, None, out, negative_slope)
        if y is not None:
            return y
    return _call("leaky_relu", [("x", x), ("negative_slope", negative_slope)], out, where, dtype)


def leaky_relu_backward(grad, x=None, negative_slope=0.01, *, output=None, mask=None, out=None):
    """
    Gradient of `leaky_relu` with respect to its input.

    Repeat the parameters of the forward call: negative_slope.

    .. math:: dx = grad \\text{ if } x > 0, \\text{ else } negative\\_slope \\cdot grad

    Parameters
    ----------
    grad : array_like
        Gradient of the loss with respect to the output.
    x : array_like
        What `leaky_relu` was given; same shape as `grad`.
    negative_slope : float or array_like, optional
        The slope that `leaky_relu` was given.
    output : array_like
        What `leaky_relu` returned, instead of `x`; exactly one of `x`, `output` and `mask` is needed.  The
        slope must then be a number and at least 0, so that the output has the sign of `x`.
    mask : ndarray of uint8
        The packed mask that `leaky_relu` returned, instead of `x`.  The slope must then be a number; any will do.  A
        mask has no shape: any other mask of as many bytes is accepted, and the result is wrong.
    out : ndarray, optional
        Where the result is stored; may be `grad` or `x`.

    Returns
    -------
    ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If not exactly one of `x`, `output` and `mask` is given, if `negative_slope` is neither a number nor an array,
        if `mask` is not of uint8, or for an unsupported dtype.
    ValueError
        If the shapes differ, if `output` is given with a negative, NaN or array slope, if `mask` is given with an
        array of slopes, or if it is not contiguous or not as long as `grad` needs.

    See Also
    --------
    leaky_relu

    Notes
    -----
    The derivative at 0 is the slope.

    References
    ----------
    A. L. Maas, A. Y. Hannun and A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models",
    ICML 2013.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> pyleaky.leaky_relu_backward(np.ones(3), x, 0.1)
    array([0.1, 0.1, 1. ])
    >>> y = pyleaky.leaky_relu(x, 0.1, out=x)  # x is gone, its output is enough
    >>> pyleaky.leaky_relu_backward(np.ones(3), output=y, negative_slope=0.1)
    array([0.1, 0.1, 1. ])
    """
    if mask is not None:
        return _from_mask(LEAKY_LEAKY_RELU_BACKWARD_MASKED, "leaky_relu_backward", grad, x, output, mask,
                          negative_slope, out)
    if output is None:
        if x is not None:
            y = _short(LEAKY_leaky_relu_backward, grad, x, out, negative_slope)
            if y is not None:
                return y
    elif x is None and PyFloat_CheckExact(negative_slope) and PyFloat_AS_DOUBLE(negative_slope) >= 0:
        y = _short(LEAKY_leaky_relu_backward, grad, output, out, negative_slope)
        if y is not None:
            return y
    return _backward("leaky_relu_backward", grad, x, output, ("negative_slope", negative_slope), out)


def unpack_mask(mask, shape):
    """
    Booleans of a packed mask: where x > 0.

    .. math:: b_i = \\lfloor m_{\\lfloor i / 8 \\rfloor} / 2^{i \\bmod 8} \\rfloor \\bmod 2

    Parameters
    ----------
    mask : ndarray of uint8
        What `relu` or `leaky_relu` returned with ``return_mask=True``.
    shape : int or tuple of ints
        The shape of x.

    Returns
    -------
    ndarray of bool
        Of that shape, in C order.

    Raises
    ------
    TypeError
        If `mask` is not an array of uint8, or `shape` does not consist of integers.
    ValueError
        If `mask` is not as long as the shape needs, or a length is negative.

    See Also
    --------
    leaky_relu, numpy.unpackbits

    References
    ----------
    pyleaky's own format, which is that of `numpy.packbits` with ``bitorder="little"``.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> y, mask = pyleaky.leaky_relu(np.array([[-2.0, 0.0, 3.0]]), return_mask=True)
    >>> pyleaky.unpack_mask(mask, y.shape)
    array([[False, False,  True]])
    """
    lengths = shape if np.iterable(shape) else (shape,)
    shape = tuple(index("shape", length, -(2**63), 2**63) for length in lengths)
    if any(length < 0 for length in shape):
        raise ValueError(f"shape must not be negative, got {shape}")
    back_end = _back_end([("mask", mask)])
    module = back_end.cupy if _is_gpu(back_end) else np
    count = math.prod(shape)
    mask = _check_mask_length(mask, back_end, count, f"shape {shape}")
    with _on(back_end, [("mask", mask)]):
        return module.unpackbits(mask, bitorder="little")[:count].astype(bool).reshape(shape)


def elu(x, alpha=1.0, *, out=None, where=True, dtype=None):
    """
    Exponential linear unit, element by element.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } alpha \\cdot (e^x - 1)

    Parameters
    ----------
    x : array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    alpha : float or array_like, optional
        Minus the limit for x towards -inf.  A number never changes the result's dtype and is rounded to it once; an
        array broadcasts against `x`.  Any finite number is allowed, 0 and negative ones included, and NaN.
    out : ndarray, optional
        Where the result is stored, as in `numpy.exp`; `x` itself for an in-place call.
    where : array_like of bool, optional
        Where to compute, as in `numpy.exp`.
    dtype : dtype, optional
        The dtype to compute in, as in `numpy.exp`.

    Returns
    -------
    ndarray or scalar
        Same shape, memory order and container as `x` (an array of alphas may enlarge the shape, as NumPy
        broadcasts); float64 for integers and bool, otherwise the dtype of `x`.

    Raises
    ------
    TypeError
        If the dtype of `x` is complex, object, a string or a date, if `alpha` is neither a number nor an array, or if
        NumPy and CuPy arrays are mixed.
    ValueError
        If `alpha` is an infinite number, or an array that does not broadcast with `x`.

    See Also
    --------
    elu_backward, elu_double_backward, celu, selu

    Notes
    -----
    No digit is lost near 0: -1e-30 gives -1e-30.  0, -0.0 and NaN take the negative branch.

    References
    ----------
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by exponential linear
    units (ELUs)", arXiv:1511.07289, 2015 (ICLR 2016).

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.elu(np.array([-2.0, 0.0, 3.0]))
    array([-0.86466472,  0.        ,  3.        ])
    """
    if where is True and dtype is None and _is_alpha(alpha, True):
        y = _short(LEAKY_elu, x, None, out, alpha)
        if y is not None:
            return y
    return _call("elu", [("x", x), ("alpha", _alpha(alpha))], out, where, dtype)


def elu_backward(grad, x=None, alpha=1.0, *, output=None, out=None):
    """
    Gradient of `elu` with respect to its input.

    Repeat the parameters of the forward call: alpha.

    .. math:: dx = grad \\text{ if } x > 0, \\text{ else } alpha \\cdot e^x \\cdot grad

    Parameters
    ----------
    grad : array_like
        Gradient of the loss with respect to the output.
    x : array_like
        What `elu` was given; same shape as `grad`.
    alpha : float or array_like, optional
        What `elu` was given.
    output : array_like
        What `elu` returned, instead of `x`; exactly one of the two is needed.  `alpha` must then be a
        number and at least 0, so that the output has the sign of `x`.
    out : ndarray, optional
        Where the result is stored; may be `grad` or `x`.

    Returns
    -------
    ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If neither or both of `x` and `output` are given, if `alpha` is neither a number nor an array, or for an
        unsupported dtype.
    ValueError
        If the shapes differ, if `alpha` is an infinite number or does not broadcast to the shape of `x`, or if `output`
        is given with a negative, NaN or array `alpha`.

    See Also
    --------
    elu, elu_double_backward

    Notes
    -----
    The derivative at 0 is `alpha`.  From `output` the factor is ``output + alpha``, rounded: where the output is
    near ``-alpha``, most digits of it are lost, and only `x` gives them.

    References
    ----------
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by exponential linear
    units (ELUs)", arXiv:1511.07289, 2015 (ICLR 2016).

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> pyleaky.elu_backward(np.ones(3), x)
    array([0.13533528, 1.        , 1.        ])
    >>> y = pyleaky.elu(x, out=x)  # x is gone, its output is enough
    >>> pyleaky.elu_backward(np.ones(3), output=y)
    array([0.13533528, 1.        , 1.        ])
    """
    if _is_alpha(alpha, True):
        dx = _short_backward(LEAKY_elu_backward, LEAKY_elu_backward_from_output, grad, x, output, out, alpha)
        if dx is not None:
            return dx
    return _backward("elu_backward", grad, x, output, ("alpha", _alpha(alpha)), out)


def elu_double_backward(gg, grad, x, alpha=1.0):
    """
    Gradients of `elu_backward` with respect to grad and to x, as a gradient penalty needs them.

    Repeat the parameters of the forward call: alpha.

    .. math::
        (gg \\cdot f'(x), \\; gg \\cdot grad \\cdot f''(x)), \\qquad
        f''(x) = 0 \\text{ if } x > 0, \\text{ else } alpha \\cdot e^x

    Parameters
    ----------
    gg : array_like
        Gradient of the loss with respect to the result of `elu_backward`.
    grad : array_like
        What `elu_backward` was given; same shape as `gg`.
    x : array_like
        What `elu_backward` was given; same shape as `gg`.
    alpha : float or array_like, optional
        What `elu` was given.

    Returns
    -------
    dgrad : ndarray or scalar
        Gradient of the loss with respect to `grad`, same shape.
    dx : ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If `alpha` is neither a number nor an array, or for an unsupported dtype.
    ValueError
        If the shapes differ, or if `alpha` is an infinite number or does not broadcast to the shape of `x`.

    See Also
    --------
    elu, elu_backward

    Notes
    -----
    At 0 the second derivative is the negative branch's, `alpha`.

    References
    ----------
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by exponential linear
    units (ELUs)", arXiv:1511.07289, 2015 (ICLR 2016).

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> dgrad, dx = pyleaky.elu_double_backward(np.ones(3), np.full(3, 2.0), x)
    >>> dgrad
    array([0.13533528, 1.        , 1.        ])
    >>> dx
    array([0.27067057, 2.        , 0.        ])
    """
    return _double_backward("elu", gg, grad, x, ("alpha", _alpha(alpha)))


def celu(x, alpha=1.0, *, out=None, where=True, dtype=None):
    """
    Continuously differentiable exponential linear unit, element by element.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } alpha \\cdot (e^{x / alpha} - 1)

    Parameters
    ----------
    x : array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    alpha : float or array_like, optional
        Minus the limit for x towards -inf, and the width of the bend.  A number never changes the result's dtype and
        is rounded to it once; an array broadcasts against `x`.  Any finite number but 0 is allowed, and NaN.
    out : ndarray, optional
        Where the result is stored, as in `numpy.exp`; `x` itself for an in-place call.
    where : array_like of bool, optional
        Where to compute, as in `numpy.exp`.
    dtype : dtype, optional
        The dtype to compute in, as in `numpy.exp`.

    Returns
    -------
    ndarray or scalar
        Same shape, memory order and container as `x` (an array of alphas may enlarge the shape, as NumPy
        broadcasts); float64 for integers and bool, otherwise the dtype of `x`.

    Raises
    ------
    TypeError
        If the dtype of `x` is complex, object, a string or a date, if `alpha` is neither a number nor an array, or if
        NumPy and CuPy arrays are mixed.
    ValueError
        If `alpha` is an infinite number or 0, or an array that does not broadcast with `x`.

    See Also
    --------
    celu_backward, celu_double_backward, elu, selu

    Notes
    -----
    With `alpha` 1 this is `elu`; with any other it has a continuous derivative, which `elu` has not.  No digit is lost
    near 0: -1e-30 gives -1e-30.  0, -0.0 and NaN take the negative branch.

    References
    ----------
    J. T. Barron, "Continuously differentiable exponential linear units", arXiv:1704.07483, 2017.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.celu(np.array([-2.0, 0.0, 3.0]), 2.0)
    array([-1.26424112,  0.        ,  3.        ])
    """
    if where is True and dtype is None and _is_alpha(alpha, False):
        y = _short(LEAKY_celu, x, None, out, alpha)
        if y is not None:
            return y
    return _call("celu", [("x", x), ("alpha", _alpha(alpha, divisor_of="celu"))], out, where, dtype)


def celu_backward(grad, x=None, alpha=1.0, *, output=None, out=None):
    """
    Gradient of `celu` with respect to its input.

    Repeat the parameters of the forward call: alpha.

    .. math:: dx = grad \\text{ if } x > 0, \\text{ else } e^{x / alpha} \\cdot grad

    Parameters
    ----------
    grad : array_like
        Gradient of the loss with respect to the output.
    x : array_like
        What `celu` was given; same shape as `grad`.
    alpha : float or array_like, optional
        What `celu` was given.
    output : array_like
        What `celu` returned, instead of `x`; exactly one of the two is needed.  `alpha` must then be a
        number above 0, so that the output has the sign of `x`.
    out : ndarray, optional
        Where the result is stored; may be `grad` or `x`.

    Returns
    -------
    ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If neither or both of `x` and `output` are given, if `alpha` is neither a number nor an array, or for an
        unsupported dtype.
    ValueError
        If the shapes differ, if `alpha` is an infinite number or 0 or does not broadcast to the shape of `x`, or if
        `output` is given with a negative, NaN or array `alpha`.

    See Also
    --------
    celu, celu_double_backward

    Notes
    -----
    The derivative at 0 is 1, whatever `alpha` is.  From `output` the factor is ``output / alpha + 1``, rounded: where
    the output is near ``-alpha``, most digits of it are lost, and only `x` gives them.

    References
    ----------
    J. T. Barron, "Continuously differentiable exponential linear units", arXiv:1704.07483, 2017.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> pyleaky.celu_backward(np.ones(3), x, 2.0)
    array([0.36787944, 1.        , 1.        ])
    >>> y = pyleaky.celu(x, 2.0, out=x)  # x is gone, its output is enough
    >>> pyleaky.celu_backward(np.ones(3), output=y, alpha=2.0)
    array([0.36787944, 1.        , 1.        ])
    """
    if _is_alpha(alpha, False):
        dx = _short_backward(LEAKY_celu_backward, LEAKY_celu_backward_from_output, grad, x, output, out, alpha)
        if dx is not None:
            return dx
    return _backward("celu_backward", grad, x, output, ("alpha", _alpha(alpha, divisor_of="celu")), out)


def celu_double_backward(gg, grad, x, alpha=1.0):
    """
    Gradients of `celu_backward` with respect to grad and to x, as a gradient penalty needs them.

    Repeat the parameters of the forward call: alpha.

    .. math::
        (gg \\cdot f'(x), \\; gg \\cdot grad \\cdot f''(x)), \\qquad
        f''(x) = 0 \\text{ if } x > 0, \\text{ else } e^{x / alpha} / alpha

    Parameters
    ----------
    gg : array_like
        Gradient of the loss with respect to the result of `celu_backward`.
    grad : array_like
        What `celu_backward` was given; same shape as `gg`.
    x : array_like
        What `celu_backward` was given; same shape as `gg`.
    alpha : float or array_like, optional
        What `celu` was given.

    Returns
    -------
    dgrad : ndarray or scalar
        Gradient of the loss with respect to `grad`, same shape.
    dx : ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If `alpha` is neither a number nor an array, or for an unsupported dtype.
    ValueError
        If the shapes differ, or if `alpha` is an infinite number or 0 or does not broadcast to the shape of `x`.

    See Also
    --------
    celu, celu_backward

    Notes
    -----
    At 0 the second derivative is the negative branch's, ``1 / alpha``.

    References
    ----------
    J. T. Barron, "Continuously differentiable exponential linear units", arXiv:1704.07483, 2017.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> dgrad, dx = pyleaky.celu_double_backward(np.ones(3), np.full(3, 2.0), x, 2.0)
    >>> dgrad
    array([0.36787944, 1.        , 1.        ])
    >>> dx
    array([0.36787944, 1.        , 0.        ])
    """
    return _double_backward("celu", gg, grad, x, ("alpha", _alpha(alpha, divisor_of="celu")))


def selu(x, *, out=None, where=True, dtype=None):
    """
    Scaled exponential linear unit, element by element.

    .. math:: y = scale \\cdot (x \\text{ if } x > 0, \\text{ else } alpha \\cdot (e^x - 1))

    with scale = `SELU_SCALE` and alpha = `SELU_ALPHA`.

    Parameters
    ----------
    x : array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    out : ndarray, optional
        Where the result is stored, as in `numpy.exp`; `x` itself for an in-place call.
    where : array_like of bool, optional
        Where to compute, as in `numpy.exp`.
    dtype : dtype, optional
        The dtype to compute in, as in `numpy.exp`.

    Returns
    -------
    ndarray or scalar
        Same shape, memory order and container as `x`; float64 for integers and bool, otherwise the dtype of `x`.

    Raises
    ------
    TypeError
        If the dtype of `x` is complex, object, a string or a date, or if NumPy and CuPy arrays are mixed.

    See Also
    --------
    selu_backward, selu_double_backward, elu, celu

    Notes
    -----
    The constants make layers with LeCun-normal weights (variance 1 / fan_in) keep mean 0 and variance 1.  scale * alpha
    is one constant, folded before it is rounded.  0, -0.0 and NaN take the negative branch.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.selu(np.array([-2.0, 0.0, 3.0]))
    array([-1.52016647,  0.        ,  3.15210296])
    >>> pyleaky.SELU_SCALE, pyleaky.SELU_ALPHA
    (1.0507009873554805, 1.6732632423543772)
    """
    if where is True and dtype is None:
        y = _short(LEAKY_selu, x, None, out, NO_NUMBER)
        if y is not None:
            return y
    return _call("selu", [("x", x)], out, where, dtype)


def selu_backward(grad, x=None, *, output=None, out=None):
    """
    Gradient of `selu` with respect to its input.

    Repeat the parameters of the forward call; `selu` has none.

    .. math:: dx = scale \\cdot grad \\text{ if } x > 0, \\text{ else } scale \\cdot alpha \\cdot e^x \\cdot grad

    Parameters
    ----------
    grad : array_like
        Gradient of the loss with respect to the output.
    x : array_like
        What `selu` was given; same shape as `grad`.
    output : array_like
        What `selu` returned, instead of `x`; exactly one of the two is needed.
    out : ndarray, optional
        Where the result is stored; may be `grad` or `x`.

    Returns
    -------
    ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If neither or both of `x` and `output` are given, or for an unsupported dtype.
    ValueError
        If the shapes differ.

    See Also
    --------
    selu, selu_double_backward

    Notes
    -----
    The derivative at 0 is scale * alpha.  From `output` the factor is ``output + scale * alpha``, rounded: where the
    output is near ``-scale * alpha``, most digits of it are lost, and only `x` gives them.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> pyleaky.selu_backward(np.ones(3), x)
    array([0.23793287, 1.75809934, 1.05070099])
    >>> y = pyleaky.selu(x, out=x)  # x is gone, its output is enough
    >>> pyleaky.selu_backward(np.ones(3), output=y)
    array([0.23793287, 1.75809934, 1.05070099])
    """
    dx = _short_backward(LEAKY_selu_backward, LEAKY_selu_backward_from_output, grad, x, output, out, NO_NUMBER)
    if dx is not None:
        return dx
    return _backward("selu_backward", grad, x, output, out=out)


def selu_double_backward(gg, grad, x):
    """
    Gradients of `selu_backward` with respect to grad and to x, as a gradient penalty needs them.

    Repeat the parameters of the forward call; `selu` has none.

    .. math::
        (gg \\cdot f'(x), \\; gg \\cdot grad \\cdot f''(x)), \\qquad
        f''(x) = 0 \\text{ if } x > 0, \\text{ else } scale \\cdot alpha \\cdot e^x

    Parameters
    ----------
    gg : array_like
        Gradient of the loss with respect to the result of `selu_backward`.
    grad : array_like
        What `selu_backward` was given; same shape as `gg`.
    x : array_like
        What `selu_backward` was given; same shape as `gg`.

    Returns
    -------
    dgrad : ndarray or scalar
        Gradient of the loss with respect to `grad`, same shape.
    dx : ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        For an unsupported dtype.
    ValueError
        If the shapes differ.

    See Also
    --------
    selu, selu_backward

    Notes
    -----
    At 0 the second derivative is the negative branch's, scale * alpha.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-2.0, 0.0, 3.0])
    >>> dgrad, dx = pyleaky.selu_double_backward(np.ones(3), np.full(3, 2.0), x)
    >>> dgrad
    array([0.23793287, 1.75809934, 1.05070099])
    >>> dx
    array([0.47586574, 3.51619868, 0.        ])
    """
    return _double_backward("selu", gg, grad, x)


def prelu(x, weight, *, axis=None, out=None, where=True, dtype=None):
    """
    Parametric rectified linear unit: a leaky ReLU whose slope is learned.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } weight \\cdot x

    Parameters
    ----------
    x : array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    weight : float or array_like
        The slopes: one number, an array that broadcasts against `x`, or with `axis` one slope per index of those axes.
    axis : int or str or tuple of them, optional
        The axes of `x` that the axes of `weight` belong to, in order: ``axis=1`` for channels first, ``axis=-1``
        for channels last; for a DataArray of xarray also the names of its dimensions.
    out : ndarray, optional
        Where the result is stored, as in `numpy.exp`; `x` itself for an in-place call.
    where : array_like of bool, optional
        Where to compute, as in `numpy.exp`.
    dtype : dtype, optional
        The dtype to compute in, as in `numpy.exp`.

    Returns
    -------
    ndarray or scalar
        Same shape, memory order and container as `x`.

    Raises
    ------
    TypeError
        As `leaky_relu`.
    ValueError
        If `weight` does not fit `axis` or does not broadcast to the shape of `x`, if `axis` is out of range, repeated
        or a name that `x` does not have, or if a weight of one dimension meets an `x` of more than two without `axis`.

    See Also
    --------
    prelu_backward, leaky_relu

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
    classification", ICCV 2015.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = -np.ones((1, 2, 1, 3))
    >>> pyleaky.prelu(x, np.array([0.1, 0.5]), axis=1)
    array([[[[-0.1, -0.1, -0.1]],
    <BLANKLINE>
            [[-0.5, -0.5, -0.5]]]])
    """
    if where is True and dtype is None:
        if axis is not None:
            y = _short_channels(LEAKY_leaky_relu, x, None, weight, axis, out)
        else:
            y = _short(LEAKY_leaky_relu, x, None, out, weight) if PyFloat_CheckExact(weight) else None
        if y is not None:
            return y
    _back_end([("x", x), ("weight", weight)])
    x = operand("x", x)
    laid, _ = _lay(*_by_position("weight", weight, x, axis))
    _check_keeps_shape("weight", laid, shape_of(x))
    return _call("leaky_relu", [("x", x), ("weight", laid)], out, where, dtype)


def _weight_groups(shape, laid_shape):
    """
    [n, w, n, w, ..., n]: how many neighbouring elements share a weight, have one each, share one again, from the first
    axis to the last; None where a weight is laid along part of an axis.
    """
    padded = (1,) * (len(shape) - len(laid_shape)) + laid_shape
    groups = [1]
    for length, weights in zip(shape, padded):
        if weights not in (1, length):
            return None
        has_own = len(groups) % 2 == 0
        if length != 1 and has_own != (weights == length):
            groups.append(1)
        groups[-1] *= length
    if len(groups) == 1:  # one weight for all
        return [1, 1, *groups]
    return groups if len(groups) % 2 else [*groups, 1]


cdef object _one_pass(object grad, object x, object laid, tuple laid_shape):
    # dx and the gradient of the weight in the shape that it is laid in, in float64 where it is a sum; None where grad
    # and x are not in one order without gaps, or few elements lie between weights.
    cdef cnp.ndarray a, b, dx, total
    cdef ptrdiff_t lengths[2 * LEAKY_MAX_DIMS + 1]
    cdef const char *weights = NULL
    cdef double number = 0
    cdef int code, status, k, count

    turn = _in_memory_order([x, grad])
    if turn is not None and (isinstance(laid, float) or type(laid) is np.ndarray) and len(laid_shape) <= x.ndim:
        back, turned = np.argsort(turn), laid
        if laid_shape:
            padded = laid.reshape((1,) * (x.ndim - laid.ndim) + laid_shape)
            turned = np.ascontiguousarray(padded.transpose(turn))
        result = _one_pass(grad.transpose(turn), x.transpose(turn), turned, turned.shape if laid_shape else ())
        if result is None:
            return None
        sums = result[1].transpose(back).reshape(laid_shape) if laid_shape else result[1]
        return result[0].transpose(back), sums
    if not _is_plain(x) or not _is_twin(grad, x) or not cnp.PyArray_IS_C_CONTIGUOUS(x):
        return None
    a = <cnp.ndarray>grad
    b = <cnp.ndarray>x
    if isinstance(laid, float):
        number = laid
        groups = [b.size]
    else:
        if not _is_plain(laid) or not cnp.PyArray_IS_C_CONTIGUOUS(laid) or laid.ndim > b.ndim or laid.dtype != b.dtype:
            return None
        weights = <const char *>cnp.PyArray_DATA(<cnp.ndarray>laid)
        groups = _weight_groups(x.shape, laid_shape)
        if groups is None or (len(groups) > 3 and math.prod(groups[-3:]) < FEWEST_BETWEEN):
            return None
    code = dtype_of(cnp.PyArray_TYPE(b))
    dx = empty_like(b)
    if groups == [1, b.size, 1]:
        total = np.empty(laid_shape, b.dtype)
        keep_limit()
        with nogil:
            run_prelu_backward_each(code, <const char *>cnp.PyArray_DATA(a), <const char *>cnp.PyArray_DATA(b), weights,
                                    <char *>cnp.PyArray_DATA(dx), <char *>cnp.PyArray_DATA(total),
                                    cnp.PyArray_SIZE(b))
        return dx, total
    total = np.empty(laid_shape, np.float64)  # without a dtype NumPy 2.4.6 leaves a reference to it behind
    count = len(groups)
    for k in range(count):
        lengths[k] = groups[k]
    keep_limit()
    with nogil:
        status = run_prelu_backward(code, <const char *>cnp.PyArray_DATA(a), <const char *>cnp.PyArray_DATA(b), weights,
                                    number, <char *>cnp.PyArray_DATA(dx), <double *>cnp.PyArray_DATA(total), lengths,
                                    count)
    if status:
        raise MemoryError("no memory for the sums of weight's gradient")
    return dx, total


def _in_one_order(grad, x, laid):
    """Copies for `_one_pass` of arrays in no common order or with gaps; None where they are of several dtypes."""
    if type(x) is not np.ndarray or type(grad) is not np.ndarray or (_is_plain(x) and _is_twin(grad, x)):
        return None
    dtype = x.dtype.newbyteorder("=")
    if grad.dtype.newbyteorder("=") != dtype or not _core.supports(dtype):
        return None
    if not isinstance(laid, float):
        if type(laid) is not np.ndarray or laid.dtype.newbyteorder("=") != dtype:
            return None
        laid = np.ascontiguousarray(laid, dtype)
    copies = np.empty_like(x, dtype), np.empty_like(x, dtype)
    for copy, array in zip(copies, (grad, x)):
        np.copyto(copy, array)
    return copies[0], copies[1], laid


def _shared_axes(shape, laid_shape):
    """The axes along which elements share a weight that is laid to broadcast to `shape`."""
    missing = len(shape) - len(laid_shape)
    return tuple(k for k in range(len(shape)) if k < missing or (laid_shape[k - missing] == 1 != shape[k]))


def _prelu_gradients(grad, x, laid, back_end=None):
    """dx, and the gradient of the weight in the shape that it is laid in: in float64 where it is a sum."""
    laid_shape = () if isinstance(laid, float) else shape_of(laid)
    if back_end is None:
        back_end = _back_end([("grad", grad), ("x", x), ("weight", laid)])
    if back_end is not None:
        return back_end.prelu_backward(grad, x, laid, laid_shape)
    found = _one_pass(grad, x, laid, laid_shape)
    if found is None and (copies := _in_one_order(grad, x, laid)) is not None:
        found = _one_pass(copies[0], copies[1], copies[2], laid_shape)
    if found is not None:
        return found
    dx = _backward("leaky_relu_backward", grad, x, None, ("weight", laid))
    summed = _shared_axes(shape_of(x), laid_shape)
    with np.errstate(all="ignore"):
        total = _call("prelu_weight_grad", [("grad", grad), ("x", x)], dtype=np.float64)
        if summed:
            total = np.sum(total, axis=summed if len(summed) < total.ndim else None)
    return dx, total.reshape(laid_shape)


def _checked_prelu_backward(grad, x, weight, axis, back_end):
    grad, x = operand("grad", grad), operand("x", x)
    laid, order = _lay(weight, x, axis)
    _check_equal_shapes("grad", grad, "x", x)
    _check_keeps_shape("weight", laid, shape_of(x))
    dx, total = _prelu_gradients(grad, x, laid, back_end)
    # A CuPy array of no dimensions stays one, but it is a number as others are.
    dtype = dx.dtype if kind_of(laid) == "gpu" and laid.ndim == 0 else getattr(laid, "dtype", dx.dtype)
    if isinstance(dtype, np.dtype) and total.dtype == np.float64:
        with np.errstate(all="ignore"):
            total = _cast(total, dtype if _core.supports(dtype) else dx.dtype)
    if isinstance(laid, float):
        total = total[()]
    elif order is not None:
        laid_shape = shape_of(laid)
        kept = [laid_shape[k] for k in sorted(axis_indices("axis", axis, len(laid_shape)))]
        total = _permuted(_reshaped(total, kept), sorted(range(len(order)), key=order.__getitem__))
    if not isinstance(laid, float):
        total = _reshaped(total, shape_of(weight))
    return dx, total


def prelu_backward(grad, x, weight, *, axis=None):
    """
    Gradients of `prelu` with respect to its input and its weight.

    Repeat the parameters of the forward call: weight and axis.

    .. math::
        dx = grad \\text{ if } x > 0, \\text{ else } weight \\cdot grad, \\qquad
        dweight = \\sum (0 \\text{ if } x > 0, \\text{ else } grad \\cdot x)

    where the sum is over all elements that share a weight.

    Parameters
    ----------
    grad : array_like
        Gradient of the loss with respect to the output.
    x : array_like
        What `prelu` was given; same shape as `grad`.
    weight : float or array_like
        What `prelu` was given.
    axis : int or str or tuple of them, optional
        What `prelu` was given.

    Returns
    -------
    dx : ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.
    dweight : ndarray or scalar
        Gradient of the loss with respect to `weight`, same shape.  The products and their sum are in float64; the
        result has the dtype of `weight`, or that of `dx` where `weight` is a number or an array of integers.

    Raises
    ------
    TypeError
        As `leaky_relu`.
    ValueError
        As `prelu`, and if the shapes of `grad` and `x` differ or `weight` does not broadcast to the shape of
        `x`.

    See Also
    --------
    prelu

    Notes
    -----
    Arrays in C order, or in one other order without gaps, are read once, unless fewer than 512 elements lie between
    axes of the weight that are not neighbours.  The order of the additions depends on shape and layout alone, not on
    the CPU or the number of threads; for float64 what the roundings cut off is added at the end.  On a GPU, sums of
    float32 and half types are pairs of float32: about as exact, but infinite beyond its range.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
    classification", ICCV 2015.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([[-1.0, 2.0], [-3.0, -4.0]])
    >>> dx, dweight = pyleaky.prelu_backward(np.ones((2, 2)), x, np.array([0.1, 0.5]))
    >>> dx
    array([[0.1, 1. ],
           [0.1, 0.5]])
    >>> dweight
    array([-4., -4.])
    """
    _, _, axis = _by_position("weight", weight, x, axis)
    ((_, grad), (_, x)), wrap = _unwrap([("grad", grad), ("x", x)])
    ((_, weight),), wrap_weight = _unwrap([("weight", weight)])
    back_end = _back_end([("grad", grad), ("x", x), ("weight", weight)])
    with _on(back_end, [("grad", grad), ("x", x), ("weight", weight)]):
        dx, total = _checked_prelu_backward(grad, x, weight, axis, back_end)
    return dx if wrap is None else wrap(dx), total if wrap_weight is None else wrap_weight(total)


wrap_all(
    tuple(value for name, value in globals().items() if not name.startswith("_") and type(value) is type(relu)),
    explanation, <void *>enter_environment, <void *>leave_environment,
)
