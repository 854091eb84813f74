"""The workflows of continuous integration: pinned actions, uploads of what was built, tools that are installed."""

import fnmatch
import functools
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
WORKFLOWS = sorted((SOURCE / ".github/workflows").glob("*.yml"))

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="not in the source tree")

# What a command writes, by what it looks like; a group is the folder.
WRITES = {
    r"-m sphinx .*-b \w+ \S+ (\S+)": None,
    r"\bbuild (?:-q )?--sdist\b": "dist",
    r"\.ci/wheels\.py\b": "wheelhouse",
    r"uses: pypa/cibuildwheel@": "wheelhouse",
}
# What GitHub's machines lack, and the package of Ubuntu that has it.
PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "debootstrap": "debootstrap",
    "qemu-aarch64-static": "qemu-user-static",
    "valgrind": "valgrind",
    "wine": "wine",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
}


@functools.cache
def makefile():
    """The recipe of every target with its prerequisites, their variables put in."""
    text = (SOURCE / "Makefile").read_text().replace("\\\n", " ").replace("$(MAKE)", "make")
    values = dict(re.findall(r"^define (\w+)\n(.*?)^endef", text, re.DOTALL | re.MULTILINE))
    values |= dict(re.findall(r"^(?:[\w-]+: )?(?:export )?(\w+) *[?:]?= *(.*)$", text, re.MULTILINE))

    def put_in(text, depth=9):
        filled = re.sub(r"\$\((?:call )?(\w+)[^()]*\)", lambda match: values.get(match[1], ""), text)
        return filled if depth == 0 or filled == text else put_in(filled, depth - 1)

    rules = re.findall(r"^(\S+):(?!=)(.*)\n((?:\t.*\n|@.*\n)*)", text, re.MULTILINE)
    return {put_in(target): (put_in(needs).split("#")[0].split(), put_in(recipe)) for target, needs, recipe in rules}


def expanded(command):
    """The text of a command, of what `make` runs for it, and of the scripts in .ci that it calls."""
    rules, seen, texts, todo = makefile(), set(), [], [command]
    while todo:
        texts.append(text := todo.pop())
        called = {word for words in re.findall(r"\bmake((?: +[\w./='-]+)+)", text) for word in words.split()}
        for name in called & rules.keys() - seen:
            needs, recipe = rules[name]
            todo += [recipe, *(f"make {other}" for other in needs)]
        scripts = {name for name in re.findall(r"(?<![\w/])\.ci/[\w.]+", text) if name not in seen}
        todo += [(SOURCE / name).read_text() for name in scripts]
        seen |= called | scripts
    return "\n".join(texts)


def jobs():
    """The steps of each job of each workflow, as text with everything that they run."""
    import yaml

    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            steps = job.get("steps", [])
            yield (
                f"{path.name}, {name}",
                [(step, expanded(step["run"]) if "run" in step else f"uses: {step['uses']}") for step in steps],
            )


def test_actions_are_pinned_by_commit():
    pins = {}
    for path in WORKFLOWS:
        for what in re.findall(r"\buses: *(.*)", path.read_text()):
            if what.startswith("./"):
                assert (SOURCE / what).exists()
                continue
            match = re.fullmatch(r"([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", what)
            assert match, f"{path.name}: {what}"
            assert pins.setdefault(match[1], what) == what
    assert {"actions/checkout", "pypa/gh-action-pypi-publish"} <= pins.keys()


def test_what_is_uploaded_was_built():
    uploads, downloads = {}, []
    for job, steps in jobs():
        written = set()
        for step, text in steps:
            if "upload" in step.get("uses", ""):
                folder = re.sub(r"/[^/]*\*.*", "", step["with"]["path"])
                assert folder in written, f"{job}: {step['with']['path']}"
                uploads[step["with"].get("name", "github-pages")] = job
            if "download" in step.get("uses", ""):
                downloads.append(step["with"]["pattern"])
            for pattern, folder in WRITES.items():
                written |= {folder or match[1] for match in re.finditer(pattern, text)}
    assert len(uploads) == 3
    for pattern in downloads:
        assert fnmatch.filter(uploads, pattern)


def test_tools_are_installed_before_they_run():
    found = set()
    for job, steps in jobs():
        installed = ""
        for _, text in steps:
            installed += "\n".join(re.findall(r".*(?:apt-get install|need\+=).*", text))
            for tool, package in PACKAGES.items():
                if re.search(rf"(?<![\w/.-]){re.escape(tool)}(?![\w-])", text):
                    assert re.search(rf"(?<![\w-]){package}(?![\w-])", installed), f"{job}: {tool}"
                    found.add((job, tool))
    assert {("release.yml, check", "aarch64-linux-gnu-gcc"), ("tests.yml, everything", "valgrind")} <= found
