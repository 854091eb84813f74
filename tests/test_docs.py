"""The pages: their Python runs, their links lead somewhere, every public name and every page has its place.

What Sphinx itself tells (`make docs`) is not repeated here.  A block of a page that is marked as python is run; what
cannot run is marked as pycon, sh or text.
"""

import ast
import contextlib
import inspect
import io
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import has_gpu

import pyleaky

SOURCE = Path(__file__).parents[1]
DOCS = SOURCE / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="not in the source tree")

# Written by the build (see .gitignore).
GENERATED = ("drawn", "gallery", "reference/generated", "results")
PAGES = sorted(
    path
    for suffix in ("md", "rst")
    for path in DOCS.rglob(f"*.{suffix}")
    if not path.is_relative_to(DOCS / "_templates") and not any(path.is_relative_to(DOCS / name) for name in GENERATED)
)
MARKDOWN = [SOURCE / "README.md", SOURCE / "CHANGELOG.md", *(path for path in PAGES if path.suffix == ".md")]


def name_of(path):
    return path.relative_to(SOURCE).as_posix()


# ---------------------------------------------------------------------------------------------- Python in the pages


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", (SOURCE / page).read_text(), re.DOTALL | re.MULTILINE)


def test_examples_of_the_readme():
    blocks = blocks_of("README.md")
    assert len(blocks[0].strip().splitlines()) <= 15  # the quick start
    namespace = {}
    for code in blocks:
        exec(code, namespace)
        assert np.isfinite(namespace["x"]).all()
        assert namespace["dx"].shape == namespace["x"].shape


FIRST_PAGES = ("README.md", "docs/index.md", "docs/quickstart.md")


@pytest.mark.parametrize("page", FIRST_PAGES)
def test_printed_results_are_those_of_the_comments(page):
    namespace, count = {}, 0
    for code in blocks_of(page)[: 1 if page == "README.md" else None]:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, namespace)
        expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
        assert printed.getvalue().splitlines() == expected
        count += len(expected)
    assert count >= 2


# A call's arrays, what it returns, and the seed, of which the forward call may take a generator.
NO_PARAMETERS = {"x", "grad", "gg", "output", "mask", "out", "where", "dtype", "return_mask", "return_seed", "seed"}


def wrong_uses(code):
    """Arrays that are used after they were overwritten, and backward calls without a forward call like them."""
    overwritten, forward = set(), {}
    for statement in ast.parse(code).body:
        nodes = list(ast.walk(statement))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        for name in overwritten & {name.id for name in names if isinstance(name.ctx, ast.Load)}:
            yield f"{name} was overwritten before {ast.unparse(statement)}"
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            name = ast.unparse(call.func).removeprefix("pyleaky.")
            if name not in pyleaky.__all__:
                continue
            given = dict(zip(inspect.signature(getattr(pyleaky, name)).parameters, call.args, strict=False))
            given |= {keyword.arg: keyword.value for keyword in call.keywords}
            if "out" in given:
                overwritten.add(ast.unparse(given["out"]))
            parameters = {key: ast.unparse(value) for key, value in given.items() if key not in NO_PARAMETERS}
            function = re.sub("(_double)?_backward$", "", name)
            if function == name:
                forward[name] = parameters
            elif forward.get(function) != parameters:
                yield f"{ast.unparse(call)} comes after a forward call with {forward.get(function)}"
        overwritten -= {name.id for name in names if isinstance(name.ctx, ast.Store)}


@pytest.mark.parametrize("page", FIRST_PAGES)
def test_backward_calls_follow_their_forward_call_and_repeat_its_parameters(page):
    code = "\n".join(blocks_of(page))
    assert list(wrong_uses(code)) == []
    assert "_backward(" in code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("dx = pyleaky.elu_backward(grad, x)", "a forward call with None"),
        ("y = pyleaky.elu(x, 2.0)\ndx = pyleaky.elu_backward(grad, x)", "a forward call with {'alpha': '2.0'}"),
        ("y = pyleaky.elu(x)\nfor _ in steps:\n    pyleaky.elu_backward(grad, x, alpha=2)", "a forward call with {}"),
        ("y = pyleaky.relu(x, out=x)\nz = pyleaky.relu(x)", "x was overwritten before"),
        ("pyleaky.relu(x, out=x)\nx = x + 1", "x was overwritten before"),
        ("y = pyleaky.relu(x, out=x)\nx = other\nz = pyleaky.relu(x)", None),
        ("y = pyleaky.elu(x, 2.0)\ndx = pyleaky.elu_backward(grad, x, alpha=2.0)", None),
    ],
)
def test_wrong_uses_are_found(code, message):
    found = list(wrong_uses(code))
    assert len(found) == (message is not None)
    assert not found or message in found[0]


def test_examples_of_the_page_on_arrays(tmp_path, monkeypatch):
    pytest.importorskip("dask.array", reason="Dask is not installed")
    pytest.importorskip("xarray", reason="xarray is not installed")
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-1, 1, 2**24 + 1000, dtype=np.float32)
    x.tofile("x.f32")
    x.tofile("grad.f32")
    namespace = {}
    files, parts, dask, xarray = blocks_of("docs/arrays.md")
    exec(files, namespace)
    np.testing.assert_array_equal(np.fromfile("y.f32", np.float32), pyleaky.leaky_relu(x, 0.1))
    np.testing.assert_array_equal(np.fromfile("grad.f32", np.float32), pyleaky.leaky_relu_backward(x, x, 0.1))
    exec(parts, namespace)
    np.testing.assert_array_equal(np.fromfile("y.f32", np.float32), pyleaky.dropout(x, 0.5, seed=7))
    exec(dask, namespace)
    assert namespace["dweight"].shape == (16,)
    exec(xarray, namespace)
    assert namespace["dweight"].dims == ("channel",)


def test_examples_of_the_page_on_jax():
    pytest.importorskip("jax", reason="JAX is not installed")
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    namespace = {}
    first, learned, seeds, digits = blocks_of("docs/jax.md")
    exec(first, namespace)
    x = np.array([-2, 0, 3], np.float32)
    np.testing.assert_array_equal(namespace["y"], pyleaky.leaky_relu(x, 0.1))
    np.testing.assert_array_equal(namespace["dx"], pyleaky.leaky_relu_backward(np.ones_like(x), x, 0.1))
    assert namespace["dslope"] == -2
    np.testing.assert_allclose(namespace["rows"], np.full((2, 3), pyleaky.SELU_SCALE), rtol=1e-6)
    expected = pyleaky.celu_double_backward(np.ones_like(x), np.ones_like(x), x)[1]
    np.testing.assert_allclose(namespace["second"], expected, rtol=1e-6)
    exec(learned, namespace)
    x = np.asarray(namespace["x"])
    expected = pyleaky.prelu_backward(np.ones_like(x), x, np.full(3, 0.25, np.float32), axis=1)[1]
    np.testing.assert_allclose(namespace["dweight"], expected, rtol=1e-5)
    expected = pyleaky.bias_act_backward(
        np.ones_like(x), x, np.zeros(3, np.float32), clamp=256.0, activation="leaky_relu"
    )[1]
    np.testing.assert_allclose(namespace["dbias"], expected, rtol=1e-5)
    exec(seeds, namespace)
    for k, row in enumerate(namespace["each"]):
        np.testing.assert_array_equal(row, pyleaky.dropout(x[k], 0.5, seed=k))
    exec(digits, namespace)
    assert namespace["accuracy"] > 0.85


# What a block may import that need not be installed, and the reason to skip its page from there on.
OPTIONAL = {
    "array_api_compat": "array-api-compat is not installed",
    "array_api_strict": "array-api-strict is not installed",
    "dask": "Dask is not installed",
    "jax": "JAX is not installed",
    "keras": "TensorFlow is not installed",
    "ml_dtypes": "ml_dtypes is not installed",
    "pandas": "pandas is not installed",
    "sklearn": "the digits come from scikit-learn",
    "tensorflow": "TensorFlow is not installed",
    "torch": "PyTorch is not installed",
    "xarray": "xarray is not installed",
}
# Their results are compared above.
COMPARED = (*FIRST_PAGES, "docs/arrays.md", "docs/jax.md")


@pytest.mark.parametrize("page", [page for page in map(name_of, MARKDOWN) if page not in COMPARED])
def test_examples_of_every_other_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": page}
    for code in blocks_of(page):
        for module in re.findall(r"^\s*(?:import|from) ([\w.]+)", code, re.MULTILINE):
            name = module.removeprefix("pyleaky.").partition(".")[0]
            if name == "cupy" and not has_gpu():
                pytest.skip("no GPU")
            if name in OPTIONAL:
                pytest.importorskip(name, reason=OPTIONAL[name])
        exec(compile(code, page, "exec"), namespace)


# ---------------------------------------------------------------------------------------------- links


def anchors_of(path):
    """What GitHub and MyST make of the headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", MARKDOWN, ids=name_of)
def test_links_inside_the_repository(page):
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), target
        assert not anchor or anchor in anchors_of(to), target


# ---------------------------------------------------------------------------------------------- places


def public_names():
    names = [f"pyleaky.{name}" for name in pyleaky.__all__]
    for module in ("init", "training", "diagnostics", "torch", "tensorflow"):  # the frameworks need not be installed
        tree = ast.parse((Path(pyleaky.__file__).parent / f"{module}.py").read_text())
        lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
        names += [f"pyleaky.{module}.{name}" for name in ast.literal_eval(*lists)]
    return names


def test_every_public_name_is_in_the_reference_once():
    found = []
    for page in (DOCS / "reference").glob("*.rst"):
        text = page.read_text()
        module = re.search(r"^\.\. currentmodule:: (\S+)", text, re.MULTILINE)
        for block in re.findall(r"^\.\. autosummary::\n   :toctree: generated\n((?:\n|   .*\n)*)", text, re.MULTILINE):
            found += [f"{module[1]}.{name}" for name in block.split()]
        for name, value in re.findall(r"^\.\. py:data:: (\w+)\n   :value: (.*)$", text, re.MULTILINE):
            found.append(f"{module[1]}.{name}")
            assert value == repr(getattr(pyleaky, name))
    assert sorted(found) == sorted(public_names())
    assert ".. kernel-table::" in (DOCS / "reference/kernels.rst").read_text()


def places_in(page):
    """The pages that a page's tables of contents name, as paths from docs/ without a suffix."""
    if page.suffix == ".md":
        blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    else:
        blocks = re.findall(r"^\.\. toctree::\n((?:\n|   .*\n)*)", page.read_text(), re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    entries = [line for line in lines if line and not line.startswith(":")]
    targets = [match[1] if (match := re.search(r"<(.*)>$", entry)) else entry for entry in entries]
    return [(page.parent / target).resolve().relative_to(DOCS.resolve()).as_posix() for target in targets]


def test_every_page_is_in_a_table_of_contents():
    pages = {path.relative_to(DOCS).with_suffix("").as_posix(): path for path in PAGES}
    places = [place for page in PAGES for place in places_in(page)]
    results = {f"results/{path.stem}" for path in (SOURCE / "bench/results").glob("*.md")}
    expected = {"gallery/index", *results, *pages} - {"index"}
    assert sorted(places) == sorted(expected)
