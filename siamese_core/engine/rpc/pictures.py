"""Pictures of embeddings that are no live run's, asked of the projection process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np

from siamese_core.engine.run import Layout, layout_of


class Pictures:
    """`say(meta, **arrays)` hands a message to the projection process."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._open: dict[str, Future[Layout]] = {}

    def lay_out(self, embeddings: np.ndarray, kind: str) -> Future[Layout]:
        """Of embeddings (N, D); cancelled where the process dies."""
        picture: Future[Layout] = Future()
        name = f"picture {secrets.token_urlsafe(12)}"
        with self._lock:
            self._open[name] = picture
        self._say({"do": "project", "run": name, "kind": kind, "step": 0}, embeddings=embeddings)
        return picture

    def heard(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> bool:
        """Whether a message of the process was about one of these."""
        with self._lock:
            picture = self._open.pop(meta.get("run", ""), None)
        if picture is None:
            return False
        self._say({"do": "forget", "run": meta["run"]})
        picture.set_result(layout_of(meta, arrays, 1))
        return True

    def let_go(self) -> None:
        """The process is gone."""
        with self._lock:
            for picture in self._open.values():
                picture.cancel()
            self._open.clear()
