#!/usr/bin/python3
"""Link state passed from port to port (dataplane.link_propagate): a cable that is pulled on one side shows on the other,
and when it is back mail flows again; in any order, many times over; and what an end or a kill -9 leaves."""
import ctypes
import fcntl
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from lab import Lab, in_namespace, wait_for  # noqa: E402

SIOCETHTOOL, ETHTOOL_GLINK = 0x8946, 0x0A
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
OTHER = {"sender": "receiver", "receiver": "sender"}
ROUTES = {"sender": [("192.0.2.0/24", "src", bl.SENDER_IPV4), ("2001:db8:25::/64", "src", bl.SENDER_IPV6)],
          "receiver": [("198.51.100.0/24",), ("2001:db8:5::/64",), ("2001:db8:6::/64",)]}
REST_S = 60  # until everything must have come to rest: 5 s for a link to come, 4 s at most for one that flapped, and room
N_LABS, N_SEQUENCES = 5, 20


class Cables:
    """The two cables of a lab: pulled and plugged at the hosts' ends, and what each host sees of its own."""

    def __init__(self, lab):
        self.lab = lab
        self.sockets = {}
        for role in ("sender", "appliance", "receiver"):
            with in_namespace(lab.namespace(role)):
                self.sockets[role] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for role in OTHER:  # addresses stay when a cable goes, as on any host
            lab.run(role, "sysctl", "-qw", "net.ipv6.conf.mail0.keep_addr_on_down=1", check=True)

    def close(self):
        for end in self.sockets.values():
            end.close()

    def flags(self, role, name):
        answer = fcntl.ioctl(self.sockets[role], SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
        return struct.unpack_from("16sH", answer)[1]

    def set_up(self, role, up):
        flags = self.flags(role, "mail0")
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(self.sockets[role], SIOCSIFFLAGS, struct.pack("16sH22x", b"mail0", flags))

    def pull(self, role):
        self.set_up(role, False)

    def plug(self, role, routes=True):
        """The host's kernel forgets its routes with the cable; who only looks at carriers needs none."""
        self.set_up(role, True)
        for prefix, *rest in ROUTES[role] if routes else ():
            self.lab.run(role, "ip", "route", "replace", prefix, "dev", "mail0", *rest, check=True)

    def carrier(self, role):
        """What the host's kernel says of its cable; a host that pulled its own sees none."""
        value = (ctypes.c_uint32 * 2)(ETHTOOL_GLINK, 0)
        fcntl.ioctl(self.sockets[role], SIOCETHTOOL, struct.pack("16sQ16x", b"mail0", ctypes.addressof(value)))
        return value[1] != 0

    def port_is_up(self, port):
        """Whether the appliance's port is not taken down."""
        return self.flags("appliance", port) & IFF_UP != 0

    def wait(self, role, carrier, seconds=10):
        """Returns the milliseconds until the host saw it."""
        start = time.perf_counter()
        wait_for(f"{role}: carrier {carrier}", lambda: self.carrier(role) == carrier, seconds, 0.001)
        return (time.perf_counter() - start) * 1000


def lines(lab):
    path = lab.dir / "dataplane.log"
    return path.read_text() if path.exists() else ""


def wait_up(lab, cables, seconds=REST_S):
    """Both hosts see a carrier, and the data plane has seen its ports' links: what is pulled before that was never there."""
    def up():
        said = lines(lab)
        return all(cables.carrier(role) for role in OTHER) and all(
            said.rfind(f"port {port}: link up") > max(said.rfind(f"port {port}: link DOWN"),
                                                      said.rfind(f"port {port}: taken down")) for port in ("wan0", "lan0"))
    wait_for("both cables", up, seconds)


def start(lab, cables):
    """The data plane forwards, and both hosts see a carrier."""
    before = lines(lab).count("forwarding between")
    lab.start("dataplane")
    wait_for("the data plane", lambda: lines(lab).count("forwarding between") > before, 60)
    wait_up(lab, cables)


class Propagate(unittest.TestCase):
    """One lab with mail; each case starts and ends with both cables in."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=2, settings=["link_propagate: true"])
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.cables = Cables(cls.lab)
        cls.addClassCleanup(cls.cables.close)
        cls.lab.mail_up()
        cls.lab.start("controlplane")
        start(cls.lab, cls.cables)

    def setUp(self):
        self.addCleanup(self.restore)

    def restore(self):
        for role in OTHER:
            self.cables.plug(role)
        if "dataplane" not in self.lab.processes:
            start(self.lab, self.cables)
        wait_up(self.lab, self.cables)

    def assert_mail_flows(self):
        name = self.lab.send("bob@v4.example.org")
        wait_for("the mail", lambda: self.lab.find_mail(name), 60)

    def test_each_side_and_mail_flows_again(self):
        lost, back = [], []
        for role, port, other_port in (("sender", "wan", "lan"), ("receiver", "lan", "wan")):
            with self.subTest(role):
                down = f"{other_port}: port {other_port}0: taken down, {port} has no link"
                taken = lines(self.lab).count(down)
                self.cables.pull(role)
                lost.append(self.cables.wait(OTHER[role], False))
                # The line is written after the port went down, so it may come after the other side saw it.
                wait_for("the line", lambda: lines(self.lab).count(down) > taken, 10)
                self.assertEqual(lines(self.lab).count(down), taken + 1)
                time.sleep(0.3)
                self.assertTrue(self.cables.port_is_up(f"{port}0"), "it must wait for its cable")
                self.assertFalse(self.cables.carrier(OTHER[role]))
                self.cables.plug(role)
                back.append(self.cables.wait(OTHER[role], True))
                wait_up(self.lab, self.cables)
                up = f"{other_port}: port {other_port}0: brought up, {port} has link again"
                wait_for("its line", lambda: up in lines(self.lab), 10)
                self.assert_mail_flows()
        print(f"the other side saw it {', '.join(f'{t:.0f}' for t in lost)} ms after a cable was pulled, "
              f"and {', '.join(f'{t:.0f}' for t in back)} ms after it was put back", flush=True)

    def test_both_cables(self):
        for first, last, back in (("sender", "receiver", "sender"), ("receiver", "sender", "sender")):
            with self.subTest(f"{first} pulled first, {back} back first"):
                self.cables.pull(first)
                self.cables.wait(last, False)
                self.cables.pull(last)
                self.cables.plug(back)
                # Alone it gets a carrier for the time that the other side's link may take at most, and no longer.
                self.cables.wait(back, False, REST_S)
                self.cables.plug(OTHER[back])
                wait_up(self.lab, self.cables)
        self.assert_mail_flows()

    def test_status_counts(self):
        def counters():
            status = self.lab.status()
            return status["dataplanes"][0]["counters"] if status and status["dataplanes"] else {}
        before = wait_for("a report", counters)
        self.cables.pull("sender")
        self.cables.wait("receiver", False)

        def counted():
            now = counters()
            return all(int(now[n]) == int(before[n]) + 1 for n in ("wan_link_lost", "lan_taken_down"))
        wait_for("both in the status", counted)
        self.assertEqual(counters()["lan_link_lost"], before["lan_link_lost"], "taken down is not lost")
        self.assertEqual(counters()["wan_taken_down"], before["wan_taken_down"])

    def test_someone_brings_up_what_is_held(self):
        self.cables.pull("sender")
        self.cables.wait("receiver", False)
        self.lab.run("appliance", "ip", "link", "set", "lan0", "up", check=True)
        self.cables.wait("receiver", False)
        self.assertFalse(self.cables.port_is_up("lan0"))

    def test_a_port_that_an_operator_takes_down(self):
        """It is as good as pulled: the other one follows, and the operator's port is left alone."""
        self.lab.run("appliance", "ip", "link", "set", "wan0", "down", check=True)
        self.cables.wait("receiver", False)
        time.sleep(0.3)
        self.assertFalse(self.cables.port_is_up("wan0"))
        self.lab.run("appliance", "ip", "link", "set", "wan0", "up", check=True)
        self.cables.wait("receiver", True)
        self.assert_mail_flows()

    def test_an_orderly_end_brings_up_what_was_taken_down(self):
        self.cables.pull("receiver")
        self.cables.wait("sender", False)
        self.assertFalse(self.cables.port_is_up("wan0"))
        self.assertEqual(self.lab.kill("dataplane", signal.SIGTERM), 0)
        self.assertTrue(self.cables.port_is_up("wan0"))
        self.assertTrue(self.cables.carrier("sender"))

    def test_a_start_puts_right_what_a_kill_left(self):
        self.cables.pull("receiver")
        self.cables.wait("sender", False)
        self.lab.kill("dataplane")
        self.assertFalse(self.cables.port_is_up("wan0"))
        self.cables.plug("receiver")
        start(self.lab, self.cables)
        self.assert_mail_flows()


class Random(unittest.TestCase):
    """Cables pulled and plugged at random, several labs at a time; then what must come of it."""

    def test_random_sequences_come_to_rest(self):
        labs, threads, failures = [], [], []
        for _ in range(N_LABS):
            lab = Lab(workers=1, settings=["link_propagate: true", "memory_mb: 128", "forward_buffers: 4096"])
            self.addCleanup(lab.__exit__, None, None, None)
            lab.__enter__()
            path = lab.dir / "bounceline.yaml"  # started at once they would fight for huge pages
            path.write_text(path.read_text().replace("hugepages: auto", "hugepages: off"))
            labs.append(lab)
        for number, lab in enumerate(labs):
            threads.append(threading.Thread(target=self.guarded, args=(lab, number, failures)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def guarded(self, lab, number, failures):
        try:
            self.sequences(lab, number)
        except BaseException as error:  # a thread's failure is the test's
            failures.append(f"lab {number}: {error!r}; the data plane said: {lines(lab)[-2000:]}")

    def sequences(self, lab, number):
        rng = random.Random(number)
        cables = Cables(lab)
        start(lab, cables)
        for sequence in range(N_SEQUENCES // N_LABS):
            plugged = {"sender": True, "receiver": True}
            done = []
            for _ in range(rng.randrange(2, 7)):
                role = rng.choice(("sender", "receiver"))
                plugged[role] = not plugged[role]
                if plugged[role]:
                    cables.plug(role, routes=False)
                else:
                    cables.pull(role)
                pause = rng.choice((0, 0.02, 0.06, 0.2, 0.6))
                done.append(f"{role} {'in' if plugged[role] else 'out'}, {pause} s")
                time.sleep(pause)
            self.at_rest(cables, plugged, f"sequence {sequence}: {'; '.join(done)}")
            for role in OTHER:
                cables.plug(role, routes=False)
            self.at_rest(cables, {"sender": True, "receiver": True}, f"both in after sequence {sequence}")
        cables.close()

    def at_rest(self, cables, plugged, what):
        """Both in: both carry. One in: its host sees no carrier, and the appliance's port of the other waits for it."""
        both = all(plugged.values())
        ports = {"sender": "wan0", "receiver": "lan0"}

        def rests():
            if both:
                return all(cables.carrier(role) for role in OTHER)
            waiting = [role for role in OTHER if not plugged[role]]  # both out: one of them at least waits
            return not any(cables.carrier(role) for role in OTHER) and any(cables.port_is_up(ports[r]) for r in waiting)
        wait_for(what, rests, REST_S, 0.01)
        time.sleep(0.15)  # three looks later still
        self.assertTrue(rests(), f"it did not last: {what}")


class Off(unittest.TestCase):
    """The default, and what can't be had."""

    def test_by_default_the_other_port_is_left_alone(self):
        with Lab(workers=1) as lab:
            cables = Cables(lab)
            start(lab, cables)
            cables.pull("sender")
            wait_for("a word on the link", lambda: "wan: port wan0: link DOWN" in lines(lab), 10)
            time.sleep(0.3)
            self.assertTrue(cables.carrier("receiver"))
            self.assertTrue(cables.port_is_up("lan0"))
            cables.close()

    def refused(self, value):
        with tempfile.TemporaryDirectory(prefix="bounceline-link-") as folder:
            folder = pathlib.Path(folder)
            (folder / "in.pcap").write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            (folder / "bounceline.yaml").write_text(f"""dataplane:
  wan: "net_pcap_wan,rx_pcap={folder}/in.pcap,tx_pcap={folder}/wan.pcap"
  lan: "net_pcap_lan,rx_pcap={folder}/in.pcap,tx_pcap={folder}/lan.pcap"
  hostname: mx.example.org
  hugepages: off
  memory_mb: 256
  link_propagate: {value}
""")
            command = [bl.BUILD / "bounceline-dataplane", "--config", folder / "bounceline.yaml"]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
            return done.returncode, done.stderr

    def test_a_driver_that_cannot_is_refused(self):
        code, said = self.refused("true")
        self.assertEqual(code, 2, said)
        for word in ("dataplane.link_propagate", "net_pcap", "dataplane.wan", "expected false"):
            self.assertIn(word, said)

    def test_neither_true_nor_false(self):
        code, said = self.refused("sometimes")
        self.assertEqual(code, 2, said)
        self.assertIn("dataplane.link_propagate: found 'sometimes'", said)


if __name__ == "__main__":
    bl.main()
