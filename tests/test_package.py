"""Around the functions: docstrings that run, stubs, files of an installation, errors of the build."""

import doctest
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pyleaky
from pyleaky import kernels

PACKAGE = Path(pyleaky.__file__).parent
SOURCE = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [name for name in pyleaky.__all__ if callable(getattr(pyleaky, name))])
def test_examples_in_docstrings(name):
    function = getattr(pyleaky, name)
    tests = doctest.DocTestFinder().find(function, name, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert sum(len(test.examples) for test in tests) > 0
    for test in tests:
        assert runner.run(test).failed == 0


def test_the_overview():
    runner = doctest.DocTestRunner()
    (test,) = doctest.DocTestFinder(recurse=False).find(pyleaky, "pyleaky")
    assert runner.run(test) == (0, 5)
    groups = re.findall(r"^(\w.*)\n    \S", pyleaky.__doc__, re.MULTILINE)
    assert len(groups) == 5
    named = set(re.findall(r"`(?:pyleaky\.)?(\w+)`", pyleaky.__doc__))
    derived = {name for name in pyleaky.__all__ if name.endswith("_backward")}
    assert set(pyleaky.__all__) - derived <= named
    assert public_modules() <= named | set(re.findall(r"import pyleaky\.(\w+)", pyleaky.__doc__))
    assert "docs/quickstart.md" in pyleaky.__doc__


def public_modules():
    names = [path.name for path in PACKAGE.iterdir()]
    return {name.partition(".")[0] for name in names if re.fullmatch(r"[a-z]\w*\.(py|pyx|.*so)", name)}


LOOK = """
import sys
import pyleaky, rlcompleter
names = dir(pyleaky)
completer = rlcompleter.Completer({"pyleaky": pyleaky})
completer.complete("pyleaky.", 0)
print(*names)
print(*(match.removeprefix("pyleaky.").strip("()") for match in completer.matches))
assert not {"torch", "tensorflow"} & sys.modules.keys()
for name in names:
    getattr(pyleaky, name)
for name in "torch", "tensorflow":
    try:
        getattr(pyleaky, name)
    except AttributeError as error:
        assert f"import pyleaky.{name}" in str(error)
assert not {"torch", "tensorflow"} & sys.modules.keys()
pyleaky.torch = sys  # as importing it does
assert set(dir(pyleaky)) == {*names, "torch"}
"""


def test_public_names_are_listed_and_completed():
    lines = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True).stdout.splitlines()
    names, completed = (set(line.split()) for line in lines)
    # The adapters need a framework, and are imported by name.
    expected = {*pyleaky.__all__, *public_modules() - {"torch", "tensorflow"}}
    assert names == expected | {"__version__"}
    assert completed == expected


def test_installed_files():
    assert importlib.metadata.version("pyleaky") == pyleaky.__version__
    present = {path.name for path in PACKAGE.iterdir()}
    assert {"py.typed", "_core.pyi", "_functions.pyi", "_fused.pyi", "kernels.pyi", "kernels.pxd"} <= present
    if "site-packages" in PACKAGE.parts:
        assert not [name for name in present if name.endswith((".c", ".h", ".inc", ".pyx", ".in"))]


def test_memoryview_functions_match_their_stub():
    stub = (PACKAGE / "kernels.pyi").read_text()
    names = set(re.findall(r"^def (\w+)\(", stub, re.MULTILINE))
    public = {name for name in dir(kernels) if re.search(r"_b?f\d\d$", name)}
    assert names == public
    fused = ["dropout", "rrelu", "rrelu_backward", "prelu_backward", "norm"]
    fused += [f"{name}{kind}" for name in ("relu", "leaky_relu") for kind in ("_with_mask", "_backward_from_mask")]
    fused += [f"bias_act{kind}" for kind in ("", "_backward", "_backward_from_output", "_double_backward")]
    every = [*pyleaky._core.ROWS, *fused]
    assert names == {f"{name}_{suffix}" for name in every for suffix in ("f16", "bf16", "f32", "f64")}


# ---------------------------------------------------------------------------------------------- the build


def test_the_environment_of_the_makefile_is_installed_by_a_path():
    if not (SOURCE / "Makefile").exists():
        pytest.skip("not in the source tree")
    for path in (SOURCE / "Makefile", SOURCE / ".ci/run", *SOURCE.glob("*.md"), *SOURCE.glob("docs/*.md")):
        for line in re.findall(r".*\binstall\b.* (?:-e|--editable)\b.*", path.read_text()):
            assert "--config-settings editable_mode=compat" in line, path


@pytest.fixture
def tree(tmp_path):
    """What setup.py looks at, without what takes long to translate, so that a failing build leaves nothing behind."""
    if not (SOURCE / "setup.py").exists():
        pytest.skip("not in the source tree")
    pytest.importorskip("Cython", reason="Cython is not installed")
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    shutil.copytree(SOURCE / "src", tmp_path / "src")
    (tmp_path / "pyleaky").mkdir()
    for path in (SOURCE / "pyleaky").glob("*.pyx*"):
        (tmp_path / "pyleaky" / path.name).touch()
    for suffix in ("pxd", "pyi"):
        (tmp_path / f"pyleaky/kernels.{suffix}.in").touch()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "pyleaky/__init__.py"):
        shutil.copy(SOURCE / name, tmp_path / name)
    return tmp_path


def build(tree, *command, **environment):
    return subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_an_editable_install_is_found_beside_a_folder_of_its_name(tree, tmp_path_factory):
    # The extensions are compiled by a program that writes empty files.
    compiler = tree / "compiler"
    writes = 'while [ $# -gt 0 ]; do [ "$1" != -o ] || : > "$2"; shift; done'
    compiler.write_text(f"#!/bin/sh\necho '#define __GNUC__ 12'\n{writes}\n")
    compiler.chmod(0o755)
    (tree / "pyleaky/__init__.py").write_text('__version__ = "0.1.0"\n')
    site, above = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("above")
    code = f"from setuptools import build_meta; build_meta.build_editable({str(site)!r})"
    result = build(tree, "-c", code, CC=str(compiler))
    assert result.returncode == 0, result.stderr
    (wheel,) = site.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (above / "pyleaky").symlink_to(tree)
    # As in an environment, whose .pth files are read behind the current folder's place in sys.path.
    code = f"import site; site.addsitedir({str(site)!r}); import pyleaky; print(pyleaky.__file__)"
    result = build(above, "-S", "-P", "-c", f"import sys; sys.path.insert(0, ''); {code}")
    assert result.stdout.strip() == str(tree / "pyleaky/__init__.py"), result.stderr


def test_no_compiler_at_build(tree):
    result = build(tree, "setup.py", "build_ext", CC="no-such-compiler")
    assert result.returncode != 0
    assert "pyleaky needs a C11 compiler (GCC 8 or newer, Clang 7 or newer)" in result.stderr
    assert "'no-such-compiler' was not found" in result.stderr


@pytest.mark.parametrize(
    ("prints", "found"),
    [
        ("#define __GNUC__ 7", "is GCC 7"),
        ("#define __GNUC__ 4\n#define __clang_major__ 6", "is Clang 6"),
        ("Tiny C", "is neither of them"),
    ],
)
def test_compiler_that_is_too_old_at_build(tree, prints, found):
    compiler = tree / "compiler"
    compiler.write_text(f"#!/bin/sh\necho '{prints}'\n")
    compiler.chmod(0o755)
    result = build(tree, "setup.py", "build_ext", CC=str(compiler))
    assert result.returncode != 0
    assert f"pyleaky needs a C11 compiler (GCC 8 or newer, Clang 7 or newer), and '{compiler}' {found}" in result.stderr


def test_unsupported_processor_at_build(tree):
    code = "import runpy, sys; sys.byteorder = 'big'; runpy.run_path('setup.py', run_name='__main__')"
    result = build(tree, "-c", code)
    assert result.returncode != 0
    assert f"needs a 64-bit little-endian processor, found {os.uname().machine} (big-endian, 64 bits)" in result.stderr


def test_old_numpy_at_build(tree):
    code = "import numpy, runpy; numpy.__version__ = '1.26.4'; runpy.run_path('setup.py', run_name='__main__')"
    result = build(tree, "-c", code)
    assert result.returncode != 0
    assert "pyleaky needs NumPy >= 2.0 to be built, found NumPy 1.26.4" in result.stderr


def test_no_cython_at_build(tree):
    code = "import runpy, sys; sys.modules['Cython'] = None; runpy.run_path('setup.py', run_name='__main__')"
    result = build(tree, "-c", code)
    assert result.returncode != 0
    assert "pyleaky needs Cython >= 3.1 and NumPy >= 2.0 to be built, and Cython is not installed" in result.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(("flag", "message"), [("-mavx2", "compile for the baseline"), ("-ffast-math", "fast-math")])
def test_flags_that_change_results_are_refused(compiler, flag, message):
    if not (SOURCE / "src").exists():
        pytest.skip("not in the source tree")
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    if flag == "-mavx2" and os.uname().machine != "x86_64":
        pytest.skip("not an x86-64 machine")
    command = [compiler, "-std=c11", flag, "-fsyntax-only", str(SOURCE / "src/kernels.c")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert message in result.stderr
