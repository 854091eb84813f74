"""The CuPy back end against the CPU: equal bits, rules and errors; and CUDA source that compiles without a GPU.

Every test but those for NVRTC and the import takes the `cupy` fixture: a GPU where there is one, else the emulation.
What NumPy and CuPy share with the same expectation is in test_functions.py; here one back end is the other's judge.
"""

import contextlib
import functools
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import reference
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, bfloat16, compute_type, finfo, specials, ulps_apart
from conftest import to_numpy

import pyleaky
from pyleaky import _arguments, _core, training

ROWS = list(_core.ROWS.values())
FUNCTIONS = {
    "relu": lambda x, grad, slope, **options: pyleaky.relu(x, **options),
    "leaky_relu": lambda x, grad, slope, **options: pyleaky.leaky_relu(x, 0.1, **options),
    "leaky_relu-slopes": lambda x, grad, slope, **options: pyleaky.leaky_relu(x, slope, **options),
    "relu_backward": lambda x, grad, slope, **options: pyleaky.relu_backward(grad, x, **options),
    "leaky_relu_backward": lambda x, grad, slope, **options: pyleaky.leaky_relu_backward(grad, x, 0.1, **options),
    "leaky_relu_backward-slopes": lambda x, grad, slope, **options: pyleaky.leaky_relu_backward(
        grad, x, slope, **options
    ),
}

# An exponential, and a product with a constant of more digits, is within a few units of the last place.
EXPONENTIAL = [row for row in ROWS if re.search(r"\b(v_exp|w_)", row.formula)]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
every_exact_row = pytest.mark.parametrize(
    "row", [row for row in ROWS if row not in EXPONENTIAL], ids=lambda row: row.name
)
every_exponential_row = pytest.mark.parametrize("row", EXPONENTIAL, ids=lambda row: row.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def from_letters(letters):
    """NumPy's letters, and E for bfloat16."""
    return [np.dtype(bfloat16 if letter == "E" else letter) for letter in letters]


def assert_same(cupy, call, *arrays):
    """Run the call on NumPy's and on CuPy's arrays: equal results, and the arrays left equal."""
    host = [array.copy() for array in arrays]
    device = [cupy.asarray(array) for array in arrays]
    expected, actual = call(*host), call(*device)
    if not isinstance(expected, tuple):
        expected, actual = (expected,), (actual,)
    for wanted, got in zip(expected, actual, strict=True):
        assert isinstance(got, cupy.ndarray)
        assert_same_bits(to_numpy(got), wanted)
        if wanted.size > 1:
            assert got.strides == wanted.strides
    for wanted, got in zip(host, device, strict=True):
        assert_same_bits(to_numpy(got), wanted)


# ---------------------------------------------------------------------------------------------- the kernels


@every_dtype
@every_exact_row
def test_kernels_give_the_bits_of_the_cpu(cupy, row, dtype):
    from pyleaky import _gpu

    rng = np.random.default_rng(0)
    grid = np.meshgrid(*[specials(dtype)] * len(row.inputs))
    values = [np.concatenate([axis.ravel(), any_bits(rng, 10_000, dtype)]) for axis in grid]
    device = [cupy.asarray(value) for value in values]

    assert_same_bits(to_numpy(_gpu.call(row.name, device)), getattr(_core, row.name)(*values))
    if row.parameters:
        for number in [*specials(dtype), *specials(dtype).tolist(), 0.1, 1e300, 1e-300]:
            with np.errstate(all="ignore"):
                expected = getattr(_core, row.name + "_number")(*values[:-1], compute_type(dtype)(number))
            assert_same_bits(to_numpy(_gpu.call(row.name, [*device[:-1], number])), expected)


@every_dtype
@every_exponential_row
def test_exponential_kernels_are_near_the_cpu(cupy, row, dtype):
    from pyleaky import _gpu

    rng = np.random.default_rng(0)
    n = 50_000
    draw = {"x": 300, "output": 300, "grad": 2, "gg": 2}
    values = [
        rng.choice([-1, 1e-3, 0.1, 0.5, 1, 1.5, 3, 100], n).astype(dtype)
        if name == "alpha"
        else rng.normal(0, draw[name], n).astype(dtype)
        for name in row.inputs
    ]
    result = to_numpy(_gpu.call(row.name, [cupy.asarray(value) for value in values]))
    # A float32 that is off by some places rounds to the same number of a half type or to a neighbour.
    assert ulps_apart(result, getattr(_core, row.name)(*values)).max() <= (1 if dtype in HALVES else 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_a_power_of_two_are_rounded_once(cupy, dtype):
    from pyleaky import _cuda

    wide = dtype is np.float64
    kernel = cupy.ElementwiseKernel(
        "T given, int32 n",
        "T result",
        "result = (T)(pyleaky_plain)pyleaky_ldexp((C)given, n)",
        "pyleaky_scales",
        preamble=_cuda.preamble(wide),
        options=_cuda.OPTIONS,
    )
    rng = np.random.default_rng(0)
    n = np.concatenate([np.arange(-3000, 3000), rng.integers(-1200, 1200, 100_000)]).astype(np.int32)
    ends = (-612, 800) if wide else (-106, 96)  # of the products of what pyleaky_scaled gives
    factors = np.ldexp(rng.uniform(1, 1.5, n.size), rng.integers(*ends, n.size)) * rng.choice([-1, 1], n.size)
    factors[rng.random(n.size) < 0.1] = 2.0 ** ends[0]
    factors = np.where(rng.random(n.size) < 0.05, rng.choice([0, -0.0, np.inf, -np.inf, np.nan], n.size), factors)
    factors = factors.astype(dtype)
    with np.errstate(all="ignore"):
        # In float64 nothing is lost; ldexp rounds once.
        expected = np.ldexp(factors.astype(np.float64), np.clip(n, -800, 800) if not wide else n).astype(dtype)
    assert_same_bits(to_numpy(kernel(cupy.asarray(factors), cupy.asarray(n))), expected)


def spread_out(rng, name, dtype, n):
    """Numbers for the operand of this name, of every size that it may have."""
    info = np.finfo(dtype)
    everywhere = np.exp(rng.uniform(0.98 * np.log(info.tiny), 0.98 * np.log(info.max), n))
    least = float(info.tiny) * rng.uniform(1, 80, n)  # x and alpha so small that their quotient's rest would be lost
    draw = {
        "x": [-np.abs(rng.normal(0, 3, n)), -np.exp(rng.uniform(-20, 5, n)), -everywhere, -least],
        "alpha": [rng.uniform(0.5, 2, n), np.exp(rng.normal(0, 5, n)), -everywhere, least / 40],
        "output": [rng.uniform(-1.7, 1, n)] * 4,
    }
    others = [rng.normal(0, 1, n), rng.normal(0, 1, n), everywhere, rng.normal(0, 1, n)]
    return np.concatenate(draw.get(name, others)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", [row for row in EXPONENTIAL if "double" not in row.name], ids=lambda row: row.name)
def test_exponentials_are_accurate(cupy, row, dtype):
    # A double backward row rounds gg * grad first, which may overflow; the CPU does the same.
    from pyleaky import _gpu

    rng = np.random.default_rng(0)
    values = [spread_out(rng, name, dtype, 50_000) for name in row.inputs]
    result = to_numpy(_gpu.call(row.name, [cupy.asarray(value) for value in values]))
    with np.errstate(all="ignore"):
        exact = getattr(reference, row.name)(*values)
    assert reference.ulps(result, exact).max() <= (2 if "backward" not in row.name else 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_exponential_row
def test_exponentials_of_special_values(cupy, row, dtype):
    from pyleaky import _gpu

    # The CPU's float64 keeps its promises for an alpha of 2^-100 to 2^100, and an infinite one is asked of neither.
    alphas = np.array([0, 2.0**-100, 0.1, 1, 1.5, 2.0**100, np.nan])
    alphas = np.concatenate([alphas, -alphas]).astype(dtype)
    grid = np.meshgrid(*(alphas if name == "alpha" else specials(dtype) for name in row.inputs))
    values = [axis.ravel() for axis in grid]
    result = to_numpy(_gpu.call(row.name, [cupy.asarray(value) for value in values]))
    with np.errstate(all="ignore"):
        expected = getattr(_core, row.name)(*values)
    # Both divide what may be subnormal.
    assert ulps_apart(result, expected).max() <= (8 if row.name == "celu_double_backward" else 4)


@every_row
def test_ufuncs_leave_cupy_arrays_alone(cupy, row):
    # Else a test could pass although it never reached the back end.
    with pytest.raises(TypeError, match="NotImplemented"):
        getattr(_core, row.name)(*[cupy.ones(3)] * len(row.inputs))
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(cupy.ones(3))


# ---------------------------------------------------------------------------------------------- NVRTC


CUPY = "CuPy 13.3 or newer, which writes the CUDA around each row, is not installed"


@pytest.fixture
def real_gpu(monkeypatch):
    """
    pyleaky._gpu on the real CuPy, which needs no device up to the loading of what it compiled.

    CuPy calls NVRTC itself, so that options, their order and headers are its own; `compiled` lists options and PTX.
    """
    pytest.importorskip("cupy", "13.3", reason=CUPY)
    from cupy.cuda import compiler

    with contextlib.suppress(ImportError, RuntimeError):
        from cuda import pathfinder

        pathfinder.load_nvidia_dynamic_lib("nvrtc")  # CuPy 13 does not look for it among Python's packages
    try:
        compiler.nvrtc.getVersion()
    except RuntimeError:
        pytest.skip("NVRTC is not installed")
    spec = importlib.util.spec_from_file_location("pyleaky._gpu", f"{pyleaky.__path__[0]}/_gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.compiled = []

    class Program(compiler._NVRTCProgram):
        def compile(self, options=(), *more):
            result = super().compile(options, *more)
            module.compiled.append((options, compiler.nvrtc.getPTX(self.ptr).decode()))
            return result

    class Module(compiler.function.Module):
        def load(self, binary):
            assert binary.startswith(b"\x7fELF")

        def _set_mapping(self, mapping):
            pass

    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    monkeypatch.setattr(compiler, "_NVRTCProgram", Program)
    monkeypatch.setattr(compiler, "function", SimpleNamespace(Module=Module))
    # It asks for the device only to remember its answers by it.
    of_arch = compiler._get_arch_for_options_for_nvrtc.__wrapped__
    monkeypatch.setattr(compiler, "_get_arch_for_options_for_nvrtc", of_arch)
    return module


def cuda_source(kernel, dtype, number=None, ndim=1, to=None):
    """
    CuPy's source around a kernel for arrays of a type T, this dtype, or U, `to`, contiguous where ndim is 1.

    Numbers are the operands that are neither raw nor of such a type, and the one of this name.
    """
    import cupy
    from cupy._core import _carray, _kernel, _scalar

    array, indexer, scalar = 1, 2, 3  # cupy/_core/_kernel.pxd
    params = (*kernel.in_params, *kernel.out_params)
    dtypes = [np.dtype({"T": dtype, "U": to}.get(param.ctype, param.dtype)) for param in params]
    given, made = tuple(dtypes[: len(kernel.in_params)]), tuple(dtypes[len(kernel.in_params) :])
    _, _, types = _kernel._decide_params_type(kernel.in_params, kernel.out_params, given, made)
    infos = [
        _kernel._ArgInfo(array, cupy.ndarray, found, ndim, ndim == 1, True)
        if param.raw or (param.dtype is None and param.name != number)
        else _kernel._ArgInfo(scalar, _scalar.CScalar, found, 0, True, True)
        for param, found in zip(params, dtypes, strict=True)
    ]
    infos.append(_kernel._ArgInfo(indexer, _carray.Indexer, None, ndim, True, True))
    text = kernel.operation, kernel.name, kernel.preamble
    source = _kernel._get_elementwise_kernel_code(tuple(infos), types, kernel.params, *text)
    assert "CUPY_FOR(i, _ind.size())" in source  # whose i is a ptrdiff_t
    return source


def compile_cuda(real_gpu, kernel, dtype, arch="80", flushing=frozenset(), **form):
    """
    The PTX; raises unless CuPy makes a device binary of the kernel.

    No operation, comparison or conversion but the `flushing` ones may flush subnormal numbers, whatever CuPy's options.
    """
    from cupy._core import core

    if not real_gpu._has(np.dtype(dtype)):
        pytest.skip("bfloat16 on the GPU needs CuPy 14")
    core.compile_with_cache(cuda_source(kernel, dtype, **form), kernel.kwargs["options"], arch=arch)
    options, ptx = real_gpu.compiled[-1]
    assert [option for option in options if option in real_gpu.OPTIONS] == [*real_gpu.OPTIONS]
    assert f"-arch=sm_{arch}" in options
    assert f".entry {kernel.name}(" in ptx
    assert set(re.findall(r"[\w.]+\.ftz[\w.]*", ptx)) <= flushing
    return re.sub(r"(?m)^\s*\.global .*$", "", ptx)  # constants of CuPy 13's headers


def check_ptx(ptx, dtype, exact=True):
    """
    Nothing approximate, no float64 but for float64, half types only converted, addresses and counts of 64 bits.

    exact: no fma either, so that each operation has the CPU's bits.
    """
    assert not re.findall(r"\.approx|\.local\b", ptx)
    assert set(re.findall(r"\b([a-z]+)\.[\w.]*f16", ptx)) <= {"cvt"}
    if dtype is not np.float64:
        assert ".f64" not in ptx
    if exact:
        assert not re.findall(r"\bfma\.|\bmad\.\w+\.f", ptx)
    # The loop over i, as CUPY_FOR writes it.
    assert re.search(r"\bsetp\.\w+\.[su]64\b", ptx)


def packs(ptx, kind):
    """How many loads or stores of 16 bytes there are."""
    return len(re.findall(rf"\b{kind}\.global(?:\.v4\.[a-z]+32|\.v2\.[a-z]+64)\b", ptx))


every_arch = pytest.mark.parametrize("arch", ["80", "90"])  # whose PTX differs little


@every_arch
@every_dtype
@every_row
def test_kernels_compile_with_nvrtc(real_gpu, row, dtype, arch):
    wide = dtype is np.float64
    for number in [None, f"given_{row.inputs[-1]}"][: 1 + row.parameters]:
        kernel = real_gpu.kernel(row.name, wide, number is not None)
        ptx = compile_cuda(real_gpu, kernel, dtype, arch, number=number, ndim=3)
        check_ptx(ptx, dtype, row not in EXPONENTIAL)
        if dtype in HALVES:
            assert f"cvt.rn.{'bf16' if dtype is bfloat16 else 'f16'}.f32" in ptx
        if "v_mul(" in row.formula:
            assert re.search(rf"\bmul(\.rn)?\.f{64 if wide else 32}\b", ptx)


def compile_raw(real_gpu, kernel, dtype, exact=True):
    # What counts lanes or holds bits has 32 bits; what counts elements has not.
    assert set(re.findall(r"\b(?:int|short|long) (\w+)", kernel.operation)) <= {
        "lane",
        "block",
        "side",
        "sides",
        "bits",
    }
    ptx = compile_cuda(real_gpu, kernel, dtype)
    check_ptx(ptx, dtype, exact)
    return ptx


@every_dtype
@every_row
def test_arrays_without_gaps_move_in_packs(real_gpu, row, dtype):
    for parameter in [None, "number", "channel"][: 1 + 2 * row.parameters]:
        kernel = real_gpu.vector_kernel(row.name, dtype is np.float64, parameter)
        ptx = compile_raw(real_gpu, kernel, dtype, row not in EXPONENTIAL)
        assert packs(ptx, "ld") == len(row.inputs) - (parameter == "number")
        assert packs(ptx, "st") == 1


FUSED = [
    ("mask_kernel", "relu", 1),
    ("mask_kernel", "leaky_relu", 1),
    ("from_mask_kernel", "relu_backward", 1),
    ("from_mask_kernel", "leaky_relu_backward", 1),
    ("random_kernel", "dropout", 1),
    ("random_kernel", "rrelu", 1),
    ("random_kernel", "rrelu_backward", 2),
]


@every_dtype
@pytest.mark.parametrize(("maker", "name", "arrays"), FUSED)
def test_fused_kernels_compile_with_nvrtc(real_gpu, maker, name, arrays, dtype):
    wide = dtype is np.float64
    ptx = compile_raw(real_gpu, getattr(real_gpu, maker)(name, wide, True), dtype)
    # A byte of a mask and a block of random numbers are for more elements than one pack of the wider types has.
    elements = {"mask_kernel": 8, "random_kernel": 4}.get(maker, 1)
    each = max(1, elements * np.dtype(dtype).itemsize // 16)
    assert packs(ptx, "ld") == arrays * each
    assert packs(ptx, "st") == each
    ptx = compile_raw(real_gpu, getattr(real_gpu, maker)(name, wide, False), dtype)
    assert packs(ptx, "ld") == packs(ptx, "st") == 0
    if maker == "random_kernel":
        compile_raw(real_gpu, real_gpu.scattered_kernel(name, wide, 3), dtype)


@every_dtype
def test_sums_compile_with_nvrtc(real_gpu, dtype):
    wide = dtype is np.float64
    for aligned in (False, True):
        for parameter, arrays in [(None, 2), ("number", 2), ("channel", 3)]:
            kernel = real_gpu.prelu_backward_kernel(wide, aligned, parameter)
            ptx = compile_raw(real_gpu, kernel, dtype, exact=False)
            assert packs(ptx, "ld") == (arrays if aligned else 0)
            if dtype in HALVES:  # whose sums are not in packs
                assert packs(ptx, "st") == (aligned and parameter is not None)
        for p in (1.0, 2.0):
            compile_raw(real_gpu, real_gpu.norm_kernel(wide, aligned, p), dtype, exact=False)
        # In float64.  CUDA's pow has a stack and compares the high half of a float64 as a float32.
        flushing = {"rcp.approx.ftz.f64", "abs.ftz.f32", "setp.geu.ftz.f32", "setp.lt.ftz.f32"}
        compile_cuda(real_gpu, real_gpu.norm_kernel(True, aligned, 3.5), dtype, flushing=flushing)
    compile_raw(real_gpu, real_gpu.fewer_sums_kernel(wide), dtype)
    ptx = compile_cuda(real_gpu, real_gpu.last_sums_kernel(wide), dtype)
    assert not re.search(r"\batom\.|\bred\.", ptx)
    if not wide:  # sums are converted once, and the two halves of each added
        found = re.findall(r"\b([a-z]+)\.[\w.]*f64[\w.]*", ptx)
        assert set(found) <= {"cvt", "add", "st", "selp", "mov"}
        assert found.count("add") == found.count("st")


@every_dtype
def test_clipping_and_casts_compile_with_nvrtc(real_gpu, dtype):
    compile_raw(real_gpu, real_gpu.clip_kernel(dtype is np.float64), dtype)
    for to in (np.float32, np.float64, *[bfloat16] * real_gpu._has(np.dtype(bfloat16))):
        compile_cuda(real_gpu, real_gpu.cast_kernel(to is np.float64), dtype, to=to)


@every_dtype
@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu", "elu", "selu"])
def test_bias_act_compiles_with_nvrtc(real_gpu, activation, dtype):
    wide, smooth = dtype is np.float64, activation in ("elu", "selu")
    for masks in (False, True):
        kernel = real_gpu.bias_act_kernel(activation, wide, True, True, masks)
        ptx = compile_raw(real_gpu, kernel, dtype, not smooth)
        each = np.dtype(dtype).itemsize // 2 if masks else 1
        assert packs(ptx, "ld") == 2 * each
        assert packs(ptx, "st") == each
    for source, masked in [("x", False), ("output", False), ("output", True), ("gg", False)]:
        if source != "gg" or smooth:
            kernel = real_gpu.bias_gradient_kernel(activation, wide, True, source, True, masked, True, True)
            ptx = compile_raw(real_gpu, kernel, dtype, not smooth)
            assert packs(ptx, "ld") == {"x": 3, "output": 2, "gg": 4}[source]
            assert packs(ptx, "st") >= 1


def test_cupy_is_not_imported_before_its_array_arrives():
    code = """
import sys
import numpy as np
import pyleaky
for dtype in "efdb":
    x = np.arange(-6, 6).reshape(3, 4).astype(dtype)
    for x in (x, x.T, x[:0], x[0, 0], x.tolist()):
        pyleaky.relu(x)
        pyleaky.leaky_relu(x, 0.1)
        pyleaky.leaky_relu(x, np.asarray(x))
        pyleaky.prelu(x, 0.1)
        pyleaky.relu_backward(x, x)
        pyleaky.leaky_relu_backward(x, output=x)
        pyleaky.prelu_backward(x, x, 0.1)
pyleaky.show_config()
print([name for name in sys.modules if name.split(".")[0] == "cupy" or name == "pyleaky._gpu"])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


# ---------------------------------------------------------------------------------------------- layouts and overlap

LAYOUTS = {
    "contiguous": lambda a: a,
    "transposed": lambda a: a.T,
    "middle axis last": lambda a: a.transpose(0, 2, 1),
    "strided": lambda a: a[::2, 1::3],
    "reversed": lambda a: a[::-1, :, ::-1],
    "column": lambda a: a[:, 1, 2],
    "one element": lambda a: a[1:2, :1, 3:4],
    "0-d": lambda a: a[1, 2, 3:4].reshape(()),
    "empty": lambda a: a[:0],
    "empty inside": lambda a: a[:, 2:2],
}


def operands(dtype=np.float32, shape=(6, 7, 8)):
    rng = np.random.default_rng(0)
    return [any_bits(rng, shape, dtype) for _ in range(3)]


@every_function
@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(cupy, layout, dtype, function):
    assert_same(cupy, lambda *arrays: function(*map(layout, arrays)), *operands(dtype))
    assert_same(cupy, lambda *arrays: function(*map(layout, arrays), out=layout(arrays[0])), *operands(dtype))


@every_function
def test_layouts_that_differ(cupy, function):
    x, grad, slope = operands(shape=(6, 6))
    assert_same(cupy, lambda x, grad, slope: function(x.T, grad[::-1], slope[:, ::-1]), x, grad, slope)
    assert_same(cupy, lambda x, grad, slope: function(x[::-1], grad.T, slope.T), x, grad, slope)


@every_function
def test_overlapping_out(cupy, function):
    for inside, outside in [
        (slice(20, 80), slice(20, 80)),
        (slice(20, 80), slice(1, 61)),
        (slice(20, 80), slice(19, 79)),
        (slice(20, 80), slice(23, 83)),
        (slice(0, 100), slice(None, None, -1)),
        (slice(0, 50), slice(0, 100, 2)),
        (slice(79, 19, -1), slice(20, 80)),
        (slice(0, 64), slice(32, 96)),
        (slice(32, 96), slice(0, 64)),
    ]:
        for target in range(3):

            def call(*arrays, inside=inside, outside=outside, target=target):
                return function(*(array[inside] for array in arrays), out=arrays[target][outside])

            assert_same(cupy, call, *operands(shape=100))


def test_slopes_that_overlap_out(cupy):
    for slope in (lambda a: a[:1], lambda a: a[3], lambda a: a[:, :1], lambda a: a.T):
        assert_same(cupy, lambda a, slope=slope: pyleaky.leaky_relu(a, slope(a), out=a), operands(shape=(6, 6))[0])


def test_broadcasting(cupy):
    x, _, slope = operands(shape=(6, 7))
    for call in [
        lambda x, slope: pyleaky.leaky_relu(x, slope[0]),
        lambda x, slope: pyleaky.leaky_relu(x, slope[:, :1]),
        lambda x, slope: pyleaky.leaky_relu(x[0], slope),
        lambda x, slope: pyleaky.leaky_relu(x[:, :1], slope[0]),
        lambda x, slope: pyleaky.leaky_relu(x[:, None], slope[0, :1]),
        lambda x, slope: pyleaky.leaky_relu(x[0], slope[:, :1], out=x),
        lambda x, slope: pyleaky.leaky_relu(x[0], 0.5, out=x),
        lambda x, slope: pyleaky.relu(2.5, out=x),
        lambda x, slope: pyleaky.leaky_relu(-2, slope),
        lambda x, slope: pyleaky.leaky_relu(x[:0], slope[:1]),
        lambda x, slope: pyleaky.leaky_relu_backward(x, x, slope[0]),
    ]:
        assert_same(cupy, call, x, slope)


# ---------------------------------------------------------------------------------------------- dtypes and numbers


def assert_same_or_refused(cupy, call, *arrays):
    """As assert_same, and where NumPy's dtype rules refuse the call, CuPy's array is refused in the same words."""
    try:
        call(*(array.copy() for array in arrays))
    except TypeError as refusal:
        with pytest.raises(type(refusal), match=f"^{re.escape(str(refusal))}$"):
            call(*map(cupy.asarray, arrays))
    else:
        assert_same(cupy, call, *arrays)


@pytest.mark.parametrize("x_dtype", from_letters("?bBhHiIqQeEfd"), ids=lambda dtype: dtype.name)
def test_dtypes(cupy, x_dtype):
    values = np.array([-3, 0, 2, 100]).astype(x_dtype)
    for other in from_letters("?bhHiqeEfd"):
        slope = np.array([1, 0, 2, 3]).astype(other)
        assert_same(cupy, pyleaky.leaky_relu, values, slope)
        assert_same(cupy, pyleaky.relu_backward, slope, values)
        assert_same(cupy, pyleaky.leaky_relu_backward, slope, values)
        assert_same(cupy, lambda x, slope: pyleaky.leaky_relu_backward(slope, x, slope), values, slope)
    for dtype in DTYPES:
        out = np.zeros(4, dtype)
        assert_same_or_refused(cupy, lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out), values, out)
        assert_same_or_refused(cupy, lambda x, dtype=dtype: pyleaky.leaky_relu(x, 0.1, dtype=dtype), values)
        assert_same_or_refused(cupy, lambda x, dtype=dtype: pyleaky.leaky_relu(x, x, dtype=dtype), values)
        assert_same(cupy, lambda x, out: pyleaky.relu(x, out=out, dtype=np.float64), values, out)


NUMBERS = [0.1, 2, True, np.float16(0.1), bfloat16(0.1), np.float32(0.1), np.float64(0.1), np.int8(-1), np.array(0.1),
           np.array(3)]  # fmt: skip


@every_dtype
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__}-{number}")
def test_numbers(cupy, number, dtype):
    x, grad, slope = operands(dtype, 100)
    assert_same(cupy, lambda x: pyleaky.leaky_relu(x, number), x)
    assert_same(cupy, lambda x: pyleaky.prelu(x, number), x)
    assert_same(cupy, lambda x, grad: pyleaky.leaky_relu_backward(grad, x, number), x, grad)
    assert_same(cupy, lambda slope: pyleaky.leaky_relu(number, slope), slope)


def test_bfloat16_needs_cupy_14(cupy, monkeypatch):
    x, integers = cupy.asarray(np.ones(3, bfloat16)), cupy.asarray(np.ones(3, np.int8))
    from pyleaky import _gpu

    monkeypatch.setattr(cupy, "__version__", "13.6.0")
    monkeypatch.setattr(_gpu, "_QUICK", {})
    mask = cupy.ones(1, np.uint8)
    for call in (
        lambda: pyleaky.relu(x),
        lambda: pyleaky.leaky_relu(x, 0.1),
        lambda: pyleaky.leaky_relu(x, x),
        lambda: pyleaky.selu_backward(x, x),
        lambda: pyleaky.relu(integers, dtype=bfloat16),
        lambda: pyleaky.relu(x, return_mask=True),
        lambda: pyleaky.relu_backward(x, mask=mask),
        lambda: pyleaky.prelu_backward(x, x, 0.1),
        lambda: pyleaky.prelu_backward(x, x, x),
        lambda: pyleaky.dropout(x, seed=1),
        lambda: pyleaky.rrelu(x, seed=1),
        lambda: pyleaky.bias_act(x, axis=0, activation="leaky_relu"),
        lambda: pyleaky.bias_act_backward(x, x, axis=0, activation="leaky_relu"),
        lambda: training.clip_grad_norm([x], 1.0),
    ):
        with pytest.raises(TypeError, match=r"^bfloat16 on the GPU needs CuPy 14 or newer, found CuPy 13\.6\.0$"):
            call()
    assert pyleaky.relu(x.astype(np.float16)).dtype == np.float16


def test_a_slope_of_no_dimensions_is_a_number(cupy):
    x = operands(np.float32, 100)[0]
    y = pyleaky.leaky_relu(cupy.asarray(x), cupy.asarray(np.array(0.1)))
    assert_same_bits(to_numpy(y), pyleaky.leaky_relu(x, 0.1))


def test_where(cupy):
    x, _, out = operands(shape=(6, 7))
    where = np.random.default_rng(1).random((6, 7)) < 0.5
    for call in [
        lambda x, out, where: pyleaky.leaky_relu(x, 0.1, out=out, where=where),
        lambda x, out, where: pyleaky.leaky_relu(x, 0.1, out=x, where=where),
        lambda x, out, where: pyleaky.leaky_relu(x[::-1], 0.1, out=x, where=where),
        lambda x, out, where: pyleaky.leaky_relu(x[0], 0.1, out=out, where=where[:, :1]),
        lambda x, out, where: pyleaky.leaky_relu(x, out[0], out=out, where=where),
        lambda x, out, where: pyleaky.relu(x.T, out=out.T, where=where.T),
        lambda x, out, where: pyleaky.relu(x, out=out, where=False),
        lambda x, out, where: pyleaky.relu(x, out=out, where=np.True_),
        lambda x, out, where: pyleaky.relu(x, out=out, where=np.array(False)),
        lambda x, out, where: pyleaky.relu(x, out=out, where=where, dtype=np.float64),
        lambda x, out, where: pyleaky.relu(2.5, out=out, where=where),
        lambda x, out, where: pyleaky.relu(x[:0], out=out[:0], where=where[:0]),
    ]:
        assert_same(cupy, call, x, out, where)


# ---------------------------------------------------------------------------------------------- prelu's weight gradient


@pytest.mark.parametrize(
    "letters",
    ["fff", "ddd", "fdd", "dfd", "dff", "fdf", "bdd", "dbd", "?fb", "ddi", "eee", "EEE", "eef", "Eff", "eEe", "bEE"],
)
@pytest.mark.parametrize(("axis", "shape"), [(1, (4,)), ((2, 0), (5, 3)), (None, (5,)), (None, (4, 1)), (None, (1,))])
def test_prelu_backward(cupy, axis, shape, letters):
    rng = np.random.default_rng(0)
    shapes = [(3, 4, 5), (3, 4, 5), shape]
    if axis is None and len(shape) == 1 and shape != (1,):
        shapes[:2] = [(7, *shape)] * 2
    grad, x, weight = (
        rng.normal(0, 3, s).astype(dtype) for s, dtype in zip(shapes, from_letters(letters), strict=True)
    )
    expected = pyleaky.prelu_backward(grad, x, weight, axis=axis)
    actual = pyleaky.prelu_backward(*map(cupy.asarray, (grad, x, weight)), axis=axis)
    assert_same_bits(to_numpy(actual[0]), expected[0])
    assert actual[1].dtype == expected[1].dtype
    assert actual[1].shape == expected[1].shape
    if expected[1].dtype in HALVES:
        assert ulps_apart(to_numpy(actual[1]), expected[1]).max() <= 1
    else:
        tolerance = 4 * finfo(expected[1].dtype).eps
        np.testing.assert_allclose(to_numpy(actual[1]), expected[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("letters", ["fff", "ddd", "fdf", "dff", "fbd", "eee", "EEE", "Eef"])
def test_prelu_backward_without_a_sum(cupy, letters):
    arrays = [
        operand.astype(dtype) for operand, dtype in zip(np.full((3, 6), -0.0), from_letters(letters), strict=True)
    ]
    assert_same(cupy, pyleaky.prelu_backward, *arrays)
    rng = np.random.default_rng(0)
    assert_same(
        cupy, pyleaky.prelu_backward, *(rng.normal(0, 3, (4, 5)).astype(dtype) for dtype in from_letters(letters))
    )


def test_prelu_backward_of_few_elements(cupy):
    for shape in [(), (1,), (0,), (0, 3), (3, 0)]:
        grad, x = np.full(shape, 2.0), np.full(shape, -3.0)
        assert_same(cupy, lambda grad, x: pyleaky.prelu_backward(grad, x, 0.5), grad, x)
        assert_same(cupy, pyleaky.prelu_backward, grad, x, np.full(shape[-1:], 0.5))
    assert_same(cupy, lambda grad: pyleaky.prelu_backward(grad, -3.0, 0.5), np.full((), 2.0))


def test_weight_gradient_is_the_same_every_time(cupy):
    rng = np.random.default_rng(0)
    grad, x = (cupy.asarray(rng.normal(size=(300, 7, 50)).astype(np.float32)) for _ in range(2))
    weight = cupy.asarray(np.ones(7, np.float32))
    first = to_numpy(pyleaky.prelu_backward(grad, x, weight, axis=1)[1])
    for _ in range(5):
        assert_same_bits(to_numpy(pyleaky.prelu_backward(grad, x, weight, axis=1)[1]), first)


# Shape of x, axes of the weight: strips along a channel and down the rows, in packs or not, folded or not, one stage
# of sums or more.
STRIPS = {
    "one weight": ((70_001,), ()),
    "one weight, few": ((3,), ()),
    "one weight, more axes": ((40, 50, 7), ()),
    "channels last": ((3000, 8), (1,)),
    "channels last, odd": ((3000, 5), (1,)),
    "channels last, one row": ((1, 40), (1,)),
    "channels first": ((6, 20_000), (0,)),
    "channels first, odd": ((6, 20_001), (0,)),
    "images": ((7, 6, 32, 32), (1,)),
    "small images": ((300, 6, 4, 4), (1,)),
    "small odd images": ((300, 6, 3, 3), (1,)),
    "one image": ((1, 5, 64, 64), (1,)),
    "two neighbouring axes": ((50, 4, 6, 10), (1, 2)),
    "two axes apart": ((4, 50, 6), (0, 2)),
    "three of four axes": ((3, 4, 5, 6), (0, 1, 3)),
    "an axis of length 1": ((300, 1, 4), (1, 2)),
}


@pytest.mark.parametrize("letters", ["ff", "dd", "ee", "EE", "fd", "ef"])
@pytest.mark.parametrize(("shape", "axes"), STRIPS.values(), ids=STRIPS)
def test_sums_of_the_weight_gradient(cupy, shape, axes, letters):
    from pyleaky import _gpu

    rng = np.random.default_rng(0)
    grad, x = (rng.normal(0, 3, shape).astype(dtype) for dtype in from_letters(letters))
    terms = np.where(x > 0, 0, grad.astype(np.float64) * x.astype(np.float64))
    summed = tuple(axis for axis in range(len(shape)) if axis not in axes)
    laid_shape = tuple(length if axis in axes else 1 for axis, length in enumerate(shape))
    laid = rng.normal(0, 1, laid_shape).astype(x.dtype)
    expected = terms.sum(axis=summed, dtype=np.longdouble).reshape(laid_shape)
    bound = 2.0**-44 * np.abs(terms).sum(axis=summed).reshape(laid_shape)
    for turn in (lambda a: a, np.transpose):  # in C and in Fortran order
        given = [turn(cupy.asarray(np.ascontiguousarray(turn(array)))) for array in (grad, x)]
        weights = turn(cupy.asarray(np.ascontiguousarray(turn(laid))))
        dx, total = _gpu.prelu_backward(*given, weights, laid_shape)
        assert total.dtype == np.float64
        assert np.all(np.abs(to_numpy(total).reshape(laid_shape) - expected) <= bound)
        assert_same_bits(to_numpy(dx), pyleaky.leaky_relu_backward(grad, x, laid))
        assert dx.strides == given[1].astype(dx.dtype).strides
        again = _gpu.prelu_backward(*given, weights, laid_shape)[1]
        assert_same_bits(to_numpy(again), to_numpy(total))
    for number in (0.25, cupy.asarray(np.array(0.25, np.float32))):
        dx, total = _gpu.prelu_backward(*map(cupy.asarray, (grad, x)), number, ())
        assert_same_bits(to_numpy(dx), pyleaky.leaky_relu_backward(grad, x, 0.25))
        assert total.shape == ()
        np.testing.assert_allclose(to_numpy(total), terms.sum(), rtol=0, atol=2.0**-44 * np.abs(terms).sum())


def test_sums_take_one_pass_where_they_can(cupy, monkeypatch):
    from pyleaky import _gpu

    def never(*arguments, **options):
        raise AssertionError("another pass")

    monkeypatch.setattr(_gpu, "call", never)
    monkeypatch.setattr(_gpu, "sum_weight_grad", never)
    for shape, axes in STRIPS.values():
        if axes not in ((0, 2), (0, 1, 3)) and shape != (1, 40):
            x = cupy.asarray(np.ones(shape, np.float32))
            laid_shape = tuple(length if axis in axes else 1 for axis, length in enumerate(shape))
            _gpu.prelu_backward(x, x, cupy.asarray(np.ones(laid_shape, np.float32)), laid_shape)
            _gpu.prelu_backward(x, x, 0.5, ())
            _gpu.prelu_backward(x.T, x.T, 0.5, ())


def test_sums_keep_what_float32_would_round_off(cupy):
    from pyleaky import _gpu

    # 2^24 + 1 - 2^24, in products of float32 and in what is added up.
    large, n = 2.0**12, 4096
    grad, x = np.ones((n, 3), np.float32), -np.ones((n, 3), np.float32)
    x[:2], grad[0], grad[1] = -large, large, -large
    _, total = pyleaky.prelu_backward(*map(cupy.asarray, (grad, x, np.ones(3))))
    np.testing.assert_array_equal(to_numpy(total), [2.0 - n] * 3)
    inexact = np.full(n, 1 + 2.0**-12, np.float32)
    total = _gpu.prelu_backward(cupy.asarray(inexact), cupy.asarray(-inexact), 0.5, ())[1]
    assert float(total) == -n * (1 + 2.0**-12) ** 2


def test_sums_that_overflow_are_infinite(cupy):
    big = np.full((4, 8), 3e38, np.float32)
    for sign in (1, -1):
        x = cupy.asarray(np.full((4, 8), -3e38, np.float32))
        total = pyleaky.prelu_backward(cupy.asarray(sign * big), x, cupy.asarray(np.ones(8, np.float32)))[1]
        np.testing.assert_array_equal(to_numpy(total), np.full(8, -sign * np.inf, np.float32))
    dbias = pyleaky.bias_act_backward(
        *map(cupy.asarray, (big, -big, big[0])), gain=1.0, negative_slope=1.0, activation="leaky_relu"
    )[1]
    np.testing.assert_array_equal(to_numpy(dbias), np.full(8, np.inf, np.float32))


# ---------------------------------------------------------------------------------------------- large arrays, chunks


def test_channels_of_elements_beyond_32_bits(cupy):
    from pyleaky import _cuda

    for inner, channels in [(1, 8), (1, 7), (3, 5), (2**31, 3), (5, 2**33 + 1)]:
        kernel = cupy.ElementwiseKernel(
            "raw T given, int64 origin, int64 channels, int64 inner",
            "raw T result",
            "pyleaky_spread(&given[0], origin + i, channels, inner, &result[0]); result[0] -= 0",
            "pyleaky_channel_of_a_lane",
            preamble=_cuda.preamble(False) + _cuda.PACKS.format(span="1", aligned="0"),
            options=_cuda.OPTIONS,
        )
        for origin in (0, 6, 2**31 - 1, 2**32 + 2, 2**40 + 3):
            channel = origin // inner % channels
            if channel >= 16:
                continue
            given = cupy.asarray(np.arange(17, dtype=np.float32))
            result = cupy.asarray(np.zeros(1, np.float32))
            kernel(given, origin, channels, inner, result, size=1)
            assert to_numpy(result)[0] == channel


@every_dtype
@pytest.mark.parametrize("name", ["dropout", "rrelu", "rrelu_backward"])
def test_random_numbers_of_a_chunk(cupy, name, dtype):
    from pyleaky import _fused, _gpu

    rng = np.random.default_rng(0)
    settings = (0.4, 0.0) if name == "dropout" else (0.1, 0.6)
    shape = (3, 4, 5)
    arrays = [rng.normal(0, 2, shape).astype(dtype) for _ in range(1 + (name == "rrelu_backward"))]
    names = ("grad", "x") if len(arrays) > 1 else ("x",)
    for strides in [None, (20, 5, 1), (100, 10, 1), (100, 5, 1), (1, 3, 12), (2**33, 2**20, 2), (7, 7, 7), (0, 1, 4)]:
        for start in (0, 3, 8, 2**40 + 4, 2**63 + 2):
            expected = _fused.run(name, [*zip(names, arrays, strict=True)], None, 5, start, *settings, strides)
            found = _gpu.random(name, [cupy.asarray(a) for a in arrays], None, 5, start, *settings, strides)
            assert_same_bits(to_numpy(found), expected)


@every_dtype
@pytest.mark.parametrize("places", [slice(0, 64), slice(1, 64), slice(0, 61), slice(5, 6)])
def test_arrays_at_any_address(cupy, places, dtype):
    x, grad, _ = operands(dtype, 64)
    for call in (
        lambda x, grad: pyleaky.leaky_relu(x[places], 0.1),
        lambda x, grad: pyleaky.leaky_relu(x[places], 0.1, return_mask=True),
        lambda x, grad: pyleaky.leaky_relu(x[places], 0.1, return_mask=True, out=grad[places]),
        lambda x, grad: pyleaky.relu_backward(grad[places], x[places]),
        lambda x, grad: pyleaky.dropout(x[places], seed=1, start=4),
        lambda x, grad: pyleaky.dropout(x[places], seed=1, start=6, out=x[places]),
        lambda x, grad: pyleaky.rrelu_backward(grad[places], x[places], seed=1),
        lambda x, grad: pyleaky.bias_act(x[places], axis=0, activation="leaky_relu"),
        lambda x, grad: pyleaky.bias_act(x[places], axis=0, return_mask=True, out=x[places], activation="leaky_relu"),
    ):
        assert_same(cupy, call, x, grad)
    for function in (pyleaky.leaky_relu, lambda x, slope: pyleaky.leaky_relu_backward(x, x, slope)):
        assert_same(cupy, function, x[:60].reshape(3, 4, 5), grad[:4].reshape(4, 1))
        assert_same(cupy, function, x.reshape(2, 32), grad[:32])
        assert_same(cupy, function, x.reshape(32, 2), grad[4:6])


# ---------------------------------------------------------------------------------------------- devices


@pytest.fixture
def emulated(monkeypatch):
    """The emulation even where a GPU is, for what one device cannot show."""
    import emulated_cupy

    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)
    monkeypatch.delitem(sys.modules, "pyleaky._gpu", raising=False)
    monkeypatch.delattr(pyleaky, "_gpu", raising=False)
    yield emulated_cupy
    sys.modules.pop("pyleaky._gpu", None)
    if hasattr(pyleaky, "_gpu"):
        del pyleaky._gpu


def every_call(cupy, dtype=np.float32):
    """By name, each public function and way to call it on arrays, with all its arrays as keyword arguments."""
    rng = np.random.default_rng(0)

    def array(*shape, of=dtype):
        return cupy.asarray(rng.normal(0, 2, shape).astype(of))

    leaky = functools.partial(functools.partial, activation="leaky_relu")
    many = {name: array(6, 8) for name in ("x", "grad", "gg")}
    x, grad, gg = ({name: many[name]} for name in ("x", "grad", "gg"))
    weight, bias, mask = {"weight": array(8)}, {"bias": array(8)}, {"mask": cupy.asarray(np.ones(6, np.uint8))}
    calls = {
        "prelu": (pyleaky.prelu, x | weight),
        "prelu, axes": (lambda **given: pyleaky.prelu(**given, axis=(0, 1)), x | {"weight": array(6, 8)}),
        "prelu_backward": (pyleaky.prelu_backward, grad | x | weight),
        "prelu_backward, number": (lambda **given: pyleaky.prelu_backward(**given, weight=0.1), grad | x),
        "rrelu": (lambda **given: pyleaky.rrelu(**given, seed=1), x),
        "rrelu_backward": (lambda **given: pyleaky.rrelu_backward(**given, seed=1), grad | x),
        "dropout": (lambda **given: pyleaky.dropout(**given, seed=1), x),
        "dropout_backward": (lambda **given: pyleaky.dropout_backward(**given, p=0.5, seed=1), grad),
        "bias_act": (leaky(pyleaky.bias_act), x | bias),
        "bias_act, mask": (leaky(pyleaky.bias_act, return_mask=True), x | bias),
        "bias_act_backward": (leaky(pyleaky.bias_act_backward), grad | x | bias),
        "bias_act_backward, no bias": (leaky(pyleaky.bias_act_backward), grad | x),
        "bias_act_backward, mask": (leaky(pyleaky.bias_act_backward), grad | bias | mask),
        "bias_act_double_backward": (
            lambda **given: pyleaky.bias_act_double_backward(**given, activation="elu"),
            gg | grad | x | bias,
        ),
        "leaky_relu, slopes": (pyleaky.leaky_relu, x | {"negative_slope": array(8)}),
        "leaky_relu_backward, slopes": (pyleaky.leaky_relu_backward, grad | x | {"negative_slope": array(6, 8)}),
        "elu_backward, alphas": (pyleaky.elu_backward, grad | x | {"alpha": array(8)}),
        "unpack_mask": (lambda mask: pyleaky.unpack_mask(mask, (6, 8)), mask),
        "clip_grad_norm": (
            lambda grad, x: training.clip_grad_norm([grad, x], 1.0, error_if_nonfinite=False),
            grad | x,
        ),
        "clip_grad_value": (lambda grad, x: training.clip_grad_value([grad, x], 1.0), grad | x),
        "l2_penalty": (lambda grad, x: training.l2_penalty([grad, x], 0.1), grad | x),
        "add_l2_grad": (lambda grad, x: training.add_l2_grad([grad], [x], 0.1), grad | x),
    }
    for name in (name for name in _core.ROWS if f"{name}_backward" in _core.ROWS):
        function, backward = getattr(pyleaky, name), getattr(pyleaky, f"{name}_backward")
        calls[name] = function, x
        calls[f"{name}_backward"] = backward, grad | x
        calls[f"{name}_backward, output"] = backward, grad | {"output": x["x"]}
        calls[f"{name}, out"] = function, x | {"out": array(6, 8)}
        calls[f"{name}, where"] = function, x | {"out": array(6, 8), "where": cupy.asarray(np.eye(6, 8) > 0)}
        if name in ("relu", "leaky_relu"):
            calls[f"{name}, mask"] = lambda function=function, **given: function(**given, return_mask=True), x
            calls[f"{name}_backward, mask"] = backward, grad | mask
        if f"{name}_double_backward" in _core.ROWS:
            calls[f"{name}_double_backward"] = getattr(pyleaky, f"{name}_double_backward"), gg | grad | x
    return calls


EVERY_CALL = sorted(every_call(np))


def test_every_function_is_called():
    functions = {
        name
        for name in dir(pyleaky)
        if not name.startswith("_") and callable(getattr(pyleaky, name)) and hasattr(getattr(pyleaky, name), "__code__")
    }
    functions -= {"get_num_threads", "set_num_threads", "num_threads", "show_config"}
    functions -= {"cache_info", "clear_cache", "set_cache_limit", "plot_activations"}
    assert functions
    assert functions <= {name.split(",")[0] for name in EVERY_CALL}


# ---------------------------------------------------------------------------------------------- every public function


def results_of(call, arrays):
    """What a call gives and what it leaves in its arrays, on the host; or the type of its error."""
    try:
        results = call(**arrays)
    except (TypeError, ValueError) as error:
        return type(error)
    results = results if isinstance(results, tuple) else (results,)
    return [np.asarray(to_numpy(value)) for value in (*results, *arrays.values()) if value is not None]


def assert_agree(found, expected):
    if isinstance(expected, type):
        assert found is expected
        return
    for got, wanted in zip(found, expected, strict=True):
        assert got.shape == wanted.shape
        if got.dtype.kind == "f" or got.dtype == bfloat16:
            assert ulps_apart(got, wanted).max(initial=0) <= 64
        else:
            assert_same_bits(got, wanted)


def has_floats(array):
    return array.dtype.kind == "f" or array.dtype == bfloat16


@pytest.mark.parametrize("name", EVERY_CALL)
def test_arrays_of_no_dimensions(emulated, name):
    # CuPy's raw arrays of no dimensions have no address.
    call, arrays = every_call(np)[name]
    scalars = {
        argument: array if argument == "mask" else array[(0,) * array.ndim] for argument, array in arrays.items()
    }
    scalars |= {"mask": arrays["mask"][:1]} if "mask" in arrays else {}
    cases = [{argument: np.array(value) for argument, value in scalars.items()}]
    for argument in arrays:
        cases.append(arrays | {argument: np.array(scalars[argument])})
        if argument not in ("out", "where", "mask"):
            others = {other: float(value) for other, value in scalars.items() if other not in ("out", "where", "mask")}
            cases.append(others | {argument: np.array(scalars[argument])})
    for case in cases:
        given = {key: np.array(value) if isinstance(value, np.ndarray) else value for key, value in case.items()}
        device = {
            key: emulated.asarray(value) if isinstance(value, np.ndarray) else value for key, value in case.items()
        }
        assert_agree(results_of(call, device), results_of(call, given))


@pytest.mark.parametrize("name", EVERY_CALL)
def test_subnormal_numbers_survive(emulated, name):
    # The emulation flushes what CuPy's own kernels would.
    call, arrays = every_call(np)[name]
    with np.errstate(all="ignore"):
        tiny = {
            key: array * array.dtype.type(2.0**-130) if has_floats(array) else array for key, array in arrays.items()
        }
    given = {key: array.copy() for key, array in tiny.items()}
    assert_agree(
        results_of(call, {key: emulated.asarray(array) for key, array in tiny.items()}), results_of(call, given)
    )


CONVERTING = {
    "slope": (lambda x, other: pyleaky.leaky_relu(x, other), np.float64),
    "out": (lambda x, other: pyleaky.leaky_relu(x, 0.5, out=other), np.float64),
    "where": (lambda x, other: pyleaky.leaky_relu(x, 0.5, out=other, where=other != 0), np.float64),
    "out, narrower": (lambda x, other: pyleaky.leaky_relu(other, 0.5, out=x), np.float64),
    "dtype": (lambda x, other: pyleaky.leaky_relu(x, 0.5, dtype=np.float64), np.float64),
    "weight": (lambda x, other: pyleaky.prelu_backward(other, x, x[0]), np.float64),
    "number": (lambda x, other: pyleaky.leaky_relu(x, other[0, 0], out=x), np.float64),
    "bias": (lambda x, other: pyleaky.bias_act_backward(other, x, x[0]), np.float64),
    "mask": (lambda x, other: pyleaky.relu(x, return_mask=True, out=other), np.float64),
    "random": (lambda x, other: pyleaky.rrelu_backward(other, x, seed=1), np.float64),
    "bfloat16": (lambda x, other: pyleaky.leaky_relu_backward(x, other, 0.5, out=x), bfloat16),
}


@pytest.mark.parametrize(("call", "dtype"), CONVERTING.values(), ids=CONVERTING)
def test_subnormal_numbers_survive_a_cast(emulated, call, dtype):
    rng = np.random.default_rng(0)
    x, other = ((rng.normal(0, 2, (6, 8)) * 2.0**-130).astype(kind) for kind in (np.float32, dtype))
    found = results_of(call, {"x": emulated.asarray(x), "other": emulated.asarray(other)})
    assert_agree(found, results_of(call, {"x": x, "other": other}))


@every_dtype
def test_casts(cupy, dtype):
    from pyleaky import _gpu

    values = np.concatenate([specials(dtype), any_bits(np.random.default_rng(0), 1000, dtype)])
    for to in DTYPES:
        with np.errstate(all="ignore"):
            expected = values.astype(to)
        assert_same_bits(to_numpy(_gpu.cast(cupy.asarray(values), np.dtype(to))), expected)


@pytest.mark.parametrize("p", [2.0, 3.0, np.inf])
def test_norms_of_subnormal_numbers(emulated, p):
    for dtype in (np.float32, bfloat16):
        grads = [np.array(np.random.default_rng(0).normal(0, 1, shape) * 2.0**-130, dtype) for shape in ((3, 4), ())]
        device = [emulated.asarray(grad) for grad in grads]
        bound = 2.0**-132
        found = training.clip_grad_norm(device, bound, p)
        np.testing.assert_allclose(to_numpy(found), training.clip_grad_norm(grads, bound, p), rtol=1e-6)
        for grad, wanted in zip(device, grads, strict=True):
            assert ulps_apart(to_numpy(grad), wanted).max() <= 1
    x = emulated.asarray(np.array([1e-40, np.nan], np.float32))
    assert np.isnan(to_numpy(training.clip_grad_norm([x], 1.0, p)))


@pytest.mark.parametrize("dtype", [np.float32, bfloat16])
def test_subnormal_numbers_are_counted(emulated, dtype):
    x = np.array([[1e-39, -1e-39, 0.0], [1e-39, 1.0, -1.0]]).astype(dtype)
    reports = []
    for array in (x, emulated.asarray(x)):
        monitor = pyleaky.diagnostics.UnitMonitor()
        monitor.update("hidden", array, axis=1)
        reports.append(monitor.to_dict())
    assert reports[0] == reports[1]


def apart(array):
    """As it would have come by DLPack: in an allocation of its own, of which CuPy knows nothing else."""
    import emulated_cupy

    return emulated_cupy._made(array)


def laid(rng, buffer, shape, dtype):
    """An array somewhere in the buffer, in steps of its own; where everything begins, every other time."""
    each = np.dtype(dtype).itemsize
    order = rng.permutation(len(shape)) if rng.random() < 0.3 else range(len(shape))
    strides, step = [0] * len(shape), each * rng.choice([1, 1, 1, 2])
    for axis in reversed(order):
        strides[axis] = int(step)
        step = step * shape[axis] + each * rng.choice([0, 0, 0, 1])
    reach = sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True)) + each
    offset = rng.choice([0, int(rng.integers(0, 40))]) * each
    assert offset + reach <= buffer.nbytes
    found = np.ndarray(shape, dtype, buffer, offset, strides)
    return found[::-1] if rng.random() < 0.1 and len(shape) > 1 else found


def every_alias():
    """(name, argument, the one that is written) for every public function that writes into an array it is given."""
    for name, (call, arrays) in every_call(np).items():
        function = getattr(pyleaky, name.split(",")[0], call)
        if "out" in getattr(function, "__signature__", inspect.signature(function)).parameters:
            yield from ((name, argument, "out") for argument in arrays if argument != "out")
    yield "add_l2_grad", "x", "grad"


@pytest.mark.parametrize(("name", "argument", "written"), list(every_alias()))
def test_aliases_give_the_result_of_copies(emulated, name, argument, written):
    call, arrays = every_call(np)[name]
    arrays = {written: np.zeros((6, 8), np.float32)} | arrays
    rng = np.random.default_rng(list(name.encode()))
    for _ in range(8):
        buffer = rng.normal(0, 2, 512).astype(np.float32)
        given = {key: array.copy() for key, array in arrays.items()}
        out_dtype = rng.choice([np.float32, np.float32, np.float64]) if written == "out" else np.float32
        given[written] = laid(rng, buffer, (6, 8), out_dtype)
        given[argument] = laid(rng, buffer, arrays[argument].shape, arrays[argument].dtype)
        if argument == "mask":
            given["mask"] = np.ndarray(6, np.uint8, buffer, int(rng.integers(0, 400)))
        elif argument == "where":
            given["where"].view(np.uint8)[...] = rng.integers(0, 2, (6, 8))
        copies = {key: emulated.asarray(array) for key, array in given.items()}
        call(**copies)
        call(**{key: apart(array) for key, array in given.items()})
        assert_same_bits(given[written], to_numpy(copies[written]))


def test_same_or_apart(emulated):
    from pyleaky import _gpu

    rng, found = np.random.default_rng(0), []
    for _ in range(2000):
        buffer = np.zeros(256, np.float32)
        a, b = (laid(rng, buffer, (int(rng.integers(1, 4)), 8), rng.choice(["f4", "f8", "u1"])) for _ in range(2))
        b = a if rng.random() < 0.1 else b
        low, high = np.lib.array_utils.byte_bounds(a)
        assert _arguments.extent(apart(a)) == (low, high)
        same = (a.ctypes.data, a.shape, a.strides, a.dtype) == (b.ctypes.data, b.shape, b.strides, b.dtype)
        found.append(_gpu._is_same_or_apart(apart(a), apart(b)))
        assert found[-1] == (same or not np.may_share_memory(a, b))
    assert 200 < sum(found) < 1800


def test_shared_gradients_are_refused(emulated):
    rows = np.ones((4, 6), np.float32)
    with pytest.raises(ValueError, match=r"grads\[0\] and grads\[1\] share memory"):
        training.clip_grad_value([apart(rows[:3]), apart(rows[2:])], 1.0)
    # Columns lie in between each other.
    training.clip_grad_value([apart(rows[:, :3]), apart(rows[:, 3:])], 0.5)
    assert (rows == 0.5).all()


WAYS_OFF = ("get", "item", "tolist", "__float__", "__int__", "__bool__", "__index__", "__array__", "__len__")


@pytest.mark.parametrize("name", EVERY_CALL)
def test_nothing_waits_for_the_device(emulated, monkeypatch, name):
    def off(*arguments):
        raise AssertionError("a value leaves the device")

    for dtype in (np.float32, np.float16):
        call, arrays = every_call(emulated, dtype)[name]
        with monkeypatch.context() as patch:
            for way in WAYS_OFF:
                patch.setattr(emulated.ndarray, way, off, raising=False)
            patch.setattr(emulated, "asnumpy", off)
            call(**arrays)


@pytest.mark.parametrize("name", EVERY_CALL)
def test_arrays_of_another_device(emulated, name):
    from pyleaky import _gpu

    call, arrays = every_call(emulated)[name]
    expected = call(**{argument: array.copy() for argument, array in arrays.items()})
    with emulated.cuda.Device(1):
        call, arrays = every_call(emulated)[name]
    results = call(**arrays)
    assert emulated.cuda.Device().id == 0
    if not isinstance(expected, tuple):
        expected, results = (expected,), (results,)
    for result, wanted in zip(results, expected, strict=True):
        if isinstance(result, emulated.ndarray):
            assert result.device.id == 1
            assert_same_bits(to_numpy(result), to_numpy(wanted))

    # One array at a time on another device than the rest.
    for moved in arrays if len(arrays) > 1 and name != "clip_grad_value" else ():  # which takes each by itself
        with emulated.cuda.Device(1):
            _, there = every_call(emulated)[name]
        call, given = every_call(emulated)[name]
        given |= {moved: there[moved]}
        before = {argument: to_numpy(array) for argument, array in given.items()}
        with pytest.raises(ValueError, match=r"^[\w\[\]]+ is on device [01], [\w\[\]]+ on device [01]; move"):
            call(**given)
        assert emulated.cuda.Device().id == 0
        for argument, array in given.items():
            assert_same_bits(to_numpy(array), before[argument])
    assert _gpu.device_of([("x", 1.0)]) == -1


def test_two_devices_are_named(emulated):
    from pyleaky import _gpu

    x = emulated.ones(3)
    with emulated.cuda.Device(1):
        weight = emulated.ones(3)
    message = (
        r"^x is on device 0, weight on device 1; move one of them with cupy.asarray inside "
        r"`with cupy.cuda.Device\(...\)`$"
    )
    with pytest.raises(ValueError, match=message):
        _gpu.device_of([("x", x), ("number", 2.0), ("weight", weight)])


def test_numpy_works_where_cupy_finds_no_driver():
    pytest.importorskip("cupy", "13.3", reason=CUPY)
    code = """
import cupy
import numpy as np
import pyleaky
x = np.linspace(-1, 1, 8)
grad = np.ones(8)
for result in (pyleaky.relu(x), pyleaky.elu_backward(grad, x), *pyleaky.prelu_backward(grad, x, 0.1),
               pyleaky.dropout(x, seed=1), *pyleaky.bias_act_backward(grad, x, x, axis=0, activation="relu")):
    assert type(result) in (np.ndarray, np.float64)
try:
    pyleaky.relu(cupy.ones(3))
except Exception as error:
    assert type(error).__module__.split(".")[0] in ("cupy", "cupy_backends"), repr(error)
else:
    assert cupy.cuda.runtime.getDeviceCount()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


# ---------------------------------------------------------------------------------------------- the benchmark


@pytest.fixture
def bench(torch, emulated, monkeypatch):
    """bench/gpu.py on the emulation."""
    folder = Path(__file__).parents[1] / "bench"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("bench_gpu", folder / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refused(message):
    assert "not implemented for" in message  # PyTorch for half types on a CPU


@every_dtype
def test_the_contenders_of_the_benchmark_agree(bench, emulated, dtype):
    rng = np.random.default_rng(0)
    x, grad, gg = (emulated.asarray(rng.standard_normal(4096).astype(dtype)) for _ in range(3))
    weight = emulated.asarray(np.linspace(0, 0.5, bench.CHANNELS).astype(dtype))
    peers = set()
    for (function, direction), job in bench.JOBS.items():
        for mode in ("fresh", "out"):
            group = list(bench.contenders(job, mode, x.size, x.itemsize))
            names = bench.namespace(function, x, grad, gg, weight)
            group = list(bench.usable(group, names, refused))
            peers |= {contender.peer for contender in group}
            if group:
                bench.check(group, names, functools.partial(bench.agree, job, names), (function, direction, mode))
    assert peers == {"pyleaky", "CuPy", "PyTorch", "copy"}


def test_the_benchmark_knows_a_wrong_contender(bench, emulated):
    rng = np.random.default_rng(0)
    x, grad, gg = (emulated.asarray(rng.standard_normal(4096).astype(np.float32)) for _ in range(3))
    weight = emulated.asarray(np.linspace(0, 0.5, bench.CHANNELS).astype(np.float32))
    for (function, _), job in bench.JOBS.items():
        names = bench.namespace(function, x, grad, gg, weight)
        ours, theirs = eval(job.pyleaky, names), eval(job.cupy, names)
        assert bench.agree(job, names, ours, theirs)
        for wrong in (1.001, -1):
            spoilt = (wrong * theirs[0], *theirs[1:]) if isinstance(theirs, tuple) else wrong * theirs
            if function != "rrelu" or wrong < 0:
                assert not bench.agree(job, names, ours, spoilt)


def test_the_benchmark_writes_its_results(bench, monkeypatch, tmp_path, capsys):
    settings = ["--quick", "--max-size", "1K", "--rounds", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *settings, "--dtype", "float16", "float32"])
    assert bench.main() == 0
    for dtype in ("float16", "float32"):
        content = json.loads((tmp_path / f"gpu-{dtype}.json").read_text())
        jobs = {(job["function"], job["direction"]) for job in content["jobs"]}
        assert jobs == {*bench.JOBS, ("leaky_relu", "host")}
        assert (tmp_path / f"gpu-{dtype}.png").stat().st_size > 10_000
        for function, direction in bench.JOBS:
            assert f"## {function}, {direction}, fresh" in (tmp_path / f"gpu-{dtype}.md").read_text()
    assert "bare ElementwiseKernel" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------- errors

MIXED = {
    ("x", "negative_slope"): pyleaky.leaky_relu,
    ("x", "weight"): pyleaky.prelu,
    ("x", "weight", "axis"): lambda x, weight: pyleaky.prelu(x, weight, axis=0),
    ("grad", "x"): pyleaky.relu_backward,
    ("grad", "output"): lambda grad, output: pyleaky.relu_backward(grad, output=output),
    ("grad", "x", "slope"): pyleaky.leaky_relu_backward,
    ("grad", "negative_slope"): lambda grad, slope: pyleaky.leaky_relu_backward(grad, grad, slope),
    ("grad", "x", "weight"): lambda grad, x: pyleaky.prelu_backward(grad, x, 0.1),
    ("grad", "weight"): lambda grad, weight: pyleaky.prelu_backward(grad, grad, weight),
    ("x", "out"): lambda x, out: pyleaky.relu(x, out=out),
    ("x", "out", "slope"): lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out),
    ("x", "out", "weight"): lambda x, out: pyleaky.prelu(x, 0.1, out=out),
    ("grad", "out"): lambda grad, out: pyleaky.leaky_relu_backward(grad, grad, out=out),
    ("x", "where"): lambda x, where: pyleaky.relu(x, where=where > 0),
}


@pytest.mark.parametrize(("names", "call"), MIXED.items(), ids=map("-".join, MIXED))
def test_numpy_and_cupy_do_not_mix(cupy, names, call):
    first, second = names[:2]
    values = np.linspace(-1, 1, 5)
    for host, device, message in [
        (1, 0, f"{first} is a cupy.ndarray, but {second} is a numpy.ndarray; move one of them with cupy.as"),
        (0, 1, f"{second} is a cupy.ndarray, but {first} is a numpy.ndarray; move one of them with cupy.as"),
    ]:
        arrays = [None, None]
        arrays[host], arrays[device] = values.copy(), cupy.asarray(values)
        with pytest.raises(TypeError, match=message):
            call(*arrays)
        np.testing.assert_array_equal(arrays[host], values)
        np.testing.assert_array_equal(to_numpy(arrays[device]), values)


def test_lists_and_cupy_do_not_mix(cupy):
    x = cupy.ones(2)
    for argument, call in [
        ("negative_slope", lambda: pyleaky.leaky_relu(x, [0.1, 0.2])),
        ("x", lambda: pyleaky.relu_backward(x, [0.1, 0.2])),
        ("where", lambda: pyleaky.relu(x, where=[True, False])),
    ]:
        with pytest.raises(TypeError, match=f"is a cupy.ndarray, but {argument} is a builtins.list"):
            call()


BAD = {
    "complex x": lambda x, out: pyleaky.relu(x * 1j, out=out),
    "complex slope": lambda x, out: pyleaky.leaky_relu(x, x * 1j, out=out),
    "complex number": lambda x, out: pyleaky.leaky_relu(x, 1j, out=out),
    "slope is text": lambda x, out: pyleaky.leaky_relu(x, "0.1", out=out),
    "slopes' shape": lambda x, out: pyleaky.leaky_relu(x, out[0, :2], out=out),
    "out too short": lambda x, out: pyleaky.relu(x, out=out[:, :3]),
    "out of fewer dimensions": lambda x, out: pyleaky.relu(x, out=out[0]),
    "out of length 1": lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out[:, :1]),
    "out would grow": lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out[:, :1].reshape(1, 3, 1)),
    "out of an integer dtype": lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out.astype(np.int64)),
    "out of a wrong dtype and shape": lambda x, out: pyleaky.relu(x, out=out[0].astype(bool)),
    "out of another half type": lambda x, out: pyleaky.leaky_relu(x.astype(bfloat16), out=out.astype(np.float16)),
    "out is a number": lambda x, out: pyleaky.relu(x, out=1.0),
    "dtype complex": lambda x, out: pyleaky.relu(x, out=out, dtype=complex),
    "dtype int": lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out, dtype=int),
    "dtype bfloat16": lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out, dtype=bfloat16),
    "dtype of another half type": lambda x, out: pyleaky.leaky_relu(x.astype(bfloat16), 0.1, out=out, dtype="f2"),
    "dtype unknown": lambda x, out: pyleaky.relu(x, out=out, dtype="nonsense"),
    "where of float": lambda x, out: pyleaky.relu(x, out=out, where=x),
    "where's shape": lambda x, out: pyleaky.leaky_relu(x, 0.1, out=out, where=x[:, :2] > 0),
    "where too large": lambda x, out: pyleaky.relu(x, out=out, where=x.reshape(3, 1, 4) > 0),
    "grad's shape": lambda x, out: pyleaky.relu_backward(x[:2], x, out=out),
    "output's shape": lambda x, out: pyleaky.leaky_relu_backward(x, output=x.T, out=out),
    "grad complex": lambda x, out: pyleaky.leaky_relu_backward(x * 1j, x, out=out),
    "backward out's shape": lambda x, out: pyleaky.relu_backward(x, x, out=out.T),
    "backward slopes' shape": lambda x, out: pyleaky.leaky_relu_backward(x, x, x[0, :3], out=out),
    "backward slopes too large": lambda x, out: pyleaky.leaky_relu_backward(x[0], x[0], x),
    "neither": lambda x, out: pyleaky.relu_backward(x, out=out),
    "both": lambda x, out: pyleaky.leaky_relu_backward(x, x, output=x, out=out),
    "negative slope with output": lambda x, out: pyleaky.leaky_relu_backward(x, output=x, negative_slope=-1.0, out=out),
    "slopes with output": lambda x, out: pyleaky.leaky_relu_backward(x, output=x, negative_slope=x, out=out),
    "weight's length": lambda x, out: pyleaky.prelu(x, x[0], axis=0, out=out),
    "weight's dimensions": lambda x, out: pyleaky.prelu(x, x, axis=0, out=out),
    "weight of unclear axis": lambda x, out: pyleaky.prelu(x.reshape(3, 2, 2), x[0, :2]),
    "axis out of range": lambda x, out: pyleaky.prelu(x, x[0], axis=2, out=out),
    "axis twice": lambda x, out: pyleaky.prelu(x, x, axis=(1, 1), out=out),
    "prelu grad's shape": lambda x, out: pyleaky.prelu_backward(x[:2], x, 0.1),
    "prelu weight too large": lambda x, out: pyleaky.prelu_backward(x[0], x[0], x),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_errors_are_those_of_the_cpu(cupy, call):
    values = np.linspace(-1, 1, 12).reshape(3, 4)
    results = []
    for asarray in (np.array, cupy.asarray):
        x, out = asarray(values), asarray(np.full((3, 4), 7.0))
        with pytest.raises((TypeError, ValueError)) as error:
            call(x, out)
        results.append((error.type, str(error.value)))
        np.testing.assert_array_equal(to_numpy(x), values)
        assert (to_numpy(out) == 7).all()
    assert results[0] == results[1]
