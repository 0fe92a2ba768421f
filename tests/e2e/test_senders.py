#!/usr/bin/python3
"""Real sending servers against the reject: Postfix, Exim, OpenSMTPD, Sendmail, swaks and curl. Listed, every one gives up
for good at its first try, with code, address and URL in what it tells the person; not listed, every one delivers byte for
byte; and with many at once nobody gets another's answer. Never a 4xx, never PIPELINING from the data plane. Four workers."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from lab import Lab, wait_for  # noqa: E402
from senders import ALICE, ALL, Exim, Postfix, delivered, denial, notices, postfix_set  # noqa: E402
from ticket import ticket  # noqa: E402
from transcript import Transcript  # noqa: E402
from unpack import Unavailable  # noqa: E402

MAILS = 20 if os.environ.get("BL_LONG") else 2
FAMILIES = (("v4.example.org", bl.SENDER_IPV4), ("v6.example.org", bl.SENDER_IPV6))
# Lines that a program on the way could be tempted to touch.
BODY = (b"first line\n.\n..two dots\n\ttab and trailing spaces   \nEHLO mail.example.net\nQUIT\n" + b"x" * 900 + b"\n"
        + b"".join(b"line %d of many\n" % i for i in range(500)) + b"last line\n")
STAGE_WORDS = {"rcpt": "RCPT TO", "mail": "MAIL FROM"}
SWAKS_EXIT = {"rcpt": 24, "mail": 23}
CURL_SEND_ERROR = 55  # CURLE_SEND_ERROR: what curl makes of a refused MAIL or RCPT


class Senders(unittest.TestCase):
    """One lab for all; a test ends with nothing listed and the settings as at the start."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=4)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.lab.mail_up()
        cls.lab.planes_up()
        cls.transcript = Transcript(cls.lab)
        cls.addClassCleanup(cls.transcript.close)
        cls.senders = [sender for kind in ALL if (sender := cls.make(kind))]

    @classmethod
    def make(cls, kind, *addresses, **options):
        """A sender of that kind, or None where it can't be had."""
        try:
            return kind(cls.lab, *addresses, **options)
        except Unavailable as error:
            print(f"left out: {kind.kind}: {error}", flush=True)
            return None

    def setUp(self):
        self.listed = []

    def tearDown(self):
        outcome = self._outcome.result
        if any(case is self for case, _ in outcome.failures + outcome.errors):
            self.lab.explain()
        for address in self.listed:
            self.lab.client("delist", address, "--wait", "enforced", expect=None)
        if self.lab.settings:
            self.lab.reconfigure()
        for lines in self.transcript.sessions():
            self.assertEqual([line for line in lines if line.startswith("4")], [], lines)
        for lines in self.transcript.rejects():
            self.assertEqual([line for line in lines if "PIPELINING" in line or "CHUNKING" in line], [], lines)

    def list(self, address, *more):
        self.listed.append(address)
        self.lab.client("list", address, "--wait", "enforced", *more)

    def each(self, function, items):
        """Calls function(item) for all at the same time; returns the results in order."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(function, items))

    def assert_bounced(self, sender, mail, address, code=606, stage="rcpt"):
        """Each recipient: one attempt, refused for good with the whole text, which alice was told; nothing delivered."""
        text = denial(address, code)
        told = wait_for(f"{sender.kind}'s notice with {text}", lambda: [n for n in notices(self.lab, mail) if text in n])
        status = f"Status: {sender.status.format(code=code)}"
        self.assertTrue(any(status in notice for notice in told), f"{status} is not in {told[0][:3000]}")
        attempts = sender.attempts(mail)
        if sender.kind == "sendmail":  # a line a session
            self.assertEqual(len(attempts), 1, attempts)
        else:
            self.assertEqual(len(attempts), len(mail.recipients), attempts)
        if sender.kind in ("postfix", "exim"):
            for line in attempts:
                self.assertIn(text, line)
                self.assertIn(STAGE_WORDS[stage], line)
        self.assertEqual(delivered(self.lab, mail), [])

    def assert_delivered(self, sender, mail, body):
        bodies = wait_for(f"{sender.kind}'s mail {mail.name}", lambda: delivered(self.lab, mail))
        self.assertEqual(bodies, [body])
        self.assertEqual(len(sender.attempts(mail)), 1, sender.attempts(mail))
        self.assertEqual(notices(self.lab, mail), [])

    def check_stage(self, stage):
        """All senders over both families at the same time."""
        self.lab.reconfigure(f"stage: {stage}", "starttls: hide")
        for _, address in FAMILIES:
            self.list(address)
        cases = [(sender, f"bob@{domain}", address) for sender in self.senders for domain, address in FAMILIES]
        mails = self.each(lambda case: case[0].send([case[1]]), cases)
        for (sender, _, address), mail in zip(cases, mails):
            with self.subTest(sender=sender.kind, address=address):
                self.assert_bounced(sender, mail, address, stage=stage)
        for to, source in ((bl.RECEIVER_IPV4, bl.SENDER_IPV4), (bl.RECEIVER_IPV6, bl.SENDER_IPV6)):
            with self.subTest(sender="swaks", address=source):
                self.check_swaks(to, source, stage)
            with self.subTest(sender="curl", address=source):
                self.check_curl(to, source)

    def check_swaks(self, to, source, stage):
        done = self.lab.run("sender", "swaks", "-6" if ":" in to else "-4", "--server", to, "--local-interface", source,
                            "--from", ALICE, "--to", "bob@example.org", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, SWAKS_EXIT[stage], done.stdout)
        self.assertIn(denial(source), done.stdout)

    def check_curl(self, to, source):
        host = f"[{to}]" if ":" in to else to
        done = self.lab.run("sender", "curl", "-sSv", f"smtp://{host}/", "--interface", source, "--mail-from", ALICE,
                            "--mail-rcpt", "bob@example.org", "-T", "-", input="Subject: hi\r\n\r\nhello\r\n",
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, CURL_SEND_ERROR, done.stdout)
        self.assertIn(denial(source), done.stdout)

    def test_stage_rcpt(self):
        self.check_stage("rcpt")

    def test_stage_mail(self):
        self.check_stage("mail")

    def test_not_listed_delivers_byte_for_byte(self):
        cases = [(sender, f"bob@{domain}") for sender in self.senders for domain, _ in FAMILIES]
        mails = self.each(lambda case: case[0].send([case[1]], BODY), cases)
        for (sender, to), mail in zip(cases, mails):
            with self.subTest(sender=sender.kind, to=to):
                self.assert_delivered(sender, mail, BODY)

    def test_150_recipients(self):
        """In one message, over one family each: every recipient is told of once, none is deferred."""
        for _, address in FAMILIES:
            self.list(address)
        cases = [(sender, [f"bob{i}@{domain}" for i in range(150)], address) for sender in self.senders
                 if isinstance(sender, (Postfix, Exim)) for domain, address in FAMILIES]
        mails = self.each(lambda case: case[0].send(case[1]), cases)
        for (sender, recipients, address), mail in zip(cases, mails):
            with self.subTest(sender=sender.kind, address=address):
                def told(mail=mail):
                    texts = notices(self.lab, mail)
                    return sum(text.count("Final-Recipient: ") for text in texts) >= 150 and texts
                text = " ".join(wait_for("150 recipients' notices", told, 60)) + " "
                for recipient in recipients:
                    self.assertEqual(text.count(f"Final-Recipient: rfc822;{recipient} ")
                                     + text.count(f"Final-Recipient: rfc822; {recipient} "), 1, recipient)
                self.assert_bounced(sender, mail, address)

    def test_mandatory_tls_hidden(self):
        """Who insists on TLS defers by itself, and says why; a listed source is never told 4xx."""
        self.check_tls("hide")

    def test_mandatory_tls_refused(self):
        """Postfix bounces at once with the whole text; Exim defers."""
        self.check_tls("refuse")

    def check_tls(self, starttls):
        self.lab.reconfigure("stage: rcpt", f"starttls: {starttls}")
        for _, address in FAMILIES:
            self.list(address)
        postfix_set(self.lab, "sender", "smtp_tls_security_level=encrypt")
        self.addCleanup(postfix_set, self.lab, "sender", "smtp_tls_security_level=")
        senders = [sender for kind in (Postfix, Exim)
                   if (sender := self.senders[0] if kind is Postfix else self.make(kind, require_tls=True))]
        cases = [(sender, f"bob@{domain}", address) for sender in senders for domain, address in FAMILIES]
        mails = self.each(lambda case: case[0].send([case[1]]), cases)
        for (sender, to, address), mail in zip(cases, mails):
            with self.subTest(sender=sender.kind, address=address):
                if isinstance(sender, Postfix) and starttls == "refuse":
                    self.assert_tls_bounce(sender, mail, address)
                else:
                    self.assert_deferred(sender, mail)
        refused = sum(denial(address) in lines for lines in self.transcript.rejects() for _, address in FAMILIES)
        if starttls == "refuse":
            self.assertGreaterEqual(refused, len(cases))
        self.lab.run("sender", "postsuper", "-c", self.lab.dir / "sender/etc", "-d", "ALL", "deferred", check=True,
                     stderr=subprocess.DEVNULL)

    def assert_tls_bounce(self, sender, mail, address):
        wait_for("the notice", lambda: any(denial(address) in notice for notice in notices(self.lab, mail)))
        attempts = sender.attempts(mail)
        self.assertEqual(len(attempts), 1, attempts)
        self.assertIn("status=bounced", attempts[0])
        self.assertIn("refused to start TLS", attempts[0])

    def assert_deferred(self, sender, mail):
        attempts = wait_for(f"{sender.kind}'s attempt", lambda: sender.attempts(mail))
        for line in attempts:
            self.assertTrue("status=deferred" in line or " == " in line, line)
            self.assertIn("TLS", line)
        self.assertEqual(notices(self.lab, mail), [])
        self.assertEqual(delivered(self.lab, mail), [])

    def test_ticket(self):
        """The URL of a real bounce shows the ticket of that very address."""
        key = os.urandom(16)
        path = self.lab.dir / "ticket.key"
        path.write_bytes(key)
        path.chmod(0o600)
        url = bl.URL + "&t={ticket}"
        self.lab.reconfigure(f"ticket_key_file: {path}", url=url)
        for domain, address in FAMILIES:
            self.list(address)
            days = {int(time.time()) // 86400}
            mails = [sender.send([f"bob@{domain}"]) for sender in self.senders[:2]]
            told = [wait_for("the notice", lambda m=mail: notices(self.lab, m)) for mail in mails]
            days.add(int(time.time()) // 86400)
            texts = [denial(address, url=url.replace("{ticket}", ticket(key, address, day))) for day in days]
            for text in told:
                self.assertTrue(any(line in text[0] for line in texts), (text[0][:2000], texts))

    def test_many_sources_at_once(self):
        """Two of each sender, one listed with a code of its own; both families, all at the same time."""
        pairs = []
        for number, kind in enumerate(ALL):
            for listed in (True, False):
                sender = self.make(kind, *self.add_source(number * 2 + listed))
                if sender:
                    pairs.append((sender, 610 + number * 2 if listed else None))
        for sender, code in pairs:
            if code:
                self.list(sender.ipv4, "--code", code)
                self.list(sender.ipv6, "--code", code + 1)
        cases = [(sender, code, domain) for sender, code in pairs for domain, _ in FAMILIES for _ in range(MAILS)]
        before = self.settled_counter("reject_bounce")
        mails = self.each(lambda case: case[0].send([f"{case[0].user}@{case[2]}"], BODY), cases)
        for (sender, code, domain), mail in zip(cases, mails):
            with self.subTest(sender=sender.kind, listed=code, domain=domain):
                if code is None:
                    self.assert_delivered(sender, mail, BODY)
                elif domain.startswith("v4"):
                    self.assert_bounced(sender, mail, sender.ipv4, code)
                else:
                    self.assert_bounced(sender, mail, sender.ipv6, code + 1)
        n_listed = sum(code is not None for _, code, _ in cases)
        self.assertEqual(self.settled_counter("reject_bounce") - before, n_listed)
        print(f"{len(cases)} mails from {len(pairs)} sources of both families at once: {n_listed} bounced, "
              f"{len(cases) - n_listed} delivered", flush=True)

    def add_source(self, number):
        """Two more addresses of the sender, each with a way back; IPv6 in a /64 of its own."""
        ipv4, network = f"198.51.100.{20 + number}", f"2001:db8:{0xa0 + number:x}"
        sender, receiver = self.lab.namespace("sender"), self.lab.namespace("receiver")
        for words in (("-n", sender, "address", "add", f"{ipv4}/24", "dev", "mail0"),
                      ("-n", sender, "address", "add", f"{network}::20/64", "dev", "mail0", "nodad"),
                      ("-n", receiver, "route", "add", f"{network}::/64", "dev", "mail0")):
            subprocess.run(["ip", *words], check=True)
        return ipv4, f"{network}::20"

    def settled_counter(self, name):
        """With everything in it that happened so far: the workers' counters come once a second."""
        time.sleep(2.2)
        return int(self.lab.status()["dataplanes"][0]["counters"][name])


if __name__ == "__main__":
    bl.main()
