#!/usr/bin/python3
"""The product's main job, through the real programs: a listed sender's Postfix bounces with our 550, in one attempt;
one that is not listed delivers byte for byte; a list survives the death of either plane. Four workers."""
import json
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from lab import Lab, bounce_text, wait_for  # noqa: E402

V4 = ("bob@v4.example.org", bl.SENDER_IPV4)
V6 = ("bob@v6.example.org", bl.SENDER_IPV6)

# Lines that a program on the way could be tempted to touch: a lone dot, dots in front, long, tabs, trailing spaces.
BODY = ("first line\n.\n..two dots\n\ttab and trailing spaces   \nEHLO mail.example.net\nQUIT\n"
        + "x" * 900 + "\n" + "".join(f"line {i} of many\n" for i in range(2000)) + "last line\n")


class Bounce(unittest.TestCase):
    """One lab for all; what a test lists is delisted behind it, and the planes run again."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=4)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.lab.mail_up()
        cls.lab.planes_up()

    def setUp(self):
        self.listed = set()

    def tearDown(self):
        outcome = self._outcome.result
        if any(case is self for case, _ in outcome.failures + outcome.errors):
            self.lab.explain()
        for plane in ("controlplane", "dataplane"):
            if plane not in self.lab.processes:
                self.lab.start(plane)
        self.lab.wait_ready()
        for prefix in self.listed:
            self.delist(prefix)
        self.assert_not_listed(bl.SENDER_IPV4)
        self.assert_not_listed(bl.SENDER_IPV6)

    def list(self, prefix, *more):
        self.listed.add(prefix)
        self.lab.client("list", prefix, "--wait", "enforced", *more)

    def delist(self, prefix):
        self.lab.client("delist", prefix, "--wait", "enforced", expect=None)
        self.assert_not_listed(prefix)

    def assert_not_listed(self, prefix):
        shown = self.lab.client("lookup", prefix, "--json", expect=1)
        self.assertFalse(json.loads(shown.stdout)["lookups"][0]["listed"], shown.stdout)

    def assert_bounced(self, to, address, code=606):
        """Sends; alice must get the whole 550 from exactly one attempt."""
        name = self.lab.send(to)
        notice = bounce_text(wait_for("the bounce", lambda: self.lab.find_bounce(name)))
        url = bl.URL.replace("{address}", address)
        self.assertIn(f"550 5.7.{code} Access denied, banned sending IP [{address}]; To request removal from this list"
                      f" please visit {url} and follow the directions.", notice)
        self.assertIn(f"Status: 5.7.{code}", notice)
        attempts = wait_for("the sender's log of it", lambda: self.lab.attempts(name))
        self.assertEqual(len(attempts), 1, attempts)
        self.assertIn(f"dsn=5.7.{code}, status=bounced", attempts[0])
        self.assertIn("in reply to RCPT TO command", attempts[0])
        self.assertIsNone(self.lab.find_mail(name))

    def assert_delivered(self, to, body="hello\n"):
        """Sends; bob must get the same body."""
        name = self.lab.send(to, body)
        message = wait_for("the mail", lambda: self.lab.find_mail(name))
        self.assertEqual(message.get_payload(), body)
        # The receiver has the mail before the sender's log has a line of it.
        attempts = wait_for("the sender's log of it", lambda: self.lab.attempts(name))
        self.assertEqual(len(attempts), 1, attempts)
        self.assertIn("status=sent", attempts[0])
        self.assertIsNone(self.lab.find_bounce(name))

    def counter(self, name):
        return int(self.lab.status()["dataplanes"][0]["counters"][name])

    def settled_counter(self, name):
        """With everything in it that happened so far: the workers' counters come once a second."""
        time.sleep(2.2)
        return self.counter(name)

    def test_not_listed_is_delivered_byte_for_byte(self):
        for to, _ in (V4, V6):
            with self.subTest(to):
                self.assert_delivered(to, BODY)

    def test_listed_bounces_and_delisted_delivers(self):
        for to, address in (V4, V6):
            with self.subTest(address):
                before = self.settled_counter("reject_bounce")
                self.list(address)
                self.assert_bounced(to, address)
                self.delist(address)
                self.assert_delivered(to)
                self.assertEqual(self.settled_counter("reject_bounce"), before + 1)

    def test_another_code(self):
        self.list(bl.SENDER_IPV4, "--code", "649")
        self.assert_bounced(*V4, code=649)

    def test_wide_prefix(self):
        self.list("198.51.100.0/24")
        self.assert_bounced(*V4)
        # A hole for the one address: the rest stays listed.
        self.lab.client("exempt", bl.SENDER_IPV4, "--wait", "enforced")
        self.assert_delivered(V4[0])
        self.lab.client("unexempt", bl.SENDER_IPV4, "--wait", "enforced")
        self.assert_bounced(*V4)

    def test_150_recipients(self):
        self.list(bl.SENDER_IPV4)
        recipients = [f"bob{i}@v4.example.org" for i in range(150)]
        name = "<many@sender.example.net>"
        text = f"From: alice@sender.example.net\nMessage-Id: {name}\nSubject: many\n\nhello\n"
        self.lab.run("sender", "sendmail", "-C", self.lab.dir / "sender/etc", "-f", "alice@sender.example.net", "-i",
                     *recipients, input=text.encode(), check=True)
        notices = []

        def all_told():
            notices[:] = [m.as_string() for m in self.lab.mailbox("sender", "alice") if name in m.as_string()]
            return sum(n.count("Status: 5.7.606") for n in notices) >= 150
        wait_for("150 recipients' bounces", all_told, 60)
        for recipient in recipients:
            self.assertEqual(sum(n.count(f"Final-Recipient: rfc822; {recipient}\n") for n in notices), 1, recipient)
        self.assertNotIn("status=deferred", "".join(self.lab.attempts(name)))

    def test_controlplane_dies(self):
        """The last table rules on; the list is there again after the restart."""
        self.list(bl.SENDER_IPV4)
        self.lab.kill("controlplane")
        self.assert_bounced(*V4)
        self.assert_delivered(V6[0])
        self.assertEqual(self.lab.client("status", expect=None).returncode, 3)
        self.lab.start("controlplane")
        self.lab.wait_ready()
        self.assert_bounced(*V4)
        self.delist(bl.SENDER_IPV4)
        self.assert_delivered(V4[0])

    def test_dataplane_dies(self):
        """The wire is cut while it is dead, and the list is enforced as soon as it is back."""
        self.list(bl.SENDER_IPV4)
        self.lab.kill("dataplane")
        probe = self.lab.run("sender", "timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{bl.RECEIVER_IPV4}/25",
                             stderr=subprocess.DEVNULL, check=False)
        self.assertNotEqual(probe.returncode, 0)
        done = self.lab.client("list", "203.0.113.7", "--wait", "enforced", "--deadline", "300ms", expect=None)
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.lab.start("dataplane")
        self.lab.wait_ready()
        self.assert_bounced(*V4)
        self.assert_delivered(V6[0])

    def test_both_die(self):
        self.list(bl.SENDER_IPV6)
        self.lab.kill("dataplane")
        self.lab.kill("controlplane")
        self.lab.start("dataplane")
        self.lab.start("controlplane")
        self.lab.wait_ready()
        self.assert_bounced(*V6)
        self.assert_delivered(V4[0])

    def test_replicas_and_digests_agree(self):
        self.list(bl.SENDER_IPV4)
        self.list("2001:db8:5::/56", "--code", "620")

        def agree():
            plane = self.lab.status()["dataplanes"][0]
            return plane["digest_agrees"] is True and plane["replicas_agree"] is True and len(plane["workers"]) == 4
        wait_for("four equal replicas, and digests", agree, 30, 0.2)  # a round of comparing each 10 s


if __name__ == "__main__":
    bl.main()
