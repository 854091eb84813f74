"""What each row of src/activations.h should give, written from the papers' formulas and not from the table.

Arguments and result are float64 arrays in the row's order of inputs.  For float32 the exact result is rounded once
by the caller; a product of two float32 is exact in float64.  A new row needs a function of its name here.
"""

import numpy as np


def relu(x):
    # max(0, x) for numbers; NaN and the sign of zero are the input's.
    return np.array([v if v != v or v == 0 else max(0.0, v) for v in x.ravel()]).reshape(x.shape)


def relu_backward(grad, x):
    return np.array([g if v > 0 else 0.0 for g, v in zip(grad.ravel(), x.ravel(), strict=True)]).reshape(x.shape)


def leaky_relu(x, slope):
    # Maas 2013, with 0 and NaN on the side of the slope.
    y = np.array(x, copy=True)
    left = ~(x > 0)
    y[left] = (slope * x)[left]
    return y


def leaky_relu_backward(grad, x, slope):
    factor = np.where(x > 0, 1.0, slope)
    return np.where(x > 0, grad, factor * grad)


def prelu_weight_grad(grad, x):
    # He 2015, equation 8 before the sum over the positions of a channel.
    term = grad * x
    term[x > 0] = 0.0
    return term
