"""pyleaky.training: norms and clipping, L2 and decay, on both back ends, and every error with nothing half done."""

import doctest
import math
from fractions import Fraction

import numpy as np
import pytest
from arrays import DTYPES, HALVES, assert_same_bits, layouts, specials, ulps_apart
from conftest import to_numpy

import pyleaky
from pyleaky import _core, kernels, training

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
    assert training.clip_grad_norm((array for array in [np.array([3.0, 4.0])]), 10.0) == 5


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


@pytest.mark.parametrize("given", [None, 3, "ab", [None], [[1.0]], [1.0]])
def test_what_is_no_array_is_refused(given):
    with pytest.raises(TypeError, match=r"^grads(\[0\])? must be a"):
        training.clip_grad_norm(given, 1.0)


def test_numbers_that_are_refused():
    grad = np.ones(3)
    for call, error, message in (
        (lambda: training.clip_grad_norm([grad], -1.0), ValueError, "max_norm must be at least 0, got -1.0"),
        (lambda: training.clip_grad_norm([grad], math.nan), ValueError, "max_norm must be at least 0, got nan"),
        (lambda: training.clip_grad_norm([grad], "1"), TypeError, "max_norm must be a number, got str"),
        (lambda: training.clip_grad_norm([grad], 1.0, 0), ValueError, "norm_type must be positive, got 0.0"),
        (lambda: training.clip_grad_norm([grad], 1.0, -2), ValueError, "norm_type must be at least 0, got -2.0"),
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
