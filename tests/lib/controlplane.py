"""A control plane in a directory of its own, and its peers: a stock gRPC client, and a data plane made of Python.

    with ControlPlane() as plane, DataPlane(plane) as edge:
        apply(plane.stub(), update("LIST", "192.0.2.1"), enforced=True)

Client and data plane are generated from the .proto files by stock tools: nothing of our C code is in them. The program
comes from the release build, or from where BL_BUILD says.
"""
import atexit
import contextlib
import fcntl
import importlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

import grpc
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("BL_BUILD") or ROOT / "build") / "bounceline-controlplane"
NOBODY, READER, FEEDER = 65534, 61001, 61002
URL = "https://delist.example.net/?ip={address}"
SETTINGS = """controlplane:
  socket: {dir}/run/control.sock
  socket_mode: 0666
  sync_socket: {dir}/run/sync.sock
  data_directory: {dir}/log
  url: {url}
  sources:
    - name: drop
      code: 607
  actors:
    - name: watcher
      uid: {reader}
      role: reader
    - name: importer
      uid: {feeder}
      role: feeder
      source: drop
{extra}"""


def generate(folder):
    """The client's modules, by stock tools. A child of another user (as_user) imports its parent's."""
    for name in ("list_control", "table_sync") if not os.environ.get("BL_TEST_MODULES") else ():
        arguments = ["", f"-I{ROOT / 'proto'}", f"--python_out={folder}", f"--grpc_python_out={folder}",
                     f"bounceline/v1/{name}.proto"]
        if protoc.main(arguments) != 0:
            sys.exit("protoc failed")
    sys.path.insert(0, str(folder))
    return [importlib.import_module(f"bounceline.v1.{name}")
            for name in ("list_control_pb2", "list_control_pb2_grpc", "table_sync_pb2")]


def modules_folder():
    """Readable by all users; goes with the process that made it."""
    if os.environ.get("BL_TEST_MODULES"):
        return os.environ["BL_TEST_MODULES"]
    folder = tempfile.mkdtemp(prefix="bounceline-test-")
    os.chmod(folder, 0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


MODULES = modules_folder()
pb, services, sync = generate(MODULES)


def wait_for(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class ControlPlane:
    """One program in one directory; `with` ends it and removes the directory."""

    def __init__(self, extra="", wrapped_in=(), **options):
        """extra: more lines of section controlplane; wrapped_in: a command that runs the program."""
        self.folder = tempfile.TemporaryDirectory(prefix="bounceline-test-")
        self.dir = pathlib.Path(self.folder.name)
        self.dir.chmod(0o755)
        self.socket = self.dir / "run/control.sock"
        self.config = self.dir / "bounceline.yaml"
        self.config.write_text(SETTINGS.format(dir=self.dir, url=URL, reader=READER, feeder=FEEDER, extra=extra))
        self.wrapped_in = list(wrapped_in)
        self.options = options
        self.process = None
        self.channels = []
        self.asking = None

    def __enter__(self):
        self.start()
        return self

    def drop_channels(self):
        """The next stub is on a connection of its own."""
        for channel in self.channels:
            channel.close()
        self.channels.clear()
        self.asking = None

    def __exit__(self, kind, *_):
        self.drop_channels()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print(self.said())
        self.folder.cleanup()

    def start(self):
        with open(self.dir / "said", "ab") as said:
            begin = said.tell()
            self.process = subprocess.Popen([*self.wrapped_in, str(PROGRAM), "--config", str(self.config)],
                                            stdin=subprocess.DEVNULL, stdout=said, stderr=said, **self.options)
        wait_for("ready", lambda: self.process.poll() is not None or "ready: " in self.said()[begin:], 60)
        assert self.process.poll() is None, self.said()

    def said(self):
        return (self.dir / "said").read_text(errors="replace")

    def kill(self, number=signal.SIGKILL):
        """Ends the program; returns its exit code."""
        self.asking = None
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process = None
        return code

    def channel(self, **options):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                   ("grpc.use_local_subchannel_pool", 1), *options.items()]
        channel = grpc.insecure_channel(f"unix:{self.socket}", options=options)
        self.channels.append(channel)
        return channel

    def stub(self):
        return services.ListControlStub(self.channel())

    def status(self):
        """On one channel for all that is asked in a loop."""
        if self.asking is None:
            self.asking = self.stub()
        return self.asking.GetStatus(pb.GetStatusRequest(), timeout=10)

    def dataplane(self, name="edge"):
        for plane in self.status().dataplanes:
            if plane.name == name:
                return plane
        return None


def update(kind, prefix, **fields):
    return pb.Update(kind=getattr(pb, f"UPDATE_KIND_{kind}"), prefix=prefix, **fields)


def batch(*updates, enforced=False, **fields):
    return pb.UpdateBatch(updates=updates, wait=pb.WAIT_LEVEL_ENFORCED if enforced else pb.WAIT_LEVEL_DURABLE, **fields)


def apply(stub, *updates, **fields):
    return stub.Apply(batch(*updates, **fields), timeout=30)


def outcomes(result):
    return [pb.Outcome.Name(item.outcome)[len("OUTCOME_"):] for item in result.items]


def refused(call, code):
    """The text of the status that a call must be refused with."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()} ({error.details()}), expected {code}"
        return error.details()
    raise AssertionError(f"answered, expected {code}")


Code = grpc.StatusCode


class DataPlane:
    """The other end of the sync socket: keeps the set it is sent, acknowledges when told to."""

    def __init__(self, plane, name="edge", acknowledge=True, wrong_digest=False, held=None, version=1,
                 reads=True):
        self.acknowledge = acknowledge
        self.reads = threading.Event()  # set: it takes what comes
        if reads:
            self.reads.set()
        self.wrong_digest = wrong_digest
        self.epoch, self.serial, self.digest, self.entries = held or (0, 0, (0, 0), {})
        self.n_snapshots = self.n_deltas = self.n_between = 0
        self.building = None  # a snapshot's entries, until its last chunk
        self.building_serial = 0
        self.greeting = None
        self.refusal = None
        self.closed = False
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(plane.dir / "run/sync.sock"))
        self.lock = threading.Lock()
        self.send(hello=sync.Hello(protocol_version=version, version="python", name=name, epoch=self.epoch,
                                   serial=self.serial, digest_hi=self.digest[0], digest_lo=self.digest[1],
                                   n_workers=1))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reads.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()

    def waiting_bytes(self):
        """What has come in and was not taken."""
        return struct.unpack("i", fcntl.ioctl(self.socket, termios.FIONREAD, b"\0" * 4))[0]

    def held(self):
        return self.epoch, self.serial, self.digest, dict(self.entries)

    def send(self, **body):
        data = sync.SyncMessage(**body).SerializeToString()
        with contextlib.suppress(OSError), self.lock:
            self.socket.sendall(struct.pack(">I", len(data)) + data)

    def receive(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def run(self):
        try:
            while self.reads.wait():
                length, = struct.unpack(">I", self.receive(4))
                assert length <= 1 << 20, length
                self.take(sync.SyncMessage.FromString(self.receive(length)))
        except (OSError, EOFError):
            self.closed = True

    def take(self, message):
        kind = message.WhichOneof("body")
        if kind == "hello":
            self.greeting = message.hello
        elif kind == "refusal":
            self.refusal = message.refusal
        elif kind == "snapshot":
            self.take_snapshot(message.snapshot)
        elif kind == "delta":
            self.take_delta(message.delta)

    @staticmethod
    def columns(part):
        for family, width in (("ipv4", 4), ("ipv6", 16)):
            addresses = getattr(part, f"{family}_addresses")
            for i, (length, kind) in enumerate(zip(getattr(part, f"{family}_lengths"),
                                                   getattr(part, f"{family}_classes"))):
                yield (addresses[i * width:(i + 1) * width], length), kind

    def take_snapshot(self, chunk):
        if chunk.chunk == 0:
            self.building = {}
        else:
            assert chunk.serial == self.building_serial, f"chunk of {chunk.serial} at {self.building_serial}"
        self.building_serial = chunk.serial
        self.building.update(self.columns(chunk))
        if chunk.last:
            assert chunk.n_entries == len(self.building)
            self.n_snapshots += 1
            self.entries, self.building = self.building, None
            self.reached(chunk)

    def take_delta(self, delta):
        between = self.building is not None  # two chunks
        serial, entries = (self.building_serial, self.building) if between else (self.serial, self.entries)
        assert delta.from_serial == serial, f"delta from {delta.from_serial} at {serial}"
        for prefix, kind in self.columns(delta):
            if kind == 0:
                entries.pop(prefix, None)
            else:
                entries[prefix] = kind
        if between and not delta.partial:
            self.n_between += 1
            self.building_serial = delta.serial
        elif not delta.partial:
            self.n_deltas += 1
            self.reached(delta)

    def reached(self, part):
        self.epoch, self.serial, self.digest = part.epoch, part.serial, (part.digest_hi, part.digest_lo)
        if self.acknowledge:
            self.ack()

    def ack(self):
        low = self.digest[1] ^ (1 if self.wrong_digest else 0)
        self.send(ack=sync.Ack(epoch=self.epoch, serial=self.serial, digest_hi=self.digest[0], digest_lo=low))

    def report(self, workers=1, **fields):
        self.send(report=sync.Report(epoch=self.epoch, serial=self.serial, digest_hi=self.digest[0],
                                     digest_lo=self.digest[1], n_entries_ipv4=len(self.entries),
                                     workers=[sync.SyncWorker(worker=i, serial=self.serial) for i in range(workers)],
                                     **fields))
