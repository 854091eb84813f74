"""Exploding gradients: what too large weights do to training, and what clipping the norm of the gradients changes.

Two networks, from larger and larger weights: a recurrent one on the adding problem of Hochreiter and Schmidhuber 1997,
with a recurrent matrix of a given spectral radius, and one of 16 dense layers on scikit-learn's digits.  SGD at one
rate for all, with `pyleaky.training.clip_grad_norm` and without.

    python examples/evidence/exploding_gradients.py
    python examples/evidence/exploding_gradients.py --short     # a sample in seconds
"""

from _study import Study, interval, plus_minus  # first: it limits the threads of NumPy, and knows where nn is

# isort: split
import contextlib
import math

import nn
import numpy as np
from _data import digits
from matplotlib.figure import Figure

from pyleaky import init
from pyleaky.training import clip_grad_norm

ACTIVATIONS = (("relu", None), ("leaky_relu", 0.01), ("leaky_relu", 0.2), ("tanh", None))
SHOWN = {("relu", None): "#006BA4", ("leaky_relu", 0.2): "#FF800E", ("tanh", None): "#595959"}  # 0.01 would cover relu
SCALES = {"recurrent": (1.2, 1.5, 1.8), "deep": (1.0, 1.25, 1.5)}  # spectral radius; factor of all weights
RATE = 0.03
MAX_NORM = 1.0
EXPLODED = 100  # times the initial loss
BATCH, TIME, STATE, WIDTH, HIDDEN = 32, 40, 32, 64, 15


def squared_error(predictions, targets):
    difference = predictions - targets
    return (difference * difference).mean(), 2 * difference / difference.size


def adding_problem(xp, rng, count):
    """Sequences of numbers from 0 to 1 with a mark beside two of them, (time, count, 2), and the sums of those two."""
    x = np.stack([rng.random((TIME, count)), np.zeros((TIME, count))], axis=2)
    sequence = np.arange(count)
    marks = (rng.integers(TIME // 2, size=count), rng.integers(TIME // 2, TIME, size=count))
    for mark in marks:
        x[mark, sequence, 1] = 1
    sums = sum(x[mark, sequence, :1] for mark in marks)
    return xp.asarray(x, dtype=np.float32), xp.asarray(sums, dtype=np.float32)


def recurrent(xp, seed, rng, activation, parameter, scale):
    """Network, loss, test samples and a function that draws a batch."""
    orthogonal, _ = np.linalg.qr(init.lecun_normal((STATE, STATE), rng=rng))
    weight = nn.initial_weight(xp, (2, STATE), "linear", None, rng)
    last = nn.Dense(nn.initial_weight(xp, (STATE, 1), "linear", None, rng), xp.zeros(1, np.float32))
    layer = nn.Recurrent(weight, xp.asarray(scale * orthogonal), xp.zeros(STATE, np.float32), activation, parameter)
    test = adding_problem(xp, rng, 256)
    return nn.Network([layer, last]), squared_error, test, lambda: adding_problem(xp, rng, BATCH)


def deep(xp, seed, rng, activation, parameter, scale):
    """The same of the dense network."""
    data = digits(xp, seed)
    network = nn.multilayer_perceptron(xp, (64, *[WIDTH] * HIDDEN, 10), activation, parameter, rng=rng)
    for name, array in network.parameters.items():
        if name.endswith("weight"):
            array *= scale

    def draw():
        chosen = xp.asarray(rng.integers(len(data.train_images), size=BATCH))
        return data.train_images[chosen], data.train_labels[chosen]

    return network, nn.softmax_cross_entropy, (data.test_images, data.test_labels), draw


def train(network, criterion, draw, max_norm, steps):
    """Losses and norms of the gradients, before clipping, step by step, until the loss is no longer finite."""
    optimiser = nn.SGD(network.parameters, RATE)
    losses, norms = [], []
    for _ in range(steps):
        x, targets = draw()
        loss, grad = criterion(network.forward(x, training=True), targets)
        if not math.isfinite(loss):
            break
        network.backward(grad)
        gradients = network.gradients
        norms.append(float(clip_grad_norm(gradients, max_norm)))
        losses.append(float(loss))
        optimiser.step(gradients)
    return losses, norms


def measure(xp, seed, task, scale, activation, parameter, clipped, steps):
    rng = np.random.default_rng(seed)
    build = {"recurrent": recurrent, "deep": deep}[task]
    network, criterion, (x, targets), draw = build(xp, seed, rng, activation, parameter, scale)
    before = float(criterion(network.forward(x), targets)[0])
    with contextlib.nullcontext() if clipped else np.errstate(over="ignore", invalid="ignore"):
        losses, norms = train(network, criterion, draw, MAX_NORM if clipped else math.inf, steps)
        after = float(criterion(network.forward(x), targets)[0])
    finite = len(losses) == steps and math.isfinite(after)
    return {
        "loss_before": before,
        "loss_after": after if finite else None,
        "exploded": not finite or max(losses) > EXPLODED * before,
        "below": finite and after < before,
        "largest_norm": max(filter(math.isfinite, norms)),
        "losses": losses,
        "norms": [norm if math.isfinite(norm) else None for norm in norms],
    }


def count(runs, name):
    return sum(run[name] for run in runs)


def median(runs, name):
    return float(np.median([run[name] for run in runs]))


# --------------------------------------------------------------------------------------------------------- the table


def promised(results, seeds):
    """From the largest weights: the fewest seeds of a rectifier that explode unclipped, and that end below clipped."""
    large = [(task, SCALES[task][-1], *which) for task in SCALES for which in ACTIVATIONS if which[0] != "tanh"]
    exploded = min(count(results[*key, False], "exploded") for key in large)
    below = min(count(results[*key, True], "below") for key in large)
    needed = math.ceil(0.8 * seeds)
    return (
        f"From the largest weights relu and leaky_relu explode without clipping in at least {exploded} of {seeds} "
        f"seeds, and end below the initial loss with clipping in at least {below} of {seeds}; looked for were {needed} "
        f"in both networks: {'met' if min(exploded, below) >= needed else 'missed'}."
    )


def protocol(steps):
    return (
        f"SGD at a rate of {RATE:g} without momentum, {steps} steps, clipped to a norm of {MAX_NORM:g} or not, all "
        "else equal. Initial and final loss are those of samples that are not trained on; initial loss and largest "
        "norm of the gradients, both unclipped, are medians. Exploded: a training loss above "
        f"{EXPLODED} times the initial one, or a loss that is not finite. Ends below: a final loss below the initial "
        "one. The final losses are means of the seeds where they are finite. In the pictures every seed is a line, and "
        "a cross is the last step before a loss that is not finite."
    )


ADDING = (
    f"The task is the sum of two marked numbers among {TIME}, by the state after the last one; mean squared error, of "
    "which the answer 1 for every sequence has 0.17. The recurrent matrix is orthogonal times the radius, which is its "
    "spectral radius then."
)
DENSE = (
    "Trained and told as above. The factor multiplies all weights, which without it keep the variance "
    "(`pyleaky.init.gain`); cross-entropy, of which equal probabilities have 2.30."
)


def cells(runs):
    return [
        f"{count(runs, 'exploded')} / {len(runs)}",
        f"{count(runs, 'below')} / {len(runs)}",
        plus_minus([run["loss_after"] for run in runs]),
    ]


def table(results, task, name, about):
    """One network's; `name` is that of its scale."""
    rows = []
    for scale in SCALES[task]:
        for which in ACTIVATIONS:
            free, clipped = (results[task, scale, *which, clipping] for clipping in (False, True))
            starts = (f"{median(free, number):.2g}" for number in ("loss_before", "largest_norm"))
            rows.append([f"{scale:g}", nn.label(*which), *starts, *cells(free), *cells(clipped)])
    header = [name, "activation", "initial loss", "largest norm", "exploded", "ends below", "final loss"]
    return about, [*header, "clipped: exploded", "clipped: ends below", "clipped: final loss"], rows


# --------------------------------------------------------------------------------------------------------- pictures


def picture(results, task):
    """Every seed a line, from the largest weights; a cross where the next loss is not finite."""
    figure = Figure(figsize=(8, 6.5), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    for column, clipped in enumerate((False, True)):
        for which, colour in SHOWN.items():
            for run in results[task, SCALES[task][-1], *which, clipped]:
                for row, name in enumerate(("losses", "norms")):
                    values = np.array(run[name], float)
                    steps = np.arange(1, len(values) + 1)
                    (line,) = axes[row, column].loglog(steps, values, color=colour, linewidth=0.8)
                    if run["loss_after"] is None:
                        axes[row, column].plot(steps[-1], values[-1], "x", color=colour)
            line.set_label(nn.label(*which))
        axes[0, column].set_title("clipped" if clipped else "not clipped")
        axes[1, column].set_xlabel("step")
    axes[0, 0].set_ylabel("training loss")
    axes[1, 0].set_ylabel("norm of the gradients, before clipping")
    figure.legend(*axes[1, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def main(argv=None):
    study = Study("exploding_gradients", "Exploding gradients", seeds=10, argv=argv)
    names = ("task", "scale", "activation", "parameter", "clipped")
    keys = [
        (task, scale, *which, clipped)
        for task, scales in SCALES.items()
        for scale in scales
        for which in ACTIVATIONS
        for clipped in (False, True)
    ]
    settings = [{**dict(zip(names, key, strict=True)), "steps": 20 if study.short else 200} for key in keys]
    all_runs = study.run(measure, settings)
    results = dict(zip(keys, all_runs, strict=True))

    promise = promised(results, study.seeds)
    print(promise)
    about = " ".join([promise, protocol(settings[0]["steps"]), ADDING])
    tables = {
        "Recurrent network": table(results, "recurrent", "radius", about),
        f"Network of {HIDDEN + 1} dense layers": table(results, "deep", "factor", DENSE),
    }
    figures = {"": picture(results, "recurrent"), "-deep": picture(results, "deep")}
    numbers = []
    for setting, runs in zip(settings, all_runs, strict=True):
        # Without the curves, which are in the pictures.
        per_seed = [{name: run[name] for name in run if name not in ("losses", "norms")} for run in runs]
        after = interval([run["loss_after"] for run in runs])
        numbers.append({"setting": setting, "loss_after": after, "runs": per_seed})
    study.write(tables, figures, numbers)


if __name__ == "__main__":
    main()
