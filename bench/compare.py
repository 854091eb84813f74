"""Two runs of run.py or gpu.py against each other: python bench/compare.py BEFORE.json AFTER.json

For every job and contender that both have measured: how many times as fast the second run is.  A change is marked where
the two ranges from quartile to quartile do not overlap: then it is more than the spread of a run, though a machine that
was busy in between shows that, too.  --changed leaves out the rest, --contender everybody else.
"""

import argparse
import math
import pathlib
import sys

from _results import ratio_text, read_json, size_text, table, time_text

HEAD = ["function", "direction", "dtype", "mode", "contender", "size", "threads", "before", "after", "ratio", "change"]


def verdict(before, after):
    if after[2] < before[0]:
        return "faster"
    return "SLOWER" if after[0] > before[2] else ""


def lines(before, after, options):
    """A line of text for each job and contender in both, and its ratio by contender."""
    ratios = {}
    shown = []
    for key in (key for key in before if key in after):
        function, direction, dtype, size, mode, threads, contender = key
        if options.contender and contender not in options.contender:
            continue
        change = verdict(before[key], after[key])
        ratio = before[key][1] / after[key][1]
        ratios.setdefault(contender, []).append((ratio, change))
        if change or not options.changed:
            job = [function, direction, dtype, mode, contender, size_text(size), str(threads or "-")]
            shown.append([*job, time_text(before[key][1]), time_text(after[key][1]), ratio_text(ratio), change])
    return shown, ratios


def by_contender(ratios):
    """The geometric mean of the ratios, and how many changed."""
    rows = []
    for contender, found in ratios.items():
        mean = math.exp(sum(math.log(ratio) for ratio, _ in found) / len(found))
        changes = [sum(change == word for _, change in found) for word in ("faster", "SLOWER")]
        rows.append([contender, str(len(found)), ratio_text(mean), *map(str, changes)])
    return table(["contender", "jobs", "times as fast, mean", "faster", "slower"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("after", type=pathlib.Path)
    parser.add_argument("--changed", action="store_true", help="only what changed by more than the spread")
    parser.add_argument("--contender", nargs="+", metavar="LABEL", help="only these, for example pyleaky")
    options = parser.parse_args()
    (about, before), (about_after, after) = read_json(options.before), read_json(options.after)
    shown, ratios = lines(before, after, options)
    if not ratios:
        raise SystemExit(f"{options.before} and {options.after} have no job and contender in common")

    if shown:
        print(table(HEAD, shown, left=5))
    print(f"\n{by_contender(ratios)}")
    both = len(before.keys() & after.keys())
    print(f"\nOnly in {options.before}: {len(before) - both}.  Only in {options.after}: {len(after) - both}.")
    for name in dict.fromkeys([*about, *about_after]):
        if about.get(name) != about_after.get(name) and name not in ("date", "load_average_at_start"):
            print(f"{name}: {about.get(name)} before, {about_after.get(name)} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
