"""pyleaky.training: norms and clipping, L2 and decay, on both back ends, and every error with nothing half done."""

import doctest
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from arrays import DTYPES, HALVES, assert_same_bits, bfloat16, layouts, specials, ulps_apart
from conftest import to_numpy
from ml_dtypes import finfo

import pyleaky
from pyleaky import _arguments, _core, kernels, training

INPLACE = {
    "clip_grad_norm": lambda arrays: training.clip_grad_norm(arrays, 0.5),
    "clip_grad_value": lambda arrays: training.clip_grad_value(arrays, 0.5),
    "add_l2_grad": lambda arrays: training.add_l2_grad(arrays, [array.copy() for array in arrays], 0.5),
    "decoupled_weight_decay": lambda arrays: training.decoupled_weight_decay(arrays, 0.5, 0.5),
}
every_inplace = pytest.mark.parametrize("function", INPLACE.values(), ids=INPLACE.keys())
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def exact_norm(arrays, p):
    """In rational numbers, and one root at the end."""
    numbers = [abs(Fraction(float(number))) for array in arrays for number in np.asarray(array).ravel()]
    if p == math.inf:
        return float(max(numbers, default=0))
    total = sum(number**p for number in numbers)
    if p == 1 or total == 0:
        return float(total)
    shift = 4 * ((total.denominator.bit_length() - total.numerator.bit_length()) // 4)
    return float(Fraction(math.isqrt(int(total * Fraction(2) ** (shift + 240)))) / Fraction(2) ** (shift // 2 + 120))


def some(rng, dtype, shapes=((3, 4), (7,), (), (2, 0, 3), (5, 1))):
    return [np.asarray(rng.normal(0, 2, shape)).astype(dtype) for shape in shapes]


# ---- norms


@every_dtype
@pytest.mark.parametrize("p", [1, 2, math.inf])
def test_norm_of_any_length_and_place(isa, dtype, p):
    rng = np.random.default_rng(0)
    for n in [*range(0, 70), 4095, 4096, 4097, 12_345]:
        x = rng.normal(0, 1, n + 3).astype(dtype)[n % 3 :][:n]
        assert training.clip_grad_norm([x.copy()], math.inf, p) == pytest.approx(exact_norm([x], p), rel=1e-15)


@pytest.mark.parametrize("p", [1, 2, math.inf])
@pytest.mark.parametrize("size", [1e308, 1e200, 1e155, 1e-155, 1e-200, 1e-300, 5e-324])
def test_norms_neither_overflow_nor_vanish(isa, p, size):
    rng = np.random.default_rng(1)
    for n in (1, 20, 5000):
        x = rng.uniform(-1, 1, n) * size / (n if p != math.inf and size > 1e300 else 1)
        assert training.clip_grad_norm([x], math.inf, p) == pytest.approx(exact_norm([x], p), rel=2e-15, abs=5e-324)
    mixed = np.array([1e-200, size, 1e-310, -size])  # blocks of every range
    mixed = np.concatenate([np.full(4096, 1e-200), mixed / 4, np.zeros(4096), np.full(4096, 3.0)])
    assert training.clip_grad_norm(mixed, math.inf, p) == pytest.approx(exact_norm([mixed], p), rel=2e-15)


@pytest.mark.parametrize("p", [1, 2])
def test_a_norm_that_float64_cannot_hold_still_clips(p):
    grads = [np.full(3, 1.7e308), np.array([-1.7e308])]
    assert training.clip_grad_norm(grads, 1.0, p, error_if_nonfinite=True) == math.inf
    expected = 1 / 4 if p == 1 else 1 / 2
    np.testing.assert_allclose(np.concatenate(grads), [expected, expected, expected, -expected], rtol=1e-15)


@every_dtype
@pytest.mark.parametrize("p", [0.5, 3, 7.3])
def test_any_other_norm(xp, dtype, p):
    rng = np.random.default_rng(2)
    arrays = some(rng, dtype)
    wide = np.concatenate([array.astype(np.longdouble).ravel() for array in arrays])
    exact = (np.abs(wide) ** p).sum() ** (1 / np.longdouble(p))
    found = training.clip_grad_norm([xp.asarray(array) for array in arrays], math.inf, p)
    assert float(found) == pytest.approx(float(exact), rel=1e-13)
    assert training.clip_grad_norm(np.full(70_000, 1e300), math.inf, 3) == pytest.approx(1e300 * 70_000 ** (1 / 3))


@every_dtype
def test_norm_does_not_depend_on_threads_or_isa(dtype):
    x = np.random.default_rng(3).normal(0, 1, 1_000_003).astype(dtype)
    found = set()
    before = _core.isa()
    for name in _core.isas():
        _core.use_isa(name)
        for threads in (1, 2, 3, 7):
            with pyleaky.num_threads(threads):
                found.add(tuple(training.clip_grad_norm(x, math.inf, p) for p in (1, 2, math.inf)))
    _core.use_isa(before)
    assert len(found) == 1
    one, two, largest = found.pop()
    assert two == pytest.approx(float(np.sqrt((x.astype(np.longdouble) ** 2).sum())), rel=1e-14)
    assert one == pytest.approx(float(np.abs(x.astype(np.longdouble)).sum()), rel=1e-14)
    assert largest == float(np.abs(x).max())


@every_dtype
def test_norm_of_any_layout(dtype):
    base = np.random.default_rng(4).normal(0, 1, (5, 7)).astype(dtype)
    for _, array in layouts(base):
        assert _core.norm(array, 2)[0] == pytest.approx(exact_norm([base], 2), rel=1e-15)


@every_dtype
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_norm_of_what_is_not_finite(isa, dtype, bad):
    for n in (1, 5, 40, 5000):
        for place in {0, n // 2, n - 1}:
            x = np.ones(n, dtype)
            x[place] = bad
            for p in (1, 2, math.inf, 3):
                found = training.clip_grad_norm([x.copy()], 1.0, p)
                assert math.isnan(found) if math.isnan(bad) else found == math.inf
    assert math.isnan(_core.norm(np.array([math.nan, math.inf, 1.0], dtype), 0)[0])


def test_memoryview_norms():
    x = np.random.default_rng(5).normal(0, 1, 1000)
    for suffix, dtype, view in (
        ("f32", np.float32, np.float32),
        ("f64", np.float64, np.float64),
        ("f16", np.float16, np.uint16),
    ):
        given = x.astype(dtype)
        for p, kind in ((1, 1), (2, 2), (math.inf, 0)):
            assert getattr(kernels, f"norm_{suffix}")(given.view(view), p) == _core.norm(given, kind)[0]
    assert kernels.norm_f32(np.empty(0, np.float32), 2) == 0
    with pytest.raises(ValueError, match=r"p must be 1, 2 or infinite, got 3\.0"):
        kernels.norm_f32(np.ones(3, np.float32), 3)


# ---- clipping


@every_dtype
@pytest.mark.parametrize("p", [1, 2, math.inf, 3])
def test_clip_grad_norm(xp, dtype, p):
    rng = np.random.default_rng(6)
    before = some(rng, dtype)
    norm = np.float64(training.clip_grad_norm([array.copy() for array in before], math.inf, p))
    for bound in (norm * 2, norm, norm / 2, norm / 1000, 0.0):
        grads = {str(k): xp.asarray(array.copy()) for k, array in enumerate(before)}
        held = list(grads.values())
        assert float(training.clip_grad_norm(grads, bound, p)) == pytest.approx(norm, rel=1e-14)
        for grad, same, array in zip(grads.values(), held, before, strict=True):
            assert grad is same
            compute = np.float64 if dtype is np.float64 else np.float32
            expected = array if bound >= norm else (array.astype(compute) * compute(bound / norm)).astype(dtype)
            apart = ulps_apart(to_numpy(grad), expected)  # the norm's last bit may turn a rounding of the factor
            assert apart.max(initial=0) <= (2 if dtype in (np.float32, np.float64) else 1)


def test_nothing_is_written_within_the_bound():
    grads = [np.ones(4), np.ones(3)]
    for grad in grads:
        grad[0] = -0.0
    bits = [grad.tobytes() for grad in grads]
    training.clip_grad_norm(grads, 100.0)
    assert [grad.tobytes() for grad in grads] == bits


def test_an_infinite_bound_changes_nothing(xp):
    for bad in (math.nan, math.inf, -math.inf, 1e308):
        for dtype in (np.float64, np.float32):
            with np.errstate(over="ignore"):
                before = [np.array([3.0, bad, -0.0, bad]).astype(dtype), np.array([[2.0, bad]]).astype(dtype)]
            grads = [xp.asarray(array.copy()) for array in before]
            for p in (1, 2, 3, math.inf) if xp is np else (2,):
                norm = float(training.clip_grad_norm(grads, math.inf, p))
                assert math.isnan(norm) == math.isnan(bad)
                for grad, array in zip(grads, before, strict=True):
                    assert_same_bits(to_numpy(grad), array)


@every_dtype
@pytest.mark.parametrize("bound", [1e-7, 1e-30, 1e-38, 1e-42, 5e-324])
def test_factors_below_the_range_of_the_dtype(dtype, bound):
    """Against rational numbers: within an ULP of the result, subnormal ones included."""
    rng = np.random.default_rng(15)
    for exponent in (-20, 0, 15, 60, 126, 1000):
        if 2.0**exponent > float(finfo(dtype).max):
            continue
        before = (rng.uniform(-1, 1, 300) * 2.0**exponent).astype(dtype)
        grad = before.copy()
        factor = Fraction(bound) / Fraction(training.clip_grad_norm(grad, bound))
        expected = [Fraction(float(number)) * min(factor, 1) for number in before]
        assert (np.signbit(grad) == np.signbit(before)).all()
        wide = np.float64 if dtype is np.float64 else np.float32  # of a half type's one rounding
        rounded = np.array([float(number) for number in expected]).astype(wide).astype(dtype)
        assert ulps_apart(grad, rounded).max() <= 1


def test_the_largest_and_the_smallest_norms_clip():
    for p, expected in ((1, 1 / 2), (2, math.sqrt(1 / 2)), (3, 0.5 ** (1 / 3)), (math.inf, 1.0), (0.5, 1 / 4)):
        grads = [np.array([1.7e308]), np.array([-1.7e308])]
        assert training.clip_grad_norm(grads, 1.0, p) == (1.7e308 if p == math.inf else math.inf)
        np.testing.assert_allclose(np.concatenate(grads), [expected, -expected], rtol=1e-14)
        grads = [np.array([1.7e308]), np.array([-1.7e308]), np.array([5e-324])]
        training.clip_grad_norm(grads, 1e-300, p)
        np.testing.assert_allclose(np.concatenate(grads), [1e-300 * expected, -1e-300 * expected, 0], rtol=1e-14)
    grad = np.full(3, 1e-200)
    assert training.clip_grad_norm(grad, 1e300) == pytest.approx(math.sqrt(3) * 1e-200)
    assert (grad == 1e-200).all()
    for p in (1e-3, 1e-300, 5e-324):  # powers beyond float64
        grads = [np.ones(5), np.ones(3)]
        assert training.clip_grad_norm(grads, 1.0, p) == math.inf
        assert not np.concatenate(grads).any()


def test_what_is_not_finite_without_the_error_is_as_in_pytorch(xp):
    grads = [xp.asarray(np.array([1.0, math.nan])), xp.asarray(np.array([2.0]))]
    assert math.isnan(float(training.clip_grad_norm(grads, 1.0)))
    assert all(np.isnan(to_numpy(grad)).all() for grad in grads)
    grads = [xp.asarray(np.array([1.0, math.inf])), xp.asarray(np.array([2.0]))]
    assert float(training.clip_grad_norm(grads, 1.0)) == math.inf
    assert_same_bits(to_numpy(grads[0]), np.array([0.0, math.nan]))
    assert_same_bits(to_numpy(grads[1]), np.array([0.0]))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_named(xp, bad):
    arrays = [np.full(3, 5.0), np.array([[1.0, bad]]), np.array([bad])]
    grads = dict(zip("abc", map(xp.asarray, arrays), strict=True))
    with pytest.raises(ValueError, match=r"^grads\['b'\] .*nothing was changed"):
        training.clip_grad_norm(grads, 1.0, error_if_nonfinite=True)
    with pytest.raises(ValueError, match=r"^grads\[1\] .*nothing was changed"):
        training.clip_grad_norm(list(grads.values()), 1.0, error_if_nonfinite=True)
    for grad, array in zip(grads.values(), arrays, strict=True):
        assert_same_bits(to_numpy(grad), array)


@every_dtype
def test_clip_grad_value(xp, dtype):
    base = specials(dtype)
    for bound in (0.0, 0.1, 1.0, 1e5, math.inf):
        grad = xp.asarray(base.copy())
        training.clip_grad_value(grad, bound)
        with np.errstate(all="ignore"):
            wide = base.astype(np.float64 if dtype is np.float64 else np.float32)
            expected = np.clip(wide, -wide.dtype.type(bound), wide.dtype.type(bound)).astype(dtype)
        assert (to_numpy(grad) == expected)[~np.isnan(base)].all()
        assert (np.isnan(to_numpy(grad)) == np.isnan(base)).all()


def test_against_pytorch(torch):
    rng = np.random.default_rng(7)
    for p in (1.0, 2.0, 3.0, math.inf):
        for bound in (0.1, 5.0, 1e9):
            grads = some(rng, np.float32, ((3, 4), (7,), (5, 1)))  # PyTorch has no largest of an empty one
            parameters = [torch.nn.Parameter(torch.zeros(grad.shape)) for grad in grads]
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.grad = torch.from_numpy(grad.copy())
            theirs = torch.nn.utils.clip_grad_norm_(parameters, bound, p)
            assert training.clip_grad_norm(grads, bound, p) == pytest.approx(float(theirs), rel=1e-5)
            for parameter, grad in zip(parameters, grads, strict=True):
                np.testing.assert_allclose(grad, parameter.grad.numpy(), rtol=1e-5, atol=1e-7)


# ---- L2


@every_dtype
def test_l2_penalty(xp, dtype):
    arrays = some(np.random.default_rng(8), dtype)
    exact = sum(Fraction(float(number)) ** 2 for array in arrays for number in array.ravel())
    found = training.l2_penalty([xp.asarray(array) for array in arrays], 0.3)
    assert float(found) == pytest.approx(float(Fraction(0.15) * exact), rel=1e-14)


def test_l2_penalty_is_right_where_the_squares_overflow():
    assert training.l2_penalty([np.full(4, 1e160)], 1e-30) == pytest.approx(2e290, rel=1e-14)
    assert training.l2_penalty([np.full(4, 1e160)], 1.0) == math.inf
    assert training.l2_penalty([np.array([3.0])], 0.0) == 0
    for decay, size in ((5e-324, 1e160), (1e308, 1e-300), (1e-200, 1e200), (1e307, 1.0)):
        expected = float(Fraction(decay) / 2 * Fraction(size) ** 2 * 4)
        assert training.l2_penalty([np.full(4, size)], decay) == pytest.approx(expected, rel=1e-14)


@every_dtype
def test_add_l2_grad(xp, dtype):
    rng = np.random.default_rng(9)
    grads, weights = some(rng, dtype), some(rng, dtype)
    given = [xp.asarray(grad.copy()) for grad in grads]
    training.add_l2_grad(given, [xp.asarray(weight) for weight in weights], 0.1)
    compute = np.float64 if dtype is np.float64 else np.float32
    for found, grad, weight in zip(given, grads, weights, strict=True):
        expected = (grad.astype(compute) + compute(0.1) * weight.astype(compute)).astype(dtype)
        assert_same_bits(to_numpy(found), expected)


def test_add_l2_grad_is_the_gradient_of_the_penalty():
    weight = np.random.default_rng(10).normal(0, 1, (3, 4))
    grad, step = np.zeros_like(weight), 1e-6
    training.add_l2_grad(grad, weight, 0.7)
    for index in np.ndindex(weight.shape):
        up, down = weight.copy(), weight.copy()
        up[index] += step
        down[index] -= step
        slope = (training.l2_penalty(up, 0.7) - training.l2_penalty(down, 0.7)) / (2 * step)
        assert grad[index] == pytest.approx(slope, abs=1e-8)


def test_add_l2_grad_with_weights_of_another_dtype_and_order():
    rng = np.random.default_rng(11)
    grad, weight = (
        rng.normal(0, 1, (4, 5)).astype(np.float16),
        np.asfortranarray(rng.normal(0, 1, (4, 5)).astype(np.float32)),
    )
    expected = (grad.astype(np.float32) + np.float32(0.1) * weight).astype(np.float16)
    training.add_l2_grad({"a": grad}, {"a": weight}, 0.1)
    assert_same_bits(grad, expected)


def test_gradients_and_weights_that_share_memory():
    """The result is that of copies, wherever the weights lie."""
    rng = np.random.default_rng(16)
    shared = 0
    for _ in range(400):
        memory = rng.normal(0, 1, 60)
        parts = rng.permutation(5)[: rng.integers(1, 5)]
        # Gradients beside each other, and weights anywhere: the same arrays in another order, or some bytes beside.
        grads = [memory[12 * part :][:12].reshape(3, 4) for part in parts]
        starts = [8 * 12 * int(part) for part in rng.permutation(parts)]
        starts = [int(np.clip(start + rng.choice([0, 8, -8, 4, 40]), 0, 8 * 48)) for start in starts]
        dtype = rng.choice([np.float64, np.float32])
        order = rng.choice([-1, 1])
        weights = [np.ndarray((3, 4), dtype, memory.data, start)[::order] for start in starts]
        if _arguments.find_shared(weights) is not None:
            continue
        before = memory.copy()
        expected = [grad.copy() for grad in grads]
        shared += any(np.shares_memory(grad, weight) for grad in grads for weight in weights)
        training.add_l2_grad(expected, [weight.copy() for weight in weights], 0.5)
        training.add_l2_grad(grads, weights, 0.5)
        for grad, wanted in zip(grads, expected, strict=True):
            assert_same_bits(grad, wanted)
        beside = np.setdiff1d(np.arange(5), parts)
        assert_same_bits(memory.reshape(5, 12)[beside], before.reshape(5, 12)[beside])
    assert shared > 100


def test_gradients_and_weights_in_another_order(xp):
    base = np.arange(12.0).reshape(3, 4)
    rows = [*xp.asarray(base.copy())]
    training.add_l2_grad([None, *rows], [None, rows[1], rows[2], rows[0]], 0.5)
    np.testing.assert_array_equal(to_numpy(rows[2]), base[2] + 0.5 * base[0])
    training.add_l2_grad(rows, rows, 0.5)
    np.testing.assert_array_equal(to_numpy(rows[2]), 1.5 * (base[2] + 0.5 * base[0]))


@every_dtype
def test_decoupled_weight_decay(xp, dtype):
    weights = some(np.random.default_rng(12), dtype)
    given = [xp.asarray(weight.copy()) for weight in weights]
    training.decoupled_weight_decay(given, 0.1, 0.3)
    compute = np.float64 if dtype is np.float64 else np.float32
    for found, weight in zip(given, weights, strict=True):
        assert_same_bits(to_numpy(found), (weight.astype(compute) * compute(1 - 0.1 * 0.3)).astype(dtype))


# ---- any arrays, and errors


@every_inplace
@every_dtype
def test_every_layout_is_changed_in_place_and_nothing_beside_it(function, dtype):
    base = np.random.default_rng(13).normal(0, 2, (4, 6)).astype(dtype)
    expected = base.copy()
    function([expected])
    for name, array in layouts(base):
        if name != "read-only":
            function([array])
            assert_same_bits(array.astype(dtype), expected)
    frame = np.full((4, 13), 77, dtype)
    frame[:, 1::2] = base
    function([frame[:, 1::2]])
    assert_same_bits(frame[:, 1::2].copy(), expected)
    assert (frame[:, ::2] == 77).all()


@every_inplace
def test_no_arrays_and_empty_ones(xp, function):
    function([xp.asarray(np.zeros((0, 3)))])
    assert training.clip_grad_norm([], 1.0) == 0
    assert training.clip_grad_norm({}, 1.0) == 0
    assert training.l2_penalty([], 1.0) == 0
    assert float(training.clip_grad_norm([xp.asarray(np.zeros(0))], 1.0)) == 0
    assert training.clip_grad_norm({"a": np.array([3.0, 4.0])}.values(), 10.0) == 5


@every_inplace
def test_arrays_that_are_refused(function):
    fixed = np.ones(3)
    fixed.flags.writeable = False
    twice, matrix = np.ones(3), np.ones((4, 6))
    for arrays, error, message in (
        ([np.full(3, 9.0), fixed], ValueError, r"\[1\] is read-only"),
        ([np.full(3, 9.0), np.ones(3, int)], TypeError, r"\[1\] has dtype int64, expected one of float16"),
        ([np.full(3, 9.0), np.ones(3, complex)], TypeError, r"\[1\] has dtype complex128"),
        ([twice, np.full(3, 9.0), twice], ValueError, r"\[0\] and .*\[2\] share memory"),
        ([matrix, np.full(3, 9.0), matrix[1]], ValueError, r"\[0\] and .*\[2\] share memory"),
        ([matrix[:, ::2], matrix[:, 1:3]], ValueError, r"\[0\] and .*\[1\] share memory"),
        (
            [np.full(3, 9.0), np.ma.masked_array([1.0])],
            TypeError,
            r"\[1\] must be a NumPy or CuPy array, got MaskedArray",
        ),
    ):
        kept = [np.array(array) for array in arrays]
        with pytest.raises(error, match=message):
            function(arrays)
        for array, before in zip(arrays, kept, strict=True):
            np.testing.assert_array_equal(array, before)


# name: (the lists that are changed, those that are read, the call)
LISTS = {
    **{name: (1, 0, function) for name, function in INPLACE.items() if name != "add_l2_grad"},
    "clip_grad_norm, error_if_nonfinite": (
        1,
        0,
        lambda grads: training.clip_grad_norm(grads, 0.5, error_if_nonfinite=True),
    ),
    "add_l2_grad": (1, 1, lambda grads, params: training.add_l2_grad(grads, params, 0.5)),
    "l2_penalty": (0, 1, lambda params: training.l2_penalty(params, 0.5)),
}


def bad_arrays(cupy, others):
    """One element that no list may have, by kind; `read` where a list that is only read may have it."""
    fixed = np.ones(4, np.float16)
    fixed.flags.writeable = False
    yield "read-only", fixed
    yield "broadcast", np.lib.stride_tricks.as_strided(np.ones(1, np.float16), (4,), (0,))
    yield "windows", np.lib.stride_tricks.sliding_window_view(np.ones(8, np.float16), 4, writeable=True)[1:]
    for dtype in (int, bool, complex, "U1", "f4,f4", "M8[s]", np.longdouble):
        yield f"of {dtype}", np.zeros(4, dtype)
    yield "objects", np.array([1.0, None, 2.0, 3.0])
    yield "list", [1.0, 2.0, 3.0, 4.0]
    yield "number", 1.0
    yield "masked", np.ma.ones(4, np.float16)
    yield "subclass", np.ones(4, np.float16).view(np.recarray)
    yield "device", cupy.asarray(np.ones(4, np.float16))
    for place, other in enumerate(others):
        yield f"a view of {place}", other.reshape(-1)[2:6]
        yield f"a view of {place} in another dtype", other.reshape(-1)[2:6].view(np.uint8).view(np.float16)


def good_arrays():
    rng = np.random.default_rng(17)
    shapes = {np.float32: (3, 4), np.float64: (6,), np.float16: (4,), bfloat16: (2, 3)}
    return [rng.normal(0, 2, shape).astype(dtype) for dtype, shape in shapes.items()]


def assert_refused(call, lists, error=(TypeError, ValueError)):
    """As lists and as dicts; not a bit of any array changes."""
    for kind in (list, lambda arrays: dict(enumerate(arrays))):
        arrays = [array for arrays in lists for array in arrays if isinstance(array, np.ndarray)]
        before = [array.tobytes() for array in arrays]
        with pytest.raises(error) as raised:
            call(*map(kind, lists))
        assert [array.tobytes() for array in arrays] == before
        assert str(raised.value).startswith(("grads", "params"))


@pytest.mark.parametrize("name", LISTS)
def test_one_bad_array_leaves_all_as_they_were(cupy, name):
    changed, read, call = LISTS[name]
    cases = 0
    for which, place in itertools.product(range(changed + read), range(4)):
        others = good_arrays()
        del others[place]
        for kind in [kind for kind, _ in bad_arrays(cupy, others)]:
            if which >= changed and kind in ("read-only", "broadcast", "windows"):
                continue
            lists = [good_arrays() for _ in range(changed + read)]
            others = [array for k, array in enumerate(lists[which]) if k != place]
            lists[which][place] = bad = dict(bad_arrays(cupy, others))[kind]
            if changed + read == 2 and hasattr(bad, "shape"):  # so that shapes are not what is wrong
                lists[1 - which][place] = np.ones(bad.shape, np.float16)
            assert_refused(call, lists)
            cases += 1
    assert cases >= 4 * 15


def test_pairs_that_do_not_fit_leave_all_as_they_were(cupy):
    call = LISTS["add_l2_grad"][2]
    for place in range(4):
        for grad, weight, message in (
            (np.ones(4, np.float16), np.ones(4, bfloat16), f"{place}] has dtype float16, .* no common dtype"),
            (np.ones(4, bfloat16), np.ones(4, np.float16), f"{place}] has dtype bfloat16, .* no common dtype"),
            (np.ones(4), np.ones(5), f"{place}] has shape "),
            (np.ones(4), np.ones((4, 1)), f"{place}] has shape "),
            (np.ones(4), np.ones(1), f"{place}] has shape "),
            (np.ones(4), cupy.asarray(np.ones(4)), "is a .*; (all|both) must be of one kind"),
            (np.ones(4), None, f"params.{place}. must be a NumPy or CuPy array, got NoneType"),
        ):
            grads, weights = good_arrays(), good_arrays()
            grads[place], weights[place] = grad, weight
            with pytest.raises((TypeError, ValueError), match=message):
                call(grads, weights)
            assert_refused(call, [grads, weights])
        assert_refused(call, [good_arrays(), good_arrays()[:place]], ValueError)
        grads = good_arrays()
        grads[place].flat[-1] = math.nan
        assert_refused(LISTS["clip_grad_norm, error_if_nonfinite"][2], [grads], ValueError)


def test_factors_that_float32_cannot_hold_leave_all_as_they_were():
    for call in (
        lambda arrays: training.add_l2_grad(arrays, [np.zeros_like(array) for array in arrays], 1e39),
        lambda arrays: training.decoupled_weight_decay(arrays, 1e20, 1e19),
        lambda arrays: training.decoupled_weight_decay(arrays, 1e200, 1e200),
    ):
        grads = [np.ones(3), np.ones(2), np.ones(2, np.float32)]
        with pytest.raises(
            ValueError, match=r"weight_decay is .*, in which .*\[2\]|weight_decay must be finite, got inf"
        ):
            call(grads)
        assert all((grad == 1).all() for grad in grads)
    for dtype in (np.float64, np.float32):  # beside a float64 weight both are computed in float64
        grad = np.ones(3, dtype)
        training.add_l2_grad([grad], [np.zeros(3)], 1e39)
        assert (grad == 1).all()


@pytest.mark.parametrize("name", LISTS)
def test_iterators_and_sets_are_refused(name):
    """An iterator may have been read before, and then nothing would happen, in silence."""
    changed, read, call = LISTS[name]
    arrays = [np.full(3, 9.0)]
    items = dict(enumerate(arrays)).items()
    kinds = {"list_iterator": iter, "generator": lambda arrays: (one for one in arrays), "map": lambda a: map(abs, a)}
    kinds |= {"dict_items": lambda _: items, "set": lambda _: set(), "zip": zip}
    for which in range(changed + read):
        for kind, make in kinds.items():
            lists = [arrays] * (changed + read)
            lists[which] = make(arrays)
            if isinstance(lists[which], map):
                list(lists[which])  # exhausted
            with pytest.raises(
                TypeError, match=rf"^(grads|params) must be a list or dict .*, got {kind}; .*list\(\1\)"
            ):
                call(*lists)
            assert (arrays[0] == 9).all()


@pytest.mark.parametrize("name", LISTS)
def test_none_is_skipped(name):
    changed, read, call = LISTS[name]
    expected = [good_arrays() for _ in range(changed + read)]
    given = [[None, *good_arrays()[:2], None, *good_arrays()[2:]] for _ in expected]
    results = call(*expected), call(*given)
    as_dicts = [dict(enumerate([None, *good_arrays(), None])) for _ in range(changed + read)]
    results += (call(*as_dicts),)
    if results[0] is not None:
        assert {*results} == {results[0]}
    for arrays, lists, dicts in zip(expected, given, as_dicts, strict=True):
        for array, one, other in zip(
            arrays, [one for one in lists if one is not None], [*dicts.values()][1:5], strict=True
        ):
            assert_same_bits(one, array)
            assert_same_bits(other, array)
    assert call(*[[None, None]] * (changed + read)) in (None, 0)


def test_the_weight_of_a_gradient_that_is_none_is_skipped():
    grad, frozen = np.ones(3), np.ones(4)
    training.add_l2_grad({"a": None, "b": grad}, {"a": frozen, "b": np.ones(3)}, 0.5)
    training.add_l2_grad([None, grad], ["anything", np.ones(3)], 0.5)
    assert (grad == 2).all()
    assert (frozen == 1).all()


def random_views(rng):
    """Views of one memory in any layout, most of them parts of one matrix or of one array of three dimensions."""
    if rng.random() < 0.4:
        order, dtype = rng.choice(["C", "F"]), rng.choice(["f2", "f4", "f8"])
        base = np.zeros(rng.integers(2, 9, rng.integers(2, 4)), dtype, order)
        for _ in range(rng.integers(2, 7)):
            slices = []
            for length in base.shape:
                ends = np.sort(rng.integers(0, length + 1, 2))
                slices.append(slice(*ends, rng.choice([1, 1, 2, 3])) if rng.random() < 0.7 else rng.integers(length))
            yield base[tuple(slices)][...]
        return
    memory = np.zeros(rng.integers(200, 2000), np.uint8)
    for _ in range(rng.integers(2, 6)):
        size, dims = int(rng.choice([1, 2, 4, 8])), rng.integers(0, 4)
        shape = rng.integers(1, 5, dims)
        strides = rng.integers(-20, 21, dims) * rng.choice([1, size], dims)
        reach = (shape - 1) * strides
        low, high = int(reach[reach < 0].sum()), int(reach[reach > 0].sum()) + size
        if high - low <= memory.size:
            place = int(rng.integers(-low, memory.size - high + 1))
            yield np.ndarray(tuple(shape), f"V{size}", memory.data, place, tuple(map(int, strides)))


def test_arrays_that_share_memory_are_found():
    """Against numpy.shares_memory of every pair, and against the addresses of an array's own elements."""
    rng = np.random.default_rng(18)
    shared = 0
    for _ in range(1200):
        arrays = [*random_views(rng)]
        pairs = itertools.combinations(range(len(arrays)), 2)
        expected = {(a, b) for a, b in pairs if np.shares_memory(arrays[a], arrays[b])}
        found = _arguments.find_shared(arrays)
        assert found in expected if expected else found is None
        shared += bool(expected)
        for array in arrays:
            places = np.zeros(1, int)
            for step, length in zip(array.strides, array.shape, strict=True):
                places = np.add.outer(places, step * np.arange(length)).ravel()
            gaps = np.diff(np.sort(places))
            assert _arguments.overlaps_itself(array) == bool((gaps < array.itemsize).any())
    assert 200 < shared < 1000


PARTS_OF_A_MATRIX = {
    "columns": lambda m: [m[:, k] for k in range(400)],
    "rows in Fortran order": lambda m: [*np.asfortranarray(m)],
    "reversed columns": lambda m: [m[::-1, k] for k in range(399)],
    "columns of another length": lambda m: [m[k % 7 : 40 - k % 5, k] for k in range(400)],
    "odd and even rows": lambda m: [m[start::2, k] for k in range(400) for start in (0, 1)],
    "groups of columns": lambda m: [m[:, k : k + 3] for k in range(0, 400, 3)],
    "every 50th column": lambda m: [m[:, k::50] for k in range(50)],
    "every 50th of 399 columns": lambda m: [m[:, :399][:, k::50] for k in range(50)],
    "tiles": lambda m: [m[i : i + 4, k : k + 10] for i in range(0, 40, 4) for k in range(0, 400, 10)],
    "tiles without the first": lambda m: [m[i : i + 4, k : k + 10] for i in (0, 4) for k in range(0, 400, 10)][1:],
    "channels": lambda m: [m.reshape(10, 4, 20, 20)[:, c, :, k] for c in range(4) for k in range(20)],
    "fields": lambda _: (lambda records: [records[name] for name in records.dtype.names])(
        np.zeros(40, [(f"{k}", "f8" if k % 2 else "f4") for k in range(300)])
    ),
}


@pytest.mark.parametrize("name", PARTS_OF_A_MATRIX)
def test_parts_of_a_matrix_are_not_compared_pair_by_pair(monkeypatch, name):
    parts = PARTS_OF_A_MATRIX[name](np.zeros((40, 400)))
    clusters, sorted_spans, compared = _arguments.clusters, [], []

    def counted(spans):
        spans = list(spans)
        sorted_spans.extend(spans)
        return clusters(spans)

    monkeypatch.setattr(_arguments, "clusters", counted)
    monkeypatch.setattr(np, "shares_memory", lambda *_, **__: compared.append(1))
    assert _arguments.find_shared(parts) is None
    assert not compared
    assert len(sorted_spans) <= 8 * len(parts)


@every_inplace
def test_columns_in_between_each_other_are_apart(function):
    matrix, expected = np.random.default_rng(14).normal(0, 1, (2, 4, 6))
    expected[...] = matrix
    function([expected[:, ::2].copy(), expected[:, 1::2].copy()])
    function([matrix[:, ::2], matrix[:, 1::2]])
    parts = [expected[:, ::2].copy(), expected[:, 1::2].copy()]
    function(parts)
    assert_same_bits(matrix[:, ::2].copy(), parts[0])
    assert_same_bits(matrix[:, 1::2].copy(), parts[1])


@pytest.mark.parametrize("given", [None, 3, "ab", {1}, [[1.0]], [1.0], np.ones(3, object), memoryview(b"ab")])
def test_what_is_no_array_is_refused(given):
    with pytest.raises(TypeError, match=r"^grads(\[0\])? (must be a|has dtype object)"):
        training.clip_grad_norm(given, 1.0)


def test_numbers_that_are_refused():
    grad = np.ones(3)
    for call, error, message in (
        (lambda: training.clip_grad_norm([grad], -1.0), ValueError, "max_norm must be at least 0, got -1.0"),
        (lambda: training.clip_grad_norm([grad], math.nan), ValueError, "max_norm must be at least 0, got nan"),
        (lambda: training.clip_grad_norm([grad], "1"), TypeError, "max_norm must be a number, got str"),
        (lambda: training.clip_grad_norm([grad], 1.0, 0), ValueError, "norm_type must be above 0, got 0.0"),
        (lambda: training.clip_grad_norm([grad], 1.0, -2), ValueError, "norm_type must be above 0, got -2.0"),
        (lambda: training.clip_grad_value([grad], -0.1), ValueError, "clip_value must be at least 0"),
        (lambda: training.l2_penalty([grad], -1), ValueError, "weight_decay must be at least 0"),
        (
            lambda: training.add_l2_grad([grad], [grad.copy()], math.inf),
            ValueError,
            "weight_decay must be finite, got inf",
        ),
        (lambda: training.decoupled_weight_decay([grad], -1, 0.1), ValueError, "learning_rate must be at least 0"),
        (lambda: training.add_l2_grad([grad], [], 1), ValueError, "grads has 1 arrays, params has 0"),
        (
            lambda: training.add_l2_grad([grad], [np.ones(4)], 1),
            ValueError,
            r"grads\[0\] has shape \(3,\), params\[0\] has",
        ),
        (
            lambda: training.add_l2_grad({"a": grad}, {"b": grad}, 1),
            ValueError,
            "same keys; only one of them has 'a', 'b'",
        ),
    ):
        with pytest.raises(error, match=message):
            call()
    assert (grad == 1).all()


def test_mixed_back_ends_are_refused(cupy):
    host, device = np.ones(3), cupy.asarray(np.ones(3))
    with pytest.raises(TypeError, match=r"grads\[0\] is a numpy.ndarray, but grads\[1\] is a .*ndarray"):
        training.clip_grad_norm([host, device], 0.1)
    with pytest.raises(TypeError, match=r"grads\[0\] is a .*, but params\[0\] is a"):
        training.add_l2_grad([host], [device], 0.1)
    twice = [device, device]
    with pytest.raises(ValueError, match=r"grads\[0\] and grads\[1\] share memory"):
        training.clip_grad_norm(twice, 0.1)
    assert (host == 1).all()
    assert (to_numpy(device) == 1).all()


def test_the_norm_stays_on_the_device(cupy):
    norm = training.clip_grad_norm([cupy.asarray(np.array([3.0, 4.0]))], 1.0)
    assert isinstance(norm, cupy.ndarray)
    assert norm.shape == ()
    assert norm.dtype == np.float64
    assert isinstance(training.l2_penalty([cupy.asarray(np.ones(3, np.float16))], 1.0), cupy.ndarray)


@pytest.mark.parametrize("size", [1e200, 1e-200, 1.0])
def test_norms_on_the_device_neither_overflow_nor_vanish(cupy, size):
    x = np.random.default_rng(15).uniform(-1, 1, 100) * size
    for p in (1, 2, 3, math.inf):
        host, device = (training.clip_grad_norm([module.asarray(x.copy())], math.inf, p) for module in (np, cupy))
        assert float(device) == pytest.approx(host, rel=1e-13)


def test_half_types_scale_in_float32(xp):
    for dtype in HALVES:
        grad = xp.asarray(np.full(4, 1000, dtype))
        training.clip_grad_norm([grad], 0.002)
        assert_same_bits(to_numpy(grad), np.full(4, np.float32(0.001), np.float32).astype(dtype))


def test_documentation():
    found = doctest.testmod(training)
    assert found.attempted > 10
    assert found.failed == 0
