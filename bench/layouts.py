"""Views that are not contiguous, and weights by channel, beside PyTorch on the same views: float32, all threads.

Fresh results; every layout is measured at two sizes, one in the caches and one far beyond them.
"""

import argparse

import numpy as np
from _measure import Contender, environment, interleave, settle
from _peers import using
from _results import add_output_options, folder, ratio_text, table, time_text, write
from tqdm import tqdm

import pyleaky

SHAPES = {"cached": (512, 512), "large": (4096, 4096)}
VIEWS = {
    "x": lambda x: x,
    "x.T": lambda x: x.T,
    "x[:, ::2]": lambda x: x[:, ::2],
    "x[::2]": lambda x: x[::2],
    "x[5:-5, 3:-3]": lambda x: x[5:-5, 3:-3],
}
PRELU = {  # shape, axis of 64 channels
    "prelu, (N, C)": ((4096, 64), 1),
    "prelu, NCHW of 7x7": ((64, 64, 7, 7), 1),
    "prelu, NCHW of 56x56": ((32, 64, 56, 56), 1),
    "prelu, NHWC of 14x14": ((64, 14, 14, 64), -1),
}


def jobs(torch):
    """(name, ours, theirs, names, bytes)"""
    rng = np.random.default_rng(0)
    for size, shape in SHAPES.items():
        x = rng.standard_normal(shape, dtype=np.float32)
        for name, view in VIEWS.items():
            given = view(x)
            names = {"x": given, "tensor": torch.from_numpy(given)}
            ours, theirs = "pyleaky.leaky_relu(x, 0.1)", "torch.nn.functional.leaky_relu(tensor, 0.1)"
            yield f"leaky_relu, {name}, {size}", ours, theirs, names, 2 * given.nbytes
    for name, (shape, axis) in PRELU.items():
        x, weight = rng.standard_normal(shape, dtype=np.float32), np.linspace(0, 0.5, 64, dtype=np.float32)
        tensor = torch.from_numpy(x)
        names = {"x": x, "weight": weight, "tensor_weight": torch.from_numpy(weight)}
        names["tensor"] = tensor if axis == 1 else tensor.permute(0, 3, 1, 2)
        ours = f"pyleaky.prelu(x, weight, axis={axis})"
        yield name, ours, "torch.nn.functional.prelu(tensor, tensor_weight)", names, 2 * x.nbytes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "two rounds")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        raise SystemExit("bench/layouts.py needs PyTorch, which is not installed") from None
    rows, lines = [], []
    for what, ours, theirs, names, size in tqdm(list(jobs(torch)), unit="job"):
        group = [Contender("pyleaky", ours, size, "pyleaky"), Contender("PyTorch", theirs, size, "PyTorch")]
        with using(pyleaky.get_num_threads()):
            everything = names | {"pyleaky": pyleaky, "torch": torch}
            found = interleave(group, everything, 2 if options.quick else 15, 2e6, seconds=4, rest=settle)
        rows += [{"what": what} | row for row in found]
        mine, other = (row["median_ns"] for row in found)
        lines.append([what, time_text(mine), time_text(other), ratio_text(other / mine)])
        lines[-1].append("met" if other >= mine else "**missed**")
    about = environment(torch=torch.__version__)
    text = (
        f"# Layouts, float32, {pyleaky.get_num_threads()} threads\n\n{about['cpu']}, {about['isa']}, "
        f"{about['date'][:10]}, PyTorch {about['torch']}; target 1x\n\n"
        f"{table(['what', 'pyleaky', 'PyTorch', 'times as fast', 'result'], lines, left=1)}\n"
    )
    write(folder(options) / f"layouts-{about['isa']}", text, {"environment": about, "rows": rows})


if __name__ == "__main__":
    main()
