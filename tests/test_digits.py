"""examples/digits.py: its gradients against finite differences, what it prints and draws, and the accuracy it promises.

The pieces of the example are tested through the module, what a user sees through `main`.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import has_gpu

import pyleaky

pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
pytest.importorskip("matplotlib", reason="the example draws with matplotlib")
pytest.importorskip("tqdm", reason="the example shows its progress with tqdm")


def example(name):
    path = Path(__file__).resolve().parents[1] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


digits, serve = example("digits"), example("serve")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "digits.png"


def printed(capsys):
    return capsys.readouterr().out.splitlines()


# ------------------------------------------------------------------------------------------------------ the gradients


def small_network(activation, slope):
    """A network in float64 with a few samples, nothing in it zero and no activation's input near the kink."""
    rng = np.random.default_rng(1)
    network = digits.Network(np, (6, 5, 4, 3), activation, slope, rng, dtype=np.float64)
    for parameter in network.parameters:
        parameter += rng.normal(0, 0.1, parameter.shape)
    images, labels = rng.normal(0, 1, (7, 6)), rng.integers(0, 3, 7)
    sums = np.concatenate([part.ravel() for part in network.forward(images)[2]])
    assert np.abs(sums).min() > 1e-3
    assert (sums > 0).any()
    assert (sums < 0).any()
    return network, images, labels


def gradient_error(activation, slope, step=1e-5):
    """The largest difference between the network's gradients and central differences, over all parameters."""
    network, images, labels = small_network(activation, slope)
    _, gradients = network.loss_and_gradients(images, labels)
    worst = 0.0
    for parameter, gradient in zip(network.parameters, gradients, strict=True):
        assert gradient.shape == parameter.shape
        for index in np.ndindex(parameter.shape):
            kept = parameter[index]
            losses = []
            for shifted in (kept + step, kept - step):
                parameter[index] = shifted
                losses.append(network.loss_and_gradients(images, labels)[0])
            parameter[index] = kept
            worst = max(worst, abs((losses[0] - losses[1]) / (2 * step) - gradient[index]))
    return worst


# Rounding gives 1e-11 and truncation less; the broken functions below are off by 1e-3 or more.
TOLERANCE = 1e-8


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        ("relu", 0.0),
        ("leaky_relu", 0.01),
        ("leaky_relu", 0.3),
        ("leaky_relu", -0.5),
        ("prelu", 0.25),
        ("elu", 0.0),
        ("celu", 0.0),
        ("selu", 0.0),
        ("identity", 1.0),
    ],
)
def test_gradients_agree_with_finite_differences(activation, slope):
    assert gradient_error(activation, slope) < TOLERANCE


@pytest.mark.parametrize(
    "broken",
    [
        lambda grad, x, negative_slope: grad,
        lambda grad, x, negative_slope: np.where(x > 0, grad, 0),
        lambda grad, x, negative_slope: np.where(x > 0, grad, -negative_slope * grad),
        lambda grad, x, negative_slope: np.where(x < 0, grad, negative_slope * grad),
    ],
    ids=["slope of 1", "slope of 0", "wrong sign", "wrong side"],
)
def test_a_broken_leaky_relu_backward_is_seen(monkeypatch, broken):
    monkeypatch.setattr(pyleaky, "leaky_relu_backward", broken)
    assert gradient_error("leaky_relu", 0.01) > 1000 * TOLERANCE


def test_a_broken_relu_backward_is_seen(monkeypatch):
    monkeypatch.setattr(pyleaky, "relu_backward", lambda grad, x: grad)
    assert gradient_error("relu", 0.0) > 1000 * TOLERANCE


@pytest.mark.parametrize("activation", ["elu", "celu", "selu"])
@pytest.mark.parametrize(
    "broken",
    [lambda grad, x: grad, lambda grad, x: np.where(x > 0, grad, 0), lambda grad, x: np.where(x > 0, grad, x * grad)],
    ids=["slope of 1", "slope of 0", "no exponential"],
)
def test_a_broken_exponential_backward_is_seen(monkeypatch, activation, broken):
    monkeypatch.setattr(pyleaky, f"{activation}_backward", broken)
    assert gradient_error(activation, 0.0) > 1000 * TOLERANCE


@pytest.mark.parametrize("activation", digits.SLOPES)
def test_weights_keep_the_variance_of_the_signal(activation):
    network = digits.Network(np, (400, 400, 10), activation, digits.SLOPES[activation], np.random.default_rng(0))
    # He et al. for relu and its like, LeCun et al. for selu and where nothing bends.
    variance = {"selu": 1, "identity": 1, "prelu": 2 / (1 + 0.25**2)}.get(activation, 2) / 400
    assert network.weights[0].var() == pytest.approx(variance, rel=0.02)


def test_selu_normalises_the_signal_layer_by_layer():
    rng = np.random.default_rng(0)
    network = digits.Network(np, (300,) * 17 + (10,), "selu", digits.SLOPES["selu"], rng)
    _, inputs, _ = network.forward(rng.normal(0.5, 1.5, (500, 300)).astype(np.float32))
    assert abs(inputs[0].var() - 1) > 1
    assert abs(inputs[-1].mean()) < 0.2
    assert abs(inputs[-1].var() - 1) < 0.2


@pytest.mark.parametrize("part", [0, 1], ids=["dx", "dweight"])
def test_a_broken_prelu_backward_is_seen(monkeypatch, part):
    right = pyleaky.prelu_backward

    def broken(grad, x, weight):
        results = list(right(grad, x, weight))
        results[part] = 1.1 * results[part]
        return tuple(results)

    monkeypatch.setattr(pyleaky, "prelu_backward", broken)
    assert gradient_error("prelu", 0.25) > 1000 * TOLERANCE


# ------------------------------------------------------------------------------------------------------- the training


def test_the_split_is_a_stratified_fifth_and_nothing_is_in_both_parts():
    data = digits.load_data(np, seed=3)
    assert len(data.train_labels) == len(data.train_images) == 1437
    assert len(data.test_labels) == len(data.test_images) == len(data.pictures) == 360
    assert data.train_images.dtype == data.test_images.dtype == np.float32
    for label in range(10):
        count = (data.train_labels == label).sum() + (data.test_labels == label).sum()
        assert abs((data.test_labels == label).sum() - count / 5) < 1
    train_rows = {row.tobytes() for row in data.train_images}
    assert train_rows.isdisjoint(row.tobytes() for row in data.test_images)
    np.testing.assert_allclose(data.train_images.mean(axis=0), 0, atol=1e-6)
    assert not np.array_equal(data.test_labels, digits.load_data(np, seed=4).test_labels)


@pytest.mark.parametrize("activation", digits.SLOPES)
def test_a_short_run_learns_prints_and_draws(activation, capsys, out):
    digits.main(["--epochs", "3", "--activation", activation, "--out", str(out)])
    lines = printed(capsys)
    numbers = r" *([\d.]+)%, loss [\d.]+"
    for epoch, line in enumerate(lines[:3], start=1):
        match = re.fullmatch(rf"epoch {epoch}/3   train accuracy{numbers}   test accuracy{numbers}", line)
        assert match, line
    train_accuracy, test_accuracy = map(float, match.groups())
    assert train_accuracy > 93
    assert test_accuracy > 90
    assert re.fullmatch(rf"test accuracy {test_accuracy:.2f}% with {activation}, seed 0, [\d.]+ s", lines[3])
    assert lines[-1] == f"saved {out}"
    assert out.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    from matplotlib.image import imread

    pixels = imread(out)
    assert min(pixels.shape[:2]) > 500
    assert len(np.unique(pixels)) > 50


def test_prelu_prints_its_weights_and_they_have_moved(capsys, out):
    digits.main(["--epochs", "2", "--activation", "prelu", "--negative-slope", "0.5", "--out", str(out)])
    text = capsys.readouterr().out
    assert "PReLU weights after training from 0.5, seed 0:" in text
    layers = re.findall(r"hidden layer \d: from (\S+) to (\S+), mean (\S+)\n\[([^]]*)\]", text)
    assert len(layers) == len(digits.HIDDEN)
    for units, (lowest, highest, mean, listed) in zip(digits.HIDDEN, layers, strict=True):
        weights = np.array(listed.split(), dtype=float)
        assert len(weights) == units
        assert (weights.min(), weights.max()) == (float(lowest), float(highest))
        assert weights.mean() == pytest.approx(float(mean), abs=0.01)
        assert np.mean(weights != 0.5) > 0.5
        assert len(np.unique(weights)) > 5


def test_the_slope_is_used():
    losses = [
        digits.run(np, "leaky_relu", slope, 1, 0, lambda history: None).history[0].train_loss for slope in (0.0, 0.5)
    ]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("activation", ["leaky_relu", "prelu"])
def test_equal_seeds_give_equal_bits(activation):
    runs = [digits.run(np, activation, 0.2, 2, seed, lambda history: None) for seed in (5, 5, 6)]
    first, second, other = (result.network.parameters for result in runs)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    assert runs[0].history == runs[1].history
    assert all(a.dtype == np.float32 for a in first)
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_ten_seeds_reach_the_promised_mean_and_beat_the_identity(capsys, out):
    digits.main(["--seeds", "10", "--out", str(out)])
    lines = printed(capsys)
    scores = r"test accuracy leaky_relu ([\d.]+)%, identity ([\d.]+)%"
    rows = [re.fullmatch(rf"seed {seed}: {scores}", line) for seed, line in enumerate(lines[:10])]
    means = re.fullmatch(rf"mean of 10 seeds: {scores}", lines[10])
    leaky, identity = map(float, means.groups())
    np.testing.assert_allclose(
        np.mean([[float(score) for score in row.groups()] for row in rows], axis=0), [leaky, identity], atol=0.01
    )
    assert leaky >= 97.5
    assert leaky > identity
    assert out.exists()


def test_seeds_with_the_identity_alone(capsys, out):
    digits.main(["--seeds", "1", "--activation", "identity", "--epochs", "1", "--out", str(out)])
    assert re.fullmatch(r"mean of 1 seeds: test accuracy identity [\d.]+%", printed(capsys)[1])


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # NumPy's own, on the way to the message
def test_a_diverging_training_stops_with_a_message(out):
    with pytest.raises(SystemExit, match=r"diverged in epoch 1.*nearer to 0"):
        digits.main(["--negative-slope", "1e4", "--out", str(out)])
    assert not out.exists()


@pytest.mark.skipif(not has_gpu(), reason="no GPU")
@pytest.mark.parametrize("activation", digits.SLOPES)
def test_cupy_learns_the_same(activation, out):
    cupy = pytest.importorskip("cupy")
    on_gpu, on_cpu = (
        digits.run(xp, activation, digits.SLOPES[activation], 2, 0, lambda history: None) for xp in (cupy, np)
    )
    assert all(isinstance(parameter, cupy.ndarray) for parameter in on_gpu.network.parameters)
    # Matrix products differ in their last bits, and a few hundred steps let that grow.
    assert on_gpu.history[-1].train_loss == pytest.approx(on_cpu.history[-1].train_loss, rel=0.02)
    digits.draw(on_gpu, out)
    assert out.exists()


# -------------------------------------------------------------------------------------------------- the saved weights


@pytest.mark.parametrize("activation", digits.SLOPES)
def test_what_is_saved_answers_as_what_was_trained(activation, tmp_path):
    path = tmp_path / "weights"  # which stays without a suffix
    trained = digits.run(np, activation, digits.SLOPES[activation], 1, 3, lambda history: None)
    before = [parameter.copy() for parameter in trained.network.parameters]
    digits.save_weights(trained, path)
    network = serve.load_weights(path)
    assert (network.activation, network.seed) == (activation, 3)
    assert network.accuracy == trained.history[-1].test_accuracy
    assert all(np.array_equal(a, b) for a, b in zip(trained.network.parameters, before, strict=True))
    images, labels = serve.held_out(3)
    np.testing.assert_array_equal(images, 16 * trained.data.pictures)
    np.testing.assert_array_equal(labels, trained.data.test_labels)
    expected = np.exp(trained.network.forward(trained.data.test_images)[0])
    np.testing.assert_allclose(serve.predict(network, images)[1], expected, atol=1e-4)


def test_the_weights_are_saved_where_asked_for(capsys, out, tmp_path):
    path = tmp_path / "weights.npz"
    digits.main(["--seeds", "1", "--epochs", "1", "--out", str(out), "--save-weights", str(path)])
    assert printed(capsys)[-2:] == [f"saved {out}", f"saved {path}"]
    assert serve.load_weights(path).activation == "leaky_relu"  # not the identity beside it


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "argument --epochs: 0 is not between 1 and"),
        (["--epochs", "many"], "argument --epochs: invalid whole number value: 'many'"),
        (["--seeds", "0"], "argument --seeds: 0 is not between 1 and"),
        (["--seed", "-1"], "argument --seed: -1 is not between 0 and"),
        (["--seed", str(2**32)], f"argument --seed: {2**32} is not between 0 and"),
        (["--seed", "1", "--seeds", "2"], "argument --seeds: not allowed with argument --seed"),
        (["--activation", "swish"], "argument --activation: invalid choice: 'swish'"),
        (["--backend", "jax"], "argument --backend: invalid choice: 'jax'"),
        (["--negative-slope", "nan"], "argument --negative-slope: nan is not a finite float32"),
        (["--negative-slope", "1e39"], "argument --negative-slope: 1e39 is not a finite float32"),
        (["--negative-slope", "steep"], "argument --negative-slope: invalid number value: 'steep'"),
        (["--activation", "relu", "--negative-slope", "0.1"], "argument --negative-slope: relu has none to set"),
        (["--activation", "selu", "--negative-slope", "0.1"], "argument --negative-slope: selu has none to set"),
    ],
)
def test_bad_arguments_are_refused_before_any_training(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digits, "run", lambda *args: pytest.fail("trained"))
    with pytest.raises(SystemExit) as raised:
        digits.main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--out", "--save-weights"])
@pytest.mark.parametrize(("place", "reason"), [("missing/digits.png", "No such file"), (".", "Is a directory")])
def test_an_unwritable_file_is_refused_before_any_training(option, place, reason, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(digits, "run", lambda *args: pytest.fail("trained"))
    with pytest.raises(SystemExit) as raised:
        digits.main(["--out", str(tmp_path / "digits.png"), option, str(tmp_path / place)])
    assert raised.value.code == 2
    assert f"argument {option}: cannot write {tmp_path / place}: {reason}" in capsys.readouterr().err


def test_an_earlier_picture_survives_the_check(monkeypatch, out):
    out.write_bytes(b"earlier")
    assert digits.parse_arguments(["--out", str(out)]).out == out
    assert out.read_bytes() == b"earlier"


def no_device(shape):
    raise RuntimeError("no device")


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [(None, "ModuleNotFoundError"), (SimpleNamespace(ones=no_device), "RuntimeError: no device")],
    ids=["not installed", "no GPU"],
)
def test_an_unusable_cupy_is_refused_before_any_training(cupy, reason, monkeypatch, capsys, out):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(digits, "run", lambda *args: pytest.fail("trained"))
    with pytest.raises(SystemExit) as raised:
        digits.main(["--backend", "cupy", "--out", str(out)])
    assert raised.value.code == 2
    assert f"argument --backend: cupy is not usable here ({reason}" in capsys.readouterr().err
