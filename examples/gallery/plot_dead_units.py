"""
Dead units, watched and cured
=============================

A unit whose pre-activation is negative for every sample has derivative 0 on all of them under relu: no gradient
reaches its weights, and it never comes back. `pyleaky.diagnostics.UnitMonitor` counts such units while a network
learns. Here the weights of the hidden layer start small and its biases at -1, so that no unit is ever positive.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import pyleaky
from pyleaky import init
from pyleaky.diagnostics import UnitMonitor

images, labels = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)


def learn(slope, epochs=30, rate=0.1):
    """The monitor after training, and the training accuracy after each epoch; slope 0 is relu."""
    rng = np.random.default_rng(0)
    hidden = np.float32(0.3) * init.he_normal((64, 128), rng=rng, dtype=np.float32)
    last = init.lecun_normal((128, 10), rng=rng, dtype=np.float32)
    bias = np.full(128, -1, np.float32)
    monitor = UnitMonitor("leaky_relu", slope) if slope else UnitMonitor("relu")
    accuracies = []
    for _ in range(epochs):
        right = 0
        for batch in np.array_split(rng.permutation(len(images)), 56):
            x = images[batch]
            before = x @ hidden + bias
            monitor.update("hidden", before)
            y = pyleaky.leaky_relu(before, slope)
            scores = y @ last
            right += (scores.argmax(axis=1) == labels[batch]).sum()
            grad = np.exp(scores - scores.max(axis=1, keepdims=True))
            grad /= grad.sum(axis=1, keepdims=True)
            grad[np.arange(len(batch)), labels[batch]] -= 1
            grad /= len(batch)
            dlast = y.T @ grad
            grad = pyleaky.leaky_relu_backward(grad @ last.T, before, slope)
            hidden -= rate * (x.T @ grad)
            bias -= rate * grad.sum(axis=0)
            last -= rate * dlast
        monitor.end_period()
        accuracies.append(right / len(images))
    return monitor, accuracies


# %%
# With relu nothing is learned. A slope of 0.01 lets a hundredth of the gradient through, too little for a unit to come
# back in 30 epochs; with 0.2 some come back, and the others learn all the same.
runs = {slope: learn(slope) for slope in (0.0, 0.01, 0.2)}

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for slope, (monitor, accuracies) in runs.items():
    label = f"slope {slope:g}" if slope else "relu"
    periods = monitor.to_dict()["layers"][0]["periods"]
    style = {"label": label, "linestyle": "-" if slope else "--", "zorder": 2 if slope else 3}
    left.plot([period["never_positive"] for period in periods], **style)
    right.plot(accuracies, **style)
left.set(xlabel="epoch", ylabel="units of 128 that are never positive", ylim=(0, 132))
right.set(xlabel="epoch", ylabel="training accuracy", ylim=(0, 1))
for ax in (left, right):
    ax.legend()
    ax.grid(alpha=0.3)
plt.show()

# %%
# The monitor's own table and figure, for the slope of 0.2. A unit that is never positive under a leaky slope is not
# dead: its derivative is the slope.
monitor = runs[0.2][0]
print(monitor.summary())
figure = monitor.plot()
