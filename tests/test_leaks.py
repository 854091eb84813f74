"""Many calls of every public function leave nothing behind: no reference, no memory of Python's or the C library's.

The calls succeed or fail for an argument of a wrong type.  PYLEAKY_LEAK_CALLS says how many there are of each: 100,000
nightly, 1,000 otherwise, and of what takes a millisecond 100.
"""

import ctypes
import gc
import os
import sys
from types import SimpleNamespace

import calls
import numpy as np
import pytest
import tensors
from arrays import DTYPES
from conftest import NIGHTLY

import pyleaky

COUNT = int(os.environ.get("PYLEAKY_LEAK_CALLS", 100_000 if NIGHTLY else 1_000))
SLOW = {"UnitMonitor", "GradientMonitor", "masked", "show_config", "gain, weights"}
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
# What may be left of however many calls: a leak leaves more, if it is but a block in ten calls of the rarest.  Without
# the GIL blocks that other threads have given back are counted late.
ALLOWED = {"blocks": 20 if HAS_GIL else 90, "bytes": 1024, "resident": 2**19}


@pytest.fixture(autouse=True)
def only_new_objects():
    """What other tests have left is not looked through before and after each call."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class MallInfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "k")
    )


def allocated():
    """The bytes that malloc has given out, its large mappings included; 0 where the C library does not tell."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return 0
    mallinfo.restype = MallInfo
    info = mallinfo()
    return info.uordblks + info.hblkhd


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def repeat(call, count):
    for _ in range(count):
        call()


def counted(watched):
    gc.collect()
    return {
        "references": [*map(sys.getrefcount, watched)],
        "blocks": sys.getallocatedblocks(),
        "bytes": allocated(),
        "resident": resident(),
    }


def check(name, call, watched, count=None):
    """`count` calls change no reference count of what is watched, no number of blocks and no number of bytes.

    Caches of Python's and NumPy's own fill for some hundred calls, and now and then later; a leak is there in each of a
    few attempts.
    """
    if count is None:
        count = COUNT // 10 if name in SLOW and not NIGHTLY else COUNT
    repeat(call, 1_000)
    for _ in range(6):
        before = counted(watched)
        repeat(call, count)
        after = counted(watched)
        assert after["references"] == before["references"], name
        more = {kind: after[kind] - before[kind] for kind in ALLOWED}
        if all(more[kind] <= ALLOWED[kind] for kind in more):
            return
    pytest.fail(f"{name}: {count} calls leave {more}")


def inside(values):
    """The values and what lists and dicts among them hold, without small numbers, which never die."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from inside(value)
        elif isinstance(value, dict):
            yield from inside(value.values())
        elif not isinstance(value, int | float | str | bool | type | None):
            yield value


def check_call(call):
    watched = [*inside(call.args), *inside(call.kwargs.values())]
    watched += [value.dtype for value in watched if isinstance(value, np.ndarray)]
    check(call.name, call, watched)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_success(dtype):
    for call in calls.calls((2, 4), dtype, np.random.default_rng(0)):
        # It is of no dtype; without the GIL importlib.metadata keeps strings (CPython 3.13).
        if call.name == "show_config" and (dtype is not np.float32 or not HAS_GIL):
            continue
        with np.errstate(all="ignore"):
            check_call(call)


def test_success_with_recycled_memory():
    """Results of 1 MiB have another allocator, whose memory malloc does not know."""
    for call in calls.activation_calls((256, 1024), np.float32, np.random.default_rng(0)):
        if call.name in ("relu", "elu_backward", "leaky_relu", "prelu_backward", "bias_act", "dropout"):
            check(call.name, call, list(inside(call.args)), COUNT // 100)


def test_kernels():
    for call in calls.kernel_calls():
        check_call(call)


class Wrong:
    """No array and no number."""


def fail(call, argument):
    try:
        call(argument)
    except (TypeError, ValueError):
        return
    pytest.fail("nothing was raised")


def test_arguments_of_wrong_types():
    wrong = SimpleNamespace(a=Wrong(), row=Wrong(), number=Wrong(), mask=Wrong())
    given = [*vars(wrong).values(), tensors.A, tensors.ROW, tensors.MASK, tensors.A.dtype]
    for name, (argument, call) in {**tensors.CASES, **tensors.ALONE}.items():
        if argument == "where":  # which any object may be: it counts as true or false
            continue
        check(name, lambda call=call: fail(call, wrong), given)


def test_arguments_of_wrong_shapes_and_values():
    x, other, fixed = np.ones((2, 3)), np.ones((3, 2)), np.ones((2, 3))
    fixed.flags.writeable = False
    given = [x, other, fixed]
    wrong = []
    for name in ("relu", "leaky_relu", "elu", "celu", "selu"):
        forward, backward = getattr(pyleaky, name), getattr(pyleaky, f"{name}_backward")
        wrong += [
            lambda f=forward: f(x, out=other),
            lambda f=forward: f(x, out=fixed),
            lambda f=forward: f(x, dtype=complex),
            lambda f=forward: f(x, nothing=1),
            lambda f=forward: f(),
            lambda f=forward: f(x.astype(complex)),
            lambda f=backward: f(x, other),
            lambda f=backward: f(x, x, out=fixed),
            lambda f=backward: f(x, x, output=x),
            lambda f=backward: f(x),
        ]
    wrong += [
        lambda: pyleaky.prelu(x, np.ones(5), axis=1),
        lambda: pyleaky.prelu(x, np.ones(3), axis=7),
        lambda: pyleaky.prelu_backward(x, other, 0.1),
        lambda: pyleaky.leaky_relu_backward(x, output=x, negative_slope=-1),
        lambda: pyleaky.leaky_relu_backward(x, mask=np.zeros(9, np.uint8)),
        lambda: pyleaky.unpack_mask(np.zeros(9, np.uint8), (2, 3)),
        lambda: pyleaky.dropout(x),
        lambda: pyleaky.dropout(x, 1.5, seed=1),
        lambda: pyleaky.dropout(x, seed=-1),
        lambda: pyleaky.rrelu(x, 0.5, 0.1, seed=1),
        lambda: pyleaky.bias_act(x, np.ones(4), activation="leaky_relu"),
        lambda: pyleaky.bias_act(x, activation="none"),
        lambda: pyleaky.bias_act(x, out=other, activation="leaky_relu"),
        lambda: pyleaky.bias_act_backward(x, other, activation="leaky_relu"),
        lambda: pyleaky.bias_act_double_backward(x, x, other, activation="leaky_relu"),
        lambda: pyleaky.set_num_threads(0),
        lambda: pyleaky.set_cache_limit(-1),
        lambda: pyleaky.show_config("file"),
        lambda: pyleaky.init.gain("none"),
        lambda: pyleaky.init.he_normal((2, 3), mode="none", rng=np.random.default_rng(0)),
        lambda: pyleaky.training.clip_grad_norm([x, fixed], 1.0),
        lambda: pyleaky.kernels.relu_f64(x.ravel(), other.ravel()[:2]),
    ]
    for k, call in enumerate(wrong):
        check(f"number {k}", lambda call=call: fail(lambda _: call(), None), given)


def test_every_public_function_is_called():
    called = {call.function.__name__ for call in calls.calls((2, 4), np.float32, np.random.default_rng(0))}
    # The two monitors and the context manager are called by functions of their own.
    assert {call.name for call in calls.calls((2, 4), np.float32, np.random.default_rng(0))} >= {
        "UnitMonitor",
        "GradientMonitor",
        "num_threads",
    }
    assert calls.public_names() - called - calls.NOT_HERE == {"UnitMonitor", "GradientMonitor", "num_threads"}
