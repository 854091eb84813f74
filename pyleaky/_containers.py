"""What wraps an array: xarray's labels, pandas' index, a mask, a subclass of ndarray.

pandas, masked arrays and subclasses go through the rows' ufuncs by NumPy's protocol and come here for the other
functions only, which take the wrapping off (`unwrap`) and put it on again.  xarray's rows come here too (`call`), since
what it wraps may be an array of Dask, CuPy or another namespace.  Imported once such an argument arrives.
"""

# xarray and pandas may not be installed, so their objects are Any, of which isinstance leaves unknown types.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core, _functions

Operands = list[tuple[str, Any]]


def call(name: str, operands: Operands, out: Any = None, where: Any = True, dtype: Any = None) -> Any:
    """Run a row on xarray's objects, aligned and broadcast by the names of their dimensions as its arithmetic does."""
    xarray: Any = sys.modules["xarray"]
    if out is not None:
        raise TypeError("out cannot be combined with xarray's objects, which it may not be either")
    row = _core.ROWS[name]
    arrays = operands[: len(row.inputs) - row.parameters]
    labelled = [(argument, value) for argument, value in arrays if isinstance(value, xarray.DataArray)]
    for argument, value in labelled[1:]:
        _check_dimensions(argument, value, *labelled[0])
    options = xarray.get_options()
    return xarray.apply_ufunc(
        functools.partial(_run, name, [argument for argument, _ in operands], where, dtype),
        *(value for _, value in operands),
        join=options["arithmetic_join"],
        dataset_join=options["arithmetic_join"],
        dataset_fill_value=np.nan,
        dask="allowed",
        keep_attrs=options["keep_attrs"] is not False,
    )


def _run(name: str, arguments: list[str], where: Any, dtype: Any, *values: Any) -> Any:
    operands = list(zip(arguments, values, strict=True))
    return _functions._call(name, operands, None, getattr(where, "data", where), dtype)


def by_position(weight: Any, x: Any, axis: Any) -> tuple[Any, Any, Any]:
    """A weight without labels, x, and the positions of x's dimensions that `axis` or the weight's own labels name."""
    xarray: Any = sys.modules["xarray"]
    if isinstance(x, xarray.Dataset) and axis is None and np.ndim(weight) == 0:
        return weight, x, axis
    _refuse_datasets([("weight", weight), ("x", x)])
    if not isinstance(x, xarray.DataArray):
        return weight.data, x, axis
    names = list(x.dims)
    given = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    if any(isinstance(name, str) for name in given):
        for name in given:
            if isinstance(name, str) and name not in names:
                raise ValueError(f"axis names dimension {name!r}, x has {_names(x)}")
        given = tuple(names.index(name) if isinstance(name, str) else name for name in given)
        axis = given if isinstance(axis, tuple) else given[0]
    if not isinstance(weight, xarray.DataArray):
        return weight, x, axis
    for name in weight.dims:
        if name not in names:
            raise ValueError(f"the weight or bias has dimension {name!r}, x has {_names(x)}")
    xarray.align(x, weight, join="exact", copy=False)
    return weight.data, x, tuple(names.index(name) for name in weight.dims)


def _refuse_datasets(operands: Operands) -> None:
    for argument, value in operands:
        if hasattr(value, "data_vars"):
            raise TypeError(f"{argument} is an xarray.Dataset; call the function for each of its variables")


def unwrap(operands: Operands) -> tuple[Operands, Callable[[Any], Any] | None]:
    """The arrays inside, and what wraps a result of the same shape like them (None where nothing was wrapped)."""
    _refuse_datasets(operands)
    xarray = getattr(sys.modules.get("xarray"), "DataArray", ())
    pandas: Any = sys.modules.get("pandas")
    for kind, unwrapped in (
        (xarray, _unwrap_xarray),
        ((pandas.Series, pandas.DataFrame) if pandas else (), _unwrap_pandas),
        (np.ma.MaskedArray, _unwrap_masked),
    ):
        wrapped = [operand for operand in operands if isinstance(operand[1], kind)]
        if wrapped:
            return unwrapped(operands, wrapped)
    return _unwrap_subclass(operands)


def _unwrap_xarray(operands: Operands, wrapped: Operands) -> tuple[Operands, Callable[[Any], Any]]:
    # The array that the forward function got has the order of the dimensions.
    first, like = next((operand for operand in wrapped if operand[0] in ("x", "output")), wrapped[0])
    for argument, value in wrapped:
        _check_dimensions(argument, value, first, like)
    sys.modules["xarray"].align(*(value for _, value in wrapped), join="exact", copy=False)
    plain = [
        (argument, value.transpose(*like.dims).data if isinstance(value, type(like)) else value)
        for argument, value in operands
    ]
    return plain, lambda result: like.copy(data=result)


def _check_dimensions(argument: str, value: Any, first: str, like: Any) -> None:
    if set(value.dims) != set(like.dims):
        raise ValueError(f"{argument} has dimensions {_names(value)}, {first} has {_names(like)}; they must be equal")


def _names(value: Any) -> str:
    return ", ".join(map(repr, value.dims)) or "none"


def _unwrap_pandas(operands: Operands, wrapped: Operands) -> tuple[Operands, Callable[[Any], Any]]:
    first, like = wrapped[0]
    labels = ("index", "columns") if like.ndim == 2 else ("index",)
    for argument, value in wrapped:
        if type(value) is not type(like) or not all(getattr(value, k).equals(getattr(like, k)) for k in labels):
            raise ValueError(f"{argument} and {first} have different labels; align them first")
    plain = [(argument, _values(value) if hasattr(value, "iloc") else value) for argument, value in operands]

    def wrap(result: Any) -> Any:
        options = {label: getattr(like, label) for label in labels}
        if like.ndim == 1:
            options["name"] = like.name
            if not isinstance(like.dtype, np.dtype):  # one of pandas' own, whose missing values are NaN here
                options["dtype"] = result.dtype.name.capitalize()
        return type(like)(result, **options)

    return plain, wrap


def _values(value: Any) -> Any:
    if value.ndim == 2 or isinstance(value.dtype, np.dtype):
        return value.to_numpy()
    dtype = getattr(value.dtype, "numpy_dtype", np.dtype(object))
    if dtype.kind not in "biuf":
        return value.to_numpy()
    return value.to_numpy(dtype if dtype.kind == "f" else np.float64, na_value=np.nan)


def _unwrap_masked(operands: Operands, wrapped: Operands) -> tuple[Operands, Callable[[Any], Any]]:
    """What is masked is 0 in every array, so that it adds nothing to a sum either."""
    mask = np.logical_or.reduce([np.ma.getmaskarray(value) for _, value in wrapped])
    like = wrapped[0][1]
    plain = []
    for argument, value in operands:
        if isinstance(value, (np.ndarray, list)):
            array = np.array(np.ma.getdata(value), subok=False)
            if array.shape == np.shape(mask):
                array[mask] = 0
            value = array
        plain.append((argument, value))

    def wrap(result: Any) -> Any:
        return type(like)(result, mask=np.ma.getmask(like) if len(wrapped) == 1 else mask)

    return plain, wrap


def _unwrap_subclass(operands: Operands) -> tuple[Operands, Callable[[Any], Any] | None]:
    plain, like = [], None
    for argument, value in operands:
        if isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap):
            like = value if like is None else like
            value = value.view(np.ndarray)
        plain.append((argument, value))
    return plain, None if like is None else like.__array_wrap__
