from typing import Any

from numpy.typing import ArrayLike, DTypeLike

def relu(x: ArrayLike, *, out: Any = None, where: ArrayLike = True, dtype: DTypeLike | None = None) -> Any: ...
def relu_backward(
    grad: ArrayLike, x: ArrayLike | None = None, *, output: ArrayLike | None = None, out: Any = None
) -> Any: ...
def leaky_relu(
    x: ArrayLike,
    negative_slope: ArrayLike = 0.01,
    *,
    out: Any = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
def leaky_relu_backward(
    grad: ArrayLike,
    x: ArrayLike | None = None,
    negative_slope: ArrayLike = 0.01,
    *,
    output: ArrayLike | None = None,
    out: Any = None,
) -> Any: ...
def prelu(
    x: ArrayLike,
    weight: ArrayLike,
    *,
    axis: int | tuple[int, ...] | None = None,
    out: Any = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
def prelu_backward(
    grad: ArrayLike, x: ArrayLike, weight: ArrayLike, *, axis: int | tuple[int, ...] | None = None
) -> tuple[Any, Any]: ...
