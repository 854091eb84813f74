"""Train a small residual network on real handwritten digits in PyTorch, before and after `replace_activations`.

The data are scikit-learn's 1,797 scanned digits of 8 x 8 pixels; a fifth, chosen by the seed and stratified by class,
is held out.  Both networks start from the same weights and see the same batches.

    pip install ".[examples,torch]"
    python examples/torch_digits.py                                   # by PyTorch, then by pyleaky
    python examples/torch_digits.py --activation relu --by pyleaky --epochs 10
"""

import argparse
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from tqdm import tqdm

import pyleaky.torch

BATCH = 64
KINDS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "prelu": nn.PReLU, "rrelu": nn.RReLU}
KINDS |= {"elu": nn.ELU, "celu": nn.CELU, "selu": nn.SELU}


def make(activation, channels):
    return KINDS[activation](*{"leaky_relu": (0.1,), "prelu": (channels,)}.get(activation, ()))


def convolution(inputs, outputs, size, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, inputs, outputs, stride, activation):
        super().__init__()
        first, second = convolution(inputs, outputs, 3, stride), convolution(outputs, outputs, 3)
        self.residual = nn.Sequential(first, make(activation, outputs), second)
        self.shortcut = nn.Identity() if inputs == outputs else convolution(inputs, outputs, 1, stride)
        self.activation = make(activation, outputs)

    def forward(self, x):
        return self.activation(self.residual(x) + self.shortcut(x))


def residual_network(channels, widths, classes, activation):
    """A convolution, two blocks for each width, the second and later widths at half the resolution, and the mean."""
    layers, inputs = [convolution(channels, widths[0], 3), make(activation, widths[0])], widths[0]
    for width in widths:
        layers += [Block(inputs, width, 1 if width == inputs else 2, activation), Block(width, width, 1, activation)]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def saved_bytes(network, images):
    """What a forward pass keeps for the gradients beside the parameters: by the activations, and altogether."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    altogether, by_activations, running, handles = {}, {}, [], []

    def pack(tensor):
        memory = tensor.untyped_storage()  # tensors that share it count once
        if memory.data_ptr() not in parameters:
            for found in (altogether, *running):
                found[memory.data_ptr()] = memory.nbytes()
        return tensor

    for module in network.modules():
        if isinstance(module, tuple(KINDS.values())):  # pyleaky's are subclasses of these
            handles.append(module.register_forward_pre_hook(lambda *_: running.append(by_activations)))
            handles.append(module.register_forward_hook(lambda *_: running.clear()))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(images)
    for handle in handles:
        handle.remove()
    return sum(by_activations.values()), sum(altogether.values())


def train(network, images, labels):
    """One epoch of gradient descent with momentum; the seconds that it took."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    start = time.perf_counter()
    for batch in torch.randperm(len(labels)).split(BATCH):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimiser.step()
    return time.perf_counter() - start


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", choices=KINDS, default="leaky_relu")
    parser.add_argument("--by", nargs="+", choices=("PyTorch", "pyleaky"), default=("PyTorch", "pyleaky"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)

    digits = load_digits()
    images, labels = (digits.images[:, None] / 16).astype("float32"), digits.target
    parts = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=options.seed)
    images, test_images, labels, test_labels = map(torch.from_numpy, parts)
    for by in options.by:
        torch.manual_seed(options.seed)
        network = residual_network(1, (16, 32), 10, options.activation)
        if by == "pyleaky":
            pyleaky.torch.replace_activations(network)
        seconds = [train(network, images, labels) for _ in tqdm(range(options.epochs), unit="epoch", leave=False)]
        own, altogether = saved_bytes(network, images[:BATCH])
        right = network.eval()(test_images).argmax(1) == test_labels
        print(
            f"{options.activation} by {by}: test accuracy {right.double().mean():.2%}, saved for the gradients "
            f"{own / 1e3:.0f} kB by the activations and {altogether / 1e3:.0f} kB altogether, "
            f"{min(seconds):.2f} s for the fastest epoch"
        )


if __name__ == "__main__":
    main()
