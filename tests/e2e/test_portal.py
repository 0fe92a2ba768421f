#!/usr/bin/python3
"""The delist portal against the real control plane, a data plane of Python and a mail server of Python: the whole round,
what it must refuse, what a kill leaves, and that a stranger learns nothing. BL_LONG=1: 10^5 posts for one address."""
import contextlib
import hashlib
import os
import pathlib
import re
import resource
import socket
import sqlite3
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import ControlPlane, DataPlane, apply, update, wait_for  # noqa: E402
from portal import ACTOR, BASE, MailServer, Page, Portal, link_of  # noqa: E402
from ticket import ticket  # noqa: E402

LONG = bool(os.environ.get("BL_LONG"))
N_SLOW = 1000
MANY = {"requests_per_source_hour": 1000000, "requests_per_network_hour": 1000000, "requests_per_hour": 10000000,
        "mails_per_address_day": 1000, "delay_s": 0}
WORDS = {"en": {"removed": "has been removed from the list", "button": "Delist IP"},
         "nl": {"removed": "is van de lijst gehaald", "button": "Haal IP van de lijst"}}


class Round(unittest.TestCase):
    """One control plane and one data plane for all; a portal and a mail server for each test."""

    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ControlPlane(extra=ACTOR))
        cls.edge = cls.enterClassContext(DataPlane(cls.plane))
        cls.stub = cls.plane.stub()

    def portal(self, **settings):
        self.mails = self.enterContext(MailServer())
        return self.enterContext(Portal(self.plane, self.mails, **settings))

    def list(self, prefix, **more):
        """By a feed: an operator's own listing is not the portal's to take off."""
        apply(self.stub, update("LIST", prefix, **{"source": "drop", **more}), enforced=True)

    def listed(self, address):
        from controlplane import pb
        return self.stub.Lookup(pb.LookupRequest(prefix=address)).listed

    def link(self, portal, address, mailbox="alice@example.net", **more):
        n = len(self.mails.messages)
        status, _, text = portal.ask(mailbox, address, **more)
        self.assertEqual(status, 200, text)
        return link_of(self.mails.message(n))

    def test_whole_round(self):
        """Form, mail, link, button, result, receipt: both families, both languages, pasted in all forms."""
        portal = self.portal(**MANY)
        pasted = ("<bob@example.org>: host mx[192.0.2.25] said: 550 5.7.606 Access denied, banned sending\n IP [%s]; To "
                  "request removal from this list please visit https://delist.example.net/?ip=%s and follow")
        for language, prefix, address, typed in (
                ("en", "192.0.2.7/32", "192.0.2.7", "[192.0.2.7]"),
                ("nl", "2001:db8:7::/64", "2001:db8:7::1", pasted % (("2001:DB8:7:0:0::1",) * 2)),
                ("en", "192.0.2.8/32", "192.0.2.8", " ::ffff:192.0.2.8 ")):
            with self.subTest(address):
                self.list(prefix)
                n = len(self.mails.messages)
                self.assertEqual(portal.ask("alice@example.net", typed, query=f"?lang={language}")[0], 200)
                mail = self.mails.message(n)
                self.assertIn(address, mail["Subject"])
                self.assertEqual(mail["Auto-Submitted"], "auto-generated")
                self.assertEqual(self.mails.envelopes[n], ["MAIL FROM:<>", "RCPT TO:<alice@example.net>"])
                link = link_of(mail)
                _, _, text = portal.request("GET", portal.path(link))
                self.assertEqual(Page(text).language, language)
                self.assertIn(WORDS[language]["button"], text)
                status, headers, _, took_ms = portal.press(link)
                self.assertEqual(status, 303)
                self.assertFalse(self.listed(address))
                result = Page(portal.request("GET", headers["Location"])[2]).text
                self.assertIn(WORDS[language]["removed"], result)
                self.assertIn("1 of 1" if language == "en" else "1 van 1", result)
                print(f"{address}: press to answer {took_ms:.1f} ms; {re.search(r'[0-9.]+ ms', result)[0]} to enforced")
                self.assertIn(address, self.mails.message(n + 1)["Subject"])  # the receipt
                # Reload shows the state that is enforced now.
                self.list(prefix, source="")
                again = Page(portal.request("GET", portal.path(link))[2]).text
                self.assertIn(prefix, again)

    def test_get_changes_nothing_and_a_token_works_once(self):
        portal = self.portal(**MANY)
        self.list("192.0.2.20")
        link = self.link(portal, "192.0.2.20")
        path = portal.path(link)
        for _ in range(1000):
            self.assertEqual(portal.request("GET", path)[0], 200)
        self.assertEqual(portal.request("HEAD", path)[0], 200)
        self.assertTrue(self.listed("192.0.2.20"))
        altered = path[:-1] + ("0" if path[-1] != "0" else "1")
        for wrong in (altered, "/c/" + "0" * 32, "/c/", path + "0", path.upper().replace("/C/", "/c/")):
            for method in ("GET", "POST"):
                status, _, text = portal.request(method, wrong, {"lang": "en"} if method == "POST" else None)
                self.assertIn(status, (404,), wrong)
                self.assertIn("Ask for a new link", text)
        self.assertTrue(self.listed("192.0.2.20"))
        self.assertEqual(portal.press(link)[0], 303)
        self.assertFalse(self.listed("192.0.2.20"))
        status, _, text = portal.request("POST", path, {"lang": "en"})
        self.assertEqual(status, 410)
        self.assertIn("used already", text)

    def test_expired_and_foreign(self):
        portal = self.portal(**MANY)
        self.list("192.0.2.21")
        link = self.link(portal, "192.0.2.21")
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            db.execute("UPDATE request SET expires_ms = 1")
        for method in ("GET", "POST"):
            status, _, text = portal.request(method, portal.path(link), {"lang": "en"} if method == "POST" else None)
            self.assertEqual(status, 410)
            self.assertIn("too old", text)
        self.assertTrue(self.listed("192.0.2.21"))
        other_mails = self.enterContext(MailServer())
        other = self.enterContext(Portal(self.plane, other_mails, **MANY))
        self.assertEqual(other.request("POST", portal.path(link), {"lang": "en"})[0], 404)

    def test_not_listed_wider_and_closed(self):
        portal = self.portal(**MANY)
        link = self.link(portal, "192.0.2.30")
        self.assertIn("is not listed", portal.request("GET", portal.path(link))[2])
        self.list("198.51.100.0/24", source="drop")
        link = self.link(portal, "198.51.100.77")
        self.assertIn("198.51.100.0/24", portal.request("GET", portal.path(link))[2])
        _, headers, _, _ = portal.press(link)
        self.assertIn("exempted from a wider listing", portal.request("GET", headers["Location"])[2])
        self.assertFalse(self.listed("198.51.100.77"))
        self.assertTrue(self.listed("198.51.100.78"))
        self.list("203.0.113.0/24", self_service=2, source="drop")
        link = self.link(portal, "203.0.113.5")
        text = portal.request("GET", portal.path(link))[2]
        self.assertIn("postmaster@example.net", text)
        self.assertNotIn("<button", text)
        status, headers, text = portal.request("POST", portal.path(link), {"lang": "en"})
        self.assertEqual(status, 303, text)
        self.assertIn("could not be delisted here", portal.request("GET", headers["Location"])[2])
        self.assertTrue(self.listed("203.0.113.5"))

    def test_limits(self):
        portal = self.portal(delay_s=0, requests_per_hour=10000000)
        n_posts = 100000 if LONG else 400
        for i in range(n_posts):
            source = f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
            portal.ask(("alice@example.net", "ALICE+x@example.net")[i % 2], "192.0.2.50", source=source)
        # What there is to be sent is in the store before the last answer came.
        with contextlib.closing(sqlite3.connect(portal.dir / "data/portal.db")) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM mail WHERE state <> 5").fetchone(), (3,))
        self.mails.message(2)
        # Five requests of one source, for different people.
        states = [portal.ask(f"p{i}@example.net", "192.0.2.51", source="2001:db8:9::%x" % i)[0] for i in range(7)]
        self.assertEqual(states, [200] * 5 + [429] * 2)
        # A stranger's own word for its address does not count.
        self.assertEqual(portal.ask("q@example.net", "192.0.2.51", source="1.2.3.4, 2001:db8:9::1")[0], 429)

    def test_delay_without_scripts(self):
        """Without a proof of work the mail is due after the delay, with one at once, with a wrong one after the delay."""
        portal = self.portal(**{**MANY, "delay_s": 600}, work_bits=8)
        form = Page(portal.request("GET", "/")[2]).fields
        digests = ((n, hashlib.sha256(f"{form['form']}:{n}".encode()).digest()[0]) for n in range(100000))
        right, wrong = next(n for n, first in digests if first == 0), next(n for n, first in digests if first != 0)
        for number, work in (("61", ""), ("62", str(wrong)), ("63", str(right))):
            portal.request("POST", "/", {**form, "email": "alice@example.net", "ip": f"192.0.2.{number}", "work": work})
        self.assertIn("192.0.2.63", self.mails.message(0)["Subject"])
        with contextlib.closing(sqlite3.connect(portal.dir / "data/portal.db")) as db:
            waits = db.execute("SELECT address, due_ms - created_ms FROM mail JOIN request ON request.id = mail.request "
                               "WHERE mail.state = 0 ORDER BY address").fetchall()
        self.assertEqual(waits, [("192.0.2.61", 600000), ("192.0.2.62", 600000)])
        self.assertEqual(len(self.mails.messages), 1)

    def ticketed(self, **settings):
        """A portal that knows the data planes' key, and ask(address, ticket): the status and how many mails came of it."""
        key = os.urandom(16)
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="bounceline-test-")))
        (folder / "ticket.key").write_bytes(key)
        (folder / "ticket.key").chmod(0o400)
        portal = self.portal(**{**MANY, **settings, "ticket_key_file": folder / "ticket.key"})

        def ask(address, text):
            status, _, page = portal.ask("alice@example.net", address, query=f"?ip={address}&t={text}")
            return status, Page(page).text
        return key, ask

    def test_ticket_required(self):
        """Only a bounce of the last week, for that very address, opens the flow. An IPv6 ticket is its /64's."""
        key, ask = self.ticketed(ticket="required")
        today = int(time.time()) // 86400
        for address, other in (("192.0.2.41", "192.0.2.42"), ("2001:db8:41::1", "2001:db8:42::1")):
            good = ticket(key, address, today)
            for wrong in ("", good[:-1], ticket(key, other, today), ticket(os.urandom(16), address, today),
                          ticket(key, address, today - 9), ticket(key, address, today + 2), "é'\"><"):
                status, text = ask(address, urllib.parse.quote(wrong))
                self.assertEqual(status, 403, wrong)
                self.assertIn("link in your bounce", text)
            self.assertEqual(self.mails.messages, [])
            for n, age in enumerate((0, 6)):
                self.assertEqual(ask(address, ticket(key, address, today - age))[0], 200)
                self.assertIn(address, self.mails.message(n)["Subject"])
            self.mails.messages.clear()
        self.assertEqual(ask("2001:db8:42::2", ticket(key, "2001:db8:42::1", today))[0], 200)
        self.mails.message(0)

    def test_ticket_optional(self):
        """With one the mail goes out at once, without one it waits."""
        key, ask = self.ticketed(ticket="optional", delay_s=600, work_bits=0)
        self.assertEqual(ask("192.0.2.43", "")[0], 200)
        self.assertEqual(ask("192.0.2.44", ticket(key, "192.0.2.44", int(time.time()) // 86400))[0], 200)
        self.assertIn("192.0.2.44", self.mails.message(0)["Subject"])
        self.assertEqual(len(self.mails.messages), 1)

    def test_listens_as_it_is_told(self):
        """By IPv6 an IPv4 proxy is the one that is trusted; on a Unix socket whoever may open it is."""
        portal = self.portal(**MANY, listen="[::]:{port}")
        self.assertEqual(portal.ask("alice@example.net", "192.0.2.45", source="203.0.113.77")[0], 200)
        self.assertIn("from 203.0.113.77/32", portal.said())
        portal = self.portal(**MANY, listen="unix:{dir}/run/portal.sock")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(portal.dir / "run/portal.sock"))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertEqual(connection.makefile("rb").readline(), b"HTTP/1.1 200 OK\r\n")

    def test_refuses(self):
        portal = self.portal(**MANY)
        form = Page(portal.request("GET", "/")[2]).fields
        good = {**form, "email": "alice@example.net", "ip": "192.0.2.7"}
        for change in ({"email": "a@b"}, {"email": "alice@example.net\r\nBcc: x@y.org"}, {"email": "a\0@example.net"},
                       {"email": "\"a\"@example.net"}, {"email": "a..b@example.net"}, {"email": "a@[192.0.2.1]"},
                       {"email": "a@example.net,b@example.net"}, {"ip": "nothing"}, {"ip": "192.0.2.1 192.0.2.2"},
                       {"ip": "127.0.0.1"}, {"ip": "192.0.2.7\x01"}, {"form": "0" * 40}, {"form": ""},
                       {"email": "<script>@example.net"}, {"lang": "xx"}):
            status, _, text = portal.request("POST", "/", {**good, **change})
            self.assertIn(status, (400, 422), change)
            self.assertNotIn("<script>@", text)
        self.assertEqual(portal.request("POST", "/", good, source="203.0.113.99")[0], 422)  # another source's form
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        for lines, status in ((b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "400"),
                              (b"Content-Length : 1\r\n\r\na", "400"),
                              (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
                              (b"Content-Length: 1\r\nTransfer-Encoding: identity\r\n\r\na", "400"),
                              (b"Content-Length: 16385\r\n\r\n", "413"), (b"Content-Length: -1\r\n\r\n", "400"),
                              (b"\r\n", "411")):
            with self.subTest(lines):
                said = portal.raw(head + lines)
                self.assertTrue(said == "" or said.split()[1] == status, said)
        self.assertEqual(portal.request("PUT", "/")[0], 405)
        self.assertEqual(portal.request("POST", "/", raw_body="{}", headers={"Content-Type": "text/json"})[0], 415)
        self.assertEqual(self.mails.messages, [])

    def test_headers_and_base_url(self):
        portal = self.portal(**MANY)
        for path in ("/", "/none", "/c/" + "0" * 32):
            _, headers, _ = portal.request("GET", path)
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            self.assertIn("frame-ancestors 'none'", headers["Content-Security-Policy"])
            self.assertEqual(headers["Referrer-Policy"], "no-referrer")
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertIsNone(headers["Set-Cookie"])
        form = Page(portal.request("GET", "/", headers={"Host": "evil.example"})[2]).fields
        portal.request("POST", "/", {**form, "email": "alice@example.net", "ip": "192.0.2.7"},
                       headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        self.assertTrue(link_of(self.mails.message(0)).startswith(BASE))
        self.assertNotIn(b"evil", self.mails.messages[0])

    def test_pages_are_well_made(self):
        """Tags balance, fields have labels, ids are distinct, nothing comes from another host, the text is in the
        page's language; a script's text in a field stays text."""
        portal = self.portal(**MANY)
        for language in ("en", "nl"):
            for target in ("/", "/none", "/?ip=%3Cscript%3Ealert(1)%3C/script%3E&t=%22x"):
                text = portal.request("GET", target, headers={"Accept-Language": f"{language}-XX,fr;q=0.9"})[2]
                page = Page(text)
                self.assertEqual((page.language, page.headings, page.errors, page.open), (language, 1, [], []))
                self.assertEqual(len(page.ids), len(set(page.ids)))
                self.assertTrue(page.described <= set(page.ids))
                self.assertTrue(all(link.startswith(("/", "#", "data:,")) for link in page.links), page.links)
                shown = {identity for kind, identity in page.types.values() if kind != "hidden"}
                self.assertEqual(shown, page.labels)
                self.assertNotIn("{{", text)
                self.assertNotIn("<script>a", text)

    def test_slow_connections_hold_up_nobody(self):
        """A thousand that begin and do not go on, in every part of a request, or do not read what they asked for."""
        portal = self.portal(**MANY)
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        begun = [b"", b"P", head, head + b"Content-Length: 5000\r\n\r\nform=",
                 b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 200]  # a megabyte of pages that nobody reads
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with contextlib.ExitStack() as stack:
            slow = []
            for n in range(N_SLOW):
                slow.append(stack.enter_context(socket.create_connection(("127.0.0.1", portal.port), 20)))
                slow[-1].sendall(begun[n % len(begun)])
            times = []
            for _ in range(200):
                start = time.monotonic()
                self.assertEqual(portal.request("GET", "/")[0], 200)
                times.append(time.monotonic() - start)
            p99 = sorted(times)[197]
            print(f"beside {N_SLOW} slow connections: p99 {p99 * 1000:.1f} ms")
            if LONG:
                self.assertLess(p99, 1)
            # The portal hangs up on each, whatever it began.
            for connection in slow[:len(begun) - 1]:
                connection.settimeout(60)
                self.assertEqual(connection.recv(1), b"")

    def test_kill_at_every_step(self):
        portal = self.portal(**MANY)
        self.list("192.0.2.70")
        self.mails.replies.append(("RCPT", "451 later"))
        portal.ask("alice@example.net", "192.0.2.70")
        wait_for("the refusal", lambda: "will be tried again" in portal.said())
        portal.kill()
        portal.start()
        link = link_of(self.mails.message(0, 20))
        time.sleep(0.3)
        portal.kill()
        portal.start()
        # Pressed, and killed before the control plane was asked: as the store says so.
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            db.execute("UPDATE request SET state = 1")
        self.assertEqual(portal.press(link)[0], 303)
        self.assertFalse(self.listed("192.0.2.70"))
        self.mails.message(1)
        portal.kill()
        portal.start()
        time.sleep(1)
        self.assertEqual(len(self.mails.messages), 2)

    def test_kill_in_data(self):
        """Killed when the server has the whole mail and has not answered: not sent again, and said so."""
        portal = self.portal(**MANY)
        self.mails.hold = lambda data: portal.kill()
        portal.ask("alice@example.net", "192.0.2.71")
        wait_for("the kill", lambda: portal.process is None)
        time.sleep(0.2)
        self.mails.hold = None
        n = len(self.mails.messages)
        portal.start()
        time.sleep(1)
        self.assertEqual(len(self.mails.messages), n)
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            self.assertEqual(db.execute("SELECT state FROM mail").fetchall(), [(4,)])


if __name__ == "__main__":
    unittest.main()
