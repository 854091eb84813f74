"""How many times the throughput of one Dask worker two have: examples/dask_larger_than_memory.py, forward and backward.

A worker is a process of one thread.  A cluster of one and a cluster of two stand side by side and work in turns, in an
order drawn afresh each round; the client and the scheduler, which also need the processor, are counted in.  Results
must be the same to the last bit.  Small blocks measure Dask's cost of a task, some milliseconds, rather than ours.
Normal numbers take longer to draw than all the rest, so that more of the work is the workers'.  A run during which
other programs took more than a tenth of a core says nothing, and is repeated.  Needs Linux.
"""

import argparse
import importlib.metadata
import os
import pathlib
import random
import statistics
import sys
import time

import numpy as np
import psutil  # which distributed needs, too
from _measure import environment
from _results import add_output_options, folder, ratio_text, table, write
from dask.distributed import Client, LocalCluster
from tqdm import tqdm

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))  # the workers inherit it
import dask_larger_than_memory as example

VARIANTS = (("uniform", 16), ("uniform", 32), ("uniform", 64), ("normal", 32))  # numbers, and MB of a block
GIGABYTES, ROUNDS, TARGET = 1.0, 11, 1.6
OTHERS = 0.1  # cores
PATIENCE = 600  # seconds, after which nothing is repeated any more
WORKERS = (1, 2)
HEAD = ["numbers, block", "one worker", "two workers", "ratio", "processor per GB, one", "two"]
SLOPES = np.linspace(0.05, 0.5, example.CHANNELS, dtype=np.float32)


def draw_normal(seed, block_info=None):
    about = block_info[None]
    generator = np.random.default_rng([seed, *about["chunk-location"]])
    return generator.standard_normal(about["chunk-shape"], dtype=np.float32)


DRAW = {"uniform": example.draw, "normal": draw_normal}


def busy():
    """Seconds for which the cores were busy since they started, and for which this process and its children were."""
    ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK"), sum(each.user + each.system for each in times)


def measure(client, gigabytes, numbers, megabytes):
    """Bytes per nanosecond, which is GB/s, processor seconds per GB, the results, and the cores that others took."""
    count, in_block = (round(size / example.IMAGE) for size in (gigabytes * 1e9, megabytes * 1e6))
    x = example.images(count, in_block, 0, DRAW[numbers])
    before, began = busy(), time.perf_counter_ns()
    results = client.gather(client.compute(example.forward_and_backward(x, SLOPES, 0)))
    taken, after = time.perf_counter_ns() - began, busy()
    ours = after[1] - before[1]
    others = (after[0] - before[0] - ours) / (taken / 1e9)
    return x.nbytes / taken, ours / (x.nbytes / 1e9), [np.asarray(result).tobytes() for result in results], others


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "2 rounds of 0.5 GB")
    options = parser.parse_args()
    gigabytes, rounds = (0.5, 2) if options.quick else (GIGABYTES, ROUNDS)
    os.environ.update(
        PYLEAKY_NUM_THREADS="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYLEAKY_CACHE_LIMIT=f"{2**29}"
    )  # what the workers start with
    about = environment(dask=importlib.metadata.version("dask"), gigabytes=gigabytes, rounds=rounds)
    rates, costs = ({variant: {count: [] for count in WORKERS} for variant in VARIANTS} for _ in range(2))
    setting = {"threads_per_worker": 1, "processes": True, "memory_limit": 0, "dashboard_address": ":0"}
    with (
        LocalCluster(n_workers=1, **setting) as one,
        LocalCluster(n_workers=2, **setting) as two,
        Client(one) as one_client,
        Client(two) as two_client,
    ):
        clients = {1: one_client, 2: two_client}
        for client in clients.values():
            measure(client, 0.25, *VARIANTS[0])  # loads what there is to load
        jobs = [(variant, count) for variant in VARIANTS for count in WORKERS]
        expected = {}
        disturbed, stop = 0, time.monotonic() + PATIENCE
        with tqdm(total=rounds * len(jobs), unit="run") as bar:
            for _ in range(rounds):
                random.shuffle(jobs)
                for variant, count in jobs:
                    while True:
                        rate, cost, results, others = measure(clients[count], gigabytes, *variant)
                        if results != expected.setdefault(variant, results):
                            raise SystemExit(f"the results with {count} workers differ: {variant}")
                        if others <= OTHERS or options.quick or time.monotonic() > stop:
                            break
                        time.sleep(1)
                    disturbed += others > OTHERS
                    rates[variant][count].append(rate)
                    costs[variant][count].append(cost)
                    bar.update()
    rows, lines = [], []
    for variant in VARIANTS:
        one, two, cost_one, cost_two = (
            statistics.median(figures[variant][count]) for figures in (rates, costs) for count in WORKERS
        )
        rows.append(
            {"numbers": variant[0], "block_megabytes": variant[1], "one": one, "two": two, "ratio": two / one}
            | {"gigabytes_per_second": rates[variant], "processor_seconds_per_gigabyte": costs[variant]}
        )
        lines.append(
            [f"{variant[0]}, {variant[1]} MB", f"{one:.2f} GB/s", f"{two:.2f} GB/s", ratio_text(two / one)]
            + [f"{cost:.2f} s" for cost in (cost_one, cost_two)]
        )
    verdicts = [
        f"- {numbers}: {'met' if best['ratio'] >= TARGET else '**missed**'}, {ratio_text(best['ratio'])} with "
        f"{best['block_megabytes']} MB"
        for numbers in DRAW
        for best in [max((row for row in rows if row["numbers"] == numbers), key=lambda row: row["two"])]
    ]
    text = (
        f"# Forward and backward with one Dask worker and with two\n\n{about['cpu']}, {about['isa']}, "
        f"{about['cores']} cores, Dask {about['dask']}, {about['date'][:10]}; {gigabytes:g} GB of float32 a run, "
        f"medians of {rounds} rounds\n\n{table(HEAD, lines, left=1)}\n\n"
        f"Target, {TARGET}x for the blocks with which two are fastest:\n\n"
        + "\n".join(verdicts)
        + "\n"
        + (f"\nDuring {disturbed} of {rounds * len(jobs)} runs other programs took a share.\n" if disturbed else "")
    )
    return write(
        folder(options) / "dask_workers",
        text,
        {"environment": about, "target": TARGET, "disturbed": disturbed, "rows": rows},
    )


if __name__ == "__main__":
    main()
