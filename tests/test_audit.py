"""What importing pyleaky and calling every public function does to the system, watched by the audit hook.

Nothing goes to the network, no process is started, no file is written, nothing is unpickled, and no text becomes code
but the table's own.  What is allowed stands in ALLOWED, with the reason.  The hook sees Python's own doors; the C core
opens files below /proc and /sys to learn how many CPUs and how much memory there are, and has no other calls.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import pyleaky
from pyleaky import _core

# Events whatever their arguments are.  `compile` and `exec` also come from importing modules: see ALLOWED.
FORBIDDEN = (
    "socket.",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
    "os.putenv",
    "shutil.",
    "tempfile.",
    "pickle.",
    "marshal.",
    "ctypes.dlopen",
    "ctypes.call_function",
    "urllib.",
    "http.",
    "ftplib.",
    "webbrowser.",
    "code.__new__",
    "compile",
    "exec",
    "open for writing",
)

# Event, what its arguments begin with, and why it may be.
ALLOWED = [
    ("marshal.loads", "", "modules are imported from their bytecode"),
    ("exec", "<module> of", "the body of an imported module"),
    ("compile", "<module> of", "the same where no bytecode is stored"),
    ("exec", "text of the standard library", "named tuples, dataclasses and annotations, which are text there"),
    ("compile", "text of the standard library", "the same"),
    ("code.__new__", "", "the standard library's dataclasses and Cython's tables of line numbers"),
]

WATCH = r"""
import json, os, sys
sys.dont_write_bytecode = True
import numpy  # what NumPy does while it is imported is not this package's
sys.path[:0] = {path!r}
events, stage = [], "start"

def callers():
    frame, found = sys._getframe(2), []
    while frame is not None:
        found.append(frame.f_code.co_filename)
        frame = frame.f_back
    return found

STANDARD = os.path.dirname(os.__file__)

def what_becomes_code(event, args):
    "Which of the kinds in ALLOWED it is, or else the arguments."
    files = [*(name for name in callers()[1:] if name != "<string>"), "no file"]
    if event == "exec" and args[0].co_name == "<module>" and files[0] == "<frozen importlib._bootstrap>":
        return "<module> of " + args[0].co_filename
    if event == "compile" and files[0] == "<frozen importlib._bootstrap>" and str(args[1]).endswith(".py"):
        return "<module> of " + str(args[1])
    makers = ("collections/__init__.py", "dataclasses.py", "typing.py")
    if files[0] in [os.path.join(STANDARD, name) for name in makers]:
        return "text of the standard library"
    if files[0] == os.path.join(STANDARD, "ast.py"):
        return "ast.parse: " + args[0].decode()
    return repr(args)

def hook(event, args):
    if event in ("compile", "exec"):
        events.append((stage, event, what_becomes_code(event, args)))
    elif event == "open":
        path, mode, flags = args
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writes or (isinstance(mode, str) and set(mode) & set("wax+")):
            events.append((stage, "open for writing", repr(path)))
    elif event.startswith({forbidden!r}):
        events.append((stage, event, repr(args)))

sys.addaudithook(hook)
stage = "import"
import pyleaky
from pyleaky import diagnostics, init, training, kernels
stage = "preparation"
import calls
import numpy as np
rng = np.random.default_rng(0)
given = [call for dtype in (np.float32, np.float64, np.float16) for call in calls.calls((2, 4), dtype, rng)]
given += calls.activation_calls((600, 1000), np.float32, rng) + calls.kernel_calls()
stage = "calls"
{extra}
for call in given:
    with np.errstate(all="ignore"):
        call()
for wrong in (None, "text", object(), b"bytes", {{}}, "__import__('os').system('true')"):
    for name in pyleaky.__all__:
        if callable(getattr(pyleaky, name)) and name not in calls.NOT_HERE:
            try:
                getattr(pyleaky, name)(wrong)
            except Exception:
                pass
{after}
stage = "end"
print(json.dumps(events))
"""


def watched(extra="", after=""):
    code = WATCH.format(
        path=[str(Path(__file__).parent), str(Path(pyleaky.__file__).parents[1])],
        forbidden=FORBIDDEN,
        extra=extra,
        after=after,
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return [tuple(event) for event in json.loads(result.stdout.splitlines()[-1])]


def unexpected(events, allowed=ALLOWED):
    return [
        event
        for event in events
        if event[0] in ("import", "calls")
        and not any(event[1] == name and event[2].startswith(start) for name, start, _ in allowed)
    ]


def test_import_and_every_public_function():
    assert unexpected(watched()) == []


def test_the_table_is_the_only_text_that_becomes_code():
    """pyleaky/_generic.py parses the table's formulas, once, when an array of an unknown namespace arrives."""
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    after = """
stage = "preparation"
import array_api_strict
x = array_api_strict.asarray([-1.0, 2.0])
stage = "calls"
pyleaky.leaky_relu(x, 0.1), pyleaky.elu_backward(x, x)
"""
    formulas = [("compile", f"ast.parse: {row.formula}", "the table's") for row in _core.ROWS.values()]
    events = watched(after=after)
    assert unexpected(events, ALLOWED + formulas) == []
    assert [event for event in events if event[2].startswith("ast.parse")], "nothing was parsed: what is tested here?"


@pytest.mark.parametrize(
    ("event", "deed"),
    [
        ("open for writing", "open(os.devnull, 'w').close()"),
        ("socket.__new__", "import socket; socket.socket().close()"),
        ("pickle.find_class", "import pickle; pickle.loads(pickle.dumps(np.float32(1)))"),
        ("compile", "eval('1 + 1')"),
        ("subprocess.Popen", "import subprocess; subprocess.run([sys.executable, '-c', ''])"),
        ("ctypes.dlopen", "import ctypes; ctypes.CDLL(None)"),
    ],
)
def test_the_hook_sees(event, deed):
    assert event in {name for _, name, _ in unexpected(watched(extra=f"given = []; {deed}"))}


def test_no_source_names_what_would_load_foreign_code():
    """Neither pickle nor eval, exec, or a socket is named by any module that the package installs."""
    package = Path(pyleaky.__file__).parent
    for path in package.glob("*.py"):
        text = path.read_text()
        for word in ("import pickle", "import socket", "import subprocess", "os.system", "urllib", "marshal", "exec("):
            assert word not in text, f"{path.name}: {word}"
        assert "eval(" not in text.replace("model.eval(", ""), path.name
