"""relu, leaky_relu and prelu, forward and backward, on a GPU: pyleaky, plain CuPy expressions and PyTorch.

Timed with CUDA events around loops of some 5 ms on the null stream, which CuPy and PyTorch share; so a small size shows
how fast calls can be issued, and a large one how fast the device runs them.  prelu learns 64 weights along the last
axis, and its backward includes their gradient.  PyTorch, if installed for CUDA, runs under inference_mode, its
backward as the bare kernels, without autograd's share.
"""

import contextlib
import itertools
import sys

import numpy as np
from _measure import (
    OURS,
    Contender,
    check,
    environment,
    fastest,
    figure,
    figures_table,
    interleave,
    parse,
    rate,
    select,
    times_table,
)
from _plot import plot, throughput
from _results import folder, size_text, write_json
from tqdm import tqdm

import pyleaky

try:
    import cupy
except ImportError as error:
    cupy, cupy_error = None, error

try:
    import torch
except ImportError:
    torch = None

CHANNELS = 64
K, M = 1024, 1024**2

# For each function and direction: pyleaky's arguments, the CuPy expression, PyTorch's expression.
EXPRESSIONS = {
    ("relu", "forward"): ("x", "maximum(x, 0)", "torch_relu(tensor_x)"),
    ("relu", "backward"): ("grad, x", "grad * (x > 0)", "torch_relu_backward(tensor_grad, tensor_x, 0)"),
    ("leaky_relu", "forward"): ("x", "where(x > 0, x, 0.01 * x)", "torch_leaky_relu(tensor_x, 0.01)"),
    ("leaky_relu", "backward"): (
        "grad, x",
        "where(x > 0, grad, 0.01 * grad)",
        "torch_leaky_relu_backward(tensor_grad, tensor_x, 0.01, False)",
    ),
    ("prelu", "forward"): ("x, weight, axis=-1", "where(x > 0, x, weight * x)", "torch_prelu(tensor_x, tensor_weight)"),
    ("prelu", "backward"): (
        "grad, x, weight, axis=-1",
        "where(x > 0, grad, weight * grad), (grad * minimum(x, 0)).sum(axis=0)",
        "torch_prelu_backward(tensor_grad, tensor_x, tensor_weight)",
    ),
}


def torch_prelu_backward(grad, x, weight):
    dx, terms = torch.ops.aten._prelu_kernel_backward.default(grad, x, weight[None])
    return dx, terms.sum(0)


def as_it_is(result):
    """Results are compared on the device."""
    return result


def contenders(function, direction, mode, size, itemsize):
    """Those for one job, ours first; none where pyleaky has no `out` (PReLU's gradients)."""
    arguments, in_cupy, in_torch = EXPRESSIONS[function, direction]
    name = function if direction == "forward" else f"{function}_backward"
    moved = (2 if direction == "forward" else 3) * size * itemsize
    if mode == "fresh":
        yield Contender(OURS, f"{name}({arguments})", moved, OURS, to_numpy=as_it_is)
        yield Contender("CuPy", in_cupy, moved, "CuPy", to_numpy=as_it_is)
        if torch:
            yield Contender("PyTorch", in_torch, moved, "PyTorch", to_numpy=as_it_is)
    elif name != "prelu_backward":
        yield Contender(OURS, f"{name}({arguments}, out=out)", moved, OURS, has_out=True)
        yield Contender("cupy.copyto", "copyto(out, x)", 2 * size * itemsize, "copy", yardstick=True)


def namespace(function, x, grad, weight):
    shape = (-1, CHANNELS) if function == "prelu" else (-1,)
    names = {"x": x.reshape(shape), "grad": grad.reshape(shape), "weight": weight}
    names |= {"start": np.nan, "out": cupy.empty_like(names["x"])}
    names |= {name: getattr(cupy, name) for name in ("where", "maximum", "minimum", "copyto")}
    for name in (function, f"{function}_backward"):
        names[name] = getattr(pyleaky, name)
    if torch:
        names |= {f"tensor_{name}": torch.from_dlpack(names[name]) for name in ("x", "grad", "weight")}
        names["torch_relu"] = torch.nn.functional.relu
        names["torch_relu_backward"] = torch.ops.aten.threshold_backward.default
        names["torch_leaky_relu"] = torch.nn.functional.leaky_relu
        names["torch_leaky_relu_backward"] = torch.ops.aten.leaky_relu_backward.default
        names["torch_prelu"] = torch.nn.functional.prelu
        names["torch_prelu_backward"] = torch_prelu_backward
    return names


def agree(ours, theirs):
    if not isinstance(ours, tuple):
        return is_close(ours, theirs, 1e-6)
    # A weight's gradient is a sum of this many terms of both signs: its error goes with their size, not with its own.
    terms = ours[0].size // CHANNELS
    return is_close(ours[0], theirs[0], 1e-6) and is_close(ours[1], theirs[1], 1e-5 + 1e-6 * terms)


def is_close(ours, theirs, tolerance):
    theirs = cupy.from_dlpack(theirs)
    return ours.dtype == theirs.dtype and bool(cupy.allclose(ours, theirs, rtol=1e-6, atol=tolerance))


def event_clock(timer, count):
    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    timer.timeit(count)
    stop.record()
    stop.synchronize()
    return cupy.cuda.get_elapsed_time(start, stop) * 1e6


def measure(dtype, sizes, rounds, target):
    """The rows; fewer sizes than asked for where the device's memory ends."""
    too_much = (cupy.cuda.memory.OutOfMemoryError, *([torch.cuda.OutOfMemoryError] if torch else []))
    rng = np.random.default_rng(0)
    rows = []
    jobs = list(itertools.product(EXPRESSIONS, ("fresh", "out")))
    with tqdm(total=len(sizes) * len(jobs), desc=dtype, unit="job") as bar:
        try:
            x, grad = (cupy.asarray(rng.standard_normal(sizes[-1], dtype)) for _ in range(2))
            weight = cupy.asarray(rng.uniform(0, 0.5, CHANNELS).astype(dtype))
            for size in sizes:
                for (function, direction), mode in jobs:
                    about = {"function": function, "direction": direction, "dtype": dtype, "size": size, "mode": mode}
                    bar.set_postfix_str(f"{function}, {direction}, {size_text(size)}, {mode}")
                    bar.update()
                    group = list(contenders(function, direction, mode, size, x.itemsize))
                    if group:
                        names = namespace(function, x[:size], grad[:size], weight)
                        check(group, names, agree, about)
                        rows += [about | row for row in interleave(group, names, rounds, target, event_clock)]
                # Neither library gives memory back by itself, and each needs what the other has cached.
                names = None
                cupy.get_default_memory_pool().free_all_blocks()
                if torch:
                    torch.cuda.empty_cache()
        except too_much as error:
            bar.write(f"{dtype}: the device's memory ends here: {error}", file=sys.stderr)
    return rows


def figures(rows):
    reached = []
    for function, direction in EXPRESSIONS:
        name = f"{function}, {direction}"
        group = [row for row in select(rows, function=function, direction=direction) if row["size"] >= M]
        fresh = select(group, mode="fresh")
        ours, in_torch, in_cupy = (fastest(fresh, peer=peer) for peer in (OURS, "PyTorch", "CuPy"))
        best = fastest(select(group, mode="out") or group, peer=OURS, size=64 * M)
        reached += [
            figure(f"{name}, 64M: than the device's copy", 0.9, best, fastest(rows, peer="copy")),
            figure(f"{name}, from 1M: than PyTorch", 1, ours, in_torch),
            figure(f"{name}, from 1M: than CuPy", None, ours, in_cupy),
        ]
    return reached


def report(title, rows, reached):
    parts = [f"# {title}"]
    for (function, direction), mode in itertools.product(EXPRESSIONS, ("fresh", "out")):
        group = select(rows, function=function, direction=direction, mode=mode)
        if group:
            heading = f"## {function}, {direction}, {mode} (in brackets: time relative to pyleaky's)"
            parts.append(f"{heading}\n\n{times_table(group)}")
    copies = [rate(row) for row in select(rows, peer="copy")]
    fastest = f"Fastest copy: {max(copies):.0f} GB/s, read and written."
    parts.append(f"## Figures\n\n{fastest}\n\n{figures_table(reached)}")
    return "\n\n".join(parts) + "\n"


def missing():
    """Why there is nothing to run on, or None."""
    if cupy is None:
        return f"CuPy cannot be imported ({cupy_error}); pip install 'pyleaky[cuda12x]' or 'pyleaky[cuda13x]'"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy {cupy.__version__} finds no usable GPU ({error})"
    return None if count else f"CuPy {cupy.__version__} finds no GPU"


def main():
    global torch
    options = parse(
        __doc__,
        choices={"dtype": ("float32", "float64")},
        min_size=K,
        max_size=64 * M,
        quick_max_size=M,
        rounds=21,
        quick_rounds=5,
    )
    if why := missing():
        print(f"bench/gpu.py needs a GPU and CuPy: {why}", file=sys.stderr)
        return 1
    if torch and not torch.cuda.is_available():
        torch = None
    sizes = [4**k for k in range(5, 14) if 4**k <= options.max_size]
    target = 1e6 if options.quick else 5e6
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    about = environment(
        gpu=properties["name"].decode(),
        compute_capability=f"{properties['major']}.{properties['minor']}",
        gpu_memory_bytes=properties["totalGlobalMem"],
        cuda_driver=cupy.cuda.runtime.driverGetVersion(),
        cuda_runtime=cupy.cuda.runtime.runtimeGetVersion(),
        cupy=cupy.__version__,
        torch=torch and torch.__version__,
    )
    path = folder(options, complete=options.max_size == 64 * M)

    for dtype in options.dtype:
        with torch.inference_mode() if torch else contextlib.nullcontext():
            rows = measure(dtype, sizes, options.rounds, target)
        if not rows:
            return 1
        reached = figures(rows)
        versions = " · ".join(f"{name} {about[name]}" for name in ("pyleaky", "cupy", "torch") if about[name])
        title = f"{dtype} on {about['gpu']} · {versions} · {about['date'][:10]}"
        text = report(title, rows, reached)
        print(text)

        stem = path / f"gpu-{dtype}"
        settings = {"rounds": options.rounds, "nanoseconds_per_timing": target, "quick": options.quick}
        write_json(stem.with_suffix(".json"), {"environment": about, "settings": settings}, reached, rows)
        stem.with_suffix(".md").write_text(text, encoding="utf-8")
        grid = [
            [
                (f"{function}, {direction}", select(rows, function=function, direction=direction), throughput)
                for function, direction in EXPRESSIONS
                if direction == row
            ]
            for row in ("forward", "backward")
        ]
        plot(stem.with_suffix(".png"), title, grid)
        print(f"written: {stem}.json, .md and .png\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
