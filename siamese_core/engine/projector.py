"""The projection process: takes the newest embedding of each run and drops what it cannot keep up with."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Any

import numpy as np

from siamese_core.engine.pipes import Parent
from siamese_core.projection import PROJECTIONS, NotProjectable, Pca, neighbours, warm_up

NEIGHBOURS = 5

OUR_ERROR = "This frame could not be drawn, by an error of ours. Choose another projection."


class _Projector:
    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._newest: dict[str, tuple[dict[str, Any], np.ndarray | None]] = {}
        self._arrived = threading.Condition()
        self._views: dict[str, tuple[str, Any]] = {}
        self._warm = threading.Event()
        parent.listen(self._hear)

    def run_forever(self) -> None:
        threading.Thread(target=self._warm_up, daemon=True).start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._newest)
                run = next(iter(self._newest))
                meta, embeddings = self._newest.pop(run)
            if embeddings is None:
                self._views.pop(run, None)
            else:
                self._project(meta, embeddings)

    def _warm_up(self) -> None:
        warm_up()
        self._warm.set()
        self._parent.say({"is": "ready"})

    def _hear(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._arrived:
            # A run keeps its place in the queue; only its embedding is replaced, by None where it is to be forgotten.
            self._newest[meta["run"]] = (meta, arrays.get("embeddings"))
            self._arrived.notify()

    def _project(self, meta: dict[str, Any], embeddings: np.ndarray) -> None:
        said = {"is": "layout", "run": meta["run"], "step": meta["step"], "kind": meta["kind"]}
        try:
            view, stand_in = self._view(meta["run"], meta["kind"])
            xy = view.frame(embeddings)
            k = min(NEIGHBOURS, len(embeddings) - 1)
            near, distances = neighbours(embeddings, k)
            self._parent.say(
                said | {"stand_in": stand_in, "problem": None}, xy=xy, neighbours=near, distances=distances
            )
        except NotProjectable as problem:
            self._parent.say(said | {"stand_in": False, "problem": str(problem)})
        except Exception:
            # One embedding that cannot be drawn must not take the pictures of all other runs down with it.
            traceback.print_exc(file=sys.stderr)
            self._parent.say(said | {"stand_in": False, "problem": OUR_ERROR})

    def _view(self, run: str, kind: str) -> tuple[Any, bool]:
        """The projection of this run, kept between its frames; PCA in the place of UMAP until that is warm."""
        projection = PROJECTIONS[kind]
        stand_in = projection.needs_warm_up and not self._warm.is_set()
        name = f"pca for {kind}" if stand_in else kind
        kept = self._views.get(run)
        if kept is None or kept[0] != name:
            kept = (name, Pca(projection.dim) if stand_in else projection.make())
            self._views[run] = kept
        return kept[1], stand_in


def main() -> None:
    _Projector(Parent()).run_forever()


if __name__ == "__main__":
    main()
