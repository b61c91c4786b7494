"""Saves runs as they go. One thread writes; neither training nor a page waits for a disk."""

from __future__ import annotations

import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

import numpy as np

from siamese_core.datasets import DatasetMissing
from siamese_core.engine.storage.store import Shelf
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Frame
from siamese_core.runs.folder import MODEL, SAVE_EVERY, FolderRejected, Saved, load, locked
from siamese_core.runs.model import model_of
from siamese_core.runs.model_file import save_model
from siamese_core.runs.record import RESUMABLE, Record
from siamese_core.runs.writer import NOT_SAVED, Keeper

LOOK_EVERY = 0.5

MOST_UNSAVED = 16
"""Runs that have ended and wait for room on a full disk; those after them are lost, for they fill the memory."""

CANNOT_GO_ON = "This run cannot be gone on with: it is running, at its end, or not here any more."


@dataclass
class _Written:
    """A run that is being written. `saved` is on disk, `newest` is not yet; `ended` is status and sentence.

    `again`: the last try failed for want of room, say.
    """

    keeper: Keeper
    lock: ExitStack
    saved: Saved | None = None
    newest: Saved | None = None
    ended: tuple[str, str] | None = None
    again: bool = False


class Keeping:
    """`on_end(record)` is called by the writing thread when a run has been written to its end."""

    def __init__(
        self,
        shelf: Shelf,
        viewed: Callable[[str, np.ndarray], np.ndarray],
        on_end: Callable[[Record], None] = lambda record: None,
        every: float = SAVE_EVERY,
    ) -> None:
        self.shelf, self._viewed, self._on_end, self._every = shelf, viewed, on_end, every
        self._written: dict[str, _Written] = {}
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._closed = False
        self._thread = threading.Thread(target=self._write_forever, name="keeping", daemon=True)
        self._thread.start()

    def begin(self, run: str, owner: str, experiment: Experiment, machine: Machine, sweep: str = "") -> None:
        """A new run; its folder is made with its first state."""
        now = time.time()
        record = Record(
            experiment.to_query(), machine, now, now, "running",
            total=experiment.steps, id=run, owner=owner, sweep=sweep,
        )  # fmt: skip
        self._hold(record, ExitStack())

    def reopen(self, owner: str, run: str) -> tuple[Record, Saved]:
        """What an interrupted run goes on from; from now on it is written again. Raises FolderRejected."""
        record, folder = self.shelf.own(owner, run), self.shelf.folder(run)
        # Held before it is read: reading a large one takes a while, and nobody is to wait for it.
        if record is None or record.status not in RESUMABLE or not self.shelf.hold(run):
            raise FolderRejected(CANNOT_GO_ON)
        lock = ExitStack()
        try:
            lock.enter_context(locked(folder))
            saved = load(folder)
            record = replace(record, status="running", step=saved.state.step, sentence="")
            self._hold(record, lock, saved)
        except (FolderRejected, OSError) as error:
            lock.close()
            self.shelf.let_go(run)
            raise FolderRejected(str(error).replace(str(folder), "This run")) from error
        self.shelf.put(record)
        return record, saved

    def frame(self, run: str, step: int, frame: Frame) -> None:
        with self._lock:
            if run in self._written:
                self._written[run].keeper.add(step, frame)

    def state(self, run: str, saved: Saved) -> None:
        """The newest state of a run; one that was not written yet is dropped."""
        with self._news:
            if run in self._written:
                self._written[run].newest = saved
                self._news.notify()

    def end(self, run: str, status: str, sentence: str = "") -> None:
        """No more will come of it. A run that has no state yet leaves nothing."""
        with self._news:
            if run in self._written and self._written[run].ended is None:
                self._written[run].ended = (status, sentence)
                self._news.notify()

    def problem(self, run: str) -> str:
        """Why a run is not saved just now; "" where all is well."""
        with self._lock:
            return self._written[run].keeper.problem if run in self._written else ""

    def is_writing(self, owner: str) -> bool:
        """Whether a run of this owner is under way, also one that has left nothing yet."""
        with self._lock:
            return any(written.keeper.record.owner == owner for written in self._written.values())

    def close(self) -> None:
        """Writes what there is, and lets go of the folders."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join(timeout=10)
        self.shelf.close()

    def _hold(self, record: Record, lock: ExitStack, saved: Saved | None = None) -> None:
        with self._lock:
            keeper = Keeper(self.shelf.folder(record.id), record, self._viewed, self._every)
            self.shelf.hold(record.id)
            self._written[record.id] = _Written(keeper, lock, saved)

    def _write_forever(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._closed or self._ready() is not None, LOOK_EVERY)
                run = self._ready()
                if run is None and self._closed:
                    for written in self._written.values():
                        written.lock.close()
                    return
            try:
                if run is not None:
                    self._write(run)
                self.shelf.tend()
            except Exception:
                # Whatever it is, other runs are still to be saved.
                traceback.print_exc(file=sys.stderr)

    def _ready(self) -> str | None:
        """A run with something to write now."""
        for run, written in self._written.items():
            due = self._closed or written.keeper.is_due()
            if (written.ended and (due or not written.again)) or (written.newest is not None and due):
                return run
        return None

    def _write(self, run: str) -> None:
        with self._lock:
            written = self._written[run]
            newest, ended, written.newest = written.newest, written.ended, None
        keeper = written.keeper
        keeper.record = self.shelf.as_named(keeper.record)
        again = False
        try:
            self._save(written, newest, *(ended or ("running", "")))
            again = bool(keeper.problem)
            if written.saved is not None:
                self.shelf.put(keeper.record)
        except OSError as error:
            keeper.problem, again = NOT_SAVED.format(why=error.strerror or error), True
            keeper.put_off()
        except (FolderRejected, DatasetMissing) as error:
            keeper.problem = NOT_SAVED.format(why=error)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            keeper.problem = NOT_SAVED.format(why=f"an error of ours, {type(error).__name__}")
        with self._lock:
            written.again = again and not self._closed
            if written.again:
                written.newest = written.newest or newest
            crowded = sum(w.ended is not None and w.again for w in self._written.values()) > MOST_UNSAVED
        if ended and (crowded or not written.again):
            self._let_go(run, written)

    def _let_go(self, run: str, written: _Written) -> None:
        record = written.keeper.record
        with self._lock:
            written.lock.close()
            del self._written[run]
            self.shelf.let_go(run)
        if written.saved is None:
            shutil.rmtree(self.shelf.folder(run), ignore_errors=True)
            return
        if record.status == "running":
            # Its end could not be written: what there is can be gone on with.
            record = replace(record, status="interrupted")
            self.shelf.put(record)
        self._on_end(record)

    def _save(self, written: _Written, newest: Saved | None, status: str, sentence: str) -> None:
        keeper, saved = written.keeper, written.saved
        latest = newest if saved is None or (newest is not None and newest.state.step > saved.state.step) else saved
        if latest is None:
            return
        if saved is None:
            keeper.folder.mkdir(parents=True, exist_ok=True)
            written.lock.close()
            written.lock.enter_context(locked(keeper.folder))
        if status in ("finished", "halted"):
            # First the model: a run that is killed in between is gone on with, and writes it again.
            with suppress(DatasetMissing):
                save_model(keeper.folder / MODEL, model_of(latest.experiment, latest.state))
        if latest is saved:
            keeper.note(status=status, sentence=sentence)
            return
        keeper.save(latest, status=status, sentence=sentence)
        if not keeper.problem:
            written.saved = latest
