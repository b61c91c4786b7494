"""Writes one run as it goes, on the command line and on the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from siamese_core.datasets import DatasetMissing
from siamese_core.embeddings.thresholds import Threshold
from siamese_core.errors import reason
from siamese_core.experiment.snapshot import Frame
from siamese_core.formats.files import write_atomic
from siamese_core.runs.disk_format import (
    MODEL,
    SAVE_AT_LEAST_EVERY,
    SAVE_EVERY,
    SAVE_SHARE,
    Checkpoint,
    eval_images_of,
    rewind,
    save,
)
from siamese_core.runs.history import EVAL_IMAGES, gap_of, packed_eval_images
from siamese_core.runs.info import ENDED, INFO, RunInfo, packed_info
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import save_model

NOT_SAVED = "Not saved: {why}. The training goes on."


class RunWriter:
    """Writes one run into a folder that the caller has locked.

    A full disk stops nothing: `problem` says so until it is over. `last_saved` is the checkpoint on disk.
    `transform(input_transform, images)` shows images as second inputs. `threshold_of(model)` measures the threshold of
    a finished model, which takes torch and the test images: the command line does it at once; the server, which has no
    torch, writes its models without, and the Compare page measures it when it is asked for.
    """

    def __init__(
        self,
        folder: Path,
        info: RunInfo,
        transform: Callable[[str, np.ndarray], np.ndarray],
        every: float = SAVE_EVERY,
        clock: Callable[[], float] = time.monotonic,
        *,
        last_saved: Checkpoint | None = None,
        threshold_of: Callable[[Model], Threshold | None] = lambda model: None,
    ) -> None:
        self.folder, self.info, self.last_saved, self.problem = folder, info, last_saved, ""
        self._transform, self._threshold_of = transform, threshold_of
        self._every, self._clock = every, clock
        self._frames: list[tuple[int, Frame]] = []
        self._gap = gap_of(info.total)
        self._next_frame = info.step + 1
        self._due = clock() + every
        rewind(folder, info.step)

    def is_due(self) -> bool:
        """Return whether it is time for the next save."""
        return self._clock() >= self._due

    def add(self, step: int, frame: Frame) -> None:
        """Hold a frame until the next save; drop it where the film has one nearby. The last step's always counts."""
        is_new = not self._frames or step > self._frames[-1][0]
        if is_new and step >= min(self._next_frame, self.info.total):
            self._frames.append((step, replace(frame, metrics={})))
            self._next_frame = (step // self._gap + 1) * self._gap

    def save(self, checkpoint: Checkpoint, status: str = "running", message: str = "") -> None:
        """Write the run as it is now, at its end with its model. Raises OSError where that cannot be written."""
        if status in ENDED:
            # First the model: a run that is killed in between is resumed, and writes it again.
            write_model(self.folder, checkpoint, self._threshold_of)
        begun = self._clock()
        try:
            if checkpoint is not self.last_saved:
                begun = self._save_files(checkpoint)
            seconds = float(checkpoint.state.tensors["counters"][1])
            scores = checkpoint.scores[-1][1] if checkpoint.scores else {}
            self.write_info(step=checkpoint.state.step, seconds=seconds, scores=scores, status=status, message=message)
            self.last_saved, self.problem = checkpoint, ""
        except OSError as error:
            self.problem = NOT_SAVED.format(why=reason(error))
        now = self._clock()
        self._due = now + max(self._every, min((now - begun) / SAVE_SHARE, SAVE_AT_LEAST_EVERY))

    def write_info(self, **changes: Any) -> None:
        """Write what a list shows of the run, and nothing else. Raises OSError."""
        self.info = replace(self.info, updated=time.time(), **changes)
        write_atomic(self.folder / INFO, packed_info(self.info))

    def put_off(self) -> None:
        """Postpone the next save by the usual time between two."""
        self._due = self._clock() + self._every

    def _save_files(self, checkpoint: Checkpoint) -> float:
        """Write all but the run's info and model; return when the part began that each save has."""
        begun = self._clock()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / EVAL_IMAGES).exists():
            of = checkpoint.experiment
            eval_images = eval_images_of(of.data, of.view, of.branches, self._transform)
            write_atomic(self.folder / EVAL_IMAGES, packed_eval_images(eval_images))
            # Once a run: it says nothing of how long the next save takes.
            begun = self._clock()
        frames = [(at, frame) for at, frame in self._frames if at <= checkpoint.state.step]
        save(self.folder, checkpoint, frames)
        self._frames = self._frames[len(frames) :]
        return begun


def write_model(folder: Path, checkpoint: Checkpoint, threshold_of: Callable[[Model], Threshold | None]) -> None:
    """Write the model that a run has come to; none where its images have gone. Raises OSError."""
    with suppress(DatasetMissing):
        model = model_of(checkpoint.experiment, checkpoint.state)
        save_model(folder / MODEL, replace(model, threshold=threshold_of(model)))
