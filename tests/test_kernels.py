"""pyleaky.kernels as other code uses it: from Python with any buffer, and cimported by a Cython module built here."""

import array
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, bfloat16

import pyleaky
from pyleaky import kernels

FUSED = [
    "relu_with_mask",
    "leaky_relu_with_mask",
    "relu_backward_from_mask",
    "leaky_relu_backward_from_mask",
    "dropout",
    "rrelu",
    "rrelu_backward",
    "prelu_backward",
]


def test_any_buffer():
    x = array.array("f", [-2.0, 0.0, 3.0])
    out = array.array("f", bytes(12))
    assert kernels.leaky_relu_f32(x, 0.5, out) == 3
    assert list(out) == [-1.0, 0.0, 3.0]
    assert kernels.relu_f64(memoryview(array.array("d", [-1.0, 2.0])), out2 := array.array("d", bytes(16))) == 2
    assert list(out2) == [0.0, 2.0]


def test_strided_input_in_place_and_empty():
    x = any_bits(np.random.default_rng(0), 300, np.float32)
    out = np.empty(100, np.float32)
    for view in (x[::3], x[::-3], x[100:200], np.broadcast_to(x[:1], 100)):
        assert kernels.leaky_relu_f32(view, 0.1, out) == 100
        assert_same_bits(out, pyleaky.leaky_relu(view, 0.1))
    y = x.copy()
    assert kernels.leaky_relu_backward_f32(y, x, 0.1, y) == 300
    assert_same_bits(y, pyleaky.leaky_relu_backward(x, x, 0.1))
    assert kernels.relu_f32(x[:0], out[:0]) == 0
    x.flags.writeable = False
    assert kernels.relu_f32(x, y) == 300


@pytest.mark.parametrize("dtype", HALVES)
def test_half_types_as_views_of_uint16(dtype):
    suffix = "bf16" if dtype is bfloat16 else "f16"
    leaky_relu, elu = (getattr(kernels, f"{name}_{suffix}") for name in ("leaky_relu", "elu"))
    x = any_bits(np.random.default_rng(0), 300, dtype)
    bits, out = x.view(np.uint16), np.empty(100, np.uint16)
    for k in (slice(None, None, 3), slice(None, None, -3), slice(100, 200)):
        assert leaky_relu(bits[k], 0.1, out) == 100
        assert_same_bits(out.view(dtype), pyleaky.leaky_relu(x[k], 0.1))
        assert elu(bits[k], 0.7, out) == 100
        assert_same_bits(out.view(dtype), pyleaky.elu(x[k], 0.7))
    given, result = array.array("H", bits.tobytes()), array.array("H", bytes(600))
    assert leaky_relu(memoryview(given), 0.1, result) == 300
    assert_same_bits(np.asarray(result).view(dtype), pyleaky.leaky_relu(x, 0.1))
    y = bits.copy()
    assert elu(y, 0.7, y) == 300
    assert_same_bits(y.view(dtype), pyleaky.elu(x, 0.7))


def test_half_types_as_anything_else_are_refused():
    x, out = np.full(3, -1, np.float32), np.full(3, 7, np.uint16)
    for message, call in [
        ("expected 'const uint16_t' but got 'float'", lambda: kernels.leaky_relu_bf16(x, 0.1, out)),
        ("expected 'const uint16_t' but got 'float'", lambda: kernels.elu_f16(x, 0.1, out)),
        ("expected 'const uint16_t' but got 'short'", lambda: kernels.elu_f16(x.astype(np.int16), 0.1, out)),
        ("expected 'uint16_t' but got 'float'", lambda: kernels.elu_f16(out, 0.1, x)),
        (r"buffer dtype format string \('e'\)", lambda: kernels.elu_f16(x.astype(np.float16), 0.1, out)),
        ("dtype 'E' in a buffer", lambda: kernels.leaky_relu_bf16(x.astype(bfloat16), 0.1, out)),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    assert (out == 7).all()
    assert (x == -1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_kernels(dtype):
    suffix = {np.float16: "f16", bfloat16: "bf16", np.float32: "f32", np.float64: "f64"}[dtype]
    door = {name: getattr(kernels, f"{name}_{suffix}") for name in FUSED}
    for n in (0, 1, 70, 1001):
        x, grad = (any_bits(np.random.default_rng(seed), n, dtype) for seed in (0, 1))
        views = [a.view(np.uint16) if dtype in HALVES else a for a in (x, grad, np.empty_like(x))]
        out, mask = views[2], np.empty((n + 7) // 8, np.uint8)

        def result(n=n, out=out):
            return out.view(dtype)

        y, bits = pyleaky.leaky_relu(x, -0.5, return_mask=True)
        assert door["leaky_relu_with_mask"](views[0], -0.5, out, mask) == n
        assert_same_bits(result(), y)
        assert_same_bits(mask, bits)
        assert door["leaky_relu_backward_from_mask"](views[1], mask, -0.5, out) == n
        assert_same_bits(result(), pyleaky.leaky_relu_backward(grad, x, -0.5))
        assert door["relu_with_mask"](views[0], out, mask) == n
        assert_same_bits(result(), pyleaky.relu(x))
        assert door["relu_backward_from_mask"](views[1], mask, out) == n
        assert_same_bits(result(), pyleaky.relu_backward(grad, x))
        assert door["dropout"](views[0], 0.3, 5, 7, out) == n
        assert_same_bits(result(), pyleaky.dropout(x, 0.3, seed=5, start=7))
        assert door["rrelu"](views[0], 0.1, 0.3, 5, 7, out) == n
        assert_same_bits(result(), pyleaky.rrelu(x, 0.1, 0.3, seed=5, start=7))
        assert door["rrelu_backward"](views[1], views[0], 0.1, 0.3, 5, 7, out) == n
        assert_same_bits(result(), pyleaky.rrelu_backward(grad, x, 0.1, 0.3, seed=5, start=7))
        whole = n // 35 * 35
        weight, sums = any_bits(np.random.default_rng(2), 7, dtype), np.empty(7)
        view = weight.view(np.uint16) if dtype in HALVES else weight
        cut = [a[:whole] for a in (views[1], views[0])]
        assert door["prelu_backward"](*cut, view, 5, out[:whole], sums) == whole
        shape = (whole // 35, 7, 5)
        dx, dweight = pyleaky.prelu_backward(grad[:whole].reshape(shape), x[:whole].reshape(shape), weight, axis=1)
        assert_same_bits(result()[:whole].reshape(shape), dx)
        with np.errstate(all="ignore"):
            assert_same_bits(sums.astype(dtype), dweight)


def test_bad_calls_of_fused_kernels():
    x, out, mask = np.ones(9, np.float32), np.full(9, 7, np.float32), np.zeros(2, np.uint8)
    for message, call in [
        ("mask has 1 bytes, 9 elements need 2", lambda: kernels.relu_with_mask_f32(x, out, mask[:1])),
        ("grad has 8 elements, out has 9", lambda: kernels.relu_backward_from_mask_f32(x[:8], mask, out)),
        ("out overlaps x without being it", lambda: kernels.leaky_relu_with_mask_f32(x[1:], 0.1, x[:8], mask[:1])),
        (r"p must be in \[0, 1\], got 1.5", lambda: kernels.dropout_f32(x, 1.5, 0, 0, out)),
        ("lower must not be above upper", lambda: kernels.rrelu_f32(x, 0.5, 0.1, 0, 0, out)),
        ("x has 3 elements, out has 9", lambda: kernels.rrelu_backward_f32(x, x[:3], 0.1, 0.2, 0, 0, out)),
        (
            "dx has 9 elements, expected a multiple of weight's 2 times inner, 1",
            lambda: kernels.prelu_backward_f32(x, x, x[:2], 1, out, np.zeros(2)),
        ),
        (
            "weight_grad has 2 elements, weight has 3",
            lambda: kernels.prelu_backward_f32(x, x, x[:3], 1, out, np.zeros(2)),
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    assert (out == 7).all()
    assert (x == 1).all()


MODULE = """
# cython: language_level=3
from pyleaky.kernels cimport leaky_relu_backward_f64, leaky_relu_f32, relu_f32


def leaky(const float[:] x, float slope, float[::1] out):
    cdef Py_ssize_t n
    with nogil:
        n = leaky_relu_f32(x, slope, out)
    return n


def backward(const double[:] grad, const double[:] x, double slope, double[::1] out):
    with nogil:
        leaky_relu_backward_f64(grad, x, slope, out)


def fails_without_the_gil(const float[:] x, float[::1] out):
    with nogil:
        relu_f32(x, out)
"""

SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup
setup(ext_modules=cythonize([Extension("user", ["user.pyx"])], include_path=[{site!r}], quiet=True))
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    pytest.importorskip("Cython", reason="Cython is not installed")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("cimport")
    (folder / "user.pyx").write_text(MODULE)
    (folder / "setup.py").write_text(SETUP.format(site=str(Path(pyleaky.__file__).parents[1])))
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import user

        yield user


def test_cimport_without_the_gil(user):
    x = any_bits(np.random.default_rng(0), 1000, np.float32)
    out = np.empty(1000, np.float32)
    assert user.leaky(x, 0.1, out) == 1000
    assert_same_bits(out, pyleaky.leaky_relu(x, 0.1))
    wide = any_bits(np.random.default_rng(1), 1000, np.float64)
    wide_out = np.empty(1000)
    user.backward(wide, wide, 0.1, wide_out)
    assert_same_bits(wide_out, pyleaky.leaky_relu_backward(wide, wide, 0.1))
    with pytest.raises(ValueError, match="x has 999 elements, out has 1000"):
        user.fails_without_the_gil(x[1:], out)
