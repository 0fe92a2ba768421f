#!/usr/bin/python3
"""Linux's TCP as the client of the reject dialogue, over IPv4 and IPv6: every way of cutting commands into segments, lost
packets of the handshake, clients that talk first, half-close, tiny windows, ports used again, and sources that are listed or
delisted in mid-session. Each session ends in the right answer to the letter, or in the end that the case is about."""
import concurrent.futures
import contextlib
import errno
import functools
import itertools
import pathlib
import random
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from dialogue import (BYE, CLIENT_IPV4, EHLO, EHLO_REPLY, GREETING, LISTED, MAIL, NO_RECIPIENTS, OK, RCPT,  # noqa: E402
                      SENDER_OK, WAYS, Capture, Plane, RoutedLab, Server, Session, denial, unacknowledged)
from lab import wait_for  # noqa: E402
from tcp import ACK, FIN, RST, SYN  # noqa: E402

COMMANDS = (EHLO, MAIL, RCPT)
REPLIES = {EHLO: EHLO_REPLY, MAIL: SENDER_OK}
PAYLOAD_MAX = {4: 536, 6: 1220}
SEQUENCES = 1 << 32
# Once: the first of the packets that the rule before it describes.
ONCE = "numgen inc mod 1000000 < 1 drop"
LOST_ACK = f"tcp dport 25 tcp flags & (fin|syn|rst|psh|ack) == ack {ONCE}"
LOST_GREETING = f"tcp sport 25 tcp flags & (fin|syn|rst|psh|ack) == psh|ack {ONCE}"


def payload_max(source):
    return PAYLOAD_MAX[6 if ":" in source else 4]


def each_way(case):
    """Runs the case over IPv4, then over IPv6."""
    @functools.wraps(case)
    def both(self):
        for way in WAYS:
            with self.subTest(source=way[0]):
                case(self, way)
    return both


def both_ways(case):
    """Runs the case over IPv4 and IPv6 at once: for cases that change nothing but their own connections."""
    @functools.wraps(case)
    def both(self):
        with concurrent.futures.ThreadPoolExecutor(len(WAYS)) as pool:
            for way, one in [(way, pool.submit(case, self, way)) for way in WAYS]:
                with self.subTest(source=way[0]):
                    one.result()
    return both


def setUpModule():
    lab = RoutedLab(workers=4)
    unittest.addModuleCleanup(lab.__exit__, None, None, None)
    TcpCase.lab = lab.__enter__()


class TcpCase(unittest.TestCase):
    """One data plane for all cases of a class; every case begins with the client's networks listed."""

    SETTINGS = {}
    lab = None

    @classmethod
    def setUpClass(cls):
        cls.plane = Plane(cls.lab, **cls.SETTINGS)
        cls.addClassCleanup(cls.plane.end)
        cls.plane.start()

    def setUp(self):
        self.addCleanup(self.lab.rules)
        self.list_again()

    def list_again(self):
        """What a case delisted; every worker enforces it."""
        missing = {prefix: 1 for prefix in LISTED if prefix not in self.plane.sync.entries}
        if missing:
            self.plane.sync.delta(missing)

    def delist(self):
        self.plane.sync.delta({prefix: 0 for prefix in LISTED})

    @contextlib.contextmanager
    def client_setting(self, name, value):
        """A setting of the client's kernel."""
        before = self.lab.run("client", "sysctl", "-n", name, capture_output=True, text=True, check=True).stdout.strip()
        self.lab.run("client", "sysctl", "-qw", f"{name}={value}", check=True)
        try:
            yield
        finally:
            self.lab.run("client", "sysctl", "-qw", f"{name}={before}", check=True)

    def session(self, way, **options):
        return Session(self.lab, *way, **options)

    def hear(self, session, command, *pieces):
        """Says the command, in these pieces or whole; the answer must be the one to it."""
        expected = REPLIES.get(command) or denial(session.source)
        self.assertEqual(session.say(*(pieces or (command,))), expected)

    def quit(self, session):
        self.assertEqual(session.quit(), BYE)

    def dialogue(self, way, **options):
        """A whole one; returns the client's port."""
        with self.session(way, **options) as session:
            self.assertEqual(session.reply(), GREETING)
            for command in COMMANDS:
                self.hear(session, command)
            self.quit(session)
            return session.port

    def assert_gone(self, way):
        """No socket of the client's waits for anything of us any more."""
        source = f"[{way[0]}]" if ":" in way[0] else way[0]

        def sockets():
            done = self.lab.run("client", "ss", "-Htan", "state", "connected", "exclude", "time-wait", "src", source,
                                capture_output=True, text=True, check=True)
            return done.stdout.split("\n")[:-1]
        wait_for("the client's sockets to be gone", lambda: not sockets(), 10)


class Segments(TcpCase):
    """How the bytes are cut, and what comes back in which segments."""

    def check_split(self, way, command, at, nodelay):
        """Up to the command, then the command in two segments: its tail is a line of its own, and hears the 550."""
        with self.session(way, nodelay=nodelay) as session:
            self.assertEqual(session.reply(), GREETING)
            for before in itertools.takewhile(lambda c: c != command, COMMANDS):
                self.hear(session, before)
            session.send(command[:at], command[at:])
            self.assertEqual(session.reply(), denial(way[0]), f"{command!r} cut at {at}")
            self.quit(session)

    def test_every_split(self):
        cases = [(way, command, at, nodelay) for way in WAYS for nodelay in (True, False) for command in COMMANDS
                 for at in range(1, len(command))]
        with self.plane.counting() as grown, concurrent.futures.ThreadPoolExecutor(8) as pool:
            for case, one in [(case, pool.submit(self.check_split, *case)) for case in cases]:
                with self.subTest(case):
                    one.result()
        # A case whose two pieces had travelled in one segment would have shown nothing.
        partial = grown["reject_partial"]
        self.assertGreaterEqual(partial, len(cases), "first halves that came as segments of their own")
        print(f"{len(cases)} sessions, each with a command cut once, {partial} first halves: all heard the 550",
              flush=True)

    @both_ways
    def test_byte_at_a_time(self, way):
        # A real sender falls back from EHLO to HELO, goes on, and hears the 550 at each.
        commands = (EHLO, b"HELO x\r\n", MAIL, RCPT, b"QUIT\r\n")
        for nodelay in (True, False):
            with Capture(self.lab) as capture, self.session(way, nodelay=nodelay) as session:
                self.assertEqual(session.reply(), GREETING)
                for command in commands:
                    session.send(*(bytes([byte]) for byte in command))
                    self.assertEqual(session.reply(), denial(way[0]))
                sent = [s.payload for s in capture.segments(session.port) if s.outgoing and s.payload]
            # Nagle sends the first byte, waits for its acknowledgement, and sends the rest.
            self.assertGreaterEqual(len(sent), len(b"".join(commands)) if nodelay else 2 * len(commands))
            self.assertEqual({len(payload) == 1 for payload in sent}, {True} if nodelay else {True, False})

    @both_ways
    def test_five_commands_in_one_segment(self, way):
        commands = (EHLO, MAIL, RCPT, b"RSET\r\n", b"QUIT\r\n")
        expected = EHLO_REPLY + SENDER_OK + denial(way[0]) + OK + BYE
        with Capture(self.lab) as capture, self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
            # Corked: five writes, one segment.
            session.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            session.send(*commands)
            session.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            self.assertEqual(session.file.read(), expected)
            seen = capture.segments(session.port)
            asked = [s for s in seen if s.outgoing and s.payload]
            answered = [s for s in seen if not s.outgoing and s.payload][1:]  # after the greeting
            self.assertEqual([s.payload for s in asked], [b"".join(commands)])
            self.assertEqual([s.payload for s in answered], [expected])
            self.assertTrue(answered[0].flags & FIN, "the end comes with the answer to QUIT")

    @both_ways
    def test_more_lines_than_fit_in_an_answer(self, way):
        """Acknowledged no further than answered: the client sends the rest again, and hears each answer once."""
        verbs = {b"NOOP\r\n": OK, b"DATA\r\n": NO_RECIPIENTS, b"MAIL\r\n": SENDER_OK, b"RSET\r\n": OK,
                 b"STARTTLS\r\n": b"502 5.5.1 Command not implemented\r\n"}
        lines = random.Random(1).choices(list(verbs), k=60) + [RCPT]
        answers = [*(verbs[line] for line in lines[:-1]), denial(way[0])]
        with Capture(self.lab) as capture, self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
            session.send(b"".join(lines))
            for answer in answers:
                self.assertEqual(session.reply(), answer)
            self.quit(session)
            seen = capture.segments(session.port)
        # Of each answer: so many whole lines, and an acknowledgement of exactly those.
        start = next(s.sequence for s in seen if s.outgoing and s.payload)
        ends = {0: 0, **dict(zip(itertools.accumulate(map(len, answers)), itertools.accumulate(map(len, lines))))}
        answered = [s for s in seen if not s.outgoing and s.payload][1:-1]  # between the greeting and 221
        self.assertGreater(len(answered), 1, "they did not fit in one")
        base = answered[0].sequence
        for segment in answered:
            self.assertLessEqual(len(segment.payload), payload_max(way[0]))
            end = (segment.sequence - base) % SEQUENCES + len(segment.payload)
            self.assertIn(end, ends, "an answer ends inside a line")
            self.assertEqual((segment.acknowledgement - start) % SEQUENCES, ends[end])

    @both_ways
    def test_150_recipients(self, way):
        with self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
            self.hear(session, EHLO)
            self.hear(session, MAIL)
            for i in range(150):
                self.assertEqual(session.say(f"RCPT TO:<user{i}@y.example>\r\n".encode()), denial(way[0]))
            self.quit(session)

    @both_ways
    def test_tiny_windows(self, way):
        """A receiver that does not read: its window closes, and no answer exceeds it. Then it reads, and has all."""
        n = 8
        with Capture(self.lab) as capture, self.session(way, receive_buffer=1) as session:
            self.assertEqual(session.reply(), GREETING)
            session.send(RCPT * n)
            seen = []

            def closed():
                seen.extend(capture.segments(session.port))
                return [s for s in seen if s.outgoing and s.payload and s.window < len(denial(way[0]))]
            wait_for("a window without room", closed, 20)
            for _ in range(n):
                self.assertEqual(session.reply(), denial(way[0]))
            self.quit(session)
            seen.extend(capture.segments(session.port))
        window = 0
        for segment in seen:
            if segment.outgoing:
                window = segment.window
            self.assertLessEqual(len(segment.payload) if not segment.outgoing else 0, window)

    @both_ways
    def test_options_of_the_handshake(self, way):
        """What we accept, Linux has taken over: no timestamps, no SACK, no scaling; our MSS."""
        with Capture(self.lab) as capture, self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
            seen = capture.segments(session.port)
            answer = next(s for s in seen if not s.outgoing)
            self.assertEqual((answer.flags, answer.options), (SYN | ACK, b"\x02\x04\x04\xc4"))
            self.assertTrue(all(not s.options for s in seen if s.flags & SYN == 0))
            self.assertEqual(session.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), 1220)


class Ends(TcpCase):
    """How a connection begins and ends."""

    @both_ways
    def test_client_talks_first(self, way):
        for options in ({}, {"quickack": 0}):  # 0: the command rides on the handshake's last ACK
            with self.session(way, **options) as session:
                session.send(EHLO)
                self.assertEqual(session.reply(), GREETING)
                self.assertEqual(session.reply(), EHLO_REPLY)
                self.hear(session, MAIL)
                self.hear(session, RCPT)
                self.quit(session)

    @both_ways
    def test_all_of_it_first(self, way):
        with self.session(way) as session:
            session.send(EHLO + MAIL + RCPT + b"QUIT\r\n")
            self.assertEqual(session.file.read(), GREETING + EHLO_REPLY + SENDER_OK + denial(way[0]) + BYE)

    @each_way
    def test_data_in_the_syn(self, way):
        """TCP fast open without a cookie: the data is not acknowledged, and comes again."""
        fast_open = self.client_setting("net.ipv4.tcp_fastopen", 5)
        with fast_open, Capture(self.lab) as capture, self.session(way, first=EHLO) as session:
            self.assertEqual(session.reply(), GREETING)
            self.assertEqual(session.reply(), EHLO_REPLY)
            self.hear(session, MAIL)
            self.hear(session, RCPT)
            self.quit(session)
            seen = capture.segments(session.port)
            self.assertEqual((seen[0].flags & SYN, seen[0].payload), (SYN, EHLO), "the SYN had no data")
            self.assertEqual(seen[1].acknowledgement, (seen[0].sequence + 1) % SEQUENCES)

    @both_ways
    def test_half_close(self, way):
        """FIN with data: one segment with the answer and our FIN."""
        with Capture(self.lab) as capture, self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
            self.hear(session, EHLO)
            self.hear(session, MAIL)
            session.socket.send(RCPT, socket.MSG_MORE)
            session.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(session.file.read(), denial(way[0]))
            seen = capture.segments(session.port)
        fin = next(s for s in seen if s.outgoing and s.flags & FIN)
        self.assertEqual(fin.payload, RCPT)
        last = next(s for s in seen if not s.outgoing and s.flags & FIN)
        self.assertEqual(last.payload, denial(way[0]))
        self.assertEqual(last.acknowledgement, (fin.sequence + len(RCPT) + 1) % SEQUENCES)
        self.assert_gone(way)

    @both_ways
    def test_close_without_quit(self, way):
        for after in range(3):
            with self.session(way) as session:
                self.assertEqual(session.reply(), GREETING)
                for command in COMMANDS[:after]:
                    self.hear(session, command)
                session.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(session.file.read(), b"")
        self.assert_gone(way)

    @both_ways
    def test_close_in_the_middle_of_a_line(self, way):
        with self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
            session.socket.send(b"MAIL FR", socket.MSG_MORE)
            session.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(session.file.read(), b"")
        self.assert_gone(way)

    @both_ways
    def test_lines_after_quit(self, way):
        with self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
            session.send(b"QUIT\r\nNOOP\r\n" + RCPT)
            self.assertEqual(session.file.read(), BYE)
        self.assert_gone(way)

    def test_reset_is_not_answered(self):
        ports = []
        with Capture(self.lab) as capture:
            with self.plane.counting() as grown:
                for way in WAYS:
                    session = self.session(way)
                    ports.append(session.port)
                    self.assertEqual(session.reply(), GREETING)
                    self.hear(session, EHLO)
                    session.abort()
                    self.assert_gone(way)
            self.assertEqual(grown["reject_rst"], len(WAYS))
            seen = capture.segments(*ports)
        for port in ports:
            own = [s for s in seen if port in (s.source_port, s.destination_port)]
            last = max(i for i, s in enumerate(own) if s.outgoing and s.flags & RST)
            self.assertEqual(own[last + 1:], [], "a reset was answered")

    @both_ways
    def test_port_used_again(self, way):
        """From the same port at once, within one cookie's epoch by all likelihood: so with the same numbers of ours."""
        port = self.dialogue(way)  # closed by us, with QUIT
        self.assert_gone(way)
        self.assertEqual(self.dialogue(way, port=port), port)
        self.assert_gone(way)
        session = self.session(way, port=port)
        self.assertEqual(session.reply(), GREETING)
        session.abort()  # with a RST
        self.assertEqual(self.dialogue(way, port=port), port)

    @each_way
    def test_port_in_time_wait(self, way):
        """The client closes first and waits; a client that does not wait may connect from there again."""
        with self.session(way) as session:
            self.assertEqual(session.reply(), GREETING)
        with self.assertRaises(OSError) as caught:
            self.session(way, port=session.port)
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)
        with self.client_setting("net.ipv4.tcp_max_tw_buckets", 0):
            with self.session(way) as session:
                self.assertEqual(session.reply(), GREETING)
            self.assert_gone(way)
            self.assertEqual(self.dialogue(way, port=session.port), session.port)

    def test_both_families_at_once_on_four_workers(self):
        self.plane.counters()
        before = {w.worker: w.rx_packets for w in self.plane.sync.report.workers}
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for one in [pool.submit(self.dialogue, WAYS[i % 2]) for i in range(200)]:
                one.result()
        self.plane.counters()
        after = {w.worker: w.rx_packets for w in self.plane.sync.report.workers}
        self.assertEqual(len(after), 4)
        for worker, n in after.items():
            self.assertGreater(n - before[worker], 100, f"worker {worker} had next to nothing to do")


class Established(TcpCase):
    """Listed and delisted in mid-session, before a real server. `established: pass`, the default."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls.lab)
        cls.addClassCleanup(cls.server.close)

    def open_to_the_server(self, way):
        """A session that began before the listing; the listing is enforced when this returns."""
        self.delist()
        session = self.session(way)
        self.assertEqual(session.reply(), b"220 the real server\r\n")
        self.assertEqual(session.say(EHLO), b"250 the real server\r\n")
        # The acknowledgement of that, too, goes out before the listing.
        session.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        time.sleep(0.05)
        self.list_again()
        return session

    def test_listed_in_mid_session(self):
        """The old session goes on to its end with the server; a new one hears the 550."""
        with self.plane.counting() as grown:
            for way in WAYS:
                with self.open_to_the_server(way) as session:
                    self.assertEqual(session.say(MAIL), b"250 the real server\r\n")
                    self.dialogue(way)
                    self.assertEqual(session.say(RCPT), b"250 the real server\r\n")
                    self.assertEqual(session.quit(), b"221 bye\r\n")
                    self.server.wait_end((way[0], session.port), "quit")
        self.assertGreaterEqual(grown["pass_established"], 3 * len(WAYS))

    @each_way
    def test_delisted_in_mid_dialogue(self, way):
        """Its next segment reaches the server, whose kernel knows nothing of it and resets it; the sender tries again."""
        for n in range(len(COMMANDS)):
            self.list_again()
            with self.session(way) as session:
                self.assertEqual(session.reply(), GREETING)
                for command in COMMANDS[:n]:
                    self.hear(session, command)
                self.delist()
                with self.assertRaises(ConnectionResetError):
                    session.say(COMMANDS[n])
            with self.session(way) as session:
                self.assertEqual(session.reply(), b"220 the real server\r\n")
                self.assertEqual(session.say(RCPT), b"250 the real server\r\n")


class EstablishedReset(Established):
    """`established: reset`: both ends of an old session end at its next segment."""

    SETTINGS = {"established": "reset"}

    def test_listed_in_mid_session(self):
        with self.plane.counting() as grown:
            for way in WAYS:
                self.check_both_ends(way)
                self.dialogue(way)
                self.check_challenge(way)
        # A client's tail loss probe, some milliseconds after its segment, may come before our answer is there.
        for name, least in (("reset_established", 2 * len(WAYS)), ("challenge_reset", len(WAYS))):
            self.assertGreaterEqual(grown[name], least, name)
            self.assertLessEqual(grown[name], 2 * least, name)

    def check_both_ends(self, way):
        with Capture(self.lab) as capture, self.open_to_the_server(way) as session:
            with self.assertRaises(ConnectionResetError):
                session.say(MAIL)
            self.server.wait_end((way[0], session.port), "reset")
            self.assertEqual(self.server.heard[way[0], session.port], [EHLO])
            seen = capture.segments(session.port)
        asked = next(s for s in seen if s.outgoing and s.payload == MAIL)
        reset = next(s for s in seen if not s.outgoing and s.flags & RST)
        self.assertEqual((reset.flags, reset.sequence), (RST | ACK, asked.acknowledgement))

    def check_challenge(self, way):
        """A segment behind one that was lost: the RST in its name is ahead of what the server expects, who answers with
        a challenge ACK (RFC 5961), and gets a RST with the number that it names."""
        with self.open_to_the_server(way) as session:
            self.lab.routed(f"tcp dport 25 tcp flags & psh == psh {ONCE}")
            session.send(MAIL)
            with self.assertRaises(ConnectionResetError):
                session.say(RCPT)
            self.server.wait_end((way[0], session.port), "reset")

    @each_way
    def test_the_server_talks_last(self, way):
        """A client that only acknowledges: its ACK is enough."""
        with self.open_to_the_server(way) as session:
            self.server.say((way[0], session.port), b"421 going down\r\n")
            self.server.wait_end((way[0], session.port), "reset")


class EstablishedDrop(Established):
    """`established: drop`: an old session stands still; a new one hears the 550."""

    SETTINGS = {"established": "drop"}

    def test_listed_in_mid_session(self):
        with contextlib.ExitStack() as stack:
            sessions = {way: stack.enter_context(self.open_to_the_server(way)) for way in WAYS}
            with self.plane.counting() as grown:
                for way, session in sessions.items():
                    session.send(MAIL)
                    self.dialogue(way)
            # Sent, and sent again.
            self.assertGreaterEqual(grown["drop_established"], 2 * len(WAYS))
            for way, session in sessions.items():
                self.assertGreater(unacknowledged(session.socket), 0)
                self.assertEqual(self.server.ends[way[0], session.port], "open")
                self.assertEqual(self.server.heard[way[0], session.port], [EHLO])
            # Delisted, they go on as if nothing had been.
            self.delist()
            for session in sessions.values():
                self.assertEqual(session.reply(), b"250 the real server\r\n")
                self.assertEqual(session.quit(), b"221 bye\r\n")

    test_delisted_in_mid_dialogue = None


class LostOnce(TcpCase):
    """One packet is lost, once in each family, both at once: every dialogue goes on to its 550."""

    def lose(self, ipv4, ipv6=None):
        """Rules for both families."""
        self.lab.routed(f"meta nfproto ipv4 {ipv4}", f"meta nfproto ipv6 {ipv6 or ipv4}")

    @both_ways
    def both(self, way):
        self.dialogue(way)

    def test_what_the_client_sends_again(self):
        for rule in (f"tcp dport 25 tcp flags & (syn|ack) == syn {ONCE}", f"tcp sport 25 tcp flags & syn == syn {ONCE}",
                     f"tcp dport 25 tcp flags & psh == psh {ONCE}",
                     "tcp sport 25 tcp flags & psh == psh numgen inc mod 1000000 1 drop"):
            self.lose(rule)
            self.both()

    def test_lost_in_the_handshake(self):
        """The handshake's last ACK and the greeting are ours to ask for, or to send, again: the ring does."""
        losses = (LOST_ACK, LOST_GREETING)
        with self.plane.counting() as grown:
            for ipv4, ipv6 in (losses, reversed(losses)):
                self.lose(ipv4, ipv6)
                start = time.monotonic()
                self.both()
                print(f"ACK lost in one family, greeting in the other: both to the end in "
                      f"{time.monotonic() - start:.2f} s", flush=True)
        self.assertEqual((grown["resent_syn_ack"], grown["resent_greeting"]), (2, 2))

    def test_a_greeting_lost_again_and_again(self):
        """Two tries, and no more: the third time it stays lost."""
        self.lose("tcp sport 25 tcp flags & psh == psh numgen inc mod 1000000 < 2 drop")
        with self.plane.counting() as grown:
            self.both()
            self.lose("tcp sport 25 tcp flags & psh == psh drop")
            self.hear_nothing()
        self.assertEqual(grown["resent_greeting"], len(WAYS) * 4)

    @both_ways
    def hear_nothing(self, way):
        with self.session(way, seconds=3.5) as session:
            with self.assertRaises(socket.timeout):
                session.reply()
            self.assertEqual(unacknowledged(session.socket), 0, "the client has something to send again")

    @both_ways
    def say_slowly(self, way):
        """Sessions that are slow at every stage, one that is reset, and one that is silent after the greeting."""
        with Capture(self.lab) as capture, self.session(way) as silent:
            reset = self.session(way)
            self.assertEqual(silent.reply(), GREETING)
            self.assertEqual(reset.reply(), GREETING)
            reset.abort()
            with self.session(way) as session:
                self.assertEqual(session.reply(), GREETING)
                for command in COMMANDS:
                    time.sleep(1.2)
                    self.hear(session, command)
                self.quit(session)
                seen = capture.segments(session.port)
        self.assertEqual([s.payload[:3] for s in seen if not s.outgoing], [b"", b"220", b"250", b"250", b"550", b"221"])

    def test_nothing_is_sent_again_that_arrived(self):
        with self.plane.counting() as grown:
            self.say_slowly()
        for name in ("resent_syn_ack", "resent_greeting", "resend_limited"):
            self.assertEqual(grown[name], 0, name)


class LostOnceWithoutRing(LostOnce):
    """`resend_entries: 0`: the same losses leave the client waiting for good, which shows that they are real."""

    SETTINGS = {"resend_entries": 0}

    def test_lost_in_the_handshake(self):
        self.lose(LOST_ACK, LOST_GREETING)
        self.hear_nothing()

    test_what_the_client_sends_again = None
    test_a_greeting_lost_again_and_again = None
    test_nothing_is_sent_again_that_arrived = None


if __name__ == "__main__":
    bl.main()
