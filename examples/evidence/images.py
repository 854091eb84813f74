"""Image classification: a small convolutional network on 5,000 images of MNIST, one activation against another.

Two convolutions of stride 2 and a hidden dense layer, each with the activation behind it, trained with Adam on 4,000
images, shifted by up to 2 pixels, and tested on 1,000.  Data, rule of initialisation (LeCun's times the activation's
gain), rates and length of training are the same for all; every activation runs at each of two learning rates, and none
is picked for it.

    python examples/evidence/images.py
    python examples/evidence/images.py --short     # a sample in seconds
"""

from _study import Study, interval, plus_minus  # first: it limits the threads of NumPy, and knows where nn is

# isort: split
import math

import matplotlib.style
import nn
import numpy as np
from _data import mnist
from matplotlib.figure import Figure

ACTIVATIONS = (
    ("relu", None),
    ("leaky_relu", 0.01),
    ("leaky_relu", 0.1),
    ("leaky_relu", 0.2),
    ("prelu", None),
    ("elu", None),
)
RATES = (1e-3, 3e-3)
RATE = 3e-3  # the first table and the picture are of the higher rate: the epochs are few for the lower one
BATCH = 50
KERNEL = 5
SHIFT = 2  # pixels, at most; the digits have a margin of 4
TARGET = 0.95
SHOWN = ("leaky_relu", 0.1)  # whose mistakes are shown


def classifier(xp, activation, parameter, rng):
    chosen = (activation, parameter, rng)
    return nn.Network(
        [
            nn.Reshape(28, 28, 1),
            *nn.convolution(xp, (KERNEL, KERNEL, 1, 16), *chosen, stride=2),
            *nn.convolution(xp, (KERNEL, KERNEL, 16, 32), *chosen, stride=2),
            nn.Reshape(7 * 7 * 32),
            *nn.multilayer_perceptron(xp, (7 * 7 * 32, 64, 10), activation, parameter, rng=rng).layers,
        ]
    )


def measure(xp, seed, activation, parameter, rate, epochs, images):
    """Train on the first `images`; losses and test accuracies epoch by epoch, and the mistakes of the last one."""
    data = mnist(xp, seed)
    images_2d = data.train_images.reshape(-1, 28, 28)
    rng = np.random.default_rng(seed)
    network = classifier(xp, activation, parameter, rng)
    optimiser = nn.Adam(network.parameters)
    losses, accuracies = [], []
    for epoch in range(epochs):
        total = 0.0
        for chosen in nn.batches(images, BATCH, rng, xp):
            shifted = xp.roll(images_2d[chosen], tuple(rng.integers(-SHIFT, SHIFT + 1, 2)), axis=(1, 2))
            logits = network.forward(shifted, training=True)
            loss, grad = nn.softmax_cross_entropy(logits, data.train_labels[chosen])
            network.backward(grad)
            optimiser.step(network.gradients, rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs)))
            total += float(loss) * len(chosen)
        losses.append(total / images)
        logits = network.forward(data.test_images)
        accuracies.append(nn.accuracy(logits, data.test_labels))
    predicted = logits.argmax(axis=1)
    wrong = xp.flatnonzero(predicted != data.test_labels)
    return {
        "train_loss": losses,
        "test_accuracy": accuracies,
        "test_loss": float(nn.softmax_cross_entropy(logits, data.test_labels)[0]),
        "train_accuracy": nn.accuracy(network.forward(data.train_images[:images]), data.train_labels[:images]),
        "mistakes": [[int(i), int(predicted[i])] for i in wrong],  # index of the test image, predicted digit
    }


def last(runs, name="test_accuracy"):
    return [run[name][-1] for run in runs]


def first_epoch(accuracies):
    """The first epoch, from 1, that reaches the target; None if none does."""
    return next((epoch for epoch, value in enumerate(accuracies, start=1) if value >= TARGET), None)


def differences(runs, reference):
    """Of the accuracies, seed by seed: the same seed has the same split, so the split's part falls out."""
    return [a - b for a, b in zip(last(runs), last(reference), strict=True)]


def comparison(results):
    """The table at RATE, with what it says in words."""
    relu = results["relu", None, RATE]
    rows, apart, means = [], [], {}
    for activation, parameter in ACTIVATIONS:
        runs = results[activation, parameter, RATE]
        name = nn.label(activation, parameter)
        means[name] = interval(last(runs))[0]
        mean, half = interval(differences(runs, relu))
        if abs(mean) > half:
            apart.append(f"{name} ({100 * mean:+.2f} points)")
        rows.append(
            [
                name,
                plus_minus(last(runs), scale=100),
                "-" if runs is relu else plus_minus(differences(runs, relu), scale=100),
                plus_minus([first_epoch(run["test_accuracy"]) for run in runs], 1),
                plus_minus([run["train_loss"][0] for run in runs], 3),
                plus_minus([run["train_accuracy"] - run["test_accuracy"][-1] for run in runs], scale=100),
            ]
        )
    best, worst = max(means, key=means.get), min(means, key=means.get)
    accuracies = [accuracy for which in ACTIVATIONS for accuracy in last(results[*which, RATE])]
    text = (
        f"After the last epoch, at a rate of {RATE:g}. The means lie between {100 * means[worst]:.2f}% ({worst}) and "
        f"{100 * means[best]:.2f}% ({best}). The target of {100 * TARGET:.0f}% is reached by "
        f"{sum(mean >= TARGET for mean in means.values())} of {len(means)} means and by "
        f"{sum(accuracy >= TARGET for accuracy in accuracies)} of {len(accuracies)} runs, of which the lowest has "
        f"{100 * min(accuracies):.2f}%. The difference from relu is taken seed by seed; its interval leaves out 0 for "
        f"{', '.join(apart) or 'none'}. The gap is training accuracy minus test accuracy."
    )
    header = ["activation", "test accuracy, %", "minus relu, points", f"epochs to {100 * TARGET:.0f}%"]
    return text, [*header, "training loss of epoch 1", "gap, points"], rows


def rate_table(results, rates):
    """Every activation at every rate: whether the order of the activations depends on the rate."""
    rows = [
        [nn.label(*which), *(plus_minus(last(results[*which, rate]), scale=100) for rate in rates)]
        for which in ACTIVATIONS
    ]
    best = [max(ACTIVATIONS, key=lambda which: interval(last(results[*which, rate]))[0]) for rate in rates]
    told = ", ".join(f"{nn.label(*which)} at {rate:g}" for which, rate in zip(best, rates, strict=True))
    return (
        f"Test accuracy in %. The highest mean has {told}.",
        ["activation", *(f"rate {rate:g}" for rate in rates)],
        rows,
    )


def picture(results):
    figure = Figure(figsize=(8, 7), layout="constrained")
    curves, mistakes = figure.subfigures(2, 1, height_ratios=(3, 2))
    left, right = curves.subplots(1, 2)
    for activation, parameter in ACTIVATIONS:
        runs = results[activation, parameter, RATE]
        epochs = np.arange(1, len(runs[0]["train_loss"]) + 1)
        style = "--" if activation == "leaky_relu" else "-"
        loss, accuracy = (np.mean([run[name] for run in runs], axis=0) for name in ("train_loss", "test_accuracy"))
        left.semilogy(epochs, loss, style, label=nn.label(activation, parameter))
        right.semilogy(epochs, 100 - 100 * accuracy, style)
    left.set(xlabel="epoch", ylabel="cross-entropy", title="Training loss")
    right.set(xlabel="epoch", ylabel="error, %", title="Test error")
    right.axhline(100 - 100 * TARGET, color="black", linestyle=":", linewidth=1)
    for axis in (left.yaxis, right.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    left.legend(frameon=False)
    show_mistakes(mistakes, results[*SHOWN, RATE][0]["mistakes"])
    return figure


def show_mistakes(figure, mistakes):
    """The first mistakes of seed 0, true digit and predicted one."""
    data = mnist(np, seed=0)
    figure.suptitle(f"Mistakes of {nn.label(*SHOWN)}, seed 0: true digit → predicted one")
    for axes, (index, predicted) in zip(figure.subplots(2, 9).flat, mistakes, strict=False):
        axes.imshow((data.test_images[index] + data.mean).reshape(28, 28), cmap="gray_r")
        axes.set_title(f"{data.test_labels[index]} → {predicted}")
    for axes in figure.axes:
        axes.axis("off")


def main(argv=None):
    study = Study("images", "Image classification", seeds=3, argv=argv)
    rates = (RATE,) if study.short else RATES
    length = {"epochs": 2, "images": 500} if study.short else {"epochs": 12, "images": 4000}
    keys = [(*which, rate) for which in ACTIVATIONS for rate in rates]
    settings = [{"activation": name, "parameter": number, "rate": rate, **length} for name, number, rate in keys]
    all_runs = study.run(measure, settings)
    results = dict(zip(keys, all_runs, strict=True))
    tables = {"Activations": comparison(results), "Learning rates": rate_table(results, rates)}
    print(tables["Activations"][0])
    with matplotlib.style.context("tableau-colorblind10"):
        figure = picture(results)
    numbers = [
        {"setting": setting, "test_accuracy": interval(last(runs)), "runs": runs}
        for setting, runs in zip(settings, all_runs, strict=True)
    ]
    study.write(tables, {"": figure}, numbers)


if __name__ == "__main__":
    main()
