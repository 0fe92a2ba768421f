#!/usr/bin/python3
"""The round in a real browser, in both languages and families, wide and on a phone, light and dark, with scripts and
without: no message in its console, no request to another host, contrasts as WCAG 2.2 AA asks. Pictures are kept in
$BL_SHOTS when it is set."""
import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "dataplane/lab"))
import browser as person  # noqa: E402
from controlplane import ControlPlane, DataPlane, apply, update  # noqa: E402
from portal import ACTOR, MailServer, Portal, free_port, link_of  # noqa: E402

SHOTS = os.environ.get("BL_SHOTS")
# Every text against the ground it stands on: the smallest ratio, and where it is.
CONTRAST = """
function luminance(c) { return c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : Math.pow((v + .055) / 1.055, 2.4); })
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0); }
function colour(text) { return text.match(/[\\d.]+/g).map(Number); }
let worst = [99, ""];
for (const e of document.querySelectorAll("body *")) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.className === "skip") continue;
  let ground = e, c;
  do { c = colour(getComputedStyle(ground).backgroundColor); ground = ground.parentElement; } while (c[3] === 0 && ground);
  const a = luminance(colour(getComputedStyle(e).color).slice(0, 3)), b = luminance(c.slice(0, 3));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < worst[0]) worst = [ratio, e.tagName + " " + e.textContent.trim().slice(0, 30)];
}
return worst;
"""


class Browser(unittest.TestCase):
    def round(self, address, name, **how):
        port = free_port()
        mails = self.enterContext(MailServer())
        portal = Portal(self.plane, mails, base_url=f"http://127.0.0.1:{port}", listen=f"127.0.0.1:{port}", delay_s=1)
        portal.port = port
        self.enterContext(portal)
        apply(self.stub, update("LIST", address, source="drop"), enforced=True)
        driver = self.enterContext(person.browser(**how))
        taken = []

        def shot(page):
            taken.append(page)
            if SHOTS:
                pathlib.Path(SHOTS).mkdir(parents=True, exist_ok=True)
                driver.save_screenshot(f"{SHOTS}/{name}-{page}.png")
            if how.get("scripts", True):
                ratio, where = driver.execute_script(CONTRAST)
                self.assertGreaterEqual(ratio, 4.5, (page, where))
                self.assertLessEqual(*driver.execute_script(
                    "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"), page)

        took_ms = person.visit(driver, f"http://127.0.0.1:{port}/?ip={address}", "alice@example.net",
                               lambda: mails.messages and link_of(mails.message(0)), shot)
        print(f"{name}: press to page {took_ms:.0f} ms")
        self.assertEqual(taken, ["form", "sent", "confirm", "result"])
        self.assertEqual(driver.get_log("browser"), [])
        for entry in driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("chrome:", "data:")):  # the browser's own first page
                    self.assertTrue(url.startswith(f"http://127.0.0.1:{port}/"), url)

    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ControlPlane(extra=ACTOR))
        cls.edge = cls.enterClassContext(DataPlane(cls.plane))
        cls.stub = cls.plane.stub()

    def test_english_ipv4(self):
        self.round("192.0.2.7", "en")

    def test_dutch_ipv6_phone_dark(self):
        self.round("2001:db8:7::1", "nl-phone-dark", language="nl", dark=True, width=500, height=1000)

    def test_without_scripts(self):
        self.round("192.0.2.8", "noscript", scripts=False)


if __name__ == "__main__":
    try:
        person.browser().quit()
    except Exception as cause:  # see browser.main
        print(f"skipped: no browser: {str(cause).splitlines()[0][:150]}")
        sys.exit(person.SKIP)
    unittest.main()
