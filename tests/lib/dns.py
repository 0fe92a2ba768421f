"""A DNS server of a few lines, over UDP: answers from a table, is silent or fails where it is told to.

    with NameServer() as names:
        names.host("192.0.2.7", "mail.example.net")   # PTR and A
        names.add("alias.example.net", "CNAME", "mail.example.net")
        names.silent.add("dead.example.net"); names.failing.add("broken.example.net")
"""
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "AAAA": 28}


def reverse(address):
    return ipaddress.ip_address(address).reverse_pointer


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def encode_value(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    return encode_name(value)


class NameServer:
    def __init__(self):
        self.records, self.silent, self.failing, self.questions = {}, set(), set(), []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        # A datagram of one byte ends it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b".", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()

    def add(self, name, kind, value):
        self.records.setdefault(name.lower(), []).append((kind, value))

    def host(self, address, name, forward=True):
        """A reverse name, confirmed by its own record when `forward` says so."""
        self.add(reverse(address), "PTR", name)
        if forward:
            self.add(name, "AAAA" if ":" in address else "A", address)

    def serve(self):
        while True:
            question, peer = self.socket.recvfrom(4096)
            if question == b".":
                return
            answer = self.answer(question)
            if answer is not None:
                self.socket.sendto(answer, peer)

    def answer(self, question):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        name, wanted = ".".join(labels).lower(), struct.unpack("!H", question[at + 1:at + 3])[0]
        self.questions.append((name, wanted))
        if name in self.silent:
            return None
        rows, owner = [], name
        while True:
            here = self.records.get(owner, [])
            rows += [(owner, kind, value) for kind, value in here if TYPES[kind] == wanted]
            alias = next((value for kind, value in here if kind == "CNAME"), None)
            if alias is None:
                break
            rows.append((owner, "CNAME", alias))
            owner = alias.lower()
        code = 2 if name in self.failing else 0 if rows or name in self.records else 3
        rows = [] if code else rows
        head = question[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(rows), 0, 0) + question[12:at + 5]
        for owner, kind, value in rows:
            data = encode_value(kind, value)
            head += encode_name(owner) + struct.pack("!HHIH", TYPES[kind], 1, 60, len(data)) + data
        return head
