"""A person at the portal, in headless Chromium: follows the link of a bounce, fills in the form, opens the mail's link,
presses the button. Keeps a picture of each page.

    dataplane/lab/browser.py --url URL --mailbox FOLDER --email ADDRESS [--shots FOLDER]   (lab/story.sh calls it so)

Prints a line a step. Where there is no browser it says so and does the same by HTTP. Exit 0: the result page says what was
done; any other: it does not. tests/e2e/test_portal_browser.py uses the parts."""
import argparse
import contextlib
import email
import email.policy
import importlib.util
import pathlib
import re
import tempfile
import time
import urllib.parse
import urllib.request

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


def why_no_browser():
    """What of it is not installed; None: all is."""
    for path in (CHROMIUM, DRIVER):
        if not pathlib.Path(path).exists():
            return f"{path} is not there"
    return None if importlib.util.find_spec("selenium") else "python3-selenium is not installed"


@contextlib.contextmanager
def browser(language="en", width=1000, height=1250, scripts=True):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    preferences = {"intl.accept_languages": language}
    if not scripts:
        preferences["profile.managed_default_content_settings.javascript"] = 2
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(prefix="bounceline-browser-", ignore_cleanup_errors=True) as profile:
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
                         "--disable-background-networking", "--disable-component-update", "--no-first-run",
                         f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(argument)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def find_link(folder, seen):
    """The link in a mail of a Maildir that was not there before."""
    for path in sorted(pathlib.Path(folder).glob("new/*")):
        if path.name not in seen:
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            body = message.get_body(("plain",))
            match = re.search(r"https?://\S+/c/[0-9a-f]{32}", body.get_content() if body else "")
            if match:
                return match[0]
    return None


def visit(driver, url, mailbox, link, shot, scripts=True):
    """The whole round. `link` gives the mail's link, once it is there; `shot` takes a name for a picture; `scripts`: whether
    the browser runs them. Returns the milliseconds from the press until the result page stands."""
    from selenium.webdriver.common.by import By
    driver.get(url)
    shot("form")
    driver.find_element(By.ID, "email").send_keys(mailbox)
    if driver.find_elements(By.CSS_SELECTOR, "form[data-work]") and scripts:  # a person types longer than it takes
        wait_for("the proof of work", lambda: driver.find_element(By.NAME, "work").get_attribute("value"))
    driver.find_element(By.CSS_SELECTOR, "form button").click()
    shot("sent")
    driver.get(wait_for("the mail", link))
    shot("confirm")
    button = driver.find_element(By.CSS_SELECTOR, "form button")
    start = time.perf_counter()
    button.click()
    wait_for("the result", lambda: driver.find_elements(By.CSS_SELECTOR, ".note.good"))
    took_ms = (time.perf_counter() - start) * 1000
    shot("result")
    return took_ms


def visit_by_http(url, mailbox, link):
    """The same round without a browser; returns the result page's note."""
    def fetch(target, fields=None):
        data = urllib.parse.urlencode(fields).encode() if fields else None
        with urllib.request.urlopen(target, data, timeout=20) as answer:
            return answer.read().decode()
    hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', fetch(url)))
    ip = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["ip"][0]
    fetch(urllib.parse.urljoin(url, "/"), {**hidden, "email": mailbox, "ip": ip})
    page = fetch(wait_for("the mail", link), {"lang": "en"})
    note = re.search(r'class="note good".*?</div>', page, re.S)
    assert note, page
    return " ".join(re.sub(r"<[^>]*>|class=.*?>", " ", note[0]).split())


def main():
    parser = argparse.ArgumentParser()
    for name in ("--url", "--mailbox", "--email", "--shots"):
        parser.add_argument(name)
    given = parser.parse_args()
    cause = why_no_browser()
    if cause is None:
        try:
            with browser() as driver:
                visit_and_tell(driver, given)
            return
        except Exception as error:  # no sandbox, no memory: whatever it is, the browser does not start
            if type(error).__name__ != "SessionNotCreatedException":
                raise
            cause = str(error).splitlines()[0][:100]
    print(f"    no browser ({cause}): by HTTP")
    seen = {path.name for path in pathlib.Path(given.mailbox).glob("new/*")}
    print("    " + visit_by_http(given.url, given.email, lambda: find_link(given.mailbox, seen)))


def visit_and_tell(driver, given):
    from selenium.webdriver.common.by import By

    def shot(name):
        if given.shots:
            pathlib.Path(given.shots).mkdir(parents=True, exist_ok=True)
            driver.save_screenshot(f"{given.shots}/{name}.png")
        print(f"    {name}: {driver.title}", flush=True)
    seen = {path.name for path in pathlib.Path(given.mailbox).glob("new/*")}
    took_ms = visit(driver, given.url, given.email, lambda: find_link(given.mailbox, seen), shot)
    print("    " + driver.find_element(By.CSS_SELECTOR, ".note").text.replace("\n", " "))
    print(f"    press to page: {took_ms:.0f} ms")


if __name__ == "__main__":
    main()
