"""How exact ELU, CELU and SELU are, on every float32 and every half, beside PyTorch, NumPy and ONNX Runtime.

Prints tables; `make exhaustive` stores them as docs/exactness.txt.  The judge is tests/c/judge.c: long double for
float32, where mpmath decides what that cannot, quadruple precision for float64.  The status is 1 where a promise is
broken.  To add a function, add a line to FUNCTIONS.
"""

import argparse
import ctypes
import datetime
import functools
import importlib.metadata
import multiprocessing
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import mpmath
import numpy as np
import reference
from arrays import HALVES
from tqdm import tqdm

import pyleaky
from pyleaky import _core

ALPHAS = (-1, 1e-3, 0.1, 0.5, 1, 1.5, 3, 100)
WIDE_ALPHAS = (2.0**-100, 1e-3, 1, 3, 2.0**100, -1)
SAMPLE = 101
CHUNK = 2**20
FLOAT64_POINTS = 10_000_000  # per function
DOUBTS = 64
SCALE, SCALE_ALPHA = reference.SELU_SCALE, reference.SELU_A
ALPHA32, SCALE32 = np.float32(pyleaky.SELU_ALPHA), np.float32(pyleaky.SELU_SCALE)


class Function(ctypes.Structure):
    """Left of 0: c * expm1(x / d), or the derivative c * exp(x / d); right of 0: scale * x or scale."""

    _fields_ = (
        ("derivative", ctypes.c_int),
        ("c", ctypes.c_double),
        ("d", ctypes.c_double),
        ("scale", ctypes.c_double),
    )


class Found(ctypes.Structure):
    _fields_ = (
        ("worst", ctypes.c_double),
        ("worst_x", ctypes.c_double),
        ("judged", ctypes.c_uint64),
        ("misrounded", ctypes.c_uint64),
        ("doubtful", ctypes.c_uint64),
        ("doubts", ctypes.c_double * 2 * DOUBTS),
    )


FUNCTIONS = {
    "elu": lambda a: Function(0, a, 1, 1),
    "elu_backward": lambda a: Function(1, a, 1, 1),
    "celu": lambda a: Function(0, a, a, 1),
    "celu_backward": lambda a: Function(1, 1, a, 1),
    "selu": lambda a: Function(0, SCALE_ALPHA, 1, SCALE),
    "selu_backward": lambda a: Function(1, SCALE_ALPHA, 1, SCALE),
}
NEAREST = ("elu", "selu")  # correctly rounded, with alpha 1

NUMPY = {
    "elu": lambda x, a: np.where(x > 0, x, a * np.expm1(x)),
    "elu_backward": lambda x, a: np.where(x > 0, np.float32(1), a * np.exp(x)),
    "celu": lambda x, a: np.where(x > 0, x, a * np.expm1(x / a)),
    "celu_backward": lambda x, a: np.where(x > 0, np.float32(1), np.exp(x / a)),
    "selu": lambda x, a: SCALE32 * np.where(x > 0, x, ALPHA32 * np.expm1(x)),
    "selu_backward": lambda x, a: SCALE32 * np.where(x > 0, np.float32(1), ALPHA32 * np.exp(x)),
}


def run_pyleaky(name, x, alpha):
    parameter = [float(alpha)] * _core.ROWS[name].parameters
    grad = [np.ones_like(x)] * name.endswith("_backward")
    return getattr(pyleaky, name)(*grad, x, *parameter)


def run_numpy(name, x, alpha):
    with np.errstate(all="ignore"):
        return NUMPY[name](x, np.float32(alpha))


def run_torch(name, x, alpha):
    import torch

    torch.set_num_threads(1)
    x = torch.from_numpy(x)
    if not name.endswith("_backward"):
        function = getattr(torch.nn.functional, name)
        return (function(x) if name == "selu" else function(x, alpha)).numpy()
    constants = {
        "elu_backward": (alpha, 1.0, 1.0),
        "celu_backward": (alpha, 1.0, 1.0 / alpha),
        "selu_backward": (pyleaky.SELU_ALPHA, pyleaky.SELU_SCALE, 1.0),
    }[name]
    return torch.ops.aten.elu_backward(torch.ones_like(x), *constants, False, x).numpy()


@functools.cache
def onnx_session(operator, alpha):
    import onnxruntime
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy")
    node = helper.make_node(operator, ["x"], ["y"], **({} if operator == "Selu" else {"alpha": alpha}))
    graph = helper.make_graph([node], operator, [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def run_onnx(name, x, alpha):
    if name.endswith("_backward"):
        return None
    return onnx_session(name.capitalize(), float(alpha)).run(None, {"x": x})[0]


def peers():
    known = {"PyTorch": ("torch", run_torch), "NumPy": ("numpy", run_numpy), "ONNX Runtime": ("onnxruntime", run_onnx)}
    found = {"pyleaky": (pyleaky.__version__, run_pyleaky)}
    for label, (distribution, run) in known.items():
        try:
            found[label] = importlib.metadata.version(distribution), run
        except importlib.metadata.PackageNotFoundError:
            print(f"{label} is not installed; its rows are missing", file=sys.stderr)
    return found


PEERS = peers()


# ---------------------------------------------------------------------------------------------- the sweeps


@dataclass(frozen=True)
class Task:
    """Every step-th float32 from a bit pattern on, CHUNK of them."""

    name: str
    alpha: float
    step: int
    start: int

    def inputs(self):
        stop = min(self.start + CHUNK * self.step, 2**32)
        return np.arange(self.start, stop, self.step, np.uint64).astype(np.uint32).view(np.float32)


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


@functools.cache
def judge():
    return ctypes.CDLL(OPTIONS.judge)


def judge_float32(task):
    alpha = float(np.float32(task.alpha))
    x, function, found = task.inputs(), FUNCTIONS[task.name](alpha), {}
    exact, places, n = np.empty(x.size, np.longdouble), np.empty(x.size), ctypes.c_ssize_t(x.size)
    judge().exact_float32(ctypes.byref(function), pointer(x), n, pointer(exact), pointer(places))
    for label, (_, run) in PEERS.items():
        y = run(task.name, x, alpha)
        if y is not None:
            found[label] = Found()
            y = np.ascontiguousarray(y)
            assert y.dtype == np.float32
            arguments = map(pointer, (x, exact, places, y))
            judge().judge_float32(ctypes.byref(function), *arguments, n, ctypes.byref(found[label]))
    return {label: as_tuple(value) for label, value in found.items()}


def judge_float64(task):
    alpha, rng, points = task.alpha, np.random.default_rng(task.start), CHUNK
    scale = abs(alpha) if task.name.startswith("celu") else 1
    # Everyday sizes, every exponent, and the neighbourhood of multiples of ln 2 / 32.
    parts = [
        rng.uniform(-50, 0, points // 4),
        rng.uniform(-760, -50, points // 8),
        -np.ldexp(rng.uniform(1, 2, points // 4), rng.integers(-1070, 10, points // 4)),
        np.abs(rng.normal(0, 3, points // 8)),
    ]
    rest = points - sum(map(len, parts))
    parts.append(-rng.integers(1, 1100, rest) * (np.log(2) / 32) * (1 + rng.integers(-4, 5, rest) * 2.0**-52))
    x, function, found = np.concatenate(parts) * scale, FUNCTIONS[task.name](alpha), Found()
    if task.name.startswith("celu") and alpha < 0:
        x = np.maximum(x, -700)  # e^1000 is infinite
    y = run_pyleaky(task.name, x, alpha)
    judge().judge_float64(ctypes.byref(function), pointer(x), pointer(y), ctypes.c_ssize_t(x.size), ctypes.byref(found))
    return {"pyleaky": as_tuple(found)}


def as_tuple(found):
    doubts = [tuple(pair) for pair in found.doubts[: min(found.doubtful, DOUBTS)]]
    return found.worst, found.worst_x, found.judged, found.misrounded, found.doubtful, doubts


def compare_isas(task):
    """How many inputs give other bits on another ISA than on the scalar one."""
    x, row, results = task.inputs(), _core.ROWS[task.name], {}
    given = [x if name in ("x", "output") else np.ones_like(x) for name in row.inputs]
    for isa in _core.isas():
        _core.use_isa(isa)
        results[isa] = getattr(_core, row.name)(*given)
    scalar = results.pop("scalar")
    number = ~np.isnan(scalar)
    return {
        isa: int(((scalar.view("u4") != y.view("u4")) & (number | ~np.isnan(y))).sum()) for isa, y in results.items()
    }


def merge(found):
    merged = {}
    for part in found:
        for label, value in part.items():
            worst, worst_x, *counts, doubts = merged.get(label, (0.0, 0.0, 0, 0, 0, []))
            if not value[0] <= worst:
                worst, worst_x = value[:2]
            merged[label] = worst, worst_x, *(a + b for a, b in zip(counts, value[2:5], strict=True)), doubts + value[5]
    return merged


def sweep(pool, work, name, alpha, step, count, label):
    tasks = [Task(name, alpha, step, chunk * CHUNK * step) for chunk in range(count)]
    results = pool.imap_unordered(work, tasks)
    return list(tqdm(results, f"{label} {name} {alpha:g}", count, leave=False, disable=None))


def decide(name, alpha, doubts):
    """Which doubtful float32 results mpmath finds misrounded."""
    wrong = 0
    with mpmath.workprec(300):
        for x, y in doubts:
            values = {"x": x, "grad": 1.0, "alpha": float(np.float32(alpha))}
            given = (np.array([mpmath.mpf(values[k])], object) for k in _core.ROWS[name].inputs)
            exact = getattr(reference, name)(*given)
            wrong += reference.ulps(np.array([y], np.float32), exact)[0] > 0.5
    return wrong


# ---------------------------------------------------------------------------------------------- the tables

HEADINGS = f"{'function':<16}{'alpha':>10}  {'by':<14}{'inputs':>12}{'maximum ULP':>14}{'at x':>17}{'misrounded':>12}"


def float32_table(pool, step, alphas):
    kept = True
    print(HEADINGS)
    for name in FUNCTIONS:
        has_alpha = _core.ROWS[name].parameters
        for alpha in alphas if has_alpha else (1,):
            count = -(-(2**32) // (CHUNK * step))
            for by, found in merge(sweep(pool, judge_float32, name, alpha, step, count, "float32")).items():
                worst, worst_x, judged, misrounded, doubtful, doubts = found
                about = f"{misrounded + decide(name, alpha, doubts)}"
                if doubtful > len(doubts):
                    about = f"{about}+"  # more doubtful ones than were kept for mpmath
                shown = f"{worst:14.6f}" if worst < 1e6 else f"{worst:14.2g}"
                text = f"{alpha:g}" if has_alpha else "-"
                print(f"{name:<16}{text:>10}  {by:<14}{judged:>12}{shown}{worst_x:17.9g}{about:>12}", flush=True)
                if by == "pyleaky":
                    kept &= worst <= 0.501 and not (name in NEAREST and alpha == 1 and about != "0")
    return kept


def float64_table(pool):
    kept = True
    print(HEADINGS)
    for name in FUNCTIONS:
        alphas = WIDE_ALPHAS if _core.ROWS[name].parameters else (1,)
        count = -(-FLOAT64_POINTS // CHUNK // len(alphas)) + 1
        for alpha in alphas:
            found = merge(sweep(pool, judge_float64, name, alpha, 1, count, "float64"))["pyleaky"]
            worst, worst_x, judged, misrounded, *_ = found
            text = f"{alpha:.3g}" if len(alphas) > 1 else "-"
            line = f"{name:<16}{text:>10}  {'pyleaky':<14}{judged:>12}{worst:14.6f}{worst_x:17.9g}{misrounded:>12}"
            print(line, flush=True)
            kept &= worst <= 1
    return kept


def half_table():
    kept = True
    _core.see_ml_dtypes()
    print(
        f"{'function':<28}{'dtype':<10}{'alpha':>7}{'inputs':>9}{'not the float32 function rounded once':>39}{'ULP':>9}"
    )
    rng = np.random.default_rng(0)
    for row in _core.ROWS.values():
        for dtype in HALVES:
            every = np.arange(65536).astype(np.uint16).view(dtype)
            for alpha in ALPHAS if row.parameters else (1,):
                arrays = [
                    every if name in ("x", "output") else rng.permutation(every)
                    for name in row.inputs[: len(row.inputs) - row.parameters]
                ]
                if row.name in FUNCTIONS:
                    arrays[:-1] = [np.ones_like(every)] * (len(arrays) - 1)
                number = [np.float32(alpha)] * row.parameters
                ufunc = getattr(_core, row.name + "_number" * row.parameters)
                wide = [array.astype(np.float32) for array in arrays]
                with np.errstate(all="ignore"):
                    result, right = ufunc(*arrays, *number), ufunc(*wide, *number).astype(dtype)
                    same = (result.view("u2") == right.view("u2")) | np.isnan(result) & np.isnan(right)
                    ulp = ""
                    if row.name in FUNCTIONS:
                        exact = getattr(reference, row.name)(*wide, *(np.full_like(wide[0], n) for n in number))
                        ulp = f"{reference.ulps(result, exact).max():.6f}"
                        kept &= float(ulp) <= 0.51
                text = f"{alpha:g}" if row.parameters else "-"
                different = int((~same).sum())
                kept &= different == 0
                name = np.dtype(dtype).name
                print(f"{row.name:<28}{name:<10}{text:>7}{every.size:>9}{different:>11}{ulp:>13}", flush=True)
    return kept


def isa_table(pool):
    kept = True
    isas = [isa for isa in _core.isas() if isa != "scalar"]
    print(f"{'function':<28}" + "".join(f"{isa:>10}" for isa in isas))
    for name in (name for name in _core.ROWS if name.split("_")[0] in ("elu", "celu", "selu")):
        found = sweep(pool, compare_isas, name, 1, 1, 2**32 // CHUNK, "ISAs")
        different = {isa: sum(part[isa] for part in found) for isa in isas}
        print(f"{name:<28}" + "".join(f"{different[isa]:>10}" for isa in isas), flush=True)
        kept &= not any(different.values())
    return kept


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    family, model = found.get("cpu family", "?"), found.get("model", "?")
    return f"{found.get('model name', platform.processor())} (family {family}, model {model})"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="build/c/judge.so", help="tests/c/judge.c as a shared library")
    parser.add_argument("--quick", action="store_true", help=f"every {SAMPLE * 101}st float32 instead of every one")
    return parser.parse_args()


def main():
    versions = ", ".join(f"{label} {version}" for label, (version, _) in PEERS.items())
    print(f"The output of make exhaustive, {datetime.date.today()}, {cpu()}, ISA {_core.isa()}.\n{versions}.")
    print("Errors in units of the last place of the exact result; gradients of 1.  Correct rounding is 0.5 at most.")
    print("A + says that more results lay too close to the middle of two floats than were shown to mpmath.")
    every, some = (SAMPLE * 101, SAMPLE * 1009) if OPTIONS.quick else (1, SAMPLE)
    kept = True
    with multiprocessing.get_context("fork").Pool(
        os.process_cpu_count() if sys.version_info >= (3, 13) else None
    ) as pool:
        print(f"\nfloat32, {'every' if every == 1 else f'one in {every}'}, alpha 1\n")
        kept &= float32_table(pool, every, (1,))
        print(f"\nfloat32, one in {some}\n")
        kept &= float32_table(pool, some, ALPHAS)
        print("\nfloat64, random and hard places\n")
        kept &= float64_table(pool)
        print(
            "\nfloat16 and bfloat16, every one: inputs for which the result is not the float32 function rounded once\n"
        )
        kept &= half_table()
        if every == 1:
            print("\nfloat32, every one: inputs whose bits differ from the scalar ISA's\n")
            kept &= isa_table(pool)
    print("\nEvery promise is kept." if kept else "\nA PROMISE IS BROKEN.")
    return not kept


if __name__ == "__main__":
    OPTIONS = parse()
    sys.exit(main())
