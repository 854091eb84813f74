from typing import Any, Literal, NamedTuple, SupportsIndex

from numpy.random import Generator
from numpy.typing import ArrayLike

_Activation = Literal["linear", "relu", "leaky_relu", "elu", "selu"]

def dropout(
    x: ArrayLike,
    p: float = 0.5,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Any = None,
    return_seed: bool = False,
) -> Any: ...
def dropout_backward(
    grad: ArrayLike,
    p: float = 0.5,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Any = None,
) -> Any: ...
def rrelu(
    x: ArrayLike,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | Generator | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Any = None,
    return_seed: bool = False,
) -> Any: ...
def rrelu_backward(
    grad: ArrayLike,
    x: ArrayLike,
    lower: float = ...,
    upper: float = ...,
    *,
    seed: SupportsIndex | None = None,
    start: SupportsIndex = 0,
    training: bool = True,
    out: Any = None,
) -> Any: ...
def bias_act(
    x: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: _Activation = "leaky_relu",
    negative_slope: float = 0.2,
    gain: float | None = None,
    clamp: float | None = None,
    return_mask: bool = False,
    out: Any = None,
) -> Any: ...
def bias_act_backward(
    grad: ArrayLike,
    x: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    output: ArrayLike | None = None,
    mask: Any = None,
    axis: SupportsIndex | str = 1,
    activation: _Activation = "leaky_relu",
    negative_slope: float = 0.2,
    gain: float | None = None,
    clamp: float | None = None,
    out: Any = None,
) -> tuple[Any, Any]: ...
def bias_act_double_backward(
    gg: ArrayLike,
    grad: ArrayLike,
    x: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    axis: SupportsIndex | str = 1,
    activation: _Activation = "leaky_relu",
    negative_slope: float = 0.2,
    gain: float | None = None,
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
