"""The server's side of the decoding process: it sends bytes, waits so long, and gets pixels or a reason."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets.uploaded import FOLDER
from siamese_core.engine.rpc.pipes import Child
from siamese_core.formats.images import MAX_BYTES, ImageRejected, check_length, refusal

IN_FLIGHT = 8
"""Files that `squares` sends ahead, so that neither process waits for the other."""

BYTES_IN_FLIGHT = MAX_BYTES
"""No further file is sent ahead while these are on the way: eight large ones would only fill memory."""

START_SECONDS = 60.0
"""The decoder's start is not counted against the first file."""


@dataclass(frozen=True, eq=False)
class Square:
    """`pixels` are read-only uint8 (3, size, size); of an animation the first frame, which is to be said."""

    pixels: NDArray[np.uint8]
    first_frame_only: bool


@dataclass(eq=False)
class _Request:
    data: bytes
    size: int
    outcome: Square | ImageRejected | None = None


class Decoder:
    """Opens images in a process of its own, which starts with the first one; any number of threads may ask.

    A file that takes longer than `seconds`, or under which the process dies, is refused; the others go to a new one.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        # By number, oldest first: the process works on the first one.
        self._asked: dict[int, _Request] = {}
        self._child: Child | None = None
        self._generation = 0
        self._ready = False
        self._since = 0.0

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        with self._changed:
            return self._child.pid if self._child else None

    def square(self, data: bytes, size: int) -> Square:
        """The image's largest centred square, `size` pixels a side. Raises ImageRejected."""
        outcome = self._answer(self._ask(data, size))
        if isinstance(outcome, ImageRejected):
            raise outcome
        return outcome

    def squares(self, files: Iterable[bytes], size: int) -> Iterator[Square | ImageRejected]:
        """What `square` returns or raises for each file, in order, several files being on the way at a time."""
        ahead: deque[_Request] = deque()
        for data in files:
            ahead.append(self._ask(data, size))
            while len(ahead) >= IN_FLIGHT or sum(len(request.data) for request in ahead) > BYTES_IN_FLIGHT:
                yield self._answer(ahead.popleft())
        while ahead:
            yield self._answer(ahead.popleft())

    def close(self) -> None:
        """Ends the process; files that somebody still waits for are refused."""
        with self._changed:
            child, self._child = self._child, None
            self._generation += 1
            for number in list(self._asked):
                self._settle(number, refusal("broke_the_decoder"))
            self._changed.notify_all()
        if child:
            child.close()

    def _ask(self, data: bytes, size: int) -> _Request:
        try:
            check_length(data)
        except ImageRejected as refused:
            return _Request(b"", size, refused)
        request = _Request(data, size)
        with self._changed:
            if not self._asked:
                self._since = time.monotonic()
            number = next(self._numbers)
            self._asked[number] = request
            if self._child is None:
                self._start()
            else:
                self._send(number, request)
        return request

    def _answer(self, request: _Request) -> Square | ImageRejected:
        """Waits; whoever waits watches over the file that the process works on, which may be another one."""
        with self._changed:
            while request.outcome is None:
                left = self._since + (self._seconds if self._ready else START_SECONDS) - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                else:
                    self._refuse_the_oldest("too_slow" if self._ready else "broke_the_decoder")
            return request.outcome

    def _start(self) -> None:
        """A new process gets all that is still to be answered."""
        self._ready, self._since, self._generation = False, time.monotonic(), self._generation + 1
        mine = self._generation
        self._child = Child(
            "siamese_core.engine.workers.decoder",
            lambda meta, arrays: self._said(mine, meta, arrays),
            lambda: self._died(mine),
            # It opens what strangers send: it is not told where everybody's pictures lie.
            {name: value for name, value in os.environ.items() if name != FOLDER},
        )
        for number, request in self._asked.items():
            self._send(number, request)

    def _send(self, number: int, request: _Request) -> None:
        assert self._child is not None
        file = np.frombuffer(request.data, np.uint8)
        self._child.say({"do": "square", "id": number, "size": request.size}, file=file)

    def _said(self, generation: int, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._changed:
            if generation != self._generation:
                return
            if meta["is"] == "ready":
                self._ready, self._since = True, time.monotonic()
            elif meta["is"] == "square":
                self._settle(meta["id"], Square(arrays["pixels"], meta["first_frame_only"]))
            else:
                self._settle(meta["id"], ImageRejected(meta["reason"], meta["message"]))
            self._changed.notify_all()

    def _died(self, generation: int) -> None:
        with self._changed:
            if generation == self._generation:
                self._child = None
                self._refuse_the_oldest("broke_the_decoder")

    def _refuse_the_oldest(self, reason: str) -> None:
        """The one that the process, which is gone or to be killed, was working on."""
        if self._child:
            # Not here: it waits for the thread that hands us messages, and that one may wait for our lock.
            threading.Thread(target=self._child.close, daemon=True).start()
            self._child = None
        if self._asked:
            self._settle(next(iter(self._asked)), refusal(reason))
        if self._asked:
            self._start()
        self._changed.notify_all()

    def _settle(self, number: int, outcome: Square | ImageRejected) -> None:
        """The next file's time begins."""
        self._asked.pop(number).outcome = outcome
        self._since = time.monotonic()
