#!/usr/bin/python3
"""dataplane/run.sh itself: the story that a newcomer sees ends with 0 and leaves nothing behind, `--wan IF --lan IF` puts
Bounceline between two interfaces and gives them back as they were, and mistakes are told before anything is touched."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from lab import in_namespace, wait_for  # noqa: E402

RUN = str(bl.ROOT / "dataplane/run.sh")
ENVIRONMENT = {**os.environ, "BL_BUILD": str(bl.BUILD)}
SETTINGS = """dataplane:
  wan: replaced
  lan: replaced
  hostname: mx.example.org
  sync_socket: {0}/sync.sock
  table_file: ""
  hugepages: off
  memory_mb: 128
controlplane:
  socket: {0}/control.sock
  sync_socket: {0}/sync.sock
  data_directory: {0}/log
  url: https://delist.example.net/
"""
FEATURES = ("rx-checksumming", "tx-checksumming", "scatter-gather", "tcp-segmentation-offload",
            "generic-segmentation-offload", "generic-receive-offload")


def run(*arguments):
    return subprocess.run([RUN, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env=ENVIRONMENT, timeout=240)


def command(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def namespaces():
    """Of the labs that are there; one that a person keeps is none of ours."""
    return {line.split()[0] for line in command("ip", "netns", "list").splitlines() if line.startswith("bl")}


def end(process):
    """Of a test that failed: run.sh still gives back what it changed."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


class Wires:
    """left mail0 ─── wan0 middle lan0 ─── mail0 right: wan0 is up and promiscuous already, lan0 neither."""

    def __init__(self, stack):
        self.names = {role: f"run{os.getpid()}-{role}" for role in ("left", "middle", "right")}
        for name in self.names.values():
            command("ip", "netns", "add", name)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
        for role, port in (("left", "wan0"), ("right", "lan0")):
            command("ip", "-n", self.names[role], "link", "add", "mail0", "type", "veth", "peer", "name", port, "netns",
                    self.names["middle"])
            command("ip", "-n", self.names[role], "link", "set", "mail0", "up")
        command("ip", "-n", self.names["middle"], "link", "set", "wan0", "promisc", "on", "up")

    def state(self):
        """What run.sh changes and has to change back."""
        inside = ["ip", "netns", "exec", self.names["middle"]]
        state = {}
        for port in ("wan0", "lan0"):
            flags = set(command(*inside, "ip", "-o", "link", "show", port).split("<")[1].split(">")[0].split(","))
            lines = command(*inside, "ethtool", "-k", port).splitlines()
            state[port] = (flags & {"UP", "PROMISC"}, [line for line in lines if line.split(":")[0] in FEATURES],
                           command(*inside, "sysctl", f"net.ipv6.conf.{port}.disable_ipv6"))
        return state

    def socket(self, role):
        with in_namespace(self.names[role]):
            port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
        port.bind(("mail0", 0x88b5))
        port.settimeout(0.2)
        return port


class TestRun(unittest.TestCase):
    def test_the_story(self):
        before = namespaces()
        done = run()
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
        self.assertIn("All was seen:", done.stdout)
        text = " ".join(done.stdout.split())
        for address in (bl.SENDER_IPV4, bl.SENDER_IPV6):
            self.assertIn(f"550 5.7.606 Access denied, banned sending IP [{address}]; To request removal from this list "
                          f"please visit {bl.URL.replace('{address}', address)} and follow the directions.", text)
            self.assertIn(f"mail from {address} delivered", text)
        self.assertEqual(namespaces() - before, set(), "namespaces that are left")

    def test_mistakes(self):
        for arguments in (["--bogus"], ["--wan", "a"], ["--wan"], ["--config", "x"], ["--wan", "a", "--lan", "b", "--keep"]):
            with self.subTest(arguments=arguments):
                done = run(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn("see dataplane/run.sh --help", done.stderr)

    def test_between_two_interfaces(self):
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bounceline-run-"))
            settings = pathlib.Path(directory, "bounceline.yaml")
            settings.write_text(SETTINGS.format(directory))
            wires = Wires(stack)
            before = wires.state()
            log = stack.enter_context(open(f"{directory}/log.txt", "w+", encoding="utf-8"))
            process = subprocess.Popen(
                ["ip", "netns", "exec", wires.names["middle"], RUN, "--wan", "wan0", "--lan", "lan0", "--config",
                 str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
            stack.callback(end, process)
            left, right = (stack.enter_context(wires.socket(role)) for role in ("left", "right"))
            frame = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + bytes(range(46))

            def passes():
                self.assertIsNone(process.poll(), pathlib.Path(directory, "log.txt").read_text())
                with contextlib.suppress(OSError):
                    left.send(frame)
                with contextlib.suppress(TimeoutError):
                    return right.recv(2000) == frame
                return False

            wait_for("a frame that comes out at the other side", passes, 120)
            self.assertNotEqual(wires.state(), before)
            os.killpg(process.pid, signal.SIGINT)  # what a terminal does at ctrl-C
            self.assertEqual(process.wait(30), 130)
            self.assertEqual(wires.state(), before)


if __name__ == "__main__":
    bl.skip_unless_possible()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unittest.main(verbosity=2)
