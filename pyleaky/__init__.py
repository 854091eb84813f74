"""pyleaky: the rectifier family, forward and backward, for NumPy and CuPy arrays.

The public names and nothing else; the functions themselves are in ``_functions.pyx``.
"""

__version__ = "0.1.0"

from typing import TYPE_CHECKING

import numpy as _numpy

if int(_numpy.__version__.split(".")[0]) < 2:
    raise ImportError(f"pyleaky {__version__} needs NumPy 2.0 or newer, found NumPy {_numpy.__version__}")

from ._core import (
    cache_info,
    clear_cache,
    get_num_threads,
    num_threads,
    set_cache_limit,
    set_num_threads,
    show_config,
)
from ._functions import (
    SELU_ALPHA,
    SELU_SCALE,
    celu,
    celu_backward,
    celu_double_backward,
    elu,
    elu_backward,
    elu_double_backward,
    leaky_relu,
    leaky_relu_backward,
    prelu,
    prelu_backward,
    relu,
    relu_backward,
    selu,
    selu_backward,
    selu_double_backward,
    unpack_mask,
)
from ._fused import (
    bias_act,
    bias_act_backward,
    bias_act_double_backward,
    dropout,
    dropout_backward,
    rrelu,
    rrelu_backward,
)

__all__ = [
    "SELU_ALPHA",
    "SELU_SCALE",
    "bias_act",
    "bias_act_backward",
    "bias_act_double_backward",
    "cache_info",
    "celu",
    "celu_backward",
    "celu_double_backward",
    "clear_cache",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "elu_double_backward",
    "get_num_threads",
    "leaky_relu",
    "leaky_relu_backward",
    "num_threads",
    "plot_activations",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "rrelu",
    "rrelu_backward",
    "selu",
    "selu_backward",
    "selu_double_backward",
    "set_cache_limit",
    "set_num_threads",
    "show_config",
    "unpack_mask",
]

if TYPE_CHECKING:
    from . import diagnostics as diagnostics
    from . import init as init
    from . import training as training
    from ._plot import plot_activations
else:

    def __getattr__(name: str) -> object:
        # Imported when they are asked for, so that `import pyleaky` stays as quick as it is.
        import importlib

        if name in ("diagnostics", "init", "training"):
            return importlib.import_module(f"{__name__}.{name}")
        if name == "plot_activations":
            return importlib.import_module(f"{__name__}._plot").plot_activations
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
