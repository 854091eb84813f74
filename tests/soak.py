"""Hours in minutes: 100 million small calls, and calls of every function on all sizes; the process must not grow.

    python tests/soak.py --out docs/soak.txt

After a warm-up the resident memory is fitted by a line over time; the slope times the duration is what counts.  Ends
with 1, and writes nothing, where the process has grown by more than `--allow`.
"""

import argparse
import ctypes
import datetime
import os
import platform
import re
import sys
import time
from pathlib import Path

import calls
import numpy as np
from tqdm import tqdm

import pyleaky
from pyleaky import _core

SIZES = (0, 1, 7, 64, 1000, 4096, 60_000, 262_144, 1_000_000, 4_000_000)
WARM_UP = 0.2  # of the duration
THREADS = (1, 2, 3)
LIMITS = (0, 2**24, 2**28)


def resident():
    """In MiB, without what the C library has been given back and keeps for later."""
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu():
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


class Part:
    """The figures of one part: seconds and MiB, taken along the way."""

    def __init__(self, title):
        self.title, self.samples, self.calls, self.start = title, [], 0, time.monotonic()

    def sample(self, made):
        self.calls += made
        self.samples.append((time.monotonic() - self.start, resident()))

    def grown(self):
        """MiB by the fitted line, from the end of the warm-up on."""
        seconds, memory = np.array(self.samples).T
        late = seconds >= WARM_UP * seconds[-1]
        slope = np.polyfit(seconds[late], memory[late], 1)[0]
        return slope * (seconds[-1] - seconds[late][0])

    def row(self):
        seconds, memory = np.array(self.samples).T
        late = memory[seconds >= WARM_UP * seconds[-1]]
        return (
            f"{self.title:<28}{self.calls:>14,}{seconds[-1]:>9.0f}{late[0]:>12.1f}{late.max():>10.1f}{late[-1]:>10.1f}"
            f"{self.grown():>+12.3f}"
        )


def small(count):
    """So many calls of few elements, by each of the functions in turn."""
    part = Part("small calls, 16 elements")
    x, grad = np.linspace(-2, 2, 16, dtype=np.float32), np.ones(16, np.float32)
    out = np.empty_like(x)
    functions = [
        lambda: pyleaky.leaky_relu(x),
        lambda: pyleaky.relu(x, out=out),
        lambda: pyleaky.elu(x, 0.5),
        lambda: pyleaky.selu_backward(grad, x),
        lambda: pyleaky.leaky_relu_backward(grad, x, 0.1),
    ]
    block = 100_000
    with tqdm(total=count, unit=" calls", unit_scale=True, disable=None) as progress:
        for k in range(0, count, block):
            function = functions[k // block % len(functions)]
            for _ in range(min(block, count - k)):
                function()
            part.sample(min(block, count - k))
            progress.update(min(block, count - k))
    return part


def mixed(seconds):
    """All functions, sizes and dtypes at random, while threads, cache and ISA change; some results are kept."""
    part, rng = Part("mixed calls, 0 to 4M"), np.random.default_rng(0)
    made = {}
    for size in SIZES:
        columns = 16 if size % 16 == 0 else 1
        dtypes = (np.float32,) if size > 300_000 else (np.float32, np.float64, np.float16)
        for dtype in dtypes:
            made[size, dtype] = calls.activation_calls((size // columns, columns), dtype, rng)
    everything = [call for call in calls.calls((4, 16), np.float32, rng) if call.name != "show_config"]
    small_ones, large_ones = ([key for key in made if (key[0] > 60_000) == large] for large in (False, True))
    kept, end = [], time.monotonic() + seconds
    with tqdm(total=seconds, unit=" s", disable=None, bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s") as progress:
        while time.monotonic() < end:
            pyleaky.set_num_threads(int(rng.choice(THREADS)))
            pyleaky.set_cache_limit(int(rng.choice(LIMITS)))
            _core.use_isa(str(rng.choice(_core.isas())))
            if rng.random() < 0.1:
                pyleaky.clear_cache()
            with np.errstate(all="ignore"):
                for keys, count in ((small_ones, 200), (large_ones, 6)):
                    chosen = made[keys[rng.integers(len(keys))]]
                    for k in rng.integers(len(chosen), size=count):
                        kept.append(chosen[k]())
                    del kept[: -int(rng.integers(1, 4))]
                for k in rng.integers(len(everything), size=20):
                    everything[k]()
            # What is kept on purpose is no growth: measured with nothing alive but the arguments.
            kept.clear()
            pyleaky.clear_cache()
            part.sample(226)
            progress.n = min(part.samples[-1][0], seconds)
            progress.refresh()
    return part


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=10**8, help="small calls (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=300, help="duration of the mixed calls (default: %(default)s)")
    parser.add_argument(
        "--allow", type=float, default=4, help="MiB that the process may grow by (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="a file for the table")
    options = parser.parse_args()
    before = pyleaky.get_num_threads(), pyleaky.cache_info().limit, _core.isa()
    parts = [small(options.calls)]
    parts.append(mixed(options.seconds))
    pyleaky.set_num_threads(before[0])
    pyleaky.set_cache_limit(before[1])
    _core.use_isa(before[2])
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, pyleaky {pyleaky.__version__}"
    table = f"""\
What the process holds during many calls (`make soak`), in MiB of resident memory.
{datetime.date.today()}, {cpu()}, {", ".join(_core.isas())}, {versions}.
`growth` is the slope of the line fitted after a warm-up of {WARM_UP:.0%}, times the rest of the duration.

{"":<28}{"calls":>14}{"seconds":>9}{"warmed up":>12}{"most":>10}{"end":>10}{"growth":>12}
"""
    table += "\n".join(part.row() for part in parts) + "\n"
    print(table)
    grown = [f"{part.title}: {part.grown():.1f} MiB" for part in parts if part.grown() > options.allow]
    if grown:
        sys.exit(f"the process has grown: {'; '.join(grown)}")
    if options.out:
        options.out.write_text(table)


if __name__ == "__main__":
    main()
