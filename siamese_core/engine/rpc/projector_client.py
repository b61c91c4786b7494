"""The server's side of the projection process: its requests, and the restart of one that dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from siamese_core.engine.rpc.client import OnProgress, PendingReply, RpcClient
from siamese_core.engine.rpc.pipes import Child

MAX_DEATHS = 20

CANNOT_LAY_OUT = "The projection process died too often: see the server's log and start the server again."


class ProjectorClient:
    """`on_layout(run, meta, arrays)` is called with a live run's newest layout.

    `on_new()` is called when all live runs are to be laid out again: the process is warm, or a new one.
    """

    def __init__(
        self, on_layout: Callable[[str, dict[str, Any], dict[str, np.ndarray]], None], on_new: Callable[[], None]
    ) -> None:
        self._on_layout, self._on_new = on_layout, on_new
        self._closed = threading.Event()
        self._deaths = 0
        self.is_warm, self.problem = False, ""
        self._client = RpcClient(lambda meta, **arrays: self.child.send(meta, **arrays))
        self.child = self._new()

    def lay_out_live(self, run: str, kind: str, step: int, embeddings: np.ndarray) -> None:
        """Lay out the newest embeddings (N, D) of a live run; those that were not laid out yet are dropped."""
        self.child.send({"do": "lay_out_live", "run": run, "kind": kind, "step": step}, embeddings=embeddings)

    def forget(self, run: str) -> None:
        """Forget where the points of a live run were."""
        self.child.send({"do": "forget", "run": run})

    def lay_out(self, embeddings: np.ndarray, kind: str) -> PendingReply:
        """Lay out embeddings (N, D) that are no run's; `layout_of` reads the reply."""
        return self._call("lay_out", {"kind": kind, "step": 0}, embeddings)

    def lay_out_film(self, embeddings: np.ndarray, kind: str, on_progress: OnProgress) -> PendingReply:
        """Lay out the frames of a film, embeddings (F, N, D), each aligned to the one before, behind all live runs."""
        return self._call("lay_out_film", {"kind": kind}, embeddings, on_progress)

    def _call(
        self, do: str, meta: Mapping[str, Any], embeddings: np.ndarray, on_progress: OnProgress = lambda meta: None
    ) -> PendingReply:
        reply = self._client.call(do, meta, {"embeddings": embeddings}, on_progress)
        if self.problem:
            self._client.cancel_all()
        return reply

    def close(self) -> None:
        """End the process."""
        self._closed.set()
        self.child.close()

    def _new(self) -> Child:
        return Child("siamese_core.engine.workers.projector", self._on_message, self._on_exit)

    def _on_message(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if meta["is"] == "ready":
            self.is_warm = True
            # A run that has come to rest gets its UMAP now.
            self._on_new()
        elif not self._client.on_message(meta, arrays):
            self._on_layout(meta["run"], meta, arrays)

    def _on_exit(self) -> None:
        if self._closed.is_set():
            return
        self._deaths += 1
        self.is_warm = False
        if self._deaths > MAX_DEATHS:
            self.problem = CANNOT_LAY_OUT
            self._client.cancel_all()
            return
        self.child = self._new()
        self._client.cancel_all()
        self._on_new()
