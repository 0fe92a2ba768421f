"""A portal in a directory of its own, a mail server that keeps what it gets, and a visitor.

    with ControlPlane(extra=ACTOR) as plane, DataPlane(plane), MailServer() as mails, Portal(plane, mails) as portal:
        portal.ask("alice@example.net", "192.0.2.7")
"""
import email
import email.policy
import html.parser
import http.client
import os
import pathlib
import re
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
import urllib.parse

from controlplane import NOBODY, PROGRAM, wait_for

ACTOR = f"    - name: portal\n      uid: {NOBODY}\n      role: delister\n"
BASE = "https://delist.example.net"
SETTINGS = """portal:
  base_url: {base}
  mail_from: delist@example.net
  contact: postmaster@example.net
  mail_server: smtp://127.0.0.1:{mail_port}
  listen: "{listen}"
  socket: {socket}
  data_directory: {dir}
  user: nobody
{extra}"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MailServer:
    """Takes mail over SMTP. `replies` overrides the answer to a command ("RCPT", "DATA", "." ...), once each; a reply of
    None hangs the connection up instead."""

    def __init__(self):
        self.messages, self.envelopes, self.replies, self.hold = [], [], [], None
        keeper = self

        class Session(socketserver.StreamRequestHandler):
            def answer(self, command, usual):
                for entry in keeper.replies:
                    if entry[0] == command:
                        keeper.replies.remove(entry)
                        usual = entry[1]
                        break
                if usual is None:
                    self.request.shutdown(socket.SHUT_RDWR)
                    raise ConnectionError
                self.wfile.write(usual.encode() + b"\r\n")
                return usual[0] in "23"

            def handle(self):
                try:
                    self.talk()
                except OSError:
                    pass

            def talk(self):
                self.answer("hello", "220 mx.example.net")
                envelope = []
                for line in self.rfile:
                    command = line.split()[0].decode().upper() if line.split() else ""
                    if command in ("EHLO", "HELO"):
                        self.answer(command, "250 mx.example.net")
                        envelope = []
                    elif command == "DATA" and self.answer(command, "354 go on"):
                        data = b""
                        for part in self.rfile:
                            if part == b".\r\n":
                                break
                            data += part.removeprefix(b".")
                        else:
                            return
                        if keeper.hold is not None:
                            keeper.hold(data)
                        if self.answer(".", "250 taken"):
                            keeper.envelopes.append(envelope)
                            keeper.messages.append(data)
                        envelope = []
                    elif command == "QUIT":
                        self.answer(command, "221 bye")
                        return
                    elif command != "DATA":
                        envelope.append(line.decode().strip())
                        self.answer(command, "250 ok")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Session)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def message(self, number, seconds=10):
        """The mail of that number (from 0), parsed, when it is there."""
        wait_for(f"mail {number}", lambda: len(self.messages) > number, seconds)
        return email.message_from_bytes(self.messages[number], policy=email.policy.default)


def link_of(message):
    """The link in a mail; the same in both of its parts."""
    texts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    links = [set(re.findall(r"https?://[^\s\"<]+/c/[0-9a-f]{32}", text)) for text in texts]
    assert len(texts) == 2 and links[0] == links[1] and len(links[0]) == 1, links
    return links[0].pop()


class Page(html.parser.HTMLParser):
    """What a browser without scripts would see: text, fields, labels, links, and whether tags are balanced."""
    VOID = {"meta", "link", "input", "br", "img", "!doctype"}

    def __init__(self, text):
        super().__init__()
        self.fields, self.labels, self.links, self.ids, self.open, self.text = {}, set(), [], [], [], ""
        self.language, self.headings, self.described, self.types, self.errors = None, 0, set(), {}, []
        self.feed(text)
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "html":
            self.language = given.get("lang")
        self.headings += tag == "h1"
        if tag == "input":
            self.fields[given["name"]] = given.get("value", "")
            self.types[given["name"]] = (given.get("type"), given.get("id"))
        if tag == "label":
            self.labels.add(given.get("for"))
        self.described.update(given.get("aria-describedby", "").split())
        self.links += [given[name] for name in ("href", "src", "action") if name in given]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)

    def handle_data(self, data):
        self.text += data


class Portal:
    def __init__(self, plane, mails, extra="", **settings):
        self.folder = tempfile.TemporaryDirectory(prefix="bounceline-test-")
        self.dir = pathlib.Path(self.folder.name)
        self.dir.chmod(0o755)
        (self.dir / "run").mkdir()  # for a socket: as systemd's RuntimeDirectory makes it
        os.chown(self.dir / "run", NOBODY, NOBODY)
        self.port = settings.pop("port", None) or free_port()
        self.base = settings.pop("base_url", BASE).format(port=self.port)
        listen = settings.pop("listen", "127.0.0.1:{port}").format(port=self.port, dir=self.dir)
        socket_path = settings.pop("socket", plane.socket)
        extra += "".join(f"  {key}: {value}\n" for key, value in settings.items())
        self.config = self.dir / "bounceline.yaml"
        self.config.write_text(SETTINGS.format(base=self.base, mail_port=mails.port, listen=listen, extra=extra,
                                               socket=socket_path, dir=self.dir / "data"))
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print(self.said())
        self.folder.cleanup()

    def start(self):
        with open(self.dir / "said", "ab") as said:
            begin = said.tell()
            program = pathlib.Path(os.environ.get("BL_BUILD") or PROGRAM.parent) / "bounceline-portal"
            self.process = subprocess.Popen([str(program), "--config", str(self.config)], stdin=subprocess.DEVNULL,
                                            stdout=said, stderr=said)
        wait_for("ready", lambda: self.process.poll() is not None or "ready: " in self.said()[begin:], 20)
        assert self.process.poll() is None, self.said()

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process = None
        return code

    def said(self):
        return (self.dir / "said").read_text(errors="replace")

    def request(self, method, target, fields=None, source="203.0.113.9", headers=None, raw_body=None):
        """(status, headers, text) of one request, as if from that source."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            sent = {"X-Forwarded-For": source, **(headers or {})}
            body = raw_body
            if fields is not None:
                body = urllib.parse.urlencode(fields)
                sent["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def raw(self, data):
        """The first line of the answer to these very bytes; "" for a connection that was closed."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall(data)
            return connection.makefile("rb").readline().decode(errors="replace")

    def ask(self, mailbox, ip, source="203.0.113.9", query="", **more):
        """Fetches the form, fills it in, sends it. Returns (status, headers, text)."""
        form = Page(self.request("GET", f"/{query}", source=source)[2])
        fields = {**form.fields, "email": mailbox, "ip": ip, **more}
        return self.request("POST", "/", fields, source)

    def path(self, link):
        assert link.startswith(self.base + "/c/"), link
        return link.removeprefix(self.base)

    def press(self, link):
        """Fetches the link's page and presses its button: (status, headers, text) of the answer, and milliseconds."""
        path = self.path(link)
        page = Page(self.request("GET", path)[2])
        start = time.perf_counter()
        answer = self.request("POST", path, {"lang": page.fields["lang"]})
        return *answer, (time.perf_counter() - start) * 1000
