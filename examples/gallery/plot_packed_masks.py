"""
One bit per element
===================

To send a gradient back through a rectifier, it is enough to know which side of 0 each element was on.
`pyleaky.leaky_relu` can return that as packed bits, 32 times less than the float32 input, and write its
result over the input.
"""

import matplotlib.pyplot as plt
import numpy as np

import pyleaky

rng = np.random.default_rng(0)
x = rng.normal(size=(256, 4096)).astype(np.float32)
grad = rng.normal(size=x.shape).astype(np.float32)

# %%
# The gradient from the mask has the bits of the one from x.
from_x = pyleaky.leaky_relu_backward(grad, x, 0.1)
y, mask = pyleaky.leaky_relu(x.copy(), 0.1, return_mask=True)
from_mask = pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=0.1)
print("equal bits:", np.array_equal(from_x.view(np.uint32), from_mask.view(np.uint32)))
print(f"x: {x.nbytes:,} bytes, mask: {mask.nbytes:,} bytes")

# %%
# The mask is what ``np.packbits`` makes, and `pyleaky.unpack_mask` gives booleans.
print("as np.packbits:", np.array_equal(mask, np.packbits(x > 0, bitorder="little")))
print("unpacked:", np.array_equal(pyleaky.unpack_mask(mask, x.shape), x > 0))

# %%
# What sixteen such layers in a row keep for their backward pass.
layers = 16
kept = {
    "input of each layer": x.nbytes * layers,
    "mask of each layer": mask.nbytes * layers,
}
fig, ax = plt.subplots(figsize=(7, 2.2), layout="constrained")
bars = ax.barh(list(kept), [size / 2**20 for size in kept.values()], color=["0.6", "C0"])
ax.bar_label(bars, fmt="%.1f MiB", padding=4)
ax.set(xlabel="MiB kept for the backward pass", xlim=(0, 80))
ax.invert_yaxis()
ax.spines[["top", "right"]].set_visible(False)
plt.show()
