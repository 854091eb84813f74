"""ELU, CELU and SELU as a user meets them: special points, gradients, dtypes, bad input, PyTorch beside them.

How exact the rows are is in test_rows.py, the rules that all functions share in test_functions.py.
"""

import inspect
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, bfloat16, compute_type, finfo
from conftest import from_tensor, to_numpy, to_tensor

import pyleaky

SCALE, ALPHA = pyleaky.SELU_SCALE, pyleaky.SELU_ALPHA
# Multiplied before rounding: SCALE * ALPHA in float64 is one place off.
SCALE_ALPHA = float(Decimal("1.0507009873554804934193349852946") * Decimal("1.6732632423543772848170429916717"))
NAMES = ("elu", "celu", "selu")
ALPHAS = (0.1, 1.0, 1.5, 3.0)
# Each function with each of its alphas.
CASES = [(name, (alpha,)) for name in ("elu", "celu") for alpha in ALPHAS] + [("selu", ())]
NEGATIVE = [(name, (-0.5,)) for name in ("elu", "celu")]
INFINITY = [np.inf, -np.inf, np.float32(np.inf), np.array(-np.inf), float("1e400")]

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_case = pytest.mark.parametrize(
    ("name", "alpha"), CASES, ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value))
)
every_case_and_negative_alphas = pytest.mark.parametrize(
    ("name", "alpha"),
    CASES + NEGATIVE,
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)),
)
with_alpha = pytest.mark.parametrize("name", ["elu", "celu"])


def forward(name):
    return getattr(pyleaky, name)


def backward(name):
    return getattr(pyleaky, f"{name}_backward")


def double_backward(name):
    return getattr(pyleaky, f"{name}_double_backward")


def at_zero(name, alpha):
    """The first and the second derivative of the negative branch at 0."""
    if name == "selu":
        return SCALE_ALPHA, SCALE_ALPHA
    return (alpha[0], alpha[0]) if name == "elu" else (1.0, 1 / alpha[0])


def rounded(values, dtype):
    """As a function of this dtype rounds: to the type it computes in, and then to the dtype."""
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(compute_type(dtype)).astype(dtype)


# ---------------------------------------------------------------------------------------------- special points


def test_the_constants_of_the_paper():
    # To the 30 digits that the authors publish, and as their fixed point: a standard normal keeps mean 0, variance 1.
    assert float(Decimal("1.0507009873554804934193349852946")) == SCALE
    assert float(Decimal("1.6732632423543772848170429916717")) == ALPHA
    assert type(SCALE) is type(ALPHA) is float
    x = np.linspace(-40, 40, 2_000_001)
    weight = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])
    y = pyleaky.selu(x)
    assert abs((weight * y).sum()) < 1e-9
    assert abs((weight * y * y).sum() - 1) < 1e-9


def test_the_constants_are_those_of_the_kernels():
    constants = {"LEAKY_SELU_SCALE": SCALE, "LEAKY_SELU_A": SCALE_ALPHA}
    header = Path(__file__).parents[1] / "src/activations.h"
    for name, value in constants.items():
        assert pyleaky._core.CONSTANTS[name] == value
        if header.exists():
            (text,) = re.findall(rf"#define {name} (\S+)", header.read_text())
            assert float.fromhex(text) == value
    assert pyleaky.selu(np.array([-np.inf])) == -SCALE_ALPHA


@every_dtype
@every_case
def test_values_at_the_special_points(xp, name, alpha, dtype):
    limit = SCALE_ALPHA if name == "selu" else alpha[0]
    x = xp.asarray(np.array([-np.inf, -1e4, -0.0, 0.0, np.inf, np.nan], dtype))
    expected = rounded([-limit, -limit, -0.0, 0.0, np.inf, np.nan], dtype)
    assert_same_bits(to_numpy(forward(name)(x, *alpha)), expected)


@every_dtype
def test_tiny_negative_numbers_keep_their_value(xp, dtype):
    tiny = -np.array([1e-30, 1e-20, finfo(dtype).tiny, finfo(dtype).smallest_subnormal], dtype)
    x = xp.asarray(tiny)
    assert_same_bits(to_numpy(pyleaky.elu(x)), tiny)
    for alpha in (0.1, 1.0, 3.0, -0.5):
        assert_same_bits(to_numpy(pyleaky.celu(x, alpha)), tiny)
    assert_same_bits(to_numpy(pyleaky.elu(x, 0.5)), dtype(0.5) * tiny)
    assert_same_bits(to_numpy(pyleaky.selu(x)), rounded(SCALE_ALPHA * tiny.astype(float), dtype))


@every_dtype
@every_case_and_negative_alphas
def test_large_positive_numbers(xp, name, alpha, dtype):
    tiny = max(1e-30, float(finfo(dtype).tiny))
    large = rounded([tiny, 1, 89, 1e3, 1e30, float(finfo(dtype).max), np.inf], dtype)
    some = rounded([-3, 0.1, 7, -0.0, tiny, np.inf, 1], dtype)
    x, grad = xp.asarray(large), xp.asarray(some)
    scale = SCALE if name == "selu" else 1
    with np.errstate(all="ignore"):
        assert_same_bits(to_numpy(forward(name)(x, *alpha)), rounded(scale * large.astype(float), dtype))
        assert_same_bits(to_numpy(backward(name)(grad, x, *alpha)), rounded(scale * some.astype(float), dtype))
    dgrad, dx = double_backward(name)(grad, grad, x, *alpha)
    assert_same_bits(to_numpy(dgrad), to_numpy(backward(name)(grad, x, *alpha)))
    assert_same_bits(to_numpy(dx), np.zeros(7, dtype))


@every_dtype
@every_case_and_negative_alphas
def test_derivatives_at_zero(xp, name, alpha, dtype):
    x, one = xp.asarray(np.array([0.0, -0.0], dtype)), xp.asarray(np.ones(2, dtype))
    slope, bend = at_zero(name, tuple(float(compute_type(dtype)(value)) for value in alpha))
    assert_same_bits(to_numpy(backward(name)(one, x, *alpha)), rounded([slope, slope], dtype))
    first, second = double_backward(name)(one, one, x, *alpha)
    assert_same_bits(to_numpy(first), rounded([slope, slope], dtype))
    assert_same_bits(to_numpy(second), rounded([bend, bend], dtype))


@every_dtype
@every_case
def test_gradients_far_below_zero_and_at_nan(xp, name, alpha, dtype):
    x, one = np.array([-1e4, -np.inf, np.nan], dtype), xp.asarray(np.ones(3, dtype))
    expected = np.array([0, 0, np.nan], dtype)
    assert_same_bits(to_numpy(backward(name)(one, xp.asarray(x), *alpha)), expected)
    for result in double_backward(name)(one, one, xp.asarray(x), *alpha):
        assert_same_bits(to_numpy(result), expected)


@every_dtype
@every_case
def test_an_infinite_gradient_stays_infinite(xp, name, alpha, dtype):
    """The factor is above 0 for every finite x, if far below the smallest number; at -inf the limit counts."""
    x = rounded(np.resize([-np.inf, -3e4, -800, -150, -20, -1, 0, 1, np.inf], 100), dtype)
    for infinity in (np.inf, -np.inf):
        grad = np.full_like(x, infinity)
        assert_same_bits(to_numpy(backward(name)(xp.asarray(grad), xp.asarray(x), *alpha)), grad)


@with_alpha
def test_alpha_that_is_nan_goes_through(xp, name):
    for dtype in DTYPES:
        x = xp.asarray(np.array([-np.inf, -2, -0.0, 0, 1, 2], dtype))
        expected = np.array([np.nan] * 4 + [1, 2], dtype)
        for nan in (np.nan, np.float32(np.nan), np.array(np.nan)):
            assert_same_bits(to_numpy(forward(name)(x, nan)), expected)
            assert_same_bits(to_numpy(backward(name)(x, x, nan)), expected)
            first, second = double_backward(name)(x, x, x, nan)
            assert_same_bits(to_numpy(first), expected)
            assert_same_bits(to_numpy(second), np.array([np.nan] * 4 + [0, 0], dtype))


def test_elu_with_alpha_zero_is_relu(xp):
    x = xp.asarray(np.array([-np.inf, -2, -0.0, 0, 3, np.inf]))
    assert_same_bits(to_numpy(pyleaky.elu(x, 0.0)), np.array([-0.0, -0.0, -0.0, 0, 3, np.inf]))
    one = xp.asarray(np.ones(6))
    assert_same_bits(to_numpy(pyleaky.elu_backward(one, x, 0.0)), np.array([0.0, 0, 0, 0, 1, 1]))
    from_output = pyleaky.elu_backward(one, output=pyleaky.elu(x, 0.0), alpha=0.0)
    assert_same_bits(to_numpy(from_output), np.array([0.0, 0, 0, 0, 1, 1]))


def test_celu_with_alpha_one_is_elu(xp):
    x = xp.asarray(np.linspace(-60, 3, 1000))
    np.testing.assert_array_max_ulp(to_numpy(pyleaky.celu(x)), to_numpy(pyleaky.elu(x)), 1)
    np.testing.assert_array_max_ulp(to_numpy(pyleaky.celu_backward(x, x)), to_numpy(pyleaky.elu_backward(x, x)), 2)


def test_selu_is_a_scaled_elu(xp):
    x = xp.asarray(np.linspace(-60, 3, 1000))
    for own, other in [
        (pyleaky.selu(x), pyleaky.elu(x, ALPHA)),
        (pyleaky.selu_backward(x, x), pyleaky.elu_backward(x, x, ALPHA)),
        (pyleaky.selu_double_backward(x, x, x)[1], pyleaky.elu_double_backward(x, x, x, ALPHA)[1]),
    ]:
        np.testing.assert_allclose(to_numpy(own), SCALE * to_numpy(other), rtol=1e-14)


# ---------------------------------------------------------------------------------------------- gradients


def away_from_the_kink(rng, shape):
    return rng.choice([-1, 1], shape) * rng.uniform(0.05, 4, shape)


@every_case_and_negative_alphas
def test_backward_by_finite_differences(xp, name, alpha):
    rng, step = np.random.default_rng(0), 1e-5
    x, grad = away_from_the_kink(rng, 300), rng.normal(size=300)
    up, down = (to_numpy(forward(name)(xp.asarray(x + sign * step), *alpha)) for sign in (1, -1))
    dx = to_numpy(backward(name)(xp.asarray(grad), xp.asarray(x), *alpha))
    np.testing.assert_allclose(dx, grad * (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


@every_case_and_negative_alphas
def test_double_backward_by_finite_differences(xp, name, alpha):
    rng, step = np.random.default_rng(0), 1e-5
    x = away_from_the_kink(rng, 300)
    gg, grad = rng.normal(size=(2, 300))
    dgrad, dx = (
        to_numpy(part) for part in double_backward(name)(xp.asarray(gg), xp.asarray(grad), xp.asarray(x), *alpha)
    )

    def loss_terms(grad, x):
        return gg * to_numpy(backward(name)(xp.asarray(grad), xp.asarray(x), *alpha))

    by_grad = (loss_terms(grad + step, x) - loss_terms(grad - step, x)) / (2 * step)
    by_x = (loss_terms(grad, x + step) - loss_terms(grad, x - step)) / (2 * step)
    np.testing.assert_allclose(dgrad, by_grad, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(dx, by_x, rtol=1e-6, atol=1e-8)


@every_dtype
@every_case
def test_gradient_from_output_equals_gradient_from_x(xp, name, alpha, dtype):
    rng = np.random.default_rng(1)
    x, grad = rng.normal(0, 3, 1000).astype(dtype), rng.normal(size=1000).astype(dtype)
    x[:4] = 0, -0.0, np.inf, np.nan
    x, grad = xp.asarray(x), xp.asarray(grad)
    y = forward(name)(x, *alpha)
    options = {"alpha": alpha[0]} if alpha else {}
    from_x, from_output = backward(name)(grad, x, **options), backward(name)(grad, output=y, **options)
    # The output's error is relative to itself, but the factor is output + alpha: there it is relative to alpha.
    eps = float(finfo(dtype).eps)
    atol = 2 * eps * max(1, *at_zero(name, alpha)[:1]) * float(np.abs(to_numpy(grad)).max())
    wide = [to_numpy(array).astype(float) for array in (from_output, from_x)]
    np.testing.assert_allclose(*wide, rtol=4 * eps, atol=atol)
    positive = to_numpy(x).astype(float) > 0  # ml_dtypes warns where NaN is compared
    assert_same_bits(to_numpy(from_output)[positive], to_numpy(from_x)[positive])


@every_case
def test_output_and_alpha_as_other_numbers_take_the_same_row(name, alpha):
    rng = np.random.default_rng(1)
    y, grad = rng.uniform(-0.09, 1, (2, 40)).astype(np.float32)
    options = {"alpha": alpha[0]} if alpha else {}
    expected = backward(name)(grad, output=y, **options)
    spread = np.zeros(80, np.float32)[::2]
    spread[...] = y
    assert_same_bits(backward(name)(grad, output=spread, **options), expected)
    if alpha:
        for number in (np.float64(alpha[0]), np.array(alpha[0])):
            assert_same_bits(backward(name)(grad, output=y, alpha=number), expected)
    out = y.copy()
    assert backward(name)(grad, output=out, out=out, **options) is out
    assert_same_bits(out, expected)


# ---------------------------------------------------------------------------------------------- dtypes and shapes


@every_case
def test_dtypes(xp, name, alpha):
    for dtype, expected in [*((letter, np.float64) for letter in "?bBhHiIqQ"), *((dtype, dtype) for dtype in DTYPES)]:
        x = xp.asarray(np.array([0, 1], dtype))
        assert forward(name)(x, *alpha).dtype == expected
        assert backward(name)(x, x, *alpha).dtype == expected
        for part in double_backward(name)(x, x, x, *alpha):
            assert part.dtype == expected


NUMBERS = [
    0.5,
    1,
    True,
    np.float16(0.5),
    np.float32(0.5),
    np.float64(0.1),
    np.int8(2),
    np.array(0.5),
    np.array(2, "i8"),
    bfloat16(0.1),
]


@with_alpha
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__}-{number}")
def test_numbers_as_alpha_never_change_the_dtype(xp, name, number):
    for dtype in DTYPES:
        x = xp.asarray(np.array([-3, -0.25, 2], dtype))
        wide, alphas = x.astype(compute_type(dtype)), xp.asarray(np.full(3, number, compute_type(dtype)))
        y, dx = forward(name)(wide, alphas), backward(name)(wide, wide, alphas)
        expected = [
            to_numpy(array).astype(dtype) for array in (y, dx, *double_backward(name)(wide, wide, wide, alphas))
        ]
        assert_same_bits(to_numpy(forward(name)(x, number)), expected[0])
        assert_same_bits(to_numpy(forward(name)(x[::-1], number)), expected[0][::-1])
        assert_same_bits(to_numpy(backward(name)(x, x, number)), expected[1])
        for part, other in zip(double_backward(name)(x, x, x, number), expected[2:], strict=True):
            assert_same_bits(to_numpy(part), other)


@with_alpha
def test_arrays_of_alpha_promote_and_broadcast(xp, name):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(4, 3)) for _ in range(2))
    alpha = np.array([0.5, 1.0, 2.0])
    for dtype in DTYPES:
        for other in DTYPES:
            given = [xp.asarray(array.astype(dtype)) for array in (grad, x)]
            alphas = xp.asarray(alpha.astype(other))
            common = np.add(np.ones(1, dtype), np.ones(1, other)).dtype
            y, dx = forward(name)(given[1], alphas), backward(name)(*given, alphas)
            parts = double_backward(name)(given[0], *given, alphas)
            assert {array.dtype for array in (y, dx, *parts)} == {common}
            for k, number in enumerate(alpha.tolist()):
                column = [xp.asarray(array[:, k].astype(dtype).astype(common)) for array in (grad, x)]
                assert_same_bits(to_numpy(y)[:, k], to_numpy(forward(name)(column[1], number)))
                assert_same_bits(to_numpy(dx)[:, k], to_numpy(backward(name)(*column, number)))
                for part, single in zip(parts, double_backward(name)(column[0], *column, number), strict=True):
                    assert_same_bits(to_numpy(part)[:, k], to_numpy(single))
    column = xp.asarray(np.array([[0.5], [1.0], [2.0]]))
    assert forward(name)(xp.asarray(x[0]), column).shape == (3, 3)


@every_case
@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), (1,), (3, 4), (2, 3, 4, 5), ()], ids=str)
def test_shapes_of_the_double_backward(xp, name, alpha, shape):
    rng = np.random.default_rng(0)
    values = [np.asarray(any_bits(rng, shape, np.float32)) for _ in range(3)]
    flat = double_backward(name)(*(xp.asarray(value.ravel()) for value in values), *alpha)
    for part, expected in zip(double_backward(name)(*map(xp.asarray, values), *alpha), flat, strict=True):
        assert part.shape == shape
        assert_same_bits(to_numpy(part).ravel(), to_numpy(expected))


@every_case
def test_the_first_part_of_the_double_backward_is_the_backward_of_gg(xp, name, alpha):
    rng = np.random.default_rng(0)
    gg, grad, x = (xp.asarray(any_bits(rng, (30, 40), np.float64)) for _ in range(3))
    before = [to_numpy(array).copy() for array in (gg, grad, x)]
    result = double_backward(name)(gg, grad, x, *alpha)
    assert type(result) is tuple
    assert_same_bits(to_numpy(result[0]), to_numpy(backward(name)(gg, x, *alpha)))
    for array, kept in zip((gg, grad, x), before, strict=True):
        assert_same_bits(to_numpy(array), kept)


def test_lists_and_numbers():
    for name in NAMES:
        assert type(forward(name)(-1.0)) is np.float64
        assert_same_bits(forward(name)([-1, 2.5]), forward(name)(np.array([-1, 2.5])))
        assert_same_bits(backward(name)([1, 2], [-1, 2.5]), backward(name)(np.array([1, 2]), np.array([-1, 2.5])))
        for part in double_backward(name)(1, 2.0, np.float32(-1)):
            assert np.ndim(part) == 0
        lists = double_backward(name)([1, 1], [1, 2], [-1, 2.5])
        arrays = double_backward(name)(np.array([1, 1]), np.array([1, 2]), np.array([-1, 2.5]))
        for part, other in zip(lists, arrays, strict=True):
            assert_same_bits(part, other)
    for name in ("elu", "celu"):
        for alpha in ([0.5, 2.0], (0.5, 2.0)):
            assert_same_bits(forward(name)([-1, -2], alpha), forward(name)(np.array([-1, -2]), np.array(alpha)))


# ---------------------------------------------------------------------------------------------- bad input


def refused(xp, error, message, call, *shapes):
    """Call with arrays of these shapes and an `out`: the message, and nothing changed.  The long way as well."""
    for dtype in DTYPES:
        for step in (1, 2):
            arrays = [xp.asarray(np.full(shape, -0.5, dtype)) for shape in (*shapes, (2 * 6,))]
            views = [*arrays[:-1], arrays[-1][::step][:6]]
            with pytest.raises(error, match=message):
                call(*views)
            assert all((to_numpy(array) == -0.5).all() for array in arrays)


@with_alpha
@pytest.mark.parametrize("alpha", INFINITY, ids=lambda alpha: f"{type(alpha).__name__}-{alpha}")
def test_infinite_alpha_is_refused(xp, name, alpha):
    message = rf"^alpha must be finite, got {float(alpha)}$"
    for call in (
        lambda x, out: forward(name)(x, alpha, out=out),
        lambda x, out: forward(name)(x, alpha, out=out, dtype=np.float64),
        lambda x, out: backward(name)(x, x, alpha, out=out),
        lambda x, out: backward(name)(x, output=x, alpha=alpha, out=out),
        lambda x, out: double_backward(name)(x, x, out, alpha),
    ):
        refused(xp, ValueError, message, call, (6,))


@pytest.mark.parametrize("alpha", [0, 0.0, -0.0, np.float32(0), np.array(0), False], ids=repr)
def test_celu_refuses_alpha_zero(xp, alpha):
    message = r"^alpha must not be 0 \(celu divides by it\), got -?0\.0$"
    for call in (
        lambda x, out: pyleaky.celu(x, alpha, out=out),
        lambda x, out: pyleaky.celu_backward(x, x, alpha, out=out),
        lambda x, out: pyleaky.celu_backward(x, output=x, alpha=alpha, out=out),
        lambda x, out: pyleaky.celu_double_backward(x, x, out, alpha),
    ):
        refused(xp, ValueError, message, call, (6,))


@with_alpha
@pytest.mark.parametrize("alpha", [-0.1, np.nan, np.float32(-1), np.array(-2)], ids=repr)
def test_output_needs_an_alpha_of_at_least_zero(xp, name, alpha):
    refused(
        xp,
        ValueError,
        r"^with output, alpha must be at least 0 \(the sign of x is lost below\), got (-\d|nan)",
        lambda x, out: backward(name)(x, output=x, alpha=alpha, out=out),
        (6,),
    )


@with_alpha
def test_output_needs_a_number(xp, name):
    refused(
        xp,
        ValueError,
        r"^with output, alpha must be a number, got an array of shape \(6,\)$",
        lambda x, alpha, out: backward(name)(x, output=x, alpha=alpha, out=out),
        (6,),
        (6,),
    )


@pytest.mark.parametrize("name", NAMES)
def test_exactly_one_of_x_and_output(xp, name):
    message = f"^{name}_backward takes exactly one of x and output, got "
    refused(xp, TypeError, message + "neither$", lambda x, out: backward(name)(x, out=out), (6,))
    refused(xp, TypeError, message + "both$", lambda x, out: backward(name)(x, x, output=x, out=out), (6,))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_must_be_equal(xp, name):
    message = r"^{} has shape \(2, 3\), {} has shape \(3, 2\); they must be equal$"
    shapes = (2, 3), (3, 2)
    for argument, other, call in [
        ("grad", "x", lambda a, b, out: backward(name)(a, b, out=out)),
        ("grad", "output", lambda a, b, out: backward(name)(a, output=b, out=out)),
        ("gg", "x", lambda a, b, out: double_backward(name)(a, b, b)),
        ("grad", "x", lambda a, b, out: double_backward(name)(b, a, b)),
        ("gg", "x", lambda a, b, out: double_backward(name)(a, a, b)),
    ]:
        refused(xp, ValueError, message.format(argument, other), call, *shapes)
    # What would broadcast is refused as well.
    with pytest.raises(ValueError, match=r"^grad has shape \(\), x has shape \(6,\); they must be equal$"):
        double_backward(name)(xp.ones(6), 1.0, xp.ones(6))
    with pytest.raises(ValueError, match=r"^gg has shape \(\), x has shape \(6,\); they must be equal$"):
        double_backward(name)(1.0, xp.ones(6), xp.ones(6))


@with_alpha
def test_alphas_that_do_not_broadcast(xp, name):
    message = r"^alpha has shape \(4,\), which does not broadcast with x of shape \(6,\)$"
    for call in (
        lambda x, alpha, out: forward(name)(x, alpha, out=out),
        lambda x, alpha, out: backward(name)(x, x, alpha, out=out),
        lambda x, alpha, out: double_backward(name)(x, x, out, alpha),
    ):
        refused(xp, ValueError, message, call, (6,), (4,))
    message = r"^alpha has shape \(2, 6\), which does not broadcast to x's shape \(6,\)$"
    for call in (
        lambda x, alpha, out: backward(name)(x, x, alpha, out=out),
        lambda x, alpha, out: double_backward(name)(x, x, out, alpha),
    ):
        refused(xp, ValueError, message, call, (6,), (2, 6))


@with_alpha
@pytest.mark.parametrize("bad", ["0.1", b"1", None, 1j, np.complex64(1), object(), {}, np.array("0.1")], ids=repr)
def test_alphas_that_are_no_numbers(name, bad):
    x = np.ones(6)
    for call in (
        lambda: forward(name)(x, bad),
        lambda: backward(name)(x, x, bad),
        lambda: backward(name)(x, output=x, alpha=bad),
        lambda: double_backward(name)(x, x, x, bad),
    ):
        with pytest.raises(TypeError, match=f"^alpha must be a number or an array, got {type(bad).__name__}$"):
            call()


@pytest.mark.parametrize("name", NAMES)
def test_unsupported_dtypes_name_the_argument(name):
    good = np.ones(2)
    for bad, dtype in [(np.ones(2, complex), "complex128"), ([1j, 1], "complex128"), (["a", "b"], "<U1")]:
        for argument, call in [
            ("x", lambda bad=bad: forward(name)(bad)),
            ("grad", lambda bad=bad: backward(name)(bad, good)),
            ("x", lambda bad=bad: backward(name)(good, bad)),
            ("output", lambda bad=bad: backward(name)(good, output=bad)),
            ("gg", lambda bad=bad: double_backward(name)(bad, good, good)),
            ("grad", lambda bad=bad: double_backward(name)(good, bad, good)),
            ("x", lambda bad=bad: double_backward(name)(good, good, bad)),
        ]:
            with pytest.raises(
                TypeError, match=f"^{argument} has dtype {dtype}, expected float16, bfloat16, float32, float64"
            ):
                call()
        if name != "selu":
            bad = np.asarray(bad)
            for call in (
                lambda bad=bad: forward(name)(good, bad),
                lambda bad=bad: backward(name)(good, good, bad),
                lambda bad=bad: double_backward(name)(good, good, good, bad),
            ):
                with pytest.raises(
                    TypeError, match=f"^alpha has dtype {dtype}, expected float16, bfloat16, float32, float64"
                ):
                    call()


@pytest.mark.parametrize("name", NAMES)
def test_numpy_and_cupy_do_not_mix(cupy, name):
    host, device = np.ones(3), cupy.ones(3)
    message = r"^{} is a cupy.ndarray, but {} is a numpy.ndarray; move one of them with cupy.asarray or cupy.asnumpy$"
    for first, second, call in [
        ("grad", "x", lambda: backward(name)(device, host)),
        ("output", "grad", lambda: backward(name)(host, output=device)),
        ("grad", "gg", lambda: double_backward(name)(host, device, device)),
        ("gg", "grad", lambda: double_backward(name)(device, host, device)),
        ("gg", "x", lambda: double_backward(name)(device, device, host)),
    ]:
        with pytest.raises(TypeError, match=message.format(first, second)):
            call()


# ---------------------------------------------------------------------------------------------- PyTorch

TORCH_ULP = 4  # for half types 1: PyTorch, too, computes in float32 and rounds once, but for its second derivatives


@every_dtype
@every_case
def test_torch(torch, name, alpha, dtype):
    rng = np.random.default_rng(0)
    x, grad, gg = (rng.normal(0, scale, 5000).astype(dtype) for scale in (3, 1, 1))
    x[:2] = 0, -0.0
    theirs = [to_tensor(array.copy()).requires_grad_() for array in (x, grad)]
    output = getattr(torch.nn.functional, name)(theirs[0], *alpha)
    (dx,) = torch.autograd.grad(output, theirs[0], theirs[1], create_graph=True)
    by_x, by_grad = torch.autograd.grad(dx, theirs, to_tensor(gg))
    second = double_backward(name)(gg, grad, x, *alpha)
    # Near 0 PyTorch's forward is exact to the last place of alpha only, and so is the comparison.  Its CELU takes
    # 1 / alpha as a float32 even for float64 (2.13).
    eps = finfo(np.float32 if name == "celu" and dtype is np.float64 else dtype).eps
    largest = max(1, *at_zero(name, alpha))
    # PyTorch's second derivative at 0 is the positive branch's, although its first is the negative one's.
    for ours, other, compared in [
        (forward(name)(x, *alpha), output, slice(None)),
        (backward(name)(grad, x, *alpha), dx, slice(None)),
        (second[0], by_grad, slice(None)),
        (second[1], by_x, x != 0),
    ]:
        expected = from_tensor(other)
        assert ours.dtype == expected.dtype
        tolerance = (1 if dtype in HALVES else TORCH_ULP) * float(eps)
        wide = [array[compared].astype(float) for array in (ours, expected)]
        np.testing.assert_allclose(*wide, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("name", NAMES)
def test_torch_has_the_same_default_alpha(torch, name):
    x = np.linspace(-5, 5, 101)
    theirs = getattr(torch.nn.functional, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(forward(name)(x), theirs, rtol=1e-14, atol=1e-14)
    if name != "selu":
        assert inspect.signature(backward(name)).parameters["alpha"].default == 1.0
