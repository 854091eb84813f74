from collections.abc import Sequence
from typing import Any, SupportsIndex

from numpy.typing import ArrayLike, DTypeLike

SELU_SCALE: float
SELU_ALPHA: float

def relu(
    x: ArrayLike,
    *,
    out: Any = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
    return_mask: bool = False,
) -> Any: ...
def relu_backward(
    grad: ArrayLike,
    x: ArrayLike | None = None,
    *,
    output: ArrayLike | None = None,
    mask: Any = None,
    out: Any = None,
) -> Any: ...
def leaky_relu(
    x: ArrayLike,
    negative_slope: ArrayLike = 0.01,
    *,
    out: Any = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
    return_mask: bool = False,
) -> Any: ...
def leaky_relu_backward(
    grad: ArrayLike,
    x: ArrayLike | None = None,
    negative_slope: ArrayLike = 0.01,
    *,
    output: ArrayLike | None = None,
    mask: Any = None,
    out: Any = None,
) -> Any: ...
def unpack_mask(mask: Any, shape: SupportsIndex | Sequence[SupportsIndex]) -> Any: ...
def elu(
    x: ArrayLike,
    alpha: ArrayLike = 1.0,
    *,
    out: Any = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
def elu_backward(
    grad: ArrayLike,
    x: ArrayLike | None = None,
    alpha: ArrayLike = 1.0,
    *,
    output: ArrayLike | None = None,
    out: Any = None,
) -> Any: ...
def elu_double_backward(gg: ArrayLike, grad: ArrayLike, x: ArrayLike, alpha: ArrayLike = 1.0) -> tuple[Any, Any]: ...
def celu(
    x: ArrayLike,
    alpha: ArrayLike = 1.0,
    *,
    out: Any = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
def celu_backward(
    grad: ArrayLike,
    x: ArrayLike | None = None,
    alpha: ArrayLike = 1.0,
    *,
    output: ArrayLike | None = None,
    out: Any = None,
) -> Any: ...
def celu_double_backward(gg: ArrayLike, grad: ArrayLike, x: ArrayLike, alpha: ArrayLike = 1.0) -> tuple[Any, Any]: ...
def selu(x: ArrayLike, *, out: Any = None, where: ArrayLike = True, dtype: DTypeLike | None = None) -> Any: ...
def selu_backward(
    grad: ArrayLike, x: ArrayLike | None = None, *, output: ArrayLike | None = None, out: Any = None
) -> Any: ...
def selu_double_backward(gg: ArrayLike, grad: ArrayLike, x: ArrayLike) -> tuple[Any, Any]: ...
def prelu(
    x: ArrayLike,
    weight: ArrayLike,
    *,
    axis: int | str | tuple[int | str, ...] | None = None,
    out: Any = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
def prelu_backward(
    grad: ArrayLike, x: ArrayLike, weight: ArrayLike, *, axis: int | str | tuple[int | str, ...] | None = None
) -> tuple[Any, Any]: ...

# What the back ends share with this module.
def _kind(value: object) -> str | None: ...
def _library(value: object) -> str: ...
def _class(value: object) -> str: ...
def _framework(value: object) -> str | None: ...
def _given(argument: str, value: object, dtype: str = "") -> str: ...
def _way_out(argument: str, value: object) -> str: ...
def _refuse_tensor(argument: str, value: object, expected: str | None = None) -> None: ...
def _numpy_dtype(value: object) -> Any: ...
def _shared_axes(shape: tuple[int, ...], laid_shape: tuple[int, ...]) -> tuple[int, ...]: ...
def _call(name: str, operands: list[tuple[str, Any]], out: Any = None, where: Any = True, dtype: Any = None) -> Any: ...
def _prelu_gradients(grad: Any, x: Any, laid: Any, back_end: Any = None) -> tuple[Any, Any]: ...
