"""Films of saved runs: their pictures are laid out once, when a run ends or is first looked at, and kept beside it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass

from siamese_core.engine.chains import Chains
from siamese_core.engine.shelf import Shelf
from siamese_core.experiment import Experiment
from siamese_core.recording import Film, Recording
from siamese_core.replay import Layouts, packed_layouts, read_layouts
from siamese_core.run_folder import FolderRejected
from siamese_core.run_format import Damaged
from siamese_core.run_record import Record
from siamese_core.small_picture import picture_png

PICTURE = "picture.png"
KEPT = 6
"""Recordings in memory: as many as are laid side by side, and a little more."""


@dataclass(frozen=True)
class Drawing:
    """A film on its way: `done` of `of` pictures; `of` is 0 as long as it waits."""

    done: int = 0
    of: int = 0


class Replays:
    def __init__(self, shelf: Shelf, chains: Chains) -> None:
        self._shelf, self._chains = shelf, chains
        self._lock = threading.RLock()
        self._recordings: OrderedDict[tuple[str, float], Recording] = OrderedDict()
        self._problems: dict[str, str] = {}

    def recording(self, owner: str, run: str) -> Recording | None:
        """None for an unknown run. Raises FolderRejected where its files are damaged."""
        record = self._shelf.find(owner, run)
        if record is None:
            return None
        name = (run, record.updated)
        with self._lock:
            if name not in self._recordings:
                found = self._shelf.recording(owner, run)
                assert found is not None, "it was found above"
                self._recordings[name] = found
                while len(self._recordings) > KEPT:
                    self._recordings.popitem(last=False)
            self._recordings.move_to_end(name)
            return self._recordings[name]

    def look(self, owner: str, run: str) -> Layouts | Drawing | str | None:
        """The pictures of a run; how far they are; a sentence why there are none; None for an unknown run.

        Raises FolderRejected.
        """
        recording = self.recording(owner, run)
        if recording is None or not len(recording.film):
            return None
        kept = self._shelf.attached(run, _name(recording.film))
        if kept is not None:
            with suppress(Damaged):
                layouts = read_layouts(kept)
                if layouts.xy.shape[:2] == recording.film.embeddings.shape[:2]:
                    return layouts
        with self._lock:
            if run in self._problems:
                return self._problems[run]
            if self._chains.progress(run) is None:
                self._begin(run, recording)
            done, of = self._chains.progress(run) or (0, 0)
            return Drawing(done, of)

    def prepare(self, record: Record) -> None:
        """When a run has ended: its film is laid out before anybody asks."""
        with suppress(FolderRejected):
            self.look(record.owner, record.id)

    def forget(self, run: str) -> None:
        """What is in memory of a run."""
        with self._lock:
            self._problems.pop(run, None)
            for name in [name for name in self._recordings if name[0] == run]:
                del self._recordings[name]

    def _begin(self, run: str, recording: Recording) -> None:
        experiment, _ = Experiment.from_query(recording.query)
        future = self._chains.begin(run, experiment.projection, recording.film.embeddings)

        def done(_: object) -> None:
            try:
                layouts = future.result()
            except CancelledError:
                return
            except Exception as error:
                self._problems[run] = str(error)
                return
            with suppress(OSError):
                last = picture_png(layouts.xy[-1], recording.probe.labels)
                self._shelf.attach(run, PICTURE, last)
                for earlier in self._shelf.folder(run).glob("layouts-*"):
                    earlier.unlink()
                self._shelf.attach(run, _name(recording.film), packed_layouts(layouts))

        future.add_done_callback(done)


def _name(film: Film) -> str:
    """Of other frames, another file."""
    return f"layouts-{len(film)}-{int(film.steps[-1])}.safetensors"
