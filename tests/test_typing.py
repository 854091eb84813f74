"""The types that the stubs promise: mypy on typing_cases.py, and the same lines run, so that a promise is also kept."""

import inspect
import re
import typing
from pathlib import Path

import numpy as np
import pytest
import typing_cases

import pyleaky

CASES = Path(typing_cases.__file__)
PARTS = [
    function
    for function in vars(typing_cases).values()
    if inspect.isfunction(function)
    and function.__module__ == "typing_cases"
    and function is not typing_cases.out
    and not inspect.signature(function).parameters
]


def assert_is(value, type_):
    """That the value is of the type, its dtype included."""
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if hasattr(origin, "__value__"):  # of a `type` statement, as NumPy 2.5 has one for NDArray
        assert_is(value, origin.__value__[args])
        return
    if type_ is typing.Any:
        return
    if origin is tuple:
        assert isinstance(value, tuple)
        assert len(value) == len(args)
        for one, arg in zip(value, args, strict=True):
            assert_is(one, arg)
    elif origin is not None and issubclass(origin, np.ndarray):
        assert type(value) is origin
        assert value.dtype == typing.get_args(args[1])[0]
    else:
        assert type(value) is (type(None) if type_ is None else origin or type_)


def refuse(call):
    with pytest.raises(TypeError):
        call()


@pytest.fixture
def run(monkeypatch):
    """Runs a part of the cases, in which every type that is claimed is looked at."""
    asserted = []

    def assert_type(value, type_):
        assert_is(value, type_)
        asserted.append(type_)

    monkeypatch.setattr(typing_cases, "assert_type", assert_type)
    monkeypatch.setattr(typing_cases, "refuse", lambda call: asserted.append(refuse(call)))

    def run(part, *arrays):
        part(*arrays)
        assert asserted

    return run


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_what_is_returned_is_what_the_stubs_say(part, run):
    run(part)


def test_dask_arrays(run, monkeypatch):
    dask = pytest.importorskip("dask.array", reason="Dask is not installed")
    monkeypatch.setattr(typing_cases, "da", dask, raising=False)
    run(typing_cases.dask_arrays, dask.from_array(typing_cases.F4))


def test_labelled_arrays(run, monkeypatch):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    monkeypatch.setattr(typing_cases, "xr", xarray, raising=False)
    run(typing_cases.labelled_arrays, xarray.DataArray(typing_cases.F4, dims=("sample", "channel")))


def test_device_arrays(run, monkeypatch, cupy):
    monkeypatch.setattr(typing_cases, "Device", cupy.ndarray)
    run(typing_cases.device_arrays, cupy.asarray(typing_cases.F4))


def test_every_public_function_has_its_types_checked():
    checked = set(re.findall(r"pyleaky\.(\w+)", CASES.read_text()))
    assert set(pyleaky.__all__) - checked == {"plot_activations"}


def test_mypy():
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    pytest.importorskip("dask.array", reason="Dask is not installed")
    pytest.importorskip("xarray", reason="xarray is not installed")
    settings = CASES.parents[1] / "pyproject.toml"
    if not (settings.parent / "Makefile").exists():
        pytest.skip("not in the source tree")
    report, errors, status = api.run(["--config-file", str(settings), str(CASES)])
    assert (status, errors) == (0, ""), report
