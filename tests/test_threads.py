"""Threads: the same bits whatever their number, and safety with fork, multiprocessing and other threads."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import multiprocessing
import os
import subprocess
import sys
import threading

import calls
import numpy as np
import pytest
from arrays import DTYPES, any_bits, assert_same_bits

import pyleaky
from pyleaky import _core

ROWS = list(_core.ROWS.values())
COUNTS = (1, 2, 3, 7)
LARGE = 700_001  # shared among threads in every dtype


@pytest.fixture(autouse=True)
def restore():
    before = pyleaky.get_num_threads()
    yield
    pyleaky.set_num_threads(before)


def with_each_count(call):
    results = []
    for count in COUNTS:
        with pyleaky.num_threads(count):
            results.append(call())
    for result in results[1:]:
        assert_same_bits(result, results[0])
    return results[0]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_equal_bits_for_any_number_of_threads(row, dtype):
    rng = np.random.default_rng(0)
    values = [any_bits(rng, LARGE, dtype) for _ in row.inputs]
    ufunc = getattr(_core, row.name)
    result = with_each_count(lambda: ufunc(*values))
    pieces = [ufunc(*(value[start : start + 999] for value in values)) for start in range(0, LARGE, 999)]
    assert_same_bits(result, np.concatenate(pieces))
    if row.parameters:
        number = np.float64(0.3) if dtype is np.float64 else np.float32(0.3)
        with_each_count(lambda: getattr(_core, row.name + "_number")(*values[:-1], number))


LAYOUTS = {
    "every other column": lambda a: a[:, ::2],
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1, ::-1],
    "planes": lambda a: a.reshape(30, 40, -1).transpose(1, 2, 0),
    "a row for all": lambda a: np.broadcast_to(a[0], a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout):
    x, grad = (any_bits(np.random.default_rng(seed), (1200, 1000), np.float32) for seed in (0, 1))
    view, grad_view = layout(x), layout(grad)
    for call in (
        lambda x, grad: pyleaky.leaky_relu(x, 0.1),
        lambda x, grad: pyleaky.elu(x, 0.7),
        lambda x, grad: pyleaky.leaky_relu_backward(grad, x, 0.1),
        lambda x, grad: pyleaky.prelu(x, grad),
        lambda x, grad: pyleaky.prelu(x, grad[:1]),
    ):
        result = with_each_count(lambda call=call: call(view, grad_view))
        assert_same_bits(result, call(view.copy(order="C"), grad_view.copy(order="C")))
        assert result.strides == np.negative(view).strides


def test_a_view_in_place_leaves_the_rest_alone():
    for index in (np.s_[:, ::2], np.s_[::-2, 1:], np.s_[5:700, 3:900]):
        whole = any_bits(np.random.default_rng(0), (1000, 1000), np.float32)
        expected = whole.copy()
        expected[index] = pyleaky.leaky_relu(whole[index].copy(), 0.1)
        for count in COUNTS:
            with pyleaky.num_threads(count):
                given = whole.copy()
                assert pyleaky.leaky_relu(given[index], 0.1, out=given[index]).base is given
                assert_same_bits(given, expected)


def test_overlapping_out():
    base = any_bits(np.random.default_rng(0), 2_000_000, np.float32)
    for inside, outside in [
        (slice(0, -1), slice(1, None)),
        (slice(1, None), slice(0, -1)),
        (slice(None, None, -1), slice(None)),
        (slice(0, None, 2), slice(0, 1_000_000)),
    ]:
        expected = pyleaky.leaky_relu(base[inside].copy(), 0.1)
        for count in COUNTS:
            with pyleaky.num_threads(count):
                given = base.copy()
                pyleaky.leaky_relu(given[inside], 0.1, out=given[outside])
                assert_same_bits(given[outside], expected)


def test_prelu_by_channel():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=50).astype(np.float32)
    for shape, axis in [((80, 50, 7, 7), 1), ((80, 7, 7, 50), -1), ((4000, 50), 1)]:
        x, grad = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
        laid = weight.reshape([50 if k == axis % len(shape) else 1 for k in range(len(shape))])
        result = with_each_count(lambda x=x, axis=axis: pyleaky.prelu(x, weight, axis=axis))
        assert_same_bits(result, np.where(x > 0, x, laid * x))
        dx = with_each_count(lambda x=x, g=grad, axis=axis: pyleaky.prelu_backward(g, x, weight, axis=axis)[0])
        assert_same_bits(dx, np.where(x > 0, grad, laid * grad))


def test_errors_are_numpys_on_the_iterator_path():
    x = np.zeros((6, 8), np.float32)[:, ::2]
    for bad in (np.zeros((6, 3), np.float32), np.zeros(4, np.float32), np.zeros((6, 4), np.int64)):
        with pytest.raises((TypeError, ValueError)) as expected:
            np.exp(x, out=bad)
        with pytest.raises(expected.type):
            pyleaky.relu(x, out=bad)
    fixed = np.zeros((6, 4), np.float32)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        pyleaky.relu(x, out=fixed)
    assert pyleaky.relu(np.zeros((3, 0, 4), np.float32)[..., ::2]).shape == (3, 0, 2)
    assert pyleaky.relu(x[:0]).shape == (0, 4)


# ---------------------------------------------------------------------------------------------- settings


def test_settings():
    pyleaky.set_num_threads(3)
    assert pyleaky.get_num_threads() == 3
    with pyleaky.num_threads(5) as outer:
        assert pyleaky.get_num_threads() == 5
        with pyleaky.num_threads(2), outer:
            assert pyleaky.get_num_threads() == 5
        assert pyleaky.get_num_threads() == 5
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(pyleaky.get_num_threads).result() == 3
    assert pyleaky.get_num_threads() == 3
    pyleaky.set_num_threads(10**9)
    assert pyleaky.get_num_threads() == 256
    pyleaky.set_num_threads(np.int64(2))
    assert pyleaky.get_num_threads() == 2


def test_one_limit_in_many_threads():
    pyleaky.set_num_threads(7)
    shared, barrier = pyleaky.num_threads(2), threading.Barrier(6)

    def enter(k):
        with pyleaky.num_threads(10 + k):
            for _ in range(50):
                barrier.wait()
                with shared, shared:
                    barrier.wait()
                    inside = pyleaky.get_num_threads()
                if (inside, pyleaky.get_num_threads()) != (2, 10 + k):
                    barrier.abort()
        return pyleaky.get_num_threads()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert [*pool.map(enter, range(6))] == [7] * 6
    assert pyleaky.get_num_threads() == 7


def test_limits_of_tasks():
    """Each task has its own across await; what a task starts has the limit of the code that started it."""
    pyleaky.set_num_threads(7)
    shared = pyleaky.num_threads(4)

    async def task(limit):
        seen = []
        with limit:
            for k in range(6):
                await asyncio.sleep(0)
                seen.append(pyleaky.get_num_threads())
                if k == 3:
                    with pyleaky.num_threads(5):
                        await asyncio.sleep(0.001)
                        seen.append(pyleaky.get_num_threads())
            seen.append(await asyncio.create_task(child()))
            seen.append(await asyncio.to_thread(pyleaky.get_num_threads))
        await asyncio.sleep(0)
        return [*seen, pyleaky.get_num_threads()]

    async def child():
        await asyncio.sleep(0)
        return pyleaky.get_num_threads()

    async def fails():
        with contextlib.suppress(ZeroDivisionError), shared:
            await asyncio.sleep(0)
            raise ZeroDivisionError
        return await child()

    async def all_of_them():
        limits = [pyleaky.num_threads(1), shared, shared, pyleaky.num_threads(2)]
        return await asyncio.gather(child(), fails(), *map(task, limits))

    expected = [[count] * 4 + [5] + [count] * 4 + [7] for count in (1, 4, 4, 2)]
    assert asyncio.run(all_of_them()) == [7, 7, *expected]
    assert pyleaky.get_num_threads() == 7


def test_limits_end_in_any_order():
    pyleaky.set_num_threads(7)

    def generator(limit):
        with limit:
            yield pyleaky.get_num_threads()

    shared = pyleaky.num_threads(2)
    first, second, third = (generator(limit) for limit in (shared, pyleaky.num_threads(3), shared))
    assert [next(first), next(second), next(third)] == [2, 3, 2]
    third.close()
    assert pyleaky.get_num_threads() == 3
    first.close()
    assert pyleaky.get_num_threads() == 3
    second.close()
    assert pyleaky.get_num_threads() == 7


def test_a_limit_that_ends_elsewhere():
    pyleaky.set_num_threads(7)
    limit = pyleaky.num_threads(2)
    elsewhere = contextvars.copy_context()
    elsewhere.run(limit.__enter__)
    assert pyleaky.get_num_threads() == 7
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"num_threads\(2\) ends in another thread or asyncio task"):
            limit.__exit__(None, None, None)
        assert (pyleaky.get_num_threads(), elsewhere.run(pyleaky.get_num_threads)) == (7, 2)
    elsewhere.run(limit.__exit__, None, None, None)
    assert elsewhere.run(pyleaky.get_num_threads) == 7


def test_every_function_obeys_the_limit_of_its_context():
    """Another task of this thread has just entered a limit of 3: with the default of 1 no call may start a worker."""
    code = """
import contextvars, os, numpy as np, calls
pyleaky.set_num_threads(1)
rng = np.random.default_rng(0)
before = len(os.listdir("/proc/self/task"))
found = [call for call in calls.calls((1000, 1000), np.float32, rng) if call.name != "num_threads"]
found += calls.activation_calls((1000, 1000), np.float16, rng)
for call in found:
    contextvars.copy_context().run(pyleaky.num_threads(3).__enter__)
    call()
    if len(os.listdir("/proc/self/task")) > before:
        print(call.name)
        break
with pyleaky.num_threads(3):
    pyleaky.relu(np.ones(10**6))
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert run(code, PYTHONPATH=os.pathsep.join([os.path.dirname(__file__), *sys.path]))[0] == "2"


@pytest.mark.parametrize("setting", [pyleaky.set_num_threads, pyleaky.num_threads])
def test_bad_counts(setting):
    before = pyleaky.get_num_threads()
    for bad, message in [(0, "must be at least 1, got 0"), (-3, "must be at least 1, got -3")]:
        with pytest.raises(ValueError, match=f"num_threads {message}"):
            setting(bad)
    for bad in (1.5, "2", None, True, [2]):
        with pytest.raises(TypeError, match=f"num_threads must be an integer, got {type(bad).__name__}"):
            setting(bad)
    assert pyleaky.get_num_threads() == before


def run(code, **environment):
    command = [sys.executable, "-W", "always", "-c", "import pyleaky\n" + code]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip(), result.stderr


def test_environment_variable():
    assert run("print(pyleaky.get_num_threads())", PYLEAKY_NUM_THREADS="3")[0] == "3"
    default, _ = run("print(pyleaky.get_num_threads())", PYLEAKY_NUM_THREADS="")
    assert 1 <= int(default) <= len(os.sched_getaffinity(0))
    for bad in ("0", "-1", "many", "1.5"):
        count, errors = run("print(pyleaky.get_num_threads())", PYLEAKY_NUM_THREADS=bad)
        assert count == default
        assert f"PYLEAKY_NUM_THREADS is {bad!r}" in errors


def test_affinity_is_respected():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(pyleaky.get_num_threads())"
    assert run(code, PYLEAKY_NUM_THREADS="")[0] == "1"


def test_a_small_call_starts_no_thread():
    code = """
import os, numpy as np
pyleaky.set_num_threads(4)
x = np.ones(4096, np.float32)
for function in (pyleaky.leaky_relu, pyleaky.relu, pyleaky.elu, pyleaky.selu):
    for _ in range(100):
        function(x), function(x[::2])
few = len(os.listdir("/proc/self/task"))
pyleaky.leaky_relu(np.ones(10**6, np.float32))
print(len(os.listdir("/proc/self/task")) - few)
"""
    assert run(code)[0] == "3"


def test_growing_and_shrinking_leaks_nothing():
    code = """
import os, resource, numpy as np
x = np.ones(10**6, np.float32)
out = x.copy()
def cycle(count):
    for k in range(count):
        pyleaky.set_num_threads(1 + k % 5)
        pyleaky.leaky_relu(x, 0.1, out=out)
    pyleaky.set_num_threads(1)
cycle(100)
before = int(open("/proc/self/statm").read().split()[0])
cycle(1000)
pages = int(open("/proc/self/statm").read().split()[0]) - before
print(len(os.listdir("/proc/self/task")), pages < 2000, len(os.listdir("/proc/self/fd")) < 20)
"""
    tasks, *kept = run(code, OPENBLAS_NUM_THREADS="1")[0].split()
    assert (int(tasks), kept) == (1, ["True", "True"])


def work(seed):
    x = np.random.default_rng(seed).normal(size=1_000_000).astype(np.float32)
    with pyleaky.num_threads(3):
        return float(pyleaky.elu(x).sum(dtype=np.float64))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_multiprocessing(method):
    expected = [work(seed) for seed in range(4)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(work, range(4)) == expected


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_in_the_middle_of_a_call_of_another_thread():
    x = np.random.default_rng(0).normal(size=3_000_000).astype(np.float32)
    expected = pyleaky.leaky_relu(x, 0.1)
    done = threading.Event()

    def busy():
        out = np.empty_like(x)
        with pyleaky.num_threads(3):
            while not done.is_set():
                pyleaky.elu(x, out=out)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if not child:
                with pyleaky.num_threads(3):
                    os._exit(not np.array_equal(pyleaky.leaky_relu(x, 0.1), expected))
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        thread.join()


def test_many_callers_at_once():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=n).astype(np.float32) for n in (16_384, 300_000, 1_000_000, 2_000_000)]
    expected = [pyleaky.leaky_relu(x, 0.1) for x in arrays]

    def several(seed):
        for k in np.random.default_rng(seed).integers(0, len(arrays), 30):
            if not np.array_equal(pyleaky.leaky_relu(arrays[k], 0.1), expected[k]):
                return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(several, range(8)))


def test_every_public_function_from_many_threads_at_once():
    """Each thread has arrays of its own, which are equal; what all of them share is in the library."""
    barrier = threading.Barrier(6)

    def results(_):
        found = []
        with np.errstate(all="ignore"):
            barrier.wait()
            for dtype in DTYPES:
                found += [call() for call in calls.activation_calls((64, 96), dtype, np.random.default_rng(0))]
        return found

    def equal(a, b):
        if isinstance(a, tuple):
            return len(a) == len(b) and all(map(equal, a, b))
        return np.asarray(a).tobytes() == np.asarray(b).tobytes()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        first, *others = pool.map(results, range(6))
    assert all(equal(a, b) for found in others for a, b in zip(first, found, strict=True))


def test_exit_while_a_thread_computes():
    code = """
import threading, numpy as np
pyleaky.set_num_threads(3)
x = np.ones(5_000_000, np.float32)
def forever():
    while True:
        pyleaky.elu(x)
threading.Thread(target=forever, daemon=True).start()
pyleaky.elu(x)
print("bye")
"""
    assert run(code)[0] == "bye"


def test_workers_stay_within_the_callers_affinity():
    code = """
import os, numpy as np
pyleaky.set_num_threads(3)
before = os.sched_getaffinity(0)
for n in (70_000,) * 30 + (1_000_000,) * 3:
    pyleaky.leaky_relu(np.ones(n, np.float32))
workers = [int(task) for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
print(len(workers), os.sched_getaffinity(0) == before, all(os.sched_getaffinity(task) <= before for task in workers))
"""
    assert run(code, OPENBLAS_NUM_THREADS="1")[0] == "2 True True"
