"""The types that the stubs share: what the functions take, and what they keep of it.

Nothing imports this at run time.  A floating array gives an array of its dtype, a container one of its own kind; what
is Any in a result (bfloat16, which is no type of NumPy's, arrays of different kinds in one call) cannot be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

# ---- what NumPy serves

Number: TypeAlias = float | np.integer[Any] | np.bool  # gives a scalar of float64
Scalar: TypeAlias = float | np.generic  # a parameter that leaves the result's dtype alone
Integers: TypeAlias = NDArray[np.integer[Any]] | NDArray[np.bool]
# No deeper, and not recursive, for a string is a sequence of strings.
Numbers: TypeAlias = (
    Sequence[float]
    | Sequence[Sequence[float]]
    | Sequence[Sequence[Sequence[float]]]
    | Sequence[Sequence[Sequence[Sequence[float]]]]
)
ToFloat64: TypeAlias = Integers | Numbers  # gives an array of float64
Mask: TypeAlias = NDArray[np.uint8]
Bits: TypeAlias = NDArray[np.bool]


class SupportsArray(Protocol):
    """An array of any dtype, or what becomes one, such as a tensor of TensorFlow."""

    def __array__(self) -> np.ndarray[Any, Any]: ...


# ---- what is served as it is, told by a member that NumPy's arrays lack


class Labelled(Protocol):
    """pandas and xarray."""

    @property
    def loc(self) -> Any: ...


class Lazy(Protocol):
    """Dask."""

    def __dask_graph__(self) -> Any: ...


class OnDevice(Protocol):
    """CuPy and PyTorch."""

    @property
    def __cuda_array_interface__(self) -> Any: ...


class Namespaced(Protocol):
    """JAX and other namespaces of the array API standard; NumPy's arrays take certain versions only."""

    def __array_namespace__(self, *, api_version: str | None = None) -> Any: ...


Container: TypeAlias = Labelled | Lazy | OnDevice | Namespaced
Real: TypeAlias = (
    float | SupportsArray | Numbers | Sequence[SupportsArray] | Sequence[Sequence[SupportsArray]] | Container
)
Out: TypeAlias = np.ndarray[Any, Any] | Container

F = TypeVar("F", bound=np.floating[Any])
ScalarT = TypeVar("ScalarT", bound=np.generic)
DType: TypeAlias = type[ScalarT] | np.dtype[ScalarT]
OutT = TypeVar("OutT", bound=np.ndarray[Any, Any] | Container)
DeviceT = TypeVar("DeviceT", bound=OnDevice)
ContainerT = TypeVar("ContainerT", bound=Container)
KeptT = TypeVar("KeptT", bound=np.floating[Any] | np.ma.MaskedArray[Any, np.dtype[np.floating[Any]]])

# ---- words

Axes: TypeAlias = int | str | tuple[int | str, ...] | None
Activation: TypeAlias = Literal["linear", "relu", "leaky_relu", "elu", "selu"]
