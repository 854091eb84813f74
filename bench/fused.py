"""What is fused beside what it replaces, on the CPU, with all threads: masks, dropout, RReLU, PReLU's gradients, bias.

float32, and PReLU's gradients for 64 columns also in half types.  Bias + activation: forward and backward of 64 columns
and of 64 channels of 32 x 32; PyTorch by one operation after the other, without autograd.  Without PyTorch only the
ratios to pyleaky's own functions are measured.  Masks: `out` given, as results of 16M elements are mostly page faults
otherwise.  All others: fresh results, since PyTorch's functions have no `out`.
"""

import argparse
import importlib.util

import ml_dtypes  # noqa: F401, for NumPy's dtype bfloat16
import numpy as np
from _functions import K, M
from _measure import Contender, environment, interleave, settle
from _peers import using
from _results import add_output_options, folder, ratio_text, size_text, table, time_text, write
from tqdm import tqdm

import pyleaky

TORCH_PRELU = "(both := aten._prelu_kernel_backward(t_grad{0}, t_x{0}, t_weight{0}))[0], both[1].sum(0)"
OUR_BIAS_ACT = (
    "(y := pyleaky.bias_act({0}, bias, activation='{1}', negative_slope=0.2, gain=None)), "
    "pyleaky.bias_act_backward({2}, output=y, bias=bias, activation='{1}', negative_slope=0.2, gain=None)"
)
TORCH_LEAKY = (
    "(u := t_{0} + {1}), aten.leaky_relu(u, 0.2) * gain, "
    "(d := aten.leaky_relu_backward(t_{2} * gain, u, 0.2, False)), d.sum({3})"
)
TORCH_ELU = "(u := t_{0} + {1}), aten.elu(u), (d := aten.elu_backward(t_{2}, 1, 1, 1, False, u)), d.sum({3})"
COLUMNS = ("x_float32", "t_bias", "grad_float32", 0)
IMAGES = ("x_images", "t_bias[:, None, None]", "grad_images", (0, 2, 3))
# What: (pyleaky's statement, whose time is the other, its statement, times as fast as that it shall be, from what size)
JOBS = {
    "leaky_relu forward with mask": (
        "pyleaky.leaky_relu(x, 0.1, out=out, return_mask=True)",
        "pyleaky without mask",
        "pyleaky.leaky_relu(x, 0.1, out=out)",
        1 / 1.15,
        16 * M,
    ),
    "leaky_relu backward from mask": (
        "pyleaky.leaky_relu_backward(grad, mask=mask, negative_slope=0.1, out=out)",
        "PyTorch from x",
        "aten.leaky_relu_backward.grad_input(t_grad, t_x, 0.1, False, grad_input=t_out)",
        1.3,
        16 * M,
    ),
    "dropout": ("pyleaky.dropout(x, 0.5, seed=1)", "PyTorch", "aten.native_dropout(t_x, 0.5, True)", 40, M),
    "rrelu": (
        "pyleaky.rrelu(x, seed=1)",
        "PyTorch",
        "aten.rrelu_with_noise(t_x, t_out, 1 / 8, 1 / 3, True)",
        20,
        M,
    ),
    **{
        f"prelu backward, {dtype}": (
            f"pyleaky.prelu_backward(grad_{dtype}, x_{dtype}, weight_{dtype}, axis=1)",
            "PyTorch",
            TORCH_PRELU.format(f"_{dtype}"),
            target,
            M,
        )
        for dtype, target in (("float32", 8), ("float16", 10), ("bfloat16", 10))
    },
    **{
        f"bias_act forward + backward, {activation}, {where}": (
            OUR_BIAS_ACT.format(operands[0], activation, operands[2]),
            "PyTorch",
            theirs.format(*operands),
            4 if activation == "leaky_relu" else None,
            M,
        )
        for activation, theirs in (("leaky_relu", TORCH_LEAKY), ("elu", TORCH_ELU))
        for where, operands in (("columns", COLUMNS), ("images", IMAGES))
    },
}


def to_tensor(array):
    import torch

    if array.dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_output_options(parser, "two rounds up to 64K elements")
    options = parser.parse_args()
    has_torch = importlib.util.find_spec("torch") is not None
    rows, lines = [], []
    sizes = (64 * K,) if options.quick else (64 * K, M, 16 * M)
    for size in tqdm(sizes, unit="size"):
        rng = np.random.default_rng(0)
        x, grad = (rng.standard_normal(size, dtype=np.float32) for _ in range(2))
        names = {"pyleaky": pyleaky, "x": x, "grad": grad, "out": np.empty_like(x)}
        names["mask"] = pyleaky.leaky_relu(x, return_mask=True)[1]
        for dtype in ("float32", "float16", "bfloat16"):
            arrays = {"x": x.reshape(-1, 64), "grad": grad.reshape(-1, 64), "weight": np.linspace(0, 0.5, 64)}
            names |= {f"{name}_{dtype}": array.astype(dtype) for name, array in arrays.items()}
        names |= {"x_images": x.reshape(-1, 64, 32, 32), "grad_images": grad.reshape(-1, 64, 32, 32)}
        names |= {"bias": np.linspace(-1, 1, 64, dtype=np.float32), "gain": 2**0.5}
        if has_torch:
            import torch

            names |= {f"t_{name}": to_tensor(value) for name, value in names.items() if isinstance(value, np.ndarray)}
            names["aten"] = torch.ops.aten
        for what, (ours, rival, theirs, target, from_size) in JOBS.items():
            if not has_torch and rival.startswith("PyTorch"):
                continue
            group = [
                Contender(label, statement, 2 * x.nbytes, label, has_out="out=" in statement)
                for label, statement in (("pyleaky", ours), (rival, theirs))
            ]
            with using(pyleaky.get_num_threads()):
                found = interleave(group, names, 2 if options.quick else 15, 2e6, seconds=8, rest=settle)
            rows += [{"what": what, "size": size} | row for row in found]
            mine, other = (row["median_ns"] for row in found)
            judged = size >= from_size and target is not None
            result = ("met" if other / mine >= target else "**missed**") if judged else "-"
            wanted = ratio_text(target) if judged else "-"
            lines.append(
                [what, size_text(size), time_text(mine), f"{rival}: {time_text(other)}", ratio_text(other / mine)]
            )
            lines[-1] += [wanted, result]
    about = environment()
    if has_torch:
        about["torch"] = torch.__version__
    head = ["what", "size", "pyleaky", "beside", "times as fast", "target", "result"]
    text = (
        f"# Fused kernels, {pyleaky.get_num_threads()} threads\n\n{about['cpu']}, {about['isa']}, "
        f"{about['date'][:10]}, PyTorch {about.get('torch', 'not installed')}\n\n{table(head, lines, left=1)}\n"
    )
    write(folder(options) / f"fused-{about['isa']}", text, {"environment": about, "rows": rows})


if __name__ == "__main__":
    main()
