"""Figures: one line of CSV each, as benches write them, as the lab puts them together, and as an earlier run's are
compared with them.

A bench writes `case,contender,measure,unit,value,low,high`; bench_table has columns of its own, which become these here.
The lab's merged file has the bench in front and the state behind: `result`, or `noisy` for what may not be called one."""
import csv
import dataclasses
import math

BENCH_COLUMNS = ["case", "contender", "measure", "unit", "value", "low", "high"]
TABLE_COLUMNS = ["list", "family", "entries", "structure", "measure", "of", "unit", "value", "low", "high"]
MERGED_COLUMNS = ["bench", *BENCH_COLUMNS, "state"]
RESULT, NOISY = "result", "noisy"
OURS = "bounceline"
# Compared with an earlier run: ratios within a run, and sizes, which no neighbour of the machine changes.
SIZES = ("MiB", "bytes", "B", "bits")


class FigureError(Exception):
    """A CSV that is none: file, line, and what was expected."""


@dataclasses.dataclass
class Figure:
    bench: str
    case: str
    contender: str
    measure: str
    unit: str
    value: float
    low: float
    high: float
    state: str = RESULT

    def key(self):
        return self.bench, self.case, self.contender, self.measure, self.unit

    def row(self):
        return [self.bench, self.case, self.contender, self.measure, self.unit,
                *(f"{number:.6g}" for number in (self.value, self.low, self.high)), self.state]


def number_of(text, where):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FigureError(f"{where}: {text!r}: expected a number")
    return number


def read_rows(path, *headers):
    """The header that the file has, one of @headers, and (place, fields) of each line."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        head = next(reader, [])
        if head not in headers:
            raise FigureError(f"{path}:1: expected {' or '.join(','.join(header) for header in headers)}")
        rows = []
        for fields in reader:
            if len(fields) != len(head):
                raise FigureError(f"{path}:{reader.line_num}: {len(fields)} fields: expected {len(head)}")
            rows.append((f"{path}:{reader.line_num}", fields))
    return head, rows


def read_bench(path, bench):
    """What a bench wrote."""
    head, rows = read_rows(path, BENCH_COLUMNS, TABLE_COLUMNS)
    if head == TABLE_COLUMNS:
        return best_peers([table_figure(bench, fields, where) for where, fields in rows])
    return [Figure(bench, *fields[:4], *(number_of(text, where) for text in fields[4:])) for where, fields in rows]


def read_merged(path):
    _, rows = read_rows(path, MERGED_COLUMNS)
    return [Figure(*fields[:5], *(number_of(text, where) for text in fields[5:8]), fields[8]) for where, fields in rows]


def write_merged(path, figures):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MERGED_COLUMNS)
        writer.writerows(figure.row() for figure in figures)


def table_figure(bench, fields, where):
    """A line of bench_table: its entries go into the case, its peers' time against ours becomes a ratio."""
    name, family, entries, structure, measure, of, unit, *numbers = fields
    numbers = [number_of(text, where) for text in numbers]
    case = f"{name}, {entries} entries, IPv{family}"
    if measure == "ratio to ours":
        return Figure(bench, f"{case}, {of}", f"{OURS}/{structure}", "ratio", "x", *numbers)
    return Figure(bench, case, structure, f"{measure} {of}", unit, *numbers)


def best_peers(figures):
    """With the peer that comes closest, of each case. rte_hash has hosts alone, "one access" answers nothing: no peers."""
    best = {}
    for figure in figures:
        if figure.measure == "ratio" and not figure.contender.startswith((f"{OURS}/rte_hash", f"{OURS}/one access")):
            if figure.case not in best or figure.value < best[figure.case].value:
                best[figure.case] = figure
    return figures + [dataclasses.replace(figure, contender=f"{OURS}/best peer") for figure in best.values()]


def is_ratio(figure):
    return figure.measure.split(" ")[0] == "ratio"


def is_comparable(figure):
    return figure.state == RESULT and (is_ratio(figure) or figure.unit in SIZES)


@dataclasses.dataclass
class Change:
    before: Figure
    now: Figure
    verdict: str  # worse, better, same


def compare(before, now, smaller_is_better):
    """Of each figure that both runs have and that may be compared: worse or better only where the intervals do not
    overlap. @smaller_is_better: of a figure."""
    earlier = {figure.key(): figure for figure in before if is_comparable(figure)}
    changes = []
    for figure in now:
        old = earlier.get(figure.key())
        if old is None or not is_comparable(figure):
            continue
        verdict = "same"
        if figure.low > old.high or figure.high < old.low:
            verdict = "worse" if (figure.value > old.value) == smaller_is_better(figure) else "better"
        changes.append(Change(old, figure, verdict))
    return changes
