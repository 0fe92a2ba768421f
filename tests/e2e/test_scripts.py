#!/usr/bin/python3
"""The scripts of tests/scripts against the real program, and against Linux.

Frames: each script's frames go in at the wide side of a data plane whose ports are net_pcap devices (QinQ comes through
those as it is; net_af_packet rewrites it), and once more over net_af_packet, the ports of an ordinary installation. What
comes out on both sides is compared to the byte with what the script says, the counters at the end with the sum of all
scripts. Who waits for silence would have to wait for ever: behind each frame follows a mark, a frame of its own kind
that passes; ports and worker keep the order, so that what has not come before the mark never comes.

Linux: the scripts that are plain dialogues, with a client of the kernel's: it says the same lines, must hear the same
answers, and close without a reset."""
import errno
import fcntl
import os
import pathlib
import re
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
import scripts as sc  # noqa: E402
from lab import Lab, in_namespace, wait_for  # noqa: E402
from sync import DROP, EXEMPT, MONITOR, REJECT, RESET, Sync  # noqa: E402

KEY = bytes.fromhex("8f1dd2c7a4b05e369b24f0617c83d95a")
URL = "https://delist.example.net/?ip={address}"
ACTIONS = {"reject": REJECT, "reset": RESET, "drop": DROP, "monitor": MONITOR}
EVERYTHING = {"0.0.0.0/0": 1, "::/0": 1}
SOL_PACKET, PACKET_AUXDATA, SIOCOUTQ = 263, 8, 0x5411
MARK = bytes.fromhex("0200000000aa0200000000bb88b5")
SECONDS = 20.0
SCRIPTS = sc.load()
ROOT = pathlib.Path(__file__).resolve().parents[2]
REASONS = re.findall(r'X\(\w+, [A-Z]+, "(\w+)"', (ROOT / "include/bounceline/verdict.h").read_text())
NOTES = ROOT / "../shared/REJECT.md"


class Port:
    """Frames of the scripts at one role's mail0, tags put back that the kernel takes out, the kernels' own frames left
    out."""

    def __init__(self, lab, role):
        with in_namespace(lab.namespace(role)):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind(("mail0", 0))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.settimeout(SECONDS)

    def receive(self):
        while True:
            frame, controls, _, address = self.socket.recvmsg(65536, 256)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            for level, kind, data in controls:
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and status & 0x10:
                    frame = frame[:12] + struct.pack(">HH", tpid if status & 0x40 else 0x8100, tci) + frame[12:]
            if b"\x02\0\0\0\0" in (frame[:5], frame[6:11]):
                return frame

    def until(self, mark):
        """What came before the mark."""
        frames = []
        while (frame := self.receive()) != mark:
            frames.append(frame)
        return frames


class Plane:
    """A data plane with the scripts' key, and a control plane that lists as they say. Player's `tap`."""

    def __init__(self, lab, sync, settings, ports):
        self.lab, self.sync, self.marks, self.listed = lab, sync, 0, None
        names = {side: f"net_pcap{i},rx_iface_in={side}0,tx_iface={side}0" if ports == "pcap" else f"{side}0"
                 for i, side in enumerate(("wan", "lan"))}
        # Ordinary memory: a frame at a time needs no other, and nobody has to wait for huge pages.
        self.configure({**settings, **names, "cookie_key_file": lab.dir / "cookie.key",
                        "ticket_key_file": lab.dir / "ticket.key", "hugepages": "off", "memory_mb": 128})
        lab.start("dataplane")
        try:
            sync.accept(30)
        except OSError:
            lab.explain()
            raise
        sync.greet()
        self.client, self.server = Port(lab, "sender"), Port(lab, "receiver")

    def configure(self, settings):
        path = self.lab.dir / "bounceline.yaml"
        lines = [line for line in path.read_text().splitlines()
                 if not re.match(r"  (wan|lan|stage|starttls|protected_.*|established|resend_entries|.*_per_s|.*_key_file|hugepages|"
                                 r"memory_mb):", line)]
        at = lines.index("dataplane:") + 1
        lines[at:at] = [f"  {name}: {value}" for name, value in settings.items()]
        path.write_text("\n".join(lines) + "\n")

    def set_class(self, words):
        """`class:` of a script: what every source is."""
        if words == self.listed:
            return
        entries, definitions = dict(EVERYTHING), [self.sync.class_definition(1)]
        if words[0] == "none":
            entries = {}
        elif words[0] == "exempt":
            entries.update({f"{sc.CLIENT[4]}/32": EXEMPT, f"{sc.CLIENT[6]}/128": EXEMPT})
        else:
            url = words[2] if len(words) > 2 else URL
            definitions = [self.sync.class_definition(1, int(words[1]), ACTIONS[words[0]], url)]
        self.sync.snapshot(entries, definitions)
        self.listed = words

    def mark(self):
        self.marks += 1
        return MARK + struct.pack(">Q", self.marks).ljust(46, b"\0")

    def exchange(self, frames, from_server):
        """Behind the frames a mark, the same way, and when that is there one the other way: both come behind all that the
        frames led to, as the worker keeps the order on each side, and sends a burst's answers before what it hands on."""
        near, far = (self.server, self.client) if from_server else (self.client, self.server)
        for frame in frames:
            near.socket.send(frame)
        there, back = self.mark(), self.mark()
        near.socket.send(there)
        beyond = far.until(there)
        far.socket.send(back)
        here = near.until(back)
        return (beyond, here) if from_server else (here, beyond)

    def wait(self):
        """The next frame to the client, which comes by itself."""
        return self.client.receive()

    def counters(self, expected):
        """The reasons that count our frames, as soon as they are the expected ones; else those of the last report.
        The marks and the kernels' own frames are counted beside what the scripts pass."""
        end = time.monotonic() + SECONDS / 2
        got = None
        while got != expected and time.monotonic() < end:
            self.sync.receive("report")
            got = {c.name: c.value for c in self.sync.report.counters
                   if c.value and c.name in REASONS}
            for reason in ("pass_not_ip", "pass_other", "pass_from_lan"):
                if got.get(reason, 0) >= expected.get(reason, 0):
                    got[reason] = expected.get(reason, 0)
            got = {name: value for name, value in got.items() if value}
        return got

    def end(self):
        self.client.socket.close()
        self.server.socket.close()
        code = self.lab.kill("dataplane", 15)
        assert code == 0, f"SIGTERM: exit {code}"


def plane_settings(script):
    """What the data plane must start with, as lines of its section. The ring is off where no script is about it: what it
    sends would come between other frames."""
    def one(name, default):
        return (script.settings(name) or [default])[0]

    def many(name, default):
        return "[" + ", ".join(f'"{part}"' if ":" in part else part for part in one(name, default).split()) + "]"

    return (("protected_ports", many("ports", "25")), ("protected_prefixes", many("prefixes", "")),
            ("stage", one("stage", "rcpt")), ("starttls", one("starttls", "hide")),
            ("established", one("established", "pass")), ("resend_entries", one("resend", "0")),
            *((f"{limit.split()[0]}_per_s", limit.split()[1]) for limit in script.settings("limit")))


PLAIN = {"seq", "ack", "mss", "sackok", "timestamp", "wscale"}
GREETING = b"220 mx.example.org ESMTP\r\n"


class Dialogue:
    """What of a script the kernel's TCP can say by itself: one connection, from its SYN or from behind the greeting.
    steps: [(line number, what is said, [what is heard])]."""

    def __init__(self, listed, greeted):
        self.listed, self.greeted, self.steps, self.good = listed, greeted, [], True
        self.client, self.server = (1, 1 + len(GREETING)) if greeted else (0, 0)

    def stands_at(self, line, ours, theirs):
        return all(line.words.get(word, "0") in ("next", str(end)) for word, end in (("seq", ours), ("ack", theirs)))

    def say(self, number, line):
        length = len(line.payload) + (1 if line.flags & (sc.SYN | sc.FIN) else 0)
        # Data before the greeting, or a FIN there: the kernel would have both on their way at once.
        self.good &= self.server != 1 or length == 0
        self.client += length
        self.steps.append((number, line, []))

    def hear(self, line):
        self.good &= not set(line.words) - PLAIN and self.stands_at(line, self.server, self.client)
        self.server += len(line.payload) + (1 if line.flags & (sc.SYN | sc.FIN) else 0)
        self.steps[-1][2].append(line)


def dialogues_of(script, version):
    """A frame goes on where the one before ended, or begins another connection: with a SYN, or behind the greeting. All
    else (`passed`, frames that no kernel sends, answers that leave something for the next time) ends a dialogue."""
    texts, listed, found, now = {}, ["reject", "606"], [], None
    fills = {"{address}": sc.CLIENT[version]}
    for number, text in script.lines:
        word, _, rest = text.partition(" ")
        if word == "text:":
            texts[rest.split()[0]] = sc.Line("- " + rest.split(" ", 1)[1], {}, fills).payload
        elif word == "class:":
            listed, now = rest.split(), None
        elif word == "<" and now is not None:
            now.hear(sc.Line(rest, texts, fills))
        elif word == "passed" and now is not None:
            now.good = False
        elif word == ">":
            line = sc.Line(rest, texts, fills)
            if set(line.words) - PLAIN or line.flags & ~0x1F or not line.flags & (sc.SYN | sc.ACK):
                now = None
                continue
            if now is None or not now.stands_at(line, now.client, now.server):
                now = Dialogue(listed, line.flags != sc.SYN)
                if not now.stands_at(line, now.client, now.server):
                    now = None
                    continue
                found.append(now)
            now.say(number, line)
            if line.flags & sc.RST:
                now = None
    return [d for d in found if d.good and d.listed[0] == "reject" and "{ticket}" not in d.listed[-1] and
            any(not line.flags & sc.SYN for _, line, _ in d.steps)]


class Frames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=1)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        for name, key in (("cookie.key", KEY), ("ticket.key", sc.TICKET_KEY)):
            (cls.lab.dir / name).touch(0o600)
            (cls.lab.dir / name).write_bytes(key)
        cls.sync = Sync(cls.lab.dir / "sync.sock")
        cls.addClassCleanup(cls.sync.end)

    def play(self, plane, played):
        """All of them, also behind one that fails. Returns the sum of the counters that they say."""
        sums, n = {}, 0
        for script, version in played:
            with self.subTest(script=script.path.name, version=version):
                player = sc.Player(script, version, KEY, plane)
                try:
                    player.play()
                finally:
                    for reason, count in player.reasons.items():
                        sums[reason] = sums.get(reason, 0) + count
                        n += count
        return sums, n

    def play_over(self, ports, wanted):
        groups, n = {}, 0
        for script in filter(wanted, SCRIPTS):
            groups.setdefault(plane_settings(script), []).append(script)
        for settings, group in sorted(groups.items()):
            plane = Plane(self.lab, self.sync, dict(settings), ports)
            try:
                sums, played = self.play(plane, [(script, v) for script in group for v in script.versions()])
                self.assertEqual(plane.counters(sums), sums, f"counters of {settings}")
            finally:
                plane.end()
            n += played
        return n

    def test_over_pcap(self):
        start = time.monotonic()
        n = self.play_over("pcap", lambda script: True)
        print(f"{len(SCRIPTS)} scripts over net_pcap: {n} frames in {time.monotonic() - start:.1f} s", flush=True)
        self.assertGreater(n, 500)

    def test_over_af_packet(self):
        """Those with ordinary settings, and without the tags that the kernel's sockets rewrite."""
        ordinary = plane_settings(sc.Script(sc.FOLDER / "dialogue-handshake-ack.txt"))

        def fits(script):
            return plane_settings(script) == ordinary and not re.search(r"tag (88a8|9100)/", script.path.read_text())
        n = self.play_over("kernel", fits)
        print(f"{sum(map(fits, SCRIPTS))} scripts over net_af_packet: {n} frames", flush=True)
        self.assertGreater(n, 500)


class Linux(unittest.TestCase):
    """The kernel's TCP as the client of every script that is a plain dialogue."""

    ADDRESSES = {4: (bl.SENDER_IPV4, bl.RECEIVER_IPV4), 6: (bl.SENDER_IPV6, bl.RECEIVER_IPV6)}

    @classmethod
    def setUpClass(cls):
        Frames.setUpClass.__func__(cls)

    def connect(self, version):
        source, destination = self.ADDRESSES[version]
        with in_namespace(self.lab.namespace("sender")):
            client = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        client.settimeout(SECONDS)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.bind((source, 0))
        client.connect((destination, 25))
        return client

    def hear(self, client, answer, address, number):
        """address: how the script's client is called, and how this one is."""
        expected = answer.payload.replace(address[0].encode(), address[1].encode())
        got = b""
        while len(got) < len(expected):
            part = client.recv(len(expected) - len(got))
            self.assertTrue(part, f"line {number}: closed after {got!r}")
            got += part
        self.assertEqual(got, expected, f"line {number}")
        if answer.flags & sc.FIN:
            self.assertEqual(client.recv(1), b"", f"line {number}: FIN")

    def play(self, version, dialogue):
        with self.connect(version) as client:
            if dialogue.greeted:
                self.assertEqual(client.recv(len(GREETING)), GREETING)
            for number, line, answers in dialogue.steps:
                if line.flags & sc.RST:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if line.flags & sc.SYN:
                    continue
                if line.payload:
                    client.sendall(line.payload, socket.MSG_MORE if line.flags & sc.FIN else 0)
                if line.flags & sc.FIN:
                    client.shutdown(socket.SHUT_WR)
                for answer in answers:
                    self.hear(client, answer, (sc.CLIENT[version], self.ADDRESSES[version][0]), number)
                wait_for(f"line {number}: all that was said is acknowledged",
                         lambda: struct.unpack("i", fcntl.ioctl(client, SIOCOUTQ, b"\0" * 4))[0] == 0, SECONDS)
            self.assertEqual(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
            client.setblocking(False)
            try:
                self.assertEqual(client.recv(1), b"", "more than the script says")
            except BlockingIOError as error:
                self.assertEqual(error.errno, errno.EAGAIN)

    def kernel_counters(self):
        """Of the client's TCP: what it takes for an error."""
        text = self.lab.run("sender", "cat", "/proc/net/snmp", "/proc/net/netstat", capture_output=True, text=True,
                            check=True).stdout.splitlines()
        found = {}
        for names, values in zip(text[::2], text[1::2]):
            found.update(zip(names.split(), values.split()))
        return {name: int(found[name]) for name in ("InErrs", "InCsumErrors", "TCPChallengeACK", "TCPSYNChallenge",
                                                    "PAWSEstab")}

    def test_plain_dialogues(self):
        plain = {}
        for script in SCRIPTS:
            for version in script.versions():
                for dialogue in dialogues_of(script, version):
                    plain.setdefault(plane_settings(script), []).append((script, version, dialogue))
        n = 0
        before = self.kernel_counters()
        for settings, group in sorted(plain.items(), key=lambda item: item[0]):
            plane = Plane(self.lab, self.sync, dict(settings), "kernel")
            try:
                for script, version, dialogue in group:
                    with self.subTest(script=script.path.name, version=version, line=dialogue.steps[0][0]):
                        plane.set_class(dialogue.listed)
                        self.play(version, dialogue)
                        n += 1
            finally:
                plane.end()
        names = sorted({script.path.stem for group in plain.values() for script, _, _ in group})
        print(f"{n} dialogues of {len(names)} scripts with Linux as the client", flush=True)
        self.assertEqual(self.kernel_counters(), before)
        self.assertGreaterEqual(len(names), 30, names)


class Rows(unittest.TestCase):
    def test_rows_are_those_of_the_notes(self):
        """Each row of the notes' tables and each numbered rule is in ROWS, where there are the notes."""
        if not NOTES.exists():
            self.skipTest(f"no {NOTES.name} beside the tree")
        rows = [row for row in (sc.FOLDER / "ROWS").read_text().splitlines() if row and not row.startswith("#")]
        for section, prefix in (("At which command to say 550", "senders"), ("Dialogue", "dialogue"),
                                ("Connections that were already open", "established")):
            part = NOTES.read_text().split(f"## {section}")[1].split("\n## ")[0]
            table = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][1:]
            self.assertGreaterEqual(len(table), 3)
            for name in table:
                self.assertIn(f"{prefix}/{name}", rows)
        part = NOTES.read_text().split("## TCP rules")[1].split("\n## ")[0]
        numbered = re.findall(r"^(\d+)\. ", part, re.M)
        self.assertEqual(len(numbered), 8)
        for number in numbered:
            self.assertTrue([row for row in rows if row.startswith(f"tcp/{number} ")], f"rule {number} has no row")


if __name__ == "__main__":
    os.chdir(sc.FOLDER.parents[1])
    bl.main()
