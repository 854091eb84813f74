"""What a call costs in memory beside time: the peak of the resident set above what there was before it.

Each contender runs in a process of its own, with all threads, on 16M float32 elements (64 MB): one call first on 64
elements, which loads and compiles what there is to load, then seven calls that are timed and of which the peak counts.
A fresh result is one array by itself; what is above that are temporaries, scratch arrays among them.  This needs Linux,
where a process may set its peak back.
"""

import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import time
import timeit

from _functions import M
from _measure import environment
from _peers import DIRECTIONS, FRESH, OUT, Job, contenders, using, versions
from _results import add_output_options, folder, size_text, table, time_text, write
from tqdm import tqdm

import pyleaky

CALLS = 7
FUNCTIONS = ("leaky_relu", "elu")
STATUS, CLEAR = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")


def peak():
    """The largest resident set, in bytes; ru_maxrss would know that of the parent, too."""
    return 1024 * next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))


def measure_here(job, peer, label):
    """Run by the process of one contender: how much the peak rises, and the median time in nanoseconds."""
    for size in (64, job["size"]):
        group, names = contenders(Job(**job | {"size": size}), only=[peer])
        (statement,) = (each.statement for each in group if each.label == label)
        if "out" in names:
            names["out"][...] = names["start"]
        with using(job["threads"]):
            CLEAR.write_text("5")
            before = peak()
            taken = timeit.Timer(statement, timer=time.perf_counter_ns, globals=names).repeat(CALLS, 1)
    return {"extra_bytes": peak() - before, "median_ns": statistics.median(taken)}


def measure(job, peer, label):
    arguments = json.dumps([job, peer, label])
    command = [sys.executable, __file__, "--contender", arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "1M elements, one function")
    parser.add_argument("--contender", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        return print(json.dumps(measure_here(*options.contender)))
    if not CLEAR.exists():
        raise SystemExit(f"bench/memory.py needs {CLEAR}, which this system does not offer")

    size, functions = (M, FUNCTIONS[:1]) if options.quick else (16 * M, FUNCTIONS)
    todo = []
    for function, direction, mode in itertools.product(functions, DIRECTIONS, (FRESH, OUT)):
        job = {"function": function, "direction": direction, "dtype": "float32", "size": size, "mode": mode}
        job["threads"] = pyleaky.get_num_threads()
        group, _ = contenders(Job(**job | {"size": 256}))
        todo += [(job, each.peer, each.label) for each in group if not each.yardstick]
    rows = [{**job, "contender": label} | measure(job, peer, label) for job, peer, label in tqdm(todo, unit="process")]

    about = environment(**versions())
    lines = [
        [
            *(row[key] for key in ("function", "direction", "mode", "contender")),
            f"{row['extra_bytes'] / 1e6:.1f} MB",
            f"{row['extra_bytes'] / (4 * size):.2f}",
            time_text(row["median_ns"]),
        ]
        for row in rows
    ]
    head = ["function", "direction", "result", "contender", "peak above before", "in arrays", "time"]
    text = (
        f"# Memory for {size_text(size)} float32 elements, {4 * size / 1e6:.0f} MB an array\n\n"
        f"{about['cpu']}, {about['date'][:10]}, {pyleaky.get_num_threads()} threads.\n\n{table(head, lines, left=4)}\n"
    )
    write(folder(options) / "memory", text, {"environment": about, "rows": rows})


if __name__ == "__main__":
    main()
