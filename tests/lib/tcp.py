"""TCP segments as frames, whole: built with any flags, numbers and options, and read with everything a test compares."""
import collections
import socket
import struct

from frames import checksum

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
MSS = b"\x02\x04\x05\xb4"
# What Linux puts into a SYN: MSS, SACK permitted, timestamps, no-op, window scale.
LINUX_SYN_OPTIONS = MSS + b"\x04\x02\x08\x0a\x12\x34\x56\x78\0\0\0\0\x01\x03\x03\x07"

Segment = collections.namedtuple(
    "Segment", "source destination source_port destination_port sequence acknowledgement flags window options payload "
    "ip_bytes outgoing")


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ip_packet(source, destination, protocol, payload, fragment=0x4000):
    """An IP packet; fragment: the field of IPv4 alone (0x4000: do not fragment)."""
    family = family_of(source)
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    if family == socket.AF_INET6:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + addresses + payload
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0) + addresses
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def tcp_bytes(source, destination, flags, **fields):
    """A TCP segment with a right checksum. fields: source_port, destination_port, sequence, acknowledgement, window,
    options (a multiple of four bytes), payload."""
    family = family_of(source)
    options, payload = fields.get("options", b""), fields.get("payload", b"")
    tcp = struct.pack(">HHIIBBHHH", fields.get("source_port", 40000), fields.get("destination_port", 25),
                      fields.get("sequence", 1000), fields.get("acknowledgement", 0), (5 + len(options) // 4) << 4,
                      flags, fields.get("window", 64240), 0, 0) + options + payload
    pseudo = socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack(">IHBB", len(tcp),
                                                                                                   0, 0, 6)
    return tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]


def ethernet(macs, packet):
    """macs: (to, from). Padded to what Ethernet carries at least, without its checksum."""
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return (macs[0] + macs[1] + kind + packet).ljust(60, b"\0")


def frame(macs, source, destination, flags, **fields):
    return ethernet(macs, ip_packet(source, destination, 6, tcp_bytes(source, destination, flags, **fields)))


def read(data, outgoing=False):
    """The Segment in an untagged frame without IP options or extension headers, or None."""
    if data[12:14] == b"\x08\x00" and len(data) >= 54 and data[14] == 0x45 and data[23] == 6:
        family, addresses, at, ip_bytes = socket.AF_INET, data[26:34], 34, struct.unpack(">H", data[16:18])[0]
    elif data[12:14] == b"\x86\xdd" and len(data) >= 74 and data[20] == 6:
        family, addresses, at, ip_bytes = socket.AF_INET6, data[22:54], 54, 40 + struct.unpack(">H", data[18:20])[0]
    else:
        return None
    half = len(addresses) // 2
    ports = struct.unpack(">HH", data[at:at + 4])
    sequence, acknowledgement, offset, flags, window = struct.unpack(">IIBBH", data[at + 4:at + 16])
    head = at + (offset >> 4) * 4
    return Segment(socket.inet_ntop(family, addresses[:half]), socket.inet_ntop(family, addresses[half:]), *ports,
                   sequence, acknowledgement, flags, window, data[at + 20:head], data[head:14 + ip_bytes], ip_bytes,
                   outgoing)
