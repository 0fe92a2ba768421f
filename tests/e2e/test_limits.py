#!/usr/bin/python3
"""What the settings make of a listed source: limits of each kind with their counters, connections that were open before
(established), actions of a port, protected prefixes, tickets. One worker, so that a limit is one number; a data plane of
its own for each setting, led by a control plane that is this test."""
import contextlib
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
import tcp  # noqa: E402
from lab import Lab, Wire, in_namespace  # noqa: E402
from sync import RESET, Sync  # noqa: E402
from ticket import ticket  # noqa: E402

# Hosts that nobody is: no kernel has a word in it. And those that are somebody.
PAIRS = (("198.51.100.77", "192.0.2.77"), ("2001:db8:5::77", "2001:db8:25::77"))
OTHERS = ("198.51.100.78", "2001:db8:6::78")
HOSTS = ((bl.SENDER_IPV4, bl.RECEIVER_IPV4), (bl.SENDER_IPV6, bl.RECEIVER_IPV6))
LISTED = {"198.51.100.77/32": 1, f"{bl.SENDER_IPV4}/32": 1, "2001:db8:5::/64": 1}
DENY = "550 5.7.606 Access denied, banned sending IP [{}]; To request removal from this list please visit {} and follow " \
       "the directions.\r\n"


class Settings(unittest.TestCase):
    """Each case starts the data plane that it wants."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=1)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.plain = (cls.lab.dir / "bounceline.yaml").read_text()
        cls.sender, cls.receiver = Wire(cls.lab, "sender"), Wire(cls.lab, "receiver")
        cls.addClassCleanup(cls.sender.socket.close)
        cls.addClassCleanup(cls.receiver.socket.close)

    def configure(self, *lines, url=None):
        text = self.plain.replace("dataplane:\n", "dataplane:\n" + "".join(f"  {line}\n" for line in lines), 1)
        if url is not None:
            text = "".join(f"  url: {url}\n" if line.startswith("  url: ") else line
                           for line in text.splitlines(keepends=True))
        (self.lab.dir / "bounceline.yaml").write_text(text)

    @contextlib.contextmanager
    def plane(self, *lines, listed=None, classes=None):
        """A data plane with these settings and that list."""
        self.configure(*lines)
        self.sync = Sync(self.lab.dir / "sync.sock")
        try:
            self.lab.start("dataplane")
            self.sync.accept(30)
            self.sync.greet()
            self.sync.snapshot(LISTED if listed is None else listed, classes)
            for wire in (self.sender, self.receiver):
                wire.drain()
            yield
            self.assertIsNone(self.lab.processes["dataplane"].poll(), "the data plane ended")
        finally:
            if "dataplane" in self.lab.processes:
                self.lab.kill("dataplane", 15)
            self.sync.end()

    def send(self, pair, flags, **fields):
        self.sender.send(tcp.frame((self.receiver.mac, self.sender.mac), *pair, flags, **fields))

    def segments(self, wire, seconds=0.4):
        """The TCP segments of the pairs that come in on the wire until it is silent for so long."""
        found = []
        while (frame := wire.receive(seconds)) is not None:
            segment = tcp.read(frame)
            if segment is not None and {segment.source, segment.destination} & {p for pair in PAIRS for p in pair}:
                found.append(segment)
        return found

    # Limits: a second's worth at once.

    def test_answers(self):
        with self.plane("answers_per_s: 20", "resend_entries: 0"):
            for i in range(60):
                self.send(PAIRS[i % 2], tcp.SYN, source_port=30000 + i, options=tcp.MSS)
            answers = [s for s in self.segments(self.sender) if s.flags == tcp.SYN | tcp.ACK]
            counters = self.sync.counters()
            self.assertGreaterEqual(len(answers), 20)
            self.assertLess(len(answers), 60)
            self.assertEqual(len(answers), counters["reject_syn"])
            self.assertEqual(counters["reject_syn"] + counters["drop_limit_answer"], 60)

    def test_established(self):
        with self.plane("established_per_s: 20"):
            for i in range(60):
                self.send(PAIRS[i % 2], tcp.ACK, source_port=30000 + i, acknowledgement=7, payload=b"x")
            passed = self.segments(self.receiver)
            counters = self.sync.counters()
            self.assertGreaterEqual(len(passed), 20)
            self.assertLess(len(passed), 60)
            self.assertEqual(len(passed), counters["pass_established"])
            self.assertEqual(counters["pass_established"] + counters["drop_limit_established"], 60)

    def test_resets(self):
        """Of the action reset; and a RST is never answered."""
        classes = [None]
        with self.plane("resets_per_s: 20", listed={}):
            classes = [self.sync.class_definition(1, 606, RESET)]
            self.sync.snapshot(LISTED, classes)
            for i in range(60):
                self.send(PAIRS[i % 2], tcp.SYN, source_port=30000 + i)
            answers = self.segments(self.sender)
            self.send(PAIRS[0], tcp.RST, source_port=29999)
            self.assertEqual(self.segments(self.sender), [])
            counters = self.sync.counters()
            self.assertEqual({s.flags for s in answers}, {tcp.RST | tcp.ACK})
            self.assertGreaterEqual(len(answers), 20)
            self.assertLess(len(answers), 60)
            self.assertEqual(counters["reset_action"] + counters["drop_limit_reset"], 61)
            self.assertEqual(len(answers), counters["reset_action"] - 1)

    def test_resends(self):
        """What nobody completes comes twice more, within the limit, and only as often as there are credits."""
        with self.plane("resends_per_s: 10"):
            for i in range(30):
                self.send(PAIRS[i % 2], tcp.SYN, source_port=30000 + i, options=tcp.MSS)
            answers = self.segments(self.sender, 1.5)
            counters = self.sync.counters()
            self.assertEqual(counters["reject_syn"], 30)
            self.assertEqual(counters["resent_syn_ack"], len(answers) - 30)
            self.assertGreaterEqual(counters["resent_syn_ack"], 10)
            self.assertGreater(counters["resend_limited"], 0)
            self.assertLess(counters["resent_syn_ack"], 64)

    # Connections that are not ours.

    def test_established_drop(self):
        with self.plane("established: drop"):
            for pair in PAIRS:
                self.send(pair, tcp.ACK | tcp.PSH, acknowledgement=7, payload=b"NOOP\r\n")
                self.send(pair, tcp.RST)
            self.assertEqual(self.segments(self.receiver), [])
            self.assertEqual(self.segments(self.sender), [])
            self.assertEqual(self.sync.counters()["drop_established"], 4)

    def test_established_reset(self):
        """Both ends, at numbers that they accept; a RST goes on; a server's challenge is answered."""
        with self.plane("established: reset"):
            for pair in PAIRS:
                self.send(pair, tcp.ACK | tcp.PSH, source_port=30000, sequence=5000, acknowledgement=7000,
                          payload=b"NOOP\r\n")
                back, onward = self.segments(self.sender), self.segments(self.receiver)
                self.assertEqual([(s.flags, s.sequence, s.acknowledgement, s.destination_port) for s in back],
                                 [(tcp.RST | tcp.ACK, 7000, 5006, 30000)])
                self.assertEqual([(s.flags, s.sequence, s.source, s.source_port) for s in onward],
                                 [(tcp.RST, 5000, pair[0], 30000)])
                self.send(pair, tcp.RST, source_port=30001, sequence=1)
                self.assertEqual([s.flags for s in self.segments(self.receiver)], [tcp.RST])
                self.assertEqual(self.segments(self.sender), [])
            self.assertEqual(self.sync.counters()["reset_established"], 2)

    def test_challenge(self):
        """From the server to a listed source: a bare ACK is answered at its number, and goes on; nothing else is."""
        with self.plane("established: reset", "resets_per_s: 8"):
            macs = (self.sender.mac, self.receiver.mac)
            for source, server in PAIRS:
                def say(flags, source=source, server=server, **fields):
                    self.receiver.send(tcp.frame(macs, server, fields.pop("to", source), flags, source_port=25,
                                                 destination_port=30000, sequence=70, acknowledgement=50, **fields))
                say(tcp.ACK)
                self.assertEqual([(s.flags, s.sequence, s.source) for s in self.segments(self.receiver)],
                                 [(tcp.RST, 50, source)])
                self.assertEqual([(s.flags, s.sequence) for s in self.segments(self.sender)], [(tcp.ACK, 70)])
                other = OTHERS[":" in source]
                for flags, fields in ((tcp.ACK | tcp.PSH, {"payload": b"250 ok\r\n"}), (tcp.ACK | tcp.SYN, {}),
                                      (tcp.ACK | tcp.FIN, {}), (tcp.ACK | tcp.RST, {}), (tcp.ACK, {"to": other})):
                    say(flags, **fields)
                self.assertEqual(self.segments(self.receiver), [])
                self.sender.drain()
            for _ in range(40):
                say(tcp.ACK)
            answers = self.segments(self.receiver)
            counters = self.sync.counters()
            self.assertEqual(len(answers) + 2, counters["challenge_reset"])
            self.assertGreater(counters["challenge_limited"], 10)

    # Ports and prefixes.

    def test_actions_of_ports(self):
        with self.plane('protected_ports: [25, "465:reset", "587:drop", "2525:monitor"]'):
            for pair in PAIRS:
                for port in (25, 465, 587, 2525, 26):
                    self.send(pair, tcp.SYN, source_port=30000 + port, destination_port=port, options=tcp.MSS)
                answers = {s.source_port: s.flags for s in self.segments(self.sender)}
                self.assertEqual(answers, {25: tcp.SYN | tcp.ACK, 465: tcp.RST | tcp.ACK})
                self.assertEqual({s.destination_port for s in self.segments(self.receiver)}, {2525, 26})

    def test_protected_prefixes(self):
        """IPv4 alone: what goes to another address passes, fragments too."""
        with self.plane(f"protected_prefixes: [{PAIRS[0][1]}/32]"):
            for pair in (*PAIRS, (PAIRS[0][0], "192.0.2.78")):
                self.send(pair, tcp.SYN, source_port=30000, options=tcp.MSS)
                macs = (self.receiver.mac, self.sender.mac)
                if ":" not in pair[0]:
                    self.sender.send(tcp.ethernet(macs, tcp.ip_packet(*pair, 6, b"x" * 40, fragment=0x2001)))
            self.assertEqual([s.source for s in self.segments(self.sender)], [PAIRS[0][1]])
            counters = self.sync.counters()
            self.assertEqual(counters["reject_syn"], 1)
            self.assertEqual(counters["drop_fragment"], 1)
            self.assertGreaterEqual(counters["pass_other"], 3)

    # Tickets.

    def key_file(self, content, mode=0o400):
        path = self.lab.dir / "ticket.key"
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def deny(self, source, destination):
        """The 550 that the source hears."""
        with in_namespace(self.lab.namespace("sender")):
            connection = socket.socket(tcp.family_of(source))
        with connection:
            connection.settimeout(10)
            connection.bind((source, 0))
            connection.connect((destination, 25))
            with connection.makefile("rb") as lines:
                lines.readline()
                connection.sendall(b"RCPT TO:<bob@example.org>\r\n")
                return lines.readline().decode()

    def test_ticket(self):
        key = os.urandom(16)
        url = "https://delist.example.net/?ip={address}&t={ticket}"
        with self.plane(f"ticket_key_file: {self.key_file(key)}", listed={}):
            definition = self.sync.class_definition(1, 606)
            definition.url = url
            self.sync.snapshot(LISTED, [definition])
            for source, destination in HOSTS:
                days = {int(time.time()) // 86400}
                said = self.deny(source, destination)
                days.add(int(time.time()) // 86400)
                self.assertIn(said, [DENY.format(source, f"https://delist.example.net/?ip={source}&"
                                                         f"t={ticket(key, source, day)}") for day in days])

    def test_ticket_without_a_key(self):
        """From a control plane with a file of its own: said once, and the 550 is whole."""
        with self.plane(listed={}):
            definition = self.sync.class_definition(1, 606)
            definition.url = "https://delist.example.net/?t={ticket}"
            self.sync.snapshot(LISTED, [definition])
            self.assertEqual(self.deny(*HOSTS[0]), DENY.format(bl.SENDER_IPV4, "https://delist.example.net/?t="))
            self.assertIn("dataplane.ticket_key_file is not set", (self.lab.dir / "dataplane.log").read_text())

    def check(self):
        """What --check says of the settings as they are, and its exit code."""
        done = self.lab.run("appliance", bl.BUILD / "bounceline-dataplane", "--check", "--config",
                            self.lab.dir / "bounceline.yaml", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, check=False)
        return done.returncode, done.stdout

    def test_bad_keys_are_refused(self):
        url = "https://delist.example.net/?t={ticket}"
        self.configure(url=url)
        self.assertEqual(self.check()[0], 2)
        self.assertIn("dataplane.ticket_key_file: found nothing, expected a file of 16 bytes", self.check()[1])
        for content, mode, said in ((b"x" * 15, 0o400, "15 bytes: expected exactly 16"),
                                    (b"x" * 17, 0o400, "17 bytes: expected exactly 16"),
                                    (b"\0" * 16, 0o400, "all zero: expected 16 random bytes"),
                                    (b"x" * 16, 0o440, "its mode is 0440: expected one that shuts out")):
            path = self.key_file(content, mode)
            self.configure(f"ticket_key_file: {path}", url=url)
            code, text = self.check()
            self.assertEqual(code, 2)
            self.assertIn(f"dataplane.ticket_key_file: {path}: {said}", text)
        self.configure(f"ticket_key_file: {self.key_file(b'x' * 16)}", url=url)
        self.assertEqual(self.check(), (0, ""))


if __name__ == "__main__":
    bl.main()
