"""What the parts of the evidence share: command line, runs that resume and go in parallel, intervals, tables, pictures.

A part is a script with a function `measure(xp, seed, **setting)` that returns a dict of numbers (or lists of numbers),
which JSON can hold.  Every result goes into build/evidence/ at once, under a key of the setting, the seed and the
sources, so that what was interrupted goes on where it stopped and a changed source starts afresh.
"""

import os

# Before NumPy is imported: every process has one core of its own, and small matrices gain nothing from threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYLEAKY_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

import numpy as np
from scipy import stats
from tqdm import tqdm


def back_end(name):
    if name == "numpy":
        return np
    import cupy

    float(cupy.ones(2).sum())  # needs a device
    return cupy


def interval(values):
    """The mean and the half width of its 95% confidence interval (Student's t); of the finite values."""
    values = np.asarray([value for value in values if value is not None], float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return (float(values.mean()) if len(values) else float("nan")), float("nan")
    return float(values.mean()), float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)


def plus_minus(values, digits=2, scale=1.0, unit=""):
    """ "97.50 ± 0.31", for a table's cell; "-" where nothing is finite."""
    mean, half = interval([None if value is None else scale * value for value in values])
    if not np.isfinite(mean):
        return "-"
    return f"{mean:.{digits}f}{unit}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")


def column(runs, name):
    return [run[name] for run in runs]


def differences(runs, reference, name="test_accuracy"):
    """Seed by seed: the same seed has the same images, so their part falls out."""
    pairs = zip(column(runs, name), column(reference, name), strict=True)
    return [a - b for a, b in pairs if a is not None and b is not None]


def apart(cells, reference, name):
    """Which activations have less than the reference, and which more, by more than the interval of the difference."""
    less, more = [], []
    for activation, runs in cells.items():
        mean, half = interval(differences(runs, reference, name))
        if mean < -half:
            less.append(activation)
        elif mean > half:
            more.append(activation)
    return ", ".join(less) or "none", ", ".join(more) or "none"


def draw_intervals(axes, columns, scale=1.0):
    """A row for each activation, a colour for each column: means and intervals, next to each other."""
    for number, (name, values) in enumerate(columns.items()):
        means, halves = np.transpose([interval(one) for one in values.values()]) * scale
        rows = np.arange(len(means)) + 0.7 / len(columns) * (number - (len(columns) - 1) / 2)
        axes.errorbar(means, rows, xerr=halves, fmt="o", markersize=4, label=name)
    axes.set_yticks(range(len(values)), values)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.4)


def _plain(value):
    """None for a number that is not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _call(measure, backend, seed, setting):
    start = time.process_time()
    result = measure(back_end(backend), seed, **setting)
    return {**result, "cpu_seconds": round(time.process_time() - start, 3)}


class Study:
    """One part: `run` does the measurements, `write` leaves table, JSON and pictures in the folder of the results."""

    def __init__(self, name, title, seeds, argv=None):
        parser = argparse.ArgumentParser(description=title, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        parser.add_argument("--backend", choices=("numpy", "cupy"), default="numpy", help="where the arrays live")
        parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help="run seeds 0 to N-1")
        parser.add_argument("--processes", type=int, default=os.cpu_count(), metavar="N", help="runs at the same time")
        parser.add_argument("--short", action="store_true", help="a sample in seconds; writes to build/evidence/short")
        parser.add_argument("--out", type=Path, default=ROOT / "docs/evidence", help="folder for table and pictures")
        arguments = parser.parse_args(argv)
        if arguments.seeds < 1 or arguments.processes < 1:
            parser.error("--seeds and --processes must be at least 1")
        self.name, self.title, self.backend, self.short = name, title, arguments.backend, arguments.short
        self.seeds = min(arguments.seeds, 2) if self.short else arguments.seeds
        self.processes = 1 if self.backend == "cupy" else arguments.processes
        self.out = ROOT / "build/evidence/short" if self.short else arguments.out

    def run(self, measure, settings):
        """For each setting, a list of the results of all seeds."""
        folder = ROOT / "examples"
        files = {Path(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
        sources = {file for file in files if file.is_relative_to(folder)} | {
            Path(sys.modules[measure.__module__].__file__)
        }
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in sorted(sources))).hexdigest()[:16]
        store = ROOT / f"build/evidence/{self.name}-{digest}.jsonl"
        store.parent.mkdir(parents=True, exist_ok=True)
        done = {}
        if store.exists():
            for line in store.read_text().splitlines():
                entry = json.loads(line)
                done[entry["key"]] = entry["result"]
        jobs = {}
        for setting in settings:
            for seed in range(self.seeds):
                jobs[json.dumps([self.backend, seed, setting], sort_keys=True)] = (seed, setting)
        missing = {key: job for key, job in jobs.items() if key not in done}
        bar = tqdm(total=len(jobs), initial=len(jobs) - len(missing), desc=self.name, unit="run")
        with bar, store.open("a") as file:

            def finished(key, result):
                done[key] = result
                file.write(json.dumps({"key": key, "result": result}) + "\n")
                file.flush()
                bar.update()

            if self.processes == 1:
                for key, (seed, setting) in missing.items():
                    finished(key, _call(measure, self.backend, seed, setting))
            elif missing:
                with ProcessPoolExecutor(self.processes) as pool:
                    futures = {
                        pool.submit(_call, measure, self.backend, seed, setting): key
                        for key, (seed, setting) in missing.items()
                    }
                    try:
                        for future in as_completed(futures):
                            finished(futures[future], future.result())
                    except BaseException:
                        pool.shutdown(wait=False, cancel_futures=True)
                        raise
        found = [done[key] for key in jobs]
        return [found[start : start + self.seeds] for start in range(0, len(found), self.seeds)]

    def write(self, tables, figures, numbers):
        """tables: {heading: (explanation, header, rows)}; figures: {suffix: Figure}; numbers: what JSON can hold."""
        self.out.mkdir(parents=True, exist_ok=True)
        versions = {name: importlib.metadata.version(name) for name in ("pyleaky", "numpy")}
        machine = {
            "date": datetime.date.today().isoformat(),
            "processor": _processor(),
            "python": platform.python_version(),
            **versions,
            "backend": self.backend,
            "seeds": self.seeds,
        }
        told = ", ".join(f"{name} {value}" for name, value in machine.items())
        lines = [f"# {self.title}", "", f"`python examples/evidence/{self.name}.py`: {told}.", ""]
        lines += ["Means with 95% confidence intervals over the seeds where there is a ±.", ""]
        for suffix in figures:
            lines += [f"![{self.title}]({self.name}{suffix}.png)", ""]
        for heading, (explanation, header, rows) in tables.items():
            lines += [f"## {heading}", "", explanation, "", f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
            lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows] + [""]
        (self.out / f"{self.name}.md").write_text("\n".join(lines).rstrip() + "\n")
        text = json.dumps(_plain({"machine": machine, "results": numbers}), indent=1, allow_nan=False)
        (self.out / f"{self.name}.json").write_text(text + "\n")
        for suffix, figure in figures.items():
            figure.savefig(self.out / f"{self.name}{suffix}.png", dpi=110, bbox_inches="tight", pad_inches=0.15)
        print(f"wrote {self.out / self.name}.md")
