#!/usr/bin/python3
"""What one client can take from the others: calls, streams and bytes at a time, connections and streams that stand idle,
lines in the journal, half-open handshakes and slow calls. All over TLS, where a certificate is an actor, on the loopback of
a network namespace of this test.

With BL_LONG=1 the crowd is 10,000 half-open handshakes and 1000 slow clients, and the durable single Apply of another
client is timed, alone and beside it in turns; the ratio is printed and decides nothing: the crowd is made on the same cores.
"""
import contextlib
import os
import pathlib
import resource
import select
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

os.environ["GRPC_VERBOSITY"] = "NONE"

import grpc  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from certificates import Authority  # noqa: E402
from controlplane import Code, ControlPlane, DataPlane, apply, batch, pb, refused, services, update, wait_for  # noqa: E402
from test_tls import own_namespace  # noqa: E402

LONG = os.environ.get("BL_LONG") == "1"
PORT = 5026
SETTINGS = """    - name: greedy
      san: DNS:greedy.example.net
      role: feeder
      source: drop
      calls_max: 4
      streams_max: 2
      in_flight_mb: 1
    - name: other
      san: DNS:other.example.net
      role: feeder
      source: drop
  tls_listen: localhost:{port}
  tls_certificate_file: {dir}/server.pem
  tls_key_file: {dir}/server.key
  tls_client_ca_file: {dir}/ca.pem
"""
IDLE = "  idle_s: 1\n"
HANDSHAKE_S = 5  # HANDSHAKE_MS of ingest.c
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def addresses(n, first=0):
    return b"".join((0x0B000000 + first + i).to_bytes(4, "big") for i in range(n))


def bulk(n, **fields):
    return pb.UpdateBatch(bulk=pb.BulkUpdate(kind=pb.UPDATE_KIND_LIST, source="drop", ipv4_addresses=addresses(n)),
                          force=True, **fields)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="bounceline-test-clients-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.ca = Authority(pathlib.Path(cls.folder.name) / "ca")
        for name in ("greedy", "other", "stranger"):
            cls.ca.issue(name, f"DNS:{name}.example.net")
        cls.ca.issue("server", "DNS:localhost,IP:127.0.0.1")

    def plane(self, extra=""):
        self.control = ControlPlane(SETTINGS.format(dir=self.ca.dir, port=PORT) + extra)
        return self.control

    def channel(self, name, *options):
        pair = [(self.ca.dir / f"{name}.{kind}").read_bytes() for kind in ("key", "pem")]
        credentials = grpc.ssl_channel_credentials((self.ca.dir / "ca.pem").read_bytes(), *pair)
        channel = grpc.secure_channel(f"localhost:{PORT}", credentials,
                                      options=[("grpc.use_local_subchannel_pool", 1), *options])
        self.control.channels.append(channel)
        return channel

    def stub(self, name, *options):
        return services.ListControlStub(self.channel(name, *options))

    def test_calls(self):
        with self.plane() as plane, DataPlane(plane, acknowledge=False) as edge:
            wait_for("connected", lambda: edge.greeting is not None)
            greedy, other = self.stub("greedy"), self.stub("other")
            calls = [greedy.Apply.future(batch(update("LIST", f"192.0.2.{i}", source="drop"), enforced=True,
                                               deadline_ms=3000)) for i in range(12)]
            wait_for("refusals", lambda: sum(call.done() for call in calls) == 8)
            self.assertTrue(apply(other, update("LIST", "198.51.100.1", source="drop")).durable)
            ended = [(call.code(), call.details()) for call in calls]
            self.assertEqual([code for code, _ in ended].count(Code.OK), 4)
            self.assertEqual({text for code, text in ended if code == Code.RESOURCE_EXHAUSTED},
                             {"actor greedy: more than 4 calls at a time, try again"})
            self.assertTrue(apply(greedy, update("LIST", "192.0.2.99", source="drop")).durable)

    def opened(self, stub):
        """A stream that has begun, or None: refused."""
        watching = stub.Watch(pb.WatchRequest(), timeout=60)
        try:
            next(watching)
            return watching
        except grpc.RpcError as error:
            self.assertEqual((error.code(), error.details()),
                             (Code.RESOURCE_EXHAUSTED, "actor greedy: more than 2 streams at a time, try again"))
            return None

    def test_streams(self):
        with self.plane() as plane:
            apply(plane.stub(), update("LIST", "192.0.2.1"))
            greedy, other = self.stub("greedy"), self.stub("other")
            streams = [self.opened(greedy), self.opened(greedy)]
            self.assertNotIn(None, streams)
            self.assertIsNone(self.opened(greedy))
            self.assertIsNotNone(self.opened(other))
            streams[0].cancel()
            wait_for("room again", lambda: self.opened(greedy) is not None)
            self.assertIsNone(self.opened(greedy))

    def test_bytes(self):
        with self.plane() as plane, DataPlane(plane, acknowledge=False) as edge:
            wait_for("connected", lambda: edge.greeting is not None)
            greedy = self.stub("greedy")
            said = refused(lambda: greedy.Apply(bulk(300000), timeout=30), Code.RESOURCE_EXHAUSTED)
            self.assertEqual(said, "actor greedy: more than 1048576 bytes of batches in flight at a time, try again")
            waiting = greedy.Apply.future(bulk(150000, wait=pb.WAIT_LEVEL_ENFORCED, deadline_ms=3000))
            wait_for("durable", lambda: plane.status().durable_serial == 1)
            refused(lambda: greedy.Apply(bulk(150000), timeout=30), Code.RESOURCE_EXHAUSTED)
            pushed = list(greedy.Push(iter([bulk(150000), bulk(10)]), timeout=30))
            self.assertEqual([answer.status for answer in pushed], [Code.RESOURCE_EXHAUSTED.value[0], 0])
            self.assertTrue(self.stub("other").Apply(bulk(150000), timeout=30).durable)
            self.assertTrue(waiting.result().durable)
            # The pushed ones gave back what they held, too.
            for answer in greedy.Push(iter([bulk(150000)] * 1), timeout=30):
                self.assertEqual(answer.status, 0)

    def test_idle_connection(self):
        with self.plane(IDLE) as plane:
            for channel in (self.channel("other"), plane.channel()):
                states = []
                channel.subscribe(states.append)
                stub = services.ListControlStub(channel)
                wait_for("ready", lambda stub=stub, states=states: stub.Lookup(
                    pb.LookupRequest(prefix="192.0.2.1"), timeout=10) and grpc.ChannelConnectivity.READY in states)
                wait_for("closed", lambda states=states: states[-1] == grpc.ChannelConnectivity.IDLE, 20)
            # One with a call stays, and a stream that is read.
            watching = self.stub("other").Watch(pb.WatchRequest(), timeout=30)
            time.sleep(2.5)
            apply(plane.stub(), update("LIST", "192.0.2.1"))
            self.assertEqual(next(event.serial for event in watching if event.serial), 1)

    def test_idle_stream(self):
        """A stream that is not read gives its place back."""
        with self.plane(IDLE) as plane:
            for i in range(12):
                plane.stub().Apply(pb.UpdateBatch(force=True, bulk=pb.BulkUpdate(
                    kind=pb.UPDATE_KIND_LIST, ipv4_addresses=addresses(100000, 100000 * i))), timeout=60)
            small = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536))
            unread = [self.stub("greedy", *small).Export(pb.ExportRequest(), timeout=120) for _ in range(2)]
            for export in unread:
                next(export)
            greedy = self.stub("greedy")
            self.assertIsNone(self.opened(greedy))
            wait_for("room again", lambda: self.opened(greedy) is not None, 20)
            del unread
            apply(self.stub("other"), update("LIST", "192.0.2.1", source="drop"))

    def test_lines(self):
        """A stranger fills no journal."""
        with self.plane() as plane:
            stub = self.stub("stranger")
            begin = time.monotonic()
            for _ in range(300):
                refused(lambda: stub.GetStatus(pb.GetStatusRequest(), timeout=10), Code.PERMISSION_DENIED)
            time.sleep(1.1)
            refused(lambda: stub.GetStatus(pb.GetStatusRequest(), timeout=10), Code.PERMISSION_DENIED)
            lines = [line for line in plane.said().splitlines() if "refused: " in line]
            self.assertLessEqual(len(lines), time.monotonic() - begin + 2)
            self.assertIn("refused: DNS:stranger.example.net is not an actor", lines[0])
            self.assertRegex(lines[-1], r"refused: \d+ calls, the last: DNS:stranger")

    # The crowd.

    @contextlib.contextmanager
    def crowd(self, n_half, n_slow):
        child = subprocess.Popen([sys.executable, "-B", __file__, "--crowd", str(n_half), str(n_slow), str(self.ca.dir)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(child.stdout.readline(), "there\n")
            yield
        finally:
            child.stdin.close()
            with child.stdout:
                said = child.stdout.read()
            self.assertEqual(child.wait(60), 0)
            self.seen = [int(word) for word in said.split()]

    def took_ms(self, stub, n):
        took = []
        for _ in range(n):
            self.n_sent += 1
            begin = time.perf_counter()
            address = f"10.{self.n_sent >> 16}.{self.n_sent >> 8 & 255}.{self.n_sent & 255}"
            self.assertTrue(apply(stub, update("LIST", address, source="drop")).durable)
            took.append((time.perf_counter() - begin) * 1000)
        return took

    def test_crowd(self):
        n_half, n_slow, rounds, n = (10000, 1000, 4, 1500) if LONG else (300, 40, 1, 100)
        self.n_sent = 0
        alone, beside = [], []
        with self.plane():
            stub = self.stub("other")
            self.took_ms(stub, 50)
            for _ in range(rounds):
                alone += self.took_ms(stub, n)
                with self.crowd(n_half, n_slow):
                    beside += self.took_ms(stub, n)
                    if not LONG:
                        time.sleep(HANDSHAKE_S + 1)
                n_closed, n_refused = self.seen
            if not LONG:
                self.assertGreaterEqual(n_closed, n_half)
            self.assertGreater(n_refused, 0)
            self.assertTrue(apply(self.stub("other"), update("LIST", "192.0.2.1", source="drop")).durable)
        for name, took in (("alone", alone), ("beside the crowd", beside)):
            took.sort()
            print(f"    Apply {name}: {len(took)}, median {statistics.median(took):.2f} ms, p99 {took[len(took) * 99 // 100]:.2f} ms")
        print(f"    p99 beside {n_half} half-open handshakes and {n_slow} slow clients / alone: "
              f"{beside[len(beside) * 99 // 100] / alone[len(alone) * 99 // 100]:.2f}", flush=True)


# The crowd, a process of its own.


def half_open():
    """Connected, with the first bytes of a handshake."""
    connection = socket.create_connection(("127.0.0.1", PORT))
    connection.sendall(b"\x16\x03\x01\x02\x00\x01")
    connection.setblocking(False)
    return connection


def literal(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def slow_client(context):
    """A call whose message of 1 MiB never ends."""
    plain = socket.create_connection(("127.0.0.1", PORT))
    connection = context.wrap_socket(plain, server_hostname="localhost")
    headers = b"".join(literal(name, value) for name, value in (
        (b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/bounceline.v1.ListControl/Apply"),
        (b":authority", b"localhost"), (b"content-type", b"application/grpc"), (b"te", b"trailers")))
    connection.sendall(PREFACE + len(headers).to_bytes(3, "big") + bytes([1, 4, 0, 0, 0, 1]) + headers +
                       bytes([0, 0, 6, 0, 0, 0, 0, 0, 1]) + bytes([0]) + (1 << 20).to_bytes(4, "big") + b"x")
    connection.setblocking(False)
    return connection


def is_refused(connection):
    """The server said more than its settings: the end of the call."""
    said = b""
    with contextlib.suppress(OSError):
        while part := connection.recv(65536):
            said += part
    return b"grpc-status" in said


def crowd_main(n_half, n_slow, folder):
    """Until stdin ends; then says how many half-open ones were closed, and how many slow ones refused."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.load_cert_chain(f"{folder}/greedy.pem", f"{folder}/greedy.key")
    context.set_alpn_protocols(["h2"])
    slow = [slow_client(context) for _ in range(n_slow)]
    waiting, poller, n_closed = {}, select.epoll(), 0
    for connection in (half_open() for _ in range(n_half)):
        waiting[connection.fileno()] = connection
        poller.register(connection, select.EPOLLIN | select.EPOLLRDHUP)
    poller.register(sys.stdin, select.EPOLLIN | select.EPOLLHUP)
    print("there", flush=True)
    while True:
        for number, _ in poller.poll(1):
            if number == sys.stdin.fileno():
                print(n_closed, sum(map(is_refused, slow)), flush=True)
                return 0
            poller.unregister(number)
            waiting.pop(number).close()
            n_closed += 1
            connection = half_open()
            waiting[connection.fileno()] = connection
            poller.register(connection, select.EPOLLIN | select.EPOLLRDHUP)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--crowd"]:
        sys.exit(crowd_main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    own_namespace()
    unittest.main(verbosity=2)
