"""pyleaky.init: gains against mpmath and simulation, the distributions, fans, and every error."""

import doctest
import inspect
import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from arrays import DTYPES

import pyleaky
from pyleaky import init

mp = mpmath.mp.clone()
mp.dps = 30

# Name, parameter, and the function in mpmath, from the papers.
GAINS = [
    ("linear", None, lambda z: z),
    ("sigmoid", None, lambda z: 1 / (1 + mp.exp(-z))),
    ("tanh", None, mp.tanh),
    ("relu", None, lambda z: max(z, 0)),
    ("leaky_relu", None, lambda z: z if z > 0 else mp.mpf("0.01") * z),
    ("leaky_relu", -1.5, lambda z: z if z > 0 else -1.5 * z),
    ("prelu", 0.25, lambda z: z if z > 0 else z / 4),
    ("elu", None, lambda z: z if z > 0 else mp.expm1(z)),
    ("elu", 0.3, lambda z: z if z > 0 else mp.mpf(0.3) * mp.expm1(z)),
    ("celu", 0.05, lambda z: z if z > 0 else mp.mpf(0.05) * mp.expm1(z / mp.mpf(0.05))),
    ("celu", 1e-4, lambda z: z if z > 0 else mp.mpf(1e-4) * mp.expm1(z / mp.mpf(1e-4))),
    ("celu", 1e6, lambda z: z if z > 0 else mp.mpf(1e6) * mp.expm1(z / mp.mpf(1e6))),
    (
        "selu",
        None,
        lambda z: (
            mp.mpf("1.0507009873554804934193349852946")
            * (z if z > 0 else mp.mpf("1.6732632423543772848170429916717") * mp.expm1(z))
        ),
    ),
]


@pytest.mark.parametrize(("name", "param", "function"), GAINS)
def test_gains_against_mpmath(name, param, function):
    places = [-13, -4, -1, -0.1, -1e-2, -1e-3, -1e-4, 0, 1, 4, 13]
    exact = 1 / mp.sqrt(mp.quad(lambda z: function(z) ** 2 * mp.npdf(z), places))
    assert abs(init.gain(name, param) / float(exact) - 1) < 1e-9


SIMULATED = [
    ("sigmoid", None, lambda z: 1 / (1 + np.exp(-z))),
    ("tanh", None, np.tanh),
    ("relu", None, pyleaky.relu),
    ("leaky_relu", 0.2, lambda z: pyleaky.leaky_relu(z, 0.2)),
    ("prelu", [0.1, 0.4], lambda z: pyleaky.prelu(z.reshape(2, -1), np.array([0.1, 0.4]), axis=0)),
    ("rrelu", (0.1, 0.5), lambda z: pyleaky.rrelu(z, 0.1, 0.5, seed=1)),
    ("elu", 0.7, lambda z: pyleaky.elu(z, 0.7)),
    ("celu", 0.7, lambda z: pyleaky.celu(z, 0.7)),
    ("selu", None, pyleaky.selu),
    *(
        ("bias_act", keywords, lambda z, keywords=keywords: pyleaky.bias_act(z, **keywords))
        for keywords in (
            {"activation": "linear", "gain": 3.0},
            {"activation": "relu", "gain": None},
            {"activation": "leaky_relu"},
            {"activation": "leaky_relu", "negative_slope": 0.4, "gain": None},
            {"activation": "elu"},
            {"activation": "selu"},
        )
    ),
]


@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu", "elu", "selu"])
def test_defaults_of_bias_act(activation):
    parameters = inspect.signature(pyleaky.bias_act).parameters
    defaults = {name: parameters[name].default for name in ("negative_slope", "gain")}
    expected = init.gain("bias_act", {"activation": activation, **defaults})
    assert init.gain("bias_act", {"activation": activation}) == expected


@pytest.mark.parametrize(("name", "param", "function"), SIMULATED)
def test_gains_by_simulation(name, param, function):
    """Weights of that gain keep the variance of normal sums."""
    z = np.random.default_rng(0).standard_normal(4_000_000)
    z = np.concatenate([z, -z])
    assert abs(init.gain(name, param) * math.sqrt(np.mean(np.square(function(z)))) - 1) < 1e-3


FANS = [
    ((30, 20), "in_out", 30, 20),
    ((30, 20), "out_in", 20, 30),
    ((3, 5, 8, 16), "in_out", 120, 240),
    ((16, 8, 3, 5), "out_in", 120, 240),
    ((7, 4, 6), "in_out", 28, 42),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(("shape", "layout", "fan_in", "fan_out"), FANS)
def test_deviations(shape, layout, fan_in, fan_out, dtype):
    common = {"dtype": dtype, "layout": layout}
    for function, options, expected in [
        ("xavier_uniform", {}, 2 / (fan_in + fan_out)),
        ("xavier_normal", {"gain": 1.5}, 1.5**2 * 2 / (fan_in + fan_out)),
        ("he_uniform", {"mode": "fan_out"}, 2 / fan_out),
        ("he_normal", {"negative_slope": 0.5}, 2 / 1.25 / fan_in),
        ("lecun_normal", {}, 1 / fan_in),
    ]:
        draws = [
            getattr(init, function)(shape, rng=np.random.default_rng(seed), **options, **common) for seed in range(60)
        ]
        assert draws[0].shape == shape
        assert draws[0].dtype == dtype
        values = np.array(draws, np.float64)
        assert abs(values.std() / math.sqrt(expected) - 1) < 0.03
        assert abs(values.mean()) < 0.02 * math.sqrt(expected)
        if function.endswith("uniform"):
            limit = math.sqrt(3 * expected)
            assert 0.98 * limit < np.abs(values).max() <= 1.005 * limit
        again = getattr(init, function)(shape, rng=np.random.default_rng(0), **options, **common)
        np.testing.assert_array_equal(again, draws[0])
        assert not np.array_equal(draws[0], draws[1])


def test_the_same_as_pytorch(torch):
    for name in ("linear", "relu", "leaky_relu"):
        for param in (None, 0.2)[: 1 + (name == "leaky_relu")]:
            assert init.gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param), rel=1e-12)
    fans = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(16, 8, 3, 5))
    assert fans == init._fans((16, 8, 3, 5), "out_in")[1:]


class CupyGenerator:
    """As much of CuPy's generator as is asked of it."""

    def __init__(self, cupy, seed):
        self.cupy, self.rng = cupy, np.random.default_rng(seed)

    def standard_normal(self, size, dtype):
        return self.cupy.asarray(self.rng.standard_normal(size, dtype=dtype))

    def random(self, size, dtype):
        return self.cupy.asarray(self.rng.random(size, dtype=dtype))


def test_cupy(cupy, monkeypatch):
    monkeypatch.setattr(cupy, "random", type("random", (), {"Generator": CupyGenerator}), raising=False)
    for name in ("he_normal", "xavier_uniform"):
        found = getattr(init, name)((30, 20), rng=CupyGenerator(cupy, 3))
        assert isinstance(found, cupy.ndarray)
        expected = getattr(init, name)((30, 20), rng=np.random.default_rng(3))
        np.testing.assert_array_equal(found.get(), expected)
    weights = cupy.asarray(np.array([0.1, 0.4]))
    assert init.gain("prelu", weights) == init.gain("prelu", weights.get())


RNG = np.random.default_rng(0)
NUMBER = "param, the negative slope, must be"
BAD = [
    (lambda: init.gain("swish"), ValueError, "name must be one of 'linear', 'sigmoid', .*'bias_act', got 'swish'"),
    (lambda: init.gain(None), ValueError, "name must be one of .*, got None"),
    (lambda: init.gain("relu", 0.1), TypeError, r"relu has no parameter, got param=0\.1"),
    (lambda: init.gain("leaky_relu", "0.1"), TypeError, f"{NUMBER} a number, got str"),
    (lambda: init.gain("leaky_relu", [0.1]), TypeError, f"{NUMBER} a number, got list"),
    (lambda: init.gain("leaky_relu", np.nan), ValueError, f"{NUMBER} finite, got nan"),
    (lambda: init.gain("prelu"), TypeError, "prelu needs its weights"),
    (lambda: init.gain("prelu", []), TypeError, "param, prelu's weights, must be numbers, got 0 of float64"),
    (lambda: init.gain("prelu", ["a"]), TypeError, "param, prelu's weights, must be numbers, got 1 of <U1"),
    (lambda: init.gain("prelu", [np.inf]), ValueError, "param, prelu's weights, must be finite"),
    (lambda: init.gain("rrelu", 0.1), TypeError, r"param must be rrelu's \(lower, upper\), got 0\.1"),
    (lambda: init.gain("rrelu", (0.3, 0.1)), ValueError, r"lower must not be above upper, got 0\.3 and 0\.1"),
    (lambda: init.gain("elu", np.inf), ValueError, "param, alpha, must be finite, got inf"),
    (lambda: init.gain("celu", 0.0), ValueError, r"param, alpha, must be positive for celu, got 0\.0"),
    (lambda: init.gain("bias_act", 1.0), TypeError, "param must be a dict of bias_act's keywords activation"),
    (lambda: init.gain("bias_act", {"clamp": 1}), TypeError, "param must be a dict of bias_act's keywords"),
    (lambda: init.gain("bias_act"), TypeError, "param must be a dict of bias_act's keywords .*, got None"),
    (lambda: init.gain("bias_act", {}), TypeError, "param must be .*, of which activation is required, got {}"),
    (lambda: init.gain("bias_act", {"activation": "x"}), ValueError, "activation must be one of 'linear', .* got 'x'"),
    (lambda: init.gain("bias_act", {"activation": "elu", "gain": 0}), ValueError, r"gain must be positive, got 0\.0"),
    (lambda: init.he_normal((), rng=RNG), ValueError, r"shape must have at least 2 dimensions.*, got \(\)"),
    (lambda: init.he_normal((5,), rng=RNG), ValueError, r"shape must have at least 2 dimensions.*, got \(5,\)"),
    (lambda: init.he_normal(5, rng=RNG), TypeError, "shape must be a sequence of integers, got 5"),
    (lambda: init.he_normal((5, 2.0), rng=RNG), TypeError, r"shape must be a sequence of integers, got \(5, 2\.0\)"),
    (lambda: init.he_normal((5, 0), rng=RNG), ValueError, r"shape must have no length below 1, got \(5, 0\)"),
    (lambda: init.he_normal((5, 2), rng=RNG, mode="fan"), ValueError, "mode must be 'fan_in' or 'fan_out', got 'fan'"),
    (lambda: init.he_normal((5, 2), rng=RNG, layout="oi"), ValueError, "layout must be 'in_out' or 'out_in', got 'oi'"),
    (
        lambda: init.he_normal((5, 2), rng=RNG, negative_slope="1"),
        TypeError,
        "negative_slope must be a number, got str",
    ),
    (lambda: init.he_normal((5, 2), rng=RNG, dtype=int), TypeError, "dtype must be one of float16, .*, got int64"),
    (lambda: init.he_normal((5, 2), rng=RNG, dtype="x"), TypeError, "dtype must be one of float16, .*, got 'x'"),
    (lambda: init.he_normal((5, 2), rng=1), TypeError, r"rng must be a numpy\.random\.Generator, .*, got int"),
    (lambda: init.xavier_normal((5, 2), rng=RNG, gain=np.inf), ValueError, "gain must be finite, got inf"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    before = RNG.bit_generator.state
    with pytest.raises(error, match=message):
        call()
    assert RNG.bit_generator.state == before


def test_examples_in_docstrings():
    found = doctest.testmod(init)
    assert found.attempted >= 6
    assert found.failed == 0


def test_it_is_imported_when_it_is_asked_for():
    code = "import pyleaky, sys; a = 'pyleaky.init' in sys.modules; print(a, pyleaky.init.gain('relu') > 1)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="module 'pyleaky' has no attribute 'nothing'"):
        pyleaky.nothing  # noqa: B018
