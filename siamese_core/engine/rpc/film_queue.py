"""Films of recorded runs, laid out by the projection process, one after the other."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from siamese_core.engine.rpc.client import PendingReply, RequestRejected, RpcClient
from siamese_core.runs.layouts import Layouts

MAX_DEATHS = 2
"""Projection processes that may die over one film."""

TOO_HEAVY = (
    "The projection process died over it twice: see the server's log, or record the run with another projection."
)


@dataclass(eq=False)
class _Film:
    """`reply` is the pending one of the process; None while the film waits for its turn."""

    kind: str
    embeddings: np.ndarray
    layouts: Future[Layouts] = field(default_factory=Future)
    reply: PendingReply | None = None
    progress: tuple[int, int] = (0, 0)
    deaths: int = 0


class FilmQueue:
    """The process has one film at a time, for embeddings are large; where it dies, the next one begins again."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client
        self._lock = threading.RLock()
        self._open: dict[str, _Film] = {}
        self._closed = ""

    def begin(self, name: str, kind: str, embeddings: np.ndarray) -> Future[Layouts]:
        """Lay out embeddings (F, N, D) by a projection of `PROJECTIONS`, or wait for what is open under this name.

        The future raises RequestRejected where they cannot be drawn: the message says why.
        """
        with self._lock:
            if name in self._open:
                return self._open[name].layouts
            film = _Film(kind, np.asarray(embeddings, np.float32))
            if not self._closed:
                self._open[name] = film
                if len(self._open) == 1:
                    self._send_first()
                return film.layouts
        _reject(film, RequestRejected(self._closed))
        return film.layouts

    def progress(self, name: str) -> tuple[int, int] | None:
        """Return how many frames are laid out, and of how many: of 0 while it waits. None where nothing is open."""
        with self._lock:
            return self._open[name].progress if name in self._open else None

    def cancel(self, name: str) -> None:
        """Take a film out of the queue, or from the process: nobody needs it any more."""
        with self._lock:
            film = self._open.pop(name, None)
            if film is not None and film.reply is not None:
                film.reply.cancel()
                self._send_first()
        if film is not None:
            film.layouts.cancel()

    def close(self, message: str) -> None:
        """Reject all films, and later ones: there is no process any more, and there will be none."""
        with self._lock:
            self._closed = message
            films = list(self._open.values())
            self._open.clear()
        for film in films:
            _reject(film, RequestRejected(message))

    def _on_progress(self, film: _Film, meta: dict[str, Any]) -> None:
        with self._lock:
            film.progress = (meta["done"], meta["of"])

    def _on_reply(self, name: str, film: _Film, reply: PendingReply) -> None:
        """A film is open until the callbacks of its future have returned: what they save is there when it has gone."""
        if reply.cancelled():
            with self._lock:
                if self._open.get(name) is not film:
                    return
                film.deaths += 1
                film.progress = (0, 0)
                if film.deaths < MAX_DEATHS:
                    self._send_first()
                    return
            _reject(film, RequestRejected(TOO_HEAVY))
        elif problem := reply.exception():
            _reject(film, problem)
        elif film.layouts.set_running_or_notify_cancel():
            arrays = reply.result()
            film.layouts.set_result(Layouts(film.kind, arrays["xy"], arrays["neighbours"]))
        with self._lock:
            if self._open.get(name) is film:
                del self._open[name]
                self._send_first()

    def _send_first(self) -> None:
        for name, film in self._open.items():
            film.reply = self._client.call(
                "film", {"kind": film.kind}, {"embeddings": film.embeddings}, partial(self._on_progress, film)
            )
            film.reply.add_done_callback(partial(self._on_reply, name, film))
            return


def _reject(film: _Film, problem: BaseException) -> None:
    if film.layouts.set_running_or_notify_cancel():
        film.layouts.set_exception(problem)
