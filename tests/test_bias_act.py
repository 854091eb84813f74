"""bias_act, its gradients and theirs: against NumPy's separate operations, from x, output and mask, in every layout."""

import itertools
import math

import numpy as np
import pytest
import reference
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, compute_type, layouts, ulps_apart
from conftest import from_tensor, to_numpy, to_tensor

import pyleaky
from pyleaky import _core, kernels

ACTIVATIONS = ("linear", "relu", "leaky_relu", "elu", "selu")
PIECEWISE_LINEAR = ACTIVATIONS[:3]
# Shape and axis of the bias: one per element, per few and per many, rows and columns of the gradient, and in between.
SHAPES = [
    ((5, 3), 1),
    ((9, 64), 1),
    ((40, 67), -1),
    ((3, 2100), 1),
    ((2, 4097), 0),
    ((4, 7, 3), 1),
    ((3, 5, 7, 7), 1),
    ((2, 900, 3), 1),
    ((2, 3, 40), 1),
    ((2, 3, 8, 8), 1),
    ((2, 3, 65, 64), 1),
    ((7, 6, 5, 3), -1),
    ((1, 6), 1),
    ((6, 1), 1),
    ((6,), 0),
    ((0, 3), 1),
    ((3, 0), 0),
]
STYLEGAN = {"negative_slope": 0.2, "gain": None}
SETTINGS = [
    STYLEGAN,
    {"gain": 0.75, "clamp": 0.8},
    {"gain": 1.0, "clamp": 256.0},
    {"negative_slope": -1.5, "gain": 3.0},
]

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def arrays_of(shape, axis, dtype, count, seed=0):
    """That many arrays of the shape, and a bias."""
    rng = np.random.default_rng(seed)
    bias = rng.normal(size=shape[axis]).astype(dtype)
    return [rng.normal(0, 2, shape).astype(dtype) for _ in range(count)] + [bias]


def laid(bias, shape, axis):
    return bias.reshape([len(bias) if k == axis % len(shape) else 1 for k in range(len(shape))])


class Reference:
    """One operation after the other, each rounded once to the type that is computed in."""

    def __init__(self, x, bias, axis, activation, negative_slope=0.01, gain=1.0, clamp=math.inf):
        self.dtype, self.name = x.dtype, activation
        real = np.dtype(compute_type(x.dtype.type))
        if gain is None:
            gain = 2**0.5 if activation in ("relu", "leaky_relu") else 1.0
        self.slope, self.gain, self.clamp = (real.type(v) for v in (negative_slope, gain, clamp))
        self.real = real
        with np.errstate(all="ignore"):
            self.sum = x.astype(real) + laid(bias, x.shape, axis).astype(real)
            self.scaled = (self.activated() * self.gain).astype(real)
            bounded = np.where(self.scaled > self.clamp, self.clamp, self.scaled)
            self.y = np.where(bounded < -self.clamp, -self.clamp, bounded).astype(x.dtype)

    def activated(self):
        u = self.sum
        if self.name == "linear":
            return u
        if self.name == "relu":
            return np.where(u < 0, self.real.type(0), u)
        if self.name == "leaky_relu":
            return np.where(u > 0, u, self.slope * u)
        exact = reference.elu(u, 1.0) if self.name == "elu" else reference.selu(u)
        return exact.astype(self.real)

    def clamped(self):
        with np.errstate(all="ignore"):
            return (self.clamp < np.inf) & (np.abs(self.y) >= self.clamp.astype(self.dtype))

    def dx(self, grad):
        """Before it is rounded to a half type."""
        u, g = self.sum, grad.astype(self.real) * self.gain
        with np.errstate(all="ignore"):
            if self.name == "linear":
                found = g
            elif self.name == "relu":
                found = np.where(u > 0, g, self.real.type(0))
            elif self.name == "leaky_relu":
                found = np.where(u > 0, g, self.slope * g)
            elif self.name == "elu":
                found = reference.elu_backward(g, u, 1.0).astype(self.real)
            else:
                found = reference.selu_backward(g, u).astype(self.real)
            return np.where(self.clamped(), self.real.type(0), found)

    def second(self, gg, grad):
        gg, g = gg.astype(self.real), grad.astype(self.real) * self.gain
        if self.name == "elu":
            found = reference.elu_double_backward(gg, g, self.sum, 1.0)
        elif self.name == "selu":
            found = reference.selu_double_backward(gg, g, self.sum)
        else:
            found = np.zeros_like(self.sum)
        return np.where(self.clamped(), 0, found).astype(self.real)


def exact_sums(terms, axis):
    moved = np.moveaxis(terms.astype(np.float64), axis, 0)
    return np.array([math.fsum(row.ravel()) for row in moved])


def assert_near(actual, expected, ulps):
    apart = ulps_apart(np.asarray(actual), np.asarray(expected))
    assert (apart <= ulps).all(), apart.max()


@every_activation
@every_dtype
def test_forward(isa, dtype, activation):
    for shape, axis in SHAPES:
        x, bias = arrays_of(shape, axis, dtype, 1)
        for settings in SETTINGS:
            expected = Reference(x, bias, axis, activation, **settings)
            kept = x.copy(), bias.copy()
            y, mask = pyleaky.bias_act(x, bias, axis=axis, activation=activation, **settings, return_mask=True)
            # float64 exponentials are within one unit, which the product with the gain may double.
            assert_near(y, expected.y, 2 if dtype is np.float64 and activation in ("elu", "selu") else 0)
            np.testing.assert_array_equal(mask, np.packbits((expected.sum > 0).ravel(), bitorder="little"))
            assert_same_bits(pyleaky.bias_act(x, bias, axis=axis, activation=activation, **settings), y)
            assert_same_bits(x, kept[0])
            assert_same_bits(bias, kept[1])


@every_activation
@every_dtype
def test_backward(isa, dtype, activation):
    for shape, axis in SHAPES:
        grad, x, bias = arrays_of(shape, axis, dtype, 2)
        for settings in SETTINGS:
            expected = Reference(x, bias, axis, activation, **settings)
            dx, dbias = pyleaky.bias_act_backward(grad, x, bias, axis=axis, activation=activation, **settings)
            terms = expected.dx(grad)
            inexact = activation in ("elu", "selu")
            assert_near(dx, terms.astype(dtype), (2 if dtype is np.float64 else 1) * inexact)
            assert dbias.dtype == dtype
            assert dbias.shape == bias.shape
            total = exact_sums(terms, axis)
            if dtype is np.float64 or inexact:
                tolerance = 1e-2 if dtype in HALVES else 1e-5
                np.testing.assert_allclose(dbias.astype(float), total, rtol=tolerance, atol=1e-5)
            else:
                assert_near(dbias, total.astype(dtype), 1)


@pytest.mark.parametrize("activation", ["elu", "selu"])
@every_dtype
def test_double_backward(isa, dtype, activation):
    for shape, axis in SHAPES:
        gg, grad, x, bias = arrays_of(shape, axis, dtype, 3)
        for settings in SETTINGS:
            expected = Reference(x, bias, axis, activation, **settings)
            found = pyleaky.bias_act_double_backward(gg, grad, x, bias, axis=axis, activation=activation, **settings)
            assert_near(found[0], expected.dx(gg).astype(dtype), 2)
            second = expected.second(gg, grad)
            # The product of gg and grad is rounded in float64 only.
            assert_near(found[1], second.astype(dtype), 3 if dtype is np.float64 else 2)
            np.testing.assert_allclose(
                found[2].astype(float), exact_sums(second, axis), rtol=1e-2 if dtype in HALVES else 1e-5, atol=1e-5
            )


@pytest.mark.parametrize("activation", PIECEWISE_LINEAR)
@every_dtype
def test_every_bit_pattern(isa, dtype, activation):
    """NaN, infinities, subnormals and zeros, of either sign."""
    rng = np.random.default_rng(0)
    for shape, axis in SHAPES:
        grad, x = (any_bits(rng, shape, dtype) for _ in range(2))
        bias = any_bits(rng, shape[axis], dtype)
        for settings in SETTINGS:
            expected = Reference(x, bias, axis, activation, **settings)
            y = pyleaky.bias_act(x, bias, axis=axis, activation=activation, **settings)
            assert_same_bits(y, expected.y)
            dx, _ = pyleaky.bias_act_backward(grad, x, bias, axis=axis, activation=activation, **settings)
            with np.errstate(all="ignore"):
                assert_same_bits(dx, expected.dx(grad).astype(dtype))
            _, second, total = pyleaky.bias_act_double_backward(
                grad, grad, x, bias, axis=axis, activation=activation, **settings
            )
            assert not second.any()
            assert not total.any()


@pytest.mark.parametrize("activation", PIECEWISE_LINEAR)
@every_dtype
def test_from_output_and_mask_as_from_x(isa, dtype, activation):
    rng = np.random.default_rng(0)
    for shape, axis in SHAPES:
        x, grad = (any_bits(rng, shape, dtype) for _ in range(2))
        bias = any_bits(rng, shape[axis], dtype)
        more = [{"clamp": 0.1}, {"clamp": 0.0}, {"clamp": 1e6}, {"gain": 1e-3, "negative_slope": -3.0}]
        for settings in SETTINGS + more:
            common = {"axis": axis, "activation": activation, **settings}
            y, mask = pyleaky.bias_act(x, bias, return_mask=True, **common)
            expected = pyleaky.bias_act_backward(grad, x, bias, **common)
            found = [pyleaky.bias_act_backward(grad, bias=bias, output=y, mask=mask, **common)]
            if settings.get("negative_slope", 0) >= 0:
                found.append(pyleaky.bias_act_backward(grad, bias=bias, output=y, **common))
            if "clamp" not in settings:
                found.append(pyleaky.bias_act_backward(grad, bias=bias, mask=mask, **common))
            for dx, dbias in found:
                assert_same_bits(dx, expected[0])
                assert_same_bits(dbias, expected[1])


@pytest.mark.parametrize("activation", ["elu", "selu"])
def test_exponentials_from_output(isa, activation):
    grad, x, bias = arrays_of((30, 50), 1, np.float64, 2)
    for settings in ({}, {"gain": 2.0, "clamp": 1.5}, {"gain": 0.1}):
        common = {"activation": activation, **settings}
        y, mask = pyleaky.bias_act(x, bias, return_mask=True, **common)
        expected = pyleaky.bias_act_backward(grad, x, bias, **common)
        found = [pyleaky.bias_act_backward(grad, bias=bias, output=y, mask=mask, **common)]
        if settings != {"gain": 0.1}:
            found.append(pyleaky.bias_act_backward(grad, bias=bias, output=y, **common))
        for dx, dbias in found:
            np.testing.assert_allclose(dx, expected[0], rtol=1e-9, atol=1e-14)
            np.testing.assert_allclose(dbias, expected[1], rtol=1e-9)


def test_a_mask_decides_the_side():
    x, bias = np.array([[1.0, -1.0]]), np.zeros(2)
    common = {"activation": "leaky_relu", "negative_slope": 0.2}
    y = pyleaky.bias_act(x, bias, **common)
    swapped = np.array([0b10], np.uint8)
    for more in ({}, {"output": y}):
        dx, _ = pyleaky.bias_act_backward(np.ones((1, 2)), bias=bias, mask=swapped, **common, **more)
        assert dx.tolist() == [[0.2, 1.0]]


@every_activation
@every_dtype
def test_equal_bits_on_every_isa_and_with_any_number_of_threads(dtype, activation):
    before = _core.isa()
    for shape, axis in [((1003, 67), 1), ((40, 60, 7, 7), 1), ((4, 3, 100, 100), 1), ((50, 30, 20), -1)]:
        gg, grad, x, bias = arrays_of(shape, axis, dtype, 3)
        common = {"axis": axis, "activation": activation, "clamp": 1.1, **STYLEGAN}
        results = []
        for isa in _core.isas():
            _core.use_isa(isa)
            for threads in (1, 2, 3, 7) if isa == before else (1,):
                with pyleaky.num_threads(threads):
                    results.append(
                        [
                            *pyleaky.bias_act(x, bias, **common, return_mask=True),
                            *pyleaky.bias_act_backward(grad, x, bias, **common),
                            *pyleaky.bias_act_double_backward(gg, grad, x, bias, **common),
                        ]
                    )
        _core.use_isa(before)
        for result in results[1:]:
            for found, expected in zip(result, results[0], strict=True):
                assert_same_bits(found, expected)


@pytest.mark.parametrize("shape", [(1_000_000, 1), (1, 1_000_000), (62_500, 16)])
def test_a_million_terms_of_mixed_sign(shape):
    rng = np.random.default_rng(0)
    grad = (rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 3, shape)).astype(np.float32)
    x, bias = rng.normal(size=shape).astype(np.float32), np.zeros(shape[0] if shape[1] > 16 else shape[1], np.float32)
    axis = 0 if shape[1] > 16 else 1
    dx, dbias = pyleaky.bias_act_backward(grad, x, bias, axis=axis, activation="leaky_relu")
    assert_near(dbias, exact_sums(dx, axis).astype(np.float32), 1)


@every_dtype
def test_lanes_beyond_the_end_add_nothing(isa, dtype):
    """Where they would have inf * 0."""
    for shape, axis in [((1, 3, 5), 1), ((40, 5), 1)]:
        x = np.ones(shape, dtype)
        _, dbias = pyleaky.bias_act_backward(
            x, x, np.zeros(shape[axis], dtype), axis=axis, negative_slope=np.inf, gain=1.0, activation="leaky_relu"
        )
        assert dbias.tolist() == [x.size / shape[axis]] * shape[axis]


def test_half_types_are_summed_before_they_are_rounded():
    grad, x, bias = arrays_of((5000, 3), 1, np.float16, 2)
    _, dbias = pyleaky.bias_act_backward(grad, x, bias, activation="leaky_relu")
    wide = (array.astype(np.float32) for array in (grad, x, bias))
    _, expected = pyleaky.bias_act_backward(*wide, activation="leaky_relu")
    assert_same_bits(dbias, expected.astype(np.float16))


@every_activation
def test_without_a_bias(activation):
    for shape in [(), (5,), (3, 4, 5), (0, 2)]:
        grad, x = (np.random.default_rng(seed).normal(size=shape) for seed in (0, 1))
        y, mask = pyleaky.bias_act(x, activation=activation, return_mask=True)
        flat = pyleaky.bias_act(np.reshape(x, (-1, 1)), np.zeros(1), activation=activation)
        assert_same_bits(np.ravel(y), flat.ravel())
        assert np.shape(y) == shape
        assert isinstance(y, np.ndarray if shape else np.float64)
        np.testing.assert_array_equal(mask, np.packbits(np.ravel(x) > 0, bitorder="little"))
        dx, dbias = pyleaky.bias_act_backward(grad, x, activation=activation)
        assert dbias is None
        assert np.shape(dx) == shape
        dgrad, dx, dbias = pyleaky.bias_act_double_backward(grad, grad, x, activation=activation)
        assert np.shape(dgrad) == np.shape(dx) == shape
        assert dbias is None


def test_gains():
    """None stands for StyleGAN's; by default there is none."""
    x = np.ones((1, 1))
    for activation, gain in [("linear", 1), ("relu", 2**0.5), ("leaky_relu", 2**0.5), ("elu", 1), ("selu", 1)]:
        scale = pyleaky.SELU_SCALE if activation == "selu" else 1
        assert pyleaky.bias_act(x, np.zeros(1), activation=activation, gain=None)[0, 0] == gain * scale
        assert pyleaky.bias_act(x, np.zeros(1), activation=activation)[0, 0] == scale


def test_layouts():
    grad, x, bias = arrays_of((6, 5, 4), 1, np.float32, 2)
    expected = (
        pyleaky.bias_act(x, bias, activation="leaky_relu"),
        *pyleaky.bias_act_backward(grad, x, bias, activation="leaky_relu"),
    )
    for name, given in layouts(x):
        y, mask = pyleaky.bias_act(given, bias, return_mask=True, activation="leaky_relu")
        for found in (y, pyleaky.bias_act(given, bias, activation="leaky_relu")):
            np.testing.assert_array_equal(found, expected[0])
            assert found.dtype == np.float32
            assert found.strides == np.empty_like(given, np.float32).strides, name
        np.testing.assert_array_equal(mask, np.packbits((x + bias[:, None] > 0).ravel(), bitorder="little"))
        for other in (grad, np.asfortranarray(grad)):
            dx, dbias = pyleaky.bias_act_backward(other, given, bias, activation="leaky_relu")
            np.testing.assert_array_equal(dx, expected[1])
            np.testing.assert_allclose(dbias, expected[2], rtol=1e-6)
            assert dx.strides == np.empty_like(other).strides
    for view in (np.repeat(bias, 2)[::2], bias.astype(">f4"), bias.tolist()):
        np.testing.assert_allclose(pyleaky.bias_act(x, view, activation="leaky_relu"), expected[0], rtol=1e-6)


def test_channels_last_in_memory():
    """NHWC, seen as NCHW, is gone through as it lies, and stays so."""
    grad, x, bias = arrays_of((4, 9, 7, 5), -1, np.float32, 2)
    seen = [array.transpose(0, 3, 1, 2) for array in (grad, x)]
    y = pyleaky.bias_act(seen[1], bias, activation="leaky_relu")
    assert_same_bits(y, pyleaky.bias_act(x, bias, axis=-1, activation="leaky_relu").transpose(0, 3, 1, 2))
    assert y.strides == seen[1].strides
    dx, dbias = pyleaky.bias_act_backward(*seen, bias, activation="leaky_relu")
    last = pyleaky.bias_act_backward(grad, x, bias, axis=-1, activation="leaky_relu")
    assert_same_bits(dx, last[0].transpose(0, 3, 1, 2))
    assert_same_bits(dbias, last[1])
    kept = seen[1].copy()
    assert pyleaky.bias_act(seen[1], bias, out=seen[1], activation="leaky_relu") is seen[1]
    assert_same_bits(seen[1], pyleaky.bias_act(kept, bias, activation="leaky_relu"))
    assert pyleaky.bias_act_backward(seen[0], kept, bias, out=seen[0], activation="leaky_relu")[0] is seen[0]
    assert_same_bits(seen[0], dx)


def test_in_place_and_out():
    grad, x, bias = arrays_of((33, 50), 1, np.float32, 2)
    y, (dx, dbias) = (
        pyleaky.bias_act(x, bias, activation="leaky_relu"),
        pyleaky.bias_act_backward(grad, x, bias, activation="leaky_relu"),
    )
    for pick in (lambda room: room[:33], lambda room: room[1:34], lambda room: room[:66:2]):
        room = np.full((70, 50), 7, np.float32)
        out = pick(room)
        out[...] = x
        assert pyleaky.bias_act(out, bias, out=out, activation="leaky_relu") is out
        assert_same_bits(out, y)
        assert (room == 7).sum() == 37 * 50
        out[...] = grad
        assert pyleaky.bias_act_backward(out, x, bias, out=out, activation="leaky_relu")[0] is out
        assert_same_bits(out, dx)
        out[...] = x
        found = pyleaky.bias_act_backward(grad, out, bias, out=(out,), activation="leaky_relu")
        assert_same_bits(found[0], dx)
        assert_same_bits(found[1], dbias)
    wide = np.empty((33, 50))
    assert pyleaky.bias_act(x, bias, out=wide, activation="leaky_relu") is wide
    np.testing.assert_array_equal(wide, y)
    shifted = np.zeros(33 * 50 + 3, np.float32)
    given, out = shifted[3:].reshape(33, 50), shifted[:-3].reshape(33, 50)
    given[...] = x
    assert_same_bits(pyleaky.bias_act(given, bias, out=out, activation="leaky_relu"), y)


def test_a_bias_inside_of_out():
    x, bias = arrays_of((70, 50), 1, np.float32, 1)
    room = x.copy()
    room[3] = bias
    given = room.copy()
    assert_same_bits(
        pyleaky.bias_act(given, room[3], out=room, activation="leaky_relu"),
        pyleaky.bias_act(given, bias, activation="leaky_relu"),
    )


@pytest.mark.parametrize(
    ("x", "bias", "expected"),
    [
        ("f4", "f8", "f8"),
        ("f2", "f4", "f4"),
        ("f2", "f2", "f2"),
        ("i4", "f4", "f8"),
        ("i2", "?", "f8"),
        ("f4", "i8", "f8"),
    ],
)
def test_dtypes(xp, x, bias, expected):
    x, bias = xp.ones((2, 3), x), xp.ones(3, bias)
    y = pyleaky.bias_act(x, bias, activation="leaky_relu")
    assert y.dtype == expected
    dx, dbias = pyleaky.bias_act_backward(x, x, bias, activation="leaky_relu")
    assert dx.dtype == expected
    assert dbias.dtype == (bias.dtype if bias.dtype.kind == "f" else expected)


@every_activation
@pytest.mark.parametrize("settings", SETTINGS[:2])
def test_gradients_by_finite_differences(activation, settings):
    """Of sum(weight * y), away from the kink and the clamp; and of sum(c * dx) + sum(d * dbias) once more."""
    rng = np.random.default_rng(0)
    x, weight, c = (rng.normal(0, 1, (4, 3)) for _ in range(3))
    bias, d = rng.normal(size=(2, 3))
    common = {"activation": activation, **settings}

    def dx_and_dbias(grad, x, bias):
        return pyleaky.bias_act_backward(grad, x, bias, **common)

    def loss(x, bias):
        return np.sum(weight * pyleaky.bias_act(x, bias, **common))

    def penalty(grad, x, bias):
        dx, dbias = dx_and_dbias(grad, x, bias)
        return np.sum(c * dx) + np.sum(d * dbias)

    def differences(function, arguments, which, step=1e-6):
        found = np.empty_like(arguments[which])
        for index in np.ndindex(found.shape):
            values = []
            for sign in (1, -1):
                moved = [argument.copy() for argument in arguments]
                moved[which][index] += sign * step
                values.append(function(*moved))
            found[index] = (values[0] - values[1]) / (2 * step)
        return found

    dx, dbias = dx_and_dbias(weight, x, bias)
    np.testing.assert_allclose(dx, differences(loss, (x, bias), 0), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(dbias, differences(loss, (x, bias), 1), rtol=1e-6, atol=1e-8)
    found = pyleaky.bias_act_double_backward(c + d, weight, x, bias, **common)
    for which in range(3):
        expected = differences(penalty, (weight, x, bias), which)
        np.testing.assert_allclose(found[which], expected, rtol=1e-6, atol=1e-7)
    if activation in PIECEWISE_LINEAR:
        again, _ = dx_and_dbias(c + d, x, bias)
        assert_same_bits(again, found[0])


@every_activation
@every_dtype
def test_torch(torch, dtype, activation):
    """PyTorch's separate operations and its autograd, twice."""
    functions = {
        "linear": lambda u: u,
        "relu": torch.relu,
        "leaky_relu": lambda u: torch.nn.functional.leaky_relu(u, 0.2),
        "elu": torch.nn.functional.elu,
        "selu": torch.nn.functional.selu,
    }
    gain = 2**0.5 if activation in ("relu", "leaky_relu") else 1.0
    gg, grad, x, bias = arrays_of((20, 6, 5, 5), 1, dtype, 3)
    x[x == -bias[:, None, None]] = 1  # at 0 the second derivatives differ: here it is that of the negative side
    wide = [array.astype(compute_type(dtype)) for array in (gg, grad, x, bias)]
    t_gg, t_grad, t_x, t_bias = (to_tensor(array).requires_grad_() for array in wide)
    t_y = torch.clamp(functions[activation](t_x + t_bias[:, None, None]) * gain, -2.5, 2.5)
    t_dx, t_dbias = torch.autograd.grad(t_y, (t_x, t_bias), t_grad, create_graph=True)
    common = {"activation": activation, "clamp": 2.5, **STYLEGAN}
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype is np.float64 else {"rtol": 1e-5, "atol": 1e-6}
    if dtype in HALVES:  # compared in float32, of which ours is rounded once
        wide_results = pyleaky.bias_act(*wide[2:], **common)
        assert_same_bits(pyleaky.bias_act(x, bias, **common), wide_results.astype(dtype))
        gg, grad, x, bias = wide
    y = pyleaky.bias_act(x, bias, **common)
    dx, dbias = pyleaky.bias_act_backward(grad, x, bias, **common)
    if activation in PIECEWISE_LINEAR:
        assert_same_bits(y, from_tensor(t_y))
        assert_same_bits(dx, from_tensor(t_dx))
    np.testing.assert_allclose(y, from_tensor(t_y), **tolerance)
    np.testing.assert_allclose(dx, from_tensor(t_dx), **tolerance)
    np.testing.assert_allclose(dbias, from_tensor(t_dbias), rtol=1e-4)
    theirs = torch.autograd.grad(t_dx, (t_grad, t_x, t_bias), t_gg, allow_unused=True)
    ours = pyleaky.bias_act_double_backward(gg, grad, x, bias, **common)
    for found, expected in zip(ours, theirs, strict=True):
        expected = np.zeros_like(found) if expected is None else from_tensor(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@every_activation
@every_dtype
def test_cupy_as_numpy(cupy, dtype, activation):
    ulps = 4 if activation in ("elu", "selu") else 0
    for shape, axis in [((5, 13), 1), ((3, 4, 5, 5), 1), ((6, 5), 0), ((0, 3), 1)]:
        gg, grad, x, bias = arrays_of(shape, axis, dtype, 3)
        on_gpu = [cupy.asarray(array) for array in (gg, grad, x, bias)]
        for settings in SETTINGS:
            common = {"axis": axis, "activation": activation, **settings}
            y, mask = pyleaky.bias_act(x, bias, return_mask=True, **common)
            found = pyleaky.bias_act(*on_gpu[2:], return_mask=True, **common)
            assert_near(to_numpy(found[0]), y, ulps)
            np.testing.assert_array_equal(to_numpy(found[1]), mask)
            assert_near(to_numpy(pyleaky.bias_act(*on_gpu[2:], **common)), y, ulps)
            ways = [
                (pyleaky.bias_act_backward, (1, 2, 3), {}),
                (pyleaky.bias_act_backward, (1,), {"bias": 3, "output": y, "mask": mask}),
                (pyleaky.bias_act_double_backward, (0, 1, 2, 3), {}),
            ]
            if activation in PIECEWISE_LINEAR and "clamp" not in settings:
                ways.append((pyleaky.bias_act_backward, (1,), {"mask": mask}))
            for function, places, more in ways:
                host = {name: bias if name == "bias" else value for name, value in more.items()}
                device = {name: cupy.asarray(value) for name, value in host.items()}
                expected = function(*((gg, grad, x, bias)[k] for k in places), **host, **common)
                results = function(*(on_gpu[k] for k in places), **device, **common)
                for result, other in zip(results, expected, strict=True):
                    if other is None:
                        assert result is None
                        continue
                    assert result.dtype == other.dtype
                    if other.shape == shape:
                        assert_near(to_numpy(result), other, ulps)
                    else:
                        tolerance = {2: 1e-2, 4: 1e-5, 8: 1e-12}[np.dtype(dtype).itemsize]
                        np.testing.assert_allclose(
                            to_numpy(result).astype(float), other.astype(float), rtol=tolerance, atol=tolerance
                        )


def test_cupy_out_and_mixing(cupy):
    x, bias = cupy.asarray(np.ones((2, 3), np.float32)), cupy.asarray(np.ones(3, np.float32))
    out = cupy.empty((2, 3), np.float32)
    assert pyleaky.bias_act(x, bias, out=out, activation="leaky_relu") is out
    np.testing.assert_array_equal(out.get(), pyleaky.bias_act(x.get(), bias.get(), activation="leaky_relu"))
    assert pyleaky.bias_act_backward(x, x, bias, out=out, activation="leaky_relu")[0] is out
    with pytest.raises(TypeError, match=r"x is a cupy.ndarray, but bias is a numpy.ndarray"):
        pyleaky.bias_act(x, bias.get(), activation="leaky_relu")
    with pytest.raises(TypeError, match=r"grad is a cupy.ndarray, but mask is a numpy.ndarray"):
        pyleaky.bias_act_backward(x, mask=np.zeros(1, np.uint8), activation="leaky_relu")


# ---------------------------------------------------------------------------------------------- bad input

X = np.linspace(-1, 1, 6).reshape(2, 3)
BIAS = np.zeros(3)
MASK = np.zeros(1, np.uint8)
KNOWN = "activation must be one of 'linear', 'relu', 'leaky_relu', 'elu', 'selu', got "
BAD = [
    ({"bias": np.zeros(2)}, ValueError, r"bias has shape \(2,\), but x has 3 elements along axis 1"),
    ({"bias": np.zeros((1, 3))}, ValueError, r"bias has shape \(1, 3\), but x has 3 elements along axis 1"),
    ({"bias": 1.0}, ValueError, r"bias has shape \(\), but x has 3 elements along axis 1"),
    ({"bias": np.zeros(3, complex)}, TypeError, "bias has dtype complex128, expected"),
    ({"bias": ["a"]}, TypeError, "bias has dtype <U1, expected"),
    ({"axis": 2}, ValueError, "^axis 2 is out of bounds for array of dimension 2: expected -2 to 1$"),
    ({"axis": 1.0}, TypeError, "axis must be an integer, got float"),
    ({"activation": "swish"}, ValueError, KNOWN + "'swish'"),
    ({"activation": "lrelu"}, ValueError, KNOWN + "'lrelu'; did you mean 'leaky_relu'"),
    ({"activation": None}, TypeError, KNOWN + "NoneType"),
    ({"activation": ["relu"]}, TypeError, KNOWN + "list"),
    ({"negative_slope": None}, TypeError, "negative_slope must be a number, got NoneType"),
    ({"negative_slope": np.complex64(1 + 3j)}, TypeError, "negative_slope must be a number, got complex64"),
    ({"gain": 1 + 3j}, TypeError, "gain must be a number, got complex"),
    ({"gain": 10**400}, ValueError, "gain must be in the range of float64, got an integer of 1329 bits"),
    ({"clamp": np.array(None)}, TypeError, "clamp must be a number, got ndarray"),
    ({"negative_slope": np.ones(3)}, TypeError, r"negative_slope must be a number, got ndarray of shape \(3,\)"),
    ({"negative_slope": "0.1"}, TypeError, "negative_slope must be a number, got str"),
    ({"gain": 0}, ValueError, r"gain must be positive and finite, got 0\.0"),
    ({"gain": -1.0}, ValueError, r"gain must be positive and finite, got -1\.0"),
    ({"gain": np.inf}, ValueError, "gain must be positive and finite, got inf"),
    ({"gain": np.nan}, ValueError, "gain must be positive and finite, got nan"),
    ({"gain": "2"}, TypeError, "gain must be a number, got str"),
    ({"clamp": -0.5}, ValueError, r"clamp must be at least 0, got -0\.5"),
    ({"clamp": np.nan}, ValueError, "clamp must be at least 0, got nan"),
    ({"clamp": [1]}, TypeError, "clamp must be a number, got list"),
]
BAD_BACKWARD = [
    ({"x": None}, TypeError, "bias_act_backward takes exactly one of x and output, got neither"),
    ({"output": X}, TypeError, "bias_act_backward takes exactly one of x and output, got both"),
    ({"mask": MASK}, TypeError, "takes a mask with output or alone, not with x"),
    ({"x": None, "mask": MASK, "clamp": 1.0}, TypeError, "needs output beside mask for elu, for selu and with clamp"),
    ({"x": None, "mask": MASK, "activation": "elu"}, TypeError, "needs output beside mask for elu, for selu and with"),
    ({"x": None, "mask": np.zeros(2, np.uint8)}, ValueError, r"mask has 2 bytes, but grad of shape \(2, 3\) needs 1"),
    ({"x": None, "mask": np.zeros(1, bool)}, TypeError, "mask must be an array of uint8"),
    ({"x": None, "mask": np.zeros((1, 1), np.uint8)}, ValueError, "mask must be contiguous and have one dimension"),
    ({"x": X[:1]}, ValueError, r"grad has shape \(2, 3\), x has shape \(1, 3\); they must be equal"),
    ({"x": None, "output": X.T}, ValueError, r"grad has shape \(2, 3\), output has shape \(3, 2\)"),
    ({"x": None, "output": X, "negative_slope": -0.1}, ValueError, "with output alone, negative_slope must be at"),
    ({"x": None, "output": X, "negative_slope": np.nan}, ValueError, "with output alone, negative_slope must be at"),
    ({"x": None, "output": X, "gain": 0.5}, ValueError, r"with output alone, gain must be above 0\.5 .* got 0\.5"),
    ({"x": None, "output": X, "gain": 0.5, "activation": "elu"}, ValueError, "with output alone, gain must be above"),
    ({"x": X.astype("M8[s]")}, TypeError, "x has dtype datetime64"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_bad_input(bad, error, message):
    arguments = {"bias": BIAS, "activation": "leaky_relu", "clamp": 1.0, **bad}
    kept = X.copy()
    out = np.full_like(X, 7)
    for call in (
        lambda: pyleaky.bias_act(X, **arguments, out=out),
        lambda: pyleaky.bias_act_backward(X, X, **arguments, out=out),
        lambda: pyleaky.bias_act_double_backward(X, X, X, **arguments),
    ):
        with pytest.raises(error, match=message):
            call()
    assert (out == 7).all()
    np.testing.assert_array_equal(X, kept)


def test_the_activation_is_required():
    for call in (
        lambda: pyleaky.bias_act(X, BIAS),
        lambda: pyleaky.bias_act_backward(X, X, BIAS),
        lambda: pyleaky.bias_act_double_backward(X, X, X, BIAS),
    ):
        with pytest.raises(TypeError, match="activation"):
            call()


@pytest.mark.parametrize(("bad", "error", "message"), BAD_BACKWARD)
def test_bad_input_of_the_backward_function(bad, error, message):
    out = np.full_like(X, 7)
    with pytest.raises(error, match=message):
        pyleaky.bias_act_backward(X, **{"x": X, "bias": BIAS, "activation": "leaky_relu", **bad}, out=out)
    assert (out == 7).all()


def test_a_tensor_as_a_number_is_read_in_every_call(torch):
    gain = torch.tensor(2.0)
    np.testing.assert_array_equal(
        pyleaky.bias_act(X, gain=gain, activation="leaky_relu"), pyleaky.bias_act(X, gain=2.0, activation="leaky_relu")
    )
    gain.fill_(3)
    np.testing.assert_array_equal(
        pyleaky.bias_act(X, gain=gain, activation="leaky_relu"), pyleaky.bias_act(X, gain=3.0, activation="leaky_relu")
    )
    np.testing.assert_array_equal(
        pyleaky.bias_act_backward(X, X, gain=gain, activation="leaky_relu")[0], np.where(X > 0, 3 * X, 0.01 * (3 * X))
    )


EQUAL_NUMBERS = {
    "negative_slope": [0.0, -0.0, 0, False, np.float64(-0.0), np.array(0.0), 1.0, 1, True, np.float32(1)],
    "clamp": [0.0, -0.0, 0, False, np.float64(-0.0), np.array(0.0), 1.0, 1, True, np.float32(1)],
    "gain": [1.0, 1, True, np.float32(1), np.array(1)],
}


@pytest.mark.parametrize("argument", EQUAL_NUMBERS)
def test_equal_numbers_are_not_taken_for_each_other(argument):
    """In any order of calls the results are those of pyleaky.kernels, which keeps nothing from call to call."""
    x, bias = np.array([-2.0, -1.0, -0.0, 0.0, 1.0, 2.0]), np.zeros(1)
    none, dx, sums, y = np.empty(0, np.uint8), np.empty(6), np.empty(1), np.empty(6)
    numbers = {"negative_slope": 0.5, "gain": 1.5, "clamp": np.inf}
    activation = kernels.Activation.LEAKY_RELU
    for pair in itertools.permutations(EQUAL_NUMBERS[argument], 2):
        for value in pair:
            given = numbers | {argument: value}
            plain = [float(number) for number in given.values()]
            kernels.bias_act_f64(x, bias, 6, activation, *plain, y, none)
            kernels.bias_act_backward_f64(-x, x, bias, 6, activation, *plain, dx, sums)
            given |= {"activation": "leaky_relu", "axis": 0}
            assert_same_bits(pyleaky.bias_act(x[None], bias, **given)[0], y)
            assert_same_bits(pyleaky.bias_act_backward(-x[None], x[None], bias, **given)[0][0], dx)
            assert_same_bits(pyleaky.bias_act_double_backward(-x[None], x[None], x[None], bias, **given)[0][0], dx)


def test_gains_that_float32_cannot_hold():
    x, bias = X.astype(np.float32), BIAS.astype(np.float32)
    for gain in (1e-60, 1e60):
        assert np.isfinite(pyleaky.bias_act(X, BIAS, gain=gain, activation="leaky_relu")).all()
        with pytest.raises(ValueError, match="gain must be positive and finite in float32, where float32 is computed"):
            pyleaky.bias_act(x, bias, gain=gain, activation="leaky_relu")
    with pytest.raises(ValueError, match=r"gain must be above 0\.5"):
        pyleaky.bias_act_backward(x, bias=bias, output=x, gain=0.5 + 1e-12, activation="leaky_relu")


def test_outs_that_are_refused():
    fixed = np.zeros_like(X)
    fixed.flags.writeable = False
    for out, error, message in [
        (np.zeros((3, 2)), ValueError, r"out has shape \(3, 2\), the result has shape \(2, 3\)"),
        (np.zeros((2, 3), np.int64), TypeError, "out has dtype int64, to which the result's dtype float64"),
        (fixed, ValueError, "out is read-only"),
        ([0.0], TypeError, "out must be an array, got list"),
    ]:
        with pytest.raises(error, match=message):
            pyleaky.bias_act(X, BIAS, out=out, activation="leaky_relu")
        with pytest.raises(error, match=message):
            pyleaky.bias_act_backward(X, X, BIAS, out=out, activation="leaky_relu")


def test_shapes_of_the_double_backward_function():
    with pytest.raises(ValueError, match=r"gg has shape \(1, 3\), x has shape \(2, 3\)"):
        pyleaky.bias_act_double_backward(X[:1], X, X, BIAS, activation="elu")
    with pytest.raises(ValueError, match=r"grad has shape \(1, 3\), x has shape \(2, 3\)"):
        pyleaky.bias_act_double_backward(X, X[:1], X, BIAS, activation="leaky_relu")
