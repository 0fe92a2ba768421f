#!/usr/bin/python3
"""Who spoofs a listed source gets next to nothing reflected: thousands of frames of each kind from many listed sources, with
random numbers, and the bytes that come back for the bytes that went in, of IP and of Ethernet. Prints the table.

What passes to the mail servers is theirs to answer, as without the appliance; the receiver is mute here, so that every byte
that comes back is the appliance's. Each frame is seen to have arrived: the counters of the kind's reasons grow by as many."""
import collections
import contextlib
import ipaddress
import pathlib
import random
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
import tcp  # noqa: E402
from dialogue import EHLO, Plane  # noqa: E402
from lab import Lab, Wire, wait_for  # noqa: E402
from sync import RESET  # noqa: E402
from tcp import ACK, FIN, LINUX_SYN_OPTIONS, MSS, PSH, RST, SYN  # noqa: E402

N, CHUNK = 1000, 100
PORTS_A_KIND = 2000
N_ARRIVED = 0.999  # of what was sent
VERDICTS = ("pass", "reject", "drop", "reset")
SO_RCVBUFFORCE = 33
RESEND_S = 2.5  # the ring's last try is over
REJECTED = {4: ipaddress.ip_network("198.18.0.0/16"), 6: ipaddress.ip_network("2001:db8:bad::/64")}
RESETTED = {4: ipaddress.ip_network("198.19.0.0/16"), 6: ipaddress.ip_network("2001:db8:bad:1::/64")}
RECEIVER = {4: bl.RECEIVER_IPV4, 6: bl.RECEIVER_IPV6}
# Listed here by force: no control plane would.
BOGONS = {4: ("0.1.2.3", "127.0.0.1", "169.254.9.9", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255"),
          6: ("::", "::1", "ff02::1", "ff0e::99", "::ffff:198.18.1.1")}
GROUPS = {4: ("224.0.0.1", "239.9.9.9", "255.255.255.255"), 6: ("ff02::1", "ff0e::99")}
ALL = 1 << 32


class Kind:
    """One row: how its frames are made, what the data plane calls them, and what may come back."""

    def __init__(self, text, bar, reason, flags=0, **fields):
        """fields: of the TCP segment, and networks, sources, destinations, group_mac, make (another maker of packets)."""
        self.text, self.bar, self.reason, self.flags = text, bar, reason, flags
        self.networks = fields.pop("networks", REJECTED)
        self.sources, self.destinations = fields.pop("sources", None), fields.pop("destinations", None)
        self.group_mac, self.make = fields.pop("group_mac", False), fields.pop("make", None)
        self.fields = fields

    def packet(self, rng, version, port):
        network = self.networks[version]
        source = rng.choice(self.sources[version]) if self.sources else str(network[rng.randrange(1, 65535)])
        destination = rng.choice(self.destinations[version]) if self.destinations else RECEIVER[version]
        if self.make:
            return self.make(rng, source, destination, port)
        acknowledgement = rng.randrange(ALL) if self.flags & ACK else 0
        return tcp.ip_packet(source, destination, 6, tcp.tcp_bytes(
            source, destination, self.flags, source_port=port, sequence=rng.randrange(ALL),
            acknowledgement=acknowledgement, **self.fields))


def fragment(rng, source, destination, port):
    """A first fragment of TCP to port 25, or one behind it."""
    data = tcp.tcp_bytes(source, destination, ACK, source_port=port, payload=b"x" * 100)
    first = rng.random() < 0.5
    if ":" not in source:
        return tcp.ip_packet(source, destination, 6, data, fragment=0x2000 if first else 0x2005)
    return tcp.ip_packet(source, destination, 44, struct.pack(">BBHI", 6, 0, 1 if first else 41, 7) + data)


def udp(_, source, destination, port):
    data = struct.pack(">HHHH", port, 25, 108, 0) + b"x" * 100
    return tcp.ip_packet(source, destination, 17, data)


def odd_flags(rng, source, destination, port):
    """None, all of them, FIN alone, SYN with FIN or with RST."""
    flags = rng.choice((0, 0x3F, FIN, SYN | FIN, SYN | RST, FIN | PSH | 0x20))
    return tcp.ip_packet(source, destination, 6, tcp.tcp_bytes(source, destination, flags, source_port=port))


class Volume:
    def __init__(self):
        self.packets = self.ip_bytes = self.ethernet_bytes = 0

    def add(self, ip_bytes, ethernet_bytes):
        self.packets += 1
        self.ip_bytes += ip_bytes
        self.ethernet_bytes += ethernet_bytes


ESTABLISHED = "pass_established"
KINDS = (
    Kind("SYN without options", 1.1, "reject_syn", SYN),
    Kind("SYN with an MSS", 1.1, "reject_syn", SYN, options=MSS),
    Kind("SYN as Linux sends it", 1.0, "reject_syn", SYN, options=LINUX_SYN_OPTIONS),
    Kind("SYN with 512 bytes of data", 0.15, "reject_syn", SYN, payload=b"x" * 512),
    Kind("ACK", 0.01, ESTABLISHED, ACK),
    Kind("data", 0.01, ESTABLISHED, ACK | PSH, payload=EHLO),
    Kind("FIN, ACK", 0.01, ESTABLISHED, FIN | ACK),
    Kind("RST", 0, ESTABLISHED, RST),
    Kind("RST, ACK", 0, ESTABLISHED, RST | ACK),
    Kind("SYN, ACK", 0, "drop_flags", SYN | ACK, options=MSS),
    Kind("flags that no connection has", 0, "drop_flags", make=odd_flags),
    Kind("fragments", 0, "drop_fragment", make=fragment),
    Kind("UDP to port 25", 0, "pass_other", make=udp),
    Kind("SYN from a bogon", 0, "drop_unanswerable", SYN, options=MSS, sources=BOGONS),
    Kind("SYN from itself", 0, "drop_unanswerable", SYN, options=MSS, sources={v: [RECEIVER[v]] for v in RECEIVER}),
    Kind("SYN to broadcast, multicast", 0, "drop_unanswerable", SYN, options=MSS, destinations=GROUPS),
    Kind("SYN in a group's frame", 0, "drop_unanswerable", SYN, options=MSS, group_mac=True),
    Kind("SYN, its class resets", 1.0, "reset_action", SYN, networks=RESETTED),
    Kind("ACK, its class resets", 1.0, "reset_action", ACK, networks=RESETTED),
    Kind("RST, its class resets", 0, "reset_action", RST, networks=RESETTED),
)


def setUpModule():
    lab = Lab(workers=2)
    unittest.addModuleCleanup(lab.__exit__, None, None, None)
    Reflection.lab = lab.__enter__()
    lab.run("receiver", "nft", "-f", "-", text=True, check=True,
            input="table inet test {\n chain c {\n  type filter hook output priority 0; policy drop;\n }\n}\n")


class Reflection(unittest.TestCase):
    """No limits but those of the resend ring: the worst case. The ring sends a SYN-ACK again for at most so many handshakes of a
    worker as it has credits, which completed ones earn: of these here, none."""

    SETTINGS = {"established_per_s": 0, "resets_per_s": 0, "answers_per_s": 0}
    KINDS = KINDS
    RESENT_MAX = 2 * 64

    lab = None

    @classmethod
    def setUpClass(cls):
        cls.plane = Plane(cls.lab, **cls.SETTINGS)
        cls.addClassCleanup(cls.plane.end)
        cls.plane.start({})
        sources = [*BOGONS[4], *BOGONS[6], *RECEIVER.values()]
        entries = {str(ipaddress.ip_network(one)): 1 for one in sources if "ffff" not in one}
        entries.update({"::ffff:0:0/96": 1, **{str(REJECTED[v]): 1 for v in REJECTED},
                        **{str(RESETTED[v]): 2 for v in RESETTED}})
        cls.plane.sync.snapshot(entries, [cls.plane.sync.class_definition(1),
                                          cls.plane.sync.class_definition(2, action=RESET)])
        cls.wire = cls.enterClassContext(Wire(cls.lab, "sender"))
        cls.receiver = cls.enterClassContext(Wire(cls.lab, "receiver"))
        cls.wire.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)

    def send_all(self):
        """N frames of each kind and family. The source port says of which kind a frame is, and so does an answer's
        destination port."""
        for index, kind in enumerate(self.KINDS):
            macs = (b"\x01\x00\x5e\0\0\x01" if kind.group_mac else self.receiver.mac, self.wire.mac)
            for at in range(2 * N):
                version = (4, 6)[at % 2]
                packet = kind.packet(self.rng, version, PORTS_A_KIND * (index + 1) + self.rng.randrange(PORTS_A_KIND))
                frame = tcp.ethernet(macs, packet)
                self.wire.send(frame)
                self.sent[index, version].add(len(packet), len(frame))
                if at % CHUNK == CHUNK - 1:
                    self.collect()
                    time.sleep(0.001)  # so that no ring overflows; the counters say whether one did

    def collect(self):
        """Counts what came back."""
        self.wire.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                data, address = self.wire.socket.recvfrom(65536)
                if address[2] == socket.PACKET_OUTGOING or data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
                    continue
                segment = tcp.read(data)
                self.assertIsNotNone(segment, f"not TCP: {data.hex()}")
                version = 6 if ":" in segment.destination else 4
                index = segment.destination_port // PORTS_A_KIND - 1
                self.assertLess(index, len(self.KINDS), segment)
                self.back[index, version].add(segment.ip_bytes, len(data))

    def test_bytes_out_for_bytes_in(self):
        self.rng = random.Random(25)
        rows = [(index, version) for index in range(len(self.KINDS)) for version in (4, 6)]
        self.sent = {row: Volume() for row in rows}
        self.back = {row: Volume() for row in rows}
        before = self.plane.counters()
        self.wire.drain()
        self.send_all()
        expected = collections.Counter()
        for kind in self.KINDS:
            expected[kind.reason] += 2 * N

        def arrived():
            now = self.plane.counters()
            return sum(now[name] - before[name] for name in now if name.split("_")[0] in VERDICTS) >= N_ARRIVED * sum(
                expected.values())
        wait_for("all frames to be counted", arrived, 20)
        time.sleep(RESEND_S)
        self.collect()
        grown = {name: value - before[name] for name, value in self.plane.counters().items()}
        self.judge(grown["resent_syn_ack"])
        for reason, n in expected.items():
            self.assertGreaterEqual(grown[reason], N_ARRIVED * n, reason)
        self.assertEqual(grown["resent_greeting"], 0)
        print(f"Of these, SYN-ACKs that the resend ring sent again: {grown['resent_syn_ack']}", flush=True)
        self.assertLessEqual(grown["resent_syn_ack"], self.RESENT_MAX)

    def judge(self, n_resent):
        print("\n| spoofed | IPv4: bytes of IP in, out | out/in | on Ethernet | IPv6: in, out | out/in | on Ethernet | bar |"
              "\n|---|---|---|---|---|---|---|---|")
        for index, kind in enumerate(self.KINDS):
            cells = []
            for version in (4, 6):
                sent, back = self.sent[index, version], self.back[index, version]
                shares = back.ip_bytes / sent.ip_bytes, back.ethernet_bytes / sent.ethernet_bytes
                cells += [f"{sent.ip_bytes / N:.0f}, {back.ip_bytes / N:.3g}", *(f"{share:.2f}" for share in shares)]
                with self.subTest(kind.text, version=version):
                    self.assertLessEqual(back.packets, sent.packets + n_resent, "more than one packet back for one")
                    for share in shares:
                        self.assertLessEqual(share, kind.bar + 1e-9)
                    # A bar that is not near zero is for what is answered: each frame, once.
                    if kind.bar > 0.05:
                        self.assertGreaterEqual(back.packets, N * 0.999)
            print(f"| {kind.text} | {' | '.join(cells)} | {kind.bar} |", flush=True)


class ReflectionOfReset(Reflection):
    """`established: reset` answers what is not ours: with fewer bytes, and never a RST."""

    SETTINGS = {**Reflection.SETTINGS, "established": "reset", "resend_entries": 0}
    RESENT_MAX = 0
    KINDS = (
        Kind("ACK, established: reset", 1.0, "reset_established", ACK),
        Kind("data, established: reset", 1.0, "reset_established", ACK | PSH, payload=EHLO),
        Kind("FIN, ACK, established: reset", 1.0, "reset_established", FIN | ACK),
        Kind("RST, established: reset", 0, "pass_established", RST),
        Kind("RST, ACK, established: reset", 0, "pass_established", RST | ACK),
    )


class ReflectionOfDrop(Reflection):
    """`established: drop`: nothing at all."""

    SETTINGS = {**Reflection.SETTINGS, "established": "drop", "resend_entries": 0}
    RESENT_MAX = 0
    KINDS = (
        Kind("ACK, established: drop", 0.01, "drop_established", ACK),
        Kind("data, established: drop", 0.01, "drop_established", ACK | PSH, payload=EHLO),
        Kind("RST, established: drop", 0, "drop_established", RST),
    )


if __name__ == "__main__":
    bl.main()
