"""Saves runs as they go. One thread writes; neither training nor a page waits for a disk."""

from __future__ import annotations

import shutil
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from siamese_core.datasets import DatasetMissing
from siamese_core.engine.storage.store import THIS_RUN, RunStore
from siamese_core.errors import reason
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Frame
from siamese_core.runs.disk_format import SAVE_EVERY, Checkpoint, FolderRejected, load, locked
from siamese_core.runs.info import RESUMABLE, RunInfo, new_info
from siamese_core.runs.writer import NOT_SAVED, RunWriter

POLL_EVERY = 0.5

MOST_UNSAVED = 16
"""Runs that have ended and wait for room on a full disk; those after them are lost, for they fill the memory."""

CANNOT_RESUME = "This run cannot be gone on with: it is running, at its end, or not here any more."


@dataclass
class _OpenRun:
    """A run that is being written. `newest` is not yet on disk; `ended` is its last status and message.

    `retry`: the last try failed, for want of room, say.
    """

    writer: RunWriter
    lock: ExitStack
    newest: Checkpoint | None = None
    ended: tuple[str, str] | None = None
    retry: bool = False


class RunSaver:
    """`on_end(info)` is called by the writing thread when a run has been written to its end."""

    def __init__(
        self,
        store: RunStore,
        transformed: Callable[[str, np.ndarray], np.ndarray],
        on_end: Callable[[RunInfo], None] = lambda info: None,
    ) -> None:
        self.store, self._transformed, self._on_end = store, transformed, on_end
        self._open: dict[str, _OpenRun] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._closed = False
        self._thread = threading.Thread(target=self._write_forever, name="saver", daemon=True)
        self._thread.start()

    def begin(self, run_id: str, owner: str, experiment: Experiment, machine: Machine, sweep: str = "") -> None:
        """Begin to save a new run; its folder is made with its first checkpoint."""
        self._add(new_info(experiment, machine, id=run_id, owner=owner, sweep=sweep), ExitStack())

    def resume_saved(self, owner: str, run_id: str) -> tuple[RunInfo, Checkpoint]:
        """Return what an interrupted run is resumed from; from now on it is written again. Raises FolderRejected."""
        info, folder = self.store.owned(owner, run_id), self.store.folder(run_id)
        # Claimed before it is read: reading a large one takes a while, and nobody is to wait for it.
        if info is None or info.status not in RESUMABLE or not self.store.acquire(run_id):
            raise FolderRejected(CANNOT_RESUME)
        lock = ExitStack()
        try:
            lock.enter_context(locked(folder))
            checkpoint = load(folder, THIS_RUN)
            info = replace(info, status="running", step=checkpoint.state.step, message="")
            self._add(info, lock, checkpoint)
        except (FolderRejected, OSError) as error:
            lock.close()
            self.store.release(run_id)
            raise FolderRejected(str(error).replace(str(folder), THIS_RUN)) from error
        self.store.put(info)
        return info, checkpoint

    def add_frame(self, run_id: str, step: int, frame: Frame) -> None:
        """Take a frame of a run into its film; it is written with the next checkpoint."""
        with self._lock:
            if run_id in self._open:
                self._open[run_id].writer.add(step, frame)

    def add_checkpoint(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Take the newest checkpoint of a run; one that was not written yet is dropped."""
        with self._changed:
            if run_id in self._open:
                self._open[run_id].newest = checkpoint
                self._changed.notify()

    def end(self, run_id: str, status: str, message: str = "") -> None:
        """Write a run to its end. One that has no checkpoint yet leaves nothing."""
        with self._changed:
            if run_id in self._open and self._open[run_id].ended is None:
                self._open[run_id].ended = (status, message)
                self._changed.notify()

    def problem(self, run_id: str) -> str:
        """Return why a run is not saved just now; "" where all is well."""
        with self._lock:
            return self._open[run_id].writer.problem if run_id in self._open else ""

    def is_writing(self, owner: str) -> bool:
        """Return whether a run of this owner is going on, also one that has left nothing yet."""
        with self._lock:
            return any(run.writer.info.owner == owner for run in self._open.values())

    def close(self) -> None:
        """Write what there is, and release the folders."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10)
        self.store.close()

    def _add(self, info: RunInfo, lock: ExitStack, checkpoint: Checkpoint | None = None) -> None:
        with self._lock:
            writer = RunWriter(self.store.folder(info.id), info, self._transformed, SAVE_EVERY, last_saved=checkpoint)
            self.store.acquire(info.id)
            self._open[info.id] = _OpenRun(writer, lock)

    def _write_forever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._ready() is not None, POLL_EVERY)
                run_id = self._ready()
                if run_id is None and self._closed:
                    for run in self._open.values():
                        run.lock.close()
                    return
            try:
                if run_id is not None:
                    self._write(run_id)
                self.store.sweep_expired()
            except Exception:
                # Whatever it is, other runs are still to be saved.
                traceback.print_exc()

    def _ready(self) -> str | None:
        """Return a run with something to write now."""
        for run_id, run in self._open.items():
            due = self._closed or run.writer.is_due()
            if (run.ended and (due or not run.retry)) or (run.newest is not None and due):
                return run_id
        return None

    def _write(self, run_id: str) -> None:
        with self._lock:
            run = self._open[run_id]
            newest, ended, run.newest = run.newest, run.ended, None
        writer = run.writer
        writer.info = self.store.as_named(writer.info)
        retry = False
        try:
            self._save(run, newest, *(ended or ("running", "")))
            retry = bool(writer.problem)
            if writer.last_saved is not None:
                self.store.put(writer.info)
        except OSError as error:
            writer.problem, retry = NOT_SAVED.format(why=reason(error)), True
            writer.put_off()
        except (FolderRejected, DatasetMissing) as error:
            writer.problem = NOT_SAVED.format(why=error)
        except Exception as error:
            traceback.print_exc()
            writer.problem = NOT_SAVED.format(why=f"an error of ours, {type(error).__name__}")
        with self._lock:
            run.retry = retry and not self._closed
            if run.retry:
                run.newest = run.newest or newest
            crowded = sum(other.ended is not None and other.retry for other in self._open.values()) > MOST_UNSAVED
        if ended and (crowded or not run.retry):
            self._remove(run_id, run)

    def _remove(self, run_id: str, run: _OpenRun) -> None:
        info = run.writer.info
        with self._lock:
            run.lock.close()
            del self._open[run_id]
            self.store.release(run_id)
        if run.writer.last_saved is None:
            shutil.rmtree(self.store.folder(run_id), ignore_errors=True)
            return
        if info.status == "running":
            # Its end could not be written: what there is can be resumed.
            info = replace(info, status="interrupted")
            self.store.put(info)
        self._on_end(info)

    def _save(self, run: _OpenRun, newest: Checkpoint | None, status: str, message: str) -> None:
        writer, last_saved = run.writer, run.writer.last_saved
        is_newer = last_saved is None or (newest is not None and newest.state.step > last_saved.state.step)
        latest = newest if is_newer else last_saved
        if latest is None:
            return
        if last_saved is None:
            writer.folder.mkdir(parents=True, exist_ok=True)
            run.lock.close()
            run.lock.enter_context(locked(writer.folder))
        writer.save(latest, status, message)
