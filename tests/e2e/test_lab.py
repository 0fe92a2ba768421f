#!/usr/bin/python3
"""perf/lab.sh: a small run ends with a report whose figures can be read and with the huge pages as they were; benches that
fail, hang, skip or write nonsense are told by name. What the lab says of figures is tested on planted ones: a regression
is marked only where the intervals are apart, a noisy machine's figures are no result, a promise is met, not met or open."""
import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "perf/lab"))
import account  # noqa: E402
import figures  # noqa: E402
import lab as bl  # noqa: E402
import noise  # noqa: E402
import plan  # noqa: E402
import run as perf  # noqa: E402

LAB = str(bl.ROOT / "perf/lab.sh")
HEAD = ",".join(figures.BENCH_COLUMNS)
QUIET = noise.Reading({("hash", 0): 1000.0, ("copy", 0): 2000.0})


def lab(build, *arguments):
    return subprocess.run([LAB, "--no-build", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=120, env={**os.environ, "BL_BUILD": str(build)})


def hugepages():
    return pathlib.Path("/proc/sys/vm/nr_hugepages").read_text()


def ratio(value, low, high, bench="peer_bridge", case="flood of listed sources",
          contender="bounceline/bounceline without flood", measure="ratio of goodput"):
    return figures.Figure(bench, case, contender, measure, "x", value, low, high)


def window(before=QUIET, steal=0.0, other=0.0):
    return noise.Window(before, QUIET, steal, other)


class Small(unittest.TestCase):
    """Real runs."""

    def test_report(self):
        """One real bench: exit 0, or 3 where this machine is not quiet, as beside other tests."""
        if not (bl.BUILD / "perf/bench_live").exists():
            self.skipTest("built without perf/")
        before = hugepages()
        with tempfile.TemporaryDirectory() as folder:
            done = lab(bl.BUILD, "--quick", "--only", "^bench_live$", "--out", folder)
            self.assertIn(done.returncode, (0, 3), done.stdout + done.stderr)
            found = figures.read_merged(f"{folder}/figures.csv")
            self.assertGreaterEqual(len(found), 9)
            for figure in found:
                self.assertLessEqual(figure.low, figure.value, figure)
                self.assertLessEqual(figure.value, figure.high, figure)
            start = [figure.value for figure in found if figure.measure == "from the table file to serving"]
            self.assertEqual(len(start), 1)
            self.assertGreater(start[0], 0)
            self.assertEqual({figure.state for figure in found}, {"noisy" if done.returncode == 3 else "result"})
            page = pathlib.Path(folder, "report.html").read_text()
            self.assertEqual(re.findall(r"(?:src|href)\s*=\s*[\"'](?!#)|url\((?!#)|@import", page), [])
            self.assertIn("<svg", page)
            self.assertIn("from the table file to serving", page)
            self.assertIn("refused" if done.returncode == 3 else "measured", page)
            self.assertNotIn("\r", done.stdout, "progress in a pipe")
        self.assertEqual(hugepages(), before)

    @unittest.skipUnless(os.environ.get("BL_LONG"), "BL_LONG=1: the peers too, a minute")
    def test_peers(self):
        """Each peer measures, and leaves no namespace behind."""
        before = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        with tempfile.TemporaryDirectory() as folder:
            done = lab(bl.BUILD, "--quick", "--only", "^peer_", "--out", folder)
            found = {figure.bench for figure in figures.read_merged(f"{folder}/figures.csv")}
        self.assertIn(done.returncode, (0, 3, 4), done.stdout + done.stderr)
        self.assertEqual(found, {"peer_postfix", "peer_filters", "peer_bridge"}, done.stdout)
        after = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(after, before)

    def test_benches_that_go_wrong(self):
        """Planted programs: each is named with the reason, none is left out silently."""
        programs = {
            "bench_burst": "echo 'the frames differ'; exit 1",
            "bench_wire": "echo 'needs two ports'; exit 77",
            "peer_postfix": f"printf '{HEAD}\\ndialogue,postscreen,CPU,us,many,1,2\\n' >$3",
            "peer_filters": f"printf '{HEAD}\\n' >$3",
            "peer_bridge": f"printf '{HEAD}\\nconnect,bridge,p50,us,20,19,21\\n' >$3; sleep 1",
        }
        with tempfile.TemporaryDirectory() as build:
            os.mkdir(f"{build}/perf")
            for name, script in programs.items():
                path = pathlib.Path(build, "perf", name)
                path.write_text(f'#!/bin/sh\nif [ "$1" = --help ]; then echo --csv; exit; fi\n{script}\n')
                path.chmod(0o755)
            os.mkdir(f"{build}/out")
            pathlib.Path(build, "out/bench_burst.csv").write_text(f"{HEAD}\nof an earlier run,bounceline,a packet,ns,1,1,1\n")
            done = lab(build, "--quick", "--only", "burst|wire|postfix|filters|bridge|bench_live", "--out", f"{build}/out")
            self.assertEqual(done.returncode, perf.EXIT_FAILED, done.stdout + done.stderr)
            for line in (r"failed +bench_burst .*exit 1: the frames differ", r"skipped +bench_wire .*needs two ports",
                         r"failed +peer_postfix .*peer_postfix.csv:2: 'many': expected a number",
                         r"failed +peer_filters .*wrote no figures", r"measured +peer_bridge .* 1 figures",
                         r"skipped +bench_live .*no such program"):
                self.assertRegex(done.stdout, line)
            found = figures.read_merged(f"{build}/out/figures.csv")
            self.assertEqual([(figure.bench, figure.value) for figure in found], [("peer_bridge", 20)])

    def test_usage(self):
        for arguments, words in ((["--quick", "--only", "nothing"], "expected a part of one of: bench_burst"),
                                 (["--fast"], "--fast is not an option"), ([], "expected --quick or --full"),
                                 (["--quick", "--full"], "two things"),
                                 (["--quick", "--baseline", "/nowhere"], "/nowhere: no file")):
            done = lab(bl.BUILD, *arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(words, done.stderr)


class Judged(unittest.TestCase):
    """Planted figures through the whole way from a bench's figures to the report."""

    def finish(self, found, baseline=None, around=None):
        """(exit code, page, words, merged figures) of a run that measured these figures."""
        bench = next(bench for bench in plan.BENCHES if bench.name == "peer_bridge")
        with tempfile.TemporaryDirectory() as folder:
            run = perf.Run(pathlib.Path(folder), True, "today", {"source": "planted"},
                           None if baseline is None else "earlier.csv")
            run.done = [perf.Done(bench, perf.MEASURED, figures=found, window=around or window())]
            words = io.StringIO()
            with contextlib.redirect_stdout(words):
                teller = perf.Teller()
                perf.judge_noise(run, [QUIET, QUIET, QUIET], teller)
                perf.finish(run, baseline, teller)
            return (run.exit_code(), pathlib.Path(folder, "report.html").read_text(), words.getvalue(),
                    figures.read_merged(f"{folder}/figures.csv"))

    def test_regression(self):
        """0.96 to 0.99 was; apart from that is worse, an overlap is not, and smaller is better where the bar says so."""
        earlier = [ratio(0.97, 0.96, 0.99)]
        code, page, words, _ = self.finish([ratio(0.953, 0.951, 0.955)], earlier)
        self.assertEqual(code, perf.EXIT_WORSE)
        self.assertIn('state worse">worse', page)
        self.assertRegex(words, r"worse +peer_bridge: flood of listed sources: .*0.97 became 0.953")
        code, page, words, _ = self.finish([ratio(0.955, 0.951, 0.962)], earlier)
        self.assertEqual(code, 0)
        self.assertIn('state same">same', page)
        self.assertNotIn("worse ", words)
        latency = {"case": "connect and greeting", "contender": "bounceline/bridge", "measure": "ratio of p50"}
        for value, verdict in ((0.9, "worse"), (0.7, "better")):
            _, page, _, _ = self.finish([ratio(value, value, value, **latency)], [ratio(0.8, 0.79, 0.81, **latency)])
            self.assertIn(f'state {verdict}">{verdict}', page)

    def test_noise(self):
        """A reference that moved, a stolen CPU, another process: no result, no promise judged, nothing compared."""
        moved = noise.Reading({("hash", 0): 1000.0, ("copy", 0): 2700.0})
        for around, words in ((window(before=moved), "the reference loop (copy, CPU 0) before it was 35% off"),
                              (window(steal=0.03), "the hypervisor took 3.0%"),
                              (window(other=0.20), "other processes took 20.0%")):
            code, page, said, merged = self.finish([ratio(0.5, 0.5, 0.5)], [ratio(0.97, 0.96, 0.99)], around)
            self.assertEqual(code, perf.EXIT_NOISY)
            self.assertIn('state refused">refused', page)
            self.assertIn(words, said)
            self.assertIn(words, page)
            self.assertIn('state no result">no result', page)
            self.assertNotIn('state worse">', page)
            self.assertEqual([figure.state for figure in merged], ["noisy"])
        near = noise.Reading({("hash", 0): 1000.0, ("copy", 0): 2500.0})
        code, _, _, merged = self.finish([ratio(0.97, 0.96, 0.99)], None, window(near, 0.005, 0.01))
        self.assertEqual((code, merged[0].state), (0, "result"))

    def test_promises(self):
        for figure, verdict, expected in ((ratio(0.97, 0.951, 0.99), "met", 0), (ratio(0.96, 0.94, 0.98), "open", 0),
                                          (ratio(0.9, 0.88, 0.94), "not met", perf.EXIT_NOT_MET)):
            code, page, _, _ = self.finish([figure])
            self.assertEqual(code, expected)
            self.assertIn(f'state {verdict}">{verdict}', page)

    def test_any_name_is_drawn(self):
        """What gnuplot and HTML take for more than text stays text."""
        name = "100 % of 'it' <b>, {1}"
        figure = figures.Figure("peer_bridge", name, name, "goodput", "MB/s", 5.0, 4.0, 6.0)
        code, page, words, merged = self.finish([figure])
        self.assertEqual((code, merged), (0, [figure]))
        self.assertNotIn("no plots", words)
        self.assertNotIn("<b>,", page)
        self.assertRegex(page, r"<text>100 % of 'it' &lt;b(>|&gt;), \{1\}</text>")

    def test_own_load_is_no_noise(self):
        """The CPU time of a process that has ended is known: it is taken off before others are blamed."""
        with account.Group("test-lab") as group:
            watch = noise.Watch(group, QUIET)
            subprocess.run(["/usr/bin/python3", "-c", "import time\nwhile time.process_time() < 0.4: pass"], check=True,
                           preexec_fn=group.enter)
            own = group.usage_ns() / 1e9
            self.assertGreater(own, 0.2)
            self.assertLess(own, 2)
            self.assertLess(watch.end().other, 1.01)


if __name__ == "__main__":
    bl.main()
