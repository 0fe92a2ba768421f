#!/usr/bin/python3
"""Many whole dialogues at once while the router loses packets at random, each way, IPv4 and IPv6: with the resend ring the
550 arrives, without it the sessions show that the loss is real.

A session counts as hung when it has been silent for 7 s although the client has nothing to send again: then no timer runs
at either end any more (the ring's last try comes long before), and a mail server would wait for minutes. The ordinary run
makes 1000 sessions at 5 % with the ring and without; BL_LONG=1 adds 10,000 at 1 %."""
import collections
import errno
import os
import pathlib
import re
import selectors
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
import tcp  # noqa: E402
from dialogue import EHLO, MAIL, RCPT, WAYS, Plane, RoutedLab, denial, unacknowledged  # noqa: E402
from lab import in_namespace  # noqa: E402

AT_ONCE = 200
SILENCE_S, SESSION_S = 7.0, 120.0


class Client:
    """One session: advances with what arrives."""

    def __init__(self, source, destination):
        self.source = source
        self.socket = socket.socket(tcp.family_of(source))
        self.socket.setblocking(False)
        self.socket.bind((source, 0))
        self.socket.connect_ex((destination, 25))
        self.began = self.heard = time.monotonic()
        self.left = [EHLO, MAIL, RCPT]
        self.text = b""

    def advance(self):
        """Reads what there is. @return how the session ended, or None."""
        try:
            return self._read()
        except BlockingIOError:
            return None
        except OSError as error:
            return errno.errorcode[error.errno]

    def _read(self):
        data = self.socket.recv(65536)
        if not data:
            return "closed"
        self.heard = time.monotonic()
        self.text += data
        if not re.search(rb"(^|\n)\d\d\d [^\n]*\n$", self.text):
            return None
        if not self.left:
            done = self.text == denial(self.source)
            self.socket.send(b"QUIT\r\n")
            return "550" if done else "another answer"
        if not self.text.startswith(b"2"):
            return "another answer"
        self.text = b""
        self.socket.send(self.left.pop(0))
        return None

    def stuck(self, now):
        """How a session ends to which nothing happens any more, or None."""
        if now - self.heard > SILENCE_S and unacknowledged(self.socket) == 0:
            return "hung"
        return "too slow" if now - self.began > SESSION_S else None


def run_sessions(lab, n):
    """@return a Counter of how n sessions ended."""
    ends = collections.Counter()
    waiting = selectors.DefaultSelector()
    started = 0
    looked = time.monotonic()
    with in_namespace(lab.namespace("client")):
        while sum(ends.values()) < n:
            while started < n and len(waiting.get_map()) < AT_ONCE:
                client = Client(*WAYS[started % 2])
                waiting.register(client.socket, selectors.EVENT_READ, client)
                started += 1
            over = [(key.data, end) for key, _ in waiting.select(0.2) if (end := key.data.advance()) is not None]
            if (now := time.monotonic()) - looked > 1:
                looked = now
                gone = {client for client, _ in over}
                over += [(key.data, end) for key in waiting.get_map().values()
                         if key.data not in gone and (end := key.data.stuck(now)) is not None]
            for client, end in over:
                ends[end] += 1
                waiting.unregister(client.socket)
                client.socket.close()
    waiting.close()
    return ends


class Loss(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = RoutedLab(workers=2)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()

    def lost_share(self):
        """Of what came to the router, in each direction."""
        text = self.lab.run("sender", "nft", "list", "table", "inet", "test", capture_output=True, text=True,
                            check=True).stdout
        seen, lost = [], []
        for line in text.splitlines():
            if match := re.search(r"counter packets (\d+)", line):
                (lost if line.endswith("drop") else seen).append(int(match[1]))
        return [a / b for a, b in zip(lost, seen)]

    def run_with(self, n, percent, **settings):
        """@return the shares that heard the 550 and that hung."""
        plane = Plane(self.lab, **settings)
        try:
            plane.start()
            self.lab.routed(*(line for port in ("dport", "sport") for line in (
                f"tcp {port} 25 counter", f"tcp {port} 25 numgen random mod 1000 < {percent * 10} counter drop")))
            start = time.monotonic()
            ends = run_sessions(self.lab, n)
            took = time.monotonic() - start
            shares = self.lost_share()
            self.lab.rules()
            counters = plane.counters()
        finally:
            plane.end()
        print(f"ring {'off' if settings.get('resend_entries') == 0 else 'on'}: {n} sessions, lost {shares[0]:.2%} there "
              f"and {shares[1]:.2%} back: {ends['550'] / n:.2%} heard the 550, {ends['hung'] / n:.2%} hung "
              f"({dict(ends)}); sent again: {counters['resent_syn_ack']} SYN-ACKs, {counters['resent_greeting']} "
              f"greetings; {took:.0f} s", flush=True)
        for share in shares:
            self.assertAlmostEqual(share, percent / 100, delta=percent / 400, msg="the loss was another one")
        self.assertEqual(set(ends) - {"550", "hung", "too slow"}, set(), "no session may hear anything else")
        self.assertEqual(counters["drop_no_buffer"] + counters["drop_tx_full"], 0)
        return ends["550"] / n, ends["hung"] / n

    def test_5_percent_with_the_ring(self):
        heard, _ = self.run_with(1000, 5)
        self.assertGreaterEqual(heard, 0.995)

    def test_5_percent_without_the_ring(self):
        """That the test above can fail."""
        heard, hung = self.run_with(1000, 5, resend_entries=0)
        self.assertGreater(hung, 0.03)
        self.assertGreater(heard, 0.8, "everything else heals by the client")

    @unittest.skipUnless(os.environ.get("BL_LONG"), "BL_LONG=1 runs it")
    def test_1_percent(self):
        heard, _ = self.run_with(10000, 1)
        self.assertGreaterEqual(heard, 0.999)
        _, hung = self.run_with(10000, 1, resend_entries=0)
        self.assertGreater(hung, 0.005)


if __name__ == "__main__":
    bl.main()
