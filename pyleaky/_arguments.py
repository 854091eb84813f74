"""What an argument may be, and the error where it is something else: numbers, integers, axes, names, tensors, labels,
and whether two arrays share memory.

Every public function asks here, so that the same mistake gives the same message everywhere.  No array is computed and
no back end is chosen here.  A new kind of argument gets its function here, and its cases in tests/test_arguments.py.
"""

# The objects of other libraries are Any, and those libraries may not be installed.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import math
import operator
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from . import _core

P = ParamSpec("P")
R = TypeVar("R")

Operands = Iterable[tuple[str, Any]]

# ---------------------------------------------------------------------------------------------- what a value is

# What other libraries call an array, looked up in sys.modules, so that nothing is imported for it: kind, and classes.
_CLASSES = {
    "containers": [("xarray", "DataArray"), ("xarray", "Dataset")],
    "dask": [("dask.array", "Array")],
    "gpu": [("cupy", "ndarray")],
}
_NUMPY = (np.ndarray, np.generic, float, int, complex, str, bytes, list, tuple, type(None))


def kind_of(value: Any) -> str | None:
    """The back end for an array that NumPy's protocols do not serve, or None."""
    if isinstance(value, _NUMPY):
        return None
    for kind, classes in _CLASSES.items():
        for module, name in classes:
            array = getattr(sys.modules.get(module), name, None)
            if array is not None and isinstance(value, array):
                return kind
    tensor = getattr(sys.modules.get("torch"), "Tensor", ())
    return "generic" if hasattr(value, "__array_namespace__") or isinstance(value, tensor) else None


def library_of(value: Any) -> str:
    return type(value).__module__.partition(".")[0].replace("jaxlib", "jax")


def framework_of(value: Any) -> str | None:
    """The adapter for a tensor, "torch" or "tensorflow" (for Keras' too), or None; nothing is imported for it."""
    if isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ())):
        return "torch"
    return "tensorflow" if library_of(value) in ("tensorflow", "keras", "tf_keras") else None


def _is_symbolic(value: Any) -> bool:
    """Whether a tensor of TensorFlow or Keras stands for values that are not there yet, as in a tf.function."""
    if not hasattr(value, "numpy"):
        return True
    tensorflow: Any = sys.modules.get("tensorflow")
    return hasattr(value, "assign") and tensorflow is not None and not tensorflow.executing_eagerly()


def class_name(value: Any) -> str:
    return "cupy.ndarray" if kind_of(value) == "gpu" else f"{type(value).__module__}.{type(value).__qualname__}"


def describe_type(value: Any) -> str:
    return class_name(value) + (" that requires grad" if getattr(value, "requires_grad", False) is True else "")


def conversion_hint(argument: str, value: Any) -> str:
    """The end of a message about a tensor: which functions take it, and how it becomes an array; else nothing."""
    framework = framework_of(value)
    if framework is None:
        return ""
    array = None
    if framework == "torch":
        without = value.requires_grad
        array = f"{argument}{'.detach()' * without}{'.cpu()' * (not value.is_cpu)}.numpy() is an array"
        array += " without gradient" * without
    elif not _is_symbolic(value):
        array = f"{argument}.numpy() is an array"
    return f"; pyleaky.{framework} has the activations for tensors" + ("" if array is None else f", and {array}")


def describe_argument(argument: str, value: Any, dtype: str = "") -> str:
    """What an argument is, for a message that says what it must be."""
    if framework_of(value) is not None:
        return f"{describe_type(value)}{dtype}{conversion_hint(argument, value)}"
    return f"{type(value).__name__}{dtype}"


def shape_of(value: Any) -> tuple[Any, ...]:
    if hasattr(value, "shape"):
        return tuple(value.shape)
    return () if hasattr(value, "data_vars") else np.shape(value)  # a Dataset of xarray has a shape per variable


# ---------------------------------------------------------------------------------------------- tensors

_PLAIN = frozenset((np.ndarray, np.memmap, float, int, bool, type(None), str, bytes, complex))
_MAX_DIMS = 64  # of NumPy's arrays, so of nested lists too


def _is_no_tensor(value: Any) -> bool:
    return type(value) in _PLAIN or isinstance(value, np.generic)


def _find_unconvertible_tensor(value: Any, depth: int = 0) -> tuple[str, Any] | None:
    """
    (place, tensor) for the first tensor, in nested lists too, that cannot be converted to an array, or not without
    loss of its gradient; else None.
    """
    if _is_no_tensor(value):
        return None
    if isinstance(value, (list, tuple)):
        if depth < _MAX_DIMS and not sys.modules.keys().isdisjoint(("torch", "tensorflow", "keras")):
            for place, one in enumerate(value):
                found = None if _is_no_tensor(one) else _find_unconvertible_tensor(one, depth + 1)
                if found is not None:
                    return f"[{place}]{found[0]}", found[1]
        return None
    framework = framework_of(value)
    is_lost = value.requires_grad if framework == "torch" else framework is not None and _is_symbolic(value)
    return ("", value) if is_lost else None


def refuse_tensor(argument: str, value: Any, expected: str | None = None) -> None:
    """
    A TypeError for a tensor that cannot be converted to an array, or not without loss of its gradient, in lists too.

    Without `expected`, arrays of any namespace are accepted, and with them PyTorch's tensors.
    """
    found = _find_unconvertible_tensor(value)
    if found is not None and not (expected is None and found[0] == "" and kind_of(value) == "generic"):
        where, tensor = found
        expected = "a NumPy or CuPy array" if expected is None else expected
        raise TypeError(f"{argument}{where} must be {expected}, got {describe_argument(argument + where, tensor)}")


# ---------------------------------------------------------------------------------------------- arrays


# Strings and complex numbers have a dtype of their own, which check_dtype refuses by its name.
_DTYPED = (np.ndarray, np.generic, float, int, complex, str, bytes)
_CONVERTIBLE = ("__array__", "__array_interface__", "__array_namespace__", "__cuda_array_interface__", "__float__")


def refuse_non_array(argument: str, value: Any) -> None:
    """A TypeError for what NumPy would wrap into an array of objects, or into an array without its labels."""
    if isinstance(value, _DTYPED) or (hasattr(value, "__array_ufunc__") and not isinstance(value, type)):
        return
    module = type(value).__module__
    if module.startswith("scipy.sparse"):
        hint = f"; {argument}.toarray() is an array, and {argument}.data has the stored elements"
        raise TypeError(f"{argument} must be a dense array, got a sparse {type(value).__name__}{hint}")
    if module.startswith("polars"):
        hint = f"; call the function for each of its columns, or use {argument}.to_numpy()"
        raise TypeError(f"{argument} must be an array or a Series, got polars.{type(value).__name__}{hint}")
    is_class = isinstance(value, type)
    if not is_class and (isinstance(value, Sequence) or any(hasattr(value, name) for name in _CONVERTIBLE)):
        return
    try:
        buffer: Any = value
        return memoryview(buffer).release()
    except TypeError:
        pass
    given = "None" if value is None else type(value).__name__
    raise TypeError(f"{argument} must be an array, a number or a nested list of numbers, got {given}")


def as_ndarray(argument: str, value: Any) -> np.ndarray[Any, Any]:
    """numpy.asarray, with an error that names the argument."""
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
    raise ValueError(f"{argument} is a nested list whose parts have different lengths, expected equal ones")


def explain_shapes(message: str, values: Sequence[Any], out: Any, where: Any) -> str:
    """NumPy's message about operands that do not broadcast, with the argument that has another shape."""
    message = message.rstrip()
    try:
        shape = np.broadcast_shapes(*map(shape_of, values))
    except ValueError:
        return message
    if where is not True:
        try:
            shape = np.broadcast_shapes(shape, shape_of(where))
        except ValueError:
            return f"{message}: where has shape {shape_of(where)}, the result has shape {shape}"
    if out is None or shape_of(out) == shape:
        return message
    return f"{message}: out has shape {shape_of(out)}, the result has shape {shape}"


def operand(argument: str, value: Any) -> Any:
    """An array of any kind as it is, and an ndarray of nested lists; its dtype, where it shows one, is supported."""
    if type(value) is not np.ndarray:
        refuse_tensor(argument, value)
        refuse_non_array(argument, value)
        if isinstance(value, (Sequence, complex)):  # strings too, whose dtype is refused
            value = as_ndarray(argument, value)
    check_dtype(argument, value)
    return value


# ---------------------------------------------------------------------------------------------- numbers


def _as_float(argument: str, value: Any, expected: str) -> float:
    refuse_tensor(argument, value, expected)
    dtype = getattr(value, "dtype", None)
    is_real = dtype.kind in "biufV" if isinstance(dtype, np.dtype) else "complex" not in str(dtype)
    shape = getattr(value, "shape", ())
    if isinstance(value, (str, bytes, complex)) or not hasattr(value, "__float__") or not is_real or shape != ():
        given = describe_argument(argument, value)
        raise TypeError(f"{argument} must be {expected}, got {given}" + (f" of shape {tuple(shape)}" if shape else ""))
    try:
        return float(value)
    except OverflowError:
        size = f"an integer of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
        raise ValueError(f"{argument} must be in the range of float64, got {size}") from None
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{argument} must be {expected}, got {describe_argument(argument, value)}") from None


def number(
    argument: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    between: tuple[float, float] | None = None,
    finite: bool = False,
    expected: str = "a number",
) -> float:
    """
    A float of a real number: Python's, NumPy's, or an array of no dimensions.

    Complex numbers, strings, None and longer arrays are a TypeError; a number outside of the bounds, NaN included, or
    outside of float64's range is a ValueError.
    """
    found = value if type(value) is float else _as_float(argument, value, expected)
    if between is not None and not between[0] <= found <= between[1]:
        raise ValueError(f"{argument} must be in [{between[0]:g}, {between[1]:g}], got {found}")
    if above is not None and not found > above:
        raise ValueError(f"{argument} must be above {above:g}, got {found}")
    if least is not None and not found >= least:
        raise ValueError(f"{argument} must be at least {least:g}, got {found}")
    if finite and not -math.inf < found < math.inf:
        raise ValueError(f"{argument} must be finite, got {found}")
    return found


def ordered(lower: float, upper: float) -> tuple[float, float]:
    """The bounds of RReLU's slopes, two finite numbers."""
    if lower > upper:
        raise ValueError(f"lower must not be above upper, got lower={lower} and upper={upper}")
    return lower, upper


def is_number(value: Any) -> bool:
    """Whether a value is a number and no array, of any kind but a tensor."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.ndim == 0
    return not any(hasattr(value, name) for name in ("__array_ufunc__", "__array__", "__array_namespace__"))


def number_or_array(argument: str, value: Any) -> Any:
    """A float of a number (which never changes the result's dtype), an array of anything that is one."""
    if type(value) is float:
        return value
    if type(value) in (int, bool):
        return number(argument, value)
    refuse_tensor(argument, value)
    if isinstance(value, (list, tuple)) or framework_of(value) == "tensorflow":
        value = as_ndarray(argument, value)
    if is_number(value):
        return number(argument, value, expected="a number or an array")
    refuse_non_array(argument, value)
    check_dtype(argument, value)
    return value


def not_a_number(message: str, argument: str, value: Any) -> Exception:
    """The error for an array where only a number is possible."""
    if framework_of(value) is not None:
        return TypeError(f"{message}, got {describe_argument(argument, value)}")
    return ValueError(f"{message}, got an array of shape {shape_of(value)}")


def check_dtype(argument: str, value: Any) -> None:
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind not in "biu" and not _core.supports(dtype):
        hint = ""
        if dtype.kind == "O" and isinstance(value, np.ndarray) and value.size:
            one = value.ravel()[0] if value.size == 1 else next((e for e in value.flat if e is None), None)
            hint = " (an element is None)" if one is None else ""
        raise TypeError(
            f"{argument} has dtype {dtype}, expected {', '.join(_core.DTYPES)}, an integer dtype or bool{hint}"
        )


def refuse_columns(argument: str, value: Any) -> None:
    """A TypeError for a frame or a series of pandas that has something else than numbers."""
    if not hasattr(value, "iloc"):
        return
    dtypes = value.dtypes.items() if value.ndim == 2 else [(value.name, value.dtype)]
    for name, dtype in dtypes:
        if getattr(dtype, "kind", "O") not in "biuf":
            what = f"column {name!r} of" if value.ndim == 2 else ""
            hint = f"; {argument}.select_dtypes('number') leaves it out" if value.ndim == 2 else ""
            raise TypeError(f"{argument} has {what} dtype {dtype}, expected numbers{hint}".replace("  ", " "))


def result_dtype(dtype: Any) -> np.dtype[Any]:
    """A dtype to compute in, of the argument `dtype`."""
    found: np.dtype[Any] | None
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not _core.supports(found):
        given = repr(dtype) if found is None else found
        raise TypeError(f"dtype must be one of {', '.join(_core.DTYPES)}, got {given}")
    return found


# ---------------------------------------------------------------------------------------------- integers and axes


def flag(argument: str, value: Any) -> bool:
    """A bool of True, False, NumPy's bool, or the integer 0 or 1."""
    if isinstance(value, (bool, np.bool)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{argument} must be True or False, got {describe_argument(argument, value)}")


def index(argument: str, value: Any, least: int = 0, below: int | None = 2**64, expected: str = "an integer") -> int:
    """An int of an integer in [least, below); bool is none."""
    if isinstance(value, (bool, np.bool)):
        raise TypeError(f"{argument} must be {expected}, got {type(value).__name__}")
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be {expected}, got {describe_argument(argument, value)}") from None
    if found < least or (below is not None and found >= below):
        size = f"an integer of {found.bit_length()} bits" if found.bit_length() > 128 else found
        if below is None:
            raise ValueError(f"{argument} must be at least {least}, got {size}")
        bound = f"2**{below.bit_length() - 1}" if below > 2**16 and below & (below - 1) == 0 else below
        raise ValueError(f"{argument} must be in [{least}, {bound}), got {size}")
    return found


def axis_index(argument: str, value: Any, ndim: int, expected: str = "an integer") -> int:
    """The position of one axis of an array of ndim dimensions; numpy.exceptions.AxisError where there is no such."""
    if isinstance(value, str):
        raise TypeError(f"{argument} must be {expected}, got str ({value!r}); xarray's arrays alone have named axes")
    found = index(argument, value, -(2**63), 2**63, expected)
    if not -ndim <= found < ndim:
        bounds = f"expected {-ndim} to {ndim - 1}" if ndim else "it has none"
        raise np.exceptions.AxisError(f"{argument} {found} is out of bounds for array of dimension {ndim}: {bounds}")
    return found % ndim


def axis_indices(argument: str, value: Any, ndim: int) -> tuple[int, ...]:
    """The positions of one axis, or of a tuple of axes that are all different."""
    expected = "an integer or a tuple of integers"
    values = value if isinstance(value, (tuple, list)) else (value,)
    found = tuple(axis_index(argument, one, ndim, expected) for one in values)
    if len({*found}) < len(found):
        raise ValueError(f"repeated axis in {argument}={value}")
    return found


# ---------------------------------------------------------------------------------------------- names

# Other libraries' names, and what they are called here.
NAMES = {
    "clip_by_global_norm": "training.clip_grad_norm",
    "clip_by_norm": "training.clip_grad_norm",
    "clip_by_value": "training.clip_grad_value",
    "clip_grad_norm_": "training.clip_grad_norm",
    "clip_grad_value_": "training.clip_grad_value",
    "glorot_normal": "init.xavier_normal",
    "glorot_uniform": "init.xavier_uniform",
    "hard_sigmoid": "hardsigmoid",
    "hard_swish": "hardswish",
    "hard_tanh": "hardtanh",
    "identity": "linear",
    "kaiming_normal": "init.he_normal",
    "kaiming_normal_": "init.he_normal",
    "kaiming_uniform": "init.he_uniform",
    "kaiming_uniform_": "init.he_uniform",
    "calculate_gain": "init.gain",
    "lrelu": "leaky_relu",
    "leakyrelu": "leaky_relu",
    "leaky": "leaky_relu",
    "logsigmoid": "log_sigmoid",
    "none": "linear",
    "relu_6": "relu6",
    "swish": "silu",
    "xavier_normal_": "init.xavier_normal",
    "xavier_uniform_": "init.xavier_uniform",
}

# Words that other libraries use for an argument; the first of a group that a function takes is what it calls it.
_SYNONYMS = [
    ("negative_slope", "alpha", "weight", "slope", "leak", "leakiness", "a"),
    ("p", "rate", "prob", "drop_prob", "dropout", "probability"),
    ("x", "input", "inputs", "features", "z", "a"),
    ("output", "y", "result"),
    ("grad", "dy", "dout", "grad_output", "g", "upstream"),
    ("gg", "grad_grad", "ggrad"),
    ("weight", "weights", "w"),
    ("bias", "b", "biases"),
    ("axis", "dim", "dims", "axes", "channel_axis"),
    ("seed", "rng", "key", "random_state", "generator"),
    ("rng", "seed", "key", "random_state", "generator"),
    ("activation", "act", "nonlinearity"),
    ("negative_slope", "nonlinearity"),
    ("clamp", "conv_clamp", "max"),
    ("mode", "fan", "distribution"),
    ("layout", "data_format"),
    ("max_norm", "clip_norm", "norm"),
    ("clip_value", "value"),
    ("weight_decay", "decay", "l2", "lambda_"),
    ("learning_rate", "lr"),
    ("grads", "parameters", "gradients"),
    ("params", "parameters", "weights"),
]


def similar(name: str, known: Collection[str]) -> str:
    """ "; did you mean ...?" where a known name is meant by another library's name, or is spelled like it; or ""."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    found = NAMES.get(plain, NAMES.get(plain.replace("_", ""), plain)).rpartition(".")[2]
    if found not in known:
        found = next(iter(difflib.get_close_matches(plain, known, 1, 0.75)), "")
    return f"; did you mean {found!r}?" if found else ""


def choice(argument: str, value: Any, known: Collection[str]) -> str:
    """One of the known names."""
    if isinstance(value, str) and value in known:
        return value
    listed = f"{argument} must be one of {', '.join(map(repr, known))}"
    if not isinstance(value, str):
        raise TypeError(f"{listed}, got {describe_argument(argument, value)}")
    raise ValueError(f"{listed}, got {value!r}{similar(value, known)}")


def missing_attribute(module: str, name: str) -> AttributeError:
    """The error for a name that a module of pyleaky lacks, with what another library's name is called here."""
    import pyleaky

    meant = NAMES.get(name, NAMES.get(name.lower(), ""))
    hint = ""
    if meant and meant != "linear":
        where, _, function = meant.rpartition(".")
        is_here = function in (getattr(pyleaky, where) if where else pyleaky).__all__
        hint = (
            f"; here it is pyleaky.{meant}" if is_here else f"; it would be pyleaky.{meant}, which does not exist yet"
        )
    elif not name.startswith("_"):
        for where in ("init", "training", "diagnostics"):
            if name in getattr(pyleaky, where).__all__:
                hint = f"; it is pyleaky.{where}.{name}"
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}", name=name, obj=sys.modules[module])


def explanation(function: Any, keywords: Iterable[str] | None, error: TypeError) -> str | None:
    """A better message for a call with an unknown keyword, or with too many arguments by position; else None."""
    message = str(error)
    if not message.startswith(f"{function.__name__}() "):
        return None
    parameters = inspect.signature(function).parameters
    if "unexpected keyword" in message:
        unknown = next((keyword for keyword in keywords or () if keyword not in parameters), None)
        return None if unknown is None else f"{message}; {_meant(unknown, parameters)}"
    if "positional argument" in message and "at least" not in message and "missing" not in message:
        only = [name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY]
        return f"{message}; keyword-only: {', '.join(only)}" if only else None
    return None


def _meant(keyword: str, parameters: Collection[str]) -> str:
    if keyword == "inplace" and "out" in parameters:
        return "out=x stores the result in x"
    for group in _SYNONYMS:
        if keyword in group and (meant := next((word for word in group if word in parameters), None)):
            return f"did you mean {meant}?"
    close = difflib.get_close_matches(keyword, parameters, 1, 0.7)
    return f"did you mean {close[0]}?" if close else f"expected {', '.join(parameters)}"


def public(function: Callable[P, R]) -> Callable[P, R]:
    """
    A public Python function as _calls.pxd has it for those of Cython: the whole call is in the default floating-point
    environment, and a TypeError for an unknown keyword names the one that is meant.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with _core.default_environment():
                return function(*args, **kwargs)
        except TypeError as error:
            message = explanation(function, kwargs, error)
            if message is None:
                raise
        raise TypeError(message)

    return call


# ---------------------------------------------------------------------------------------------- labels


def refuse_other_labels(argument: str, value: Any, x: Any, axis: Any = None, other: str = "x") -> None:
    """
    A ValueError where pandas labels what is laid along `axis` of x (along the last axes for None) with other labels.

    The functions compute by position, and pandas' arithmetic by label: so both must say the same.
    """
    if not (hasattr(value, "iloc") and hasattr(x, "iloc")):
        return
    axes = range(x.ndim - value.ndim, x.ndim) if axis is None else axis_indices("axis", axis, x.ndim)
    for labels, k in zip(value.axes, axes, strict=False):
        if k >= 0 and len(labels) == x.shape[k] and not labels.equals(x.axes[k]):
            raise ValueError(f"{argument} and {other} have different labels; align them first")


# ---------------------------------------------------------------------------------------------- memory


def extent(array: Any) -> tuple[int, int]:
    """The addresses of the first byte of an array's memory and of the one after its last, on whatever device."""
    if isinstance(array, np.ndarray):
        return _core.extent(array)
    reaches = [(length - 1) * stride for length, stride in zip(array.shape, array.strides, strict=True)]
    low = array.data.ptr + sum(min(reach, 0) for reach in reaches)
    return low, low + sum(map(abs, reaches)) + array.itemsize


def are_apart(a: Any, b: Any) -> bool:
    """Whether two arrays share no memory, by the ranges of their addresses; that one is empty is enough."""
    if not a.size or not b.size:
        return True
    (low, high), (other_low, other_high) = extent(a), extent(b)
    return high <= other_low or other_high <= low


def are_same_or_apart(a: Any, b: Any) -> bool:
    """Whether each element of one array lies where the same element of the other lies, or they share no memory."""
    if a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype and extent(a) == extent(b):
        return True
    return are_apart(a, b)


class _Layout(NamedTuple):
    """Where the elements of an array lie: from `low` on, `count` times every `step`, runs of `width` bytes."""

    place: int
    low: int
    high: int
    axes: tuple[tuple[int, int], ...]  # (step, count), steps above 0, the smallest first
    width: int


def _layout(place: int, array: Any) -> _Layout:
    width: int = array.itemsize
    axes: list[tuple[int, int]] = []
    for step, count in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if count == 1 or step == 0:
            continue
        if not axes and step == width:
            width *= count
        elif axes and step == axes[-1][0] * axes[-1][1]:
            axes[-1] = axes[-1][0], axes[-1][1] * count
        else:
            axes.append((step, count))
    return _Layout(place, *extent(array), tuple(axes), width)


def clusters(spans: Iterable[tuple[int, int, Any]]) -> list[list[Any]]:
    """The items of (low, high, item), split where no span [low, high) reaches over."""
    found: list[list[Any]] = []
    end = -math.inf
    for low, high, item in sorted(spans, key=operator.itemgetter(0)):
        if low >= end:
            found.append([])
        found[-1].append(item)
        end = max(end, high)
    return found


def _fold(layouts: list[_Layout]) -> list[tuple[_Layout, int, int]] | None:
    """
    For each array what it has in every row of a grid, its first row, and the one after its last.

    The rows are as long as the largest step.  None where no such grid has each array's part within a row.
    """
    period = max(layout.axes[-1][0] for layout in layouts if layout.axes)
    parts = []
    for place, low, high, axes, width in layouts:
        count = 1
        if axes and axes[-1][0] == period:
            count, axes = axes[-1][1], axes[:-1]
        elif axes and period % axes[-1][0] == 0 == axes[-1][1] % (period // axes[-1][0]):  # rows without gaps
            inside = period // axes[-1][0]
            count, axes = axes[-1][1] // inside, (*axes[:-1], (axes[-1][0], inside))
        size = high - low - period * (count - 1)
        if size > period:
            return None
        parts.append((low % period, size, count, place, low, axes, width))
    # A row may start at a residue that lies inside of no part; the last part may reach around the end.
    parts.sort()
    reached = max(residue + size for residue, size, *_ in parts) - period
    for origin, size, *_ in parts:
        if reached <= origin:
            break
        reached = max(reached, origin + size)
    else:
        return None
    folded = []
    for _, size, count, place, low, axes, width in parts:
        row, start = divmod(low - origin, period)
        folded.append((_Layout(place, start, start + size, axes, width), row, row + count))
    return folded


def _shared_in_pairs(layouts: list[_Layout]) -> tuple[int, int] | None:
    """By comparing every pair exactly: NumPy compares addresses, and reads no memory."""
    work: Any = 10**6  # NumPy's stubs know two constants only
    arrays = []
    for layout in layouts:
        steps, counts = zip(*layout.axes, (1, layout.width), strict=True)
        interface = {"data": (layout.low + 2**32, True), "shape": counts, "strides": steps, "typestr": "|u1"}
        arrays.append(np.asarray(SimpleNamespace(__array_interface__=interface | {"version": 3})))
    for (a, one), (b, other) in itertools.combinations(zip(layouts, arrays, strict=True), 2):
        if a.low < b.high and b.low < a.high:
            try:
                is_shared = np.shares_memory(one, other, max_work=work)
            except np.exceptions.TooHardError:
                is_shared = True
            if is_shared:
                return a.place, b.place
    return None


def _find_shared(layouts: list[_Layout]) -> tuple[int, int] | None:
    for cluster in clusters((layout.low, layout.high, layout) for layout in layouts):
        found = _shared_in_cluster(cluster) if len(cluster) > 1 else None
        if found is not None:
            return found
    return None


def _shared_in_cluster(layouts: list[_Layout]) -> tuple[int, int] | None:
    if not any(layout.axes for layout in layouts):
        return layouts[0].place, layouts[1].place
    folded = _fold(layouts)
    if folded is None:
        return _shared_in_pairs(layouts)
    whole = {layout.place: layout for layout in layouts}
    for column in clusters((one[0].low, one[0].high, one) for one in folded):
        for block in clusters((one[1], one[2], one) for one in column):
            if len(block) == 1:
                continue
            if len(block) < len(layouts):
                found = _shared_in_cluster([whole[part.place] for part, _, _ in block])
            else:
                found = _find_shared([part for part, _, _ in block])
                if found is not None and max(one[1] for one in block) >= min(one[2] for one in block):
                    found = _shared_in_pairs(layouts)  # not all arrays have a row in common
            if found is not None:
                return found
    return None


def find_shared(arrays: Sequence[Any]) -> tuple[int, int] | None:
    """
    The places of two arrays that share memory, the first and the second, or None.

    Arrays that lie in between each other, as the columns of a matrix do, are not compared pair by pair: the rows that
    they have in common are dropped, and what is left of each is sorted.
    """
    extents = sorted((*extent(array), place) for place, array in enumerate(arrays) if array.size)
    if all(one[1] <= other[0] for one, other in itertools.pairwise(extents)):
        return None
    found = _find_shared([_layout(place, arrays[place]) for _, _, place in extents])
    return None if found is None else (min(found), max(found))


def overlaps_itself(array: Any) -> bool:
    """Whether two elements of an array share memory, as those of a broadcast array do."""
    if array.flags.c_contiguous or array.flags.f_contiguous or array.size < 2:
        return False
    axes = sorted((abs(step), count) for step, count in zip(array.strides, array.shape, strict=True) if count > 1)
    reach: int = array.itemsize
    for step, count in axes:
        if step < reach:
            break
        reach += step * (count - 1)
    else:
        return False
    low, high = extent(array)
    if axes[0][0] == 0 or high - low < array.size * array.itemsize:
        return True
    places = np.zeros(1, np.int64)
    for step, count in axes:
        places = np.add.outer(places, step * np.arange(count)).reshape(-1)
    return bool((np.diff(np.sort(places)) < array.itemsize).any())
