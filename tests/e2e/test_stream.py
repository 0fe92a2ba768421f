#!/usr/bin/python3
"""The control plane's streams as a stock gRPC client sees them: Push, Watch, Export, History, health, reflection, and what
becomes of them when the program is killed or its disk is full. Each case starts a control plane of its own in a directory
of its own (tests/lib/controlplane.py), and ends it.
BL_BUILD: where bounceline-controlplane is (default: build). Arguments: the cases to run (default: all).
Exit 0: all that is printed held; 1: something did not. The cases of a full disk and of other users need root.
"""
import atexit
import contextlib
import importlib
import ipaddress
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_tools import protoc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import (PROGRAM, ROOT, Code, ControlPlane, DataPlane, apply, batch, outcomes, pb, refused,
                          services, update, wait_for)  # noqa: E402
from feed import Feed, Refused  # noqa: E402


def address(number):
    return bytes([100, number >> 16 & 255, number >> 8 & 255, number & 255])


def bulk(first, count, kind="LIST", source="drop", **fields):
    """A columnar batch of so many addresses of 100.0.0.0/8."""
    return pb.UpdateBatch(bulk=pb.BulkUpdate(kind=getattr(pb, f"UPDATE_KIND_{kind}"), source=source,
                                             ipv4_addresses=b"".join(map(address, range(first, first + count)))),
                          force=True, **fields)


class Pusher:
    """A Push that is fed batch by batch."""

    def __init__(self, stub, **options):
        self.queue = queue.Queue()
        self.answers = stub.Push(iter(self.queue.get, None), **options)

    def send(self, item):
        self.queue.put(item)

    def ask(self, item):
        self.send(item)
        return next(self.answers)

    def end(self):
        self.queue.put(None)
        return list(self.answers)


# Push.


def test_push_answers_in_order(plane):
    stub = plane.stub()
    batches = []
    for i in range(300):
        if i % 3 == 0:
            batches.append(bulk(i * 200, 200, session="order", sequence=i))
        elif i % 3 == 1:
            batches.append(batch(update("LIST", f"192.0.2.{i % 250}", reason=f"try {i}"), session="order", sequence=i))
        else:  # without a session: its answer is known by its place
            batches.append(batch(update("DELIST", f"192.0.2.{i % 250}"), sequence=i))
    answers = list(stub.Push(iter(batches), timeout=60))
    assert [answer.sequence for answer in answers] == list(range(300))
    assert all(answer.status == 0 and answer.durable for answer in answers)
    serials = [answer.serial for answer in answers if answer.serial]
    assert serials == sorted(set(serials)), "decided in another order than sent"
    assert answers[0].n_applied == 200 and outcomes(answers[1]) == ["APPLIED"], answers[:2]
    # A small batch stays behind the bulk of its own stream, although others' small ones go first.
    pair = [bulk(900_000, 60_000, session="pair", sequence=1),
            batch(update("DELIST", "100.13.187.160"), session="pair", sequence=2)]
    answers = list(stub.Push(iter(pair), timeout=60))
    assert answers[1].serial == answers[0].serial + 1 and answers[1].n_removed == 1, answers[1]


def test_push_decides_in_order_when_commits_are_full():
    """One batch a commit, and small ones and bulks in turns: a bulk must not pass the small ones of its stream."""
    with ControlPlane(extra="  commit_batches_max: 1\n") as plane:
        batches = []
        for i in range(200):
            if i % 20 == 19:
                batches.append(bulk(i * 200, 200, session="full", sequence=i))
            else:
                batches.append(batch(update("LIST", f"192.0.2.{i}"), session="full", sequence=i))
        answers = list(plane.stub().Push(iter(batches), timeout=60))
        assert [answer.sequence for answer in answers] == list(range(200))
        assert [answer.serial for answer in answers] == list(range(1, 201)), "decided in another order than sent"


def test_push_bad_batches_do_not_end_the_stream(plane):
    pusher = Pusher(plane.stub(), timeout=60)
    first = pusher.ask(batch(update("LIST", "192.0.2.1"), update("LIST", "192.0.2.256"), session="s", sequence=1))
    assert outcomes(first) == ["APPLIED", "REFUSED"] and first.status == 0, first
    assert "192.0.2.256" in first.items[1].detail
    empty = pusher.ask(pb.UpdateBatch(session="s", sequence=2))
    assert empty.status == Code.INVALID_ARGUMENT.value[0] and "updates" in empty.detail, empty
    assert (empty.session, empty.sequence, empty.serial, empty.durable) == ("s", 2, 0, False), empty
    late = pusher.ask(batch(update("LIST", "192.0.2.3"), session="s", sequence=3, deadline_ms=600001))
    assert late.status == Code.INVALID_ARGUMENT.value[0] and "deadline_ms" in late.detail, late
    other = pusher.ask(batch(update("LIST", "192.0.2.9"), session="s", sequence=1))
    assert other.status == Code.ALREADY_EXISTS.value[0] and "sequence 1" in other.detail, other
    again = pusher.ask(batch(update("LIST", "192.0.2.1"), update("LIST", "192.0.2.256"), session="s", sequence=1))
    assert again.repeated_answer and again.serial == first.serial and again.status == 0, again
    wrong = pusher.ask(batch(update("LIST", "192.0.2.4"), session="s", sequence=4, expected_serial=first.serial + 7))
    assert wrong.status == Code.ABORTED.value[0] and f"at {first.serial}" in wrong.detail, wrong
    right = pusher.ask(batch(update("LIST", "192.0.2.4"), session="s", sequence=5, expected_serial=first.serial))
    assert right.status == 0 and right.serial == first.serial + 1, right
    assert pusher.end() == [] and pusher.answers.code() == Code.OK


def test_push_undecodable_message_ends_the_stream_behind_the_answers(plane):
    call = plane.channel().stream_stream("/bounceline.v1.ListControl/Push",
                                         response_deserializer=pb.UpdateResult.FromString)
    good = batch(update("LIST", "192.0.2.1"), sequence=1).SerializeToString()
    answers = call(iter([good, b"\x0a\xff", good]), timeout=30)
    assert next(answers).sequence == 1
    text = refused(lambda: next(answers), Code.INVALID_ARGUMENT)
    assert text != "", text
    assert plane.status().durable_serial == 1, "what came behind the bad message was taken"


def test_push_waits_each_as_it_asks(plane):
    stub = plane.stub()
    assert list(stub.Push(iter([]), timeout=10)) == []
    with DataPlane(plane, acknowledge=False) as edge:
        wait_for("connected", lambda: plane.dataplane() and plane.dataplane().connected)
        pusher = Pusher(stub, timeout=60)
        begin = time.monotonic()
        pusher.send(batch(update("LIST", "192.0.2.1"), sequence=1, enforced=True, deadline_ms=400))
        pusher.send(batch(update("LIST", "192.0.2.2"), sequence=2))
        first, second = next(pusher.answers), next(pusher.answers)
        assert first.durable and not first.enforced and first.dataplanes_connected == 1, first
        assert time.monotonic() - begin >= 0.4 and (first.sequence, second.sequence) == (1, 2)
        edge.acknowledge = True
        third = pusher.ask(batch(update("LIST", "192.0.2.3"), sequence=3, enforced=True, deadline_ms=20000))
        assert third.enforced and third.dataplanes_enforced == 1, third
        assert pusher.end() == []


def test_push_stops_reading_a_client_that_reads_no_answers(plane):
    """Answers of 10 kB each, never read: the program takes what its bounds allow, and no more."""
    stub = plane.stub()
    sent = [0]

    def batches():
        for i in range(20_000):
            sent[0] = i
            yield pb.UpdateBatch(session="x" * 100, sequence=i,
                                 updates=[update("LIST", "no prefix at all")] * 100)

    answers = stub.Push(batches(), timeout=120)
    last = -1
    while sent[0] != last:  # until it stands still for a second
        last = sent[0]
        time.sleep(1)
    assert 0 < last < 5000, f"{last} batches were taken from a client that reads nothing"
    resident = int(pathlib.Path(f"/proc/{plane.process.pid}/statm").read_text().split()[1]) * 4 // 1024
    assert resident < 200, f"{resident} MiB"
    assert apply(stub, update("LIST", "192.0.2.1"), sequence=1).durable, "another client is held up"
    assert next(answers).sequence == 0
    for number in range(1, last):
        answer = next(answers)
        assert answer.sequence == number, (number, answer)
    answers.cancel()


def test_push_cancelled_leaves_nothing_behind(plane):
    stub = plane.stub()
    with DataPlane(plane, acknowledge=False):
        wait_for("connected", lambda: plane.dataplane() and plane.dataplane().connected)
        # More than the calls that may be in flight: were they still counted, the last ones would be refused.
        for i in range(520):
            pusher = Pusher(stub)
            pusher.send(batch(update("LIST", f"192.0.2.{i % 250}"), sequence=i, enforced=True, deadline_ms=600000))
            pusher.queue.put(None)
            if i % 50 == 0:
                stuck = batch(update("LIST", "192.0.2.1", reason=f"{i}"), enforced=True, deadline_ms=600000)
                refused(lambda: list(stub.Push(iter([stuck]), timeout=0.05)), Code.DEADLINE_EXCEEDED)
                refused(lambda: stub.Apply(stuck, timeout=0.05), Code.DEADLINE_EXCEEDED)
            pusher.answers.cancel()
        assert apply(stub, update("LIST", "198.51.100.1")).durable
    assert plane.kill(signal.SIGTERM) == 0


def test_push_retry_across_a_kill(plane):
    """A client that was killed out of its answers sends the same again, and gets the first answers."""
    batches = [bulk(i * 1000, 1000, session="life", sequence=i) for i in range(200)]
    answered = {}
    pusher = plane.stub().Push(iter(batches), timeout=60)
    try:
        for answer in pusher:
            answered[answer.sequence] = answer
            if answer.sequence == 60:
                plane.kill()
    except grpc.RpcError as error:
        assert error.code() == Code.UNAVAILABLE, error
    plane.start()
    durable = plane.status().durable_serial
    again = {answer.sequence: answer for answer in plane.stub().Push(iter(batches), timeout=60)}
    assert sorted(again) == list(range(200))
    for sequence, first in answered.items():
        second = again[sequence]
        assert second.repeated_answer and second.serial == first.serial, (first, second)
        assert second.n_applied == first.n_applied == 1000
    repeated = [sequence for sequence, answer in again.items() if answer.repeated_answer]
    assert len(repeated) == durable >= len(answered), (len(repeated), durable, len(answered))
    serials = [again[sequence].serial for sequence in range(200)]
    assert serials == list(range(1, 201)), serials
    assert plane.status().n_listings == 200_000
    other = list(plane.stub().Push(iter([bulk(7, 1000, session="life", sequence=5)]), timeout=10))
    assert other[0].status == Code.ALREADY_EXISTS.value[0], other


def test_push_ends_when_the_program_stops(plane):
    pusher = Pusher(plane.stub(), timeout=60)
    assert pusher.ask(batch(update("LIST", "192.0.2.1"))).durable
    plane.process.terminate()
    assert refused(lambda: next(pusher.answers), Code.UNAVAILABLE) == "the control plane stops"
    assert plane.process.wait(20) == 0


# Watch.


def prefixes(group):
    """The prefixes of a columnar group as text."""
    for i, length in enumerate(group.ipv4_lengths):
        yield f"{ipaddress.IPv4Address(group.ipv4_addresses[4 * i:4 * i + 4])}/{length}"
    for i, length in enumerate(group.ipv6_lengths):
        yield f"{ipaddress.IPv6Address(group.ipv6_addresses[16 * i:16 * i + 16])}/{length}"


def kind(number):
    return pb.UpdateKind.Name(number)[len("UPDATE_KIND_"):]


class Watcher(threading.Thread):
    """Keeps what a Watch says: a record each, its parts put together."""

    def __init__(self, stub, **request):
        super().__init__(daemon=True)
        self.call = stub.Watch(pb.WatchRequest(**request))
        self.records, self.heartbeats, self.n_messages, self.error = {}, [], 0, None
        self.start()

    def run(self):
        try:
            for answer in self.call:
                if answer.heartbeat:
                    self.heartbeats.append(answer.serial)
                    continue
                self.n_messages += 1
                record = self.records.setdefault(answer.serial, (answer.actor, answer.time_ms, []))
                for group in answer.groups:
                    record[2].extend((kind(group.kind), prefix, group.source) for prefix in prefixes(group))
                self.last = answer.serial if not answer.more else 0
        except grpc.RpcError as error:
            self.error = error

    last = 0


def test_watch_from_the_beginning_and_live(plane):
    stub = plane.stub()
    begin_ms = time.time() * 1000
    apply(stub, update("LIST", "192.0.2.0/24", source="drop"), update("EXEMPT", "192.0.2.7"), update("LIST", "2001:db8::1"))
    apply(stub, update("DELIST", "192.0.2.9"))
    apply(stub, update("DELIST", "192.0.2.0/24", source="drop"), update("UNEXEMPT", "192.0.2.7"))
    watcher, tail = Watcher(stub), Watcher(stub, from_serial=2)
    live = Watcher(stub, live_only=True)
    wait_for("what was", lambda: watcher.last == 3 and tail.last == 3)
    actor, time_ms, changes = watcher.records[1]
    assert actor == "root" and begin_ms <= time_ms <= time.time() * 1000
    assert changes == [("LIST", "192.0.2.0/24", "drop"), ("EXEMPT", "192.0.2.7/32", ""),
                       ("LIST", "2001:db8::/64", "operator")], changes
    assert watcher.records[2][2] == [("DELIST", "192.0.2.9/32", "")], watcher.records[2]
    assert sorted(watcher.records[3][2]) == [("DELIST", "192.0.2.0/24", "drop"), ("UNEXEMPT", "192.0.2.7/32", "")]
    assert sorted(tail.records) == [3] and live.records == {}
    apply(stub, update("LIST", "198.51.100.1", expires_at_ms=int(time.time() * 1000) + 1200))
    wait_for("live", lambda: watcher.last == tail.last == live.last == 4, 2)
    # What ends by itself is a record too.
    wait_for("the expiry", lambda: live.last == 5, 10)
    assert live.records[5][0] == "expiry" and live.records[5][2] == [("DELIST", "198.51.100.1/32", "operator")]
    wait_for("a heartbeat", lambda: live.heartbeats == [5], 8)
    assert plane.kill(signal.SIGTERM) == 0
    wait_for("the end", lambda: live.error is not None)
    assert live.error.code() == Code.UNAVAILABLE and live.error.details() == "the control plane stops", live.error
    plane.start()
    again = Watcher(plane.stub(), from_serial=0, epoch=0)
    wait_for("all after a restart", lambda: again.last == 5)
    assert again.records == watcher.records


def test_watch_refuses_another_epoch_and_what_is_not_there(plane):
    stub = plane.stub()
    epoch = plane.status().epoch
    text = refused(lambda: list(stub.Watch(pb.WatchRequest(epoch=epoch ^ 1), timeout=20)), Code.FAILED_PRECONDITION)
    assert f"{epoch:x}" in text and "Export" in text, text
    text = refused(lambda: list(stub.Watch(pb.WatchRequest(epoch=epoch, from_serial=1), timeout=20)), Code.OUT_OF_RANGE)
    assert "ends at 0" in text, text


def test_watch_cuts_a_large_record_and_never_holds_the_writer_up(plane):
    """A record of 300000 prefixes comes in parts; a watcher that reads nothing costs the others nothing."""
    stub = plane.stub()
    stuck = plane.stub().Watch(pb.WatchRequest())
    watcher = Watcher(stub)
    assert stub.Apply(bulk(0, 300_000), timeout=60).n_applied == 300_000
    wait_for("the large record", lambda: watcher.last == 1, 20)
    assert watcher.n_messages == 5, watcher.n_messages  # 65536 a message
    assert [prefix for _, prefix, _ in watcher.records[1][2]] == \
        [f"{ipaddress.IPv4Address(address(i))}/32" for i in range(300_000)]
    for i in range(200):
        apply(stub, update("LIST", f"192.0.2.{i}"))
    wait_for("the rest", lambda: watcher.last == 201, 10)
    first = next(answer for answer in stuck if not answer.heartbeat)  # of a slow import it has some before
    assert first.serial == 1 and first.more, first.serial
    before = n_threads(plane)
    stuck.cancel()
    wait_for("the cancelled stream's thread to end", lambda: n_threads(plane) == before - 1)


def n_threads(plane):
    return len(list(pathlib.Path(f"/proc/{plane.process.pid}/task").iterdir()))


# Export and History.


def exported(stub, **request):
    """(serial, {(prefix, source): bulk's attributes}) of an Export, which must be whole and of one serial."""
    found, serial, last, count = {}, None, False, 0
    for answer in stub.Export(pb.ExportRequest(**request), timeout=120):
        assert not last and serial in (None, answer.serial), "two serials in one export"
        serial, last = answer.serial, answer.last
        if last:
            assert answer.n_items == count, (answer.n_items, count)
            break
        for prefix in prefixes(answer.bulk):
            found[kind(answer.bulk.kind), prefix, answer.bulk.source] = answer.bulk
            count += 1
    assert last, "the export was cut short"
    return serial, found


def test_export_gives_the_same_list_back(plane):
    stub = plane.stub()
    end_ms = int(time.time() * 1000) + 10**8
    apply(stub, update("LIST", "192.0.2.0/24", source="drop", code=610, reason="räuber", observed_at_ms=1_700_000_000_123,
                       expires_at_ms=end_ms, self_service=pb.SELF_SERVICE_CLOSED, action=pb.ACTION_MONITOR),
          update("LIST", "2001:db8::/48", code=611), update("EXEMPT", "192.0.2.7", reason="ours"))
    apply(stub, update("DELIST", "192.0.2.9"))
    apply(stub, update("LIST", "198.51.100.0/25", source="drop"))
    stub.Apply(bulk(0, 70_000), timeout=30)
    serial, found = exported(stub, all_layers=True)
    assert serial == 4 and len(found) == 70_005, (serial, len(found))
    one = found["LIST", "192.0.2.0/24", "drop"]
    assert (one.code, one.reason, one.observed_at_ms, one.expires_at_ms, one.self_service, one.action, one.actor,
            one.serial) == (610, "räuber", 1_700_000_000_123, end_ms, pb.SELF_SERVICE_CLOSED, pb.ACTION_MONITOR,
                            "root", 1), one
    assert found["DELIST", "192.0.2.9/32", ""].suppress_until_ms > 0 and found["EXEMPT", "192.0.2.7/32", ""].reason == "ours"
    _, listings = exported(stub)
    assert len(listings) == 70_003 and all(key[0] == "LIST" for key in listings)
    _, operator = exported(stub, source="operator")
    assert list(operator) == [("LIST", "2001:db8::/48", "operator")], operator
    # Pushed as it is into another control plane, it gives the same list.
    with ControlPlane() as other:
        batches = [pb.UpdateBatch(bulk=answer.bulk, force=True) for answer in stub.Export(pb.ExportRequest(), timeout=60)
                   if answer.HasField("bulk")]
        assert all(answer.status == 0 and answer.n_refused == 0 for answer in other.stub().Push(iter(batches)))
        _, copied = exported(other.stub())
        def told(bulk_):
            return (bulk_.code, bulk_.reason, bulk_.expires_at_ms, bulk_.self_service, bulk_.action, bulk_.url,
                    bulk_.observed_at_ms)
        assert {key: told(value) for key, value in copied.items()} == \
            {key: told(value) for key, value in listings.items()}


def test_export_is_of_one_serial_while_writes_go_on(plane):
    """Each batch lists one block of 500 and ends the one before: at any serial exactly one block is there."""
    stub = plane.stub()
    # Each with a reason of its own: some 3 MB, more than lies between here and there when nobody reads.
    for first in range(0, 12_000, 1000):
        apply(stub, *[update("LIST", str(ipaddress.IPv4Address(address(i))), source="drop", reason=f"{i:0>200}")
                      for i in range(first, first + 1000)], force=True)
    stop = threading.Event()
    slowest = [0.0]

    def block(number):
        return [update("LIST", f"203.0.{number % 250}.{i}", source="drop") for i in range(200)]

    def write():
        writer = plane.stub()
        number = 1
        while not stop.is_set():
            begin = time.monotonic()
            apply(writer, *block(number), *[update("DELIST", f"203.0.{(number - 1) % 250}.{i}", source="drop")
                                            for i in range(200)], force=True)
            slowest[0] = max(slowest[0], time.monotonic() - begin)
            number += 1

    apply(stub, *block(0))
    thread = threading.Thread(target=write)
    thread.start()
    try:
        serials = set()
        for _ in range(4):
            serial, found = exported(stub)
            serials.add(serial)
            blocks = {prefix.split(".")[2] for _, prefix, _ in found if prefix.startswith("203.")}
            assert len(blocks) == 1 and len(found) == 12_200, (serial, blocks, len(found))
        assert len(serials) == 4, "nothing was written meanwhile"
        # A client that reads nothing holds nobody up, and its end is the end of its view.
        stuck = plane.stub().Export(pb.ExportRequest())
        next(stuck)
        before = plane.status().durable_serial
        wait_for("writes beside a stuck export", lambda: plane.status().durable_serial > before + 20)
        assert children(plane) == 1
        stuck.cancel()
        wait_for("no view is left", lambda: children(plane) == 0)
    finally:
        stop.set()
        thread.join()
    print(f"slowest batch of 400 beside exports: {slowest[0] * 1000:.1f} ms")
    stuck = plane.stub().Export(pb.ExportRequest())
    next(stuck)
    children_before = child_pids(plane)
    plane.kill()
    wait_for("the view dies with the program", lambda: not any(pathlib.Path(f"/proc/{pid}").exists()
                                                              for pid in children_before))
    plane.start()  # nothing holds the log's lock


def child_pids(plane):
    pids = []
    for task in pathlib.Path(f"/proc/{plane.process.pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that ended since it was found
            pids += map(int, (task / "children").read_text().split())
    return pids


def children(plane):
    return len(child_pids(plane))


def test_history(plane):
    stub = plane.stub()

    def history(prefix, **request):
        answers = list(stub.History(pb.HistoryRequest(prefix=prefix, **request), timeout=60))
        assert answers[-1].last and not any(answer.last for answer in answers[:-1])
        return answers[:-1], answers[-1]

    apply(stub, update("LIST", "192.0.2.0/24", source="drop", reason="spam"))
    apply(stub, update("LIST", "198.51.100.1"))
    stub.Apply(bulk(0, 200_000), timeout=60)
    apply(stub, update("DELIST", "192.0.2.9"), update("LIST", "192.0.2.8"))
    apply(stub, update("EXEMPT", "192.0.2.0/25"))
    found, end = history("192.0.2.9")
    assert [(answer.serial, kind(answer.update.kind), answer.update.prefix, answer.actor) for answer in found] == \
        [(5, "EXEMPT", "192.0.2.0/25", "root"), (4, "DELIST", "192.0.2.9/32", "root"),
         (1, "LIST", "192.0.2.0/24", "root")], found
    assert found[2].update.reason == "spam" and found[2].update.source == "drop" and found[2].time_ms > 0
    assert (end.next_before_serial, end.first_serial) == (0, 1), end
    found, end = history("192.0.2.0/24", limit=2)
    assert [answer.serial for answer in found] == [5, 4] and end.next_before_serial == 4, (found, end)
    found, end = history("192.0.2.0/24", limit=10, before_serial=end.next_before_serial)
    assert [answer.serial for answer in found] == [1] and end.next_before_serial == 0
    found, _ = history(f"{ipaddress.IPv4Address(address(123_456))}")
    assert [answer.serial for answer in found] == [3]
    assert history("203.0.113.1")[0] == []
    refused(lambda: history("nonsense"), Code.INVALID_ARGUMENT)
    text = refused(lambda: history("192.0.2.1", limit=10001), Code.INVALID_ARGUMENT)
    assert "limit" in text, text


# The log beside traffic.


def snapshot_serial(plane):
    """Of the snapshot that is on disk, as the program says it."""
    found = re.findall(r"snapshot at serial (\d+)\n", plane.said())
    return int(found[-1]) if found else 0


def test_snapshots_beside_writes_and_a_log_that_begins_later():
    with ControlPlane(extra="  snapshot_records: 200\n") as plane:
        stub = plane.stub()
        assert stub.Apply(bulk(0, 200_000), timeout=60).n_applied == 200_000
        slowest = 0
        for i in range(1500):
            begin = time.monotonic()
            apply(stub, update("LIST", f"192.0.{i // 250}.{i % 250}"), session="s", sequence=i)
            slowest = max(slowest, time.monotonic() - begin)
        wait_for("a snapshot far on", lambda: snapshot_serial(plane) >= 400, 30)
        print(f"slowest of 1500 updates beside snapshots of 200000 listings: {slowest * 1000:.1f} ms")
        before = plane.status()
        plane.kill()  # perhaps in the middle of the next snapshot
        plane.start()
        after = plane.status()
        assert (after.durable_serial, after.digest_lo, after.n_listings) == \
            (before.durable_serial, before.digest_lo, before.n_listings)
        first = stub.Apply(pb.UpdateBatch(session="s", sequence=3, wait=pb.WAIT_LEVEL_DURABLE,
                                          updates=[update("LIST", "192.0.0.3")]), timeout=10)
        assert first.repeated_answer and first.serial == 5, first
        kept = snapshot_serial(plane)
        assert plane.kill(signal.SIGTERM) == 0
        # As after a year: what the snapshot covers is deleted (bl_log_drop; its unit test has the clock).
        with contextlib.closing(sqlite3.connect(plane.dir / "log/log.sqlite")) as log, log:
            log.execute("DELETE FROM record WHERE serial < ?", (kept - 10,))
        plane.start()
        after = plane.status()
        assert (after.durable_serial, after.digest_lo) == (before.durable_serial, before.digest_lo)
        stub = plane.stub()
        text = refused(lambda: list(stub.Watch(pb.WatchRequest(from_serial=5), timeout=20)), Code.OUT_OF_RANGE)
        assert f"the first that is: {kept - 10}" in text and "Export" in text, text
        serial, _ = exported(stub, source="operator")
        watcher = Watcher(stub, from_serial=serial)
        apply(stub, update("LIST", "198.51.100.7"))
        wait_for("the next", lambda: sorted(watcher.records) == [serial + 1])
        found = list(stub.History(pb.HistoryRequest(prefix="192.0.0.3"), timeout=30))
        assert len(found) == 1 and (found[0].next_before_serial, found[0].first_serial) == (0, kept - 10), found


def test_disk_full_keeps_room_for_delists():
    if os.geteuid() != 0:
        print("    skipped: needs root to mount a small disk")
        return
    with ControlPlane() as plane:
        assert plane.kill(signal.SIGTERM) == 0
        folder = str(plane.dir / "log")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0755", "none", folder], check=True)
        try:
            plane.start()
            stub = plane.stub()
            apply(stub, *[update("LIST", f"192.0.{i // 250}.{i % 250}") for i in range(1000)])
            wait_for("the reserve", lambda: (plane.dir / "log/reserve").exists())
            ballast = plane.dir / "log/ballast"
            with open(ballast, "wb") as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(65536))
                    file.flush()
            text = None
            for i in range(200):  # what the log has already still takes some
                try:
                    apply(stub, *[update("LIST", f"10.{i}.0.{n % 250}", reason=f"{n:0150}") for n in range(250)])
                except grpc.RpcError as error:
                    assert error.code() == Code.RESOURCE_EXHAUSTED, error
                    text = error.details()
                    break
            assert text == "disk full" and plane.status().write_fault == "disk full", text
            for i in range(300):
                result = apply(stub, update("DELIST", f"192.0.{i // 250}.{i % 250}"), session="d", sequence=i)
                assert result.durable and result.n_removed == 1, result
            assert not stub.Lookup(pb.LookupRequest(prefix="192.0.0.7")).listed
            assert refused(lambda: apply(stub, update("LIST", "198.51.100.1")), Code.RESOURCE_EXHAUSTED) == "disk full"
            refusal, kept = list(stub.Push(iter([batch(update("LIST", "198.51.100.1")),
                                                 batch(update("DELIST", "192.0.3.1"))]), timeout=10))
            assert (refusal.status, refusal.detail) == (Code.RESOURCE_EXHAUSTED.value[0], "disk full"), refusal
            assert kept.durable and kept.n_removed == 1, kept
            before = plane.status()
            plane.kill()
            plane.start()  # also with a full disk
            stub = plane.stub()
            assert plane.status().digest_lo == before.digest_lo
            ballast.unlink()
            wait_for("by itself", lambda: plane.status().write_fault == "")
            assert apply(stub, update("LIST", "198.51.100.1")).durable
            wait_for("the reserve again", lambda: (plane.dir / "log/reserve").exists())
        finally:
            plane.kill()
            subprocess.run(["umount", folder], check=True)


# The reference client.


def test_reference_client_across_a_kill(plane):
    feed = Feed(lambda: grpc.insecure_channel(f"unix:{plane.socket}", [("grpc.use_local_subchannel_pool", 1)]), pb,
                services, "feed-1")
    bulks = [bulk(i * 1000, 1000).bulk for i in range(100)]
    serials = []
    for answer in feed.push(bulks):
        serials.append(answer.serial)
        if answer.sequence == 30:
            plane.kill()
            plane.start()
    assert serials == list(range(1, 101)) and plane.status().n_listings == 100_000, serials
    bulks[0].ipv4_lengths = b"123"
    try:
        list(feed.push(bulks[:1]))
        raise AssertionError("taken")
    except Refused as error:
        assert "ipv4_lengths" in str(error), error


# The command line.


def bounceline(plane, *words, code=0):
    done = subprocess.run([str(PROGRAM.parent / "bounceline"), *words, "--socket", str(plane.socket)], text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == code, (words, done)
    return done.stdout if code == 0 else done.stderr


def test_command_line(plane):
    stub = plane.stub()
    apply(stub, update("LIST", "192.0.2.0/24", source="drop", reason="spam $ 1"),
          update("LIST", "192.0.2.0/24", source="operator"))
    result = apply(stub, update("LIST", "2001:db8::/64"), update("UNEXEMPT", "192.0.2.9"), update("EXEMPT", "192.0.2.9"))
    assert result.serial == 2, result
    watching = subprocess.Popen([str(PROGRAM.parent / "bounceline"), "watch", "--from", "1", "--json", "--socket",
                                 str(plane.socket)], stdout=subprocess.PIPE, text=True)
    try:
        one = json.loads(watching.stdout.readline())
        assert (one["serial"], one["kind"], one["prefix"], one["actor"]) == (2, "list", "2001:db8::/64", "root"), one
        assert json.loads(watching.stdout.readline())["kind"] == "exempt"
        apply(stub, update("EXEMPT", "192.0.2.128/25"))
        assert json.loads(watching.stdout.readline())["kind"] == "exempt"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    finally:
        watching.kill()
        watching.stdout.close()
        watching.wait()
    assert "ends at 3" in bounceline(plane, "watch", "--from", "9", code=1)
    lines = bounceline(plane, "history", "192.0.2.9").splitlines()
    assert [line.split("  ")[3] for line in lines] == ["exempt 192.0.2.9/32", "list 192.0.2.0/24", "list 192.0.2.0/24"], lines
    told = json.loads(bounceline(plane, "history", "2001:db8::1", "--json"))
    assert told["exit_code"] == 0 and [change["serial"] for change in told["changes"]] == [2], told
    assert bounceline(plane, "history", "203.0.113.1", code=1) == ""
    assert bounceline(plane, "export").splitlines() == ["192.0.2.0/24", "2001:db8::/64"]
    assert bounceline(plane, "export", "--source", "drop").splitlines() == ["192.0.2.0/24"]
    objects = [json.loads(line) for line in bounceline(plane, "export", "--format", "json").splitlines()]
    assert sorted((line["prefix"], line["source"]) for line in objects) == \
        [("192.0.2.0/24", "drop"), ("192.0.2.0/24", "operator"), ("2001:db8::/64", "operator")], objects
    zone = bounceline(plane, "export", "--format", "rbldnsd", "--source", "drop").splitlines()
    assert zone == ["$DATASET ip4set:ipv4 @", "192.0.2.0/24 :127.0.0.2:spam ? 1"], zone
    target = plane.dir / "list.nft"
    target.write_text("old")
    assert bounceline(plane, "export", "--format", "nft", "--output", str(target)) == ""
    for words in (["--source", "nobody"], ["--source", "drop"], []):
        bounceline(plane, "export", "--format", "nft", "--output", str(target), *words)
        if shutil.which("nft") and os.geteuid() == 0:
            subprocess.run(["unshare", "--net", "nft", "-c", "-f", str(target)], check=True)
    assert "192.0.2.0/24" in target.read_text() and "2001:db8::/64" in target.read_text()
    assert [path.name for path in plane.dir.glob("list.nft*")] == ["list.nft"], "a temporary file was left"
    assert "expected plain" in bounceline(plane, "export", "--format", "xml", code=2)
    bounceline(plane, "export", "--output", "/nowhere/at/all", code=1)


# gRPC's own services, asked by stock clients generated from their .proto files.


def generated():
    folder = tempfile.mkdtemp(prefix="bounceline-stock-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    names = ["health/v1/health", "reflection/v1alpha/reflection"]
    # As package stock.*: a folder grpc/ of ours would hide the library.
    for name in names:
        path = pathlib.Path(folder, name + ".proto")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((ROOT / "proto/grpc" / f"{name}.proto").read_text())
        assert protoc.main(["", f"-I{folder}", f"--python_out={folder}", f"--grpc_python_out={folder}",
                            str(path)]) == 0
    sys.path.insert(0, folder)
    return [importlib.import_module(name.replace("/", ".") + end) for name in names for end in ("_pb2", "_pb2_grpc")]


def test_health_and_reflection(plane):
    health, health_services, reflection, reflection_services = generated()
    check = health_services.HealthStub(plane.channel())
    for service in ("", "bounceline.v1.ListControl"):
        answer = check.Check(health.HealthCheckRequest(service=service), timeout=10)
        assert answer.status == health.HealthCheckResponse.SERVING, answer
    refused(lambda: check.Check(health.HealthCheckRequest(service="bounceline.v1.Other"), timeout=10), Code.NOT_FOUND)
    watch = check.Watch(health.HealthCheckRequest())
    assert next(watch).status == health.HealthCheckResponse.SERVING
    unknown = check.Watch(health.HealthCheckRequest(service="other"))
    assert next(unknown).status == health.HealthCheckResponse.SERVICE_UNKNOWN
    unknown.cancel()

    stub = reflection_services.ServerReflectionStub(plane.channel())
    ask = reflection.ServerReflectionRequest
    questions = queue.Queue()
    answers = stub.ServerReflectionInfo(iter(questions.get, None))

    def answer(**question):
        questions.put(ask(**question))
        return next(answers)

    services_ = [service.name for service in answer(list_services="").list_services_response.service]
    assert services_ == ["bounceline.v1.ListControl", "grpc.health.v1.Health",
                         "grpc.reflection.v1alpha.ServerReflection"], services_
    # What grpcurl does: find the file of a service by its name, and call a method with nothing else known.
    pool = descriptor_pool.DescriptorPool()
    for symbol in services_:
        found = answer(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
        assert len(found) == 1, (symbol, found)
        pool.AddSerializedFile(found[0])
    method = pool.FindMethodByName("bounceline.v1.ListControl.GetStatus")
    status = message_factory.MessageFactory(pool).GetPrototype(method.output_type)
    call = plane.channel().unary_unary(f"/{method.containing_service.full_name}/{method.name}",
                                       response_deserializer=status.FromString)
    assert call(b"", timeout=10).epoch == plane.status().epoch
    by_name = answer(file_by_filename="bounceline/v1/list_control.proto")
    assert b"ListControl" in by_name.file_descriptor_response.file_descriptor_proto[0]
    for symbol in ("bounceline.v1.ListControl.Push", "bounceline.v1.UpdateBatch", "bounceline.v1.Outcome",
                   "grpc.health.v1.HealthCheckResponse.ServingStatus"):
        assert answer(file_containing_symbol=symbol).HasField("file_descriptor_response"), symbol
    for question in ({"file_containing_symbol": "bounceline.v1.Nothing"}, {"file_by_filename": "nothing.proto"},
                     {"file_containing_symbol": "bounceline.v1.ListControl.Nothing"},
                     {"file_containing_symbol": "bounceline.v1"}, {"all_extension_numbers_of_type": "x"}):
        reply = answer(**question)
        assert reply.error_response.error_code == Code.NOT_FOUND.value[0], (question, reply)
        assert reply.original_request == ask(**question)
    assert plane.kill(signal.SIGTERM) == 0
    refused(lambda: next(watch), Code.UNAVAILABLE)
    questions.put(None)
    refused(lambda: next(answers), Code.UNAVAILABLE)


def main():
    cases = [(name[len("test_"):], case) for name, case in globals().items() if name.startswith("test_")]
    wanted = sys.argv[1:]
    unknown = set(wanted) - {name for name, _ in cases}
    if unknown:
        sys.exit(f"no such case: {' '.join(sorted(unknown))}")
    failed = 0
    print(f"control plane: {PROGRAM}")
    for name, case in cases:
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
    sys.exit(main())
