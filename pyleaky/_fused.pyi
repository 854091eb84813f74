from typing import Any, Literal, NamedTuple, SupportsIndex, overload

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ._typing import Activation, ContainerT, DeviceT, F, KeptT, Mask, Number, OnDevice, Out, OutT, Real, ToFloat64

# The overloads come in the order of _functions.pyi.
@overload
def dropout(
    x: Number,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> np.float64: ...
@overload
def dropout(
    x: KeptT,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> KeptT: ...
@overload
def dropout(
    x: NDArray[F],
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> NDArray[F]: ...
@overload
def dropout(
    x: ToFloat64,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> NDArray[np.float64]: ...
@overload
def dropout(
    x: ContainerT,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> ContainerT: ...
@overload
def dropout(
    x: KeptT,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[True],
) -> tuple[KeptT, int]: ...
@overload
def dropout(
    x: NDArray[F],
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: NDArray[F] | None = None,
    return_seed: Literal[True],
) -> tuple[NDArray[F], int]: ...
@overload
def dropout(
    x: ContainerT,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[True],
) -> tuple[ContainerT, int]: ...
@overload
def dropout(
    x: Real,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Out | tuple[Out] | None = None,
    return_seed: Literal[True],
) -> tuple[Any, int]: ...
@overload
def dropout(
    x: Real,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: OutT | tuple[OutT],
    return_seed: Literal[False] = False,
) -> OutT: ...
@overload
def dropout(
    x: Real,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Out | tuple[Out] | None = None,
    return_seed: bool = False,
) -> Any: ...
@overload
def dropout_backward(
    grad: Number,
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> np.float64: ...
@overload
def dropout_backward(
    grad: KeptT,
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> KeptT: ...
@overload
def dropout_backward(
    grad: NDArray[F],
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> NDArray[F]: ...
@overload
def dropout_backward(
    grad: ToFloat64,
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def dropout_backward(
    grad: ContainerT,
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> ContainerT: ...
@overload
def dropout_backward(
    grad: Real,
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: OutT | tuple[OutT],
) -> OutT: ...
@overload
def dropout_backward(
    grad: Real,
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> Any: ...
@overload
def rrelu(
    x: Number,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> np.float64: ...
@overload
def rrelu(
    x: KeptT,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> KeptT: ...
@overload
def rrelu(
    x: NDArray[F],
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> NDArray[F]: ...
@overload
def rrelu(
    x: ToFloat64,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> NDArray[np.float64]: ...
@overload
def rrelu(
    x: ContainerT,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[False] = False,
) -> ContainerT: ...
@overload
def rrelu(
    x: KeptT,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[True],
) -> tuple[KeptT, int]: ...
@overload
def rrelu(
    x: NDArray[F],
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: NDArray[F] | None = None,
    return_seed: Literal[True],
) -> tuple[NDArray[F], int]: ...
@overload
def rrelu(
    x: ContainerT,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
    return_seed: Literal[True],
) -> tuple[ContainerT, int]: ...
@overload
def rrelu(
    x: Real,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Out | tuple[Out] | None = None,
    return_seed: Literal[True],
) -> tuple[Any, int]: ...
@overload
def rrelu(
    x: Real,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: OutT | tuple[OutT],
    return_seed: Literal[False] = False,
) -> OutT: ...
@overload
def rrelu(
    x: Real,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Out | tuple[Out] | None = None,
    return_seed: bool = False,
) -> Any: ...
@overload
def rrelu_backward(
    grad: Number,
    x: Number,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> np.float64: ...
@overload
def rrelu_backward(
    grad: KeptT,
    x: KeptT,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> KeptT: ...
@overload
def rrelu_backward(
    grad: NDArray[F],
    x: NDArray[F],
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> NDArray[F]: ...
@overload
def rrelu_backward(
    grad: ToFloat64,
    x: ToFloat64,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def rrelu_backward(
    grad: ContainerT,
    x: ContainerT,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> ContainerT: ...
@overload
def rrelu_backward(
    grad: Real,
    x: Real,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: OutT | tuple[OutT],
) -> OutT: ...
@overload
def rrelu_backward(
    grad: Real,
    x: Real,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: None = None,
) -> Any: ...
@overload
def bias_act(
    x: Number,
    bias: None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[False] = False,
    out: None = None,
) -> np.float64: ...
@overload
def bias_act(
    x: KeptT,
    bias: None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[False] = False,
    out: None = None,
) -> KeptT: ...
@overload
def bias_act(
    x: NDArray[F],
    bias: NDArray[F] | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[False] = False,
    out: None = None,
) -> NDArray[F]: ...
@overload
def bias_act(
    x: ToFloat64,
    bias: ToFloat64 | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[False] = False,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def bias_act(
    x: ContainerT,
    bias: Real | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[False] = False,
    out: None = None,
) -> ContainerT: ...
@overload
def bias_act(
    x: DeviceT,
    bias: DeviceT | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[True],
    out: DeviceT | None = None,
) -> tuple[DeviceT, DeviceT]: ...
@overload
def bias_act(
    x: NDArray[F],
    bias: NDArray[F] | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[True],
    out: NDArray[F] | None = None,
) -> tuple[NDArray[F], Mask]: ...
@overload
def bias_act(
    x: ToFloat64,
    bias: ToFloat64 | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[True],
    out: None = None,
) -> tuple[NDArray[np.float64], Mask]: ...
@overload
def bias_act(
    x: Real,
    bias: Real | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: Literal[False] = False,
    out: OutT | tuple[OutT],
) -> OutT: ...
@overload
def bias_act(
    x: Real,
    bias: Real | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    return_mask: bool = False,
    out: Out | tuple[Out] | None = None,
) -> Any: ...

# Without a bias the first of two that overlap is meant.
@overload
def bias_act_backward(
    grad: KeptT,
    x: KeptT | None = None,
    bias: None = None,
    *,
    output: KeptT | None = None,
    mask: None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[KeptT, None]: ...
@overload
def bias_act_backward(  # pyright: ignore[reportOverlappingOverload]
    grad: NDArray[F],
    x: NDArray[F] | None = None,
    bias: None = None,
    *,
    output: NDArray[F] | None = None,
    mask: Mask | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[NDArray[F], None]: ...
@overload
def bias_act_backward(  # pyright: ignore[reportOverlappingOverload]
    grad: ToFloat64,
    x: ToFloat64 | None = None,
    bias: None = None,
    *,
    output: ToFloat64 | None = None,
    mask: Mask | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[NDArray[np.float64], None]: ...
@overload
def bias_act_backward(
    grad: ContainerT,
    x: ContainerT | None = None,
    bias: None = None,
    *,
    output: ContainerT | None = None,
    mask: ContainerT | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[ContainerT, None]: ...
@overload
def bias_act_backward(
    grad: NDArray[F],
    x: NDArray[F] | None = None,
    bias: NDArray[F] = ...,
    *,
    output: NDArray[F] | None = None,
    mask: Mask | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[NDArray[F], NDArray[F]]: ...
@overload
def bias_act_backward(
    grad: ToFloat64,
    x: ToFloat64 | None = None,
    bias: ToFloat64 = ...,
    *,
    output: ToFloat64 | None = None,
    mask: Mask | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def bias_act_backward(
    grad: ContainerT,
    x: ContainerT | None = None,
    bias: Real = ...,
    *,
    output: ContainerT | None = None,
    mask: ContainerT | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[ContainerT, Any]: ...
@overload
def bias_act_backward(
    grad: Real,
    x: Real | None = None,
    bias: Real | None = None,
    *,
    output: Real | None = None,
    mask: Mask | OnDevice | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: OutT | tuple[OutT],
) -> tuple[OutT, Any]: ...
@overload
def bias_act_backward(
    grad: Real,
    x: Real | None = None,
    bias: Real | None = None,
    *,
    output: Real | None = None,
    mask: Mask | OnDevice | None = None,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
    out: None = None,
) -> tuple[Any, Any]: ...
@overload
def bias_act_double_backward(
    gg: KeptT,
    grad: KeptT,
    x: KeptT,
    bias: None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[KeptT, KeptT, None]: ...
@overload
def bias_act_double_backward(
    gg: NDArray[F],
    grad: NDArray[F],
    x: NDArray[F],
    bias: None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[NDArray[F], NDArray[F], None]: ...
@overload
def bias_act_double_backward(
    gg: ToFloat64,
    grad: ToFloat64,
    x: ToFloat64,
    bias: None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], None]: ...
@overload
def bias_act_double_backward(
    gg: ContainerT,
    grad: ContainerT,
    x: ContainerT,
    bias: None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[ContainerT, ContainerT, None]: ...
@overload
def bias_act_double_backward(
    gg: NDArray[F],
    grad: NDArray[F],
    x: NDArray[F],
    bias: NDArray[F],
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[NDArray[F], NDArray[F], NDArray[F]]: ...
@overload
def bias_act_double_backward(
    gg: ToFloat64,
    grad: ToFloat64,
    x: ToFloat64,
    bias: ToFloat64,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def bias_act_double_backward(
    gg: ContainerT,
    grad: ContainerT,
    x: ContainerT,
    bias: Real,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[ContainerT, ContainerT, Any]: ...
@overload
def bias_act_double_backward(
    gg: Real,
    grad: Real,
    x: Real,
    bias: Real | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: Activation,
    negative_slope: float = 0.01,
    gain: float | None = 1.0,
    clamp: float | None = None,
) -> tuple[Any, Any, Any]: ...

# What the back ends share with this module.
class Settings(NamedTuple):
    activation: str
    slope: float
    gain: float
    gain_in_float32: float
    clamp: float
    @property
    def is_piecewise_linear(self) -> bool: ...
    def check_gain(self, dtype: Any) -> None: ...
    def check_output_is_enough(self, dtype: Any) -> None: ...
    def is_output_enough(self, dtype: Any) -> bool: ...

def checked_settings(activation: Any, negative_slope: Any, gain: Any, clamp: Any) -> Settings: ...
def run(
    name: str,
    operands: list[tuple[str, Any]],
    out: Any,
    seed: int,
    start: int,
    first: float,
    second: float,
    strides: Any = None,
) -> Any: ...
def bias_act_with(
    settings: Settings, x: Any, bias: Any, axis: int, return_mask: bool = False, out: Any = None
) -> Any: ...
def gradients_with(
    settings: Settings, given: dict[str, Any], bias: Any, mask: Any = None, axis: int = 1, out: Any = None
) -> tuple[Any, Any]: ...
def _common_dtype(arrays: Any) -> Any: ...
