#!/usr/bin/python3
"""What the person sees whose mail bounced, from end to end: real Postfix on both sides of the data plane, real Chromium in
the sender's network. The mail bounces; the link in the bounce opens the portal with the address and its ticket filled in;
the form is sent; the link is read out of the sender's mailbox; the button is pressed; the mail is sent again and arrives.
Both families, both languages, with `ticket: optional` and `required`. Pictures are kept in build/screenshots (BL_SHOTS).
Times are printed, and decide nothing."""
import pathlib
import re
import sys
import time
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "dataplane/lab"))
import browser as person  # noqa: E402
import lab as bl  # noqa: E402
import visitor  # noqa: E402
from lab import Lab, in_namespace, wait_for  # noqa: E402
from portal import Page, Portal  # noqa: E402

PORT = 8025
BASE = f"http://127.0.0.1:{PORT}"
ALICE = "alice@sender.example.net"


class RoundInTheLab(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        key = cls.lab.dir / "ticket.key"
        key.write_bytes(bytes(range(16)))
        key.chmod(0o400)
        config = cls.lab.dir / "bounceline.yaml"
        text = config.read_text().replace("dataplane:\n", f"dataplane:\n  ticket_key_file: {key}\n", 1)
        # Each round lists its address anew, soon after the one before delisted it.
        text = text.replace("controlplane:\n", "controlplane:\n  delist_grace_s: 0\n", 1)
        config.write_text(text.replace(f"url: {bl.URL}\n", f"url: {BASE}/?ip={{address}}&t={{ticket}}\n"))
        cls.lab.mail_up()
        cls.lab.planes_up()
        # From here on this thread, and what it starts, is where the person who got the bounce sits.
        cls.enterClassContext(in_namespace(cls.lab.namespace("sender")))
        cls.driver = cls.enterClassContext(person.browser())
        cls.look = visitor.Visitor(cls.driver, BASE)

    def portal(self, ticket):
        plane = types.SimpleNamespace(socket=self.lab.dir / "portal.sock")
        mails = types.SimpleNamespace(port=25)  # the sender's own Postfix
        return self.enterContext(Portal(plane, mails, port=PORT, base_url=BASE, ticket=ticket, delay_s=600,
                                        requests_per_source_hour=100, mails_per_address_day=100,
                                        ticket_key_file=self.lab.dir / "ticket.key"))

    def bounced(self, to):
        """The URL in the bounce of a mail that alice sends."""
        name = self.lab.send(to)
        text = bl.bounce_text(wait_for("the bounce", lambda: self.lab.find_bounce(name)))
        return re.search(r"please visit (\S+) and follow the directions", text)[1]

    def delivered(self, to):
        name = self.lab.send(to)
        wait_for("bob's mail", lambda: self.lab.find_mail(name))
        self.assertEqual([line for line in self.lab.attempts(name) if "status=sent" not in line], [])

    def round(self, ticket, language, to, address, **looks):
        portal = self.portal(ticket)
        # Another source than in the round before, whose listing its delist still suppresses.
        self.lab.client("--wait", "enforced", "list", address, "--source", f"spamtrap-{ticket}", "--reason", "spam seen")
        folder = self.lab.dir / "sender/mail/alice"
        start = time.monotonic()
        url = self.bounced(to)
        self.assertRegex(url, re.escape(f"{BASE}/?ip={address}&t=") + "[a-z2-7]{12}$")
        seen = {path.name for path in folder.glob("new/*")}
        self.look.becomes(language=language, **looks)
        texts, wrong = {}, []

        def shot(page):
            texts[page] = self.driver.find_element("tag name", "main").text
            wrong.extend(self.look.looks(f"round-{ticket}-{language}-{page}"))
            self.assertEqual(self.driver.execute_script("return document.documentElement.lang"), language, page)

        person.visit(self.driver, url, ALICE, lambda: person.find_link(folder, seen), shot)
        pressed = re.search(r"([0-9.]+) ms", texts["result"])[1]
        self.delivered(to)
        took = time.monotonic() - start
        print(f"ticket {ticket}, {language}, {address}: {pressed} ms from the press to enforced by 1 of 1; "
              f"{took:.1f} s from the mail that bounced to the mail delivered")
        self.assertEqual(wrong + self.look.overheard(), [])
        self.assertIn({"en": f"{address} has been removed", "nl": f"{address} is van de lijst gehaald"}[language],
                      texts["result"])
        self.assertIn({"en": "1 of 1", "nl": "1 van 1"}[language], texts["result"])
        self.assertIn(f"request 1: {address} for #", portal.said())
        self.assertIn("with a ticket", portal.said())
        return portal, url

    def test_optional_english_ipv4(self):
        self.round("optional", "en", "bob@v4.example.org", bl.SENDER_IPV4)

    def test_optional_dutch_ipv6(self):
        self.round("optional", "nl", "bob@v6.example.org", bl.SENDER_IPV6, phone=True)

    def test_required_dutch_ipv4(self):
        portal, url = self.round("required", "nl", "bob@v4.example.org", bl.SENDER_IPV4, dark=True)
        # The ticket is this address's alone, and without one nothing goes out.
        fields = Page(portal.request("GET", url.removeprefix(BASE))[2]).fields
        for ip, text in ((bl.OTHER_IPV4, fields["t"]), (bl.SENDER_IPV4, "")):
            self.assertEqual(portal.request("POST", "/", {**fields, "email": ALICE, "ip": ip, "t": text})[0], 403)

    def test_required_english_ipv6(self):
        self.round("required", "en", "bob@v6.example.org", bl.SENDER_IPV6, dark=True, phone=True)


if __name__ == "__main__":
    missing = person.why_no_browser()
    if missing:
        print(f"skipped: {missing}")
        sys.exit(person.SKIP)
    bl.main()
