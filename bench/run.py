"""pyleaky beside NumPy, NumExpr, Numba, ONNX Runtime, JAX and PyTorch on the CPU, everyone interleaved in one run.

Measured by default, some 20 minutes on two cores, each with one thread and with all:

    leaky_relu    float32, 1 to 64M elements, the other dtypes to 16M; forward and backward, fresh and with out
    all others    float32, 64 to 1M elements, forward and backward, fresh and with out, and 16M forward with out;
                  the other dtypes at 64K and 1M, with out, and PReLU, for which PyTorch has none, fresh
    in place      every function forward, float32, 1M; leaky_relu also 16M
    first, kept   leaky_relu forward, float32, results of 64 and 256 MB in memory that was never used before: one call,
                  and eight whose results are all kept

The options for functions, sizes and so on leave out from that; with --all they leave out from every combination there
is, which takes hours.  A run of all the default goes to bench/results, a part to build/bench:

    python bench/run.py --all --function prelu --dtype float16 --size 4K 1M --mode fresh "in place"

The arrays hold standard normal numbers, the same for all.  Every library is set to the same number of threads; NumPy
has one, and JAX, which cannot be told, either one or what it likes.  A fresh result is what the library returns: an
array, a tensor, and with ONNX Runtime a value that has not been copied to NumPy.  np.negative and the copy, by
np.copyto and Tensor.copy_, are yardsticks: the cheapest ufunc, and the roofline, the rate at which the same memory
can be moved.

    python bench/run.py --isa avx2

holds pyleaky, NumPy, Numba, JAX and PyTorch to that ISA; NumExpr and ONNX Runtime cannot be held.
"""

import itertools
import os
import sys

import numpy as np
from _functions import DTYPES, FUNCTIONS, HALF, K, M
from _measure import check, environment, interleave, parse, select, settle, size_argument
from _peers import (
    DIRECTIONS,
    FIRST,
    FRESH,
    IN_PLACE,
    KEPT,
    MODES,
    OUT,
    Job,
    agree,
    contenders,
    modules,
    using,
    versions,
)
from _report import draw, figures, report
from _results import folder, size_text, write_json
from tqdm import tqdm

import pyleaky

SIZES = tuple(4**k for k in range(14))
SELECTED = (64, 4 * K, 64 * K, M, 16 * M)
UNTOUCHED_FROM = 64 * M  # bytes: smaller results find memory that was used before in every library
SECONDS = 1  # for one job; the largest arrays get fewer rounds for it
ALL_THREADS = pyleaky.get_num_threads()
DEFAULT_THREADS = sorted({1, ALL_THREADS})

LEAKY, OTHERS = ("leaky_relu",), tuple(name for name in FUNCTIONS if name != "leaky_relu")
SINGLE, REST = ("float32",), tuple(dtype for dtype in DTYPES if dtype != "float32")
# What a part does not name, it measures in full.
PLAN = (
    {"function": LEAKY, "dtype": SINGLE, "mode": (FRESH, OUT)},
    {"function": LEAKY, "dtype": ("float64",), "size": SIZES[:-1], "mode": (FRESH, OUT)},
    {"function": LEAKY, "dtype": HALF, "size": (64, 4 * K, 64 * K, M, 16 * M), "mode": (FRESH, OUT)},
    {"function": OTHERS, "dtype": SINGLE, "size": (64, 4 * K, 64 * K, M), "mode": (FRESH, OUT)},
    {"function": OTHERS, "dtype": SINGLE, "size": (16 * M,), "mode": (OUT,), "direction": ("forward",)},
    {"function": OTHERS, "dtype": REST, "size": (64 * K, M), "mode": (OUT,)},
    {"function": ("prelu", "prelu_scalar"), "dtype": REST, "size": (64 * K, M), "mode": (FRESH,)},
    {"dtype": SINGLE, "size": (M,), "mode": (IN_PLACE,), "direction": ("forward",)},
    {"function": LEAKY, "dtype": SINGLE, "size": (16 * M,), "mode": (IN_PLACE,), "direction": ("forward",)},
    {"function": LEAKY, "dtype": SINGLE, "size": (16 * M, 64 * M), "mode": (FIRST, KEPT), "direction": ("forward",)},
)
PLOTS = {("leaky_relu", "float32"), ("leaky_relu", "float64"), *((name, "float32") for name in ("elu", "celu", "selu"))}

# What holds the libraries to an ISA; PYLEAKY_ISA comes besides.
HOLD = {
    "avx512": {},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": "",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
    "scalar": {
        "ATEN_CPU_CAPABILITY": "default",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        "NUMBA_CPU_NAME": "x86-64-v2",
        "NUMBA_CPU_FEATURES": "",
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
    },
    "neon": {},
}


def is_possible(job):
    size = job.size * np.dtype(job.dtype).itemsize
    if 16 * size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        return False
    if job.entry.channels and job.size % job.entry.channels:
        return False
    if job.has_out and job.has_sum:  # two results
        return False
    return job.mode not in (FIRST, KEPT) or size >= UNTOUCHED_FROM


def jobs(parts, everything):
    """Each job once, and those with equal arrays in turn."""
    found = {}
    for part in parts:
        for values in itertools.product(*(everything | part).values()):
            job = Job(**dict(zip(everything, values, strict=True)))
            if is_possible(job):
                found[job] = None
    return sorted(found, key=lambda job: (DTYPES.index(job.dtype), job.size))


def measure(job, rounds, target):
    group, names = contenders(job)
    with using(job.threads):
        about = {name: getattr(job, name) for name in ("function", "direction", "dtype", "size", "mode", "threads")}
        if job.mode not in (FIRST, KEPT):
            check(group, names, lambda *results: agree(*results, job.entry.tolerance_in(job.dtype)), about)
        return [about | row for row in interleave(group, names, rounds, target, seconds=SECONDS, rest=settle)]


def numpy_isa():
    """What NumPy chose for exp, as good an example as any: each of its functions has a list of its own."""
    chosen = np.lib.introspect.opt_func_info(func_name="^exp$", signature="float32")
    return chosen["exp"]["ff"]["current"] if chosen else "baseline"


def hold(isa):
    """Start again with every library held to one ISA."""
    if isa and os.environ.get("PYLEAKY_ISA") != isa:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | HOLD[isa] | {"PYLEAKY_ISA": isa})


def main():
    options = parse(
        __doc__,
        choices={"function": tuple(FUNCTIONS), "dtype": DTYPES, "direction": DIRECTIONS, "mode": MODES},
        min_size=1,
        max_size=SIZES[-1],
        quick_max_size=64 * K,
        rounds=15,
        quick_rounds=2,
        more={
            "--size": {"nargs": "+", "type": size_argument, "help": "default all"},
            "--threads": {
                "nargs": "+",
                "type": int,
                "choices": range(1, ALL_THREADS + 1),
                "default": DEFAULT_THREADS,
                "help": f"default 1 and {ALL_THREADS}",
            },
            "--isa": {"choices": tuple(HOLD), "help": "hold every library that can be to this one"},
            "--all": {"action": "store_true", "help": "every combination instead of the plan: hours"},
            "--plots": {"action": "store_true", "help": "of every function and dtype"},
        },
    )
    hold(options.isa)
    everything = {
        "dtype": DTYPES,
        "size": options.size if options.all and options.size else SIZES,
        "function": tuple(FUNCTIONS),
        "direction": DIRECTIONS,
        "mode": MODES,
        "threads": options.threads,
    }
    planned = jobs([{}] if options.all else PLAN, everything)
    wanted = {name: getattr(options, name) or values for name, values in everything.items()}
    todo = [job for job in planned if all(getattr(job, name) in values for name, values in wanted.items())]
    todo = [job for job in todo if job.size <= options.max_size]
    if not todo:
        raise SystemExit("the options leave nothing of the plan; with --all they leave out from every combination")
    is_default = todo == planned and options.threads == DEFAULT_THREADS and not options.all
    path = folder(options, complete=is_default)

    torch = modules(("torch",))
    about = environment(
        numpy_isa=numpy_isa(), **versions(), torch_isa=torch and torch[0].backends.cpu.get_cpu_capability()
    )
    target = 0.1e6 if options.quick else 2e6
    rows = []
    weights = [1 + job.size / M for job in todo]  # large arrays take longer
    with tqdm(total=sum(weights), bar_format="{percentage:3.0f}% {bar} {elapsed}, {remaining} left{postfix}") as bar:
        for job, weight in zip(todo, weights, strict=True):
            bar.set_postfix_str(f"{job.function}, {job.direction}, {job.dtype}, {size_text(job.size)}, {job.mode}")
            rows += measure(job, options.rounds, target)
            bar.update(weight)

    reached = figures(rows)
    forced = f"-{about['isa']}" if os.environ.get("PYLEAKY_ISA") else ""
    stem = f"cpu-{about['isa']}"
    settings = {"rounds": options.rounds, "seconds": SECONDS, "nanoseconds_per_timing": target, "quick": options.quick}
    write_json(path / f"{stem}.json", {"environment": about, "settings": settings}, reached, rows)
    text = report(about, rows, reached)
    (path / f"{stem}.md").write_text(text, encoding="utf-8")
    for function, dtype in dict.fromkeys((row["function"], row["dtype"]) for row in rows):
        if options.plots or ((function, dtype) in PLOTS and not forced):
            draw(path / f"cpu-{function}-{dtype}{forced}.png", about, select(rows, function=function, dtype=dtype))
    print(f"{text}\nwritten to {path}")


if __name__ == "__main__":
    main()
