#!/usr/bin/python3
"""The portal's other two ways to a link: by an address's confirmed reverse name, and the hosters' page. Against the real
control plane, and a mail server and a name server of Python."""
import ipaddress
import os
import pathlib
import sqlite3
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import ControlPlane, DataPlane, apply, pb, update, wait_for  # noqa: E402
from dns import NameServer, reverse  # noqa: E402
from portal import ACTOR, MailServer, Page, Portal, link_of  # noqa: E402
from ticket import ticket  # noqa: E402

MANY = {"requests_per_source_hour": 1000000, "requests_per_network_hour": 1000000, "requests_per_hour": 10000000,
        "mails_per_address_day": 1000, "delay_s": 0}
TODAY = int(time.time()) // 86400


class Hosts(unittest.TestCase):
    """One control plane and one data plane for all; a portal, a mail server and a name server for each test."""

    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ControlPlane(extra=ACTOR))
        cls.edge = cls.enterClassContext(DataPlane(cls.plane))
        cls.stub = cls.plane.stub()

    def portal(self, plane=None, **settings):
        self.key = os.urandom(16)
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="bounceline-test-")))
        (folder / "ticket.key").write_bytes(self.key)
        (folder / "ticket.key").chmod(0o400)
        self.mails = self.enterContext(MailServer())
        self.names = self.enterContext(NameServer())
        return self.enterContext(Portal(plane or self.plane, self.mails, **{
            **MANY, "ticket": "required", "reverse_names": "true", "resolvers": f"[\"127.0.0.1:{self.names.port}\"]",
            "ticket_key_file": folder / "ticket.key", **settings}))

    def list(self, prefix, **more):
        apply(self.stub, update("LIST", prefix, **{"source": "drop", **more}), enforced=True)

    def listed(self, address):
        return self.stub.Lookup(pb.LookupRequest(prefix=address)).listed

    def rows(self, portal, sql):
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            return db.execute(sql).fetchall()

    def settled(self, portal, n):
        """So many lookups have an answer; what is queued by them is in the store then."""
        wait_for(f"{n} answers", lambda: self.rows(
            portal, "SELECT count(*) FROM lookup WHERE state <> 0")[0][0] == n, 30)

    def recipients(self):
        return sorted(envelope[1].removeprefix("RCPT TO:<").removesuffix(">") for envelope in self.mails.envelopes)

    def outbox_empty(self, portal):
        wait_for("the outbox", lambda: self.rows(portal, "SELECT count(*) FROM mail WHERE state IN (0, 1)") == [(0,)], 20)

    def mail_to(self, mailbox, n=0):
        at = [i for i, envelope in enumerate(self.mails.envelopes) if f"RCPT TO:<{mailbox}>" in envelope][n]
        return self.mails.message(at)

    def test_by_reverse_name(self):
        """The link goes to whom the confirmed name names, and not to the one who asks; each has a token of his own."""
        portal = self.portal()
        for address, name in (("192.0.2.7", "mx1.example.co.uk"), ("2001:db8:7::25", "MX2.v6.example.org")):
            self.list(address)
            self.names.host(address, name)
            self.assertIn("reverse name", Page(portal.request("GET", "/")[2]).text)
            self.assertEqual(portal.ask("alice@example.net", address)[0], 200)
            name = name.lower()
            domain = name.split(".", 1 if "uk" in name else 2)[-1]
            mailboxes = sorted(f"{local}@{host}" for local in ("abuse", "postmaster") for host in (name, domain))
            wait_for("4 mails", lambda: len(self.mails.messages) == 4)
            self.assertEqual(self.recipients(), mailboxes)
            links = {mailbox: link_of(self.mail_to(mailbox)) for mailbox in mailboxes}
            self.assertEqual(len(set(links.values())), 4)
            self.assertIn("confirmed reverse name", self.mails.message(0).get_body(("plain",)).get_content())
            self.assertTrue(self.listed(address))
            link = links[f"abuse@{domain}"]
            self.assertEqual(portal.press(link)[0], 303)
            self.assertFalse(self.listed(address))
            wait_for("the receipt", lambda: len(self.mails.messages) == 5)
            self.assertIn(f"RCPT TO:<abuse@{domain}>", self.mails.envelopes[4])
            self.assertIn("is not listed", portal.request("GET", portal.path(links[f"postmaster@{name}"]))[2])
            self.mails.messages.clear()
            self.mails.envelopes.clear()
        # With a ticket it is as ever.
        good = ticket(self.key, "192.0.2.8", TODAY)
        portal.ask("alice@example.net", "192.0.2.8", query=f"?t={good}")
        self.assertEqual(self.mails.message(0)["To"], "alice@example.net")

    def test_names_that_do_not_count(self):
        """Unconfirmed, missing, a public suffix, no host name at all: nobody is mailed, and the page is always the same."""
        portal = self.portal(resolver_timeout_ms=300)
        self.names.host("192.0.2.10", "mail.example.net")
        self.names.host("192.0.2.11", "liar.example.net", forward=False)
        self.names.host("192.0.2.12", "other.example.net", forward=False)
        self.names.add("other.example.net", "A", "192.0.2.99")
        self.names.host("192.0.2.13", "co.uk")
        self.names.host("192.0.2.14", "bad_name.example.net")
        self.names.host("192.0.2.15", "dead.example.net")
        self.names.silent.add("dead.example.net")
        self.names.failing.add(reverse("192.0.2.16"))
        pages = set()
        for last in range(10, 18):
            status, headers, text = portal.ask("alice@example.net", f"192.0.2.{last}")
            kept = tuple(header for header in headers.items() if header[0] != "Date")
            pages.add((status, kept, text.replace(f"192.0.2.{last}", "")))
        self.assertEqual(len(pages), 1)
        self.settled(portal, 6)
        self.outbox_empty(portal)
        self.assertEqual({r.split("@")[1] for r in self.recipients()}, {"example.net", "mail.example.net"})
        # No answer is no "no": those two are asked again later.
        self.assertEqual(self.rows(portal, "SELECT address, lookup.state FROM lookup JOIN request ON id = request WHERE"
                                           " lookup.state = 0 ORDER BY 1"), [("192.0.2.15", 0), ("192.0.2.16", 0)])
        self.assertIn("asked again later", portal.said())
        # What stands behind a CNAME, as in a zone of less than a /24 (RFC 2317).
        n = len(self.mails.messages)
        self.names.add(reverse("192.0.2.18"), "CNAME", "18.0-31.2.0.192.in-addr.arpa")
        self.names.add("18.0-31.2.0.192.in-addr.arpa", "PTR", "delegated.example.com")
        self.names.add("delegated.example.com", "A", "192.0.2.18")
        portal.ask("alice@example.net", "192.0.2.18")
        wait_for("its mails", lambda: len(self.mails.messages) == n + 4)

    def test_dead_name_servers_hold_up_no_page(self):
        portal = self.portal(resolver_timeout_ms=5000)
        self.names.silent.add(reverse("192.0.2.20"))
        portal.ask("alice@example.net", "192.0.2.20")
        wait_for("the question", lambda: self.names.questions)
        for _ in range(40):
            self.assertEqual(portal.request("GET", "/")[0], 200)
        self.assertEqual(self.rows(portal, "SELECT state, n_attempts FROM lookup"), [(0, 0)])
        portal.kill(15)  # ends at once all the same: wait_for's and kill's own limits

    def test_limits_hold_for_named_mailboxes(self):
        portal = self.portal(mails_per_address_day=3)
        self.names.host("192.0.2.21", "mail.example.net")
        for i in range(5):
            self.assertEqual(portal.ask(f"p{i}@example.net", "192.0.2.21")[0], 200)
        self.settled(portal, 5)
        self.outbox_empty(portal)
        self.assertEqual(self.recipients(), sorted(3 * [
            f"{local}@{host}" for local in ("abuse", "postmaster") for host in ("example.net", "mail.example.net")]))
        # By the one who asks as ever.
        portal = self.portal(requests_per_source_hour=2)
        self.assertEqual([portal.ask("a@example.net", "192.0.2.21")[0] for _ in range(3)], [200, 200, 429])

    def test_off_asks_nobody(self):
        portal = self.portal(reverse_names="false")
        self.assertEqual(portal.ask("alice@example.net", "192.0.2.22")[0], 403)
        status, _, text = portal.ask("alice@example.net", "192.0.2.22", page="/hosts")
        self.assertEqual(status, 422)
        self.assertIn("192.0.2.22", Page(text).text)
        self.assertEqual(self.names.questions, [])
        portal = self.portal(reverse_names="false", ticket="off")
        self.assertEqual(portal.request("GET", "/hosts")[0], 404)
        self.assertNotIn("/hosts", portal.request("GET", "/")[2])
        self.assertEqual(self.portal(range_addresses=0).request("GET", "/hosts")[0], 404)

    def test_kill_around_the_names(self):
        """Asked, killed before the answer, asked again: each mailbox has one mail. Killed after it: none more."""
        portal = self.portal(resolver_timeout_ms=5000)
        self.names.host("192.0.2.23", "mail.example.net")
        self.names.silent.add(reverse("192.0.2.23"))
        portal.ask("alice@example.net", "192.0.2.23")
        wait_for("the question", lambda: self.names.questions)
        portal.kill()
        self.assertEqual(self.mails.messages, [])
        self.names.silent.clear()
        portal.start()
        self.settled(portal, 1)
        portal.kill()
        portal.start()
        self.outbox_empty(portal)
        portal.kill()
        portal.start()
        self.outbox_empty(portal)
        states = self.rows(portal, "SELECT state, count(*) FROM mail GROUP BY state")
        self.assertEqual(sum(n for _, n in states), 4)
        # What was in the server's hands when it was killed is unsure, and not sent again.
        self.assertEqual(len(self.recipients()), len(set(self.recipients())))
        self.assertLessEqual(dict(states).get(4, 0), 1, states)

    def paste(self, addresses, style="{address} {ticket}"):
        return "\n".join(style.format(address=a, ticket=ticket(self.key, a, TODAY)) for a in addresses)

    def test_range_by_tickets(self):
        """Two languages, both families; 256 rows; each outcome; once; the receipt says the same."""
        portal = self.portal()
        words = {"en": ("Removed", "Was not listed", "a person made this listing", "Closed for self-service", "Delist 256 IPs"),
                 "nl": ("Van de lijst gehaald", "Stond niet op de lijst", "met de hand gemaakt", "Niet zelf te verwijderen",
                        "Haal 256 IP's")}
        for language, net in (("en", "198.51.100.%d"), ("nl", "2001:db8:9:%x::1")):
            addresses = [str(ipaddress.ip_address(net % i)) for i in range(256)]
            removed, not_listed, person, closed, button = words[language]
            self.list(addresses[1])
            self.list(addresses[2], self_service=2)
            self.list(addresses[3], source="")
            n = len(self.mails.messages)
            status, _, text = portal.ask("alice@example.net", self.paste(addresses), page="/hosts", query=f"?lang={language}")
            self.assertEqual(status, 200, text)
            mail = self.mails.message(n)
            self.assertEqual(mail["To"], "alice@example.net")
            plain = mail.get_body(("plain",)).get_content().splitlines()
            self.assertEqual([line for line in plain if line in addresses], addresses)
            link = link_of(mail)
            for _ in range(3):
                page = portal.request("GET", portal.path(link))[2]
            self.assertEqual(page.count("<tr>"), 257)
            self.assertIn(button, Page(page).text)
            self.assertTrue(self.listed(addresses[1]))
            serial = self.stub.Lookup(pb.LookupRequest(prefix=addresses[1])).serial
            status, headers, _, took_ms = portal.press(link)
            self.assertEqual(status, 303)
            print(f"256 addresses: press to answer {took_ms:.1f} ms")
            self.assertEqual([self.listed(addresses[i]) for i in (0, 1, 2, 3)], [False, False, True, True])
            self.assertEqual(self.stub.Lookup(pb.LookupRequest(prefix=addresses[1])).serial, serial + 1)  # one record
            result = portal.request("GET", headers["Location"])[2]
            page = Page(result)
            self.assertEqual((page.language, page.errors, page.open), (language, [], []))
            rows = result.split("<tr>")[2:]
            self.assertEqual(len(rows), 256)
            for row, said in zip(rows, [not_listed, removed, closed, person] + [not_listed] * 252):
                self.assertIn(said, row)
            receipt = self.mails.message(n + 1).get_body(("plain",)).get_content()
            self.assertIn(f"{addresses[1]}: {removed}", receipt)
            self.assertIn(f"{addresses[255]}: {not_listed}", receipt)
            self.assertEqual(portal.request("POST", portal.path(link), {"lang": "en"})[0], 410)
            # It keeps saying what is enforced now.
            self.list(addresses[1], source="")
            row = portal.request("GET", portal.path(link))[2].split("<tr>")[3]
            self.assertIn(removed, row)
            self.assertIn("606", row)

    def test_range_of_a_wider_listing(self):
        portal = self.portal()
        self.list("203.0.113.0/24")
        addresses = ["203.0.113.5", "203.0.113.6"]
        portal.ask("alice@example.net", self.paste(addresses, "https://delist.example.net/?ip={address}&t={ticket}"),
                   page="/hosts")
        _, headers, _, _ = portal.press(link_of(self.mails.message(0)))
        self.assertEqual(portal.request("GET", headers["Location"])[2].count("Exempted from a wider listing</td>"), 2)
        self.assertEqual([self.listed(f"203.0.113.{i}") for i in (5, 6, 7)], [False, False, True])

    def test_range_by_names(self):
        """All under one registered domain: its postmaster and abuse get the link. One of another, or none: nobody does."""
        portal = self.portal(range_addresses=64)
        for i in range(64):
            self.names.host(f"192.0.2.{i}", f"h{i}.dc1.hoster.co.uk")
        self.names.host("192.0.2.64", "h64.other.co.uk")
        self.list("192.0.2.0")
        pages = set()
        for text in ("192.0.2.60/30 192.0.2.64", "192.0.2.62/31 192.0.2.65", "192.0.2.0/26"):
            status, headers, page = portal.ask("alice@example.net", text, page="/hosts")
            kept = tuple(header for header in headers.items() if header[0] != "Date")
            pages.add((status, kept, page))
        self.assertEqual(len(pages), 1)
        self.settled(portal, 3)
        self.outbox_empty(portal)
        self.assertEqual(self.recipients(), ["abuse@hoster.co.uk", "postmaster@hoster.co.uk"])
        self.assertEqual(self.rows(portal, "SELECT state FROM lookup ORDER BY request"), [(2,), (2,), (1,)])
        link = link_of(self.mails.message(0))
        self.assertEqual(portal.request("GET", portal.path(link))[2].count("<tr>"), 65)
        self.assertEqual(portal.press(link)[0], 303)
        self.assertFalse(self.listed("192.0.2.0"))
        other = link_of(self.mails.message(1))
        self.assertIn("nothing here for the button", portal.request("GET", portal.path(other))[2])
        # A ticket for some is not one for all: the names of all count.
        portal.ask("alice@example.net", f"192.0.2.1 {ticket(self.key, '192.0.2.1', TODAY)} 192.0.2.64", page="/hosts")
        self.settled(portal, 4)
        self.outbox_empty(portal)
        self.assertNotIn("alice@example.net", self.recipients())

    def test_listed_or_not_is_the_same_page(self):
        portal = self.portal()
        self.list("192.0.2.40")
        answers = []
        for address in ("192.0.2.40", "192.0.2.41"):
            status, headers, text = portal.ask("alice@example.net", self.paste([address]), page="/hosts")
            answers.append((status, [h for h in headers.items() if h[0] != "Date"], text))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0][0], 200)

    def test_range_refuses(self):
        portal = self.portal(range_addresses=3)
        for text, said in (("", "at least one"), ("192.0.2.1 <b>", "<b>"), ("192.0.2.1 192.0.3.1", "192.0.3.1"),
                           ("127.0.0.1", "not used on the internet"), ("192.0.2.0/30", "more addresses than")):
            status, _, page = portal.ask("alice@example.net", text, page="/hosts")
            self.assertEqual(status, 422, text)
            self.assertIn(said, Page(page).text)
            self.assertNotIn("<b>", page)
        self.assertEqual(portal.ask("alice", "192.0.2.1", page="/hosts")[0], 422)
        self.assertEqual(portal.ask("a@example.net", "192.0.2.1", page="/hosts", form="0" * 40)[0], 422)
        self.assertEqual(self.rows(portal, "SELECT count(*) FROM request"), [(0,)])
        for language in ("en", "nl"):
            page = Page(portal.request("GET", f"/hosts?lang={language}")[2])
            self.assertEqual((page.language, page.headings, page.errors, page.open), (language, 1, [], []))
            self.assertTrue(page.described <= set(page.ids))
            self.assertEqual({identity for kind, identity in page.types.values() if kind != "hidden"}, page.labels)
        # A link of a range is bound to its addresses: another portal's, an altered one.
        self.assertEqual(portal.request("POST", "/c/" + "0" * 32, {"lang": "en"})[0], 404)

    def test_quota_takes_a_range_whole(self):
        """The control plane's own: 4 a minute take no 5; the request stays where it was, and nothing is delisted."""
        plane = self.enterContext(ControlPlane(extra=ACTOR + "      updates_per_minute: 4\n"))
        stub = plane.stub()
        apply(stub, update("LIST", "192.0.2.50", source="drop"))
        portal = self.portal(plane)
        portal.ask("alice@example.net", self.paste(f"192.0.2.{i}" for i in range(50, 55)), page="/hosts")
        portal.ask("alice@example.net", self.paste(f"192.0.2.{i}" for i in range(50, 54)), page="/hosts")
        links = [link_of(self.mails.message(i)) for i in (0, 1)]
        links.sort(key=lambda link: portal.request("GET", portal.path(link))[2].count("<tr>"))
        self.assertEqual(portal.press(links[1])[0], 503)
        self.assertTrue(stub.Lookup(pb.LookupRequest(prefix="192.0.2.50")).listed)
        self.assertEqual(self.rows(portal, "SELECT count(*) FROM request WHERE state = 1"), [(1,)])
        self.assertEqual(portal.press(links[0])[0], 303)
        self.assertFalse(stub.Lookup(pb.LookupRequest(prefix="192.0.2.50")).listed)

    def test_kill_around_the_button(self):
        """Pressed, and killed before or after the control plane was asked: the same batch, one answer, one receipt."""
        portal = self.portal()
        self.list("192.0.2.60")
        portal.ask("alice@example.net", self.paste(["192.0.2.60", "192.0.2.61"]), page="/hosts")
        link = link_of(self.mails.message(0))
        self.outbox_empty(portal)
        portal.kill()
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            db.execute("UPDATE request SET state = 1")
        portal.start()
        self.assertEqual(portal.press(link)[0], 303)
        self.assertFalse(self.listed("192.0.2.60"))
        self.mails.message(1)
        self.outbox_empty(portal)
        portal.kill()
        # As if it had been killed before its result was stored.
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            db.execute("UPDATE request SET state = 1")
            db.execute("DELETE FROM mail WHERE kind = 2")
            db.execute("UPDATE request_address SET unit_outcome = 0")
        portal.start()
        self.assertEqual(portal.press(link)[0], 303)
        result = portal.request("GET", portal.path(link))[2]
        self.assertIn("Removed</td>", result)  # the first answer again
        self.mails.message(2)
        self.assertEqual(len(self.mails.messages), 3)


if __name__ == "__main__":
    unittest.main()
