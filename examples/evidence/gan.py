"""GAN: dense networks that learn to draw scikit-learn's digits, with leaky_relu 0.2 or with relu in all hidden layers.

Generator and discriminator are three dense layers each, the hidden ones with `bias_act` behind the matrix, trained by
turns with Adam and the non-saturating loss (Goodfellow et al. 2014).  Both activations get the same architecture,
steps and random draws, and the same learning rates, from a usual one to one that is harsh.  What the samples cover is
judged by a classifier that was trained on the real digits:

- Mode collapse is said, before any run, to be fewer than 5 of the 10 classes with more than 2% of the samples.
- The histogram of the classes is held against the real one by its entropy and by the total variation distance.
- The Frechet distance (Heusel et al. 2017) compares mean and covariance of the classifier's last hidden layer.

Held-out digits, as many as there are samples, give the distances that perfect samples would have.

    python examples/evidence/gan.py
    python examples/evidence/gan.py --short     # a sample in seconds
"""

from _study import Study, interval, plus_minus  # first: it limits the threads of NumPy, and knows where nn is

# isort: split
import doctest
import itertools
import sys

import nn
import numpy as np
from _data import digits
from matplotlib.figure import Figure

from pyleaky.diagnostics import UnitMonitor

ACTIVATIONS = ("relu", "leaky_relu")
COLORS = ("#006BA4", "#FF800E")  # told apart with any colour vision
SLOPE = 0.2
RATES = (5e-4, 2e-3, 5e-3, 1e-2)  # the first and the last are in the picture
BETAS = (0.5, 0.999)  # of Adam, as in Radford et al. 2016
LATENT, HIDDEN, PIXELS, BATCH = 32, 128, 64, 64
HELD_OUT = 0.3  # the share of the digits that no network sees; 540 digits
FEWEST_CLASSES, LEAST_SHARE = 5, 0.02  # the criterion of collapse
GRID = (5, 10)  # rows and columns of the samples in the picture
LEVELS = "0123456789abcdef"


def bias_act_network(xp, sizes, activation, rng):
    """Dense layers, `bias_act` behind each but the last, and a linear output."""
    options = {"activation": activation, "negative_slope": SLOPE, "gain": None}  # StyleGAN's: sqrt(2) for both
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes[:-1]):
        layers.append(nn.Dense(nn.initial_weight(xp, (fan_in, fan_out), "bias_act", options, rng)))
        layers.append(nn.BiasAct(xp.zeros(fan_out, np.float32), **options))
    weight = nn.initial_weight(xp, sizes[-2:], "linear", None, rng)
    return nn.Network([*layers, nn.Dense(weight, xp.zeros(sizes[-1], np.float32))])


class Gan:
    """Both networks, their optimisers, and the two steps of training; pixels are from -1 to 1."""

    def __init__(self, xp, activation, rate, rng):
        self.xp, self.rng = xp, rng
        self.generator = bias_act_network(xp, (LATENT, HIDDEN, HIDDEN, PIXELS), activation, rng)
        self.generator.layers.append(nn.Activation("tanh"))
        self.discriminator = bias_act_network(xp, (PIXELS, HIDDEN, HIDDEN, 1), activation, rng)
        self.of_generator = nn.Adam(self.generator.parameters, rate, BETAS)
        self.of_discriminator = nn.Adam(self.discriminator.parameters, rate, BETAS)

    def sample(self, count):
        return self.generator.forward(self.xp.asarray(self.rng.standard_normal((count, LATENT), np.float32)))

    def discriminator_step(self, real):
        """Real images towards 1, generated ones towards 0; returns the loss."""
        xp, count = self.xp, len(real)
        targets = xp.concatenate([xp.ones((count, 1), np.float32), xp.zeros((count, 1), np.float32)])
        logits = self.discriminator.forward(xp.concatenate([real, self.sample(count)]), training=True)
        loss, grad = nn.binary_cross_entropy(logits, targets)
        self.discriminator.backward(grad)
        self.of_discriminator.step(self.discriminator.gradients)
        return float(loss)

    def generator_step(self, count):
        """Generated images towards what the discriminator holds for real: the non-saturating loss."""
        logits = self.discriminator.forward(self.sample(count), training=True)
        loss, grad = nn.binary_cross_entropy(logits, self.xp.ones_like(logits))
        self.generator.backward(self.discriminator.backward(grad))
        self.of_generator.step(self.generator.gradients)
        return float(loss)


class Judge:
    """A classifier trained on real digits, the same for both activations, and what it says of samples."""

    def __init__(self, xp, images, labels, epochs, rng):
        self.network = nn.multilayer_perceptron(xp, (PIXELS, 64, 32, 10), "tanh", rng=rng)
        optimiser = nn.Adam(self.network.parameters)
        for _ in range(epochs):
            for chosen in nn.batches(len(images), BATCH, rng, xp):
                _, grad = nn.softmax_cross_entropy(self.network.forward(images[chosen], True), labels[chosen])
                self.network.backward(grad)
                optimiser.step(self.network.gradients)
        self.shares = xp.bincount(labels, minlength=10) / len(labels)
        self.moments = self.statistics(images)[1]
        self.variance = images.var(axis=0).sum()

    def statistics(self, images):
        """The shares of the classes, and the mean and covariance of the last hidden layer."""
        logits = self.network.forward(images)
        xp, features = nn.array_module(logits), self.network.layers[-2].y.astype(np.float64)
        shares = xp.bincount(logits.argmax(axis=1), minlength=10) / len(images)
        return shares, (features.mean(axis=0), xp.cov(features.T))

    def report(self, images):
        shares, moments = self.statistics(images)
        here, there = [[to_host(part) for part in both] for both in (moments, self.moments)]
        shares, real = to_host(shares), to_host(self.shares)
        return {
            "classes": int((shares > LEAST_SHARE).sum()),
            "entropy": float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum()),
            "variation": float(abs(shares - real).sum() / 2),
            "frechet": frechet_distance(*here, *there),
            "spread": float(images.var(axis=0).sum() / self.variance),
        }


def to_host(array):
    return array if isinstance(array, np.ndarray) else array.get()


def frechet_distance(mean, covariance, other_mean, other_covariance):
    """Squared distance of two normal distributions: |m - n|^2 + trace(C + D - 2 (C D)^(1/2)).

    The trace of the root is the sum of the roots of the eigenvalues of C D, none of which is negative but by rounding.
    scipy.linalg.sqrtm would fail where all samples are equal and C is singular.

    >>> unit = np.eye(2)
    >>> frechet_distance(np.zeros(2), unit, np.array([3.0, 0.0]), 4 * unit)  # 9 + 2 * (1 + 4 - 2 * 2)
    11.0
    """
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariance @ other_covariance).real, 0))
    return float(((mean - other_mean) ** 2).sum() + np.trace(covariance + other_covariance) - 2 * roots.sum())


def never_positive(network, activation):
    """The share of the hidden units that were positive for no image of the last forward pass."""
    monitor = UnitMonitor(activation, SLOPE if activation == "leaky_relu" else None)
    for name, layer in network.activations.items():
        if isinstance(layer, nn.BiasAct):
            monitor.update(name, output=layer.y)
    layers = monitor.to_dict()["layers"]
    return sum(layer["periods"][-1]["never_positive"] for layer in layers) / sum(layer["units"] for layer in layers)


def as_text(images):
    """Each image as 64 hexadecimal digits, its levels of grey: what the picture needs, and JSON holds."""
    levels = np.rint((to_host(images) + 1) / 2 * (len(LEVELS) - 1)).astype(int)
    return ["".join(LEVELS[level] for level in image) for image in levels]


def measure(xp, seed, activation, rate, steps, evaluations, classifier_epochs):
    """Train; losses and reports at evenly spaced steps, and samples of the end."""
    data = digits(xp, seed, HELD_OUT)
    mean = xp.asarray(data.mean, np.float32)
    real, held_out = (2 * (images + mean) - 1 for images in (data.train_images, data.test_images))
    judge = Judge(xp, real, data.train_labels, classifier_epochs, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    gan = Gan(xp, activation, rate, rng)
    every = steps // evaluations
    found = {"step": [], "discriminator_loss": [], "generator_loss": [], "reports": []}
    losses = np.empty((every, 2))
    for step in range(steps):
        chosen = xp.asarray(rng.integers(len(real), size=BATCH))
        losses[step % every] = gan.discriminator_step(real[chosen]), gan.generator_step(BATCH)
        if (step + 1) % every == 0:
            found["step"].append(step + 1)
            found["discriminator_loss"].append(float(losses[:, 0].mean()))
            found["generator_loss"].append(float(losses[:, 1].mean()))
            found["reports"].append(judge.report(gan.sample(len(held_out))))
    found["never_positive"] = never_positive(gan.generator, activation)  # for the samples of the last report
    return {
        **found,
        "held_out": judge.report(held_out),
        "classifier_accuracy": nn.accuracy(judge.network.forward(held_out), data.test_labels),
        "samples": as_text(gan.sample(GRID[0] * GRID[1])),
    }


# ------------------------------------------------------------------------------------------------------ tables


def is_collapsed(report):
    return report["classes"] < FEWEST_CLASSES


def collapsed_runs(runs):
    return sum(is_collapsed(run["reports"][-1]) for run in runs)


def cells(reports):
    """What a table says of the reports of all seeds."""
    digits_of = {"classes": 1, "entropy": 2, "variation": 2, "frechet": 2, "spread": 2}
    return [plus_minus([report[name] for report in reports], digits) for name, digits in digits_of.items()]


def coverage(results):
    """The table of the last reports, with what it says in words."""
    header = ["rate", "activation", "collapsed", "reports collapsed, %", "classes", "entropy, bits", "total variation"]
    rows = []
    for (rate, activation), runs in results.items():
        reports = [is_collapsed(report) for run in runs for report in run["reports"]]
        rows.append(
            [
                f"{rate:g}",
                activation,
                f"{collapsed_runs(runs)} of {len(runs)}",
                f"{100 * np.mean(reports):.0f}",
                *cells([run["reports"][-1] for run in runs]),
                plus_minus([run["never_positive"] for run in runs], 1, 100),
            ]
        )
    runs = next(iter(results.values()))
    rows.append(["-", "held-out digits", "-", "-", *cells([run["held_out"] for run in runs]), "-"])
    return verdict(results), [*header, "Frechet distance", "spread", "units never positive, %"], rows


def verdict(results):
    """The criterion, where it is met, and which activation is nearer to the real digits at each rate."""
    collapsed = [
        f"{activation} at {rate:g} ({collapsed_runs(runs)} of {len(runs)} runs)"
        for (rate, activation), runs in results.items()
        if collapsed_runs(runs)
    ]
    distance = {key: interval([run["reports"][-1]["frechet"] for run in runs])[0] for key, runs in results.items()}
    nearer = [
        f"{min(ACTIVATIONS, key=lambda activation: distance[rate, activation])} at {rate:g}"
        for rate in dict.fromkeys(rate for rate, _ in results)
    ]
    accuracies = [run["classifier_accuracy"] for run in next(iter(results.values()))]
    return (
        f"After the last step. Collapsed: fewer than {FEWEST_CLASSES} of the 10 classes have more than "
        f"{100 * LEAST_SHARE:.0f}% of the samples each; at the end this holds for {', '.join(collapsed) or 'no run'}. "
        f"That at least one run collapses, for which the harsh rates are here, is {'met' if collapsed else 'missed'}. "
        "The column beside it counts all reports on the way. Total variation and Frechet distance are those from the "
        "training digits: the lower mean Frechet distance has "
        f"{', '.join(nearer)}. Spread is the variance of the pixels over that of the training digits: 0 if all samples "
        "are the same. The last column is of the generator's hidden units. The classifier that judges is right for "
        f"{plus_minus(accuracies, 1, 100)}% of the held-out digits."
    )


# ------------------------------------------------------------------------------------------------------ picture


def tiles(samples):
    """The samples of one run as one picture, with white lines between them."""
    images = np.array([[LEVELS.index(level) for level in sample] for sample in samples], float).reshape(*GRID, 8, 8)
    framed = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    return framed.transpose(0, 2, 1, 3).reshape(GRID[0] * 9, GRID[1] * 9)[:-1, :-1]


def curves(figure, results, rates):
    """Losses above, Frechet distance below; one column for each rate."""
    axes = figure.subplots(2, len(rates), sharex=True)
    for column, rate in enumerate(rates):
        losses, distances = axes[:, column]
        for color, activation in zip(COLORS, ACTIVATIONS, strict=True):
            runs = results[rate, activation]
            steps = runs[0]["step"]
            for name, style in (("generator", "-"), ("discriminator", ":")):
                mean = np.mean([run[f"{name}_loss"] for run in runs], axis=0)
                losses.plot(steps, mean, style, color=color, label=f"{activation}: {name}")
            distance = np.array([[report["frechet"] for report in run["reports"]] for run in runs])
            distances.semilogy(steps, distance.mean(axis=0), color=color)
            distances.fill_between(steps, distance.min(axis=0), distance.max(axis=0), color=color, alpha=0.2)
        held_out = np.mean([run["held_out"]["frechet"] for run in runs])
        distances.axhline(held_out, color="black", linestyle="--", linewidth=1)
        losses.set_yscale("log")
        losses.set(title=f"rate {rate:g}: losses")
        distances.set(title="Frechet distance (dashed: held-out digits)", xlabel="step")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9, columnspacing=1)


def picture(results):
    rates = (RATES[0], RATES[-1])
    figure = Figure(figsize=(8, 9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3, 2.2))
    curves(above, results, rates)
    below.suptitle("Samples of seed 0 after the last step")
    for row, activation in zip(below.subplots(len(ACTIVATIONS), len(rates)), ACTIVATIONS, strict=True):
        for axes, rate in zip(row, rates, strict=True):
            axes.imshow(tiles(results[rate, activation][0]["samples"]), cmap="gray_r", vmin=0, vmax=len(LEVELS) - 1)
            axes.set_title(f"{activation}, rate {rate:g}")
            axes.axis("off")
    return figure


def main(argv=None):
    study = Study("gan", "GAN", seeds=3, argv=argv)
    doctest.testmod(sys.modules[__name__], raise_on_error=True)  # the Frechet distance computed by hand
    length = {"steps": 5000, "evaluations": 20, "classifier_epochs": 20}
    if study.short:
        length = {"steps": 200, "evaluations": 4, "classifier_epochs": 5}
    keys = list(itertools.product((RATES[0], RATES[-1]) if study.short else RATES, ACTIVATIONS))
    settings = [{"activation": activation, "rate": rate, **length} for rate, activation in keys]
    results = dict(zip(keys, study.run(measure, settings), strict=True))
    tables = {"Coverage": coverage(results)}
    print(tables["Coverage"][0])
    numbers = [
        {"setting": setting, "collapsed": collapsed_runs(runs), "runs": runs}
        | {"frechet": interval([run["reports"][-1]["frechet"] for run in runs])}
        for setting, runs in zip(settings, results.values(), strict=True)
    ]
    study.write(tables, {"": picture(results)}, numbers)


if __name__ == "__main__":
    main()
