#!/usr/bin/python3
"""The table file: a data plane that was killed serves its last list again from the first packet on, with no control plane
there, tells the next control plane what it holds and goes on with a delta; a file that is not sound is refused whole and
everything passes; a disk that does not take it is said once, counted and tried again. The control plane is this test, in
the last class the real one."""
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from lab import Lab, wait_for  # noqa: E402
from sync import Sync, digest  # noqa: E402
from test_dataplane import Sink, Smtp  # noqa: E402

LISTED = {f"{bl.SENDER_IPV4}/32": 1, "2001:db8:5::/64": 2, "10.0.0.0/8": 63}


def held(path):
    """(epoch, serial) of a table file, from its description (dataplane/table_file.h)."""
    return struct.unpack_from("<QQ", path.read_bytes(), 16)


class Case(unittest.TestCase):
    """A lab each, so that none starts from another's file."""

    def setUp(self):
        self.lab = Lab(workers=2)
        self.addCleanup(self.lab.__exit__, None, None, None)
        self.lab.__enter__()
        self.file = self.lab.dir / "kept" / "table"
        self.sink = Sink(self.lab)
        self.addCleanup(self.sink.close)

    def configure(self, path, seconds=1):
        """The file is kept there."""
        settings = self.lab.dir / "bounceline.yaml"
        text = settings.read_text()
        self.assertIn('  table_file: ""\n', text)
        settings.write_text(text.replace('  table_file: ""\n', f"  table_file: {path}\n  table_file_s: {seconds}\n"))

    def log(self):
        return (self.lab.dir / "dataplane.log").read_text()

    def start_alone(self):
        """Returns when it forwards; what it has said since."""
        before = len(self.log()) if (self.lab.dir / "dataplane.log").exists() else 0
        self.lab.start("dataplane")
        wait_for("forwarding", lambda: "forwarding between" in self.log()[before:])
        return self.log()[before:]

    def server(self, source, destination):
        """The greeting's first words: who answers?"""
        with Smtp(self.lab, source, destination) as smtp:
            return smtp.line().split()[1]

    def assert_listed(self, source, destination, code):
        with Smtp(self.lab, source, destination) as smtp:
            self.assertEqual(smtp.line(), "220 mx.example.org ESMTP\r\n")
            smtp.say("EHLO sender.example.net")
            smtp.say("MAIL FROM:<alice@sender.example.net>")
            self.assertIn(f"550 5.7.{code} Access denied, banned sending IP [{source}]",
                          smtp.say("RCPT TO:<bob@receiver.example.org>"))

    def assert_passes(self, source, destination):
        self.assertEqual(self.server(source, destination), "the")


class Alone(Case):
    """Led by the test, which goes away."""

    def setUp(self):
        super().setUp()
        self.sync = Sync(self.lab.dir / "sync.sock")
        self.addCleanup(self.sync.end)

    def lead(self):
        """The data plane starts, and gets the list."""
        self.lab.start("dataplane")
        self.sync.accept(30)
        self.sync.greet()
        self.sync.snapshot(LISTED, [self.sync.class_definition(1, 633), self.sync.class_definition(2, 607)])

    def wait_for_file(self):
        """Until it holds what was sent last."""
        wait_for("the table file", lambda: self.file.exists() and held(self.file) == (self.sync.epoch, self.sync.serial))

    def kill(self, number=9):
        """The data plane and its control plane."""
        code = self.lab.kill("dataplane", number)
        if number == 15:
            self.assertEqual(code, 0)
        self.sync.close()

    def assert_list_rules(self):
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4, 633)
        self.assert_listed(bl.SENDER_IPV6, bl.RECEIVER_IPV6, 607)
        self.assert_passes(bl.OTHER_IPV4, bl.RECEIVER_IPV4)
        self.assert_passes(bl.OTHER_IPV6, bl.RECEIVER_IPV6)

    def assert_everything_passes(self):
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assert_passes(bl.SENDER_IPV6, bl.RECEIVER_IPV6)

    def test_killed_it_serves_again_alone(self):
        self.configure(self.file)
        self.lead()
        self.sync.delta({f"{bl.OTHER_IPV4}/32": 1})
        self.sync.delta({f"{bl.OTHER_IPV4}/32": 0})
        self.wait_for_file()
        self.assertEqual(self.file.stat().st_mode & 0o7777, 0o600)
        self.assertEqual(self.file.parent.stat().st_mode & 0o7777, 0o700)
        self.kill()
        said = self.start_alone()
        self.assertIn(f"table file {self.file}: serves serial {self.sync.serial}, 2 IPv4 and 1 IPv6 prefixes", said)
        self.assert_list_rules()
        wait_for("it to miss the control plane", lambda: f"; the table of serial {self.sync.serial} rules" in self.log())
        # The control plane comes back: told what is held, it goes on from there.
        self.sync.listen()
        hello = self.sync.accept()
        self.assertEqual((hello.epoch, hello.serial), (self.sync.epoch, self.sync.serial))
        self.assertEqual((hello.digest_hi, hello.digest_lo), digest(self.sync.epoch, self.sync.entries))
        self.sync.greet()
        self.sync.expect_ack()
        self.sync.delta({f"{bl.SENDER_IPV4}/32": 0, f"{bl.OTHER_IPV4}/32": 2})
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assert_listed(bl.OTHER_IPV4, bl.RECEIVER_IPV4, 607)
        # And again, from what a start and a delta made.
        self.wait_for_file()
        self.kill()
        self.start_alone()
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)
        self.assert_listed(bl.OTHER_IPV4, bl.RECEIVER_IPV4, 607)
        self.assert_listed(bl.SENDER_IPV6, bl.RECEIVER_IPV6, 607)

    def test_its_end_writes(self):
        """With an hour between two writes."""
        self.configure(self.file, 3600)
        self.lead()
        self.wait_for_file()
        self.sync.delta({f"{bl.OTHER_IPV4}/32": 1})
        self.sync.delta({f"{bl.OTHER_IPV6}/128": 2})
        self.assertEqual(held(self.file)[1], self.sync.serial - 2)
        self.kill(15)
        self.assertEqual(held(self.file), (self.sync.epoch, self.sync.serial))
        self.start_alone()
        self.assert_listed(bl.OTHER_IPV4, bl.RECEIVER_IPV4, 633)
        self.assert_listed(bl.OTHER_IPV6, bl.RECEIVER_IPV6, 607)

    def test_not_sound_it_is_refused_whole(self):
        self.configure(self.file)
        self.lead()
        self.wait_for_file()
        self.kill()
        sound = self.file.read_bytes()
        middle = len(sound) - 9
        for data, why in ((sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1:], "checksum"),
                          (sound[:-1], "bytes: expected"), (sound[:60], "bytes: expected at least 128"),
                          (b"", "bytes: expected at least 128"),
                          (sound[:8] + b"\x07" + sound[9:], "version 7: expected 1"),
                          (b"\0" * len(sound), "does not begin")):
            self.file.write_bytes(data)
            said = self.start_alone()
            self.assertRegex(said, f"table file {self.file}: .*{why}.*refused, no list until .*: everything passes")
            self.assert_everything_passes()
            self.assertEqual(self.lab.kill("dataplane", 15), 0)
            self.assertEqual(self.file.read_bytes(), data)  # left for whoever wants to know
        self.file.unlink()
        self.assertRegex(self.start_alone(), f"table file {self.file}: No such file.*: everything passes")
        self.assert_everything_passes()
        # The control plane is told that nothing is held, and the next file is a sound one.
        self.sync.listen()
        hello = self.sync.accept()
        self.assertEqual((hello.epoch, hello.serial), (0, 0))
        self.sync.greet()
        self.sync.snapshot(LISTED, [self.sync.class_definition(1, 633), self.sync.class_definition(2, 607)])
        self.wait_for_file()
        self.assert_list_rules()

    def test_a_disk_that_does_not_take_it(self):
        """A file stands where the directory should be."""
        self.file.parent.write_text("in the way")
        self.configure(self.file)
        self.lead()
        wait_for("two failures", lambda: self.sync.counters()["table_file_failed"] >= 2)
        self.assertEqual(self.log().count("trying on"), 1)
        self.sync.delta({f"{bl.OTHER_IPV4}/32": 1})
        self.assert_listed(bl.OTHER_IPV4, bl.RECEIVER_IPV4, 633)
        self.assertEqual(self.sync.counters()["table_file_written"], 0)
        self.file.parent.unlink()
        self.wait_for_file()
        wait_for("it to be said", lambda: "written again" in self.log())


class RealControlPlane(Case):
    """Both planes: after a kill -9 of the data plane alone, and of both."""

    def test_goes_on_from_the_file(self):
        self.configure(self.file)
        self.lab.planes_up()
        self.lab.client("list", bl.SENDER_IPV4, "--wait", "enforced")
        serial = int(self.lab.status()["durable_serial"])
        wait_for("the table file", lambda: self.file.exists() and held(self.file)[1] == serial)
        self.lab.kill("controlplane")
        self.lab.kill("dataplane")
        self.start_alone()
        self.assert_listed(bl.SENDER_IPV4, bl.RECEIVER_IPV4, 606)
        self.lab.start("controlplane")
        self.lab.wait_ready()
        self.lab.client("list", bl.OTHER_IPV4, "--wait", "enforced")
        self.assert_listed(bl.OTHER_IPV4, bl.RECEIVER_IPV4, 606)
        self.lab.client("delist", bl.SENDER_IPV4, "--wait", "enforced")
        self.assert_passes(bl.SENDER_IPV4, bl.RECEIVER_IPV4)


if __name__ == "__main__":
    bl.main()
