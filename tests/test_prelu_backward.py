"""PReLU's two gradients in one pass: dx to the bit, and sums that no ISA, layout of threads or cancellation changes."""

import contextlib
import math
import tracemalloc

import numpy as np
import pytest
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, compute_type, layouts, ulps_apart

import pyleaky
from pyleaky import _core

# Shape, axes of the weight: rows, columns and blocks of each kind, and what falls between.
SHAPES = [
    ((4, 3), 1),
    ((9, 64), 1),
    ((100, 67), -1),
    ((300, 5), 1),
    ((1000, 2), 1),
    ((3, 600), 1),
    ((64, 9), 0),
    ((2, 4097), 0),
    ((6, 5, 7, 7), 1),
    ((33, 3, 7, 7), 1),
    ((2, 3, 70, 70), 1),
    ((7, 6, 5, 3), -1),
    ((5, 4, 3, 17), (1, 2)),
    ((40, 3, 4), (1, 2)),
    ((40, 70), (0, 1)),
    ((6, 5, 7), (0, 1, 2)),
    ((6, 5, 4, 30), (0, 2)),
    ((3, 4, 50, 6, 8), (1, 3)),
    ((2, 3, 2, 3, 40, 20), (1, 3, 5)),
    ((5, 4, 3), (0, 2)),
    ((8, 1, 5), 1),
    ((3, 1, 5), (0, 1)),
    ((1, 6), 1),
    ((6, 1), 1),
    ((0, 3), 1),
    ((3, 0), 0),
    ((8200,), None),
    ((3, 50), None),
]


@contextlib.contextmanager
def pyleaky_without_cache():
    """tracemalloc sees what is allocated, not what is recycled."""
    limit = pyleaky.cache_info().limit
    pyleaky.set_cache_limit(0)
    try:
        yield
    finally:
        pyleaky.set_cache_limit(limit)


every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def arrays_of(shape, axis, dtype, seed=0):
    rng = np.random.default_rng(seed)
    grad, x = (rng.normal(0, 2, shape).astype(dtype) for _ in range(2))
    axes = () if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, len(shape))
    weight = 0.3 if axis is None else rng.normal(size=[shape[k] for k in axes]).astype(dtype)
    return grad, x, weight, axes


@every_dtype
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_against_exact_sums(isa, shape, axis, dtype):
    grad, x, weight, axes = arrays_of(shape, axis, dtype)
    dx, dweight = pyleaky.prelu_backward(grad, x, weight, axis=axis)
    laid = weight if axis is None else np.reshape(weight, [n if k in axes else 1 for k, n in enumerate(shape)])
    assert_same_bits(dx, pyleaky.leaky_relu_backward(grad, x, laid))
    terms = np.where(x > 0, 0.0, grad.astype(np.float64) * x.astype(np.float64))
    kept = [shape[k] for k in axes]
    terms = np.moveaxis(terms, axes, range(len(axes)))
    exact = np.array([math.fsum(terms[index].ravel()) for index in np.ndindex(*kept)]).reshape(kept)
    assert np.shape(dweight) == np.shape(weight)
    assert dweight.dtype == dtype
    if dtype is np.float64:
        np.testing.assert_allclose(dweight, exact, rtol=1e-14, atol=1e-13)
    else:
        assert (ulps_apart(np.asarray(dweight), exact.astype(dtype)) <= 1).all()


@every_dtype
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_equal_bits_on_every_isa(shape, axis, dtype):
    grad, x, weight, _ = arrays_of(shape, axis, dtype)
    before, results = _core.isa(), []
    for isa in _core.isas():
        _core.use_isa(isa)
        results.append(pyleaky.prelu_backward(grad, x, weight, axis=axis))
    _core.use_isa(before)
    for dx, dweight in results:
        assert_same_bits(dx, results[0][0])
        assert_same_bits(dweight, results[0][1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis"), [((20_000, 64), 1), ((64, 32, 14, 14), 1), ((64, 64, 7, 7), 1), ((1_000_003,), None)]
)
def test_equal_bits_for_any_number_of_threads(shape, axis, dtype):
    grad, x, weight, _ = arrays_of(shape, axis, dtype)
    results = []
    for count in (1, 2, 3, 7):
        with pyleaky.num_threads(count):
            results.append(pyleaky.prelu_backward(grad, x, weight, axis=axis))
    for dx, dweight in results[1:]:
        assert_same_bits(dx, results[0][0])
        assert_same_bits(dweight, results[0][1])


@pytest.mark.parametrize("shape", [(1_000_000,), (1000, 1000), (62_500, 16)])
def test_a_million_elements_of_mixed_sign(shape):
    """Within one unit of the last place of the correctly rounded sum, in float32."""
    rng = np.random.default_rng(0)
    grad = (rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 3, shape)).astype(np.float32)
    x = -np.abs(rng.normal(size=shape)).astype(np.float32)
    axis = None if len(shape) == 1 else 1
    weight = 0.1 if axis is None else np.full(shape[1], 0.1, np.float32)
    _, dweight = pyleaky.prelu_backward(grad, x, weight, axis=axis)
    products = grad.astype(np.float64) * x
    exact = [math.fsum(column) for column in products.reshape(-1, 1 if axis is None else shape[1]).T]
    assert (ulps_apart(np.atleast_1d(dweight), np.float32(exact)) <= 1).all()


def test_cancellation_in_float64():
    """What a plain sum in float64 loses."""
    n = 10_001
    x = -np.ones(n)
    grad = np.tile([1e16, 3.0, -1e16], 3334)[:n]
    _, dweight = pyleaky.prelu_backward(grad, x, 0.1)
    assert dweight == -math.fsum(grad)
    spread = np.zeros((n, 2, 300, 3))
    spread[:, 1, 7] = grad[:, None]
    _, dweight = pyleaky.prelu_backward(spread, -np.ones_like(spread), np.full((2, 3), 0.1), axis=(1, 3))
    assert dweight.tolist() == [[0.0] * 3, [-math.fsum(grad)] * 3]
    many = np.ascontiguousarray(np.broadcast_to(grad[:, None], (n, 5)))
    _, dweight = pyleaky.prelu_backward(many, -np.ones((n, 5)), np.full(5, 0.1), axis=1)
    assert dweight.tolist() == [-math.fsum(grad)] * 5


def test_nothing_of_x_s_size_beside_the_gradients():
    """In every layout of weights that is gone through once, what is allocated is dx, dweight and some sums."""
    cases = [
        ((64, 50, 400), 1),
        ((8, 40, 10, 400), (0, 2)),
        ((1000, 1280), (0, 1)),
        ((64, 50, 400), 2),
        ((9, 99999), None),
    ]
    for k, (shape, axis) in enumerate(cases):
        grad, x, weight, _ = arrays_of(shape, axis, np.float32)
        if k > 2:
            grad, x = np.asfortranarray(grad), np.asfortranarray(x)
        weight = np.asarray(weight, np.float32)
        with pyleaky_without_cache():
            tracemalloc.start()
            pyleaky.prelu_backward(grad, x, weight, axis=axis)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < x.nbytes + weight.nbytes + x.nbytes / 20


def test_special_values():
    for dtype in DTYPES:
        grad, x = (any_bits(np.random.default_rng(seed), (40, 64), dtype) for seed in (0, 1))
        weight = any_bits(np.random.default_rng(2), 64, dtype)
        dx, _ = pyleaky.prelu_backward(grad, x, weight, axis=1)
        assert_same_bits(dx, pyleaky.leaky_relu_backward(grad, x, weight[None]))
    for term, expected in [(np.inf, -np.inf), (np.nan, np.nan)]:
        grad = np.ones((50, 3), np.float32)
        grad[7, 1] = term
        for axis, weight in ((1, np.ones(3, np.float32)), (None, 0.5)):
            _, dweight = pyleaky.prelu_backward(grad, -np.ones_like(grad), weight, axis=axis)
            np.testing.assert_array_equal(np.ravel(dweight)[1 if axis else 0], expected)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_number_is_not_rounded_to_a_half_type(dtype):
    grad, x, _, _ = arrays_of((5000,), None, dtype)
    dx, _ = pyleaky.prelu_backward(grad, x, 0.1)
    wide = np.where(x > 0, grad.astype(np.float32), np.float32(0.1) * grad.astype(np.float32))
    assert_same_bits(dx, wide.astype(dtype))
    assert compute_type(dtype) is np.float32


def test_other_layouts_agree():
    grad, x, weight, _ = arrays_of((6, 5, 7), 1, np.float32)
    expected = pyleaky.prelu_backward(grad, x, weight, axis=1)
    for dx, dweight in [
        pyleaky.prelu_backward(np.asfortranarray(grad), np.asfortranarray(x), weight, axis=1),
        pyleaky.prelu_backward(grad, np.asfortranarray(x), weight, axis=1),
        pyleaky.prelu_backward(grad, x, np.repeat(weight, 2)[::2], axis=1),
        pyleaky.prelu_backward(grad, x, weight[:, None]),
    ]:
        assert_same_bits(dx, expected[0])
        np.testing.assert_allclose(np.ravel(dweight), expected[1], rtol=1e-6)


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "transposed", "byte-swapped", "unaligned"])
def test_sums_of_every_layout_are_compensated(layout):
    """Where products of float64 cancel, what is left is that of an exact sum."""
    rng = np.random.default_rng(4)
    grad = rng.normal(size=(40, 3, 50)) * 10.0 ** rng.integers(-8, 8, (40, 3, 50))
    grad = np.concatenate([grad, -grad, rng.normal(size=grad.shape)], axis=2)
    x = np.full(grad.shape, -1.0)
    weight = np.array([0.1, 0.2, 0.3])
    expected = [math.fsum(-grad[:, k].ravel()) for k in range(3)]
    other = dict(layouts(grad))[layout]
    dx, dweight = pyleaky.prelu_backward(other, x, weight, axis=1)
    np.testing.assert_array_equal(dx, grad * weight[:, None])
    assert ulps_apart(dweight, np.array(expected)).max() <= 1
