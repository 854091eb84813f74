"""The networks of the examples: layers, losses and optimisers on NumPy or CuPy arrays, each a few readable lines.

Activations, dropout, bias + activation, weight decay and the gain of the initial weights come from pyleaky; what is
left is matrix products.  A layer keeps, from its last forward pass, what its backward pass needs; `backward` takes the
gradient of the loss by what `forward` returned, leaves that of each parameter in `gradients`, and returns that by the
input.  Images are (batch, height, width, channels).  To add a layer, write a class with `forward`, `backward`,
`parameters` and `gradients`, both dicts of arrays.
"""

import itertools
import math

import pyleaky
from pyleaky import init, training

RECTIFIERS = ("relu", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu")


def label(activation, parameter=None):
    """ "leaky_relu 0.2", for tables and legends."""
    return activation if parameter is None else f"{activation} {parameter:g}"


def array_module(array):
    """numpy or cupy, whichever the array is of."""
    import numpy

    if isinstance(array, numpy.ndarray):
        return numpy
    import cupy

    return cupy


class Dense:
    """x @ weight + bias, for x of shape (batch, inputs) and a weight of shape (inputs, outputs)."""

    def __init__(self, weight, bias=None):
        self.parameters = {"weight": weight}
        if bias is not None:
            self.parameters["bias"] = bias
        self.gradients = {}

    def forward(self, x, training=False):
        self.x = x
        y = x @ self.parameters["weight"]
        if "bias" in self.parameters:
            y += self.parameters["bias"]
        return y

    def backward(self, grad):
        self.gradients["weight"] = self.x.T @ grad
        if "bias" in self.parameters:
            self.gradients["bias"] = grad.sum(axis=0)
        return grad @ self.parameters["weight"].T


class Conv:
    """A convolution by im2col: patches of the image times a weight of shape (height, width, inputs, outputs)."""

    def __init__(self, weight, bias=None, stride=1, padding=0):
        self.parameters = {"weight": weight}
        if bias is not None:
            self.parameters["bias"] = bias
        self.gradients = {}
        self.stride, self.padding = stride, padding

    def places(self, padded):
        """For each place in the kernel, the pixels of the padded image that it meets."""
        height, width = self.parameters["weight"].shape[:2]
        step = self.stride
        down = (padded.shape[1] - height) // step * step + 1
        across = (padded.shape[2] - width) // step * step + 1
        for i in range(height):
            for j in range(width):
                yield i, j, padded[:, i : i + down : step, j : j + across : step]

    def forward(self, x, training=False):
        xp, weight, p = array_module(x), self.parameters["weight"], self.padding
        padded = xp.pad(x, ((0, 0), (p, p), (p, p), (0, 0))) if p else x
        self.padded_shape = padded.shape
        pixels = [pixels for _, _, pixels in self.places(padded)]
        patches = xp.concatenate(pixels, axis=3)
        self.out_shape = (*patches.shape[:3], weight.shape[3])
        self.patches = patches.reshape(-1, patches.shape[3])
        y = self.patches @ weight.reshape(-1, weight.shape[3])
        if "bias" in self.parameters:
            y += self.parameters["bias"]
        return y.reshape(self.out_shape)

    def backward(self, grad):
        xp, weight, p = array_module(grad), self.parameters["weight"], self.padding
        flat = grad.reshape(-1, weight.shape[3])
        self.gradients["weight"] = (self.patches.T @ flat).reshape(weight.shape)
        if "bias" in self.parameters:
            self.gradients["bias"] = flat.sum(axis=0)
        by_patches = (flat @ weight.reshape(-1, weight.shape[3]).T).reshape(*grad.shape[:3], *weight.shape[:3])
        dx = xp.zeros(self.padded_shape, grad.dtype)
        for i, j, pixels in self.places(dx):
            pixels += by_patches[:, :, :, i, j]
        return dx[:, p : dx.shape[1] - p, p : dx.shape[2] - p]


class Activation:
    """One of pyleaky's, or linear, sigmoid or tanh; keeps its input and output as `x` and `y`.

    `parameter` is the slope of leaky_relu, the alpha of elu and celu, the (lower, upper) of rrelu, and for prelu the
    array of slopes, one for each unit, which is learned.  `rng` draws rrelu's seeds.
    """

    def __init__(self, name, parameter=None, rng=None):
        self.name, self.rng = name, rng
        self.parameters = {"slope": parameter} if name == "prelu" else {}
        self.gradients = {}
        defaults = {"leaky_relu": 0.01, "elu": 1.0, "celu": 1.0, "rrelu": (1 / 8, 1 / 3)}
        self.parameter = defaults.get(name) if parameter is None else parameter

    def forward(self, x, training=False):
        xp = array_module(x)
        self.x = x
        match self.name:
            case "linear":
                self.y = x
            case "sigmoid":
                self.y = 0.5 * xp.tanh(0.5 * x) + 0.5  # 1 / (1 + exp(-x)), without overflow
            case "tanh":
                self.y = xp.tanh(x)
            case "prelu":
                self.y = pyleaky.prelu(x, self.parameters["slope"], axis=-1)
            case "rrelu":
                self.training, self.seed = training, int(self.rng.integers(2**63)) if training else 0
                self.y = pyleaky.rrelu(x, *self.parameter, seed=self.seed, training=training)
            case "leaky_relu" | "elu" | "celu":
                self.y = getattr(pyleaky, self.name)(x, self.parameter)
            case _:
                self.y = getattr(pyleaky, self.name)(x)
        return self.y

    def backward(self, grad):
        match self.name:
            case "linear":
                return grad
            case "sigmoid":
                return grad * self.y * (1 - self.y)
            case "tanh":
                return grad * (1 - self.y * self.y)
            case "prelu":
                dx, self.gradients["slope"] = pyleaky.prelu_backward(grad, self.x, self.parameters["slope"], axis=-1)
                return dx
            case "rrelu":
                return pyleaky.rrelu_backward(grad, self.x, *self.parameter, seed=self.seed, training=self.training)
            case "leaky_relu" | "elu" | "celu":
                return getattr(pyleaky, self.name + "_backward")(grad, self.x, self.parameter)
        return getattr(pyleaky, self.name + "_backward")(grad, self.x)


class BiasAct:
    """pyleaky.bias_act over the last axis; stands behind a Dense or Conv without a bias.  Keeps its output as `y`."""

    def __init__(self, bias, **options):
        self.parameters, self.gradients, self.options = {"bias": bias}, {}, {"axis": -1, **options}

    def forward(self, x, training=False):
        self.x = x
        self.y = pyleaky.bias_act(x, self.parameters["bias"], **self.options)
        return self.y

    def backward(self, grad):
        dx, self.gradients["bias"] = pyleaky.bias_act_backward(grad, self.x, self.parameters["bias"], **self.options)
        return dx


class Dropout:
    """Drops each number with probability p while training; a fresh seed for each step, drawn from rng."""

    def __init__(self, p, rng):
        self.p, self.rng = p, rng
        self.parameters, self.gradients = {}, {}

    def forward(self, x, training=False):
        self.training, self.seed = training, int(self.rng.integers(2**63)) if training else 0
        return pyleaky.dropout(x, self.p, seed=self.seed, training=training)

    def backward(self, grad):
        return pyleaky.dropout_backward(grad, self.p, seed=self.seed, training=self.training)


class Reshape:
    """To (batch, *shape): flattens images, and back."""

    def __init__(self, *shape):
        self.shape = shape
        self.parameters, self.gradients = {}, {}

    def forward(self, x, training=False):
        self.before = x.shape
        return x.reshape(len(x), *self.shape)

    def backward(self, grad):
        return grad.reshape(self.before)


class Recurrent:
    """h = activation(x[t] @ weight + h @ recurrent + bias) for each t of x, (time, batch, inputs); returns the last h.

    Any activation but prelu and rrelu, whose slopes are learned or drawn.
    """

    def __init__(self, weight, recurrent, bias, activation, parameter=None):
        self.parameters = {"weight": weight, "recurrent": recurrent, "bias": bias}
        self.gradients = {}
        self.activation, self.parameter = activation, parameter

    def forward(self, x, training=False):
        xp, p = array_module(x), self.parameters
        self.x, self.steps = x, []
        h = xp.zeros((x.shape[1], p["bias"].size), x.dtype)
        for at_once in x:
            step = Activation(self.activation, self.parameter)
            before, h = h, step.forward(at_once @ p["weight"] + h @ p["recurrent"] + p["bias"])
            self.steps.append((before, step))
        return h

    def backward(self, grad):
        xp, p = array_module(grad), self.parameters
        self.gradients = {name: xp.zeros_like(parameter) for name, parameter in p.items()}
        dx = xp.empty_like(self.x)
        for t in reversed(range(len(self.x))):
            before, step = self.steps[t]
            grad = step.backward(grad)
            self.gradients["weight"] += self.x[t].T @ grad
            self.gradients["recurrent"] += before.T @ grad
            self.gradients["bias"] += grad.sum(axis=0)
            dx[t] = grad @ p["weight"].T
            grad = grad @ p["recurrent"].T
        return dx


class Network:
    """Layers, one after the other.  Parameters and gradients are dicts with names such as "0.weight"."""

    def __init__(self, layers):
        self.layers = list(layers)

    @property
    def parameters(self):
        return {f"{i}.{name}": array for i, layer in enumerate(self.layers) for name, array in layer.parameters.items()}

    @property
    def gradients(self):
        return {
            f"{i}.{name}": layer.gradients[name] for i, layer in enumerate(self.layers) for name in layer.parameters
        }

    @property
    def activations(self):
        """The layers whose input and output a monitor is fed with."""
        return {f"{i}": layer for i, layer in enumerate(self.layers) if isinstance(layer, (Activation, BiasAct))}

    def forward(self, x, training=False):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, grad):
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        return grad


def initial_weight(xp, shape, activation, parameter, rng, dtype="float32"):
    """Normal, of variance gain^2 / fan_in; always from NumPy's generator: both back ends start from the same."""
    weight = init.lecun_normal(shape, rng=rng, dtype=dtype) * init.gain(activation, parameter)
    return xp.asarray(weight, dtype=dtype)


def multilayer_perceptron(xp, sizes, activation, parameter=None, *, rng, dropout=0.0):
    """Dense layers with an activation, and perhaps dropout, after each but the last.

    prelu starts from one slope for each unit, `parameter` or 0.25 as in He et al. 2015.
    """
    layers = []
    for last, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=2 - len(sizes)):
        start = 0.25 if activation == "prelu" and parameter is None else parameter
        name = "linear" if last == 0 else activation
        weight = initial_weight(xp, (fan_in, fan_out), name, None if last == 0 else start, rng)
        layers.append(Dense(weight, xp.zeros(fan_out, weight.dtype)))
        if last < 0:
            own = xp.full(fan_out, start, weight.dtype) if activation == "prelu" else parameter
            layers.append(Activation(activation, own, rng))
            if dropout:
                layers.append(Dropout(dropout, rng))
    return Network(layers)


def convolution(xp, shape, activation, parameter, rng, stride=1):
    """A convolution of weight `shape` that pads by half its kernel, and the activation behind it.

    prelu learns one slope for each channel, from 0.25 as in He et al. 2015.
    """
    start = 0.25 if activation == "prelu" and parameter is None else parameter
    weight = initial_weight(xp, shape, activation, start, rng)
    own = xp.full(shape[-1], start, weight.dtype) if activation == "prelu" else parameter
    return [
        Conv(weight, xp.zeros(shape[-1], weight.dtype), stride, shape[0] // 2),
        Activation(activation, own, rng),
    ]


def softmax_cross_entropy(logits, labels):
    """The mean loss, a 0-d array, and its gradient by the logits; labels are integers."""
    xp = array_module(logits)
    logits = logits - logits.max(axis=1, keepdims=True)  # or exp would overflow
    log_probabilities = logits - xp.log(xp.exp(logits).sum(axis=1, keepdims=True))
    rows = xp.arange(len(labels))
    grad = xp.exp(log_probabilities)
    grad[rows, labels] -= 1
    grad /= len(labels)
    return -log_probabilities[rows, labels].mean(), grad


def binary_cross_entropy(logits, targets):
    """The mean loss of sigmoid(logits) against targets from 0 to 1, a 0-d array, and its gradient by the logits."""
    xp = array_module(logits)
    loss = xp.maximum(logits, 0) - logits * targets + xp.log1p(xp.exp(-xp.abs(logits)))
    return loss.mean(), (0.5 * xp.tanh(0.5 * logits) + 0.5 - targets) / logits.size


def accuracy(logits, labels):
    return float((logits.argmax(axis=1) == labels).mean())


def batches(count, size, rng, xp):
    """The indices of a shuffled epoch, `size` at a time."""
    order = xp.asarray(rng.permutation(count))
    for start in range(0, count, size):
        yield order[start : start + size]


class SGD:
    """Gradient descent with momentum, in place; weight_decay is the L2 penalty of the weights, added to their gradient.

    Of the weights: biases and slopes, which have one dimension, are spared.
    """

    def __init__(self, parameters, rate, momentum=0.0, weight_decay=0.0):
        self.parameters, self.rate, self.momentum, self.weight_decay = parameters, rate, momentum, weight_decay
        self.velocities = {name: 0 * parameter for name, parameter in parameters.items()}

    def step(self, gradients, rate=None):
        if self.weight_decay:
            weights = {name: array for name, array in self.parameters.items() if array.ndim > 1}
            training.add_l2_grad([gradients[name] for name in weights], list(weights.values()), self.weight_decay)
        for name, gradient in gradients.items():
            velocity = self.velocities[name]
            velocity *= self.momentum
            velocity -= (self.rate if rate is None else rate) * gradient
            self.parameters[name] += velocity


class Adam:
    """Kingma and Ba 2015, in the order of the end of their section 2, in place.

    weight_decay, of arrays with more than one dimension, is decoupled, as in Loshchilov and Hutter 2019.
    """

    def __init__(self, parameters, rate=1e-3, betas=(0.9, 0.999), weight_decay=0.0):
        self.parameters, self.rate, self.betas, self.weight_decay = parameters, rate, betas, weight_decay
        self.means = {name: 0 * parameter for name, parameter in parameters.items()}
        self.squares = {name: 0 * parameter for name, parameter in parameters.items()}
        self.steps = 0

    def step(self, gradients, rate=None):
        rate = self.rate if rate is None else rate
        self.steps += 1
        if self.weight_decay:
            weights = [array for array in self.parameters.values() if array.ndim > 1]
            training.decoupled_weight_decay(weights, rate, self.weight_decay)
        beta1, beta2 = self.betas
        scale = rate * math.sqrt(1 - beta2**self.steps) / (1 - beta1**self.steps)
        for name, gradient in gradients.items():
            mean, square = self.means[name], self.squares[name]
            mean += (1 - beta1) * (gradient - mean)
            square += (1 - beta2) * (gradient * gradient - square)
            self.parameters[name] -= scale * mean / (array_module(square).sqrt(square) + 1e-8)
