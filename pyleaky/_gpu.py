"""CuPy: one ElementwiseKernel per row, made from the text of src/activations.h.

Imported only once a CuPy array arrives.  No formula stands here; a new row appears by itself.  The macros below are
the v_ vocabulary in CUDA, one lane at a time; a new word of the vocabulary gets its line there.  Arguments come checked
from _functions.
"""

from __future__ import annotations

import functools

import cupy
import numpy as np

from . import _core

# T is the type in which CuPy compiles the kernel.
VOCABULARY = """
#define v_set(c) ((T)(c))
#define v_gt(a, b) ((a) > (b))
#define v_lt(a, b) ((a) < (b))
#define v_select(m, a, b) ((m) ? (a) : (b))
#define v_mul(a, b) ((a) * (b))
"""

# No contraction into fma: the bits are those of the CPU.  Subnormals are kept by default.
OPTIONS = ("--fmad=false",)


@functools.cache
def kernel(name):
    row = _core.ROWS[name]
    return cupy.ElementwiseKernel(
        ", ".join(f"T {argument}" for argument in row.inputs),
        "T result",
        f"result = {row.formula}",
        f"pyleaky_{name}",
        preamble=VOCABULARY,
        options=OPTIONS,
    )


@functools.cache
def weight_grad_sum():
    """The row prelu_weight_grad in float64, summed in one pass by CuPy's reduction tree, whose order is fixed."""
    row = _core.ROWS["prelu_weight_grad"]
    arguments = ", ".join(f"double {argument}" for argument in row.inputs)
    return cupy.ReductionKernel(
        ", ".join(f"T {argument}" for argument in row.inputs),
        "float64 total",
        f"pyleaky_term({', '.join(row.inputs)})",
        "a + b",
        "total = a",
        "0",
        "pyleaky_prelu_weight_grad_sum",
        preamble=f"""{VOCABULARY}
__device__ inline double pyleaky_term({arguments}) {{
    typedef double T;
    return {row.formula};
}}
""",
        options=OPTIONS,
    )


def call(name, values, out=None, where=True, dtype=None):
    """Run a row as its ufunc would: the same dtype rules, errors, memory order and safety of overlaps."""
    row = _core.ROWS[name]
    if isinstance(out, tuple):
        (out,) = out
    last = len(values) - 1
    weak = [row.parameters and k == last and np.ndim(value) == 0 for k, value in enumerate(values)]
    compute = getattr(_core, name).resolve_dtypes(
        (*(float if w else _dtype(v) for w, v in zip(weak, values, strict=True)), None if out is None else out.dtype),
        signature=None if dtype is None else (*(None,) * len(values), np.dtype(dtype)),
        casting="same_kind",
    )[-1]
    values = [_operand(value, compute) for value in values]

    shapes = [value.shape for value in values] + [np.shape(where)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " ".join(str(shape).replace(" ", "") for shape in shapes)
        raise ValueError(f"operands could not be broadcast together with shapes {listed}") from None
    if out is not None:
        if np.broadcast_shapes(shape, out.shape) != out.shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {out.shape} doesn't match the broadcast shape {shape}"
            )
        shape = out.shape

    if out is not None and where is True and out.dtype == compute and all(_is_safe(value, out) for value in values):
        return kernel(name)(*values, out)
    likeness = next((value for value in values if value.shape == shape), None)
    result = cupy.empty(shape, compute) if likeness is None else cupy.empty_like(likeness, dtype=compute)
    kernel(name)(*values, result)
    if out is None and where is True:
        return result
    if out is None:
        out = cupy.empty_like(result)
    cupy.copyto(out, result, casting="same_kind", where=where)
    return out


def sum_weight_grad(grad, x, axes, dtype):
    return weight_grad_sum()(_operand(grad, x.dtype), x, axis=axes).astype(dtype)


def _dtype(value):
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


def _operand(value, dtype):
    """On the device, in the dtype to compute in.  A number is rounded once, without a warning if it overflows."""
    if isinstance(value, cupy.ndarray):
        return value.astype(dtype, copy=False)
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype)[()]


def _is_safe(value, out):
    """Whether the kernel may write out while it reads value: the same elements in the same places, or none in common."""
    if not isinstance(value, cupy.ndarray) or not cupy.may_share_memory(value, out):
        return True
    same_place = value.data.ptr == out.data.ptr
    return same_place and value.shape == out.shape and value.strides == out.strides
