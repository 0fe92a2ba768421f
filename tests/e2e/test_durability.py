#!/usr/bin/python3
"""No answered update is lost and none is half-applied, whenever the control plane dies: killed, or its disk's power cut.

Several clients send batches without pause; each prefix is sent once, in one batch, so that a prefix says which batch
is there. After each death a copy of the log is read with Python's own sqlite3 and protobuf, the program is started again
and asked, and every batch is sent once more:
  - what was answered is in the log, once, with the answer's serial and all its effects, and looks listed;
  - what was sent but not answered is there whole or not at all;
  - sent again, an answered batch gets its first answer, an unanswered one its only effect;
  - serials have no gap and never go back, the epoch stays.
A power cut is a real one for the file system: ext4 on a loop mount, shut down without its journal's end. It is not one for
the program, which lives on in the dark for a moment, and there an fdatasync in flight may return 0 for what is not on the
disk (Linux 6.18; a bare loop of pwrite and fdatasync shows it too: 1 of 8 that returned once the shutdown had begun, none
before). A machine without power answers nobody, so an answer that comes once the cut has begun counts as none: its batch is
in doubt.

The harness must find a planted bug too: with tests/e2e/skip_wal_sync.c every answer comes before its record is on disk.

  --kills N   (default 20; 1000 with BL_LONG=1)
  --cuts N    (default 20; 500 with BL_LONG=1)
  --plant     the planted bug alone: prints what it found, exit 1 when it found it (as any lost update would)
  --seed N    of the clients and of the moments (default: random, printed)
Exit 0: held, and the planted bug was found; 1: not; 77: nothing could be run. Power cuts need root.
"""
import argparse
import contextlib
import ctypes
import fcntl
import importlib
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import MODULES, PROGRAM, ROOT, Code, ControlPlane, pb  # noqa: E402

N_CLIENTS = 8
GROUP = 50
SKIP = 77
EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
# Snapshots and group commits often, so that deaths meet them.
EXTRA = "  snapshot_records: 150\n  commit_batches_max: 16\n"


def log_messages():
    """log_pb2, beside the modules of tests/lib/controlplane.py."""
    from grpc_tools import protoc
    if protoc.main(["", f"-I{ROOT / 'proto'}", f"--python_out={MODULES}", "bounceline/v1/log.proto"]) != 0:
        sys.exit("protoc failed")
    return importlib.import_module("bounceline.v1.log_pb2")


LOG = log_messages()


class Sent:
    """One batch as it was sent: what it must leave behind, and its answer once there is one."""

    def __init__(self, message, prefixes, n_recorded, listed):
        self.message = message
        self.prefixes = prefixes      # that the batch makes listed (or, for a toggle, changes)
        self.n_recorded = n_recorded  # effects in its record
        self.listed = listed          # what a lookup of each prefix says once the batch is applied
        self.answer = None
        self.looked_up = False


class Client:
    """One session: a batch is sent when the one before was answered. Stops at the first call that fails."""

    def __init__(self, number, seed):
        self.number = number
        self.random = random.Random(f"{seed}/{number}")
        self.name = f"client-{number}-{os.getpid()}"
        self.sent = []      # answered, in order
        self.doubt = None   # sent, no answer
        self.n_prefixes = 0
        self.exempt = False
        self.toggled = None
        self.failure = None
        self.n_dark = 0     # answers that came once the power was being cut

    def address(self, network):
        """An IPv4 address of NETWORK/8 that was never used: a million for each client."""
        self.n_prefixes += 1
        number = self.number << 20 | self.n_prefixes
        return bytes([network, number >> 16, number >> 8 & 255, number & 255])

    def fresh(self):
        """A prefix that was never used, of either family."""
        packed = self.address(10)
        if self.n_prefixes % 5 == 0:
            return f"2001:db8:{packed[1]:x}:{packed[2] << 8 | packed[3]:x}::/64"
        return ".".join(map(str, packed)) + "/32"

    def listing(self, prefix):
        return pb.Update(kind=pb.UPDATE_KIND_LIST, prefix=prefix, reason=f"durability {self.n_prefixes}")

    def make(self):
        names = {"session": self.name, "sequence": len(self.sent) + 1}
        kind = self.random.choice(["one", "one", "atomic", "mixed", "bulk", "toggle"])
        if kind == "toggle":
            return self.make_toggle(names)
        if kind == "bulk":
            packed = [self.address(11) for _ in range(40)]
            prefixes = [".".join(map(str, address)) + "/32" for address in packed]
            bulk = pb.BulkUpdate(kind=pb.UPDATE_KIND_LIST, ipv4_addresses=b"".join(packed))
            return Sent(pb.UpdateBatch(bulk=bulk, **names), prefixes, len(prefixes), True)
        prefixes = [self.fresh() for _ in range({"one": 1, "atomic": 12, "mixed": 3}[kind])]
        updates = [self.listing(prefix) for prefix in prefixes]
        if kind == "mixed":
            updates.insert(1, self.listing("0.0.0.0/0"))  # always refused
        return Sent(pb.UpdateBatch(updates=updates, atomic=kind == "atomic", **names), prefixes, len(prefixes), True)

    def make_toggle(self, names):
        """The same addresses are exempted and listed again: the last word must win, for all of them."""
        prefixes = [f"12.{self.number}.0.{i}/32" for i in range(5)]
        if self.toggled is None:
            updates = [self.listing(prefix) for prefix in prefixes]
        else:
            kind = pb.UPDATE_KIND_UNEXEMPT if self.exempt else pb.UPDATE_KIND_EXEMPT
            updates = [pb.Update(kind=kind, prefix=prefix) for prefix in prefixes]
        listed = self.toggled is None or self.exempt
        return Sent(pb.UpdateBatch(updates=updates, atomic=True, **names), prefixes, len(prefixes), listed)

    def done(self, sent, answer):
        sent.answer = answer
        self.sent.append(sent)
        if sent.prefixes[0].startswith("12."):
            self.toggled = sent
            self.exempt = not sent.listed

    def run(self, stub, dark):
        """A thread: whatever ends it but a death is a finding."""
        try:
            self.send(stub, dark)
        except Exception:  # pylint: disable=broad-except
            self.failure = f"{self.name}: {traceback.format_exc()}"

    def send(self, stub, dark):
        """Until the control plane dies, or until it is dark."""
        while True:
            self.doubt = self.make()
            try:
                answer = stub.Apply(self.doubt.message, timeout=20)
                if dark.is_set():
                    self.n_dark += 1
                    return
            except grpc.RpcError as error:
                if error.code() not in (Code.UNAVAILABLE, Code.CANCELLED, Code.UNKNOWN):
                    self.failure = f"{self.name}: {error.code()} {error.details()}"
                return
            self.done(self.doubt, answer)
            self.doubt = None


def same_answer(first, second):
    """Equal but for what was reached in the data planes and for repeated_answer."""
    copies = [pb.UpdateResult(), pb.UpdateResult()]
    for copy, answer in zip(copies, (first, second)):
        copy.CopyFrom(answer)
        for field in ("enforced", "dataplanes_enforced", "dataplanes_connected", "repeated_answer"):
            copy.ClearField(field)
    return copies[0] == copies[1]


def n_effects(record):
    return sum(len(group.ipv4_addresses) // 4 + len(group.ipv6_addresses) // 16 for group in record.groups)


class Harness:
    """One control plane, its clients, and what was found wrong."""

    def __init__(self, plane, seed):
        self.plane = plane
        self.random = random.Random(f"{seed}/moments")
        self.clients = [Client(number, seed) for number in range(1, N_CLIENTS + 1)]
        self.dark = threading.Event()
        self.found = []
        self.n_lost = 0
        self.n_in_doubt = self.n_doubt_there = 0
        self.epoch = None
        self.last_serial = 0
        self.records = {}  # serial: (bytes, record)

    def wrong(self, what):
        self.found.append(what)

    # A round: load, death, the log as it lies there, a new start, the questions.

    def load(self, death):
        stubs = [self.plane.stub() for _ in self.clients]
        self.dark.clear()
        threads = [threading.Thread(target=client.run, args=(stub, self.dark), daemon=True)
                   for client, stub in zip(self.clients, stubs)]
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0.05, 0.6))
        death()
        for thread in threads:
            thread.join(30)
        for client in self.clients:
            if client.failure is not None:
                self.wrong(client.failure)
                client.failure = None
        self.plane.drop_channels()

    def read_log(self):
        """The records of a copy: reading the files themselves would change what the program finds."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("log.sqlite", "log.sqlite-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(self.plane.dir / "log" / name, folder)
            with contextlib.closing(sqlite3.connect(f"{folder}/log.sqlite")) as db:
                epoch, = db.execute("SELECT origin FROM meta").fetchone()
                rows = db.execute("SELECT serial, body FROM record ORDER BY serial").fetchall()
        return epoch, [(serial, self.decode(serial, body)) for serial, body in rows]

    def decode(self, serial, body):
        """Most records were read before: what is byte for byte the same is not taken apart again."""
        known = self.records.get(serial)
        if known is None or known[0] != body:
            known = self.records[serial] = (body, LOG.LogRecord.FromString(body))
        return known[1]

    def check_log(self):
        """What was answered is in the log, whole and once; what was not is whole or not there."""
        try:
            epoch, rows = self.read_log()
        except (sqlite3.Error, OSError) as error:
            self.wrong(f"the log can't be read: {error}")
            epoch, rows = self.epoch, []
        if self.epoch not in (None, epoch):
            self.wrong(f"the epoch was {self.epoch} and is {epoch}")
        self.epoch = epoch
        if [serial for serial, _ in rows] != list(range(1, len(rows) + 1)):
            self.wrong("the serials have a gap")
        named = {}
        for serial, record in rows:
            if record.serial != serial:
                self.wrong(f"record {serial} says that it is {record.serial}")
            if record.session:
                named.setdefault((record.session, record.sequence), []).append(record)
        for client in self.clients:
            for sent in client.sent:
                self.check_answered(sent, named.get((sent.message.session, sent.message.sequence), []))
            if client.doubt is not None:
                self.check_doubt(client.doubt, named.get((client.name, client.doubt.message.sequence), []))
        if len(rows) < self.last_serial:
            self.wrong(f"the last serial was {self.last_serial} and is {len(rows)}")
        self.last_serial = max(self.last_serial, len(rows))

    def check_answered(self, sent, records):
        name = f"{sent.message.session}/{sent.message.sequence}"
        if not sent.answer.durable or sent.answer.serial == 0:
            self.wrong(f"{name} was answered, but not as durable: {sent.answer}")
        elif not records:
            self.n_lost += 1
            self.wrong(f"{name} was answered with serial {sent.answer.serial} and is lost")
        elif len(records) > 1:
            self.wrong(f"{name} is in the log {len(records)} times")
        elif records[0].serial != sent.answer.serial:
            self.wrong(f"{name} was answered with serial {sent.answer.serial} and has {records[0].serial}")
        elif n_effects(records[0]) != sent.n_recorded:
            self.wrong(f"{name} has {n_effects(records[0])} effects of {sent.n_recorded}")

    def check_doubt(self, sent, records):
        name = f"{sent.message.session}/{sent.message.sequence}"
        self.n_in_doubt += 1
        self.n_doubt_there += bool(records)
        if len(records) > 1:
            self.wrong(f"{name}, not answered, is in the log {len(records)} times")
        if records and n_effects(records[0]) != sent.n_recorded:
            self.wrong(f"{name}, not answered, is half there: {n_effects(records[0])} effects of {sent.n_recorded}")

    def check_program(self):
        """The questions to the program itself, once it runs again."""
        stub = self.plane.stub()
        status = self.plane.status()
        if (status.durable_serial, status.epoch) != (self.last_serial, self.epoch % 2**64):
            self.wrong(f"status says serial {status.durable_serial}, the log {self.last_serial}")
        for client in self.clients:
            self.check_client(stub, client)

    def check_client(self, stub, client):
        old = [sent for sent in client.sent if sent.looked_up]
        new = [sent for sent in client.sent if not sent.looked_up]
        for sent in self.random.sample(old, min(5, len(old))) + new:
            sent.looked_up = True
            if not sent.prefixes[0].startswith("12."):
                self.check_listed(stub, sent, sent.listed)
        for sent in self.random.sample(client.sent, min(5, len(client.sent))):
            self.check_retry(stub, sent)
        self.check_toggle(stub, client)
        if client.doubt is not None:
            self.settle_doubt(stub, client)
            self.check_toggle(stub, client)

    def check_listed(self, stub, sent, listed):
        """One lookup of a small batch's prefixes each; of a large one's first, last and some."""
        prefixes = sent.prefixes
        if len(prefixes) > 3:
            prefixes = [prefixes[0], prefixes[-1], *self.random.sample(prefixes, 2)]
        for prefix in prefixes:
            if stub.Lookup(pb.LookupRequest(prefix=prefix), timeout=10).listed != listed:
                self.wrong(f"{prefix} of {sent.message.session}/{sent.message.sequence}: listed is not {listed}")

    def check_toggle(self, stub, client):
        """All five say the same: the last answered word, or the one in doubt."""
        if client.toggled is None:
            return
        said = {stub.Lookup(pb.LookupRequest(prefix=prefix), timeout=10).listed for prefix in client.toggled.prefixes}
        allowed = [client.toggled.listed]
        if client.doubt is not None and client.doubt.prefixes == client.toggled.prefixes:
            allowed.append(client.doubt.listed)
        if len(said) != 1 or said.pop() not in allowed:
            self.wrong(f"{client.name}: the toggled addresses say {said}, expected one of {allowed} for all")

    def check_retry(self, stub, sent):
        again = stub.Apply(sent.message, timeout=10)
        if not again.repeated_answer or not same_answer(sent.answer, again):
            self.wrong(f"{sent.message.session}/{sent.message.sequence}: the retry got another answer")

    def settle_doubt(self, stub, client):
        """Sent again, the batch in doubt gets one serial, and the next time the same answer."""
        sent, client.doubt = client.doubt, None
        answer = stub.Apply(sent.message, timeout=10)
        if answer.serial > self.last_serial + 1:
            self.wrong(f"{client.name}: serial {answer.serial} after {self.last_serial}")
        self.last_serial = max(self.last_serial, answer.serial)
        client.done(sent, answer)
        self.check_retry(stub, sent)
        self.check_listed(stub, sent, sent.listed)

    def round(self, death, restart):
        self.load(death)
        self.check_log()
        if self.n_lost > 0:
            return
        restart()
        self.check_program()

    def n_answered(self):
        return sum(len(client.sent) for client in self.clients)


# The two kinds of death.


def kill(plane):
    plane.process.kill()
    plane.process.wait()


def run_kills(n, seed):
    with ControlPlane(EXTRA) as plane:
        harness = Harness(plane, seed)
        for i in range(n):
            harness.round(lambda: kill(plane), plane.start)
            progress(f"kill {i + 1} of {n}: {harness.n_answered()} answered")
            if harness.found:
                break
    return harness


class Disk:
    """An ext4 of its own at FOLDER, whose power can be cut."""

    def __init__(self, image, folder, mib=192):
        self.image, self.folder = image, folder
        self.folder.mkdir()
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        self.command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        self.mount()
        self.folder.chmod(0o700)

    @staticmethod
    def command(*arguments):
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise OSError(f"{' '.join(arguments)}: {done.stdout.decode(errors='replace').strip()}")
        return done.stdout.strip()

    def mount(self):
        self.command("mount", "-o", "loop", str(self.image), str(self.folder))

    def cut(self):
        """From here on nothing reaches the disk, what is in flight included."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def unmount(self):
        """Until the loop device has let go of the image: mounted again before, it would be the same dead file system."""
        self.command("umount", str(self.folder))
        end = time.monotonic() + 10
        while self.command("losetup", "--associated", str(self.image)):
            if time.monotonic() > end:
                raise OSError(f"{self.image} is still in use")
            time.sleep(0.01)


def cut_power(plane, disk, dark):
    dark.set()
    disk.cut()
    # The program must give up by itself; a program that waits for work is killed with its disk.
    with contextlib.suppress(subprocess.TimeoutExpired):
        plane.process.wait(2)
    kill(plane)
    disk.unmount()
    disk.mount()


def run_cuts(n, seed, preload=None):
    environment = dict(os.environ)
    if preload is not None:
        environment["LD_PRELOAD"] = str(preload)
        environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    plane = ControlPlane(EXTRA, env=environment)
    disk = None
    try:
        (plane.dir / "owner").write_text(str(os.getpid()))
        disk = Disk(plane.dir / "disk.img", plane.dir / "log")
        plane.start()
        harness = Harness(plane, seed)
        for i in range(n):
            harness.round(lambda: cut_power(plane, disk, harness.dark), plane.start)
            progress(f"power cut {i + 1} of {n}: {harness.n_answered()} answered")
            if harness.found:
                break
    finally:
        if plane.process is not None:
            kill(plane)
        if disk is not None:
            disk.unmount()
        plane.__exit__(None)
    return harness


def build_preload(folder):
    library = pathlib.Path(folder) / "skip_wal_sync.so"
    source = pathlib.Path(__file__).resolve().with_name("skip_wal_sync.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library, source], check=True)
    return library


def run_plant(seed):
    with tempfile.TemporaryDirectory() as folder:
        return run_cuts(5, seed, build_preload(folder))


# The rest.


def leave_mounts():
    """A mount namespace of our own: another program that copies its own (ip netns exec) can't keep our disk, and our mounts
    go with us however we end."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def sweep():
    """Takes away the images of runs that were killed."""
    for owner in pathlib.Path(tempfile.gettempdir()).glob("bounceline-test-*/owner"):
        if not pathlib.Path("/proc", owner.read_text()).exists():
            shutil.rmtree(owner.parent, ignore_errors=True)


def progress(text):
    if sys.stdout.isatty():
        print(f"\r{text}\033[K", end="", flush=True)


def report(name, harness, seconds):
    n_dark = sum(client.n_dark for client in harness.clients)
    print(f"{name}: {harness.n_answered()} answered, {harness.n_in_doubt} in doubt ({harness.n_doubt_there} of them there, "
          f"{n_dark} answered in the dark), {harness.n_lost} lost, {len(harness.found)} findings, {seconds:.1f} s", flush=True)
    for what in harness.found[:12]:
        print(f"    {what}")
    return not harness.found


def timed(function, *arguments):
    start = time.monotonic()
    harness = function(*arguments)
    return harness, time.monotonic() - start


def in_groups(name, run, n, seed):
    """Each round reads the whole log: a new one for each group."""
    for done in range(0, n, GROUP):
        n_now = min(GROUP, n - done)
        if not report(f"{name} {done + 1} to {done + n_now} of {n}", *timed(run, n_now, f"{seed}/{done}")):
            return False
    return True


def can_cut():
    """A loop mount that can be made and shut down here, or the reason why not."""
    if os.geteuid() != 0:
        return "power cuts need root"
    with tempfile.TemporaryDirectory() as folder:
        try:
            leave_mounts()
            disk = Disk(pathlib.Path(folder) / "disk.img", pathlib.Path(folder) / "disk")
            disk.cut()
            disk.unmount()
        except OSError as error:
            return f"no loop mount of ext4 that can be shut down: {error}"
    return None


def parse_options():
    long = os.environ.get("BL_LONG") == "1"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000 if long else 20)
    parser.add_argument("--cuts", type=int, default=500 if long else 20)
    parser.add_argument("--plant", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser.parse_args()


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not PROGRAM.exists():
        print(f"skipped: {PROGRAM} is not built")
        return SKIP
    print(f"seed {options.seed}")
    sweep()
    why_not = can_cut()
    if options.plant:
        if why_not is not None:
            print(f"skipped: {why_not}")
            return SKIP
        return 0 if report("planted answer-before-fsync", *timed(run_plant, options.seed)) else 1
    held = in_groups("kills", run_kills, options.kills, options.seed)
    if why_not is not None:
        print(f"skipped the power cuts: {why_not}")
        return 0 if held else 1
    held &= in_groups("power cuts", run_cuts, options.cuts, options.seed)
    plant, seconds = timed(run_plant, options.seed)
    report("planted answer-before-fsync (must be found)", plant, seconds)
    if plant.n_lost == 0:
        print("the planted bug was not found: this test would not see a lost update")
        held = False
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
