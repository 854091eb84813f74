"""Recycled memory: large results are ordinary arrays, made of what earlier ones gave back, within the limit."""

import ctypes
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from arrays import assert_same_bits

import pyleaky

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is recycled on Linux only")

X = np.random.default_rng(0).normal(size=2_000_000).astype(np.float32)
EXPECTED = np.maximum(X, 0)
NBYTES = X.nbytes


@pytest.fixture(autouse=True)
def fresh():
    before = pyleaky.cache_info().limit
    pyleaky.clear_cache()
    yield
    pyleaky.clear_cache()
    pyleaky.set_cache_limit(before)


def address(array):
    return array.__array_interface__["data"][0]


def test_a_result_gives_its_memory_to_the_next():
    y = pyleaky.relu(X)
    assert_same_bits(y, EXPECTED)
    first, before = address(y), pyleaky.cache_info()
    assert before.cached == before.blocks == 0
    del y
    info = pyleaky.cache_info()
    assert info.blocks == 1
    assert NBYTES <= info.cached <= NBYTES + 2**21
    y = pyleaky.relu(X)
    assert address(y) == first
    assert first % 4096 == 0
    assert_same_bits(y, EXPECTED)
    after = pyleaky.cache_info()
    assert (after.hits, after.misses, after.cached) == (before.hits + 1, before.misses, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: pyleaky.relu(X),
        lambda: pyleaky.leaky_relu(X[::-1]),
        lambda: pyleaky.elu(X.reshape(2000, 1000).T),
        lambda: pyleaky.leaky_relu_backward(X, X),
        lambda: pyleaky.prelu(X.reshape(2000, 1000), X[:1000]),
        lambda: pyleaky.selu(X.astype(np.float16)),
    ],
)
def test_every_path_recycles(call):
    expected = call().copy()
    before = pyleaky.cache_info().hits
    result = call()
    assert pyleaky.cache_info().hits == before + 1
    assert_same_bits(result, expected)


def test_small_results_and_out_use_no_recycled_memory():
    before = pyleaky.cache_info()
    pyleaky.relu(X[:1000])
    pyleaky.relu(X, out=np.empty_like(X))
    assert pyleaky.cache_info() == before


def test_results_are_ordinary_arrays():
    y = pyleaky.relu(X)
    assert type(y) is np.ndarray
    assert y.flags.owndata
    assert y.flags.writeable
    assert y.base is None
    assert_same_bits(pickle.loads(pickle.dumps(y)), y)
    view = y[10:]
    del y
    assert_same_bits(view, EXPECTED[10:])
    y = pyleaky.relu(X)
    y.resize(3_000_000, refcheck=False)
    assert_same_bits(y[: X.size], EXPECTED)
    assert (y[X.size :] == 0).all()
    y.resize(10, refcheck=False)
    assert_same_bits(y, EXPECTED[:10])


def test_freed_from_another_thread():
    held = [pyleaky.relu(X)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert pyleaky.cache_info().blocks == 1


def test_results_that_live_together_share_nothing():
    results = [pyleaky.leaky_relu(X, slope) for slope in (0.1, 0.2, 0.3)]
    del results[1]
    results.insert(1, pyleaky.leaky_relu(X, 0.2))
    for result, slope in zip(results, (0.1, 0.2, 0.3), strict=True):
        assert_same_bits(result, np.where(X > 0, X, np.float32(slope) * X))


def test_limit():
    pyleaky.set_cache_limit(0)
    del_me = pyleaky.relu(X)
    del del_me
    assert pyleaky.cache_info().blocks == 0
    pyleaky.set_cache_limit(5 * NBYTES // 2)
    results = [pyleaky.relu(X) for _ in range(4)]
    del results
    info = pyleaky.cache_info()
    assert info.blocks == 2
    assert info.cached <= info.limit == 5 * NBYTES // 2
    pyleaky.set_cache_limit(NBYTES + 2**21)
    assert pyleaky.cache_info().blocks == 1
    pyleaky.clear_cache()
    assert pyleaky.cache_info().cached == 0


def test_bad_limits():
    before = pyleaky.cache_info().limit
    with pytest.raises(ValueError, match="limit must be at least 0, got -1"):
        pyleaky.set_cache_limit(-1)
    for bad in (1.5, "1", None, True):
        with pytest.raises(TypeError, match=f"limit must be an integer, got {type(bad).__name__}"):
            pyleaky.set_cache_limit(bad)
    assert pyleaky.cache_info().limit == before


def run(code, **environment):
    command = [sys.executable, "-W", "always", "-c", "import pyleaky\n" + code]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip(), result.stderr


def test_environment_variable():
    assert run("print(pyleaky.cache_info().limit)", PYLEAKY_CACHE_LIMIT="12345678")[0] == "12345678"
    default, _ = run("print(pyleaky.cache_info().limit)", PYLEAKY_CACHE_LIMIT="")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < int(default) <= memory // 16
    for bad in ("-1", "1 GB", "none"):
        limit, errors = run("print(pyleaky.cache_info().limit)", PYLEAKY_CACHE_LIMIT=bad)
        assert limit == default
        assert f"PYLEAKY_CACHE_LIMIT is {bad!r}" in errors


def test_idle_memory_goes_back_to_the_system():
    pyleaky_threads = pyleaky.get_num_threads()
    with pyleaky.num_threads(max(2, pyleaky_threads)):
        y = pyleaky.relu(X)
        del y
        assert pyleaky.cache_info().blocks == 1
        deadline = time.monotonic() + 20
        while pyleaky.cache_info().blocks and time.monotonic() < deadline:
            time.sleep(0.1)
    assert pyleaky.cache_info().blocks == 0


class Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler: a name, a version and the five fields of its allocator."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_ubyte), ("allocator", ctypes.c_void_p * 5))


def test_a_handler_of_the_users_wins():
    capsule = ctypes.pythonapi.PyCapsule_GetPointer
    capsule.restype, capsule.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    new_capsule = ctypes.pythonapi.PyCapsule_New
    new_capsule.restype, new_capsule.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    api = ctypes.cast(capsule(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(api[304])
    get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(api[305])
    handler_name = np._core.multiarray.get_handler_name

    assert handler_name(pyleaky.relu(X)) == "pyleaky"
    assert handler_name(np.exp(X)) == handler_name() == "default_allocator"
    users = Handler.from_buffer_copy(Handler.from_address(capsule(get_handler(), b"mem_handler")))
    users.name = b"users"
    before = set_handler(new_capsule(ctypes.addressof(users), b"mem_handler", None))
    try:
        results = [pyleaky.relu(X), pyleaky.relu(X[::-1])]
        assert [*map(handler_name, results), handler_name()] == ["users"] * 3
    finally:
        set_handler(before)
        del results


def test_tracemalloc_sees_the_memory():
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        y = pyleaky.relu(X)
        during, _ = tracemalloc.get_traced_memory()
        assert during - before >= NBYTES
        del y
        after, _ = tracemalloc.get_traced_memory()
        assert after - before < NBYTES // 10
    finally:
        tracemalloc.stop()


def child():
    info = pyleaky.cache_info()
    results = [pyleaky.relu(X) for _ in range(3)]
    return info.blocks, all(np.array_equal(result, EXPECTED) for result in results)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork():
    y = pyleaky.relu(X)
    del y
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(right for _, right in pool.starmap(child, [()] * 4))
    assert_same_bits(pyleaky.relu(X), EXPECTED)


def test_memory_that_runs_out_is_a_memory_error():
    code = """
import resource, numpy as np
x = np.ones(50_000_000, np.float32)
x[::7] = -1
total = x.sum(dtype=np.float64)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20,) * 2)
for call in (lambda: pyleaky.relu(x), lambda: pyleaky.elu(x[::-1]), lambda: pyleaky.leaky_relu_backward(x, x)):
    try:
        call()
    except MemoryError:
        print("MemoryError", x.sum(dtype=np.float64) == total)
"""
    assert run(code)[0].split() == ["MemoryError", "True"] * 3
