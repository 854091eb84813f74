"""What watching every batch costs: a training step of the examples' networks with and without the monitors, one thread.

The networks are those of examples/nn.py: two hidden layers of 128 units on batches of 32 digits, as in
examples/digits.py, and three convolutions on batches of 64 images of 28 x 28, as in examples/evidence/images.py.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import nn
import numpy as np
from _measure import Contender, environment, interleave, settle
from _peers import using
from _results import add_output_options, folder, table, time_text, write
from tqdm import tqdm

from pyleaky.diagnostics import GradientMonitor, UnitMonitor

MOST = 0.05  # of a step, for each monitor


def dense(rng):
    images = rng.standard_normal((32, 64), dtype=np.float32)
    return nn.multilayer_perceptron(np, (64, 128, 128, 10), "leaky_relu", 0.01, rng=rng), images


def convolutional(rng):
    layers, inputs = [], 1
    for outputs in (16, 32, 64):
        weight = nn.initial_weight(np, (3, 3, inputs, outputs), "leaky_relu", 0.01, rng)
        layers += [nn.Conv(weight, np.zeros(outputs, np.float32), 2, 1), nn.Activation("leaky_relu", 0.01)]
        inputs = outputs
    last = nn.initial_weight(np, (4 * 4 * inputs, 10), "linear", None, rng)
    layers += [nn.Reshape(-1), nn.Dense(last, np.zeros(10, np.float32))]
    return nn.Network(layers), rng.standard_normal((64, 28, 28, 1), dtype=np.float32)


class Trainer:
    """A network, its data, and one step of training."""

    def __init__(self, make):
        rng = np.random.default_rng(0)
        self.network, self.images = make(rng)
        self.labels = rng.integers(0, 10, len(self.images))
        self.optimiser = nn.SGD(self.network.parameters, 1e-6, momentum=0.9)
        self.units, self.gradients = UnitMonitor("leaky_relu", 0.01, axis=-1), GradientMonitor()
        self.activations = list(self.network.activations.items())

    def step(self):
        _, grad = nn.softmax_cross_entropy(self.network.forward(self.images, training=True), self.labels)
        self.network.backward(grad)
        self.found = self.network.gradients
        self.optimiser.step(self.found)

    def watch_units(self):
        for name, layer in self.activations:
            self.units.update(name, layer.x)

    def watch_gradients(self):
        self.gradients.update(self.found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "two rounds")
    options = parser.parse_args()
    rows, lines = [], []
    for label, make in tqdm((("two hidden layers", dense), ("three convolutions", convolutional)), unit="network"):
        trainer = Trainer(make)
        group = [
            Contender(what, statement, 0, what, has_out=True)
            for what, statement in (
                ("step", "trainer.step()"),
                ("UnitMonitor", "trainer.watch_units()"),
                ("GradientMonitor", "trainer.watch_gradients()"),
            )
        ]
        trainer.step()
        with using(1):
            found = interleave(group, {"trainer": trainer}, 2 if options.quick else 25, 2e7, seconds=30, rest=settle)
        rows += [{"network": label} | row for row in found]
        step, *monitors = (row["median_ns"] for row in found)
        for name, took in zip(("UnitMonitor", "GradientMonitor"), monitors, strict=True):
            share = took / step
            lines.append([label, time_text(step), name, time_text(took), f"{share:.1%}", f"{MOST:.0%}"])
            lines[-1].append("met" if share <= MOST else "**missed**")
    about = environment()
    head = ["network", "step", "monitor", "each batch", "of the step", "target", "result"]
    text = (
        f"# Watching every batch, one thread\n\n{about['cpu']}, {about['isa']}, {about['date'][:10]}\n\n"
        f"{table(head, lines, left=1)}\n"
    )
    write(folder(options) / "monitoring", text, {"environment": about, "rows": rows})


if __name__ == "__main__":
    main()
