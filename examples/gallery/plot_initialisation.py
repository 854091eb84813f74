"""
Variance through thirty layers
==============================

A weight matrix multiplies the variance of a signal, and an activation takes some of it away. If the two do not cancel,
thirty layers of them leave nothing, or too much. `pyleaky.init.gain` has the factor for each activation.
"""

import matplotlib.pyplot as plt
import numpy as np

import pyleaky
from pyleaky import init

LAYERS, UNITS = 30, 256


def second_moments(activate, scale):
    """The mean square of the signal before each layer's activation, from weights of variance scale**2 / inputs."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(256, UNITS)).astype(np.float32)
    moments = []
    for _ in range(LAYERS):
        before = signal @ (init.lecun_normal((UNITS, UNITS), rng=rng, dtype=np.float32) * np.float32(scale))
        moments.append(float((before**2).mean()))
        signal = activate(before)
    return moments


# %%
# The gain is 1 over the root of the mean square that a normal signal has after the activation.
ACTIVATIONS = {
    "relu": (pyleaky.relu, init.gain("relu")),
    "leaky_relu 0.2": (lambda x: pyleaky.leaky_relu(x, 0.2), init.gain("leaky_relu", 0.2)),
    "elu": (pyleaky.elu, init.gain("elu")),
    "celu 0.5": (lambda x: pyleaky.celu(x, 0.5), init.gain("celu", 0.5)),
    "selu": (pyleaky.selu, init.gain("selu")),
}
for name, (_, gain) in ACTIVATIONS.items():
    print(f"{name:15} gain {gain:.4f}")

# %%
# Without a gain, half of relu's signal is lost in each layer. selu's constants are chosen so that its gain is 1.
fig, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for ax, title, has_gain in zip(
    panels, ("variance 1 / inputs", "with each activation's gain"), (False, True), strict=True
):
    for place, (name, (activate, gain)) in enumerate(ACTIVATIONS.items()):
        moments = second_moments(activate, gain if has_gain else 1.0)
        ax.plot(range(1, LAYERS + 1), moments, label=name, linestyle=("-", "--", "-.", ":", (0, (5, 1)))[place])
    ax.set(title=title, xlabel="layer", yscale="log", ylim=(1e-10, 10))
    ax.grid(alpha=0.3)
panels[0].set_ylabel("mean square before the activation")
panels[0].legend()
plt.show()
