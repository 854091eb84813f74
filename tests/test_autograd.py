"""JAX's and PyTorch's automatic differentiation against the backward functions on NumPy arrays, over the whole range.

Every function, dtype and kind of number; the judge for derivatives with respect to alpha is mpmath.
"""

import contextlib

import mpmath
import numpy as np
import pytest
from arrays import HALVES, bfloat16, finfo, ulps_apart
from test_generic import Jax, Torch

import pyleaky

ALPHAS = [0.7, 1, 2.5, -0.5, 1e-2, 1e-4, 1e5, 1e-20, 1e10]
# Forward and backward with alpha, and its values; the double backward is 0 where there is none.
FUNCTIONS = {
    "relu": (lambda x, a: pyleaky.relu(x), lambda g, x, a: pyleaky.relu_backward(g, x), None, [1]),
    "leaky_relu": (pyleaky.leaky_relu, pyleaky.leaky_relu_backward, None, [*ALPHAS, 0, np.inf, np.nan]),
    "elu": (pyleaky.elu, pyleaky.elu_backward, pyleaky.elu_double_backward, [*ALPHAS, 0]),
    "celu": (pyleaky.celu, pyleaky.celu_backward, pyleaky.celu_double_backward, ALPHAS),
    "selu": (
        lambda x, a: pyleaky.selu(x),
        lambda g, x, a: pyleaky.selu_backward(g, x),
        lambda gg, g, x, a: pyleaky.selu_double_backward(gg, g, x),
        [1],
    ),
    "rrelu": (
        lambda x, a: pyleaky.rrelu(x, seed=1, lower=0.25, upper=0.25),
        lambda g, x, a: pyleaky.rrelu_backward(g, x, seed=1, lower=0.25, upper=0.25),
        None,
        [1],
    ),
    "dropout": (
        lambda x, a: pyleaky.dropout(x, seed=1),
        lambda g, x, a: pyleaky.dropout_backward(g, seed=1),
        None,
        [1],
    ),
}
MAGNITUDES = [0, 1e-30, 1e-5, 0.01, 0.5, 0.69, 0.7, 1, 3, 10, 16.6, 18, 39.9, 40.1, 60, 79.9, 80.1, 87, 88, 104, 110]
MAGNITUDES += [150, 175, 200, 226, 290, 400, 599, 601, 709, 745, 1000, 1500, 2000, 1e30, np.inf]

FEWER = [
    -np.inf,
    -1e30,
    -1000,
    -601,
    -226,
    -150,
    -104,
    -80.1,
    -60,
    -18,
    -3,
    -0.7,
    -0.5,
    -1e-5,
    -0.0,
    0,
    1,
    np.inf,
    np.nan,
]


@contextlib.contextmanager
def of(library, dtype):
    """A library, JAX with its 64 bits enabled where they are needed."""
    lib = library()
    if lib.name == "jax" and dtype is np.float64:
        import jax

        jax.config.update("jax_enable_x64", True)
        try:
            yield lib
        finally:
            jax.config.update("jax_enable_x64", False)
    else:
        yield lib


every_library = pytest.mark.parametrize("library", [Jax, Torch], ids=lambda kind: kind.name)
two_dtypes = pytest.mark.parametrize("dtype", [np.float32, bfloat16], ids=["float32", "bfloat16"])


def points(lib, dtype):
    info = finfo(dtype)
    sizes = [*MAGNITUDES, float(info.tiny), float(info.max)]
    if not lib.flushes:
        sizes.append(float(info.smallest_subnormal))
    return [sign * size for size in sizes for sign in (1, -1)] + [np.nan]


def gradients(dtype):
    info = finfo(dtype)
    return [0, -0.0, 1, -2, 0.3, 1e10, 1e30, 1e-30, float(info.max), float(info.tiny), np.inf, -np.inf, np.nan]


def grid(lib, dtype, *values):
    """Each combination of the values, in as many arrays of one dimension; nothing that the library flushes."""
    with np.errstate(all="ignore"):
        values = [np.array(numbers, float).astype(dtype) for numbers in values]
    if lib.flushes:
        values = [v[(v == 0) | ~(np.abs(v.astype(float)) < float(finfo(dtype).tiny))] for v in values]
    return [array.ravel() for array in np.meshgrid(*values, indexing="ij")]


def assert_near(lib, got, expected, *inputs, factor=1.0):
    """Within 8 ULP; a library may flush a result that is subnormal, or that was before it was divided by a factor."""
    got, expected = lib.to_numpy(got), np.asarray(expected)
    assert got.shape == expected.shape
    apart = ulps_apart(got, expected)
    if lib.flushes:
        tiny = float(finfo(expected.dtype).tiny) * 1.001 / factor
        apart[(np.abs(got.astype(float)) <= tiny) & (np.abs(expected.astype(float)) <= tiny)] = 0
    worst = np.unravel_index(np.argmax(apart), apart.shape)
    assert apart[worst] <= 8, f"{got[worst]} for {expected[worst]} from {[float(array[worst]) for array in inputs]}"


def vjp(lib, function, inputs, grad):
    """The gradients with respect to the inputs; differentiable itself."""
    if lib.name == "jax":
        import jax

        return jax.vjp(function, *inputs)[1](grad)
    inputs = [x if x.requires_grad else x.clone().requires_grad_() for x in inputs]
    result = function(*inputs)
    if not result.requires_grad:
        return [lib.torch.zeros_like(x) for x in inputs]
    results = lib.torch.autograd.grad(result, inputs, grad, create_graph=True, allow_unused=True)
    return [lib.torch.zeros_like(x) if y is None else y for x, y in zip(inputs, results, strict=True)]


def run(lib, function, *arrays):
    arrays = map(lib.asarray, arrays)
    if lib.name == "jax":
        import jax

        function = jax.jit(function)
    return function(*arrays)


@every_library
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, np.float32) for name in FUNCTIONS),
        *((name, np.float64) for name in ("elu", "celu", "selu")),
        *(("elu", half) for half in HALVES),
    ],
    ids=lambda value: value if isinstance(value, str) else np.dtype(value).name,
)
def test_derivatives_are_those_of_the_backward_functions(library, name, dtype):
    forward, backward, double_backward, alphas = FUNCTIONS[name]
    with of(library, dtype) as lib:
        first = grid(lib, dtype, points(lib, dtype), gradients(dtype), [1], alphas)
        grad, gg = gradients(dtype), [0, -0.7, 1e10, 1e30, 1e-30, np.inf]
        alphas = [alpha for alpha in alphas if alpha != 0]  # gg * grad may be infinite
        if lib.name == "jax":  # where gg * grad comes first only where exp(x) does not underflow
            grad, gg, alphas = [0, 1, -2, 0.3, 1e5, np.inf, np.nan], [0, 1, -0.7, 1e5, np.inf], [0.7, 1, 2.5, 1e-2]
        second = grid(lib, dtype, FEWER, grad, gg, alphas)
        x, grad, gg, alpha = (np.concatenate(parts) for parts in zip(first, second, strict=True))

        def derivatives(x, g, gg, a):
            def once(g, x):
                return vjp(lib, lambda x: forward(x, a), [x], g)[0]

            def of_backward(g, x):
                return backward(g, x, a)

            return once(g, x), of_backward(g, x), *vjp(lib, once, [g, x], gg), *vjp(lib, of_backward, [g, x], gg)

        got = list(run(lib, derivatives, x, grad, gg, alpha))
        for one in got[:2]:
            assert_near(lib, one, backward(grad, x, alpha), x, grad, alpha)
        if double_backward is None:
            expected = backward(gg, x, alpha), np.zeros_like(x)
        else:
            expected = double_backward(gg, grad, x, alpha)
        start = len(first[0])
        inputs = [array[start:] for array in (x, grad, gg, alpha)]
        for one, wanted in zip(got[2:], 2 * expected, strict=True):
            assert_near(
                lib, one[start:], wanted[start:], *inputs, factor=np.minimum(1, np.abs(inputs[-1].astype(float)))
            )


@every_library
@two_dtypes
def test_derivatives_by_the_weight(library, dtype):
    with of(library, dtype) as lib:
        x, grad, weight = grid(lib, dtype, points(lib, dtype), gradients(dtype), [0.7, -2, 0, 1e30, np.inf, np.nan])
        expected = pyleaky.prelu_backward(grad, x, weight)
        got = run(lib, lambda x, g, w: vjp(lib, pyleaky.prelu, [x, w], g), x, grad, weight)
        for one, wanted in zip(got, expected, strict=True):
            assert_near(lib, one, wanted, x, grad, weight)


# Of NAME and of NAME_backward where grad is 1, with respect to alpha.
BY_ALPHA = {
    "elu": (mpmath.expm1, mpmath.exp, lambda x, a: (x,)),
    "celu": (
        lambda q, a: mpmath.expm1(q) - q * mpmath.exp(q),
        lambda q, a: -q / a * mpmath.exp(q),
        lambda x, a: (x / a, a),
    ),
}


@every_library
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BY_ALPHA)
def test_derivatives_by_alpha(library, dtype, name):
    of_forward, of_backward, arguments = BY_ALPHA[name]
    forward, backward, _, _ = FUNCTIONS[name]
    with of(library, dtype) as lib, mpmath.workprec(300):
        numbers = [-np.inf, -1e30, -200, -80, -18, -2, 0.5, 1000, np.inf, *-np.logspace(-5, 2, 15)]
        x, grad, alpha = grid(lib, dtype, numbers, [1, -2, 1e10], [0.7, 1, 2.5, 1e-2, 1e5])

        def exact(derivative):
            with np.errstate(all="ignore"):
                return np.array(
                    [
                        float(derivative(*arguments(mpmath.mpf(max(v, -1e9)), mpmath.mpf(a))) * g) if v <= 0 else 0.0
                        for v, g, a in zip(*(array.astype(float).tolist() for array in (x, grad, alpha)), strict=True)
                    ]
                ).astype(dtype)

        def derivatives(x, g, a, one):
            def by_x(a):
                return vjp(lib, lambda x: forward(x, a), [x], one)[0]

            def by_alpha(x):
                return vjp(lib, lambda a: forward(x, a), [a], one)[0]

            return (
                *vjp(lib, lambda a: forward(x, a), [a], g),
                *vjp(lib, lambda a: backward(g, x, a), [a], one),
                *vjp(lib, by_x, [a], g),
                *vjp(lib, by_alpha, [x], g),
            )

        got = run(lib, derivatives, x, grad, alpha, np.ones_like(x))
        expected = exact(of_forward), *[exact(of_backward)] * 3
        for one, wanted in zip(got, expected, strict=True):
            seen = (wanted == 0) | (np.abs(wanted) > 1e3 * finfo(dtype).tiny)  # exp(x / alpha) is not subnormal
            assert_near(lib, one[lib.asarray(seen)], wanted[seen], x[seen], grad[seen], alpha[seen])


@every_library
@two_dtypes
@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "selu"])
def test_bias_act(library, dtype, activation):
    with of(library, dtype) as lib:
        x, grad, gg = grid(
            lib, dtype, points(lib, dtype), [0, 1, -2, 0.3, 1e3, np.inf, np.nan], [0, 1, -0.7, 1e3, np.inf]
        )
        x, grad, gg = (array[None] for array in (x, grad, gg))
        bias = np.zeros(x.shape[1], dtype)
        bias[::3] = 0.25
        for gain, clamp in ((3.0, 1.5), (0.7, None))[: 1 if dtype is bfloat16 else 2]:
            options = {"activation": activation, "negative_slope": 0.2, "gain": gain, "clamp": clamp}

            def derivatives(x, g, gg, b):
                def first(x, b, g):
                    return vjp(lib, lambda x, b: pyleaky.bias_act(x, b, **options), [x, b], g)  # noqa: B023

                def backward(g, x):
                    return pyleaky.bias_act_backward(g, x, b, **options)[0]  # noqa: B023

                second = vjp(lib, lambda g, x: first(x, b, g)[0], [g, x], gg)
                return *first(x, b, g), *second, *vjp(lib, backward, [g, x], gg)

            second = pyleaky.bias_act_double_backward(gg, grad, x, bias, **options)[:2]
            expected = *pyleaky.bias_act_backward(grad, x, bias, **options), *second, *second
            for got, wanted in zip(run(lib, derivatives, x, grad, gg, bias), expected, strict=True):
                assert_near(lib, got.reshape(x.shape), wanted.reshape(x.shape), x, grad, gg)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of PyTorch's own
@pytest.mark.parametrize("name", ["celu", "selu"])
def test_other_ways_to_differentiate(name):
    """A number for alpha, forward mode, third derivatives, vmap, checkpoint."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    _, backward, double_backward, _ = FUNCTIONS[name]
    alpha = 1.0 if name == "selu" else 0.7
    options = () if name == "selu" else (alpha,)

    def forward(x):
        return getattr(pyleaky, name)(x, *options)

    def total(x):
        return forward(x).sum()

    def of_jax(x):
        one = x * 0 + 1
        return {
            1: [
                jax.vmap(jax.grad(forward))(x),
                jax.jvp(forward, (x,), (one,))[1],
                jax.grad(lambda x: jax.checkpoint(forward)(x).sum())(x),
            ],
            2: [jax.hessian(total)(x).diagonal(), jax.vmap(jax.jacfwd(jax.jacfwd(forward)))(x)],
            3: [jax.vmap(jax.grad(jax.grad(jax.grad(forward))))(x)],
        }

    def of_torch(x):
        grad, vmap = torch.func.grad, torch.func.vmap
        return {
            1: [vmap(grad(forward))(x), torch.func.jvp(forward, (x,), (torch.ones_like(x),))[1]],
            2: [torch.func.hessian(total)(x).diagonal(), vmap(grad(grad(forward)))(x)],
            3: [vmap(grad(grad(grad(forward))))(x)],
        }

    x = np.array([-40.0, -17.5, -3.0, -0.0, 2.0], np.float32)
    ones = np.ones_like(x)
    second = double_backward(ones, ones, x, alpha)[1]
    expected = {1: backward(ones, x, alpha), 2: second, 3: second / np.float32(alpha) if name == "celu" else second}
    for library, function in ((Jax, of_jax), (Torch, of_torch)):
        lib = library()
        for order, results in run(lib, function, x).items():
            for got in results:
                assert_near(lib, got, expected[order], x)


@every_library
def test_alpha_that_is_an_array_beside_a_number(library):
    lib = library()
    alpha = np.array([0.5, 2.0], np.float32)
    for function in (pyleaky.elu, pyleaky.celu, pyleaky.leaky_relu):
        got = run(lib, lambda a: function(-1.0, a), alpha)  # noqa: B023
        assert_near(lib, got, function(np.float32(-1), alpha), alpha)
        (got,) = run(lib, lambda a: vjp(lib, lambda a: function(-1.0, a), [a], a * 0 + 1), alpha)  # noqa: B023
        step = np.float64(1e-6)
        slope = (function(-1.0, alpha + step) - function(-1.0, alpha - step)) / (2 * step)
        np.testing.assert_allclose(lib.to_numpy(got), slope, rtol=1e-5)
