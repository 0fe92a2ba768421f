#!/usr/bin/python3
"""The control plane's streams as a stock gRPC client sees them: Push, Watch, Export, History, health, reflection, and what
becomes of them when the program is killed or its disk is full. Each case starts a control plane of its own in a directory
of its own (tests/lib/controlplane.py), and ends it.
BL_BUILD: where bounceline-controlplane is (default: build). Arguments: the cases to run (default: all).
Exit 0: all that is printed held; 1: something did not. The cases of a full disk and of other users need root.
"""
import pathlib
import queue
import signal
import sys
import threading
import time
import traceback

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import (PROGRAM, Code, ControlPlane, DataPlane, apply, batch, outcomes, pb, refused,
                          update, wait_for)  # noqa: E402


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
    begin = time.monotonic()
    plane.process.terminate()
    assert refused(lambda: next(pusher.answers), Code.UNAVAILABLE) == "the control plane stops"
    assert plane.process.wait(10) == 0
    assert time.monotonic() - begin < 1.9, "it took the patience for calls in flight"


def main():
    cases = [(name[len("test_"):], case) for name, case in globals().items() if name.startswith("test_")]
    wanted = sys.argv[1:]
    failed = 0
    print(f"control plane: {PROGRAM}")
    for name, case in cases:
        if wanted and name not in wanted:
            continue
        begin = time.monotonic()
        try:
            with ControlPlane() as plane:
                case(plane)
            print(f"ok    {name.replace('_', ' ')} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception:  # every failure of a case is told, and the next one still runs
            failed += 1
            traceback.print_exc()
            print(f"FAIL  {name.replace('_', ' ')}", flush=True)
    print(f"{failed} failed" if failed else "all held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
