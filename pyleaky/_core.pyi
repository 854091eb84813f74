from typing import Any, Literal, NamedTuple, overload

import numpy as np

class Row(NamedTuple):
    name: str
    inputs: tuple[str, ...]
    parameters: int
    formula: str

ROWS: dict[str, Row]
DTYPES: tuple[np.dtype[Any], ...]

def isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def __getattr__(name: str) -> np.ufunc: ...  # one ufunc per row of ROWS
