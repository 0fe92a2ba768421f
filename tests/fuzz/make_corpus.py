#!/usr/bin/python3
"""Writes the seed inputs of fuzz_parse and fuzz_reject below corpus/, from scratch and always the same."""

import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
MACS = bytes.fromhex("020000000025020000000007")
TCP = struct.pack(">HHIIBBHHH", 40007, 25, 1, 2, 0x50, 0x18, 64240, 0, 0)
DATA = b"RCPT TO:<c@d>\r\n"


def ipv4(upper, options=b"", fragment=0, protocol=6, total=None):
    words = 5 + len(options) // 4
    total = 4 * words + len(upper) if total is None else total
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, total, 1, fragment, 64, protocol, 0)
    return b"\x08\x00" + head + bytes([192, 0, 2, 7, 198, 51, 100, 25]) + options + upper


def ipv6(upper, following=6, length=None):
    length = len(upper) if length is None else length
    addresses = bytes.fromhex("20010db8000000000000000000000007" "20010db8000100000000000000000025")
    return b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, length, following, 64) + addresses + upper


def extension(following, size=8):
    return bytes([following, size // 8 - 1]) + bytes(size - 2)


PARSE = {
    "ipv4": MACS + ipv4(TCP + DATA),
    "ipv4_options": MACS + ipv4(TCP + DATA, b"\x01" * 12),
    "ipv4_fragment": MACS + ipv4(TCP + DATA, fragment=0x2001),
    "ipv4_udp": MACS + ipv4(TCP, protocol=17),
    "ipv4_padding": MACS + ipv4(TCP) + bytes(6),
    "ipv4_total_long": MACS + ipv4(TCP, total=41),
    "ipv4_total_zero": MACS + ipv4(TCP, total=0),
    "ipv4_tcp_options": MACS + ipv4(TCP[:12] + b"\x70" + TCP[13:] + b"\x02\x04\x05\xb4\x01\x01\x01\x00"),
    "ipv4_tcp_cut": MACS + ipv4(TCP[:19]),
    "vlan": MACS + b"\x81\x00\x00\x05" + ipv4(TCP + DATA),
    "qinq": MACS + b"\x88\xa8\x00\x05\x81\x00\x00\x06" + ipv6(TCP + DATA),
    "five_tags": MACS + b"\x91\x00\x00\x05" * 5 + ipv4(TCP),
    "ipv6": MACS + ipv6(TCP + DATA),
    "ipv6_extensions": MACS + ipv6(extension(43) + extension(60) + extension(6, 16) + TCP + DATA, 0),
    "ipv6_nine_extensions": MACS + ipv6(extension(60) * 8 + extension(6) + TCP, 60),
    "ipv6_authentication": MACS + ipv6(b"\x06\x02" + bytes(14) + TCP, 51),
    "ipv6_long_extension": MACS + ipv6(extension(6, 264) + TCP, 60),
    "ipv6_fragment": MACS + ipv6(b"\x06\x00\x00\x01" + bytes(4) + TCP, 44),
    "ipv6_length_long": MACS + ipv6(TCP, length=21),
    "arp": MACS + b"\x08\x06" + bytes(28),
    "short": MACS + b"\x08",
}


def segment(payload, flags=0x18, choice=0, cookie=0, offset=99, window=64240, around=0):
    return bytes([choice, flags, cookie, offset != 0]) + struct.pack(">HHB", offset, window, around) + payload


REJECT = {
    "syn": segment(b"", 0x02),
    "syn_data": segment(b"EHLO x\r\n", 0x02, choice=1),
    "syn_ack": segment(b"", 0x12),
    "handshake": segment(b"", 0x10, offset=0),
    "handshake_last_epoch": segment(b"", 0x10, cookie=1, offset=0, choice=1),
    "early": segment(b"EHLO x\r\n", offset=0),
    "ehlo": segment(b"EHLO x\r\n"),
    "ehlo_starttls": segment(b"EHLO x\r\n", choice=5),
    "helo": segment(b"HELO x\r\n", around=0x3f),
    "mail": segment(b"MAIL FROM:<a@b>\r\n"),
    "mail_stage": segment(b"MAIL FROM:<a@b>\r\n", choice=2),
    "rcpt": segment(DATA, choice=9),
    "data": segment(b"DATA\r\n"),
    "bdat": segment(b"BDAT 86 LAST\r\n"),
    "rset": segment(b"RSET\n"),
    "noop": segment(b"noop\r\n"),
    "quit": segment(b"QUIT\r\nNOOP\r\n"),
    "starttls": segment(b"STARTTLS\r\n", choice=4),
    "unknown": segment(b"AUTH LOGIN\r\n"),
    "nul": segment(b"QUIT\0\r\n"),
    "partial": segment(b"MAIL FROM:<a@"),
    "several": segment(b"EHLO x\r\nMAIL FROM:<a@b>\r\n" + DATA * 8 + b"DATA\r\nQUIT\r\n"),
    "small_window": segment(b"NOOP\r\nNOOP\r\n", window=20),
    "fin": segment(b"", 0x11),
    "fin_data": segment(b"QUIT\r\n", 0x19),
    "rst": segment(b"", 0x14),
    "no_cookie": segment(DATA, cookie=3),
    "last": segment(DATA, offset=60001),
    "reset": segment(DATA, choice=0xf0),
}

for fuzzer, inputs in (("fuzz_parse", PARSE), ("fuzz_reject", REJECT)):
    folder = CORPUS / fuzzer
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in inputs.items():
        (folder / name).write_bytes(data)
