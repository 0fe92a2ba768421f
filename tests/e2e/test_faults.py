#!/usr/bin/python3
"""Something goes wrong at every single write, sync and change of length that a script of updates causes in the log.

The script runs once without a fault: its answers, records and list are the truth. Then it runs again and again, each time
with a fault at the next call of tests/e2e/fault_at.c, from the start of the program to its next start, and what was not
answered is sent again until it is:
  kill   killed before the call, after it, or with half of a write done
  cut    likewise, and then the power of its disk is cut: what was not synced is gone
  EIO    the call fails, once, and after a sync that failed the next ones lie (they do nothing and return 0); the power is
         cut at the program's end: it exits, or answers truly
  ENOSPC the call fails, once: refused and nothing changed, or answered truly
Held when every answer ever given is the one of the run without a fault (serials and outcomes, "unchanged" and "not listed"
too), an answer after which a death came is given again, no record is lost, doubled or different, the next start works, and
the list in the end is the same.

First the harness must find a planted bug: with tests/e2e/skip_wal_sync.c every answer comes before its record is on disk.

  --share N   one of N calls, from a random one on, with one of the ways to die (default: 6; 1 with BL_LONG=1: all)
  --seconds N stops in good order after so long (default: 120, none with BL_LONG=1)
  --only KIND kill, cut, EIO or ENOSPC
  --first N   the first call (default: random, of the seed)
  --seed N    (default: random, printed)
Exit 0: held, and the planted bug was found; 1: not; 77: nothing could be run. Cuts, and with them the planted bug, need root.
"""
import argparse
import collections
import mmap
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import test_durability as durability  # noqa: E402
from controlplane import PROGRAM, Code, ControlPlane, pb, update  # noqa: E402

KILL_BEFORE, KILL_AFTER, TORN, ERROR = 1, 2, 3, 4
EIO, ENOSPC = 5, 28
ORDERS = struct.Struct("5I60s")
SKIP = 77
DISK_MIB = 48
# A snapshot in the middle of the script.
EXTRA = "  snapshot_records: 6\n"
KINDS = {"kill": [(KILL_BEFORE, 0), (KILL_AFTER, 0), (TORN, 0)], "cut": [(KILL_BEFORE, 0), (KILL_AFTER, 0), (TORN, 0)],
         "EIO": [(ERROR, EIO)], "ENOSPC": [(ERROR, ENOSPC)]}
OBSERVED_MS = 1_700_000_000_000


def script():
    """Batches of every kind; the last word on a prefix differs from the first."""
    def listing(prefix):
        return update("LIST", prefix, reason="faults", observed_at_ms=OBSERVED_MS)
    few = [f"10.0.0.{i}" for i in range(12)] + ["2001:db8:1::/64"]
    steps = [
        {"updates": [listing("10.1.0.1")]},
        {"updates": [listing(prefix) for prefix in few], "atomic": True},
        {"updates": [listing("10.1.0.1")]},                                   # unchanged
        {"updates": [update("DELIST", "10.9.9.9")]},                          # not listed
        {"updates": [listing("10.2.0.1"), listing("0.0.0.0/0"), listing("10.2.0.2")]},
        {"updates": [listing("10.3.0.1"), listing("0.0.0.0/0")], "atomic": True},  # refused whole
        {"updates": [update("DELIST", few[0])]},
        {"updates": [update("EXEMPT", prefix) for prefix in few[1:6]], "atomic": True},
        {"bulk": pb.BulkUpdate(kind=pb.UPDATE_KIND_LIST, observed_at_ms=OBSERVED_MS,
                               ipv4_addresses=b"".join(bytes([11, 0, i >> 8, i & 255]) for i in range(3000)))},
        {"updates": [update("UNEXEMPT", prefix) for prefix in few[1:6]], "atomic": True},
        {"updates": [update("DELIST", "10.2.0.1"), update("DELIST", "10.2.0.1")]},
        {"updates": [listing("10.4.0.1"), update("EXEMPT", "10.4.0.0/24")]},
        {"updates": [update("DELIST", few[0])]},
    ]
    return [pb.UpdateBatch(session="faults", sequence=i + 1, **step) for i, step in enumerate(steps)]


SCRIPT = script()


class Orders:
    """What fault_at.c is told, and what it counted."""

    def __init__(self, path):
        path.write_bytes(bytes(ORDERS.size))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), ORDERS.size)

    def give(self, at=0, kind=0, error=0):
        self.map[:] = ORDERS.pack(0, at, kind, error, 0, b"")

    def count(self):
        return ORDERS.unpack(self.map[:])[0]

    def hit(self):
        """The call that went wrong, or None."""
        fields = ORDERS.unpack(self.map[:])
        return fields[5].rstrip(b"\0").decode(errors="replace") if fields[4] else None


def plain(answer):
    """Without what may differ between two runs: the epoch, the data planes, and that it is a repeated one."""
    copy = pb.UpdateResult()
    copy.CopyFrom(answer)
    for field in ("epoch", "enforced", "dataplanes_enforced", "dataplanes_connected", "repeated_answer"):
        copy.ClearField(field)
    return copy.SerializeToString(deterministic=True)


def layers(stub):
    """The list, by lookups: what is listed, and the layers but for the times of the run."""
    prefixes = [f"10.0.0.{i}" for i in range(12)] + ["2001:db8:1::", "10.1.0.1", "10.2.0.1", "10.2.0.2", "10.3.0.1",
                "10.4.0.1", "10.9.9.9", "11.0.0.0", "11.0.5.5", "11.0.11.183", "11.0.11.184"]
    found = []
    for prefix in prefixes:
        answer = stub.Lookup(pb.LookupRequest(prefix=prefix), timeout=10)
        found.append((prefix, answer.listed, answer.class_id, answer.serial,
                      [(layer.kind, layer.prefix, layer.serial, layer.suppressed) for layer in answer.layers]))
    return found


def start(plane):
    """@return whether it is ready; a program that a fault ends at its start is none."""
    try:
        plane.start()
        return True
    except AssertionError:
        if plane.process.poll() is None:
            raise
        return False


class Trial:
    """The script against one control plane whose disk or life fails at one call."""

    def __init__(self, bench, truth, power):
        self.bench, self.truth, self.power = bench, truth, power
        self.found = []
        self.n_refused = self.n_deaths = self.n_failed_starts = 0

    def wrong(self, what):
        self.found.append(what)

    def restart(self, plane, disk):
        """After a death, with its disk's power cut or not. The fault comes once, so the second try must work."""
        self.n_deaths += 1
        plane.process.wait(20)
        plane.drop_channels()
        if disk is not None:
            disk.cut()
            disk.unmount()
            disk.mount()
        if start(plane):
            return True
        self.n_failed_starts += 1
        if start(plane):
            return True
        self.wrong("it does not start again: " + plane.said()[-400:])
        return False

    def settle(self, plane, disk, i):
        """Sends batch i until it is answered."""
        for _ in range(8):
            stub = plane.stub()
            try:
                return stub.Apply(SCRIPT[i], timeout=20)
            except grpc.RpcError as error:
                if error.code() == Code.RESOURCE_EXHAUSTED:
                    self.n_refused += 1
                    continue
                if error.code() not in (Code.UNAVAILABLE, Code.CANCELLED, Code.UNKNOWN):
                    self.wrong(f"batch {i + 1}: {error.code()} {error.details()}")
                    return None
                if not self.restart(plane, disk):
                    return None
        self.wrong(f"batch {i + 1}: not answered after eight tries")
        return None

    def check_answer(self, i, answer, when):
        if self.truth is not None and plain(answer) != self.truth.answers[i]:
            self.wrong(f"batch {i + 1}, {when}: answered {answer}, expected "
                       f"{pb.UpdateResult.FromString(self.truth.answers[i])}".replace("\n", " "))

    def run(self, plane, disk):
        answers = []
        if not start(plane) and not self.restart(plane, disk):
            return answers
        for i in range(len(SCRIPT)):
            n_deaths = self.n_deaths
            answer = self.settle(plane, disk, i)
            if answer is None:
                return answers
            answers.append(plain(answer))
            self.check_answer(i, answer, "sent")
            if self.n_deaths != n_deaths:
                self.again(plane, disk, i)
        return answers

    def again(self, plane, disk, n):
        """Every recorded answer before, asked for again after a death."""
        for i in range(n):
            if self.truth.serials[i] != 0:
                answer = self.settle(plane, disk, i)
                if answer is None:
                    return
                self.check_answer(i, answer, f"again after a death at {n + 1}")
                if not answer.repeated_answer:
                    self.wrong(f"batch {i + 1}: decided anew after a death at {n + 1}")

    def records(self, plane):
        harness = durability.Harness(plane, 0)
        _, rows = harness.read_log()
        return [(serial, record.actor, record.session, record.sequence, plain(pb.UpdateResult.FromString(record.answer)),
                 [(group.kind, group.source, group.ipv4_addresses, group.ipv4_lengths, group.ipv6_addresses)
                  for group in record.groups]) for serial, record in rows]

    def check_end(self, plane, disk):
        """Killed once more, so that the list is what the log says and not what was in memory."""
        n_failed = self.n_failed_starts
        plane.process.kill()
        if not self.restart(plane, disk):
            return None, None
        if self.n_failed_starts != n_failed and self.bench.orders.hit() is None:
            self.wrong("a start failed without a fault")
        try:
            records, listed = self.records(plane), layers(plane.stub())
        except grpc.RpcError as error:
            # A fault behind the start: upkeep's, at most once.
            if error.code() != Code.UNAVAILABLE or not self.restart(plane, disk):
                raise
            records, listed = self.records(plane), layers(plane.stub())
        if self.truth is not None and records != self.truth.records:
            self.wrong(f"{len(records)} records, expected {len(self.truth.records)}; serials "
                       f"{[r[0] for r in records]}; different: "
                       f"{[a[0] for a, b in zip(records, self.truth.records) if a != b]}")
        if self.truth is not None and listed != self.truth.listed:
            self.wrong(f"the list differs: {[(a, b) for a, b in zip(listed, self.truth.listed) if a != b][:3]}")
        return records, listed


Truth = collections.namedtuple("Truth", "answers serials records listed n_calls")


class Bench:
    """What all trials share."""

    def __init__(self, folder, can_cut, preload=()):
        self.folder = pathlib.Path(folder)
        self.can_cut = can_cut
        self.library = self.compile("fault_at")
        self.preload = [*(self.compile(name) for name in preload), self.library]
        self.orders = Orders(self.folder / "orders")
        self.truth = None
        self.n_trials = 0
        self.calls = collections.Counter()

    def compile(self, name):
        library = self.folder / f"{name}.so"
        source = pathlib.Path(__file__).resolve().with_name(f"{name}.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library, source], check=True)
        return library

    def plane(self):
        environment = dict(os.environ, LD_PRELOAD=":".join(map(str, self.preload)),
                           BL_FAULT_ORDERS=str(self.folder / "orders"))
        environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        plane = ControlPlane(EXTRA, env=environment)
        environment["BL_FAULT_DIRECTORY"] = f"{plane.dir}/log/"
        (plane.dir / "owner").write_text(str(os.getpid()))
        return plane

    def trial(self, at, kind, error, power):
        """@return the trial, and whether the fault was met at all."""
        plane, disk = self.plane(), None
        trial = Trial(self, self.truth, power)
        self.n_trials += 1
        try:
            if power:
                disk = durability.Disk(plane.dir / "disk.img", plane.dir / "log", DISK_MIB)
            self.orders.give(at, kind, error)
            answers = trial.run(plane, disk)
            n_calls = self.orders.count()
            records, listed = (None, None) if trial.found else trial.check_end(plane, disk)
            if self.truth is None:
                serials = [pb.UpdateResult.FromString(answer).serial for answer in answers]
                self.truth = Truth(answers, serials, records, listed, n_calls)
            call = self.orders.hit()
            if call is not None:
                self.calls[call] += 1
            for what in trial.found[:3]:
                print(f"    call {at} ({call}), kind {kind}, error {error}, power {power}: {what}")
            return trial, call is not None
        finally:
            if plane.process is not None:
                plane.process.kill()
                plane.process.wait()
            if disk is not None:
                disk.unmount()
            plane.__exit__(None)


def run_kind(bench, name, share, first, end):
    """Faults at one of `share` calls, until the script causes no more. @return how many found something."""
    counts = collections.Counter()
    at = first
    while end is None or time.monotonic() < end:
        power = bench.can_cut and name in ("cut", "EIO")
        ways = KINDS[name] if share == 1 else [KINDS[name][counts["trials"] % len(KINDS[name])]]
        hit = False
        for kind, error in ways:
            trial, met = bench.trial(at, kind, error, power)
            hit |= met
            counts["trials"] += met
            counts["found"] += bool(trial.found)
            counts["refused"] += trial.n_refused
            counts["deaths"] += trial.n_deaths - 1  # the one of check_end
            counts["starts"] += trial.n_failed_starts
        if not hit or counts["found"] >= 5:
            break
        at += share
    print(f"{name}: {counts['trials']} faults at calls {first} to {at - share}, {counts['deaths']} deaths, "
          f"{counts['starts']} failed starts, {counts['refused']} refused, {counts['found']} with findings", flush=True)
    return counts["found"]


def plant_is_found(folder):
    """With answers before their fsync some cut loses one. The lines that it prints are findings that must be."""
    folder.mkdir()
    bench = Bench(folder, True, ["skip_wal_sync"])
    bench.trial(0, 0, 0, False)
    for at in range(bench.truth.n_calls, 0, -4):
        trial, _ = bench.trial(at, KILL_BEFORE, 0, True)
        if trial.found:
            print(f"planted answer-before-fsync: found, in cut {bench.n_trials - 1}", flush=True)
            return True
    print("planted answer-before-fsync: not found: this test would not see a lost update")
    return False


def parse_options():
    long = os.environ.get("BL_LONG") == "1"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=int, default=1 if long else 6)
    parser.add_argument("--seconds", type=int, default=0 if long else 120)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--first", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser.parse_args()


def run(options, folder, can_cut):
    """@return whether all held."""
    names = [options.only] if options.only else [name for name in KINDS if name != "cut" or can_cut]
    first = options.first or random.Random(options.seed).randint(1, options.share)
    if can_cut and not plant_is_found(folder / "plant"):
        return False
    bench = Bench(folder, can_cut)
    trial, _ = bench.trial(0, 0, 0, False)
    if trial.found or bench.truth.records is None:
        print("the script failed without a fault")
        return False
    print(f"without a fault: {len(SCRIPT)} batches, {len(bench.truth.records)} records, {bench.truth.n_calls} calls")
    n_found = 0
    for name in names:
        end = None if options.seconds == 0 else time.monotonic() + options.seconds / len(names)
        n_found += run_kind(bench, name, options.share, first, end)
    print("calls that went wrong: " + ", ".join(f"{call} {n}" for call, n in sorted(bench.calls.items())))
    return n_found == 0


def main():
    options = parse_options()
    if not PROGRAM.exists():
        print(f"skipped: {PROGRAM} is not built")
        return SKIP
    print(f"seed {options.seed}")
    durability.sweep()
    why_not = durability.can_cut()
    if why_not is not None:
        print(f"skipped the cuts and the planted bug: {why_not}")
        if options.only == "cut":
            return SKIP
    with tempfile.TemporaryDirectory() as folder:
        return 0 if run(options, pathlib.Path(folder), why_not is None) else 1


if __name__ == "__main__":
    sys.exit(main())
