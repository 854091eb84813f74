"""A convolutional Keras model on real handwritten digits, with pyleaky's layers and with Keras's own.

The data are scikit-learn's 1,797 scanned digits.  The second model is the first with every activation and dropout layer
exchanged by `keras.models.clone_model`, its weights copied; both are trained alike.  pyleaky's is saved in the .keras
format, loaded again and asked the same questions.

    pip install ".[tensorflow,examples]"
    python examples/keras_digits.py
    python examples/keras_digits.py --activation ELU --epochs 3
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import pyleaky.tensorflow

OURS = {name: getattr(pyleaky.tensorflow, name) for name in pyleaky.tensorflow.__all__ if not name.islower()}
ACTIVATIONS = {"ReLU": {}, "LeakyReLU": {"negative_slope": 0.2}, "PReLU": {"shared_axes": [1, 2]}, "ELU": {}}


def build(activation):
    """Keras alone: nothing of pyleaky is in it yet."""
    layers, kind, arguments = keras.layers, getattr(keras.layers, activation), ACTIVATIONS[activation]
    convolutions = [(32, 1), (32, 1), (64, 2)]
    blocks = [part for filters, stride in convolutions for part in block(filters, stride, kind(**arguments))]
    return keras.Sequential([keras.Input((8, 8, 1)), *blocks, layers.Flatten(), layers.Dropout(0.3), layers.Dense(10)])


def block(filters, stride, activation):
    layers = keras.layers
    convolution = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, kernel_initializer="he_normal")
    return convolution, layers.BatchNormalization(), activation


def with_pyleaky(model):
    """A model whose layers are pyleaky's where it has one of that name, with the same weights."""

    def ours(layer):
        return OURS.get(type(layer).__name__, type(layer)).from_config(layer.get_config())

    clone = keras.models.clone_model(model, clone_function=ours)
    clone.set_weights(model.get_weights())
    return clone


def train(model, data, epochs, name):
    """The accuracy on what was held out, and the seconds per epoch after the first, which builds the graph."""
    train_x, test_x, train_y, test_y = data
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    seconds = []
    for _ in tqdm(range(epochs), desc=name, unit="epoch"):
        start = time.perf_counter()
        model.fit(train_x, train_y, batch_size=64, verbose=0)
        seconds.append(time.perf_counter() - start)
    accuracy = model.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]
    return accuracy, min(seconds)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", choices=ACTIVATIONS, default="LeakyReLU", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(options.seed)
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    data = train_test_split(images, labels, test_size=0.2, random_state=options.seed, stratify=labels)

    theirs = build(options.activation)
    ours = with_pyleaky(theirs)
    accuracies = {}
    for name, model in (("pyleaky", ours), ("Keras", theirs)):
        accuracies[name], seconds = train(model, data, options.epochs, name)
        print(f"{name:8} accuracy {accuracies[name]:.2%}, {seconds:.2f} s per epoch")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.keras"
        ours.save(path)
        loaded = keras.models.load_model(path)
    same = np.allclose(loaded.predict(data[1], verbose=0), ours.predict(data[1], verbose=0), rtol=1e-4, atol=1e-4)
    print(f"saved and loaded: {'the same' if same else 'other'} predictions")
    return accuracies, same


if __name__ == "__main__":
    main()
