#!/usr/bin/python3
"""TCP with mutual TLS 1.3: every wrong certificate, name and role is refused within a second with a reason; good ones
apply, push and watch; SIGHUP takes new certificates, names and revocations without dropping a call, and bad files not at
all. All of it on the loopback of a network namespace that this test makes for itself."""
import contextlib
import ctypes
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

os.environ["GRPC_VERBOSITY"] = "NONE"  # failed handshakes are what this test is about

import grpc  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from certificates import Authority  # noqa: E402
from controlplane import PROGRAM, ROOT, Code, ControlPlane, apply, batch, outcomes, pb, refused, services, update, wait_for  # noqa: E402

CLONE_NEWNET = 0x40000000
PORT = 5025
WITHIN_S = 1.0
SETTINGS = """    - name: feed1
      san: DNS:feed1.example.net
      role: feeder
      source: drop
    - name: portal
      san: URI:spiffe://example.net/portal
      role: delister
    - name: auditor
      san: DNS:auditor.example.net
      role: reader
  tls_listen: localhost:{port}
  tls_certificate_file: {dir}/server.pem
  tls_key_file: {dir}/server.key
  tls_client_ca_file: {dir}/ca.pem
  tls_crl_file: {dir}/crl.pem
"""


def own_namespace():
    """Sockets of this process and its children see nobody else's loopback."""
    assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Pushing:
    """An open Push stream."""

    def __init__(self, stub):
        self.batches = queue.Queue()
        self.results = stub.Push(iter(self.batches.get, None), timeout=20)

    def push(self, *updates):
        self.batches.put(batch(*updates))
        return next(self.results)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="bounceline-test-tls-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        cls.ca = Authority(cls.dir / "ca")
        cls.other = Authority(cls.dir / "other", "Another CA")
        for name, san, *times in (
                ("server", "DNS:localhost,IP:127.0.0.1"), ("server2", "DNS:localhost"),
                ("feed1", "DNS:feed1.example.net"), ("portal", "URI:spiffe://example.net/portal"),
                ("auditor", "DNS:AUDITOR.example.net"), ("leaver", "DNS:feed1.example.net"),
                ("leaver2", "DNS:feed1.example.net"), ("stranger", "DNS:stranger.example.net"), ("nameless", ""),
                ("mailer", "email:feed1@example.net"), ("newcomer", "DNS:newcomer.example.net"),
                ("expired", "DNS:feed1.example.net", "20200101000000Z", "20210101000000Z"),
                ("early", "DNS:feed1.example.net", "20900101000000Z", "20910101000000Z")):
            cls.ca.issue(name, san, *times)
        cls.other.issue("feed1", "DNS:feed1.example.net")
        cls.ca.revoke("leaver")

    def setUp(self):
        self.live = self.dir / "live"
        shutil.rmtree(self.live, ignore_errors=True)
        self.live.mkdir()
        self.install(self.ca.dir / "server.pem", "server.pem")
        self.install(self.ca.dir / "server.key", "server.key")
        self.install(self.ca.dir / "ca.pem", "ca.pem")
        self.install(self.ca.dir / "crl.pem", "crl.pem")
        self.plane = ControlPlane(SETTINGS.format(dir=self.live, port=PORT))

    def install(self, path, name):
        shutil.copy2(path, self.live / name)

    def channel(self, name, authority=None, trusted=None):
        folder = (authority or self.ca).dir
        pair = [(folder / f"{name}.{kind}").read_bytes() for kind in ("key", "pem")] if name else [None, None]
        channel = grpc.secure_channel(f"localhost:{PORT}",
                                      grpc.ssl_channel_credentials((trusted or self.ca.dir / "ca.pem").read_bytes(),
                                                                   *pair),
                                      options=[("grpc.use_local_subchannel_pool", 1)])
        self.plane.channels.append(channel)
        return channel

    def stub(self, name, **options):
        return services.ListControlStub(self.channel(name, **options))

    def refused_soon(self, stub, code):
        begin = time.monotonic()
        text = refused(lambda: stub.GetStatus(pb.GetStatusRequest(), timeout=10), code)
        self.assertLess(time.monotonic() - begin, WITHIN_S, text)
        return text

    def reload(self):
        """Returns what it said."""
        begin = len(self.plane.said())
        self.plane.process.send_signal(signal.SIGHUP)
        wait_for("reloaded", lambda: "reload" in self.plane.said()[begin:])
        return self.plane.said()[begin:]

    @contextlib.contextmanager
    def replaced(self, name, instead):
        """instead: a file of the CA's folder; None: no file."""
        path, aside = self.live / name, self.live / "aside"
        path.rename(aside)
        try:
            if instead is not None:
                self.install(self.ca.dir / instead, name)
                path.chmod(0o600)
            yield
        finally:
            aside.rename(path)

    def shown(self):
        """The certificate that the server shows."""
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-alpn", "h2"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=10)
        return done.stdout.partition("subject=")[2].partition("\n")[0]

    def start_of_plane(self):
        """What a start that must fail says."""
        done = subprocess.run([PROGRAM, "--config", self.plane.config], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", check=False, timeout=20)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_good_ones(self):
        with self.plane:
            feed = self.stub("feed1")
            self.assertEqual(outcomes(apply(feed, update("LIST", "192.0.2.1", source="drop"))), ["APPLIED"])
            pushing = Pushing(feed)
            self.assertEqual(outcomes(pushing.push(update("LIST", "192.0.2.2", source="drop"))), ["APPLIED"])
            watching = self.stub("auditor").Watch(pb.WatchRequest(), timeout=10)
            actors = [next(watching).actor for _ in range(2)]
            self.assertEqual(actors, ["feed1", "feed1"])
            pushing.batches.put(None)
            self.assertEqual(list(pushing.results), [])
            self.assertEqual(outcomes(apply(self.stub("portal"), update("DELIST", "192.0.2.1"))), ["REMOVED"])

    def test_wrong_ones(self):
        with self.plane:
            for name, options in (("", {}), ("feed1", {"authority": self.other}), ("expired", {}), ("early", {})):
                with self.subTest(name=name, **options):
                    self.refused_soon(self.stub(name, **options), Code.UNAVAILABLE)
            wait_for("the handshakes", lambda: "TLS handshakes failed" in self.plane.said())
            said = self.refused_soon(self.stub("leaver"), Code.PERMISSION_DENIED)
            self.assertIn("certificate revoked", said)
            said = self.refused_soon(self.stub("stranger"), Code.PERMISSION_DENIED)
            self.assertIn("DNS:stranger.example.net is not an actor", said)
            for name in ("nameless", "mailer"):
                said = self.refused_soon(self.stub(name), Code.UNAUTHENTICATED)
                self.assertIn("carries no name", said)
            # Another's role, another's source.
            said = refused(lambda: apply(self.stub("auditor"), update("LIST", "192.0.2.9")), Code.PERMISSION_DENIED)
            self.assertIn("actor auditor, role reader: may not change the list", said)
            said = refused(lambda: next(self.stub("portal").Watch(pb.WatchRequest(), timeout=10)),
                           Code.PERMISSION_DENIED)
            self.assertIn("role delister", said)
            self.assertEqual(outcomes(apply(self.stub("feed1"), update("LIST", "192.0.2.9", source="other"))),
                             ["REFUSED"])
            # The client, too, looks whom it speaks to.
            self.refused_soon(self.stub("feed1", trusted=self.other.dir / "ca.pem"), Code.UNAVAILABLE)
            self.assertEqual(self.plane.status().durable_serial, 0)

    def test_versions(self):
        with self.plane:
            for version, good in (("-tls1_3", True), ("-tls1_2", False), ("-tls1_1", False)):
                done = subprocess.run(["openssl", "s_client", version, "-connect", f"127.0.0.1:{PORT}", "-alpn", "h2",
                                       "-cert", self.ca.dir / "feed1.pem", "-key", self.ca.dir / "feed1.key",
                                       "-cipher", "ALL:@SECLEVEL=0", "-CAfile", self.ca.dir / "ca.pem"],
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=10)
                self.assertEqual("Cipher is (NONE)" not in done.stdout, good, done.stdout + done.stderr)
            wait_for("the reason", lambda: "unsupported protocol" in self.plane.said())
            with socket.create_connection(("127.0.0.1", PORT)) as plain:
                plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
                plain.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    self.assertNotIn(b"\x00\x00\x00\x04", plain.recv(100))

    def test_reload(self):
        """A new server certificate, a revocation, a new actor: streams of the others go on."""
        with self.plane:
            feed, leaver = Pushing(self.stub("feed1")), Pushing(self.stub("leaver2"))
            watching = self.stub("leaver2").Watch(pb.WatchRequest(), timeout=20)
            for number, pushing in enumerate((feed, leaver), 1):
                pushing.push(update("LIST", f"192.0.2.{number}", source="drop"))
            self.assertEqual([next(watching).serial for _ in range(2)], [1, 2])
            self.refused_soon(self.stub("newcomer"), Code.PERMISSION_DENIED)
            self.assertIn("CN = server", self.shown() + "\n")
            self.ca.revoke("leaver2")
            self.install(self.ca.dir / "crl.pem", "crl.pem")
            self.install(self.ca.dir / "server2.pem", "server.pem")
            self.install(self.ca.dir / "server2.key", "server.key")
            config = self.plane.config.read_text()
            self.plane.config.write_text(config.replace(
                "    - name: feed1\n", "    - name: newcomer\n      san: DNS:newcomer.example.net\n      role: feeder\n"
                "      source: new\n      updates_per_minute: 1\n    - name: feed1\n"))
            self.assertIn("reloaded: certificates", self.reload())
            begin = time.monotonic()
            for results in (leaver.results, watching):
                text = refused(lambda results=results: list(results), Code.PERMISSION_DENIED)
                self.assertIn("certificate revoked", text)
            self.assertLess(time.monotonic() - begin, 2 * WITHIN_S)
            self.assertEqual(outcomes(feed.push(update("LIST", "192.0.2.3", source="drop"))), ["APPLIED"])
            self.assertIn("server2", self.shown())
            new = self.stub("newcomer")
            self.assertEqual(outcomes(apply(new, update("LIST", "192.0.2.4", source="new"))), ["APPLIED"])
            refused(lambda: apply(new, update("LIST", "192.0.2.5", source="new")), Code.RESOURCE_EXHAUSTED)
            self.assertEqual(outcomes(apply(self.stub("feed1"), update("LIST", "192.0.2.6", source="drop"))),
                             ["APPLIED"])
            # Whoever is not an actor any more is out, with his open streams.
            self.plane.config.write_text(config.replace("DNS:feed1.example.net", "DNS:feed2.example.net"))
            self.assertIn("reloaded: certificates", self.reload())
            text = refused(lambda: list(feed.results), Code.PERMISSION_DENIED)
            self.assertIn("DNS:feed1.example.net is not an actor", text)

    def test_bad_reload(self):
        """Each bad file is named, and nothing of the new ones counts, good ones beside it neither."""
        self.ca.openssl("ca", "-config", "openssl.cnf", "-gencrl", "-crl_lastupdate", "20200101000000Z",
                        "-crl_nextupdate", "20200201000000Z", "-out", "old-crl.pem")
        bad = (("server.pem", "feed1.pem", "is not the key of"), ("server.pem", "expired.pem", "has expired"),
               ("server.pem", "ca.key", "expected a certificate in PEM"), ("server.key", "ca.pem", "expected a private key"),
               ("ca.pem", "feed1.pem", "certificate 1 is not a CA's"), ("ca.pem", "openssl.cnf", "expected a CA's certificate"),
               ("crl.pem", "old-crl.pem", "the CRL has expired"), ("crl.pem", "ca.pem", "expected a CRL in PEM"),
               ("crl.pem", "../other/crl.pem", "is not signed by a CA of ours"), ("crl.pem", None, "crl.pem"))
        with self.plane:
            feed = Pushing(self.stub("feed1"))
            for number, (name, instead, expected) in enumerate(bad):
                with self.subTest(name=name, instead=instead):
                    with self.replaced(name, instead):
                        said = self.reload()
                    self.assertIn("reload refused, all stays as it was: ", said)
                    self.assertIn(str(self.live / name), said)
                    self.assertIn(expected, said)
                    self.assertEqual(outcomes(feed.push(update("LIST", f"192.0.2.{number}", source="drop"))), ["APPLIED"])
            self.assertIn("CN = server", self.shown())
            said = self.refused_soon(self.stub("leaver"), Code.PERMISSION_DENIED)
            self.assertIn("certificate revoked", said)
            self.plane.config.write_text(self.plane.config.read_text().replace("role: delister", "role: nobody"))
            self.assertIn("controlplane.actors.role: found 'nobody'", self.reload())
            self.assertEqual(outcomes(feed.push(update("LIST", "192.0.2.77", source="drop"))), ["APPLIED"])

    def test_bad_start(self):
        self.ca.openssl("ca", "-config", "openssl.cnf", "-gencrl", "-crl_lastupdate", "20200101000000Z",
                        "-crl_nextupdate", "20200201000000Z", "-out", "old-crl.pem")
        with self.plane.folder:
            self.install(self.ca.dir / "old-crl.pem", "crl.pem")
            self.assertIn("crl.pem: the CRL has expired", self.start_of_plane())
            self.install(self.ca.dir / "crl.pem", "crl.pem")
            (self.live / "server.key").chmod(0o644)
            self.assertIn("server.key: its mode is 0644", self.start_of_plane())
            (self.live / "server.key").chmod(0o600)
            with socket.create_server(("127.0.0.1", PORT)), socket.create_server(("::1", PORT), family=socket.AF_INET6):
                self.assertIn(f"controlplane.tls_listen: can't listen on localhost:{PORT}", self.start_of_plane())

    def test_command_line(self):
        """bounceline --connect, and client.connect of a file."""
        program = PROGRAM.with_name("bounceline")
        # The library that gRPC asks for addresses leaks a few bytes of a name.
        (self.dir / "leaks").write_text("leak:libcares\n")
        environment = {**os.environ, "LSAN_OPTIONS": f"suppressions={self.dir}/leaks:print_suppressions=0"}

        def run(*arguments):
            done = subprocess.run([program, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  check=False, timeout=30)
            return done.returncode, done.stdout + done.stderr

        def by(name, host="localhost", ca=None):
            return ["--connect", f"{host}:{PORT}", "--cert", self.ca.dir / f"{name}.pem", "--key",
                    self.ca.dir / f"{name}.key", "--ca", ca or self.ca.dir / "ca.pem"]

        with self.plane:
            code, said = run(*by("feed1"), "list", "--source", "drop", "192.0.2.1")
            self.assertEqual(code, 0, said)
            self.assertEqual(run(*by("auditor", host="127.0.0.1"), "lookup", "192.0.2.1")[0], 0)
            code, said = run(*by("leaver"), "status")
            self.assertEqual(code, 1, said)
            self.assertIn("certificate revoked", said)
            code, said = run(*by("stranger"), "status")
            self.assertEqual(code, 1, said)
            self.assertIn("DNS:stranger.example.net is not an actor", said)
            # Not the name that its certificate has, not our CA, files that do not belong together.
            self.assertEqual(run(*by("feed1", host="ip6-localhost"), "status")[0], 3)
            self.assertEqual(run(*by("feed1", ca=self.other.dir / "ca.pem"), "status")[0], 3)
            code, said = run(*by("feed1"), "--key", self.ca.dir / "portal.key", "status")
            self.assertEqual((code, "is not the key of" in said), (2, True), said)
            code, said = run("--connect", f"localhost:{PORT}", "status")
            self.assertEqual((code, "expected --cert, --key and --ca" in said), (2, True), said)
            config = self.dir / "client.yaml"
            config.write_text(f"client:\n  connect: localhost:{PORT}\n  certificate_file: {self.ca.dir}/feed1.pem\n"
                              f"  key_file: {self.ca.dir}/feed1.key\n  ca_file: {self.ca.dir}/ca.pem\n")
            self.assertEqual(run("--config", config, "status")[0], 0)

    @staticmethod
    def recipe(language, word):
        """The README's block that holds the word."""
        blocks = (ROOT / "README.md").read_text().split(f"```{language}\n")[1:]
        return next(text for text in (block.partition("```")[0] for block in blocks) if word in text)

    def test_recipe(self):
        """The README's commands make what works; its rules are rules."""
        work = self.dir / "recipe"
        work.mkdir()
        commands = "".join(line for line in self.recipe("sh", "-gencrl").splitlines(keepends=True) if "systemctl" not in line)
        issuing, revoking = commands.split("# revoke", 1)
        script = ["bash", "-euo", "pipefail", "-c"]
        subprocess.run([*script, issuing], cwd=work, check=True, capture_output=True)
        for name, there in (("server.pem", "server.pem"), ("server.key", "server.key"), ("ca.pem", "ca.pem"),
                            ("crl.pem", "crl.pem")):
            self.install(work / "ca" / there, name)
        with self.plane:
            pair = [(work / f"ca/feed1.{kind}").read_bytes() for kind in ("key", "pem")]
            channel = grpc.secure_channel(f"localhost:{PORT}",
                                          grpc.ssl_channel_credentials((work / "ca/ca.pem").read_bytes(), *pair),
                                          options=[("grpc.ssl_target_name_override", "bounceline.example.net")])
            self.plane.channels.append(channel)
            stub = services.ListControlStub(channel)
            self.assertEqual(outcomes(apply(stub, update("LIST", "192.0.2.1", source="drop"))), ["APPLIED"])
            subprocess.run([*script, "cd ca; " + revoking.partition("\n")[2]], cwd=work, check=True, capture_output=True)
            self.install(work / "ca/crl.pem", "crl.pem")
            self.assertIn("reloaded: certificates", self.reload())
            self.assertIn("certificate revoked", self.refused_soon(stub, Code.PERMISSION_DENIED))
        if shutil.which("nft") is None:
            self.skipTest("no nft: its rules are not parsed")
        done = subprocess.run(["nft", "--check", "--file", "-"], input=self.recipe("nft", "5025"), text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    own_namespace()
    unittest.main(verbosity=2)
