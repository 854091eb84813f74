"""PReLU: the slopes that two networks learn, layer by layer, beside the same networks with fixed slopes.

A convolutional network on MNIST with one slope for each channel, and a deep multilayer perceptron on scikit-learn's
digits with one for each unit.  Slopes start at 0.25 and are not decayed, as in He et al. 2015, whose table 1 has large
slopes in the first layer and smaller ones in the deeper layers; whether that is so here is measured.

    python examples/evidence/prelu_slopes.py
    python examples/evidence/prelu_slopes.py --short     # a sample in seconds
"""

from _study import Study, column, differences, interval, plus_minus  # first: it sets NumPy's threads

# isort: split
import itertools
import math

import _data
import matplotlib.style
import nn
import numpy as np
from matplotlib.figure import Figure

START = 0.25
FIXED = nn.label("leaky_relu", START)
ACTIVATIONS = {"prelu": ("prelu", START), FIXED: ("leaky_relu", START), "relu": ("relu", None)}
CONVOLUTIONAL, PERCEPTRON = "convolutional network, MNIST", "multilayer perceptron, digits"
DATA = {CONVOLUTIONAL: (_data.mnist, 4000), PERCEPTRON: (_data.digits, 797)}  # and how many images are held out
TESTED = 1000  # of these, at most
EPOCHS = {CONVOLUTIONAL: 12, PERCEPTRON: 30}
RATES = (0.01, 0.03)
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-3  # of the weights only
BATCH = 50


# ---------------------------------------------------------------------------------------------------- measurement


def convolutional_network(xp, activation, parameter, rng):
    """Four convolutions of 3 x 3 pixels, the first two of stride 2, and a hidden dense layer."""
    layers = [nn.Reshape(28, 28, 1)]
    for channels, stride in zip(itertools.pairwise((1, 8, 8, 16, 16)), (2, 2, 1, 1), strict=True):
        layers += nn.convolution(xp, (3, 3, *channels), activation, parameter, rng, stride)
    dense = nn.multilayer_perceptron(xp, (7 * 7 * 16, 64, 10), activation, parameter, rng=rng)
    return nn.Network([*layers, nn.Reshape(7 * 7 * 16), *dense.layers])


def perceptron(xp, activation, parameter, rng):
    """Eight hidden layers."""
    return nn.multilayer_perceptron(xp, (64, *[64] * 8, 10), activation, parameter, rng=rng)


NETWORKS = {CONVOLUTIONAL: convolutional_network, PERCEPTRON: perceptron}


def slopes_by_layer(network):
    """For each layer the mean and the standard deviation of its slopes, and the share that are below 0."""
    found = []
    for layer in network.activations.values():
        slopes = layer.parameters["slope"]
        found.append([float(slopes.mean()), float(slopes.std()), float((slopes < 0).mean())])
    return found


def train_epoch(xp, network, optimizer, images, labels, rng):
    for chosen in nn.batches(len(labels), BATCH, rng, xp):
        _, grad = nn.softmax_cross_entropy(network.forward(images[chosen], training=True), labels[chosen])
        network.backward(grad)
        optimizer.step(network.gradients)


def measure(xp, seed, network, activation, parameter, rate, epochs, images):
    load, held_out = DATA[network]
    parts = load(xp, seed, held_out)
    training = parts.train_images[:images], parts.train_labels[:images]
    rng = np.random.default_rng(seed)
    trained = NETWORKS[network](xp, activation, parameter, rng)
    optimizer = nn.SGD(trained.parameters, rate, MOMENTUM, WEIGHT_DECAY)
    is_learned = activation == "prelu"
    history = [slopes_by_layer(trained)] if is_learned else []
    for _ in range(epochs):
        train_epoch(xp, trained, optimizer, *training, rng)
        if is_learned:
            history.append(slopes_by_layer(trained))
    loss = float(nn.softmax_cross_entropy(trained.forward(training[0]), training[1])[0])
    return {
        "train_loss": loss if math.isfinite(loss) else None,
        "test_accuracy": nn.accuracy(trained.forward(parts.test_images[:TESTED]), parts.test_labels[:TESTED]),
        "slopes": history,  # epochs, layers, (mean, standard deviation, share below 0)
    }


# ---------------------------------------------------------------------------------------------------- report


def last_slopes(runs):
    """(seeds, layers, 3) at the end of training."""
    return np.array([run["slopes"][-1] for run in runs])


def layer_names(network, count):
    """The activations' layers, first to last."""
    if network == PERCEPTRON:
        return [f"hidden {i + 1}" for i in range(count)]
    return [*(f"convolution {i + 1}" for i in range(count - 1)), "hidden"]


def comparison(values):
    """The mean difference and whether its interval leaves out 0, in words."""
    mean, half = interval(values)
    verdict = "above 0" if mean > half else "below 0" if mean < -half else "not clear of 0"
    return f"{mean:.3f} ± {half:.3f}, {verdict}"


def slope_table(network, runs):
    means, spreads, negative = np.moveaxis(last_slopes(runs), 2, 0)
    names = layer_names(network, means.shape[1])
    order = np.argsort(-means.mean(axis=0))
    text = (
        f"Slopes at the end of training, all from {START:g}; differences are taken seed by seed. The first layer's "
        f"mean minus that of the later layers: {comparison(means[:, 0] - means[:, 1:].mean(axis=1))}. The last "
        f"layer's minus the first's: {comparison(means[:, -1] - means[:, 0])}. Layers by their mean, largest first: "
        f"{', '.join(names[layer] for layer in order)}."
    )
    rows = [
        [
            name,
            plus_minus(means[:, layer], 3),
            plus_minus(spreads[:, layer], 3),
            plus_minus(negative[:, layer], 1, scale=100),
        ]
        for layer, name in enumerate(names)
    ]
    return text, ["layer", "mean slope", "standard deviation in the layer", "below 0, %"], rows


def accuracy_table(results):
    rows, learned = [], []
    for (network, rate, activation), runs in results.items():
        fixed, relu = results[network, rate, FIXED], results[network, rate, "relu"]
        if activation == "prelu":
            learned.append(interval(differences(runs, fixed)))
        rows.append(
            [
                network,
                f"{rate:g}",
                activation,
                plus_minus(column(runs, "train_loss"), 4),
                plus_minus(column(runs, "test_accuracy"), scale=100),
                "-" if runs is fixed else plus_minus(differences(runs, fixed), scale=100),
                "-" if runs is relu else plus_minus(differences(runs, relu), scale=100),
            ]
        )
    text = (
        "Test accuracy in %, differences in points, seed by seed. Beside the fixed slope that they start from, "
        f"learned slopes are better by more than the interval in {sum(mean > half for mean, half in learned)} of "
        f"{len(learned)} settings, and worse in {sum(mean < -half for mean, half in learned)}."
    )
    header = ["network", "rate", "activation", "training loss", "test accuracy, %", f"minus {FIXED}", "minus relu"]
    return text, header, rows


def draw_training(axes, network, rate, runs):
    """The mean slope of each layer, dark to light from the first to the last."""
    means = np.mean([run["slopes"] for run in runs], axis=0)[:, :, 0]
    names = layer_names(network, means.shape[1])
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    for layer, (name, colour) in enumerate(zip(names, colours, strict=True)):
        axes.plot(means[:, layer], color=colour, label=name)
    axes.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    axes.set(xlabel="epoch", ylabel="mean slope", title=f"{network}, rate {rate:g}")


def draw_end(axes, network, by_rate):
    """Each layer's mean slope with its interval, and in grey the spread of the slopes in the layer."""
    for number, (rate, runs) in enumerate(by_rate.items()):
        means, spreads, _ = np.moveaxis(last_slopes(runs), 2, 0)
        middles, halves = np.transpose([interval(values) for values in means.T])
        places = np.arange(len(middles)) + 0.3 * (number - (len(by_rate) - 1) / 2)
        label = "± 1 s.d. in the layer" if number == 0 else None
        axes.errorbar(places, middles, spreads.mean(axis=0), fmt="none", elinewidth=6, ecolor="lightgrey", label=label)
        axes.errorbar(places, middles, yerr=halves, fmt="o", markersize=5, label=f"rate {rate:g}")
    names = layer_names(network, len(middles))
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], rotation=90)
    axes.axhline(START, color="black", linewidth=1, linestyle=":", label="at first")
    axes.set(ylabel="slope", title="at the end of training")
    axes.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.35))


def picture(results, rates):
    figure = Figure(figsize=(8.5, 8), layout="constrained")
    for (over_training, at_end), network in zip(figure.subplots(2, 2), NETWORKS, strict=True):
        by_rate = {rate: results[network, rate, "prelu"] for rate in rates}
        draw_training(over_training, network, rates[-1], by_rate[rates[-1]])
        draw_end(at_end, network, by_rate)
    return figure


def as_numbers(setting, runs):
    measured = {name: column(runs, name) for name in ("train_loss", "test_accuracy")}
    numbers = {name: {"mean and half width": interval(values), "seeds": values} for name, values in measured.items()}
    if setting["activation"] == "prelu":
        numbers["mean slope of each layer"] = {
            "mean and half width": [interval(values) for values in last_slopes(runs)[:, :, 0].T],
            "seeds": last_slopes(runs)[:, :, 0].tolist(),
            "over training": np.mean([run["slopes"] for run in runs], axis=0)[:, :, 0].tolist(),
        }
    return {"setting": setting, **numbers}


def main(argv=None):
    study = Study("prelu_slopes", "PReLU: learned slopes", seeds=10, argv=argv)
    rates = RATES[:1] if study.short else RATES
    keys = [(network, rate, activation) for network in NETWORKS for rate in rates for activation in ACTIVATIONS]
    settings = [
        {
            "network": network,
            "activation": ACTIVATIONS[activation][0],
            "parameter": ACTIVATIONS[activation][1],
            "rate": rate,
            "epochs": 2 if study.short else EPOCHS[network],
            "images": 200 if study.short else 1000,
        }
        for network, rate, activation in keys
    ]
    measured = study.run(measure, settings)
    results = dict(zip(keys, measured, strict=True))
    tables = {
        f"{network}, rate {rate:g}: slopes": slope_table(network, results[network, rate, "prelu"])
        for network in NETWORKS
        for rate in rates
    }
    tables["Accuracy"] = accuracy_table(results)
    for heading, (text, *_) in tables.items():
        print(f"{heading}: {text}")
    matplotlib.style.use("tableau-colorblind10")
    numbers = [as_numbers(*both) for both in zip(settings, measured, strict=True)]
    study.write(tables, {"": picture(results, rates)}, numbers)


if __name__ == "__main__":
    main()
