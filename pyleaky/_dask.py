"""Dask: the functions of NumPy's and CuPy's arrays, block by block and lazily.

Each block goes through the function that an array of its kind would go through, so that blocks may be CuPy's.  Where a
gradient has sums, a block's share of them is computed in the same pass as its dx, and the shares are added along
Dask's tree: in float64, in an order that depends on the chunks alone.  Imported once a Dask array arrives.
"""

# Dask has types for a part of its functions and may not be installed.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import functools
import math
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from . import _core, _functions, _fused


def call(name: str, values: list[Any], out: Any = None, where: Any = True, dtype: Any = None) -> Any:
    """Run a row on arrays that broadcast against each other; `out` and `where` as Dask's own functions take them."""
    row = _core.ROWS[name]
    number = row.parameters > 0 and np.ndim(values[-1]) == 0
    arrays = values[:-1] if number else values
    given = [type(value) if type(value) in (int, float) else _functions._numpy_dtype(value) for value in arrays]
    dtype = None if dtype is None else np.dtype(dtype)
    result = _core.result_dtype(name, given, number, dtype, getattr(out, "dtype", None))
    if number and not isinstance(values[-1], da.Array):
        function = functools.partial(_run_row, name, dtype, parameter=values[-1])
    else:
        function, arrays = functools.partial(_run_row, name, dtype), values
    label = f"{name}-{tokenize(function, *arrays, where, out)}"
    return da.core.elemwise(function, *arrays, out=out, where=where, dtype=result, name=label)


def _run_row(name: str, dtype: Any, *values: Any, parameter: Any = None, out: Any = None, where: Any = True) -> Any:
    values = values if parameter is None else (*values, parameter)
    operands = list(zip(_core.ROWS[name].inputs, values, strict=True))
    return _functions._call(name, operands, out, where, dtype)


# ---- random numbers, whose index is the one in the whole array


def random(
    name: str, values: list[Any], out: Any, seed: int, start: int, first: float, second: float, strides: Any
) -> Any:
    _refuse_out(out)
    shape = values[0].shape
    if any(math.isnan(length) for length in shape):
        raise ValueError(
            "x has chunks of unknown size, and a random number belongs to an element's index in the whole array: call "
            "compute_chunk_sizes() on it first"
        )
    if strides is None:
        strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
    letters = tuple(range(len(shape)))
    _, arrays = da.core.unify_chunks(*(part for value in values for part in (da.asarray(value), letters)))
    dtype = _fused._common_dtype(arrays)
    function = functools.partial(_run_random, name, seed, start, first, second, tuple(strides))
    token = tokenize(function, *arrays)
    meta = arrays[0]._meta.astype(dtype)
    return da.map_blocks(function, *arrays, dtype=dtype, meta=meta, name=f"{name}-{token}")


def _run_random(
    name: str,
    seed: int,
    start: int,
    first: float,
    second: float,
    strides: tuple[int, ...],
    *blocks: Any,
    block_info: Any = None,
) -> Any:
    location = block_info[0]["array-location"]
    begin = start + sum(low * stride for (low, _), stride in zip(location, strides, strict=True))
    operands = [(f"block {k}", block) for k, block in enumerate(blocks)]
    return _fused.run(name, operands, None, seed, begin, first, second, strides)


# ---- gradients with sums


def prelu_backward(grad: Any, x: Any, laid: Any, laid_shape: tuple[int, ...]) -> Any:
    """dx and the gradient of a weight that is laid to broadcast against x."""
    ndim = max(np.ndim(grad), np.ndim(x))
    padded = (1,) * (ndim - len(laid_shape)) + laid_shape
    grad, x = (da.asarray(value) for value in (grad, x))
    own = [k for k in range(ndim) if k not in _functions._shared_axes(x.shape, padded)]
    number = laid if isinstance(laid, float) else None
    weights = [] if number is not None else [(da.asarray(laid).reshape(padded), tuple(range(ndim)))]
    given = [_functions._numpy_dtype(value) for value in (grad, x, *([] if number is not None else [laid]))]
    dtype = _core.result_dtype("leaky_relu_backward", given, number is not None)
    operands = [(grad, tuple(range(ndim))), (x, tuple(range(ndim))), *weights]
    dx, total = _gradients(functools.partial(_prelu_block, number), operands, own, dtype)
    return dx, total.reshape(laid_shape)


def _prelu_block(number: float | None, grad: Any, x: Any, laid: Any = None) -> tuple[Any, Any]:
    dx, total = _functions._prelu_gradients(grad, x, laid if number is None else number)
    if total.dtype != np.float64:  # a weight for each element of the block, whose share is not to be rounded yet
        total = _functions._call("prelu_weight_grad", [("grad", grad), ("x", x)], dtype=np.float64)
    return dx, total.reshape(np.shape(laid) if number is None else (1,) * x.ndim)


def bias_act(settings: Any, x: Any, bias: Any, axis: int, dtype: Any, out: Any) -> Any:
    _refuse_out(out)
    operands, axis = _beside_bias([x], bias, axis)
    function = functools.partial(_bias_act_block, settings, axis)
    flat = [part for operand in operands for part in operand]
    meta = operands[0][0]._meta.astype(dtype)
    return da.blockwise(function, operands[0][1], *flat, dtype=dtype, meta=meta, token="bias_act")


def _bias_act_block(settings: Any, axis: int, x: Any, bias: Any = None) -> Any:
    return _fused.bias_act_with(settings, x, bias, axis)


def bias_act_backward(settings: Any, given: dict[str, Any], bias: Any, axis: int, dtype: Any, out: Any) -> Any:
    _refuse_out(out)
    operands, axis = _beside_bias(list(given.values()), bias, axis)
    function = functools.partial(_bias_gradients_block, settings, axis, tuple(given))
    dx, total = _gradients(function, operands, [] if bias is None else [axis], dtype)
    return dx, total.reshape(-1)


def _bias_gradients_block(settings: Any, axis: int, names: tuple[str, ...], *blocks: Any) -> tuple[Any, Any]:
    given = dict(zip(names, blocks, strict=False))
    bias = blocks[len(names)] if len(blocks) > len(names) else None
    dx, total = _fused.gradients_with(settings, given, bias, None, axis)
    shape = [1] * dx.ndim
    if bias is not None:
        shape[axis] = len(bias)
        return dx, total.reshape(shape)
    return dx, np.zeros(shape)


def _beside_bias(values: list[Any], bias: Any, axis: int) -> tuple[list[tuple[Any, tuple[int, ...]]], int]:
    values = [da.asarray(value) for value in values]
    letters = tuple(range(values[0].ndim))
    operands = [(value, letters) for value in values]
    if bias is not None:
        axis %= len(letters)
        operands.append((da.asarray(bias), (axis,)))
    return operands, axis


def _gradients(function: Any, operands: list[Any], own: list[int], dtype: Any) -> tuple[Any, Any]:
    """
    dx and sums of a function that gives both for a block, the sums with a 1 for each axis that is not in `own`.

    One task computes both: Dask does not fuse what two others need.
    """
    letters = operands[0][1]
    flat = [part for operand in operands for part in operand]
    meta = operands[0][0]._meta
    nothing = np.empty((0,) * len(letters), object)
    both = da.blockwise(function, letters, *flat, dtype=object, meta=nothing, token="gradients")
    dx = both.map_blocks(_part, 0, dtype=dtype, meta=meta.astype(dtype))
    shared = tuple(k for k in letters if k not in own)
    chunks = [both.chunks[k] if k in own else (1,) * both.numblocks[k] for k in letters]
    shares = both.map_blocks(_part, 1, dtype=np.float64, chunks=chunks, meta=meta.astype(np.float64))
    return dx, shares.sum(axis=shared, keepdims=True, dtype=np.float64)


def _part(both: tuple[Any, Any], k: int) -> Any:
    return both[k]


def _refuse_out(out: Any) -> None:
    if out is not None:
        raise TypeError("out cannot be combined with Dask arrays, which are computed later")
