"""Packed masks: what relu and leaky_relu return beside y, and the gradient from it."""

import numpy as np
import pytest
from arrays import DTYPES, any_bits, assert_same_bits, layouts, specials
from conftest import to_numpy

import pyleaky

SLOPES = (0.1, 0.0, -0.5, 2.0, float("nan"))
LENGTHS = [*range(131), 1000, 4096]

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def packed(x):
    with np.errstate(invalid="ignore"):  # ml_dtypes' comparisons with NaN
        return np.packbits(np.ascontiguousarray(x).ravel() > 0, bitorder="little")


@every_dtype
def test_results_and_masks(isa, dtype):
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        room = any_bits(rng, n + 24, dtype)
        x = room[n % 17 : n % 17 + n]
        grad = any_bits(rng, n, dtype)
        slope = SLOPES[n % len(SLOPES)]
        y, mask = pyleaky.leaky_relu(x, slope, return_mask=True)
        assert_same_bits(y, pyleaky.leaky_relu(x, slope))
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, packed(x))
        assert_same_bits(
            pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=slope),
            pyleaky.leaky_relu_backward(grad, x, slope),
        )
        y, mask = pyleaky.relu(x, return_mask=True)
        assert_same_bits(y, pyleaky.relu(x))
        np.testing.assert_array_equal(mask, packed(x))
        assert_same_bits(pyleaky.relu_backward(grad, mask=mask), pyleaky.relu_backward(grad, x))


@every_dtype
def test_nothing_is_written_beyond(isa, dtype):
    for n in (1, 7, 8, 63, 64, 65, 130):
        room = np.ones(n + 64, dtype)
        before = room.copy()
        pyleaky.leaky_relu(room[32 : 32 + n], -1.0, out=room[32 : 32 + n], return_mask=True)
        assert_same_bits(room[:32], before[:32])
        assert_same_bits(room[32 + n :], before[32 + n :])


@every_dtype
def test_any_alignment_of_out(isa, dtype):
    rng = np.random.default_rng(0)
    for n in (257, 520, 1003):
        x, grad = (any_bits(rng, n, dtype) for _ in range(2))
        room = np.zeros(n + 64, dtype)
        for offset in range(33):
            out = room[offset : offset + n]
            _, mask = pyleaky.leaky_relu(x, -2.0, out=out, return_mask=True)
            assert_same_bits(out, pyleaky.leaky_relu(x, -2.0))
            np.testing.assert_array_equal(mask, packed(x))
            pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=-2.0, out=out)
            assert_same_bits(out, pyleaky.leaky_relu_backward(grad, x, -2.0))


@pytest.mark.parametrize("slope", SLOPES)
def test_in_place(slope):
    x = any_bits(np.random.default_rng(0), (50, 77), np.float32)
    kept = x.copy()
    y, mask = pyleaky.leaky_relu(x, slope, out=x, return_mask=True)
    assert y is x
    assert_same_bits(x, pyleaky.leaky_relu(kept, slope))
    grad = any_bits(np.random.default_rng(1), x.shape, np.float32)
    expected = pyleaky.leaky_relu_backward(grad, kept, slope)
    assert pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=slope, out=grad) is grad
    assert_same_bits(grad, expected)


def test_overlapping_out():
    x = any_bits(np.random.default_rng(0), 1001, np.float32)
    expected, mask = pyleaky.leaky_relu(x[:-1].copy(), 0.1, return_mask=True)
    _, found = pyleaky.leaky_relu(x[:-1], 0.1, out=x[1:], return_mask=True)
    assert_same_bits(x[1:], expected)
    np.testing.assert_array_equal(found, mask)


@every_dtype
def test_layouts(dtype):
    base = any_bits(np.random.default_rng(0), (13, 7, 5), dtype)
    grad = any_bits(np.random.default_rng(1), (13, 7, 5), dtype)
    for name, x in layouts(base):
        if name == "byte-swapped" and np.dtype(dtype).isbuiltin != 1:
            continue
        y, mask = pyleaky.leaky_relu(x, 0.1, return_mask=True)
        assert_same_bits(y, pyleaky.leaky_relu(base, 0.1))
        assert y.strides == np.empty_like(x, dtype).strides, name
        np.testing.assert_array_equal(mask, packed(base))
        for laid in (grad, np.asfortranarray(grad)):
            dx = pyleaky.leaky_relu_backward(laid, mask=mask, negative_slope=0.1)
            assert_same_bits(dx, pyleaky.leaky_relu_backward(grad, base, 0.1))
            assert dx.strides == laid.strides
        out = np.zeros((26, 7, 5), dtype)[::2]
        assert pyleaky.leaky_relu(x, 0.1, out=out, return_mask=True)[0] is out
        assert_same_bits(out, y)


def test_shapes_and_other_dtypes():
    for shape in [(), (0,), (2, 0, 3), (1,), (9, 1)]:
        x = np.full(shape, -2.0)
        y, mask = pyleaky.leaky_relu(x, 0.5, return_mask=True)
        assert_same_bits(np.asarray(y), np.full(shape, -1.0))
        assert mask.shape == ((x.size + 7) // 8,)
        assert isinstance(y, np.float64) if shape == () else y.shape == shape
        np.testing.assert_array_equal(pyleaky.unpack_mask(mask, shape), x > 0)
    y, mask = pyleaky.relu(np.array([-3, 0, 2], np.int8), return_mask=True)
    assert_same_bits(y, np.array([0.0, 0.0, 2.0]))
    assert mask.tolist() == [4]
    y, _ = pyleaky.leaky_relu(np.array([-3.0, 2.0]), 0.1, dtype=np.float32, return_mask=True)
    assert_same_bits(y, pyleaky.leaky_relu(np.array([-3.0, 2.0], np.float32), 0.1))


def test_threads():
    x, grad = (any_bits(np.random.default_rng(seed), 1_000_003, np.float32) for seed in (0, 1))
    results = []
    for count in (1, 2, 3, 7):
        with pyleaky.num_threads(count):
            y, mask = pyleaky.leaky_relu(x, -0.3, return_mask=True)
            results.append((y, mask, pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=-0.3)))
    for result in results:
        for got, wanted in zip(result, results[0], strict=True):
            assert_same_bits(got, wanted)
    assert_same_bits(results[0][2], pyleaky.leaky_relu_backward(grad, x, -0.3))


def test_unpack():
    x = np.random.default_rng(0).normal(size=(5, 7, 3))
    _, mask = pyleaky.relu(x, return_mask=True)
    np.testing.assert_array_equal(pyleaky.unpack_mask(mask, x.shape), x > 0)
    np.testing.assert_array_equal(pyleaky.unpack_mask(mask, x.size), (x > 0).ravel())
    with pytest.raises(ValueError, match=r"mask has 14 bytes, but shape \(4, 7\) needs 4"):
        pyleaky.unpack_mask(mask, (4, 7))
    with pytest.raises(ValueError, match="shape must not be negative"):
        pyleaky.unpack_mask(mask, (-1, 7))


@every_dtype
def test_on_cupy(cupy, dtype):
    rng = np.random.default_rng(0)
    for shape in [(0,), (1,), (8,), (9,), (13, 21), (3, 4, 5)]:
        x, grad = (any_bits(rng, shape, dtype) for _ in range(2))
        for order in "CF":
            device, device_grad = (cupy.asarray(np.asarray(a, order=order)) for a in (x, grad))
            for slope in SLOPES:
                y, mask = pyleaky.leaky_relu(device, slope, return_mask=True)
                assert_same_bits(to_numpy(y), pyleaky.leaky_relu(x, slope))
                np.testing.assert_array_equal(to_numpy(mask), packed(x))
                dx = pyleaky.leaky_relu_backward(device_grad, mask=mask, negative_slope=slope)
                assert_same_bits(to_numpy(dx), pyleaky.leaky_relu_backward(grad, x, slope))
            y, mask = pyleaky.relu(device, return_mask=True)
            assert_same_bits(to_numpy(y), pyleaky.relu(x))
            assert_same_bits(to_numpy(pyleaky.relu_backward(device_grad, mask=mask)), pyleaky.relu_backward(grad, x))
            np.testing.assert_array_equal(
                to_numpy(pyleaky.unpack_mask(mask, shape)), pyleaky.unpack_mask(packed(x), shape)
            )
    x = cupy.asarray(specials(dtype))
    assert pyleaky.leaky_relu(x, -2.0, out=x, return_mask=True)[0] is x
    assert_same_bits(to_numpy(x), pyleaky.leaky_relu(specials(dtype), -2.0))


BAD_MASKS = [
    (np.zeros(1, np.int8), TypeError, "mask must be an array of uint8"),
    ([0, 0], TypeError, "mask must be an array of uint8.*got list"),
    (np.zeros(1, np.uint8), ValueError, r"mask has 1 bytes, but grad of shape \(3, 4\) needs 2"),
    (np.zeros(3, np.uint8), ValueError, "mask has 3 bytes"),
    (np.zeros((2, 1), np.uint8), ValueError, "must be contiguous and have one dimension, got 2"),
    (np.zeros(4, np.uint8)[::2], ValueError, "must be contiguous and have one dimension, got 1 dim.*step of 2"),
]


@pytest.mark.parametrize(("mask", "error", "message"), BAD_MASKS)
def test_bad_masks(mask, error, message):
    grad, out = np.ones((3, 4), np.float32), np.full((3, 4), 7, np.float32)
    for call in (pyleaky.relu_backward, pyleaky.leaky_relu_backward):
        with pytest.raises(error, match=message):
            call(grad, mask=mask, out=out)
    assert (out == 7).all()


def test_bad_calls():
    x = np.ones((3, 4), np.float32)
    _, mask = pyleaky.relu(x, return_mask=True)
    for call in (pyleaky.relu_backward, pyleaky.leaky_relu_backward):
        for given in ({"x": x}, {"output": x}, {"x": x, "output": x}):
            with pytest.raises(TypeError, match="takes exactly one of x, output and mask, got several"):
                call(x, mask=mask, **given)
        with pytest.raises(TypeError, match="takes exactly one of x, output and mask, got none"):
            call(x)
    with pytest.raises(ValueError, match=r"with mask, negative_slope must be a number, got an array of shape \(4,\)"):
        pyleaky.leaky_relu_backward(x, mask=mask, negative_slope=np.ones(4, np.float32))
    with pytest.raises(ValueError, match="negative_slope must be a number with return_mask=True"):
        pyleaky.leaky_relu(x, np.ones(4, np.float32), return_mask=True)
    with pytest.raises(ValueError, match="where cannot be combined with return_mask"):
        pyleaky.relu(x, where=x > 0, return_mask=True)
    with pytest.raises(TypeError, match=r"^x must be a NumPy or CuPy array, got list"):
        pyleaky.relu([1.0], return_mask=True)
    with pytest.raises(TypeError, match="x has dtype complex128"):
        pyleaky.relu(np.ones(3, complex), return_mask=True)
    before = x.copy()
    fixed = np.zeros_like(x)
    fixed.flags.writeable = False
    for out, error, message in [
        (np.zeros((4, 3), np.float32), ValueError, r"out has shape \(4, 3\), the result has shape \(3, 4\)"),
        (np.zeros((3, 4), np.int64), TypeError, "out has dtype int64"),
        ([1], TypeError, "out must be an array, got list"),
        (fixed, ValueError, "out is read-only"),
    ]:
        with pytest.raises(error, match=message):
            pyleaky.leaky_relu(x, out=out, return_mask=True)
        with pytest.raises(error, match=message):
            pyleaky.relu_backward(x, mask=mask, out=out)
    assert_same_bits(x, before)
