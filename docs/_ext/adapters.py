"""pyleaky.torch and pyleaky.tensorflow for the reference, whether or not the frameworks are installed.

Only the adapters' own text is wanted, so they are imported here, once, with stand-ins in the frameworks' places, which
are taken away again: pyleaky looks in sys.modules for the arrays that it may meet.
"""

import importlib
import sys
import types
from unittest import mock


def part(name):
    return Class(name, (), {}) if name[0].isupper() else StandIn(name)


class Class(type):
    """A framework's class, to be derived from; torch.autograd.Function's `apply` is all that is asked of it."""

    apply = None


class StandIn(types.ModuleType):
    """A framework, or a part of it that is no class; as a decorator it does nothing."""

    __version__ = "999.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, part(name))
        return getattr(self, name)

    def __call__(self, *args, **kwargs):
        return args[0] if args and callable(args[0]) else self


def setup(app):
    frameworks = ("torch", "torch.autograd", "torch.autograd.function", "tensorflow", "keras")
    with mock.patch.dict(sys.modules, {name: StandIn(name) for name in frameworks}):
        adapters = {name: importlib.import_module(name) for name in ("pyleaky.torch", "pyleaky.tensorflow")}
    sys.modules.update(adapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
