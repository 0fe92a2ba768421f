#!/usr/bin/python3
"""perf/loadgen against the real data plane over shared memory: dialogues of both families and everything beside them, all
answers right; one prefix that hears another code is found, so are another URL and another key; the same seed sends the same
frames; captures are read by others; a search, a replay, and ports of the kernel's.

How much is lost is the machine's business and decides nothing here: answers do."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
import tcp  # noqa: E402
from test_wire import write_capture  # noqa: E402

HERE = bl.ROOT / "perf/loadgen_here.sh"
N_DIALOGUES = 24_000_000 if os.environ.get("BL_LONG") else 100_000
RATE = 100_000 if os.environ.get("BL_LONG") else 50_000
EVERYTHING = "dialogue=4,syn=1,forged=1,allowed=3,other=3,lan=2,mutated=2"
MACS = (bytes.fromhex("020000000002"), bytes.fromhex("020000000001"))


def read_frames(path):
    """Of a capture with times in nanoseconds."""
    data = path.read_bytes()
    assert struct.unpack_from("<I", data)[0] == 0xA1B23C4D
    frames, at = [], 24
    while at < len(data):
        length, whole = struct.unpack_from("<II", data, at + 8)
        assert length == whole
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


class Loadgen(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="bounceline-loadgen-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def play(self, *arguments, here=(), code=0):
        """loadgen_here.sh; returns loadgen's JSON, if any, and the words."""
        command = [HERE, *here, "--", "--json", *arguments]
        done = subprocess.run(list(map(str, command)), env={**os.environ, "BL_BUILD": str(bl.BUILD), "BL_PLANE_MB": "256",
                                                             "BL_LOADGEN_MB": "128"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False)
        self.assertEqual(done.returncode, code, done.stderr[-3000:] + done.stdout[-2000:])
        return json.loads(done.stdout) if done.stdout else None, done.stderr

    def assert_no_wrong(self, result):
        self.assertEqual(result["wrong"], 0, result["wrong_of"])
        self.assertFalse(result["guesses_are_wrong"])
        self.assertEqual(result["foreign"], 0)
        self.assertEqual(result["begun"], result["planned"])

    def test_dialogues(self):
        result, _ = self.play("--count", N_DIALOGUES, "--rate", RATE, here=["--keys"])
        self.assert_no_wrong(result)
        completed = result["completed_of"]["dialogue"]
        self.assertGreater(completed, N_DIALOGUES // 2)
        for step in ("syn_ack", "greeting", "ehlo", "mail", "rcpt", "bye", "last"):
            self.assertGreaterEqual(result["steps"][step], completed, step)
        for name in ("syn_ack", "reply", "dialogue"):
            latency = result["latency_us"][name]
            self.assertGreater(latency["p50"], 0)
            self.assertLessEqual(latency["p50"], latency["p99"])
            self.assertLessEqual(latency["p999"], latency["max"])
        self.assertEqual(result["latency_us"]["dialogue"]["n"], completed)
        print(f"{completed} dialogues to the end, {result['loss_percent']:.3f} % lost, no wrong answer", flush=True)

    def test_everything_and_its_capture(self):
        path = self.dir / "all.pcap"
        result, _ = self.play("--mix", EVERYTHING, "--count", 6000, "--rate", 6000, "--warm-up", 0, "--pcap", path)
        self.assert_no_wrong(result)
        for kind in ("dialogue", "syn", "allowed", "other", "lan", "mutated"):
            self.assertGreater(result["begun_of"][kind], 0, kind)
            self.assertGreater(result["completed_of"][kind], result["expected_of"][kind] // 10, kind)
        self.assertGreater(result["passed_of"]["forged"], 0)
        frames = read_frames(path)
        self.assertEqual(len(frames), result["captured"])
        self.assertEqual(len(frames), result["frames_sent"] + result["frames_received"])
        # Others read it: the 550 with the source that it is for.
        read = subprocess.run(["tcpdump", "-nr", path, "-A", "tcp src port 25 and greater 150"], capture_output=True, text=True,
                              errors="replace", check=True).stdout
        self.assertGreater(read.count("Access denied, banned sending IP ["), result["steps"]["rcpt"] - 1)
        from scapy.all import IP, IPv6, TCP, rdpcap
        packets = rdpcap(str(path), 500)
        denied = [packet for packet in packets if TCP in packet and bytes(packet[TCP].payload).startswith(b"550 5.7.606")]
        self.assertGreater(len(denied), 0)
        for packet in denied:
            client = packet[IPv6].dst if IPv6 in packet else packet[IP].dst
            self.assertIn(f"banned sending IP [{client}]".encode(), bytes(packet[TCP].payload))
        self.replay(path)

    def replay(self, path):
        """What of it is from clients that are not listed goes through again, to the bit. With another seed, for which the
        marks of this one are no marks."""
        frames = [frame for frame in read_frames(path) if frame[:12] == MACS[0] + MACS[1]]
        listed = {segment.source for segment in map(tcp.read, frames) if segment and segment.flags == tcp.SYN and
                  segment.options and segment.destination_port == 25}
        allowed = [frame for frame in frames if (segment := tcp.read(frame)) and segment.destination_port != 25 and
                   segment.source not in listed]
        self.assertGreater(len(allowed), 100)
        write_capture(self.dir / "again.pcap", allowed)
        result, _ = self.play("--mix", "replay", "--replay", self.dir / "again.pcap", "--count", 3000, "--rate", 10000,
                              "--warm-up", 0, "--seed", 2)
        self.assert_no_wrong(result)
        self.assertGreater(result["passed_of"]["replay"], 1500)

    def test_planted_wrong_answers(self):
        """One prefix of a thousand hears another code; then every URL, and every ticket."""
        prefixes = [f"45.7.{i // 4}.{i % 4 * 64}/26" for i in range(1000)]
        (self.dir / "most").write_text("\n".join(prefixes[1:]) + "\n")
        (self.dir / "one").write_text(prefixes[0] + "\n")
        (self.dir / "all").write_text("\n".join(prefixes) + "\n")
        subprocess.run([bl.BUILD / "perf/make_table_file", "--listed", self.dir / "most", "--listed",
                        f"{self.dir / 'one'}=607", self.dir / "table"], check=True, stdout=subprocess.DEVNULL)
        run = ("--count", 8000, "--rate", 10000, "--warm-up", 0)
        here = ["--table", self.dir / "table", "--listed", self.dir / "all"]
        result, words = self.play(*run, here=here, code=1)
        self.assertGreater(result["wrong"], 0)
        self.assertLess(result["wrong"], 60)
        self.assertEqual(result["wrong"], result["wrong_of"]["code"])
        self.assertIn("wrong answer 1: code, on the internet's side", words)
        self.assertIn("550 5.7.606 Access denied, banned sending IP [45.7.0.", words.split("expected: ")[1])
        shown = bytes.fromhex("".join(line for line in words.split("bytes:\n")[1].split("\n  expected")[0].split("\n")))
        self.assertIn(b"550 5.7.607 Access denied, banned sending IP [45.7.0.", shown)

        run = ("--count", 3000, "--rate", 10000, "--warm-up", 0)
        result, _ = self.play(*run, "--url", "https://delist.example.org/?ip={address}", code=1)
        self.assertEqual(result["wrong"], result["wrong_of"]["text"])
        self.assertGreater(result["wrong"], 100)
        (self.dir / "key").write_bytes(bytes(range(16)))
        result, _ = self.play(*run, "--ticket-key", self.dir / "key", here=["--keys"], code=1)
        self.assertEqual(result["wrong"], result["wrong_of"]["ticket"])
        self.assertGreater(result["wrong"], 100)

    def test_same_seed(self):
        """What begins, in its order: SYNs, and what has a mark at its end."""
        begun = []
        for number, seed in enumerate((5, 5, 6)):
            path = self.dir / f"{number}.pcap"
            result, _ = self.play("--mix", EVERYTHING, "--count", 1000, "--rate", 2000, "--warm-up", 0, "--seed", seed, "--pcap",
                                  path)
            self.assert_no_wrong(result)
            self.assertEqual(result["seed"], seed)
            frames = [frame for frame in read_frames(path) if frame[:12] == MACS[0] + MACS[1]]
            # Once: what passes is in the capture again as it comes out.
            begun.append(list(dict.fromkeys(
                frame for frame in frames if frame[-24:-16] == b"BlPadgen" or
                (segment := tcp.read(frame)) and segment.flags == tcp.SYN)))
        # What a port refused is in no capture.
        both = set(begun[0]) & set(begun[1])
        self.assertGreater(len(both), 500)
        self.assertEqual(*([frame for frame in frames if frame in both] for frames in begun[:2]))
        self.assertFalse(set(begun[0]) & set(begun[2]))

    def test_search(self):
        result, _ = self.play("--search", "--quick", "--rate", 40000, "--loss", "100", "--warm-up", 0)
        self.assertEqual(result["search"]["rate"], 40000)
        self.assertEqual(result["search"]["limited_by"], "rate")
        self.assertEqual(len(result["search"]["trials"]), 1)
        # No machine here begins so many: found is something below, or nothing.
        done = subprocess.run([HERE, "--", "--search", "--quick", "--rate", "5000000", "--rate-min", "50000", "--resolution", "50",
                               "--loss", "5", "--json"], env={**os.environ, "BL_BUILD": str(bl.BUILD)}, capture_output=True,
                              text=True, timeout=200, check=False)
        self.assertIn(done.returncode, (0, 4), done.stderr)
        search = json.loads(done.stdout)["search"]
        self.assertEqual(search["limited_by"], "loss")
        self.assertGreater(len(search["trials"]), 1)
        rates = [trial["rate"] for trial in search["trials"] if trial["loss_percent"] <= 5 and not trial["behind"]]
        self.assertEqual(search["rate"], max(rates) if rates else None)

    def test_on_linux_interfaces(self):
        result, _ = self.play("--mix", EVERYTHING, "--count", 2000, "--rate", 4000, "--warm-up", 0,
                              here=["--wire", "veth"])
        self.assert_no_wrong(result)
        self.assertGreater(result["completed"], 0)

    def test_mistakes(self):
        program = bl.BUILD / "perf/loadgen"
        empty = ["--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf", "--vdev", "net_null0", "--vdev", "net_null1",
                 "--", "--wait", "0.1"]
        (self.dir / "list").write_text("45.0.0.0/33\n")
        for arguments, code, words in (
                (["--help"], 0, "Plays the SMTP clients"),
                ([*empty, "--mix", "nonsense"], 2, "nonsense: expected a kind"),
                (empty, 2, "expected --listed FILE"),
                ([*empty, "--listed", self.dir / "list=700"], 2, "expected a number from 606 to 649"),
                ([*empty, "--listed", self.dir / "list"], 3, f"{self.dir}/list:1: "),
                ([*empty, "--listed", self.dir / "none"], 3, f"{self.dir}/none: No such file"),
                ([*empty, "--mix", "other", "--lan-port", "0"], 3, "expected two ports"),
                ([*empty, "--mix", "other", "--wan-port", "7"], 3, "port 7: DPDK has 2")):
            done = subprocess.run(list(map(str, [program, *arguments])), capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertIn(words, done.stdout + done.stderr)


if __name__ == "__main__":
    if not (bl.BUILD / "perf/loadgen").exists():
        print("perf/loadgen is not in this build (BL_PERF)")
        sys.exit(bl.SKIP)
    bl.main()
