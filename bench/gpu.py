"""Every function on a GPU, both directions: pyleaky, plain CuPy expressions, PyTorch, and the device's copy.

Timed with CUDA events around loops of some 5 ms on the null stream, which CuPy and PyTorch share; so a small size shows
how fast calls can be issued, and a large one how fast the device runs them.  prelu and bias_act have 64 channels along
the last axis, and their backward includes the sums over these.  PyTorch, if installed for CUDA, runs under
inference_mode, its backward as the bare kernels, without autograd's share.  What a call costs the processor is timed by
its clock, beside a call of a bare ElementwiseKernel.

To add a function, add an entry to JOBS.
"""

import contextlib
import functools
import itertools
import sys
import time
from dataclasses import dataclass

import numpy as np
from _functions import DTYPES
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
DIRECTIONS = ("forward", "backward", "double backward")
GAIN = 2**0.5
STYLEGAN = {"activation": "leaky_relu", "negative_slope": 0.2, "gain": GAIN}


@dataclass(frozen=True)
class Job:
    """
    pyleaky, cupy, torch : the statements for a fresh result, of x, grad and gg, with `tensor_` before them for PyTorch.
    arrays : how many arrays of x's size have to be read or written.
    has_out : whether pyleaky's statement takes out=out as well.
    copy : the share of the device's copy bandwidth to reach; None: not asked for.
    over_cupy : how many times as fast as the CuPy expression it has to be.
    masks : how many packed masks are read or written.
    agree : which results are as good as ours, where they need not be equal.
    """

    pyleaky: str
    cupy: str
    torch: str | None
    arrays: int
    has_out: bool = True
    copy: float | None = 0.9
    over_cupy: float | None = None
    masks: int = 0
    agree: str = "near"


def elu_family(name, number, aten, forward, first, second):
    """`aten`: alpha, scale and input scale of aten::elu; the derivatives as CuPy expressions for x <= 0."""
    right = "SELU_SCALE" if name == "selu" else "1"
    jobs = {
        "forward": Job(f"{name}(x{number})", forward, f"torch_{name}(tensor_x{number})", 2, copy=0.8),
        "backward": Job(
            f"{name}_backward(grad, x{number})",
            f"grad * where(x > 0, {right}, {first})",
            f"aten.elu_backward.default(tensor_grad, {aten}, False, tensor_x)",
            3,
            copy=0.8,
        ),
        # Two kernels, one for each result.
        "double backward": Job(
            f"{name}_double_backward(gg, grad, x{number})",
            f"gg * where(x > 0, {right}, {first}), gg * grad * where(x > 0, 0, {second})",
            None,
            5,
            has_out=False,
            copy=None,
        ),
    }
    return {(name, direction): job for direction, job in jobs.items()}


JOBS = {
    ("relu", "forward"): Job("relu(x)", "maximum(x, 0)", "torch_relu(tensor_x)", 2),
    ("relu", "backward"): Job(
        "relu_backward(grad, x)", "grad * (x > 0)", "aten.threshold_backward.default(tensor_grad, tensor_x, 0)", 3
    ),
    ("leaky_relu", "forward"): Job(
        "leaky_relu(x)", "where(x > 0, x, 0.01 * x)", "torch_leaky_relu(tensor_x, 0.01)", 2, over_cupy=2.5
    ),
    ("leaky_relu", "backward"): Job(
        "leaky_relu_backward(grad, x)",
        "where(x > 0, grad, 0.01 * grad)",
        "aten.leaky_relu_backward.default(tensor_grad, tensor_x, 0.01, False)",
        3,
    ),
    ("leaky_relu and mask", "forward"): Job(
        "leaky_relu(x, return_mask=True)",
        "where(x > 0, x, 0.01 * x), packbits(x > 0, bitorder='little')",
        None,
        2,
        has_out=False,
        masks=1,
    ),
    ("leaky_relu and mask", "backward"): Job(
        "leaky_relu_backward(grad, mask=mask)",
        "where(side, grad, 0.01 * grad)",
        "torch_where(tensor_side, tensor_grad, 0.01 * tensor_grad)",
        2,
        masks=1,
    ),
    ("prelu", "forward"): Job(
        "prelu(x, weight, axis=-1)", "where(x > 0, x, weight * x)", "torch_prelu(tensor_x, tensor_weight)", 2
    ),
    ("prelu", "backward"): Job(
        "prelu_backward(grad, x, weight, axis=-1)",
        "where(x > 0, grad, weight * grad), (grad * minimum(x, 0)).sum(axis=0)",
        "torch_prelu_backward(tensor_grad, tensor_x, tensor_weight)",
        3,
        has_out=False,
    ),
    **elu_family("elu", "", "1, 1, 1", "where(x > 0, x, expm1(minimum(x, 0)))", "exp(x)", "exp(x)"),
    **elu_family(
        "celu",
        ", 1.5",
        "1.5, 1, 1 / 1.5",
        "where(x > 0, x, 1.5 * expm1(minimum(x, 0) / 1.5))",
        "exp(x / 1.5)",
        "exp(x / 1.5) / 1.5",
    ),
    **elu_family(
        "selu",
        "",
        "SELU_ALPHA, SELU_SCALE, 1",
        "SELU_SCALE * where(x > 0, x, SELU_ALPHA * expm1(minimum(x, 0)))",
        "SELU_SCALE * SELU_ALPHA * exp(x)",
        "SELU_SCALE * SELU_ALPHA * exp(x)",
    ),
    ("rrelu", "forward"): Job(
        "rrelu(x, seed=1)",
        "where(x > 0, x, (0.125 + (1 / 3 - 0.125) * random(x.shape, dtype=float32)).astype(x.dtype) * x)",
        "torch_rrelu(tensor_x, 0.125, 1 / 3, True)",
        2,
        agree="slopes",
    ),
    ("rrelu", "backward"): Job(
        "rrelu_backward(grad, x, seed=1)",
        "where(x > 0, grad, noise * grad)",
        "aten.rrelu_with_noise_backward.default(tensor_grad, tensor_x, tensor_noise, 0.125, 1 / 3, True, False)",
        3,
    ),
    ("dropout", "forward"): Job(
        "dropout(x, 0.5, seed=1)",
        "where(random(x.shape, dtype=float32) < 0.5, 0, 2 * x)",
        "torch_dropout(tensor_x, 0.5, True)",
        2,
        agree="dropped",
    ),
    ("dropout", "backward"): Job(
        "dropout_backward(grad, 0.5, seed=1)",
        "where(kept, 2 * grad, 0)",
        "aten.native_dropout_backward.default(tensor_grad, tensor_kept, 2.0)",
        2,
    ),
    ("bias_act", "forward"): Job(
        "bias_act(x, bias, **STYLEGAN)",
        "where(x + bias > 0, x + bias, 0.2 * (x + bias)) * GAIN",
        "torch_leaky_relu(tensor_x + tensor_bias, 0.2) * GAIN",
        2,
    ),
    ("bias_act", "backward"): Job(
        "bias_act_backward(grad, x, bias, **STYLEGAN)",
        "(dx := where(x + bias > 0, grad, 0.2 * grad) * GAIN), dx.sum(axis=0)",
        "torch_bias_act_backward(tensor_grad, tensor_x, tensor_bias)",
        3,
        has_out=False,
    ),
}


def torch_prelu_backward(grad, x, weight):
    dx, terms = torch.ops.aten._prelu_kernel_backward.default(grad, x, weight[None])
    return dx, terms.sum(0)


def torch_bias_act_backward(grad, x, bias):
    dx = torch.ops.aten.leaky_relu_backward.default(grad * GAIN, x + bias, 0.2, False)
    return dx, dx.sum(0)


def as_it_is(result):
    """Results are compared on the device."""
    return result


def contenders(job, mode, size, itemsize):
    """Ours first; none where pyleaky has no `out` (PReLU's gradients)."""
    moved = job.arrays * size * itemsize + job.masks * size // 8
    if mode == "fresh":
        yield Contender(OURS, job.pyleaky, moved, OURS, to_numpy=as_it_is)
        yield Contender("CuPy", job.cupy, moved, "CuPy", to_numpy=as_it_is)
        if torch and job.torch:
            yield Contender("PyTorch", job.torch, moved, "PyTorch", to_numpy=as_it_is)
    elif job.has_out:
        yield Contender(OURS, f"{job.pyleaky[:-1]}, out=out)", moved, OURS, has_out=True)
        yield Contender("cupy.copyto", "copyto(out, x)", 2 * size * itemsize, "copy", yardstick=True)


def to_tensor(array):
    """On the same memory; DLPack knows bfloat16 only in newer versions of either library."""
    if array.dtype.name == "bfloat16":
        return torch.from_dlpack(array.view(np.int16)).view(torch.bfloat16)
    if array.dtype == bool:
        return torch.from_dlpack(array.view(np.uint8)).view(torch.bool)
    return torch.from_dlpack(array)


def from_tensor(result, dtype):
    if isinstance(result, cupy.ndarray):
        return result
    if dtype.name == "bfloat16" and result.dtype == torch.bfloat16:
        return cupy.from_dlpack(result.view(torch.int16)).view(dtype)
    return cupy.from_dlpack(result)


def namespace(function, x, grad, gg, weight):
    """What the statements of one function may name."""
    shape = (-1, CHANNELS) if function in ("prelu", "bias_act") else (-1,)
    arrays = {"x": x.reshape(shape), "grad": grad.reshape(shape), "gg": gg.reshape(shape)}
    arrays |= {"weight": weight, "bias": weight}
    arrays["side"] = arrays["x"] > 0
    if function == "rrelu":
        ones = cupy.ones_like(arrays["x"])
        arrays["noise"] = pyleaky.rrelu_backward(ones, arrays["x"], seed=1)
    if function == "dropout":
        arrays["kept"] = pyleaky.dropout(cupy.ones_like(arrays["x"]), 0.5, seed=1) > 0
    names = arrays | {"start": np.nan, "out": cupy.empty_like(arrays["x"]), "float32": np.float32, "GAIN": GAIN}
    names["STYLEGAN"] = STYLEGAN
    names["mask"] = pyleaky.leaky_relu(arrays["x"], return_mask=True)[1]
    for name in ("where", "maximum", "minimum", "copyto", "exp", "expm1", "packbits"):
        names[name] = getattr(cupy, name)
    with contextlib.suppress(ImportError):  # cuRAND may be missing
        names["random"] = cupy.random.random
    names |= {name: getattr(pyleaky, name) for name in dir(pyleaky) if not name.startswith("_")}
    if torch:
        names |= {f"tensor_{name}": to_tensor(array) for name, array in arrays.items()}
        for name in ("relu", "leaky_relu", "prelu", "elu", "celu", "selu", "rrelu", "dropout"):
            names[f"torch_{name}"] = getattr(torch.nn.functional, name)
        names |= {"torch_where": torch.where, "aten": torch.ops.aten}
        names |= {f.__name__: f for f in (torch_prelu_backward, torch_bias_act_backward)}
    return names


def agree(job, names, ours, theirs):
    x = names["x"]
    if job.agree == "near":
        if not isinstance(ours, tuple):
            return is_close(ours, theirs, x.dtype, 1)
        # A sum of terms of both signs: its error goes with their number and size, not with its own.
        shares = [1 if one.size == x.size else x.size / one.size for one in ours]
        return all(is_close(*pair, x.dtype, share) for *pair, share in zip(ours, theirs, shares, strict=True))
    # Other random numbers than ours, with the same meaning.
    ours, theirs = (from_tensor(one, x.dtype).astype(np.float32) for one in (ours, theirs))
    x = x.astype(np.float32)
    if job.agree == "dropped":
        kept = theirs != 0
        share = float(kept.mean())
        return bool((theirs == cupy.where(kept, 2 * x, 0)).all()) and abs(share - 0.5) < 3 / x.size**0.5
    slope = cupy.where(x < 0, theirs / x, 0.2)
    inside = cupy.logical_and(slope > 0.124, slope < 0.336).all()
    return bool(inside) and bool((cupy.where(x > 0, theirs == x, True)).all())


def is_close(ours, theirs, dtype, terms):
    theirs = from_tensor(theirs, dtype)
    if ours.dtype == np.uint8:
        return theirs.dtype == np.uint8 and bool((ours == theirs).all())
    # In half types the peers round their numbers, 0.01 for one, and each step, or promote bfloat16 to float32.
    eps = float({"bfloat16": 2**-7, "float16": 2**-10, "float32": 2**-23, "float64": 2**-52}[dtype.name])
    ours, theirs = (one.astype(np.float64) for one in (ours, theirs))
    return bool((abs(ours - theirs) <= 16 * eps * (abs(ours) + 1 + terms**0.5)).all())


def usable(group, names, note):
    """Ours, and the peers that know the dtype here and have their libraries."""
    for contender in group:
        try:
            exec(contender.statement, dict(names))
        except Exception as error:  # any: each library has its own for what it lacks
            if contender.label == OURS:
                raise
            note(f"{contender.label} cannot {contender.statement}: {type(error).__name__}: {error}")
            continue
        yield contender


def event_clock(timer, count):
    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    timer.timeit(count)
    stop.record()
    stop.synchronize()
    return cupy.cuda.get_elapsed_time(start, stop) * 1e6


def host_clock(timer, count):
    """The processor's share: the device, which has less to do, is waited for after the calls are timed."""
    taken = timer.timeit(count)
    event = cupy.cuda.Event()
    event.record()
    event.synchronize()
    return taken


def measure_host(dtype, rounds, target):
    """What one call costs the processor, beside a bare kernel of CuPy that makes an array and computes the same."""
    compute = "float64" if dtype == "float64" else "float32"
    bare = cupy.ElementwiseKernel(
        f"T x, {compute} slope", "T y", f"const {_C[compute]} a = x; y = (T)(a > 0 ? a : a * slope)", "bare_leaky_relu"
    )
    x = cupy.asarray(np.linspace(-1, 1, 64).astype(dtype))
    names = {"x": x, "bare": bare, "leaky_relu": pyleaky.leaky_relu}
    group = [
        Contender(OURS, "leaky_relu(x, 0.01)", x.nbytes * 2, OURS),
        Contender("bare ElementwiseKernel", "bare(x, 0.01)", x.nbytes * 2, "bare kernel", yardstick=True),
    ]
    if torch:
        names |= {"tensor_x": to_tensor(x), "torch_leaky_relu": torch.nn.functional.leaky_relu}
        group.append(Contender("PyTorch", "torch_leaky_relu(tensor_x, 0.01)", x.nbytes * 2, "PyTorch"))
    about = {"function": "leaky_relu", "direction": "host", "dtype": dtype, "size": 64, "mode": "fresh"}
    return [about | row for row in interleave(group, names, rounds, target, host_clock)]


_C = {"float32": "float", "float64": "double"}


def measure(dtype, sizes, rounds, target, values):
    """The rows; fewer sizes than asked for where the device's memory ends."""
    too_much = (cupy.cuda.memory.OutOfMemoryError, *([torch.cuda.OutOfMemoryError] if torch else []))
    rows = measure_host(dtype, rounds, target)
    jobs = list(itertools.product(JOBS.items(), ("fresh", "out")))
    with tqdm(total=len(sizes) * len(jobs), desc=dtype, unit="job") as bar:
        note = functools.partial(bar.write, file=sys.stderr)
        try:
            x, grad, gg = (cupy.asarray(value).astype(dtype) for value in values)
            weight = cupy.asarray(np.linspace(0, 0.5, CHANNELS, dtype=np.float32)).astype(dtype)
            for size in sizes:
                for ((function, direction), job), mode in jobs:
                    about = {"function": function, "direction": direction, "dtype": dtype, "size": size, "mode": mode}
                    bar.set_postfix_str(f"{function}, {direction}, {size_text(size)}, {mode}")
                    bar.update()
                    group = list(contenders(job, mode, size, x.itemsize))
                    if group:
                        names = namespace(function, x[:size], grad[:size], gg[:size], weight)
                        group = list(usable(group, names, note if size == sizes[0] else as_it_is))
                        if size <= M:
                            check(group, names, functools.partial(agree, job, names), about)
                        rows += [about | row for row in interleave(group, names, rounds, target, event_clock)]
                # Neither library gives memory back by itself, and each needs what the other has cached.
                names = None
                cupy.get_default_memory_pool().free_all_blocks()
                if torch:
                    torch.cuda.empty_cache()
        except too_much as error:
            note(f"{dtype}: the device's memory ends here: {error}")
    return rows


def figures(rows):
    reached = []
    copies = fastest(rows, peer="copy")
    for (function, direction), job in JOBS.items():
        name = f"{function}, {direction}"
        group = [row for row in select(rows, function=function, direction=direction) if row["size"] >= M]
        fresh = select(group, mode="fresh")
        ours, in_torch, in_cupy = (fastest(fresh, peer=peer) for peer in (OURS, "PyTorch", "CuPy"))
        best = fastest(select(group, mode="out") or group, peer=OURS, size=64 * M)
        reached += [
            figure(f"{name}, 64M: than the device's copy", job.copy, best, copies),
            figure(f"{name}, from 1M: than CuPy", job.over_cupy, ours, in_cupy),
        ]
        if job.torch:
            reached.append(figure(f"{name}, from 1M: than PyTorch", 1, ours, in_torch))
    host = select(rows, direction="host")
    ours, bare = fastest(host, peer=OURS), fastest(host, peer="bare kernel")
    reached.append(figure("a call of leaky_relu: than that of a bare ElementwiseKernel", 1 / 1.5, ours, bare))
    return reached


def report(title, rows, reached):
    parts = [f"# {title}"]
    for (function, direction), mode in itertools.product([("leaky_relu", "host"), *JOBS], ("fresh", "out")):
        group = select(rows, function=function, direction=direction, mode=mode)
        if group:
            heading = f"## {function}, {direction}, {mode} (in brackets: time relative to pyleaky's)"
            parts.append(f"{heading}\n\n{times_table(group)}")
    copies = [rate(row) for row in select(rows, peer="copy")]
    fastest = f"Fastest copy: {max(copies):.0f} GB/s, read and written."
    parts.append(f"## Figures\n\n{fastest}\n\n{figures_table(reached)}")
    return "\n\n".join(parts) + "\n"


def panels(rows):
    """A line of panels per direction, filled up with the functions that have fewer."""
    lines = [[function for function, each in JOBS if each == direction] for direction in DIRECTIONS]
    width = max(map(len, lines))
    every = [(function, direction) for direction, line in zip(DIRECTIONS, lines, strict=True) for function in line]
    every += every[-1:] * (-len(every) % width)
    grid = [
        (f"{function}, {direction}", select(rows, function=function, direction=direction), throughput)
        for function, direction in every
    ]
    return [grid[start : start + width] for start in range(0, len(grid), width)]


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
        choices={"dtype": DTYPES},
        min_size=K,
        max_size=64 * M,
        quick_max_size=64 * M,
        rounds=21,
        quick_rounds=5,
    )
    if why := missing():
        print(f"bench/gpu.py needs a GPU and CuPy: {why}", file=sys.stderr)
        return 1
    if torch and not torch.cuda.is_available():
        torch = None
    sizes = [4**k for k in ((5, 10, 13) if options.quick else range(5, 14)) if 4**k <= options.max_size]
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
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(sizes[-1], np.float32) for _ in range(3)]

    for dtype in options.dtype:
        started = time.monotonic()
        with torch.inference_mode() if torch else contextlib.nullcontext():
            rows = measure(dtype, sizes, options.rounds, target, values)
        if not select(rows, peer="copy"):
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
        plot(stem.with_suffix(".png"), title, panels(rows))
        print(f"written: {stem}.json, .md and .png, after {time.monotonic() - started:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
