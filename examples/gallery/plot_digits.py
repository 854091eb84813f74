"""
A network on digits, by activation
==================================

A network with one hidden layer learns scanned digits. The gradients are written out: one matrix product and one call of
pyleaky for each layer. Only the activation differs between the curves.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import pyleaky
from pyleaky import init

images, labels = load_digits(return_X_y=True)
images = (images / 16 - 0.3).astype(np.float32)
order = np.random.default_rng(0).permutation(len(images))
train, test = order[:1400], order[1400:]

# %%
# A forward function, its gradient from the output alone (so the input need not be kept), and the gain that He's
# initialisation needs for it.
ACTIVATIONS = {
    "relu": (pyleaky.relu, lambda grad, y: pyleaky.relu_backward(grad, output=y), init.gain("relu")),
    "leaky_relu 0.1": (
        lambda x: pyleaky.leaky_relu(x, 0.1),
        lambda grad, y: pyleaky.leaky_relu_backward(grad, output=y, negative_slope=0.1),
        init.gain("leaky_relu", 0.1),
    ),
    "elu": (pyleaky.elu, lambda grad, y: pyleaky.elu_backward(grad, output=y), init.gain("elu")),
    "selu": (pyleaky.selu, lambda grad, y: pyleaky.selu_backward(grad, output=y), init.gain("selu")),
    "none": (lambda x: x, lambda grad, y: grad, 1.0),
}


def learn(activation, backward, gain, epochs=25, rate=0.1):
    rng = np.random.default_rng(1)
    hidden = init.lecun_normal((64, 64), rng=rng, dtype=np.float32) * np.float32(gain)
    last = init.lecun_normal((64, 10), rng=rng, dtype=np.float32)
    accuracies = []
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(train), 44):
            x = images[batch]
            y = activation(x @ hidden)
            scores = y @ last
            grad = np.exp(scores - scores.max(axis=1, keepdims=True))
            grad /= grad.sum(axis=1, keepdims=True)  # softmax
            grad[np.arange(len(batch)), labels[batch]] -= 1
            grad /= len(batch)
            dhidden = x.T @ backward(grad @ last.T, y)
            last -= rate * (y.T @ grad)
            hidden -= rate * dhidden
        guess = (activation(images[test] @ hidden) @ last).argmax(axis=1)
        accuracies.append((guess == labels[test]).mean())
    return accuracies


# %%
# On digits this easy all of the family come out alike; what is missing without an activation is plain to see.
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, functions in ACTIVATIONS.items():
    accuracies = learn(*functions)
    ax.plot(range(1, len(accuracies) + 1), accuracies, label=f"{name}: {accuracies[-1]:.1%}")
ax.set(xlabel="epoch", ylabel="accuracy on 397 digits that were not trained on", ylim=(0.85, 1))
ax.legend(loc="lower right")
ax.grid(alpha=0.3)
plt.show()
