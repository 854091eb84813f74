"""leaky_relu, forward and backward, on the CPU: pyleaky, the NumPy idioms and PyTorch, interleaved in one run.

Everything runs on one thread and on the same arrays of standard normal numbers; pyleaky comes first in each table, and
the last table holds the project's figures.  PyTorch, if installed, runs under inference_mode; its backward is the bare
kernel aten::leaky_relu_backward, without autograd's share, and its forward with a given result is the binding that
takes one (torch.nn.functional.leaky_relu does not).  np.negative and np.copyto are yardsticks: the cheapest ufunc and
the copy.
"""

import contextlib

import numpy as np
from _measure import (
    OURS,
    OUT,
    Contender,
    check,
    environment,
    figure,
    figures_table,
    interleave,
    parse,
    plot,
    select,
    size_text,
    times_table,
    write_json,
)
from tqdm import tqdm

import pyleaky

try:
    import torch
except ImportError:
    torch = None

FUNCTION = "leaky_relu"
SMALL = 64
GROUPS = tuple((direction, with_out) for direction in ("forward", "backward") for with_out in (False, True))


def contenders(direction, size, itemsize):
    """Those for one direction and size; ours first, the ones with a given result after those with a fresh one."""
    moved = (2 if direction == "forward" else 3) * size * itemsize
    copied = 2 * size * itemsize
    if direction == "forward":
        yield Contender(OURS, "leaky_relu(x)", moved)
        yield Contender("np.where", "where(x > 0, x, 0.01 * x)", moved)
        yield Contender("np.maximum", "maximum(x, 0.01 * x)", moved)
        if torch:
            yield Contender("PyTorch", "torch_leaky_relu(tensor_x, 0.01)", moved)
        if size <= SMALL:
            yield Contender("np.negative", "negative(x)", copied, yardstick=True)
        yield Contender(OURS + OUT, "leaky_relu(x, out=out)", moved)
        # The same idioms for who cares about memory: np.where takes no `out`, so its selection becomes a masked copy.
        in_place = "greater(x, 0, out=mask); multiply(x, 0.01, out=out); copyto(out, x, where=mask)"
        yield Contender("np.where" + OUT, in_place, moved)
        yield Contender("np.maximum" + OUT, "multiply(x, 0.01, out=scaled); maximum(x, scaled, out=out)", moved)
        if torch:
            yield Contender("PyTorch" + OUT, "torch_leaky_relu_out(tensor_x, 0.01, out=tensor_out)", moved)
        if size <= SMALL:
            yield Contender("np.negative" + OUT, "negative(x, out=out)", copied, yardstick=True)
    else:
        yield Contender(OURS, "leaky_relu_backward(grad, x)", moved)
        yield Contender("np.where", "where(x > 0, grad, 0.01 * grad)", moved)
        if torch:
            yield Contender("PyTorch", "torch_backward(tensor_grad, tensor_x, 0.01, False)", moved)
        yield Contender(OURS + OUT, "leaky_relu_backward(grad, x, out=out)", moved)
        in_place = "greater(x, 0, out=mask); multiply(grad, 0.01, out=out); copyto(out, grad, where=mask)"
        yield Contender("np.where" + OUT, in_place, moved)
        if torch:
            statement = "torch_backward_out(tensor_grad, tensor_x, 0.01, False, grad_input=tensor_out)"
            yield Contender("PyTorch" + OUT, statement, moved)
    yield Contender("np.copyto" + OUT, "copyto(out, x)", copied, yardstick=True)


def namespace(size, dtype):
    rng = np.random.default_rng(0)
    names = {name: rng.standard_normal(size, dtype) for name in ("x", "grad")}
    names |= {name: np.empty(size, dtype) for name in ("out", "scaled")}
    names["mask"] = np.empty(size, bool)
    names |= {name: getattr(np, name) for name in ("where", "maximum", "negative", "copyto", "greater", "multiply")}
    names |= {name: getattr(pyleaky, name) for name in ("leaky_relu", "leaky_relu_backward")}
    if torch:
        names |= {f"tensor_{name}": torch.from_numpy(names[name]) for name in ("x", "grad", "out")}
        names["torch_leaky_relu"] = torch.nn.functional.leaky_relu
        names["torch_leaky_relu_out"] = torch._C._nn.leaky_relu
        names["torch_backward"] = torch.ops.aten.leaky_relu_backward.default
        names["torch_backward_out"] = torch.ops.aten.leaky_relu_backward.grad_input
    return names


def agree(ours, theirs):
    theirs = np.asarray(theirs)
    return ours.dtype == theirs.dtype and np.array_equal(ours, theirs)


def measure(dtype, sizes, rounds, target):
    groups = [
        (size, direction, list(contenders(direction, size, np.dtype(dtype).itemsize)))
        for size in sizes
        for direction in ("forward", "backward")
    ]
    rows = []
    with tqdm(total=rounds * sum(len(group) for *_, group in groups), desc=dtype, unit="timing") as bar:
        for size, direction, group in groups:
            bar.set_postfix_str(f"{direction}, {size_text(size)}")
            names = namespace(size, dtype)
            check(group, names, agree, f"{direction}, {dtype}, size {size}")
            about = {"function": FUNCTION, "direction": direction, "size": size, "dtype": dtype}
            rows += [about | row for row in interleave(group, names, rounds, target, tick=bar.update)]
    return rows


def figures(rows, dtype):
    def compare(text, target, direction, theirs, low, high, ours=OURS):
        sides = [{"direction": direction, "contender": label} for label in (ours, theirs)]
        # The targets are for float32.
        target = target if dtype == "float32" else None
        return figure(text, target, rows, *sides, range(low, high + 1))

    k, m = 1024, 1024**2
    out = OURS + OUT
    negative, copy, where, maximum, torch_out = (
        name + OUT for name in ("np.negative", "np.copyto", "np.where", "np.maximum", "PyTorch")
    )
    return [
        compare("1 to 64: than np.negative", 1, "forward", "np.negative", 1, 64),
        compare("1 to 64: than PyTorch", 8, "forward", "PyTorch", 1, 64),
        compare("1 to 64, with out: than np.negative", 2, "forward", negative, 1, 64, out),
        compare("64K, with out: than np.copyto", 0.8, "forward", copy, 64 * k, 64 * k, out),
        compare("4K to 1M: than np.where", 10, "forward", "np.where", 4 * k, m),
        compare("4K to 1M: than np.maximum", 1.5, "forward", "np.maximum", 4 * k, m),
        compare("4K to 1M, with out: than np.where's masked copy", None, "forward", where, 4 * k, m, out),
        compare("4K to 1M, with out: than np.maximum", None, "forward", maximum, 4 * k, m, out),
        compare("4M to 16M, with out: than np.maximum", None, "forward", maximum, 4 * m, 16 * m, out),
        compare("4M to 16M, with out: than np.copyto", None, "forward", copy, 4 * m, 16 * m, out),
        compare("4K to 16M, with out: than PyTorch", None, "forward", torch_out, 4 * k, 16 * m, out),
        compare("backward, 1 to 64: than PyTorch", None, "backward", "PyTorch", 1, 64),
        compare("backward, 4K to 1M: than np.where", None, "backward", "np.where", 4 * k, m),
        compare("backward, 4K to 16M, with out: than PyTorch", None, "backward", torch_out, 4 * k, 16 * m, out),
    ]


def main():
    options = parse(
        __doc__,
        min_size=1,
        max_size=16 * 1024**2,
        quick_max_size=1024**2,
        rounds=51,
        quick_rounds=5,
        dtypes=["float32"],
    )
    sizes = [4**k for k in range(15) if 4**k <= options.max_size]
    target = 0.5e6 if options.quick else 2e6
    about = environment(torch=torch and torch.__version__, threads=1)
    options.out.mkdir(parents=True, exist_ok=True)
    if torch:
        torch.set_num_threads(1)

    for dtype in options.dtype:
        with torch.inference_mode() if torch else contextlib.nullcontext():
            rows = measure(dtype, sizes, options.rounds, target)
        reached = figures(rows, dtype)
        versions = " · ".join(f"{name} {about[name]}" for name in ("pyleaky", "isa", "numpy", "torch") if about[name])
        title = f"{FUNCTION}, {dtype}, one thread · {about['cpu']} · {versions} · {about['date'][:10]}"
        print(title)
        panels = []
        for direction, with_out in GROUPS:
            group = [row for row in select(rows, direction=direction) if row["contender"].endswith(OUT) == with_out]
            heading = f"{direction}, {'result stored in out' if with_out else 'fresh result'}"
            print(f"\n{heading} (in brackets: time relative to pyleaky's)\n{times_table(group)}")
            panels.append((heading, group))
        print(f"\n{figures_table(reached)}")

        stem = options.out / f"cpu-{FUNCTION}-{dtype}"
        settings = {"rounds": options.rounds, "nanoseconds_per_timing": target, "quick": options.quick}
        write_json(stem.with_suffix(".json"), {"environment": about, "settings": settings, "figures": reached}, rows)
        kinds = ("throughput", "speed-up")
        plot(stem.with_suffix(".png"), title, [[(*panel, kind) for panel in panels] for kind in kinds])
        print(f"\nwritten: {stem}.json and .png\n")


if __name__ == "__main__":
    main()
