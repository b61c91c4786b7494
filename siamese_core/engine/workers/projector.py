"""The projection process: takes the newest embeddings of each run and drops what it cannot keep up with.

Films of recorded runs are laid out beside that, a frame at a time, whenever no live run waits.
"""

from __future__ import annotations

import threading
import traceback
from typing import Any

import numpy as np

from siamese_core.embeddings.projection import PROJECTIONS, NotProjectable, Pca, neighbours, warm_up
from siamese_core.engine.rpc.client import RequestRejected
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.engine.workers.rpc_server import Arrays, Steps, Task
from siamese_core.runs.layouts import NEIGHBOURS, chained

LIVE_IN_A_ROW = 10

OUR_ERROR = "This frame could not be drawn, by an error of ours. Choose another projection."
OUR_ERROR_IN_A_FILM = "It could not be laid out, by an error of ours: see the server's log."


class _Projector:
    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        # By run, or by request where the embeddings are no run's; None where a run is forgotten.
        self._newest: dict[str | int, tuple[dict[str, Any], np.ndarray | None]] = {}
        self._films: dict[int, Task] = {}
        self._arrived = threading.Condition()
        self._live_in_a_row = 0
        self._projections: dict[str, tuple[str, Any]] = {}
        self._warm = threading.Event()
        parent.listen(self._on_message)

    def run_forever(self) -> None:
        threading.Thread(target=self._warm_up, daemon=True).start()
        while True:
            self._turn()

    def _turn(self) -> None:
        """Make one layout: of a live run where one waits, else the next of a film, for which UMAP must be warm."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._newest or (self._films and self._warm.is_set()))
            waits = bool(self._films) and self._warm.is_set()
            # A class that trains without a pause leaves a film its turn now and then.
            live = bool(self._newest) and not (waits and self._live_in_a_row >= LIVE_IN_A_ROW)
            self._live_in_a_row = self._live_in_a_row + 1 if live else 0
            if live:
                meta, embeddings = self._newest.pop(next(iter(self._newest)))
            else:
                film = next(iter(self._films.values()))
        if not live:
            self._advance(film)
        elif embeddings is None:
            self._projections.pop(meta["run"], None)
        else:
            self._lay_out(meta, embeddings)

    def _warm_up(self) -> None:
        warm_up()
        with self._arrived:
            self._warm.set()
            self._parent.send({"is": "ready"})
            self._arrived.notify()

    def _on_message(self, meta: dict[str, Any], arrays: Arrays) -> None:
        with self._arrived:
            if meta["do"] == "lay_out_film":
                self._films[meta["id"]] = Task(self._parent, meta, arrays, lay_out_film)
            elif meta["do"] == "cancel":
                self._films.pop(meta["id"], None)
                self._newest.pop(meta["id"], None)
            else:
                # A run keeps its place in the queue; only its embeddings are replaced.
                self._newest[meta["run"] if "run" in meta else meta["id"]] = (meta, arrays.get("embeddings"))
            self._arrived.notify()

    def _advance(self, film: Task) -> None:
        if not film.step():
            with self._arrived:
                # It may have been cancelled in the meantime.
                self._films.pop(film.id, None)

    def _lay_out(self, meta: dict[str, Any], embeddings: np.ndarray) -> None:
        head: dict[str, Any] = {name: meta[name] for name in ("run", "id", "step", "kind") if name in meta}
        head |= {"is": "layout" if "run" in meta else "reply", "stand_in": False, "problem": None}
        try:
            projection, stand_in = self._projection(meta.get("run"), meta["kind"])
            xy = projection.frame(embeddings)
            near, distances = neighbours(embeddings, min(NEIGHBOURS, len(embeddings) - 1))
        except NotProjectable as problem:
            self._parent.send(head | {"problem": str(problem)})
        except Exception:
            # One embedding that cannot be laid out must not take the layouts of all other runs down with it.
            traceback.print_exc()
            self._parent.send(head | {"problem": OUR_ERROR})
        else:
            self._parent.send(head | {"stand_in": stand_in}, xy=xy, neighbours=near, distances=distances)

    def _projection(self, run: str | None, kind: str) -> tuple[Any, bool]:
        """Return the projection of a run, the same for all its frames; PCA in the place of UMAP until that is warm."""
        projection = PROJECTIONS[kind]
        stand_in = projection.needs_warm_up and not self._warm.is_set()
        name = f"pca for {kind}" if stand_in else kind
        known = self._projections.get(run) if run is not None else None
        if known is None or known[0] != name:
            known = (name, Pca(projection.dim) if stand_in else projection.make())
            if run is not None:
                self._projections[run] = known
        return known[1], stand_in


def lay_out_film(meta: dict[str, Any], arrays: Arrays) -> Steps:
    """Lay out embeddings (F, N, D), a frame at a step: `xy` (F, N, dim) and `neighbours` (F, N, 5)."""
    layouts = []
    try:
        for layout in chained(meta["kind"], arrays["embeddings"]):
            layouts.append(layout)
            yield {"done": len(layouts), "of": len(arrays["embeddings"])}
        xy, near = map(np.stack, zip(*layouts, strict=True))
    except NotProjectable as why:
        raise RequestRejected(str(why)) from None
    except Exception:
        traceback.print_exc()
        raise RequestRejected(OUR_ERROR_IN_A_FILM) from None
    return {"xy": xy, "neighbours": near}


def main() -> None:
    _Projector(Parent()).run_forever()


if __name__ == "__main__":
    main()
