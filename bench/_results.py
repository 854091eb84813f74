"""What results look like: tables in Markdown, and the JSON files.  The standard library is enough here."""

import itertools
import json
import pathlib

RESULTS = pathlib.Path(__file__).parent / "results"
SCRATCH = pathlib.Path(__file__).parents[1] / "build" / "bench"
FORMAT = 2  # of the JSON files
KEYS = ("function", "direction", "dtype", "size", "mode", "threads")  # these make a job


def size_text(size):
    for factor, letter in ((1024**2, "M"), (1024, "K")):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{letter}"
    return str(size)


def time_text(ns):
    factor, unit = (1e6, "ms") if ns >= 1e6 else (1e3, "µs") if ns >= 1e3 else (1, "ns")
    value = ns / factor
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def ratio_text(ratio):
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"


def table(head, lines, left=1):
    """Markdown, padded so that a terminal shows it well; the first `left` columns are text."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    sides = ["<" if k < left else ">" for k in range(len(head))]

    rules = ["-" * (width - 1) + ("-" if side == "<" else ":") for side, width in zip(sides, widths, strict=True)]

    def line(cells):
        padded = (f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    return "\n".join(map(line, [head, rules, *lines]))


def write_json(path, head, figures, rows):
    """A line for each figure and for each job, the latter with all contenders' quartiles in nanoseconds per call."""
    groups = []
    for key, group in itertools.groupby(rows, lambda row: {name: row[name] for name in KEYS if name in row}):
        group = list(group)
        times = {row["contender"]: [float(f"{row[q]:.4g}") for q in ("q1_ns", "median_ns", "q3_ns")] for row in group}
        groups.append(key | {"rounds": group[0]["rounds"], "ns": times})
    text = json.dumps({"format": FORMAT} | head, indent=2, ensure_ascii=False).removesuffix("\n}")
    for name, items in (("figures", figures), ("jobs", groups)):
        lines = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in items)
        text += f',\n  "{name}": [\n{lines}\n  ]'
    path.write_text(f"{text}\n}}\n", encoding="utf-8")


def add_output_options(parser, quick):
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="default bench/results, of a part build/bench")
    parser.add_argument("--quick", action="store_true", help=quick)


def folder(options, complete=True):
    """Where the files go; only complete runs are for committing."""
    path = options.out or (RESULTS if complete and not options.quick else SCRATCH)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write(path, text, content):
    """A report and its JSON."""
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{text}\nwritten: {path}.md and .json")


def read_json(path):
    """The environment, and the quartiles in nanoseconds by job and contender."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"{path}: is not JSON: {error}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise SystemExit(f"{path}: has format {found}, expected {FORMAT}, which bench/run.py and bench/gpu.py write")
    quartiles = {}
    try:
        for job in content["jobs"]:
            key = [job.get(name) for name in KEYS]  # no threads on a GPU
            quartiles |= {(*key, contender): (q1, median, q3) for contender, (q1, median, q3) in job["ns"].items()}
        return content["environment"], quartiles
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SystemExit(f"{path}: is not as bench/run.py and bench/gpu.py write it: {error!r}") from None
