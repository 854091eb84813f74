"""Clipping, L2 and weight decay beside PyTorch, on the CPU, with all threads: 100 arrays of 1M float32.

Everything is in place.  Where the norm is to be clipped, the bound falls by a thousandth from call to call, so that
every call clips.
"""

import argparse
import importlib.util

import numpy as np
from _functions import M
from _measure import Contender, environment, interleave, settle
from _peers import using
from _results import add_output_options, folder, ratio_text, table, time_text, write
from tqdm import tqdm

import pyleaky

# What: (pyleaky's statement, PyTorch's, times as fast as that it shall be)
JOBS = {
    "clip_grad_norm, within the bound": ("clip_grad_norm(grads, 1e30)", "clip_grad_norm_(parameters, 1e30)", 2),
    "clip_grad_norm, which clips": (
        "clip_grad_norm(grads, next(bounds))",
        "clip_grad_norm_(parameters, next(t_bounds))",
        1,
    ),
    "clip_grad_value": ("clip_grad_value(grads, 3.0)", "clip_grad_value_(parameters, 3.0)", None),
    "add_l2_grad": ("add_l2_grad(grads, weights, 1e-4)", "torch._foreach_add_(t_grads, t_weights, alpha=1e-4)", None),
    "decoupled_weight_decay": (
        "decoupled_weight_decay(weights, 1e-3, 1e-2)",
        "torch._foreach_mul_(t_weights, 1 - 1e-5)",
        None,
    ),
    "l2_penalty": ("l2_penalty(weights, 1e-4)", "sum((w * w).sum() for w in t_weights) * 0.5e-4", None),
}


def falling(start):
    while True:
        yield start
        start *= 0.999


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "two rounds of 4 arrays")
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        parser.error("PyTorch, which this is beside, is not installed")
    import torch

    count = 4 if options.quick else 100
    rng = np.random.default_rng(0)
    made = {name: [rng.standard_normal(M, dtype=np.float32) for _ in range(count)] for name in ("grads", "weights")}
    theirs = {f"t_{name}": [torch.from_numpy(array.copy()) for array in arrays] for name, arrays in made.items()}
    parameters = [torch.nn.Parameter(torch.empty(M)) for _ in range(count)]
    for parameter, grad in zip(parameters, theirs["t_grads"], strict=True):
        parameter.grad = grad
    functions = {name: getattr(pyleaky.training, name) for name in pyleaky.training.__all__}
    functions |= {name: getattr(torch.nn.utils, name) for name in ("clip_grad_norm_", "clip_grad_value_")}
    start = 0.9 * functions["clip_grad_norm"](made["grads"], float("inf"))
    names = {**made, **theirs, **functions, "parameters": parameters, "torch": torch}
    names |= {"bounds": falling(start), "t_bounds": falling(start)}
    rows, lines = [], []
    for what, (ours, other, target) in tqdm(JOBS.items(), unit="job"):
        group = [
            Contender(label, statement, 4 * M * count, label, has_out=True)
            for label, statement in (("pyleaky", ours), ("PyTorch", other))
        ]
        with using(pyleaky.get_num_threads()):
            found = interleave(group, names, 2 if options.quick else 15, 2e8, seconds=20, rest=settle)
        rows += [{"what": what, "arrays": count, "size": M} | row for row in found]
        mine, peer = (row["median_ns"] for row in found)
        result = "-" if target is None else "met" if peer / mine >= target else "**missed**"
        lines.append([what, time_text(mine), time_text(peer), ratio_text(peer / mine)])
        lines[-1] += ["-" if target is None else ratio_text(target), result]
    about = environment() | {"torch": torch.__version__}
    head = ["what", "pyleaky", "PyTorch", "times as fast", "target", "result"]
    text = (
        f"# {count} arrays of 1M float32, {pyleaky.get_num_threads()} threads\n\n{about['cpu']}, {about['isa']}, "
        f"{about['date'][:10]}, PyTorch {about['torch']}\n\n{table(head, lines, left=1)}\n"
    )
    write(folder(options) / "clipping", text, {"environment": about, "rows": rows})


if __name__ == "__main__":
    main()
