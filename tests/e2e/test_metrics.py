#!/usr/bin/python3
"""/metrics as Prometheus reads it, after things that are known to have happened; the alarms and the dashboard against the
page. Where promtool is there it checks the alarms, too."""
import contextlib
import http.client
import ipaddress
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import traceback
import urllib.request

import grpc
import yaml
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import (PROGRAM, ROOT, ControlPlane, DataPlane, apply, batch, pb, sync,  # noqa: E402
                          update, wait_for)

MONITORING = ROOT / "controlplane/monitoring"


def free_port(family=socket.AF_INET, address="127.0.0.1"):
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Metered:
    """A control plane with a page. Its port was free a moment ago; who else took it meanwhile is an error of its own."""

    def __init__(self, address="127.0.0.1", family=socket.AF_INET):
        self.port = free_port(family, address.strip("[]"))
        self.url = f"http://{address}:{self.port}/metrics"
        self.plane = ControlPlane(extra=f"  metrics: \"{address}:{self.port}\"\n")
        # root is an actor with limits, so that one of them can be met.
        text = self.plane.config.read_text()
        limited = "  actors:\n    - name: tester\n      uid: 0\n      role: admin\n      updates_per_minute: 100\n"
        self.plane.config.write_text(text.replace("  actors:\n", limited))

    def __enter__(self):
        self.plane.__enter__()
        return self

    def __exit__(self, *cause):
        self.plane.__exit__(*cause)

    def text(self):
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
            return answer.read().decode()

    def page(self):
        return Page(self.text())


class Page:
    """What the stock parser makes of it: it refuses what is not the format."""

    def __init__(self, text):
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = {}
        for family in self.families.values():
            assert family.documentation and family.type != "unknown", family
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"{key} is there twice"
                assert (family.type == "counter") == sample.name.endswith("_total"), sample
                self.samples[key] = sample.value

    def __call__(self, name, **labels):
        return self.samples[(f"bounceline_{name}", frozenset(labels.items()))]

    def names(self):
        return {name for name, _ in self.samples}


def test_what_happened_is_counted():
    with Metered() as metered:
        plane, stub = metered.plane, metered.plane.stub()
        page = metered.page()
        assert page("durable_serial") == page("listings") == page("durable_seconds_count") == 0
        assert page("calls_total", method="Apply", status="OK") == 0 and page("write_fault") == 0
        apply(stub, update("LIST", "192.0.2.1"), update("LIST", "192.0.2.2"), update("LIST", "10.0.0.0/33"))
        apply(stub, update("LIST", "192.0.2.1"), update("DELIST", "203.0.113.1"))
        apply(stub, update("EXEMPT", "2001:db8::1"), session="s", sequence=1)
        apply(stub, update("EXEMPT", "2001:db8::1"), session="s", sequence=1)  # a retry
        apply(stub, update("LIST", "192.0.2.9"), dry_run=True)
        for request, code in ((batch(update("LIST", "192.0.2.1"), expected_serial=77), "ABORTED"),
                              (batch(*[update("LIST", f"10.1.0.{i}") for i in range(99)]), "RESOURCE_EXHAUSTED")):
            with contextlib.suppress(grpc.RpcError):
                stub.Apply(request, timeout=10)
                raise AssertionError(f"answered, expected {code}")
        page = metered.page()
        seen = {outcome: page("updates_total", outcome=outcome)
                for outcome in ("applied", "unchanged", "removed", "exempted", "not_listed", "refused")}
        assert seen == {"applied": 3, "unchanged": 1, "removed": 0, "exempted": 0, "not_listed": 1, "refused": 1}, seen
        assert page("durable_serial") == 2 == plane.status().durable_serial
        assert (page("listings"), page("exemptions"), page("delists")) == (2, 1, 0)
        assert page("effective_entries", family="ipv4") == 2 and page("classes") == 1
        wait_for("all calls have ended", lambda: metered.page()("calls_total", method="Apply", status="OK") == 5)
        page = metered.page()
        assert page("calls_total", method="Apply", status="ABORTED") == 1 == page("failed_batches_total")
        assert page("calls_total", method="Apply", status="RESOURCE_EXHAUSTED") == 1
        assert page("limit_refused_updates_total", actor="tester") == 99
        assert page("limit_refused_updates_total", actor="importer") == 0
        assert page("durable_seconds_count") == 5 == page("durable_seconds_bucket", le="+Inf")
        assert 0 < page("durable_seconds_sum") < 60
        assert page("enforced_seconds_count") == 0 and page("enforced_unmeasured_total") == 2
        assert page("log_bytes") > 4096 and page("queued_batches") == page("queued_bytes") == 0
        assert page("held_batches_total") == 0 and page("uptime_seconds") > 0


def test_held_batches():
    with Metered() as metered:
        stub = metered.plane.stub()
        apply(stub, update("LIST", "192.0.2.1", source="drop"))
        result = apply(stub, update("LIST", "10.0.0.0/8", source="drop"))
        assert result.items[0].refusal == pb.REFUSAL_HELD_FOR_FORCE, result
        assert metered.page()("held_batches_total") == 1
        apply(stub, update("LIST", "10.0.0.0/8", source="drop"), force=True)
        assert metered.page()("held_batches_total") == 1


def test_data_planes_and_a_difference_that_heals():
    """n of m; a digest that is not the serial's: counted, a snapshot, then in step again."""
    with Metered() as metered:
        plane, stub = metered.plane, metered.plane.stub()
        apply(stub, update("LIST", "192.0.2.1"))
        with DataPlane(plane, "edge \"a\\b\"") as odd, DataPlane(plane) as edge:
            wait_for("in sync", lambda: plane.status().enforced_serial == 1)
            result = apply(stub, update("LIST", "192.0.2.2"), enforced=True)
            assert (result.dataplanes_enforced, result.dataplanes_connected) == (2, 2), result
            edge.report(workers=2, counters=[sync.SyncCounter(name=name, value=value) for name, value in (
                ("reject_bounce", 7), ("pass_not_listed", 1 << 40), ("replica_repair", 3), ("192.0.2.77", 1),
                ("2001:db8::7", 2), ("Listed 1", 3))])
            wait_for("the report", lambda: plane.dataplane().counters)
            page = metered.page()
            assert page("packets_total", dataplane="edge", reason="reject_bounce") == 7
            assert page("packets_total", dataplane="edge", reason="pass_not_listed") == 1 << 40
            assert page("dataplane_events_total", dataplane="edge", event="replica_repair") == 3
            assert page("worker_serial", dataplane="edge", worker="1") == 2
            assert page("dataplane_serial", dataplane="edge") == 2 == page("enforced_serial")
            assert page("dataplane_connected", dataplane="edge \"a\\b\"") == 1
            assert page("dataplane_report_age_seconds", dataplane="edge") < 5
            assert page("enforced_seconds_count") == 1 and page("enforced_unmeasured_total") == 1
            no_addresses(page)
            snapshots, resyncs = edge.n_snapshots, page("dataplane_resyncs_total", dataplane="edge")
            assert page("dataplane_digest_mismatches_total", dataplane="edge") == 0
            edge.digest = (edge.digest[0], edge.digest[1] ^ 1)
            edge.report()
            wait_for("a snapshot", lambda: edge.n_snapshots == snapshots + 1)
            wait_for("healed", lambda: metered.page()("enforced_serial") == 2)
            page = metered.page()
            assert page("dataplane_digest_mismatches_total", dataplane="edge") == 1
            assert page("dataplane_resyncs_total", dataplane="edge") == resyncs + 1
            assert page("dataplane_digest_mismatches_total", dataplane="edge \"a\\b\"") == 0
            apply(stub, update("LIST", "192.0.2.3"), enforced=True)
            assert metered.page()("enforced_seconds_count") == 2
            assert not odd.closed
        wait_for("gone", lambda: metered.page()("dataplane_connected", dataplane="edge") == 0)
        wait_for("none is left", lambda: metered.page()("enforced_serial") == 0)


def no_addresses(page):
    for name, labels in page.samples:
        for key, value in labels:
            # le is a number, the version has dots.
            found = key not in ("le", "version") and re.search(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f]*:", value)
            assert not found, (name, key, value)
            with contextlib.suppress(ValueError):
                ipaddress.ip_network(value)
                assert key in ("worker", "le"), (name, key, value)


def test_enforced_is_everywhere():
    """The time ends with the last data plane's acknowledgement, and there is none for what nobody was there for."""
    with Metered() as metered:
        stub = metered.plane.stub()
        with DataPlane(metered.plane) as edge, DataPlane(metered.plane, "slow", acknowledge=False) as slow:
            wait_for("both", lambda: len(metered.plane.status().dataplanes) == 2)
            apply(stub, update("LIST", "192.0.2.1"))
            wait_for("both were sent it", lambda: edge.serial == slow.serial == 1)
            edge.ack()
            edge.report()
            wait_for("its report", lambda: metered.page()("dataplane_serial", dataplane="edge") == 1)
            assert metered.page()("enforced_seconds_count") == 0 == metered.page()("enforced_serial")
            slow.ack()
            wait_for("both have it", lambda: metered.page()("enforced_seconds_count") == 1)
        page = metered.page()
        assert page("enforced_unmeasured_total") == 0 and page("enforced_seconds_bucket", le="+Inf") == 1


def test_alarms_and_dashboard_name_what_is_there():
    with Metered() as metered:
        plane = metered.plane
        apply(plane.stub(), update("LIST", "192.0.2.1"))
        with DataPlane(plane) as edge:
            wait_for("in sync", lambda: plane.status().enforced_serial == 1)
            edge.report(counters=[sync.SyncCounter(name=name, value=1) for name in (
                "reject_bounce", "replica_repair", "replica_mismatch")])
            wait_for("the report", lambda: plane.dataplane().counters)
            there = metered.page().names()
        rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
        expressions = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
        for group in rules["groups"]:
            for rule in group["rules"]:
                assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"], rule
        board = json.loads((MONITORING / "dashboard.json").read_text())
        expressions += [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
        assert len(expressions) > 20, expressions
        named = set()
        for title, expression in expressions:
            names = set(re.findall(r"\bbounceline_[a-z_]+", expression))
            # `up` is Prometheus' own.
            assert names or "up{" in expression, (title, expression)
            assert names <= there, (title, names - there)
            named |= names
        print(f"    {len(expressions)} expressions, {len(named)} of {len(there)} metrics")
    if shutil.which("promtool"):
        for what in (("check", "rules", MONITORING / "alerts.yml"),
                     ("test", "rules", ROOT / "tests/controlplane/alerts_test.yml")):
            checked = subprocess.run(["promtool", *map(str, what)], check=False, capture_output=True, text=True,
                                     timeout=30)
            assert checked.returncode == 0, checked.stdout + checked.stderr
    else:
        print("    skipped: promtool check rules, promtool test rules (Debian package prometheus)")


def test_only_the_page_and_only_get():
    with Metered() as metered:
        def ask(method, path, body=None):
            connection = http.client.HTTPConnection("127.0.0.1", metered.port, timeout=10)
            with contextlib.closing(connection):
                connection.request(method, path, body)
                answer = connection.getresponse()
                return answer.status, answer.read()
        assert ask("GET", "/metrics")[0] == 200 and ask("GET", "/metrics?x=1")[0] == 200
        assert ask("HEAD", "/metrics") == (200, b"")
        for path in ("/", "/metrics/", "/../metrics", "//metrics", "/" + "a" * 4000):
            assert ask("GET", path)[0] == 404, path
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(method, "/metrics", b"x" * 1000 if method == "POST" else None)[0] == 405, method
        for garbage in (b"\r\n\r\n", b"\0" * 1000, b"GET " + b"a" * 70000, b"GET /metrics HTTP/9.9\r\n\r\n"):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", metered.port), 10) as peer:
                peer.sendall(garbage)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
        # More connections than it takes, all silent: they cost the page's readers, not the list's.
        idle = [socket.create_connection(("127.0.0.1", metered.port), 10) for _ in range(24)]
        assert apply(metered.plane.stub(), update("LIST", "192.0.2.1")).n_applied == 1
        for peer in idle:
            peer.close()

        def there():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return metered.page()("listings") == 1
        wait_for("room again", there, 20)


def test_scraped_while_written():
    """Counters never go down, whatever is going on."""
    with Metered() as metered, DataPlane(metered.plane):
        stop = threading.Event()

        def write():
            stub = metered.plane.stub()
            for i in range(90):
                if not stop.is_set():
                    apply(stub, update("LIST" if i % 2 else "EXEMPT", f"192.0.2.{i}"), enforced=True)
        writer = threading.Thread(target=write)
        writer.start()
        last = {}
        while writer.is_alive():
            page = metered.page()
            for key, value in page.samples.items():
                if key[0].endswith(("_total", "_bucket", "_count", "_sum")):
                    assert value >= last.get(key, 0), (key, value, last[key])
                    last[key] = value
        stop.set()
        writer.join()
        page = metered.page()
        assert page("updates_total", outcome="applied") == 90 == page("enforced_seconds_count"), page.text


def test_ipv6_and_off_by_default_and_a_port_in_use():
    with Metered("[::1]", socket.AF_INET6) as metered:
        assert metered.page()("durable_serial") == 0
        # Another program on the same port does not start, and says why.
        second = ControlPlane(extra=f"  metrics: \"[::1]:{metered.port}\"\n")
        try:
            said = subprocess.run([str(PROGRAM), "--config", str(second.config)], capture_output=True, text=True,
                                  check=False, timeout=20)
        finally:
            second.folder.cleanup()
        assert said.returncode == 1 and f"controlplane.metrics: [::1]:{metered.port}: " in said.stderr, said
    with ControlPlane() as plane:
        rows = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True, timeout=10).stdout
        assert f"pid={plane.process.pid}," not in rows, rows
        text = plane.config.read_text()
        for bad in ("9117", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9117", "localhost:9117", "[127.0.0.1]:1",
                    "127.0.0.1:09117", "127.0.0.1:9117 "):
            plane.config.write_text(text + f"  metrics: \"{bad}\"\n")
            said = subprocess.run([str(PROGRAM), "--check", "--config", str(plane.config)], capture_output=True,
                                  text=True, check=False, timeout=10)
            assert said.returncode == 1 and "controlplane.metrics: " in said.stderr, (bad, said)
            assert "expected ADDRESS:PORT" in said.stderr, said


def main():
    cases = {name: case for name, case in globals().items() if name.startswith("test_")}
    failed = 0
    for name in sys.argv[1:] or cases:
        try:
            cases[name]()
            print(f"ok    {name}", flush=True)
        except Exception:  # every failure of a case is told, and the next one still runs
            failed += 1
            traceback.print_exc()
            print(f"FAIL  {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
