"""How long a call takes while another program keeps every core busy: leaky_relu of 1M float32 elements, with out.

One process that computes without end is pinned to each core, at the same priority.  Then single calls are timed, in
blocks of 500, the libraries and numbers of threads in turns.  Everything is told in multiples of the library's own
median with one thread on the idle machine; so 1 means that the neighbour is not felt.  The machine should be idle
otherwise.

A library that splits a call into equal shares, one per thread, waits for the share of a thread that has lost its core:
a whole tick of the scheduler.  That shows in the 90th percentile, not in the median.
"""

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import timeit

import numpy as np
from _functions import M
from _measure import OURS, environment, settle
from _peers import OUT, PEERS, Job, contenders, using, versions
from _results import add_output_options, folder, ratio_text, table, time_text, write
from tqdm import tqdm

import pyleaky

CALLS = 500  # in a block
TARGETS = {"median": 1.2, "p90": 2.5}  # for pyleaky, with whatever number of threads
PERCENTILES = {"median": 50, "p90": 90, "p99": 99}
# It ends with the process that started it, even if that is killed.
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass"


@contextlib.contextmanager
def busy_cores():
    cores = os.sched_getaffinity(0)
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in cores]
    try:
        for process, core in zip(processes, cores, strict=True):
            os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(sides, blocks, bar):
    """For each side, what each call took, in nanoseconds."""
    taken = {side: [] for side in sides}
    for _ in range(blocks):
        for side, (statement, names) in sides.items():
            settle()
            with using(side[1]):
                taken[side] += timeit.Timer(statement, globals=names).repeat(CALLS, 1)
            bar.update()
    return {side: np.array(times) * 1e9 for side, times in taken.items()}


def main():
    libraries = [peer.name for peer in PEERS if not peer.yardstick and peer.name != OURS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="*", choices=libraries, default=["PyTorch"], help="default PyTorch")
    parser.add_argument("--blocks", type=int, default=20, help=f"of {CALLS} calls each, default 20")
    add_output_options(parser, "2 blocks")
    options = parser.parse_args()
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("bench/contention.py pins processes to cores, which this system does not offer")
    blocks = 2 if options.quick else options.blocks

    sides = {}
    for threads in sorted({1, pyleaky.get_num_threads()}):
        job = Job("leaky_relu", "forward", "float32", M, OUT, threads)
        group, names = contenders(job, only=[OURS, *options.peers])
        sides |= {(each.label, threads): (each.statement, names) for each in group}
    about = environment(**versions())
    with tqdm(total=2 * blocks * len(sides), desc="contention", unit="block") as bar:
        idle = measure(sides, blocks, bar)
        with busy_cores():
            busy = measure(sides, blocks, bar)

    rows, lines = [], []
    for (label, threads), (state, taken) in itertools.product(sides, (("idle", idle), ("busy", busy))):
        unit = np.median(idle[label, 1])
        times = {name: float(np.percentile(taken[label, threads], p)) for name, p in PERCENTILES.items()}
        rows.append({"contender": label, "threads": threads, "machine": state, "calls": taken[label, threads].size})
        rows[-1] |= {f"{name}_ns": round(ns) for name, ns in times.items()}
        cells = [f"{time_text(ns)} ({ratio_text(ns / unit)})" for ns in times.values()]
        met = all(times[name] <= limit * unit for name, limit in TARGETS.items())
        judged = label == OURS and state == "busy"
        lines.append([label, state, str(threads), *cells, ("met" if met else "**missed**") if judged else "-"])
    head = ["contender", "machine", "threads", *PERCENTILES, "result"]
    text = (
        "# leaky_relu of 1M float32 elements with a busy process on each core\n\n"
        f"{about['cpu']}, {about['cores']} cores, {about['date'][:10]}.  In brackets: relative to the median with one "
        f"thread on the idle machine.  Targets: {', '.join(f'{name} {limit}x' for name, limit in TARGETS.items())}.\n\n"
        f"{table(head, lines, left=2)}\n"
    )
    write(folder(options) / "contention", text, {"environment": about, "rows": rows})


if __name__ == "__main__":
    main()
