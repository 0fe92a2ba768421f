#!/usr/bin/python3
"""Whether an address is listed can't be told from what the form answers: not from the body, not from the headers, and
(BL_LONG=1) not from the time: 10,000 answers about each, in random order, on one connection; Mann-Whitney; an effect size
under 0.02. The test must see a leak too: with tests/e2e/plant_delay.c an answer about the listed address takes 100 µs
longer.

  --samples N   times too, N of each
Times decide nothing in an ordinary run. SQLite's file is in memory (/dev/shm), so that the disk's own noise hides nothing."""
import http.client
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import ControlPlane, DataPlane, apply, update  # noqa: E402
from portal import ACTOR, MailServer, Page, Portal  # noqa: E402

SAMPLES = 10000 if os.environ.get("BL_LONG") else 0
LISTED, OTHER = "192.0.2.40", "192.0.2.41"
EFFECT_MAX = 0.02
SETTINGS = {"requests_per_source_hour": 1000000, "requests_per_network_hour": 1000000, "requests_per_hour": 10000000,
            "delay_s": 3600, "work_bits": 0}


def effect_size(some, others):
    """Mann-Whitney's |Z| / sqrt(N): 0 no difference, 1 apart; and which side is larger is not asked."""
    ordered = sorted([(value, 0) for value in some] + [(value, 1) for value in others])
    ranks, at = 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][0] == ordered[at][0]:
            end += 1
        ranks += (at + end + 1) / 2 * sum(1 for value in ordered[at:end] if value[1] == 0)
        at = end
    n, m = len(some), len(others)
    deviation = math.sqrt(n * m * (n + m + 1) / 12)
    return abs(ranks - n * (n + m + 1) / 2) / deviation / math.sqrt(n + m)


class Secrecy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ControlPlane(extra=ACTOR))
        cls.edge = cls.enterClassContext(DataPlane(cls.plane))
        apply(cls.plane.stub(), update("LIST", LISTED, source="drop"), enforced=True)

    def ask(self, n_each):
        """{address: (the different answers, their times)}; each request is another person's."""
        found = {LISTED: (set(), []), OTHER: (set(), [])}
        with MailServer() as mails, Portal(self.plane, mails, **SETTINGS) as portal:
            form = Page(portal.request("GET", "/")[2]).fields
            order = [LISTED, OTHER] * n_each
            random.shuffle(order)
            connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=20)
            for n, address in enumerate(order):
                body = urllib.parse.urlencode({**form, "email": f"alice{n:06}@example.net", "ip": address})
                start = time.perf_counter_ns()
                connection.request("POST", "/", body, {"X-Forwarded-For": "203.0.113.9",
                                                       "Content-Type": "application/x-www-form-urlencoded"})
                answer = connection.getresponse()
                text = answer.read().decode()
                took = time.perf_counter_ns() - start
                headers = tuple(header for header in answer.getheaders() if header[0] != "Date")
                found[address][0].add((answer.status, headers, text.replace(f"alice{n:06}", "").replace(address, "")))
                found[address][1].append(took)
            connection.close()
        return found

    def test_body_and_headers(self):
        found = self.ask(max(SAMPLES, 200))
        answers, times = zip(found[LISTED], found[OTHER])
        self.assertEqual(len(answers[0]), 1)
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(next(iter(answers[0]))[0], 200)
        if SAMPLES:
            effect = effect_size(*times)
            print(f"{SAMPLES} answers each: effect size {effect:.4f}")
            self.assertLess(effect, EFFECT_MAX)

    @unittest.skipUnless(SAMPLES, "times are for BL_LONG=1 or --samples")
    def test_sees_100_us(self):
        with tempfile.TemporaryDirectory(prefix="bounceline-test-") as folder:
            library = f"{folder}/plant_delay.so"
            source = pathlib.Path(__file__).with_name("plant_delay.c")
            subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, str(source)], check=True)
            os.environ.update(LD_PRELOAD=library, BL_PLANT_TEXT=LISTED)
            try:
                found = self.ask(SAMPLES)
            finally:
                del os.environ["LD_PRELOAD"], os.environ["BL_PLANT_TEXT"]
        effect = effect_size(found[LISTED][1], found[OTHER][1])
        print(f"{SAMPLES} answers each, 100 us planted: effect size {effect:.4f}")
        self.assertGreater(effect, EFFECT_MAX)


if __name__ == "__main__":
    if "--samples" in sys.argv:
        at = sys.argv.index("--samples")
        SAMPLES = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
        Secrecy.test_sees_100_us.__unittest_skip__ = False
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"
    unittest.main()
