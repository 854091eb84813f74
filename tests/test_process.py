"""What the operating system does to a process: signals, memory and threads that it refuses, children, the end.

Calls from several threads, fork and multiprocessing in ordinary circumstances are in tests/test_threads.py.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and signals are Linux's")

START = """
import os, resource, signal, sys, threading, time
import numpy as np
import pyleaky

def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

def leave(room, limit=resource.RLIMIT_AS):
    "No more than so many bytes of address space from now on."
    resource.setrlimit(limit, (used() + room, resource.getrlimit(limit)[1]))
"""


def run(code, **environment):
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-c", START + code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.split()


def test_ctrl_c_comes_when_the_call_is_over_and_its_result_complete():
    code = """
x = np.random.default_rng(0).normal(size=40_000_000).astype(np.float32)
out = np.full_like(x, np.nan)
expected = pyleaky.selu(x[-1000:])
pyleaky.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
main = threading.get_ident()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored

def interrupt():
    "As soon as the first element is there the call is in the middle."
    while np.isnan(out[0]):
        time.sleep(0.0001)
    print("interrupted", np.isnan(out).any())
    signal.pthread_kill(main, signal.SIGINT)

thread = threading.Thread(target=interrupt)
thread.start()
time.sleep(0.01)
try:
    pyleaky.selu(x, out=out)
    thread.join()
except KeyboardInterrupt:
    print("KeyboardInterrupt", not np.isnan(out).any(), np.array_equal(out[-1000:], expected))
thread.join()
print(np.array_equal(pyleaky.selu(x), out))
"""
    words = run(code)
    assert words[0] == "interrupted"
    assert words[2:] == ["KeyboardInterrupt", "True", "True", "True"]


def test_a_handler_may_call_too():
    code = """
x = np.ones(3_000_000, np.float32)
calls = []
def handler(*_):
    calls.append(float(pyleaky.leaky_relu(-x, 0.5).sum()))
    signal.setitimer(signal.ITIMER_REAL, 0.002)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002)
while len(calls) < 20:
    assert pyleaky.elu(x)[-1] == 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(set(calls) == {-1_500_000.0})
"""
    assert run(code) == ["True"]


def test_workers_take_no_signal():
    """A signal for the process is handled although every thread but the main one blocks it."""
    code = """
pyleaky.set_num_threads(3)
pyleaky.elu(np.ones(3_000_000, np.float32))
blocked = []
for task in os.listdir("/proc/self/task"):
    if int(task) != os.getpid():
        lines = open(f"/proc/self/task/{task}/status").read().splitlines()
        blocked.append(int(next(line.split()[1] for line in lines if line.startswith("SigBlk")), 16))
mask = sum(1 << signum - 1 for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1))
print(len(blocked), all(one & mask == mask for one in blocked))
"""
    assert run(code) == ["2", "True"]


# What needs memory for its result, for copies of its inputs, for sums, and for a mask.
HUNGRY = """
n = 24_000_000
x = np.ones((4, n // 4), np.float32)
x[:, ::7] = -1
kept = x.copy()
w = np.ones(4, np.float32)
mask = pyleaky.relu(x, return_mask=True)[1]
hungry = {
    "relu": lambda: pyleaky.relu(x),
    "strided": lambda: pyleaky.elu(x[:, ::-1]),
    "mask": lambda: pyleaky.leaky_relu(x, return_mask=True),
    "backward": lambda: pyleaky.leaky_relu_backward(x, x),
    "from mask": lambda: pyleaky.relu_backward(x, mask=mask),
    "double": lambda: pyleaky.elu_double_backward(x, x, x),
    "prelu": lambda: pyleaky.prelu(x, w, axis=0),
    "prelu_backward": lambda: pyleaky.prelu_backward(x, x, w, axis=0),
    "dropout": lambda: pyleaky.dropout(x, seed=1),
    "rrelu": lambda: pyleaky.rrelu(x, seed=1),
    "bias_act": lambda: pyleaky.bias_act(x, w, axis=0, activation="leaky_relu"),
    "bias_act_backward": lambda: pyleaky.bias_act_backward(x, x, w, axis=0, activation="leaky_relu"),
    "transposed": lambda: pyleaky.relu(x.T),
}
small = np.linspace(-1, 1, 1000, dtype=np.float32)
right = np.where(small > 0, small, np.float32(0.01) * small)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_that_runs_out(threads):
    """A MemoryError, inputs and results as before; smaller calls succeed, and the same ones once memory is back."""
    code = (
        HUNGRY
        + f"""
pyleaky.set_num_threads({threads})
pyleaky.leaky_relu(np.ones(10**6, np.float32))
expected = pyleaky.relu(x)
out = np.full_like(x, 7)
pyleaky.clear_cache()
leave(60 * 2**20)
for name, call in hungry.items():
    try:
        call()
        print(name, "worked")
    except MemoryError:
        pass
    assert np.array_equal(pyleaky.leaky_relu(small), right), name
assert pyleaky.relu(x, out=out) is out
info = pyleaky.cache_info()
assert info.cached <= 60 * 2**20, info
print(np.array_equal(x, kept), np.array_equal(out, expected))
resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)
for call in hungry.values():
    call()
print(np.array_equal(pyleaky.relu(x), expected))
"""
    )
    assert run(code) == ["True", "True", "True"]


@pytest.mark.parametrize("room", [200, 20_000])
def test_little_memory_for_everything_else(room):
    """Not even the error's own objects can be sure of memory: it is a MemoryError or a right result all the same."""
    code = f"""
pyleaky.set_num_threads(2)
x = np.linspace(-1, 1, 600_000, dtype=np.float32)
right = pyleaky.leaky_relu(x)
same, kept = np.empty(x.shape, bool), []
leave({room} * 1024)
try:
    for _ in range(10_000):
        kept.append(pyleaky.leaky_relu(x))
except MemoryError:
    pass
last = kept[-1] if kept else right
del kept[:-1]
words = [len(kept) < 10_000, np.equal(last, right, out=same).all()]
last[:] = 0
print(*words, np.equal(pyleaky.leaky_relu(x, out=last), right, out=same).all())
"""
    assert run(code) == ["True", "True", "True"]


@pytest.mark.parametrize(
    "refuse",
    [
        # A thread's stack is 8 GiB, for which the address space has no room.
        "leave(2**30)",
        "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\\nos.setuid(65534) if os.getuid() == 0 else None",
    ],
    ids=["address space", "number of processes"],
)
def test_threads_that_cannot_start(refuse):
    """Whoever calls does all the work, and when threads are to be had again, they help."""
    start = refuse.encode().decode("unicode_escape")
    code = f"""
x = np.random.default_rng(0).normal(size=2_000_000).astype(np.float32)
pyleaky.set_num_threads(1)
right = pyleaky.elu(x)
{start}
pyleaky.set_num_threads(4)
try:
    thread = threading.Thread(target=print, args=("started",))
    thread.start()
    thread.join()
except RuntimeError:
    print("refused")
for _ in range(20):
    assert np.array_equal(pyleaky.elu(x), right)
print(len(os.listdir("/proc/self/task")))
pyleaky.set_num_threads(2)
print(np.array_equal(pyleaky.elu(x), right))
"""
    # pthread_create takes the size of its stacks from the limit that the process began with.
    if refuse.startswith("leave"):
        again = (
            "import os, resource, sys; most = resource.getrlimit(resource.RLIMIT_STACK)[1];"
            "resource.setrlimit(resource.RLIMIT_STACK, (2**33, most));"
            "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
        )
        command = [sys.executable, "-c", again, START + code]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
        assert result.returncode == 0, result.stderr[-3000:]
        words = result.stdout.split()
    else:
        words = run(code)
    assert words == ["refused", "1", "True"]


def test_a_child_of_a_child():
    code = """
x = np.random.default_rng(0).normal(size=2_000_000).astype(np.float32)
right = pyleaky.selu(x)
pyleaky.set_num_threads(3)

def generation(depth):
    ok = np.array_equal(pyleaky.selu(x), right) and pyleaky.get_num_threads() == 3
    if depth:
        child = os.fork()
        if not child:
            os._exit(generation(depth - 1))
        ok = ok and os.waitpid(child, 0)[1] == 0
    return 0 if ok and np.array_equal(pyleaky.selu(x), right) else 1

print(generation(4))
"""
    assert run(code) == ["0"]


def test_a_fork_while_another_thread_registers_bfloat16():
    code = """
from pyleaky import _core
assert "ml_dtypes" not in sys.modules
with _core._registering:
    child = os.fork()
    if not child:
        signal.alarm(20)
        import ml_dtypes
        pyleaky.relu(np.ones(3, ml_dtypes.bfloat16))
        os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    assert run(code) == ["0"]


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_exit_while_threads_compute(end):
    """Daemon threads are in the middle of calls of several kinds, with recycled memory, when the interpreter goes."""
    code = f"""
pyleaky.set_num_threads(3)
x = np.ones((1000, 2000), np.float32)
w = np.ones(2000, np.float32)
def forever(call):
    while True:
        call()
for call in (
    lambda: pyleaky.elu(x),
    lambda: pyleaky.bias_act_backward(x, x, w, activation="leaky_relu"),
    lambda: pyleaky.leaky_relu(x.T, return_mask=True),
    lambda: (pyleaky.clear_cache(), pyleaky.dropout(x, seed=1)),
):
    threading.Thread(target=forever, args=(call,), daemon=True).start()
time.sleep(0.2)
print("bye", flush=True)
{end}
"""
    assert run(code) == ["bye"]


def test_nothing_to_do_is_no_work():
    """A length of 0 among lengths over which nothing can loop; a call that took seconds would end the process."""
    code = """
import faulthandler
import calls
from arrays import DTYPES
from pyleaky import diagnostics

def check(name, result, shape):
    for array in result if isinstance(result, tuple) else (result,):
        if isinstance(array, np.ndarray):
            assert array.shape in (shape, (3,), (0,)), (name, shape, array.shape)
            assert not array.any(), (name, shape, array)

def timed(name, call):
    faulthandler.dump_traceback_later(5, exit=True)
    begun = time.perf_counter()
    result = call()
    assert time.perf_counter() - begun < 1, name
    faulthandler.cancel_dump_traceback_later()
    return result

rng, huge = np.random.default_rng(0), 2**40
elsewhere = {"a 0-d array", "integers"}  # which have shapes of their own
for shape in [(huge, 3, 0), (huge, 0, 3), (0, huge, 3), (3, huge, 0), (0, 3, huge), (0, 3)]:
    if shape[-1] <= 3:
        for dtype in DTYPES:
            for call in calls.calls(shape, dtype, rng):
                if call.name == "UnitMonitor":  # below, for each axis
                    continue
                result = timed(call.name, call)
                if call.args and isinstance(call.args[0], np.ndarray) and call.name not in elsewhere:
                    check(call.name, result, shape)
    x = np.zeros(shape, np.float32)
    for axis in range(len(shape)):
        if shape[axis] > 3:
            continue
        w = np.ones(shape[axis], np.float32)
        for name in ("prelu", "prelu_backward", "bias_act", "bias_act_backward", "bias_act_double_backward"):
            function = getattr(pyleaky, name)
            arrays = [x] * (3 if "double" in name else 2 if "backward" in name else 1)
            options = [{}] if "prelu" in name else [{"activation": a} for a in ("linear", "leaky_relu", "elu", "selu")]
            for option in options:
                for turn in (lambda a: a, lambda a: a.astype(">f4"), lambda a: a[::-1]):
                    given = [turn(array) for array in arrays]
                    check(name, timed(name, lambda: function(*given, w, axis=axis, **option)), shape)
        if len(shape) == 3:
            axes = (axis, 2 if axis < 2 else 0)
            if shape[axes[1]] <= 3:
                w = np.ones((shape[axes[0]], shape[axes[1]]), np.float32)
                dx, dweight = timed(f"prelu_backward, {axes}", lambda: pyleaky.prelu_backward(x, x, w, axis=axes))
                assert dx.shape == shape and dweight.shape == w.shape and not dweight.any()
        if shape[axis] == 0:  # a monitor wants units
            continue
        monitor = diagnostics.UnitMonitor(axis=axis)
        timed("UnitMonitor", lambda: monitor.update("x", x))
        timed("UnitMonitor", lambda: monitor.update("mask", mask=np.zeros(0, np.uint8), shape=shape))
print("done")
"""
    environment = {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    assert run(code, **environment) == ["done"]
