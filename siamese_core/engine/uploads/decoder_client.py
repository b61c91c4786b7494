"""The server's side of the decoding process: it sends bytes, waits so long, and gets pixels or a reason."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets.uploaded import FOLDER
from siamese_core.engine.rpc.client import Reply, RpcClient
from siamese_core.engine.rpc.pipes import Child
from siamese_core.formats.images import MAX_BYTES, ImageRejected, check_length

IN_FLIGHT = 8
"""Files that `squares` sends ahead, so that neither process waits for the other."""

BYTES_IN_FLIGHT = MAX_BYTES
"""No further file is sent ahead while these are on the way: eight large ones would only fill memory."""

FILE_SECONDS = 10.0
"""A file that takes longer is refused."""

START_SECONDS = 60.0
"""The decoder's start is not counted against the first file."""


@dataclass(frozen=True, eq=False)
class Square:
    """`pixels` are read-only uint8 (3, size, size), of an animation those of its first frame."""

    pixels: NDArray[np.uint8]
    first_frame_only: bool


@dataclass(eq=False)
class _Request:
    data: bytes
    size: int
    outcome: Square | ImageRejected | None = None


class Decoder:
    """Opens images in a process of its own, which starts with the first one; any number of threads may ask.

    A file that takes longer than `FILE_SECONDS`, or under which the process dies, is refused; the others go to a new
    one.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # The oldest first: the process works on that one.
        self._open: list[_Request] = []
        self.child: Child | None = None
        self._client: RpcClient | None = None
        self._ready = False
        self._since = 0.0

    def square(self, data: bytes, size: int) -> Square:
        """Return the image's largest centred square, `size` pixels a side. Raises ImageRejected."""
        outcome = self._outcome(self._request(data, size))
        if isinstance(outcome, ImageRejected):
            raise outcome
        return outcome

    def squares(self, files: Iterable[bytes], size: int) -> Iterator[Square | ImageRejected]:
        """Yield what `square` returns or raises for each file, in order, several files being on the way at a time."""
        ahead: deque[_Request] = deque()
        for data in files:
            ahead.append(self._request(data, size))
            while len(ahead) >= IN_FLIGHT or sum(len(request.data) for request in ahead) > BYTES_IN_FLIGHT:
                yield self._outcome(ahead.popleft())
        while ahead:
            yield self._outcome(ahead.popleft())

    def close(self) -> None:
        """End the process; files that somebody still waits for are refused."""
        with self._changed:
            child, self.child, self._client = self.child, None, None
            while self._open:
                self._finish(self._open[0], ImageRejected("broke_the_decoder"))
            self._changed.notify_all()
        if child:
            child.close()

    def _request(self, data: bytes, size: int) -> _Request:
        try:
            check_length(data)
        except ImageRejected as rejected:
            return _Request(b"", size, rejected)
        request = _Request(data, size)
        with self._changed:
            if not self._open:
                self._since = time.monotonic()
            self._open.append(request)
            if self._client is None:
                self._start()
            else:
                self._send(self._client, request)
        return request

    def _outcome(self, request: _Request) -> Square | ImageRejected:
        """Wait; whoever waits watches over the file that the process works on, which may be another one."""
        with self._changed:
            while request.outcome is None:
                left = self._since + (FILE_SECONDS if self._ready else START_SECONDS) - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                else:
                    self._refuse_the_oldest("too_slow" if self._ready else "broke_the_decoder")
            return request.outcome

    def _start(self) -> None:
        """Start a process, with a client of its own, and send it all that is still to be opened."""
        self._ready, self._since = False, time.monotonic()
        client = self._client = RpcClient(lambda meta, **arrays: child.send(meta, **arrays))
        child = self.child = Child(
            "siamese_core.engine.workers.decoder",
            partial(self._on_message, client),
            partial(self._on_exit, client),
            # It opens what strangers send: it is not told where everybody's images lie.
            {name: value for name, value in os.environ.items() if name != FOLDER},
        )
        for request in self._open:
            self._send(client, request)

    def _send(self, client: RpcClient, request: _Request) -> None:
        reply = client.call("square", {"size": request.size}, {"file": np.frombuffer(request.data, np.uint8)})
        reply.add_done_callback(lambda reply: self._finish(request, _read(reply.result())))

    def _on_message(self, client: RpcClient, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._changed:
            if client is not self._client:
                return
            if not client.on_message(meta, arrays):
                self._ready, self._since = True, time.monotonic()
            self._changed.notify_all()

    def _on_exit(self, client: RpcClient) -> None:
        with self._changed:
            if client is self._client:
                self.child = self._client = None
                self._refuse_the_oldest("broke_the_decoder")

    def _refuse_the_oldest(self, reason: str) -> None:
        """Refuse the one that the process, which is gone or to be killed, was working on."""
        if self.child:
            # Not here: it waits for the thread that hands us messages, and that one may wait for our lock.
            threading.Thread(target=self.child.close, daemon=True).start()
            self.child = self._client = None
        if self._open:
            self._finish(self._open[0], ImageRejected(reason))
        if self._open:
            self._start()
        self._changed.notify_all()

    def _finish(self, request: _Request, outcome: Square | ImageRejected) -> None:
        """Note what came of a file; the next one's time begins."""
        self._open.remove(request)
        request.outcome = outcome
        self._since = time.monotonic()


def _read(reply: Reply) -> Square | ImageRejected:
    if "pixels" in reply:
        return Square(reply["pixels"], reply.meta["first_frame_only"])
    return ImageRejected(reply.meta["reason"])
