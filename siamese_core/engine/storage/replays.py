"""Films of saved runs: their pictures are laid out once, when a run has ended or is looked at, and kept beside it.

One thread has one film laid out at a time, so that no more than one is in memory however many wait.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import OrderedDict
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass

from siamese_core.engine.rpc.client import Refused
from siamese_core.engine.rpc.film_queue import Chains
from siamese_core.engine.storage.store import Shelf
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.figures.thumbnail import picture_png
from siamese_core.formats.run_format import Damaged
from siamese_core.runs.folder import FolderRejected
from siamese_core.runs.layouts import Layouts, packed_layouts, read_layouts
from siamese_core.runs.record import Record
from siamese_core.runs.recording import Film, Recording

PICTURE = "picture.png"
KEPT = 6
"""Recordings in memory: as many as are laid side by side, and a little more."""

MOST_WAITING = 200
"""Films of runs that have ended; later ones are laid out when somebody looks."""

NO_ROOM = "the server has no room for its pictures ({why})"
OUR_ERROR = "by an error of ours ({name}): see the server's log"


@dataclass(frozen=True)
class Drawing:
    """A film on its way: `done` of `of` pictures; `of` is 0 as long as it waits."""

    done: int = 0
    of: int = 0


class Replays:
    def __init__(self, shelf: Shelf, chains: Chains) -> None:
        self._shelf, self._chains = shelf, chains
        self._lock = threading.Lock()
        self._asked = threading.Condition(self._lock)
        self._recordings: OrderedDict[tuple[str, float], Recording] = OrderedDict()
        self._problems: dict[str, tuple[float, str]] = {}
        self._waiting: list[Record] = []
        self._drawn: Record | None = None
        threading.Thread(target=self._draw_forever, name="films", daemon=True).start()

    def recording(self, owner: str, run: str) -> Recording | None:
        """None for an unknown run. Raises FolderRejected where its files are damaged."""
        record = self._shelf.find(owner, run)
        if record is None:
            return None
        name = (run, record.updated)
        with self._lock:
            if name in self._recordings:
                self._recordings.move_to_end(name)
                return self._recordings[name]
        # Without the lock: the shelf has one of its own, and asks for this one while it deletes.
        found = self._shelf.recording(owner, run)
        with self._lock:
            if found is not None:
                self._recordings[name] = found
                while len(self._recordings) > KEPT:
                    self._recordings.popitem(last=False)
        return found

    def look(self, owner: str, run: str) -> Layouts | Drawing | str | None:
        """The pictures of a run; how far they are; a sentence why there are none; None for an unknown run.

        Raises FolderRejected.
        """
        record, recording = self._shelf.find(owner, run), self.recording(owner, run)
        if record is None or recording is None or not len(recording.film):
            return None
        kept = self._shelf.attached(run, _name(recording.film))
        if kept is not None:
            with suppress(Damaged):
                layouts = read_layouts(kept)
                if layouts.xy.shape[:2] == recording.film.embeddings.shape[:2]:
                    return layouts
        with self._asked:
            if run in self._problems and self._problems[run][0] == record.updated:
                return self._problems[run][1]
            if self._drawn is None or self._drawn.id != run:
                # Who looks comes before all that nobody looks at.
                self._waiting = [record, *(other for other in self._waiting if other.id != run)]
                self._asked.notify()
        return Drawing(*(self._chains.progress(run) or (0, 0)))

    def is_drawing(self, run: str) -> bool:
        """Whether its pictures are on their way."""
        with self._lock:
            return (self._drawn is not None and self._drawn.id == run) or any(r.id == run for r in self._waiting)

    def prepare(self, record: Record) -> None:
        """When a run has ended: its film is laid out before anybody asks. Those of a sweep wait until somebody does."""
        with self._asked:
            if not record.sweep and len(self._waiting) < MOST_WAITING:
                self._waiting.append(record)
                self._asked.notify()

    def forget(self, run: str) -> None:
        """It is deleted."""
        with self._lock:
            self._problems.pop(run, None)
            self._waiting = [record for record in self._waiting if record.id != run]
            for name in [name for name in self._recordings if name[0] == run]:
                del self._recordings[name]
        self._chains.cancel(run)

    def _draw_forever(self) -> None:
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._waiting)
                record = self._drawn = self._waiting.pop(0)
            why = ""
            try:
                self._draw(record)
            except (FolderRejected, Refused) as error:
                why = str(error)
            except OSError as error:
                why = NO_ROOM.format(why=error.strerror or error)
            except CancelledError:
                pass
            except Exception as error:
                # Other films are still to be laid out.
                traceback.print_exc(file=sys.stderr)
                why = OUR_ERROR.format(name=type(error).__name__)
            with self._lock:
                self._drawn = None
                if why:
                    self._problems[record.id] = (record.updated, why)

    def _draw(self, record: Record) -> None:
        recording = self.recording(record.owner, record.id)
        if recording is None or not len(recording.film) or self._shelf.has(record.id, _name(recording.film)):
            return
        experiment, _ = Experiment.from_query(recording.query)
        layouts = self._chains.begin(record.id, experiment.projection, recording.film.embeddings).result()
        for earlier in self._shelf.folder(record.id).glob("layouts-*"):
            earlier.unlink()
        self._shelf.attach(record.id, PICTURE, picture_png(layouts.xy[-1], recording.probe.labels))
        self._shelf.attach(record.id, _name(recording.film), packed_layouts(layouts))


def _name(film: Film) -> str:
    """Of other frames, another file."""
    return f"layouts-{len(film)}-{int(film.steps[-1])}.safetensors"
