"""Films of recorded runs, laid out by the projection process, one after the other."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from siamese_core.engine.rpc.client import Refused
from siamese_core.runs.layouts import Layouts

MAX_DEATHS = 2
"""Projection processes that may die over one film."""

TOO_HEAVY = (
    "The projection process died over it twice: see the server's log, or record the run with another projection."
)


@dataclass(eq=False)
class _Chain:
    """`run` is its name in the process, where a live run may have the name by which it is asked for."""

    run: str
    kind: str
    embeddings: np.ndarray
    layouts: Future[Layouts] = field(default_factory=Future)
    progress: tuple[int, int] = (0, 0)
    deaths: int = 0


class FilmQueue:
    """`say(meta, **arrays)` hands a message to the process, which has one chain at a time: embeddings are large."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._open: dict[str, _Chain] = {}
        self._numbers = itertools.count(1)
        self._closed = ""

    def begin(self, name: str, kind: str, embeddings: np.ndarray) -> Future[Layouts]:
        """Of embeddings (F, N, D) by a projection of `PROJECTIONS`; one that is open under this name is the answer.

        Raises Refused in the end where it cannot be drawn: the sentence says why.
        """
        with self._lock:
            chain = self._open.get(name)
            if chain is not None:
                return chain.layouts
            chain = _Chain(f"chain {next(self._numbers)}", kind, np.asarray(embeddings, np.float32))
            closed = self._closed
            if not closed:
                self._open[name] = chain
                if len(self._open) == 1:
                    self._send_first()
        if closed:
            _refuse(chain, closed)
        return chain.layouts

    def progress(self, name: str) -> tuple[int, int] | None:
        """Pictures that are done, and how many there will be: 0 as long as it waits. None where nothing is open."""
        with self._lock:
            chain = self._open.get(name)
            return chain.progress if chain is not None else None

    def heard(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> bool:
        """Whether a message of the process was about a chain; who began it has the layouts then.

        A chain is open until the callbacks of its future have returned: what they keep is there when it has gone.
        """
        if meta["is"] not in ("chain", "chain_step"):
            return False
        with self._lock:
            name, chain = next(iter(self._open.items()), ("", None))
            if chain is None or chain.run != meta["run"]:
                # Cancelled on the way.
                return True
            if meta["is"] == "chain_step":
                chain.progress = (meta["done"], meta["of"])
                return True
        if meta["problem"] is not None:
            _refuse(chain, meta["problem"])
        elif chain.layouts.set_running_or_notify_cancel():
            chain.layouts.set_result(Layouts(chain.kind, arrays["xy"], arrays["neighbours"]))
        self._remove(name, chain)
        return True

    def cancel(self, name: str) -> None:
        """Nobody needs it any more."""
        with self._lock:
            chain = self._open.get(name)
            if chain is not None and self._first() is chain:
                self._say({"do": "forget", "run": chain.run})
        if chain is not None:
            chain.layouts.cancel()
            self._remove(name, chain)

    def begin_again(self) -> None:
        """In a new process, after the one before has died; a chain over which two have died is refused."""
        with self._lock:
            name, chain = next(iter(self._open.items()), ("", None))
            if chain is None:
                return
            chain.deaths += 1
            chain.progress = (0, 0)
            if chain.deaths < MAX_DEATHS:
                self._send_first()
                return
        _refuse(chain, TOO_HEAVY)
        self._remove(name, chain)

    def let_go(self, message: str) -> None:
        """There is no process any more, and there will be none: all chains, and later ones, are refused."""
        with self._lock:
            self._closed = message
            chains = list(self._open.values())
            self._open.clear()
        for chain in chains:
            _refuse(chain, message)

    def _first(self) -> _Chain | None:
        return next(iter(self._open.values()), None)

    def _remove(self, name: str, chain: _Chain) -> None:
        with self._lock:
            if self._open.get(name) is chain:
                was_first = self._first() is chain
                del self._open[name]
                if was_first:
                    self._send_first()

    def _send_first(self) -> None:
        chain = self._first()
        if chain is not None:
            self._say({"do": "chain", "run": chain.run, "kind": chain.kind}, embeddings=chain.embeddings)


def _refuse(chain: _Chain, message: str) -> None:
    if chain.layouts.set_running_or_notify_cancel():
        chain.layouts.set_exception(Refused(message))
