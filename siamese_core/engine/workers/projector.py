"""The projection process: takes the newest embedding of each run and drops what it cannot keep up with.

Films of recorded runs are laid out beside that, a picture at a time, whenever no live run waits.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np

from siamese_core.embeddings.projection import PROJECTIONS, NotProjectable, Pca, neighbours, warm_up
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.runs.layouts import NEIGHBOURS, chained

LIVE_IN_A_ROW = 10

OUR_ERROR = "This frame could not be drawn, by an error of ours. Choose another projection."
OUR_ERROR_IN_A_FILM = "It could not be laid out, by an error of ours: see the server's log."


class _Projector:
    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._newest: dict[str, tuple[dict[str, Any], np.ndarray | None]] = {}
        self._chains: dict[str, Iterator[None]] = {}
        self._arrived = threading.Condition()
        self._live_in_a_row = 0
        self._views: dict[str, tuple[str, Any]] = {}
        self._warm = threading.Event()
        parent.listen(self._hear)

    def run_forever(self) -> None:
        threading.Thread(target=self._warm_up, daemon=True).start()
        while True:
            self._turn()

    def _turn(self) -> None:
        """One picture: of a live run where one waits, else the next one of a film, for which UMAP must be warm."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._newest or (self._chains and self._warm.is_set()))
            waits = bool(self._chains) and self._warm.is_set()
            # A class that trains without a pause leaves a film its turn now and then.
            live = bool(self._newest) and not (waits and self._live_in_a_row >= LIVE_IN_A_ROW)
            self._live_in_a_row = self._live_in_a_row + 1 if live else 0
            run = next(iter(self._newest if live else self._chains))
            if live:
                meta, embeddings = self._newest.pop(run)
            else:
                chain = self._chains[run]
        if not live:
            self._go_on(run, chain)
        elif embeddings is None:
            self._views.pop(run, None)
        else:
            self._project(meta, embeddings)

    def _warm_up(self) -> None:
        warm_up()
        with self._arrived:
            self._warm.set()
            self._parent.say({"is": "ready"})
            self._arrived.notify()

    def _hear(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        run = meta["run"]
        with self._arrived:
            if meta["do"] == "chain":
                self._chains[run] = self._chain(run, meta["kind"], arrays["embeddings"])
            elif run in self._chains:
                del self._chains[run]
            else:
                # A run keeps its place in the queue; only its embedding is replaced, by None where it is forgotten.
                self._newest[run] = (meta, arrays.get("embeddings"))
            self._arrived.notify()

    def _chain(self, run: str, kind: str, embeddings: np.ndarray) -> Iterator[None]:
        """Says how far it is after each picture, and all of them in the end."""
        pictures = []
        for picture in chained(kind, embeddings):
            pictures.append(picture)
            self._parent.say({"is": "chain_step", "run": run, "done": len(pictures), "of": len(embeddings)})
            yield
        xy, near = map(np.stack, zip(*pictures, strict=True))
        self._parent.say({"is": "chain", "run": run, "kind": kind, "problem": None}, xy=xy, neighbours=near)

    def _go_on(self, run: str, chain: Iterator[None]) -> None:
        problem = None
        try:
            next(chain)
            return
        except StopIteration:
            pass
        except NotProjectable as why:
            problem = str(why)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            problem = OUR_ERROR_IN_A_FILM
        with self._arrived:
            # It may have been forgotten, or begun again, in the meantime.
            if self._chains.get(run) is chain:
                del self._chains[run]
        if problem is not None:
            self._parent.say({"is": "chain", "run": run, "problem": problem})

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
