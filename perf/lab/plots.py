"""Plots, drawn by gnuplot as SVG that takes the page's colours: cost and memory against the size of the list, and bars
with their intervals."""
import re
import subprocess

import figures

PALETTE = ["#0b84a5", "#f6a000", "#6f4e9c", "#2e9d5b", "#ca472f", "#8d99ae", "#b0723c", "#d06ba8"]
BARS_MAX = 32
OURS_FIRST = ("bounceline", "one access")


class PlotError(Exception):
    """gnuplot's words."""


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def gnuplot(script):
    done = subprocess.run(["gnuplot", "-"], input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0 or "<svg" not in done.stdout:
        raise PlotError(done.stderr.strip() or "gnuplot drew nothing")
    return adapt(done.stdout)


def adapt(svg):
    """Without a head of its own; black and grey become the colour of the page's text."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<(title|desc)>.*?</\1>", "", svg, flags=re.S)
    svg = re.sub(r'<rect x="0" y="0"[^>]*/>', "", svg)
    svg = re.sub(r"rgb\( *0, *0, *0\)|\bblack\b|#000000", "currentColor", svg)
    return re.sub(r"stroke=.gray.", 'stroke="currentColor" stroke-opacity="0.2"', svg)


def head(width, height):
    return (f"set terminal svg noenhanced size {width},{height} dynamic font 'system-ui,sans-serif,13'\n"
            "set border 3 lw 0.8\nset tics nomirror out\n"
            "set grid lw 0.5 lc rgb '#808080' dashtype 3\n")


def order(names):
    """Ours first, then as they came."""
    return sorted(dict.fromkeys(names), key=lambda name: name not in OURS_FIRST)


def lines(series, x_label, y_label):
    """@series: {name: [(x, value, low, high)]}; both axes logarithmic."""
    script = head(860, 420) + "set logscale xy\nset key outside above horizontal\nset format x '%.0s %c'\n"
    script += f"set xlabel {quoted(x_label)}\nset ylabel {quoted(y_label)}\nset offsets graph 0.05, graph 0.05, 0, 0\n"
    parts = []
    for index, name in enumerate(order(series)):
        rows = "\n".join(" ".join(f"{number:.6g}" for number in point) for point in sorted(series[name]))
        script += f"$d{index} << EOD\n{rows}\nEOD\n"
        width = 3 if name == "bounceline" else 1.5
        parts.append(f"$d{index} using 1:2:3:4 with yerrorlines lw {width} pt 7 ps 0.5 "
                     f"lc rgb '{PALETTE[index % len(PALETTE)]}' title {quoted(name)}")
    return gnuplot(script + "plot " + ", \\\n  ".join(parts) + "\n")


def bars(rows, x_label, logarithmic=True):
    """@rows: [(label, group, value, low, high)], drawn as lying bars; the same group has the same colour."""
    groups = order(group for _, group, *_ in rows)
    smallest = min(value for _, _, value, *_ in rows)
    logarithmic = logarithmic and smallest > 0 and max(value for _, _, value, *_ in rows) > 8 * smallest
    start = 10 ** -9 if logarithmic else 0
    script = head(860, 96 + 26 * len(rows))
    script += f"set xlabel {quoted(x_label)}\nset yrange [{len(rows) - 0.4}:-0.6]\nset border 1\nunset key\n"
    script += "set ytics scale 0\nset grid noytics xtics\nset style fill solid 0.85 noborder\n"
    if logarithmic:
        script += f"set logscale x\nset xrange [{smallest / 3:.6g}:*]\n"
    else:
        script += "set xrange [0:*]\n"
    script += "set ytics (" + ", ".join(f"{quoted(row[0].replace('%', '%%'))} {index}" for index, row in enumerate(rows)) + ")\n"
    parts = []
    for index, (_, group, value, low, high) in enumerate(rows):
        script += f"$b{index} << EOD\n{value:.6g} {index} {low:.6g} {high:.6g}\nEOD\n"
        colour = PALETTE[groups.index(group) % len(PALETTE)]
        parts.append(f"$b{index} using 1:2:({start}):1:($2-0.32):($2+0.32) with boxxyerror lc rgb '{colour}'")
        parts.append(f"$b{index} using 1:2:3:4 with xerrorbars pt 0 lw 1.5 lc rgb '#000000'")
        parts.append(f"$b{index} using 4:2:(sprintf('  %.4g', $1)) with labels left")
    return gnuplot(script + "set rmargin 8\nplot " + ", \\\n  ".join(parts) + "\n")


def entries_of(figure):
    """bench_table's cases: "1 M clustered, 1000000 entries, IPv4, 30 % hits"."""
    match = re.search(r"(\d+) entries, IPv4", figure.case)
    return int(match[1]) if match else None


def table_series(found, measure):
    """Of clustered lists and the small one of networks, as mail servers have them; of rte_fib what fits every list."""
    series = {}
    for figure in found:
        entries = entries_of(figure)
        if figure.bench == "bench_table" and figure.measure == measure and entries and "uniform" not in figure.case:
            if figure.value > 0 and not re.search(r"[128] B|scalar|x4", figure.contender):
                series.setdefault(figure.contender, []).append((entries, figure.value, figure.low, figure.high))
    return series


def chosen(found, units, words, benches=("",)):
    """Figures with one of the units, whose case or measure has one of the words."""
    return [figure for figure in found if figure.unit in units
            and figure.bench.startswith(tuple(benches)) and not figures.is_ratio(figure)
            and any(word in f"{figure.case} {figure.measure}".lower() for word in words)]


def bars_of(found, logarithmic=True):
    """What all have in common is said once, at the axis."""
    cases, measures = ({getattr(figure, name) for figure in found} for name in ("case", "measure"))

    def label(figure):
        parts = [figure.case] * (len(cases) > 1) + [figure.contender] + [figure.measure] * (len(measures) > 1)
        return ", ".join(parts)
    common = [*cases] * (len(cases) == 1) + [*measures] * (len(measures) == 1)
    rows = [(label(figure), figure.contender, figure.value, figure.low, figure.high) for figure in found[:BARS_MAX]]
    return bars(rows, ", ".join([*common, found[0].unit]), logarithmic)


def all_plots(found):
    """(title, words under it, SVG or None): None where nothing was measured for it."""
    def by_unit(some, words, logarithmic=True):
        units = dict.fromkeys(figure.unit for figure in some)
        return [(words, bars_of([figure for figure in some if figure.unit == unit], logarithmic)) for unit in units]

    cost, memory = table_series(found, "lookup 30 % hits"), table_series(found, "memory read")
    plots = {
        "Cost against the size of the list": [
            ("ns a lookup, 30 % hits, clustered lists", lines(cost, "entries", "ns a lookup"))] if cost else [],
        "Memory against the size of the list": [
            ("MiB that lookups read", lines(memory, "entries", "MiB"))] if memory else [],
        "Cost of a packet, by class": by_unit(chosen(found, ("cycles", "ns"), ("ipv4 1 m",), ("bench_burst",)),
                                              "in a worker, without a port; list of 1 M"),
        "Cost of a packet, on a port": by_unit(chosen(found, ("cycles", "ns"), ("a packet",), ("bench_wire",)),
                                               "the data plane and dpdk-testpmd, port and all"),
        "A listed packet dropped": by_unit(chosen(found, ("cycles", "ns"), ("",), ("peer_filters",)),
                                           "list: above a filter that drops everything; packet: port and all"),
        "Dialogues": by_unit(chosen(found, ("us", "1/s", "/s", "dialogues/s"), ("dialogue",)),
                             "CPU time of a dialogue, and dialogues a second"),
        "Latency": by_unit(chosen(found, ("us", "ns", "ms"), ("p50", "p90", "p99", "p999"),
                                  ("peer_bridge", "bench_loadgen")), "percentiles"),
        "Updates": by_unit(chosen(found, ("us", "ms", "1/s", "/s", "updates/s"), ("p50", "p99", "update", "durable"),
                                  ("bench_update", "bench_live")), "latency and rate of updates"),
        "Goodput under flood": by_unit(chosen(found, ("MB/s", "MiB/s", "Mbit/s"), ("goodput",)),
                                       "of allowed traffic, with and without a flood of listed sources", False),
    }
    return plots
