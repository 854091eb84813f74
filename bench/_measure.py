"""What the benchmarks share: interleaved timing, figures against their targets, tables, JSON and plots.

A contender is a Python statement; contenders of one group do the same job and are timed in turns.  Nothing here
knows a function, a peer or a device: run.py and gpu.py bring those, and the clock.
"""

import argparse
import datetime
import math
import os
import pathlib
import platform
import random
import statistics
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _results import add_output_options, ratio_text, size_text, table, time_text

import pyleaky

OURS = "pyleaky"
FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Contender:
    """
    label, statement : what is timed.
    bytes : how many it has to move.
    peer : whose it is, where that is not the label; contenders of one peer count as one, by the fastest.
    yardstick : it computes something else, a copy or a negation, so its result is not checked.
    has_out : it stores its result in `out`.
    to_numpy : makes an array of its result.
    setup : run before each timing, which then is of a single loop without others before it.
    calls : how many calls are in the statement.
    """

    label: str
    statement: str
    bytes: int
    peer: str
    yardstick: bool = False
    has_out: bool = False
    to_numpy: Callable = np.asarray
    setup: str | None = None
    calls: int = 1


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


def parse(description, *, choices, min_size, max_size, quick_max_size, rounds, quick_rounds, more=None):
    """
    The options; `choices` maps the name of an option that takes one or more values to all of these, the default.

    `more` maps the names of further ones to the arguments of add_argument.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-size", type=size_argument, help=f"largest array, default {size_text(max_size)}")
    parser.add_argument("--rounds", type=int, help=f"timings of each contender, default {rounds}")
    for name, values in choices.items():
        parser.add_argument(f"--{name}", nargs="+", choices=values, default=values, help="default all")
    for name, arguments in (more or {}).items():
        parser.add_argument(name, **arguments)
    add_output_options(parser, f"{quick_rounds} rounds, shorter loops, to {size_text(quick_max_size)}")
    options = parser.parse_args()
    options.max_size = options.max_size or (quick_max_size if options.quick else max_size)
    options.rounds = options.rounds or (quick_rounds if options.quick else rounds)
    if options.max_size < min_size:
        parser.error(f"--max-size is {options.max_size}, expected at least {min_size}")
    if options.rounds < 2:
        parser.error(f"--rounds is {options.rounds}, expected at least 2 (there are no quartiles of fewer)")
    return options


# --------------------------------------------------------------------------------------------------------- timing


def result(contender, names):
    """What a contender computes, run once."""
    if contender.has_out:
        names["out"][...] = names["start"]
        exec(contender.statement, names)
        return names["out"].copy()
    computed = eval(contender.statement, names)
    if isinstance(computed, tuple):
        return tuple(map(contender.to_numpy, computed))
    return contender.to_numpy(computed)


def check(contenders, names, agree, where):
    """Stop the benchmark unless all contenders agree with the first; the yardsticks only have to run."""
    first, *others = contenders
    expected = result(first, names)
    for contender in others:
        if contender.yardstick:
            exec(contender.statement, names)
        elif not agree(expected, result(contender, names)):
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


def settle():
    """Wait until no thread of this process spins: after a call OpenMP's do for some 5 ms, ONNX Runtime's for 40."""
    for _ in range(200):
        before = time.process_time_ns()
        time.sleep(0.001)
        if time.process_time_ns() - before < 300_000:
            break


def interleave(contenders, names, rounds, target, clock=wall_clock, seconds=math.inf, rest=lambda: None):
    """
    One row per contender: the median and the quartiles over the rounds of its nanoseconds per call.

    There are `rounds` of them, or fewer, but not fewer than FEWEST_ROUNDS, where they would take more than `seconds`.

    Every round times each contender once, in an order drawn afresh (a fixed order, rotated or not, would give each
    always the same predecessor and so the same state of the caches).  Between two contenders comes `rest`, and then an
    eighth of the calls untimed, at least one: it wakes the threads and leaves behind the memory of a dropped result.
    A single long call with `out` needs neither.  The loop is timeit's, so it holds the statement, the look-up of its
    names and some 10 ns of iteration, nothing of which is subtracted; gc is off meanwhile.
    """
    timers = [
        timeit.Timer(each.statement, each.setup or "pass", timer=time.perf_counter_ns, globals=names)
        for each in contenders
    ]
    counts = [
        loops(timer, clock, target) if each.setup is None else 1 for each, timer in zip(contenders, timers, strict=True)
    ]
    taken = [[] for _ in contenders]
    order = list(range(len(contenders)))
    shuffle = random.Random(0).shuffle
    stop = time.monotonic() + seconds
    for done in range(1, rounds + 1):
        shuffle(order)
        for k in order:
            rest()
            if contenders[k].setup is None and (counts[k] > 1 or not contenders[k].has_out):
                clock(timers[k], -(-counts[k] // 8))
            taken[k].append(clock(timers[k], counts[k]) / counts[k] / contenders[k].calls)
        if done >= FEWEST_ROUNDS and time.monotonic() > stop:
            break
    rows = []
    for contender, times in zip(contenders, taken, strict=True):
        q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
        about = {"contender": contender.label, "peer": contender.peer, "yardstick": contender.yardstick}
        rows.append(about | {"q1_ns": q1, "median_ns": median, "q3_ns": q3, "rounds": done, "bytes": contender.bytes})
    return rows


# -------------------------------------------------------------------------------------------------------- figures


def select(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def rate(row):
    """Bytes that have to be moved per nanosecond, which is GB/s."""
    return row["bytes"] / row["median_ns"]


def fastest(rows, **wanted):
    """By size, the fastest of the rows wanted."""
    by_size = {}
    for row in select(rows, **wanted):
        by_size.setdefault(row["size"], []).append(row)
    return {size: min(found, key=lambda row: row["median_ns"]) for size, found in by_size.items()}


def figure(text, target, ours, theirs):
    """The rate of `ours` in that of `theirs`, at the worst of the sizes.  A target of None: only for information."""
    ratios = {size: rate(ours[size]) / rate(theirs[size]) for size in ours if size in theirs}
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
                {True: "met", False: "**missed**", None: "-"}[each["met"]],
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
