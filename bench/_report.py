"""What run.py tells of its rows: the figures against their targets, the Markdown report and the plots."""

import itertools

from _functions import DTYPES, FUNCTIONS, K, M
from _measure import OURS, fastest, figure, figures_table, select, times_table
from _peers import DIRECTIONS, FIRST, FRESH, IN_PLACE, KEPT, OUT, versions
from _plot import plot, speed_up, throughput
from _results import ratio_text, size_text, table, time_text

MODE_TEXT = {FRESH: "fresh result", OUT: "result stored in out", IN_PLACE: "in place"}


def values(rows, key):
    """Those that occur, in order of appearance."""
    return list(dict.fromkeys(row[key] for row in rows))


def thread_counts(rows):
    return sorted(values(rows, "threads"))


def thread_text(threads):
    return "1 thread" if threads == 1 else f"{threads} threads"


def describe(about):
    """The machine and the libraries."""
    libraries = [f"{name} {about[name]}" for name in ("numpy", *versions()) if about[name]]
    return " · ".join([about["cpu"], f"pyleaky {about['pyleaky']} ({about['isa']})", *libraries, about["date"][:10]])


def figures(rows):
    reached = []
    for threads, (function, entry) in itertools.product(thread_counts(rows), FUNCTIONS.items()):
        for each in entry.figures:
            for dtype in each.dtypes:
                job = {"function": function, "direction": each.direction, "dtype": dtype, "mode": each.mode}
                group = select(rows, **job, threads=threads)
                group = [row for row in group if each.smallest <= row["size"] <= each.largest]
                if group:
                    sizes = " to ".join(size_text(size) for size in dict.fromkeys((each.smallest, each.largest)))
                    text = f"{', '.join(job.values())}, {sizes}: than {each.rival}"
                    sides = [fastest(group, peer=peer) for peer in (OURS, each.rival)]
                    reached.append({"threads": threads} | figure(text, each.target, *sides))
    return reached


# ----------------------------------------------------------------------------------------------------------- tables


def summary(rows):
    """A line for each function, direction, dtype and number of threads: ns per element, and times as fast as each."""
    peers = [peer for peer in values(rows, "peer") if peer != OURS]
    lines = []
    for job in itertools.product(FUNCTIONS, DIRECTIONS, DTYPES, thread_counts(rows)):
        about = dict(zip(("function", "direction", "dtype", "threads"), job, strict=True))
        group = select(rows, **about)
        if group:
            medians = {
                row["peer"]: row["median_ns"]
                for peer in values(group, "peer")
                for row in fastest(group, peer=peer).values()
            }
            ratios = [ratio_text(medians[peer] / medians[OURS]) if peer in medians else "-" for peer in peers]
            lines.append([*map(str, job), f"{medians[OURS] / group[0]['size']:.3f}", *ratios])
    return table(["function", "direction", "dtype", "threads", "ns/element", *peers], lines, left=3)


def untouched(rows):
    """Time per call by what becomes of a result."""
    peers = values(rows, "peer")
    lines = []
    for size, mode, threads in itertools.product(values(rows, "size"), (FRESH, FIRST, KEPT), thread_counts(rows)):
        found = [fastest(rows, peer=peer, mode=mode, threads=threads).get(size) for peer in peers]
        cells = [time_text(row["median_ns"]) if row else "-" for row in found]
        lines.append([size_text(size), mode, str(threads), *cells])
    return table(["size", "result", "threads", *peers], lines, left=2)


def scaling(rows):
    """How many times as fast as with one thread."""
    counts = [threads for threads in thread_counts(rows) if threads > 1]
    peers = [peer for peer in values(rows, "peer") if select(rows, peer=peer, threads=counts[-1])]
    lines = []
    for function, direction, size in dict.fromkeys((row["function"], row["direction"], row["size"]) for row in rows):
        group = select(rows, function=function, direction=direction, size=size)
        for threads in counts:
            cells = []
            for peer in peers:
                one, many = (fastest(group, peer=peer, threads=count).get(size) for count in (1, threads))
                cells.append(ratio_text(one["median_ns"] / many["median_ns"]) if one and many else "-")
            lines.append([function, direction, size_text(size), str(threads), *cells])
    return table(["function", "direction", "size", "threads", *peers], lines, left=2)


def report(about, rows, reached):
    """Markdown."""
    parts = [f"# {describe(about)}"]
    for threads in thread_counts(reached):
        parts.append(f"## Figures, {thread_text(threads)}\n\n{figures_table(select(reached, threads=threads))}")

    leaky = select(rows, function="leaky_relu", dtype="float32")
    never_used = {row["size"] for row in leaky if row["mode"] in (FIRST, KEPT)}
    if never_used:
        text = "fresh: the one before is dropped; first: in memory never used before; kept: so, and eight are kept."
        group = [row for row in select(leaky, direction="forward") if row["size"] in never_used]
        parts.append(f"## Large results of leaky_relu, forward\n\nTime per call. {text}\n\n{untouched(group)}")

    for mode, size in itertools.product((OUT, FRESH, IN_PLACE), (64 * K, M, 16 * M)):
        group = select(rows, mode=mode, size=size)
        if group:
            heading = f"## {size_text(size)} elements, {MODE_TEXT[mode]}"
            parts.append(f"{heading}\n\nHow many times as fast as each of the others.\n\n{summary(group)}")

    large = [row for row in select(rows, mode=OUT, dtype="float32") if row["size"] >= 64 * K]
    if len(thread_counts(large)) > 1 and 1 in thread_counts(large):
        parts.append(f"## Scaling with threads\n\nHow many times as fast as with one thread.\n\n{scaling(large)}")

    for direction, mode, threads in itertools.product(DIRECTIONS, (FRESH, OUT), thread_counts(leaky)):
        group = select(leaky, direction=direction, mode=mode, threads=threads)
        if group:
            heading = f"## leaky_relu, float32, {direction}, {MODE_TEXT[mode]}, {thread_text(threads)}"
            parts.append(f"{heading}\n\nIn brackets: time relative to pyleaky's.\n\n{times_table(group)}")
    return "\n\n".join(parts) + "\n"


# ------------------------------------------------------------------------------------------------------------ plots


def draw(path, about, rows):
    """A column for each way to call; throughput for each number of threads, and the speed-up with all of them."""
    ways = (("forward", FRESH), ("forward", OUT), ("backward", OUT))
    counts = thread_counts(rows)
    panels = []
    for kind, threads in [*((throughput, count) for count in counts), (speed_up, counts[-1])]:
        copies = select(rows, peer="copy", direction="forward", threads=threads)
        groups = [select(rows, direction=direction, mode=mode, threads=threads) for direction, mode in ways]
        groups = [group if select(group, peer="copy") else group + copies for group in groups]
        headings = [f"{direction}, {MODE_TEXT[mode]}, {thread_text(threads)}" for direction, mode in ways]
        panels.append([(heading, group, kind) for heading, group in zip(headings, groups, strict=True)])
    plot(path, f"{rows[0]['function']}, {rows[0]['dtype']}\n{describe(about)}", panels)
