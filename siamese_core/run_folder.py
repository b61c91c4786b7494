"""A run on disk: one file with all that it takes to go on, replaced as a whole, and in the end its model.

run.state           SHA-256 (32 bytes), then a wire message: experiment, machine, step, losses, and the state
model.safetensors   when the run is finished
lock                held by whoever writes
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from siamese_core import wire
from siamese_core.experiment import Experiment
from siamese_core.files import write_whole
from siamese_core.machine import Machine
from siamese_core.snapshot import Snapshot, State

SCHEMA = 1

STATE, LOCK = "run.state", "lock"

SAVE_EVERY = 2.0
"""Seconds of training that are lost at most when a process is killed."""
TENSOR = "tensor/"


class FolderRejected(ValueError):
    """One sentence: why a folder cannot be gone on with, and what to do."""


@dataclass(frozen=True, eq=False)
class Saved:
    """A run as it was saved last. `loss`, `active` (S,): those of every step up to the state's."""

    experiment: Experiment
    machine: Machine
    state: State
    loss: np.ndarray
    active: np.ndarray

    @property
    def finished(self) -> bool:
        return self.state.step >= self.experiment.steps


def save(folder: Path, saved: Saved) -> None:
    """Replaces what the folder held. Raises OSError, the folder as it was."""
    meta = {
        "schema": SCHEMA, "experiment": saved.experiment.to_query(), "machine": asdict(saved.machine),
        "step": saved.state.step,
    }  # fmt: skip
    tensors = {f"{TENSOR}{name}": array for name, array in saved.state.tensors.items()}
    message = wire.pack(meta, loss=saved.loss, active=saved.active, **tensors)
    write_whole(folder / STATE, hashlib.sha256(message).digest() + message)


def load(folder: Path) -> Saved:
    """Raises FolderRejected for a folder that is torn, foreign, or of another version."""
    try:
        content = (folder / STATE).read_bytes()
    except OSError as error:
        why = error.strerror or error
        raise FolderRejected(f"{folder}: holds no run ({why}); name a folder that train --out has written") from None
    message = content[32:]
    if hashlib.sha256(message).digest() != content[:32]:
        raise FolderRejected(f"{folder}: its {STATE} is damaged; train the run again")
    meta, arrays = wire.unpack(message)
    if meta["schema"] != SCHEMA:
        raise FolderRejected(f"{folder}: is of version {meta['schema']}, expected {SCHEMA}; update this app")
    experiment, ignored = Experiment.from_query(meta["experiment"])
    if ignored:
        raise FolderRejected(f"{folder}: {ignored[0]}")
    tensors = {name.removeprefix(TENSOR): array for name, array in arrays.items() if name.startswith(TENSOR)}
    return Saved(experiment, Machine(**meta["machine"]), State(meta["step"], tensors), arrays["loss"], arrays["active"])


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """For as long as somebody writes. Raises FolderRejected where somebody else does, or nobody can."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderRejected(f"{folder}: {error.strerror or error}; name a folder that can be written to") from None
    try:
        if not _lock(handle):
            raise FolderRejected(f"{folder}: another process writes this run; wait for it, or stop it")
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Whether the file is now ours; the system lets go of it when this process ends, however it ends."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    return True


class Keeper:
    """Saves a run as it goes. A disk that is full stops no training: it is said once, on stderr."""

    def __init__(
        self, folder: Path, experiment: Experiment, machine: Machine, saved: Saved | None, every: float = SAVE_EVERY
    ) -> None:
        self.folder, self.state = folder, saved.state if saved is not None else None
        self._experiment, self._machine, self._every = experiment, machine, every
        self._loss = saved.loss.tolist() if saved is not None else []
        self._active = saved.active.tolist() if saved is not None else []
        self._due = time.monotonic() + every
        self._said = False

    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def take(self, snapshot: Snapshot) -> None:
        """A step; saved where its state was asked for. The last one is not: first comes the model, then `end`."""
        if not snapshot.halted:
            self._loss.append(snapshot.loss)
            self._active.append(snapshot.active)
        if snapshot.state is not None and not snapshot.halted and snapshot.step < self._experiment.steps:
            self._save(snapshot.state)
            self._due = time.monotonic() + self._every

    def end(self, last: Snapshot) -> None:
        """The run is over, and its model is there."""
        assert last.state is not None, "the last snapshot of a run has its state"
        self._save(last.state)

    def _save(self, state: State) -> None:
        loss, active = np.array(self._loss, np.float32), np.array(self._active, np.float32)
        try:
            save(self.folder, Saved(self._experiment, self._machine, state, loss, active))
        except OSError as error:
            if not self._said:
                print(f"Not saved: {error.strerror or error}. The training goes on.", file=sys.stderr)
            self._said = True
