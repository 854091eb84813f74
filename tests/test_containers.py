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


# ---------------------------------------------------------------------------------------------- what is no ufunc

SHAPE = (4, 3, 5)
# Of x, grad and a weight or bias for axis 1: one result with x's shape each, or the sums behind it.
FUSED = {
    "prelu": lambda x, grad, w: pyleaky.prelu(x, w, axis=1),
    "prelu_backward": lambda x, grad, w: pyleaky.prelu_backward(grad, x, w, axis=1),
    "dropout": lambda x, grad, w: pyleaky.dropout(x, 0.4, seed=1),
    "dropout-evaluation": lambda x, grad, w: pyleaky.dropout(x, 0.4, training=False),
    "dropout_backward": lambda x, grad, w: pyleaky.dropout_backward(grad, 0.4, seed=1),
    "rrelu": lambda x, grad, w: pyleaky.rrelu(x, seed=1),
    "rrelu-evaluation": lambda x, grad, w: pyleaky.rrelu(x, training=False),
    "rrelu_backward": lambda x, grad, w: pyleaky.rrelu_backward(grad, x, seed=1),
    "bias_act": lambda x, grad, w: pyleaky.bias_act(x, w, clamp=1.5, activation="leaky_relu"),
    "bias_act_backward": lambda x, grad, w: pyleaky.bias_act_backward(grad, x, w, clamp=1.5, activation="leaky_relu"),
    "bias_act_backward-output": lambda x, grad, w: pyleaky.bias_act_backward(
        grad, output=x, bias=w, activation="leaky_relu"
    ),
    "bias_act_double_backward": lambda x, grad, w: pyleaky.bias_act_double_backward(x, grad, x, w, activation="elu"),
}
WITHOUT_AXIS = ("dropout", "dropout-evaluation", "dropout_backward", "rrelu", "rrelu-evaluation", "rrelu_backward")
every_fused = pytest.mark.parametrize("call", FUSED.values(), ids=FUSED)


def operands(dtype=np.float32):
    rng = np.random.default_rng(0)
    return (*(rng.normal(size=SHAPE).astype(dtype) for _ in range(2)), rng.normal(size=3).astype(dtype))


def pairs(expected, actual):
    if not isinstance(expected, tuple):
        expected, actual = (expected,), (actual,)
    return list(zip(expected, actual, strict=True))


@every_dtype
@every_fused
def test_fused_subclasses(call, dtype):
    x, grad, w = operands(dtype)
    labelled = x.view(Labelled)
    labelled.label = "kept"
    for wanted, got in pairs(call(x, grad, w), call(labelled, grad.view(Labelled), w)):
        if np.shape(wanted) == SHAPE:
            assert type(got) is Labelled
        assert_same_bits(np.asarray(got), wanted)
    result = pyleaky.dropout(labelled, seed=1)
    assert result.label == "kept"


@every_dtype
@every_fused
def test_fused_masked_arrays(call, dtype):
    x, grad, w = operands(dtype)
    mask = np.random.default_rng(1).random(SHAPE) < 0.3
    masked, masked_grad = np.ma.masked_array(x, mask), np.ma.masked_array(grad, mask)
    masked.data[mask] = 100 if dtype is np.int8 else np.nan  # must not reach a sum
    results = pairs(call(np.where(mask, 0, x), np.where(mask, 0, grad), w), call(masked, masked_grad, w))
    for wanted, got in results:
        if np.shape(wanted) == SHAPE:
            assert type(got) is np.ma.MaskedArray
            np.testing.assert_array_equal(got.mask, mask)
            assert_same_bits(got.data[~mask], wanted[~mask])
        else:
            np.testing.assert_allclose(got.astype(float), wanted.astype(float), rtol=1e-6)
    assert not (abs(masked.data[mask].astype(float)) < 100).any()


@every_dtype
@pytest.mark.parametrize("name", WITHOUT_AXIS)
def test_fused_pandas(name, dtype):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    call = FUSED[name]
    x, grad, _ = operands(dtype)
    series = [pd.Series(a[:, 0, 0], index=list("abcd"), name="layer") for a in (x, grad)]
    for wanted, got in pairs(call(x[:, 0, 0], grad[:, 0, 0], None), call(*series, None)):
        assert type(got) is pd.Series
        assert got.name == "layer"
        assert got.index.tolist() == list("abcd")
        assert_same_bits(got.to_numpy(), wanted)
    frames = [pd.DataFrame(a[:, 0], index=list("abcd"), columns=list("uvwxy")) for a in (x, grad)]
    for wanted, got in pairs(call(x[:, 0], grad[:, 0], None), call(*frames, None)):
        assert type(got) is pd.DataFrame
        assert got.index.tolist() == list("abcd")
        assert got.columns.tolist() == list("uvwxy")
        assert_same_bits(got.to_numpy(), wanted)


def test_fused_pandas_beside_a_list():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    x, grad = np.array([-2.0, 0.0, 3.0]), [1.0, 2.0, 3.0]
    result = pyleaky.rrelu_backward(grad, pd.Series(x, index=[5, 6, 7]), seed=1)
    pd.testing.assert_series_equal(result, pd.Series(pyleaky.rrelu_backward(grad, x, seed=1), index=[5, 6, 7]))


def test_fused_pandas_of_other_dtypes():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    nullable = pd.Series([-2.0, None, 3.0], dtype="Float32", index=list("abc"))
    result = pyleaky.dropout(nullable, 0.0, seed=1)
    assert result.dtype == "Float32"
    assert result.isna().tolist() == [False, True, False]
    assert result["a"] == -2
    assert pyleaky.dropout(pd.Series([-2, None, 3], dtype="Int8"), 0.0, seed=1).dtype == "Float64"
    frame = pd.DataFrame({"a": np.float16([-1, 2]), "b": np.float32([-3, 4])})
    assert (pyleaky.rrelu(frame, seed=1).dtypes == np.float32).all()
    bias = pd.DataFrame(np.ones((2, 3), np.float32), columns=list("uvw"))
    dx, dbias = pyleaky.bias_act_backward(
        bias, bias, pd.Series([0.5, 1, 2], index=list("uvw"), dtype=np.float32), activation="leaky_relu"
    )
    assert type(dx) is pd.DataFrame
    assert type(dbias) is pd.Series
    assert dbias.index.tolist() == list("uvw")
    with pytest.raises(ValueError, match=r"x and grad have different labels"):
        pyleaky.rrelu_backward(nullable[::-1], nullable, seed=1)
    with pytest.raises(TypeError, match="x has dtype object, expected"):
        pyleaky.dropout(pd.Series(["text"], dtype=object), seed=1)


# ---------------------------------------------------------------------------------------------- xarray


def data_arrays(dtype=np.float32, make=lambda array: array):
    xr = pytest.importorskip("xarray", reason="xarray is not installed")
    x, grad, w = operands(dtype)
    dims, coords = ("batch", "channel", "pixel"), {"channel": ["r", "g", "b"]}
    x, grad = (xr.DataArray(make(a), coords, dims, "layer", {"unit": "mV"}) for a in (x, grad))
    return x, grad, xr.DataArray(make(w), coords, ("channel",), "weight")


def on_host(array):
    array = array.compute() if hasattr(array, "dask") else array
    return array.get() if hasattr(array, "get") else np.asarray(array)


KINDS = {
    "NumPy": lambda request: lambda array: array,
    "Dask": lambda request: lambda array: __import__("dask.array").array.from_array(array, 2),
    "JAX": lambda request: pytest.importorskip("jax", reason="JAX is not installed").numpy.asarray,
    "CuPy": lambda request: request.getfixturevalue("cupy").asarray,
}


@every_fused
@pytest.mark.parametrize("kind", KINDS)
def test_fused_xarray(request, kind, call):
    pytest.importorskip("dask.array", reason="Dask is not installed")
    make = KINDS[kind](request)
    x, grad, w = data_arrays(make=make)
    exact = kind in ("NumPy", "Dask")
    for weight in (w, w.data):
        for wanted, got in pairs(call(*operands()), call(x, grad, weight)):
            if np.shape(wanted) == SHAPE:
                assert type(got) is type(x)
                assert got.dims == x.dims
                assert got.name == "layer"
                assert got.attrs == {"unit": "mV"}
                assert got.coords["channel"].to_numpy().tolist() == ["r", "g", "b"]
                assert type(got.data) is type(x.data)
            elif weight is w:
                assert got.dims == ("channel",)
                assert got.name == "weight"
            values = on_host(got.data if type(got) is type(x) else got)
            assert values.dtype == wanted.dtype
            if exact and np.shape(wanted) == SHAPE:
                assert_same_bits(values, wanted)
            else:
                np.testing.assert_allclose(values, wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_xarray_on_any_array(request, kind):
    pytest.importorskip("dask.array", reason="Dask is not installed")
    x, grad, w = data_arrays(make=KINDS[kind](request))
    for call in (
        lambda x, grad, w: pyleaky.relu(x),
        lambda x, grad, w: pyleaky.leaky_relu(x, w),
        lambda x, grad, w: pyleaky.leaky_relu_backward(grad, x, 0.3),
        lambda x, grad, w: pyleaky.selu_double_backward(grad, grad, x),
    ):
        plain = [operands()[0], operands()[1], operands()[2][:, None]]
        for wanted, got in pairs(call(*plain), call(x, grad, w)):
            assert type(got.data) is type(x.data)
            assert got.attrs == {"unit": "mV"}
            np.testing.assert_allclose(on_host(got.data), wanted, rtol=2e-6)


def test_dimensions_by_name():
    x, grad, w = data_arrays()
    plain_x, plain_grad, plain_w = operands()
    for axis in ("channel", 1, -2):
        np.testing.assert_array_equal(pyleaky.prelu(x, plain_w, axis=axis), pyleaky.prelu(plain_x, plain_w, axis=1))
        np.testing.assert_array_equal(
            pyleaky.prelu_backward(grad, x, plain_w, axis=axis)[1],
            pyleaky.prelu_backward(plain_grad, plain_x, plain_w, axis=1)[1],
        )
        np.testing.assert_array_equal(
            pyleaky.bias_act(x, plain_w, axis=axis, activation="leaky_relu"),
            pyleaky.bias_act(plain_x, plain_w, activation="leaky_relu"),
        )
        dbias = pyleaky.bias_act_backward(grad, x, plain_w, axis=axis, activation="leaky_relu")[1]
        assert type(dbias) is np.ndarray
        np.testing.assert_array_equal(
            dbias, pyleaky.bias_act_backward(plain_grad, plain_x, plain_w, activation="leaky_relu")[1]
        )
    # The weight's own dimension counts, wherever x has it, and the order of grad's dimensions does not.
    turned = x.transpose("pixel", "channel", "batch")
    np.testing.assert_array_equal(
        pyleaky.bias_act(turned, w, activation="leaky_relu").transpose(*x.dims),
        pyleaky.bias_act(x, w, activation="leaky_relu"),
    )
    np.testing.assert_array_equal(pyleaky.prelu(turned, w).transpose(*x.dims), pyleaky.prelu(x, w))
    for call in (
        lambda grad: pyleaky.prelu_backward(grad, x, w)[0],
        lambda grad: pyleaky.bias_act_backward(grad, x, w, activation="leaky_relu")[0],
        lambda grad: pyleaky.rrelu_backward(grad, x, seed=1),
        lambda grad: pyleaky.leaky_relu_backward(grad, x).transpose(*x.dims),
    ):
        result = call(grad.transpose("pixel", "channel", "batch"))
        assert result.dims == x.dims
        np.testing.assert_array_equal(result, call(grad))
    two = w * x[0, 0].rename(None)
    np.testing.assert_array_equal(
        pyleaky.prelu_backward(grad, x, two)[1],
        pyleaky.prelu_backward(plain_grad, plain_x, two.to_numpy(), axis=(1, 2))[1],
    )


def test_datasets_go_variable_by_variable():
    x, _, w = data_arrays()
    dataset = x.to_dataset(name="a").assign(b=w)
    result = pyleaky.leaky_relu(dataset, 0.3)
    assert type(result) is type(dataset)
    np.testing.assert_array_equal(result.a, pyleaky.leaky_relu(x, 0.3))
    np.testing.assert_array_equal(result.b, pyleaky.leaky_relu(w, 0.3))
    np.testing.assert_array_equal(pyleaky.prelu(dataset, 0.3).b, result.b)
    for call in (
        lambda: pyleaky.prelu(dataset, np.ones(3), axis=1),
        lambda: pyleaky.dropout(dataset, seed=1),
        lambda: pyleaky.bias_act(dataset, activation="leaky_relu"),
        lambda: pyleaky.prelu_backward(dataset, dataset, np.ones(3)),
    ):
        with pytest.raises(TypeError, match=r"(x|grad) is an xarray\.Dataset; call the function for each"):
            call()


def test_xarray_errors():
    x, grad, w = data_arrays()
    for error, message, call in [
        (ValueError, "axis names dimension 'colour', x has 'batch', 'channel', 'pixel'",
         lambda: pyleaky.prelu(x, w.data, axis="colour")),
        (ValueError, "axis names dimension 'colour'", lambda: pyleaky.prelu_backward(grad, x, w.data, axis="colour")),
        (ValueError, "axis names dimension 'colour'",
         lambda: pyleaky.bias_act(x, w.data, axis="colour", activation="leaky_relu")),
        (ValueError, "axis names dimension 'colour'",
         lambda: pyleaky.bias_act_backward(grad, x, w.data, axis="colour", activation="leaky_relu")),
        (ValueError, "the weight or bias has dimension 'colour', x has 'batch'",
         lambda: pyleaky.prelu(x, w.rename(channel="colour"))),
        (ValueError, "the weight or bias has dimension 'colour'",
         lambda: pyleaky.bias_act(x, w.rename(channel="colour"), activation="leaky_relu")),
        (ValueError, "(?i)channel", lambda: pyleaky.bias_act(x, w[::-1], activation="leaky_relu")),
        (ValueError, "x has dimensions 'batch', 'channel', 'pixel', grad has 'batch', 'channel'; they must be equal",
         lambda: pyleaky.relu_backward(grad[..., 0], x)),
        (ValueError, "grad has dimensions 'batch', 'channel', x has 'batch', 'channel', 'pixel'; they must be equal",
         lambda: pyleaky.rrelu_backward(grad[..., 0], x, seed=1)),
        (ValueError, "grad has shape", lambda: pyleaky.relu_backward(grad.data[:2], x)),
        (TypeError, "out cannot be combined with xarray's objects", lambda: pyleaky.relu(x, out=x)),
        (TypeError, "out cannot be combined with x in a container", lambda: pyleaky.dropout(x, seed=1, out=x.data)),
        (TypeError, "out cannot be combined with x in a container",
         lambda: pyleaky.bias_act(x, out=x.data, activation="leaky_relu")),
        (TypeError, "x must be a NumPy or CuPy array, got DataArray", lambda: pyleaky.relu(x, return_mask=True)),
        (TypeError, "return_mask=True is for NumPy and CuPy arrays",
         lambda: pyleaky.bias_act(x, return_mask=True, activation="leaky_relu")),
        (TypeError, "a mask goes with NumPy and CuPy arrays",
         lambda: pyleaky.bias_act_backward(grad, output=x, mask=np.zeros(8, np.uint8), activation="leaky_relu")),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()


# ---------------------------------------------------------------------------------------------- memmap


@every_dtype
def test_memory_maps(tmp_path, dtype):
    x, grad, w = operands(dtype)
    mapped = {}
    for name, array in (("x", x), ("grad", grad)):
        array.tofile(tmp_path / name)
        mapped[name] = np.memmap(tmp_path / name, dtype, "r", shape=SHAPE)
    for call in (
        lambda x, grad, **options: pyleaky.leaky_relu(x, 0.3, **options),
        lambda x, grad, **options: pyleaky.elu_backward(grad, x, **options),
        lambda x, grad, **options: pyleaky.prelu(x, w, axis=1, **options),
        lambda x, grad, **options: pyleaky.dropout(x, seed=1, **options),
        lambda x, grad, **options: pyleaky.rrelu_backward(grad, x, seed=1, **options),
        lambda x, grad, **options: pyleaky.bias_act(x, w, activation="relu", **options),
    ):
        expected = call(x, grad)
        result = call(mapped["x"], mapped["grad"])
        assert type(result) is np.ndarray
        assert_same_bits(result, expected)
        out = np.memmap(tmp_path / "out", expected.dtype, "w+", shape=SHAPE)
        assert call(mapped["x"], mapped["grad"], out=out) is out
        out.flush()
        assert_same_bits(np.fromfile(tmp_path / "out", expected.dtype).reshape(SHAPE), expected)
    dx, dweight = pyleaky.prelu_backward(mapped["grad"], mapped["x"], w, axis=1)
    assert_same_bits(dx, pyleaky.prelu_backward(grad, x, w, axis=1)[0])
    assert_same_bits(dweight, pyleaky.prelu_backward(grad, x, w, axis=1)[1])
    y, mask = pyleaky.leaky_relu(mapped["x"], 0.3, return_mask=True)
    assert_same_bits(
        pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=0.3), pyleaky.leaky_relu_backward(grad, x, 0.3)
    )
    assert_same_bits(y, pyleaky.leaky_relu(x, 0.3))
    with pytest.raises(ValueError, match="read-only"):
        pyleaky.leaky_relu(mapped["x"], 0.3, out=mapped["x"])


# Forward and backward over files of 512 MB: no memory but the files' own pages, which the system may take back.
LARGE_FILES = """
import sys
import numpy as np
import pyleaky

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

folder, n = sys.argv[1], 2**27
x = np.memmap(folder + "/x", np.float32, "w+", shape=n)
x[::4096] = -1
y, dx = (np.memmap(folder + "/" + name, np.float32, "w+", shape=n) for name in ("y", "dx"))
pyleaky.leaky_relu(x[:1000], 0.5), pyleaky.dropout(x[:1000], seed=1)
before = anonymous()
pyleaky.leaky_relu(x, 0.5, out=y)
pyleaky.leaky_relu_backward(y, x, 0.5, out=dx)
pyleaky.dropout(dx, 0.5, seed=1, out=dx)
pyleaky.bias_act(y, out=y, axis=0, activation="relu")
print(anonymous() - before, y[4096], sorted(set(dx[:: 4096 * 16].tolist())))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by Linux only")
def test_files_larger_than_what_may_be_allocated(tmp_path):
    result = subprocess.run([sys.executable, "-c", LARGE_FILES, tmp_path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    grown, y, drawn = result.stdout.split(maxsplit=2)
    assert int(grown) < 8 * 1024  # kB
    assert float(y) == 0
    assert drawn.strip() == "[-0.5, 0.0]"


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


# ---------------------------------------------------------------------------------------------- labels


def pandas_calls(pd):
    """(the array whose labels must be those of x, a call with it) for each function of two arrays or more."""
    frame = pd.DataFrame(np.linspace(-2, 2, 6).reshape(2, 3), columns=list("abc"))
    settings = {"activation": "leaky_relu", "negative_slope": 0.2}
    return {
        "prelu": ("columns", lambda w: pyleaky.prelu(frame, w)),
        "prelu, axis=1": ("columns", lambda w: pyleaky.prelu(frame, w, axis=1)),
        "prelu, axis=-1": ("columns", lambda w: pyleaky.prelu(frame, w, axis=-1)),
        "prelu, axis=0": ("index", lambda w: pyleaky.prelu(frame, w, axis=0)),
        "prelu_backward": ("columns", lambda w: pyleaky.prelu_backward(frame, frame, w)),
        "prelu_backward, axis=1": ("columns", lambda w: pyleaky.prelu_backward(frame, frame, w, axis=1)),
        "prelu_backward, axis=0": ("index", lambda w: pyleaky.prelu_backward(frame, frame, w, axis=0)),
        "bias_act": ("columns", lambda b: pyleaky.bias_act(frame, b, **settings)),
        "bias_act, axis=0": ("index", lambda b: pyleaky.bias_act(frame, b, axis=0, **settings)),
        "bias_act_backward": ("columns", lambda b: pyleaky.bias_act_backward(frame, frame, b, **settings)),
        "bias_act_backward, output": (
            "columns",
            lambda b: pyleaky.bias_act_backward(frame, bias=b, output=frame, **(settings | {"gain": 1.0})),
        ),
        "bias_act_double_backward": (
            "columns",
            lambda b: pyleaky.bias_act_double_backward(frame, frame, frame, b, activation="elu"),
        ),
        "prelu_backward, grad": ("both", lambda g: pyleaky.prelu_backward(g, frame, 0.1)),
        "relu_backward": ("both", lambda g: pyleaky.relu_backward(g, frame)),
        "leaky_relu_backward, output": ("both", lambda g: pyleaky.leaky_relu_backward(g, output=frame)),
        "elu_double_backward, gg": ("both", lambda g: pyleaky.elu_double_backward(g, frame, frame)),
        "elu_double_backward, grad": ("both", lambda g: pyleaky.elu_double_backward(frame, g, frame)),
        "rrelu_backward": ("both", lambda g: pyleaky.rrelu_backward(g, frame, seed=1)),
        "bias_act_backward, grad": ("both", lambda g: pyleaky.bias_act_backward(g, frame, **settings)),
    }


def test_labels_that_differ_are_refused():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    for name, (labels, call) in pandas_calls(pd).items():
        if labels == "both":
            right = pd.DataFrame(np.ones((2, 3)), columns=list("abc"))
            wrong = [right.rename(columns={"a": "z"}), right.iloc[::-1], right[["c", "b", "a"]]]
        else:
            right = pd.Series([0.1, 0.2, 0.3], list("abc")) if labels == "columns" else pd.Series([0.1, 0.2])
            wrong = [right.iloc[::-1], right.rename({right.index[0]: "z"})]
        expected = call(right.to_numpy())
        for got, wanted in pairs(expected, call(right)):
            if got is not None:
                np.testing.assert_array_equal(np.asarray(got), np.asarray(wanted), err_msg=name)
        for one in wrong:
            with pytest.raises(ValueError, match=r"^\w+ and \w+ have different labels; align them first$"):
                call(one)


def test_frames_with_columns_that_are_no_numbers():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame({"a": [1.0, -2.0], "name": ["x", "y"]})
    when = pd.DataFrame({"a": [1.0, -2.0], "when": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    for function in (pyleaky.relu, pyleaky.leaky_relu, pyleaky.elu, pyleaky.selu, lambda x: pyleaky.prelu(x, 0.1)):
        with pytest.raises(TypeError, match=r"^x has column 'name' of dtype .*, expected numbers; x.select_dtypes"):
            function(frame)
        with pytest.raises(TypeError, match=r"^x has column 'when' of dtype datetime64.*, expected numbers"):
            function(when)
        for series in (frame["name"], when["when"]):
            with pytest.raises(TypeError, match=r"^x has dtype .*, expected"):
                function(series)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "celu", "selu", "prelu"])
def test_series_of_polars(name):
    pl = pytest.importorskip("polars", reason="Polars is not installed")
    parameters = {"relu": [], "selu": [], "prelu": [0.3]}
    for dtype in (pl.Float32, pl.Float64):
        for given in ([], [0.3], [1], [np.float32(0.3)]):
            if name in parameters and given != parameters[name]:
                continue
            series = pl.Series("a", [-1.5, 0.0, 2.0, -30.0], dtype=dtype)
            result = getattr(pyleaky, name)(series, *given)
            assert isinstance(result, pl.Series)
            assert_same_bits(result.to_numpy(), getattr(pyleaky, name)(series.to_numpy(), *given))
    backward = getattr(pyleaky, f"{name}_backward")
    if name != "prelu":
        result = backward(series, series)
        assert_same_bits(result.to_numpy(), backward(series.to_numpy(), series.to_numpy()))
