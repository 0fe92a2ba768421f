#!/usr/bin/python3
"""Runs the benches one after the other, judges them, and writes figures.csv, report.html and a log each; see lab.sh,
which calls it, and its --help.

  plan → a bench at a time, watched (noise, account) → figures → plan's bars, an earlier run → plots, page"""
import argparse
import dataclasses
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import time

import account
import figures
import noise
import page
import plan
import plots

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BL_BUILD") or ROOT / "build")
SKIP = 77
MEASURED, FAILED, SKIPPED = "measured", "failed", "skipped"
EXIT_FAILED, EXIT_NOISY, EXIT_NOT_MET, EXIT_WORSE = 1, 3, 4, 5


@dataclasses.dataclass
class Done:
    bench: plan.Bench
    state: str
    why: str = ""
    seconds: float = 0.0
    figures: list = dataclasses.field(default_factory=list)
    window: noise.Window = None
    noise: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Run:
    out: pathlib.Path
    quick: bool
    when: str
    facts: dict
    baseline: str
    done: list = dataclasses.field(default_factory=list)
    middle: dict = None
    bars: list = dataclasses.field(default_factory=list)
    changes: list = dataclasses.field(default_factory=list)
    plots: dict = dataclasses.field(default_factory=dict)

    @property
    def mode(self):
        return "quick: for a smoke test, not for claims" if self.quick else "full"

    def figures(self):
        return [figure for done in self.done for figure in done.figures]

    def count(self, state):
        return sum(done.state == state for done in self.done)

    def exit_code(self):
        if self.count(FAILED) or not self.count(MEASURED):
            return EXIT_FAILED
        if any(done.noise for done in self.done):
            return EXIT_NOISY
        if any(change.verdict == "worse" for change in self.changes):
            return EXIT_WORSE
        return EXIT_NOT_MET if any(judged == "not met" for *_, judged in self.bars) else 0

    def verdict(self):
        """(word, sentence) for the page's head and the last line."""
        judged = [word for *_, word in self.bars]
        bars = f"{judged.count('met')} of {len(judged)} promises met, {judged.count('not met')} not, " \
               f"{judged.count('open')} open, {judged.count('no result')} not judged"
        ran = f"{self.count(MEASURED)} benches measured, {self.count(SKIPPED)} skipped, {self.count(FAILED)} failed"
        noisy = [done.bench.name for done in self.done if done.noise]
        worse = sum(change.verdict == "worse" for change in self.changes)
        if self.count(FAILED):
            return "failed", f"{ran}; {bars}."
        if not self.count(MEASURED):
            return "failed", f"Nothing was measured: {ran}."
        if noisy:
            return "refused", f"The machine was not quiet: of {', '.join(noisy)} nothing here is a result. {ran}; {bars}."
        if worse:
            return "worse", f"{worse} figures are worse than the earlier run's. {ran}; {bars}."
        if "not met" in judged:
            return "not met", f"{bars}; {ran}."
        return ("met" if judged and set(judged) == {"met"} else MEASURED), f"{bars}; {ran}."


def read_first(path, pattern=r"(.*)"):
    try:
        match = re.search(pattern, pathlib.Path(path).read_text(encoding="ascii", errors="replace"))
    except OSError:
        match = None
    return match[1].strip() if match else "not shown"


def said(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def machine_facts():
    lscpu = dict(re.findall(r"^([^:]+):\s*(.*)$", said("lscpu"), re.M))
    git = ("git", "-c", f"safe.directory={ROOT}")
    changed = said(*git, "status", "--porcelain", "--untracked-files=no")
    commit = said(*git, "log", "-1", "--format=%h %cs %s")
    return {
        "source": f"commit {commit}{' with changes that are in no commit' if changed else ''}" if commit else "no commit",
        "CPU": f"{lscpu.get('Model name', 'not shown')}, {os.cpu_count()} CPUs, {lscpu.get('Thread(s) per core', '?')} "
               f"threads a core, {lscpu.get('NUMA node(s)', '?')} NUMA nodes",
        "caches": ", ".join(f"{level} {int(said('getconf', name) or 0) >> 10} KiB" for level, name in
                            (("L1d", "LEVEL1_DCACHE_SIZE"), ("L2", "LEVEL2_CACHE_SIZE"), ("L3", "LEVEL3_CACHE_SIZE"))),
        "hypervisor": lscpu.get("Hypervisor vendor", "none shown"),
        "governor": read_first("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory": read_first("/proc/meminfo", r"MemTotal:(.*)"),
        "huge pages": read_first("/proc/meminfo", r"HugePages_Total:(.*)") + " of "
                      + read_first("/proc/meminfo", r"Hugepagesize:(.*)"),
        "kernel": " ".join([platform.release(), *re.findall(
            r"\S*(?:mitigations|isolcpus|nohz|rcu_nocbs|pstate|idle|iommu|hugepage)\S*", read_first("/proc/cmdline"))]),
        "DPDK": said("pkg-config", "--modversion", "libdpdk") or "not shown",
        "compiler": said("gcc", "--version").split("\n")[0],
        "load at the start": read_first("/proc/loadavg"),
    }


def find_program(name):
    for folder in (BUILD / "perf", ROOT / "perf"):
        if os.access(folder / name, os.X_OK) and (folder / name).is_file():
            return folder / name
    return None


class Teller:
    """A line a bench; on a terminal also what is being waited for."""

    def __init__(self):
        self.on_terminal = sys.stdout.isatty()

    def progress(self, line):
        if self.on_terminal:
            print(f"\r\033[K{line} ...", end="", flush=True)

    def say(self, line):
        print(f"\r\033[K{line}" if self.on_terminal else line, flush=True)

    def tell(self, done):
        state = "noisy" if done.noise else done.state
        why = "; ".join([done.why] * bool(done.why) + done.noise)
        self.say(f"{state:9} {done.bench.name:18} {done.seconds:6.1f} s  {len(done.figures):4} figures  {why}".rstrip())


def run_program(command, log, seconds, group):
    """Exit code; None: it took too long. Ended with all that it started, in a session of its own."""
    with open(log, "wb") as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT, cwd=ROOT,
                                   env={**os.environ, "BL_BUILD": str(BUILD)}, start_new_session=True,
                                   preexec_fn=group.enter if group else None)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                end_session(process)


def end_session(process):
    """First a word: a peer takes its namespaces away. Then by force."""
    for number, patience in ((15, 10), (9, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
            return
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def last_line(log):
    lines = [line for line in log.read_text(errors="replace").replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1].strip()[-300:] if lines else "it said nothing"


def run_bench(run, bench, seconds_left, before):
    """(Done, the reading behind it)."""
    program = find_program(bench.name)
    if program is None:
        return Done(bench, SKIPPED, "there is no such program in this build"), before
    if "--csv" not in said(str(program), "--help"):
        return Done(bench, SKIPPED, "it takes no --csv"), before
    seconds = min(bench.quick_seconds if run.quick else bench.full_seconds, seconds_left)
    if seconds < 5:
        return Done(bench, SKIPPED, "no time is left for it"), before
    log, csv = run.out / f"{bench.name}.log", run.out / f"{bench.name}.csv"
    command = [str(program), *(["--quick"] if run.quick else bench.full), "--csv", str(csv)]
    csv.unlink(missing_ok=True)  # an earlier run's in the same folder is no figure of this one
    start = time.monotonic()
    try:
        with account.Group(f"lab-{bench.name}") as group:
            watch = noise.Watch(group, before)
            code = run_program(command, log, seconds, group)
            window = watch.end()
    except account.AccountError:
        watch = noise.Watch(None, before)
        code = run_program(command, log, seconds, None)
        window = watch.end()
    done = Done(bench, MEASURED, seconds=time.monotonic() - start, window=window)
    take_result(done, code, seconds, log, csv)
    return done, window.after


def take_result(done, code, seconds, log, csv):
    try:
        if csv.exists():
            done.figures = figures.read_bench(csv, done.bench.name)
    except figures.FigureError as error:
        done.state, done.why = FAILED, str(error)
        return
    if code == SKIP:
        done.state, done.why = SKIPPED, last_line(log)
    elif code is None:
        done.state, done.why = FAILED, f"ended after {seconds:.0f} s"
    elif code != 0:
        done.state, done.why = FAILED, f"exit {code}: {last_line(log)}"
    elif not done.figures:
        done.state, done.why = FAILED, "it wrote no figures"


def run_benches(run, benches, teller):
    end = time.monotonic() + (plan.QUICK_SECONDS if run.quick else plan.FULL_SECONDS)
    teller.progress("The reference loop")
    reading = noise.read_reference()
    readings = [reading]
    for index, bench in enumerate(benches):
        teller.progress(f"{index + 1} of {len(benches)}: {bench.name}, {bench.of}")
        done, reading = run_bench(run, bench, end - time.monotonic(), reading)
        if done.window is not None:
            readings.append(reading)
        run.done.append(done)
        teller.tell(done)
    judge_noise(run, readings, teller)


def judge_noise(run, readings, teller):
    """Now that the run's median is known."""
    run.middle = noise.medians(readings)
    for done in run.done:
        if done.window is not None:
            done.noise = noise.judge(done.window, run.middle)
            if done.noise:
                teller.tell(done)
        for figure in done.figures:
            figure.state = figures.NOISY if done.noise else figures.RESULT


def finish(run, before, teller):
    all_figures = run.figures()
    run.bars = plan.bars_judged(all_figures)
    if before is not None:
        run.changes = figures.compare(before, all_figures, plan.smaller_is_better)
    figures.write_merged(run.out / "figures.csv", all_figures)
    teller.progress("Drawing")
    try:
        run.plots = plots.all_plots(all_figures)
    except (OSError, plots.PlotError) as error:
        teller.say(f"no plots: {error}")
    for title, drawn in run.plots.items():
        for index, (_, svg) in enumerate(drawn):
            name = re.sub(r"\W+", "-", title.lower()) + ("" if index == 0 else f"-{index + 1}")
            (run.out / f"{name}.svg").write_text(svg.replace("currentColor", "#445"), encoding="utf-8")
    (run.out / "report.html").write_text(page.page(run), encoding="utf-8")
    for bar, figure, judged in run.bars:
        if judged != "met":
            teller.say(f"{judged:9} {bar.text}: {figure.case}: {figure.contender}: {figure.value:.4g} [{figure.low:.4g}-{figure.high:.4g}] "
                       f"{figure.unit}, asked {bar.asked(figure.unit)}")
    for change in run.changes:
        if change.verdict != "same":
            teller.say(f"{change.verdict:9} {change.now.bench}: {change.now.case}: {change.now.contender} "
                       f"{change.now.measure}: {change.before.value:.4g} became {change.now.value:.4g} {change.now.unit}")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run.py")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--baseline")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    # What was started is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    teller = Teller()
    try:
        before = figures.read_merged(options.baseline) if options.baseline else None
        benches = [bench for bench in plan.BENCHES if re.search(options.only, bench.name)]
    except (OSError, figures.FigureError, re.error) as error:
        print(f"lab.sh: {error}", file=sys.stderr)
        return 2
    if not benches:
        print(f"lab.sh: --only {options.only}: expected a part of one of: "
              f"{' '.join(bench.name for bench in plan.BENCHES)}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options.out, options.quick, time.strftime("%Y-%m-%d %H:%M %Z"), machine_facts(), options.baseline)
    (run.out / "machine.txt").write_text("".join(f"{name}: {value}\n" for name, value in run.facts.items()))
    run_benches(run, benches, teller)
    finish(run, before, teller)
    word, why = run.verdict()
    teller.say(f"{word}: {why}")
    teller.say(f"The report: {run.out / 'report.html'}")
    return run.exit_code()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
