"""Stops a mail at a chosen moment, so that a test can change the list just then; no moment is a matter of time.

HoldServer stops a mail at the receiver's Postfix (which asks it as a policy service), HoldClient a command on its way out
of the sender (a rule of nftables drops it; TCP sends it again until the rule is gone)."""
import contextlib
import socket
import threading

from lab import in_namespace, wait_for
from senders import postfix_set

PORT = 9998
STATES = {"DATA": "smtpd_data_restrictions", "END-OF-MESSAGE": "smtpd_end_of_data_restrictions"}


class HoldServer:
    """Holds the next mail that reaches the armed state (DATA: before the first byte of the message; END-OF-MESSAGE: after
    its last), until release()."""

    def __init__(self, lab):
        with in_namespace(lab.namespace("receiver")):
            self.socket = socket.create_server(("127.0.0.1", PORT))
        self.armed = None
        self.reached, self.released = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()
        postfix_set(lab, "receiver", *(f"{name}=check_policy_service inet:127.0.0.1:{PORT}" for name in STATES.values()))

    def _serve(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                connection = self.socket.accept()[0]
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection, connection.makefile("rwb") as stream:
            asked = {}
            for line in stream:
                name, _, value = line.decode(errors="replace").strip().partition("=")
                asked[name] = value
                if name:
                    continue
                if asked.get("protocol_state") == self.armed:
                    self.armed = None
                    self.reached.set()
                    self.released.wait(60)
                stream.write(b"action=DUNNO\n\n")
                stream.flush()
                asked = {}

    @contextlib.contextmanager
    def holding(self, state):
        """Inside, the next mail that comes to the state stays there."""
        self.reached.clear()
        self.released.clear()
        self.armed = state
        try:
            yield
        finally:
            self.armed = None
            self.released.set()

    def wait_reached(self):
        if not self.reached.wait(30):
            raise AssertionError("no mail came to the state within 30 s")

    def close(self):
        self.socket.close()


class HoldClient:
    """Inside the `with`, segments from the sender that begin with the verb do not leave it."""

    def __init__(self, lab, verb):
        self.lab = lab
        self.verb = "0x" + verb[:4].encode().hex()

    def __enter__(self):
        self.nft(f"table inet hold {{\nchain out {{\ntype filter hook output priority 0\n"
                 f"tcp dport 25 @ih,0,32 {self.verb} counter drop\n}}\n}}\n")
        return self

    def __exit__(self, *_):
        self.nft("delete table inet hold")

    def nft(self, text):
        self.lab.run("sender", "nft", "-f", "-", input=text.encode(), check=True)

    def wait_reached(self):
        def dropped():
            words = self.lab.run("sender", "nft", "list", "table", "inet", "hold", capture_output=True, text=True,
                                 check=True).stdout.split()
            return int(words[words.index("packets") + 1]) > 0
        wait_for("a command that is held", dropped)
