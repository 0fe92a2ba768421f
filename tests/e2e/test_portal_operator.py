#!/usr/bin/python3
"""The operator's view: what the portal did and refused, as a page and as JSON, on a socket of its own; off by default;
whom it names, and how; what a kill leaves of its counts."""
import http.client
import json
import os
import pathlib
import re
import socket
import sqlite3
import stat
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import ControlPlane, DataPlane, apply, update, wait_for  # noqa: E402
from portal import ACTOR, MailServer, Page, Portal, free_port, link_of  # noqa: E402

MANY = {"requests_per_network_hour": 1000000, "requests_per_hour": 10000000, "mails_per_address_day": 3, "delay_s": 0}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def look(target, where, method="GET", headers=None):
    """(status, headers, text) from a port, or from a Unix socket's path."""
    connection = http.client.HTTPConnection("127.0.0.1", where, timeout=20) if isinstance(where, int) \
        else UnixConnection(where)
    try:
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


class Operator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ControlPlane(extra=ACTOR))
        cls.edge = cls.enterClassContext(DataPlane(cls.plane))
        cls.stub = cls.plane.stub()

    def portal(self, **settings):
        self.mails, self.n_mails = self.enterContext(MailServer()), 0
        return self.enterContext(Portal(self.plane, self.mails, **{**MANY, **settings}))

    def list(self, prefix, **more):
        apply(self.stub, update("LIST", prefix, **{"source": "drop", **more}), enforced=True)

    def use(self, portal):
        """A day's work: one removed, one exempted, one closed, one that was not listed, a link that is not used; a reason
        of each kind for which nothing was done. Returns what the view must say was refused."""
        self.list("192.0.2.7")
        self.list("198.51.100.0/24")
        self.list("203.0.113.0/24", self_service=2)
        for i, address in enumerate(("192.0.2.7", "198.51.100.9", "203.0.113.9", "192.0.2.9")):
            self.assertEqual(portal.ask(f"p{i}@example.net", address)[0], 200)
            path = portal.path(self.last_link())
            if i == 2:
                self.assertIn("closed for self-service", portal.request("GET", path)[2])
            self.assertEqual(portal.request("POST", path, {"lang": "en"})[0], 303)
            self.receipt()
        self.assertEqual(portal.request("POST", path, {"lang": "en"})[0], 410)
        self.assertEqual(portal.ask("p4@example.net", "192.0.2.8")[0], 200)
        self.last_link()
        self.assertEqual(portal.ask("p5@example.net", "192.0.2.8")[0], 429)  # the sixth of one source
        for i in range(5):
            self.assertEqual(portal.ask("quiet@example.net", "192.0.2.8", source=f"198.51.100.{i}")[0], 200)
        for change in ({"mailbox": "nobody"}, {"ip": "none"}, {"ip": "192.0.2.1 192.0.2.2"}, {"ip": "127.0.0.1"}):
            portal.ask(**{"mailbox": "a@example.net", "ip": "192.0.2.1", **change})
        portal.request("POST", "/", {"form": "0" * 40, "email": "a@example.net", "ip": "192.0.2.1"})
        portal.request("GET", "/c/" + "0" * 32)
        portal.request("GET", "/wp-login.php")
        portal.request("PUT", "/")
        return {"used": 1, "closed": 1, "self_service_closed": 1, "too_many": 1, "mailbox": 2, "wrong_email": 1,
                "wrong_ip": 1, "many_ip": 1, "reserved_ip": 1, "old_form": 1, "unknown": 1, "no_page": 1, "bad_request": 1}

    def last_link(self):
        """The newest mail's link, when it is there."""
        self.n_mails += 1
        return link_of(self.mails.message(self.n_mails - 1))

    def receipt(self):
        self.n_mails += 1
        self.mails.message(self.n_mails - 1)

    def test_what_it_shows(self):
        port = free_port()
        portal = self.portal(operator_listen=f"127.0.0.1:{port}")
        refused = self.use(portal)
        wait_for("all mails", lambda: len(self.mails.messages) == self.n_mails + 3)
        wait_for("the last one settled", lambda: json.loads(look("/status.json", port)[2])["outbox"] == [])
        status, headers, text = look("/status.json", port)
        self.assertEqual((status, headers["Content-Type"], headers["Cache-Control"]), (200, "application/json", "no-store"))
        view = json.loads(text)
        self.assertEqual({entry["reason"]: entry["n_24_hours"] for entry in view["refused"]}, refused)
        self.assertEqual({entry["reason"]: entry["n_7_days"] for entry in view["refused"]}, refused)
        ends = {"removed": 1, "exempted": 1, "not_listed": 1, "refused": 1, "waiting": 6, "not_enforced": 0}
        self.assertEqual((view["outcomes_24_hours"], view["outcomes_7_days"]), (ends, ends))
        self.assertEqual(view["mails_7_days"], {"queued": 0, "handed": 0, "sent": 12, "failed": 0, "unsure": 0,
                                                "withheld": 2})
        for slots, n in ((view["hours"], 24), (view["days"], 7)):
            self.assertEqual(len(slots), n)
            for key, total in (("requests", 10), ("delisted", 2), ("refused", sum(refused.values()))):
                self.assertEqual(sum(slot[key] for slot in slots), total, key)
        self.assertTrue(0 < view["enforced_median_us"] <= view["enforced_largest_us"] < 3000000)
        self.assertEqual([entry["end"] for entry in view["latest"]][-4:],
                         ["not_listed", "self_service_closed", "exempted", "removed"])
        self.page(port, view, refused)
        self.ages(portal, port, view)

    def page(self, port, view, refused):
        """The same figures, well made; nothing from elsewhere, no script."""
        status, headers, text = look("/", port)
        page = Page(text)
        cells = " ".join(re.sub("<[^>]+>", " ", text).split())
        self.assertEqual((status, page.language, page.headings, page.errors, page.open), (200, "en", 1, [], []))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertNotIn("script", text)
        for link in page.links:
            self.assertRegex(link, r"^(/|#main$|data:,$)")
            if link.startswith("/"):
                self.assertEqual(look(link, port)[0], 200, link)
        for words in (f"Requests 10 Delisted 2 Refused {sum(refused.values())}", "Exempted from a wider listing 1 1",
                      "used already 1 1", "12 sent", "2 withheld", "The form: no mail address 1 1", "self service closed"):
            self.assertIn(words, cells)
        for entry in view["latest"]:
            self.assertIn(entry["who"], page.text)
        self.assertNotRegex(cells, "[a-z]_[a-z]")  # each reason has a text of its own

    def ages(self, portal, port, view):
        """What is a day old is in the week's figures; what is older than a week in none. As of one moment."""
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            db.execute("UPDATE request SET created_ms = created_ms - 86400000 * CASE id WHEN 1 THEN 2 ELSE 8 END"
                       " WHERE id <= 2")
            db.execute("UPDATE refused SET hour = hour - 48 WHERE reason = 'used'")
            db.execute("UPDATE refused SET hour = hour - 24 * 9 WHERE reason = 'unknown'")
        later = json.loads(look("/status.json", port)[2])
        self.assertEqual((later["outcomes_24_hours"]["removed"], later["outcomes_7_days"]["removed"]), (0, 1))
        self.assertEqual((later["outcomes_24_hours"]["exempted"], later["outcomes_7_days"]["exempted"]), (0, 0))
        self.assertEqual(later["days"][-3]["delisted"], 1)
        counts = {entry["reason"]: (entry["n_24_hours"], entry["n_7_days"]) for entry in later["refused"]}
        self.assertEqual(counts["used"], (0, 1))
        self.assertNotIn("unknown", counts)
        self.assertLess(view["now_ms"], later["now_ms"])

    def test_whom_it_names(self):
        for audit, named in (("hashed", r"#[0-9a-f]{16}"), ("clear", r"alice\+x@example\.net")):
            with self.subTest(audit):
                port = free_port()
                portal = self.portal(operator_listen=f"127.0.0.1:{port}", audit=audit)
                self.mails.replies += [("RCPT", "451 later <b>")] * 9
                self.assertEqual(portal.ask("alice+x@example.net", "192.0.2.1")[0], 200)
                wait_for("a try", lambda: json.loads(look("/status.json", port)[2])["outbox"][0]["attempts"] == 1)
                view = json.loads(look("/status.json", port)[2])
                page = look("/", port)[2]
                self.assertRegex(view["latest"][0]["who"], f"^{named}$")
                self.assertEqual(view["outbox"][0]["to"], view["latest"][0]["who"])
                self.assertEqual((view["outbox"][0]["kind"], view["outbox"][0]["attempts"]), ("link", 1))
                self.assertIn("451", view["outbox"][0]["cause"])
                self.assertIn("451", page)
                # The log's line names him the same.
                self.assertRegex(portal.said(), rf"request 1: 192\.0\.2\.1 for {re.escape(view['latest'][0]['who'])}, from")
                if audit == "hashed":
                    self.assertNotIn("alice", page + json.dumps(view) + portal.said())

    def test_where(self):
        """Off by default; a Unix socket for its group alone; nothing of it at the visitors' port; no host's name."""
        portal = self.portal()
        self.assertEqual(portal.request("GET", "/status.json")[0], 404)
        self.assertNotIn("operator", portal.said())
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="bounceline-test-"))
        os.chown(folder, 65534, 65534)  # the portal's user makes it
        path = pathlib.Path(folder) / "operator.sock"
        portal = self.portal(operator_listen=f"unix:{path}")
        mode = path.stat()
        self.assertEqual((stat.S_IMODE(mode.st_mode), stat.S_ISSOCK(mode.st_mode)), (0o660, True))
        self.assertEqual(look("/", path)[0], 200)
        self.assertEqual(portal.request("GET", "/operator.css")[0], 404)
        for host, status in (("localhost", 200), ("127.0.0.1:8026", 200), ("[::1]:80", 200), ("evil.example", 403),
                             ("localhost.evil.example", 403), ("", 403)):
            self.assertEqual(look("/status.json", path, headers={"Host": host})[0], status, host)
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual(look("/", path, method)[0], 405)
        self.assertEqual(look("/portal.db", path)[0], 404)
        portal.kill(15)
        self.assertFalse(path.exists())

    def test_counts_outlive_the_program(self):
        """What SIGTERM ends keeps all; a kill -9 at most loses a minute's counts, never a request."""
        port = free_port()
        portal = self.portal(operator_listen=f"127.0.0.1:{port}")
        for _ in range(3):
            portal.request("GET", "/none")
        self.assertEqual(portal.kill(15), 0)
        portal.start()
        portal.request("GET", "/none")
        self.assertEqual(json.loads(look("/status.json", port)[2])["refused"],
                         [{"reason": "no_page", "n_24_hours": 4, "n_7_days": 4}])
        portal.ask("a@example.net", "192.0.2.1")
        portal.request("GET", "/none")
        portal.kill()
        portal.start()
        view = json.loads(look("/status.json", port)[2])
        self.assertEqual((view["refused"][0]["n_7_days"], view["outcomes_7_days"]["waiting"]), (4, 1))

    def test_visitors_do_not_wait(self):
        """Somebody who looks all the time, at a store with many rows, beside visitors."""
        port = free_port()
        portal = self.portal(operator_listen=f"127.0.0.1:{port}", requests_per_source_hour=1000000)
        portal.ask("a@example.net", "192.0.2.1")
        self.mails.message(0)
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            now = int(time.time() * 1000)
            db.executemany("INSERT INTO request(token_hash, nonce, email, mailbox, address, language, source, network,"
                           " state, created_ms, expires_ms, outcome) VALUES(?, x'00', ?, ?, '192.0.2.1', 0, 's', 'n',"
                           " 2, ?, ?, 3)",
                           ((i.to_bytes(32, "big"), "a", "b", now - i * 5000, now) for i in range(1, 50001)))
        start = time.monotonic()
        self.assertEqual(look("/", port)[0], 200)
        print(f"a view of 50,000 requests: {(time.monotonic() - start) * 1000:.0f} ms")
        view = json.loads(look("/status.json", port)[2])
        self.assertEqual((view["outcomes_7_days"]["removed"], len(view["latest"])), (50000, 50))
        self.assertEqual(portal.ask("c@example.net", "192.0.2.1")[0], 200)


if __name__ == "__main__":
    unittest.main()
