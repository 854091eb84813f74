"""examples/wgan_gp.py: its gradients, those of the penalty included, against finite differences, and what it learns."""

import numpy as np
import pytest

pytest.importorskip("tqdm", reason="the example shows its progress with tqdm")

from test_digits import example

wgan_gp = example("wgan_gp")


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "selu"])
def test_gradients(activation, monkeypatch):
    monkeypatch.setattr(wgan_gp, "SIZES", (2, 5, 4))
    rng = np.random.default_rng(0)
    critic = wgan_gp.Critic(activation, rng, np.float64)
    for bias in critic.biases:
        bias += rng.normal(0, 0.3, bias.shape)
    points = [rng.normal(size=(n, 2)) for n in (7, 6, 5)]
    _, _, _, gradients = critic.loss_and_gradients(*points)
    step = 1e-6
    for parameter, gradient in zip(critic.parameters, gradients, strict=True):
        for index in np.ndindex(parameter.shape):
            kept, losses = parameter[index], []
            for sign in (1, -1):
                parameter[index] = kept + sign * step
                losses.append(critic.loss_and_gradients(*points)[2])
            parameter[index] = kept
            np.testing.assert_allclose(gradient[index], (losses[0] - losses[1]) / (2 * step), rtol=1e-5, atol=1e-6)


def test_the_critic_learns_within_the_penalty():
    """The distance between the ring and the middle is about 0.65; the gradient's norm comes near 1."""
    rng = np.random.default_rng(1)
    history = np.array(wgan_gp.train(wgan_gp.Critic("leaky_relu", rng), 150, rng, show=False))
    distance, norm = history[-30:].mean(axis=0)
    assert history[:3, 0].mean() < 0.3 < 0.5 < distance < 0.8
    assert 0.9 < norm < 1.15


def test_what_it_prints(capsys):
    wgan_gp.main(["--steps", "6", "--activation", "elu"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["steps", "distance", "norm", "of", "the", "gradient"]
    assert [line.split()[:3] for line in lines[1:]] == [["1", "-", "2"], *([f"{k}", "-", f"{k}"] for k in range(3, 7))]
    with pytest.raises(SystemExit):
        wgan_gp.main(["--steps", "0"])
    assert "argument --steps: 0 is not at least 1" in capsys.readouterr().err
