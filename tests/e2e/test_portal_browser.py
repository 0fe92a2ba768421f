#!/usr/bin/python3
"""Every page and mail of the portal in a real browser, each twice: English, light and wide; Dutch, dark and on a phone of
360 pixels (BL_LONG=1: in all eight ways). axe-core finds no violation, the console says nothing, no other host is asked,
nothing is wider than the screen. And the round without scripts. Pictures are kept in build/screenshots (BL_SHOTS)."""
import base64
import contextlib
import itertools
import os
import pathlib
import sqlite3
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "dataplane/lab"))
import browser as person  # noqa: E402
import visitor  # noqa: E402
from controlplane import ControlPlane, DataPlane, apply, update  # noqa: E402
from portal import ACTOR, MailServer, Page, Portal, link_of  # noqa: E402

ALL = [dict(zip(("language", "dark", "phone"), way)) for way in itertools.product(("en", "nl"), (False, True), (False, True))]
WAYS = ALL if os.environ.get("BL_LONG") else [ALL[0], ALL[-1]]
MANY = {"requests_per_source_hour": 100000, "requests_per_network_hour": 100000, "requests_per_hour": 100000,
        "mails_per_address_day": 1000}


def name_of(way):
    return f"{way['language']}-{'dark' if way['dark'] else 'light'}-{'phone' if way['phone'] else 'wide'}"


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ControlPlane(extra=ACTOR))
        cls.edge = cls.enterClassContext(DataPlane(cls.plane))
        cls.stub = cls.plane.stub()
        cls.numbers = iter(range(1, 250))

    def setUp(self):
        self.mails = self.enterContext(MailServer())

    def portal(self, **settings):
        return self.enterContext(Portal(self.plane, self.mails, base_url="http://127.0.0.1:{port}", **settings))

    def listed(self, **more):
        """A new address, listed by a feed if nothing else is said."""
        address = f"198.51.100.{next(self.numbers)}"
        apply(self.stub, update("LIST", address, **{"source": "drop", **more}), enforced=True)
        return address

    def link(self, portal, address, language):
        n = len(self.mails.messages)
        self.assertEqual(portal.ask("alice@example.net", address, query=f"?lang={language}")[0], 200)
        return link_of(self.mails.message(n))

    def test_every_page(self):
        key = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="bounceline-test-")), "ticket.key")
        key.write_bytes(bytes(16))
        key.chmod(0o400)
        portals = [self.portal(**MANY, delay_s=0), self.portal(requests_per_source_hour=1), self.portal(requests_per_hour=1),
                   self.portal(ticket="required", ticket_key_file=key), self.portal(**MANY, delay_s=0, socket="/nonexistent/control.sock")]
        for portal in portals[1:3]:  # the next request is one too many
            portal.ask("alice@example.net", "192.0.2.1", source="127.0.0.1")
        driver = self.enterContext(person.browser())
        try:
            look = visitor.Visitor(driver, "http://127.0.0.1", judges=bool(visitor.axe()))
        except visitor.NoAxe as cause:
            print(f"without axe-core: {cause}")
            look = visitor.Visitor(driver, "http://127.0.0.1")
        wrong = []
        for way in WAYS:
            look.becomes(**way)
            for portal in portals:
                look.base = portal.base
                for name in self.lead(driver, portals, portal, way["language"]):
                    self.assertEqual(driver.execute_script("return document.documentElement.lang"), way["language"], name)
                    wrong += look.looks(f"{name}-{name_of(way)}", name.startswith("mail"))
                    wrong += [f"{name}: {heard}" for heard in look.overheard()]
        print(f"{look.n_judged} pages judged by axe-core; pictures in {visitor.SHOTS}")
        self.assertEqual(wrong, [])

    def lead(self, driver, portals, portal, language):
        """Leads the browser to one page of that portal after the other; gives each one's name when it stands there."""
        if portal is portals[0]:
            yield from self.lead_form(driver, portal)
            yield from self.lead_link(driver, portal, language)
            yield from self.lead_mails(driver)
            return
        problem = ("too-many", "busy", "no-ticket")[portals.index(portal) - 1] if portal is not portals[-1] else None
        if problem:
            self.submit(driver, portal)
            yield problem
        else:
            driver.get(self.link(portal, "192.0.2.1", language))
            yield "failed"

    def submit(self, driver, portal, **fields):
        """Fills the form in, also with what the browser itself would not send."""
        driver.get(f"{portal.base}/")
        driver.execute_script("""window.before = true; const form = document.forms[0];
            for (const [name, value] of Object.entries(arguments[0])) form.elements[name].value = value;
            form.submit()""", {"email": "alice@example.net", "ip": "192.0.2.7", **fields})
        person.wait_for("the answer", lambda: driver.execute_script("return !window.before && document.readyState") == "complete")

    def lead_form(self, driver, portal):
        driver.get(f"{portal.base}/?ip=192.0.2.7&t=abc")
        yield "form"
        for name, fields in (("wrong-email", {"email": "alice"}), ("wrong-ip", {"ip": "no address"}),
                             ("many-ip", {"ip": "192.0.2.1 192.0.2.2"}), ("reserved-ip", {"ip": "127.0.0.1"}),
                             ("old-form", {"form": "0" * 40}), ("sent", {})):
            self.submit(driver, portal, **fields)
            yield name
        for name, path in (("no-page", "/none"), ("bad-request", "/?ip=%00"), ("unknown", "/c/" + "0" * 32)):
            driver.get(portal.base + path)
            yield name

    def lead_link(self, driver, portal, language):
        from selenium.webdriver.common.by import By
        # Not listed; closed for self-service, and pressed all the same.
        driver.get(self.link(portal, "192.0.2.99", language))
        yield "clear"
        link = self.link(portal, self.listed(self_service=2), language)
        driver.get(link)
        yield "closed"
        portal.request("POST", portal.path(link), {"lang": language})
        driver.get(link)
        yield "refused"
        # Delisted, and listed again by a person.
        address = self.listed()
        link = self.link(portal, address, language)
        driver.get(link)
        yield "confirm"
        driver.find_element(By.CSS_SELECTOR, "form button").click()
        person.wait_for("the result", lambda: driver.find_elements(By.CSS_SELECTOR, ".note.good"))
        yield "removed"
        apply(self.stub, update("LIST", address), enforced=True)
        driver.refresh()
        yield "listed-again"
        # Pressed twice: in another window meanwhile.
        link = self.link(portal, self.listed(), language)
        driver.get(link)
        portal.press(link)
        driver.find_element(By.CSS_SELECTOR, "form button").click()
        person.wait_for("the refusal", lambda: driver.find_elements(By.CSS_SELECTOR, ".note.bad"))
        yield "used"
        link = self.link(portal, "192.0.2.98", language)
        with contextlib.closing(sqlite3.connect(portal.dir / "data/portal.db")) as db:
            db.execute("UPDATE request SET expires_ms = 1 WHERE state = 0")
            db.commit()
        driver.get(link)
        yield "expired"

    def lead_mails(self, driver):
        """The last link and receipt, as a mail reader shows their HTML."""
        found = {}
        for n in range(len(self.mails.messages)):
            html = self.mails.message(n).get_body(("html",)).get_content()
            found["mail-link" if "background:" in html else "mail-receipt"] = html
        for name, html in found.items():
            driver.get("data:text/html;charset=utf-8;base64," + base64.b64encode(html.encode()).decode())
            yield name

    def test_without_scripts(self):
        """No proof of work is done, so that the mail waits its second; all the rest is as with scripts."""
        portal = self.portal(delay_s=1)
        driver = self.enterContext(person.browser(scripts=False))
        pages = []
        person.visit(driver, f"{portal.base}/?ip={self.listed()}", "alice@example.net",
                     lambda: self.mails.messages and link_of(self.mails.message(0)), pages.append, scripts=False)
        self.assertEqual(pages, ["form", "sent", "confirm", "result"])
        with contextlib.closing(sqlite3.connect(portal.dir / "data/portal.db")) as db:
            lifetime_ms, = db.execute("SELECT expires_ms - created_ms FROM request").fetchone()
        self.assertEqual(lifetime_ms, (3600 + 1) * 1000)  # a link is good for its hour from when it goes out


if __name__ == "__main__":
    missing = person.why_no_browser()
    if missing:
        print(f"skipped: {missing}")
        sys.exit(person.SKIP)
    unittest.main()
