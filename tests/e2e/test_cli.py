#!/usr/bin/python3
"""The command line: every command, every exit code, import in all its forms.

Two servers stand behind it. `Spoken` is a gRPC server in this process: it says what no healthy control plane can be made
to say at will (an answer that never comes, a connection that breaks, text that steers a terminal) and keeps the requests.
`Real` is bounceline-controlplane with a fresh log and no data plane. Needs no namespaces; one case needs root and says
so. The programs come from the release build, or from where BL_BUILD says."""
import contextlib
import gzip
import json
import os
import pathlib
import pty
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent import futures

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BL_BUILD") or ROOT / "build")
SHARED_DATA = pathlib.Path(os.environ.get("BL_SHARED_DATA") or ROOT.parent / "shared" / "data")
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import client  # noqa: E402

pb, services, generated = client.generate()
OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
COMMANDS = ("list", "delist", "exempt", "unexempt", "lookup", "import", "status")


def setUpModule():
    unittest.addModuleCleanup(generated.cleanup)


def run(*arguments, stdin=None, env=None, **options):
    """The command line; stdin is bytes or text."""
    command = [str(BUILD / "bounceline"), *map(str, arguments)]
    text = not isinstance(stdin, bytes)
    done = subprocess.run(command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180, check=False,
                          env={**{k: v for k, v in os.environ.items() if k != "BOUNCELINE_SOCKET"}, **(env or {})},
                          text=text, **options)
    if not text:
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def on_terminal(*arguments):
    """Runs with stderr on a terminal; returns (exit code, what the terminal got)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(BUILD / "bounceline"), *map(str, arguments)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return process.wait(60), shown


class Case(unittest.TestCase):
    """A temporary directory, and what both servers' tests ask."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="bounceline-cli-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def write(self, name, content):
        path = self.dir / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def expect(self, code, done):
        self.assertEqual(done.returncode, code, f"{done.args}\n{done.stdout}{done.stderr}")
        return done


class Usage(Case):
    """What is decided before any connection."""

    def test_help_and_version(self):
        text = self.expect(0, run("--help")).stdout
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", text)
            own = self.expect(0, run(command, "--help")).stdout
            self.assertTrue(own.startswith(f"Usage: bounceline {command} "), own)
            self.assertIn("--json prints", own)
            for option in ("--socket", "--config", "--wait", "--deadline", "--json"):
                self.assertIn(option, own)
        self.assertIn("4  durable, but not enforced", text)
        self.assertTrue(self.expect(0, run("--version")).stdout.startswith("bounceline "))

    def test_mistakes_name_what_was_expected(self):
        for arguments, words in (
                ([], "expected a command"),
                (["enlist"], "'enlist': expected a command"),
                (["list"], "expected PREFIX"),
                (["list", "192.0.2"], "'192.0.2': expected an IPv4 or IPv6 address"),
                (["list", "192.0.2.1/24"], "expected 192.0.2.0/24"),
                (["delist", "192.0.2.1", "mx.example.net"], "'mx.example.net': expected"),
                (["lookup"], "expected ADDRESS"),
                (["import"], "expected FILE"),
                (["import", "a", "b"], "'b': expected FILE"),
                (["status", "now"], "'now': expected no argument"),
                (["list", "--code", "605", "192.0.2.1"], "--code '605': expected a number of 606..649"),
                (["list", "--code", "0x260", "192.0.2.1"], "expected a number of 606..649"),
                (["list", "--for", "12", "192.0.2.1"], "--for: duration '12': expected a whole number"),
                (["list", "--for", "99999d", "192.0.2.1"], "expected at most 3660d"),
                (["list", "--action", "bounce", "192.0.2.1"], "expected reject, reset, drop or monitor"),
                (["list", "--reason", "x" * 201, "192.0.2.1"], "has 201 bytes: expected at most 200"),
                (["list", "--reason", "a\nb", "192.0.2.1"], "holds a control character"),
                (["list", "--source", "", "192.0.2.1"], "expected a name"),
                (["--wait", "soon", "status"], "--wait 'soon': expected durable or enforced"),
                (["--deadline", "11m", "status"], "expected at most 10m"),
                (["lookup", "--force", "192.0.2.1"], "--force"),
                (["exempt", "--code", "606", "192.0.2.1"], "--code"),
                (["--socket", "/" + "x" * 120, "status"], "expected a path of 1..107 bytes"),
                (["--config", "/nonexistent.yaml", "status"], "/nonexistent.yaml")):
            done = self.expect(2, run(*arguments))
            self.assertIn(words, done.stderr, arguments)

    def test_what_was_typed_is_escaped(self):
        done = self.expect(2, run("lookup", "\x1b[2J\x07"))
        self.assertIn("\\x1b[2J\\x07", done.stderr)
        self.assertNotIn("\x1b", done.stderr)

    def test_no_control_plane(self):
        path = self.dir / "none.sock"
        for arguments in (["status"], ["list", "192.0.2.1"], ["lookup", "192.0.2.1"]):
            done = self.expect(3, run("--socket", path, *arguments))
            self.assertIn(f"can't reach the control plane at {path}: No such file or directory", done.stderr)
            done = self.expect(3, run("--socket", path, "--json", *arguments))
            self.assertEqual(json.loads(done.stdout)["exit_code"], 3)
        with socket.socket(socket.AF_UNIX) as dead:  # bound, closed: a socket that nobody serves
            dead.bind(str(path))
        done = self.expect(3, run("status", "--socket", path))
        self.assertIn("Connection refused", done.stderr)

    def test_the_socket_comes_from_the_nearest_place(self):
        config = self.write("bounceline.yaml", f"client:\n  socket: {self.dir}/from-config.sock\n")
        environment = {"BOUNCELINE_SOCKET": f"{self.dir}/from-environment.sock"}
        self.assertIn("from-environment.sock", self.expect(3, run("status", env=environment)).stderr)
        self.assertIn("from-config.sock", self.expect(3, run("status", "--config", config, env=environment)).stderr)
        done = self.expect(3, run("--config", config, "--socket", self.dir / "said.sock", "status", env=environment))
        self.assertIn("said.sock", done.stderr)

    def test_a_bad_setting_is_named(self):
        config = self.write("bounceline.yaml", "client:\n  sokket: /run/x\n")
        done = self.expect(2, run("status", "--config", config))
        self.assertIn("sokket", done.stderr)
        self.assertIn(":2", done.stderr)

    def test_output_that_can_not_be_written(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([str(BUILD / "bounceline"), "--json", "--socket", self.dir / "none", "status"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("standard output", done.stderr)


class Answers(services.ListControlServicer):
    """Keeps every request; answers what the test put in."""

    def __init__(self):
        self.batches = []
        self.apply = lambda batch, context: pb.UpdateResult()
        self.lookup = lambda request, context: pb.LookupResponse(prefix="2001:db8::/56")
        self.status = pb.GetStatusResponse(version="test")

    def Apply(self, request, context):
        self.batches.append(request)
        return self.apply(request, context)

    def Lookup(self, request, context):
        return self.lookup(request, context)

    def GetStatus(self, request, context):
        return self.status


class Spoken(Case):
    """Against the server in this process."""

    def setUp(self):
        super().setUp()
        self.answers = Answers()
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=OPTIONS)
        services.add_ListControlServicer_to_server(self.answers, self.server)
        self.socket = self.dir / "control.sock"
        self.server.add_insecure_port(f"unix:{self.socket}")
        self.server.start()
        self.addCleanup(lambda: self.server.stop(0).wait())

    def ask(self, *arguments, **options):
        return run("--socket", self.socket, *arguments, **options)

    def answer(self, **fields):
        """The same answer to every batch, with one item of `outcome` an update."""
        outcome = fields.pop("outcome", pb.OUTCOME_APPLIED)

        def apply(batch, _):
            items = [pb.ItemResult(index=i, outcome=outcome) for i in range(len(batch.updates))]
            return pb.UpdateResult(**{"serial": 42, "durable": True, "epoch": 2**63, "items": items, **fields})
        self.answers.apply = apply

    def test_what_is_said_reaches_the_wire(self):
        self.answer(n_applied=2)
        start = time.time()
        self.expect(0, self.ask("list", "192.0.2.7", "2001:db8::/32", "--code", "649", "--reason", "why ünd so", "--for",
                                "2w", "--source", "ipsum", "--action", "drop", "--force", "--deadline", "1500ms"))
        batch = self.answers.batches[0]
        self.assertEqual([u.prefix for u in batch.updates], ["192.0.2.7", "2001:db8::/32"])
        for update in batch.updates:
            self.assertEqual((update.kind, update.code, update.reason, update.source, update.action),
                             (pb.UPDATE_KIND_LIST, 649, "why ünd so", "ipsum", pb.ACTION_DROP))
            self.assertAlmostEqual(update.expires_at_ms / 1000, start + 14 * 86400, delta=30)
            self.assertEqual(update.observed_at_ms, 0)
        self.assertEqual((batch.atomic, batch.force, batch.wait, batch.deadline_ms, batch.sequence),
                         (True, True, pb.WAIT_LEVEL_DURABLE, 1500, 1))
        self.assertFalse(batch.HasField("bulk"))

    def test_every_kind_of_update(self):
        self.answer(n_applied=1)
        for command, kind in (("list", 1), ("delist", 2), ("exempt", 3), ("unexempt", 4)):
            done = self.expect(0, self.ask(command, "192.0.2.7"))
            self.assertRegex(done.stdout, rf"^{command}e?d 192\.0\.2\.7/32: applied; serial 42, durable in \d+\.\d ms\n$")
            self.assertEqual(self.answers.batches[-1].updates[0].kind, kind)
        sessions = {batch.session for batch in self.answers.batches}
        self.assertEqual(len(sessions), 4)
        self.assertTrue(all(len(session) == 32 for session in sessions), sessions)

    def test_several_prefixes_one_batch(self):
        self.answer(n_removed=2, outcome=pb.OUTCOME_REMOVED)
        done = self.expect(0, self.ask("delist", "192.0.2.7", "2001:db8::1"))
        self.assertEqual(len(self.answers.batches), 1)
        self.assertRegex(done.stdout, r"^delisted 192\.0\.2\.7/32: removed\ndelisted 2001:db8::1: removed; serial 42")

    def test_enforced_and_not(self):
        self.answer(n_removed=1, outcome=pb.OUTCOME_REMOVED, enforced=True, dataplanes_enforced=1,
                    dataplanes_connected=1)
        done = self.expect(0, self.ask("delist", "192.0.2.7", "--wait", "enforced"))
        self.assertIn("removed; serial 42, durable, enforced by 1 of 1 data planes in ", done.stdout)
        self.answer(n_removed=1, outcome=pb.OUTCOME_REMOVED, dataplanes_enforced=1, dataplanes_connected=2)
        self.assertEqual(self.answers.batches[0].wait, pb.WAIT_LEVEL_ENFORCED)
        done = self.expect(4, self.ask("delist", "192.0.2.7", "--wait", "enforced"))
        self.assertIn("durable, not enforced: by 1 of 2 data planes in ", done.stdout)
        self.expect(0, self.ask("delist", "192.0.2.7"))

    def test_exit_codes_of_outcomes(self):
        for fields, code, wait in (
                ({"n_applied": 1}, 0, "durable"),
                ({"n_unchanged": 1, "serial": 0, "durable": False}, 0, "durable"),
                ({"n_applied": 1, "durable": False}, 3, "durable"),
                ({"n_not_listed": 1, "outcome": pb.OUTCOME_NOT_LISTED, "serial": 0}, 1, "enforced"),
                ({"n_removed": 1, "n_not_listed": 1}, 1, "durable"),
                ({"n_removed": 1, "n_not_listed": 1}, 4, "enforced"),
                ({"n_refused": 1, "outcome": pb.OUTCOME_REFUSED, "serial": 0}, 1, "enforced")):
            self.answer(**fields)
            done = self.expect(code, self.ask("delist", "192.0.2.7", "--wait", wait, "--json"))
            shown = json.loads(done.stdout)
            self.assertEqual(shown["exit_code"], code)
            self.assertEqual(shown["n_not_listed"], fields.get("n_not_listed", 0))

    def test_a_refusal_has_its_cause(self):
        item = pb.ItemResult(index=1, outcome=pb.OUTCOME_REFUSED, refusal=pb.REFUSAL_TOO_WIDE, detail="\x1b[31mwide")
        self.answers.apply = lambda batch, _: pb.UpdateResult(items=[item], n_refused=1)
        done = self.expect(1, self.ask("list", "192.0.2.7", "0.0.0.0/2"))
        self.assertEqual(done.stderr, "bounceline: list 0.0.0.0/2: refused (too wide): \\x1b[31mwide\n")
        self.assertEqual(done.stdout, "")
        done = self.expect(1, self.ask("list", "192.0.2.7", "0.0.0.0/2", "--json"))
        self.assertEqual(json.loads(done.stdout)["items"],
                         [{"prefix": "0.0.0.0/2", "outcome": "refused", "refusal": "too_wide", "detail": "\x1b[31mwide"}])
        item.index = 7  # no such item was sent
        self.assertIn("list ?: refused", self.expect(1, self.ask("list", "192.0.2.7")).stderr)

    def test_statuses_of_the_server(self):
        def abort(status):
            return lambda _, context: context.abort(status, "because\x1b[2J")
        for status, code in ((grpc.StatusCode.PERMISSION_DENIED, 1), (grpc.StatusCode.INVALID_ARGUMENT, 1),
                             (grpc.StatusCode.RESOURCE_EXHAUSTED, 1), (grpc.StatusCode.ABORTED, 1),
                             (grpc.StatusCode.FAILED_PRECONDITION, 1), (grpc.StatusCode.UNAVAILABLE, 3),
                             (grpc.StatusCode.INTERNAL, 3), (grpc.StatusCode.UNIMPLEMENTED, 3)):
            self.answers.apply = abort(status)
            done = self.expect(code, self.ask("list", "192.0.2.7"))
            self.assertIn("because\\x1b[2J", done.stderr, status)

    def test_no_answer_before_the_deadline(self):
        self.answers.apply = lambda batch, context: time.sleep(4)
        start = time.monotonic()
        done = self.expect(3, self.ask("list", "192.0.2.7", "--deadline", "200ms"))
        self.assertLess(time.monotonic() - start, 3.5)
        self.assertIn("no answer from the control plane before the deadline", done.stderr)

    def test_an_answer_that_can_not_be_decoded(self):
        for raw in (b"\xff\xff\xff", b"\x08\x80", b"\xfa\x3f\x01x", b"\x0a\x02\xff\xfe"):
            handler = grpc.unary_unary_rpc_method_handler(lambda request, _, raw=raw: raw)
            server = grpc.server(futures.ThreadPoolExecutor(1))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
                "bounceline.v1.ListControl", {"Apply": handler, "Lookup": handler, "GetStatus": handler}),))
            path = self.dir / "raw.sock"
            server.add_insecure_port(f"unix:{path}")
            server.start()
            for arguments in (["list", "192.0.2.1"], ["lookup", "192.0.2.1"], ["status"]):
                done = self.expect(3, run("--socket", path, *arguments))
                self.assertIn("answer can't be read", done.stderr)
            server.stop(0).wait()

    def test_a_lost_connection_is_retried_once_with_the_same_bytes(self):
        self.answer(n_applied=1)
        with Breaking(self.dir / "breaking.sock", self.socket, n_broken=1) as breaking:
            self.expect(0, run("--socket", breaking.path, "list", "192.0.2.7"))
        self.assertEqual(breaking.n_connections, 2)
        self.assertEqual(len(self.answers.batches), 2)
        self.assertEqual(self.answers.batches[0], self.answers.batches[1])
        self.assertEqual(len(self.answers.batches[0].session), 32)

    def test_a_connection_that_is_lost_twice(self):
        self.answer(n_applied=1)
        with Breaking(self.dir / "breaking.sock", self.socket, n_broken=9) as breaking:
            self.expect(3, run("--socket", breaking.path, "list", "192.0.2.7", "--deadline", "1s"))
        self.assertEqual(breaking.n_connections, 2)

    def test_a_control_plane_that_goes_in_mid_call(self):
        """Its socket is gone: the change may be recorded, and the message says that."""
        self.answer(n_applied=1)
        with Breaking(self.dir / "breaking.sock", self.socket, n_broken=1, then_close=True) as breaking:
            done = self.expect(3, run("--socket", breaking.path, "list", "192.0.2.7", "--deadline", "500ms"))
        self.assertIn("a change may have been recorded", done.stderr)

    def test_lookup_shows_every_layer(self):
        layers = [pb.Layer(kind=pb.LAYER_KIND_DELIST, prefix="192.0.2.7/32", actor="root", serial=41, effective=True,
                           expires_at_ms=1790000000000),
                  pb.Layer(kind=pb.LAYER_KIND_LISTING, prefix="192.0.2.0/24", source="ipsum\x9b", code=610, reason="r\x1b",
                           action=pb.ACTION_REJECT, self_service=pb.SELF_SERVICE_CLOSED, serial=40, suppressed=True,
                           observed_at_ms=1789990000000),
                  pb.Layer(kind=9, prefix="192.0.0.0/16")]
        self.answers.lookup = lambda request, _: pb.LookupResponse(
            prefix=request.prefix + "/32", layers=layers, serial=42, class_id=63, listed=request.prefix == "192.0.2.8",
            code=606, action=1, dataplanes_connected=2, dataplanes_enforced=1, enforced_serial=41)
        done = self.expect(1, self.ask("lookup", "192.0.2.7"))
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "192.0.2.7/32: not listed, a hole in a wider listing; serial 42, enforced by 1 of 2 data"
                                   " planes (all of them enforce serial 41)")
        self.assertEqual(lines[1], "  decides    delist 192.0.2.7/32; serial 41 by root, ends 2026-09-21T14:13:20Z")
        self.assertEqual(lines[2], "  suppressed listing 192.0.2.0/24 from ipsum\\u{9b}, code 610, reject, closed to"
                                   " self-service; serial 40, seen 2026-09-21T11:26:40Z, ends never: r\\x1b")
        self.assertEqual(lines[3], "  behind     unknown 192.0.0.0/16; serial 0, ends never")
        self.expect(0, self.ask("lookup", "192.0.2.8"))
        done = self.expect(1, self.ask("lookup", "192.0.2.8", "192.0.2.7", "--json"))
        shown = json.loads(done.stdout)
        self.assertEqual([entry["listed"] for entry in shown["lookups"]], [True, False])
        self.assertEqual([layer["kind"] for layer in shown["lookups"][1]["layers"]], ["delist", "listing", "unknown"])
        self.assertEqual(shown["lookups"][0]["layers"][1]["suppressed"], True)
        self.assertEqual(shown["lookups"][0]["layers"][1]["reason"], "r\x1b")

    def test_status(self):
        workers = [pb.WorkerStatus(worker=i, serial=42, checksum=77, rx_packets=5) for i in range(2)]
        plane = pb.DataplaneStatus(name="edge-1", version="v", connected=True, epoch=3, serial=42, digest_hi=1, digest_lo=2, age_ms=300,
                                   workers=workers, counters=[pb.Counter(name="reject_syn", value=7),
                                                              pb.Counter(name="drop_flags"),
                                                              pb.Counter(name="from_the_future", value=1)])
        self.answers.status = pb.GetStatusResponse(version="9", epoch=3, durable_serial=42, enforced_serial=42, digest_hi=1,
                                                   digest_lo=2, dataplanes=[plane], uptime_ms=60000, write_fault="disk\n")
        done = self.expect(0, self.ask("status"))
        for words in ("42 durable, 42 enforced", "WRITES ARE REFUSED: disk\\x0a", "00000000000000010000000000000002, agrees",
                      "replicas     agree", "7 reject_syn: listed, SYN answered with a cookie", "1 from_the_future",
                      "last report 300 ms ago", "worker 1     serial 42, checksum 000000000000004d"):
            self.assertIn(words, done.stdout)
        self.assertNotIn("drop_flags", done.stdout)
        self.assertNotIn("NOT CONNECTED", done.stdout)
        self.assertIn("0 drop_flags", self.expect(0, self.ask("status", "--all")).stdout)
        plane.connected = False
        self.answers.status = pb.GetStatusResponse(durable_serial=42, dataplanes=[plane])
        done = self.expect(0, self.ask("status"))
        self.assertIn("data plane     edge-1, v, NOT CONNECTED, last report 300 ms ago", done.stdout)
        self.assertIn("42 durable; no data plane is connected", done.stdout)

    def test_status_tells_disagreement_from_difference_in_time(self):
        for serial, digest, checksums, agrees, replicas in ((42, 2, (7, 7), True, True), (42, 3, (7, 8), False, False),
                                                            (41, 3, (7, 0), None, None)):
            workers = [pb.WorkerStatus(worker=i, serial=serial, checksum=c) for i, c in enumerate(checksums)]
            plane = pb.DataplaneStatus(serial=serial, digest_lo=digest, workers=workers)
            self.answers.status = pb.GetStatusResponse(durable_serial=42, digest_lo=2, dataplanes=[plane])
            shown = json.loads(self.expect(0, self.ask("status", "--json")).stdout)["dataplanes"][0]
            self.assertEqual((shown["digest_agrees"], shown["replicas_agree"]), (agrees, replicas))

    def test_no_permission_for_the_socket(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become somebody else")
        self.dir.chmod(0o755)
        self.socket.chmod(stat.S_IRUSR | stat.S_IWUSR)
        copy = shutil.copy(BUILD / "bounceline", self.dir)  # the build may be where nobody else can read
        done = subprocess.run([copy, "--socket", self.socket, "status"], user=65534, group=65534, extra_groups=[],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        self.expect(3, done)
        self.assertIn("Permission denied", done.stderr)

    # Import.

    def bulk(self):
        """The only batch's bulk as a list of (family, address bytes, length)."""
        self.assertEqual(len(self.answers.batches), 1)
        batch = self.answers.batches[0]
        self.assertTrue(batch.atomic)
        bulk = batch.bulk
        self.assertEqual(len(bulk.ipv4_addresses) % 4, 0)
        n4, n6 = len(bulk.ipv4_addresses) // 4, len(bulk.ipv6_addresses) // 16
        lengths4 = bulk.ipv4_lengths or bytes([32] * n4)
        self.assertEqual((len(lengths4), len(bulk.ipv6_lengths)), (n4, n6))
        return ([(4, bulk.ipv4_addresses[4 * i:4 * i + 4], lengths4[i]) for i in range(n4)]
                + [(6, bulk.ipv6_addresses[16 * i:16 * i + 16], bulk.ipv6_lengths[i]) for i in range(n6)])

    @staticmethod
    def item(text):
        address, length = text.split("/")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return (6 if ":" in address else 4, socket.inet_pton(family, address), int(length))

    def test_import(self):
        self.answer(n_applied=4)
        path = self.write("list.txt", "# feed\r\n192.0.2.7\r\n\r\n198.51.100.0/24 ; SBL1\r\n192.0.2.7/32\r\n"
                                      "2001:db8:1:2:3::4\r\n2001:db8::/32#x")
        done = self.expect(0, self.ask("import", path, "--source", "feed", "--code", "607", "--reason", "r", "--for", "1d",
                                       "--force"))
        self.assertEqual(self.bulk(), [self.item(t) for t in ("192.0.2.7/32", "198.51.100.0/24", "2001:db8::/32",
                                                              "2001:db8:1::/56")])  # the server's own unit: 56
        bulk = self.answers.batches[0].bulk
        self.assertEqual((bulk.kind, bulk.source, bulk.code, bulk.reason), (pb.UPDATE_KIND_LIST, "feed", 607, "r"))
        self.assertAlmostEqual(bulk.expires_at_ms / 1000, time.time() + 86400, delta=30)
        self.assertTrue(self.answers.batches[0].force)
        self.assertEqual(done.stderr, "")
        self.assertIn(f"imported {path}: 4 prefixes in 7 lines, 1 duplicates, 1 overlaps; 4 applied, 0 unchanged; serial 42, durable",
                      done.stdout)

    def test_import_from_standard_input(self):
        self.answer(n_applied=1)
        done = self.expect(0, self.ask("import", "-", "--json", stdin="192.0.2.7\n192.0.2.8\n192.0.2.7\n"))
        self.assertEqual(self.bulk(), [self.item("192.0.2.7/32"), self.item("192.0.2.8/32")])
        self.assertEqual(self.answers.batches[0].bulk.ipv4_lengths, b"")  # /32 goes without saying
        shown = json.loads(done.stdout)
        self.assertEqual((shown["file"], shown["n_lines"], shown["n_prefixes"], shown["n_duplicates"]),
                         ("standard input", 3, 2, 1))

    def test_bad_lines_stop_everything(self):
        path = self.write("list.txt", "192.0.2.7\n192.0.2.300\n# fine\n192.0.2.1 192.0.2.2\nmail\x1b[2J\n")
        done = self.expect(1, self.ask("import", path))
        self.assertEqual(self.answers.batches, [])
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
        self.assertEqual(lines[0], f"bounceline: {path}: line 2: '192.0.2.300': expected an IPv4 or IPv6 address")
        self.assertIn("line 4: '192.0.2.1 192.0.2.2': expected one prefix or address", lines[1])
        self.assertIn("line 5: 'mail\\x1b[2J'", lines[2])
        self.assertEqual(lines[3], f"bounceline: {path}: 3 of 5 lines are bad: nothing was sent")
        shown = json.loads(self.expect(1, self.ask("import", path, "--json")).stdout)
        self.assertEqual((shown["n_bad_lines"], [bad["line"] for bad in shown["bad_lines"]]), (3, [2, 4, 5]))

    def test_only_twenty_bad_lines_are_shown(self):
        done = self.expect(1, self.ask("import", "-", stdin="bad\n" * 1234))
        self.assertEqual(sum("line " in line for line in done.stderr.splitlines()), 20)
        self.assertIn("and 1214 more bad lines", done.stderr)
        self.assertIn("1234 of 1234 lines are bad", done.stderr)

    def test_files_that_are_none(self):
        for content, words in (("", "holds no prefix"), ("# only\n\n", "holds no prefix"), (b"\x00\x01\n", "NUL")):
            done = self.expect(1, self.ask("import", self.write("list.txt", content)))
            self.assertIn(words, done.stderr)
        self.assertIn("No such file", self.expect(1, self.ask("import", self.dir / "none")).stderr)
        self.assertIn("Is a directory", self.expect(1, self.ask("import", self.dir)).stderr)
        self.assertEqual(self.answers.batches, [])

    def test_a_refused_import_names_lines(self):
        items = [pb.ItemResult(index=1, outcome=pb.OUTCOME_REFUSED, refusal=pb.REFUSAL_NEVER_LISTED, detail="loopback")]
        self.answers.apply = lambda batch, _: pb.UpdateResult(items=items, n_refused=3)
        path = self.write("list.txt", "# c\n192.0.2.7\n127.0.0.1\n10.0.0.1\n")  # sorted: 10.0.0.1, 127.0.0.1, ...
        done = self.expect(1, self.ask("import", path))
        self.assertIn(f"{path}: line 3: 127.0.0.1/32: refused (never listed): loopback", done.stderr)
        self.assertIn("refused: nothing was imported", done.stderr)
        shown = json.loads(self.expect(1, self.ask("import", path, "--json")).stdout)
        self.assertEqual(shown["items"][0]["line"], 3)
        items[:] = items * 100
        done = self.expect(1, self.ask("import", path))
        self.assertEqual(done.stderr.count("line 3"), 20)
        self.assertIn("and at least 80 more", done.stderr)

    def test_a_large_import(self):
        self.answer(n_applied=100000)
        path = self.write("list.txt", "".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(100000)))
        self.expect(0, self.ask("import", path))
        self.assertEqual(self.bulk(), [(4, (0x0A000000 + i).to_bytes(4, "big"), 32) for i in range(100000)])
        self.assertEqual(self.answers.batches[0].deadline_ms, 60000)

    def test_larger_than_one_message(self):
        n = (32 << 20) // 17 + 1
        path = self.write("list.txt", "".join(f"2001:db8:{i >> 16:x}:{i & 65535:x}::/64\n" for i in range(n)))
        done = self.expect(1, self.ask("import", path))
        self.assertIn("expected at most 33554432 (32 MiB", done.stderr)
        self.assertEqual(self.answers.batches, [])

    def test_progress_only_on_a_terminal(self):
        def slow(batch, _):
            time.sleep(0.5)
            return pb.UpdateResult(serial=1, durable=True, n_applied=1)
        self.answers.apply = slow
        path = self.write("list.txt", "".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(200000)))
        code, shown = on_terminal("--socket", self.socket, "import", path)
        self.assertEqual(code, 0)
        self.assertIn(b"reading [", shown)
        self.assertIn(b"sending  200000 prefixes", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown[-80:])
        self.assertEqual(self.expect(0, self.ask("import", path)).stderr, "")


class Breaking:
    """A socket in front of another: breaks its first connections once the server has read their request."""

    def __init__(self, path, target, n_broken, then_close=False):
        self.path, self.target, self.n_broken, self.then_close = path, target, n_broken, then_close
        self.n_connections = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                outer, _ = self.listener.accept()
                self.n_connections += 1
                broken = self.n_connections <= self.n_broken
                if broken and self.then_close:
                    self.listener.close()
                    os.unlink(self.path)
                inner = socket.socket(socket.AF_UNIX)
                inner.connect(str(self.target))
                pumps = [threading.Thread(target=self.pump, args=(outer, inner), daemon=True),
                         threading.Thread(target=self.pump, args=(inner, outer, broken), daemon=True)]
                for pump in pumps:
                    pump.start()

    @staticmethod
    def pump(source, sink, broken=False):
        """Copies until the end. A broken one stops at the server's first HEADERS frame: its answer begins there."""
        data = b""
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                data += part
                if broken and Breaking.has_headers(data):
                    break
                sink.sendall(part)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # each pump closes the end it reads

    @staticmethod
    def has_headers(data):
        """Walks HTTP/2 frames: 3 bytes of length, 1 of type (1: HEADERS), 5 more."""
        while len(data) >= 9:
            if data[3] == 1:
                return True
            data = data[9 + int.from_bytes(data[:3], "big"):]
        return False


class Real(Case):
    """Against bounceline-controlplane, with a fresh log for each test and no data plane."""

    SETTINGS = """controlplane:
  socket: {dir}/control.sock
  socket_mode: 0666
  sync_socket: {dir}/sync.sock
  data_directory: {dir}/log
  url: https://delist.example.net/?ip={{address}}
  sources:
    - name: first
      code: 610
    - name: second
      code: 620
      action: drop
  actors:
    - name: watcher
      uid: 65534
      role: reader
client:
  socket: {dir}/control.sock
"""

    def setUp(self):
        super().setUp()
        self.config = self.write("bounceline.yaml", self.SETTINGS.format(dir=self.dir))
        self.start()
        self.addCleanup(self.stop)

    def start(self):
        self.log = open(self.dir / "controlplane.log", "ab")
        self.process = subprocess.Popen([str(BUILD / "bounceline-controlplane"), "--config", str(self.config)],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 20
        while run("--config", self.config, "status").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError("no control plane:\n" + (self.dir / "controlplane.log").read_text())
            time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait(10)
        self.log.close()

    def ask(self, *arguments, **options):
        return run("--config", self.config, *arguments, **options)

    def shown(self, code, *arguments, **options):
        """The JSON of a command that must end with `code`."""
        done = self.expect(code, self.ask(*arguments, "--json", **options))
        shown = json.loads(done.stdout)
        self.assertEqual(shown["exit_code"], code)
        return shown

    def looked_up(self, address, listed):
        return self.shown(0 if listed else 1, "lookup", address)["lookups"][0]

    def test_list_and_delist(self):
        self.looked_up("192.0.2.7", False)
        shown = self.shown(0, "list", "192.0.2.7", "--code", "612", "--reason", "spam run", "--for", "1h")
        self.assertEqual((shown["n_applied"], shown["durable"], shown["items"][0]["outcome"]), (1, True, "applied"))
        found = self.looked_up("192.0.2.7", True)
        self.assertEqual((found["prefix"], found["code"], found["action"]), ("192.0.2.7/32", 612, "reject"))
        layer = found["layers"][0]
        self.assertEqual((layer["kind"], layer["prefix"], layer["code"], layer["reason"], layer["effective"]),
                         ("operator_listing", "192.0.2.7/32", 612, "spam run", True))
        self.assertAlmostEqual(layer["expires_at_ms"] / 1000, time.time() + 3600, delta=60)
        self.assertEqual(self.shown(0, "delist", "192.0.2.7")["n_removed"], 1)
        self.looked_up("192.0.2.7", False)
        done = self.expect(1, self.ask("delist", "192.0.2.9"))
        self.assertIn("delist 192.0.2.9/32: not listed", done.stdout)

    def test_a_delist_says_that_a_wider_listing_stays(self):
        self.expect(0, self.ask("list", "198.51.100.0/24", "198.51.100.7"))
        done = self.expect(0, self.ask("delist", "198.51.100.7"))
        self.assertRegex(done.stdout, r"^delisted 198\.51\.100\.7/32: removed, but a wider listing stays: "
                                      r"198\.51\.100\.0/24 by operator; serial 2, durable")
        self.looked_up("198.51.100.7", True)

    def test_a_delist_of_a_wider_listing_is_an_exemption_from_it(self):
        self.expect(0, self.ask("list", "192.0.2.0/24", "--source", "first"))
        shown = self.shown(0, "delist", "192.0.2.7")
        self.assertEqual(shown["items"][0]["outcome"], "exempted")
        found = self.looked_up("192.0.2.7", False)
        self.assertEqual([(layer["kind"], layer["suppressed"]) for layer in found["layers"]
                          if layer["kind"] == "listing"], [("listing", True)])
        self.assertEqual([layer["kind"] for layer in found["layers"] if layer["effective"]], ["delist"])
        self.assertEqual(self.looked_up("192.0.2.8", True)["code"], 610)

    def test_exempt_and_unexempt(self):
        self.expect(0, self.ask("list", "192.0.2.7", "--source", "second"))
        self.assertEqual(self.looked_up("192.0.2.7", True)["action"], "drop")
        self.expect(0, self.ask("exempt", "192.0.2.0/24", "--reason", "ours"))
        found = self.looked_up("192.0.2.7", False)
        self.assertEqual((found["layers"][0]["kind"], found["layers"][0]["effective"]), ("exemption", True))
        self.assertIn("  decides    exemption 192.0.2.0/24", self.ask("lookup", "192.0.2.7").stdout)
        self.expect(0, self.ask("unexempt", "192.0.2.0/24"))
        self.looked_up("192.0.2.7", True)
        self.assertIn("not exempt", self.expect(1, self.ask("unexempt", "192.0.2.0/24")).stdout)

    def test_a_source_drops_its_own_listing(self):
        for source in ("first", "second"):
            self.expect(0, self.ask("list", "192.0.2.7", "--source", source))
        self.assertEqual(self.looked_up("192.0.2.7", True)["code"], 610)
        self.expect(0, self.ask("delist", "192.0.2.7", "--source", "first"))
        self.assertEqual(self.looked_up("192.0.2.7", True)["code"], 620)

    def test_all_prefixes_or_none(self):
        done = self.expect(1, self.ask("list", "192.0.2.7", "127.0.0.1"))
        self.assertIn("list 127.0.0.1/32: refused (never listed): touches 127.0.0.0/8", done.stderr)
        self.looked_up("192.0.2.7", False)
        for prefix, words in (("0.0.0.0/0", "refused"), ("10.0.0.0/7", "refused"), ("::/0", "refused"),
                              ("2000::/18", "refused")):
            self.assertIn(words, self.expect(1, self.ask("list", prefix)).stderr)

    def test_ipv6_without_a_length(self):
        self.expect(0, self.ask("list", "2001:db8:1:2:3::4"))
        self.assertEqual(self.looked_up("2001:db8:1:2:ffff::", True)["prefix"], "2001:db8:1:2::/64")
        self.looked_up("2001:db8:1:3::", False)

    def test_durable_but_not_enforced(self):
        """No data plane is connected."""
        done = self.expect(4, self.ask("list", "192.0.2.7", "--wait", "enforced", "--deadline", "300ms"))
        self.assertIn("durable, not enforced: no data plane is connected, in ", done.stdout)
        shown = self.shown(4, "delist", "192.0.2.7", "--wait", "enforced", "--deadline", "300ms")
        self.assertEqual((shown["durable"], shown["enforced"]), (True, False))
        self.looked_up("192.0.2.7", False)

    def test_status(self):
        before = self.shown(0, "status")
        self.expect(0, self.ask("list", "192.0.2.7", "2001:db8::/48"))
        self.expect(0, self.ask("exempt", "198.51.100.0/24"))
        after = self.shown(0, "status")
        self.assertEqual(after["durable_serial"], before["durable_serial"] + 2)
        self.assertEqual((after["n_listings"], after["n_exemptions"], after["dataplanes"]), (2, 1, []))
        self.assertNotEqual(after["digest"], before["digest"])
        self.assertEqual((after["epoch"], after["write_fault"]), (before["epoch"], ""))
        self.assertIn("no data plane is connected", self.expect(0, self.ask("status")).stdout)

    def test_import(self):
        path = self.write("list.txt", "".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(100000)))
        shown = self.shown(0, "import", path, "--source", "first")
        self.assertEqual((shown["n_prefixes"], shown["n_applied"]), (100000, 100000))
        self.assertEqual(self.looked_up("10.1.134.159", True)["code"], 610)
        self.looked_up("10.1.134.160", False)
        self.assertEqual(self.shown(0, "status")["n_listings"], 100000)
        self.assertEqual(self.shown(0, "import", path, "--source", "first")["n_unchanged"], 100000)

    def test_import_is_refused_whole(self):
        done = self.expect(1, self.ask("import", "-", stdin="192.0.2.7\n# c\n127.0.0.1\n"))
        self.assertIn("line 3: 127.0.0.1/32: refused (never listed): touches 127.0.0.0/8", done.stderr)
        self.assertEqual(self.shown(0, "status")["n_listings"], 0)

    def test_import_of_ipv6_takes_the_unit(self):
        self.expect(0, self.ask("import", "-", stdin="2001:db8:1:2:3::4\n2001:db8:9::/48\n2001:db8:7::7/128\n"))
        self.assertEqual(self.looked_up("2001:db8:1:2::", True)["prefix"], "2001:db8:1:2::/64")
        self.looked_up("2001:db8:9:9::/64", True)
        self.looked_up("2001:db8:7::7/128", True)
        self.looked_up("2001:db8:7::8/128", False)

    def test_a_change_that_is_too_large_is_held(self):
        first = "".join(f"10.0.{i >> 8}.{i & 255}\n" for i in range(20000))
        second = "".join(f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(100000))
        self.expect(0, self.ask("import", "-", "--source", "first", stdin=first))
        done = self.expect(1, self.ask("import", "-", "--source", "first", stdin=second))
        self.assertIn("held for force", done.stderr)
        self.looked_up("11.0.0.0", False)
        self.expect(0, self.ask("import", "-", "--source", "first", "--force", stdin=second))
        self.looked_up("11.0.0.0", True)

    def test_import_of_a_real_list(self):
        path = SHARED_DATA / "ipsum.txt.gz"
        if not path.exists():
            self.skipTest(f"{SHARED_DATA} (BL_SHARED_DATA) has no ipsum.txt.gz")
        with gzip.open(path, "rt") as file:
            addresses = [line.split()[0] for line in file if line[:1].isdigit()]
        shown = self.shown(0, "import", "-", "--source", "first", stdin="\n".join(addresses))
        self.assertEqual(shown["n_applied"] + shown["n_duplicates"], len(addresses))
        self.looked_up(addresses[-1], True)
        print(f"{len(addresses)} real addresses in {shown['elapsed_us'] / 1000:.0f} ms", flush=True)

    def test_a_reader_may_not_write(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become somebody else")
        self.dir.chmod(0o755)
        copy = shutil.copy(BUILD / "bounceline", self.dir)

        def as_nobody(*arguments):
            return subprocess.run([copy, "--socket", self.dir / "control.sock", *arguments], user=65534, group=65534,
                                  extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        self.expect(0, as_nobody("status"))
        done = self.expect(1, as_nobody("list", "192.0.2.7"))
        self.assertIn("watcher", done.stderr)
        self.looked_up("192.0.2.7", False)

    def test_a_control_plane_that_is_gone(self):
        self.stop()
        done = self.expect(3, self.ask("list", "192.0.2.7"))
        self.assertIn("can't reach the control plane", done.stderr)
        self.start()
        self.looked_up("192.0.2.7", False)


if __name__ == "__main__":
    unittest.main(verbosity=2)
