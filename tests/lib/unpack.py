"""Debian packages that can't be installed beside Postfix, for the tests: fetched once, unpacked under build/senders, and
laid over /usr for one process and its children only.

Nothing of the host changes: the overlay, the names in /etc/passwd, the host's name and the empty folders are seen in
namespaces that end with the process."""
import fcntl
import os
import shutil
import subprocess
import tempfile

from lab import BUILD

FOLDER = BUILD / "senders"
FETCH_SECONDS = 120
# $1 the unpacked usr, $2 the folder with passwd and group, $3 the host's name: Sendmail waits a minute for one with a
# dot. What follows is the command.
INSIDE = """set -e
printf '%s' "$3" >/proc/sys/kernel/hostname
mount -t overlay -o "lowerdir=$1:/usr" overlay /usr
mount --bind "$2/passwd" /etc/passwd
mount --bind "$2/group" /etc/group
shift 3
exec "$@"
"""


class Unavailable(Exception):
    """The package can't be had or used here; the text says why. Nothing was tested with it."""


def apt(*words, cwd=None):
    done = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", *words], cwd=cwd, text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=FETCH_SECONDS)
    if done.returncode != 0:
        raise Unavailable(f"apt-get {' '.join(words)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


def needed(package):
    """The package and those of its libraries that are not on this host; their scripts and daemons are left alone."""
    lines = apt("-s", "install", "--no-install-recommends", package).splitlines()
    names = [line.split()[1] for line in lines if line.startswith("Inst ")]
    return [package] + [name for name in names if name.startswith("lib")]


def fetch(package, folder):
    """Downloads and unpacks beside `folder`, and renames at the end: half a folder is never used."""
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".fetch-") as work:
        try:
            names = needed(package)
            apt("download", *names, cwd=work)
        except Unavailable:
            apt("update")
            names = needed(package)
            apt("download", *names, cwd=work)
        root = os.path.join(work, "root")
        for name in sorted(os.listdir(work)):
            if name.endswith(".deb"):
                subprocess.run(["dpkg-deb", "-x", os.path.join(work, name), root], check=True)
        # Of packages from before the two folders became one.
        if os.path.isdir(os.path.join(root, "lib")):
            shutil.copytree(os.path.join(root, "lib"), os.path.join(root, "usr/lib"), symlinks=True, dirs_exist_ok=True)
        os.chmod(root, 0o755)
        os.rename(root, folder)


def usr_of(package):
    """The unpacked package's usr; from the second time on without the network."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = FOLDER / package
    with open(FOLDER / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "usr").is_dir():
            try:
                fetch(package, folder)
            except (OSError, subprocess.SubprocessError) as error:
                raise Unavailable(f"{package}: {error}") from error
    return folder / "usr"


def write_users(folder, names):
    """passwd and group as the host has them, and users of these names."""
    for kind, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
        with open(f"/etc/{kind}", encoding="utf-8") as host:
            lines = [text for text in host if text.split(":")[0] not in names]
        lines += [line.format(name, 65500 + number) for number, name in enumerate(names)]
        (folder / kind).write_text("".join(lines))


def user_id(number):
    """Of the user of that number in write_users."""
    return 65500 + number


def command(lab, role, usr, folder, *words):
    """The command, in the role's namespaces, with the package laid over /usr."""
    name = f"{folder.name}.{role}.example.net"
    return ["ip", "netns", "exec", lab.namespace(role), "unshare", "--mount", "--uts", "bash", "-c", INSIDE, "inside",
            str(usr), str(folder), name, *map(str, words)]
