"""Runs to be saved that nobody has trained: small, and each number of them tells its step."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.storage.saver import RunSaver
from siamese_core.engine.storage.store import RunStore, hashed
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Frame, TrainingState
from siamese_core.formats import files
from siamese_core.runs import disk_format, writer
from siamese_core.runs.disk_format import Checkpoint, packed_run
from siamese_core.runs.history import (
    EVAL_IMAGES,
    FRAMES,
    RUN,
    SUFFIX,
    EvalImages,
    film_of,
    packed_eval_images,
    packed_film,
)
from siamese_core.runs.info import INFO, RunInfo, read_info
from tests.support.waiting import until

ANN, BEN = hashed("ann"), hashed("ben")
TOTAL = 9
EXPERIMENT = Experiment(dataset="digits", encoder="mlp", steps=TOTAL)
EVERY = 2.0
"""Seconds between two saves."""
IMAGES, CLASSES = 6, ("one", "two")


def checkpoint_at(step: int, experiment: Experiment = EXPERIMENT) -> Checkpoint:
    tensors = {
        "network.weight": np.full((3, 2), step, np.float32),
        "generator": np.arange(5, dtype=np.uint8),
        "counters": np.array([120.0 * step, 0.25 * step, 0.5]),
    }
    history = np.arange(1, step + 1, dtype=np.float32)
    scores = [(at, {"map_at_r": {"seen": at / 100, "held_out": None}}) for at in range(1, step + 1)]
    return Checkpoint(
        experiment, Machine(), TrainingState(step, tensors), history, history / 100, scores, {"seen": 0.25}
    )


def frame_at(step: int) -> Frame:
    return Frame(
        np.full((IMAGES, 4), step, np.float32), np.full(3, step, np.float32), np.full(3, 2 * step, np.float32),
        np.zeros((2, 0), np.float32), {"map_at_r": {"seen": step / 100}},
    )  # fmt: skip


def eval_images() -> EvalImages:
    labels = np.arange(IMAGES, dtype=np.int32) % 2
    return EvalImages(CLASSES, labels, np.zeros((IMAGES, 1, 2, 2), np.uint8), 1)


def files_at(step: int) -> dict[str, bytes]:
    """A whole folder, but for its record: name → content."""
    film = film_of([(at, frame_at(at)) for at in range(1, step + 1)])
    return {
        RUN: packed_run(checkpoint_at(step)),
        EVAL_IMAGES: packed_eval_images(eval_images()),
        f"{FRAMES}{1:09d}{SUFFIX}": packed_film(film),
    }


def info_at(step: int = 3, owner: str = "", status: str = "stopped", created: float = 0.0, run: str = "") -> RunInfo:
    return RunInfo(
        EXPERIMENT.to_query(), Machine(), created, created, status, step=step, total=TOTAL, owner=owner, id=run
    )


def imported(store: RunStore, owner: str = ANN, created: float = 0.0, size: int = 0, **changes: Any) -> str:
    """Return the id of a run in the store; one of `size` bytes cannot be read."""
    files = {RUN: bytes(size)} if size else files_at(3)
    return store.import_run(owner, files, replace(info_at(created=created), **changes))


def written(folder: Path, info: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / INFO).write_bytes(info)
    return folder


def on_disk(store: RunStore, run: str) -> RunInfo:
    return read_info((store.folder(run) / INFO).read_bytes())


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class Clock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


class Disk:
    """What is saved, step by step; it can be full, and it can be slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[int] = []
        self.full = False
        self.free = threading.Event()
        self.busy = threading.Event()
        self.free.set()
        self._save, self._write = disk_format.save, files.write_atomic
        monkeypatch.setattr(writer, "save", self.save)
        for module in (writer, disk_format, "siamese_core.runs.model_file.write_atomic"):
            monkeypatch.setattr(*((module,) if isinstance(module, str) else (module, "write_atomic")), self.write)

    def save(self, folder: Path, checkpoint: Checkpoint, frames: Any) -> None:
        self.busy.set()
        assert self.free.wait(60)
        self.busy.clear()
        self._save(folder, checkpoint, frames)
        self.steps.append(checkpoint.state.step)

    def write(self, path: Path, content: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self._write(path, content)


def transformed(input_transform: str, images: np.ndarray) -> np.ndarray:
    return images


def begin(saver: RunSaver, run: str = "run", owner: str = ANN) -> str:
    saver.begin(run, owner, EXPERIMENT, Machine())
    return run


def wake(saver: RunSaver) -> None:
    with saver._changed:
        saver._changed.notify_all()


def until_over(saver: RunSaver, run: str = "run") -> None:
    until(lambda: not saver.store.is_busy(run), "the end of the writing")
