"""The report: one page of HTML without anything from elsewhere, light or dark as its reader has it."""
import html
import math

import model
import noise

STYLE = """
:root{color-scheme:light dark;--fg:#1c2430;--bg:#fff;--soft:#5b6675;--line:#d9dee5;--card:#f6f8fa;--good:#18794e;
--bad:#c62a2f;--open:#8a6100;--bar:#0b84a5}
@media(prefers-color-scheme:dark){:root{--fg:#e4e8ee;--bg:#12161c;--soft:#9aa6b5;--line:#2c3440;--card:#1a2029;
--good:#4cc38a;--bad:#ff7b72;--open:#e2b340;--bar:#3fb5d8}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:2rem 1.2rem 4rem;color:var(--fg);background:var(--bg);
font:15px/1.5 system-ui,sans-serif}h1{font-size:1.7rem;margin:0 0 .2rem}h2{margin:2.4rem 0 .6rem;font-size:1.2rem}
h3{margin:1.2rem 0 .2rem;font-size:1rem}p.soft,td.soft{color:var(--soft)}table{border-collapse:collapse;width:100%}
th,td{padding:.32rem .7rem .32rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-weight:600;color:var(--soft);font-size:.85rem}td.n{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}.verdict{border-left:.4rem solid;padding:.7rem 1rem;margin:1.2rem 0;background:var(--card)}
.met,.better,.measured{color:var(--good)}.not.met,.worse,.failed,.refused{color:var(--bad)}.open,.skipped,.noisy,.no.result
{color:var(--open)}b.state{white-space:nowrap}svg{max-width:100%;height:auto;display:block}.plot{overflow-x:auto;
background:var(--card);padding:.6rem;border-radius:.4rem;margin:.4rem 0 1rem}details{margin:.3rem 0}summary{cursor:pointer}
pre{background:var(--card);padding:.7rem;overflow-x:auto;font-size:.82rem}td.mark{width:170px}td.mark svg{color:var(--fg)}
"""


def text(value):
    return html.escape(str(value))


def state(word):
    return f'<b class="state {text(word)}">{text(word)}</b>'


def number(value):
    """Four digits that say something, thousands apart."""
    if value != 0 and (abs(value) >= 1e7 or abs(value) < 1e-3):
        return f"{value:.3g}"
    digits = 0 if value == 0 else max(0, 3 - int(math.floor(math.log10(abs(value)))))
    return f"{value:,.{digits}f}".replace(",", "&#8239;")


def interval(figure):
    shown = number(figure.value)
    if figure.low != figure.high:
        shown += f" [{number(figure.low)}–{number(figure.high)}]"
    return f"{shown} {text(figure.unit)}"


def mark(bar, figure):
    """The interval beside what is asked, on a logarithmic axis."""
    numbers = [figure.low, figure.high, figure.value, bar.limit]
    if min(numbers) <= 0:
        return ""
    low, high = math.log(min(numbers) / 1.15), math.log(max(numbers) * 1.15)

    def at(value):
        return f"{(math.log(value) - low) / (high - low) * 160:.1f}"
    wide = f'<line x1="{at(figure.low)}" x2="{at(figure.high)}" y1="9" y2="9" stroke="var(--bar)" stroke-width="4"/>'
    limit = f'<line x1="{at(bar.limit)}" x2="{at(bar.limit)}" y1="1" y2="17" stroke="currentColor" stroke-width="1.5"/>'
    dot = f'<circle cx="{at(figure.value)}" cy="9" r="4" fill="var(--bar)"/>'
    return f'<svg width="160" height="18" viewBox="0 0 160 18" role="img">{wide}{limit}{dot}</svg>'


def table(head, rows):
    cells = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><tr>{cells}</tr>{''.join(rows)}</table>"


def part(title, *content):
    return f"<h2>{text(title)}</h2>" + "".join(content)


def verdict(run):
    word, why = run.verdict()
    colour = {"met": "good", "measured": "good", "open": "open"}.get(word, "bad")
    return (f'<div class="verdict" style="border-color:var(--{colour})">{state(word)} {text(why)}</div>')


def promises(run):
    rows = [f'<tr><td>{text(bar.text)}</td><td class="soft">{text(figure.case)}<br>{text(figure.contender)}</td>'
            f'<td class="n">{bar.asked(text(figure.unit))}</td><td class="n">{interval(figure)}</td>'
            f'<td class="mark">{mark(bar, figure)}</td><td>{state(judged)}</td></tr>' for bar, figure, judged in run.bars]
    if not rows:
        return part("What is promised", "<p>Nothing that was run has a promise.</p>")
    return part("What is promised",
                '<p class="soft">Met, or not, where the whole interval says so. The stroke is what is asked, '
                "the dot the median, the line its interval (95 %, or the extremes of fewer than six rounds).</p>",
                table(["promise", "case", "asked", "measured", "", ""], rows))


def benches(run):
    rows = []
    for done in run.done:
        noise = "".join(f"<br>{text(reason)}" for reason in done.noise)
        rows.append(f"<tr><td>{text(done.bench.name)}</td><td class='soft'>{text(done.bench.of)}</td><td>{state(done.state)}</td>"
                    f"<td class='n'>{done.seconds:.1f} s</td><td class='n'>{len(done.figures)}</td>"
                    f"<td>{text(done.why)}{noise}</td></tr>")
    return part("What was run", table(["bench", "", "", "time", "figures", ""], rows))


def plots(run):
    content = []
    for title, drawn in run.plots.items():
        content.append(f"<h3>{text(title)}</h3>")
        for words, svg in drawn:
            content.append(f'<p class="soft">{text(words)}</p><div class="plot">{svg}</div>')
        if not drawn:
            content.append('<p class="soft">Nothing was measured for this one: see what was run.</p>')
    return part("Plots", *content)


def cores(run):
    rows = [f"<tr><td>{text(name)}</td><td class='n'>{size}</td><td class='n'>{number(ns)}</td><td class='n'>{number(rate)}</td>"
            + "".join(f"<td class='n'>{n}</td>" for n in lines) + "</tr>"
            for name, size, ns, rate, lines in model.rows(run.figures())]
    if not rows:
        return ""
    words = ("Reckoned, not measured: bench_burst's cost of each class (list of 1 M, IPv4), the servers' frames with it, "
             "and what two workers keep of one. A real port's cost comes on top: see perf/README.md.")
    return part("Cores for a line", f'<p class="soft">{words}</p>',
                table(["from the internet", "bytes", "ns a frame", "M/s a core",
                       *(f"{line} Gbit/s" for line in model.LINES)], rows))


def against(run):
    if run.baseline is None:
        return ""
    order = {"worse": 0, "better": 1, "same": 2}
    changes = sorted(run.changes, key=lambda change: order[change.verdict])
    rows = [f"<tr><td>{text(change.now.bench)}</td><td>{text(change.now.case)}</td><td>{text(change.now.contender)}, "
            f"{text(change.now.measure)}</td><td class='n'>{interval(change.before)}</td>"
            f"<td class='n'>{interval(change.now)}</td><td>{state(change.verdict)}</td></tr>" for change in changes]
    words = (f"Ratios within a run, and sizes, against {text(run.baseline)}: {len(changes)} that both have. Worse or "
             "better only where the intervals do not overlap; what was noisy in either run is left out.")
    return part("Against an earlier run", f'<p class="soft">{words}</p>',
                table(["bench", "case", "figure", "then", "now", ""], rows) if rows else "")


def figures(run):
    content = []
    for done in run.done:
        if not done.figures:
            continue
        rows = [f"<tr><td>{text(figure.case)}</td><td>{text(figure.contender)}</td><td>{text(figure.measure)}</td>"
                f"<td class='n'>{interval(figure)}</td></tr>" for figure in done.figures]
        content.append(f"<details><summary>{text(done.bench.name)}: {len(rows)} figures</summary>"
                       + table(["case", "who", "measure", "value"], rows) + "</details>")
    return part("All figures", *content)


def quiet(run):
    rows = []
    for done in run.done:
        if done.window is None:
            continue
        readings = [noise.furthest(reading, run.middle) for reading in (done.window.before, done.window.after)]
        share, loop, cpu = max(readings, key=lambda off: off[0] / noise.REFERENCE_MAX[off[1]])
        other = "not counted" if done.window.other is None else f"{done.window.other:.1%}"
        rows.append(f"<tr><td>{text(done.bench.name)}</td><td class='n'>{share:.1%} ({loop}, CPU {cpu})</td>"
                    f"<td class='n'>{done.window.steal:.2%}</td><td class='n'>{other}</td>"
                    f"<td>{state('noisy' if done.noise else 'quiet')}</td></tr>")
    words = (f"Allowed: a reference loop at most {noise.REFERENCE_MAX['hash']:.0%} (copying: "
             f"{noise.REFERENCE_MAX['copy']:.0%}) off the run's median just before and after, "
             f"{noise.STEAL_MAX:.0%} of the CPUs taken by the hypervisor, {noise.OTHER_MAX:.0%} by other processes.")
    return part("How quiet the machine was", f'<p class="soft">{words}</p>',
                table(["bench", "reference loop, furthest off", "stolen", "others", ""], rows))


def machine(run):
    rows = [f"<tr><td class='soft'>{text(name)}</td><td>{text(value)}</td></tr>" for name, value in run.facts.items()]
    return part("The machine", table(["", ""], rows))


def page(run):
    parts = [verdict(run), promises(run), plots(run), cores(run), against(run), benches(run), quiet(run), machine(run), figures(run)]
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Bounceline: measurements</title>'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>'
            f"<h1>Bounceline: measurements</h1><p class='soft'>{text(run.when)}, {text(run.mode)}, "
            f"{text(run.facts['source'])}</p>{''.join(parts)}</body></html>\n")
