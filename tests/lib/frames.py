"""TCP segments as bytes, in and out: just what the probes of these tests need."""
import socket
import struct

SYN, RST, ACK = 0x02, 0x04, 0x10


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(macs, source, destination, source_port, sequence=1000):
    """A whole Ethernet frame. macs: (to, from); addresses: text of one family; to port 25."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    tcp = struct.pack(">HHIIBBHHH4s", source_port, 25, sequence, 0, 6 << 4, SYN, 64240, 0, 0, b"\x02\x04\x05\xb4")
    if family == socket.AF_INET:
        pseudo = addresses + struct.pack(">BBH", 0, 6, len(tcp))
    else:
        pseudo = addresses + struct.pack(">IHBB", len(tcp), 0, 0, 6)
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
    if family == socket.AF_INET:
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + addresses
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        kind = b"\x08\x00"
    else:
        ip = struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + addresses
        kind = b"\x86\xdd"
    return macs[0] + macs[1] + kind + ip + tcp


def read_tcp(frame):
    """(source, destination, source port, destination port, flags) of a TCP frame without tags or options, or None."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= 54 and frame[14] == 0x45 and frame[23] == 6:
        family, addresses, tcp = socket.AF_INET, frame[26:34], frame[34:]
    elif kind == b"\x86\xdd" and len(frame) >= 74 and frame[20] == 6:
        family, addresses, tcp = socket.AF_INET6, frame[22:54], frame[54:]
    else:
        return None
    half = len(addresses) // 2
    source_port, destination_port = struct.unpack(">HH", tcp[:4])
    return (socket.inet_ntop(family, addresses[:half]), socket.inet_ntop(family, addresses[half:]), source_port,
            destination_port, tcp[13])
