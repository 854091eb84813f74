"""CuPy: one ElementwiseKernel per row, made from the text of src/activations.h.

Imported only once a CuPy array arrives.  No formula stands here; a new row appears by itself.  The macros below are
the v_ vocabulary in CUDA, one lane at a time; a new word of the vocabulary gets its line there.  Words with an
exponential compute in float64 for every dtype.  Arguments come checked from _functions.
"""

from __future__ import annotations

import functools
from typing import Any

import cupy
import numpy as np

from . import _core
from ._functions import _shared_axes

# C is the type to compute in: float for float16, bfloat16 and float32, double for float64.
VOCABULARY = """
#define v_set(c) ((C)(c))
#define v_gt(a, b) ((a) > (b))
#define v_lt(a, b) ((a) < (b))
#define v_select(m, a, b) ((m) ? (a) : (b))
#define v_mul(a, b) ((a) * (b))
#define v_add(a, b) ((a) + (b))
#define v_sub(a, b) ((a) - (b))
#define v_max(a, b) ((a) > (b) ? (a) : (b))
#define v_min(a, b) ((a) < (b) ? (a) : (b))
#define v_div(a, b) ((a) / (b))
#define v_expm1(alpha, x) ((C)((double)(alpha) * expm1((double)(x))))
#define v_exp(alpha, x, grad) ((C)pyleaky_exp(alpha, x, 0, grad))
#define v_expm1_div(alpha, x) ((C)pyleaky_expm1_div(alpha, x))
#define v_exp_div(x, alpha, grad) ((C)pyleaky_exp_div(x, alpha, grad))
#define w_expm1(c, x) ((c) * expm1((double)(x)))
#define w_exp(c, x, grad) pyleaky_exp(c, x, 0, grad)
#define w_mul(c, x) ((c) * (double)(x))
#define w_add(c, x) ((c) + (double)(x))
#define w_select(m, a, b) ((m) ? (a) : (b))
#define w_round(a) ((C)(a))

/* Klambauer et al. 2017: scale and scale * alpha, as in src/activations.h */
#define LEAKY_SELU_SCALE 1.0507009873554804934193349852946
#define LEAKY_SELU_A 1.7580993408473768599402175208123

/* alpha * exp(x) * (1 + low) * grad.  Far from 0 the exponential is applied in two halves, so that only the result
 * itself can overflow or lose bits to a subnormal.  The clamps keep the halves from becoming 0 or infinite. */
__device__ inline double pyleaky_exp(double alpha, double x, double low, double grad)
{
    const double clamped = x < -1488 ? -1488 : x > 1416 ? 1416 : x;
    const bool far = clamped < -600 || clamped > 600;
    const double e = exp(far ? 0.5 * clamped : clamped);
    const double y = alpha * (e + e * low) * grad;
    return far ? y * e : y;
}

/* What the rounding of q = x / alpha has cut off: exp would magnify it up to 700 times. */
__device__ inline double pyleaky_remainder(double x, double alpha, double q)
{
    const double rest = fma(-q, alpha, x) / alpha;
    return rest > -1 && rest < 1 ? rest : 0; /* no number where q or alpha is 0 or infinite */
}

__device__ inline double pyleaky_exp_div(double x, double alpha, double grad)
{
    const double q = x / alpha;
    return pyleaky_exp(1, q, pyleaky_remainder(x, alpha, q), grad);
}

__device__ inline double pyleaky_expm1_div(double alpha, double x)
{
    const double q = x / alpha, rest = pyleaky_remainder(x, alpha, q);
    if (q < 8e-19 && q > -8e-19) /* it rounds to x, while q may have lost bits to a subnormal */
        return x;
    if (q > 700) /* only with a negative alpha */
        return pyleaky_exp(alpha, q, rest, 1);
    const double e = expm1(q);
    return alpha * (e + (e + 1) * rest);
}
"""

# No contraction into fma: the bits are those of the CPU.  Subnormals are kept by default.
OPTIONS = ("--fmad=false",)


@functools.cache
def kernel(name: str, wide: bool, numbers: bool) -> Any:
    """The kernel of a row that computes in float64 (wide) or float32; with numbers, its parameter has that type too."""
    row = _core.ROWS[name]
    arrays = len(row.inputs) - row.parameters
    number = ("float64" if wide else "float32") if numbers else "T"
    return cupy.ElementwiseKernel(
        ", ".join(f"{'T' if k < arrays else number} given_{argument}" for k, argument in enumerate(row.inputs)),
        "T result",
        f"const C {', '.join(f'{argument} = given_{argument}' for argument in row.inputs)}; "
        f"result = (T)({row.formula})",
        f"pyleaky_{name}",
        preamble=f"typedef {'double' if wide else 'float'} C;\n{VOCABULARY}",
        options=OPTIONS,
    )


@functools.cache
def weight_grad_sum() -> Any:
    """
    The row prelu_weight_grad in float64, summed by CuPy's reduction.

    Each result is summed by one block along a fixed tree (CUB steps in for a single input only, and nothing is
    atomic), so equal arrays in an equal layout give equal bits.
    """
    row = _core.ROWS["prelu_weight_grad"]
    # One type letter each, since grad and x may differ in dtype.
    types = dict(zip("AB", row.inputs, strict=True))
    return cupy.ReductionKernel(
        ", ".join(f"{letter} {argument}" for letter, argument in types.items()),
        "float64 total",
        f"pyleaky_term({', '.join(row.inputs)})",
        "a + b",
        "total = a",
        "0",
        "pyleaky_prelu_weight_grad_sum",
        preamble=f"""{VOCABULARY}
__device__ inline double pyleaky_term({", ".join(f"double {argument}" for argument in row.inputs)}) {{
    typedef double C;
    return {row.formula};
}}
""",
        options=OPTIONS,
    )


def call(name: str, values: list[Any], out: Any = None, where: Any = True, dtype: Any = None) -> Any:
    """Run a row as its ufunc would: the same dtype rules, errors, memory order and safety of overlaps."""
    row = _core.ROWS[name]
    if out is not None and not isinstance(out, cupy.ndarray):
        raise TypeError("return arrays must be of ArrayType")
    if not isinstance(where, cupy.ndarray):
        where = bool(where)

    given = [_dtype(value) for value in values]
    numbers = row.parameters > 0 and np.ndim(values[-1]) == 0
    dtype = None if dtype is None else np.dtype(dtype)
    signature = [None] * len(given) + [dtype]
    if numbers:  # they have no say in the result's dtype
        given[-1] = given[0]
        if dtype == np.float16:  # as in _functions: the number keeps float32
            signature[:] = *[dtype] * (len(given) - 1), np.dtype(np.float32), dtype
    given.append(None if out is None else out.dtype)
    ufunc = getattr(_core, name + "_number" * numbers)
    compute = ufunc.resolve_dtypes(tuple(given), signature=tuple(signature))[-1]
    if compute.name == "bfloat16" and int(cupy.__version__.split(".")[0]) < 14:
        raise TypeError(f"bfloat16 on the GPU needs CuPy 14 or newer, found CuPy {cupy.__version__}")
    wide = compute.itemsize == 8
    types = [compute] * len(values)
    if numbers:
        types[-1] = np.dtype(np.float64 if wide else np.float32)
    values = [_operand(value, dtype) for value, dtype in zip(values, types, strict=True)]
    run = kernel(name, wide, numbers)

    shapes = [value.shape for value in values]
    shapes += [] if out is None else [out.shape]
    shapes += [] if where is True else [np.shape(where)]
    shape = _broadcast(shapes)
    if out is not None and out.shape != shape:
        raise ValueError(
            f"non-broadcastable output operand with shape {_text(out.shape)} "
            f"doesn't match the broadcast shape {_text(shape)}"
        )

    if out is not None and where is True and out.dtype == compute and all(_is_safe(value, out) for value in values):
        return run(*values, out)
    # NumPy's order "K": where the inputs disagree, the one nearest to C decides.
    whole = [value for value in values if isinstance(value, cupy.ndarray) and value.shape == shape]
    result = cupy.empty_like(min(whole, key=_axes_by_stride)) if whole else cupy.empty(shape, compute)
    run(*values, result)
    if out is None and where is True:
        return result
    if out is None:
        out = cupy.empty_like(result)
    cupy.copyto(out, result, where=where)
    return out


# ---- norms, which stay on the device


@functools.cache
def norm_sum(term: str) -> Any:
    """The sum of `term` over an array, in float64; p is the norm's."""
    return cupy.ReductionKernel(
        "T x, float64 scale, float64 p",
        "float64 total",
        "pyleaky_norm_term(x * scale, p)",
        "a + b",
        "total = a",
        "0",
        "pyleaky_norm_sum",
        preamble=f"__device__ inline double pyleaky_norm_term(double x, double p) {{ (void)p; return {term}; }}",
        options=OPTIONS,
    )


def norm(array: Any, p: float) -> Any:
    """
    The p-norm as a 0-d float64 array, without waiting for the device.

    float64 is read twice, the first time for its largest magnitude: scaled by a power of two near that, no square
    overflows.  For the other dtypes float64 has room for any sum of squares.
    """
    if array.size == 0:
        return cupy.zeros((), np.float64)
    if p == np.inf:
        return cupy.abs(array).max().astype(np.float64)
    scale = np.float64(1)
    if array.dtype == np.float64 or p not in (1, 2):
        largest = cupy.abs(array).max().astype(np.float64)
        usable = cupy.logical_and(largest > 0, largest < np.inf)
        exponent = cupy.floor(cupy.log2(cupy.where(usable, largest, 1.0)))
        scale = cupy.exp2(cupy.clip(-exponent, -1000, 1000))
    term = "fabs(x)" if p == 1 else "x * x" if p == 2 else "pow(fabs(x), p)"
    total = norm_sum(term)(array, scale, np.float64(p))
    return (total if p == 1 else cupy.sqrt(total) if p == 2 else total ** (1 / p)) / scale


@functools.cache
def clip_kernel(wide: bool) -> Any:
    """The row `scaled` in place by bound / norm, where the norm, a 0-d array on the device, is not within the bound."""
    return _made(
        "clip_by_norm",
        wide,
        "float64 norm, float64 bound",
        "T grad",
        f"""
        if (!(norm <= bound)) {{
            const C factor = bound / norm, x = grad;
            grad = (T)({_core.ROWS["scaled"].formula});
        }}""",
    )


def clip_by_norm(array: Any, total: Any, bound: float) -> None:
    clip_kernel(array.dtype == np.float64)(total, np.float64(bound), array)


def prelu_backward(grad: Any, x: Any, laid: Any, laid_shape: tuple[int, ...]) -> Any:
    """dx, and the row prelu_weight_grad summed over what shares a weight, in float64 from product to sum."""
    dx = call("leaky_relu_backward", [grad, x, laid])
    shared = _shared_axes(dx.shape, laid_shape)
    if shared:
        total = weight_grad_sum()(grad, x, axis=shared)
    else:
        total = call("prelu_weight_grad", [grad, x], dtype=np.float64)
    return dx, total.reshape(laid_shape)


# ---- what src/fused.inc is on the CPU

PHILOX = """
typedef unsigned int pyleaky_word;
typedef unsigned long long pyleaky_long;

/* Philox4x32-10, Salmon et al. 2011 */
__device__ inline void pyleaky_philox(pyleaky_long seed, pyleaky_word stream, pyleaky_long block, pyleaky_word words[4])
{
    pyleaky_word c0 = (pyleaky_word)block, c1 = (pyleaky_word)(block >> 32), c2 = stream, c3 = 0;
    pyleaky_word k0 = (pyleaky_word)seed, k1 = (pyleaky_word)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const pyleaky_long p0 = 0xd2511f53ull * c0, p1 = 0xcd9e8d57ull * c2;
        c0 = (pyleaky_word)(p1 >> 32) ^ c1 ^ k0;
        c1 = (pyleaky_word)p1;
        c2 = (pyleaky_word)(p0 >> 32) ^ c3 ^ k1;
        c3 = (pyleaky_word)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}
"""


def _made(name: str, wide: bool, inputs: str, outputs: str, operation: str, preamble: str = "") -> Any:
    return cupy.ElementwiseKernel(
        inputs,
        outputs,
        operation,
        f"pyleaky_{name}",
        preamble=f"typedef {'double' if wide else 'float'} C;\n{VOCABULARY}{preamble}",
        options=OPTIONS,
    )


@functools.cache
def mask_kernel(name: str, wide: bool) -> Any:
    """A forward row, and one byte of the packed mask, per thread."""
    row = _core.ROWS[name]
    number = "float64" if wide else "float32"
    return _made(
        f"{name}_with_mask",
        wide,
        f"raw T given, int64 count{f', {number} slope' if row.parameters else ''}",
        "raw T result, raw uint8 mask",
        f"""
        unsigned char bits = 0;
        for (int bit = 0; bit < 8; bit++) {{
            const long long k = 8 * (long long)i + bit;
            if (k < count) {{
                const C x = given[k];
                result[k] = (T)({row.formula});
                bits |= (unsigned char)(v_gt(x, 0) << bit);
            }}
        }}
        mask[i] = bits""",
    )


@functools.cache
def from_mask_kernel(name: str, wide: bool) -> Any:
    """A backward row with the bits of a mask for the sides of x."""
    row = _core.ROWS[name]
    number = "float64" if wide else "float32"
    return _made(
        f"{name}_from_mask",
        wide,
        f"raw T given, raw uint8 mask{f', {number} slope' if row.parameters else ''}",
        "raw T result",
        f"const C grad = given[i], x = mask[i / 8] >> (i % 8) & 1; result[i] = (T)({row.formula})",
    )


@functools.cache
def random_kernel(name: str, wide: bool) -> Any:
    """Four elements, those of one block of random numbers, per thread; `first` is the number of the first block."""
    number = "float64" if wide else "float32"
    if name == "dropout":
        inputs, stream = "raw T given_x", 0
        parameters = f"uint64 threshold, {number} scale"
        formula = "words[w] < threshold ? (C)0 : x * scale"
    else:
        row = _core.ROWS["leaky_relu" + name.removeprefix("rrelu")]
        inputs, stream = ", ".join(f"raw T given_{argument}" for argument in row.inputs[:-1]), 1
        parameters = f"{number} lower, {number} upper"
        formula = row.formula
    arguments = [declaration.removeprefix("raw T given_") for declaration in inputs.split(", ")]
    slope = "" if name == "dropout" else "const C slope = lower + (upper - lower) * ((C)(words[w] >> 8) * (C)0x1p-24); "
    return _made(
        f"{name}_random",
        wide,
        f"{inputs}, int64 count, uint64 seed, uint64 first, int64 skip, {parameters}",
        "raw T result",
        f"""
        pyleaky_word words[4];
        pyleaky_philox(seed, {stream}, first + i, words);
        for (int w = 0; w < 4; w++) {{
            const long long k = 4 * (long long)i + w - skip;
            if (k >= 0 && k < count) {{
                const C {", ".join(f"{argument} = given_{argument}[k]" for argument in arguments)};
                {slope}result[k] = (T)({formula});
            }}
        }}""",
        PHILOX,
    )


BIAS_ROWS = {"linear": "leaky_relu"}  # whose slope is 1


def _bias_rows(activation: str, suffix: str = "") -> Any:
    return _core.ROWS[BIAS_ROWS.get(activation, activation) + suffix]


def _numbers(wide: bool, row: Any) -> str:
    number = "float64" if wide else "float32"
    return f"{number} {row.inputs[-1] if row.parameters else 'unused'}, {number} gain, {number} clamp"


@functools.cache
def bias_act_kernel(activation: str, wide: bool, biased: bool) -> Any:
    row = _bias_rows(activation)
    return _made(
        f"bias_{activation}",
        wide,
        f"T given{', T given_bias' if biased else ''}, {_numbers(wide, row)}",
        "T result",
        f"""
        const C x = (C)given{" + (C)given_bias" if biased else ""};
        const C scaled = ({row.formula}) * gain;
        result = (T)(scaled > clamp ? clamp : scaled < -clamp ? -clamp : scaled)""",
    )


@functools.cache
def bias_mask_kernel(wide: bool) -> Any:
    """One byte of the packed mask of x + bias per thread."""
    return _made(
        "bias_mask",
        wide,
        "raw T given, raw T given_bias, int64 count, int64 channels, int64 inner",
        "raw uint8 mask",
        """
        unsigned char bits = 0;
        for (int bit = 0; bit < 8; bit++) {
            const long long k = 8 * (long long)i + bit;
            if (k < count) {
                const C x = given[k], bias = channels ? (C)given_bias[k / inner % channels] : (C)0;
                bits |= (unsigned char)(v_gt(x + bias, 0) << bit);
            }
        }
        mask[i] = bits""",
    )


@functools.cache
def bias_gradient_kernel(activation: str, wide: bool, source: str, biased: bool, masked: bool, clamps: bool) -> Any:
    """
    dx of bias_act_backward, in the type that is computed in; source is "x", "output" or "" (of a mask alone).

    source "gg" is that of x with the rows of the second derivative.
    """
    forward = _bias_rows(activation)
    if source == "gg":
        row = _bias_rows(activation, "_double_backward")
    elif f"{activation}_backward_from_output" in _core.ROWS and source != "x":
        row, of_activation = _bias_rows(activation, "_backward_from_output"), "y / gain"
    else:
        row, of_activation = _bias_rows(activation, "_backward"), "y"
    side = row.inputs[2 if source == "gg" else 1]
    arrays = {"gg": ["gg", "grad", "x"], "": ["grad"]}.get(source, ["grad", source])
    arrays = arrays + ["bias"] * (biased and source in ("x", "gg"))
    inputs = ", ".join(f"T given_{array}" for array in arrays) + ", raw uint8 mask" * masked
    if source in ("x", "gg"):
        found = f"const C x = (C)given_x{' + (C)given_bias' if biased else ''};"
        y = f"({forward.formula}) * gain"
    else:
        seen = of_activation
        if masked:
            seen = f"mask[i / 8] >> (i % 8) & 1 ? (C)1 : {seen} > 0 ? (C)0 : {seen}"
        found = f"const C y = {'given_output' if source else '0'}; const C {side} = {seen};"
        y = "y"
    return _made(
        f"bias_{activation}_gradient",
        wide,
        f"{inputs}, {_numbers(wide, row)}",
        "U result",
        f"""
        const C grad = (C)given_grad * gain;
        {"const C gg = given_gg;" if source == "gg" else ""}
        {found}
        {f"const C value = {y};" if clamps else ""}
        result = (U)({"value > clamp || value < -clamp ? (C)0 : " if clamps else ""}{row.formula})""",
    )


def bias_act(settings: Any, x: Any, bias: Any, layout: Any, dtype: Any, return_mask: bool, out: Any) -> Any:
    given = _contiguous(x, dtype)
    _check_out(out, x, dtype)
    wide = dtype.itemsize == 8
    result = cupy.empty(given.shape, dtype)
    biases = [] if bias is None else [_contiguous(bias, dtype)]
    laid = [value.reshape(layout[1], 1) for value in biases]
    if result.size:
        shape = given.reshape(layout)
        numbers = _bias_numbers(settings, wide, settings.clamp)
        bias_act_kernel(settings.activation, wide, bool(biases))(shape, *laid, *numbers, result.reshape(layout))
    if not return_mask:
        return _deliver(result, out, x)
    mask = cupy.empty((given.size + 7) // 8, np.uint8)
    if mask.size:
        channels, inner = layout[1:] if biases else (0, 1)
        bias_mask_kernel(wide)(given, *(biases or [given]), given.size, channels, inner, mask, size=mask.size)
    return _deliver(result, out, x), mask


def bias_act_backward(settings: Any, given: Any, bias: Any, mask: Any, layout: Any, dtype: Any, out: Any) -> Any:
    """dx and, in float64, dbias; a half type is summed before it is rounded."""
    like = given["grad"]
    _check_out(out, like, dtype)
    wide = dtype.itemsize == 8
    source = next((name for name in ("gg", "x", "output") if name in given), "")
    operands = [_contiguous(value, dtype).reshape(layout) for value in given.values()]
    biased = bias is not None and source in ("x", "gg")
    if biased:
        operands.append(_contiguous(bias, dtype).reshape(layout[1], 1))
    if mask is not None:
        operands.append(mask)
    clamps = settings.clamp < np.inf
    clamp = _core.largest_below(settings.clamp, dtype) if clamps else 0.0
    result = cupy.empty(layout, np.float64 if wide else np.float32)
    if result.size:
        kernel = bias_gradient_kernel(settings.activation, wide, source, biased, mask is not None, clamps)
        kernel(*operands, *_bias_numbers(settings, wide, clamp), result)
    total = cupy.zeros(1) if bias is None else result.sum(axis=(0, 2), dtype=np.float64)
    return _deliver(result.astype(dtype, copy=False), out, like), total


def _bias_numbers(settings: Any, wide: bool, clamp: float) -> list[Any]:
    slope = 1.0 if settings.activation in ("linear", "elu") else settings.slope
    return [_number(value, wide) for value in (slope, settings.gain, clamp)]


def with_mask(name: str, x: Any, slope: float | None, out: Any, dtype: Any) -> Any:
    """relu or leaky_relu and the packed mask, in C order."""
    given = _contiguous(x, _compute(dtype or x.dtype))
    _check_out(out, x, given.dtype)
    result = cupy.empty(given.shape, given.dtype)
    mask = cupy.empty((given.size + 7) // 8, np.uint8)
    wide = given.dtype.itemsize == 8
    if mask.size:
        numbers = [] if slope is None else [_number(slope, wide)]
        mask_kernel(name, wide)(given, given.size, *numbers, result, mask, size=mask.size)
    return _deliver(result, out, x), mask


def from_mask(name: str, grad: Any, mask: Any, slope: float | None, out: Any) -> Any:
    given = _contiguous(grad, _compute(grad.dtype))
    _check_out(out, grad, given.dtype)
    result = cupy.empty(given.shape, given.dtype)
    wide = given.dtype.itemsize == 8
    if result.size:
        numbers = [] if slope is None else [_number(slope, wide)]
        from_mask_kernel(name, wide)(given, mask, *numbers, result, size=result.size)
    return _deliver(result, out, grad)


def random(
    name: str, values: list[Any], out: Any, seed: int, start: int, first: float, second: float, strides: Any = None
) -> Any:
    """dropout, rrelu or rrelu_backward with the CPU's random numbers."""
    if strides is not None:
        raise NotImplementedError
    known = [_compute(value.dtype) for value in values]
    dtype = np.result_type(*known) if known[0] != known[-1] else known[0]
    given = [_contiguous(value, dtype) for value in values]
    _check_out(out, values[0], dtype)
    result = cupy.empty(given[0].shape, dtype)
    wide = dtype.itemsize == 8
    skip = start % 4
    if name == "dropout":
        parameters = [np.uint64(int(first * 2.0**32)), _number(1 / (1 - first) if first < 1 else 0.0, wide)]
    else:
        parameters = [_number(first, wide), _number(second, wide)]
    if result.size:
        arguments = [*given, result.size, np.uint64(seed), np.uint64(start // 4), skip, *parameters]
        random_kernel(name, wide)(*arguments, result, size=(skip + result.size + 3) // 4)
    return _deliver(result, out, values[0])


def _compute(dtype: Any) -> Any:
    dtype = np.dtype(dtype)
    return dtype if _core.supports(dtype) else np.dtype(np.float64)


def _contiguous(value: Any, dtype: Any) -> Any:
    return cupy.ascontiguousarray(value.astype(dtype, copy=False))


def _number(value: float, wide: bool) -> Any:
    with np.errstate(all="ignore"):
        return np.float64(value) if wide else np.float32(value)


def _check_out(out: Any, like: Any, dtype: Any) -> None:
    if out is None:
        return
    if not isinstance(out, cupy.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")
    if out.shape != like.shape:
        raise ValueError(f"out has shape {out.shape}, the result has shape {like.shape}; they must be equal")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"out has dtype {out.dtype}, to which the result's dtype {dtype} cannot be cast")


def _deliver(result: Any, out: Any, like: Any) -> Any:
    result = result.reshape(like.shape)
    if out is None:
        if like.flags.c_contiguous:
            return result
        out = cupy.empty_like(like, dtype=result.dtype)
    cupy.copyto(out, result)
    return out


def _dtype(value: Any) -> Any:
    """What NumPy's promotion asks for: a dtype, or int or float for a Python number, which adapts to the others."""
    if type(value) in (int, float):
        return type(value)
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


def _operand(value: Any, dtype: Any) -> Any:
    """On the device, in the dtype to compute in.  A number is rounded once, without a warning if it overflows."""
    if isinstance(value, cupy.ndarray):
        return value.astype(dtype, copy=False)
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


def _is_safe(value: Any, out: Any) -> bool:
    """Whether the kernel may write out while it reads value: the same elements in the same places, or none shared."""
    if not isinstance(value, cupy.ndarray) or not cupy.may_share_memory(value, out):
        return True
    return (value.data.ptr, value.shape, value.strides) == (out.data.ptr, out.shape, out.strides)
