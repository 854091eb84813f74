"""Initialisation and vanishing gradients: what the variance of the initial weights does to a network of 30 layers.

Three measurements on scikit-learn's digits: the variance of the activations and the norm of the gradients, layer by
layer, before any training; training of the same network from two initialisations, after He et al. 2015, figure 3; and
mean and variance of the activations through 50 layers, which selu should hold near 0 and 1 (Klambauer et al. 2017).

    python examples/evidence/initialisation.py
    python examples/evidence/initialisation.py --short     # a sample in seconds
"""

from _study import Study, interval, plus_minus  # first: it limits the threads of NumPy, and knows where nn is

# isort: split
import math

import matplotlib.style
import nn
import numpy as np
from _data import digits
from matplotlib.figure import Figure

from pyleaky import init
from pyleaky.diagnostics import GradientMonitor

PROPAGATED = (
    ("sigmoid", None),
    ("tanh", None),
    ("relu", None),
    ("leaky_relu", 0.01),
    ("leaky_relu", 0.2),
    ("elu", None),
)
TRAINED = (("sigmoid", None), ("tanh", None), ("relu", None), ("leaky_relu", 0.2), ("elu", None))
NORMALISED = (("selu", None), ("relu", None), ("leaky_relu", 0.2), ("elu", None), ("tanh", None))
RATES = (0.003, 0.01, 0.03)
CHANCE = 0.1
VANISHED = 1e-3  # a norm of the gradient: at a rate of 0.01 a step is a millionth of the weights, whose norm is some 16
BATCH = 64


def draw(shape, activation, parameter, scheme, rng):
    """He's rule with the slope is the own gain of relu and leaky_relu: 2 / (1 + slope^2)."""
    match scheme:
        case "LeCun":
            return init.lecun_normal(shape, rng=rng)
        case "Xavier":
            return init.xavier_normal(shape, rng=rng)
        case "He":
            return init.he_normal(shape, rng=rng)
        case "own gain" if activation == "leaky_relu":
            return init.he_normal(shape, negative_slope=parameter, rng=rng)
    return init.lecun_normal(shape, rng=rng) * init.gain(activation, parameter)


def network_and_data(xp, seed, activation, parameter, scheme, hidden, width):
    """A network with `hidden` layers initialised by the scheme, and digits whose pixels have variance 1 together.

    The last layer, without an activation, starts alike in all.
    """
    data = digits(xp, seed)
    scale = data.train_images.std()
    data.train_images /= scale
    data.test_images /= scale
    rng = np.random.default_rng(seed)
    network = nn.multilayer_perceptron(xp, (64, *[width] * hidden, 10), activation, parameter, rng=rng)
    for layer in network.layers[:-1]:
        if isinstance(layer, nn.Dense):
            weight = layer.parameters["weight"]
            weight[:] = xp.asarray(draw(weight.shape, activation, parameter, scheme, rng))
    return network, data, rng


def propagate(xp, seed, activation, parameter, scheme, hidden, width, samples):
    """For each hidden layer before training: mean and variance of its activations, norm of its weights' gradient."""
    network, data, _ = network_and_data(xp, seed, activation, parameter, scheme, hidden, width)
    logits = network.forward(data.train_images[:samples], training=True)
    network.backward(nn.softmax_cross_entropy(logits, data.train_labels[:samples])[1])
    monitor = GradientMonitor()
    monitor.update({name: array for name, array in network.gradients.items() if name.endswith("weight")})
    outputs = [layer.y for layer in network.activations.values()]
    return {
        "mean": [float(y.mean()) for y in outputs],
        "variance": [float(y.var()) for y in outputs],
        "variance_of_images": [float(y.var(axis=0).mean()) for y in outputs],
        "gradient_norm": [told["gradient"][0] for told in monitor.to_dict()["parameters"][:hidden]],
    }


def train(xp, seed, activation, parameter, scheme, rate, hidden, width, epochs):
    """SGD with momentum 0.9, its rate falling in a line to 0; the test accuracy after each epoch.

    A network whose loss is no longer finite stays where it is.
    """
    network, data, rng = network_and_data(xp, seed, activation, parameter, scheme, hidden, width)
    optimiser = nn.SGD(network.parameters, rate, momentum=0.9)
    accuracies, finite = [], True
    with np.errstate(over="ignore", invalid="ignore"):  # the rate may be too high
        for epoch in range(epochs):
            for chosen in nn.batches(len(data.train_images), BATCH, rng, xp):
                loss, grad = nn.softmax_cross_entropy(
                    network.forward(data.train_images[chosen], training=True), data.train_labels[chosen]
                )
                finite = finite and math.isfinite(loss)
                if not finite:
                    break
                network.backward(grad)
                optimiser.step(network.gradients, rate * (1 - epoch / epochs))
            accuracies.append(nn.accuracy(network.forward(data.test_images), data.test_labels))
    return {"test_accuracy": accuracies, "finite": finite}


def layer_means(runs, name):
    """Layer by layer over the seeds: the geometric mean, for what runs through powers of ten."""
    return np.exp(np.mean(np.log([run[name] for run in runs]), axis=0))


def factors(runs, name):
    """By what a layer multiplies, from the first to the last, in each seed."""
    return [(run[name][-1] / run[name][0]) ** (1 / (len(run[name]) - 1)) for run in runs]


# ---------------------------------------------------------------------------------------------------------- tables


def propagation_table(results):
    rows, changes, vanished = [], [], []
    for (activation, parameter, scheme), runs in results.items():
        label = nn.label(activation, parameter)
        first, *_, last = layer_means(runs, "gradient_norm")
        factor = interval(factors(runs, "variance"))[0]
        if not 0.9 < factor < 1.1:
            changes.append(f"{label} from {scheme} ({factor:.2f})")
        if first < VANISHED:
            vanished.append(f"{label} from {scheme}")
        variances = (layer_means(runs, name)[-1] for name in ("variance", "variance_of_images"))
        told = (f"{number:.1e}" for number in (*variances, first, last))
        rows.append([label, scheme, plus_minus(factors(runs, "variance"), 3), *told])
    text = (
        "Before training. Xavier's weights have a variance of 2 / (fan_in + fan_out), He's 2 / fan_in, the own gain's "
        "gain² / fan_in with `pyleaky.init.gain` (for leaky_relu `he_normal(negative_slope=...)`, which is the same). "
        "The variance is that of all activations of a layer together; that of the images is a unit's from image to "
        "image, without the differences between units (1e-12 and less is rounding, for outputs near 0.5). Variances "
        "and norms are geometric means over the seeds. The variance changes by a tenth or more per layer for "
        f"{', '.join(changes) or 'none'}. The gradient of the first layer's weights has a norm below {VANISHED:g} for "
        f"{', '.join(vanished) or 'none'}."
    )
    header = ["activation", "weights", "factor of variance per layer", "variance, last layer", "variance of the images"]
    return text, [*header, "gradient norm, first layer", "gradient norm, last layer"], rows


def final(runs):
    return [run["test_accuracy"][-1] for run in runs]


def training_table(results):
    """The accuracies at every rate, and whether what He et al. found is met."""
    rows, met = [], []
    for activation, parameter in TRAINED:
        label, worst, best = nn.label(activation, parameter), {}, {}
        for scheme in ("Xavier", "own gain"):
            by_rate = {rate: final(results[activation, parameter, scheme, rate]) for rate in RATES}
            worst[scheme] = max(abs(interval(values)[0] - CHANCE) for values in by_rate.values())
            best[scheme] = max(interval(values)[0] for values in by_rate.values())
            rows.append([label, scheme, *(plus_minus(values, 1, scale=100) for values in by_rate.values())])
        if worst["Xavier"] <= 0.05 and best["own gain"] > 0.9:
            met.append(
                f"{label} (at most {100 * worst['Xavier']:.1f} points from chance; {100 * best['own gain']:.1f}%)"
            )
    diverged = sum(not run["finite"] for runs in results.values() for run in runs)
    text = (
        "Test accuracy in %, chance is 10. The same network, data and order of batches, SGD with momentum 0.9, every "
        "rate for both initialisations. Means within 5 points of chance at every rate from Xavier's weights, and above "
        f"90% at the best rate from those of the own gain: {', '.join(met) or 'no activation'}. {diverged} of "
        f"{sum(map(len, results.values()))} runs stopped at a loss that is not finite; they count with what they had."
    )
    return text, ["activation", "weights", *(f"rate {rate:g}" for rate in RATES)], rows


def extremes(runs, name, start):
    """The lowest and the highest value of all seeds and layers from `start` on."""
    values = [value for run in runs for value in run[name][start:]]
    return f"{min(values):.2g} to {max(values):.2g}"


def normalisation_table(results, start):
    rows = [
        [
            nn.label(*which),
            plus_minus([run["mean"][-1] for run in runs], 3),
            f"{layer_means(runs, 'variance')[-1]:.2g}",
            extremes(runs, "mean", start),
            extremes(runs, "variance", start),
        ]
        for which, runs in results.items()
    ]
    selu = results["selu", None]
    text = (
        "Every network starts from `lecun_normal`, for which selu's constants are made. In selu's layers from "
        f"{start + 1} on the mean of the activations runs from {extremes(selu, 'mean', start)} and their variance from "
        f"{extremes(selu, 'variance', start)}, over all seeds."
    )
    layers = f"layers {start + 1} to {len(selu[0]['mean'])}"
    header = ["activation", "mean, last layer", "variance, last layer", f"mean, {layers}", f"variance, {layers}"]
    return text, header, rows


# --------------------------------------------------------------------------------------------------------- pictures


def propagation_picture(results):
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey="row")
    for column, scheme in enumerate(("Xavier", "He", "own gain")):
        for activation, parameter in PROPAGATED:
            runs = results[activation, parameter, scheme]
            layers = np.arange(1, len(runs[0]["variance"]) + 1)
            style = "--" if parameter == 0.01 else "-"  # it would cover relu
            for row, name in enumerate(("variance", "gradient_norm")):
                curve = layer_means(runs, name)
                axes[row, column].semilogy(layers, curve, style, label=nn.label(activation, parameter))
        axes[0, column].set_title(scheme)
        axes[1, column].set_xlabel("layer")
    axes[0, 0].set_ylabel("variance of the activations")
    axes[1, 0].set_ylabel("norm of the gradient")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


def training_picture(results):
    """At each setting's best rate, which favours none."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for panel, scheme in zip(axes, ("Xavier", "own gain"), strict=True):
        for activation, parameter in TRAINED:
            by_rate = [results[activation, parameter, scheme, rate] for rate in RATES]
            best = max(by_rate, key=lambda runs: interval(final(runs))[0])
            curve = 100 * np.mean([run["test_accuracy"] for run in best], axis=0)
            panel.plot(np.arange(1, len(curve) + 1), curve, label=nn.label(activation, parameter))
        panel.axhline(100 * CHANCE, color="black", linestyle=":", linewidth=1)
        panel.set(title=f"{scheme}, each at its best rate", xlabel="epoch", ylim=(0, 100))
    axes[0].set_ylabel("test accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def normalisation_picture(results):
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for which, runs in results.items():
        layers = np.arange(1, len(runs[0]["mean"]) + 1)
        left.plot(layers, np.mean([run["mean"] for run in runs], axis=0), label=nn.label(*which))
        right.semilogy(layers, layer_means(runs, "variance"))
    left.set(xlabel="layer", title="Mean of the activations")
    right.set(xlabel="layer", title="Variance of the activations")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def summary(setting, runs):
    """For the JSON: of each curve the mean over the seeds, and for its end every seed, mean and interval."""
    numbers = {"setting": setting}
    for name in runs[0]:
        values = [run[name] for run in runs]
        if isinstance(values[0], list):
            last = [curve[-1] for curve in values]
            mean = [float(f"{value:.4g}") for value in np.mean(values, axis=0)]
            numbers[name] = {"mean_curve": mean, "last": last, "interval_of_last": interval(last)}
        else:
            numbers[name] = values
    return numbers


def main(argv=None):
    study = Study("initialisation", "Initialisation and vanishing gradients", seeds=10, argv=argv)
    size = {"width": 64, "samples": 64} if study.short else {"width": 256, "samples": 256}
    length = {"hidden": 5, "width": 32, "epochs": 2} if study.short else {"hidden": 29, "width": 96, "epochs": 20}
    numbers = []

    def run(measure, keys, **sizes):
        """The runs by key, and what the JSON tells of them into numbers."""
        names = ("activation", "parameter", "scheme", "rate")
        settings = [{**dict(zip(names, key, strict=False)), **sizes} for key in keys]
        all_runs = study.run(measure, settings)
        numbers.extend(map(summary, settings, all_runs))
        return dict(zip(keys, all_runs, strict=True))

    schemes = [(*which, scheme) for which in PROPAGATED for scheme in ("Xavier", "He", "own gain")]
    every_rate = [(*which, scheme, rate) for which in TRAINED for scheme in ("Xavier", "own gain") for rate in RATES]
    propagated = run(propagate, schemes, hidden=30, **size)
    trained = run(train, every_rate, **length)
    through_50 = run(propagate, [(*which, "LeCun") for which in NORMALISED], hidden=50, **size)
    normalised = {(activation, parameter): runs for (activation, parameter, _), runs in through_50.items()}

    tables = {
        "Variance and gradients through 30 layers": propagation_table(propagated),
        f"Training a network of {length['hidden'] + 1} layers": training_table(trained),
        "Self-normalisation through 50 layers": normalisation_table(normalised, start=9),
    }
    for text, _, _ in tables.values():
        print(text)
    with matplotlib.style.context("tableau-colorblind10"):
        figures = {
            "": propagation_picture(propagated),
            "-training": training_picture(trained),
            "-selu": normalisation_picture(normalised),
        }
    study.write(tables, figures, numbers)


if __name__ == "__main__":
    main()
