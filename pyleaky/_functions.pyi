from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._typing import (
    Axes,
    Bits,
    ContainerT,
    DeviceT,
    DType,
    F,
    Integers,
    KeptT,
    Mask,
    Number,
    Numbers,
    OnDevice,
    Out,
    OutT,
    Real,
    Scalar,
    ScalarT,
    ToFloat64,
)

SELU_SCALE: float
SELU_ALPHA: float

# Of each function, in this order: numbers; floating scalars and masked arrays, which come back as they are; floating
# arrays (before integers, so that an array of an unknown dtype is one); what becomes an array of float64; containers
# (after arrays, which older stubs of NumPy take for one); the same with a mask; with dtype; with out; all else.
@overload
def relu(
    x: Number, *, out: None = None, where: ArrayLike = True, dtype: None = None, return_mask: Literal[False] = False
) -> np.float64: ...
@overload
def relu(
    x: KeptT, *, out: None = None, where: ArrayLike = True, dtype: None = None, return_mask: Literal[False] = False
) -> KeptT: ...
@overload
def relu(
    x: NDArray[F], *, out: None = None, where: ArrayLike = True, dtype: None = None, return_mask: Literal[False] = False
) -> NDArray[F]: ...
@overload
def relu(
    x: ToFloat64, *, out: None = None, where: ArrayLike = True, dtype: None = None, return_mask: Literal[False] = False
) -> NDArray[np.float64]: ...
@overload
def relu(
    x: ContainerT, *, out: None = None, where: ArrayLike = True, dtype: None = None, return_mask: Literal[False] = False
) -> ContainerT: ...
@overload
def relu(
    x: DeviceT,
    *,
    out: DeviceT | None = None,
    where: Literal[True] = True,
    dtype: None = None,
    return_mask: Literal[True],
) -> tuple[DeviceT, DeviceT]: ...
@overload
def relu(
    x: NDArray[F],
    *,
    out: NDArray[F] | None = None,
    where: Literal[True] = True,
    dtype: None = None,
    return_mask: Literal[True],
) -> tuple[NDArray[F], Mask]: ...
@overload
def relu(
    x: Integers, *, out: None = None, where: Literal[True] = True, dtype: None = None, return_mask: Literal[True]
) -> tuple[NDArray[np.float64], Mask]: ...
@overload
def relu(
    x: NDArray[Any] | Numbers,
    *,
    out: None = None,
    where: ArrayLike = True,
    dtype: DType[ScalarT],
    return_mask: Literal[False] = False,
) -> NDArray[ScalarT]: ...
@overload
def relu(
    x: Real,
    *,
    out: OutT | tuple[OutT],
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
    return_mask: Literal[False] = False,
) -> OutT: ...
@overload
def relu(
    x: Real,
    *,
    out: Out | tuple[Out] | None = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
    return_mask: bool = False,
) -> Any: ...
@overload
def relu_backward(
    grad: Number, x: Number | None = None, *, output: Number | None = None, mask: None = None, out: None = None
) -> np.float64: ...
@overload
def relu_backward(
    grad: KeptT, x: KeptT | None = None, *, output: KeptT | None = None, mask: None = None, out: None = None
) -> KeptT: ...
@overload
def relu_backward(
    grad: NDArray[F],
    x: NDArray[F] | None = None,
    *,
    output: NDArray[F] | None = None,
    mask: Mask | None = None,
    out: None = None,
) -> NDArray[F]: ...
@overload
def relu_backward(
    grad: ToFloat64,
    x: ToFloat64 | None = None,
    *,
    output: ToFloat64 | None = None,
    mask: Mask | None = None,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def relu_backward(
    grad: ContainerT,
    x: ContainerT | None = None,
    *,
    output: ContainerT | None = None,
    mask: ContainerT | None = None,
    out: None = None,
) -> ContainerT: ...
@overload
def relu_backward(
    grad: Real,
    x: Real | None = None,
    *,
    output: Real | None = None,
    mask: Mask | OnDevice | None = None,
    out: OutT | tuple[OutT],
) -> OutT: ...
@overload
def relu_backward(
    grad: Real,
    x: Real | None = None,
    *,
    output: Real | None = None,
    mask: Mask | OnDevice | None = None,
    out: None = None,
) -> Any: ...
@overload
def leaky_relu(
    x: Number,
    negative_slope: Scalar = 0.01,
    *,
    out: None = None,
    where: ArrayLike = True,
    dtype: None = None,
    return_mask: Literal[False] = False,
) -> np.float64: ...
@overload
def leaky_relu(
    x: KeptT,
    negative_slope: Scalar = 0.01,
    *,
    out: None = None,
    where: ArrayLike = True,
    dtype: None = None,
    return_mask: Literal[False] = False,
) -> KeptT: ...
@overload
def leaky_relu(
    x: NDArray[F],
    negative_slope: Scalar | NDArray[F] = 0.01,
    *,
    out: None = None,
    where: ArrayLike = True,
    dtype: None = None,
    return_mask: Literal[False] = False,
) -> NDArray[F]: ...
@overload
def leaky_relu(
    x: ToFloat64,
    negative_slope: Scalar | ToFloat64 = 0.01,
    *,
    out: None = None,
    where: ArrayLike = True,
    dtype: None = None,
    return_mask: Literal[False] = False,
) -> NDArray[np.float64]: ...
@overload
def leaky_relu(
    x: ContainerT,
    negative_slope: Real = 0.01,
    *,
    out: None = None,
    where: ArrayLike = True,
    dtype: None = None,
    return_mask: Literal[False] = False,
) -> ContainerT: ...
@overload
def leaky_relu(
    x: DeviceT,
    negative_slope: Scalar = 0.01,
    *,
    out: DeviceT | None = None,
    where: Literal[True] = True,
    dtype: None = None,
    return_mask: Literal[True],
) -> tuple[DeviceT, DeviceT]: ...
@overload
def leaky_relu(
    x: NDArray[F],
    negative_slope: Scalar = 0.01,
    *,
    out: NDArray[F] | None = None,
    where: Literal[True] = True,
    dtype: None = None,
    return_mask: Literal[True],
) -> tuple[NDArray[F], Mask]: ...
@overload
def leaky_relu(
    x: Integers,
    negative_slope: Scalar = 0.01,
    *,
    out: None = None,
    where: Literal[True] = True,
    dtype: None = None,
    return_mask: Literal[True],
) -> tuple[NDArray[np.float64], Mask]: ...
@overload
def leaky_relu(
    x: NDArray[Any] | Numbers,
    negative_slope: Real = 0.01,
    *,
    out: None = None,
    where: ArrayLike = True,
    dtype: DType[ScalarT],
    return_mask: Literal[False] = False,
) -> NDArray[ScalarT]: ...
@overload
def leaky_relu(
    x: Real,
    negative_slope: Real = 0.01,
    *,
    out: OutT | tuple[OutT],
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
    return_mask: Literal[False] = False,
) -> OutT: ...
@overload
def leaky_relu(
    x: Real,
    negative_slope: Real = 0.01,
    *,
    out: Out | tuple[Out] | None = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
    return_mask: bool = False,
) -> Any: ...
@overload
def leaky_relu_backward(
    grad: Number,
    x: Number | None = None,
    negative_slope: Scalar = 0.01,
    *,
    output: Number | None = None,
    mask: None = None,
    out: None = None,
) -> np.float64: ...
@overload
def leaky_relu_backward(
    grad: KeptT,
    x: KeptT | None = None,
    negative_slope: Scalar = 0.01,
    *,
    output: KeptT | None = None,
    mask: None = None,
    out: None = None,
) -> KeptT: ...
@overload
def leaky_relu_backward(
    grad: NDArray[F],
    x: NDArray[F] | None = None,
    negative_slope: Scalar | NDArray[F] = 0.01,
    *,
    output: NDArray[F] | None = None,
    mask: Mask | None = None,
    out: None = None,
) -> NDArray[F]: ...
@overload
def leaky_relu_backward(
    grad: ToFloat64,
    x: ToFloat64 | None = None,
    negative_slope: Scalar | ToFloat64 = 0.01,
    *,
    output: ToFloat64 | None = None,
    mask: Mask | None = None,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def leaky_relu_backward(
    grad: ContainerT,
    x: ContainerT | None = None,
    negative_slope: Real = 0.01,
    *,
    output: ContainerT | None = None,
    mask: ContainerT | None = None,
    out: None = None,
) -> ContainerT: ...
@overload
def leaky_relu_backward(
    grad: Real,
    x: Real | None = None,
    negative_slope: Real = 0.01,
    *,
    output: Real | None = None,
    mask: Mask | OnDevice | None = None,
    out: OutT | tuple[OutT],
) -> OutT: ...
@overload
def leaky_relu_backward(
    grad: Real,
    x: Real | None = None,
    negative_slope: Real = 0.01,
    *,
    output: Real | None = None,
    mask: Mask | OnDevice | None = None,
    out: None = None,
) -> Any: ...
@overload
def unpack_mask(mask: DeviceT, shape: SupportsIndex | Sequence[SupportsIndex]) -> DeviceT: ...
@overload
def unpack_mask(mask: Mask, shape: SupportsIndex | Sequence[SupportsIndex]) -> Bits: ...
@overload
def elu(
    x: Number, alpha: Scalar = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> np.float64: ...
@overload
def elu(x: KeptT, alpha: Scalar = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None) -> KeptT: ...
@overload
def elu(
    x: NDArray[F], alpha: Scalar | NDArray[F] = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> NDArray[F]: ...
@overload
def elu(
    x: ToFloat64, alpha: Scalar | ToFloat64 = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> NDArray[np.float64]: ...
@overload
def elu(
    x: ContainerT, alpha: Real = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> ContainerT: ...
@overload
def elu(
    x: NDArray[Any] | Numbers, alpha: Real = 1.0, *, out: None = None, where: ArrayLike = True, dtype: DType[ScalarT]
) -> NDArray[ScalarT]: ...
@overload
def elu(
    x: Real, alpha: Real = 1.0, *, out: OutT | tuple[OutT], where: ArrayLike = True, dtype: DTypeLike | None = None
) -> OutT: ...
@overload
def elu(
    x: Real,
    alpha: Real = 1.0,
    *,
    out: Out | tuple[Out] | None = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
@overload
def elu_backward(
    grad: Number, x: Number | None = None, alpha: Scalar = 1.0, *, output: Number | None = None, out: None = None
) -> np.float64: ...
@overload
def elu_backward(
    grad: KeptT, x: KeptT | None = None, alpha: Scalar = 1.0, *, output: KeptT | None = None, out: None = None
) -> KeptT: ...
@overload
def elu_backward(
    grad: NDArray[F],
    x: NDArray[F] | None = None,
    alpha: Scalar | NDArray[F] = 1.0,
    *,
    output: NDArray[F] | None = None,
    out: None = None,
) -> NDArray[F]: ...
@overload
def elu_backward(
    grad: ToFloat64,
    x: ToFloat64 | None = None,
    alpha: Scalar | ToFloat64 = 1.0,
    *,
    output: ToFloat64 | None = None,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def elu_backward(
    grad: ContainerT,
    x: ContainerT | None = None,
    alpha: Real = 1.0,
    *,
    output: ContainerT | None = None,
    out: None = None,
) -> ContainerT: ...
@overload
def elu_backward(
    grad: Real, x: Real | None = None, alpha: Real = 1.0, *, output: Real | None = None, out: OutT | tuple[OutT]
) -> OutT: ...
@overload
def elu_backward(
    grad: Real, x: Real | None = None, alpha: Real = 1.0, *, output: Real | None = None, out: None = None
) -> Any: ...
@overload
def elu_double_backward(gg: Number, grad: Number, x: Number, alpha: Scalar = 1.0) -> tuple[np.float64, np.float64]: ...
@overload
def elu_double_backward(gg: KeptT, grad: KeptT, x: KeptT, alpha: Scalar = 1.0) -> tuple[KeptT, KeptT]: ...
@overload
def elu_double_backward(
    gg: NDArray[F], grad: NDArray[F], x: NDArray[F], alpha: Scalar | NDArray[F] = 1.0
) -> tuple[NDArray[F], NDArray[F]]: ...
@overload
def elu_double_backward(
    gg: ToFloat64, grad: ToFloat64, x: ToFloat64, alpha: Scalar | ToFloat64 = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def elu_double_backward(
    gg: ContainerT, grad: ContainerT, x: ContainerT, alpha: Scalar = 1.0
) -> tuple[ContainerT, ContainerT]: ...
@overload
def elu_double_backward(gg: Real, grad: Real, x: Real, alpha: Real = 1.0) -> tuple[Any, Any]: ...
@overload
def celu(
    x: Number, alpha: Scalar = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> np.float64: ...
@overload
def celu(x: KeptT, alpha: Scalar = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None) -> KeptT: ...
@overload
def celu(
    x: NDArray[F], alpha: Scalar | NDArray[F] = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> NDArray[F]: ...
@overload
def celu(
    x: ToFloat64, alpha: Scalar | ToFloat64 = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> NDArray[np.float64]: ...
@overload
def celu(
    x: ContainerT, alpha: Real = 1.0, *, out: None = None, where: ArrayLike = True, dtype: None = None
) -> ContainerT: ...
@overload
def celu(
    x: NDArray[Any] | Numbers, alpha: Real = 1.0, *, out: None = None, where: ArrayLike = True, dtype: DType[ScalarT]
) -> NDArray[ScalarT]: ...
@overload
def celu(
    x: Real, alpha: Real = 1.0, *, out: OutT | tuple[OutT], where: ArrayLike = True, dtype: DTypeLike | None = None
) -> OutT: ...
@overload
def celu(
    x: Real,
    alpha: Real = 1.0,
    *,
    out: Out | tuple[Out] | None = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
@overload
def celu_backward(
    grad: Number, x: Number | None = None, alpha: Scalar = 1.0, *, output: Number | None = None, out: None = None
) -> np.float64: ...
@overload
def celu_backward(
    grad: KeptT, x: KeptT | None = None, alpha: Scalar = 1.0, *, output: KeptT | None = None, out: None = None
) -> KeptT: ...
@overload
def celu_backward(
    grad: NDArray[F],
    x: NDArray[F] | None = None,
    alpha: Scalar | NDArray[F] = 1.0,
    *,
    output: NDArray[F] | None = None,
    out: None = None,
) -> NDArray[F]: ...
@overload
def celu_backward(
    grad: ToFloat64,
    x: ToFloat64 | None = None,
    alpha: Scalar | ToFloat64 = 1.0,
    *,
    output: ToFloat64 | None = None,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def celu_backward(
    grad: ContainerT,
    x: ContainerT | None = None,
    alpha: Real = 1.0,
    *,
    output: ContainerT | None = None,
    out: None = None,
) -> ContainerT: ...
@overload
def celu_backward(
    grad: Real, x: Real | None = None, alpha: Real = 1.0, *, output: Real | None = None, out: OutT | tuple[OutT]
) -> OutT: ...
@overload
def celu_backward(
    grad: Real, x: Real | None = None, alpha: Real = 1.0, *, output: Real | None = None, out: None = None
) -> Any: ...
@overload
def celu_double_backward(gg: Number, grad: Number, x: Number, alpha: Scalar = 1.0) -> tuple[np.float64, np.float64]: ...
@overload
def celu_double_backward(gg: KeptT, grad: KeptT, x: KeptT, alpha: Scalar = 1.0) -> tuple[KeptT, KeptT]: ...
@overload
def celu_double_backward(
    gg: NDArray[F], grad: NDArray[F], x: NDArray[F], alpha: Scalar | NDArray[F] = 1.0
) -> tuple[NDArray[F], NDArray[F]]: ...
@overload
def celu_double_backward(
    gg: ToFloat64, grad: ToFloat64, x: ToFloat64, alpha: Scalar | ToFloat64 = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def celu_double_backward(
    gg: ContainerT, grad: ContainerT, x: ContainerT, alpha: Scalar = 1.0
) -> tuple[ContainerT, ContainerT]: ...
@overload
def celu_double_backward(gg: Real, grad: Real, x: Real, alpha: Real = 1.0) -> tuple[Any, Any]: ...
@overload
def selu(x: Number, *, out: None = None, where: ArrayLike = True, dtype: None = None) -> np.float64: ...
@overload
def selu(x: KeptT, *, out: None = None, where: ArrayLike = True, dtype: None = None) -> KeptT: ...
@overload
def selu(x: NDArray[F], *, out: None = None, where: ArrayLike = True, dtype: None = None) -> NDArray[F]: ...
@overload
def selu(x: ToFloat64, *, out: None = None, where: ArrayLike = True, dtype: None = None) -> NDArray[np.float64]: ...
@overload
def selu(x: ContainerT, *, out: None = None, where: ArrayLike = True, dtype: None = None) -> ContainerT: ...
@overload
def selu(
    x: NDArray[Any] | Numbers, *, out: None = None, where: ArrayLike = True, dtype: DType[ScalarT]
) -> NDArray[ScalarT]: ...
@overload
def selu(x: Real, *, out: OutT | tuple[OutT], where: ArrayLike = True, dtype: DTypeLike | None = None) -> OutT: ...
@overload
def selu(
    x: Real, *, out: Out | tuple[Out] | None = None, where: ArrayLike = True, dtype: DTypeLike | None = None
) -> Any: ...
@overload
def selu_backward(
    grad: Number, x: Number | None = None, *, output: Number | None = None, out: None = None
) -> np.float64: ...
@overload
def selu_backward(grad: KeptT, x: KeptT | None = None, *, output: KeptT | None = None, out: None = None) -> KeptT: ...
@overload
def selu_backward(
    grad: NDArray[F], x: NDArray[F] | None = None, *, output: NDArray[F] | None = None, out: None = None
) -> NDArray[F]: ...
@overload
def selu_backward(
    grad: ToFloat64, x: ToFloat64 | None = None, *, output: ToFloat64 | None = None, out: None = None
) -> NDArray[np.float64]: ...
@overload
def selu_backward(
    grad: ContainerT, x: ContainerT | None = None, *, output: ContainerT | None = None, out: None = None
) -> ContainerT: ...
@overload
def selu_backward(
    grad: Real, x: Real | None = None, *, output: Real | None = None, out: OutT | tuple[OutT]
) -> OutT: ...
@overload
def selu_backward(grad: Real, x: Real | None = None, *, output: Real | None = None, out: None = None) -> Any: ...
@overload
def selu_double_backward(gg: Number, grad: Number, x: Number) -> tuple[np.float64, np.float64]: ...
@overload
def selu_double_backward(gg: KeptT, grad: KeptT, x: KeptT) -> tuple[KeptT, KeptT]: ...
@overload
def selu_double_backward(gg: NDArray[F], grad: NDArray[F], x: NDArray[F]) -> tuple[NDArray[F], NDArray[F]]: ...
@overload
def selu_double_backward(
    gg: ToFloat64, grad: ToFloat64, x: ToFloat64
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def selu_double_backward(gg: ContainerT, grad: ContainerT, x: ContainerT) -> tuple[ContainerT, ContainerT]: ...
@overload
def selu_double_backward(gg: Real, grad: Real, x: Real) -> tuple[Any, Any]: ...
@overload
def prelu(
    x: Number, weight: Scalar, *, axis: Axes = None, out: None = None, where: ArrayLike = True, dtype: None = None
) -> np.float64: ...
@overload
def prelu(
    x: KeptT, weight: Scalar, *, axis: Axes = None, out: None = None, where: ArrayLike = True, dtype: None = None
) -> KeptT: ...
@overload
def prelu(
    x: NDArray[F],
    weight: Scalar | NDArray[F],
    *,
    axis: Axes = None,
    out: None = None,
    where: ArrayLike = True,
    dtype: None = None,
) -> NDArray[F]: ...
@overload
def prelu(
    x: ToFloat64,
    weight: Scalar | ToFloat64,
    *,
    axis: Axes = None,
    out: None = None,
    where: ArrayLike = True,
    dtype: None = None,
) -> NDArray[np.float64]: ...
@overload
def prelu(
    x: ContainerT, weight: Real, *, axis: Axes = None, out: None = None, where: ArrayLike = True, dtype: None = None
) -> ContainerT: ...
@overload
def prelu(
    x: NDArray[Any] | Numbers,
    weight: Real,
    *,
    axis: Axes = None,
    out: None = None,
    where: ArrayLike = True,
    dtype: DType[ScalarT],
) -> NDArray[ScalarT]: ...
@overload
def prelu(
    x: Real,
    weight: Real,
    *,
    axis: Axes = None,
    out: OutT | tuple[OutT],
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> OutT: ...
@overload
def prelu(
    x: Real,
    weight: Real,
    *,
    axis: Axes = None,
    out: Out | tuple[Out] | None = None,
    where: ArrayLike = True,
    dtype: DTypeLike | None = None,
) -> Any: ...
@overload
def prelu_backward(
    grad: NDArray[F], x: NDArray[F], weight: NDArray[F], *, axis: Axes = None
) -> tuple[NDArray[F], NDArray[F]]: ...
@overload
def prelu_backward(grad: NDArray[F], x: NDArray[F], weight: Scalar, *, axis: Axes = None) -> tuple[NDArray[F], F]: ...
@overload
def prelu_backward(
    grad: ToFloat64, x: ToFloat64, weight: Scalar, *, axis: Axes = None
) -> tuple[NDArray[np.float64], np.float64]: ...
@overload
def prelu_backward(
    grad: ToFloat64, x: ToFloat64, weight: ToFloat64, *, axis: Axes = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def prelu_backward(grad: ContainerT, x: ContainerT, weight: Real, *, axis: Axes = None) -> tuple[ContainerT, Any]: ...
@overload
def prelu_backward(grad: Real, x: Real, weight: Real, *, axis: Axes = None) -> tuple[Any, Any]: ...

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
