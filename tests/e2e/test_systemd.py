#!/usr/bin/python3
"""The units that ship: systemd-analyze finds nothing wrong with them and little exposed; the users are made; each program
says when it is ready, to whoever asks as systemd does. The sandbox itself is systemd's, and needs one that runs."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from controlplane import NOBODY, PROGRAM, ControlPlane  # noqa: E402
from portal import ACTOR, MailServer, Portal  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The most that systemd-analyze may find exposed, of 10. The data plane has the wire to itself, and three capabilities.
UNITS = {"controlplane/systemd/bounceline-controlplane.service": 2.0, "controlplane/systemd/bounceline-portal.service": 1.5,
         "dataplane/systemd/bounceline-dataplane.service": 3.0}
ANALYZE = shutil.which("systemd-analyze")


def build():
    return pathlib.Path(os.environ.get("BL_BUILD") or PROGRAM.parent)


class Systemd(unittest.TestCase):
    def installed(self):
        """The units in a folder, with the programs of this build."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="bounceline-test-")))
        for unit in UNITS:
            text = (ROOT / unit).read_text()
            changed = text.replace("ExecStart=/usr/bin/", f"ExecStart={build()}/")
            self.assertNotEqual(text, changed, unit)
            # man pages and users are the host's.
            (folder / pathlib.Path(unit).name).write_text(re.sub("Documentation=.*\n", "", changed))
        return folder

    @unittest.skipUnless(ANALYZE, "no systemd-analyze here")
    def test_nothing_is_wrong_with_them(self):
        folder = self.installed()
        for unit, exposed_max in UNITS.items():
            path = folder / pathlib.Path(unit).name
            with self.subTest(path.name):
                said = subprocess.run([ANALYZE, "verify", "--man=no", str(path)], capture_output=True, text=True)
                lines = [line for line in said.stderr.splitlines() if "bounceline" in line]
                self.assertEqual((said.returncode, lines), (0, []), said.stderr)
                said = subprocess.run([ANALYZE, "security", "--offline=true", f"--threshold={int(exposed_max * 10)}",
                                       "--no-pager", str(path)], capture_output=True, text=True)
                exposed = float(re.search(r"Overall exposure level .*?: ([0-9.]+)", said.stdout)[1])
                print(f"{path.name}: exposure {exposed}")
                self.assertLessEqual(exposed, exposed_max, said.stdout)
                self.assertEqual(said.returncode, 0, said.stderr)

    @unittest.skipUnless(ANALYZE, "no systemd-analyze here")
    def test_a_planted_mistake(self):
        folder = self.installed()
        path = folder / "bounceline-portal.service"
        path.write_text(path.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
        said = subprocess.run([ANALYZE, "verify", "--man=no", str(path)], capture_output=True, text=True)
        self.assertIn("NoNewPrivilege", said.stderr)

    @unittest.skipUnless(shutil.which("systemd-sysusers"), "no systemd-sysusers here")
    def test_users(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="bounceline-test-"))
        for name in ("etc", "usr/lib/sysusers.d"):
            (pathlib.Path(folder) / name).mkdir(parents=True)
        shutil.copy(ROOT / "controlplane/systemd/bounceline.conf", f"{folder}/usr/lib/sysusers.d/")
        said = subprocess.run(["systemd-sysusers", f"--root={folder}"], capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        group = (pathlib.Path(folder) / "etc/group").read_text()
        self.assertRegex(group, r"(?m)^bounceline-portal:.*:bounceline$")
        users = (pathlib.Path(folder) / "etc/passwd").read_text()
        for unit in UNITS:
            user = re.search("(?m)^User=(.*)", (ROOT / unit).read_text())[1]
            self.assertRegex(users, rf"(?m)^{user}:.*nologin$")

    def test_what_is_needed_is_there(self):
        """A folder for each path that the sample's settings name, made by the unit of the program that writes there."""
        sample = (ROOT / "dataplane/bounceline.yaml").read_text()
        section, paths = "", set()
        for line in sample.splitlines():
            if match := re.match("([a-z]+):$", line):
                section = match[1]
            elif match := re.match(r"  (?:data_directory|table_file|socket|sync_socket): (/(?:run|var/lib)/\S+)", line):
                paths.add((section, match[1]))
        self.assertGreaterEqual(len(paths), 5)
        for unit in UNITS:
            text = (ROOT / unit).read_text()
            name = pathlib.Path(unit).stem.removeprefix("bounceline-")
            made = {f"/run/{re.search('(?m)^RuntimeDirectory=(.*)', text)[1]}",
                    f"/var/lib/{re.search('(?m)^StateDirectory=(.*)', text)[1]}"}
            for section, path in paths:
                if section == name and (name == "controlplane" or not path.endswith(".sock")):
                    self.assertTrue(any(path == folder or path.startswith(f"{folder}/") for folder in made), (unit, path))

    def heard(self, run):
        """What run(environment) lets systemd hear until it ends."""
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="bounceline-test-"))
        os.chmod(folder, 0o755)
        path = f"{folder}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(path)
            os.chown(path, NOBODY, NOBODY)
            ear.settimeout(20)
            os.environ["NOTIFY_SOCKET"] = path
            try:
                stop = run()
                ready = ear.recv(100)
                stop()
                return [ready, ear.recv(100)]
            finally:
                del os.environ["NOTIFY_SOCKET"]

    def test_they_say_when_they_are_ready(self):
        plane = ControlPlane(extra=ACTOR)
        self.addCleanup(plane.__exit__, None, None, None)

        def start_plane():
            plane.__enter__()
            return lambda: plane.process.terminate()
        self.assertEqual(self.heard(start_plane), [b"READY=1", b"STOPPING=1"])
        portal = Portal(plane, self.enterContext(MailServer()))
        self.addCleanup(portal.__exit__, None, None, None)

        def start_portal():
            portal.start()
            return lambda: portal.kill(15)
        self.assertEqual(self.heard(start_portal), [b"READY=1", b"STOPPING=1"])


if __name__ == "__main__":
    unittest.main()
