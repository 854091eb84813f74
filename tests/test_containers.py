"""A container of another library comes out as the type that numpy.exp would give, tested with the real packages."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from arrays import DTYPES, HALVES, assert_same_bits

import pyleaky

VALUES = [[-2.0, 0.0, 3.0], [4.0, -5.0, np.nan]]

FUNCTIONS = {
    "relu": pyleaky.relu,
    "leaky_relu": lambda x: pyleaky.leaky_relu(x, 0.1),
    "prelu": lambda x: pyleaky.prelu(x, 0.1),
    "relu_backward": lambda x: pyleaky.relu_backward(x, x),
    "relu_backward_output": lambda x: pyleaky.relu_backward(x, output=x),
    "leaky_relu_backward": lambda x: pyleaky.leaky_relu_backward(x, x, 0.1),
    "leaky_relu_backward_output": lambda x: pyleaky.leaky_relu_backward(x, output=x, negative_slope=0.1),
    "prelu_backward": lambda x: pyleaky.prelu_backward(x, x, 0.1)[0],
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
every_dtype = pytest.mark.parametrize("dtype", [*DTYPES, np.int8], ids=lambda dtype: dtype.__name__)


class Labelled(np.ndarray):
    """A subclass with an attribute that NumPy's protocol carries along."""

    label = None

    def __array_finalize__(self, parent):
        self.label = getattr(parent, "label", None)


def values(dtype):
    return np.nan_to_num(np.array(VALUES)).astype(dtype)


@every_function
def test_lists_tuples_and_scalars(function):
    for given in (VALUES, tuple(map(tuple, VALUES)), [1, -2], [], [[]], -2.5, 3, True):
        result = function(given)
        assert type(result) is type(np.exp(np.asarray(given, np.float64)))
        assert_same_bits(np.asarray(result), np.asarray(function(np.array(given, np.float64))))


@every_dtype
@every_function
def test_subclasses_and_matrices(function, dtype):
    x = values(dtype).view(Labelled)
    x.label = "kept"
    result = function(x)
    assert type(result) is Labelled
    assert result.label == "kept"
    assert_same_bits(result.view(np.ndarray), function(values(dtype)))


@every_dtype
@every_function
def test_masked_arrays(function, dtype):
    x = np.ma.masked_array(values(dtype), [[True, False, False], [False, True, False]])
    result = function(x)
    assert type(result) is np.ma.MaskedArray
    np.testing.assert_array_equal(result.mask, x.mask)
    assert_same_bits(result.compressed(), function(x.compressed()))


@every_dtype
@every_function
def test_pandas_series(function, dtype):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    x = pd.Series(values(dtype)[0], index=["a", "b", "c"], name="layer")
    result = function(x)
    assert type(result) is pd.Series
    pd.testing.assert_index_equal(result.index, x.index)
    assert result.name == "layer"
    assert_same_bits(result.to_numpy(), function(values(dtype)[0]))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "prelu"])
def test_pandas_frames_and_nullable_dtypes(name):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    for dtypes in (["f2", "f2"], ["f4", "f4"], ["f8", "f8"], ["i1", "i1"], ["f2", "f4"]):
        frame = pd.DataFrame({"a": np.array([-1, 2], dtypes[0]), "b": np.array([-3, 4], dtypes[1])}, index=["u", "v"])
        result = FUNCTIONS[name](frame)
        pd.testing.assert_index_equal(result.index, frame.index)
        pd.testing.assert_index_equal(result.columns, frame.columns)
        assert_same_bits(result.to_numpy(), FUNCTIONS[name](frame.to_numpy()))
    nullable = pd.Series([-2, None, 3], dtype="Int8")
    result = FUNCTIONS[name](nullable)
    assert result.dtype == "Float64"
    assert result.isna().tolist() == [False, True, False]
    assert result[0] == FUNCTIONS[name](-2.0)
    for letter in ("Float32", "Float64"):
        nullable = pd.Series([-2, None, 3], dtype=letter)
        result = FUNCTIONS[name](nullable)
        assert result.dtype == letter
        assert result.isna().tolist() == [False, True, False]
        assert result[0] == FUNCTIONS[name](np.array(-2, letter.lower()))


@every_dtype
@every_function
def test_xarray(function, dtype):
    xr = pytest.importorskip("xarray", reason="xarray is not installed")
    x = xr.DataArray(values(dtype), dims=("batch", "unit"), coords={"unit": [10, 20, 30]}, name="layer")
    result = function(x)
    assert type(result) is xr.DataArray
    assert result.dims == x.dims
    assert result.coords["unit"].to_numpy().tolist() == [10, 20, 30]
    assert_same_bits(result.to_numpy(), function(values(dtype)))


@every_dtype
@every_function
def test_dask_stays_lazy(function, dtype):
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    x = da.from_array(values(dtype), chunks=(1, 2))
    result = function(x)
    expected = function(values(dtype))
    assert type(result) is da.Array
    assert result.chunks == x.chunks
    assert result.dtype == expected.dtype
    assert_same_bits(result.compute(), expected)


def test_dask_and_xarray_weights():
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    rng = np.random.default_rng(0)
    x, grad, weight = rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 3, 5)), rng.normal(size=3)
    lazy_x, lazy_grad = da.from_array(x, chunks=2), da.from_array(grad, chunks=2)
    expected = pyleaky.prelu_backward(grad, x, weight, axis=1)
    result = pyleaky.prelu_backward(lazy_grad, lazy_x, weight, axis=1)
    assert all(type(part) is da.Array for part in result)
    np.testing.assert_array_equal(result[0].compute(), expected[0])
    np.testing.assert_allclose(result[1].compute(), expected[1], rtol=1e-14)
    unknown = lazy_x[lazy_x > -10]  # chunks of unknown length
    assert_same_bits(np.sort(pyleaky.relu_backward(unknown, unknown).compute()), np.sort(np.maximum(x.ravel(), 0)))


def test_other_dtypes_of_ml_dtypes_are_refused():
    for dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4):
        x = np.zeros(3, dtype)
        with pytest.raises(
            TypeError, match=f"x has dtype {np.dtype(dtype)}, expected float16, bfloat16, float32, float64"
        ):
            pyleaky.leaky_relu(x)
        np.testing.assert_array_equal(pyleaky.leaky_relu(np.array([-2.0]), np.ones((), dtype)), [-2.0])


ML_DTYPES_LAST = """
import numpy as np
import pyleaky
x = np.array([-2.0, 3.0], np.float32)
for function in (pyleaky.relu, pyleaky.leaky_relu, pyleaky.elu):
    function(x), function(x[::-1]), function([-1.0]), function(np.float16(1))
assert "ml_dtypes" not in __import__("sys").modules
import ml_dtypes
x = np.array([-2.0, 3.0, 4.0], ml_dtypes.bfloat16)
for function in (pyleaky.relu, pyleaky.leaky_relu, pyleaky.elu, pyleaky.selu):
    for given in (x[::2], x, x[0], np.ma.array(x)):
        assert function(given).dtype == x.dtype, (function, given)
print(pyleaky.leaky_relu(x, 0.5))
"""


def test_ml_dtypes_imported_after_the_first_calls():
    result = subprocess.run([sys.executable, "-c", ML_DTYPES_LAST], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "[-1 3 4]\n"), result.stderr


@pytest.mark.parametrize("dtype", HALVES)
def test_half_types_beside_others(dtype):
    half, x = np.array([-2.0, 3.0], dtype), np.array([-0.3, 3.0], dtype)
    other = HALVES[1 - HALVES.index(dtype)]
    assert pyleaky.leaky_relu_backward(half, x.astype(np.float32)).dtype == np.float32
    assert pyleaky.leaky_relu_backward(half, x.astype(np.float64)).dtype == np.float64
    assert pyleaky.leaky_relu_backward(half, x.astype(other)).dtype == np.float32
    assert pyleaky.leaky_relu_backward(half, x.astype(np.int8)).dtype == dtype
    assert pyleaky.leaky_relu_backward(half, x.astype(np.int64)).dtype == np.float64
    assert pyleaky.leaky_relu(x, half).dtype == dtype
    assert pyleaky.leaky_relu(x, half.astype(np.float32)).dtype == np.float32
    dx, dweight = pyleaky.prelu_backward(x, x, half)
    assert dx.dtype == dweight.dtype == dtype


@pytest.mark.parametrize("dtype", HALVES)
def test_a_number_is_not_rounded_to_a_half_type(dtype):
    x = np.array([-3.0, 2.0, -0.7], dtype)
    number = float(np.float32(0.3))
    assert float(dtype(number)) != number
    exact = (np.float32(number) * x.astype(np.float32)).astype(dtype)
    for given in (0.3, np.float64(0.3), np.float32(0.3), np.array(0.3)):
        for result in (pyleaky.leaky_relu(x, given), pyleaky.leaky_relu(x[::-1], given)[::-1], pyleaky.prelu(x, given)):
            assert_same_bits(np.where(x > 0, exact, result), exact)


def test_float16_as_dtype():
    x = np.array([-3.0, 2.0], np.float32)
    for result in (pyleaky.leaky_relu(x, 0.3, dtype=np.float16), pyleaky.leaky_relu(x.astype(int), 0.3, dtype="f2")):
        assert_same_bits(result, pyleaky.leaky_relu(x.astype(np.float16), 0.3))
