"""pyleaky.tensorflow beside TensorFlow, forward and backward, float32, with as many threads.

Both as the graph of a tf.function that computes y and the gradient, fresh results each time, in one process and in
turns; and on 64 elements in eager mode, where the overhead is all.  Then the peak memory of a graph of 50 leaky layers,
each way in a process of its own (which needs Linux).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from _functions import K, M
from _measure import Contender, environment, interleave, settle
from _results import add_output_options, folder, ratio_text, size_text, table, time_text, write
from memory import CLEAR, peak
from tqdm import tqdm

import pyleaky
from pyleaky import tensorflow as adapter

CHANNELS, LAYERS, CALLS = 64, 50, 5
WEIGHT = np.full(CHANNELS, 0.25, np.float32)
# pyleaky's and TensorFlow's; PReLU's formula is that of keras.layers.PReLU.
FUNCTIONS = {
    "relu": (adapter.relu, tf.nn.relu),
    "leaky_relu": (lambda x: adapter.leaky_relu(x, 0.1), lambda x: tf.nn.leaky_relu(x, 0.1)),
    "prelu": (lambda x: adapter.prelu(x, WEIGHT, -1), lambda x: tf.nn.relu(x) - WEIGHT * tf.nn.relu(-x)),
    "elu": (adapter.elu, tf.nn.elu),
    "selu": (adapter.selu, tf.nn.selu),
    "dropout": (lambda x: adapter.dropout(x, 0.5), lambda x: tf.nn.dropout(x, 0.5)),
    "bias_act": (
        lambda x: adapter.bias_act(x, WEIGHT, activation="leaky_relu", negative_slope=0.2, gain=None, clamp=9.0),
        lambda x: tf.clip_by_value(tf.nn.leaky_relu(tf.nn.bias_add(x, WEIGHT), 0.2) * 2**0.5, -9.0, 9.0),
    ),
}


def step(function):
    """The output and the gradient, as a training step has them."""

    @tf.autograph.experimental.do_not_convert
    def run(x, grad):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x, grad)

    return run


def chain(function):
    def layers(x):
        for _ in range(LAYERS):
            x = function(x)
        return x

    return layers


def measure_here(whose, rows):
    """Run by the process of one way: how much the peak of a step rises, and the median time in nanoseconds."""
    threads(pyleaky.get_num_threads())
    function = tf.function(step(chain(FUNCTIONS["leaky_relu"][whose])))
    x, small = (tf.random.normal((count, CHANNELS)) for count in (rows, 1))
    function(small, small)
    function.get_concrete_function(x, x)
    CLEAR.write_text("5")
    before, taken = peak(), []
    for _ in range(CALLS):
        start = time.perf_counter_ns()
        function(x, x)
        taken.append(time.perf_counter_ns() - start)
    return {"extra_bytes": peak() - before, "median_ns": statistics.median(taken)}


def threads(count):
    pyleaky.set_num_threads(count)
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "two rounds, to 64K elements")
    parser.add_argument("--way", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        return print(json.dumps(measure_here(*options.way)))
    if not CLEAR.exists():
        raise SystemExit(f"bench/tensorflow_adapter.py needs {CLEAR}, which this system does not offer")

    threads(pyleaky.get_num_threads())
    rows, lines = [], []
    jobs = [("eager", 64)] + [("graph", size) for size in ((64 * K,) if options.quick else (64, 64 * K, M, 16 * M))]
    for name, (mode, size) in tqdm([(name, job) for name in FUNCTIONS for job in jobs], unit="job"):
        x = tf.random.normal((max(1, size // CHANNELS), CHANNELS))
        names = {"x": x, "grad": tf.ones_like(x)}
        for label, function in zip(("ours", "theirs"), FUNCTIONS[name], strict=True):
            names[label] = step(function) if mode == "eager" else tf.function(step(function))
        group = [
            Contender(label, f"{call}(x, grad)", 16 * size, label)
            for label, call in (("pyleaky", "ours"), ("TensorFlow", "theirs"))
        ]
        found = interleave(group, names, 2 if options.quick else 15, 1e8, seconds=20, rest=settle)
        rows += [{"function": name, "mode": mode, "size": size} | row for row in found]
        ours, theirs = (row["median_ns"] for row in found)
        lines.append([name, mode, size_text(size), time_text(ours), time_text(theirs), ratio_text(theirs / ours)])

    batch = (64 * K if options.quick else 4 * M) // CHANNELS
    ways = []
    for whose, label in enumerate(("pyleaky", "TensorFlow")):
        command = [sys.executable, __file__, "--way", json.dumps([whose, batch])]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        ways.append({"contender": label} | found)
    array = 4 * CHANNELS * batch
    cells = [
        [way["contender"], f"{way['extra_bytes'] / 1e6:.0f} MB", f"{way['extra_bytes'] / array:.1f}",
         time_text(way["median_ns"])]
        for way in ways
    ]  # fmt: skip
    about = environment(tensorflow=tf.__version__, keras=keras.__version__)
    text = (
        f"# pyleaky.tensorflow beside TensorFlow, forward and backward\n\n{about['cpu']}, {about['isa']}, "
        f"{pyleaky.get_num_threads()} threads, {about['date'][:10]}, TensorFlow {tf.__version__}, "
        f"load at the start {about['load_average_at_start']}\n\n"
        f"{table(['function', 'mode', 'size', 'pyleaky', 'TensorFlow', 'times as fast'], lines, left=2)}\n\n"
        f"## A graph of {LAYERS} leaky layers and its gradient, {array / 1e6:.0f} MB a layer\n\n"
        f"{table(['by', 'peak above before', 'in arrays', 'time'], cells)}\n"
    )
    return write(folder(options) / "tensorflow_adapter", text, {"environment": about, "rows": rows, "memory": ways})


if __name__ == "__main__":
    main()
