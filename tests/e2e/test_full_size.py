#!/usr/bin/python3
"""Allowed SMTP at full size: Postfix to Postfix with STARTTLS, 20 MB mails in both directions and both families at the same
time, with an address listed beside them. Every mail arrives with the hash it was sent with, in one attempt and in TLS, and
the data plane drops nothing. BL_LONG=1: more of them."""
import concurrent.futures
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import lab as bl  # noqa: E402
from lab import Lab, wait_for  # noqa: E402
from senders import postfix_set  # noqa: E402

MAILS = 16 if os.environ.get("BL_LONG") else 2
MAIL_BYTES = 20_000_000
LINE_BYTES = 750
SECONDS = 200
# (role that sends, its envelope address, to, where it arrives)
WAYS = (("sender", "alice@sender.example.net", "bob@v4.example.org", ("receiver", "bob")),
        ("sender", "alice@sender.example.net", "bob@v6.example.org", ("receiver", "bob")),
        ("receiver", "bob@example.org", "alice@sender.example.net", ("sender", "alice")),
        ("receiver", "bob@example.org", "alice@v6.sender.example.net", ("sender", "alice")))


def random_body():
    """Lines of text that no compression or repeat could hide a change in."""
    text = os.urandom(MAIL_BYTES // 2).hex().encode()
    return b"\n".join(text[i:i + LINE_BYTES] for i in range(0, len(text), LINE_BYTES)) + b"\n"


class FullSize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(workers=4)
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.lab.__enter__()
        cls.lab.mail_up()
        cls.lab.planes_up()
        for role in ("sender", "receiver"):
            cls.use_tls(role)
        cls.listen_on_the_wire()

    @classmethod
    def use_tls(cls, role):
        """A certificate of its own, made here; TLS or nothing as a client."""
        base = cls.lab.dir / role
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", f"/CN={role}.example.org", "-days", "2", "-keyout", base / "key.pem", "-out",
                        base / "cert.pem"], check=True, capture_output=True)
        postfix_set(cls.lab, role, "message_size_limit=0", "virtual_mailbox_limit=0", "mailbox_size_limit=0",
                    f"smtpd_tls_chain_files={base}/key.pem {base}/cert.pem", "smtpd_tls_security_level=may",
                    "smtp_tls_security_level=encrypt", "smtp_tls_loglevel=1", "smtpd_tls_loglevel=1")

    @classmethod
    def listen_on_the_wire(cls):
        """The sender takes mail too, so that the receiver's own outbound mail goes through the wire."""
        etc = cls.lab.dir / "sender/etc"
        for address in (bl.SENDER_IPV4, f"[{bl.SENDER_IPV6}]"):
            cls.lab.run("sender", "postconf", "-c", etc, "-M", f"{address}:25/inet={address}:25 inet n - n - - smtpd",
                        check=True)
        domain = "sender.example.net"
        postfix_set(cls.lab, "sender", f"virtual_mailbox_domains={domain} v6.{domain}",
                    f"virtual_mailbox_maps=inline:{{ {{ @{domain} = alice/ }}, {{ @v6.{domain} = alice/ }} }}")
        postfix_set(cls.lab, "receiver", f"transport_maps=inline:{{ {{ {domain} = smtp:[{bl.SENDER_IPV4}] }}, "
                                         f"{{ v6.{domain} = smtp:[{bl.SENDER_IPV6}] }} }}")

    def send(self, case):
        """Returns what identifies the mail, and the body's hash."""
        number, (role, sender, to, _) = case
        name, body = f"<full{number}@{role}.example.net>", random_body()
        head = f"From: {sender}\nTo: {to}\nSubject: full size\nMessage-Id: {name}\n\n".encode()
        self.lab.run(role, "sendmail", "-C", self.lab.dir / role / "etc", "-f", sender, "-i", to, input=head + body,
                     check=True, timeout=SECONDS)
        return name, hashlib.sha256(body).hexdigest()

    def arrived(self, role, user):
        """Message-Id → hashes of the bodies."""
        found = {}
        folder = self.lab.dir / role / "mail" / user / "new"
        for path in folder.iterdir() if folder.is_dir() else []:
            header, _, body = path.read_bytes().partition(b"\n\n")
            name = re.search(rb"^Message-Id: (.*)$", header, re.MULTILINE | re.IGNORECASE)[1].decode()
            found.setdefault(name, []).append(hashlib.sha256(body).hexdigest())
        return found

    def counters(self):
        """Of the data plane, with everything in them that happened so far."""
        time.sleep(2.2)
        return {name: int(value) for name, value in self.lab.status()["dataplanes"][0]["counters"].items()}

    def test_full_size_mails_both_ways(self):
        self.lab.client("list", bl.OTHER_IPV4, "--wait", "enforced")
        before = self.counters()
        cases = list(enumerate(WAYS * MAILS))
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            sent = list(pool.map(self.send, cases))
        count = {place: sum(way[3] == place for _, way in cases) for place in {way[3] for way in WAYS}}

        def all_there():
            folders = {place: self.lab.dir / place[0] / "mail" / place[1] / "new" for place in count}
            return all(folder.is_dir() and len(list(folder.iterdir())) >= count[place] for place, folder in folders.items())
        wait_for("all mails", all_there, SECONDS, 0.2)
        took = time.monotonic() - start
        found = {place: self.arrived(*place) for place in count}
        for (_, way), (name, digest) in zip(cases, sent):
            self.assertEqual(found[way[3]].get(name), [digest], (name, way))
        after = self.counters()
        dropped = {name: after[name] - before[name] for name in after if name.startswith("drop") and after[name] != before[name]}
        self.assertEqual(dropped, {})
        for role in ("sender", "receiver"):
            log = (self.lab.dir / role / "maillog").read_text()
            self.assertEqual(re.findall(r".*status=(?:deferred|bounced).*", log), [])
            self.assertGreater(len(re.findall(r"smtpd\[\d+\]: .*TLS connection established", log)), 0, role)
        print(f"{len(cases)} mails of {MAIL_BYTES // 1000000} MB in {took:.1f} s, every hash as sent", flush=True)


if __name__ == "__main__":
    bl.main()
