"""Train a small neural network on real handwritten digits with nothing but arrays and pyleaky.

The data are scikit-learn's 1,797 scanned digits of 8 x 8 pixels, which ship inside that package.  The network is a
multilayer perceptron, its gradients written out by hand: matrix products come from NumPy (or CuPy), the activations and
their gradients from pyleaky.  A fifth of the digits, chosen by the seed and stratified by class, is held out and never
trained on.

    pip install ".[examples]"
    python examples/digits.py                          # one run: accuracy per epoch, digits.png
    python examples/digits.py --activation prelu       # the slopes are learned, too
    python examples/digits.py --seeds 10               # mean over ten splits, beside a network without activation
    python examples/digits.py --backend cupy           # the same on a GPU
    python examples/digits.py --save-weights w.npz     # the trained network, for examples/serve.py
"""

import argparse
import itertools
import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import pyleaky

HIDDEN = (128, 128)
BATCH = 32
LEARNING_RATE = 0.05  # falls to 0 along half a cosine
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-3  # of the matrices only: it would push PReLU's slopes to 0, that is to ReLU (He et al. 2015)

# What each activation multiplies negative numbers by; for prelu, where learning starts (He et al. 2015, section 2.1).
# elu, celu and selu are flat far below 0.
SLOPES = {"relu": 0.0, "leaky_relu": 0.01, "prelu": 0.25, "elu": 0.0, "celu": 0.0, "selu": 0.0, "identity": 1.0}


class Network:
    """Fully connected layers, an activation after each but the last, softmax and cross-entropy at the end."""

    def __init__(self, xp, sizes, activation, slope, rng, dtype=np.float32):
        self.xp = xp
        self.activation = activation
        # He et al. 2015, equation 15: keeps the variance of the signal from layer to layer.  elu and celu, flat far
        # below 0 as relu is, get what relu gets.  selu's constants do that work themselves, given weights of variance
        # 1 / fan_in (LeCun et al. 1998, Klambauer et al. 2017).
        gain = 1 if activation == "selu" else math.sqrt(2) / math.hypot(1, slope)
        self.weights, self.biases = [], []
        for fan_in, fan_out in itertools.pairwise(sizes):
            # Always NumPy's generator, so that both back ends start from the same numbers.
            weight = rng.normal(0, gain / math.sqrt(fan_in), (fan_in, fan_out))
            self.weights.append(xp.asarray(weight, dtype=dtype))
            self.biases.append(xp.zeros(fan_out, dtype=dtype))
        if activation == "prelu":  # one per unit: a slope shared by a layer gathers gradients from all of its units
            self.slopes = [xp.full(units, slope, dtype=dtype) for units in sizes[1:-1]]
        else:
            self.slopes = [slope] * (len(sizes) - 2)

    @property
    def parameters(self):
        """All that is learned, in the order of the gradients; updating these arrays in place updates the network."""
        learned_slopes = self.slopes if self.activation == "prelu" else []
        return self.weights + self.biases + learned_slopes

    def activate(self, x, slope):
        match self.activation:
            case "relu":
                return pyleaky.relu(x)
            case "leaky_relu":
                return pyleaky.leaky_relu(x, slope)
            case "prelu":
                return pyleaky.prelu(x, slope)
            case "elu":
                return pyleaky.elu(x)
            case "celu":
                return pyleaky.celu(x)
            case "selu":
                return pyleaky.selu(x)
            case "identity":
                return x

    def activate_backward(self, grad, x, slope):
        """The gradient with respect to x, and with respect to the slope where that is learned."""
        match self.activation:
            case "relu":
                return pyleaky.relu_backward(grad, x), None
            case "leaky_relu":
                return pyleaky.leaky_relu_backward(grad, x, slope), None
            case "prelu":
                return pyleaky.prelu_backward(grad, x, slope)
            case "elu":
                return pyleaky.elu_backward(grad, x), None
            case "celu":
                return pyleaky.celu_backward(grad, x), None
            case "selu":
                return pyleaky.selu_backward(grad, x), None
            case "identity":
                return grad, None

    def forward(self, images):
        """The log-probability of each class, each layer's input, and each activation's input."""
        inputs, sums = [images], []
        for weight, bias, slope in zip(self.weights[:-1], self.biases[:-1], self.slopes, strict=True):
            sums.append(inputs[-1] @ weight + bias)
            inputs.append(self.activate(sums[-1], slope))
        logits = inputs[-1] @ self.weights[-1] + self.biases[-1]
        logits = logits - logits.max(axis=1, keepdims=True)  # or exp would overflow
        return logits - self.xp.log(self.xp.exp(logits).sum(axis=1, keepdims=True)), inputs, sums

    def loss_and_gradients(self, images, labels):
        """The mean cross-entropy and its gradients, in the order of `parameters`."""
        log_probabilities, inputs, sums = self.forward(images)
        rows = self.xp.arange(len(labels))
        loss = -log_probabilities[rows, labels].mean()

        grad = self.xp.exp(log_probabilities)
        grad[rows, labels] -= 1
        grad /= len(labels)
        weight_grads, bias_grads, slope_grads = [], [], []
        for layer in reversed(range(len(self.weights))):
            weight_grads.insert(0, inputs[layer].T @ grad)
            bias_grads.insert(0, grad.sum(axis=0))
            if layer > 0:
                grad = grad @ self.weights[layer].T
                grad, slope_grad = self.activate_backward(grad, sums[layer - 1], self.slopes[layer - 1])
                slope_grads.insert(0, slope_grad)
        return loss, weight_grads + bias_grads + (slope_grads if self.activation == "prelu" else [])

    def evaluate(self, images, labels):
        """The mean cross-entropy, the share of right answers, and the answers."""
        log_probabilities, _, _ = self.forward(images)
        answers = log_probabilities.argmax(axis=1)
        loss = -log_probabilities[self.xp.arange(len(labels)), labels].mean()
        return float(loss), float((answers == labels).mean()), answers


def load_data(xp, seed):
    """The digits, split by the seed, on the device of xp: all of them are moved once, here."""
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images / 16, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    mean = train_images.mean(axis=0)
    return SimpleNamespace(
        train_images=xp.asarray(train_images - mean, dtype=np.float32),
        train_labels=xp.asarray(train_labels),
        test_images=xp.asarray(test_images - mean, dtype=np.float32),
        test_labels=xp.asarray(test_labels),
        pictures=test_images.reshape(-1, 8, 8),  # for the eye, so on the host
        mean=mean,
    )


def train(network, data, epochs, rng):
    """Gradient descent with momentum over shuffled mini-batches; yields the losses and accuracies after each epoch."""
    velocities = [network.xp.zeros_like(parameter) for parameter in network.parameters]
    count = len(data.train_labels)
    starts = range(0, count, BATCH)
    for epoch in range(epochs):
        order = network.xp.asarray(rng.permutation(count))
        for step, start in enumerate(starts):
            batch = order[start : start + BATCH]
            _, gradients = network.loss_and_gradients(data.train_images[batch], data.train_labels[batch])
            for weight, gradient in zip(network.weights, gradients, strict=False):  # the matrices come first
                gradient += WEIGHT_DECAY * weight
            progress = (epoch + step / len(starts)) / epochs
            rate = LEARNING_RATE * (1 + math.cos(math.pi * progress)) / 2
            for parameter, velocity, gradient in zip(network.parameters, velocities, gradients, strict=True):
                velocity *= MOMENTUM
                velocity -= rate * gradient
                parameter += velocity
        train_loss, train_accuracy, _ = network.evaluate(data.train_images, data.train_labels)
        if not math.isfinite(train_loss):
            raise SystemExit(f"the training diverged in epoch {epoch + 1}; a negative slope nearer to 0 may help")
        test_loss, test_accuracy, _ = network.evaluate(data.test_images, data.test_labels)
        yield SimpleNamespace(
            train_loss=train_loss, train_accuracy=train_accuracy, test_loss=test_loss, test_accuracy=test_accuracy
        )


def run(xp, activation, slope, epochs, seed, after_epoch):
    """One split, one network, trained; `after_epoch` is called with the results so far."""
    data = load_data(xp, seed)
    rng = np.random.default_rng(seed)
    network = Network(xp, (64, *HIDDEN, 10), activation, slope, rng)
    history = []
    for result in train(network, data, epochs, rng):
        history.append(result)
        after_epoch(history)
    return SimpleNamespace(activation=activation, seed=seed, data=data, network=network, history=history)


def to_host(array):
    return array.get() if hasattr(array, "get") else np.asarray(array)


def draw(trained, path):
    """Loss and accuracy per epoch above; below, some test digits with the network's answers, and its mistakes."""
    data, history = trained.data, trained.history
    answers = to_host(trained.network.evaluate(data.test_images, data.test_labels)[2])
    labels = to_host(data.test_labels)
    mistakes = np.flatnonzero(answers != labels)

    figure = Figure(figsize=(11, 7.6), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.08)
    curves, sample, failures = figure.subfigures(3, 1, height_ratios=(3.4, 1, 1))
    curves.suptitle(
        f"{trained.activation}, seed {trained.seed}: "
        f"{history[-1].test_accuracy:.2%} of {len(labels)} held-out digits read correctly",
        fontsize=14,
    )
    epochs = range(1, len(history) + 1)
    loss, accuracy = curves.subplots(1, 2)
    for part, colour in (("train", "tab:blue"), ("test", "tab:orange")):
        # A dot, because one epoch alone makes no line.
        style = {"color": colour, "label": part, "marker": "." if len(history) == 1 else None}
        loss.plot(epochs, [getattr(result, f"{part}_loss") for result in history], **style)
        accuracy.plot(epochs, [100 * getattr(result, f"{part}_accuracy") for result in history], **style)
    loss.set(xlabel="epoch", ylabel="mean cross-entropy", yscale="log")
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss.yaxis.set_major_formatter("{x:g}")
    loss.yaxis.set_minor_locator(NullLocator())
    accuracy.set(xlabel="epoch", ylabel="accuracy in %")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, 1.02 * len(history))
        axes.xaxis.get_major_locator().set_params(integer=True)

    count = f"the first 10 of {len(mistakes)}" if len(mistakes) > 10 else len(mistakes)
    for strip, title, chosen in (
        (sample, "The first ten held-out digits, and what the network reads", range(10)),
        (failures, f"Mistakes: {count}", mistakes[:10]),
    ):
        strip.suptitle(title, fontsize=11)
        for axes, index in zip(strip.subplots(1, 10), [*chosen, *[None] * 10], strict=False):
            axes.set_axis_off()
            if index is not None:
                axes.imshow(data.pictures[index], cmap="gray_r", vmin=0, vmax=1)
                correct = answers[index] == labels[index]
                answer = f"{answers[index]}" if correct else f"{answers[index]}, is {labels[index]}"
                axes.set_title(answer, fontsize=10, color="tab:green" if correct else "tab:red")
    figure.savefig(path, format="png", dpi=120, bbox_inches="tight", pad_inches=0.15)


def save_weights(trained, path):
    """The network and how it was made, as one .npz of float32 arrays that examples/serve.py reads.

    The first layer takes over what `load_data` did to the images: the saved network wants pixels from 0 to 16.
    """
    network = trained.network
    arrays = {"slopes": np.array([to_host(slopes) for slopes in network.slopes])}
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True), start=1):
        arrays[f"weight{layer}"], arrays[f"bias{layer}"] = to_host(weight), to_host(bias)
    arrays["bias1"] = arrays["bias1"] - trained.data.mean @ arrays["weight1"]
    arrays["weight1"] = arrays["weight1"] / 16
    with path.open("wb") as file:  # given a name instead, savez would append .npz where it is missing
        np.savez(
            file,
            activation=trained.activation,
            seed=trained.seed,
            test_accuracy=trained.history[-1].test_accuracy,
            **{name: array.astype(np.float32) for name, array in arrays.items()},
        )


def whole_number(least):
    def parse(text):
        value = int(text)
        if not least <= value < 2**32:  # as scikit-learn asks of a seed
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and 2**32 - 1")
        return value

    parse.__name__ = "whole number"  # argparse puts the name into its message
    return parse


def slope_number(text):
    value = float(text)
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise argparse.ArgumentTypeError(f"{text} is not a finite float32")
    return value


slope_number.__name__ = "number"


def writable_path(text):
    """A path that can be written, found out before the training rather than after it."""
    path = Path(text)
    try:
        existed = path.exists()
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from None
    return path


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description="Train a multilayer perceptron on scikit-learn's handwritten digits with pyleaky.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--backend", choices=("numpy", "cupy"), default="numpy", help="where the arrays live")
    parser.add_argument("--activation", choices=tuple(SLOPES), default="leaky_relu", help="after each hidden layer")
    parser.add_argument(
        "--negative-slope",
        type=slope_number,
        default=argparse.SUPPRESS,
        metavar="SLOPE",
        help=f"slope for negative numbers with leaky_relu (default: {SLOPES['leaky_relu']}), "
        f"or the first one with prelu (default: {SLOPES['prelu']})",
    )
    parser.add_argument("--epochs", type=whole_number(1), default=30, metavar="N", help="passes over the training data")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="N", help="chooses the split, the weights, the batches"
    )
    seeds.add_argument(
        "--seeds",
        type=whole_number(1),
        default=argparse.SUPPRESS,
        metavar="N",
        help="run seeds 0 to N-1 and print the mean test accuracy beside that of the identity activation",
    )
    parser.add_argument(
        "--out",
        type=writable_path,
        default="digits.png",
        metavar="PNG",
        help="picture to write; with --seeds, of seed 0",
    )
    parser.add_argument(
        "--save-weights",
        type=writable_path,
        default=argparse.SUPPRESS,
        metavar="NPZ",
        help="file to write the trained network to, for examples/serve.py; with --seeds, of seed 0",
    )
    arguments = parser.parse_args(argv)

    arguments.slope = SLOPES[arguments.activation]
    if "negative_slope" in arguments:
        if arguments.activation not in ("leaky_relu", "prelu"):
            parser.error(f"argument --negative-slope: {arguments.activation} has none to set")
        arguments.slope = arguments.negative_slope
    arguments.xp = np
    if arguments.backend == "cupy":
        try:
            import cupy

            float((cupy.ones((2, 2)) @ cupy.ones((2, 2))).sum())  # needs a device, its compiler and its libraries
        except Exception as error:  # each way to lack a GPU has an exception type of its own
            parser.error(f"argument --backend: cupy is not usable here ({type(error).__name__}: {error})")
        arguments.xp = cupy
    return arguments


def run_one(arguments):
    """Train on one split and print every epoch."""
    start = time.perf_counter()
    with tqdm(total=arguments.epochs, unit="epoch") as bar:

        def after_epoch(history):
            last = history[-1]
            bar.update()
            bar.write(
                f"epoch {len(history):{len(str(arguments.epochs))}}/{arguments.epochs}"
                f"   train accuracy {last.train_accuracy:7.2%}, loss {last.train_loss:.4f}"
                f"   test accuracy {last.test_accuracy:7.2%}, loss {last.test_loss:.4f}"
            )

        trained = run(
            arguments.xp, arguments.activation, arguments.slope, arguments.epochs, arguments.seed, after_epoch
        )
    seconds = time.perf_counter() - start
    accuracy = trained.history[-1].test_accuracy
    print(f"test accuracy {accuracy:.2%} with {arguments.activation}, seed {arguments.seed}, {seconds:.1f} s")
    return trained


def run_many(arguments):
    """Train on several splits, with the activation asked for and with none, and print the mean of each."""
    slopes = {arguments.activation: arguments.slope, "identity": SLOPES["identity"]}
    accuracies = {activation: [] for activation in slopes}
    trained = None
    with tqdm(total=arguments.seeds * len(slopes) * arguments.epochs, unit="epoch") as bar:
        for seed in range(arguments.seeds):
            for activation, slope in slopes.items():
                result = run(arguments.xp, activation, slope, arguments.epochs, seed, lambda history: bar.update())
                accuracies[activation].append(result.history[-1].test_accuracy)
                trained = trained or result
            scores = (f"{activation} {values[-1]:.2%}" for activation, values in accuracies.items())
            bar.write(f"seed {seed}: test accuracy {', '.join(scores)}")
    means = (f"{activation} {np.mean(values):.2%}" for activation, values in accuracies.items())
    print(f"mean of {arguments.seeds} seeds: test accuracy {', '.join(means)}")
    return trained


def main(argv=None):
    arguments = parse_arguments(argv)
    trained = run_many(arguments) if "seeds" in arguments else run_one(arguments)
    if arguments.activation == "prelu":
        print(f"PReLU weights after training from {arguments.slope:g}, seed {trained.seed}:")
        for layer, slopes in enumerate(map(to_host, trained.network.slopes), start=1):
            print(f"hidden layer {layer}: from {slopes.min():.2f} to {slopes.max():.2f}, mean {slopes.mean():.2f}")
            print(np.array2string(slopes, precision=2, floatmode="fixed", max_line_width=120, threshold=slopes.size))
    draw(trained, arguments.out)
    print(f"saved {arguments.out}")
    if "save_weights" in arguments:
        save_weights(trained, arguments.save_weights)
        print(f"saved {arguments.save_weights}")


if __name__ == "__main__":
    main()
