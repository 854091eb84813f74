"""examples/nn.py: layers and losses against central differences in float64; the optimisers against their formulas."""

import math

import numpy as np
import pytest
from test_digits import example

nn = example("nn")

STEP = 1e-6
TOLERANCE = {"rtol": 1e-6, "atol": 1e-8}  # rounding gives 1e-10; a wrong term shows in the first digits


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def numerical_gradient(loss, array):
    """Central differences of loss(), which reads the array, by each of its elements."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept, losses = array[index], []
        for shifted in (kept + STEP, kept - STEP):
            array[index] = shifted
            losses.append(float(loss()))
        array[index] = kept
        gradient[index] = (losses[0] - losses[1]) / (2 * STEP)
    return gradient


def check(make, x, out_shape, training=False):
    """The layer's gradients by its input and every parameter, for a random linear loss, and the output's shape.

    `make` makes the same layer each time, so that what draws random numbers draws the same ones again.
    """
    layer = make()
    y = layer.forward(x, training)
    assert y.shape == out_shape
    assert y.dtype == x.dtype
    direction = normal(*out_shape, seed=9)
    dx = layer.backward(direction)

    def loss():
        again = make()
        again.parameters = layer.parameters
        return (again.forward(x, training) * direction).sum()

    np.testing.assert_allclose(dx, numerical_gradient(loss, x), **TOLERANCE)
    assert layer.gradients.keys() == layer.parameters.keys()
    for name, parameter in layer.parameters.items():
        assert layer.gradients[name].shape == parameter.shape
        np.testing.assert_allclose(layer.gradients[name], numerical_gradient(loss, parameter), **TOLERANCE)


# --------------------------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize("bias", [None, normal(3)])
def test_dense(bias):
    check(lambda: nn.Dense(normal(4, 3, seed=1), bias), normal(5, 4), (5, 3))


@pytest.mark.parametrize("bias", [None, normal(3)])
@pytest.mark.parametrize(
    ("height", "width", "stride", "padding", "out"),
    [(3, 2, 1, 0, (4, 4)), (3, 3, 1, 1, (6, 5)), (3, 3, 2, 1, (3, 3)), (2, 2, 2, 0, (3, 2)), (1, 1, 3, 0, (2, 2))],
)
def test_conv(height, width, stride, padding, out, bias):
    weight = normal(height, width, 2, 3, seed=1)
    check(lambda: nn.Conv(weight, bias, stride, padding), normal(2, 6, 5, 2), (2, *out, 3))


def test_conv_is_a_correlation_with_zeros_outside():
    image, weight = normal(1, 4, 5, 2), normal(3, 3, 2, 3, seed=1)
    padded = np.pad(image[0], ((1, 1), (1, 1), (0, 0)))
    expected = [
        [np.tensordot(padded[i : i + 3, j : j + 3], weight, axes=3) for j in range(0, 5, 2)] for i in range(0, 4, 2)
    ]
    np.testing.assert_allclose(nn.Conv(weight, stride=2, padding=1).forward(image)[0], expected, rtol=1e-12)


ACTIVATIONS = {
    "linear": (None, lambda x: x),
    "sigmoid": (None, lambda x: 1 / (1 + np.exp(-x))),
    "tanh": (None, np.tanh),
    "relu": (None, lambda x: np.where(x > 0, x, 0)),
    "leaky_relu": (None, lambda x: np.where(x > 0, x, 0.01 * x)),
    "leaky_relu 0.3": (0.3, lambda x: np.where(x > 0, x, 0.3 * x)),
    "prelu": (np.array([0.25, -0.5, 0.1]), lambda x: np.where(x > 0, x, np.array([0.25, -0.5, 0.1]) * x)),
    "rrelu": (None, lambda x: np.where(x > 0, x, (1 / 8 + 1 / 3) / 2 * x)),
    "rrelu 0.1 0.5": ((0.1, 0.5), lambda x: np.where(x > 0, x, 0.3 * x)),
    "elu": (None, lambda x: np.where(x > 0, x, np.expm1(x))),
    "elu 0.5": (0.5, lambda x: np.where(x > 0, x, 0.5 * np.expm1(x))),
    "celu": (None, lambda x: np.where(x > 0, x, np.expm1(x))),
    "celu 2": (2.0, lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2))),
    "selu": (None, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 2, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation(activation, shape, training):
    parameter, function = ACTIVATIONS[activation]
    x = normal(*shape)
    assert np.abs(x).min() > 10 * STEP  # away from the kink
    name = activation.split()[0]

    def make():
        return nn.Activation(name, parameter, np.random.default_rng(3))

    check(make, x, shape, training)
    layer = make()
    y = layer.forward(x)
    np.testing.assert_allclose(y, function(x), rtol=1e-12)
    assert layer.x is x
    assert layer.y is y


def test_every_rectifier_is_tested():
    assert set(nn.RECTIFIERS) <= {activation.split()[0] for activation in ACTIVATIONS}


def test_sigmoid_does_not_overflow():
    x = np.float32([-1000, -30, 0, 30, 1000])
    np.testing.assert_allclose(nn.Activation("sigmoid").forward(x), [0, 0, 0.5, 1, 1], atol=1e-7)


@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu", "elu", "selu"])
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 2, 3)])
def test_bias_act(activation, shape):
    check(lambda: nn.BiasAct(normal(3, seed=1), activation=activation, clamp=1.5), normal(*shape), shape)


def test_bias_act_has_the_options_that_it_is_given():
    x, bias = normal(5, 3), normal(3, seed=1)
    expected = np.where(x + bias > 0, x + bias, 0.2 * (x + bias)) * math.sqrt(2)
    layer = nn.BiasAct(bias, activation="leaky_relu", negative_slope=0.2, gain=None)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12)
    np.testing.assert_array_equal(layer.y, layer.forward(x))


def test_random_layers_draw_afresh_for_each_step_and_the_same_again_backward():
    rng = np.random.default_rng(0)
    for layer in (nn.Dropout(0.5, rng), nn.Activation("rrelu", rng=rng)):
        x = -np.ones((4, 50))
        first, second = layer.forward(x, True), layer.forward(x, True)
        assert (first != second).any()
        np.testing.assert_allclose(layer.backward(x), second, rtol=1e-12)


def test_dropout():
    check(lambda: nn.Dropout(0.3, np.random.default_rng(5)), normal(4, 6), (4, 6), training=True)
    check(lambda: nn.Dropout(0.3, np.random.default_rng(5)), normal(4, 6), (4, 6))
    y = nn.Dropout(0.3, np.random.default_rng(5)).forward(np.ones((100, 100)), True)
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7])
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.03)
    x = normal(4, 6)
    np.testing.assert_array_equal(nn.Dropout(0.3, np.random.default_rng(5)).forward(x), x)


def test_reshape():
    check(lambda: nn.Reshape(6), normal(2, 3, 2), (2, 6))
    check(lambda: nn.Reshape(2, 3, 1), normal(2, 6), (2, 2, 3, 1))


@pytest.mark.parametrize(
    ("activation", "parameter"), [("tanh", None), ("relu", None), ("leaky_relu", 0.2), ("elu", 0.5)]
)
def test_recurrent(activation, parameter):
    arrays = normal(2, 4, seed=1), 0.5 * normal(4, 4, seed=2), normal(4, seed=3)
    check(lambda: nn.Recurrent(*arrays, activation, parameter), normal(5, 3, 2), (3, 4))


def test_recurrent_written_out():
    x, weight, recurrent, bias = normal(3, 2, 2), normal(2, 4, seed=1), normal(4, 4, seed=2), normal(4, seed=3)
    h = np.zeros((2, 4))
    for at_once in x:
        h = np.tanh(at_once @ weight + h @ recurrent + bias)
    np.testing.assert_allclose(nn.Recurrent(weight, recurrent, bias, "tanh").forward(x), h, rtol=1e-12)


# -------------------------------------------------------------------------------------------------------- networks


def small_network():
    """Convolution, bias_act, prelu and Dense, in float64."""
    return nn.Network(
        [
            nn.Conv(0.5 * normal(3, 3, 1, 2), stride=2, padding=1),
            nn.BiasAct(normal(2, seed=1), activation="leaky_relu", negative_slope=0.2, gain=None),
            nn.Reshape(8),
            nn.Dense(normal(8, 4, seed=2), normal(4, seed=3)),
            nn.Activation("prelu", np.full(4, 0.25)),
            nn.Dense(normal(4, 3, seed=4), normal(3, seed=5)),
        ]
    )


def test_gradients_of_a_network():
    network, images, labels = small_network(), normal(5, 4, 3, 1, seed=7), np.array([0, 2, 1, 1, 0])

    def loss():
        return nn.softmax_cross_entropy(network.forward(images), labels)[0]

    logits = network.forward(images, training=True)
    dx = network.backward(nn.softmax_cross_entropy(logits, labels)[1])
    np.testing.assert_allclose(dx, numerical_gradient(loss, images), **TOLERANCE)
    names = ["0.weight", "1.bias", "3.weight", "3.bias", "4.slope", "5.weight", "5.bias"]
    assert list(network.parameters) == list(network.gradients) == names
    for name, parameter in network.parameters.items():
        np.testing.assert_allclose(network.gradients[name], numerical_gradient(loss, parameter), **TOLERANCE)
    assert list(network.activations) == ["1", "4"]
    assert all(network.activations[name] is network.layers[int(name)] for name in ("1", "4"))


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh", *nn.RECTIFIERS])
def test_multilayer_perceptron(activation):
    network = nn.multilayer_perceptron(np, (6, 5, 4, 3), activation, rng=np.random.default_rng(0), dropout=0.2)
    kinds = [nn.Dense, nn.Activation, nn.Dropout] * 2 + [nn.Dense]
    assert [type(layer) for layer in network.layers] == kinds
    assert [network.layers[i].parameters["weight"].shape for i in (0, 3, 6)] == [(6, 5), (5, 4), (4, 3)]
    y = network.forward(normal(7, 6).astype(np.float32), training=True)
    assert y.dtype == np.float32
    assert network.backward(y).shape == (7, 6)
    assert all(gradient.dtype == np.float32 for gradient in network.gradients.values())
    slopes = [array for name, array in network.parameters.items() if name.endswith("slope")]
    assert [slope.tolist() for slope in slopes] == ([[0.25] * 5, [0.25] * 4] if activation == "prelu" else [])


def test_initial_weights():
    weight = nn.initial_weight(np, (400, 500), "leaky_relu", 0.2, np.random.default_rng(0))
    assert weight.dtype == np.float32
    assert weight.std() == pytest.approx(math.sqrt(2 / (1 + 0.2**2) / 400), rel=0.01)
    again = nn.initial_weight(np, (400, 500), "leaky_relu", 0.2, np.random.default_rng(0))
    np.testing.assert_array_equal(weight, again)


# ---------------------------------------------------------------------------------------------- losses and the rest


def test_softmax_cross_entropy():
    logits, labels = 3 * normal(6, 4), np.array([0, 3, 1, 2, 2, 0])
    loss, grad = nn.softmax_cross_entropy(logits, labels)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert loss == pytest.approx(-np.log(probabilities[np.arange(6), labels]).mean())
    numerical = numerical_gradient(lambda: nn.softmax_cross_entropy(logits, labels)[0], logits)
    np.testing.assert_allclose(grad, numerical, **TOLERANCE)
    shifted = nn.softmax_cross_entropy(logits + 1e4, labels)[0]
    assert shifted == pytest.approx(loss)


def test_binary_cross_entropy():
    logits, targets = 3 * normal(6, 2), np.random.default_rng(1).random((6, 2))
    loss, grad = nn.binary_cross_entropy(logits, targets)
    probability = 1 / (1 + np.exp(-logits))
    assert loss == pytest.approx(-(targets * np.log(probability) + (1 - targets) * np.log1p(-probability)).mean())
    numerical = numerical_gradient(lambda: nn.binary_cross_entropy(logits, targets)[0], logits)
    np.testing.assert_allclose(grad, numerical, **TOLERANCE)
    assert nn.binary_cross_entropy(np.array([[-1e4, 1e4]]), np.array([[0, 0]]))[0] == pytest.approx(5e3)


def test_accuracy_and_batches():
    assert nn.accuracy(np.array([[0.1, 0.2], [2, 1], [0, -1]]), np.array([1, 0, 1])) == pytest.approx(2 / 3)
    parts = list(nn.batches(10, 4, np.random.default_rng(0), np))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert sorted(np.concatenate(parts)) == list(range(10))


# ------------------------------------------------------------------------------------------------------ optimisers

RATES = [0.1, 0.1, 0.05]


def parameters_and_steps():
    """Parameters of one and two dimensions, and the gradients of three steps."""
    shapes = {"0.weight": (3, 2), "0.bias": (2,), "1.slope": (2,)}
    steps = [{name: normal(*shape, seed=k) for name, shape in shapes.items()} for k in range(1, 4)]
    return {name: normal(*shape) for name, shape in shapes.items()}, steps


def test_sgd():
    parameters, steps = parameters_and_steps()
    expected = {name: array.copy() for name, array in parameters.items()}
    arrays = list(parameters.values())
    optimiser = nn.SGD(parameters, 0.1, momentum=0.9, weight_decay=0.01)
    velocity = dict.fromkeys(parameters, 0.0)
    for gradients, rate in zip(steps, RATES, strict=True):
        for name in expected:
            decay = 0.01 * expected[name] if name == "0.weight" else 0
            velocity[name] = 0.9 * velocity[name] - rate * (gradients[name] + decay)
            expected[name] = expected[name] + velocity[name]
        optimiser.step(gradients, None if rate == 0.1 else rate)
    for name, array in zip(expected, arrays, strict=True):  # in place, so that the layers see it
        np.testing.assert_allclose(array, expected[name], rtol=1e-12)


def test_adam():
    parameters, steps = parameters_and_steps()
    expected = {name: array.copy() for name, array in parameters.items()}
    arrays = list(parameters.values())
    optimiser = nn.Adam(parameters, 0.1, betas=(0.8, 0.99), weight_decay=0.01)
    mean, square = dict.fromkeys(parameters, 0.0), dict.fromkeys(parameters, 0.0)
    for t, (gradients, rate) in enumerate(zip(steps, RATES, strict=True), start=1):
        for name, gradient in gradients.items():
            mean[name] = 0.8 * mean[name] + 0.2 * gradient
            square[name] = 0.99 * square[name] + 0.01 * gradient**2
            corrected = (mean[name] / (1 - 0.8**t)) / np.sqrt(square[name] / (1 - 0.99**t))
            decay = 0.01 * expected[name] if name == "0.weight" else 0
            expected[name] = expected[name] - rate * (corrected + decay)
        optimiser.step(gradients, None if rate == 0.1 else rate)
    for name, array in zip(expected, arrays, strict=True):
        np.testing.assert_allclose(array, expected[name], rtol=1e-5)  # 1e-8 beside the root is left out above


@pytest.mark.parametrize("optimiser", [nn.SGD, nn.Adam])
def test_optimisers_learn(optimiser):
    network = nn.multilayer_perceptron(np, (2, 16, 2), "leaky_relu", rng=np.random.default_rng(0))
    points = normal(200, 2).astype(np.float32)
    labels = (points[:, 0] * points[:, 1] > 0).astype(int)
    steps = optimiser(network.parameters, 0.05)
    for _ in range(300):
        network.backward(nn.softmax_cross_entropy(network.forward(points, training=True), labels)[1])
        steps.step(network.gradients, 0.5 if optimiser is nn.SGD else None)
    assert nn.accuracy(network.forward(points), labels) > 0.95
