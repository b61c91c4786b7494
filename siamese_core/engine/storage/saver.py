"""Saves runs as they go. One thread writes; neither training nor a page waits for a disk."""

from __future__ import annotations

import shutil
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from siamese_core.datasets import DatasetMissing
from siamese_core.engine.storage.store import RunStore
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Frame
from siamese_core.runs.folder import SAVE_EVERY, Checkpoint, FolderRejected, load, locked
from siamese_core.runs.info import RESUMABLE, RunInfo, new_info
from siamese_core.runs.writer import NOT_SAVED, RunWriter

LOOK_EVERY = 0.5

MOST_UNSAVED = 16
"""Runs that have ended and wait for room on a full disk; those after them are lost, for they fill the memory."""

CANNOT_GO_ON = "This run cannot be gone on with: it is running, at its end, or not here any more."


@dataclass
class _Written:
    """A run that is being written. `newest` is not yet on disk; `ended` is status and sentence.

    `again`: the last try failed for want of room, say.
    """

    writer: RunWriter
    lock: ExitStack
    newest: Checkpoint | None = None
    ended: tuple[str, str] | None = None
    again: bool = False


class RunSaver:
    """`on_end(record)` is called by the writing thread when a run has been written to its end."""

    def __init__(
        self,
        store: RunStore,
        viewed: Callable[[str, np.ndarray], np.ndarray],
        on_end: Callable[[RunInfo], None] = lambda info: None,
        every: float = SAVE_EVERY,
    ) -> None:
        self.store, self._viewed, self._on_end, self._every = store, viewed, on_end, every
        self._written: dict[str, _Written] = {}
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._closed = False
        self._thread = threading.Thread(target=self._write_forever, name="keeping", daemon=True)
        self._thread.start()

    def begin(self, run: str, owner: str, experiment: Experiment, machine: Machine, sweep: str = "") -> None:
        """A new run; its folder is made with its first state."""
        self._hold(new_info(experiment, machine, id=run, owner=owner, sweep=sweep), ExitStack())

    def reopen(self, owner: str, run: str) -> tuple[RunInfo, Checkpoint]:
        """What an interrupted run goes on from; from now on it is written again. Raises FolderRejected."""
        info, folder = self.store.own(owner, run), self.store.folder(run)
        # Held before it is read: reading a large one takes a while, and nobody is to wait for it.
        if info is None or info.status not in RESUMABLE or not self.store.hold(run):
            raise FolderRejected(CANNOT_GO_ON)
        lock = ExitStack()
        try:
            lock.enter_context(locked(folder))
            saved = load(folder)
            info = replace(info, status="running", step=saved.state.step, message="")
            self._hold(info, lock, saved)
        except (FolderRejected, OSError) as error:
            lock.close()
            self.store.let_go(run)
            raise FolderRejected(str(error).replace(str(folder), "This run")) from error
        self.store.put(info)
        return info, saved

    def frame(self, run: str, step: int, frame: Frame) -> None:
        with self._lock:
            if run in self._written:
                self._written[run].writer.add(step, frame)

    def state(self, run: str, saved: Checkpoint) -> None:
        """The newest state of a run; one that was not written yet is dropped."""
        with self._news:
            if run in self._written:
                self._written[run].newest = saved
                self._news.notify()

    def end(self, run: str, status: str, message: str = "") -> None:
        """No more will come of it. A run that has no state yet leaves nothing."""
        with self._news:
            if run in self._written and self._written[run].ended is None:
                self._written[run].ended = (status, message)
                self._news.notify()

    def problem(self, run: str) -> str:
        """Why a run is not saved just now; "" where all is well."""
        with self._lock:
            return self._written[run].writer.problem if run in self._written else ""

    def is_writing(self, owner: str) -> bool:
        """Whether a run of this owner is under way, also one that has left nothing yet."""
        with self._lock:
            return any(written.writer.info.owner == owner for written in self._written.values())

    def close(self) -> None:
        """Writes what there is, and lets go of the folders."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join(timeout=10)
        self.store.close()

    def _hold(self, info: RunInfo, lock: ExitStack, saved: Checkpoint | None = None) -> None:
        with self._lock:
            writer = RunWriter(self.store.folder(info.id), info, self._viewed, self._every, saved=saved)
            self.store.hold(info.id)
            self._written[info.id] = _Written(writer, lock)

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
                self.store.sweep_expired()
            except Exception:
                # Whatever it is, other runs are still to be saved.
                traceback.print_exc(file=sys.stderr)

    def _ready(self) -> str | None:
        """A run with something to write now."""
        for run, written in self._written.items():
            due = self._closed or written.writer.is_due()
            if (written.ended and (due or not written.again)) or (written.newest is not None and due):
                return run
        return None

    def _write(self, run: str) -> None:
        with self._lock:
            written = self._written[run]
            newest, ended, written.newest = written.newest, written.ended, None
        writer = written.writer
        writer.info = self.store.as_named(writer.info)
        again = False
        try:
            self._save(written, newest, *(ended or ("running", "")))
            again = bool(writer.problem)
            if writer.saved is not None:
                self.store.put(writer.info)
        except OSError as error:
            writer.problem, again = NOT_SAVED.format(why=error.strerror or error), True
            writer.put_off()
        except (FolderRejected, DatasetMissing) as error:
            writer.problem = NOT_SAVED.format(why=error)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            writer.problem = NOT_SAVED.format(why=f"an error of ours, {type(error).__name__}")
        with self._lock:
            written.again = again and not self._closed
            if written.again:
                written.newest = written.newest or newest
            crowded = sum(w.ended is not None and w.again for w in self._written.values()) > MOST_UNSAVED
        if ended and (crowded or not written.again):
            self._let_go(run, written)

    def _let_go(self, run: str, written: _Written) -> None:
        info = written.writer.info
        with self._lock:
            written.lock.close()
            del self._written[run]
            self.store.let_go(run)
        if written.writer.saved is None:
            shutil.rmtree(self.store.folder(run), ignore_errors=True)
            return
        if info.status == "running":
            # Its end could not be written: what there is can be gone on with.
            info = replace(info, status="interrupted")
            self.store.put(info)
        self._on_end(info)

    def _save(self, written: _Written, newest: Checkpoint | None, status: str, message: str) -> None:
        writer, saved = written.writer, written.writer.saved
        latest = newest if saved is None or (newest is not None and newest.state.step > saved.state.step) else saved
        if latest is None:
            return
        if saved is None:
            writer.folder.mkdir(parents=True, exist_ok=True)
            written.lock.close()
            written.lock.enter_context(locked(writer.folder))
        writer.save(latest, status, message)
