"""Text: the language of a word from its letters, one activation against another.

The 2,000 most frequent words of each of ten languages, without those that two languages have, are split into training
and test part.  The features are the 2,000 n-grams of 1 to 3 letters, begin and end of a word included, that are in most
training words.  One hidden layer, trained with Adam.  Data, initialisation rule, rates and length of training are the
same for all; every activation runs at each of the learning rates, and none is picked for it.

    python examples/evidence/text.py
    python examples/evidence/text.py --short     # a sample in seconds
"""

from _study import Study, interval, plus_minus  # first: it limits the threads of NumPy, and knows where nn is

# isort: split
import nn
import numpy as np
from _data import LANGUAGES, words
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import train_test_split

ACTIVATIONS = (
    ("relu", None),
    ("leaky_relu", 0.01),
    ("leaky_relu", 0.2),
    ("leaky_relu", 0.3),
    ("prelu", None),
    ("rrelu", None),
    ("elu", None),
    ("celu", 0.5),  # celu with alpha 1 is elu
    ("selu", None),
    ("tanh", None),
    ("sigmoid", None),
    ("linear", None),
)
RATES = (1e-3, 3e-3)
RATE = 1e-3  # Adam's usual one, fixed before the runs: what the first table and the picture are of
SHOWN = ("leaky_relu", 0.2)  # whose confusion and examples are shown
BATCH, HIDDEN, N_GRAMS = 100, 128, 2000


def n_grams(xp, train_words, test_words):
    """A row for each word, 1 for each n-gram that it has; "<" and ">" mark begin and end."""
    counter = CountVectorizer(analyzer="char", ngram_range=(1, 3), max_features=N_GRAMS, binary=True, dtype=np.float32)
    train = counter.fit_transform([f"<{word}>" for word in train_words])
    test = counter.transform([f"<{word}>" for word in test_words])
    return xp.asarray(train.toarray()), xp.asarray(test.toarray())


def confusion(xp, labels, predicted):
    """How often each language, by row, is taken for each."""
    count = len(LANGUAGES)
    return xp.bincount(count * labels + predicted, minlength=count * count).reshape(count, count).tolist()


def surest(xp, test_words, labels, logits):
    """For each language, of its words the surest right and the surest wrong answer: word, answer, probability."""
    weights = xp.exp(logits - logits.max(axis=1, keepdims=True))
    sureness, answers = (weights / weights.sum(axis=1, keepdims=True)).max(axis=1), logits.argmax(axis=1)

    def among(chosen):
        index = int(xp.where(chosen, sureness, -1).argmax())
        return test_words[index], int(answers[index]), float(sureness[index])

    return [
        {"right": among((labels == own) & (answers == own)), "wrong": among((labels == own) & (answers != own))}
        for own in range(len(LANGUAGES))
    ]


def measure(xp, seed, activation, parameter, rate, epochs, per_language):
    """Training loss and test accuracy of each epoch; at the end the training accuracy, the confusion and examples."""
    train_words, test_words, train_labels, test_labels = split(*words(per_language), seed)
    train, test = n_grams(xp, train_words, test_words)
    train_labels, test_labels = xp.asarray(train_labels), xp.asarray(test_labels)
    rng = np.random.default_rng(seed)
    network = nn.multilayer_perceptron(xp, (train.shape[1], HIDDEN, len(LANGUAGES)), activation, parameter, rng=rng)
    optimiser = nn.Adam(network.parameters, rate)
    losses, accuracies = [], []
    for _ in range(epochs):
        total = 0.0
        for chosen in nn.batches(len(train), BATCH, rng, xp):
            logits = network.forward(train[chosen], training=True)
            loss, grad = nn.softmax_cross_entropy(logits, train_labels[chosen])
            network.backward(grad)
            optimiser.step(network.gradients)
            total += float(loss) * len(chosen)
        losses.append(total / len(train))
        logits = network.forward(test)
        accuracies.append(nn.accuracy(logits, test_labels))
    return {
        "train_loss": losses,
        "test_accuracy": accuracies,
        "train_accuracy": nn.accuracy(network.forward(train), train_labels),
        "confusion": confusion(xp, test_labels, logits.argmax(axis=1)),
        "surest": surest(xp, test_words, test_labels, logits),
    }


def split(found, labels, seed):
    return train_test_split(found, labels, test_size=0.2, stratify=labels, random_state=seed)


def last(runs):
    return [run["test_accuracy"][-1] for run in runs]


def differences(runs, reference):
    """Of the accuracies, seed by seed: the same seed has the same split, so the split's part falls out."""
    return [a - b for a, b in zip(last(runs), last(reference), strict=True)]


# ---------------------------------------------------------------------------------------------------------- tables


def comparison(results):
    """The table at RATE, and in words how far the activations are apart."""
    relu = results["relu", None, RATE]
    rows, apart = [], []
    for which in ACTIVATIONS:
        runs = results[*which, RATE]
        mean, half = interval(differences(runs, relu))
        if abs(mean) > half:
            apart.append(f"{nn.label(*which)} ({100 * mean:+.2f} points)")
        rows.append(
            [
                nn.label(*which),
                plus_minus(last(runs), scale=100),
                "-" if runs is relu else plus_minus(differences(runs, relu), scale=100),
                plus_minus([run["train_accuracy"] - run["test_accuracy"][-1] for run in runs], scale=100),
                plus_minus([run["train_loss"][0] for run in runs], 3),
            ]
        )
    means = {nn.label(*which): interval(last(results[*which, RATE]))[0] for which in ACTIVATIONS}
    best, worst = max(means, key=means.get), min(means, key=means.get)
    text = (
        f"At a rate of {RATE:g}; guessing has 10%. The means lie between {100 * means[worst]:.2f}% ({worst}) and "
        f"{100 * means[best]:.2f}% ({best}); without an activation (linear) it is {100 * means['linear']:.2f}%. The "
        "difference from relu is taken seed by seed; its interval leaves out 0 for "
        f"{', '.join(apart) or 'none'}. The gap is training accuracy minus test accuracy, in points."
    )
    header = ["activation", "test accuracy, %", "minus relu, points", "gap, points", "training loss of epoch 1"]
    return text, header, rows


def rate_table(results):
    rows = [
        [nn.label(*which), *(plus_minus(last(results[*which, rate]), scale=100) for rate in RATES)]
        for which in ACTIVATIONS
    ]
    best = [max(ACTIVATIONS, key=lambda which: interval(last(results[*which, rate]))[0]) for rate in RATES]
    told = ", ".join(f"{nn.label(*which)} at {rate:g}" for which, rate in zip(best, RATES, strict=True))
    text = f"Test accuracy in %. The highest mean has {told}."
    return text, ["activation", *(f"rate {rate:g}" for rate in RATES)], rows


def example_table(run):
    names = list(LANGUAGES.values())
    rows = []
    for name, found in zip(names, run["surest"], strict=True):
        (right, _, right_sureness), (wrong, answer, wrong_sureness) = found["right"], found["wrong"]
        rows.append([name, f"{right} ({right_sureness:.3f})", wrong, f"{names[answer]} ({wrong_sureness:.3f})"])
    text = (
        f"Of {nn.label(*SHOWN)} with seed 0: for each language the test word that is named rightly with the highest "
        "probability, and the one that is named wrongly with the highest."
    )
    return text, ["language", "surest right", "surest wrong", "taken for"], rows


# --------------------------------------------------------------------------------------------------------- pictures


def picture(results):
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 5))
    show_accuracies(left, results)
    show_confusion(right, results[*SHOWN, RATE])
    return figure


def show_accuracies(axes, results):
    places = np.arange(len(ACTIVATIONS))
    for rate, marker, colour, shift in zip(RATES, "os", ("#006BA4", "#FF800E"), (-0.15, 0.15), strict=True):
        means, halves = zip(*(interval(last(results[*which, rate])) for which in ACTIVATIONS), strict=True)
        axes.errorbar(
            100 * np.array(means),
            places + shift,
            xerr=100 * np.array(halves),
            fmt=marker,
            color=colour,
            markersize=4,
            label=f"rate {rate:g}",
        )
    axes.set_yticks(places, [nn.label(*which) for which in ACTIVATIONS])
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy, %", title="Accuracy")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.16), frameon=False)


def show_confusion(axes, runs):
    """In % of the words of a language."""
    counts = np.sum([run["confusion"] for run in runs], axis=0)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", color="white" if share > 50 else "black")
    places = np.arange(len(LANGUAGES))
    axes.set_yticks(places, LANGUAGES.values())
    axes.set_xticks(places, LANGUAGES)
    axes.set(xlabel="taken for, %", title=f"Confusion of {nn.label(*SHOWN)}")


def main(argv=None):
    study = Study("text", "Text", seeds=3, argv=argv)
    length = {"epochs": 1, "per_language": 200} if study.short else {"epochs": 8, "per_language": 2000}
    keys = [(*which, rate) for which in ACTIVATIONS for rate in RATES]
    settings = [{"activation": name, "parameter": number, "rate": rate, **length} for name, number, rate in keys]
    all_runs = study.run(measure, settings)
    results = dict(zip(keys, all_runs, strict=True))
    tables = {
        "Activations": comparison(results),
        "Learning rates": rate_table(results),
        "Words": example_table(results[*SHOWN, RATE][0]),
    }
    print(tables["Activations"][0])
    numbers = [
        {"setting": setting, "test_accuracy": interval(last(runs)), "runs": runs}
        for setting, runs in zip(settings, all_runs, strict=True)
    ]
    study.write(tables, {"": picture(results)}, numbers)


if __name__ == "__main__":
    main()
