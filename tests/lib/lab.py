"""A lab for end-to-end tests: the namespaces, mail servers and planes of dataplane/lab, from Python.

    with Lab(workers=4) as lab:
        lab.mail_up()
        lab.planes_up()
        lab.client("list", "198.51.100.10", "--wait", "enforced")

Everything of a lab is in its directory and its three namespaces, and goes at the end of the `with`, also after a failure
or an interrupt; what a killed test leaves is taken away by the next one (lab_sweep). The programs come from the
release build, or from where BL_BUILD says.
"""
import atexit
import contextlib
import ctypes
import email
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BL_BUILD") or ROOT / "build")
SENDER_IPV4, SENDER_IPV6 = "198.51.100.10", "2001:db8:5::10"
OTHER_IPV4, OTHER_IPV6 = "198.51.100.11", "2001:db8:6::11"
RECEIVER_IPV4, RECEIVER_IPV6 = "192.0.2.25", "2001:db8:25::25"
URL = "https://delist.example.net/?ip={address}"
HUGEPAGES = 512
SKIP = 77  # exit code of a test that can't run here
CLONE_NEWNET = 0x40000000


class LabError(Exception):
    """The lab itself does not work: nothing was tested."""


def skip_unless_possible():
    """Ends the program with the skip code where namespaces can't be made."""
    if os.geteuid() != 0:
        print("skipped: needs root, for network namespaces")
        sys.exit(SKIP)


def shell(function, *arguments, stdin=None, check=True):
    """Calls a function of dataplane/lab/*.sh."""
    script = 'set -euo pipefail; for f in common network postfix appliance; do . "$0/$f.sh"; done; "$@"'
    done = subprocess.run(["bash", "-c", script, str(ROOT / "dataplane/lab"), function, *map(str, arguments)],
                          input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          env={**os.environ, "BL_BUILD": str(BUILD)})
    if check and done.returncode != 0:
        raise LabError(f"{function} failed ({done.returncode}): {done.stderr.decode(errors='replace')}")
    return done.stdout.decode(errors="replace")


def wait_for(what, condition, seconds=30.0, step=0.02):
    """Calls condition until it returns something true, which is returned. Fails with `what` after the time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(step)


@contextlib.contextmanager
def in_namespace(name):
    """This thread's network namespace is another one inside; sockets made there stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as own, open(f"/run/netns/{name}", "rb") as other:
        if libc.setns(other.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if libc.setns(own.fileno(), CLONE_NEWNET) != 0:
                os._exit(70)  # in the wrong namespace nothing may go on


class Lab:
    """Namespaces from the start; mail servers and planes when asked for."""

    def __init__(self, workers=2, settings=None):
        """settings: lines to add to section dataplane of bounceline.yaml."""
        self.workers = workers
        self.settings = settings or []
        self.processes = {}
        self.sent = 0
        self.dir = None

    def __enter__(self):
        shell("lab_sweep")
        atexit.register(self._end)
        self.dir = pathlib.Path(shell("lab_create", os.getpid()).strip())
        # unittest takes a SystemExit for one test's error and goes on; an interrupt ends it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            shell("network_up", self.dir)
            shell("appliance_config", self.dir, self.workers, shell("hugepages_setting", self.dir, HUGEPAGES).strip())
            self._add_settings()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and kind is not SystemExit:
            self.explain()
        self._end()
        return False

    def _end(self):
        """Once; also when the interpreter ends without __exit__."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()
        if self.dir is not None:
            shell("lab_end", self.dir, check=False)
            self.dir = None

    def reconfigure(self, *settings, url=URL):
        """The data plane is started again with other lines in its section; the control plane too for another URL."""
        self.settings = list(settings)
        path = self.dir / "bounceline.yaml"
        others = f"url: {URL}\n" not in path.read_text() or url != URL
        shell("appliance_config", self.dir, self.workers, shell("hugepages_setting", self.dir, HUGEPAGES).strip())
        self._add_settings()
        path.write_text(path.read_text().replace(f"url: {URL}\n", f"url: {url}\n"))
        if others:
            self.kill("controlplane", signal.SIGTERM)
            self.start("controlplane")
            wait_for("the control plane", self.status)
        self.kill("dataplane", signal.SIGTERM)
        wait_for("the control plane to see it go",
                 lambda: not any(plane["connected"] for plane in self.status()["dataplanes"]), 30, 0.05)
        self.start("dataplane")
        self.wait_ready()

    def _add_settings(self):
        path = self.dir / "bounceline.yaml"
        text = path.read_text()
        path.write_text(text.replace("dataplane:\n", "dataplane:\n" + "".join(f"  {s}\n" for s in self.settings), 1))

    def explain(self):
        """What the machines said last, for whoever reads the failure."""
        for path in sorted(self.dir.glob("*.log")) + sorted(self.dir.glob("*/maillog")):
            print(f"== {path.relative_to(self.dir)}", file=sys.stderr)
            for line in path.read_text(errors="replace").splitlines()[-15:]:
                print("   " + line, file=sys.stderr)

    def namespace(self, role):
        return f"{self.dir.name}-{role}"

    def run(self, role, *command, **options):
        """subprocess.run in the role's namespace."""
        return subprocess.run(["ip", "netns", "exec", self.namespace(role), *map(str, command)], **options)

    # The planes.

    def start(self, plane):
        """Starts bounceline-PLANE in the appliance's namespace; its words go to PLANE.log."""
        log = open(self.dir / f"{plane}.log", "ab")
        command = ["ip", "netns", "exec", self.namespace("appliance"), str(BUILD / f"bounceline-{plane}"),
                   "--config", str(self.dir / "bounceline.yaml")]
        self.processes[plane] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def kill(self, plane, number=signal.SIGKILL):
        """kill -9 by process, not by name; returns when it is gone."""
        process = self.processes.pop(plane)
        process.send_signal(number)
        return process.wait(30)

    def planes_up(self):
        self.start("controlplane")
        self.start("dataplane")
        self.wait_ready()

    def wait_ready(self, seconds=30):
        """Until both planes know each other and are at one serial."""
        def ready():
            for plane, process in self.processes.items():
                if process.poll() is not None:
                    raise LabError(f"bounceline-{plane} ended with {process.returncode}")
            status = self.status()
            if status is None or len(status["dataplanes"]) != 1:
                return False
            plane = status["dataplanes"][0]  # stays in the status after it has gone
            return plane["connected"] and int(plane["serial"]) == int(status["durable_serial"])
        wait_for("both planes at one serial", ready, seconds, 0.05)

    def client(self, *arguments, expect=0):
        """The command line on the lab's socket. Fails when the exit code is not the expected one (None: any)."""
        command = [str(BUILD / "bounceline"), "--socket", str(self.dir / "control.sock"), *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}, expected {expect}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def status(self):
        """The status as a dictionary; None when the control plane does not answer."""
        done = self.client("status", "--json", expect=None)
        return json.loads(done.stdout) if done.returncode == 0 else None

    # Mail.

    def mail_up(self):
        shell("postfix_up", self.dir)

    def send(self, to, body="hello\n", extra=""):
        """alice sends; returns the message's id, by which logs and mail are found again."""
        self.sent += 1
        name = f"<{self.sent}.{self.dir.name}@sender.example.net>"
        text = f"From: alice@sender.example.net\nTo: {to}\nSubject: test\nMessage-Id: {name}\n{extra}\n{body}"
        shell("postfix_send", self.dir, to, stdin=text.encode())
        return name

    def mailbox(self, role, user):
        """The messages that arrived, parsed, oldest first."""
        folder = self.dir / role / "mail" / user / "new"
        paths = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime_ns) if folder.is_dir() else []
        return [email.message_from_bytes(path.read_bytes()) for path in paths]

    def find_mail(self, name):
        """bob's message with this id, or None."""
        return next((m for m in self.mailbox("receiver", "bob") if m["Message-Id"] == name), None)

    def find_bounce(self, name):
        """alice's notice about the message with this id, or None."""
        for message in self.mailbox("sender", "alice"):
            if message.get_content_type() == "multipart/report" and name in message.as_string():
                return message
        return None

    def attempts(self, name):
        """The lines of the sender's log about deliveries of this message."""
        lines = (self.dir / "sender/maillog").read_text().splitlines()
        queue_ids = {line.split(": ")[1] for line in lines if f"message-id={name}" in line}
        return [line for line in lines if "postfix/smtp[" in line and line.split(": ")[1] in queue_ids]


class Wire:
    """Frames on one role's mail0: sends, and receives what comes in (not what goes out)."""

    def __init__(self, lab, role):
        with in_namespace(lab.namespace(role)):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind(("mail0", 0))
            self.mac = self.socket.getsockname()[4]
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, frame):
        self.socket.send(frame)

    def receive(self, seconds):
        """The next frame that came in, or None."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                frame, address = self.socket.recvfrom(65536)
            except socket.timeout:
                return None
            if address[2] != socket.PACKET_OUTGOING:
                return frame

    def drain(self):
        """Forgets what has come in."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(65536)


def bounce_text(message):
    """A notice's whole text with its folds undone."""
    return " ".join(message.as_string().split())


def main():
    """Runs the calling file's unittest cases; exit 0, 1 or SKIP."""
    import unittest
    skip_unless_possible()
    unittest.main(module="__main__", verbosity=2)
