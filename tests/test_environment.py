"""The floating-point environment that another library has set: no result depends on it, and no call changes it.

A small C library, compiled here, makes each call in an environment: rounding modes, flushed subnormals, raised flags.
The results are those of the default environment to the bit, and the registers are the same afterwards, flags included.
"""

import collections
import ctypes
import itertools
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
import threading

import calls
import numpy as np
import pytest
from arrays import DTYPES, canonical

import pyleaky
from pyleaky import _core, diagnostics, init, kernels, training

HELPER = r"""
#include <fenv.h>
#include <stdint.h>

#if defined(__x86_64__)
/* But for the flag of a subnormal operand, which C does not have and every comparison of such a Python float raises. */
static uint64_t registers(void)
{
    uint32_t vectors;
    uint16_t control, status;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1\n\tfnstsw %2" : "=m"(vectors), "=m"(control), "=m"(status));
    return (vectors & ~2u) | (uint64_t)control << 32 | (uint64_t)(status & 0x3d) << 48;
}
static void flush(void)
{
    const uint32_t vectors = (uint32_t)registers() | 0x8040; /* FTZ and DAZ */
    __asm__ volatile("ldmxcsr %0" : : "m"(vectors));
}
#elif defined(__aarch64__)
static uint64_t registers(void)
{
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(status));
    return control | status << 32;
}
static void flush(void)
{
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1 << 24));
}
#else
static uint64_t registers(void)
{
    return (uint64_t)fegetround() << 32 | (uint64_t)fetestexcept(FE_ALL_EXCEPT);
}
static void flush(void) {}
#endif

void *PyObject_CallNoArgs(void *callable);

void *call(void *callable, int rounding, int flushes, int raised, uint64_t around[2])
{
    static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    fenv_t before;
    fegetenv(&before);
    fesetenv(FE_DFL_ENV);
    fesetround(modes[rounding]);
    if (raised)
        feraiseexcept(FE_ALL_EXCEPT);
    if (flushes)
        flush();
    around[0] = registers();
    void *const result = PyObject_CallNoArgs(callable);
    around[1] = registers();
    fesetenv(&before);
    return result;
}
"""

# (rounding mode, whether subnormals are flushed, whether every flag is raised)
ENVIRONMENTS = {
    "default": (0, 0, 0),
    "flushed": (0, 1, 0),
    "downward": (1, 0, 0),
    "upward": (2, 0, 0),
    "to zero": (3, 0, 0),
    "flags raised": (0, 0, 1),
    "all": (2, 1, 1),
}


@pytest.fixture(scope="module")
def call_in(tmp_path_factory):
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if not shutil.which(compiler[0]):
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("environment")
    (folder / "helper.c").write_text(HELPER)
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    command = [*compiler, "-O1", "-shared", "-fPIC", *undefined, "helper.c", "-o", "helper.so", "-lm"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    helper = ctypes.PyDLL(str(folder / "helper.so"))
    helper.call.restype = ctypes.py_object
    helper.call.argtypes = [ctypes.py_object, *(ctypes.c_int,) * 3, ctypes.POINTER(ctypes.c_uint64)]

    def call_in(environment, function):
        """What it returns, and the registers before and after."""
        around = (ctypes.c_uint64 * 2)()
        result = helper.call(function, *ENVIRONMENTS[environment], around)
        return result, [*around]

    return call_in


class Numbers:
    """In the place of a generator: everyday numbers, the ends of every dtype's range, and what rounds on every cast."""

    ENDS = (1e-5, 3e-8, 7e4, 6.5e4, 1e-39, 3e-45, 1e-46, 3.3e38, 3.5e38, 1e-310, 5e-324, 1e300, 0.0, 1 / 3)

    def __init__(self, dtype):
        self.rng = np.random.default_rng(0)
        largest = float(np.finfo(dtype).max) if dtype in (np.float16, np.float32, np.float64) else 3.3e38
        self.ends = [sign * end for end in self.ENDS if end < largest for sign in (1, -1)]

    def normal(self, size):
        values = self.rng.normal(size=size)
        return np.where(self.rng.random(size) < 0.5, values, self.rng.choice(self.ends, size))

    def random(self, size):
        return self.rng.random(size)


def number_calls(x, dtype):
    """Numbers as parameters, of types that are rounded on their way; 0-d arrays, lists and integers."""
    found = []
    for number in (0.1, 1 / 3, np.float32(0.1), np.longdouble(1) / 3, np.array(0.1), np.float16(0.1)):
        kind = type(number).__name__
        found += [
            calls.Call(f"leaky_relu {kind}", pyleaky.leaky_relu, (x, number), {}),
            calls.Call(f"leaky_relu list {kind}", pyleaky.leaky_relu, ([-1.0, 2.0], number), {}),
            calls.Call(f"leaky_relu 0-d {kind}", pyleaky.leaky_relu, (x[0, 0], number), {}),
            calls.Call(f"elu strided {kind}", pyleaky.elu, (x[:, ::2], number), {}),
            calls.Call(f"celu_backward {kind}", pyleaky.celu_backward, (x, x, number), {}),
            calls.Call(f"prelu_backward {kind}", pyleaky.prelu_backward, (x, x, number), {}),
            calls.Call(f"dropout {kind}", pyleaky.dropout, (x, number), {"seed": 1}),
            calls.Call(f"rrelu {kind}", pyleaky.rrelu, (x, number, 0.7), {"seed": 1}),
            calls.Call(
                f"bias_act {kind}",
                pyleaky.bias_act,
                (x, x[0]),
                {"axis": 1, "activation": "leaky_relu", "negative_slope": number, "gain": number, "clamp": 1},
            ),
            calls.Call(
                f"bias_act_backward {kind}",
                pyleaky.bias_act_backward,
                (x, x, x[0]),
                {"axis": 1, "activation": "leaky_relu", "negative_slope": number, "gain": number, "clamp": 1},
            ),
            calls.Call(f"l2_penalty {kind}", training.l2_penalty, ([x], number), {}),
            calls.Call(f"add_l2_grad {kind}", training.add_l2_grad, ([x.copy()], [x], number), {}),
            calls.Call(f"clip_grad_value {kind}", training.clip_grad_value, ([x.copy()], number), {}),
            calls.Call(f"clip_grad_norm {kind}", training.clip_grad_norm, ([x.copy()], number), {}),
            calls.Call(f"gain {kind}", init.gain, ("leaky_relu", number), {}),
            calls.Call(f"he_normal {kind}", init.he_normal, ((3, 4), number), {"rng": np.random.default_rng(0)}),
        ]
    return [*found, calls.Call("integers", pyleaky.elu, (np.arange(-3, 3),), {})]


def cast_calls(x, dtype):
    """Between dtypes: out, dtype, where, byte order and weights in another one."""
    found, wide = [], x.astype(np.float64) * (1 + 1e-9)
    wide[0, :4] = 1e300, -1e300, 1e-310, -3e-46
    for name in ("relu", "leaky_relu", "elu", "celu", "selu"):
        function, backward = getattr(pyleaky, name), getattr(pyleaky, f"{name}_backward")
        for narrow in (np.float16, np.float32):
            found += [
                calls.Call(f"{name} out", function, (wide,), {"out": np.zeros(x.shape, narrow)}),
                calls.Call(f"{name} dtype", function, (wide,), {"dtype": narrow}),
                calls.Call(f"{name} where", function, (wide,), {"out": np.ones(x.shape, narrow), "where": x > 0}),
                calls.Call(f"{name}_backward out", backward, (wide, wide), {"out": np.zeros(x.shape, narrow)}),
                calls.Call(f"{name} mixed", backward, (x, wide.astype(np.float32)), {}),
            ]
        found.append(calls.Call(f"{name} swapped", function, (x.astype(x.dtype.newbyteorder()),), {}))
    for weight in (wide[0], wide[0].astype(np.float32), x[0]):
        found += [
            calls.Call("prelu mixed", pyleaky.prelu, (x, weight), {"axis": 1}),
            calls.Call("prelu_backward mixed", pyleaky.prelu_backward, (x, x, weight), {"axis": 1}),
            calls.Call("prelu_backward strided", pyleaky.prelu_backward, (x[::2], x[::2], weight), {"axis": 1}),
        ]
        for activation in ("linear", "leaky_relu", "elu"):
            options = {"axis": 1, "activation": activation, "gain": 1.5, "clamp": None}
            found += [
                calls.Call("bias_act mixed", pyleaky.bias_act, (x, weight), options),
                calls.Call("bias_act_backward mixed", pyleaky.bias_act_backward, (x, x, weight), options),
            ]
    return found


def kernel_calls(x, dtype):
    suffix = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64"}[np.dtype(dtype).name]
    values = itertools.cycle(x.view(np.uint16).ravel() if suffix in ("f16", "bf16") else x.ravel())
    found = [call for call in calls.kernel_calls() if call.name.endswith(f"_{suffix}")]
    for call in found:
        for array in call.args:
            if isinstance(array, np.ndarray) and array.dtype.itemsize == x.dtype.itemsize and len(array) == 8:
                array[:] = [next(values) for _ in range(8)]
    for k, call in enumerate(found):
        numbers = {0.5: 0.1, 1.0: 0.7} if "norm" not in call.name else {1.0: 2.0}
        given = [numbers.get(arg, arg) if isinstance(arg, float) else arg for arg in call.args]
        found[k] = call._replace(args=tuple(given))
    return found


def core_calls(x, dtype):
    """What the other modules call: rounding, reductions, rows through the iterator and as ufuncs."""

    def units(values):
        counts, moments = np.zeros((2, 8), np.int64), np.zeros((2, 8))
        _core.add_unit_statistics(values, 1, np.array([0.0, 0.1]), counts, moments)
        return counts, moments

    found = [calls.Call("units", units, (x,), {})]
    for number in (0.1, 1 / 3, 1e-46, 3.4e38, 1e-310, 65519.0):
        found.append(calls.Call(f"largest_below {number}", _core.largest_below, (number, dtype), {}))
        found.append(calls.Call(f"iterate {number}", _core.iterate, ("leaky_relu", [x[:, ::2], number], None), {}))
    found += [calls.Call(f"norm {kind}", _core.norm, (x, kind), {}) for kind in range(3)]
    for name, row in _core.ROWS.items():
        found.append(calls.Call(f"ufunc {name}", getattr(_core, name), (x,) * len(row.inputs), {}))
    return found


def training_calls(x, dtype):
    """Weights and gains, clipping and decay, and what monitors report."""

    def report(x):
        units, norms = diagnostics.UnitMonitor("elu", 0.3, saturation=1 / 3), diagnostics.GradientMonitor()
        for part in (x, x[::-1]):
            units.update("hidden", part)
            norms.update({"weight": part, "bias": part[0]}, {"weight": x, "bias": x[0]}, 1 / 3)
            units.end_period()
        return units.to_dict(), norms.to_dict(), units.summary(), norms.summary()

    tiny, wide = (np.abs(x) <= 1).astype(dtype) * x, x.astype(np.float64) / 3
    found = [calls.Call("report", report, (x,), {}), calls.Call("report of tiny", report, (tiny,), {})]
    for name, param in (("prelu", x[0]), ("rrelu", (0.1, 0.7)), ("elu", 1 / 3), ("celu", 1 / 3), ("tanh", None)):
        if name != "prelu" or np.isfinite(x[0].astype(float)).all():
            found.append(calls.Call(f"gain of {name}", init.gain, (name, param), {}))
    for name in init.__all__[1:]:
        found.append(calls.Call(name, getattr(init, name), ((3, 3, 4, 6),), {"rng": 1, "groups": 2, "dtype": dtype}))
    for grads in ([x.copy(), tiny[0].copy()], [tiny.copy()]):
        for bound in (1 / 3, 1e-12, 1e-41, 5e-324):
            for p in (1, 2, 3, np.inf):
                found.append(calls.Call(f"clip_grad_norm {p}", training.clip_grad_norm, (grads, bound, p), {}))
    found.append(calls.Call("add_l2_grad", training.add_l2_grad, ([x.copy()], [wide], 1 / 3), {}))
    found.append(calls.Call("decoupled_weight_decay", training.decoupled_weight_decay, ([x.copy()], 1 / 3, 0.1), {}))
    return found


GROUPS = {
    "public": lambda x, dtype: calls.calls((6, 8), dtype, Numbers(dtype)),
    "numbers": number_calls,
    "casts": cast_calls,
    "kernels": kernel_calls,
    "core": core_calls,
    "training": training_calls,
}


def bits(value):
    """Of everything that a call returns or has changed, in a form that can be compared."""
    if isinstance(value, np.ma.MaskedArray):
        return bits(value.data), bits(value.mask)
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.name, value.shape, canonical(value).tobytes() if value.dtype.kind in "fV" else value.tolist()
    if isinstance(value, float):
        return struct.pack("d", value) if value == value else "nan"
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    return [bits(part) for part in value] if isinstance(value, list | tuple) else value


def outcome(call):
    try:
        return call()
    except Exception as error:  # in any environment the same
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("group", GROUPS)
def test_results_and_flags(call_in, group, dtype):
    def all_calls():
        with np.errstate(all="ignore"):
            found = GROUPS[group](Numbers(dtype).normal((6, 8)).astype(dtype), dtype)
        return [call for call in found if not call.name.startswith("cache_info")]

    def seen(environment):
        """Of fresh calls, since some change their arguments."""
        for call in all_calls():
            result, (before, after) = call_in(environment, lambda call=call: outcome(call))
            arrays = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, np.ndarray | list)]
            yield call.name, bits(result), bits(arrays), before == after

    expected = [(name, result, arrays) for name, result, arrays, _ in seen("default")]
    assert len(expected) > 10
    wrong = collections.defaultdict(set)
    for environment in ENVIRONMENTS:
        for (name, *found, same), (_, *right) in zip(seen(environment), expected, strict=True):
            if found != right:
                wrong[name].add(f"result ({environment})")
            if not same and not name.startswith("ufunc "):  # around which NumPy clears the flags
                wrong[name].add(f"flags ({environment})")
    assert not wrong, "".join(f"\n{name}: {', '.join(sorted(what))}" for name, what in wrong.items())


def test_large_calls(call_in):
    """Workers have an environment of their own: neither results nor the caller's flags depend on their number."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 1000)) * 10.0 ** rng.integers(-46, 38, (400, 1000))).astype(np.float32)
    with pyleaky.num_threads(1):
        expected = [bits(call()) for call in large_calls(x)]
    for environment in ENVIRONMENTS:
        for count in (1, 3):
            with pyleaky.num_threads(count):
                for call, right in zip(large_calls(x), expected, strict=True):
                    result, (before, after) = call_in(environment, call)
                    assert bits(result) == right
                    assert before == after


def large_calls(x):
    w = x[0].copy()
    yield lambda: pyleaky.leaky_relu(x, 0.1)
    yield lambda: pyleaky.elu(x[:, ::-1], 0.1)
    yield lambda: pyleaky.prelu_backward(x, x, w, axis=1)
    yield lambda: pyleaky.bias_act_backward(x, x, w, axis=1, activation="selu")
    yield lambda: pyleaky.dropout(x, 0.1, seed=1)
    yield lambda: training.l2_penalty([x], 0.1)


def test_default_environment(call_in):
    """The context manager: nested, left by an exception, in several threads; its register is that of a new process."""

    def third():
        return np.float64(np.ones(1)[0] / np.full(1, 3.0)[0])

    def nested():
        found = [third()]
        with _core.default_environment():
            found.append(third())
            with _core.default_environment():
                found.append(third())
                np.full(3, 1e300) * 1e300
            found.append(third())
            try:
                with _core.default_environment():
                    raise KeyError
            except KeyError:
                found.append(third())
        return [*found, third()]

    nearest, upward = 1 / 3, np.nextafter(1 / 3, 1)
    for environment, around in (("upward", upward), ("default", nearest)):
        found, _ = call_in(environment, nested)
        assert found == [around, *[nearest] * 4, around]
    with np.errstate(all="raise"):
        assert call_in("flushed", nested)[0] == [nearest] * 6
        assert set(np.geterr().values()) == {"raise"}

    def enter_and_leave():
        with _core.default_environment():
            pass
        try:
            with _core.default_environment():
                raise KeyError
        except KeyError:
            pass

    for environment in ENVIRONMENTS:
        _, (before, after) = call_in(environment, enter_and_leave)
        assert before == after

    manager = _core.default_environment()
    with manager, pytest.raises(RuntimeError, match="cannot be entered twice"):
        manager.__enter__()
    threads = [threading.Thread(target=call_in, args=("upward", nested)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert nested() == [nearest] * 6
    for thread in threads:
        thread.join()
    assert kernels.norm_f64(np.array([3.0, 4.0]), 2) == 5
