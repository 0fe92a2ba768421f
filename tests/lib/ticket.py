"""The ticket of include/bounceline/ticket.h, by its description and with another SipHash."""
import socket
import struct

from sync import siphash


def ticket(key, address, day):
    """As include/bounceline/ticket.h says, with another SipHash."""
    family = 6 if ":" in address else 4
    packed = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, address)
    unit, length = (packed[:8].ljust(16, b"\0"), 64) if family == 6 else (packed.ljust(16, b"\0"), 32)
    master = struct.unpack("<QQ", key)
    daily = [siphash(*master, b"bounceline ticket key".ljust(24, b"\0") + struct.pack("<QQ", day, half))
             for half in (0, 1)]
    bits = siphash(*daily, unit + bytes([length, family]) + bytes(6) + struct.pack("<Q", day)) >> 4
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[bits >> 5 * i & 31] for i in reversed(range(12)))
