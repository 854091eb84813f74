"""pyleaky.diagnostics: units and gradients against plain loops, what cannot be told, periods, reports, every error."""

import copy
import doctest
import json
import math
import pickle
import sys
import threading

import mpmath
import numpy as np
import pytest
from arrays import DTYPES, bfloat16, layouts

import pyleaky
from pyleaky import diagnostics
from pyleaky.diagnostics import GradientMonitor, UnitMonitor

mp = mpmath.mp.clone()
mp.dps = 40

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)

VERDICTS = ("never_positive", "dead", "rarely_active", "saturated")

# Name, parameter, the derivative where x <= 0, and what the library or anyone else computes.
ACTIVATIONS = [
    ("linear", None, lambda x: 1.0, lambda x: x),
    ("relu", None, lambda x: 0.0, pyleaky.relu),
    ("leaky_relu", None, lambda x: 0.01, pyleaky.leaky_relu),
    ("leaky_relu", 0.0, lambda x: 0.0, lambda x: pyleaky.leaky_relu(x, 0.0)),
    ("leaky_relu", 0.001, lambda x: 0.001, lambda x: pyleaky.leaky_relu(x, 0.001)),
    ("leaky_relu", -0.2, lambda x: -0.2, lambda x: pyleaky.leaky_relu(x, -0.2)),
    ("prelu", 0.25, lambda x: 0.25, lambda x: pyleaky.prelu(x, 0.25)),
    ("rrelu", (0.1, 0.3), lambda x: 0.2, lambda x: pyleaky.rrelu(x, 0.1, 0.3, seed=1)),
    ("elu", None, math.exp, pyleaky.elu),
    ("elu", 0.5, lambda x: 0.5 * math.exp(x), lambda x: pyleaky.elu(x, 0.5)),
    ("elu", -0.5, lambda x: -0.5 * math.exp(x), lambda x: pyleaky.elu(x, -0.5)),
    ("elu", 0, lambda x: 0.0, lambda x: pyleaky.elu(x, 0.0)),
    ("celu", 2.0, lambda x: math.exp(x / 2), lambda x: pyleaky.celu(x, 2.0)),
    ("selu", None, lambda x: pyleaky.SELU_SCALE * pyleaky.SELU_ALPHA * math.exp(x), pyleaky.selu),
    ("sigmoid", None, None, lambda x: (1 / (1 + np.exp(-x.astype(np.float64)))).astype(x.dtype)),
    ("tanh", None, None, lambda x: np.tanh(x.astype(np.float64)).astype(x.dtype)),
]
every_activation = pytest.mark.parametrize(("name", "param", "below", "function"), ACTIVATIONS)


def derivative(name, below, x, dtype):
    """At one number, rounded to the dtype once."""
    if name in ("sigmoid", "tanh"):
        exact = float(mp.sech(x) ** 2 if name == "tanh" else mp.sech(mp.mpf(x) / 2) ** 2 / 4)
    elif x > 0:
        exact = pyleaky.SELU_SCALE if name == "selu" else 1.0
    else:
        exact = below(x)
    return exact if name in ("leaky_relu", "prelu", "rrelu") else float(np.float64(exact).astype(dtype))


def expected_units(x, name, below, dtype, *, rare=0.01, saturation=0.01, share=0.99):
    """For x of shape (samples, units), each unit by itself, one number after another."""
    found = {key: [] for key in ("positive", *VERDICTS, "mean", "variance")}
    limit = saturation if name in ("leaky_relu", "prelu", "rrelu") else float(np.float64(saturation).astype(dtype))
    for unit in range(x.shape[1]):
        numbers = [float(number) for number in x[:, unit]]
        slopes = [derivative(name, below, number, dtype) for number in numbers]
        positive = sum(number > 0 for number in numbers) / len(numbers)
        flat = sum(abs(slope) < limit for slope in slopes) / len(numbers)
        found["positive"].append(positive)
        found["never_positive"].append(positive == 0)
        found["dead"].append(all(slope == 0 for slope in slopes))
        found["rarely_active"].append(0 < positive < rare)
        found["saturated"].append(flat >= share)
        mean = math.fsum(numbers) / len(numbers)
        found["mean"].append(mean)
        found["variance"].append(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))
    return found


def batch(dtype, samples=300):
    """Units that are mixed, negative, far below 0, mostly far below, rarely and almost always positive, far above."""
    rng = np.random.default_rng(0)
    far = {np.dtype(np.float64): 800.0}.get(np.dtype(dtype), 150.0)
    x = rng.normal(size=(samples, 8))
    x[:, 1] = -abs(x[:, 1]) - 0.1
    x[:, 2] = -far - abs(x[:, 2])
    x[:, 3] = -far
    x[0, 3] = -1
    x[:, 4] = -5 - abs(x[:, 4])
    x[:2, 4] = 1
    x[:, 5] = 6 + abs(x[:, 5])
    x[:, 6] = far
    x[:, 7] = 0
    return x.astype(dtype)


def units_of(monitor, place=0):
    return monitor.to_dict()["layers"][place]["units_of_last_period"]


def last(monitor, place=0):
    return monitor.to_dict()["layers"][place]["periods"][-1]


def assert_units(found, expected):
    for key in ("positive", "mean", "variance"):
        # The variance is a difference of moments, so it has the precision of the mean's square.
        absolute = 1e-13 * max(map(abs, expected["mean"])) ** 2 if key == "variance" else 1e-12
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-9, atol=absolute, err_msg=key)
    for key in VERDICTS:
        assert found[key] == expected[key], key


@every_activation
@every_dtype
def test_units_against_loops(xp, name, param, below, function, dtype):
    x = batch(dtype)
    monitor = UnitMonitor(name, param)
    for part in (x[:100], x[100:250], x[250:]):
        monitor.update("layer", xp.asarray(part))
    expected = expected_units(x, name, below, dtype)
    assert_units(units_of(monitor), expected)
    report = last(monitor)
    assert report["samples"] == 300
    for key in VERDICTS:
        assert report[key] == sum(expected[key]), key
    assert report["mean"] == pytest.approx(np.mean(x.astype(np.float64)), rel=1e-9)
    assert report["variance"] == pytest.approx(np.var(x.astype(np.float64)), rel=1e-9)
    assert report["nan"] == 0


@every_dtype
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
def test_axes_and_layouts(dtype, axis):
    flat = batch(dtype)
    base = np.moveaxis(flat.reshape(5, 4, 15, 8), -1, axis)
    expected = expected_units(flat, "elu", math.exp, dtype)
    for name, x in layouts(np.ascontiguousarray(base)):
        if name == "byte-swapped" and np.dtype(dtype).isbuiltin != 1:
            continue
        monitor = UnitMonitor("elu", axis=axis)
        monitor.update(name, x)
        assert_units(units_of(monitor), expected)
        monitor.update(name, x)  # the short way
        assert last(monitor)["samples"] == 600
        assert units_of(monitor)["dead"] == expected["dead"]


@every_dtype
@pytest.mark.parametrize("name", ["elu", "celu", "selu", "sigmoid", "tanh"])
def test_the_limits_of_the_derivative(name, dtype):
    """One unit for each number around the places where the derivative underflows, or falls below the limit."""
    numbers = diagnostics._Numbers(np.dtype(dtype))
    activation = diagnostics._Activation(name, None)
    for interval, _ in activation.intervals("x", np.dtype(dtype), 0.01)[1:]:
        places = [numbers.place(end) for end in interval if math.isfinite(end)]
        x = np.concatenate([numbers.at(place + step) for place in places for step in range(-30, 31)])
        monitor = UnitMonitor(name)
        monitor.update(0, x.reshape(1, -1))
        if name in ("sigmoid", "tanh"):
            slopes = np.array([derivative(name, None, float(number), dtype) for number in x])
        else:
            slopes = getattr(pyleaky, f"{name}_backward")(np.ones_like(x), x).astype(np.float64)
        assert units_of(monitor)["dead"] == (slopes == 0).tolist()
        assert units_of(monitor)["saturated"] == (slopes < float(np.float64(0.01).astype(dtype))).tolist()
        assert 0 < sum(units_of(monitor)["dead"]) + sum(units_of(monitor)["saturated"]) < 2 * len(x)


@every_activation
@every_dtype
def test_outputs_tell_what_x_tells_or_nothing(xp, name, param, below, function, dtype):
    x = batch(dtype)
    x = np.concatenate(
        [x, np.linspace(-9, 9, 300)[:, None].astype(dtype), np.full((300, 1), 1e-6).astype(dtype)], axis=1
    )
    by_x, by_output = UnitMonitor(name, param), UnitMonitor(name, param)
    by_x.update("layer", x)
    with np.errstate(over="ignore"):
        by_output.update("layer", output=xp.asarray(function(x)))
    expected, found = units_of(by_x), units_of(by_output)
    for key in ("positive", *VERDICTS):
        for one, other in zip(found[key], expected[key], strict=True):
            assert one is None or one == other, key
    if name in ("linear", "relu", "prelu", "rrelu") or (name == "leaky_relu" and (param is None or param >= 0)):
        assert all(found[key] == expected[key] for key in VERDICTS)
    if param is not None and name != "rrelu" and param < 0:  # the output is positive on both sides
        assert found["never_positive"] == [None] * 10
        assert "-" in by_output.summary().splitlines()[1].split()
    elif name != "sigmoid":
        assert found["never_positive"] == expected["never_positive"]
    if name == "elu" and param is None:
        assert found["dead"] == [False, False, None, False, False, False, False, False, False, False]
        assert last(by_output)["dead"] is None
    if name == "sigmoid" and dtype == np.float32:
        assert found["never_positive"][-1] is False
        assert found["dead"][6] is None  # sigmoid rounds to 1, the derivative is above 0


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_masks_tell_what_x_tells(xp, name):
    for shape, axis in [((300, 8), 1), ((8, 300), 0), ((10, 8, 30), 1), ((7, 3), -1)]:
        x = xp.asarray(batch(np.float32).reshape(-1)[: math.prod(shape)].reshape(shape))
        by_x, by_mask = UnitMonitor(name, axis=axis), UnitMonitor(name, axis=axis)
        for _ in range(2):
            _, mask = getattr(pyleaky, name)(x, return_mask=True)
            by_x.update("layer", x)
            by_mask.update("layer", mask=mask, shape=shape)
        for key in ("positive", *VERDICTS):
            assert units_of(by_mask)[key] == units_of(by_x)[key]
        assert units_of(by_mask)["mean"] == [None] * shape[axis]
        assert last(by_mask)["mean"] is last(by_mask)["variance"] is last(by_mask)["nan"] is None
        assert last(by_mask)["samples"] == last(by_x)["samples"]
        by_mask.update("layer", mask=np.zeros_like(pyleaky.relu(np.ones(shape), return_mask=True)[1]), shape=shape)
        assert last(by_mask)["samples"] * 2 == last(by_x)["samples"] * 3


def test_masks_of_curves():
    bits = np.array([[1, 1, 0], [1, 0, 0]], bool)
    mask = np.packbits(bits, bitorder="little")
    for name, dead in (("elu", [False, False, None]), ("tanh", [None] * 3)):
        monitor = UnitMonitor(name)
        monitor.update(0, mask=mask, shape=(2, 3))
        assert units_of(monitor)["positive"] == [1, 0.5, 0]
        assert units_of(monitor)["dead"] == dead


def test_never_positive_is_not_dead():
    x = -np.abs(np.random.default_rng(0).normal(size=(100, 4))).astype(np.float32)
    monitor = UnitMonitor()
    monitor.update("relu", x)
    monitor.update("leaky", x, activation="leaky_relu", param=0.1)
    monitor.update("negative slope", x, activation="leaky_relu", param=-0.1)
    monitor.update("slope 0", x, activation="leaky_relu", param=0)
    monitor.update("prelu", x, activation="prelu", param=np.array([0.1, 0, 0.001, -1], np.float32))
    monitor.update("rrelu", x, activation="rrelu", param=(0.0, 0.005))
    monitor.update("rrelu of both", x, activation="rrelu", param=[-0.1, 0.1])
    monitor.update("rrelu of 0", x, activation="rrelu", param=(0, 0))
    found = {layer["layer"]: layer["periods"][-1] for layer in monitor.to_dict()["layers"]}
    assert {report["never_positive"] for report in found.values()} == {4}
    assert [report["dead"] for report in found.values()] == [4, 0, 0, 4, 1, 0, 0, 4]
    assert [report["saturated"] for report in found.values()] == [4, 0, 0, 4, 2, 4, None, 4]
    params = [layer["param"] for layer in monitor.to_dict()["layers"]]
    assert params[:4] == [None, 0.1, -0.1, 0]
    assert params[4] == pytest.approx([0.1, 0, 0.001, -1])
    assert params[5:7] == [[0, 0.005], [-0.1, 0.1]]


def test_learned_weights_are_those_of_the_report(xp):
    x = xp.asarray(-np.ones((10, 3), np.float32))
    weights = xp.asarray(np.zeros(3, np.float32))
    monitor = UnitMonitor("prelu")
    monitor.update(0, x, param=weights)
    assert last(monitor)["dead"] == 3
    weights[:] = xp.asarray(np.array([0, 0.5, -0.5], np.float32))
    assert last(monitor)["dead"] == 1
    monitor.update(0, x, param=weights + 1)
    assert last(monitor)["dead"] == 0
    monitor.update(0, x, param=0.0)
    assert last(monitor)["dead"] == 3
    assert monitor.to_dict()["layers"][0]["param"] == 0
    by_output = UnitMonitor("prelu", weights)
    by_output.update(0, output=x)
    assert units_of(by_output)["never_positive"] == [True, True, None]
    assert units_of(by_output)["dead"] == [True, False, False]


def test_limits():
    x = -np.ones((200, 3))
    x[:2, 1] = 1  # 1% of the samples, which is not below it
    x[0, 2] = 1
    monitor = UnitMonitor(saturated_share=0.995)
    monitor.update(0, x)
    assert units_of(monitor)["rarely_active"] == [False, False, True]
    assert units_of(monitor)["saturated"] == [True, False, True]
    monitor = UnitMonitor("elu", saturation=0.5, rare=0)
    monitor.update(0, np.array([[-math.log(2) - 1e-9, -math.log(2) + 1e-9]]))
    assert units_of(monitor)["saturated"] == [True, False]
    for name in ("elu", "sigmoid"):
        for dtype in DTYPES:
            monitor = UnitMonitor(name, saturation=0)
            monitor.update(0, np.full((1, 2), -1000, dtype))
            assert last(monitor)["saturated"] == 0
            monitor = UnitMonitor(name, saturation=1e-30)
            monitor.update(0, np.full((1, 2), -1000, dtype))
            assert last(monitor)["saturated"] == 2
    monitor = UnitMonitor("sigmoid", saturation=0.5)  # more than its derivative anywhere
    monitor.update("x", np.zeros((4, 2)))
    monitor.update("output", output=np.full((4, 2), 0.5))
    assert last(monitor, 0)["saturated"] == last(monitor, 1)["saturated"] == 2


def test_nan_and_infinities():
    x = np.array([[np.nan, np.nan, 1, np.inf, -np.inf, -1]] * 3)
    x[0, 1] = 1
    monitor = UnitMonitor()
    for name in ("relu", "leaky_relu", "elu", "tanh"):
        monitor.update(name, x, activation=name)
    found = [monitor.to_dict()["layers"][place]["units_of_last_period"] for place in range(4)]
    for units in found:
        assert units["never_positive"] == [True, False, False, False, True, True]
        assert units["mean"] == [None, None, 1, None, None, -1]
    # As in pyleaky's backward functions, relu's derivative at NaN is 0, elu's is NaN.
    assert [units["dead"] for units in found] == [
        [True, False, False, False, True, True],
        [False] * 6,
        [False, False, False, False, True, False],
        [False, False, False, True, True, False],
    ]
    assert found[2]["saturated"] == [None, False, False, False, True, False]
    assert last(monitor)["nan"] == 2
    assert last(monitor)["mean"] is None
    assert "layer 'tanh': 2 of 6 units met a NaN" in monitor.summary()


def test_periods_and_revival():
    monitor = UnitMonitor()
    # Signs of three units in four periods: the first revives, the second twice, the third never.
    for signs in ([-1, -1, -1], [1, 1, -1], [-1, -1, -1], [1, -1, -1]):
        monitor.update("layer", np.array([signs, signs], float))
        monitor.end_period()
        monitor.end_period()  # without a sample: nothing is reported of it
    monitor.update("late", np.ones((5, 2)))
    found = monitor.to_dict()
    assert found["period"] == 8
    periods = found["layers"][0]["periods"]
    assert [one["period"] for one in periods] == [0, 2, 4, 6]
    assert [one["samples"] for one in periods] == [2] * 4
    assert [one["never_positive"] for one in periods] == [3, 1, 3, 2]
    assert [one["revived"] for one in periods] == [None, 2 / 3, 2 / 3, 2 / 3]
    assert units_of(monitor)["revived"] == [True, True, False]
    assert units_of(monitor)["positive"] == [1, 0, 0]
    assert [one["period"] for one in found["layers"][1]["periods"]] == [8]
    assert found["layers"][1]["periods"][0]["revived"] is None
    # The running period counts too, and starts from nothing.
    monitor.update("layer", np.ones((1, 3)))
    assert [one["samples"] for one in monitor.to_dict()["layers"][0]["periods"]] == [2, 2, 2, 2, 1]
    assert last(monitor)["revived"] == 1


def test_dtypes_and_devices_of_a_layer_may_change(cupy):
    monitor = UnitMonitor("elu")
    parts = [batch(dtype) for dtype in (np.float32, np.float16, bfloat16, np.float64)]
    for x in parts:
        for fed in (x, cupy.asarray(x), x, cupy.asarray(x)):
            monitor.update(0, fed)
    expected = [expected_units(x, "elu", math.exp, x.dtype) for x in parts]
    assert last(monitor)["samples"] == 4800
    for key in ("never_positive", "dead"):
        assert units_of(monitor)[key] == [all(column) for column in zip(*(one[key] for one in expected), strict=True)]


def test_numbers_of_units_and_samples():
    monitor = UnitMonitor(axis=0)
    for _ in range(2):
        monitor.update("no samples", np.ones((3, 0)))
        monitor.update(7, np.ones(3))
        monitor.update("another axis", np.ones((2, 3)), axis=1)
    monitor.update("another axis", np.ones((3, 5)))
    found = {layer["layer"]: layer for layer in monitor.to_dict()["layers"]}
    assert found["no samples"]["periods"] == []
    assert found["no samples"]["units_of_last_period"] == {}
    assert [found[7]["units"], found[7]["periods"][0]["samples"]] == [3, 2]
    assert found["another axis"]["periods"][0]["samples"] == 9
    assert "no samples" not in monitor.summary()
    assert UnitMonitor().summary().startswith("layer")


def test_summary():
    monitor = UnitMonitor("leaky_relu", 0.1)
    monitor.update("hidden", np.array([[-1.0, 2.0], [-3.0, 4.0]]))
    monitor.end_period()
    monitor.update("a longer name", output=np.array([[-1.0, 2.0], [-3.0, 4.0]]))
    header, hidden, longer, empty, *rest = monitor.summary().splitlines()
    assert header.split("  ")[0] == "layer"
    assert hidden.split() == ["hidden", "leaky_relu", "0", "2", "2", "1", "0", "0", "0", "-", "0.5", "7.25", "x"]
    assert longer.split()[3:] == ["leaky_relu", "1", "2", "2", "1", "0", "0", "0", "-", "0.5", "7.25", "output"]
    assert len(header) == len(longer.rstrip())
    assert empty == ""
    text = " ".join(rest)
    assert "Under a leaky activation a unit that is never positive is not dead" in text
    assert "below 0.01" in text


def test_json():
    monitor = UnitMonitor()
    x = np.array([[np.nan, 1.0], [np.inf, 2.0]], np.float16)
    monitor.update("x", x)
    monitor.update(1, output=x, activation="tanh")
    monitor.update("mask", mask=pyleaky.relu(x, return_mask=True)[1], shape=(2, 2), activation="selu")
    monitor.update("prelu", x, activation="prelu", param=np.array([0.1, 0.2], bfloat16))
    monitor.end_period()
    monitor.update("x", x)
    found = monitor.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    found["layers"][0]["periods"].clear()
    assert len(monitor.to_dict()["layers"][0]["periods"]) == 2


def test_plot():
    monitor = UnitMonitor()
    assert len(monitor.plot().axes) == 4
    for _ in range(3):
        monitor.update("relu", np.random.default_rng(0).normal(size=(40, 6)))
        monitor.update("elu", output=np.full((4, 6), -1.0), activation="elu")
        monitor.end_period()
    monitor.update("nothing", np.ones((0, 4)))
    figure = monitor.plot()
    assert [ax.get_title() for ax in figure.axes] == ["never positive", "dead", "saturated", "activity, last period"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["relu", "elu"]
    assert figure.axes[0].lines[0].get_xdata().tolist() == [0, 1, 2]
    assert figure.axes[0].lines[1].get_ydata().tolist() == [1, 1, 1]
    assert np.isnan(figure.axes[1].lines[1].get_ydata()).all()
    figure.canvas.draw()


# ---------------------------------------------------------------------------------------------- threads, copies


@pytest.fixture
def switching_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*works):
    """Run functions at once; what one of them raises is raised."""
    start, errors = threading.Barrier(len(works)), []

    def run(work):
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("kind", ["x", "output", "mask", "other dtypes", "first calls"])
def test_threads_that_feed_one_monitor_lose_nothing(switching_often, kind):
    x = np.random.default_rng(0).normal(size=(6000, 32)).astype(np.float32)  # so many that the GIL is released
    small, mask = x[:4], pyleaky.relu(x, return_mask=True)[1]
    monitor, alone = UnitMonitor(), UnitMonitor()
    rounds = 60 if kind == "first calls" else 250

    def feed(monitor, rounds=rounds):
        for turn in range(rounds):
            layer = turn if kind == "first calls" else turn % 2
            if kind == "mask":
                monitor.update(layer, mask=mask, shape=x.shape)
            elif kind == "output":
                monitor.update(layer, output=small)
                monitor.update(layer, output=x)
            else:
                monitor.update(layer, x)
                monitor.update(layer, small.astype(np.float64) if kind == "other dtypes" else small)

    def report():
        for _ in range(3):
            monitor.summary()
            monitor.to_dict()

    in_threads(*[lambda: feed(monitor)] * 4, report)
    for _ in range(4):
        feed(alone)
    for layer in range(2):
        assert last(monitor, layer)["samples"] == last(alone, layer)["samples"]
        for key in ("positive", *VERDICTS):
            assert units_of(monitor, layer)[key] == units_of(alone, layer)[key]
        if kind != "mask":
            np.testing.assert_allclose(units_of(monitor, layer)["mean"], units_of(alone, layer)["mean"], atol=1e-12)


def test_periods_that_end_while_threads_feed(switching_often):
    x = np.ones((6000, 32), np.float32)
    monitor = UnitMonitor()
    done = threading.Event()

    def feed():
        for _ in range(60):
            monitor.update("hidden", x)
        done.set()

    def close():
        while not done.is_set():
            monitor.end_period()
            monitor.summary()

    in_threads(feed, feed, close)
    assert sum(period["samples"] for period in monitor.to_dict()["layers"][0]["periods"]) == 2 * 60 * 6000


def test_threads_that_feed_one_gradient_monitor(switching_often):
    monitor = GradientMonitor()
    rounds = 500

    def feed(norm):
        for turn in range(rounds):
            grads = {"a": np.array([norm]), "b": np.array([norm, 0.0])}
            monitor.update(grads, *([grads] if turn % 50 == 0 else []))

    def report():
        for _ in range(20):
            monitor.summary()
            assert len({len(one["gradient"]) for one in monitor.to_dict()["parameters"]}) <= 1

    in_threads(*(lambda norm=norm: feed(norm) for norm in (1.0, 2.0, 3.0, 4.0)), report)
    found = monitor.to_dict()
    assert found["steps"] == 4 * rounds
    for parameter in found["parameters"]:
        assert sorted(parameter["gradient"]) == sorted([1.0, 2.0, 3.0, 4.0] * rounds)
        assert len(parameter["ratio"]) == 4 * rounds
    assert found["parameters"][0]["gradient"] == found["parameters"][1]["gradient"]


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda monitor: pickle.loads(pickle.dumps(monitor))}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_monitors_count_by_themselves(kind):
    x = batch(np.float32)
    units, grads = UnitMonitor("elu"), GradientMonitor()
    for number in (1, 2):
        units.update("hidden", x)
        units.update("mask", mask=MASK, shape=(4, 3))
        units.update("prelu", x, activation="prelu", param=np.full(8, 0.1))
        if number == 1:
            units.end_period()
        grads.update({"a": x, "b": x[0]})
    reports = units.to_dict(), grads.to_dict()
    other_units, other_grads = COPIES[kind](units), COPIES[kind](grads)
    assert (other_units.to_dict(), other_grads.to_dict()) == reports
    for _ in range(3):  # the first goes the long way, the others the short one
        other_units.update("hidden", -x)
        other_grads.update({"a": x, "b": x[0]})
    assert (units.to_dict(), grads.to_dict()) == reports
    again = UnitMonitor("elu")
    again.update("hidden", x)
    for _ in range(3):
        again.update("hidden", -x)
    assert units_of(other_units)["positive"] == units_of(again)["positive"]
    assert last(other_units)["samples"] == 4 * len(x)
    assert last(other_units)["mean"] == pytest.approx(last(again)["mean"], rel=1e-12)
    assert other_grads.to_dict()["steps"] == 5


# ------------------------------------------------------------------------------------------------ errors of UnitMonitor

X = np.ones((4, 3), np.float32)
MASK = pyleaky.relu(X, return_mask=True)[1]
KNOWN = "'linear', 'relu', 'leaky_relu', 'prelu', 'rrelu', 'sigmoid', 'tanh', 'elu', 'celu', 'selu'"


BAD_MONITORS = [
    (lambda: UnitMonitor("swish"), ValueError, f"activation must be one of {KNOWN}, got 'swish'"),
    (lambda: UnitMonitor(None), TypeError, "activation must be one of .*, got NoneType"),
    (lambda: UnitMonitor("relu", 0.1), TypeError, r"relu has no parameter, got param=0\.1"),
    (lambda: UnitMonitor("leaky_relu", np.nan), ValueError, "param, the negative slope, must be finite, got nan"),
    (lambda: UnitMonitor("celu", -1), ValueError, r"param, alpha, must be positive for celu, got -1\.0"),
    (lambda: UnitMonitor("rrelu", 0.1), TypeError, r"param must be rrelu's \(lower, upper\), got 0\.1"),
    (lambda: UnitMonitor("lrelu"), ValueError, "did you mean 'leaky_relu'"),
    (lambda: UnitMonitor(axis=True), TypeError, "axis must be an integer, got bool"),
    (lambda: UnitMonitor(axis=1.0), TypeError, "axis must be an integer, got float"),
    (lambda: UnitMonitor(rare=2), ValueError, r"rare must be in \[0, 1\], got 2\.0"),
    (lambda: UnitMonitor(saturation=-1), ValueError, r"saturation must be in \[0, 1\], got -1\.0"),
    (lambda: UnitMonitor(saturated_share="1"), TypeError, "saturated_share must be a number, got str"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_MONITORS)
def test_bad_monitors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# For layers "x" (relu), "output" (leaky_relu, 0.2), "mask" (relu) and "prelu", each of 3 units, and new ones.
BAD_UPDATES = [
    (("x",), {}, TypeError, "update takes exactly one of x, output and mask, got none"),
    (("x", X), {"output": X}, TypeError, "update takes exactly one of x, output and mask, got x and output"),
    (("x", X), {"mask": MASK, "shape": (4, 3)}, TypeError, "exactly one of .*, got x and mask"),
    (("new", X), {"shape": (4, 3)}, TypeError, r"mask and shape go together, got x and shape=\(4, 3\)"),
    (("mask",), {"mask": MASK}, TypeError, "mask and shape go together, got mask and shape=None"),
    (("mask",), {"mask": MASK[:1], "shape": (4, 3)}, ValueError, r"mask has 1 bytes, but shape \(4, 3\) needs 2"),
    (("new",), {"mask": MASK.astype(int), "shape": (4, 3)}, TypeError, "mask must be an array of uint8"),
    (("new",), {"mask": [1, 2], "shape": (4, 3)}, TypeError, "mask must be a NumPy or CuPy array, got list"),
    (("x",), {"output": X}, ValueError, "layer 'x' was fed with x before, got output"),
    (("output", X), {}, ValueError, "layer 'output' was fed with output before, got x"),
    (("x",), {"mask": MASK, "shape": (4, 3)}, ValueError, "layer 'x' was fed with x before, got mask"),
    (("x", X.T), {}, ValueError, r"x of shape \(3, 4\) has 4 units along axis 1, layer 'x' has 3"),
    (("mask",), {"mask": MASK, "shape": (3, 4)}, ValueError, r"mask of shape \(3, 4\) has 4 units along axis 1, .* 3"),
    (("x", X), {"axis": 0}, ValueError, r"x of shape \(4, 3\) has 4 units along axis 0, layer 'x' has 3"),
    (("new", X), {"axis": 2}, ValueError, r"axis is 2, out of range for x of shape \(4, 3\)"),
    (("new", X), {"axis": -3}, ValueError, r"axis is -3, out of range for x of shape \(4, 3\)"),
    (("new", X[0]), {}, ValueError, r"axis is 1, out of range for x of shape \(3,\)"),
    (("new", X), {"axis": "1"}, TypeError, "axis must be an integer, got str"),
    (("new", X[:, :0]), {}, ValueError, r"axis 1 of x is that of the units and has none: the shape is \(4, 0\)"),
    (("new", X.tolist()), {}, TypeError, "x must be a NumPy or CuPy array, got list"),
    (("new", np.ma.array(X)), {}, TypeError, "x must be a NumPy or CuPy array, got MaskedArray"),
    (("x", X.astype(int)), {}, TypeError, "x has dtype int64, expected float16, .*"),
    (("new",), {"output": X.astype(complex)}, TypeError, "output has dtype complex128, expected float16, .*"),
    (("new", X), {"activation": "swish"}, ValueError, f"activation must be one of {KNOWN}, got 'swish'"),
    (("x", X), {"activation": "elu"}, ValueError, "layer 'x' has activation 'relu', got 'elu'"),
    (("output",), {"output": X, "param": 0.3}, ValueError, r"layer 'output' has param 0\.2, got 0\.3"),
    (("output",), {"output": X, "param": "a"}, TypeError, "param, the negative slope, must be a number, got str"),
    (("new", X), {"activation": "elu", "param": np.inf}, ValueError, "param, alpha, must be finite, got inf"),
    (("new", X), {"activation": "prelu"}, TypeError, "prelu needs its weights"),
    (("prelu", X), {"param": np.ones(4)}, ValueError, "param, prelu's weights, has 4 numbers, expected 1 or 3"),
    (("new", X), {"activation": "prelu", "param": np.ones(2)}, ValueError, "weights, has 2 numbers, expected 1 or 3"),
    ((None, X), {}, TypeError, "layer must be a string or an integer, got NoneType"),
    ((["x"], X), {}, TypeError, "layer must be a string or an integer, got list"),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD_UPDATES)
def test_bad_updates(arguments, options, error, message):
    monitor = UnitMonitor()

    def feed():
        monitor.update("x", X)
        monitor.update("output", output=X, activation="leaky_relu", param=0.2)
        monitor.update("mask", mask=MASK, shape=(4, 3))
        monitor.update("prelu", X, activation="prelu", param=np.ones(3))

    feed()
    before = monitor.to_dict()
    with pytest.raises(error, match=message):
        monitor.update(*arguments, **options)
    assert monitor.to_dict() == before
    feed()  # as if nothing had happened
    assert [layer["periods"][0]["samples"] for layer in monitor.to_dict()["layers"]] == [8] * 4


def test_equal_activations_may_be_given_again():
    monitor = UnitMonitor("leaky_relu", 0.2)
    for _ in range(2):
        monitor.update(0, X, activation="leaky_relu")
        monitor.update(0, X, param=float("0.2"))
        monitor.update(0, X, activation="leaky_relu", param=np.float64(0.2), axis=-1)
        monitor.update(1, X, activation="rrelu", param=[0.1, 0.3])
        monitor.update(1, X, param=(0.1, 0.3))
        monitor.update(2, X, activation="relu")
    assert [layer["periods"][0]["samples"] for layer in monitor.to_dict()["layers"]] == [24, 16, 8]
    assert [layer["param"] for layer in monitor.to_dict()["layers"]] == [0.2, [0.1, 0.3], None]


# ---------------------------------------------------------------------------------------------------- GradientMonitor


def gradients_of(monitor, place=0):
    return monitor.to_dict()["parameters"][place]


@every_dtype
def test_norms_and_ratios(xp, dtype):
    rng = np.random.default_rng(0)
    monitor = GradientMonitor()
    expected = {"gradient": [], "ratio": [], "update_ratio": []}
    for _ in range(4):
        grad, weight, change = (rng.normal(size=(7, 9)).astype(dtype) for _ in range(3))
        arrays = [{"weight": xp.asarray(array), "bias": xp.asarray(array[0])} for array in (grad, weight, change)]
        monitor.update(arrays[0], arrays[1], updates=arrays[2])
        norms = [math.sqrt(math.fsum(float(one) ** 2 for one in array[0])) for array in (grad, weight, change)]
        expected["gradient"].append(norms[0])
        expected["ratio"].append(norms[0] / norms[1])
        expected["update_ratio"].append(norms[2] / norms[1])
    found = gradients_of(monitor, 1)
    assert found["name"] == "bias"
    assert found["size"] == 9
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-12)
    assert gradients_of(monitor, 0)["name"] == "weight"


def test_what_is_told_at_some_steps_only(xp):
    grads, params = [xp.asarray(np.array([3.0, 4.0]))], [xp.asarray(np.array([0.0, 10.0]))]
    monitor = GradientMonitor()
    monitor.update(grads)
    monitor.update(grads, params)
    monitor.update(grads, params, 0.1)
    monitor.update(grads)
    found = gradients_of(monitor)
    assert found["name"] == "0"
    assert found["gradient"] == [5] * 4
    assert found["ratio"] == [None, 0.5, 0.5, None]
    assert found["update_ratio"] == [None, None, pytest.approx(0.05), None]
    zeros = [xp.asarray(np.zeros(2))]
    monitor.update(grads, zeros, updates=zeros)  # a fresh bias
    assert gradients_of(monitor)["ratio"][-1] is None
    assert monitor.to_dict()["steps"] == 5


def test_none_is_no_gradient(xp):
    """As the gradient of a weight that is frozen at first, for some steps, or for good."""
    array = xp.asarray(np.array([3.0, 4.0]))
    weights = {"late": array, "paused": array, "frozen": array}
    monitor = GradientMonitor()
    for late, paused in ((None, array), (None, None), (array, None), (array, array)):
        grads = {"late": late, "paused": paused, "frozen": None}
        monitor.update(grads, weights, updates=weights)
    monitor.update({"late": array, "paused": array, "frozen": None})
    late, paused, frozen = monitor.to_dict()["parameters"]
    assert late["gradient"] == [None, None, 5, 5, 5]
    assert paused["gradient"] == [5, None, None, 5, 5]
    assert frozen["gradient"] == [None] * 5
    assert late["update_ratio"] == [None, None, 1, 1, None]
    assert [one["size"] for one in (late, paused, frozen)] == [2, 2, None]
    flags = [(one["exploding_at"], one["vanishing_at"]) for one in (late, paused, frozen)]
    assert flags == [(None, None)] * 3
    lines = monitor.summary().splitlines()
    assert lines[1].split()[1:6] == ["5", "5", "5", "5", "5"]
    assert lines[3].split() == ["frozen", "5", "-", "-", "-", "-", "-", "-", "-", "-"]
    monitor.plot()
    everything_frozen = GradientMonitor()
    everything_frozen.update([None])
    everything_frozen.update([None])
    assert everything_frozen.to_dict()["steps"] == 2
    with pytest.raises(TypeError, match=r"^params\['late'\] must be a NumPy or CuPy array, got NoneType"):
        monitor.update({**weights, "frozen": None}, {**weights, "late": None})
    assert monitor.to_dict()["steps"] == 5


def test_squares_beyond_float64_at_every_step():
    monitor = GradientMonitor()
    for _ in range(3):
        monitor.update({"weight": np.full(4, 1e300), "bias": np.full(4, 1e-300)})
    norms = [parameter["gradient"] for parameter in monitor.to_dict()["parameters"]]
    np.testing.assert_allclose(norms, [[2e300] * 3, [2e-300] * 3], rtol=1e-15)


def test_norms_of_a_device_are_fetched_together(cupy, monkeypatch):
    monkeypatch.setattr(diagnostics, "_HELD", 3)
    monitor = GradientMonitor()
    for step in range(10):
        monitor.update([cupy.asarray(np.array([float(step)]))])
    monitor.update([np.array([10.0])])  # on the host, for once
    assert gradients_of(monitor)["gradient"] == list(range(11))


def test_gradients_and_parameters_of_different_devices(cupy):
    host = [np.array([3.0, 4.0]), np.zeros(2)]
    device = [cupy.asarray(array) for array in host]
    monitor = GradientMonitor()
    for grads, params in ((host, device), (device, host), (device, device)):
        monitor.update(grads, params, 0.5)
    assert gradients_of(monitor, 0)["update_ratio"] == [0.5] * 3
    assert gradients_of(monitor, 1)["update_ratio"] == [None] * 3


def test_layouts_of_gradients():
    base = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    exact = math.sqrt(math.fsum(float(one) ** 2 for one in base.ravel()))
    for name, grad in layouts(base):
        monitor = GradientMonitor()
        monitor.update({name: grad})
        assert gradients_of(monitor)["gradient"] == pytest.approx([exact], rel=1e-12)


def test_flags():
    monitor = GradientMonitor(exploding=100, vanishing=1e-3)
    rows = {
        "explodes": [1, 1000, 1],
        "vanishes": [1, 1, 1e-4],
        "nan": [1, np.nan, np.nan],
        "inf": [np.inf, 1, 1],
        "fine": [100, 1e-3, 1],
        "large": [1e200, 1, 1],
    }
    for step in range(3):
        grads = {name: np.array([values[step], 0.0]) for name, values in rows.items()}
        monitor.update({**grads, "empty": np.ones((0, 4))})
    found = {one["name"]: (one["exploding_at"], one["vanishing_at"]) for one in monitor.to_dict()["parameters"]}
    assert found == {
        "explodes": (2, None),
        "vanishes": (None, 3),
        "nan": (2, None),
        "inf": (1, None),
        "fine": (None, None),
        "large": (1, None),
        "empty": (None, None),
    }
    assert gradients_of(monitor, 5)["gradient"][0] == pytest.approx(1e200)
    assert gradients_of(monitor, 2)["gradient"] == [1, None, None]
    lines = monitor.summary().splitlines()
    assert lines[1].split() == ["explodes", "3", "1", "1", "1e+03", "1", "-", "-", "2", "-"]
    assert lines[3].split() == ["nan", "3", "1", "1", "nan", "nan", "-", "-", "2", "-"]
    assert lines[4].split() == ["inf", "3", "inf", "1", "inf", "1", "-", "-", "1", "-"]
    assert "exploding: above 100 or not finite.  vanishing: below 0.001." in monitor.summary()
    found = monitor.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_an_overflow_is_an_explosion():
    monitor = GradientMonitor()
    monitor.update([np.full(1000, 1.7e308)])
    assert gradients_of(monitor)["gradient"] == [None]
    assert gradients_of(monitor)["exploding_at"] == 1


def test_plot_of_gradients():
    monitor = GradientMonitor()
    figure = monitor.plot()
    assert [ax.get_title() for ax in figure.axes] == ["norm of the gradient", "gradient / weight"]
    for step in range(5):
        grads = {"weight": np.full(3, 10.0**step), "bias": np.zeros(2)}
        monitor.update(grads, {"weight": np.ones(3), "bias": np.ones(2)}, 0.1 if step else None)
    figure = monitor.plot()
    assert [ax.get_title() for ax in figure.axes] == ["norm of the gradient", "update / weight"]
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["weight", "bias"]
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5]
    figure.canvas.draw()


def test_summary_without_a_step():
    assert len(GradientMonitor().summary().splitlines()) == 4
    assert GradientMonitor().to_dict()["parameters"] == []


W = np.ones((2, 3))
BAD_GRADIENTS = [
    ((W,), {}, TypeError, "grads must be a dict or a list of arrays, got ndarray"),
    (({"a": W},), {}, ValueError, r"grads has 1 arrays \(a\), the steps before had 2 arrays \(a, b\)"),
    (({"a": W, "c": W},), {}, ValueError, r"grads has 2 arrays \(a, c\), the steps before had 2 arrays \(a, b\)"),
    (([W, W],), {}, ValueError, r"grads has 2 arrays \(0, 1\), the steps before had 2 arrays \(a, b\)"),
    (({"a": W, "b": [1.0]},), {}, TypeError, r"grads\['b'\] must be a NumPy or CuPy array, got list"),
    (({"a": W, "b": W.astype(int)},), {}, TypeError, r"grads\['b'\] has dtype int64, expected float16, "),
    (({"a": W, "b": W}, {"a": W}), {}, ValueError, r"params has 1 arrays \(a\), expected 2 arrays \(a, b\)"),
    (
        ({"a": W, "b": W}, {"a": W, "b": W.T}),
        {},
        ValueError,
        r"params\['b'\] has shape \(3, 2\), grads\['b'\] has \(2, 3\)",
    ),
    (({"a": W, "b": W}, W), {}, TypeError, "params must be a dict or a list of arrays, got ndarray"),
    (
        ({"a": W, "b": W}, {"a": W, "b": W}),
        {"updates": {"a": W, "b": W[0]}},
        ValueError,
        r"updates\['b'\] has shape \(3,\), grads\['b'\] has \(2, 3\)",
    ),
    (({"a": W, "b": W}, {"a": W, "b": W}, "x"), {}, TypeError, "learning_rate must be a number, got str"),
    (({"a": W, "b": W}, {"a": W, "b": W}, 1j), {}, TypeError, "learning_rate must be a number, got complex"),
    (({"a": W, "b": W}, {"a": W, "b": W}, np.inf), {}, ValueError, "learning_rate must be finite, got inf"),
    (({"a": W, "b": W}, {"a": W, "b": W}, 10**400), {}, ValueError, "learning_rate must be in the range of float64"),
    (({"a": W, "b": W}, {"a": W, "b": W}, -1), {}, ValueError, r"learning_rate must be at least 0, got -1\.0"),
    (({"a": W, "b": W}, None, 0.1), {}, TypeError, "learning_rate needs params, got none"),
    (({"a": W, "b": W},), {"updates": {"a": W, "b": W}}, TypeError, "updates needs params, got none"),
    (
        ({"a": W, "b": W}, {"a": W, "b": W}, 0.1, {"a": W, "b": W}),
        {},
        TypeError,
        "update takes learning_rate or updates, got both",
    ),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD_GRADIENTS)
def test_bad_gradients(arguments, options, error, message):
    monitor = GradientMonitor()
    monitor.update({"a": W, "b": W})
    before = monitor.to_dict()
    with pytest.raises(error, match=message):
        monitor.update(*arguments, **options)
    assert monitor.to_dict() == before
    monitor.update({"b": W, "a": W})
    assert monitor.to_dict()["steps"] == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"exploding": "1"}, TypeError, "exploding must be a number, got str"),
        ({"exploding": np.inf}, ValueError, "exploding must be finite, got inf"),
        (
            {"vanishing": -1},
            ValueError,
            r"vanishing must be from 0 to exploding, got vanishing=-1\.0, exploding=1000\.0",
        ),
        ({"vanishing": 2, "exploding": 1}, ValueError, r"vanishing must be from 0 to exploding, got vanishing=2\.0, "),
    ],
)
def test_bad_limits_of_gradients(options, error, message):
    with pytest.raises(error, match=message):
        GradientMonitor(**options)


def test_examples_in_docstrings():
    found = doctest.testmod(diagnostics)
    assert found.attempted >= 40
    assert found.failed == 0
