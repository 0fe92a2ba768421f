#!/usr/bin/python3
"""Writes the seed inputs of fuzz_sync, fuzz_request, fuzz_record and fuzz_settings below corpus/, from scratch and always
the same. The messages are encoded by Python's own protobuf, from the .proto files: not by the code under test."""

import importlib
import pathlib
import sys
import tempfile

from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"


def load_messages(folder):
    files = [f"bounceline/v1/{name}.proto" for name in ("list_control", "log", "table_sync")]
    if protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={folder}", *files]) != 0:
        raise SystemExit("protoc failed")
    sys.path.insert(0, folder)
    return [importlib.import_module(f"bounceline.v1.{name}_pb2") for name in ("list_control", "log", "table_sync")]


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def sync_seeds(m):
    url = "https://delist.example.net/?ip={address}"
    definition = m.ClassDefinition(class_id=1, code=606, action=1, self_service=True, url=url)
    columns = {
        "ipv4_addresses": bytes([192, 0, 2, 0, 198, 51, 100, 7]), "ipv4_lengths": bytes([24, 32]),
        "ipv4_classes": bytes([1, 63]),
        "ipv6_addresses": bytes.fromhex("20010db8000000000000000000000000"), "ipv6_lengths": bytes([64]),
        "ipv6_classes": bytes([1]),
    }
    host_bits = {**columns, "ipv4_addresses": bytes([192, 0, 2, 1, 198, 51, 100, 7])}
    report = m.Report(epoch=7, serial=9, workers=[m.SyncWorker(worker=0, serial=9, rx_packets=5)],
                      counters=[m.SyncCounter(name="pass_other", value=3)])
    message = m.SyncMessage
    v4 = m.RejectSample(time_ms=1795615323123, source=bytes([198, 51, 100, 10]), destination=bytes([192, 0, 2, 25]),
                        source_port=40000, destination_port=25, class_id=1, reason="reject_bounce", denied_at=3, weight=1)
    v6 = m.RejectSample(time_ms=1, source=bytes(15) + b"\1", destination=bytes(15) + b"\2", class_id=62,
                        reason="of_another_version", worker=63, weight=2**64 - 1)
    return {
        "empty": b"",
        "hello": message(hello=m.Hello(protocol_version=1, version="bounceline-dataplane 0.1.0", name="edge", epoch=7,
                                       serial=9, n_workers=2)),
        "hello_version_2": message(hello=m.Hello(protocol_version=2, name="edge")),
        "hello_control_byte": message(hello=m.Hello(protocol_version=1, name="a\nb")),
        "refusal": message(refusal=m.SyncRefusal(reason=3, detail="frame of 5 MiB: expected at most 4")),
        "refusal_unknown": message(refusal=m.SyncRefusal(reason=77)),
        "snapshot": message(snapshot=m.SnapshotChunk(epoch=7, serial=9, last=True, classes=[definition], n_entries=3,
                                                     digest_hi=1, digest_lo=2, **columns)),
        "snapshot_host_bits": message(snapshot=m.SnapshotChunk(epoch=7, serial=9, **host_bits)),
        "snapshot_columns_differ": message(snapshot=m.SnapshotChunk(epoch=7, serial=9, **{**columns, "ipv4_lengths": b"\x18"})),
        "delta": message(delta=m.Delta(epoch=7, from_serial=8, serial=9, digest_hi=1, **{**columns, "ipv4_classes": b"\0\2"})),
        "delta_partial": message(delta=m.Delta(epoch=7, from_serial=8, serial=9, partial=True, classes=[definition])),
        "delta_class_64": message(delta=m.Delta(epoch=7, from_serial=8, serial=9, **{**columns, "ipv4_classes": b"\x40\1"})),
        "ack": message(ack=m.Ack(epoch=7, serial=9, digest_hi=1, digest_lo=2)),
        "report": message(report=report),
        "rejects": message(rejects=m.RejectSamples(samples=[v4, v6])),
        "rejects_weight_0": message(rejects=m.RejectSamples(samples=[m.RejectSample(source=b"1234", class_id=1)])),
        "rejects_empty": message(rejects=m.RejectSamples(samples=[m.RejectSample()] * 30)),
        "two_members": message(ack=m.Ack(epoch=7)).SerializeToString() + message(report=report).SerializeToString(),
        "unknown_fields": b"\x98\x06\x01" * 40,
        "length_overflow": b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    }


def request_seeds(m):
    update = m.Update(kind=1, prefix="192.0.2.1", source="feed", code=607, reason="seen in a trap", observed_at_ms=1,
                      expires_at_ms=2, self_service=1, action=1)
    bulk = m.BulkUpdate(kind=1, source="feed", ipv4_addresses=bytes([192, 0, 2, 0]), ipv4_lengths=bytes([24]),
                        ipv6_addresses=bytes(16), ipv6_lengths=bytes([0]))
    batch = m.UpdateBatch
    return {
        "batch": b"\0" + batch(session="s", sequence=1, updates=[update, m.Update(kind=2, prefix="2001:db8::1")], wait=2,
                               deadline_ms=100, atomic=True, expected_serial=4).SerializeToString(),
        "batch_empty": b"\0",
        "batch_bulk": b"\0" + batch(session="s", bulk=bulk).SerializeToString(),
        "batch_both": b"\0" + batch(updates=[update], bulk=bulk).SerializeToString(),
        "batch_lengths": b"\0" + batch(bulk=m.BulkUpdate(kind=1, ipv4_addresses=b"12345")).SerializeToString(),
        "batch_kind": b"\0" + batch(updates=[m.Update(kind=9, prefix="::1")]).SerializeToString(),
        "batch_negative_time": b"\0" + batch(updates=[m.Update(kind=1, observed_at_ms=-5)]).SerializeToString(),
        "batch_nul": b"\0" + field(3, field(2, b"192.0.2.1\0x")),
        "batch_not_utf8": b"\0" + field(1, b"\xff\xfe"),
        "batch_empty_updates": b"\0" + b"\x1a\0" * 50,
        "batch_session_twice": b"\0" + field(1, b"a") * 2,
        "batch_deep": b"\0" + field(3, field(3, field(3, field(3, b"")))),
        "lookup": b"\1" + m.LookupRequest(prefix="192.0.2.1").SerializeToString(),
        "lookup_long": b"\1" + m.LookupRequest(prefix="x" * 200).SerializeToString(),
        "status": b"\2",
        "status_with_field": b"\2\x08\x01",
        "rejects": b"\3" + m.ListRejectsRequest(instance=7, after=9, prefix="192.0.2.0/24", all_stages=True, since_ms=5,
                                                limit=100).SerializeToString(),
        "rejects_limit": b"\3" + m.ListRejectsRequest(limit=10001).SerializeToString(),
        "top": b"\4" + m.GetTopRequest(kind=2, limit=1024).SerializeToString(),
        "watch": b"\5" + m.WatchRequest(from_serial=7, epoch=9, live_only=True).SerializeToString(),
        "export": b"\5" + m.ExportRequest(source="feed", all_layers=True).SerializeToString(),
        "export_long": b"\5" + m.ExportRequest(source="x" * 64).SerializeToString(),
        "history": b"\5" + m.HistoryRequest(prefix="192.0.2.1", limit=10, before_serial=5).SerializeToString(),
        "history_limit": b"\5" + m.HistoryRequest(prefix="::1", limit=10001).SerializeToString(),
        "health": b"\6" + field(1, b"bounceline.v1.ListControl"),
        "reflect_services": b"\6" + field(7, b""),
        "reflect_file": b"\6" + field(3, b"bounceline/v1/list_control.proto"),
        "reflect_symbol": b"\6" + field(4, b"bounceline.v1.ListControl.Push"),
        "reflect_nothing": b"\6" + field(4, b"bounceline.v1.") + field(1, b"host"),
        "reflect_extension": b"\6" + field(5, field(1, b"x")),
        "pushed": b"\7" + batch(session="s", sequence=1, updates=[update]).SerializeToString(),
        "pushed_empty": b"\7" + batch(session="s" * 129, sequence=2).SerializeToString(),
        "pushed_late": b"\7" + batch(session="s", deadline_ms=600001, updates=[update]).SerializeToString(),
        "top_kind": b"\4" + m.GetTopRequest(kind=3).SerializeToString(),
    }


def record_seeds(m):
    group = m.EffectGroup(kind=1, source="feed", code=606, action=1, self_service=True, reason="r", observed_at_ms=5,
                          url="https://delist.example.net/", ipv4_addresses=bytes([192, 0, 2, 0, 10, 0, 0, 1]),
                          ipv4_lengths=bytes([24, 32]))
    group6 = m.EffectGroup(kind=3, reason="said", suppress_until_ms=9, ipv6_addresses=bytes([32, 1]) + bytes(14),
                           ipv6_lengths=bytes([64]))
    kept = {"source": "feed", "actor": "alice", "serial": 3}
    record = {"format_version": 1, "epoch": 7, "serial": 9, "time_ms": 5, "actor": "alice", "session": "s", "sequence": 1,
              "request_hash": 77, "answer": b"\x0a\x01s"}
    class_ = m.SnapshotClass(class_id=1, code=606, action=1, self_service=True, url="https://delist.example.net/")
    answer = m.SnapshotAnswer(actor="alice", session="s", sequence=1, request_hash=77, answer=b"\x0a\x01s", serial=9)
    snapshot = m.SnapshotRecord
    return {
        "record": b"\0" + m.LogRecord(groups=[group, group6], **record).SerializeToString(),
        "record_same_groups": b"\0" + m.LogRecord(groups=[group, group], **record).SerializeToString(),
        "record_version_2": b"\0" + m.LogRecord(**{**record, "format_version": 2}).SerializeToString(),
        "record_host_bits": b"\0" + m.LogRecord(groups=[m.EffectGroup(kind=5, ipv4_addresses=b"\1\2\3\4", ipv4_lengths=b"\x08")],
                                                **record).SerializeToString(),
        "record_kind": b"\0" + m.LogRecord(groups=[m.EffectGroup(kind=9)], **record).SerializeToString(),
        "record_empty": b"\0",
        "snapshot": b"\1" + snapshot(format_version=1, epoch=7, serial=9, classes=[class_], answers=[answer], groups=[
            m.EffectGroup(kind=1, code=606, action=1, ipv4_addresses=b"\1\2\3\4", ipv4_lengths=b"\x20", **kept)]).SerializeToString(),
        "snapshot_class_0": b"\1" + snapshot(format_version=1, epoch=7, serial=9, classes=[m.SnapshotClass()]).SerializeToString(),
        "snapshot_version_0": b"\1" + snapshot(epoch=7, serial=9).SerializeToString(),
    }


SETTINGS = {
    "small": "dataplane:\n  wan: eth1\n  lan: eth2\n  hostname: mx.example.org\n",
    "lists": "controlplane:\n  url: https://a.example/?{address}\n  never_listed: [192.0.2.0/24, '2001:db8::/32']\n"
             "  sources:\n    - {name: drop, code: 649, action: monitor}\n  actors:\n    - name: feed\n      uid: 7\n"
             "      role: feeder\n      source: drop\n",
    "client": "client: {socket: /run/a.sock, deadline_ms: 5s}\n",
    "empty": "",
    "null": "--- ~\n",
    "two": "client:\n---\nclient:\n",
    "alias": "client:\n  socket: &a /x\n  deadline_ms: *a\n",
    "tag": "client: !!map {socket: !x /x}\n",
    "escapes": "client:\n  socket: \"/\\0\\u00e4\\x7f\\\n\"\n",
    "block": "client:\n  socket: |\n    /a\n    /b\n",
    "flow": "{client: {deadline_ms: 1, deadline_ms: 2}}",
    "deep": "controlplane: {never_listed: [[[[[[[[[[[[",
    "numbers": "controlplane:\n  code: 99999999999999999999\n  socket_mode: 08\n",
    "complex_key": "client:\n  ? [a, b]\n  : c\n",
    "not_utf8": b"client:\n  socket: /\xff\n",
    "utf16": "\ufeffclient:\n".encode("utf-16-le"),
}


def write(name, seeds):
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for seed, content in seeds.items():
        if hasattr(content, "SerializeToString"):
            content = content.SerializeToString()
        (folder / seed).write_bytes(content.encode() if isinstance(content, str) else content)


def main():
    with tempfile.TemporaryDirectory() as folder:
        control, log, sync = load_messages(folder)
        write("fuzz_sync", sync_seeds(sync))
        write("fuzz_request", request_seeds(control))
        write("fuzz_record", record_seeds(log))
    write("fuzz_settings", SETTINGS)


if __name__ == "__main__":
    main()
