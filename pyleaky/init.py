"""Initialisation of weights: the gain of every activation, and the distributions of LeCun, Glorot and He.

Variances are those of one layer's sums, z = W h: with h = f(z of the layer before) and z normal with variance 1, the
variance stays what it is if that of the weights is gain^2 / fan_in with gain^2 = 1 / E[f(z)^2].
"""

import itertools
import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from . import _core
from ._arguments import refuse_tensor
from ._functions import celu, elu

__all__ = ["gain", "he_normal", "he_uniform", "lecun_normal", "xavier_normal", "xavier_uniform"]

_Layout = Literal["in_out", "out_in"]
_Mode = Literal["fan_in", "fan_out"]


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
    for low, high in itertools.pairwise(edges):
        z = (high - low) / 2 * nodes + (high + low) / 2
        density = (high - low) / 2 * weights * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        total += float(np.sum(density * (np.square(function(z)) + np.square(function(-z)))))
    return total


def _number(label: str, value: Any) -> float:
    refuse_tensor(label.partition(",")[0], value, "a number")
    if isinstance(value, (str, bytes, complex)) or not hasattr(value, "__float__") or np.ndim(value) != 0:
        raise TypeError(f"{label} must be a number, got {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{label} must be finite, got {number}")
    return number


def _of_nothing(name: str, mean_square: float) -> Callable[[Any], float]:
    def found(param: Any) -> float:
        if param is not None:
            raise TypeError(f"{name} has no parameter, got param={param!r}")
        return mean_square

    return found


def _of_slope(slope: Any) -> float:
    return (1 + _number("param, the negative slope,", 0.01 if slope is None else slope) ** 2) / 2


def _of_weights(weights: Any) -> float:
    if weights is None:
        raise TypeError("prelu needs its weights: a number or an array as param")
    host = weights.get() if hasattr(weights, "get") and hasattr(weights, "__cuda_array_interface__") else weights
    refuse_tensor("param", host, "a number or an array")
    slopes = np.asarray(host)
    if slopes.dtype.kind not in "biufV" or slopes.size == 0:
        raise TypeError(f"param, prelu's weights, must be numbers, got {slopes.size} of {slopes.dtype}")
    slopes = slopes.astype(np.float64)
    if not np.isfinite(slopes).all():
        raise ValueError("param, prelu's weights, must be finite")
    return float((1 + np.mean(slopes**2)) / 2)


def _of_bounds(bounds: Any) -> float:
    try:
        lower, upper = (1 / 8, 1 / 3) if bounds is None else bounds
    except (TypeError, ValueError):
        raise TypeError(f"param must be rrelu's (lower, upper), got {bounds!r}") from None
    lower, upper = _number("param, lower,", lower), _number("param, upper,", upper)
    if lower > upper:
        raise ValueError(f"param: lower must not be above upper, got {lower} and {upper}")
    return (1 + (lower * lower + lower * upper + upper * upper) / 3) / 2


def _of_alpha(function: Callable[..., Any]) -> Callable[[Any], float]:
    def found(alpha: Any) -> float:
        number = 1.0 if alpha is None else _number("param, alpha,", alpha)
        if function is celu and number <= 0:
            raise ValueError(f"param, alpha, must be positive for celu, got {number}")
        return _mean_square(lambda z: function(z, number), number if function is celu else 1.0)

    return found


def _of_bias_act(keywords: Mapping[str, Any] | None) -> float:
    known = ("activation", "negative_slope", "gain")
    if not isinstance(keywords, Mapping) or not {"activation"} <= set(keywords) <= set(known):
        listed = f"{', '.join(known)}, of which activation is required"
        raise TypeError(f"param must be a dict of bias_act's keywords {listed}, got {keywords!r}")
    activation = keywords["activation"]
    own = keywords.get("gain", 1.0)
    if own is None:  # StyleGAN's, as bias_act has it
        own = math.sqrt(2) if activation in ("relu", "leaky_relu") else 1.0
    of_activation = {
        "linear": lambda: 1.0,
        "relu": lambda: 0.5,
        "leaky_relu": lambda: _of_slope(keywords.get("negative_slope", 0.01)),
        "elu": lambda: _MEAN_SQUARES["elu"](None),
        "selu": lambda: 1.0,
    }
    if activation not in of_activation:
        raise ValueError(f"activation must be one of {', '.join(map(repr, of_activation))}, got {activation!r}")
    own = _number("gain", own)
    if own <= 0:
        raise ValueError(f"gain must be positive, got {own}")
    return own * own * of_activation[activation]()


_MEAN_SQUARES: dict[str, Callable[[Any], float]] = {
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
        If the name is not known or `param` is out of range.

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
    if not isinstance(name, str) or name not in _MEAN_SQUARES:
        raise ValueError(f"name must be one of {', '.join(map(repr, _MEAN_SQUARES))}, got {name!r}")
    return 1 / math.sqrt(_MEAN_SQUARES[name](param))


# ---------------------------------------------------------------------------------------------------- weights


def _fans(shape: Any, layout: str) -> tuple[tuple[int, ...], int, int]:
    """The shape as a tuple, fan_in and fan_out."""
    try:
        lengths = tuple(operator.index(length) for length in shape)
    except TypeError:
        raise TypeError(f"shape must be a sequence of integers, got {shape!r}") from None
    if layout not in ("in_out", "out_in"):
        raise ValueError(f"layout must be 'in_out' or 'out_in', got {layout!r}")
    if len(lengths) < 2:
        raise ValueError(f"shape must have at least 2 dimensions, of inputs and outputs, got {lengths}")
    if min(lengths) < 1:
        raise ValueError(f"shape must have no length below 1, got {lengths}")
    inputs, outputs, *places = (
        lengths[-2:] + lengths[:-2] if layout == "in_out" else (lengths[1], lengths[0], *lengths[2:])
    )
    return lengths, inputs * math.prod(places), outputs * math.prod(places)


def _draw(kind: str, shape: tuple[int, ...], deviation: float, rng: Any, dtype: Any) -> Any:
    """Normal numbers, or uniform ones of the same standard deviation, on the device of the generator."""
    _core.see_ml_dtypes()
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be one of {', '.join(_core.DTYPES)}, got {dtype!r}") from None
    if not _core.supports(dtype):
        raise TypeError(f"dtype must be one of {', '.join(_core.DTYPES)}, got {dtype}")
    cupy = sys.modules.get("cupy")
    generators: Any = (np.random.Generator,)
    if cupy is not None and hasattr(cupy.random, "Generator"):
        generators += (cupy.random.Generator,)
    if not isinstance(rng, generators):
        raise TypeError(
            "rng must be a numpy.random.Generator, such as numpy.random.default_rng(seed), or CuPy's, "
            f"got {type(rng).__name__}"
        )
    real = np.float64 if dtype == np.float64 else np.float32
    if kind == "normal":
        numbers = rng.standard_normal(shape, dtype=real)
        numbers *= real(deviation)
    else:
        numbers = rng.random(shape, dtype=real)
        numbers -= real(0.5)
        numbers *= real(deviation * math.sqrt(12))
    return numbers.astype(dtype, copy=False)


def _xavier(kind: str, shape: Any, factor: Any, rng: Any, dtype: Any, layout: str) -> Any:
    shape, fan_in, fan_out = _fans(shape, layout)
    return _draw(kind, shape, _number("gain", factor) * math.sqrt(2 / (fan_in + fan_out)), rng, dtype)


def _he(kind: str, shape: Any, mode: str, negative_slope: Any, rng: Any, dtype: Any, layout: str) -> Any:
    shape, fan_in, fan_out = _fans(shape, layout)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    slope = _number("negative_slope", negative_slope)
    fan = fan_in if mode == "fan_in" else fan_out
    return _draw(kind, shape, math.sqrt(2 / ((1 + slope * slope) * fan)), rng, dtype)


def xavier_uniform(
    shape: Sequence[int], *, rng: Any, gain: float = 1.0, dtype: Any = np.float32, layout: _Layout = "in_out"
) -> Any:
    """
    Weights of Glorot and Bengio, uniform: for activations that are linear around 0, such as tanh.

    .. math:: U(-a, a), \\qquad a = gain \\cdot \\sqrt{6 / (fan_{in} + fan_{out})}

    Parameters
    ----------
    shape : sequence of int
        At least 2 dimensions: dense or convolution weights.
    rng : numpy.random.Generator
        Where the numbers come from; with CuPy's generator the weights are on the GPU.
    gain : float, optional
        What the standard deviation is multiplied by.
    dtype : dtype, optional
        float16, bfloat16, float32 or float64.  Half types are drawn in float32.
    layout : {"in_out", "out_in"}, optional
        "in_out": (inputs, outputs), and (height, width, inputs, outputs) for a convolution.  "out_in": (outputs,
        inputs), and (outputs, inputs, height, width), as in PyTorch.  The fans count every place of a convolution.

    Returns
    -------
    ndarray
        The weights.

    Raises
    ------
    TypeError
        If `rng` is no generator, or `dtype` is unsupported.
    ValueError
        If `shape` has fewer than 2 dimensions or a length of 0, or `layout` is unknown.

    See Also
    --------
    xavier_normal, he_uniform, gain

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Examples
    --------
    >>> import numpy as np, pyleaky.init
    >>> pyleaky.init.xavier_uniform((300, 100), rng=np.random.default_rng(0)).std().round(3)
    np.float32(0.071)
    """
    return _xavier("uniform", shape, gain, rng, dtype, layout)


def xavier_normal(
    shape: Sequence[int], *, rng: Any, gain: float = 1.0, dtype: Any = np.float32, layout: _Layout = "in_out"
) -> Any:
    """
    Weights of Glorot and Bengio, normal: for activations that are linear around 0, such as tanh.

    .. math:: N(0, \\sigma^2), \\qquad \\sigma = gain \\cdot \\sqrt{2 / (fan_{in} + fan_{out})}

    Parameters
    ----------
    shape, rng, gain, dtype, layout
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
    return _xavier("normal", shape, gain, rng, dtype, layout)


def he_uniform(
    shape: Sequence[int],
    *,
    rng: Any,
    mode: _Mode = "fan_in",
    negative_slope: float = 0.0,
    dtype: Any = np.float32,
    layout: _Layout = "in_out",
) -> Any:
    """
    Weights of He et al., uniform: for relu, leaky_relu and their family.

    .. math:: U(-a, a), \\qquad a = \\sqrt{6 / ((1 + negative\\_slope^2) \\cdot fan)}

    Parameters
    ----------
    shape, rng, dtype, layout
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
        As `xavier_uniform`, and if `mode` is unknown or `negative_slope` not finite.

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
    return _he("uniform", shape, mode, negative_slope, rng, dtype, layout)


def he_normal(
    shape: Sequence[int],
    *,
    rng: Any,
    mode: _Mode = "fan_in",
    negative_slope: float = 0.0,
    dtype: Any = np.float32,
    layout: _Layout = "in_out",
) -> Any:
    """
    Weights of He et al., normal: for relu, leaky_relu and their family.

    .. math:: N(0, \\sigma^2), \\qquad \\sigma = \\sqrt{2 / ((1 + negative\\_slope^2) \\cdot fan)}

    Parameters
    ----------
    shape, rng, mode, negative_slope, dtype, layout
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
    return _he("normal", shape, mode, negative_slope, rng, dtype, layout)


def lecun_normal(shape: Sequence[int], *, rng: Any, dtype: Any = np.float32, layout: _Layout = "in_out") -> Any:
    """
    Weights of LeCun et al., normal: what selu's constants are made for.

    .. math:: N(0, \\sigma^2), \\qquad \\sigma = \\sqrt{1 / fan_{in}}

    Parameters
    ----------
    shape, rng, dtype, layout
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
    shape, fan_in, _ = _fans(shape, layout)
    return _draw("normal", shape, math.sqrt(1 / fan_in), rng, dtype)
