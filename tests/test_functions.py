"""The rules of the public functions: dtypes, parameters, out, order, shapes, the kink.  One body for NumPy and CuPy."""

import copy
import inspect
import itertools
import multiprocessing
import pickle
import re
import threading
import warnings

import numpy as np
import pytest
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, bfloat16, compute_type, finfo, layouts, ulps_apart
from conftest import to_numpy

import pyleaky


def with_number(name):
    """The public function of a row, with a number for its parameter where it has one."""
    function, numbers = getattr(pyleaky, name), (0.7,) * pyleaky._core.ROWS[name].parameters
    return lambda *arrays, **options: function(*arrays, *numbers, **options)


FAMILY = [name for name in pyleaky._core.ROWS if f"{name}_backward" in pyleaky._core.ROWS]
FORWARD = {name: with_number(name) for name in FAMILY}
FORWARD["prelu"] = lambda x, **options: pyleaky.prelu(x, 0.1, **options)
BACKWARD = {f"{name}_backward": with_number(f"{name}_backward") for name in FAMILY}
CALLABLES = [
    name for name in pyleaky.__all__ if callable(getattr(pyleaky, name)) and name != "plot_activations"
]  # which needs Matplotlib to be called, and has tests of its own

every_forward = pytest.mark.parametrize("function", FORWARD.values(), ids=FORWARD)
every_backward = pytest.mark.parametrize("function", BACKWARD.values(), ids=BACKWARD)
every_function = pytest.mark.parametrize(
    "function",
    [*FORWARD.values(), *(lambda x, f=f, **options: f(x, x, **options) for f in BACKWARD.values())],
    ids=[*FORWARD, *BACKWARD],
)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


# ---------------------------------------------------------------------------------------------- the mathematics


RRELU = "(x, lower=0.125, upper=0.3333333333333333, *, seed=None, start=0, "
BIAS_ACT = "axis=1, activation, negative_slope=0.01, gain=1.0, clamp=None"


def test_signatures():
    signatures = {
        "relu": "(x, *, out=None, where=True, dtype=None, return_mask=False)",
        "relu_backward": "(grad, x=None, *, output=None, mask=None, out=None)",
        "leaky_relu": "(x, negative_slope=0.01, *, out=None, where=True, dtype=None, return_mask=False)",
        "leaky_relu_backward": "(grad, x=None, negative_slope=0.01, *, output=None, mask=None, out=None)",
        "unpack_mask": "(mask, shape)",
        "dropout": "(x, p=0.5, *, seed=None, start=0, training=True, out=None, return_seed=False)",
        "dropout_backward": "(grad, p=0.5, *, seed=None, start=0, training=True, out=None)",
        "rrelu": RRELU + "training=True, out=None, return_seed=False)",
        "rrelu_backward": RRELU.replace("x, ", "grad, x, ", 1) + "training=True, out=None)",
        "bias_act": "(x, bias=None, *, " + BIAS_ACT + ", return_mask=False, out=None)",
        "bias_act_backward": "(grad, x=None, bias=None, *, output=None, mask=None, " + BIAS_ACT + ", out=None)",
        "bias_act_double_backward": "(gg, grad, x, bias=None, *, " + BIAS_ACT + ")",
        "prelu": "(x, weight, *, axis=None, out=None, where=True, dtype=None)",
        "prelu_backward": "(grad, x, weight, *, axis=None)",
        "elu": "(x, alpha=1.0, *, out=None, where=True, dtype=None)",
        "elu_backward": "(grad, x=None, alpha=1.0, *, output=None, out=None)",
        "elu_double_backward": "(gg, grad, x, alpha=1.0)",
        "celu": "(x, alpha=1.0, *, out=None, where=True, dtype=None)",
        "celu_backward": "(grad, x=None, alpha=1.0, *, output=None, out=None)",
        "celu_double_backward": "(gg, grad, x, alpha=1.0)",
        "selu": "(x, *, out=None, where=True, dtype=None)",
        "selu_backward": "(grad, x=None, *, output=None, out=None)",
        "selu_double_backward": "(gg, grad, x)",
        "show_config": "(mode='stdout')",
        "set_num_threads": "(num_threads)",
        "get_num_threads": "()",
        "num_threads": "(num_threads)",
        "set_cache_limit": "(limit)",
        "cache_info": "()",
        "clear_cache": "()",
    }
    assert sorted(signatures) == sorted(CALLABLES)
    assert sorted(set(pyleaky.__all__) - set(CALLABLES)) == ["SELU_ALPHA", "SELU_SCALE", "plot_activations"]
    for name, signature in signatures.items():
        assert str(inspect.signature(getattr(pyleaky, name))) == signature


# What belongs to one direction; the rest are the parameters of the activation.
OF_ONE_CALL = {"x", "grad", "gg", "output", "mask", "out", "where", "dtype", "return_mask", "return_seed"}


def parameters_of(name):
    parameters = inspect.signature(getattr(pyleaky, name)).parameters
    return {key: (one.default, one.kind) for key, one in parameters.items() if key not in OF_ONE_CALL}


@pytest.mark.parametrize("name", [name for name in pyleaky.__all__ if name.endswith("_backward")])
def test_backward_functions_repeat_the_parameters_of_the_forward_call(name):
    forward = name.removesuffix("_backward").removesuffix("_double")
    assert parameters_of(name) == parameters_of(forward)
    repeat = getattr(pyleaky, name).__doc__.split("\n\n")[1]
    assert repeat.strip().startswith("Repeat the parameters of the forward call")
    assert parameters_of(name).keys() - {"bias"} <= set(re.findall(r"\w+", repeat))


@every_dtype
def test_values_at_the_hard_places(xp, dtype):
    x = xp.asarray(np.array([-np.inf, -1, -0.0, 0.0, 1, np.inf, np.nan], dtype))
    assert_same_bits(to_numpy(pyleaky.relu(x)), np.array([0, 0, -0.0, 0, 1, np.inf, np.nan], dtype))
    assert_same_bits(to_numpy(pyleaky.leaky_relu(x, 0.5)), np.array([-np.inf, -0.5, -0.0, 0, 1, np.inf, np.nan], dtype))
    assert_same_bits(to_numpy(pyleaky.leaky_relu(x, 0)), np.array([np.nan, -0.0, -0.0, 0, 1, np.inf, np.nan], dtype))
    assert_same_bits(to_numpy(pyleaky.leaky_relu(x, -2.0)), np.array([np.inf, 2, 0.0, -0.0, 1, np.inf, np.nan], dtype))
    assert_same_bits(to_numpy(pyleaky.leaky_relu(x, 2)), np.array([-np.inf, -2, -0.0, 0, 1, np.inf, np.nan], dtype))
    assert_same_bits(to_numpy(pyleaky.leaky_relu(x, np.nan)), np.array([np.nan] * 4 + [1, np.inf, np.nan], dtype))
    ones = xp.asarray(np.ones(7, dtype))
    assert_same_bits(to_numpy(pyleaky.relu_backward(ones, x)), np.array([0, 0, 0, 0, 1, 1, 0], dtype))
    assert_same_bits(
        to_numpy(pyleaky.leaky_relu_backward(ones, x, 0.5)), np.array([0.5, 0.5, 0.5, 0.5, 1, 1, 0.5], dtype)
    )
    infinite = xp.asarray(np.full(7, np.inf, dtype))
    assert_same_bits(to_numpy(pyleaky.relu_backward(infinite, x)), np.array([0, 0, 0, 0, np.inf, np.inf, 0], dtype))


@every_dtype
def test_subnormals_are_kept(xp, dtype):
    tiny = finfo(dtype).smallest_subnormal
    x = xp.asarray(np.array([tiny, -tiny, -4 * tiny], dtype))
    assert_same_bits(to_numpy(pyleaky.leaky_relu(x, 0.5)), np.array([tiny, -0.0, -2 * tiny], dtype))


@pytest.mark.parametrize("slope", [0.01, 0.3, 1.0, 2.5, 0.0, -0.7])
def test_gradient_by_finite_differences(slope):
    rng = np.random.default_rng(0)
    x = rng.choice([-1, 1], 200) * rng.uniform(0.1, 3, 200)
    step = 1e-6
    numeric = (pyleaky.leaky_relu(x + step, slope) - pyleaky.leaky_relu(x - step, slope)) / (2 * step)
    np.testing.assert_allclose(pyleaky.leaky_relu_backward(np.ones(200), x, slope), numeric, rtol=0, atol=1e-8)
    numeric = (pyleaky.relu(x + step) - pyleaky.relu(x - step)) / (2 * step)
    np.testing.assert_allclose(pyleaky.relu_backward(np.ones(200), x), numeric, rtol=0, atol=1e-8)


def test_prelu_weight_gradient_by_finite_differences(xp):
    rng = np.random.default_rng(0)
    x, weight, step = rng.normal(size=(4, 3, 5)), rng.normal(size=3), 1e-6
    grad = rng.normal(size=x.shape)
    dx, dweight = pyleaky.prelu_backward(xp.asarray(grad), xp.asarray(x), xp.asarray(weight), axis=1)
    for k in range(3):
        nudge = step * (np.arange(3) == k)
        up, down = (pyleaky.prelu(x, weight + sign * nudge, axis=1) for sign in (1, -1))
        assert abs(float(to_numpy(dweight)[k]) - (grad * (up - down)).sum() / (2 * step)) < 1e-7
    np.testing.assert_array_equal(to_numpy(dx), np.where(x > 0, grad, weight[:, None] * grad))


@every_dtype
@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0, 3.0])
def test_gradient_from_output_equals_gradient_from_x(xp, dtype, slope):
    rng = np.random.default_rng(1)
    x, grad = any_bits(rng, 1000, dtype), xp.asarray(any_bits(rng, 1000, dtype))
    x = xp.asarray(x)
    from_output = pyleaky.leaky_relu_backward(grad, output=pyleaky.leaky_relu(x, slope), negative_slope=slope)
    assert_same_bits(to_numpy(from_output), to_numpy(pyleaky.leaky_relu_backward(grad, x, slope)))
    from_output = pyleaky.relu_backward(grad, output=pyleaky.relu(x))
    assert_same_bits(to_numpy(from_output), to_numpy(pyleaky.relu_backward(grad, x)))


# ---------------------------------------------------------------------------------------------- dtypes and numbers


@every_function
def test_result_dtypes(xp, function):
    for dtype, expected in [
        *((letter, np.float64) for letter in "?bBhHiIqQ"),
        *((dtype, dtype) for dtype in DTYPES),
    ]:
        x = xp.asarray(np.array([0, 1], dtype))
        assert function(x).dtype == expected
        assert function(x, out=xp.empty(2, expected)).dtype == expected


def test_integers_are_computed_in_float64(xp):
    x = np.array([-7, -1, 0, 5], np.int8)
    assert_same_bits(to_numpy(pyleaky.leaky_relu(xp.asarray(x), 0.1)), pyleaky.leaky_relu(x.astype(float), 0.1))


SLOPES = [0.1, 1, True, np.float16(0.1), np.float32(0.1), np.float64(0.1), np.int8(1), np.array(0.1), np.array(1, "i8"),
          bfloat16(0.1), np.array(0.1, np.float16)]  # fmt: skip


@pytest.mark.parametrize("slope", SLOPES, ids=lambda slope: f"{type(slope).__name__}-{slope}")
def test_numbers_never_change_the_dtype(xp, slope):
    for dtype in DTYPES:
        x = xp.asarray(np.array([-3, 2], dtype))
        compute = compute_type(dtype)
        expected = np.array([compute(-3) * compute(float(slope)), 2]).astype(dtype)
        assert_same_bits(to_numpy(pyleaky.leaky_relu(x, slope)), expected)
        assert_same_bits(to_numpy(pyleaky.leaky_relu(x[::-1], slope)), expected[::-1])
        assert_same_bits(to_numpy(pyleaky.prelu(x, slope)), expected)
        assert pyleaky.leaky_relu_backward(x, x, slope).dtype == dtype
        dx, dweight = pyleaky.prelu_backward(x, x, slope)
        assert dx.dtype == dweight.dtype == dtype


def test_arrays_of_slopes_promote_as_numpy_does(xp):
    for x_dtype in DTYPES:
        for dtype in (*DTYPES, *"bhiq"):
            x, slope = np.ones((2, 3), x_dtype), np.ones(3, dtype)
            assert pyleaky.leaky_relu(xp.asarray(x), xp.asarray(slope)).dtype == np.add(x, slope).dtype


def test_dtypes_beside_each_other():
    """Integers alone give float64, else the least of the dtypes to which NumPy casts every array safely."""
    every = [np.dtype(dtype) for dtype in (*DTYPES, *"?bBhHiIqQ")]
    ones, zeros = ({dtype: array(2, dtype) for dtype in every} for array in (np.ones, np.zeros))

    def common(*dtypes):
        safe = [to for to in (*HALVES, np.float32, np.float64) if all(np.can_cast(dtype, to) for dtype in dtypes)]
        return safe[0] if any(dtype in DTYPES for dtype in dtypes) else np.float64

    for grad, x in itertools.product(every, every):
        expected = common(grad, x)
        assert_same_bits(
            pyleaky.leaky_relu_backward(ones[grad], zeros[x], 0.1),
            np.full(2, compute_type(expected)(0.1)).astype(expected),
        )
        for slope in every:
            result = pyleaky.leaky_relu_backward(ones[grad], zeros[x], ones[slope])
            assert_same_bits(result, np.ones(2, common(grad, x, slope)))


@pytest.mark.parametrize("dtype", HALVES)
def test_arrays_of_slopes_are_rounded_to_a_half_type_but_multiplied_in_float32(xp, dtype):
    x, slope = np.array([-3, -1.7, 2], dtype), np.full(3, 0.3, dtype)
    assert float(slope[0]) != np.float32(0.3)
    expected = np.where(x > 0, x, (slope.astype(np.float32) * x.astype(np.float32)).astype(dtype))
    assert_same_bits(to_numpy(pyleaky.leaky_relu(xp.asarray(x), xp.asarray(slope))), expected)


def test_huge_and_tiny_numbers_are_silent(xp):
    arrays = [xp.asarray(np.array([-1, 1], dtype)) for dtype in (np.float32, *HALVES)]
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for view in (view for x in arrays for view in (x, x[::-1])):
            assert to_numpy(pyleaky.leaky_relu(view, 1e300)).min() == -np.inf
            assert to_numpy(pyleaky.leaky_relu(view, 1e-300)).min() == 0
            pyleaky.leaky_relu(xp.asarray(np.array([-1e300, np.nan, -np.inf, -1e-310])), 1e200)
        pyleaky.prelu_backward(xp.asarray(np.full(4, 1e300)), xp.asarray(np.full(4, -1e300)), 1e300)


# ---------------------------------------------------------------------------------------------- shapes and layouts


@every_function
def test_shapes(xp, function):
    for shape in [(0,), (2, 0, 3), (1,), (3, 4), (2, 3, 4, 5), ()]:
        x = np.asarray(any_bits(np.random.default_rng(0), shape, np.float32))
        y = function(xp.asarray(x))
        assert y.shape == shape
        assert_same_bits(to_numpy(y).ravel(), to_numpy(function(xp.asarray(x.ravel()))))


@every_function
def test_zero_dimensions_give_a_scalar(function):
    for x, expected in [
        (np.float32(-2), np.float32),
        (np.array(-2, np.float32), np.float32),
        (np.float64(2), np.float64),
        (2.5, np.float64),
        (3, np.float64),
        (True, np.float64),
    ]:
        assert type(function(x)) is expected


@every_function
def test_layouts_and_memory_order(function):
    base = any_bits(np.random.default_rng(0), (6, 5), np.float32)
    expected = function(base)
    for name, x in layouts(base):
        before = x.copy()
        y = function(x)
        assert_same_bits(y, expected)
        assert_same_bits(x, before)
        if name != "unaligned":
            assert y.strides == np.negative(x).strides


@every_function
def test_memory_order_on_every_back_end(xp, function):
    base = any_bits(np.random.default_rng(0), (6, 5), np.float32)
    y = function(xp.asarray(base).T)
    assert y.strides == (4, 20)
    assert_same_bits(to_numpy(y), to_numpy(function(xp.asarray(base))).T)


# ---------------------------------------------------------------------------------------------- out, where, dtype


@every_function
def test_out(xp, function):
    base = any_bits(np.random.default_rng(0), (6, 5), np.float32)
    x, expected = xp.asarray(base), to_numpy(function(xp.asarray(base)))
    for out in (xp.empty((6, 5), np.float32), xp.empty((5, 6), np.float32).T, xp.empty((6, 10), np.float32)[:, ::2]):
        assert function(x, out=out) is out
        assert_same_bits(to_numpy(out), expected)
    assert_same_bits(to_numpy(function(x, out=(out,))), expected)
    wide = xp.empty((6, 5), np.float64)
    assert function(x, out=wide) is wide
    assert_same_bits(to_numpy(wide), expected.astype(np.float64))
    larger = xp.zeros((2, 6, 5), np.float32)
    function(x, out=larger)
    assert_same_bits(to_numpy(larger), np.stack([expected, expected]))
    assert_same_bits(to_numpy(x), base)


@every_function
def test_in_place_and_overlapping(xp, function):
    base = any_bits(np.random.default_rng(0), 100, np.float32)
    x = xp.asarray(base.copy())
    expected = to_numpy(function(xp.asarray(base)))
    assert function(x, out=x) is x
    assert_same_bits(to_numpy(x), expected)
    for shift in (-19, -1, 1, 2):
        x = xp.asarray(base.copy())
        function(x[20:80], out=x[20 + shift : 80 + shift])
        assert_same_bits(to_numpy(x[20 + shift : 80 + shift]), expected[20:80])
    x = xp.asarray(base.copy())
    function(x, out=x[::-1])
    assert_same_bits(to_numpy(x)[::-1], expected)
    square = xp.asarray(base.reshape(10, 10).copy())
    function(square, out=square.T)
    assert_same_bits(to_numpy(square).T, expected.reshape(10, 10))


@every_forward
def test_in_place_on_a_view_touches_only_the_view(xp, function):
    base = any_bits(np.random.default_rng(0), (8, 9), np.float32)
    x = xp.asarray(base.copy())
    view = x[1:7:2, 2:5]
    function(view, out=view)
    expected = base.copy()
    expected[1:7:2, 2:5] = to_numpy(function(xp.asarray(base[1:7:2, 2:5].copy())))
    assert_same_bits(to_numpy(x), expected)


@every_forward
# NumPy 2.4 warns where the result is partly uninitialised; so do we, since it is NumPy that warns.
@pytest.mark.filterwarnings("ignore:'where' used without 'out':UserWarning")
def test_where(xp, function):
    base = any_bits(np.random.default_rng(0), (6, 5), np.float32)
    where = np.random.default_rng(1).random((6, 5)) < 0.5
    x, out = xp.asarray(base), xp.full((6, 5), 7, np.float32)
    function(x, out=out, where=xp.asarray(where))
    assert_same_bits(to_numpy(out), np.where(where, to_numpy(function(x)), np.float32(7)))
    fresh = function(x, where=xp.asarray(where))
    assert_same_bits(to_numpy(fresh)[where], to_numpy(function(x))[where])
    assert function(x, where=False).shape == (6, 5)


@every_forward
def test_dtype(xp, function):
    x = np.array([-3, -1, 2], np.float32)
    for given, dtype in [(x, np.float64), (x.astype(np.int16), "f4"), (x, np.float16), (x.astype(np.int8), bfloat16)]:
        result = function(xp.asarray(given), dtype=dtype)
        assert_same_bits(to_numpy(result), to_numpy(function(xp.asarray(given.astype(dtype)))))


@every_backward
def test_backward_out_may_be_grad_or_x(xp, function):
    rng = np.random.default_rng(0)
    grad, x = (any_bits(rng, (7, 9), np.float32) for _ in range(2))
    expected = to_numpy(function(xp.asarray(grad), xp.asarray(x)))
    for target in (0, 1):
        operands = [xp.asarray(grad.copy()), xp.asarray(x.copy())]
        assert function(*operands, out=operands[target]) is operands[target]
        assert_same_bits(to_numpy(operands[target]), expected)
        assert_same_bits(to_numpy(operands[1 - target]), (grad, x)[1 - target])


# ---------------------------------------------------------------------------------------------- PReLU


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(0, (2,)), (1, (3,)), (-1, (5,)), ((1,), (3,)), ((1, 3), (3, 5)), ((3, 1), (5, 3)), ((0, 1, 2, 3), (2, 3, 4, 5)),
     ((1, 2), (3, 1)), (None, ()), (None, (1,)), (None, (4, 5)), (None, (3, 1, 1)), (None, (2, 3, 4, 5))],
)  # fmt: skip
def test_prelu_axis(xp, axis, shape):
    rng = np.random.default_rng(0)
    x, grad, weight = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3, 4, 5)), rng.normal(size=shape)
    axes = range(4 - len(shape), 4) if axis is None else [axis % 4] if isinstance(axis, int) else axis
    letters = "abcd"
    chosen = "".join(letters[k] for k in axes)
    # Written as sums over named indices, since the implementation reshapes.
    full = np.broadcast_to(weight, [x.shape[k] for k in axes])
    slopes = np.einsum(f"{chosen},{letters}->{letters}", full, np.ones_like(x))
    negative = np.where(x > 0, 0, grad * x)
    expected = np.einsum(f"{letters}->{chosen}", negative)
    for k, length in enumerate(shape):
        if length == 1:
            expected = expected.sum(k, keepdims=True)

    device = [xp.asarray(array) for array in (grad, x, weight)]
    y = pyleaky.prelu(*device[1:], axis=axis)
    dx, dweight = pyleaky.prelu_backward(*device, axis=axis)
    np.testing.assert_array_equal(to_numpy(y), np.where(x > 0, x, slopes * x))
    np.testing.assert_array_equal(to_numpy(dx), np.where(x > 0, grad, slopes * grad))
    assert dweight.shape == shape
    np.testing.assert_allclose(to_numpy(dweight), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, *HALVES])
def test_prelu_weight_gradient_is_summed_in_float64(xp, dtype):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(100_000, 2)).astype(dtype) for _ in range(2))
    exact = np.where(x > 0, 0, grad.astype(np.longdouble) * x.astype(np.longdouble)).sum(0).astype(dtype)
    weight = xp.asarray(np.ones(2, dtype))
    _, dweight = pyleaky.prelu_backward(xp.asarray(grad), xp.asarray(x), weight)
    assert dweight.dtype == dtype
    assert ulps_apart(to_numpy(dweight), exact).max() <= 1
    _, again = pyleaky.prelu_backward(xp.asarray(grad), xp.asarray(x), weight)
    assert_same_bits(to_numpy(again), to_numpy(dweight))


def test_prelu_weight_gradient_dtypes(xp):
    x = xp.asarray(np.full((4, 2), -1, np.float32))
    for weight, expected in [*((dtype, dtype) for dtype in DTYPES), ("i4", np.float64)]:
        dx, dweight = pyleaky.prelu_backward(x, x, xp.asarray(np.ones(2, weight)))
        assert dx.dtype == np.result_type(np.float32, weight)
        assert dweight.dtype == expected
    _, dweight = pyleaky.prelu_backward(x, x, 0.25)
    assert dweight.dtype == np.float32
    assert float(dweight) == 8


# ---------------------------------------------------------------------------------------------- processes and threads


def test_functions_pickle_and_copy():
    for name in CALLABLES:
        function = getattr(pyleaky, name)
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy(function) is function
    for name in pyleaky._core.ROWS:
        ufunc = getattr(pyleaky._core, name)
        assert pickle.loads(pickle.dumps(ufunc)) is ufunc


def test_many_threads_at_once():
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=n).astype(np.float32) for n in (10, 1000, 50_000, 300_000)]
    expected = [np.where(x > 0, x, np.float32(0.1) * x) for x in inputs]
    wrong = []

    def work():
        for _ in range(30):
            for x, y in zip(inputs, expected, strict=True):
                if not np.array_equal(pyleaky.leaky_relu(x, 0.1), y):
                    wrong.append(x.size)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _in_child(x):
    return pyleaky.leaky_relu(x, 0.1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
# A fork of a process with threads is exactly what is tested.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_child_processes(method):
    x = np.linspace(-1, 1, 100_000, dtype=np.float32)
    with multiprocessing.get_context(method).Pool(2) as pool:
        for result in pool.map(_in_child, [x] * 4):
            assert_same_bits(result, pyleaky.leaky_relu(x, 0.1))
