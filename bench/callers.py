"""Several Python threads that call leaky_relu at once: right answers, and as much done as one caller gets done.

Each thread goes through arrays of 64 KB to 64 MB in an order of its own, with results stored in `out` and with two
slopes in turns, so that nothing left from the call before is right.  After its turn, in which the time is taken, the
last result of each size is held against NumPy's.  One caller, with all of pyleaky's threads to itself, and all
callers take turns, so that the machine's moods meet both.
"""

import argparse
import statistics
import threading
import time

import numpy as np
from _measure import environment
from _results import add_output_options, folder, ratio_text, size_text, table, write
from tqdm import tqdm

import pyleaky

TARGET = 0.9
SIZES = tuple(16 * 1024 * 4**k for k in range(6))  # float32 elements: 64 KB to 64 MB
SLOPES = (0.1, 0.25)
TURN = 2.5  # seconds


class Caller:
    def __init__(self, seed, inputs):
        self.rng = np.random.default_rng(seed)
        self.inputs = inputs
        self.outs = [np.empty_like(x) for x in inputs]
        self.slopes = [SLOPES[0]] * len(inputs)
        self.bytes = 0

    def work(self, until):
        """Calls until then, with as many bytes of every size."""
        self.bytes = 0
        while time.perf_counter() < until:
            for k in self.rng.permutation(len(SIZES)):
                for _ in range(max(1, SIZES[-1] // SIZES[k] // 4)):
                    self.slopes[k] = SLOPES[self.slopes[k] == SLOPES[0]]
                    pyleaky.leaky_relu(self.inputs[k], self.slopes[k], out=self.outs[k])
                    self.bytes += 2 * self.inputs[k].nbytes

    def wrong(self, expected):
        """How many of the last results differ."""
        return sum(
            not np.array_equal(out, expected[slope][k])
            for k, (out, slope) in enumerate(zip(self.outs, self.slopes, strict=True))
        )


def turn(callers):
    """Bytes per second."""
    began = time.perf_counter()
    threads = [threading.Thread(target=caller.work, args=(began + TURN,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(caller.bytes for caller in callers) / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=8, help="default 8")
    parser.add_argument("--seconds", type=float, default=60, help="for all callers, default 60")
    add_output_options(parser, "5 seconds")
    options = parser.parse_args()
    turns = max(2, round((5 if options.quick else options.seconds) / TURN))

    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(size, dtype=np.float32) for size in SIZES]
    expected = {slope: [np.where(x > 0, x, np.float32(slope) * x) for x in inputs] for slope in SLOPES}
    callers = [Caller(seed, inputs) for seed in range(options.callers)]
    one, several, wrong = [], [], 0
    for _ in tqdm(range(turns), unit="turn"):
        one.append(turn(callers[:1]))
        several.append(turn(callers))
        wrong += sum(caller.wrong(expected) for caller in callers)
    checked = turns * options.callers * len(SIZES)

    about = environment()
    rates = {1: one, options.callers: several}
    ratio = statistics.median(several) / statistics.median(one)
    lines = [
        [str(count), f"{statistics.median(rate) / 1e9:.1f}", f"{min(rate) / 1e9:.1f} to {max(rate) / 1e9:.1f}"]
        for count, rate in rates.items()
    ]
    result = "met" if ratio >= TARGET and not wrong else "**missed**"
    text = (
        f"# {options.callers} Python threads that call leaky_relu at once\n\n"
        f"{about['cpu']}, {about['cores']} cores, {about['date'][:10]}; float32, {size_text(SIZES[0])} to "
        f"{size_text(SIZES[-1])} elements, result stored in out, {turns * TURN:.0f} s for each line.\n\n"
        f"{table(['callers', 'GB/s, median', 'of all turns'], lines, left=1)}\n\n"
        f"All callers together get {ratio_text(ratio)} of one caller's work done (target {TARGET}x: {result}); "
        f"{checked} of their results were checked, {wrong} were wrong.\n"
    )
    write(folder(options) / "callers", text, {"environment": about, "turn_seconds": TURN, "bytes_per_second": rates})


if __name__ == "__main__":
    main()
