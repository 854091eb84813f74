"""What each row of src/activations.h should give, written from the papers' formulas and not from the table.

Arguments are arrays in the row's order of inputs and of the dtype under test.  A row of one multiplication gives its
result in that dtype, to be compared bit for bit.  A row with an exponential gives it exact to 2^-50 or better, for
a bound in ULP: as np.longdouble, or, where the arguments are arrays of mpmath numbers (dtype object), as those in
mpmath's working precision.  A new row needs a function of its name here.
"""

from decimal import Decimal

import mpmath
import numpy as np

# Klambauer 2017: scale and scale * alpha, folded before they are rounded to float64.
SELU_SCALE = float(Decimal("1.0507009873554804934193349852946"))
SELU_A = float(Decimal("1.0507009873554804934193349852946") * Decimal("1.6732632423543772848170429916717"))


def ulps(result, exact):
    """The error in units of the last place that `exact`, of higher precision, has in the dtype of `result`."""
    info = np.finfo(result.dtype)
    with np.errstate(all="ignore"):
        if exact.dtype == object:
            rounded = exact.astype(np.float64).astype(result.dtype)
            exponent = np.array([max(mpmath.frexp(v)[1], info.minexp) for v in exact.flat], np.int64)
            ldexp = np.frompyfunc(mpmath.ldexp, 2, 1)
        else:
            rounded, exponent, ldexp = exact.astype(result.dtype), np.frexp(exact)[1].astype(np.int64), np.ldexp
        place = np.maximum(exponent - 1, info.minexp) - info.nmant
        error = np.abs(ldexp(result.astype(exact.dtype) - exact, -place)).astype(np.float64)
    error[(rounded == result) & np.isinf(result) | np.isnan(rounded) & np.isnan(result)] = 0
    error[np.isnan(error)] = np.inf
    return error


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


def scaled(x, factor):
    return x * factor


def add_scaled(x, w, factor):
    # Krogh 1991: the gradient of factor / 2 * w^2 is added.
    return x + factor * w


def clipped(x, bound):
    # NaN stays.  A bound of 0 leaves no -0.0 but where x is one; one below 0 never comes from clip_grad_value.
    least = x.dtype.type(0) - bound
    y = np.where(bound < x, bound, x)
    return np.where(least > y, least, y)


def _wide(*arrays):
    return [array if array.dtype == object else array.astype(np.longdouble) for array in map(np.asarray, arrays)]


def _apply(name, x):
    if x.dtype == object:
        return np.frompyfunc(getattr(mpmath, name), 1, 1)(x)
    return getattr(np, name)(x)


def _one_sided(x, right, left):
    """The branches of every member of the family, with 0 and NaN on the left."""
    return np.where(x > 0, right, left)


def elu(x, alpha):
    # Clevert 2015.
    x, alpha = _wide(x, alpha)
    return _one_sided(x, x, alpha * _apply("expm1", x))


def elu_backward(grad, x, alpha):
    grad, x, alpha = _wide(grad, x, alpha)
    return _one_sided(x, grad, alpha * _apply("exp", x) * grad)


def elu_double_backward(gg, grad, x, alpha):
    return _one_sided(x, 0, elu_backward(*_wide(gg), x, alpha) * grad)


def celu(x, alpha):
    # Barron 2017.
    x, alpha = _wide(x, alpha)
    return _one_sided(x, x, alpha * _apply("expm1", x / alpha))


def celu_backward(grad, x, alpha):
    grad, x, alpha = _wide(grad, x, alpha)
    return _one_sided(x, grad, _apply("exp", x / alpha) * grad)


def celu_double_backward(gg, grad, x, alpha):
    gg, grad, x, alpha = _wide(gg, grad, x, alpha)
    return _one_sided(x, 0, _apply("exp", x / alpha) / alpha * gg * grad)


def selu(x):
    (x,) = _wide(x)
    return _one_sided(x, SELU_SCALE * x, SELU_A * _apply("expm1", x))


def selu_backward(grad, x):
    grad, x = _wide(grad, x)
    return _one_sided(x, SELU_SCALE * grad, SELU_A * _apply("exp", x) * grad)


def selu_double_backward(gg, grad, x):
    gg, grad, x = _wide(gg, grad, x)
    return _one_sided(x, 0, SELU_A * _apply("exp", x) * gg * grad)


# From the output, the derivative is a sum, and that sum is rounded to the dtype: it has no more digits than `output`.


def _rounded_sum(output, a):
    (wide,) = _wide(output)
    return (wide + a).astype(output.dtype).astype(np.longdouble)


def elu_backward_from_output(grad, output, alpha):
    return _one_sided(output, grad, _rounded_sum(output, alpha) * grad)


def celu_backward_from_output(grad, output, alpha):
    return _one_sided(output, grad, _rounded_sum(output, alpha) / alpha * grad)


def selu_backward_from_output(grad, output):
    (wide,) = _wide(grad)
    return _one_sided(output, SELU_SCALE * wide, _rounded_sum(output, SELU_A) * wide)


def philox4x32(counter, key):
    """Philox4x32-10 (Salmon 2011): counter (..., 4) and key (2,) of 32-bit numbers to as many words."""
    c = [np.asarray(counter, np.uint64)[..., k] for k in range(4)]
    k0, k1 = (int(word) for word in key)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        products = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        (hi0, lo0), (hi1, lo1) = ((p >> np.uint64(32), p & low) for p in products)
        c = [hi1 ^ c[1] ^ np.uint64(k0), lo1, hi0 ^ c[3] ^ np.uint64(k1), lo0]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack(c, axis=-1).astype(np.uint32)


def random_words(seed, stream, indices):
    """The words of the elements with these indices (integers of any size below 2^64)."""
    indices = np.asarray(indices, np.uint64)
    block, word = indices // np.uint64(4), (indices % np.uint64(4)).astype(np.int64)
    halves = [block % np.uint64(2**32), block // np.uint64(2**32)]
    counter = np.stack([*halves, np.full_like(block, stream), np.zeros_like(block)], axis=-1)
    words = philox4x32(counter, (seed % 2**32, seed // 2**32))
    return np.take_along_axis(words, word[..., None], axis=-1)[..., 0]


def dropout(x, p, seed, indices):
    # Srivastava 2014, divided by the probability to be kept; x is float32 or float64.
    dropped = random_words(seed, 0, indices).astype(np.uint64) < int(np.floor(p * 2.0**32))
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return np.where(dropped, x.dtype.type(0), x * scale)


def rrelu_slopes(dtype, lower, upper, seed, indices):
    # Xu 2015.
    lower, upper = np.dtype(dtype).type(lower), np.dtype(dtype).type(upper)
    unit = (random_words(seed, 1, indices) // np.uint32(256)).astype(dtype) / np.dtype(dtype).type(2**24)
    return lower + (upper - lower) * unit
