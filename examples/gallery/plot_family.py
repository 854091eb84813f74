"""
The family and its derivatives
==============================

All members pass positive numbers through. They differ in what becomes of negative ones: nothing, a line, or a curve
that bends towards a constant.
"""

import numpy as np

import pyleaky

# %%
# The slope of leaky ReLU is exaggerated here; its default is 0.01. At 0 the derivative is that of the negative side: 0
# for relu, the slope for leaky_relu, alpha for elu, and 1 for celu.
family = pyleaky.plot_activations(params={"leaky_relu": 0.1})

# %%
# elu bends by alpha in height alone, so with any alpha but 1 its derivative jumps at 0. celu bends in both directions
# and stays smooth.
x = np.array([-3.0, -1.0, -0.1, 0.0, 1.0], np.float32)
one, zero = np.float32(1), np.float32(0)
for alpha in (0.5, 1.0, 2.0):
    print(f"alpha {alpha}, derivative at 0: elu {pyleaky.elu_backward(one, zero, alpha)}, ", end="")
    print(f"celu {pyleaky.celu_backward(one, zero, alpha)}")
    print("  elu  ", pyleaky.elu(x, alpha).round(4))
    print("  celu ", pyleaky.celu(x, alpha).round(4))

# %%
# Near 0 the textbook formula loses its digits: exp(x) is rounded to a number next to 1, and little is left of x after 1
# has been taken away. pyleaky's result is the nearest float32.
small = np.float32([-1e-3, -1e-5, -1e-7])
exact = np.expm1(small.astype(np.float64))
for name, result in {"np.exp(x) - 1": np.exp(small) - np.float32(1), "pyleaky.elu(x)": pyleaky.elu(small)}.items():
    print(f"{name:15} relative error:", np.abs(result / exact - 1))

# %%
# rrelu draws a slope for each element; in evaluation it takes the mean of the two ends.
random = pyleaky.plot_activations(["relu", "rrelu", "selu"])
