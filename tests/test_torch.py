"""The PyTorch adapter against pyleaky's own functions to the bit, and against PyTorch's within its accuracy."""

import contextlib
import doctest
import inspect
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
from arrays import DTYPES, assert_same_bits
from conftest import from_tensor, to_tensor

import pyleaky
from pyleaky import _arguments

torch = pytest.importorskip("torch", "2.5", reason="PyTorch is not installed")
import torch.nn.functional as F  # noqa: E402
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import pyleaky.torch as adapter  # noqa: E402

KINDS = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 2e-6, torch.float64: 1e-14}
# Ours, PyTorch's, and pyleaky's forward and backward functions of arrays.
FUNCTIONS = {
    "relu": (adapter.relu, F.relu, pyleaky.relu, pyleaky.relu_backward),
    "leaky_relu": (
        lambda x, **options: adapter.leaky_relu(x, 0.3, **options),
        lambda x, **options: F.leaky_relu(x, 0.3, **options),
        lambda x: pyleaky.leaky_relu(x, 0.3),
        lambda grad, x: pyleaky.leaky_relu_backward(grad, x, 0.3),
    ),
    "elu": (
        lambda x, **options: adapter.elu(x, 0.7, **options),
        lambda x, **options: F.elu(x, 0.7, **options),
        lambda x: pyleaky.elu(x, 0.7),
        lambda grad, x: pyleaky.elu_backward(grad, x, 0.7),
    ),
    "celu": (
        lambda x, **options: adapter.celu(x, 0.7, **options),
        lambda x, **options: F.celu(x, 0.7, **options),
        lambda x: pyleaky.celu(x, 0.7),
        lambda grad, x: pyleaky.celu_backward(grad, x, 0.7),
    ),
    "selu": (adapter.selu, F.selu, pyleaky.selu, pyleaky.selu_backward),
}
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.permute(2, 0, 3, 1),
    "strided": lambda x: x[::2, :, 1::3],
    "expanded": lambda x: x[:, :1].expand(-1, 3, -1, -1),
    "0-d": lambda x: x[0, 0, 0, 0],
    "empty": lambda x: x[:0],
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_dtype = pytest.mark.parametrize("dtype", KINDS, ids=str)


def tensor(dtype=torch.float32, shape=(4, 3, 6, 8), seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(dtype)


def close(ours, theirs, dtype):
    torch.testing.assert_close(ours, theirs, rtol=4 * KINDS[dtype], atol=4 * KINDS[dtype])


@pytest.fixture(params=["eager", "dispatched"])
def way(request, monkeypatch):
    """With PyTorch's dispatcher left out, as in eager mode, and as tracers and transforms see the operations."""
    if request.param == "dispatched":
        monkeypatch.setattr(adapter, "_is_eager", lambda args: False)


# ---------------------------------------------------------------------------------------------- values


@pytest.mark.usefixtures("way")
@every_dtype
@every_function
def test_bits_of_the_functions_of_arrays(name, dtype):
    ours, _, forward, backward = FUNCTIONS[name]
    x, grad = tensor(dtype, (1000,)), tensor(dtype, (1000,), 1)
    leaf = x.clone().requires_grad_()
    y = ours(leaf)
    assert y.dtype == dtype
    assert_same_bits(from_tensor(y), forward(from_tensor(x)))
    assert_same_bits(from_tensor(torch.autograd.grad(y, leaf, grad)[0]), backward(from_tensor(grad), from_tensor(x)))
    with torch.no_grad():
        assert_same_bits(from_tensor(ours(x)), forward(from_tensor(x)))


@every_dtype
@every_function
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_forward_backward_and_in_place(layout, name, dtype):
    ours, theirs = FUNCTIONS[name][:2]
    x = layout(tensor(dtype))
    grad = layout(tensor(dtype, seed=1))
    results = []
    for function in (ours, theirs):
        leaf = x.detach().requires_grad_()
        y = function(leaf)
        results.append((y, *torch.autograd.grad(y, leaf, grad)))
        inside = x.detach().clone().requires_grad_()
        z = inside * 1
        kept = function(z, inplace=True)
        assert kept is z
        results[-1] += (kept, *torch.autograd.grad(kept, inside, grad))
    for mine, its in zip(*results, strict=True):
        # PyTorch's constants for selu have the digits of float32.
        torch.testing.assert_close(mine, its, rtol=max(4 * KINDS[dtype], 1e-7), atol=max(4 * KINDS[dtype], 1e-7))
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        assert results[0][0].stride() == results[1][0].stride()


@pytest.mark.parametrize("slope", [0.3, 0.0, -0.7, 2.5])
def test_any_slope_in_place(slope):
    leaf = tensor().requires_grad_()
    y = adapter.leaky_relu(leaf * 1, slope, inplace=True)
    (dx,) = torch.autograd.grad(y, leaf, torch.ones_like(leaf))
    assert_same_bits(from_tensor(y), pyleaky.leaky_relu(from_tensor(leaf), slope))
    assert_same_bits(
        from_tensor(dx), pyleaky.leaky_relu_backward(np.ones(leaf.shape, np.float32), from_tensor(leaf), slope)
    )
    close(
        torch.autograd.grad(adapter.elu(leaf * 1, slope, inplace=True).sum(), leaf)[0],
        torch.autograd.grad(adapter.elu(leaf, slope).sum(), leaf)[0],
        torch.float32,
    )


def test_views_and_no_copies():
    x = tensor()
    array = adapter._array(x.requires_grad_())
    assert array.ctypes.data == x.data_ptr()
    base = torch.zeros(4, 6)
    adapter.leaky_relu(base[:, ::2].sub_(1), 0.5, inplace=True)
    assert base[:, ::2].eq(-0.5).all()
    assert base[:, 1::2].eq(0).all()


@every_dtype
@pytest.mark.parametrize("shape", [(4, 3, 6, 8), (4, 3), (3,), (4, 3, 5)])
def test_prelu(shape, dtype):
    for weights in (1, shape[1] if len(shape) > 1 else 1):
        results = []
        for function in (adapter.prelu, F.prelu):
            x = tensor(dtype, shape).requires_grad_()
            weight = torch.linspace(0.1, 0.5, weights, dtype=dtype).requires_grad_()
            y = function(x, weight)
            results.append((y, *torch.autograd.grad(y, (x, weight), tensor(dtype, shape, 1))))
        for mine, its in zip(*results, strict=True):
            torch.testing.assert_close(mine, its, rtol=max(1e-4, 4 * KINDS[dtype]), atol=max(1e-4, 8 * KINDS[dtype]))
    last = tensor(dtype).to(memory_format=torch.channels_last)
    weight = torch.linspace(0.1, 0.5, 3, dtype=dtype)
    assert adapter.prelu(last, weight).is_contiguous(memory_format=torch.channels_last)
    close(adapter.prelu(last, weight), F.prelu(last, weight), dtype)


@pytest.mark.parametrize("inplace", [False, True])
def test_random_functions(inplace):
    x = tensor().requires_grad_()
    for function, evaluated in [
        (lambda x: adapter.dropout(x, 0.4, inplace=inplace), lambda x: adapter.dropout(x, 0.4, training=False)),
        (lambda x: adapter.rrelu(x, training=True, inplace=inplace), lambda x: F.rrelu(x)),
        (lambda x: adapter.rrelu(x, -0.5, 0.5, training=True, inplace=inplace), None),
    ]:
        torch.manual_seed(1)
        first = function(x * 1)
        torch.manual_seed(1)
        assert torch.equal(function(x * 1), first)
        assert not torch.equal(function(x * 1), first)
        (dx,) = torch.autograd.grad(first.sum(), x)
        # y = factor * x for a factor that depends on x's side alone.
        close(dx * x, first, torch.float32)
        if evaluated is not None and not inplace:
            torch.testing.assert_close(evaluated(x), adapter.rrelu(x) if evaluated(x) is not x else x)
    torch.manual_seed(2)
    seed = int(adapter._fresh_seed())
    torch.manual_seed(2)
    assert_same_bits(from_tensor(adapter.dropout(x, 0.4)), pyleaky.dropout(from_tensor(x), 0.4, seed=seed))
    assert adapter.dropout(x, 1.0).eq(0).all()
    assert adapter.dropout(x, 0.0) is x


ACTIVATIONS = ("linear", "relu", "leaky_relu", "elu", "selu")


@every_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_act(activation, dtype):
    x, grad, bias = tensor(dtype), tensor(dtype, seed=1), tensor(dtype, (3,), 2)
    for options in ({"negative_slope": 0.2, "gain": None}, {"gain": 0.4, "clamp": 0.9}, {"negative_slope": -0.3}):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            leaves = x.to(memory_format=memory_format).clone().requires_grad_(), bias.clone().requires_grad_()
            y = adapter.bias_act(*leaves, activation=activation, **options)
            arrays = from_tensor(x), from_tensor(bias)
            assert_same_bits(from_tensor(y), pyleaky.bias_act(*arrays, activation=activation, **options))
            assert y.is_contiguous(memory_format=memory_format)
            expected = pyleaky.bias_act_backward(from_tensor(grad), *arrays, activation=activation, **options)
            for got, wanted in zip(torch.autograd.grad(y, leaves, grad), expected, strict=True):
                close(got, to_tensor(np.ascontiguousarray(wanted)), dtype)
    close(
        adapter.bias_act(x, dim=-1, activation="leaky_relu"),
        adapter.bias_act(x, torch.zeros(8, dtype=dtype), dim=3, activation="leaky_relu"),
        dtype,
    )


# ---------------------------------------------------------------------------------------------- differentiation

WIDE = {
    "relu": (adapter.relu, [(3, 4)]),
    "leaky_relu": (lambda x: adapter.leaky_relu(x, -0.3), [(3, 4)]),
    "leaky_relu in place": (lambda x: adapter.leaky_relu(x * 1, -0.3, inplace=True), [(3, 4)]),
    "elu": (lambda x: adapter.elu(x, 0.7), [(3, 4)]),
    "celu": (lambda x: adapter.celu(x, 0.7), [(3, 4)]),
    "selu": (adapter.selu, [(3, 4)]),
    "prelu": (adapter.prelu, [(2, 3, 4), (3,)]),
    "prelu of one": (adapter.prelu, [(2, 3, 4), (1,)]),
    "dropout": (lambda x: (torch.manual_seed(1), adapter.dropout(x))[1], [(3, 4)]),
    "rrelu": (lambda x: (torch.manual_seed(1), adapter.rrelu(x, training=True))[1], [(3, 4)]),
    "bias_act": (lambda x, b: adapter.bias_act(x, b, clamp=1.5, activation="leaky_relu"), [(2, 3, 4), (3,)]),
    "bias_act by x": (
        lambda x, b: adapter.bias_act(x, b, dim=-1, negative_slope=-0.3, activation="leaky_relu"),
        [(2, 3, 4), (4,)],
    ),
    "bias_act, elu": (lambda x, b: adapter.bias_act(x, b, activation="elu"), [(2, 3, 4), (3,)]),
    "no bias": (lambda x: adapter.bias_act(x, activation="selu"), [(2, 3)]),
}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("function", "shapes"), WIDE.values(), ids=WIDE)
def test_gradcheck_and_gradgradcheck(function, shapes):
    leaves = tuple(tensor(torch.float64, shape, k).requires_grad_() for k, shape in enumerate(shapes))
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


def test_in_place_forms_refuse_the_derivative_that_they_lost():
    x = tensor(torch.float64, (5,)).requires_grad_()
    (dx,) = torch.autograd.grad(adapter.elu(x * 1, inplace=True).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        torch.autograd.grad(dx.sum(), x)


OPERATIONS = {
    "leaky_relu": (torch.ops.pyleaky.leaky_relu, ((3, 4),), (0.1,)),
    "relu": (torch.ops.pyleaky.leaky_relu, ((3, 4),), (None,)),
    "leaky_relu_with_mask": (torch.ops.pyleaky.leaky_relu_with_mask, ((3, 5),), (0.1,)),
    "elu": (torch.ops.pyleaky.elu, ((3, 4),), (0.5,)),
    "celu": (torch.ops.pyleaky.celu, ((3, 4),), (0.5,)),
    "selu": (torch.ops.pyleaky.selu, ((3, 4),), ()),
    "prelu": (torch.ops.pyleaky.prelu, ((2, 3), (3,)), (1,)),
    "prelu_backward": (torch.ops.pyleaky.prelu_backward, ((2, 3), (2, 3), (3,)), (1,)),
    "dropout": (torch.ops.pyleaky.dropout, ((3, 4),), (0.5, torch.tensor(3))),
    "rrelu": (torch.ops.pyleaky.rrelu, ((3, 4),), (0.1, 0.3, torch.tensor(3))),
    "bias_act": (torch.ops.pyleaky.bias_act, ((2, 3), (3,)), (1, "leaky_relu", 0.2, None, 2.0)),
    "bias_act, elu": (torch.ops.pyleaky.bias_act, ((2, 3), (3,)), (1, "elu", 0.2, None, None)),
}


@pytest.mark.parametrize(("operation", "shapes", "rest"), OPERATIONS.values(), ids=OPERATIONS)
def test_operations_are_registered_as_they_behave(operation, shapes, rest):
    leaves = [tensor(torch.float32, shape, k).requires_grad_() for k, shape in enumerate(shapes)]
    found = torch.library.opcheck(operation.default, (*leaves, *rest))
    assert set(found.values()) == {"SUCCESS"}


class Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


def test_whoever_looks_sees_the_operations():
    x = tensor(shape=(3, 4))
    with Recorder() as recorder:
        adapter.leaky_relu(x.clone().requires_grad_()).sum().backward()
    names = [name for name in recorder.seen if name.startswith("pyleaky")]
    assert names == ["pyleaky.leaky_relu_with_mask.default", "pyleaky.leaky_relu_from_mask.default"]
    for mode in ("real", "fake", "symbolic"):
        assert "pyleaky.elu" in make_fx(lambda x: adapter.elu(x), tracing_mode=mode)(x).code
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated
        assert "pyleaky::elu" in str(torch.jit.trace(lambda x: adapter.elu(x), (x,)).graph)
    assert adapter.elu(x.to("meta")).shape == x.shape
    assert adapter.elu(x.to("meta")).is_meta


def test_the_negative_bit():
    for dtype in KINDS:
        x = tensor(dtype, (50,))
        negated = torch._neg_view(x)
        assert negated.is_neg()
        assert_same_bits(from_tensor(adapter.elu(negated)), pyleaky.elu(from_tensor(-x)))


def test_the_operation_without_a_mask_has_the_same_derivative():
    x = torch.tensor([-1.0, -0.0, 2.0, float("nan")], requires_grad=True)
    grad = torch.tensor([float("inf"), 3.0, float("inf"), 4.0])
    for slope in (None, 0.5, -2.0):
        (dx,) = torch.autograd.grad(adapter._rectify(x, slope), x, grad)
        (expected,) = torch.autograd.grad(adapter._with_mask(x, slope)[0], x, grad)
        assert_same_bits(from_tensor(dx), from_tensor(expected))
    (dx,) = torch.autograd.grad(adapter._rectify(x, None), x, grad)
    assert dx.tolist() == [0.0, 0.0, float("inf"), 0.0]


def network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        adapter.LeakyReLU(0.2),
        torch.nn.Conv2d(8, 8, 3),
        adapter.PReLU(8),
        adapter.ELU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 16, 6),
        adapter.BiasAct(6, dim=-1, activation="leaky_relu", negative_slope=0.2, gain=None),
    )


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile(backend):
    torch.manual_seed(0)
    model, x = network(), tensor(shape=(2, 3, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler's own
        torch.compiler.reset()
        compiled = torch.compile(model, fullgraph=True, backend=backend)
        y = compiled(x)
        y.square().sum().backward()
    grads = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    eager = model(x)
    torch.testing.assert_close(y, eager)
    eager.square().sum().backward()
    for grad, parameter in zip(grads, model.parameters(), strict=True):
        torch.testing.assert_close(grad, parameter.grad)


def test_export():
    model, x = network().eval(), tensor(shape=(2, 3, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), model(x))
    assert "pyleaky" in str(exported.graph)


def test_vmap():
    x, weight = tensor(shape=(5, 4, 3)), torch.tensor([0.1, 0.2, 0.3])
    for function in (
        adapter.relu,
        adapter.elu,
        adapter.selu,
        lambda x: adapter.bias_act(x, weight, activation="leaky_relu"),
    ):
        torch.testing.assert_close(torch.vmap(function)(x), torch.stack([function(part) for part in x]))
        torch.testing.assert_close(
            torch.vmap(function, in_dims=1, out_dims=1)(x.transpose(0, 1)).transpose(0, 1),
            torch.stack([function(part) for part in x]),
        )
    batched = torch.vmap(adapter.prelu)(x, weight.expand(5, 3))
    torch.testing.assert_close(batched, torch.stack([adapter.prelu(part, weight) for part in x]))
    leaf = x.clone().requires_grad_()
    (dx,) = torch.autograd.grad(torch.vmap(adapter.leaky_relu)(leaf).sum(), leaf)
    torch.testing.assert_close(dx, torch.where(x > 0, 1.0, 0.01))


# ---------------------------------------------------------------------------------------------- memory, modules


def saved_bytes(model, x):
    """Bytes that the forward pass saves, each storage once, but for parameters."""
    storages = {}
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def pack(saved):
        storage = saved.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        y = model(x)
    return sum(storages.values()), y


@pytest.mark.parametrize(("kind", "inplace"), [("ReLU", False), ("LeakyReLU", False), ("LeakyReLU", True)])
def test_fifty_activations_save_a_sixteenth(kind, inplace):
    x = tensor(shape=(4096,)).requires_grad_()
    totals = []
    for module in (torch.nn, adapter):
        layers = [getattr(module, kind)(inplace=inplace and module is adapter) for _ in range(50)]
        total, y = saved_bytes(torch.nn.Sequential(*layers), x * 1)
        totals.append(total)
        (dx,) = torch.autograd.grad(y.sum(), x)
        assert dx.isfinite().all()
    assert totals[1] * 16 <= totals[0]


MODULES = {
    "ReLU": (), "LeakyReLU": (0.3,), "PReLU": (3, 0.4), "RReLU": (0.1, 0.4), "ELU": (0.7,), "CELU": (0.7,), "SELU": (),
    "Dropout": (0.3,),
}  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), MODULES.items(), ids=MODULES)
def test_modules(name, arguments):
    ours, theirs = getattr(adapter, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert str(ours) == str(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for source, target in ((ours, theirs), (theirs, ours)):
        with torch.no_grad():
            for parameter in source.parameters():
                parameter.copy_(torch.rand_like(parameter))
        target.load_state_dict(source.state_dict())
    x = tensor()
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    if name in ("RReLU", "Dropout"):
        torch.manual_seed(0)
        assert not torch.equal(ours.train()(x), ours.eval()(x))


def test_bias_act_module():
    module = adapter.BiasAct(3, activation="elu", clamp=1.0)
    assert list(module.state_dict()) == ["bias"]
    assert str(module) == "BiasAct(3, dim=1, activation='elu', negative_slope=0.01, gain=1.0, clamp=1.0)"
    x = tensor()
    assert torch.equal(module(x), adapter.bias_act(x, module.bias, activation="elu", clamp=1.0))


class Own(torch.nn.ReLU):
    pass


def test_replace_and_restore():
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4),
        torch.nn.PReLU(4),
        torch.nn.Sequential(torch.nn.ELU(0.5), Own(), torch.nn.Dropout(0.2)),
        torch.nn.LeakyReLU(0.1, inplace=True),
    ).eval()
    seen = []
    model[1].register_forward_hook(lambda *_: seen.append(1))
    before, state, parts = model(tensor(shape=(3, 4))), model.state_dict(), list(model.modules())
    assert adapter.replace_activations(model) is model
    kinds = [type(module) for module in model.modules()]
    assert {adapter.PReLU, adapter.ELU, adapter.Dropout, adapter.LeakyReLU, Own} <= set(kinds)
    assert all(one is other for one, other in zip(model.modules(), parts, strict=True))
    assert not any(module.training for module in parts)
    torch.testing.assert_close(model(tensor(shape=(3, 4))), before)
    assert len(seen) == 2
    assert list(model.state_dict()) == list(state)
    assert adapter.restore_activations(model) is model
    assert {type(module).__module__.split(".")[0] for module in parts} == {"torch", __name__}
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got list"):
        adapter.replace_activations([model])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_pytorchs(dtype):
    x, weight = tensor(), torch.rand(3)
    with torch.autocast("cpu", dtype):
        for ours, theirs in [(adapter.prelu, F.prelu)]:
            mine, its = ours(x, weight), theirs(x, weight)
            assert mine.dtype == its.dtype
            close(mine, its, dtype)
        for name, (ours, theirs, *_) in FUNCTIONS.items():
            assert ours(x).dtype == theirs(x).dtype, name
            assert ours(x.to(dtype)).dtype == theirs(x.to(dtype)).dtype, name
        assert adapter.bias_act(x.to(dtype), torch.zeros(3), activation="leaky_relu").dtype == dtype


def test_cupy_works_on_the_tensors_device_and_pytorchs_stream(monkeypatch):
    entered = []

    def entering(*what):
        @contextlib.contextmanager
        def enter():
            entered.append(what)
            yield
            entered.append("left")

        return enter()

    cuda = types.SimpleNamespace(
        Device=lambda index: entering("device", index), ExternalStream=lambda pointer: entering("stream", pointer)
    )
    monkeypatch.setattr(adapter, "_cupy", lambda: types.SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda device: types.SimpleNamespace(cuda_stream=100 + device.index)
    )
    with adapter._stream(types.SimpleNamespace(is_cpu=False, device=torch.device("cuda:3"))):
        assert entered == [("device", 3), ("stream", 103)]
    assert entered[2:] == ["left", "left"]


# ---------------------------------------------------------------------------------------------- errors


class Elsewhere(torch.Tensor):
    """A tensor that says it is on a device for which there is no kernel."""

    device = torch.device("xpu:1")


BAD = {
    "list": (TypeError, r"input must be a torch\.Tensor, got list", lambda: [1.0]),
    "array": (TypeError, r"input must be a torch\.Tensor, got ndarray", lambda: np.ones(3)),
    "sparse": (
        TypeError,
        r"input has layout torch\.sparse_coo, expected torch\.strided",
        lambda: torch.eye(3).to_sparse(),
    ),
    "quantized": (
        TypeError,
        r"input is quantized \(torch\.qint8\); dequantize it first",
        lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    ),
    "another device": (
        TypeError,
        r"input is on device xpu:1, expected cpu or cuda",
        lambda: torch.ones(3).as_subclass(Elsewhere),
    ),
    "complex": (TypeError, r"input has dtype torch\.complex64, expected torch\.float16", lambda: torch.ones(3) * 1j),
    "integers": (TypeError, r"input has dtype torch\.int64, expected", lambda: torch.ones(3, dtype=torch.int64)),
}


@pytest.mark.filterwarnings("ignore:.*quantization:DeprecationWarning", "ignore:.*quantize_per_tensor:UserWarning")
@pytest.mark.parametrize(("error", "message", "make"), BAD.values(), ids=BAD)
def test_bad_tensors(error, message, make):
    for function in (
        adapter.relu, adapter.leaky_relu, adapter.elu, adapter.selu, adapter.dropout, adapter.rrelu,
        lambda x: adapter.prelu(x, torch.ones(1)), lambda x: adapter.rrelu(x, training=True),
        lambda x: adapter.bias_act(x, activation="relu"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            function(make())


def test_other_bad_input():
    x = tensor()
    for error, message, call in [
        (ValueError, r"weight has shape \(2,\), expected one number, or one for each of the 3 channels",
         lambda: adapter.prelu(x, torch.ones(2))),
        (TypeError, "weight must be a torch.Tensor, got float", lambda: adapter.prelu(x, 0.1)),
        (ValueError, r"p must be in \[0, 1\], got 1.5", lambda: adapter.dropout(x, 1.5)),
        (IndexError, "dim is 4, input has 4 dimensions",
         lambda: adapter.bias_act(x, torch.ones(3), dim=4, activation="leaky_relu")),
        (ValueError, "activation must be one of", lambda: adapter.bias_act(x, activation="tanh")),
        (ValueError, "bias has shape", lambda: adapter.bias_act(x, torch.ones(2), activation="leaky_relu")),
        (TypeError, "bias has dtype torch.int64",
         lambda: adapter.bias_act(x, torch.ones(3, dtype=torch.int64), activation="leaky_relu")),
        (ValueError, "alpha must not be 0", lambda: adapter.celu(x, 0.0)),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        adapter.relu(tensor().requires_grad_(), inplace=True)


# Every number: argument, what takes it in a call, and in a module's construction.
NUMBERS = {
    "leaky_relu": ("negative_slope", adapter.leaky_relu, adapter.LeakyReLU),
    "elu": ("alpha", adapter.elu, adapter.ELU),
    "celu": ("alpha", adapter.celu, adapter.CELU),
    "rrelu, lower": ("lower", lambda x, lower: adapter.rrelu(x, lower, 3), lambda lower: adapter.RReLU(lower, 3)),
    "rrelu, upper": (
        "upper",
        lambda x, upper: adapter.rrelu(x, -3, upper, training=True),
        lambda upper: adapter.RReLU(-3, upper),
    ),
    "dropout": ("p", adapter.dropout, adapter.Dropout),
    "dropout, not in training": ("p", lambda x, p: adapter.dropout(x, p, training=False), adapter.Dropout),
    "prelu": ("init", None, lambda init: adapter.PReLU(init=init)),
    **{
        f"bias_act, {argument}": (
            argument,
            lambda x, value, argument=argument: adapter.bias_act(x, activation="leaky_relu", **{argument: value}),
            lambda value, argument=argument: adapter.BiasAct(3, activation="leaky_relu", **{argument: value}),
        )
        for argument in ("negative_slope", "gain", "clamp")
    },
}  # fmt: skip
NO_NUMBERS = [
    1j, np.complex64(1 + 3j), None, "0.5", b"0.5", [0.5], np.ones(2), np.ones(1), np.array(None), np.array("1"),
    10**400, torch.ones(2), torch.tensor(1j), torch.tensor(0.5, requires_grad=True),
    torch.nn.Parameter(torch.tensor(0.5)),
]  # fmt: skip
every_number = pytest.mark.parametrize(("argument", "call", "construct"), NUMBERS.values(), ids=NUMBERS)


def message_of(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return type(caught.value), str(caught.value)


@every_number
def test_no_numbers(argument, call, construct):
    x = tensor(shape=(2, 3))
    for value in NO_NUMBERS:
        if value is None and argument in ("gain", "clamp"):
            continue
        expected = message_of(lambda: _arguments.number(argument, value))  # noqa: B023
        assert expected[1].startswith(f"{argument} must be ")
        assert message_of(lambda: construct(value)) == expected  # noqa: B023
        if call is not None:
            assert message_of(lambda: call(x, value)) == expected  # noqa: B023


@every_number
def test_all_kinds_of_numbers(argument, call, construct):
    x = tensor(shape=(2, 3))

    def results(value):
        torch.manual_seed(1)
        found = [construct(value)(x)] if construct is not None else []
        torch.manual_seed(1)
        return found if call is None else [*found, call(x, value)]

    for value, plain in [
        (np.float32(0.5), 0.5), (np.float16(0.5), 0.5), (np.array(0.5), 0.5), (torch.tensor(0.5), 0.5),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5), (1, 1.0), (True, 1.0), (np.int64(1), 1.0),
        (torch.tensor(1), 1.0),
    ]:  # fmt: skip
        for found, expected in zip(results(value), results(plain), strict=True):
            assert torch.equal(found, expected)


OUT_OF_RANGE = [
    ("elu", {"alpha": np.inf}), ("celu", {"alpha": -np.inf}), ("celu", {"alpha": 0}), ("celu", {"alpha": -0.0}),
    ("dropout", {"p": -0.1}), ("dropout", {"p": 1.1}), ("dropout", {"p": np.nan}),
    ("rrelu", {"lower": np.nan}), ("rrelu", {"upper": np.inf}), ("rrelu", {"lower": 0.5, "upper": 0.25}),
    *(("bias_act", {"gain": gain, "activation": "relu"}) for gain in (0, -1, np.inf, np.nan)),
    *(("bias_act", {"clamp": clamp, "activation": "relu"}) for clamp in (-1, np.nan)),
    ("bias_act", {"activation": "swish"}), ("bias_act", {"activation": "lrelu"}), ("bias_act", {"activation": None}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters"), OUT_OF_RANGE)
def test_what_the_functions_of_arrays_refuse(name, parameters):
    module = {"elu": "ELU", "celu": "CELU", "dropout": "Dropout", "rrelu": "RReLU", "bias_act": "BiasAct"}[name]
    random = {"seed": 1} if name in ("dropout", "rrelu") else {}
    expected = message_of(lambda: getattr(pyleaky, name)(np.zeros(3), **parameters, **random))
    features = (3,) if name == "bias_act" else ()
    assert message_of(lambda: getattr(adapter, module)(*features, **parameters)) == expected
    for training in ({"training": True}, {"training": False}) if random else ({},):
        x = tensor(shape=(2, 3))
        assert message_of(lambda: getattr(adapter, name)(x, **parameters, **training)) == expected  # noqa: B023


def test_no_integers():
    x = tensor(shape=(2, 3))
    for value in (True, 1.5, 1j, None, "1", [1], np.ones(2), np.array(None)):
        for argument, call in [
            ("dim", lambda: adapter.bias_act(x, dim=value, activation="relu")),  # noqa: B023
            ("dim", lambda: adapter.BiasAct(3, dim=value, activation="relu")),  # noqa: B023
            ("num_features", lambda: adapter.BiasAct(value, activation="relu")),  # noqa: B023
            ("num_parameters", lambda: adapter.PReLU(value)),  # noqa: B023
        ]:
            kind, message = message_of(call)
            assert kind is TypeError
            assert message.startswith(f"{argument} must be an integer, got ")


def test_defaults_of_bias_act():
    defaults = inspect.signature(pyleaky.bias_act).parameters
    for function in (adapter.bias_act, adapter.BiasAct):
        parameters = inspect.signature(function).parameters
        assert parameters["dim"].default == defaults["axis"].default
        for name in ("activation", "negative_slope", "gain", "clamp"):
            assert (parameters[name].default, parameters[name].kind) == (defaults[name].default, defaults[name].kind)


def every_number_symbolic(x):
    """Numbers that depend on the shape: under a tracer they are symbolic integers and floats."""
    rows, columns = x.shape
    y = adapter.leaky_relu(x, rows) + adapter.leaky_relu(x, 1 / rows) + adapter.elu(x, columns) + adapter.celu(x, rows)
    y = y + adapter.rrelu(x, 1 / rows, columns) + adapter.dropout(x, 1 / columns, training=False)
    bias = torch.ones(columns)
    return y + adapter.bias_act(x, bias, dim=x.ndim - 1, activation="leaky_relu", gain=rows, clamp=1 / columns)


def test_symbolic_numbers():
    x = tensor(shape=(2, 3))
    expected = every_number_symbolic(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compiler.reset()
        compiled = torch.compile(every_number_symbolic, fullgraph=True, backend="eager", dynamic=True)
        assert torch.equal(compiled(x), expected)
        assert torch.equal(make_fx(every_number_symbolic, tracing_mode="symbolic")(x)(x), expected)


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_errors():
    result = run_python("import sys; sys.modules['torch'] = None; import pyleaky.torch")
    assert (
        "ImportError: pyleaky.torch needs PyTorch, which is not installed: pip install 'pyleaky[torch]'"
        in result.stderr
    )
    result = run_python("import torch; torch.__version__ = '2.4.1'; import pyleaky.torch")
    assert "ImportError: pyleaky.torch needs PyTorch 2.5 or newer, found PyTorch 2.4.1" in result.stderr
    result = run_python("import sys, pyleaky; pyleaky.relu([1.0]); print('torch' in sys.modules)")
    assert result.stdout.strip() == "False"


def test_documented():
    for name in adapter.__all__:
        assert getattr(adapter, name).__doc__
    assert sorted(adapter.__all__) == sorted(set(adapter.__all__))
    found = doctest.testmod(adapter)
    assert found.attempted > 10
    assert found.failed == 0


def test_dtypes_are_those_of_the_arrays():
    assert len(adapter.DTYPES) == len(DTYPES)
