from typing import Any, SupportsIndex

from numpy.random import Generator
from numpy.typing import ArrayLike

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
