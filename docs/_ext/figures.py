"""Figures drawn while the site is built, once for light pages and once for dark ones.

`activation-figure` is pyleaky.plot_activations for one function, `roofline` the throughput in a JSON file that
bench/run.py has written beside that of a copy, and `scraper` takes pyleaky's own figures out of the gallery's
examples.  To add a figure, write a directive that gives `Themed.panels` the functions which draw its parts.
"""

import json
from functools import partial
from pathlib import Path
from weakref import WeakSet

import matplotlib
from docutils import nodes
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import LogLocator, NullFormatter
from sphinx.util.docutils import SphinxDirective
from sphinx_gallery.scrapers import figure_rst

import pyleaky
from pyleaky._plot import _CURVES

# The theme's text and grey on its light and dark backgrounds; the lines' colours are told apart by the colour-blind
# (Okabe and Ito), black and yellow left out, which one of the backgrounds swallows.
INK = {"light": ("#222832", "#d1d5da"), "dark": ("#ced6dd", "#48566b")}
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
LIGHTER = ["#56B4E9", "#FF8A3D", "#2FC79A", "#E39BC6", "#F2BE54", "#9AD4F5"]

# What is worth seeing: with leaky_relu's own 0.01 the line could not be told from relu's.
PARAMETERS = {"leaky_relu": 0.2}


def style(theme):
    ink, grid = INK[theme]
    return {
        "axes.edgecolor": grid,
        "axes.facecolor": "none",
        "axes.labelcolor": ink,
        "axes.prop_cycle": matplotlib.cycler(color=COLOURS if theme == "light" else LIGHTER),
        "axes.titlecolor": ink,
        "grid.color": grid,
        "legend.edgecolor": grid,
        "legend.facecolor": "none",
        "svg.hashsalt": "pyleaky",  # the same names in every build
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
    }


class Themed(SphinxDirective):
    """A directive whose figures are drawn twice; the theme's CSS hides one of the two."""

    def panels(self, name, panels):
        """A box of pictures, side by side where there is room, from (text for who sees none, function that draws)."""
        folder = Path(self.env.srcdir) / "drawn"
        folder.mkdir(exist_ok=True)
        box = nodes.container(classes=["drawn"])
        for place, (alternative, draw) in enumerate(panels):
            for theme in INK:
                path = folder / f"{name}-{place}-{theme}.svg"
                with matplotlib.rc_context(style(theme)):
                    figure = draw()
                    figure.set_facecolor("none")
                    for axes in figure.axes:
                        axes.grid(color=INK[theme][1], linewidth=0.6)
                    figure.savefig(path, metadata={"Date": None})
                box += nodes.image(uri=f"/drawn/{path.name}", alt=alternative, classes=[f"only-{theme}"])
        return [box]


class ActivationFigure(Themed):
    required_arguments = 1

    def run(self):
        name = self.arguments[0]
        alternatives = (f"{name} from -3 to 3", f"the derivative of {name} from -3 to 3")
        return self.panels(name, [(text, partial(activation, name, k)) for k, text in enumerate(alternatives)])


def activation(name, place):
    """One half of plot_activations: the function, or its derivative."""
    figure = pyleaky.plot_activations([name], params={name: PARAMETERS[name]} if name in PARAMETERS else None)
    figure.delaxes(figure.axes[1 - place])
    figure.axes[0].set_subplotspec(GridSpec(1, 1, figure=figure)[0])
    figure.set_size_inches(3.8, 2.9)
    return figure


class Roofline(Themed):
    """Throughput of forward functions, float32, `out` given, over the array's size, beside the fastest copy's."""

    required_arguments = 1

    def run(self):
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        jobs = [
            job
            for job in json.loads(Path(path).read_text())["jobs"]
            if (job["direction"], job["dtype"], job["mode"]) == ("forward", "float32", "out") and job["size"] >= 4096
        ]
        panels = []
        for threads in sorted({job["threads"] for job in jobs}):
            title = f"{threads} thread{'s' * (threads > 1)}"
            alternative = f"GB/s of {', '.join(ROOFED)} and of a copy over the number of elements, {title}"
            panels.append((alternative, partial(roofline, [job for job in jobs if job["threads"] == threads], title)))
        return self.panels(f"roofline-{Path(path).stem}", panels)


ROOFED = ("leaky_relu", "prelu", "elu", "selu")
COPIES = ("np.copyto", "Tensor.copy_")


def roofline(jobs, title):
    lines = {"copy": {}}
    for job in jobs:
        size, medians = job["size"], {label: quartiles[1] for label, quartiles in job["ns"].items()}
        for time in [medians[copy] for copy in COPIES if copy in medians]:
            lines["copy"][size] = min(time, lines["copy"].get(size, time))
        if job["function"] in ROOFED:
            lines.setdefault(job["function"], {})[size] = medians["pyleaky"]
    figure = Figure(figsize=(4.4, 3.9), layout="constrained")
    axes = figure.subplots()
    for label, times in lines.items():
        sizes = sorted(times)
        rates = [2 * 4 * size / times[size] for size in sizes]  # 4 bytes read and 4 written for each element
        dashed = {"color": matplotlib.rcParams["text.color"], "linestyle": "--"} if label == "copy" else {"marker": "o"}
        axes.plot(sizes, rates, label=label, linewidth=2, markersize=4, **dashed)
    axes.set_xscale("log", base=2)
    axes.set_xticks([2**power for power in (12, 14, 16, 18, 20, 22, 24, 26)])
    axes.set_xticklabels(["4K", "16K", "64K", "256K", "1M", "4M", "16M", "64M"])
    axes.set(yscale="log", ylim=(4, 250), xlabel="elements", ylabel="GB/s, read and written", title=title)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", ncols=3, fontsize="small")
    return figure


_SEEN = WeakSet()


def scraper(block, block_vars, gallery_conf):
    """Figures that an example has made without pyplot, as pyleaky's own are, each after the block that made it."""
    managed = [pyplot.figure(number) for number in pyplot.get_fignums()]  # Sphinx-Gallery's own scraper takes these
    paths = []
    for value in block_vars["example_globals"].values():
        if isinstance(value, Figure) and value not in _SEEN:
            _SEEN.add(value)
            if value not in managed:
                paths.append(next(block_vars["image_path_iterator"]))
                value.savefig(paths[-1], dpi=100)
    return figure_rst(paths, gallery_conf["src_dir"])


def add_figure(app, what, name, function, options, lines):
    """Put the figure of an activation between what its docstring says and the parameters."""
    package, _, activation = name.removesuffix("_backward").rpartition(".")
    if package == "pyleaky" and activation in _CURVES and ":Parameters:" in lines:
        place = lines.index(":Parameters:")
        lines[place:place] = [f".. activation-figure:: {activation}", ""]


def setup(app):
    app.add_directive("activation-figure", ActivationFigure)
    app.add_directive("roofline", Roofline)
    app.connect("autodoc-process-docstring", add_figure, priority=600)  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
