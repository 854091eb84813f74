"""Stands in for CuPy where no GPU is: pyleaky._gpu runs unchanged, its kernels' very text compiled for the host.

Arrays are as strict as CuPy's: nothing turns them into NumPy arrays by itself, kernels take one dtype per type letter,
and an output has exactly the broadcast shape.  Functions that are not spelled out here are NumPy's, wrapped; where
CuPy computes or converts in float32, they flush subnormal numbers as CuPy's kernels do.
"""

import ctypes
import functools
import math
import shutil
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
from ml_dtypes import bfloat16

FLAGS = {"--fmad=false": ["-ffp-contract=off"], "--std=c++17": []}
__version__ = "14.0.0"
C_NAMES = {"float32": "float", "float64": "double", "bool": "bool"}  # integers are int8_t and so on
HALVES = ("float16", "bfloat16")
COMPUTING = ("all", "argmax", "max", "mean", "min", "sum")  # the methods, beside NumPy's ufuncs


class Device:
    """A device by its number; as a context, the current one."""

    current = 0

    def __init__(self, device=None):
        self.id = Device.current if device is None else device

    def __enter__(self):
        self._before, Device.current = Device.current, self.id
        return self

    def __exit__(self, *exception):
        Device.current = self._before


class OutOfMemoryError(MemoryError):
    """Never raised."""


class Event:
    """Times nothing."""

    def record(self):
        pass

    def synchronize(self):
        pass


cuda = SimpleNamespace(
    Device=Device,
    Event=Event,
    get_elapsed_time=lambda start, stop: 1.0,
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    runtime=SimpleNamespace(
        getDevice=lambda: Device.current,
        getDeviceCount=lambda: 2,
        getDeviceProperties=lambda device: {"name": b"emulation", "major": 0, "minor": 0, "totalGlobalMem": 0},
        driverGetVersion=lambda: 0,
        runtimeGetVersion=lambda: 0,
    ),
)
random = SimpleNamespace(random=lambda shape, dtype: _wrap(np.random.default_rng(0).random(shape, dtype)))


def from_dlpack(x):
    return _wrap(np.from_dlpack(x))


def get_default_memory_pool():
    return SimpleNamespace(free_all_blocks=lambda: None)


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """A NumPy array that only its `get` gives out, on the device that was current when it was made."""

    def __init__(self, shape, dtype=float, order="C"):
        self._set(np.empty(shape, dtype, order))

    def _set(self, host):
        if host.dtype.kind not in "biufc" and host.dtype.name not in HALVES:
            raise ValueError(f"Unsupported dtype {host.dtype}")
        self._host, self.device, self._allocation = host, Device(), object()
        return self

    @property
    def data(self):
        return SimpleNamespace(ptr=self._host.ctypes.data, device_id=self.device.id)

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.data.ptr, False), "version": 3}

    def __dlpack__(self, **options):
        return self._host.__dlpack__()

    def __dlpack_device__(self):
        return self._host.__dlpack_device__()

    def get(self):
        return np.array(self._host, order="C")

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` instead.")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if getattr(np, ufunc.__name__, None) is not ufunc:
            return NotImplemented
        if out is not None:
            options["out"] = _unwrap(out)
        with np.errstate(all="ignore"):
            result = getattr(ufunc, method)(*_flushed(_unwrap(inputs)), **options)
        if out is not None:
            out[0]._host[...] = _flushed(out[0]._host)
        return _wrap(_flushed(result)) if out is None else out[0]

    def __array_function__(self, function, types, arguments, options):
        return getattr(sys.modules[__name__], function.__name__)(*arguments, **options)

    def __getitem__(self, index):
        return _view_of(self, self._host[_index(index)])

    def __setitem__(self, index, value):
        self._host[_index(index)] = _unwrap(value)

    def __len__(self):
        return len(self._host)

    def __float__(self):
        return float(self._host)

    def __int__(self):
        return int(self._host)

    def __bool__(self):
        return bool(self._host)

    def __repr__(self):
        return repr(self._host)


def _wrap(value):
    return _made(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def _made(host):
    return ndarray.__new__(ndarray)._set(host)


def _view_of(array, host):
    """The same for what may be a view of an array, which then stays on its device and in its allocation."""
    result = _wrap(host)
    if isinstance(host, np.ndarray) and np.may_share_memory(host, array._host):
        result.device, result._allocation = array.device, array._allocation
    return result


def _flushed(value):
    """Without the subnormal numbers of what CuPy computes with in float32: its options are -ftz=true."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_flushed, value))
    if getattr(value, "dtype", None) not in (np.float32, bfloat16):
        return value
    return value * ~(np.abs(value) < np.finfo(np.float32).tiny)


def _unwrap(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(_unwrap, value))
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value._host if isinstance(value, ndarray) else value


def _index(index):
    # CuPy takes NumPy's arrays here.
    return tuple(map(_index, index)) if isinstance(index, tuple) else getattr(index, "_host", index)


def _wrapped(function):
    @functools.wraps(function)
    def call(*arguments, **options):
        given, computes = _unwrap(arguments), function.__name__ in COMPUTING or isinstance(function, np.ufunc)
        with np.errstate(all="ignore"):
            result = function(
                *(_flushed(given) if computes else given), **{name: _unwrap(value) for name, value in options.items()}
            )
        if computes:
            result = _flushed(result)
        return _view_of(arguments[0], result) if arguments and isinstance(arguments[0], ndarray) else _wrap(result)

    return call


for _name in ("dtype", "flags", "itemsize", "nbytes", "ndim", "shape", "size", "strides"):
    setattr(ndarray, _name, property(lambda self, name=_name: getattr(self._host, name)))
for _name in (*COMPUTING, "copy", "fill", "item", "ravel", "reshape", "transpose", "view"):
    setattr(ndarray, _name, _wrapped(getattr(np.ndarray, _name)))
ndarray.T = property(ndarray.transpose)


def _astype(self, dtype, copy=True):
    if self.dtype == dtype:
        return self.copy(order="K") if copy else self
    with np.errstate(all="ignore"):
        return _view_of(self, _flushed(_flushed(self._host).astype(dtype)))


ndarray.astype = _astype


def __getattr__(name):
    value = getattr(np, name)
    return value if isinstance(value, type) or not callable(value) else _wrapped(value)


def asarray(a, dtype=None):
    return a.astype(dtype or a.dtype, copy=False) if isinstance(a, ndarray) else _made(np.array(a, dtype, order="K"))


def asnumpy(a):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def ascontiguousarray(a):
    """Unlike NumPy's, which has no arrays of no dimensions."""
    return a if a.flags.c_contiguous else a.copy()


def may_share_memory(a, b):
    """Within one allocation; arrays that came from elsewhere have one each."""
    return a._allocation is b._allocation and np.may_share_memory(a._host, b._host)


def copyto(dst, src, casting="same_kind", where=None):
    if isinstance(where, ndarray):
        if where.dtype != bool:
            raise TypeError(
                f"Cannot cast array data from {where.dtype!r} to {np.dtype(bool)!r} according to the rule 'safe'"
            )
    elif where is not None:
        where = bool(_unwrap(where))
    source, places = _unwrap(src), True if where is None else _unwrap(where)
    converts = isinstance(src, ndarray) and src.dtype != dst.dtype
    with np.errstate(all="ignore"):
        np.copyto(dst._host, _flushed(source) if converts else source, casting, places)
        if converts:
            np.copyto(dst._host, _flushed(dst._host), where=places)


# ---------------------------------------------------------------------------------------------- kernels

SOURCE = """\
#ifdef __cplusplus
#include <cmath>
#endif
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define __device__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#ifdef __cplusplus
/* A half type by its definition: bits of the significand, exponents of the least subnormal and of the least normal. */
template <int precision, int subnormal, int normal = subnormal + precision - 1>
struct half {{
    uint16_t bits;
    half() = default;
    half(float value)
    {{
        const uint16_t one = 1 << (precision - 1), infinity = 0x7fff / one * one;
        const int exponent = value && fabsf(value) >= ldexpf(1, normal) ? ilogbf(value) : normal;
        const double steps = nearbyint(ldexp(fabs((double)value), precision - 1 - exponent));
        const double biased = ((double)exponent - normal) * one + steps; /* the hidden bit adds one exponent */
        bits = std::isnan(value) ? infinity + one / 2 : biased < infinity ? (uint16_t)biased : infinity;
        bits |= std::signbit(value) ? 0x8000 : 0;
    }}
    operator float() const
    {{
        const int one = 1 << (precision - 1), magnitude = bits & 0x7fff, exponent = magnitude / one;
        const double significand = magnitude % one + (exponent ? one : 0);
        const double finite = ldexp(significand, subnormal + (exponent ? exponent - 1 : 0));
        const double value = magnitude < 0x7fff / one * one ? finite : magnitude % one ? NAN : INFINITY;
        return (float)(bits & 0x8000 ? -value : value);
    }}
}};
typedef half<11, -24> float16;
typedef half<8, -133> bfloat16;
#endif
{typedefs}
{preamble}
#ifdef __cplusplus
extern "C"
#endif
void run(ptrdiff_t _count, ptrdiff_t _ndim, const ptrdiff_t *_shape, char *const *_data, const ptrdiff_t *_steps)
{{
    for (ptrdiff_t _i = 0; _i < _count; _i++) {{
        char *_at[{operands}];
        for (int _k = 0; _k < {operands}; _k++) {{
            ptrdiff_t _rest = _i;
            _at[_k] = _data[_k];
            for (ptrdiff_t _d = _ndim; _d-- > 0; _rest /= _shape[_d])
                _at[_k] += _rest % _shape[_d] * _steps[_k * _ndim + _d];
        }}
        {loads}
        {operation};
        {store}
    }}
}}
"""


@functools.cache
def _compile(source, flags):
    """The function `run` of a source that is C++ and C alike."""
    compilers = {"c++": ("c++", "g++", "clang++"), "c": ("cc", "gcc", "clang")}
    found = [(language, path) for language, names in compilers.items() for path in map(shutil.which, names) if path]
    if not found:
        pytest.skip("no C++ or C compiler to run CuPy's kernels on the host")
    language, path = found[0]
    if language == "c" and any(f"typedef {half} " in source for half in HALVES):
        pytest.skip("no C++ compiler to run CuPy's kernels for half types on the host")
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/kernel.so"
        command = [path, "-x", language, "-O2", "-fPIC", "-shared", *flags, "-o", library, "-", "-lm"]
        subprocess.run(command, input=source, text=True, check=True)
        return ctypes.CDLL(library).run


def _c_name(dtype):
    return C_NAMES.get(dtype.name, dtype.name if dtype.name in HALVES else f"{dtype.name}_t")


class _Kernel:
    def __init__(self, in_params, out_params, operation, name, preamble, options):
        self.inputs, self.outputs = ([p.split() for p in params.split(", ")] for params in (in_params, out_params))
        self.raw = [param[0] == "raw" for param in (*self.inputs, *self.outputs)]
        self.inputs, self.outputs = ([tuple(p[-2:]) for p in params] for params in (self.inputs, self.outputs))
        self.operation, self.name, self.preamble = operation, name, preamble
        # Kernels read arrays in packs, which only CUDA's compiler allows by itself.
        self.flags = ("-fno-strict-aliasing", *(flag for option in options for flag in FLAGS[option]))

    def _resolve(self, args):
        """The broadcast shape and the dtype of every parameter type: arrays decide, numbers adapt."""
        for arg in args:
            assert not isinstance(arg, ndarray) or arg.device.id == Device.current, "CuPy would copy or refuse"
        arrays = [arg for arg in args if isinstance(arg, ndarray)]
        for arg in args:
            if not isinstance(arg, (ndarray, bool, int, float, np.generic)):
                raise TypeError(f"Unsupported type {type(arg)}")
        if not arrays:
            raise ValueError("Loop size is undecided.")
        params = (*self.inputs, *self.outputs)
        dtypes = {kind: np.dtype(kind) for kind, _ in params if len(kind) > 1}
        for (kind, name), arg in zip(params, args, strict=False):
            if isinstance(arg, ndarray) and dtypes.setdefault(kind, arg.dtype) != arg.dtype:
                raise TypeError(f"Type is mismatched. {name} {arg.dtype} {dtypes[kind]} {kind}")
        shapes = [arg.shape for arg, raw in zip(args, self.raw, strict=False) if isinstance(arg, ndarray) and not raw]
        return np.broadcast_shapes(*shapes), dtypes

    def _run(self, args, outs, shape, dtypes):
        """Element by element in C order, the order in which CuPy numbers them."""
        params = (*self.inputs, *self.outputs)
        types = [_c_name(dtypes[kind]) for kind, _ in params]
        loads, stores = ["const ptrdiff_t i = _i; (void)i;"], []
        for k, (_, name) in enumerate(params):
            is_input = k < len(self.inputs)
            if self.raw[k]:
                loads.append(f"{'const ' * is_input}{types[k]} *{name} = ({types[k]} *)_data[{k}];")
            else:
                loads.append(f"{'const ' * is_input}{types[k]} {name} = *({types[k]} *)_at[{k}];")
                if not is_input:
                    stores.append(f"*({types[k]} *)_at[{k}] = {name};")
        source = SOURCE.format(
            typedefs=" ".join(f"typedef {_c_name(dtype)} {kind};" for kind, dtype in dtypes.items() if len(kind) == 1),
            preamble=self.preamble,
            operands=len(params),
            loads=" ".join(loads),
            operation=self.operation,
            store=" ".join(stores),
        )
        hosts = [
            arg._host if isinstance(arg, ndarray) else np.array(arg, dtypes[kind])
            for (kind, _), arg in zip(params, (*args, *outs), strict=True)
        ]
        for host, raw in zip(hosts, self.raw, strict=True):
            assert not raw or host.flags.forc, "the emulation has pointers for raw arrays"
            assert not raw or host.ndim, "the address of a raw array's element does not compile without dimensions"
        steps = [
            step
            for host, raw in zip(hosts, self.raw, strict=True)
            for step in ((0,) * len(shape) if raw else np.broadcast_to(host, shape).strides)
        ]
        _compile(source, self.flags)(
            ctypes.c_ssize_t(math.prod(shape)),
            ctypes.c_ssize_t(len(shape)),
            (ctypes.c_ssize_t * len(shape))(*shape),
            (ctypes.c_void_p * len(hosts))(*(host.ctypes.data for host in hosts)),
            (ctypes.c_ssize_t * len(steps))(*steps),
        )


class ElementwiseKernel(_Kernel):
    def __init__(self, in_params, out_params, operation, name="kernel", preamble="", options=()):
        super().__init__(in_params, out_params, operation, name, preamble, options)

    def __call__(self, *args, size=None):
        if len(args) not in (len(self.inputs), len(self.inputs) + len(self.outputs)):
            raise TypeError(f"Wrong number of arguments for {self.name!r}")
        shape, dtypes = self._resolve(args)
        if all(self.raw[k] for k, arg in enumerate(args) if isinstance(arg, ndarray)):
            if size is None:
                raise ValueError("Loop size is undecided.")
            shape = (size,)
        elif size is not None:
            raise ValueError("Specified 'size' can be used only if all of the ndarray are 'raw'.")
        args, outs = args[: len(self.inputs)], args[len(self.inputs) :]
        outs = outs or [ndarray(shape, dtypes[kind]) for kind, _ in self.outputs]
        for out, raw in zip(outs, self.raw[len(self.inputs) :], strict=True):
            if not isinstance(out, ndarray):
                raise TypeError("Output arguments type must be cupy.ndarray")
            if out.shape != shape and not raw:
                raise ValueError("Out shape is mismatched")
        self._run(args, outs, shape, dtypes)
        return outs[0] if len(outs) == 1 else tuple(outs)


class ReductionKernel(_Kernel):
    """Adds one element after another to the result, where CuPy goes along a tree."""

    def __init__(self, in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name, preamble, options):
        kind, out = out_params.split()
        kind = _c_name(np.dtype(kind))
        assert post_map_expr == f"{out} = a"
        step = f"const {kind} a = {out}, b = ({kind})({map_expr}); {out} = ({reduce_expr})"
        super().__init__(in_params, out_params, step, name, preamble, options)
        self.identity = float(identity)

    def __call__(self, *args, axis=None):
        if len(args) != len(self.inputs):
            raise TypeError(f"Wrong number of arguments for {self.name}")
        shape, dtypes = self._resolve(args)
        axes = np.lib.array_utils.normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape))
        kept = [1 if k in axes else n for k, n in enumerate(shape)]
        out = _made(np.full(kept, self.identity, dtypes[self.outputs[0][0]]))
        self._run(args, [out], shape, dtypes)
        return out.reshape([n for k, n in enumerate(shape) if k not in axes])
