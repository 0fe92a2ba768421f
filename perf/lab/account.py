"""CPU time of a set of processes, the ended ones too, whoever waits for them: a control group of our own.

Version 1 (cpuacct) or 2, whichever the machine has; without either, `make` says why."""
import contextlib
import os
import pathlib

ROOTS = (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup/cpu,cpuacct", "cpuacct.usage"),
         ("/sys/fs/cgroup", "cpu.stat"), ("/sys/fs/cgroup/unified", "cpu.stat"))


class AccountError(Exception):
    """No group can be had here."""


class Group:
    """with Group("name") as group: subprocess.Popen(..., preexec_fn=group.enter); group.usage_ns()"""

    def __init__(self, name):
        self.name = f"bl-{name}-{os.getpid()}"
        self.path = None

    def __enter__(self):
        reasons = []
        for root, file in ROOTS:
            path = pathlib.Path(root) / self.name
            # In a tmpfs a folder is a folder: only a group has the file.
            if not (pathlib.Path(root) / "cgroup.procs").exists():
                continue
            try:
                path.mkdir()
            except OSError as error:
                reasons.append(str(error))
                continue
            if (path / file).exists():
                self.path, self.file = path, path / file
                return self
            path.rmdir()
            reasons.append(f"{path}: no {file}")
        raise AccountError(f"no control group that counts CPU time: {'; '.join(reasons) or 'none is mounted'}")

    def __exit__(self, *_):
        """What still lives in it goes back to the group above: the group itself never ends a process."""
        for pid in (self.path / "cgroup.procs").read_text().split():
            try:
                (self.path.parent / "cgroup.procs").write_text(pid)
            except OSError:
                pass  # it ended meanwhile
        try:
            self.path.rmdir()
        except OSError:
            pass  # a process of it is still ending; empty, it costs nothing

    def enter(self):
        """This process and all that it starts."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def take(self, pid):
        """Another process, if it still lives, and all that it starts from now on."""
        with contextlib.suppress(ProcessLookupError):
            (self.path / "cgroup.procs").write_text(str(pid))

    def usage_ns(self):
        text = self.file.read_text()
        if self.file.name == "cpuacct.usage":
            return int(text)
        return 1000 * int(dict(line.split() for line in text.splitlines())["usage_usec"])
