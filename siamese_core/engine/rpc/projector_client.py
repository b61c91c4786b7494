"""The projection process as the server sees it: what it is asked, and what comes after one that dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np

from siamese_core.engine.rpc.film_queue import FilmQueue
from siamese_core.engine.rpc.pictures import Pictures
from siamese_core.engine.rpc.pipes import Child
from siamese_core.engine.run import Layout

MAX_DEATHS = 20

CANNOT_DRAW = "The projection process died too often: see the server's log and start the server again."


class ProjectorClient:
    """`on_layout(run, meta, arrays)` hears of a live run's picture.

    `on_new()` is called when all live runs are to be drawn again: the process is warm, or a new one.
    """

    def __init__(
        self, on_layout: Callable[[str, dict[str, Any], dict[str, np.ndarray]], None], on_new: Callable[[], None]
    ) -> None:
        self._on_layout, self._on_new = on_layout, on_new
        self._closed = threading.Event()
        self._deaths = 0
        self.is_warm, self.problem = False, ""
        self.pictures, self.chains = Pictures(self._say), FilmQueue(self._say)
        self._process = self._new()

    @property
    def pid(self) -> int:
        return self._process.pid

    def draw(self, run: str, kind: str, step: int, embeddings: np.ndarray) -> None:
        """The newest embeddings (N, D) of a live run; those that were not drawn yet are let go."""
        self._say({"do": "project", "run": run, "kind": kind, "step": step}, embeddings=embeddings)

    def forget(self, run: str) -> None:
        self._say({"do": "forget", "run": run})

    def lay_out(self, embeddings: np.ndarray, kind: str) -> Future[Layout]:
        """A picture of embeddings (N, D) that are no run's; cancelled where the process dies."""
        picture = self.pictures.lay_out(embeddings, kind)
        if self.problem:
            self.pictures.let_go()
        return picture

    def close(self) -> None:
        self._closed.set()
        self._process.close()

    def _say(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self._process.say(meta, **arrays)

    def _new(self) -> Child:
        return Child("siamese_core.engine.workers.projector", self._heard, self._died)

    def _heard(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if meta["is"] == "ready":
            self.is_warm = True
            # A run that has come to rest gets its UMAP now.
            self._on_new()
        elif not self.chains.heard(meta, arrays) and not self.pictures.heard(meta, arrays):
            self._on_layout(meta["run"], meta, arrays)

    def _died(self) -> None:
        if self._closed.is_set():
            return
        self._deaths += 1
        self.is_warm = False
        if self._deaths > MAX_DEATHS:
            self.problem = CANNOT_DRAW
            self.pictures.let_go()
            self.chains.let_go(CANNOT_DRAW)
            return
        self._process = self._new()
        self.pictures.let_go()
        self.chains.begin_again()
        self._on_new()
