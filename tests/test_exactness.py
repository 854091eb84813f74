"""The promised accuracy of ELU, CELU and SELU, measured on samples; `make exhaustive` measures it on every float32.

The judge is tests/reference.py: in extended precision for float32, in mpmath for float64 and for a float32 whose exact
value lies so close to the middle of two floats that extended precision cannot tell to which it rounds.
"""

import mpmath
import numpy as np
import pytest
import reference

from pyleaky import _core

ALPHAS = (-1, 1e-3, 0.1, 0.5, 1, 1.5, 3, 100)
WIDE_ALPHAS = (2.0**-100, 1e-3, 1, 3, 2.0**100, -1)
ROWS = ("elu", "elu_backward", "celu", "celu_backward", "selu", "selu_backward")
NEAREST = {"elu": 1, "selu": None}  # correctly rounded, with this alpha
CLAMPS = (17.33, 36.74, 40, 50, 87.34, 103.97, 290, 700, 708.4, 709.78, 745.13, 1416)


def each_row(alphas):
    cases = [(row, alpha) for row in ROWS for alpha in ([None] if row.startswith("selu") else alphas)]
    return pytest.mark.parametrize(("row", "alpha"), cases)


def operands(row, x, alpha, grad):
    values = {"x": x, "grad": grad, "alpha": None if alpha is None else np.full_like(x, alpha)}
    return [values[name] for name in _core.ROWS[row].inputs]


def every(step):
    """Every step-th of the float32 numbers, infinities included and NaN not, and the ends of the range."""
    x = np.arange(0, 2**32, step, np.uint64).astype(np.uint32).view(np.float32)
    ends = np.array([0, 1e-45, 1.1754944e-38, 1, np.inf], np.float32)
    return np.concatenate([x[~np.isnan(x)], ends, -ends])


def in_mpmath(values):
    return [np.array([mpmath.mpf(float(v)) for v in value], object) for value in values]


def report(errors, x):
    worst = int(errors.argmax())
    return f"{errors[worst]:.6f} ULP at x = {float(x[worst]).hex()}"


@pytest.mark.parametrize(("result", "exact", "error"), [(1, 1, 0), (1, 1 + 2.0**-24, 0.5), (1, 1 - 2.0**-25, 0.5)])
def test_ulps_of_everyday_numbers(result, exact, error):
    for values in (np.array([exact], np.longdouble), np.array([mpmath.mpf(exact)], object)):
        assert reference.ulps(np.array([result], np.float32), values) == error


def test_ulps_of_special_numbers():
    result = np.array([0, 2.0**-149, np.inf, np.inf, np.nan, np.nan, 0, -np.inf], np.float32)
    exact = np.array([2.0**-150, 2.0**-148, np.inf, 3.5e38, np.nan, 1, np.nan, np.inf], np.longdouble)
    right = [0.5, 1, 0, 0, 0, np.inf, np.inf, np.inf]
    np.testing.assert_array_equal(reference.ulps(result, exact), right)
    assert reference.ulps(np.array([2.0**-1074]), np.array([mpmath.mpf(2) ** -1075], object)) == 0.5


@each_row(ALPHAS)
def test_float32_error(row, alpha):
    x = every(8009)
    rng = np.random.default_rng(8)
    # Half of the gradients are 1.  None is 0: where alpha is negative, CELU's derivative is infinite.
    grad = np.ldexp(rng.uniform(1, 2, x.size), rng.integers(-90, 90, x.size)) * rng.choice([-1, 1], x.size)
    grad[::2] = 1
    values = operands(row, x, alpha, grad.astype(np.float32))
    result = getattr(_core, row)(*values)
    with np.errstate(all="ignore"):
        exact = getattr(reference, row)(*values)
        errors = reference.ulps(result, exact)
    assert errors.max() <= 0.501, report(errors, x)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(exact))


@pytest.mark.parametrize(("row", "alpha"), NEAREST.items())
def test_float32_forward_is_correctly_rounded(row, alpha):
    x = every(10_007)
    values = operands(row, x, alpha, None)
    with np.errstate(all="ignore"):
        errors = reference.ulps(getattr(_core, row)(*values), getattr(reference, row)(*values))
    assert errors.max() < 0.5 + 1e-6, report(errors, x)
    near = errors > 0.5 - 1e-6
    values = operands(row, x[near], alpha, None)
    with mpmath.workprec(200):
        exact = getattr(reference, row)(*in_mpmath(values))
        errors = reference.ulps(getattr(_core, row)(*values), exact)
        assert (errors <= 0.5).all(), report(errors, x[near])


def hard_places(rng, alpha, scaled):
    """Negative float64 numbers that are hard for exp, or whose quotient by alpha is, where `scaled`.

    Each exponent down to the least subnormal; multiples of ln 2 / 32, where one entry of a table of 2^(j/16) takes over
    from the next, with their neighbours; results that turn subnormal; clamps and the neighbourhood of each.
    """
    with mpmath.workprec(200):
        log2 = [float(mpmath.log(2) * k / 32) for k in (*range(1, 100), *rng.integers(100, 34_500, 100).tolist())]
    centres = np.array([*log2, *CLAMPS])
    near = np.concatenate([centres * (1 + k * 2.0**-52) for k in (-1, 0, 1, 64, 2.0**40)])
    every_exponent = np.ldexp(1 + rng.random(1085), np.arange(-1074, 11))
    z = np.concatenate([every_exponent, near, rng.uniform(0, 50, 1000), rng.uniform(700, 750, 400)])
    x = -z * abs(alpha) if scaled else -z
    return np.concatenate([x[np.isfinite(x) & (x < 0)], [-(2.0**-1074), -(2.0**-1022), -1e300]])


@each_row(WIDE_ALPHAS)
def test_float64_error_at_hard_places(row, alpha):
    rng = np.random.default_rng(9)
    x = hard_places(rng, alpha, row.startswith("celu"))
    if row.startswith("celu") and alpha < 0:
        x = x[x > -2000]  # e^2000 is infinite, and mpmath would write down e^1e300
    x = np.concatenate([x, rng.normal(0, 2, 100)])
    grad = np.where(rng.random(x.size) < 0.5, 1, rng.normal(1, 0.2, x.size))
    values = operands(row, x, alpha, grad)
    result = getattr(_core, row)(*values)
    with mpmath.workprec(200):
        exact = getattr(reference, row)(*in_mpmath(values))
        errors = reference.ulps(result, exact)
    assert errors.max() <= 1, report(errors, x)
    right_sign = np.signbit(result) == np.array([v < 0 for v in exact])
    assert right_sign.all(), [float(v).hex() for v in x[~right_sign][:5]]


@pytest.mark.parametrize("row", [row for row in ROWS if row.endswith("backward")])
def test_float64_gradient_with_a_large_grad(row):
    """A derivative below the least float64, times a grad that brings it back: only the product may lose bits."""
    rng = np.random.default_rng(10)
    x, grad = rng.uniform(-1400, -690, 500), np.ldexp(rng.normal(1, 0.2, 500), 1000)
    values = operands(row, x, 1, grad)
    result = getattr(_core, row)(*values)
    with mpmath.workprec(200):
        errors = reference.ulps(result, getattr(reference, row)(*in_mpmath(values)))
    assert errors.max() <= 1, report(errors, x)
