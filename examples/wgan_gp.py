"""Train a critic with a gradient penalty (WGAN-GP) on arrays alone: `bias_act`, its gradients, and their gradients.

The critic tells points of a ring of eight clusters from those of one broad cluster in the middle.  Its loss is

    mean(critic(fake)) - mean(critic(real)) + weight * mean((|gradient of critic at points in between| - 1)^2)

and the penalty needs what frameworks call a double backward: the gradient of a gradient.  Every step of it is written
out below.  The critic's layers are a matrix product and `bias_act`; leaky_relu is piecewise linear, so that the second
time through, `bias_act_backward` is its own derivative.  With elu and selu the second derivative counts too, and
`bias_act_double_backward` has it.

    pip install ".[examples]"
    python examples/wgan_gp.py                      # the distance that the critic finds, and the norm of its gradient
    python examples/wgan_gp.py --activation elu
"""

import argparse
import itertools
import math

import numpy as np
from tqdm import trange

import pyleaky

SIZES = (2, 128, 128)
BATCH = 256
PENALTY = 10.0  # Gulrajani et al. 2017
RATE, DECAYS = 1e-3, (0.0, 0.9)  # of Adam, as there


class Critic:
    """Two hidden layers of `bias_act`, and a weighted sum."""

    def __init__(self, activation, rng, dtype=np.float32):
        self.options = {"axis": -1, "activation": activation, "negative_slope": 0.2, "gain": None}  # StyleGAN's
        # What keeps the variance of the signal: bias_act itself multiplies relu and leaky_relu by the root of 2.
        gain = 2**0.5 if activation == "elu" else 1.0
        self.weights = [
            rng.normal(0, gain / math.sqrt(fan_in), (fan_in, fan_out)).astype(dtype)
            for fan_in, fan_out in itertools.pairwise((*SIZES, 1))
        ]
        self.biases = [np.zeros(units, dtype) for units in SIZES[1:]]

    @property
    def parameters(self):
        return self.weights + self.biases

    def forward(self, x):
        """One number for each point, and what each layer was given: h before its matrix, z before its bias."""
        hs, zs = [x], []
        for weight, bias in zip(self.weights[:-1], self.biases, strict=True):
            zs.append(hs[-1] @ weight)
            hs.append(pyleaky.bias_act(zs[-1], bias, **self.options))
        return hs[-1] @ self.weights[-1], hs, zs

    def backward(self, grad, hs, zs):
        """The gradients of the points and of the parameters, and for each layer those of h and z."""
        weight_grads, bias_grads = [hs[-1].T @ grad], []
        grad_hs, grad_zs = [grad @ self.weights[-1].T], []
        for layer in reversed(range(len(zs))):
            grad_z, bias_grad = pyleaky.bias_act_backward(grad_hs[0], zs[layer], self.biases[layer], **self.options)
            weight_grads.insert(0, hs[layer].T @ grad_z)
            bias_grads.insert(0, bias_grad)
            grad_zs.insert(0, grad_z)
            grad_hs.insert(0, grad_z @ self.weights[layer].T)
        return grad_hs[0], weight_grads + bias_grads, grad_hs, grad_zs

    def penalty(self, x):
        """weight * mean((|d critic / dx| - 1)^2), its gradients by the parameters, and the mean of the norms."""
        _, hs, zs = self.forward(x)
        ones = np.ones((len(x), 1), x.dtype)
        slope, _, grad_hs, grad_zs = self.backward(ones, hs, zs)
        norms = np.sqrt((slope * slope).sum(axis=1, keepdims=True))
        loss = PENALTY * np.mean((norms - 1) ** 2)

        # Up again through the backward pass: gg is the gradient of the penalty by what that pass computed.
        gg = 2 * PENALTY / len(x) * (norms - 1) * slope / np.maximum(norms, 1e-12)
        weight_grads, by_zs = [], []
        for layer, (weight, bias) in enumerate(zip(self.weights[:-1], self.biases, strict=True)):
            weight_grads.append(gg.T @ grad_zs[layer])  # of grad_h = grad_z @ weight.T
            gg, by_z, by_bias = pyleaky.bias_act_double_backward(
                gg @ weight, grad_hs[layer + 1], zs[layer], bias, **self.options
            )
            by_zs.append((by_z, by_bias))
        weight_grads.append(gg.T @ ones)
        bias_grads = [np.zeros_like(bias) for bias in self.biases]

        # And down once more, for what the second derivatives leave at each z; 0 for a piecewise linear activation.
        down = None
        for layer in reversed(range(len(zs))):
            by_z, by_bias = by_zs[layer]
            if down is not None:
                through, through_bias = pyleaky.bias_act_backward(down, zs[layer], self.biases[layer], **self.options)
                by_z, by_bias = by_z + through, by_bias + through_bias
            weight_grads[layer] += hs[layer].T @ by_z
            bias_grads[layer] += by_bias
            down = by_z @ self.weights[layer].T
        return loss, weight_grads + bias_grads, float(norms.mean())

    def loss_and_gradients(self, real, fake, between):
        """The distance that the critic finds, the norm of its gradient, and the gradients of the whole loss."""
        total, gradients = 0.0, [np.zeros_like(parameter) for parameter in self.parameters]
        for points, sign in ((fake, 1.0), (real, -1.0)):
            scores, hs, zs = self.forward(points)
            total += sign * float(scores.mean())
            _, found, _, _ = self.backward(np.full_like(scores, sign / len(points)), hs, zs)
            gradients = [a + b for a, b in zip(gradients, found, strict=True)]
        penalty, found, norm = self.penalty(between)
        return -total, norm, total + float(penalty), [a + b for a, b in zip(gradients, found, strict=True)]


def batches(rng, dtype=np.float32):
    """Real points, fake ones, and points on the lines between them."""
    corner = rng.integers(0, 8, BATCH) * (math.pi / 4)
    real = np.stack([np.cos(corner), np.sin(corner)], axis=1) + rng.normal(0, 0.05, (BATCH, 2))
    fake = rng.normal(0, 0.3, (BATCH, 2))
    share = rng.uniform(size=(BATCH, 1))
    return [points.astype(dtype) for points in (real, fake, share * real + (1 - share) * fake)]


def train(critic, steps, rng, show=True):
    """Adam; the distance and the norm of the gradient, step by step."""
    moments = [[np.zeros_like(p) for p in critic.parameters] for _ in DECAYS]
    history = []
    for step in trange(1, steps + 1, unit="step", disable=not show):
        distance, norm, _, gradients = critic.loss_and_gradients(*batches(rng))
        history.append((distance, norm))
        for k, (parameter, gradient) in enumerate(zip(critic.parameters, gradients, strict=True)):
            for moment, decay, value in zip(moments, DECAYS, (gradient, gradient * gradient), strict=True):
                moment[k] *= decay
                moment[k] += (1 - decay) * value
            first, second = (moment[k] / (1 - decay**step) for moment, decay in zip(moments, DECAYS, strict=True))
            parameter -= RATE * first / (np.sqrt(second) + 1e-8)
    return history


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Train a critic with a gradient penalty, with bias_act and its double backward.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--activation", choices=("relu", "leaky_relu", "elu", "selu"), default="leaky_relu")
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="batches to train on")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="chooses the weights and the points")
    options = parser.parse_args(argv)
    if options.steps < 1:
        parser.error(f"argument --steps: {options.steps} is not at least 1")
    if options.seed < 0:
        parser.error(f"argument --seed: {options.seed} is not at least 0")
    rng = np.random.default_rng(options.seed)
    history = np.array(train(Critic(options.activation, rng), options.steps, rng))
    print(f"{'steps':>11}  {'distance':>8}  {'norm of the gradient':>20}")
    for part in np.array_split(np.arange(options.steps), min(5, options.steps)):
        distance, norm = history[part].mean(axis=0)
        print(f"{part[0] + 1:>5} - {part[-1] + 1:<4}{distance:>8.3f}  {norm:>20.3f}")


if __name__ == "__main__":
    main()
