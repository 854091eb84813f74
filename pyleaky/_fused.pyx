"""The public functions of several operations in one pass: dropout, RReLU, bias + activation.

They go through src/fused.inc and nowhere else; _functions has what they share with the activations.
"""
cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.math cimport signbit
from libc.stdint cimport uint64_t

from pyleaky._calls cimport wrap_all
from pyleaky._core cimport (
    dtype_of,
    enter_environment,
    keep_limit,
    leave_environment,
    run_bias_act,
    run_bias_act_backward,
    run_random,
)

import functools
import math
from typing import NamedTuple

import numpy as np

from pyleaky import _core
from pyleaky._arguments import (
    as_ndarray,
    axis_index,
    check_dtype,
    choice,
    class_name,
    conversion_hint,
    describe_type,
    explanation,
    flag,
    index,
    kind_of,
    number,
    operand,
    ordered,
)
from pyleaky._functions import (
    _back_end,
    _by_position,
    _cast,
    _check_equal_shapes,
    _check_mask,
    _check_out,
    _contiguous,
    _deliver,
    _in_memory_order,
    _is_generic,
    _is_gpu,
    _is_known,
    _numpy_dtype,
    _on,
    _out_or_empty,
    _unwrap,
    leaky_relu,
    leaky_relu_backward,
)

cdef extern from "leaky.h":
    enum:
        LEAKY_MAX_DIMS
        LEAKY_DROPOUT
        LEAKY_RRELU
        LEAKY_RRELU_BACKWARD
        LEAKY_LINEAR
        LEAKY_RELU
        LEAKY_LEAKY_RELU
        LEAKY_ELU
        LEAKY_SELU

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
    try:
        return index("seed", seed, expected="an integer or a numpy.random.Generator")
    except TypeError:
        if _is_traced(seed):
            return seed
        raise


def _is_traced(seed):
    """Whether it is one integer whose value comes later, as JAX's have it under jit and vmap."""
    dtype = getattr(seed, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind in "iu" and seed.shape == () and kind_of(seed) == "generic"


def _bounds(lower, upper):
    return ordered(number("lower", lower, finite=True), number("upper", upper, finite=True))


def _as_array(argument, value):
    """An array as it is, and one of what only looks like one."""
    if type(value) in (np.ndarray, np.memmap) or kind_of(value) is not None:
        return value
    value = operand(argument, value)
    if hasattr(value, "__array_ufunc__") and not isinstance(value, (np.generic, np.ndarray)):
        raise TypeError(f"{argument} must be an array, got {class_name(value)}")
    value = as_ndarray(argument, value)
    check_dtype(argument, value)
    return value


def _refuse_out(out, operands):
    if out is not None:
        raise TypeError(f"out cannot be combined with {operands[0][0]} in a container; take the arrays out of it")


def _common_dtype(arrays):
    """What to compute in, as a ufunc would promote them."""
    first = arrays[0].dtype
    if first.isnative and _core.supports(first) and all(array.dtype is first for array in arrays):
        return first
    known = [array.dtype if _core.supports(array.dtype) else np.dtype(np.float64) for array in arrays]
    return known[0].newbyteorder("=") if len({*known}) == 1 else np.result_type(*known)


def run(name, operands, out, seed, start, first, second, strides=None):
    """
    Run a kernel of random numbers on (argument's name, array) pairs of one shape.

    strides is how much the index of the random numbers rises along each axis, by default as in an array of its own.
    """
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    operands, wrap = _unwrap(operands)
    if wrap is not None:
        _refuse_out(out, operands)
        return wrap(run(name, operands, out, seed, start, first, second, strides))
    operands = [(argument, _as_array(argument, value)) for argument, value in operands]
    back_end = _back_end([*operands, ("out", out)] + ([] if isinstance(seed, int) else [("seed", seed)]))
    shape = operands[0][1].shape
    for argument, value in operands:
        check_dtype(argument, value)
        _check_equal_shapes(argument, value, *operands[0])
    if start + math.prod(shape) > 2**64:
        raise ValueError(f"start is {start}, and {math.prod(shape)} elements from there on have no index below 2**64")
    if back_end is not None:
        return back_end.random(name, [value for _, value in operands], out, seed, start, first, second, strides)
    if strides is None:
        strides = [math.prod(shape[k + 1:]) for k in range(len(shape))]
    return _run(KERNELS[name], operands, out, seed, start, first, second, strides)


cdef object _run(int kernel, operands, out, uint64_t seed, uint64_t start, double first, double second, strides):
    cdef ptrdiff_t shape[LEAKY_MAX_DIMS]
    cdef uint64_t steps[LEAKY_MAX_DIMS]
    cdef cnp.ndarray y
    cdef const char *data[2]
    cdef int k, dims, code, count = len(operands)
    dtype = _common_dtype([value for _, value in operands])
    given = [_contiguous(argument, value, dtype) for argument, value in operands]
    like = operands[0][1]
    out = _check_out(out, like.shape, given[0].dtype)
    y = _out_or_empty(out, given)
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
    keep_limit()
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
        generator from which one is drawn.  Under `jax.jit` also an integer array of JAX of no dimensions.  Not needed
        where `training` is False.
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
        If `p` is outside of [0, 1] or NaN, `seed` or `start` outside of [0, 2**64), or an element's index too; if Dask
        does not know the sizes of the chunks, on which the indices depend.

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
    p = number("p", p, between=(0, 1))
    start = index("start", start)
    training, return_seed = flag("training", training), flag("return_seed", return_seed)
    if not training:
        y = run("dropout", [("x", x)], out, 0, start, 0.0, 0.0)
        return (y, seed) if return_seed else y
    y, seed = _seeded("dropout", seed, lambda drawn: run("dropout", [("x", x)], out, drawn, start, p, 0.0))
    return (y, seed) if return_seed else y


def dropout_backward(grad, p=0.5, *, seed=None, start=0, training=True, out=None):
    """
    Gradient of `dropout` with respect to its input: dropout of the gradient, with the same mask.

    Repeat the parameters of the forward call: p, seed, start and training.

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
        If `p` is outside of [0, 1] or NaN, `seed` or `start` outside of [0, 2**64), or an element's index too; if Dask
        does not know the sizes of the chunks, on which the indices depend.

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
    p = number("p", p, between=(0, 1))
    start = index("start", start)
    if not flag("training", training):
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
        generator from which one is drawn.  Under `jax.jit` also an integer array of JAX of no dimensions.  Not needed
        where `training` is False.
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
        If `lower` is above `upper`, either is not finite, `seed` or `start` is outside of [0, 2**64), or an element's
        index is; if Dask does not know the sizes of the chunks, on which the indices depend.

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
    start = index("start", start)
    training, return_seed = flag("training", training), flag("return_seed", return_seed)
    if not training:
        y = leaky_relu(x, lower / 2 + upper / 2, out=out)
        return (y, seed) if return_seed else y
    y, seed = _seeded("rrelu", seed, lambda drawn: run("rrelu", [("x", x)], out, drawn, start, lower, upper))
    return (y, seed) if return_seed else y


def rrelu_backward(grad, x, lower=1 / 8, upper=1 / 3, *, seed=None, start=0, training=True, out=None):
    """
    Gradient of `rrelu` with respect to its input; the slopes are drawn again.

    Repeat the parameters of the forward call: lower, upper, seed, start and
    training.

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
        If the shapes differ, `lower` is above `upper`, either is not finite, `seed` or `start` is outside of
        [0, 2**64), or an element's index is; if Dask does not know the sizes of the chunks.

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
    start = index("start", start)
    if not flag("training", training):
        return leaky_relu_backward(grad, x, lower / 2 + upper / 2, out=out)
    operands = [("grad", grad), ("x", x)]
    return run("rrelu_backward", operands, out, _drawn("rrelu_backward", seed), start, lower, upper)


# ---------------------------------------------------------------------------------------------------- bias + activation

ACTIVATIONS = {
    "linear": LEAKY_LINEAR,
    "relu": LEAKY_RELU,
    "leaky_relu": LEAKY_LEAKY_RELU,
    "elu": LEAKY_ELU,
    "selu": LEAKY_SELU,
}


class Settings(NamedTuple):
    """The keywords that the three functions share, but for `axis`, checked: numbers, where None stood for one."""

    activation: str
    slope: float
    gain: float
    gain_in_float32: float
    clamp: float

    @property
    def is_piecewise_linear(self):
        return self.activation not in ("elu", "selu")

    def check_gain(self, dtype):
        """Where it is computed, the gain must not become 0 or infinite."""
        if dtype.itemsize < 8 and not 0 < self.gain_in_float32 < math.inf:
            raise ValueError(f"gain must be positive and finite in float32, where {dtype} is computed, got {self.gain}")

    def check_output_is_enough(self, dtype):
        """Without a mask the side of x + bias is the output's: sign and 0 must have survived."""
        if self.activation == "leaky_relu" and not self.slope >= 0:
            raise ValueError(
                "with output alone, negative_slope must be at least 0 (the sign of x + bias is lost below), "
                f"got {self.slope}; give the mask too, or x"
            )
        if self.activation != "linear" and not (self.gain if dtype.itemsize == 8 else self.gain_in_float32) > 0.5:
            raise ValueError(
                f"with output alone, gain must be above 0.5 (a product may become 0 below), got {self.gain}; "
                "give the mask too, or x"
            )

    def is_output_enough(self, dtype):
        """Whether the gradient may be had from the output alone, and exactly."""
        try:
            self.check_output_is_enough(dtype)
        except ValueError:
            return False
        return self.is_piecewise_linear


cdef inline object _as_float(argument, value):
    return value if type(value) is float else number(argument, value)


def checked_settings(activation, negative_slope, gain, clamp):
    """The Settings for these keywords: the names and numbers as a caller gives them."""
    activation = choice("activation", activation, ACTIVATIONS)
    slope = _as_float("negative_slope", negative_slope)
    gain = None if gain is None else _as_float("gain", gain)
    clamp = math.inf if clamp is None else _as_float("clamp", clamp)
    return _settings(activation, slope, gain, clamp, signbit(slope), signbit(clamp))


@functools.lru_cache(maxsize=64)
def _settings(activation, slope, gain, clamp, slope_sign, clamp_sign):
    # The arguments are the cache's key: the signs are among them because 0.0 == -0.0.
    if gain is None:
        gain = math.sqrt(2) if activation in ("relu", "leaky_relu") else 1.0
    if not 0 < gain < math.inf:
        raise ValueError(f"gain must be positive and finite, got {gain}")
    if not clamp >= 0:
        raise ValueError(f"clamp must be at least 0, got {clamp}")
    with np.errstate(all="ignore"):
        return Settings(activation, slope, gain, float(np.float32(gain)), clamp)


def _bias_layout(bias, shape, axis):
    """outer, channels, inner: a bias belongs to `inner` elements in a row, and after the last comes the first."""
    if bias is None:
        return 1, 1, math.prod(shape)
    axis = axis_index("axis", axis, len(shape))
    if not _is_known(shape[axis:axis + 1]):
        raise ValueError(f"x has chunks of unknown size along axis {axis}, where bias belongs: call "
                         "compute_chunk_sizes() on it first")
    if bias.shape != (shape[axis],):
        raise ValueError(f"bias has shape {bias.shape}, but x has {shape[axis]} elements along axis {axis}; "
                         "it must have one for each of them")
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])


def _bias_position(bias, x, axis):
    """bias without labels, and the position of the dimension of xarray that they or `axis` name."""
    bias, _, found = _by_position("bias", bias, x, axis)
    return bias, found[0] if found is not axis and isinstance(found, tuple) and len(found) == 1 else found


cdef char *_data(object array) noexcept:
    return NULL if array is None else <char *>cnp.PyArray_DATA(<cnp.ndarray>array)


def bias_act(x, bias=None, *, axis=1, activation, negative_slope=0.01, gain=1.0, clamp=None, return_mask=False,
             out=None):
    """
    Bias, activation, gain and clamp in one pass.

    .. math:: y = \\min(\\max(activation(x + bias) \\cdot gain, -clamp), clamp)

    Parameters
    ----------
    x : ndarray or array_like
        Input of any shape: float16, bfloat16, float32, float64, integers or bool.
    bias : array_like, optional
        One number for each index of `axis`.
    axis : int or str, optional
        The axis of `x` that `bias` belongs to: 1 for channels first, -1 for channels last; for a DataArray of xarray
        also the name of a dimension.
    activation : {"linear", "relu", "leaky_relu", "elu", "selu"}
        The activation; elu has an alpha of 1.
    negative_slope : float, optional
        The slope of leaky_relu.
    gain : float or None, optional
        The factor for the activation's result: positive and finite.  None is the gain of StyleGAN2 and 3: sqrt(2) for
        relu and leaky_relu, and 1 for the others.
    clamp : float, optional
        The largest magnitude of a result, at least 0; by default there is none.
    return_mask : bool, optional
        Return a packed mask too, which `bias_act_backward` takes.
    out : ndarray, optional
        Where the result is stored; may be `x`.

    Returns
    -------
    y : ndarray or scalar
        Same shape and memory order as `x`.  Its dtype is what the dtypes of `x` and `bias` promote to.
    mask : ndarray of uint8
        Only with ``return_mask=True``: a bit for each element, set where ``x + bias > 0``, in flat C order, the
        lowest bit of a byte first.

    Raises
    ------
    TypeError
        If the dtype of `x` or `bias` is unsupported, or an argument is of a kind that it cannot be.
    ValueError
        If `bias` does not fit `axis`, `activation` is unknown, `gain` is not positive and finite, `clamp` is
        negative or NaN, or `axis` is out of range or a name that `x` does not have.

    See Also
    --------
    bias_act_backward, bias_act_double_backward

    Notes
    -----
    The sum, the activation and the product with `gain` are each rounded once, in the dtype of the result (float32 for
    half types, which are rounded once at the end): the same bits as with one function after another.  NaN stays.

    References
    ----------
    T. Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020.
    T. Karras et al., "Alias-free generative adversarial networks", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([[-1.0, 2.0], [-3.0, 4.0]])
    >>> pyleaky.bias_act(x, np.array([0.5, -1.0]), activation="leaky_relu", negative_slope=0.2, clamp=2.0)
    array([[-0.1,  1. ],
           [-0.5,  2. ]])
    """
    return bias_act_with(checked_settings(activation, negative_slope, gain, clamp), x, bias, axis, return_mask, out)


def bias_act_with(settings, x, bias, axis, return_mask=False, out=None):
    """bias_act with the keywords checked."""
    return_mask = flag("return_mask", return_mask)
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    bias, axis = _bias_position(bias, x, axis)
    ((_, x),), wrap = _unwrap([("x", x)])
    if wrap is not None:
        _refuse_out(out, [("x", x)])
        if return_mask:
            raise TypeError("return_mask=True is for NumPy and CuPy arrays; take them out of their container")
        ((_, bias),), _ = _unwrap([("bias", bias)])
        return wrap(bias_act_with(settings, x, bias, axis))
    x = _as_array("x", x)
    bias = None if bias is None else _as_array("bias", bias)
    back_end = _back_end([("x", x), ("bias", bias), ("out", out)])
    if return_mask and back_end is not None and not _is_gpu(back_end):
        hint = conversion_hint("x", x)
        raise TypeError(f"return_mask=True is for NumPy and CuPy arrays, got {describe_type(x)}{hint}")
    if _is_generic(back_end):
        return back_end.bias_act(settings, x, bias, axis, out)
    arrays = [("x", x)] if bias is None else [("x", x), ("bias", bias)]
    for argument, value in arrays:
        check_dtype(argument, value)
    layout = _bias_layout(bias, x.shape, axis)
    dtype = _common_dtype([value for _, value in arrays])
    settings.check_gain(dtype)
    if _is_gpu(back_end):
        return back_end.bias_act(settings, x, bias, layout, dtype, return_mask, out)
    if back_end is not None:
        return back_end.bias_act(settings, x, bias, axis, dtype, out)
    turn = None if return_mask else _in_memory_order([x])
    if turn is not None and (out is None or (isinstance(out, np.ndarray) and out.shape == x.shape)):
        axis = turn.index(axis % x.ndim) if bias is not None else 0
        given, inside = x.transpose(turn), None if out is None else out.transpose(turn)
        y = _bias_act(settings, given, bias, _bias_layout(bias, given.shape, axis), dtype, False, inside)
        return y.transpose(np.argsort(turn)) if out is None else out
    return _bias_act(settings, x, bias, layout, dtype, return_mask, out)


cdef object _bias_act(settings, x, bias, layout, dtype, bint return_mask, out):
    cdef cnp.ndarray y, mask = None
    cdef ptrdiff_t n, channels = layout[1], inner = layout[2]
    cdef int activation = ACTIVATIONS[settings.activation], code, status
    cdef double slope = settings.slope, gain = settings.gain, clamp = settings.clamp
    cdef const char *values
    cdef const char *biases
    cdef unsigned char *bits = NULL
    given = _contiguous("x", x, dtype)
    bias = None if bias is None else _contiguous("bias", bias, dtype)
    out = _check_out(out, x.shape, dtype)
    y = _out_or_empty(out, (given,), (bias,))
    n = given.size
    if return_mask:
        mask = np.empty((n + 7) // 8, np.uint8)
        bits = <unsigned char *>cnp.PyArray_DATA(mask)
    code = dtype_of(cnp.PyArray_TYPE(y))
    values, biases = _data(given), _data(bias)
    keep_limit()
    with nogil:
        status = run_bias_act(activation, code, values, biases, <char *>cnp.PyArray_DATA(y), bits, n, channels, inner,
                              slope, gain, clamp)
    if status:
        raise MemoryError("no memory to lay out bias")
    result = _deliver(y, out, x)
    return (result, mask) if return_mask else result


def bias_act_backward(grad, x=None, bias=None, *, output=None, mask=None, axis=1, activation, negative_slope=0.01,
                      gain=1.0, clamp=None, out=None):
    """
    Gradients of `bias_act` with respect to its input and its bias, in one pass.

    Repeat the parameters of the forward call: axis, activation,
    negative_slope, gain and clamp.

    .. math::
        dx = grad \\cdot gain \\cdot activation'(x + bias) \\text{ if } |y| < clamp, \\text{ else } 0, \\qquad
        dbias = \\sum dx

    where the sum is over all elements that share a bias.

    Parameters
    ----------
    grad : ndarray or array_like
        Gradient of the loss with respect to the output.
    x : ndarray or array_like, optional
        What `bias_act` was given; same shape as `grad`.  Exactly one of `x` and `output` is needed, unless `mask`
        alone is enough.
    bias : array_like, optional
        What `bias_act` was given.  With `output` or `mask` only its dtype and length count.
    output : ndarray or array_like, optional
        What `bias_act` returned, instead of `x`.  Without `mask` it tells the side of ``x + bias``, and needs a
        `negative_slope` of at least 0 and a `gain` above 0.5.
    mask : ndarray of uint8, optional
        What ``return_mask=True`` returned: decides the side, together with `output` or, for linear, relu and
        leaky_relu without `clamp`, alone.
    axis, activation, negative_slope, gain, clamp
        What `bias_act` was given.
    out : ndarray, optional
        Where dx is stored; may be `grad`, `x` or `output`.

    Returns
    -------
    dx : ndarray or scalar
        Gradient of the loss with respect to `x`, same shape.
    dbias : ndarray or None
        Gradient of the loss with respect to `bias`, same shape and dtype (that of `dx` for integers), or None where
        there is no bias.  The sum is in float64.

    Raises
    ------
    TypeError
        As `bias_act`, if not exactly one of `x` and `output` is given where `mask` is not enough, or if `mask` is no
        array of uint8.
    ValueError
        As `bias_act`, if the shapes of `grad` and `x` or `output` differ, `mask` has a wrong length or is not
        contiguous, or `output` alone does not tell the side.

    See Also
    --------
    bias_act, bias_act_double_backward

    Notes
    -----
    The gradient is linear in `grad`.  So where the activation is linear, relu or leaky_relu, whose second derivative
    is 0, the gradient of this function with respect to `grad`, which gradient penalties need, is this function again,
    of what comes back for dx plus, laid along `axis`, for dbias; `bias_act_double_backward` has the general case.  For
    half types y, in ``|y| < clamp``, is what `bias_act` returns.  From `output`, the derivatives of elu and selu are
    inexact near saturation.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x, bias = np.array([[-1.0, 2.0], [-3.0, 400.0]]), np.array([0.5, -1.0])
    >>> options = {"activation": "leaky_relu", "negative_slope": 0.2, "clamp": 256.0}
    >>> y, mask = pyleaky.bias_act(x, bias, return_mask=True, **options)
    >>> dx, dbias = pyleaky.bias_act_backward(np.ones((2, 2)), x, bias, **options)
    >>> dx
    array([[0.2, 1. ],
           [0.2, 0. ]])
    >>> dbias
    array([0.4, 1. ])
    >>> dx, dbias = pyleaky.bias_act_backward(np.ones((2, 2)), bias=bias, output=y, mask=mask, **options)
    >>> dbias
    array([0.4, 1. ])
    """
    settings = checked_settings(activation, negative_slope, gain, clamp)
    return _gradients("bias_act_backward", settings, axis, None, grad, x, bias, output, mask, out)


def bias_act_double_backward(gg, grad, x, bias=None, *, axis=1, activation, negative_slope=0.01, gain=1.0, clamp=None):
    """
    Gradients of `bias_act_backward`: with respect to its `grad`, `x` and `bias`.

    Repeat the parameters of the forward call: axis, activation,
    negative_slope, gain and clamp.

    .. math::
        dgrad = gg \\cdot gain \\cdot activation'(x + bias), \\qquad
        dx = gg \\cdot grad \\cdot gain \\cdot activation''(x + bias), \\qquad dbias = \\sum dx

    and 0 where :math:`|y| \\ge clamp`; the sum is over all elements that share a bias.

    Parameters
    ----------
    gg : ndarray or array_like
        Gradient of the loss with respect to the dx that `bias_act_backward` returned, plus, laid along `axis`, that
        with respect to its dbias.
    grad, x : ndarray or array_like
        What `bias_act_backward` was given; same shape as `gg`.
    bias : array_like, optional
        What `bias_act_backward` was given.
    axis, activation, negative_slope, gain, clamp
        What `bias_act_backward` was given.

    Returns
    -------
    dgrad : ndarray or scalar
        Gradient of the loss with respect to `grad`.
    dx : ndarray or scalar
        Gradient of the loss with respect to `x`: 0 for linear, relu and leaky_relu.
    dbias : ndarray or None
        Gradient of the loss with respect to `bias`, or None where there is none.

    Raises
    ------
    TypeError, ValueError
        As `bias_act_backward`.

    See Also
    --------
    bias_act_backward, elu_double_backward

    References
    ----------
    I. Gulrajani et al., "Improved training of Wasserstein GANs", NIPS 2017, whose penalty needs it.

    Examples
    --------
    >>> import numpy as np, pyleaky
    >>> x = np.array([[-1.0, 2.0]])
    >>> ones = np.ones((1, 2))
    >>> dgrad, dx, dbias = pyleaky.bias_act_double_backward(ones, ones, x, np.zeros(2), activation="elu")
    >>> dgrad
    array([[0.36787944, 1.        ]])
    >>> dx
    array([[0.36787944, 0.        ]])
    >>> dbias
    array([0.36787944, 0.        ])
    """
    settings = checked_settings(activation, negative_slope, gain, clamp)
    name = "bias_act_double_backward"
    gg, x = operand("gg", gg), operand("x", x)
    dx, dbias = _gradients(name, settings, axis, gg, grad, x, bias, None, None, None)
    dgrad, _ = _gradients(name, settings, axis, None, gg, x, bias, None, None, None)
    return dgrad, dx, dbias


def _gradients(name, settings, axis, gg, grad, x, bias, output, mask, out):
    """dx and dbias of bias_act_backward or, with gg, of bias_act_double_backward."""
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    if x is not None and output is not None:
        raise TypeError(f"{name} takes exactly one of x and output, got both")
    if x is not None and mask is not None:
        raise TypeError(f"{name} takes a mask with output or alone, not with x, which tells the side")
    if x is None and output is None:
        if mask is None:
            raise TypeError(f"{name} takes exactly one of x and output, got neither")
        if not settings.is_piecewise_linear or settings.clamp < math.inf:
            raise TypeError(f"{name} needs output beside mask for elu, for selu and with clamp")
    given = {"gg": gg, "grad": operand("grad", grad), "x": x, "output": output}
    given = {argument: value for argument, value in given.items() if value is not None}
    like = given[_side(given)]
    _, axis = _bias_position(bias, like, axis)
    operands, wrap = _unwrap([*given.items()])
    ((_, plain),), wrap_bias = _unwrap([("bias", bias)])
    if wrap is not None or wrap_bias is not None:
        _refuse_out(out, operands)
        if mask is not None:
            raise TypeError("a mask goes with NumPy and CuPy arrays; take them out of their container")
    dx, dbias = gradients_with(settings, dict(operands), plain, mask, axis, out)
    dx = dx if wrap is None else wrap(dx)
    if dbias is None:
        return dx, None
    if isinstance(dbias.dtype, np.dtype) and dbias.dtype == np.float64:
        dtype = _numpy_dtype(plain)
        with np.errstate(all="ignore"), _on(_back_end([("dbias", dbias)]), [("dbias", dbias)]):
            dbias = _cast(dbias, dtype.newbyteorder("=") if _core.supports(dtype) else dx.dtype)
    return dx, dbias if wrap_bias is None else wrap_bias(dbias)


def _side(given):
    """The argument that tells the side of x + bias, and so the shape of the others."""
    return next((argument for argument in ("x", "output") if argument in given), "grad")


def gradients_with(settings, given, bias, mask=None, axis=1, out=None):
    """
    dx, and dbias in float64 (None without bias), of arrays {"grad": ..., "x" or "output": ...}.

    With "gg" too, dx and dbias of bias_act_double_backward.
    """
    given = {argument: _as_array(argument, value) for argument, value in given.items()}
    bias = None if bias is None else _as_array("bias", bias)
    back_end = _back_end([*given.items(), ("bias", bias), ("mask", mask), ("out", out)])
    if mask is not None and back_end is not None and not _is_gpu(back_end):
        grad = given["grad"]
        hint = conversion_hint("grad", grad)
        raise TypeError(f"a mask goes with NumPy and CuPy arrays, got {describe_type(grad)}{hint}")
    source = _side(given)
    shape = tuple(given[source].shape)
    for argument, value in given.items():
        _check_equal_shapes(argument, value, source, given[source])
    if _is_generic(back_end):
        return back_end.bias_act_backward(settings, given, bias, axis, out)
    for argument, value in [*given.items()] + ([] if bias is None else [("bias", bias)]):
        check_dtype(argument, value)
    layout = _bias_layout(bias, shape, axis)
    dtype = _common_dtype([*given.values()] + ([] if bias is None else [bias]))
    settings.check_gain(dtype)
    if mask is not None:
        mask = _check_mask(mask, given["grad"], back_end)
    elif "output" in given:
        settings.check_output_is_enough(dtype)
    if back_end is not None and not _is_gpu(back_end):
        dx, total = back_end.bias_act_backward(settings, given, bias, axis, dtype, out)
    elif "gg" in given and settings.is_piecewise_linear:
        array = np if back_end is None else back_end.cupy
        with _on(back_end, [*given.items()]):
            dx, total = array.zeros_like(given["x"], dtype=dtype), array.zeros(layout[1], np.float64)
        dx = dx if dx.shape or back_end is not None else dx[()]
    elif back_end is not None:
        dx, total = back_end.bias_act_backward(settings, given, bias, mask, layout, dtype, out)
    else:
        dx, total = _bias_act_backward(settings, axis, given, bias, mask, layout, dtype, out)
    return dx, None if bias is None else total


cdef object _bias_act_backward(settings, axis, given, bias, mask, layout, dtype, out):
    cdef cnp.ndarray dx, total
    cdef ptrdiff_t outer, channels, inner
    cdef int activation = ACTIVATIONS[settings.activation], code, status
    cdef double slope = settings.slope, gain = settings.gain, clamp = settings.clamp
    cdef const char *gg
    cdef const char *grad
    cdef const char *x
    cdef const char *output
    cdef const char *biases
    cdef const unsigned char *bits
    like = given["grad"]
    if mask is None:
        turn = _in_memory_order([*given.values()])
        if turn is not None and (out is None or (isinstance(out, np.ndarray) and out.shape == like.shape)):
            axis = turn.index(axis % like.ndim) if bias is not None else 0
            given = {argument: value.transpose(turn) for argument, value in given.items()}
            inside = None if out is None else out.transpose(turn)
            layout = _bias_layout(bias, given["grad"].shape, axis)
            turned_dx, total = _bias_act_backward(settings, axis, given, bias, mask, layout, dtype, inside)
            return turned_dx.transpose(np.argsort(turn)) if out is None else out, total
    outer, channels, inner = layout
    arrays = {argument: _contiguous(argument, value, dtype) for argument, value in given.items()}
    bias = None if bias is None else _contiguous("bias", bias, dtype)
    out = _check_out(out, like.shape, dtype)
    dx = _out_or_empty(out, (*arrays.values(),), (bias, mask))
    total = np.zeros(channels, np.float64)  # without a dtype NumPy 2.4.6 leaves a reference to it behind
    code = dtype_of(cnp.PyArray_TYPE(dx))
    gg, grad = _data(arrays.get("gg")), _data(arrays["grad"])
    x, output = _data(arrays.get("x")), _data(arrays.get("output"))
    biases, bits = _data(bias), <const unsigned char *>_data(mask)
    keep_limit()
    with nogil:
        status = run_bias_act_backward(activation, code, gg, grad, x, output, bits, biases,
                                       <char *>cnp.PyArray_DATA(dx), <double *>cnp.PyArray_DATA(total), outer, channels,
                                       inner, slope, gain, clamp)
    if status:
        raise MemoryError("no memory for the sums of bias's gradient")
    return _deliver(dx, out, like), total


wrap_all(
    (bias_act, bias_act_backward, bias_act_double_backward, dropout, dropout_backward, rrelu, rrelu_backward),
    explanation, <void *>enter_environment, <void *>leave_environment,
)
