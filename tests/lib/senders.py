"""Real sending servers in the lab's sender namespace, all with one face:

    exim = Exim(lab, "198.51.100.20", "2001:db8:a0::20")
    mail = exim.send(["bob@v4.example.org", "bob@v6.example.org"], b"hello\\n")
    notices(lab, mail), exim.attempts(mail)

As in the lab's Postfix, v4.example.org is reached over IPv4 and v6.example.org over IPv6; every notice goes to alice at
the lab's own Postfix. An attempt is one try at one host, in the sender's own words. What can't be had here raises
Unavailable when it is made (unpack.py)."""
import itertools
import os
import re
import smtplib
import subprocess

import lab as bl
import unpack
from lab import in_namespace, wait_for

ALICE = "alice@sender.example.net"
SEND_SECONDS = 120


class Mail:
    """A message on its way: name is its Message-Id."""

    def __init__(self, lab, recipients):
        lab.sent += 1
        self.name = f"<{lab.sent}.{lab.dir.name}@sender.example.net>"
        self.recipients = list(recipients)
        self.queue_id = None

    def text(self, body):
        to = self.recipients[0]
        return (f"From: {ALICE}\nTo: {to}\nSubject: test\nMessage-Id: {self.name}\n\n").encode() + body


def stored(lab, role, user):
    """The files of a mailbox, as bytes, in no order."""
    folder = lab.dir / role / "mail" / user / "new"
    return [path.read_bytes() for path in folder.iterdir()] if folder.is_dir() else []


def notices(lab, mail):
    """alice's notices about the mail, folds undone: one text each."""
    return [" ".join(data.decode().split()) for data in stored(lab, "sender", "alice") if mail.name.encode() in data]


def delivered(lab, mail):
    """The bodies that bob got of the mail, byte for byte."""
    line = f"Message-Id: {mail.name}\n".encode().lower()
    found = []
    for data in stored(lab, "receiver", "bob"):
        header, _, body = data.partition(b"\n\n")
        if line in header.lower() + b"\n":
            found.append(body)
    return found


def denial(address, code=606, url=bl.URL):
    """The line that the product is about."""
    return (f"550 5.7.{code} Access denied, banned sending IP [{address}]; To request removal from this list please visit "
            f"{url.replace('{address}', address)} and follow the directions.")


class Postfix:
    """The lab's own Postfix, from its own addresses; or from others, by a transport of their own for recipients NAME@."""
    kind = "postfix"
    status = "5.7.{code}"
    numbers = itertools.count()

    def __init__(self, lab, ipv4=bl.SENDER_IPV4, ipv6=bl.SENDER_IPV6):
        self.lab, self.ipv4, self.ipv6 = lab, ipv4, ipv6
        self.user = "bob"
        if ipv4 != bl.SENDER_IPV4:
            self.user = f"bob{next(self.numbers)}"
            self.own_transport(ipv4, ipv6)

    def own_transport(self, ipv4, ipv6):
        etc = self.lab.dir / "sender/etc"
        self.lab.run("sender", "postconf", "-c", etc, "-M",
                     f"{self.user}/unix={self.user} unix - - n - - smtp -o smtp_bind_address={ipv4}"
                     f" -o smtp_bind_address6={ipv6}", check=True)
        path = etc / "transport"
        with open(path, "a", encoding="ascii") as out:
            out.write(f"/^{self.user}@v4/ {self.user}:[{bl.RECEIVER_IPV4}]\n"
                      f"/^{self.user}@v6/ {self.user}:[{bl.RECEIVER_IPV6}]\n/@v6\\./ smtp:[{bl.RECEIVER_IPV6}]\n")
        postfix_set(self.lab, "sender", f"transport_maps=regexp:{path}")

    def send(self, recipients, body=b"hello\n"):
        mail = Mail(self.lab, recipients)
        self.lab.run("sender", "sendmail", "-C", self.lab.dir / "sender/etc", "-f", ALICE, "-i", *recipients,
                     input=mail.text(body), check=True, timeout=SEND_SECONDS)
        return mail

    def attempts(self, mail):
        lines = (self.lab.dir / "sender/maillog").read_text().splitlines()
        ids = {line.split(": ")[1] for line in lines if f"message-id={mail.name}" in line}
        return [line for line in lines if re.search(r"relay=.*status=", line) and line.split(": ")[1] in ids
                and "relay=none, delay=0" not in line]

    def retry(self):
        self.lab.run("sender", "postqueue", "-c", self.lab.dir / "sender/etc", "-f", check=True)


def postfix_set(lab, role, *settings):
    """Settings of main.cf, in force from the next connection."""
    etc = lab.dir / role / "etc"
    lab.run(role, "postconf", "-c", etc, "-e", *settings, check=True)
    lab.run(role, "postfix", "-c", etc, "reload", check=True, stderr=subprocess.DEVNULL)


class Unpacked:
    """A sender that comes out of a package which can't be installed beside Postfix."""
    kind = package = ""
    user = "bob"
    users = ()
    status = "5.7.{code}"
    numbers = itertools.count()

    def __init__(self, lab, ipv4=bl.SENDER_IPV4, ipv6=bl.SENDER_IPV6, **options):
        """options: require_tls, hosts (text of hosts in order, IPv4)."""
        self.lab, self.ipv4, self.ipv6 = lab, ipv4, ipv6
        self.options = {"require_tls": False, "hosts": bl.RECEIVER_IPV4, **options}
        self.usr = unpack.usr_of(self.package)
        self.number = next(self.numbers)
        self.dir = lab.dir / f"{self.kind}-{self.number}"
        self.dir.mkdir(mode=0o755)
        self.helo = f"{self.kind}.sender.example.net"
        unpack.write_users(self.dir, self.users)
        self.configure()

    def configure(self):
        raise NotImplementedError

    def run(self, *words, **options):
        return subprocess.run(unpack.command(self.lab, "sender", self.usr, self.dir, *words), check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SEND_SECONDS, **options)


EXIM = """primary_hostname = {helo}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
keep_environment =
log_selector = +smtp_confirmation
begin routers
notices:
  driver = manualroute
  domains = sender.example.net
  transport = local_smtp
  route_list = * 127.0.0.1 byname
  self = send
ipv6:
  driver = manualroute
  domains = v6.example.org
  transport = smtp
  route_list = * "<+ {receiver_ipv6}" byname
ipv4:
  driver = manualroute
  transport = smtp
  route_list = * "{hosts}" byname
begin transports
smtp:
  driver = smtp
  interface = <; {ipv4}; {ipv6}
  {tls}
local_smtp:
  driver = smtp
  allow_localhost
begin retry
* * F,1h,5s
"""


class Exim(Unpacked):
    """exim -odf: the try is over when the command ends; the notice, with a status of 5.0.0, comes on its own."""
    kind, package = "exim", "exim4-daemon-light"
    users = ("Debian-exim",)
    status = "5.0.0"

    def configure(self):
        for name in ("spool", "log"):
            (self.dir / name).mkdir()
            os.chown(self.dir / name, unpack.user_id(0), unpack.user_id(0))
        (self.dir / "conf").write_text(EXIM.format(
            helo=self.helo, dir=self.dir, ipv4=self.ipv4, ipv6=self.ipv6, receiver_ipv6=bl.RECEIVER_IPV6,
            hosts=self.options["hosts"], tls="hosts_require_tls = *" if self.options["require_tls"] else ""))

    def exim(self, *words, **options):
        done = self.run("/usr/sbin/exim4", "-C", self.dir / "conf", *words, **options)
        if done.returncode != 0:
            raise AssertionError(f"exim {words}: {done.returncode} {done.stdout.decode(errors='replace')}")

    def send(self, recipients, body=b"hello\n"):
        mail = Mail(self.lab, recipients)
        self.exim("-odf", "-i", "-f", ALICE, *recipients, input=mail.text(body))
        return mail

    def attempts(self, mail):
        path = self.dir / "log/mainlog"
        lines = path.read_text().splitlines() if path.exists() else []
        ids = {line.split()[2] for line in lines if f"id={mail.name[1:-1]}" in line}
        return [line for line in lines if len(line.split()) > 3 and line.split()[2] in ids
                and line.split()[3] in ("=>", "->", "**", "==")]

    def retry(self):
        self.exim("-qff")


SMTPD = """mta limit session-keepalive 0
listen on 127.0.0.1 port {port}
action notices relay host "{scheme_plain}127.0.0.1"
action ipv4 relay host "{scheme}{receiver_ipv4}" src {ipv4} helo {helo}
action ipv6 relay host "{scheme}[{receiver_ipv6}]" src {ipv6} helo {helo}
match from any for domain "sender.example.net" action notices
match from any for domain "v6.example.org" action ipv6
match from any for any action ipv4
"""
# The places that OpenSMTPD was compiled with, empty and seen by it alone; the lab's folder is under /run too.
SMTPD_FOLDERS = """set -e
mount -t tmpfs tmpfs /var/spool; mkdir -m 711 /var/spool/smtpd
mount -t tmpfs tmpfs /var/lib; mkdir -p /var/lib/opensmtpd/empty
mount --bind "$1" /mnt; mount -t tmpfs tmpfs /run
exec /usr/sbin/smtpd -d -f /mnt/conf
"""


class OpenSmtpd(Unpacked):
    """A daemon of its own that takes mail on a port of its own."""
    kind, package = "opensmtpd", "opensmtpd"
    users = ("opensmtpd", "opensmtpq")
    status = "5.0.0"

    def configure(self):
        self.port = 2525 + self.number
        scheme = "smtp+tls://" if self.options["require_tls"] else "smtp://"
        conf = self.dir / "conf"
        conf.write_text(SMTPD.format(port=self.port, scheme=scheme, scheme_plain="smtp://", helo=self.helo,
                                     ipv4=self.ipv4, ipv6=self.ipv6, receiver_ipv4=bl.RECEIVER_IPV4,
                                     receiver_ipv6=bl.RECEIVER_IPV6))
        conf.chmod(0o600)
        log = open(self.dir / "log", "ab")
        words = ("bash", "-c", SMTPD_FOLDERS, "smtpd", self.dir)
        process = subprocess.Popen(unpack.command(self.lab, "sender", self.usr, self.dir, *words),
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.lab.processes[self.dir.name] = process  # the lab ends it
        wait_for(f"OpenSMTPD on port {self.port}", self.listens)

    def listens(self):
        if self.lab.processes[self.dir.name].poll() is not None:
            raise unpack.Unavailable(f"OpenSMTPD ended: {(self.dir / 'log').read_text(errors='replace')[-300:]}")
        done = self.lab.run("sender", "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}", check=False,
                            stderr=subprocess.DEVNULL)
        return done.returncode == 0

    def send(self, recipients, body=b"hello\n"):
        mail = Mail(self.lab, recipients)
        with in_namespace(self.lab.namespace("sender")):
            client = smtplib.SMTP("127.0.0.1", self.port, "localhost", timeout=SEND_SECONDS)
        with client:
            client.ehlo()
            client.mail(ALICE)
            for recipient in recipients:
                client.rcpt(recipient)
            code, words = client.data(mail.text(body).replace(b"\n", b"\r\n"))
        if code != 250:
            raise AssertionError(f"OpenSMTPD took no mail: {code} {words!r}")
        mail.queue_id = words.split()[1].decode()
        return mail

    def attempts(self, mail):
        return [line for line in (self.dir / "log").read_text(errors="replace").splitlines()
                if f" mta delivery evpid={mail.queue_id}" in line]


SENDMAIL = """V10
Cwlocalhost
Dj{helo}
DnMAILER-DAEMON
O QueueDirectory={dir}/queue
O ClientPortOptions=Family=inet, Address={ipv4}
O ClientPortOptions=Family=inet6, Address={ipv6}
O DontProbeInterfaces=True
O DontExpandCnames=True
O Timeout.ident=0
O Timeout.initial=20s
O PidFile={dir}/pid
Troot
HMessage-Id: <$t.$i@$j>
HFrom: <$g>
HDate: $a
SCanonify=3
R$* < $* > $*	$2
SParse=0
R$* @ sender.example.net	$#smtp $@ [127.0.0.1] $: $1 @ sender.example.net
R$* @ v6.example.org	$#smtp $@ [IPv6:{receiver_ipv6}] $: $1 @ v6.example.org
R$* @ $*	$#smtp $@ [{receiver_ipv4}] $: $1 @ $2
R$*	$#smtp $@ [127.0.0.1] $: $1 @ sender.example.net
Mlocal, P=/bin/false, F=lsDFMn, T=DNS/RFC822/X-Unix, A=false
Msmtp, P=[IPC], F=mDFMuXn, E=\\r\\n, L=990, T=DNS/RFC822/SMTP, A=TCP $h
"""


class Sendmail(Unpacked):
    """sendmail -odi -v: the try and its notice are over when the command ends, and its dialogue is the log."""
    kind, package = "sendmail", "sendmail-bin"

    def configure(self):
        (self.dir / "queue").mkdir(mode=0o700)
        (self.dir / "conf").write_text(SENDMAIL.format(
            helo=self.helo, dir=self.dir, ipv4=self.ipv4, ipv6=self.ipv6, receiver_ipv4=bl.RECEIVER_IPV4,
            receiver_ipv6=bl.RECEIVER_IPV6))
        self.dialogues = {}

    def send(self, recipients, body=b"hello\n"):
        mail = Mail(self.lab, recipients)
        done = self.run("/usr/libexec/sendmail/sendmail", "-C", self.dir / "conf", "-v", "-odi", "-i", "-f", ALICE,
                        *recipients, input=mail.text(body))
        self.dialogues[mail.name] = done.stdout.decode(errors="replace")
        return mail

    def attempts(self, mail):
        """One for each host but alice's own; what stayed in the queue is one more."""
        tries = re.findall(r"^.*\.\.\. Connecting to \[(?!127\.).*$", self.dialogues[mail.name], re.MULTILINE)
        return tries + [f"deferred: {path.name}" for path in (self.dir / "queue").iterdir()]


ALL = (Postfix, Exim, OpenSmtpd, Sendmail)
