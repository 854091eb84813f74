"""What training does to gradients and weights, in place: clipping, L2 regularisation and decoupled weight decay.

Each function takes a list or a dict of arrays, or one array, on the CPU or on the GPU.  Everything is checked before
anything is changed, and messages name an array by its place, as in ``grads[3]`` or ``grads['bias']``.  The arithmetic
is that of the table's rows `scaled`, `add_scaled` and `clipped`; the norms are those of src/reductions.inc.
"""

# CuPy's arrays have no types.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from collections.abc import Iterable, Mapping, Sequence, ValuesView
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from . import _arguments, _core

__all__ = ["add_l2_grad", "clip_grad_norm", "clip_grad_value", "decoupled_weight_decay", "l2_penalty"]

# An array, a list of arrays or a mapping to arrays, NumPy's or CuPy's, which has no types; None stands for no array.
Arrays: TypeAlias = np.ndarray[Any, Any] | Sequence[Any] | ValuesView[Any] | Mapping[Any, Any]


# ---------------------------------------------------------------------------------------------------- arguments


class _Given(NamedTuple):
    names: list[str]
    arrays: list[Any]
    back_end: Any  # None for NumPy, else the module _gpu


def _is_on_gpu(value: Any) -> bool:
    return _arguments.kind_of(value) == "gpu"


def _named(argument: str, given: Any) -> tuple[list[str], list[Any]]:
    """The arrays of an argument, None among them, and what a message calls each."""
    if isinstance(given, Mapping):
        return [f"{argument}[{key!r}]" for key in given], list(given.values())
    if isinstance(given, np.ndarray) or _is_on_gpu(given):
        return [argument], [given]
    if isinstance(given, (str, bytes)) or not isinstance(given, (Sequence, ValuesView)):
        hint = ""
        if isinstance(given, Iterable) and _arguments.framework_of(given) is None:
            hint = f"; if it has the arrays, give list({argument})"
        what = _arguments.describe_argument(argument, given)
        raise TypeError(f"{argument} must be a list or dict of arrays, or an array, got {what}{hint}")
    return [f"{argument}[{place}]" for place in range(len(given))], list(given)


def _check(argument: str, given: Any, writable: bool) -> _Given:
    """The arrays that are there, with their names, checked."""
    pairs = [pair for pair in zip(*_named(argument, given), strict=True) if pair[1] is not None]
    return _check_arrays([name for name, _ in pairs], [array for _, array in pairs], writable)


def _check_arrays(names: list[str], arrays: list[Any], writable: bool) -> _Given:
    """Each of a supported dtype, none of them twice, all on the same side."""
    on_gpu = bool(arrays) and _is_on_gpu(arrays[0])
    for name, array in zip(names, arrays, strict=True):
        if type(array) not in (np.ndarray, np.memmap) and not _is_on_gpu(array):
            raise TypeError(f"{name} must be a NumPy or CuPy array, got {_arguments.describe_argument(name, array)}")
        if _is_on_gpu(array) != on_gpu:
            kinds = [_arguments.class_name(one) for one in (arrays[0], array)]
            raise TypeError(f"{names[0]} is a {kinds[0]}, but {name} is a {kinds[1]}; all must be of one kind")
        if not _core.supports(array.dtype):
            raise TypeError(f"{name} has dtype {array.dtype}, expected one of {', '.join(_core.DTYPES)}")
        if writable and not getattr(array.flags, "writeable", True):
            raise ValueError(f"{name} is read-only and cannot be changed in place")
        if writable and _arguments.overlaps_itself(array):
            raise ValueError(f"{name} has elements that share memory, as a broadcast array has; give a copy of it")
    shared = _arguments.find_shared(arrays)
    if shared is not None:  # what they share would be scaled or counted twice
        first, second = (names[place] for place in shared)
        raise ValueError(f"{first} and {second} share memory; each array may be given once")
    if on_gpu:
        from . import _gpu

        return _Given(names, arrays, _gpu)
    return _Given(names, arrays, None)


def _check_pair(name: str, grad: Any, other: str, weight: Any) -> None:
    """A gradient and its weight: on the same side, of the same shape, of dtypes that have a common one."""
    if _is_on_gpu(grad) != _is_on_gpu(weight):
        kinds = _arguments.class_name(grad), _arguments.class_name(weight)
        raise TypeError(f"{name} is a {kinds[0]}, but {other} is a {kinds[1]}; both must be of one kind")
    if grad.shape != weight.shape:
        raise ValueError(f"{name} has shape {grad.shape}, {other} has shape {weight.shape}; they must be equal")
    try:
        np.result_type(grad.dtype, weight.dtype)
    except TypeError:
        dtypes = f"{name} has dtype {grad.dtype}, {other} has dtype {weight.dtype}"
        raise TypeError(f"{dtypes}, which have no common dtype; convert one of them") from None


def _apart_from(grads: list[Any], params: list[Any]) -> list[Any]:
    """The weights, a copy of each that may share memory with the gradient of another one, which is written before."""
    spans = []
    for is_param, arrays in enumerate((grads, params)):
        spans += [(*_arguments.extent(array), (is_param, place)) for place, array in enumerate(arrays) if array.size]
    found = [*params]
    for cluster in _arguments.clusters(spans):
        written = {place for is_param, place in cluster if not is_param}
        for is_param, place in cluster:
            if is_param and written - {place}:
                found[place] = params[place].copy()
    return found


def _check_factor(argument: str, factor: float, names: Sequence[str]) -> None:
    """A factor for arrays that are computed in float32 must not be infinite there."""
    if names and abs(factor) > _LARGEST:
        raise ValueError(f"{argument} is {factor}, too large for float32, in which {names[0]} is computed")


# ---------------------------------------------------------------------------------------------------- arithmetic


_FAR = 2.0**960
_LARGEST = float(np.finfo(np.float32).max)


def _is_wide(array: Any) -> bool:
    """Whether an array is computed in float64, not in float32."""
    return bool(array.dtype.itemsize == 8)


def _in_place(row: str, back_end: Any, arrays: list[Any], number: float) -> None:
    """A row with a number for its parameter, written over the first of its arrays."""
    if back_end is not None:
        back_end.call(row, [*arrays, number], arrays[0])
    elif _core.iterate(row, [*arrays, number], arrays[0]) is None:
        rounded = np.float64(number) if any(map(_is_wide, arrays)) else np.float32(number)
        getattr(_core, row + "_number")(*arrays, rounded, out=arrays[0], casting="same_kind")


def _scale(array: np.ndarray[Any, Any], fraction: float, exponent: int) -> None:
    """Multiply an array by fraction * 2^exponent, which is at most 1, and may be below what its dtype can hold."""
    least = -1022 if _is_wide(array) else -126  # of the factors that have all of their bits
    if fraction == 0 or not math.isfinite(fraction) or math.ldexp(fraction, exponent) >= math.ldexp(1, least):
        return _in_place("scaled", None, [array], math.ldexp(fraction, exponent))
    _in_place("scaled", None, [array], fraction)
    # Powers of two round only what becomes subnormal; after three of them nothing is left.
    for _ in range(3):
        power, exponent = max(exponent, least), min(exponent - least, 0)
        _in_place("scaled", None, [array], math.ldexp(1, power))
        if exponent == 0:
            break


def _times_root(largest: float, total: float, p: float) -> tuple[float, int]:
    """largest * total^(1/p) as (number, exponent)."""
    try:
        number = largest * total ** (1 / p)
    except OverflowError:
        number = math.inf
    if number < math.inf:
        return number, 0
    fraction, exponent = math.frexp(largest)
    power = math.log2(total) / p
    if power > 2**53:
        return math.inf, 0
    return fraction * 2 ** (power % 1), exponent + math.floor(power)


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
    number, more = _times_root(largest, total, p)
    return number, exponent + more


def _norms(given: _Given, p: float) -> list[tuple[float, int]]:
    """The norm of each array on the CPU, as (number, exponent) for number * 2^exponent."""
    kinds = {math.inf: 0, 1.0: 1, 2.0: 2}
    if p in kinds:
        return [_core.norm(array, kinds[p]) for array in given.arrays]
    return [_power_norm(array, p) for array in given.arrays]


def _total(norms: list[tuple[float, int]], p: float) -> tuple[float, int]:
    """The norm of the norms, brought to the largest of their exponents."""
    if any(math.isnan(number) for number, _ in norms):
        return math.nan, 0
    exponent = max((exponent for _, exponent in norms), default=0)
    if any(own == exponent and _FAR < number < math.inf for number, own in norms):
        exponent += 64  # so that sums do not overflow
    numbers = [math.ldexp(number, own - exponent) for number, own in norms]
    if p == math.inf:
        return max(numbers, default=0.0), exponent
    if p == 2:
        return math.hypot(*numbers), exponent
    largest = max(numbers, default=0.0)
    if p == 1 or not 0 < largest < math.inf:
        return math.fsum(numbers), exponent
    number, more = _times_root(largest, math.fsum((number / largest) ** p for number in numbers), p)
    return number, exponent + more


def _times_power(number: float, exponent: int) -> float:
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return math.inf


# ---------------------------------------------------------------------------------------------------- public functions


@_arguments.public
def clip_grad_norm(grads: Arrays, max_norm: float, norm_type: float = 2.0, *, error_if_nonfinite: bool = False) -> Any:
    """
    Scale gradients in place so that their norm, as if they were one vector, is at most `max_norm`.

    .. math:: g \\leftarrow g \\cdot \\min(1, max\\_norm / \\|g\\|_p)

    Parameters
    ----------
    grads : array, list or dict of arrays
        Of any shapes, layouts and supported dtypes; on the GPU all of them or none.  None in place of an array is
        skipped, as the gradient of a frozen weight is in PyTorch.
    max_norm : float
        At least 0.  With ``inf`` the norm is computed and nothing is changed, whatever the norm is.
    norm_type : float, optional
        p, above 0: 2, 1, ``inf`` (the largest magnitude) or any other number.
    error_if_nonfinite : bool, optional
        Raise an error that names the first array with a NaN or an infinity, before anything is changed.  For CuPy
        arrays it waits for the device.  Otherwise the formula is applied, as in PyTorch: a NaN makes every gradient
        NaN, an infinity makes the finite ones 0.

    Returns
    -------
    float or cupy.ndarray
        The norm before clipping, 0 for no arrays.  For CuPy arrays a 0-d float64 array: nothing waits for the device.

    Raises
    ------
    TypeError
        If something is no array, or of an unsupported dtype, NumPy and CuPy arrays come together, or `grads` is an
        iterator, which can be empty by now: give ``list(grads)``.
    ValueError
        If an array is read-only, two arrays or two elements of one share memory, `max_norm` or `norm_type` is out of
        range, or (with `error_if_nonfinite`) an array is not finite.  After an error nothing is changed.

    See Also
    --------
    clip_grad_value

    Notes
    -----
    Every array is read once, and written only where it has to change.  Squares are summed in float64; where they would
    overflow or be lost, they are scaled, so that the norm is right whatever the size of the numbers.  On the CPU its
    bits do not depend on ISA and number of threads, and a factor below the range of float32 keeps its precision.

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
    bound = _arguments.number("max_norm", max_norm, least=0)
    p = _arguments.number("norm_type", norm_type, above=0)
    error_if_nonfinite = _arguments.flag("error_if_nonfinite", error_if_nonfinite)
    given = _check("grads", grads, writable=True)
    if given.back_end is not None:
        return _clip_on_gpu(given, bound, p, error_if_nonfinite)
    norms = _norms(given, p)
    if error_if_nonfinite:
        for name, (number, _) in zip(given.names, norms, strict=True):
            if not math.isfinite(number):
                raise ValueError(f"{name} has {'NaN' if math.isnan(number) else 'an infinity'}; nothing was changed")
    number, exponent = _total(norms, p)
    if bound < math.inf and not number <= _times_power(bound, -exponent):
        fraction, power = bound / number, 0
        if bound and math.isfinite(number):  # the quotient may be below what float64 can hold
            (upper, above), (lower, below) = math.frexp(bound), math.frexp(number)
            fraction, power = math.frexp(upper / lower)  # below 1
            power += above - below - exponent
        for array in given.arrays:
            _scale(array, fraction, power)
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
    if bound < math.inf:
        for array in given.arrays:
            back_end.clip_by_norm(array, total, bound)
    return total


@_arguments.public
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
    bound = _arguments.number("clip_value", clip_value, least=0)
    given = _check("grads", grads, writable=True)
    for array in given.arrays:
        _in_place("clipped", given.back_end, [array], bound)


@_arguments.public
def l2_penalty(params: Arrays, weight_decay: float) -> Any:
    """
    The L2 penalty of weights, to be added to a loss.

    .. math:: \\frac{weight\\_decay}{2} \\sum w^2

    Parameters
    ----------
    params : array, list or dict of arrays
        As `grads` of `clip_grad_norm`; they may be read-only.
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
    decay = _arguments.number("weight_decay", weight_decay, least=0, finite=True)
    given = _check("params", params, writable=False)
    if given.back_end is not None:
        _, norm = _norm_on_gpu(given, 2.0)
        with given.back_end.on([("norm", norm)]):
            return 0.5 * decay * norm * norm
    number, exponent = _total(_norms(given, 2.0), 2.0)
    (number, power), (decay, own) = math.frexp(number), math.frexp(decay)
    return _times_power(0.5 * decay * number * number, own + 2 * (power + exponent))


@_arguments.public
def add_l2_grad(grads: Arrays, params: Arrays, weight_decay: float) -> None:
    """
    Add the gradient of the L2 penalty to gradients, in place and in one pass.

    .. math:: g \\leftarrow g + weight\\_decay \\cdot w

    Parameters
    ----------
    grads : array, list or dict of arrays
        As for `clip_grad_norm`.  Where it is None, the weight is skipped.
    params : array, list or dict of arrays
        The weights, as many, of the same shapes and under the same keys.  Their dtype may be another one, if NumPy has
        a common one for both; the sum is rounded to that of the gradient.  They may share memory with the gradients:
        the result is that of copies.
    weight_decay : float
        At least 0 and finite; for half types and float32 rounded once to float32, which must be able to hold it.

    Raises
    ------
    TypeError, ValueError
        As `clip_grad_norm`, and if `grads` and `params` differ in number, keys or shapes, or two dtypes have no common
        one, such as float16 and bfloat16.

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
    decay = _arguments.number("weight_decay", weight_decay, least=0, finite=True)
    if isinstance(grads, Mapping) and isinstance(params, Mapping):
        if grads.keys() != params.keys():
            lacking = sorted(map(repr, grads.keys() ^ params.keys()))
            raise ValueError(f"grads and params must have the same keys; only one of them has {', '.join(lacking)}")
        params = {key: params[key] for key in grads}
    (names, to), (others, by) = _named("grads", grads), _named("params", params)
    if len(to) != len(by):
        raise ValueError(f"grads has {len(to)} arrays, params has {len(by)}; they must be as many")
    pairs = [pair for pair in zip(names, to, others, by, strict=True) if pair[1] is not None]
    given = _check_arrays([pair[0] for pair in pairs], [pair[1] for pair in pairs], writable=True)
    weights = _check_arrays([pair[2] for pair in pairs], [pair[3] for pair in pairs], writable=False).arrays
    for name, grad, other, weight in pairs:
        _check_pair(name, grad, other, weight)
        if given.back_end is not None:
            given.back_end.device_of([(name, grad), (other, weight)])
    _check_factor("weight_decay", decay, [pair[0] for pair in pairs if not (_is_wide(pair[1]) or _is_wide(pair[3]))])
    for grad, weight in zip(given.arrays, _apart_from(given.arrays, weights), strict=True):
        _in_place("add_scaled", given.back_end, [grad, weight], decay)


@_arguments.public
def decoupled_weight_decay(params: Arrays, learning_rate: float, weight_decay: float) -> None:
    """
    Let weights decay in place, apart from the gradient, as AdamW and SGDW do.

    .. math:: w \\leftarrow (1 - learning\\_rate \\cdot weight\\_decay) \\cdot w

    Parameters
    ----------
    params : array, list or dict of arrays
        As `grads` of `clip_grad_norm`.
    learning_rate, weight_decay : float
        At least 0 and finite, as is their product.  The factor is computed in float64, and for half types and float32
        rounded once to float32, which must be able to hold it.

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
    rate = _arguments.number("learning_rate", learning_rate, least=0, finite=True)
    decay = _arguments.number("weight_decay", weight_decay, least=0, finite=True)
    given = _check("params", params, writable=True)
    factor = 1 - _arguments.number("learning_rate * weight_decay", rate * decay, finite=True)
    narrow = [name for name, array in zip(given.names, given.arrays, strict=True) if not _is_wide(array)]
    _check_factor("1 - learning_rate * weight_decay", factor, narrow)
    for array in given.arrays:
        _in_place("scaled", given.back_end, [array], factor)


def __getattr__(name: str) -> Any:
    raise _arguments.missing_attribute(__name__, name)
