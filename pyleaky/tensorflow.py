"""TensorFlow: the functions on tensors, eager and in graphs, and Keras layers with Keras's own arguments and weights.

Imported only by who asks for it.  In eager mode a tensor on the CPU is worked on where it lies; in the graph of a
tf.function the same functions run as tf.numpy_function, on the tensors' memory too, with static shapes kept.  What is
on a GPU, TensorFlow brings to the host and back.  relu and leaky_relu save a packed mask for the gradient, one bit per
element; dropout and rrelu save their seed.  To add a function, add it with its gradient, and a layer.
"""

# TensorFlow and Keras have no types, or what editors bring for them, which lack much, and may not be installed.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingImports=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUntypedBaseClass=false, reportUntypedFunctionDecorator=false, reportUntypedClassDecorator=false
# pyright: reportAttributeAccessIssue=false

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import pyleaky
from pyleaky import _arguments
from pyleaky._fused import checked_settings

EXTRA = "pip install 'pyleaky[tensorflow]'"

try:
    import tensorflow as tf
except ImportError:
    raise ImportError(f"pyleaky.tensorflow needs TensorFlow, which is not installed: {EXTRA}") from None

if tuple(int(part) for part in tf.__version__.split(".")[:2]) < (2, 18):
    raise ImportError(f"pyleaky.tensorflow needs TensorFlow 2.18 or newer, found TensorFlow {tf.__version__}")

try:
    import keras
except ImportError:
    raise ImportError(f"pyleaky.tensorflow needs Keras 3, which is not installed: {EXTRA}") from None

if int(keras.__version__.split(".")[0]) < 3:
    raise ImportError(f"pyleaky.tensorflow needs Keras 3 or newer, found Keras {keras.__version__}")

__all__ = [
    "CELU",
    "ELU",
    "SELU",
    "BiasAct",
    "Dropout",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU",
    "bias_act",
    "celu",
    "dropout",
    "elu",
    "leaky_relu",
    "prelu",
    "relu",
    "rrelu",
    "selu",
]

DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
NOT_SAVED = (
    "pyleaky.tensorflow's functions run in Python, which a SavedModel cannot hold: "
    "save a Keras model in the .keras format instead"
)


# ---------------------------------------------------------------------------------------------- tensors and arrays


def _tensor(argument: Any, value: Any) -> Any:
    """What was given as a dense tensor of one of our dtypes, or the error that names it."""
    if isinstance(value, keras.KerasTensor):
        raise TypeError(f"{argument} is a KerasTensor, expected a tensor; a layer of pyleaky.tensorflow takes it")
    if isinstance(value, tf.SparseTensor | tf.RaggedTensor):
        raise TypeError(f"{argument} is a {type(value).__name__}, expected a dense tensor")
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype not in DTYPES:
        expected = ", ".join(dtype.name for dtype in DTYPES)
        raise TypeError(f"{argument} has dtype {tensor.dtype.name}, expected {expected}")
    if tensor.device and not any(kind in tensor.device for kind in ("CPU", "GPU")):
        raise TypeError(f"{argument} is on device {tensor.device}, expected a CPU or a GPU")
    return tensor


def _call(function: Any, inputs: Any, *likes: Any) -> Any:
    """function(*arrays) for tensors: a result for each of `likes`, with its dtype and static shape."""

    def run(*arrays: Any) -> Any:
        results = function(*map(np.asarray, arrays))
        return [np.asarray(result) for result in (results if isinstance(results, tuple) else (results,))]

    if tf.executing_eagerly():
        results = [_from_array(array) for array in run(*inputs)]
    else:
        with tf.control_dependencies(_references_to_python()):
            results = tf.numpy_function(run, inputs, [like.dtype for like in likes], stateful=False)
        for result, like in zip(results, likes, strict=True):
            result.set_shape(like.shape)
    return results[0] if len(likes) == 1 else results


def _from_array(array: Any) -> Any:
    """A tensor, on the array's memory where that is worth it and TensorFlow can: it wants lines of 64 bytes."""
    if array.nbytes < 2**16 or array.ctypes.data % 64:
        return tf.convert_to_tensor(array)
    exchanged = array if array.dtype.name != "bfloat16" else array.view(np.uint16)  # which DLPack of NumPy lacks
    tensor = tf.experimental.dlpack.from_dlpack(exchanged.__dlpack__())
    return tensor if exchanged is array else tf.bitcast(tensor, tf.bfloat16)


def _rehearse(function: Any, x: Any, *others: Any) -> Any:
    """Have what is wrong with the arguments told when a graph is built: by a call for an empty batch of that shape."""
    known = x.shape.rank and x.shape[1:].is_fully_defined()
    if not tf.executing_eagerly() and known and all(other.shape.is_fully_defined() for other in others):
        tensors = [tf.TensorSpec([0, *x.shape[1:]], x.dtype), *others]
        function(*(np.zeros(tensor.shape, tensor.dtype.as_numpy_dtype) for tensor in tensors))


class _RunsPython(tf.saved_model.experimental.TrackableResource):
    """A resource that no SavedModel tracks: TensorFlow does not save a graph that refers to it, and tells its text."""

    def _create_resource(self) -> Any:
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="pyleaky.tensorflow")
        tf.raw_ops.AssignVariableOp(resource=handle, value=0.0)
        return handle

    def __repr__(self) -> str:
        return f"<{NOT_SAVED}>"


_PYTHON = _RunsPython()


def _references_to_python() -> Any:
    """Operations of the graph under construction that tie it to this process."""
    if not tf.inside_function():  # a graph of TensorFlow 1 takes no resource of eager mode
        return []
    with tf.init_scope(), tf.device("CPU:0"):
        handle = _PYTHON.resource_handle
    return [tf.raw_ops.VariableShape(input=handle)]


def _public(function: Any) -> Any:
    """For tf.function to call it as it is, and for Keras to save it by name where it is a layer's activation."""
    return keras.saving.register_keras_serializable("pyleaky")(tf.autograph.experimental.do_not_convert(function))


def _no_third_derivative(*_: Any) -> Any:
    raise NotImplementedError(
        "pyleaky.tensorflow has first and second derivatives of elu, celu and selu, not the third"
    )


# ---------------------------------------------------------------------------------------------- functions


@_public
def relu(x: Any) -> Any:
    """
    Rectified linear unit.

    .. math:: y = 0 \\text{ if } x < 0, \\text{ else } x

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    TypeError
        If `x` is not dense, has another dtype, or is on a device other than a CPU or a GPU.

    See Also
    --------
    pyleaky.relu

    Notes
    -----
    For the gradient one bit per element is saved.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.relu`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.relu([-2.0, 3.0]).numpy()
    array([0., 3.], dtype=float32)
    """
    return _rectify(_tensor("x", x), None)


@_public
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """
    Leaky rectified linear unit, with the default of `tf.nn.leaky_relu` and `keras.ops.leaky_relu`.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } negative\\_slope \\cdot x

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.
    negative_slope : float, optional
        Any number.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    TypeError
        If `x` is not dense, has another dtype, or is on a device other than a CPU or a GPU; if `negative_slope` is no
        number (`prelu` takes a tensor).

    See Also
    --------
    pyleaky.leaky_relu

    Notes
    -----
    For the gradient one bit per element is saved.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.leaky_relu`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.leaky_relu([-2.0, 3.0], 0.25).numpy()
    array([-0.5,  3. ], dtype=float32)
    """
    return _rectify(_tensor("x", x), _number("negative_slope", negative_slope))


def _number(argument: Any, value: Any, **bounds: Any) -> Any:
    if isinstance(value, keras.Variable | keras.KerasTensor) or tf.is_tensor(value):  # whose gradient would be lost
        raise TypeError(f"{argument} must be a number, got {type(value).__name__}")
    return _arguments.number(argument, value, **bounds)


def _slopes(lower: Any, upper: Any) -> Any:
    return _arguments.ordered(_number("lower", lower, finite=True), _number("upper", upper, finite=True))


def _number_or_none(argument: Any, value: Any) -> Any:
    return None if value is None else _number(argument, value)


def _alpha(name: Any, alpha: Any) -> Any:
    """The alpha of a layer, refused as the function of that name refuses it."""
    alpha = _number("alpha", alpha)
    getattr(pyleaky, name)(np.zeros(0), alpha)
    return alpha


def _rectify(x: Any, slope: Any) -> Any:
    """leaky_relu, and relu for a slope of None."""

    @tf.custom_gradient
    def rectify(x: Any) -> Any:
        size = x.shape.num_elements()
        bits = tf.TensorSpec([None if size is None else (size + 7) // 8], tf.uint8)
        forward = pyleaky.relu if slope is None else functools.partial(pyleaky.leaky_relu, negative_slope=slope)
        y, mask = _call(lambda x: forward(x, return_mask=True), [x], x, bits)
        return y, lambda grad: _from_mask(grad, mask, slope, tf.TensorSpec(x.shape, x.dtype))

    return rectify(x)


def _from_mask(grad: Any, mask: Any, slope: Any, like: Any) -> Any:
    @tf.custom_gradient
    def scale(grad: Any) -> Any:
        backward: Callable[..., Any]
        if slope is None:
            backward = pyleaky.relu_backward
        else:
            backward = functools.partial(pyleaky.leaky_relu_backward, negative_slope=slope)
        dx = _call(lambda grad, mask: backward(grad, mask=mask), [grad, mask], like)
        return dx, lambda gg: _from_mask(gg, mask, slope, like)

    return scale(tf.convert_to_tensor(grad))


@_public
def elu(x: Any, alpha: float = 1.0) -> Any:
    """
    Exponential linear unit.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } \\alpha (e^x - 1)

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.
    alpha : float, optional
        Any number.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    TypeError
        If `x` is not dense, has another dtype, or is on a device other than a CPU or a GPU; if `alpha` is no number.

    See Also
    --------
    pyleaky.elu

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.elu`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.elu([-1.0, 3.0]).numpy()
    array([-0.63212055,  3.        ], dtype=float32)
    """
    return _smooth("elu", x, _number("alpha", alpha))


@_public
def celu(x: Any, alpha: float = 1.0) -> Any:
    """
    Continuously differentiable exponential linear unit.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } \\alpha (e^{x / \\alpha} - 1)

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.
    alpha : float, optional
        Any number but 0.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    ValueError
        If `alpha` is 0.
    TypeError
        If `x` is not dense, has another dtype, or is on a device other than a CPU or a GPU; if `alpha` is no number.

    See Also
    --------
    pyleaky.celu

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.celu`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.celu([-1.0, 3.0], 0.5).numpy()
    array([-0.43233237,  3.        ], dtype=float32)
    """
    return _smooth("celu", x, _number("alpha", alpha))


@_public
def selu(x: Any) -> Any:
    """
    Scaled exponential linear unit.

    .. math:: y = scale \\cdot (x \\text{ if } x > 0, \\text{ else } \\alpha (e^x - 1))

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    TypeError
        If `x` is not dense, has another dtype, or is on a device other than a CPU or a GPU.

    See Also
    --------
    pyleaky.selu

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.selu`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.selu([-1.0, 3.0]).numpy()
    array([-1.1113307,  3.152103 ], dtype=float32)
    """
    return _smooth("selu", x)


def _smooth(name: Any, x: Any, *alpha: Any) -> Any:
    forward, backward, double = (getattr(pyleaky, name + kind) for kind in ("", "_backward", "_double_backward"))

    @tf.custom_gradient
    def activate(x: Any) -> Any:
        return _call(lambda x: forward(x, *alpha), [x], x), lambda grad: first(tf.convert_to_tensor(grad), x)

    @tf.custom_gradient
    def first(grad: Any, x: Any) -> Any:
        dx = _call(lambda grad, x: backward(grad, x, *alpha), [grad, x], x)
        return dx, lambda gg: second(tf.convert_to_tensor(gg), grad, x)

    @tf.custom_gradient
    def second(gg: Any, grad: Any, x: Any) -> Any:
        both = _call(lambda gg, grad, x: double(gg, grad, x, *alpha), [gg, grad, x], x, x)
        return both, _no_third_derivative

    x = _tensor("x", x)
    _rehearse(lambda x: forward(x, *alpha), x)
    return activate(x)


@_public
def prelu(x: Any, weight: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """
    Parametric rectified linear unit.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } weight \\cdot x

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.
    weight : tf.Tensor
        The slopes, of the dtype of `x`.
    axis : int or tuple of int, optional
        Along which axes of `x` the axes of `weight` lie; without it, they are broadcast as in NumPy.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    ValueError
        If `weight` does not fit `x`; inside a tf.function whose shapes are not known, what TensorFlow makes of that.
    TypeError
        If a tensor is not dense, has another dtype, or is on a device other than a CPU or a GPU; if their dtypes
        differ.

    See Also
    --------
    pyleaky.prelu

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.prelu`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.prelu([[-1.0, -1.0]], [0.25, 0.5], axis=1).numpy()
    array([[-0.25, -0.5 ]], dtype=float32)
    """
    x, weight = _tensor("x", x), _tensor("weight", weight)
    _check_dtypes(x, "weight", weight)
    keyword: Any = {} if axis is None else {"axis": axis}

    @tf.custom_gradient
    def activate(x: Any, weight: Any) -> Any:
        y = _call(lambda x, weight: pyleaky.prelu(x, weight, **keyword), [x, weight], x)
        return y, lambda grad: first(tf.convert_to_tensor(grad), x, weight)

    @tf.custom_gradient
    def first(grad: Any, x: Any, weight: Any) -> Any:
        arrays = [grad, x, weight]
        both = _call(lambda *arrays: pyleaky.prelu_backward(*arrays, **keyword), arrays, x, weight)

        def second(ggx: Any, ggweight: Any) -> Any:
            """The gradients of ggx * dx + ggweight * dweight, summed up, in TensorFlow's own operations."""
            with tf.GradientTape() as tape:
                tape.watch(arrays)
                dx = tf.where(x > 0, grad, _laid(weight, x, axis) * grad)
                shares = tf.where(x > 0, tf.zeros_like(x), x * grad) * _laid(ggweight, x, axis)
                total = tf.reduce_sum(ggx * dx) + tf.reduce_sum(shares)
            return tape.gradient(total, arrays, unconnected_gradients="zero")

        return both, second

    if axis is None or 0 not in _axes(axis, x):
        _rehearse(lambda x, weight: pyleaky.prelu(x, weight, **keyword), x, weight)
    return activate(x, weight)


def _check_dtypes(x: Any, argument: Any, other: Any) -> None:
    if other.dtype != x.dtype:
        raise TypeError(f"{argument} has dtype {other.dtype.name}, expected that of x, {x.dtype.name}")


def _axes(axis: Any, x: Any) -> Any:
    """The axes, as numbers from 0 where the shape is known."""
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return axes if x.shape.rank is None else _arguments.axis_indices("axis", axis, x.shape.rank)


def _laid(weight: Any, x: Any, axis: Any) -> Any:
    """The weight with axes of length 1, where x has an axis that it has not."""
    if axis is None or not weight.shape.rank:
        return weight
    axes = _axes(axis, x)
    weight = tf.transpose(weight, sorted(range(len(axes)), key=axes.__getitem__))
    lengths = dict(zip(sorted(axes), tf.unstack(tf.shape(weight)), strict=True))
    return tf.reshape(weight, [lengths.get(each, 1) for each in range(x.shape.rank)])


@_public
def rrelu(x: Any, lower: float = 1 / 8, upper: float = 1 / 3, seed: Any = None, training: bool = True) -> Any:
    """
    Randomized leaky ReLU.

    .. math:: y_i = x_i \\text{ if } x_i > 0, \\text{ else } (lower + (upper - lower) u_i) \\cdot x_i

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.
    lower, upper : float, optional
        Between which the slopes lie.
    seed : int or tf.Tensor, optional
        A number for `pyleaky.rrelu`, or two integers in a tensor (its lower and its upper 32 bits); without it, one is
        drawn by `tf.random`, which `tf.random.set_seed` decides.
    training : bool, optional
        Where False, every slope is the mean.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    ValueError
        If `lower` or `upper` is not finite, or `upper` is below `lower`.
    TypeError
        If `x` is not dense, has another dtype, or is on a device other than a CPU or a GPU; if `lower` or `upper` is
        not a number, or `seed` not an integer.

    See Also
    --------
    pyleaky.rrelu

    Notes
    -----
    The numbers are drawn again for the gradient, not saved.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.rrelu`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.rrelu([-8.0, 8.0], 0.25, 0.25).numpy()
    array([-2.,  8.], dtype=float32)
    """
    x, bounds = _tensor("x", x), _slopes(lower, upper)
    if not training:
        return _rectify(x, bounds[0] / 2 + bounds[1] / 2)
    seed = _seed(seed)

    @tf.custom_gradient
    def activate(x: Any) -> Any:
        y = _call(lambda x, seed: pyleaky.rrelu(x, *bounds, seed=_key(seed)), [x, seed], x)
        return y, lambda grad: _rrelu_gradient(grad, x, bounds, seed)

    return activate(x)


def _rrelu_gradient(grad: Any, x: Any, bounds: Any, seed: Any) -> Any:
    @tf.custom_gradient
    def scale(grad: Any) -> Any:
        arrays = [grad, x, seed]
        dx = _call(lambda grad, x, seed: pyleaky.rrelu_backward(grad, x, *bounds, seed=_key(seed)), arrays, x)
        return dx, lambda gg: _rrelu_gradient(gg, x, bounds, seed)

    return scale(tf.convert_to_tensor(grad))


@_public
def dropout(x: Any, rate: float = 0.5, seed: Any = None) -> Any:
    """
    Inverted dropout, as in training.

    .. math:: y_i = 0 \\text{ with probability } rate, \\text{ else } \\frac{x_i}{1 - rate}

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.
    rate : float, optional
        In [0, 1].
    seed : int or tf.Tensor, optional
        A number for `pyleaky.dropout`, or two integers in a tensor (its lower and its upper 32 bits); without it, one
        is drawn by `tf.random`, which `tf.random.set_seed` decides.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    ValueError
        If `rate` is outside of [0, 1].
    TypeError
        If `x` is not dense, has another dtype, or is on a device other than a CPU or a GPU; if `rate` is not a number,
        or `seed` not an integer.

    See Also
    --------
    pyleaky.dropout

    Notes
    -----
    The mask is drawn again for the gradient, not saved.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.dropout`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.dropout([1.0, 1.0, 1.0], 1.0).numpy()
    array([0., 0., 0.], dtype=float32)
    """
    x, rate = _tensor("x", x), _number("rate", rate, between=(0, 1))
    return x if rate == 0 else _drop(x, rate, _seed(seed), tf.TensorSpec(x.shape, x.dtype))


def _drop(x: Any, rate: Any, seed: Any, like: Any) -> Any:
    @tf.custom_gradient
    def drop(x: Any) -> Any:
        y = _call(lambda x, seed: pyleaky.dropout(x, rate, seed=_key(seed)), [x, seed], like)
        return y, lambda grad: _drop(tf.convert_to_tensor(grad), rate, seed, like)

    return drop(x)


def _seed(seed: Any) -> Any:
    """A tensor of two integers, the lower and the upper 32 bits of a number."""
    if seed is None:
        return tf.random.uniform([2], tf.int32.min, tf.int32.max, tf.int32)
    expected = "an int or a tensor of two integers"
    if not (isinstance(seed, keras.Variable | list | tuple) or tf.is_tensor(seed) or np.ndim(seed)):
        seed = _arguments.index("seed", seed, expected=expected)
        return tf.constant([seed % 2**32, seed >> 32], tf.int64)
    seed = tf.convert_to_tensor(seed)
    if not seed.dtype.is_integer or not seed.shape.is_compatible_with([2]):
        raise TypeError(f"seed must be {expected}, got {seed.dtype.name} of shape {seed.shape}")
    return seed


def _key(seed: Any) -> Any:
    lower, upper = (int(part) % 2**32 for part in seed)
    return lower | upper << 32


@_public
def bias_act(
    x: Any,
    bias: Any = None,
    *,
    axis: int = -1,
    activation: str,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> Any:
    """
    Bias, activation, gain and clamp in one pass.

    .. math:: y = \\min(\\max(activation(x + bias) \\cdot gain, -clamp), clamp)

    Parameters
    ----------
    x : tf.Tensor
        Of any shape; float16, bfloat16, float32 or float64.
    bias : tf.Tensor, optional
        One number for each index of `axis`, of the dtype of `x`.
    axis : int, optional
        The axis that `bias` belongs to.
    activation : {"linear", "relu", "leaky_relu", "elu", "selu"}
        The activation.
    negative_slope, gain, clamp : float, optional
        As for `pyleaky.bias_act`; the `gain` None is StyleGAN's.

    Returns
    -------
    tf.Tensor
        Same shape and dtype as `x`.

    Raises
    ------
    ValueError
        As `pyleaky.bias_act`; inside a tf.function whose shapes are not known, what TensorFlow makes of that.
    TypeError
        If a tensor is not dense, has another dtype, or is on a device other than a CPU or a GPU; if their dtypes
        differ; if `negative_slope`, `gain` or `clamp` is not a number.

    See Also
    --------
    pyleaky.bias_act

    Notes
    -----
    Where it is enough, the output is saved for the gradient, which the next layer keeps anyway; else `x`.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.bias_act`.

    Examples
    --------
    >>> import pyleaky.tensorflow
    >>> pyleaky.tensorflow.bias_act([[-1.0, 2.0]], [0.5, 1.0], activation="relu").numpy()
    array([[0., 3.]], dtype=float32)
    """
    x = _tensor("x", x)
    tensors = [x]
    if bias is not None:
        tensors.append(_tensor("bias", bias))
        _check_dtypes(x, "bias", tensors[1])
    axis = _axis(axis)
    if bias is not None:
        (axis,) = _axes(axis, x)
    keywords: Any = {
        "activation": activation,
        "negative_slope": _number("negative_slope", negative_slope),
        "gain": _number_or_none("gain", gain),
        "clamp": _number_or_none("clamp", clamp),
    }
    settings = checked_settings(**keywords)
    keywords["axis"] = axis
    from_output = settings.is_output_enough(np.dtype(x.dtype.as_numpy_dtype))

    @tf.custom_gradient
    def activate(*tensors: Any) -> Any:
        y = _call(lambda *arrays: pyleaky.bias_act(*arrays, **keywords), tensors, tensors[0])

        @tf.custom_gradient
        def first(grad: Any, *tensors: Any) -> Any:
            gradients = _call(
                lambda grad, seen, *bias: _bias_gradients(grad, seen, bias, from_output, keywords),
                [grad, y if from_output else tensors[0], *tensors[1:]],
                *tensors,
            )
            return gradients, lambda *ggs: second(grad, tensors, *ggs)

        def second(grad: Any, tensors: Any, ggx: Any, *ggbias: Any) -> Any:
            gg = ggx + sum(_laid(each, ggx, axis) for each in ggbias)
            if settings.is_piecewise_linear:
                return first(gg, *tensors)[0] if ggbias else first(gg, *tensors), *(None,) * len(tensors)
            return third(gg, grad, *tensors)

        @tf.custom_gradient
        def third(gg: Any, grad: Any, *tensors: Any) -> Any:
            gradients = _call(
                lambda gg, grad, x, *bias: _present(pyleaky.bias_act_double_backward(gg, grad, x, *bias, **keywords)),
                [gg, grad, *tensors],
                grad,
                *tensors,
            )
            return gradients, _no_third_derivative

        return y, lambda grad: first(tf.convert_to_tensor(grad), *tensors)

    if axis != 0:
        _rehearse(lambda *arrays: pyleaky.bias_act(*arrays, **keywords), *tensors)
    return activate(*tensors)


def _axis(axis: Any) -> Any:
    return _arguments.index("axis", axis, -(2**63), 2**63)


def _bias_gradients(grad: Any, seen: Any, bias: Any, from_output: Any, keywords: Any) -> Any:
    bias = bias[0] if bias else None
    if from_output:
        return _present(pyleaky.bias_act_backward(grad, bias=bias, output=seen, **keywords))
    return _present(pyleaky.bias_act_backward(grad, seen, bias, **keywords))


def _present(results: Any) -> Any:
    return tuple(result for result in results if result is not None)


# ---------------------------------------------------------------------------------------------- layers


class _Layer:
    """What all layers have in common: Python code, for TensorFlow alone."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        backend = keras.backend.backend()
        if backend != "tensorflow":
            raise RuntimeError(f"pyleaky.tensorflow's layers need Keras with the TensorFlow backend, found {backend}")
        return super().__new__(cls, *args, **kwargs)

    @property
    def supports_jit(self) -> bool:  # by XLA, which has no Python
        return False

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        """Keras says so of every layer at first."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> Any:
        if save_type == "savedmodel":
            raise ValueError(NOT_SAVED)
        return super()._trackable_children(save_type, **kwargs)  # type: ignore[misc]


class _OwnLayer(_Layer, keras.layers.Layer):
    """One that Keras does not have."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True


_layer = keras.saving.register_keras_serializable("pyleaky")


@_layer
class ReLU(_Layer, keras.layers.ReLU):
    """`keras.layers.ReLU` with `relu`, or `leaky_relu` for a `negative_slope`; no maximum and no threshold."""

    def __init__(
        self, max_value: None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        negative_slope, threshold = _number("negative_slope", negative_slope), _number("threshold", threshold)
        if max_value is not None or threshold != 0:
            raise ValueError(
                f"max_value must be None and threshold 0, got {max_value} and {threshold}; keras.layers.ReLU has them"
            )
        super().__init__(max_value, negative_slope, threshold, **kwargs)

    def call(self, inputs: Any) -> Any:
        return leaky_relu(inputs, self.negative_slope) if self.negative_slope else relu(inputs)


@_layer
class LeakyReLU(_Layer, keras.layers.LeakyReLU):
    """`keras.layers.LeakyReLU` with `leaky_relu`."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(_number("negative_slope", negative_slope), **kwargs)

    def call(self, inputs: Any) -> Any:
        return leaky_relu(inputs, self.negative_slope)


@_layer
class PReLU(_Layer, keras.layers.PReLU):
    """`keras.layers.PReLU` with `prelu`."""

    def call(self, inputs: Any) -> Any:
        weight = tf.convert_to_tensor(self.alpha)
        axes = tuple(axis + 1 for axis, length in enumerate(weight.shape) if length != 1)
        weight = tf.reshape(weight, [weight.shape[axis - 1] for axis in axes])
        return prelu(inputs, weight, axes or None)


@_layer
class ELU(_Layer, keras.layers.ELU):
    """`keras.layers.ELU` with `elu`."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(_alpha("elu", alpha), **kwargs)

    def call(self, inputs: Any) -> Any:
        return elu(inputs, self.alpha)


@_layer
class Dropout(_Layer, keras.layers.Dropout):
    """`keras.layers.Dropout` with `dropout`; no `noise_shape`."""

    def __init__(self, rate: float, noise_shape: None = None, seed: int | None = None, **kwargs: Any) -> None:
        if noise_shape is not None:
            raise ValueError(f"noise_shape must be None, got {noise_shape}; keras.layers.Dropout has it")
        super().__init__(_number("rate", rate, between=(0, 1)), noise_shape, seed, **kwargs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return dropout(inputs, self.rate, self.seed_generator.next()) if training and self.rate > 0 else inputs


@_layer
class CELU(_OwnLayer):
    """`celu` as a layer."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = _alpha("celu", alpha)

    def call(self, inputs: Any) -> Any:
        return celu(inputs, self.alpha)

    def get_config(self) -> Any:
        return {**super().get_config(), "alpha": self.alpha}


@_layer
class SELU(_OwnLayer):
    """`selu` as a layer."""

    def call(self, inputs: Any) -> Any:
        return selu(inputs)


@_layer
class RReLU(_OwnLayer):
    """`rrelu` as a layer: random slopes in training, their mean otherwise."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lower, self.upper = _slopes(lower, upper)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        seed = self.seed_generator.next() if training else None
        return rrelu(inputs, self.lower, self.upper, seed, training)

    def get_config(self) -> Any:
        return {**super().get_config(), "lower": self.lower, "upper": self.upper, "seed": self.seed}


@_layer
class BiasAct(_OwnLayer):
    """A learned bias along `axis`, and `bias_act` with the other arguments."""

    def __init__(
        self,
        *,
        axis: int = -1,
        activation: str,
        negative_slope: float = 0.01,
        gain: float | None = 1.0,
        clamp: float | None = None,
        bias_initializer: Any = "zeros",
        bias_regularizer: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.activation = _axis(axis), activation
        self.negative_slope = _number("negative_slope", negative_slope)
        self.gain, self.clamp = _number_or_none("gain", gain), _number_or_none("clamp", clamp)
        checked_settings(activation, self.negative_slope, self.gain, self.clamp)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.bias_constraint = keras.constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight(
            shape=(input_shape[self.axis],),
            name="bias",
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def call(self, inputs: Any) -> Any:
        return bias_act(
            inputs,
            self.bias,
            axis=self.axis,
            activation=self.activation,
            negative_slope=self.negative_slope,
            gain=self.gain,
            clamp=self.clamp,
        )

    def get_config(self) -> Any:
        return {
            **super().get_config(),
            "axis": self.axis,
            "activation": self.activation,
            "negative_slope": self.negative_slope,
            "gain": self.gain,
            "clamp": self.clamp,
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }
