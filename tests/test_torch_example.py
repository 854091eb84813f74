"""examples/torch_digits.py: what it learns and prints, and what its networks keep for the gradients."""

import importlib.util
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", "2.5", reason="PyTorch is not installed")
pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
pytest.importorskip("tqdm", reason="the example shows its progress with tqdm")

import pyleaky.torch  # noqa: E402

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "torch_digits.py"
SPEC = importlib.util.spec_from_file_location("torch_digits", EXAMPLE)
torch_digits = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(torch_digits)

LINE = r"leaky_relu by (\w+): test accuracy ([\d.]+)%, .* (\d+) kB by the activations and (\d+) kB altogether, [\d.]+ s"


@pytest.fixture(autouse=True)
def one_thread():
    """OpenMP's threads wait for each other, long where other programs hold the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_both_learn_the_same_and_pyleaky_keeps_less(capsys):
    torch_digits.main(["--epochs", "3"])
    found = re.findall(LINE, capsys.readouterr().out)
    assert [by for by, *_ in found] == ["PyTorch", "pyleaky"]
    accuracies, own, altogether = zip(*([float(number) for number in numbers] for _, *numbers in found), strict=True)
    assert min(accuracies) > 85
    assert abs(accuracies[0] - accuracies[1]) < 5
    assert own[0] / own[1] == pytest.approx(32, rel=0.02)
    assert altogether[0] - altogether[1] == pytest.approx(own[0] - own[1], abs=2)


def test_one_of_them(capsys):
    torch_digits.main(["--by", "pyleaky", "--epochs", "1", "--activation", "prelu", "--seed", "3"])
    assert re.fullmatch(r"prelu by pyleaky: test accuracy .*\n", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        torch_digits.main(["--activation", "tanh"])


@pytest.mark.parametrize("activation", torch_digits.KINDS)
def test_every_activation(activation):
    torch.manual_seed(0)
    network, images = torch_digits.residual_network(3, (4, 8), 5, activation), torch.randn(2, 3, 8, 8)
    before, (own, altogether) = network(images), torch_digits.saved_bytes(network, images)
    assert before.shape == (2, 5)
    pyleaky.torch.replace_activations(network)
    assert any(type(module).__module__ == "pyleaky.torch" for module in network.modules())
    if activation != "rrelu":
        torch.testing.assert_close(network(images), before)
    new_own, new_altogether = torch_digits.saved_bytes(network, images)
    elements = 2 * (5 * 4 * 64 + 4 * 8 * 16)
    assert own >= 4 * elements
    expected = {"relu": elements // 8, "leaky_relu": elements // 8, "rrelu": 4 * elements + 9 * 8}  # of a seed
    assert new_own == expected.get(activation, 4 * elements)
    assert new_altogether <= altogether
