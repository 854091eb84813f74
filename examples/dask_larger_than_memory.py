"""A forward and a backward pass over more data than memory holds, block by block with Dask.

The data are random images, drawn block by block where they are needed and dropped again.  Through each go PReLU with a
slope per channel and dropout; the loss is half the mean square of what comes out.  Back come the gradient of the slopes
and the norm of the gradient of the images.  Whatever runs the blocks, the numbers are the same to the last bit: sums
are added in an order that the blocks alone decide, and dropout's mask is that of the whole array.

    pip install ".[dask]"
    python examples/dask_larger_than_memory.py                     # 8 GB within 2 GB, by Dask's threads
    python examples/dask_larger_than_memory.py --workers 4         # by four processes on this machine
    python examples/dask_larger_than_memory.py --scheduler tcp://host:8786   # by a cluster: `dask scheduler` on one
                                                                   # machine, `dask worker tcp://host:8786` on others
"""

import argparse
import contextlib
import math
import time

import dask
import dask.array as da
import numpy as np
from dask.diagnostics import ProgressBar
from dask.system import CPU_COUNT

import pyleaky
from pyleaky.training import l2_penalty

CHANNELS, SIDE = 64, 32
IMAGE = CHANNELS * SIDE * SIDE * 4  # bytes, in float32
DROPPED = 0.1  # share of what dropout sets to 0
KEPT = 4  # blocks of memory that pyleaky may keep in each process for its next results
MEMORY = 2 * 10**9  # bytes, of this process or of each worker
AT_ONCE = 6  # blocks that a thread holds at most, and some room


def draw(seed, block_info=None):
    """A block: uniform in [-0.5, 0.5), from a generator of its own."""
    about = block_info[None]
    values = np.random.default_rng([seed, *about["chunk-location"]]).random(about["chunk-shape"], dtype=np.float32)
    values -= np.float32(0.5)
    return values


def images(count, in_block, seed, draw=draw):
    chunks = da.core.normalize_chunks((in_block, -1, -1, -1), (count, CHANNELS, SIDE, SIDE))
    return da.map_blocks(draw, seed, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * 4, np.float32))


def half_of_squares(x):
    """As a lazy sum: in float64, without an array of the squares."""
    return da.reduction(x, half_of_squares_of_block, np.sum, dtype=np.float64)


def half_of_squares_of_block(block, axis, keepdims):
    return np.full((1,) * block.ndim, l2_penalty([block], 1.0))


def forward_and_backward(x, slopes, seed):
    """The loss, the gradient of the slopes, and the norm of that of x; nothing is computed yet."""
    y = pyleaky.dropout(pyleaky.prelu(x, slopes, axis=1), DROPPED, seed=seed)
    grad = pyleaky.dropout_backward(y, DROPPED, seed=seed)  # that of the mean is this by x.size: divided at the end
    dx, dslopes = pyleaky.prelu_backward(grad, x, slopes, axis=1)
    return half_of_squares(y) / x.size, dslopes / x.size, np.sqrt(2 * half_of_squares(dx)) / x.size


def peak():
    """The largest resident set of this process so far, in bytes."""
    try:
        with open("/proc/self/status") as lines:  # ru_maxrss knows that of the parent, too, where it was larger
            return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:
        import resource

        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextlib.contextmanager
def modest(block):
    """Blocks side by side fill the cores already, and memory is short: one thread for each, and a small cache."""
    threads, limit = pyleaky.get_num_threads(), pyleaky.cache_info().limit
    pyleaky.set_num_threads(1)
    pyleaky.set_cache_limit(min(KEPT * block, limit))
    try:
        yield
    finally:
        pyleaky.set_num_threads(threads)
        pyleaky.set_cache_limit(limit)


def run_here(results, block):
    """By Dask's threads: the results, and the peak of this process.  `block` is its size in bytes, here as below."""
    room = (MEMORY - 500 * 10**6) // (AT_ONCE * block)  # for so many threads: Python and its packages need some, too
    threads = max(1, min(dask.config.get("num_workers", CPU_COUNT), room))
    with modest(block), ProgressBar():
        results = dask.compute(*results, scheduler="threads", num_workers=threads)
    return results, {"this process": peak()}


def run_on(client, results, block):
    """By the workers of a cluster: the results, and the peak of each worker."""
    from dask.distributed import WorkerPlugin, progress

    class Modest(WorkerPlugin):  # so that workers which join later, or come back, are modest too
        name = "pyleaky-modest"

        def setup(self, worker):
            self.stack = contextlib.ExitStack()
            self.stack.enter_context(modest(block))

        def teardown(self, worker):
            self.stack.close()

    client.register_plugin(Modest())
    try:
        futures = client.compute(results)
        progress(futures, notebook=False)
        print()  # the bar ends without
        return client.gather(futures), client.run(peak)
    finally:
        client.unregister_worker_plugin(Modest.name)


@contextlib.contextmanager
def cluster_of(options):
    """A client of the cluster that is there, or of one that is started here and ends with the block."""
    from dask.distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        address = options.scheduler
        if address is None:
            address = stack.enter_context(
                LocalCluster(
                    n_workers=options.workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=MEMORY,
                    dashboard_address=":0",  # a free port: the usual one may be taken
                )
            )
        try:
            client = stack.enter_context(Client(address))
        except (OSError, ValueError) as error:
            raise SystemExit(f"no scheduler at {address}: {error}") from None
        client.wait_for_workers(1, timeout=60)
        yield client


def number(text):
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not positive and finite")
    return value


def whole_number(least):
    def parse(text):
        value = int(text)
        if not least <= value < 2**64:  # as a seed has to be
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and 2**64 - 1")
        return value

    parse.__name__ = "whole number"  # argparse puts the name into its message
    return parse


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description="A forward and a backward pass over more data than memory holds, with Dask and pyleaky.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--gigabytes", type=number, default=8.0, metavar="GB", help="of float32 to go through")
    parser.add_argument("--block-megabytes", type=number, default=32.0, metavar="MB", help="of float32 in a block")
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="chooses the images and the mask")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=whole_number(1),
        default=argparse.SUPPRESS,
        metavar="N",
        help="start so many processes of one thread; by default Dask's threads in this one",
    )
    where.add_argument("--scheduler", default=argparse.SUPPRESS, metavar="ADDRESS", help="use the cluster there")
    options = parser.parse_args(argv)
    options.count = round(options.gigabytes * 1e9 / IMAGE)
    if options.count < 1:
        parser.error(f"argument --gigabytes: {options.gigabytes:g} is less than one image of {IMAGE / 1e9:g}")
    options.in_block = max(1, min(options.count, round(options.block_megabytes * 1e6 / IMAGE)))
    options.on_cluster = "workers" in options or "scheduler" in options
    options.scheduler = getattr(options, "scheduler", None)
    if options.on_cluster:
        try:
            import dask.distributed  # noqa: F401
        except ImportError as error:
            parser.error(f"a cluster needs pip install 'pyleaky[dask]' ({error})")
    return options


def main(argv=None):
    options = parse_arguments(argv)
    x = images(options.count, options.in_block, options.seed)
    slopes = np.linspace(0.05, 0.5, CHANNELS, dtype=np.float32)
    results = forward_and_backward(x, slopes, options.seed)
    block = options.in_block * IMAGE
    print(f"{x.nbytes / 1e9:.3g} GB of float32 in {x.npartitions} blocks of {block / 1e6:.3g} MB")
    with cluster_of(options) if options.on_cluster else contextlib.nullcontext() as client:
        began = time.perf_counter()
        (loss, dslopes, norm), peaks = run_on(client, results, block) if client else run_here(results, block)
        seconds = time.perf_counter() - began
    print(f"loss {loss:.9g}, norm of the gradient of the images {norm:.9g}")
    print(f"gradient of the slopes from {dslopes.min():.9g} to {dslopes.max():.9g}, mean {dslopes.mean():.9g}")
    print(f"{x.nbytes / 1e9 / seconds:.2f} GB/s ({seconds:.1f} s)")
    for name, size in peaks.items():
        print(f"peak of the memory of {name}: {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
