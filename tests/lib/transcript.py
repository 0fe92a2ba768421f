"""What came back to the senders: each SMTP session's replies, put together from the frames at the sender's mail0."""
import contextlib
import struct
import threading

from lab import Wire

PORT = 25


def reply_segment(frame):
    """((server, server port, client, client port), sequence number, payload) of a segment from port 25, or None."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= 54 and frame[23] == 6:
        start, end, addresses = 14 + (frame[14] & 15) * 4, 14 + struct.unpack(">H", frame[16:18])[0], frame[26:34]
    elif kind == b"\x86\xdd" and len(frame) >= 74 and frame[20] == 6:
        start, end, addresses = 54, 54 + struct.unpack(">H", frame[18:20])[0], frame[22:54]
    else:
        return None
    source_port, destination_port, sequence = struct.unpack(">HHI", frame[start:start + 8])
    payload = frame[start + (frame[start + 12] >> 4) * 4:end]
    if source_port != PORT or not payload:
        return None
    return (addresses, destination_port), sequence, payload


class Transcript:
    """Listens from the start until close(); sessions() may be asked at any time."""

    def __init__(self, lab):
        self.wire = Wire(lab, "sender")
        self.segments = {}
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while not self.ended.is_set():
            with contextlib.suppress(OSError):
                frame = self.wire.receive(0.2)
                segment = frame and reply_segment(frame)
                if segment:
                    with self.lock:
                        self.segments.setdefault(segment[0], {})[segment[1]] = segment[2]

    def close(self):
        self.ended.set()
        self.thread.join()
        self.wire.socket.close()

    def sessions(self):
        """The replies of each session as lines; the ports of a lab are used once."""
        with self.lock:
            return [b"".join(session[number] for number in sorted(session)).decode(errors="replace").splitlines()
                    for session in self.segments.values()]

    def rejects(self):
        """Sessions that the data plane led: its greeting names no software."""
        return [lines for lines in self.sessions() if lines and lines[0].endswith(" ESMTP")]
