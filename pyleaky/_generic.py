"""Any other namespace of the array API standard: JAX, PyTorch through array-api-compat, array-api-strict, ...

Not the fast path, and not the exact one: each formula is the table's own text, parsed once and evaluated word by word
with the namespace's functions, so accuracy is that of its exp and expm1.  What it gains is what the namespace has: jit,
grad, vmap, autograd, any device.  Autograd's derivatives are those of NAME_backward and NAME_double_backward.  A new
word of the vocabulary gets its line in WORDS; a new row appears by itself.  Imported once such an array arrives.
"""

# Arrays of any namespace are Any; array-api-compat has no types and may not be installed.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingImports=false
# The rules of a word refer to the word.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import ast
import functools
import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _arguments, _core, _functions

# ---------------------------------------------------------------------------------------------- derivatives
# Automatic differentiation goes through the formulas, but for a few words that have derivatives of their own.  The
# namespace's derivative of expm1 is expm1 + 1, which is 0 below -17; exp underflows where its product with a large
# gradient does not; and JAX divides by the square of a divisor.


def _constant(value: Any) -> Any:
    """The same values, for which automatic differentiation sees no derivative."""
    if hasattr(value, "detach"):
        return value.detach()
    if _arguments.library_of(value) == "jax":
        return sys.modules["jax"].lax.stop_gradient(value)
    return value


def _differentiated(
    *rules: Callable[..., Any], libraries: tuple[str, ...] = ("jax", "torch")
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    A word whose derivative with respect to input i, times t, is rules[i](xp, t, *inputs), in these libraries.

    JAX transposes the rule, so that it must be a chain of products that starts with t.
    """

    def decorate(value: Callable[..., Any]) -> Callable[..., Any]:
        words: dict[Any, Callable[..., Any]] = {}

        def word(xp: Any, *inputs: Any) -> Any:
            if xp not in words:
                # "jax.numpy" or "array_api_compat.torch"
                library = next((name for name in libraries if name in xp.__name__.split(".")), None)
                make = _jax_word if library == "jax" else _torch_word
                words[xp] = make(xp, value, rules) if library else functools.partial(value, xp)
            return words[xp](*inputs)

        return word

    return decorate


def _jax_word(xp: Any, value: Callable[..., Any], rules: tuple[Callable[..., Any], ...]) -> Any:
    jax = sys.modules["jax"]
    word = jax.custom_jvp(functools.partial(value, xp))

    def derivative(inputs: Any, tangents: Any) -> Any:
        zero = jax.custom_derivatives.SymbolicZero
        parts = [rule(xp, t, *inputs) for rule, t in zip(rules, tangents, strict=True) if not isinstance(t, zero)]
        return word(*inputs), functools.reduce(operator.add, parts)

    word.defjvp(derivative, symbolic_zeros=True)
    return word


def _torch_word(xp: Any, value: Callable[..., Any], rules: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    function: Any = sys.modules["torch"].autograd.Function

    class Word(function):  # type: ignore[misc]
        generate_vmap_rule = True

        @staticmethod
        def forward(*inputs: Any) -> Any:
            return value(xp, *inputs)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            needed = zip(rules, ctx.needs_input_grad, strict=True)
            return tuple(rule(xp, grad, *ctx.saved_tensors) if need else None for rule, need in needed)

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            given = zip(rules, tangents, strict=True)
            parts = [rule(xp, t, *ctx.saved_tensors) for rule, t in given if t is not None]
            return functools.reduce(operator.add, parts)

    def word(*inputs: Any) -> Any:
        like = next(value for value in inputs if _is_array(value))
        return Word.apply(*(value if _is_array(value) else like.new_full((), value) for value in inputs))

    return word


@_differentiated(lambda xp, t, x: t * _one(xp, x), libraries=("jax",))
def _one(xp: Any, x: Any) -> Any:
    """1, which is its own derivative: it gives a product of constants the derivatives of exp(x), of any order."""
    return xp.ones_like(x)


# Only PyTorch calls rules in the backward pass, so only there grad * t comes first, as in NAME_double_backward.
@_differentiated(
    lambda xp, t, alpha, x, grad: _exp(xp, grad, x, t),
    lambda xp, t, alpha, x, grad: _exp(xp, alpha, x, grad * t),
    lambda xp, t, alpha, x, grad: _exp(xp, alpha, x, t),
    libraries=("torch",),
)
def _exp(xp: Any, alpha: Any, x: Any, grad: Any) -> Any:
    """
    alpha * exp(x) * grad, where only the result overflows or underflows.

    exp(x) is one factor, next to alpha, as far as alpha * exp(x) is normal: up to 80 in float32.  What is left of x is
    halved and bounded, so that the factors are never 0.  JAX's second derivative multiplies grad by one half and the
    other gradient by the other half, then both products: neither meets 0 when it is infinite.
    """
    is_double = _name(x.dtype) == "float64"
    step, most, bounds = (300.0, 1200.0, (1e-43, 1e-174)) if is_double else (40.0, 146.0, (1e-3, 1e-20))
    fixed, near = _constant(x), 0.0
    for bound in bounds:
        is_above = abs(alpha) > bound
        near = near + step * (is_above if isinstance(alpha, float) else xp.astype(is_above, x.dtype))
    middle = xp.clip(fixed, -near, near)
    half = xp.exp(xp.clip(fixed - middle, -most, most) / 2)
    return (grad * half) * (alpha * xp.exp(middle) * _one(xp, x)) * half


@_differentiated(lambda xp, t, alpha, x: t * _expm1(xp, 1.0, x), lambda xp, t, alpha, x: _exp(xp, alpha, x, t))
def _expm1(xp: Any, alpha: Any, x: Any) -> Any:
    return alpha * xp.expm1(x)


@_differentiated(
    lambda xp, t, x, alpha: t / alpha,
    lambda xp, t, x, alpha: -t * xp.clip(_div(xp, x, alpha), -2000.0, 2000.0) / alpha,
)
def _div(xp: Any, x: Any, alpha: Any) -> Any:
    return x / alpha


@_differentiated(
    lambda xp, t, alpha, x: t * _expm1_div_by_alpha(xp, alpha, x), lambda xp, t, alpha, x: _exp_div(xp, x, alpha, t)
)
def _expm1_div(xp: Any, alpha: Any, x: Any) -> Any:
    return alpha * xp.expm1(x / alpha)


def _expm1_div_by_alpha(xp: Any, alpha: Any, x: Any) -> Any:
    """(1 - q) * exp(q) - 1 with q = x / alpha; near 0, where the difference cancels, by its Taylor series."""
    q = _div(xp, x, alpha)
    is_small = abs(q) < 1
    small = xp.where(is_small, q, 0.0)
    series = 0.0
    for k in range(18, -1, -1):
        series = series * small + 1 / (math.factorial(k) * (k + 2))
    return xp.where(is_small, -small * small * series, _exp_div(xp, x, alpha, 1 - xp.clip(q, -2000.0, 2000.0)) - 1)


def _exp_div(xp: Any, x: Any, alpha: Any, grad: Any) -> Any:
    """exp(x / alpha) * grad: exp magnifies the quotient's rounding error, which 1 + rest makes up for."""
    q = _div(xp, x, alpha)
    return _exp(xp, 1 + _rest(xp, _constant(x), _constant(alpha), _constant(q)), q, grad)


def _rest(xp: Any, x: Any, alpha: Any, q: Any) -> Any:
    """x / alpha - q for the rounded quotient q: x - n * alpha is nearly exact for the integer n closest to q."""
    dtype = np.float64 if _name(q.dtype) == "float64" else np.float32
    is_number = isinstance(alpha, float)
    space, divisor = (np, dtype(alpha)) if is_number else (xp, xp.astype(alpha, q.dtype, copy=False))
    scaled = divisor * space.where(abs(divisor) > 1, 2.0**-30, space.full_like(divisor, 2.0**30))
    split = scaled * (2.0**27 + 1 if dtype is np.float64 else 2.0**12 + 1)  # Veltkamp 1968
    high = split - (split - scaled)
    low, scale = scaled - high, scaled / divisor
    if is_number:  # a constant of a compiled function
        scaled, high, low, scale = map(float, (scaled, high, low, scale))
    n = xp.round(xp.clip(q, -2000.0, 2000.0))
    rest = ((x * scale - n * high) - n * low) / scaled - (q - n)
    return xp.where(abs(rest) < 1, rest, 0.0)


# ---------------------------------------------------------------------------------------------- the vocabulary


# xp is the namespace.  Numbers are Python's, which an operator of the standard takes without changing the dtype.
WORDS: dict[str, Callable[..., Any]] = {
    "v_set": lambda xp, c: float(c),
    "v_gt": lambda xp, a, b: a > b,
    "v_lt": lambda xp, a, b: a < b,
    "v_mul": lambda xp, a, b: a * b,
    "v_add": lambda xp, a, b: a + b,
    "v_sub": lambda xp, a, b: a - b,
    "v_div": _div,
    "v_max": lambda xp, a, b: xp.where(a > b, a, b),
    "v_min": lambda xp, a, b: xp.where(a < b, a, b),
    "v_expm1": _expm1,
    "v_exp": _exp,
    "v_expm1_div": _expm1_div,
    "v_exp_div": _exp_div,
    "w_round": lambda xp, a: a,
}
# With a wider type in C, which there is not here.
for _word in ("mul", "expm1", "exp"):
    WORDS[f"w_{_word}"] = WORDS[f"v_{_word}"]
# Near -c the sum's leading digits cancel, and those that float32 has cut off from the constant become the result.
WORDS["w_add"] = lambda xp, c, x: (x + float(np.float32(c))) + (c - float(np.float32(c)))


def _parsed(node: ast.AST) -> Callable[[Any, dict[str, Any]], Any]:
    """A formula as a function of the namespace and the inputs by name; nothing but words, names and numbers."""
    match node:
        case ast.Expression(body=body):
            return _parsed(body)
        case ast.Constant(value=int() | float() as number):
            return lambda xp, inputs: number
        case ast.Name(id=name):
            return lambda xp, inputs: inputs[name] if name in inputs else _core.CONSTANTS[name]
        case ast.Call(func=ast.Name(id="v_select" | "w_select"), args=[mask, yes, no], keywords=[]):
            test, first, second = _parsed(mask), _side(yes, True), _side(no, False)

            def select(xp: Any, inputs: dict[str, Any]) -> Any:
                taken = test(xp, inputs)
                return xp.where(taken, first(xp, taken, inputs), second(xp, taken, inputs))

            return select
        case ast.Call(func=ast.Name(id=word), args=args, keywords=[]) if word in WORDS:
            call, parts = WORDS[word], [_parsed(arg) for arg in args]
            return lambda xp, inputs: call(xp, *(part(xp, inputs) for part in parts))
        case _:
            raise ValueError(f"a formula of the table has {ast.unparse(node)!r}, for which there is no word here")


def _side(node: ast.AST, is_first: bool) -> Callable[[Any, Any, dict[str, Any]], Any]:
    """
    A side of v_select, with inputs 1 where the other side is taken.

    Its derivative is multiplied by 0 there, which would be NaN if it were infinite.  An input itself has derivative 1.
    """
    value = _parsed(node)
    used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} if isinstance(node, ast.Call) else set()

    def side(xp: Any, taken: Any, inputs: dict[str, Any]) -> Any:
        like = next(filter(_is_array, inputs.values()))
        kept = dict(inputs)
        for name in used & inputs.keys():
            if _is_array(inputs[name]) or not math.isfinite(inputs[name]):
                given = inputs[name] if _is_array(inputs[name]) else xp.full_like(like, inputs[name])
                kept[name] = xp.where(taken, given, 1.0) if is_first else xp.where(taken, 1.0, given)
        return value(xp, kept)

    return side


FORMULAS = {row.name: _parsed(ast.parse(row.formula, mode="eval")) for row in _core.ROWS.values()}


def _evaluate(name: str, xp: Any, inputs: list[Any]) -> Any:
    y = FORMULAS[name](xp, dict(zip(_core.ROWS[name].inputs, inputs, strict=True)))
    if name == "relu":
        # By the formula the derivative would be 1 at 0 and at NaN, where it has to be 0.
        y = xp.where(inputs[0] > 0, inputs[0], _constant(y))
    return y


# ---------------------------------------------------------------------------------------------- namespaces and dtypes


def check(argument: str, value: Any) -> None:
    """PyTorch's tensors have their namespace from array-api-compat."""
    if not hasattr(value, "__array_namespace__"):
        try:
            import array_api_compat  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError:
            raise TypeError(
                f"{argument} must be a NumPy or CuPy array where array-api-compat is not installed "
                f"(pip install 'pyleaky[array-api]'), got {_arguments.describe_argument(argument, value)}"
            ) from None


def namespace(value: Any) -> Any:
    if hasattr(value, "__array_namespace__"):
        return value.__array_namespace__()
    import array_api_compat

    return array_api_compat.array_namespace(value)


def _is_array(value: Any) -> bool:
    return _arguments.kind_of(value) == "generic"


def _name(dtype: Any) -> str:
    # "float32" of numpy.dtype("float32"), torch.float32, jax.numpy.float32, which is a class, and the string.
    return getattr(dtype, "__name__", str(dtype)).rpartition(".")[2]


def _widest(xp: Any) -> Any:
    """What integers and sums are computed in: float64, where the namespace has it."""
    known = xp.__array_namespace_info__().dtypes(kind="real floating")
    return known.get("float64", known["float32"])


def _result_dtype(xp: Any, operands: list[tuple[str, Any]], dtype: Any = None) -> Any:
    """Floating dtypes decide, as the namespace promotes them; integers and bool alone give its widest."""
    floating = []
    for argument, value in operands:
        if not _is_array(value):
            continue
        name = _name(value.dtype)
        if name in _core.DTYPES:
            floating.append(value.dtype)
        elif not (name == "bool" or name.startswith(("int", "uint"))):
            raise TypeError(
                f"{argument} has dtype {name}, expected {', '.join(_core.DTYPES)}, an integer dtype or bool"
            )
    if dtype is not None:
        name = _name(dtype) if _name(dtype) in _core.DTYPES else np.dtype(dtype).name
        if name not in _core.DTYPES or not hasattr(xp, name):
            raise TypeError(f"dtype is {dtype}, expected one of {', '.join(_core.DTYPES)} that {xp.__name__} has")
        return getattr(xp, name)
    return xp.result_type(*floating) if floating else _widest(xp)


def _compute_dtype(xp: Any, dtype: Any) -> Any:
    return xp.float32 if _name(dtype) in ("float16", "bfloat16") else dtype


def _number(value: float, dtype: Any) -> float:
    """Rounded once to the dtype to compute in."""
    if _name(dtype) == "float64":
        return value
    with np.errstate(all="ignore"):
        return float(np.float32(value))


def _operand(xp: Any, value: Any, dtype: Any) -> Any:
    if _is_array(value):
        return xp.astype(value, dtype, copy=False)
    return _number(float(value), dtype)


def _refuse(out: Any, where: Any = True) -> None:
    if out is not None or where is not True:
        argument, value = ("where", where) if out is None else ("out", out)
        raise TypeError(f"{argument} is for NumPy and CuPy arrays only{_arguments.conversion_hint(argument, value)}")


# ---------------------------------------------------------------------------------------------- the back end


@np.errstate(all="ignore")  # for a namespace whose arrays are NumPy's
def call(name: str, values: list[Any], out: Any = None, where: Any = True, dtype: Any = None) -> Any:
    """Run a row; a parameter of no dimensions has no say in the result's dtype."""
    _refuse(out, where)
    row = _core.ROWS[name]
    xp = namespace(next(value for value in values if _is_array(value)))
    deciding = list(zip(row.inputs, values, strict=True))
    if row.parameters and (not _is_array(values[-1]) or values[-1].ndim == 0):
        _result_dtype(xp, deciding[-1:])  # refuses what no parameter can be
        deciding = deciding[:-1]
    result = _result_dtype(xp, deciding, dtype)
    compute = _compute_dtype(xp, result)
    inputs = [_operand(xp, value, compute) for value in values]
    like = next(filter(_is_array, inputs))
    for k in range(len(inputs) - row.parameters):
        inputs[k] = inputs[k] if _is_array(inputs[k]) else xp.full_like(like, inputs[k])
    return xp.astype(_evaluate(name, xp, inputs), result, copy=False)


@np.errstate(all="ignore")  # for a namespace whose arrays are NumPy's
def prelu_backward(grad: Any, x: Any, laid: Any, laid_shape: tuple[int, ...]) -> Any:
    """dx, and the gradient of the weight in its dtype (dx's for a number), added up in the widest one."""
    dx = call("leaky_relu_backward", [grad, x, laid])
    xp = namespace(dx)
    total = call("prelu_weight_grad", [grad, x], dtype=_widest(xp))
    shared = _functions._shared_axes(tuple(dx.shape), laid_shape)
    if shared:
        total = xp.sum(total, axis=shared)
    dtype = laid.dtype if _is_array(laid) and _name(laid.dtype) in _core.DTYPES else dx.dtype
    return dx, xp.astype(xp.reshape(total, laid_shape), dtype, copy=False)


@np.errstate(all="ignore")  # for a namespace whose arrays are NumPy's
def bias_act(settings: Any, x: Any, bias: Any, axis: int, out: Any) -> Any:
    _refuse(out)
    xp, dtype, compute, (x,), bias = _beside_bias(settings, {"x": x}, bias, axis)
    row, numbers = _bias_row(settings)
    x = x if bias is None else x + bias
    y = _evaluate(row, xp, [x, *numbers(compute)]) * _number(settings.gain, compute)
    if settings.clamp < math.inf:
        clamp = _number(settings.clamp, compute)
        is_above, is_below = _clamped(xp, y, clamp, dtype)
        if not settings.is_piecewise_linear and clamp < 2 * settings.gain:
            # The exponential's side reaches the clamp, where its second derivative must be 0, not 0 * infinity.
            x = xp.where(is_above | is_below, 1.0, x)
            y = _evaluate(row, xp, [x, *numbers(compute)]) * _number(settings.gain, compute)
        y = xp.where(is_above, clamp, xp.where(is_below, -clamp, y))
    return xp.astype(y, dtype, copy=False)


@np.errstate(all="ignore")  # for a namespace whose arrays are NumPy's
def bias_act_backward(settings: Any, given: dict[str, Any], bias: Any, axis: int, out: Any) -> Any:
    """dx and dbias, of `output` where it is among the arrays, else of x; with gg, of the second derivative."""
    _refuse(out)
    bias_dtype = None if bias is None else bias.dtype
    xp, dtype, compute, arrays, bias = _beside_bias(settings, given, bias, axis)
    array = dict(zip(given, arrays, strict=True))
    gain = _number(settings.gain, compute)
    grad = array["grad"] * gain
    if "output" in array:
        settings.check_output_is_enough(np.dtype(np.float64 if _name(compute) == "float64" else np.float32))
        side, suffix = array["output"], "_backward"
        if f"{_bias_row(settings)[0]}_backward_from_output" in _core.ROWS:
            side, suffix = side / gain, "_backward_from_output"
    else:
        side, suffix = array["x"] if bias is None else array["x"] + bias, "_backward"
    if settings.clamp < math.inf:
        clamp = _number(settings.clamp, compute)
        activation, numbers = _bias_row(settings)
        y = array["output"] if "output" in array else _evaluate(activation, xp, [side, *numbers(compute)]) * gain
        is_above, is_below = _clamped(xp, y, clamp, dtype)
        # 0 * infinity would be NaN, in the derivatives too.
        grad, side = xp.where(is_above | is_below, 0.0, grad), xp.where(is_above | is_below, 1.0, side)
    if "gg" in array and not settings.is_piecewise_linear:
        suffix = "_double_backward"
    row, numbers = _bias_row(settings, suffix)
    inputs = [array["gg"], grad, side] if suffix == "_double_backward" else [grad, side]
    dx = _evaluate(row, xp, [*inputs, *numbers(compute)])
    if "gg" in array and settings.is_piecewise_linear:
        dx = xp.zeros_like(dx)
    total = None
    if bias is not None:
        shared = tuple(k for k in range(dx.ndim) if k != axis % dx.ndim)
        total = xp.sum(xp.astype(dx, _widest(xp), copy=False), axis=shared)
        total = xp.astype(total, bias_dtype if _name(bias_dtype) in _core.DTYPES else dtype, copy=False)
    return xp.astype(dx, dtype, copy=False), total


def _clamped(xp: Any, y: Any, clamp: float, dtype: Any) -> tuple[Any, Any]:
    """Where y, rounded to its dtype, reaches the clamp, and where it reaches -clamp."""
    stored, limit = (xp.astype(value, dtype, copy=False) for value in (y, xp.full_like(y, clamp)))
    return stored >= limit, stored <= -limit


def _bias_row(settings: Any, suffix: str = "") -> tuple[str, Callable[[Any], list[float]]]:
    """The row of an activation, and its parameter as a function of the dtype to compute in."""
    activation = "leaky_relu" if settings.activation == "linear" else settings.activation
    name = f"{activation}{suffix}"
    number = settings.slope if settings.activation == "leaky_relu" else 1.0
    return name, lambda dtype: [_number(number, dtype)] * _core.ROWS[name].parameters


def _beside_bias(settings: Any, given: dict[str, Any], bias: Any, axis: int) -> tuple[Any, Any, Any, list[Any], Any]:
    operands = list(given.items()) + ([] if bias is None else [("bias", bias)])
    xp = namespace(next(value for _, value in operands if _is_array(value)))
    dtype = _result_dtype(xp, operands)
    compute = _compute_dtype(xp, dtype)
    settings.check_gain(np.dtype(np.float64 if _name(compute) == "float64" else np.float32))
    arrays = [_operand(xp, value, compute) for value in given.values()]
    if bias is not None:
        shape = tuple(arrays[0].shape)
        axis = np.lib.array_utils.normalize_axis_index(operator.index(axis), len(shape), "axis")
        if tuple(bias.shape) != (shape[axis],):
            raise ValueError(
                f"bias has shape {tuple(bias.shape)}, but x has {shape[axis]} elements along axis {axis}; "
                "it must have one for each of them"
            )
        laid = [1] * len(shape)
        laid[axis] = shape[axis]
        bias = xp.reshape(_operand(xp, bias, compute), tuple(laid))
    return xp, dtype, compute, arrays, bias


# ---------------------------------------------------------------------------------------------- random numbers
# Philox4x32-10 (Salmon et al. 2011) in int32, which every namespace has and which wraps around: a 32-bit product is
# put together from products of 16 bits.


def _int32(number: Any) -> Any:
    """The low 32 bits of a Python integer; an array has no others."""
    if not isinstance(number, int):
        return number
    number %= 2**32
    return number - 2**32 if number >= 2**31 else number


def _key(xp: Any, seed: Any) -> tuple[Any, Any]:
    """The low and the high 32 bits of a seed, which is an array where it has its value later."""
    if isinstance(seed, int):
        return seed, seed >> 32
    high = xp.astype(seed >> 32, xp.int32) if seed.dtype.itemsize == 8 else 0
    return xp.astype(seed, xp.int32), high


def _shifted(word: Any, bits: int) -> Any:
    """To the right, zeros coming in."""
    return (word >> bits) & (2 ** (32 - bits) - 1)


def _product(a: Any, constant: int) -> tuple[Any, Any]:
    """The high and the low 32 bits of a * constant."""
    low, high = constant % 2**16, constant >> 16
    a_low, a_high = a & 0xFFFF, _shifted(a, 16)
    middle = _shifted(a_low * low, 16) + ((a_low * high) & 0xFFFF) + ((a_high * low) & 0xFFFF)
    top = a_high * high + _shifted(a_low * high, 16) + _shifted(a_high * low, 16) + _shifted(middle, 16)
    return top, a * _int32(constant)


def _round(_: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    c0, c1, c2, c3, k0, k1 = state
    (high0, low0), (high1, low1) = _product(c0, 0xD2511F53), _product(c2, 0xCD9E8D57)
    words = high1 ^ c1 ^ _int32(k0), low1, high0 ^ c3 ^ _int32(k1), low0
    return *words, k0 + _int32(0x9E3779B9), k1 + _int32(0xBB67AE85)


def _words(xp: Any, like: Any, stream: int, seed: Any, start: int) -> Any:
    """The word of each element, in the shape of `like`."""
    count = math.prod(like.shape)
    if count >= 2**31 - 4:
        raise ValueError(f"an array of {count} elements is too large here: hand over parts of it with their `start`")
    skip, first = start % 4, start // 4
    index = xp.arange((skip + count + 3) // 4, dtype=xp.int32)
    if hasattr(like, "is_cuda"):
        index = index.to(like.device)
    c0 = index + _int32(first)
    wrapped = (c0 ^ _int32(2**31)) < (_int32(first) ^ _int32(2**31))
    c1 = xp.where(wrapped, _int32((first >> 32) + 1), xp.full_like(c0, _int32(first >> 32)))
    c2, c3 = xp.full_like(c0, stream), xp.zeros_like(c0)
    k0, k1 = _key(xp, seed)
    state = (c0, c1, c2, c3, k0, k1)
    if _arguments.library_of(c0) == "jax":
        # Of ten rounds in a row XLA makes one expression per word and element, which takes 25 times as long.
        key = (xp.asarray(_int32(k), dtype=xp.int32) for k in (k0, k1))
        state = sys.modules["jax"].lax.fori_loop(0, 10, _round, (c0, c1, c2, c3, *key))
    else:
        for number in range(10):
            state = _round(number, state)
    return xp.reshape(xp.reshape(xp.stack(state[:4], axis=1), (-1,))[skip : skip + count], like.shape)


@np.errstate(all="ignore")  # for a namespace whose arrays are NumPy's
def random(
    name: str, values: list[Any], out: Any, seed: Any, start: int, first: float, second: float, strides: Any
) -> Any:
    _refuse(out)
    xp = namespace(values[0])
    dtype = _result_dtype(xp, [("x", value) for value in values])
    compute = _compute_dtype(xp, dtype)
    arrays = [_operand(xp, value, compute) for value in values]
    words = _words(xp, arrays[0], 0 if name == "dropout" else 1, seed, start)
    if name == "dropout":
        threshold = int(first * 2.0**32)
        high, low = _shifted(words, 16), words & 0xFFFF
        dropped = (high < threshold >> 16) | ((high == threshold >> 16) & (low < threshold % 2**16))
        y = xp.where(dropped, 0.0, arrays[0] * _number(1 / (1 - first) if first < 1 else 0.0, compute))
    else:
        kind: Any = np.float64 if _name(compute) == "float64" else np.float32
        lower, span = float(kind(first)), float(kind(second) - kind(first))
        slope = lower + span * (xp.astype(_shifted(words, 8), compute) * 2.0**-24)
        y = _evaluate("leaky_relu" + name.removeprefix("rrelu"), xp, [*arrays, slope])
    return xp.astype(y, dtype, copy=False)
