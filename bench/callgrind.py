"""Instructions per element of every kernel, counted by valgrind: the same on every run, and blind to all but work.

Each row of src/activations.h runs once on 4096 elements, a number as its parameter, with the AVX2 kernels (valgrind
has no AVX-512), compiled from src/ as the package is.  Only the kernel's own instructions count.  The result is
committed as bench/results/callgrind-avx2.txt; --compare says what has changed since, if the compiler is the same.
Needs valgrind, a C compiler (CC) and Python's standard library.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from _results import RESULTS, table

ISA = "avx2"
ELEMENTS = 4096
FLAGS = ["-std=c11", "-O2", "-funswitch-loops", "-ffp-contract=off", "-pthread"]
COMMITTED = RESULTS / f"callgrind-{ISA}.txt"
ROOT = pathlib.Path(__file__).parents[1]


def run(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def count(compiler):
    """Instructions per element by (row, dtype)."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "callgrind")
        sources = [*sorted(ROOT.glob("src/*.c")), ROOT / "bench/callgrind.c"]
        run(compiler, *FLAGS, "-D_DEFAULT_SOURCE", *sources, "-lm", "-o", program)
        # Counting is on inside of measured(), and each time that it returns a file is written.
        tool = ["valgrind", "-q", "--tool=callgrind", "--toggle-collect=measured", "--dump-after=measured"]
        names = run(*tool, f"--callgrind-out-file={folder}/out", program, ISA).splitlines()
        counts = []
        for k in range(1, len(names) + 1):
            text = pathlib.Path(folder, f"out.{k}").read_text()
            counts.append(int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1]))
    return {tuple(name.split()): number / ELEMENTS for name, number in zip(names, counts, strict=True)}


def text(version, counts):
    """A line for each row, a column for each dtype."""
    dtypes = list(dict.fromkeys(dtype for _, dtype in counts))
    rows = dict.fromkeys(row for row, _ in counts)
    lines = [[row, *(f"{counts[row, dtype]:.3f}" for dtype in dtypes)] for row in rows]
    head = f"Instructions per element, {ISA}, {ELEMENTS} elements\ncompiler: {version}\nflags: {' '.join(FLAGS)}"
    return f"{head}\n\n{table(['row', *dtypes], lines)}\n"


def read(path):
    """The compiler's version and the counts, of a file that was written by text()."""
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read: {error.strerror}") from None
    version = re.search(r"^compiler: (.*)$", content, re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in content.splitlines() if line[:1] == "|"]
    if not version or len(cells) < 3:
        raise SystemExit(f"{path}: is not as bench/callgrind.py writes it")
    head, _, *lines = cells
    counts = {(line[0], dtype): float(cell) for line in lines for dtype, cell in zip(head[1:], line[1:], strict=True)}
    return version[1], counts


def compare(before, after):
    lines = []
    for row, dtype in dict.fromkeys([*before, *after]):
        cells = [counts.get((row, dtype)) for counts in (before, after)]
        shown = ["-" if cell is None else f"{cell:.3f}" for cell in cells]
        if shown[0] != shown[1]:
            ratio = f"{cells[1] / cells[0]:.3f}x" if None not in cells else "-"
            lines.append([row, dtype, *shown, ratio])
    if not lines:
        return f"All {len(after)} counts are as committed."
    head = table(["row", "dtype", "committed", "now", "ratio"], lines, left=2)
    return f"{head}\n\n{len(lines)} of {len(after)} counts have changed."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true", help="with the committed counts, and write nothing")
    parser.add_argument("--out", type=pathlib.Path, default=COMMITTED, metavar="FILE", help=f"default {COMMITTED.name}")
    options = parser.parse_args()
    compiler = os.environ.get("CC", "cc")
    for program in ("valgrind", compiler):
        if shutil.which(program) is None:
            raise SystemExit(f"bench/callgrind.py needs {program}, which is not installed")
    version = re.sub(r"^(cc|gcc\S*) ", "gcc ", run(compiler, "--version").splitlines()[0])  # by whatever name
    if options.compare:
        committed, before = read(COMMITTED)
        if committed != version:
            print(f"{COMMITTED.name} was made with {committed}, this is {version}: not compared")
        else:
            print(compare(before, count(compiler)))
        return 0
    content = text(version, count(compiler))
    options.out.write_text(content, encoding="utf-8")
    print(f"{content}\nwritten: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
