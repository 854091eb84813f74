"""Fixtures shared by all tests: the ISA in use, and the array module under test.

`nightly` marks what takes too long for every change: it runs where PYLEAKY_NIGHTLY is set (`make nightly-tests`).
`isa` runs a test once per ISA that this machine supports.  `xp` runs it on NumPy and on CuPy; where no GPU is, CuPy is
the emulation of tests/emulated_cupy.py, which runs the same kernel text on the host.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from arrays import bfloat16

from pyleaky import _core

# Some tests call the ufuncs behind the public functions, which would do this.
_core.see_ml_dtypes()

NIGHTLY = bool(os.environ.get("PYLEAKY_NIGHTLY"))
nightly = pytest.mark.skipif(not NIGHTLY, reason="runs nightly")


def has_gpu():
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:  # not installed, or no driver: CuPy has a type of its own for each way to fail
        return False


@pytest.fixture(params=_core.isas())
def isa(request):
    before = _core.isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


def _import_cupy(monkeypatch):
    if has_gpu():
        import cupy

        return cupy
    import emulated_cupy

    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)
    monkeypatch.delitem(sys.modules, "pyleaky._gpu", raising=False)
    return emulated_cupy


@pytest.fixture
def cupy(monkeypatch):
    yield _import_cupy(monkeypatch)
    monkeypatch.undo()
    sys.modules.pop("pyleaky._gpu", None)


@pytest.fixture(params=["numpy", "cupy"])
def xp(request):
    return np if request.param == "numpy" else request.getfixturevalue("cupy")


def to_numpy(array):
    """The array on the host, as a plain ndarray."""
    return np.asarray(array.get() if hasattr(array, "get") else array)


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def to_tensor(array):
    """A tensor on the memory of the array, which for bfloat16 PyTorch takes as integers only."""
    import torch

    if array.dtype == bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def from_tensor(tensor):
    import torch

    tensor = tensor.detach()
    return tensor.view(torch.int16).numpy().view(bfloat16) if tensor.dtype == torch.bfloat16 else tensor.numpy()


def pytest_sessionfinish(session, exitstatus):
    """With PYLEAKY_ALLOWED_SKIPS naming a list, a skip for a reason that is not on it fails the run."""
    allowed = os.environ.get("PYLEAKY_ALLOWED_SKIPS")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not allowed or not reporter:
        return
    listed = {line.strip() for line in Path(allowed).read_text().splitlines() if not line.startswith("#")}
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])}
    if unlisted := sorted(reasons - listed):
        reporter.write_line(f"skips that {allowed} does not list: {unlisted}", red=True)
        session.exitstatus = 1
