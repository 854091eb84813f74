"""The bits that this version gives, and what the changelog says about them."""

from pathlib import Path

import digests
import pytest
import release

import pyleaky

ROOT = Path(__file__).parents[1]
UNCHANGED = (Path(__file__).parent / "digests.txt").read_text()
# Settings, figures and constants compute nothing.
NO_RESULTS = {"SELU_ALPHA", "SELU_SCALE", "cache_info", "clear_cache", "get_num_threads", "num_threads"}
NO_RESULTS |= {"plot_activations", "set_cache_limit", "set_num_threads", "show_config"}


def test_results_are_those_of_the_committed_table(isa):
    assert digests.text() == UNCHANGED


def test_every_function_is_in_the_table():
    names = {line.split()[0] for line in UNCHANGED.splitlines()[1:]}
    assert set(pyleaky.__all__) - NO_RESULTS <= names


@pytest.mark.skipif(not (ROOT / "CHANGELOG.md").exists(), reason="not in the source tree")
def test_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert list(release.problems(changelog, pyleaky.__version__, release.fingerprint())) == []


OLD, NEW = "0123456789abcdef", "fedcba9876543210"
RELEASED = f"## [0.1.0] - 2027-01-31\n\n### Added\n\nDigests of the results: `{OLD}`\n"


@pytest.mark.parametrize(
    ("changelog", "version", "bits", "message"),
    [
        (RELEASED, "0.1.0", OLD, None),
        (f"## [0.1.1] - 2027-02-01\n\n### Fixed\n\n- A message.\n\n{RELEASED}", "0.1.1", OLD, None),
        (f"## [Unreleased]\n\n### Changed\n\nDigests of the results: `{NEW}`\n\n{RELEASED}", "0.2.0", NEW, None),
        (RELEASED, "0.1.0", NEW, "the results changed"),
        (
            f"## [0.1.1] - 2027-02-01\n\n### Fixed\n\nDigests of the results: `{NEW}`\n\n{RELEASED}",
            "0.1.1",
            NEW,
            "0.1.1 is a patch release and has other results",
        ),
        (f"## [0.2.0] - 2027-02-01\n\nDigests of the results: `{NEW}`\n\n{RELEASED}", "0.2.0", NEW, "no heading"),
        (f"## [0.2.0] - 2027-02-01\n\n### News\n\n{RELEASED}", "0.2.0", OLD, "has the headings ['News']"),
        (f"## [0.2.0] - 2027-02-30\n\n{RELEASED}", "0.2.0", OLD, "is no date"),
        (f"## [0.0.9] - 2027-02-01\n\n{RELEASED}", "0.2.0", OLD, "the versions of the releases do not fall"),
        (f"## [0.2.0] - 2026-02-01\n\n{RELEASED}", "0.2.0", OLD, "the dates of the releases do not fall"),
        (f"{RELEASED}\n## [Unreleased]\n", "0.1.0", OLD, "only the first section may be Unreleased"),
        (f"## [Unreleased]\n\n{RELEASED}", "0.1.0", OLD, "the version is 0.1.0, and 0.1.0 has been released"),
    ],
)
def test_rules_of_versions(changelog, version, bits, message):
    wrong = list(release.problems(changelog, version, bits))
    assert (message is None and not wrong) or any(message in line for line in wrong)


def test_section_of_another_form():
    with pytest.raises(ValueError, match=r"found '\[0\.1\] - yesterday'"):
        release.sections("## [0.1] - yesterday\n")
