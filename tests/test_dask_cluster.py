"""Dask's distributed scheduler: two worker processes, arrays larger than the memory of one, and one that is killed.

What is expected comes from NumPy alone, a block at a time, so that this process needs little memory, too.  And
examples/dask_larger_than_memory.py, with threads, with processes of its own, and on the cluster here.
"""

import importlib.util
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dask", reason="Dask is not installed")
pytest.importorskip("distributed", reason="Dask's distributed scheduler is not installed")

import dask
import dask.array as da
import distributed

import pyleaky

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "dask_larger_than_memory.py"

# Not from test_digits: the workers import this module for its functions, and shall not import scikit-learn.
spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)

MEMORY = 400 * 10**6  # bytes, of each worker
ROWS, CHANNELS, INNER, IN_BLOCK = 1700, 16, 64 * 64, 64  # 446 MB of float32 in blocks of 17 MB
SHAPE = (ROWS, CHANNELS, INNER)


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit=MEMORY,
        dashboard_address=":0",  # a free port: the usual one may be taken
        env={"PYLEAKY_NUM_THREADS": "2", "PYLEAKY_CACHE_LIMIT": "50000000"},
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def values(block_info):
    """A block that any process can make from its place: integers in float32, of which sums are exact."""
    location, shape = block_info[None]["array-location"], block_info[None]["chunk-shape"]
    rows = np.arange(*location[0], dtype=np.int32).reshape(-1, *(1,) * (len(shape) - 1))
    whole = 11 * rows + np.arange(np.prod(shape[1:]), dtype=np.int32).reshape(1, *shape[1:])
    whole ^= whole >> 5
    whole &= 15
    whole -= 7
    return whole.astype(np.float32)


def source(block_info=None):
    return values(block_info)


def whole(shape=SHAPE, in_block=IN_BLOCK):
    chunks = da.core.normalize_chunks((in_block, *(-1,) * (len(shape) - 1)), shape)
    return da.map_blocks(source, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * len(shape), np.float32))


def blocks(shape=SHAPE, in_block=IN_BLOCK):
    """The first row of each block, and the block."""
    for first in range(0, shape[0], in_block):
        last = min(first + in_block, shape[0])
        info = {"array-location": [(first, last)], "chunk-shape": (last - first, *shape[1:])}
        yield first, values({None: info})


def process(block):
    return np.full((1,) * block.ndim, os.getpid())


# ------------------------------------------------------------------------------------------ larger than one's memory


def test_forward_and_backward_over_more_than_a_worker_has(client):
    x = whole()
    assert x.nbytes > MEMORY
    weight = np.linspace(-0.5, 1.5, CHANNELS).astype(np.float32)
    bias = np.linspace(-2, 2, CHANNELS).astype(np.float32)
    along = (1, CHANNELS, 1)

    y = pyleaky.leaky_relu(x, 0.25)
    slope_grad = pyleaky.leaky_relu_backward(y, x, 0.25)
    prelu_dx, dweight = pyleaky.prelu_backward(y, x, weight, axis=1)
    act_dx, dbias = pyleaky.bias_act_backward(
        y, x, bias, axis=1, gain=0.5, clamp=2.0, activation="leaky_relu", negative_slope=0.2
    )
    dropped = pyleaky.dropout(x, 0.25, seed=3)
    lazy = {
        "y": y.sum(dtype=np.float64),
        "leaky_relu": slope_grad.sum(dtype=np.float64),
        "prelu": prelu_dx.sum(axis=(0, 2), dtype=np.float64),
        "dweight": dweight,
        "bias_act": act_dx.sum(axis=(0, 2), dtype=np.float64),
        "dbias": dbias,
        "dropout": dropped.sum(dtype=np.float64),
        "kept": (dropped != 0).sum(),
        "processes": y.map_blocks(process, chunks=(1, 1, 1), dtype=int),
    }
    assert dweight.dtype == dbias.dtype == np.float32
    found = dict(zip(lazy, client.gather(client.compute([*lazy.values()])), strict=True))

    # Each worker had a part in it.
    assert {*found.pop("processes").ravel().tolist()} == {*client.run(os.getpid).values()}

    expected = dict.fromkeys(found, 0.0)
    for first, block in blocks():
        positive = block > 0
        forward = np.where(positive, block, np.float32(0.25) * block)
        expected["y"] += forward.sum(dtype=np.float64)
        expected["leaky_relu"] += np.where(positive, forward, np.float32(0.25) * forward).sum(dtype=np.float64)
        prelu = np.where(positive, forward, weight.reshape(along) * forward)
        expected["prelu"] = expected["prelu"] + prelu.sum(axis=(0, 2), dtype=np.float64)
        terms = np.where(positive, np.float32(0), forward * block)  # exact: multiples of 1/4
        expected["dweight"] = expected["dweight"] + terms.sum(axis=(0, 2), dtype=np.float64)
        moved = block + bias.reshape(along)
        act = np.where(moved > 0, moved, np.float32(0.2) * moved) * np.float32(0.5)
        act_grad = np.where(moved > 0, forward, np.float32(0.2) * forward) * np.float32(0.5)
        act_grad[np.abs(act) >= 2] = 0
        expected["bias_act"] = expected["bias_act"] + act_grad.sum(axis=(0, 2), dtype=np.float64)
        keeps = pyleaky.dropout(np.ones_like(block), 0.25, seed=3, start=first * CHANNELS * INNER)
        kept = np.where(keeps == 0, np.float32(0), block * np.float32(1 / 0.75))
        expected["dropout"] += kept.sum(dtype=np.float64)
        expected["kept"] += np.count_nonzero(kept)
    expected["dbias"] = expected["bias_act"]
    for name, value in expected.items():
        # Sums of float32 numbers in float64, but dweight and dbias are rounded to float32 at the end.
        tolerance = 1e-6 if name in ("dweight", "dbias") else 1e-9
        np.testing.assert_allclose(found[name], value, rtol=tolerance, err_msg=name)
    assert found["kept"] == expected["kept"]
    np.testing.assert_array_equal(found["dweight"], np.float32(expected["dweight"]))


# ---------------------------------------------------------------------------------------------------- a worker dies


def leave_a_trace(block, folder, block_info=None):
    """The block as it is, and files that tell who began and ended it; after eight, none ends before the kill."""
    trace = f"{block_info[0]['chunk-location'][0]}-{os.getpid()}"
    (folder / f"began-{trace}").touch()
    if len([*folder.glob("ended-*")]) >= 8:
        wait_until(lambda: (folder / "killed").exists())
    (folder / f"ended-{trace}").touch()
    return block


def wait_until(happened):
    deadline = time.monotonic() + 60
    while not (what := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return what


def traces(folder, kind):
    """(number of the block, process) pairs."""
    return {tuple(map(int, path.name.split("-")[1:])) for path in folder.glob(f"{kind}-*")}


def test_a_worker_killed_in_the_middle(client, tmp_path):
    """Of 48 blocks some have ended, and the worker that dies has ended one and is at another."""

    def at_work():
        ended, began = traces(tmp_path, "ended"), traces(tmp_path, "began")
        return [at for at in began - ended if len(ended) >= 8 and any(process == at[1] for _, process in ended)]

    shape = (96, 4, 4)
    before = {*client.run(os.getpid).values()}
    x = whole(shape, 2).map_blocks(leave_a_trace, tmp_path, dtype=np.float32, meta=np.empty((0,) * 3, np.float32))
    _, dweight = pyleaky.prelu_backward(x, x, np.float32([1, 2, 3, 4]), axis=1)
    futures = client.compute([pyleaky.leaky_relu(x, 0.5).sum(dtype=np.float64), dweight])
    number, victim = wait_until(at_work)[0]
    assert victim in before
    assert len(traces(tmp_path, "ended")) < 12
    assert not any(future.done() for future in futures)
    os.kill(victim, signal.SIGKILL)
    (tmp_path / "killed").touch()
    found = client.gather(futures)

    block = np.concatenate([block for _, block in blocks(shape, 2)])
    assert found[0] == np.where(block > 0, block, block / 2).sum(dtype=np.float64)
    np.testing.assert_array_equal(found[1], np.where(block > 0, 0, block * block).sum(axis=(0, 2)))
    ended = traces(tmp_path, "ended")
    assert (number, victim) not in ended
    assert {number for number, _ in ended} == {*range(48)}
    client.wait_for_workers(2, timeout=60)
    assert victim not in client.run(os.getpid).values()


# ------------------------------------------------------------------------------------------ graphs, kept arrays, dtypes


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_dtypes(client, dtype):
    plain = (np.arange(240).reshape(8, 5, 6) % 11 - 5).astype(dtype)
    grad = np.full(plain.shape, 2, np.result_type(dtype, np.float16))
    x, dgrad = da.from_array(plain, chunks=(3, 5, 4)), da.from_array(grad, chunks=(4, 2, 6))
    weight = np.linspace(0, 1, 5).astype(np.float32)
    calls = [
        lambda x, grad: pyleaky.leaky_relu(x, 0.1),
        lambda x, grad: pyleaky.elu_backward(grad, x, 0.5),
        lambda x, grad: pyleaky.prelu_backward(grad, x, weight, axis=1),
        lambda x, grad: pyleaky.bias_act(x, weight, activation="leaky_relu"),
        lambda x, grad: pyleaky.bias_act_backward(grad, x, weight, activation="leaky_relu"),
        lambda x, grad: pyleaky.dropout_backward(grad, 0.5, seed=9),
        lambda x, grad: pyleaky.rrelu(x, seed=9),
    ]
    lazy = [call(x, dgrad) for call in calls]
    found = client.gather(client.compute([result if isinstance(result, tuple) else (result,) for result in lazy]))
    for call, results, promised in zip(calls, found, lazy, strict=True):
        expected = call(plain, grad)
        for result, other, one in zip(
            results,
            expected if isinstance(expected, tuple) else (expected,),
            promised if isinstance(promised, tuple) else (promised,),
            strict=True,
        ):
            assert result.dtype == other.dtype == one.dtype
            np.testing.assert_array_equal(result, other)


def test_graphs_pickle_and_arrays_stay_on_the_cluster(client):
    x = whole((64, 4, 4), 16)
    plain = np.concatenate([block for _, block in blocks((64, 4, 4), 16)])
    weight, bias = np.float32([0.5, 1, 2, 3]), np.zeros(4, np.float32)

    def results(x):
        return *pyleaky.prelu_backward(x, x, weight, axis=1), pyleaky.dropout(
            pyleaky.bias_act(x, bias, activation="leaky_relu"), 0.5, seed=1
        )

    lazy, expected = results(x), results(plain)
    for one, other, value in zip(lazy, pickle.loads(pickle.dumps(lazy)), expected, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(client.compute(other).result(), value)
    kept = client.persist([*lazy])
    distributed.wait(kept)
    assert all(distributed.futures_of(array) for array in kept)
    y = client.compute(pyleaky.leaky_relu(kept[0], 0.5)).result()
    np.testing.assert_array_equal(y, pyleaky.leaky_relu(expected[0], 0.5))
    np.testing.assert_array_equal(client.compute(kept[1]).result(), expected[1])


def test_random_numbers_of_cupy_blocks(cupy):
    """The whole array's, for blocks of whole rows; in this process, where the emulation is."""
    plain = (np.arange(7 * 4 * 6).reshape(7, 4, 6) % 11 - 5).astype(np.float32)
    meta = cupy.empty((0, 0, 0), np.float32)
    x = da.from_array(plain, chunks=(3, 4, 6)).map_blocks(cupy.asarray, dtype=np.float32, meta=meta)
    for call in (
        lambda x: pyleaky.dropout(x, 0.5, seed=1, start=3),
        lambda x: pyleaky.rrelu(x, seed=2),
        lambda x: pyleaky.rrelu_backward(x, x, seed=3),
    ):
        y = call(x)
        assert type(y._meta) is cupy.ndarray
        found = y.map_blocks(lambda block: block.get(), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
        np.testing.assert_array_equal(found.compute(scheduler="sync"), call(plain))


# ------------------------------------------------------------------------------------------------------- the example


def printed(*arguments, environment=None):
    """What the example prints, run as a user runs it."""
    command = [sys.executable, EXAMPLE, *arguments]
    environment = os.environ | (environment or {})
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert "Error" not in ended.stderr
    assert "Warning" not in ended.stderr
    return ended.stdout


def numbers(text):
    return re.findall(r"^(?:loss|gradient) .*", text, re.MULTILINE)


def peaks(text):
    return [float(size) for size in re.findall(r"^peak of the memory of .*: ([0-9.]+) GB$", text, re.MULTILINE)]


SMALL = ("--gigabytes", "0.05", "--block-megabytes", "8", "--seed", "5")


@pytest.fixture(scope="module")
def by_threads():
    return printed(*SMALL)


def test_example_by_threads(by_threads):
    assert by_threads.startswith("0.0501 GB of float32 in 7 blocks of 8.13 MB\n")
    assert "100%" in by_threads
    assert re.search(r"^[0-9.]+ GB/s \([0-9.]+ s\)$", by_threads, re.MULTILINE)
    assert len(peaks(by_threads)) == 1

    x = np.concatenate(
        [
            (np.random.default_rng([5, block, 0, 0, 0]).random((count, 64, 32, 32), dtype=np.float32) - np.float32(0.5))
            for block, count in enumerate([31] * 6 + [5])
        ]
    )
    slopes = np.linspace(0.05, 0.5, 64, dtype=np.float32)
    factor = pyleaky.dropout(np.ones_like(x), 0.1, seed=5)
    y = factor * np.where(x > 0, x, slopes.reshape(64, 1, 1) * x)
    grad = y.astype(np.float64) / x.size * factor
    dslopes = np.where(x > 0, 0, grad * x).sum(axis=(0, 2, 3))
    dx = np.where(x > 0, 1, slopes.reshape(64, 1, 1)) * grad
    expected = (np.mean(y.astype(np.float64) ** 2) / 2, np.sqrt((dx**2).sum()))
    expected += (dslopes.min(), dslopes.max(), dslopes.mean())
    found = [float(number) for line in numbers(by_threads) for number in re.findall(r"[0-9.]+(?:e-\d+)?", line)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_example_by_processes(by_threads):
    text = printed(*SMALL, "--workers", "2")
    assert numbers(text) == numbers(by_threads)
    assert "100%" in text
    assert len(peaks(text)) == 2


def settings():
    return pyleaky.get_num_threads(), pyleaky.cache_info().limit


def test_example_sets_workers_up_and_back(client, capsys):
    found, peaks = example.run_on(client, [dask.delayed(settings)()], block=10**6)
    assert found == [(1, example.KEPT * 10**6)]
    assert len(peaks) == 2
    assert [*client.run(settings).values()] == [(2, 50_000_000)] * 2
    assert "100%" in capsys.readouterr().out


def test_example_on_a_cluster(cluster, client, by_threads):
    text = printed(*SMALL, "--scheduler", cluster.scheduler_address)
    assert numbers(text) == numbers(by_threads)
    assert re.search(r"^[0-9.]+ GB/s \([0-9.]+ s\)$", text, re.MULTILINE)
    assert len(peaks(text)) == 2


def test_example_within_its_memory():
    """1 GB of data within 600 MB, of which some 100 are Python and its packages."""
    text = printed("--gigabytes", "1", environment={"DASK_NUM_WORKERS": "2"})
    assert max(peaks(text)) < 0.6


def test_example_takes_no_more_threads_than_fit(monkeypatch):
    taken = []
    monkeypatch.setattr(example, "CPU_COUNT", 64)
    monkeypatch.setattr(dask, "compute", lambda *results, num_workers, **_: taken.append(num_workers) or results)
    for block in (1, 32 * 10**6, 250 * 10**6, 10**9):
        example.run_here((), block)
    assert taken == [64, 7, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gigabytes", "0"], "argument --gigabytes: 0 is not positive and finite"),
        (["--gigabytes", "nan"], "argument --gigabytes: nan is not positive and finite"),
        (["--gigabytes", "much"], "argument --gigabytes: invalid number value: 'much'"),
        (["--gigabytes", "1e-5"], "argument --gigabytes: 1e-05 is less than one image of 0.000262144"),
        (["--block-megabytes", "-1"], "argument --block-megabytes: -1 is not positive and finite"),
        (["--seed", "-1"], "argument --seed: -1 is not between 0 and 2**64 - 1"),
        (["--workers", "0"], "argument --workers: 0 is not between 1"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "not allowed with argument"),
    ],
)
def test_example_refuses(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        example.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_example_without_a_scheduler():
    command = [sys.executable, EXAMPLE, *SMALL, "--scheduler", "tcp://127.0.0.1:1"]
    impatient = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=impatient)
    assert ended.returncode == 1
    assert "no scheduler at tcp://127.0.0.1:1" in ended.stderr
    assert "Traceback" not in ended.stderr
