"""Requests to a child process, and the replies that somebody waits for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from siamese_core.errors import Rejected


class Reply(dict[str, np.ndarray]):
    """The arrays of a reply by name; `meta` is what the process says beside them."""

    def __init__(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> None:
        super().__init__(arrays)
        self.meta = meta or {}


OnProgress = Callable[[dict[str, Any]], None]
"""Takes the meta of each message on how far a request is."""

PendingReply = Future[Reply]
"""Cancelled where the process dies, or fails at it; raises RequestRejected where the process says why it does not."""


class RequestRejected(Rejected):
    """A request that gets no reply: the message says why, and what to do."""


class _Request(NamedTuple):
    reply: PendingReply
    on_progress: OnProgress


class RpcClient:
    """`send(meta, **arrays)` hands a message to the child."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._open: dict[int, _Request] = {}
        self._ids = itertools.count(1)

    def call(
        self,
        do: str,
        meta: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        on_progress: OnProgress = lambda meta: None,
    ) -> PendingReply:
        """Send a request and return at once; who cancels the reply takes the request back.

        `on_progress(meta)` is called by the thread that reads, as the reply's own callbacks are.
        """
        reply = PendingReply()
        with self._lock:
            number = next(self._ids)
            self._open[number] = _Request(reply, on_progress)
        reply.add_done_callback(partial(self._take_back, number))
        self._send({"do": do, "id": number, **meta}, **arrays)
        return reply

    def on_message(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> bool:
        """Return whether a message of the child was about a request; who waits for it has the reply then."""
        if meta["is"] not in ("progress", "reply", "rejected", "no_reply"):
            return False
        request = self._open.get(meta["id"]) if meta["is"] == "progress" else self._close(meta["id"])
        if request is None:
            # It was cancelled, here or by the death of the child before.
            pass
        elif meta["is"] == "progress":
            request.on_progress(meta)
        elif meta["is"] == "no_reply":
            request.reply.cancel()
        elif request.reply.set_running_or_notify_cancel():
            if meta["is"] == "reply":
                request.reply.set_result(Reply(arrays, meta))
            else:
                request.reply.set_exception(RequestRejected(meta["message"]))
        return True

    def cancel_all(self) -> None:
        """Cancel all open requests: the child is gone, and none will get a reply."""
        with self._lock:
            requests = list(self._open.values())
            self._open.clear()
        for request in requests:
            request.reply.cancel()

    def _close(self, number: int) -> _Request | None:
        with self._lock:
            return self._open.pop(number, None)

    def _take_back(self, number: int, reply: PendingReply) -> None:
        if reply.cancelled() and self._close(number) is not None:
            self._send({"do": "cancel", "id": number})
