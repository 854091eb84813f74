"""Diagnosis of a network in training: units that never become positive, dead and saturated ones, and gradients that
explode or vanish.

`UnitMonitor` is fed with what goes into the activations (or comes out, or their packed masks), `GradientMonitor` with
the gradients.  Both only count, on the device that the arrays are on; verdicts are given when a report is asked for.
To add an activation, name it in `_STRAIGHT` or `_CURVES`; `pyleaky.init.gain` checks its parameter.
"""

# CuPy has no types, and Matplotlib's keywords have none; neither may be installed.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingImports=false

from __future__ import annotations

import contextlib
import copy
import functools
import math
import sys
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np

from . import _arguments, _core, init
from ._functions import celu, celu_backward, elu, elu_backward, selu, selu_backward, unpack_mask
from ._plot import line_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GradientMonitor", "UnitMonitor"]

_F = TypeVar("_F", bound=Callable[..., Any])


# ---------------------------------------------------------------------------------------------------- threads


class _Monitor:
    """Holds a lock, so that several threads may feed one monitor; copies and pickles have one of their own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return copy.deepcopy({name: value for name, value in vars(self).items() if name != "_lock"})

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()


def _locked(method: _F) -> _F:
    """A method that has the monitor to itself, in the default floating-point environment."""

    @functools.wraps(method)
    def call(self: _Monitor, *args: Any, **kwargs: Any) -> Any:
        with self._lock, _core.default_environment():
            return method(self, *args, **kwargs)

    return cast("_F", call)


# ---------------------------------------------------------------------------------------------------- counting

_MOST_THRESHOLDS = 4  # for one call of _core.add_unit_statistics: LEAKY_MOST_THRESHOLDS of src/leaky.h


def _others(values: Any, axis: int) -> tuple[int, ...]:
    return tuple(k for k in range(values.ndim) if k != axis)


def _add_statistics(values: Any, axis: int, thresholds: Any, counts: Any, moments: Any) -> None:
    """Add to counts[t, unit] how many values are above thresholds[t], and to moments their sum and sum of squares."""
    if isinstance(values, np.ndarray):
        _core.add_unit_statistics(values, axis, thresholds, counts, moments)
        return
    from . import _gpu

    others = _others(values, axis)
    wide = _gpu.cast(values, np.dtype(np.float64))
    for row, threshold in enumerate(thresholds.tolist()):
        counts[row] += (wide > threshold).sum(axis=others)
    moments[0] += wide.sum(axis=others)
    moments[1] += (wide * wide).sum(axis=others)


def _add_mask(mask: Any, shape: tuple[int, ...], axis: int, counts: Any) -> None:
    """Add to counts[unit] how many of the mask's bits are set."""
    if isinstance(mask, np.ndarray):
        _core.add_mask_counts(mask, shape, axis, counts)
        return
    bits = unpack_mask(mask, shape)
    counts += bits.sum(axis=_others(bits, axis))


def _check_dtype(argument: str, value: Any) -> None:
    if not _core.supports(value.dtype):
        raise TypeError(f"{argument} has dtype {value.dtype}, expected {', '.join(_core.DTYPES)}")


def _is_on_device(argument: str, value: Any) -> bool:
    """Whether it is a CuPy array; an error for anything that is neither that nor a plain NumPy array of floats."""
    if value.__class__ is np.ndarray:
        return False
    cupy = getattr(sys.modules.get("cupy"), "ndarray", None)
    on_device = cupy is not None and isinstance(value, cupy)
    if not on_device and (not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray)):
        raise TypeError(
            f"{argument} must be a NumPy or CuPy array, got {_arguments.describe_argument(argument, value)}"
        )
    return on_device


def _on(value: Any) -> Any:
    """A context in which the GPU that a CuPy array is on is the current one."""
    if isinstance(value, (np.ndarray, float)):
        return contextlib.nullcontext()
    from . import _gpu

    return _gpu.on([("", value)])


def _host(value: Any) -> Any:
    return value.get() if hasattr(value, "get") and hasattr(value, "__cuda_array_interface__") else value


# ---------------------------------------------------------------------------------------------------- activations

_STRAIGHT = ("linear", "relu", "leaky_relu", "prelu", "rrelu")

# An interval (low, high] of numbers; _ALL has NaN and -inf too.
_Interval = tuple[float, float]
_ALL = (-math.inf, math.inf)
_NONE = (math.inf, math.inf)
_POSITIVE = (0.0, math.inf)


def _in_float64(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A function of x and exp(-|x|), computed in float64 and rounded to the dtype of x."""

    def rounded(x: Any, _: Any) -> Any:
        wide = x.astype(np.float64)
        with np.errstate(all="ignore"):
            return np.asarray(function(wide, np.exp(-np.abs(wide)))).astype(x.dtype)

    return rounded


class _Curve(NamedTuple):
    """An activation that flattens out: the function and its derivative, and whether it does so on both sides."""

    function: Callable[[Any, Any], Any]
    derivative: Callable[[Any, Any], Any]
    two_sided: bool = False


_CURVES = {
    "sigmoid": _Curve(
        _in_float64(lambda x, e: np.where(x > 0, 1, e) / (1 + e)), _in_float64(lambda x, e: e / (1 + e) ** 2), True
    ),
    "tanh": _Curve(_in_float64(lambda x, e: np.tanh(x)), _in_float64(lambda x, e: (2 * e / (1 + e * e)) ** 2), True),
    "elu": _Curve(elu, lambda x, alpha: elu_backward(np.ones_like(x), x, abs(alpha))),
    "celu": _Curve(celu, lambda x, alpha: celu_backward(np.ones_like(x), x, alpha)),
    "selu": _Curve(lambda x, _: selu(x), lambda x, _: selu_backward(np.ones_like(x), x)),
}


class _Numbers:
    """The numbers of a dtype in their order: 0 is 0, 1 is the smallest positive number, -1 the largest negative one."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.bits = np.dtype(f"u{dtype.itemsize}")

    def at(self, place: int) -> Any:
        magnitude = np.array([abs(place)], self.bits).view(self.dtype)
        return -magnitude if place < 0 else magnitude

    def place(self, number: Any) -> int:
        magnitude = int(np.abs(np.asarray(number).astype(self.dtype).reshape(1)).view(self.bits)[0])
        return -magnitude if number < 0 else magnitude

    def rounded(self, number: float) -> float:
        """The number as a limit in this dtype: 0 only if it is 0."""
        return max(float(np.asarray(number).astype(self.dtype)), float(self.at(1)[0]) if number else 0.0)

    def last(self, holds: Callable[[Any], bool], low: float, high: float) -> float:
        """The last number from low to high for which something holds that holds at low, and no more after it fails."""
        first, last = self.place(low), self.place(high)
        while first < last:
            middle = (first + last + 1) // 2
            if holds(self.at(middle)):
                first = middle
            else:
                last = middle - 1
        return float(self.at(first)[0])

    def after(self, number: float) -> Any:
        return self.at(self.place(number) + 1)

    def before(self, number: Any) -> float:
        return float(self.at(self.place(number) - 1)[0])


def _where_derivative(curve: _Curve, param: Any, enough: Callable[[Any], bool], numbers: _Numbers) -> _Interval:
    """The x for which the derivative is enough, where it grows towards 0."""

    def holds(x: Any) -> bool:
        return enough(curve.derivative(x, param)[0])

    if curve.two_sided and not holds(numbers.at(0)):
        return _NONE
    low = numbers.last(lambda x: not holds(x), -math.inf, 0.0)
    return low, numbers.last(holds, 0.0, math.inf) if curve.two_sided else math.inf


def _in_output(curve: _Curve, param: Any, interval: _Interval, numbers: _Numbers) -> tuple[_Interval, _Interval]:
    """
    The outputs that only x in the interval have, and those that some x in the interval has.

    They differ where the function, rounded, has the same output for x inside and outside.
    """
    if interval in (_ALL, _NONE):
        return interval, interval

    def output(x: Any) -> float:
        return float(curve.function(x, param)[0])

    def edges(x: float) -> tuple[float, float]:
        at = output(numbers.at(numbers.place(x)))
        return at, min(at, numbers.before(output(numbers.after(x))))

    low, high = edges(interval[0]), (math.inf, math.inf) if interval[1] == math.inf else edges(interval[1])
    least, most = output(numbers.at(numbers.place(-math.inf))), output(numbers.at(numbers.place(math.inf)))
    # Below the least and above the most are no outputs to count.
    return (low[0], high[1]), (-math.inf if low[1] < least else low[1], math.inf if high[0] >= most else high[0])


class _Bounds(NamedTuple):
    """For each unit, the least and the most samples for which something may hold."""

    least: Any
    most: Any


class _Activation:
    """A name and its parameter, checked, and where its derivative is small."""

    def __init__(self, name: str, param: Any) -> None:
        self.name = name = _arguments.choice("activation", name, (*_STRAIGHT, *_CURVES))
        init.gain(name, param)  # checks the parameter
        self.param: Any = {"leaky_relu": 0.01, "rrelu": (1 / 8, 1 / 3), "elu": 1.0, "celu": 1.0}.get(name)
        if name == "prelu":
            self.param = param  # the array itself: training changes its numbers
        elif name == "rrelu" and param is not None:
            self.param = tuple(map(float, param))
        elif param is not None:
            self.param = float(param)
        self.is_straight = name in _STRAIGHT or (name == "elu" and self.param == 0)

    def check_units(self, units: int) -> None:
        if self.name == "prelu" and self.weights().size not in (1, units):
            raise ValueError(f"param, prelu's weights, has {self.weights().size} numbers, expected 1 or {units}")

    def weights(self) -> Any:
        """prelu's weights as they are now, on the host."""
        weights = np.asarray(_host(self.param)).reshape(-1)
        return weights if _core.supports(weights.dtype) else weights.astype(np.float64)

    def slopes(self, units: int) -> tuple[Any, Any]:
        """The least and the greatest slope below 0, for each unit."""
        if self.name == "rrelu":
            low, high = self.param
        elif self.name == "prelu":
            low = high = self.weights().astype(np.float64)
        else:
            low = high = {"linear": 1.0, "leaky_relu": self.param}.get(self.name, 0.0)
        return np.broadcast_to(low, units), np.broadcast_to(high, units)

    def as_json(self) -> Any:
        if self.name == "prelu":
            weights = self.weights().astype(np.float64)
            return _plain(weights) if np.ndim(self.param) else _plain(weights[0])
        return list(self.param) if self.name == "rrelu" else self.param

    def intervals(self, kind: str, dtype: np.dtype[Any], saturation: float) -> list[tuple[_Interval, _Interval]]:
        """
        Where what is fed is surely, and where possibly: positive, of derivative not 0, not saturated.

        For straight lines only the first, as `bounds` asks the slopes.
        """
        if self.is_straight:
            return [(_POSITIVE, _POSITIVE)]
        curve = _CURVES[self.name]
        if kind == "mask":
            surely = _NONE if curve.two_sided else _POSITIVE  # where the derivative is 1, or selu's scale
            return [(_POSITIVE, _POSITIVE), (surely, _ALL), (surely, _ALL)]
        numbers = _Numbers(dtype)
        least = numbers.rounded(saturation)
        found = [
            _POSITIVE,
            _where_derivative(curve, self.param, lambda derivative: bool(derivative != 0), numbers),
            _where_derivative(curve, self.param, lambda derivative: bool(derivative >= least), numbers),
        ]
        if kind == "x":
            return [(interval, interval) for interval in found]
        if self.name == "elu" and self.param < 0:  # then the output is positive on both sides
            return [(_NONE, _ALL)] * 3
        return [_in_output(curve, self.param, interval, numbers) for interval in found]

    def bounds(self, kind: str, counted: list[_Bounds], samples: int, nan: Any, saturation: float) -> list[_Bounds]:
        """Positive, of derivative not 0, not saturated: from the counts for `intervals`."""
        positive, *rest = counted
        if not self.is_straight:
            # The derivative is NaN where x is, and no NaN is counted in an interval.
            alive, steep = rest
            alive = _Bounds(np.where(nan, np.maximum(alive.least, 1), alive.least), np.where(nan, samples, alive.most))
            return [positive, alive, _Bounds(steep.least, np.where(nan, samples, steep.most))]
        low, high = self.slopes(len(positive.least))
        if kind == "output":  # below 0 a negative slope gives positive outputs
            lost = low < 0
            positive = _Bounds(np.where(lost, 0, positive.least), np.where(lost, samples, positive.most))
        if self.name == "prelu":
            saturation = _Numbers(self.weights().dtype).rounded(saturation)
        least = np.where(low * high > 0, np.minimum(np.abs(low), np.abs(high)), 0.0)
        most = np.maximum(np.abs(low), np.abs(high))
        # A random slope is exactly 0 with probability 0.
        alive = _Bounds(np.where(most > 0, samples, positive.least), np.where(most > 0, samples, positive.most))
        return [
            positive,
            alive,
            _Bounds(
                np.where(least >= saturation, samples, positive.least),
                np.where(most >= saturation, samples, positive.most),
            ),
        ]


# ---------------------------------------------------------------------------------------------------- reports


def _plain(value: Any) -> Any:
    """What JSON can say: None for a number that is not finite, lists for arrays."""
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]], left: int = 1) -> str:
    """Aligned columns: the first `left` to the left, the others to the right."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = (
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _share(part: Any, whole: int) -> float | None:
    return None if part is None or not whole else float(part / whole)


# ---------------------------------------------------------------------------------------------------- units


class _Feed:
    """The counts of one layer in one period, for arrays of one dtype on one device."""

    def __init__(
        self, intervals: list[tuple[_Interval, _Interval]], units: int, module: Any, has_moments: bool
    ) -> None:
        ends = {end for pair in intervals for interval in pair for end in interval if math.isfinite(end)}
        self.places = {end: place for place, end in enumerate(sorted(ends | {0.0}))}
        self.intervals = intervals
        self.counts = module.zeros((len(self.places), units), np.int64)
        self.moments = module.zeros((2, units), np.float64) if has_moments else None
        self.samples = 0
        self.calls = self._calls()

    def _calls(self) -> list[tuple[Any, Any, Any]]:
        """The arguments of the kernel: a few thresholds at a time; only the first call's moments are of use."""
        thresholds = np.array(list(self.places), np.float64)
        return [
            (
                thresholds[start : start + _MOST_THRESHOLDS],
                self.counts[start : start + _MOST_THRESHOLDS],
                self.moments if start == 0 or self.moments is None else self.moments * 0,
            )
            for start in range(0, len(self.places), _MOST_THRESHOLDS)
        ]

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.calls = self._calls()  # views of the copied counts

    def add(self, values: Any, axis: int) -> None:
        for thresholds, counts, moments in self.calls:
            _add_statistics(values, axis, thresholds, counts, moments)

    def clear(self) -> None:
        self.samples = 0
        self.counts.fill(0)
        if self.moments is not None:
            self.moments.fill(0)

    def counted(self) -> list[_Bounds]:
        counts = _host(self.counts)
        everything = np.full(counts.shape[1], self.samples)
        above = {end: counts[place] for end, place in self.places.items()}
        above.update({-math.inf: everything, math.inf: np.zeros_like(everything)})

        def inside(interval: _Interval) -> Any:
            low, high = (above[end] for end in interval)
            return low - high

        return [_Bounds(inside(surely), inside(possibly)) for surely, possibly in self.intervals]


_VERDICTS = ("never_positive", "dead", "rarely_active", "saturated")


class _Layer:
    """What was fed for one layer: the counts of the running period, and the reports of those that ended."""

    def __init__(self, activation: _Activation, kind: str, units: int) -> None:
        self.activation, self.kind, self.units = activation, kind, units
        self.feeds: dict[Any, _Feed] = {}
        self.periods: list[dict[str, Any]] = []
        self.last_units: dict[str, Any] = {}
        self.was_silent = np.zeros(units, bool)
        self.was_revived = np.zeros(units, bool)
        # What the last call looked like: another such needs no checks.
        self.given: tuple[Any, ...] = ()
        self.dtype: Any = None
        self.shape: tuple[int, ...] = ()
        self.ndim, self.size, self.axis = 0, 0, 0
        self.feed: Any = None

    @property
    def samples(self) -> int:
        return sum(feed.samples for feed in self.feeds.values())

    def observe(self, period: int, rare: float, saturation: float, saturated_share: float) -> tuple[Any, ...]:
        """The report of the running period, its numbers by unit, and which units are silent and revived by now."""
        samples = self.samples
        by_feed = [feed.counted() for feed in self.feeds.values()]
        counted = [
            _Bounds(sum(one.least for one in same), sum(one.most for one in same))
            for same in zip(*by_feed, strict=True)
        ]
        moments = [_host(feed.moments) for feed in self.feeds.values() if feed.moments is not None]
        sums, squares = np.sum(moments, axis=0) if moments else np.full((2, self.units), math.nan)
        nan = np.isnan(squares) & bool(moments)
        positive, alive, steep = self.activation.bounds(self.kind, counted, samples, nan, saturation)

        # Surely and possibly so, for each unit.
        verdicts = {
            "never_positive": _Bounds(positive.most == 0, positive.least == 0),
            "dead": _Bounds(alive.most == 0, alive.least == 0),
            "rarely_active": _Bounds(
                (positive.least > 0) & (positive.most / samples < rare),
                (positive.most > 0) & (positive.least / samples < rare),
            ),
            "saturated": _Bounds(
                (samples - steep.most) / samples >= saturated_share,
                (samples - steep.least) / samples >= saturated_share,
            ),
        }
        revived = self.was_revived | (self.was_silent & (positive.least > 0))
        with np.errstate(all="ignore"):
            mean = sums / samples
            variance = np.maximum(squares / samples - mean * mean, 0)
            whole_mean = np.mean(mean)
            whole_variance = np.maximum(np.mean(squares / samples) - whole_mean * whole_mean, 0)
        known = (positive.least == positive.most).all()
        report = {
            "period": period,
            "samples": samples,
            **{
                name: int(verdict.least.sum()) if (verdict.least == verdict.most).all() else None
                for name, verdict in verdicts.items()
            },
            "revived": _share(revived.sum(), int(self.was_silent.sum())) if known else None,
            "mean": _plain(whole_mean),
            "variance": _plain(whole_variance),
            "nan": int(nan.sum()) if moments else None,
        }
        by_unit = {
            "positive": np.where(positive.least == positive.most, positive.least / samples, math.nan),
            **{
                name: [bool(a) if a == b else None for a, b in zip(verdict.least, verdict.most, strict=True)]
                for name, verdict in verdicts.items()
            },
            "revived": [bool(one) for one in revived] if known else [None] * self.units,
            "mean": mean,
            "variance": variance,
        }
        return report, by_unit, self.was_silent | verdicts["never_positive"].least, revived

    def remember(self, given: tuple[Any, ...], dtype: Any, counted: Any, axis: int, feed: _Feed) -> None:
        self.given, self.dtype, self.axis, self.feed = given, dtype, axis, feed
        self.shape, self.ndim, self.size = counted.shape, counted.ndim, counted.size

    def all_periods(self, limits: tuple[Any, ...]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The reports of all periods, the running one too, and the numbers by unit of the last."""
        if not self.samples:
            return self.periods, self.last_units
        report, by_unit, *_ = self.observe(*limits)
        return [*self.periods, report], by_unit

    def close(self, limits: tuple[Any, ...]) -> None:
        """End a period: keep its report, and start counting anew."""
        if self.samples:
            report, self.last_units, self.was_silent, self.was_revived = self.observe(*limits)
            self.periods.append(report)
            for feed in self.feeds.values():
                feed.clear()


class UnitMonitor(_Monitor):
    """
    Watches the units of layers while a network trains: which are never positive, dead, rarely active or saturated.

    For each layer, each unit and each period (such as an epoch), over the samples :math:`x_i` fed to `update`:

    .. math::

        \\text{never positive} &: x_i \\le 0 \\text{ for all } i \\\\
        \\text{dead} &: f'(x_i) = 0 \\text{ for all } i \\\\
        \\text{rarely active} &: 0 < \\#\\{x_i > 0\\} / n < rare \\\\
        \\text{saturated} &: \\#\\{|f'(x_i)| < saturation\\} / n \\ge saturated\\_share

    *Revived* is, of the units that were never positive in some earlier period, the share that were in a later one.

    Parameters
    ----------
    activation : str, optional
        That of the layers for which `update` is given none: linear, sigmoid, tanh, relu, leaky_relu, prelu, rrelu, elu,
        celu or selu.
    param : optional
        Its parameter.  leaky_relu: the negative slope, 0.01 by default.  prelu: the weights, a number or an array with
        one for each unit; the array itself is kept, and looked at when a period ends or a report is asked for.  rrelu:
        (lower, upper), (1/8, 1/3) by default.  elu, celu: alpha, 1 by default.
    axis : int, optional
        That of the units (features, channels).  The others are samples: a unit of a convolution has one for every
        image and every place in it.
    rare, saturation, saturated_share : float, optional
        The limits above, from 0 to 1.

    Raises
    ------
    TypeError
        If `axis` is no integer, or `param` or a limit is of the wrong kind.
    ValueError
        If `activation` is not known, `param` out of range, or a limit not from 0 to 1.

    See Also
    --------
    GradientMonitor, pyleaky.leaky_relu

    Notes
    -----
    A unit that is never positive is dead only where the derivative at the other side is 0, as that of relu is.  Under
    a leaky activation it still learns.  The derivative of elu, celu and selu is 0 only where its exponential underflows
    (x below about -104 in float32); that of sigmoid and tanh, which pyleaky does not have, likewise on both sides.  It
    is that of x, rounded to the dtype fed.

    From outputs or masks that cannot always be told: then a verdict is None, "-" in the text, as it is wherever what
    is fed does not decide it.  So it is for the outputs of leaky_relu with a negative slope, positive on both sides,
    and for units of rrelu with some slopes below `saturation` and some above.

    A NaN is not positive.  Straight lines have their negative side's derivative there, as in pyleaky's backward
    functions; for the others a unit that met a NaN is not dead.

    Several threads may feed one monitor: a lock makes each call count as a whole.  Copies and pickles are independent.

    Memory: about 150 bytes for each unit of a layer, and about 500 for each layer and period.

    References
    ----------
    A. L. Maas, A. Y. Hannun and A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.
    L. Lu, Y. Shin, Y. Su and G. E. Karniadakis, "Dying ReLU and initialization", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from pyleaky.diagnostics import UnitMonitor
    >>> x = np.random.default_rng(0).normal([-9, 0, 1], size=(500, 3)).astype(np.float32)
    >>> monitor = UnitMonitor("relu")
    >>> monitor.update("hidden", x)
    >>> monitor.update("leaky", x, activation="leaky_relu", param=0.1)
    >>> [(layer["layer"], layer["periods"][-1]["dead"]) for layer in monitor.to_dict()["layers"]]
    [('hidden', 1), ('leaky', 0)]
    """

    def __init__(
        self,
        activation: str = "relu",
        param: Any = None,
        *,
        axis: int = 1,
        rare: float = 0.01,
        saturation: float = 0.01,
        saturated_share: float = 0.99,
    ) -> None:
        super().__init__()
        _Activation(activation, 0.25 if activation == "prelu" and param is None else param)  # prelu's may come later
        self._default = (activation, param)
        self._axis = _arguments.index("axis", axis, -(2**63), 2**63)
        self._rare = _arguments.number("rare", rare, between=(0, 1))
        self._saturation = _arguments.number("saturation", saturation, between=(0, 1))
        self._saturated_share = _arguments.number("saturated_share", saturated_share, between=(0, 1))
        self._period = 0
        self._layers: dict[str | int, _Layer] = {}

    def update(
        self,
        layer: str | int,
        x: Any = None,
        *,
        output: Any = None,
        mask: Any = None,
        shape: Any = None,
        axis: int | None = None,
        activation: str | None = None,
        param: Any = None,
    ) -> None:
        """
        Count one batch of one layer.

        .. math:: c_{tu} \\leftarrow c_{tu} + \\#\\{i : x_{iu} > t\\} \\text{ for a few thresholds } t

        Parameters
        ----------
        layer : str or int
            A name for the layer.
        x : ndarray
            The pre-activations, of NumPy or CuPy; float16, bfloat16, float32 or float64.
        output : ndarray
            What the activation returned, instead of `x`; exactly one of `x`, `output` and `mask` is needed.
        mask : ndarray of uint8
            What ``pyleaky.leaky_relu(..., return_mask=True)`` returned beside it.
        shape : tuple of int
            With `mask`: the shape of what it is a mask of.
        axis : int, optional
            That of the units, if it is not the monitor's.
        activation, param : optional
            Those of the layer, if they are not the monitor's: at its first update.  Later ones must be equal, but for
            the weights of prelu, which are learned: those of the last update count.

        Raises
        ------
        TypeError
            If not exactly one of `x`, `output` and `mask` is given, one is no array of a supported dtype, or `shape` is
            given without `mask` or the other way round.
        ValueError
            If `axis` is out of range, the layer was given something else before (another kind of input, number of
            units, activation or parameter), or `mask` is not as long as `shape` needs.  Nothing is counted then.

        See Also
        --------
        end_period, summary

        Examples
        --------
        >>> import numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.UnitMonitor("leaky_relu")
        >>> y, mask = pyleaky.leaky_relu(np.array([[-1.0, 2.0], [-3.0, -4.0]]), return_mask=True)
        >>> monitor.update(0, mask=mask, shape=y.shape)
        >>> monitor.to_dict()["layers"][0]["units_of_last_period"]["positive"]
        [0.0, 0.5]
        """
        with self._lock:
            # A call like the layer's last one goes straight to the kernel.
            try:
                known = self._layers.get(layer)
            except TypeError:  # not hashable, which _update tells
                known = None
            if known is not None:
                same_axis, same_activation, same_param = known.given
                if axis is same_axis and activation is same_activation and param is same_param:
                    kind, feed = known.kind, known.feed
                    if kind == "mask":
                        if (
                            mask.__class__ is np.ndarray
                            and x is None
                            and output is None
                            and shape == known.shape
                            and mask.dtype is known.dtype
                            and mask.strides == (1,)
                            and mask.size == (known.size + 7) // 8
                        ):
                            _core.add_mask_counts(mask, shape, known.axis, feed.counts[0])
                            feed.samples += known.size // known.units
                            return
                    else:
                        values, other = (x, output) if kind == "x" else (output, x)
                        if (
                            values.__class__ is np.ndarray
                            and other is None
                            and mask is None
                            and shape is None
                            and values.dtype is known.dtype
                            and values.ndim == known.ndim
                            and values.shape[known.axis] == known.units
                        ):
                            for thresholds, counts, moments in feed.calls:
                                _core.add_unit_statistics(values, known.axis, thresholds, counts, moments)
                            feed.samples += values.size // known.units
                            return
            with _core.default_environment():
                self._update(layer, x, output, mask, shape, axis, activation, param)

    def _update(
        self, layer: Any, x: Any, output: Any, mask: Any, shape: Any, axis: Any, activation: Any, param: Any
    ) -> None:
        """What `update` does, for any call: everything is checked before anything changes."""
        if not isinstance(layer, (str, int)):
            raise TypeError(f"layer must be a string or an integer, got {type(layer).__name__}")
        given = {"x": x, "output": output, "mask": mask}
        kinds = [kind for kind, value in given.items() if value is not None]
        if len(kinds) != 1:
            raise TypeError(f"update takes exactly one of x, output and mask, got {' and '.join(kinds) or 'none'}")
        (kind,) = kinds
        values = given[kind]
        if (shape is not None) != (kind == "mask"):
            raise TypeError(f"mask and shape go together, got {kind} and shape={shape}")
        on_device = _is_on_device(kind, values)
        if kind == "mask":
            array = unpack_mask(values, shape)
        else:
            _check_dtype(kind, values)
            array = values if on_device else np.asarray(values)
            if not array.dtype.isnative:
                array = array.astype(array.dtype.newbyteorder("="))
        along = self._axis if axis is None else _arguments.index("axis", axis, -(2**63), 2**63)
        if not -array.ndim <= along < array.ndim:
            raise ValueError(f"axis is {along}, out of range for {kind} of shape {tuple(array.shape)}")
        along %= array.ndim
        units = array.shape[along]
        if units == 0:
            raise ValueError(f"axis {along} of {kind} is that of the units and has none: the shape is {array.shape}")

        known = self._layers.get(layer)
        if known is None:
            name, its_param = self._default
            if activation is not None and activation != name:
                name, its_param = activation, None
            its = _Activation(name, its_param if param is None else param)
            its.check_units(units)
            known = _Layer(its, kind, units)
        else:
            if kind != known.kind:
                raise ValueError(f"layer {layer!r} was fed with {known.kind} before, got {kind}")
            if units != known.units:
                raise ValueError(
                    f"{kind} of shape {tuple(array.shape)} has {units} units along axis {along}, "
                    f"layer {layer!r} has {known.units}"
                )
            its = known.activation
            if activation is not None and activation != its.name:
                raise ValueError(f"layer {layer!r} has activation {its.name!r}, got {activation!r}")
            is_equal = its.name != "prelu" and isinstance(param, float) and param == its.param
            if param is not None and param is not its.param and not is_equal:
                newer = _Activation(its.name, param)
                if its.name != "prelu" and newer.param != its.param:
                    raise ValueError(f"layer {layer!r} has param {its.param}, got {newer.param}")
                newer.check_units(units)
                its = newer

        feed = known.feeds.get((on_device, array.dtype))
        with _on(values):
            if feed is None:
                intervals = its.intervals(kind, array.dtype, self._saturation)
                feed = _Feed(intervals, units, sys.modules["cupy"] if on_device else np, kind != "mask")
            if kind == "mask":
                _add_mask(values, array.shape, along, feed.counts[0])
            else:
                feed.add(array, along)
        feed.samples += array.size // units
        known.feeds[on_device, array.dtype] = feed
        known.activation = its
        # What ml_dtypes copies for the kernel would clear the caller's floating-point flags.
        is_short = not on_device and values.dtype.isbuiltin == 1
        known.remember((axis, activation, param), values.dtype if is_short else None, array, along, feed)
        self._layers[layer] = known

    @_locked
    def end_period(self) -> None:
        """
        End a period, such as an epoch, and start the next.

        Examples
        --------
        >>> import numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.UnitMonitor()
        >>> for x in (-1.0, 1.0):
        ...     monitor.update("hidden", np.full((4, 2), x))
        ...     monitor.end_period()
        >>> [period["never_positive"] for period in monitor.to_dict()["layers"][0]["periods"]]
        [2, 0]
        """
        for layer in self._layers.values():
            layer.close(self._limits())
        self._period += 1

    def _limits(self) -> tuple[Any, ...]:
        return self._period, self._rare, self._saturation, self._saturated_share

    def _observed(self) -> list[tuple[str | int, _Layer, list[dict[str, Any]], dict[str, Any]]]:
        """Each layer with its periods, the running one too, and the numbers by unit of the last."""
        return [(name, layer, *layer.all_periods(self._limits())) for name, layer in self._layers.items()]

    @_locked
    def to_dict(self) -> dict[str, Any]:
        """
        Everything counted so far, as numbers, strings, lists and dicts that `json.dumps` takes.

        Returns
        -------
        dict
            ``rare``, ``saturation``, ``saturated_share``, ``period`` (the number of the running one, from 0) and
            ``layers``, a list of dicts with ``layer``, ``activation``, ``param``, ``fed`` ("x", "output" or "mask"),
            ``units``, ``periods`` (those with samples: ``period``, ``samples`` of each unit, the numbers of units
            ``never_positive``, ``dead``, ``rarely_active`` and ``saturated``, the share ``revived``, ``mean`` and
            ``variance`` of what was fed, and ``nan``, the number of units that met a NaN) and
            ``units_of_last_period``: lists with one item for each unit, ``positive`` (the share of its samples),
            the verdicts as booleans, ``mean`` and ``variance``.  None is what cannot be told, or is not finite.

        Examples
        --------
        >>> import json, numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.UnitMonitor("selu")
        >>> monitor.update("hidden", np.zeros((10, 4), np.float32))
        >>> json.loads(json.dumps(monitor.to_dict()))["layers"][0]["periods"][0]["never_positive"]
        4
        """
        return {
            "rare": self._rare,
            "saturation": self._saturation,
            "saturated_share": self._saturated_share,
            "period": self._period,
            "layers": [
                {
                    "layer": name,
                    "activation": layer.activation.name,
                    "param": layer.activation.as_json(),
                    "fed": layer.kind,
                    "units": layer.units,
                    "periods": [dict(period) for period in periods],
                    "units_of_last_period": {key: _plain(value) for key, value in by_unit.items()},
                }
                for name, layer, periods, by_unit in self._observed()
            ],
        }

    @_locked
    def summary(self) -> str:
        """
        A table in plain text: one row for each layer, of the last period in which it had samples.

        Returns
        -------
        str
            Numbers of units, the share revived, and mean and variance of what was fed; "-" for what cannot be told.

        Examples
        --------
        >>> import numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.UnitMonitor("leaky_relu")
        >>> monitor.update("hidden", np.full((10, 4), -1.0))
        >>> print(monitor.summary().splitlines()[1][:64])
        hidden  leaky_relu       0      4       10               4     0
        """
        verdicts = (name.replace("_", " ") for name in _VERDICTS)
        header = ("layer", "activation", "period", "units", "samples", *verdicts, "revived", "mean", "variance", "of")
        rows = [
            (
                name,
                layer.activation.name,
                periods[-1]["period"],
                layer.units,
                *(periods[-1][key] for key in ("samples", *_VERDICTS, "revived", "mean", "variance")),
                layer.kind,
            )
            for name, layer, periods, _ in self._observed()
            if periods
        ]
        lines = [
            _table(header, rows),
            "",
            "never positive: x > 0 on no sample.  dead: derivative 0 on every sample.  Under a leaky activation a unit",
            "that is never positive is not dead: its derivative is the slope, and it still learns.",
            f"rarely active: positive on some samples, but on a share of them below {self._rare:g}.",
            f"saturated: |derivative| < {self._saturation:g} on a share of {self._saturated_share:g} or more.",
            "revived: share of the units once never positive that were positive in a later period.  -: not told.",
            "samples: of each unit.  mean and variance: of what was fed, which `of` names (x: pre-activations).",
        ]
        lines += [
            f"layer {name!r}: {periods[-1]['nan']} of {layer.units} units met a NaN"
            for name, layer, periods, _ in self._observed()
            if periods and periods[-1]["nan"]
        ]
        return "\n".join(lines)

    @_locked
    def plot(self) -> Figure:
        """
        A figure: the shares of units over the periods, for each layer, and how active the units of the last period are.

        Returns
        -------
        matplotlib.figure.Figure
            With four axes: never positive, dead, saturated, and the distribution of the share of positive samples.  A
            notebook displays it, ``savefig`` writes it, and ``show`` opens a window.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.UnitMonitor()
        >>> monitor.update("hidden", np.zeros((10, 4)))
        >>> len(monitor.plot().axes)
        4
        """
        shown = ("never_positive", "dead", "saturated")
        figure, axes = new_figure(len(shown) + 1, width=3.6)
        observed = [one for one in self._observed() if one[2]]
        for place, (name, layer, periods, by_unit) in enumerate(observed):
            style = line_style(place)
            for ax, key in zip(axes, shown, strict=False):
                shares = [math.nan if one[key] is None else one[key] / layer.units for one in periods]
                (line,) = ax.plot([one["period"] for one in periods], shares, marker="o", markersize=3, **style)
            line.set_label(str(name))  # pyright: ignore[reportPossiblyUnboundVariable]
            active = by_unit["positive"][np.isfinite(by_unit["positive"])]
            heights, edges = np.histogram(active, bins=np.linspace(0, 1, 21))
            axes[-1].stairs(heights / layer.units, edges, **style)
        for ax, key in zip(axes, shown, strict=False):
            ax.set(title=key.replace("_", " "), xlabel="period", ylabel="share of units", ylim=(-0.02, 1.02))
            ax.locator_params(axis="x", integer=True)
        axes[-1].set(title="activity, last period", xlabel="share of samples > 0", ylabel="share of units")
        if observed:
            figure.legend(loc="outside right upper")
        return figure


# ---------------------------------------------------------------------------------------------------- gradients

_HELD = 1000  # 0-d arrays of a device, until they are fetched together
_NO_GRADIENT = -1.0  # in place of a norm, where a step has none


class _Series:
    """One number for each step, 8 bytes each; those of a device stay there until they are asked for."""

    def __init__(self, missing: int = 0) -> None:
        self.numbers = array("d", [math.nan] * missing)
        self.held: list[Any] = []

    def append(self, number: Any) -> None:
        is_here = isinstance(number, float)
        if not is_here:
            self.held.append(number)
        if self.held and (is_here or len(self.held) >= _HELD):
            self._fetch()
        if is_here:
            self.numbers.append(number)

    def _fetch(self) -> None:
        with _on(self.held[0]):
            self.numbers.extend(sys.modules["cupy"].stack(self.held).get().tolist())
        self.held.clear()

    def all(self) -> Any:
        if self.held:
            self._fetch()
        return np.array(self.numbers)


def _by_name(argument: str, arrays: Any) -> dict[str, Any]:
    if isinstance(arrays, Mapping):
        return dict(arrays)
    if isinstance(arrays, (list, tuple)):
        return {str(place): value for place, value in enumerate(arrays)}
    raise TypeError(
        f"{argument} must be a dict or a list of arrays, got {_arguments.describe_argument(argument, arrays)}"
    )


def _norm(values: Any) -> Any:
    """The L2 norm in float64: a float, or a 0-d array on the device that the values are on."""
    if isinstance(values, np.ndarray):
        number, exponent = _core.norm(values, 2)
        if not exponent:
            return number
        try:
            return math.ldexp(number, exponent)
        except OverflowError:
            return math.inf
    from . import _gpu

    return _gpu.norm(values, 2)


def _ratio(norm: Any, weight: Any) -> Any:
    """NaN where the weights are all 0."""
    if isinstance(weight, float):
        return norm / weight if weight else math.nan
    with _on(weight):
        return sys.modules["cupy"].where(weight > 0, norm / weight, math.nan)


def _names(arrays: Mapping[str, Any]) -> str:
    return f"{len(arrays)} arrays ({', '.join(arrays)})"


def _middle(numbers: Any) -> float | None:
    """The median of those that are finite."""
    finite = numbers[np.isfinite(numbers)]
    return float(np.median(finite)) if finite.size else None


class GradientMonitor(_Monitor):
    """
    Watches the norms of gradients, one for each parameter and step, and tells when they explode or vanish.

    .. math:: \\|g\\|_2, \\qquad \\frac{\\|g\\|_2}{\\|w\\|_2}, \\qquad \\frac{\\|\\Delta w\\|_2}{\\|w\\|_2}

    Parameters
    ----------
    exploding : float, optional
        A gradient explodes at a step where its norm is above this, or not finite.  In the unit of the norm: that of the
        loss, divided by that of the parameter.
    vanishing : float, optional
        It vanishes at a step where its norm is below this.  An array with no elements never does.

    Raises
    ------
    TypeError
        If a limit is no number.
    ValueError
        If a limit is not finite or below 0, or `vanishing` is above `exploding`.

    See Also
    --------
    UnitMonitor

    Notes
    -----
    Every step is kept: 8 bytes for each name and step, and as much again for each of the two ratios where they are
    asked for.  Steps are counted from 1.  A ratio to a parameter whose norm is 0, as that of a fresh bias, is left out.

    Several threads may feed one monitor; a lock makes each call a step of its own.  Copies and pickles are independent.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from pyleaky.diagnostics import GradientMonitor
    >>> monitor = GradientMonitor(exploding=100.0)
    >>> for norm in (3.0, 30.0, 300.0):
    ...     monitor.update({"weight": np.array([norm, 0.0])}, {"weight": np.array([6.0, 8.0])}, learning_rate=0.1)
    >>> print(monitor.summary().splitlines()[1])
    weight      3      3      30  300   300                3            0.3             3             -
    """

    def __init__(self, *, exploding: float = 1e3, vanishing: float = 1e-7) -> None:
        super().__init__()
        self._exploding = _arguments.number("exploding", exploding, finite=True)
        self._vanishing = _arguments.number("vanishing", vanishing, finite=True)
        if not 0 <= self._vanishing <= self._exploding:
            raise ValueError(
                f"vanishing must be from 0 to exploding, got vanishing={self._vanishing}, exploding={self._exploding}"
            )
        self._steps = 0
        self._sizes: dict[str, int | None] = {}  # None until there is a gradient
        self._series: dict[str, dict[str, _Series]] = {}

    def update(self, grads: Any, params: Any = None, learning_rate: Any = None, updates: Any = None) -> None:
        """
        Keep the norms of one step.

        Parameters
        ----------
        grads : dict or list of ndarray
            The gradients, by name; in a list the names are "0", "1" and so on.  The same names at every step.  None
            stands for no gradient, as that of a frozen weight: then nothing is kept for that name and step.
        params : dict or list of ndarray, optional
            The parameters that they are of, before the step, for the ratios.
        learning_rate : float, optional
            For the ratio of update to weight, where an update is the gradient times this.
        updates : dict or list of ndarray, optional
            What the parameters change by, instead.

        Raises
        ------
        TypeError
            If an argument is no dict or list, holds anything but arrays of a supported dtype, `learning_rate` is no
            number, is given with `updates`, or one of the two is given without `params`.
        ValueError
            If names differ from those of the step before, names or shapes from those of `grads`, or `learning_rate` is
            negative or not finite.  Nothing is kept then.

        See Also
        --------
        summary

        Examples
        --------
        >>> import numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.GradientMonitor()
        >>> monitor.update([np.array([3.0, 4.0])])
        >>> monitor.to_dict()["parameters"][0]["gradient"]
        [5.0]
        """
        with self._lock:
            is_short = params is None and learning_rate is None and updates is None
            if not (is_short and self._keep_norms(grads)):
                with _core.default_environment():
                    self._update(grads, params, learning_rate, updates)

    def _update(self, grads: Any, params: Any, learning_rate: Any, updates: Any) -> None:
        """What `update` does, for any call: everything is checked before anything changes."""
        arrays = {"grads": _by_name("grads", grads)}
        if learning_rate is not None and updates is not None:
            raise TypeError("update takes learning_rate or updates, got both")
        if params is None and (learning_rate is not None or updates is not None):
            raise TypeError(f"{'updates' if learning_rate is None else 'learning_rate'} needs params, got none")
        rate = None
        if learning_rate is not None:
            rate = _arguments.number("learning_rate", learning_rate, least=0, finite=True)
        for argument, given in (("params", params), ("updates", updates)):
            if given is not None:
                arrays[argument] = _by_name(argument, given)
        expected = self._sizes or arrays["grads"]
        for argument, by_name in arrays.items():
            if by_name.keys() != expected.keys():
                whose = "the steps before had" if argument == "grads" else "expected"
                raise ValueError(f"{argument} has {_names(by_name)}, {whose} {_names(expected)}")
            for name, value in by_name.items():
                if arrays["grads"][name] is None:
                    continue
                if value.__class__ is not np.ndarray or value.dtype.char not in "fd":
                    _is_on_device(f"{argument}[{name!r}]", value)
                    _check_dtype(f"{argument}[{name!r}]", value)
                if value.shape != (shape := arrays["grads"][name].shape):
                    raise ValueError(f"{argument}[{name!r}] has shape {value.shape}, grads[{name!r}] has {shape}")

        given = {name: value for name, value in arrays["grads"].items() if value is not None}
        found = {"gradient": {name: _norm(value) for name, value in given.items()}}
        if params is not None:
            weights = {name: _norm(arrays["params"][name]) for name in given}
            found["ratio"] = {name: _ratio(found["gradient"][name], weights[name]) for name in given}
            if rate is not None:
                found["update_ratio"] = {name: rate * ratio for name, ratio in found["ratio"].items()}
            elif updates is not None:
                found["update_ratio"] = {name: _ratio(_norm(arrays["updates"][name]), weights[name]) for name in given}
        self._sizes = self._sizes or dict.fromkeys(arrays["grads"])
        self._sizes.update({name: value.size for name, value in given.items() if self._sizes[name] is None})
        for kind in found:
            if kind not in self._series:  # not told in the steps before
                self._series[kind] = {name: _Series(self._steps) for name in self._sizes}
        for kind, by_name in self._series.items():
            missing = _NO_GRADIENT if kind == "gradient" else math.nan
            for name, series in by_name.items():
                series.append(found.get(kind, {}).get(name, missing))
        self._steps += 1

    def _keep_norms(self, grads: Any) -> bool:
        """A step like those before, of NumPy arrays and without ratios: False, and nothing is kept, where it is not."""
        if len(self._series) != 1 or grads.__class__ is not dict or grads.keys() != self._sizes.keys():
            return False
        if None in self._sizes.values():
            return False
        norms = []
        for value in grads.values():
            if value.__class__ is not np.ndarray or value.dtype.char not in "fd":
                return False
            number, exponent = _core.norm(value, 2)
            if exponent:
                return False
            norms.append(number)
        series = self._series["gradient"]
        for name, number in zip(grads, norms, strict=True):
            series[name].append(number)
        self._steps += 1
        return True

    def _histories(self) -> dict[str, dict[str, Any]]:
        """
        For each name: the numbers of every step, by kind, and the step at which each flag was first raised.

        A step without a gradient has _NO_GRADIENT for its norm.
        """
        found = {}
        for name, size in self._sizes.items():
            history = {kind: series[name].all() for kind, series in self._series.items()}
            norms = history["gradient"]
            flags = {
                "exploding_at": ~(norms <= self._exploding),  # so that NaN explodes
                "vanishing_at": (norms < self._vanishing) & (norms != _NO_GRADIENT) & bool(size),
            }
            steps = {flag: int(at.argmax()) + 1 if at.any() else None for flag, at in flags.items()}
            found[name] = {**history, **steps}
        return found

    @_locked
    def to_dict(self) -> dict[str, Any]:
        """
        Every norm and ratio, as numbers, strings, lists and dicts that `json.dumps` takes.

        Returns
        -------
        dict
            ``exploding``, ``vanishing``, ``steps`` and ``parameters``, a list of dicts with ``name``, ``size``,
            ``gradient`` (the norms), ``exploding_at`` and ``vanishing_at`` (the first such step, or None) and, if they
            were asked for, ``ratio`` and ``update_ratio``.  None is a number that is not known, or not finite, and the
            ``size`` of a parameter that has had no gradient yet.

        Examples
        --------
        >>> import json, numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.GradientMonitor()
        >>> monitor.update({"bias": np.array([np.inf])})
        >>> json.loads(json.dumps(monitor.to_dict()))["parameters"][0]
        {'name': 'bias', 'size': 1, 'gradient': [None], 'exploding_at': 1, 'vanishing_at': None}
        """
        return {
            "exploding": self._exploding,
            "vanishing": self._vanishing,
            "steps": self._steps,
            "parameters": [
                {
                    "name": name,
                    "size": self._sizes[name],
                    **{key: _plain(value) for key, value in history.items()},
                    "gradient": _plain(np.where(history["gradient"] == _NO_GRADIENT, math.nan, history["gradient"])),
                }
                for name, history in self._histories().items()
            ],
        }

    @_locked
    def summary(self) -> str:
        """
        A table in plain text, one row for each parameter.

        Returns
        -------
        str
            The first and the last norm, their median (of those that are finite) and maximum, the medians of the ratios,
            and the steps at which the flags were first raised; "-" for never and for what is not known.

        Examples
        --------
        >>> import numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.GradientMonitor()
        >>> monitor.update({"bias": np.zeros(4)})
        >>> print(monitor.summary().splitlines()[1])
        bias      1      0       0    0     0                -              -             -             1
        """
        header = ("name", "steps", "first", "median", "max", "last", "gradient/weight", "update/weight")
        header_of_flags = ("exploding at", "vanishing at")
        nothing = np.empty(0, np.float64)
        rows = []
        for name, history in self._histories().items():
            norms = history["gradient"][history["gradient"] != _NO_GRADIENT]
            rows.append(
                (
                    name,
                    self._steps,
                    float(norms[0]) if norms.size else None,
                    _middle(norms),
                    float(np.max(norms)) if norms.size else None,
                    float(norms[-1]) if norms.size else None,
                    _middle(history.get("ratio", nothing)),
                    _middle(history.get("update_ratio", nothing)),
                    history["exploding_at"],
                    history["vanishing_at"],
                )
            )
        return "\n".join(
            [
                _table((*header, *header_of_flags), rows),
                "",
                f"L2 norms of the gradients.  exploding: above {self._exploding:g} or not finite.  vanishing: below "
                f"{self._vanishing:g}.",
                "Steps are counted from 1; the flags name the first.  The ratios are medians over the steps.",
            ]
        )

    @_locked
    def plot(self) -> Figure:
        """
        A figure: the norms over the steps, and the ratio of update to weight (of gradient to weight without it).

        Returns
        -------
        matplotlib.figure.Figure
            With two axes.  A notebook displays it, ``savefig`` writes it, and ``show`` opens a window.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np, pyleaky
        >>> monitor = pyleaky.diagnostics.GradientMonitor()
        >>> monitor.update({"bias": np.ones(4)})
        >>> len(monitor.plot().axes)
        2
        """
        figure, axes = new_figure(2)
        histories = self._histories()
        ratio = "update_ratio" if "update_ratio" in self._series else "ratio"
        steps = np.arange(1, self._steps + 1)
        for place, (name, history) in enumerate(histories.items()):
            for ax, kind in zip(axes, ("gradient", ratio), strict=True):
                numbers = history.get(kind, np.full(self._steps, math.nan))
                # A logarithm has no place for 0.
                (line,) = ax.plot(steps, np.where(numbers > 0, numbers, math.nan), linewidth=1, **line_style(place))
            line.set_label(name)  # pyright: ignore[reportPossiblyUnboundVariable]
        for ax in axes:
            ax.set(xlabel="step", yscale="log")
        axes[0].set(title="norm of the gradient", ylabel="L2 norm")
        limits = np.array([[self._exploding, self._vanishing]])
        axes[0].plot([0, self._steps + 1], np.where(limits > 0, limits, math.nan).repeat(2, axis=0), ":", color="0.5")
        axes[1].set(title=f"{'gradient' if ratio == 'ratio' else 'update'} / weight", ylabel="ratio of L2 norms")
        if histories:
            figure.legend(loc="outside right upper")
        return figure
