"""A stock gRPC client of the control plane: generated from the .proto by grpc_tools, nothing of ours in it."""
import importlib
import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def generate():
    """Generates into a temporary directory; returns (messages, services, the directory's owner)."""
    folder = tempfile.TemporaryDirectory(prefix="bounceline-client-")
    name = "bounceline/v1/list_control.proto"
    if protoc.main(["", f"-I{PROTO}", f"--python_out={folder.name}", f"--grpc_python_out={folder.name}", name]) != 0:
        raise RuntimeError("protoc failed")
    sys.path.insert(0, folder.name)
    return (importlib.import_module("bounceline.v1.list_control_pb2"),
            importlib.import_module("bounceline.v1.list_control_pb2_grpc"), folder)


class Client:
    """One open channel."""

    def __init__(self, socket):
        self.messages, services, self.folder = generate()
        self.channel = grpc.insecure_channel(f"unix:{socket}")
        self.stub = services.ListControlStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        self.folder.cleanup()

    def apply(self, kind, prefix, enforced=True, deadline_ms=5000):
        """One update of one prefix; kind: LIST, DELIST, EXEMPT, UNEXEMPT."""
        pb = self.messages
        update = pb.Update(kind=getattr(pb, f"UPDATE_KIND_{kind}"), prefix=prefix)
        wait = pb.WAIT_LEVEL_ENFORCED if enforced else pb.WAIT_LEVEL_DURABLE
        return self.stub.Apply(pb.UpdateBatch(updates=[update], wait=wait, deadline_ms=deadline_ms), timeout=30)
