"""pyleaky.init: gains against mpmath and simulation, the distributions, fans, and every error."""

import doctest
import inspect
import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from arrays import DTYPES
from ml_dtypes import finfo

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


def hwio(weights):
    return weights.transpose(3, 2, 0, 1)


def depthwise(weights):
    height, width, channels, multiplier = weights.shape
    return weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


# Each layer's weights in its framework's layout: shape, arguments, how they become PyTorch's, and the layer's groups.
CONVOLUTIONS = {
    "PyTorch": ((96, 64, 3, 3), {"layout": "out_in"}, None, 1),
    "PyTorch, grouped": ((128, 16, 3, 3), {"layout": "out_in", "groups": 8}, None, 8),
    "PyTorch, as many groups as inputs of one": ((128, 8, 3, 3), {"layout": "out_in", "groups": 8}, None, 8),
    "PyTorch, depthwise": ((512, 1, 3, 3), {"layout": "out_in", "groups": 512}, None, 512),
    "PyTorch, depthwise, 3 for each": ((600, 1, 3, 3), {"layout": "out_in", "groups": 200}, None, 200),
    "Keras and JAX": ((3, 3, 64, 96), {}, hwio, 1),
    "Keras and JAX, grouped": ((3, 3, 16, 128), {"groups": 8}, hwio, 8),
    "Keras and JAX, as many groups as inputs of one": ((3, 3, 8, 128), {"groups": 8}, hwio, 8),
    "JAX, depthwise": ((3, 3, 1, 512), {"groups": 512}, hwio, 512),
    "JAX, depthwise, 3 for each": ((3, 3, 1, 600), {"groups": 200}, hwio, 200),
    "Keras, depthwise": ((3, 3, 512, 1), {"groups": 512}, depthwise, 512),
    "Keras, depthwise, 3 for each": ((3, 3, 200, 3), {"groups": 200}, depthwise, 200),
    "Keras, depthwise by its layout": ((3, 3, 300, 2), {"layout": "depthwise"}, depthwise, 300),
    "Keras, depthwise, 24 for each of 12": ((3, 3, 12, 24), {"layout": "depthwise", "groups": 12}, depthwise, 12),
    "Keras, depthwise, 5 by 1": ((5, 1, 700, 1), {"groups": 700}, depthwise, 700),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_keep_the_variance(torch, name):
    """Of what goes through a real one, forward and backward; a slope of 1 is no activation."""
    shape, arguments, convert, groups = CONVOLUTIONS[name]
    for function in ("he_normal", "he_uniform"):
        found = []
        for mode in ("fan_in", "fan_out"):
            weights = getattr(init, function)(shape, rng=5, mode=mode, negative_slope=1.0, **arguments)
            weights = torch.from_numpy(np.ascontiguousarray(weights if convert is None else convert(weights)))
            torch.manual_seed(6)
            x = torch.randn(2, weights.shape[1] * groups, 12, 12, requires_grad=True)
            y = torch.nn.functional.conv2d(x, weights, groups=groups)
            y.backward(torch.randn_like(y))
            height, width = weights.shape[2:]
            inside = x.grad[:, :, height - 1 : 13 - height, width - 1 : 13 - width]
            found.append(float((y.detach() if mode == "fan_in" else inside).var()))
        assert found == pytest.approx([1, 1], rel=0.1)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 8])
def test_transposed_convolutions_keep_the_variance(torch, stride, groups):
    """As the docs say: the fans change places, and a stride leaves one place of stride^2 to each output."""
    for layout in ("out_in", "in_out"):
        if layout == "in_out" and groups > 1:  # Keras has none with groups
            continue
        shape = (128, 128 // groups, 4, 4) if layout == "out_in" else (4, 4, 128, 128)
        weights = init.he_normal(shape, rng=7, mode="fan_out", negative_slope=1.0, layout=layout, groups=groups)
        weights = weights if layout == "out_in" else weights.transpose(3, 2, 0, 1)
        weights = torch.from_numpy(np.ascontiguousarray(weights * stride ** (2 / 2)))
        torch.manual_seed(8)
        x = torch.randn(4, 128, 16, 16)
        y = torch.nn.functional.conv_transpose2d(x, weights, stride=stride, groups=groups)
        assert float(y[:, :, 4:-4, 4:-4].var()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("name", ["xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "lecun_normal"])
def test_groups_of_every_distribution(name):
    function = getattr(init, name)
    for shape, arguments in (
        ((3, 3, 64, 1), {"groups": 64}),
        ((3, 3, 1, 64), {"groups": 64}),
        ((3, 3, 64, 1), {"layout": "depthwise"}),
        ((64, 1, 3, 3), {"layout": "out_in", "groups": 64}),
    ):
        weights = np.array([function(shape, rng=seed, **arguments) for seed in range(40)])
        assert weights.std() == pytest.approx({"h": 2 / 9, "x": 1 / 9, "l": 1 / 9}[name[0]] ** 0.5, rel=0.03)
    for shape in ((3, 3, 64, 64), (5, 8)):
        np.testing.assert_array_equal(function(shape, rng=1, groups=1), function(shape, rng=1))


def test_seeds():
    expected = init.he_normal((4, 5), rng=np.random.default_rng(3))
    for seed in (3, np.int64(3), np.uint8(3), np.array(3), np.random.SeedSequence(3), np.random.PCG64(3)):
        np.testing.assert_array_equal(init.he_normal((4, 5), rng=seed), expected)
    np.testing.assert_array_equal(init.xavier_uniform((4, 5), rng=10**40), init.xavier_uniform((4, 5), rng=10**40))
    generator = np.random.default_rng(3)
    assert not np.array_equal(init.he_normal((4, 5), rng=generator), init.he_normal((4, 5), rng=generator))


@pytest.mark.parametrize("size", [1e100, 1e155, 1e200, 1e300, 1.5e308])
def test_gains_of_huge_parameters(size):
    """Where the square of the parameter overflows: the gain is that of the part below 0, or 1 / gain of bias_act."""
    elu = mp.sqrt(mp.quad(lambda z: mp.expm1(z) ** 2 * mp.npdf(z), [-13, -4, -1, -0.1, 0]))
    weights = np.array([size, 0.0, -size, 1.0])
    for name, param, expected in (
        ("leaky_relu", size, mp.sqrt(2) / size),
        ("leaky_relu", -size, mp.sqrt(2) / size),
        ("prelu", size, mp.sqrt(2) / size),
        ("prelu", weights, 2 / mp.mpf(size)),
        ("prelu", weights[:3].astype(np.longdouble), mp.sqrt(3) / size),
        ("rrelu", (0, size), mp.sqrt(6) / size),
        ("rrelu", (-size, size), mp.sqrt(6) / size),
        ("rrelu", (-size, 1.0), mp.sqrt(6) / size),
        ("elu", size, 1 / (elu * size)),
        ("elu", -size, 1 / (elu * size)),
        ("celu", size, mp.mpf(1)),
        ("bias_act", {"activation": "linear", "gain": size}, 1 / mp.mpf(size)),
        ("bias_act", {"activation": "relu", "gain": size}, mp.sqrt(2) / size),
        ("bias_act", {"activation": "leaky_relu", "gain": 1.0, "negative_slope": size}, mp.sqrt(2) / size),
        ("bias_act", {"activation": "relu", "gain": 1 / size}, mp.sqrt(2) * size),
    ):
        if float(expected) == math.inf:
            with pytest.raises(ValueError, match=r"^param gives a gain that float64 cannot hold"):
                init.gain(name, param)
            continue
        with np.errstate(all="raise"):
            assert init.gain(name, param) == pytest.approx(float(expected), rel=1e-11), (name, param)
    for gain, slope in ((size, size), (5e-324, 0.1)):
        if size > 1e155 or gain < 1:
            with pytest.raises(ValueError, match=r"^param gives a gain that float64 cannot hold"):
                init.gain("bias_act", {"activation": "leaky_relu", "gain": gain, "negative_slope": slope})


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_deviations_that_a_dtype_cannot_hold_are_refused(dtype):
    """The rest have their deviation, without a warning, whatever NumPy is told to raise."""
    shape, info = (64, 64), finfo(dtype)
    least, most = 0.999 * 64 * float(info.smallest_subnormal), 1.01 * float(info.max) / 16
    outside = 0
    for exponent in {*range(-1074, -1000, 2), *range(-170, 140), *range(1000, 1024)}:
        size = 2.0**exponent
        for argument, number, expected in (
            ("gain", size, math.sqrt(2 / 128) * size),
            ("gain", -size, math.sqrt(2 / 128) * size),
            ("negative_slope", size, math.sqrt(2 / 64) / math.hypot(1, size)),
        ):
            for function in (init.xavier_uniform, init.xavier_normal) if argument == "gain" else (init.he_normal,):
                with np.errstate(all="raise"):
                    if least <= expected <= most:
                        weights = function(shape, rng=1, dtype=dtype, **{argument: number}).astype(np.float64)
                        assert np.isfinite(weights).all()
                        assert (weights / expected).std() == pytest.approx(1, rel=0.03)
                    else:
                        outside += 1
                        with pytest.raises(ValueError, match=f"^{argument} and shape give a standard deviation of"):
                            function(shape, rng=1, dtype=dtype, **{argument: number})
    assert outside > 10
    assert not init.xavier_normal(shape, rng=1, gain=0.0, dtype=dtype).any()


NO_NUMBERS = [1j, np.complex64(1), np.array(1j), "1", b"1", np.array(0.5, object), object(), {}, np.datetime64(1, "s")]


@pytest.mark.parametrize("name", ["leaky_relu", "prelu", "rrelu, lower", "rrelu, upper", "elu", "celu"])
def test_the_parameter_of_a_gain_is_a_number(name):
    name, _, bound = name.partition(", ")

    def call(value):
        return init.gain(name, {"": value, "lower": (value, 1.0), "upper": (0.0, value)}[bound])

    for value in [*NO_NUMBERS, *([None] if bound else []), *([[0.5], np.ones(2)] if name != "prelu" else [])]:
        with pytest.raises(TypeError, match=r"^param, .* must be (a number|numbers), got "):
            call(value)
    for value in (10**400, -(10**5000), math.nan, math.inf):
        with pytest.raises((ValueError, TypeError), match=r"^param, "):
            call(value)
    for kind in (np.float64, np.float16, np.longdouble, np.array, Fraction, Decimal):
        assert call(kind(0.25)) == call(0.25)


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
    (lambda: init.gain("Leaky ReLU"), ValueError, "name must be one of .*; did you mean 'leaky_relu'"),
    (lambda: init.gain(None), TypeError, "name must be one of .*, got NoneType"),
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
    (lambda: init.gain("bias_act", {"activation": "elu", "gain": 0}), ValueError, r"gain must be above 0, got 0\.0"),
    (lambda: init.he_normal((), rng=RNG), ValueError, r"shape must have at least 2 dimensions.*, got \(\)"),
    (lambda: init.he_normal((5,), rng=RNG), ValueError, r"shape must have at least 2 dimensions.*, got \(5,\)"),
    (lambda: init.he_normal(5, rng=RNG), TypeError, "shape must be a sequence of integers, got 5"),
    (lambda: init.he_normal((5, 2.0), rng=RNG), TypeError, r"shape must be a sequence of integers, got \(5, 2\.0\)"),
    (lambda: init.he_normal((5, 0), rng=RNG), ValueError, r"shape must have no length below 1, got \(5, 0\)"),
    (lambda: init.he_normal((5, 2), rng=RNG, mode="fan"), ValueError, "mode must be one of 'fan_in', 'fan_out', got"),
    (lambda: init.he_normal((5, 2), rng=RNG, layout="oi"), ValueError, "layout must be one of 'in_out', .* got 'oi'"),
    (lambda: init.he_normal((5, 2), rng=RNG, layout=None), TypeError, "layout must be one of .*, got NoneType"),
    (lambda: init.he_normal((5, 2), rng=RNG, mode="fan-in"), ValueError, "mode must .*; did you mean 'fan_in'"),
    (lambda: init.he_normal((5, True), rng=RNG), TypeError, r"shape must be a sequence of integers, got \(5, True\)"),
    (lambda: init.he_normal("57", rng=RNG), TypeError, "shape must be a sequence of integers, got '57'"),
    (lambda: init.he_normal((5, 2), rng=RNG, groups=0), ValueError, "groups must be at least 1, got 0"),
    (lambda: init.he_normal((5, 2), rng=RNG, groups=2.0), TypeError, "groups must be an integer, got float"),
    (
        lambda: init.he_normal((5, 2), rng=RNG, groups=3),
        ValueError,
        "groups must divide the 2 outputs of shape .*, got 3",
    ),
    (
        lambda: init.he_normal((6, 4), rng=RNG, layout="out_in", groups=4),
        ValueError,
        r"groups must divide the 6 outputs of shape \(6, 4\), got 4",
    ),
    (
        lambda: init.he_normal((3, 6, 4), rng=RNG, layout="depthwise", groups=4),
        ValueError,
        "groups must be 1 or the 6 channels of a depthwise .*, got 4",
    ),
    (
        lambda: init.he_normal((5, 2), rng=RNG, negative_slope="1"),
        TypeError,
        "negative_slope must be a number, got str",
    ),
    (lambda: init.he_normal((5, 2), rng=RNG, dtype=int), TypeError, "dtype must be one of float16, .*, got int64"),
    (lambda: init.he_normal((5, 2), rng=RNG, dtype="x"), TypeError, "dtype must be one of float16, .*, got 'x'"),
    *(
        (lambda rng=rng: init.he_normal((5, 2), rng=rng), error, message)
        for rng, error, message in [
            (None, TypeError, r"rng must be a numpy\.random\.Generator, .*, got None, with which nobody"),
            (1.0, TypeError, r"rng must be a numpy\.random\.Generator, .*, got float"),
            (True, TypeError, r"rng must be a numpy\.random\.Generator, .*, got bool"),
            (-1, ValueError, "rng must be at least 0, got -1"),
            (np.random.RandomState(0), TypeError, r"rng must be .*default_rng\(.*, got NumPy's legacy generator"),
            (np.random, TypeError, r"rng must be .*default_rng\(.*, got NumPy's legacy generator"),
        ]
    ),
    (lambda: init.he_normal((5, 2), seed=0), TypeError, r"unexpected keyword argument 'seed'; did you mean rng\?"),
    (lambda: init.he_normal((5, 2), rng=RNG, slope=0.1), TypeError, r"'slope'; did you mean negative_slope\?"),
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
