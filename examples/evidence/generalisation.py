"""Training time, generalisation and accuracy of every activation, with and without dropout and an L2 penalty.

Two tasks: few images of MNIST, a fifth of their labels drawn at random, for a network that can learn them by heart,
and scikit-learn's digits with more images, right labels and a narrow network.  Every seed draws training, validation
and test images anew.  Every activation is trained with every rate of one grid, and for each seed the rate counts that
classifies most of the validation images.  All activations of a seed are trained one after the other in one process, so
that whatever else the machine does slows all of them.

    python examples/evidence/generalisation.py
    python examples/evidence/generalisation.py --short    # a sample in seconds
"""

from _study import Study, apart, column, differences, draw_intervals, interval, plus_minus  # first: NumPy's threads

# isort: split
import math
import time
from collections import Counter

import _data
import dying_relu
import matplotlib.style
import nn
import numpy as np
from matplotlib.figure import Figure

# celu with an alpha of 1 would be elu.
ACTIVATIONS = dying_relu.ACTIVATIONS | {
    "celu 0.5": ("celu", 0.5),
    "tanh": ("tanh", None),
    "sigmoid": ("sigmoid", None),
}
RATES = (0.02, 0.05, 0.12)
MOMENTUM = 0.9
BATCH = 50
TARGET = 0.2  # the training loss whose time is taken
CURVES = 10  # points of the test loss over training

NOISY, CLEAN = "MNIST, 300 images, 20% random labels", "digits, 500 images"
TASKS = {
    NOISY: {"data": "mnist", "held_out": 4700, "evaluated": 1000, "random_labels": 0.2, "sizes": [784, 128, 128, 10]},
    CLEAN: {"data": "digits", "held_out": 1297, "evaluated": 648, "random_labels": 0.0, "sizes": [64, 64, 64, 10]},
}
EPOCHS = {NOISY: 50, CLEAN: 30}
DROPOUT = 0.5
L2 = {NOISY: 1e-2, CLEAN: 1e-3}
VARIANTS = {"neither": (False, False), "dropout": (True, False), "L2": (False, True), "both": (True, True)}
DRAWN = ("relu", "leaky_relu 0.2", "elu", "tanh")  # whose curves are drawn


# ---------------------------------------------------------------------------------------------------- measurement


def draw_images(xp, seed, data, held_out, evaluated, random_labels):
    """(images, labels) for training, validation and test; only labels of the training part are drawn at random."""
    parts = getattr(_data, data)(xp, seed, held_out)
    rng = np.random.default_rng((seed, 1))  # not the numbers that the weights get
    count = len(parts.train_labels)
    replaced, by = rng.random(count) < random_labels, rng.integers(10, size=count)
    labels = xp.where(xp.asarray(replaced), xp.asarray(by), parts.train_labels)
    return (
        (parts.train_images, labels),
        (parts.test_images[:evaluated], parts.test_labels[:evaluated]),
        (parts.test_images[evaluated : 2 * evaluated], parts.test_labels[evaluated : 2 * evaluated]),
    )


def loss_and_accuracy(network, images, labels):
    """Without dropout, and with rrelu's mean slope; no loss where it is not finite."""
    logits = network.forward(images)
    loss = float(nn.softmax_cross_entropy(logits, labels)[0])
    return loss if math.isfinite(loss) else None, nn.accuracy(logits, labels)


def train_epoch(xp, network, optimizer, images, labels, rng):
    """The CPU seconds that it took."""
    start = time.process_time()
    for chosen in nn.batches(len(labels), BATCH, rng, xp):
        loss, grad = nn.softmax_cross_entropy(network.forward(images[chosen], training=True), labels[chosen])
        network.backward(grad)
        optimizer.step(network.gradients)
    float(loss)  # waits for a GPU
    return time.process_time() - start


def train(xp, seed, parts, activation, rate, *, sizes, epochs, dropout, weight_decay):
    """A run ends early where its loss is no longer finite."""
    training, validation, test = parts
    rng = np.random.default_rng(seed)
    name, parameter = ACTIVATIONS[activation]
    network = nn.multilayer_perceptron(xp, sizes, name, parameter, rng=rng, dropout=dropout)
    optimizer = nn.SGD(network.parameters, rate, MOMENTUM, weight_decay)
    seconds, epochs_to_target, seconds_to_target, train_losses, test_losses = 0.0, None, None, [], []
    for epoch in range(1, epochs + 1):
        seconds += train_epoch(xp, network, optimizer, *training, rng)
        is_point = epoch % max(epochs // CURVES, 1) == 0
        if epochs_to_target is not None and not is_point:
            continue
        train_loss, train_accuracy = loss_and_accuracy(network, *training)
        if train_loss is None:
            break
        if epochs_to_target is None and train_loss <= TARGET:
            epochs_to_target, seconds_to_target = epoch, round(seconds, 4)
        if is_point:
            train_losses.append(train_loss)
            test_losses.append(loss_and_accuracy(network, *test)[0])
    test_loss, test_accuracy = loss_and_accuracy(network, *test)
    return {
        "rate": rate,
        "validation_accuracy": loss_and_accuracy(network, *validation)[1],
        "epochs_to_target": epochs_to_target,
        "seconds_to_target": seconds_to_target,
        "milliseconds_per_epoch": round(1000 * seconds / epoch, 3),
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "train_losses": train_losses,
        "test_losses": test_losses,
    }


def measure(xp, seed, activations, rates, sizes, epochs, dropout, weight_decay, **drawn):
    """For each activation, one run for each rate."""
    parts = draw_images(xp, seed, **drawn)
    options = {"sizes": sizes, "epochs": epochs, "dropout": dropout, "weight_decay": weight_decay}
    with np.errstate(all="ignore"):  # a high rate may diverge, which the result tells
        return {
            activation: [train(xp, seed, parts, activation, rate, **options) for rate in rates]
            for activation in activations
        }


# ---------------------------------------------------------------------------------------------------- report


def summarise(runs_by_rate):
    """The run whose rate counts; ties go to the lowest rate.  And what needs more than one of its numbers."""
    run = max(runs_by_rate, key=lambda run: run["validation_accuracy"])
    reached = [other["epochs_to_target"] for other in runs_by_rate if other["epochs_to_target"] is not None]
    losses = [loss for loss in run["test_losses"] if loss is not None]
    has_losses = bool(losses) and run["test_loss"] is not None
    return run | {
        "fewest_epochs_to_target": min(reached, default=None),
        "least_test_loss": min(losses) if has_losses else None,
        "rise_of_test_loss": run["test_loss"] - min(losses) if has_losses else None,
        "loss_gap": run["test_loss"] - run["train_loss"] if has_losses else None,
        "accuracy_gap": run["train_accuracy"] - run["test_accuracy"],
    }


def reached(runs, name, digits=1):
    """The mean over the seeds that reach the target, and how many do where some do not."""
    values = [value for value in column(runs, name) if value is not None]
    return plus_minus(values, digits) + (f" ({len(values)} of {len(runs)})" if len(values) < len(runs) else "")


def overfitting(runs):
    """In words: whether the training loss falls to almost nothing while the test loss rises."""
    rise, half = interval(column(runs, "rise_of_test_loss"))
    overfits = rise > half and interval(column(runs, "train_loss"))[0] < 0.05
    return (
        f"relu: training loss {plus_minus(column(runs, 'train_loss'), 4)}, test loss from "
        f"{plus_minus(column(runs, 'least_test_loss'), 3)} to {plus_minus(column(runs, 'test_loss'), 3)}, a rise of "
        f"{rise:.3f} ± {half:.3f}. Training loss below 0.05 while the test loss rises: {'yes' if overfits else 'no'}."
    )


def detail_table(cells):
    """Everything about one task and variant."""
    fewer, more = apart(cells, cells["relu"], "fewest_epochs_to_target")
    lower, higher = apart(cells, cells["relu"], "test_accuracy")
    rise = {activation: interval(column(runs, "rise_of_test_loss")) for activation, runs in cells.items()}
    rising = [activation for activation, (mean, half) in rise.items() if mean > half]
    text = (
        f"Epochs and CPU seconds to a training loss of {TARGET:g} (how many seeds reach it, where not all do), at the "
        "rate that the validation images choose (how many seeds choose which), and the fewest epochs that any rate of "
        "the grid needs. Losses at the end; the least test loss is that of the best moment. The gap is training minus "
        f"test accuracy. Beside relu, seed by seed, fewer epochs at the fastest rate, where it is reached: {fewer}; "
        f"more: {more}. Higher test accuracy: {higher}; lower: {lower}. The test loss rises from its least by more "
        f"than the interval for {len(rising)} of {len(cells)} activations. {overfitting(cells['relu'])}"
    )
    header = ["activation", "rates chosen", "epochs", "seconds", "fewest epochs", "ms per epoch", "training loss"]
    header += ["least test loss", "test loss", "gap, points", "test accuracy, %"]
    rows = [
        [
            activation,
            ", ".join(f"{rate:g}: {count}" for rate, count in sorted(Counter(column(runs, "rate")).items())),
            reached(runs, "epochs_to_target"),
            reached(runs, "seconds_to_target", 3),
            reached(runs, "fewest_epochs_to_target"),
            plus_minus(column(runs, "milliseconds_per_epoch"), 1),
            plus_minus(column(runs, "train_loss"), 4),
            plus_minus(column(runs, "least_test_loss"), 3),
            plus_minus(column(runs, "test_loss"), 3),
            plus_minus(column(runs, "accuracy_gap"), scale=100),
            plus_minus(column(runs, "test_accuracy"), scale=100),
        ]
        for activation, runs in cells.items()
    ]
    return text, header, rows


def difference_table(task, results):
    """Test accuracy minus relu's, and what dropout and L2 change for each activation."""
    by_variant = {variant: results[task, variant] for variant in VARIANTS if (task, variant) in results}
    plain = by_variant["neither"]
    rows = [
        [
            activation,
            *(
                "-" if activation == "relu" else plus_minus(differences(cells[activation], cells["relu"]), scale=100)
                for cells in by_variant.values()
            ),
            *(
                plus_minus(differences(cells[activation], plain[activation]), scale=100)
                for variant, cells in by_variant.items()
                if variant != "neither"
            ),
        ]
        for activation in plain
    ]
    count = (len(plain) - 1) * len(by_variant)
    text = (
        "Test accuracy in points, differences taken seed by seed: beside relu under the same variant, then beside the "
        f"same activation without dropout and L2. {count} intervals are beside relu; about one in 20 would leave out 0 "
        "by chance if there were no difference at all."
    )
    header = ["activation", *(f"minus relu: {variant}" for variant in by_variant)]
    return text, header + [f"{variant} minus neither" for variant in by_variant if variant != "neither"], rows


def draw_curves(axes, cells, title):
    for number, activation in enumerate(DRAWN):
        runs = cells[activation]
        for name, style in (("test_losses", "-"), ("train_losses", ":")):
            points = [interval(values)[0] for values in zip(*(run[name] for run in runs), strict=False)]
            share = np.arange(1, len(points) + 1) / len(points)
            axes.plot(share, points, style, color=f"C{number}", label=activation if style == "-" else None)
    axes.set(title=title, ylim=(0, 2), xlabel="share of the training", ylabel="loss: test (solid), training (dotted)")


def picture(results):
    figure = Figure(figsize=(8.5, 12), layout="constrained")
    (left, right), *rows = figure.subplots(3, 2)
    draw_curves(left, results[NOISY, "neither"], "MNIST: neither dropout nor L2")
    draw_curves(right, results[NOISY, "both"], "MNIST: both")
    right.legend(frameon=False)
    measured = (("test_accuracy", 100, "test accuracy, %"), ("fewest_epochs_to_target", 1, "epochs, fastest rate"))
    for row, (name, scale, label) in zip(rows, measured, strict=True):
        for axes, task in zip(row, TASKS, strict=True):
            columns = {
                variant: {activation: column(runs, name) for activation, runs in cells.items()}
                for (of_task, variant), cells in results.items()
                if of_task == task
            }
            draw_intervals(axes, columns, scale)
            axes.set(title=task.split(",")[0], xlabel=label)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def as_numbers(setting, task, variant, cells):
    names = [name for name in cells["relu"][0] if not name.endswith("_losses")]
    measured = {
        activation: {
            name: {"mean and half width": interval(column(runs, name)), "seeds": column(runs, name)} for name in names
        }
        for activation, runs in cells.items()
    }
    return {"task": task, "variant": variant, "setting": setting, "activations": measured}


def setting_of(task, variant, short):
    has_dropout, has_l2 = VARIANTS[variant]
    setting = {
        **TASKS[task],
        "activations": list(ACTIVATIONS),
        "rates": RATES,
        "epochs": EPOCHS[task],
        "dropout": DROPOUT if has_dropout else 0.0,
        "weight_decay": L2[task] if has_l2 else 0.0,
    }
    return setting | {"activations": DRAWN, "rates": RATES[1:], "epochs": 2, "evaluated": 200} if short else setting


def main(argv=None):
    study = Study("generalisation", "Training time, generalisation, accuracy", seeds=10, argv=argv)
    keys = [(task, variant) for task in TASKS for variant in VARIANTS]
    settings = [setting_of(task, variant, study.short) for task, variant in keys]
    measured = study.run(measure, settings)
    results = {
        key: {name: [summarise(run[name]) for run in runs] for name in setting["activations"]}
        for key, setting, runs in zip(keys, settings, measured, strict=True)
    }
    print(f"{NOISY}, neither dropout nor L2, {overfitting(results[NOISY, 'neither']['relu'])}")
    tables = {f"{task}: differences of the test accuracy": difference_table(task, results) for task in TASKS}
    tables |= {f"{task}: {variant}": detail_table(results[task, variant]) for task, variant in keys}
    matplotlib.style.use("tableau-colorblind10")
    numbers = [as_numbers(setting, *key, results[key]) for key, setting in zip(keys, settings, strict=True)]
    study.write(tables, {"": picture(results)}, numbers)


if __name__ == "__main__":
    main()
