"""What is measured: each function as pyleaky, NumPy, PyTorch and ONNX write it, and the figures to reach.

To add a function, add an entry to FUNCTIONS.  The statements are Python as a user would type it; _peers.py looks the
dotted names up beforehand.  x, grad and weight are the inputs, tensor_x and so on the same memory for PyTorch; `out`
takes the result, and `scratch` and `mask` are there to be used.
"""

from dataclasses import dataclass, field

import pyleaky

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

K, M = 1024, 1024**2
HALF = ("float16", *(["bfloat16"] if ml_dtypes else []))
DTYPES = ("float32", "float64", *HALF)


@dataclass(frozen=True)
class Direction:
    """
    One direction of a function.

    pyleaky : the call for a fresh result.
    formula : what NumExpr, Numba and JAX compile, in the words that these share; only JAX can where there is a sum.
    numpy : by label, the statements for a fresh result and for `out`, the latter None where there is no good one.  It
        reads the array that is overwritten in place, x or backward grad, no more once it has written to `out`.
    torch : the statements for a fresh result and for `out`, the latter None where PyTorch has none.  Backward they are
        the bare kernels, without autograd's share.
    onnx : the operator and its attributes; there are none backward.
    """

    pyleaky: str
    formula: str
    numpy: dict
    torch: tuple
    onnx: tuple | None = None


@dataclass(frozen=True)
class Figure:
    """How many times as fast as `rival` pyleaky has to be, at the worst size; None: only told, not asked for."""

    direction: str
    mode: str
    smallest: int
    largest: int
    rival: str
    target: float | None
    dtypes: tuple = ("float32",)


@dataclass(frozen=True)
class Function:
    """
    numbers : the parameters by name; in the arrays' dtype for NumPy, because bfloat16 times a Python float is float32.
    channels : x has this many columns, with a weight for each.
    tolerance : how many units of the last place the peers may be away from pyleaky.  A rectifier is one product, so
        there all give the same bits.  Where there is an exponential the peers round up to five times, and some have no
        expm1; that leaves room, for what has to be told apart is different functions.
    """

    forward: Direction
    backward: Direction
    figures: tuple
    numbers: dict = field(default_factory=dict)
    channels: int | None = None
    tolerance: int = 0

    def tolerance_in(self, dtype):
        # The peers' parameters have an error of their own in half precision.
        return self.tolerance + 2 * (dtype in HALF)


def prelu(weight, columns, **more):
    """PReLU; `weight` and `columns` are pyleaky's weight and the sum over all that share one."""
    return Function(
        forward=Direction(
            f"pyleaky.prelu(x, {weight})",
            "where(x > 0, x, weight * x)",
            {
                "np.where": ("np.where(x > 0, x, weight * x)", None),
                "np.maximum": (
                    "np.maximum(x, weight * x)",
                    "np.multiply(x, weight, out=scratch); np.maximum(x, scratch, out=out)",
                ),
            },
            ("torch.nn.functional.prelu(tensor_x, tensor_weight)", None),
            ("PRelu", {}),
        ),
        backward=Direction(
            f"pyleaky.prelu_backward(grad, x, {weight})",
            f"where(x > 0, grad, weight * grad), where(x > 0, 0, grad * x).sum({columns})",
            {
                "np.where": (
                    f"np.where(x > 0, grad, weight * grad), (grad * np.minimum(x, 0)).sum({columns})",
                    None,
                ),
                "np.maximum": (
                    f"grad * np.maximum(x > 0, weight), (grad * np.minimum(x, 0)).sum({columns})",
                    None,
                ),
            },
            (
                "(both := torch.ops.aten._prelu_kernel_backward.default(tensor_grad, tensor_x, tensor_weight))[0], "
                f"both[1].sum({columns})",
                None,
            ),
        ),
        figures=tuple(
            Figure(direction, "fresh", 64 * K, M, "PyTorch", target, dtypes)
            for target, dtypes in ((None, ("float32",)), (10, HALF))
            for direction in ("forward", "backward")
        ),
        **more,
    )


def exponential(name, parameter, aten, forward, backward, **numbers):
    """One of the ELU family; `aten` is its alpha, scale and input scale for aten::elu, of which all three are cases."""
    gradient = f"tensor_grad, {aten}, False, tensor_x"
    return Function(
        forward=Direction(
            f"pyleaky.{name}(x{parameter})",
            *forward,
            (
                f"torch.nn.functional.{name}(tensor_x{parameter})",
                f"torch._C._nn.elu(tensor_x, {aten}, out=tensor_out)",
            ),
            (name.capitalize(), numbers if name == "celu" else {}),
        ),
        backward=Direction(
            f"pyleaky.{name}_backward(grad, x{parameter})",
            *backward,
            (
                f"torch.ops.aten.elu_backward.default({gradient})",
                f"torch.ops.aten.elu_backward.grad_input({gradient}, grad_input=tensor_out)",
            ),
        ),
        figures=(
            Figure("forward", "out", 64 * K, 16 * M, "PyTorch", 3),
            Figure("forward", "out", 64 * K, M, "PyTorch", 3, HALF),
            Figure("backward", "out", 64 * K, 16 * M, "PyTorch", 2.5),
            Figure("forward", "fresh", 4 * K, M, "NumPy", None),
            Figure("backward", "fresh", 4 * K, M, "NumPy", None),
        ),
        numbers=numbers,
        tolerance=8,
    )


FUNCTIONS = {
    "relu": Function(
        forward=Direction(
            "pyleaky.relu(x)",
            "where(x > 0, x, zero)",
            {"np.maximum": ("np.maximum(x, 0)", "np.maximum(x, 0, out=out)")},
            ("torch.relu(tensor_x)", "torch.clamp_min(tensor_x, 0, out=tensor_out)"),
            ("Relu", {}),
        ),
        backward=Direction(
            "pyleaky.relu_backward(grad, x)",
            "where(x > 0, grad, zero)",
            {
                "np.where": ("np.where(x > 0, grad, 0)", None),
                "np.multiply": ("grad * (x > 0)", "np.greater(x, 0, out=mask); np.multiply(grad, mask, out=out)"),
            },
            (
                "torch.ops.aten.threshold_backward.default(tensor_grad, tensor_x, 0)",
                "torch.ops.aten.threshold_backward.grad_input(tensor_grad, tensor_x, 0, grad_input=tensor_out)",
            ),
        ),
        figures=(
            Figure("forward", "out", 4 * K, 64 * K, "PyTorch", None),
            Figure("forward", "out", M, 16 * M, "copy", None),
        ),
        numbers={"zero": 0},
    ),
    "leaky_relu": Function(
        forward=Direction(
            "pyleaky.leaky_relu(x)",
            "where(x > 0, x, slope * x)",
            {
                "np.where": ("np.where(x > 0, x, slope * x)", None),
                "np.maximum": (
                    "np.maximum(x, slope * x)",
                    "np.multiply(x, slope, out=scratch); np.maximum(x, scratch, out=out)",
                ),
            },
            (
                "torch.nn.functional.leaky_relu(tensor_x, 0.01)",
                "torch._C._nn.leaky_relu(tensor_x, 0.01, out=tensor_out)",
            ),
            ("LeakyRelu", {"alpha": 0.01}),
        ),
        backward=Direction(
            "pyleaky.leaky_relu_backward(grad, x)",
            "where(x > 0, grad, slope * grad)",
            {
                "np.where": ("np.where(x > 0, grad, slope * grad)", None),
                "np.maximum": (
                    "grad * np.maximum(x > 0, slope)",
                    "np.greater(x, 0, out=mask); np.maximum(mask, slope, out=scratch); "
                    "np.multiply(grad, scratch, out=out)",
                ),
            },
            (
                "torch.ops.aten.leaky_relu_backward.default(tensor_grad, tensor_x, 0.01, False)",
                "torch.ops.aten.leaky_relu_backward.grad_input(tensor_grad, tensor_x, 0.01, False, "
                "grad_input=tensor_out)",
            ),
        ),
        figures=(
            Figure("forward", "fresh", 1, 64, "np.negative", 1),
            Figure("forward", "fresh", 1, 64, "PyTorch", 8),
            Figure("forward", "out", 1, 64, "np.negative", 2),
            Figure("forward", "fresh", 4 * K, 64 * K, "PyTorch", 1.5),
            Figure("forward", "out", 4 * K, 64 * K, "PyTorch", 1.5),
            Figure("forward", "out", M, 16 * M, "copy", 0.95),
            Figure("forward", "fresh", 16 * M, 64 * M, "PyTorch", 4),
            Figure("forward", "first", 16 * M, 64 * M, "PyTorch", None),
            Figure("forward", "kept", 16 * M, 64 * M, "PyTorch", None),
            Figure("forward", "fresh", 4 * K, M, "NumPy", 1.5),
            Figure("forward", "out", 64 * K, M, "PyTorch", 1, HALF),
            Figure("backward", "fresh", 1, 64, "PyTorch", None),
            Figure("backward", "out", 4 * K, 64 * K, "PyTorch", None),
            Figure("backward", "out", M, 16 * M, "copy", None),
            Figure("backward", "out", 64 * K, M, "PyTorch", 1, HALF),
        ),
        numbers={"slope": 0.01},
    ),
    "prelu": prelu("weight, axis=-1", "0", channels=64),
    "prelu_scalar": prelu("0.25", "", numbers={"weight": 0.25}),
    # exp(0) is 1, so only SELU's gradient needs a selection.
    "elu": exponential(
        "elu",
        "",
        "1, 1, 1",
        (
            "where(x > 0, x, expm1(x))",
            {
                "np.where": ("np.where(x > 0, x, np.expm1(np.minimum(x, 0)))", None),
                "np.maximum": (
                    "np.maximum(x, 0) + np.expm1(np.minimum(x, 0))",
                    "np.minimum(x, 0, out=scratch); np.expm1(scratch, out=scratch); np.maximum(x, 0, out=out); "
                    "np.add(out, scratch, out=out)",
                ),
            },
        ),
        (
            "where(x > 0, grad, grad * exp(x))",
            {
                "np.exp": (
                    "grad * np.exp(np.minimum(x, 0))",
                    "np.minimum(x, 0, out=scratch); np.exp(scratch, out=scratch); np.multiply(grad, scratch, out=out)",
                ),
            },
        ),
    ),
    "celu": exponential(
        "celu",
        ", 1.5",
        "1.5, 1, 1 / 1.5",
        (
            "where(x > 0, x, alpha * expm1(x / alpha))",
            {
                "np.where": ("np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))", None),
                "np.maximum": (
                    "np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)",
                    "np.minimum(x, 0, out=scratch); np.divide(scratch, alpha, out=scratch); "
                    "np.expm1(scratch, out=scratch); np.multiply(scratch, alpha, out=scratch); "
                    "np.maximum(x, 0, out=out); np.add(out, scratch, out=out)",
                ),
            },
        ),
        (
            "where(x > 0, grad, grad * exp(x / alpha))",
            {
                "np.exp": (
                    "grad * np.exp(np.minimum(x, 0) / alpha)",
                    "np.minimum(x, 0, out=scratch); np.divide(scratch, alpha, out=scratch); "
                    "np.exp(scratch, out=scratch); np.multiply(grad, scratch, out=out)",
                ),
            },
        ),
        alpha=1.5,
    ),
    "selu": exponential(
        "selu",
        "",
        f"{pyleaky.SELU_ALPHA}, {pyleaky.SELU_SCALE}, 1",
        (
            "scale * where(x > 0, x, alpha * expm1(x))",
            {
                "np.where": ("scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))", None),
                "np.maximum": (
                    "scale * (np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0)))",
                    "np.minimum(x, 0, out=scratch); np.expm1(scratch, out=scratch); "
                    "np.multiply(scratch, alpha, out=scratch); np.maximum(x, 0, out=out); "
                    "np.add(out, scratch, out=out); np.multiply(out, scale, out=out)",
                ),
            },
        ),
        (
            "scale * where(x > 0, grad, alpha * grad * exp(x))",
            {
                "np.where": ("scale * np.where(x > 0, grad, alpha * grad * np.exp(np.minimum(x, 0)))", None),
                "np.exp": (
                    "grad * np.exp(np.minimum(x, 0)) * (scale * alpha + scale * (1 - alpha) * (x > 0))",
                    "np.minimum(x, 0, out=scratch); np.exp(scratch, out=scratch); np.multiply(grad, scratch, out=out); "
                    "np.greater(x, 0, out=mask); np.multiply(mask, scale * (1 - alpha), out=scratch); "
                    "np.add(scratch, scale * alpha, out=scratch); np.multiply(out, scratch, out=out)",
                ),
            },
        ),
        alpha=pyleaky.SELU_ALPHA,
        scale=pyleaky.SELU_SCALE,
    ),
}
