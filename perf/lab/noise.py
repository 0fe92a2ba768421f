"""Is the machine quiet enough to call what was measured a result?

A reference loop, always the same work (SHA-256 of a MiB, and copying 32 MiB), runs on each CPU before the first bench,
between two, and behind the last. A bench is noisy when one of the readings around it is further from the median of the
whole run than REFERENCE_MAX (copying moves by a fifth on a guest whose neighbours do nothing worse than live), when the hypervisor took more than STEAL_MAX of the CPUs from us while it ran, or when
processes that were not its own took more than OTHER_MAX of them. Of a noisy bench nothing is called a result."""
import dataclasses
import functools
import hashlib
import os
import statistics
import time

REFERENCE_MAX = {"hash": 0.10, "copy": 0.30}
STEAL_MAX = 0.01
OTHER_MAX = 0.04
SAMPLES, PASSES = 16, 3
HASH_BYTES, COPY_BYTES = 1 << 20, 32 << 20


@dataclasses.dataclass
class Reading:
    """ns a loop on each CPU: {("hash", cpu): ns}."""
    loops: dict


@dataclasses.dataclass
class Window:
    """What else happened while a bench ran, as shares of all CPUs; None: it could not be counted."""
    before: Reading
    after: Reading
    steal: float
    other: float | None


def time_ns(work):
    """The lower quartile: what interrupts one sample does not count, what lasts does."""
    samples = []
    work()
    for _ in range(SAMPLES):
        start = time.perf_counter_ns()
        work()
        samples.append(time.perf_counter_ns() - start)
    return sorted(samples)[SAMPLES // 4]


def read_reference():
    """The best of three passes, half a second: what lasts no longer than one of them is no noise yet."""
    passes = [read_once() for _ in range(PASSES)]
    return Reading({key: min(loops[key] for loops in passes) for key in passes[0]})


@functools.cache
def copy_buffers():
    """The same pages for the whole run: others lie otherwise in the caches."""
    return bytearray(COPY_BYTES), memoryview(bytearray(COPY_BYTES))


def read_once():
    block = bytes(HASH_BYTES)
    source, copy = copy_buffers()

    def copy_all():
        copy[:] = source
    cpus = os.sched_getaffinity(0)
    loops = {}
    try:
        for cpu in sorted(cpus):
            os.sched_setaffinity(0, {cpu})
            loops["hash", cpu] = time_ns(lambda: hashlib.sha256(block).digest())
            loops["copy", cpu] = time_ns(copy_all)
    finally:
        os.sched_setaffinity(0, cpus)
    return loops


def read_cpu_seconds():
    """(busy, stolen) of all CPUs since the machine's start. Interrupts are nobody's: with veth they are the bench's."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, _, _, steal = map(int, file.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system) / tick, steal / tick


class Watch:
    """What happens between start and end, with the bench's own CPU time taken off."""

    def __init__(self, group, before):
        self.group, self.before = group, before
        self.time, self.cpu, self.own = time.monotonic(), read_cpu_seconds(), self.own_seconds()

    def own_seconds(self):
        """The lab itself sleeps meanwhile."""
        return None if self.group is None else self.group.usage_ns() / 1e9

    def end(self):
        busy, steal = (now - then for now, then in zip(read_cpu_seconds(), self.cpu))
        own, wall = self.own_seconds(), (time.monotonic() - self.time) * os.cpu_count()
        other = None if own is None else max(0.0, busy - (own - self.own)) / wall
        return Window(self.before, read_reference(), steal / wall, other)


def medians(readings):
    """Of each loop, over all readings of a run."""
    return {key: statistics.median(reading.loops[key] for reading in readings) for key in readings[0].loops}


def furthest(reading, middle):
    """(share, loop, cpu) of what is furthest from the run's median, by what is allowed to it."""
    return max(((abs(ns / middle[key] - 1), *key) for key, ns in reading.loops.items()),
               key=lambda off: off[0] / REFERENCE_MAX[off[1]])


def judge(window, middle):
    """The reasons why this is no result; none: it is one."""
    reasons = []
    for when, reading in (("before", window.before), ("after", window.after)):
        share, loop, cpu = furthest(reading, middle)
        if share > REFERENCE_MAX[loop]:
            reasons.append(f"the reference loop ({loop}, CPU {cpu}) {when} it was {share:.0%} off the run's median, "
                           f"at most {REFERENCE_MAX[loop]:.0%} is allowed")
    if window.steal > STEAL_MAX:
        reasons.append(f"the hypervisor took {window.steal:.1%} of the CPUs, at most {STEAL_MAX:.0%} is allowed")
    if window.other is not None and window.other > OTHER_MAX:
        reasons.append(f"other processes took {window.other:.1%} of the CPUs, at most {OTHER_MAX:.0%} is allowed")
    return reasons
