#!/usr/bin/python3
"""`enforced` means every worker, now: after the answer to a delist, SYNs that together reach all four workers all pass;
after the answer to a list, the appliance answers all of them. Through a client made with stock gRPC tools.

Reports median and 99th percentile of the answers' times. The ordinary run asks 200 times, BL_LONG=1 1000 times.
Nothing listens on the receiver's port 25: its kernel answers a SYN that came through with a RST, and only the appliance
ever sends a SYN-ACK, so who answered can't be mistaken."""
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from client import Client  # noqa: E402
from frames import ACK, RST, SYN, read_tcp, syn  # noqa: E402
from lab import Lab, Wire, wait_for  # noqa: E402

ROUNDS = 1000 if os.environ.get("BL_LONG") else 200
PROBE_EVERY = 10
PORTS = range(40000, 40064)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Enforce(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=4)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.lab.planes_up()
        cls.client = Client(cls.lab.dir / "control.sock")
        cls.addClassCleanup(cls.client.__exit__)
        cls.sender = Wire(cls.lab, "sender")
        cls.receiver = Wire(cls.lab, "receiver")
        # Neighbours are learnt through the appliance: ARP and neighbour discovery pass, listed or not.
        for role, address in (("sender", bl.RECEIVER_IPV4), ("sender", bl.RECEIVER_IPV6)):
            cls.lab.run(role, "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/25", check=False,
                        capture_output=True)

    def probe(self, source, destination, ports=PORTS):
        """One SYN from each port. Returns (ports seen by the receiver, ports answered SYN-ACK, ports answered RST)."""
        self.sender.drain()
        self.receiver.drain()
        for port in ports:
            self.sender.send(syn((self.receiver.mac, self.sender.mac), source, destination, port))
        seen, accepted, refused = set(), set(), set()
        end = time.monotonic() + 5
        while time.monotonic() < end and len(accepted | refused) < len(ports):
            frame = self.sender.receive(max(0.0, end - time.monotonic()))
            segment = frame and read_tcp(frame)
            if not segment or segment[:2] != (destination, source) or segment[3] not in ports:
                continue
            if segment[4] & (SYN | ACK) == SYN | ACK:
                accepted.add(segment[3])
            elif segment[4] & RST:
                refused.add(segment[3])
        while (frame := self.receiver.receive(0.02)) is not None:
            segment = read_tcp(frame)
            if segment and segment[:2] == (source, destination) and segment[4] == SYN:
                seen.add(segment[2])
        return seen, accepted, refused

    def assert_passes(self, source, destination):
        seen, accepted, refused = self.probe(source, destination)
        self.assertEqual(accepted, set(), "answered by the appliance after the delist was enforced")
        self.assertEqual(seen, set(PORTS), "SYNs that did not come through")
        self.assertEqual(refused, set(PORTS))

    def assert_rejected(self, source, destination):
        seen, accepted, refused = self.probe(source, destination)
        self.assertEqual(seen, set(), "SYNs that came through after the listing was enforced")
        self.assertEqual(accepted, set(PORTS))
        self.assertEqual(refused, set())

    def worker_packets(self):
        return {w["worker"]: int(w["rx_packets"]) for w in self.lab.status()["dataplanes"][0]["workers"]}

    def assert_all_workers(self, before):
        """Every worker has received more than it had (reports come once a second)."""
        def all_more():
            now = self.worker_packets()
            return len(now) == 4 and all(now[w] > before.get(w, 0) for w in now)
        wait_for("packets at all four workers", all_more, 10, 0.1)

    def toggle(self, source, destination):
        """Lists and delists one address ROUNDS times; returns the times of the enforced delists in milliseconds."""
        times = []
        for i in range(ROUNDS):
            answer = self.client.apply("LIST", source)
            self.assertTrue(answer.durable and answer.enforced, answer)
            self.assertEqual((answer.dataplanes_enforced, answer.dataplanes_connected), (1, 1))
            if i % PROBE_EVERY == 0:
                self.assert_rejected(source, destination)
            start = time.perf_counter()
            answer = self.client.apply("DELIST", source)
            times.append((time.perf_counter() - start) * 1000)
            self.assertTrue(answer.durable and answer.enforced, answer)
            self.assertEqual(answer.n_refused, 0, answer)
            if i % PROBE_EVERY == 0:
                self.assert_passes(source, destination)
        return times

    def check_family(self, source, destination):
        before = self.worker_packets()
        times = self.toggle(source, destination)
        self.assert_all_workers(before)
        print(f"{source}: delist --wait enforced, {len(times)} times on an open channel: median "
              f"{percentile(times, 0.5):.2f} ms, p99 {percentile(times, 0.99):.2f} ms, most {max(times):.2f} ms",
              flush=True)

    def test_ipv4(self):
        self.check_family(bl.SENDER_IPV4, bl.RECEIVER_IPV4)

    def test_ipv6(self):
        self.check_family(bl.SENDER_IPV6, bl.RECEIVER_IPV6)

    def test_other_sources_are_not_touched(self):
        self.client.apply("LIST", bl.SENDER_IPV4)
        self.assert_rejected(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assert_passes(bl.OTHER_IPV4, bl.RECEIVER_IPV4)
        self.client.apply("DELIST", bl.SENDER_IPV4)
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)


if __name__ == "__main__":
    bl.main()
