"""Dying ReLU: units that stop learning at high learning rates and under badly placed biases, for every activation.

Two sets of images, six conditions: a usual rate, a high one, a high and a very high one with clipped gradients, and
hidden biases that start clearly negative.  `pyleaky.diagnostics.UnitMonitor` counts over the training samples of each
epoch which units are never positive, which are dead (derivative 0 on every sample) and which saturated; a unit of
leaky_relu can be never positive, but is not dead.

    python examples/evidence/dying_relu.py
    python examples/evidence/dying_relu.py --short     # a sample in seconds
"""

from _study import Study, apart, column, draw_intervals, interval, plus_minus  # first: it sets NumPy's threads

# isort: split
import itertools
import math

import _data
import matplotlib.style
import nn
import numpy as np
from matplotlib.figure import Figure

from pyleaky.diagnostics import UnitMonitor
from pyleaky.training import clip_grad_norm

ACTIVATIONS = {
    nn.label(name, parameter): (name, parameter)
    for name, parameter in (
        ("relu", None),
        ("leaky_relu", 0.01),
        ("leaky_relu", 0.1),
        ("leaky_relu", 0.2),
        ("leaky_relu", 0.3),
        ("prelu", None),
        ("rrelu", None),
        ("elu", None),
        ("selu", None),
    )
}
DATA = {
    "digits": {"data": "digits", "held_out": 797, "sizes": [64, 100, 100, 100, 10]},
    "MNIST": {"data": "mnist", "held_out": 4000, "sizes": [784, 100, 100, 100, 10]},
}
CONDITIONS = {
    "rate 0.05": {"rate": 0.05, "bias": 0.0, "max_norm": None},
    "rate 0.3": {"rate": 0.3, "bias": 0.0, "max_norm": None},
    "rate 0.3, clipped": {"rate": 0.3, "bias": 0.0, "max_norm": 1.0},
    "rate 1, clipped": {"rate": 1.0, "bias": 0.0, "max_norm": 1.0},
    "biases -0.5": {"rate": 0.05, "bias": -0.5, "max_norm": None},
    "biases -1": {"rate": 0.05, "bias": -1.0, "max_norm": None},
}
BADLY_PLACED = "biases -0.5"  # whose curves are drawn
DRAWN = ("relu", "leaky_relu 0.01", "leaky_relu 0.1", "leaky_relu 0.2", "elu")
MOMENTUM = 0.9
BATCH = 50
VERDICTS = ("never_positive", "dead", "saturated")


# ---------------------------------------------------------------------------------------------------- measurement


def feed(monitor, network):
    for name, layer in network.activations.items():
        monitor.update(name, layer.x, activation=layer.name, param=layer.parameter)


def train_epoch(xp, network, optimizer, monitor, images, labels, max_norm, rng):
    """Whether the loss is still finite."""
    for chosen in nn.batches(len(labels), BATCH, rng, xp):
        loss, grad = nn.softmax_cross_entropy(network.forward(images[chosen], training=True), labels[chosen])
        feed(monitor, network)
        network.backward(grad)
        gradients = network.gradients
        if max_norm is not None:
            clip_grad_norm(list(gradients.values()), max_norm)
        optimizer.step(gradients)
    return math.isfinite(float(loss))


def shares(report):
    """Of all hidden units, those of each verdict, for each period that has ended."""
    units = sum(layer["units"] for layer in report["layers"])
    periods = list(zip(*(layer["periods"] for layer in report["layers"]), strict=True))[: report["period"]]
    return {name: [sum(layer[name] for layer in period) / units for period in periods] for name in VERDICTS}


def revived(report):
    """Of the units that were never positive in some period, the share that were positive in a later one."""
    last = [layer["units_of_last_period"] for layer in report["layers"]]
    came_back = np.concatenate([layer["revived"] for layer in last]).astype(bool)
    was_silent = came_back | np.concatenate([layer["never_positive"] for layer in last]).astype(bool)
    return float(came_back.sum() / was_silent.sum()) if was_silent.any() else None


def build(xp, sizes, activation, parameter, bias, rng):
    network = nn.multilayer_perceptron(xp, sizes, activation, parameter, rng=rng)
    for layer in network.layers[:-1]:
        if isinstance(layer, nn.Dense):
            layer.parameters["bias"] += bias
    return network


def train(xp, network, optimizer, monitor, images, labels, max_norm, epochs, rng):
    """Whether the loss stays finite; ends early where it does not.  Period 0 is the network before training."""
    network.forward(images)
    feed(monitor, network)
    monitor.end_period()
    for _ in range(epochs):
        if not train_epoch(xp, network, optimizer, monitor, images, labels, max_norm, rng):
            return False
        monitor.end_period()
    return True


def measure(xp, seed, activation, parameter, data, held_out, sizes, rate, bias, max_norm, epochs):
    parts = getattr(_data, data)(xp, seed, held_out)
    training = parts.train_images, parts.train_labels
    rng = np.random.default_rng(seed)
    network = build(xp, sizes, activation, parameter, bias, rng)
    optimizer = nn.SGD(network.parameters, rate, MOMENTUM)
    monitor = UnitMonitor()
    with np.errstate(all="ignore"):  # a high rate may diverge, which the result tells
        is_finite = train(xp, network, optimizer, monitor, *training, max_norm, epochs, rng)
        train_loss = float(nn.softmax_cross_entropy(network.forward(training[0]), training[1])[0])
        test_accuracy = nn.accuracy(network.forward(parts.test_images), parts.test_labels)
    report = monitor.to_dict()
    return {
        "diverged": not is_finite,
        "train_loss": train_loss if math.isfinite(train_loss) else None,
        "test_accuracy": test_accuracy,
        "revived": revived(report) if is_finite else None,
        "over_training": shares(report),
    }


# ---------------------------------------------------------------------------------------------------- report


def at_end(runs, verdict):
    return [None if run["diverged"] else run["over_training"][verdict][-1] for run in runs]


def diverged(runs):
    count = sum(column(runs, "diverged"))
    return f"{count} of {len(runs)}" if count else "-"


def median(losses):
    """Of the finite ones: some are so large that a mean would say nothing."""
    losses = [loss for loss in losses if loss is not None]
    return f"{np.median(losses):.3g}" if losses else "-"


def check(results):
    """Where more than half of relu's units are dead, in words."""
    dead = {key: 100 * interval(at_end(cells["relu"], "dead"))[0] for key, cells in results.items()}
    told = [f"{data} with {condition} ({dead[data, condition]:.1f}%)" for data, condition in dead]
    most = [name for name, share in zip(told, dead.values(), strict=True) if share > 50]
    return f"More than half of relu's units are dead at the end in {len(most)} settings: {', '.join(most) or 'none'}."


def stuck(results):
    """Which networks have hardly any dead units and have learned hardly anything all the same, in words."""
    found = [
        f"{activation} on {data} with {condition}"
        for (data, condition), cells in results.items()
        for activation, runs in cells.items()
        if not any(column(runs, "diverged"))
        and interval(at_end(runs, "dead"))[0] < 0.01
        and interval(column(runs, "test_accuracy"))[0] < 0.15
    ]
    return f"Fewer than 1% dead, no run diverged, and yet below 15% accuracy: {', '.join(found) or 'none'}."


def accuracy_table(results):
    rows = [
        [
            f"{data}, {condition}",
            plus_minus(at_end(cells["relu"], "dead"), 1, scale=100),
            *(plus_minus(column(runs, "test_accuracy"), 1, scale=100) for runs in cells.values()),
        ]
        for (data, condition), cells in results.items()
    ]
    text = (
        "relu's dead units at the end, in % of all hidden units (of the runs that did not diverge), and the test "
        f"accuracy of every activation, in % (of all runs; one that diverged stays at chance). {check(results)} "
        f"{stuck(results)}"
    )
    activations = next(iter(results.values()))
    return text, ["setting", "relu: dead, %", *activations], rows


def detail_table(cells):
    rows = [
        [
            activation,
            plus_minus([run["over_training"]["never_positive"][0] for run in runs], 1, scale=100),
            *(plus_minus(at_end(runs, verdict), 1, scale=100) for verdict in VERDICTS),
            plus_minus(column(runs, "revived"), 1, scale=100),
            diverged(runs),
            median(column(runs, "train_loss")),
            plus_minus(column(runs, "test_accuracy"), 1, scale=100),
        ]
        for activation, runs in cells.items()
    ]
    lower, higher = apart(cells, cells["relu"], "test_accuracy")
    never = {name: interval(at_end(runs, "never_positive"))[0] for name, runs in cells.items()}
    dead = {name: interval(at_end(runs, "dead"))[0] for name, runs in cells.items()}
    silent = [name for name in cells if never[name] >= 0.1 and dead[name] < 0.01]
    text = (
        "Units in % of all hidden units; revived: of those never positive in some epoch, or before training, the share "
        "that were positive in a later one; a run that diverged counts for its accuracy only. Saturated: |derivative| "
        f"below 0.01 on 99% of the samples. Test accuracy beside relu, seed by seed: higher for {higher}; lower for "
        f"{lower}. A tenth of the units or more never positive, but fewer than 1% dead: {', '.join(silent) or 'none'}."
    )
    header = ["activation", "never positive at first", "never positive", "dead", "saturated", "revived", "diverged"]
    return text, [*header, "training loss, median", "test accuracy, %"], rows


def mean_over_training(runs, verdict):
    """In %, of the runs that have come so far."""
    curves = [run["over_training"][verdict] for run in runs]
    return [100 * interval(values)[0] for values in itertools.zip_longest(*curves)]


def picture(results):
    figure = Figure(figsize=(8.5, 12), layout="constrained")
    rows = figure.subplots(3, 2)
    for (dead, silent, accuracy), data in zip(rows.T, DATA, strict=True):
        conditions = {condition: cells for (of_data, condition), cells in results.items() if of_data == data}
        for condition, cells in conditions.items():
            dead.plot(mean_over_training(cells["relu"], "dead"), label=condition)
        for activation in DRAWN:
            silent.plot(
                mean_over_training(conditions[BADLY_PLACED][activation], "never_positive"), "--", label=activation
            )
        columns = {
            condition: {activation: column(runs, "test_accuracy") for activation, runs in cells.items()}
            for condition, cells in conditions.items()
        }
        draw_intervals(accuracy, columns, scale=100)
        dead.set(title=f"{data}: relu", ylabel="dead units, %")
        silent.set(title=f"{data}: {BADLY_PLACED}", ylabel="units never positive, %")
        for axes in (dead, silent):
            axes.set(xlabel="epoch", ylim=(-3, 103))
        accuracy.set(title=data, xlabel="test accuracy, %")
    rows[1][1].legend(frameon=False, loc="upper right")
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def as_numbers(key, setting, runs):
    measured = {verdict: at_end(runs, verdict) for verdict in VERDICTS}
    measured |= {name: column(runs, name) for name in ("revived", "train_loss", "test_accuracy")}
    return {
        "data": key[0],
        "condition": key[1],
        "setting": setting,
        "diverged": column(runs, "diverged"),
        **{name: {"mean and half width": interval(values), "seeds": values} for name, values in measured.items()},
    }


def main(argv=None):
    study = Study("dying_relu", "Dying ReLU", seeds=10, argv=argv)
    shown = DRAWN if study.short else ACTIVATIONS
    conditions = list(CONDITIONS)[1:5] if study.short else CONDITIONS
    keys = [(data, condition, activation) for data in DATA for condition in conditions for activation in shown]
    settings = [
        {
            "activation": ACTIVATIONS[activation][0],
            "parameter": ACTIVATIONS[activation][1],
            **DATA[data],
            **CONDITIONS[condition],
            "epochs": 2 if study.short else 20,
        }
        for data, condition, activation in keys
    ]
    measured = study.run(measure, settings)
    results = {}
    for (data, condition, activation), runs in zip(keys, measured, strict=True):
        results.setdefault((data, condition), {})[activation] = runs
    print(check(results), stuck(results))
    tables = {"Accuracy and relu's dead units": accuracy_table(results)}
    tables |= {f"{data}, {condition}": detail_table(cells) for (data, condition), cells in results.items()}
    matplotlib.style.use("tableau-colorblind10")
    numbers = [as_numbers(*several) for several in zip(keys, settings, measured, strict=True)]
    study.write(tables, {"": picture(results)}, numbers)


if __name__ == "__main__":
    main()
