#!/usr/bin/python3
"""A wire that leaves everything else alone: frames of every shape on both sides at once, with a list loaded; what may pass
comes out to the bit and in order, what must not pass does not, and nothing else comes out. Captured traffic too. And on
Linux interfaces: order within each flow with four workers, and bulk TCP both ways.

The ordinary run sends 2 * 10^6 frames of every shape, BL_LONG=1 so many that 10^7 of them are allowed."""
import hashlib
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from lab import Lab, Wire, in_namespace, wait_for  # noqa: E402
from sync import DROP, EXEMPT, MONITOR, REJECT, RESET, Sync  # noqa: E402

N_FRAMES = 11_200_000 if os.environ.get("BL_LONG") else 2_000_000  # both sides together
SEED = int(os.environ.get("BL_SEED", "1"))
RUN_SECONDS = 3600  # that a run ends at all
CORPUS = bl.ROOT / "tests/fuzz/corpus/fuzz_parse"
SO_RCVBUFFORCE = 33
# As tests/dataplane/wire_maker.h knows it.
LIST = {"45.0.0.0/16": 1, "46.0.0.0/16": 2, "47.0.0.0/16": 3, "48.0.0.0/16": 4, "45.0.200.0/24": EXEMPT,
        "2a00:45::/32": 1, "2a00:46::/32": 2, "2a00:47::/32": 3, "2a00:48::/32": 4, "2a00:45:200::/48": EXEMPT}
ACTIONS = {1: REJECT, 2: RESET, 3: DROP, 4: MONITOR}
# The reasons that its frames can be kept for. Answers that are limited are kept all the same.
KEEPING = ("reject_syn", "reset_action", "drop_action", "drop_checksum", "drop_fragment", "drop_unparsable",
           "drop_unanswerable", "drop_limit_reset", "drop_limit_answer")
SETTINGS = """dataplane:
  name: pipes
  wan: "net_pcap_wan,rx_pcap={0}/wan.in,tx_pcap={0}/wan.out"
  lan: "net_pcap_lan,rx_pcap={0}/lan.in,tx_pcap={0}/lan.out"
  hostname: mx.example.org
  sync_socket: {0}/sync.sock
  table_file: ""
  hugepages: off
  memory_mb: 256
  frame_bytes: 9216
  forward_buffers: 8192
"""


def write_capture(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            out.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


def read_capture(path):
    data = path.read_bytes()
    frames, at = [], 24
    while at < len(data):
        length, whole = struct.unpack_from("<II", data, at + 8)
        assert length == whole, f"{path}: a frame was cut"
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


class Pipes:
    """The data plane on net_pcap, whose files are pipes that wire_frames writes and reads: no kernel touches a frame, the
    list is loaded before the first one, and the last one is known to be out."""

    def __init__(self, *arguments, count=False):
        self.arguments = [str(argument) for argument in arguments]
        self.count = count
        self.counters = {}

    def run(self):
        """Returns wire_frames' words; a failure of either program is an AssertionError with them."""
        with tempfile.TemporaryDirectory(prefix="bounceline-wire-") as folder:
            folder = pathlib.Path(folder)
            for name in ("wan.in", "wan.out", "lan.in", "lan.out"):
                os.mkfifo(folder / name)
            (folder / "bounceline.yaml").write_text(SETTINGS.format(folder))
            sync = Sync(folder / "sync.sock")
            frames = subprocess.Popen([bl.BUILD / "tests/wire_frames", *self.arguments, folder], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
            with open(folder / "log", "wb") as log:
                plane = subprocess.Popen([bl.BUILD / "bounceline-dataplane", "--config", folder / "bounceline.yaml"],
                                         stderr=log)
            end = threading.Timer(RUN_SECONDS, frames.kill)
            end.start()
            try:
                return self._run(sync, frames, plane)
            except BaseException:
                print((folder / "log").read_text(errors="replace")[-2000:], file=sys.stderr)
                if frames.poll() is not None:  # before the first frame: the fillers did not pass
                    print(frames.stdout.read(), file=sys.stderr)
                raise
            finally:
                end.cancel()
                for process in (frames, plane):
                    process.kill()
                    process.wait()
                frames.stdin.close()
                frames.stdout.close()
                sync.end()

    def _run(self, sync, frames, plane):
        sync.accept(60)
        sync.greet()
        sync.snapshot(LIST, [sync.class_definition(n, 610 + n, action) for n, action in ACTIONS.items()])
        frames.stdin.write("go\n")
        frames.stdin.flush()
        words = []
        for line in frames.stdout:
            words.append(line.rstrip())
            if words[-1] in ("done", "failed"):
                break
        assert words and words[-1] == "done", "\n".join(words) or f"wire_frames ended with {frames.poll()}"
        if self.count:
            self.counters = sync.counters()
        plane.terminate()
        assert plane.wait(60) == 0, f"the data plane: exit {plane.returncode}"
        assert frames.wait(60) == 0, "wire_frames did not see the end"
        return words


class EveryShape(unittest.TestCase):
    def test_out_as_in(self):
        start = time.monotonic()
        run = Pipes("--seed", SEED, "--count", N_FRAMES // 2, count=True)
        words = run.run()
        seconds = time.monotonic() - start
        shapes = {}
        for line in words:
            if match := re.match(r"shape (\w+): (passed|kept) (\d+), from lan passed (\d+)$", line):
                shapes[match[1]] = (match[2], int(match[3]), int(match[4]))
        self.assertGreaterEqual(len(shapes), 39, words)
        least = N_FRAMES // 2 // len(shapes) * 9 // 10
        for name, (_, from_wan, from_lan) in shapes.items():
            self.assertGreaterEqual(from_wan, least, name)
            self.assertGreaterEqual(from_lan, least, name)
        kept = sum(n for fate, n, _ in shapes.values() if fate == "kept")
        passed = N_FRAMES - kept
        counters = run.counters
        for name in ("reject_syn", "drop_checksum", "drop_action", "drop_fragment", "drop_unparsable", "reset_action",
                     "pass_monitor", "pass_exempt", "pass_unparsable", "pass_not_ip", "pass_other", "pass_not_listed"):
            self.assertGreater(counters[name], 0, name)
        # Each frame had a reason, and every frame that was kept one that keeps.
        self.assertGreaterEqual(counters["pass_from_lan"], N_FRAMES // 2)
        self.assertEqual(sum(counters[name] for name in KEEPING), kept, counters)
        for name in ("drop_tx_full", "drop_oversize", "drop_no_buffer"):
            self.assertEqual(counters[name], 0, name)
        answers = int(re.search(r"wan\.out: .* (\d+) answers on this side", "\n".join(words))[1])
        self.assertGreater(answers, 0)
        print(f"{passed} frames of {len(shapes)} shapes passed to the bit and in order, both ways at once; {kept} of listed "
              f"sources to protected ports were kept, none got through, {answers} were answered; {seconds:.0f} s",
              flush=True)


class Captures(unittest.TestCase):
    """Traffic of real programs, and the parser's corpus: hash in = hash out, on both sides at once."""

    def replay(self, what, path, times):
        count = len(read_capture(path)) * times
        words = Pipes("--capture", path, "--count", count).run()
        for line in words[:2]:
            match = re.match(r"(?:lan|wan)\.out: (\d+) frames, (\d+) bytes passed, hash in (\w+) out (\w+); 0 kept; 0 answers",
                             line)
            self.assertTrue(match, words)
            self.assertEqual(int(match[1]), count)
            self.assertEqual(match[3], match[4])
        print(f"{what}: {count} frames each way, hash in = hash out = {match[3]}", flush=True)

    def test_the_corpus_of_the_parser(self):
        frames = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
        with tempfile.TemporaryDirectory(prefix="bounceline-corpus-") as folder:
            path = pathlib.Path(folder) / "corpus.pcap"
            write_capture(path, [frame for frame in frames if frame])
            self.replay(f"{len(frames)} files of the corpus", path, 1000)

    def test_captured_traffic(self):
        with Lab(workers=2) as lab:
            lab.mail_up()
            lab.planes_up()
            offer_starttls(lab)
            files = [lab.dir / f"{role}.pcap" for role in ("sender", "receiver")]
            dumps = [start_tcpdump(lab, role, path) for role, path in zip(("sender", "receiver"), files)]
            try:
                make_traffic(lab)
            finally:
                for dump in dumps:
                    dump.terminate()
                    dump.wait(30)
            frames = [read_capture(path) for path in files]
            for part in frames:
                self.assert_is_rich(part)
            write_capture(lab.dir / "both.pcap", frames[0] + frames[1])
            self.replay("captured at both hosts", lab.dir / "both.pcap", 20)

    def assert_is_rich(self, frames):
        """What the traffic was made for is in it."""
        kinds = {name: 0 for name in ("ARP", "neighbour discovery", "IPv4 fragment", "IPv6 fragment", "TLS", "STARTTLS",
                                      "retransmission", "full length")}
        seen = set()
        for frame in frames:
            kind, body = frame[12:14], frame[14:]
            kinds["ARP"] += kind == b"\x08\x06"
            kinds["neighbour discovery"] += kind == b"\x86\xdd" and body[6] == 58 and body[40] in (135, 136)
            kinds["IPv4 fragment"] += kind == b"\x08\x00" and body[6:8] not in (b"\x40\0", b"\0\0")
            kinds["IPv6 fragment"] += kind == b"\x86\xdd" and body[6] == 44
            kinds["full length"] += len(frame) == 1514
            if kind == b"\x08\x00" and body[9] == 6:
                payload = body[20 + (body[32] >> 4) * 4:int.from_bytes(body[2:4], "big")]
                kinds["TLS"] += payload[:2] == b"\x16\x03"
                kinds["STARTTLS"] += payload.upper().startswith(b"STARTTLS")
                key = (body[12:28], len(payload))
                kinds["retransmission"] += len(payload) > 0 and key in seen
                seen.add(key)
        self.assertTrue(all(kinds.values()), kinds)


def offer_starttls(lab):
    """The receiver's Postfix gets a certificate, the sender's uses it."""
    etc = lab.dir / "receiver/etc"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=mx.example.org", "-keyout", etc / "key.pem", "-out", etc / "cert.pem"], check=True, capture_output=True)
    for role, values in (("receiver", ["smtpd_tls_security_level=may", f"smtpd_tls_key_file={etc}/key.pem",
                                       f"smtpd_tls_cert_file={etc}/cert.pem"]),
                         ("sender", ["smtp_tls_security_level=may"])):
        lab.run(role, "postconf", "-c", lab.dir / role / "etc", "-e", *values, check=True)
        lab.run(role, "postfix", "-c", lab.dir / role / "etc", "reload", check=True, capture_output=True)


def start_tcpdump(lab, role, path):
    command = ["ip", "netns", "exec", lab.namespace(role), "tcpdump", "-i", "mail0", "-Z", "root", "-U", "-s", "0",
               "--immediate-mode", "-B", "32768", "-w", path]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    wait_for("tcpdump", lambda: path.exists() and path.stat().st_size >= 24, 20)
    return process


def echo(lab, family, protocol, source, destination, request, length):
    """One ICMP echo request of that many bytes; the kernel makes fragments of it, and of the answer."""
    with in_namespace(lab.namespace("sender")):
        end = socket.socket(family, socket.SOCK_RAW, protocol)
    with end:
        end.bind((source, 0))
        end.settimeout(5)
        head = struct.pack(">BBHHH", request, 0, 0, 7, length)
        data = head + os.urandom(length)
        if family == socket.AF_INET:  # IPv6's is the kernel's to compute
            total = sum(struct.unpack(f">{len(data) // 2}H", data))
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            data = data[:2] + struct.pack(">H", ~total & 0xFFFF) + data[4:]
        end.sendto(data, (destination, 0))
        while len(end.recv(65536)) < length:
            pass  # neighbours


def make_traffic(lab):
    """Neighbours looked up anew, echoes whole and in fragments, mail with STARTTLS, large mail with losses on its way."""
    for role in ("sender", "receiver"):
        lab.run(role, "ip", "neigh", "flush", "dev", "mail0", check=True)
    for length in (56, 4000):
        echo(lab, socket.AF_INET, socket.IPPROTO_ICMP, bl.SENDER_IPV4, bl.RECEIVER_IPV4, 8, length)
        echo(lab, socket.AF_INET6, socket.IPPROTO_ICMPV6, bl.SENDER_IPV6, bl.RECEIVER_IPV6, 128, length)
    rules = "table inet loss { chain in { type filter hook input priority 0; numgen random mod 100 < 5 drop; }; }"
    names = [lab.send("bob@v4.example.org"), lab.send("bob@v6.example.org")]
    lab.run("receiver", "nft", "-f", "-", input=rules.encode(), check=True)
    names.append(lab.send("bob@v4.example.org", "".join(f"line {i} of a long mail\n" for i in range(40000))))
    for name in names:
        wait_for("the mail", lambda: lab.find_mail(name), 120)


class LinuxPorts(unittest.TestCase):
    """net_af_packet between two namespaces, four workers, the list loaded."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=4)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.sync = Sync(cls.lab.dir / "sync.sock")
        cls.addClassCleanup(cls.sync.end)
        cls.lab.start("dataplane")
        cls.sync.accept(60)
        cls.sync.greet()
        cls.sync.snapshot(LIST, [cls.sync.class_definition(n, 610 + n, action) for n, action in ACTIONS.items()])

    def assert_nothing_dropped(self):
        dropped = {n: v for n, v in self.sync.counters().items() if v and n.startswith(("drop_", "reject_", "reset_"))}
        self.assertEqual(dropped, {})

    # Rounds as large as a receive ring, waited for: within what the ports can hold, nothing may be lost.
    N_FLOWS, N_ROUNDS, ROUND = 64, 60, 256

    def flow_frame(self, macs, way, flow, number):
        """A TCP segment of flow `flow`, to port 25 or from it, with its number in flow and round."""
        ends = [(f"60.1.{flow}.7", 1024 + flow * 7), (bl.RECEIVER_IPV4, 25)]
        (source, source_port), (destination, port) = ends if way == 0 else ends[::-1]
        body = struct.pack(">4sBIH", b"flow", way, number, flow) + bytes(number % 300)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(body), number & 0xFFFF, 0x4000, 64, 6, 0)
        ip += socket.inet_aton(source) + socket.inet_aton(destination)
        tcp = struct.pack(">HHIIBBHHH", source_port, port, number, 0, 5 << 4, 0x10, 1024, 0, 0)
        return macs[0] + macs[1] + b"\x08\x00" + ip + tcp + body

    def collect(self, wire, way, got, total, end):
        """What came in of the other side's flows, in order, until all are there."""
        while len(got) < total and time.monotonic() < end[0]:
            frame = wire.receive(0.5)
            if frame is not None and frame[54:58] == b"flow" and frame[58] == way:
                got.append(frame)

    def test_order_within_each_flow(self):
        with Wire(self.lab, "sender") as outside, Wire(self.lab, "receiver") as inside:
            # What is not for the hosts' own addresses is nothing to them; both sides send at once.
            ways = [(outside, inside, (b"\x02\0\0\0\0\x25", b"\x02\0\0\0\0\x01")),
                    (inside, outside, (b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x25"))]
            for wire in (outside, inside):
                wire.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
                wire.drain()
            sent, got, readers = [[], []], [[], []], []
            end = [time.monotonic() + 120]
            for way, (_, to, _) in enumerate(ways):
                readers.append(threading.Thread(target=self.collect, args=(
                    to, way, got[way], self.N_ROUNDS * self.ROUND, end)))
                readers[-1].start()
            for first in range(0, self.N_ROUNDS * self.ROUND, self.ROUND):
                for number in range(first, first + self.ROUND):
                    for way, (wire, _, macs) in enumerate(ways):
                        frame = self.flow_frame(macs, way, number * 2654435761 % self.N_FLOWS, number)
                        sent[way].append(frame)
                        wire.send(frame)
                reached = first + self.ROUND
                while any(len(g) < reached for g in got) and time.monotonic() < end[0]:
                    time.sleep(0.0005)
            for reader in readers:
                reader.join()
        for way in (0, 1):
            self.assertEqual(len(got[way]), len(sent[way]), "frames lost")
            flows = {}
            for frame in got[way]:
                flows.setdefault(frame[63:65], []).append(frame)
            self.assertEqual(len(flows), self.N_FLOWS)
            for flow, frames in flows.items():
                self.assertEqual(frames, [f for f in sent[way] if f[63:65] == flow], "changed, or out of order in a flow")
        self.sync.counters()
        used = [w.rx_packets for w in self.sync.report.workers]
        self.assertTrue(len(used) == 4 and min(used) > 0, f"workers that did nothing: {used}")
        self.assert_nothing_dropped()
        print(f"{len(got[0]) + len(got[1])} frames in {2 * self.N_FLOWS} flows over 4 workers: in order in each flow, "
              f"none lost; packets a worker: {used}", flush=True)

    BULK_BYTES = 200_000_000

    def exchange(self, end, data, times, results, key):
        """Sends and receives at once; notes the digest of what came."""
        def send():
            for _ in range(times):
                end.sendall(data)
            end.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        digest, n = hashlib.sha256(), 0
        while part := end.recv(1 << 20):
            digest.update(part)
            n += len(part)
        sender.join()
        end.close()
        results[key] = (n, digest.hexdigest())

    def test_bulk_tcp_both_ways(self):
        with in_namespace(self.lab.namespace("receiver")):
            listener = socket.socket()
        with in_namespace(self.lab.namespace("sender")):
            client = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bl.RECEIVER_IPV4, 25))
        listener.listen()
        client.bind((bl.SENDER_IPV4, 0))
        client.settimeout(60)
        client.connect((bl.RECEIVER_IPV4, 25))
        server, _ = listener.accept()
        listener.close()
        server.settimeout(60)
        blocks = {"client": os.urandom(1_000_000), "server": os.urandom(1_000_000)}
        times, results = self.BULK_BYTES // 1_000_000, {}
        start = time.monotonic()
        threads = [threading.Thread(target=self.exchange, args=(end, blocks[key], times, results, key))
                   for key, end in (("client", client), ("server", server))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - start
        for key, other in (("client", "server"), ("server", "client")):
            expected = hashlib.sha256()
            for _ in range(times):
                expected.update(blocks[other])
            self.assertEqual(results.get(key), (self.BULK_BYTES, expected.hexdigest()))
        self.assert_nothing_dropped()
        print(f"{self.BULK_BYTES // 1_000_000} MB each way over one TCP connection to port 25, hashes equal, no drop counted: "
              f"{self.BULK_BYTES * 16 / seconds / 1e9:.2f} Gbit/s both ways together", flush=True)


if __name__ == "__main__":
    bl.main()
