"""The TensorFlow adapter against pyleaky's own functions to the bit, eager and in graphs; its layers inside Keras."""

import doctest
import inspect
import os
import subprocess
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from arrays import DTYPES, assert_same_bits

import pyleaky
from pyleaky import _arguments

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what TensorFlow's own imports deprecate
    tf = pytest.importorskip("tensorflow", "2.18", reason="TensorFlow is not installed")
    import keras

import pyleaky.tensorflow as adapter

tf.config.threading.set_intra_op_parallelism_threads(1)  # pools that wait for each other slow every test down

# TensorFlow's tensors know less of NumPy 2 than NumPy wants.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SHAPE = (4, 3, 5)
WEIGHT = np.linspace(-0.2, 0.5, 5).astype(np.float32)
SEED = 2**40 + 17
# Ours, pyleaky's forward and pyleaky's backward function; what depends on the dtype is cast by `fit`.
FUNCTIONS = {
    "relu": (adapter.relu, pyleaky.relu, pyleaky.relu_backward),
    "leaky_relu": (
        lambda x: adapter.leaky_relu(x, -0.3),
        lambda x: pyleaky.leaky_relu(x, -0.3),
        lambda grad, x: pyleaky.leaky_relu_backward(grad, x, -0.3),
    ),
    "elu": (
        lambda x: adapter.elu(x, 0.7),
        lambda x: pyleaky.elu(x, 0.7),
        lambda grad, x: pyleaky.elu_backward(grad, x, 0.7),
    ),
    "celu": (
        lambda x: adapter.celu(x, 0.7),
        lambda x: pyleaky.celu(x, 0.7),
        lambda grad, x: pyleaky.celu_backward(grad, x, 0.7),
    ),
    "selu": (adapter.selu, pyleaky.selu, pyleaky.selu_backward),
    "prelu": (
        lambda x: adapter.prelu(x, fit(WEIGHT, x), axis=-1),
        lambda x: pyleaky.prelu(x, fit(WEIGHT, x), axis=-1),
        lambda grad, x: pyleaky.prelu_backward(grad, x, fit(WEIGHT, x), axis=-1)[0],
    ),
    "rrelu": (
        lambda x: adapter.rrelu(x, 0.1, 0.4, seed=SEED),
        lambda x: pyleaky.rrelu(x, 0.1, 0.4, seed=SEED),
        lambda grad, x: pyleaky.rrelu_backward(grad, x, 0.1, 0.4, seed=SEED),
    ),
    "dropout": (
        lambda x: adapter.dropout(x, 0.4, seed=SEED),
        lambda x: pyleaky.dropout(x, 0.4, seed=SEED),
        lambda grad, x: pyleaky.dropout_backward(grad, 0.4, seed=SEED),
    ),
    "bias_act": (
        lambda x: adapter.bias_act(x, fit(WEIGHT, x), clamp=1.0, activation="leaky_relu"),
        lambda x: pyleaky.bias_act(x, fit(WEIGHT, x), axis=-1, clamp=1.0, activation="leaky_relu"),
        lambda grad, x: pyleaky.bias_act_backward(grad, x, fit(WEIGHT, x), axis=-1, clamp=1.0, activation="leaky_relu")[
            0
        ],
    ),
    "bias_act by x": (
        lambda x: adapter.bias_act(x, fit(WEIGHT, x), negative_slope=-0.3, activation="leaky_relu"),
        lambda x: pyleaky.bias_act(x, fit(WEIGHT, x), axis=-1, negative_slope=-0.3, activation="leaky_relu"),
        lambda grad, x: pyleaky.bias_act_backward(
            grad, x, fit(WEIGHT, x), axis=-1, negative_slope=-0.3, activation="leaky_relu"
        )[0],
    ),
    "bias_act, elu, no bias": (
        lambda x: adapter.bias_act(x, activation="elu"),
        lambda x: pyleaky.bias_act(x, axis=-1, activation="elu"),
        lambda grad, x: pyleaky.bias_act_backward(grad, x, axis=-1, activation="elu")[0],
    ),
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
modes = pytest.mark.parametrize("mode", ["eager", "graph", "graph of unknown shapes"])


def fit(values, x):
    """The values as an array or a tensor of x's dtype."""
    return values.astype(x.dtype) if isinstance(x, np.ndarray) else tf.cast(values, x.dtype)


def array(dtype=np.float32, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def in_mode(function, mode):
    """The function as it is, or as a graph that knows the shapes of what it is given, or that does not."""
    if mode == "eager":
        return function
    graph = tf.function(function, autograph=False)
    if mode == "graph":
        return graph
    return lambda *tensors: graph.get_concrete_function(*(tf.TensorSpec(None, x.dtype) for x in tensors))(*tensors)


def value_and_gradient(function):
    def run(x, grad):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x, grad)

    return run


# ---------------------------------------------------------------------------------------------- values


@modes
@every_dtype
@every_function
def test_bits_of_the_functions_of_arrays(name, dtype, mode):
    ours, forward, backward = FUNCTIONS[name]
    x, grad = array(dtype), array(dtype, seed=1)
    y, dx = in_mode(value_and_gradient(ours), mode)(tf.constant(x), tf.constant(grad))
    assert_same_bits(y.numpy(), forward(x))
    assert_same_bits(dx.numpy(), backward(grad, x))


@modes
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (70_000,)])
def test_shapes(shape, mode):
    x, grad = array(shape=shape), array(shape=shape, seed=1)
    for name in ("relu", "elu", "dropout"):
        ours, forward, backward = FUNCTIONS[name]
        y, dx = in_mode(value_and_gradient(ours), mode)(tf.constant(x), tf.constant(grad))
        assert y.shape == dx.shape == shape
        assert_same_bits(y.numpy(), np.asarray(forward(x)))
        assert_same_bits(dx.numpy(), np.asarray(backward(grad, x)))


@every_function
def test_static_shapes_are_kept(name):
    graph = tf.function(value_and_gradient(FUNCTIONS[name][0]), autograph=False)
    spec = tf.TensorSpec((None, 3, 5))
    for output in graph.get_concrete_function(spec, spec).structured_outputs:
        assert output.shape.as_list() == [None, 3, 5]
        assert output.dtype == tf.float32


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_no_copies(mode, dtype):
    seen = []

    def function(given):
        result = pyleaky.relu(given)
        seen.extend((given.ctypes.data, result.ctypes.data))
        return result

    x = tf.constant(array(dtype, (2**20,)))
    y = in_mode(lambda x: adapter._call(function, [x], x), mode)(x)
    assert seen == [np.asarray(x).ctypes.data, np.asarray(y).ctypes.data]
    assert_same_bits(y.numpy(), pyleaky.relu(x.numpy()))


def test_memory_that_tensorflow_does_not_take_is_copied():
    whole = array(shape=(2**18 + 1,))
    part = whole[1:] if whole.ctypes.data % 64 == 0 else whole[:-1]
    assert part.ctypes.data % 64
    tensor = adapter._from_array(part)
    assert np.asarray(tensor).ctypes.data != part.ctypes.data
    assert_same_bits(tensor.numpy(), part)


@modes
def test_prelu_along_axes_and_its_sums(mode):
    x, grad = array(), array(seed=1)
    for weight, axis in [
        (np.float32(0.3), None),
        (WEIGHT, -1),
        (array(shape=(3, 5)), (1, 2)),
        (array(shape=(3, 1)), None),
        (array(shape=(4,)), 0),
    ]:

        def run(x, weight, grad, axis=axis):
            with tf.GradientTape() as tape:
                tape.watch((x, weight))
                y = adapter.prelu(x, weight, axis)
            return y, *tape.gradient(y, (x, weight), grad)

        y, *gradients = in_mode(run, mode)(tf.constant(x), tf.constant(weight), tf.constant(grad))
        keyword = {} if axis is None else {"axis": axis}
        assert_same_bits(y.numpy(), pyleaky.prelu(x, weight, **keyword))
        for got, expected in zip(gradients, pyleaky.prelu_backward(grad, x, weight, **keyword), strict=True):
            assert_same_bits(got.numpy(), np.asarray(expected))


@modes
@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu", "elu", "selu"])
def test_bias_act_and_its_sums(activation, mode):
    x, grad = array(), array(seed=1)
    for axis, keywords in [(-1, {"gain": None}), (1, {"gain": 0.4, "clamp": 0.9}), (0, {"negative_slope": -0.3})]:
        bias = array(shape=(SHAPE[axis],), seed=2)
        keywords |= {"axis": axis, "activation": activation}

        def run(x, bias, grad, keywords=keywords):
            with tf.GradientTape() as tape:
                tape.watch((x, bias))
                y = adapter.bias_act(x, bias, **keywords)
            return y, *tape.gradient(y, (x, bias), grad)

        y, *gradients = in_mode(run, mode)(tf.constant(x), tf.constant(bias), tf.constant(grad))
        assert_same_bits(y.numpy(), pyleaky.bias_act(x, bias, **keywords))
        for got, expected in zip(gradients, pyleaky.bias_act_backward(grad, x, bias, **keywords), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_random_functions_and_their_seeds():
    x = tf.constant(array(shape=(1000,)))
    for function in (adapter.dropout, adapter.rrelu):
        for run in (function, tf.function(function)):
            tf.random.set_seed(1)
            first, second = run(x), run(x)
            tf.random.set_seed(1)
            assert_same_bits(run(x).numpy(), first.numpy())
            assert not np.array_equal(first, second)
        pair = tf.constant([SEED % 2**32, SEED >> 32], tf.int64)
        assert_same_bits(function(x, seed=pair).numpy(), function(x, seed=SEED).numpy())
        assert_same_bits(function(x, seed=tf.cast(pair, tf.uint32)).numpy(), function(x, seed=SEED).numpy())
    assert adapter.dropout(x, 0.0) is x
    assert_same_bits(adapter.rrelu(x, 0.1, 0.3, training=False).numpy(), pyleaky.leaky_relu(x.numpy(), 0.1 / 2 + 0.15))


# ---------------------------------------------------------------------------------------------- differentiation

WIDE = {
    "relu": (adapter.relu, [(3, 4)]),
    "leaky_relu": (lambda x: adapter.leaky_relu(x, -0.3), [(3, 4)]),
    "elu": (lambda x: adapter.elu(x, 0.7), [(3, 4)]),
    "celu": (lambda x: adapter.celu(x, 0.7), [(3, 4)]),
    "selu": (adapter.selu, [(3, 4)]),
    "prelu": (lambda x, w: adapter.prelu(x, w, 1), [(2, 3, 2), (3,)]),
    "prelu of one": (adapter.prelu, [(2, 3), ()]),
    "prelu on axes": (lambda x, w: adapter.prelu(x, w, (2, 0)), [(2, 2, 3), (3, 2)]),
    "prelu broadcast": (adapter.prelu, [(2, 3), (3,)]),
    "dropout": (lambda x: adapter.dropout(x, seed=3), [(3, 4)]),
    "rrelu": (lambda x: adapter.rrelu(x, seed=3), [(3, 4)]),
    "bias_act": (lambda x, b: adapter.bias_act(x, b, clamp=1.5, activation="leaky_relu"), [(2, 3), (3,)]),
    "bias_act by x": (
        lambda x, b: adapter.bias_act(x, b, axis=1, negative_slope=-0.3, activation="leaky_relu"),
        [(2, 3, 2), (3,)],
    ),
    "bias_act, elu": (lambda x, b: adapter.bias_act(x, b, activation="elu"), [(2, 3), (3,)]),
    "no bias": (lambda x: adapter.bias_act(x, activation="selu"), [(2, 3)]),
    "no bias, linear": (lambda x: adapter.bias_act(x, activation="linear"), [(2, 3)]),
}


def check_gradient(function, tensors):
    theory, numeric = tf.test.compute_gradient(function, tensors, delta=1e-5)
    for one, other in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize(("function", "shapes"), WIDE.values(), ids=WIDE)
def test_first_and_second_derivatives(function, shapes, mode):
    tensors = [tf.constant(array(np.float64, shape, k + 3)) for k, shape in enumerate(shapes)]
    check_gradient(in_mode(function, mode), tensors)

    def gradients(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = tf.reduce_sum(function(*tensors) ** 2)
        return tf.concat([tf.reshape(each, [-1]) for each in tape.gradient(total, tensors)], 0)

    check_gradient(in_mode(gradients, mode), tensors)


def test_no_third_derivative():
    for function in (adapter.elu, adapter.selu, lambda x: adapter.bias_act(x, activation="elu")):
        x = tf.Variable(array(shape=(2, 3)))
        with tf.GradientTape() as third, tf.GradientTape() as second:
            with tf.GradientTape() as first:
                y = function(x) ** 2
            dx = first.gradient(y, x)
            ddx = second.gradient(dx, x)
        with pytest.raises(NotImplementedError, match=r"first and second derivatives .* not the third"):
            third.gradient(ddx, x)


def leaky_bias_act(x):
    return adapter.bias_act(x, activation="leaky_relu")


def test_sparse_gradients_arrive():
    x = tf.Variable([-1.0, 2.0, -3.0])
    for function in (adapter.leaky_relu, adapter.elu, lambda x: adapter.dropout(x, 0.5, 1), leaky_bias_act):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.gather(function(x), [0, 0, 1]))
        with tf.GradientTape() as dense:
            y = function(x)
        expected = dense.gradient(y, x, tf.constant([2.0, 1.0, 0.0]))
        assert_same_bits(tf.convert_to_tensor(tape.gradient(total, x)).numpy(), expected.numpy())


def test_inside_tensorflow():
    x = tf.constant(array(shape=(4, 3)))
    expected = pyleaky.relu(x.numpy())
    assert_same_bits(tf.vectorized_map(adapter.relu, x).numpy(), expected)
    assert_same_bits(tf.map_fn(adapter.relu, x).numpy(), expected)
    rows = list(tf.data.Dataset.from_tensor_slices(x).map(adapter.relu))
    assert_same_bits(np.stack(rows), expected)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        assert_same_bits(session.run(adapter.relu(tf.constant(x.numpy()))), expected)
    tf.config.run_functions_eagerly(True)
    try:
        assert_same_bits(tf.function(adapter.relu)(x).numpy(), expected)
    finally:
        tf.config.run_functions_eagerly(False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="PyFunc"):
        tf.function(adapter.relu, jit_compile=True)(x)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_fifty_activations_in_a_graph_save_a_sixteenth():
    """The whole step's peak: ours holds two arrays or three beside the masks of fifty, TensorFlow's the fifty."""
    code = """
import pathlib, sys, tensorflow as tf, pyleaky.tensorflow
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
kind = pyleaky.tensorflow.leaky_relu if sys.argv[1] == "ours" else tf.nn.leaky_relu
@tf.function(autograph=False)
def step(x):
    y = x
    with tf.GradientTape() as tape:
        tape.watch(x)
        for _ in range(50):
            y = kind(y)
    return tape.gradient(y, x)
x = tf.random.normal((1024, 2048))
step(tf.ones((1, 1)))
step.get_concrete_function(tf.TensorSpec(x.shape))
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = peak()
step(x)
print((peak() - before) * 1024 / (4 * 1024 * 2048))
"""
    arrays = {whose: float(run_python(code, whose).stdout.splitlines()[-1]) for whose in ("ours", "theirs")}
    assert arrays["theirs"] > 40
    assert arrays["ours"] < 50 / 16 + 3


# ---------------------------------------------------------------------------------------------- Keras

LAYERS = {
    "ReLU": ({}, keras.layers.ReLU),
    "ReLU with a slope": ({"negative_slope": 0.3}, keras.layers.ReLU),
    "LeakyReLU": ({"negative_slope": 0.2}, keras.layers.LeakyReLU),
    "PReLU": ({"alpha_initializer": "random_normal"}, keras.layers.PReLU),
    "PReLU, shared": ({"shared_axes": [1, 2], "alpha_initializer": "random_normal"}, keras.layers.PReLU),
    "PReLU of one": ({"shared_axes": [1, 2, 3], "alpha_initializer": "random_normal"}, keras.layers.PReLU),
    "ELU": ({"alpha": 0.7}, keras.layers.ELU),
    "Dropout": ({"rate": 0.3, "seed": 1}, keras.layers.Dropout),
    "CELU": ({"alpha": 0.7}, lambda alpha: keras.layers.Lambda(lambda x: alpha * tf.nn.elu(x / alpha))),
    "SELU": ({}, lambda: keras.layers.Activation("selu")),
    "RReLU": ({"lower": 0.1, "upper": 0.3, "seed": 1}, lambda **_: keras.layers.LeakyReLU(0.2)),
    "BiasAct": ({"activation": "relu", "gain": 1.0}, lambda **_: keras.layers.ReLU()),
}


@pytest.mark.parametrize(("name", "arguments", "theirs"), [(name, *row) for name, row in LAYERS.items()], ids=LAYERS)
def test_layers_are_keras_own(name, arguments, theirs):
    ours, peer = getattr(adapter, name.split()[0].rstrip(","))(**arguments), theirs(**arguments)
    x = keras.Input((6, 4, 3))
    y = ours(x)
    assert y.shape == (None, 6, 4, 3)
    model, other = keras.Model(x, y), keras.Model(x, peer(x))
    if len(model.weights) == len(other.weights):
        other.set_weights(model.get_weights())
    data = array(shape=(2, 6, 4, 3))
    np.testing.assert_allclose(model(data), other(data), rtol=1e-5, atol=1e-6)
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    assert ours.supports_masking
    assert not ours.supports_jit
    half = type(ours).from_config(ours.get_config() | {"dtype": "mixed_float16"})
    assert half(data).dtype == tf.float16
    if name in ("Dropout", "RReLU"):
        first, second = ours(data, training=True), ours(data, training=True)
        assert not np.array_equal(first, second)
        assert not np.array_equal(first, ours(data))
        assert_same_bits(again(data, training=True).numpy(), type(ours)(**arguments)(data, training=True).numpy())


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come from scikit-learn")
    images, labels = datasets.load_digits(return_X_y=True)
    return (images / 16).astype(np.float32).reshape(-1, 8, 8, 1), labels


def network():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3),
            adapter.LeakyReLU(0.2),
            layers.Conv2D(16, 3),
            adapter.PReLU(shared_axes=[1, 2]),
            layers.Flatten(),
            adapter.Dropout(0.1),
            layers.Dense(64, use_bias=False),
            adapter.BiasAct(activation="leaky_relu", negative_slope=0.2, gain=None),
            layers.Dense(32, activation=adapter.elu),
            adapter.RReLU(),
            layers.Dense(10),
        ]
    )


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    return model


def test_a_model_fits_the_digits_and_is_saved_and_loaded(digits, tmp_path):
    images, labels = digits
    model = compiled(network())
    model.fit(images[:1400], labels[:1400], epochs=8, verbose=0)
    accuracy = model.evaluate(images[1400:], labels[1400:], verbose=0, return_dict=True)["accuracy"]
    assert accuracy > 0.9
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in model.layers]
    assert loaded.layers[-3].activation is adapter.elu
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(one, other)
    predictions = (each.predict(images[:50], verbose=0) for each in (loaded, model))
    np.testing.assert_allclose(
        *predictions, rtol=1e-4, atol=1e-4
    )  # TensorFlow's products have not always the same bits
    loaded.fit(images[:64], labels[:64], verbose=0)  # with the optimizer's state
    code = "import sys, keras, pyleaky.tensorflow; print(type(keras.models.load_model(sys.argv[1]).layers[1]))"
    assert "<class 'pyleaky.tensorflow.LeakyReLU'>" in run_python(code, str(path)).stdout


def test_the_same_seed_gives_the_same_training(digits):
    histories = [compiled(network()).fit(digits[0][:256], digits[1][:256], epochs=2, verbose=0).history["loss"]]
    histories += [compiled(network()).fit(digits[0][:256], digits[1][:256], epochs=2, verbose=0).history["loss"]]
    assert histories[0] == histories[1]


def test_weights_go_either_way_and_checkpoints(tmp_path):
    def model(layers):
        return keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3), layers.PReLU(shared_axes=[1, 2])])

    ours, theirs = model(adapter), model(keras.layers)
    data = array(shape=(2, 6, 6, 1))
    for source, target in ((ours, theirs), (theirs, ours)):
        source.layers[-1].set_weights([array(shape=(1, 1, 4), seed=5)])
        source.save_weights(tmp_path / "x.weights.h5")
        target.load_weights(tmp_path / "x.weights.h5")
        np.testing.assert_allclose(source(data), target(data), rtol=1e-5, atol=1e-6)
    checkpoint = tf.train.Checkpoint(model=ours)
    checkpoint.restore(checkpoint.save(tmp_path / "checkpoint")).assert_consumed()
    ours.set_weights(theirs.get_weights())
    clone = keras.models.clone_model(theirs, clone_function=to_ours)
    clone.set_weights(theirs.get_weights())
    assert type(clone.layers[-1]) is adapter.PReLU
    np.testing.assert_allclose(clone(data), theirs(data), rtol=1e-5, atol=1e-6)


def to_ours(layer):
    """As the documentation has it, for `clone_function`."""
    return getattr(adapter, type(layer).__name__, type(layer)).from_config(layer.get_config())


def test_compiled_by_xla_is_refused_by_keras():
    model = keras.Sequential([keras.Input((4,)), adapter.LeakyReLU()])
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        model.compile("sgd", "mse", jit_compile=True)
    assert not model.jit_compile


def saved_forms():
    layer = keras.Sequential([keras.Input((4,)), adapter.LeakyReLU()])
    inside = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.Sequential([adapter.ELU()])])
    function = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation=adapter.leaky_relu)])
    module = tf.Module()
    module.call = tf.function(adapter.relu, input_signature=[tf.TensorSpec((None, 3))], autograph=False)
    refused = (ValueError, AssertionError)  # by the layer or, where Keras does not ask it, by TensorFlow
    plain = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    return {
        "exported": (refused, lambda path: layer.export(path, verbose=False)),
        "exported, nested": (refused, lambda path: inside.export(path, verbose=False)),
        "saved": (ValueError, lambda path: tf.saved_model.save(layer, path)),
        "exported function": (AssertionError, lambda path: function.export(path, verbose=False)),
        "saved function": (AssertionError, lambda path: tf.saved_model.save(module, path)),
        "saved without gradients": (AssertionError, lambda path: tf.saved_model.save(module, path, options=plain)),
    }


@pytest.mark.parametrize(
    "form", ["exported", "exported, nested", "saved", "exported function", "saved function", "saved without gradients"]
)
def test_no_saved_model(form, tmp_path):
    error, save = saved_forms()[form]
    with pytest.raises(error, match=r"Python, which a SavedModel cannot hold: save a Keras model in the \.keras"):
        save(str(tmp_path / "saved"))
    assert not (tmp_path / "saved/saved_model.pb").exists()


# ---------------------------------------------------------------------------------------------- errors

BAD = {
    "sparse": (r"x is a SparseTensor, expected a dense tensor", lambda: tf.sparse.eye(3)),
    "ragged": (r"x is a RaggedTensor, expected a dense tensor", lambda: tf.ragged.constant([[1.0], [2.0, 3.0]])),
    "integers": (r"x has dtype int32, expected float16, bfloat16, float32, float64", lambda: tf.constant([1, 2])),
    "complex": (r"x has dtype complex64, expected float16", lambda: tf.constant([1j], tf.complex64)),
    "quantized": (r"x has dtype qint8, expected float16", lambda: tf.quantization.quantize([1.0], 0, 1, tf.qint8)[0]),
    "symbolic": (r"x is a KerasTensor, expected a tensor; a layer of pyleaky\.tensorflow", lambda: keras.Input((3,))),
}


@pytest.mark.parametrize(("message", "make"), BAD.values(), ids=BAD)
def test_bad_tensors(message, make):
    for function in (
        adapter.relu, adapter.leaky_relu, adapter.elu, adapter.celu, adapter.selu, adapter.rrelu, adapter.dropout,
        leaky_bias_act, lambda x: adapter.prelu(x, 0.1),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=message):
            function(make())


def test_other_devices(monkeypatch):
    elsewhere = types.SimpleNamespace(dtype=tf.float32, device="/job:localhost/replica:0/task:0/device:TPU:0")
    monkeypatch.setattr(tf, "convert_to_tensor", lambda value: elsewhere)
    with pytest.raises(TypeError, match=r"x is on device /job.*TPU:0, expected a CPU or a GPU"):
        adapter.relu(elsewhere)


LEARNED = keras.Variable(0.1)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_other_bad_input(mode):
    x = tf.constant(array())
    for error, message, call in [
        (TypeError, "negative_slope must be a number, got list", lambda x: adapter.leaky_relu(x, [0.1])),
        (TypeError, "alpha must be a number, got str", lambda x: adapter.elu(x, "0.5")),
        (TypeError, "negative_slope must be a number, got", lambda x: adapter.leaky_relu(x, tf.constant(0.1))),
        (TypeError, "alpha must be a number, got Variable", lambda x: adapter.elu(x, LEARNED)),
        (ValueError, "alpha must not be 0", lambda x: adapter.celu(x, 0.0)),
        (ValueError, r"rate must be in \[0, 1\], got 1.5", lambda x: adapter.dropout(x, 1.5)),
        (ValueError, "seed must be in", lambda x: adapter.dropout(x, seed=-1)),
        (TypeError, "seed must be an int or a tensor of two integers, got float32 of shape",
         lambda x: adapter.dropout(x, seed=tf.ones(2))),
        (TypeError, "seed must be an int or a tensor of two integers, got int32 of shape",
         lambda x: adapter.rrelu(x, seed=tf.constant([1, 2, 3]))),
        (ValueError, "lower", lambda x: adapter.rrelu(x, 0.5, 0.1)),
        (ValueError, "weight has shape", lambda x: adapter.prelu(x, tf.ones(4), 1)),
        (TypeError, "weight has dtype float64, expected that of x, float32",
         lambda x: adapter.prelu(x, tf.ones(3, tf.float64), 1)),
        (ValueError, "bias has shape", lambda x: adapter.bias_act(x, tf.ones(4), activation="leaky_relu")),
        (TypeError, "bias has dtype float16, expected that of x",
         lambda x: adapter.bias_act(x, tf.ones(5, tf.float16), activation="leaky_relu")),
        (ValueError, "activation must be one of", lambda x: adapter.bias_act(x, activation="tanh")),
        (ValueError, "gain must be positive", lambda x: adapter.bias_act(x, gain=-1.0, activation="leaky_relu")),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            in_mode(call, mode)(x)


# Every number: argument, what takes it in a call, and in a layer's construction.
NUMBERS = {
    "leaky_relu": ("negative_slope", adapter.leaky_relu, adapter.LeakyReLU),
    "relu": ("negative_slope", None, lambda negative_slope: adapter.ReLU(negative_slope=negative_slope)),
    "relu, threshold": ("threshold", None, lambda threshold: adapter.ReLU(threshold=threshold)),
    "elu": ("alpha", adapter.elu, adapter.ELU),
    "celu": ("alpha", adapter.celu, adapter.CELU),
    "rrelu, lower": ("lower", lambda x, lower: adapter.rrelu(x, lower, 3), lambda lower: adapter.RReLU(lower, 3)),
    "rrelu, upper": (
        "upper",
        lambda x, upper: adapter.rrelu(x, -3, upper, training=False),
        lambda upper: adapter.RReLU(-3, upper),
    ),
    "dropout": ("rate", adapter.dropout, adapter.Dropout),
    **{
        f"bias_act, {argument}": (
            argument,
            lambda x, value, argument=argument: adapter.bias_act(x, activation="leaky_relu", **{argument: value}),
            lambda value, argument=argument: adapter.BiasAct(activation="leaky_relu", **{argument: value}),
        )
        for argument in ("negative_slope", "gain", "clamp")
    },
}
NO_NUMBERS = [
    1j, np.complex64(1 + 3j), None, "0.5", b"0.5", [0.5], np.ones(2), np.ones(1), np.array(None), np.array("1"),
    10**400,
]  # fmt: skip
every_number = pytest.mark.parametrize(("argument", "call", "construct"), NUMBERS.values(), ids=NUMBERS)


def message_of(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@every_number
def test_no_numbers(argument, call, construct, mode):
    x = tf.constant(array())
    for value in NO_NUMBERS:
        if value is None and argument in ("gain", "clamp"):
            continue
        expected = message_of(lambda: _arguments.number(argument, value))  # noqa: B023
        assert expected[1].startswith(f"{argument} must be ")
        assert message_of(lambda: construct(value)) == expected  # noqa: B023
        if call is not None:
            run = in_mode(lambda x: call(x, value), mode)  # noqa: B023
            assert message_of(lambda: run(x)) == expected  # noqa: B023
    for value in (tf.constant(0.5), tf.Variable(0.5), LEARNED, keras.Input(())):  # whose gradient would be lost
        message = f"{argument} must be a number, got {type(value).__name__}"
        assert message_of(lambda: construct(value)) == (TypeError, message)  # noqa: B023
        if call is not None and mode == "eager":
            assert message_of(lambda: call(x, value)) == (TypeError, message)  # noqa: B023


@every_number
def test_all_kinds_of_numbers(argument, call, construct):
    x = tf.constant(array())

    def results(value):
        tf.random.set_seed(1)
        layer = construct(value)
        assert type(getattr(layer, argument)) is float
        return [layer(x)] if call is None else [layer(x), call(x, value)]

    kinds = [(np.float32(0.5), 0.5), (np.array(0.5), 0.5), (1, 1.0), (True, 1.0), (np.int64(1), 1.0)]
    for value, plain in kinds if argument != "threshold" else [(0, 0.0), (False, 0.0), (np.float32(0), 0.0)]:
        for found, expected in zip(results(value), results(plain), strict=True):
            assert_same_bits(found.numpy(), expected.numpy())


OUT_OF_RANGE = [
    ("elu", {"alpha": np.inf}), ("celu", {"alpha": -np.inf}), ("celu", {"alpha": 0}), ("celu", {"alpha": -0.0}),
    ("rrelu", {"lower": np.nan}), ("rrelu", {"upper": np.inf}), ("rrelu", {"lower": 0.5, "upper": 0.25}),
    *(("bias_act", {"gain": gain, "activation": "relu"}) for gain in (0, -1, np.inf, np.nan)),
    *(("bias_act", {"clamp": clamp, "activation": "relu"}) for clamp in (-1, np.nan)),
    ("bias_act", {"activation": "swish"}), ("bias_act", {"activation": "lrelu"}), ("bias_act", {"activation": None}),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize(("name", "parameters"), OUT_OF_RANGE)
def test_what_the_functions_of_arrays_refuse(name, parameters, mode):
    layer = {"elu": "ELU", "celu": "CELU", "rrelu": "RReLU", "bias_act": "BiasAct"}[name]
    seed = {"seed": 1} if name == "rrelu" else {}
    expected = message_of(lambda: getattr(pyleaky, name)(np.zeros(3), **parameters, **seed))
    assert message_of(lambda: getattr(adapter, layer)(**parameters)) == expected
    run = in_mode(lambda x: getattr(adapter, name)(x, **parameters), mode)
    assert message_of(lambda: run(tf.constant(array()))) == expected


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_no_integers_and_rates(mode):
    x = tf.constant(array())
    for value in (True, 1.5, 1j, "1", [1, 2, 3], np.array(None)):
        for argument, call in [
            ("axis", lambda x: adapter.bias_act(x, axis=value, activation="relu")),  # noqa: B023
            ("axis", lambda x: adapter.BiasAct(axis=value, activation="relu")),  # noqa: B023
            ("axis", lambda x: adapter.prelu(x, WEIGHT, value)),  # noqa: B023
            ("seed", lambda x: adapter.dropout(x, seed=value)),  # noqa: B023
            ("seed", lambda x: adapter.rrelu(x, seed=value)),  # noqa: B023
        ]:
            if isinstance(value, list) and "prelu" in call.__code__.co_names:
                continue
            kind, message = message_of(lambda: in_mode(call, mode)(x))  # noqa: B023
            assert kind is TypeError
            assert message.startswith(f"{argument} must be an int")
    for axis in (3, -4):
        for call in (
            lambda x: adapter.bias_act(x, WEIGHT, axis=axis, activation="relu"),  # noqa: B023
            lambda x: adapter.prelu(x, WEIGHT, axis),  # noqa: B023
        ):
            with pytest.raises(np.exceptions.AxisError, match=f"axis {axis} is out of bounds for array of dimension 3"):
                in_mode(call, mode)(x)
    for rate in (-0.1, 1.1, np.nan):
        expected = ValueError, f"rate must be in [0, 1], got {rate}"
        assert message_of(lambda: in_mode(lambda x: adapter.dropout(x, rate), mode)(x)) == expected  # noqa: B023
        assert message_of(lambda: adapter.Dropout(rate)) == expected  # noqa: B023
    with pytest.raises(ValueError, match=r"seed must be in .*, got an integer of 1329 bits"):
        adapter.dropout(x, seed=10**400)


def test_defaults_of_bias_act():
    defaults = inspect.signature(pyleaky.bias_act).parameters
    for function in (adapter.bias_act, adapter.BiasAct):
        parameters = inspect.signature(function).parameters
        for name in ("activation", "negative_slope", "gain", "clamp"):
            assert (parameters[name].default, parameters[name].kind) == (defaults[name].default, defaults[name].kind)


def test_layers_refuse_what_they_lack(monkeypatch):
    for make, message in [
        (
            lambda: adapter.ReLU(max_value=6.0),
            r"max_value must be None and threshold 0, got 6\.0 and 0\.0; keras\.layers",
        ),
        (lambda: adapter.ReLU(threshold=1.0), "got None and 1.0"),
        (lambda: adapter.Dropout(0.5, noise_shape=(1, 2)), r"noise_shape must be None, got \(1, 2\); keras\.layers"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="need Keras with the TensorFlow backend, found jax"):
        adapter.SELU()


def run_python(code, *arguments):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=environment
    )


def test_import_errors():
    needs = "ImportError: pyleaky.tensorflow needs"
    fake = "import sys, types; tf = sys.modules['tensorflow'] = types.ModuleType('tensorflow'); tf.__version__ = {!r}; "
    keras_fake = "keras = sys.modules['keras'] = types.ModuleType('keras'); keras.__version__ = '2.15.0'; "
    for code, message in [
        (
            "import sys; sys.modules['tensorflow'] = None; ",
            "TensorFlow, which is not installed: pip install 'pyleaky[tensorflow]'",
        ),
        (fake.format("2.17.1"), "TensorFlow 2.18 or newer, found TensorFlow 2.17.1"),
        (
            fake.format("2.21.0") + "sys.modules['keras'] = None; ",
            "Keras 3, which is not installed: pip install 'pyleaky[tensorflow]'",
        ),
        (fake.format("2.21.0") + keras_fake, "Keras 3 or newer, found Keras 2.15.0"),
    ]:
        assert f"{needs} {message}" in run_python(code + "import pyleaky.tensorflow").stderr
    code = "import sys, pyleaky; pyleaky.relu([1.0]); print('tensorflow' in sys.modules)"
    assert run_python(code).stdout.strip() == "False"


def test_documented():
    assert sorted(adapter.__all__) == sorted(set(adapter.__all__))
    for name in adapter.__all__:
        assert getattr(adapter, name).__doc__
    functions = [name for name in adapter.__all__ if name.islower()]
    runner = doctest.DocTestRunner()
    for name in functions:
        for test in doctest.DocTestFinder().find(getattr(adapter, name), name, globs={}):
            assert test.examples
            assert runner.run(test).failed == 0
    assert len(functions) == 9
    assert len(adapter.DTYPES) == len(DTYPES)


def test_the_example_on_digits(monkeypatch, capsys):
    folder = Path(__file__).parents[1] / "examples"
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    pytest.importorskip("tqdm", reason="the example shows its progress with tqdm")
    monkeypatch.syspath_prepend(folder)
    import keras_digits

    accuracies, same = keras_digits.main(["--epochs", "3", "--activation", "PReLU"])
    assert min(accuracies.values()) > 0.8
    assert same
    assert "s per epoch" in capsys.readouterr().out


README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="not in the source tree")
def test_the_readme():
    text = README.read_text()
    (block,) = (part for part in text.split("```pycon\n")[1:] if part.startswith(">>> import keras"))
    test = doctest.DocTestParser().get_doctest(block.split("```")[0], {}, "README", None, None)
    assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
    assert test.globs["model"].output_shape == (None, 1)
