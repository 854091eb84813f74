"""The figures of pyleaky: Matplotlib's own, which notebooks display and whose `show` works without pyplot.

Only pyleaky._plot imports this file, when a picture is asked for.
"""

# Matplotlib's keywords have no types, nor has it where it is not installed.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUntypedBaseClass=false, reportMissingImports=false

from __future__ import annotations

import io
import warnings
from typing import Any

from matplotlib import figure


class Figure(figure.Figure):
    """A figure that pyplot does not know until it is shown, so that pictures drawn in a loop are not kept alive."""

    def _repr_png_(self) -> bytes:
        """The picture, for notebooks."""
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()

    def show(self, warn: bool = True) -> None:
        """
        Show the figure as `matplotlib.pyplot.show` does: in a script, until its window is closed.

        Parameters
        ----------
        warn : bool, optional
            Whether to warn where no window can be opened.
        """
        from matplotlib import get_backend, pyplot
        from matplotlib._pylab_helpers import Gcf
        from matplotlib.backends import registry

        backends: Any = registry  # which has no types
        files_only = backends.backend_registry.list_builtin(backends.BackendFilter.NON_INTERACTIVE)
        try:
            if get_backend().lower() in files_only:
                raise ImportError(f"Matplotlib's backend {get_backend()!r} opens no windows")
            if self.canvas.manager not in Gcf.figs.values():
                this: Any = lambda **_: self  # noqa: E731
                pyplot.figure(FigureClass=this)
        except ImportError as error:  # Matplotlib's own, where the backend finds no display or no toolkit
            if warn:
                message = f"the figure cannot be shown ({error}); write it to a file: figure.savefig('figure.png')"
                warnings.warn(message, stacklevel=2)
            return
        pyplot.show()
