"""A visitor of the portal who looks closely: headless Chromium whose language, colours and width change between two
pages, and axe-core, which judges each page that is shown.

    with browser() as driver:
        visitor = Visitor(driver, "http://127.0.0.1:8025", judges=True)
        visitor.becomes(language="nl", dark=True, phone=True)
        driver.get(...)
        assert visitor.looks("name") == []
        assert visitor.overheard() == []

axe-core is no part of the product: npm fetches the pinned version into build/axe-core/, once, and what came is compared
with the digest here."""
import base64
import functools
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOTS = pathlib.Path(os.environ.get("BL_SHOTS") or ROOT / "build/screenshots")
AXE = "axe-core@4.14.1"
AXE_SHA512 = "e63e659f9806d7ae5bd40899043b0871a5062c5442b01b3f1a3edf5eaf50bf5c3a7104a72463293b4ad1b77c661a0d4e40e850dec89de9d6ece70a8c13a9af17"
# WCAG 2.2 A and AA, and of a page what axe calls best practice: landmarks and headings, which a mail has none of.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {preload: false, resultTypes: ["violations"], runOnly: arguments[0]})
  .then(r => done(r.violations.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.target.join(" ")).join(", "))))
  .catch(e => done(["axe-core: " + e]));
"""
PHONE = {"width": 360, "height": 780, "deviceScaleFactor": 2, "mobile": True}
WIDE = {"width": 1000, "height": 1250, "deviceScaleFactor": 1, "mobile": False}


class NoAxe(Exception):
    """It could not be had; why."""


@functools.cache
def axe():
    """The text of axe-core."""
    folder = ROOT / "build/axe-core"
    file = folder / "axe.min.js"
    if not file.exists():
        if shutil.which("npm") is None:
            raise NoAxe("there is no npm")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "pack", AXE, "--silent", "--pack-destination", str(folder)], cwd=folder, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        if done.returncode != 0:
            raise NoAxe(f"npm does not get {AXE}: {' '.join(done.stdout.split())[:150]}")
        with tarfile.open(folder / f"{AXE.replace('@', '-')}.tgz") as packed:
            text = packed.extractfile("package/axe.min.js").read()
        partial = folder / f"axe.{os.getpid()}"  # tests run side by side
        partial.write_bytes(text)
        partial.rename(file)
    text = file.read_bytes()
    digest = hashlib.sha512(text).hexdigest()
    assert digest == AXE_SHA512, f"{file}: its SHA-512 is {digest}, expected {AXE_SHA512}"
    return text.decode()


class Visitor:
    def __init__(self, driver, base, judges=False, shots=SHOTS):
        """judges: with axe-core, which then is in every page before the page's own content is."""
        self.driver, self.base, self.judges, self.shots = driver, base, judges, shots
        self.agent = driver.execute_script("return navigator.userAgent")
        self.n_judged = 0
        self.overheard()  # the browser's own first page
        if judges:
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": axe()})
        shots.mkdir(parents=True, exist_ok=True)

    def becomes(self, language="en", dark=False, phone=False):
        command = self.driver.execute_cdp_cmd
        command("Emulation.setUserAgentOverride", {"userAgent": self.agent, "acceptLanguage": language})
        command("Emulation.setEmulatedMedia",
                {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        command("Emulation.setDeviceMetricsOverride", PHONE if phone else WIDE)

    def looks(self, name, mail=False):
        """Keeps a picture of the page that stands there. What is wrong with it, in words."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        (self.shots / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
        wrong = []
        width, room = self.driver.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        if width > room:
            wrong.append(f"{width} pixels wide where there are {room}")
        if self.judges:
            wrong += self.driver.execute_async_script(RUN, RULES if mail else [*RULES, "best-practice"])
            self.n_judged += 1
        return [f"{name}: {text}" for text in wrong]

    def overheard(self):
        """What the console said and which other hosts were asked, since the last time."""
        page = self.driver.current_url + " - Failed to load resource"  # so the console tells a page's own status of 4xx
        heard = [f"console: {entry['message']}" for entry in self.driver.get_log("browser")
                 if not entry["message"].startswith(page)]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith((self.base + "/", "data:", "chrome:")):
                    heard.append(f"request to {url}")
        return heard
