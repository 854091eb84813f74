"""Every row of the table, on every ISA and dtype, through all three doors: the ufunc, the short path, the memoryviews.

The tests loop over the table, so a new row is tested as soon as its reference exists.
"""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import reference
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, bfloat16, layouts, specials

import pyleaky
from pyleaky import _core, kernels, training

ROWS = list(_core.ROWS.values())
# Rows whose reference is a bound in ULP; every other row is compared with its reference bit for bit.
BOUNDED = [row for row in ROWS if row.name.split("_")[0] in ("elu", "celu", "selu")]
ALPHAS = (-1, 1e-3, 0.1, 0.5, 1, 1.5, 3, 100)
# prelu's weight gradient is reached through prelu_backward, which sums it; others through a keyword, or from training.
PUBLIC = {"prelu_weight_grad": "prelu_backward"} | {
    row.name: row.name.removesuffix("_from_output") for row in ROWS if row.name.endswith("_from_output")
}
IN_TRAINING = {"scaled": "clip_grad_norm", "add_scaled": "add_l2_grad", "clipped": "clip_grad_value"}
SUFFIX = {np.float16: "f16", bfloat16: "bf16", np.float32: "f32", np.float64: "f64"}
WIDE = (np.float32, np.float64)
LONGEST_VECTOR = 16
NUMPYDOC = ("Parameters", "Returns", "Raises", "See Also", "References", "Examples")

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
every_bounded_row = pytest.mark.parametrize("row", BOUNDED, ids=lambda row: row.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def operands(row, rng, shape, dtype):
    return [any_bits(rng, shape, dtype) for _ in row.inputs]


def scalar_isa(row, values):
    before = _core.isa()
    _core.use_isa("scalar")
    try:
        return getattr(_core, row.name)(*(np.array(value, order="C") for value in values))
    finally:
        _core.use_isa(before)


def expected(row, values, dtype):
    """The bits that every ISA, layout and length gives: the reference's, or those of the scalar ISA on a copy.

    For a half type these are of the float32 function, rounded once by NumPy's or ml_dtypes' own cast.
    """
    if dtype in HALVES:
        with np.errstate(all="ignore"):
            return expected(row, [value.astype(np.float32) for value in values], np.float32).astype(dtype)
    if row in BOUNDED:
        return scalar_isa(row, values)
    with np.errstate(all="ignore"):
        return getattr(reference, row.name)(*values).astype(dtype)


@every_row
def test_row_is_complete(row):
    module, source = (training, "training.py") if row.name in IN_TRAINING else (pyleaky, "_functions.pyi")
    public = IN_TRAINING.get(row.name) or PUBLIC.get(row.name, row.name)
    function = getattr(module, public)

    assert public in module.__all__
    assert callable(getattr(reference, row.name))
    assert f"def {public}(" in (Path(pyleaky.__file__).parent / source).read_text()
    for section in NUMPYDOC if module is pyleaky else set(NUMPYDOC) - {"Returns"}:
        assert re.search(rf"^\s*{section}\n\s*-{{{len(section)}}}$", function.__doc__, re.MULTILINE), section
    assert ".. math::" in function.__doc__
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^\s*{parameter} : ", function.__doc__, re.MULTILINE), parameter


def test_row_table_is_what_the_build_reads():
    for row in ROWS:
        for suffix in SUFFIX.values():
            assert callable(getattr(kernels, f"{row.name}_{suffix}"))


@every_dtype
@every_row
def test_specials(isa, row, dtype):
    grid = np.meshgrid(*[specials(dtype)] * len(row.inputs))
    values = [np.ascontiguousarray(value) for value in grid]
    result = getattr(_core, row.name)(*values)
    assert_same_bits(result, expected(row, values, dtype))
    assert_same_bits(np.signbit(result[result == 0]), np.signbit(expected(row, values, dtype)[result == 0]))


@pytest.mark.parametrize("dtype", WIDE)
@every_bounded_row
def test_error_against_the_reference(isa, row, dtype):
    rng = np.random.default_rng(7)
    n = 20_000
    values = dict(zip(row.inputs, operands(row, rng, n, dtype), strict=True))
    alpha = values["alpha"] = rng.choice(ALPHAS, n).astype(dtype)
    for name in {"gg", "grad"} & set(values):
        values[name] = rng.normal(0, 2, n).astype(dtype)
    if row.name.endswith("_double_backward"):
        # gg * grad is rounded, and CELU's exponential once more before the division: they must not be subnormal.
        bound, values["x"] = 3, np.maximum(values["x"], -50 * abs(alpha))
    elif row.name.endswith("_from_output"):
        bound, values["output"] = 2, np.maximum(values["output"], dtype(-1e10))
    else:
        bound = 1
    values = [values[name] for name in row.inputs]
    result = getattr(_core, row.name)(*values)
    with np.errstate(all="ignore"):
        exact = getattr(reference, row.name)(*values)
        assert reference.ulps(result, exact).max() <= bound
    number = ~np.isnan(result)
    np.testing.assert_array_equal(np.signbit(result)[number], np.signbit(exact)[number])


@every_dtype
@pytest.mark.parametrize("alpha", [-1, 0.1, 1, 3])
def test_zeros_infinities_and_nan_in_the_exponentials(isa, alpha, dtype):
    x = np.array([-0.0, 0.0, np.inf, np.nan, -np.inf], dtype)
    one, wrong = np.ones_like(x), np.full_like(x, np.nan)
    alpha = dtype(alpha)
    zero = 0 * alpha
    a, scale = dtype(reference.SELU_A), dtype(reference.SELU_SCALE)
    for actual, right in (
        (_core.elu(x, alpha), [-zero, zero, np.inf, np.nan, -alpha]),
        (_core.celu(x, alpha), [-0.0, 0.0, np.inf, np.nan, -np.inf if alpha < 0 else -alpha]),
        (_core.selu(x), [-0.0, 0.0, np.inf, np.nan, -a]),
        (_core.elu_backward(one, x, alpha), [alpha, alpha, 1, np.nan, zero]),
        (_core.celu_backward(one, x, alpha), [1, 1, 1, np.nan, np.inf if alpha < 0 else 0]),
        (_core.selu_backward(one, x), [a, a, scale, np.nan, 0]),
        (_core.elu_double_backward(one, one, x, alpha), [alpha, alpha, 0, np.nan, zero]),
        (_core.selu_double_backward(one, one, x), [a, a, 0, np.nan, 0]),
    ):
        assert_same_bits(actual, np.array(right, dtype))
    for row in BOUNDED:  # grad = NaN
        if "grad" in row.inputs:
            values = dict(gg=one, grad=wrong, x=-one, output=-one, alpha=alpha)
            assert np.isnan(getattr(_core, row.name)(*(values[name] for name in row.inputs))).all()


@pytest.mark.parametrize("dtype", HALVES)
@every_row
def test_half_types_are_the_float32_function_rounded_once(isa, row, dtype):
    """For every one of the 65,536 numbers, and with a number for parameter that the half type does not hold."""
    every = np.arange(65536).astype(np.uint16).view(dtype)
    rng = np.random.default_rng(10)
    values = [every if name in ("x", "output") else rng.permutation(every) for name in row.inputs]
    assert_same_bits(getattr(_core, row.name)(*values), expected(row, values, dtype))
    if row.parameters:
        for number in (0.1, 1.0, -3.3, 1e-30, 1e30):
            number = np.float32(number)
            with np.errstate(invalid="ignore"):  # of signalling NaNs, on aarch64
                wide = [value.astype(np.float32) for value in values[:-1]]
            right = expected(row, [*wide, number], np.float32)
            with np.errstate(all="ignore"):
                right = right.astype(dtype)
            assert_same_bits(getattr(_core, row.name + "_number")(*values[:-1], number), right)


@every_dtype
@every_row
def test_lengths_and_alignments(isa, row, dtype):
    rng = np.random.default_rng(1)
    ufunc = getattr(_core, row.name)
    for n in [*range(4 * LONGEST_VECTOR + 2), 1000, 100_003]:
        for offset in range(0, LONGEST_VECTOR, 1 if n < 20 else 5):
            values = [value[k + offset :][:n] for k, value in enumerate(operands(row, rng, n + 20, dtype))]
            guarded = np.full(n + 2 * LONGEST_VECTOR, -77, dtype)
            ufunc(*values, out=guarded[offset : offset + n])
            assert_same_bits(guarded[offset : offset + n], expected(row, values, dtype))
            assert (guarded[:offset] == -77).all()
            assert (guarded[offset + n :] == -77).all()


@every_dtype
@every_row
def test_layouts(isa, row, dtype):
    rng = np.random.default_rng(2)
    ufunc = getattr(_core, row.name)
    values = operands(row, rng, (5, 7), dtype)
    result = expected(row, values, dtype)
    for k in range(len(values)):
        for name, array in layouts(values[k]):
            before = array.copy()
            given = [*values[:k], array, *values[k + 1 :]]
            assert_same_bits(ufunc(*given), result)
            assert_same_bits(array, before)
            if name != "read-only":
                out = array.copy(order="K")
                ufunc(*given, out=out)
                assert_same_bits(out.astype(dtype), result)


@every_dtype
@every_row
def test_strides_and_broadcasting(isa, row, dtype):
    rng = np.random.default_rng(3)
    ufunc = getattr(_core, row.name)
    for step in (-3, -2, -1, 0, 1, 2, 3):
        for out_step in (-3, -1, 1, 2):
            values = [
                np.lib.stride_tricks.as_strided(value[120:], (37,), (step * value.itemsize,))
                for value in operands(row, rng, 240, dtype)
            ]
            out = np.zeros(37 * abs(out_step), dtype)[::out_step]
            ufunc(*values, out=out)
            assert_same_bits(out, expected(row, values, dtype))


@every_dtype
@every_row
def test_overlap(isa, row, dtype):
    rng = np.random.default_rng(4)
    ufunc = getattr(_core, row.name)
    for shift in (-17, -2, -1, 0, 1, 3):
        values = operands(row, rng, 100, dtype)
        values = [value[20:80] for value in values]
        for k in range(len(values)):
            result = expected(row, values, dtype)
            base = np.zeros(100, dtype)
            base[20:80] = values[k]
            given = [*values[:k], base[20:80], *values[k + 1 :]]
            ufunc(*given, out=base[20 + shift : 80 + shift])
            assert_same_bits(base[20 + shift : 80 + shift], result)


@pytest.mark.parametrize("row", [row for row in ROWS if len(row.inputs) == 2], ids=lambda row: row.name)
def test_reduce_and_accumulate_go_element_by_element(isa, row):
    values = any_bits(np.random.default_rng(5), 300, np.float64)
    ufunc = getattr(_core, row.name)
    running = [values[0]]
    for value in values[1:]:
        running.append(ufunc(running[-1], value))
    assert_same_bits(ufunc.accumulate(values), np.array(running))
    assert_same_bits(ufunc.reduce(values), running[-1])


@every_dtype
@every_row
def test_three_doors_give_the_same_bits(isa, row, dtype):
    rng = np.random.default_rng(6)
    values = operands(row, rng, 777, dtype)
    number = [0.1] * row.parameters
    arrays = values[: len(values) - row.parameters]
    rounded = [np.float64(0.1) if dtype is np.float64 else np.float32(0.1)] * row.parameters
    through_ufunc = getattr(_core, row.name + "_number" * row.parameters)(*arrays, *rounded)
    through_view = np.empty_like(through_ufunc)
    views = [value.view(np.uint16) if dtype in HALVES else value for value in (*arrays, through_view)]
    getattr(kernels, f"{row.name}_{SUFFIX[dtype]}")(*views[:-1], *number, views[-1])
    assert_same_bits(through_view, through_ufunc)
    values = arrays + number
    if row.name.endswith("_from_output"):
        named = dict(zip(row.inputs, values, strict=True))
        assert_same_bits(getattr(pyleaky, PUBLIC[row.name])(**named), through_ufunc)
    elif row.name.endswith("_double_backward"):
        # the pair (gg * f'(x), gg * grad * f''(x))
        gg, _, *rest = values
        first, second = getattr(pyleaky, row.name)(*values)
        assert_same_bits(first, getattr(pyleaky, row.name.replace("_double", ""))(gg, *rest))
        assert_same_bits(second, through_ufunc)
    elif row.name in IN_TRAINING:
        assert_same_bits(_core.iterate(row.name, values, None), through_ufunc)
    elif row.name not in PUBLIC:
        assert_same_bits(getattr(pyleaky, row.name)(*values), through_ufunc)


@every_row
def test_ufunc_promotes_small_integers_to_float64(row):
    ufunc = getattr(_core, row.name)
    for integer in (np.bool, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64):
        values = [np.array([0, 1], integer)] * len(row.inputs)
        assert ufunc(*values).dtype == np.float64
        assert ufunc(*values, dtype=np.float32, casting="unsafe").dtype == np.float32
