"""A feed in small: pushes named batches, and repeats what got no answer. The contract is README's, "Recipes for programs".

    feed = Feed(lambda: grpc.insecure_channel("unix:/run/bounceline/control.sock"), pb, services, "my-feed-2026-11-25")
    for answer in feed.push(bulks):
        print(answer.sequence, answer.serial, answer.n_applied)
"""
import time

import grpc

# Worth the same bytes again: nothing was recorded, or it was and the first answer comes.
AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED,
         grpc.StatusCode.CANCELLED}
AGAIN_NUMBERS = {code.value[0] for code in AGAIN}


class Refused(Exception):
    """A batch that must be changed before it is sent again."""


class Feed:
    def __init__(self, connect, pb, services, session, patience_s=60):
        """connect: makes a channel; session: a name that no other run of this feed uses."""
        self.connect, self.pb, self.services = connect, pb, services
        self.session, self.patience_s = session, patience_s
        self.sequence = 0

    def named(self, bulks, wait):
        for bulk in bulks:
            self.sequence += 1
            yield self.pb.UpdateBatch(session=self.session, sequence=self.sequence, bulk=bulk, wait=wait)

    def push(self, bulks, wait=0):
        """The answers, in order, each once. Batches without an answer are kept for the case that they must go again."""
        todo = list(self.named(bulks, wait))
        end = time.monotonic() + self.patience_s
        while todo:
            try:
                with self.connect() as channel:
                    for answer in self.services.ListControlStub(channel).Push(iter(list(todo))):
                        if answer.status in AGAIN_NUMBERS:  # and all behind it: what was taken of those gets its first answer
                            raise TimeoutError(answer.detail)
                        if answer.status:
                            raise Refused(f"batch {answer.sequence}: {answer.detail}")
                        assert answer.sequence == todo[0].sequence
                        todo.pop(0)
                        end = time.monotonic() + self.patience_s
                        yield answer
            except (grpc.RpcError, TimeoutError) as error:
                if isinstance(error, grpc.RpcError) and error.code() not in AGAIN:
                    raise
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
