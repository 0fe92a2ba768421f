#!/usr/bin/python3
"""Any DPDK port: the data plane on net_pcap, whose frames no kernel has touched. What comes in on one side goes out on the
other to the bit and in order: QinQ with its 88a8 tag, unknown EtherTypes, runts, fragments, broken headers, full frames."""
import os
import pathlib
import random
import signal
import struct
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BL_BUILD") or ROOT / "build")
MACS = bytes.fromhex("020000000002020000000001")
N_FRAMES = 20000
SETTINGS = """dataplane:
  name: pcap
  wan: "net_pcap_wan,rx_pcap={0}/in.pcap,tx_pcap={0}/wan.pcap"
  lan: "net_pcap_lan,rx_pcap={0}/in.pcap,tx_pcap={0}/lan.pcap"
  hostname: mx.example.org
  sync_socket: {0}/nobody.sock
  table_file: ""
  hugepages: off
"""


def frame(rng):
    """One frame of a random shape; some are broken on purpose."""
    body = rng.randbytes(rng.randrange(46, 1486))
    ipv4 = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), rng.randrange(65536), rng.choice([0x4000, 0x2000, 0x2005]),
                       64, rng.choice([6, 6, 17, 1]), rng.randrange(65536)) + rng.randbytes(8)
    ipv6 = struct.pack(">IHBB", 6 << 28, len(body), rng.choice([6, 0, 44, 58]), 64) + rng.randbytes(32)
    shapes = [
        b"\x08\x00" + ipv4 + body[:1460],
        b"\x86\xdd" + ipv6 + body[:1440],
        b"\x81\x00\x00\x05\x08\x00" + ipv4 + body[:1460],
        b"\x88\xa8\x00\x07\x81\x00\x00\x09\x08\x00" + ipv4 + body[:1460],
        b"\x08\x06" + body,
        struct.pack(">H", rng.randrange(65536)) + body,
        b"\x08\x00" + rng.randbytes(46),
        b"\x86\xdd" + rng.randbytes(46),
    ]
    return MACS + rng.choice(shapes)


def write_capture(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            out.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


def read_capture(path):
    """The whole frames that are in the file by now."""
    data = path.read_bytes() if path.exists() else b""
    frames, at = [], 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        if at + 16 + length > len(data):
            break
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


def wait_until_quiet(plane, paths):
    """Until every capture has grown and has then stood still for 2 s; a minute at most."""
    end = time.monotonic() + 60
    sizes, since = None, time.monotonic()
    while plane.poll() is None and time.monotonic() < end:
        now = [p.stat().st_size if p.exists() else 0 for p in paths]
        if now != sizes or 0 in now:
            sizes, since = now, time.monotonic()
        elif time.monotonic() - since > 2:
            return
        time.sleep(0.1)


class AnyPort(unittest.TestCase):
    def test_frames_come_out_as_they_went_in(self):
        rng = random.Random(1)
        frames = [frame(rng) for _ in range(N_FRAMES)]
        with tempfile.TemporaryDirectory(prefix="bounceline-pcap-") as folder:
            folder = pathlib.Path(folder)
            write_capture(folder / "in.pcap", frames)
            (folder / "bounceline.yaml").write_text(SETTINGS.format(folder))
            plane = subprocess.Popen([BUILD / "bounceline-dataplane", "--config", folder / "bounceline.yaml"],
                                     stderr=subprocess.PIPE)
            try:
                wait_until_quiet(plane, [folder / "lan.pcap", folder / "wan.pcap"])
                plane.send_signal(signal.SIGTERM)
                words = plane.communicate(timeout=30)[1].decode()
            finally:
                plane.kill()
                plane.wait()
            self.assertEqual(plane.returncode, 0, words)
            for side in ("lan", "wan"):
                out = read_capture(folder / f"{side}.pcap")
                self.assertEqual(len(out), len(frames), f"{side}: frames lost or made")
                wrong = [i for i, (a, b) in enumerate(zip(frames, out)) if a != b]
                self.assertEqual(wrong, [], f"{side}: frames changed")
        print(f"{len(frames)} frames each way on net_pcap, none changed, none lost")


if __name__ == "__main__":
    unittest.main(verbosity=2)
