"""What 64 leaky layers cost in memory and time, forward and backward, by what each saves for its gradient.

The layers follow upon each other with nothing in between, on 4M float32 elements (16 MB).  Saving x or the output keeps
an array per layer; a packed mask keeps 1/32 of one, and the layer may work in place.  Every way runs in a process of
its own, whose peak above what there was before is told; the gradients must be equal.  Needs Linux.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np
from _functions import M
from _measure import environment
from _results import add_output_options, folder, table, time_text, write
from memory import CLEAR, peak
from tqdm import tqdm

import pyleaky

LAYERS, SLOPE, ROUNDS = 64, 0.9, 5  # a slope at which 64 layers leave something


def save_x(h):
    saved = []
    for _ in range(LAYERS):
        saved.append(h)
        h = pyleaky.leaky_relu(h, SLOPE)
    grad = np.ones_like(h)
    while saved:
        pyleaky.leaky_relu_backward(grad, saved.pop(), SLOPE, out=grad)
    return grad


def save_output(h):
    saved = []
    for _ in range(LAYERS):
        h = pyleaky.leaky_relu(h, SLOPE)
        saved.append(h)
    grad = np.ones_like(h)
    while saved:
        pyleaky.leaky_relu_backward(grad, output=saved.pop(), negative_slope=SLOPE, out=grad)
    return grad


def save_mask(h):
    saved = []
    h = h.copy()
    for _ in range(LAYERS):
        saved.append(pyleaky.leaky_relu(h, SLOPE, out=h, return_mask=True)[1])
    grad = np.ones_like(h)
    while saved:
        pyleaky.leaky_relu_backward(grad, mask=saved.pop(), negative_slope=SLOPE, out=grad)
    return grad


WAYS = {"x": save_x, "output": save_output, "mask": save_mask}


def measure_here(way, size):
    """Run by the process of one way."""
    x = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    WAYS[way](x[:64])
    CLEAR.write_text("5")
    before, taken = peak(), []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        grad = WAYS[way](x)
        taken.append(time.perf_counter_ns() - began)
    total = float(grad.sum(dtype=np.float64))
    return {"way": way, "extra_bytes": peak() - before, "median_ns": statistics.median(taken), "sum_of_gradient": total}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "64K elements")
    parser.add_argument("--way", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        return print(json.dumps(measure_here(*options.way)))
    if not CLEAR.exists():
        raise SystemExit(f"bench/saved.py needs {CLEAR}, which this system does not offer")
    size = M // 16 if options.quick else 4 * M
    rows = []
    for way in tqdm(WAYS, unit="way"):
        command = [sys.executable, __file__, "--way", json.dumps([way, size])]
        rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    if len({row["sum_of_gradient"] for row in rows}) > 1:
        raise SystemExit(f"the gradients differ: {rows}")
    about = environment()
    lines = [[row["way"], f"{row['extra_bytes'] / 1e6:.0f} MB", time_text(row["median_ns"])] for row in rows]
    text = (
        f"# {LAYERS} leaky layers, forward and backward, {4 * size / 1e6:.0f} MB each\n\n{about['cpu']}, "
        f"{about['isa']}, {pyleaky.get_num_threads()} threads, {about['date'][:10]}\n\n"
        f"{table(['saved', 'peak above before', 'time'], lines, left=1)}\n"
    )
    return write(folder(options) / "saved", text, {"environment": about, "rows": rows})


if __name__ == "__main__":
    main()
