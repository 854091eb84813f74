"""What training does to gradients and weights, in place: clipping, L2 regularisation and decoupled weight decay.

Each function takes a list or a dict of arrays, or one array, on the CPU or on the GPU.  Everything is checked before
anything is changed, and messages name an array by its place, as in ``grads[3]`` or ``grads['bias']``.  The arithmetic
is that of the table's rows `scaled`, `add_scaled` and `clipped`; the norms are those of src/reductions.inc.
"""

# CuPy's arrays have no types.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from . import _core
from ._functions import _framework, _given, _refuse_tensor

__all__ = ["add_l2_grad", "clip_grad_norm", "clip_grad_value", "decoupled_weight_decay", "l2_penalty"]

# An array, an iterable of arrays or a mapping to arrays; NumPy's or CuPy's, which has no types.
Arrays: TypeAlias = np.ndarray[Any, Any] | Iterable[Any] | Mapping[Any, Any]


# ---------------------------------------------------------------------------------------------------- arguments


class _Given(NamedTuple):
    names: list[str]
    arrays: list[Any]
    back_end: Any  # None for NumPy, else the module _gpu


def _number(argument: str, value: Any, least: float = 0.0) -> float:
    _refuse_tensor(argument, value, "a number")
    if isinstance(value, (str, bytes, complex)) or not hasattr(value, "__float__") or np.ndim(value) != 0:
        raise TypeError(f"{argument} must be a number, got {type(value).__name__}")
    number = float(value)
    if not number >= least:
        raise ValueError(f"{argument} must be at least {least:g}, got {number}")
    return number


def _finite(argument: str, value: Any, least: float = 0.0) -> float:
    number = _number(argument, value, least)
    if math.isinf(number):
        raise ValueError(f"{argument} must be finite, got {number}")
    return number


def _is_on_gpu(value: Any) -> bool:
    kind = getattr(sys.modules.get("cupy"), "ndarray", None)
    return kind is not None and isinstance(value, kind)


def _named(argument: str, given: Arrays) -> tuple[list[str], list[Any]]:
    if isinstance(given, Mapping):
        return [f"{argument}[{key!r}]" for key in given], list(given.values())
    if isinstance(given, np.ndarray) or _is_on_gpu(given):
        return [argument], [given]
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable) or _framework(given) is not None:
        raise TypeError(f"{argument} must be a list or dict of arrays, or an array, got {_given(argument, given)}")
    arrays = list(given)
    return [f"{argument}[{place}]" for place in range(len(arrays))], arrays


def _check(argument: str, given: Arrays, writable: bool) -> _Given:
    """The arrays with their names, each of a supported dtype, none of them twice, all on the same side."""
    names, arrays = _named(argument, given)
    on_gpu = bool(arrays) and _is_on_gpu(arrays[0])
    for name, array in zip(names, arrays, strict=True):
        if type(array) not in (np.ndarray, np.memmap) and not _is_on_gpu(array):
            raise TypeError(f"{name} must be a NumPy or CuPy array, got {_given(name, array)}")
        if _is_on_gpu(array) != on_gpu:
            kinds = [f"{type(one).__module__.split('.')[0]}.{type(one).__name__}" for one in (arrays[0], array)]
            raise TypeError(f"{names[0]} is a {kinds[0]}, but {name} is a {kinds[1]}; all must be of one kind")
        if not _core.supports(array.dtype):
            raise TypeError(f"{name} has dtype {array.dtype}, expected one of {', '.join(_core.DTYPES)}")
        if writable and not getattr(array.flags, "writeable", True):
            raise ValueError(f"{name} is read-only and cannot be changed in place")
    _check_apart(names, arrays)
    if on_gpu:
        from . import _gpu

        return _Given(names, arrays, _gpu)
    return _Given(names, arrays, None)


def _extent(array: Any) -> tuple[int, int]:
    """The first byte of an array's memory and the one after its last."""
    if isinstance(array, np.ndarray):
        return _core.extent(array)
    from . import _gpu

    return _gpu.extent(array)


def _check_apart(names: list[str], arrays: list[Any]) -> None:
    """An array that is there twice would be scaled or counted twice."""
    if len(arrays) < 2:
        return
    extents = sorted((*_extent(array), place) for place, array in enumerate(arrays) if array.size)
    reaching: list[tuple[int, int]] = []  # the end and the place of each that may reach into the next one
    for low, high, place in extents:
        reaching = [(end, other) for end, other in reaching if end > low]
        for _, other in reaching:
            if _shares(arrays[place], arrays[other]):
                first, second = sorted((place, other))
                raise ValueError(f"{names[first]} and {names[second]} share memory; each array may be given once")
        reaching.append((high, place))


def _shares(a: Any, b: Any) -> bool:
    # Columns of one matrix lie in between each other without sharing anything.
    work: Any = 10**6  # NumPy's stubs know of two constants only
    try:
        return np.shares_memory(_on_host(a), _on_host(b), max_work=work)
    except np.exceptions.TooHardError:
        return True


class _Layout:
    """The addresses of a CuPy array's elements, for an array of NumPy that is asked for nothing else."""

    def __init__(self, array: Any) -> None:
        self.__array_interface__ = {
            "data": (array.data.ptr, True),
            "shape": array.shape,
            "strides": array.strides,
            "typestr": f"|V{array.itemsize}",
            "version": 3,
        }


def _on_host(array: Any) -> np.ndarray[Any, Any]:
    return array if isinstance(array, np.ndarray) else np.asarray(_Layout(array))


# ---------------------------------------------------------------------------------------------------- arithmetic


def _in_place(row: str, back_end: Any, arrays: list[Any], number: float) -> None:
    """A row with a number for its parameter, written over the first of its arrays."""
    if back_end is not None:
        back_end.call(row, [*arrays, number], arrays[0])
    elif _core.iterate(row, [*arrays, number], arrays[0]) is None:
        with np.errstate(all="ignore"):
            wide = np.result_type(*(array.dtype for array in arrays)) == np.float64
            rounded = np.float64(number) if wide else np.float32(number)
            getattr(_core, row + "_number")(*arrays, rounded, out=arrays[0], casting="same_kind")


def _power_norm(array: np.ndarray[Any, Any], p: float) -> tuple[float, int]:
    """The p-norm for any p, some elements at a time; scaled by the largest, so that no power overflows."""
    block = 1 << 16
    largest, exponent = _core.norm(array, 0)
    if not 0 < largest < math.inf:
        return largest, exponent
    flat = array.reshape(-1)
    total = math.fsum(
        float(np.sum((np.abs(flat[start : start + block].astype(np.float64)) / largest) ** p))
        for start in range(0, flat.size, block)
    )
    return largest * total ** (1 / p), exponent


def _norms(given: _Given, p: float) -> list[tuple[float, int]]:
    """The norm of each array on the CPU, as (number, exponent) for number * 2^exponent."""
    kinds = {math.inf: 0, 1.0: 1, 2.0: 2}
    if p in kinds:
        return [_core.norm(array, kinds[p]) for array in given.arrays]
    return [_power_norm(array, p) for array in given.arrays]


def _total(norms: list[tuple[float, int]], p: float) -> tuple[float, int]:
    """The norm of the norms, brought to the largest of their exponents."""
    exponent = max((exponent for _, exponent in norms), default=0)
    numbers = [math.ldexp(number, own - exponent) for number, own in norms]
    if any(map(math.isnan, numbers)):
        return math.nan, exponent
    if p == math.inf:
        return max(numbers, default=0.0), exponent
    if p == 2:
        return math.hypot(*numbers), exponent
    largest = max(numbers, default=0.0)
    if p == 1 or not 0 < largest < math.inf:
        return math.fsum(numbers), exponent
    return largest * math.fsum((number / largest) ** p for number in numbers) ** (1 / p), exponent


def _times_power(number: float, exponent: int) -> float:
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return math.inf


# ---------------------------------------------------------------------------------------------------- public functions


def clip_grad_norm(grads: Arrays, max_norm: float, norm_type: float = 2.0, *, error_if_nonfinite: bool = False) -> Any:
    """
    Scale gradients in place so that their norm, as if they were one vector, is at most `max_norm`.

    .. math:: g \\leftarrow g \\cdot \\min(1, max\\_norm / \\|g\\|_p)

    Parameters
    ----------
    grads : array, list or dict of arrays
        Of any shapes, layouts and supported dtypes; on the GPU all of them or none.
    max_norm : float
        At least 0.  With ``inf`` the norm is computed and nothing is changed.
    norm_type : float, optional
        p: 2, 1, ``inf`` (the largest magnitude) or any other positive number.
    error_if_nonfinite : bool, optional
        Raise an error that names the first array with a NaN or an infinity, before anything is changed.  For CuPy
        arrays it waits for the device.  Otherwise the formula has its way, as in PyTorch: a NaN makes every gradient
        NaN, an infinity makes the finite ones 0.

    Returns
    -------
    float or cupy.ndarray
        The norm before clipping, 0 for no arrays.  For CuPy arrays a 0-d float64 array: nothing waits for the device.

    Raises
    ------
    TypeError
        If something is no array, or of an unsupported dtype, or NumPy and CuPy arrays come together.
    ValueError
        If an array is read-only, two share memory, `max_norm` or `norm_type` is out of range, or (with
        `error_if_nonfinite`) an array is not finite.

    See Also
    --------
    clip_grad_value

    Notes
    -----
    Every array is read once, and written only where it has to change.  Squares are summed in float64; where they would
    overflow it or be lost, they are scaled, so that the norm is right whatever the size of the numbers.  On the CPU its
    bits do not depend on ISA and number of threads.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from pyleaky import training
    >>> grads = {"weight": np.array([3.0, 0.0]), "bias": np.array([4.0])}
    >>> training.clip_grad_norm(grads, 1.0)
    5.0
    >>> grads["bias"]
    array([0.8])
    """
    bound = _number("max_norm", max_norm)
    p = _number("norm_type", norm_type)
    if p == 0:
        raise ValueError(f"norm_type must be positive, got {p}")
    given = _check("grads", grads, writable=True)
    if given.back_end is not None:
        return _clip_on_gpu(given, bound, p, error_if_nonfinite)
    norms = _norms(given, p)
    if error_if_nonfinite:
        for name, (number, _) in zip(given.names, norms, strict=True):
            if not math.isfinite(number):
                raise ValueError(f"{name} has {'NaN' if math.isnan(number) else 'an infinity'}; nothing was changed")
    number, exponent = _total(norms, p)
    if not number <= math.ldexp(bound, -exponent):
        factor = math.ldexp(bound, -exponent) / number
        for array in given.arrays:
            _in_place("scaled", None, [array], factor)
    return _times_power(number, exponent)


def _norm_on_gpu(given: _Given, p: float) -> tuple[list[Any], Any]:
    """The norm of each array and of all, on the one device that they are on."""
    back_end = given.back_end
    with back_end.on([*zip(given.names, given.arrays, strict=True)]):
        norms = [back_end.norm(array, p) for array in given.arrays]
        return norms, back_end.norm(back_end.cupy.stack(norms), p)


def _clip_on_gpu(given: _Given, bound: float, p: float, error_if_nonfinite: bool) -> Any:
    back_end = given.back_end
    norms, total = _norm_on_gpu(given, p)
    if error_if_nonfinite and not math.isfinite(float(total)):
        for name, norm in zip(given.names, norms, strict=True):
            if not math.isfinite(float(norm)):
                raise ValueError(f"{name} is not finite, its norm is {float(norm)}; nothing was changed")
    for array in given.arrays:
        back_end.clip_by_norm(array, total, bound)
    return total


def clip_grad_value(grads: Arrays, clip_value: float) -> None:
    """
    Bring every element of gradients into [-clip_value, clip_value], in place.

    .. math:: g \\leftarrow \\max(-c, \\min(c, g))

    Parameters
    ----------
    grads : array, list or dict of arrays
        As for `clip_grad_norm`.  NaN stays.
    clip_value : float
        c, at least 0; for half types and float32 rounded once to float32.

    Raises
    ------
    TypeError, ValueError
        As `clip_grad_norm`.

    See Also
    --------
    clip_grad_norm

    References
    ----------
    T. Mikolov, "Statistical language models based on neural networks", PhD thesis, Brno 2012, section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from pyleaky import training
    >>> grad = np.array([-3.0, 0.5, 2.0], np.float32)
    >>> training.clip_grad_value([grad], 1.0)
    >>> grad
    array([-1. ,  0.5,  1. ], dtype=float32)
    """
    bound = _number("clip_value", clip_value)
    given = _check("grads", grads, writable=True)
    for array in given.arrays:
        _in_place("clipped", given.back_end, [array], bound)


def l2_penalty(params: Arrays, weight_decay: float) -> Any:
    """
    The L2 penalty of weights, to be added to a loss.

    .. math:: \\frac{weight\\_decay}{2} \\sum w^2

    Parameters
    ----------
    params : array, list or dict of arrays
        As for `clip_grad_norm`; they may be read-only.
    weight_decay : float
        At least 0 and finite.

    Returns
    -------
    float or cupy.ndarray
        The penalty, 0 for no arrays; for CuPy arrays a 0-d float64 array.

    Raises
    ------
    TypeError, ValueError
        As `clip_grad_norm`.

    See Also
    --------
    add_l2_grad

    References
    ----------
    A. Krogh and J. Hertz, "A simple weight decay can improve generalization", NIPS 1991.

    Examples
    --------
    >>> import numpy as np
    >>> from pyleaky import training
    >>> training.l2_penalty([np.array([3.0, 4.0])], 0.1)
    1.25
    """
    decay = _finite("weight_decay", weight_decay)
    given = _check("params", params, writable=False)
    if given.back_end is not None:
        _, norm = _norm_on_gpu(given, 2.0)
        with given.back_end.on([("norm", norm)]):
            return 0.5 * decay * norm * norm
    number, exponent = _total(_norms(given, 2.0), 2.0)
    penalty = _times_power(0.5 * decay * number, exponent) * number
    return _times_power(penalty, exponent)


def add_l2_grad(grads: Arrays, params: Arrays, weight_decay: float) -> None:
    """
    Add the gradient of the L2 penalty to gradients, in place and in one pass.

    .. math:: g \\leftarrow g + weight\\_decay \\cdot w

    Parameters
    ----------
    grads : array, list or dict of arrays
        As for `clip_grad_norm`.
    params : array, list or dict of arrays
        The weights, as many, of the same shapes and under the same keys.  Their dtype may be another one; the sum is
        rounded to that of the gradient.
    weight_decay : float
        At least 0 and finite; for half types and float32 rounded once to float32.

    Raises
    ------
    TypeError, ValueError
        As `clip_grad_norm`, and if `grads` and `params` differ in number, keys or shapes.

    See Also
    --------
    l2_penalty, decoupled_weight_decay

    Notes
    -----
    The product is rounded, then the sum: float32 arrays get the bits of ``grad += np.float32(weight_decay) * weight``.

    References
    ----------
    A. Krogh and J. Hertz, "A simple weight decay can improve generalization", NIPS 1991.

    Examples
    --------
    >>> import numpy as np
    >>> from pyleaky import training
    >>> grad, weight = np.array([1.0, 2.0]), np.array([10.0, -10.0])
    >>> training.add_l2_grad([grad], [weight], 0.1)
    >>> grad
    array([2., 1.])
    """
    decay = _finite("weight_decay", weight_decay)
    if isinstance(grads, Mapping) and isinstance(params, Mapping):
        if grads.keys() != params.keys():
            lacking = sorted(map(repr, grads.keys() ^ params.keys()))
            raise ValueError(f"grads and params must have the same keys; only one of them has {', '.join(lacking)}")
        params = {key: params[key] for key in grads}
    to, by = _check("grads", grads, writable=True), _check("params", params, writable=False)
    if len(to.arrays) != len(by.arrays):
        raise ValueError(f"grads has {len(to.arrays)} arrays, params has {len(by.arrays)}; they must be as many")
    for name, grad, other, weight in zip(to.names, to.arrays, by.names, by.arrays, strict=True):
        if _is_on_gpu(grad) != _is_on_gpu(weight):
            raise TypeError(f"{name} is a {type(grad)}, but {other} is a {type(weight)}; both must be of one kind")
        if grad.shape != weight.shape:
            raise ValueError(f"{name} has shape {grad.shape}, {other} has shape {weight.shape}; they must be equal")
    for grad, weight in zip(to.arrays, by.arrays, strict=True):
        _in_place("add_scaled", to.back_end, [grad, weight], decay)


def decoupled_weight_decay(params: Arrays, learning_rate: float, weight_decay: float) -> None:
    """
    Let weights decay in place, apart from the gradient, as AdamW and SGDW do.

    .. math:: w \\leftarrow (1 - learning\\_rate \\cdot weight\\_decay) \\cdot w

    Parameters
    ----------
    params : array, list or dict of arrays
        As `grads` of `clip_grad_norm`.
    learning_rate, weight_decay : float
        At least 0 and finite.  The factor is computed in float64, and for half types and float32 rounded once to
        float32.

    Raises
    ------
    TypeError, ValueError
        As `clip_grad_norm`.

    See Also
    --------
    add_l2_grad

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from pyleaky import training
    >>> weight = np.array([10.0, -10.0])
    >>> training.decoupled_weight_decay([weight], 0.1, 0.5)
    >>> weight
    array([ 9.5, -9.5])
    """
    rate, decay = _finite("learning_rate", learning_rate), _finite("weight_decay", weight_decay)
    given = _check("params", params, writable=True)
    for array in given.arrays:
        _in_place("scaled", given.back_end, [array], 1 - rate * decay)
