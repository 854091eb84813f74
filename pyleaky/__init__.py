"""
Leaky ReLU and its family for NumPy, CuPy and Dask arrays, forward and backward.

Activations
    `relu`, `leaky_relu`, `prelu`, `rrelu`, `elu`, `celu` and `selu`.  Each has a ``NAME_backward(grad, x, ...)``:
    `grad` is the gradient of the loss with respect to the output, the result is the gradient with respect to `x`, and
    the parameters repeat those of the forward call.  `elu`, `celu` and `selu` have a ``NAME_double_backward``, too.
    The constants of `selu` are `SELU_SCALE` and `SELU_ALPHA`.
Fused functions
    `bias_act` adds a bias, applies an activation, multiplies by a gain and clamps, in one pass; `dropout` regenerates
    its random numbers in the backward pass; `unpack_mask` turns the packed masks of `relu` and `leaky_relu` into
    booleans.
Initialisation and training
    `pyleaky.init` has the distributions of LeCun, Glorot and He, with the gain of each activation; `pyleaky.training`
    clips gradients and adds weight decay.
Diagnosis
    `pyleaky.diagnostics` finds dead and saturated units and gradients that explode or vanish; `plot_activations` draws
    the functions and their derivatives.
Machine
    `show_config` says what runs here.  `set_num_threads`, `get_num_threads` and `num_threads` limit the threads,
    `set_cache_limit`, `cache_info` and `clear_cache` the memory that is kept for results.  `pyleaky.kernels` has the
    kernels for other compiled code.

``import pyleaky.torch`` and ``import pyleaky.tensorflow`` bring the functions and layers for these frameworks.

>>> import numpy as np
>>> import pyleaky
>>> x = np.array([-2, 0, 3], np.float32)
>>> pyleaky.leaky_relu(x, negative_slope=0.5)
array([-1.,  0.,  3.], dtype=float32)
>>> pyleaky.leaky_relu_backward(np.ones_like(x), x, negative_slope=0.5)
array([0.5, 0.5, 1. ], dtype=float32)

The documentation is in ``docs/`` of the source tree, where ``make docs`` builds the site; it begins with
``docs/quickstart.md``.
"""

# The public names and nothing else: the functions themselves are in _functions.pyx and _fused.pyx.

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
    from . import kernels as kernels
    from . import training as training
    from ._plot import plot_activations
else:
    # Imported when they are asked for, so that `import pyleaky` stays as quick as it is.
    _SUBMODULES = ("diagnostics", "init", "kernels", "training")
    _ADAPTERS = ("tensorflow", "torch")

    def __getattr__(name: str) -> object:
        import importlib

        if name in _SUBMODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name == "plot_activations":
            return importlib.import_module(f"{__name__}._plot").plot_activations
        hint = f"; write 'import {__name__}.{name}' first" if name in _ADAPTERS else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")

    def __dir__() -> list[str]:
        # No adapter that is not imported: completion and help() look at every name, and would import its framework.
        return sorted({*__all__, *_SUBMODULES, *(name for name in _ADAPTERS if name in globals()), "__version__"})
