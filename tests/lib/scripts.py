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
CLIENT = {4: "192.0.2.7", 6: "2001:db8::7"}
SERVER = {4: "198.51.100.25", 6: "2001:db8:1::25"}
CLIENT_MAC, SERVER_MAC = bytes.fromhex("020000000007"), bytes.fromhex("020000000025")
FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ENDS = ("answered", "passed", "dropped")
EXTENSIONS = {"hopbyhop": 0, "routing": 43, "destination": 60, "auth": 51, "mobility": 135, "esp": 50}
WITH_VALUE = {"seq", "ack", "win", "epoch", "sport", "dport", "from", "to", "smac", "dmac", "mss", "wscale", "tag", "ipopt",
              "ext", "extbytes", "fragment", "bad", "pad", "cut", "proto", "ethertype"}
ALONE = {"sackok": bytes([4, 2]), "timestamp": bytes([8, 10]) + b"Z" * 8, "fastopen": bytes([34, 10]) + b"Z" * 8}
REPEATED = {"tag", "ext", "bad"}


class Wrong(AssertionError):
    """What came out is not what the script says."""


def numbers(word):
    return int(word, 0)


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

    def setting(self, name, default):
        """The one that the data plane starts with."""
        found = [text.split(":", 1)[1].strip() for _, text in self.lines if text.startswith(name + ":")]
        return found[0] if found else default

    def versions(self):
        only = self.setting("only", "")
        return [4] if only == "v4" else [6] if only == "v6" else [4, 6]


def load():
    return [Script(path) for path in sorted(FOLDER.glob("*.txt"))]


def unquote(word, address):
    """The bytes of a "string"."""
    named = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", '"': b'"'}
    out = b""
    for plain, hexadecimal, escape in re.findall(r'([^\\]+)|\\x([0-9a-f]{2})|\\(.)', word[1:-1]):
        if plain:
            out += plain.replace("{address}", address).encode()
        else:
            out += bytes.fromhex(hexadecimal) if hexadecimal else named[escape]
    return out


class Line:
    """What a `>` or `<` line says: flags, {word: value or list}, TCP options, payload."""

    def __init__(self, text, texts, address):
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
                part = unquote(word, address) if word[0] == '"' else texts[word]
                if words[at:at + 1] == ["*"]:
                    part *= int(words[at + 1])
                    at += 2
                self.payload += part

    def get(self, word, default):
        return numbers(self.words[word]) if word in self.words else default


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
    """The frame of a `>` line."""
    source, destination = (pack_address(line.words.get(word, default[version]))
                           for word, default in (("from", CLIENT), ("to", SERVER)))
    options = line.options.ljust(-(-len(line.options) // 4) * 4, b"\0")
    segment = struct.pack(">HHIIBBHHH", line.get("sport", 40007), line.get("dport", 25), sequence, acknowledgement,
                          (20 + len(options)) // 4 << 4, line.flags, line.get("win", 64240), 0,
                          1 if line.flags & FLAGS["URG"] else 0) + options + line.payload
    total = tcp_checksum(source + destination, segment) ^ (0x1000 if "tcpsum" in line.words.get("bad", []) else 0)
    segment = segment[:16] + struct.pack(">H", total) + segment[18:]
    packet = (build_ipv4 if version == 4 else build_ipv6)(line, source, destination, segment)
    macs = [bytes.fromhex(line.words[word].replace(":", "")) if word in line.words else default
            for word, default in (("dmac", SERVER_MAC), ("smac", CLIENT_MAC))]
    tags = b"".join(struct.pack(">HH", int(tag.split("/")[0], 16), int(tag.split("/")[1]))
                    for tag in line.words.get("tag", []))
    kind = struct.pack(">H", line.get("ethertype", 0x0800 if version == 4 else 0x86DD))
    frame = b"".join(macs) + tags + kind + packet + b"\xee" * line.get("pad", 0)
    return frame[:len(frame) - line.get("cut", 0)]


class Answer:
    """A frame that came out, taken apart, each header held against what an answer to `frame` must have."""

    def __init__(self, answer, line, frame, version):
        def must(condition, what):
            if not condition:
                raise Wrong(f"{what}: {answer.hex()}")

        l3 = 14 + 4 * len(line.words.get("tag", []))
        must(answer[:6] == frame[6:12] and answer[6:12] == frame[:6], "MAC addresses are not turned round")
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
        must(addresses == theirs[half:] + theirs[:half], "IP addresses are not turned round")
        must(len(answer) == max(60, l3 + size) and not any(answer[l3 + size:]), "length or padding")
        must(tcp_checksum(addresses, segment) == 0, "TCP checksum")
        ports = (line.get("dport", 25), line.get("sport", 40007))
        must(struct.unpack(">HH", segment[:4]) == ports, "ports are not turned round")
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

    tap has exchange(frame) → ([frames out to the client], [frames out to the server]), and set_class(words)."""

    def __init__(self, script, version, key, tap):
        self.script, self.version, self.key, self.tap = script, version, key, tap
        self.texts, self.reasons = {}, {}
        self.client_next = self.server_next = self.server_was = 0
        self.epoch = self.isn = 0
        self.line = self.frame = None
        self.answers, self.onward = [], []

    def cookie(self, line, epoch):
        """The first number of the answers to a connection, by the description in cookie.c: a standby pair shares it."""
        source, destination = (pack_address(line.words.get(word, default[self.version]))
                               for word, default in (("from", CLIENT), ("to", SERVER)))
        # Host order words of a little-endian machine: IPv4 one of 4 bytes, IPv6 two of 8.
        form = ">I" if self.version == 4 else ">QQ"
        record = b"".join(struct.pack("<" + form[1:], *struct.unpack(form, a)) for a in (source, destination))
        record += struct.pack("<II", line.get("sport", 40007) << 16 | line.get("dport", 25), epoch)
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
            if left < 3 or left > EPOCH_S - 2:  # the data plane's clock is good to a second
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
                if int(time.time()) // EPOCH_S == self.epoch:
                    raise

    def play_line(self, number, text):
        word, _, rest = text.partition(" ")
        try:
            if word == ">":
                self.play_in(rest)
            elif word == "<":
                self.play_out(rest)
            elif word in ENDS:
                self.play_end(word, rest)
            elif word == "class:":
                self.tap.set_class(rest.split())
            elif word == "text:":
                name, _, strings = rest.partition(" ")
                self.texts[name] = Line("- " + strings, {}, CLIENT[self.version]).payload
            elif word not in ("row:", "only:", "stage:", "starttls:", "ports:"):
                raise Wrong(f"no such line: {text}")
        except Wrong as wrong:
            raise Wrong(f"{os.path.relpath(self.script.path)}:{number}: IPv{self.version}: {wrong}") from None

    def play_in(self, text):
        self.line = line = Line(text, self.texts, CLIENT[self.version])
        self.isn = self.cookie(line, self.epoch + line.get("epoch", 0))
        sequence = self.resolve(line.words["seq"], CLIENT_ISN, self.client_next)
        acknowledgement = self.resolve(line.words["ack"], self.isn, self.server_next) if "ack" in line.words else 0
        self.frame = build(line, self.version, sequence, acknowledgement)
        self.answers, self.onward = self.tap.exchange(self.frame)
        self.client_next = signed(sequence - CLIENT_ISN) + len(line.payload) + (1 if line.flags & (SYN | FIN) else 0)
        self.server_was = self.server_next

    def play_out(self, text):
        line = Line(text, self.texts, CLIENT[self.version])
        if not self.answers:
            raise Wrong("expected an answer, got nothing")
        got = Answer(self.answers.pop(0), self.line, self.frame, self.version)
        want = Answer.__new__(Answer)
        want.flags, want.payload, want.window = line.flags, line.payload, line.get("win", 8192)
        want.sequence = self.resolve(line.words["seq"], self.isn, self.server_was)
        want.acknowledgement = self.resolve(line.words["ack"], CLIENT_ISN, self.client_next)
        want.options = line.options
        if vars(got) != vars(want):
            raise Wrong(f"\n  expected: {want.show(self.isn)}\n  got:      {got.show(self.isn)}")
        self.server_next = signed(got.sequence - self.isn) + len(got.payload) + (1 if got.flags & (SYN | FIN) else 0)

    def play_end(self, what, reason):
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if self.answers:
            raise Wrong(f"expected {what}, got an answer that the script does not say: {self.answers[0].hex()}")
        expected = [self.frame] if what == "passed" else []
        if self.onward != expected:
            raise Wrong(f"expected {what}, and on the server's side {len(expected)} frames; got "
                        f"{[frame.hex() for frame in self.onward]}")
