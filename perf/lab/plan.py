"""What the lab runs, in this order, and what is promised of it: issue 4 and 7 ask for the figures of BARS."""
import dataclasses
import fnmatch

import figures

QUICK_SECONDS, FULL_SECONDS = 170, 2340


@dataclasses.dataclass
class Bench:
    """A program of build/perf or perf/ that takes --quick and --csv FILE. Exit 77: it can't run here, its last line says
    why."""
    name: str
    of: str
    quick_seconds: int  # what it may take; then it is ended
    full_seconds: int
    full: list = dataclasses.field(default_factory=list)  # arguments instead of --quick


BENCHES = [
    Bench("bench_burst", "cycles a packet of each class, without a port", 30, 240, ["--large"]),
    Bench("bench_wire", "the data plane against dpdk-testpmd, on the same virtual ports", 60, 420),
    Bench("bench_loadgen", "checked dialogues: latency, and the highest rate under a loss threshold", 60, 400),
    Bench("peer_postfix", "CPU time of a rejected dialogue: postscreen, smtpd and the data plane", 40, 180),
    Bench("peer_filters", "a listed packet dropped: nftables, ipset and XDP", 40, 300),
    Bench("peer_bridge", "allowed TCP through the appliance and through a kernel bridge", 45, 300),
    Bench("bench_update", "updates: Redis, PostgreSQL and etcd on the same batches", 60, 400, ["--ten-million"]),
    Bench("bench_live", "changes while workers look up", 10, 30),
    Bench("bench_list_state", "bytes a listing in the control plane, and a start with 10 M", 5, 180),
    Bench("bench_table", "the prefix table against DPDK's own structures", 70, 1500, ["--rounds", "5"]),
]


@dataclasses.dataclass
class Bar:
    """A promise: every figure whose bench, case, contender and measure match must be at least, or at most, the limit.
    The patterns are those of a shell."""
    text: str
    bench: str
    case: str
    contender: str
    measure: str
    at_least: bool
    limit: float

    def is_for(self, figure):
        return figure.bench == self.bench and all(
            fnmatch.fnmatchcase(value, pattern) for value, pattern in
            ((figure.case, self.case), (figure.contender, self.contender), (figure.measure, self.measure)))

    def asked(self, unit):
        """In words, for people."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g} {unit}"

    def judge(self, figure):
        """met, not met, or open: the interval leaves it open."""
        good = figure.low >= self.limit if self.at_least else figure.high <= self.limit
        bad = figure.high < self.limit if self.at_least else figure.low > self.limit
        return "met" if good else "not met" if bad else "open"


def table_bars():
    """Issue 4: how many times as fast as the best peer at 30 % hits, and MiB a replica."""
    asked = [("1.5 k networks", 4, 0.3), ("100 k *", 3, 1), ("1 M clustered", 2.5, 6), ("1 M uniform", 3.5, 6),
             ("10 M clustered", 2, 48), ("10 M uniform", 2.5, 48), ("IPv6 100 k *", 3, 4), ("IPv6 1 M *", 3, 22)]
    for name, ratio, mib in asked:
        yield Bar("lookups against the best of DPDK's structures", "bench_table", f"{name}, *, 30 % hits",
                  "bounceline/best peer", "ratio", True, ratio)
        yield Bar("memory of a replica", "bench_table", f"{name}, *", "bounceline", "memory read", False, mib)


def wire_bars():
    """Issue 7: rates against dpdk-testpmd with the same frames, and what a reply and a drop cost above receiving."""
    for text, pair, limit in (
            ("allowed SMTP against testpmd io", "bounceline allowed/testpmd io", 0.6),
            ("allowed SMTP against testpmd csum", "bounceline allowed/testpmd csum", 1),
            ("other traffic against testpmd io", "bounceline other/testpmd io", 0.9),
            ("two workers against one", "bounceline allowed two/bounceline allowed", 1.85),
            ("a list of 10 M against one of 1.5 k", "bounceline mixed list of 10 M/bounceline mixed list of 1.5 k", 0.8)):
        yield Bar(text, "bench_wire", "*", pair, "ratio", True, limit)
    yield Bar("a SYN answered, above receiving", "bench_wire", "*", "bounceline syn/testpmd rxonly", "difference", False, 110)
    yield Bar("a drop, above receiving", "bench_wire", "*", "bounceline drop/testpmd rxonly", "difference", False, 25)


def update_bars():
    """Issue 5: batches of 1000, a delist until it is enforced, an import, a start."""
    durable = "durable 1000 x *"
    yield Bar("durable updates", "bench_update", durable, "bounceline", "rate", True, 1e6)
    for peer, limit in (("redis", 3), ("postgres COPY", 1), ("postgres INSERT", 3), ("etcd", 3)):
        yield Bar(f"durable updates against {peer}", "bench_update", durable, f"bounceline/{peer}", "ratio", True, limit)
    yield Bar("a delist until four workers have it, 99 %", "bench_update", "delist at *", "bounceline", "p99", False, 3)
    yield Bar("the same beside an import", "bench_update", "delist beside an import *", "bounceline", "p99", False, 20)
    yield Bar("an import of 1 M until it is enforced", "bench_update", "import of 1000000", "bounceline",
              "file to enforced", False, 4)
    yield Bar("a start with 10 M entries", "bench_update", "start with 10 M entries", "bounceline", "ready", False, 8)


BARS = [
    Bar("a complete reject dialogue", "bench_burst", "dialogue ipv4 1 M", "bounceline", "a packet", False, 1200),
    *wire_bars(),
    Bar("a rejected dialogue against postscreen, in the program", "peer_postfix", "dialogue, program",
        "bounceline/postscreen", "ratio", True, 300),
    Bar("connect and greeting through the appliance, median", "peer_bridge", "connect and greeting",
        "bounceline/bridge*", "ratio of p50", False, 1),
    Bar("connect and greeting through the appliance, 99 %", "peer_bridge", "connect and greeting",
        "bounceline/bridge*", "ratio of p99", False, 1),
    Bar("goodput under a flood of listed sources", "peer_bridge", "flood of listed sources",
        "bounceline/bounceline without flood", "ratio of goodput", True, 0.95),
    *table_bars(),
    *update_bars(),
    Bar("a listing in the control plane, all told", "bench_list_state", "10000000 listings", "bounceline", "resident",
        False, 96),
    Bar("start of the control plane with 10 M listings", "bench_list_state", "10000000 listings", "bounceline", "start",
        False, 8),
]


def smaller_is_better(figure):
    """Of a ratio: as its bar says; without one, ours/peer is how many times better."""
    for bar in BARS:
        if bar.is_for(figure):
            return not bar.at_least
    return not figures.is_ratio(figure)


def bars_judged(found):
    """(bar, figure, verdict) of all that match; a noisy figure is not judged."""
    return [(bar, figure, bar.judge(figure) if figure.state == figures.RESULT else "no result")
            for bar in BARS for figure in found if bar.is_for(figure)]
