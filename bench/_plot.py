"""The plots: throughput over size, log-log, with the copy as a line, and the speed-up over each peer as bars."""

import textwrap

from _measure import OURS, fastest, rate, select
from _results import size_text
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

# Okabe and Ito's palette, which the colour-blind can tell apart; yardsticks are grey.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")


def throughput(axes, rows, styles):
    for peer, style in styles.items():
        points = {size: rate(row) for size, row in sorted(fastest(rows, peer=peer).items())}
        if points:
            axes.plot(points.keys(), points.values(), label=peer, markersize=3.5, **style)
    sizes = sorted({row["size"] for row in rows})
    ticks = sizes[:: -(-len(sizes) // 7)]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [size_text(size) for size in ticks], minor=False)
    axes.set_yscale("log")
    axes.set_ylabel("GB/s")


def speed_up(axes, rows, styles):
    ours = fastest(rows, peer=OURS)
    sizes = [size for size in sorted(ours) if size >= 4096]
    sizes = sizes[:: max(1, -(-len(sizes) // 5))]
    peers = [peer for peer in dict.fromkeys(row["peer"] for row in select(rows, yardstick=False)) if peer != OURS]
    width = 0.8 / max(1, len(peers))
    for k, peer in enumerate(peers):
        theirs = fastest(rows, peer=peer)
        bars = {n: rate(ours[size]) / rate(theirs[size]) for n, size in enumerate(sizes) if size in theirs}
        places = [n + (k - (len(peers) - 1) / 2) * width for n in bars]
        # From 1 up or down: how much faster or slower.
        axes.bar(places, [bar - 1 for bar in bars.values()], width, 1, label=peer, color=styles[peer]["color"])
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.set_xticks(range(len(sizes)), [size_text(size) for size in sizes])
    axes.set_ylabel("times as fast as")


def plot(path, title, panels):
    """A grid of panels, each (its heading, rows, throughput or speed_up)."""
    every_row = [row for line in panels for _, rows, _ in line for row in rows]
    yardstick = {row["peer"]: row["yardstick"] for row in every_row}
    plain = iter(COLOURS)
    styles = {}
    for peer, grey in yardstick.items():
        if peer == OURS:
            styles[peer] = {"color": "black", "linewidth": 2.2, "marker": "o"}
        elif grey:
            styles[peer] = {"color": "grey", "linestyle": "--" if peer == "copy" else ":", "linewidth": 2}
        else:
            styles[peer] = {"color": next(plain), "linewidth": 1.4, "marker": "o"}

    image = Figure(figsize=(4.6 * len(panels[0]), 3.4 * len(panels)), layout="constrained")
    image.suptitle("\n".join(textwrap.fill(line, 130) for line in title.splitlines()))
    grid = image.subplots(len(panels), len(panels[0]), squeeze=False, sharey="row")
    for axes_line, line in zip(grid, panels, strict=True):
        for axes, (heading, rows, draw) in zip(axes_line, line, strict=True):
            draw(axes, rows, styles)
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3)
            axes.set_title(heading)
        for axes in axes_line[1:]:
            axes.set_ylabel("")
    for axes in grid[-1]:
        axes.set_xlabel("elements")
    lines = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
    handles = [lines[peer] for peer in styles if peer in lines]
    image.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    image.savefig(path, dpi=100)
    # The plots are committed: 256 colours show the same in a third of the bytes.
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
