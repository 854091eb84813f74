"""Dropout and RReLU: their random numbers against an independent Philox, and everything that must not change them."""

import itertools

import numpy as np
import pytest
import reference
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, compute_type, layouts
from conftest import to_numpy

import pyleaky
from pyleaky import _fused

SEEDS = (0, 1, 2**32 - 1, 2**32, 0xDEADBEEF_12345678, 2**64 - 1)
STARTS = (0, 1, 3, 5, 2**34 - 2, 2**50 + 7)
LENGTHS = [*range(70), 127, 511, 512, 513, 3000]

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)

# Random123's published vectors for philox4x32-10.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_the_reference_gives_the_published_vectors(counter, key, words):
    assert tuple(reference.philox4x32(counter, key).tolist()) == words


def test_words_of_the_first_block(isa):
    """The first vector's counter and key are those of elements 0 to 3 with seed 0."""
    for word, published in enumerate(KNOWN[0][2]):
        below, above = np.nextafter(published / 2**32, 0), (published + 1) / 2**32
        x = np.ones(4)
        assert pyleaky.dropout(x, below, seed=0)[word] != 0
        assert pyleaky.dropout(x, above, seed=0)[word] == 0


def computed_in(x):
    return x.astype(compute_type(x.dtype.type))


@every_dtype
def test_dropout(isa, dtype):
    rng = np.random.default_rng(0)
    for n, seed, start, p in zip(
        LENGTHS, itertools.cycle(SEEDS), itertools.cycle(STARTS), itertools.cycle((0.5, 0.1, 0.9, 1 / 3)), strict=False
    ):
        x = any_bits(rng, n, dtype)
        indices = np.arange(n, dtype=np.uint64) + np.uint64(start)
        with np.errstate(all="ignore"):
            expected = reference.dropout(computed_in(x), p, seed, indices).astype(dtype)
        assert_same_bits(pyleaky.dropout(x, p, seed=seed, start=start), expected)
        assert_same_bits(pyleaky.dropout_backward(x, p, seed=seed, start=start), expected)


@every_dtype
def test_rrelu(isa, dtype):
    rng = np.random.default_rng(0)
    for n, seed, start, (lower, upper) in zip(
        LENGTHS,
        itertools.cycle(SEEDS),
        itertools.cycle(STARTS),
        itertools.cycle(((1 / 8, 1 / 3), (0.0, 1.0), (-2.0, 3.0), (0.25, 0.25))),
        strict=False,
    ):
        x, grad = (any_bits(rng, n, dtype) for _ in range(2))
        indices = np.arange(n, dtype=np.uint64) + np.uint64(start)
        slopes = reference.rrelu_slopes(compute_type(dtype), lower, upper, seed, indices)
        given = {"lower": lower, "upper": upper, "seed": seed, "start": start}
        with np.errstate(all="ignore"):
            y = reference.leaky_relu(computed_in(x), slopes).astype(dtype)
            dx = np.where(x > 0, computed_in(grad), slopes * computed_in(grad)).astype(dtype)
        assert_same_bits(pyleaky.rrelu(x, **given), y)
        assert_same_bits(pyleaky.rrelu_backward(grad, x, **given), dx)


@every_dtype
def test_layouts(dtype):
    base = any_bits(np.random.default_rng(0), (13, 7, 5), dtype)
    dropped = pyleaky.dropout(base, 0.4, seed=5)
    leaked = pyleaky.rrelu(base, seed=5)
    back = pyleaky.rrelu_backward(base[::-1].copy(), base, seed=5)
    for name, x in layouts(base):
        if name == "byte-swapped" and dtype in HALVES[1:]:
            continue
        assert_same_bits(pyleaky.dropout(x, 0.4, seed=5), dropped)
        assert_same_bits(pyleaky.rrelu(x, seed=5), leaked)
        assert_same_bits(pyleaky.rrelu_backward(base[::-1], x, seed=5), back)
        assert pyleaky.dropout(x, 0.4, seed=5).strides == np.empty_like(x, dtype).strides
        out = np.zeros((26, 7, 5), dtype)[::2]
        assert pyleaky.dropout(x, 0.4, seed=5, out=out) is out
        assert_same_bits(out, dropped)


def test_in_place_and_overlapping():
    x, grad = (any_bits(np.random.default_rng(seed), 3001, np.float32) for seed in (0, 1))
    for call in (
        lambda x, grad, out=None: pyleaky.dropout(x, 0.3, seed=1, out=out),
        lambda x, grad, out=None: pyleaky.rrelu(x, seed=1, out=out),
        lambda x, grad, out=None: pyleaky.rrelu_backward(grad, x, seed=1, out=out),
    ):
        expected = call(x, grad)
        for which in range(2):
            arrays = [x.copy(), grad.copy()]
            assert call(*arrays, out=arrays[which]) is arrays[which]
            assert_same_bits(arrays[which], expected)
        room = np.concatenate([x, x[:5]])
        assert_same_bits(call(room[:3001], grad, out=room[5:]), expected)
        room = np.concatenate([grad, x[:5]])
        assert_same_bits(call(x, room[:3001], out=room[5:]), expected)


def test_threads():
    x = any_bits(np.random.default_rng(0), 1_000_003, np.float32)
    calls = (
        lambda: pyleaky.dropout(x, 0.3, seed=9, start=2),
        lambda: pyleaky.rrelu(x, seed=9, start=2),
        lambda: pyleaky.rrelu_backward(x[::-1].copy(), x, seed=9, start=2),
    )
    for call in calls:
        expected = None
        for count in (1, 2, 3, 7):
            with pyleaky.num_threads(count):
                result = call()
            assert_same_bits(result, result if expected is None else expected)
            expected = result


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_parts_of_an_array_along_any_axis(axis):
    x = any_bits(np.random.default_rng(0), (12, 10, 9), np.float32)
    whole = pyleaky.dropout(x, 0.5, seed=3)
    strides = (90, 9, 1)
    for cuts in ([0, 4, 9], [0, 1, 2, 9]):
        parts = []
        for first, last in itertools.pairwise([*cuts, x.shape[axis]]):
            part = np.ascontiguousarray(np.take(x, range(first, last), axis))
            start = first * strides[axis]
            parts.append(_fused.run("dropout", [("x", part)], None, 3, start, 0.5, 0.0, strides))
        assert_same_bits(np.concatenate(parts, axis), whole)


def test_large_parts_of_an_array():
    x = np.ones((700, 900), np.float32)
    whole = pyleaky.dropout(x, 0.5, seed=3)
    with pyleaky.num_threads(3):
        part = _fused.run("dropout", [("x", x[100:, 33:].copy())], None, 3, 100 * 900 + 33, 0.5, 0.0, (900, 1))
    assert_same_bits(part, whole[100:, 33:].copy())


@every_dtype
def test_the_ends_of_p(dtype):
    x = any_bits(np.random.default_rng(0), 1001, dtype)
    assert_same_bits(pyleaky.dropout(x, 0, seed=1), x)
    assert_same_bits(pyleaky.dropout(x, 1, seed=1), np.zeros(1001, dtype))
    assert_same_bits(pyleaky.dropout(x, 0.5, training=False), x)
    y = pyleaky.dropout(x, 0.5, training=False)
    assert not np.may_share_memory(x, y)


def test_moments():
    """Mean and variance of 10^8 elements within four standard errors, in parts of one long array."""
    n, p, part = 10**8, 0.3, 10**7
    x = np.ones(part, np.float32)
    total, words = 0, 0.0
    for start in range(0, n, part):
        total += int(np.count_nonzero(pyleaky.dropout(x, p, seed=77, start=start)))
        words += float(pyleaky.rrelu(-x, 0.0, 1.0, seed=77, start=start).sum(dtype=np.float64))
    kept = 1 - p
    mean, variance = total / n / kept, (total / n) * (1 - total / n) / kept**2
    scale = 1 / kept
    assert abs(mean - 1) < 4 * np.sqrt(p / kept / n)
    # The variance of two values is a function of the share of the kept ones: the error follows by its derivative.
    assert abs(variance - p / kept) < 4 * scale**2 * abs(1 - 2 * kept) * np.sqrt(kept * p / n)
    assert abs(-words / n - 0.5) < 4 * np.sqrt(1 / 12 / n)


def test_mean_slope():
    x = any_bits(np.random.default_rng(0), 100, np.float32)
    assert_same_bits(pyleaky.rrelu(x, 0.1, 0.3, training=False), pyleaky.leaky_relu(x, 0.2))
    assert_same_bits(
        pyleaky.rrelu_backward(x[::-1], x, 0.1, 0.3, training=False), pyleaky.leaky_relu_backward(x[::-1], x, 0.2)
    )


def test_seeds():
    x = np.ones(100, np.float32)
    rng = np.random.default_rng(0)
    y, seed = pyleaky.dropout(x, seed=rng, return_seed=True)
    assert seed == int(np.random.default_rng(0).integers(0, 2**64, dtype=np.uint64))
    assert_same_bits(pyleaky.dropout_backward(x, seed=seed), y)
    again, other = pyleaky.dropout(x, seed=rng, return_seed=True)
    assert other != seed
    assert (again != y).any()
    y, seed = pyleaky.rrelu(-x, seed=rng, return_seed=True)
    assert_same_bits(pyleaky.rrelu_backward(x, -x, seed=seed), -y)
    assert_same_bits(pyleaky.dropout(x, seed=np.uint64(2**63)), pyleaky.dropout(x, seed=2**63))
    assert pyleaky.dropout([1, 2, 3], 0.0, seed=1).tolist() == [1.0, 2.0, 3.0]
    assert isinstance(pyleaky.dropout(np.float32(3), 0.0, seed=1), np.float32)
    assert pyleaky.dropout(np.ones((2, 0), np.float32), seed=1).shape == (2, 0)


@every_dtype
def test_on_cupy(cupy, dtype):
    rng = np.random.default_rng(0)
    for shape, start, seed in [((0,), 0, 1), ((1,), 3, 2), ((9,), 2, 2**63), ((13, 21), 2**35 + 1, 3)]:
        x, grad = (any_bits(rng, shape, dtype) for _ in range(2))
        for order in "CF":
            device, device_grad = (cupy.asarray(np.asarray(a, order=order)) for a in (x, grad))
            given = {"seed": seed, "start": start}
            for p in (0.0, 0.5, 1.0):
                assert_same_bits(to_numpy(pyleaky.dropout(device, p, **given)), pyleaky.dropout(x, p, **given))
            assert_same_bits(to_numpy(pyleaky.rrelu(device, **given)), pyleaky.rrelu(x, **given))
            assert_same_bits(
                to_numpy(pyleaky.rrelu_backward(device_grad, device, **given)),
                pyleaky.rrelu_backward(grad, x, **given),
            )
    x = cupy.asarray(np.ones((3, 4), np.float32))
    assert pyleaky.dropout(x, seed=1, out=x) is x
    assert_same_bits(to_numpy(x), pyleaky.dropout(np.ones((3, 4), np.float32), seed=1))


X = np.ones(3, np.float32)
BAD = [
    (lambda: pyleaky.dropout(X), TypeError, r"dropout needs a seed.*layer.*step|dropout needs a seed"),
    (lambda: pyleaky.rrelu(X), TypeError, "rrelu needs a seed, a fresh one for each layer and step.*SeedSequence"),
    (lambda: pyleaky.dropout_backward(X), TypeError, "dropout_backward needs a seed"),
    (lambda: pyleaky.dropout_backward(X, seed=np.random.default_rng()), TypeError, "seed must be the integer"),
    (lambda: pyleaky.rrelu_backward(X, X, seed=np.random.default_rng()), TypeError, "seed must be the integer"),
    (lambda: pyleaky.dropout(X, seed=1.0), TypeError, "seed must be an integer or a numpy.random.Generator, got float"),
    (lambda: pyleaky.dropout(X, seed=True), TypeError, "seed must be an integer"),
    (lambda: pyleaky.dropout(X, seed=-1), ValueError, r"seed must be in \[0, 2\*\*64\), got -1"),
    (lambda: pyleaky.dropout(X, seed=2**64), ValueError, "seed must be in"),
    (lambda: pyleaky.dropout(X, seed=1, start=-1), ValueError, r"start must be in \[0, 2\*\*64\), got -1"),
    (lambda: pyleaky.dropout(X, seed=1, start=0.5), TypeError, "start must be an integer, got float"),
    (lambda: pyleaky.rrelu(X, seed=1, start=-1), ValueError, "start must be in"),
    (
        lambda: pyleaky.dropout(X, seed=1, start=2**64 - 2),
        ValueError,
        f"start is {2**64 - 2}, and 3 elements from there on have no index below",
    ),
    (lambda: pyleaky.dropout(X, -0.1, seed=1), ValueError, r"p must be in \[0, 1\], got -0.1"),
    (lambda: pyleaky.dropout(X, 1.1, seed=1), ValueError, "p must be in"),
    (lambda: pyleaky.dropout(X, float("nan"), seed=1), ValueError, "p must be in .*got nan"),
    (lambda: pyleaky.dropout(X, "half", seed=1), TypeError, "p must be a number, got str"),
    (
        lambda: pyleaky.rrelu(X, 0.5, 0.1, seed=1),
        ValueError,
        "lower must not be above upper, got lower=0.5 and upper=0.1",
    ),
    (lambda: pyleaky.rrelu(X, 0.5, float("nan"), seed=1), ValueError, "upper must be finite, got nan"),
    (lambda: pyleaky.rrelu(X, -float("inf"), 1, seed=1), ValueError, "lower must be finite, got -inf"),
    (lambda: pyleaky.rrelu_backward(X, X[:2], seed=1), ValueError, r"x has shape \(2,\), grad has shape \(3,\)"),
    (lambda: pyleaky.dropout(X.astype(complex), seed=1), TypeError, "x has dtype complex128"),
    (lambda: pyleaky.dropout(X, seed=1, out=np.ones(4)), ValueError, r"out has shape \(4,\)"),
    (lambda: pyleaky.dropout(X, seed=1, out=np.ones(3, int)), TypeError, "out has dtype int64"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert X.tolist() == [1, 1, 1]


def test_nothing_is_drawn_for_a_refused_call():
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    for call in (
        lambda: pyleaky.dropout(X, 2, seed=rng),
        lambda: pyleaky.dropout(X, seed=rng, start=-1),
        lambda: pyleaky.rrelu(X, 1, 0, seed=rng),
        lambda: pyleaky.dropout(X.astype(complex), seed=rng),
        lambda: pyleaky.dropout(X, seed=rng, out=np.ones(4)),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()
    assert rng.bit_generator.state == state
