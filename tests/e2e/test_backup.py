#!/usr/bin/python3
"""Backup and restore, with the real programs: a backup is taken while batches come, and holds a whole beginning of them;
a restore gives a new epoch, which data plane and watcher meet; what is damaged or in use is refused and the log untouched.
BL_BUILD: where the programs are (default: build). Exit 0: all that is printed held; 1: something did not.
"""
import pathlib
import signal
import sqlite3
import stat
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import NOBODY, PROGRAM, READER, Code, ControlPlane, DataPlane, apply, pb, refused, update, wait_for  # noqa: E402,F401 pylint: disable=line-too-long


def run(plane, *words, code=0, program="bounceline", **options):
    done = subprocess.run([str(PROGRAM.parent / program), *words], stderr=subprocess.PIPE, timeout=60, check=False, **options)
    said = done.stderr.decode()
    assert done.returncode == code, (words, done.returncode, said)
    return said


def backup(plane, target, **options):
    return run(plane, "backup", str(target), "--socket", str(plane.socket), **options)


def restore(plane, source, **options):
    return run(plane, "restore", str(source), "--config", str(plane.config), **options)


def content(plane):
    """The names and bytes of what must not change when a restore is refused."""
    return {path.name: path.read_bytes() for path in (plane.dir / "log").glob("log.sqlite*") if path.stat().st_size != 0}


def listed(stub, prefix):
    return len(stub.Lookup(pb.LookupRequest(prefix=prefix), timeout=10).layers) != 0


def test_while_batches_come(plane, target):
    stub = plane.stub()
    apply(stub, *(update("LIST", f"198.51.{i >> 8}.{i & 255}", reason="x" * 100) for i in range(8000)))
    n_done, over = [0], threading.Event()

    def write():
        mine = plane.stub()
        while not over.is_set():
            n_done[0] += 1
            apply(mine, update("LIST", f"203.0.{n_done[0] >> 8}.{n_done[0] & 255}", reason="y" * 200))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for("the first batches", lambda: n_done[0] > 20)
        before = n_done[0] - 1
        backup(plane, target)
        wait_for("more batches", lambda: n_done[0] > before + 5)
    finally:
        over.set()
        writer.join()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.glob(target.name + "*")] == [target.name], "a temporary file was left"
    assert not list((plane.dir / "log").glob("backup-*")), "the copy was left"
    with sqlite3.connect(f"file:{target}?mode=ro&immutable=1", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        first, last, n = db.execute("SELECT min(serial), max(serial), count(*) FROM record").fetchone()
        assert first == 1 and n == last, (first, last, n)
        assert last >= before + 1, f"{last} records, and {before + 1} were answered before the backup began"
    print(f"ok    a backup beside batches: {last} records of {n_done[0] + 1}")
    return last


def test_restore(plane, target, n_records):
    epoch = plane.status().epoch
    with DataPlane(plane) as edge:
        apply(plane.stub(), update("LIST", "192.0.2.77"), enforced=True)
        held = edge.held()
    assert held[0] == epoch
    assert "in use by another process" in restore(plane, target, code=1)
    assert plane.kill(signal.SIGTERM) == 0
    restore(plane, target)
    aside = list((plane.dir / "log").glob("log.sqlite.before-*"))
    assert len(aside) == 1, aside
    with sqlite3.connect(f"file:{aside[0]}?mode=ro&immutable=1", uri=True) as db:
        assert db.execute("SELECT max(serial) FROM record").fetchone()[0] > n_records, "the old log is not whole"
    plane.start()
    status = plane.status()
    assert status.durable_serial == n_records and status.epoch not in (0, epoch), status
    stub = plane.stub()
    assert listed(stub, "198.51.0.1") and not listed(stub, "192.0.2.77")
    with DataPlane(plane, held=held) as edge:
        wait_for("the data plane", lambda: edge.epoch == status.epoch)
        assert edge.n_snapshots == 1, "a follower of the log before must be given the whole list"
        assert not any(address == bytes([192, 0, 2, 77]) for (address, _), _ in edge.entries.items())
    watching = stub.Watch(pb.WatchRequest(from_serial=n_records, epoch=epoch), timeout=10)
    assert "take an Export" in refused(lambda: next(watching), Code.FAILED_PRECONDITION)
    result = apply(stub, update("LIST", "192.0.2.78"))
    assert (result.serial, result.epoch) == (n_records + 1, status.epoch)
    change = next(stub.Watch(pb.WatchRequest(from_serial=n_records, epoch=status.epoch), timeout=10))
    assert (change.serial, change.epoch) == (n_records + 1, status.epoch), change
    change = next(stub.Watch(pb.WatchRequest(from_serial=0, epoch=status.epoch), timeout=10))
    assert (change.serial, change.epoch) == (1, status.epoch), "records of before are told under the new epoch"
    plane.kill()
    plane.start()
    assert plane.status().epoch == status.epoch and plane.status().durable_serial == n_records + 1
    print("ok    a restore: a new epoch, for the data plane and for watchers; records of before and after it")


def test_damaged(plane, target):
    data = target.read_bytes()
    assert plane.kill(signal.SIGTERM) == 0
    before = content(plane)
    bad = target.with_suffix(".bad")
    at = data.index(b"y" * 100)
    for name, damaged in (("a changed byte", data[:at] + b"z" + data[at + 1:]), ("cut short", data[:len(data) // 2]),
                          ("empty", b""), ("another file", b"no log\n" * 1000),
                          ("a later version", data[:60] + (99).to_bytes(4, "big") + data[64:])):
        bad.write_bytes(damaged)
        said = restore(plane, bad, code=1)
        assert said.strip() and content(plane) == before, (name, said)
        assert not (plane.dir / "log/restoring").exists(), name
    plane.start()
    print("ok    damaged backups are refused, and the log is as it was")


def test_stopped(plane, target):
    """Of a control plane that does not run; and only administrators."""
    said = backup(plane, "/tmp/nowhere/at/all", code=1)
    assert "No such file" in said, said
    serial = plane.status().durable_serial
    assert plane.kill() == -signal.SIGKILL
    assert backup(plane, target, code=3)
    with open(target, "wb") as out:
        run(plane, "--backup", "--config", str(plane.config), program="bounceline-controlplane", stdout=out)
    restore(plane, target)
    plane.start()
    assert plane.status().durable_serial == serial
    print("ok    a backup of a control plane that was killed")


def main():
    with ControlPlane() as plane:
        target = plane.dir / "list.backup"
        n_records = test_while_batches_come(plane, target)
        test_restore(plane, target, n_records)
        test_damaged(plane, target)
        test_stopped(plane, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
