"""Object detection: digits of MNIST on a cluttered canvas, found by a small single-shot detector.

One to four digits of different sizes lie at random places of a canvas of 64 x 64 pixels, among fragments of other
digits and noise.  A fully convolutional network looks at the canvas once; each cell of its 8 x 8 grid says whether the
centre of a digit lies in it, where the box is, and which digit it is (Redmon et al. 2016, with one box for each cell).
Non-maximum suppression leaves the best of overlapping boxes.  Training canvases hold training digits only, test
canvases test digits only.  leaky_relu, with the slope that Redmon et al. chose, and relu get the same canvases, initial
draws, rates and number of steps.

    python examples/evidence/detection.py
    python examples/evidence/detection.py --short     # a sample in seconds
"""

from _study import Study, interval, plus_minus  # first: it limits the threads of NumPy, and knows where nn is

# isort: split
import doctest
import functools
import math
import sys

import nn
import numpy as np
from _data import mnist
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

ACTIVATIONS = (("relu", None), ("leaky_relu", 0.1))
COLORS = ("#006BA4", "#FF800E")  # told apart with any colour vision
SIDE, CELL, GRID = 64, 8, 8  # a canvas, a cell of the grid, and cells along a side
SCALES = (24, 30, 36)  # sides that a 28 x 28 image is resized to; its digit fills some 20/28 of it
LARGEST = max(SCALES)
MOST_DIGITS, FRAGMENTS, FRAGMENT, NOISE = 4, 2, 8, 0.1
OVERLAP = 0.1  # two digits' boxes have no higher intersection over union
BATCH = 32
RATES = (1e-3, 3e-3, 1e-2)
RATE = 3e-3  # of the first table and the picture
BOX_WEIGHT = 5.0  # of the boxes' squared error in the loss, as in Redmon et al. 2016
TYPICAL = 16.0  # pixels: sides of boxes are learned as log(side / TYPICAL)
LOWEST_SCORE, SUPPRESSED = (
    0.05,
    0.5,
)  # detections below this score, or above this overlap with a better one, are dropped
TARGET = 0.8
SHOWN, SHOWN_SCORE = 4, 0.5  # test canvases in the picture, and the lowest score there


# Boxes are (left, top, right, bottom) in pixels, along the last axis.


def overlaps(a, b):
    """Intersection over union of each box of a, (..., n, 4), with each of b, (..., m, 4).

    >>> overlaps(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2]])).round(3).tolist()
    [[1.0, 0.333, 0.0]]
    """
    a, b = a[..., :, None, :], b[..., None, :, :]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.maximum(sides, 0).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - common
    return common / np.maximum(union, 1e-9)


# ------------------------------------------------------------------------------------------------------ canvases


def at_scales(images):
    """Each image at each scale, in the top left corner of a patch: (scales, images, rows, columns); and the boxes."""
    patches = np.zeros((len(SCALES), len(images), LARGEST, LARGEST), np.float32)
    for patch, side in zip(patches, SCALES, strict=True):
        patch[:, :side, :side] = ndimage.zoom(images, (1, side / 28, side / 28), order=1)
    ink = patches > 0.25
    columns, rows = ink.any(axis=2), ink.any(axis=3)
    first = [columns.argmax(axis=-1), rows.argmax(axis=-1)]
    after = [LARGEST - columns[..., ::-1].argmax(axis=-1), LARGEST - rows[..., ::-1].argmax(axis=-1)]
    return patches, np.stack(first + after, axis=-1)


def free_places(sizes, boxes, rng, tries=20):
    """A box of each size that overlaps none of its canvas's boxes, and whether one of the tries found it."""
    corners = np.floor(rng.uniform(size=(len(sizes), tries, 2)) * (SIDE + 1 - sizes[:, None]))
    candidates = np.concatenate([corners, corners + sizes[:, None]], axis=2)
    free = (overlaps(candidates, boxes) <= OVERLAP).all(axis=2)
    return candidates[np.arange(len(sizes)), free.argmax(axis=1)], free.any(axis=1)


def paste(canvases, patches, corners):
    """Lays a patch on each canvas, which has a margin of LARGEST; the brighter pixel stays."""
    which = np.arange(len(canvases))[:, None, None]
    side = np.arange(patches.shape[1])
    columns = (corners[:, 0, None] + side + LARGEST)[:, None, :]
    rows = (corners[:, 1, None] + side + LARGEST)[:, :, None]
    canvases[which, rows, columns] = np.maximum(canvases[which, rows, columns], patches)


def paste_fragment(canvases, images, rng):
    """A square piece of some image on each canvas: strokes that are no digit."""
    count, side = len(canvases), np.arange(FRAGMENT)
    rows, columns = (start[:, None] + side for start in rng.integers(4, 24 - FRAGMENT, (2, count)))
    pieces = images[rng.integers(len(images), size=count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    paste(canvases, pieces, rng.integers(SIDE - FRAGMENT, size=(count, 2)))


def scenes(images, labels, count, rng):
    """Canvases (count, SIDE, SIDE, 1), the boxes of their digits, and which digits they are; -1 where none is."""
    images = images.reshape(-1, 28, 28)
    patches, inner = at_scales(images)
    canvases = np.zeros((count, SIDE + 2 * LARGEST, SIDE + 2 * LARGEST), np.float32)
    boxes, classes = np.zeros((count, MOST_DIGITS, 4)), np.full((count, MOST_DIGITS), -1)
    wanted = rng.integers(1, MOST_DIGITS + 1, count)
    for k in range(MOST_DIGITS):
        scale, chosen = rng.integers(len(SCALES), size=count), rng.integers(len(images), size=count)
        box = inner[scale, chosen]
        placed, free = free_places(box[:, 2:] - box[:, :2], boxes[:, :k], rng)
        there = free & (k < wanted)
        boxes[there, k], classes[there, k] = placed[there], labels[chosen[there]]
        corners = placed[:, :2].astype(int) - box[:, :2]
        paste(canvases, patches[scale, chosen] * there[:, None, None], corners)
    for _ in range(FRAGMENTS):
        paste_fragment(canvases, images, rng)
    inside = slice(LARGEST, LARGEST + SIDE)
    canvases = canvases[:, inside, inside, None] + NOISE * rng.standard_normal((count, SIDE, SIDE, 1), np.float32)
    return canvases, boxes, classes


@functools.cache
def training_and_test(seed, canvases):
    """Scenes of training digits, and a ninth as many of test digits."""
    data = mnist(np, seed)
    rng = np.random.default_rng(seed)
    training = scenes(data.train_images + data.mean, data.train_labels, canvases, rng)
    return training, scenes(data.test_images + data.mean, data.test_labels, canvases // 9, rng)


# ------------------------------------------------------------------------------------------------------ detector


def encode(xp, boxes, classes):
    """What each cell should say: whether a digit's centre lies in it, that digit's box, and its class.

    If two centres lie in one cell, the later digit takes it and the other is lost to training.
    """
    canvas, slot = np.nonzero(classes >= 0)
    box = boxes[canvas, slot]
    centres = (box[:, :2] + box[:, 2:]) / 2 / CELL
    column, row = centres.astype(int).T
    present = np.zeros((len(boxes), GRID, GRID), np.float32)
    places, digits = np.zeros((*present.shape, 4), np.float32), np.zeros(present.shape, int)
    present[canvas, row, column] = 1
    places[canvas, row, column, :2] = centres % 1 - 0.5
    places[canvas, row, column, 2:] = np.log((box[:, 2:] - box[:, :2]) / TYPICAL)
    digits[canvas, row, column] = classes[canvas, slot]
    return xp.asarray(present), xp.asarray(places), xp.asarray(digits)


def decode(output):
    """The boxes, scores and classes that the cells tell of, (canvases, cells, ...)."""
    output = output.astype(np.float64).reshape(len(output), GRID * GRID, -1)
    rows, columns = np.divmod(np.arange(GRID * GRID), GRID)
    centres = (np.stack([columns, rows], axis=1) + 0.5 + output[..., 1:3]) * CELL
    halves = TYPICAL / 2 * np.exp(np.minimum(output[..., 3:5], math.log(SIDE / TYPICAL)))
    exponentials = np.exp(output[..., 5:] - output[..., 5:].max(axis=-1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    scores = probabilities.max(axis=-1) * (0.5 * np.tanh(0.5 * output[..., 0]) + 0.5)
    return np.concatenate([centres - halves, centres + halves], axis=-1), scores, probabilities.argmax(axis=-1)


def suppress(boxes, scores, classes):
    """Non-maximum suppression: the indices, best first, of what overlaps no better one of the same class too much."""
    clash = (overlaps(boxes, boxes) > SUPPRESSED) & (classes[:, None] == classes)
    kept = []
    for i in np.argsort(-scores):
        if not clash[i, kept].any():
            kept.append(i)
    return kept


def detector(xp, activation, parameter, rng):
    chosen = (activation, parameter, rng)
    return nn.Network(
        [
            *nn.convolution(xp, (5, 5, 1, 16), *chosen, stride=2),
            *nn.convolution(xp, (3, 3, 16, 32), *chosen, stride=2),
            *nn.convolution(xp, (3, 3, 32, 64), *chosen, stride=2),
            *nn.convolution(xp, (3, 3, 64, 64), *chosen),
            *nn.convolution(xp, (1, 1, 64, 15), "linear", None, rng),  # presence, box, ten classes
        ]
    )


def detection_loss(output, present, places, digits):
    """Presence in every cell, box and class in those with a digit: the sum, for each digit, and its gradient."""
    xp = nn.array_module(output)
    cells, grad = output.reshape(-1, output.shape[-1]), xp.zeros_like(output)
    filled = xp.flatnonzero(present)
    by_cells = grad.reshape(cells.shape)
    presence_loss, by_presence = nn.binary_cross_entropy(cells[:, 0], present.ravel())
    per_digit = len(cells) / len(filled)
    by_cells[:, 0] = by_presence * per_digit
    error = cells[filled, 1:5] - places.reshape(-1, 4)[filled]
    by_cells[filled, 1:5] = 2 * BOX_WEIGHT / len(filled) * error
    class_loss, by_cells[filled, 5:] = nn.softmax_cross_entropy(cells[filled, 5:], digits.ravel()[filled])
    return presence_loss * per_digit + BOX_WEIGHT / len(filled) * (error * error).sum() + class_loss, grad


# ------------------------------------------------------------------------------------------------------ measures


def detections(network, canvases):
    """For each canvas what is found: rows of box, score and class, best first."""
    found = []
    for start in range(0, len(canvases), BATCH):
        output = network.forward(canvases[start : start + BATCH])
        on_host = output if isinstance(output, np.ndarray) else output.get()
        for boxes, scores, classes in zip(*decode(on_host), strict=True):
            likely = scores >= LOWEST_SCORE
            rows = np.column_stack([boxes, scores, classes])[likely]
            found.append(rows[suppress(boxes[likely], scores[likely], classes[likely])])
    return found


def matched(found, truths, threshold):
    """Of one class: whether each detection is a hit, in the order of their scores.

    A detection is a hit if the true box that it overlaps most reaches the threshold and no better detection has taken
    it (Everingham et al. 2010); so the second detection of one digit is a mistake.

    >>> found = [np.array([[0, 0, 2, 2, 0.9], [0, 0, 2, 1.5, 0.8]]), np.array([[5, 5, 7, 7, 0.7]])]
    >>> matched(found, [np.array([[0, 0, 2, 2]]), np.array([[5, 5, 7, 7]])], threshold=0.5)
    [True, False, True]
    """
    taken = [np.zeros(len(boxes), bool) for boxes in truths]
    ranking = sorted(((row[4], i, row[:4]) for i, rows in enumerate(found) for row in rows), key=lambda one: -one[0])
    hits = []
    for _, i, box in ranking:
        overlap = overlaps(box[None], truths[i])[0]
        best = overlap.argmax() if len(overlap) else None
        hits.append(best is not None and bool(overlap[best] >= threshold and not taken[i][best]))
        if hits[-1]:
            taken[i][best] = True
    return hits


def average_precision(hits, truths):
    """The area under precision against recall, all points, precision made to fall (as PASCAL VOC has it since 2010).

    Each hit adds 1 / truths to the recall.  Here precision is 1, 1/2, 2/3 and recall 1/2, 1/2, 1; made to fall,
    precision is 1, 2/3, 2/3, so that the area is 1/2 * 1 + 1/2 * 2/3:

    >>> round(average_precision([True, False, True], truths=2), 6)
    0.833333
    >>> round(average_precision([True, False, True], truths=4), 6)  # two more are never found
    0.416667
    >>> average_precision([], truths=2)
    0.0
    """
    hits = np.array(hits, bool)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(falling[hits].sum() / truths)


def class_average_precisions(found, boxes, classes, threshold):
    """The average precision of each of the ten digits; their mean is the mAP."""
    values = []
    for digit in range(10):
        truths = [box[is_digit] for box, is_digit in zip(boxes, classes == digit, strict=True)]
        of_digit = [rows[rows[:, 5] == digit] for rows in found]
        values.append(average_precision(matched(of_digit, truths, threshold), sum(map(len, truths))))
    return values


def measure(xp, seed, activation, parameter, rate, canvases, epochs):
    """Train; the loss and the mAP of the test canvases epoch by epoch, and what is found at the end."""
    (images, *truth), (test_images, *test_truth) = training_and_test(seed, canvases)
    images, test_images, targets = xp.asarray(images), xp.asarray(test_images), encode(xp, *truth)
    rng = np.random.default_rng(seed)
    network = detector(xp, activation, parameter, rng)
    optimiser = nn.Adam(network.parameters)
    losses, maps = [], []
    for epoch in range(epochs):
        total = 0.0
        for chosen in nn.batches(canvases, BATCH, rng, xp):
            loss, grad = detection_loss(network.forward(images[chosen], True), *(part[chosen] for part in targets))
            network.backward(grad)
            optimiser.step(network.gradients, rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs)))
            total += float(loss) * len(chosen)
        losses.append(total / canvases)
        found = detections(network, test_images)
        by_class = class_average_precisions(found, *test_truth, 0.5)
        maps.append(float(np.mean(by_class)))
    return {
        "train_loss": losses,
        "map": maps,
        "average_precision": by_class,
        "map75": float(np.mean(class_average_precisions(found, *test_truth, 0.75))),
        "found": [rows[rows[:, 4] >= SHOWN_SCORE].round(2).tolist() for rows in found[:SHOWN]],
    }


# ------------------------------------------------------------------------------------------------------ tables


COLUMNS = {  # what a table says of a run, decimals, and the factor
    "mAP@0.5, %": (lambda run: run["map"][-1], 2, 100),
    "mAP@0.75, %": (lambda run: run["map75"], 2, 100),
    "mAP@0.5 after the first epoch, %": (lambda run: run["map"][0], 2, 100),
    "training loss of the last epoch": (lambda run: run["train_loss"][-1], 3, 1),
}


def differences(results, value):
    """Of leaky_relu from relu, seed by seed: the same seed has the same canvases."""
    relu, leaky = results.values()
    return [value(b) - value(a) for a, b in zip(relu, leaky, strict=True)]


def comparison(results):
    """The table of both activations and of their difference, with what it says in words."""
    rows = [
        [name, *(plus_minus(map(value, runs), *form) for value, *form in COLUMNS.values())]
        for name, runs in results.items()
    ]
    rows.append(["difference", *(plus_minus(differences(results, value), *form) for value, *form in COLUMNS.values())])
    return verdict(results), ["activation", *COLUMNS], rows


def verdict(results):
    means = {name: interval([run["map"][-1] for run in runs])[0] for name, runs in results.items()}
    best = max(means, key=means.get)
    difference, half = interval(differences(results, lambda run: run["map"][-1]))
    return (
        "mAP: the average precision, with all-point interpolation, averaged over the ten digits; a hit overlaps the "
        f"true box by at least 0.5 (or 0.75) of their union. {best} has the higher mean, {100 * means[best]:.2f}%: the "
        f"target of {100 * TARGET:.0f}% for the better one is {'met' if means[best] >= TARGET else 'missed'}. Seed by "
        f"seed leaky_relu has {100 * difference:+.2f} points on average against relu; the interval of this difference "
        f"{'leaves out' if abs(difference) > half else 'holds'} 0."
    )


def class_table(results):
    rows = [
        [name, *(plus_minus([run["average_precision"][digit] for run in runs], 1, 100) for digit in range(10))]
        for name, runs in results.items()
    ]
    means = np.mean([run["average_precision"] for runs in results.values() for run in runs], axis=0)
    text = f"Average precision at 0.5, %. Over all runs {means.argmax()} is found best and {means.argmin()} worst."
    return text, ["activation", *map(str, range(10))], rows


def picture(results, shown):
    figure = Figure(figsize=(8, 6), layout="constrained")
    curves, canvases = figure.subfigures(2, 1, height_ratios=(3, 2.4))
    left, right = curves.subplots(1, 2)
    for (name, runs), color in zip(results.items(), COLORS, strict=True):
        epochs = np.arange(1, len(runs[0]["train_loss"]) + 1)
        left.semilogy(epochs, np.mean([run["train_loss"] for run in runs], axis=0), color=color, label=name)
        maps = 100 * np.array([run["map"] for run in runs])
        right.plot(epochs, maps.mean(axis=0), marker="o", markersize=4, color=color)
        right.fill_between(epochs, maps.min(axis=0), maps.max(axis=0), alpha=0.2, color=color)
    left.set(xlabel="epoch", ylabel="loss for each digit", title="Training loss")
    right.set(xlabel="epoch", ylabel="mAP@0.5, %", title="Test canvases: mean and range")
    right.axhline(100 * TARGET, color="black", linestyle=":", linewidth=1)
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    left.legend(frameon=False)
    show_canvases(canvases, *shown)
    return figure


def show_canvases(figure, images, found, name):
    """The first test canvases of seed 0, with what was found."""
    figure.suptitle(f"{name}, seed 0: what it finds with a score of at least {SHOWN_SCORE}")
    for axes, image, rows in zip(figure.subplots(1, SHOWN), images, found, strict=False):
        axes.imshow(image[:, :, 0], cmap="gray_r", extent=(0, SIDE, SIDE, 0))
        for left, top, right, bottom, _, digit in rows:
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=COLORS[1], linewidth=2))
            tag = {"facecolor": COLORS[1], "edgecolor": "none", "pad": 1}
            axes.text(left, top, f"{digit:.0f}", fontsize=9, weight="bold", va="top", bbox=tag)
        axes.axis("off")


def rate_table(results, rates):
    """Both activations at every rate, seed by seed."""
    names = [nn.label(*which) for which in ACTIVATIONS]
    rows = []
    for rate in rates:
        cells = {name: results[name, rate] for name in names}
        row = [plus_minus([run["map"][-1] for run in runs], 2, 100) for runs in cells.values()]
        rows.append([f"{rate:g}", *row, plus_minus(differences(cells, lambda run: run["map"][-1]), 2, 100)])
    best = max(results, key=lambda key: interval([run["map"][-1] for run in results[key]])[0])
    text = f"mAP@0.5, %, and the difference seed by seed. The highest mean has {best[0]} at {best[1]:g}."
    return text, ["rate", *names, "difference"], rows


def main(argv=None):
    study = Study("detection", "Object detection", seeds=3, argv=argv)
    doctest.testmod(sys.modules[__name__], raise_on_error=True)  # the average precisions computed by hand
    length = {"canvases": 200, "epochs": 2} if study.short else {"canvases": 9000, "epochs": 7}
    rates = (RATE,) if study.short else RATES
    keys = [(which, rate) for rate in rates for which in ACTIVATIONS]
    settings = [{"activation": name, "parameter": number, "rate": rate, **length} for (name, number), rate in keys]
    runs_of = study.run(measure, settings)
    results = {(nn.label(*which), rate): runs for (which, rate), runs in zip(keys, runs_of, strict=True)}
    shown_results = {name: runs for (name, rate), runs in results.items() if rate == RATE}
    tables = {
        f"Activations, rate {RATE:g}": comparison(shown_results),
        "Digits": class_table(shown_results),
        "Learning rates": rate_table(results, rates),
    }
    print(next(iter(tables.values()))[0])
    name, runs = list(shown_results.items())[-1]
    shown = (training_and_test(0, length["canvases"])[1][0], runs[0]["found"], name)
    numbers = [
        {"setting": setting, "map": interval([run["map"][-1] for run in runs]), "runs": runs}
        for setting, runs in zip(settings, runs_of, strict=True)
    ]
    study.write(tables, {"": picture(shown_results, shown)}, numbers)


if __name__ == "__main__":
    main()
