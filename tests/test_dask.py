"""Dask arrays: what the whole array gives, lazily and block by block, whatever the chunks and the blocks' kind."""

import numpy as np
import pytest
from arrays import DTYPES, any_bits, assert_same_bits
from conftest import to_numpy

import pyleaky
from pyleaky import _functions, _fused

da = pytest.importorskip("dask.array", reason="Dask is not installed")

SHAPE = (7, 6, 5)
CHUNKS = {
    "one": SHAPE,
    "first axis": (3, 6, 5),
    "middle axis": (7, 4, 5),
    "last axis": (7, 6, 2),
    "every axis": (3, 4, 2),
    "uneven": ((1, 4, 2), (5, 1), (2, 0, 3)),
    "elements": (1, 1, 1),
}
every_chunking = pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)

# Equal bits for any chunks: element by element.
ELEMENTWISE = {
    "relu": lambda x, grad, w: pyleaky.relu(x),
    "leaky_relu": lambda x, grad, w: pyleaky.leaky_relu(x, 0.3),
    "prelu": lambda x, grad, w: pyleaky.prelu(x, w, axis=1),
    "elu": lambda x, grad, w: pyleaky.elu(x, 0.7),
    "celu": lambda x, grad, w: pyleaky.celu(x, 0.7),
    "selu": lambda x, grad, w: pyleaky.selu(x),
    "relu_backward": lambda x, grad, w: pyleaky.relu_backward(grad, x),
    "leaky_relu_backward": lambda x, grad, w: pyleaky.leaky_relu_backward(grad, output=x, negative_slope=0.3),
    "elu_backward": lambda x, grad, w: pyleaky.elu_backward(grad, output=x),
    "celu_double_backward": lambda x, grad, w: pyleaky.celu_double_backward(grad, x, x, 0.7),
    "bias_act": lambda x, grad, w: pyleaky.bias_act(x, w, clamp=0.9, activation="leaky_relu"),
    "bias_act-elu": lambda x, grad, w: pyleaky.bias_act(x, axis=2, activation="elu"),
    "dropout": lambda x, grad, w: pyleaky.dropout(x, 0.3, seed=2**63 + 5, start=2**34 - 7),
    "dropout_backward": lambda x, grad, w: pyleaky.dropout_backward(grad, 0.3, seed=2**63 + 5, start=2**64 - 210),
    "dropout-evaluation": lambda x, grad, w: pyleaky.dropout(x, 0.3, training=False),
    "rrelu": lambda x, grad, w: pyleaky.rrelu(x, seed=7, start=3),
    "rrelu_backward": lambda x, grad, w: pyleaky.rrelu_backward(grad, x, seed=7),
    "rrelu-evaluation": lambda x, grad, w: pyleaky.rrelu(x, training=False),
}
# dx with equal bits, and sums in float64 whose order depends on the chunks.
WITH_SUMS = {
    "prelu": lambda x, grad, w: pyleaky.prelu_backward(grad, x, w, axis=1),
    "prelu-number": lambda x, grad, w: pyleaky.prelu_backward(grad, x, 0.3),
    "prelu-one": lambda x, grad, w: pyleaky.prelu_backward(grad, x, w[:1]),
    "prelu-last": lambda x, grad, w: pyleaky.prelu_backward(grad, x, w[:5], axis=-1),
    "prelu-two": lambda x, grad, w: pyleaky.prelu_backward(grad, x, w[:5, None] * w, axis=(2, 1)),
    "prelu-each": lambda x, grad, w: pyleaky.prelu_backward(grad, x, x),
    "bias_act": lambda x, grad, w: pyleaky.bias_act_backward(grad, x, w, clamp=0.9, activation="leaky_relu"),
    "bias_act-output": lambda x, grad, w: pyleaky.bias_act_backward(grad, output=x, bias=w, activation="selu"),
    "bias_act-no-bias": lambda x, grad, w: pyleaky.bias_act_backward(grad, x, activation="leaky_relu"),
    "bias_act_double": lambda x, grad, w: pyleaky.bias_act_double_backward(grad, x, x, w, activation="elu"),
    "bias_act_double-linear": lambda x, grad, w: pyleaky.bias_act_double_backward(
        grad, x, x, w[:5], axis=2, activation="leaky_relu"
    ),
}


def operands(dtype=np.float32):
    rng = np.random.default_rng(0)
    return (*(rng.normal(size=SHAPE).astype(dtype) for _ in range(2)), rng.normal(size=6).astype(dtype))


class Untouchable:
    """An array whose values nobody may ask for."""

    shape, ndim, dtype = SHAPE, 3, np.dtype(np.float32)

    def __getitem__(self, index):
        raise AssertionError("a value was asked for")


@every_dtype
@every_chunking
@pytest.mark.parametrize("call", ELEMENTWISE.values(), ids=ELEMENTWISE)
def test_bits_of_the_whole_array(call, chunks, dtype):
    x, grad, w = operands(dtype)
    expected = call(x, grad, w)
    actual = call(da.from_array(x, chunks), da.from_array(grad, chunks), w)
    if not isinstance(expected, tuple):
        expected, actual = (expected,), (actual,)
    for wanted, got in zip(expected, actual, strict=True):
        assert type(got) is da.Array
        assert got.dtype == wanted.dtype
        assert got.chunks == da.core.normalize_chunks(chunks, SHAPE)
        assert_same_bits(got.compute(scheduler="synchronous"), wanted)


@every_dtype
@every_chunking
@pytest.mark.parametrize("call", WITH_SUMS.values(), ids=WITH_SUMS)
def test_sums_over_blocks(call, chunks, dtype):
    x, grad, w = operands(dtype)
    expected = call(x, grad, w)
    lazy = call(da.from_array(x, chunks), da.from_array(grad, chunks), w)
    assert all(part is None or type(part) is da.Array for part in lazy)
    actual = da.compute(*lazy, scheduler="synchronous")
    for wanted, got, promised in zip(expected, actual, lazy, strict=True):
        if wanted is None:
            assert got is None
            continue
        assert promised.dtype == np.asarray(got).dtype == wanted.dtype
        assert promised.shape == np.shape(got) == np.shape(wanted)
        if np.shape(wanted) == SHAPE:
            assert_same_bits(got, wanted)
        elif dtype in (np.float32, np.float64):
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(got, wanted, rtol=4 * eps, atol=40 * np.finfo(np.float64).eps)
        else:  # float64 sums that differ in the last place round to the same number of a half type or its neighbour
            np.testing.assert_allclose(np.float32(got), np.float32(wanted), rtol=2**-7, atol=0)


@pytest.mark.parametrize("call", [*ELEMENTWISE.values(), *WITH_SUMS.values()], ids=[*ELEMENTWISE, *WITH_SUMS])
def test_nothing_is_computed_before_it_is_asked_for(call):
    lazy = da.from_array(Untouchable(), (3, 4, 2), asarray=False, meta=np.empty((0, 0, 0), np.float32))
    results = call(lazy, lazy, operands()[2])
    result = results[0] if isinstance(results, tuple) else results
    with pytest.raises(AssertionError, match="a value was asked for"):
        result.compute(scheduler="synchronous")


def test_dx_and_sums_share_one_pass(monkeypatch):
    x, grad, w = operands()
    x, grad = da.from_array(x, (3, 4, 5)), da.from_array(grad, (3, 4, 5))
    for module, name, call in [
        (_functions, "_prelu_gradients", lambda: pyleaky.prelu_backward(grad, x, w, axis=1)),
        (_fused, "gradients_with", lambda: pyleaky.bias_act_backward(grad, x, w, activation="leaky_relu")),
    ]:
        lazy, done, function = call(), [], getattr(module, name)

        def counted(*args, done=done, function=function, **options):
            done.append(1)
            return function(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(module, name, counted)
            da.compute(*lazy, scheduler="synchronous")
        assert len(done) == 3 * 2


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@every_chunking
def test_random_numbers_of_any_view(chunks, seed):
    x = np.ones(SHAPE)
    for view in (
        lambda a: a.T,
        lambda a: a.transpose(1, 2, 0),
        lambda a: a[::-1, 1::2],
        lambda a: a[:, None, 2],
        lambda a: a.reshape(-1),
        lambda a: a[0, 0, 0],
        lambda a: a[:0],
    ):
        expected = pyleaky.dropout(np.array(view(x)), 0.5, seed=seed, start=11)
        assert_same_bits(
            pyleaky.dropout(view(da.from_array(x, chunks)), 0.5, seed=seed, start=11).compute(scheduler="synchronous"),
            expected,
        )


def test_the_seed_of_a_generator():
    x = np.ones(100)
    expected, seed = pyleaky.dropout(x, seed=np.random.default_rng(3), return_seed=True)
    lazy, drawn = pyleaky.dropout(da.from_array(x, 30), seed=np.random.default_rng(3), return_seed=True)
    assert drawn == seed
    assert_same_bits(lazy.compute(scheduler="synchronous"), expected)


def test_names_tell_equal_calls_and_only_those():
    x = da.from_array(operands()[0], (3, 4, 5))
    for call in (
        lambda k: pyleaky.leaky_relu(x, 0.1 + k),
        lambda k: pyleaky.dropout(x, 0.5, seed=k),
        lambda k: pyleaky.rrelu(x, seed=1, start=k),
        lambda k: pyleaky.bias_act(x, np.full(6, k), activation="leaky_relu"),
        lambda k: pyleaky.bias_act(x, gain=1.0 + k, activation="leaky_relu"),
        lambda k: pyleaky.prelu_backward(x, x, 0.1 + k)[0],
        lambda k: pyleaky.prelu_backward(x, x, 0.1 + k)[1],
        lambda k: pyleaky.bias_act_backward(x, x, np.full(6, k), activation="leaky_relu")[1],
    ):
        assert call(0).name == call(0).name != call(1).name


def test_weights_may_be_dask_arrays_too():
    x, grad, w = operands()
    expected = pyleaky.prelu_backward(grad, x, w, axis=1)
    lazy_w = da.from_array(w, 2)
    dx, dweight = pyleaky.prelu_backward(da.from_array(grad, 4), da.from_array(x, (3, 4, 2)), lazy_w, axis=1)
    assert_same_bits(dx.compute(scheduler="synchronous"), expected[0])
    np.testing.assert_allclose(dweight.compute(scheduler="synchronous"), expected[1], rtol=1e-6)
    # A weight of no dimensions is a number, which never changes a dtype.
    y = pyleaky.leaky_relu(da.from_array(x, 3), da.from_array(np.array(0.3), ()))
    assert y.dtype == np.float32
    assert_same_bits(y.compute(scheduler="synchronous"), pyleaky.leaky_relu(x, 0.3))


def test_out_where_and_dtype():
    x = operands()[0]
    lazy = da.from_array(x, 4)
    assert_same_bits(
        pyleaky.leaky_relu(lazy, 0.3, dtype=np.float16).compute(scheduler="synchronous"),
        pyleaky.leaky_relu(x, 0.3, dtype=np.float16),
    )
    out = da.zeros(SHAPE, chunks=4, dtype=np.float32)
    result = pyleaky.leaky_relu(lazy, 0.3, out=out, where=lazy < 0)
    assert result is out
    expected = pyleaky.leaky_relu(x, 0.3, out=np.zeros(SHAPE, np.float32), where=x < 0)
    assert_same_bits(out.compute(scheduler="synchronous"), expected)


def test_integers_give_float64():
    x = da.from_array(np.arange(-5, 5, dtype=np.int8), 3)
    for call in (
        pyleaky.relu,
        pyleaky.selu,
        lambda x: pyleaky.dropout(x, seed=1),
        lambda x: pyleaky.bias_act(x, activation="relu"),
    ):
        y = call(x)
        assert y.dtype == y.compute(scheduler="synchronous").dtype == np.float64


def test_equal_numbers_have_names_of_their_own():
    """0.0 and -0.0 in one graph, where equal names would be one task."""
    x = np.array([[-1.0, 1.0, -0.0, 0.0]])
    for call in (
        pyleaky.leaky_relu,
        lambda x, zero: pyleaky.leaky_relu_backward(x, x, zero),
        lambda x, zero: pyleaky.prelu_backward(x, x, zero)[0],
        lambda x, zero: pyleaky.rrelu(x, zero, zero, seed=1),
        lambda x, zero: pyleaky.bias_act(x, activation="leaky_relu", negative_slope=zero),
        lambda x, zero: pyleaky.bias_act(x, activation="linear", clamp=zero),
        lambda x, zero: pyleaky.bias_act_backward(x, x, activation="leaky_relu", negative_slope=zero)[0],
    ):
        lazy = [call(da.from_array(x, 2), zero) for zero in (0.0, -0.0)]
        for found, zero in zip(da.compute(*lazy, scheduler="synchronous"), (0.0, -0.0), strict=True):
            assert_same_bits(found, call(x, zero))


def test_chunks_of_unknown_size():
    x = operands()[0]
    lazy = da.from_array(x, (3, 4, 2))
    unknown = lazy[lazy > 0]
    assert_same_bits(
        np.sort(pyleaky.elu_backward(unknown, unknown).compute(scheduler="synchronous")), np.sort(x[x > 0])
    )
    _, dweight = pyleaky.prelu_backward(unknown, -unknown, 0.3)
    assert np.isclose(dweight.compute(scheduler="synchronous"), -np.sum(x[x > 0].astype(float) ** 2), rtol=1e-6)
    for call in (
        lambda: pyleaky.dropout(unknown, seed=1),
        lambda: pyleaky.dropout_backward(unknown, seed=1),
        lambda: pyleaky.rrelu(unknown, seed=1),
        lambda: pyleaky.rrelu_backward(unknown, unknown, seed=1),
        lambda: pyleaky.bias_act(unknown, np.ones(3), axis=0, activation="leaky_relu"),
        lambda: pyleaky.bias_act_backward(unknown, unknown, np.ones(3), axis=0, activation="leaky_relu"),
    ):
        with pytest.raises(ValueError, match=r"chunks of unknown size.*compute_chunk_sizes\(\)"):
            call()
    known = unknown.compute_chunk_sizes()
    assert_same_bits(
        pyleaky.dropout(known, seed=1).compute(scheduler="synchronous"),
        pyleaky.dropout(known.compute(scheduler="synchronous"), seed=1),
    )


def test_blocks_of_cupy(cupy):
    x, grad, w = operands()
    for name, call in {**ELEMENTWISE, **WITH_SUMS}.items():
        if "elu" in name.replace("relu", "") or name == "bias_act_double":
            continue  # an exponential has not the CPU's bits
        expected = call(x, grad, w)
        lazy = call(
            da.from_array(cupy.asarray(x), (3, 4, 2), asarray=False),
            da.from_array(cupy.asarray(grad), (3, 4, 2), asarray=False),
            cupy.asarray(w) if name != "prelu-number" else w,
        )
        if not isinstance(expected, tuple):
            expected, lazy = (expected,), (lazy,)
        for wanted, got in zip(expected, lazy, strict=True):
            if wanted is None:
                continue
            blocks = got.to_delayed().ravel()
            for block in blocks[:2]:
                assert isinstance(block.compute(scheduler="synchronous"), cupy.ndarray), name
            whole = np.empty(got.shape, got.dtype)
            if not got.ndim:
                whole[()] = to_numpy(got.compute(scheduler="synchronous"))
            for index in np.ndindex(got.numblocks) if got.ndim else ():
                place = tuple(slice(sum(c[:k]), sum(c[: k + 1])) for c, k in zip(got.chunks, index, strict=True))
                whole[place] = to_numpy(got.blocks[index].compute(scheduler="synchronous"))
            np.testing.assert_allclose(whole, wanted, rtol=1e-5, atol=1e-5)


BAD = {
    "grad's shape": (ValueError, r"grad has shape \(3, 6, 5\), x has shape", lambda x: pyleaky.relu_backward(x[:3], x)),
    "weight's length": (ValueError, "weight has shape", lambda x: pyleaky.prelu_backward(x, x, np.ones(4), axis=1)),
    "bias's length": (
        ValueError,
        r"bias has shape \(4,\), but x has 6",
        lambda x: pyleaky.bias_act(x, np.ones(4), activation="leaky_relu"),
    ),
    "dtype": (TypeError, "x has dtype complex64, expected", lambda x: pyleaky.dropout(x * 1j, seed=1)),
    "dtype of a row": (TypeError, "x has dtype complex64, expected", lambda x: pyleaky.relu(x * 1j)),
    "a mask": (TypeError, "x must be a NumPy or CuPy array", lambda x: pyleaky.relu(x, return_mask=True)),
    "bias_act's mask": (
        TypeError,
        "return_mask=True is for NumPy",
        lambda x: pyleaky.bias_act(x, return_mask=True, activation="leaky_relu"),
    ),
    "from a mask": (
        TypeError,
        "a mask goes with NumPy and CuPy arrays, got dask",
        lambda x: pyleaky.bias_act_backward(x, output=x, mask=np.zeros(27, np.uint8), activation="leaky_relu"),
    ),
    "dropout's out": (TypeError, "out cannot be combined with Dask", lambda x: pyleaky.dropout(x, seed=1, out=x)),
    "bias_act's out": (
        TypeError,
        "out cannot be combined with Dask",
        lambda x: pyleaky.bias_act(x, out=x, activation="leaky_relu"),
    ),
    "gain": (
        ValueError,
        "gain must be positive and finite in float32",
        lambda x: pyleaky.bias_act(x, gain=1e-60, activation="leaky_relu"),
    ),
    "output alone": (
        ValueError,
        "gain must be above 0.5",
        lambda x: pyleaky.bias_act_backward(x, output=x, gain=0.1, activation="leaky_relu"),
    ),
}


@pytest.mark.parametrize(("error", "message", "call"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_before_anything_is_computed(error, message, call):
    x = da.from_array(Untouchable(), (3, 4, 2), asarray=False, meta=np.empty((0, 0, 0), np.float32))
    with pytest.raises(error, match=message):
        call(x)


def test_tensors_do_not_mix(torch):
    x = da.from_array(np.ones((2, 3), np.float32), 2)
    tensor = torch.ones(3, requires_grad=True)
    for argument, call in {
        "negative_slope": lambda: pyleaky.leaky_relu(x, tensor),
        "weight": lambda: pyleaky.prelu_backward(x, x, tensor, axis=1),
        "bias": lambda: pyleaky.bias_act(x, tensor, activation="leaky_relu"),
        "grad": lambda: pyleaky.rrelu_backward(tensor, x, seed=1),
        "out": lambda: pyleaky.relu(x, out=tensor),
    }.items():
        message = rf"{argument} is a torch\.Tensor that requires grad; move it with numpy\.asarray; pyleaky\.torch has"
        with pytest.raises(TypeError, match=message):
            call()


def test_special_values_survive():
    x = any_bits(np.random.default_rng(0), SHAPE, np.float32)
    y = pyleaky.leaky_relu(da.from_array(x, 3), 0.1).compute(scheduler="threads")
    assert_same_bits(y, pyleaky.leaky_relu(x, 0.1))


@pytest.mark.parametrize("name", [name for name, row in pyleaky._core.ROWS.items() if hasattr(pyleaky, name)])
def test_scalars_and_lists_beside_dask_arrays(name):
    # In every place but one, each kind of value in turn: the result is lazy, with NumPy's dtype and values.
    function, row = getattr(pyleaky, name), pyleaky._core.ROWS[name]
    array = np.array([-1.5, 0.5, 2.0], np.float32)
    is_forward = "_backward" not in name
    for place in range(len(row.inputs)):
        for kind in (float, int, np.float32, np.float64, np.array, list):
            if place == len(row.inputs) - 1 and row.parameters and kind is list:
                continue
            shape = () if kind is not list and not is_forward else (3,)  # a gradient has the shape of x
            given = [np.float32(0.5) if shape == () else array for _ in row.inputs]
            given[place] = array.tolist() if kind is list else kind(2)
            lazy = [given[k] if k == place else da.from_array(np.asarray(given[k])) for k in range(len(given))]
            if not any(isinstance(value, da.Array) for value in lazy):
                continue
            try:
                expected = function(*given)
            except ValueError:  # shapes of a gradient that differ
                continue
            results, expected = function(*lazy), expected if isinstance(expected, tuple) else (expected,)
            for result, wanted in zip(results if len(expected) > 1 else (results,), expected, strict=True):
                assert isinstance(result, da.Array)
                assert result.dtype == wanted.dtype
                assert_same_bits(result.compute(), wanted)
