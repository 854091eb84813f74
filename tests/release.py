"""What CHANGELOG.md promises about versions and bits: `python tests/release.py 1.2.0` before the tag v1.2.0.

The changelog is in the form of Keep a Changelog.  A section whose results differ from those of the section before names
the fingerprint of its tables of digests.  A change of any bit of a result is a minor release; patches name none.
"""

import datetime
import hashlib
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TABLES = ("tests/c/digests.txt", "tests/digests.txt")
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


class Section(NamedTuple):
    version: tuple[int, ...] | None  # None: not released
    date: str | None
    fingerprint: str | None
    kinds: list[str]


def fingerprint():
    """Of the committed tables of digests."""
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in TABLES)).hexdigest()[:16]


def sections(changelog):
    """Newest first."""
    found = []
    for text in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        head = re.match(r"\[(?:Unreleased\]|(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d))\n", text)
        if not head:
            raise ValueError(f'a section is "[Unreleased]" or "[1.2.3] - 2027-01-31", found {text.splitlines()[0]!r}')
        *version, date = head.groups()
        named = re.search(r"^Digests of the results: `([0-9a-f]{16})`", text, re.MULTILINE)
        kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
        found.append(Section(tuple(map(int, version)) if date else None, date, named and named[1], kinds))
    return found


def problems(changelog, version, current):
    """What is wrong with the changelog for this version, in words; `current` is the fingerprint of the tables."""
    found = sections(changelog)
    for section in found:
        name = ".".join(map(str, section.version)) if section.version else "Unreleased"
        if unknown := [kind for kind in section.kinds if kind not in KINDS]:
            yield f"{name} has the headings {unknown}, expected some of {', '.join(KINDS)}"
        if section.date and not _is_date(section.date):
            yield f"{name} is of {section.date}, which is no date"
        if section.fingerprint and not {"Added", "Changed", "Removed", "Fixed"} & set(section.kinds):
            yield f"{name} has other results, and no heading that names them"
        if section.fingerprint and section.version and section.version[2]:
            yield f"{name} is a patch release and has other results: that is a minor release"
    if any(section.version is None for section in found[1:]):
        yield "only the first section may be Unreleased"
    released = [section for section in found if section.version]
    for key in "version", "date":
        order = [getattr(section, key) for section in released]
        if order != sorted(order, reverse=True):
            yield f"the {key}s of the releases do not fall from section to section"
    number = tuple(map(int, version.split(".")))
    if released and (released[0].version > number or (released[0].version == number and found[0].version is None)):
        yield f"the version is {version}, and {'.'.join(map(str, released[0].version))} has been released"
    last = next((section.fingerprint for section in found if section.fingerprint), None)
    if last != current:
        yield f'the results changed: name the functions, and "Digests of the results: `{current}`", instead of {last}'


def _is_date(text):
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def main(version):
    changelog = (ROOT / "CHANGELOG.md").read_text()
    wrong = list(problems(changelog, version, fingerprint()))
    newest = sections(changelog)[0]
    if newest.version != tuple(map(int, version.split("."))):
        wrong.append(f"CHANGELOG.md has no section [{version}] with a date at its top")
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main(sys.argv[1])
