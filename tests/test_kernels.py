"""pyleaky.kernels as other code uses it: from Python with any buffer, and cimported by a Cython module built here."""

import array
import inspect
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import calls
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


BIAS_ACT = ("", "_backward", "_backward_from_output", "_double_backward")


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


@pytest.mark.parametrize("activation", kernels.Activation)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_act(dtype, activation):
    suffix = {np.float16: "f16", bfloat16: "bf16", np.float32: "f32", np.float64: "f64"}[dtype]
    door = {name: getattr(kernels, f"bias_act{name}_{suffix}") for name in BIAS_ACT}
    name, numbers = activation.name.lower(), (activation, 0.3, 1.5, 0.9)
    options = {"activation": name, "negative_slope": 0.3, "gain": 1.5, "clamp": 0.9}
    rng = np.random.default_rng(0)
    for shape in [(3, 7, 5), (4, 3, 1), (0, 2, 3), (2, 0, 1)]:
        arrays = [rng.normal(size=shape).astype(dtype) for _ in range(4)]
        arrays.append(rng.normal(size=shape[1]).astype(dtype))
        gg, grad, x, out, bias = [a.view(np.uint16).ravel() if dtype in HALVES else a.ravel() for a in arrays]
        n, inner = x.size, shape[2]
        mask, none, sums = np.zeros((n + 7) // 8, np.uint8), np.empty(0, np.uint8), np.full(shape[1], 7.0)

        def check(expected, total=None, out=out, sums=sums, shape=shape):
            assert_same_bits(out.view(dtype).reshape(shape), expected)
            if total is not None:
                assert_same_bits(sums.astype(dtype), total)

        y, bits = pyleaky.bias_act(arrays[2], arrays[4], return_mask=True, **options)
        assert door[""](x, bias, inner, *numbers, out, none) == n
        check(y)
        assert door[""](x, bias, inner, *numbers, out, mask) == n
        check(y)
        assert_same_bits(mask, bits)
        expected = pyleaky.bias_act_backward(arrays[1], arrays[2], arrays[4], **options)
        assert door["_backward"](grad, x, bias, inner, *numbers, out, sums) == n
        check(*expected)
        output = y.view(np.uint16).ravel() if dtype in HALVES else y.ravel()
        expected = pyleaky.bias_act_backward(arrays[1], output=y, bias=arrays[4], **options)
        assert door["_backward_from_output"](grad, output, none, bias, inner, *numbers, out, sums) == n
        check(*expected)
        expected = pyleaky.bias_act_backward(arrays[1], output=y, mask=bits, bias=arrays[4], **options)
        assert door["_backward_from_output"](grad, output, mask, bias, inner, *numbers, out, sums) == n
        check(*expected)
        if name in ("elu", "selu"):
            expected = pyleaky.bias_act_double_backward(*arrays[:3], arrays[4], **options)
            assert door["_double_backward"](gg, grad, x, bias, inner, *numbers, out, sums) == n
            check(*expected[1:])
        nothing = bias[:0]
        assert door[""](x, nothing, 1, *numbers, out, none) == n
        check(pyleaky.bias_act(arrays[2], **options))
        assert door["_backward"](grad, x, nothing, 1, *numbers, out, sums[:0]) == n
        check(pyleaky.bias_act_backward(arrays[1], arrays[2], **options)[0])


def test_bad_calls_of_bias_act():
    x, out, bias = np.ones(9, np.float32), np.full(9, 7, np.float32), np.zeros(3, np.float32)
    mask, none, sums = np.zeros(2, np.uint8), np.empty(0, np.uint8), np.zeros(3)
    a = kernels.Activation
    forward, backward = kernels.bias_act_f32, kernels.bias_act_backward_f32
    from_output, double = kernels.bias_act_backward_from_output_f32, kernels.bias_act_double_backward_f32
    for message, call in [
        ("x has 8 elements, out has 9", lambda: forward(x[:8], bias, 1, a.RELU, 0, 1, 1, out, none)),
        ("multiple of bias's 3 times inner, 2", lambda: forward(x, bias, 2, a.RELU, 0, 1, 1, out, none)),
        ("multiple of bias's 3 times inner, 0", lambda: forward(x, bias, 0, a.RELU, 0, 1, 1, out, none)),
        ("mask has 1 bytes, 9 elements need 2", lambda: forward(x, bias, 1, a.RELU, 0, 1, 1, out, mask[:1])),
        ("activation must be an Activation, from 0 to 4, got 5", lambda: forward(x, bias, 1, 5, 0, 1, 1, out, none)),
        ("activation must be an Activation, from 0 to 4, got -1", lambda: forward(x, bias, 1, -1, 0, 1, 1, out, none)),
        ("gain must be positive and finite, got 0", lambda: forward(x, bias, 1, a.RELU, 0, 0, 1, out, none)),
        ("gain must be positive and finite, got inf", lambda: backward(x, x, bias, 1, a.ELU, 0, np.inf, 1, out, sums)),
        ("clamp must be at least 0, got nan", lambda: backward(x, x, bias, 1, a.ELU, 0, 1, np.nan, out, sums)),
        ("bias_grad has 2 elements, bias has 3", lambda: backward(x, x, bias, 1, a.ELU, 0, 1, 1, out, sums[:2])),
        ("grad has 8 elements", lambda: backward(x[:8], x, bias, 1, a.ELU, 0, 1, 1, out, sums)),
        ("output has 8 elements", lambda: from_output(x, x[:8], none, bias, 1, a.RELU, 0, 1, 1, out, sums)),
        ("mask has 1 bytes", lambda: from_output(x, x, mask[:1], bias, 1, a.RELU, 0, 1, 1, out, sums)),
        ("activation must be ELU or SELU, got 1", lambda: double(x, x, x, bias, 1, a.RELU, 0, 1, 1, out, sums)),
        ("gg has 8 elements", lambda: double(x[:8], x, x, bias, 1, a.ELU, 0, 1, 1, out, sums)),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    assert (out == 7).all()
    assert not sums.any()


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


def test_products_that_are_too_large():
    """inner times the number of channels, which no Py_ssize_t need hold, and a start beyond every index."""
    most = sys.maxsize
    found = [call for call in calls.kernel_calls() if "inner" in inspect.signature(call.function).parameters]
    assert {call.name.rsplit("_", 1)[0] for call in found} == {
        f"kernels.{name}" for name in ("prelu_backward", *(f"bias_act{suffix}" for suffix in BIAS_ACT))
    }
    for call in found:
        names = [*inspect.signature(call.function).parameters]
        at, array = names.index("inner"), names.index("x" if "x" in names else "output")
        for inner in (
            0,
            -1,
            3,
            5,
            2**61,
            2**62,
            2**62 + 1,
            2**62 + 4,
            most // 2 + 1,
            most // 2 + 2,
            most - 1,
            most,
            -most,
        ):
            for length in (8, 0):
                arguments = [
                    given[:length] if isinstance(given, np.ndarray) and len(given) == 8 else given
                    for given in call.args
                ]
                arguments[at] = inner
                if "mask" in names:
                    arguments[names.index("mask")] = np.zeros(length // 8, np.uint8)
                before = [np.copy(given) for given in arguments if isinstance(given, np.ndarray)]
                assert len(arguments[array]) == length
                if length == 0 and inner > 0:
                    assert call.function(*arguments) == 0
                else:
                    with pytest.raises(ValueError, match=rf"has {length} elements, expected a multiple of .* {inner}$"):
                        call.function(*arguments)
                    kept = (given for given in arguments if isinstance(given, np.ndarray))
                    assert all(map(np.array_equal, before, kept))
    for call in calls.kernel_calls():
        names = [*inspect.signature(call.function).parameters]
        if "start" in names:
            arguments = [*call.args]
            arguments[names.index("start")] = 2**64 - 8
            assert call.function(*arguments) == 8
            arguments[names.index("start")] = 2**64 - 7
            with pytest.raises(ValueError, match=r"8 elements from there on have no index below 2\*\*64"):
                call.function(*arguments)


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
