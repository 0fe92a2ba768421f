#!/usr/bin/python3
"""The data plane alone, between two namespaces, led by a control plane that is this test: what is listed hears the 550,
what is not passes to the bit, a delta is enforced when it is acknowledged, and what is malformed, out of order or of
another digest is refused while the old table serves. Bad settings and ports refuse to start."""
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from frames import checksum, read_tcp, syn  # noqa: E402
from lab import Lab, Wire, in_namespace, wait_for  # noqa: E402
from sync import DROP, EXEMPT, MONITOR, REJECT, RESET, Sync  # noqa: E402

PACKET_AUXDATA, SOL_PACKET = 8, 263
LISTED = {f"{bl.SENDER_IPV4}/32": 1, "2001:db8:5::/64": 1}


class Sink:
    """Greets whoever connects to the receiver's port 25: not one of ours, so that who answered can't be mistaken."""

    def __init__(self, lab):
        self.sockets = []
        for family, address in ((socket.AF_INET, bl.RECEIVER_IPV4), (socket.AF_INET6, bl.RECEIVER_IPV6)):
            with in_namespace(lab.namespace("receiver")):
                listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            wait_for("the receiver's address", lambda: self._bound(listener, address), 10)
            listener.listen(64)
            self.sockets.append(listener)
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    @staticmethod
    def _bound(listener, address):
        try:
            listener.bind((address, 25))
            return True
        except OSError:
            return False

    @staticmethod
    def _serve(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"220 the real server\r\n")

    def close(self):
        for listener in self.sockets:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


class Smtp:
    """A sending server's side of the dialogue, line by line."""

    def __init__(self, lab, source, destination, seconds=5.0):
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with in_namespace(lab.namespace("sender")):
            self.socket = socket.socket(family)
        self.socket.settimeout(seconds)
        self.socket.bind((source, 0))
        try:
            self.socket.connect((destination, 25))
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def line(self):
        return self.file.readline().decode()

    def say(self, text):
        """Returns the last line of the answer."""
        self.socket.sendall(text.encode() + b"\r\n")
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line


class TaggedWire(Wire):
    """A Wire that puts the VLAN tag back which the kernel takes out of what it hands over."""

    def __init__(self, lab, role):
        super().__init__(lab, role)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def receive(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame, controls, _, address = self.socket.recvmsg(65536, 256)
            except socket.timeout:
                return None
            if address[2] == socket.PACKET_OUTGOING:
                continue
            for level, kind, data in controls:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
                    if status & 0x10:
                        frame = frame[:12] + struct.pack(">HH", tpid if status & 0x40 else 0x8100, tci) + frame[12:]
            return frame
        return None


def ipv4(source, destination, protocol, payload, fragment=0, options=b"", identification=7):
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    header = struct.pack(">BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), identification,
                         fragment, 64, protocol, 0) + addresses + options
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


class Dataplane(unittest.TestCase):
    """Four workers, one data plane for all cases; each case starts with its own snapshot in a new epoch."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=4)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.sync = Sync(cls.lab.dir / "sync.sock")
        cls.addClassCleanup(cls.sync.end)
        cls.lab.start("dataplane")
        cls.addClassCleanup(cls.check_end)
        cls.sync.accept(30)
        cls.sink = Sink(cls.lab)
        cls.addClassCleanup(cls.sink.close)

    @classmethod
    def check_end(cls):
        """It has lived through all cases, and ends cleanly when it is told to."""
        if (process := cls.lab.processes.get("dataplane")) is not None:
            assert process.poll() is None, f"the data plane ended with {process.returncode}"
            code = cls.lab.kill("dataplane", 15)
            assert code == 0, f"SIGTERM: exit {code}"

    def setUp(self):
        if self.sync.listener is None:
            self.sync.listen()
        self.hello = self.sync.accept()
        self.sync.greet()

    def server(self, source, destination):
        """The greeting's first words: who answers?"""
        with Smtp(self.lab, source, destination) as smtp:
            return smtp.line().split()[1]

    def assert_listed(self, source, destination):
        self.assertEqual(self.server(source, destination), "mx.example.org")

    def assert_passes(self, source, destination):
        self.assertEqual(self.server(source, destination), "the")

    def log(self):
        return (self.lab.dir / "dataplane.log").read_text()

    def counters(self):
        return self.sync.counters()

    # What is listed and what is not.

    def dialogue(self, source, destination, code):
        with Smtp(self.lab, source, destination) as smtp:
            self.assertEqual(smtp.line(), "220 mx.example.org ESMTP\r\n")
            self.assertTrue(smtp.say("EHLO sender.example.net").startswith("250 "))
            self.assertTrue(smtp.say("MAIL FROM:<alice@sender.example.net>").startswith("250 "))
            self.assertEqual(smtp.say("RCPT TO:<bob@receiver.example.org>"),
                             f"550 5.7.{code} Access denied, banned sending IP [{source}]; To request removal from this "
                             f"list please visit https://delist.example.net/?ip={source} and follow the directions.\r\n")
            self.assertTrue(smtp.say("QUIT").startswith("221 "))
            self.assertEqual(smtp.line(), "")

    def test_listed_hears_the_550(self):
        self.sync.snapshot(LISTED, [self.sync.class_definition(1, 633)])
        for _ in range(16):  # as many source ports: all four workers, by all likelihood
            self.dialogue(bl.SENDER_IPV4, bl.RECEIVER_IPV4, 633)
            self.dialogue(bl.SENDER_IPV6, bl.RECEIVER_IPV6, 633)
        self.assert_passes(bl.OTHER_IPV4, bl.RECEIVER_IPV4)
        self.assert_passes(bl.OTHER_IPV6, bl.RECEIVER_IPV6)
        used = [w.rx_packets for w in self.sync.report.workers] if self.sync.report else []
        self.counters()
        self.assertEqual(len(self.sync.report.workers), 4)
        self.assertTrue(all(w.rx_packets > 0 for w in self.sync.report.workers), f"idle workers, before {used}")

    def test_swaks_hears_the_550(self):
        self.sync.snapshot(LISTED)
        done = self.lab.run("sender", "swaks", "--server", bl.RECEIVER_IPV4, "--local-interface", bl.SENDER_IPV4,
                            "--from", "a@sender.example.net", "--to", "b@receiver.example.org", "--timeout", "10",
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 24, done.stdout)  # 24: RCPT was refused
        self.assertIn(f"550 5.7.606 Access denied, banned sending IP [{bl.SENDER_IPV4}]", done.stdout)

    def test_actions_of_classes(self):
        classes = [self.sync.class_definition(n, 610 + n, action)
                   for n, action in ((1, REJECT), (2, RESET), (3, DROP), (4, MONITOR))]
        source = f"{bl.SENDER_IPV4}/32"
        self.sync.snapshot({source: 2}, classes)
        with self.assertRaises(ConnectionRefusedError):
            Smtp(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.sync.delta({source: 3})
        with self.assertRaises(socket.timeout):
            Smtp(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4, 1.5)
        self.sync.delta({source: 4})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.sync.delta({source: 1})
        self.dialogue(bl.SENDER_IPV4, bl.RECEIVER_IPV4, 611)
        counters = self.counters()
        for name in ("reset_action", "drop_action", "pass_monitor", "reject_syn", "reject_greeting", "reject_bounce"):
            self.assertGreater(counters[name], 0, name)

    def test_longest_prefix_and_holes(self):
        self.sync.snapshot({"198.51.100.0/24": 1, f"{bl.SENDER_IPV4}/32": EXEMPT, "2001:db8::/32": 1,
                            "2001:db8:5::/48": EXEMPT})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assert_listed(bl.OTHER_IPV4, bl.RECEIVER_IPV4)
        self.assert_passes(bl.SENDER_IPV6, bl.RECEIVER_IPV6)
        self.assert_listed(bl.OTHER_IPV6, bl.RECEIVER_IPV6)

    # To the bit.

    def frames(self, source, destination, macs):
        """Frames of all kinds between two hosts, none of which the appliance may change."""
        udp = struct.pack(">HHHH", 53, 40000, 8 + 1400, 0) + os.urandom(1400)
        ip = b"\x08\x00"
        head = macs[0] + macs[1]
        return {
            "UDP": head + ip + ipv4(source, destination, 17, udp),
            "full MTU": head + ip + ipv4(source, destination, 17, os.urandom(1480)),
            "IPv4 options": head + ip + ipv4(source, destination, 17, udp[:64], options=b"\x01" * 8),
            "first fragment": head + ip + ipv4(source, destination, 17, udp[:800], fragment=0x2000),
            "last fragment": head + ip + ipv4(source, destination, 17, udp[800:], fragment=100),
            "lone fragment": head + ip + ipv4(source, destination, 17, udp[:80], fragment=0x2005, identification=9),
            "TCP to port 25, not listed": syn(macs, source, destination, 40001),
            "TCP with a wrong checksum": syn(macs, source, destination, 40002)[:-1] + b"\x77",
            "unknown EtherType": head + b"\x88\xb5" + os.urandom(300),
            "802.3 with LLC": head + struct.pack(">H", 46) + os.urandom(46),
            "broken IP": head + ip + os.urandom(60),
            "VLAN": head + b"\x81\x00\x60\x2a" + ip + ipv4(source, destination, 17, udp),
            "VLAN, full MTU": head + b"\x81\x00\x00\x07" + ip + ipv4(source, destination, 17, os.urandom(1480)),
            "short, padded": head + ip + ipv4(source, destination, 17, b"\0" * 8 + b"x") + b"\xaa" * 17,
        }

    def assert_unchanged(self, sending, receiving, frames):
        receiving.drain()
        for name, frame in frames.items():
            sending.send(frame)
            got = []
            end = time.monotonic() + 3
            while frame not in got and time.monotonic() < end:
                if (one := receiving.receive(end - time.monotonic())) is not None:
                    got.append(one)
            self.assertTrue(frame in got, f"{name}: did not come through as it was: {[f[:40].hex() for f in got]}")

    def test_not_listed_passes_to_the_bit(self):
        self.sync.snapshot(LISTED)
        with TaggedWire(self.lab, "sender") as wan, TaggedWire(self.lab, "receiver") as lan:
            self.assert_unchanged(wan, lan, self.frames(bl.OTHER_IPV4, bl.RECEIVER_IPV4, (lan.mac, wan.mac)))
            back = self.frames(bl.RECEIVER_IPV4, bl.SENDER_IPV4, (wan.mac, lan.mac))
            self.assert_unchanged(lan, wan, back)

    def test_each_frame_passes_once(self):
        """What the appliance sends does not come back in through its own ports."""
        self.sync.snapshot(LISTED)
        with TaggedWire(self.lab, "sender") as wan, TaggedWire(self.lab, "receiver") as lan:
            lan.drain()
            sent = [lan.mac + wan.mac + b"\x88\xb5" + struct.pack(">I", i) + os.urandom(60) for i in range(200)]
            for frame in sent:
                wan.send(frame)
            got = []
            while (frame := lan.receive(0.5)) is not None:
                if frame[12:14] == b"\x88\xb5":
                    got.append(frame)
            self.assertEqual(sorted(got), sorted(sent))

    def test_listed_fragments_and_other_traffic(self):
        self.sync.snapshot(LISTED)
        with TaggedWire(self.lab, "sender") as wan, TaggedWire(self.lab, "receiver") as lan:
            frames = self.frames(bl.SENDER_IPV4, bl.RECEIVER_IPV4, (lan.mac, wan.mac))
            fragment = frames["first fragment"]
            lan.drain()
            wan.send(fragment)
            self.assert_unchanged(wan, lan, {"UDP": frames["UDP"]})  # not to a protected port
            while (frame := lan.receive(0.2)) is not None:
                self.assertNotEqual(frame, fragment, "a listed source's fragment")
        self.assertGreater(self.counters()["drop_fragment"], 0)

    def test_nothing_is_answered_that_must_not_be(self):
        """No answer to a RST, to a SYN-ACK, or to a wrong checksum of a listed source."""
        self.sync.snapshot(LISTED)
        with Wire(self.lab, "sender") as wan, Wire(self.lab, "receiver") as lan:
            good = bytearray(syn((lan.mac, wan.mac), bl.SENDER_IPV4, bl.RECEIVER_IPV4, 40100))
            wan.drain()
            wan.send(bytes(good[:-1]) + b"\x77")
            end = time.monotonic() + 1
            while (frame := wan.receive(max(0, end - time.monotonic()))) is not None:
                segment = read_tcp(frame)
                self.assertFalse(segment and segment[3] == 40100, f"answered {segment}")
        self.assertGreater(self.counters()["drop_checksum"], 0)

    def test_link_down_and_up(self):
        """The operator is told, and no frame is left lying in a ring when it is up again: each queue's first one counts."""
        self.sync.snapshot({})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        before = self.log().count("lan: port lan0: link up")
        self.lab.run("appliance", "ip", "link", "set", "lan0", "down", check=True)
        wait_for("a word on the link", lambda: "lan: port lan0: link DOWN" in self.log(), 5)
        self.lab.run("appliance", "ip", "link", "set", "lan0", "up", check=True)
        wait_for("a word on the link", lambda: self.log().count("lan: port lan0: link up") > before, 5)
        start = time.monotonic()
        for _ in range(16):
            self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assertLess(time.monotonic() - start, 0.9, "a SYN had to be sent again")

    # Updates.

    def test_delta_is_enforced_when_acknowledged(self):
        self.sync.snapshot({})
        for _ in range(5):
            self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
            self.assert_passes(bl.SENDER_IPV6, bl.RECEIVER_IPV6)
            self.sync.delta(LISTED)
            for _ in range(8):
                self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
                self.assert_listed(bl.SENDER_IPV6, bl.RECEIVER_IPV6)
            self.sync.delta({prefix: 0 for prefix in LISTED})
            for _ in range(8):
                self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assertEqual(self.sync.serial, 110)

    def test_time_from_delta_to_acknowledgement(self):
        self.sync.snapshot({})
        times = []
        for i in range(300):
            message = self.sync.delta_message({f"{bl.SENDER_IPV4}/32": i % 2 ^ 1})
            start = time.perf_counter()
            self.sync.send(delta=message)
            self.sync.expect_ack()
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        print(f"delta to acknowledgement by 4 workers: median {times[150]:.2f} ms, p99 {times[297]:.2f} ms", flush=True)
        self.assertLess(times[150], 20)

    def test_partial_deltas_count_as_one(self):
        self.sync.snapshot({})
        last = self.sync.delta_message({"10.0.0.0/16": 1, f"{bl.SENDER_IPV4}/32": 1, f"{bl.OTHER_IPV4}/32": 1})
        first = self.sync.pb.Delta(epoch=last.epoch, from_serial=last.from_serial, serial=last.serial, partial=True,
                                   ipv4_addresses=last.ipv4_addresses[:8], ipv4_lengths=last.ipv4_lengths[:2],
                                   ipv4_classes=last.ipv4_classes[:2])
        for column in ("addresses", "lengths", "classes"):
            name = f"ipv4_{column}"
            setattr(last, name, getattr(last, name)[len(getattr(first, name)):])
        self.sync.send(delta=first)
        time.sleep(0.2)
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.sync.send(delta=last)
        self.sync.expect_ack()
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assert_listed(bl.OTHER_IPV4, bl.RECEIVER_IPV4)

    def test_class_changes_in_order(self):
        self.sync.snapshot(LISTED)
        self.dialogue(bl.SENDER_IPV4, bl.RECEIVER_IPV4, 606)
        self.sync.delta({}, [self.sync.class_definition(1, 649)])
        self.dialogue(bl.SENDER_IPV4, bl.RECEIVER_IPV4, 649)
        self.sync.delta({f"{bl.OTHER_IPV4}/32": 2}, [self.sync.class_definition(2, 607)])
        self.dialogue(bl.OTHER_IPV4, bl.RECEIVER_IPV4, 607)

    def test_large_snapshot_in_chunks_and_large_delta(self):
        """Twenty thousand entries each: more than a step of a patch, more than one growth of the table."""
        entries = {f"10.{i >> 8}.{i & 255}.{i % 251}/32": 1 for i in range(20000)}
        self.sync.snapshot({**entries, **LISTED}, chunks=7)
        self.assert_listed(bl.SENDER_IPV6, bl.RECEIVER_IPV6)
        more = {f"2001:db8:{i:x}::/48": 1 for i in range(0x100, 0x100 + 20000)}
        self.sync.delta(more)
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.counters()
        self.assertEqual((self.sync.report.n_entries_ipv4, self.sync.report.n_entries_ipv6), (20001, 20001))
        self.sync.delta({prefix: 0 for prefix in LISTED})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)

    def test_replicas_are_compared(self):
        """Within some seconds every worker reports a checksum of the same serial, and they are equal."""
        self.sync.snapshot({**LISTED, "10.0.0.0/8": 1})
        self.sync.delta({"172.16.0.0/12": 1})

        def compared():
            self.sync.receive("report")
            workers = self.sync.report.workers
            return len(workers) == 4 and all(w.checksum_serial == self.sync.serial for w in workers)
        wait_for("checksums of the last serial", compared, 40)
        self.assertEqual(len({w.checksum for w in self.sync.report.workers}), 1)
        counters = {c.name: c.value for c in self.sync.report.counters}
        self.assertEqual((counters["replica_mismatch"], counters["replica_repair"]), (0, 0))

    # What is refused.

    def assert_refused(self, reason, epoch=None):
        """The data plane says why, closes, and the old table serves. It comes back with the epoch that is said."""
        refusal = self.sync.receive("refusal")
        self.assertEqual(refusal.reason, reason, refusal.detail)
        with self.assertRaises((EOFError, ConnectionResetError)):
            while True:
                self.sync.receive("hello", 5)
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assert_passes(bl.OTHER_IPV4, bl.RECEIVER_IPV4)
        hello = self.sync.accept()
        self.assertEqual(hello.epoch, self.sync.epoch if epoch is None else epoch)
        self.sync.greet()
        return hello

    def test_malformed_frames(self):
        pb = self.sync.pb
        delta = dict(epoch=self.sync.epoch + 1, from_serial=100, serial=101)
        cases = {
            "not protobuf": b"\xff\xff\xff\xff",
            "empty": b"",
            "unknown field": pb.SyncMessage(delta=pb.Delta(**delta)).SerializeToString() + b"\xfa\x3f\x01x",
            "a message that only data planes send": pb.SyncMessage(ack=pb.Ack(serial=1)).SerializeToString(),
            "a second hello": pb.SyncMessage(hello=pb.Hello(protocol_version=1)).SerializeToString(),
            "columns that do not fit": pb.SyncMessage(delta=pb.Delta(
                **delta, ipv4_addresses=b"\1\2\3\4", ipv4_lengths=b"\x20\x20", ipv4_classes=b"\1")).SerializeToString(),
            "host bits": pb.SyncMessage(delta=pb.Delta(
                **delta, ipv4_addresses=b"\1\2\3\4", ipv4_lengths=b"\x18", ipv4_classes=b"\1")).SerializeToString(),
            "length 33": pb.SyncMessage(delta=pb.Delta(
                **delta, ipv4_addresses=b"\1\2\3\4", ipv4_lengths=b"\x21", ipv4_classes=b"\1")).SerializeToString(),
            "class 64": pb.SyncMessage(delta=pb.Delta(
                **delta, ipv4_addresses=b"\1\2\3\4", ipv4_lengths=b"\x20", ipv4_classes=b"\x40")).SerializeToString(),
            "a class's URL that breaks the line": pb.SyncMessage(delta=pb.Delta(
                **delta, classes=[self.sync.class_definition(2, url="https://x/\r\n250 ok")])).SerializeToString(),
            "a class's code": pb.SyncMessage(delta=pb.Delta(
                **delta, classes=[self.sync.class_definition(2, code=550)])).SerializeToString(),
            "backwards": pb.SyncMessage(delta=pb.Delta(epoch=delta["epoch"], from_serial=100,
                                                       serial=100)).SerializeToString(),
        }
        self.sync.snapshot(LISTED)
        for name, body in cases.items():
            with self.subTest(name):
                self.sync.send_body(body)
                hello = self.assert_refused(2)
                self.assertEqual((hello.serial, hello.digest_hi), (100, hello.digest_hi))
        # What was held is as good as before: deltas go on.
        self.sync.delta({f"{bl.SENDER_IPV4}/32": 0})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)

    def test_frame_above_the_limit(self):
        self.sync.snapshot(LISTED)
        self.sync.connection.sendall(struct.pack(">I", (4 << 20) + 1))
        self.assert_refused(3)

    def test_unknown_version(self):
        self.sync.snapshot(LISTED)
        self.sync.connection.close()
        self.sync.accept()
        self.sync.greet(version=2)
        self.assert_refused(1)

    def test_delta_out_of_order(self):
        self.sync.snapshot(LISTED)
        for wrong in (dict(epoch=self.sync.epoch, from_serial=99, serial=101),
                      dict(epoch=self.sync.epoch, from_serial=105, serial=106),
                      dict(epoch=self.sync.epoch + 7, from_serial=100, serial=101)):
            self.sync.send(delta=self.sync.pb.Delta(**wrong))
            self.assert_refused(4, epoch=0)
            self.sync.snapshot(LISTED)

    def test_chunk_out_of_order(self):
        self.sync.snapshot(LISTED)
        epoch = self.sync.epoch
        chunks = self.sync.snapshot_chunks({"10.0.0.0/8": 1, "11.0.0.0/8": 1, "12.0.0.0/8": 1},
                                           [self.sync.class_definition(1)], chunks=3)
        self.sync.send(snapshot=chunks[0])
        self.sync.send(snapshot=chunks[2])
        self.sync.epoch = epoch
        self.assert_refused(4, epoch=0)

    def test_digest_mismatch_resyncs(self):
        self.sync.snapshot(LISTED)
        delta = self.sync.delta_message({f"{bl.SENDER_IPV4}/32": 0})
        delta.digest_lo ^= 1
        self.sync.send(delta=delta)
        self.assert_refused(5, epoch=0)
        self.sync.snapshot({})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.sync.delta(LISTED)
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)

    def test_snapshot_of_another_digest(self):
        self.sync.snapshot(LISTED)
        chunk, = self.sync.snapshot_chunks({}, [])
        chunk.digest_hi ^= 1
        self.sync.send(snapshot=chunk)
        self.assert_refused(5, epoch=0)
        chunk, = self.sync.snapshot_chunks({"10.0.0.0/8": 1}, [])
        chunk.n_entries = 2
        self.sync.send(snapshot=chunk)
        self.assert_refused(5, epoch=0)

    # The control plane comes and goes.

    def test_reconnect_goes_on_from_what_is_held(self):
        self.sync.snapshot(LISTED)
        epoch, serial = self.sync.epoch, self.sync.serial
        self.sync.close()
        for _ in range(3):
            self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
            time.sleep(0.3)
        self.sync.listen()
        hello = self.sync.accept(5)
        self.assertEqual((hello.epoch, hello.serial, hello.n_workers, hello.name), (epoch, serial, 4, "lab"))
        self.sync.greet()
        self.sync.expect_ack()  # of what it held all the time
        self.sync.delta({f"{bl.SENDER_IPV4}/32": 0})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assertIn("rules", self.log())

    def test_connection_lost_in_the_middle(self):
        """Of a frame, of a delta's parts, of a snapshot: the old table serves, and the rest is asked for again."""
        self.sync.snapshot(LISTED)
        self.sync.connection.sendall(struct.pack(">I", 1000) + b"x" * 500)
        self.assertEqual(self.sync.accept().epoch, self.sync.epoch)
        self.sync.greet()
        part = self.sync.pb.Delta(epoch=self.sync.epoch, from_serial=100, serial=101, partial=True,
                                  ipv4_addresses=socket.inet_aton(bl.SENDER_IPV4), ipv4_lengths=b"\x20",
                                  ipv4_classes=b"\0")
        self.sync.send(delta=part)
        time.sleep(0.3)
        self.assertEqual(self.sync.accept().epoch, 0)
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.sync.greet()
        self.sync.snapshot({})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)

    def test_a_flood_of_deltas_all_count(self):
        """Faster than the workers can be told one by one: none is lost, the last serial is acknowledged."""
        self.sync.snapshot({})
        for i in range(2000):
            self.sync.send(delta=self.sync.delta_message({f"{bl.SENDER_IPV4}/32": i % 2, f"10.0.{i % 7}.0/24": i % 2}))
        self.sync.expect_ack()
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4)


class Refusals(unittest.TestCase):
    """What keeps the data plane from starting: exit 2, and the key and the cause on standard error."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=1)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()

    def start(self, *arguments, code, **settings):
        path = self.lab.dir / "refused.yaml"
        values = {"wan": "wan0", "lan": "lan0", "hostname": "mx.example.org", "hugepages": "off", **settings}
        path.write_text("dataplane:\n" + "".join(f"  {key}: {value}\n" for key, value in values.items()))
        path.chmod(0o600)
        done = self.lab.run("appliance", bl.BUILD / "bounceline-dataplane", "--config", path, *arguments, timeout=30,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_mtu_above_the_frame_size(self):
        self.lab.run("appliance", "ip", "link", "set", "lan0", "mtu", "3000", check=True)
        try:
            said = self.start(code=2)
            for word in ("lan0", "3000", "frame_bytes", "2048"):
                self.assertIn(word, said)
        finally:
            self.lab.run("appliance", "ip", "link", "set", "lan0", "mtu", "1500", check=True)

    def test_ports(self):
        self.assertIn("dataplane.wan", self.start(code=2, wan="nosuch0"))
        self.assertIn("dataplane.lan", self.start("--check", code=2, lan="wan0"))
        self.assertIn("two ports", self.start("--check", code=2, wan='"0000:01:00.0"', lan='"01:00.0"'))
        self.assertIn("dataplane.lan", self.start("--check", code=2, lan='"a name that is no port"'))

    def test_too_few_queues(self):
        """A device whose driver has one queue, and two workers."""
        said = self.start(code=2, workers=2, wan='"net_pcap0,iface=wan0"')
        self.assertIn("dataplane.wan", said)
        self.assertIn("queues", said)

    def test_bad_settings(self):
        self.assertIn("nosuchkey", self.start(code=2, nosuchkey=1))
        self.assertIn("hostname", self.start(code=2, hostname='"bad name"'))
        self.assertIn("frame_bytes", self.start(code=2, frame_bytes=100))
        self.assertIn("lcores", self.start(code=2, lcores="0@0", workers=1))
        self.assertIn("sync_socket", self.start(code=2, sync_socket="/" + "x" * 150))

    def test_cookie_key_file(self):
        key = self.lab.dir / "cookie.key"
        self.assertIn("cookie_key_file", self.start("--check", code=2, cookie_key_file=key))
        key.write_bytes(os.urandom(15))
        key.chmod(0o600)
        self.assertIn("16", self.start("--check", code=2, cookie_key_file=key))
        key.write_bytes(os.urandom(16))
        self.start("--check", code=0, cookie_key_file=key)
        key.chmod(0o640)
        self.assertIn("0640", self.start("--check", code=2, cookie_key_file=key))
        key.chmod(0o600)
        key.write_bytes(b"\0" * 16)
        self.assertIn("cookie", self.start("--check", code=2, cookie_key_file=key))

    def test_arguments(self):
        program = bl.BUILD / "bounceline-dataplane"
        for argument, code in (("--version", 0), ("--help", 0), ("--nosuch", 2), ("operand", 2)):
            done = subprocess.run([program, argument], capture_output=True, check=False)
            self.assertEqual(done.returncode, code, argument)


if __name__ == "__main__":
    bl.main()
