"""The activations, forward and backward, on the CPU: pyleaky, the NumPy idioms and PyTorch, interleaved.

Everything runs on one thread and on the same arrays of standard normal numbers; pyleaky comes first in each table, and
the table below each function's holds the project's figures.  PyTorch, if installed, runs under inference_mode; its
backward is the bare kernel of aten, without autograd's share, and its forward with a given result is the binding that
takes one (torch.nn.functional does not; celu and selu are aten::elu with other parameters).  np.negative and np.copyto
are yardsticks: the cheapest ufunc and the copy.

    PYLEAKY_ISA=avx2 ATEN_CPU_CAPABILITY=avx2 NPY_DISABLE_CPU_FEATURES=X86_V4 python bench/run.py

holds the ISA equal on all sides; with PYLEAKY_ISA the names of the files tell it.  cpu-<ISA>.txt is the summary of one
run, of a part only where functions or dtypes were chosen.
"""

import contextlib
import functools
import itertools
import os
from dataclasses import dataclass

import numpy as np
from _measure import (
    OURS,
    OUT,
    Contender,
    base,
    check,
    environment,
    figure,
    figures_table,
    interleave,
    parse,
    plot,
    ratio_text,
    select,
    size_text,
    table,
    times_table,
    write_json,
)
from tqdm import tqdm

import pyleaky

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

try:
    import torch
except ImportError:
    torch = None

DTYPES = ("float32", "float64", "float16", *(["bfloat16"] if ml_dtypes else []))
DIRECTIONS = ("forward", "backward")
K, M = 1024, 1024**2
SMALL = 64
SUMMARY_SIZES = (64 * K, M)
SECONDS = 5  # for one function, dtype, size and direction; the largest arrays get fewer rounds for it

YARDSTICKS = {
    "np.negative": "negative(x)",
    "np.negative" + OUT: "negative(x, out=out)",
    "np.copyto" + OUT: "copyto(out, x)",
}


# ------------------------------------------------------------------------------------------------------ functions


@dataclass(frozen=True)
class Function:
    """
    What is measured of one function; to add one, add one of these to FUNCTIONS.

    forward, backward : pyleaky's arguments and, by label, the peers' statements for the same job.
    numbers : the names of parameters in NumPy's statements; they are of the arrays' dtype there, because bfloat16 times
        a Python float is float32.
    figures : direction, smallest and largest size, against whom, the targets in float32 and in half precision.
    tolerance : how many units of the last place the peers may be away from pyleaky.
    """

    forward: tuple
    backward: tuple
    numbers: dict
    figures: tuple
    sizes: tuple = (SMALL, 4 * K, 64 * K, M, 16 * M)
    tolerance: int = 8

    def tolerance_in(self, dtype):
        # NumPy's parameters have an error of their own in half precision.
        return self.tolerance + 2 * (np.dtype(dtype).itemsize == 2)


def exponential(parameter, in_torch, forward, backward, **numbers):
    """One of the ELU family; `in_torch` is its alpha, scale and input scale for aten::elu."""
    in_aten = f"tensor_grad, {in_torch}, False, tensor_x"
    return Function(
        forward=(f"x{parameter}", forward | {"PyTorch" + OUT: f"torch_elu_out(tensor_x, {in_torch}, out=tensor_out)"}),
        backward=(
            f"grad, x{parameter}",
            backward
            | {"PyTorch": f"torch_elu_backward({in_aten})"}
            | {"PyTorch" + OUT: f"torch_elu_backward_out({in_aten}, grad_input=tensor_out)"},
        ),
        numbers=numbers,
        figures=(
            ("forward", SMALL, SMALL, "PyTorch", None, None),
            ("forward", 64 * K, M, "PyTorch" + OUT, 3, 3),
            ("forward", 4 * K, M, "np.where", None, None),
            ("forward", 4 * K, M, "np.maximum" + OUT, None, None),
            ("backward", SMALL, SMALL, "PyTorch", None, None),
            ("backward", 64 * K, M, "PyTorch" + OUT, 2.5, None),
            ("backward", 4 * K, M, "np.where", None, None),
        ),
    )


FUNCTIONS = {
    "leaky_relu": Function(
        forward=(
            "x",
            {
                "np.where": "where(x > 0, x, slope * x)",
                "np.maximum": "maximum(x, slope * x)",
                "PyTorch": "torch_leaky_relu(tensor_x, 0.01)",
                # For who cares about memory: np.where takes no `out`, so its selection becomes a masked copy.
                "np.where" + OUT: "greater(x, 0, out=mask); multiply(x, slope, out=out); copyto(out, x, where=mask)",
                "np.maximum" + OUT: "multiply(x, slope, out=scratch); maximum(x, scratch, out=out)",
                "PyTorch" + OUT: "torch_leaky_relu_out(tensor_x, 0.01, out=tensor_out)",
            },
        ),
        backward=(
            "grad, x",
            {
                "np.where": "where(x > 0, grad, slope * grad)",
                "PyTorch": "torch_leaky_relu_backward(tensor_grad, tensor_x, 0.01, False)",
                "np.where" + OUT: "greater(x, 0, out=mask); multiply(grad, slope, out=out); "
                "copyto(out, grad, where=mask)",
                "PyTorch" + OUT: "torch_leaky_relu_backward_out(tensor_grad, tensor_x, 0.01, False, "
                "grad_input=tensor_out)",
            },
        ),
        numbers={"slope": 0.01},
        figures=(
            ("forward", 1, SMALL, "np.negative", 1, None),
            ("forward", 1, SMALL, "PyTorch", 8, None),
            ("forward", 1, SMALL, "np.negative" + OUT, 2, None),
            ("forward", 64 * K, 64 * K, "np.copyto" + OUT, 0.8, None),
            ("forward", 4 * K, M, "np.where", 10, None),
            ("forward", 4 * K, M, "np.maximum", 1.5, None),
            ("forward", 4 * K, M, "np.where" + OUT, None, None),
            ("forward", 4 * K, M, "np.maximum" + OUT, None, None),
            ("forward", 4 * M, 16 * M, "np.maximum" + OUT, None, None),
            ("forward", 4 * M, 16 * M, "np.copyto" + OUT, None, None),
            ("forward", 4 * K, M, "PyTorch" + OUT, None, 1),
            ("forward", 4 * M, 16 * M, "PyTorch" + OUT, None, None),
            ("backward", 1, SMALL, "PyTorch", None, None),
            ("backward", 4 * K, M, "np.where", None, None),
            ("backward", 4 * K, M, "PyTorch" + OUT, None, 1),
            ("backward", 4 * M, 16 * M, "PyTorch" + OUT, None, None),
        ),
        sizes=tuple(4**k for k in range(13)),
        tolerance=0,
    ),
    # exp(0) is 1, so only SELU's gradient needs a selection.
    "elu": exponential(
        "",
        "1, 1, 1",
        {
            "np.where": "where(x > 0, x, expm1(minimum(x, 0)))",
            "np.maximum": "maximum(x, 0) + expm1(minimum(x, 0))",
            "PyTorch": "torch_elu(tensor_x)",
            "np.maximum" + OUT: "minimum(x, 0, out=out); expm1(out, out=out); "
            "maximum(x, 0, out=scratch); add(out, scratch, out=out)",
        },
        {
            "np.where": "where(x > 0, grad, grad * exp(minimum(x, 0)))",
            "np.exp": "grad * exp(minimum(x, 0))",
            "np.exp" + OUT: "minimum(x, 0, out=out); exp(out, out=out); multiply(out, grad, out=out)",
        },
    ),
    "celu": exponential(
        ", 1.5",
        "1.5, 1, 1 / 1.5",
        {
            "np.where": "where(x > 0, x, alpha * expm1(minimum(x, 0) / alpha))",
            "np.maximum": "maximum(x, 0) + alpha * expm1(minimum(x, 0) / alpha)",
            "PyTorch": "torch_celu(tensor_x, 1.5)",
            "np.maximum" + OUT: "minimum(x, 0, out=out); divide(out, alpha, out=out); expm1(out, out=out); "
            "multiply(out, alpha, out=out); maximum(x, 0, out=scratch); add(out, scratch, out=out)",
        },
        {
            "np.where": "where(x > 0, grad, grad * exp(minimum(x, 0) / alpha))",
            "np.exp": "grad * exp(minimum(x, 0) / alpha)",
            "np.exp" + OUT: "minimum(x, 0, out=out); divide(out, alpha, out=out); exp(out, out=out); "
            "multiply(out, grad, out=out)",
        },
        alpha=1.5,
    ),
    "selu": exponential(
        "",
        f"{pyleaky.SELU_ALPHA}, {pyleaky.SELU_SCALE}, 1",
        {
            "np.where": "scale * where(x > 0, x, alpha * expm1(minimum(x, 0)))",
            "np.maximum": "scale * (maximum(x, 0) + alpha * expm1(minimum(x, 0)))",
            "PyTorch": "torch_selu(tensor_x)",
            "np.maximum" + OUT: "minimum(x, 0, out=out); expm1(out, out=out); multiply(out, alpha, out=out); "
            "maximum(x, 0, out=scratch); add(out, scratch, out=out); multiply(out, scale, out=out)",
        },
        {
            "np.where": "scale * where(x > 0, grad, alpha * grad * exp(minimum(x, 0)))",
            "np.where" + OUT: "minimum(x, 0, out=out); exp(out, out=out); multiply(out, alpha, out=out); "
            "multiply(out, grad, out=out); greater(x, 0, out=mask); copyto(out, grad, where=mask); "
            "multiply(out, scale, out=out)",
        },
        alpha=pyleaky.SELU_ALPHA,
        scale=pyleaky.SELU_SCALE,
    ),
}


# ------------------------------------------------------------------------------------------------------ measuring


def contenders(function, direction, size, itemsize):
    """Those for one direction and size, ours first."""
    name = function if direction == "forward" else f"{function}_backward"
    arguments, peers = getattr(FUNCTIONS[function], direction)
    moved = (2 if direction == "forward" else 3) * size * itemsize
    yield Contender(OURS, f"{name}({arguments})", moved)
    yield Contender(OURS + OUT, f"{name}({arguments}, out=out)", moved)
    for label, statement in peers.items():
        if torch or base(label) != "PyTorch":
            yield Contender(label, statement, moved)
    for label, statement in YARDSTICKS.items():
        if base(label) == "np.copyto" or (direction == "forward" and size <= SMALL):
            yield Contender(label, statement, 2 * size * itemsize, yardstick=True)


def namespace(function, size, dtype):
    rng = np.random.default_rng(0)
    drawn = "float64" if dtype == "float64" else "float32"
    names = {name: rng.standard_normal(size, drawn).astype(dtype, copy=False) for name in ("x", "grad")}
    names |= {name: np.empty(size, dtype) for name in ("out", "scratch")}
    names["mask"] = np.empty(size, bool)
    names |= {name: np.dtype(dtype).type(value) for name, value in FUNCTIONS[function].numbers.items()}
    in_numpy = "add copyto divide exp expm1 greater maximum minimum multiply negative where"
    names |= {name: getattr(np, name) for name in in_numpy.split()}
    names |= {name: getattr(pyleaky, name) for name in (function, f"{function}_backward")}
    if torch:
        aten, functional = torch.ops.aten, torch.nn.functional
        names |= {f"tensor_{name}": as_tensor(names[name]) for name in ("x", "grad", "out")}
        names |= {f"torch_{name}": getattr(functional, name) for name in FUNCTIONS}
        for name in ("leaky_relu", "elu"):
            names[f"torch_{name}_out"] = getattr(torch._C._nn, name)
            names[f"torch_{name}_backward"] = getattr(aten, f"{name}_backward").default
            names[f"torch_{name}_backward_out"] = getattr(aten, f"{name}_backward").grad_input
    return names


def as_tensor(array):
    """The same memory; torch.from_numpy refuses the bfloat16 of ml_dtypes."""
    if array.dtype != "bfloat16":
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)


def as_array(tensor):
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    return tensor.view(torch.int16).numpy().view("bfloat16")


def agree(ours, theirs, tolerance):
    """
    Whether two results, arrays or tensors, are of one dtype and at most `tolerance` units of the last place apart.

    A rectifier is one product, so its peers give our bits.  Where there is an exponential the peers round up to five
    times, and were seen up to 2.5 units away; that leaves room, for what has to be told apart is different functions.
    """
    if torch and isinstance(theirs, torch.Tensor):
        theirs = as_array(theirs)
    if ours.dtype != theirs.dtype:
        return False
    unit, least = (np.spacing(ours.dtype.type(value)) for value in (1, 0))
    wide = np.promote_types(ours.dtype, np.float32)
    ours, theirs, unit, least = (value.astype(wide, copy=False) for value in (ours, theirs, unit, least))
    return bool((np.abs(ours - theirs) <= tolerance * (unit * np.abs(ours) + least)).all())


def measure(function, dtype, sizes, rounds, target):
    groups = [
        (size, direction, list(contenders(function, direction, size, np.dtype(dtype).itemsize)))
        for size in sizes
        for direction in DIRECTIONS
    ]
    same = functools.partial(agree, tolerance=FUNCTIONS[function].tolerance_in(dtype))
    rows = []
    total = rounds * sum(len(group) for *_, group in groups)
    with tqdm(total=total, desc=f"{function}, {dtype}", unit="timing") as bar:
        for size, direction, group in groups:
            bar.set_postfix_str(f"{direction}, {size_text(size)}")
            names = namespace(function, size, dtype)
            check(group, names, same, f"{function}, {direction}, {dtype}, size {size}")
            about = {"function": function, "direction": direction, "size": size, "dtype": dtype}
            timed = interleave(group, names, rounds, target, tick=bar.update, seconds=SECONDS)
            rows += [about | row for row in timed]
    return rows


# ------------------------------------------------------------------------------------------------------- reporting


def figures(rows, function, dtype):
    reached = []
    for direction, low, high, label, single, half in FUNCTIONS[function].figures:
        out = OUT if label.endswith(OUT) else ""
        sides = [{"direction": direction, "contender": each} for each in (OURS + out, label)]
        span = size_text(low) if low == high else f"{size_text(low)} to {size_text(high)}"
        text = f"{direction}, {span}{', with out' if out else ''}: than {base(label)}"
        target = {"float32": single, "float16": half, "bfloat16": half}.get(dtype)
        reached.append(figure(text, target, rows, *sides, range(low, high + 1)))
    return reached


def summary(rows):
    """
    A line for each function, direction and dtype: ns per element, and how many times as fast as the peers that is.

    All with `out`, but for NumPy, whose fastest statement counts: a fresh np.where beats the masked copy.
    """
    columns = [f"{size_text(size)}: {text}" for size in SUMMARY_SIZES for text in ("ns/element", "PyTorch", "NumPy")]
    lines = []
    for about in dict.fromkeys((row["function"], row["direction"], row["dtype"]) for row in rows):
        group = select(rows, **dict(zip(("function", "direction", "dtype"), about, strict=True)))
        line = list(about)
        for size in SUMMARY_SIZES:
            medians = {row["contender"]: row["median_ns"] for row in select(group, size=size)}
            ours, in_torch = (medians.get(label + OUT) for label in (OURS, "PyTorch"))
            idioms = [label for label in medians if label.startswith("np.") and label not in YARDSTICKS]
            in_numpy = min((medians[label] for label in idioms), default=None)
            line.append(f"{ours / size:.3f}" if ours else "-")
            line += [ratio_text(theirs / ours) if theirs else "-" for theirs in (in_torch, in_numpy)]
        lines.append(line)
    return table(["function", "direction", "dtype", *columns], lines, left=3)


def numpy_isa():
    """What NumPy chose for exp, as good an example as any: each of its functions has a list of its own."""
    chosen = np.lib.introspect.opt_func_info(func_name="^exp$", signature="float32")
    return chosen["exp"]["ff"]["current"] if chosen else "baseline"


def describe(about):
    """The machine and the libraries, each with the ISA it runs on."""
    isas = {"pyleaky": "isa", "numpy": "numpy_isa", "torch": "torch_isa"}
    libraries = [f"{name} {about[name]} ({about[isa]})" for name, isa in isas.items() if about[name]]
    return " · ".join(["one thread", about["cpu"], *libraries, about["date"][:10]])


def main():
    options = parse(
        __doc__,
        choices={"function": tuple(FUNCTIONS), "dtype": DTYPES},
        min_size=SMALL,
        max_size=16 * M,
        quick_max_size=M,
        rounds=51,
        quick_rounds=5,
    )
    target = 0.5e6 if options.quick else 2e6
    about = environment(
        threads=1,
        numpy_isa=numpy_isa(),
        torch=torch and torch.__version__,
        torch_isa=torch and torch.backends.cpu.get_cpu_capability(),
    )
    forced = f"-{about['isa']}" if os.environ.get("PYLEAKY_ISA") else ""
    options.out.mkdir(parents=True, exist_ok=True)
    if torch:
        torch.set_num_threads(1)

    every_row = []
    for function, dtype in itertools.product(options.function, options.dtype):
        sizes = [size for size in FUNCTIONS[function].sizes if size <= options.max_size]
        with torch.inference_mode() if torch else contextlib.nullcontext():
            rows = measure(function, dtype, sizes, options.rounds, target)
        every_row += rows
        reached = figures(rows, function, dtype)
        title = f"{function}, {dtype} · {describe(about)}"
        print(title)
        panels = []
        for direction, with_out in itertools.product(DIRECTIONS, (False, True)):
            group = [row for row in select(rows, direction=direction) if row["contender"].endswith(OUT) == with_out]
            heading = f"{direction}, {'result stored in out' if with_out else 'fresh result'}"
            print(f"\n{heading} (in brackets: time relative to pyleaky's)\n{times_table(group)}")
            panels.append((heading, group))
        print(f"\n{figures_table(reached)}")

        stem = options.out / f"cpu-{function}-{dtype}{forced}"
        settings = {"rounds": options.rounds, "seconds": SECONDS, "nanoseconds_per_timing": target}
        settings["quick"] = options.quick
        write_json(stem.with_suffix(".json"), {"environment": about, "settings": settings, "figures": reached}, rows)
        kinds = ("throughput", "speed-up")
        plot(stem.with_suffix(".png"), title, [[(*panel, kind) for panel in panels] for kind in kinds])
        print(f"\nwritten: {stem}.json and .png\n")

    heading = "ns per element with out given, times as fast as PyTorch with out, times as fast as NumPy's fastest idiom"
    text = f"{heading}\n{describe(about)}\n\n{summary(every_row)}\n"
    path = options.out / f"cpu-{about['isa']}.txt"
    path.write_text(text, encoding="utf-8")
    print(f"{text}\nwritten: {path}")


if __name__ == "__main__":
    main()
