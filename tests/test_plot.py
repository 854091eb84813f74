"""pyleaky.plot_activations: the curves against the formulas, gaps, the band of rrelu, every error; what shows it."""

import doctest
import gc
import importlib.util
import pickle
import subprocess
import sys
import types
import weakref

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import pyleaky
from pyleaky import _plot, diagnostics

ALL = ("relu", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu")
SCALE, ALPHA = pyleaky.SELU_SCALE, pyleaky.SELU_ALPHA

# Below 0: the function and its derivative, from the papers, for the parameters of test_curves.
BELOW = {
    "relu": (lambda x: 0 * x, lambda x: 0 * x),
    "leaky_relu": (lambda x: 0.2 * x, lambda x: 0.2 + 0 * x),
    "prelu": (lambda x: 0.25 * x, lambda x: 0.25 + 0 * x),
    "rrelu": (lambda x: 0.3 * x, lambda x: 0.3 + 0 * x),
    "elu": (np.expm1, np.exp),
    "celu": (lambda x: 0.5 * np.expm1(x / 0.5), lambda x: np.exp(x / 0.5)),
    "selu": (lambda x: SCALE * ALPHA * np.expm1(x), lambda x: SCALE * ALPHA * np.exp(x)),
}


def test_curves():
    params = {"leaky_relu": 0.2, "rrelu": (0.1, 0.5), "celu": 0.5}
    figure = pyleaky.plot_activations(ALL, low=-4, high=2, params=params)
    assert isinstance(figure, Figure)
    left, right = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["f(x)", "f'(x)"]
    assert [ax.get_xlim() for ax in figure.axes] == [(-4, 2)] * 2
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "relu",
        "leaky_relu, slope 0.2",
        "prelu, weight 0.25",
        "rrelu, slopes 0.1 to 0.5",
        "elu, alpha 1",
        "celu, alpha 0.5",
        "selu",
    ]
    for name, f, derivative in zip(ALL, left.lines, right.lines, strict=True):
        x, scale = f.get_xdata(), SCALE if name == "selu" else 1
        assert [x.min(where=x == x, initial=9), x.max(where=x == x, initial=-9)] == [-4, 2]
        below, above = x <= 0, x > 0
        for line, expected, positive in zip((f, derivative), BELOW[name], (scale * x, scale + 0 * x), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), x)
            np.testing.assert_allclose(line.get_ydata()[below], expected(x[below]), rtol=1e-14, atol=1e-15)
            np.testing.assert_allclose(line.get_ydata()[above], positive[above], rtol=1e-14)
            # Nothing joins the two sides, of which 0 is in the left one.
            (gap,) = np.flatnonzero(np.isnan(x))
            assert x[gap - 1] == 0 < x[gap + 1]
    figure.canvas.draw()
    assert figure.get_facecolor() == left.get_facecolor() == (1, 1, 1, 1)


def test_the_band_of_rrelu():
    figure = pyleaky.plot_activations(["rrelu"], params={"rrelu": [0.1, 0.5]})
    for ax, ends in zip(figure.axes, ([-1.5, -0.3], [0.1, 0.5]), strict=True):
        (band,) = ax.collections
        points = np.concatenate([path.vertices for path in band.get_paths()])
        at_low = points[points[:, 0] == -3][:, 1]
        assert [at_low.min(), at_low.max()] == pytest.approx(ends)
    assert not pyleaky.plot_activations(["relu"]).axes[0].collections


def test_defaults():
    left, _ = pyleaky.plot_activations().axes
    texts = [text.get_text() for text in left.get_legend().get_texts()]
    assert [text.split(",")[0] for text in texts] == ["relu", "leaky_relu", "prelu", "elu", "celu", "selu"]
    assert texts[1:3] == ["leaky_relu, slope 0.01", "prelu, weight 0.25"]
    assert len({line.get_color() for line in left.lines}) == 6


@pytest.mark.parametrize(("low", "high"), [(0.5, 2), (0, 2), (-2, 0), (-2, -1)])
def test_one_side_only(low, high):
    figure = pyleaky.plot_activations(["elu"], low=low, high=high)
    x = figure.axes[0].lines[0].get_xdata()
    assert not np.isnan(x).any()
    assert [x[0], x[-1]] == pytest.approx([low, high])
    figure.canvas.draw()


def test_nothing_to_draw():
    figure = pyleaky.plot_activations([])
    assert len(figure.axes) == 2
    assert figure.axes[0].get_legend() is None


BAD = [
    ((["swish"],), {}, ValueError, "names must be of 'relu', .*, 'selu', got 'swish'"),
    ((["relu", None],), {}, ValueError, "names must be of .*, got None"),
    (("relu",), {}, TypeError, "names must be a sequence of names, got the string 'relu'"),
    ((), {"low": "a"}, TypeError, "low must be a number, got str"),
    ((), {"high": np.inf}, ValueError, "high must be finite, got inf"),
    ((), {"low": 3}, ValueError, r"low must be below high, got 3\.0 and 3\.0"),
    ((), {"params": 0.1}, TypeError, "params must be a dict of parameters by name, got float"),
    (
        (),
        {"params": {"rrelu": (0, 1)}},
        ValueError,
        "params has 'rrelu', which is not among names: 'relu', 'leaky_relu'",
    ),
    ((), {"params": {"relu": 1.0}}, TypeError, r"relu has no parameter, got param=1\.0"),
    ((), {"params": {"leaky_relu": "a"}}, TypeError, "param, the negative slope, must be a number, got str"),
    ((), {"params": {"prelu": [0.1, 0.2]}}, TypeError, r"params\['prelu'\] must be a number, got list"),
    ((), {"params": {"celu": 0}}, ValueError, r"param, alpha, must be positive for celu, got 0\.0"),
    ((["rrelu"],), {"params": {"rrelu": (1, 0)}}, ValueError, "lower must not be above upper"),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        pyleaky.plot_activations(*arguments, **options)


def unit_monitor():
    monitor = diagnostics.UnitMonitor()
    monitor.update("hidden", np.ones((4, 3)))
    return monitor


def gradient_monitor():
    monitor = diagnostics.GradientMonitor()
    monitor.update({"bias": np.ones(4)})
    return monitor


# Every public function that gives a figure.
DRAW = {
    "plot_activations": pyleaky.plot_activations,
    "UnitMonitor": lambda: unit_monitor().plot(),
    "GradientMonitor": lambda: gradient_monitor().plot(),
}
every_figure = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


@every_figure
def test_without_matplotlib(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"plots need Matplotlib: pip install pyleaky\[examples\]"):
        draw()


def test_what_is_imported():
    code = """
import sys, numpy, pyleaky, pyleaky.diagnostics
print("matplotlib" in sys.modules)
pyleaky.plot_activations().canvas.draw()
print("matplotlib.pyplot" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


# ---------------------------------------------------------------------------------------------- notebooks and windows


def size_of(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


@every_figure
def test_a_notebook_displays_the_figure(draw):
    figure = draw()
    picture = figure._repr_png_()
    assert size_of(picture) == pytest.approx(figure.get_size_inches() * figure.dpi, abs=1)
    if importlib.util.find_spec("IPython"):
        from IPython.core.formatters import DisplayFormatter

        assert DisplayFormatter().format(figure)[0]["image/png"] == picture
    assert type(pickle.loads(pickle.dumps(figure))) is type(figure)
    assert pyplot.get_fignums() == []


@pytest.fixture
def windows(monkeypatch):
    """A backend whose windows are closed at once where Matplotlib waits for that: the list of what they show."""
    shown = []

    class Manager(FigureManagerBase):
        def show(self):
            shown.append(self.canvas.figure)

        @classmethod
        def start_main_loop(cls):
            pyplot.close("all")

    class FigureCanvas(FigureCanvasAgg):
        manager_class = Manager

    backend = types.ModuleType("backend_of_the_test")
    backend.FigureCanvas = FigureCanvas
    monkeypatch.setitem(sys.modules, backend.__name__, backend)
    before = pyplot.get_backend()
    pyplot.switch_backend(f"module://{backend.__name__}")
    yield shown
    pyplot.close("all")
    pyplot.switch_backend(before)


@every_figure
def test_a_script_shows_the_figure_in_a_window(draw, windows):
    figure, other = draw(), draw()
    figure.show()
    assert windows == [figure]
    assert pyplot.get_fignums() == []  # its window was closed
    figure.show()
    other.show()
    assert windows == [figure, figure, other]


def test_a_prompt_shows_the_figure_once(windows):
    figure = pyleaky.plot_activations()
    with pyplot.ion():  # nothing waits
        figure.show()
        figure.show()
    assert len(pyplot.get_fignums()) == 1
    assert set(windows) == {figure}


@every_figure
def test_without_a_display_the_message_names_savefig(draw):
    before = pyplot.get_backend()
    pyplot.switch_backend("agg")
    try:
        with pytest.warns(UserWarning, match=r"cannot be shown \(.*'agg' opens no windows\); .*figure\.savefig"):
            draw().show()
        draw().show(warn=False)
    finally:
        pyplot.switch_backend(before)
    assert pyplot.get_fignums() == []


def test_a_backend_that_cannot_be_loaded_is_named(monkeypatch):
    def refuse(**_):
        raise ImportError("Cannot load backend 'TkAgg'")

    monkeypatch.setattr(pyplot, "figure", refuse)
    monkeypatch.setattr("matplotlib.get_backend", lambda: "TkAgg")
    with pytest.warns(UserWarning, match=r"cannot be shown \(Cannot load backend 'TkAgg'\); .*savefig"):
        pyleaky.plot_activations().show()


@every_figure
def test_a_loop_that_plots_leaks_no_figure(draw):
    alive = []
    for _ in range(2):
        figure = draw()
        figure.set(layout_engine="none", dpi=20)  # quicker
        figure._repr_png_()
        figure.show(warn=False)
        alive.append(weakref.ref(figure))
    del figure
    gc.collect()
    assert [reference() for reference in alive] == [None] * 2
    assert pyplot.get_fignums() == []


def test_examples_in_docstrings():
    found = doctest.testmod(_plot)
    assert found.attempted >= 3
    assert found.failed == 0
