"""Linux's TCP against the data plane alone: a client's namespace behind a router, a data plane that the test leads, and the
two ends of an SMTP dialogue.

    client  mail0 ─── client0  sender  mail0 ─── wan0  appliance  lan0 ─── mail0  receiver
    203.0.113.10               (router)                                          192.0.2.25
    2001:db8:c::10

What the router's nftables drop is lost on the way: neither end's kernel knows of it, as with a local hook.
"""
import collections
import contextlib
import select
import socket
import subprocess
import sys
import threading

import lab as bl
import tcp
from lab import Lab, in_namespace, wait_for
from sync import Sync

CLIENT_IPV4, CLIENT_IPV6 = "203.0.113.10", "2001:db8:c::10"
ROUTER_IPV4, ROUTER_IPV6 = "203.0.113.1", "2001:db8:c::1"
WAYS = ((CLIENT_IPV4, bl.RECEIVER_IPV4), (CLIENT_IPV6, bl.RECEIVER_IPV6))
LISTED = {"203.0.113.0/24": 1, "2001:db8:c::/64": 1}
HOSTNAME = "mx.example.org"
GREETING = f"220 {HOSTNAME} ESMTP\r\n".encode()
EHLO_REPLY = (f"250-{HOSTNAME}\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
              "250 ENHANCEDSTATUSCODES\r\n").encode()
SENDER_OK = b"250 2.1.0 Sender OK\r\n"
OK = b"250 2.0.0 OK\r\n"
NO_RECIPIENTS = b"503 5.5.1 No valid recipients\r\n"
BYE = b"221 2.0.0 Bye\r\n"
EHLO, MAIL, RCPT = b"EHLO x\r\n", b"MAIL FROM:<a@x.example>\r\n", b"RCPT TO:<b@y.example>\r\n"
TCP_INFO_UNACKED = 24  # offset of tcpi_unacked


def denial(source, code=606):
    """The 550 line that a source must hear, to the letter."""
    return (f"550 5.7.{code} Access denied, banned sending IP [{source}]; To request removal from this list please visit "
            f"https://delist.example.net/?ip={source} and follow the directions.\r\n").encode()


def unacknowledged(connection):
    """Segments of a socket's that its peer has not acknowledged: while there are any, a timer runs here."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
    return int.from_bytes(info[TCP_INFO_UNACKED:TCP_INFO_UNACKED + 4], sys.byteorder)


class RoutedLab(Lab):
    """A Lab with the client behind it; no mail server and no plane runs yet."""

    def __enter__(self):
        super().__enter__()
        try:
            bl.shell("network_client_up", self.dir)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def rules(self, text="", role="sender"):
        """The router's nftables are these and no others."""
        self.run(role, "nft", "-f", "-", input=f"table inet test\ndelete table inet test\n{text}", text=True, check=True)

    def routed(self, *rules):
        """Rules for what the router forwards, one a line."""
        self.rules("table inet test {\n chain c {\n  type filter hook forward priority 0;\n  " + "\n  ".join(rules) +
                   "\n }\n}\n")


class Plane:
    """A data plane between two of the appliance's ports, and the control plane that the test plays for it."""

    def __init__(self, lab, name="lab", ports=("wan0", "lan0"), **settings):
        self.lab, self.name = lab, name
        values = {"name": name, "wan": ports[0], "lan": ports[1], "workers": lab.workers, "hugepages": "auto",
                  "memory_mb": 256, "idle_sleep_us": 1000, "hostname": HOSTNAME, "sync_socket": lab.dir / f"{name}.sock",
                  "table_file": '""', **settings}
        self.path = lab.dir / f"{name}.yaml"
        self.path.write_text("dataplane:\n" + "".join(f"  {key}: {value}\n" for key, value in values.items()))
        self.path.chmod(0o600)
        self.sync = Sync(lab.dir / f"{name}.sock")

    def launch(self):
        """Starts the process; ready() waits for it."""
        assert self.name not in self.lab.processes, "two data planes on one wire would answer both"
        with open(self.lab.dir / f"{self.name}.log", "ab") as log:
            self.lab.processes[self.name] = subprocess.Popen(
                ["ip", "netns", "exec", self.lab.namespace("appliance"), str(bl.BUILD / "bounceline-dataplane"),
                 "--config", str(self.path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready(self, entries=None):
        """Returns when every worker enforces the entries (LISTED)."""
        try:
            self.sync.accept(60)
        except socket.timeout as error:
            said = (self.lab.dir / f"{self.name}.log").read_text(errors="replace").splitlines()[-15:]
            raise bl.LabError(f"the data plane {self.name} does not come: " + "\n".join(said)) from error
        self.sync.greet()
        self.sync.snapshot(LISTED if entries is None else entries)

    def start(self, entries=None):
        self.launch()
        self.ready(entries)

    def stop(self):
        """Ends it as an operator does; it must have lived until now."""
        process = self.lab.processes[self.name]
        assert process.poll() is None, f"the data plane ended with {process.returncode}"
        code = self.lab.kill(self.name, 15)
        assert code == 0, f"SIGTERM: exit {code}"

    def end(self):
        if self.name in self.lab.processes:
            self.stop()
        self.sync.end()

    def counters(self, after=True):
        """From a report that was made after this call; or not after=True: about now. Reports come once a second."""
        while select.select([self.sync.connection], [], [], 0)[0]:
            self.sync.receive("report")  # they wait until they are read
        for _ in range(2 if after else 1):  # the next one may be on its way already
            self.sync.receive("report")
        return {c.name: c.value for c in self.sync.report.counters}

    @contextlib.contextmanager
    def counting(self):
        """A Counter that holds, behind the block, by how much each counter grew in it."""
        grown = collections.Counter()
        before = self.counters(after=False)
        yield grown
        grown.update({name: value - before[name] for name, value in self.counters().items() if value != before[name]})


class Session:
    """A client's connection, from the client's namespace."""

    def __init__(self, lab, source, destination, seconds=20.0, **options):
        """options: port, nodelay (True), receive_buffer, quickack, first (bytes that ride on the SYN)."""
        self.source = source
        with in_namespace(lab.namespace("client")):
            self.socket = socket.socket(tcp.family_of(source))
        self.socket.settimeout(seconds)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, options.get("nodelay", True))
        if "receive_buffer" in options:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive_buffer"])
        if "quickack" in options:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, options["quickack"])
        try:
            self.socket.bind((source, options.get("port", 0)))
            self.port = self.socket.getsockname()[1]
            if "first" in options:
                self.socket.sendto(options["first"], socket.MSG_FASTOPEN, (destination, 25))
            else:
                self.socket.connect((destination, 25))
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def abort(self):
        """Ends with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def send(self, *pieces):
        """Each piece with a call of its own."""
        for piece in pieces:
            self.socket.sendall(piece)

    def reply(self):
        """A whole reply, all its lines; b"" at the end of the connection."""
        out = line = self.file.readline()
        while line[3:4] == b"-":
            out += (line := self.file.readline())
        return out

    def say(self, *pieces):
        self.send(*pieces)
        return self.reply()

    def quit(self):
        """QUIT and the end of the connection. @return what was heard up to then."""
        self.send(b"QUIT\r\n")
        return self.file.read()


class Capture:
    """What goes over the client's mail0, both ways, in order."""

    def __init__(self, lab):
        with in_namespace(lab.namespace("client")):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind(("mail0", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def segments(self, *ports):
        """Those of these ports of the client's since the last call."""
        out = []
        while True:
            try:
                data, address = self.socket.recvfrom(65536)
            except BlockingIOError:
                return out
            segment = tcp.read(data, address[2] == socket.PACKET_OUTGOING)
            if segment and (segment.source_port in ports or segment.destination_port in ports):
                out.append(segment)


class Server:
    """The real server on the receiver's port 25: says 250 to each line, and keeps what became of each connection."""

    def __init__(self, lab):
        self.listeners = []
        self.ends = {}  # (address, port) of the peer: "open", "quit", "closed", "reset"
        self.heard = {}  # the same: lines
        self.connections = {}
        for address in (bl.RECEIVER_IPV4, bl.RECEIVER_IPV6):
            with in_namespace(lab.namespace("receiver")):
                listener = socket.socket(tcp.family_of(address))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, 25))
            listener.listen(64)
            self.listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer[:2]), daemon=True).start()

    def _serve(self, connection, peer):
        self.heard[peer] = []
        self.ends[peer] = "open"
        self.connections[peer] = connection
        end = "closed"
        with connection, connection.makefile("rb") as lines:
            try:
                connection.sendall(b"220 the real server\r\n")
                for line in lines:
                    self.heard[peer].append(line)
                    connection.sendall(b"221 bye\r\n" if line == b"QUIT\r\n" else b"250 the real server\r\n")
                    if line == b"QUIT\r\n":
                        end = "quit"
                        break
            except ConnectionResetError:
                end = "reset"
        self.ends[peer] = end

    def say(self, peer, text):
        """Unasked, on an open connection."""
        self.connections[peer].sendall(text)

    def wait_end(self, peer, end):
        wait_for(f"the server's end of {peer} to be {end}", lambda: self.ends.get(peer) == end, 10)

    def close(self):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
