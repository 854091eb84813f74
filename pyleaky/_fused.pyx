"""The public functions whose random numbers are drawn again instead of stored: arguments, docstrings, back end.

They go through src/fused.inc and nowhere else; _functions has what they share with the activations.
"""
cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint64_t

from pyleaky._core cimport dtype_of, run_random

import math
import operator

import numpy as np

from pyleaky import _core
from pyleaky._functions import (
    _back_end,
    _check_dtype,
    _check_equal_shapes,
    _check_out,
    _contiguous,
    _deliver,
    _fresh_or,
    leaky_relu,
    leaky_relu_backward,
)

cdef extern from "leaky.h":
    enum:
        LEAKY_MAX_DIMS
        LEAKY_DROPOUT
        LEAKY_RRELU
        LEAKY_RRELU_BACKWARD

cnp.import_array()

KERNELS = {"dropout": LEAKY_DROPOUT, "rrelu": LEAKY_RRELU, "rrelu_backward": LEAKY_RRELU_BACKWARD}


def _seeded(function, seed, call):
    """call(an int of 64 bits), and that int: the seed, or what a Generator draws, unless the call is refused."""
    if not isinstance(seed, np.random.Generator):
        seed = _seed(function, seed)
        return call(seed), seed
    before = seed.bit_generator.state
    drawn = int(seed.integers(0, 2**64, dtype=np.uint64))
    try:
        return call(drawn), drawn
    except BaseException:
        seed.bit_generator.state = before
        raise


def _seed(function, seed):
    if seed is None:
        raise TypeError(
            f"{function} needs a seed, a fresh one for each layer and step, so that the backward pass can draw again "
            "what the forward pass drew: for example seed=np.random.SeedSequence([run, step, layer])"
            ".generate_state(1, np.uint64)[0], or a numpy.random.Generator with return_seed=True"
        )
    return _index("seed", seed, "an integer or a numpy.random.Generator")


def _index(argument, value, expected="an integer"):
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument} must be {expected}, got {type(value).__name__}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be {expected}, got {type(value).__name__}") from None
    if not 0 <= number < 2**64:
        raise ValueError(f"{argument} must be in [0, 2**64), got {number}")
    return number


def _real(argument, value):
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except TypeError:
        raise TypeError(f"{argument} must be a number, got {type(value).__name__}") from None


def _probability(p):
    p = _real("p", p)
    if not 0 <= p <= 1:
        raise ValueError(f"p must be in [0, 1], got {p}")
    return p


def _bounds(lower, upper):
    lower, upper = _real("lower", lower), _real("upper", upper)
    for argument, bound in (("lower", lower), ("upper", upper)):
        if not math.isfinite(bound):
            raise ValueError(f"{argument} must be finite, got {bound}")
    if lower > upper:
        raise ValueError(f"lower must not be above upper, got lower={lower} and upper={upper}")
    return lower, upper


def _as_array(argument, value):
    """An array as it is, and one of what only looks like one."""
    if isinstance(value, np.ndarray) or hasattr(value, "__array_ufunc__") or hasattr(value, "__cuda_array_interface__"):
        return value
    value = np.asarray(value)
    _check_dtype(argument, value)
    return value


def run(name, operands, out, seed, start, first, second, strides=None):
    """
    Run a kernel of random numbers on (argument's name, array) pairs of one shape.

    strides is how much the index of the random numbers rises along each axis, by default as in an array of its own.
    """
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    operands = [(argument, _as_array(argument, value)) for argument, value in operands]
    back_end = _back_end([*operands, ("out", out)])
    shape = operands[0][1].shape
    for argument, value in operands:
        _check_dtype(argument, value)
        _check_equal_shapes(argument, value, operands[0][0], shape)
    if strides is None:
        strides = [math.prod(shape[k + 1:]) for k in range(len(shape))]
    if back_end is not None:
        return back_end.random(name, [value for _, value in operands], out, seed, start, first, second)
    return _run(KERNELS[name], operands, out, seed, start, first, second, strides)


cdef object _run(int kernel, operands, out, uint64_t seed, uint64_t start, double first, double second, strides):
    cdef ptrdiff_t shape[LEAKY_MAX_DIMS]
    cdef uint64_t steps[LEAKY_MAX_DIMS]
    cdef cnp.ndarray y
    cdef const char *data[2]
    cdef int k, dims, code, count = len(operands)
    dtype = None
    if count == 2:  # as a ufunc promotes them
        known = [v.dtype if _core.supports(v.dtype) else np.dtype(np.float64) for _, v in operands]
        dtype = np.result_type(*known) if known[0] != known[1] else known[0].newbyteorder("=")
    given = [_contiguous(argument, value, dtype) for argument, value in operands]
    like = operands[0][1]
    out = _check_out(out, like.shape, given[0].dtype)
    target = given[0]
    for other in given[1:]:
        if out is not None and np.may_share_memory(out, other) and out is not other:
            target = None
    y = np.empty_like(given[0]) if target is None else _fresh_or(out, target)
    dims = y.ndim
    for k in range(dims):
        shape[k] = like.shape[k]
        steps[k] = strides[k]
    data[0] = data[1] = NULL
    for k in range(count):
        data[k] = <const char *>cnp.PyArray_DATA(<cnp.ndarray>given[k])
    code = dtype_of(cnp.PyArray_TYPE(y))
    if kernel == LEAKY_DROPOUT and first == 0:
        np.copyto(y, given[0])
        return _deliver(y, out, like)
    with nogil:
        run_random(kernel, code, data[0], data[1], <char *>cnp.PyArray_DATA(y), dims, shape, steps, seed, start, first,
                   second)
    return _deliver(y, out, like)


def dropout(x, p=0.5, *, seed=None, start=0, training=True, out=None, return_seed=False):
    """
    Inverted dropout: each element becomes 0 with probability p, and the others are divided by 1 - p.

    .. math:: y_i = 0 \\text{ if } w_i < \\lfloor 2^{32} p \\rfloor, \\text{ else } x_i \\cdot \\frac{1}{1 - p}

    where w_i is word i mod 4 of block i // 4 of Philox4x32-10, keyed by the seed.

    Parameters
    ----------
    x : ndarray or array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    p : float, optional
        Probability of an element to be dropped, in [0, 1].
    seed : int or numpy.random.Generator
        Where the random numbers come from: an integer in [0, 2**64), a fresh one for each layer and step, or a
        generator from which one is drawn.  Not needed where `training` is False.
    start : int, optional
        Index of the first element, for arrays that are parts of a larger one: elements are counted in C order.
    training : bool, optional
        Where False, nothing is dropped and nothing multiplied.
    out : ndarray, optional
        Where the result is stored; may be `x`.
    return_seed : bool, optional
        Return the seed too, which `dropout_backward` needs where a generator has drawn it.

    Returns
    -------
    y : ndarray or scalar
        Same shape and memory order as `x`; float64 for integers and bool, otherwise the dtype of `x`.
    seed : int
        Only with ``return_seed=True``.

    Raises
    ------
    TypeError
        If `seed` is missing or not an integer, `p` or `start` is no number, or the dtype of `x` is unsupported.
    ValueError
        If `p` is outside of [0, 1] or NaN, or `seed` or `start` outside of [0, 2**64).

    See Also
    --------
    dropout_backward

    Notes
    -----
    The mask depends on seed and index alone: it is the same for every dtype, memory order, number of threads, on CPU
    and GPU.  A dropped element is 0 even where `x` is NaN or infinite.  1 / (1 - p) is rounded once to the type that
    is computed in, float32 for half types.

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
    J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.dropout(np.ones(8), 0.5, seed=1)
    array([2., 2., 2., 2., 2., 2., 0., 2.])
    """
    p = _probability(p)
    start = _index("start", start)
    if not training:
        y = run("dropout", [("x", x)], out, 0, start, 0.0, 0.0)
        return (y, seed) if return_seed else y
    y, seed = _seeded("dropout", seed, lambda drawn: run("dropout", [("x", x)], out, drawn, start, p, 0.0))
    return (y, seed) if return_seed else y


def dropout_backward(grad, p=0.5, *, seed=None, start=0, training=True, out=None):
    """
    Gradient of `dropout` with respect to its input: dropout of the gradient, with the same mask.

    .. math:: dx_i = 0 \\text{ if } w_i < \\lfloor 2^{32} p \\rfloor, \\text{ else } grad_i \\cdot \\frac{1}{1 - p}

    Parameters
    ----------
    grad : ndarray or array_like
        Gradient of the loss with respect to the output.
    p : float, optional
        What `dropout` was given.
    seed : int
        What `dropout` was given, or returned with ``return_seed=True``.
    start : int, optional
        What `dropout` was given.
    training : bool, optional
        What `dropout` was given.
    out : ndarray, optional
        Where the result is stored; may be `grad`.

    Returns
    -------
    ndarray or scalar
        Gradient of the loss with respect to the input, same shape.

    Raises
    ------
    TypeError
        If `seed` is missing or not an integer (a generator would draw another one), `p` or `start` is no number, or
        the dtype of `grad` is unsupported.
    ValueError
        If `p` is outside of [0, 1] or NaN, or `seed` or `start` outside of [0, 2**64).

    See Also
    --------
    dropout

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> y, seed = pyleaky.dropout(np.ones(8), 0.5, seed=np.random.default_rng(0), return_seed=True)
    >>> dx = pyleaky.dropout_backward(np.ones(8), 0.5, seed=seed)
    >>> np.array_equal(dx, y)
    True
    """
    p = _probability(p)
    start = _index("start", start)
    if not training:
        return run("dropout", [("grad", grad)], out, 0, start, 0.0, 0.0)
    return run("dropout", [("grad", grad)], out, _drawn("dropout_backward", seed), start, p, 0.0)


def _drawn(function, seed):
    """A seed for a backward pass, which must be the one of the forward pass."""
    if isinstance(seed, np.random.Generator):
        raise TypeError(
            f"seed must be the integer that the forward pass used (return_seed=True returns it): {function} would draw "
            "another one from a Generator"
        )
    return _seed(function, seed)


def rrelu(x, lower=1 / 8, upper=1 / 3, *, seed=None, start=0, training=True, out=None, return_seed=False):
    """
    Randomized leaky rectified linear unit: each element on the negative side has a random slope of its own.

    .. math:: y_i = x_i \\text{ if } x_i > 0, \\text{ else } (lower + (upper - lower) u_i) \\cdot x_i

    where u_i is word i mod 4 of block i // 4 of Philox4x32-10, keyed by the seed, in steps of 2**-24 in [0, 1).

    Parameters
    ----------
    x : ndarray or array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    lower, upper : float, optional
        Between which the slopes lie.
    seed : int or numpy.random.Generator
        Where the random numbers come from: an integer in [0, 2**64), a fresh one for each layer and step, or a
        generator from which one is drawn.  Not needed where `training` is False.
    start : int, optional
        Index of the first element, for arrays that are parts of a larger one: elements are counted in C order.
    training : bool, optional
        Where False, every slope is the mean, (lower + upper) / 2.
    out : ndarray, optional
        Where the result is stored; may be `x`.
    return_seed : bool, optional
        Return the seed too, which `rrelu_backward` needs where a generator has drawn it.

    Returns
    -------
    y : ndarray or scalar
        Same shape and memory order as `x`; float64 for integers and bool, otherwise the dtype of `x`.
    seed : int
        Only with ``return_seed=True``.

    Raises
    ------
    TypeError
        If `seed` is missing or not an integer, `lower`, `upper` or `start` is no number, or the dtype of `x` is
        unsupported.
    ValueError
        If `lower` is above `upper`, either is not finite, or `seed` or `start` is outside of [0, 2**64).

    See Also
    --------
    rrelu_backward, leaky_relu

    Notes
    -----
    The slopes depend on seed and index alone; nothing needs to be stored for the backward pass but the seed and x.
    They are computed in the type of the result (float32 for half types), with one rounding per operation.

    References
    ----------
    B. Xu, N. Wang, T. Chen and M. Li, "Empirical evaluation of rectified activations in convolutional network", 2015,
    arXiv:1505.00853.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> pyleaky.rrelu(np.array([-8.0, -8.0, 8.0]), seed=1)
    array([-1.04575372, -1.43300351,  8.        ])
    >>> pyleaky.rrelu(np.array([-8.0, -8.0, 8.0]), 0.0, 0.5, training=False)
    array([-2., -2.,  8.])
    """
    lower, upper = _bounds(lower, upper)
    start = _index("start", start)
    if not training:
        y = leaky_relu(x, lower / 2 + upper / 2, out=out)
        return (y, seed) if return_seed else y
    y, seed = _seeded("rrelu", seed, lambda drawn: run("rrelu", [("x", x)], out, drawn, start, lower, upper))
    return (y, seed) if return_seed else y


def rrelu_backward(grad, x, lower=1 / 8, upper=1 / 3, *, seed=None, start=0, training=True, out=None):
    """
    Gradient of `rrelu` with respect to its input; the slopes are drawn again.

    .. math:: dx_i = grad_i \\text{ if } x_i > 0, \\text{ else } (lower + (upper - lower) u_i) \\cdot grad_i

    Parameters
    ----------
    grad : ndarray or array_like
        Gradient of the loss with respect to the output.
    x : ndarray or array_like
        What `rrelu` was given; same shape as `grad`.
    lower, upper : float, optional
        What `rrelu` was given.
    seed : int
        What `rrelu` was given, or returned with ``return_seed=True``.
    start : int, optional
        What `rrelu` was given.
    training : bool, optional
        What `rrelu` was given.
    out : ndarray, optional
        Where the result is stored; may be `grad` or `x`.

    Returns
    -------
    ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.

    Raises
    ------
    TypeError
        If `seed` is missing or not an integer (a generator would draw another one), `lower`, `upper` or `start` is no
        number, or a dtype is unsupported.
    ValueError
        If the shapes differ, `lower` is above `upper`, either is not finite, or `seed` or `start` is outside of
        [0, 2**64).

    See Also
    --------
    rrelu

    References
    ----------
    B. Xu, N. Wang, T. Chen and M. Li, "Empirical evaluation of rectified activations in convolutional network", 2015,
    arXiv:1505.00853.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([-8.0, -8.0, 8.0])
    >>> y = pyleaky.rrelu(x, seed=1)
    >>> np.array_equal(pyleaky.rrelu_backward(np.ones(3), x, seed=1) * x, y)
    True
    """
    lower, upper = _bounds(lower, upper)
    start = _index("start", start)
    if not training:
        return leaky_relu_backward(grad, x, lower / 2 + upper / 2, out=out)
    operands = [("grad", grad), ("x", x)]
    return run("rrelu_backward", operands, out, _drawn("rrelu_backward", seed), start, lower, upper)
