"""PyTorch: the functions on tensors, and modules with PyTorch's own arguments and state dicts.

Imported only by who asks for it.  A tensor on the CPU is worked on where it lies, one on a GPU through CuPy on
PyTorch's current stream.  Each operation is registered with torch.library, with its shapes, its derivative and its
rule for vmap, so that torch.compile, torch.export and the gradient checks see through it; in eager mode it is called
without PyTorch's dispatcher.  relu and leaky_relu save a packed mask for the backward pass, one bit per element; the
in-place forms do too, in eager mode.  To add a function, add its operations, the function and a module.
"""

# PyTorch has types for a part of its functions and may not be installed, nor may CuPy, which has none.  Without
# PyTorch, Pyright takes this file for the module torch, and nothing in an annotation is a type.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportUntypedBaseClass=false, reportIncompatibleMethodOverride=false, reportGeneralTypeIssues=false
# pyright: reportUntypedFunctionDecorator=false, reportInvalidTypeForm=false, reportUnknownParameterType=false

import contextlib
import functools
from typing import Any

import numpy as np

import pyleaky
from pyleaky import _arguments
from pyleaky._fused import checked_settings

try:
    import torch
except ImportError:
    raise ImportError("pyleaky.torch needs PyTorch, which is not installed: pip install 'pyleaky[torch]'") from None

from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 5):
    raise ImportError(f"pyleaky.torch needs PyTorch 2.5 or newer, found PyTorch {torch.__version__}")

__all__ = [
    "CELU",
    "ELU",
    "SELU",
    "BiasAct",
    "Dropout",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU",
    "bias_act",
    "celu",
    "dropout",
    "elu",
    "leaky_relu",
    "prelu",
    "relu",
    "replace_activations",
    "restore_activations",
    "rrelu",
    "selu",
]

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# ---------------------------------------------------------------------------------------------- tensors and arrays


def _check(argument: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{argument} must be a torch.Tensor, got {type(tensor).__name__}")
    if tensor.layout != torch.strided:
        raise TypeError(f"{argument} has layout {tensor.layout}, expected torch.strided")
    if tensor.is_quantized:
        raise TypeError(f"{argument} is quantized ({tensor.dtype}); dequantize it first")
    if tensor.dtype not in DTYPES:
        expected = ", ".join(str(dtype) for dtype in DTYPES)
        raise TypeError(f"{argument} has dtype {tensor.dtype}, expected {expected}")
    if tensor.device.type not in ("cpu", "cuda", "meta"):
        raise TypeError(f"{argument} is on device {tensor.device}, expected cpu or cuda")


def _number(argument: Any, value: Any, **bounds: Any) -> Any:
    """_arguments.number for what PyTorch's tracers can follow, too: floats, and what float() alone makes one there."""
    is_symbolic = isinstance(value, torch.SymInt | torch.SymFloat)
    if is_symbolic or (torch.compiler.is_compiling() and not isinstance(value, str | bytes | Tensor)):
        value = float(value)
    return _arguments.number(argument, value, **bounds)


def _slopes(lower: Any, upper: Any) -> Any:
    return _arguments.ordered(_number("lower", lower, finite=True), _number("upper", upper, finite=True))


def _array(tensor: Any) -> Any:
    """The tensor's memory as an array of NumPy or CuPy."""
    half = tensor.dtype == torch.bfloat16  # which is not exchanged
    if tensor.is_cpu and not half:
        return tensor.numpy(force=True)  # which detaches it and resolves its negative bit
    tensor = tensor.detach().resolve_neg()
    if half:
        tensor = tensor.view(torch.int16)
    array = tensor.numpy() if tensor.is_cpu else _cupy().from_dlpack(tensor)
    return array.view(_bfloat16()) if half else array


def _tensor(array: Any) -> Any:
    half = array.dtype.kind == "V"  # bfloat16's; its name takes long to find
    if half:
        array = array.view(np.int16)
    tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else torch.utils.dlpack.from_dlpack(array)
    tensor = tensor.view(torch.bfloat16) if half else tensor
    return tensor if tensor.numel() else tensor.new_empty(tensor.shape)  # whose strides NumPy has set to 0


def _bfloat16() -> Any:
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError("bfloat16 tensors need ml_dtypes: pip install 'pyleaky[bfloat16]'") from None
    return ml_dtypes.bfloat16


def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise ImportError(f"CUDA tensors need CuPy: pip install 'pyleaky[cuda13x]' ({error})") from None
    return cupy


def _stream(tensor: Any) -> Any:
    """A context in which CuPy works on the tensor's device and PyTorch's current stream."""
    if tensor.is_cpu:
        return contextlib.nullcontext()
    stack = contextlib.ExitStack()
    stack.enter_context(_cupy().cuda.Device(tensor.device.index))
    stack.enter_context(_cupy().cuda.ExternalStream(torch.cuda.current_stream(tensor.device).cuda_stream))
    return stack


# ---------------------------------------------------------------------------------------------- operations


def _operation(name: Any, schema: Any, function: Any, fake: Any, setup: Any = None, backward: Any = None) -> Any:
    """
    pyleaky::name, of a function of arrays: tensors come in C order, and so do the results.

    fake gives results of the right shape; setup saves what backward needs, as torch.library has it.
    """

    def run(*args: Any) -> Any:
        with _stream(args[0]):
            results = function(*[_array(arg.contiguous()) if isinstance(arg, Tensor) else arg for arg in args])
            return tuple(map(_tensor, results)) if isinstance(results, tuple) else _tensor(results)

    def forward(ctx: Any, *args: Any) -> Any:
        results = run(*args)
        setup(ctx, args, results)
        return results

    registered = torch.library.custom_op(f"pyleaky::{name}", run, mutates_args=(), schema=schema)
    registered.register_fake(fake)
    registered.register_vmap(functools.partial(_one_by_one, registered))
    differentiable = registered
    if backward is not None:
        registered.register_autograd(backward, setup_context=setup)
        methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        kind: Any = type(f"pyleaky_{name}_", (torch.autograd.Function,), methods)
        differentiable = kind.apply

    def operation(*args: Any) -> Any:
        if not _is_eager(args):
            return registered(*args)
        if torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            return differentiable(*args)
        return run(*args)

    return operation


try:  # who asks to see every operation: torch.jit.trace, torch.func, modes
    _WATCHERS: Any = (
        torch._C._get_tracing_state,
        torch._C._are_functorch_transforms_active,
        torch._C._len_torch_dispatch_stack,
    )
except AttributeError:  # PyTorch promises none of these names; without them everything goes through its dispatcher
    _WATCHERS = (lambda: True,)  # pyright: ignore[reportConstantRedefinition]


def _is_eager(args: Any) -> Any:
    """
    Whether nothing but autograd has to see an operation: no compiler, tracer, transform, mode or subclass of Tensor.

    Then PyTorch's dispatcher is left out: for an operation written in Python, and its derivative, it takes longer than
    the work on 1M elements.
    """
    return not (
        torch.compiler.is_compiling()
        or any(watcher() for watcher in _WATCHERS)
        or any(isinstance(arg, Tensor) and (type(arg) not in (Tensor, nn.Parameter) or arg.is_meta) for arg in args)
    )


def _one_by_one(operation: Any, info: Any, in_dims: Any, *args: Any) -> Any:
    results = [
        operation(*(arg if dim is None else arg.select(dim, k) for arg, dim in zip(args, in_dims, strict=True)))
        for k in range(info.batch_size)
    ]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    return tuple(map(torch.stack, zip(*results, strict=True))), (0,) * len(results[0])


def _like(x: Any, *others: Any) -> Any:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _saving(*places: Any) -> Any:
    """A setup that saves the tensors at these places of the inputs, and keeps the other inputs as `numbers`."""

    def setup(ctx: Any, inputs: Any, output: Any) -> Any:
        ctx.save_for_backward(*(inputs[place] for place in places))
        ctx.numbers = [value for value in inputs if not isinstance(value, Tensor)]

    return setup


# ---- relu and leaky_relu: a slope of None is relu's


def _rectified(x: Any, slope: Any, **options: Any) -> Any:
    return pyleaky.relu(x, **options) if slope is None else pyleaky.leaky_relu(x, slope, **options)


def _rectified_backward(grad: Any, slope: Any, **options: Any) -> Any:
    if slope is None:
        return pyleaky.relu_backward(grad, **options)
    return pyleaky.leaky_relu_backward(grad, negative_slope=slope, **options)


def _save_mask(ctx: Any, inputs: Any, output: Any) -> Any:
    ctx.set_materialize_grads(False)  # the mask's would be an array of zeros
    ctx.save_for_backward(output[1])
    ctx.slope = inputs[1]


_from_mask: Any = _operation(
    "leaky_relu_from_mask",
    "(Tensor grad, Tensor mask, float? slope) -> Tensor",
    lambda grad, mask, slope: _rectified_backward(grad, slope, mask=mask),
    _like,
    _saving(1),
    lambda ctx, gg: (_from_mask(gg, *ctx.saved_tensors, *ctx.numbers), None, None),
)
_with_mask: Any = _operation(
    "leaky_relu_with_mask",
    "(Tensor x, float? slope) -> (Tensor, Tensor)",
    lambda x, slope: _rectified(x, slope, return_mask=True),
    lambda x, slope: (_like(x), x.new_empty(((x.numel() + 7) // 8,), dtype=torch.uint8)),
    _save_mask,
    lambda ctx, grad, _: (None if grad is None else _from_mask(grad, *ctx.saved_tensors, ctx.slope), None),
)
# For where nothing is to be saved; if it turns out otherwise, the derivative needs x.
_rectify = _operation(
    "leaky_relu",
    "(Tensor x, float? slope) -> Tensor",
    _rectified,
    _like,
    _saving(0),
    lambda ctx, grad: (
        _from_mask(grad, _with_mask(*ctx.saved_tensors, *ctx.numbers)[1], *ctx.numbers),
        None,
    ),
)


# ---- elu, celu and selu


def _exponential(name: Any, alpha: Any) -> Any:
    """The operation of one of them, which saves x; alpha tells whether it has one."""
    schema = ", float alpha" * alpha
    nothing = (None,) * alpha
    double = _operation(
        f"{name}_double_backward",
        f"(Tensor gg, Tensor grad, Tensor x{schema}) -> (Tensor, Tensor)",
        getattr(pyleaky, f"{name}_double_backward"),
        lambda gg, grad, x, *alpha: (_like(x), _like(x)),
    )
    function = getattr(pyleaky, f"{name}_backward")
    backward = _operation(
        f"{name}_backward",
        f"(Tensor grad, Tensor x{schema}) -> Tensor",
        function,
        _like,
        _saving(0, 1),
        lambda ctx, gg: (*double(gg, *ctx.saved_tensors, *ctx.numbers), *nothing),
    )
    return _operation(
        name,
        f"(Tensor x{schema}) -> Tensor",
        getattr(pyleaky, name),
        _like,
        _saving(0),
        lambda ctx, grad: (backward(grad, *ctx.saved_tensors, *ctx.numbers), *nothing),
    )


_EXPONENTIAL = {name: _exponential(name, name != "selu") for name in ("elu", "celu", "selu")}


# ---- prelu


def _prelu_axis(weight: Any, axis: Any) -> Any:
    return {} if weight.size == 1 else {"axis": axis}


def _prelu_second(ctx: Any, ggx: Any, ggweight: Any) -> Any:
    """The derivative of the gradients, in PyTorch's own operations, so that it has derivatives too."""
    grad, x, weight = ctx.saved_tensors
    shape = [1] * x.ndim
    if weight.numel() > 1:
        shape[ctx.numbers[0]] = -1
    laid, laid_gg = weight.reshape(shape), ggweight.reshape(shape)
    nothing = torch.zeros((), dtype=x.dtype, device=x.device)
    by_weight = torch.where(x > 0, nothing, grad * ggx)
    return (
        torch.where(x > 0, ggx, laid * ggx + laid_gg * x),
        torch.where(x > 0, nothing, grad * laid_gg),
        by_weight.sum_to_size(shape if weight.numel() == 1 else laid.shape).reshape(weight.shape),
        None,
    )


_prelu_backward = _operation(
    "prelu_backward",
    "(Tensor grad, Tensor x, Tensor weight, int axis) -> (Tensor, Tensor)",
    lambda grad, x, weight, axis: pyleaky.prelu_backward(grad, x, weight, **_prelu_axis(weight, axis)),
    lambda grad, x, weight, axis: (_like(x), _like(weight)),
    _saving(0, 1, 2),
    _prelu_second,
)
_prelu = _operation(
    "prelu",
    "(Tensor x, Tensor weight, int axis) -> Tensor",
    lambda x, weight, axis: pyleaky.prelu(x, weight, **_prelu_axis(weight, axis)),
    _like,
    _saving(0, 1),
    lambda ctx, grad: (*_prelu_backward(grad, *ctx.saved_tensors, *ctx.numbers), None),
)

# ---- dropout and rrelu: the random numbers are drawn again from the seed, a tensor of one integer on the CPU


def _seed(seed: Any) -> Any:
    return int(seed) % 2**64


_dropout: Any = _operation(
    "dropout",
    "(Tensor x, float p, Tensor seed) -> Tensor",
    lambda x, p, seed: pyleaky.dropout(x, p, seed=_seed(seed)),
    _like,
    _saving(2),
    lambda ctx, grad: (_dropout(grad, *ctx.numbers, *ctx.saved_tensors), None, None),
)
_rrelu_backward: Any = _operation(
    "rrelu_backward",
    "(Tensor grad, Tensor x, float lower, float upper, Tensor seed) -> Tensor",
    lambda grad, x, lower, upper, seed: pyleaky.rrelu_backward(grad, x, lower, upper, seed=_seed(seed)),
    _like,
    _saving(1, 4),
    lambda ctx, gg: (
        _rrelu_backward(gg, ctx.saved_tensors[0], *ctx.numbers, ctx.saved_tensors[1]),
        None,
        None,
        None,
        None,
    ),
)
_rrelu = _operation(
    "rrelu",
    "(Tensor x, float lower, float upper, Tensor seed) -> Tensor",
    lambda x, lower, upper, seed: pyleaky.rrelu(x, lower, upper, seed=_seed(seed)),
    _like,
    _saving(0, 3),
    lambda ctx, grad: (
        _rrelu_backward(grad, ctx.saved_tensors[0], *ctx.numbers, ctx.saved_tensors[1]),
        None,
        None,
        None,
    ),
)

# ---- bias_act: axis, activation, slope, gain and clamp, after the tensors, as pyleaky.bias_act has them

_SETTINGS = "int axis, str activation, float slope, float? gain, float? clamp"


def _keywords(settings: Any) -> Any:
    return dict(zip(("axis", "activation", "negative_slope", "gain", "clamp"), settings, strict=True))


def _bias_gradients(grad: Any, x: Any, bias: Any, output: Any, *settings: Any) -> Any:
    dx, dbias = pyleaky.bias_act_backward(grad, x, bias, output=output, **_keywords(settings))
    return dx, dx[:0].reshape(-1) if dbias is None else dbias


def _bias_second_gradients(gg: Any, grad: Any, x: Any, bias: Any, *settings: Any) -> Any:
    dgrad, dx, dbias = pyleaky.bias_act_double_backward(gg, grad, x, bias, **_keywords(settings))
    return dgrad, dx, dx[:0].reshape(-1) if dbias is None else dbias


def _save_bias_gradients(ctx: Any, inputs: Any, output: Any) -> Any:
    ctx.save_for_backward(*inputs[:4])
    ctx.settings = inputs[4:]


def _bias_second(ctx: Any, ggx: Any, ggbias: Any) -> Any:
    grad, x, bias, output = ctx.saved_tensors
    gg = ggx
    if bias is not None:
        shape = [1] * grad.ndim
        shape[ctx.settings[0]] = -1
        gg = ggx + ggbias.reshape(shape)
    nothing = (None,) * len(ctx.settings)
    if ctx.settings[1] in ("linear", "relu", "leaky_relu"):
        return _bias_act_backward(gg, x, bias, output, *ctx.settings)[0], None, None, None, *nothing
    dgrad, dx, dbias = _bias_act_double_backward(gg, grad, x, bias, *ctx.settings)
    return dgrad, dx, None if bias is None else dbias, None, *nothing


def _save_bias_act(ctx: Any, inputs: Any, output: Any) -> Any:
    x, bias, *ctx.settings = inputs
    # The next layer keeps the output anyway.
    enough = checked_settings(*ctx.settings[1:]).is_output_enough(x.dtype)
    ctx.save_for_backward(None if enough else x, bias, output if enough else None)


def _bias_first(ctx: Any, grad: Any) -> Any:
    x, bias, output = ctx.saved_tensors
    dx, dbias = _bias_act_backward(grad, x, bias, output, *ctx.settings)
    return dx, None if bias is None else dbias, *(None,) * len(ctx.settings)


def _like_bias(x: Any, bias: Any) -> Any:
    return x.new_empty(0) if bias is None else _like(bias)


_bias_act_double_backward = _operation(
    "bias_act_double_backward",
    f"(Tensor gg, Tensor grad, Tensor x, Tensor? bias, {_SETTINGS}) -> (Tensor, Tensor, Tensor)",
    _bias_second_gradients,
    lambda gg, grad, x, bias, *settings: (_like(x), _like(x), _like_bias(x, bias)),
)
_bias_act_backward = _operation(
    "bias_act_backward",
    f"(Tensor grad, Tensor? x, Tensor? bias, Tensor? output, {_SETTINGS}) -> (Tensor, Tensor)",
    _bias_gradients,
    lambda grad, x, bias, output, *settings: (_like(grad), _like_bias(grad, bias)),
    _save_bias_gradients,
    _bias_second,
)
_bias_act = _operation(
    "bias_act",
    f"(Tensor x, Tensor? bias, {_SETTINGS}) -> Tensor",
    lambda x, bias, *settings: pyleaky.bias_act(x, bias, **_keywords(settings)),
    _like,
    _save_bias_act,
    _bias_first,
)


# ---------------------------------------------------------------------------------------------- layouts, in place


def _order(x: Any) -> Any:
    """The order of the axes in memory where that is not C's and there are no gaps, as in channels_last; else None."""
    if x.is_contiguous():
        return None
    order = sorted(range(x.ndim), key=lambda axis: -x.stride(axis))
    return order if x.permute(order).is_contiguous() else None


def _laid_out(operation: Any, x: Any, *rest: Any) -> Any:
    """An operation on a tensor of any layout: what it works on, and saves bits of, is in memory order."""
    order = _order(x)
    if order is not None:
        return operation(x.permute(order), *rest).permute([order.index(axis) for axis in range(x.ndim)])
    if not x.ndim:
        return operation(x.reshape(1), *rest).reshape(())
    return operation(x.contiguous(), *rest)


class _InPlace(torch.autograd.Function):
    """
    run(array) overwrites it and returns arrays to save; derivative(grad, *saved) is the gradient.

    With `output`, what was written is saved too, as the first.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, run: Any, derivative: Any, output: Any) -> Any:
        if x.is_neg():
            raise TypeError("a tensor with PyTorch's negative bit set cannot be changed in place; use resolve_neg()")
        ctx.order, ctx.derivative, ctx.output = _order(x), derivative, output
        with _stream(x):
            saved = run(_array(_in_memory_order(ctx, x)))
            saved = tuple(value if isinstance(value, Tensor) else _tensor(value) for value in saved)
        ctx.mark_dirty(x)
        ctx.save_for_backward(*(x,) * output, *saved)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        saved = list(ctx.saved_tensors)
        if ctx.output:
            saved[0] = _in_memory_order(ctx, saved[0])
        dx = ctx.derivative(_in_memory_order(ctx, grad), *saved)
        back = None if ctx.order is None else [ctx.order.index(axis) for axis in range(grad.ndim)]
        return dx.reshape(grad.shape) if back is None else dx.permute(back), None, None, None


def _in_memory_order(ctx: Any, x: Any) -> Any:
    if ctx.order is not None:
        return x.permute(ctx.order)
    return x if x.ndim else x.reshape(1)


class _InPlaceOnce(_InPlace):
    """For a derivative that depends on x, whose own derivative would be lost."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Any:
        return _InPlace.backward(ctx, grad)


def _fresh_seed() -> Any:
    """From PyTorch's generator, so that torch.manual_seed decides."""
    return torch.randint(0, 2**63 - 1, (), dtype=torch.int64)


# ---------------------------------------------------------------------------------------------- functions


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """
    Rectified linear unit, with the arguments of `torch.nn.functional.relu`.

    .. math:: y = 0 \\text{ if } x < 0, \\text{ else } x

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    inplace : bool, optional
        Overwrite `input`; in eager mode.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device.

    See Also
    --------
    pyleaky.relu

    Notes
    -----
    For the backward pass one bit per element is saved.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.relu`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.relu(torch.tensor([-2.0, 3.0]))
    tensor([0., 3.])
    """
    return _rectifier(input, None, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """
    Leaky rectified linear unit, with the arguments of `torch.nn.functional.leaky_relu`.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } negative\\_slope \\cdot x

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    negative_slope : float, optional
        Any number, in place too.
    inplace : bool, optional
        Overwrite `input`; in eager mode.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device; if `negative_slope` is not a number.

    See Also
    --------
    pyleaky.leaky_relu

    Notes
    -----
    For the backward pass one bit per element is saved.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.leaky_relu`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> x = torch.tensor([-2.0, 3.0], requires_grad=True)
    >>> pyleaky.torch.leaky_relu(x, 0.5).sum().backward()
    >>> x.grad
    tensor([0.5000, 1.0000])
    """
    return _rectifier(input, _number("negative_slope", negative_slope), inplace)


def _rectifier(x: Any, slope: Any, inplace: Any) -> Any:
    _check("input", x)
    saves = torch.is_grad_enabled() and x.requires_grad
    if inplace:

        def run(array: Any) -> Any:
            result = _rectified(array, slope, out=array, return_mask=saves)
            return result[1:] if saves else ()

        return _InPlace.apply(x, run, lambda grad, mask: _from_mask(grad, mask, slope), False)
    if saves:
        return _laid_out(lambda t: _with_mask(t, slope)[0], x)
    return _laid_out(_rectify, x, slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """
    Exponential linear unit, with the arguments of `torch.nn.functional.elu`.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } alpha \\cdot (e^x - 1)

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    alpha : float, optional
        Finite.
    inplace : bool, optional
        Overwrite `input`; in eager mode.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device; if `alpha` is not a number.

    See Also
    --------
    pyleaky.elu

    Notes
    -----
    In place, the gradient comes from the output where `alpha` is at least 0, and has no derivative of its own.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.elu`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.elu(torch.tensor([-1.0, 3.0]))
    tensor([-0.6321,  3.0000])
    """
    return _smooth("elu", input, inplace, _number("alpha", alpha))


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """
    Continuously differentiable ELU, with the arguments of `torch.nn.functional.celu`.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } alpha \\cdot (e^{x / alpha} - 1)

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    alpha : float, optional
        Finite and not 0.
    inplace : bool, optional
        Overwrite `input`; in eager mode.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device; if `alpha` is not a number.

    See Also
    --------
    pyleaky.celu

    Notes
    -----
    In place, the gradient comes from the output where `alpha` is at least 0, and has no derivative of its own.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.celu`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.celu(torch.tensor([-1.0, 3.0]), 2.0)
    tensor([-0.7869,  3.0000])
    """
    return _smooth("celu", input, inplace, _number("alpha", alpha))


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """
    Scaled ELU, with the arguments of `torch.nn.functional.selu`.

    .. math:: y = scale \\cdot (x \\text{ if } x > 0, \\text{ else } alpha \\cdot (e^x - 1))

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    inplace : bool, optional
        Overwrite `input`; in eager mode.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device.

    See Also
    --------
    pyleaky.selu

    Notes
    -----
    In place, the gradient comes from the output, and has no derivative of its own.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.selu`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.selu(torch.tensor([-1.0, 3.0]))
    tensor([-1.1113,  3.1521])
    """
    return _smooth("selu", input, inplace)


def _smooth(name: Any, x: Any, inplace: Any, *alpha: Any) -> Any:
    _check("input", x)
    forward, backward = getattr(pyleaky, name), getattr(pyleaky, f"{name}_backward")
    if not inplace:
        return _laid_out(_EXPONENTIAL[name], x, *alpha)

    from_output = not alpha or alpha[0] >= 0  # else the output does not tell the side

    def run(array: Any) -> Any:
        before = () if from_output else (array.copy(),)
        forward(array, *alpha, out=array)
        return before

    def derivative(grad: Any, saved: Any) -> Any:
        with _stream(grad):
            arrays = _array(grad.contiguous()), _array(saved.contiguous())
            if from_output:
                dx = backward(arrays[0], output=arrays[1], **dict(zip(("alpha",), alpha, strict=False)))
            else:
                dx = backward(*arrays, *alpha)
            return _tensor(dx)

    return _InPlaceOnce.apply(x, run, derivative, from_output)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """
    Parametric rectified linear unit, with the arguments of `torch.nn.functional.prelu`.

    .. math:: y = x \\text{ if } x > 0, \\text{ else } weight \\cdot x

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    weight : Tensor
        One slope, or one for each channel along the second axis.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    ValueError
        If `weight` has neither one element nor one for each channel.
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device.

    See Also
    --------
    pyleaky.prelu

    Notes
    -----
    Under autocast both are cast, as by PyTorch.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.prelu`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.prelu(torch.tensor([[-1.0, -1.0]]), torch.tensor([0.25, 0.5]))
    tensor([[-0.2500, -0.5000]])
    """
    _check("input", input)
    _check("weight", weight)
    if torch.is_autocast_enabled(input.device.type):  # as PyTorch does with its own
        dtype = torch.get_autocast_dtype(input.device.type)
        input, weight = input.to(dtype), weight.to(dtype)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, expected one number, or one for each of the "
            f"{channels} channels of input of shape {tuple(input.shape)}"
        )
    order = _order(input)
    axis = 1 if order is None or input.ndim < 2 else order.index(1)
    return _laid_out(lambda x: _prelu(x, weight.contiguous().reshape(-1), axis), input)


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """
    Randomized leaky ReLU, with the arguments of `torch.nn.functional.rrelu`.

    .. math:: y_i = x_i \\text{ if } x_i > 0, \\text{ else } (lower + (upper - lower) u_i) \\cdot x_i

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    lower, upper : float, optional
        Between which the slopes lie.
    training : bool, optional
        Where False, every slope is the mean.
    inplace : bool, optional
        Overwrite `input`; in eager mode.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device; if `lower` or `upper` is not a number.

    See Also
    --------
    pyleaky.rrelu

    Notes
    -----
    The seed comes from PyTorch's generator (`torch.manual_seed`); the numbers are drawn again for the backward pass.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.rrelu`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.rrelu(torch.tensor([-8.0, 8.0]), 0.25, 0.25, training=True)
    tensor([-2.,  8.])
    """
    lower, upper = _slopes(lower, upper)
    if not training:
        return leaky_relu(input, lower / 2 + upper / 2, inplace)
    _check("input", input)
    seed = _fresh_seed()
    if not inplace:
        return _laid_out(_rrelu, input, lower, upper, seed)

    def run(array: Any) -> Any:
        before = () if lower > 0 else (array.copy(),)
        pyleaky.rrelu(array, lower, upper, seed=_seed(seed), out=array)
        return before

    def derivative(grad: Any, x: Any) -> Any:  # a positive slope keeps the side
        return _rrelu_backward(grad, x, lower, upper, seed)

    return _InPlaceOnce.apply(input, run, derivative, lower > 0)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """
    Inverted dropout, with the arguments of `torch.nn.functional.dropout`.

    .. math:: y_i = 0 \\text{ with probability } p, \\text{ else } \\frac{x_i}{1 - p}

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    p : float, optional
        In [0, 1].
    training : bool, optional
        Where False, `input` is returned as it is.
    inplace : bool, optional
        Overwrite `input`; in eager mode.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    ValueError
        If `p` is outside of [0, 1].
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device; if `p` is not a number.

    See Also
    --------
    pyleaky.dropout

    Notes
    -----
    The seed comes from PyTorch's generator (`torch.manual_seed`); the mask is drawn again for the backward pass, not
    saved.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.dropout`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.dropout(torch.ones(3), 1.0)
    tensor([0., 0., 0.])
    """
    _check("input", input)
    p = _number("p", p, between=(0, 1))
    if not training or p == 0:
        return input
    seed = _fresh_seed()
    if not inplace:
        return _laid_out(_dropout, input, p, seed)

    def run(array: Any) -> Any:
        pyleaky.dropout(array, p, seed=_seed(seed), out=array)
        return ()

    return _InPlace.apply(input, run, lambda grad: _dropout(grad, p, seed), False)


def bias_act(
    input: Tensor,
    bias: Tensor | None = None,
    *,
    dim: int = 1,
    activation: str,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> Tensor:
    """
    Bias, activation, gain and clamp in one pass.

    .. math:: y = \\min(\\max(activation(x + bias) \\cdot gain, -clamp), clamp)

    Parameters
    ----------
    input : Tensor
        Of any shape and layout.
    bias : Tensor, optional
        One number for each index of `dim`.
    dim : int, optional
        The dimension that `bias` belongs to.
    activation : {"linear", "relu", "leaky_relu", "elu", "selu"}
        The activation.
    negative_slope, gain, clamp : float, optional
        As for `pyleaky.bias_act`; the `gain` None is StyleGAN's.

    Returns
    -------
    Tensor
        Same shape, dtype, device and memory format as `input`.

    Raises
    ------
    ValueError
        As `pyleaky.bias_act`.
    IndexError
        If `dim` is out of range.
    TypeError
        If a tensor is not dense, has none of the dtypes float16, bfloat16, float32 and float64, or is neither on the
        CPU nor on a CUDA device; if `negative_slope`, `gain` or `clamp` is not a number.

    See Also
    --------
    pyleaky.bias_act

    Notes
    -----
    Where it is enough, the output is saved for the backward pass, which the next layer keeps anyway; else `input`.
    Under autocast `bias` is cast to the dtype of `input`.

    References
    ----------
    The function in NumPy's terms, and the paper that it is from: `pyleaky.bias_act`.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> pyleaky.torch.bias_act(torch.tensor([[-1.0, 2.0]]), torch.tensor([0.5, 1.0]), activation="relu")
    tensor([[0., 3.]])
    """
    _check("input", input)
    if bias is not None:
        _check("bias", bias)
        if torch.is_autocast_enabled(input.device.type):
            bias = bias.to(input.dtype)
    if type(dim) is not int:
        dim = _arguments.index("dim", dim, -(2**63), 2**63)
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"dim is {dim}, input has {input.ndim} dimensions")
    order = _order(input)
    axis = dim % input.ndim if order is None else order.index(dim % input.ndim)
    settings = (
        axis,
        activation,
        _number("negative_slope", negative_slope),
        None if gain is None else _number("gain", gain),
        None if clamp is None else _number("clamp", clamp),
    )
    return _laid_out(lambda x: _bias_act(x, None if bias is None else bias.contiguous(), *settings), input)


# ---------------------------------------------------------------------------------------------- modules


class ReLU(nn.ReLU):
    """`torch.nn.ReLU` with `relu`."""

    def forward(self, input: Tensor) -> Tensor:
        return relu(input, self.inplace)


class LeakyReLU(nn.LeakyReLU):
    """`torch.nn.LeakyReLU` with `leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        _number("negative_slope", negative_slope)
        super().__init__(negative_slope, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return leaky_relu(input, self.negative_slope, self.inplace)


class PReLU(nn.PReLU):
    """`torch.nn.PReLU` with `prelu`."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        init = _number("init", init)
        super().__init__(_arguments.index("num_parameters", num_parameters), init, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return prelu(input, self.weight)


class RReLU(nn.RReLU):
    """`torch.nn.RReLU` with `rrelu`."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        _slopes(lower, upper)
        super().__init__(lower, upper, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return rrelu(input, self.lower, self.upper, self.training, self.inplace)


class ELU(nn.ELU):
    """`torch.nn.ELU` with `elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        pyleaky.elu(np.zeros(0), _number("alpha", alpha))  # which checks it
        super().__init__(alpha, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return elu(input, self.alpha, self.inplace)


class CELU(nn.CELU):
    """`torch.nn.CELU` with `celu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        pyleaky.celu(np.zeros(0), _number("alpha", alpha))  # which checks it
        super().__init__(alpha, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return celu(input, self.alpha, self.inplace)


class SELU(nn.SELU):
    """`torch.nn.SELU` with `selu`."""

    def forward(self, input: Tensor) -> Tensor:
        return selu(input, self.inplace)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with `dropout`."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        _number("p", p, between=(0, 1))
        super().__init__(p, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training, self.inplace)


class BiasAct(nn.Module):
    """A learned bias along `dim`, and `bias_act` with the other arguments."""

    def __init__(
        self,
        num_features: int,
        *,
        dim: int = 1,
        activation: str,
        negative_slope: float = 0.01,
        gain: float | None = 1.0,
        clamp: float | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        checked_settings(activation, negative_slope, gain, clamp)
        num_features = _arguments.index("num_features", num_features)
        super().__init__()
        self.dim: int = _arguments.index("dim", dim, -(2**63), 2**63)
        self.activation: str = activation
        self.negative_slope: float = negative_slope
        self.gain: float | None = gain
        self.clamp: float | None = clamp
        self.bias: nn.Parameter = nn.Parameter(torch.zeros(num_features, device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return bias_act(
            input,
            self.bias,
            dim=self.dim,
            activation=self.activation,
            negative_slope=self.negative_slope,
            gain=self.gain,
            clamp=self.clamp,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.bias.numel()}, dim={self.dim}, activation={self.activation!r}, "
            f"negative_slope={self.negative_slope}, gain={self.gain}, clamp={self.clamp}"
        )


_OURS = {kind.__base__: kind for kind in (ReLU, LeakyReLU, PReLU, RReLU, ELU, CELU, SELU, Dropout)}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


def replace_activations(model: nn.Module) -> nn.Module:
    """
    Give a model's activations and dropout layers pyleaky's forward functions, in place.

    .. math:: \\mathtt{torch.nn.LeakyReLU} \\to \\mathtt{pyleaky.torch.LeakyReLU}, \\; \\ldots

    Parameters
    ----------
    model : torch.nn.Module
        Of whatever modules.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    TypeError
        If `model` is no module.

    See Also
    --------
    restore_activations

    Notes
    -----
    The modules stay the same objects, with their parameters, buffers, hooks and state dict: only their class changes.
    Subclasses of PyTorch's modules, and functions called in a model's own forward, are left alone.

    References
    ----------
    pyleaky's own.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LeakyReLU(0.2))
    >>> type(pyleaky.torch.replace_activations(model)[1])
    <class 'pyleaky.torch.LeakyReLU'>
    """
    return _exchange(model, _OURS)


def restore_activations(model: nn.Module) -> nn.Module:
    """
    Give the modules that `replace_activations` has exchanged PyTorch's own forward functions again, in place.

    .. math:: \\mathtt{pyleaky.torch.LeakyReLU} \\to \\mathtt{torch.nn.LeakyReLU}, \\; \\ldots

    Parameters
    ----------
    model : torch.nn.Module
        Of whatever modules.

    Returns
    -------
    torch.nn.Module
        The same model.

    Raises
    ------
    TypeError
        If `model` is no module.

    See Also
    --------
    replace_activations

    References
    ----------
    pyleaky's own.

    Examples
    --------
    >>> import torch, pyleaky.torch
    >>> model = pyleaky.torch.replace_activations(torch.nn.Sequential(torch.nn.ELU()))
    >>> pyleaky.torch.restore_activations(model)
    Sequential(
      (0): ELU(alpha=1.0)
    )
    """
    return _exchange(model, _THEIRS)


def _exchange(model: Any, kinds: Any) -> Any:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for module in model.modules():
        module.__class__ = kinds.get(type(module), type(module))
    return model
