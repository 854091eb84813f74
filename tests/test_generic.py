"""Arrays of any other namespace: the semantics table on array-api-strict, JAX and PyTorch, and their differentiation.

A result's kind is the operand's; accuracy is that of the namespace's exp, so bounds are in units of the last place.
"""

import subprocess
import sys

import numpy as np
import pytest
import reference
from arrays import DTYPES, HALVES, any_bits, assert_same_bits, bfloat16, finfo, ulps_apart

import pyleaky
from pyleaky import _core

ROWS = list(_core.ROWS.values())
# Rows with an exponential, or with words that are computed in double on the CPU.
INEXACT = [row.name for row in ROWS if "_exp" in row.formula or "w_" in row.formula]


class Strict:
    name, dtypes, flushes = "array_api_strict", (np.float32, np.float64), False

    def __init__(self):
        self.xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")

    def asarray(self, array):
        return self.xp.asarray(np.array(array, order="C"))

    def to_numpy(self, array):
        return np.from_dlpack(array)


class Jax:
    # XLA's code for CPUs takes subnormals for 0.
    name, dtypes, flushes = "jax", (np.float32, *HALVES), True

    def __init__(self):
        self.xp = pytest.importorskip("jax", reason="JAX is not installed").numpy

    def asarray(self, array):
        return self.xp.asarray(array)

    def to_numpy(self, array):
        return np.asarray(array)


class Torch:
    name, dtypes, flushes = "torch", DTYPES, False

    def __init__(self):
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")

    def asarray(self, array):
        array = np.array(array, order="C")
        if array.dtype == bfloat16:
            return self.torch.from_numpy(array.view(np.int16)).view(self.torch.bfloat16)
        return self.torch.from_numpy(array)

    def to_numpy(self, array):
        array = array.detach()
        if array.dtype == self.torch.bfloat16:
            return array.view(self.torch.int16).numpy().view(bfloat16)
        return array.numpy()


LIBRARIES = (Strict, Jax, Torch)
every_dtype = pytest.mark.parametrize(
    ("lib", "dtype"),
    [(kind, dtype) for kind in LIBRARIES for dtype in kind.dtypes],
    indirect=["lib"],
    ids=lambda value: getattr(value, "name", np.dtype(value).name if value in DTYPES else None),
)


@pytest.fixture(params=LIBRARIES, ids=lambda kind: kind.name)
def lib(request):
    return request.param()


def both(lib, call, *arrays):
    """The call on NumPy's arrays and on the library's: pairs of results on the host."""
    expected, actual = call(*arrays), call(*map(lib.asarray, arrays))
    if not isinstance(expected, tuple):
        expected, actual = (expected,), (actual,)
    for got in actual:
        assert got is None or type(got).__module__.startswith(type(lib.asarray(arrays[0])).__module__)
    return [
        (np.asarray(wanted), lib.to_numpy(got)) for wanted, got in zip(expected, actual, strict=True) if got is not None
    ]


def assert_same(lib, call, *arrays):
    for wanted, got in both(lib, call, *arrays):
        assert_same_bits(got, wanted)


def assert_near(lib, call, *arrays, ulps=8):
    for wanted, got in both(lib, call, *arrays):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        assert ulps_apart(got, wanted).max(initial=0) <= ulps


def values(lib, rng, shape, dtype):
    with np.errstate(all="ignore"):
        x = any_bits(rng, shape, dtype)
        if lib.flushes:  # also what a product may make subnormal
            x = np.where(np.abs(x.astype(np.float64)) < 1e-15, dtype(1.5), x).astype(dtype)
    return x


# ---------------------------------------------------------------------------------------------- the semantics table


@every_dtype
def test_values_at_the_hard_places(lib, dtype):
    x = np.array([-np.inf, -1, -0.0, 0.0, 1, np.inf, np.nan], dtype)
    for call in (
        pyleaky.relu,
        lambda x: pyleaky.leaky_relu(x, 0.5),
        lambda x: pyleaky.leaky_relu(x, 0),
        lambda x: pyleaky.leaky_relu(x, -2.0),
        lambda x: pyleaky.leaky_relu(x, 2),
        lambda x: pyleaky.leaky_relu(x, np.nan),
        lambda x: pyleaky.prelu(x, 1e300),
        lambda x: pyleaky.relu_backward(x, x),
        lambda x: pyleaky.leaky_relu_backward(x, x, 0.5),
        lambda x: pyleaky.leaky_relu_backward(x, output=x, negative_slope=0.5),
    ):
        assert_same(lib, call, x)
    ones = np.ones(7, dtype)
    for call in (
        lambda x, one: pyleaky.elu(x, 0.5),
        lambda x, one: pyleaky.celu(x, 0.5),
        lambda x, one: pyleaky.selu(x),
        lambda x, one: pyleaky.elu_backward(one, x, 0.5),
        lambda x, one: pyleaky.celu_backward(one, x, 0.5),
        lambda x, one: pyleaky.selu_backward(one, x),
        lambda x, one: pyleaky.elu_double_backward(one, one, x, 0.5),
        lambda x, one: pyleaky.celu_double_backward(one, one, x, 0.5),
        lambda x, one: pyleaky.selu_double_backward(one, one, x),
    ):
        for wanted, got in both(lib, call, x, ones):
            np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted) | np.isnan(got) & np.signbit(got))
            np.testing.assert_allclose(got.astype(float), wanted.astype(float), rtol=4 * float(finfo(dtype).eps))


@pytest.mark.parametrize("lib", [kind for kind in LIBRARIES if not kind.flushes], indirect=True, ids=lambda k: k.name)
def test_subnormals_are_kept(lib):
    tiny = np.finfo(np.float32).smallest_subnormal
    assert_same(lib, lambda x: pyleaky.leaky_relu(x, 0.5), np.array([tiny, -tiny, -4 * tiny], np.float32))


@every_dtype
@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in INEXACT], ids=lambda row: row.name)
def test_rows_of_products_give_the_bits_of_the_cpu(lib, row, dtype):
    from pyleaky import _functions

    rng = np.random.default_rng(0)
    x = [values(lib, rng, 5000, dtype) for _ in row.inputs]

    def call(*arrays):
        return _functions._call(row.name, list(zip(row.inputs, arrays, strict=True)))

    # XLA's code for CPUs has no correctly rounded quotient.
    compare = assert_near if lib.name == "jax" and "v_div" in row.formula else assert_same
    compare(lib, call, *x)
    if row.parameters:
        for number in (0.1, -2, 1e300, np.float16(0.3), np.array(0.25)):
            compare(lib, lambda *arrays, number=number: call(*arrays, number), *x[:-1])


@every_dtype
@pytest.mark.parametrize("name", INEXACT)
def test_exponential_rows_are_near_the_reference(lib, name, dtype):
    from pyleaky import _functions

    row, rng = _core.ROWS[name], np.random.default_rng(0)
    arrays = [
        rng.choice([0.1, 0.5, 1, 1.5, 3], 5000).astype(dtype)
        if argument == "alpha"
        else rng.normal(0, 20 if argument == "x" else 2, 5000).astype(dtype)
        for argument in row.inputs
    ]
    result = lib.to_numpy(_functions._call(name, list(zip(row.inputs, map(lib.asarray, arrays), strict=True))))
    assert result.dtype == dtype
    # x / alpha is rounded once, which the exponential magnifies by x / alpha; nothing nearly subnormal.
    arrays = [array.astype(np.float32) if dtype in HALVES else array for array in arrays]
    exact = getattr(reference, name)(*arrays).astype(np.float64)
    seen = np.abs(exact) > max(10 * float(finfo(dtype).tiny), 1e-32)
    scale = np.maximum(1, np.abs(arrays[-2 if row.parameters else -1].astype(float)) * 10)
    error = np.abs(result.astype(float) - exact)[seen] / (float(finfo(dtype).eps) * np.abs(exact) * scale)[seen]
    assert error.max() <= (4 if dtype not in HALVES else 0.51)


def test_integers_and_bool_give_the_widest_type(lib):
    for dtype in (np.int8, np.uint8, np.int32, bool):
        x = np.array([-3, 0, 2, 100]).astype(dtype)
        wide = np.float32 if lib.name == "jax" else np.float64
        for call in (pyleaky.relu, lambda x: pyleaky.leaky_relu(x, 0.5), lambda x: pyleaky.dropout(x, seed=1)):
            got = lib.to_numpy(call(lib.asarray(x)))
            assert got.dtype == wide
            np.testing.assert_array_equal(got, call(x).astype(wide))


@every_dtype
def test_numbers_do_not_change_the_dtype(lib, dtype):
    x = np.array([-3.0, 2.0, -0.7], dtype)
    numbers = [0.3, 2, np.float64(0.3), np.float16(0.3), np.array(0.3)]
    for number in numbers:
        assert_same(lib, lambda x, number=number: pyleaky.leaky_relu(x, number), x)
    own = lib.asarray(np.array(0.25, np.float32))  # of no dimensions
    assert_same_bits(lib.to_numpy(pyleaky.leaky_relu(lib.asarray(x), own)), pyleaky.leaky_relu(x, 0.25))


def test_dtypes_that_meet(lib):
    single = np.array([-2.0, 3.0], np.float32)
    if np.float64 in lib.dtypes:
        assert_same(lib, pyleaky.leaky_relu_backward, single, single.astype(np.float64))
    assert_same(lib, pyleaky.relu_backward, single, np.array([-1, 1], np.int8))
    if np.float16 in lib.dtypes:
        assert_same(lib, lambda x: pyleaky.leaky_relu(x, 0.3, dtype=np.float16), single)
        assert_same(lib, pyleaky.leaky_relu_backward, single.astype(np.float16), single)
        assert_same(lib, pyleaky.leaky_relu_backward, single.astype(np.float16), single.astype(bfloat16))


def test_shapes_and_broadcasting(lib):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 3, 5)).astype(np.float32), rng.normal(size=(3, 1)).astype(np.float32)
    assert_same(lib, pyleaky.leaky_relu, x, w)
    assert_same(lib, pyleaky.leaky_relu, x[:0], w)
    assert_same(lib, lambda x: pyleaky.relu(x), x[0, 0, 0:1].reshape(()))
    assert_same(lib, lambda x, w: pyleaky.prelu(x, w, axis=1), x, w[:, 0])
    assert_same(lib, lambda x, w: pyleaky.prelu(x, w, axis=(2, 0)), x, rng.normal(size=(5, 4)).astype(np.float32))


PRELU = {
    "axis": ((3,), {"axis": 1}),
    "last": ((5,), {"axis": -1}),
    "two": ((5, 4), {"axis": (2, 0)}),
    "broadcast": ((3, 1), {}),
    "each": ((4, 3, 5), {}),
    "one": ((1,), {}),
}


@every_dtype
@pytest.mark.parametrize(("shape", "options"), PRELU.values(), ids=PRELU)
def test_prelu_backward(lib, shape, options, dtype):
    rng = np.random.default_rng(0)
    grad, x = (rng.normal(size=(4, 3, 5)).astype(dtype) for _ in range(2))
    weight = rng.normal(size=shape).astype(dtype)
    results = both(lib, lambda g, x, w: pyleaky.prelu_backward(g, x, w, **options), grad, x, weight)
    assert_same_bits(results[0][1], results[0][0])
    assert results[1][1].dtype == dtype
    assert results[1][1].shape == shape
    np.testing.assert_allclose(
        results[1][1].astype(float), results[1][0].astype(float), rtol=2 * float(finfo(dtype).eps), atol=1e-6
    )
    wanted, got = both(lib, lambda g, x: pyleaky.prelu_backward(g, x, 0.3), grad, x)[1]
    assert got.dtype == dtype
    assert got.shape == ()
    np.testing.assert_allclose(got.astype(float), wanted.astype(float), rtol=2 * float(finfo(dtype).eps), atol=1e-6)


@every_dtype
def test_random_numbers_are_those_of_the_cpu(lib, dtype):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(7, 6, 5)).astype(dtype) for _ in range(2))
    for seed, start in [(0, 0), (1, 3), (2**63 + 5, 2**34 - 7), (2**64 - 1, 2**64 - 300), (5, 2**34 * 2**28 - 2)]:
        for p in (0, 0.3, 1 - 2**-32, 1.0):
            assert_same(lib, lambda x: pyleaky.dropout(x, p, seed=seed, start=start), x)  # noqa: B023
        assert_same(lib, lambda x: pyleaky.dropout_backward(x, 0.5, seed=seed, start=start), grad)  # noqa: B023
        near = {"ulps": 2}  # XLA may contract a product and a sum
        assert_near(lib, lambda x: pyleaky.rrelu(x, seed=seed, start=start), x, **near)  # noqa: B023
        assert_near(lib, lambda g, x: pyleaky.rrelu_backward(g, x, seed=seed, start=start), grad, x, **near)  # noqa: B023
    assert_same(lib, lambda x: pyleaky.dropout(x, 0.5, training=False), x)
    assert_same(lib, lambda x: pyleaky.dropout(x, seed=1), x[:0])


@every_dtype
@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu", "elu", "selu"])
def test_bias_act(lib, activation, dtype):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(4, 3, 5)).astype(dtype) for _ in range(2))
    bias = rng.normal(size=3).astype(dtype)
    eps = float(finfo(dtype).eps)
    for options in ({"negative_slope": 0.2, "gain": None}, {"gain": 3.0, "clamp": 1.5}):
        options = {"activation": activation, **options}
        for call in (
            lambda g, x, b: pyleaky.bias_act(x, b, **options),  # noqa: B023
            lambda g, x, b: pyleaky.bias_act(x, **options),  # noqa: B023
            lambda g, x, b: pyleaky.bias_act_backward(g, x, b, **options),  # noqa: B023
            lambda g, x, b: pyleaky.bias_act_backward(g, x, **options),  # noqa: B023
            lambda g, x, b: pyleaky.bias_act_backward(g, output=pyleaky.bias_act(x, b, **options), bias=b, **options),  # noqa: B023
            lambda g, x, b: pyleaky.bias_act_double_backward(g, g, x, b, **options),  # noqa: B023
        ):
            for wanted, got in both(lib, call, grad, x, bias):
                assert got.dtype == dtype
                assert got.shape == wanted.shape
                np.testing.assert_allclose(got.astype(float), wanted.astype(float), rtol=8 * eps, atol=32 * eps)


# ---------------------------------------------------------------------------------------------- differentiation

FUNCTIONS = {
    "relu": (pyleaky.relu, lambda g, x: pyleaky.relu_backward(g, x)),
    "leaky_relu": (lambda x: pyleaky.leaky_relu(x, 0.3), lambda g, x: pyleaky.leaky_relu_backward(g, x, 0.3)),
    "elu": (lambda x: pyleaky.elu(x, 0.7), lambda g, x: pyleaky.elu_backward(g, x, 0.7)),
    "celu": (lambda x: pyleaky.celu(x, 0.7), lambda g, x: pyleaky.celu_backward(g, x, 0.7)),
    "selu": (pyleaky.selu, lambda g, x: pyleaky.selu_backward(g, x)),
    "dropout": (lambda x: pyleaky.dropout(x, seed=1), lambda g, x: pyleaky.dropout_backward(g, seed=1)),
    "rrelu": (lambda x: pyleaky.rrelu(x, seed=1), lambda g, x: pyleaky.rrelu_backward(g, x, seed=1)),
    "bias_act": (
        lambda x: pyleaky.bias_act(x, clamp=2.0, axis=0, activation="leaky_relu"),
        lambda g, x: pyleaky.bias_act_backward(g, x, clamp=2.0, axis=0, activation="leaky_relu")[0],
    ),
}
# At 0 and NaN too, where the rules say what the derivative is; far out, where an exponential would overflow.
POINTS = np.array([-np.inf, -200, -1, -0.3, -0.0, 0.0, 0.5, 1, 3, 200, np.inf, np.nan], np.float32)
every_pair = pytest.mark.parametrize(("forward", "backward"), FUNCTIONS.values(), ids=FUNCTIONS)


@every_pair
def test_jax_jit_grad_and_vmap(forward, backward):
    lib = Jax()
    import jax

    x, grad = lib.asarray(POINTS), lib.asarray(np.linspace(0.5, 2, POINTS.size, dtype=np.float32))
    expected = backward(np.asarray(grad), POINTS)

    def loss(x):
        return (forward(x) * grad)[np.isfinite(expected)].sum()

    for derivative in (jax.grad(loss), jax.jit(jax.grad(loss))):
        got = np.asarray(derivative(x))
        np.testing.assert_allclose(got[np.isfinite(expected)], expected[np.isfinite(expected)], rtol=2e-6)
    eager = np.asarray(forward(x))
    np.testing.assert_allclose(np.asarray(jax.jit(forward)(x)), eager, rtol=2e-6)
    if forward is not FUNCTIONS["bias_act"][0]:
        np.testing.assert_allclose(np.asarray(jax.vmap(forward)(x[None]))[0], eager, rtol=2e-6)
    np.testing.assert_allclose(np.asarray(jax.jit(backward)(grad, x)), expected, rtol=2e-6, atol=1e-30)


def test_jax_derivatives_by_parameters_and_second_ones():
    lib = Jax()
    import jax

    rng = np.random.default_rng(0)
    x, grad = (lib.asarray(rng.normal(size=(4, 3, 5)).astype(np.float32)) for _ in range(2))
    weight = lib.asarray(rng.normal(size=3).astype(np.float32))

    def by_weight(weight):
        return (pyleaky.prelu(x, weight, axis=1) * grad).sum()

    expected = pyleaky.prelu_backward(*map(np.asarray, (grad, x, weight)), axis=1)[1]
    np.testing.assert_allclose(jax.jit(jax.grad(by_weight))(weight), expected, rtol=1e-5)
    slope = jax.jit(jax.grad(lambda slope: (pyleaky.leaky_relu(x, slope) * grad).sum()))(0.3)
    np.testing.assert_allclose(slope, pyleaky.prelu_backward(np.asarray(grad), np.asarray(x), 0.3)[1], rtol=1e-5)
    for name in ("elu", "celu", "selu"):
        alpha = (0.7,) * (name != "selu")
        first, second = jax.vjp(lambda g, x: getattr(pyleaky, f"{name}_backward")(g, x, *alpha), grad, x)[1](x)  # noqa: B023
        expected = getattr(pyleaky, f"{name}_double_backward")(*map(np.asarray, (x, grad, x)), *alpha)
        np.testing.assert_allclose(first, expected[0], rtol=1e-5)
        np.testing.assert_allclose(second, expected[1], rtol=1e-5, atol=1e-6)


def test_jax_seeds_that_are_arguments_of_jit_and_vmap():
    lib = Jax()
    import jax

    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=(7, 6, 5)).astype(np.float32) for _ in range(2))
    traced = []

    @jax.jit
    def dropout(x, seed):
        traced.append(seed)
        return pyleaky.dropout(x, 0.3, seed=seed, start=3)

    backward = jax.jit(lambda grad, seed: pyleaky.dropout_backward(grad, 0.3, seed=seed, start=3))
    rrelu = jax.jit(lambda x, seed: pyleaky.rrelu(x, seed=seed))
    derivative = jax.jit(jax.grad(lambda x, seed: (pyleaky.dropout(x, 0.3, seed=seed, start=3) * grad).sum()))
    for seed in (0, 5, 2**31 - 1, 2**31, 2**32 - 1):
        number = np.uint32(seed)
        assert_same_bits(np.asarray(dropout(x, number)), pyleaky.dropout(x, 0.3, seed=seed, start=3))
        expected = pyleaky.dropout_backward(grad, 0.3, seed=seed, start=3)
        assert_same_bits(np.asarray(backward(grad, number)), expected)
        np.testing.assert_array_equal(derivative(x, number), expected)
        np.testing.assert_allclose(rrelu(x, number), pyleaky.rrelu(x, seed=seed), rtol=1e-6)
    assert len(traced) == 1
    assert_same_bits(np.asarray(dropout(x, 5)), pyleaky.dropout(x, 0.3, seed=5, start=3))
    seeds = lib.asarray(np.arange(7, dtype=np.uint32))
    each = jax.vmap(lambda x, seed: pyleaky.dropout(x, 0.5, seed=seed))(lib.asarray(x), seeds)
    for k, row in enumerate(each):
        assert_same_bits(np.asarray(row), pyleaky.dropout(x[k], 0.5, seed=k))
    y, seed = jax.jit(lambda x, seed: pyleaky.dropout(x, 0.5, seed=seed, return_seed=True))(x, 9)
    assert_same_bits(np.asarray(y), pyleaky.dropout(x, 0.5, seed=int(seed)))


JAX_64_BITS = """
import jax, numpy as np, pyleaky
jax.config.update("jax_enable_x64", True)
x = np.random.default_rng(0).normal(size=(7, 6))
dropout = jax.jit(lambda x, seed: pyleaky.dropout(x, 0.3, seed=seed))
for seed in (0, 2**31, 2**32 + 7, 2**63 - 1, np.uint64(2**64 - 1), np.int8(5)):
    np.testing.assert_array_equal(dropout(x, seed), pyleaky.dropout(x, 0.3, seed=seed))
"""


def test_jax_seeds_of_64_bits():
    Jax()
    subprocess.run([sys.executable, "-c", JAX_64_BITS], check=True)


def test_jax_seeds_that_are_refused():
    lib = Jax()
    import jax

    x = lib.asarray(np.ones(3, np.float32))
    message = r"seed must be an integer or a numpy\.random\.Generator, got "
    for bad in (0.5, True, np.arange(3)):
        for call in (pyleaky.dropout, pyleaky.dropout_backward, pyleaky.rrelu):
            with pytest.raises(TypeError, match=message + "DynamicJaxprTracer"):
                jax.jit(lambda seed: call(x, seed=seed))(bad)  # noqa: B023
    with pytest.raises(TypeError, match=message + "PRNGKeyArray"):
        pyleaky.dropout(x, seed=jax.random.key(0))
    with pytest.raises(TypeError, match=r"seed is a jax.*Tracer, but x is a numpy\.ndarray; move one of them"):
        jax.jit(lambda seed: pyleaky.dropout(np.ones(3), seed=seed))(1)


@every_pair
def test_torch_autograd(forward, backward):
    lib = Torch()
    x = lib.asarray(POINTS).requires_grad_()
    grad = lib.asarray(np.linspace(0.5, 2, POINTS.size, dtype=np.float32))
    y = forward(x)
    assert y.requires_grad
    expected = backward(grad.numpy(), POINTS)
    seen = np.isfinite(expected)
    (got,) = lib.torch.autograd.grad(y, x, lib.torch.where(lib.asarray(seen), grad, 0.0))
    np.testing.assert_allclose(got.numpy()[seen], expected[seen], rtol=2e-6)


def test_torch_gradcheck():
    lib = Torch()
    x = lib.torch.tensor([-2.0, -0.5, 0.7, 3.0], dtype=lib.torch.float64, requires_grad=True)
    weight = lib.torch.tensor([0.3, -0.2, 0.5, 1.5], dtype=lib.torch.float64, requires_grad=True)
    for call in (lambda x, w: pyleaky.prelu(x, w), lambda x, w: pyleaky.elu(x, w), lambda x, w: pyleaky.celu(x, w)):
        assert lib.torch.autograd.gradcheck(call, (x, weight))
        assert lib.torch.autograd.gradgradcheck(call, (x, weight))


# ---------------------------------------------------------------------------------------------- errors and imports


def test_bad_input(lib):
    x = lib.asarray(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    kind, module = f"{type(x).__module__}.{type(x).__qualname__}", lib.name
    for error, message, call in [
        (TypeError, f"x is a {kind}, but weight is a numpy.ndarray; move one of them with {module}'s asarray",
         lambda: pyleaky.prelu(x, np.ones(3))),
        (TypeError, f"x is a {kind}, but grad is a numpy.ndarray", lambda: pyleaky.relu_backward(np.ones((2, 3)), x)),
        (TypeError, f"x is a {kind}, but bias is a numpy.ndarray",
         lambda: pyleaky.bias_act(x, [1.0] * 3, activation="leaky_relu")),
        (TypeError, "x has dtype complex64, expected float16, bfloat16, float32, float64, an integer dtype or bool",
         lambda: pyleaky.relu(lib.asarray(np.ones(3, np.complex64)))),
        (TypeError, "x has dtype complex64, expected", lambda: pyleaky.dropout(lib.asarray(np.ones(3, "F")), seed=1)),
        (TypeError, "out is for NumPy and CuPy arrays only|but out is a", lambda: pyleaky.relu(x, out=x)),
        (TypeError, "where is for NumPy and CuPy arrays only", lambda: pyleaky.relu(x, where=x > 0)),
        (TypeError, "out is for NumPy and CuPy arrays only", lambda: pyleaky.dropout(x, seed=1, out=x)),
        (TypeError, "x must be a NumPy or CuPy array", lambda: pyleaky.relu(x, return_mask=True)),
        (TypeError, "a mask goes with NumPy and CuPy arrays",
         lambda: pyleaky.bias_act_backward(x, output=x, mask=x, activation="leaky_relu")),
        (TypeError, "return_mask=True is for NumPy and CuPy arrays",
         lambda: pyleaky.bias_act(x, return_mask=True, activation="leaky_relu")),
        (TypeError, "dtype is .*int.*, expected one of float16", lambda: pyleaky.relu(x, dtype=np.int32)),
        (ValueError, r"grad has shape \(2,\), x has shape \(2, 3\)", lambda: pyleaky.relu_backward(x[:, 0], x)),
        (ValueError, r"bias has shape \(2,\), but x has 3",
         lambda: pyleaky.bias_act(x, x[:, 0], activation="leaky_relu")),
        (ValueError, "weight has shape", lambda: pyleaky.prelu(x, x[:, 0], axis=1)),
        (ValueError, "gain must be positive and finite in float32",
         lambda: pyleaky.bias_act(x, gain=1e-60, activation="leaky_relu")),
        (ValueError, "axis 2 is out of bounds", lambda: pyleaky.bias_act(x, x[0, :], axis=2, activation="leaky_relu")),
        (ValueError, "gain must be above 0.5",
         lambda: pyleaky.bias_act_backward(x, output=x, gain=0.5, activation="leaky_relu")),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()


def test_out_and_masks_point_to_the_functions_for_tensors():
    x = Torch().asarray(np.ones(3, np.float32)).requires_grad_()
    hint = r"; pyleaky\.torch has the activations for tensors, and {}\.detach\(\)\.numpy\(\) is an array without"
    for argument, message, call in [
        ("out", "^out is for NumPy and CuPy arrays only", lambda: pyleaky.relu(x, out=x)),
        ("out", "^out is for NumPy and CuPy arrays only", lambda: pyleaky.dropout(x, seed=1, out=x)),
        ("out", "^out is for NumPy and CuPy arrays only", lambda: pyleaky.bias_act(x, out=x, activation="leaky_relu")),
        ("where", "^where is for NumPy and CuPy arrays only", lambda: pyleaky.relu(x, where=x)),
        (
            "grad",
            "^a mask goes with .*got torch.Tensor",
            lambda: pyleaky.bias_act_backward(x, output=x, mask=x, activation="leaky_relu"),
        ),
        ("mask", "^mask must be an array of uint8.*got torch.Tensor", lambda: pyleaky.relu_backward(x, mask=x)),
    ]:
        with pytest.raises(TypeError, match=message + ".*" + hint.format(argument)):
            call()


def test_two_namespaces_do_not_mix():
    strict, torch = Strict(), Torch()
    x, y = (lib.asarray(np.ones(3, np.float32)) for lib in (strict, torch))
    with pytest.raises(TypeError, match=r"grad is a array_api_strict.*, but x is a torch\.Tensor"):
        pyleaky.relu_backward(x, y)


def test_arrays_inside_of_xarray_are_named_as_they_were_given():
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    strict = Strict()
    x, slope = xarray.DataArray(np.ones((2, 3), np.float32)), strict.asarray(np.ones(3, np.float32))
    for argument, call in {"negative_slope": pyleaky.leaky_relu, "weight": pyleaky.prelu, "alpha": pyleaky.elu}.items():
        with pytest.raises(TypeError, match=rf"^{argument} is a array_api_strict.*, but x is a numpy\.ndarray"):
            call(x, slope)


def test_objects_that_are_no_arrays():
    for call in (
        pyleaky.relu,
        pyleaky.selu,
        lambda x: pyleaky.bias_act(x, activation="relu"),
        lambda x: pyleaky.dropout(x, seed=1),
        lambda x: pyleaky.rrelu(x, seed=1),
        lambda x: pyleaky.relu_backward(x, x),
        lambda x: pyleaky.prelu_backward(x, x, 0.1),
        lambda x: pyleaky.bias_act_backward(x, x, activation="leaky_relu"),
    ):
        for bad in (object(), {}, None, lambda: 0):
            with pytest.raises(TypeError, match=r"^(x|grad) must be an array, a number .*, got|exactly one of x"):
                call(bad)
        with pytest.raises(TypeError, match=r"^(x|grad) has dtype .*, expected float16"):
            call("text")


def test_formulas_are_words_and_nothing_else():
    import ast

    from pyleaky import _generic

    for bad in ("__import__('os')", "x.real", "v_mul(x, y=2)", "[x]", "v_unknown(x)", "'text'", "x + x"):
        with pytest.raises(ValueError, match="a formula of the table has"):
            _generic._parsed(ast.parse(bad, mode="eval"))


ABSENT = """
import sys
import numpy as np
import pyleaky
sys.modules["array_api_compat"] = None
try:
    import torch
except ImportError:
    print("no torch")
else:
    for call in (
        lambda x: pyleaky.relu(x),
        lambda x: pyleaky.relu_backward(x, x),
        lambda x: pyleaky.dropout(x, seed=1),
        lambda x: pyleaky.bias_act(x, activation="relu"),
    ):
        try:
            call(torch.ones(3, requires_grad=True))
        except TypeError as error:
            print(error, end="|")
    print()
unwanted = ("pyleaky._dask", "pyleaky._containers", "jax")
print(pyleaky.relu(np.ones(1)), [name for name in unwanted if name in sys.modules])
"""


def test_nothing_is_imported_that_is_not_needed():
    result = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True)
    lines = result.stdout.splitlines()
    needed = (
        "{0} must be a NumPy or CuPy array where array-api-compat is not installed (pip install 'pyleaky[array-api]'), "
        "got torch.Tensor that requires grad; pyleaky.torch has the activations for tensors, and {0}.detach().numpy() "
        "is an array without gradient|"
    )
    assert lines[0] in ("".join(map(needed.format, ("x", "grad", "x", "x"))), "no torch")
    assert lines[1] == "[1.] []"
