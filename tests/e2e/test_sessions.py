#!/usr/bin/python3
"""The list changes while real sending servers are in mid-session, before two MX hosts. Listed: the session that was open
ends by itself and its mail is delivered, the next mail bounces after the first host's answer. Delisted: the dialogue's next
segment reaches the server, which resets it, and the sender delivers at its next try. Nothing twice, nothing lost."""
import concurrent.futures
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from hold import STATES, HoldClient, HoldServer  # noqa: E402
from lab import Lab, wait_for  # noqa: E402
from senders import Exim, Postfix, delivered, denial, notices, postfix_set  # noqa: E402
from transcript import Transcript  # noqa: E402
from unpack import Unavailable  # noqa: E402

SECOND_MX = "192.0.2.26"
BOB = "bob@v4.example.org"
BODY = b"".join(b"line %d of a mail that takes more than one window\n" % i for i in range(40000))


class Sessions(unittest.TestCase):
    """Postfix and Exim, each with two MX hosts; Exim and Postfix with one, for retries."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=4)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        subprocess.run(["ip", "-n", cls.lab.namespace("receiver"), "address", "add", f"{SECOND_MX}/24", "dev", "mail0"],
                       check=True)
        cls.lab.mail_up()
        cls.lab.planes_up()
        cls.hold = HoldServer(cls.lab)
        cls.addClassCleanup(cls.hold.close)
        cls.transcript = Transcript(cls.lab)
        cls.addClassCleanup(cls.transcript.close)
        cls.postfix = Postfix(cls.lab)
        try:
            cls.exim = Exim(cls.lab)
            cls.exim_two = Exim(cls.lab, hosts=f"{bl.RECEIVER_IPV4} : {SECOND_MX}")
        except Unavailable as error:
            print(f"left out: exim: {error}", flush=True)
            cls.exim = cls.exim_two = None
        cls.pool = concurrent.futures.ThreadPoolExecutor(2)
        cls.addClassCleanup(cls.pool.shutdown)

    def tearDown(self):
        outcome = self._outcome.result
        if any(case is self for case, _ in outcome.failures + outcome.errors):
            self.lab.explain()
        self.delist()
        if self.lab.settings:
            self.lab.reconfigure()

    def list(self):
        self.lab.client("list", bl.SENDER_IPV4, "--wait", "enforced")

    def delist(self):
        self.lab.client("delist", bl.SENDER_IPV4, "--wait", "enforced", expect=None)

    def two_mx(self, kind):
        """The sender of that kind with both hosts."""
        if kind is Exim:
            return self.exim_two or self.skipTest("no Exim")
        postfix_set(self.lab, "sender", f"relayhost=[{bl.RECEIVER_IPV4}], [{SECOND_MX}]")
        return self.postfix

    def one_mx(self, kind):
        if kind is Exim:
            return self.exim or self.skipTest("no Exim")
        postfix_set(self.lab, "sender", f"relayhost=[{bl.RECEIVER_IPV4}]")
        return self.postfix

    def assert_delivered_once(self, mail, body):
        wait_for("the mail", lambda: delivered(self.lab, mail))
        self.assertEqual(delivered(self.lab, mail), [body])
        self.assertEqual(notices(self.lab, mail), [])

    def check_listed(self, kind, state):
        sender = self.two_mx(kind)
        sessions = len(self.transcript.rejects())
        with self.hold.holding(state):
            sending = self.pool.submit(sender.send, [BOB], BODY)
            self.hold.wait_reached()
            self.list()
            # The first session is still open: a new one meets the listing.
            second = sender.send([BOB])
            wait_for("the notice", lambda: notices(self.lab, second))
        first = sending.result()
        self.assert_delivered_once(first, BODY)
        attempts = wait_for("the sender's own word", lambda: sender.attempts(first))
        self.assertEqual(len(attempts), 1, attempts)
        attempts = sender.attempts(second)
        self.assertEqual(len(attempts), 1, attempts)
        self.assertIn(denial(bl.SENDER_IPV4), attempts[0])
        self.assertIn(bl.RECEIVER_IPV4, attempts[0])
        self.assertNotIn(SECOND_MX, attempts[0])
        self.assertEqual(len(notices(self.lab, second)), 1)
        self.assertEqual(delivered(self.lab, second), [])
        self.assertEqual(len(self.transcript.rejects()), sessions + 1, "the second host was tried")

    def test_listed_in_mid_session_postfix(self):
        for state in STATES:
            with self.subTest(state=state):
                self.check_listed(Postfix, state)
                self.delist()

    def test_listed_in_mid_session_exim(self):
        for state in STATES:
            with self.subTest(state=state):
                self.check_listed(Exim, state)
                self.delist()

    def check_established(self, mode, counter):
        """The session breaks off before its mail is whole, so that the next try bounces: told once, delivered never."""
        self.lab.reconfigure(f"established: {mode}")
        sender = self.one_mx(Postfix)
        with self.hold.holding("DATA"):
            mail = sender.send([BOB], BODY)
            self.hold.wait_reached()
            self.list()
        attempts = wait_for("the first try to end", lambda: sender.attempts(mail))
        self.assertIn("status=deferred", attempts[0])
        sender.retry()
        told = wait_for("the notice", lambda: notices(self.lab, mail))
        self.assertIn(denial(bl.SENDER_IPV4), told[0])
        attempts = sender.attempts(mail)
        self.assertEqual(len(attempts), 2, attempts)
        self.assertIn("status=bounced", attempts[1])
        self.assertEqual(delivered(self.lab, mail), [])
        wait_for(counter, lambda: int(self.lab.status()["dataplanes"][0]["counters"][counter]) > 0)
        return attempts[0]

    def test_established_reset(self):
        """At once, and at both ends."""
        log = self.lab.dir / "receiver/maillog"
        before = log.read_text().count("lost connection after DATA")
        self.assertIn("lost connection", self.check_established("reset", "reset_established"))
        wait_for("the server's end", lambda: log.read_text().count("lost connection after DATA") > before)

    def test_established_drop(self):
        """After the sender's own time limit."""
        postfix_set(self.lab, "sender", "smtp_data_xfer_timeout=3s", "smtp_data_done_timeout=3s")
        self.addCleanup(postfix_set, self.lab, "sender", "smtp_data_xfer_timeout=180s", "smtp_data_done_timeout=600s")
        self.assertIn("timed out", self.check_established("drop", "drop_established"))

    def hold_and_delist(self, sender, verb):
        """The mail whose dialogue was at the verb when the delist was enforced."""
        self.list()
        with HoldClient(self.lab, verb) as hold:
            sending = self.pool.submit(sender.send, [BOB], BODY)
            hold.wait_reached()
            self.delist()
        return sending.result()

    def check_delisted(self, kind, verb):
        """One host: the try fails as soon as the segment is through, well before any time limit; the next delivers."""
        sender = self.one_mx(kind)
        mail = self.hold_and_delist(sender, verb)
        attempts = wait_for("the first try to end", lambda: sender.attempts(mail))
        self.assertTrue("status=deferred" in attempts[0] or " == " in attempts[0], attempts)
        sender.retry()
        self.assert_delivered_once(mail, BODY)
        attempts = wait_for("the second try's word", lambda: sender.attempts(mail)[1:])
        self.assertEqual(len(attempts), 1, attempts)

    def test_delisted_in_mid_dialogue_postfix(self):
        for verb in ("EHLO", "MAIL", "RCPT"):
            with self.subTest(verb):
                self.check_delisted(Postfix, verb)

    def test_delisted_in_mid_dialogue_exim(self):
        self.check_delisted(Exim, "RCPT")

    def test_delisted_before_quit(self):
        """The 550 was said: the mail has bounced, and stays so; the next is delivered."""
        sender = self.one_mx(Postfix)
        mail = self.hold_and_delist(sender, "QUIT")
        wait_for("the notice", lambda: notices(self.lab, mail))
        self.assertEqual(len(sender.attempts(mail)), 1, sender.attempts(mail))
        self.assertEqual(delivered(self.lab, mail), [])
        self.assert_delivered_once(sender.send([BOB], BODY), BODY)

    def test_delisted_two_mx(self):
        """The other host takes it in the same try."""
        sender = self.two_mx(Postfix)
        mail = self.hold_and_delist(sender, "RCPT")
        self.assert_delivered_once(mail, BODY)
        attempts = wait_for("the sender's own word", lambda: sender.attempts(mail))
        self.assertEqual(len(attempts), 1, attempts)
        self.assertIn(f"relay={SECOND_MX}", attempts[0])


if __name__ == "__main__":
    bl.main()
