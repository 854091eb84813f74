"""Initialisation of weights: the gain of every activation, and the distributions of LeCun, Glorot and He.

Variances are those of one layer's sums, z = W h: with h = f(z of the layer before) and z normal with variance 1, the
variance stays what it is if that of the weights is gain^2 / fan_in with gain^2 = 1 / E[f(z)^2].
"""

import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from . import _arguments, _core
from ._functions import celu, elu

__all__ = ["gain", "he_normal", "he_uniform", "lecun_normal", "xavier_normal", "xavier_uniform"]

_Layout = Literal["in_out", "out_in", "depthwise"]
_Mode = Literal["fan_in", "fan_out"]
_LAYOUTS = ("in_out", "out_in", "depthwise")
_MODES = ("fan_in", "fan_out")

# The standard deviations that weights of a dtype can have: from 64 times the smallest number, as a coarser grid would
# change the variance, to a 16th of the largest, as normal numbers may be 14 deviations away from 0.
_DEVIATIONS = {
    "float16": (2.0**-18, 2.0**12),
    "bfloat16": (2.0**-127, 2.0**124),
    "float32": (2.0**-143, 2.0**124),
    "float64": (2.0**-1068, 2.0**1020),
}


# ---------------------------------------------------------------------------------------------------- gains


def _mean_square(function: Callable[[Any], Any], scale: float = 1.0) -> float:
    """
    E[function(z)^2] of a standard normal z, by Gauss-Legendre quadrature on panels.

    The panels shrink towards 0, where the function may have a kink and, over a distance of `scale`, its bend.
    """
    edges = [0.0, *(min(scale, 1.0) * 2.0 ** np.arange(-3, 6)), *range(1, 14)]
    edges = sorted({edge for edge in edges if edge <= 13})
    nodes, weights = np.polynomial.legendre.leggauss(20)
    total = 0.0
    with _core.default_environment():
        for low, high in itertools.pairwise(edges):
            z = (high - low) / 2 * nodes + (high + low) / 2
            density = (high - low) / 2 * weights * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
            total += float(np.sum(density * (np.square(function(z)) + np.square(function(-z)))))
    return total


class _Square(NamedTuple):
    """A mean square, number * 4^exponent, so that it may be beyond what float64 can hold."""

    number: float
    exponent: int = 0


def _scaled(mean_square: Callable[[float], float], *numbers: float) -> _Square:
    """The mean square for a unit, and for numbers in it, which is 1 unless the square of a number would overflow."""
    _, exponent = math.frexp(max(map(abs, numbers)))
    exponent *= exponent > 500
    return _Square(mean_square(math.ldexp(1.0, -exponent)), exponent)


def _finite(label: str, value: Any) -> float:
    _arguments.refuse_tensor(label.partition(",")[0], value, "a number")
    return _arguments.number(label, value, finite=True)


def _of_nothing(name: str, mean_square: float) -> Callable[[Any], _Square]:
    def found(param: Any) -> _Square:
        if param is not None:
            raise TypeError(f"{name} has no parameter, got param={param!r}")
        return _Square(mean_square)

    return found


def _of_slope(slope: Any) -> _Square:
    number = 0.01 if slope is None else _finite("param, the negative slope,", slope)
    return _scaled(lambda unit: (unit**2 + (number * unit) ** 2) / 2, number)


def _of_weights(weights: Any) -> _Square:
    if weights is None:
        raise TypeError("prelu needs its weights: a number or an array as param")
    host = weights.get() if hasattr(weights, "get") and hasattr(weights, "__cuda_array_interface__") else weights
    _arguments.refuse_tensor("param", host, "a number or an array")
    slopes = _arguments.as_ndarray("param", host)
    if slopes.ndim == 0:
        slopes = np.asarray(_arguments.number("param, prelu's weight,", host))
    if slopes.size == 0 or not (slopes.dtype.kind in "biuf" or _core.supports(slopes.dtype)):
        raise TypeError(f"param, prelu's weights, must be numbers, got {slopes.size} of {slopes.dtype}")
    slopes = slopes.astype(np.float64)
    if not np.isfinite(slopes).all():
        raise ValueError("param, prelu's weights, must be finite")

    def mean_square(unit: float) -> float:
        return (unit**2 + float(np.mean((slopes * unit) ** 2))) / 2

    return _scaled(mean_square, float(np.abs(slopes).max()))


def _of_bounds(bounds: Any) -> _Square:
    try:
        lower, upper = (1 / 8, 1 / 3) if bounds is None else bounds
    except (TypeError, ValueError):
        raise TypeError(f"param must be rrelu's (lower, upper), got {bounds!r}") from None
    lower, upper = _finite("param, lower,", lower), _finite("param, upper,", upper)
    if lower > upper:
        raise ValueError(f"param: lower must not be above upper, got {lower} and {upper}")

    def mean_square(unit: float) -> float:
        low, high = lower * unit, upper * unit
        return (unit**2 + (low * low + low * high + high * high) / 3) / 2

    return _scaled(mean_square, lower, upper)


def _of_alpha(function: Callable[..., Any]) -> Callable[[Any], _Square]:
    def found(alpha: Any) -> _Square:
        number = 1.0 if alpha is None else _finite("param, alpha,", alpha)
        if function is celu:
            if number <= 0:
                raise ValueError(f"param, alpha, must be positive for celu, got {number}")
            return _Square(_mean_square(lambda z: function(z, number), number))  # which no alpha makes large
        return _scaled(lambda unit: _mean_square(lambda z: function(z, number) * unit), number)

    return found


def _of_bias_act(keywords: Mapping[str, Any] | None) -> _Square:
    known = ("activation", "negative_slope", "gain")
    if not isinstance(keywords, Mapping) or not {"activation"} <= set(keywords) <= set(known):
        listed = f"{', '.join(known)}, of which activation is required"
        raise TypeError(f"param must be a dict of bias_act's keywords {listed}, got {keywords!r}")
    activations = ("linear", "relu", "leaky_relu", "elu", "selu")
    activation = _arguments.choice("activation", keywords["activation"], activations)
    own = keywords.get("gain", 1.0)
    if own is None:  # StyleGAN's, as bias_act has it
        own = math.sqrt(2) if activation in ("relu", "leaky_relu") else 1.0
    own = _arguments.number("gain", own, above=0, finite=True)
    slope = _finite("negative_slope", keywords.get("negative_slope", 0.01))
    number, exponent = _MEAN_SQUARES[activation](slope if activation == "leaky_relu" else None)
    fraction, power = math.frexp(own)
    if abs(power) > 500:
        own, exponent = fraction, exponent + power
    return _Square(own * own * number, exponent)


_MEAN_SQUARES: dict[str, Callable[[Any], _Square]] = {
    "linear": _of_nothing("linear", 1.0),
    "sigmoid": _of_nothing("sigmoid", _mean_square(lambda z: 1 / (1 + np.exp(-z)))),
    "tanh": _of_nothing("tanh", _mean_square(np.tanh)),
    "relu": _of_nothing("relu", 0.5),
    "leaky_relu": _of_slope,
    "prelu": _of_weights,
    "rrelu": _of_bounds,
    "elu": _of_alpha(elu),
    "celu": _of_alpha(celu),
    "selu": _of_nothing("selu", 1.0),  # what its constants are made for
    "bias_act": _of_bias_act,
}


@_arguments.public
def gain(name: str, param: Any = None) -> float:
    """
    What the standard deviation of the weights is multiplied by, so that an activation keeps the variance.

    .. math:: gain = 1 / \\sqrt{E[f(z)^2]}, \\qquad z \\sim N(0, 1)

    Parameters
    ----------
    name : str
        linear, sigmoid, tanh, relu, leaky_relu, prelu, rrelu, elu, celu, selu or bias_act.
    param : optional
        leaky_relu: the negative slope, 0.01 by default.  prelu: the weights, a number or an array.  rrelu: (lower,
        upper), (1/8, 1/3) by default.  elu, celu: alpha, 1 by default.  bias_act: a dict of its keywords activation,
        which is required, negative_slope and gain, with its defaults; the weights need not repeat its own gain.

    Returns
    -------
    float
        The gain.

    Raises
    ------
    TypeError
        If `param` is of a kind that the activation does not take.
    ValueError
        If the name is not known, `param` is out of range, or float64 cannot hold the gain.

    See Also
    --------
    he_normal, xavier_normal

    Notes
    -----
    In closed form for the rectifiers, by Gauss-Legendre quadrature to 1e-12 for the others.  PyTorch's
    ``calculate_gain`` has rules of thumb for three of them: 1 for sigmoid, 5/3 for tanh and 3/4 for selu, where the
    variance asks for 1.85, 1.59 and 1; and none for prelu, elu and celu.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
    classification", ICCV 2015, section 2.2.

    Examples
    --------
    >>> import pyleaky.init
    >>> round(pyleaky.init.gain("leaky_relu", 0.2), 6)
    1.38675
    >>> round(pyleaky.init.gain("elu"), 6)
    1.245198
    """
    number, exponent = _MEAN_SQUARES[_arguments.choice("name", name, [*_MEAN_SQUARES])](param)
    try:
        found = math.ldexp(1 / math.sqrt(number), -exponent)
    except OverflowError:
        found = 0.0
    if not found:
        raise ValueError(f"param gives a gain that float64 cannot hold, got param={param!r}")
    return found


# ---------------------------------------------------------------------------------------------------- weights


def _fans(shape: Any, layout: str, groups: Any = 1) -> tuple[tuple[int, ...], int, int]:
    """The shape as a tuple, and fan_in and fan_out: what one output reads, and what one input is read by."""
    try:
        lengths = tuple(_arguments.index("shape", length, -(2**63), 2**63) for length in shape)
    except TypeError:
        raise TypeError(f"shape must be a sequence of integers, got {shape!r}") from None
    layout = _arguments.choice("layout", layout, _LAYOUTS)
    count = _arguments.index("groups", groups, 1, None)
    if len(lengths) < 2:
        raise ValueError(f"shape must have at least 2 dimensions, of inputs and outputs, got {lengths}")
    if min(lengths) < 1:
        raise ValueError(f"shape must have no length below 1, got {lengths}")
    first, second, *places = (
        (lengths[1], lengths[0], *lengths[2:]) if layout == "out_in" else (lengths[-2:] + lengths[:-2])
    )
    if layout == "depthwise" or (layout == "in_out" and first == count and second % count):
        if count not in (1, first):
            raise ValueError(f"groups must be 1 or the {first} channels of a depthwise {lengths}, got {count}")
        inputs, outputs = 1, second  # of each channel
    elif second % count:
        raise ValueError(f"groups must divide the {second} outputs of shape {lengths}, got {count}")
    else:
        inputs, outputs = first, second // count
    return lengths, inputs * math.prod(places), outputs * math.prod(places)


def _generator(rng: Any) -> Any:
    """A generator of NumPy or CuPy; made here for a seed."""
    of_cupy: Any = getattr(getattr(sys.modules.get("cupy"), "random", None), "Generator", ())
    if isinstance(rng, (np.random.Generator, of_cupy)):
        return rng
    if isinstance(rng, (np.random.SeedSequence, np.random.BitGenerator)):
        return np.random.default_rng(rng)
    expected = "a numpy.random.Generator, such as numpy.random.default_rng(seed), CuPy's, or an integer to seed one"
    if rng is None:
        raise TypeError(f"rng must be {expected}, got None, with which nobody could draw the same weights again")
    if type(rng).__name__ == "RandomState" or rng is np.random:
        raise TypeError(f"rng must be {expected}, got NumPy's legacy generator, numpy.random.RandomState")
    return np.random.default_rng(_arguments.index("rng", rng, 0, None, expected))


def _draw(kind: str, shape: tuple[int, ...], deviation: float, argument: str, rng: Any, dtype: Any) -> Any:
    """
    Normal numbers, or uniform ones of the same standard deviation, on the device of the generator.

    The deviation comes from an argument and the shape.
    """
    _core.see_ml_dtypes()
    dtype = _arguments.result_dtype(dtype)
    rng = _generator(rng)
    least, most = _DEVIATIONS[dtype.name]
    if argument and not least <= abs(deviation) <= most:
        bounds = f"weights in {dtype} can have one from {least:.2g} to {most:.2g}"
        raise ValueError(f"{argument} and shape give a standard deviation of {abs(deviation):.2g}; {bounds}")
    real = np.float64 if dtype == np.float64 else np.float32
    if kind == "normal":
        numbers = rng.standard_normal(shape, dtype=real)
        numbers *= real(deviation)
    else:
        numbers = rng.random(shape, dtype=real)
        numbers -= real(0.5)
        numbers *= real(deviation * math.sqrt(12))
    return numbers.astype(dtype, copy=False)


def _xavier(kind: str, shape: Any, factor: Any, rng: Any, dtype: Any, layout: str, groups: Any) -> Any:
    shape, fan_in, fan_out = _fans(shape, layout, groups)
    factor = _finite("gain", factor)
    return _draw(kind, shape, factor * math.sqrt(2 / (fan_in + fan_out)), "gain" if factor else "", rng, dtype)


def _he(kind: str, shape: Any, mode: str, negative_slope: Any, rng: Any, dtype: Any, layout: str, groups: Any) -> Any:
    shape, fan_in, fan_out = _fans(shape, layout, groups)
    fan = fan_in if _arguments.choice("mode", mode, _MODES) == "fan_in" else fan_out
    slope = _finite("negative_slope", negative_slope)
    if abs(slope) < 2.0**500:
        deviation = math.sqrt(2 / ((1 + slope * slope) * fan))
    else:  # the square would overflow
        deviation = math.sqrt(2 / fan) / abs(slope)
    return _draw(kind, shape, deviation, "negative_slope", rng, dtype)


@_arguments.public
def xavier_uniform(
    shape: Sequence[int],
    *,
    rng: Any,
    gain: float = 1.0,
    dtype: Any = np.float32,
    layout: _Layout = "in_out",
    groups: int = 1,
) -> Any:
    """
    Weights of Glorot and Bengio, uniform: for activations that are linear around 0, such as tanh.

    .. math:: U(-a, a), \\qquad a = gain \\cdot \\sqrt{6 / (fan_{in} + fan_{out})}

    Parameters
    ----------
    shape : sequence of int
        At least 2 dimensions: dense or convolution weights.
    rng : numpy.random.Generator or int
        The source of the numbers; with CuPy's generator the weights are on the GPU.  An integer (or a SeedSequence or
        BitGenerator of NumPy) seeds a new generator: two calls with the same integer start from the same numbers, so
        give one generator to all layers of a network.
    gain : float, optional
        The factor of the standard deviation.
    dtype : dtype, optional
        float16, bfloat16, float32 or float64.  Half types are drawn in float32.
    layout : {"in_out", "out_in", "depthwise"}, optional
        "in_out": (inputs, outputs), and (height, width, inputs, outputs) for a convolution.  "out_in": (outputs,
        inputs), and (outputs, inputs, height, width), as in PyTorch.  "depthwise": (height, width, channels,
        multiplier).  The fans count every place of a convolution.
    groups : int, optional
        The groups of a grouped convolution, which `shape` does not show: its inputs are those of one group, its outputs
        those of all.  See the notes.

    Returns
    -------
    ndarray
        The weights.

    Raises
    ------
    TypeError
        If `rng` is no generator or integer, or `dtype` is unsupported.
    ValueError
        If `shape` has fewer than 2 dimensions or a length of 0, `layout` is unknown, `groups` does not divide the
        outputs, or `dtype` cannot hold weights of that standard deviation.

    See Also
    --------
    xavier_normal, he_uniform, gain

    Notes
    -----
    fan_in is how many inputs one output reads, fan_out how many outputs read one input, in its group:

    ======================================================  =========================  ==========================
    layer                                                   shape                      arguments
    ======================================================  =========================  ==========================
    PyTorch ``Conv2d(a, b, k, groups=g)``                   (b, a / g, k, k)           layout="out_in", groups=g
    PyTorch ``Conv2d(c, m * c, k, groups=c)``, depthwise    (m * c, 1, k, k)           layout="out_in", groups=c
    Keras ``Conv2D(b, k, groups=g)``                        (k, k, a / g, b)           groups=g
    Keras ``DepthwiseConv2D(k, depth_multiplier=m)``        (k, k, c, m)               layout="depthwise"
    JAX ``conv_general_dilated``, feature_group_count=g     (k, k, a / g, b)           groups=g
    ======================================================  =========================  ==========================

    Keras's depthwise layout is also recognised by ``groups=c``, where the multiplier is no multiple of the channels.

    A transposed convolution has the shape of the convolution that it transposes, so the fans change places:
    ``mode="fan_out"`` of `he_normal` keeps the variance forward.  With a stride s in each of d dimensions, one output
    reads only one place in s^d: multiply the weights by s^(d / 2).

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Examples
    --------
    >>> import numpy as np, pyleaky.init
    >>> pyleaky.init.xavier_uniform((300, 100), rng=np.random.default_rng(0)).std().round(3)
    np.float32(0.071)
    """
    return _xavier("uniform", shape, gain, rng, dtype, layout, groups)


@_arguments.public
def xavier_normal(
    shape: Sequence[int],
    *,
    rng: Any,
    gain: float = 1.0,
    dtype: Any = np.float32,
    layout: _Layout = "in_out",
    groups: int = 1,
) -> Any:
    """
    Weights of Glorot and Bengio, normal: for activations that are linear around 0, such as tanh.

    .. math:: N(0, \\sigma^2), \\qquad \\sigma = gain \\cdot \\sqrt{2 / (fan_{in} + fan_{out})}

    Parameters
    ----------
    shape, rng, gain, dtype, layout, groups
        As for `xavier_uniform`.

    Returns
    -------
    ndarray
        The weights.

    Raises
    ------
    TypeError, ValueError
        As `xavier_uniform`.

    See Also
    --------
    xavier_uniform, he_normal, gain

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Examples
    --------
    >>> import numpy as np, pyleaky.init
    >>> pyleaky.init.xavier_normal((300, 100), rng=np.random.default_rng(0)).std().round(3)
    np.float32(0.071)
    """
    return _xavier("normal", shape, gain, rng, dtype, layout, groups)


@_arguments.public
def he_uniform(
    shape: Sequence[int],
    *,
    rng: Any,
    mode: _Mode = "fan_in",
    negative_slope: float = 0.0,
    dtype: Any = np.float32,
    layout: _Layout = "in_out",
    groups: int = 1,
) -> Any:
    """
    Weights of He et al., uniform: for relu, leaky_relu and their family.

    .. math:: U(-a, a), \\qquad a = \\sqrt{6 / ((1 + negative\\_slope^2) \\cdot fan)}

    Parameters
    ----------
    shape, rng, dtype, layout, groups
        As for `xavier_uniform`.
    mode : {"fan_in", "fan_out"}, optional
        Whether the variance is kept on the way forward or backward.
    negative_slope : float, optional
        The slope of the activation; 0 for relu.

    Returns
    -------
    ndarray
        The weights.

    Raises
    ------
    TypeError, ValueError
        As `xavier_uniform`, and if `mode` is unknown or `negative_slope` is not finite.

    See Also
    --------
    he_normal, gain

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
    classification", ICCV 2015.

    Examples
    --------
    >>> import numpy as np, pyleaky.init
    >>> pyleaky.init.he_uniform((300, 100), negative_slope=0.2, rng=np.random.default_rng(0)).std().round(3)
    np.float32(0.08)
    """
    return _he("uniform", shape, mode, negative_slope, rng, dtype, layout, groups)


@_arguments.public
def he_normal(
    shape: Sequence[int],
    *,
    rng: Any,
    mode: _Mode = "fan_in",
    negative_slope: float = 0.0,
    dtype: Any = np.float32,
    layout: _Layout = "in_out",
    groups: int = 1,
) -> Any:
    """
    Weights of He et al., normal: for relu, leaky_relu and their family.

    .. math:: N(0, \\sigma^2), \\qquad \\sigma = \\sqrt{2 / ((1 + negative\\_slope^2) \\cdot fan)}

    Parameters
    ----------
    shape, rng, mode, negative_slope, dtype, layout, groups
        As for `he_uniform`.

    Returns
    -------
    ndarray
        The weights.

    Raises
    ------
    TypeError, ValueError
        As `he_uniform`.

    See Also
    --------
    he_uniform, gain

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
    classification", ICCV 2015.

    Examples
    --------
    >>> import numpy as np, pyleaky.init
    >>> pyleaky.init.he_normal((300, 100), negative_slope=0.2, rng=np.random.default_rng(0)).std().round(3)
    np.float32(0.08)
    """
    return _he("normal", shape, mode, negative_slope, rng, dtype, layout, groups)


@_arguments.public
def lecun_normal(
    shape: Sequence[int], *, rng: Any, dtype: Any = np.float32, layout: _Layout = "in_out", groups: int = 1
) -> Any:
    """
    Weights of LeCun et al., normal: what selu's constants are made for.

    .. math:: N(0, \\sigma^2), \\qquad \\sigma = \\sqrt{1 / fan_{in}}

    Parameters
    ----------
    shape, rng, dtype, layout, groups
        As for `xavier_uniform`.

    Returns
    -------
    ndarray
        The weights.

    Raises
    ------
    TypeError, ValueError
        As `xavier_uniform`.

    See Also
    --------
    he_normal, gain

    References
    ----------
    Y. LeCun, L. Bottou, G. Orr and K.-R. Mueller, "Efficient BackProp", 1998.
    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np, pyleaky.init
    >>> pyleaky.init.lecun_normal((300, 100), rng=np.random.default_rng(0)).std().round(3)
    np.float32(0.058)
    """
    shape, fan_in, _ = _fans(shape, layout, groups)
    return _draw("normal", shape, math.sqrt(1 / fan_in), "dtype", rng, dtype)


def __getattr__(name: str) -> Any:
    raise _arguments.missing_attribute(__name__, name)
