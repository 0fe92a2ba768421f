#!/usr/bin/python3
"""The control plane as its peers see it: a stock gRPC client on one side, a data plane made of Python on the other
(tests/lib/controlplane.py). Each case starts a control plane of its own in a directory of its own, and ends it.
BL_BUILD: where bounceline-controlplane is (default: build). Arguments: the cases to run (default: all).
Exit 0: all that is printed held; 1: something did not. The cases with other users need root.
"""
import contextlib
import ipaddress
import os
import pathlib
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import (FEEDER, MODULES, NOBODY, PROGRAM, READER, URL, Code, ControlPlane, DataPlane, apply, batch,
                          outcomes, pb, refused, services, sync, update, wait_for)  # noqa: E402


# The list.


def test_list_delist_exempt_unexempt_lookup(plane):
    stub = plane.stub()
    result = apply(stub, update("LIST", "192.0.2.0/24", reason="spam", code=606), update("LIST", "2001:db8::1"))
    assert outcomes(result) == ["APPLIED", "APPLIED"], result
    assert result.durable and not result.enforced and result.serial == 1 and result.n_applied == 2
    look = stub.Lookup(pb.LookupRequest(prefix="192.0.2.7"))
    assert look.listed and look.code == 606 and look.prefix == "192.0.2.7/32" and look.serial == 1
    assert [(layer.prefix, layer.source, layer.actor, layer.effective) for layer in look.layers] == \
        [("192.0.2.0/24", "operator", "root", True)], look
    assert stub.Lookup(pb.LookupRequest(prefix="2001:db8::99")).prefix == "2001:db8::/64"
    assert stub.Lookup(pb.LookupRequest(prefix="2001:db8::99")).listed
    assert outcomes(apply(stub, update("LIST", "192.0.2.0/24", reason="spam", code=606))) == ["UNCHANGED"]
    assert outcomes(apply(stub, update("EXEMPT", "192.0.2.128/25"))) == ["APPLIED"]
    look = stub.Lookup(pb.LookupRequest(prefix="192.0.2.129"))
    assert not look.listed and look.class_id == 63 and look.layers[0].kind == pb.LAYER_KIND_EXEMPTION
    assert stub.Lookup(pb.LookupRequest(prefix="192.0.2.1")).listed
    assert outcomes(apply(stub, update("UNEXEMPT", "192.0.2.128/25"))) == ["APPLIED"]
    assert outcomes(apply(stub, update("UNEXEMPT", "192.0.2.128/25"))) == ["NOT_LISTED"]
    assert stub.Lookup(pb.LookupRequest(prefix="192.0.2.129")).listed
    assert outcomes(apply(stub, update("LIST", "198.51.100.0/24", source="drop"))) == ["APPLIED"]
    assert stub.Lookup(pb.LookupRequest(prefix="198.51.100.1")).code == 607
    assert outcomes(apply(stub, update("DELIST", "198.51.100.9"))) == ["EXEMPTED"]
    assert not stub.Lookup(pb.LookupRequest(prefix="198.51.100.9")).listed
    assert stub.Lookup(pb.LookupRequest(prefix="198.51.100.8")).listed
    assert outcomes(apply(stub, update("DELIST", "198.51.100.0/24"))) == ["REMOVED"]
    assert not stub.Lookup(pb.LookupRequest(prefix="198.51.100.8")).listed
    assert outcomes(apply(stub, update("DELIST", "203.0.113.1"))) == ["NOT_LISTED"]
    detail = refused(lambda: stub.Lookup(pb.LookupRequest(prefix="192.0.2.256")), Code.INVALID_ARGUMENT)
    assert "192.0.2.256" in detail, detail


def test_items_are_decided_one_by_one_and_atomic_all_or_none(plane):
    stub = plane.stub()
    updates = [update("LIST", "192.0.2.1"), update("LIST", "192.0.2.999"), update("LIST", "0.0.0.0/0"),
               update("LIST", "192.0.2.2", code=700), pb.Update(prefix="192.0.2.3")]
    result = apply(stub, *updates)
    assert outcomes(result) == ["APPLIED", "REFUSED", "REFUSED", "REFUSED", "REFUSED"], result
    assert [item.refusal for item in result.items[1:3]] == [pb.REFUSAL_INVALID, pb.REFUSAL_TOO_WIDE], result
    assert all(item.detail for item in result.items[1:]) and result.n_applied == 1 and result.n_refused == 4
    before = plane.status()
    result = apply(stub, update("LIST", "192.0.2.50"), update("LIST", "x"), atomic=True)
    assert outcomes(result) == ["REFUSED", "REFUSED"] and result.serial == 0, result
    after = plane.status()
    assert (after.durable_serial, after.digest_lo) == (before.durable_serial, before.digest_lo)
    assert not stub.Lookup(pb.LookupRequest(prefix="192.0.2.50")).listed
    # Text that a client cut in the middle of a character comes back as text.
    result = apply(stub, update("LIST", "ä" * 300))
    assert outcomes(result) == ["REFUSED"]


def test_bulk_of_100k(plane):
    stub = plane.stub()
    addresses = b"".join(struct.pack(">I", 0x64400000 + 3 * i) for i in range(100000))
    bulk = pb.BulkUpdate(kind=pb.UPDATE_KIND_LIST, source="drop", ipv4_addresses=addresses)
    begin = time.monotonic()
    result = stub.Apply(pb.UpdateBatch(bulk=bulk), timeout=120)
    took = time.monotonic() - begin
    assert result.n_applied == 100000 and result.serial == 1 and not result.items, result
    status = plane.status()
    assert status.n_listings == 100000 and status.n_effective_ipv4 == 100000
    with DataPlane(plane) as edge:
        wait_for("a snapshot", lambda: edge.serial == 1)
        assert len(edge.entries) == 100000 and edge.digest == (status.digest_hi, status.digest_lo)
        bulk.kind = pb.UPDATE_KIND_DELIST
        held = stub.Apply(pb.UpdateBatch(bulk=bulk), timeout=120)
        assert held.serial == 0 and held.n_refused == 100000, held
        result = stub.Apply(pb.UpdateBatch(bulk=bulk, force=True, wait=pb.WAIT_LEVEL_ENFORCED), timeout=120)
        assert result.enforced and plane.status().n_listings == 0, result
        # 100,000 changes are three frames of one serial.
        assert not edge.entries and edge.n_deltas == 1
    print(f"    100,000 listings in one bulk: {took * 1000:.0f} ms")


def test_retries_get_the_first_answer_also_after_a_restart(plane):
    stub = plane.stub()
    first_batch = batch(update("LIST", "192.0.2.1"), update("LIST", "bad"), session="s", sequence=1)
    first = stub.Apply(first_batch)
    again = stub.Apply(first_batch)
    assert not first.repeated_answer and again.repeated_answer
    again.repeated_answer = False
    assert again == first and first.session == "s" and first.sequence == 1, (first, again)
    other = batch(update("LIST", "192.0.2.2"), session="s", sequence=1)
    detail = refused(lambda: stub.Apply(other), Code.ALREADY_EXISTS)
    assert "s" in detail and "1" in detail, detail
    assert not stub.Lookup(pb.LookupRequest(prefix="192.0.2.2")).listed
    assert plane.status().durable_serial == 1
    plane.kill()
    plane.start()
    stub = plane.stub()
    again = stub.Apply(first_batch)
    assert again.repeated_answer and again.serial == first.serial and again.items == first.items
    refused(lambda: stub.Apply(other), Code.ALREADY_EXISTS)
    assert plane.status().durable_serial == 1
    # At once, on several channels: one of them is first, and all have one answer.
    many = batch(update("LIST", "192.0.2.77"), session="s", sequence=2)
    calls = [plane.stub().Apply.future(many) for _ in range(20)]
    answers = [call.result() for call in calls]
    assert {answer.serial for answer in answers} == {2} and sum(not a.repeated_answer for a in answers) == 1


def test_expected_serial(plane):
    stub = plane.stub()
    assert apply(stub, update("LIST", "192.0.2.1")).serial == 1
    assert apply(stub, update("LIST", "192.0.2.2"), expected_serial=1).serial == 2
    detail = refused(lambda: apply(stub, update("LIST", "192.0.2.3"), expected_serial=1), Code.ABORTED)
    assert "1" in detail and "2" in detail, detail
    assert not stub.Lookup(pb.LookupRequest(prefix="192.0.2.3")).listed


def test_expiry(plane):
    stub = plane.stub()
    soon = int(time.time() * 1000) + 1500
    apply(stub, update("LIST", "192.0.2.1", expires_at_ms=soon), update("LIST", "192.0.2.2"))
    with DataPlane(plane) as edge:
        wait_for("listed", lambda: len(edge.entries) == 2)
        wait_for("expired", lambda: len(edge.entries) == 1, 5)
    assert not stub.Lookup(pb.LookupRequest(prefix="192.0.2.1")).listed
    status = plane.status()
    assert (status.durable_serial, status.n_listings) == (2, 1), status
    plane.kill()
    plane.start()
    again = plane.status()
    assert (again.durable_serial, again.n_listings, again.digest_lo) == (2, 1, status.digest_lo)


# Restart.


def fill(stub, n=120):
    for i in range(n):
        kind = "EXEMPT" if i % 10 == 9 else "DELIST" if i % 10 == 8 else "LIST"
        source = {} if kind != "LIST" else {"source": "drop"} if i % 2 else {"source": "other", "code": 620 + i % 5}
        apply(stub, update(kind, f"198.51.{100 + i % 3}.{i - i % 4}/30", **source), session="fill", sequence=i)


def test_restart_keeps_the_list_with_and_without_a_snapshot():
    for extra in ("", "  snapshot_records: 50\n"):
        with ControlPlane(extra) as plane:
            fill(plane.stub())
            before = plane.status()
            looks = [plane.stub().Lookup(pb.LookupRequest(prefix=f"198.51.100.{i}")) for i in range(0, 120, 7)]
            assert ("snapshot at serial" in plane.said()) == bool(extra)
            for number in (signal.SIGKILL, signal.SIGTERM):
                code = plane.kill(number)
                assert code == (0 if number == signal.SIGTERM else -9), code
                plane.start()
                after = plane.status()
                for field in ("epoch", "durable_serial", "digest_hi", "digest_lo", "n_listings", "n_exemptions",
                              "n_delists", "n_effective_ipv4", "n_classes"):
                    assert getattr(before, field) == getattr(after, field), field
                assert looks == [plane.stub().Lookup(pb.LookupRequest(prefix=f"198.51.100.{i}"))
                                 for i in range(0, 120, 7)]
            again = plane.stub().Apply(batch(update("LIST", "198.51.100.0/30", source="other", code=620),
                                             session="fill", sequence=0))
            assert again.repeated_answer


def test_a_second_program_is_refused(plane):
    second = subprocess.run([str(PROGRAM), "--config", str(plane.config)], stdin=subprocess.DEVNULL,
                            capture_output=True, timeout=30, check=False)
    assert second.returncode == 1 and b"bounceline-controlplane: " in second.stderr, second
    assert plane.status().durable_serial == 0


def test_sigterm_answers_what_is_in_flight_and_waits_for_nobody_for_long(plane):
    stub = plane.stub()
    stuck = socket.socket(socket.AF_UNIX)
    stuck.connect(str(plane.socket))
    stuck.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    with DataPlane(plane, acknowledge=False) as edge:
        wait_for("connected", lambda: edge.greeting is not None)
        call = stub.Apply.future(batch(update("LIST", "192.0.2.1"), enforced=True, deadline_ms=60000))
        wait_for("durable", lambda: plane.status().durable_serial == 1)
        begin = time.monotonic()
        assert plane.kill(signal.SIGTERM) == 0
        took = time.monotonic() - begin
        result = call.result()
        assert result.durable and not result.enforced and result.dataplanes_connected == 1, result
        assert took < 6, took
    stuck.close()
    assert not plane.socket.exists()


# Who may do what.


def as_user(uid, work):
    """Runs work() in a child of another user; returns what it printed."""
    reading, writing = os.pipe()
    child = subprocess.Popen([sys.executable, __file__, "--as", str(uid), *work], stdout=writing,
                             env={**os.environ, "BL_TEST_MODULES": MODULES, "PYTHONDONTWRITEBYTECODE": "1"})
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read().split("\n")
    child.wait(30)
    return [line for line in said if line]


def client_main(uid, target, *calls):
    """The child of as_user: makes the calls, prints a line for each."""
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
    stub = services.ListControlStub(grpc.insecure_channel(f"unix:{target}"))
    requests = {
        "status": lambda: stub.GetStatus(pb.GetStatusRequest(), timeout=10),
        "lookup": lambda: stub.Lookup(pb.LookupRequest(prefix="192.0.2.1"), timeout=10),
        "push": lambda: list(stub.Push(iter([pb.UpdateBatch()]), timeout=10)),
        "list": lambda: apply(stub, update("LIST", "192.0.2.1")),
        "list-as-other": lambda: apply(stub, update("LIST", "192.0.2.2", source="other")),
        "delist": lambda: apply(stub, update("DELIST", "192.0.2.9")),
        "exempt": lambda: apply(stub, update("EXEMPT", "192.0.2.1")),
    }
    for call in calls:
        try:
            result = requests[call]()
            print(*(outcomes(result) if hasattr(result, "items") else ["ok"]), flush=True)
        except grpc.RpcError as error:
            print(error.code().name, error.details(), flush=True)


SECOND_SOCKET = """    - name: web
      group: daemon
      role: delister
      updates_per_day: 1
  sockets:
    - path: {path}
      group: daemon
      mode: 0660
      role: delister
"""


def test_second_socket():
    """A socket of a group and a role: its member delists once a day, root is a delister there, others stay out."""
    if os.geteuid() != 0:
        print("    skipped: needs root to become somebody else")
        return
    with tempfile.TemporaryDirectory(prefix="bounceline-test-") as folder:
        os.chmod(folder, 0o755)
        path = pathlib.Path(folder) / "portal.sock"
        with ControlPlane(extra=SECOND_SOCKET.format(path=path)) as plane:
            status = path.stat()
            assert (status.st_mode & 0o777, status.st_gid) == (0o660, 1), status
            said = as_user(1, [str(path), "status", "lookup", "delist", "delist"])
            assert said[0].startswith("PERMISSION_DENIED") and "web" in said[0], said
            assert said[1:3] == ["ok", "NOT_LISTED"], said
            assert said[3].startswith("RESOURCE_EXHAUSTED") and "more than 1 updates a day" in said[3], said
            said = as_user(0, [str(path), "list", "status"])
            assert said[0] == "REFUSED" and said[1].startswith("PERMISSION_DENIED"), said
            said = as_user(0, [str(plane.socket), "list", "status"])
            assert said == ["APPLIED", "ok"], said
            assert as_user(READER, [str(path), "lookup"])[0].startswith("UNAVAILABLE")
            assert plane.kill(signal.SIGTERM) == 0 and not path.exists()


def test_users_and_roles(plane):
    if os.geteuid() != 0:
        print("    skipped: needs root to become somebody else")
        return
    said = as_user(NOBODY, [str(plane.socket), "status", "lookup", "list", "push"])
    assert len(said) == 4 and all(line.startswith("PERMISSION_DENIED") and str(NOBODY) in line for line in said), said
    said = as_user(READER, [str(plane.socket), "status", "lookup", "list"])
    assert said[:2] == ["ok", "ok"] and said[2].startswith("PERMISSION_DENIED") and "reader" in said[2], said
    said = as_user(FEEDER, [str(plane.socket), "status", "list", "list-as-other", "exempt"])
    assert said == ["ok", "APPLIED", "REFUSED", "REFUSED"], said
    look = plane.stub().Lookup(pb.LookupRequest(prefix="192.0.2.1"))
    assert [(layer.source, layer.actor) for layer in look.layers] == [("drop", "importer")], look
    # Connections come and go, of users with rights and without: nobody is ever taken for another.
    for _ in range(5):
        plane.status()
        assert as_user(NOBODY, [str(plane.socket), "status"])[0].startswith("PERMISSION_DENIED")
    assert plane.stub().Lookup(pb.LookupRequest(prefix="192.0.2.1")).listed


def test_runs_without_privileges():
    if os.geteuid() != 0:
        print("    skipped: needs root to drop it")
        return
    with ControlPlane("  user: nobody\n") as plane:
        state = pathlib.Path(f"/proc/{plane.process.pid}/status").read_text()
        uids = next(line for line in state.split("\n") if line.startswith("Uid:")).split()[1:]
        assert set(uids) == {str(NOBODY)}, state
        assert apply(plane.stub(), update("LIST", "192.0.2.1")).durable
        assert (plane.dir / "log").stat().st_uid == NOBODY
        assert (plane.dir / "run/sync.sock").stat().st_mode & 0o777 == 0o600
        said = as_user(NOBODY, [str(plane.socket), "list"])
        assert said == ["UNCHANGED"] or said == ["APPLIED"], said  # its own user is an administrator


# Hostile and unlucky clients.


def raw(plane, method, data, **options):
    channel = plane.channel()
    call = channel.unary_unary(f"/bounceline.v1.ListControl/{method}")
    return call(data, timeout=30, **options)


def test_unimplemented_methods(plane):
    refused(lambda: raw(plane, "Nothing", b""), Code.UNIMPLEMENTED)
    refused(lambda: plane.channel().unary_unary("/other.Service/Apply")(b""), Code.UNIMPLEMENTED)


def resident_mib(plane):
    state = pathlib.Path(f"/proc/{plane.process.pid}/status").read_text()
    return int(next(line for line in state.split("\n") if line.startswith("VmRSS:")).split()[1]) / 1024


def test_decoding_bombs(plane):
    mib = 1 << 20
    empty = bytes([3 << 3 | 2, 0])
    bombs = {
        "unknown fields": (b"\xf8\x01" * (mib // 2), Code.INVALID_ARGUMENT, "31"),
        "10,001 empty updates": (empty * 10001, Code.RESOURCE_EXHAUSTED, "updates"),
        "500,000 empty updates": (empty * 500000, Code.RESOURCE_EXHAUSTED, "updates"),
        "a text again and again": ((b"\x0a\x40" + b"s" * 64) * 10000, Code.INVALID_ARGUMENT, "session"),
        "bytes again and again": (b"\x22\x82\x04" + (b"\x4a\xfe\x01" + b"x" * 254) * 2, Code.INVALID_ARGUMENT,
                                  "ipv4_addresses"),
        "a length beyond the end": (b"\x0a\xff\xff\xff\xff\x0f", Code.INVALID_ARGUMENT, "session"),
        "no UTF-8": (b"\x0a\x02\xc3\x28", Code.INVALID_ARGUMENT, "session"),
        "nothing": (b"", Code.INVALID_ARGUMENT, "updates"),
    }
    before = resident_mib(plane)
    for name, (data, code, field) in bombs.items():
        detail = refused(lambda d=data: raw(plane, "Apply", d), code)
        assert field in detail, f"{name}: {detail} does not name {field}"
    detail = refused(lambda: raw(plane, "GetStatus", b"\x08\x01"), Code.INVALID_ARGUMENT)
    refused(lambda: raw(plane, "Lookup", b"\x0a\xc8\x01" + b"1" * 200), Code.INVALID_ARGUMENT)
    assert resident_mib(plane) - before < 150, (before, resident_mib(plane))
    assert plane.status().durable_serial == 0


def test_oversize_and_compressed_messages(plane):
    refused(lambda: raw(plane, "Apply", bytes(33 << 20)), Code.RESOURCE_EXHAUSTED)
    # 400 MiB of zeros are 400 kB in gzip: nobody may unpack them.
    before = resident_mib(plane)
    for size in (1000, 400 << 20):
        channel = plane.channel()
        call = channel.unary_unary("/bounceline.v1.ListControl/Apply")
        code = None
        try:
            call(bytes(size), timeout=60, compression=grpc.Compression.Gzip)
        except grpc.RpcError as error:
            code = error.code()
        assert code in (Code.UNIMPLEMENTED, Code.INVALID_ARGUMENT, Code.INTERNAL, Code.RESOURCE_EXHAUSTED), code
    assert resident_mib(plane) - before < 100, (before, resident_mib(plane))
    assert apply(plane.stub(), update("LIST", "192.0.2.1")).durable


def test_too_many_calls_are_refused_not_kept(plane):
    with DataPlane(plane, acknowledge=False) as edge:
        wait_for("connected", lambda: edge.greeting is not None)
        stubs = [plane.stub() for _ in range(4)]
        calls = [stubs[i % 4].Apply.future(batch(update("LIST", f"10.0.{i // 250}.{i % 250}"), enforced=True,
                                                 deadline_ms=3000)) for i in range(700)]
        codes = [call.code() for call in calls]
    assert set(codes) == {Code.OK, Code.RESOURCE_EXHAUSTED}, set(codes)
    assert 500 <= codes.count(Code.OK) <= 520, codes.count(Code.OK)
    assert apply(plane.stub(), update("LIST", "192.0.2.1")).durable


def test_a_client_that_goes_away_does_no_harm(plane):
    for _ in range(50):
        channel = plane.channel()
        call = services.ListControlStub(channel).Apply.future(batch(update("LIST", "192.0.2.1")))
        call.cancel()
        channel.close()
    for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(900)):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(plane.socket))
            with contextlib.suppress(OSError):
                client.sendall(garbage)
    assert apply(plane.stub(), update("LIST", "192.0.2.2")).durable


# Disks that fail.


def test_a_full_disk_refuses_writes_until_there_is_room():
    if os.geteuid() != 0:
        print("    skipped: needs root to mount a small disk")
        return
    with ControlPlane() as plane:
        assert plane.kill(signal.SIGTERM) == 0
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0755", "none", str(plane.dir / "log")], check=True)
        try:
            plane.start()
            fill_the_disk(plane)
        finally:
            plane.kill()
            subprocess.run(["umount", str(plane.dir / "log")], check=True)


def fill_the_disk(plane):
    stub = plane.stub()
    assert apply(stub, update("LIST", "192.0.2.1")).serial == 1
    ballast = plane.dir / "log/ballast"
    with open(ballast, "wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
            file.flush()
    # What the log has allocated before still takes some batches.
    refusal, n = None, 0
    while refusal is None and n < 50:
        big = [update("LIST", f"10.{n}.{i // 250}.{i % 250}", reason=f"{i:0150}") for i in range(9000)]
        try:
            assert apply(stub, *big, session="s", sequence=n, force=True).n_applied == 9000
            n += 1
        except grpc.RpcError as error:
            refusal = error
    assert refusal.code() == Code.RESOURCE_EXHAUSTED and "disk full" in refusal.details(), refusal
    status = plane.status()
    assert status.write_fault == "disk full", status
    assert (status.durable_serial, status.n_listings) == (n + 1, 9000 * n + 1), status
    assert stub.Lookup(pb.LookupRequest(prefix="192.0.2.1")).listed
    assert not stub.Lookup(pb.LookupRequest(prefix=f"10.{n}.0.7")).listed
    ballast.unlink()
    result = apply(stub, *big[:1000], session="s", sequence=n, force=True)  # another body: the first was never answered
    assert result.serial == n + 2 and not result.repeated_answer and result.n_applied == 1000, result
    status = plane.status()
    assert status.write_fault == "" and status.n_listings == 9000 * n + 1001, status
    plane.kill()
    plane.start()
    after = plane.status()
    assert (after.durable_serial, after.digest_lo) == (status.durable_serial, status.digest_lo)


def test_a_failed_fsync_ends_the_program_without_an_answer():
    if not shutil.which("strace"):
        print("    skipped: needs strace")
        return
    inject = "inject=fsync,fdatasync:error=EIO:when="
    for when in ("20", "24"):
        wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject + when]
        with ControlPlane(wrapped_in=wrap) as plane:
            stub = plane.stub()
            answered = 0
            with contextlib.suppress(grpc.RpcError):
                for i in range(100):
                    apply(stub, update("LIST", f"192.0.2.{i}"))
                    answered = i + 1
            assert plane.process.wait(10) == 1, plane.said()
            assert "nothing in doubt was answered" in plane.said() and answered < 100
            plane.wrapped_in = []
            plane.start()
            # Nothing that was answered is lost; the one in doubt is there, or it is not.
            status = plane.status()
            assert status.durable_serial in (answered, answered + 1), (status.durable_serial, answered)
            assert status.n_listings == status.durable_serial


# Data planes.


def test_enforced_means_acknowledged(plane):
    stub = plane.stub()
    result = apply(stub, update("LIST", "192.0.2.1"), enforced=True)
    assert result.durable and not result.enforced and result.dataplanes_connected == 0, result
    with DataPlane(plane) as edge:
        wait_for("in sync", lambda: stub.Lookup(pb.LookupRequest(prefix="192.0.2.1")).enforced_serial == 1)
        assert edge.n_snapshots == 1 and edge.greeting.protocol_version == 1
        result = apply(stub, update("LIST", "192.0.2.2"), enforced=True)
        assert result.enforced and (result.dataplanes_enforced, result.dataplanes_connected) == (1, 1), result
        assert edge.n_deltas == 1 and edge.serial == 2 == plane.status().enforced_serial
        assert apply(stub, update("LIST", "192.0.2.2"), enforced=True).enforced  # recorded nothing
        with DataPlane(plane, "slow", acknowledge=False) as slow:
            wait_for("its snapshot", lambda: slow.serial == 2)
            begin = time.monotonic()
            result = apply(stub, update("DELIST", "192.0.2.2", source="operator"), enforced=True, deadline_ms=300)
            took = time.monotonic() - begin
            assert result.durable and not result.enforced, result
            assert (result.dataplanes_enforced, result.dataplanes_connected) == (1, 2), result
            assert 0.29 < took < 1.5, took
            call = stub.Apply.future(batch(update("LIST", "192.0.2.3"), enforced=True, deadline_ms=20000))
            wait_for("its delta", lambda: slow.serial == 4)
            assert not call.done()
            slow.ack()
            assert call.result().enforced
            # One that goes is not waited for.
            call = stub.Apply.future(batch(update("LIST", "192.0.2.4"), enforced=True, deadline_ms=20000))
            wait_for("its delta", lambda: slow.serial == 5)
            assert not call.done()
        result = call.result()
        assert result.enforced and result.dataplanes_connected == 1, result


def test_reports_reach_the_status_and_stand_for_an_ack(plane):
    stub = plane.stub()
    apply(stub, update("LIST", "192.0.2.1"))
    with DataPlane(plane, acknowledge=False) as edge:
        wait_for("its snapshot", lambda: edge.serial == 1)
        assert plane.status().enforced_serial == 0
        edge.report(workers=2, counters=[sync.SyncCounter(name="reject_syn", value=7)])
        wait_for("the report", lambda: plane.status().enforced_serial == 1)
        status = plane.dataplane()
        assert status.connected and status.version == "python" and status.serial == 1 and status.n_entries_ipv4 == 1
        assert [worker.serial for worker in status.workers] == [1, 1]
        assert [(c.name, c.value) for c in status.counters] == [("reject_syn", 7)] and status.age_ms < 5000
        # A report with another digest: the set has rotted, and is sent again.
        edge.digest = (edge.digest[0], edge.digest[1] ^ 1)
        edge.report()
        wait_for("a snapshot", lambda: edge.n_snapshots == 2)
        assert plane.dataplane().n_digest_mismatches == 1
    wait_for("gone", lambda: not plane.dataplane().connected)


def test_versions_and_names_are_refused(plane):
    with DataPlane(plane, version=2) as edge:
        wait_for("a refusal", lambda: edge.closed)
        assert edge.refusal.reason == sync.SyncRefusal.REASON_VERSION and edge.refusal.detail
    with DataPlane(plane, name="caf\u00e9") as edge:
        wait_for("a refusal", lambda: edge.closed)
        assert edge.refusal.reason == sync.SyncRefusal.REASON_MALFORMED
    with DataPlane(plane) as first:
        wait_for("connected", lambda: first.greeting is not None)
        with DataPlane(plane) as second:
            wait_for("a refusal", lambda: second.closed)
            assert second.refusal.reason == sync.SyncRefusal.REASON_NAME_IN_USE
        assert not first.closed
        # Silent for long: replaced by one that speaks.
        time.sleep(5.2)
        with DataPlane(plane) as second:
            wait_for("replaced", lambda: first.closed and second.greeting is not None)
    with DataPlane(plane) as edge:
        wait_for("the name is free", lambda: edge.greeting is not None)
        edge.send(hello=sync.Hello(protocol_version=1, version="python", name="edge"))
        wait_for("a refusal", lambda: edge.closed)
        assert edge.refusal.reason == sync.SyncRefusal.REASON_MALFORMED
    for garbage in (b"\xff\xff\xff\xff", b"\0\0\0\2\xff\xff", b"\0\1\0\0" + bytes(70000)):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(str(plane.dir / "run/sync.sock"))
            with contextlib.suppress(OSError):
                peer.sendall(garbage)
                while peer.recv(4096):
                    pass
    assert plane.status().durable_serial == 0


def test_a_wrong_digest_gets_a_snapshot(plane):
    stub = plane.stub()
    apply(stub, update("LIST", "192.0.2.1"))
    with DataPlane(plane) as edge:
        wait_for("in sync", lambda: plane.status().enforced_serial == 1)
        edge.wrong_digest = True
        call = stub.Apply.future(batch(update("LIST", "192.0.2.2"), enforced=True, deadline_ms=20000))
        wait_for("counted", lambda: plane.dataplane().n_digest_mismatches == 1)
        edge.wrong_digest = False
        result = call.result()
        assert result.enforced and edge.n_snapshots == 2 and edge.serial == 2, result
        assert plane.dataplane().n_resyncs == 2


def test_reconnect_gets_deltas_only(plane):
    stub = plane.stub()
    apply(stub, update("LIST", "192.0.2.1"))
    with DataPlane(plane) as edge:
        wait_for("in sync", lambda: plane.status().enforced_serial == 1)
        apply(stub, update("LIST", "192.0.2.2"), enforced=True)
        held = edge.held()
    for i in range(3, 8):
        apply(stub, update("LIST", f"192.0.2.{i}"))
    with DataPlane(plane, held=held) as edge:
        wait_for("in sync", lambda: plane.status().enforced_serial == 7)
        assert edge.n_snapshots == 0 and edge.n_deltas == 5 and len(edge.entries) == 7
        held = edge.held()
    with DataPlane(plane, held=held, acknowledge=False) as edge:  # holds the last serial already
        wait_for("connected", lambda: edge.greeting is not None)
        edge.ack()
        wait_for("in sync", lambda: plane.status().enforced_serial == 7)
        assert edge.n_snapshots == 0 and edge.n_deltas == 0
    lying = (held[0], held[1], (held[2][0], held[2][1] ^ 1), {})
    with DataPlane(plane, held=lying) as edge:
        wait_for("a snapshot", lambda: edge.n_snapshots == 1 and len(edge.entries) == 7)
    other_epoch = (held[0] ^ 1, held[1], held[2], {})
    with DataPlane(plane, held=other_epoch) as edge:
        wait_for("a snapshot", lambda: edge.n_snapshots == 1 and len(edge.entries) == 7)


def test_kill_and_restart_keep_the_epoch_and_resync(plane):
    stub = plane.stub()
    apply(stub, update("LIST", "192.0.2.1"), update("LIST", "2001:db8::/48"))
    with DataPlane(plane) as edge:
        wait_for("in sync", lambda: plane.status().enforced_serial == 1)
        epoch, digest = edge.epoch, edge.digest
        plane.kill()
        wait_for("closed", lambda: edge.closed)
        held = edge.held()
    plane.start()
    stub = plane.stub()
    with DataPlane(plane, held=held) as edge:
        wait_for("in sync", lambda: plane.status().enforced_serial == 1 or edge.ack())
        assert edge.n_snapshots == 0 and plane.status().epoch == epoch
        assert apply(stub, update("LIST", "192.0.2.9"), enforced=True).enforced and edge.n_deltas == 1
        held = edge.held()
    apply(stub, update("LIST", "192.0.2.10"))
    plane.kill()
    plane.start()
    with DataPlane(plane, held=held) as edge:  # behind, and the ring is empty: a snapshot
        wait_for("in sync", lambda: plane.status().enforced_serial == 3)
        assert edge.n_snapshots == 1 and edge.epoch == epoch and edge.digest != digest
        status = plane.status()
        assert edge.digest == (status.digest_hi, status.digest_lo)


def test_a_data_plane_that_reads_nothing_holds_nobody_up(plane):
    stub = plane.stub()
    with socket.socket(socket.AF_UNIX) as stuck, DataPlane(plane) as edge:
        stuck.connect(str(plane.dir / "run/sync.sock"))
        hello = sync.SyncMessage(hello=sync.Hello(protocol_version=1, version="python", name="stuck"))
        data = hello.SerializeToString()
        stuck.sendall(struct.pack(">I", len(data)) + data)
        wait_for("connected", lambda: plane.dataplane("stuck") is not None)
        addresses = b"".join(struct.pack(">I", 0x64400000 + 3 * i) for i in range(100000))
        bulk = pb.BulkUpdate(kind=pb.UPDATE_KIND_LIST, source="drop", ipv4_addresses=addresses)
        stub.Apply(pb.UpdateBatch(bulk=bulk), timeout=60)
        wait_for("the other is served", lambda: edge.serial == 1)
        result = apply(stub, update("LIST", "192.0.2.1"), enforced=True, deadline_ms=200)
        assert (result.dataplanes_enforced, result.dataplanes_connected) == (1, 2), result
        wait_for("disconnected", lambda: not plane.dataplane("stuck").connected, 15)
        assert apply(stub, update("LIST", "192.0.2.2"), enforced=True).enforced


def test_a_snapshot_changes_with_the_list(plane):
    """One that is slow to take its snapshot: updates go on meanwhile, and what it has in the end is the list."""
    stub = plane.stub()
    first, step, n = 0x0b000000, 977, 150000
    addresses = b"".join(struct.pack(">I", first + step * i) for i in range(n))
    stub.Apply(pb.UpdateBatch(bulk=pb.BulkUpdate(kind=pb.UPDATE_KIND_LIST, source="drop", ipv4_addresses=addresses)),
               timeout=60)
    last = str(ipaddress.ip_address(first + step * (n - 1)))
    with DataPlane(plane) as edge, DataPlane(plane, "late", reads=False) as late:
        wait_for("its snapshot", lambda: edge.serial == 1)
        wait_for("a part of it", lambda: late.waiting_bytes() > 100000)
        # Before what was sent and behind it: new ones, holes, an end; and a class that the first chunk does not define.
        changes = [update("LIST", "11.0.0.1"), update("EXEMPT", "11.0.0.0"), update("EXEMPT", last),
                   update("LIST", "18.255.255.255", code=640), update("LIST", "18.255.0.0/16"),
                   update("UNEXEMPT", "11.0.0.0"), update("EXEMPT", "17.0.0.0/12"), update("DELIST", "18.255.255.255")]
        for i, change in enumerate(changes):
            result = apply(stub, change, enforced=i == 0, deadline_ms=100, force=True)
            assert result.durable and not result.enforced and outcomes(result)[0] not in ("REFUSED", "UNCHANGED"), result
        wait_for("the changes", lambda: edge.serial == 1 + len(changes))
        assert edge.n_deltas == len(changes) and late.serial == 0
        late.reads.set()
        wait_for("the rest", lambda: late.serial == edge.serial)
        assert late.n_snapshots == 1 and late.n_between == len(changes), late.n_between
        assert late.entries == edge.entries and late.digest == edge.digest
        assert apply(stub, update("LIST", "192.0.2.1"), enforced=True).enforced
        assert plane.dataplane("late").n_digest_mismatches == 0


def test_latency(plane):
    stub = plane.stub()
    with DataPlane(plane) as edge:
        wait_for("connected", lambda: edge.greeting is not None)
        for what, enforced in (("durable", False), ("enforced", True)):
            took = []
            for i in range(1000):
                request = batch(update("LIST" if i % 2 else "EXEMPT", f"10.{i % 7}.{i // 250}.{i % 250}"),
                                enforced=enforced)
                begin = time.perf_counter()
                result = stub.Apply(request)
                took.append((time.perf_counter() - begin) * 1000)
                assert result.durable and (result.enforced or not enforced), result
            took.sort()
            print(f"    1000 single Apply on one channel, {what}: median {statistics.median(took):.2f} ms, "
                  f"p99 {took[989]:.2f} ms, largest {took[-1]:.2f} ms")


def check_arguments():
    """--check, --version, --help, a bad option, a bad file."""
    def run(*arguments):
        return subprocess.run([str(PROGRAM), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                              check=False)
    with tempfile.TemporaryDirectory(prefix="bounceline-test-") as folder:
        config = pathlib.Path(folder) / "x.yaml"
        config.write_text(f"controlplane:\n  url: {URL}\n  code: 999\n")
        bad = run("--check", "--config", str(config))
        assert bad.returncode == 1 and b":3: controlplane.code" in bad.stderr, bad
        config.write_text(f"controlplane:\n  url: {URL}\n")
        assert run("--check", "--config", str(config)).returncode == 0
    assert run("--version").stdout.startswith(b"bounceline-controlplane ") and run("--help").returncode == 0
    assert run("--no-such-option").returncode == 2 and run("word").returncode == 2


def main():
    cases = [(name[len("test_"):], case) for name, case in globals().items() if name.startswith("test_")]
    wanted = sys.argv[1:]
    failed = 0
    print(f"control plane: {PROGRAM}")
    for name, case in [("arguments", check_arguments), *cases]:
        if wanted and name not in wanted:
            continue
        begin = time.monotonic()
        try:
            if "plane" in case.__code__.co_varnames[:case.__code__.co_argcount]:
                with ControlPlane() as plane:
                    case(plane)
            else:
                case()
            print(f"ok    {name.replace('_', ' ')} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception:  # every failure of a case is told, and the next one still runs
            failed += 1
            traceback.print_exc()
            print(f"FAIL  {name.replace('_', ' ')}", flush=True)
    print(f"{failed} failed" if failed else "all held")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        client_main(*sys.argv[2:])
    else:
        sys.exit(main())
