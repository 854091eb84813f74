"""pyleaky.torch beside PyTorch: forward and backward, what a call costs, and a training step of a residual network.

Two threads each, float32.  The pairs give fresh results as in training: y = f(x) of a leaf that requires a gradient,
torch.autograd.grad(y, ...), both dropped.  They are timed in turns in one process, and the ratio is the median of those
of the rounds.  The call is held against the simplest custom operation that PyTorch can register.  The network is that
of examples/torch_digits.py on 64 images of 3 x 32 x 32; each way to train it has processes of its own, whose peak above
what there was after a step on two images is told.  That needs Linux.
"""

import argparse
import functools
import json
import pathlib
import random
import statistics
import subprocess
import sys
import time
import timeit

import torch
import torch.nn.functional as F
from _functions import K, M
from _measure import environment, loops, settle, wall_clock
from _results import add_output_options, folder, ratio_text, size_text, table, time_text, write
from memory import CLEAR, peak
from tqdm import tqdm

import pyleaky
import pyleaky.torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))
import torch_digits

THREADS, CHANNELS = 2, 64
SMALL, SIZES = 64, (64, 64 * K, M, 16 * M)


def torch_bias_act(x, bias):
    return F.leaky_relu(x + bias[:, None, None], 0.2) * 2**0.5


# What: (pyleaky's function, PyTorch's, whether it has an argument for each channel, times as fast it shall be from 1M)
PAIRS = {
    "leaky_relu": (functools.partial(pyleaky.torch.leaky_relu, negative_slope=0.1),
                   functools.partial(F.leaky_relu, negative_slope=0.1), False, 1),
    "relu": (pyleaky.torch.relu, F.relu, False, None),
    "elu": (pyleaky.torch.elu, F.elu, False, 2),
    "celu": (pyleaky.torch.celu, F.celu, False, None),
    "selu": (pyleaky.torch.selu, F.selu, False, None),
    "prelu": (pyleaky.torch.prelu, F.prelu, True, 4),
    "dropout": (pyleaky.torch.dropout, F.dropout, False, 20),
    "rrelu": (functools.partial(pyleaky.torch.rrelu, training=True),
              functools.partial(F.rrelu, training=True), False, None),
    "bias_act": (functools.partial(pyleaky.torch.bias_act, activation="leaky_relu", negative_slope=0.2, gain=None),
                 torch_bias_act, True, None),
}  # fmt: skip
RANDOM = ("dropout", "rrelu")
NO_CACHE = "pyleaky, set_cache_limit(0)"
WAYS = ("PyTorch", "PyTorch, in place", "pyleaky", "pyleaky, in place", NO_CACHE)


def in_turns(statements, names, rounds, target, seconds):
    """The times of each statement in nanoseconds per call, one for each round; as _measure.interleave does it."""
    timers = [timeit.Timer(statement, timer=time.perf_counter_ns, globals=names) for statement in statements]
    counts = [loops(timer, wall_clock, target) for timer in timers]
    taken, order = [[] for _ in statements], list(range(len(statements)))
    shuffle, stop = random.Random(0).shuffle, time.monotonic() + seconds
    for done in range(1, rounds + 1):
        shuffle(order)
        for k in order:
            settle()
            wall_clock(timers[k], -(-counts[k] // 8))
            taken[k].append(wall_clock(timers[k], counts[k]) / counts[k])
        if done >= 5 and time.monotonic() > stop:
            break
    return taken


def ratio(ours, theirs):
    return statistics.median(their / our for our, their in zip(ours, theirs, strict=True))


# ---------------------------------------------------------------------------------------------- pairs


def tensors(size, by_channel):
    generator = torch.Generator().manual_seed(0)
    side = min(32, int((size // CHANNELS) ** 0.5))
    shape = (-1, CHANNELS, side, side) if by_channel else (-1,)
    x, grad = (torch.randn(size, generator=generator).reshape(shape) for _ in range(2))
    leaves = [x.requires_grad_()]
    if by_channel:
        leaves.append(torch.linspace(0, 0.5, CHANNELS).requires_grad_())
    return leaves, grad


def measure_pair(what, size, rounds):
    ours, theirs, by_channel, target = PAIRS[what]
    leaves, grad = tensors(size, by_channel)
    names = {"ours": ours, "theirs": theirs, "leaves": leaves, "grad": grad, "gradients": torch.autograd.grad}
    statements = [f"gradients({name}(*leaves), leaves, grad)" for name in ("ours", "theirs")]
    if what not in RANDOM:
        for one, other in zip(*(eval(statement, names) for statement in statements), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * len(grad) ** 0.5)
    taken = in_turns(statements, names, rounds, 2e7, 8)
    medians = [statistics.median(times) for times in taken]
    judged = target if size >= M else None
    return {"what": what, "size": size, "pyleaky_ns": medians[0], "torch_ns": medians[1]} | {
        "ratio": ratio(*taken), "target": judged, "rounds": len(taken[0])
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- a call


def trivial():
    """The simplest operation with a derivative: a copy, there and back."""

    @torch.library.custom_op("bench::copy", mutates_args=())
    def copy(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    copy.register_fake(torch.empty_like)
    copy.register_autograd(lambda ctx, grad: copy(grad))
    return copy


def measure_calls(rounds):
    x, grad = torch.randn(SMALL), torch.randn(SMALL)
    names = {"ours": PAIRS["leaky_relu"][0], "copy": trivial(), "theirs": PAIRS["leaky_relu"][1], "x": x, "grad": grad}
    names |= {"leaf": x.clone().requires_grad_(), "gradients": torch.autograd.grad}
    rows = []
    for what, call in (
        ("forward without gradients", "{}(x)"),
        ("forward and backward", "gradients({}(leaf), leaf, grad)"),
    ):
        taken = in_turns([call.format(name) for name in ("ours", "copy", "theirs")], names, rounds, 2e7, 8)
        medians = dict(zip(("pyleaky_ns", "copy_ns", "torch_ns"), map(statistics.median, taken), strict=True))
        rows.append({"what": what} | medians | {"of_the_copy": 1 / ratio(taken[0], taken[1]), "target": 3})
    return rows


# ---------------------------------------------------------------------------------------------- a training step


def train_here(way, batch, steps):
    """Run by the process of one way."""
    torch.set_num_threads(THREADS)
    pyleaky.set_num_threads(THREADS)
    if way == NO_CACHE:
        pyleaky.set_cache_limit(0)
    torch.manual_seed(0)
    network = torch_digits.residual_network(3, (32, 64, 128), 10, "leaky_relu")
    images, labels = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
    for module in network.modules():
        if isinstance(module, torch.nn.LeakyReLU):
            module.inplace = way.endswith("in place")
    if way.startswith("pyleaky"):
        pyleaky.torch.replace_activations(network)
    optimiser = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

    def step(count):
        optimiser.zero_grad()
        loss = F.cross_entropy(network(images[:count]), labels[:count])
        loss.backward()
        optimiser.step()
        return loss.item()

    step(2)
    CLEAR.write_text("5")
    before, taken, losses = peak(), [], []
    for _ in range(steps):
        began = time.perf_counter_ns()
        losses.append(step(batch))
        taken.append(time.perf_counter_ns() - began)
    extra = peak() - before
    saved = dict(zip(("by_activations", "altogether"), torch_digits.saved_bytes(network, images), strict=True))
    return {"way": way, "extra_bytes": extra, "ns": taken, "losses": losses} | saved


def measure_training(rounds, batch, steps):
    found = {way: [] for way in WAYS}
    for _, way in tqdm([(k, way) for k in range(rounds) for way in WAYS], unit="process"):
        command = [sys.executable, __file__, "--way", json.dumps([way, batch, steps])]
        found[way].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    losses = {each["losses"][0] for rows in found.values() for each in rows}
    if max(losses) - min(losses) > 1e-3:
        raise SystemExit(f"the losses differ: {losses}")
    medians = {way: [statistics.median(each["ns"][1:]) for each in rows] for way, rows in found.items()}
    return [
        {key: rows[0][key] for key in ("way", "by_activations", "altogether")}
        | {"extra_bytes": statistics.median(each["extra_bytes"] for each in rows)}
        | {"ns": statistics.median(medians[way]), "of_the_first": 1 / ratio(medians[way], medians[WAYS[0]])}
        for way, rows in found.items()
    ]


# ---------------------------------------------------------------------------------------------- report


def verdict(measured, target):
    return "-" if target is None else "met" if measured else "**missed**"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "three rounds up to 64K elements, a training step on 8 images")
    parser.add_argument("--way", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        return print(json.dumps(train_here(*options.way)))
    if not CLEAR.exists():
        raise SystemExit(f"bench/torch_adapter.py needs {CLEAR}, which this system does not offer")

    torch.set_num_threads(THREADS)
    pyleaky.set_num_threads(THREADS)
    about = environment(torch=torch.__version__)
    rounds, sizes = (3, SIZES[:2]) if options.quick else (15, SIZES)
    pairs = [measure_pair(what, size, rounds) for size in tqdm(sizes, unit="size") for what in PAIRS]
    calls = measure_calls(rounds)
    batch, steps = (8, 2) if options.quick else (64, 8)
    training = measure_training(1 if options.quick else 5, batch, steps)

    pair_lines = [
        [
            row["what"],
            size_text(row["size"]),
            time_text(row["pyleaky_ns"]),
            time_text(row["torch_ns"]),
            ratio_text(row["ratio"]),
            "-" if row["target"] is None else f"{row['target']}x",
            verdict(row["target"] is not None and row["ratio"] >= row["target"], row["target"]),
        ]
        for row in pairs
    ]
    call_lines = [
        [
            row["what"],
            *(time_text(row[f"{whose}_ns"]) for whose in ("pyleaky", "copy", "torch")),
            ratio_text(row["of_the_copy"]),
            verdict(row["of_the_copy"] <= row["target"], row["target"]),
        ]
        for row in calls
    ]
    training_lines = [
        [
            row["way"],
            f"{row['by_activations'] / 1e6:.1f} MB",
            f"{row['altogether'] / 1e6:.1f} MB",
            f"{row['extra_bytes'] / 1e6:.0f} MB",
            time_text(row["ns"]),
            ratio_text(row["of_the_first"]),
        ]
        for row in training
    ]
    pair_head = ["forward + backward", "size", "pyleaky.torch", "PyTorch", "times as fast", "target", "result"]
    call_head = [f"leaky_relu, {SMALL} elements", "pyleaky.torch", "a trivial one", "PyTorch's", "of the trivial one"]
    training_head = ["activations", "saved by them", "saved altogether", "peak above before", "step", "of PyTorch's"]
    text = (
        f"# pyleaky.torch beside PyTorch {about['torch']}, {THREADS} threads\n\n"
        f"{about['cpu']}, {about['isa']}, {about['date'][:10]}, load average at the start "
        f"{about['load_average_at_start']}\n\n"
        f"{table(pair_head, pair_lines, left=1)}\n\n"
        f"The trivial one is x.clone() by torch.library.custom_op, its derivative too; target: at most 3x.\n\n"
        f"{table([*call_head, 'result'], call_lines, left=1)}\n\n"
        f"A training step of a residual network, {batch} images of 3 x 32 x 32, LeakyReLU(0.1), "
        f"before and after replace_activations:\n\n{table(training_head, training_lines, left=1)}\n"
    )
    content = {"environment": about, "pairs": pairs, "calls": calls, "training": training}
    return write(folder(options) / "torch_adapter", text, content)


if __name__ == "__main__":
    main()
