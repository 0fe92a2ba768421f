"""The language of tests/scripts (its README.md tells it), read and judged a second time: nothing here is the product's or
run_scripts.c's. Frames are made and read with struct, cookies hashed with the SipHash of sync.py.

    script = Script(path)
    Player(script, version, tap).play()      one family of one script, against what `tap` reaches
"""
import os
import pathlib
import re
import socket
import struct
import time

from frames import checksum
from sync import siphash

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "scripts"
CLIENT_ISN = 0xFFFFFFF0
EPOCH_S = 1024
TICKET_KEY = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
CLIENT = {4: "192.0.2.7", 6: "2001:db8::7"}
SERVER = {4: "198.51.100.25", 6: "2001:db8:1::25"}
CLIENT_MAC, SERVER_MAC = bytes.fromhex("020000000007"), bytes.fromhex("020000000025")
FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ENDS = ("answered", "passed", "dropped")
SETTINGS = ("row:", "only:", "stage:", "starttls:", "ports:", "prefixes:", "established:", "limit:", "resend:", "ticket:")
EXTENSIONS = {"hopbyhop": 0, "routing": 43, "destination": 60, "auth": 51, "mobility": 135, "esp": 50}
WITH_VALUE = {"seq", "ack", "win", "epoch", "sport", "dport", "from", "to", "smac", "dmac", "mss", "wscale", "tag", "ipopt",
              "ext", "extbytes", "fragment", "bad", "pad", "cut", "proto", "ethertype"}
ALONE = {"sackok": bytes([4, 2]), "timestamp": bytes([8, 10]) + b"Z" * 8, "fastopen": bytes([34, 10]) + b"Z" * 8}
REPEATED = {"tag", "ext", "bad"}


class Wrong(AssertionError):
    """What came out is not what the script says."""


def numbers(word):
    return int(word, 0)


def ticket(version, day):
    """The client's of that day, by the description in ticket.h; IPv6 for its /64."""
    address = pack_address(CLIENT[version]) if version == 4 else pack_address(CLIENT[6])[:8]
    records = (b"bounceline ticket key".ljust(24, b"\0") + struct.pack("<QQ", day, half) for half in (0, 1))
    daily = [siphash(*struct.unpack("<QQ", TICKET_KEY), record) for record in records]
    record = address.ljust(16, b"\0") + bytes([32 if version == 4 else 64, version]).ljust(8, b"\0") + struct.pack("<Q", day)
    bits = siphash(*daily, record) >> 4
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[bits >> 5 * i & 31] for i in reversed(range(12)))


class Script:
    """A file's lines: [(line number, text)], with what goes on joined."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.lines = []
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            line = re.sub(r'^((?:[^"#]|"(?:[^"\\]|\\.)*")*)#.*$', r"\1", line).rstrip()
            if not line:
                continue
            if line[0].isspace():
                self.lines[-1] = (self.lines[-1][0], self.lines[-1][1] + " " + line.strip())
            else:
                self.lines.append((number, line))

    @property
    def rows(self):
        return [text[5:] for _, text in self.lines if text.startswith("row: ")]

    def settings(self, name):
        """The values of all lines of that name, in order."""
        return [text.split(":", 1)[1].strip() for _, text in self.lines if text.startswith(name + ":")]

    def versions(self):
        only = self.settings("only")
        return [4] if "v4" in only else [6] if "v6" in only else [4, 6]


def load():
    return [Script(path) for path in sorted(FOLDER.glob("*.txt"))]


def unquote(word, fills):
    """The bytes of a "string"."""
    named = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", '"': b'"'}
    out = b""
    for plain, hexadecimal, escape in re.findall(r'([^\\]+)|\\x([0-9a-f]{2})|\\(.)', word[1:-1]):
        if plain:
            for name, text in fills.items():
                plain = plain.replace(name, text)
            out += plain.encode()
        else:
            out += bytes.fromhex(hexadecimal) if hexadecimal else named[escape]
    return out


class Line:
    """What a line says of a frame: flags, {word: value or list}, TCP options, payload."""

    def __init__(self, text, texts, fills, of_server=False):
        self.of_server = of_server
        words = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', text)
        self.flags = 0 if words[0] == "-" else sum(FLAGS[name] for name in words[0].split(","))
        self.words, self.options, self.payload = {}, b"", b""
        at = 1
        while at < len(words):
            word = words[at]
            at += 1
            if word in WITH_VALUE:
                value = words[at]
                at += 1
                if word in REPEATED:
                    self.words.setdefault(word, []).append(value)
                else:
                    self.words[word] = value
                if word == "mss":
                    self.options += struct.pack(">BBH", 2, 4, int(value))
                elif word == "wscale":
                    self.options += bytes([3, 3, int(value)])
            elif word in ALONE:
                self.words[word] = True
                self.options += ALONE[word]
            else:
                part = unquote(word, fills) if word[0] == '"' else texts[word]
                if words[at:at + 1] == ["*"]:
                    part *= int(words[at + 1])
                    at += 2
                self.payload += part

    def get(self, word, default):
        return numbers(self.words[word]) if word in self.words else default


def addresses_of(line, version):
    """(source, destination), packed."""
    ends = (SERVER, CLIENT) if line.of_server else (CLIENT, SERVER)
    return [pack_address(line.words.get(word, default[version])) for word, default in zip(("from", "to"), ends)]


def ports_of(line):
    """(source, destination)"""
    ends = (25, 40007) if line.of_server else (40007, 25)
    return tuple(line.get(word, default) for word, default in zip(("sport", "dport"), ends))


def pack_address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def tcp_checksum(addresses, segment):
    if len(addresses) == 8:
        pseudo = addresses + struct.pack(">BBH", 0, 6, len(segment))
    else:
        pseudo = addresses + struct.pack(">IHBB", len(segment), 0, 0, 6)
    return checksum(pseudo + segment)


def build_ipv4(line, source, destination, segment):
    options = b"\1" * line.get("ipopt", 0)
    fragment = {"first": 0x2000, "middle": 0x2010, "last": 0x0010}.get(line.words.get("fragment"), 0x4000)
    header = struct.pack(">BBHHHBBH", 0x45 + len(options) // 4, 0x10, 20 + len(options) + len(segment), 0xABCD,
                         fragment, 57, line.get("proto", 6), 0) + source + destination + options
    total = checksum(header) ^ (0x1000 if "ipsum" in line.words.get("bad", []) else 0)
    return header[:10] + struct.pack(">H", total) + header[12:] + segment


def build_ipv6(line, source, destination, segment):
    size = line.get("extbytes", 8)
    headers = []  # (number, its bytes behind the next-header byte)
    for word in line.words.get("ext", []):
        name, _, times = word.partition("*")
        number = EXTENSIONS[name]
        length = size // 4 - 2 if number == 51 else size // 8 - 1
        # Padding: an option PadN of all that is left.
        body = bytes([length, 1, size - 4 if size <= 200 else 0]).ljust(size - 1, b"\0")
        headers += [(number, body)] * int(times or 1)
    if "fragment" in line.words:
        where = {"first": 1, "middle": 0x81, "last": 0x80}[line.words["fragment"]]
        headers.append((44, (b"\0" + struct.pack(">H", where)).ljust(size - 1, b"\0")))
    kinds = [number for number, _ in headers] + [line.get("proto", 6)]
    chain = b"".join(bytes([following]) + body for following, (_, body) in zip(kinds[1:], headers))
    return struct.pack(">IHBB", 0x60312345, len(chain) + len(segment), kinds[0], 57) + source + destination + chain + \
        segment


def build(line, version, sequence, acknowledgement):
    """The frame of a `>` line, or of a `server>` line."""
    source, destination = addresses_of(line, version)
    options = line.options.ljust(-(-len(line.options) // 4) * 4, b"\0")
    segment = struct.pack(">HHIIBBHHH", *ports_of(line), sequence, acknowledgement,
                          (20 + len(options)) // 4 << 4, line.flags, line.get("win", 64240), 0,
                          1 if line.flags & FLAGS["URG"] else 0) + options + line.payload
    total = tcp_checksum(source + destination, segment) ^ (0x1000 if "tcpsum" in line.words.get("bad", []) else 0)
    segment = segment[:16] + struct.pack(">H", total) + segment[18:]
    packet = (build_ipv4 if version == 4 else build_ipv6)(line, source, destination, segment)
    ends = (CLIENT_MAC, SERVER_MAC) if line.of_server else (SERVER_MAC, CLIENT_MAC)
    macs = [bytes.fromhex(line.words[word].replace(":", "")) if word in line.words else default
            for word, default in zip(("dmac", "smac"), ends)]
    tags = b"".join(struct.pack(">HH", int(tag.split("/")[0], 16), int(tag.split("/")[1]))
                    for tag in line.words.get("tag", []))
    kind = struct.pack(">H", line.get("ethertype", 0x0800 if version == 4 else 0x86DD))
    frame = b"".join(macs) + tags + kind + packet + b"\xee" * line.get("pad", 0)
    return frame[:len(frame) - line.get("cut", 0)]


class Answer:
    """A frame that came out, taken apart, each header held against what one made for `frame` must have: turned round,
    or, on to the server, in the name of the client."""

    def __init__(self, answer, line, frame, version, turned=True):
        def must(condition, what):
            if not condition:
                raise Wrong(f"{what}: {answer.hex()}")

        l3 = 14 + 4 * len(line.words.get("tag", []))
        macs = frame[6:12] + frame[:6] if turned else frame[:12]
        must(answer[:12] == macs, "MAC addresses")
        must(answer[12:l3] == frame[12:l3], "tags or EtherType are not those of the frame in")
        ip = answer[l3:]
        if version == 4:
            size = struct.unpack(">H", ip[2:4])[0]
            must(ip[:2] == b"\x45\0" and ip[4:10] == b"\0\0\x40\0\x40\x06", "not the plain IPv4 header")
            must(checksum(ip[:20]) == 0, "checksum of the IPv4 header")
            addresses, segment = ip[12:20], ip[20:size]
            theirs = frame[l3 + 12:l3 + 20]
        else:
            size = 40 + struct.unpack(">H", ip[4:6])[0]
            must(ip[:4] == b"\x60\0\0\0" and ip[6:8] == b"\x06\x40", "not the plain IPv6 header")
            addresses, segment = ip[8:40], ip[40:size]
            theirs = frame[l3 + 8:l3 + 40]
        half = len(addresses) // 2
        must(addresses == (theirs[half:] + theirs[:half] if turned else theirs), "IP addresses")
        must(len(answer) == max(60, l3 + size) and not any(answer[l3 + size:]), "length or padding")
        must(tcp_checksum(addresses, segment) == 0, "TCP checksum")
        ports = ports_of(line)
        must(struct.unpack(">HH", segment[:4]) == (ports[::-1] if turned else ports), "ports")
        self.sequence, self.acknowledgement, offset, self.flags, self.window, _, urgent = \
            struct.unpack(">IIBBHHH", segment[4:20])
        must(urgent == 0 and offset & 15 == 0, "urgent pointer or reserved bits")
        self.options, self.payload = segment[20:(offset >> 4) * 4], segment[(offset >> 4) * 4:]
        must(len(self.payload) <= (536 if version == 4 else 1220), "more than the peer may be able to take")

    def show(self, isn):
        flags = ",".join(name for name, bit in FLAGS.items() if self.flags & bit)
        options = f" options {self.options.hex()}" if self.options else ""
        return (f"< {flags} seq {signed(self.sequence - isn)} ack {signed(self.acknowledgement - CLIENT_ISN)} "
                f"win {self.window}{options} {self.payload!r}")


def signed(value):
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


class Player:
    """Plays one script for one family.

    tap has exchange(frames, from the server?) → ([frames out to the client], [frames out to the server]), wait() → the
    next frame out to the client, and set_class(words)."""

    def __init__(self, script, version, key, tap):
        self.script, self.version, self.key, self.tap = script, version, key, tap
        self.texts, self.reasons = {}, {}
        self.day = int(time.time()) // 86400
        self.fills = {"{address}": CLIENT[version], "{ticket}": ticket(version, self.day)}
        self.client_next = self.server_next = self.client_was = self.server_was = self.flood = 0
        self.epoch = self.isn = 0
        self.line = self.frame = None
        self.answers, self.onward = [], []

    def cookie(self, line, epoch):
        """The first number of the answers to a connection, by the description in cookie.c: a standby pair shares it."""
        source, destination = addresses_of(line, self.version)
        ports = ports_of(line)
        if line.of_server:
            source, destination, ports = destination, source, ports[::-1]
        # Host order words of a little-endian machine: IPv4 one of 4 bytes, IPv6 two of 8.
        form = ">I" if self.version == 4 else ">QQ"
        record = b"".join(struct.pack("<" + form[1:], *struct.unpack(form, a)) for a in (source, destination))
        record += struct.pack("<II", ports[0] << 16 | ports[1], epoch)
        return siphash(*struct.unpack("<QQ", self.key), record) & 0xFFFFFFFF

    @staticmethod
    def resolve(word, isn, following):
        if word.startswith("="):
            return numbers(word[1:]) & 0xFFFFFFFF
        if word.startswith("next"):
            return (isn + following + (numbers(word[4:]) if word[4:] else 0)) & 0xFFFFFFFF
        return (isn + numbers(word)) & 0xFFFFFFFF

    def play(self):
        """Raises Wrong with file and line. Played again when the epoch changed meanwhile: then nothing is wrong yet."""
        while True:
            left = EPOCH_S - time.time() % EPOCH_S
            if left < 35 or left > EPOCH_S - 2:  # the next epoch counts already; the data plane's clock is good to a second
                time.sleep(0.5)
                continue
            self.__init__(self.script, self.version, self.key, self.tap)
            self.epoch = int(time.time()) // EPOCH_S
            self.tap.set_class("reject 606".split())
            try:
                for number, text in self.script.lines:
                    self.play_line(number, text)
                return
            except Wrong:
                if (int(time.time()) // EPOCH_S, int(time.time()) // 86400) == (self.epoch, self.day):
                    raise

    def play_line(self, number, text):
        word, _, rest = text.partition(" ")
        try:
            if word in (">", "server>"):
                self.play_in(rest, word == "server>")
            elif word == "<":
                self.play_out(rest, self.answers, not self.line.of_server)
            elif word == ">>":
                self.play_out(rest, self.onward, self.line.of_server)
            elif word in ENDS:
                self.play_end(word, rest)
            elif word == "later":
                self.answers = [self.tap.wait()]
                self.play_out(rest.removeprefix("< "), self.answers, True)
            elif word == "quiet":
                self.play_quiet(float(rest))
            elif word == "flood":
                self.flood = int(rest)
            elif word == "limited":
                self.play_limited(*rest.split())
            elif word == "class:":
                self.tap.set_class(rest.split())
            elif word == "text:":
                name, _, strings = rest.partition(" ")
                self.texts[name] = Line("- " + strings, {}, self.fills).payload
            elif word not in SETTINGS:
                raise Wrong(f"no such line: {text}")
        except Wrong as wrong:
            raise Wrong(f"{os.path.relpath(self.script.path)}:{number}: IPv{self.version}: {wrong}") from None

    def play_in(self, text, of_server):
        self.line = line = Line(text, self.texts, self.fills, of_server)
        self.isn = self.cookie(line, self.epoch + line.get("epoch", 0))
        ends = [("seq", CLIENT_ISN, self.client_next), ("ack", self.isn, self.server_next)]
        if of_server:
            ends = [("seq", self.isn, self.server_next), ("ack", CLIENT_ISN, self.client_next)]
        sequence, acknowledgement = (self.resolve(line.words[word], isn, following) if word in line.words else 0
                                     for word, isn, following in ends)
        self.frame = build(line, self.version, sequence, acknowledgement)
        self.answers, self.onward = self.tap.exchange([self.frame] * (self.flood or 1), of_server)
        self.server_was, self.client_was = self.server_next, self.client_next
        length = len(line.payload) + (1 if line.flags & (SYN | FIN) else 0)
        if of_server:
            self.server_next = signed(sequence - self.isn) + length
        else:
            self.client_next = self.client_was = signed(sequence - CLIENT_ISN) + length

    def play_out(self, text, frames, turned):
        """frames: what came out on that side; the first one is taken. Its numbers are the server's own when it goes to
        the client, and the client's when it is a RST in the client's name."""
        line = Line(text, self.texts, self.fills)
        if not frames:
            raise Wrong("expected a frame, got nothing")
        to_client = frames is self.answers
        got = Answer(frames.pop(0), self.line, self.frame, self.version, turned)
        want = Answer.__new__(Answer)
        want.flags, want.payload, want.window = line.flags, line.payload, line.get("win", 8192)
        ends = [("seq", self.isn, self.server_was), ("ack", CLIENT_ISN, self.client_next)]
        if not to_client:
            ends = [("seq", CLIENT_ISN, self.client_was), ("ack", self.isn, self.server_next)]
        want.sequence, want.acknowledgement = (self.resolve(line.words[word], isn, following)
                                               for word, isn, following in ends)
        want.options = line.options
        if vars(got) != vars(want):
            raise Wrong(f"\n  expected: {want.show(self.isn)}\n  got:      {got.show(self.isn)}")
        if to_client:
            length = len(got.payload) + (1 if got.flags & (SYN | FIN) else 0)
            self.server_next = signed(got.sequence - self.isn) + length

    def play_end(self, what, reason):
        self.count(reason, 1)
        here, there = (self.onward, self.answers) if self.line.of_server else (self.answers, self.onward)
        expected = [self.frame] if what == "passed" else []
        if here or there != expected:
            raise Wrong(f"expected {what}, and these frames: {[frame.hex() for frame in expected]}; got on the side it came "
                        f"from {[frame.hex() for frame in here]}, on the other {[frame.hex() for frame in there]}")

    def play_quiet(self, seconds):
        """What would come by itself in this time does not come."""
        time.sleep(seconds)
        self.answers, self.onward = self.tap.exchange([], False)
        if self.answers or self.onward:
            raise Wrong(f"expected nothing more, got {[frame.hex() for frame in self.answers + self.onward]}")

    def play_limited(self, reason, else_reason):
        """Of a flood some got what the `<` line said of the first, and the others nothing: too many at once."""
        n = 1 + len(self.answers) if not else_reason.startswith("pass") else len(self.onward)
        if not 1 <= n < self.flood:
            raise Wrong(f"expected some of {self.flood} frames to be above the limit, {n} were not")
        self.count(else_reason, n)
        self.count(reason, self.flood - n)
        self.flood = 0

    def count(self, reason, n):
        self.reasons[reason] = self.reasons.get(reason, 0) + n
