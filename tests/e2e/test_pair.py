#!/usr/bin/python3
"""Two data planes that share a cookie key file stand for one: a dialogue that moves from one to the other before any of its
packets, or with each packet, ends in the right 550; and one goes on when its data plane is restarted. With another key it
does not, which shows that these checks can fail.

The router reaches the mail servers by two wires, and its nftables say which one a packet takes: equal-cost paths at their
worst. The receiver's kernel answers with a RST whatever comes through, since nothing listens there."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from dialogue import (BYE, EHLO, EHLO_REPLY, GREETING, MAIL, RCPT, SENDER_OK, WAYS, Capture, Plane,  # noqa: E402
                      RoutedLab, Session, denial)

PACKETS_MAX = 20
# The names of the wires' ends, by data plane.
PORTS = {"first": ("wan0", "lan0"), "second": ("wan1", "lan1")}


def setUpModule():
    lab = RoutedLab(workers=2)
    unittest.addModuleCleanup(lab.__exit__, None, None, None)
    PairCase.lab = lab.__enter__()
    bl.shell("network_second_up", lab.dir)
    PairCase.keys = [PairCase.key(name) for name in ("shared", "other")]


class PairCase(unittest.TestCase):
    lab = keys = None

    @classmethod
    def key(cls, name):
        path = cls.lab.dir / f"{name}.key"
        path.write_bytes(os.urandom(16))
        path.chmod(0o600)
        return path

    @classmethod
    def pair(cls, *keys):
        """Both data planes, each with its key file; the caller ends them."""
        planes = [Plane(cls.lab, name, ports, cookie_key_file=key) for (name, ports), key in zip(PORTS.items(), keys)]
        for plane in planes:
            plane.launch()
        for plane in planes:
            plane.ready()
        return planes

    def steer(self, rule):
        """The rule marks what goes by the second wire."""
        self.addCleanup(self.lab.rules)
        self.lab.rules(f"table inet test {{\n chain c {{\n  type filter hook prerouting priority -150;\n"
                       f"  iifname client0 tcp dport 25 {rule}\n }}\n}}\n")

    def dialogue(self, way):
        """A whole one. @return how many packets the client sent."""
        with Capture(self.lab) as capture, Session(self.lab, *way) as session:
            self.assertEqual(session.reply(), GREETING)
            self.assertEqual(session.say(EHLO), EHLO_REPLY)
            self.assertEqual(session.say(MAIL), SENDER_OK)
            self.assertEqual(session.say(RCPT), denial(way[0]))
            self.assertEqual(session.quit(), BYE)
            return sum(s.outgoing for s in capture.segments(session.port))


class SharedKey(PairCase):
    @classmethod
    def setUpClass(cls):
        cls.planes = cls.pair(cls.keys[0], cls.keys[0])
        for plane in cls.planes:
            cls.addClassCleanup(plane.end)

    def move_at(self, way, k):
        """The packets from number k on go by the other wire, in both senses. @return the number of packets."""
        n = PACKETS_MAX
        for comparison in ("<", ">="):
            self.steer(f"numgen inc mod 1000000 {comparison} {k} meta mark set 1")
            n = min(n, self.dialogue(way))
        return n

    def test_moves_at_any_packet(self):
        for way in WAYS:
            k = 0
            while k < (n := self.move_at(way, k)):
                self.assertLess(k, PACKETS_MAX, "a dialogue of so many packets?")
                k += 1
            print(f"{way[0]}: moved before each of its {n} packets, from the first to the second and back", flush=True)
            self.assertGreater(n, 6)
        for plane in self.planes:
            counters = plane.counters()
            for name in ("reject_syn", "reject_greeting", "reject_command", "reject_bounce", "reject_quit"):
                self.assertGreater(counters[name], 0, f"{plane.name}: {name}")

    def test_alternates_with_each_packet(self):
        for way in WAYS:
            for rule in ("meta mark set numgen inc mod 2", "meta mark set numgen inc mod 2 offset 1"):
                self.steer(rule)
                for _ in range(8):
                    self.dialogue(way)
            self.steer("meta mark set numgen random mod 2")
            for _ in range(16):
                self.dialogue(way)
        for plane in self.planes:
            self.assertGreater(plane.counters()["reject_bounce"], 4, plane.name)


class OtherKeysAndRestarts(PairCase):
    def test_another_key_shows(self):
        """The second does not know the first one's dialogue: what comes is the server's, which resets it."""
        for plane in self.pair(*self.keys):
            self.addCleanup(plane.end)
        for way in WAYS:
            self.steer("numgen inc mod 1000000 >= 1000 meta mark set 1")
            self.dialogue(way)
            self.steer("numgen inc mod 1000000 >= 3 meta mark set 1")
            with self.assertRaises(ConnectionResetError):
                self.dialogue(way)

    def restarted(self, way, n, key_after):
        """A dialogue of whose commands n have been answered when the data plane is restarted; goes on to its 550."""
        plane, = self.pair(self.keys[0])
        self.addCleanup(plane.end)
        with Session(self.lab, *way) as session:
            self.assertEqual(session.reply(), GREETING)
            steps = ((EHLO, EHLO_REPLY), (MAIL, SENDER_OK), (RCPT, denial(way[0])))
            for command, answer in steps[:n]:
                self.assertEqual(session.say(command), answer)
            plane.end()
            plane = Plane(self.lab, "first", PORTS["first"], cookie_key_file=key_after)
            self.addCleanup(plane.end)
            plane.start()
            for command, answer in steps[n:]:
                self.assertEqual(session.say(command), answer)
            self.assertEqual(session.quit(), BYE)
        plane.end()

    def test_restart_in_mid_dialogue(self):
        for way, n in zip(WAYS, (1, 2)):
            self.restarted(way, n, self.keys[0])

    def test_restart_with_another_key_shows(self):
        with self.assertRaises(ConnectionResetError):
            self.restarted(WAYS[0], 1, self.keys[1])


if __name__ == "__main__":
    bl.main()
