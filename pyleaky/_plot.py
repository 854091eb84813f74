"""Pictures: the activations beside their derivatives, and the empty figures that pyleaky.diagnostics draws into.

Matplotlib is imported when a picture is asked for, and pyplot when one is to be shown in a window, so that no global
state comes with a picture.  To add an activation, give it a row in `_CURVES`.
"""

# Matplotlib's keywords have no types, nor has it where it is not installed.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingImports=false

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import number
from ._functions import (
    celu,
    celu_backward,
    elu,
    elu_backward,
    leaky_relu,
    leaky_relu_backward,
    prelu,
    prelu_backward,
    relu,
    relu_backward,
    selu,
    selu_backward,
)
from .init import gain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_activations"]


def new_figure(columns: int, width: float = 4.6, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """A white figure with one row of axes; an ImportError that says what to install where Matplotlib is missing."""
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise ImportError("plots need Matplotlib: pip install pyleaky[examples]") from error
    from ._figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained", facecolor="white")
    axes = [figure.add_subplot(1, columns, k + 1) for k in range(columns)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
    return figure, axes


# Lines that lie on each other show through each other's gaps.
_DASHES = ((), (7, 1.5), (4, 1.5), (1.5, 1.5), (7, 1.5, 1.5, 1.5), (4, 1.5, 1.5, 1.5), (2.5, 2.5))


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes for the line at this place of a figure."""
    dashes = _DASHES[place % len(_DASHES)]
    return {"color": f"C{place}", "linestyle": (0, dashes) if dashes else "-"}


# What the legend calls the parameter, its default, the function of (x, parameter), its derivative of (1, x, parameter).
_CURVES: dict[str, tuple[str, Any, Callable[..., Any], Callable[..., Any]]] = {
    "relu": ("", None, lambda x, _: relu(x), lambda grad, x, _: relu_backward(grad, x)),
    "leaky_relu": ("slope", 0.01, leaky_relu, leaky_relu_backward),
    "prelu": ("weight", 0.25, prelu, lambda grad, x, weight: prelu_backward(grad, x, weight)[0]),
    "rrelu": ("slopes", (1 / 8, 1 / 3), leaky_relu, leaky_relu_backward),
    "elu": ("alpha", 1.0, elu, elu_backward),
    "celu": ("alpha", 1.0, celu, celu_backward),
    "selu": ("", None, lambda x, _: selu(x), lambda grad, x, _: selu_backward(grad, x)),
}


def _parameter(name: str, param: Any) -> Any:
    """What the curve is drawn with, checked."""
    default = _CURVES[name][1]
    if param is None:
        return default
    if name == "prelu":
        param = number("params['prelu']", param, finite=True)  # gain would take an array
    gain(name, param)
    return tuple(map(float, param)) if name == "rrelu" else float(param)


def plot_activations(
    names: Sequence[str] = ("relu", "leaky_relu", "prelu", "elu", "celu", "selu"),
    *,
    low: float = -3.0,
    high: float = 3.0,
    params: Mapping[str, Any] | None = None,
) -> Figure:
    """
    A figure of activations: the functions on the left, their derivatives on the right.

    .. math:: f(x) \\quad \\text{and} \\quad f'(x), \\qquad low \\le x \\le high

    Both are computed by pyleaky's own functions.  A derivative that jumps at 0 has a gap there.

    Parameters
    ----------
    names : sequence of str, optional
        Any of relu, leaky_relu, prelu, rrelu, elu, celu and selu.  Of rrelu, the band between its slopes is shaded, and
        the line is what it is in evaluation, where the slope is their mean.
    low, high : float, optional
        The range of x.
    params : dict, optional
        By name: leaky_relu's slope (0.01 by default), prelu's weight (0.25), the alpha of elu and celu (1), rrelu's
        (lower, upper) (1/8 and 1/3).

    Returns
    -------
    matplotlib.figure.Figure
        With two axes.  A notebook displays it, ``savefig`` writes it, and ``show`` opens a window.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If `names` is no sequence of strings, `low` or `high` is no number, or `params` is no dict or holds a parameter
        of the wrong kind.
    ValueError
        If a name is not known, `params` has a name that is not drawn or a parameter out of range, or `low` is not below
        `high`.

    See Also
    --------
    pyleaky.leaky_relu, pyleaky.init.gain

    References
    ----------
    The papers are those that each function names.

    Examples
    --------
    >>> import pyleaky
    >>> figure = pyleaky.plot_activations(["relu", "leaky_relu"], params={"leaky_relu": 0.2})
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['relu', 'leaky_relu, slope 0.2']
    """
    if isinstance(names, str):
        raise TypeError(f"names must be a sequence of names, got the string {names!r}")
    names, params = list(names), {} if params is None else params
    for name in names:
        if not isinstance(name, str) or name not in _CURVES:
            raise ValueError(f"names must be of {', '.join(map(repr, _CURVES))}, got {name!r}")
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a dict of parameters by name, got {type(params).__name__}")
    if unknown := [name for name in params if name not in names]:
        raise ValueError(f"params has {unknown[0]!r}, which is not among names: {', '.join(map(repr, names))}")
    low, high = number("low", low, finite=True), number("high", high, finite=True)
    if low >= high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    parameters = {name: _parameter(name, params.get(name)) for name in names}

    figure, (left, right) = new_figure(2, width=5.2)
    # Both sides of 0, with nothing to join them; 0 itself belongs to the left one, as in the functions.
    sides = [np.linspace(low, min(high, 0.0), 301), np.linspace(max(low, 5e-324), high, 301)]
    x = np.concatenate([sides[0], [np.nan], sides[1]] if low < 0 < high else [sides[0] if low < 0 else sides[1]])
    for place, (name, parameter) in enumerate(parameters.items()):
        word, _, function, derivative = _CURVES[name]
        at = sum(parameter) / 2 if name == "rrelu" else parameter
        told = {"": name, "slopes": f"{name}, slopes {{0[0]:.3g}} to {{0[1]:.3g}}"}.get(word, f"{name}, {word} {{0:g}}")
        left.plot(x, function(x, at), label=told.format(parameter), linewidth=2, **line_style(place))
        right.plot(x, derivative(np.ones_like(x), x, at), linewidth=2, **line_style(place))
        if name == "rrelu":
            for ax, ends in (
                (left, [function(x, end) for end in parameter]),
                (right, [derivative(np.ones_like(x), x, end) for end in parameter]),
            ):
                ax.fill_between(x, *ends, color=f"C{place}", alpha=0.2, linewidth=0)
    left.set(title="f(x)", xlabel="x", xlim=(low, high))
    right.set(title="f'(x)", xlabel="x", xlim=(low, high))
    if names:
        left.legend(loc="upper left")
    return figure
