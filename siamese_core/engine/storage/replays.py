"""Films of saved runs: they are laid out once, when a run has ended or is played, and saved beside it.

One thread has one film laid out at a time, so that no more than one is in memory however many wait.
"""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from siamese_core.engine.recent import recall, remember
from siamese_core.engine.rpc.client import PendingReply, RequestRejected
from siamese_core.engine.rpc.projector_client import ProjectorClient
from siamese_core.engine.storage.store import RunStore
from siamese_core.errors import reason
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.figures.thumbnail import layout_png
from siamese_core.formats.safetensors import Damaged
from siamese_core.runs.disk_format import FolderRejected
from siamese_core.runs.history import Film, RunHistory
from siamese_core.runs.info import RunInfo
from siamese_core.runs.layouts import Layouts, packed_layouts, read_layouts

THUMBNAIL = "picture.png"
MOST_HISTORIES = 6
"""Histories in memory: as many as are laid side by side, and a little more."""

MOST_WAITING = 200
"""Films of runs that have ended; later ones are laid out when somebody plays them."""

MAX_DEATHS = 2
"""Projection processes that may die over one film."""

TOO_HEAVY = (
    "The projection process died over it twice: see the server's log, or record the run with another projection."
)

NO_ROOM = "the server has no room for its pictures ({why})"
OUR_ERROR = "by an error of ours ({name}): see the server's log"


@dataclass(frozen=True)
class LayoutProgress:
    """A film on its way: `done` of `of` frames; `of` is 0 as long as it waits."""

    done: int = 0
    of: int = 0


class Replays:
    """What is played of saved runs: their histories, and the layouts of their films."""

    def __init__(self, store: RunStore, projector: ProjectorClient) -> None:
        self._store, self._projector = store, projector
        self._lock = threading.Lock()
        self._asked = threading.Condition(self._lock)
        self._histories: dict[tuple[str, float], RunHistory] = {}
        self._problems: dict[str, tuple[float, str]] = {}
        self._waiting: list[RunInfo] = []
        # The film under way: None again where its run is deleted.
        self._current: RunInfo | None = None
        self._progress = LayoutProgress()
        self._reply = PendingReply()
        threading.Thread(target=self._lay_out_forever, name="films", daemon=True).start()

    def run_history(self, owner: str, run: str) -> RunHistory | None:
        """Return what was recorded of a run; None for an unknown one. Raises FolderRejected for damaged files."""
        info = self._store.find(owner, run)
        if info is None:
            return None
        name = (run, info.updated)
        with self._lock:
            if known := recall(self._histories, name):
                return known
        # Without the lock: the store has one of its own, and asks for this one while it deletes.
        found = self._store.run_history(owner, run)
        with self._lock:
            if found is not None:
                remember(self._histories, name, found, MOST_HISTORIES)
        return found

    def poll(self, owner: str, run: str) -> Layouts | LayoutProgress | str | None:
        """Return the layouts of a run, how far they are, or a message why there are none; None for an unknown run.

        Raises FolderRejected.
        """
        info, run_history = self._store.find(owner, run), self.run_history(owner, run)
        if info is None or run_history is None or not len(run_history.film):
            return None
        stored = self._store.attached(run, _name(run_history.film))
        if stored is not None:
            with suppress(Damaged):
                layouts = read_layouts(stored)
                if layouts.xy.shape[:2] == run_history.film.embeddings.shape[:2]:
                    return layouts
        with self._asked:
            if run in self._problems and self._problems[run][0] == info.updated:
                return self._problems[run][1]
            if self._current is not None and self._current.id == run:
                return self._progress
            # Who watches comes before all that nobody watches.
            self._waiting = [info, *(other for other in self._waiting if other.id != run)]
            self._asked.notify()
        return LayoutProgress()

    def is_laying_out(self, run: str) -> bool:
        """Return whether its layouts are on their way."""
        with self._lock:
            return (self._current is not None and self._current.id == run) or any(r.id == run for r in self._waiting)

    def prepare(self, info: RunInfo) -> None:
        """Lay out the film of a run that has ended, before anybody asks. Those of a sweep wait until somebody does."""
        with self._asked:
            if not info.sweep and len(self._waiting) < MOST_WAITING:
                self._waiting.append(info)
                self._asked.notify()

    def forget(self, run: str) -> None:
        """Forget a run that is deleted."""
        with self._lock:
            self._problems.pop(run, None)
            self._waiting = [info for info in self._waiting if info.id != run]
            for name in [name for name in self._histories if name[0] == run]:
                del self._histories[name]
            is_current, reply = self._current is not None and self._current.id == run, self._reply
            if is_current:
                self._current = None
        if is_current:
            reply.cancel()

    def _lay_out_forever(self) -> None:
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._waiting)
                info = self._current = self._waiting.pop(0)
                self._progress = LayoutProgress()
            why = ""
            try:
                self._lay_out(info)
            except (FolderRejected, RequestRejected) as error:
                why = str(error)
            except OSError as error:
                why = NO_ROOM.format(why=reason(error))
            except CancelledError:
                pass
            except Exception as error:
                # Other films are still to be laid out.
                traceback.print_exc()
                why = OUR_ERROR.format(name=type(error).__name__)
            with self._lock:
                if why and self._current is info:
                    self._problems[info.id] = (info.updated, why)
                self._current = None

    def _lay_out(self, info: RunInfo) -> None:
        run_history = self.run_history(info.owner, info.id)
        if run_history is None or not len(run_history.film) or self._store.has(info.id, _name(run_history.film)):
            return
        experiment, _ = Experiment.from_query(run_history.query)
        layouts = self._laid_out(info, experiment.projection, run_history.film.embeddings)
        for earlier in self._store.folder(info.id).glob("layouts-*"):
            earlier.unlink()
        self._store.attach(info.id, THUMBNAIL, layout_png(layouts.xy[-1], run_history.eval_images.labels))
        self._store.attach(info.id, _name(run_history.film), packed_layouts(layouts))

    def _laid_out(self, info: RunInfo, kind: str, embeddings: np.ndarray) -> Layouts:
        """Wait for the layouts of a film; where the process dies over it, the next one begins it again, once.

        Raises RequestRejected, and CancelledError for a run that is deleted meanwhile.
        """
        for _ in range(MAX_DEATHS):
            with self._lock:
                if self._current is not info:
                    raise CancelledError
                self._progress = LayoutProgress()
            # Without the lock, for which every page waits: a film may be 100 MB to send.
            reply = self._projector.lay_out_film(embeddings, kind, partial(self._on_progress, info))
            with self._lock:
                self._reply = reply
                if self._current is not info:
                    reply.cancel()
            with suppress(CancelledError):
                arrays = reply.result()
                return Layouts(kind, arrays["xy"], arrays["neighbours"])
        raise RequestRejected(self._projector.problem or TOO_HEAVY)

    def _on_progress(self, info: RunInfo, meta: dict[str, Any]) -> None:
        with self._lock:
            if self._current is info:
                self._progress = LayoutProgress(meta["done"], meta["of"])


def _name(film: Film) -> str:
    """Return the file of a film's layouts: of other frames, another one."""
    return f"layouts-{len(film)}-{int(film.steps[-1])}.safetensors"
