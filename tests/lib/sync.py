"""A control plane for tests of the data plane alone: speaks TableSync on the sync socket, and says what the test says,
right or wrong. Generated from the .proto by stock tools; the digest is computed here, from its description."""
import importlib
import ipaddress
import pathlib
import select
import socket
import struct
import sys
import tempfile
import time

from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
MASK = (1 << 64) - 1
EXEMPT = 63
REJECT, RESET, DROP, MONITOR = 1, 2, 3, 4


def generate():
    """Generates into a temporary directory; returns (messages, the directory's owner)."""
    folder = tempfile.TemporaryDirectory(prefix="bounceline-sync-")
    if protoc.main(["", f"-I{PROTO}", f"--python_out={folder.name}", "bounceline/v1/table_sync.proto"]) != 0:
        raise RuntimeError("protoc failed")
    sys.path.insert(0, folder.name)
    return importlib.import_module("bounceline.v1.table_sync_pb2"), folder


def siphash(k0, k1, data):
    """SipHash-2-4 (Aumasson, Bernstein 2012)."""
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def turn(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[1] = ((v[1] << 13 | v[1] >> 51) & MASK) ^ v[0]
            v[3] = ((v[3] << 16 | v[3] >> 48) & MASK) ^ v[2]
            v[0] = (v[0] << 32 | v[0] >> 32) & MASK
            v[2] = (v[2] + v[1]) & MASK
            v[0] = (v[0] + v[3]) & MASK
            v[1] = ((v[1] << 17 | v[1] >> 47) & MASK) ^ v[2]
            v[3] = ((v[3] << 21 | v[3] >> 43) & MASK) ^ v[0]
            v[2] = (v[2] << 32 | v[2] >> 32) & MASK

    data = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", data):
        v[3] ^= word
        turn(2)
        v[0] ^= word
    v[2] ^= 0xFF
    turn(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def digest(epoch, entries):
    """(hi, lo) of {prefix: class}."""
    hi = lo = 0
    for prefix, number in entries.items():
        net = ipaddress.ip_network(prefix)
        data = net.network_address.packed.ljust(16, b"\0") + bytes([net.prefixlen, net.version, number])
        hi += siphash(epoch, 0x626f756e63656869, data)
        lo += siphash(epoch, 0x626f756e63656c6f, data)
    return hi & MASK, lo & MASK


def columns(message, entries):
    """Puts {prefix: class} into the columns of a snapshot's chunk or a delta."""
    for prefix, number in entries.items():
        net = ipaddress.ip_network(prefix)
        family = f"ipv{net.version}"
        for column, value in (("addresses", net.network_address.packed), ("lengths", bytes([net.prefixlen])),
                              ("classes", bytes([number]))):
            setattr(message, f"{family}_{column}", getattr(message, f"{family}_{column}") + value)


class Sync:
    """Listens on the socket and holds one connection at a time. The state it holds is what it sent last."""

    def __init__(self, path):
        self.pb, self.folder = generate()
        self.path = pathlib.Path(path)
        self.listener = None
        self.connection = None
        self.report = None
        self.epoch, self.serial, self.entries = 1000, 0, {}
        self.listen()

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path.unlink(missing_ok=True)
        self.listener.bind(str(self.path))
        self.listener.listen(8)

    def close(self):
        """Gone, and the socket too."""
        for end in (self.connection, self.listener):
            if end is not None:
                end.close()
        self.connection = self.listener = None
        self.path.unlink(missing_ok=True)

    def end(self):
        self.close()
        self.folder.cleanup()

    # Frames.

    def send(self, **body):
        """send(delta=message), and so on."""
        self.send_body(self.pb.SyncMessage(**body).SerializeToString())

    def send_body(self, data):
        self.connection.sendall(struct.pack(">I", len(data)) + data)

    def _read(self, length):
        data = b""
        while len(data) < length:
            part = self.connection.recv(length - len(data))
            if not part:
                raise EOFError("the data plane closed")
            data += part
        return data

    def receive(self, kind, seconds=10.0):
        """The next message of this kind; others are passed over, the last report is kept."""
        end = time.monotonic() + seconds
        while True:
            self.connection.settimeout(max(0.01, end - time.monotonic()))
            message = self.pb.SyncMessage()
            message.ParseFromString(self._read(struct.unpack(">I", self._read(4))[0]))
            if message.WhichOneof("body") == "report":
                self.report = message.report
            if message.WhichOneof("body") == kind:
                return getattr(message, kind)

    def counters(self):
        """Of all workers together, from a report that was made after this call."""
        while select.select([self.connection], [], [], 0)[0]:
            self.receive("report")  # what has come in meanwhile, and the next one
        return {c.name: c.value for c in self.receive("report").counters}

    # The dialogue.

    def accept(self, seconds=10.0):
        """Waits for the data plane; returns its hello. Nothing is answered yet."""
        if self.connection is not None:
            self.connection.close()
        self.listener.settimeout(seconds)
        self.connection, _ = self.listener.accept()
        return self.receive("hello", seconds)

    def greet(self, version=1):
        self.send(hello=self.pb.Hello(protocol_version=version, version="test", epoch=self.epoch, serial=self.serial))

    def class_definition(self, number, code=606, action=REJECT, url="https://delist.example.net/?ip={address}"):
        return self.pb.ClassDefinition(class_id=number, code=code, action=action, self_service=True, url=url)

    def snapshot_chunks(self, entries, classes, chunks=1):
        """The messages of a snapshot of the next epoch."""
        self.epoch, self.serial, self.entries = self.epoch + 1, 100, dict(entries)
        items = list(entries.items())
        size = max(1, -(-len(items) // chunks))
        out = []
        for i in range(chunks):
            chunk = self.pb.SnapshotChunk(epoch=self.epoch, serial=self.serial, chunk=i, last=i == chunks - 1)
            if i == 0:
                chunk.classes.extend(classes)
            if chunk.last:
                chunk.digest_hi, chunk.digest_lo = digest(self.epoch, entries)
                chunk.n_entries = len(entries)
            columns(chunk, dict(items[i * size:(i + 1) * size]))
            out.append(chunk)
        return out

    def snapshot(self, entries, classes=None, chunks=1):
        """Sends a snapshot and waits until all workers enforce it."""
        if classes is None:
            classes = [self.class_definition(1)]
        for chunk in self.snapshot_chunks(entries, classes, chunks):
            self.send(snapshot=chunk)
        return self.expect_ack()

    def delta_message(self, changes, classes=()):
        """The message that leads to the next serial. Class 0 removes."""
        for prefix, number in changes.items():
            if number == 0:
                self.entries.pop(prefix, None)
            else:
                self.entries[prefix] = number
        delta = self.pb.Delta(epoch=self.epoch, from_serial=self.serial, serial=self.serial + 1)
        delta.classes.extend(classes)
        delta.digest_hi, delta.digest_lo = digest(self.epoch, self.entries)
        columns(delta, changes)
        self.serial += 1
        return delta

    def delta(self, changes, classes=()):
        self.send(delta=self.delta_message(changes, classes))
        return self.expect_ack()

    def expect_ack(self):
        """The acknowledgement of exactly the last state."""
        ack = self.receive("ack")
        while ack.serial != self.serial or ack.epoch != self.epoch:
            ack = self.receive("ack")
        assert (ack.digest_hi, ack.digest_lo) == digest(self.epoch, self.entries), "digest of the acknowledged set"
        return ack
