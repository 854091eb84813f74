"""Awkward input for every test: special values, layouts, and comparison to the bit."""

import numpy as np
from ml_dtypes import bfloat16, finfo

HALVES = (np.float16, bfloat16)
DTYPES = (np.float32, np.float64, *HALVES)


def compute_type(dtype):
    """What a function of this dtype computes in, and rounds a number for a parameter to."""
    return np.float64 if dtype is np.float64 else np.float32


def specials(dtype):
    """NaN of both signs, infinities, zeros, subnormals, the ends of the range and everyday numbers."""
    info = finfo(dtype)
    positive = [
        0.0,
        info.smallest_subnormal,
        info.tiny,
        1e-20,
        0.1,
        1.0,
        1.5,
        3.0,
        87.0,
        float(info.max),
        np.inf,
        np.nan,
    ]
    with np.errstate(all="ignore"):
        return np.array(positive + [-value for value in positive]).astype(dtype)


def any_bits(rng, shape, dtype):
    """Random bits, a quarter of them replaced by special values and half by everyday numbers."""
    bits = rng.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), shape, f"u{np.dtype(dtype).itemsize}")
    array, kind = bits.view(dtype), rng.random(shape)
    array = np.where(kind < 0.25, rng.choice(specials(dtype), shape), array)
    return np.where(kind > 0.5, rng.normal(0, 2, shape).astype(dtype), array)


def layouts(base):
    """The same values in other layouts: (name, array)."""
    yield "contiguous", base.copy()
    yield "fortran", np.asfortranarray(base)
    spread = np.zeros(tuple(2 * n for n in base.shape), base.dtype)
    view = spread[tuple(slice(None, None, 2) for _ in base.shape)]
    view[...] = base
    yield "strided", view
    turned = base[::-1].copy()
    yield "reversed", turned[::-1]
    yield "transposed", base.T.copy().T
    swapped = base.astype(base.dtype.newbyteorder())
    yield "byte-swapped", swapped
    raw = np.zeros(base.nbytes + 1, np.uint8)[1:].view(np.uint8)
    unaligned = np.ndarray(base.shape, base.dtype, raw.data)
    unaligned[...] = base
    yield "unaligned", unaligned
    fixed = base.copy()
    fixed.flags.writeable = False
    yield "read-only", fixed


def canonical(array):
    """The bits of an array, every NaN mapped to one."""
    array = np.array(array, copy=True, order="C", ndmin=1)
    array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype in DTYPES:
        with np.errstate(all="ignore"):
            array[np.isnan(array)] = np.nan
    return array.view(f"u{array.dtype.itemsize}")


def ulps_apart(actual, expected):
    """How many steps lie between two arrays' numbers in the order of their dtype; none between NaN and NaN."""
    assert actual.dtype == expected.dtype
    places = []
    for bits in (canonical(actual), canonical(expected)):
        sign = bits.dtype.type(1) << (8 * bits.itemsize - 1)
        places.append(np.where(bits & sign, sign - (bits & ~sign), sign + bits))
    return np.maximum(*places) - np.minimum(*places)


def assert_same_bits(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(canonical(actual), canonical(expected))
