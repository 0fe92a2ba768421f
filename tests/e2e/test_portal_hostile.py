#!/usr/bin/python3
"""What a hostile visitor tries on the portal: to trickle, to be told who asked, to make other sites' forms and links
count. What the round itself refuses is in test_portal.py."""
import pathlib
import socket
import sqlite3
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import ControlPlane  # noqa: E402
from portal import ACTOR, MailServer, Page, Portal  # noqa: E402


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ControlPlane(extra=ACTOR))

    def portal(self, **settings):
        self.mails = self.enterContext(MailServer())
        return self.enterContext(Portal(self.plane, self.mails, **settings))

    def test_a_trickle_ends(self):
        """A byte each half second keeps no connection, neither in the head nor in the body; one that asks quickly, again
        and again, keeps it."""
        portal = self.portal()
        head = (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                b"Content-Length: 9000\r\n")
        lasted = {}

        def trickle(name, begin, byte):
            with socket.create_connection(("127.0.0.1", portal.port), 20) as connection:
                start = time.monotonic()
                connection.settimeout(0.5)
                connection.sendall(begin)
                while time.monotonic() - start < 40:
                    try:
                        connection.sendall(byte)
                        if connection.recv(1) == b"":
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
                lasted[name] = time.monotonic() - start

        threads = [threading.Thread(target=trickle, args=arguments)
                   for arguments in (("head", head + b"X: ", b"a"), ("body", head + b"\r\n", b"a"))]
        for thread in threads:
            thread.start()
        with socket.create_connection(("127.0.0.1", portal.port), 20) as connection:
            for _ in range(14):
                connection.sendall(b"HEAD /style.css HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b" 200 OK", connection.recv(4096))
                time.sleep(1)
        for thread in threads:
            thread.join()
        print({name: f"ended after {seconds:.1f} s" for name, seconds in lasted.items()})
        self.assertTrue(all(9 < seconds < 35 for seconds in lasted.values()), lasted)

    def test_nobody_learns_who_asked(self):
        """A mailbox that had its mails for today costs the one who asks as much as any other: the limit of his source
        tells nothing, nor does the store's work; and who keeps asking does not keep its owner out for ever."""
        portal = self.portal(delay_s=0, requests_per_source_hour=4, mails_per_address_day=2)
        for i in range(2):
            self.assertEqual(portal.ask("alice@example.net", "192.0.2.1", source=f"198.51.100.{i}")[0], 200)
        self.mails.message(1)
        for name, source in (("alice", "203.0.113.1"), ("nobody", "203.0.113.2")):
            states = [portal.ask(f"{name}@example.net", "192.0.2.1", source=source)[0] for _ in range(6)]
            self.assertEqual(states, [200] * 4 + [429] * 2, name)
        self.assertIn("no mail, that mailbox had its mails for today", portal.said())
        self.mails.message(3)
        with sqlite3.connect(portal.dir / "data/portal.db") as db:
            states = db.execute("SELECT mail.state, count(*) FROM mail JOIN request ON request.id = mail.request"
                                " WHERE mailbox = 'alice@example.net' GROUP BY 1").fetchall()
            self.assertEqual(states, [(2, 2), (5, 4)])
            # A day later, what was withheld does not count.
            db.execute("UPDATE request SET created_ms = created_ms - 86400001 WHERE id <= 2")
        self.assertEqual(portal.ask("alice@example.net", "192.0.2.1", source="203.0.113.3")[0], 200)
        self.assertIn(b"alice@", self.mails.message(4)["To"].encode())

    def test_another_sites_form(self):
        portal = self.portal(delay_s=0)
        form = Page(portal.request("GET", "/")[2]).fields
        fields = {**form, "email": "alice@example.net", "ip": "192.0.2.1"}
        for site in ("cross-site", "same-site"):
            self.assertEqual(portal.request("POST", "/", fields, headers={"Sec-Fetch-Site": site})[0], 403)
            self.assertEqual(portal.request("GET", "/", headers={"Sec-Fetch-Site": site})[0], 200)  # a bounce's link
        self.assertEqual(self.mails.messages, [])
        self.assertEqual(portal.request("POST", "/", fields, headers={"Sec-Fetch-Site": "same-origin"})[0], 200)

    def test_no_page_links_elsewhere(self):
        """A path with another host's name is not made a link; not by a bad query either."""
        portal = self.portal()
        for target in ("//evil.example/", "/%5cevil.example/", "/\\evil.example/", "//evil.example/?ip=%zz", "//evil.example?%"):
            for link in Page(portal.request("GET", target)[2]).links:
                self.assertRegex(link, r"^(#|data:,$|/(\?|style|$))", target)

    def test_methods(self):
        portal = self.portal()
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            status, headers, _ = portal.request(method, "/")
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, POST"), method)


if __name__ == "__main__":
    unittest.main()
