#!/usr/bin/python3
"""Why was this address rejected? Both programs: what is rejected shows in `bounceline rejects`, with the listing behind
it, the stage and the worker, once and live; the file has it, and is rotated; `top` counts it; the samples add up to the
counters. A flood does not hide a 550, and a control plane that is stuck, dead or out of disk holds nothing up."""
import json
import os
import pathlib
import random
import select
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
import controlplane as cp  # noqa: E402
import lab as bl  # noqa: E402
from controlplane import ControlPlane, DataPlane, apply, pb, sync, update  # noqa: E402
from frames import syn  # noqa: E402
from lab import Lab, Wire, in_namespace, wait_for  # noqa: E402

PROGRAM = bl.BUILD / "bounceline"
RATE = 1000  # dataplane.reject_samples_per_s of the lab


def dialogue(lab, source, destination, seconds=10.0):
    """A whole attempt of a listed source; returns the answer to RCPT."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with in_namespace(lab.namespace("sender")):
        connection = socket.socket(family)
    with connection:
        connection.settimeout(seconds)
        connection.bind((source, 0))
        connection.connect((destination, 25))
        lines = connection.makefile("rb")
        answer = lines.readline()
        for command in ("EHLO sender.example.net", "MAIL FROM:<a@sender.example.net>", "RCPT TO:<b@example.org>"):
            connection.sendall(command.encode() + b"\r\n")
            answer = lines.readline()
            while answer[3:4] == b"-":
                answer = lines.readline()
        connection.sendall(b"QUIT\r\n")
        lines.readline()
        return answer.decode()


class Follow:
    """`bounceline rejects --follow`, line by line."""

    def __init__(self, socket_path, *arguments):
        self.process = subprocess.Popen([str(PROGRAM), "--socket", str(socket_path), "rejects", "--follow",
                                         *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    @staticmethod
    def _read(stream, word, seconds):
        """What it said, up to and with the line that holds word."""
        said, end = "", time.monotonic() + seconds
        while word not in said or not said.endswith("\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                raise AssertionError(f"not within {seconds} s: {word}; said: {said}")
            data = os.read(stream.fileno(), 65536)
            if not data:
                raise AssertionError(f"ended without {word}: {said}")
            said += data.decode()
        return said

    def line(self, word, seconds=20.0):
        return self._read(self.process.stdout, word, seconds)

    def complaint(self, word, seconds=20.0):
        return self._read(self.process.stderr, word, seconds)


class Wired(unittest.TestCase):
    """Both programs and two workers between two namespaces; one lab for all cases."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=2, settings=[f"reject_samples_per_s: {RATE}"])
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        config = cls.lab.dir / "bounceline.yaml"
        cls.file = cls.lab.dir / "rejects.json"
        config.write_text(config.read_text().replace(
            "controlplane:\n", f"controlplane:\n  rejects_file: {cls.file}\n"
            "  sources:\n    - name: drop\n      code: 607\n    - name: quiet\n      code: 608\n      action: drop\n"
            "    - name: short\n      code: 609\n      action: reset\n"))
        cls.lab.planes_up()
        for address in (bl.SENDER_IPV4, bl.SENDER_IPV6, bl.RECEIVER_IPV4, bl.RECEIVER_IPV6):
            role = "receiver" if address in (bl.RECEIVER_IPV4, bl.RECEIVER_IPV6) else "sender"
            wait_for("addresses", lambda a=address, r=role: cls.bound(r, a), 10)

    @classmethod
    def bound(cls, role, address):
        """IPv6 addresses take a moment to be usable."""
        with in_namespace(cls.lab.namespace(role)):
            probe = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        with probe:
            try:
                probe.bind((address, 0))
                return True
            except OSError:
                return False

    def setUp(self):
        self.listed = []
        self.start_ms = int(time.time() * 1000)

    def tearDown(self):
        outcome = self._outcome.result
        if any(case is self for case, _ in outcome.failures + outcome.errors):
            self.lab.explain()
        for plane in ("controlplane", "dataplane"):
            if plane not in self.lab.processes:
                self.lab.start(plane)
        self.lab.wait_ready()
        for prefix, source in self.listed:
            self.lab.client("delist", prefix, "--source", source, "--wait", "enforced", expect=None)

    def list(self, prefix, source):
        self.listed.append((prefix, source))
        self.lab.client("list", prefix, "--source", source, "--force", "--wait", "enforced")

    def rejects(self, *arguments):
        """Of this test: nothing older."""
        shown = self.lab.client("rejects", "--json", "--limit", "10000", *arguments, expect=None)
        return [r for r in json.loads(shown.stdout)["rejects"] if r["time_ms"] >= self.start_ms - 1000]

    def wait_rejects(self, n, *arguments):
        return wait_for(f"{n} rejects", lambda: (found := self.rejects(*arguments)) and len(found) >= n and found)

    def counters(self):
        """What the data plane has counted, from a report that it made after this call: the second one that comes."""
        ages = []

        def reported():
            plane = self.lab.status()["dataplanes"][0]
            ages.append(plane["age_ms"])
            n_reports = sum(later < earlier for earlier, later in zip(ages, ages[1:]))
            return plane["connected"] and n_reports >= 2 and plane["counters"]
        return wait_for("two reports", reported)

    # What is seen.

    def test_the_reject_is_explained(self):
        self.list("198.51.100.0/24", "drop")
        self.list("2001:db8:5::/48", "drop")
        for source, destination, prefix in ((bl.SENDER_IPV4, bl.RECEIVER_IPV4, "198.51.100.0/24"),
                                            (bl.SENDER_IPV6, bl.RECEIVER_IPV6, "2001:db8:5::/48")):
            with self.subTest(source):
                before_ms = int(time.time() * 1000)
                known = {r["id"] for r in self.rejects(source)}  # of the test before, a moment ago
                self.assertIn("550 5.7.607", dialogue(self.lab, source, destination))
                found = wait_for("a reject", lambda s=source, k=known: [r for r in self.rejects(s) if r["id"] not in k])
                self.assertEqual(len(found), 1, found)
                seen = found[0]
                expected = {"source": source, "destination": destination, "destination_port": 25, "denied_at": "RCPT",
                            "reason": "reject_bounce", "code": 607, "action": "reject", "listing": prefix,
                            "listing_source": "drop", "dataplane": "lab", "weight": 1}
                self.assertEqual({key: seen[key] for key in expected}, expected)
                self.assertIn(seen["worker"], (0, 1))
                self.assertLess(abs(seen["time_ms"] - before_ms), 2000)
                self.assertGreater(seen["source_port"], 1023)
                line = self.lab.client("rejects", source).stdout.splitlines()[-1]
                shown = f"[{destination}]:25" if ":" in destination else f"{destination}:25"
                self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z ")
                self.assertTrue(line[25:] == f"{source} -> {shown} 550 5.7.607 at RCPT, listed by {prefix} from drop, "
                                f"lab worker {seen['worker']}", line)

    def test_the_stages_before_are_there_for_who_asks(self):
        self.list("198.51.100.0/24", "drop")
        dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        wait_for("QUIT", lambda: any(r["reason"] == "reject_quit" for r in self.rejects("--all")))
        reasons = [r["reason"] for r in self.rejects("--all", bl.SENDER_IPV4)]
        for reason in ("reject_syn", "reject_greeting", "reject_command", "reject_bounce", "reject_quit"):
            self.assertIn(reason, reasons)
        self.assertEqual({r["reason"] for r in self.rejects(bl.SENDER_IPV4)}, {"reject_bounce"})
        shown = self.lab.client("rejects", "--all", "--limit", "1000").stdout
        self.assertIn("SYN answered with a cookie (code 607), listed by 198.51.100.0/24 from drop", shown)

    def test_drops_and_resets(self):
        self.list(f"{bl.SENDER_IPV4}/32", "quiet")
        with self.assertRaises(socket.timeout):
            dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4, 1.5)
        found = self.wait_rejects(1, bl.SENDER_IPV4)
        self.assertEqual({(r["reason"], r["code"], r["listing_source"], r["denied_at"]) for r in found},
                         {("drop_action", 608, "quiet", "")})
        self.list(f"{bl.OTHER_IPV4}/32", "short")
        with self.assertRaises(ConnectionRefusedError):
            dialogue(self.lab, bl.OTHER_IPV4, bl.RECEIVER_IPV4)
        found = self.wait_rejects(1, bl.OTHER_IPV4)
        self.assertEqual([(r["reason"], r["code"], r["action"]) for r in found], [("reset_action", 609, "reset")])
        lines = self.lab.client("rejects").stdout
        self.assertIn("dropped (code 608), listed by 198.51.100.10/32 from quiet", lines)
        self.assertIn("reset (code 609), listed by 198.51.100.11/32 from short", lines)

    def test_swaks(self):
        self.list("198.51.100.0/24", "drop")
        done = self.lab.run("sender", "swaks", "--server", bl.RECEIVER_IPV4, "--local-interface", bl.SENDER_IPV4,
                            "--from", "a@sender.example.net", "--to", "b@receiver.example.org", "--timeout", "10",
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 24, done.stdout)
        # swaks says QUIT behind it; the one 550 is RCPT's, said again where its segment came again.
        found = self.wait_rejects(1, bl.SENDER_IPV4)
        self.assertEqual({(r["source_port"], r["denied_at"]) for r in found}, {(found[0]["source_port"], "RCPT")})

    def test_follow_shows_it_live(self):
        self.list("198.51.100.0/24", "drop")
        with Follow(self.lab.dir / "control.sock", bl.SENDER_IPV4) as follow:
            for _ in range(3):
                dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4)
                self.assertIn("550 5.7.607 at RCPT, listed by 198.51.100.0/24 from drop", follow.line("at RCPT"))
            follow.process.send_signal(signal.SIGINT)
            self.assertEqual(follow.process.wait(10), 0)
            self.assertEqual(follow.process.stderr.read(), b"")

    def test_nobody_reads_any_more(self):
        """`bounceline rejects --follow | head`: ends when its pipe is closed."""
        with Follow(self.lab.dir / "control.sock") as follow:
            follow.process.stdout.close()
            self.assertIn(follow.process.wait(10), (0, -signal.SIGPIPE))
            self.assertEqual(follow.process.stderr.read(), b"")

    def test_top_and_lookup_count_it(self):
        self.list("198.51.100.0/24", "drop")
        self.list("2001:db8:5::/48", "drop")

        def count(prefix, *kind):
            top = json.loads(self.lab.client("top", "--json", *kind).stdout)
            return next((e["n_events"] for e in top["entries"] if e["prefix"] == prefix), 0)
        wanted = ((bl.SENDER_IPV4, ()), (bl.SENDER_IPV6, ()), ("198.51.100.0/24", ("--listings",)),
                  ("2001:db8:5::/48", ("--listings",)))
        before = [count(prefix, *kind) for prefix, kind in wanted]
        for _ in range(5):
            dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        for _ in range(2):
            dialogue(self.lab, bl.SENDER_IPV6, bl.RECEIVER_IPV6)
        added = [5, 2, 5, 2]
        wait_for("top", lambda: [count(p, *k) for p, k in wanted] == [b + a for b, a in zip(before, added)])
        layers = json.loads(self.lab.client("lookup", bl.SENDER_IPV4, "--json").stdout)["lookups"][0]["layers"]
        self.assertEqual(layers[0]["n_hits"], before[2] + 5)
        self.assertLess(abs(layers[0]["last_hit_ms"] - time.time() * 1000), 60000)
        self.assertRegex(self.lab.client("lookup", bl.SENDER_IPV4).stdout, r"\d+ hits, last 20\d\d-")
        self.assertIn("198.51.100.0/24 from drop", self.lab.client("top", "--listings").stdout)

    def test_the_file_has_every_one(self):
        self.list("198.51.100.0/24", "drop")
        for _ in range(4):
            dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        found = self.wait_rejects(4, bl.SENDER_IPV4)

        def lines():
            return [json.loads(line) for line in self.file.read_text().splitlines()]
        wait_for("lines", lambda: sum(line["reason"] == "reject_bounce" and line["time_ms"] >= found[0]["time_ms"]
                                      for line in lines()) >= 4)
        written = {(line["time_ms"], line["source_port"]): line for line in lines() if line["reason"] == "reject_bounce"}
        for reject in found:
            line = written[(reject["time_ms"], reject["source_port"])]
            for key in ("source", "destination", "denied_at", "code", "action", "listing", "listing_source",
                        "dataplane", "worker", "weight"):
                self.assertEqual(line[key], reject[key], key)

    # What nobody may wait for.

    def flood(self, wire, n, sources=200):
        """n SYNs of forged sources in the listed network, as fast as they go."""
        macs = (self.receiver_mac(), wire.mac)
        frames = [syn(macs, f"198.51.100.{random.randrange(20, 20 + sources)}", bl.RECEIVER_IPV4,
                      random.randrange(1024, 65536)) for _ in range(500)]
        for i in range(n):
            try:
                wire.send(frames[i % len(frames)])
            except OSError:
                time.sleep(0.001)  # the interface's queue is full

    def receiver_mac(self):
        done = self.lab.run("receiver", "cat", "/sys/class/net/mail0/address", stdout=subprocess.PIPE, text=True,
                            check=True)
        return bytes.fromhex(done.stdout.strip().replace(":", ""))

    def told_syns(self):
        """How many SYNs the samples in the file stand for, when all that was taken in is written."""
        def written():
            counts = self.lab.status()["counters"]
            return counts["rejects_file_lines"] == counts["rejects_taken"] and counts
        self.assertEqual(wait_for("all lines", written)["rejects_lost"], 0)
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        return sum(line["weight"] for line in lines if line["reason"] == "reject_syn")

    def settle(self):
        """Every worker tells what it had left over, with a sample that its bucket has room for: two reports take more
        than the second in which it fills. Returns (SYNs counted, SYNs told)."""
        self.counters()
        with Wire(self.lab, "sender") as wire:
            self.flood(wire, 100)
        return self.counters()["reject_syn"], self.told_syns()

    def assert_adds_up(self, before):
        """Samples and counters agree to the event."""
        after = self.settle()
        self.assertGreater(after[0] - before[0], 1000)
        self.assertEqual(after[1] - before[1], after[0] - before[0])

    def test_a_flood_hides_no_550(self):
        self.list("198.51.100.0/24", "drop")
        settled = self.settle()
        before = self.counters()
        child = os.fork()
        if child == 0:
            try:
                with Wire(self.lab, "sender") as wire:
                    self.flood(wire, 60000)
            finally:
                os._exit(0)
        answers, flooding = [], True
        while flooding or len(answers) < 5:  # most of them while the flood has used its budget up
            answers.append(dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4, 30))
            flooding = flooding and os.waitpid(child, os.WNOHANG)[0] == 0
        self.assertTrue(all("550 5.7.607" in answer for answer in answers), answers)
        counted = self.counters()
        found = self.wait_rejects(len(answers), bl.SENDER_IPV4)
        # Every 550 is told by itself: none stands for another.
        self.assertEqual(sum(r["weight"] for r in found), counted["reject_bounce"] - before["reject_bounce"])
        self.assertTrue(all(r["weight"] == 1 for r in found), found)
        self.assertTrue(any(r["weight"] > 1 for r in self.rejects("--all") if r["reason"] == "reject_syn"),
                        "the flood stayed within the budget")
        self.assert_adds_up(settled)

    def stop_controlplane(self):
        os.kill(self.controlplane_pid(), signal.SIGSTOP)

    def continue_controlplane(self):
        os.kill(self.controlplane_pid(), signal.SIGCONT)

    def controlplane_pid(self):
        """`ip netns exec` becomes the program: one process."""
        return self.lab.processes["controlplane"].pid

    def test_a_stuck_control_plane_holds_nothing_up(self):
        self.list("198.51.100.0/24", "drop")
        settled = self.settle()
        before = self.counters()
        self.stop_controlplane()
        try:
            with Wire(self.lab, "sender") as wire:
                end = time.monotonic() + 5  # at 1000 a second: more than socket and rings hold
                while time.monotonic() < end:
                    self.flood(wire, 2000)
                    time.sleep(0.1)
            for _ in range(3):
                self.assertIn("550 5.7.607", dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4))
                self.assert_forwards()
        finally:
            self.continue_controlplane()
        self.lab.wait_ready()
        counted = self.counters()
        self.assertGreater(counted["reject_samples_lost"], before["reject_samples_lost"])
        self.assertGreaterEqual(len(self.wait_rejects(3, bl.SENDER_IPV4)), 3)
        # What the rings had no room for went into the weights of what came after.
        self.assert_adds_up(settled)

    def assert_forwards(self):
        """A frame of a source that is not listed goes through."""
        with Wire(self.lab, "receiver") as receiver, Wire(self.lab, "sender") as sender:
            frame = syn((receiver.mac, sender.mac), "203.0.113.77", bl.RECEIVER_IPV4, 1234)
            sender.send(frame)
            end = time.monotonic() + 10
            while time.monotonic() < end:
                if receiver.receive(1) == frame:
                    return
        self.fail("not forwarded")

    def test_a_dead_control_plane_is_told_afterwards(self):
        self.list("198.51.100.0/24", "drop")
        with Follow(self.lab.dir / "control.sock", "--limit", "1") as follow:
            dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4)
            follow.line("at RCPT")
            self.lab.kill("controlplane")
            follow.complaint("waiting for it")
            for _ in range(3):
                self.assertIn("550 5.7.607", dialogue(self.lab, bl.SENDER_IPV4, bl.RECEIVER_IPV4))
                self.assert_forwards()
            self.lab.start("controlplane")
            self.lab.wait_ready()
            follow.complaint("was restarted")
            follow.line("at RCPT")
            self.assertIsNone(follow.process.poll())
        # The rejects of the time between waited in the workers' rings.
        self.assertEqual(len(self.wait_rejects(3, bl.SENDER_IPV4)), 3)


class Alone(unittest.TestCase):
    """The control plane, told by a data plane that is this test."""

    @staticmethod
    def sample(i=0, **fields):
        address = struct.pack(">I", 0xC0000200 + i % 250)
        values = {"time_ms": int(time.time() * 1000), "source": address, "destination": b"\xc0\0\2\xff",
                  "source_port": 1000 + i % 60000, "destination_port": 25, "class_id": 1, "reason": "reject_bounce",
                  "denied_at": 3, "worker": i % 4, "weight": 1, **fields}
        return sync.RejectSample(**values)

    def tell(self, edge, n, **fields):
        for start in range(0, n, 256):
            edge.send(rejects=sync.RejectSamples(samples=[self.sample(i, **fields)
                                                          for i in range(start, min(n, start + 256))]))

    @staticmethod
    def counters(plane):
        return {c.name: c.value for c in plane.status().counters}

    def wait_taken(self, plane, n):
        cp.wait_for(f"{n} rejects taken", lambda: self.counters(plane)["rejects_taken"]
                    + self.counters(plane)["rejects_lost"] >= n)

    def test_the_file_is_rotated(self):
        with tempfile.TemporaryDirectory(prefix="bounceline-test-") as folder:
            path = pathlib.Path(folder) / "rejects.json"
            settings = f"  rejects_file: {path}\n  rejects_file_mb: 1\n  rejects_files: 3\n"
            with ControlPlane(settings) as plane, DataPlane(plane) as edge:
                apply(plane.stub(), update("LIST", "192.0.2.0/24"), enforced=True)
                told = 0
                for _ in range(6):  # some 2.5 MiB each: more than three files hold
                    self.tell(edge, 6000)
                    told += 6000
                    cp.wait_for("lines", lambda: self.counters(plane)["rejects_file_lines"]
                                + self.counters(plane)["rejects_lost"] >= told, 30)
                names = sorted(p.name for p in pathlib.Path(folder).iterdir())
                self.assertEqual(names, ["rejects.json", "rejects.json.1", "rejects.json.2"])
                for name in names:
                    part = pathlib.Path(folder) / name
                    self.assertLessEqual(part.stat().st_size, 1 << 20)
                    lines = part.read_text().splitlines()
                    self.assertTrue(all(json.loads(line)["listing"] == "192.0.2.0/24" for line in lines))
                self.assertEqual(self.counters(plane)["rejects_file_lost"], 0)

    def test_a_full_disk_is_counted_and_told_once(self):
        with tempfile.TemporaryDirectory(prefix="bounceline-test-") as folder:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", folder], check=True)
            try:
                path = pathlib.Path(folder) / "rejects.json"
                with ControlPlane(f"  rejects_file: {path}\n  rejects_file_mb: 64\n") as plane, \
                        DataPlane(plane) as edge:
                    apply(plane.stub(), update("LIST", "192.0.2.0/24"), enforced=True)
                    self.tell(edge, 3000)
                    self.wait_taken(plane, 3000)
                    cp.wait_for("lost lines", lambda: self.counters(plane)["rejects_file_lost"] > 0)
                    # The list goes on, and so do the rejects in memory.
                    self.assertTrue(apply(plane.stub(), update("LIST", "203.0.113.0/24"), enforced=True).enforced)
                    self.tell(edge, 1000)
                    self.wait_taken(plane, 4000)
                    cp.wait_for("kept", lambda: len(plane.stub().ListRejects(pb.ListRejectsRequest(limit=10000))
                                                    .rejects) >= 4000)
                    for line in path.read_text().splitlines():
                        json.loads(line)  # none was cut
                    # Room again: it is written again.
                    path.unlink()
                    written = self.counters(plane)["rejects_file_lines"]
                    self.tell(edge, 10)
                    cp.wait_for("written again", lambda: self.counters(plane)["rejects_file_lines"] == written + 10)
                    self.assertEqual(plane.said().count("No space left"), 1, plane.said())
                    self.assertEqual(plane.said().count(": written again"), 1, plane.said())
            finally:
                subprocess.run(["umount", folder], check=True)

    def test_cursor_and_what_was_overwritten(self):
        with ControlPlane("  rejects_kept: 100\n") as plane, DataPlane(plane) as edge:
            stub = plane.stub()
            apply(stub, update("LIST", "192.0.2.0/24"), enforced=True)
            self.tell(edge, 50)
            cp.wait_for("50", lambda: len(stub.ListRejects(pb.ListRejectsRequest()).rejects) == 50)
            first = stub.ListRejects(pb.ListRejectsRequest(limit=5))
            self.assertEqual([r.id for r in first.rejects], [46, 47, 48, 49, 50])
            self.tell(edge, 300)
            cp.wait_for("350", lambda: stub.ListRejects(pb.ListRejectsRequest(limit=1)).next == 350)
            more = stub.ListRejects(pb.ListRejectsRequest(instance=first.instance, after=first.next, limit=60))
            self.assertEqual((more.n_lost, more.rejects[0].id, len(more.rejects), more.more), (200, 251, 60, True))
            rest = stub.ListRejects(pb.ListRejectsRequest(instance=first.instance, after=more.next, limit=60))
            self.assertEqual((rest.n_lost, rest.rejects[0].id, len(rest.rejects), rest.more), (0, 311, 40, False))
            # Of another run: begins anew.
            other = stub.ListRejects(pb.ListRejectsRequest(instance=first.instance + 1, after=3, limit=2))
            self.assertEqual((other.n_lost, [r.id for r in other.rejects]), (0, [349, 350]))
            for bad in (pb.ListRejectsRequest(limit=10001), pb.ListRejectsRequest(prefix="192.0.2"),
                        pb.ListRejectsRequest(prefix="192.0.2.1/24")):
                cp.refused(lambda bad=bad: stub.ListRejects(bad), cp.Code.INVALID_ARGUMENT)
            cp.refused(lambda: stub.GetTop(pb.GetTopRequest()), cp.Code.INVALID_ARGUMENT)
            cp.refused(lambda: stub.GetTop(pb.GetTopRequest(kind=1, limit=1025)), cp.Code.INVALID_ARGUMENT)

    def test_top_goes_by_weight(self):
        with ControlPlane() as plane, DataPlane(plane) as edge:
            stub = plane.stub()
            apply(stub, update("LIST", "192.0.2.0/24"), enforced=True)
            edge.send(rejects=sync.RejectSamples(samples=[
                self.sample(1, weight=5), self.sample(2, weight=70), self.sample(1, weight=6), self.sample(3),
                self.sample(4, reason="reject_syn", weight=1000), self.sample(5, reason="of_another_version")]))
            cp.wait_for("taken", lambda: stub.GetTop(pb.GetTopRequest(kind=1)).n_events == 82)
            top = stub.GetTop(pb.GetTopRequest(kind=1))
            self.assertEqual([(e.prefix, e.n_events, e.error) for e in top.entries],
                             [("192.0.2.2", 70, 69), ("192.0.2.1", 11, 9), ("192.0.2.3", 1, 0)])
            listings = stub.GetTop(pb.GetTopRequest(kind=2))
            self.assertEqual([(e.prefix, e.source, e.n_events, e.error) for e in listings.entries],
                             [("192.0.2.0/24", "operator", 82, 78)])
            shown = stub.ListRejects(pb.ListRejectsRequest(limit=100)).rejects
            self.assertEqual([r.reason for r in shown], ["reject_bounce"] * 4 + ["unknown"])
            said = subprocess.run([PROGRAM, "--socket", str(plane.socket), "lookup", "192.0.2.1"],
                                  capture_output=True, text=True, check=False).stdout
            self.assertIn(", 82 hits (at most 78 too many), last 20", said)

    def test_no_destination_is_made_up(self):
        """A packet that was cut before its destination: nothing, not 0.0.0.0."""
        with tempfile.TemporaryDirectory(prefix="bounceline-test-") as folder:
            path = pathlib.Path(folder) / "rejects.json"
            with ControlPlane(f"  rejects_file: {path}\n") as plane, DataPlane(plane) as edge:
                apply(plane.stub(), update("LIST", "192.0.2.0/24"), enforced=True)
                self.tell(edge, 1, destination=b"", destination_port=0, reason="drop_unparsable", denied_at=0)
                cp.wait_for("a line", lambda: self.counters(plane)["rejects_file_lines"] == 1)
                self.assertEqual(json.loads(path.read_text())["destination"], "")
                said = subprocess.run([PROGRAM, "--socket", str(plane.socket), "rejects"], capture_output=True, text=True,
                                      check=True).stdout
                self.assertIn("192.0.2.0 -> ? can't be parsed", said)

    def test_delisted_meanwhile(self):
        """A reject that arrives after the delist still names what listed it then: the listing is there, suppressed. When
        the listing is gone too, nobody is named."""
        with ControlPlane() as plane, DataPlane(plane) as edge:
            stub = plane.stub()
            apply(stub, update("LIST", "192.0.2.1", source="drop"), update("LIST", "203.0.113.1", source="drop"),
                  enforced=True)
            apply(stub, update("DELIST", "192.0.2.1"), enforced=True)
            edge.send(rejects=sync.RejectSamples(samples=[self.sample(1), self.sample(2)]))
            cp.wait_for("two", lambda: len(stub.ListRejects(pb.ListRejectsRequest()).rejects) == 2)
            first, second = stub.ListRejects(pb.ListRejectsRequest()).rejects
            self.assertEqual((first.listing, first.listing_source, first.code), ("192.0.2.1/32", "drop", 607))
            self.assertEqual((second.listing, second.listing_source, second.code), ("", "", 607))

    def test_a_bad_sample_ends_the_connection(self):
        for fields in ({"weight": 0}, {"source": b"123"}, {"destination": bytes(16)}, {"class_id": 0},
                       {"class_id": 63}, {"denied_at": 9}, {"worker": 64}, {"source_port": 65536}, {"time_ms": -1}):
            with self.subTest(fields), ControlPlane() as plane, DataPlane(plane) as edge:
                cp.wait_for("hello", lambda: edge.greeting)
                edge.send(rejects=sync.RejectSamples(samples=[self.sample(0, **fields)]))
                cp.wait_for("refusal", lambda: edge.refusal is not None)
                self.assertEqual(edge.refusal.reason, sync.SyncRefusal.REASON_MALFORMED)
                self.assertEqual(self.counters(plane)["rejects_taken"], 0)

    def test_a_file_that_can_not_be_opened_refuses_to_start(self):
        with self.assertRaisesRegex(AssertionError, "controlplane.rejects_file: /nowhere/rejects.json: No such file"):
            with ControlPlane("  rejects_file: /nowhere/rejects.json\n"):
                pass

    def test_a_flood_of_samples_does_not_hold_up_an_update(self):
        """As fast as a socket takes them: what finds no room is counted, and updates are enforced meanwhile."""
        with ControlPlane() as plane, DataPlane(plane) as edge:
            stub = plane.stub()
            apply(stub, update("LIST", "192.0.2.0/24"), enforced=True)
            frame = sync.RejectSamples(samples=[self.sample(i) for i in range(256)])
            stop = threading.Event()

            def tell_on():
                while not stop.is_set():
                    edge.send(rejects=frame)
            flood = threading.Thread(target=tell_on)
            flood.start()
            try:
                for i in range(20):
                    result = apply(stub, update("LIST", f"203.0.113.{i}"), enforced=True, deadline_ms=10000)
                    self.assertTrue(result.enforced)
                cp.wait_for("a flood", lambda: self.counters(plane)["rejects_taken"] > 100000, 30)
            finally:
                stop.set()
                flood.join()
            self.assertFalse(edge.closed)


if __name__ == "__main__":
    bl.main()
