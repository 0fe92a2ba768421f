#!/usr/bin/env python3
"""Feeds from file to list: formats, replace, dry run, hold and force, with the real programs and nothing between.

    test_import.py            all tests
    test_import.py NAME...    some of them

The real lists are those of ../shared/data; where they are not there, that part says so and is skipped. Needs
python3-grpcio and python3-grpc-tools.
"""
import gzip
import ipaddress
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import controlplane  # noqa: E402
from controlplane import ControlPlane, pb  # noqa: E402

BOUNCELINE = controlplane.PROGRAM.parent / "bounceline"
DATA = pathlib.Path(os.environ.get("BL_SHARED_DATA") or controlplane.ROOT.parent / "shared/data")


def run(plane, *arguments, stdin=None, code=0):
    """A command's answer as its JSON; @code is the exit code that it must have."""
    done = subprocess.run([BOUNCELINE, "--socket", plane.dir / "run/control.sock", *arguments, "--json"],
                          input=stdin, capture_output=True, timeout=60)
    assert done.returncode == code, (arguments, done.returncode, done.stdout[-500:], done.stderr[-500:])
    return json.loads(done.stdout)


def listed(plane, address):
    return plane.stub().Lookup(pb.LookupRequest(prefix=address)).listed


def counts(answer):
    return tuple(answer[key] for key in ("n_applied", "n_removed", "n_unchanged"))


def test_replace_writes_the_difference_and_nothing_twice(plane):
    """First import free, the same again no record, a difference of one in and one out, others' listings untouched."""
    lines = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    run(plane, "list", "10.0.0.1", "--source", "other")
    first = run(plane, "import", "-", "--source", "drop", "--replace", stdin="\n".join(lines).encode())
    assert counts(first) == (1000, 0, 0) and first["serial"] != 0, first
    again = run(plane, "import", "-", "--source", "drop", "--replace", stdin="\n".join(reversed(lines)).encode())
    assert counts(again) == (0, 0, 1000) and again["serial"] == 0, again
    changed = "\n".join(lines[1:] + ["10.9.9.9"]).encode()
    dry = run(plane, "import", "-", "--source", "drop", "--replace", "--dry-run", stdin=changed)
    assert counts(dry) == (1, 1, 999) and dry["serial"] == 0 and dry["dry_run"], dry
    assert [(item["prefix"], item["outcome"]) for item in dry["items"]] == \
        [("10.0.0.1/32", "removed"), ("10.9.9.9/32", "applied")], dry["items"]
    assert not listed(plane, "10.9.9.9")
    assert counts(run(plane, "import", "-", "--source", "drop", "--replace", stdin=changed)) == (1, 1, 999)
    assert listed(plane, "10.9.9.9") and listed(plane, "10.0.0.1"), "the other source lists it still"


def test_a_truncated_download_is_held(plane):
    """Half of a file removes half of the source: over 5 % and over the floor, so nothing goes until somebody says force."""
    lines = [f"20.{i >> 8}.{i & 255}.0/24" for i in range(1024)]
    run(plane, "import", "-", "--source", "drop", "--replace", stdin="\n".join(lines).encode())
    half = "\n".join(lines[:512]).encode()
    held = run(plane, "import", "-", "--source", "drop", "--replace", stdin=half, code=1)
    assert held["items"][0]["refusal"] == "held_for_force" and "removes 131072" in held["items"][0]["detail"], held["items"]
    assert listed(plane, "20.3.255.1")
    assert counts(run(plane, "import", "-", "--source", "drop", "--replace", "--force", stdin=half)) == (0, 512, 512)
    assert not listed(plane, "20.3.255.1")


def test_a_feed_that_repeats_its_file_lists_nobody_again(plane):
    """A delist stands until there is newer evidence; the same file is none, with or without --replace."""
    text = b"192.0.2.7\n192.0.2.8\n"
    run(plane, "import", "-", "--source", "drop", stdin=text)
    run(plane, "delist", "192.0.2.7")
    for options in ((), ("--replace",)):
        assert counts(run(plane, "import", "-", "--source", "drop", *options, stdin=text)) == (0, 0, 2)
        assert not listed(plane, "192.0.2.7") and listed(plane, "192.0.2.8")


def test_exclusions_and_expiries_reach_the_list(plane):
    run(plane, "import", "-", "--source", "drop", stdin=b":127.0.0.2:x $\n192.0.2.0/24\n!192.0.2.8-15\n")
    assert listed(plane, "192.0.2.7") and not listed(plane, "192.0.2.9") and listed(plane, "192.0.2.16")
    before = time.time()
    run(plane, "import", "-", "--source", "crowd", stdin=b"duration,scope,value\n2h,ip,198.51.100.1\n5s,ip,198.51.100.2\n")
    stub = plane.stub()
    layer = stub.Lookup(pb.LookupRequest(prefix="198.51.100.1")).layers[0]
    assert 7190 < layer.expires_at_ms / 1000 - before < 7210, layer
    controlplane.wait_for("the five-second decision to end",
                          lambda: not stub.Lookup(pb.LookupRequest(prefix="198.51.100.2")).listed, seconds=30)


def test_bad_files_change_nothing(plane):
    for text, cause in ((b'{"cidr":"1.2.3.0/24"}\n', "truncated"), (gzip.compress(b"192.0.2.1\n" * 99)[:-9], "ends early"),
                        (b"192.0.2.1/24\n", "expected 192.0.2.0/24"), (b"create a hash:mac\n", "expected hash:ip")):
        answer = run(plane, "import", "-", "--source", "drop", "--replace", stdin=text, code=1)
        causes = answer["error"] + "".join(line["cause"] for line in answer.get("bad_lines", ()))
        assert cause in causes, (text[:40], answer)
    assert plane.stub().GetStatus(pb.GetStatusRequest()).n_listings == 0


def exported_back(plane, name, wanted):
    """What is exported is what was imported, and imported again it changes nothing."""
    file = plane.dir / "exported"
    for form in ("plain", "rbldnsd"):
        subprocess.run([BOUNCELINE, "--socket", plane.dir / "run/control.sock", "export", "--source", name, "--format", form,
                        "--output", file], check=True, timeout=60)
        lines = file.read_text().splitlines()
        options = ()
        if form == "plain":
            assert len(lines) == len(wanted) and {str(ipaddress.ip_network(line)) for line in lines} == wanted, name
        else:  # one data set; a file that says it is a combination of them is not a list
            assert lines.pop(0).startswith("$DATASET ")
            file.write_text("\n".join(lines) + "\n")
            options = ("--format", "ip6trie" if ":" in next(iter(wanted)) else "ip4set")
        assert counts(run(plane, "import", file, "--source", name, "--replace", *options))[:2] == (0, 0), (name, form)


def test_the_real_lists(plane):
    if not DATA.is_dir():
        print(f"skipped: {DATA} is not there")
        return
    seen = {}
    for name, file, options in (("ipsum", "ipsum.txt.gz", ("--format", "first-column")),
                                ("drop", "spamhaus-drop-2024.txt", ()), ("drop6", "spamhaus-dropv6-2024.txt", ())):
        answer = run(plane, "import", DATA / file, "--source", name, "--replace", *options)
        text = gzip.open(DATA / file).read() if file.endswith(".gz") else (DATA / file).read_bytes()
        wanted = {line.split()[0] for line in text.decode().splitlines() if line.split() and line[0] not in "#;"}
        seen[name] = (answer["n_applied"], len(wanted))
        assert seen[name][0] == seen[name][1], seen
        assert counts(run(plane, "import", DATA / file, "--source", name, "--replace", *options))[:2] == (0, 0)
        exported_back(plane, name, {str(ipaddress.ip_network(prefix)) for prefix in wanted})
    print(", ".join(f"{name}: {n[0]}" for name, n in seen.items()))


def main():
    tests = {name: test for name, test in globals().items() if name.startswith("test_")}
    for name in sys.argv[1:] or tests:
        with ControlPlane() as plane:
            tests[name](plane)
        print(f"ok   {name}")


if __name__ == "__main__":
    main()
