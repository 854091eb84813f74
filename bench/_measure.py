"""What the benchmarks share: interleaved timing, figures against their targets, tables, JSON and plots.

A contender is a Python statement; contenders of one group do the same job and are timed in turns.  Nothing here
knows a function, a peer or a device: run.py and gpu.py bring those, and the clock.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import random
import statistics
import time
import timeit
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

import pyleaky

OURS = "pyleaky"
OUT = " out="
FEWEST_ROUNDS = 7

# Okabe and Ito's palette, which the colour-blind can tell apart.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class Contender:
    """A label, a statement, the bytes it has to move, and whether it stands there for comparison only.

    The label of one that stores its result in `out` ends with " out=".  A yardstick computes something else, a copy
    or a negation, so its result is not checked.
    """

    label: str
    statement: str
    bytes: int
    yardstick: bool = False


# --------------------------------------------------------------------------------------------------- command line


def size_argument(text):
    """A number of elements, with K or M for 1024 or 1024 * 1024."""
    factor = {"K": 1024, "M": 1024**2}.get(text[-1:].upper(), 1)
    try:
        size = int(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size, expected for example 64, 4K or 16M")
    return size


def parse(description, *, choices, min_size, max_size, quick_max_size, rounds, quick_rounds):
    """The options; `choices` maps the name of an option that takes one or more values to all of these, the default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    out = pathlib.Path(__file__).parent / "results"
    parser.add_argument("--max-size", type=size_argument, help=f"largest array, default {size_text(max_size)}")
    parser.add_argument("--rounds", type=int, help=f"timings of each contender, default {rounds}")
    for name, values in choices.items():
        parser.add_argument(f"--{name}", nargs="+", choices=values, default=values, help="default all")
    parser.add_argument("--out", type=pathlib.Path, default=out, metavar="DIR", help="default bench/results")
    parser.add_argument(
        "--quick", action="store_true", help=f"{quick_rounds} rounds, shorter loops, to {size_text(quick_max_size)}"
    )
    options = parser.parse_args()
    options.max_size = options.max_size or (quick_max_size if options.quick else max_size)
    options.rounds = options.rounds or (quick_rounds if options.quick else rounds)
    if options.max_size < min_size:
        parser.error(f"--max-size is {options.max_size}, expected at least {min_size}")
    if options.rounds < 2:
        parser.error(f"--rounds is {options.rounds}, expected at least 2 (there are no quartiles of fewer)")
    return options


# --------------------------------------------------------------------------------------------------------- timing


def result(contender, namespace):
    """What a contender computes, run once."""
    if not contender.label.endswith(OUT):
        return eval(contender.statement, namespace)
    namespace["out"][...] = np.nan
    exec(contender.statement, namespace)
    return namespace["out"]


def check(contenders, namespace, agree, where):
    """Stop the benchmark unless all contenders agree with the first; the yardsticks only have to run."""
    first, *others = contenders
    expected = result(first, namespace)
    for contender in others:
        if contender.yardstick:
            exec(contender.statement, namespace)
        elif not agree(expected, result(contender, namespace)):
            raise SystemExit(f"{where}: {contender.label} does not compute what {first.label} does")


def loops(timer, clock, target):
    """How many calls take about `target` nanoseconds."""
    clock(timer, 1)
    count = 1
    while (taken := clock(timer, count)) < target / 4:
        count *= 4
    return max(1, round(count * target / taken))


def wall_clock(timer, count):
    return timer.timeit(count)


def interleave(contenders, namespace, rounds, target, clock=wall_clock, tick=lambda count: None, seconds=math.inf):
    """
    One row per contender: the median and the quartiles over the rounds of its nanoseconds per call.

    There are `rounds` of them, or fewer, but not fewer than FEWEST_ROUNDS, where they would take more than `seconds`.

    Every round times each contender once, in an order drawn afresh (a fixed order, rotated or not, would give each
    always the same predecessor and so the same state of the caches).  The loop is timeit's, so it holds the statement,
    the look-up of its names and some 10 ns of iteration, nothing of which is subtracted; gc is off meanwhile.
    """
    timers = [timeit.Timer(each.statement, timer=time.perf_counter_ns, globals=namespace) for each in contenders]
    counts = [loops(timer, clock, target) for timer in timers]
    taken = [[] for _ in contenders]
    order = list(range(len(contenders)))
    shuffle = random.Random(0).shuffle
    stop = time.monotonic() + seconds
    for done in range(1, rounds + 1):
        shuffle(order)
        for k in order:
            taken[k].append(clock(timers[k], counts[k]) / counts[k])
        tick(len(order))
        if done >= FEWEST_ROUNDS and time.monotonic() > stop:
            tick(len(order) * (rounds - done))
            break
    rows = []
    for contender, count, times in zip(contenders, counts, taken, strict=True):
        q1, median, q3 = (round(value, 1) for value in statistics.quantiles(times, n=4, method="inclusive"))
        rows.append(
            {
                "contender": contender.label,
                "statement": contender.statement,
                "median_ns": median,
                "q1_ns": q1,
                "q3_ns": q3,
                "rounds": done,
                "loops": count,
                "bytes": contender.bytes,
            }
        )
    return rows


# -------------------------------------------------------------------------------------------------------- figures


def select(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def rate(row):
    """Bytes that have to be moved per nanosecond, which is GB/s."""
    return row["bytes"] / row["median_ns"]


def figure(text, target, rows, ours, theirs, sizes):
    """The rate of `ours` in that of `theirs`, at the worst of the sizes.  A target of None: only for information."""
    rates = [{row["size"]: rate(row) for row in select(rows, **side)} for side in (ours, theirs)]
    ratios = {size: rates[0][size] / rates[1][size] for size in rates[0] if size in rates[1] and size in sizes}
    size = min(ratios, key=ratios.get, default=None)
    measured = ratios.get(size)
    return {
        "figure": text,
        "target": target,
        "measured": measured and round(measured, 3),
        "at_size": size,
        "met": None if measured is None or target is None else measured >= target,
    }


# --------------------------------------------------------------------------------------------------------- tables


def size_text(size):
    for factor, letter in ((1024**2, "M"), (1024, "K")):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{letter}"
    return str(size)


def time_text(ns):
    factor, unit = (1e6, "ms") if ns >= 1e6 else (1e3, "µs") if ns >= 1e3 else (1, "ns")
    value = ns / factor
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def ratio_text(ratio):
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"


def table(head, lines, left=1):
    """Markdown, padded so that a terminal shows it well; the first `left` columns are text."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    sides = ["<" if k < left else ">" for k in range(len(head))]

    rules = ["-" * (width - 1) + ("-" if side == "<" else ":") for side, width in zip(sides, widths, strict=True)]

    def line(cells):
        padded = (f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    return "\n".join(map(line, [head, rules, *lines]))


def times_table(rows):
    """Medians by size and contender, and in brackets how many times as long as ours (the first) that is."""
    labels = list(dict.fromkeys(row["contender"] for row in rows))
    lines = []
    for size in dict.fromkeys(row["size"] for row in rows):
        medians = {row["contender"]: row["median_ns"] for row in select(rows, size=size)}
        ours = medians[labels[0]]
        cells = [time_text(ours)]
        for label in labels[1:]:
            ns = medians.get(label)
            cells.append("" if ns is None else f"{time_text(ns)} ({ratio_text(ns / ours)})")
        lines.append([size_text(size), *cells])
    return table(["size", *labels], lines)


def figures_table(figures):
    lines = []
    for each in figures:
        measured = each["measured"]
        lines.append(
            [
                each["figure"],
                "-" if each["target"] is None else f"{each['target']:g}x",
                "not measured" if measured is None else f"{measured:.2f}x at {size_text(each['at_size'])}",
                {True: "met", False: "missed", None: "-"}[each["met"]],
            ]
        )
    return table(["how many times as fast, at the worst size", "target", "measured", "result"], lines)


# ---------------------------------------------------------------------------------------------------------- files


def cpu_model():
    """The processor's name; virtual machines often hide the model, which family and number then give away."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    first = dict(map(str.strip, line.split(":", 1)) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    if "model name" not in first:
        return platform.processor() or platform.machine()
    if "cpu family" not in first:
        return first["model name"]
    return f"{first['model name']} (family {first['cpu family']}, model {first['model']})"


def environment(**more):
    config = pyleaky.show_config(mode="dicts")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "os": platform.platform(),
        "python": platform.python_version(),
        "pyleaky": config["pyleaky"],
        "isa": config["ISA in use"],
        "numpy": np.__version__,
    } | more


def write_json(path, head, rows):
    """`head` indented, `rows` one to a line, so that two runs can be compared line by line."""
    text = json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
    path.write_text(f'{text},\n  "rows": [\n{lines}\n  ]\n}}\n', encoding="utf-8")


def base(label):
    return label.removesuffix(OUT)


def plot(path, title, panels):
    """A grid of panels, each (its title, rows, "throughput" or "speed-up"), sizes along the abscissa."""
    every_row = [row for line in panels for _, rows, _ in line for row in rows]
    names = sorted({base(row["contender"]) for row in every_row}, key=lambda name: (name != OURS, name))
    colours = dict(zip(names, COLOURS, strict=False))
    sizes = sorted({row["size"] for row in every_row})
    ticks = sizes[:: -(-len(sizes) // 7)]

    image = Figure(figsize=(4.6 * len(panels[0]), 4 * len(panels)), layout="constrained")
    image.suptitle(title)
    grid = image.subplots(len(panels), len(panels[0]), squeeze=False, sharex=True, sharey="row")
    for axes_line, line in zip(grid, panels, strict=True):
        for axes, (heading, rows, kind) in zip(axes_line, line, strict=True):
            labels = list(dict.fromkeys(row["contender"] for row in rows))
            own = {row["size"]: rate(row) for row in select(rows, contender=labels[0])}
            for label in labels:
                points = select(rows, contender=label)
                values = [own[row["size"]] / rate(row) if kind == "speed-up" else rate(row) for row in points]
                both = label.endswith(OUT) and base(label) in labels
                axes.plot(
                    [row["size"] for row in points],
                    values,
                    label=label,
                    color=colours.get(base(label)),
                    linestyle="--" if both else "-",
                    linewidth=2.2 if base(label) == OURS else 1.4,
                    marker="o",
                    markersize=3.5,
                )
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(ticks, [size_text(size) for size in ticks], minor=False)
            if kind == "speed-up":
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
            axes.grid(alpha=0.3)
            axes.set_title(heading)
            if kind == "throughput":
                axes.legend(fontsize="small", loc="lower right")
        axes_line[0].set_ylabel("GB/s" if line[0][2] == "throughput" else "time per byte relative to pyleaky's")
    for axes in grid[-1]:
        axes.set_xlabel("elements")
    image.savefig(path, dpi=100)
    # The plots are committed: 256 colours show the same in a third of the bytes.
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
