"""CuPy: the calls of the kernels whose text _cuda.py makes from src/activations.h.

Imported only once a CuPy array arrives.  No formula and no CUDA stands here: this module decides on dtypes as the
ufuncs do, on layouts, and on the device.  Arrays in one order without gaps are moved in packs of 16 bytes; other
layouts, and parameters that broadcast along several axes, go through CuPy's own indexing.  Nothing here waits for the
device.  Arguments come checked from _functions.

CuPy's own kernels flush subnormal numbers of float32 and bfloat16.  So they only move such arrays here; `cast` converts
them, and what else there is to compute is done in float64 or in integers.
"""

# CuPy has no types and may not be installed.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import cupy
import numpy as np

from . import _arguments, _core, _cuda, _functions

OPTIONS = _cuda.OPTIONS
PACK = 16  # bytes that a thread moves at once
FLOAT_MAX = float(np.finfo(np.float32).max)

# What `quick` asks of every call, without a look-up in a module.
_ndarray, _current_device = cupy.ndarray, cupy.cuda.runtime.getDevice


def _made(source: _cuda.Source) -> Any:
    return cupy.ElementwiseKernel(
        source.inputs, source.outputs, source.operation, source.name, preamble=source.preamble, options=OPTIONS
    )


# ---- kernels, each made once; `wide`: float64, which alone is computed in float64


@functools.cache
def kernel(name: str, wide: bool, numbers: bool) -> Any:
    """The kernel of a row for any layout; with numbers, its parameter has the type that is computed in."""
    number = _core.ROWS[name].inputs[-1] if numbers else None
    return _made(_cuda.elementwise(_cuda.row_body(name), wide, number))


@functools.cache
def vector_kernel(name: str, wide: bool, parameter: str | None) -> Any:
    """The kernel of a row for equal arrays without gaps; its parameter is a "number", one per "channel", or such."""
    kinds = {} if parameter is None else {_core.ROWS[name].inputs[-1]: parameter}
    return _made(_cuda.vectors(_cuda.row_body(name, kinds), wide, True))


@functools.cache
def mask_kernel(name: str, wide: bool, aligned: bool) -> Any:
    return _made(_cuda.vectors(_cuda.masking_body(name), wide, aligned))


@functools.cache
def from_mask_kernel(name: str, wide: bool, aligned: bool) -> Any:
    return _made(_cuda.vectors(_cuda.masked_body(name), wide, aligned))


@functools.cache
def random_kernel(name: str, wide: bool, aligned: bool) -> Any:
    return _made(_cuda.vectors(_cuda.random_body(name), wide, aligned))


@functools.cache
def scattered_kernel(name: str, wide: bool, dims: int) -> Any:
    return _made(_cuda.scattered(_cuda.random_body(name), wide, dims))


@functools.cache
def bias_act_kernel(activation: str, wide: bool, aligned: bool, biased: bool, masks: bool) -> Any:
    return _made(_cuda.vectors(_cuda.bias_act_body(activation, biased, masks), wide, aligned))


@functools.cache
def bias_gradient_kernel(
    activation: str, wide: bool, aligned: bool, source: str, biased: bool, masked: bool, clamps: bool, sums: bool
) -> Any:
    body = _cuda.bias_gradient_body(activation, source, biased, masked, clamps)
    if sums:
        return _made(_cuda.strips(body, wide, aligned, "pyleaky_pair_of(value, 0)"))
    return _made(_cuda.vectors(body, wide, aligned))


@functools.cache
def prelu_backward_kernel(wide: bool, aligned: bool, parameter: str | None) -> Any:
    """
    dx and the sums of the weight's gradient, of which a product keeps all its digits.

    The weight is a "number" or one per "channel"; None: the sums alone.
    """
    term = _core.ROWS["prelu_weight_grad"].formula
    if parameter is None:
        body = _cuda.row_body("prelu_weight_grad")
    else:
        body = _cuda.row_body("leaky_relu_backward", {"slope": parameter})
    return _made(_cuda.strips(body, wide, aligned, term, parameter is not None, _cuda.EXACT_PRODUCT))


@functools.cache
def norm_kernel(wide: bool, aligned: bool, p: float) -> Any:
    """The sums of the terms of a p-norm."""
    terms = {1.0: "pyleaky_pair_of(size, 0)", 2.0: "pyleaky_two_product(size, size)"}
    term = terms.get(p, "pyleaky_pair_of(pow(size, p), 0)")
    return _made(_cuda.strips(_cuda.norm_body(), wide, aligned, term, stores=False))


@functools.cache
def clip_kernel(wide: bool) -> Any:
    return _made(_cuda.clip_source(wide))


@functools.cache
def cast_kernel(wide: bool) -> Any:
    return _made(_cuda.cast_source(wide))


@functools.cache
def fewer_sums_kernel(wide: bool) -> Any:
    return _made(_cuda.fewer_sums(wide))


@functools.cache
def last_sums_kernel(wide: bool) -> Any:
    return _made(_cuda.last_sums(wide))


# ---- devices


def device_of(operands: list[tuple[str, Any]]) -> int:
    """The device that all arrays among (argument's name, value) are on; ValueError where there are two."""
    first, device = "", -1
    for argument, value in operands:
        if not isinstance(value, cupy.ndarray):
            continue
        if device < 0:
            first, device = argument, value.device.id
        elif value.device.id != device:
            raise ValueError(
                f"{first} is on device {device}, {argument} on device {value.device.id}; move one of them with "
                "cupy.asarray inside `with cupy.cuda.Device(...)`"
            )
    return device


def on(operands: list[tuple[str, Any]]) -> Any:
    """The arrays' device as the current one, with its own current stream; CuPy itself would refuse or copy."""
    device = device_of(operands)
    if device in (-1, _current_device()):
        return contextlib.nullcontext()
    return cupy.cuda.Device(device)


# ---- one row


def quick(name: str, values: Any, out: Any = None) -> Any:
    """
    A row of equal arrays in one order without gaps, and a Python float where it has a parameter.

    None where something is not so, or needs a rule of dtypes: then `call` knows what to do.
    """
    x = values[0]
    if type(x) is not _ndarray:
        return None
    dtype, shape, flags = x.dtype, x.shape, x.flags
    order = "C" if flags.c_contiguous else "F" if flags.f_contiguous else None
    size = x.size
    if order is None or size == 0 or not shape:
        return None
    data = x.data
    pointer, device = data.ptr, data.device_id
    pointers = pointer
    number = None
    for value in values[1:] if out is None else (*values[1:], out):
        if type(value) is _ndarray:
            if value.dtype != dtype or value.shape != shape:
                return None
            flags = value.flags
            if not (flags.c_contiguous if order == "C" else flags.f_contiguous):
                return None
            data = value.data
            if data.device_id != device:
                return None
            pointers |= data.ptr
        elif type(value) is float and number is None and value is values[-1]:
            number = value
        else:
            return None
    if pointers % PACK or _current_device() != device:
        return None
    found = _QUICK.get((name, dtype.char, number is None)) or _quick_kernel(name, dtype, number is None)
    if found is None:
        return None
    run, lanes = found
    threads = -(-size // lanes)
    if out is None:
        result = _ndarray(shape, dtype, order=order)
    elif all(_is_same_or_apart(value, out) for value in values if value is not number):
        result = out
    else:
        return None
    if number is None:
        run(*values, size, result, size=threads)
    else:
        run(*values[:-1], size, _rounded(number, dtype), result, size=threads)
    return result


_QUICK: dict[tuple[str, str, bool], Any] = {}


def _quick_kernel(name: str, dtype: Any, arrays_only: bool) -> Any:
    """The kernel for the row and how many elements a thread of it computes; None where it may not run."""
    if not _core.supports(dtype) or (_core.ROWS[name].parameters == 0 and not arrays_only) or not _has(dtype):
        return None
    found = vector_kernel(name, dtype.itemsize == 8, None if arrays_only else "number"), PACK // dtype.itemsize
    return _QUICK.setdefault((name, dtype.char, arrays_only), found)


def _has(dtype: Any) -> bool:
    return dtype.name != "bfloat16" or int(cupy.__version__.split(".")[0]) >= 14


def _check_has(dtype: Any) -> None:
    if not _has(dtype):
        raise TypeError(f"bfloat16 on the GPU needs CuPy 14 or newer, found CuPy {cupy.__version__}")


def _rounded(number: float, dtype: Any) -> Any:
    """As CuPy rounds it to the type of a kernel, but without a warning where it overflows."""
    if dtype.itemsize == 8 or -FLOAT_MAX <= number <= FLOAT_MAX:
        return number
    with np.errstate(all="ignore"):
        return np.float32(number)


def call(name: str, values: list[Any], out: Any = None, where: Any = True, dtype: Any = None) -> Any:
    """Run a row as its ufunc would: the same dtype rules, errors, memory order and safety of overlaps."""
    if where is True and dtype is None:
        result = quick(name, values, out)
        if result is not None:
            return result
    row = _core.ROWS[name]
    if out is not None and not isinstance(out, cupy.ndarray):
        raise TypeError("return arrays must be of ArrayType")
    with on([*zip(row.inputs, values, strict=True), ("out", out), ("where", where)]):
        return _call(row, values, out, where if isinstance(where, cupy.ndarray) else bool(where), dtype)


def _call(row: Any, values: list[Any], out: Any, where: Any, dtype: Any) -> Any:
    numbers = row.parameters > 0 and np.ndim(values[-1]) == 0
    key = (row.name, *map(_dtype, values), None if out is None else out.dtype, numbers, dtype)
    try:
        compute = _RESOLVED[key]
    except (KeyError, TypeError):  # not every spelling of a dtype is hashable
        compute = _resolve(row.name, list(key[1 : len(values) + 1]), numbers, key[-3], dtype)
        with contextlib.suppress(TypeError):
            _RESOLVED[key] = compute
    _check_has(compute)
    wide = compute.itemsize == 8
    types = [compute] * len(values)
    if numbers:
        types[-1] = _compute_type(wide)
    values = [_operand(value, dtype) for value, dtype in zip(values, types, strict=True)]

    shapes = [value.shape for value in values]
    shapes += [] if out is None else [out.shape]
    shapes += [] if where is True else [np.shape(where)]
    try:
        shape = _broadcast(shapes)
        if out is not None and out.shape != shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {_text(out.shape)} "
                f"doesn't match the broadcast shape {_text(shape)}"
            )
    except ValueError as error:
        raise ValueError(_arguments.explain_shapes(str(error), values, out, where)) from None

    writes = out is not None and where is True and out.dtype == compute
    if writes and all(_is_same_or_apart(value, out) for value in values):
        _run(row, values, numbers, out)
        return out
    # NumPy's order "K": where the inputs disagree, the one nearest to C decides.
    whole = [value for value in values if isinstance(value, cupy.ndarray) and value.shape == shape]
    result = cupy.empty_like(min(whole, key=_axes_by_stride)) if whole else cupy.empty(shape, compute)
    _run(row, values, numbers, result)
    if out is None and where is True:
        return result
    if out is None:
        out = cupy.empty_like(result)
    elif not _is_same_or_apart(where, out):
        where = where.copy()
    cupy.copyto(out, cast(result, out.dtype), where=where)
    return out


_RESOLVED: dict[Any, Any] = {}


def _resolve(name: str, given: list[Any], numbers: bool, out: Any, dtype: Any) -> Any:
    """The dtype of the result, by the rules of the row's ufunc."""
    arrays = given[:-1] if numbers else given
    return _core.result_dtype(name, arrays, numbers, None if dtype is None else np.dtype(dtype), out)


def _run(row: Any, values: list[Any], numbers: bool, result: Any) -> None:
    """Write the row to result, of the dtype of the arrays among the values, none of which it overlaps elsewhere."""
    wide = result.dtype.itemsize == 8
    arrays = values[:-1] if row.parameters else values
    if result.size and result.ndim and all(_is_twin(value, result) for value in arrays):
        lanes = PACK // result.dtype.itemsize
        threads = -(-result.size // lanes)
        parameter: Any = values[-1]
        groups = None
        if not row.parameters or _is_twin(parameter, result):
            vector_kernel(row.name, wide, None)(*values, result.size, result, size=threads)
            return
        if numbers and not isinstance(parameter, cupy.ndarray):
            vector_kernel(row.name, wide, "number")(*arrays, result.size, parameter, result, size=threads)
            return
        if not numbers and result.flags.c_contiguous and parameter.flags.c_contiguous:
            groups = _channels(result.shape, parameter.shape)
        if groups is not None:
            layout = result.size, *groups[1:]
            vector_kernel(row.name, wide, "channel")(*values, *layout, result, size=threads)
            return
    kernel(row.name, wide, numbers)(*values, result)


def _is_twin(value: Any, like: Any) -> bool:
    """Whether an array has its elements where `like` has, both without gaps and in packs."""
    return (
        isinstance(value, cupy.ndarray)
        and value.shape == like.shape
        and (value.data.ptr | like.data.ptr) % PACK == 0
        and (
            (value.flags.c_contiguous and like.flags.c_contiguous)
            or (value.flags.f_contiguous and like.flags.f_contiguous)
        )
    )


def _channels(shape: tuple[int, ...], laid_shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(outer, channels, inner) of a weight of laid_shape on neighbouring axes of an array; None of another."""
    padded = (1,) * (len(shape) - len(laid_shape)) + laid_shape
    if len(padded) != len(shape):
        return None
    own = [axis for axis, weights in enumerate(padded) if weights != 1]
    if not own:
        return 1, 1, math.prod(shape)
    first, last = own[0], own[-1] + 1
    if padded[first:last] != shape[first:last]:
        return None
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


# ---- sums: strips of threads, then strips of their sums, along a tree that depends on the shape alone

FEWEST_THREADS = 2**17  # that keep a large device busy
TOGETHER = 32  # threads that read side by side
FEWEST_STEPS, LONGEST_STRIP = 4, 64  # of a strip, whose sum then costs little beside its elements
FEW_SUMS = 128  # of a channel, which one thread adds up


def _walk(layout: tuple[int, int, int], span: int, steps: int, by_row: bool) -> tuple[list[int], int, tuple[int, ...]]:
    """
    [width, pitch, step, reach], the number of threads, and the layout of their sums per `span` elements.

    A thread goes along `inner` elements of one channel, or, by row, down the rows of all channels.
    """
    outer, channels, inner = layout
    if by_row:
        row = channels * inner
        strips = -(-outer // steps)
        return [row // span, row, strips * row, outer * row], strips * (row // span), (strips, channels, inner)
    strips = -(-inner // (span * steps))
    return [strips, inner, strips * span, inner], outer * channels * strips, (outer, channels, strips)


def _sum_strips(
    run: Any,
    arguments: list[Any],
    layout: tuple[int, int, int],
    like: Any,
    aligned: bool,
    result: Any = None,
    wide: bool | None = None,
) -> Any:
    """
    Run a kernel of strips over arrays of [outer, channels, inner] elements; the sum per channel in float64.

    `run` makes the kernel for arrays that are taken in packs or not.  Its arguments come first, `result` last.
    """
    outer, channels, inner = layout
    wide = bool(like.dtype.itemsize == 8) if wide is None else wide
    lanes = PACK // like.dtype.itemsize
    by_row = outer > 1 and inner < 16 * lanes
    # A last pack that is not full must be the array's last.
    aligned = aligned and ((channels * inner) % lanes == 0 if by_row else inner % lanes == 0 or outer * channels == 1)
    span = lanes if aligned else 1
    longest = LONGEST_STRIP if by_row else min(max(inner // (span * TOGETHER), FEWEST_STEPS), LONGEST_STRIP)
    steps = min(max(like.size // (span * FEWEST_THREADS), FEWEST_STEPS), longest)
    walk, threads, sums_layout = _walk(layout, span, steps, by_row)
    folds = not by_row or inner % span == 0
    if by_row and folds:
        sums_layout = (*sums_layout[:2], inner // span)
    sums = cupy.empty((math.prod(sums_layout), 2), _compute_type(wide))
    outputs = [sums] if result is None else [result, sums]
    run(aligned=aligned)(*arguments, *walk, folds, *outputs, size=threads)
    return _sum_pairs(sums, sums_layout, wide)


def _sum_pairs(sums: Any, layout: tuple[int, ...], wide: bool) -> Any:
    outer, channels, inner = layout
    if outer * inner > FEW_SUMS:
        by_row = outer > inner
        steps = max(FEW_SUMS, math.isqrt(outer * inner))
        walk, threads, layout = _walk((outer, channels, inner), 1, steps, by_row)
        fewer = cupy.empty((threads, 2), sums.dtype)
        fewer_sums_kernel(wide)(sums, len(sums), *walk, fewer, size=threads)
        return _sum_pairs(fewer, layout, wide)
    total = cupy.empty(channels, np.float64)
    if channels:
        last_sums_kernel(wide)(sums, outer, channels, inner, total, size=channels)
    return total


# ---- what src/fused.inc is on the CPU


def prelu_backward(grad: Any, x: Any, laid: Any, laid_shape: tuple[int, ...]) -> tuple[Any, Any]:
    """
    dx, and in float64 the sums of the weight's gradient in the shape that the weight is laid in against x.

    One pass over arrays in C or Fortran order whose weights lie along neighbouring axes, else one for each.  A product
    beyond the range of float32 is infinite where grad and x are float32.
    """
    with on([("grad", grad), ("x", x), ("weight", laid)]):
        if not isinstance(laid, float):
            laid_shape = tuple(laid_shape)
        found = _prelu_in_one_pass(grad, x, laid, laid_shape)
        if found is not None:
            return found
        dx = call("leaky_relu_backward", [grad, x, laid])
        return dx, sum_weight_grad(grad, x, _functions._shared_axes(dx.shape, laid_shape)).reshape(laid_shape)


def _prelu_in_one_pass(grad: Any, x: Any, laid: Any, laid_shape: tuple[int, ...]) -> tuple[Any, Any] | None:
    arrays = [grad, x] if isinstance(laid, float) else [grad, x, laid]
    if not all(isinstance(value, cupy.ndarray) for value in arrays) or not x.size or not _core.supports(x.dtype):
        return None
    _check_has(x.dtype)
    wide = x.dtype.itemsize == 8
    if not laid_shape and not isinstance(laid, float):
        laid = cast(laid, _compute_type(wide)).reshape(1)
    if any(value.dtype != x.dtype for value in (grad, laid) if isinstance(value, cupy.ndarray)):
        return None
    if not x.flags.c_contiguous and x.flags.f_contiguous:
        # A laid weight without axes of its own stays as it is.
        turned = laid.reshape((1,) * (x.ndim - laid.ndim) + laid.shape).T if laid_shape else laid
        found = _prelu_in_one_pass(grad.T, x.T, turned, turned.shape if laid_shape else ())
        return found and (found[0].T, found[1].reshape(turned.shape).T.reshape(laid_shape) if laid_shape else found[1])
    layout = _channels(x.shape, laid_shape)
    if layout is None or not x.ndim or not all(value.flags.c_contiguous for value in arrays):
        return None
    number = isinstance(laid, float)
    run = functools.partial(prelu_backward_kernel, wide, parameter="number" if number else "channel")
    arguments = [grad, x, x.size, _rounded(laid, x.dtype)] if number else [grad, x, laid, x.size, *layout[1:]]
    dx = cupy.empty(x.shape, x.dtype)
    total = _sum_strips(run, arguments, layout, x, _in_packs(grad, x), dx)
    return dx, total.reshape(laid_shape)


def sum_weight_grad(grad: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """The row prelu_weight_grad summed over axes, in float64."""
    dtype = _core.prelu_weight_grad.resolve_dtypes((_dtype(grad), _dtype(x), None))[-1]
    _check_has(dtype)
    shape = np.shape(x)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    kept_shape = [shape[axis] for axis in kept]
    if 0 in shape:
        return cupy.zeros(kept_shape, np.float64)
    given = [
        _contiguous(value.transpose(*axes, *kept) if isinstance(value, cupy.ndarray) else value, dtype)
        for value in (grad, x)
    ]
    run = functools.partial(prelu_backward_kernel, dtype.itemsize == 8, parameter=None)
    channels = math.prod(kept_shape)
    layout = (given[1].size // channels, channels, 1) if channels > 1 else (1, 1, given[1].size)
    total = _sum_strips(run, [*given, given[1].size], layout, given[1], _in_packs(*given))
    return total.reshape(kept_shape)


def bias_act(settings: Any, x: Any, bias: Any, layout: Any, dtype: Any, return_mask: bool, out: Any) -> Any:
    _check_has(dtype)
    _check_out(out, x, dtype)
    with on([("x", x), ("bias", bias), ("out", out)]):
        operands = [_contiguous(value, dtype) for value in (x, bias) if value is not None]
        biased = bias is not None
        result = _target(out, operands[0], operands)
        mask = [cupy.empty((x.size + 7) // 8, np.uint8)] if return_mask else []
        if x.size:
            aligned = _in_packs(operands[0], result)
            run = bias_act_kernel(settings.activation, dtype.itemsize == 8, aligned, biased, return_mask)
            numbers = _bias_numbers(settings, dtype, settings.clamp)
            lengths = [x.size, *layout[1:]] if biased else [x.size]
            span = 8 if return_mask else PACK // dtype.itemsize
            run(*operands, *lengths, *numbers, result, *mask, size=-(-x.size // span))
        result = _deliver(result, out, x)
        return (result, *mask) if return_mask else result


def bias_act_backward(settings: Any, given: Any, bias: Any, mask: Any, layout: Any, dtype: Any, out: Any) -> Any:
    """dx and, in float64, dbias; a half type is summed before it is rounded."""
    like = given["grad"]
    _check_has(dtype)
    _check_out(out, like, dtype)
    with on([*given.items(), ("bias", bias), ("mask", mask), ("out", out)]):
        source = next((name for name in ("gg", "x", "output") if name in given), "")
        operands = [_contiguous(value, dtype) for value in given.values()]
        arrays = len(operands)
        biased = bias is not None and source in ("x", "gg")
        operands += [_contiguous(bias, dtype)] if biased else []
        operands += [] if mask is None else [mask]
        result = _target(out, operands[0], operands)
        if not like.size:
            return _deliver(result, out, like), cupy.zeros(layout[1], np.float64)
        clamps = settings.clamp < np.inf
        clamp = _core.largest_below(settings.clamp, dtype) if clamps else 0.0
        lengths = [like.size, *layout[1:]] if biased else [like.size]
        arguments = [*operands, *lengths, *_bias_numbers(settings, dtype, clamp)]
        aligned = _in_packs(*operands[:arrays], result)
        kind = {
            "activation": settings.activation,
            "wide": dtype.itemsize == 8,
            "source": source,
            "biased": biased,
            "masked": mask is not None,
            "clamps": clamps,
            "sums": bias is not None,
        }
        total = None
        if bias is not None:
            run = functools.partial(bias_gradient_kernel, **kind)
            total = _sum_strips(run, arguments, layout, operands[0], aligned, result)
        else:
            threads = -(-like.size // (PACK // dtype.itemsize))
            bias_gradient_kernel(aligned=aligned, **kind)(*arguments, result, size=threads)
        return _deliver(result, out, like), total


def _bias_numbers(settings: Any, dtype: Any, clamp: float) -> list[Any]:
    slope = 1.0 if settings.activation in ("linear", "elu") else settings.slope
    return [_rounded(value, dtype) for value in (slope, settings.gain, clamp)]


def with_mask(name: str, x: Any, slope: float | None, out: Any, dtype: Any) -> Any:
    """relu or leaky_relu and the packed mask, in C order."""
    dtype = _compute(dtype or x.dtype)
    _check_out(out, x, dtype)
    with on([("x", x), ("out", out)]):
        given = _contiguous(x, dtype)
        result = _target(out, given, [given])
        mask = cupy.empty((given.size + 7) // 8, np.uint8)
        if mask.size:
            numbers = [] if slope is None else [_rounded(slope, dtype)]
            run = mask_kernel(name, dtype.itemsize == 8, _in_packs(given, result))
            run(given, given.size, *numbers, result, mask, size=mask.size)
        return _deliver(result, out, x), mask


def from_mask(name: str, grad: Any, mask: Any, slope: float | None, out: Any) -> Any:
    dtype = _compute(grad.dtype)
    _check_out(out, grad, dtype)
    with on([("grad", grad), ("mask", mask), ("out", out)]):
        given = _contiguous(grad, dtype)
        result = _target(out, given, [given, mask])
        if result.size:
            numbers = [] if slope is None else [_rounded(slope, dtype)]
            run = from_mask_kernel(name, dtype.itemsize == 8, _in_packs(given, result))
            run(given, mask, given.size, *numbers, result, size=-(-given.size // (PACK // dtype.itemsize)))
        return _deliver(result, out, grad)


def random(
    name: str, values: list[Any], out: Any, seed: int, start: int, first: float, second: float, strides: Any = None
) -> Any:
    """
    dropout, rrelu or rrelu_backward with the CPU's random numbers.

    strides is how much their index rises along each axis; None: as in an array of its own.
    """
    known = [_compute(value.dtype) for value in values]
    dtype = np.result_type(*known) if known[0] != known[-1] else known[0]
    _check_out(out, values[0], dtype)
    arguments = ("grad", "x") if len(values) > 1 else ("x",)
    with on([*zip(arguments, values, strict=True), ("out", out)]):
        given = [_contiguous(value, dtype) for value in values]
        result = _target(out, given[0], given)
        if not result.size:
            return _deliver(result, out, values[0])
        if name == "dropout":
            numbers = [1 / (1 - first) if first < 1 else 0.0, np.uint64(int(first * 2.0**32))]
        else:
            numbers = [_rounded(first, dtype), _rounded(second, dtype)]
        wide = dtype.itemsize == 8
        axes = [(result.size, 1)] if strides is None else _merged(values[0].shape, strides)
        if axes in ([], [(result.size, 1)]):
            skip = start % 4
            span = max(4, PACK // dtype.itemsize)
            run = random_kernel(name, wide, skip == 0 and _in_packs(*given, result))
            words = [np.uint64(seed), np.uint64(start // 4), skip]
            run(*given, result.size, *numbers, *words, result, size=-(-(skip + result.size) // span))
        else:
            run = scattered_kernel(name, wide, len(axes))
            words = [np.uint64(seed), np.uint64(start)]
            steps = [number for length, stride in axes for number in (length, np.uint64(stride % 2**64))]
            run(*given, result.size, *numbers, *words, *steps, result, size=result.size)
        return _deliver(result, out, values[0])


def _merged(shape: tuple[int, ...], strides: Any) -> list[tuple[int, int]]:
    """(length, stride) of each axis, of those that can be one as one."""
    axes: list[tuple[int, int]] = []
    for length, stride in zip(shape, strides, strict=True):
        if length == 1:
            continue
        if axes and axes[-1][1] == length * stride:
            axes[-1] = axes[-1][0] * length, stride
        else:
            axes.append((length, stride))
    return axes


# ---- norms


def norm(array: Any, p: float) -> Any:
    """
    The p-norm as a 0-d float64 array, without waiting for the device.

    The array is read twice, the first time for its largest magnitude: scaled by a power of two near that, no square
    overflows.  float16 has no need of that.
    """
    if array.size == 0:
        return cupy.zeros((), np.float64)
    _check_has(array.dtype)
    with on([("array", array)]):
        wide = array.dtype == np.float64
        scale = cupy.ones(1, np.float64)
        if array.dtype != np.float16 or p == np.inf:
            largest = _largest(array)
            if p == np.inf:
                return largest
            usable = cupy.logical_and(largest > 0, largest < np.inf)
            exponent = cupy.floor(cupy.log2(cupy.where(usable, largest, 1.0)))
            limit = 1000 if wide else 120
            scale = cupy.exp2(cupy.clip(-exponent, -limit, limit)).reshape(1)
        given = array if array.flags.f_contiguous else cupy.ascontiguousarray(array)
        given = given if given.ndim else given.reshape(1)
        # A power has no rest to be kept, so that of a float32 is taken in float64.
        wide = wide or p not in (1, 2)
        arguments = [given, cast(scale, _compute_type(wide)), given.size, p]
        run = functools.partial(norm_kernel, wide, p=float(p))
        total = _sum_strips(run, arguments, (1, 1, given.size), given, _in_packs(given), wide=wide)
        return ((total if p == 1 else cupy.sqrt(total) if p == 2 else total ** (1 / p)) / scale).reshape(())


def _largest(array: Any) -> Any:
    """The largest magnitude as a 0-d float64 array, or NaN if there is one: bits of magnitudes sort as integers do."""
    bits = np.dtype(f"u{array.dtype.itemsize}")
    magnitudes = array.view(bits) & bits.type(np.iinfo(bits).max >> 1)
    return cast(magnitudes.max().view(array.dtype), np.dtype(np.float64))


def clip_by_norm(array: Any, total: Any, bound: float) -> None:
    """array times bound / total, a 0-d array on its device, unless that is within the bound."""
    with on([("array", array), ("norm", total)]):
        wide = array.dtype == np.float64
        factor = cupy.where(total <= bound, 1.0, bound / total).reshape(1)
        clip_kernel(wide)(cast(factor, _compute_type(wide)), array)


# ---- arguments and results


def _compute_type(wide: bool) -> Any:
    return np.dtype(np.float64 if wide else np.float32)


def _compute(dtype: Any) -> Any:
    dtype = np.dtype(dtype)
    _check_has(dtype)
    return dtype if _core.supports(dtype) else np.dtype(np.float64)


def cast(value: Any, dtype: Any) -> Any:
    """value.astype(dtype, copy=False), where CuPy's own would flush subnormal numbers."""
    if value.dtype == dtype or value.dtype.name not in _FLUSHED or dtype.name not in _FLUSHED:
        return value.astype(dtype, copy=False)
    result = cupy.empty_like(value, dtype=dtype)
    cast_kernel(dtype.itemsize == 8)(value, result)
    return result


_FLUSHED = ("bfloat16", "float32", "float64")  # CuPy converts between two of these in float32


def _contiguous(value: Any, dtype: Any) -> Any:
    """In C order and of one dimension at least: the address of a raw array's element does not compile without any."""
    if not isinstance(value, cupy.ndarray):
        return cupy.full(1, np.asarray(value).item(), dtype)
    value = cast(value, dtype)
    return cupy.ascontiguousarray(value) if value.ndim else value.reshape(1)


def _in_packs(*arrays: Any) -> bool:
    return not any(array.data.ptr % PACK for array in arrays)


def _check_out(out: Any, like: Any, dtype: Any) -> None:
    if out is None:
        return
    if not isinstance(out, cupy.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")
    if out.shape != like.shape:
        raise ValueError(f"out has shape {out.shape}, the result has shape {like.shape}; they must be equal")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"out has dtype {out.dtype}, to which the result's dtype {dtype} cannot be cast")


def _target(out: Any, like: Any, operands: list[Any]) -> Any:
    """Where a kernel of arrays in C order writes: out itself where it can, else an array for _deliver."""
    fits = out is not None and out.ndim and out.flags.c_contiguous and out.dtype == like.dtype
    if fits and all(_is_same_or_apart(value, out) for value in operands):
        return out
    return cupy.empty(like.shape, like.dtype)


def _deliver(result: Any, out: Any, like: Any) -> Any:
    if result is out:
        return out
    result = result.reshape(like.shape)
    if out is None:
        if like.flags.c_contiguous:
            return result
        out = cupy.empty_like(like, dtype=result.dtype)
    cupy.copyto(out, cast(result, out.dtype))
    return out


def _dtype(value: Any) -> Any:
    """What NumPy's promotion asks for: a dtype, or int or float for a Python number, which adapts to the others."""
    if type(value) in (int, float):
        return type(value)
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


def _operand(value: Any, dtype: Any) -> Any:
    """On the device, in the dtype to compute in.  A number is rounded once, without a warning if it overflows."""
    if isinstance(value, cupy.ndarray):
        return cast(value, dtype)
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype)[()]


def _broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        # NumPy's words, the blank at the end included.
        listed = "".join(_text(shape) + " " for shape in shapes)
        raise ValueError(f"operands could not be broadcast together with shapes {listed}") from None


def _text(shape: tuple[int, ...]) -> str:
    return str(shape).replace(" ", "")


def _axes_by_stride(array: Any) -> list[int]:
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def _is_same_or_apart(value: Any, out: Any) -> bool:
    """
    Whether a kernel may write out while it reads value: the same elements in the same places, or no byte shared.

    Addresses decide, which are unique among devices.  CuPy's may_share_memory is False for two arrays that came by
    DLPack or __cuda_array_interface__, whatever memory they share.
    """
    return not isinstance(value, cupy.ndarray) or _arguments.are_same_or_apart(value, out)
