"""What the peers that are Python have in common: their options, the summary of rounds as measure.c makes it, the table and
the CSV."""
import argparse
import contextlib
import csv
import os
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
BUILD = pathlib.Path(os.environ.get("BL_BUILD") or ROOT / "build")
SKIP = 77


def options(name, words):
    parser = argparse.ArgumentParser(prog=name, description=words)
    parser.add_argument("--quick", action="store_true", help="seconds: does it work? not for claims")
    parser.add_argument("--csv", metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def left_out(n):
    """How many of n sorted values may go at either end, so that the true median stays inside with 95 %."""
    chance, total, k = 1, 0, 0
    while k < n // 2:
        total += chance
        if total > 0.025 * 2 ** n:
            break
        chance = chance * (n - k) // (k + 1)
        k += 1
    return max(0, k - 1)


def summarize(values):
    """(median, low, high): 95 %, or the extremes of fewer than six."""
    ordered, out = sorted(values), left_out(len(values))
    return statistics.median(ordered), ordered[out], ordered[len(ordered) - 1 - out]


class Table:
    """Rows of what was measured: told, and written as CSV at the end, when all went well."""

    def __init__(self, path):
        self.path, self.rows = path, []

    def add(self, case, contender, measure, unit, values):
        value, low, high = summarize(values)
        print(f"  {case:34} {contender:40} {measure:16} {value:10.3f} [{low:.3f}–{high:.3f}] {unit}", flush=True)
        self.rows.append([case, contender, measure, unit, *(f"{number:.6g}" for number in (value, low, high))])

    def add_ratio(self, case, pair, above, below, measure="ratio"):
        """@above / @below, round by round."""
        self.add(case, pair, measure, "x", [a / b for a, b in zip(above, below)])

    def write(self):
        if self.path is None:
            return
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["case", "contender", "measure", "unit", "value", "low", "high"])
            writer.writerows(self.rows)


@contextlib.contextmanager
def reported(name):
    """A failure is one line, and exit 1."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # pylint: disable=broad-except
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        if os.environ.get("BL_TRACE"):
            raise
        sys.exit(1)
